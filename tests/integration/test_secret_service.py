"""Stored secrets: values, versions and stages, who may read and who may write, deletion, and what is kept where."""
import json
import uuid

import pytest

from callers import ADMIN2, secret_policy
from harness import ADMIN, APP, OTHER, Failure, key_policy
from rpc_client import failure

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"


@pytest.fixture
def name():
    return "test/" + uuid.uuid4().hex[:12]


def text(value):
    return {"secret_string": value}


def make(admin, name, value="first", **fields):
    fields.setdefault("resource_policy", secret_policy())
    return admin.CreateSecret(name=name, value=text(value), **fields)


def stages(admin, name):
    """Version id -> its stages."""
    described = admin.ListSecretVersionIds(secret_id=name, include_deprecated=True)
    return {version.version_id: sorted(version.version_stages) for version in described.versions}


def test_a_value_comes_back_as_it_was_sent(admin, app, name):
    made = make(admin, name, "påsswörd\n")
    assert made.name == name and made.arn.startswith(f"arn:aws:secretsmanager:us-east-1:000000000000:secret:{name}-")
    for secret_id in (name, made.arn, made.arn[:-7]):
        got = app.GetSecretValue(secret_id=secret_id)
        assert (got.value.secret_string, got.version_id) == ("påsswörd\n", made.version_id)
        assert list(got.version_stages) == [CURRENT] and got.arn == made.arn and got.name == name
    binary = bytes(range(256)) * 256
    put = admin.PutSecretValue(secret_id=name, value={"secret_binary": binary})
    assert list(put.version_stages) == [CURRENT]
    assert app.GetSecretValue(secret_id=name).value.secret_binary == binary


@pytest.mark.parametrize("value, words", [
    ({}, "it has 0"),
    ({"secret_string": ""}, "it has 0"),
    ({"secret_binary": b"x" * 65537}, "1 to 65536 bytes; it has 65537"),
    ({"secret_string": "x" * 65537}, "1 to 65536 bytes; it has 65537"),
])
def test_values_that_are_refused(admin, name, value, words):
    make(admin, name)
    refused = failure(admin.PutSecretValue, secret_id=name, value=value)
    assert refused.reason == "INVALID_ARGUMENT" and words in refused.message


@pytest.mark.parametrize("bad", ["", "a b", "a\u00e4", "x" * 513, "/a", "a/", "a//b", "../a", "a/../b", "a/.", "ends-AbC123"])
def test_names_that_are_refused(admin, bad):
    refused = failure(admin.CreateSecret, name=bad, value=text("v"))
    assert refused.reason == "INVALID_ARGUMENT" and "the name of a secret" in refused.message


def test_arns_of_others_are_refused(app):
    for bad in ("arn:aws:secretsmanager:eu-west-1:000000000000:secret:a", "arn:aws:kms:us-east-1:000000000000:key/a"):
        refused = failure(app.GetSecretValue, secret_id=bad)
        assert refused.reason == "INVALID_ARN" and "secretsmanager:us-east-1" in refused.message


def test_the_longest_value_and_name(admin, app):
    name = "n" * 400 + uuid.uuid4().hex + "n" * 80
    make(admin, name, "x" * 65536)
    assert app.GetSecretValue(secret_id=name).value.secret_string == "x" * 65536


