"""The usage ledger: exact counts, across restarts and kill -9, and what they are good for."""
import collections
import datetime
import glob
import json
import os
import re
import threading

import pytest

from harness import ADMIN, APP, OTHER, Failure, Service, failure, key_policy, wait_for


def usage(client, key):
    """{version: {action: count}}"""
    reply = client.GetKeyUsage(key_id=key)
    return {v.version: {o.action.removeprefix("kms:"): o.count for o in v.operations} for v in reply.versions}


def uses(record):
    """(access, key version, how often) of one call, or of the items of a batch."""
    if "items" not in record:
        return [(access, access["key_version"], 1) for access in record["access"]]
    return [
        (record["access"][item[place]], item[version], item.get("count", 1))
        for item in record["items"]
        for place, version in (("access", "key_version"), ("to_access", "to_key_version"))
        if item["outcome"] == "OK" and place in item
    ]


def on_record(own, key):
    """The same, counted from the audit log by this test."""
    counts = collections.defaultdict(collections.Counter)
    for record in own.records(kind="call", outcome="OK", **{"class": "usage"}):
        for access, version, count in uses(record):
            if access.get("key_id") == key:
                counts[version][access["action"].removeprefix("kms:")] += count
    return {version: dict(actions) for version, actions in counts.items()}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    own = Service(tmp_path_factory.mktemp("usage"), jobs={"interval": "100ms", "usage_checkpoint": "200ms"})
    own.init()
    own.start()
    yield own
    own.stop()


def stored(own):
    """A checkpoint was stored since so many."""
    return len(own.records(operation="CheckpointUsage", kind="outcome", outcome="OK"))


def test_every_item_of_a_batch_counts(own):
    """Those that failed do not; the same after a restart, when the log is read."""
    key = own.new_key()
    with own.client(ADMIN) as admin, own.client(APP) as app:
        blob = app.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob
        admin.RotateKeyOnDemand(key_id=key)
        items = [{"key_id": key, "plaintext": b"x"}] * 20 + [{"key_id": key, "plaintext": b""}] * 2
        app.EncryptBatch(items=items)
        app.ReEncryptBatch(items=[{"ciphertext_blob": blob, "destination_key_id": key}] * 3)
        app.DecryptBatch(items=[{"ciphertext_blob": blob, "encryption_context": {"no": str(i)}} for i in range(4)])
        expected = {1: {"Encrypt": 1, "ReEncryptFrom": 3}, 2: {"Encrypt": 20, "ReEncryptTo": 3}}
        assert usage(admin, key) == expected == on_record(own, key)
    own.kill()
    own.start()
    with own.client(ADMIN) as admin:
        assert usage(admin, key) == expected


def test_counts_by_version_operation_and_principal(own):
    key = own.new_key(policy=key_policy(users=(APP, OTHER)))
    with own.client(ADMIN) as admin, own.client(APP) as app, own.client(OTHER) as other:
        assert usage(admin, key) == {1: {}}
        blobs = [app.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob for _ in range(5)]
        admin.RotateKeyOnDemand(key_id=key)
        for blob in blobs[:3]:
            other.Decrypt(ciphertext_blob=blob)
        app.ReEncrypt(ciphertext_blob=blobs[0], destination_key_id=key)
        app.GenerateDataKey(key_id=key, key_spec=2)
        failure(app.Decrypt, ciphertext_blob=blobs[0], encryption_context={"a": "b"})  # does not count
        failure(admin.Encrypt, key_id=key, plaintext=b"x")
        expected = {1: {"Encrypt": 5, "Decrypt": 3, "ReEncryptFrom": 1}, 2: {"ReEncryptTo": 1, "GenerateDataKey": 1}}
        assert usage(admin, key) == expected == on_record(own, key)
        reply = admin.GetKeyUsage(key_id=key)
        first = reply.versions[0]
        assert [p.principal for p in first.principals] == [APP, OTHER]  # the latest first
        assert first.first_use_time_us < first.last_use_time_us == first.principals[0].last_use_time_us
        assert not first.may_be_retired and reply.used_lately_days == 30
        assert failure(app.GetKeyUsage, key_id=key).reason == "ACCESS_DENIED"
        before = stored(own)
        wait_for(lambda: stored(own) > before or stored(own) > 0, 20, "a checkpoint")
        own.stop()
        own.start()
        with own.client(ADMIN) as again:
            assert usage(again, key) == expected
            assert [p.principal for p in again.GetKeyUsage(key_id=key).versions[0].principals] == [APP, OTHER]


@pytest.fixture
def hourly(tmp_path):
    own = Service(tmp_path / "hourly", jobs={"usage_checkpoint": "1h"}).init()
    own.start()
    yield own
    own.stop()


def test_a_clean_stop_stores_the_ledger(hourly):
    """The next checkpoint is an hour away; behind the last use, the end stores all, so that the next start counts nothing again."""
    key = hourly.new_key()
    with hourly.client(APP) as app:
        for _ in range(3):
            app.Encrypt(key_id=key, plaintext=b"x")
    hourly.stop()
    records = [(record["kind"], record.get("operation")) for record in hourly.records()]
    last_use = max(at for at, record in enumerate(records) if record == ("call", "Encrypt"))
    assert [record for record in records[last_use + 1:] if record[0] != "head"] == [
        ("attempt", "CheckpointUsage"), ("outcome", "CheckpointUsage"), ("service", "stop")]
    before = stored(hourly)
    hourly.start()
    with hourly.client(ADMIN) as admin:
        assert usage(admin, key) == {1: {"Encrypt": 3}}
    hourly.stop()
    assert stored(hourly) == before  # nothing was used since, so there was nothing to store


