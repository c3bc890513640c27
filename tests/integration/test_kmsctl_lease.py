"""kmsctl lease: the life of leases as their owners and their administrators walk it."""
import json
import os
import pty
import re
import subprocess

import pytest

from harness import ADMIN, APP, BIN, OTHER, ROOT
from lease_world import admin, app, postgres, world  # noqa: F401 (fixtures)
from lease_world import AUDITOR, World, logs_in
from postgres import PASSWORD, Postgres
from test_kmsctl import ENVIRONMENT
from test_kmsctl_database_role import kmsctl  # noqa: F401 (fixture)


@pytest.fixture
def role(world):
    return world.role()


def shown(kmsctl, principal, *words):
    return json.loads(kmsctl(principal, "lease", *words, "-o", "json"))


def connection(world, principal):
    name, certs = world.service.certs.client(principal), world.service.certs.dir
    return ["--endpoint", f"127.0.0.1:{world.service.port}", "--ca", certs / "ca.pem", "--cert", certs / f"{name}.pem",
            "--key-file", certs / f"{name}.key"]  # fmt: skip


def drain(terminal):
    """All that is written to a terminal until its writers have gone."""
    text = b""
    while True:
        try:
            text += os.read(terminal, 4096)
        except OSError:
            os.close(terminal)
            return text.decode()


def test_a_user_with_its_password(kmsctl, role, admin, world, postgres, tmp_path):
    made = shown(kmsctl, APP, "generate", role, "--ttl", "30m")
    assert made["lease_id"].startswith(role + "/") and made["lease_duration"] == 1800 and made["expires"].endswith("Z")
    login = {"user": made["username"], "password": made["password"]}
    assert postgres.sql("SELECT 1", **login) == "1"
    lines = [line.split(":", 1) for line in kmsctl(APP, "lease", "generate", role).splitlines()]
    assert [name for name, _ in lines] == ["Lease id", "Username", "Password", "Lease duration", "Expires"]
    values = {name: value.strip() for name, value in lines}
    assert values["Lease duration"] == "1h" and len(values["Password"]) == 32
    assert postgres.sql("SELECT 1", user=values["Username"], password=values["Password"]) == "1"
    out = tmp_path / "credentials.json"
    assert kmsctl(APP, "lease", "generate", role, "-o", "json", "--out", out) == "" and out.stat().st_mode & 0o777 == 0o600
    third = json.loads(out.read_text())
    assert {lease.username for lease in world.leases(admin, role).values()} == {
        made["username"], values["Username"], third["username"]}  # fmt: skip
    kmsctl(APP, "lease", "generate", role, "--out", out)  # again, and as people read it
    assert out.read_text().startswith("Lease id:       " + role + "/")


def test_a_password_that_cannot_be_told_is_of_no_use(kmsctl, role, admin, world):
    """Its user goes; and where it would go is looked at before there is one."""
    before = len(world.service.records(operation="GenerateCredentials"))
    assert "IO: /nonexistent/out: No such file" in kmsctl(APP, "lease", "generate", role, "--out", "/nonexistent/out", status=1)
    assert len(world.service.records(operation="GenerateCredentials")) == before
    assert "IO: /dev/full: No space left on device" in kmsctl(APP, "lease", "generate", role, "--out", "/dev/full", status=1)
    assert world.service.records(operation="RevokeLease", kind="outcome")[-1]["outcome"] == "OK"
    world.gone(admin, role)


def test_a_password_goes_to_no_terminal_unasked(world, role, admin):
    main, terminal = pty.openpty()
    command = [BIN / "kmsctl", *connection(world, APP), "lease", "generate", role]
    refused = subprocess.run(command, env=ENVIRONMENT, stdout=terminal, stderr=subprocess.PIPE, text=True)
    assert refused.returncode == 2 and "use --out FILE, a pipe, or --show" in refused.stderr and not world.leases(admin, role)
    subprocess.run([*command, "--show"], env=ENVIRONMENT, stdout=terminal, check=True)
    os.close(terminal)
    assert "Password:       " in drain(main)


