"""Keys that sign, verify, make MACs, and RSA keys that encrypt: against the openssl command line, both ways."""
import base64
import hashlib
import json
import subprocess
import threading
import time

import pytest

from harness import ADMIN, APP, LEVELS, OTHER, Failure, failure, key_policy
from test_kmsctl import kmsctl  # noqa: F401 (a fixture)

ENCRYPT, SIGN, MAC = 1, 2, 3
RAW, DIGEST = 1, 2
OAEP = 2
# spec, algorithm, hash, arguments of openssl pkeyutl
PSS = ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest"]
SIGNERS = {
    "rsa-2048-pss-256": (2, 1, "sha256", PSS),
    "rsa-3072-pss-384": (3, 2, "sha384", PSS),
    "rsa-4096-pss-512": (4, 3, "sha512", PSS),
    "rsa-2048-pkcs1-256": (2, 4, "sha256", []),
    "rsa-2048-pkcs1-384": (2, 5, "sha384", []),
    "rsa-2048-pkcs1-512": (2, 6, "sha512", []),
    "p-256": (5, 7, "sha256", []),
    "p-384": (6, 8, "sha384", []),
    "p-521": (7, 9, "sha512", []),
    "ed25519": (8, 10, None, []),
}


def openssl(*argv, data=None, check=True):
    return subprocess.run(["openssl", *map(str, argv)], input=data, capture_output=True, timeout=60, check=check)


@pytest.fixture(scope="module")
def keys(service):
    """keys(spec, usage, level): one key of each kind, made at the first need."""
    made = {}

    def of(spec, usage, level):
        if spec == 8:
            level = 2  # SoftHSM cannot wrap Ed25519
        kind = (spec, usage, level)
        if kind not in made:
            made[kind] = service.new_key(key_spec=spec, key_usage=usage, protection_level=level)
        return made[kind]

    return of


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("signer", SIGNERS)
def test_openssl_verifies_what_kmsd_signs(app, keys, tmp_path, signer, level):
    spec, algorithm, hashed, options = SIGNERS[signer]
    key, message = keys(spec, SIGN, LEVELS[level]), b"signed by kmsd" * 50
    signed = app.Sign(key_id=key, message=message, signing_algorithm=algorithm)
    assert signed.signing_algorithm == algorithm and signed.key_version == 1 and signed.key_id.endswith(key)
    assert app.Verify(
        key_id=key, message=message, signature=signed.signature, signing_algorithm=algorithm
    ).signature_valid
    public = app.GetPublicKey(key_id=key)
    (tmp_path / "pem").write_text(public.public_key_pem)
    (tmp_path / "der").write_bytes(public.public_key)
    (tmp_path / "message").write_bytes(message)
    (tmp_path / "signature").write_bytes(signed.signature)
    same = openssl("pkey", "-pubin", "-in", tmp_path / "pem", "-outform", "DER").stdout
    assert same == public.public_key
    digest = ["-digest", hashed] if hashed else []
    command = ["pkeyutl", "-verify", "-rawin", *digest, "-pubin", "-keyform", "DER", "-inkey", tmp_path / "der", *options]
    files = ["-in", tmp_path / "message", "-sigfile", tmp_path / "signature"]
    assert b"Verified Successfully" in openssl(*command, *files).stdout
    (tmp_path / "message").write_bytes(message + b"x")
    assert openssl(*command, *files, check=False).returncode != 0
    wrong = failure(app.Verify, key_id=key, message=b"x", signature=signed.signature, signing_algorithm=algorithm)
    assert (wrong.code, wrong.reason) == ("INVALID_ARGUMENT", "INVALID_SIGNATURE")