def test_late_use_warns_and_refuses(own):
    key = own.new_key()
    with own.client(ADMIN) as admin, own.client(APP) as app:
        app.Encrypt(key_id=key, plaintext=b"x")
        admin.RotateKeyOnDemand(key_id=key)
        error = failure(admin.RetireKeyVersion, key_id=key, version=1)
        assert error.reason == "KEY_VERSION_IN_USE" and "kmsctl key usage" in error.message
        warnings = admin.ScheduleKeyDeletion(key_id=key).warnings
        assert any("was used 0 hours ago" in warning for warning in warnings)
        admin.CancelKeyDeletion(key_id=key)
        admin.EnableKey(key_id=key)
        assert admin.RetireKeyVersion(key_id=key, version=1, force=True).version.retirement_time_us > 0
        unused = own.new_key()
        admin.RotateKeyOnDemand(key_id=unused)
        assert admin.GetKeyUsage(key_id=unused).versions[0].may_be_retired
        assert not any("hours ago" in w for w in admin.ScheduleKeyDeletion(key_id=unused).warnings)


def hammer(own, key, stop):
    with own.client(APP) as app:
        while not stop.is_set():
            try:
                app.Encrypt(key_id=key, plaintext=b"x")
            except Failure:
                return


@pytest.mark.parametrize("round_", range(3))
def test_exact_after_kill_9(own, round_):
    """Killed under load, at any moment of a checkpoint: the ledger says what the log says."""
    key = own.new_key()
    stop = threading.Event()
    threads = [threading.Thread(target=hammer, args=(own, key, stop)) for _ in range(3)]
    for thread in threads:
        thread.start()
    before = stored(own)
    wait_for(lambda: stored(own) >= before + 2 and on_record(own, key).get(1, {}).get("Encrypt", 0) > 50, 30, "load")
    own.kill()
    stop.set()
    for thread in threads:
        thread.join()
    own.start()
    with own.client(ADMIN) as admin:
        assert usage(admin, key) == on_record(own, key) != {}
    assert own.verify_audit()["records"] > 0


NAMES = ('say "hi"', "back\\slash", "Zo\u00eb", "line\u2028end", APP)


def test_what_the_log_tells_is_what_was_used(tmp_path):
    """Nothing was stored: names that records escape, times to the microsecond, and only what succeeded, all from the log."""
    doors = ["  unix:"]
    for number, name in enumerate(NAMES):
        doors += [f"    - path: {tmp_path}/{number}", '      mode: "0600"', f"      principal: {json.dumps(name, ensure_ascii=False)}"]
    own = Service(tmp_path / "own", unix="\n".join(doors), jobs={"usage_checkpoint": "1h"})
    own.init().start()
    key, other = (own.new_key(policy=key_policy(users=NAMES)) for _ in range(2))
    for number in range(len(NAMES)):
        with own.client(None, unix=tmp_path / str(number)) as client:
            client.Encrypt(key_id=key, plaintext=b"x")
            failure(client.Decrypt, ciphertext_blob=b"no ciphertext")
    own.kill()
    own.start()
    used = own.records(operation="Encrypt", outcome="OK")
    times = [
        int(datetime.datetime.fromisoformat(r["time"].replace("Z", "+00:00")).timestamp() * 1_000_000 + 0.5) for r in used
    ]
    with own.client(ADMIN) as admin:
        version = admin.GetKeyUsage(key_id=key).versions[0]
        assert usage(admin, key) == on_record(own, key) == {1: {"Encrypt": len(NAMES)}} and usage(admin, other) == {1: {}}
    assert [p.principal for p in version.principals] == [r["principal"] for r in reversed(used)] == list(reversed(NAMES))
    assert (version.first_use_time_us, version.last_use_time_us) == (times[0], times[-1])
    assert re.search(r"event=usage records=[1-9]\d* ms=\d+", own.log_text())
    own.stop()


def test_another_log_counts_from_its_start(own):
    """The log was taken away (archived, lost): what was stored stays, what comes counts."""
    key = own.new_key()
    with own.client(APP) as app:
        for _ in range(3):
            app.Encrypt(key_id=key, plaintext=b"x")
    own.stop()  # which stores what was used
    for name in glob.glob(str(own.dir / "audit" / "*")):
        (own.dir / "archived").mkdir(exist_ok=True)
        (own.dir / "archived" / name.rsplit("/", 1)[1]).write_bytes(open(name, "rb").read())
        os.unlink(name)
    own.start("--accept-rollback=archived")
    with own.client(ADMIN) as admin, own.client(APP) as app:
        assert usage(admin, key) == {1: {"Encrypt": 3}}
        app.Encrypt(key_id=key, plaintext=b"x")
        assert usage(admin, key) == {1: {"Encrypt": 4}}
