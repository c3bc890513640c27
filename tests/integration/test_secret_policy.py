"""What the policy of a secret and that of its key decide, by conditions and together; and what of it can be asked again."""
import json
import uuid

import pytest

from callers import ADMIN2, secret_policy
from harness import ADMIN, APP, OTHER, Failure, key_policy
from policies import document, kmsctl, statement

VIA = "secretsmanager.us-east-1.amazonaws.com"


@pytest.fixture
def name():
    return "policy/" + uuid.uuid4().hex[:12]


def secret_under(admin, name, *statements, **fields):
    policy = json.loads(secret_policy())
    policy["Statement"] += statements
    fields.setdefault("value", {"secret_string": "first"})
    return admin.CreateSecret(name=name, resource_policy=json.dumps(policy), **fields)


def deny(action, operator, key, value):
    return statement("Deny", "*", "secretsmanager:" + action, "Deny", Condition={operator: {"secretsmanager:" + key: value}})


def reason(call, **fields):
    with pytest.raises(Failure) as caught:
        call(**fields)
    return caught.value.reason


def inputs(service, **wanted):
    return service.records(**wanted)[-1]["access"][0].get("inputs", {})


def test_stages_and_versions(service, admin, app, name):
    made = secret_under(admin, name, deny("GetSecretValue", "StringNotEquals", "VersionStage", "AWSCURRENT"))
    admin.PutSecretValue(secret_id=name, value={"secret_string": "second"})
    assert app.GetSecretValue(secret_id=name).value.secret_string == "second"  # AWSCURRENT, though nobody said so
    assert inputs(service, operation="GetSecretValue")["secret_version_stage"] == "AWSCURRENT"
    assert reason(app.GetSecretValue, secret_id=name, version_stage="AWSPREVIOUS") == "ACCESS_DENIED"
    assert reason(app.GetSecretValue, secret_id=name, version_id=made.version_id) == "ACCESS_DENIED"
    assert inputs(service, operation="GetSecretValue") == {"secret_version_id": made.version_id}


def test_a_stage_that_nobody_moves(admin, name):
    made = secret_under(admin, name, deny("UpdateSecretVersionStage", "StringEquals", "VersionStage", "AWSCURRENT"))
    second = admin.PutSecretValue(secret_id=name, value={"secret_string": "second"}, version_stages=["next"])
    move = dict(secret_id=name, move_to_version_id=second.version_id)
    current = dict(move, version_stage="AWSCURRENT", remove_from_version_id=made.version_id)
    assert reason(admin.UpdateSecretVersionStage, **current) == "ACCESS_DENIED"
    admin.UpdateSecretVersionStage(**move, version_stage="other")


def test_how_a_secret_goes(service, admin, name):
    secret_under(
        admin, name,
        deny("DeleteSecret", "Bool", "ForceDeleteWithoutRecovery", "true"),
        dict(deny("DeleteSecret", "NumericLessThan", "RecoveryWindowInDays", "14"), Sid="Slowly"),
    )
    assert reason(admin.DeleteSecret, secret_id=name, force_delete_without_recovery=True) == "ACCESS_DENIED"
    assert reason(admin.DeleteSecret, secret_id=name, recovery_window_in_days=7) == "ACCESS_DENIED"
    admin.DeleteSecret(secret_id=name)  # 30 days, though nobody said so
    assert inputs(service, operation="DeleteSecret") == {"recovery_window_days": "30", "force_delete": "false"}


def test_who_may_change_the_rules_of_rotation(service, admin, name):
    secret_under(
        admin, name,
        deny("RotateSecret", "Bool", "ModifyRotationRules", "true"),
        dict(deny("RotateSecret", "Bool", "RotateImmediately", "false"), Sid="Now"),
    )
    rules = dict(automatically_after_days=30)
    assert reason(admin.RotateSecret, secret_id=name, rotation_rules=rules) == "ACCESS_DENIED"
    assert inputs(service, operation="RotateSecret") == {"modify_rotation_rules": "true", "rotate_immediately": "true"}
    assert reason(admin.RotateSecret, secret_id=name, do_not_rotate_immediately=True) == "ACCESS_DENIED"
    assert inputs(service, operation="RotateSecret") == {"modify_rotation_rules": "false", "rotate_immediately": "false"}
    assert reason(admin.RotateSecret, secret_id=name) == "NO_ROTATOR"  # allowed, but there is none


