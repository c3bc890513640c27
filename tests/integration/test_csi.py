"""The provider of the Secrets Store CSI driver: the calls of a node's driver, by grpcio, as its code makes them."""
import json
import signal
import uuid

import pytest

from callers import secret_policy
from csi_world import BATCH, DRIVER, WEB, house_of, objects, sample_objects
from harness import ADMIN, ROOT, Failure, failure, wait_for
from sops_world import ME


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    yield from house_of(tmp_path_factory)


@pytest.fixture
def name():
    return "t/" + uuid.uuid4().hex[:12]


def refusal(call, *arguments):
    """None: it was not refused."""
    try:
        call(*arguments)
    except Failure as refused:
        return refused
    return None


def blocks(page):
    """The code blocks of a document."""
    found = [[]]
    for line in (ROOT / "docs" / page).read_text().splitlines():
        if line.startswith("    "):
            found[-1].append(line[4:])
        elif found[-1]:
            found.append([])
    return ["\n".join(lines) for lines in found if lines]


def test_the_document_is_true(house, fresh, name):
    """Its configuration is one, and its policy lets the sample's pod read."""
    listen, statement = blocks("csi.md")[:2]
    fresh.write_config(unix=listen.removeprefix("listen:\n"))
    fresh.kmsd("check")
    policy = json.loads(secret_policy(users=(ADMIN + "2",)))
    policy["Statement"].append(json.loads(statement))
    with house.service.client(ADMIN) as admin:
        admin.CreateSecret(name=name, value={"secret_string": "x"}, resource_policy=json.dumps(policy))
    with house.driver() as driver:
        assert list(driver.files(objects({"objectName": name})).values()) == [b"x"]


def test_the_driver_asks_for_the_version(house):
    """Without a record: it asks all the time, and hears nothing that anybody may not know."""
    before = len(house.service.records())
    with house.driver() as driver:
        said = driver.call("Version", version="v1alpha1")
        health = driver.channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=bytes, response_deserializer=bytes)
        assert health(b"\x0a\x1av1alpha1.CSIDriverProvider", timeout=60) == b"\x08\x01"  # SERVING
    assert (said.version, said.runtime_name) == ("v1alpha1", "kmsd") and said.runtime_version.count(".") == 2
    assert [r for r in house.service.records()[before:] if r.get("protocol")] == []


def test_the_sample_is_mounted(house):
    """Files, modes and versions of deploy/kubernetes, and one record for each object."""
    database = json.dumps({"user": "shop", "password": "pä\"ss"})
    version = house.secret("shop/db", database)
    old = house.secret("shop/api-key", "old key")
    house.put("shop/api-key", "new key")
    uid = str(uuid.uuid4())
    with house.driver() as driver:
        answer = driver.mount(sample_objects(), uid=uid)
    assert not answer.HasField("error")
    assert [(f.path, f.mode, f.contents) for f in answer.files] == [
        ("shop_db", 0o644, database.encode()), ("db-password", 0o400, "pä\"ss".encode()), ("api-key.old", 0o644, b"old key")]
    assert [(v.id, v.version) for v in answer.object_version] == [
        ("shop/db", version), ("shop/db#password", version), ("shop/api-key?stage=AWSPREVIOUS", old)]
    records = house.service.records(correlation_id=uid)
    assert [r["extra"]["secret_version"] for r in records] == [version, version, old]
    assert len({r["request_id"] for r in records}) == 3
    for record in records:
        assert (record["operation"], record["protocol"], record["outcome"]) == ("GetSecretValue", "csi", "OK")
        assert (record["principal"], record["principal_source"], record["peer"]) == (WEB, "pod", ME)
        said = record["extra"]
        assert (said["pod_namespace"], said["service_account"], said["pod"]) == ("shop", "web", "web-7d4f")
        assert said["peer_principal"] == DRIVER
        assert [a["decision"] for a in record["access"]] == ["allow", "allow"]
    assert [r["extra"].get("field") for r in records] == [None, "password", None]


def test_a_rotation_is_seen(house, name):
    """Whatever versions the driver says it has, it hears which there are now, and gets the files."""
    first = house.secret(name, "one")
    wanted = objects({"objectName": name, "objectAlias": "f"})
    with house.driver() as driver:
        assert [(v.id, v.version) for v in driver.mount(wanted).object_version] == [(name, first)]
        second = house.put(name, "two")
        answer = driver.mount(wanted, known=[(name, first)])
        assert [(v.id, v.version) for v in answer.object_version] == [(name, second)] and answer.files[0].contents == b"two"
        again = driver.mount(wanted, known=[(name, second)])
        assert again == answer
        pinned = {"objectName": name, "objectVersion": first, "objectAlias": "f"}
        assert driver.files(objects(pinned)) == {"f": b"one"}
        for indent in (None, 1):
            assert driver.files(json.dumps([pinned], indent=indent)) == {"f": b"one"}


