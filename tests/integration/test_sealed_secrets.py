"""kmsctl seal, unseal and sealing-key: SealedSecrets, against another implementation of kubeseal's form."""
import base64
import json
import os
import subprocess

import pytest
import yaml
from cryptography import x509

import harness
from callers import SERVICE_POLICY
from harness import ADMIN, APP, BIN, OTHER, key_policy
from sealed_secrets import (  # noqa: F401 (write is a fixture)
    BINARY,
    SCOPES,
    VALUES,
    annotations,
    certificate,
    documents,
    offline,
    opened,
    seal,
    sealed_secret,
    secret,
    values_of,
    write,
)
from test_kmsctl import ENVIRONMENT, kmsctl  # noqa: F401 (a fixture)

LISTER = "spiffe://example.org/lister"  # may use the keys and look for them
LISTERS = {
    "Statement": SERVICE_POLICY["Statement"]
    + [{"Sid": "Lister", "Effect": "Allow", "Principal": {"AWS": LISTER}, "Action": "kms:ListKeys", "Resource": "*"}]
}
TYPE = {"type": "kubernetes.io/basic-auth"}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    instance = harness.Service(tmp_path_factory.mktemp("kmsd") / "home").init()
    instance.service_policy(LISTERS)
    instance.start()
    yield instance
    instance.stop()


@pytest.fixture(scope="module")
def sealing(kmsctl, tmp_path_factory):  # noqa: F811
    """The certificate of a new sealing key, alias/sealed-secrets, RSA-4096 in the token."""
    path = tmp_path_factory.mktemp("sealing") / "cert.pem"
    kmsctl(ADMIN, "sealing-key", "create", "--admin", ADMIN, "--user", APP, "--user", LISTER, "--out", path)
    return path


@pytest.fixture(scope="module")
def public_key(sealing):
    return x509.load_pem_x509_certificate(sealing.read_bytes()).public_key()


def test_a_sealing_key_is_in_the_token_with_a_certificate(service, kmsctl, sealing):  # noqa: F811
    made = x509.load_pem_x509_certificate(sealing.read_bytes())
    assert made.public_key().key_size == 4096 and made.subject.rfc4514_string() == "CN=sealed-secrets"
    assert (made.not_valid_after - made.not_valid_before).days == 3650
    key = json.loads(kmsctl(ADMIN, "key", "describe", "alias/sealed-secrets", "-o", "json"))
    assert (key["key_spec"], key["key_usage"], key["protection_level"]) == ("RSA_4096", "ENCRYPT_DECRYPT", "HSM")
    answer = json.loads(kmsctl(APP, "sealing-key", "certificate", "--days", "3", "-o", "json"))
    again = x509.load_pem_x509_certificate(answer["certificate_pem"].encode())
    assert (again.not_valid_after - again.not_valid_before).days == 3
    assert answer["key_id"].endswith(key["key_id"]) and answer["alias"] == "alias/sealed-secrets"
    assert "CN = sealed-secrets" in subprocess.check_output(["openssl", "x509", "-noout", "-subject", "-in", sealing], text=True)


@pytest.mark.parametrize("form", ["yaml", "json"])
@pytest.mark.parametrize("scope", SCOPES)
def test_unseal_opens_what_another_sealed(kmsctl, public_key, write, scope, form):  # noqa: F811
    sealed = sealed_secret(public_key, VALUES, scope=scope, immutable=True, **TYPE)
    sealed["spec"]["template"]["metadata"]["labels"] = {"app": "mail", "on": "yes"}
    text = kmsctl(APP, "unseal", "-f", write(sealed, form=form))
    (found,) = documents(text)
    assert (found["apiVersion"], found["kind"], found["type"], found["immutable"]) == ("v1", "Secret", *TYPE.values(), True)
    wanted = {"name": "mail", "namespace": "prod", "labels": {"app": "mail", "on": "yes"}}
    if scope != "strict":
        wanted["annotations"] = annotations(scope)
    assert found["metadata"] == wanted and values_of(found) == VALUES
    assert json.loads(kmsctl(APP, "unseal", "-f", write(sealed, form=form), "-o", "json")) == found


def test_raw_values(kmsctl, sealing, write, tmp_path):  # noqa: F811
    key, path = certificate(tmp_path)
    (tmp_path / "value").write_bytes(BINARY)
    name, namespace = ["--name", "mail"], ["--namespace", "prod"]
    for scope, names in (("strict", name + namespace), ("namespace-wide", namespace), ("cluster-wide", [])):
        text = offline("seal", "--raw", "--cert", path, "--scope", scope, *names, "-f", tmp_path / "value")
        shell = sealed_secret(key.public_key(), {}, scope=scope)
        shell["spec"]["encryptedData"]["a"] = text.strip()
        assert opened(key, shell) == {"a": BINARY}
    wrong = offline("seal", "--raw", "--cert", path, "--namespace", "prod", "-f", tmp_path / "value", status=1)
    assert "scope strict needs a namespace and a name" in wrong


