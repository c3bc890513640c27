"""Too many calls, ill-mannered clients, and ends and changes in the middle of work. No figure is a benchmark: tests/bench measures."""
import collections
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time

import pytest

from harness import ADMIN, APP, OTHER, Failure, key_policy, wait_for
from load import Load, correlated

REFUSED_PER_SECOND = 50
FLOOD_SECONDS, PHASES = 2.0, 3

# a flood in a process of its own, so that only the service is shared with whom it measures
FLOOD = """
import collections, grpc, sys, time
target, ca, key, cert, method, data, seconds = sys.argv[1:]
credentials = grpc.ssl_channel_credentials(*(open(name, "rb").read() for name in (ca, key, cert)))
channel = grpc.secure_channel(target, credentials)
call = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
grpc.channel_ready_future(channel).result(20)
print("ready", flush=True)
end, seen = time.monotonic() + float(seconds), collections.Counter()
while time.monotonic() < end:
    under_way = [call.future(bytes.fromhex(data), timeout=20) for _ in range(20)]
    seen.update(one.code().name for one in under_way)
    time.sleep(0.005)
print(*(f"{code}={count}" for code, count in seen.items()))
"""


class Flood:
    """Processes that send denied calls for a while; seen: how often each status code was the answer."""

    def __init__(self, service, uri, key, processes=2, seconds=FLOOD_SECONDS):
        name, certs = service.certs.client(uri), service.certs.dir
        path, request, _ = service.client(uri).method("Encrypt")
        data = request(key_id=key, plaintext=b"flood").SerializeToString().hex()
        self.command = [
            sys.executable,
            "-c",
            FLOOD,
            f"localhost:{service.port}",
            certs / "ca.pem",
            certs / f"{name}.key",
            certs / f"{name}.pem",
            path,
            data,
            str(seconds),
        ]
        self.processes, self.seen = processes, collections.Counter()

    def __enter__(self):
        self.running = [
            subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True) for _ in range(self.processes)
        ]
        assert all(process.stdout.readline() == "ready\n" for process in self.running)
        return self

    def __exit__(self, *_):
        for process in self.running:
            for word in process.communicate(timeout=60)[0].split():
                code, count = word.split("=")
                self.seen[code] += int(count)
            assert process.returncode == 0


def throughput(client, key, seconds):
    """Calls a second of one well-behaved caller, eight at a time; every one must succeed."""
    began, done = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        for call in [client.start("Encrypt", key_id=key, plaintext=b"good") for _ in range(8)]:
            assert call.result().ciphertext_blob
            done += 1
    return done / (time.monotonic() - began)


def test_flood_of_denied_calls(fresh):
    fresh.write_config(limits={"refused_per_second": REFUSED_PER_SECOND})
    fresh.init().start()
    key, seen, alone, beside = fresh.new_key(), collections.Counter(), [], []
    with fresh.client(APP) as app:
        throughput(app, key, 0.5)
        before, began = fresh.records()[-1]["seq"], time.time()
        for _ in range(PHASES):
            alone.append(throughput(app, key, FLOOD_SECONDS / 2))
            with Flood(fresh, OTHER, key) as flood:
                beside.append(throughput(app, key, FLOOD_SECONDS / 2))
            seen += flood.seen
        seconds = time.time() - began
    print(f"flood of {sum(seen.values())} calls {dict(seen)}; alone {alone}, beside it {beside} calls/s")
    wait_for(
        lambda: sum(r["count"] for r in fresh.records(kind="suppressed")) >= seen["RESOURCE_EXHAUSTED"],
        10,
        "the last summary",
    )
    grown = [r for r in fresh.records() if r["seq"] > before and r.get("principal") == OTHER]
    denied, summaries = ([r for r in grown if r["kind"] == kind] for kind in ("call", "suppressed"))
    assert set(seen) == {"PERMISSION_DENIED", "RESOURCE_EXHAUSTED"}
    assert (
        len(denied) == seen["PERMISSION_DENIED"]
        and sum(r["count"] for r in summaries) == seen["RESOURCE_EXHAUSTED"]
    )
    assert seen["RESOURCE_EXHAUSTED"] > 2 * REFUSED_PER_SECOND
    assert len(denied) <= REFUSED_PER_SECOND * (seconds + 1) and len(summaries) <= seconds + 2


def reasons(calls):
    """How the calls ended: OK, or reason and the limit that the message names."""
    ended = collections.Counter()
    for call in calls:
        if call.code().name == "OK":
            ended["OK"] += 1
        else:
            ended[
                call.code().name, next((w for w in call.details().split() if w.startswith("limits.")), "")
            ] += 1
    return ended


