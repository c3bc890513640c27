"""kmsctl database-role: how users of a database are made, said as a person says it."""
import json
import uuid

import pytest

from harness import ADMIN, APP, OTHER
from lease_world import admin, app, postgres, world  # noqa: F401 (fixtures)
from lease_world import AUDITOR, PLAIN, VAULT, role_policy
from test_kmsctl import ENVIRONMENT


@pytest.fixture(scope="module")
def kmsctl(world):
    """kmsctl(principal, words..., status=0) answers standard output, or standard error when status is not 0."""

    def call(principal, *words, status=0, **options):
        done = world.service.kmsctl(principal, *words, check=False, env=ENVIRONMENT, **options)
        assert done.returncode == status, (words, done.stdout, done.stderr)
        return done.stderr if status else done.stdout

    return call


@pytest.fixture
def name():
    return "ctl/" + uuid.uuid4().hex[:10]


@pytest.fixture
def files(tmp_path):
    """Paths of what put needs: the SQL of Vault's documentation as it stands there, and a policy."""
    (tmp_path / "reader.sql").write_text(VAULT)
    (tmp_path / "policy.json").write_text(role_policy())
    return tmp_path


def shown(kmsctl, *words):
    return json.loads(kmsctl(ADMIN, "database-role", *words, "-o", "json"))


def put(kmsctl, name, files, *words, **options):
    return kmsctl(ADMIN, "database-role", "put", name, "--database", "main", "--policy", files / "policy.json", *words, **options)


def test_vaults_statements_from_a_file(kmsctl, name, files, app, postgres):
    made = json.loads(put(kmsctl, name, files, "--creation", files / "reader.sql", "-o", "json"))
    assert made["role_name"] == name and made["arn"].endswith(":database-role:" + name)
    told = shown(kmsctl, "describe", name)
    assert told["creation_statements"] == [VAULT] and (told["default_ttl"], told["max_ttl"]) == (3600, 86400)
    assert told["created"].endswith("Z") and told["leases"] == 0
    user = app.GenerateCredentials(role_name=name)
    assert postgres.sql("SELECT id FROM things", user=user.username, password=user.password) == "42"
    assert shown(kmsctl, "describe", made["arn"])["leases"] == 1


def test_people_read_it_as_it_was_written(kmsctl, name, files):
    (files / "second.sql").write_text("SELECT 1;\n\n\tSELECT '\x1b[2J';\r\n")
    put(kmsctl, name, files, "--creation", files / "reader.sql", "--creation", files / "second.sql", "--renewal-sql", "SELECT 3",
        "--default-ttl", "90m", "--max-ttl", "7d")  # fmt: skip
    text = kmsctl(ADMIN, "database-role", "describe", name)
    assert "\nDefault ttl: 1h 30m\nMax ttl:     7d\n" in text
    first, second = (line.strip() for line in VAULT.splitlines())
    assert f"\nCreation statements 1:\n    {first}\n        {second}\n\n" in text
    assert "\nCreation statements 2:\n    SELECT 1;\n\n        SELECT '?[2J';\n\n" in text
    assert "\nRenewal statements:\n    SELECT 3\n\nPolicy:\n    {" in text and "Revocation" not in text
    assert json.loads(text.split("\nPolicy:\n")[1]) == json.loads(role_policy())


def test_statements_from_everywhere(kmsctl, name, files):
    put(kmsctl, name, files, "--creation", "-", "--renewal-sql", "a {{name}}", "--renewal-sql", "b", "--revocation",
        files / "reader.sql", "--default-ttl", "30s", "--max-ttl", "2h", input=PLAIN)  # fmt: skip
    told = shown(kmsctl, "describe", name)
    assert told["creation_statements"] == [PLAIN] and told["renewal_statements"] == ["a {{name}}", "b"]
    assert told["revocation_statements"] == [VAULT] and (told["default_ttl"], told["max_ttl"]) == (30, 7200)
    kmsctl(ADMIN, "database-role", "put", name, "--database", "main", "--creation-sql", PLAIN)  # all but the policy is new
    told = shown(kmsctl, "describe", name)
    assert told["renewal_statements"] == told["revocation_statements"] == [] and told["default_ttl"] == 3600
    assert json.loads(kmsctl(ADMIN, "database-role", "get-policy", name)) == json.loads(role_policy())
    kmsctl(ADMIN, "database-role", "get-policy", name, "--out", files / "out.json")
    assert (files / "out.json").read_text() == role_policy() + "\n"


def test_lists(kmsctl, files):
    names = sorted("list/" + uuid.uuid4().hex[:10] for _ in range(3))
    for name in names:
        put(kmsctl, name, files, "--creation-sql", PLAIN)
    rows = shown(kmsctl, "list")
    assert [row["role_name"] for row in rows if row["role_name"] in names] == names
    assert {row["database"] for row in rows} == {"main"} and all(row["arn"].endswith(row["role_name"]) for row in rows)
    table = kmsctl(ADMIN, "database-role", "list").splitlines()
    assert table[0].split() == ["ROLE", "NAME", "DATABASE", "ARN"] and len(table) == len(rows) + 1
    assert len(shown(kmsctl, "list", "--limit", "2")) == 2


