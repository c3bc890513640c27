"""Grants: repeats, limits, races, restarts."""
import threading
import time
import uuid

import pytest

from granting import (
    DECRYPT,
    ENCRYPT,
    EQUALS,
    GENERATE_MAC,
    GET_PUBLIC_KEY,
    GRANTEE,
    SIGN,
    SOON,
    SUBSET,
    THIRD,
    admin_policy,
    allow,
    give,
)
from granting import grantee, key  # noqa: F401 (fixtures)
from harness import ADMIN, OTHER, Failure, Service, failure, key_policy, wait_for
from test_lifecycle import FAKETIME, later

# -- idempotency --


def test_name_makes_one_grant(admin, key):
    fields = {
        "name": "team/app-1",
        "constraints": {SUBSET: {"a": "1", "b": "2"}},
        "retiring_principal": THIRD,
    }
    first = give(admin, key, ENCRYPT, DECRYPT, **fields)
    again = give(admin, key, DECRYPT, ENCRYPT, **fields)
    assert (again.grant_id, again.grant_token) == (first.grant_id, first.grant_token)
    others = [
        give(admin, key, ENCRYPT, **fields),
        give(admin, key, ENCRYPT, DECRYPT, **{**fields, "retiring_principal": ""}),
        give(admin, key, ENCRYPT, DECRYPT, **{**fields, "constraints": {EQUALS: {"a": "1", "b": "2"}}}),
        give(admin, key, ENCRYPT, DECRYPT, **{**fields, "constraints": {SUBSET: {"a": "1"}}}),
        give(admin, key, ENCRYPT, DECRYPT, to=OTHER, **fields),
        give(admin, key, ENCRYPT, DECRYPT, expiration_time_us=2**62, **fields),
        give(admin, key, ENCRYPT, DECRYPT, **{**fields, "name": ""}),
        give(admin, key, ENCRYPT, DECRYPT, **{**fields, "name": ""}),
    ]
    assert len({first.grant_id} | {grant.grant_id for grant in others}) == 9
    admin.RevokeGrant(key_id=key, grant_id=first.grant_id)
    assert give(admin, key, ENCRYPT, DECRYPT, **fields).grant_id != first.grant_id


def test_token_makes_one_grant(admin, key):
    token = uuid.uuid4().hex
    first = give(admin, key, ENCRYPT, client_request_token=token)
    assert give(admin, key, ENCRYPT, client_request_token=token) == first
    assert failure(give, admin, key, DECRYPT, client_request_token=token).reason == "CONFLICT"
    assert len(admin.ListGrants(key_id=key).grants) == 1
    admin.RevokeGrant(key_id=key, grant_id=first.grant_id)
    assert failure(give, admin, key, ENCRYPT, client_request_token=token).reason == "NOT_FOUND"


# -- trouble --


def test_limit_of_grants(fresh):
    fresh.write_config(limits={"grants_per_key": "3"})
    fresh.init().start()
    key = fresh.new_key(policy=admin_policy())
    with fresh.client(ADMIN) as admin:
        made = [give(admin, key, ENCRYPT).grant_id for _ in range(3)]
        error = failure(give, admin, key, ENCRYPT)
        assert error.reason == "LIMIT_EXCEEDED" and "3 grants" in error.message
        admin.RevokeGrant(key_id=key, grant_id=made[0])
        give(admin, key, ENCRYPT)


def test_disabled_key_gets_no_grant_but_loses_them(service, admin, grantee):
    key = service.new_key(policy=key_policy(admins=(ADMIN,), users=()))
    grant = give(admin, key, ENCRYPT).grant_id
    admin.DisableKey(key_id=key)
    assert failure(give, admin, key, ENCRYPT).reason == "KEY_DISABLED"
    assert failure(grantee.Encrypt, key_id=key, plaintext=b"x").reason == "KEY_DISABLED"
    admin.EnableKey(key_id=key)
    grantee.Encrypt(key_id=key, plaintext=b"x")
    assert len(admin.ListGrants(key_id=key).grants) == 1 and grant


def test_who_has_not_seen_the_key_as_it_is_hears_of_it(admin, key):
    seen = admin.DescribeKey(key_id=key).key_metadata.revision
    give(admin, key, ENCRYPT, expected_revision=seen)
    error = failure(give, admin, key, ENCRYPT, expected_revision=seen)
    assert error.reason == "CONFLICT" and error.code == "ABORTED" and str(seen) in error.message
    error = failure(admin.PutKeyPolicy, key_id=key, policy=admin_policy(), expected_revision=seen)
    assert error.reason == "CONFLICT"