def test_bytes_and_modes(house, name):
    binary = bytes(range(256)) * 256
    house.secret(name, binary)
    wanted = objects({"objectName": name, "objectAlias": ".b", "filePermission": "0440"}, {"objectName": name})
    with house.driver() as driver:
        answer = driver.mount(wanted, permission="256")
        assert [(f.path, f.mode) for f in answer.files] == [(".b", 0o440), (name.replace("/", "_"), 0o400)]
        assert all(f.contents == binary for f in answer.files)
        assert driver.mount(wanted, permission="").files[1].mode == 0o644


def test_a_manifest_that_was_made_for_aws(house, name):
    """The secret, and beside it files of its members."""
    value = json.dumps({"username": "me", "pass-word": "it"})
    version = house.secret(name, value)
    members = [{"path": "username", "objectAlias": "user"}, {"path": '"pass-word"', "objectAlias": "pw", "filePermission": "0400"}]
    whole = {"objectName": name, "objectType": "secretsmanager", "objectAlias": "all", "jmesPath": members}
    wanted = objects(whole, {"objectName": name})
    with house.driver() as driver:
        answer = driver.mount(wanted, region="eu-central-1")
        assert [(f.path, f.mode, f.contents.decode()) for f in answer.files] == [
            ("all", 0o644, value), ("user", 0o644, "me"), ("pw", 0o400, "it"), (name.replace("/", "_"), 0o644, value)]
        assert [(v.id, v.version) for v in answer.object_version] == [
            (name, version), (name + "#username", version), (name + "#pass-word", version), (name, version)]
        members[0]["path"] = "user"
        refused = failure(driver.mount, objects({"objectName": name + "2"}, {"objectName": name, "jmesPath": members}))
        assert f"objects[0] ({name}2)" in refused.message
        house.secret(name + "2", "x")
        refused = failure(driver.mount, objects({"objectName": name + "2"}, {"objectName": name, "jmesPath": members}))
        assert refused.code == "NOT_FOUND" and f"objects[1] ({name}): field user: the secret has no such field" in refused.message


def test_who_reads(house, name):
    """The pod's service account, or all of a namespace that nothing is said of otherwise; nobody else."""
    house.secret(name, "x", readers=(WEB,))
    house.secret(name + "2", "y", readers=(BATCH,))
    one, two = objects({"objectName": name, "objectAlias": "f"}), objects({"objectName": name + "2", "objectAlias": "f"})
    with house.driver() as driver:
        assert driver.files(one) == driver.files(one, namespace="batch") == {"f": b"x"}
        assert driver.files(two, namespace="batch", account="job") == {"f": b"y"}
        denied = failure(driver.mount, one, namespace="batch", account="job")
        assert denied.code == "PERMISSION_DENIED" and f"objects[0] ({name}): {BATCH} lacks" in denied.message
        for namespace, account in (("shop", "other"), ("kube-system", "web")):
            refused = failure(driver.mount, one, namespace=namespace, account=account)
            assert refused.code == "UNAUTHENTICATED"
            assert f"service account {account} of namespace {namespace} is mapped to no principal" in refused.message
    record = house.service.records(outcome="UNAUTHENTICATED", protocol="csi")[-1]
    assert record["principal"] == DRIVER and record["extra"]["pod_namespace"] == "kube-system"


def test_peers_and_other_doors(house):
    with house.driver("strangers") as driver:
        for call in (lambda: driver.mount("[]"), lambda: driver.call("Version", version="v1alpha1")):
            assert failure(call).code == "UNAUTHENTICATED"
    refused = house.service.records(outcome="UNAUTHENTICATED", protocol="csi")
    assert {record["operation"] for record in refused} >= {"GetStatus", "GetSecretValue"}
    with house.driver("kms") as driver:
        assert failure(driver.mount, "[]").code == failure(driver.call, "Version").code == "UNIMPLEMENTED"
    with house.service.client(DRIVER, unix=house.path("csi")) as client:
        assert failure(client.GetSecretValue, secret_id="shop/db").code == "UNIMPLEMENTED"


