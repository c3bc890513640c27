"""What each call leaves in the audit log, and how kmsctl reads it back and finds what somebody changed."""
import base64
import collections
import datetime
import hashlib
import json
import re
import subprocess

import pytest

from harness import ADMIN, APP, BIN, OTHER, ROOT, Failure, Service, key_policy
from load import correlated
from methods import CONTEXT, ELSEWHERE, PLAINTEXT, Methods, full, of_users


def fields():
    """From the dictionary: names of members by the object they stand in."""
    names = collections.defaultdict(set)
    for parent, name in re.findall(
        r'KMS_FIELD\(\w+,\s*"(\w*)",\s*"(\w+)"', (ROOT / "kmsd/audit/fields.def").read_text()
    ):
        names[parent].add(name)
    return names


FIELDS = fields()


def check_names(record):
    assert set(record) <= FIELDS[""], record
    for access in record.get("access", ()):
        assert set(access) <= FIELDS["access"], access
    for attempt in record.get("segment", {}).get("open_attempts", ()):
        assert set(attempt) <= FIELDS["open_attempts"]
    assert set(record.get("segment", ())) <= FIELDS["segment"]


@pytest.fixture(scope="module")
def methods(service):
    return Methods(service)


def call(client, service, method, request, id_):
    """The reply or the failure, and the records of the call."""
    try:
        answer = getattr(client, method)(metadata=correlated(id_), **request)
    except Failure as failure:
        answer = failure
    return answer, service.records(correlation_id=id_)


def test_the_table_is_whole(service, methods):
    with service.client(APP) as client:
        services = [
            s for module in client.modules.values() for s in module.DESCRIPTOR.services_by_name.values()
        ]
        known = {method.name for s in services for method in s.methods}
    assert {row[0] for row in methods.rows()} == known - ELSEWHERE


def check_common(record, service, principal, method, class_):
    check_names(record)
    assert (record["principal"], record["principal_source"]) == (principal, "mtls-uri")
    assert re.fullmatch(r"ipv4:127\.0\.0\.1:\d+", record["peer"])
    assert record["operation"] == method and record["class"] == class_
    assert record["service"] == f"kms.v1.{service}"
    assert record["client"].startswith("grpc-python/")
    datetime.datetime.strptime(record["time"], "%Y-%m-%dT%H:%M:%S.%fZ")
    assert record["latency_us"] >= 0


def service_of(client, method):
    return client.method(method)[0].split("/")[1].removeprefix("kms.v1.")


def test_success_of_every_method(service, methods):
    secrets, made = [PLAINTEXT], set()
    with service.client(APP) as app, service.client(ADMIN) as admin:
        for method, request, actions, class_ in methods.rows():
            client = app if of_users(app, method) else admin
            answer, records = call(client, service, method, request, f"good-{method}-{methods.key}")
            assert not isinstance(answer, Failure), (method, answer)
            assert [r["kind"] for r in records] == (
                ["attempt", "outcome"] if class_ == "admin" else ["call"]
            ), method
            for record in records:
                check_common(
                    record, service_of(client, method), client is app and APP or ADMIN, method, class_
                )
                assert [a["action"] for a in record["access"]] == [full(a) for a in actions]
                assert all(
                    a["decision"] == "allow" and (a.get("statement") or a["grant"]) for a in record["access"]
                )
            assert "outcome" not in records[0] or class_ != "admin"
            assert records[-1]["outcome"] == "OK" and len({r["request_id"] for r in records}) == 1
            assert records[0]["request_id"] not in made
            made.add(records[0]["request_id"])
            assert ("store_revision" in records[-1]) == (class_ == "admin") == ("store_digest" in records[-1])
            if "encryption_context" in request:
                assert (
                    records[0]["access"][0]["context"] == CONTEXT
                    and records[0]["access"][0]["key_version"] == 1
                )
            for name in ("plaintext", "ciphertext_blob"):
                secrets.append(getattr(answer, name, b""))
    check_no_secrets(service, secrets)


def check_no_secrets(service, secrets):
    log = b"".join(path.read_bytes() for path in (service.dir / "audit").glob("*.jsonl"))
    for secret in filter(None, secrets):
        for shape in (
            secret,
            secret.hex().encode(),
            base64.b64encode(secret)[:-4],
            secret[:16].hex().encode(),
        ):
            assert shape not in log


