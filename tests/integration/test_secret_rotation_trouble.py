"""Rotators that misbehave, values that cannot be rotated, kmsd killed in each step, and clocks that step: AWSCURRENT always works."""
import json
import os
import time
import uuid

import pytest

from callers import secret_policy
from harness import ADMIN, APP, Service, failure, wait_for
from test_lifecycle import FAKETIME
from test_secret_rotation import CURRENT, PENDING, PREVIOUS, described, ended, get, make, rotate, stages

needs_clock = pytest.mark.skipif(FAKETIME is None, reason="the package faketime is not installed")
STEPS = ["createSecret", "setSecret", "testSecret", "finishSecret"]
LONGEST = 65536
# What it does in which step stands in the file "do" beside it; the steps that it was called for in "steps".
PROGRAM = """#!/bin/sh
here=%s
answer() {
    case $step in
    createSecret) printf '{"SecretString": "new %%s"}' "$(date +%%s%%N)" ;;
    *) echo '{}' ;;
    esac
}
[ "$(cat $here/do)" = deaf ] && exec <&-
step=$(head -c 40 | sed 's/.*"Step" *: *"\\([A-Za-z]*\\)".*/\\1/')
echo "$step" >> $here/steps
[ "$(cat $here/do)" = deaf ] || cat >/dev/null
case "$(cat $here/do)" in
deaf) step=createSecret; answer; exit 0 ;;
"hang $step") touch $here/hangs; exec sleep 600 ;;
"wait $step") touch $here/hangs; while [ -e $here/hangs ]; do sleep 0.05; done ;;
"rubbish $step") echo rubbish; exit 0 ;;
"status $step") answer; exit 1 ;;
"signal $step") answer; kill -9 $$ ;;
"flood $step") head -c 10000000 /dev/zero | tr '\\0' x; exit 0 ;;
"wail $step") exec cat /dev/zero >&2 ;;
"two $step") echo '{} {}'; exit 0 ;;
"error $step") echo '{"Error": "the device said no"}'; exit 0 ;;
"nothing $step") exit 0 ;;
"long $step") printf '{"SecretString": "'; head -c 65537 /dev/zero | tr '\\0' x; echo '"}'; exit 0 ;;
"nul $step") printf '%%s' '{"SecretString": "a\\u0000b"}'; exit 0 ;;
"half $step") printf '%%s' '{"SecretString": "a\\ud800b"}'; exit 0 ;;
"bytes $step") printf '{"SecretString": "a\\377b"}'; exit 0 ;;
"nested $step") head -c 100000 /dev/zero | tr '\\0' '['; exit 0 ;;
"leaver $step") setsid sh -c 'while [ -e %s/do ]; do sleep 0.2; done' & ;;
esac
answer
"""


class Device:
    """A kmsd with a program, and a secret that it rotates."""

    def __init__(self, home, wrapper=(), **sections):
        self.here = home / "program"
        self.here.mkdir(parents=True)
        path = self.here / "rotate"
        path.write_text(PROGRAM % (self.here, self.here))
        path.chmod(0o755)
        self.do("well")
        declared = [("device", "600s"), ("hasty", "1s")]
        extra = "".join(f"  - {{name: {name}, type: program, program: {path}, timeout: {after}}}\n" for name, after in declared)
        extra = "rotators:\n  - {name: random}\n" + extra
        sections.setdefault("secrets", {"rotation_backoff": "20ms", "rotation_attempts": 2})
        self.service = Service(home / "home", jobs={"interval": "50ms"}, extra=extra, **sections)
        self.service.init()
        self.service.start(wrapper=wrapper)
        self.connect()

    def connect(self):
        self.admin, self.app = (self.service.client(who).__enter__() for who in (ADMIN, APP))

    def new(self, value="first"):
        name = "device/" + uuid.uuid4().hex[:10]
        make(self.admin, name, value)
        return name

    def do(self, what):
        (self.here / "do").write_text(what + "\n")

    def hangs(self):
        wait_for((self.here / "hangs").exists, what="the program")

    def let_go(self):
        (self.here / "hangs").unlink()

    def steps(self):
        """What it was called for since the last time."""
        path = self.here / "steps"
        found = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return found

    def close(self):
        self.do("well")
        (self.here / "hangs").unlink(missing_ok=True)
        if self.service.process is not None:
            self.service.stop()
        (self.here / "do").unlink()


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    made = Device(tmp_path_factory.mktemp("device"))
    yield made
    made.close()


