"""Batches: every item as the single call would have it, a bad one alone, one record for all."""
import json
import os
import signal
import threading
import time

import pytest

from harness import ADMIN, APP, OTHER, Failure, failure, key_policy, wait_for
from test_crash import wait_healthy
from test_crypto import crc32c


def outcomes(results):
    return [r.error.reason if r.WhichOneof("result") == "error" else "OK" for r in results]


def record_of(service, correlation):
    found = [r for r in service.records() if r.get("correlation_id") == correlation]
    assert len(found) == 1, found
    return found[0]


def spread(record):
    """The items of a record one by one."""
    return [item for item in record["items"] for _ in range(item.get("count", 1))]


def tag(name):
    return {"metadata": (("x-correlation-id", name),)}


def test_all_four_with_256_items(app, key):
    contexts = [{"row": str(i)} for i in range(256)]
    texts = [b"secret %d" % i for i in range(256)]
    sealed = app.EncryptBatch(
        items=[{"key_id": key, "plaintext": t, "encryption_context": c} for t, c in zip(texts, contexts)]
    ).results
    assert outcomes(sealed) == ["OK"] * 256
    blobs = [r.success.ciphertext_blob for r in sealed]
    assert len(set(blobs)) == 256 and all(r.success.key_version == 1 for r in sealed)
    moved = app.ReEncryptBatch(
        items=[
            {
                "ciphertext_blob": b,
                "source_encryption_context": c,
                "destination_key_id": key,
                "destination_encryption_context": {**c, "moved": "yes"},
            }
            for b, c in zip(blobs, contexts)
        ]
    ).results
    assert outcomes(moved) == ["OK"] * 256
    opened = app.DecryptBatch(
        items=[
            {"ciphertext_blob": r.success.ciphertext_blob, "encryption_context": {**c, "moved": "yes"}}
            for r, c in zip(moved, contexts)
        ]
    ).results
    assert [r.success.plaintext for r in opened] == texts
    made = app.GenerateDataKeyBatch(items=[{"key_id": key, "number_of_bytes": 1 + i} for i in range(256)]).results
    assert [len(r.success.plaintext) for r in made] == list(range(1, 257))
    # A batch opens what single calls made, and they what it made.
    assert app.Decrypt(ciphertext_blob=made[99].success.ciphertext_blob).plaintext == made[99].success.plaintext
    alone = app.Encrypt(key_id=key, plaintext=b"alone").ciphertext_blob
    assert app.DecryptBatch(items=[{"ciphertext_blob": alone}]).results[0].success.plaintext == b"alone"


def test_how_many_and_how_much(app, key):
    one = {"key_id": key, "plaintext": b"x"}
    error = failure(app.EncryptBatch, items=[one] * 257)
    assert error.reason == "INVALID_ARGUMENT" and "1 to 256, not 257" in error.message
    assert "1 to 256, not 0" in failure(app.EncryptBatch, items=[]).message
    # 1 MiB exactly, there and back
    full = [{"key_id": key, "plaintext": os.urandom(65536)} for _ in range(16)]
    sealed = app.EncryptBatch(items=full).results
    assert outcomes(sealed) == ["OK"] * 16
    opened = app.DecryptBatch(items=[{"ciphertext_blob": r.success.ciphertext_blob} for r in sealed]).results
    assert [r.success.plaintext for r in opened] == [i["plaintext"] for i in full]
    error = failure(app.EncryptBatch, items=[*full, one])
    assert error.reason == "INVALID_ARGUMENT" and "1048577 bytes in sum" in error.message
    error = failure(app.EncryptBatch, items=full * 2)  # more than a message may be
    assert error.code == "RESOURCE_EXHAUSTED"
    many = {str(i): "v" for i in range(64)}
    error = failure(app.EncryptBatch, items=[{**one, "encryption_context": many}] * 17)
    assert error.reason == "INVALID_ARGUMENT" and "1088 pairs" in error.message
    assert outcomes(app.EncryptBatch(items=[{**one, "encryption_context": many}] * 16).results) == ["OK"] * 16


