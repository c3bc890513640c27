"""Processes that die or hang while calls are under way: workers, spawner, the daemon.

KMS_CRASH_ROUNDS=1000 kills the daemon 62 times; 12 times without. test_crash_audit.py kills only the room of the audit log, but 16
times as often."""
import collections
import os
import random
import signal
import time

import pytest

from harness import ADMIN, APP, BUILD, Failure, comm, key_policy, wait_for
from load import Load, correlated

ROUNDS = max(3, int(os.environ.get("KMS_CRASH_ROUNDS", "200")) // 16)


def round_trip(key):
    """Encrypts and decrypts; the name of the call ends up in the log."""

    def action(client, name):
        data = os.urandom(20)
        blob = client.Encrypt(key_id=key, plaintext=data, metadata=correlated(name + "-e")).ciphertext_blob
        assert client.Decrypt(ciphertext_blob=blob, metadata=correlated(name + "-d")).plaintext == data
        return name, blob, data

    return action


def status(service):
    with service.client(ADMIN) as admin:
        return admin.GetStatus()


def wait_healthy(service, workers=2):
    wait_for(lambda: status(service).hsm_workers_healthy == workers, 30, "healthy workers")


def refused(app, key):
    """Whether the token is known to be out of reach; any other failure is a failed test."""
    try:
        app.Encrypt(key_id=key, plaintext=b"x", timeout=30)
    except Failure as failure:
        assert (failure.code, failure.reason) == ("UNAVAILABLE", "HSM_UNAVAILABLE")
        return True
    return False


def wait_gone(pids):
    wait_for(lambda: not [p for p in pids if comm(p).startswith("kms")], 20, f"end of {pids}")


# -- workers --


def test_killed_workers_are_replaced_without_a_failed_call(fresh):
    fresh.init().start()
    key, software = fresh.new_key(), fresh.new_key(protection_level=2)
    wait_healthy(fresh)
    with Load(fresh).add(3, APP, round_trip(key)).add(1, APP, round_trip(software)) as load:
        load.progress()
        for victims in (1, 1, 2):
            before = fresh.workers()
            assert len(before) >= 2  # one more where the machine is so busy that the token looks slow
            for pid in before[:victims]:
                os.kill(pid, signal.SIGKILL)
            wait_for(
                lambda: len(fresh.workers()) >= 2 and not set(before[:victims]) & set(fresh.workers()),
                30,
                "new workers",
            )
            load.progress()
            wait_healthy(fresh)
    assert not load.failures
    wait_for(
        lambda: "event=hsm.workers healthy=2 configured=2 died=4" in fresh.log_text(),
        10,
        "what died, for the operator",
    )


@pytest.mark.parametrize("victims", [1, 2])
def test_hung_workers_are_replaced_without_a_failed_call(fresh, victims):
    fresh.write_config(hsm={"deadline": "500ms"})
    fresh.init().start()
    key = fresh.new_key()
    wait_healthy(fresh)
    with Load(fresh).add(4, APP, round_trip(key)) as load:
        load.progress()
        before = fresh.workers()
        for pid in before[:victims]:
            os.kill(pid, signal.SIGSTOP)
        wait_for(
            lambda: len(fresh.workers()) >= 2 and not set(before[:victims]) & set(fresh.workers()),
            30,
            "new workers",
        )
        load.progress()
        wait_healthy(fresh)
    assert not load.failures


def shim():
    return next(BUILD.glob("tests/harness/libpkcs11-shim.so"), None)


@pytest.mark.skipif(shim() is None, reason="target pkcs11-shim is not built")
@pytest.mark.parametrize("poison", ["shim:crash", "shim:hang"])
def test_a_call_that_ends_every_worker_is_quarantined(fresh, poison):
    fresh.write_config(module=shim(), hsm={"deadline": "500ms", "quarantine": "3s"})
    fresh.init().start()
    poisoned, good = fresh.new_key(), fresh.new_key()
    with fresh.client(APP) as app:
        blob = app.Encrypt(key_id=poisoned, plaintext=b"before").ciphertext_blob
        with Load(fresh).add(2, APP, round_trip(good)) as load:
            load.progress()
            with pytest.raises(Failure) as caught:
                app.Encrypt(key_id=poisoned, plaintext=b"x", encryption_context={"what": poison})
            assert (caught.value.code, caught.value.reason) == ("UNAVAILABLE", "HSM_UNAVAILABLE")
            with pytest.raises(Failure) as caught:  # harmless, but the same operation on the same key
                app.Encrypt(key_id=poisoned, plaintext=b"x")
            assert caught.value.reason == "HSM_UNAVAILABLE"
            with pytest.raises(Failure):
                app.Encrypt(key_id=poisoned, plaintext=b"x", encryption_context={"what": poison})
            assert app.Decrypt(ciphertext_blob=blob).plaintext == b"before"
            load.progress()
        assert not load.failures

        def heals():
            try:
                return app.Encrypt(key_id=poisoned, plaintext=b"after")
            except Failure as failure:
                assert failure.reason == "HSM_UNAVAILABLE"
                return None

        wait_for(heals, 20, "end of the quarantine")
    wait_healthy(fresh)
    wait_for(lambda: "healthy=2 configured=2 died=" in fresh.log_text(), 10, "a line in the log")
    assert (
        "died=2" in fresh.log_text() and "died=3" not in fresh.log_text()
    ), "quarantined calls end no worker"
    assert fresh.records(operation="Encrypt", outcome="HSM_UNAVAILABLE")


def test_no_healthy_worker_and_recovery_without_restart(fresh):
    """The token vanishes and comes back."""
    fresh.init().start()
    key = fresh.new_key()
    pid = fresh.process.pid
    wait_healthy(fresh)
    with fresh.client(APP) as app:
        app.Encrypt(key_id=key, plaintext=b"x")
        (fresh.dir / "tokens").rename(fresh.dir / "gone")
        for worker in fresh.workers():
            os.kill(worker, signal.SIGKILL)
        wait_for(lambda: refused(app, key), 30, "refusal")
        assert refused(app, key), "known to be down: an answer, not the end of the deadline"
        assert status(fresh).hsm_workers_healthy == 0
        with pytest.raises(Failure):
            fresh.new_key()
        (fresh.dir / "gone").rename(fresh.dir / "tokens")
        wait_for(lambda: not refused(app, key), 30, "recovery")
    wait_healthy(fresh)
    assert fresh.process.pid == pid and fresh.process.poll() is None
    fresh.new_key()


def test_death_of_the_spawner_is_told(fresh):
    """Workers that live go on; nobody can replace them, so the daemon says so."""
    fresh.init().start()
    key = fresh.new_key()
    wait_healthy(fresh)
    spawner = next(p for p in fresh.children() if comm(p) == "kms-spawner")
    workers = fresh.workers()
    with fresh.client(APP) as app:
        os.kill(spawner, signal.SIGKILL)
        wait_for(lambda: "spawner" in fresh.log_text(), 20, "a line in the log")
        for worker in workers:
            if comm(worker) == "kms-hsm":
                os.kill(worker, signal.SIGKILL)
        wait_for(lambda: refused(app, key), 30, "refusal")
    assert status(fresh).hsm_workers_healthy == 0
    fresh.stop()
    fresh.start()
    with fresh.client(APP) as app:
        app.Encrypt(key_id=key, plaintext=b"x")


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "one worker stopped"])
def test_the_daemon_takes_its_processes_along(fresh, frozen):
    fresh.init().start()
    wait_healthy(fresh)
    family = fresh.children()
    assert len(family) == 3
    if frozen:
        os.kill(fresh.workers()[0], signal.SIGSTOP)
    fresh.kill()
    wait_gone(family)


