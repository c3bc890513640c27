"""Fixtures: a running service for each module, or a fresh one for each test."""
import os
import sys

import pytest

# grpcio's own fork handlers run when a test starts a program while calls are under way, and have crashed the interpreter.
# Our children only exec.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import harness  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def generated(tmp_path_factory):
    harness.protos(tmp_path_factory.mktemp("protos"))


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Shared by the tests of a module, which make keys of their own."""
    instance = harness.Service(tmp_path_factory.mktemp("kmsd") / "home").init().start()
    yield instance
    instance.stop()


@pytest.fixture
def fresh(tmp_path):
    """Not initialised, not started; ended after the test."""
    instance = harness.Service(tmp_path / "home")
    yield instance
    if instance.process is not None:
        instance.stop(expect=None)
