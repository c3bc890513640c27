"""kmsctl policy replay: the decisions of a log made again, under the policies that were and under others."""
import datetime
import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest

from harness import ADMIN, APP, BIN, BUILD, OTHER, SERVICE_POLICY, Failure, Service, key_policy
from policies import document, kmsctl, statement


def deny(sid, principal, action, **condition):
    return statement(sid, principal, action, "Deny", Condition=condition)


def conditional_policy(flip):
    """Every input of a call decides something; from `flip` on APP may not describe."""
    return document(
        json.loads(key_policy(users=()))["Statement"][0],
        statement(
            "Use",
            [APP, "unix-caller"],
            ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
            Condition={"StringEqualsIfExists": {"kms:EncryptionContext:app": "shop"}},
        ),
        deny("NoAlias", APP, "kms:Encrypt", StringLike={"kms:RequestAlias": "alias/forbidden*"}),
        deny("Elsewhere", APP, "kms:ReEncrypt*", Bool={"kms:ReEncryptOnSameKey": "false"}),
        deny("Socket", "unix-caller", "kms:Decrypt", Bool={"aws:SecureTransport": "false"}),
        statement(
            "Home",
            APP,
            "kms:DescribeKey",
            Condition={
                "IpAddress": {"aws:SourceIp": "127.0.0.1"},
                "DateLessThan": {"aws:CurrentTime": flip},
            },
        ),
        deny("NoBypass", ADMIN, "kms:PutKeyPolicy", Bool={"kms:BypassPolicyLockoutSafetyCheck": "true"}),
        deny("OnlyAes", APP, "kms:*", StringNotEquals={"kms:KeySpec": "SYMMETRIC_DEFAULT"}),
        deny("NoPairs", APP, "kms:GenerateDataKeyWithoutPlaintext", Null={"kms:EncryptionContextKeys": "false"}),
    )


SIGNS = document(
    json.loads(key_policy(users=()))["Statement"][0],
    statement(
        "Sign",
        APP,
        ["kms:Sign", "kms:Verify"],
        Condition={"StringEquals": {"kms:SigningAlgorithm": "ECDSA_SHA_256", "kms:MessageType": "RAW"}},
    ),
    deny("OtherSpecs", "*", "kms:Sign", StringNotEquals={"kms:KeySpec": "ECC_NIST_P256"}),
)
MACS = document(
    json.loads(key_policy(users=()))["Statement"][0],
    statement("Mac", APP, "kms:*Mac", Condition={"StringEquals": {"kms:MacAlgorithm": "HMAC_SHA_256"}}),
    deny("OtherUse", "*", "kms:GenerateMac", StringNotEquals={"kms:KeyUsage": "GENERATE_VERIFY_MAC"}),
)


def signatures(client, signer, mac):
    """Signatures and MACs by inputs that only these operations have."""
    digest = hashlib.sha256(b"x").digest()
    for kind, message in ((1, b"x"), (2, digest)):  # RAW, DIGEST
        attempt(client.Sign, key_id=signer, message=message, message_type=kind, signing_algorithm=7)
    attempt(client.GenerateMac, key_id=mac, message=b"x", mac_algorithm=1)
    attempt(client.GenerateMac, key_id=signer, message=b"x", mac_algorithm=1)
    attempt(client.GetPublicKey, key_id=signer)


def attempt(call, **fields):
    try:
        return call(**fields)
    except Failure as error:
        assert error.reason in ("ACCESS_DENIED", "NOT_FOUND", "CONFLICT", "MALFORMED_POLICY", "INVALID_KEY_USAGE"), error
        return None


