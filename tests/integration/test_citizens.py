"""What any gRPC client may ask of any service: grpc.health.v1, grpc.reflection.

Answers are compared as bytes where the protocol's are published.
"""
import os
import queue
import signal

import pytest

from harness import ADMIN, APP, Failure, failure, wait_for
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
        self.grpc, self.call = client.grpc, function(asked(name), timeout=300)

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
    records = len(service.records(kind="call"))
    check(app)
    everything(app)
    watch = Watch(app)
    assert watch.next() == SERVING
    watch.call.cancel()
    app.GenerateRandom(number_of_bytes=1)
    assert [r["operation"] for r in service.records(kind="call")[records:]] == ["GenerateRandom"]


@pytest.mark.parametrize("name", ["kms.v1.Nothing", "HSM", "kms.v1.CryptoService/Encrypt", "x" * 100])
def test_no_such_name(app, name):
    with pytest.raises(Failure) as caught:
        check(app, name)
    assert (caught.value.code, caught.value.reason) == ("NOT_FOUND", "UNKNOWN_SERVICE")
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

# -- grpc.reflection --

REFLECTION = "/grpc.reflection.%s.ServerReflection/ServerReflectionInfo"
BOTH = pytest.mark.parametrize("version", ["v1", "v1alpha"])


class Reflection:
    """One stream: a request, its answer, the next request."""

    def __init__(self, client, version="v1"):
        self.grpc, self.requests = client.grpc, queue.SimpleQueue()
        function = client.channel.stream_stream(
            REFLECTION % version, request_serializer=bytes, response_deserializer=bytes
        )
        self.call = function(iter(self.requests.get, None), timeout=300)

    def raw(self, data):
        self.requests.put(data)
        try:
            return next(self.call)
        except self.grpc.RpcError as error:
            raise Failure(error) from None

    def ask(self, **fields):
        import grpc_reflection_pb2 as reflection_pb2

        request = reflection_pb2.ServerReflectionRequest(**fields)
        response = reflection_pb2.ServerReflectionResponse.FromString(self.raw(request.SerializeToString()))
        assert response.original_request == request and response.valid_host == request.host
        return response

    def services(self):
        return [one.name for one in self.ask(list_services="*").list_services_response.service]

    def file(self, **fields):
        from google.protobuf.descriptor_pb2 import FileDescriptorProto

        [data] = self.ask(**fields).file_descriptor_response.file_descriptor_proto
        return FileDescriptorProto.FromString(data)

    def refused(self, **fields):
        """The code in an answer, which ends nothing."""
        return self.ask(**fields).error_response.error_code

    def end(self):
        """Half-closes: nothing more comes, and that is no failure."""
        self.requests.put(None)
        assert list(self.call) == [] and self.call.code().name == "OK"


@BOTH
def test_a_tool_that_knows_nothing(service, app, version):
    """As grpcurl does: the services, the file of each, and whatever those import; then a call by what was learnt."""
    from google.protobuf import descriptor_pool, message_factory

    stream, files = Reflection(app, version), {}
    services = stream.services()
    assert sorted(services) == sorted(
        [f"kms.v1.{name}" for name in app.modules]
        + ["grpc.health.v1.Health"]
        + [f"grpc.reflection.{one}.ServerReflection" for one in ("v1", "v1alpha")]
    )
    todo = [stream.file(file_containing_symbol=name) for name in services]
    while todo:
        file = todo.pop()
        files[file.name] = file
        todo += [stream.file(file_by_filename=name) for name in file.dependency if name not in files]
    stream.end()
    pool, added = descriptor_pool.DescriptorPool(), set()

    def add(file):
        if file.name not in added:
            added.add(file.name)
            for name in file.dependency:
                add(files[name])
            pool.Add(file)

    for file in files.values():
        add(file)
    for name, module in app.modules.items():
        ours = module.DESCRIPTOR.services_by_name[name]
        theirs = pool.FindServiceByName(ours.full_name)
        assert [one.full_name for one in theirs.methods] == [one.full_name for one in ours.methods]
    method = pool.FindMethodByName("kms.v1.CryptoService.GenerateRandom")
    factory = message_factory.MessageFactory(pool)
    request = factory.GetPrototype(method.input_type)(number_of_bytes=7)
    reply = app.raw("/kms.v1.CryptoService/GenerateRandom", request.SerializeToString())
    assert len(factory.GetPrototype(method.output_type).FromString(reply).plaintext) == 7


@BOTH
def test_lookups(app, version):
    stream = Reflection(app, version)
    for symbol, file in {
        "kms.v1.CryptoService.Encrypt": "kms/v1/crypto.proto",
        "kms.v1.EncryptRequest": "kms/v1/crypto.proto",
        "google.rpc.ErrorInfo": "google/rpc/status.proto",
        "grpc.health.v1.HealthCheckResponse.ServingStatus": "grpc/health/v1/health.proto",
    }.items():
        assert stream.file(file_containing_symbol=symbol, host="example").name == file
        assert stream.file(file_by_filename=file).name == file
    not_found, invalid = 5, 3
    for name in ("", "kms.v1", "kms.v1.Nothing", "x" * 3000):
        assert stream.refused(file_containing_symbol=name) == not_found
        assert stream.refused(file_by_filename=name) == not_found
        assert stream.refused(all_extension_numbers_of_type=name) == not_found
    extension = {"containing_type": "kms.v1.EncryptRequest", "extension_number": 7}
    assert stream.refused(file_containing_extension=extension) == not_found
    numbers = stream.ask(all_extension_numbers_of_type="kms.v1.EncryptRequest").all_extension_numbers_response
    assert (numbers.base_type_name, list(numbers.extension_number)) == ("kms.v1.EncryptRequest", [])
    assert stream.refused() == invalid  # asks nothing
    assert stream.raw(bytes.fromhex("3a012a")).startswith(bytes.fromhex("12033a012a32"))
    stream.end()


