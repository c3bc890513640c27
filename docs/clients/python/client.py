#!/usr/bin/python3
"""kmsd from Python: encrypts texts, and seals files under data keys. ../README.md says how to run this.

client.py text KEY TEXT      encrypts and decrypts it
client.py seal KEY IN OUT    seals a file
client.py open IN OUT        opens it again
"""
import contextlib
import os
import pathlib
import sys

import grpc
import status_pb2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from kms.v1 import crypto_pb2, crypto_pb2_grpc

CONTEXT = {"purpose": "docs/clients"}  # of every call: bound to what is encrypted, seen in policies and in the audit log
DEADLINE_S = 30
NONCE_BYTES, TAG_BYTES = 12, 16


def connect():
    """Mutual TLS: kmsd shows a certificate of the CA for the name in KMS_ENDPOINT, and we show who we are."""
    ca, key, certificate = (pathlib.Path(os.environ[name]).read_bytes() for name in ("KMS_CA", "KMS_KEY_FILE", "KMS_CERT"))
    return grpc.secure_channel(os.environ["KMS_ENDPOINT"], grpc.ssl_channel_credentials(ca, key, certificate))


@contextlib.contextmanager
def wiped(secret):
    """A copy that is gone afterwards. Of the bytes that it was made of Python cannot say so: see "Wiping" in ../README.md."""
    copy = bytearray(secret)
    try:
        yield copy
    finally:
        copy[:] = bytes(len(copy))


def encrypt(kms, key_id, plaintext):
    request = crypto_pb2.EncryptRequest(key_id=key_id, plaintext=plaintext, encryption_context=CONTEXT)
    return kms.Encrypt(request, timeout=DEADLINE_S).ciphertext_blob


def decrypt(kms, ciphertext):
    """Which key it was says the ciphertext; the context must be the same."""
    request = crypto_pb2.DecryptRequest(ciphertext_blob=ciphertext, encryption_context=CONTEXT)
    return kms.Decrypt(request, timeout=DEADLINE_S).plaintext


def seal(kms, key_id, plaintext):
    """Length of the wrapped data key, the wrapped data key, nonce, AES-256-GCM of the text with its tag."""
    request = crypto_pb2.GenerateDataKeyRequest(
        key_id=key_id, key_spec=crypto_pb2.DATA_KEY_SPEC_AES_256, encryption_context=CONTEXT
    )
    data_key = kms.GenerateDataKey(request, timeout=DEADLINE_S)
    head = len(data_key.ciphertext_blob).to_bytes(2, "big") + data_key.ciphertext_blob
    nonce = os.urandom(NONCE_BYTES)
    with wiped(data_key.plaintext) as key:
        return head + nonce + AESGCM(key).encrypt(nonce, plaintext, head)


def open_sealed(kms, sealed):
    length = 2 + int.from_bytes(sealed[:2], "big")
    if len(sealed) < length + NONCE_BYTES + TAG_BYTES:
        raise InvalidTag
    head, nonce, ciphertext = sealed[:length], sealed[length:length + NONCE_BYTES], sealed[length + NONCE_BYTES:]
    with wiped(decrypt(kms, head[2:])) as key:
        return AESGCM(key).decrypt(nonce, ciphertext, head)


def describe(error):
    """kmsd's stable reason, and the id under which its audit log has the call; else what the transport says."""
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                if detail.type_url == "type.googleapis.com/google.rpc.ErrorInfo":
                    info = status_pb2.ErrorInfo.FromString(detail.value)
                    return f"{info.reason}: {error.details()} (request {info.metadata['request_id']})"
    return f"{error.code().name}: {error.details()}"


def write_private(path, data):
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(data)


def main(arguments):
    with connect() as channel:
        kms = crypto_pb2_grpc.CryptoServiceStub(channel)
        match arguments:
            case ["text", key_id, text]:
                ciphertext = encrypt(kms, key_id, text.encode())
                print(f"{len(ciphertext)} bytes of ciphertext; decrypted: {decrypt(kms, ciphertext).decode()}")
            case ["seal", key_id, source, target]:
                write_private(target, seal(kms, key_id, pathlib.Path(source).read_bytes()))
            case ["open", source, target]:
                write_private(target, open_sealed(kms, pathlib.Path(source).read_bytes()))
            case _:
                sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except grpc.RpcError as failed:
        sys.exit(describe(failed))
    except (InvalidTag, ValueError):
        sys.exit("this file was changed, or is none of ours")