@pytest.mark.parametrize("level", LEVELS)
def test_digests_are_signed_as_their_messages(app, keys, level):
    key, message = keys(6, SIGN, LEVELS[level]), b"a message"
    digest = hashlib.sha384(message).digest()
    signed = app.Sign(key_id=key, message=digest, message_type=DIGEST, signing_algorithm=8)
    assert app.Verify(key_id=key, message=message, signature=signed.signature, signing_algorithm=8).signature_valid
    wrong = failure(app.Sign, key_id=key, message=digest[1:], message_type=DIGEST, signing_algorithm=8)
    assert wrong.reason == "INVALID_ARGUMENT" and "48 bytes, not 47" in wrong.message
    ed = keys(8, SIGN, 2)
    wrong = failure(app.Sign, key_id=ed, message=bytes(64), message_type=DIGEST, signing_algorithm=10)
    assert wrong.reason == "INVALID_ARGUMENT" and "RAW" in wrong.message


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("spec", [2, 3, 4])
def test_what_openssl_encrypts_kmsd_decrypts(app, keys, tmp_path, spec, level):
    key, plaintext = keys(spec, ENCRYPT, LEVELS[level]), b"a data key of 32 bytes, it is so"
    (tmp_path / "pem").write_text(app.GetPublicKey(key_id=key).public_key_pem)
    oaep = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256"]
    sealed = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", tmp_path / "pem", *oaep, data=plaintext).stdout
    opened = app.Decrypt(key_id=key, ciphertext_blob=sealed, encryption_algorithm=OAEP)
    assert opened.plaintext == plaintext and opened.encryption_algorithm == OAEP
    ours = app.Encrypt(key_id=key, plaintext=plaintext, encryption_algorithm=OAEP)
    assert len(ours.ciphertext_blob) == len(sealed) and ours.encryption_algorithm == OAEP
    assert app.Decrypt(key_id=key, ciphertext_blob=ours.ciphertext_blob, encryption_algorithm=OAEP).plaintext == plaintext
    messages = set()
    for bad in (sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[1:], bytes(len(sealed)), b"\xff" * len(sealed), b"x"):
        wrong = failure(app.Decrypt, key_id=key, ciphertext_blob=bad, encryption_algorithm=OAEP)
        messages.add((wrong.reason, wrong.message))
    assert len(messages) == 1 and messages.pop()[0] == "INVALID_CIPHERTEXT"  # nothing tells what was wrong


def test_rsa_encryption_has_its_limits(app, keys):
    key = keys(2, ENCRYPT, 1)
    assert app.Encrypt(key_id=key, plaintext=bytes(190), encryption_algorithm=OAEP)
    wrong = failure(app.Encrypt, key_id=key, plaintext=bytes(191), encryption_algorithm=OAEP)
    assert wrong.reason == "INVALID_ARGUMENT" and "at most 190 bytes" in wrong.message
    wrong = failure(app.Encrypt, key_id=key, plaintext=b"x", encryption_algorithm=OAEP, encryption_context={"a": "b"})
    assert wrong.reason == "INVALID_ARGUMENT" and "encryption_context" in wrong.message
    assert failure(app.Encrypt, key_id=key, plaintext=b"x", encryption_algorithm=3).reason == "UNSUPPORTED"
    assert failure(app.Encrypt, key_id=key, plaintext=b"x", encryption_algorithm=9).reason == "INVALID_ARGUMENT"
    assert failure(app.Encrypt, key_id=key, plaintext=b"x").reason == "INVALID_KEY_USAGE"
    assert failure(app.Decrypt, key_id="", ciphertext_blob=bytes(256), encryption_algorithm=OAEP).code in (
        "INVALID_ARGUMENT",
        "PERMISSION_DENIED",
    )
    assert failure(app.GenerateDataKey, key_id=key, number_of_bytes=32).reason == "INVALID_KEY_USAGE"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", [256, 384, 512])
def test_macs_are_those_of_anybody(app, keys, size, level):
    number = {256: 1, 384: 2, 512: 3}[size]
    key = keys(8 + number, MAC, LEVELS[level])
    made = app.GenerateMac(key_id=key, message=b"a message", mac_algorithm=number)
    assert len(made.mac) == size // 8 and made.mac_algorithm == number
    assert app.VerifyMac(key_id=key, message=b"a message", mac=made.mac, mac_algorithm=number).mac_valid
    for bad in (made.mac[:-1], made.mac[:-1] + bytes([made.mac[-1] ^ 1]), made.mac + b"x"):
        wrong = failure(app.VerifyMac, key_id=key, message=b"a message", mac=bad, mac_algorithm=number)
        assert (wrong.code, wrong.reason) == ("INVALID_ARGUMENT", "INVALID_MAC")
    assert failure(app.VerifyMac, key_id=key, message=b"x", mac=made.mac, mac_algorithm=number).reason == "INVALID_MAC"
    assert failure(app.GetPublicKey, key_id=key).reason == "INVALID_KEY_USAGE"
    other = failure(app.GenerateMac, key_id=key, message=b"x", mac_algorithm=number % 3 + 1)
    assert other.reason == "INVALID_KEY_USAGE" and "HMAC_SHA" in other.message


