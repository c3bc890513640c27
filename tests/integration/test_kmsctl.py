"""kmsctl against a real kmsd: the way of a key from creation to the audit log, as a user walks it."""
import concurrent.futures
import json
import os

import pytest

from harness import ADMIN, APP, OFFICER

# c-ares 1.18 loses ten bytes when it resolves "localhost"; unit tests look for leaks of our own.
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS="detect_leaks=0", KMSCTL_CONFIG="")


@pytest.fixture(scope="module")
def kmsctl(service):
    """kmsctl(principal, arguments..., input=text, status=0) answers standard output, or standard error when status is not 0."""

    def call(principal, *arguments, status=0, **options):
        done = service.kmsctl(principal, *arguments, check=False, env=ENVIRONMENT, **options)
        assert done.returncode == status, (arguments, done.stdout, done.stderr)
        return done.stderr if status else done.stdout

    return call


@pytest.fixture(scope="module")
def alias(kmsctl):
    kmsctl(
        ADMIN,
        "key",
        "create",
        "--alias",
        "alias/kmsctl",
        "--admin",
        ADMIN,
        "--user",
        APP,
        "--description",
        "for a test",
    )
    return "alias/kmsctl"


def test_encryption_there_and_back(kmsctl, alias):
    ciphertext = kmsctl(
        APP, "encrypt", "--key", alias, "--context", "app=web", "--base64", input="top secret"
    )
    assert ciphertext.startswith("kms:v1:")
    assert kmsctl(APP, "decrypt", "--context", "app=web", input=ciphertext) == "top secret"
    assert kmsctl(APP, "decrypt", "--context", "app=x", input=ciphertext, status=1).startswith(
        "kmsctl: INVALID_CIPHERTEXT: "
    )
    moved = kmsctl(
        APP,
        "re-encrypt",
        "--to",
        alias,
        "--context",
        "app=web",
        "--to-context",
        "app=shop",
        "--base64",
        input=ciphertext,
    )
    assert kmsctl(APP, "decrypt", "--context", "app=shop", input=moved) == "top secret"


def test_who_administers_a_key_may_not_use_it(kmsctl, alias):
    ciphertext = kmsctl(APP, "encrypt", "--key", alias, "--base64", input="x")
    assert kmsctl(ADMIN, "decrypt", input=ciphertext, status=3).startswith("kmsctl: ACCESS_DENIED: ")
    policy = kmsctl(ADMIN, "policy", "get", alias)
    kmsctl(ADMIN, "policy", "put", alias, "-", input=policy)
    said = kmsctl(ADMIN, "policy", "put", alias, "-", input=policy.replace(ADMIN, APP), status=1)
    assert said.startswith("kmsctl: POLICY_NOT_SEPARATED: ") and "\nhint: " in said


def test_rotation_and_states(kmsctl, alias):
    old = kmsctl(APP, "encrypt", "--key", alias, "--base64", input="old")
    before = json.loads(kmsctl(ADMIN, "key", "describe", alias, "-o", "json"))
    after = json.loads(kmsctl(ADMIN, "key", "rotate", alias, "-o", "json"))
    assert after["current_version"] == before["current_version"] + 1
    assert kmsctl(APP, "decrypt", input=old) == "old"
    kmsctl(ADMIN, "key", "disable", alias)
    assert "KEY_DISABLED" in kmsctl(APP, "encrypt", "--key", alias, input="x", status=1)
    kmsctl(ADMIN, "key", "enable", alias)


def test_data_keys_and_random(kmsctl, alias):
    made = json.loads(
        kmsctl(APP, "data-key", "--key", alias, "--spec", "AES_128", "--context", "file=1", "-o", "json")
    )
    assert (
        kmsctl(APP, "decrypt", "--base64", "--context", "file=1", input=made["ciphertext_blob"]).strip()
        == made["plaintext"]
    )
    assert "plaintext" not in json.loads(
        kmsctl(APP, "data-key", "--key", alias, "--without-plaintext", "-o", "json")
    )
    assert kmsctl(APP, "random", "--base64") != kmsctl(APP, "random", "--base64")


