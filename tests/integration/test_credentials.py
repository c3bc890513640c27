"""kms-env credentials against a real kmsd, asked as systemd's PID 1 asks (LoadCredential= of a socket)."""
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import uuid

import pytest

from callers import secret_policy
from harness import APP, BIN, ROOT, free_port, wait_for

MOST = 1024 * 1024
NOBODY = 65534
UNIT = "shop.service"
VALUE = "value-" + uuid.uuid4().hex
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")


def begin(path, unit=UNIT, credential="text", name=None):
    """PID 1 asks: it is in the queue when this is back, and is served in its turn."""
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(60)
    peer.bind(b"\0" + (name if name is not None else f"{secrets.randbits(64):x}/unit/{unit}/{credential}".encode()))
    peer.connect(str(path))
    peer.shutdown(socket.SHUT_WR)
    return peer


def answer(peer):
    """What PID 1 reads: one byte over the most at the most; it gives up then."""
    with peer:
        data = b""
        while len(data) <= MOST and (more := peer.recv(65536)):
            data += more
        return data


def ask(path, **who):
    return answer(begin(path, **who))


def refused(data):
    """More than a credential may have, and nothing in it."""
    return len(data) > MOST and not data.strip(b"\0")


class Server:
    """kms-env credentials as a principal; what it says is collected in a file."""

    def __init__(self, service, folder, entries, principal=APP, options=(), limits="", **changes):
        self.folder, self.path = pathlib.Path(folder), pathlib.Path(folder) / "creds.sock"
        self.config, self.log = self.folder / "credentials.yaml", self.folder / "log"
        rows = "".join(f"- {json.dumps({'unit': u, 'credential': c, 'secret': s})}\n" for u, c, s in entries)
        self.config.write_text(f"{limits}\ncredentials:\n{rows}" if rows else limits + "\n")
        self.environment = dict(service.client_environment(principal), ASAN_OPTIONS="detect_leaks=0")
        self.environment.update(changes)
        self.words = [str(BIN / "kms-env"), "credentials", "--config", str(self.config), *options]
        self.process = None

    def start(self, *before, own=True, **options):
        words = [*before, *self.words, *(["--socket", str(self.path)] if own else [])]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(words, env=self.environment, stderr=log, stdin=subprocess.DEVNULL, **options)
        wait_for(lambda: "event=credentials.ready" in self.said() or self.process.poll() is not None, what="ready")
        return self

    def said(self):
        return self.log.read_text()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.said()
        assert VALUE not in self.said()
        return self.said()

    def __enter__(self):
        return self if self.process is not None else self.start()

    def __exit__(self, kind, *rest):
        if kind is None:
            self.stop()
        elif self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as found:
        yield pathlib.Path(found)


def make(admin, value=VALUE, **policy):
    name = "credentials/" + uuid.uuid4().hex[:12]
    kind = "secret_string" if isinstance(value, str) else "secret_binary"
    admin.CreateSecret(name=name, value={kind: value}, resource_policy=secret_policy(**policy))
    return name


@pytest.fixture(scope="module")
def text(admin):
    return make(admin)


def outcome(server, event, unit=UNIT, credential="text"):
    return re.findall(rf'event={event} unit={re.escape(unit)} credential={re.escape(credential)} reason=(\w+) why="(.*)"',
                      server.said())


# -- what units get --


def test_values_arrive_as_they_are(service, admin, folder, text):
    binary = b"\0\x01\xff" + os.urandom(65536 - 4) + b"\0"
    rows = [(UNIT, "text", f"kms-secret://{text}"), (UNIT, "binary", f"kms-secret://{make(admin, binary)}"),
            (UNIT, "field", f"kms-secret://{make(admin, json.dumps({'p': VALUE, 'n': 5}))}#p"),
            ("app@*", "text", f"kms-secret://{text}")]
    with Server(service, folder, rows) as server:
        assert stat.S_IMODE(os.stat(server.path).st_mode) == 0o600
        assert ask(server.path) == VALUE.encode()
        assert ask(server.path, credential="binary") == binary
        assert ask(server.path, credential="field") == VALUE.encode()
        assert ask(server.path, unit="app@a\\x2db.service") == VALUE.encode()
        assert ask(server.path, name=f"f/unit/{UNIT}/text".encode()) == VALUE.encode()  # the number is not padded
        wait_for(lambda: server.said().count("event=credential.sent") == 5, what="five lines")
        assert outcome(server, "credential.sent", credential="binary") == [("OK", "")]
    assert not server.path.exists()


def test_a_new_version_is_what_the_next_start_gets(service, admin, folder):
    name = make(admin)
    with Server(service, folder, [(UNIT, "text", f"kms-secret://{name}")]) as server:
        assert ask(server.path) == VALUE.encode()
        admin.PutSecretValue(secret_id=name, value={"secret_string": "second"})
        assert ask(server.path) == b"second"


