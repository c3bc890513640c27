"""Whatever comes in by one listener, it has an end or a clear answer at a bounded cost, and the other listeners go on.

What no library sends is sent by hand (http2.py) to each kind: TLS, a Unix socket of our own protocol, of sops, of Kubernetes, and sops
over TCP.
"""
import contextlib
import os
import pathlib
import shutil
import socket
import ssl
import struct
import tempfile

import pytest

import http2
from bystander import Bystander
from harness import ADMIN, APP, Failure, Service, failure
from http2 import CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame
from sops_world import LOCAL, ME, Sops, door, tcp, tcp_address
from test_kubernetes import ApiServer

MIB = 1 << 20
LISTENERS = ["tls", "kms", "sops", "kubernetes", "tcp"]
EACH = pytest.mark.parametrize("listener", LISTENERS)
WAYS = pytest.mark.parametrize("listener", ["tls", "kms", "tcp"])  # what is behind a socket differs by these alone
CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
METHOD = {"sops": "/KeyService/Encrypt", "tcp": "/KeyService/Encrypt", "kubernetes": "/v2.KeyManagementService/Status"}
SEED = bytes(range(32))


class House:
    def __init__(self, directory, folder):
        # What the sanitizer keeps of freed memory would be taken for use.
        options = "quarantine_size_mb=0:thread_local_quarantine_size_kb=0:" + os.environ.get("ASAN_OPTIONS", "")
        self.service, self.folder = Service(directory, environment={"ASAN_OPTIONS": options}), folder
        item = "      key: alias/etcd\n"
        self.service.write_config(
            unix="  unix:\n"
            + door(self.path("kms"), protocol="kms", principal=APP) + door(self.path("sops"), principal=APP)
            + door(self.path("kubernetes"), protocol="kubernetes", principal=APP) + item
            + door(self.path("kms-strangers"), protocol="kms", uids={12345: APP})
            + door(self.path("sops-strangers"), uids={12345: APP})
            + door(self.path("kubernetes-strangers"), protocol="kubernetes", uids={12345: APP}) + item
            + tcp(LOCAL),
            limits={"streams_per_connection": "100"},
            hsm={"deadline": "30s"},
        )
        self.service.init().start()
        self.key = self.service.new_key()
        with self.service.client(ADMIN) as admin:
            admin.CreateAlias(alias_name="alias/etcd", target_key_id=self.key)
        certs = self.service.certs
        name = certs.client(APP)
        self.tls = ssl.create_default_context(cafile=certs.dir / "ca.pem")
        self.tls.load_cert_chain(certs.dir / f"{name}.pem", certs.dir / f"{name}.key")
        self.tls.set_alpn_protocols(["h2"])

    def path(self, name):
        return os.path.join(self.folder, name)

    def connect(self, listener):
        if listener == "tls":
            raw = socket.create_connection(("localhost", self.service.port), 60)
            return self.tls.wrap_socket(raw, server_hostname="localhost")
        if listener == "tcp":
            host, port = tcp_address(self.service).split(":")
            return socket.create_connection((host, int(port)), 60)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(60)
        connection.connect(self.path(listener))
        return connection

    def ours(self, listener):
        """A client of our own protocol."""
        return self.service.client(APP, unix=self.path(listener) if listener != "tls" else None)

    def sops(self, listener):
        return Sops(tcp_address(self.service) if listener == "tcp" else "unix:" + self.path(listener))

    def use(self, listener, plaintext=SEED, **options):
        """Encrypts by this listener's protocol."""
        if listener.startswith(("sops", "tcp")):
            with self.sops(listener) as sops:
                return sops.encrypt(sops.key("kms", arn=self.key), plaintext, **options)
        if listener.startswith("kubernetes"):
            with ApiServer(self.path(listener)) as server:
                return server.call("Encrypt", plaintext=plaintext, uid="u", **options)
        with self.ours(listener) as client:
            return client.Encrypt(key_id=self.key, plaintext=plaintext, **options)

    def all_work(self):
        for listener in LISTENERS:
            if listener == "tcp":  # its principal may use no key here
                assert failure(self.use, listener).code == "PERMISSION_DENIED"
            else:
                self.use(listener)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tempfile.mkdtemp(prefix="kmsd-every-")  # a short path: sockets have 107 bytes
    built = House(tmp_path_factory.mktemp("every") / "home", folder)
    yield built
    built.service.stop()
    shutil.rmtree(folder)


def others(house, listener):
    """Of another listener."""
    other = "kms" if listener == "tls" else "tls"
    return Bystander(lambda: house.ours(other), house.key)


