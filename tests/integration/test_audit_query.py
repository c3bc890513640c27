"""kmsctl audit query and stats: every filter against calls of several principals, of which the test knows how many it made."""
import csv
import datetime
import io
import json
import os
import re
import shutil
import subprocess
import time
import xml.etree.ElementTree

import pytest

from audit_reading import kmsctl, query
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
    calls = [r for r in query(world) if r["kind"] in ("call", "attempt", "outcome")]
    assert query(world, "--protocol", "kms")[: len(calls)] == calls and query(world, "--protocol", "sops") == []


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


# -- stats --


def stats(service, *arguments):
    return json.loads(kmsctl(service, "stats", *arguments, "-o", "json"))


def in_groups(numbers):
    return {g["name"]: (g["calls"], g["ok"], g["denied"], g["failed"]) for g in numbers["groups"]}


def tally(rows, by):
    """What audit stats should say of [(name, outcome)]."""
    found = {}
    for name, outcome in rows:
        calls, ok, denied, failed = found.get(name, (0, 0, 0, 0))
        fail = outcome not in ("OK", "ACCESS_DENIED")
        found[name] = (calls + 1, ok + (outcome == "OK"), denied + (outcome == "ACCESS_DENIED"), failed + fail)
    return found


@pytest.mark.parametrize("by", ["principal", "key", "operation", "outcome"])
def test_stats_by_name(world, by):
    place = ("principal", "operation", "key", "outcome").index(by)
    rows = [(row[place] or "-", row[3]) for row in world.made if row[1] == "Encrypt"]
    if by == "key":
        rows = [(name if name != "-" else ODD, outcome) for name, outcome in rows]
    numbers = stats(world, "--operation", "Encrypt", "--by", by)
    assert in_groups(numbers) == tally(rows, by)
    assert numbers["calls"] == len(rows) == numbers["ok"] + numbers["denied"] + numbers["failed"]
    assert sum(b["ok"] + b["denied"] + b["failed"] for b in numbers["timeline"]) == len(rows)


def test_stats_count_the_items_of_a_batch_and_no_attempts(world):
    numbers = stats(world, "--operation", "DecryptBatch", "--by", "key")
    assert (numbers["records"], numbers["calls"], numbers["ok"], numbers["failed"]) == (1, 2, 1, 1)
    assert in_groups(numbers) == {world.keys[0]: (2, 1, 0, 1)}
    made = stats(world, "--operation", "CreateKey")
    assert made["calls"] == 3 and stats(world, "--operation", "CreateKey", "--kind", "attempt")["calls"] == 3


def test_stats_over_time(world):
    records = [r for r in world.records() if r["kind"] in ("call", "outcome") and "items" not in r]
    days = stats(world, "--by", "day")
    assert [g["name"] for g in days["groups"]] == sorted({r["time"][:10] for r in records})
    hours = stats(world, "--by", "hour")
    assert [g["name"] for g in hours["groups"]] == sorted({r["time"][:13] + ":00Z" for r in records})
    assert hours["calls"] == len(records) + 2 and days["calls"] == hours["calls"]
    latencies = sorted(r["latency_us"] for r in world.records() if r["kind"] in ("call", "outcome"))
    assert hours["mean_us"] == sum(latencies) // len(latencies) and hours["max_us"] == latencies[-1]
    for name, percent in (("p50_us", 50), ("p99_us", 99)):
        exact = latencies[-(-len(latencies) * percent // 100) - 1]
        assert exact <= hours[name] <= exact + exact / 16


def test_names_that_are_not_listed_are_summed_up(world):
    numbers = stats(world, "--by", "operation", "--limit", "2")
    assert [g["name"] for g in numbers["groups"]][0] == "Encrypt" and numbers["groups"][2]["name"] == "(other)"
    assert sum(g["calls"] for g in numbers["groups"]) == numbers["calls"]
    assert numbers["other_calls"] == numbers["groups"][2]["calls"] > 0
    assert "(other) sums up" in kmsctl(world, "stats", "--by", "operation", "--limit", "2")


def test_chart_in_unicode_and_in_ascii(world, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.delenv("TERM", raising=False)
    assert re.search(r"Calls over time, a column is .*:\n +\d+ ┤.*[▁▂▃▄▅▆▇█]", kmsctl(world, "stats"))
    monkeypatch.setenv("TERM", "dumb")
    assert kmsctl(world, "stats", "--principal", APP).isascii()
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("TERM", "xterm")
    text = kmsctl(world, "stats", "--principal", APP)
    assert text.isascii() and "#" in text and "Of these denied" not in text
    assert "Of these denied, at most" in kmsctl(world, "stats", "--principal", OTHER)


def test_svg(world, tmp_path):
    path, odd = tmp_path / "calls.svg", '<script>alert("1")</script>&\x1b'
    kmsctl(world, "stats", "--principal", OTHER, "--svg", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    tree = xml.etree.ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    assert tree.tag == space + "svg" and "prefers-color-scheme: dark" in text
    titles = [t.text for t in tree.iter(space + "title")]
    bars = [re.search(r"Z, (\d+) ok, (\d+) failed, (\d+) denied$", t) for t in titles if t[:2] == "20"]
    assert sum(int(b[3]) for b in bars) == count(world, principal=OTHER, outcome="ACCESS_DENIED")
    labels = [t.text for t in tree.iter(space + "text")]
    assert {"ok", "failed", "denied", "0"} <= set(labels) and f"principal: {OTHER}" in labels
    assert any(r.get("class") == "denied" for r in tree.iter(space + "rect"))
    kmsctl(world, "stats", "--key", odd, "--svg", str(path))
    tree = xml.etree.ElementTree.fromstring(path.read_text())  # nothing found: a picture without bars
    assert "key: " + odd.replace("\x1b", "?") in [t.text for t in tree.iter(space + "text")]
    assert "No such file" in kmsctl(world, "stats", "--svg", str(tmp_path / "none/x.svg"), code=1)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_files_of_another_user(world):
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*as_nobody, "test", "-r", str(BIN / "kmsctl")]).returncode:
        pytest.skip("other users may not enter the checkout")
    done = subprocess.run(
        [*as_nobody, str(BIN / "kmsctl"), "audit", "query", "--dir", str(world.dir / "audit")],
        capture_output=True,
        text=True,
        env=dict(os.environ, KMSCTL_CONFIG="", ASAN_OPTIONS="detect_leaks=0"),
    )
    assert done.returncode == 1 and "Permission denied: run this as" in done.stderr, done


@pytest.mark.parametrize("form", [("tail",), ("query", "-o", "csv"), ("tail", "-o", "json")])
def test_what_somebody_wrote_into_a_file_moves_no_terminal(world, tmp_path, form):
    """A line with the members of a record at their places, but with control characters that kmsd would have escaped."""
    first = sorted((world.dir / "audit").glob("one-*.jsonl"))[0]
    lines = first.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"kind":"', b'"kind":"call","x":"\x1b[2J\x07","y":"', 1)
    (tmp_path / first.name).write_bytes(b"".join(lines[:5]))
    done = subprocess.run([BIN / "kmsctl", "audit", *form, "--dir", tmp_path], capture_output=True, check=False, timeout=60)
    assert b"\x1b" not in done.stdout and b"\x07" not in done.stdout and b"[2J" in done.stdout
