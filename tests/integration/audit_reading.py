"""kmsctl audit on the files of a service."""
import json
import os
import subprocess

from harness import BIN


def kmsctl(service, *arguments, code=0):
    done = subprocess.run(
        [str(BIN / "kmsctl"), "audit", *arguments, "--dir", str(service.dir / "audit")],
        capture_output=True,
        env=dict(os.environ, KMSCTL_CONFIG=""),
        timeout=60,
    )
    assert done.returncode == code, (arguments, done.stdout[-2000:], done.stderr)
    return done.stdout.decode() if code == 0 else done.stderr.decode()


def query(service, *arguments):
    return [json.loads(line) for line in kmsctl(service, "query", *arguments, "-o", "json").splitlines()]
