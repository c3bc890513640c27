"""The key service of SOPS: its wire protocol, driven as the command drives it; what it may name, and what stands on record."""
import base64
import os
import uuid

import pytest

from audit_reading import query
from harness import ADMIN, APP, OTHER, Failure, failure
from sops_world import ME, VAULT, VAULT_NAME, Sops, door, house_of, mapping, set_up_as_told
from test_citizens import SERVING, Reflection, check, everything

PLAIN = b"0123456789abcdef" * 2
# Messages from protoc: AWS with context env=prod, VAULT, each with PLAIN.
ENCRYPT_AWS = bytes.fromhex(
    "0a3b0a390a2a61726e3a6177733a6b6d733a75732d656173742d313a3131313132323232333333333a6b65792f6170701a0b0a"
    "03656e76120470726f6412203031323334353637383961626364656630313233343536373839616263646566"
)
ENCRYPT_VAULT = bytes.fromhex(
    "0a282a260a1668747470733a2f2f6b6d732e6c6f63616c3a3832303012077472616e7369741a03617070122030313233343536"
    "37383961626364656630313233343536373839616263646566"
)
KEY_AWS = ENCRYPT_AWS[: 2 + 0x3B]  # its first field


def free_of_others(name):
    return name + "-" + uuid.uuid4().hex[:8]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    yield from house_of(tmp_path_factory)


def test_a_data_key_goes_and_comes(house):
    """One ASCII line of standard base64; the record is that of Encrypt, and says the protocol."""
    with house.sops() as sops:
        key = sops.key("kms", arn=f"arn:aws:kms:us-east-1:000000000000:key/{house.key}")
        text = sops.encrypt(key, PLAIN)
        assert base64.b64decode(text, validate=True) and base64.b64encode(base64.b64decode(text)).decode() == text
        assert sops.decrypt(key, text) == PLAIN
    for operation in ("Encrypt", "Decrypt"):
        record = house.last(operation=operation, protocol="sops")
        assert (record["outcome"], record["principal"], record["peer"]) == ("OK", APP, ME)
        assert (record["service"], record["class"]) == ("kms.v1.CryptoService", "usage")
        assert record["access"][0]["key_id"] == house.key and record["access"][0]["decision"] == "allow"


@pytest.mark.parametrize("size", [1, 16, 32, 33, 64, 65536])
def test_lengths(house, size):
    """With several key groups each gets a part of 33 bytes."""
    with house.sops() as sops:
        key, plain = sops.key("kms", arn=house.key), os.urandom(size)
        assert sops.decrypt(key, sops.encrypt(key, plain)) == plain


def test_vectors(house):
    """Bytes as protoc makes them."""
    with house.sops() as sops:
        for encrypt, key in ((ENCRYPT_AWS, KEY_AWS), (ENCRYPT_VAULT, ENCRYPT_VAULT[: 2 + 0x28])):
            answer = sops.raw("/KeyService/Encrypt", encrypt)
            assert answer[:2] == bytes([0x0A, len(answer) - 2]) and base64.b64decode(answer[2:], validate=True)
            assert sops.raw("/KeyService/Decrypt", key + b"\x12" + answer[1:]) == b"\x0a\x20" + PLAIN
        record = house.last(operation="Encrypt", protocol="sops")
        assert record["extra"]["foreign_key"] == "hc_vault " + VAULT_NAME
        assert record["access"][0]["key_named"] == "alias/vault"
        refused = failure(sops.raw, "/KeyService/Decrypt", KEY_AWS + b"\x12\x0ckmsd:v1:AAAA")
        assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_CIPHERTEXT")


def test_every_name_of_a_key(house):
    """Id, alias, ARN of this service, ARN of any account; each opens what another sealed."""
    alias = "alias/" + free_of_others("n")
    with house.service.client(ADMIN) as admin:
        admin.CreateAlias(alias_name=alias, target_key_id=house.key)
    names = [house.key, alias, f"arn:aws:kms:us-east-1:000000000000:key/{house.key}", f"arn:aws:kms:us-east-1:000000000000:{alias}",
             f"arn:aws-cn:kms:cn-north-1:444455556666:key/{house.key}", f"arn:aws:kms:local:1:{alias}"]
    with house.sops() as sops:
        texts = [sops.encrypt(sops.key("kms", arn=name), PLAIN) for name in names]
        for name, text in zip(names, texts[1:] + texts[:1]):
            assert sops.decrypt(sops.key("kms", arn=name, role="arn:aws:iam::1:role/x", aws_profile="dev"), text) == PLAIN
    assert "foreign_key" not in str(house.service.records(operation="Encrypt", protocol="sops")[-len(names)])
    assert house.last(operation="Decrypt", protocol="sops")["extra"]["foreign_key"] == "kms " + names[-1]


