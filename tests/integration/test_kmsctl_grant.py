"""kmsctl grant: made, used, listed, ended, as a user walks it."""
import json

import pytest

from granting import GRANTEE, THIRD, admin_policy
from harness import ADMIN
from test_kmsctl import kmsctl  # noqa: F401 (fixture)


@pytest.fixture(scope="module")
def key(service):
    return service.new_key(policy=admin_policy())


def grant(kmsctl, key, *options, principal=GRANTEE):
    made = kmsctl(ADMIN, "grant", "create", key, principal, *options, "-o", "json")
    return json.loads(made)


def test_made_used_listed_ended(kmsctl, key):
    made = grant(kmsctl, key, "--operation", "Encrypt", "--operation", "kms:Decrypt", "--context", "app=web")
    token = ["--grant-token", made["grant_token"]]
    sealed = kmsctl(GRANTEE, "encrypt", "--key", key, "--context", "app=web", "--base64", *token, input="x")
    assert kmsctl(GRANTEE, "decrypt", "--context", "app=web", *token, input=sealed) == "x"
    assert "ACCESS_DENIED" in kmsctl(GRANTEE, "encrypt", "--key", key, input="x", status=3)
    table = kmsctl(ADMIN, "grant", "list", key).splitlines()
    assert table[0].split() == ["KEY", "ID", "GRANT", "ID", "GRANTEE", "OPERATIONS", "CONSTRAINT", "EXPIRES"]
    assert table[1].split() == [
        key,
        made["grant_id"],
        GRANTEE,
        "Decrypt,",
        "Encrypt",
        "equals",
        "app=web",
        "-",
    ]
    (listed,) = json.loads(kmsctl(ADMIN, "grant", "list", key, "--grantee", GRANTEE, "-o", "json"))
    assert listed["grant_id"] == made["grant_id"] and listed["creator"] == ADMIN
    assert listed["constraints"]["encryption_context_equals"] == {"app": "web"}
    kmsctl(ADMIN, "grant", "revoke", key, made["grant_id"])
    gone = kmsctl(GRANTEE, "encrypt", "--key", key, "--context", "app=web", *token, input="x", status=1)
    assert gone.startswith("kmsctl: INVALID_GRANT_TOKEN: ")
    assert "NOT_FOUND" in kmsctl(ADMIN, "grant", "revoke", key, made["grant_id"], status=4)
    assert kmsctl(ADMIN, "grant", "list", key) == "none\n"


def test_every_option(kmsctl, key):
    options = ["--operation", "ReEncryptFrom", "--operation", "GENERATE_DATA_KEY_WITHOUT_PLAINTEXT"]
    options += ["--context-subset", "a=1", "--context-subset", "b=2", "--retiring", THIRD, "--name", "n/1"]
    made = grant(kmsctl, key, *options, "--expires", "2099-01-31T12:00:00Z")
    assert grant(kmsctl, key, *options, "--expires", "2099-01-31T12:00:00Z") == made
    (listed,) = json.loads(kmsctl(ADMIN, "grant", "list", key, "-o", "json"))
    assert listed["operations"] == ["GENERATE_DATA_KEY_WITHOUT_PLAINTEXT", "RE_ENCRYPT_FROM"]
    assert listed["constraints"]["encryption_context_subset"] == {"a": "1", "b": "2"}
    assert (listed["expiration_time"], listed["name"]) == ("2099-01-31T12:00:00.000000Z", "n/1")
    row = kmsctl(THIRD, "grant", "retirable").splitlines()[1]
    assert "GenerateDataKeyWithoutPlaintext, ReEncryptFrom  subset a=1, b=2  2099-01-31" in row
    assert kmsctl(GRANTEE, "grant", "retirable") == "none\n"
    assert "ACCESS_DENIED" in kmsctl(GRANTEE, "grant", "retirable", THIRD, status=3)
    kmsctl(THIRD, "grant", "retire", "--grant-token", made["grant_token"])
    soon = grant(kmsctl, key, "--operation", "Encrypt", "--retiring", THIRD, "--expires", "12h")
    kmsctl(THIRD, "grant", "retire", key, soon["grant_id"])
    assert kmsctl(THIRD, "grant", "retirable") == "none\n"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["create", "k", "p"], "--operation is required"),
        (["create", "k", "p", "--operation", "Decrypt", "--expires", "soon"], "--expires soon: not like 90d"),
        (["create", "k", "p", "--operation", "Decrypt", "--expires", "0d"], "--expires 0d"),
        (["retire"], "KEY and GRANT, or one --grant-token"),
        (["retire", "k"], "KEY and GRANT, or one --grant-token"),
        (["retire", "k", "g", "--grant-token", "t"], "KEY and GRANT, or one --grant-token"),
    ],
)
def test_usage(kmsctl, arguments, words):
    assert words in kmsctl(ADMIN, "grant", *arguments, status=2)


@pytest.mark.parametrize("operation", ["Grant", "Nonsense", "PutKeyPolicy", "GRANT_OPERATION_DECRYPT"])
def test_no_such_operation(kmsctl, key, operation):
    words = kmsctl(ADMIN, "grant", "create", key, GRANTEE, "--operation", operation, status=1)
    assert words.startswith("kmsctl: INVALID_ARGUMENT: ") and "operations" in words


def test_use_for_an_administrator_is_refused(kmsctl, key):
    words = kmsctl(ADMIN, "grant", "create", key, ADMIN, "--operation", "Decrypt", status=1)
    assert words.startswith("kmsctl: POLICY_NOT_SEPARATED: ")