def test_many_at_once(service, folder, text):
    with Server(service, folder, [(UNIT, "text", f"kms-secret://{text}")], limits="connections: 8") as server:
        got, threads = [], []
        for number in range(60):
            credential = "text" if number % 3 else "none"
            threads.append(threading.Thread(target=lambda c=credential: got.append((c, ask(server.path, credential=c)))))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 60
        assert all(data == VALUE.encode() if c == "text" else refused(data) for c, data in got)


# -- what they do not get --


def test_what_is_not_listed_fails_the_unit(service, admin, folder, text):
    rows = [(UNIT, "text", f"kms-secret://{text}"), (UNIT, "gone", "kms-secret://credentials/not-there"),
            (UNIT, "hidden", f"kms-secret://{make(admin, users=('spiffe://x/y',))}"),
            (UNIT, "field", f"kms-secret://{text}#p"), (UNIT, "empty", f"kms-secret://{make(admin, json.dumps({'e': ''}))}#e")]
    with Server(service, folder, rows) as server:
        assert refused(ask(server.path, unit="other.service"))
        assert refused(ask(server.path, credential=text.replace("/", ".")))
        for credential, reason in (("gone", "ACCESS_DENIED"), ("hidden", "ACCESS_DENIED"), ("field", "INVALID_ARGUMENT"),
                                   ("empty", "REFUSED")):
            assert refused(ask(server.path, credential=credential))
            assert [found for found, _ in outcome(server, "credential.refused", credential=credential)] == [reason]
        assert outcome(server, "credential.refused", unit="other.service") == [
            ("REFUSED", "no entry of the list has this unit and credential")]
        assert ask(server.path) == VALUE.encode()


@pytest.mark.parametrize("name", [
    b"x", b"0123456789abcdef0/unit/shop.service/text", b"g/unit/shop.service/text", b"f/user/shop.service/text",
    b"f/unit/shop.service", b"f/unit/shop.service/text/..", b"f/unit/../text", b"f/unit/shop.service/te\0xt",
    b"f/unit/shop.service/text\0", b"f/unit/shop.service/te\nxt event=credential.sent", b"f/unit/*/text",
    b"f/unit/shop*/text", b"f/unit/" + b"a" * 98 + b"/"])
def test_malformed_names(service, folder, text, name):
    with Server(service, folder, [(UNIT, "text", f"kms-secret://{text}")]) as server:
        assert refused(ask(server.path, name=name))
        said = server.said()
        assert "event=credential.sent" not in said and "event=credential.refused" in said
        assert ask(server.path) == VALUE.encode()


def test_a_peer_without_a_name(service, folder, text):
    with Server(service, folder, [(UNIT, "text", f"kms-secret://{text}")]) as server:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(server.path))
            data = b""
            while more := peer.recv(65536):
                data += more
        assert refused(data) and len(data) == MOST + 1
        assert outcome(server, "credential.refused", "?", "?")


ASK_AS = """
import socket, sys
with socket.socket(socket.AF_UNIX) as peer:
    peer.bind(b"\\0" + b"f/unit/shop.service/text")
    peer.connect(sys.argv[1])
    peer.shutdown(socket.SHUT_WR)
    data = b""
    while more := peer.recv(65536):
        data += more
print(len(data), data.strip(b"\\0").decode())
"""


def ask_as_nobody(path):
    return subprocess.run([sys.executable, "-c", ASK_AS, str(path)], user=NOBODY, group=NOBODY, extra_groups=[],
                          cwd="/", capture_output=True, text=True, timeout=60)


@as_root
def test_a_forged_name(service, folder, text):
    folder.chmod(0o755)
    with Server(service, folder, [(UNIT, "text", f"kms-secret://{text}")]) as server:
        assert "PermissionError" in ask_as_nobody(server.path).stderr  # the mode of the socket keeps others out
        server.path.chmod(0o666)
        assert ask_as_nobody(server.path).stdout.split() == [str(MOST + 1)]
        assert outcome(server, "credential.refused", "?", "?") == [
            ("REFUSED", "the peer is not the service manager: another uid")]
        assert ask(server.path) == VALUE.encode()


