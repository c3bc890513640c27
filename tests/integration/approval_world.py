"""What the tests of approvals share: administrators, a policy that lets some of them approve, keys with a rule."""
import json

from callers import ADMIN, ADMIN_ACTIONS, APP, OTHER, USE_ACTIONS
from rpc_client import failure

ALICE, BOB, CAROL, DAVE = ADMIN, *(f"spiffe://example.org/{name}" for name in ("admin2", "carol", "dave"))
APPROVING = ["kms:ApproveRequest", "kms:RejectRequest"]
MORE = ["kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion", "kms:Import*", "kms:RevokeGrant"]


def policy(approvers=(ALICE, BOB, CAROL), admins=(ALICE, BOB, CAROL, DAVE), users=(APP,), **more):
    statements = [
        ("Admin", admins, sorted({*ADMIN_ACTIONS, *MORE})),
        ("Approve", approvers, APPROVING),
        ("Use", users, USE_ACTIONS),
    ]
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Sid": sid, "Effect": "Allow", "Principal": {"AWS": list(who)}, "Action": what, "Resource": "*"}
                for sid, who, what in statements
                if who
            ],
            **more,
        }
    )


def held(call, **fields):
    """The id under which a call waits."""
    error = failure(call, **fields)
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "APPROVAL_NEEDED"), error
    found = error.metadata["approval_id"]
    assert f"kmsctl approve {found}" in error.message, error
    return found


def rule(required, *principals):
    return {"required": required, "principals": list(principals)}


NAMED = (ALICE, BOB, CAROL)


def waiting(service):
    """A key that two of three must agree on, and a request of bob's for it."""
    key = service.new_key(policy=policy())
    with service.client(ALICE) as alice, service.client(BOB) as bob:
        alice.PutApprovalRule(key_id=key, approval_rule=rule(2, *NAMED))
        return key, held(bob.DisableKey, key_id=key)


class People(dict):
    """A client for each principal, by name."""

    def __init__(self, service):
        super().__init__((name, service.client(uri)) for name, uri in
                         dict(alice=ALICE, bob=BOB, carol=CAROL, dave=DAVE, app=APP, other=OTHER).items())

    def __getattr__(self, name):
        return self[name]

    def close(self):
        for client in self.values():
            client.close()


def guarded_key(people, required=2, names=(ALICE, BOB, CAROL), **fields):
    fields.setdefault("policy", policy())
    key = people.alice.CreateKey(**fields).key_metadata.key_id
    people.alice.PutApprovalRule(key_id=key, approval_rule=rule(required, *names))
    return key


def state(people, key):
    return people.alice.DescribeKey(key_id=key).key_metadata.key_state


ENABLED, DISABLED = 1, 2
PENDING, USED, REJECTED, WITHDRAWN, EXPIRED, OUTDATED = range(1, 7)


def described(people, found):
    return people.alice.DescribeApproval(approval_id=found).approval
