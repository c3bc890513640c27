"""Making secrets: which request is the same one again, and which keys are taken."""
import uuid

import pytest

from callers import ADMIN2, secret_policy
from harness import ADMIN, APP, OTHER, key_policy
from rpc_client import failure
from test_secret_service import CURRENT, PREVIOUS, make, name, stages, text


def test_the_same_token_changes_nothing(admin, app, service, name):
    token = uuid.uuid4().hex
    made = make(admin, name, "one", client_request_token=token)
    assert made.version_id == token
    assert make(admin, name, "one", client_request_token=token).arn == made.arn
    other = failure(make, admin=admin, name=name, value="two", client_request_token=token)
    assert other.reason == "ALREADY_EXISTS" and "another value" in other.message
    assert failure(make, admin=admin, name=name).reason == "ALREADY_EXISTS"
    second = uuid.uuid4().hex
    for _ in range(2):
        assert admin.PutSecretValue(secret_id=name, value=text("two"), client_request_token=second).version_id == second
    assert stages(admin, name) == {token: [PREVIOUS], second: [CURRENT]}
    other_value = failure(admin.PutSecretValue, secret_id=name, value=text("three"), client_request_token=second)
    assert other_value.reason == "ALREADY_EXISTS" and "another value" in other_value.message
    # somebody else who may write cannot find out by trying
    admin.PutResourcePolicy(secret_id=name, resource_policy=secret_policy(admins=(ADMIN, ADMIN2)))
    with service.client(ADMIN2) as client:
        guess = failure(client.PutSecretValue, secret_id=name, value=text("two"), client_request_token=second)
    assert guess.reason == "ALREADY_EXISTS" and "another principal" in guess.message
    bad = failure(admin.PutSecretValue, secret_id=name, value=text("v"), client_request_token="short")
    assert bad.reason == "INVALID_ARGUMENT" and "client_request_token: 32 to 64" in bad.message


def test_a_token_is_for_one_request(admin, app, service, name):
    """Of CreateSecret all of it counts, not the value alone."""
    key = service.new_key(admin=ADMIN2, policy=key_policy(admins=(ADMIN2,), users=(ADMIN, APP)))
    request = dict(name=name, client_request_token=uuid.uuid4().hex, description="one", resource_policy=secret_policy(),
                   tags=[{"tag_key": "a", "tag_value": "1"}, {"tag_key": "b", "tag_value": "2"}], value=text("v"), kms_key_id=key)
    made = admin.CreateSecret(**request)
    changes = dict(
        description="two", kms_key_id=admin.DescribeKey(key_id=key).key_metadata.arn, tags=request["tags"][:1], value=None,
        resource_policy=secret_policy(users=(OTHER,)), bypass_policy_lockout_safety_check=True,
        client_request_token=uuid.uuid4().hex,
    )
    for field, value in changes.items():
        refused = failure(admin.CreateSecret, **{**request, field: value})
        assert refused.reason == "ALREADY_EXISTS" and "another request" in refused.message, field
    binary = failure(admin.CreateSecret, **{**request, "value": {"secret_binary": b"v"}})
    assert binary.reason == "ALREADY_EXISTS" and "another request" in binary.message
    # what became of the secret since does not matter
    admin.UpdateSecret(secret_id=name, description="three")
    admin.PutSecretValue(secret_id=name, value=text("w"))
    again = admin.CreateSecret(**request)
    assert (again.arn, again.version_id) == (made.arn, made.version_id)
    assert admin.DescribeSecret(secret_id=name).description == "three"
    assert app.GetSecretValue(secret_id=name).value.secret_string == "w"
    with service.client(ADMIN2) as other:
        assert failure(other.CreateSecret, **{**request, "kms_key_id": ""}).reason == "ALREADY_EXISTS"
    admin.DeleteSecret(secret_id=name)
    assert failure(admin.CreateSecret, **request).reason == "ALREADY_EXISTS"


def test_a_token_of_a_secret_without_value(admin, name):
    token = uuid.uuid4().hex
    made = admin.CreateSecret(name=name, client_request_token=token)
    assert (made.version_id, admin.CreateSecret(name=name, client_request_token=token).arn) == ("", made.arn)
    assert failure(admin.CreateSecret, name=name, client_request_token=token, description="x").reason == "ALREADY_EXISTS"
    admin.PutSecretValue(secret_id=name, value=text("v"), client_request_token=token)
    assert failure(admin.CreateSecret, name=name, client_request_token=token, value=text("v")).reason == "ALREADY_EXISTS"
    assert admin.CreateSecret(name=name, client_request_token=token).version_id == ""
    # the id that the service made is no token of a request
    other = admin.CreateSecret(name=name + "x", value=text("v"))
    assert failure(admin.CreateSecret, name=name + "x", value=text("v"), client_request_token=other.version_id).reason \
        == "ALREADY_EXISTS"


def test_a_token_tells_nothing_about_what_others_wrote(admin, service, name):
    token = uuid.uuid4().hex
    admin.CreateSecret(name=name, resource_policy=secret_policy(admins=(ADMIN, ADMIN2)))
    with service.client(ADMIN2) as other:
        other.PutSecretValue(secret_id=name, value=text("theirs"), client_request_token=token)
    for guess in ("theirs", "mine"):
        assert failure(make, admin=admin, name=name, value=guess, client_request_token=token).reason == "ALREADY_EXISTS"


SIGN, PENDING_DAYS = 2, 7


@pytest.mark.parametrize("what, reason", [
    ("rsa", "INVALID_KEY_USAGE"), ("signing", "INVALID_KEY_USAGE"), ("hmac", "INVALID_KEY_USAGE"),
    ("disabled", "KEY_DISABLED"), ("pending deletion", "INVALID_KEY_STATE"), ("no material", "INVALID_KEY_STATE"),
])
def test_a_key_that_cannot_seal_is_refused_at_once(admin, service, name, what, reason):
    specs = {"rsa": dict(key_spec=2, key_usage=1), "signing": dict(key_spec=5, key_usage=SIGN), "hmac": dict(key_spec=9),
             "no material": dict(origin=2)}
    policy = key_policy(users=(ADMIN, APP), admins=(ADMIN2,))
    key = service.new_key(admin=ADMIN2, policy=policy, **specs.get(what, {}))
    with service.client(ADMIN2) as keeper:
        if what == "disabled":
            keeper.DisableKey(key_id=key)
        elif what == "pending deletion":
            keeper.ScheduleKeyDeletion(key_id=key, pending_window_in_days=PENDING_DAYS)
    make(admin, name)
    before = admin.DescribeSecret(secret_id=name)
    calls = [(admin.UpdateSecret, dict(secret_id=name)), (admin.CreateSecret, dict(name=name + "x")),
             (admin.CreateSecret, dict(name=name + "x", value=text("v")))]
    for call, fields in calls:
        refused = failure(call, kms_key_id=key, **fields)
        assert refused.reason == reason and key in refused.message
    assert admin.DescribeSecret(secret_id=name) == before
    assert failure(admin.DescribeSecret, secret_id=name + "x").reason == "NOT_FOUND"
