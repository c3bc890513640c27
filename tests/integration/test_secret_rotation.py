"""Rotation of stored secrets: the four steps and their stages, schedules, failures, cancelling, emergencies, and death in between."""
import json
import os
import time
import uuid

import pytest

from callers import secret_policy
from harness import ADMIN, APP, Service, wait_for
from postgres import Postgres
from rpc_client import failure

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"
PROGRAM = """#!/bin/sh
# Answers as a rotator; what it does stands in files beside it.
here=%(here)s
read -r request
step=$(printf '%%s' "$request" | sed 's/.*"Step" *: *"\\([A-Za-z]*\\)".*/\\1/')
echo "$step" >> $here/steps
[ -e $here/hang-$step ] && sleep 600
[ -e $here/rubbish-$step ] && { echo rubbish; exit 0; }
[ -e $here/fail-$step ] && { echo "the device said no" >&2; exit 1; }
case $step in
createSecret) echo "{\\"SecretString\\": \\"value $(wc -l < $here/steps) \\"}" ;;
*) echo '{}' ;;
esac
"""


@pytest.fixture(scope="module")
def postgres():
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    here = tmp_path_factory.mktemp("program")
    for folder in [here, *here.parents][:-1]:
        if folder.owner() != "root" and os.geteuid() == 0 and folder != here.parents[-1]:
            break
    path = here / "rotator"
    path.write_text(PROGRAM % {"here": here})
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def rotating(tmp_path_factory, postgres):
    """With rotators of each kind."""
    home = tmp_path_factory.mktemp("rotating")
    extra = f"""databases:
  - {postgres.declaration(sslmode="disable", admin_secret="db/admin")}
rotators:
  - {{name: random, type: random, length: 40}}
  - {{name: single, type: postgresql, database: main}}
  - {{name: turns, type: postgresql-alternating, database: main}}
"""
    service = Service(home / "home", secrets={"rotation_backoff": "20ms", "rotation_attempts": 3}, jobs={"interval": "50ms"},
                      extra=extra)
    service.init().start()
    with service.client(ADMIN) as admin:
        login = {"username": "admin", "password": "MARKER-admin"}
        admin.CreateSecret(name="db/admin", value={"secret_string": json.dumps(login)})
    yield service
    service.stop()


@pytest.fixture
def name():
    return "rot/" + uuid.uuid4().hex[:12]


def make(admin, name, value):
    return admin.CreateSecret(name=name, value={"secret_string": value}, resource_policy=secret_policy()).version_id


def described(admin, name):
    return admin.DescribeSecret(secret_id=name)


def ended(admin, name):
    """Waits until no rotation is under way."""
    return wait_for(lambda: (lambda d: d if not d.HasField("rotation") else None)(described(admin, name)), what="the rotation")


def stages(admin, name):
    versions = admin.ListSecretVersionIds(secret_id=name, include_deprecated=True).versions
    return {version.version_id: sorted(version.version_stages) for version in versions}


def rotate(admin, name, **fields):
    version = admin.RotateSecret(secret_id=name, **fields).version_id
    ended(admin, name)
    return version


def get(app, name, **fields):
    return app.GetSecretValue(secret_id=name, **fields).value.secret_string


def test_a_random_value(rotating, name):
    with rotating.client(ADMIN) as admin, rotating.client(APP) as app:
        first = make(admin, name, json.dumps({"username": "u", "password": "old"}))
        token = uuid.uuid4().hex
        assert rotate(admin, name, rotator="random", client_request_token=token) == token
        assert stages(admin, name) == {first: [PREVIOUS], token: [CURRENT]}
        new, old = json.loads(get(app, name)), json.loads(get(app, name, version_stage=PREVIOUS))
        assert new["username"] == "u" and len(new["password"]) == 40 and old["password"] == "old"
        second = rotate(admin, name)  # the rotator is remembered
        assert stages(admin, name) == {first: [], token: [PREVIOUS], second: [CURRENT]}
        assert described(admin, name).last_rotated_us > 0 and described(admin, name).rotator == "random"
        records = rotating.records(operation="RotateSecretStep")
        done = [record for record in records if record.get("outcome") == "OK" and record["extra"]["secret_version"] == token]
        steps = [record["extra"]["rotation_step"] for record in done]
        assert steps == ["createSecret", "setSecret", "testSecret", "finishSecret"]
        assert {record["principal"] for record in records} == {"kmsd"}


