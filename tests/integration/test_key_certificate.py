"""GetKeyCertificate: a certificate of an RSA key that encrypts, signed by the key where it is."""
import datetime

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from harness import ADMIN, APP, LEVELS, OTHER, failure
from test_asymmetric import conditional

ENCRYPT, SIGN = 1, 2
DAY = datetime.timedelta(days=1)


def parsed(reply):
    certificate = x509.load_der_x509_certificate(reply.certificate)
    assert x509.load_pem_x509_certificate(reply.certificate_pem.encode()) == certificate
    return certificate


def verify(certificate):
    certificate.public_key().verify(
        certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), hashes.SHA256()
    )


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("spec", [2, 3, 4])
def test_the_key_signs_a_certificate_of_itself(service, app, spec, level):
    key = service.new_key(key_spec=spec, key_usage=ENCRYPT, protection_level=LEVELS[level])
    reply = app.GetKeyCertificate(key_id=key)
    certificate = parsed(reply)
    verify(certificate)
    public = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert public == app.GetPublicKey(key_id=key).public_key
    assert certificate.subject == certificate.issuer and certificate.subject.rfc4514_string() == "CN=" + key
    assert certificate.version == x509.Version.v3 and certificate.signature_hash_algorithm.name == "sha256"
    assert certificate.not_valid_after - certificate.not_valid_before == 3650 * DAY
    assert certificate.not_valid_before.replace(tzinfo=datetime.timezone.utc).timestamp() * 1e6 == reply.not_before_time_us
    assert certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp() * 1e6 == reply.not_after_time_us
    extensions = {one.oid._name: one for one in certificate.extensions}
    assert extensions["basicConstraints"].critical and not extensions["basicConstraints"].value.ca
    usage = extensions["keyUsage"].value
    assert extensions["keyUsage"].critical and usage.key_encipherment
    assert not (usage.digital_signature or usage.key_cert_sign or usage.crl_sign or usage.data_encipherment)
    assert 2**126 <= certificate.serial_number < 2**127
    again = parsed(app.GetKeyCertificate(key_id=key))
    assert again.serial_number != certificate.serial_number
    assert reply.key_id.endswith(key) and reply.key_version == 1
    broken = bytearray(reply.certificate)
    broken[-1] ^= 1
    with pytest.raises(InvalidSignature):
        verify(x509.load_der_x509_certificate(bytes(broken)))


def test_name_and_validity_are_the_callers(service, app):
    key = service.new_key(key_spec=2, key_usage=ENCRYPT)
    reply = app.GetKeyCertificate(key_id=key, validity_days=1, common_name="Müller, O=x")
    certificate = parsed(reply)
    verify(certificate)
    assert [a.value for a in certificate.subject] == ["Müller, O=x"]
    assert certificate.not_valid_after - certificate.not_valid_before == DAY
    assert parsed(app.GetKeyCertificate(key_id=key, validity_days=36500)).not_valid_after.year > 2120
    for fields, words in (
        ({"validity_days": 36501}, "validity_days: 1 to 36500, not 36501"),
        ({"common_name": "x" * 65}, "common_name: at most 64 bytes, not 65"),
    ):
        wrong = failure(app.GetKeyCertificate, key_id=key, **fields)
        assert wrong.reason == "INVALID_ARGUMENT" and words in wrong.message
    assert parsed(app.GetKeyCertificate(key_id=key, common_name="y" * 64))


def test_other_keys_have_none(service, app):
    for fields in ({}, {"key_spec": 2, "key_usage": SIGN}, {"key_spec": 5}, {"key_spec": 9}):
        wrong = failure(app.GetKeyCertificate, key_id=service.new_key(**fields))
        assert wrong.reason == "INVALID_KEY_USAGE" and "RSA keys for ENCRYPT_DECRYPT" in wrong.message


def test_who_may_not_is_denied_and_recorded(service, app):
    key = service.new_key(key_spec=2, key_usage=ENCRYPT)
    with service.client(OTHER) as other:
        assert failure(other.GetKeyCertificate, key_id=key).reason == "ACCESS_DENIED"
        assert failure(other.GetKeyCertificate, key_id="11111111-2222-4333-8444-555555555555").reason == "ACCESS_DENIED"
    only = service.new_key(key_spec=2, key_usage=ENCRYPT, policy=conditional("kms:GetKeyCertificate", {"kms:KeySpec": "RSA_2048"}))
    assert parsed(app.GetKeyCertificate(key_id=only))
    assert failure(app.GetPublicKey, key_id=only).reason == "ACCESS_DENIED"
    with service.client(ADMIN) as admin:
        assert parsed(admin.GetKeyCertificate(key_id=key))
        admin.DisableKey(key_id=key)
        assert failure(admin.GetKeyCertificate, key_id=key).reason == "KEY_DISABLED"
        admin.EnableKey(key_id=key)
    seen = [r for r in service.records(operation="GetKeyCertificate") if r["access"][0].get("key_id") == key]
    assert [(r["class"], r["principal"], r["outcome"]) for r in seen] == [
        ("read", OTHER, "ACCESS_DENIED"),
        ("read", ADMIN, "OK"),
        ("read", ADMIN, "KEY_DISABLED"),
    ]
    assert seen[1]["access"][0]["action"] == "kms:GetKeyCertificate" and seen[1]["access"][0]["key_version"] == 1