@pytest.fixture
def own(tmp_path):
    made = []

    def start(**options):
        made.append(Device(tmp_path, **options))
        return made[0]

    yield start
    for one in made:
        one.close()


CREATE_ONLY = ["nothing", "long", "nul", "half", "bytes"]
HOSTILE = [(how, step) for how in ("rubbish", "status") for step in STEPS] + [(how, "createSecret") for how in CREATE_ONLY] + [
    ("hang", "createSecret"), ("wail", "createSecret"), ("signal", "setSecret"), ("flood", "createSecret"), ("flood", "testSecret"),
    ("two", "finishSecret"), ("error", "createSecret"), ("nested", "setSecret")]
REASONS = {"status": "ROTATOR_FAILED", "signal": "ROTATOR_FAILED", "error": "ROTATOR_FAILED", "hang": "ROTATOR_TIMEOUT",
           "wail": "ROTATOR_TIMEOUT"}


@pytest.mark.parametrize("how, step", HOSTILE)
def test_a_program_that_misbehaves(device, how, step):
    """In whatever step: tried as often as the configuration says, given up, and what applications get is what they got."""
    name, reason = device.new(), REASONS.get(how, "ROTATOR_ANSWER")
    device.do("well")
    device.steps()
    before = rotate(device.admin, name, rotator="device")
    good = get(device.app, name)
    assert device.steps() == STEPS and good.startswith("new ")
    device.do(f"{how} {step}")
    late = reason == "ROTATOR_TIMEOUT"  # perhaps before it has done anything at all
    version = rotate(device.admin, name, rotator="hasty" if late else "device")
    now = described(device.admin, name)
    assert now.last_rotation_error.startswith(f"{reason}: rotator {now.rotator}, {step}"), now.last_rotation_error
    assert late or device.steps() == STEPS[: STEPS.index(step)] + [step] * 2
    assert get(device.app, name) == good and stages(device.admin, name)[before] == [CURRENT]
    made = step != "createSecret"
    assert stages(device.admin, name).get(version) == ([PENDING] if made else None)
    # nothing begins on top of it; when somebody has looked, all is well again
    device.do("well")
    if made:
        assert failure(device.admin.RotateSecret, secret_id=name).reason == "ROTATION_UNDER_WAY"
        device.admin.UpdateSecretVersionStage(secret_id=name, version_stage=PENDING, remove_from_version_id=version)
    after = rotate(device.admin, name, rotator="device")
    assert stages(device.admin, name)[after] == [CURRENT] and stages(device.admin, name)[before] == [PREVIOUS]
    assert described(device.admin, name).last_rotation_error == ""


def test_failures_are_told(device):
    """In the log of kmsd, one line for each, with what the program said."""
    name = device.new()
    device.do("error testSecret")
    rotate(device.admin, name, rotator="device")
    lines = [line for line in device.service.log_text().splitlines() if name in line and "secret.rotation" in line]
    assert len(lines) == 2
    assert all("step=testSecret" in line and "ROTATOR_FAILED: rotator device, testSecret" in line for line in lines)
    assert "failures=1 " in lines[0]
    assert any("secret.rotator" in line and "the device said no" in line for line in device.service.log_text().splitlines())


def test_a_program_that_does_not_listen(device):
    """Its input is larger than any pipe; its status says what it made of it."""
    name = device.new("x" * LONGEST)
    device.do("deaf")
    version = rotate(device.admin, name, rotator="device")
    assert stages(device.admin, name)[version] == [CURRENT] and get(device.app, name).startswith("new ")


def test_a_program_that_leaves_somebody_behind(device):
    """Who holds its standard output: the end of the program counts."""
    name = device.new()
    device.do("leaver createSecret")
    version = rotate(device.admin, name, rotator="device")
    assert stages(device.admin, name)[version] == [CURRENT]