def test_rate_of_a_principal(fresh):
    fresh.write_config(limits={"rate_per_principal": "50", "rate_burst": "20"})
    fresh.init().start()
    with fresh.client(APP) as app, fresh.client(OTHER) as other:
        began = time.monotonic()
        ended = reasons([app.start("GenerateRandom", number_of_bytes=1) for _ in range(300)])
        most = 20 + 50 * (time.monotonic() - began) + 1
        other.GenerateRandom(number_of_bytes=1)  # has a bucket of its own
        time.sleep(0.2)
        app.GenerateRandom(number_of_bytes=1)  # filled up again
    assert (
        set(ended) == {"OK", ("RESOURCE_EXHAUSTED", "limits.rate_per_principal")}
        and 20 <= ended["OK"] <= most
    )


def test_calls_in_flight_of_a_principal(fresh):
    """The workers are stopped for a moment, so that calls stay under way."""
    fresh.write_config(limits={"in_flight_per_principal": "4"}, hsm={"deadline": "20s"})
    fresh.init().start()
    wait_for(lambda: len(fresh.workers()) >= 2, what="workers")
    with fresh.client(APP) as app, fresh.client(OTHER) as other:
        app.GenerateRandom(number_of_bytes=1)
        workers = fresh.workers()
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        calls = [app.start("GenerateRandom", number_of_bytes=1) for _ in range(10)]
        others = [other.start("GenerateRandom", number_of_bytes=1) for _ in range(4)]
        wait_for(lambda: sum(c.done() for c in calls) == 6, 15, "six refusals")
        assert not any(c.done() for c in others)
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
        assert reasons(calls) == {"OK": 4, ("RESOURCE_EXHAUSTED", "limits.in_flight_per_principal"): 6}
        assert reasons(others) == {"OK": 4}
        assert reasons([app.start("GenerateRandom", number_of_bytes=1)]) == {"OK": 1}


# -- ends and changes in the middle of work --


def encrypts(key):
    def action(client, name):
        client.Encrypt(key_id=key, plaintext=b"x", metadata=correlated(name))
        return name

    return action


def creates(client, name):
    client.CreateKey(policy=key_policy(), metadata=correlated(name))
    return name


def test_graceful_end_under_load(fresh):
    """What was accepted is answered; the rest is told UNAVAILABLE; what was acknowledged is on record."""
    fresh.init().start()
    for number in range(3):
        key = fresh.new_key()
        load = (
            Load(fresh, prefix=f"end{number}", patient=False)
            .add(6, APP, encrypts(key))
            .add(2, ADMIN, creates)
        )
        with load:
            load.progress(50)
            began = time.monotonic()
            fresh.stop()
            took = time.monotonic() - began
        assert {failure.code for failure in load.failures} == {"UNAVAILABLE"} and len(load.failures) == 8
        recorded = {
            r["correlation_id"]
            for r in fresh.records(outcome="OK")
            if r.get("correlation_id", "").startswith(load.prefix)
        }
        assert set(load.done) <= recorded, "acknowledged, not on record"
        assert not recorded - set(load.done), "done, but not acknowledged"
        assert {failure.reason for failure in load.failures} <= {
            "SHUTTING_DOWN",
            None,
        }, "None: at the door, or by GOAWAY"
        last = [r for r in fresh.records() if r["kind"] != "head"][-1]  # the head of all of them is signed after it
        assert last["operation"] == "stop" and not fresh.records(kind="recovery") and took < 10
        fresh.verify_audit()
        fresh.start()


def server_certificate(service):
    name, certs = service.certs.client(APP), service.certs.dir
    context = ssl.create_default_context(cafile=certs / "ca.pem")
    context.load_cert_chain(certs / f"{name}.pem", certs / f"{name}.key")
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("localhost", service.port)) as raw, context.wrap_socket(
        raw, server_hostname="localhost"
    ) as tls:
        return ssl.DER_cert_to_PEM_cert(tls.getpeercert(True)).strip()


