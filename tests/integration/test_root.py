"""Rotation of the root keys: everything moves inside the token while it is in use, whatever dies; the old ones go last."""
import json
import os
import random
import shutil
import threading
import time

import pytest

from harness import ADMIN, APP, BIN, KEEPER, Failure, key_policy, run, wait_for
from load import Load

ENVIRONMENT = dict(os.environ, ASAN_OPTIONS="detect_leaks=0", KMSCTL_CONFIG="")


def kmsctl(service, *arguments, status=0, principal=KEEPER):
    done = service.kmsctl(principal, *arguments, check=False, env=ENVIRONMENT)
    assert done.returncode == status, (arguments, done.stdout, done.stderr)
    return done.stderr if status else done.stdout


def root_status(service):
    return json.loads(kmsctl(service, "root", "status", "-o", "json"))


class Contents:
    """Keys of both levels with old versions, and what was encrypted with each of them."""

    def __init__(self, service, keys=4, rotations=2):
        self.service, self.keys, self.sealed = service, [], []
        for i in range(keys):
            self.keys.append(service.new_key(protection_level=1 + i % 2))
        for turn in range(rotations + 1):
            with service.client(ADMIN) as admin, service.client(APP) as app:
                for key in self.keys:
                    if turn > 0:
                        admin.RotateKeyOnDemand(key_id=key)
                    data = os.urandom(24)
                    blob = app.Encrypt(key_id=key, plaintext=data).ciphertext_blob
                    self.sealed.append((blob, data))

    def check(self):
        with self.service.client(APP) as app:
            for blob, data in self.sealed:
                assert app.Decrypt(ciphertext_blob=blob).plaintext == data


def test_everything_moves_and_the_old_root_keys_go(fresh, tmp_path):
    fresh.init().start()
    contents = Contents(fresh)
    assert root_status(fresh) == {
        "root_id": 1,
        "generations": [
            {"root_id": 1, "on_token": True, "versions": 12, "seals_keystore": True, "destroyable": False}
        ],
        "versions": 12,
        "remaining": 0,
        "settled": True,
    }
    assert "ROOT_IN_USE" in kmsctl(fresh, "root", "destroy", "1", status=1)
    assert "NOT_FOUND" in kmsctl(fresh, "root", "destroy", "2", status=4)
    fresh.stop()
    backup = tmp_path / "keystore.db"
    shutil.copy(fresh.dir / "state" / "keystore.db", backup)
    fresh.start()

    rotated = json.loads(kmsctl(fresh, "root", "rotate", "-o", "json"))
    assert (rotated["root_id"], rotated["rewrapped"], rotated["failed"]) == (2, 12, 0)
    assert rotated["destroyable"] == [1] and "kmsctl root destroy" in rotated["backups"]
    after = root_status(fresh)
    assert (after["root_id"], after["remaining"], after["settled"]) == (2, 0, True)
    assert [(g["root_id"], g["versions"], g["seals_keystore"], g["destroyable"]) for g in after["generations"]] == [
        (1, 0, False, True),
        (2, 12, True, False),
    ]
    contents.check()
    fresh.stop()
    fresh.start()  # what the keystore says of it is what memory said
    assert root_status(fresh) == after
    contents.check()

    assert "ROOT_IN_USE" in kmsctl(fresh, "root", "destroy", "2", status=1)
    assert kmsctl(fresh, "root", "destroy", "1") == ""
    assert [g["root_id"] for g in root_status(fresh)["generations"]] == [2]
    assert kmsctl(fresh, "root", "destroy", "1") == ""  # again: nothing to do
    contents.check()
    fresh.stop()
    fresh.start()
    contents.check()
    record = fresh.records(kind="outcome", operation="DestroyRoot", outcome="OK")[0]
    assert record["extra"]["noted"] == "generation 1 destroyed"

    fresh.stop()  # the backup's key is under the root keys that are no more
    for name in ("keystore.db-wal", "keystore.db-shm"):
        (fresh.dir / "state" / name).unlink(missing_ok=True)
    shutil.copy(backup, fresh.dir / "state" / "keystore.db")
    refused = run(
        BIN / "kmsd", "--config", fresh.config, "--accept-rollback=test", env=fresh.environment, check=False
    )
    assert refused.returncode == 1 and "ROOT_KEYS_MISSING" in refused.stderr


