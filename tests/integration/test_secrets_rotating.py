"""Values that rotations make and leases give: none is in a file of kmsd or the database, a log, an argument or an environment."""
import json
import pathlib

import pytest

import postgres
from callers import secret_policy
from harness import ADMIN, APP, Failure, Service, comm, wait_for
from lease_world import VAULT, role_policy, service_policy
from test_secret_rotation import described, ended, get, logs_in, make, role, rotate
from test_secrets import look, spellings

# It says all that it knows where it should not, and answers as the file "do" beside it says.
PROGRAM = """#!/bin/sh
here=%s
input=$(cat)
step=$(printf '%%s' "$input" | sed 's/^{"Step":"\\([A-Za-z]*\\)".*/\\1/')
pending=$(printf '%%s' "$input" | sed -n 's/.*"Pending":"\\([^"]*\\)".*/\\1/p')
printf '%%s\\n' "$input" >&2
case "$step $(cat $here/do)" in
"testSecret error") printf '{"Error": "no %%s"}' "$pending" ;;
"testSecret rubbish") printf '%%s' "$input$input" ;;
"testSecret hang") touch $here/hangs; exec sleep 600 ;;
createSecret*) printf '{"SecretString": "device-%%s"}' "$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \\n')" ;;
*) echo '{}' ;;
esac
"""


class Rotating:
    """What has rotated, and all values that there were."""

    def __init__(self, home):
        self.database, self.told, self.here, self.scratch = postgres.Postgres(), set(), home / "program", home / "tmp"
        self.here.mkdir()
        self.scratch.mkdir()
        program = self.here / "rotate"
        program.write_text(PROGRAM % self.here)
        program.chmod(0o755)
        self.do("well")
        self.service = Service(home / "home", environment={"TMPDIR": str(self.scratch)}, log={"level": "debug"},
                               secrets={"rotation_backoff": "20ms", "rotation_attempts": 2},
                               jobs={"interval": "50ms"}, extra=f"""databases:
  - {self.database.declaration(sslmode="disable", admin_secret="db/admin")}
rotators:
  - {{name: random, length: 40}}
  - {{name: single, type: postgresql, database: main}}
  - {{name: turns, type: postgresql-alternating, database: main}}
  - {{name: device, type: program, program: {program}, timeout: 600s}}
""")
        self.service.service_policy(service_policy())
        self.service.init().start()

    def do(self, what):
        (self.here / "do").write_text(what + "\n")

    def note(self, value):
        """A value, and the password in it; not the first ones of the database, which the test gave it in clear."""
        if "first-marked" in value:
            return
        parts = [value]
        if value.startswith("{"):
            parts.append(json.loads(value)["password"])
        assert all(len(part) >= 20 for part in parts)
        self.told.update(part.encode() for part in parts)

    def note_stages(self, app, name):
        for stage in ("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"):
            try:
                self.note(get(app, name, version_stage=stage))
            except Failure as nothing:
                assert nothing.reason == "NOT_FOUND"

    def rotations(self, admin, app):
        first = {"username": "u", "password": "first-password-of-random"}
        make(admin, "random", json.dumps(first))
        make(admin, "single", role(self.database, "marked_single_with_a_name"))
        make(admin, "turns", role(self.database, "marked_turns_with_a_name"))
        make(admin, "device", "the first value of the device")
        for name in ("random", "single", "turns", "device"):
            self.note_stages(app, name)
            for _ in range(2):
                rotate(admin, name, rotator=name)
                self.note_stages(app, name)
        rotate(admin, "turns", revoke_previous=True)
        self.note_stages(app, "turns")
        assert logs_in(self.database, get(app, "turns")) and logs_in(self.database, get(app, "single"))

    def failures(self, admin, app):
        """Values that are pending still when a rotation is given up."""
        for how in ("error", "rubbish"):
            self.do(how)
            version = rotate(admin, "device")
            assert described(admin, "device").last_rotation_error != ""
            self.note(get(app, "device", version_stage="AWSPENDING"))
            admin.UpdateSecretVersionStage(secret_id="device", version_stage="AWSPENDING", remove_from_version_id=version)

    def leases(self, admin, app):
        admin.PutDatabaseRole(role_name="reader", database="main", creation_statements=[VAULT], resource_policy=role_policy())
        for _ in range(3):
            lease = app.GenerateCredentials(role_name="reader")
            assert self.database.sql("SELECT 1", user=lease.username, password=lease.password) == "1"
            self.note(lease.password)
            app.RenewLease(lease_id=lease.lease_id)
        app.RevokeLease(lease_id=lease.lease_id)
        wait_for(lambda: len(admin.ListLeases(role_name="reader").leases) == 2, what="the end of a lease")

    def close(self):
        if self.service.process is not None:
            self.service.stop()
        self.database.close()


@pytest.fixture(scope="module")
def rotating(tmp_path_factory):
    made = Rotating(tmp_path_factory.mktemp("rotating"))
    try:
        with made.service.client(ADMIN) as admin, made.service.client(APP) as app:
            login = {"username": "admin", "password": postgres.PASSWORD}
            admin.CreateSecret(name="db/admin", value={"secret_string": json.dumps(login)})
            made.rotations(admin, app)
            made.failures(admin, app)
            made.leases(admin, app)
        yield made
    finally:
        made.close()


def needles(rotating):
    assert len(rotating.told) > 20
    return {f"value {number}": spellings(value) for number, value in enumerate(sorted(rotating.told))}


def look_into_files(rotating):
    """Those of kmsd, of the program, and of the database with its log."""
    wanted, names = needles(rotating), set()
    for folder in (rotating.service.dir, rotating.here, pathlib.Path(rotating.database.home.name)):
        for path in folder.rglob("*"):
            if path.is_file():
                look(path, path.read_bytes(), wanted)
                names.add(path.name)
    assert not list(rotating.scratch.rglob("*"))
    return names


def test_no_value_in_any_file(rotating):
    assert {"keystore.db", "keystore.db-wal", "kmsd.log", "log", "rotate"} <= look_into_files(rotating)
    said = [line for line in rotating.service.log_text().splitlines() if "secret.rotator" in line]
    assert len([line for line in said if "step=testSecret" in line and "***" in line]) >= 6  # it told them all


def test_no_value_beside_a_program_that_works(rotating, need_inspection):
    """Nor in its arguments and its environment; and nothing stays when kmsd and the program are killed."""
    rotating.do("hang")
    service = rotating.service
    with service.client(ADMIN) as admin, service.client(APP) as app:
        version = admin.RotateSecret(secret_id="device").version_id
        wait_for((rotating.here / "hangs").exists, what="the program")
        rotating.note(get(app, "device", version_id=version))
        wanted = needles(rotating)
        need_inspection(service.process.pid)
        processes = [int(path.name) for path in pathlib.Path("/proc").iterdir() if path.name.isdigit()]
        family = {pid: comm(pid) for pid in processes if comm(pid) in ("kmsd", "kms-runner", "sleep", "rotate")}
        assert {"kmsd", "kms-runner", "sleep"} <= set(family.values())
        for pid, name in family.items():
            for what in ("cmdline", "environ"):
                try:
                    look((name, what), pathlib.Path(f"/proc/{pid}/{what}").read_bytes(), wanted)
                except (FileNotFoundError, ProcessLookupError):
                    continue  # another test's, which has ended
    service.kill()
    look_into_files(rotating)
    rotating.do("well")
    service.start()
    with service.client(ADMIN) as admin, service.client(APP) as app:
        ended(admin, "device")
        rotating.note_stages(app, "device")
    service.stop()
    look_into_files(rotating)
