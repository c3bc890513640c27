"""Imported key pairs, as the openssl command line makes them: each spec at both levels; what is no such key is refused."""
import os

import pytest

import importing
from harness import Failure
from importing import ENABLED, EXTERNAL, HSM, OAEP, PENDING_IMPORT, RSA_AES, SOFTWARE, Pair, put, state

SIGN, ENCRYPT = 2, 1
PSS = ("-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest")
# name: key spec, arguments of openssl genpkey, signing algorithm, arguments of openssl pkeyutl
SPECS = {
    "rsa-2048": (2, ("-algorithm", "RSA", "-pkeyopt", "bits:2048"), 1, ("-digest", "sha256", *PSS)),
    "rsa-3072": (3, ("-algorithm", "RSA", "-pkeyopt", "bits:3072"), 5, ("-digest", "sha384")),
    "rsa-4096": (4, ("-algorithm", "RSA", "-pkeyopt", "bits:4096"), 3, ("-digest", "sha512", *PSS)),
    "p-256": (5, ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"), 7, ("-digest", "sha256")),
    "p-384": (6, ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"), 8, ("-digest", "sha384")),
    "p-521": (7, ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"), 9, ("-digest", "sha512")),
    "ed25519": (8, ("-algorithm", "ED25519"), 10, ()),
}
LEVELS = {"hsm": HSM, "software": SOFTWARE}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """pair(name): one of each for all tests."""
    made = {}

    def of(name):
        if name not in made:
            made[name] = Pair(tmp_path_factory.mktemp(name), *SPECS[name][1])
        return made[name]

    return of


def refused(reason, call, **fields):
    with pytest.raises(Failure) as caught:
        call(**fields)
    assert caught.value.reason == reason, caught.value
    return caught.value


def waiting_key(service, spec, usage=SIGN, level=HSM):
    return service.new_key(origin=EXTERNAL, key_spec=spec, key_usage=usage, protection_level=level)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", SPECS)
def test_openssl_verifies_what_an_imported_key_signs(service, admin, app, pair, tmp_path, name, level):
    spec, _, algorithm, options = SPECS[name]
    if name == "ed25519" and level == "hsm":
        assert "token cannot" in refused("UNSUPPORTED", waiting_key, service=service, spec=spec).message
        assert admin.DescribeKey(key_id=service.new_key(origin=EXTERNAL, key_spec=spec)).key_metadata.protection_level == SOFTWARE
        return
    key, mine = waiting_key(service, spec, level=LEVELS[level]), pair(name)
    refused("INVALID_KEY_STATE", app.GetPublicKey, key_id=key)
    reply = put(admin, key, mine.pkcs8, RSA_AES)
    assert (reply.version, reply.key_state, state(admin, key)) == (1, ENABLED, ENABLED)
    assert app.GetPublicKey(key_id=key).public_key == mine.public_der
    message = os.urandom(100)
    signed = app.Sign(key_id=key, message=message, signing_algorithm=algorithm)
    assert mine.verifies(tmp_path, message, signed.signature, *options)
    assert app.Verify(key_id=key, message=message, signature=signed.signature, signing_algorithm=algorithm).signature_valid


@pytest.mark.parametrize("level", LEVELS)
def test_an_imported_rsa_key_opens_what_openssl_encrypts(service, admin, app, pair, level):
    key, mine = waiting_key(service, 2, ENCRYPT, LEVELS[level]), pair("rsa-2048")
    put(admin, key, mine.pkcs8, RSA_AES)
    sealed = importing.oaep(mine.public_der, b"for the key's owner")
    assert app.Decrypt(key_id=key, ciphertext_blob=sealed, encryption_algorithm=2).plaintext == b"for the key's owner"


def test_the_same_pair_comes_back_however_it_is_written(service, admin, app, pair, tmp_path):
    key, mine = waiting_key(service, 5), pair("p-256")
    put(admin, key, mine.pkcs8, RSA_AES)
    admin.DeleteImportedKeyMaterial(key_id=key)
    refused("INVALID_KEY_STATE", app.Sign, key_id=key, message=b"m", signing_algorithm=7)
    other = Pair(tmp_path, *SPECS["p-256"][1])
    refused("INCORRECT_KEY_MATERIAL", put, admin=admin, key=key, material=other.pkcs8, algorithm=RSA_AES)
    assert state(admin, key) == PENDING_IMPORT
    bare = importing.openssl("pkey", "-in", str(mine.private), "-ec_conv_form", "compressed", "-outform", "DER")
    shorter = importing.openssl("pkcs8", "-topk8", "-nocrypt", "-inform", "DER", "-outform", "DER", data=bare)
    assert len(shorter) < len(mine.pkcs8)
    assert put(admin, key, shorter, RSA_AES).key_state == ENABLED
    assert app.GetPublicKey(key_id=key).public_key == mine.public_der
    failure = refused("UNSUPPORTED", put, admin=admin, key=key, material=other.pkcs8, algorithm=RSA_AES, import_type=2)
    assert "does not say which version" in failure.message


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_no_such_pair_is_refused_and_changes_nothing(service, admin, pair, tmp_path, level):
    (tmp_path / "k1").mkdir()
    koblitz = Pair(tmp_path / "k1", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1")
    good = pair("p-256").pkcs8
    damaged = bytearray(good)
    damaged[-1] ^= 1  # of the public half
    wrong = {
        5: [pair("p-384").pkcs8, pair("rsa-2048").pkcs8, pair("ed25519").pkcs8, koblitz.pkcs8, good + b"\0", good[:-1],
            bytes(damaged), pair("p-256").public_der, pair("p-256").private.read_bytes(), os.urandom(32)],
        3: [pair("rsa-2048").pkcs8, pair("p-256").pkcs8],
    }
    messages = set()
    for spec, materials in wrong.items():
        key = waiting_key(service, spec, level=LEVELS[level])
        assert "RSA_AES_KEY_WRAP" in refused("UNSUPPORTED", admin.GetParametersForImport, key_id=key, wrapping_algorithm=OAEP).message
        parameters, before = admin.GetParametersForImport(key_id=key), admin.DescribeKey(key_id=key)
        fields = {"key_id": key, "import_token": parameters.import_token, "expiration_model": 2}
        blobs = [importing.rsa_aes(parameters.public_key, material) for material in materials]
        whole = importing.rsa_aes(parameters.public_key, good)
        blobs += [whole[:-8], whole + bytes(8), whole[:512], whole[:-1] + bytes([whole[-1] ^ 1])]
        for blob in blobs:
            failure = refused("INCORRECT_KEY_MATERIAL", admin.ImportKeyMaterial, encrypted_key_material=blob, **fields)
            messages.add(failure.message)
            assert admin.DescribeKey(key_id=key) == before
        if spec == 5:
            admin.ImportKeyMaterial(encrypted_key_material=whole, **fields)  # what was refused did not use the token up
    assert len(messages) == 1
