"""Requests that a client compressed, on every kind of listener; and what uses compression to do harm."""
import gzip
import os
import pathlib
import shutil
import tempfile
import threading
import zlib

import pytest

import http2
from bystander import Bystander
from harness import ADMIN, APP, Service, failure
from sops_world import Sops, door
from test_kubernetes import ApiServer

MIB = 1 << 20
PACK = {"gzip": gzip.compress, "deflate": zlib.compress}
ENCRYPT, BATCH = "/kms.v1.CryptoService/Encrypt", "/kms.v1.BatchService/EncryptBatch"
STREAM = "/kms.v1.AuditService/StreamAuditRecords"
CHECK, WATCH, LIST = (f"/grpc.health.v1.Health/{name}" for name in ("Check", "Watch", "List"))
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
BOTH = pytest.mark.parametrize("encoding", list(PACK))
OK, INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 0, 3, 5, 8, 12, 13
ZEROS = bytes(4096)


class House:
    def __init__(self, directory, folder):
        # What the sanitizer keeps of freed memory would be taken for use.
        options = "quarantine_size_mb=0:thread_local_quarantine_size_kb=0:" + os.environ.get("ASAN_OPTIONS", "")
        self.service, self.folder = Service(directory, environment={"ASAN_OPTIONS": options}), folder
        self.service.write_config(
            unix="  unix:\n"
            + "".join(door(self.path(name), protocol=name, principal=APP) for name in ("kms", "sops", "kubernetes"))
            + "      key: alias/etcd\n"
            + door(self.path("admin"), protocol="kms", principal=ADMIN),
            hsm={"deadline": "30s"},
        )
        self.service.init().start()
        self.key = self.service.new_key()
        with self.service.client(ADMIN) as admin:
            admin.CreateAlias(alias_name="alias/etcd", target_key_id=self.key)
            self.methods = {name: admin.method(name)[1:] for name in ("Encrypt", "Decrypt", "EncryptBatch", "StreamAuditRecords")}

    def path(self, name):
        return os.path.join(self.folder, name)

    def request(self, method, **fields):
        return self.methods[method][0](**fields).SerializeToString()

    def encrypt(self, plaintext=ZEROS):
        return self.request("Encrypt", key_id=self.key, plaintext=plaintext)

    def call(self, path, packed, encoding="gzip", name="kms", flag=True):
        """Bytes that stand for a compressed message."""
        headers = {"grpc_encoding": encoding} if encoding else {}
        return http2.call(self.path(name), path, http2.message(packed, compressed=flag), **headers)

    def works(self):
        with self.service.client(APP) as app:
            return len(app.Encrypt(key_id=self.key, plaintext=b"x").ciphertext_blob) > 0


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tempfile.mkdtemp(prefix="kmsd-gz-")  # a short path: sockets have 107 bytes
    built = House(tmp_path_factory.mktemp("gz") / "home", folder)
    yield built
    built.service.stop()
    shutil.rmtree(folder)


@BOTH
def test_a_library_compresses_on_every_listener(house, encoding):
    import grpc

    compression = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}[encoding]
    for unix in (None, house.path("kms")):
        with house.service.client(APP, unix=unix) as app:
            sealed = app.Encrypt(key_id=house.key, plaintext=ZEROS, compression=compression).ciphertext_blob
            assert app.Decrypt(ciphertext_blob=sealed).plaintext == ZEROS
            items = [{"key_id": house.key, "plaintext": bytes(60000)}] * 5  # more than one call may have
            reply = app.EncryptBatch(items=items, compression=compression)
            assert [one.WhichOneof("result") for one in reply.results] == ["success"] * 5
    with Sops("unix:" + house.path("sops")) as sops:
        key = sops.key("kms", arn=house.key)
        assert sops.decrypt(key, sops.encrypt(key, ZEROS, compression=compression)) == ZEROS
    with ApiServer(house.path("kubernetes")) as server:
        sealed = server.call("Encrypt", plaintext=bytes(900), uid="u" * 36, compression=compression)
        assert server.decrypt(sealed) == bytes(900)


