"""A folder of files with kms:v1: values in them, and the programs that work on it."""
import base64
import json
import os
import re
import subprocess
import uuid

import pytest

from harness import ADMIN, APP, BIN

TEXT = re.compile(r"kms:v1:[A-Za-z0-9+/]{40,}=*")
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS="detect_leaks=0", KMSCTL_CONFIG="", TERM="xterm")


def versions(text):
    """The key version of each value, in order."""
    blobs = [base64.b64decode(value[7:]) for value in TEXT.findall(text)]
    return [int.from_bytes(blob[21:25], "big") for blob in blobs]


def frame(text):
    """The text with every value taken out: what must not change."""
    return TEXT.sub("*", text)


class Tree:
    def __init__(self, service, client, root):
        self.service, self.client, self.root = service, client, root
        self.key = service.new_key()
        root.mkdir()

    def kmsctl(self, *words, status=0, principal=APP, **options):
        done = self.service.kmsctl(principal, *words, check=False, env=ENVIRONMENT, **options)
        assert done.returncode == status, (words, done.stdout, done.stderr)
        return done.stderr if status else done.stdout

    def command(self, *words):
        """For Popen and for wrappers."""
        certs = self.service.certs
        name = certs.client(APP)
        connection = {
            "--endpoint": f"127.0.0.1:{self.service.port}",
            "--ca": certs.dir / "ca.pem",
            "--cert": certs.dir / f"{name}.pem",
            "--key-file": certs.dir / f"{name}.key",
        }
        return [str(word) for pair in connection.items() for word in pair] + [str(word) for word in words]

    def reencrypt(self, *words, status=0, wrapper=()):
        """What -o json says, and standard error."""
        argv = [*wrapper, BIN / "kmsctl", *self.command("reencrypt", "-o", "json", *words)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, env=ENVIRONMENT)
        assert done.returncode == status, (words, done.stdout, done.stderr)
        return json.loads(done.stdout), done.stderr

    def encrypt(self, plaintext, *context, key=None):
        blob = self.client.Encrypt(
            key_id=key or self.key,
            plaintext=plaintext.encode(),
            encryption_context=dict(pair.split("=", 1) for pair in context),
        ).ciphertext_blob
        return "kms:v1:" + base64.b64encode(blob).decode()

    def variable(self, name, plaintext, app="shop"):
        """As kms-env binds it."""
        return self.encrypt(plaintext, f"kms-env:app={app}", f"kms-env:name={name}")

    def write(self, name, text, mode=0o640):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        path.chmod(mode)
        os.utime(path, ns=(10**18, 10**18))
        return path

    def env_file(self, name, *variables):
        """{NAME: plaintext} as ciphertext, one a line."""
        lines = [f"{variable}={self.variable(variable, f'{name} {variable}')}" for variable in variables]
        return self.write(name, "\n".join(["#kms-env app=shop", *lines, ""]))

    def rotate(self, key=None):
        self.kmsctl("key", "rotate", key or self.key, principal=ADMIN)

    def plaintexts(self, path, *names):
        """What a program that is started by kms-env sees."""
        show = "; ".join(f'printf "%s\\n" "${name}"' for name in names)
        done = subprocess.run(
            [BIN / "kms-env", "run", "--env-file", path, "--", "sh", "-c", show],
            env=dict(self.service.client_environment(APP), ASAN_OPTIONS="detect_leaks=0", PATH=os.environ["PATH"]),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def key_of(self, path):
        """Of the first value."""
        blob = base64.b64decode(TEXT.findall(path.read_text())[0][7:])
        return str(uuid.UUID(bytes=blob[5:21]))

    def operations(self, name):
        return len(self.service.records(operation=name))


@pytest.fixture
def tree(service, tmp_path):
    with service.client(APP) as client:
        yield Tree(service, client, tmp_path / "tree")


def touched(path):
    return path.stat().st_mtime_ns != 10**18
