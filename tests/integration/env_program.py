"""kms-env as a principal runs it, and secrets for it."""
import subprocess
import uuid

from callers import secret_policy
from harness import APP, BIN

FIRST, SECOND = "first-" + uuid.uuid4().hex, "second-" + uuid.uuid4().hex


class Env:
    """kms-env as a principal; env is its env file."""

    def __init__(self, service, folder, principal=APP):
        self.environment = dict(service.client_environment(principal), ASAN_OPTIONS="detect_leaks=0")
        self.file, self.started, self.programs = folder / "app.env", folder / "started", []

    def __call__(self, *words, status=0, **options):
        done = subprocess.run([BIN / "kms-env", *words], env=self.environment, capture_output=True, text=True, timeout=60,
                              **options)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done

    def printed(self, *names):
        """The values that a program gets."""
        script = "".join(f'printf "%s\\n" "${name}";' for name in names)
        return self("run", "--env-file", self.file, "--", "sh", "-c", script).stdout.splitlines()

    def refused(self, *options):
        done = self("run", *options, "--env-file", self.file, "--", "touch", self.started, status=125)
        assert not self.started.exists() and FIRST not in done.stderr and SECOND not in done.stderr
        return done.stderr

    def popen(self, *words):
        program = subprocess.Popen([BIN / "kms-env", *words], env=self.environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.programs.append(program)
        return program

    def end(self):
        """No program outlives a test that fails."""
        for program in self.programs:
            program.terminate()
            program.communicate(timeout=30)


def make(admin, value, **policy):
    name = "kms-env/" + uuid.uuid4().hex[:12]
    admin.CreateSecret(name=name, value={"secret_string": value}, resource_policy=secret_policy(**policy))
    return name


def put(admin, name, value):
    return admin.PutSecretValue(secret_id=name, value={"secret_string": value}).version_id


def lines_of(path):
    return path.read_text().splitlines() if path.exists() else []
