"""Changes that several administrators must agree to: which rules there are, and whose approval counts."""
import datetime
import json
import uuid

import pytest

from approval_world import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    DISABLED,
    ENABLED,
    OUTDATED,
    PENDING,
    USED,
    described,
    failure,
    guarded_key,
    held,
    policy,
    rule,
    state,
)
from harness import APP, OTHER


def test_two_of_three(service, people):
    key = guarded_key(people)
    assert people.alice.DescribeKey(key_id=key).key_metadata.approvals_required == 2
    found = held(people.alice.DisableKey, key_id=key)
    assert held(people.alice.DisableKey, key_id=key) == found, "the same request waits under one id"
    assert state(people, key) == ENABLED
    waiting = described(people, found)
    assert (waiting.state, waiting.requester, waiting.operation) == (PENDING, ALICE, "DisableKey")
    assert json.loads(waiting.request) == {"key_id": key} and waiting.keys[0].missing == 1
    assert sorted(waiting.keys[0].principals) == sorted([ALICE, BOB, CAROL])
    assert waiting.expiration_time_us - waiting.creation_time_us == 24 * 3600 * 10**6
    approved = people.bob.ApproveRequest(approval_id=found).approval
    assert approved.keys[0].missing == 0 and [v.principal for v in approved.votes] == [BOB]
    assert state(people, key) == ENABLED, "approving alone changes nothing"
    people.alice.DisableKey(key_id=key)
    assert state(people, key) == DISABLED
    used = described(people, found)
    assert (used.state, used.closed_by) == (USED, ALICE)
    people.alice.EnableKey(key_id=key)  # not guarded
    again = held(people.alice.DisableKey, key_id=key)
    assert again != found, "an approval is good for one change"


def test_error_says_what_is_missing(people):
    key = guarded_key(people, 3)
    error = failure(people.alice.DisableKey, key_id=key)
    assert error.metadata["approvals_missing"] == "2" and "2 more" in error.message
    expires = datetime.datetime.fromisoformat(error.metadata["approval_expires"].replace("Z", "+00:00"))
    ahead = expires - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(hours=23) < ahead < datetime.timedelta(hours=25)
    people.bob.ApproveRequest(approval_id=error.metadata["approval_id"])
    assert failure(people.alice.DisableKey, key_id=key).metadata["approvals_missing"] == "1"


def test_one_principal_counts_once(people):
    key = guarded_key(people, 3)
    found = held(people.alice.DisableKey, key_id=key)
    for _ in range(2):
        reply = people.bob.ApproveRequest(approval_id=found).approval
        assert reply.keys[0].missing == 1 and len(reply.votes) == 1
    assert people.alice.ApproveRequest(approval_id=found).approval.keys[0].missing == 1, "who asked counts already"
    assert held(people.alice.DisableKey, key_id=key) == found
    people.carol.ApproveRequest(approval_id=found)
    people.alice.DisableKey(key_id=key)


def test_who_asks_without_being_named_does_not_count(people):
    key = guarded_key(people)
    found = held(people.dave.DisableKey, key_id=key)
    assert people.bob.ApproveRequest(approval_id=found).approval.keys[0].missing == 1
    assert held(people.dave.DisableKey, key_id=key) == found
    people.carol.ApproveRequest(approval_id=found)
    people.dave.DisableKey(key_id=key)


def test_one_named_administrator_is_enough_where_the_rule_says_so(people):
    key = guarded_key(people, 1, (ALICE, BOB))
    people.alice.DisableKey(key_id=key)
    people.alice.EnableKey(key_id=key)
    found = held(people.dave.DisableKey, key_id=key)
    people.bob.ApproveRequest(approval_id=found)
    people.dave.DisableKey(key_id=key)


def test_who_may_not_approve(people):
    key = guarded_key(people, 2, (ALICE, BOB), policy=policy(approvers=(ALICE, BOB, CAROL, DAVE)))
    found = held(people.alice.DisableKey, key_id=key)
    error = failure(people.carol.ApproveRequest, approval_id=found)
    assert error.reason == "ACCESS_DENIED" and "no approval rule of its keys names" in error.message
    for nobody in (people.app, people.other):
        error = failure(nobody.ApproveRequest, approval_id=found)
        assert error.reason == "ACCESS_DENIED" and "kms:ApproveRequest" in error.message
        assert failure(nobody.DescribeApproval, approval_id=found).reason == "ACCESS_DENIED"
    for call in (people.other.ApproveRequest, people.other.DescribeApproval, people.other.RejectRequest):
        known, unknown = failure(call, approval_id=found), failure(call, approval_id=str(uuid.uuid4()))
        assert known.reason == unknown.reason == "ACCESS_DENIED"
    assert failure(people.alice.ApproveRequest, approval_id="x").reason == "INVALID_ARGUMENT"


