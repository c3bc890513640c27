"""What applications do: encrypt, decrypt, re-encrypt, take data keys; and every way in which that fails."""
import pytest

from harness import ADMIN, APP, OTHER, failure

CONTEXT = {"tenant": "t1", "purpose": "test"}


@pytest.mark.parametrize("size", [1, 31, 4096, 65536])
def test_round_trip(app, key, size):
    plaintext = bytes(i % 251 for i in range(size))
    sealed = app.Encrypt(key_id=key, plaintext=plaintext, encryption_context=CONTEXT)
    assert (size < 16 or plaintext not in sealed.ciphertext_blob) and sealed.key_version == 1
    opened = app.Decrypt(ciphertext_blob=sealed.ciphertext_blob, encryption_context=CONTEXT)
    assert opened.plaintext == plaintext
    assert opened.key_id == sealed.key_id == f"arn:aws:kms:us-east-1:000000000000:key/{key}"


def test_two_encryptions_differ(app, key):
    blobs = {app.Encrypt(key_id=key, plaintext=b"same").ciphertext_blob for _ in range(20)}
    assert len(blobs) == 20


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_checksums_are_verified_and_answered(app, key):
    sealed = app.Encrypt(key_id=key, plaintext=b"123456789", plaintext_crc32c=0xE3069283)
    assert sealed.verified_plaintext_crc32c and sealed.ciphertext_crc32c == crc32c(sealed.ciphertext_blob)
    opened = app.Decrypt(ciphertext_blob=sealed.ciphertext_blob, ciphertext_crc32c=sealed.ciphertext_crc32c)
    assert opened.verified_ciphertext_crc32c and opened.plaintext_crc32c == 0xE3069283
    assert not app.Encrypt(key_id=key, plaintext=b"x").verified_plaintext_crc32c
    assert failure(app.Encrypt, key_id=key, plaintext=b"x", plaintext_crc32c=1).reason == "CHECKSUM_MISMATCH"
    assert (
        failure(app.Decrypt, ciphertext_blob=sealed.ciphertext_blob, ciphertext_crc32c=1).reason
        == "CHECKSUM_MISMATCH"
    )


def test_every_flipped_byte_is_refused(app, key):
    blob = app.Encrypt(key_id=key, plaintext=b"0123456789", encryption_context=CONTEXT).ciphertext_blob
    for at in range(len(blob)):
        bad = bytearray(blob)
        bad[at] ^= 0x40
        error = failure(app.Decrypt, ciphertext_blob=bytes(bad), encryption_context=CONTEXT)
        # in the key id, the header names a key that does not exist: the same as one that may not be used
        assert error.reason == ("ACCESS_DENIED" if 5 <= at < 21 else "INVALID_CIPHERTEXT"), at


def test_every_truncation_is_refused(app, key):
    blob = app.Encrypt(key_id=key, plaintext=b"0123456789").ciphertext_blob
    for length in range(len(blob)):
        assert failure(app.Decrypt, ciphertext_blob=blob[:length]).reason == "INVALID_CIPHERTEXT"


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"tenant": "t1"},
        {"tenant": "t2", "purpose": "test"},
        dict(CONTEXT, more="x"),
        {"Tenant": "t1", "purpose": "test"},
    ],
)
def test_another_context_is_refused(app, key, context):
    blob = app.Encrypt(key_id=key, plaintext=b"x", encryption_context=CONTEXT).ciphertext_blob
    assert (
        failure(app.Decrypt, ciphertext_blob=blob, encryption_context=context).reason == "INVALID_CIPHERTEXT"
    )


def test_newer_and_foreign_ciphertext_say_so(app, key):
    blob = app.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob
    newer = failure(app.Decrypt, ciphertext_blob=blob[:3] + b"\x02" + blob[4:])
    assert newer.reason == "INVALID_CIPHERTEXT" and "newer" in newer.message
    assert failure(app.Decrypt, ciphertext_blob=b"AQICAHh" * 20).reason == "INVALID_CIPHERTEXT"


def test_decrypt_can_pin_the_key(service, app, key):
    other = service.new_key()
    blob = app.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob
    assert app.Decrypt(ciphertext_blob=blob, key_id=key).plaintext == b"x"
    assert failure(app.Decrypt, ciphertext_blob=blob, key_id=other).reason == "INCORRECT_KEY"


def test_reencrypt(service, app, key):
    other = service.new_key()
    blob = app.Encrypt(key_id=key, plaintext=b"moves", encryption_context=CONTEXT).ciphertext_blob
    moved = app.ReEncrypt(
        ciphertext_blob=blob,
        source_encryption_context=CONTEXT,
        destination_key_id=other,
        destination_encryption_context={"new": "one"},
    )
    assert moved.source_key_id.endswith(key) and moved.key_id.endswith(other)
    assert (
        app.Decrypt(ciphertext_blob=moved.ciphertext_blob, encryption_context={"new": "one"}).plaintext
        == b"moves"
    )
    with service.client(ADMIN) as admin:
        error = failure(
            admin.ReEncrypt, ciphertext_blob=blob, source_encryption_context=CONTEXT, destination_key_id=other
        )
    assert error.reason == "ACCESS_DENIED" and "kms:ReEncryptFrom" in error.message