def test_a_key_does_what_it_was_made_for(app, keys, service):
    aes, rsa_sign, p256, mac = service.new_key(), keys(2, SIGN, 1), keys(5, SIGN, 1), keys(9, MAC, 1)
    for call, fields in (
        (app.Sign, {"key_id": aes, "message": b"x", "signing_algorithm": 1}),
        (app.Sign, {"key_id": p256, "message": b"x", "signing_algorithm": 1}),
        (app.Sign, {"key_id": p256, "message": b"x", "signing_algorithm": 8}),
        (app.Sign, {"key_id": mac, "message": b"x", "signing_algorithm": 7}),
        (app.GenerateMac, {"key_id": aes, "message": b"x", "mac_algorithm": 1}),
        (app.Encrypt, {"key_id": rsa_sign, "plaintext": b"x", "encryption_algorithm": OAEP}),
        (app.Encrypt, {"key_id": aes, "plaintext": b"x", "encryption_algorithm": OAEP}),
        (app.Encrypt, {"key_id": mac, "plaintext": b"x"}),
        (app.GetPublicKey, {"key_id": aes}),
        (app.GenerateDataKeyPair, {"key_id": p256, "key_pair_spec": 5}),
    ):
        assert failure(call, **fields).reason == "INVALID_KEY_USAGE", fields
    for call, fields, word in (
        (app.Sign, {"key_id": p256, "message": b"x"}, "signing_algorithm"),
        (app.Sign, {"key_id": p256, "message": b"x", "signing_algorithm": 99}, "signing_algorithm"),
        (app.Sign, {"key_id": p256, "message": b"", "signing_algorithm": 7}, "1 to 4096 bytes"),
        (app.Sign, {"key_id": p256, "message": bytes(4097), "signing_algorithm": 7}, "1 to 4096 bytes"),
        (app.Sign, {"key_id": p256, "message": b"x", "message_type": 7, "signing_algorithm": 7}, "message_type"),
        (app.Verify, {"key_id": p256, "message": b"x", "signature": b"", "signing_algorithm": 7}, "signature"),
        (app.Verify, {"key_id": p256, "message": b"x", "signature": bytes(6145), "signing_algorithm": 7}, "signature"),
        (app.GenerateMac, {"key_id": mac, "message": b"x"}, "mac_algorithm"),
        (app.VerifyMac, {"key_id": mac, "message": b"x", "mac": b"", "mac_algorithm": 1}, "mac"),
        (app.GenerateDataKeyPair, {"key_id": aes, "key_pair_spec": 9}, "key_pair_spec"),
    ):
        wrong = failure(call, **fields)
        assert wrong.reason == "INVALID_ARGUMENT" and word in wrong.message, fields


@pytest.mark.parametrize("spec", [2, 4, 5, 6, 7, 8])
def test_data_key_pairs_are_openssls_too(app, service, tmp_path, spec):
    aes = service.new_key(protection_level=1 + spec % 2)
    pair = app.GenerateDataKeyPair(key_id=aes, key_pair_spec=spec, encryption_context={"a": "b"})
    assert pair.key_pair_spec == spec and pair.key_version == 1
    opened = app.Decrypt(ciphertext_blob=pair.private_key_ciphertext_blob, encryption_context={"a": "b"})
    assert opened.plaintext == pair.private_key_plaintext
    assert failure(app.Decrypt, ciphertext_blob=pair.private_key_ciphertext_blob).reason == "INVALID_CIPHERTEXT"
    (tmp_path / "private").write_bytes(pair.private_key_plaintext)
    public = openssl("pkey", "-inform", "DER", "-in", tmp_path / "private", "-pubout", "-outform", "DER").stdout
    assert public == pair.public_key
    only = app.GenerateDataKeyPairWithoutPlaintext(key_id=aes, key_pair_spec=spec)
    (tmp_path / "private").write_bytes(app.Decrypt(ciphertext_blob=only.private_key_ciphertext_blob).plaintext)
    public = openssl("pkey", "-inform", "DER", "-in", tmp_path / "private", "-pubout", "-outform", "DER").stdout
    assert public == only.public_key != pair.public_key