def test_stages_follow_each_other(admin, app, name):
    one = make(admin, name, "one").version_id
    two = admin.PutSecretValue(secret_id=name, value=text("two")).version_id
    three = admin.PutSecretValue(secret_id=name, value=text("three")).version_id
    assert stages(admin, name) == {one: [], two: [PREVIOUS], three: [CURRENT]}
    assert app.GetSecretValue(secret_id=name, version_stage=PREVIOUS).value.secret_string == "two"
    assert app.GetSecretValue(secret_id=name, version_id=one).value.secret_string == "one"
    assert failure(app.GetSecretValue, secret_id=name, version_id=one, version_stage=CURRENT).reason == "NOT_FOUND"
    assert "no value with stage AWSPENDING" in failure(app.GetSecretValue, secret_id=name, version_stage=PENDING).message

    pending = admin.PutSecretValue(secret_id=name, value=text("four"), version_stages=[PENDING, "mine"]).version_id
    assert stages(admin, name)[pending] == [PENDING, "mine"] and stages(admin, name)[three] == [CURRENT]
    move = admin.UpdateSecretVersionStage
    refused = failure(move, secret_id=name, version_stage=CURRENT, move_to_version_id=pending)
    assert refused.reason == "INVALID_ARGUMENT" and three in refused.message
    move(secret_id=name, version_stage=CURRENT, move_to_version_id=pending, remove_from_version_id=three)
    assert stages(admin, name) == {one: [], two: [], three: [PREVIOUS], pending: [CURRENT, PENDING, "mine"]}
    move(secret_id=name, version_stage="mine", remove_from_version_id=pending)
    assert stages(admin, name)[pending] == [CURRENT, PENDING]
    assert "keeps AWSCURRENT" in failure(move, secret_id=name, version_stage=CURRENT, remove_from_version_id=pending).message
    assert failure(move, secret_id=name, version_stage="x", move_to_version_id="0" * 32).reason == "NOT_FOUND"
    assert "at most 20" in failure(admin.PutSecretValue, secret_id=name, value=text("v"),
                                   version_stages=[str(i) for i in range(21)]).message
    assert [v.version_id for v in admin.DescribeSecret(secret_id=name).versions] == [pending, three]


def test_who_may_read_and_who_may_write(admin, app, service, name):
    make(admin, name)
    assert failure(admin.GetSecretValue, secret_id=name).reason == "ACCESS_DENIED"
    assert failure(app.PutSecretValue, secret_id=name, value=text("v")).reason == "ACCESS_DENIED"
    with service.client(OTHER) as other:
        hidden, absent = failure(other.GetSecretValue, secret_id=name), failure(other.GetSecretValue, secret_id=name + "x")
        assert hidden.reason == absent.reason == "ACCESS_DENIED"
        assert hidden.message.replace(name, "") == absent.message.replace(name + "x", "")
        assert failure(other.ListSecrets).reason == "ACCESS_DENIED"
        assert failure(other.CreateSecret, name=name + "y", value=text("v")).reason == "ACCESS_DENIED"
    assert failure(admin.GetSecretValue, secret_id=name + "x").reason == "NOT_FOUND"


def test_a_secret_without_policy_is_read_by_nobody(admin, app, name):
    admin.CreateSecret(name=name, value=text("v"))
    assert failure(app.GetSecretValue, secret_id=name).reason == "ACCESS_DENIED"
    assert failure(admin.GetSecretValue, secret_id=name).reason == "ACCESS_DENIED"
    admin.PutResourcePolicy(secret_id=name, resource_policy=secret_policy())
    assert app.GetSecretValue(secret_id=name).value.secret_string == "v"
    assert json.loads(admin.GetResourcePolicy(secret_id=name).resource_policy) == json.loads(secret_policy())
    admin.DeleteResourcePolicy(secret_id=name)
    assert failure(app.GetSecretValue, secret_id=name).reason == "ACCESS_DENIED"


def test_policies_that_are_refused(admin, name):
    make(admin, name)
    both = secret_policy(admins=(ADMIN,), users=(ADMIN, APP))
    for policy, reason in ((both, "POLICY_NOT_SEPARATED"), (secret_policy(admins=(ADMIN2,)), "POLICY_LOCKOUT"),
                           (secret_policy().replace("secretsmanager:GetSecretValue", "kms:Decrypt"), "MALFORMED_POLICY"),
                           (secret_policy() + " " * 20480, "MALFORMED_POLICY")):
        assert failure(admin.PutResourcePolicy, secret_id=name, resource_policy=policy).reason == reason
        assert failure(admin.CreateSecret, name=name + "x", value=text("v"), resource_policy=policy).reason == reason
    admin.PutResourcePolicy(secret_id=name, resource_policy=secret_policy(admins=(ADMIN2,)),
                            bypass_policy_lockout_safety_check=True)
    assert failure(admin.DescribeSecret, secret_id=name).reason == "ACCESS_DENIED"


