"""Key material as its owner wraps it: with the openssl command line."""
import os
import subprocess
import tempfile

from pathlib import Path


def openssl(*arguments, data=b""):
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


def oaep(public_key, material, digest="sha256"):
    with tempfile.TemporaryDirectory() as directory:
        der = Path(directory, "key.der")
        der.write_bytes(public_key)
        padding = ("rsa_padding_mode:oaep", f"rsa_oaep_md:{digest}", f"rsa_mgf1_md:{digest}")
        options = [word for option in padding for word in ("-pkeyopt", option)]
        return openssl("pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", str(der), *options, data=material)


def key_wrap_pad(aes, material):
    """RFC 5649."""
    return openssl("enc", "-id-aes256-wrap-pad", "-K", aes.hex(), "-iv", "A65959A6", data=material)


def rsa_aes(public_key, material):
    aes = os.urandom(32)
    return oaep(public_key, aes) + key_wrap_pad(aes, material)


EXTERNAL, HSM, SOFTWARE = 2, 1, 2
ENABLED, DISABLED, PENDING_DELETION, PENDING_IMPORT, UNAVAILABLE = 1, 2, 3, 4, 5
OAEP, RSA_AES, FOREVER, NEW = 1, 2, 2, 2


def wrapped_request(admin, key, material, algorithm=OAEP, **fields):
    """What ImportKeyMaterial takes, after GetParametersForImport."""
    parameters = admin.GetParametersForImport(key_id=key, wrapping_algorithm=algorithm)
    wrap = oaep if algorithm == OAEP else rsa_aes
    fields.setdefault("expiration_model", FOREVER)
    blob = wrap(parameters.public_key, material)
    return dict(fields, key_id=key, import_token=parameters.import_token, encrypted_key_material=blob)


def put(admin, key, material, algorithm=OAEP, **fields):
    return admin.ImportKeyMaterial(**wrapped_request(admin, key, material, algorithm, **fields))


def state(client, key):
    return client.DescribeKey(key_id=key).key_metadata.key_state


class Pair:
    """A key pair of the openssl command line."""

    def __init__(self, directory, *genpkey):
        self.private, self.public = Path(directory, "private.pem"), Path(directory, "public.pem")
        self.private.write_bytes(openssl("genpkey", *genpkey))
        self.public.write_bytes(openssl("pkey", "-in", str(self.private), "-pubout"))
        self.public_der = openssl("pkey", "-in", str(self.private), "-pubout", "-outform", "DER")
        self.pkcs8 = openssl("pkcs8", "-topk8", "-nocrypt", "-in", str(self.private), "-outform", "DER")

    def verifies(self, directory, message, signature, *options):
        files = {"message": message, "signature": signature}
        for name, data in files.items():
            Path(directory, name).write_bytes(data)
        arguments = ["-in", str(Path(directory, "message")), "-sigfile", str(Path(directory, "signature"))]
        said = openssl("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(self.public), *options, *arguments)
        return b"Verified Successfully" in said