def test_there_and_back_with_several_documents(kmsctl, sealing, write):  # noqa: F811
    many = [secret({"value": b"%d" % i}, name=f"s{i}", namespace=["a", "b"][i % 2]) for i in range(4)]
    text = offline("seal", "--cert", sealing, "-f", write(*many))
    found = documents(kmsctl(APP, "unseal", input=text))
    assert [(f["metadata"]["name"], f["metadata"]["namespace"], values_of(f)["value"]) for f in found] == [
        (f"s{i}", ["a", "b"][i % 2], b"%d" % i) for i in range(4)
    ]
    # documents of JSON, as kubeseal prints them: one behind the other
    text = offline("seal", "--cert", sealing, "-f", write(*many, form="json"), "-o", "json")
    assert len(documents(kmsctl(APP, "unseal", input=text))) == 4
    second = documents(text.replace("}\n{", "}\n---\n{"))
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": second})  # as kubectl get prints them
    assert len(documents(kmsctl(APP, "unseal", input=listed))) == 4
    second[1]["metadata"]["name"] = "other"
    wrong = kmsctl(APP, "unseal", "-f", write(*second), status=1)
    assert "document 2: b/other, value: none of 1 sealing keys opens it" in wrong


def test_values_as_long_as_secrets_get(kmsctl, sealing, write):  # noqa: F811
    value = os.urandom(900 * 1024)
    sealed = offline("seal", "--cert", sealing, "-f", write(secret({"a": value})))
    assert values_of(documents(kmsctl(APP, "unseal", input=sealed))[0]) == {"a": value}
    wrong = offline("seal", "--cert", sealing, input="#" * (2 * 1024 * 1024 + 1), status=1)
    assert "standard input is longer than 2097152 bytes" in wrong


def test_a_file_of_variables(kmsctl, sealing, public_key, write, tmp_path):  # noqa: F811
    values = {"A": b"1", "B_2": b"it's $HOME \\ \"x\"", "C": b"two\nlines", "D": b"", "E": "ü # no comment".encode()}
    manifest = write(sealed_secret(public_key, values), sealed_secret(public_key, {"F": b"6"}, name="other"))
    out = tmp_path / "out.env"
    kmsctl(APP, "unseal", "-f", manifest, "-o", "env", "--out", out)
    assert out.stat().st_mode & 0o777 == 0o600
    command = [BIN / "kms-env", "run", "--env-file", out, "--", "env", "-0"]
    run = subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=60)
    found = dict(one.split(b"=", 1) for one in run.stdout.split(b"\0") if one)
    assert {k: found.get(k.encode()) for k in (*values, "F")} == {**values, "F": b"6"}, run.stderr
    for bad, words in (({"a.b": b"x"}, "a.b is no name of a variable"), ({"A": BINARY}, "A is not text")):
        wrong = kmsctl(APP, "unseal", "-f", write(sealed_secret(public_key, bad)), "-o", "env", status=1)
        assert words in wrong
    twice = write(sealed_secret(public_key, {"A": b"1"}), sealed_secret(public_key, {"A": b"2"}))
    assert "A is in two of the Secrets" in kmsctl(APP, "unseal", "-f", twice, "-o", "env", status=1)


def changed(manifest, **metadata):
    made = json.loads(json.dumps(manifest))
    made["metadata"].update(metadata)
    return made


def test_a_value_is_for_its_name_namespace_and_scope(kmsctl, public_key, write):  # noqa: F811
    def refused(manifest):
        text = kmsctl(APP, "unseal", "-f", write(manifest), status=1)
        assert text.startswith("kmsctl: INVALID_CIPHERTEXT: ") and "another name, namespace or scope" in text, text
        assert "hint: name, namespace and annotations of the manifest" in text

    strict = sealed_secret(public_key, {"a": b"1"})
    refused(changed(strict, name="other"))
    refused(changed(strict, namespace="dev"))
    for scope in SCOPES[1:]:
        refused(changed(strict, annotations=annotations(scope)))
    wide = sealed_secret(public_key, {"a": b"1"}, scope="namespace-wide")
    assert kmsctl(APP, "unseal", "-f", write(changed(wide, name="other")))
    refused(changed(wide, namespace="dev"))
    refused(changed(wide, annotations={}))
    cluster = sealed_secret(public_key, {"a": b"1"}, scope="cluster-wide")
    assert kmsctl(APP, "unseal", "-f", write(changed(cluster, name="other", namespace="dev")))
    refused(changed(cluster, annotations={}))


