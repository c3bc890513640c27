"""Policy documents and kmsctl policy, for the tests of both."""
import json
import os
import subprocess

from harness import BIN

# c-ares 1.18 loses ten bytes when it resolves "localhost"; unit tests look for leaks of our own.
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS="detect_leaks=0", KMSCTL_CONFIG="")


def kmsctl(*arguments, status=0, environment=ENVIRONMENT, whole=False, **options):
    """Standard output, parsed when -o json is asked for; standard error when it fails (2 or more)."""
    done = subprocess.run(
        [BIN / "kmsctl", *arguments], capture_output=True, text=True, timeout=120, env=environment, **options
    )
    assert done.returncode == status, (arguments, done.stdout, done.stderr)
    if whole:
        return done
    if status > 1:
        return done.stderr
    return json.loads(done.stdout) if "json" in arguments else done.stdout


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement(sid, principal, action, effect="Allow", **more):
    return dict(
        {"Sid": sid, "Effect": effect, "Principal": {"AWS": principal}, "Action": action, "Resource": "*"}, **more
    )
