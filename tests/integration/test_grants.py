"""Grants: who gets use of a key beside its policy, and how it ends."""
import json
import time
import uuid

import pytest

from granting import (
    DECRYPT,
    DESCRIBE_KEY,
    ENCRYPT,
    EQUALS,
    GENERATE_DATA_KEY,
    GRANTEE,
    RETIRE_GRANT,
    RE_ENCRYPT_FROM,
    RE_ENCRYPT_TO,
    SIGN,
    SOON,
    SUBSET,
    THIRD,
    admin_policy,
    allow,
    give,
)
from granting import grantee, key, third  # noqa: F401 (fixtures)
from harness import ADMIN, APP, OTHER, failure
from test_keys import ADMIN2

# -- use --


def test_grant_is_in_force_at_once_and_out_of_force_at_once(service, admin, grantee, key):
    assert failure(grantee.Encrypt, key_id=key, plaintext=b"x").reason == "ACCESS_DENIED"
    grant = give(admin, key, ENCRYPT, DECRYPT)
    blob = grantee.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob
    assert grantee.Decrypt(ciphertext_blob=blob).plaintext == b"x"
    assert failure(grantee.DescribeKey, key_id=key).reason == "ACCESS_DENIED"
    with service.client(OTHER) as other:
        assert failure(other.Decrypt, ciphertext_blob=blob).reason == "ACCESS_DENIED"
    admin.RevokeGrant(key_id=key, grant_id=grant.grant_id)
    assert failure(grantee.Decrypt, ciphertext_blob=blob).reason == "ACCESS_DENIED"
    assert failure(admin.RevokeGrant, key_id=key, grant_id=grant.grant_id).reason == "NOT_FOUND"


def test_record_names_the_grant_that_decided(service, admin, grantee, key):
    grant = give(admin, key, ENCRYPT, RE_ENCRYPT_FROM, RE_ENCRYPT_TO)
    blob = grantee.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob
    grantee.ReEncrypt(ciphertext_blob=blob, destination_key_id=key)
    mine = [r for r in service.records() if r.get("access", [{}])[0].get("key_id") == key]
    used = [a for r in mine if r["operation"] in ("Encrypt", "ReEncrypt") for a in r["access"]]
    assert [(a["decision"], a["grant"], a.get("statement")) for a in used] == [
        ("allow", grant.grant_id, None)
    ] * 3
    attempt, outcome = [r for r in mine if r["operation"] == "CreateGrant"]
    assert (attempt["kind"], outcome["kind"], outcome["outcome"]) == ("attempt", "outcome", "OK")
    for record in (attempt, outcome):
        assert record["extra"]["grant_id"] == grant.grant_id
        inputs = record["access"][0]["inputs"]
        assert inputs["grantee_principal"] == GRANTEE and "Encrypt" in json.dumps(inputs)


@pytest.mark.parametrize(
    "condition, fields, allowed",
    [
        ({"ForAllValues:StringEquals": {"kms:GrantOperations": ["Encrypt", "Decrypt"]}}, {}, True),
        (
            {"ForAllValues:StringEquals": {"kms:GrantOperations": ["Encrypt", "Decrypt"]}},
            {"operations": [ENCRYPT, 4]},
            False,
        ),
        ({"StringEquals": {"kms:GranteePrincipal": GRANTEE}}, {}, True),
        ({"StringEquals": {"kms:GranteePrincipal": GRANTEE}}, {"grantee_principal": THIRD}, False),
        ({"StringEquals": {"kms:RetiringPrincipal": THIRD}}, {"retiring_principal": THIRD}, True),
        ({"StringEquals": {"kms:RetiringPrincipal": THIRD}}, {}, False),
        (
            {"StringEquals": {"kms:GrantConstraintType": "EncryptionContextEquals"}},
            {"constraints": {"encryption_context_equals": {"a": "1"}}},
            True,
        ),
        (
            {"StringEquals": {"kms:GrantConstraintType": "EncryptionContextEquals"}},
            {"constraints": {"encryption_context_subset": {"a": "1"}}},
            False,
        ),
        ({"Null": {"kms:GrantConstraintType": "true"}}, {}, True),
        ({"Bool": {"kms:GrantIsForAWSResource": "true"}}, {}, False),
    ],
)
def test_policy_bounds_what_may_be_granted(service, condition, fields, allowed):
    key = service.new_key(policy=admin_policy(allow(ADMIN2, "kms:CreateGrant", "Some", Condition=condition)))
    request = {"key_id": key, "grantee_principal": GRANTEE, "operations": [ENCRYPT, DECRYPT], **fields}
    with service.client(ADMIN2) as second:
        if allowed:
            second.CreateGrant(**request)
        else:
            assert failure(second.CreateGrant, **request).reason == "ACCESS_DENIED"


