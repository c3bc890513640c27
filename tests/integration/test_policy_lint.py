"""kmsctl policy lint and diff, and the examples of docs/policy.md."""
import json
import re
import shlex

import pytest

from harness import ADMIN, APP, OTHER, ROOT, key_policy
from policies import document, kmsctl, statement

GUIDE = (ROOT / "docs/policy.md").read_text()


def write(path, text):
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def test_lint_has_three_answers(tmp_path):
    sound = json.loads(key_policy(admins=(ADMIN, ADMIN + "2")))
    path = write(tmp_path / "policy.json", sound)
    report = kmsctl("policy", "lint", path, "-o", "json")
    assert report["findings"] == [] and [s["statement"] for s in report["statements"]] == ["Admin", "Use"]
    assert report["statements"][1]["words"].startswith(f"Allows {APP}: kms:Encrypt, kms:Decrypt")
    sound["Statement"].append(statement("Anyone", "*", "kms:ListGrants"))
    write(path, sound)
    report = kmsctl("policy", "lint", path, "-o", "json", status=1)
    assert [(f["level"], f["statement"], f["code"]) for f in report["findings"]] == [("warning", "Anyone", "everybody")]
    assert "whoever has a certificate" in kmsctl("policy", "lint", path, status=1)
    write(path, key_policy(users=(ADMIN,)))
    assert "separation" in {f["code"] for f in errors_of(path)}
    write(path, document(statement("Use", APP, "kms:Decrypt")))
    assert {f["code"] for f in errors_of(path)} == {"lock-out"}
    write(path, "{")
    assert "MALFORMED_POLICY" in kmsctl("policy", "lint", path, status=2)


def errors_of(path):
    """Findings of level error; kmsctl ends with 2 and still prints its report."""
    done = kmsctl("policy", "lint", path, "-o", "json", status=2, whole=True)
    report = json.loads(done.stdout)
    found = [f for f in report["findings"] if f["level"] == "error"]
    assert report["errors"] == len(found) > 0
    return found


def test_diff_of_files(tmp_path):
    old = write(tmp_path / "old.json", key_policy(users=(APP,)))
    new = write(tmp_path / "new.json", key_policy(users=(OTHER,)))
    assert kmsctl("policy", "diff", old, old, "-o", "json") == {"access": [], "statements": []}
    report = kmsctl("policy", "diff", old, new, "-o", "json", status=1)
    assert [(row["principal"], row["change"], row["before"], row["after"]) for row in report["access"]] == [
        (APP, "loses", "yes", "no"),
        (OTHER, "gains", "no", "yes"),
    ]
    assert "kms:Decrypt" in report["access"][0]["actions"] and "kms:PutKeyPolicy" not in report["access"][0]["actions"]
    assert [(row["statement"], row["change"]) for row in report["statements"]] == [("Use", "changed")]
    words = kmsctl("policy", "diff", old, new, status=1)
    assert "loses" in words and "gains" in words
    assert "two documents" in kmsctl("policy", "diff", old, status=2)
    assert "the new document" in kmsctl("policy", "diff", old, write(tmp_path / "x", "{"), status=2)


def test_diff_with_the_present_policy(service, tmp_path):
    key = service.new_key()
    same = write(tmp_path / "same.json", key_policy())
    other = write(tmp_path / "other.json", key_policy(users=(APP, OTHER)))
    assert service.kmsctl(ADMIN, "policy", "diff", "--key", key, same, check=False).returncode == 0
    done = service.kmsctl(ADMIN, "policy", "diff", "--key", key, other, "-o", "json", check=False)
    assert done.returncode == 1 and {row["principal"] for row in json.loads(done.stdout)["access"]} == {OTHER}
    assert service.kmsctl(OTHER, "policy", "diff", "--key", key, other, check=False).returncode == 3


SECRET = [
    statement("Admin", [ADMIN, ADMIN + "2"], ["secretsmanager:Put*", "secretsmanager:RotateSecret", "secretsmanager:Describe*"]),
    statement("Read", APP, "secretsmanager:GetSecretValue"),
]