def test_rotators_and_rules_that_are_refused(rotating, name):
    with rotating.client(ADMIN) as admin:
        make(admin, name, "v")
        assert failure(admin.RotateSecret, secret_id=name).reason == "NO_ROTATOR"
        unknown = failure(admin.RotateSecret, secret_id=name, rotator="/bin/sh")
        assert unknown.reason == "ROTATOR_UNKNOWN" and "/bin/sh" in unknown.message
        for rules, words in (({"automatically_after_days": 1001}, "1000"), ({"schedule_expression": "rate(1 hour)"}, "hours"),
                             ({"schedule_expression": "cron(0 8 30 2 ? *)"}, "never"), ({}, "")):
            bad = failure(admin.RotateSecret, secret_id=name, rotator="random", rotation_rules=rules)
            assert bad.reason == "INVALID_ARGUMENT" and words in bad.message
        assert described(admin, name).rotator == ""


def test_a_schedule(rotating, name):
    with rotating.client(ADMIN) as admin:
        first = make(admin, name, "v")
        rules = {"schedule_expression": "rate(10 days)", "duration": "3h"}
        reply = admin.RotateSecret(secret_id=name, rotator="random", rotation_rules=rules, do_not_rotate_immediately=True)
        assert reply.version_id == "" and stages(admin, name) == {first: [CURRENT]}
        now = described(admin, name)
        assert now.rotation_enabled and now.rotation_rules.schedule_expression == "rate(10 days)"
        assert 9 * 86400 < now.next_rotation_us / 1e6 - time.time() < 11 * 86400
        admin.CancelRotateSecret(secret_id=name)
        assert not described(admin, name).rotation_enabled and described(admin, name).next_rotation_us == 0


def role(postgres, user):
    postgres.sql(f"CREATE ROLE {user} LOGIN PASSWORD 'first-{user}'; GRANT CONNECT ON DATABASE postgres TO {user};")
    return json.dumps({"engine": "postgres", "host": postgres.dir, "port": postgres.port, "dbname": "postgres",
                       "username": user, "password": f"first-{user}"})


def logs_in(postgres, value):
    login = json.loads(value)
    return postgres.sql("SELECT current_user", user=login["username"], password=login["password"], check=False) == login["username"]


def test_one_database_user(rotating, postgres, name):
    with rotating.client(ADMIN) as admin, rotating.client(APP) as app:
        make(admin, name, role(postgres, "single_one"))
        for _ in range(3):
            before = get(app, name)
            rotate(admin, name, rotator="single")
            assert logs_in(postgres, get(app, name)) and not logs_in(postgres, before)
        passwords = [b"MARKER-admin", json.loads(get(app, name))["password"].encode(), json.loads(before)["password"].encode()]
    for path in rotating.dir.rglob("*"):
        if path.is_file():
            assert not [one for one in passwords if one in path.read_bytes()], path
    assert not [one for one in passwords[1:] if one.decode() in postgres.log()]  # it got verifiers


def test_an_application_across_ten_rotations(rotating, postgres, name):
    """Two users in turns: what an application was given a moment ago works until the next rotation."""
    with rotating.client(ADMIN) as admin, rotating.client(APP) as app:
        make(admin, name, role(postgres, "turns_one"))
        attempts = 0
        for _ in range(10):
            version = admin.RotateSecret(secret_id=name, rotator="turns").version_id
            while version not in [v.version_id for v in described(admin, name).versions if CURRENT in v.version_stages]:
                assert logs_in(postgres, get(app, name))
                attempts += 1
            ended(admin, name)
            assert logs_in(postgres, get(app, name)) and logs_in(postgres, get(app, name, version_stage=PREVIOUS))
        assert attempts >= 10


def test_an_emergency(rotating, postgres, name):
    with rotating.client(ADMIN) as admin, rotating.client(APP) as app:
        first = make(admin, name, role(postgres, "leaked"))
        leaked = get(app, name)
        second = rotate(admin, name, rotator="turns", revoke_previous=True)
        assert stages(admin, name) == {first: [], second: [CURRENT]}
        assert logs_in(postgres, get(app, name)) and not logs_in(postgres, leaked)