def test_denial_of_every_method(service, methods):
    """One record, of kind call, also for administrative methods: nothing was attempted."""
    with service.client(OTHER) as other, service.client(ADMIN) as admin:
        admin.CreateAlias(alias_name=methods.alias + "-2", target_key_id=methods.key)
        methods.alias += "-2"
        for method, request, actions, class_ in methods.rows():
            client, principal = (admin, ADMIN) if method == "GenerateRandom" else (other, OTHER)
            if method == "CreateAlias":
                request = dict(request, alias_name=methods.alias + "-new")
            answer, records = call(client, service, method, request, f"denied-{method}-{methods.key}")
            assert isinstance(answer, Failure) and answer.reason == "ACCESS_DENIED", (method, answer)
            assert [r["kind"] for r in records] == ["call"], method
            record = records[0]
            check_common(record, service_of(client, method), principal, method, class_)
            assert (
                record["outcome"] == "ACCESS_DENIED"
                and record["stage"] == "decide"
                and record["detail"] in answer.message
            )
            assert record["request_id"] == answer.request_id
            assert (
                record["access"][0]["action"] == full(actions[0])
                and record["access"][0]["decision"] == "no-match"
            )
            assert "store_revision" not in record
            if "encryption_context" in request:
                assert record["access"][0]["context"] == CONTEXT
    check_no_secrets(service, [PLAINTEXT, methods.blob])


def test_other_failures_are_on_record(service, methods):
    with service.client(APP) as app, service.client(ADMIN) as admin:
        alias = {"alias_name": methods.alias + "-taken", "target_key_id": methods.key}
        admin.CreateAlias(**alias)
        damaged = {
            "ciphertext_blob": methods.blob[:-1] + bytes([methods.blob[-1] ^ 1]),
            "encryption_context": CONTEXT,
        }
        mixed = {"key_id": methods.key, "policy": key_policy(users=(ADMIN,))}
        for client, method, request, reason, kinds in [
            (app, "Decrypt", damaged, "INVALID_CIPHERTEXT", ["call"]),
            (app, "Encrypt", {"key_id": methods.key, "plaintext": b""}, "INVALID_ARGUMENT", ["call"]),
            (admin, "CreateAlias", alias, "ALREADY_EXISTS", ["attempt", "outcome"]),
            (admin, "PutKeyPolicy", mixed, "POLICY_NOT_SEPARATED", ["attempt", "outcome"]),
        ]:
            answer, records = call(client, service, method, request, f"{reason}-{methods.key}")
            assert isinstance(answer, Failure) and answer.reason == reason, (method, answer)
            assert [r["kind"] for r in records] == kinds, reason
            assert records[-1]["outcome"] == reason and records[-1]["kind"] in ("call", "outcome")
            assert not any("store_revision" in r for r in records)


@pytest.mark.parametrize(
    "sent, kept",
    [("x" * 4000, None), ('id with "quotes" and \\', 'id with "quotes" and \\')],
    ids=["long", "quotes"],
)
def test_texts_of_clients_cannot_break_the_log(service, methods, sent, kept):
    with service.client(APP) as app:
        app.GenerateRandom(number_of_bytes=1, metadata=correlated(sent))
    record = service.records(kind="call")[-1]
    check_names(record)
    assert (
        record["correlation_id"] == kept
        if kept
        else sent.startswith(record["correlation_id"]) and record["correlation_id"]
    )


def test_a_new_key_and_its_policy_are_on_record(service, methods):
    """The policy by its SHA-256, so that it is known which document was in force when."""
    with service.client(ADMIN) as admin:
        meta = admin.CreateKey(policy=key_policy(), metadata=correlated("made"), client_request_token="t").key_metadata
        admin.PutKeyPolicy(key_id=meta.key_id, policy=key_policy(users=()), metadata=correlated("ruled"))
        admin.CreateKey(policy=key_policy(), metadata=correlated("again"), client_request_token="t")
        with pytest.raises(Failure):
            admin.PutKeyPolicy(key_id=meta.key_id, policy="{}", metadata=correlated("refused"))
    hashes = {text: hashlib.sha256(text.encode()).hexdigest() for text in (key_policy(), key_policy(users=()), "{}")}
    for id_, text in (("made", key_policy()), ("ruled", key_policy(users=())), ("again", key_policy()), ("refused", "{}")):
        attempt, outcome = service.records(correlation_id=id_)
        assert attempt["extra"]["key_policy_sha256"] == outcome["extra"]["key_policy_sha256"] == hashes[text]
        assert outcome["access"][0]["key_id"] == meta.key_id
        named = attempt["extra"].get("new_key_id")
        assert (named == meta.key_id) == (id_ == "made") and (named is not None) == (id_ in ("made", "again"))


