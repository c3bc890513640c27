"""Whatever a driver asks for, it is bounded and has a clear answer, the other listeners go on, and no value stays anywhere."""
import base64
import json
import secrets
import threading
import uuid

import pytest

from callers import ADMIN2
from csi_world import WEB, House, house_of, objects, pods
from harness import ADMIN, Failure, failure, key_policy
from sops_world import door
from test_memory import readable, scan

MARKER = "marker-" + secrets.token_hex(12)
LIMITS = {"mount_bytes": "8KiB", "mount_objects": "3"}
MOUNTS = 20


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    yield from house_of(tmp_path_factory, limits=LIMITS)


@pytest.fixture
def name():
    return "t/" + uuid.uuid4().hex[:12]


def of(*names):
    return objects(*({"objectName": name, "objectAlias": f"f{i}"} for i, name in enumerate(names)))


def works(house, driver):
    name = "works/" + uuid.uuid4().hex[:12]
    house.secret(name, "still")
    return driver.files(of(name, name)) == {"f0": b"still", "f1": b"still"}


def test_more_than_a_volume_may_hold(house, name):
    """Bytes are those of files, together; what a field leaves out does not count."""
    house.secret(name + "-huge", b"h" * 8193)
    house.secret(name + "-half", b"h" * 4096)
    house.secret(name + "-json", json.dumps({"left": "out" * 10000, "k": "v"}))
    with house.driver() as driver:
        assert len(driver.files(of(name + "-half", name + "-half"))) == 2
        refused = failure(driver.mount, of(name + "-huge"))
        assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "LIMIT_EXCEEDED")
        assert "the files of the volume have more than 8192 bytes (limits.mount_bytes)" in refused.message
        uid = str(uuid.uuid4())
        refused = failure(driver.mount, of(name + "-half", name + "-half", name + "-half"), uid=uid)
        assert "more than 8192 bytes" in refused.message
        assert sorted(r["outcome"] for r in house.service.records(correlation_id=uid)) == ["LIMIT_EXCEEDED", "OK", "OK"]
        field = {"objectName": name + "-json", "field": "k", "objectAlias": "k"}
        assert driver.files(objects(field)) == {"k": b"v"}
        assert "objects: 1 to 3, not 4 (limits.mount_objects)" in failure(driver.mount, of(*[name] * 4)).message
        assert works(house, driver)


def test_more_than_the_principal_may_at_once(tmp_path, name):
    """Each object counts as a call of the pod's principal."""
    house = House(tmp_path / "home", str(tmp_path), limits={"in_flight_per_principal": "2"})
    try:
        house.secret(name, "x")
        with house.driver() as driver:
            refused = failure(driver.mount, of(name, name, name))
            assert refused.code == "RESOURCE_EXHAUSTED" and "limits.in_flight_per_principal" in refused.message
            assert "objects[2]" in refused.message and refused.retry_seconds is not None
            assert driver.files(of(name, name)) == {"f0": b"x", "f1": b"x"}
    finally:
        house.service.stop()


def test_a_deadline_of_a_millisecond(house, name):
    house.secret(name, "x")
    with house.driver() as driver:
        for _ in range(30):
            try:
                driver.call("Mount", timeout=0.001, **driver.request(of(name, name, name)))
            except Failure as refused:
                assert refused.code in ("DEADLINE_EXCEEDED", "CANCELLED", "UNAVAILABLE"), refused
        assert works(house, driver)


def test_drivers_that_go_away(house, name):
    """While their objects are being read: nothing of it stays, and the next one is answered."""
    house.secret(name, "x")
    for _ in range(10):
        with house.driver() as driver:
            function = driver.function("Mount")
            request = driver.pb.MountRequest(**driver.request(of(name, name)))
            calls = [function.future(request, timeout=60, wait_for_ready=True) for _ in range(3)]
            for call in calls:
                call.cancel()
    with house.driver() as driver:
        assert works(house, driver)