def test_explicit_deny_beats_a_grant(admin, grantee, service):
    key = service.new_key(policy=admin_policy(allow(GRANTEE, "kms:Decrypt", "No", effect="Deny")))
    give(admin, key, ENCRYPT, DECRYPT)
    blob = grantee.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob
    assert failure(grantee.Decrypt, ciphertext_blob=blob).reason == "ACCESS_DENIED"


@pytest.mark.parametrize(
    "constraints, context, allowed",
    [
        ({EQUALS: {"a": "1", "b": "2"}}, {"b": "2", "a": "1"}, True),
        ({EQUALS: {"a": "1"}}, {"a": "1", "b": "2"}, False),
        ({EQUALS: {"a": "1"}}, {}, False),
        ({EQUALS: {"a": "1"}}, {"A": "1"}, False),
        ({EQUALS: {"a": "x"}}, {"a": "X"}, False),
        ({SUBSET: {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ({SUBSET: {"a": "1"}}, {"a": "1"}, True),
        ({SUBSET: {"a": "1", "b": "2"}}, {"a": "1"}, False),
        ({SUBSET: {"a": "1"}}, {"a": "2", "b": "2"}, False),
    ],
)
@pytest.mark.parametrize("also", [(), (DESCRIBE_KEY,)])
def test_constraint_on_the_encryption_context(admin, grantee, key, constraints, context, allowed, also):
    give(admin, key, ENCRYPT, DECRYPT, GENERATE_DATA_KEY, *also, constraints=constraints)
    calls = [
        lambda: grantee.Encrypt(key_id=key, plaintext=b"x", encryption_context=context),
        lambda: grantee.GenerateDataKey(key_id=key, key_spec=2, encryption_context=context),
    ]
    for call in calls:
        if allowed:
            made = call()
            grantee.Decrypt(ciphertext_blob=made.ciphertext_blob, encryption_context=context)
        else:
            assert failure(call).reason == "ACCESS_DENIED"
    if also:  # has no encryption context: not bound
        grantee.DescribeKey(key_id=key)


def test_expiry(admin, grantee, key):
    now = time.time_ns() // 1000
    assert "not in the future" in failure(give, admin, key, ENCRYPT, expiration_time_us=now - 1).message
    made = give(admin, key, ENCRYPT, expiration_time_us=now + 1_500_000)
    grantee.Encrypt(key_id=key, plaintext=b"x", grant_tokens=[made.grant_token])
    assert len(admin.ListGrants(key_id=key).grants) == 1
    time.sleep(max(0, (now + 1_500_000) / 1e6 - time.time()) + 0.01)
    assert failure(grantee.Encrypt, key_id=key, plaintext=b"x").reason == "ACCESS_DENIED"
    assert (
        failure(grantee.Encrypt, key_id=key, plaintext=b"x", grant_tokens=[made.grant_token]).reason
        == "INVALID_GRANT_TOKEN"
    )
    assert len(admin.ListGrants(key_id=key).grants) == 0


# -- tokens --


def test_grant_tokens(service, admin, grantee, key):
    made = give(
        admin, key, ENCRYPT, DECRYPT, GENERATE_DATA_KEY, 4, DESCRIBE_KEY, RE_ENCRYPT_FROM, RE_ENCRYPT_TO
    )
    good, other_key = [made.grant_token], service.new_key(policy=admin_policy())
    blob = grantee.Encrypt(key_id=key, plaintext=b"x", grant_tokens=good * 10).ciphertext_blob
    calls = [
        (grantee.Encrypt, {"key_id": key, "plaintext": b"x"}),
        (grantee.Decrypt, {"ciphertext_blob": blob}),
        (grantee.ReEncrypt, {"ciphertext_blob": blob, "destination_key_id": key}),
        (grantee.GenerateDataKey, {"key_id": key, "key_spec": 2}),
        (grantee.GenerateDataKeyWithoutPlaintext, {"key_id": key, "key_spec": 2}),
        (grantee.DescribeKey, {"key_id": key}),
    ]
    foreign = give(admin, other_key, ENCRYPT).grant_token
    last = "A" if made.grant_token[-1] != "A" else "B"
    bad = [
        "",
        "x",
        made.grant_token[:-1],
        made.grant_token[:-1] + last,
        made.grant_token + "A",
        foreign,
        "kg1." + "A" * 64,
    ]
    for call, fields in calls:
        call(grant_tokens=good, **fields)
        for token in bad:
            error = failure(call, grant_tokens=good + [token], **fields)
            assert error.reason == "INVALID_GRANT_TOKEN" and "grant_tokens[1]" in error.message
    assert (
        failure(grantee.Encrypt, key_id=key, plaintext=b"x", grant_tokens=good * 11).reason
        == "INVALID_ARGUMENT"
    )
    # a token permits nothing by itself
    with service.client(OTHER) as other:
        assert failure(other.Encrypt, key_id=key, plaintext=b"x", grant_tokens=good).reason == "ACCESS_DENIED"
    admin.RevokeGrant(key_id=key, grant_id=made.grant_id)
    assert failure(admin.DescribeKey, key_id=key, grant_tokens=good).reason == "INVALID_GRANT_TOKEN"


# -- form --


@pytest.mark.parametrize(
    "fields, reason, words",
    [
        ({"grantee_principal": ""}, "INVALID_ARGUMENT", "grantee_principal"),
        ({"grantee_principal": "*"}, "INVALID_ARGUMENT", "not the name of one principal"),
        ({"grantee_principal": "spiffe://example.org/*"}, "INVALID_ARGUMENT", "no wildcard"),
        ({"grantee_principal": "spiffe://example.org/?"}, "INVALID_ARGUMENT", "no wildcard"),
        ({"grantee_principal": "a" * 512}, "INVALID_ARGUMENT", "grantee_principal"),
        ({"grantee_principal": "a\nb"}, "INVALID_ARGUMENT", "grantee_principal"),
        ({"retiring_principal": "*"}, "INVALID_ARGUMENT", "retiring_principal"),
        ({"operations": []}, "INVALID_ARGUMENT", "operations: at least one"),
        ({"operations": [0]}, "INVALID_ARGUMENT", "operations: 0 is none"),
        ({"operations": [17]}, "INVALID_ARGUMENT", "operations: 17 is none"),
        ({"operations": [ENCRYPT, SIGN]}, "INVALID_KEY_USAGE", "Sign is not for a key of this kind"),
        ({"operations": [15]}, "INVALID_KEY_USAGE", "GenerateMac is not"),
        ({"name": "no blanks"}, "INVALID_ARGUMENT", "name: "),
        ({"name": "n" * 257}, "INVALID_ARGUMENT", "name: "),
        ({"constraints": {EQUALS: {"a": "1"}, SUBSET: {"a": "1"}}}, "INVALID_ARGUMENT", "not both"),
        ({"constraints": {SUBSET: {str(i): "" for i in range(9)}}}, "INVALID_ARGUMENT", "1 to 8 pairs"),
        ({"constraints": {SUBSET: {"a": "v" * 385}}}, "INVALID_ARGUMENT", "384"),
        ({"constraints": {SUBSET: {"n" * 385: ""}}}, "INVALID_ARGUMENT", "384"),
        ({"constraints": {SUBSET: {"": "x"}}}, "INVALID_ARGUMENT", "a name of 1 to 384"),
        ({"expiration_time_us": 1}, "INVALID_ARGUMENT", "not in the future"),
        ({"client_request_token": "t" * 65}, "INVALID_ARGUMENT", "client_request_token"),
        ({"key_id": str(uuid.uuid4())}, "NOT_FOUND", "there is no key"),
    ],
)
def test_form(admin, key, fields, reason, words):
    request = {"key_id": key, "grantee_principal": GRANTEE, "operations": [ENCRYPT], **fields}
    error = failure(admin.CreateGrant, **request)
    assert error.reason == reason and words in error.message
    assert len(admin.ListGrants(key_id=key).grants) == 0


def test_only_who_may_makes_and_revokes(service, admin, grantee, key):
    grant = give(admin, key, ENCRYPT).grant_id
    with service.client(APP) as app:
        for call, fields in (
            (app.CreateGrant, {"key_id": key, "grantee_principal": OTHER, "operations": [ENCRYPT]}),
            (app.RevokeGrant, {"key_id": key, "grant_id": grant}),
            (app.RetireGrant, {"key_id": key, "grant_id": grant}),
            (app.RetireGrant, {"key_id": key, "grant_id": str(uuid.uuid4())}),
            (app.ListGrants, {"key_id": key}),
        ):
            assert failure(call, **fields).reason == "ACCESS_DENIED"
    assert failure(admin.RevokeGrant, key_id=key, grant_id="nonsense").reason == "INVALID_ARGUMENT"
    assert failure(grantee.RevokeGrant, key_id=key, grant_id=grant).reason == "ACCESS_DENIED"


# -- how a grant ends --


def test_who_may_retire(service, admin, grantee, third):
    key = service.new_key(policy=admin_policy(allow(ADMIN2, "kms:RetireGrant", "Retire")))
    plain = give(admin, key, ENCRYPT)
    for client in (grantee, third, admin):
        assert failure(client.RetireGrant, grant_token=plain.grant_token).reason == "ACCESS_DENIED"
    own = give(admin, key, ENCRYPT, RETIRE_GRANT)
    assert failure(grantee.RetireGrant, key_id=key, grant_id=plain.grant_id).reason == "ACCESS_DENIED"
    grantee.RetireGrant(grant_token=own.grant_token)
    named = give(admin, key, ENCRYPT, retiring_principal=THIRD)
    assert failure(grantee.RetireGrant, grant_token=named.grant_token).reason == "ACCESS_DENIED"
    third.RetireGrant(key_id=key, grant_id=named.grant_id)
    assert failure(third.RetireGrant, key_id=key, grant_id=named.grant_id).reason == "ACCESS_DENIED"
    with service.client(ADMIN2) as policy:
        policy.RetireGrant(key_id=key, grant_id=plain.grant_id)
        assert failure(policy.RetireGrant, key_id=key, grant_id=plain.grant_id).reason == "NOT_FOUND"
    assert failure(third.RetireGrant, grant_token=named.grant_token).reason == "INVALID_GRANT_TOKEN"
    assert failure(grantee.Encrypt, key_id=key, plaintext=b"x").reason == "ACCESS_DENIED"
    retired = [r for r in service.records(operation="RetireGrant", kind="outcome") if r["outcome"] == "OK"]
    by = {(r["principal"], r["extra"]["grant_id"], r["access"][0].get("grant")) for r in retired}
    assert {(GRANTEE, own.grant_id, own.grant_id), (THIRD, named.grant_id, named.grant_id)} <= by
    assert (ADMIN2, plain.grant_id, None) in by


@pytest.mark.parametrize(
    "fields",
    [{}, {"key_id": "k"}, {"grant_token": "t", "grant_id": "g"}, {"grant_token": "t", "key_id": "k"}],
)
def test_retire_by_token_or_by_name(admin, fields):
    assert failure(admin.RetireGrant, **fields).reason == "INVALID_ARGUMENT"


def test_deny_of_retiring(service, admin, third):
    key = service.new_key(policy=admin_policy(allow(THIRD, "kms:RetireGrant", "No", effect="Deny")))
    made = give(admin, key, ENCRYPT, retiring_principal=THIRD)
    assert failure(third.RetireGrant, grant_token=made.grant_token).reason == "ACCESS_DENIED"


# -- lists --


def pages(call, field="grants", **fields):
    found, marker, count = [], "", 0
    while True:
        page = call(marker=marker, **fields)
        found += getattr(page, field)
        count += 1
        if not page.truncated:
            return found, count
        marker = page.next_marker


def test_lists(service, admin, key):
    fields = {"constraints": {SUBSET: {"tenant": "7"}}, "name": "n", "expiration_time_us": SOON}
    made = [give(admin, key, ENCRYPT, DECRYPT, retiring_principal=THIRD, **fields).grant_id]
    made += [give(admin, key, ENCRYPT, to=f"spiffe://example.org/g{i}").grant_id for i in range(6)]
    give(admin, service.new_key(policy=admin_policy()), ENCRYPT)
    found, count = pages(admin.ListGrants, key_id=key, limit=3)
    assert [g.grant_id for g in found] == sorted(made) and count == 3
    assert {g.key_id for g in found} == {key}
    (one,), _ = pages(admin.ListGrants, key_id=key, grantee_principal=GRANTEE, limit=1)
    assert (one.grant_id, one.name, one.creator) == (made[0], "n", ADMIN)
    assert (list(one.operations), one.retiring_principal) == ([DECRYPT, ENCRYPT], THIRD)
    assert dict(one.constraints.encryption_context_subset) == {"tenant": "7"}
    assert one.expiration_time_us == SOON and abs(one.creation_time_us / 1e6 - time.time()) < 60
    assert [g.grant_id for g in admin.ListGrants(key_id=key, grant_id=made[3]).grants] == [made[3]]
    assert not admin.ListGrants(key_id=key, grant_id=made[3], grantee_principal=GRANTEE).grants
    assert not admin.ListGrants(key_id=key, grant_id=str(uuid.uuid4())).grants
    for fields, reason in (
        ({"marker": "x"}, "INVALID_MARKER"),
        ({"limit": 1001}, "INVALID_ARGUMENT"),
        ({"grant_id": "x"}, "INVALID_ARGUMENT"),
    ):
        assert failure(admin.ListGrants, key_id=key, **fields).reason == reason


def test_list_of_retirable_grants(service, admin):
    retiring = f"spiffe://example.org/{uuid.uuid4().hex}"
    keys = [service.new_key(policy=admin_policy()) for _ in range(3)]
    made = {give(admin, key, ENCRYPT, retiring_principal=retiring).grant_id for key in keys for _ in range(2)}
    give(admin, keys[0], ENCRYPT, retiring_principal=OTHER)
    with service.client(retiring) as client:
        found, count = pages(client.ListRetirableGrants, limit=4)
        assert {g.grant_id for g in found} == made and {g.key_id for g in found} == set(keys) and count == 2
        assert len(client.ListRetirableGrants(retiring_principal=retiring).grants) == 6
        error = failure(client.ListRetirableGrants, retiring_principal=OTHER)
        assert error.reason == "ACCESS_DENIED" and "kms:ListRetirableGrants" in error.message
        assert failure(client.ListRetirableGrants, marker="x").reason == "INVALID_MARKER"
        for grant in found:
            client.RetireGrant(key_id=grant.key_id, grant_id=grant.grant_id)
        assert not client.ListRetirableGrants().grants