@pytest.mark.parametrize("value", ["x" * LONGEST, "\\" * LONGEST, "\x01" * LONGEST, "\U0001d11e" * (LONGEST // 4)])
def test_the_longest_values_go_through(device, value):
    """However long they become in JSON."""
    name = device.new(value)
    device.do("well")
    rotate(device.admin, name, rotator="device")
    device.admin.PutSecretValue(secret_id=name, value={"secret_string": value})
    version = rotate(device.admin, name)
    assert stages(device.admin, name)[version] == [CURRENT] and get(device.app, name, version_stage=PREVIOUS) == value


def test_others_rotate_meanwhile(device):
    """One that hangs does not hold up the others."""
    device.do("wait setSecret")
    waiting = device.new()
    device.admin.RotateSecret(secret_id=waiting, rotator="device")
    device.hangs()
    names = [device.new(json.dumps({"password": "p"})) for _ in range(5)]
    for name in names:
        rotate(device.admin, name, rotator="random")
    assert device.admin.DescribeSecret(secret_id=waiting).rotation.next_step == "setSecret"
    device.do("well")
    device.let_go()
    ended(device.admin, waiting)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("end", ["kill", "stop"])
def test_kmsd_ends_in_a_step(own, step, end):
    """The step is done again, with the same version, and those before are not."""
    device = own()
    name = device.new()
    first = rotate(device.admin, name, rotator="device")
    good = get(device.app, name)
    device.steps()
    device.do(f"wait {step}")
    version = device.admin.RotateSecret(secret_id=name).version_id
    device.hangs()
    assert get(device.app, name) == good
    getattr(device.service, end)()
    assert device.steps() == STEPS[: STEPS.index(step) + 1]
    device.do("well")
    device.service.start()
    device.connect()
    ended(device.admin, name)
    assert device.steps() == STEPS[STEPS.index(step) :]
    labels = stages(device.admin, name)
    assert labels[version] == [CURRENT] and labels[first] == [PREVIOUS] and get(device.app, name) != good


@needs_clock
@pytest.mark.parametrize("hours", [24, -24, -1])
def test_a_clock_steps_in_a_rotation(own, tmp_path, hours):
    """Forward or back, while a program works and while a failure waits to be tried again."""
    clock = tmp_path / "clock"
    clock.write_text("+0h\n")
    faked = (f"LD_PRELOAD={FAKETIME}", f"FAKETIME_TIMESTAMP_FILE={clock}", "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1")
    options = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"  # ASan wants to be the first library
    device = own(wrapper=("env", *faked, f"ASAN_OPTIONS={options}"), secrets={"rotation_backoff": "1s", "rotation_attempts": 9})
    name = device.new()
    first = rotate(device.admin, name, rotator="device")
    device.do("wait testSecret")
    version = device.admin.RotateSecret(secret_id=name).version_id
    device.hangs()
    clock.write_text(f"{hours:+}h\n")
    device.do("status finishSecret")
    device.let_go()
    wait_for(lambda: described(device.admin, name).rotation.failures > 0, what="a failure")
    clock.write_text("+0h\n")
    device.do("well")
    ended(device.admin, name)
    labels = stages(device.admin, name)
    assert labels[version] == [CURRENT] and labels[first] == [PREVIOUS]


@needs_clock
def test_a_schedule_and_a_clock_that_steps(own, tmp_path):
    """A date that comes too early rotates once; when the clock is right again, the schedule counts from there."""
    clock = tmp_path / "clock"
    clock.write_text("+0d\n")
    faked = (f"LD_PRELOAD={FAKETIME}", f"FAKETIME_TIMESTAMP_FILE={clock}", "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1")
    options = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    device = own(wrapper=("env", *faked, f"ASAN_OPTIONS={options}"))
    name = device.new(json.dumps({"password": "p"}))
    rules = {"schedule_expression": "rate(2 days)"}
    device.admin.RotateSecret(secret_id=name, rotator="random", rotation_rules=rules, do_not_rotate_immediately=True)
    due = described(device.admin, name).next_rotation_us
    noon = due - time.time() * 1e6 + 43200e6  # of the day on which the window opens
    device.service.stop()
    clock.write_text(f"+{int(noon / 1e6)}s\n")
    device.service.start(wrapper=("env", *faked, f"ASAN_OPTIONS={options}"))
    device.connect()
    admin = device.admin
    wait_for(lambda: len(stages(admin, name)) == 2, what="a rotation")
    assert ended(admin, name).next_rotation_us > due
    device.service.stop()  # as long as it runs, its time does not go back
    clock.write_text("+0d\n")
    device.service.start(wrapper=("env", *faked, f"ASAN_OPTIONS={options}"))
    device.connect()
    admin = device.admin
    wait_for(lambda: described(admin, name).next_rotation_us == due, what="the schedule")
    assert len(stages(admin, name)) == 2