@pytest.mark.parametrize(
    "fields, length",
    [
        ({"key_spec": 1}, 16),
        ({"key_spec": 2}, 32),
        ({"number_of_bytes": 1}, 1),
        ({"number_of_bytes": 1024}, 1024),
    ],
)
def test_data_key_opens_again(app, key, fields, length):
    made = app.GenerateDataKey(key_id=key, encryption_context=CONTEXT, **fields)
    assert len(made.plaintext) == length and made.plaintext_crc32c == crc32c(made.plaintext)
    assert (
        app.Decrypt(ciphertext_blob=made.ciphertext_blob, encryption_context=CONTEXT).plaintext
        == made.plaintext
    )
    wrapped = app.GenerateDataKeyWithoutPlaintext(key_id=key, **fields)
    assert len(app.Decrypt(ciphertext_blob=wrapped.ciphertext_blob).plaintext) == length


@pytest.mark.parametrize(
    "fields", [{}, {"key_spec": 2, "number_of_bytes": 32}, {"number_of_bytes": 1025}, {"key_spec": 9}]
)
def test_data_key_wants_exactly_one_length(app, key, fields):
    assert failure(app.GenerateDataKey, key_id=key, **fields).reason == "INVALID_ARGUMENT"


def test_random(service, app):
    assert len(app.GenerateRandom(number_of_bytes=1024).plaintext) == 1024
    assert failure(app.GenerateRandom, number_of_bytes=0).reason == "INVALID_ARGUMENT"
    assert failure(app.GenerateRandom, number_of_bytes=1025).reason == "INVALID_ARGUMENT"
    with service.client(ADMIN) as admin:
        assert failure(admin.GenerateRandom, number_of_bytes=16).reason == "ACCESS_DENIED"


@pytest.mark.parametrize("size", [0, 65537])
def test_plaintext_length(app, key, size):
    assert failure(app.Encrypt, key_id=key, plaintext=b"x" * size).reason == "INVALID_ARGUMENT"


def test_oversized_message_is_refused(app, key):
    assert failure(app.Encrypt, key_id=key, plaintext=b"x" * 1_000_000).code == "RESOURCE_EXHAUSTED"


def field(number, data):
    length, head = len(data), b""
    while length > 127:
        head += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + head + bytes([length]) + data


def pair(name, value):
    return field(3, field(1, name) + field(2, value))


@pytest.mark.parametrize(
    "name, tail, word",
    [
        ("duplicate name", pair(b"a", b"1") + pair(b"a", b"2"), "a"),
        ("NUL in a name", pair(b"a\0b", b"1"), "NUL"),
        ("NUL in a value", pair(b"a", b"1\0"), "NUL"),
        ("invalid UTF-8", pair(b"a", b"\xff"), "UTF-8"),
        ("empty name", pair(b"", b"1"), "name"),
        ("too many", b"".join(pair(b"n%d" % i, b"v") for i in range(65)), "64"),
        ("too long", pair(b"a", b"v" * 8200), "8192"),
    ],
    ids=lambda v: v if isinstance(v, str) and " " in v else "",
)
def test_bad_context_on_the_wire(app, key, name, tail, word):
    path, _, _ = app.method("Encrypt")
    error = failure(app.raw, path, field(1, key.encode()) + field(2, b"x") + tail)
    assert error.reason == "INVALID_ARGUMENT" and word in error.message, error


def test_unknown_fields_are_ignored(app, key):
    path, _, reply = app.method("Encrypt")
    data = app.raw(path, field(1, key.encode()) + field(2, b"x") + field(15, b"later") + b"\xa0\x06\x01")
    assert reply.FromString(data).ciphertext_blob


@pytest.mark.parametrize(
    "data",
    [b"\x0a\xff", b"\x08", b"\xff" * 30, b"\x0b\x0b\x0b"],
    ids=["cut string", "cut varint", "endless varint", "groups"],
)
def test_garbage_requests(app, data):
    path, _, _ = app.method("Encrypt")
    assert failure(app.raw, path, data).reason == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "named, reason",
    [
        ("", "INVALID_ARGUMENT"),
        ("nonsense", "INVALID_ARGUMENT"),
        ("alias/", "INVALID_ALIAS_NAME"),
        ("alias/sp ace", "INVALID_ALIAS_NAME"),
        ("arn:aws:kms:eu-1:1:key/x", "INVALID_ARN"),
        ("00000000-0000-4000-8000-000000000000", "ACCESS_DENIED"),
        ("alias/unknown", "ACCESS_DENIED"),
    ],
)
def test_names_of_no_key(app, named, reason):
    assert failure(app.Encrypt, key_id=named, plaintext=b"x").reason == reason


def test_unknown_key_is_told_to_who_may_list(service):
    with service.client(ADMIN) as admin:
        error = failure(admin.DescribeKey, key_id="00000000-0000-4000-8000-000000000000")
    assert error.reason == "NOT_FOUND" and error.code == "NOT_FOUND"


