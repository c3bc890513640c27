#!/usr/bin/python3
"""Makes sealed_secrets.json: values sealed as kubeseal does, by python3-cryptography. Once: RSA-OAEP is random, so each run gives
others.

    tests/vectors/sealed_secrets.py > tests/vectors/sealed_secrets.json
"""
import json
import os
import pathlib
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "integration"))
from sealed_secrets import SCOPES, label_of, seal  # noqa: E402

PLAINTEXTS = [b"", b"a", b"a value of a Secret\n", bytes(range(256)) * 5]


def main():
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    cases = []
    for scope in SCOPES:
        for plaintext in PLAINTEXTS:
            session, label = os.urandom(32), label_of(scope, "prod", "mail")
            cases.append(
                {
                    "label": label.decode(),
                    "session": session.hex(),
                    "plaintext": plaintext.hex(),
                    "sealed": seal(key.public_key(), plaintext, label, session).hex(),
                }
            )
    json.dump({"private_key": private.hex(), "cases": cases}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
