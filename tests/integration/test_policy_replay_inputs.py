"""Replay of what only some operations have: inputs of their own on record, and decisions that grants made."""
import json

import pytest

from harness import ADMIN, APP, Failure, key_policy
from policies import document, kmsctl, statement


def deny(sid, action, **condition):
    return statement(sid, ADMIN, action, "Deny", Condition=condition)


LIMITS = document(
    *json.loads(key_policy(admins=(ADMIN, ADMIN + "2")))["Statement"],
    statement("More", ADMIN, ["kms:TagResource", "kms:UntagResource", "kms:ScheduleKeyDeletion"]),
    deny("Hasty", "kms:ScheduleKeyDeletion", NumericLessThan={"kms:ScheduleKeyDeletionPendingWindowInDays": "30"}),
    deny("Lazy", "kms:EnableKeyRotation", NumericGreaterThan={"kms:RotationPeriodInDays": "180"}),
    deny("Stage", "kms:TagResource", StringNotEqualsIfExists={"aws:RequestTag/stage": ["test", "live"]}),
    deny("Owner", "kms:UntagResource", **{"ForAnyValue:StringEquals": {"aws:TagKeys": "owner"}}),
    deny("Live", "kms:DisableKey", StringEquals={"aws:ResourceTag/stage": "live"}),
)


def tag(name, value):
    return {"tag_key": name, "tag_value": value}


def test_inputs_of_operations(service, tmp_path):
    """Each call once as the policy wants it, and once not; None: it is allowed."""
    key = service.new_key(policy=LIMITS)
    with service.client(ADMIN) as admin:
        calls = [
            (admin.EnableKeyRotation, {"rotation_period_in_days": 90}, None),
            (admin.EnableKeyRotation, {"rotation_period_in_days": 200}, "Lazy"),
            (admin.EnableKeyRotation, {}, "Lazy"),  # 365 when it says nothing
            (admin.TagResource, {"tags": [tag("stage", "test"), tag("owner", "me")]}, None),
            (admin.TagResource, {"tags": [tag("owner", "you"), tag("Stage", "other")]}, "Stage"),
            (admin.UntagResource, {"tag_keys": ["other", "owner"]}, "Owner"),
            (admin.UntagResource, {"tag_keys": ["other"]}, None),
            (admin.DisableKey, {}, None),
            (admin.TagResource, {"tags": [tag("stage", "live")]}, None),
            (admin.DisableKey, {}, "Live"),
            (admin.ScheduleKeyDeletion, {"pending_window_in_days": 7}, "Hasty"),
            (admin.ScheduleKeyDeletion, {}, None),  # 30 when it says nothing
        ]
        for call, fields, by in calls:
            if by is None:
                call(key_id=key, **fields)
                continue
            with pytest.raises(Failure) as caught:
                call(key_id=key, **fields)
            assert caught.value.reason == "ACCESS_DENIED", (fields, by)
    records = [
        access
        for record in service.records()
        if record["kind"] in ("call", "attempt")
        for access in record.get("access", ())
        if access.get("key_id") == key
    ]
    assert [a["statement"] for a in records if a["decision"] == "deny"] == [by for _, _, by in calls if by]
    assert records[0]["inputs"] == {"rotation_period_days": "90"}
    assert records[4]["inputs"]["request_tags/Stage"] == "other"
    assert records[5]["inputs"].keys() >= {"removed_tag_keys/owner", "resource_tags/stage"}
    assert records[-1]["inputs"]["pending_window_days"] == "30"
    candidate = tmp_path / "policy.json"
    candidate.write_text(LIMITS)
    report = kmsctl("policy", "replay", candidate, "--dir", service.dir / "audit", "--key", key, "-o", "json")
    assert report["decisions"] == len(calls) and report["same_by_another_statement"] == 0


def test_what_a_grant_allows_stays_allowed(service, tmp_path):
    """The policy said nothing of it, then and now; a denial counts."""
    key = service.new_key(policy=key_policy(users=()))
    with service.client(ADMIN) as admin, service.client(APP) as app:
        admin.CreateGrant(key_id=key, grantee_principal=APP, operations=["GRANT_OPERATION_ENCRYPT"])
        app.Encrypt(key_id=key, plaintext=b"x")
    candidate = tmp_path / "policy.json"
    arguments = ["policy", "replay", candidate, "--dir", service.dir / "audit", "--key", key, "-o", "json"]
    candidate.write_text(key_policy(users=()))
    report = kmsctl(*arguments)
    assert report["decisions"] == 2 and report["same_by_another_statement"] == 0
    candidate.write_text(
        document(*json.loads(key_policy(users=()))["Statement"], statement("No", APP, "kms:Encrypt", "Deny"))
    )
    (change,) = kmsctl(*arguments, status=1)["changes"]
    assert (change["principal"], change["before"], change["now_by"]) == (APP, "allow", "No")