def test_requests_of_any_bytes(house, name):
    house.secret(name, "x")
    with house.driver() as driver:
        good = driver.pb.MountRequest(**driver.request(of(name))).SerializeToString()
        raw = driver.channel.unary_unary("/v1alpha1.CSIDriverProvider/Mount", request_serializer=bytes, response_deserializer=bytes)
        for data in (b"", b"\xff" * 100, good[:-1], good[: len(good) // 2], b"\x0a\x7f" + good, bytes(300000), b"\x0a\x02\xc3\x28"):
            with pytest.raises(driver.grpc.RpcError) as caught:
                raw(data, timeout=60)
            assert caught.value.code().name in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")
        assert works(house, driver)


def test_secrets_and_keys_that_cannot_be_read(house, name):
    """The words name the object, and its key only as what it is."""
    house.secret(name, "x")
    house.secret(name + "-gone", "x")
    with house.service.client(ADMIN) as admin, house.driver() as driver:
        admin.DeleteSecret(secret_id=name + "-gone", recovery_window_in_days=7)
        refused = failure(driver.mount, of(name, name + "-gone"))
        assert refused.reason == "INVALID_SECRET_STATE" and f"objects[1] ({name}-gone): " in refused.message
        admin.RestoreSecret(secret_id=name + "-gone")
        assert len(driver.files(of(name, name + "-gone"))) == 2
    key = house.service.new_key(admin=ADMIN2, policy=key_policy(admins=(ADMIN2,), users=(ADMIN, WEB)))
    house.secret(name + "-key", "x", kms_key_id=key)
    with house.service.client(ADMIN2) as keeper, house.driver() as driver:
        assert len(driver.files(of(name + "-key"))) == 1
        keeper.DisableKey(key_id=key)
        refused = failure(driver.mount, of(name, name + "-key"))
        assert refused.reason == "KEY_DISABLED" and f"objects[1] ({name}-key)" in refused.message
        keeper.EnableKey(key_id=key)
        keeper.PutKeyPolicy(key_id=key, policy=key_policy(admins=(ADMIN2,), users=(ADMIN,)))
        refused = failure(driver.mount, of(name, name + "-key"))
        assert f"objects[1] ({name}-key): {WEB} lacks kms:Decrypt on the key of this secret" in refused.message


def test_a_rotation_in_between(house, name):
    """What is in a file is of the version that the answer says."""
    value = {house.secret(name, "value 0"): b"value 0"}
    done = threading.Event()

    def rotate():
        try:
            for number in range(1, 20):
                value[house.put(name, f"value {number}")] = f"value {number}".encode()
        finally:
            done.set()

    thread = threading.Thread(target=rotate)
    thread.start()
    seen = []
    with house.driver() as driver:
        while not done.is_set():
            seen.append(driver.mount(of(name, name)))
        thread.join()
        seen.append(driver.mount(of(name, name)))
    for answer in seen:
        assert [file.contents for file in answer.files] == [value[version.version] for version in answer.object_version]
    assert seen[-1].files[0].contents == b"value 19"


def test_no_value_stays(tmp_path):
    """Not in memory, in a file, or in a record: neither the values, nor those beside a field, nor what the driver sends along."""
    options = "quarantine_size_mb=0:thread_local_quarantine_size_kb=0:detect_leaks=0"
    token = "token-" + secrets.token_hex(12)
    house = House(tmp_path / "home", str(tmp_path), log={"level": "debug"}, environment={"ASAN_OPTIONS": options})
    try:
        house.secret("a", MARKER + "-whole")
        house.secret("b", json.dumps({"k": MARKER + "-field", "beside": MARKER + "-beside"}))
        wanted = objects({"objectName": "a"}, {"objectName": "b", "field": "k"})
        with house.driver() as driver:
            for _ in range(MOUNTS):
                tokens = {"csi.storage.k8s.io/serviceAccount.tokens": json.dumps({"": {"token": token}})}
                assert driver.files(wanted, **tokens) == {"a": (MARKER + "-whole").encode(), "b": (MARKER + "-field").encode()}
                assert failure(driver.mount, wanted, permission="none", **tokens).code == "INVALID_ARGUMENT"
                failed = objects({"objectName": "a"}, {"objectName": "b", "field": "none"})
                assert failure(driver.mount, failed, **tokens).code == "NOT_FOUND"
            house.secret("c", "something else")  # gRPC's buffers are used again
            assert driver.files(objects({"objectName": "c"})) == {"c": b"something else"}
            needles = [MARKER.encode(), token.encode(), base64.b64encode(MARKER.encode())[:-4]]
            if readable(house.service.process.pid, WEB.encode()):
                found = scan(house.service.process.pid, needles)
                assert sum(found.values()) < MOUNTS // 2, found  # gRPC's buffers may have a last piece
        for path in tmp_path.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                assert not [needle for needle in needles if needle in data], path
    finally:
        house.service.stop()


def test_two_drivers_with_pods_of_their_own(tmp_path, name):
    """A socket lets in the pods of its own items only."""
    house = House(tmp_path / "home", str(tmp_path))
    try:
        house.service.stop()
        house.service.write_config(
            unix="  unix:\n" + door(house.path("one"), protocol="csi", principal="unix:one") + pods([("shop", "web", WEB)])
            + door(house.path("two"), protocol="csi", principal="unix:two") + pods([("shop", "job", WEB)]),
        )
        house.service.start()
        house.secret(name, "x")
        for socket, account, other in (("one", "web", "job"), ("two", "job", "web")):
            with house.driver(socket) as driver:
                assert driver.files(of(name), account=account) == {"f0": b"x"}
                assert failure(driver.mount, of(name), account=other).code == "UNAUTHENTICATED"
    finally:
        house.service.stop()