def test_no_call_fails_meanwhile(fresh):
    fresh.init().start()
    contents = Contents(fresh, keys=6, rotations=3)
    key, software = contents.keys[0], contents.keys[1]

    def round_trip(id_):
        def action(client, _):
            data = os.urandom(16)
            blob = client.Encrypt(key_id=id_, plaintext=data).ciphertext_blob
            assert client.Decrypt(ciphertext_blob=blob).plaintext == data
            old, plain = random.choice(contents.sealed)
            assert client.Decrypt(ciphertext_blob=old).plaintext == plain
            contents.sealed.append((blob, data))

        return action

    with Load(fresh).add(2, APP, round_trip(key)).add(1, APP, round_trip(software)) as load:
        load.progress()
        for generation in (2, 3, 4):
            with fresh.client(KEEPER) as keeper:
                while True:
                    reply = keeper.RotateRoot(root_id=generation, max_versions=2)
                    assert reply.rewrapped <= 2 and reply.failed == 0
                    if reply.remaining == 0:
                        break
                made = fresh.new_key()  # under the new root keys at once
                assert keeper.GetRootStatus().remaining == 0
                keeper.DestroyRoot(root_id=generation - 1)
                with fresh.client(APP) as app:
                    app.Encrypt(key_id=made, plaintext=b"x")
            load.progress()
    assert not load.failures
    contents.check()


def test_new_versions_are_wrapped_by_the_new_root_keys_at_once(fresh):
    fresh.init().start()
    contents = Contents(fresh, keys=2, rotations=1)
    with fresh.client(KEEPER) as keeper, fresh.client(ADMIN) as admin:
        assert keeper.RotateRoot(root_id=2, max_versions=1).remaining == 3
        for _ in range(8):
            fresh.new_key()
            admin.RotateKeyOnDemand(key_id=contents.keys[0])
        status = keeper.GetRootStatus()
        assert (status.remaining, status.versions, status.settled) == (3, 20, False)
        assert keeper.RotateRoot(root_id=3, max_versions=1000).remaining == 0  # a next one before the end is fine
        assert [g.root_id for g in keeper.GetRootStatus().generations if g.versions] == [3]
    contents.check()


def test_refusals(fresh):
    fresh.init().start()
    Contents(fresh, keys=1, rotations=0)
    with fresh.client(KEEPER) as keeper:
        for fields, reason in (
            ({"root_id": 0}, "INVALID_ARGUMENT"),
            ({"root_id": 3}, "INVALID_ARGUMENT"),
            ({"root_id": 2, "max_versions": 1001}, "INVALID_ARGUMENT"),
        ):
            with pytest.raises(Failure) as failure:
                keeper.RotateRoot(**fields)
            assert failure.value.reason == reason
        assert keeper.GetRootStatus().root_id == 1
        for generation in (2, 3):
            assert keeper.RotateRoot(root_id=generation).remaining == 0
        with pytest.raises(Failure) as failure:
            keeper.DestroyRoot(root_id=2)
        assert failure.value.reason == "INVALID_ARGUMENT" and "generation 1 first" in failure.value.message
        keeper.DestroyRoot(root_id=1)
        keeper.DestroyRoot(root_id=2)
    for principal in (ADMIN, APP):
        with fresh.client(principal) as client:
            for call, fields in (("RotateRoot", {"root_id": 4}), ("GetRootStatus", {}), ("DestroyRoot", {"root_id": 2})):
                with pytest.raises(Failure) as failure:
                    getattr(client, call)(**fields)
                assert failure.value.reason == "ACCESS_DENIED"
    assert kmsctl(fresh, "root", "destroy", "x", status=2).startswith("kmsctl: x: not the number")


