"""Fixtures: a running service for each module, or a fresh one for each test."""
import os
import pathlib
import signal
import sys

import pytest

# grpcio's own fork handlers run when a test starts a program while calls are under way, and have crashed the interpreter.
# Our children only exec.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

# Whoever starts us in the background or under nohup ignores some; what we start would inherit that.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import approval_world  # noqa: E402
import harness  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def generated(tmp_path_factory):
    harness.Service.checked = True
    harness.protos(tmp_path_factory.mktemp("protos"))


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Shared by the tests of a module, which make keys of their own."""
    instance = harness.Service(tmp_path_factory.mktemp("kmsd") / "home").init().start()
    yield instance
    instance.stop()


@pytest.fixture(scope="module")
def app(service):
    with service.client(harness.APP) as client:
        yield client


@pytest.fixture(scope="module")
def admin(service):
    with service.client(harness.ADMIN) as client:
        yield client


@pytest.fixture(scope="module", params=list(harness.LEVELS))
def key(request, service):
    """One key of each protection level."""
    return service.new_key(protection_level=harness.LEVELS[request.param])


@pytest.fixture(scope="module")
def people(service):
    """Those who administer and approve."""
    found = approval_world.People(service)
    yield found
    found.close()


@pytest.fixture
def fresh(tmp_path):
    """Not initialised, not started; ended after the test."""
    instance = harness.Service(tmp_path / "home")
    yield instance
    if instance.process is not None:
        instance.stop(expect=None)
    else:
        instance.check_audit()


@pytest.fixture
def need_inspection():
    """Skips, by name, where the kernel hides from this user what is in a process that is not dumpable."""

    def need(pid):
        try:
            os.listdir(f"/proc/{pid}/fd")
            pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        except PermissionError:
            pytest.skip("this user may not look into processes that are not dumpable (needs CAP_SYS_PTRACE)")

    return need
