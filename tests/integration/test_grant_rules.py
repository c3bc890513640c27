"""Grants: what they can never do: widen, make an administrator a user, or come in by an alias."""
import pytest

from granting import (
    ADMINISTERS,
    CREATE_GRANT,
    DECRYPT,
    DESCRIBE_KEY,
    ENCRYPT,
    EQUALS,
    GRANTEE,
    RETIRE_GRANT,
    SOON,
    SUBSET,
    THIRD,
    admin_policy,
    allow,
    give,
    policy_of,
)
from granting import grantee, key, third  # noqa: F401 (fixtures)
from harness import ADMIN, APP, OTHER, USE_ACTIONS, failure
from test_keys import ADMIN2, unique

# -- grants under grants --


@pytest.mark.parametrize(
    "outer, inner, allowed",
    [
        ({}, {}, True),
        ({"operations": [ENCRYPT, CREATE_GRANT]}, {"operations": [ENCRYPT]}, True),
        ({"operations": [ENCRYPT, CREATE_GRANT]}, {"operations": [ENCRYPT, CREATE_GRANT]}, True),
        ({"operations": [ENCRYPT, CREATE_GRANT]}, {"operations": [ENCRYPT, DECRYPT]}, False),
        ({"operations": [ENCRYPT, CREATE_GRANT]}, {"operations": [RETIRE_GRANT]}, False),
        ({"operations": [ENCRYPT]}, {"operations": [ENCRYPT]}, False),
        ({"constraints": {EQUALS: {"a": "1"}}}, {"constraints": {EQUALS: {"a": "1"}}}, True),
        ({"constraints": {EQUALS: {"a": "1"}}}, {"constraints": {EQUALS: {"a": "1", "b": "2"}}}, False),
        ({"constraints": {EQUALS: {"a": "1"}}}, {"constraints": {SUBSET: {"a": "1"}}}, False),
        ({"constraints": {EQUALS: {"a": "1"}}}, {}, False),
        ({"constraints": {SUBSET: {"a": "1"}}}, {}, False),
        ({"constraints": {SUBSET: {"a": "1"}}}, {"constraints": {SUBSET: {"a": "1", "b": "2"}}}, True),
        ({"constraints": {SUBSET: {"a": "1"}}}, {"constraints": {EQUALS: {"a": "1", "b": "2"}}}, True),
        ({"constraints": {SUBSET: {"a": "1"}}}, {"constraints": {SUBSET: {"b": "2"}}}, False),
        ({"constraints": {SUBSET: {"a": "1"}}}, {"constraints": {EQUALS: {"a": "2"}}}, False),
        ({}, {"constraints": {SUBSET: {"a": "1"}}}, True),
        ({"expiration_time_us": SOON}, {}, False),
        ({"expiration_time_us": SOON}, {"expiration_time_us": SOON + 1}, False),
        ({"expiration_time_us": SOON}, {"expiration_time_us": SOON}, True),
        ({}, {"expiration_time_us": SOON}, True),
    ],
)
def test_grant_under_a_grant_is_never_wider(admin, grantee, key, outer, inner, allowed):
    first = admin.CreateGrant(
        key_id=key, grantee_principal=GRANTEE, **{"operations": [ENCRYPT, DECRYPT, CREATE_GRANT], **outer}
    )
    request = {"key_id": key, "grantee_principal": THIRD, **{"operations": [ENCRYPT], **inner}}
    if allowed:
        second = grantee.CreateGrant(grant_tokens=[first.grant_token], **request)
        listed = {g.grant_id: g for g in admin.ListGrants(key_id=key).grants}
        assert listed[second.grant_id].creator == GRANTEE
    else:
        assert failure(grantee.CreateGrant, **request).reason == "ACCESS_DENIED"


def test_two_grants_do_not_add_up(admin, grantee, key):
    """One grant must permit all of the new one."""
    give(admin, key, ENCRYPT, CREATE_GRANT)
    give(admin, key, DECRYPT, CREATE_GRANT)
    give(grantee, key, DECRYPT, to=THIRD)
    assert failure(give, grantee, key, ENCRYPT, DECRYPT, to=THIRD).reason == "ACCESS_DENIED"


