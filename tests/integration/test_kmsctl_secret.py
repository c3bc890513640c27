"""kmsctl secret: the life of a secret, as a user walks it."""
import json
import uuid

import pytest

from callers import secret_policy
from harness import ADMIN, APP, OTHER, wait_for
from test_kmsctl import ENVIRONMENT, kmsctl  # noqa: F401 (fixture)

VALUE = "s3cr3t-" + uuid.uuid4().hex


@pytest.fixture
def name(kmsctl, tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_text(secret_policy())
    name = "ctl/" + uuid.uuid4().hex[:12]
    kmsctl(ADMIN, "secret", "create", name, "--policy", policy, "--description", "of a test", "--tag", "team=web", input=VALUE)
    return name


def shown(kmsctl, *words):
    return json.loads(kmsctl(ADMIN, "secret", *words, "-o", "json"))


def test_values_there_and_back(kmsctl, name, tmp_path):
    assert kmsctl(APP, "secret", "get", name) == VALUE  # byte for byte
    token = uuid.uuid4().hex
    put = shown(kmsctl, "put", name, "--in", file_of(tmp_path, b"two\n"), "--token", token)
    assert put["version_id"] == token and put["name"] == name
    assert shown(kmsctl, "put", name, "--in", file_of(tmp_path, b"two\n"), "--token", token) == put
    assert kmsctl(APP, "secret", "get", name) == "two\n"
    assert kmsctl(APP, "secret", "get", name, "--stage", "AWSPREVIOUS") == VALUE
    out = tmp_path / "out"
    kmsctl(APP, "secret", "get", name, "--version-id", token, "--out", out)
    assert out.read_text() == "two\n" and out.stat().st_mode & 0o777 == 0o600
    got = json.loads(kmsctl(APP, "secret", "get", name, "-o", "json"))
    assert kmsctl(APP, "secret", "get", name, "-o", "json", "--out", out) == "" and json.loads(out.read_text()) == got
    assert (got["secret_string"], got["version_stages"]) == ("two\n", ["AWSCURRENT"]) and got["created"].endswith("Z")
    shown(kmsctl, "put", name, "--in", file_of(tmp_path, b"\xff\x00"))
    assert json.loads(kmsctl(APP, "secret", "get", name, "-o", "json"))["secret_binary"] == "/wA="
    assert "is longer than 65536 bytes" in kmsctl(ADMIN, "secret", "put", name, input="x" * 65537, status=1)
    assert "ACCESS_DENIED" in kmsctl(OTHER, "secret", "get", name, status=3)


def file_of(folder, data):
    path = folder / "value"
    path.write_bytes(data)
    return path


def test_stages_move(kmsctl, name):
    first = shown(kmsctl, "describe", name)["versions"][0]["version_id"]
    second = json.loads(kmsctl(ADMIN, "secret", "put", name, "-o", "json", input="two"))["version_id"]
    kmsctl(ADMIN, "secret", "put", name, "--stage", "blue", input="three")
    assert kmsctl(APP, "secret", "get", name, "--stage", "blue") == "three"
    kmsctl(ADMIN, "secret", "stage", name, "AWSCURRENT", "--from", second, "--to", first)
    assert kmsctl(APP, "secret", "get", name) == VALUE
    versions = {v["version_id"]: v["version_stages"] for v in shown(kmsctl, "versions", name, "--all")}
    assert versions[first] == ["AWSCURRENT"] and versions[second] == ["AWSPREVIOUS"] and len(versions) == 3
    assert "--to VERSION" in kmsctl(ADMIN, "secret", "stage", name, "blue", status=2)


def test_all_but_the_value(kmsctl, name, service):
    described = shown(kmsctl, "describe", name)
    assert described["description"] == "of a test" and described["tags"] == [{"tag_key": "team", "tag_value": "web"}]
    assert described["created"].endswith("Z") and described["deletion"] is None and VALUE not in json.dumps(described)
    kmsctl(ADMIN, "secret", "update", name, "--description", "")
    assert shown(kmsctl, "describe", name)["description"] == ""
    key = service.new_key()  # whoever administers it may not use it, and so not move a secret under it
    assert "ACCESS_DENIED" in kmsctl(ADMIN, "secret", "update", name, "--key", key, status=3)
    assert "change what?" in kmsctl(ADMIN, "secret", "update", name, status=2)
    kmsctl(ADMIN, "secret", "tag", name, "--tag", "tier=1")
    kmsctl(ADMIN, "secret", "untag", name, "--tag", "team")
    (row,) = shown(kmsctl, "list", "--prefix", name)
    assert row["tags"] == [{"tag_key": "tier", "tag_value": "1"}]
    assert name in kmsctl(ADMIN, "secret", "list", "--tag", "tier=1")
    assert kmsctl(ADMIN, "secret", "list", "--prefix", name, "--tag", "tier=2") == "none\n"


def test_policies(kmsctl, name, tmp_path):
    assert json.loads(kmsctl(ADMIN, "secret", "get-policy", name)) == json.loads(secret_policy())
    policy = tmp_path / "other.json"
    policy.write_text(secret_policy(users=(OTHER,)))
    kmsctl(ADMIN, "secret", "put-policy", name, policy)
    assert "ACCESS_DENIED" in kmsctl(APP, "secret", "get", name, status=3)
    assert kmsctl(OTHER, "secret", "get", name) == VALUE
    kmsctl(ADMIN, "secret", "delete-policy", name)
    assert "ACCESS_DENIED" in kmsctl(OTHER, "secret", "get", name, status=3)


def test_rewrap(kmsctl, name):
    assert shown(kmsctl, "rewrap", name)["secrets"] == 1
    done = shown(kmsctl, "rewrap", "--all", "--prefix", name)
    assert done["secrets"] == 1 and done["failed"] == 0
    assert kmsctl(APP, "secret", "get", name) == VALUE
    assert "NAME, or --all" in kmsctl(ADMIN, "secret", "rewrap", status=2)
    refused = kmsctl(OTHER, "secret", "rewrap", name, status=3)
    assert f"kmsctl: {name}: ACCESS_DENIED: " in refused


def test_deleted_and_restored(kmsctl, name):
    assert "--now or --days" in kmsctl(ADMIN, "secret", "delete", name, "--now", "--days", "7", status=2)
    assert shown(kmsctl, "delete", name, "--days", "7")["deletion"].endswith("Z")
    assert "INVALID_SECRET_STATE" in kmsctl(APP, "secret", "get", name, status=1)
    assert kmsctl(ADMIN, "secret", "list", "--prefix", name) == "none\n"
    (row,) = shown(kmsctl, "list", "--prefix", name, "--all")
    assert row["deletion"].endswith("Z")
    kmsctl(ADMIN, "secret", "restore", name)
    assert kmsctl(APP, "secret", "get", name) == VALUE
    kmsctl(ADMIN, "secret", "delete", name, "--now")
    assert "NOT_FOUND" in kmsctl(ADMIN, "secret", "get", name, status=4)


def test_a_name_without_a_value(kmsctl):
    name = "ctl/" + uuid.uuid4().hex[:12]
    made = shown(kmsctl, "create", name, "--no-value")
    assert made["version_id"] == "" and made["arn"].split(":secret:")[1].startswith(name)
    assert "ALREADY_EXISTS" in kmsctl(ADMIN, "secret", "create", name, input="x", status=1)


def test_rotation(fresh, tmp_path):
    fresh.write_config(extra="rotators: [{name: token, type: random, length: 40}]\n")
    fresh.init().start()

    def call(principal, *words, status=0, **options):
        done = fresh.kmsctl(principal, "secret", *words, check=False, env=ENVIRONMENT, **options)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done.stderr if status else done.stdout

    policy = tmp_path / "policy.json"
    policy.write_text(secret_policy())
    call(ADMIN, "create", "rotated", "--policy", policy, input=VALUE)
    assert "--days or --schedule" in call(ADMIN, "rotate", "rotated", "--days", "1", "--schedule", "rate(1 day)", status=2)
    assert "--now or --later" in call(ADMIN, "rotate", "rotated", "--now", "--later", status=2)
    call(ADMIN, "rotate", "rotated", "--rotator", "token", "--days", "30", "--window", "3h", "--later")
    shown = json.loads(call(ADMIN, "describe", "rotated", "-o", "json"))
    assert shown["rotator"] == "token" and shown["rotation_rules"]["automatically_after_days"] == 30
    assert shown["next_rotation"].endswith("Z") and call(APP, "get", "rotated") == VALUE
    version = json.loads(call(ADMIN, "rotate", "rotated", "--now", "--revoke-previous", "-o", "json"))["version_id"]
    wait_for(lambda: call(APP, "get", "rotated") != VALUE, what="the new value")
    assert len(call(APP, "get", "rotated", "--version-id", version)) == 40
    wait_for(lambda: "rotation" not in json.loads(call(ADMIN, "describe", "rotated", "-o", "json")), what="the end")
    assert "NOT_FOUND" in call(APP, "get", "rotated", "--stage", "AWSPREVIOUS", status=4)
    call(ADMIN, "cancel-rotate", "rotated")
    assert json.loads(call(ADMIN, "describe", "rotated", "-o", "json"))["rotation_enabled"] is False


def test_random_password(kmsctl):
    assert len(kmsctl(ADMIN, "secret", "random-password")) == 32
    digits = kmsctl(ADMIN, "secret", "random-password", "--length", "200", "--no-punctuation", "--no-uppercase", "--no-lowercase",
                    "--exclude", "01")
    assert len(digits) == 200 and set(digits) == set("23456789")
    spaced = json.loads(kmsctl(ADMIN, "secret", "random-password", "--length", "400", "--space", "-o", "json"))["random_password"]
    assert len(spaced) == 400 and " " in spaced
    assert len(kmsctl(ADMIN, "secret", "random-password", "--length", "1", "--not-each-type")) == 1
    assert "INVALID_ARGUMENT" in kmsctl(ADMIN, "secret", "random-password", "--length", "1", status=1)