# -- the daemon --


def creates(client, name):
    return (
        name,
        client.CreateKey(
            policy=key_policy(), description=name, metadata=correlated(name)
        ).key_metadata.key_id,
    )


def rotates(key):
    def action(client, name):
        return name, client.RotateKeyOnDemand(key_id=key, metadata=correlated(name)).current_version

    return action


class Promises:
    """What clients were told, over all rounds."""

    def __init__(self, key):
        self.key, self.version = key, 1
        self.names, self.keys, self.blobs = set(), {}, collections.deque(maxlen=100)

    def take(self, uses, made, turned):
        for name, blob, data in uses.done:
            self.names |= {name + "-e", name + "-d"}
            self.blobs.append((blob, data))
        self.fresh = dict(made.done)
        self.keys.update(made.done)
        self.names |= {name for name, _ in made.done + turned.done}
        self.version = max([self.version] + [version for _, version in turned.done])

    def check_keys(self, service, keys):
        with service.client(ADMIN) as admin, service.client(APP) as app:
            for name, key in keys.items():
                assert admin.DescribeKey(key_id=key).key_metadata.description == name
                blob = app.Encrypt(key_id=key, plaintext=b"%d" % len(name)).ciphertext_blob
                assert app.Decrypt(ciphertext_blob=blob).plaintext == b"%d" % len(name)
            for blob, data in self.blobs:
                assert app.Decrypt(ciphertext_blob=blob).plaintext == data
            assert admin.DescribeKey(key_id=self.key).key_metadata.current_version >= self.version

    def check_log(self, service):
        """Every promise is on record; every attempt has one end; recovery told the truth."""
        records = service.records()
        ended = collections.Counter(
            r["request_id"] for r in records if r["kind"] in ("outcome", "recovery") and "request_id" in r
        )
        answered = {
            r["correlation_id"] for r in records if r.get("outcome") == "OK" and "correlation_id" in r
        }
        assert self.names <= answered, sorted(self.names - answered)[:5]
        attempts = [r for r in records if r["kind"] == "attempt"]
        assert [ended[r["request_id"]] for r in attempts] == [1] * len(attempts)
        stored = {r["request_id"] for r in records if r["kind"] == "outcome" and r["outcome"] == "OK"}
        stored |= {
            r["request_id"]
            for r in records
            if r["kind"] == "recovery" and r.get("detail") == "committed before the crash"
        }
        recoveries = {r["detail"] for r in records if r["kind"] == "recovery" and "request_id" in r}
        assert recoveries <= {"committed before the crash", "not committed"}
        self.check_truth(service, attempts, stored)

    def check_truth(self, service, attempts, stored):
        with service.client(ADMIN) as admin:
            marker, found = "", set()
            while True:
                page = admin.ListKeys(marker=marker)
                found |= {admin.DescribeKey(key_id=k.key_id).key_metadata.description for k in page.keys}
                marker = page.next_marker
                if not page.truncated:
                    break
            attempts = [r for r in attempts if r["request_id"] in stored]
            created = {
                r["correlation_id"]
                for r in attempts
                if r["operation"] == "CreateKey" and "correlation_id" in r
            }
            assert found - {"first"} == created
            rotated = [r for r in attempts if r["operation"] == "RotateKeyOnDemand"]
            assert admin.DescribeKey(key_id=self.key).key_metadata.current_version == 1 + len(rotated)