@BOTH
def test_every_kind_of_call(house, encoding):
    """Libraries leave short requests as they are; not so here. The answer is never compressed, though the client may take that."""
    pack = PACK[encoding]
    answer = house.call(ENCRYPT, pack(house.encrypt()), encoding)
    assert answer.status == OK and answer.field("grpc-encoding") is None
    sealed = house.methods["Encrypt"][1].FromString(answer.reply).ciphertext_blob
    request = house.request("Decrypt", ciphertext_blob=sealed)
    answer = house.call("/kms.v1.CryptoService/Decrypt", pack(request), encoding)
    assert house.methods["Decrypt"][1].FromString(answer.reply).plaintext == ZEROS
    assert house.call(CHECK, pack(b"\x0a\x03hsm"), encoding).reply == b"\x08\x01"
    assert house.call(LIST, pack(b""), encoding).status == OK
    assert house.call(CHECK, pack(b"\x0a\x03abc"), encoding).status == NOT_FOUND
    answer = house.call(REFLECTION, pack(b"\x3a\x01*"), encoding)
    assert answer.status == OK and b"kms.v1.CryptoService" in answer.data
    answer = house.call(STREAM, pack(house.request("StreamAuditRecords", last=1)), encoding, name="admin")
    assert answer.status == OK and b'"operation"' in answer.data


@BOTH
def test_a_stream_of_compressed_requests(house, encoding):
    """Each message of a stream is compressed on its own; some are, some are not."""
    one, packed = http2.message(b"\x3a\x01*"), http2.message(PACK[encoding](b"\x3a\x01*"), compressed=True)
    answer = http2.call(house.path("kms"), REFLECTION, one + packed + packed + one, grpc_encoding=encoding)
    assert answer.status == OK and answer.data.count(b"kms.v1.CryptoService") == 4


@BOTH
def test_a_watch_asked_for_compressed(house, encoding):
    with http2.Connection(house.path("kms")) as watch:
        watch.begin(WATCH, http2.message(PACK[encoding](b"\x0a\x05audit"), compressed=True), grpc_encoding=encoding)
        while not watch.answer.data:
            watch.read()
        assert watch.answer.reply == b"\x08\x01" and not watch.answer.ended