def test_reading_needs_the_key_as_well(admin, app, service, name):
    """A key of its own, administered by somebody else; then without the readers."""
    key = service.new_key(admin=ADMIN2, policy=key_policy(admins=(ADMIN2,), users=(ADMIN, APP)))
    make(admin, name, kms_key_id=key)
    assert app.GetSecretValue(secret_id=name).value.secret_string == "first"
    with service.client(ADMIN2) as keeper:
        keeper.PutKeyPolicy(key_id=key, policy=key_policy(admins=(ADMIN2,), users=(ADMIN,)))
        refused = failure(app.GetSecretValue, secret_id=name)
        assert refused.reason == "ACCESS_DENIED" and "kms:Decrypt on the key of this secret" in refused.message
        keeper.PutKeyPolicy(key_id=key, policy=key_policy(admins=(ADMIN2,), users=(APP,)))
        assert "kms:GenerateDataKey" in failure(admin.PutSecretValue, secret_id=name, value=text("v")).message
        keeper.DisableKey(key_id=key)
        assert failure(app.GetSecretValue, secret_id=name).reason == "KEY_DISABLED"
        keeper.EnableKey(key_id=key)
    assert app.GetSecretValue(secret_id=name).value.secret_string == "first"
    last = service.records(kind="call")[-1]
    assert [access["action"] for access in last["access"]] == ["secretsmanager:GetSecretValue", "kms:Decrypt"]
    assert last["access"][0]["secret"].endswith(admin.DescribeSecret(secret_id=name).arn[-6:])
    assert last["access"][1]["context"] == {"SecretARN": last["access"][0]["secret"],
                                            "SecretVersionId": last["extra"]["secret_version"]}


def test_the_default_key(admin, app, service, name):
    make(admin, name)
    described = admin.DescribeKey(key_id="alias/aws/secretsmanager").key_metadata
    assert admin.DescribeSecret(secret_id=name).kms_key_id == described.arn
    # it is used through secrets only, and nobody administers it
    for call, fields in ((app.Encrypt, {"plaintext": b"x"}), (app.GenerateDataKey, {"key_spec": 2})):
        assert failure(call, key_id=described.key_id, **fields).reason == "ACCESS_DENIED"
    for call, fields in ((admin.DisableKey, {}), (admin.ScheduleKeyDeletion, {}), (admin.PutKeyPolicy, {"policy": key_policy()})):
        assert failure(call, key_id=described.key_id, **fields).reason == "ACCESS_DENIED"
    assert failure(admin.UpdateAlias, alias_name="alias/aws/secretsmanager", target_key_id=service.new_key()).reason \
        == "INVALID_ALIAS_NAME"
    assert admin.GetKeyRotationStatus(key_id=described.key_id).rotation_period_in_days == 365


def test_moving_to_another_key(admin, app, service, name):
    policy = key_policy(admins=(ADMIN2,), users=(ADMIN, APP))
    first, second = (service.new_key(admin=ADMIN2, policy=policy) for _ in range(2))
    make(admin, name, kms_key_id=first)
    admin.PutSecretValue(secret_id=name, value=text("second"))
    with service.client(ADMIN2) as keeper:
        keeper.RotateKeyOnDemand(key_id=first)
    assert admin.RewrapSecret(secret_id=name).rewrapped == 2
    assert admin.RewrapSecret(secret_id=name).rewrapped == 0
    assert {v.kms_key_version for v in admin.DescribeSecret(secret_id=name).versions} == {2}
    admin.UpdateSecret(secret_id=name, kms_key_id=second, description="moved")
    assert admin.RewrapSecret(secret_id=name).rewrapped == 2
    described = admin.DescribeSecret(secret_id=name)
    assert described.description == "moved" and {v.kms_key_id[-36:] for v in described.versions} == {second}
    with service.client(ADMIN2) as keeper:
        keeper.DisableKey(key_id=first)
    assert app.GetSecretValue(secret_id=name).value.secret_string == "second"
    assert app.GetSecretValue(secret_id=name, version_stage=PREVIOUS).value.secret_string == "first"
    admin.UpdateSecret(secret_id=name, clear_description=True)
    assert admin.DescribeSecret(secret_id=name).description == ""


def test_deleting_a_key_warns_of_its_secrets(admin, service, name):
    key = service.new_key(admin=ADMIN2, policy=key_policy(admins=(ADMIN2,), users=(ADMIN, APP)))
    make(admin, name, kms_key_id=key)
    with service.client(ADMIN2) as keeper:
        warnings = keeper.ScheduleKeyDeletion(key_id=key).warnings
    assert [w for w in warnings if w.startswith("1 stored secret is sealed with the key") and name in w], warnings