def test_other_methods_keep_their_bound(app, key):
    """limits.message is 256 KiB; batches alone may be longer."""
    error = failure(app.Encrypt, key_id=key, plaintext=b"x" * 300_000)
    assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "LIMIT_EXCEEDED")
    assert "at most 262144 (limits.message)" in error.message
    error = failure(app.Encrypt, key_id=key, plaintext=b"x" * 200_000)
    assert error.reason == "INVALID_ARGUMENT"


def test_a_bad_item_fails_alone(service, app, key):
    denied = service.new_key(policy=key_policy(users=(OTHER,)))
    good = app.Encrypt(key_id=key, plaintext=b"good", encryption_context={"a": "b"}).ciphertext_blob
    item = {"ciphertext_blob": good, "encryption_context": {"a": "b"}}
    foreign = app.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob
    foreign = foreign[:2] + bytes(16) + foreign[18:]
    with service.client(OTHER) as other:
        others = other.Encrypt(key_id=denied, plaintext=b"theirs").ciphertext_blob
    unknown = "00000000-0000-4000-8000-000000000000"
    items = [
        item,
        {**item, "ciphertext_crc32c": 1},
        {"ciphertext_blob": good[:-1] + bytes([good[-1] ^ 1]), "encryption_context": {"a": "b"}},
        {"ciphertext_blob": good, "encryption_context": {"a": "c"}},
        {"ciphertext_blob": b"nonsense"},
        {"ciphertext_blob": others},
        {**item, "key_id": "not an arn:"},
        {**item, "key_id": service.new_key()},
        {**item, "ciphertext_crc32c": crc32c(good)},
        item,
    ]
    reply = app.DecryptBatch(items=items, **tag(f"bad-{key}"))
    assert outcomes(reply.results) == [
        "OK",
        "CHECKSUM_MISMATCH",
        "INVALID_CIPHERTEXT",
        "INVALID_CIPHERTEXT",
        "INVALID_CIPHERTEXT",
        "ACCESS_DENIED",
        "INVALID_ARGUMENT",
        "INCORRECT_KEY",
        "OK",
        "OK",
    ]
    assert reply.results[8].success.verified_ciphertext_crc32c
    assert reply.results[5].error.code == 7 and "kms:Decrypt" in reply.results[5].error.message
    # Each says what the single call says.
    for wrong, result in zip(items, reply.results):
        if result.WhichOneof("result") == "error":
            alone = failure(app.Decrypt, **wrong)
            assert (alone.reason, alone.message) == (result.error.reason, result.error.message)
    record = record_of(service, f"bad-{key}")
    assert record["operation"] == "DecryptBatch" and record["class"] == "usage" and record["outcome"] == "OK"
    told = spread(record)
    assert [i["outcome"] for i in told] == outcomes(reply.results)
    assert "7 of 10 items failed, first items[1]" in record["detail"]
    access = record["access"]
    assert len(access) == len({json.dumps(a, sort_keys=True) for a in access})
    by_item = [access[i["access"]] if "access" in i else None for i in told]
    assert by_item[0]["key_id"] == key and by_item[0]["context"] == {"a": "b"} and by_item[0]["decision"] == "allow"
    assert by_item[0] is by_item[2] is by_item[9] and by_item[3]["context"] == {"a": "c"}
    assert by_item[5]["key_id"] == denied and by_item[5]["decision"] == "no-match"
    assert by_item[1] is None and by_item[4] is None and told[0]["key_version"] == 1
    error = app.EncryptBatch(items=[{"key_id": unknown, "plaintext": b"x"}, {"key_id": key, "plaintext": b""}]).results
    assert outcomes(error) == ["ACCESS_DENIED", "INVALID_ARGUMENT"]


