"""Records sent on to a log shipper and to syslog: all of them, and who waits for whom."""
import json
import os
import pathlib
import socket
import tempfile
import threading

import pytest

from harness import ADMIN, APP, wait_for
from rpc_client import Failure


class Shipper:
    """What stands at the other end: takes connections one after the other and keeps the lines."""

    def __init__(self, path):
        self.path, self.lines, self.connections = str(path), [], []
        self.listener = None
        self.listen()

    def listen(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self.take, args=(self.listener,), daemon=True).start()

    def take(self, listener):
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            self.connections.append(connection)
            with connection.makefile("rb") as stream:
                self.lines += [line for line in stream if line.endswith(b"\n")]

    def close(self):
        os.unlink(self.path)
        for one in (self.listener, *self.connections):  # accept() and read() return
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was over already
            one.close()
        self.connections = []

    def sequences(self):
        return [json.loads(line)["seq"] for line in list(self.lines)]


@pytest.fixture
def sockets():
    """A short path: the name of a Unix socket has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="kms-") as directory:
        yield pathlib.Path(directory)


def test_a_required_shipper(fresh, sockets):
    """Has each record before the answer; without it there is none, and with it again it gets what it missed."""
    fresh.write_config(
        audit={"stream": f"{sockets}/s", "stream_required": "true", "ship_timeout": "500ms", "segment": "512KiB"}
    )
    fresh.init()
    shipper = Shipper(sockets / "s")
    fresh.start()
    key = fresh.new_key()
    with fresh.client(APP) as app:
        for _ in range(50):
            app.Encrypt(key_id=key, plaintext=b"x")
        shipper.close()

        def refused():
            try:
                app.Encrypt(key_id=key, plaintext=b"x")
            except Failure as failure:
                return failure
            return None

        failure = wait_for(refused, 20, "a call to be refused")
        assert failure.reason == "AUDIT_UNAVAILABLE" and failure.code == "UNAVAILABLE"
        assert "is required (audit.stream_required)" in fresh.log_text()
        shipper.listen()
        wait_for(lambda: refused() is None, 20, "a call to be answered again")
    fresh.stop()
    shipper.close()
    # Before the shipper was known there was the record that opens the log, and init's.
    wanted = [record["seq"] for record in fresh.records()]
    got = shipper.sequences()
    assert sorted(set(got)) == wanted[-len(set(got)) :] and len(wanted) - len(set(got)) < 5, (wanted, got)
    by_sequence = {json.loads(line)["seq"]: line for line in shipper.lines}
    assert all(json.loads(by_sequence[r["seq"]]) == r for r in fresh.records() if r["seq"] in by_sequence)


def test_an_optional_shipper_is_not_waited_for(fresh, sockets):
    fresh.write_config(audit={"stream": f"{sockets}/s"})
    fresh.init()
    fresh.start()
    key = fresh.new_key()
    with fresh.client(APP) as app, fresh.client(ADMIN) as admin:
        for _ in range(20):
            app.Encrypt(key_id=key, plaintext=b"x")
        troubles = wait_for(lambda: admin.GetStatus().audit_troubles, 20, "the trouble in the status")
        assert "are not sent to" in troubles[0] and "No such file or directory" in troubles[0]
        wait_for(lambda: "event=audit trouble=stream records after" in fresh.log_text(), 20, "it in the log")
        shipper = Shipper(sockets / "s")
        wait_for(lambda: not admin.GetStatus().audit_troubles, 20, "the trouble to end")
        wait_for(lambda: "trouble=stream over" in fresh.log_text(), 20, "that in the log")
    fresh.stop()
    first = shipper.sequences()
    assert first == list(range(first[0], first[-1] + 1))
    fresh.start()  # goes on where it stood
    fresh.new_key()
    fresh.stop()
    shipper.close()
    assert shipper.sequences() == list(range(first[0], fresh.records()[-1]["seq"] + 1))


def test_syslog(fresh, sockets):
    """What glibc's syslog(3) would send, which journald and rsyslog take."""
    fresh.write_config(audit={"syslog": f"{sockets}/log", "syslog_required": "true"})
    fresh.init()
    receiver, datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), []
    receiver.bind(f"{sockets}/log")

    def receive():  # the kernel keeps only a few of them
        while not datagrams or datagrams[-1]:
            datagrams.append(receiver.recv(1 << 20))

    thread = threading.Thread(target=receive)
    thread.start()
    fresh.start()
    pid = fresh.process.pid
    key = fresh.new_key()
    with fresh.client(APP) as app:
        app.Encrypt(key_id=key, plaintext=b"x")
    fresh.stop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
        last.sendto(b"", f"{sockets}/log")
    thread.join()
    receiver.close()
    records = []
    for datagram in datagrams[:-1]:
        header, record = datagram.decode().split("]: ", 1)
        assert header.startswith("<86>") and header.endswith(f"kmsd-audit[{pid}")
        records.append(json.loads(record))
    assert records == fresh.records()[-len(records) :] and len(records) > 3