@as_root
def test_the_manager_of_a_user_is_served_on_purpose_only(service, folder, text):
    for name in ("KMS_CA", "KMS_CERT", "KMS_KEY_FILE"):
        shutil.copy(service.client_environment(APP)[name], folder / name)
    shutil.copy(BIN / "kms-env", folder / "kms-env")
    shutil.copy(next((BIN.parent / "lib").glob("libkms.so.0")), folder / "libkms.so.0")
    changes = {name: str(folder / name) for name in ("KMS_CA", "KMS_CERT", "KMS_KEY_FILE")}
    for options, theirs in (((), False), (("--user",), True)):
        server = Server(service, folder, [(UNIT, "text", f"kms-secret://{text}")], options=options,
                        LD_LIBRARY_PATH=str(folder), HOME="/", **changes)
        server.words[0] = str(folder / "kms-env")
        for path in (folder, *folder.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        with server.start(user=NOBODY, group=NOBODY, extra_groups=[]):
            own = ask_as_nobody(server.path).stdout.split()
            assert own == ([str(len(VALUE)), VALUE] if theirs else [str(MOST + 1)])
            data = ask(server.path)
            assert refused(data) if theirs else data == VALUE.encode()
        server.log.unlink()


# -- trouble --


class Way:
    """A port that leads to kmsd when it is opened."""

    def __init__(self, service):
        self.port, self.target = free_port(), service.port

    def open(self):
        self.door = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                here = self.door.accept()[0]
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self.target))
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    @staticmethod
    def pump(one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        other.close()


def test_kmsd_is_away(service, folder, text):
    way = Way(service)
    with Server(service, folder, [(UNIT, "text", f"kms-secret://{text}")], limits="retry: 0ms",
                KMS_ENDPOINT=f"127.0.0.1:{way.port}") as server:
        assert refused(ask(server.path))
        assert [reason for reason, _ in outcome(server, "credential.refused")] == ["UNAVAILABLE"]


def test_kmsd_comes_back(service, folder, text):
    way, got = Way(service), []
    with Server(service, folder, [(UNIT, "text", f"kms-secret://{text}")], limits="retry: 5m",
                KMS_ENDPOINT=f"127.0.0.1:{way.port}") as server:
        peer = begin(server.path)
        asking = threading.Thread(target=lambda: got.append(answer(peer)))
        asking.start()
        assert refused(ask(server.path, credential="none"))  # others are not kept waiting
        way.open()
        asking.join()
        assert got == [VALUE.encode()]
    way.door.close()


def test_an_end_refuses_who_waits(service, folder, text):
    way, got = Way(service), []
    with Server(service, folder, [(UNIT, "text", f"kms-secret://{text}")], limits="retry: 10m",
                KMS_ENDPOINT=f"127.0.0.1:{way.port}") as server:
        peer = begin(server.path)
        asking = threading.Thread(target=lambda: got.append(answer(peer)))
        asking.start()
        assert refused(ask(server.path, credential="none"))
    asking.join()
    assert len(got) == 1 and refused(got[0]) and "event=credentials.stopped" in server.said()


def test_a_reader_that_never_reads(service, folder, text):
    limits = "connections: 1\nsend_timeout: 200ms"
    with Server(service, folder, [(UNIT, "text", f"kms-secret://{text}")], limits=limits) as server:
        with socket.socket(socket.AF_UNIX) as idle:
            idle.bind(b"\0f/unit/shop.service/none")
            idle.connect(str(server.path))
            assert ask(server.path) == VALUE.encode()  # the one place was given up for it
            assert outcome(server, "credential.slow", credential="none") == [
                ("TIMEOUT", "the reader did not take the refusal")]


# -- the socket --


def handed_over(listener, count=1):
    return ["bash", "-c", f'exec 3<&{listener.fileno()}; LISTEN_PID=$$ LISTEN_FDS={count} exec "$0" "$@"']


def test_a_socket_that_is_handed_over(service, folder, text):
    server = Server(service, folder, [(UNIT, "text", f"kms-secret://{text}")])
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(server.path))
        listener.listen()
        with server.start(*handed_over(listener), own=False, pass_fds=[listener.fileno()]):
            assert ask(server.path) == VALUE.encode()
        assert server.path.exists()  # it is the service manager's, and who asks now waits for the next start
        got = []
        peer = begin(server.path)
        asking = threading.Thread(target=lambda: got.append(answer(peer)))
        asking.start()
        server.log.unlink()
        with server.start(*handed_over(listener), own=False, pass_fds=[listener.fileno()]):
            asking.join()
        assert got == [VALUE.encode()]


def test_sockets_that_are_none(service, folder, text):
    def told(server, *before, **options):
        server.start(*before, **options)
        assert server.process.wait(30) == 125
        return server.said()

    rows = [(UNIT, "text", f"kms-secret://{text}")]
    server = Server(service, folder, rows)
    assert "--socket PATH says where to listen" in told(server, own=False)
    server.path.write_text("mine")
    assert "is there, and no socket" in told(server)
    assert server.path.read_text() == "mine"
    server.path.unlink()
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_INET) as tcp:
        other.bind(str(server.path))
        other.listen()
        assert "another server listens here" in told(server)
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        for listener, count in ((other, 2), (tcp, 1)):
            server.log.unlink()
            assert "must hand over one socket" in told(server, *handed_over(listener, count), own=False,
                                                       pass_fds=[listener.fileno()])
    with Server(service, folder, rows):  # what nobody listens on any more is replaced
        assert ask(server.path) == VALUE.encode()


def test_lists_that_are_wrong(service, folder):
    server = Server(service, folder, [("*", "text", "kms-secret://a")])
    server.start()
    assert server.process.wait(30) == 125 and "entry 1 of credentials: unit is a name" in server.said()
    assert not server.path.exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_units_are_valid(folder):
    for name in ("kms-credentials.socket", "kms-credentials.service"):
        unit = (ROOT / "deploy/systemd" / name).read_text()
        (folder / name).write_text(unit.replace("/usr/bin/kms-env", str(BIN / "kms-env")))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", folder / "kms-credentials.socket",
                           folder / "kms-credentials.service"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "kms-credentials" not in done.stderr, done.stderr