def test_named_but_without_the_right(people):
    """The rule names carol; the policy that comes later takes her right to approve."""
    key = guarded_key(people, 2)
    without = policy(approvers=(ALICE, BOB))
    found = held(people.alice.PutKeyPolicy, key_id=key, policy=without)
    people.carol.ApproveRequest(approval_id=found)
    people.alice.PutKeyPolicy(key_id=key, policy=without)
    found = held(people.alice.DisableKey, key_id=key)
    error = failure(people.carol.ApproveRequest, approval_id=found)
    assert error.reason == "ACCESS_DENIED" and "kms:ApproveRequest" in error.message
    people.bob.ApproveRequest(approval_id=found)
    people.alice.DisableKey(key_id=key)


def test_one_byte_more_is_another_request(people):
    key = guarded_key(people)
    one, other = policy(), policy() + "\n"
    found = held(people.alice.PutKeyPolicy, key_id=key, policy=one)
    people.bob.ApproveRequest(approval_id=found)
    second = held(people.alice.PutKeyPolicy, key_id=key, policy=other)
    assert second != found
    assert held(people.alice.PutKeyPolicy, key_id=key, policy=one, bypass_policy_lockout_safety_check=True) not in (
        found,
        second,
    )
    people.alice.PutKeyPolicy(key_id=key, policy=one)
    assert people.alice.GetKeyPolicy(key_id=key).policy == one


def test_whose_request_it_is_matters(people):
    key = guarded_key(people)
    alices = held(people.alice.DisableKey, key_id=key)
    bobs = held(people.bob.DisableKey, key_id=key)
    assert alices != bobs
    people.bob.ApproveRequest(approval_id=alices)
    assert held(people.bob.DisableKey, key_id=key) == bobs, "approving another's request is not asking for it"
    assert held(people.dave.DisableKey, key_id=key) not in (alices, bobs)
    people.alice.DisableKey(key_id=key)
    assert described(people, bobs).state == OUTDATED, "the first change has overtaken the second"


def test_what_an_approver_sees(people):
    key = guarded_key(people)
    wanted = policy(users=(APP, OTHER), Id="für Müller")
    found = held(people.alice.PutKeyPolicy, key_id=key, policy=wanted)
    request = json.loads(people.bob.DescribeApproval(approval_id=found).approval.request)
    assert request == {"key_id": key, "policy": wanted}


def test_nothing_is_asked_for_what_would_be_refused(people):
    """What is checked is checked before anybody is bothered."""
    key = guarded_key(people)
    assert failure(people.alice.PutKeyPolicy, key_id=key, policy="{").reason == "MALFORMED_POLICY"
    both = policy(users=(APP, ALICE))
    assert failure(people.alice.PutKeyPolicy, key_id=key, policy=both).reason == "POLICY_NOT_SEPARATED"
    assert failure(people.app.DisableKey, key_id=key).reason == "ACCESS_DENIED"
    assert not people.alice.ListApprovals(key_id=key).approvals


def test_rule_is_checked(people):
    key = people.alice.CreateKey(policy=policy()).key_metadata.key_id
    put = people.alice.PutApprovalRule
    for bad, word in [
        (rule(0, ALICE), "not 0"),
        (rule(3, ALICE, BOB), "not 3"),
        (rule(2, ALICE, ALICE), "named twice"),
        (rule(1), "1 to 32"),
        (rule(1, ""), "1 to 511 bytes"),
        (rule(1, "*"), "single principals"),
        (rule(1, *(f"p{i}" for i in range(33))), "1 to 32"),
        (rule(1, "x" * 512), "1 to 511 bytes"),
    ]:
        error = failure(put, key_id=key, approval_rule=bad)
        assert error.reason == "INVALID_ARGUMENT" and word in error.message, error
    for name in (DAVE, APP, "spiffe://example.org/nobody"):  # may administer, may use, does not exist
        error = failure(put, key_id=key, approval_rule=rule(1, ALICE, name))
        assert error.reason == "POLICY_LOCKOUT" and name in error.message and "kms:ApproveRequest" in error.message
    assert not people.alice.GetApprovalRule(key_id=key).HasField("approval_rule")
    put(key_id=key, approval_rule=rule(2, ALICE, BOB))
    kept = people.alice.GetApprovalRule(key_id=key).approval_rule
    assert kept.required == 2 and list(kept.principals) == [ALICE, BOB]
    put(key_id=key, approval_rule=rule(2, BOB, ALICE))  # the same rule: nothing to approve


def test_the_rule_guards_itself(people):
    key = guarded_key(people)
    new = rule(1, ALICE)
    found = held(people.alice.PutApprovalRule, key_id=key, approval_rule=new)
    people.bob.ApproveRequest(approval_id=found)
    other = held(people.alice.DisableKey, key_id=key)
    people.alice.PutApprovalRule(key_id=key, approval_rule=new)
    assert described(people, other).state == OUTDATED, "what waited under the old rule is dead"
    people.alice.DisableKey(key_id=key)  # one of one
    people.alice.PutApprovalRule(key_id=key)  # cleared
    assert people.alice.DescribeKey(key_id=key).key_metadata.approvals_required == 0
    people.dave.EnableKey(key_id=key)
    people.dave.DisableKey(key_id=key)


