"""kmsctl audit query: every filter against calls of several principals, of which the test knows how many it made."""
import csv
import datetime
import io
import json
import os
import re
import shutil
import subprocess
import time

import pytest

from harness import ADMIN, APP, BIN, OTHER, Failure, Service, key_policy
from load import correlated

FORMULA = '=cmd|"x", 1'
ODD = "alias/\x1b[2J\u009b1m\u202eü\r\n"  # an escape sequence, a C1 control, a direction override, the end of a line


def attempt(call, **fields):
    try:
        call(**fields)
        return "OK"
    except Failure as failure:
        return failure.reason


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A service with several files of log behind it, still running. made: [(principal, method, key, outcome)] of use."""
    service = Service(tmp_path_factory.mktemp("query") / "home")
    service.write_config(audit={"segment": "512KiB", "instance": "one"})
    service.init().start()
    service.made = made = []
    with service.client(ADMIN) as admin:
        keys = [
            admin.CreateKey(policy=key_policy(users=users), alias_name=f"alias/{name}").key_metadata.key_id
            for name, users in [("shop", (APP, OTHER)), ("web", (APP,)), ("off", (APP,))]
        ]
        admin.DisableKey(key_id=keys[2])
    service.keys = keys
    pad = {"pad": "p" * 6000}
    with service.client(APP) as app, service.client(OTHER) as other:
        for principal, client, times in [(APP, app, 210), (OTHER, other, 90)]:
            for i in range(times):
                key = i % 3
                named = f"alias/{('shop', 'web', 'off')[key]}" if i % 2 else keys[key]
                outcome = attempt(client.Encrypt, key_id=named, plaintext=b"x", encryption_context=pad)
                made.append((principal, "Encrypt", keys[key], outcome))
            made.append((principal, "GenerateRandom", None, attempt(client.GenerateRandom, number_of_bytes=8)))
        service.middle = datetime.datetime.now(datetime.timezone.utc)
        time.sleep(0.01)
        blob = app.Encrypt(key_id=keys[0], plaintext=b"x").ciphertext_blob
        made.append((APP, "Encrypt", keys[0], "OK"))
        app.Decrypt(ciphertext_blob=blob, metadata=correlated(FORMULA))
        made.append((APP, "Decrypt", keys[0], "OK"))
        made.append((OTHER, "Encrypt", None, attempt(other.Encrypt, key_id=ODD, plaintext=b"x")))
        items = [{"ciphertext_blob": blob}, {"ciphertext_blob": blob[:-1] + bytes([blob[-1] ^ 1])}]
        other.DecryptBatch(items=items)
        made.append((OTHER, "DecryptBatch", keys[0], "OK"))
    assert len(list((service.dir / "audit").glob("one-*.jsonl"))) > 3
    yield service
    service.stop()


def kmsctl(service, *arguments, code=0):
    done = subprocess.run(
        [str(BIN / "kmsctl"), "audit", *arguments, "--dir", str(service.dir / "audit")],
        capture_output=True,
        env=dict(os.environ, KMSCTL_CONFIG=""),
        timeout=60,
    )
    assert done.returncode == code, (arguments, done.stdout[-2000:], done.stderr)
    return done.stdout.decode() if code == 0 else done.stderr.decode()


def query(service, *arguments):
    return [json.loads(line) for line in kmsctl(service, "query", *arguments, "-o", "json").splitlines()]


def count(service, **wanted):
    """How many calls the test made."""
    names = ("principal", "operation", "key", "outcome")
    return sum(all(dict(zip(names, row))[k] == v for k, v in wanted.items()) for row in service.made)


def test_without_a_filter_it_is_the_log(world):
    assert query(world) == world.records()


@pytest.mark.parametrize("principal", [APP, OTHER])
@pytest.mark.parametrize("operation", ["Encrypt", "Decrypt", "DecryptBatch", "GenerateRandom"])
def test_principal_and_operation(world, principal, operation):
    found = query(world, "--principal", principal, "--operation", operation)
    assert len(found) == count(world, principal=principal, operation=operation)
    assert {(r["principal"], r["operation"]) for r in found} <= {(principal, operation)}


def test_the_beginning_of_a_principal(world):
    both = query(world, "--principal", "spiffe://example.org/*", "--operation", "Encrypt*")
    assert len(both) == count(world, operation="Encrypt")
    assert query(world, "--principal", "spiffe://example.org/ap", "--operation", "Encrypt") == []


def test_key_by_id_and_by_name(world):
    for place, alias in enumerate(("shop", "web", "off")):
        key = world.keys[place]
        found = query(world, "--key", key, "--operation", "Encrypt")
        assert len(found) == count(world, key=key, operation="Encrypt")
        named = query(world, "--key", alias, "--operation", "Encrypt")
        assert named == query(world, "--key", "alias/" + alias, "--operation", "Encrypt")
        assert named == [r for r in found if r["access"][0]["key_named"] == "alias/" + alias] and named


def test_outcomes(world):
    use = ("--action", "kms:Encrypt")
    for outcome in ("OK", "ACCESS_DENIED", "KEY_DISABLED"):
        assert len(query(world, *use, "--outcome", outcome)) == count(world, operation="Encrypt", outcome=outcome) > 0
    assert query(world, *use, "--outcome", "denied") == query(world, *use, "--outcome", "ACCESS_DENIED")
    failed = count(world, operation="Encrypt") - count(world, operation="Encrypt", outcome="OK")
    assert len(query(world, *use, "--outcome", "failed")) == failed
    batches = query(world, "--outcome", "INVALID_CIPHERTEXT")
    assert [r["operation"] for r in batches] == ["DecryptBatch"] and batches[0]["outcome"] == "OK"


def test_action_kind_request_and_correlation(world):
    made = query(world, "--action", "CreateKey", "--kind", "outcome")
    assert len(made) == 3 and all(r["operation"] == "CreateKey" for r in made)
    pair = query(world, "--request-id", made[0]["request_id"])
    assert [r["kind"] for r in pair] == ["attempt", "outcome"]
    assert len(query(world, "--kind", "service")) == len(world.records(kind="service"))
    decrypts = world.records(operation="Decrypt")
    assert query(world, "--correlated", decrypts[0]["correlation_id"]) == decrypts


def test_range_of_time(world):
    middle = world.middle.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    all_, late, early = query(world), query(world, "--since", middle), query(world, "--until", middle)
    assert early + late == all_ and all(r["time"] < middle for r in early) and all(r["time"] >= middle for r in late)
    assert {r["operation"] for r in late} >= {"Decrypt", "DecryptBatch"} and early
    assert query(world, "--since", "1h") == all_ and query(world, "--until", "1h") == []
    first, last = all_[len(all_) // 3]["time"], all_[len(all_) // 2]["time"]
    assert query(world, "--since", first, "--until", last) == [r for r in all_ if first <= r["time"] < last]


def test_limit(world):
    found = query(world, "--operation", "Encrypt")
    assert query(world, "--operation", "Encrypt", "--limit", "5") == found[:5]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--outcome", "DENIED"), "outcome is OK, denied, failed, or a reason"),
        (("--kind", "calls"), "--kind is call|attempt"),
        (("--since", "yesterday"), "--since wants a time"),
        (("--until", "1x"), "--until wants a time"),
        (("--since", "1h", "--until", "2h"), "the range of time is empty"),
        (("-o", "xml"), "--output is table|json|csv"),
    ],
)
def test_nonsense_is_refused(world, arguments, words):
    assert words in kmsctl(world, "query", *arguments, code=2)


def test_csv(world):
    text = kmsctl(world, "query", "-o", "csv", "--kind", "call")
    assert text.endswith("\r\n") and not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]", text)
    rows, records = list(csv.DictReader(io.StringIO(text, newline=""), strict=True)), query(world, "--kind", "call")
    assert len(rows) == len(records)
    for row, record in zip(rows, records):
        for name in ("time", "principal", "operation", "outcome", "request_id", "peer", "client"):
            assert row[name] == record.get(name, "")
        assert int(row["seq"]) == record["seq"] and int(row["latency_us"]) == record["latency_us"]
        assert row["key_ids"].split() == list(dict.fromkeys(a["key_id"] for a in record["access"] if "key_id" in a))
        assert not row["correlation_id"].startswith(("=", "+", "-", "@"))
    batch = next(row for row in rows if row["operation"] == "DecryptBatch")
    assert batch["item_outcomes"].split() == ["OK", "INVALID_CIPHERTEXT"]
    assert [row["correlation_id"] for row in rows if row["operation"] == "Decrypt"] == ["'" + FORMULA]
    assert [row["keys_named"] for row in rows if "2J" in row["keys_named"]] == ["alias/?[2J?1m?ü??"]


def test_table(world):
    lines = kmsctl(world, "query", "--principal", OTHER, "--outcome", "denied").splitlines()
    assert len(lines) == count(world, principal=OTHER, outcome="ACCESS_DENIED")
    assert "alias/?[2J?1m?ü??" in kmsctl(world, "query", "--key", ODD)
    assert all(re.search(rf"call      ACCESS_DENIED         Encrypt            \S+ +{OTHER}$", line) for line in lines)


def test_tail_takes_the_same_filters(world):
    arguments = ("--principal", APP, "--operation", "Encrypt")
    found = query(world, *arguments)
    for n in (1, 7, 10000):
        text = kmsctl(world, "tail", "-n", str(n), *arguments, "-o", "json")
        assert [json.loads(line) for line in text.splitlines()] == found[-n:]
    text = kmsctl(world, "tail", "-n", "2", "--operation", "CreateKey", "--kind", "outcome", "-o", "json")
    assert len(text.splitlines()) == 2  # far from the end: it looks further back


def test_tail_follows_with_a_filter(world):
    follow = subprocess.Popen(
        [str(BIN / "kmsctl"), "audit", "tail", "-f", "-n", "1", "--operation", "GenerateRandom", "-o", "json"]
        + ["--principal", OTHER, "--dir", str(world.dir / "audit")],
        stdout=subprocess.PIPE,
        env=dict(os.environ, KMSCTL_CONFIG=""),
    )
    try:
        assert json.loads(follow.stdout.readline())["outcome"] == "OK"
        with world.client(APP) as app, world.client(OTHER) as other:
            for i in range(20):
                app.GenerateRandom(number_of_bytes=1, metadata=correlated(f"app-{i}"))
                other.GenerateRandom(number_of_bytes=1, metadata=correlated(f"other-{i}"))
        found = [json.loads(follow.stdout.readline())["correlation_id"] for _ in range(20)]
        assert found == [f"other-{i}" for i in range(20)]
    finally:
        follow.terminate()
        assert follow.wait(20) == 0
        world.made += [(p, "GenerateRandom", None, "OK") for p in (APP, OTHER) for _ in range(20)]


def test_a_damaged_line_is_left_out_and_told(world, tmp_path):
    shutil.copytree(world.dir / "audit", tmp_path / "audit")
    path = sorted((tmp_path / "audit").glob("one-*.jsonl"))[1]
    data = path.read_bytes()
    line = data.split(b"\n")[3]
    path.write_bytes(data.replace(line, b'x"' + line[2:]))
    done = subprocess.run(
        [str(BIN / "kmsctl"), "audit", "query", "--dir", str(tmp_path / "audit"), "-o", "json"], capture_output=True
    )
    assert done.returncode == 6 and f"{path.name}:4: changed: not a record; 1 such".encode() in done.stderr
    assert len(done.stdout.splitlines()) == len(world.records()) - 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_files_of_another_user(world):
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = subprocess.run(
        [*as_nobody, str(BIN / "kmsctl"), "audit", "query", "--dir", str(world.dir / "audit")],
        capture_output=True,
        text=True,
        env=dict(os.environ, KMSCTL_CONFIG="", ASAN_OPTIONS="detect_leaks=0"),
    )
    assert done.returncode == 1 and "Permission denied" in done.stderr, done
