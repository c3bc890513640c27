"""What an approval is for and when it dies: changes, time, races, restarts; aliases; what is on record."""
import concurrent.futures
import uuid

import pytest

from approval_world import (
    ALICE,
    BOB,
    CAROL,
    ENABLED,
    EXPIRED,
    OUTDATED,
    REJECTED,
    WITHDRAWN,
    People,
    described,
    failure,
    guarded_key,
    held,
    policy,
    rule,
    state,
)
from harness import APP, OTHER, wait_for


def test_a_changed_key_kills_it(people):
    key = guarded_key(people)
    found = held(people.alice.DisableKey, key_id=key)
    people.alice.RotateKeyOnDemand(key_id=key)  # another change of the key, which needs no approval
    error = failure(people.bob.ApproveRequest, approval_id=found)
    assert error.reason == "APPROVAL_CLOSED" and error.code == "FAILED_PRECONDITION"
    assert "has changed" in error.message and key in error.message and "revision 2" in error.message
    dead = described(people, found)
    assert dead.state == OUTDATED and "has changed" in dead.state_reason
    assert held(people.alice.DisableKey, key_id=key) != found


def test_an_approved_request_dies_with_the_key_as_it_was(people):
    key = guarded_key(people)
    found = held(people.alice.DisableKey, key_id=key)
    people.bob.ApproveRequest(approval_id=found)
    people.alice.RotateKeyOnDemand(key_id=key)
    assert held(people.alice.DisableKey, key_id=key) != found
    assert state(people, key) == ENABLED


def test_rejected_and_withdrawn(people):
    key = guarded_key(people)
    found = held(people.alice.DisableKey, key_id=key)
    people.bob.ApproveRequest(approval_id=found)
    assert people.carol.RejectRequest(approval_id=found).approval.state == REJECTED
    error = failure(people.bob.ApproveRequest, approval_id=found)
    assert error.reason == "APPROVAL_CLOSED" and f"rejected by {CAROL}" in error.message
    assert held(people.alice.DisableKey, key_id=key) == found, "asked again: the same request, with no approval left"
    assert described(people, found).keys[0].missing == 1 and not described(people, found).votes
    assert people.alice.RejectRequest(approval_id=found).approval.state == WITHDRAWN
    assert failure(people.bob.RejectRequest, approval_id=found).reason == "APPROVAL_CLOSED"
    # dave, whom no rule names, may withdraw what he has asked for himself, and reject nothing
    found = held(people.dave.DisableKey, key_id=key)
    assert people.dave.RejectRequest(approval_id=found).approval.state == WITHDRAWN
    found = held(people.alice.DisableKey, key_id=key)
    assert failure(people.dave.RejectRequest, approval_id=found).reason == "ACCESS_DENIED"


def alias():
    return f"alias/{uuid.uuid4().hex[:10]}"


def test_update_alias_asks_both_keys(people):
    name = alias()
    old = guarded_key(people, 2, (ALICE, BOB), alias_name=name)
    new = guarded_key(people, 2, (ALICE, CAROL))
    found = held(people.alice.UpdateAlias, alias_name=name, target_key_id=new)
    assert [(k.key_id, k.missing) for k in described(people, found).keys] == [(old, 1), (new, 1)]
    people.bob.ApproveRequest(approval_id=found)
    assert held(people.alice.UpdateAlias, alias_name=name, target_key_id=new) == found
    people.carol.ApproveRequest(approval_id=found)
    people.alice.UpdateAlias(alias_name=name, target_key_id=new)
    assert people.alice.DescribeKey(key_id=name).key_metadata.key_id == new


def test_deleting_and_creating_is_no_way_around(people):
    name = alias()
    old = guarded_key(people, alias_name=name)
    new = people.alice.CreateKey(policy=policy()).key_metadata.key_id
    people.alice.DeleteAlias(alias_name=name)
    found = held(people.alice.CreateAlias, alias_name=name, target_key_id=new)
    assert held(people.alice.CreateKey, policy=policy(), alias_name=name) != found
    people.alice.CreateAlias(alias_name=name, target_key_id=old)  # back to its own key: it moves nowhere
    people.alice.CreateAlias(alias_name=alias(), target_key_id=old)  # a fresh name is no move
    people.alice.DeleteAlias(alias_name=name)
    found = held(people.alice.CreateAlias, alias_name=name, target_key_id=new)
    people.bob.ApproveRequest(approval_id=found)
    people.alice.CreateAlias(alias_name=name, target_key_id=new)


def test_an_approval_lets_an_alias_gain_users(people):
    """Without a rule that two could agree by nobody can move it; with one the approver is told who gains what."""
    name = alias()
    old = people.alice.CreateKey(policy=policy(), alias_name=name).key_metadata.key_id
    new = people.alice.CreateKey(policy=policy(users=(APP, OTHER))).key_metadata.key_id
    error = failure(people.alice.UpdateAlias, alias_name=name, target_key_id=new)
    assert error.reason == "APPROVAL_NEEDED" and "approval_id" not in error.metadata and OTHER in error.message
    people.alice.PutApprovalRule(key_id=old, approval_rule=rule(1, ALICE))
    assert "approval_id" not in failure(people.alice.UpdateAlias, alias_name=name, target_key_id=new).metadata
    people.alice.PutApprovalRule(key_id=old, approval_rule=rule(1, ALICE, BOB))
    found = held(people.alice.UpdateAlias, alias_name=name, target_key_id=new)  # one alone is not enough for this
    assert OTHER in described(people, found).lifts
    people.bob.ApproveRequest(approval_id=found)
    people.alice.UpdateAlias(alias_name=name, target_key_id=new)
    assert people.alice.DescribeKey(key_id=name).key_metadata.key_id == new


