"""Connections: on Unix sockets whom the kernel says is calling decides, and nothing else does; how many there may be."""
import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import tempfile

import pytest

from harness import ADMIN, APP, OTHER, Failure, Service, key_policy, wait_for

STRANGER, OVERFLOW = 12345, 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can call as somebody else")

# a client that needs nothing of the test session: another user may not read that
CLIENT = """
import grpc, sys
path, method, data = sys.argv[1:]
channel = grpc.insecure_channel("unix:" + path)
try:
    reply = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)(bytes.fromhex(data), timeout=10)
    print("OK", len(reply))
except grpc.RpcError as error:
    print(error.code().name, error.details())
"""


def call_as(uid, path, method="/kms.v1.CryptoService/GenerateRandom", data=b"\x08\x08"):
    """One call by another user: the name of the status code, then words."""
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(path), method, data.hex()],
        user=uid,
        group=uid,
        extra_groups=[],
        capture_output=True,
        text=True,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": "/"},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def doors(directory, *rows):
    """Lines of the configuration: name, mode, principal of all, principals of single uids."""
    lines = ["  unix:"]
    for name, mode, principal, uids in rows:
        lines += [f"    - path: {directory}/{name}", f'      mode: "{mode}"']
        if principal:
            lines.append(f"      principal: {principal}")
        if uids:
            lines.append("      uids:")
        for uid, mapped in uids.items():
            lines += [f"        - uid: {uid}", f"          principal: {mapped}"]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def folder():
    """Where other users can reach sockets; pytest's own folders are closed to them."""
    path = tempfile.mkdtemp(prefix="kmsd-sockets-")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def open_house(folder, tmp_path_factory):
    service = Service(tmp_path_factory.mktemp("listeners") / "home")
    rows = [
        ("app", "0666", APP, {}),
        ("other", "0660", OTHER, {}),
        ("mine", "0600", "", {os.geteuid(): APP}),
        ("strangers", "0777", "", {STRANGER: APP, STRANGER + 1: OTHER}),
        ("both", "0666", OTHER, {STRANGER: APP}),
    ]
    service.write_config(unix=doors(folder, *rows))
    service.init().start()
    service.key = service.new_key()
    service.door = lambda name: os.path.join(folder, name)
    yield service
    service.stop()


def test_modes_and_owner(open_house):
    for name, mode in {"app": 0o666, "other": 0o660, "mine": 0o600, "strangers": 0o777}.items():
        info = os.stat(open_house.door(name))
        assert (
            stat.S_ISSOCK(info.st_mode) and stat.S_IMODE(info.st_mode) == mode and info.st_uid == os.geteuid()
        )


def test_principal_of_the_socket_decides_and_is_recorded(open_house):
    door = open_house.door
    with open_house.client(None, unix=door("app")) as app, open_house.client(
        None, unix=door("other")
    ) as other:
        blob = app.Encrypt(key_id=open_house.key, plaintext=b"x").ciphertext_blob
        assert app.Decrypt(ciphertext_blob=blob).plaintext == b"x"
        for call in (
            lambda: other.Decrypt(ciphertext_blob=blob),
            lambda: other.Encrypt(key_id=open_house.key, plaintext=b"x"),
        ):
            with pytest.raises(Failure) as caught:
                call()
            assert caught.value.reason == "ACCESS_DENIED"
        other.GenerateRandom(number_of_bytes=1)
    allowed = open_house.records(operation="Encrypt", outcome="OK")[-1]
    denied = open_house.records(operation="Encrypt", outcome="ACCESS_DENIED")[-1]
    assert (allowed["principal"], denied["principal"]) == (APP, OTHER)
    for record in (allowed, denied):
        assert (
            record["principal_source"] == "unix"
            and record["peer"] == f"unix:uid={os.geteuid()},pid={os.getpid()}"
        )


def test_principal_of_the_uid(open_house):
    with open_house.client(None, unix=open_house.door("mine")) as mine:
        mine.Encrypt(key_id=open_house.key, plaintext=b"x")
    assert open_house.records(operation="Encrypt")[-1]["principal"] == APP


def test_unmapped_uid_is_refused_and_recorded(open_house):
    with open_house.client(None, unix=open_house.door("strangers")) as client:
        for call in (lambda: client.GenerateRandom(number_of_bytes=1), lambda: client.ListKeys()):
            with pytest.raises(Failure) as caught:
                call()
            assert (caught.value.code, caught.value.reason) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
            assert f"uid {os.geteuid()}" in caught.value.message
    record = open_house.records(outcome="UNAUTHENTICATED")[-1]
    assert record["peer"] == f"unix:uid={os.geteuid()},pid={os.getpid()}" and "principal" not in record
    assert record["operation"] == "ListKeys"


@needs_root
def test_the_kernel_says_who_calls(open_house):
    assert call_as(STRANGER, open_house.door("strangers")).startswith("OK")
    record = open_house.records(operation="GenerateRandom")[-1]
    assert record["principal"] == APP and record["peer"].startswith(f"unix:uid={STRANGER},pid=")
    assert call_as(STRANGER + 1, open_house.door("strangers")).startswith("OK")
    assert open_house.records(operation="GenerateRandom")[-1]["principal"] == OTHER
    assert call_as(STRANGER + 2, open_house.door("strangers")).startswith("UNAUTHENTICATED")
    assert call_as(STRANGER, open_house.door("both")).startswith(
        "OK"
    )  # its own principal goes before the socket's
    assert open_house.records(operation="GenerateRandom")[-1]["principal"] == APP
    assert call_as(STRANGER + 2, open_house.door("both")).startswith("OK")
    assert open_house.records(operation="GenerateRandom")[-1]["principal"] == OTHER