def test_answers_come_in_order(app):
    """Many requests at once; one is looked at, answered and written before the next."""
    import grpc_reflection_pb2 as reflection_pb2

    names = [f"kms.v1.{'CryptoService' if i % 3 else 'Nothing'}{'' if i % 3 else i}" for i in range(2000)]
    requests = [reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in names]
    call = app.channel.stream_stream(
        REFLECTION % "v1",
        request_serializer=lambda one: one.SerializeToString(),
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    answers = list(call(iter(requests), timeout=300))
    assert [one.original_request for one in answers] == requests


@BOTH
@pytest.mark.parametrize(
    "data, code",
    [
        (b"\x22\x05ab", "INVALID_ARGUMENT"),
        (b"\x22\x03a\0b", "INVALID_ARGUMENT"),
        (b"\x22\x02\xff\xfe", "INVALID_ARGUMENT"),
        (b"\xff" * 64, "INVALID_ARGUMENT"),
        (b"\x22\x01x" * 100, "INVALID_ARGUMENT"),
        (b"\x22\x88\x27" + b"x" * 5000, "RESOURCE_EXHAUSTED"),
    ],
    ids=["cut", "NUL", "UTF-8", "garbage", "many", "long"],
)
def test_requests_that_ask_nothing(app, version, data, code):
    with pytest.raises(Failure) as caught:
        Reflection(app, version).raw(data)
    assert caught.value.code == code
    assert Reflection(app, version).services()


def test_reflection_leaves_no_record(service, app):
    app.GenerateRandom(number_of_bytes=1)
    records = len(service.records(kind="call"))
    Reflection(app).services()
    app.GenerateRandom(number_of_bytes=1)
    assert [r["operation"] for r in service.records(kind="call")[records:]] == ["GenerateRandom"]


def test_reflection_streams_are_bounded_and_end_with_the_service(fresh):
    fresh.write_config(limits={"reflection_streams": "2"}, rpc={"drain": "2m"})
    fresh.init().start()
    with fresh.client(APP) as app:
        streams = [Reflection(app) for _ in range(2)]
        services = [stream.services() for stream in streams]
        with pytest.raises(Failure) as caught:
            Reflection(app).services()
        assert (caught.value.code, caught.value.reason) == ("RESOURCE_EXHAUSTED", "LIMIT_EXCEEDED")
        assert "limits.reflection_streams" in caught.value.message
        assert Reflection(app, "v1alpha").services() == services[0] == services[1]
        fresh.signal(signal.SIGTERM)
        for stream in streams:
            with pytest.raises(stream.grpc.RpcError) as ended:
                next(stream.call)
            assert Failure(ended.value).reason == "SHUTTING_DOWN"
    fresh.stop()
    assert "event=rpc.drain" not in fresh.log_text(), "nothing had to be cancelled"


def test_reflection_can_be_turned_off(fresh):
    fresh.write_config(unix="  reflection: false")
    fresh.init().start()
    with fresh.client(APP) as app:
        for version in ("v1", "v1alpha"):
            with pytest.raises(Failure) as caught:
                Reflection(app, version).services()
            assert caught.value.code == "UNIMPLEMENTED"
        assert check(app) == SERVING


# -- google.rpc.RetryInfo --


def test_whether_trying_again_helps(fresh):
    fresh.write_config(limits={"rate_per_principal": "1", "rate_burst": "1"})
    fresh.init().start()
    with fresh.client(APP) as app:
        calls = [app.start("GenerateRandom", number_of_bytes=1) for _ in range(20)]
        failures = [Failure(call.exception()) for call in calls if call.exception() is not None]
        assert {(one.reason, one.retry_seconds) for one in failures} == {("LIMIT_EXCEEDED", 0.1)}
        with pytest.raises(Failure) as caught:
            app.Encrypt(key_id="x", plaintext=bytes(1 << 20))
        assert (caught.value.reason, caught.value.retry_seconds) == ("LIMIT_EXCEEDED", None)


def test_trying_again_helps_when_the_token_is_back(fresh):
    fresh.init().start()
    key = fresh.new_key()
    with fresh.client(APP) as app:
        (fresh.dir / "tokens").rename(fresh.dir / "gone")
        for worker in fresh.workers():
            os.kill(worker, signal.SIGKILL)
        wait_for(lambda: check(app, "hsm") == NOT_SERVING, 60, "no worker")
        refused = failure(app.Encrypt, key_id=key, plaintext=b"x")
        assert (refused.reason, refused.retry_seconds) == ("HSM_UNAVAILABLE", 1)
        denied = failure(app.Encrypt, key_id="alias/nobody", plaintext=b"x")
        assert (denied.code, denied.retry_seconds) == ("PERMISSION_DENIED", None)
        (fresh.dir / "gone").rename(fresh.dir / "tokens")