def test_chain_of_grants_outlives_its_beginning_but_never_widens(admin, grantee, third, key):
    """As AWS has it: revoking a grant leaves those that were made under it, which somebody else made."""
    first = give(admin, key, ENCRYPT, CREATE_GRANT)
    second = give(grantee, key, ENCRYPT, CREATE_GRANT, to=THIRD)
    admin.RevokeGrant(key_id=key, grant_id=first.grant_id)
    assert failure(give, grantee, key, ENCRYPT, to=OTHER).reason == "ACCESS_DENIED"
    third.Encrypt(key_id=key, plaintext=b"x")
    assert failure(give, third, key, DECRYPT, to=OTHER).reason == "ACCESS_DENIED"
    # The one who lost it gets it back only from somebody else.
    give(third, key, ENCRYPT, to=GRANTEE)
    assert {g.grantee_principal for g in admin.ListGrants(key_id=key).grants} == {THIRD, GRANTEE}
    admin.RevokeGrant(key_id=key, grant_id=second.grant_id)


# -- separation --


def test_no_use_for_an_administrator(service, admin, key):
    error = failure(give, admin, key, DECRYPT, to=ADMIN)
    assert error.reason == "POLICY_NOT_SEPARATED" and "would give itself use" in error.message
    admin.PutKeyPolicy(key_id=key, policy=admin_policy(allow(ADMIN2, "kms:DisableKey", "Off switch")))
    error = failure(give, admin, key, DESCRIBE_KEY, DECRYPT, to=ADMIN2)
    assert error.reason == "POLICY_NOT_SEPARATED"
    assert 'statement "Off switch" allows kms:DisableKey' in error.message
    give(admin, key, DESCRIBE_KEY, RETIRE_GRANT, CREATE_GRANT, to=ADMIN2)  # nothing in it uses the key
    outcome = service.records(operation="CreateGrant", kind="outcome", outcome="POLICY_NOT_SEPARATED")[-1]
    assert outcome["access"][0]["inputs"]["grantee_principal"] == ADMIN2


@pytest.mark.parametrize(
    "administers",
    [
        allow("*", "kms:TagResource", "All", Condition={"StringEquals": {"aws:PrincipalArn": "somebody"}}),
        allow(GRANTEE, "kms:CreateGrant", "Cond", Condition={"Bool": {"kms:GrantIsForAWSResource": "true"}}),
        allow(
            GRANTEE,
            "kms:PutKeyPolicy",
            "Later",
            Condition={"DateGreaterThan": {"aws:CurrentTime": "2099-01-01T00:00:00Z"}},
        ),
    ],
)
def test_administration_under_conditions_is_administration(service, admin, administers):
    key = service.new_key(policy=admin_policy(administers))
    error = failure(give, admin, key, DECRYPT)
    assert error.reason == "POLICY_NOT_SEPARATED" and f'"{administers["Sid"]}"' in error.message


def test_grantee_does_not_become_administrator(admin, key):
    grant = give(admin, key, DECRYPT).grant_id
    for statement in (allow(GRANTEE, "kms:EnableKey", "New"), allow("*", "kms:EnableKey", "New")):
        error = failure(admin.PutKeyPolicy, key_id=key, policy=admin_policy(statement))
        assert error.reason == "POLICY_NOT_SEPARATED"
        assert f"grant {grant}" in error.message and 'statement "New"' in error.message
    denied = allow(GRANTEE, "kms:EnableKey", "Never", effect="Deny")
    admin.PutKeyPolicy(key_id=key, policy=admin_policy(allow(GRANTEE, "kms:EnableKey", "New"), denied))
    admin.RevokeGrant(key_id=key, grant_id=grant)
    admin.PutKeyPolicy(key_id=key, policy=admin_policy(allow(GRANTEE, "kms:EnableKey", "New")))
    assert failure(give, admin, key, DECRYPT).reason == "POLICY_NOT_SEPARATED"


def test_writer_of_a_policy_gets_no_use_by_it(admin, key):
    """Also not when the same document takes administration away from its writer."""
    others = allow(ADMIN2, ADMINISTERS, "Others")
    for statement in (
        allow(ADMIN, USE_ACTIONS, "Mine"),
        allow("*", "kms:Decrypt", "Mine"),
        allow("*", "kms:Decrypt", "Mine", Condition={"StringEquals": {"aws:PrincipalArn": OTHER}}),
        allow(
            ADMIN,
            "kms:Decrypt",
            "Mine",
            Condition={"DateGreaterThan": {"aws:CurrentTime": "2099-01-01T00:00:00Z"}},
        ),
    ):
        error = failure(
            admin.PutKeyPolicy,
            key_id=key,
            policy=policy_of(
                allow(ADMIN2, ADMINISTERS, "Others") if statement["Principal"] != "*" else others, statement
            ),
            bypass_policy_lockout_safety_check=True,
        )
        assert error.reason == "POLICY_NOT_SEPARATED" and '"Mine"' in error.message
    handed_over = policy_of(others, allow(OTHER, USE_ACTIONS, "Use"))
    admin.PutKeyPolicy(key_id=key, policy=handed_over, bypass_policy_lockout_safety_check=True)