def test_one_decision_for_each_key_and_context(service, app, key):
    second = service.new_key()
    items = [{"key_id": key, "plaintext": b"x", "encryption_context": {"c": str(i % 2)}} for i in range(100)]
    items += [{"key_id": second, "plaintext": b"y"}] * 50
    assert set(outcomes(app.EncryptBatch(items=items, **tag(f"one-{key}")).results)) == {"OK"}
    record = record_of(service, f"one-{key}")
    assert [(a["key_id"], a.get("context")) for a in record["access"]] == [
        (key, {"c": "0"}),
        (key, {"c": "1"}),
        (second, None),
    ]
    assert [i["access"] for i in spread(record)] == [0, 1] * 50 + [2] * 50
    assert record["items"][-1] == {"count": 50, "access": 2, "key_version": 1, "outcome": "OK"}


def test_reencrypt_says_both_keys_and_versions(service, app, key):
    second = service.new_key()
    with service.client(ADMIN) as admin:
        admin.RotateKeyOnDemand(key_id=second)
    blob = app.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob
    items = [{"ciphertext_blob": blob, "destination_key_id": second}] * 3
    items.append({"ciphertext_blob": blob, "destination_key_id": key})
    assert outcomes(app.ReEncryptBatch(items=items, **tag(f"re-{key}")).results) == ["OK"] * 4
    record = record_of(service, f"re-{key}")
    assert [a["action"] for a in record["access"]] == ["kms:ReEncryptFrom", "kms:ReEncryptTo"] * 2
    assert [a["inputs"]["reencrypt_on_same_key"] for a in record["access"]] == ["false"] * 2 + ["true"] * 2
    assert record["items"] == [
        {"count": 3, "access": 0, "key_version": 1, "to_access": 1, "to_key_version": 2, "outcome": "OK"},
        {"access": 2, "key_version": 1, "to_access": 3, "to_key_version": 1, "outcome": "OK"},
    ]


def test_nothing_secret_in_the_record(service, app, key):
    marker = b"MARKER-%s" % os.urandom(8).hex().encode()
    app.EncryptBatch(items=[{"key_id": key, "plaintext": marker + b"%d" % i} for i in range(20)])
    logs = b"".join(p.read_bytes() for p in (service.dir / "audit").glob("*.jsonl"))
    assert marker not in logs and marker not in service.log_text().encode()


def test_the_deadline_of_the_batch(app, key):
    with pytest.raises(Failure) as caught:
        app.EncryptBatch(items=[{"key_id": key, "plaintext": b"x"}] * 256, timeout=0.0001)
    assert caught.value.code == "DEADLINE_EXCEEDED"


def test_a_key_that_was_disabled_fails_its_items(service, app, key):
    off = service.new_key()
    with service.client(ADMIN) as admin:
        admin.DisableKey(key_id=off)
    items = [{"key_id": k, "plaintext": b"x"} for k in (key, off, key)]
    assert outcomes(app.EncryptBatch(items=items).results) == ["OK", "KEY_DISABLED", "OK"]


def test_many_keys_each_with_a_budget_of_its_own(service, app):
    """The first use of each key reserves: all in one call."""
    keys = [service.new_key() for _ in range(40)]
    items = [{"key_id": k, "plaintext": k.encode()} for k in keys for _ in range(3)]
    results = app.EncryptBatch(items=items).results
    assert outcomes(results) == ["OK"] * 120
    assert [r.success.key_id.rsplit("/")[-1] for r in results] == [i["key_id"] for i in items]


def test_workers_die_during_batches(service, app, key):
    """No item fails: its job moves to another worker."""
    stop = threading.Event()
    failed, done = [], []

    def batches():
        with service.client(APP) as mine:
            while not stop.is_set():
                # two at once stay below limits.in_flight_per_principal, also while the call before is being let go
                items = [{"key_id": key, "plaintext": b"%d" % i} for i in range(128)]
                try:
                    sealed = mine.EncryptBatch(items=items, timeout=60).results
                    opened = mine.DecryptBatch(
                        items=[{"ciphertext_blob": r.success.ciphertext_blob} for r in sealed], timeout=60
                    ).results
                    failed.extend(r for r in outcomes(sealed) + outcomes(opened) if r != "OK")
                    assert [r.success.plaintext for r in opened] == [i["plaintext"] for i in items]
                    done.append(2 * len(items))
                except (Failure, AssertionError) as error:
                    failed.append(str(error))

    threads = [threading.Thread(target=batches) for _ in range(2)]
    for t in threads:
        t.start()
    for _ in range(4):
        time.sleep(0.5)
        wait_healthy(service)
        os.kill(service.workers()[0], signal.SIGKILL)
    time.sleep(1)
    stop.set()
    for t in threads:
        t.join()
    wait_healthy(service)
    assert failed == [] and sum(done) > 0


