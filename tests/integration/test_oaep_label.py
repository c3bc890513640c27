"""The label of RSAES-OAEP: against openssl, in policies and records, and what takes none."""
import base64

import pytest

from harness import LEVELS, failure
from test_asymmetric import ENCRYPT, OAEP, conditional, keys, openssl  # noqa: F401 (keys is a fixture)
from test_batch import outcomes


@pytest.mark.parametrize("level", LEVELS)
def test_a_label_binds_what_an_rsa_key_encrypts(app, keys, tmp_path, level):  # noqa: F811
    key, plaintext, label = keys(2, ENCRYPT, LEVELS[level]), b"a session key", b"prod/mail"
    (tmp_path / "pem").write_text(app.GetPublicKey(key_id=key).public_key_pem)
    oaep = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256"]
    for length in (1, 9, 317, 512):
        long = (label * 60)[:length]
        given = ["-pkeyopt", "rsa_oaep_label:" + long.hex()]
        theirs = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", tmp_path / "pem", *oaep, *given, data=plaintext).stdout
        ours = app.Encrypt(key_id=key, plaintext=plaintext, encryption_algorithm=OAEP, oaep_label=long).ciphertext_blob
        messages = set()
        for sealed in (theirs, ours):
            fields = {"key_id": key, "ciphertext_blob": sealed, "encryption_algorithm": OAEP}
            assert app.Decrypt(**fields, oaep_label=long).plaintext == plaintext
            for other in (b"", long[:-1] + b"?", long[:-1], b"prod/mai", bytes(length)):
                wrong = failure(app.Decrypt, **fields, oaep_label=other)
                messages.add((wrong.reason, wrong.message))
        assert len(messages) == 1 and messages.pop()[0] == "INVALID_CIPHERTEXT"  # as with any other damage


def test_what_labels_are_not_for(app, service, keys):  # noqa: F811
    rsa, aes = keys(2, ENCRYPT, 1), service.new_key()
    wrong = failure(app.Encrypt, key_id=rsa, plaintext=b"x", encryption_algorithm=OAEP, oaep_label=bytes(513))
    assert wrong.reason == "INVALID_ARGUMENT" and "oaep_label: at most 512 bytes, not 513" in wrong.message
    for call, fields in ((app.Encrypt, {"plaintext": b"x"}), (app.Decrypt, {"ciphertext_blob": bytes(256)})):
        wrong = failure(call, key_id=rsa, encryption_algorithm=OAEP, oaep_label=bytes(600), **fields)
        assert wrong.reason == "INVALID_ARGUMENT" and "at most 512 bytes" in wrong.message
    sealed = app.Encrypt(key_id=aes, plaintext=b"x").ciphertext_blob
    for call, fields in ((app.Encrypt, {"plaintext": b"x"}), (app.Decrypt, {"ciphertext_blob": sealed})):
        wrong = failure(call, key_id=aes, oaep_label=b"a/b", **fields)
        assert wrong.reason == "INVALID_ARGUMENT"
        assert "oaep_label: SYMMETRIC_DEFAULT takes none: RSAES_OAEP_SHA_256 does" in wrong.message


def test_policies_and_records_see_the_label(app, service):
    wanted = {"kms:OaepLabel": "prod/mail"}
    key = service.new_key(key_spec=2, key_usage=ENCRYPT, policy=conditional(["kms:Encrypt", "kms:Decrypt"], wanted))
    fields = {"key_id": key, "encryption_algorithm": OAEP}
    sealed = app.Encrypt(**fields, plaintext=b"x", oaep_label=b"prod/mail").ciphertext_blob
    assert app.Decrypt(**fields, ciphertext_blob=sealed, oaep_label=b"prod/mail").plaintext == b"x"
    # text that looks like the form of what is no text is no way around
    for label in (b"", b"prod/other", b"\xff\x00", b"base64:cHJvZC9tYWls", b"prod/mail\0"):
        assert failure(app.Decrypt, **fields, ciphertext_blob=sealed, oaep_label=label).reason == "ACCESS_DENIED"
    seen = [
        record["access"][0].get("inputs", {}).get("oaep_label")
        for record in service.records(operation="Decrypt")
        if record["access"][0]["key_id"] == key
    ]
    assert seen[:3] == ["prod/mail", None, "prod/other"]
    assert seen[3:] == ["base64:" + base64.b64encode(b).decode() for b in (b"\xff\0", b"base64:cHJvZC9tYWls", b"prod/mail\0")]


def test_items_of_a_batch_have_labels_of_their_own(app, service):
    key = service.new_key(key_spec=2, key_usage=ENCRYPT, policy=conditional("kms:*crypt", {"kms:OaepLabel": "ns/a"}))
    fields = {"key_id": key, "encryption_algorithm": OAEP, "plaintext": b"x"}
    labels = [b"ns/a", b"ns/b", b"ns/a", b""]
    answer = app.EncryptBatch(items=[{**fields, "oaep_label": label} for label in labels])
    assert outcomes(answer.results) == ["OK", "ACCESS_DENIED", "OK", "ACCESS_DENIED"]
