"""The files of the audit log: when a new one begins, what is made of the old ones, and what goes wrong with them."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

from harness import ADMIN, APP, BIN, OFFICER, Failure, Service, comm, key_policy, run, wait_for


def openings(service):
    return [r["segment"]["because"] for r in service.records() if "segment" in r]


def calls(service, count):
    with service.client(APP) as client:
        return [client.GenerateRandom(number_of_bytes=8) for _ in range(count)]


def start(path, jobs=None, **audit):
    return Service(path, audit=audit, jobs=jobs or {}).init().start()


@pytest.fixture
def made(tmp_path):
    """Makes services with these options of the audit log; stops them."""
    services = []

    def one(make=None, **audit):
        if make is not None:
            make.mkdir()
        services.append(start(tmp_path / f"s{len(services)}", **audit))
        return services[-1]

    yield one
    for service in services:
        service.stop(expect=None)


def troubles(service):
    return json.loads(service.kmsctl(ADMIN, "status", "--output", "json").stdout)["audit_troubles"]


def test_sighup_begins_a_new_file(made):
    service = made()
    calls(service, 3)
    for because in (["new", "asked"], ["new", "asked", "asked"]):
        service.signal(signal.SIGHUP)
        wait_for(lambda: openings(service) == because, what="a new file")
        calls(service, 2)
    closed = (service.dir / "audit/kmsd-00000001.jsonl").read_bytes()
    assert closed.endswith(b"\n") and b"\0" not in closed
    service.stop()
    service.verify_audit()


def test_a_new_file_by_age(made):
    service = made(segment_age="1s")
    calls(service, 1)
    wait_for(lambda: "age" in openings(service), what="a new file")
    assert troubles(service) == []
    service.stop()
    service.verify_audit()


def test_the_kernel_is_enough(made):
    """audit.durability = os: nothing is synced, so it is said; what was answered outlives kill -9."""
    service = made(durability="os")
    status = json.loads(service.kmsctl(ADMIN, "status", "--output", "json").stdout)
    assert any("audit.durability = os" in warning for warning in status["warnings"])
    with service.client(APP) as client:
        for i in range(50):
            client.GenerateRandom(number_of_bytes=8, metadata=(("x-correlation-id", f"os-{i}"),))
    service.kill()
    wanted = {f"os-{i}" for i in range(50)}
    assert wanted <= {r.get("correlation_id") for r in service.records(operation="GenerateRandom")}
    service.start()
    service.stop()
    service.verify_audit()


def test_a_file_is_removed_while_it_is_written(made):
    service = made()
    service.signal(signal.SIGHUP)
    wait_for(lambda: "asked" in openings(service), what="a new file")
    calls(service, 3)
    (service.dir / "audit/kmsd-00000002.jsonl").unlink()
    wait_for(lambda: "lost" in openings(service), what="a new file")
    calls(service, 3)
    said = wait_for(lambda: troubles(service), what="trouble")
    assert "kmsd-00000002.jsonl was removed or replaced while it was written" in said[0]
    assert "trouble=lost-file kmsd-00000002.jsonl" in service.log_text()
    service.stop()
    verified = run(BIN / "kmsctl", "audit", "verify", "--dir", service.dir / "audit", check=False)
    assert verified.returncode != 0 and "kmsd-00000002.jsonl" in verified.stderr


def test_two_daemons_have_one_directory(made, tmp_path):
    """The second one does not start, and the first one does not notice."""
    service = made()
    second = Service(tmp_path / "second", audit={"dir": str(service.dir / "audit")}).init()
    ended = second.kmsd("serve", check=False)
    assert ended.returncode == 1 and "another process writes this log" in ended.stderr
    assert "AUDIT_UNAVAILABLE" in ended.stderr
    calls(service, 2)
    service.stop()
    service.verify_audit()


def test_two_instances_may_have_one_directory(made, tmp_path):
    service = made()
    second = Service(tmp_path / "second", audit={"dir": str(service.dir / "audit"), "instance": "other"})
    service.checked = second.checked = False  # what checks them takes a folder for one log
    second.init().start()
    calls(service, 2)
    calls(second, 2)
    second.stop()
    service.stop()
    for instance in ("kmsd", "other"):
        run(BIN / "kmsctl", "audit", "verify", "--dir", service.dir / "audit", "--instance", instance)


def packed(service):
    return sorted(path.name for path in (service.dir / "audit").glob("*.zst"))


def new_file(service):
    before = newest(service)
    service.signal(signal.SIGHUP)
    wait_for(lambda: newest(service) > before, what="a new file")


def tail(service):
    """All records, by kmsctl, which reads plain and compressed files."""
    out = run(BIN / "kmsctl", "audit", "tail", "--dir", service.dir / "audit", "-n", "100000", "-o", "json").stdout
    return [json.loads(line) for line in out.splitlines()]


def newest(service):
    """Number of the newest file that has a record."""
    return max(r["segment"]["number"] for r in tail(service) if "segment" in r)


def test_closed_files_are_compressed(made):
    """And kmsctl, the next start and the usage ledger read them like the others."""
    service = made(compress="true")
    key = service.new_key()
    with service.client(APP) as client:
        for i in range(3):
            client.Encrypt(key_id=key, plaintext=b"x")
            new_file(service)
    wait_for(lambda: len(packed(service)) == 3, what="three compressed files")
    assert not (service.dir / "audit/kmsd-00000001.jsonl").exists()
    service.kill()  # nothing of the ledger is stored: it counts again from the files
    service.start()
    with service.client(ADMIN) as admin:
        usage = admin.GetKeyUsage(key_id=key)
    assert [o.count for o in usage.versions[0].operations] == [3]
    assert troubles(service) == []
    service.stop()
    verified = service.verify_audit()
    assert verified["records"] == len(tail(service)) and verified["first_sequence"] == 1


def test_killed_while_compressing(made):
    """Again and again at another moment: no record is lost, and none is there twice."""
    service = made(compress="true", segment="512KiB")
    wanted = set()
    for round_ in range(6):
        with service.client(APP) as client:
            for i in range(40):
                id_ = f"k-{round_}-{i}"
                client.GenerateRandom(number_of_bytes=8, metadata=(("x-correlation-id", id_),))
                wanted.add(id_)
        service.signal(signal.SIGHUP)
        wait_for(lambda: len(list((service.dir / "audit").glob("*jsonl*"))) > round_ + 1, what="a new file")
        service.kill()
        service.start()
    service.stop()
    service.verify_audit()
    found = [r["correlation_id"] for r in tail(service) if r.get("correlation_id", "").startswith("k-")]
    assert sorted(found) == sorted(wanted)


@pytest.fixture
def small_disk():
    """A folder in memory whose free space can be taken away: ballast(bytes)."""
    folder = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm"))
    if os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize < 128 << 20:
        pytest.skip("/dev/shm is too small")

    def ballast(size):
        with open(folder / "ballast", "wb") as file:
            if size:
                os.posix_fallocate(file.fileno(), 0, size)

    yield folder, ballast
    shutil.rmtree(folder)


def test_the_disk_fills_up(made, small_disk):
    """Warned, then refused, the log says what to do, and nothing takes effect; then it goes on by itself."""
    folder, ballast = small_disk
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    service = made(dir=str(folder / "audit"), warn_free=free - (32 << 20), refuse_free=free - (64 << 20), make=folder / "audit")
    key = service.new_key()
    assert troubles(service) == []
    ballast(40 << 20)
    said = wait_for(lambda: troubles(service), what="a warning")
    assert len(said) == 1 and "(audit.warn_free)" in said[0]
    assert "level=warn" in service.log_text() and "trouble=space space for the audit log runs low" in service.log_text()
    calls(service, 1)
    ballast(80 << 20)
    wait_for(lambda: "trouble=space little space is left" in service.log_text(), what="refusal")
    assert "make room on the disk of audit.dir" in service.log_text()
    before = folder_records(folder)
    with service.client(APP) as app, service.client(ADMIN) as admin:
        for call in (
            lambda: app.Encrypt(key_id=key, plaintext=b"x"),
            lambda: app.GenerateRandom(number_of_bytes=8),
            lambda: admin.CreateKey(description="not to be made", policy=key_policy()),
            lambda: admin.DescribeKey(key_id=key),
        ):
            with pytest.raises(Failure) as failure:
                call()
            assert failure.value.reason == "AUDIT_UNAVAILABLE"
    assert folder_records(folder) == before
    ballast(0)
    wait_for(lambda: "trouble=space over" in service.log_text(), what="recovery")
    calls(service, 1)
    with service.client(ADMIN) as admin:
        assert "not to be made" not in str([admin.DescribeKey(key_id=k.key_id) for k in admin.ListKeys().keys])
    service.stop()
    run(BIN / "kmsctl", "audit", "verify", "--dir", folder / "audit")


def folder_records(folder):
    lines = b"".join(path.read_bytes() for path in sorted((folder / "audit").glob("*.jsonl"))).replace(b"\0", b"")
    return len(lines.splitlines())


def test_a_start_without_space(made, tmp_path):
    """It starts, says so, refuses, and stops in good order: what it says of itself goes in."""
    service = made(refuse_free="1099511627776", warn_free="1099511627776")
    with pytest.raises(Failure) as failure:
        calls(service, 1)
    assert failure.value.reason == "AUDIT_UNAVAILABLE"
    service.stop()
    assert [r["operation"] for r in service.records(kind="service") if "operation" in r][-1] == "stop"
    service.verify_audit()


def keeping(made, **audit):
    """A service whose ledger is stored, and whose retention looks, all the time."""
    return made(jobs={"interval": "100ms", "usage_checkpoint": "100ms"}, **audit)


def dropped(service):
    return [r for r in tail(service) if r.get("operation") == "DropAuditFiles"]


def first_sequence(service):
    return service.verify_audit()["first_sequence"]


def test_old_files_are_dropped(made):
    """By size: an attempt says what goes, an outcome that it went; verify takes the new front, usage stays exact."""
    service = keeping(made, segment="512KiB", keep_bytes="600000")
    key = service.new_key()
    with service.client(APP) as client:
        for _ in range(8):
            for _ in range(20):
                client.Encrypt(key_id=key, plaintext=b"x")
            new_file(service)
    # what is set aside for the current file counts: a few others are left
    wait_for(lambda: [r["kind"] for r in dropped(service)][-1:] == ["outcome"], what="files to go")
    service.kill()
    service.start()
    with service.client(ADMIN) as admin:
        usage = admin.GetKeyUsage(key_id=key)
    assert [o.count for o in usage.versions[0].operations] == [160]
    said = [r for r in dropped(service) if r["kind"] == "attempt"][-1]
    assert said["class"] == "service" and said["principal_source"] == "service"
    assert said["extra"]["first_file"] <= said["extra"]["last_file"]
    assert first_sequence(service) == int(said["extra"]["last_sequence"]) + 1
    service.stop()
    oldest = min((service.dir / "audit").glob("*.jsonl"))
    oldest.rename(service.dir / "moved")  # one more than was said
    verify = (BIN / "kmsctl", "audit", "verify", "--dir", service.dir / "audit")
    wrong = run(*verify, check=False)
    assert wrong.returncode != 0 and "missing file: the log begins with sequence" in wrong.stderr
    run(*verify, "--archived")


def test_nothing_that_the_ledger_needs_is_dropped(made):
    """The checkpoint is an hour away: what would be counted again at a restart stays, whatever the size."""
    service = made(jobs={"interval": "100ms", "usage_checkpoint": "1h"}, segment="512KiB", keep_bytes="1")
    key = service.new_key()
    with service.client(APP) as client:
        client.Encrypt(key_id=key, plaintext=b"x")
    for _ in range(3):
        new_file(service)
    time.sleep(0.5)  # it looks at its jobs some more times
    assert first_sequence(service) == 1 and dropped(service) == []
    service.kill()
    service.start()  # counts again, and stores at once what it counted: then they may go
    with service.client(ADMIN) as admin:
        assert [o.count for o in admin.GetKeyUsage(key_id=key).versions[0].operations] == [1]
    wait_for(lambda: dropped(service), what="files to go")
    service.stop()
    assert first_sequence(service) > 1


def test_killed_between_the_record_and_the_files(made):
    """The record says that they go, they are still there: the next look drops them, and says it again."""
    service = keeping(made, segment="512KiB")
    for _ in range(4):
        calls(service, 2)
        new_file(service)
    service.stop()
    service.config.write_text(service.config.read_text().replace("audit:\n", "audit:\n  keep_bytes: 1\n"))
    for _ in range(5):  # whatever moment it is, the log is whole
        offset = len(service.log_text())
        service.start()  # all workers are there: SoftHSM does not bear to be killed while it opens its token
        wait_for(lambda: "healthy=2" in service.log_text()[offset:], what="two workers")
        children = service.children()
        service.kill()
        wait_for(lambda: not any(comm(pid) for pid in children), what="the workers' end")
        service.verify_audit()
    service.start()
    wait_for(lambda: [r["kind"] for r in dropped(service)][-1:] == ["outcome"], what="files to go")
    wait_for(lambda: len(list((service.dir / "audit").glob("*.jsonl"))) <= 2, what="files gone")
    service.stop()
    assert first_sequence(service) > 1


def first_of(service):
    return service.records()[0]["seq"]


def drop_all_but_the_newest(service):
    """Some files more, and retention has taken those before."""
    before = service.records()[-1]["seq"]
    for _ in range(3):
        calls(service, 5)
        new_file(service)
    wait_for(lambda: first_of(service) > before + 1, what="files to go")


def test_files_go_while_somebody_follows(made):
    """A follower of the files, and one of the server: neither is waited for, and both are told what they missed."""
    service = keeping(made, keep_bytes="1", page="16KiB")  # one file until it is told
    key = service.new_key()
    with service.client(APP) as client:
        for _ in range(200):
            client.Encrypt(key_id=key, plaintext=b"x", encryption_context={"pad": "p" * 2000})
    tail_words = [BIN / "kmsctl", "audit", "tail", "-f", "-n", "1", "-o", "json", "--dir", service.dir / "audit"]
    with service.client(OFFICER, options=[("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65536)]) as slow:
        stream = slow.stream("StreamAuditRecords", follow=True)
        pages = [next(stream)]
        with subprocess.Popen(tail_words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
            assert follower.stdout.readline()
            follower.send_signal(signal.SIGSTOP)
            drop_all_but_the_newest(service)
            follower.send_signal(signal.SIGCONT)
            said = follower.stderr.readline()
            seen = json.loads(follower.stdout.readline())["seq"]
            while seen < first_of(service):
                seen = json.loads(follower.stdout.readline())["seq"]
            follower.terminate()
        assert re.fullmatch(r"kmsctl: records \d+ to \d+ are not in the log: they were dropped, or taken out\n", said)
        while pages[-1].truncated or sum(page.missing_records for page in pages) == 0:
            pages.append(next(stream))
        stream.cancel()
    found = [json.loads(record)["seq"] for page in pages for record in page.records]
    assert found == sorted(set(found)) and sum(page.missing_records for page in pages) == found[-1] - found[0] + 1 - len(found)


def test_retention_does_not_wait_for_an_optional_place(made):
    """A dead shipper may not fill the disk: it gets what is left, and what it will never get is told by number."""
    with tempfile.TemporaryDirectory(prefix="kms-") as directory:
        service = keeping(made, segment="512KiB", keep_bytes="1", stream=f"{directory}/s")
        drop_all_but_the_newest(service)
        left = first_of(service)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{directory}/s")
            listener.listen()
            connection = listener.accept()[0]
            with connection, connection.makefile() as lines:
                assert json.loads(next(lines))["seq"] >= left
                gap = wait_for(lambda: [t for t in troubles(service) if "were not sent" in t], what="the gap in the status")
        told = re.fullmatch(r"records (\d+) to (\d+) were not sent to \S+: the log has them no more", gap[0])
        assert int(told[1]) < int(told[2]) >= left - 1