def test_ours_and_theirs_are_one(house):
    """What sops sealed, Decrypt of our own protocol opens, and the text of kms-env goes through sops."""
    with house.sops() as sops, house.service.client(APP) as app:
        key = sops.key("kms", arn=house.key, context={"env": "prod"})
        blob = base64.b64decode(sops.encrypt(key, PLAIN))
        assert app.Decrypt(ciphertext_blob=blob, encryption_context={"env": "prod"}).plaintext == PLAIN
        blob = app.Encrypt(key_id=house.key, plaintext=b"ours", encryption_context={"env": "prod"}).ciphertext_blob
        assert sops.decrypt(key, "kms:v1:" + base64.b64encode(blob).decode()) == b"ours"
        assert sops.decrypt(key, base64.b64encode(blob)) == b"ours"


def test_context_is_bound(house):
    with house.sops() as sops:
        context = {"b": "2", "a": "1", "Ü": "ß"}
        text = sops.encrypt(sops.key("kms", arn=house.key, context=context), PLAIN)
        same = dict(reversed(list(context.items())))
        assert sops.decrypt(sops.key("kms", arn=house.key, context=same), text) == PLAIN
        assert house.last(operation="Decrypt", protocol="sops")["access"][0]["context"] == context
        for other in ({}, {"a": "1"}, dict(context, a="2"), dict(context, A="1")):
            refused = failure(sops.decrypt, sops.key("kms", arn=house.key, context=other), text)
            assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_CIPHERTEXT")
        many = {str(n): "x" for n in range(65)}
        refused = failure(sops.encrypt, sops.key("kms", arn=house.key, context=many), PLAIN)
        assert refused.code == "INVALID_ARGUMENT" and "more than 64 pairs" in refused.message


def test_key_types_that_stand_for_none(house):
    """NOT_FOUND in few words, which name the option; on record with what was asked for."""
    with house.sops() as sops:
        keys = [
            (sops.key("hc_vault", **dict(VAULT, key_name="other")), "hc_vault https://kms.local:8200/v1/transit/keys/other"),
            (sops.key("pgp", fingerprint="FBC7B9E2"), "pgp FBC7B9E2"),
            (sops.key("gcp_kms", resource_id="projects/p"), "gcp_kms projects/p"),
            (sops.key("azure_kv", vault_url="https://v.vault.azure.net", name="k", version="2"),
             "azure_kv https://v.vault.azure.net/keys/k/2"),
            (sops.key("age", recipient="age1other"), "age age1other"),
            (sops.key("hckms", key_id="tr-west-1:x"), "hckms tr-west-1:x"),
            (sops.key("kms", arn="arn:aws:kms:us-east-1:1:key/app"), "kms arn:aws:kms:us-east-1:1:key/app"),
        ]
        for key, called in keys:
            for refused in (failure(sops.encrypt, key, PLAIN), failure(sops.decrypt, key, "AAAA")):
                assert (refused.code, refused.reason) == ("NOT_FOUND", "NOT_FOUND")
                assert f"no key stands for {called}: name one in sops.keys" in refused.message
            record = house.last(operation="Decrypt")
            assert (record["outcome"], record["protocol"], record["stage"]) == ("NOT_FOUND", "sops", "rpc")
            assert record["extra"]["foreign_key"] == called and record["principal"] == APP
        azure = sops.key("azure_kv", vault_url="https://v.vault.azure.net", name="k", version="1")
        assert sops.decrypt(azure, sops.encrypt(azure, PLAIN)) == PLAIN


def test_no_key_and_a_type_of_the_future(house):
    with house.sops() as sops:
        for data, words in ((b"\x12\x01x", "Must provide a key"), (b"\x0a\x00\x12\x01x", "Unknown key type"),
                            (b"\x0a\x04\x42\x02\x0a\x00\x12\x01x", "Unknown key type")):
            refused = failure(sops.raw, "/KeyService/Encrypt", data)
            assert refused.code == "NOT_FOUND" and words in refused.message


def test_policy_decides(house):
    """Nobody hears whether there is such a key."""
    with house.sops("other") as other, house.sops() as sops:
        text = sops.encrypt(sops.key("kms", arn=house.key), PLAIN)
        for name in (house.key, str(uuid.uuid4()), "alias/never-was"):
            refused = failure(other.encrypt, other.key("kms", arn=name), PLAIN)
            assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")
        assert failure(other.decrypt, other.key("kms", arn=house.key), text).reason == "ACCESS_DENIED"
        # The row of the configuration names an alias that there is not.
        assert failure(sops.encrypt, sops.key("age", recipient="age1yt3"), PLAIN).reason == "ACCESS_DENIED"
    record = house.last(operation="Decrypt", outcome="ACCESS_DENIED")
    assert (record["protocol"], record["principal"], record["access"][0]["decision"]) == ("sops", OTHER, "no-match")