def test_what_was_changed_is_refused(kmsctl, public_key, write):  # noqa: F811
    whole = seal(public_key, b"a value", b"prod/mail")

    def tried(data):
        manifest = sealed_secret(public_key, {"good": b"1"})
        manifest["spec"]["encryptedData"]["value"] = data if isinstance(data, str) else base64.b64encode(data).decode()
        return kmsctl(APP, "unseal", "-f", write(manifest), status=1)

    def flipped(at):
        return whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]

    for data, words in (
        (flipped(100), "none of 1 sealing keys opens it"),
        (flipped(2 + 512), "its contents were changed"),
        (flipped(-1 % len(whole)), "its contents were changed"),
        (whole[:-1], "its contents were changed"),
        (whole + b"x", "its contents were changed"),
        (whole[: 2 + 512 + 15], "it is cut off: 529 bytes, at least 530 expected"),
        (whole[:300], "it is cut off"),
        (whole[:1], "it is cut off"),
        (b"", "it is cut off"),
        (b"\0\x20" + whole[2:], "no RSA key makes 32 bytes"),
        (b"\xff\xff" + whole[2:], "no RSA key makes 65535 bytes"),
        (b"\x01\x00" + whole[2:], "none of 1 sealing keys opens it"),
        ("not base64!", "it is no base64"),
        (base64.b64encode(whole).decode()[:-2], "it is no base64"),
        (seal(public_key, b"x", b"prod/mail", session=bytes(16)), "its contents were changed"),
    ):
        text = tried(data)
        assert text.startswith("kmsctl: INVALID_CIPHERTEXT: ") and "prod/mail, value: " in text and words in text, text


def test_what_is_no_sealed_secret(kmsctl, public_key, write):  # noqa: F811
    good = sealed_secret(public_key, {"a": b"1"})
    old = changed(good)
    old["spec"]["data"] = "AAAA"
    empty = changed(good)
    empty["spec"]["encryptedData"] = {}
    nameless = changed(good)
    del nameless["metadata"]["name"]
    program = sealed_secret(public_key, {"a": b"1"}, data={"b": "{{ .a }}"})
    for manifest, words in (
        (secret({"a": b"1"}), "not a SealedSecret of bitnami.com"),
        ({**good, "apiVersion": "v1"}, "not a SealedSecret of bitnami.com"),
        (["a"], "not a SealedSecret of bitnami.com"),
        (old, "spec.data is the form of old releases"),
        (empty, "nothing in spec.encryptedData"),
        (nameless, "no metadata.name"),
        (program, "prod/mail, b: templates with {{ are for the controller"),
    ):
        assert words in kmsctl(APP, "unseal", "-f", write(manifest), status=1)
    assert "no manifest in the input" in kmsctl(APP, "unseal", input="# nothing\n---\n", status=1)
    literal = sealed_secret(public_key, {"a": b"1"}, data={"b": "as it is"})
    (found,) = documents(kmsctl(APP, "unseal", "-f", write(literal)))
    assert values_of(found) == {"a": b"1", "b": b"as it is"}


def test_policy_decides_and_the_log_tells(service, kmsctl, sealing, public_key, write):  # noqa: F811
    manifest = write(sealed_secret(public_key, {"a": b"1"}, name="audited"))
    text = kmsctl(OTHER, "unseal", "-f", manifest, status=3)
    assert text.startswith("kmsctl: ACCESS_DENIED: ") and "prod/audited, a: " in text
    kmsctl(APP, "unseal", "-f", manifest)
    seen = [
        (r["principal"], r["outcome"])
        for r in service.records(operation="Decrypt")
        if r["access"][0].get("inputs", {}).get("oaep_label") == "prod/audited"
    ]
    assert seen == [(OTHER, "ACCESS_DENIED"), (APP, "OK")]


def test_a_policy_lets_open_one_namespace(service, kmsctl, write, tmp_path):  # noqa: F811
    document = json.loads(key_policy(users=()))
    use = {"Sid": "Prod", "Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "kms:Decrypt", "Resource": "*",
           "Condition": {"StringLike": {"kms:OaepLabel": ["prod", "prod/*"]}}}  # fmt: skip
    document["Statement"].append(use)
    (tmp_path / "policy.json").write_text(json.dumps(document))
    given = ["--policy", tmp_path / "policy.json", "--protection", "software"]
    pem = kmsctl(ADMIN, "sealing-key", "create", "by-namespace", *given)
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    asked = ["unseal", "--key", "alias/by-namespace", "-f"]
    for namespace, scope, status in (
        ("prod", "strict", 0), ("prod", "namespace-wide", 0), ("dev", "strict", 3), ("prod", "cluster-wide", 3)
    ):  # fmt: skip
        manifest = write(sealed_secret(key, {"a": b"1"}, namespace=namespace, scope=scope))
        text = kmsctl(OTHER, *asked, manifest, status=status)
        assert "ACCESS_DENIED" in text if status else values_of(documents(text)[0]) == {"a": b"1"}


