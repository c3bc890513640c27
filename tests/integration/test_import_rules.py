"""Who may import and when: conditions of policies, approval, deletion of the key, destruction of the root keys, the clock."""
import glob
import json
import os
import sqlite3
import time

import pytest

import importing
from approval_world import guarded_key, held, policy
from harness import ADMIN, APP, BUILD, KEEPER, Failure, Service, key_policy, wait_for
from importing import (
    DISABLED, ENABLED, EXTERNAL, FOREVER, HSM, NEW, PENDING_IMPORT, RSA_AES, SOFTWARE, put, state, wrapped_request,
)
from policies import document, statement

DAY = 24 * 3600 * 10**6
IMPORT_ROWS = 8  # KMS_TABLE_IMPORT of keystore/keystore.h
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
SHIM = next(BUILD.glob("tests/harness/libpkcs11-shim.so"), None)
needs_clock = pytest.mark.skipif(FAKETIME is None, reason="the package faketime is not installed")


def refused(reason, call, **fields):
    with pytest.raises(Failure) as caught:
        call(**fields)
    assert caught.value.reason == reason, caught.value
    return caught.value


def waiting_for_material(service):
    """Keys whose parameters the keystore has (it is read, not opened for writing)."""
    with sqlite3.connect(f"file:{service.dir}/state/keystore.db?mode=ro", uri=True) as db:
        return {row[0] for row in db.execute("SELECT id FROM sealed_row WHERE kind = ?", (IMPORT_ROWS,))}


def later(service, days):
    """The same kmsd, so many days from now."""
    service.stop()
    faked = (f"LD_PRELOAD={FAKETIME}", f"FAKETIME=+{days}d", "FAKETIME_DONT_FAKE_MONOTONIC=1")
    options = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    service.start(wrapper=("env", *faked, f"ASAN_OPTIONS={options}") if days else ())


# ---- conditions ----


def deny(sid, action, **condition):
    return statement(sid, ADMIN, action, "Deny", Condition=condition)


def instant(seconds, fraction=""):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + (fraction and "." + fraction) + "Z"