def test_a_flood_of_batches_leaves_small_calls_answered(service, app, key):
    stop = threading.Event()
    results, errors = [], []

    def flood():
        with service.client(APP) as mine:
            items = [{"key_id": key, "plaintext": os.urandom(4096)} for _ in range(256)]
            while not stop.is_set():
                try:
                    results.extend(outcomes(mine.EncryptBatch(items=items).results))
                except Failure as error:
                    errors.append(error.reason)

    threads = [threading.Thread(target=flood) for _ in range(6)]
    for t in threads:
        t.start()
    small = service.new_key(policy=key_policy(users=(OTHER,)))
    slowest = 0.0
    with service.client(OTHER) as other:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            begun = time.monotonic()
            other.Encrypt(key_id=small, plaintext=b"small", timeout=5)
            slowest = max(slowest, time.monotonic() - begun)
    stop.set()
    for t in threads:
        t.join()
    assert set(results) == {"OK"} and set(errors) <= {"LIMIT_EXCEEDED"}
    print("slowest small call", slowest, "items", len(results), "refused", len(errors))
    assert slowest < 2


def test_a_batch_of_n_counts_as_n_calls(fresh):
    fresh.write_config(limits={"rate_per_principal": "10", "rate_burst": "100"})
    fresh.init().start()
    key = fresh.new_key()
    with fresh.client(APP) as app:
        items = [{"key_id": key, "plaintext": b"x"}] * 60
        assert outcomes(app.EncryptBatch(items=items).results) == ["OK"] * 60
        error = failure(app.EncryptBatch, items=items)
        assert error.reason == "LIMIT_EXCEEDED" and "limits.rate_per_principal" in error.message
        assert outcomes(app.EncryptBatch(items=items[:30]).results) == ["OK"] * 30


def test_named_limits(fresh):
    fresh.write_config(limits={"batch_items": "8", "batch_bytes": "64KiB", "batch_memory": "200KiB"})
    fresh.init().start()
    key = fresh.new_key(protection_level=2)
    with fresh.client(APP) as app:
        one = {"key_id": key, "plaintext": b"x"}
        assert "1 to 8, not 9" in failure(app.EncryptBatch, items=[one] * 9).message
        assert outcomes(app.EncryptBatch(items=[one] * 8).results) == ["OK"] * 8
        error = failure(app.EncryptBatch, items=[{**one, "plaintext": b"x" * 32769}] * 2)
        assert error.reason == "INVALID_ARGUMENT" and "at most 65536" in error.message
        error = failure(app.EncryptBatch, items=[{**one, "plaintext": b"x" * 65536}])
        assert error.reason == "LIMIT_EXCEEDED"
        assert outcomes(app.EncryptBatch(items=[one] * 8).results) == ["OK"] * 8  # nothing is left taken


def test_who_may_nothing_does_not_fill_the_log(fresh):
    fresh.write_config(limits={"refused_per_second": "100"})
    fresh.init().start()
    key = fresh.new_key()
    with fresh.client(OTHER) as other:
        items = [{"key_id": key, "plaintext": b"x", "encryption_context": {"i": str(i)}} for i in range(256)]
        calls = [other.start("EncryptBatch", items=items) for _ in range(40)]
        told = []
        for call in calls:
            try:
                told.append(set(outcomes(call.result().results)))
            except Exception as error:  # grpc.RpcError
                told.append({error.code().name})
    assert {"ACCESS_DENIED"} in told and {"RESOURCE_EXHAUSTED"} in told
    wait_for(lambda: fresh.records(kind="suppressed"), what="a summary")
    assert len(fresh.records(operation="EncryptBatch")) <= 10


def test_the_log_is_whole_after_all_this(service):
    assert service.verify_audit()["records"] > 20