def test_the_daemon_dies_at_random_moments(fresh):
    fresh.write_config(audit={"segment": "512KiB"})
    fresh.init().start()
    promises = Promises(fresh.new_key(description="first"))
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    for number in range(ROUNDS):
        uses, made, turned = (
            Load(fresh, patient=False, prefix=f"{number}-{kind}") for kind in ("use", "make", "turn")
        )
        uses.add(2, APP, round_trip(promises.key))
        made.add(2, ADMIN, creates)
        turned.add(2, ADMIN, rotates(promises.key))
        with uses, made, turned:
            uses.progress(2)
            time.sleep(dice.uniform(0, 0.8))
            family = fresh.children()
            fresh.kill()
        assert {f.code for f in uses.failures + made.failures + turned.failures} <= {"UNAVAILABLE", "ABORTED"}
        promises.take(uses, made, turned)
        wait_gone(family)
        fresh.start()
        promises.check_keys(fresh, promises.fresh)
        promises.check_log(fresh)
        fresh.verify_audit()
    recoveries = [r.get("detail") for r in fresh.records(kind="recovery") if "request_id" in r]
    promises.check_keys(fresh, promises.keys)
    print(
        f"{ROUNDS} deaths, {len(promises.names)} calls acknowledged, {len(promises.keys)} keys",
        collections.Counter(recoveries),
    )
    fresh.stop()
    fresh.verify_audit()


def test_many_changes_at_once_then_a_restart(fresh):
    """Outcomes reach the log in another order than the changes reached the keystore; that is no rollback."""
    fresh.write_config(limits={"admin_threads": "8"})
    fresh.init().start()
    for _ in range(3):
        made = Load(fresh, prefix="m").add(8, ADMIN, creates)
        with made:
            made.progress(30)
        assert not made.failures
        fresh.stop()
        fresh.start()
    assert not fresh.records(kind="recovery")