def test_old_keys_still_open(service, kmsctl, write, tmp_path):  # noqa: F811
    def made(verb, *options):
        pem = kmsctl(ADMIN, "sealing-key", verb, "web", *options)
        return x509.load_pem_x509_certificate(pem.encode()).public_key()

    first = made("create", "--admin", ADMIN, "--user", APP, "--user", LISTER, "--protection", "software")
    old_id = json.loads(kmsctl(ADMIN, "key", "describe", "alias/web", "-o", "json"))["key_id"]
    before = write(sealed_secret(first, {"a": b"old"}), name="before")
    second = made("renew", "--protection", "software")
    assert first.public_numbers() != second.public_numbers()
    after = write(sealed_secret(second, {"a": b"new"}), name="after")
    both = write(*[sealed_secret(key, {"a": value}) for key, value in ((first, b"old"), (second, b"new"), (first, b"old"))])
    web = ["unseal", "--key", "alias/web", "-f"]
    assert values_of(documents(kmsctl(APP, *web, after))[0]) == {"a": b"new"}
    for manifest, wanted in ((before, [{"a": b"old"}]), (both, [{"a": b"old"}, {"a": b"new"}, {"a": b"old"}])):
        assert [values_of(d) for d in documents(kmsctl(LISTER, *web, manifest))] == wanted
    # who may not list keys names the old one
    text = kmsctl(APP, *web, before, status=1)
    assert text.startswith("kmsctl: INVALID_CIPHERTEXT: ") and "none of 1 sealing keys" in text and "to look for older keys" in text
    assert documents(kmsctl(APP, "unseal", "--key", "alias/web", "--key", old_id, "-f", before))
    rows = json.loads(kmsctl(ADMIN, "sealing-key", "list", "web", "-o", "json"))
    new_id = json.loads(kmsctl(ADMIN, "key", "describe", "alias/web", "-o", "json"))["key_id"]
    assert [row["key_id"] for row in rows] == [new_id, old_id] and {row["state"] for row in rows} == {"ENABLED"}
    # an old key that is disabled says so
    kmsctl(ADMIN, "key", "disable", old_id)
    assert "KEY_DISABLED" in kmsctl(LISTER, *web, before, status=1)
    kmsctl(ADMIN, "key", "enable", old_id)
    assert documents(kmsctl(LISTER, *web, before))
    # a value for none of them
    key, _ = certificate(tmp_path, bits=4096)
    foreign = write(sealed_secret(key.public_key(), {"a": b"1"}))
    assert "none of 2 sealing keys opens it" in kmsctl(LISTER, *web, foreign, status=1)


def test_the_commands_of_the_document(tmp_path):
    text = (harness.ROOT / "docs/sealed-secrets.md").read_text()
    commands = "\n".join(line for line in text.splitlines() if line.startswith("    "))
    assert commands.count("kmsctl seal ") == 3 and commands.count("kmsctl unseal ") == 5
    own = harness.Service(tmp_path / "home").init()
    own.service_policy(LISTERS)
    own.start()
    certs = own.certs
    contexts = [
        f"- name: {who}\n  endpoint: 127.0.0.1:{own.port}\n  ca: {certs.dir}/ca.pem\n"
        f"  cert: {certs.dir}/{certs.client(uri)}.pem\n  key: {certs.dir}/{certs.client(uri)}.key\n"
        for who, uri in (("admin", ADMIN), ("app", LISTER))
    ]
    (tmp_path / "kmsctl.yaml").write_text("current_context: app\ncontexts:\n" + "".join(contexts))
    (tmp_path / "secret.yaml").write_text(yaml.safe_dump(secret(None, {"PASSWORD": "s3cret"})))
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", commands], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env=dict(ENVIRONMENT, KMSCTL_CONFIG=str(tmp_path / "kmsctl.yaml"), PATH=f"{BIN}:{os.environ['PATH']}"),
    )  # fmt: skip
    own.stop()
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("kind: Secret") == 2 and (tmp_path / "secret.env").read_text() == "PASSWORD='s3cret'\n"
    assert values_of(json.loads((tmp_path / "secret.json").read_text())) == {"PASSWORD": b"s3cret"}