def test_what_a_data_key_pair_signs_verifies_under_its_public_key(app, service, tmp_path):
    pair = app.GenerateDataKeyPair(key_id=service.new_key(), key_pair_spec=5)
    (tmp_path / "private").write_bytes(pair.private_key_plaintext)
    (tmp_path / "public").write_bytes(pair.public_key)
    (tmp_path / "message").write_bytes(b"signed outside")
    signature = openssl("dgst", "-sha256", "-sign", tmp_path / "private", "-keyform", "DER", tmp_path / "message").stdout
    (tmp_path / "signature").write_bytes(signature)
    check = ["-verify", tmp_path / "public", "-keyform", "DER", "-signature", tmp_path / "signature", tmp_path / "message"]
    assert b"OK" in openssl("dgst", "-sha256", *check).stdout


def test_describe_says_what_a_key_is(service, app, keys):
    with service.client(ADMIN) as admin:
        rsa = admin.DescribeKey(key_id=keys(2, ENCRYPT, 1)).key_metadata
        assert (rsa.key_spec, rsa.key_usage, rsa.protection_level) == (2, ENCRYPT, 1)
        assert list(rsa.encryption_algorithms) == [OAEP] and not rsa.signing_algorithms
        assert rsa.material_exposure == "in the token; the OAEP padding of what it decrypts is checked in kms-hsm"
        signer = admin.DescribeKey(key_id=keys(3, SIGN, 1)).key_metadata
        assert list(signer.signing_algorithms) == [1, 2, 3, 4, 5, 6] and signer.material_exposure == "in the token"
        mac = admin.DescribeKey(key_id=keys(10, MAC, 2)).key_metadata
        assert list(mac.mac_algorithms) == [2] and mac.material_exposure == "in the memory of kms-hsm"
        ed = admin.CreateKey(key_spec=8, policy=key_policy()).key_metadata
        assert (ed.key_usage, ed.protection_level) == (SIGN, 2)  # the usage that it has, the level that works
        public = app.GetPublicKey(key_id=ed.key_id)
        assert (public.key_spec, public.key_usage, list(public.signing_algorithms)) == (8, SIGN, [10])


def test_create_key_refuses_what_cannot_be(service):
    with service.client(ADMIN) as admin:
        for fields, reason, word in (
            ({"key_spec": 8, "protection_level": 1}, "UNSUPPORTED", "CKR_KEY_NOT_WRAPPABLE"),
            ({"key_spec": 99}, "UNSUPPORTED", "key_spec"),
            ({"key_spec": 2}, "INVALID_ARGUMENT", "key_usage"),
            ({"key_spec": 5, "key_usage": ENCRYPT}, "INVALID_ARGUMENT", "key_usage"),
            ({"key_spec": 1, "key_usage": SIGN}, "INVALID_ARGUMENT", "key_usage"),
            ({"key_spec": 9, "key_usage": 9}, "INVALID_ARGUMENT", "key_usage"),
        ):
            wrong = failure(admin.CreateKey, policy=key_policy(), **fields)
            assert wrong.reason == reason and word in wrong.message, fields
        key = service.new_key(key_spec=9)
        wrong = failure(admin.RotateKeyOnDemand, key_id=key)
        assert wrong.reason == "UNSUPPORTED" and "only symmetric keys" in wrong.message


def conditional(action, conditions):
    document = json.loads(key_policy(users=()))
    statement = {"Sid": "Use", "Effect": "Allow", "Principal": {"AWS": APP}, "Action": action, "Resource": "*"}
    document["Statement"].append({**statement, "Condition": {"StringEquals": conditions}})
    return json.dumps(document)


