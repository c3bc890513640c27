"""The files of the audit log: when a new one begins, what is made of the old ones, and what goes wrong with them."""
import json
import signal

import pytest

from harness import ADMIN, APP, BIN, Service, run, wait_for


def openings(service):
    return [r["segment"]["because"] for r in service.records() if "segment" in r]


def calls(service, count):
    with service.client(APP) as client:
        return [client.GenerateRandom(number_of_bytes=8) for _ in range(count)]


def make(path, **audit):
    return Service(path, audit=audit).init().start()


@pytest.fixture
def made(tmp_path):
    """Makes services with these options of the audit log; stops them."""
    services = []

    def one(**audit):
        services.append(make(tmp_path / f"s{len(services)}", **audit))
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
    count = len(openings_of_all(service))
    service.signal(signal.SIGHUP)
    wait_for(lambda: len(openings_of_all(service)) > count, what="a new file")


def tail(service):
    """All records, by kmsctl, which reads plain and compressed files."""
    out = run(BIN / "kmsctl", "audit", "tail", "--dir", service.dir / "audit", "-n", "100000", "-o", "json").stdout
    return [json.loads(line) for line in out.splitlines()]


def openings_of_all(service):
    return [r["segment"]["because"] for r in tail(service) if "segment" in r]


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