def test_wrong_key(house):
    other = house.service.new_key()
    with house.sops() as sops:
        text = sops.encrypt(sops.key("kms", arn=other), PLAIN)
        assert failure(sops.decrypt, sops.key("kms", arn=house.key), text).reason == "INCORRECT_KEY"


def test_a_disabled_key_says_so(house):
    key = house.service.new_key()
    with house.sops() as sops, house.service.client(ADMIN) as admin:
        named = sops.key("kms", arn=key)
        text = sops.encrypt(named, PLAIN)
        admin.DisableKey(key_id=key)
        refused = failure(sops.decrypt, named, text)
        assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "KEY_DISABLED")
        admin.EnableKey(key_id=key)
        admin.RotateKeyOnDemand(key_id=key)
        assert sops.decrypt(named, text) == PLAIN != text


@pytest.mark.parametrize("text", [b"", b"\x00", b"\xff\xfe", b"AAA", b"vault:v1:AAAA", b"AAAA\n", b"kms:v1:", b"AAAA" * 40])
def test_garbage_for_a_ciphertext(house, text):
    with house.sops() as sops:
        refused = failure(sops.decrypt, sops.key("kms", arn=house.key), text)
        assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_CIPHERTEXT")
        assert refused.message and house.last(operation="Decrypt")["outcome"] == "INVALID_CIPHERTEXT"


def test_requests_that_are_none(house):
    with house.sops() as sops:
        for data in (b"\xff", b"\x0a\x7f", ENCRYPT_AWS[:-1], b"\x0a\x05\x0a\x03\x0a\x01\xff", b"\x0a\x06\x0a\x04\x0a\x02a\x00"):
            refused = failure(sops.raw, "/KeyService/Encrypt", data)
            assert refused.code == "INVALID_ARGUMENT", data
            assert house.last(operation="Encrypt")["outcome"] == "INVALID_ARGUMENT"
        assert failure(sops.encrypt, sops.key("kms", arn=house.key), b"").code == "INVALID_ARGUMENT"
        assert failure(sops.raw, "/KeyService/Rotate", b"").code == "UNIMPLEMENTED"


# -- doors --


def test_each_door_speaks_its_own(house):
    """UNIMPLEMENTED with words, and on record."""
    with house.sops("kms") as wrong, house.service.client(APP) as tls:
        refusals = [failure(wrong.encrypt, wrong.key("kms", arn=house.key), PLAIN),
                    failure(tls.raw, "/KeyService/Encrypt", ENCRYPT_AWS)]
        for refused in refusals:
            assert (refused.code, refused.reason) == ("UNIMPLEMENTED", "UNSUPPORTED")
            assert "a method of protocol sops, but kms is what this listener speaks" in refused.message
            record = house.last(operation="Encrypt", protocol="sops")
            assert (record["outcome"], record["principal"]) == ("UNSUPPORTED", APP)
    with house.service.client(None, unix=house.path("sops")) as own:
        for call in (lambda: own.Encrypt(key_id=house.key, plaintext=b"x"), lambda: own.GenerateRandom(number_of_bytes=1),
                     lambda: own.ListKeys(), lambda: own.EncryptBatch(), lambda: next(own.stream("StreamAuditRecords"))):
            with pytest.raises(Failure) as caught:
                call()
            assert caught.value.code == "UNIMPLEMENTED"
            assert "a method of protocol kms, but sops is what this listener speaks" in caught.value.message
    record = house.last(operation="StreamAuditRecords")
    assert record["outcome"] == "UNSUPPORTED" and "protocol" not in record


def test_without_such_a_door_there_is_no_such_service(fresh):
    fresh.init().start()
    with fresh.client(APP) as app:
        assert failure(app.raw, "/KeyService/Encrypt", ENCRYPT_AWS).code == "UNIMPLEMENTED"
    fresh.stop()


def test_health_and_reflection_tell_what_a_socket_speaks(fresh):
    """And no more: with a socket of sops alone there is nothing of Kubernetes."""
    fresh.write_config(unix="  unix:\n" + door(fresh.dir / "s", principal=APP))
    fresh.init().start()
    with fresh.client(APP) as client:
        assert everything(client)["KeyService"] == check(client, "KeyService") == SERVING
        told = [Reflection(client, "v1").services(), Reflection(client, "v1alpha").services(), everything(client)]
        for names in told:
            assert "KeyService" in names and not {"v2.KeyManagementService", "v1alpha1.CSIDriverProvider"} & {*names}
        assert failure(check, client, "v2.KeyManagementService").code == "NOT_FOUND"
    fresh.stop()