def test_taking_a_secret_to_another_key_needs_the_old_one(admin, service, name):
    """Else who administers a secret could take it from readers' keys to one of his own."""
    policy = key_policy(admins=(ADMIN2,), users=(ADMIN, APP))
    old, new = (service.new_key(admin=ADMIN2, policy=policy) for _ in range(2))
    make(admin, name, kms_key_id=old)
    sealing_only = json.loads(policy)
    sealing_only["Statement"][1]["Action"] = ["kms:GenerateDataKey*"]
    with service.client(ADMIN2) as keeper:
        keeper.PutKeyPolicy(key_id=old, policy=json.dumps(sealing_only))
        refused = failure(admin.UpdateSecret, secret_id=name, kms_key_id=new)
        assert refused.reason == "ACCESS_DENIED" and "kms:Decrypt on the key of this secret" in refused.message
        keeper.PutKeyPolicy(key_id=old, policy=policy)
        admin.UpdateSecret(secret_id=name, kms_key_id=new)
        keeper.DisableKey(key_id=new)
    assert failure(admin.RewrapSecret, secret_id=name).reason == "KEY_DISABLED"


def test_a_new_secret_of_an_old_name(admin, service, name):
    """What began with the old one does not reach the new one, whatever their revisions."""
    first = make(admin, name)
    calls = [admin.start("TagSecret", secret_id=name, tags=[{"tag_key": str(i), "tag_value": ""}]) for i in range(20)]
    while True:  # others change it meanwhile
        try:
            admin.DeleteSecret(secret_id=name, force_delete_without_recovery=True)
            break
        except Failure as busy:
            assert busy.reason == "CONFLICT"
    second = make(admin, name, "second")
    for call in calls:
        call.exception()
    described = admin.DescribeSecret(secret_id=name)
    assert described.arn == second.arn != first.arn and described.revision == 1 + len(described.tags)


def test_deleting_and_restoring(admin, app, name):
    made = make(admin, name)
    for fields, words in (({"recovery_window_in_days": 6}, "7 to 30"), ({"recovery_window_in_days": 31}, "7 to 30"),
                          ({"recovery_window_in_days": 7, "force_delete_without_recovery": True}, "exclude each other")):
        assert words in failure(admin.DeleteSecret, secret_id=name, **fields).message
    gone = admin.DeleteSecret(secret_id=name, recovery_window_in_days=7)
    assert gone.deletion_us - admin.DescribeSecret(secret_id=name).last_changed_us == pytest.approx(7 * 86400e6, abs=60e6)
    for call, fields in ((app.GetSecretValue, {}), (admin.PutSecretValue, {"value": text("v")}),
                         (admin.UpdateSecret, {"description": "d"}), (admin.DeleteSecret, {})):
        assert failure(call, secret_id=name, **fields).reason == "INVALID_SECRET_STATE"
    assert name not in [s.name for s in admin.ListSecrets(name_prefix=name).secrets]
    assert name in [s.name for s in admin.ListSecrets(name_prefix=name, include_planned_deletion=True).secrets]
    assert failure(make, admin=admin, name=name).reason == "ALREADY_EXISTS"
    admin.RestoreSecret(secret_id=name)
    assert app.GetSecretValue(secret_id=name).value.secret_string == "first"
    admin.DeleteSecret(secret_id=name, force_delete_without_recovery=True)
    assert failure(admin.DescribeSecret, secret_id=name).reason == "NOT_FOUND"
    again = make(admin, name, "again")
    assert again.arn != made.arn  # another secret: the old ARN does not name it
    assert failure(app.GetSecretValue, secret_id=made.arn).reason == "ACCESS_DENIED"
    assert app.GetSecretValue(secret_id=again.arn).value.secret_string == "again"


