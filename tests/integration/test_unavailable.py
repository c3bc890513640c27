"""Root keys that are no longer on the token: the keys under them are Unavailable, and each operation says so by name."""
import pathlib
import re
import subprocess

import pytest

import importing
from harness import ADMIN, APP, KEEPER, Failure, Service
from importing import ENABLED, EXTERNAL, PENDING_DELETION, PENDING_IMPORT, UNAVAILABLE, state
from methods import CONTEXT, PLAINTEXT, Methods

STATES = pathlib.Path(__file__).parents[2] / "kmsd/keys/state.def"
ANSWER = {"yes": None, "bad": "INVALID_KEY_STATE", "una": "KEY_UNAVAILABLE"}
# No rpc asks for these.
NO_METHOD = {"DERIVE_SHARED_SECRET", "LIST_KEY_POLICIES"}
# They change the state of their key.
LAST = ("DeleteImportedKeyMaterial", "ScheduleKeyDeletion")


def expected():
    """{action as state.def spells it: the reason that an Unavailable key answers with, None: it is allowed}"""
    rows = re.findall(r"^KMS_STATE\((\w+),\s*\w+, \w+, \w+, \w+, (\w+)\)", STATES.read_text(), flags=re.M)
    return {action: ANSWER[answer] for action, answer in rows}


def as_in_the_table(action):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", action.removeprefix("kms:").replace("ReEncrypt", "Reencrypt")).upper()


def destroy_generation_behind_its_back(service, number):
    for label in (f"root-{purpose}-{number}" for purpose in ("wrap", "seal", "bind")):
        subprocess.run(
            ["pkcs11-tool", "--module", "/usr/lib/softhsm/libsofthsm2.so", "--token-label", "kmsd", "--login", "--pin",
             "4711-test", "--delete-object", "--type", "secrkey", "--label", label],
            env=service.environment, check=True, capture_output=True,
        )


def keys_of(world):
    return [world.key, world.other, world.doomed, world.signer, world.imported, world.authenticated["key_id"], world.ruled,
            world.shared, world.secret_key]


def roots_of(admin, world):
    keys = [admin.DescribeKey(key_id=key).key_metadata for key in keys_of(world)]
    return {version.root_id for key in keys for version in key.versions}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """What Methods has, under root keys that are gone: (service, Methods, its rows)."""
    service = Service(tmp_path_factory.mktemp("unavailable") / "home").init().start()
    worlds = [Methods(service), Methods(service)]
    with service.client(ADMIN) as admin, service.client(KEEPER) as keeper:
        rows = [world.rows() for world in worlds]
        for one in rows:
            admin.ImportKeyMaterial(**next(fields for method, fields, *_ in one if method == "ImportKeyMaterial"))
        keeper.RotateRoot(root_id=2, max_versions=1)  # the keystore's own key and one version move, so one world does not
        whole = [roots_of(admin, world) for world in worlds].index({1})
    service.stop()
    destroy_generation_behind_its_back(service, 1)
    service.start()
    yield service, worlds[whole], rows[whole]
    service.stop()


def answer(service, method, fields, caller):
    with service.client(caller) as client:
        try:
            getattr(client, method)(**fields)
        except Failure as failure:
            return failure.reason
    return None


def test_the_state_is_shown(own):
    service, world, _ = own
    with service.client(ADMIN) as admin:
        assert {state(admin, key) for key in keys_of(world)} == {UNAVAILABLE}
        assert state(admin, service.new_key()) == ENABLED  # under the newest root keys
    with service.client(KEEPER) as keeper:
        generations = {one.root_id: one.on_token for one in keeper.GetRootStatus().generations}
        assert generations == {1: False, 2: True}


def test_batches_say_it_of_each_item(own):
    service, world, _ = own
    good = service.new_key()
    with service.client(APP) as app:
        entries = [{"key_id": key, "plaintext": b"x"} for key in (world.key, good, world.key)]
        results = app.EncryptBatch(items=entries).results
        assert [one.error.reason for one in results] == ["KEY_UNAVAILABLE", "", "KEY_UNAVAILABLE"]
        entries = [{"ciphertext_blob": world.blob, "encryption_context": CONTEXT}]
        assert [one.error.reason for one in app.DecryptBatch(items=entries).results] == ["KEY_UNAVAILABLE"]


def test_each_operation_has_its_answer(own):
    service, world, rows = own
    table, asked = expected(), set()
    assert len(table) > 40 and set(table.values()) == set(ANSWER.values())
    for method, fields, actions, class_ in sorted(rows, key=lambda row: row[0] in LAST):
        actions = [as_in_the_table(action) for action in actions if as_in_the_table(action) in table]
        if not actions:
            continue  # it concerns no key
        if method == "CancelKeyDeletion":
            fields = {"key_id": world.key}
        reasons = [table[action] for action in actions]
        asked.update(actions)
        got = answer(service, method, fields, APP if class_ == "usage" else ADMIN)
        assert got == next((reason for reason in reasons if reason is not None), None), method
    assert set(table) - asked == NO_METHOD
    with service.client(ADMIN) as admin:
        assert state(admin, world.doomed) == PENDING_DELETION and state(admin, world.imported) == PENDING_IMPORT


def test_imported_material_can_be_brought_again(own):
    """After test_each_operation_has_its_answer, which deleted what nobody could open."""
    service, world, _ = own
    with service.client(ADMIN) as admin, service.client(APP) as app:
        if state(admin, world.imported) == UNAVAILABLE:
            admin.DeleteImportedKeyMaterial(key_id=world.imported)
        with pytest.raises(Failure) as other:
            importing.put(admin, world.imported, bytes(32))
        assert other.value.reason == "INCORRECT_KEY_MATERIAL"
        assert importing.put(admin, world.imported, PLAINTEXT[-32:]).key_state == ENABLED
        blob = app.Encrypt(key_id=world.imported, plaintext=b"x").ciphertext_blob
        assert app.Decrypt(ciphertext_blob=blob).plaintext == b"x"
        assert admin.DescribeKey(key_id=world.imported).key_metadata.origin == EXTERNAL
