"""AuditService/StreamAuditRecords: the pages of ListAuditRecords in one call, on to what comes, and every way it can end."""
import json
import signal
import subprocess
import time

import pytest

from audit_reading import query
from callers import SERVICE_POLICY
from harness import APP, OFFICER, Failure, Service, wait_for
from load import correlated
from test_audit_remote import records_of, remote

STREAMS = 3  # at once
NARROW = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65536)]  # a client that does not ask for much ahead


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A server that gives small pages, with a log of a megabyte."""
    service = Service(tmp_path_factory.mktemp("stream") / "home")
    deny = service.dir / "deny"
    deny.write_text("# nobody\n")
    service.write_config(
        audit={"segment": "512KiB", "instance": "one", "page": "16KiB", "page_scan": "64KiB"},
        authn={"deny_list": str(deny)},
        limits={"audit_streams": STREAMS},
    )
    service.init().start()
    key = service.new_key()
    with service.client(APP) as app:
        for i in range(400):
            app.Encrypt(key_id=key, plaintext=b"x", encryption_context={"pad": "p" * (i % 7 * 900)})
    service.key = key
    yield service
    service.stop()


@pytest.fixture
def officer(made):
    with made.client(OFFICER) as client:
        yield client


@pytest.fixture
def app(made):
    with made.client(APP) as client:
        yield client


def told(service, name):
    """The records of a stream by its correlation id, once it has ended."""

    def ended():
        found = service.records(correlation_id=name)
        return found if found and found[-1]["kind"] == "outcome" else None

    attempt, outcome = wait_for(ended, what="the end on record")
    assert attempt["kind"] == "attempt" and attempt["request_id"] == outcome["request_id"]
    assert outcome["operation"] == "StreamAuditRecords" and outcome["class"] == "read"
    return attempt, outcome


def caught_up(stream):
    """Reads to the end of what there is."""
    found = []
    for page in stream:
        found.append(page)
        if not page.truncated:
            return found
    raise AssertionError("ended")


def wait_for_place(officer):
    wait_for(lambda: officer.stream("StreamAuditRecords", last=1).end() is None, what="a place")


def test_a_stream_is_the_whole_log(made, officer):
    before = made.records()
    pages = list(officer.stream("StreamAuditRecords", limit=1000, metadata=correlated("whole")))
    got = records_of(pages)
    assert got[: len(before)] == before and len(pages) > 20
    assert [r["kind"] for r in got[len(before) :]] == ["attempt"], "that it began stands in the log before it answers"
    assert [page.truncated for page in pages] == [True] * (len(pages) - 1) + [False]
    assert [page.from_beginning for page in pages] == [True] + [False] * (len(pages) - 1)
    sizes = [sum(map(len, page.records)) for page in pages]
    assert max(s for s, p in zip(sizes, pages) if len(p.records) > 1) <= 16 * 1024
    left = [page.bytes_left for page in pages]
    assert left == sorted(left, reverse=True) and left[0] > left[-1]
    _, outcome = told(made, "whole")
    assert outcome["outcome"] == "OK" and outcome["stage"] == "act"
    assert outcome["extra"] == {"pages": str(len(pages)), "records": str(len(got))}


def test_filters_limits_and_places(made, officer):
    for filter_, arguments in [
        ({"operation": "Encrypt"}, ("--operation", "Encrypt")),
        ({"principal": APP, "outcome": "OK"}, ("--principal", APP, "--outcome", "OK")),
        ({"kind": "service"}, ("--kind", "service")),
        ({"principal": "nobody"}, ("--principal", "nobody")),
    ]:
        pages = list(officer.stream("StreamAuditRecords", filter=filter_, limit=7))
        assert max(len(page.records) for page in pages) <= 7
        assert records_of(pages) == query(made, *arguments), filter_
    pages = list(officer.stream("StreamAuditRecords", limit=50))
    [again] = [list(officer.stream("StreamAuditRecords", marker=pages[2].next_marker, limit=50))]
    assert records_of(again)[:100] == records_of(pages[3:])[:100]
    listed = officer.ListAuditRecords(marker=pages[2].next_marker, limit=50)
    assert records_of([listed]) == records_of(again[:1]), "a marker is good for both"
    last = records_of(officer.stream("StreamAuditRecords", last=5))
    assert [r["seq"] for r in last] == list(range(last[0]["seq"], last[0]["seq"] + len(last))) and len(last) >= 5


def test_who_looks_stands_in_the_log(made, officer, app):
    list(officer.stream("StreamAuditRecords", filter={"principal": APP, "outcome": "denied"}, metadata=correlated("look")))
    attempt, outcome = told(made, "look")
    assert attempt["extra"] == {"of_principal": APP, "of_outcome": "denied"}
    assert outcome["extra"] == {"of_principal": APP, "of_outcome": "denied", "pages": outcome["extra"]["pages"], "records": "0"}
    assert [a["decision"] for a in outcome["access"]] == ["allow"]
    refused = app.stream("StreamAuditRecords", metadata=correlated("denied")).end()
    assert refused.reason == "ACCESS_DENIED" and refused.request_id
    [record] = made.records(correlation_id="denied")
    assert record["kind"] == "call" and record["outcome"] == "ACCESS_DENIED"


@pytest.mark.parametrize(
    "fields, reason, words",
    [
        ({"limit": 1001}, "INVALID_ARGUMENT", "limit: 1 to 1000"),
        ({"filter": {"kind": "x"}}, "INVALID_ARGUMENT", "kind is call, attempt"),
        ({"marker": "x"}, "INVALID_MARKER", "not a marker"),
    ],
)
def test_requests_that_make_no_sense(made, officer, fields, reason, words):
    name = f"nonsense-{reason}-{len(words)}"
    refused = officer.stream("StreamAuditRecords", metadata=correlated(name), **fields).end()
    assert refused.reason == reason and words in refused.message
    assert told(made, name)[1]["outcome"] == reason


def test_a_follower_gets_what_comes(made, officer, app):
    stream = officer.stream(
        "StreamAuditRecords", last=1, follow=True, filter={"operation": "Encrypt"}, metadata=correlated("follow")
    )
    caught_up(stream)
    for i in range(5):  # one by one: each is told before the next is made
        app.Encrypt(key_id=made.key, plaintext=b"x", metadata=correlated(f"come-{i}"))
        page = next(stream)
        assert [json.loads(r)["correlation_id"] for r in page.records] == [f"come-{i}"] and not page.truncated
    for i in range(60):
        app.Encrypt(key_id=made.key, plaintext=b"x", encryption_context={"pad": "p" * 3000}, metadata=correlated(f"many-{i}"))
    found = []
    while len(found) < 60:
        found += [r["correlation_id"] for r in records_of([next(stream)])]
    assert found == [f"many-{i}" for i in range(60)]
    made.signal(signal.SIGHUP)  # begins a new file
    app.Encrypt(key_id=made.key, plaintext=b"x", metadata=correlated("beyond"))
    assert records_of([next(stream)])[0]["correlation_id"] == "beyond"
    stream.cancel()
    attempt, outcome = told(made, "follow")
    assert outcome["outcome"] == "CANCELLED"
    assert attempt["extra"]["follow"] == "true" and outcome["extra"]["records"] == "66"


def test_a_range_of_time_ends_a_follower(made, officer):
    until = int((time.time() + 2) * 1e6)
    stream = officer.stream("StreamAuditRecords", follow=True, last=1, filter={"until_time_us": until}, metadata=correlated("until"))
    assert list(stream) and time.time() * 1e6 >= until
    assert told(made, "until")[1]["outcome"] == "OK"


def test_a_client_that_does_not_read_holds_one_page(made, officer):
    """What is made is what was taken, and what fits between here and there."""
    wait_for_place(officer)
    whole = len(list(officer.stream("StreamAuditRecords")))
    with made.client(OFFICER, options=NARROW) as slow, made.client(APP) as app:
        streams = [slow.stream("StreamAuditRecords", metadata=correlated(f"slow-{i}")) for i in range(STREAMS)]
        for stream in streams:
            next(stream)
        app.GenerateRandom(number_of_bytes=1)  # meanwhile others are served, also by admin threads
        assert officer.ListAuditRecords(limit=1).records
        for stream in streams:
            stream.cancel()
    for i in range(STREAMS):
        outcome = told(made, f"slow-{i}")[1]
        assert outcome["outcome"] == "CANCELLED"
        assert 1 <= int(outcome["extra"]["pages"]) < whole / 3


def test_a_client_that_dies(made, officer):
    command = remote(made, OFFICER, "tail", "-f", "-n", "1")
    before = len(made.records(operation="StreamAuditRecords", kind="outcome"))
    tail = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert tail.stdout.readline()
    wait_for(lambda: len(made.records(operation="StreamAuditRecords", kind="outcome")) > before, what="first part read")
    open_ = wait_for(lambda: [r for r in made.records(operation="StreamAuditRecords") if r.get("extra", {}).get("follow")], what="x")
    tail.kill()
    tail.wait(20)
    ends = lambda: [r for r in made.records(kind="outcome") if r["request_id"] == open_[-1]["request_id"]]  # noqa: E731
    assert wait_for(ends, what="the end on record")[0]["outcome"] == "CANCELLED"


def test_too_many(made, officer):
    streams = [officer.stream("StreamAuditRecords", last=1, follow=True) for _ in range(STREAMS)]
    for stream in streams:
        caught_up(stream)
    refused = officer.stream("StreamAuditRecords", last=1, metadata=correlated("more")).end()
    assert refused.reason == "LIMIT_EXCEEDED" and "3 streams of the audit log are open" in refused.message
    [record] = made.records(correlation_id="more")
    assert record["kind"] == "call" and record["outcome"] == "LIMIT_EXCEEDED"
    streams.pop().cancel()
    wait_for(lambda: officer.stream("StreamAuditRecords", last=1).end() is None, what="a place")
    for stream in streams:
        stream.cancel()


def test_a_deadline(made, officer):
    wait_for_place(officer)
    stream = officer.stream("StreamAuditRecords", last=1, follow=True, timeout=1.5, metadata=correlated("late"))
    assert stream.end().code == "DEADLINE_EXCEEDED"
    assert told(made, "late")[1]["outcome"] in ("DEADLINE_EXCEEDED", "CANCELLED")  # whoever looks at the clock first


def test_the_policy_is_withdrawn(made, officer):
    wait_for_place(officer)
    kept = officer.stream("StreamAuditRecords", last=1, follow=True, metadata=correlated("withdrawn"))
    narrow = made.client(OFFICER, options=NARROW)
    slow = narrow.stream("StreamAuditRecords", metadata=correlated("withdrawn-slow"))
    caught_up(kept)
    next(slow)
    without = [s for s in SERVICE_POLICY["Statement"] if s["Sid"] != "Officer"]
    try:
        made.service_policy({"Statement": without})
        made.signal(signal.SIGHUP)
        ended = kept.end()
        assert ended.reason == "ACCESS_DENIED" and "kms:ListAuditRecords" in ended.message
        _, outcome = told(made, "withdrawn")
        assert outcome["outcome"] == "ACCESS_DENIED" and outcome["access"][0]["decision"] == "no-match"
        assert told(made, "withdrawn-slow")[1]["outcome"] == "ACCESS_DENIED"
        assert slow.end().code == "PERMISSION_DENIED"
    finally:
        narrow.close()
        made.service_policy(SERVICE_POLICY)
        made.signal(signal.SIGHUP)
    wait_for_place(officer)


def test_the_deny_list(made, officer):
    stream = officer.stream("StreamAuditRecords", last=1, follow=True, metadata=correlated("listed"))
    caught_up(stream)
    try:
        (made.dir / "deny").write_text(f"principal {OFFICER}\n")
        made.signal(signal.SIGHUP)
        ended = stream.end()
        assert ended.reason == "UNAUTHENTICATED" and "deny list" in ended.message
        assert told(made, "listed")[1]["outcome"] == "UNAUTHENTICATED"
    finally:
        (made.dir / "deny").write_text("# nobody\n")
        made.signal(signal.SIGHUP)
    wait_for_place(officer)


def test_a_hundred_streams_in_turn(made, officer):
    """Whatever they leave, ASan tells when the daemon ends."""
    for i in range(100):
        stream = officer.stream("StreamAuditRecords", last=200, follow=i % 2 == 0)
        if i % 3 == 0:
            next(stream)
        elif i % 2 == 0:
            caught_up(stream)
        elif i % 5 != 0:
            list(stream)
        stream.cancel()
        wait_for_place(officer)

    def all_over():
        open_ = {r["request_id"] for r in made.records(operation="StreamAuditRecords", kind="attempt")}
        return open_ == {r["request_id"] for r in made.records(operation="StreamAuditRecords", kind="outcome")}

    wait_for(all_over, what="every stream's end on record")


def test_shutdown_ends_streams(made, officer):
    wait_for_place(officer)
    follower = officer.stream("StreamAuditRecords", last=1, follow=True, metadata=correlated("stop"))
    narrow = made.client(OFFICER, options=NARROW)
    slow = narrow.stream("StreamAuditRecords", metadata=correlated("stop-slow"))
    caught_up(follower)
    next(slow)
    made.stop()
    try:
        ended = follower.end()
        assert (ended.code, ended.reason) == ("UNAVAILABLE", "SHUTTING_DOWN")
        assert slow.end().code == "UNAVAILABLE"
        assert "time is up" not in made.log_text()
        for name in ("stop", "stop-slow"):
            assert told(made, name)[1]["outcome"] == "SHUTTING_DOWN"
    finally:
        narrow.close()
        made.start()


def test_a_crash_leaves_no_stream_open(made):
    with made.client(OFFICER) as officer:
        stream = officer.stream("StreamAuditRecords", last=1, follow=True, metadata=correlated("crash"))
        caught_up(stream)
        made.kill()
        assert stream.end().code == "UNAVAILABLE"
    made.start()
    [attempt] = made.records(correlation_id="crash")
    [recovery] = made.records(kind="recovery", request_id=attempt["request_id"])
    assert recovery["detail"] == "cut off"


def test_no_record_no_page(tmp_path):
    service = Service(tmp_path / "home")
    service.write_config(audit={"refuse_free": "1099511627776", "warn_free": "1099511627776"})
    service.init().start()
    with service.client(OFFICER) as officer:
        stream = officer.stream("StreamAuditRecords")
        with pytest.raises(Failure) as refused:
            next(stream)
        assert refused.value.reason == "AUDIT_UNAVAILABLE"
    service.stop()