def test_the_database_is_away(rotating, postgres, name):
    with rotating.client(ADMIN) as admin, rotating.client(APP) as app:
        first = make(admin, name, role(postgres, "waiting"))
        rotate(admin, name, rotator="single")
        before = get(app, name)
        postgres.stop("immediate")
        try:
            version = admin.RotateSecret(secret_id=name).version_id
            wait_for(lambda: described(admin, name).rotation.failures >= 1, what="a failure")
            now = described(admin, name).rotation
            assert "DATABASE_UNAVAILABLE" in now.last_error and now.version_id == version
            busy = failure(admin.RotateSecret, secret_id=name)
            assert busy.reason == "ROTATION_UNDER_WAY" and "DATABASE_UNAVAILABLE" in busy.message
            assert get(app, name) == before
        finally:
            postgres.start()
        ended(admin, name)
        assert logs_in(postgres, get(app, name))
        assert first in stages(admin, name)


def test_a_rotation_that_is_cancelled_leaves_a_working_value(rotating, postgres, name):
    with rotating.client(ADMIN) as admin, rotating.client(APP) as app:
        make(admin, name, role(postgres, "cancelled"))
        admin.RotateSecret(secret_id=name, rotator="single")
        cancelled = admin.CancelRotateSecret(secret_id=name).version_id
        ended(admin, name)
        assert logs_in(postgres, get(app, name))
        pending = [v for v, labels in stages(admin, name).items() if PENDING in labels]
        if pending:
            assert pending == [cancelled]
            assert failure(admin.RotateSecret, secret_id=name).reason == "ROTATION_UNDER_WAY"
            admin.UpdateSecretVersionStage(secret_id=name, version_stage=PENDING, remove_from_version_id=cancelled)
        rotate(admin, name)
        assert logs_in(postgres, get(app, name))


@pytest.mark.parametrize("how, step, reason", [("fail", "testSecret", "ROTATOR_FAILED"), ("rubbish", "createSecret", "ROTATOR_ANSWER"),
                                               ("hang", "setSecret", "ROTATOR_TIMEOUT")])
def test_a_program_that_goes_wrong(tmp_path, program, how, step, reason):
    """Tried as often as the configuration says, then given up: AWSCURRENT stays."""
    extra = f"rotators:\n  - {{name: device, type: program, program: {program}, timeout: 1s}}\n"
    service = Service(tmp_path / "home", secrets={"rotation_backoff": "20ms", "rotation_attempts": 2}, jobs={"interval": "50ms"},
                      extra=extra)
    trouble = program.parent / f"{how}-{step}"
    service.init().start()
    try:
        with service.client(ADMIN) as admin, service.client(APP) as app:
            first = make(admin, "device", "first")
            rotate(admin, "device", rotator="device")
            good = get(app, "device")
            assert good.startswith("value "), service.log_text()
            trouble.touch()
            version = rotate(admin, "device")
            now = described(admin, "device")
            assert get(app, "device") == good and first in stages(admin, "device")
            failed = [r for r in service.records(operation="RotateSecretStep") if r.get("outcome") == reason]
            assert len(failed) == 2 and {r["extra"]["rotation_step"] for r in failed} == {step}
            assert "given up" in failed[-1]["extra"]["noted"] and now.rotation_enabled is False
            assert reason in now.last_rotation_error
            assert stages(admin, "device").get(version, [PENDING]) == [PENDING]
    finally:
        trouble.unlink(missing_ok=True)
        service.stop()


def test_kill_between_all_steps(tmp_path, postgres):
    """kmsd is killed at random while secrets rotate: each ends with a value that works, and its stages are whole."""
    extra = f"""databases:
  - {postgres.declaration(sslmode="disable", admin_secret="db/admin")}
rotators:
  - {{name: single, type: postgresql, database: main}}
"""
    service = Service(tmp_path / "home", secrets={"rotation_backoff": "20ms"}, jobs={"interval": "50ms"}, extra=extra)
    service.init().start()
    rounds = int(os.environ.get("KMS_ROTATION_KILLS", "12"))
    with service.client(ADMIN) as admin:
        login = {"username": "admin", "password": "MARKER-admin"}
        admin.CreateSecret(name="db/admin", value={"secret_string": json.dumps(login)})
        make(admin, "killed", role(postgres, "killed"))
    for i in range(rounds):
        with service.client(ADMIN) as admin:
            admin.RotateSecret(secret_id="killed", rotator="single")
            time.sleep(0.012 * i)
        service.kill()
        service.start()
        with service.client(ADMIN) as admin, service.client(APP) as app:
            ended(admin, "killed")
            assert logs_in(postgres, get(app, "killed")), i
            labels = sorted(label for found in stages(admin, "killed").values() for label in found)
            assert labels == [CURRENT, PREVIOUS], i
    service.stop()