def traffic(client, keys, missing, blob):
    """Every kind of call on every key, allowed or not."""
    for key in keys:
        for context in ({}, {"app": "shop"}, {"app": "web", "müll": 'x"\n'}):
            attempt(client.Encrypt, key_id=key, plaintext=b"x", encryption_context=context)
            attempt(client.GenerateDataKey, key_id=key, key_spec=2, encryption_context=context)
            attempt(client.GenerateDataKeyWithoutPlaintext, key_id=key, key_spec=2, encryption_context=context)
        attempt(client.DescribeKey, key_id=key)
        attempt(client.ReEncrypt, ciphertext_blob=blob, destination_key_id=key)
        attempt(client.PutKeyPolicy, key_id=key, policy="{}", bypass_policy_lockout_safety_check=True)
        attempt(client.DisableKey, key_id=missing)
    attempt(client.Decrypt, ciphertext_blob=blob)
    attempt(client.ListKeys)
    attempt(client.GenerateRandom, number_of_bytes=8)
    attempt(client.CreateAlias, alias_name="alias/none", target_key_id=missing)


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    """A service with traffic of every kind behind it: (service, {key: its policy}, key with every condition)."""
    service = Service(tmp_path_factory.mktemp("past") / "home")
    socket = f"""  unix:
    - path: {service.dir}/kmsd.sock
      principal: unix-caller
"""
    service.write_config(unix=socket, audit={"segment": "512KiB"})
    service.init().start()
    now = datetime.datetime.now(datetime.timezone.utc)
    flip = (now + datetime.timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    policies = {}
    with service.client(ADMIN) as admin:
        for policy in (conditional_policy(flip), key_policy(users=(APP, OTHER)), key_policy(users=(OTHER,))):
            meta = admin.CreateKey(policy=policy, alias_name=f"alias/past-{len(policies)}").key_metadata
            policies[meta.key_id] = policy
        first = list(policies)[0]
        signer = admin.CreateKey(policy=SIGNS, key_spec=5, key_usage=2).key_metadata.key_id
        mac = admin.CreateKey(policy=MACS, key_spec=9, key_usage=3).key_metadata.key_id
        policies.update({signer: SIGNS, mac: MACS})
        admin.CreateAlias(alias_name="alias/forbidden-fruit", target_key_id=first)
        admin.EnableKey(key_id=first)
    names = [*list(policies)[:3], "alias/forbidden-fruit", "alias/past-1"]
    with service.client(APP) as app, service.client(OTHER) as other, service.client(ADMIN) as admin:
        blob = app.Encrypt(key_id=first, plaintext=b"x").ciphertext_blob
        with service.client(None, unix=service.dir / "kmsd.sock") as local:
            for client in (app, other, admin, local):
                traffic(client, names, "00000000-0000-4000-8000-00000000dead", blob)
                signatures(client, signer, mac)
        while datetime.datetime.now(datetime.timezone.utc) < now + datetime.timedelta(seconds=3.3):
            attempt(app.DescribeKey, key_id=first)
    service.stop()
    return service, policies, first


def replay(service, tmp_path, policy, *arguments, status=0):
    path = tmp_path / "candidate.json"
    path.write_text(policy if isinstance(policy, str) else json.dumps(policy))
    return kmsctl("policy", "replay", path, "--dir", service.dir / "audit", *arguments, "-o", "json", status=status)


def decisions(service, key):
    return [
        (record["principal"], access)
        for record in service.records()
        if record["kind"] in ("call", "attempt")
        for access in record.get("access", ())
        if access.get("key_id") == key and "decision" in access
    ]


def test_own_policies_change_nothing(past, tmp_path):
    """Every decision of the log is made again from its record, with the same outcome by the same statement."""
    service, policies, first = past
    for key, policy in policies.items():
        report = replay(service, tmp_path, policy, "--key", key)
        assert report["decisions"] == len(decisions(service, key)) > 3
        assert report["changed"] == report["same_by_another_statement"] == report["shortened_records"] == 0
    report = replay(service, tmp_path, SERVICE_POLICY, "--service")
    assert report["decisions"] > 10 and report["changed"] == report["same_by_another_statement"] == 0
    # the traffic was as mixed as it was meant to be
    seen = {access.get("statement") for _, access in decisions(service, first)}
    assert seen == {None, "Admin", "Use", "NoAlias", "Elsewhere", "Socket", "Home", "NoBypass", "NoPairs"}
    for key, statements in ((list(policies)[3], {None, "Sign", "Admin"}), (list(policies)[4], {None, "Mac"})):
        assert {access.get("statement") for _, access in decisions(service, key)} == statements
    described = [
        access["decision"]
        for principal, access in decisions(service, first)
        if principal == APP and access["action"] == "kms:DescribeKey"
    ]
    assert described[0] == "allow" and described[-1] == "no-match"


def test_a_dropped_user_shows_that_users_calls(past, tmp_path):
    service, policies, _ = past
    key = list(policies)[1]
    report = replay(service, tmp_path, key_policy(users=(OTHER,)), "--key", key, status=1)
    lost = [access for principal, access in decisions(service, key) if principal == APP and access["decision"] == "allow"]
    assert {c["principal"] for c in report["changes"]} == {APP}
    assert report["changed"] == sum(c["count"] for c in report["changes"]) == len(lost) > 0
    assert {(c["before"], c["by"], c["after"], c["now_by"]) for c in report["changes"]} == {
        ("allow", "Use", "implicit deny", "")
    }
    assert {c["action"] for c in report["changes"]} == {access["action"] for access in lost}
    for change in report["changes"]:
        assert change["first"] <= change["last"] and change["first_sequence"] <= change["last_sequence"]
    assert [c["count"] for c in report["changes"]] == sorted((c["count"] for c in report["changes"]), reverse=True)
    words = kmsctl("policy", "replay", tmp_path / "candidate.json", "--dir", service.dir / "audit", "--key", key, status=1)
    assert APP in words and "implicit deny" in words


def test_a_new_user_and_a_denial(past, tmp_path):
    service, policies, first = past
    wider = json.loads(policies[first])
    wider["Statement"].append(statement("More", OTHER, "kms:Encrypt"))
    wider["Statement"].append(statement("Less", APP, "kms:GenerateDataKey", "Deny"))
    report = replay(service, tmp_path, wider, "--key", first, status=1)
    assert {(c["principal"], c["action"], c["before"], c["after"], c["now_by"]) for c in report["changes"]} == {
        (OTHER, "kms:Encrypt", "implicit deny", "allow", "More"),
        (APP, "kms:GenerateDataKey", "allow", "explicit deny", "Less"),
    }


def test_a_stretch_of_time(past, tmp_path):
    service, policies, first = past
    nobody = document(statement("Nobody", "nobody", "kms:*"))
    whole = replay(service, tmp_path, nobody, "--key", first, status=1)
    times = [r["time"] for r in service.records(kind="call")]
    middle = times[len(times) // 2]
    early = replay(service, tmp_path, nobody, "--key", first, "--until", middle, status=1)
    late = replay(service, tmp_path, nobody, "--key", first, "--since", middle, status=1)
    assert early["decisions"] + late["decisions"] == whole["decisions"]
    assert 0 < early["changed"] < whole["changed"] and early["changed"] + late["changed"] == whole["changed"]
    assert "--since wants a time" in kmsctl(
        "policy", "replay", tmp_path / "candidate.json", "--dir", service.dir / "audit", "--since", "noon", status=2
    )


def test_replay_of_a_damaged_log_says_where(past, tmp_path):
    service, policies, first = past
    copy = tmp_path / "audit"
    shutil.copytree(service.dir / "audit", copy)
    path = sorted(copy.glob("*.jsonl"))[0]
    path.write_bytes(path.read_bytes().replace(b'"kms:Encrypt"', b'"kms:Embalms"', 1))
    candidate = tmp_path / "candidate.json"
    candidate.write_text(policies[first])
    said = kmsctl("policy", "replay", candidate, "--dir", copy, status=6)
    assert path.name + ":" in said and "is not known here" in said


def longer(source, target, count):
    """The records of a log over and over in one file, numbered on: replay looks at no hashes."""
    target.mkdir()
    files = sorted(source.glob("*.jsonl"))
    lines = [line for path in files for line in path.read_bytes().split(b"\0", 1)[0].splitlines()]
    calls = [line for line in lines if b'"segment"' not in line]
    with open(target / files[0].name, "wb") as out:
        out.write(lines[0] + b"\n")
        for number in range(2, count):
            line = calls[number % len(calls)]
            out.write(re.sub(rb'"seq":\d+', b'"seq":%d' % number, line, count=1) + b"\n")


def test_memory_does_not_grow_with_the_log(past, tmp_path):
    service, policies, _ = past
    candidate = tmp_path / "candidate.json"
    candidate.write_text(document(statement("Nobody", "nobody", "kms:*")))
    environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=0:quarantine_size_mb=1")
    most = []
    for count in (1000, 20000):
        longer(service.dir / "audit", tmp_path / str(count), count)
        command = [BIN / "kmsctl", "policy", "replay", candidate, "--dir", tmp_path / str(count)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 1
        most.append(usage.ru_maxrss)
    assert most[1] - most[0] < 4096, most  # KiB; the longer log has 15 MiB more


def test_every_decision_of_a_log_is_made_again(past):
    """What the harness does for every world of the suite, when it stops, is looked at here once."""
    service, policies, _ = past
    counted = service.replayed
    assert counted["decisions"] == len(
        [
            access
            for record in service.records()
            if record["kind"] in ("call", "attempt") and "outcome" in record or record["kind"] == "attempt"
            for access in record.get("access", ())
            if "decision" in access
        ]
    )
    assert counted["decisions"] > 100 and counted["unknown"] == counted["shortened"] == 0


@pytest.mark.parametrize("change", ["policy", "service policy", "decision", "statement", "input"])
def test_a_decision_that_would_differ_is_found(past, tmp_path, change):
    service, policies, first = past
    folders = {name: tmp_path / name for name in ("audit", "policies")}
    for name, folder in folders.items():
        shutil.copytree(service.dir / name, folder)
    if "policy" in change:
        text = policies[first] if change == "policy" else json.dumps(SERVICE_POLICY)
        path = folders["policies"] / hashlib.sha256(text.encode()).hexdigest()
        path.write_text(path.read_text().replace(APP if change == "policy" else ADMIN, "spiffe://example.org/nobody"))
    else:
        old, new = {
            "decision": (b'"decision":"deny","statement":"NoAlias"', b'"decision":"allow","statement":"Use"'),
            "statement": (b'"statement":"NoAlias"', b'"statement":"NoPairs"'),
            "input": (b'"request_alias":"alias/forbidden-fruit"', b'"request_alias":"alias/permitted-fruit"'),
        }[change]
        path = sorted(folders["audit"].glob("*.jsonl"))[0]
        assert old in path.read_bytes()
        path.write_bytes(path.read_bytes().replace(old, new))
    done = subprocess.run([BUILD / "tests/replay-log", *folders.values()], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "decided otherwise now" in done.stderr, done.stderr