def test_strangers_learn_nothing(service, key):
    """A key that exists and one that does not give the same answer."""
    with service.client(OTHER) as other:
        real = failure(other.Encrypt, key_id=key, plaintext=b"x")
        unreal = failure(other.Encrypt, key_id="00000000-0000-4000-8000-000000000000", plaintext=b"x")
    assert real.reason == unreal.reason == "ACCESS_DENIED"
    assert real.message.replace(key, "K") == unreal.message.replace(
        "00000000-0000-4000-8000-000000000000", "K"
    )


def test_administrator_is_told_the_permission_not_the_ciphertext(service, app, key):
    blob = app.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob
    bad = blob[:-1] + bytes([blob[-1] ^ 1])
    with service.client(ADMIN) as admin:
        good, damaged = failure(admin.Decrypt, ciphertext_blob=blob), failure(
            admin.Decrypt, ciphertext_blob=bad
        )
    assert good.reason == damaged.reason == "ACCESS_DENIED" and good.message == damaged.message
    assert "kms:Decrypt" in good.message


def test_unknown_method(app):
    assert failure(app.raw, "/kms.v1.CryptoService/Nothing", b"").code == "UNIMPLEMENTED"


def test_policy_conditions_on_context(service):
    policy = """{"Statement": [
      {"Sid": "A", "Effect": "Allow", "Principal": {"AWS": "%s"}, "Action": ["kms:Put*", "kms:Get*"], "Resource": "*"},
      {"Sid": "U", "Effect": "Allow", "Principal": {"AWS": "%s"}, "Action": ["kms:Encrypt", "kms:Decrypt"], "Resource": "*",
       "Condition": {"StringEquals": {"kms:EncryptionContext:env": "prod"}}}]}""" % (
        ADMIN,
        APP,
    )
    key = service.new_key(policy=policy)
    with service.client(APP) as app:
        app.Encrypt(key_id=key, plaintext=b"x", encryption_context={"env": "prod"})
        assert (
            failure(app.Encrypt, key_id=key, plaintext=b"x", encryption_context={"env": "dev"}).reason
            == "ACCESS_DENIED"
        )
        assert failure(app.Encrypt, key_id=key, plaintext=b"x").reason == "ACCESS_DENIED"


def test_disabled_key(service):
    key = service.new_key()
    with service.client(ADMIN) as admin, service.client(APP) as app:
        blob = app.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob
        admin.DisableKey(key_id=key)
        for call in (
            lambda: app.Encrypt(key_id=key, plaintext=b"x"),
            lambda: app.Decrypt(ciphertext_blob=blob),
            lambda: app.GenerateDataKey(key_id=key, key_spec=2),
        ):
            assert failure(call).reason == "KEY_DISABLED"
        admin.EnableKey(key_id=key)
        assert app.Decrypt(ciphertext_blob=blob).plaintext == b"x"


def test_rotation_keeps_old_versions(service, key, app):
    before = app.Encrypt(key_id=key, plaintext=b"old")
    with service.client(ADMIN) as admin:
        version = admin.RotateKeyOnDemand(key_id=key).current_version
    after = app.Encrypt(key_id=key, plaintext=b"new")
    assert version == before.key_version + 1 == after.key_version
    assert app.Decrypt(ciphertext_blob=before.ciphertext_blob).plaintext == b"old"
    assert app.Decrypt(ciphertext_blob=after.ciphertext_blob).plaintext == b"new"


def test_many_at_once_on_one_connection(app, key):
    calls = [app.start("Encrypt", key_id=key, plaintext=b"%d" % i) for i in range(300)]
    blobs = [c.result().ciphertext_blob for c in calls]
    opened = [app.start("Decrypt", ciphertext_blob=b) for b in blobs]
    assert [c.result().plaintext for c in opened] == [b"%d" % i for i in range(300)]


def test_checksums_of_the_other_calls(app, key):
    blob = app.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob
    moved = app.ReEncrypt(ciphertext_blob=blob, destination_key_id=key, ciphertext_crc32c=crc32c(blob))
    assert moved.verified_ciphertext_crc32c and moved.ciphertext_crc32c == crc32c(moved.ciphertext_blob)
    wrong = failure(app.ReEncrypt, ciphertext_blob=blob, destination_key_id=key, ciphertext_crc32c=1)
    assert wrong.reason == "CHECKSUM_MISMATCH"
    zero = failure(app.Encrypt, key_id=key, plaintext=b"x", plaintext_crc32c=0)
    assert zero.reason == "CHECKSUM_MISMATCH", "0 is a checksum, not none"
    for call in (app.GenerateDataKey, app.GenerateDataKeyWithoutPlaintext):
        made = call(key_id=key, key_spec=2)
        assert made.ciphertext_crc32c == crc32c(made.ciphertext_blob)
    made = app.GenerateRandom(number_of_bytes=9)
    assert made.plaintext_crc32c == crc32c(made.plaintext)
