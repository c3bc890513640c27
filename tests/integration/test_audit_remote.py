"""AuditService/ListAuditRecords, and kmsctl audit with a server in place of files: the same answers, in bounded pages."""
import json
import subprocess
import time

import pytest

from audit_reading import kmsctl, query
from harness import APP, BIN, OFFICER, Failure, Service, wait_for
from load import correlated


@pytest.fixture(scope="module")
def paged(tmp_path_factory):
    """A server that gives small pages, with a log of several files."""
    service = Service(tmp_path_factory.mktemp("paged") / "home")
    service.write_config(audit={"segment": "512KiB", "instance": "one", "page": "16KiB", "page_scan": "64KiB"})
    service.init().start()
    key = service.new_key()
    with service.client(APP) as app:
        for i in range(300):
            app.Encrypt(key_id=key, plaintext=b"x", encryption_context={"pad": "p" * (i % 7 * 900)})
    service.stop()
    service.start()
    yield service
    service.stop()


def pages(client, **fields):
    """All pages of a question, one after the other, until the log ends."""
    marker, found = "", []
    while True:
        page = client.ListAuditRecords(marker=marker, **fields)
        assert page.next_marker and len(page.records) <= (fields.get("limit") or 100)
        found.append(page)
        marker = page.next_marker
        if not page.truncated:
            return found


def records_of(found):
    return [json.loads(record) for page in found for record in page.records]


def test_pages_are_the_whole_log(paged):
    with paged.client(OFFICER) as officer:
        before = paged.records()
        for limit in (1000, 7):
            found = pages(officer, limit=limit, filter={"until_time_us": int(time.time() * 1e6)})
            got = records_of(found)
            assert got[: len(before)] == before
            assert [r["operation"] for r in got[len(before) :] if "operation" in r] == ["ListAuditRecords"] * (
                len(got) - len(before)
            )
            sizes = [sum(map(len, page.records)) for page in found]
            assert max(sizes) <= 16 * 1024 or max(len(p.records) for p, s in zip(found, sizes) if s > 16384) == 1
            left = [page.bytes_left for page in found]
            assert left == sorted(left, reverse=True) or limit == 7


def test_a_page_looks_at_a_bounded_stretch(paged):
    with paged.client(OFFICER) as officer:
        found = pages(officer, filter={"principal": "nobody"})
        assert records_of(found) == [] and len(found) > 10
        assert [page.truncated for page in found] == [True] * (len(found) - 1) + [False]


def test_filters_are_those_of_the_files(paged):
    with paged.client(OFFICER) as officer:
        for filter_, arguments in [
            ({"operation": "Encrypt"}, ("--operation", "Encrypt")),
            ({"kind": "service"}, ("--kind", "service")),
            ({"principal": "spiffe://example.org/ad*"}, ("--principal", "spiffe://example.org/ad*")),
            ({"outcome": "failed"}, ("--outcome", "failed")),
            ({"protocol": "kms", "operation": "Encrypt"}, ("--protocol", "kms", "--operation", "Encrypt")),
            ({"protocol": "sops"}, ("--protocol", "sops")),
        ]:
            assert records_of(pages(officer, filter=filter_)) == query(paged, *arguments), filter_


def test_who_looks_stands_in_the_log_and_who_may_not_does_not_look(paged):
    with paged.client(OFFICER) as officer, paged.client(APP) as app:
        officer.ListAuditRecords(filter={"principal": APP, "outcome": "denied"}, metadata=correlated("look"))
        [record] = paged.records(correlation_id="look")
        assert record["extra"] == {"of_principal": APP, "of_outcome": "denied"} and record["class"] == "read"
        with pytest.raises(Failure) as refused:
            app.ListAuditRecords()
        assert refused.value.reason == "ACCESS_DENIED"
    done = subprocess.run(remote(paged, APP, "query"), capture_output=True, text=True)
    assert done.returncode == 3 and "ACCESS_DENIED" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("spoil", ["x", "", ".1", "1.2.3", "two", "offset", "sequence", "file", "long"])
def test_markers_that_this_log_did_not_give(paged, spoil):
    with paged.client(OFFICER) as officer:
        marker = officer.ListAuditRecords(limit=5).next_marker
        instance, number, offset, sequence, since = marker.split(".")
        marker = {
            "x": "x",
            "": marker + ".",
            "two": marker.replace("one.", "two."),
            "offset": f"{instance}.{number}.{int(offset) - 1}.{sequence}.{since}",
            "sequence": f"{instance}.{number}.{offset}.{int(sequence) + 1}.{since}",
            "file": f"{instance}.999.{offset}.{sequence}.{since}",
            "long": f"{instance}.{number}.9999999999999999999.{sequence}.{since}",
        }.get(spoil, spoil)
        with pytest.raises(Failure) as refused:
            officer.ListAuditRecords(marker=marker)
        assert refused.value.reason == "INVALID_MARKER"


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"limit": 1001}, "limit: 1 to 1000"),
        ({"filter": {"outcome": "DENIED"}}, "outcome is OK, denied, failed"),
        ({"filter": {"kind": "x"}}, "kind is call, attempt"),
        ({"filter": {"principal": "x" * 3000}}, "principal is too long"),
        ({"filter": {"since_time_us": 2, "until_time_us": 1}}, "the range of time is empty"),
    ],
)
def test_requests_that_make_no_sense(paged, fields, words):
    with paged.client(OFFICER) as officer, pytest.raises(Failure) as refused:
        officer.ListAuditRecords(**fields)
    assert refused.value.reason == "INVALID_ARGUMENT" and words in refused.value.message