def test_the_life_of_a_key(kmsctl):
    made = json.loads(kmsctl(ADMIN, "key", "create", "--admin", ADMIN, "--user", APP, "-o", "json"))
    key = made["key_id"]
    ciphertext = kmsctl(APP, "encrypt", "--key", key, "--base64", input="x")
    kmsctl(ADMIN, "key", "tag", key, "--tag", "team=web", "--tag", "test")
    assert json.loads(kmsctl(ADMIN, "key", "tags", key, "-o", "json"))["tags"] == [
        {"tag_key": "team", "tag_value": "web"},
        {"tag_key": "test", "tag_value": ""},
    ]
    listed = json.loads(kmsctl(ADMIN, "key", "list", "--tag", "team=web", "-o", "json"))
    assert [row["key_id"] for row in listed] == [key]
    assert json.loads(kmsctl(ADMIN, "key", "list", "--tag", "team=db", "-o", "json")) == []
    kmsctl(ADMIN, "key", "untag", key, "--tag", "test")
    kmsctl(ADMIN, "key", "set-description", key, "for a life")
    kmsctl(ADMIN, "rotation", "enable", key, "--days", "90")
    assert json.loads(kmsctl(ADMIN, "rotation", "status", key, "-o", "json"))["rotation_period_in_days"] == 90
    kmsctl(ADMIN, "rotation", "disable", key)
    kmsctl(ADMIN, "key", "rotate", key)
    assert json.loads(kmsctl(ADMIN, "rotation", "list", key, "-o", "json"))["rotations"][0]["cause"] == "ON_DEMAND"
    assert "KEY_VERSION_IN_USE" in kmsctl(ADMIN, "key", "retire", key, "--key-version", "1", status=1)
    kmsctl(ADMIN, "key", "retire", key, "--key-version", "1", "--force")
    assert "KEY_VERSION_RETIRED" in kmsctl(APP, "decrypt", input=ciphertext, status=1)
    kmsctl(ADMIN, "key", "restore", key, "--key-version", "1")
    usage = kmsctl(ADMIN, "key", "usage", key)
    assert "kms:Encrypt" in usage and APP in usage
    assert json.loads(kmsctl(ADMIN, "key", "usage", key, "-o", "json"))["versions"][0]["operations"] == [
        {"action": "kms:Encrypt", "count": 1}
    ]
    seen = json.loads(kmsctl(ADMIN, "key", "describe", key, "-o", "json"))
    assert seen["state"] == "ENABLED" and seen["description"] == "for a life" and seen["deletion_time"] is None
    stale = kmsctl(ADMIN, "key", "delete", key, "--revision", str(seen["revision"] - 1), status=1)
    assert "CONFLICT" in stale and f"is at revision {seen['revision']}, not {seen['revision'] - 1}" in stale
    gone = kmsctl(ADMIN, "key", "delete", key, "--days", "7", "--revision", str(seen["revision"]))
    assert "PENDING_DELETION" in gone and "kmsctl key usage tells by whom" in gone
    kmsctl(ADMIN, "key", "cancel-deletion", key)
    assert "--key-version N says which one" in kmsctl(ADMIN, "key", "retire", key, status=2)


def test_two_administrators_race(service):
    """Both have seen the same revision: one changes the key, the other hears which revision he missed."""
    for _ in range(5):
        key = service.new_key()
        seen = json.loads(service.kmsctl(ADMIN, "key", "describe", key, "-o", "json", env=ENVIRONMENT).stdout)
        revision = seen["revision"]

        def change(text):
            return service.kmsctl(
                ADMIN, "key", "set-description", key, text, "--revision", str(revision), check=False, env=ENVIRONMENT
            )

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            done = dict(zip(("one", "two"), pool.map(change, ("one", "two"))))
        [winner] = [text for text, run in done.items() if run.returncode == 0]
        [loser] = [run for run in done.values() if run.returncode != 0]
        assert "CONFLICT" in loser.stderr and f"is at revision {revision + 1}, not {revision}" in loser.stderr
        now = json.loads(service.kmsctl(ADMIN, "key", "describe", key, "-o", "json", env=ENVIRONMENT).stdout)
        assert (now["description"], now["revision"]) == (winner, revision + 1)


def test_any_method_in_json(kmsctl, alias):
    asked = json.dumps({"key_id": alias})
    reply = json.loads(kmsctl(ADMIN, "call", "-o", "json", "KeyService/DescribeKey", asked))
    assert reply["key_metadata"]["key_state"] == "ENABLED" and reply["key_metadata"]["deletion_time"] is None
    assert reply["key_metadata"]["aliases"] == [alias]
    assert "INVALID_ARGUMENT: DescribeKeyRequest has no member key\n" in kmsctl(
        ADMIN, "call", "KeyService/DescribeKey", '{"key": 1}', status=1
    ) + "\n"
    assert "no such method" in kmsctl(ADMIN, "call", "KeyService/DoNothing", status=1)
    assert "carries secrets" in kmsctl(APP, "call", "CryptoService/Decrypt", status=1)
    assert "ACCESS_DENIED" in kmsctl(APP, "call", "KeyService/DisableKey", asked, status=3)


def test_lists_and_status(kmsctl, alias):
    key = json.loads(kmsctl(ADMIN, "key", "describe", alias, "-o", "json"))
    assert key["key_id"] in [k["key_id"] for k in json.loads(kmsctl(ADMIN, "key", "list", "-o", "json"))]
    assert alias in [a["alias"] for a in json.loads(kmsctl(ADMIN, "alias", "list", "-o", "json"))]
    assert json.loads(kmsctl(OFFICER, "status", "-o", "json"))["audit_writable"] is True
    kmsctl(APP, "status", status=3)
    kmsctl(ADMIN, "alias", "create", "alias/other", "alias/none", status=4)


def test_the_audit_log(kmsctl, alias, service):
    directory = str(service.dir / "audit")
    kmsctl(APP, "encrypt", "--key", alias, "--base64", input="x")
    last = json.loads(kmsctl(ADMIN, "audit", "tail", "--dir", directory, "-n", "1", "-o", "json"))
    assert (last["operation"], last["principal"], last["outcome"]) == ("Encrypt", APP, "OK")
    head = json.loads(kmsctl(ADMIN, "audit", "verify", "--dir", directory, "-o", "json"))["instances"][0]["head"]
    assert head == last["hash"]
    kmsctl(APP, "encrypt", "--key", alias, "--base64", input="x")
    kmsctl(ADMIN, "audit", "verify", "--dir", directory, "--head", head)
    kmsctl(ADMIN, "audit", "verify", "--dir", directory, "--head", "0" * 64, status=6)