def highest(pid):
    """Most memory that the process ever had, in bytes."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


@contextlib.contextmanager
def bounded(house, mib=64):
    before = highest(house.service.process.pid)
    yield
    grown = highest(house.service.process.pid) - before
    assert grown < mib * MIB, f"{grown / MIB:.0f} MiB more"


def pour(connection, pieces):
    """Sends until the service hangs up, or takes no more because nobody reads what it answers."""
    connection.settimeout(1)
    try:
        for piece in pieces:
            connection.sendall(piece)
    except (OSError, ssl.SSLError):
        pass
    connection.close()


def block(path="/x", **headers):
    return http2.request_headers(path, **headers)


GARBAGE = {
    "HTTP/1.1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    "ones": b"\xff" * 4096,
    "ones behind the preface": PREFACE + b"\xff" * 4096,
    "no settings": PREFACE + frame(HEADERS, END_HEADERS, 1, block()),
    "a frame too long": PREFACE + frame(SETTINGS, 0, 0) + b"\xff\xff\xff\x01\x04\x00\x00\x00\x01" + b"\x00" * 100,
    "stream 0": PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, 0, block()),
    "an even stream": PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, 2, block()) + frame(DATA, 0, 0, b"x"),
    "headers that are none": PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, 1, b"\xff" * 200),
    "settings of seven bytes": PREFACE + frame(SETTINGS, 0, 0, b"1234567"),
    "a ping of nine": PREFACE + frame(SETTINGS, 0, 0) + frame(PING, 0, 0, b"123456789"),
    "a window past 2^31": PREFACE + frame(SETTINGS, 0, 0) + frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 3,
}


@EACH
def test_garbage_for_frames(house, listener):
    """The connection ends, by its end at the latest; no call, no record."""
    before = len(house.service.records(kind="call"))
    with others(house, listener):
        for words in GARBAGE.values():
            connection = house.connect(listener)
            with contextlib.suppress(OSError):
                connection.sendall(words)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            connection.close()
    house.all_work()
    assert {record["operation"] for record in house.service.records(kind="call")[before:]} <= {"Encrypt"}


FLOODS = {
    "pings": [frame(PING, 0, 0, b"12345678") * 1000] * 1000,
    "settings": [frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535)) * 1000] * 50,
    "empty data": [frame(HEADERS, END_HEADERS, 1, block("/x"))] + [frame(DATA, 0, 1) * 1000] * 100,
    "headers without end": [frame(HEADERS, 0, 1, block("/x"))] + [frame(CONTINUATION, 0, 1, b"\0\1a\1b" * 3000)] * 300,
    "window updates": [frame(HEADERS, END_HEADERS, 1, block("/x"))] + [frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1") * 1000] * 100,
    "priorities": [frame(2, 0, 1, b"\0\0\0\0\1") * 1000] * 100,
    "frames of no type": [frame(0xEE, 0, 0, b"x" * 1000) * 100] * 100,
}


@WAYS
@pytest.mark.parametrize("flood", FLOODS)
def test_floods(house, listener, flood):
    """gRPC stops reading when too many of its answers wait; until then they take about a hundred MiB."""
    with others(house, listener), bounded(house, mib=256):
        pour(house.connect(listener), [PREFACE + frame(SETTINGS, 0, 0), *FLOODS[flood]])
    house.all_work()


def resets(path, count, body=b""):
    for number in range(count):
        stream = 2 * number + 1
        yield (frame(HEADERS, END_HEADERS, stream, block(path)) + (frame(DATA, 0, stream, body) if body else b"")
               + frame(RST_STREAM, 0, stream, struct.pack(">I", 8)))


@WAYS
def test_calls_that_are_taken_back_at_once(house, listener):
    """Begun and reset, thousands of times, before and after their request has come."""
    path = METHOD.get(listener, "/kms.v1.CryptoService/Encrypt")
    with others(house, listener), bounded(house):
        for body in (b"", http2.message(b"")):
            for target in (path, WATCH, "/none/None"):
                pour(house.connect(listener), [PREFACE + frame(SETTINGS, 0, 0), *resets(target, 500, body)])
    house.all_work()


@EACH
def test_calls_whose_request_never_comes(house, listener):
    """As many as one connection may have; they end with it."""
    path = METHOD.get(listener, "/kms.v1.CryptoService/Encrypt")
    with others(house, listener), bounded(house):
        held = [house.connect(listener) for _ in range(4)]
        for connection in held:
            connection.sendall(PREFACE + frame(SETTINGS, 0, 0))
            for stream in range(1, 201, 2):
                connection.sendall(frame(HEADERS, END_HEADERS, stream, block(path)) + frame(DATA, 0, stream, b"\0\0\0"))
        house.all_work()
        for connection in held:
            connection.close()
    house.all_work()


@EACH
def test_watches_left_open(house, listener):
    with bounded(house), contextlib.ExitStack() as stack:
        watches = [stack.enter_context(http2.Connection(house.connect(listener))) for _ in range(50)]
        for watch in watches:
            watch.begin(WATCH, http2.message(b""))
            while not watch.answer.data:
                watch.read()
            assert watch.answer.reply == b"\x08\x01"
        house.all_work()
        assert not any(watch.answer.ended for watch in watches)


@EACH
def test_a_plaintext_of_a_mebibyte(house, listener):
    with others(house, listener), bounded(house):
        for size, on_record in ((MIB, True), (4 * MIB, False)):  # of the latter gRPC itself takes no more than a batch may have
            before = len(house.service.records(outcome="LIMIT_EXCEEDED"))
            assert failure(house.use, listener, bytes(size)).code == "RESOURCE_EXHAUSTED"
            assert len(house.service.records(outcome="LIMIT_EXCEEDED")) == before + on_record
    house.all_work()


@EACH
def test_a_deadline_of_a_millisecond(house, listener):
    """Answered or told so; nothing of it stays behind."""
    allowed = {"DEADLINE_EXCEEDED"} | ({"PERMISSION_DENIED"} if listener == "tcp" else set())
    with others(house, listener):
        for _ in range(20):
            try:
                house.use(listener, timeout=0.001)
            except Failure as caught:
                assert caught.code in allowed
    house.all_work()


@pytest.mark.parametrize("listener", ["kms", "sops", "kubernetes"])
def test_who_maps_to_no_principal_is_refused_and_recorded(house, listener):
    refused = failure(house.use, f"{listener}-strangers")
    assert (refused.code, refused.reason) == ("UNAUTHENTICATED", "UNAUTHENTICATED") and f"uid {os.geteuid()}" in refused.message
    record = house.service.records(kind="call")[-1]
    assert (record["operation"], record["outcome"], record["peer"]) == ("Encrypt", "UNAUTHENTICATED", ME)
    assert "principal" not in record and record.get("protocol", "kms") == listener
    house.all_work()