def test_the_end_of_the_log_and_what_comes_later(paged):
    with paged.client(OFFICER) as officer, paged.client(APP) as app:
        before = paged.records()
        end = pages(officer, last=3)
        assert records_of(end)[:3] == before[-3:]
        marker = end[-1].next_marker
        app.GenerateRandom(number_of_bytes=1, metadata=correlated("later"))
        page = officer.ListAuditRecords(marker=marker, filter={"operation": "GenerateRandom"})
        assert [json.loads(r)["correlation_id"] for r in page.records] == ["later"]
        assert officer.ListAuditRecords(last=10**9).from_beginning
        assert not officer.ListAuditRecords(last=1).from_beginning


def test_damaged_lines_are_counted(paged):
    path = sorted((paged.dir / "audit").glob("one-*.jsonl"))[0]
    data = path.read_bytes()
    line = data.split(b"\n")[5]
    with paged.client(OFFICER) as officer:
        assert sum(page.damaged_lines for page in pages(officer)) == 0
        try:
            path.write_bytes(data.replace(line, b"x" + line[1:]))
            found = pages(officer, filter={"operation": "Encrypt"})
            assert sum(page.damaged_lines for page in found) == 1 and len(records_of(found)) >= 299
            done = subprocess.run(remote(paged, OFFICER, "query", "--operation", "Encrypt"), capture_output=True, text=True)
            assert done.returncode == 6 and "not a record; 1 such lines are left out" in done.stderr
        finally:
            path.write_bytes(data)


def test_compressed_files_are_read_alike(tmp_path):
    service = Service(tmp_path / "home")
    compressed = {"segment": "512KiB", "instance": "one", "compress": "true", "page": "16KiB", "page_scan": "128KiB"}
    service.write_config(audit=compressed)
    service.init().start()
    key = service.new_key()
    with service.client(APP) as app, service.client(OFFICER) as officer:
        for i in range(300):
            app.Encrypt(key_id=key, plaintext=b"x", encryption_context={"pad": "p" * 5000})
        wait_for(lambda: len(list((service.dir / "audit").glob("*.zst"))) > 1, what="files to be compressed")
        found = records_of(pages(officer, filter={"operation": "Encrypt"}))
        assert found == query(service, "--operation", "Encrypt") and len(found) == 300
        assert [r["seq"] for r in found] == sorted({r["seq"] for r in found})
    service.stop()


def remote(service, uri, *arguments):
    name = service.certs.client(uri)
    certificate = ["--ca", service.certs.dir / "ca.pem", "--cert", service.certs.dir / f"{name}.pem"]
    where = ["--endpoint", f"127.0.0.1:{service.port}", *certificate, "--key", service.certs.dir / f"{name}.key"]
    return [str(a) for a in [BIN / "kmsctl", *where, "audit", *arguments]]


def ask(service, *arguments):
    return subprocess.run(remote(service, OFFICER, *arguments), capture_output=True, check=True).stdout.decode()


def test_kmsctl_asks_the_server(paged):
    """Without --dir, and with --remote; the answers are those of the files."""
    arguments = ("--operation", "Encrypt", "--principal", APP)
    assert ask(paged, "query", *arguments, "--remote") == kmsctl(paged, "query", *arguments)
    assert ask(paged, "query", *arguments, "-o", "csv") == kmsctl(paged, "query", *arguments, "-o", "csv")
    assert ask(paged, "query", *arguments, "--limit", "3") == kmsctl(paged, "query", *arguments, "--limit", "3")
    assert ask(paged, "stats", *arguments, "-o", "json") == kmsctl(paged, "stats", *arguments, "-o", "json")
    for n in ("1", "4", "299"):
        assert ask(paged, "tail", *arguments, "-n", n) == kmsctl(paged, "tail", *arguments, "-n", n)
    both = remote(paged, OFFICER, "query", "--remote", "--dir", "x")
    wrong = subprocess.run(both, capture_output=True, text=True)
    assert wrong.returncode == 2 and "--remote asks the server" in wrong.stderr


def test_kmsctl_follows_the_server(paged):
    command = remote(paged, OFFICER, "tail", "-f", "-n", "1", "--operation", "Encrypt", "-o", "json")
    key = paged.records(operation="Encrypt")[0]["access"][0]["key_id"]
    follow = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert json.loads(follow.stdout.readline())["operation"] == "Encrypt"
        with paged.client(APP) as app:
            for i in range(5):
                app.Encrypt(key_id=key, plaintext=b"x", metadata=correlated(f"f-{i}"))
        assert [json.loads(follow.stdout.readline())["correlation_id"] for _ in range(5)] == [f"f-{i}" for i in range(5)]
    finally:
        follow.terminate()
        assert follow.wait(20) == 0