LIMITED = (
    *json.loads(key_policy())["Statement"],
    deny("Wrap", "kms:GetParametersForImport", StringNotEquals={"kms:WrappingAlgorithm": "RSA_AES_KEY_WRAP_SHA_256"}),
    deny("Spec", "kms:GetParametersForImport", StringNotEquals={"kms:WrappingKeySpec": "RSA_4096"}),
    deny("Model", "kms:ImportKeyMaterial", StringEquals={"kms:ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}),
)


def test_inputs_of_an_import_decide_and_are_recorded(service):
    now = int(time.time())
    late = deny("Late", "kms:ImportKeyMaterial", DateGreaterThan={"kms:ValidTo": instant(now + 30 * 86400)})
    key = service.new_key(origin=EXTERNAL, policy=document(*LIMITED, late))

    def newest(operation):
        """The statement that decided, and the inputs that it saw."""
        access = service.records(operation=operation)[-1]["access"][0]
        return access["statement"], {name: value for name, value in access["inputs"].items() if name != "key_origin"}

    with service.client(ADMIN) as admin:
        refused("ACCESS_DENIED", admin.GetParametersForImport, key_id=key)  # OAEP when it says nothing
        wrapping = {"wrapping_algorithm": "RSAES_OAEP_SHA_256", "wrapping_key_spec": "RSA_4096"}
        assert newest("GetParametersForImport") == ("Wrap", wrapping)
        fields = wrapped_request(admin, key, os.urandom(32), RSA_AES)
        wrapping["wrapping_algorithm"] = "RSA_AES_KEY_WRAP_SHA_256"
        assert newest("GetParametersForImport") == ("Admin", wrapping)
        refused("ACCESS_DENIED", admin.ImportKeyMaterial, **fields)
        assert newest("ImportKeyMaterial") == ("Model", {"expiration_model": "KEY_MATERIAL_DOES_NOT_EXPIRE"})
        fields["expiration_model"] = 1
        refused("ACCESS_DENIED", admin.ImportKeyMaterial, **dict(fields, valid_to_time_us=(now + 31 * 86400) * 10**6))
        model = {"expiration_model": "KEY_MATERIAL_EXPIRES"}
        assert newest("ImportKeyMaterial") == ("Late", dict(model, valid_to_us=instant(now + 31 * 86400, "000000")))
        assert state(admin, key) == PENDING_IMPORT
        in_time = dict(fields, valid_to_time_us=(now + 29 * 86400) * 10**6)
        assert admin.ImportKeyMaterial(**in_time).key_state == ENABLED
        assert newest("ImportKeyMaterial") == ("Admin", dict(model, valid_to_us=instant(now + 29 * 86400, "000000")))


# ---- approval ----


def importing_policy():
    """Theirs, and import for those who administer."""
    whole = json.loads(policy())
    whole["Statement"][0]["Action"] += ["kms:GetParametersForImport", "kms:DeleteImportedKeyMaterial"]
    return json.dumps(whole)


def test_import_and_deletion_of_material_wait_for_approval(service, people):
    key = guarded_key(people, origin=EXTERNAL, policy=importing_policy())
    material = os.urandom(32)
    parameters = people.bob.GetParametersForImport(key_id=key)

    def wrapped(secret):
        fields = {"key_id": key, "import_token": parameters.import_token, "expiration_model": FOREVER}
        return dict(fields, encrypted_key_material=importing.oaep(parameters.public_key, secret))

    fields, other = wrapped(material), wrapped(os.urandom(32))
    refused("INCORRECT_KEY_MATERIAL", people.bob.ImportKeyMaterial, **wrapped(material[:31]))  # nobody is asked about this
    first = held(people.bob.ImportKeyMaterial, **fields)
    assert state(people.alice, key) == PENDING_IMPORT and held(people.bob.ImportKeyMaterial, **fields) == first
    assert held(people.bob.ImportKeyMaterial, **other) != first  # other material is another request
    people.alice.ApproveRequest(approval_id=first)
    people.carol.ApproveRequest(approval_id=first)
    held(people.bob.ImportKeyMaterial, **other)
    assert people.bob.ImportKeyMaterial(**fields).key_state == ENABLED
    blob = people.app.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob
    second = held(people.bob.DeleteImportedKeyMaterial, key_id=key)
    assert people.app.Decrypt(ciphertext_blob=blob).plaintext == b"x"
    people.alice.ApproveRequest(approval_id=second)
    people.carol.ApproveRequest(approval_id=second)
    people.bob.DeleteImportedKeyMaterial(key_id=key)
    assert state(people.alice, key) == PENDING_IMPORT
    refused("INVALID_KEY_STATE", people.app.Decrypt, ciphertext_blob=blob)
    named = {record["operation"] for record in service.records(outcome="APPROVAL_NEEDED")}
    assert {"ImportKeyMaterial", "DeleteImportedKeyMaterial"} <= named


# ---- the life of key and roots ----


@pytest.mark.parametrize("level", [HSM, SOFTWARE])
def test_states_of_a_key_with_material(service, level):
    key, material = service.new_key(origin=EXTERNAL, protection_level=level), os.urandom(32)
    with service.client(ADMIN) as admin:
        for call in (admin.EnableKey, admin.DisableKey, admin.RotateKeyOnDemand):
            refused("INVALID_KEY_STATE", call, key_id=key)
        put(admin, key, material)
        refused("UNSUPPORTED", admin.EnableKeyRotation, key_id=key)
        admin.DisableKey(key_id=key)
        assert put(admin, key, material).key_state == DISABLED  # what is there may come again, and enables nothing
        admin.EnableKey(key_id=key)
        assert put(admin, key, os.urandom(32), import_type=NEW).version == 2
        parameters = admin.GetParametersForImport(key_id=key)
        admin.ScheduleKeyDeletion(key_id=key, pending_window_in_days=7)
        blob = importing.oaep(parameters.public_key, material)
        fields = {"key_id": key, "import_token": parameters.import_token, "encrypted_key_material": blob}
        refused("INVALID_KEY_STATE", admin.ImportKeyMaterial, expiration_model=FOREVER, **fields)
        refused("INVALID_KEY_STATE", admin.GetParametersForImport, key_id=key)
        refused("INVALID_KEY_STATE", admin.DeleteImportedKeyMaterial, key_id=key)
        admin.CancelKeyDeletion(key_id=key)
        assert state(admin, key) == DISABLED
        assert admin.ImportKeyMaterial(expiration_model=FOREVER, **fields).version == 1  # the token is good still


def test_destroyed_root_keys_end_a_pending_import(fresh):
    fresh.init().start()
    material = os.urandom(32)
    used = fresh.new_key(origin=EXTERNAL)
    key = fresh.new_key(origin=EXTERNAL)
    with fresh.client(ADMIN) as admin, fresh.client(APP) as app, fresh.client(KEEPER) as keeper:
        put(admin, used, material)
        blob = app.Encrypt(key_id=used, plaintext=b"x").ciphertext_blob
        early, late = (wrapped_request(admin, one, material) for one in (used, key))
        assert keeper.RotateRoot(root_id=2).remaining == 0
        assert app.Decrypt(ciphertext_blob=blob).plaintext == b"x"  # imported material moves as any
        assert admin.ImportKeyMaterial(**early).version == 1  # the old root keys are there still
        keeper.DestroyRoot(root_id=1)
        before = admin.DescribeKey(key_id=key)
        refused("EXPIRED_IMPORT_TOKEN", admin.ImportKeyMaterial, **late)
        assert admin.DescribeKey(key_id=key) == before and state(admin, key) == PENDING_IMPORT
        assert put(admin, key, material).key_state == ENABLED  # with new parameters
        assert app.Decrypt(ciphertext_blob=blob).plaintext == b"x"


@pytest.mark.skipif(SHIM is None, reason="target pkcs11-shim is not built")
def test_a_token_that_takes_no_secret_says_so(fresh):
    fresh.write_config(module=SHIM)
    fresh.init().start()
    material = os.urandom(32)
    with fresh.client(ADMIN) as admin:
        key = fresh.new_key(origin=EXTERNAL)
        fields = wrapped_request(admin, key, material)
    fresh.stop()
    (fresh.dir / "shim-no-secrets").touch()
    fresh.start()
    with fresh.client(ADMIN) as admin:
        found = [one for one in admin.GetStatus().hsm_capabilities if one.name == "import"]
        assert [(one.available, "C_CreateObject: CKR_FUNCTION_NOT_SUPP" in one.reason) for one in found] == [(False, True)]
        for level in ({}, {"protection_level": HSM}):
            failure = refused("UNSUPPORTED", fresh.new_key, origin=EXTERNAL, **level)
            assert "C_CreateObject" in failure.message and "SOFTWARE level may" in failure.message
        refused("UNSUPPORTED", admin.ImportKeyMaterial, **fields)
        assert state(admin, key) == PENDING_IMPORT
        software = fresh.new_key(origin=EXTERNAL, protection_level=SOFTWARE)
        assert put(admin, software, material).key_state == ENABLED
        assert state(admin, fresh.new_key()) == ENABLED  # keys of its own it makes


@needs_clock
def test_days_go_by(tmp_path):
    """A token of yesterday; material whose time is over; a key that is deleted while it waits."""
    own = Service(tmp_path, jobs={"interval": "100ms"}).init().start()
    try:
        keys = [own.new_key(origin=EXTERNAL, protection_level=1 + i % 2) for i in range(4)]
        waits, first, second, doomed = keys
        material = os.urandom(32)
        with own.client(ADMIN) as admin, own.client(APP) as app:
            old = wrapped_request(admin, waits, material)
            admin.GetParametersForImport(key_id=doomed)
            admin.ScheduleKeyDeletion(key_id=doomed, pending_window_in_days=7)
            valid_to = int(time.time() * 10**6) + 5 * DAY
            blobs = []
            for key in (first, second):
                put(admin, key, material, expiration_model=1, valid_to_time_us=valid_to)
                blobs.append(app.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob)
        assert waiting_for_material(own) == {waits, doomed}
        later(own, 2)
        with own.client(ADMIN) as admin, own.client(APP) as app:
            before = admin.DescribeKey(key_id=waits)
            refused("EXPIRED_IMPORT_TOKEN", admin.ImportKeyMaterial, **old)
            assert admin.DescribeKey(key_id=waits) == before
            assert [app.Decrypt(ciphertext_blob=blob).plaintext for blob in blobs] == [b"x", b"x"]
        later(own, 8)
        with own.client(ADMIN) as admin, own.client(APP) as app:
            wait_for(lambda: waiting_for_material(own) == {waits}, 30, "the end of the deleted key's parameters")
            refused("NOT_FOUND", admin.DescribeKey, key_id=doomed)
            for key, blob in zip((first, second), blobs):
                wait_for(lambda: state(admin, key) == PENDING_IMPORT, 30, "the end of the material")  # noqa: B023
                refused("INVALID_KEY_STATE", app.Decrypt, ciphertext_blob=blob)
                refused("INCORRECT_KEY_MATERIAL", put, admin=admin, key=key, material=os.urandom(32))
                assert put(admin, key, material).key_state == ENABLED
                assert app.Decrypt(ciphertext_blob=blob).plaintext == b"x"
            assert put(admin, waits, material).key_state == ENABLED
        assert waiting_for_material(own) == set()
    finally:
        own.stop(expect=None)