@pytest.mark.parametrize("who", [DRIVER, WEB])
def test_the_deny_list(tmp_path_factory, who):
    """A driver whose node is lost, or the pods of one service account."""
    deny = tmp_path_factory.mktemp("deny") / "list"
    deny.write_text("# nobody yet\n")
    for house in house_of(tmp_path_factory, authn={"deny_list": str(deny)}):
        house.secret("shop/db", "x", readers=(WEB, BATCH))
        wanted = objects({"objectName": "shop/db", "objectAlias": "f"})
        with house.driver() as driver:
            assert driver.files(wanted) == {"f": b"x"}
            deny.write_text(f"principal {who}\n")
            house.service.signal(signal.SIGHUP)
            refused = wait_for(lambda: refusal(driver.mount, wanted), 60, "a refusal")
            assert refused.reason == "UNAUTHENTICATED" and "deny list" in refused.message
            assert house.service.records(operation="GetSecretValue", outcome="UNAUTHENTICATED")[-1]["principal"] == who
            if who == DRIVER:
                assert failure(driver.call, "Version", version="v1alpha1").reason == "UNAUTHENTICATED"
                assert failure(driver.mount, wanted, namespace="batch", account="job").reason == "UNAUTHENTICATED"
            else:
                assert driver.files(wanted, namespace="batch", account="job") == {"f": b"x"}


def test_one_that_fails_is_the_failure_of_all(house, name):
    """The words name the object; what was read for the others is on record, and none of it answered."""
    house.secret(name, "marked-value")
    house.secret(name + "-not", "x", readers=(BATCH,))
    uid = str(uuid.uuid4())
    wanted = [{"objectName": name, "objectAlias": "a"}, {"objectName": name + "-not"}, {"objectName": name, "objectAlias": "c"}]
    with house.driver() as driver:
        refused = failure(driver.mount, objects(*wanted), uid=uid)
    assert refused.code == "PERMISSION_DENIED" and refused.reason == "ACCESS_DENIED"
    assert f"objects[1] ({name}-not): {WEB} lacks secretsmanager:GetSecretValue" in refused.message
    assert "marked-value" not in refused.message
    records = house.service.records(correlation_id=uid)
    assert sorted(r["outcome"] for r in records) == ["ACCESS_DENIED", "OK", "OK"]
    (record,) = (r for r in records if r["outcome"] != "OK")
    assert record["request_id"] == refused.request_id


def test_what_is_not_there(house, name):
    house.secret(name, json.dumps({"a": "1", "n": None, "o": {"x": [1, "two "]}}))
    house.secret(name + "-text", "no object")
    wrong = [({"objectName": name + "-none"}, "PERMISSION_DENIED", "or there is no such secret"),
             ({"objectName": name, "objectVersionLabel": "MINE"}, "NOT_FOUND", "has no value with stage MINE"),
             ({"objectName": name, "field": "b"}, "NOT_FOUND", "field b: the secret has no such field"),
             ({"objectName": name, "field": "n"}, "INVALID_ARGUMENT", "field n: the field is null"),
             ({"objectName": name + "-text", "field": "a"}, "INVALID_ARGUMENT", "field a: the secret is no JSON object")]
    with house.driver() as driver:
        for item, code, words in wrong:
            refused = failure(driver.mount, objects(item))
            assert refused.code == code and f"objects[0] ({item['objectName']}): " in refused.message and words in refused.message
            assert "no object" not in refused.message
        assert driver.files(objects({"objectName": name, "field": "o", "objectAlias": "o"})) == {"o": b'{"x":[1,"two "]}'}


