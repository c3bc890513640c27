"""The day on which a secret was last read: what counts, what becomes of it at the end, and how seldom it is stored."""
import datetime
import os
import sqlite3
import uuid

import pytest

from callers import secret_policy
from harness import ADMIN, APP, OTHER, Service, failure, wait_for
from test_lifecycle import FAKETIME

DAY = 86400 * 10**6
READ_DAY = 14  # enum kms_table
needs_clock = pytest.mark.skipif(FAKETIME is None, reason="the package faketime is not installed")


@pytest.fixture
def own(tmp_path):
    """A kmsd whose ledger is stored at once, or at no time."""
    running = []

    def make(checkpoint):
        running.append(Service(tmp_path / "home", jobs={"interval": "50ms", "usage_checkpoint": checkpoint}).init())
        return running[0]

    yield make
    for service in running:
        if service.process is not None:
            service.stop()


def create(admin, name=None):
    name = name or "read/" + uuid.uuid4().hex[:8]
    admin.CreateSecret(name=name, value={"secret_string": "v"}, resource_policy=secret_policy())
    return name


def day(service, name):
    with service.client(ADMIN) as admin:
        described = admin.DescribeSecret(secret_id=name).last_accessed_us
        listed = [s.last_accessed_us for s in admin.ListSecrets(name_prefix=name).secrets]
    assert listed == [described] and described % DAY == 0
    return described


def read(service, name):
    """The day on which it was read, as the log has it."""
    with service.client(APP) as app:
        assert app.GetSecretValue(secret_id=name).value.secret_string == "v"
    return service.records(operation="GetSecretValue")[-1]["time"][:10]


def text(day_us):
    return datetime.datetime.fromtimestamp(day_us / 10**6, datetime.timezone.utc).strftime("%Y-%m-%d")


def rows(service):
    with sqlite3.connect(f"file:{service.dir}/state/keystore.db?mode=ro", uri=True) as db:
        return db.execute("SELECT id, revision FROM sealed_row WHERE kind = ? ORDER BY id", (READ_DAY,)).fetchall()


def stored(service, name):
    """Read once more, and a checkpoint is stored that began after that. The ledger is stored when there was use: so use it on."""
    def count():
        return len(service.records(kind="attempt", operation="CheckpointUsage")), \
            len(service.records(kind="outcome", operation="CheckpointUsage", outcome="OK"))

    last = read(service, name)
    before = count()[0]
    wait_for(lambda: read(service, name) and count()[1] > before, what="a checkpoint")
    return last


def test_what_counts(own):
    service = own("1h")
    service.start()
    with service.client(ADMIN) as admin, service.client(OTHER) as other, service.client(APP) as app:
        name, unread = create(admin), create(admin)
        assert failure(other.GetSecretValue, secret_id=name).reason == "ACCESS_DENIED"
        assert failure(app.GetSecretValue, secret_id=name, version_stage="none").reason == "NOT_FOUND"
        admin.PutSecretValue(secret_id=name, value={"secret_string": "v"})
        assert day(service, name) == 0
        assert read(service, name) == text(day(service, name))
        admin.PutSecretValue(secret_id=name, value={"secret_string": "w"})  # another generation of the same secret
        assert day(service, name) != 0 and day(service, unread) == 0
        admin.DeleteSecret(secret_id=name, force_delete_without_recovery=True)
        create(admin, name)
        assert day(service, name) == 0


@pytest.mark.parametrize("checkpoint", ["100ms", "1h"])
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_it_survives(own, checkpoint, end):
    """By its row, or by the tail of the log."""
    service = own(checkpoint)
    service.start()
    with service.client(ADMIN) as admin:
        name, unread, again = create(admin), create(admin), create(admin)
        expected = read(service, name)
        read(service, again)
        if checkpoint != "1h":
            stored(service, name)
        admin.DeleteSecret(secret_id=again, force_delete_without_recovery=True)
        create(admin, again)  # the log names the one before
    for _ in range(2):
        getattr(service, end)()
        service.start()
        assert text(day(service, name)) == expected and day(service, unread) == day(service, again) == 0


def test_it_is_stored_once_a_day(own):
    service = own("100ms")
    service.start()
    with service.client(ADMIN) as admin:
        name = create(admin)
    first = stored(service, name)
    assert len(rows(service)) == 1
    for _ in range(3):
        last = stored(service, name)
        assert rows(service)[0][1] == 1 or last != first  # midnight
    with service.client(ADMIN) as admin:
        admin.DeleteSecret(secret_id=name, force_delete_without_recovery=True)
    assert rows(service) == []


@needs_clock
def test_days_and_clocks(own):
    """As the times of the log are: a clock that is put back does not put them back."""
    service = own("100ms")
    clock = service.dir / "clock"
    clock.write_text("+0d\n")
    faked = (f"LD_PRELOAD={FAKETIME}", f"FAKETIME_TIMESTAMP_FILE={clock}", "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1")
    options = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"  # ASan wants to be the first library
    service.start(wrapper=("env", *faked, f"ASAN_OPTIONS={options}"))
    with service.client(ADMIN) as admin:
        name = create(admin)
    days = []
    for offset in (0, 1, 5, 2):
        clock.write_text(f"+{offset}d\n")
        days.append(read(service, name))
        assert text(day(service, name)) == days[-1]
        stored(service, name)
    assert len(set(days)) == 3 and days[2] == days[3]
    service.kill()
    clock.write_text("+6d\n")
    service.start(wrapper=("env", *faked, f"ASAN_OPTIONS={options}"))
    assert text(day(service, name)) == days[-1]
    assert read(service, name) == text(day(service, name)) > days[-1]