def test_policy_cannot_strand_the_rule(people):
    key = guarded_key(people, 2)
    error = failure(people.alice.PutKeyPolicy, key_id=key, policy=policy(approvers=(ALICE,)))
    assert error.reason == "POLICY_LOCKOUT" and "1 of the 2 approvers" in error.message
    found = held(
        people.alice.PutKeyPolicy,
        key_id=key,
        policy=policy(approvers=(ALICE,)),
        bypass_policy_lockout_safety_check=True,
    )
    assert json.loads(described(people, found).request)["bypass_policy_lockout_safety_check"] is True


def test_list(service, people):
    key, other = guarded_key(people), guarded_key(people)
    mine = sorted(held(people.alice.PutKeyPolicy, key_id=key, policy=policy(Id=str(i))) for i in range(3))
    held(people.alice.DisableKey, key_id=other)
    page = people.alice.ListApprovals(key_id=key)
    assert [a.approval_id for a in page.approvals] == mine and not page.truncated
    assert all(a.request == "" and a.operation == "PutKeyPolicy" for a in page.approvals)
    first = people.alice.ListApprovals(key_id=key, limit=2)
    rest = people.alice.ListApprovals(key_id=key, limit=2, marker=first.next_marker)
    assert first.truncated and [a.approval_id for a in [*first.approvals, *rest.approvals]] == mine
    assert failure(people.alice.ListApprovals, key_id=key, marker="x").reason == "INVALID_MARKER"
    assert failure(people.alice.ListApprovals, key_id=key, limit=1001).reason == "INVALID_ARGUMENT"
    assert failure(people.app.ListApprovals, key_id=key).reason == "ACCESS_DENIED"


def test_how_many_may_wait(people):
    key = guarded_key(people)
    for i in range(16):
        held(people.alice.PutKeyPolicy, key_id=key, policy=policy(Id=str(i)))
    error = failure(people.alice.PutKeyPolicy, key_id=key, policy=policy(Id="more"))
    assert error.reason == "LIMIT_EXCEEDED" and "approvals.per_key" in error.message
    people.alice.RejectRequest(approval_id=people.alice.ListApprovals(key_id=key).approvals[0].approval_id)
    held(people.alice.PutKeyPolicy, key_id=key, policy=policy(Id="more"))


# Every guarded method: a call of it that would succeed, and what stands before it.
GUARDED = {
    "DisableKey": lambda key: {"key_id": key},
    "PutKeyPolicy": lambda key: {"key_id": key, "policy": policy()},
    "PutApprovalRule": lambda key: {"key_id": key, "approval_rule": rule(1, ALICE)},
    "ScheduleKeyDeletion": lambda key: {"key_id": key, "pending_window_in_days": 7},
    "CreateGrant": lambda key: {"key_id": key, "grantee_principal": OTHER, "operations": [1]},
}


@pytest.mark.parametrize("method", GUARDED)
def test_every_guarded_method(service, people, method):
    key = guarded_key(people)
    call, fields = getattr(people.alice, method), GUARDED[method](key)
    before = people.alice.DescribeKey(key_id=key).key_metadata
    found = held(call, **fields)
    assert people.alice.DescribeKey(key_id=key).key_metadata == before, "it waits: nothing has changed"
    assert described(people, found).operation == method
    people.carol.ApproveRequest(approval_id=found)
    call(**fields)
    assert described(people, found).state == USED
    assert people.alice.DescribeKey(key_id=key).key_metadata.revision == before.revision + 1


def test_deletion_and_its_cancelling(people):
    key = guarded_key(people)
    people.bob.ApproveRequest(approval_id=held(people.alice.ScheduleKeyDeletion, key_id=key))
    people.alice.ScheduleKeyDeletion(key_id=key)
    found = held(people.bob.CancelKeyDeletion, key_id=key)
    assert state(people, key) == 3, "still to be deleted"
    people.alice.ApproveRequest(approval_id=found)
    people.bob.CancelKeyDeletion(key_id=key)
    assert state(people, key) == DISABLED


def test_what_is_not_guarded(people):
    """The service's own acts, and what only an attacker of availability would want others to ask for first."""
    key = guarded_key(people)
    people.dave.RotateKeyOnDemand(key_id=key)
    people.dave.CreateAlias(alias_name=f"alias/{key[:8]}", target_key_id=key)
    people.dave.DeleteAlias(alias_name=f"alias/{key[:8]}")
    people.dave.EnableKey(key_id=key)