def test_deleting(kmsctl, name, files, world, admin, app):
    put(kmsctl, name, files, "--creation-sql", PLAIN)
    app.GenerateCredentials(role_name=name)
    refused = kmsctl(ADMIN, "database-role", "delete", name, status=1)
    assert "CONFLICT" in refused and "has 1 leases" in refused and "hint: `kmsctl lease revoke-prefix ROLE/ --wait 1m`" in refused
    kmsctl(ADMIN, "lease", "revoke-prefix", name + "/", "--wait", "5m")
    assert kmsctl(ADMIN, "database-role", "delete", name) == ""
    assert "hint: there is no such role" in kmsctl(ADMIN, "database-role", "describe", name, status=3)


@pytest.mark.parametrize("words, status, message", [
    (("--database", "main"), 2, "how is a user made? --creation FILE, or --creation-sql SQL"),
    (("--creation-sql", PLAIN), 2, "--database NAME: one that the server's configuration declares"),
    (("--database", "main", "--creation-sql", ""), 1, "creation_statements"),
    (("--database", "main", "--creation-sql", "CREATE ROLE x"), 1, "{{name}}"),
    (("--database", "main", "--creation-sql", "\udcff"), 2, "--creation-sql: not UTF-8"),
    (("--database", "main", "--creation", "none.sql"), 1, "IO: none.sql: No such file or directory"),
    (("--database", "main", "--creation", "empty.sql"), 1, "INVALID_ARGUMENT: empty.sql is empty"),
    (("--database", "main", "--creation", "latin1.sql"), 1, "latin1.sql: not text: SQL is UTF-8 without NUL"),
    (("--database", "main", "--creation", "nul.sql"), 1, "nul.sql: not text: SQL is UTF-8 without NUL"),
    (("--database", "main", "--creation", "long.sql"), 1, "long.sql is longer than 16384 bytes"),
    (("--database", "main", "--creation", "a.sql", "--creation-sql", PLAIN), 2, "--creation or --creation-sql, not both"),
    (("--database", "main", "--creation-sql", PLAIN, "--renewal", "a.sql", "--renewal-sql", "b"), 2, "--renewal or --renewal-sql"),
    (("--database", "main", "--creation-sql", PLAIN, "--default-ttl", "1w"), 2, "--default-ttl 1w: not like 90s, 30m, 12h or 7d"),
    (("--database", "main", "--creation-sql", PLAIN, "--max-ttl", "3600"), 2, "--max-ttl 3600: not like"),
    (("--database", "main", "--creation-sql", PLAIN, "--max-ttl", "0s"), 2, "--max-ttl 0s: not like"),
    (("--database", "main", "--creation-sql", PLAIN, "--default-ttl", "2h", "--max-ttl", "1h"), 1, "default_ttl <= max_ttl"),
    (("--database", "main", "--creation-sql", PLAIN, "--max-ttl", "4000000000d"), 1, "leases.max_ttl"),
    (("--database", "other", "--creation-sql", PLAIN), 1, "hint: who runs kmsd declares rotators and databases in kmsd.yaml"),
    (("--database", "nobody", "--creation-sql", PLAIN), 1, "has no admin_secret"),
    (("--database", "main", "--creation-sql", PLAIN, "--policy", "none.json"), 1, "IO: none.json: No such file"),
    (("--database", "main", "--creation-sql", PLAIN, "--policy", "a.sql"), 1, "MALFORMED_POLICY"),
    (("--database", "main", "--creation-sql", PLAIN, "--policy", "same.json"), 1, "hint: who writes statements never uses the role"),
    (("--database", "main", "--creation-sql", PLAIN, "--policy", "away.json"), 1, "hint: allow yourself secretsmanager:PutDatabase"),
])  # fmt: skip
def test_what_makes_no_sense(kmsctl, name, tmp_path, words, status, message):
    (tmp_path / "a.sql").write_text(PLAIN)
    (tmp_path / "empty.sql").write_text("")
    (tmp_path / "latin1.sql").write_bytes(PLAIN.encode() + b"\xff")
    (tmp_path / "nul.sql").write_bytes(PLAIN.encode() + b"\0")
    (tmp_path / "long.sql").write_text(PLAIN + " " * 16384)
    (tmp_path / "same.json").write_text(role_policy(users=(ADMIN,)))
    (tmp_path / "away.json").write_text(role_policy(admins=(OTHER,)))
    assert message in kmsctl(ADMIN, "database-role", "put", name, *words, status=status, cwd=tmp_path)


def test_who_may_not(kmsctl, name, files):
    put(kmsctl, name, files, "--creation-sql", PLAIN)
    for words in (("describe", name), ("delete", name), ("get-policy", name), ("list",), ("describe", "no/such"),
                  ("put", "no/such", "--database", "main", "--creation-sql", PLAIN)):  # fmt: skip
        refused = kmsctl(OTHER, "database-role", *words, status=3)
        assert "ACCESS_DENIED" in refused and "\nhint: there is no such role, or its policy decides so" in refused
    kmsctl(ADMIN, "database-role", "put", "own/" + name, "--database", "main", "--creation-sql", PLAIN)
    assert "ACCESS_DENIED" in kmsctl(APP, "database-role", "describe", "own/" + name, status=3)  # its maker's alone
    assert "ACCESS_DENIED" in kmsctl(AUDITOR, "database-role", "describe", "own/" + name, status=3)
