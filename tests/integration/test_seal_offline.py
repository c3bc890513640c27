"""kmsctl seal: what kubeseal does, with nothing but a certificate; no service is there."""
import json

import pytest

from sealed_secrets import SCOPES, VALUES, annotations, certificate, documents, offline, opened, secret, write  # noqa: F401


@pytest.mark.parametrize("scope", SCOPES)
def test_seal_makes_what_another_opens(write, tmp_path, scope):  # noqa: F811
    key, path = certificate(tmp_path)
    text = {"user": "mail", "number": "0123"}
    one = secret(VALUES, text, type="Opaque", immutable=False)
    one["metadata"].update(labels={"app": "mail"}, uid="1234", resourceVersion="7", ownerReferences=[{"kind": "x"}])
    one["metadata"]["annotations"] = {
        "note": "kept", "kubectl.kubernetes.io/last-applied-configuration": '{"data": {"password": "c2VjcmV0"}}'}
    for form in ("yaml", "json"):
        (sealed,) = documents(offline("seal", "--cert", path, "--scope", scope, "-f", write(one, form=form)))
        assert (sealed["apiVersion"], sealed["kind"]) == ("bitnami.com/v1alpha1", "SealedSecret")
        assert sealed["metadata"] == {"name": "mail", "namespace": "prod"} | (
            {"annotations": annotations(scope)} if scope != "strict" else {}
        )
        assert opened(key, sealed) == VALUES | {k: v.encode() for k, v in text.items()}
        assert sealed["spec"]["template"] == {
            "metadata": {"name": "mail", "namespace": "prod", "labels": {"app": "mail"},
                         "annotations": {"note": "kept"} | annotations(scope)},
            "type": "Opaque", "immutable": False,
        }  # fmt: skip
    again = json.loads(offline("seal", "--cert", path, "--scope", scope, "-f", write(one), "-o", "json"))
    assert opened(key, again) == opened(key, sealed)
    assert again["spec"]["encryptedData"] != sealed["spec"]["encryptedData"]


def test_seal_takes_scope_name_and_namespace_from_where_they_are(write, tmp_path):  # noqa: F811
    key, path = certificate(tmp_path)

    def sealed(one, *options, **more):
        text = offline("seal", "--cert", path, *options, "-f", write(one), **more)
        return text if more else documents(text)[0]

    noted = secret({"a": b"1"})
    noted["metadata"]["annotations"] = annotations("cluster-wide")
    assert opened(key, sealed(noted)) == {"a": b"1"}
    assert "annotations" not in sealed(noted, "--scope", "strict")["metadata"]
    nowhere = secret({"a": b"1"}, namespace=None)
    assert sealed(nowhere)["metadata"]["namespace"] == "default"
    assert sealed(nowhere, "--namespace", "dev")["metadata"]["namespace"] == "dev"
    assert "namespace" not in sealed(nowhere, "--scope", "cluster-wide")["metadata"]
    assert "namespace prod, the command line dev" in sealed(secret({"a": b"1"}), "--namespace", "dev", status=1)
    nameless = secret({"a": b"1"}, name=None)
    del nameless["metadata"]["name"]
    assert "no metadata.name" in sealed(nameless, status=1)
    assert opened(key, sealed(nameless, "--name", "given")) == {"a": b"1"}


def test_manifests_are_read_as_kubernetes_reads_them(tmp_path):
    key, path = certificate(tmp_path)
    head = "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: b}\n"

    def sealed(body, **more):
        return offline("seal", "--cert", path, input=head + body, **more)

    text = 'stringData:\n  a: "yes"\n  b: 1.2.3\n  c: |\n    two\n    lines\n  "e": !!str 5\n  f: "\\u00fc"\n'
    wanted = {"a": b"yes", "b": b"1.2.3", "c": b"two\nlines\n", "e": b"5", "f": "ü".encode()}
    assert opened(key, documents(sealed(text))[0]) == wanted
    folded = f"data:\n  a: |\n    {'A' * 40}\n    {'A' * 40}\n  b:\n"
    assert opened(key, documents(sealed(folded))[0]) == {"a": bytes(60), "b": b""}
    for body, words in (
        ("stringData: {a: yes}", "stringData.a is not text: write it in quotes"),
        ("stringData: {a: 5}", "stringData.a is not text"),
        ("stringData: {a: 0755}", "line 4: is this a number or a text?"),
        ("stringData: {a: 0x1f}", "line 4: is this a number or a text?"),
        ("stringData: {a: &x secret, b: *x}", "line 4: aliases are not taken"),
        ("data: {a: !!binary aGk=}", "line 4: tags are not taken"),
        ("stringData:\n  a: x\n  a: y", "line 6: this member is there already"),
        ("stringData: {a: 'b}", "line 4"),
        ("data: {a: 'not base64'}", "data.a is not base64"),
        ("data: {}", "the Secret has no data to seal"),
        ("stringData: " + "[" * 200 + "]" * 200, "nested too deep"),
    ):
        wrong = sealed(body, status=1)
        assert wrong.startswith("kmsctl: INVALID_ARGUMENT: ") and words in wrong, wrong
        assert "secret" not in wrong.replace("Secret", "")
    assert "line 2: this is no JSON" in offline("seal", "--cert", path, input='{"kind":\n "top-secret" x}', status=1)
    assert "not a Secret of apiVersion v1" in offline("seal", "--cert", path, input="kind: ConfigMap\n", status=1)


def test_certificates_that_do_not_seal(write, tmp_path):  # noqa: F811
    manifest = write(secret({"a": b"1"}))
    (tmp_path / "text.pem").write_text("no certificate\n")
    for path, words in (
        (certificate(tmp_path, "ended", days=-1)[1], "the certificate ended on 20"),
        (certificate(tmp_path, "curve", curve=True)[1], "not of an RSA key of 2048 bits or more"),
        (certificate(tmp_path, "small", bits=1024)[1], "not of an RSA key of 2048 bits or more"),
        (tmp_path / "text.pem", "there is no certificate in PEM"),
    ):
        wrong = offline("seal", "--cert", path, "-f", manifest, status=1)
        assert words in wrong and path.name in wrong
    assert "missing.pem" in offline("seal", "--cert", tmp_path / "missing.pem", "-f", manifest, status=1)
    assert "--cert FILE" in offline("seal", "-f", manifest, status=2)
