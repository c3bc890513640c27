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