def test_the_policy_of_a_secret(tmp_path):
    """Its kind is told by its actions, or by --kind; what is not of it is refused."""
    path = write(tmp_path / "secret.json", document(*SECRET))
    assert kmsctl("policy", "lint", path, "-o", "json")["findings"] == []
    assert kmsctl("policy", "check", path, "-o", "json")["kind"] == "the resource policy of a secret"
    assert "never applies in a key policy" in kmsctl("policy", "lint", path, "--kind", "key", status=2)
    wide = write(tmp_path / "wide.json", document(SECRET[0], statement("Read", APP, "secretsmanager:*")))
    assert "secretsmanager:GetSecretValue (usage)" in errors_of(wide)[0]["words"]
    report = kmsctl("policy", "diff", path, wide, "-o", "json", status=1)
    assert "secretsmanager:DeleteSecret" in report["access"][0]["actions"]
    assert {action.split(":")[0] for row in report["access"] for action in row["actions"]} == {"secretsmanager"}


def test_requests_for_a_secret(tmp_path):
    path = write(tmp_path / "secret.json", document(*SECRET, statement(
        "NotPrevious", "*", "secretsmanager:GetSecretValue", "Deny",
        Condition={"StringEquals": {"secretsmanager:VersionStage": "AWSPREVIOUS"}})))
    asked = ["policy", "test", path, "--principal", APP, "--action", "secretsmanager:GetSecretValue", "-o", "json"]
    assert kmsctl(*asked)["statement"] == "Read"
    assert kmsctl(*asked, "--input", "secretsmanager:VersionStage=AWSPREVIOUS", status=1)["statement"] == "NotPrevious"
    assert kmsctl(*asked[:-4], "--action", "kms:Decrypt", "-o", "json", status=1)["statement"] == ""
    assert "which goes with --kind key" in kmsctl(*asked, "--kind", "secret", "--key", "alias/x", status=2)
    service = write(tmp_path / "service.json", document(statement("Make", APP, "secretsmanager:CreateSecret")))
    asked = ["policy", "test", service, "--principal", APP, "--action", "secretsmanager:CreateSecret", "-o", "json"]
    assert kmsctl(*asked, "--kind", "service")["decision"] == "allow"
    assert "policy grants nothing but" in kmsctl("policy", "lint", path, "--kind", "service", status=2)


def commands():
    """The commands of the guide that stand in blocks of their own."""
    return re.findall(r"^    (kmsctl policy .*)$", GUIDE, re.M)


@pytest.mark.parametrize("command", commands())
def test_the_guide(service, tmp_path, monkeypatch, command):
    """Each command does what the guide says, in a folder with the files that it shows."""
    shop, _, cases, secret = re.findall(r"^```json\n(.*?)^```$", GUIDE, re.M | re.S)
    write(tmp_path / "shop.json", shop)
    write(tmp_path / "cases.json", cases)
    write(tmp_path / "db.json", secret)
    write(tmp_path / "new.json", shop.replace('"shop"', '"web"'))
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)[1:]
    if "replay" in words:
        words[words.index("--dir") + 1] = service.dir / "audit"
        words[words.index("--key") + 1] = service.new_key()
    status = 1 if "diff" in words else 0  # the new document changes something
    assert kmsctl(*words, status=status)


def test_the_guides_key_of_secrets(tmp_path):
    """The statement that the guide shows for such a key goes with the administrators of its first document."""
    shop, secrets, *_ = re.findall(r"^```json\n(.*?)^```$", GUIDE, re.M | re.S)
    whole = json.loads(shop)
    whole["Statement"].append(json.loads(secrets))
    assert kmsctl("policy", "lint", write(tmp_path / "whole.json", whole), "-o", "json")["findings"] == []
    whole["Statement"][-1]["Condition"] = {"StringEqualsIfExists": whole["Statement"][-1]["Condition"]["StringEquals"]}
    assert "separation" in {f["code"] for f in errors_of(write(tmp_path / "loose.json", whole))}


def test_the_guide_has_its_commands():
    assert [command.split()[2] for command in commands()] == ["lint", "test", "test", "diff", "test", "test", "replay"]