@pytest.mark.parametrize(
    "wanted, words",
    [
        (None, "attributes: there is no objects"),
        ("", "attributes: there is no objects"),
        ("[]", "objects: 1 to 100, not 0"),
        ("- objectName: a\n- objektName: b\n", "parameters:3: option 'objects[1].objektName': no such option; allowed: "),
        ("- objectAlias: a\n", "parameters:2: option 'objects[0].objectName': missing"),
        ("- objectName: [a]\n", "option 'objects[0].objectName'"),
        ("- objectName: 'a\n", "parameters:3: not YAML"),
        ("{objectName: a}", "option 'objects'"),
        ("x: 1\n", "parameters:2: option 'x': no such option; allowed: objects"),
        ("- objectName: a\n---\n- objectName: b\n", "parameters:4: a second document"),
        ("- {objectName: a, objectType: ssmparameter}", "option 'objects[0].objectType'"),
        ("- {objectName: a, filePermission: '0999'}", "option 'objects[0].filePermission'"),
        ("- {objectName: a, objectAlias: b/c}", "objects[0] (a): the name of its file: it has a slash"),
        ("- {objectName: a, objectAlias: ..}", "objects[0] (a): the name of its file: no file of a volume may be called so"),
        ("- {objectName: a, objectAlias: ..data}", "no file of a volume may be called so"),
        ("- {objectName: a, objectAlias: .}", "no file of a volume may be called so"),
        ('- {objectName: a, objectAlias: "x\\ny"}', "it has a control character"),
        ("- objectName: " + "a" * 300, "the name of its file: longer than 255 bytes"),
        ("- {objectName: a, jmesPath: [{path: x}]}", "option 'objects[0].jmesPath[0].objectAlias': missing"),
        ("- {objectName: a, jmesPath: [{path: x.y, objectAlias: b}]}", "objects[0] (a): jmesPath: a path is the name of one member"),
        ("- {objectName: a, jmesPath: [{path: '\"a\\n\"', objectAlias: b}]}", "jmesPath: a path is the name of one member"),
        ("- {objectName: a, jmesPath: [{path: x, objectAlias: a}]}", "objects[0] (a): file a is that of objects[0]"),
        ("- {objectName: a, jmesPath: [{path: x, objectAlias: b/c}]}", "objects[0] (a): the name of its file: it has a slash"),
        ("- {objectName: a, field: f, jmesPath: [{path: x, objectAlias: b}]}", "objects[0] (a): field or jmesPath, not both"),
        ("- {objectName: a, jmesPath: [" + "{path: x, objectAlias: b}," * 65 + "]}", "option 'objects[0].jmesPath'"),
        ("- {objectName: a, jmesPath: &p [" + "{path: x, objectAlias: b}," * 64 + "]}\n" + "- {objectName: a, jmesPath: *p}\n" * 1023,
         "objects: 1 to 100, not 66560"),
        ("- objectName: a/b\n- objectName: c\n  objectAlias: a_b\n", "(c): file a_b is that of objects[0]: give an objectAlias"),
        ("- {objectName: a}\n- {objectName: a, field: b}\n", "objects[1] (a): file a is that of objects[0]"),
        ("".join(f"- objectName: a{i}\n" for i in range(101)), "objects: 1 to 100, not 101 (limits.mount_objects)"),
        ("".join(f"- objectName: a{i}\n" for i in range(1025)), "option 'objects'"),
        ("# " + "x" * 70000, "at most 65536"),
        ("[" * 20000, "not YAML"),
    ],
    ids=lambda text: text[:20].strip() if text else "nothing",  # some are long
)
def test_objects_that_are_refused(house, wanted, words):
    """Before anything is read, on record with whose pod it was."""
    uid = str(uuid.uuid4())
    with house.driver() as driver:
        refused = failure(driver.mount, wanted, uid=uid)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT") and words in refused.message, refused.message
    (record,) = house.service.records(correlation_id=uid)
    assert record["outcome"] == "INVALID_ARGUMENT" and record["extra"]["pod"] == "web-7d4f" and "access" not in record


def test_requests_that_are_refused(house):
    wanted = objects({"objectName": "shop/db"})
    with house.driver() as driver:
        good = driver.request(wanted)
        nowhere, nobody = (driver.request(wanted, **{lacks: None})["attributes"] for lacks in ("namespace", "account"))
        wrong = [({"attributes": "nothing"}, "attributes: no JSON object"), ({"attributes": ""}, "attributes: no JSON object"),
                 ({"attributes": '{"csi.storage.k8s.io/pod.namespace": "a\\u0000b"}'}, "is no text"),
                 ({"attributes": nowhere}, "there is no csi.storage.k8s.io/pod.namespace"),
                 ({"attributes": nobody}, "there is no csi.storage.k8s.io/serviceAccount.name"),
                 ({"permission": "0x1ff"}, "permission: a number of 0 to 511"), ({"permission": "512"}, "permission: a number"),
                 ({"permission": "-1"}, "permission: a number")]
        for changed, words in wrong:
            refused = failure(driver.call, "Mount", **dict(good, **changed))
            assert refused.code == "INVALID_ARGUMENT" and words in refused.message


def test_kmsd_comes_later_and_comes_back(house, name):
    """The driver waits for the socket, and finds it again by itself."""
    house.secret(name, "here")
    wanted = objects({"objectName": name, "objectAlias": "f"})
    house.service.stop()
    with house.driver() as driver:
        request = driver.pb.MountRequest(**driver.request(wanted))
        waiting = driver.function("Mount").future(request, timeout=60, wait_for_ready=True)
        house.service.start()
        assert waiting.result().files[0].contents == b"here"
        house.service.stop()
        house.service.start()
        assert driver.files(wanted) == {"f": b"here"}


def test_many_at_once(house, name):
    """Mounts of several pods on one connection, of a hundred objects each; nothing gets mixed up."""
    for i in range(4):
        house.secret(f"{name}-{i}", f"value {i}")
    wanted = [objects(*({"objectName": f"{name}-{(i + k) % 4}", "objectAlias": f"f{k}"} for k in range(25))) for i in range(4)]
    with house.driver() as driver:
        function = driver.function("Mount")
        calls = [(i, function.future(driver.pb.MountRequest(**driver.request(wanted[i % 4])), timeout=60)) for i in range(12)]
        for i, call in calls:
            try:
                files = [(f.path, f.contents.decode()) for f in call.result().files]
            except driver.grpc.RpcError as error:
                raise Failure(error) from None
            assert files == [(f"f{k}", f"value {(i + k) % 4}") for k in range(25)]