def test_certificates_are_exchanged_under_load(fresh):
    fresh.init().start()
    key, certificate = fresh.new_key(), fresh.certs.dir / "server.pem"
    first = server_certificate(fresh)
    assert first == certificate.read_text().strip()
    with Load(fresh, prefix="hup").add(4, APP, encrypts(key)) as load:
        for _ in range(3):
            load.progress(30)
            fresh.certs.sign("server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
            offset = len(fresh.log_text())
            fresh.signal(signal.SIGHUP)
            wait_for(lambda: "what=certificates" in fresh.log_text(offset), what="a line about the reload")
            wait_for(
                lambda: server_certificate(fresh) == certificate.read_text().strip(),
                what="the new certificate",
            )
        certificate.write_text(first + "\n")  # does not fit the key
        offset = len(fresh.log_text())
        fresh.signal(signal.SIGHUP)
        wait_for(
            lambda: "level=error event=reload what=certificates" in fresh.log_text(offset), what="the refusal"
        )
        assert server_certificate(fresh) not in (first, "")
        load.progress(30)
    assert not load.failures
    peers = {r["peer"] for r in fresh.records(operation="Encrypt")}
    assert len(peers) == 4, "no connection was made anew"


# -- ill-mannered clients --


@pytest.fixture(scope="module")
def key(service):
    return service.new_key()


def test_deadline_of_a_millisecond(service, key):
    ended = collections.Counter()
    with Load(service, prefix="patient").add(2, APP, encrypts(key)) as load, service.client(APP) as hasty:
        hasty.GenerateRandom(number_of_bytes=1)
        for _ in range(200):
            try:
                hasty.Encrypt(key_id=key, plaintext=b"x", timeout=0.001)
                ended["OK"] += 1
            except Failure as failure:
                ended[failure.code] += 1
        load.progress()
    print("deadline of 1 ms:", dict(ended))
    assert set(ended) <= {"OK", "DEADLINE_EXCEEDED"} and ended["DEADLINE_EXCEEDED"] and not load.failures


def test_two_hundred_connections(service, key):
    clients = [service.client(APP) for _ in range(200)]
    for _ in range(2):
        calls = [client.start("Encrypt", key_id=key, plaintext=b"x") for client in clients]
        assert all(call.result().ciphertext_blob for call in calls)
    assert len({r["peer"] for r in service.records(operation="Encrypt", principal=APP)}) >= 200
    for client in clients:
        client.close()


CLIENT_HELLO = (
    bytes.fromhex("1603010200010001fc0303") + bytes(range(32)) + b"\x20" + bytes(32)
)  # then nothing
MANNERS = {
    "nothing": b"",
    "garbage": random.Random(1).randbytes(4096),
    "half a handshake": CLIENT_HELLO,
    "plaintext HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "plaintext HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
}


def test_strangers_at_the_tls_port(service, key):
    """Twenty of each kind, held open, while the service goes on; those that dawdle are hung up on."""
    records = len(service.records())
    with service.client(APP) as app:
        crowd = {}
        for manner, words in MANNERS.items():
            crowd[manner] = [socket.create_connection(("127.0.0.1", service.port), 30) for _ in range(20)]
            for connection in crowd[manner]:
                connection.sendall(words)
            app.Encrypt(key_id=key, plaintext=b"x")
        with service.client(APP) as another:
            another.Encrypt(key_id=key, plaintext=b"x")
        for connection in (c for connections in crowd.values() for c in connections):
            try:
                while connection.recv(4096):
                    pass
            except ConnectionResetError:
                pass
            connection.close()
        app.Encrypt(key_id=key, plaintext=b"x")
    assert len(service.records()) == records + len(MANNERS) + 2, "strangers leave no record"
    lines = [line for line in service.log_text().splitlines() if "event=rpc.grpc" in line]
    assert len(lines) <= 25, "one line a second at most"


def test_handshake_that_is_cut(service, key):
    """A whole handshake, then garbage within TLS, or an end without goodbye."""
    name, certs = service.certs.client(APP), service.certs.dir
    context = ssl.create_default_context(cafile=certs / "ca.pem")
    context.load_cert_chain(certs / f"{name}.pem", certs / f"{name}.key")
    context.set_alpn_protocols(["h2"])
    for words in (b"", b"garbage" * 500, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 400):
        for _ in range(5):
            with socket.create_connection(("localhost", service.port)) as raw:
                tls = context.wrap_socket(raw, server_hostname="localhost", do_handshake_on_connect=True)
                try:
                    tls.sendall(words)
                except OSError:
                    pass
                tls.close()
    with service.client(APP) as app:
        app.Encrypt(key_id=key, plaintext=b"x")


def test_message_of_a_mebibyte(service, key):
    with service.client(APP) as app:
        for _ in range(5):
            with pytest.raises(Failure) as caught:
                app.Encrypt(key_id=key, plaintext=bytes(1 << 20))
            assert caught.value.reason == "LIMIT_EXCEEDED" and "bytes, at most 262144" in caught.value.message
        app.Encrypt(key_id=key, plaintext=b"x")


def test_descriptors_are_given_back(service, need_inspection):
    """What strangers and the two hundred opened is closed by now."""
    need_inspection(service.process.pid)
    wait_for(lambda: len(os.listdir(f"/proc/{service.process.pid}/fd")) < 150, 30, "closed connections")