def test_which_key(service, admin, name):
    key = service.new_key(policy=document(
        statement("Admin", [ADMIN, ADMIN2], ["kms:PutKeyPolicy", "kms:DescribeKey"]),
        statement("Secrets", "*", ["kms:Decrypt", "kms:GenerateDataKey"], Condition={"StringEquals": {"kms:ViaService": VIA}}),
    ))
    arn = admin.DescribeKey(key_id=key).key_metadata.arn
    secret_under(admin, name, deny("UpdateSecret", "StringNotEquals", "KmsKeyArn", arn), kms_key_id=key,
                 tags=[dict(tag_key="team", tag_value="a")])
    said = inputs(service, operation="CreateSecret")
    wanted = {"secret_name": name, "secret_kms_key_id": key, "secret_kms_key_arn": arn, "request_tags/team": "a"}
    assert said == wanted
    assert service.records(operation="CreateSecret")[-1]["access"][1]["inputs"]["via_service"] == VIA
    other = service.new_key(policy=key_policy(admins=(ADMIN,), users=(OTHER,)))
    assert reason(admin.UpdateSecret, secret_id=name, kms_key_id=other) == "ACCESS_DENIED"
    admin.UpdateSecret(secret_id=name, kms_key_id=key)


def test_both_policies_must_say_yes(service, admin, app, name):
    """secretsmanager:GetSecretValue of the secret, kms:Decrypt of its key: each alone reads nothing."""
    use = statement("Use", [ADMIN2, OTHER], ["kms:Decrypt", "kms:GenerateDataKey"])
    key = service.new_key(policy=document(statement("Admin", ADMIN, ["kms:PutKeyPolicy", "kms:DescribeKey"]), use))
    with service.client(ADMIN2) as maker, service.client(OTHER) as other:
        maker.CreateSecret(name=name, value={"secret_string": "x"}, kms_key_id=key,
                           resource_policy=secret_policy(admins=(ADMIN, ADMIN2)))
        assert reason(app.GetSecretValue, secret_id=name) == "ACCESS_DENIED"
        assert [a["decision"] for a in service.records(operation="GetSecretValue")[-1]["access"]] == ["allow", "no-match"]
        assert reason(other.GetSecretValue, secret_id=name) == "ACCESS_DENIED"
        assert [a["decision"] for a in service.records(operation="GetSecretValue")[-1]["access"]] == ["no-match", "allow"]
        use["Principal"] = {"AWS": [ADMIN2, OTHER, APP]}
        policy = document(statement("Admin", ADMIN, ["kms:PutKeyPolicy", "kms:DescribeKey"]), use)
        admin.PutKeyPolicy(key_id=key, policy=policy)
        assert app.GetSecretValue(secret_id=name).value.secret_string == "x"


def test_nobody_reads_by_what_he_wrote(admin, name):
    """Not even one who gives administration away by the same document."""
    secret_under(admin, name)
    swapped = secret_policy(admins=(ADMIN2,), users=(ADMIN,))
    fields = dict(secret_id=name, resource_policy=swapped)
    assert reason(admin.PutResourcePolicy, **fields) == "POLICY_NOT_SEPARATED"
    assert reason(admin.PutResourcePolicy, **fields, bypass_policy_lockout_safety_check=True) == "POLICY_NOT_SEPARATED"
    both = secret_policy(admins=(ADMIN,), users=(ADMIN, APP))
    assert reason(admin.PutResourcePolicy, secret_id=name, resource_policy=both) == "POLICY_NOT_SEPARATED"
    away = secret_policy(admins=(ADMIN2,), users=(APP,))
    assert reason(admin.PutResourcePolicy, secret_id=name, resource_policy=away) == "POLICY_LOCKOUT"
    wrong = key_policy()
    assert reason(admin.PutResourcePolicy, secret_id=name, resource_policy=wrong) == "MALFORMED_POLICY"


def test_replay_asks_the_past_of_secrets(service, admin, app, name, tmp_path):
    made = secret_under(admin, name)
    app.GetSecretValue(secret_id=name)
    same = tmp_path / "same.json"
    same.write_text(secret_policy())
    other = tmp_path / "other.json"
    other.write_text(secret_policy(users=(OTHER,)))
    asked = ["--dir", service.dir / "audit", "-o", "json"]
    for secret in (name, made.arn):
        report = kmsctl("policy", "replay", same, "--secret", secret, *asked)
        assert report["changed"] == 0 and report["decisions"] == 1
    report = kmsctl("policy", "replay", other, "--secret", name, *asked, status=1)
    assert [(c["principal"], c["action"], c["before"], c["after"]) for c in report["changes"]] == [
        (APP, "secretsmanager:GetSecretValue", "allow", "implicit deny")]
    assert kmsctl("policy", "replay", same, "--secret", name[:-1], *asked)["decisions"] == 0
    assert kmsctl("policy", "replay", other, *asked, status=1)["decisions"] > 1
    assert "goes with a key policy" in kmsctl("policy", "replay", same, "--key", "alias/x", *asked, status=2)
    same.write_text(key_policy())
    assert "goes with the policy of a secret" in kmsctl("policy", "replay", same, "--secret", name, *asked, status=2)