def test_conditions_see_algorithm_and_type(service, app):
    wanted = {"kms:SigningAlgorithm": "ECDSA_SHA_256", "kms:MessageType": "DIGEST", "kms:KeySpec": "ECC_NIST_P256"}
    key = service.new_key(key_spec=5, policy=conditional(["kms:Sign", "kms:DescribeKey"], wanted))
    assert app.Sign(key_id=key, message=bytes(32), message_type=DIGEST, signing_algorithm=7)
    assert failure(app.Sign, key_id=key, message=bytes(32), signing_algorithm=7).reason == "ACCESS_DENIED"
    record = [r for r in service.records(operation="Sign", outcome="OK") if r["access"][0]["key_id"] == key][0]
    inputs = record["access"][0]["inputs"]
    assert inputs["signing_algorithm"] == "ECDSA_SHA_256" and inputs["message_type"] == "DIGEST"
    assert inputs["key_spec"] == "ECC_NIST_P256" and inputs["key_usage"] == "SIGN_VERIFY"
    mac = service.new_key(key_spec=9, policy=conditional("kms:GenerateMac", {"kms:MacAlgorithm": "HMAC_SHA_256"}))
    assert app.GenerateMac(key_id=mac, message=b"x", mac_algorithm=1)
    no = service.new_key(key_spec=9, policy=conditional("kms:GenerateMac", {"kms:MacAlgorithm": "HMAC_SHA_384"}))
    assert failure(app.GenerateMac, key_id=no, message=b"x", mac_algorithm=1).reason == "ACCESS_DENIED"
    pair = service.new_key(policy=conditional("kms:GenerateDataKeyPair", {"kms:DataKeyPairSpec": "ECC_NIST_P256"}))
    assert app.GenerateDataKeyPair(key_id=pair, key_pair_spec=5)
    assert failure(app.GenerateDataKeyPair, key_id=pair, key_pair_spec=6).reason == "ACCESS_DENIED"
    oaep = {"kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    rsa = service.new_key(key_spec=2, key_usage=ENCRYPT, policy=conditional("kms:Encrypt", oaep))
    assert app.Encrypt(key_id=rsa, plaintext=b"x", encryption_algorithm=OAEP)
    assert failure(app.Encrypt, key_id=rsa, plaintext=b"x").reason == "ACCESS_DENIED"


def test_who_may_not_is_denied(service, keys):
    with service.client(OTHER) as other, service.client(ADMIN) as admin:
        for client in (other, admin):
            assert failure(client.Sign, key_id=keys(5, SIGN, 1), message=b"x", signing_algorithm=7).reason == "ACCESS_DENIED"
            assert failure(client.GenerateMac, key_id=keys(9, MAC, 1), message=b"x", mac_algorithm=1).reason == "ACCESS_DENIED"
        assert admin.GetPublicKey(key_id=keys(5, SIGN, 1)).public_key  # of class read
        assert failure(other.GetPublicKey, key_id=keys(5, SIGN, 1)).reason == "ACCESS_DENIED"


def test_rsa_keys_in_the_making_delay_nobody_and_are_few(service, app):
    """limits.rsa_keys_per_principal is 2: of many at once some are refused; encryption goes on meanwhile."""
    aes = service.new_key()
    outcomes, longest = [], 0

    def make():
        with service.client(APP) as client:
            try:
                client.GenerateDataKeyPairWithoutPlaintext(key_id=aes, key_pair_spec=4, timeout=60)
                outcomes.append("OK")
            except Failure as refused:
                outcomes.append(refused.reason)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        begun = time.monotonic()
        app.Encrypt(key_id=aes, plaintext=b"x")
        longest = max(longest, time.monotonic() - begun)
    assert sorted(set(outcomes)) == ["LIMIT_EXCEEDED", "OK"] and outcomes.count("OK") >= 2, outcomes
    assert longest < 2, longest


def test_kmsctl_signs_and_verifies(kmsctl, tmp_path):  # noqa: F811
    made = json.loads(
        kmsctl(ADMIN, "key", "create", "--spec", "ECC_NIST_P256", "--admin", ADMIN, "--user", APP, "-o", "json")
    )
    key, message, signature, pem = made["key_id"], tmp_path / "m", tmp_path / "s", tmp_path / "pem"
    assert (made["key_spec"], made["key_usage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")
    message.write_bytes(b"to be signed")
    how = ["--key", key, "--algorithm", "ECDSA_SHA_256", "--in", message]
    kmsctl(APP, "sign", *how, "--out", signature)
    answer = json.loads(kmsctl(APP, "verify", *how, "--signature", signature, "-o", "json"))
    assert answer["signature_valid"] is True and answer["signing_algorithm"] == "ECDSA_SHA_256"
    kmsctl(APP, "public-key", key, "--out", pem)
    assert b"OK" in openssl("dgst", "-sha256", "-verify", pem, "-signature", signature, message).stdout
    kmsctl(APP, "public-key", key, "--der", "--out", tmp_path / "der")
    assert openssl("pkey", "-pubin", "-in", pem, "-outform", "DER").stdout == (tmp_path / "der").read_bytes()
    message.write_bytes(hashlib.sha256(b"to be signed").digest())
    assert kmsctl(APP, "verify", *how, "--digest", "--signature", signature)
    message.write_bytes(b"something else")
    refused = kmsctl(APP, "verify", *how, "--signature", signature, status=6)
    assert refused.startswith("kmsctl: INVALID_SIGNATURE: ")
    assert "--algorithm" in kmsctl(APP, "sign", "--key", key, "--in", message, status=2)
    assert "--signature" in kmsctl(APP, "verify", *how, status=2)


def test_kmsctl_makes_macs_and_pairs(kmsctl, tmp_path):  # noqa: F811
    create = ["key", "create", "--admin", ADMIN, "--user", APP, "-o", "json"]
    mac_key = json.loads(kmsctl(ADMIN, *create, "--spec", "HMAC_384"))["key_id"]
    how = ["--key", mac_key, "--algorithm", "HMAC_SHA_384"]
    text = kmsctl(APP, "mac", *how, "--base64", input="a message").strip()
    (tmp_path / "mac").write_bytes(base64.b64decode(text))
    assert kmsctl(APP, "verify-mac", *how, "--mac", tmp_path / "mac", input="a message")
    assert kmsctl(APP, "verify-mac", *how, "--mac", tmp_path / "mac", input="x", status=6).startswith("kmsctl: INVALID_MAC")
    aes = json.loads(kmsctl(ADMIN, *create))["key_id"]
    pair = ["data-key-pair", "--key", aes, "--spec", "ECC_NIST_P384", "-o", "json"]
    plain = json.loads(kmsctl(APP, *pair))
    wrapped = plain["private_key_ciphertext_blob"]
    assert kmsctl(APP, "decrypt", "--base64", input=wrapped).strip() == plain["private_key_plaintext"]
    assert "private_key_plaintext" not in json.loads(kmsctl(APP, *pair, "--without-plaintext"))
    rsa = json.loads(kmsctl(ADMIN, *create, "--spec", "RSA_2048", "--usage", "ENCRYPT_DECRYPT"))["key_id"]
    oaep = ["--key", rsa, "--algorithm", "RSAES_OAEP_SHA_256"]
    kmsctl(APP, "encrypt", *oaep, "--out", tmp_path / "sealed", input="few bytes")
    assert kmsctl(APP, "decrypt", *oaep, "--in", tmp_path / "sealed") == "few bytes"
    wanted = kmsctl(ADMIN, "key", "create", "--spec", "RSA_2048", "--admin", ADMIN, status=1)
    assert wanted.startswith("kmsctl: INVALID_ARGUMENT: ") and "key_usage" in wanted


def test_keys_are_the_same_after_a_restart(service, app, keys):
    signer, mac = keys(5, SIGN, 1), keys(9, MAC, 1)
    signed = app.Sign(key_id=signer, message=b"before", signing_algorithm=7)
    made = app.GenerateMac(key_id=mac, message=b"before", mac_algorithm=1)
    public = app.GetPublicKey(key_id=signer).public_key
    service.stop()
    service.start()
    with service.client(APP) as after:
        assert after.Verify(key_id=signer, message=b"before", signature=signed.signature, signing_algorithm=7)
        assert after.VerifyMac(key_id=mac, message=b"before", mac=made.mac, mac_algorithm=1)
        assert after.GetPublicKey(key_id=signer).public_key == public