def test_another_administrator_may_make_a_former_one_a_user(service, admin, key):
    """Two distinct principals, and both on record."""
    admin.PutKeyPolicy(key_id=key, policy=admin_policy(allow(ADMIN2, ADMINISTERS, "Second")))
    with service.client(ADMIN2) as second:
        second.PutKeyPolicy(
            key_id=key, policy=policy_of(allow(ADMIN2, ADMINISTERS, "A"), allow(ADMIN, "kms:Encrypt", "U"))
        )
    admin.Encrypt(key_id=key, plaintext=b"x")


def test_maker_of_a_key_gets_no_use_by_its_policy(admin):
    policy = policy_of(allow(ADMIN2, ADMINISTERS, "Others"), allow(ADMIN, USE_ACTIONS, "Mine"))
    error = failure(admin.CreateKey, policy=policy, bypass_policy_lockout_safety_check=True)
    assert error.reason == "POLICY_NOT_SEPARATED" and 'statement "Mine"' in error.message


def test_former_administrator_gets_no_use_by_a_grant_of_its_own(service, admin, key):
    """Made administrator no more, then given a grant that may be handed on: it makes no grant for itself."""
    admin.PutKeyPolicy(
        key_id=key, policy=admin_policy(principal=ADMIN2), bypass_policy_lockout_safety_check=True
    )
    with service.client(ADMIN2) as second:
        held = give(second, key, DECRYPT, CREATE_GRANT, to=ADMIN)
        assert failure(give, admin, key, DECRYPT, to=ADMIN).reason == "POLICY_NOT_SEPARATED"
        assert failure(give, admin, key, DECRYPT, to=ADMIN2).reason == "POLICY_NOT_SEPARATED"
        second.RevokeGrant(key_id=key, grant_id=held.grant_id)
    assert failure(admin.Decrypt, ciphertext_blob=b"").reason == "INVALID_CIPHERTEXT"
    assert failure(admin.Encrypt, key_id=key, plaintext=b"x").reason == "ACCESS_DENIED"
    assert failure(give, admin, key, DECRYPT, to=OTHER).reason == "ACCESS_DENIED"


def test_warn_lets_it_in_and_says_so(fresh):
    fresh.write_config(policy={"separation": "warn"})
    fresh.init().start()
    key = fresh.new_key(policy=admin_policy())
    with fresh.client(ADMIN) as admin:
        give(admin, key, ENCRYPT, to=ADMIN)
        admin.Encrypt(key_id=key, plaintext=b"x")
        admin.PutKeyPolicy(key_id=key, policy=admin_policy(allow(ADMIN, "kms:Decrypt", "Mine")))
    for operation in ("CreateGrant", "PutKeyPolicy"):
        noted = fresh.records(operation=operation, kind="outcome", outcome="OK")[0]["extra"]["noted"]
        assert "accepted under policy.separation=warn" in noted


# -- aliases --


def move_policy(*users):
    return admin_policy(*(allow(user, "kms:Encrypt", f"Use{i}") for i, user in enumerate(users)))


@pytest.mark.parametrize("how", ["update", "tombstone"])
def test_alias_moves_only_to_a_key_with_no_new_grantee(service, admin, how):
    """An administrator cannot point an application at a key that a friend of his may open."""
    alias = unique("moving")
    old = service.new_key(policy=move_policy(APP), alias_name=alias)
    new = service.new_key(policy=move_policy(APP))
    grant = give(admin, new, DECRYPT).grant_id
    if how == "tombstone":
        admin.DeleteAlias(alias_name=alias)

    def move():
        if how == "update":
            admin.UpdateAlias(alias_name=alias, target_key_id=new)
        else:
            admin.CreateAlias(alias_name=alias, target_key_id=new)

    def refused():
        error = failure(move)
        assert error.reason == "APPROVAL_NEEDED" and f"grant {grant}" in error.message

    refused()
    give(admin, old, DECRYPT, constraints={SUBSET: {"a": "1"}})  # the friend may open less on the old key
    refused()
    give(admin, old, DECRYPT, expiration_time_us=SOON)  # and not for as long
    refused()
    give(admin, old, ENCRYPT)
    refused()
    give(admin, old, DECRYPT)
    move()


def test_alias_moves_to_a_key_whose_grantee_is_a_user_already(service, admin):
    alias = unique("moving")
    service.new_key(policy=move_policy(APP), alias_name=alias)
    new = service.new_key(policy=move_policy(APP))
    give(admin, new, ENCRYPT, to=APP)
    give(admin, new, DESCRIBE_KEY, to=OTHER)
    admin.UpdateAlias(alias_name=alias, target_key_id=new)
