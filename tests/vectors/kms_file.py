"""Encrypted files, from the text of proto/FORMAT.md and not from the C code: a second implementation, for vectors and tests."""
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import constant_time, hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC, START, TAG, COMMITMENT = b"KMSF", 42, 16, 32


class Refused(Exception):
    """Not a file that opens. Its text is the step at which that shows: header, data key, commitment, length or chunk."""


def header_of(exponent, salt, wrapped, magic=MAGIC, version=1, algorithm=1, reserved=0):
    """The header up to the commitment."""
    return magic + bytes([version, algorithm, exponent, reserved]) + salt + struct.pack(">H", len(wrapped)) + wrapped


def derive(data_key, header):
    """(file key, commitment) of a header up to the commitment."""
    return tuple(
        HKDF(hashes.SHA256(), 32, header[8:40], b"kmsd.file.v1." + label + header).derive(data_key)
        for label in (b"key", b"commitment")
    )


def nonce(chunk, last):
    return bytes(3) + struct.pack(">QB", chunk, last)


def chunks_of(plaintext, size):
    return [plaintext[at:at + size] for at in range(0, len(plaintext), size)] or [b""]


def seal(data_key, header, plaintext, last=True):
    """The whole file; last False: its last chunk is not marked as one, which no writer does."""
    key, commitment = derive(data_key, header)
    parts = chunks_of(plaintext, 1 << header[6])
    sealed = [AESGCM(key).encrypt(nonce(i, last and i == len(parts) - 1), part, None) for i, part in enumerate(parts)]
    return header + commitment + b"".join(sealed)


def parse(file):
    """(header up to the commitment, wrapped data key, commitment, the rest)"""
    if file[:4] != MAGIC:
        raise Refused("header")
    if len(file) < START:
        raise Refused("header")
    version, algorithm, exponent, reserved = file[4:8]
    (wrapped,) = struct.unpack(">H", file[40:42])
    if version != 1 or algorithm != 1 or not 10 <= exponent <= 20 or reserved != 0 or not 1 <= wrapped <= 1024:
        raise Refused("header")
    end = START + wrapped
    if len(file) < end + COMMITMENT:
        raise Refused("header")
    return file[:end], file[START:end], file[end:end + COMMITMENT], file[end + COMMITMENT:]


def unseal(file, unwrap):
    """The plaintext. unwrap(wrapped data key) gives the data key, or None."""
    header, wrapped, commitment, body = parse(file)
    data_key = unwrap(wrapped)
    if data_key is None or len(data_key) != 32:
        raise Refused("data key")
    key, wanted = derive(data_key, header)
    if not constant_time.bytes_eq(commitment, wanted):
        raise Refused("commitment")
    size = (1 << header[6]) + TAG
    parts = chunks_of(body, size)
    if len(parts[-1]) < TAG or (len(parts[-1]) == TAG and len(parts) > 1):
        raise Refused("length")
    out = []
    for i, part in enumerate(parts):
        try:
            out.append(AESGCM(key).decrypt(nonce(i, i == len(parts) - 1), part, None))
        except InvalidTag:
            raise Refused("chunk") from None
    return b"".join(out)