def test_who_maps_to_no_principal_is_refused_and_recorded(house):
    with house.sops("strangers") as stranger:
        refused = failure(stranger.encrypt, stranger.key("kms", arn=house.key), PLAIN)
        assert (refused.code, refused.reason) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
        assert f"uid {os.geteuid()}" in refused.message
    record = house.last(operation="Encrypt", outcome="UNAUTHENTICATED")
    assert record["peer"] == ME and record["protocol"] == "sops" and "principal" not in record


@pytest.mark.parametrize(
    "authority", ["localhost", "/run/kmsd/sops.sock", "%2Frun%2Fkmsd%2Fsops.sock", "127.0.0.1:5000", "kmsd.example:1", "x"]
)
def test_the_authority_decides_nothing(house, authority):
    """sops 3.7 sends the path, 3.8 and 3.9 escape it, later ones send localhost."""
    with house.sops(authority=authority) as sops:
        key = sops.key("kms", arn=house.key)
        assert sops.decrypt(key, sops.encrypt(key, PLAIN)) == PLAIN


def test_the_log_is_asked_for_a_protocol(house):
    with house.sops() as sops, house.service.client(APP) as app:
        sops.encrypt(sops.key("kms", arn=house.key), PLAIN)
        app.Encrypt(key_id=house.key, plaintext=PLAIN)
    theirs, ours = (query(house.service, "--operation", "Encrypt", "--protocol", name) for name in ("sops", "kms"))
    assert theirs == house.service.records(operation="Encrypt", protocol="sops") and ours
    assert len(theirs) + len(ours) == len(house.service.records(operation="Encrypt"))


# -- configuration --


def test_the_document(fresh):
    """Its socket, its key, and the statement for a policy of one's own, are all that sops needs."""
    principal = set_up_as_told(fresh, "sops.md", (fresh.dir / "s", "alias/app"), (fresh.dir / "s2", "alias/own"))
    with Sops(f"unix:{fresh.dir}/s") as sops:
        for name in ("arn:aws:kms:us-east-1:000000000000:alias/app", "alias/own"):
            key = sops.key("kms", arn=name)
            assert sops.decrypt(key, sops.encrypt(key, PLAIN)) == PLAIN
    assert {r["principal"] for r in fresh.records(protocol="sops")} == {principal}
    fresh.stop()


def test_an_alias_that_has_moved(fresh):
    """Files that name it do not open, until a row of sops.keys says which key it was."""
    alias = "arn:aws:kms:us-east-1:000000000000:alias/moved"
    fresh.write_config(unix="  unix:\n" + door(fresh.dir / "s", principal=APP))
    fresh.init().start()
    old, new = fresh.new_key(), fresh.new_key()
    with fresh.client(ADMIN) as admin, Sops(f"unix:{fresh.dir}/s") as sops:
        admin.CreateAlias(alias_name="alias/moved", target_key_id=old)
        key = sops.key("kms", arn=alias)
        text = sops.encrypt(key, PLAIN)
        admin.UpdateAlias(alias_name="alias/moved", target_key_id=new)
        refused = failure(sops.decrypt, key, text)
        assert refused.reason == "INCORRECT_KEY" and f"made with key {old}" in refused.message
    fresh.stop()
    fresh.write_config(unix="  unix:\n" + door(fresh.dir / "s", principal=APP), extra=mapping([("kms", alias, old)]))
    fresh.start()
    with Sops(f"unix:{fresh.dir}/s") as sops:
        assert sops.decrypt(sops.key("kms", arn=alias), text) == PLAIN
    fresh.stop()


@pytest.mark.parametrize(
    "extra, words",
    [
        (mapping([("kms", "x", "not a key")]), "option 'sops.keys[0].key': a key is named by its id"),
        (mapping([("kms", "x", "alias/a b")]), "option 'sops.keys[0].key': an alias is"),
        (mapping([("kms", "x", "alias/a"), ("kms", "x", "alias/b")]), "option 'sops.keys[1].name': there twice"),
        (mapping([("gpg", "x", "alias/a")]), "option 'sops.keys[0].type': not one of the choices"),
    ],
)
def test_what_the_configuration_may_not_say(fresh, extra, words):
    fresh.write_config(extra=extra)
    done = fresh.kmsd("check", check=False)
    assert done.returncode != 0 and "CONFIG_INVALID" in done.stderr and words in done.stderr, done.stderr
