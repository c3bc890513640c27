"""Approvals as administrators walk through them with kmsctl."""
import json
import os
import re

import pytest

from approval_world import ALICE, BOB, CAROL, policy
from harness import APP, OTHER

# c-ares 1.18 loses ten bytes when it resolves "localhost"; unit tests look for leaks of our own.
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS="detect_leaks=0", KMSCTL_CONFIG="")
DENIED, WAITS, USAGE, FAILED = 3, 7, 2, 1


@pytest.fixture(scope="module")
def kmsctl(service):
    """kmsctl(principal, words, more..., status=0) answers standard output, or standard error when status is not 0."""

    def call(principal, words, *more, status=0, **options):
        done = service.kmsctl(principal, *words.split(), *more, check=False, env=ENVIRONMENT, **options)
        assert done.returncode == status, (words, done.stdout, done.stderr)
        return done.stderr if status else done.stdout

    return call


@pytest.fixture
def key(service):
    return service.new_key(policy=policy())


def waiting(error):
    """The id that a held command names, and the next step with it."""
    assert error.startswith("kmsctl: APPROVAL_NEEDED: ") and "hint: " in error
    return re.search(r"kmsctl approve ([0-9a-f-]{36})", error)[1]


def set_rule(kmsctl, key, required=2):
    names = [word for name in (ALICE, BOB, CAROL) for word in ("--approver", name)]
    kmsctl(ALICE, f"approval set-rule {key} --required {required}", *names)


def test_from_the_rule_to_the_change(kmsctl, key):
    set_rule(kmsctl, key)
    rule = json.loads(kmsctl(BOB, f"approval rule {key} -o json"))
    assert rule == {"required": 2, "principals": [ALICE, BOB, CAROL]}
    found = waiting(kmsctl(ALICE, f"key disable {key}", status=WAITS))
    assert waiting(kmsctl(ALICE, f"key disable {key}", status=WAITS)) == found
    listed = json.loads(kmsctl(BOB, f"approval list {key} -o json"))
    assert [(a["approval_id"], a["state"], a["operation"], a["requester"]) for a in listed] == [
        (found, "PENDING", "DisableKey", ALICE)
    ]
    assert "1 more must approve" in kmsctl(BOB, f"approval list {key}")
    assert f"{ALICE} may repeat the call" in kmsctl(BOB, f"approve {found}")
    kmsctl(ALICE, f"key disable {key}")
    used = json.loads(kmsctl(BOB, f"approval show {found} -o json"))
    assert (used["state"], used["closed_by"], used["request"]) == ("USED", ALICE, {"key_id": key})
    assert used["votes"][0]["principal"] == BOB and used["expiration_time"] > used["creation_time"]
    assert "APPROVAL_CLOSED" in kmsctl(CAROL, f"approve {found}", status=FAILED)


def test_a_policy_is_shown_as_what_it_changes(kmsctl, key, tmp_path):
    set_rule(kmsctl, key)
    document = tmp_path / "policy.json"
    document.write_text(policy(users=(APP, OTHER)))
    found = waiting(kmsctl(ALICE, f"policy put {key}", document, status=WAITS))
    shown = kmsctl(BOB, f"approval show {found}")
    changed = [line for line in shown.splitlines() if line.startswith(("+ ", "- "))]
    assert [line.split('"')[1] for line in changed if line.startswith("+ ")][-1] == OTHER, shown
    assert "equal lines" in shown and ALICE in shown and "PutKeyPolicy" in shown
    request = json.loads(kmsctl(BOB, f"approval show {found} -o json"))["request"]
    assert request["policy"] == document.read_text()
    document.write_text(json.dumps(json.loads(policy()), indent=1))
    found = waiting(kmsctl(ALICE, f"policy put {key}", document, status=WAITS))
    assert "The policy stays what it is." in kmsctl(BOB, f"approval show {found}")


def test_no(kmsctl, key):
    set_rule(kmsctl, key)
    found = waiting(kmsctl(ALICE, f"key disable {key}", status=WAITS))
    assert "ACCESS_DENIED" in kmsctl(OTHER, f"approve {found}", status=DENIED)
    assert f"rejected by {BOB}" in kmsctl(BOB, f"reject {found}")
    assert f"rejected by {BOB}" in kmsctl(CAROL, f"approve {found}", status=FAILED)
    assert json.loads(kmsctl(CAROL, f"approval list {key} -o json"))[0]["state"] == "REJECTED"
    waiting(kmsctl(ALICE, f"key disable {key}", status=WAITS))
    assert f"withdrawn by {ALICE}" in kmsctl(ALICE, f"reject {found}")


def test_the_rule_goes_the_same_way(kmsctl, key):
    kmsctl(ALICE, f"approval set-rule {key}", status=USAGE)
    kmsctl(ALICE, f"approval set-rule {key}", "--approver", ALICE, "--approver", BOB)  # both, without --required
    assert json.loads(kmsctl(BOB, f"approval rule {key} -o json"))["required"] == 2
    found = waiting(kmsctl(ALICE, f"approval clear-rule {key}", status=WAITS))
    kmsctl(BOB, f"approve {found}")
    kmsctl(ALICE, f"approval clear-rule {key}")
    assert json.loads(kmsctl(BOB, f"approval rule {key} -o json")) == {"required": 0, "principals": []}
    assert "POLICY_LOCKOUT" in kmsctl(ALICE, f"approval set-rule {key}", "--approver", OTHER, status=FAILED)