@pytest.mark.parametrize("words, status, message", [
    (("no/such",), 3, "hint: there is none, or the role's policy decides so"),
    (("--ttl", "25h"), 1, "ttl: at most 86400 seconds, as the role says"),
    (("--ttl", "1"), 2, "--ttl 1: not like 90s, 30m, 12h or 7d"),
    (("--ttl", "-1s"), 2, "--ttl -1s: not like"),
])  # fmt: skip
def test_what_cannot_be_generated(kmsctl, role, words, status, message):
    words = words if words == ("no/such",) else (role, *words)
    assert message in kmsctl(APP, "lease", "generate", *words, status=status)
    assert "ACCESS_DENIED" in kmsctl(ADMIN, "lease", "generate", role, status=3)  # administers it


def test_what_there_is(kmsctl, role, app, world, admin):
    made = [app.GenerateCredentials(role_name=role) for _ in range(3)]
    rows = shown(kmsctl, ADMIN, "list", role)
    assert [row["lease_id"] for row in rows] == sorted(one.lease_id for one in made)
    row = next(row for row in rows if row["lease_id"] == made[0].lease_id)
    assert (row["username"], row["database"], row["owner"], row["state"]) == (made[0].username, "main", APP, "ACTIVE")
    assert all(row[name].endswith("Z") for name in ("created", "expires", "max_expires"))
    assert shown(kmsctl, ADMIN, "describe", made[0].lease_id) == row
    text = kmsctl(ADMIN, "lease", "describe", made[0].lease_id)
    assert f"State:       ACTIVE\nCreated:     {row['created']}\n" in text
    table = kmsctl(ADMIN, "lease", "list", role).splitlines()
    assert table[0].split() == ["LEASE", "ID", "STATE", "EXPIRES", "USERNAME", "OWNER"] and len(table) == 4
    assert table[1].split() == [rows[0][name] for name in ("lease_id", "state", "expires", "username", "owner")]
    assert len(shown(kmsctl, ADMIN, "list", role, "--limit", "2")) == 2
    assert set(row["lease_id"] for row in rows) <= set(row["lease_id"] for row in shown(kmsctl, AUDITOR, "list"))
    assert kmsctl(ADMIN, "lease", "list", world.role()) == "none\n"


def test_renewed_and_given_back(kmsctl, role, app, world, admin, postgres):
    made = app.GenerateCredentials(role_name=role)
    renewed = shown(kmsctl, APP, "renew", made.lease_id, "--ttl", "12h")
    assert renewed["lease_id"] == made.lease_id and 40000 < renewed["lease_duration"] <= 43200
    assert renewed["expires"] == shown(kmsctl, ADMIN, "describe", made.lease_id)["expires"]
    assert "\nLease duration: 11h " in kmsctl(APP, "lease", "renew", made.lease_id) and logs_in(postgres, made)
    assert "--ttl soon: not like 90s, 30m, 12h or 7d" in kmsctl(APP, "lease", "renew", made.lease_id, "--ttl", "soon", status=2)
    assert kmsctl(APP, "lease", "revoke", made.lease_id) == ""
    world.gone(admin, role)
    assert not logs_in(postgres, made)
    ended = kmsctl(ADMIN, "lease", "describe", made.lease_id, status=4)
    assert "it has ended, or never was" in ended and "hint: `kmsctl lease list ROLE` shows the leases" in ended


def test_leases_of_others(kmsctl, role, app):
    made = app.GenerateCredentials(role_name=role)
    for principal in (OTHER, ADMIN):
        for verb in ("renew", "revoke"):
            refused = kmsctl(principal, "lease", verb, made.lease_id, status=3)
            assert "ACCESS_DENIED" in refused and "; a lease belongs to who asked for it, and who administers" in refused
            assert "`kmsctl lease revoke-prefix LEASE`" in refused
    for words in (("revoke-prefix", role + "/"), ("list", role), ("list",), ("sweep",), ("describe", made.lease_id)):
        assert "ACCESS_DENIED" in kmsctl(APP, "lease", *words, status=3)
    assert shown(kmsctl, ADMIN, "revoke-prefix", made.lease_id, "--wait", "5m") == {"revoked": 1}
    assert shown(kmsctl, ADMIN, "list", role) == []


