"""Whatever a client of the key service does, it has a clear answer or none, and the other listeners go on."""
import os
import socket
import threading

import pytest

from bystander import Bystander
from harness import APP, Failure, failure
from sops_world import house_of, tcp_address

PLAIN = b"0123456789abcdef" * 2
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GARBAGE = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,  # the beginning of a TLS handshake
    b"\xff" * 4096,
    PREFACE + b"\xff" * 4096,
    PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\xff\xff\xff\x01\x04\x00\x00\x00\x01" + b"\x00" * 100,  # a frame too long
]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    yield from house_of(tmp_path_factory)


def works(house):
    with house.sops() as sops:
        key = sops.key("kms", arn=house.key)
        return sops.decrypt(key, sops.encrypt(key, PLAIN)) == PLAIN


def others(house):
    return Bystander(lambda: house.service.client(APP), house.key)


def test_a_plaintext_of_a_mebibyte(house):
    with others(house), house.sops() as sops, house.over_tcp() as tcp:
        for client in (sops, tcp):
            for size, on_record in ((1 << 20, True), (4 << 20, False)):  # gRPC itself takes no more than a batch may have
                before = len(house.service.records(outcome="LIMIT_EXCEEDED"))
                refused = failure(client.encrypt, client.key("kms", arn=house.key), bytes(size))
                assert refused.code == "RESOURCE_EXHAUSTED"
                assert len(house.service.records(outcome="LIMIT_EXCEEDED")) == before + on_record
        refused = failure(sops.encrypt, sops.key("kms", arn=house.key), bytes(65537))
        assert refused.code == "INVALID_ARGUMENT" and "1 to 65536 bytes" in refused.message
        assert works(house)


def test_a_deadline_of_a_millisecond(house):
    """Answered or told so; nothing of it stays behind."""
    with others(house), house.sops() as sops:
        key = sops.key("kms", arn=house.key)
        for _ in range(50):
            try:
                sops.encrypt(key, PLAIN, timeout=0.001)
            except Failure as caught:
                assert caught.code == "DEADLINE_EXCEEDED"
        assert sops.encrypt(key, PLAIN)
    outcomes = {record["outcome"] for record in house.service.records(operation="Encrypt", protocol="sops", principal=APP)}
    assert outcomes <= {"OK", "DEADLINE_EXCEEDED", "LIMIT_EXCEEDED", "INVALID_ARGUMENT", "CANCELLED"}


@pytest.mark.parametrize("number", range(len(GARBAGE)))
def test_garbage_for_frames(house, number):
    """The connection ends; nobody else notices."""
    records = len(house.service.records())
    host, port = tcp_address(house.service).split(":")
    for family, address in ((socket.AF_UNIX, house.path("sops")), (socket.AF_INET, (host, int(port)))):
        with socket.socket(family) as connection:
            connection.settimeout(60)
            connection.connect(address)
            try:
                connection.sendall(GARBAGE[number])
                while connection.recv(65536):
                    pass
            except (ConnectionResetError, BrokenPipeError):
                pass
    assert len(house.service.records()) == records  # no call, no record
    assert works(house)


def test_many_connections_that_say_nothing(house):
    silent = []
    try:
        for _ in range(100):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(house.path("sops"))
            silent.append(connection)
        for connection in silent[::2]:
            connection.sendall(PREFACE[: 1 + len(silent) % 20])
        with others(house):
            assert works(house)
    finally:
        for connection in silent:
            connection.close()
    assert works(house)


def test_many_at_once(house):
    """Two key groups of many files: parts of 33 bytes under two keys, all at a time."""
    other = house.service.new_key()
    parts = {house.key: os.urandom(33), other: os.urandom(33)}
    wrong = []

    def one(name):
        with house.sops() as sops:
            key = sops.key("kms", arn=f"arn:aws:kms:us-east-1:000000000000:key/{name}")
            for _ in range(20):
                if sops.decrypt(key, sops.encrypt(key, parts[name])) != parts[name]:
                    wrong.append(name)

    threads = [threading.Thread(target=one, args=(name,)) for name in list(parts) * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    done = [r for r in house.service.records(operation="Decrypt", protocol="sops", outcome="OK") if r["access"][0]["key_id"] == other]
    assert len(done) == 8 * 20
