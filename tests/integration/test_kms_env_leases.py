"""kms-env run with database users against a real PostgreSQL: made for the program, renewed while it lives, gone with it."""
import json
import pathlib
import signal

import pytest

from env_program import FIRST, SECOND, Env, lines_of, make, put
from harness import ADMIN, APP, OTHER, free_port, wait_for
from lease_world import admin, postgres, world  # noqa: F401 (fixtures)
from lease_world import ACTIVE, World, role_policy
from postgres import Postgres

LIVES = "while :; do sleep 0.05; done"


@pytest.fixture
def env(world, tmp_path):
    env = Env(world.service, tmp_path)
    yield env
    env.end()


class Program:
    """A program with a user of a role. It appends "USER PASSWORD" to a file when it starts, ends with 7 on SIGTERM."""

    def __init__(self, env, role, *options, more="", end="trap 'exit 7' TERM"):
        self.env, self.role, self.seen = env, role, env.file.parent / "seen"
        env.file.write_text(f"DB_USER=kms-db://{role}#username\nDB_PASSWORD=kms-db://{role}#password\n{more}")
        self.kms_env = env.popen("run", *options, "--env-file", env.file, "--", "sh", "-c",
                                 f'{end}; echo "$DB_USER $DB_PASSWORD" >>{self.seen}; {LIVES}')
        self.logs_of = []

    def users(self, count=1):
        """[user, password] of each start, when there were so many."""
        wait_for(lambda: len(lines_of(self.seen)) >= count or self.kms_env.poll() is not None, 120, "the program")
        assert len(lines_of(self.seen)) == count, self.kms_env.communicate(timeout=30)
        return [line.split() for line in lines_of(self.seen)]

    def says(self, words):
        """The next line on standard error that has these words."""
        while words not in (line := self.kms_env.stderr.readline()):
            assert line, f"it never said {words}"
            self.logs_of.append(line)
        self.logs_of.append(line)
        return line

    def ended(self, status, number=signal.SIGTERM):
        """What it wrote on standard error in all, after a signal ended it."""
        self.kms_env.send_signal(number)
        _, err = self.kms_env.communicate(timeout=60)
        assert self.kms_env.returncode == status, err
        return "".join(self.logs_of) + err


def works(postgres, user, password):
    return postgres.sql("SELECT 1", user=user, password=password, check=False) == "1"


def the_lease(world, admin, role):
    (lease,) = world.leases(admin, role).values()
    return lease


def holders(pid, password):
    """Which files of a process in /proc have it."""
    return [name for name in ("cmdline", "environ") if password.encode() in pathlib.Path(f"/proc/{pid}/{name}").read_bytes()]


# -- while the program lives --


def test_a_user_lives_as_long_as_the_program(world, admin, env, postgres):
    role = world.role()
    program = Program(env, role)
    ((user, password),) = program.users()
    assert works(postgres, user, password)
    lease = the_lease(world, admin, role)  # one for both fields
    assert (lease.username, lease.owner, lease.state) == (user, APP, ACTIVE)
    assert holders(program.kms_env.pid, password) == []
    err = program.ended(7)
    world.gone(admin, role, user)
    assert not works(postgres, user, password) and password not in err
    # nor anywhere else that stays
    files = [path for path in world.service.dir.rglob("*") if path.is_file()]
    assert files and [path for path in files if password.encode() in path.read_bytes()] == []
    assert password not in postgres.log() and password not in json.dumps(world.service.records())


@pytest.mark.parametrize("script, status", [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 128 + 9)])
def test_the_status_of_the_program_comes_back(world, admin, env, script, status):
    role = world.role()
    env.file.write_text(f"DB_USER=kms-db://{role}#username\n")
    env("run", "--env-file", env.file, "--", "sh", "-c", script, status=status)
    world.gone(admin, role)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_go_through(world, admin, env, number):
    role = world.role()
    program = Program(env, role, end=f"trap 'exit 5' {number.name[3:]}")
    program.users()
    program.ended(5, number)
    world.gone(admin, role)


def test_the_lease_is_renewed(world, admin, env, postgres):
    role = world.role(default_ttl=20, max_ttl=3600)
    program = Program(env, role)
    ((user, password),) = program.users()
    before = the_lease(world, admin, role).expires_us
    wait_for(lambda: the_lease(world, admin, role).expires_us > before, 120, "the renewal")
    assert works(postgres, user, password) and the_lease(world, admin, role).username == user
    program.ended(7)
    world.gone(admin, role, user)


def test_the_end_that_max_ttl_sets_is_said(world, admin, env):
    role = world.role(default_ttl=20, max_ttl=20)
    program = Program(env, role)
    program.users()
    told = program.says(f"role {role}: the lease ends at ")
    assert "cannot be renewed beyond that (max_ttl of the role): the program goes on, but its database user will be gone" in told
    assert program.kms_env.poll() is None
    program.ended(7)
    world.gone(admin, role)


def test_watching_starts_it_with_a_new_user(world, admin, env, postgres):
    role = world.role(default_ttl=8, max_ttl=8)
    program = Program(env, role, "--watch")
    (first, _), (second, password) = program.users(2)
    assert first != second and works(postgres, second, password)
    wait_for(lambda: first not in world.users(admin, role), what="the end of the first user")
    err = program.ended(7)
    assert "there is a new user" in err and "a database user is new: starting the program again" in err
    world.gone(admin, role)


