"""SealedSecrets by another implementation: what kubeseal makes and its controller opens, with python3-cryptography and PyYAML."""
import base64
import datetime
import json
import os
import struct
import subprocess

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

from harness import BIN
from test_kmsctl import ENVIRONMENT

ANNOTATION = "sealedsecrets.bitnami.com/"
NO_NONCE = bytes(12)
BINARY = bytes(range(256)) + b"\xff\xfe\0"
VALUES = {"password": "päss w0rd: #1\n".encode(), "empty": b"", "binary": BINARY}
SCOPES = ["strict", "namespace-wide", "cluster-wide"]


def label_of(scope, namespace, name):
    return {"strict": f"{namespace}/{name}", "namespace-wide": namespace, "cluster-wide": ""}[scope].encode()


def oaep(label):
    return padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label)


def seal(public_key, plaintext, label, session=None):
    """The bytes of one sealed value."""
    session = session or os.urandom(32)
    wrapped = public_key.encrypt(session, oaep(label))
    return struct.pack(">H", len(wrapped)) + wrapped + AESGCM(session).encrypt(NO_NONCE, plaintext, None)


def unseal(private_key, data, label):
    (length,) = struct.unpack(">H", data[:2])
    return AESGCM(private_key.decrypt(data[2 : 2 + length], oaep(label))).decrypt(NO_NONCE, data[2 + length :], None)


def annotations(scope):
    return {} if scope == "strict" else {ANNOTATION + scope: "true"}


def sealed_secret(public_key, values, name="mail", namespace="prod", scope="strict", **template):
    """As kubeseal writes it."""
    label = label_of(scope, namespace, name)
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": None}
    if scope != "strict":
        metadata["annotations"] = annotations(scope)
    return {
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": metadata,
        "spec": {
            "encryptedData": {k: base64.b64encode(seal(public_key, v, label)).decode() for k, v in values.items()},
            "template": {"metadata": dict(metadata), **template},
        },
    }


def secret(data=None, string_data=None, name="mail", namespace="prod", **fields):
    made = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **fields}
    if namespace:
        made["metadata"]["namespace"] = namespace
    if data is not None:
        made["data"] = {k: base64.b64encode(v).decode() for k, v in data.items()}
    if string_data is not None:
        made["stringData"] = string_data
    return made


def values_of(manifest):
    return {k: base64.b64decode(v, validate=True) for k, v in manifest["data"].items()}


def opened(private_key, manifest):
    """What the controller makes of it: name, namespace and scope are those of the outer metadata."""
    metadata = manifest["metadata"]
    noted = metadata.get("annotations", {})
    scope = next((s for s in SCOPES[:0:-1] if noted.get(ANNOTATION + s) == "true"), "strict")
    label = label_of(scope, metadata.get("namespace", ""), metadata["name"])
    return {
        k: unseal(private_key, base64.b64decode(v, validate=True), label)
        for k, v in manifest["spec"]["encryptedData"].items()
    }


def certificate(directory, name="own", bits=2048, days=10, curve=False):
    """A key and a file with its certificate, which ends `days` from now."""
    key = ec.generate_private_key(ec.SECP256R1()) if curve else rsa.generate_private_key(65537, bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.utcnow()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=100))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    path = directory / f"{name}.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return key, path


def documents(text):
    return list(yaml.safe_load_all(text))


@pytest.fixture
def write(tmp_path):
    """A file of manifests, YAML or JSON."""

    def of(*manifests, name="manifest", form="yaml"):
        path = tmp_path / name
        if form == "json":
            path.write_text("".join(json.dumps(one, indent=2) + "\n" for one in manifests))
        else:
            path.write_text(yaml.safe_dump_all(json.loads(json.dumps(manifests))))  # no aliases
        return path

    return of


def offline(*arguments, status=0, **options):
    """kmsctl with nothing but its arguments."""
    done = subprocess.run(
        [BIN / "kmsctl", *map(str, arguments)], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, **options
    )
    assert done.returncode == status, (arguments, done.stdout, done.stderr)
    return done.stderr if status else done.stdout
