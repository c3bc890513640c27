"""KMS v2 of Kubernetes: the calls of an API server, by grpcio, as its code makes them."""
import os
import shutil
import tempfile
import uuid

import pytest
import yaml

from harness import ADMIN, APP, OTHER, ROOT, Failure, Service, failure, key_policy
from sops_world import ME, door, set_up_as_told

CONTEXT = {"kmsd:protocol": "kubernetes-kms-v2"}
SEED = bytes(range(32))


class ApiServer:
    """One connection, as kube-apiserver has it: no metadata, authority localhost, three seconds, waits until the socket is there."""

    def __init__(self, path):
        import grpc
        from k8s import kms_v2_pb2

        self.grpc, self.pb = grpc, kms_v2_pb2
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.default_authority", "localhost"),
                   ("grpc.max_reconnect_backoff_ms", 100)]
        self.channel = grpc.insecure_channel("unix:" + path, options=options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def call(self, method, timeout=30, compression=None, **fields):
        request, reply = getattr(self.pb, method + "Request"), getattr(self.pb, method + "Response")
        function = self.channel.unary_unary(
            f"/v2.KeyManagementService/{method}", request_serializer=request.SerializeToString, response_deserializer=reply.FromString
        )
        try:
            return function(request(**fields), timeout=timeout, wait_for_ready=True, compression=compression)
        except self.grpc.RpcError as error:
            raise Failure(error) from None

    def status(self):
        return self.call("Status")

    def encrypt(self, plaintext=SEED):
        return self.call("Encrypt", plaintext=plaintext, uid=str(uuid.uuid4()))

    def decrypt(self, sealed, **changed):
        fields = {"ciphertext": sealed.ciphertext, "key_id": sealed.key_id, "uid": str(uuid.uuid4())}
        return self.call("Decrypt", **dict(fields, **changed)).plaintext


class House:
    def __init__(self, directory, folder):
        self.service, self.folder = Service(directory), folder
        item = "      key: alias/etcd\n"
        self.service.write_config(
            unix="  unix:\n" + door(self.path("k8s"), protocol="kubernetes", principal=APP) + item
            + door(self.path("denied"), protocol="kubernetes", principal=OTHER) + item
            + door(self.path("strangers"), protocol="kubernetes", uids={12345: APP}) + item
            + door(self.path("none"), protocol="kubernetes", principal=APP) + "      key: alias/nobody\n"
            + door(self.path("kms"), protocol="kms", principal=APP)
        )
        self.service.init().start()
        self.key = self.new_key()
        with self.service.client(ADMIN) as admin:
            admin.CreateAlias(alias_name="alias/etcd", target_key_id=self.key)

    def new_key(self):
        return self.service.new_key(policy=key_policy())

    def path(self, name):
        return os.path.join(self.folder, name)

    def api_server(self, name="k8s"):
        return ApiServer(self.path(name))


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tempfile.mkdtemp(prefix="kmsd-k8s-")  # a short path: sockets have 107 bytes
    built = House(tmp_path_factory.mktemp("k8s") / "home", folder)
    yield built
    built.service.stop()
    shutil.rmtree(folder)


def test_a_seed_goes_and_comes(house):
    """Status and Encrypt name the same key; the record is that of Encrypt, says the protocol and the server's name of the call."""
    with house.api_server() as server:
        status = server.status()
        assert (status.version, status.healthz) == ("v2", "ok") and status.key_id.startswith(house.key + "/v")
        sealed = server.encrypt()
        assert sealed.key_id == status.key_id and 1 <= len(sealed.ciphertext) <= 1024 and not sealed.annotations
        assert server.decrypt(sealed) == SEED
        name = str(uuid.uuid4())
        server.call("Encrypt", plaintext=SEED, uid=name)
    (record,) = house.service.records(operation="Encrypt", correlation_id=name)
    assert (record["protocol"], record["outcome"], record["principal"], record["peer"]) == ("kubernetes", "OK", APP, ME)
    assert record["access"][0]["key_id"] == house.key and record["access"][0]["context"] == CONTEXT
    assert house.service.records(operation="DescribeKey", protocol="kubernetes")[-1]["outcome"] == "OK"


def test_what_an_api_server_gives_back_is_checked(house):
    with house.api_server() as server:
        sealed = server.encrypt()
        other = sealed.key_id[:-1] + str(int(sealed.key_id[-1]) + 1)
        wrong = [({"key_id": other}, "key_id: not the one"), ({"key_id": "k1"}, "key_id: not the one"),
                 ({"annotations": {"v.example": b"1"}}, "annotations: Encrypt answered none")]
        for changed, words in wrong:
            refused = failure(server.decrypt, sealed, **changed)
            assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_CIPHERTEXT") and words in refused.message
        flipped = bytes([*sealed.ciphertext[:-1], sealed.ciphertext[-1] ^ 1])
        assert failure(server.decrypt, sealed, ciphertext=flipped).reason == "INVALID_CIPHERTEXT"
        assert failure(server.decrypt, sealed, ciphertext=b"").code == "INVALID_ARGUMENT"
        for method in ("Encrypt", "Decrypt"):
            assert "uid: there is none" in failure(server.call, method).message
        assert "an API server takes 1024" in failure(server.encrypt, plaintext=bytes(2000)).message
        assert server.decrypt(sealed) == SEED
    refused = [r for r in house.service.records(operation="Decrypt", protocol="kubernetes") if r["outcome"] != "OK"]
    assert refused[0]["extra"]["foreign_key"] == other and "plaintext" not in str(refused)


def test_only_seeds_of_this_protocol(house):
    """What was sealed otherwise under the same key does not open here, and the other way round needs its context."""
    with house.api_server() as server, house.service.client(APP) as app:
        sealed = server.encrypt()
        own = app.Encrypt(key_id=house.key, plaintext=b"x").ciphertext_blob
        assert failure(server.decrypt, sealed, ciphertext=own).reason == "INVALID_CIPHERTEXT"
        assert failure(app.Decrypt, ciphertext_blob=sealed.ciphertext).reason == "INVALID_CIPHERTEXT"
        assert app.Decrypt(ciphertext_blob=sealed.ciphertext, encryption_context=CONTEXT).plaintext == SEED


def test_rotation_and_another_key(house):
    """Each is a new key_id, in Status and Encrypt at once; what was sealed before still opens."""
    with house.api_server() as server, house.service.client(ADMIN) as admin:
        before = server.encrypt()
        admin.RotateKeyOnDemand(key_id=house.key)
        rotated = server.encrypt()
        assert server.status().key_id == rotated.key_id != before.key_id
        assert rotated.key_id.split("/")[0] == house.key
        second = house.new_key()
        admin.UpdateAlias(alias_name="alias/etcd", target_key_id=second)
        moved = server.encrypt()
        assert server.status().key_id == moved.key_id == second + "/v1"
        assert [server.decrypt(sealed) for sealed in (before, rotated, moved)] == [SEED] * 3
        admin.UpdateAlias(alias_name="alias/etcd", target_key_id=house.key)


def test_a_key_that_cannot_be_used(house):
    """Status says it in words, without failing; Encrypt and Decrypt fail."""
    with house.api_server() as server, house.service.client(ADMIN) as admin:
        sealed = server.encrypt()
        admin.DisableKey(key_id=house.key)
        status = server.status()
        assert status.healthz == "key alias/etcd of kmsd is KEY_STATE_DISABLED" and status.key_id == sealed.key_id
        for call in (server.encrypt, lambda: server.decrypt(sealed)):
            assert failure(call).code == "FAILED_PRECONDITION"
        admin.EnableKey(key_id=house.key)
        assert server.status().healthz == "ok" and server.decrypt(sealed) == SEED


def test_who_may_not(house):
    with house.api_server("denied") as server:
        for call in (server.status, server.encrypt):
            assert failure(call).code == "PERMISSION_DENIED"
    with house.api_server("none") as server:
        assert failure(server.status).code in ("NOT_FOUND", "PERMISSION_DENIED")
    with house.api_server("strangers") as server:
        refused = failure(server.encrypt)
        assert refused.code == "UNAUTHENTICATED" and f"uid {os.geteuid()}" in refused.message
    record = house.service.records(operation="Encrypt", outcome="UNAUTHENTICATED")[-1]
    assert record["peer"] == ME and record["protocol"] == "kubernetes"
    with house.api_server("kms") as server:
        assert failure(server.status).code == "UNIMPLEMENTED"


def test_many_at_once(house):
    """A hundred calls on one connection."""
    with house.api_server() as server:
        function = server.channel.unary_unary(
            "/v2.KeyManagementService/Encrypt", request_serializer=bytes, response_deserializer=server.pb.EncryptResponse.FromString
        )
        data = server.pb.EncryptRequest(plaintext=SEED, uid="many").SerializeToString()
        calls = [function.future(data, timeout=60) for _ in range(100)]
        assert len({call.result().ciphertext for call in calls}) == 100


def test_kmsd_comes_later_and_comes_back(house):
    """An API server waits for the socket, and finds it again by itself."""
    house.service.stop()
    with house.api_server() as server:
        function = server.channel.unary_unary(
            "/v2.KeyManagementService/Status", request_serializer=bytes, response_deserializer=server.pb.StatusResponse.FromString
        )
        waiting = function.future(b"", timeout=60, wait_for_ready=True)
        house.service.start()
        assert waiting.result().healthz == "ok"
        sealed = server.encrypt()
        house.service.stop()
        house.service.start()
        assert server.decrypt(sealed) == SEED


def test_the_document(fresh):
    """Its socket, its key, and the statement for a policy of one's own, are all that an API server needs."""
    principal = set_up_as_told(fresh, "kubernetes.md", (fresh.dir / "a", "alias/etcd"), (fresh.dir / "b", "alias/own"))
    for path in ("a", "b"):
        with ApiServer(str(fresh.dir / path)) as server:
            assert server.status().healthz == "ok" and server.decrypt(server.encrypt()) == SEED
    assert {r["principal"] for r in fresh.records(protocol="kubernetes")} == {principal}
    fresh.stop()


def test_the_sample_for_the_api_server():
    """What kube-apiserver refuses, or takes for v1, is not in it."""
    (entry,) = yaml.safe_load((ROOT / "deploy/kubernetes/encryption-configuration.yaml").read_text())["resources"]
    first, last = entry["providers"]
    assert (first["kms"]["apiVersion"], set(first["kms"])) == ("v2", {"apiVersion", "name", "endpoint", "timeout"})
    assert ":" not in first["kms"]["name"] and first["kms"]["endpoint"].startswith("unix:///") and last == {"identity": {}}


@pytest.mark.parametrize(
    "protocol, key, words",
    [
        ("kubernetes", "", "option 'listen.unix[0].key': a socket of protocol kubernetes needs the key"),
        ("kms", "alias/x", "option 'listen.unix[0].key': only a socket of protocol kubernetes has one"),
        ("kubernetes", "not a key", "option 'listen.unix[0].key': a key is named by its id"),
    ],
)
def test_what_the_configuration_may_not_say(fresh, protocol, key, words):
    item = f'      key: "{key}"\n' if key else ""
    fresh.write_config(unix="  unix:\n" + door(fresh.dir / "s", protocol=protocol, principal=APP) + item)
    done = fresh.kmsd("check", check=False)
    assert done.returncode != 0 and "CONFIG_INVALID" in done.stderr and words in done.stderr, done.stderr
