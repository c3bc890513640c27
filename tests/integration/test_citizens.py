"""What any gRPC client may ask of any service: grpc.health.v1. Answers are compared as bytes where the protocol's are published."""
import os
import signal

import pytest

from harness import ADMIN, APP, Failure, wait_for
from test_crash import wait_healthy
from test_listeners import doors

HEALTH = "/grpc.health.v1.Health/"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = b"\x08\x01", b"\x08\x02", b"\x08\x03"
PARTS = ["", "hsm", "keystore", "audit"]


def asked(name):
    """A HealthCheckRequest."""
    return b"\x0a" + bytes([len(name)]) + name.encode() if name else b""


def check(client, name=""):
    return client.raw(HEALTH + "Check", asked(name))


class Watch:
    """A stream of answers."""

    def __init__(self, client, name=""):
        function = client.channel.unary_stream(
            HEALTH + "Watch", request_serializer=bytes, response_deserializer=bytes
        )
        self.grpc, self.call = client.grpc, function(asked(name))

    def next(self):
        try:
            return next(self.call)
        except self.grpc.RpcError as error:
            raise Failure(error) from None

    def fails(self):
        with pytest.raises(Failure) as caught:
            self.next()
        return caught.value.code, caught.value.reason


def everything(client):
    import grpc_health_pb2

    reply = grpc_health_pb2.HealthListResponse.FromString(client.raw(HEALTH + "List", b""))
    return {name: one.SerializeToString() for name, one in reply.statuses.items()}


def test_check_and_list(service, app):
    services = [f"kms.v1.{name}" for name in app.modules]
    assert everything(app) == dict.fromkeys(PARTS + services, SERVING)
    for name in PARTS + services:
        assert check(app, name) == SERVING


def test_health_leaves_no_record(service, app):
    app.GenerateRandom(number_of_bytes=1)
    records = len(service.records())
    check(app)
    everything(app)
    watch = Watch(app)
    assert watch.next() == SERVING
    watch.call.cancel()
    app.GenerateRandom(number_of_bytes=1)
    assert [r["operation"] for r in service.records()[records:]] == ["GenerateRandom"]


@pytest.mark.parametrize("name", ["kms.v1.Nothing", "HSM", "kms.v1.CryptoService/Encrypt", "x" * 100])
def test_no_such_name(app, name):
    with pytest.raises(Failure) as caught:
        check(app, name)
    assert (caught.value.code, caught.value.reason) == ("NOT_FOUND", "NOT_FOUND")
    watch = Watch(app, name)
    assert watch.next() == SERVICE_UNKNOWN
    assert check(app) == SERVING and not watch.call.done()  # it stays open
    watch.call.cancel()


@pytest.mark.parametrize("method", ["Check", "Watch"])
@pytest.mark.parametrize(
    "data, code",
    [
        (b"\x0a\x05hs", "INVALID_ARGUMENT"),
        (b"\x0a\x03a\0b", "INVALID_ARGUMENT"),
        (b"\x0a\x02\xff\xfe", "INVALID_ARGUMENT"),
        (b"\xff" * 64, "INVALID_ARGUMENT"),
        (asked("x") * 100, "INVALID_ARGUMENT"),
        (b"\x0a\x88\x27" + b"x" * 5000, "RESOURCE_EXHAUSTED"),
    ],
    ids=["cut", "NUL", "UTF-8", "garbage", "many", "long"],
)
def test_requests_that_are_none(app, method, data, code):
    call = app.channel.unary_stream(HEALTH + method, request_serializer=bytes, response_deserializer=bytes)
    with pytest.raises(app.grpc.RpcError) as caught:
        list(call(data, timeout=60))
    assert caught.value.code().name == code
    assert check(app) == SERVING


def test_nobody_needs_a_name(fresh):
    """A peer that maps to no principal is let in by the door, and asks nothing else."""
    stranger = doors(fresh.dir, ("door", "0600", "", {os.geteuid() + 1: APP}))
    fresh.write_config(unix=stranger)
    fresh.init().start()
    with fresh.client(None, unix=fresh.dir / "door") as client:
        assert check(client) == SERVING
        assert Watch(client, "audit").next() == SERVING
        with pytest.raises(Failure) as caught:
            client.GenerateRandom(number_of_bytes=1)
        assert caught.value.code == "UNAUTHENTICATED"


def test_the_token_vanishes_and_comes_back(fresh):
    fresh.init().start()
    wait_healthy(fresh)
    with fresh.client(APP) as app:
        watches = {name: Watch(app, name) for name in ["", "hsm", "keystore", "kms.v1.CryptoService"]}
        assert {name: watch.next() for name, watch in watches.items()} == dict.fromkeys(watches, SERVING)
        (fresh.dir / "tokens").rename(fresh.dir / "gone")
        for worker in fresh.workers():
            os.kill(worker, signal.SIGKILL)
        for name in ("", "hsm", "kms.v1.CryptoService"):
            assert watches[name].next() == NOT_SERVING
        assert check(app, "hsm") == check(app) == NOT_SERVING
        now = everything(app)
        assert {name for name in now if now[name] == SERVING} == {"keystore", "audit"}
        (fresh.dir / "gone").rename(fresh.dir / "tokens")
        for name in ("", "hsm", "kms.v1.CryptoService"):
            assert watches[name].next() == SERVING
        assert check(app) == SERVING and not watches["keystore"].call.done()


def test_watches_are_bounded(fresh):
    fresh.write_config(limits={"health_watches": "3"})
    fresh.init().start()
    with fresh.client(APP) as app:
        watches = [Watch(app) for _ in range(3)]
        assert [watch.next() for watch in watches] == [SERVING] * 3
        for _ in range(100):
            assert Watch(app).fails() == ("RESOURCE_EXHAUSTED", "LIMIT_EXCEEDED")
        assert check(app) == SERVING
        watches.pop().call.cancel()

        def room():
            watch = Watch(app)
            try:
                return watch.next() == SERVING
            except Failure as failure:
                assert failure.reason == "LIMIT_EXCEEDED"
                return False

        wait_for(room, 60, "room for another")
        assert not any(watch.call.done() for watch in watches)


def test_a_thousand_watches(fresh):
    """Others do not notice; at the end each hears that the service stops, and then why the stream ends."""
    fresh.write_config(rpc={"drain": "2m"})
    fresh.init().start()
    key, clients = fresh.new_key(), [fresh.client(APP) for _ in range(8)]
    with fresh.client(ADMIN) as admin, fresh.client(APP) as app:
        watches = [Watch(clients[i % 8], PARTS[i % 4]) for i in range(1000)]
        assert {watch.next() for watch in watches} == {SERVING}
        for _ in range(50):
            assert app.Encrypt(key_id=key, plaintext=b"x").ciphertext_blob
        assert admin.GetStatus().hsm_workers_configured == 2
        fresh.signal(signal.SIGTERM)
        assert {watch.next() for watch in watches} == {NOT_SERVING}
        assert {watch.fails() for watch in watches} == {("UNAVAILABLE", "SHUTTING_DOWN")}
    fresh.stop()
    for client in clients:
        client.close()
    assert "event=rpc.drain" not in fresh.log_text(), "nothing had to be cancelled"