def test_lists_and_tags(admin, name):
    for i in range(5):
        make(admin, f"{name}/{i}", tags=[{"tag_key": "n", "tag_value": str(i % 2)}])
    found, marker = [], ""
    while True:
        page = admin.ListSecrets(name_prefix=name + "/", limit=2, marker=marker)
        found += [secret.name for secret in page.secrets]
        if not page.truncated:
            break
        marker = page.next_marker
    assert found == [f"{name}/{i}" for i in range(5)]
    odd = admin.ListSecrets(name_prefix=name + "/", tag_key="n", tag_value="1").secrets
    assert [secret.name[-1] for secret in odd] == ["1", "3"]
    one = f"{name}/0"
    admin.TagSecret(secret_id=one, tags=[{"tag_key": "n", "tag_value": "9"}, {"tag_key": "m", "tag_value": ""}])
    admin.UntagSecret(secret_id=one, tag_keys=["m", "absent"])
    assert [(t.tag_key, t.tag_value) for t in admin.DescribeSecret(secret_id=one).tags] == [("n", "9")]
    assert failure(admin.TagSecret, secret_id=one, tags=[{"tag_key": "aws:x"}]).reason == "INVALID_ARGUMENT"
    many = [{"tag_key": str(i)} for i in range(50)]
    assert failure(admin.TagSecret, secret_id=one, tags=many).reason == "LIMIT_EXCEEDED"
    assert failure(admin.ListSecrets, marker="no such/").reason == "INVALID_MARKER"


def test_a_secret_without_a_value(admin, app, name):
    made = admin.CreateSecret(name=name, resource_policy=secret_policy())
    assert made.version_id == ""
    assert failure(app.GetSecretValue, secret_id=name).reason == "NOT_FOUND"
    first = admin.PutSecretValue(secret_id=name, value=text("v"), version_stages=["mine"])
    assert sorted(first.version_stages) == [CURRENT, "mine"]  # the first one has it always


def test_random_passwords(admin, app):
    many = {admin.GetRandomPassword().random_password for _ in range(20)}
    assert len(many) == 20 and {len(one) for one in many} == {32}
    digits = admin.GetRandomPassword(password_length=100, exclude_punctuation=True, exclude_uppercase=True,
                                     exclude_lowercase=True, exclude_characters="01").random_password
    assert len(digits) == 100 and set(digits) <= set("23456789")
    for fields in ({"password_length": 4097}, {"password_length": 3},
                   {"exclude_numbers": True, "exclude_punctuation": True, "exclude_uppercase": True, "exclude_lowercase": True}):
        assert failure(admin.GetRandomPassword, **fields).reason == "INVALID_ARGUMENT"
    assert failure(app.GetRandomPassword).reason == "ACCESS_DENIED"


def test_limits(tmp_path):
    from harness import Service

    service = Service(tmp_path / "home", limits={"secrets": 2, "secret_versions": 2})
    service.init().start()
    try:
        with service.client(ADMIN) as admin:
            make(admin, "a")
            make(admin, "b")
            refused = failure(make, admin=admin, name="c")
            assert refused.reason == "LIMIT_EXCEEDED" and "limits.secrets" in refused.message
            for i in range(8):
                admin.PutSecretValue(secret_id="a", value=text(str(i)))
            assert len(stages(admin, "a")) <= 4
            for i in range(3):
                admin.PutSecretValue(secret_id="b", value=text(str(i)), version_stages=[f"keep{i}"])
            refused = failure(admin.PutSecretValue, secret_id="b", value=text("x"), version_stages=["keep9"])
            assert refused.reason == "LIMIT_EXCEEDED" and "limits.secret_versions" in refused.message
    finally:
        service.stop()


def test_what_was_stored_is_there_after_a_restart(fresh):
    fresh.init().start()
    with fresh.client(ADMIN) as admin, fresh.client(APP) as app:
        for i in range(20):
            make(admin, f"s{i}", f"v{i}")
            admin.PutSecretValue(secret_id=f"s{i}", value=text(f"w{i}"))
        admin.DeleteSecret(secret_id="s3")
    fresh.stop()
    fresh.start()
    with fresh.client(ADMIN) as admin, fresh.client(APP) as app:
        assert app.GetSecretValue(secret_id="s7").value.secret_string == "w7"
        assert app.GetSecretValue(secret_id="s7", version_stage=PREVIOUS).value.secret_string == "v7"
        assert failure(app.GetSecretValue, secret_id="s3").reason == "INVALID_SECRET_STATE"
        assert len(admin.ListSecrets().secrets) == 19
