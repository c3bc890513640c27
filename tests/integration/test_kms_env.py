"""kms-env against a real kmsd: what the values are bound to, and that one failure starts nothing."""
import subprocess

import pytest

from harness import APP, BIN

VALUES = ("correct horse", "battery staple", "purple monkey")


class Env:
    def __init__(self, service, folder):
        self.environment = dict(service.client_environment(APP), ASAN_OPTIONS="detect_leaks=0")
        self.file, self.started = folder / "app.env", folder / "started"

    def __call__(self, *words):
        return subprocess.run(
            [BIN / "kms-env", *words], env=self.environment, capture_output=True, text=True, timeout=60
        )

    def run(self, *options):
        return self("run", *options, "--env-file", self.file, "--", "touch", self.started)

    def refused(self, *options, reason, names):
        done = self.run(*options)
        assert done.returncode == 125 and not self.started.exists(), done.stderr
        lines = [line for line in done.stderr.splitlines() if reason in line]
        assert len(lines) == len(names), done.stderr
        assert all(f"{name} (" in done.stderr for name in names), done.stderr
        assert not any(value in done.stderr for value in VALUES)


def make_env(service, folder):
    env = Env(service, folder)
    env.file.write_text("".join(f'{name}="{value}"\n' for name, value in zip("ABC", VALUES)))
    done = env("encrypt", "--app", "shop", "--key", service.new_key(), "--in", env.file, "--in-place")
    assert done.returncode == 0, done.stderr
    return env


@pytest.fixture
def env(service, tmp_path):
    return make_env(service, tmp_path)


def test_values_open_in_one_call(service, env):
    seen = len(service.records(operation="DecryptBatch"))
    done = env.run()
    assert done.returncode == 0 and env.started.exists(), done.stderr
    (record,) = service.records(operation="DecryptBatch")[seen:]
    assert [i["outcome"] for i in record["items"]] == ["OK"] * 3  # three names: three contexts
    assert service.records(operation="Decrypt") == []


def test_a_service_that_takes_no_such_batch(fresh, tmp_path):
    """The values are asked for one by one, on one connection."""
    fresh.write_config(limits={"batch_items": "2"})
    fresh.init().start()
    env = make_env(fresh, tmp_path)
    done = env.run()
    assert done.returncode == 0 and env.started.exists(), done.stderr
    assert [r["outcome"] for r in fresh.records(operation="DecryptBatch")] == ["INVALID_ARGUMENT"]
    assert len(fresh.records(operation="Decrypt")) == 3
    assert len({record["peer"] for record in fresh.records(operation="Decrypt")}) == 1


def test_two_lines_swapped(env):
    head, a, b, c = env.file.read_text().splitlines()
    env.file.write_text("\n".join((head, "A=" + b[2:], "B=" + a[2:], c, "")))
    env.refused(reason="INVALID_CIPHERTEXT", names="AB")


def test_another_application(env):
    env.refused("--app", "bank", reason="INVALID_CIPHERTEXT", names="ABC")


def test_pinned_to_another_key(service, env):
    env.refused("--key", service.new_key(), reason="INCORRECT_KEY", names="ABC")