def test_race_of_approvals(service, people):
    names = [f"spiffe://example.org/approver{i}" for i in range(4)]
    key = people.alice.CreateKey(policy=policy(approvers=(ALICE, *names))).key_metadata.key_id
    people.alice.PutApprovalRule(key_id=key, approval_rule=rule(5, ALICE, *names))
    found = held(people.alice.DisableKey, key_id=key)
    clients = [service.client(name) for name in names]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda c: c.ApproveRequest(approval_id=found), clients * 2))
        for client in clients:
            client.close()
        assert sorted(v.principal for v in described(people, found).votes) == names, "none is lost, none twice"
        # the change is made once, whoever of the repeated calls comes first
        calls = [pool.submit(people.alice.DisableKey, key_id=key) for _ in range(4)]
        reasons = [f.exception().reason if f.exception() else "OK" for f in calls]
    assert "OK" in reasons and set(reasons) <= {"OK", "CONFLICT"}, reasons
    used = [r for r in service.records(operation="DisableKey", outcome="OK")
            if r.get("extra", {}).get("approval_id") == found and "store_revision" in r]
    assert len(used) == 1


def test_race_of_requests(people):
    key = guarded_key(people)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: held(people.alice.DisableKey, key_id=key), range(8)))
    assert len(ids) == 1 and len(people.alice.ListApprovals(key_id=key).approvals) == 1


def test_on_record(service, people):
    key = guarded_key(people)
    found = held(people.alice.DisableKey, key_id=key)
    held(people.alice.DisableKey, key_id=key)
    people.bob.ApproveRequest(approval_id=found)
    people.alice.DisableKey(key_id=key)
    rejected = held(people.alice.PutKeyPolicy, key_id=key, policy=policy())
    people.carol.RejectRequest(approval_id=rejected)

    def told(wanted):
        return [
            (r["operation"], r["principal"], r["outcome"], r["extra"]["approval"], "store_revision" in r)
            for r in service.records(kind="outcome")
            if r.get("extra", {}).get("approval_id") == wanted
        ]

    assert told(found) == [
        ("DisableKey", ALICE, "APPROVAL_NEEDED", "requested", True),
        ("DisableKey", ALICE, "APPROVAL_NEEDED", "waiting", False),
        ("ApproveRequest", BOB, "OK", "approved", True),
        ("DisableKey", ALICE, "OK", "used", True),
    ]
    assert told(rejected)[1] == ("RejectRequest", CAROL, "OK", "rejected", True)
    used = [r for r in service.records(operation="DisableKey", outcome="OK")
            if r.get("extra", {}).get("approval_id") == found][-1]
    assert used["extra"]["approved_by"] == BOB and used["extra"]["approval_of"] == "DisableKey"
    approve = [r for r in service.records(operation="ApproveRequest", kind="outcome")][-1]
    assert approve["access"][0]["action"] == "kms:ApproveRequest" and approve["access"][0]["key_id"] is not None


def test_expiry(fresh):
    fresh.write_config(approvals={"lifetime": "2s"})
    fresh.init().start()
    people = People(fresh)
    key = guarded_key(people)
    found = held(people.alice.DisableKey, key_id=key)
    people.bob.ApproveRequest(approval_id=found)
    wait_for(lambda: described(people, found).state == EXPIRED, 10, "the end of the approval")
    error = failure(people.carol.ApproveRequest, approval_id=found)
    assert error.reason == "APPROVAL_CLOSED" and "expired at" in error.message
    assert held(people.alice.DisableKey, key_id=key) == found, "asked anew"
    assert not described(people, found).votes, "what was approved before has died"
    assert state(people, key) == ENABLED
    people.close()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_restart_keeps_them(fresh, how):
    fresh.init().start()
    people = People(fresh)
    key = guarded_key(people, 3)
    found = held(people.alice.DisableKey, key_id=key)
    people.bob.ApproveRequest(approval_id=found)
    people.close()
    getattr(fresh, how)()
    fresh.start()
    people = People(fresh)
    assert held(people.alice.DisableKey, key_id=key) == found
    assert [v.principal for v in described(people, found).votes] == [BOB]
    people.carol.ApproveRequest(approval_id=found)
    people.alice.DisableKey(key_id=key)
    assert people.alice.GetApprovalRule(key_id=key).approval_rule.required == 3
    people.close()
    fresh.stop()
    fresh.verify_audit()


def test_the_end_is_on_record(fresh):
    """Nobody calls: the service itself puts down that a request is over, and forgets it later."""
    fresh.write_config(approvals={"lifetime": "3s"}, jobs={"interval": "50ms"})
    fresh.init().start()
    people = People(fresh)
    key = guarded_key(people)
    late = held(people.alice.DisableKey, key_id=key)

    def ends(found):
        return [
            (r["principal"], r["outcome"], r["extra"]["approval"], r["extra"]["approval_of"])
            for r in fresh.records(operation="CloseApproval", kind="outcome")
            if r["extra"]["approval_id"] == found
        ]

    wait_for(lambda: len(ends(late)) == 2, 30, "the end of an approval on record")
    assert ends(late) == [("kmsd", "OK", "expired", "DisableKey"), ("kmsd", "OK", "forgotten", "DisableKey")]
    assert failure(people.bob.ApproveRequest, approval_id=late).reason in ("ACCESS_DENIED", "NOT_FOUND")
    assert held(people.alice.DisableKey, key_id=key) == late, "the same request again"
    people.alice.UpdateKeyDescription(key_id=key, description="changed")
    wait_for(lambda: len(ends(late)) == 4, 30, "the end of an approval on record")
    assert [e[2] for e in ends(late)[2:]] == ["outdated", "forgotten"]
    assert not people.alice.ListApprovals(key_id=key).approvals
    people.close()
    fresh.stop()
    fresh.verify_audit()
