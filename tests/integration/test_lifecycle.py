"""The life of a key: states, deletion, rotation by itself, retired versions, tags. Days pass under a faked clock."""
import glob
import os
import sqlite3
import uuid

import pytest

from harness import ADMIN, APP, Service, failure, key_policy, wait_for

DAY = 24 * 3600 * 10**6
ENABLED, DISABLED, PENDING_DELETION = 1, 2, 3
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
pytestmark = pytest.mark.skipif(FAKETIME is None, reason="the package faketime is not installed")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A kmsd of its own, since its clock is moved."""
    kmsd = Service(tmp_path_factory.mktemp("lifecycle"), jobs={"interval": "100ms"})
    kmsd.init()
    kmsd.start()
    yield kmsd
    kmsd.stop()


def later(own, days):
    """The same kmsd, so many days from now."""
    own.stop()
    faked = (f"LD_PRELOAD={FAKETIME}", f"FAKETIME=+{days}d", "FAKETIME_DONT_FAKE_MONOTONIC=1")
    # ASan wants to be the first library; it need not be
    options = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    own.start(wrapper=("env", *faked, f"ASAN_OPTIONS={options}") if days else ())


def describe(client, key):
    return client.DescribeKey(key_id=key).key_metadata


def test_deletion_is_scheduled_and_cancelled(own):
    key = own.new_key()
    with own.client(ADMIN) as admin, own.client(APP) as app:
        blob = app.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob
        for days in (1, 6, 31):
            error = failure(admin.ScheduleKeyDeletion, key_id=key, pending_window_in_days=days)
            assert error.reason == "INVALID_ARGUMENT" and "7 to 30" in error.message
        admin.CreateAlias(alias_name="alias/warned", target_key_id=key)
        reply = admin.ScheduleKeyDeletion(key_id=key, pending_window_in_days=7)
        meta = describe(admin, key)
        assert reply.key_state == meta.key_state == PENDING_DELETION
        assert 0 <= meta.creation_time_us + 7 * DAY - reply.deletion_time_us + 60 * 10**6 <= 60 * 10**6
        assert meta.deletion_time_us == reply.deletion_time_us
        assert any("alias/warned" in warning for warning in reply.warnings)
        assert any("until root key 1 is destroyed" in warning for warning in reply.warnings)
        assert failure(app.Decrypt, ciphertext_blob=blob).reason == "INVALID_KEY_STATE"
        assert failure(app.Encrypt, key_id=key, plaintext=b"x").reason == "INVALID_KEY_STATE"
        assert failure(admin.ScheduleKeyDeletion, key_id=key).reason == "INVALID_KEY_STATE"
        assert failure(admin.EnableKey, key_id=key).reason == "INVALID_KEY_STATE"
        admin.CancelKeyDeletion(key_id=key)
        assert describe(admin, key).key_state == DISABLED
        assert failure(admin.CancelKeyDeletion, key_id=key).reason == "INVALID_KEY_STATE"
        admin.EnableKey(key_id=key)
        assert app.Decrypt(ciphertext_blob=blob).plaintext == b"x"
        admin.DeleteAlias(alias_name="alias/warned")


def files_hold(own, needle):
    return any(needle in path.read_bytes() for path in (own.dir / "state").glob("keystore.db*"))


def wrapped_of(own, key):
    """Bytes of the wrapped key as the keystore has them (the store is read, not opened for writing)."""
    with sqlite3.connect(f"file:{own.dir}/state/keystore.db?mode=ro", uri=True) as db:
        rows = db.execute("SELECT body FROM sealed_row WHERE kind = 2 AND id LIKE ?", (key + "/%",)).fetchall()
    return [row[0][-40:] for row in rows]


def test_what_is_deleted_is_gone(own):
    key = own.new_key(protection_level=2)
    alias = "alias/gone-" + uuid.uuid4().hex[:8]
    with own.client(ADMIN) as admin, own.client(APP) as app:
        admin.CreateAlias(alias_name=alias, target_key_id=key)
        blob = app.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob
        admin.RotateKeyOnDemand(key_id=key)
        admin.ScheduleKeyDeletion(key_id=key, pending_window_in_days=7)
    wrapped = wrapped_of(own, key)
    assert len(wrapped) == 2 and all(files_hold(own, one) for one in wrapped)
    later(own, 6)
    with own.client(ADMIN) as admin:
        assert describe(admin, key).key_state == PENDING_DELETION
    later(own, 8)

    def deleted():
        return own.records(operation="DeleteKey", kind="outcome")

    record = wait_for(deleted, 20, "the deletion")[0]
    assert record["outcome"] == "OK" and record["principal"] == "kmsd" and record["class"] == "service"
    assert record["access"][0]["key_id"] == key and "store_digest" in record
    with own.client(ADMIN) as admin, own.client(APP) as app:
        assert failure(app.Decrypt, ciphertext_blob=blob).reason == "ACCESS_DENIED"
        assert failure(admin.DescribeKey, key_id=key).reason == "NOT_FOUND"
        assert key not in [k.key_id for k in admin.ListKeys(limit=1000).keys]
        assert alias not in [a.alias_name for a in admin.ListAliases(limit=1000).aliases]
        wait_for(lambda: not any(files_hold(own, one) for one in wrapped), 10, "the bytes to leave the files")
        # The alias may come back to a key with the same users only.
        wider = own.new_key(policy=key_policy(users=(APP, "spiffe://example.org/other")))
        error = failure(admin.CreateAlias, alias_name=alias, target_key_id=wider)
        assert error.reason == "APPROVAL_NEEDED"
        admin.CreateAlias(alias_name=alias, target_key_id=own.new_key())
    later(own, 9)  # the tombstone is read back
    with own.client(ADMIN) as admin:
        assert failure(admin.DescribeKey, key_id=key).reason == "NOT_FOUND"
    later(own, 0)


def test_rotation_by_itself(own):
    key = own.new_key()
    with own.client(ADMIN) as admin, own.client(APP) as app:
        assert not admin.GetKeyRotationStatus(key_id=key).key_rotation_enabled
        error = failure(admin.EnableKeyRotation, key_id=key, rotation_period_in_days=2561)
        assert error.reason == "INVALID_ARGUMENT" and "1 to 2560" in error.message
        due = admin.EnableKeyRotation(key_id=key, rotation_period_in_days=1).next_rotation_time_us
        status = admin.GetKeyRotationStatus(key_id=key)
        assert status.key_rotation_enabled and status.rotation_period_in_days == 1
        assert status.next_rotation_time_us == due == describe(admin, key).next_rotation_time_us
        blob = app.Encrypt(key_id=key, plaintext=b"old").ciphertext_blob
    later(own, 3)  # three runs were missed: one rotation makes up for them
    with own.client(ADMIN) as admin, own.client(APP) as app:
        wait_for(lambda: describe(admin, key).current_version == 2, 20, "the rotation")
        meta = describe(admin, key)
        assert meta.next_rotation_time_us == due + 3 * DAY
        assert [(v.version, v.cause) for v in meta.versions] == [(1, 1), (2, 3)]
        assert app.Decrypt(ciphertext_blob=blob).plaintext == b"old"
        assert app.Encrypt(key_id=key, plaintext=b"new").key_version == 2
        admin.RotateKeyOnDemand(key_id=key)
        rotations = admin.ListKeyRotations(key_id=key, limit=1)
        assert rotations.truncated and [(r.version, r.cause) for r in rotations.rotations] == [(2, 3)]
        rest = admin.ListKeyRotations(key_id=key, marker=rotations.next_marker)
        assert not rest.truncated and [(r.version, r.cause) for r in rest.rotations] == [(3, 2)]
        assert failure(admin.ListKeyRotations, key_id=key, marker="9").reason == "INVALID_MARKER"
        admin.DisableKeyRotation(key_id=key)
        assert describe(admin, key).next_rotation_time_us == 0
    later(own, 0)  # the clock is back: what is scheduled now is no earlier than it would have been
    with own.client(ADMIN) as admin:
        assert describe(admin, key).current_version == 3


def test_a_clock_that_steps_while_kmsd_runs(fresh):
    """Back: said, and nothing happens early. Forward: said, and nothing happens until it is believed."""
    clock = fresh.dir.parent / "clock"
    clock.write_text("+3d\n")
    fresh.write_config(jobs={"interval": "100ms", "clock_hold": "2s"})
    fresh.init()
    options = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    faked = (f"LD_PRELOAD={FAKETIME}", f"FAKETIME_TIMESTAMP_FILE={clock}", "FAKETIME_NO_CACHE=1")
    fresh.start(wrapper=("env", *faked, "FAKETIME_DONT_FAKE_MONOTONIC=1", f"ASAN_OPTIONS={options}"))
    key = fresh.new_key()
    with fresh.client(ADMIN) as admin:
        admin.EnableKeyRotation(key_id=key, rotation_period_in_days=1)
        clock.write_text("+1d\n")
        wait_for(lambda: "event=clock moved_back_s=172" in fresh.log_text(), 20, "the step back in the log")
        clock.write_text("+5d\n")
        wait_for(lambda: "event=clock moved_forward_s=345" in fresh.log_text(), 20, "the step forward in the log")
        assert describe(admin, key).current_version == 1
        wait_for(lambda: describe(admin, key).current_version == 2, 20, "the rotation")
    said = [line for line in fresh.log_text().splitlines() if "event=clock " in line]
    assert len(said) == 2 and "nothing is deleted or rotated earlier for it" in said[0]
    assert len(fresh.records(operation="RotateKeyOnSchedule", kind="outcome")) == 1
    fresh.verify_audit()


def test_a_disabled_key_rotates_when_it_is_enabled(own):
    key = own.new_key()
    with own.client(ADMIN) as admin:
        admin.EnableKeyRotation(key_id=key, rotation_period_in_days=1)
        admin.DisableKey(key_id=key)
        assert failure(admin.EnableKeyRotation, key_id=key).reason == "KEY_DISABLED"
    later(own, 4)
    with own.client(ADMIN) as admin:
        assert describe(admin, key).current_version == 1
        admin.EnableKey(key_id=key)
        wait_for(lambda: describe(admin, key).current_version == 2, 20, "the rotation")
    later(own, 0)


def test_a_retired_version_opens_nothing(own):
    key = own.new_key()
    with own.client(ADMIN) as admin, own.client(APP) as app:
        old = app.Encrypt(key_id=key, plaintext=b"old").ciphertext_blob
        error = failure(admin.RetireKeyVersion, key_id=key, version=1)
        assert error.reason == "INVALID_KEY_STATE" and "rotate the key first" in error.message
        admin.RotateKeyOnDemand(key_id=key)
        new = app.Encrypt(key_id=key, plaintext=b"new").ciphertext_blob
        assert failure(admin.RetireKeyVersion, key_id=key, version=3).reason == "NOT_FOUND"
        assert admin.RetireKeyVersion(key_id=key, version=1, force=True).version.retirement_time_us > 0
        error = failure(app.Decrypt, ciphertext_blob=old)
        assert error.reason == "KEY_VERSION_RETIRED" and "version 1" in error.message
        assert app.Decrypt(ciphertext_blob=new).plaintext == b"new"
    own.stop()
    own.start()
    with own.client(ADMIN) as admin, own.client(APP) as app:
        assert failure(app.Decrypt, ciphertext_blob=old).reason == "KEY_VERSION_RETIRED"
        assert admin.RetireKeyVersion(key_id=key, version=1, restore=True).version.retirement_time_us == 0
        assert app.Decrypt(ciphertext_blob=old).plaintext == b"old"


def test_tags_and_description(own):
    with own.client(ADMIN) as admin:
        tags = [{"tag_key": "team", "tag_value": "web"}, {"tag_key": "env", "tag_value": ""}]
        alias = "alias/tagged/" + uuid.uuid4().hex[:8]
        key = admin.CreateKey(policy=key_policy(), tags=tags, alias_name=alias).key_metadata.key_id

        def listed():
            return [(t.tag_key, t.tag_value) for t in admin.ListResourceTags(key_id=key).tags]

        def found(**filters):
            return [k.key_id for k in admin.ListKeys(limit=1000, **filters).keys]

        assert listed() == [("env", ""), ("team", "web")]
        assert found(tag_key="team") == found(tag_key="team", tag_value="web") == [key]
        assert found(tag_key="team", tag_value="db") == found(tag_key="none") == []
        assert found(alias_prefix="alias/tagged/") == [key] and found(alias_prefix="alias/nothing") == []
        assert failure(admin.ListKeys, tag_value="x").reason == "INVALID_ARGUMENT"
        admin.TagResource(key_id=key, tags=[{"tag_key": "team", "tag_value": "db"}])
        admin.UntagResource(key_id=key, tag_keys=["env", "none"])
        assert listed() == [("team", "db")]
        for bad in ("", "aws:x", "k" * 129):
            error = failure(admin.TagResource, key_id=key, tags=[{"tag_key": bad}])
            assert error.reason == "INVALID_ARGUMENT" and "tag_key" in error.message
        many = [{"tag_key": f"k{i}"} for i in range(50)]
        assert failure(admin.TagResource, key_id=key, tags=many).reason == "LIMIT_EXCEEDED"
        assert listed() == [("team", "db")]
        admin.UpdateKeyDescription(key_id=key, description="zwei")
        assert describe(admin, key).description == "zwei"
        error = failure(admin.UpdateKeyDescription, key_id=key, description="x" * 8193)
        assert error.reason == "INVALID_ARGUMENT"


def test_who_missed_a_revision_changes_nothing(own):
    key = own.new_key()
    with own.client(ADMIN) as admin, own.client(ADMIN) as other:
        seen = admin.GetKeyPolicy(key_id=key)
        other.UpdateKeyDescription(key_id=key, description="theirs")
        error = failure(
            admin.PutKeyPolicy, key_id=key, policy=key_policy(users=()), expected_revision=seen.revision
        )
        assert (error.code, error.reason) == ("ABORTED", "CONFLICT")
        assert f"at revision {seen.revision + 1}, not {seen.revision}" in error.message
        assert admin.GetKeyPolicy(key_id=key).policy == seen.policy
        admin.PutKeyPolicy(key_id=key, policy=seen.policy, expected_revision=seen.revision + 1)


def test_a_key_rotates_before_its_budget_ends(tmp_path):
    own = Service(tmp_path, jobs={"interval": "50ms"}, keys={"encryptions_log2": "10"})
    own.init()
    own.start()
    key = own.new_key()
    with own.client(ADMIN) as admin, own.client(APP) as app:
        used = 0
        while describe(admin, key).current_version == 1 and used < 1024:
            app.Encrypt(key_id=key, plaintext=b"x")
            used += 1
        meta = describe(admin, key)
        assert meta.current_version == 2 and meta.versions[1].cause == 4
        assert 512 < used < 1024  # late, but before it ends
        assert own.records(operation="RotateKeyForBudget", kind="outcome")[0]["outcome"] == "OK"
    own.stop()