def test_ids_that_are_none(kmsctl, role):
    assert "none: a lease is ROLE/LETTERS" in kmsctl(ADMIN, "lease", "describe", "none", status=2)
    assert "write none/ for all leases" in kmsctl(ADMIN, "lease", "revoke-prefix", "none", status=2)
    assert "INVALID_ARGUMENT" in kmsctl(APP, "lease", "revoke", "none", status=1)
    assert "ACCESS_DENIED" in kmsctl(ADMIN, "lease", "list", "no/such", status=3)
    assert "for all leases of a role" in kmsctl(ADMIN, "lease", "revoke-prefix", "/none", status=2)
    assert kmsctl(ADMIN, "lease", "revoke-prefix", role + "/", "--dry-run") == "none\n"
    assert "--wait 5: not like" in kmsctl(ADMIN, "lease", "revoke-prefix", role + "/", "--wait", "5", status=2)


def test_the_end_of_many(kmsctl, role, app, world, admin, postgres):
    """With a bar on a terminal, and what is asked for is done when it ends."""
    made = [app.GenerateCredentials(role_name=role) for _ in range(5)]
    assert {row["lease_id"] for row in shown(kmsctl, ADMIN, "revoke-prefix", role + "/", "--dry-run")} == {
        one.lease_id for one in made}  # fmt: skip
    table = kmsctl(ADMIN, "lease", "revoke-prefix", made[0].lease_id, "--dry-run").splitlines()
    assert len(table) == 2 and table[1].split()[:2] == [made[0].lease_id, "ACTIVE"]
    assert all(logs_in(postgres, one) for one in made)  # nothing has changed
    main, terminal = pty.openpty()
    process = subprocess.Popen([BIN / "kmsctl", *connection(world, ADMIN), "lease", "revoke-prefix", role + "/", "--wait", "5m"],
                               env=dict(ENVIRONMENT, TERM="xterm"), stdout=subprocess.PIPE, stderr=terminal, text=True)  # fmt: skip
    os.close(terminal)
    drawn = drain(main)
    assert (process.wait(60), process.stdout.read()) == (0, "Revoked: 5\n")
    # Nothing was drawn when they were gone at its first look.
    assert drawn == "" or (drawn.startswith("\r[") and " of 5 users are gone" in drawn and drawn.endswith("\r\033[K"))
    assert not world.leases(admin, role) and not [one for one in made if logs_in(postgres, one)]
    assert kmsctl(ADMIN, "lease", "revoke-prefix", role + "/") == "Revoked: 0\n"


def test_a_sweep(kmsctl, role, app, world, admin, postgres):
    kept, lost = (app.GenerateCredentials(role_name=role) for _ in range(2))
    orphan = admin.DescribeDatabaseRole(role_name=role).user_prefix + "orphan"
    postgres.sql(f'DROP ROLE "{lost.username}"; CREATE ROLE "{orphan}" LOGIN')
    found = {"orphans": [orphan], "lost": [lost.lease_id], "failures": []}
    assert shown(kmsctl, ADMIN, "sweep", role, "--dry-run") == found == shown(kmsctl, AUDITOR, "sweep", "--dry-run")
    assert set(world.users(admin, role)) == {kept.username, orphan}
    table = [line.split() for line in kmsctl(ADMIN, "lease", "sweep", role).splitlines()]
    assert table == [["FOUND", "WHAT"], ["user", "without", "a", "lease", orphan], ["lease", "without", "a", "user", lost.lease_id]]
    assert world.users(admin, role) == [kept.username] and set(world.leases(admin, role)) == {kept.lease_id}
    assert kmsctl(ADMIN, "lease", "sweep", role) == "none\n"


def test_a_sweep_that_cannot_repair_says_so(kmsctl, role, admin, postgres):
    orphan = admin.DescribeDatabaseRole(role_name=role).user_prefix + "owner"
    postgres.sql(f'CREATE ROLE "{orphan}" LOGIN; CREATE TABLE owned (id int); ALTER TABLE owned OWNER TO "{orphan}"')
    refused = kmsctl(ADMIN, "lease", "sweep", role, status=1)
    assert "kmsctl: DATABASE_FAILED: 1 could not be looked at or removed, see above\nhint: " in refused
    postgres.sql("DROP TABLE owned")
    assert shown(kmsctl, ADMIN, "sweep", role)["orphans"] == [orphan]