def test_administrators_and_rotation_at_once(fresh):
    """Nothing is merged silently: either the administrator or the rotation comes again."""
    fresh.init().start()
    contents = Contents(fresh, keys=3, rotations=2)
    stop, counts = threading.Event(), {"ok": 0, "conflict": 0}

    def administer():
        with fresh.client(ADMIN) as admin:
            while not stop.is_set():
                for key in contents.keys:
                    try:
                        admin.PutKeyPolicy(key_id=key, policy=key_policy())
                        counts["ok"] += 1
                    except Failure as failure:
                        assert (failure.code, failure.reason) == ("ABORTED", "CONFLICT")
                        counts["conflict"] += 1

    thread = threading.Thread(target=administer)
    thread.start()
    try:
        wait_for(lambda: counts["ok"] > 3, 30, "changes")
        for _ in range(3):
            assert json.loads(kmsctl(fresh, "root", "rotate", "-o", "json"))["failed"] == 0
    finally:
        stop.set()
        thread.join(60)
    assert counts["ok"] > 0
    status = root_status(fresh)
    assert (status["root_id"], status["remaining"]) == (4, 0)
    contents.check()
    fresh.stop()
    fresh.start()
    contents.check()


def kill_somewhere(service, call, after_s):
    """kill -9 of the daemon while a call is under way."""
    with service.client(KEEPER) as keeper:
        keeper.GetRootStatus()  # connected
        future = keeper.start(*call[0], **call[1])
        time.sleep(after_s)
        service.kill()
        try:
            return future.result()
        except keeper.grpc.RpcError as error:
            assert error.code().name in ("UNAVAILABLE", "CANCELLED"), error
            return None


def test_killed_in_the_middle(fresh):
    """Again and again, in every part of it: each start goes on where the last one was."""
    random.seed(4711)
    fresh.init().start()
    contents = Contents(fresh, keys=4, rotations=2)
    generation, kills = 2, 0
    with fresh.client(KEEPER) as keeper:
        keeper.GetRootStatus()
        began = time.monotonic()
        keeper.RotateRoot(root_id=generation, max_versions=3)
        call_s = time.monotonic() - began
    for generation in (2, 3):
        for turn in range(60):
            later = random.random() * call_s * (1.1 + turn / 10)  # in the end the call gets through
            kill_somewhere(fresh, (("RotateRoot",), {"root_id": generation, "max_versions": 3}), later)
            kills += 1
            fresh.start()
            status = root_status(fresh)
            assert status["root_id"] in (generation - 1, generation)
            contents.check()
            if status["settled"] and status["root_id"] == generation:
                break
        assert status["settled"]
        kill_somewhere(fresh, (("DestroyRoot",), {"root_id": generation - 1}), 2.0 + random.random() * 0.1)
        fresh.start()
        contents.check()
        assert kmsctl(fresh, "root", "destroy", str(generation - 1)) == ""
        status = root_status(fresh)
        assert [g["root_id"] for g in status["generations"]] == [generation], status
    assert kills >= 4
    contents.check()
    fresh.verify_audit()
    attempts = fresh.records(kind="attempt", operation="RotateRoot")
    ends = {r["request_id"] for r in fresh.records() if r["kind"] in ("outcome", "recovery") and "request_id" in r}
    assert attempts and all(r["request_id"] in ends for r in attempts)


def test_kmsctl_goes_on_after_a_kill(fresh):
    fresh.init().start()
    contents = Contents(fresh, keys=2, rotations=2)
    with fresh.client(KEEPER) as keeper:
        assert keeper.RotateRoot(root_id=2, max_versions=1).remaining == 5
    fresh.kill()
    fresh.start()
    assert not root_status(fresh)["settled"]
    rotated = json.loads(kmsctl(fresh, "root", "rotate", "-o", "json"))
    assert rotated["root_id"] == 2 and rotated["rewrapped"] == 5  # not a third generation
    assert root_status(fresh)["settled"]
    contents.check()
