"""Imported key material: both wrappings, every refusal, expiry, the same material again, other material as a new version."""
import json
import os
import subprocess
import time

import pytest

import importing
from harness import ADMIN, APP, BIN, ROOT, Failure, Service, wait_for
from importing import ENABLED, EXTERNAL, FOREVER, HSM, NEW, OAEP, PENDING_IMPORT, RSA_AES, SOFTWARE, put, state

HMAC_256 = 9
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS="detect_leaks=0", KMSCTL_CONFIG="")


def refused(reason, call, **fields):
    with pytest.raises(Failure) as caught:
        call(**fields)
    assert caught.value.reason == reason, caught.value
    return caught.value


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    kmsd = Service(tmp_path_factory.mktemp("import"), jobs={"interval": "50ms"})
    kmsd.init().start()
    yield kmsd
    kmsd.stop()


@pytest.fixture
def admin(own):
    with own.client(ADMIN) as client:
        yield client


@pytest.fixture
def app(own):
    with own.client(APP) as client:
        yield client


def round_trip(app, key):
    blob = app.Encrypt(key_id=key, plaintext=b"imported").ciphertext_blob
    assert app.Decrypt(ciphertext_blob=blob).plaintext == b"imported"
    return blob


@pytest.mark.parametrize("level", [HSM, SOFTWARE])
@pytest.mark.parametrize("algorithm", [OAEP, RSA_AES])
def test_material_is_imported(own, admin, app, algorithm, level):
    key = own.new_key(origin=EXTERNAL, protection_level=level)
    meta = admin.DescribeKey(key_id=key).key_metadata
    assert (meta.key_state, meta.origin, meta.protection_level) == (PENDING_IMPORT, EXTERNAL, level)
    assert meta.material_exposure.startswith("in the token; before" if level == HSM else "in the memory of kms-hsm; before")
    refused("INVALID_KEY_STATE", app.Encrypt, key_id=key, plaintext=b"x")
    reply = put(admin, key, os.urandom(32), algorithm)
    assert (reply.version, reply.key_state, state(admin, key)) == (1, ENABLED, ENABLED)
    blob = round_trip(app, key)
    own.stop()
    own.start()
    with own.client(APP) as again:
        assert again.Decrypt(ciphertext_blob=blob).plaintext == b"imported"


def test_the_probe_says_that_the_token_can(admin):
    assert [one.available for one in admin.GetStatus().hsm_capabilities if one.name == "import"] == [True]