@needs_root
def test_mode_keeps_others_out(open_house):
    before = len(open_house.records())
    assert call_as(STRANGER, open_house.door("mine")).startswith("UNAVAILABLE")
    assert call_as(STRANGER, open_house.door("other")).startswith("UNAVAILABLE")
    assert len(open_house.records()) == before


@needs_root
def test_the_overflow_uid_is_nobody(open_house):
    for name in ("app", "both", "strangers"):
        assert call_as(OVERFLOW, open_house.door(name)).startswith("UNAUTHENTICATED"), name
    assert open_house.records(outcome="UNAUTHENTICATED")[-1]["peer"].startswith(f"unix:uid={OVERFLOW},")


def test_the_overflow_uid_cannot_be_mapped(fresh):
    fresh.write_config(unix=doors(fresh.dir, ("door", "0600", "", {OVERFLOW: APP})))
    done = fresh.kmsd("check", check=False)
    assert done.returncode != 0 and "65534" in done.stderr


@pytest.mark.parametrize(
    "condition, allowed",
    [
        ('{"Bool": {"aws:SecureTransport": "true"}}', False),
        ('{"Bool": {"aws:SecureTransport": "false"}}', True),
        ('{"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}', False),
    ],
)
def test_a_socket_is_no_network(open_house, condition, allowed):
    statement = (
        '{"Sid": "Net", "Effect": "Allow", "Principal": {"AWS": "%s"}, "Action": "kms:Encrypt", "Resource": "*", '
        '"Condition": %s}' % (APP, condition)
    )
    policy = key_policy(users=()).replace('"Statement": [', '"Statement": [' + statement + ", ")
    key = open_house.new_key(policy=policy)
    with open_house.client(None, unix=open_house.door("app")) as local, open_house.client(APP) as remote:
        for client, right in ((local, allowed), (remote, not allowed)):
            try:
                client.Encrypt(key_id=key, plaintext=b"x")
                assert right
            except Failure as failure:
                assert failure.reason == "ACCESS_DENIED" and not right


# -- files in the way --


@pytest.fixture
def one_door(fresh):
    fresh.path = fresh.dir / "door"
    fresh.write_config(unix=doors(fresh.dir, ("door", "0600", APP, {})))
    return fresh.init()


def works(service):
    with service.client(None, unix=service.path) as app:
        return len(app.GenerateRandom(number_of_bytes=4).plaintext) == 4


def test_stale_socket_is_replaced(one_door):
    one_door.start()
    one_door.kill()
    assert one_door.path.exists()
    one_door.start()
    assert works(one_door)
    one_door.stop()
    assert not one_door.path.exists()


def start_refused(service, reason, *words):
    done = service.kmsd(check=False)
    assert done.returncode != 0 and reason in done.stderr, done.stderr
    for word in words:
        assert str(word) in done.stderr, done.stderr


def test_live_socket_is_left_alone(one_door):
    with socket.socket(socket.AF_UNIX) as somebody:
        somebody.bind(str(one_door.path))
        somebody.listen()
        start_refused(one_door, "STATE_IN_USE", one_door.path)
        with socket.socket(socket.AF_UNIX) as friend:
            friend.connect(str(one_door.path))  # still there
    one_door.start()
    assert works(one_door)


def test_file_that_is_no_socket_is_left_alone(one_door):
    one_door.path.write_text("precious")
    start_refused(one_door, "CONFIG_INVALID", one_door.path, "not a socket")
    assert one_door.path.read_text() == "precious"


def test_link_is_not_followed(one_door):
    precious = one_door.dir / "precious"
    precious.write_text("precious")
    one_door.path.symlink_to(precious)
    start_refused(one_door, "CONFIG_INVALID", one_door.path)
    assert precious.read_text() == "precious" and one_door.path.is_symlink()


def test_successor_of_the_socket_survives_the_stop(one_door):
    one_door.start()
    one_door.path.unlink()
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(one_door.path))
        one_door.stop()
        assert one_door.path.exists()


def test_sockets_only(fresh):
    """No TLS listener, no certificate needed."""
    fresh.path = fresh.dir / "door"
    rows = [("door", "0600", APP, {}), ("admin", "0600", ADMIN, {})]
    fresh.write_config(
        listen="", unix=doors(fresh.dir, *rows), tls=dict.fromkeys(["cert", "key", "client_ca"], '""')
    )
    fresh.init().start()
    assert works(fresh)
    with fresh.client(None, unix=fresh.dir / "admin") as admin:
        assert admin.GetStatus().hsm_workers_configured == 2


def greet(service, tls):
    """A TLS connection that has exchanged HTTP/2 settings (RFC 9113, 3.4), or None."""
    try:
        one = tls.wrap_socket(
            socket.create_connection(("localhost", service.port), 5), server_hostname="localhost"
        )
        one.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        return one if one.recv(9) else None
    except OSError:
        return None


def test_connections_are_bounded(fresh):
    """One too many fails its handshake; when another ends there is room again."""
    fresh.write_config(limits={"connections": "16"})
    fresh.init().start()
    name, folder = fresh.certs.client(APP), fresh.certs.dir
    tls = ssl.create_default_context(cafile=folder / "ca.pem")
    tls.set_alpn_protocols(["h2"])
    tls.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    held = []
    while len(held) < 64 and (one := greet(fresh, tls)) is not None:
        held.append(one)
    assert len(held) == 16
    held.pop().close()
    wait_for(lambda: (one := greet(fresh, tls)) is not None and held.append(one) is None, 10, "room")
    for one in held:
        one.close()
