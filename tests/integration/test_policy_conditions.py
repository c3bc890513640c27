"""What operations put to policy besides who and what: their own parameters, tags, variables. The daemon decides."""
import json

import pytest

from harness import ADMIN, APP, Failure
from policies import document, statement

MANAGE = statement("Manage", ADMIN, ["kms:*Key*", "kms:*Alias", "kms:TagResource", "kms:UntagResource", "kms:ListResourceTags"])
# What "kms:*Key*" would allow of usage.
NO_USE = statement(
    "NoUse",
    ADMIN,
    ["kms:GenerateDataKey*", "kms:*crypt*", "kms:Sign", "kms:Verify*", "kms:GenerateMac", "kms:Derive*"],
    "Deny",
)


def denied(call, **fields):
    with pytest.raises(Failure) as caught:
        call(**fields)
    return caught.value.reason == "ACCESS_DENIED"


def key_under(client, *statements, **fields):
    return client.CreateKey(policy=document(MANAGE, NO_USE, *statements), **fields).key_metadata.key_id


def deny(condition, action):
    return statement("Deny", "*", action, "Deny", Condition=condition)


def recorded(service, **wanted):
    """The inputs that the newest record of such a call has for its first access."""
    return service.records(**wanted)[-1]["access"][0].get("inputs", {})


def test_a_rotation_period_can_be_bounded(service):
    with service.client(ADMIN) as admin:
        bound = {"NumericGreaterThan": {"kms:RotationPeriodInDays": "400"}}
        key = key_under(admin, deny(bound, "kms:EnableKeyRotation"))
        assert denied(admin.EnableKeyRotation, key_id=key, rotation_period_in_days=401)
        assert recorded(service, operation="EnableKeyRotation")["rotation_period_days"] == "401"
        admin.EnableKeyRotation(key_id=key, rotation_period_in_days=400)
        admin.EnableKeyRotation(key_id=key)  # policy sees the default, 365 days


def test_a_deletion_window_can_be_bounded(service):
    with service.client(ADMIN) as admin:
        bound = {"NumericLessThan": {"kms:ScheduleKeyDeletionPendingWindowInDays": "14"}}
        key = key_under(admin, deny(bound, "kms:ScheduleKeyDeletion"))
        assert denied(admin.ScheduleKeyDeletion, key_id=key, pending_window_in_days=13)
        admin.ScheduleKeyDeletion(key_id=key)  # policy sees the default, 30 days
        assert recorded(service, operation="ScheduleKeyDeletion")["pending_window_days"] == "30"


def test_tags_that_come_and_go(service):
    with service.client(ADMIN) as admin:
        key = key_under(
            admin,
            deny({"ForAnyValue:StringEquals": {"aws:TagKeys": "owner"}}, ["kms:TagResource", "kms:UntagResource"]),
            tags=[{"tag_key": "owner", "tag_value": "shop"}],
        )
        assert denied(admin.TagResource, key_id=key, tags=[{"tag_key": "a"}, {"tag_key": "owner", "tag_value": "x"}])
        assert recorded(service, operation="TagResource")["request_tags/owner"] == "x"
        assert denied(admin.UntagResource, key_id=key, tag_keys=["owner"])
        admin.TagResource(key_id=key, tags=[{"tag_key": "team", "tag_value": "x"}])
        admin.UntagResource(key_id=key, tag_keys=["team"])
        values = deny({"StringNotEquals": {"aws:RequestTag/env": ["dev", "prod"]}}, "kms:TagResource")
        key = key_under(admin, values)
        assert denied(admin.TagResource, key_id=key, tags=[{"tag_key": "env", "tag_value": "test"}])
        assert denied(admin.TagResource, key_id=key, tags=[{"tag_key": "team", "tag_value": "dev"}])
        admin.TagResource(key_id=key, tags=[{"tag_key": "Env", "tag_value": "dev"}])


def test_tags_of_the_key(service):
    with service.client(ADMIN) as admin, service.client(APP) as app:
        use = statement("Use", APP, "kms:Encrypt", Condition={"StringEquals": {"aws:ResourceTag/state": "open"}})
        key = key_under(admin, use)
        assert denied(app.Encrypt, key_id=key, plaintext=b"x")
        admin.TagResource(key_id=key, tags=[{"tag_key": "state", "tag_value": "open"}])
        app.Encrypt(key_id=key, plaintext=b"x")


def test_a_key_that_only_a_service_uses(service):
    """Everybody, its administrator included, may use it through the service of secrets, and nobody directly."""
    through = {"StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}}
    use = ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"]
    with service.client(ADMIN) as admin, service.client(APP) as app:
        manage = statement("Admin", ADMIN, ["kms:PutKeyPolicy", "kms:DescribeKey"])
        secrets = statement("Secrets", "*", use, Condition=through)
        key = admin.CreateKey(policy=document(manage, secrets)).key_metadata.key_id
        assert denied(app.Encrypt, key_id=key, plaintext=b"x") and denied(admin.Encrypt, key_id=key, plaintext=b"x")
        assert "via_service" not in recorded(service, operation="Encrypt")
        secrets["Condition"] = {"StringEqualsIfExists": through["StringEquals"]}
        with pytest.raises(Failure) as caught:
            admin.PutKeyPolicy(key_id=key, policy=document(manage, secrets))
        assert caught.value.reason == "POLICY_NOT_SEPARATED"


def test_variables_stand_for_the_caller(service):
    with service.client(ADMIN) as admin, service.client(APP) as app:
        own = {"StringEquals": {"kms:EncryptionContext:owner": "${aws:PrincipalArn}"}}
        key = key_under(admin, statement("Use", APP, "kms:Encrypt", Condition=own))
        app.Encrypt(key_id=key, plaintext=b"x", encryption_context={"owner": APP})
        for context in ({"owner": ADMIN}, {"owner": "${aws:PrincipalArn}"}, {}):
            assert denied(app.Encrypt, key_id=key, plaintext=b"x", encryption_context=context)


def test_a_refused_document_says_where(service):
    with service.client(ADMIN) as admin:
        key = key_under(admin)
        bad = json.dumps(json.loads(document(MANAGE, statement("Use", APP, ["kms:Encrypt", "kms:Decrpyt"]))), indent=1)
        line = 1 + next(number for number, text in enumerate(bad.splitlines()) if "Decrpyt" in text)
        with pytest.raises(Failure) as caught:
            admin.PutKeyPolicy(key_id=key, policy=bad)
        assert caught.value.reason == "MALFORMED_POLICY"
        assert f"line {line}, column 5: Statement 2 (Use): unknown action 'kms:Decrpyt'" in caught.value.message
        with pytest.raises(Failure) as caught:
            admin.PutKeyPolicy(key_id=key, policy='{"Version": "2012-10-17",\n "Version": "2008-10-17"}')
        assert "line 2, column" in caught.value.message and "duplicate object key" in caught.value.message
