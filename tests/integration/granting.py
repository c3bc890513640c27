"""What the tests of grants share."""
import json

import pytest

from harness import ADMIN

DECRYPT, ENCRYPT, GENERATE_DATA_KEY = 1, 2, 3
RE_ENCRYPT_FROM, RE_ENCRYPT_TO, SIGN = 5, 6, 7
CREATE_GRANT, RETIRE_GRANT, DESCRIBE_KEY = 10, 11, 12
GET_PUBLIC_KEY, GENERATE_MAC = 9, 15
GRANTEE, THIRD = "spiffe://example.org/grantee", "spiffe://example.org/third"
EQUALS, SUBSET = "encryption_context_equals", "encryption_context_subset"
SOON = 4_000_000_000_000_000  # in 2096


@pytest.fixture(scope="module")
def grantee(service):
    with service.client(GRANTEE) as client:
        yield client


@pytest.fixture(scope="module")
def third(service):
    with service.client(THIRD) as client:
        yield client


def policy_of(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def allow(principal, actions, sid, effect="Allow", **more):
    who = principal if principal == "*" else {"AWS": principal}
    return {"Sid": sid, "Effect": effect, "Principal": who, "Action": actions, "Resource": "*", **more}


ADMINISTERS = [
    "kms:Put*",
    "kms:CreateGrant",
    "kms:RevokeGrant",
    "kms:ListGrants",
    "kms:*Alias",
    "kms:Get*",
    "kms:Describe*",
]


def admin_policy(*more, principal=ADMIN):
    return policy_of(allow(principal, ADMINISTERS, "Admin"), *more)


@pytest.fixture
def key(service):
    return service.new_key(policy=admin_policy())


def give(client, key, *operations, to=GRANTEE, **fields):
    return client.CreateGrant(key_id=key, grantee_principal=to, operations=operations, **fields)