@pytest.mark.parametrize("level", [HSM, SOFTWARE])
@pytest.mark.parametrize("bits", [256, 384, 512])
def test_an_hmac_key_computes_what_openssl_does(own, admin, app, bits, level):
    material, number = os.urandom(bits // 8), {256: 1, 384: 2, 512: 3}[bits]
    key = own.new_key(origin=EXTERNAL, key_spec=HMAC_256 + number - 1, protection_level=level)
    put(admin, key, material, RSA_AES if bits == 256 else OAEP)
    mac = ("dgst", f"-sha{bits}", "-mac", "hmac", "-macopt", "hexkey:" + material.hex(), "-binary")
    assert app.GenerateMac(key_id=key, message=b"m", mac_algorithm=number).mac == importing.openssl(*mac, data=b"m")
    parameters = admin.GetParametersForImport(key_id=key)
    fields = {"key_id": key, "import_token": parameters.import_token, "expiration_model": FOREVER, "import_type": NEW}
    refused("UNSUPPORTED", admin.ImportKeyMaterial, encrypted_key_material=bytes(512), **fields)


def test_what_is_wrong_is_refused_and_changes_nothing(own, admin):
    key = own.new_key(origin=EXTERNAL)
    other = own.new_key(origin=EXTERNAL)
    for algorithm in (OAEP, RSA_AES):
        foreign = admin.GetParametersForImport(key_id=other, wrapping_algorithm=algorithm)
        parameters = admin.GetParametersForImport(key_id=key, wrapping_algorithm=algorithm)
        wrap = importing.oaep if algorithm == OAEP else importing.rsa_aes
        public, material, before = parameters.public_key, os.urandom(32), admin.DescribeKey(key_id=key)
        good = wrap(public, material)
        fields = {"key_id": key, "import_token": parameters.import_token, "expiration_model": FOREVER}
        wrong = [
            wrap(public, material[:31]),
            wrap(public, material + b"x"),
            wrap(foreign.public_key, material),
            importing.oaep(public, material, "sha1") if algorithm == OAEP else importing.oaep(public, material),
            importing.rsa_aes(public, material) if algorithm == OAEP else good[:-1] + bytes([good[-1] ^ 1]),
            bytes([good[0] ^ 1]) + good[1:],
            good[:511],
            b"",
            good + bytes(8),
            bytes(len(good)),
            b"\xff" * len(good),
        ]
        if algorithm == RSA_AES:
            wrong.append(importing.oaep(public, os.urandom(16)) + good[512:])  # no AES-256 key
        messages = set()
        for blob in wrong:
            failure = refused("INCORRECT_KEY_MATERIAL", admin.ImportKeyMaterial, encrypted_key_material=blob, **fields)
            messages.add(failure.message)
            assert admin.DescribeKey(key_id=key) == before
        assert len(messages) == 1
        for token in (b"", foreign.import_token, bytes(16), parameters.import_token + b"x"):
            changed = dict(fields, import_token=token, encrypted_key_material=good)
            refused("INVALID_IMPORT_TOKEN", admin.ImportKeyMaterial, **changed)
        for changes in (
            {"expiration_model": 1},
            {"expiration_model": 1, "valid_to_time_us": int(time.time() * 10**6) - 1},
            {"expiration_model": 2, "valid_to_time_us": 2**51},
            {"expiration_model": 1, "valid_to_time_us": 253402300800 * 10**6},  # the year 10000
            {"expiration_model": 1, "valid_to_time_us": 2**64 - 1},
            {"expiration_model": 3},
            {"import_type": 3},
        ):
            changed = dict(fields, encrypted_key_material=good, **{})
            changed.update(changes)
            refused("INVALID_ARGUMENT", admin.ImportKeyMaterial, **changed)
        assert admin.DescribeKey(key_id=key) == before
    admin.ImportKeyMaterial(encrypted_key_material=good, **fields)  # what was refused did not use the token up
    refused("INVALID_IMPORT_TOKEN", admin.ImportKeyMaterial, encrypted_key_material=good, **fields)  # this did


def test_newer_parameters_replace_older_ones(own, admin):
    key, material = own.new_key(origin=EXTERNAL), os.urandom(32)
    old = admin.GetParametersForImport(key_id=key)
    admin.GetParametersForImport(key_id=key)
    blob = importing.oaep(old.public_key, material)
    fields = {"key_id": key, "encrypted_key_material": blob, "expiration_model": FOREVER}
    refused("INVALID_IMPORT_TOKEN", admin.ImportKeyMaterial, import_token=old.import_token, **fields)
    assert state(admin, key) == PENDING_IMPORT


def test_a_token_expires(tmp_path):
    short = Service(tmp_path, keys={"import_window": "100ms"})
    short.init().start()
    try:
        key = short.new_key(origin=EXTERNAL)
        with short.client(ADMIN) as admin:
            parameters = admin.GetParametersForImport(key_id=key)
            wait_for(lambda: time.time() * 10**6 > parameters.parameters_valid_to_time_us, 5, "expiry")
            fields = {"key_id": key, "import_token": parameters.import_token, "expiration_model": FOREVER}
            blob = importing.oaep(parameters.public_key, os.urandom(32))
            refused("EXPIRED_IMPORT_TOKEN", admin.ImportKeyMaterial, encrypted_key_material=blob, **fields)
            assert state(admin, key) == PENDING_IMPORT
    finally:
        short.stop()


@pytest.mark.parametrize("level", [HSM, SOFTWARE])
def test_deleted_material_comes_back_only_as_it_was(own, admin, app, level):
    key, material = own.new_key(origin=EXTERNAL, protection_level=level), os.urandom(32)
    put(admin, key, material)
    blob = round_trip(app, key)
    admin.DeleteImportedKeyMaterial(key_id=key)
    assert state(admin, key) == PENDING_IMPORT
    refused("INVALID_KEY_STATE", app.Decrypt, ciphertext_blob=blob)
    own.stop()
    own.start()
    with own.client(ADMIN) as admin, own.client(APP) as app:
        assert state(admin, key) == PENDING_IMPORT
        with pytest.raises(Failure) as failure:
            put(admin, key, os.urandom(32))
        assert failure.value.reason == "INCORRECT_KEY_MATERIAL" and state(admin, key) == PENDING_IMPORT
        assert put(admin, key, material, RSA_AES).version == 1
        assert app.Decrypt(ciphertext_blob=blob).plaintext == b"imported"


def test_material_expires(own, admin, app):
    key, material = own.new_key(origin=EXTERNAL), os.urandom(32)
    valid_to = int((time.time() + 8) * 10**6)
    put(admin, key, material, expiration_model=1, valid_to_time_us=valid_to)
    assert admin.DescribeKey(key_id=key).key_metadata.versions[0].expiration_time_us == valid_to
    blob = round_trip(app, key)
    wait_for(lambda: state(admin, key) == PENDING_IMPORT, 20, "expiry")
    assert time.time() * 10**6 >= valid_to
    refused("INVALID_KEY_STATE", app.Decrypt, ciphertext_blob=blob)
    wait_for(lambda: own.records(kind="outcome", operation="ExpireKeyMaterial", outcome="OK"), 10, "the act")
    put(admin, key, material)
    assert app.Decrypt(ciphertext_blob=blob).plaintext == b"imported"


def test_new_material_is_a_new_version(own, admin, app):
    key, first, second = own.new_key(origin=EXTERNAL), os.urandom(32), os.urandom(32)
    put(admin, key, first)
    old = round_trip(app, key)
    assert put(admin, key, second, import_type=NEW).version == 2
    new = round_trip(app, key)
    meta = admin.DescribeKey(key_id=key).key_metadata
    assert [version.cause for version in meta.versions] == [5, 5] and meta.current_version == 2
    for blob in (old, new):
        assert app.Decrypt(ciphertext_blob=blob).plaintext == b"imported"
    with pytest.raises(Failure) as failure:
        put(admin, key, first, import_type=NEW)
    assert failure.value.reason == "ALREADY_EXISTS"
    assert put(admin, key, first).version == 1  # what is there may come again
    admin.DeleteImportedKeyMaterial(key_id=key)
    assert put(admin, key, second).key_state == PENDING_IMPORT  # the first one is missing still
    assert put(admin, key, first).key_state == ENABLED
    for blob in (old, new):
        assert app.Decrypt(ciphertext_blob=blob).plaintext == b"imported"


def test_only_what_was_agreed_is_imported(own, admin):
    ours = own.new_key()
    refused("UNSUPPORTED", admin.GetParametersForImport, key_id=ours)
    refused("UNSUPPORTED", admin.DeleteImportedKeyMaterial, key_id=ours)
    refused("UNSUPPORTED", admin.ImportKeyMaterial, key_id=ours)
    refused("INVALID_ARGUMENT", own.new_key, origin=3)
    key = own.new_key(origin=EXTERNAL)
    refused("UNSUPPORTED", admin.GetParametersForImport, key_id=key, wrapping_algorithm=3)
    refused("UNSUPPORTED", admin.GetParametersForImport, key_id=key, wrapping_key_spec=2)
    with own.client(APP) as app:
        for call in (app.GetParametersForImport, app.ImportKeyMaterial, app.DeleteImportedKeyMaterial):
            refused("ACCESS_DENIED", call, key_id=key)
    put(admin, key, os.urandom(32))
    refused("UNSUPPORTED", admin.RotateKeyOnDemand, key_id=key)


def test_from_the_command_line(own, admin, app, tmp_path):
    def kmsctl(*arguments, status=0):
        done = own.kmsctl(ADMIN, *arguments, check=False, env=ENVIRONMENT)
        assert done.returncode == status, (arguments, done.stdout, done.stderr)
        return done.stdout if status == 0 else done.stderr

    made = json.loads(kmsctl("key", "create", "--origin", "external", "--admin", ADMIN, "--user", APP, "-o", "json"))
    key, wrapped = made["key_id"], tmp_path / "wrapped"
    assert made["state"] == "PENDING_IMPORT"
    assert json.loads(kmsctl("key", "create", "--origin", "kms", "-o", "json"))["state"] == "ENABLED"
    der = tmp_path / "wrapping.der"
    reply = json.loads(kmsctl("import", "parameters", key, "--out", str(der), "-o", "json"))
    wrapped.write_bytes(importing.oaep(der.read_bytes(), os.urandom(32)))
    token = ("--token", reply["import_token"])
    assert "--token is required" in kmsctl("import", "material", key, str(wrapped), status=2)
    assert "not like 90d" in kmsctl("import", "material", key, str(wrapped), *token, "--expires", "x", status=2)
    kmsctl("import", "material", key, str(wrapped), *token, "--expires", "90d")
    round_trip(app, key)
    assert "INVALID_IMPORT_TOKEN" in kmsctl("import", "material", key, str(wrapped), *token, status=1)
    kmsctl("import", "delete", key)
    assert state(admin, key) == PENDING_IMPORT


def test_the_commands_of_the_document(own, tmp_path):
    text = (ROOT / "docs/import.md").read_text()
    commands = "\n".join(line for line in text.splitlines() if line.startswith("    "))
    assert commands.count("kmsctl import material") == 2
    mine = importing.Pair(tmp_path, "-algorithm", "RSA", "-pkeyopt", "bits:3072")
    (tmp_path / "data.key").write_bytes(os.urandom(32))
    certs, name = own.certs.dir, own.certs.client(ADMIN)
    config = tmp_path / "kmsctl.yaml"
    config.write_text(
        f"current_context: it\ncontexts:\n- name: it\n  endpoint: 127.0.0.1:{own.port}\n"
        f"  ca: {certs}/ca.pem\n  cert: {certs}/{name}.pem\n  key: {certs}/{name}.key\n"
    )
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", commands], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env=dict(ENVIRONMENT, KMSCTL_CONFIG=str(config), PATH=f"{BIN}:{os.environ['PATH']}"),
    )
    assert done.returncode == 0, done.stderr
    assert importing.openssl("pkey", "-pubin", "-in", str(tmp_path / "signer.pem"), "-outform", "DER") == mine.public_der
    with own.client(ADMIN) as admin:
        assert [state(admin, alias) for alias in ("alias/signer", "alias/data")] == [ENABLED, ENABLED]