def test_grant_and_policy_at_once_never_make_an_administrator_a_user(service, admin, key):
    """Whoever comes second hears CONFLICT or POLICY_NOT_SEPARATED; both never succeed."""
    makes_admin = admin_policy(allow(GRANTEE, "kms:EnableKey", "New"))
    for _ in range(15):
        failures, barrier = [], threading.Barrier(2)

        def run(call, **fields):
            with service.client(ADMIN) as client:
                client.DescribeKey(key_id=key)  # connected
                barrier.wait(20)
                try:
                    getattr(client, call)(key_id=key, **fields)
                except Failure as error:
                    failures.append(error.reason)

        threads = [
            threading.Thread(target=run, args=("PutKeyPolicy",), kwargs={"policy": makes_admin}),
            threading.Thread(
                target=run,
                args=("CreateGrant",),
                kwargs={"grantee_principal": GRANTEE, "operations": [DECRYPT]},
            ),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(failures) == 1 and failures[0] in ("CONFLICT", "POLICY_NOT_SEPARATED"), failures
        admin.PutKeyPolicy(key_id=key, policy=admin_policy()) if not admin.ListGrants(
            key_id=key
        ).grants else None
        for grant in admin.ListGrants(key_id=key).grants:
            admin.RevokeGrant(key_id=key, grant_id=grant.grant_id)


def test_grants_survive(fresh):
    """A restart, and a kill right after the answer."""
    fresh.init().start()
    key = fresh.new_key(policy=admin_policy())
    made = []
    for round_ in range(3):
        with fresh.client(ADMIN) as admin:
            for i in range(4):
                made.append(
                    give(
                        admin,
                        key,
                        ENCRYPT,
                        DECRYPT,
                        to=f"spiffe://example.org/s{round_}{i}",
                        constraints={EQUALS: {"n": str(i)}},
                    )
                )
            admin.RevokeGrant(key_id=key, grant_id=made.pop().grant_id)
        fresh.stop() if round_ == 0 else fresh.kill()
        fresh.start()
    with fresh.client(ADMIN) as admin:
        assert [g.grant_id for g in admin.ListGrants(key_id=key).grants] == sorted(g.grant_id for g in made)
        with fresh.client("spiffe://example.org/s21") as user, fresh.client(
            "spiffe://example.org/s23"
        ) as gone:
            user.Encrypt(
                key_id=key, plaintext=b"x", encryption_context={"n": "1"}, grant_tokens=[made[7].grant_token]
            )
            assert (
                failure(user.Encrypt, key_id=key, plaintext=b"x", encryption_context={"n": "2"}).reason
                == "ACCESS_DENIED"
            )
            assert (
                failure(gone.Encrypt, key_id=key, plaintext=b"x", encryption_context={"n": "3"}).reason
                == "ACCESS_DENIED"
            )
    assert fresh.verify_audit()


def test_what_a_key_cannot_do_is_not_granted(service, admin, grantee):
    """An EC key signs, an HMAC key makes MACs, and neither has an encryption context."""
    signing = service.new_key(policy=admin_policy(), key_spec=5, key_usage=2)
    mac = service.new_key(policy=admin_policy(), key_spec=9, key_usage=3)
    give(admin, signing, SIGN, GET_PUBLIC_KEY)
    give(admin, mac, GENERATE_MAC)
    grantee.Sign(key_id=signing, message=b"x", signing_algorithm=7)
    grantee.GetPublicKey(key_id=signing)
    grantee.GenerateMac(key_id=mac, message=b"x", mac_algorithm=1)
    for key, operation in ((signing, ENCRYPT), (signing, GENERATE_MAC), (mac, SIGN), (mac, GET_PUBLIC_KEY)):
        assert failure(give, admin, key, operation).reason == "INVALID_KEY_USAGE"
    error = failure(give, admin, signing, SIGN, constraints={EQUALS: {"a": "1"}})
    assert error.reason == "INVALID_ARGUMENT" and "only a symmetric key" in error.message


def test_expired_grants_are_erased_by_themselves(tmp_path):
    own = Service(tmp_path / "home", jobs={"interval": "100ms"}).init().start()
    key = own.new_key(policy=admin_policy())
    with own.client(ADMIN) as admin:
        stays = give(admin, key, ENCRYPT, expiration_time_us=SOON)
        soon = time.time_ns() // 1000 + 1_000_000
        gone = {give(admin, key, ENCRYPT, expiration_time_us=soon).grant_id for _ in range(3)}
        record = wait_for(lambda: own.records(operation="ExpireGrants", kind="outcome"), 20, "the erasure")[0]
        assert (record["outcome"], record["principal"], record["access"][0]["key_id"]) == ("OK", "kmsd", key)
        for grant in gone:
            assert failure(admin.RevokeGrant, key_id=key, grant_id=grant).reason == "NOT_FOUND"
    own.kill()
    own.start()
    with own.client(ADMIN) as admin:
        assert [g.grant_id for g in admin.ListGrants(key_id=key).grants] == [stays.grant_id]
    own.stop()


@pytest.mark.skipif(FAKETIME is None, reason="the package faketime is not installed")
def test_grants_go_with_their_key(tmp_path):
    own = Service(tmp_path / "home", jobs={"interval": "100ms"}).init().start()
    key = own.new_key(policy=key_policy(admins=(ADMIN,), users=()))
    with own.client(ADMIN) as admin:
        made = [
            give(admin, key, ENCRYPT, to=f"spiffe://example.org/d{i}", retiring_principal=THIRD)
            for i in range(5)
        ]
        admin.PutKeyPolicy(key_id=key, policy=admin_policy(allow(ADMIN, "kms:ScheduleKeyDeletion", "Delete")))
        admin.ScheduleKeyDeletion(key_id=key, pending_window_in_days=7)
        assert len(admin.ListGrants(key_id=key).grants) == 5
    later(own, 8)
    wait_for(lambda: own.records(operation="DeleteKey", kind="outcome", outcome="OK"), 20, "the deletion")
    for _ in range(2):
        with own.client(THIRD) as third:
            assert not third.ListRetirableGrants().grants
            assert failure(third.RetireGrant, grant_token=made[0].grant_token).reason == "INVALID_GRANT_TOKEN"
        later(own, 8)  # and it starts again
    own.stop()