def test_callers_are_told_the_request_id(service, methods):
    """By every answer, so that both sides can speak of one call; and what they call it themselves is on record."""
    with service.client(APP) as app:
        good = app.start("GenerateRandom", number_of_bytes=8, metadata=correlated("told-good"))
        bad = app.start("Encrypt", key_id="alias/none", plaintext=b"x", metadata=correlated("told-bad"))
        for call, id_, code in ((good, "told-good", "OK"), (bad, "told-bad", "PERMISSION_DENIED")):
            assert call.code().name == code
            (record,) = service.records(correlation_id=id_)
            assert dict(call.trailing_metadata())["x-request-id"] == record["request_id"]
    done = service.kmsctl(OTHER, "--correlation-id", "ticket 4711", "key", "describe", methods.key, check=False)
    (record,) = service.records(correlation_id="ticket 4711")
    assert (done.returncode, record["outcome"], record["operation"]) == (3, "ACCESS_DENIED", "DescribeKey")
    assert f"request: {record['request_id']}" in done.stderr.splitlines()
    done = service.kmsctl(OTHER, "--correlation-id", "a\nb", "status", check=False)
    assert "correlation id is 1 to 127" in done.stderr and "request:" not in done.stderr


def test_request_ids_are_unique_and_start_and_stop_are_on_record(fresh):
    fresh.init()
    seen = set()
    for _ in range(2):
        fresh.start()
        with fresh.client(APP) as app:
            for started in [app.start("GenerateRandom", number_of_bytes=8) for _ in range(100)]:
                started.result()
        fresh.stop()
    for record in fresh.records(kind="call"):
        assert record["request_id"] not in seen
        seen.add(record["request_id"])
    assert len(seen) == 200
    services = [r["operation"] for r in fresh.records(kind="service") if "operation" in r]
    assert services == ["service-policy", "start", "stop"] * 2


# -- the chain --


def check_chain(service):
    """Sequence, hashes and links by a second implementation (form: kmsd/audit/chain.h)."""
    sequence, head = 0, "0" * 64
    for path in sorted((service.dir / "audit").glob("*.jsonl")):
        for number, line in enumerate(path.read_bytes().split(b"\0", 1)[0].splitlines()):
            record = json.loads(line)
            assert (record["seq"], record["prev"]) == (sequence + 1, head), path
            sequence, head = record["seq"], record["hash"]
            assert hashlib.sha256(line[: line.rindex(b',"hash":')]).hexdigest() == head
            assert ("segment" in record) == (number == 0)
            check_names(record)
    return sequence, head


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A service whose log has several files and a restart in it; stopped."""
    service = Service(tmp_path_factory.mktemp("stored") / "home")
    service.write_config(audit={"segment": "512KiB"})
    service.init().start()
    key = service.new_key()
    for _ in range(2):
        with service.client(APP) as app:
            pad = {"pad": "p" * 4000}
            calls = [
                app.start("Encrypt", key_id=key, plaintext=b"x", encryption_context=pad) for _ in range(150)
            ]
            assert all(c.result() for c in calls)
        service.stop()
        service.start()
    service.stop()
    return service


def test_chain_goes_on_over_files_and_restarts(stored):
    files = sorted((stored.dir / "audit").glob("*.jsonl"))
    sequence, head = check_chain(stored)
    report = stored.verify_audit()
    assert len(files) >= 4 and report["intact"] and report["files"] == len(files)
    assert (report["records"], report["last_sequence"], report["head"]) == (sequence, sequence, head)
    reasons = [r["segment"]["because"] for r in stored.records() if "segment" in r]
    assert reasons.count("start") == 2 and "full" in reasons and set(reasons) == {"new", "start", "full"}
    assert len(stored.records(operation="Encrypt", outcome="OK")) == 300


def audit(directory, *arguments):
    return subprocess.run(
        [BIN / "kmsctl", "audit", *arguments, "--dir", directory], capture_output=True, text=True, timeout=60
    )


def test_tail(stored):
    done = audit(stored.dir / "audit", "tail", "--lines", "5", "--output", "json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == stored.records()[-5:]
    words = audit(stored.dir / "audit", "tail", "--lines", "3").stdout
    assert len(words.splitlines()) == 3 and "stop" in words


def test_verify_accepts_a_head_kept_elsewhere(stored):
    head = stored.records()[7]["hash"]
    assert audit(stored.dir / "audit", "verify", "--head", head).returncode == 0
    foreign = audit(stored.dir / "audit", "verify", "--head", "ab" * 32)
    assert foreign.returncode != 0 and "ab" * 8 in foreign.stderr