def test_a_sweep_of_more_than_one_answer_holds(kmsctl, role, admin, world, postgres):
    prefix = admin.DescribeDatabaseRole(role_name=role).user_prefix
    postgres.sql(f"DO $$ BEGIN FOR i IN 1..1003 LOOP EXECUTE format('CREATE ROLE %I', '{prefix}' || i); END LOOP; END $$")
    assert len(shown(kmsctl, ADMIN, "sweep", role, "--dry-run", "--timeout", "5m")["orphans"]) == 1000
    assert len(shown(kmsctl, ADMIN, "sweep", role, "--timeout", "5m")["orphans"]) == 1003
    assert not world.users(admin, role)


def test_a_database_that_is_away(tmp_path):
    server = Postgres()
    world = World(tmp_path / "home", server)
    role = world.role()

    def call(principal, *words, status):
        done = world.service.kmsctl(principal, "lease", *words, check=False, env=ENVIRONMENT)
        assert done.returncode == status, (words, done.stdout, done.stderr)
        return done.stderr

    with world.service.client(APP) as app, world.service.client(ADMIN) as admin:
        made = app.GenerateCredentials(role_name=role)
        server.stop()
        assert "hint: repeat the command when the database answers" in call(APP, "renew", made.lease_id, "--ttl", "5h", status=5)
        late = call(ADMIN, "revoke-prefix", role + "/", "--wait", "1s", status=5)
        assert "DEADLINE_EXCEEDED: 1 users are still in the database" in late
        assert "hint: what has begun goes on: `kmsctl lease list ROLE`" in late
        server.start()
        world.gone(admin, role)
        assert not logs_in(server, made)
    world.service.stop()
    server.close()


def test_the_commands_of_the_document(tmp_path, postgres):
    """In its order, with its files and its SQL."""
    text = (ROOT / "docs/leases.md").read_text()
    commands = [line.strip() for line in text.splitlines() if line.startswith("    kmsctl ")]
    assert len(commands) == 13
    world = World(tmp_path / "home", postgres)
    certs = world.service.certs
    contexts = [f"- name: {who}\n  endpoint: 127.0.0.1:{world.service.port}\n  ca: {certs.dir}/ca.pem\n"
                f"  cert: {certs.dir}/{name}.pem\n  key: {certs.dir}/{name}.key\n"
                for who, name in (("admin", certs.client(ADMIN)), ("app", certs.client(APP)))]  # fmt: skip
    (tmp_path / "kmsctl.yaml").write_text("current_context: admin\ncontexts:\n" + "".join(contexts))
    sql = re.search(r'^    CREATE ROLE "\{\{name\}\}".*\n(?:    .*\n)+', text, flags=re.M)[0]
    (tmp_path / "reader.sql").write_text(sql)
    policy = re.search(r'^    \{"Version": .*\n(?:    .*\n)+', text, flags=re.M)[0]
    (tmp_path / "reader.json").write_text(policy)
    (tmp_path / "admin.json").write_text(json.dumps({"username": "admin", "password": PASSWORD}))
    environment = dict(ENVIRONMENT, KMSCTL_CONFIG=str(tmp_path / "kmsctl.yaml"), PATH=f"{BIN}:{os.environ['PATH']}")
    seen = []
    for command in commands:
        own = re.match("kmsctl lease (generate|renew|revoke) ", command)
        if own:
            command = command.replace("kmsctl", "kmsctl --context app", 1)
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, (command, done.stderr)
        seen.append(done.stdout)
        if own and own[1] == "generate":
            made = json.loads((tmp_path / "credentials.json").read_text())
            environment["lease"] = made["lease_id"]
            assert postgres.sql("SELECT id FROM things", user=made["username"], password=made["password"]) == "42"
    assert made["lease_id"] in seen[6] and made["username"] in seen[7] and made["lease_id"] in seen[8] and seen[9] == "Revoked: 1\n"
    assert postgres.sql("SELECT 1", user=made["username"], password=made["password"], check=False) is None
    with world.service.client(ADMIN) as admin:
        assert not admin.ListDatabaseRoles().roles
    world.service.stop()