def test_a_lease_that_somebody_ended_is_replaced(world, admin, env, postgres):
    role = world.role(default_ttl=8, max_ttl=3600)
    program = Program(env, role, "--watch")
    ((first, _),) = program.users()
    admin.RevokePrefix(prefix=role + "/")
    (_, _), (second, password) = program.users(2)
    assert first != second and works(postgres, second, password)
    program.ended(7)
    world.gone(admin, role)


def test_a_secret_that_changes_leaves_the_user(world, admin, env):
    role, name = world.role(), make(admin, FIRST)
    program = Program(env, role, "--watch", "--watch-interval", "200ms", more=f"SECRET=kms-secret://{name}\n")
    program.users()
    put(admin, name, SECOND)
    first, second = program.users(2)
    assert first == second and len(world.leases(admin, role)) == 1
    program.ended(7)
    world.gone(admin, role)


# -- what goes wrong --


def test_what_cannot_be_had_starts_nothing(world, admin, env, postgres):
    mine, others = world.role(), world.role(resource_policy=role_policy(users=(OTHER,)))
    broken = world.role(statements=('GRANT nonsense TO "{{name}}"',))
    seen = len(world.service.records(operation="RevokeLease", kind="outcome"))
    env.file.write_text(f"A=kms-db://{mine}#username\nB=kms-db://{others}#username\nC=kms-db://role/none#password\n"
                        f"D=kms-db://{broken}#username\nE=kms-secret://kms-env/none\nF=kms-db://{mine}#pass\n")
    told = env.refused()
    for words in (f"B ({env.file}:2): ACCESS_DENIED: role {others}: ", f"C ({env.file}:3): ACCESS_DENIED: role role/none: ",
                  f"D ({env.file}:4): DATABASE_FAILED: role {broken}: ", f"E ({env.file}:5): ACCESS_DENIED: secret kms-env/none: ",
                  f"F ({env.file}:6): INVALID_ARGUMENT: column {len('kms-db://' + mine) + 2} of the reference: ",
                  "5 values could not be had: nothing was started"):
        assert words in told, told
    assert "A (" not in told
    # the user of A was made, and given back
    assert len(world.service.records(operation="RevokeLease", kind="outcome")) == seen + 1
    world.gone(admin, mine)


def test_while_the_database_is_away(tmp_path):
    server = Postgres()
    world = World(tmp_path / "home", server)
    try:
        role, env = world.role(), Env(world.service, tmp_path)
        server.stop()
        env.file.write_text(f"A=kms-db://{role}#username\n")
        assert f"A ({env.file}:1): DATABASE_UNAVAILABLE: role {role}: " in env.refused()
    finally:
        world.service.stop()
        server.close()


def test_a_program_that_cannot_be_started(world, admin, env, tmp_path):
    role, plain = world.role(), tmp_path / "plain"
    plain.write_text("no program")
    env.file.write_text(f"A=kms-db://{role}#username\n")
    for program, status in ((plain, 126), (tmp_path / "none", 127)):
        seen = len(world.service.records(operation="RevokeLease", kind="outcome"))
        assert str(program) in env("run", "--env-file", env.file, "--", program, status=status).stderr
        assert len(world.service.records(operation="RevokeLease", kind="outcome")) == seen + 1
    world.gone(admin, role)


def test_kmsd_is_away_at_the_end(tmp_path):
    server = Postgres()
    world = World(tmp_path / "home", server, listen=f"127.0.0.1:{free_port()}")  # the same after a restart
    env = Env(world.service, tmp_path)
    try:
        role = world.role(default_ttl=60)
        program = Program(env, role)
        program.users()
        with world.service.client(ADMIN) as admin:
            lease = the_lease(world, admin, role)
        world.service.stop()
        err = program.ended(7)
        assert f"role {role}: lease {lease.lease_id} could not be given back: " in err and ": it expires by itself at " in err
        world.service.start()
        with world.service.client(ADMIN) as admin:
            admin.RevokePrefix(prefix=role + "/")
            world.gone(admin, role, lease.username)
    finally:
        env.end()
        world.service.stop()
        server.close()


# -- what takes no user --


def test_files_have_no_users(world, admin, env, tmp_path):
    role = world.role()
    env.file.write_text(f"A=kms-db://{role}#username\n")
    template = tmp_path / "template"
    template.write_text("{{ kms-db://%s#password }}" % role)
    for words in (("--env-file", env.file), ("--template", template)):
        told = env("render", *words, "--out", tmp_path / "out", "--allow-disk", status=125).stderr
        assert f"UNSUPPORTED: role {role}: a database user lives as long as a program: kms-env run renews its lease" in told
    assert not (tmp_path / "out").exists()


def test_looking_makes_no_user(world, admin, env):
    role = world.role()
    env.file.write_text(f"A=kms-db://{role}#username\n")
    seen = len(world.service.records(operation="GenerateCredentials"))
    assert f"{env.file}:1: A: reference\n" == env("check", "--online", "--env-file", env.file).stdout
    assert "A\treference\t" in env("run", "--dry-run", "--env-file", env.file).stdout
    assert len(world.service.records(operation="GenerateCredentials")) == seen