BROKEN = {
    "cut": lambda data: data[:-1],
    "half": lambda data: data[: len(data) // 2],
    "nothing": lambda data: b"",
    "a bit": lambda data: data[:12] + bytes([data[12] ^ 1]) + data[13:],
    "checksum": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "more behind it": lambda data: data + b"x",
    "two of them": lambda data: data * 2,
    "plain": lambda data: ZEROS,
    "noise": lambda data: bytes(range(256)) * 4,
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_cannot_be_decompressed(house, how):
    for encoding, pack in PACK.items():
        answer = house.call(ENCRYPT, BROKEN[how](pack(house.encrypt())), encoding)
        assert answer.status == INTERNAL and "cannot be decompressed: " in answer.field("grpc-message")
        record = house.service.records(operation="Encrypt")[-1]
        assert record["outcome"] == "BAD_COMPRESSION" and record["principal"] == APP
        assert house.call(CHECK, BROKEN[how](pack(bytes(300))), encoding).status == INTERNAL
    for name, path in (("sops", "/KeyService/Encrypt"), ("kubernetes", "/v2.KeyManagementService/Encrypt")):
        assert house.call(path, BROKEN[how](gzip.compress(ZEROS)), name=name).status == INTERNAL
        assert house.service.records(protocol=name)[-1]["outcome"] == "BAD_COMPRESSION"
    assert house.works()


@pytest.mark.parametrize("encoding", ["snappy", "br", "zstd", "GZIP", "x" * 100, None, "identity"])
@pytest.mark.parametrize("method", [ENCRYPT, STREAM, CHECK, WATCH, LIST, REFLECTION, "/KeyService/Encrypt"])
def test_encodings_that_are_none(house, method, encoding):
    name = "sops" if method == "/KeyService/Encrypt" else "kms"
    answer = house.call(method, gzip.compress(house.encrypt()), encoding, name=name)
    assert answer.status == UNIMPLEMENTED and "neither by gzip nor by deflate" in answer.field("grpc-message")
    assert answer.field("grpc-accept-encoding") == "identity, deflate, gzip", answer.headers
    assert house.works()


def test_an_unknown_encoding_is_recorded(house):
    house.call(ENCRYPT, house.encrypt(), "snappy")
    record = house.service.records(kind="call")[-1]
    assert (record["operation"], record["outcome"], record["principal"]) == ("Encrypt", "UNSUPPORTED", APP)


def test_a_name_without_the_flag(house):
    """A message that is not compressed may come with any encoding (gRPC's compression.md)."""
    for encoding in ("gzip", "deflate", "identity", "snappy"):
        assert house.call(ENCRYPT, house.encrypt(), encoding, flag=False).status == OK
        assert house.call(CHECK, b"", encoding, flag=False).reply == b"\x08\x01"


# -- few bytes that become many --


def check_limit(house, path, packed, code, outcome, words, **options):
    answer = house.call(path, packed, **options)
    assert answer.status == code and words in answer.field("grpc-message"), answer.headers
    if outcome:
        assert house.service.records(kind="call")[-1]["outcome"] == outcome


def test_limits_are_those_of_what_comes_out(house):
    limit = 256 << 10  # limits.message
    check_limit(house, ENCRYPT, gzip.compress(house.encrypt(bytes(limit))), RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED",
                "a compressed request of more than 262144 bytes, which is the most (limits.message)")
    check_limit(house, ENCRYPT, gzip.compress(house.encrypt(bytes(65537))), INVALID_ARGUMENT, "INVALID_ARGUMENT", "65536")
    check_limit(house, BATCH, gzip.compress(bytes(2 * MIB)), RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED",
                "more than 1572864 bytes, which is the most (limits.batch_bytes)")  # limits.batch_bytes and half a MiB of names
    check_limit(house, CHECK, gzip.compress(b"\x0a\x88\x27" + bytes(5000)), RESOURCE_EXHAUSTED, None, "more than 4096 bytes")
    check_limit(house, REFLECTION, gzip.compress(bytes(5000)), RESOURCE_EXHAUSTED, None, "more than 4096 bytes")
    noise = os.urandom(300 << 10)  # does not shrink
    check_limit(house, ENCRYPT, gzip.compress(noise), RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED", "at most 262144")


def bomb():
    """A GiB of zeros."""
    pack, piece = zlib.compressobj(9, zlib.DEFLATED, 31), bytes(16 * MIB)
    return b"".join(pack.compress(piece) for _ in range(64)) + pack.flush()


def highest(pid):
    """Most memory that the process ever had, in bytes."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def others(house):
    return Bystander(lambda: house.service.client(APP), house.key)


def test_a_bomb(house):
    """A GiB in a MiB: refused as soon as it is seen to be too long, by every listener; nobody else notices."""
    packed, pid = bomb(), house.service.process.pid
    assert len(packed) < MIB + MIB // 32
    short = packed[: 250 << 10]  # within limits.message, and still 250 MiB
    house.call(ENCRYPT, gzip.compress(house.encrypt()))
    before = highest(pid)
    with others(house):
        for _ in range(3):
            assert house.call(BATCH, packed[:MIB]).status == RESOURCE_EXHAUSTED
            assert house.call(ENCRYPT, short).status == RESOURCE_EXHAUSTED
            assert house.call("/KeyService/Encrypt", short, name="sops").status == RESOURCE_EXHAUSTED
            assert house.call("/v2.KeyManagementService/Encrypt", short, name="kubernetes").status == RESOURCE_EXHAUSTED
            assert house.call(CHECK, short[:4096]).status == RESOURCE_EXHAUSTED
            assert house.call(WATCH, short[:4096]).status == RESOURCE_EXHAUSTED
            assert house.call(REFLECTION, short[:4096]).status == RESOURCE_EXHAUSTED
            assert house.call(BATCH, packed).status == RESOURCE_EXHAUSTED  # gRPC itself takes no more
    assert highest(pid) - before < 64 * MIB
    assert house.works()


def test_many_bombs_at_once(house):
    packed, pid, seen = bomb()[:MIB], house.service.process.pid, []
    before = highest(pid)
    with others(house):
        threads = [threading.Thread(target=lambda: seen.append(house.call(BATCH, packed).status)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == [RESOURCE_EXHAUSTED] * 16
    assert highest(pid) - before < 128 * MIB
