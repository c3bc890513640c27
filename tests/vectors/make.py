#!/usr/bin/env python3
"""Writes the test vectors of proto/FORMAT.md, computed here from the text of that page and not by the C code.

    tests/vectors/make.py           writes good/*.json and bad/*.json
    tests/vectors/make.py --check   fails when the files differ from what it would write
"""
import base64
import hashlib
import hmac
import json
import pathlib
import struct
import sys
import uuid

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import kms_file

HERE = pathlib.Path(__file__).resolve().parent
KEY_ID = uuid.UUID("0f8b6a52-4d3e-4c1b-9a70-5e6d7c8b9a01")
BACKING_KEY = bytes(range(32))
N = bytes(range(0xA0, 0xB0))
IV = bytes(range(0xC0, 0xCC))


def header(algorithm=2, version=1, key_version=7, magic=b"KMS", key_id=KEY_ID):
    return magic + bytes([version, algorithm]) + key_id.bytes + struct.pack(">I", key_version)


def canonical(pairs):
    out = struct.pack(">I", len(pairs))
    for name, value in sorted(pairs):
        out += struct.pack(">I", len(name)) + name + struct.pack(">I", len(value)) + value
    return out


def message_key(backing_key, n):
    label = b"kmsd.aes-256-gcm.v1"
    text = struct.pack(">I", 1) + label + b"\0" + n + struct.pack(">I", 256)
    return hmac.new(backing_key, text, hashlib.sha256).digest()


def pairs_of(context):
    return [(name.encode(), value.encode()) for name, value in context.items()]


def hex_pairs(pairs):
    return [[name.hex(), value.hex()] for name, value in pairs]


def text_form(blob):
    return "kms:v1:" + base64.b64encode(blob).decode()


def seal_software(plaintext, context, head=None):
    head = head or header()
    aad = head + canonical(pairs_of(context))
    return head + N + IV + AESGCM(message_key(BACKING_KEY, N)).encrypt(IV, plaintext, aad)


def seal_hsm(plaintext, context):
    head = header(algorithm=1)
    return head + IV + AESGCM(BACKING_KEY).encrypt(IV, plaintext, head + canonical(pairs_of(context)))


def opens(blob, context):
    """True when the sealed part of an algorithm 2 ciphertext authenticates."""
    head, n, iv, rest = blob[:25], blob[25:41], blob[41:53], blob[53:]
    try:
        AESGCM(message_key(BACKING_KEY, n)).decrypt(iv, rest, head + canonical(pairs_of(context)))
        return True
    except InvalidTag:
        return False


def sealed_case(what, algorithm, plaintext, context):
    blob = seal_software(plaintext, context) if algorithm == 2 else seal_hsm(plaintext, context)
    case = {"what": what, "algorithm": algorithm, "key_id": str(KEY_ID), "key_version": 7,
            "backing_key": BACKING_KEY.hex()}
    if algorithm == 2:
        case |= {"n": N.hex(), "message_key": message_key(BACKING_KEY, N).hex()}
    return case | {"iv": IV.hex(), "context": context, "aad": (blob[:25] + canonical(pairs_of(context))).hex(),
                   "plaintext": plaintext.hex(), "ciphertext": blob.hex(), "text": text_form(blob)}


def good_sealed():
    context = {"service": "billing", "environment": "production", "région": "forêt"}
    plaintext = b"correct horse battery staple"
    return [sealed_case(f"algorithm {a}, {what}", a, p, c) for a in (1, 2)
            for what, p, c in (("with a context", plaintext, context), ("without a context", plaintext, {}),
                               ("an empty plaintext", b"", {"a": ""}))]


def good_context():
    cases = [
        ("no pair", []),
        ("one pair", [(b"tenant", b"42")]),
        ("sorted by name, not by position", [(b"b", b"2"), (b"a", b"1"), (b"c", b"3")]),
        ("bytes above 0x7f sort after ASCII", [("é".encode(), b"1"), (b"z", b"2")]),
        ("a shorter name before a longer one that begins with it", [(b"ab", b"1"), (b"a", b"2"), (b"abc", b"3")]),
        ("upper case before lower case", [(b"a", b"1"), (b"B", b"2")]),
        ("an empty value", [(b"a", b"")]),
        ("a value that looks like a pair", [(b"a", b"\x01\x02b"), (b"b", "\U0001F511".encode())]),
        ("64 pairs", [(b"%02d" % i, b"v") for i in reversed(range(64))]),
        ("exactly 8192 bytes", [(b"n", b"v" * (8192 - 4 - 4 - 1 - 4))]),
    ]
    return [{"what": what, "pairs": hex_pairs(pairs), "canonical": canonical(pairs).hex()} for what, pairs in cases]


def bad_context():
    cases = [
        ("a name twice", [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]),
        ("an empty name", [(b"", b"1")]),
        ("NUL in a name", [(b"a\0b", b"1")]),
        ("NUL in a value", [(b"a", b"1\0")]),
        ("a lone continuation byte", [(b"a", b"\x80")]),
        ("an overlong slash", [(b"a", b"\xc0\xaf")]),
        ("a surrogate", [(b"a", b"\xed\xa0\x80")]),
        ("above U+10FFFF", [(b"a", b"\xf4\x90\x80\x80")]),
        ("a sequence cut short", [(b"a\xe2\x82", b"1")]),
        ("65 pairs", [(b"%02d" % i, b"v") for i in range(65)]),
        ("8193 bytes", [(b"n", b"v" * (8193 - 4 - 4 - 1 - 4))]),
        ("a name of 9000 bytes", [(b"n" * 9000, b"")]),
    ]
    return [{"what": what, "pairs": hex_pairs(pairs), "error": "INVALID_ARGUMENT"} for what, pairs in cases]


def good_header():
    zero, ones = uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)
    cases = [("algorithm 1, shortest", 1, 1, zero, 28), ("algorithm 2, shortest", 2, 1, KEY_ID, 44),
             ("highest key version", 1, 2**32 - 1, ones, 29), ("bytes of the key version in order", 2, 0x01020304, KEY_ID, 45)]
    return [{"what": what, "algorithm": algorithm, "key_id": str(key_id), "key_version": version, "sealed_bytes": sealed,
             "ciphertext": (header(algorithm, 1, version, key_id=key_id) + b"\x5a" * sealed).hex()}
            for what, algorithm, version, key_id, sealed in cases]


def bad_header():
    whole = {1: header(1) + b"\x5a" * 28, 2: header(2) + b"\x5a" * 44}
    boundaries = {0: "nothing", 3: "after the magic", 4: "after the format version", 5: "after the algorithm",
                  21: "after the key id", 24: "inside the key version", 25: "after the header"}
    cases = [(f"cut {where}", whole[2][:at]) for at, where in boundaries.items()]
    cases += [("algorithm 1, cut after the IV", whole[1][:37]), ("algorithm 1, one byte of the tag missing", whole[1][:52]),
              ("algorithm 2, cut after N", whole[2][:41]), ("algorithm 2, cut after the IV", whole[2][:53]),
              ("algorithm 2, one byte of the tag missing", whole[2][:68]),
              ("algorithm 2 with the length of algorithm 1", header(2) + b"\x5a" * 28)]
    cases += [("another magic", b"KMX" + whole[2][3:]), ("lower-case magic", b"kms" + whole[2][3:]),
              ("a short foreign blob", b"\x01\x02\x03\x04"), ("the text form, not decoded", text_form(whole[2]).encode()),
              ("format version 0", header(2, version=0) + b"\x5a" * 44), ("format version 2", header(2, version=2) + b"\x5a" * 44),
              ("algorithm 0", header(0) + b"\x5a" * 44), ("algorithm 3", header(3) + b"\x5a" * 44),
              ("algorithm 255", header(255) + b"\x5a" * 44), ("key version 0", header(2, key_version=0) + b"\x5a" * 44)]
    return [{"what": what, "ciphertext": blob.hex(), "error": "INVALID_CIPHERTEXT"} for what, blob in cases]


def bad_text():
    good = text_form(header(2) + b"\x5a" * 44)
    cases = [("nothing", ""), ("prefix alone", "kms:v1:"), ("no prefix", good[7:]), ("a newer text form", "kms:v2:" + good[7:]),
             ("upper-case prefix", "KMS:v1:" + good[7:]), ("a blank before", " " + good), ("a line break after", good + "\n"),
             ("a line break inside", good[:20] + "\n" + good[20:]), ("padding missing", good.rstrip("=")[:-1]),
             ("URL alphabet", "kms:v1:-_-_"), ("padding inside", "kms:v1:QQ==QUJD"), ("three signs of padding", "kms:v1:Q==="),
             ("a NUL inside", "kms:v1:QU\0D")]
    return [{"what": what, "text": text, "error": "INVALID_CIPHERTEXT"} for what, text in cases]


def flipped(blob, at):
    return blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1:]


def bad_sealed():
    context = {"service": "billing"}
    blob = seal_software(b"secret", context)
    assert opens(blob, context)
    cases = [("a bit of N", flipped(blob, 25), context), ("a bit of the IV", flipped(blob, 41), context),
             ("a bit of the ciphertext", flipped(blob, 53), context), ("a bit of the tag", flipped(blob, len(blob) - 1), context),
             ("another key id in the header", flipped(blob, 5), context), ("another key version", flipped(blob, 24), context),
             ("one byte missing", blob[:-1], context), ("one byte more", blob + b"\0", context),
             ("another context", blob, {"service": "shipping"}), ("no context", blob, {}),
             ("one pair more", blob, context | {"a": ""}), ("name and value swapped", blob, {"billing": "service"})]
    assert not any(opens(b, c) for _, b, c in cases)
    return [{"what": what, "backing_key": BACKING_KEY.hex(), "context": c, "ciphertext": b.hex(),
             "error": "INVALID_CIPHERTEXT"} for what, b, c in cases]


# -- encrypted files: made and judged by kms_file.py; the wrapped data key is opened as kmsd would --

DATA_KEY, OTHER_KEY = bytes(range(0x40, 0x60)), bytes(range(0x60, 0x80))
SALT, OTHER_SALT = bytes(range(0x80, 0xA0)), bytes(range(0x20, 0x40))
FILE_CONTEXT = {"file": "q3/r\u00e9sum\u00e9.txt"}


def unwrap(wrapped, context):
    """The plaintext of an algorithm 2 ciphertext, None when kmsd would refuse it."""
    if len(wrapped) < 69 or not opens(wrapped, context):
        return None
    aad = wrapped[:25] + canonical(pairs_of(context))
    return AESGCM(message_key(BACKING_KEY, wrapped[25:41])).decrypt(wrapped[41:53], wrapped[53:], aad)


def pattern(length):
    return hashlib.shake_128(b"plaintext of a vector").digest(length)


def file_of(length, exponent=10, salt=SALT, data_key=DATA_KEY, **fields):
    head = kms_file.header_of(exponent, salt, seal_software(data_key, FILE_CONTEXT), **fields)
    return kms_file.seal(data_key, head, pattern(length))


def file_case(what, file, context):
    try:
        data_key = unwrap(kms_file.parse(file)[1], context)
    except kms_file.Refused:
        data_key = None
    return {"what": what, "backing_key": BACKING_KEY.hex(), "context": context,
            "data_key": data_key.hex() if data_key is not None else None, "file": base64.b64encode(file).decode()}


def good_file():
    cases = [("an empty plaintext", 0, 10), ("one byte", 1, 10), ("one byte less than a chunk", 1023, 10),
             ("exactly a chunk", 1024, 10), ("one byte more than a chunk", 1025, 10), ("exactly three chunks", 3072, 10),
             ("the chunk size that writers take", 100, 16), ("the largest chunks", 100, 20)]
    out = []
    for what, length, exponent in cases:
        file, plaintext = file_of(length, exponent), pattern(length)
        assert kms_file.unseal(file, lambda wrapped: unwrap(wrapped, FILE_CONTEXT)) == plaintext
        key, commitment = kms_file.derive(DATA_KEY, file[:143])
        out.append(file_case(what, file, FILE_CONTEXT) | {
            "salt": SALT.hex(), "chunk_bytes": 1 << exponent, "file_key": key.hex(), "commitment": commitment.hex(),
            "plaintext": base64.b64encode(plaintext).decode()})
    return out


def bad_header_of_file():
    """A change of each field. Where it is 175 bytes: 42 and a data key of 101, a commitment of 32."""
    file = file_of(1040)
    marks = {"magic": 3, "format version": 4, "algorithm": 5, "chunk exponent, out of bounds": 6, "reserved byte": 7,
             "first byte of the salt": 8, "last byte of the salt": 39, "length of the wrapped data key": 41,
             "format of the wrapped data key": 46, "key version of the wrapped data key": 66,
             "sealed part of the wrapped data key": 110, "first byte of the commitment": 143, "last byte of the commitment": 174}
    yield from ((f"a changed {what}", flipped(file, at) if at != 6 else file[:6] + b"\x09" + file[7:]) for what, at in marks.items())
    for what, at in (("larger", b"\x0b"), ("smaller than its chunks", b"\x0a"), ("too large", b"\x15")):
        whole = file_of(1040, exponent=11 if at == b"\x0a" else 10)
        yield f"a chunk size that is {what}", whole[:6] + at + whole[7:]
    yield "format version 0", file_of(1040, version=0)
    yield "format version 2", file_of(1040, version=2)
    yield "algorithm 2", file_of(1040, algorithm=2)
    yield "a reserved byte that is authentic and not 0", file_of(1040, reserved=1)
    yield "no wrapped data key", kms_file.header_of(10, SALT, b"") + bytes(32 + 17)
    yield "a wrapped data key of 1025 bytes", kms_file.header_of(10, SALT, bytes(1025)) + bytes(32 + 17)
    yield "a data key of 16 bytes", file_of(1040, data_key=DATA_KEY[:16])
    yield "the commitment of another data key", file[:143] + file_of(1040, data_key=OTHER_KEY)[143:175] + file[175:]
    yield "chunks and commitment of another data key", file[:143] + file_of(1040, data_key=OTHER_KEY)[143:]
    yield "the commitment of another salt", file[:143] + file_of(1040, salt=OTHER_SALT)[143:175] + file[175:]
    yield "the text form of a ciphertext", text_form(seal_software(DATA_KEY, FILE_CONTEXT)).encode()
    yield "a ciphertext of Encrypt", seal_software(DATA_KEY, FILE_CONTEXT)
    for what, end in (("nothing", 0), ("the magic", 4), ("half the salt", 24), ("all but the data key", 42),
                      ("half the data key", 90), ("all but the commitment", 143), ("all but the chunks", 175)):
        yield f"cut: {what} is left", file[:end]


def bad_chunks_of_file():
    """Three chunks: two of 1040 bytes, one of 32."""
    file, at = file_of(2064), [175, 1215, 2255, 2287]
    head, one, two, three = file[:175], *(file[at[i]:at[i + 1]] for i in range(3))
    yield "a bit of the first chunk", flipped(file, 175)
    yield "a bit of a tag", flipped(file, 1214)
    yield "a bit of the last chunk", flipped(file, 2255)
    yield "a bit of the last tag", flipped(file, 2286)
    yield "chunks swapped", head + two + one + three
    yield "a chunk doubled", head + one + one + two + three
    yield "a chunk left out", head + one + three
    yield "the first chunk left out", head + two + three
    other = file_of(2064, salt=OTHER_SALT)
    yield "a chunk of another file with the same data key", head + one + other[1215:2255] + three
    yield "the last chunk of another file with the same data key", head + one + two + other[2255:]
    yield "the header of another file with the same data key", other[:175] + one + two + three
    yield "cut behind the second chunk", head + one + two
    yield "cut behind the first chunk", head + one
    yield "cut in the last chunk", file[:2280]
    yield "cut to the tag of the last chunk", file[:2255 + 16]
    yield "cut inside a tag", file[:2255 + 15]
    yield "cut in the second chunk", file[:2000]
    yield "a byte behind the end", file + b"\0"
    yield "a tag of zeros behind the end", file_of(2048) + bytes(16)
    yield "a whole chunk behind the end", file_of(1024) + two
    yield "a file behind the end", file + file
    wrapped = seal_software(DATA_KEY, FILE_CONTEXT)
    yield "no mark of the end", kms_file.seal(DATA_KEY, kms_file.header_of(10, SALT, wrapped), pattern(2064), last=False)
    yield "no mark of the end, no plaintext", kms_file.seal(DATA_KEY, kms_file.header_of(10, SALT, wrapped), b"", last=False)
    key, _ = kms_file.derive(DATA_KEY, head[:143])
    yield ("an empty last chunk behind a full one", head + AESGCM(key).encrypt(kms_file.nonce(0, 0), pattern(1024), None) +
           AESGCM(key).encrypt(kms_file.nonce(1, 1), b"", None))


def refused_by(file, context):
    """The step of proto/FORMAT.md, "Reading", at which it fails."""
    try:
        kms_file.unseal(file, lambda wrapped: unwrap(wrapped, context))
    except kms_file.Refused as refused:
        return str(refused)
    raise AssertionError("it opens")


def bad_file():
    cases = [(what, file, FILE_CONTEXT) for what, file in (*bad_header_of_file(), *bad_chunks_of_file())]
    whole = file_of(40)
    cases += [("another encryption context", whole, {"file": "q4"}), ("no encryption context", whole, {}),
              ("one pair more", whole, FILE_CONTEXT | {"a": ""})]
    return [file_case(what, file, context) | {"refused_by": refused_by(file, context), "error": "INVALID_CIPHERTEXT"}
            for what, file, context in cases]


FILES = {"good/header.json": good_header, "good/context.json": good_context, "good/sealed.json": good_sealed,
         "bad/header.json": bad_header, "bad/context.json": bad_context, "bad/text.json": bad_text,
         "bad/sealed.json": bad_sealed, "good/file.json": good_file, "bad/file.json": bad_file}


def main():
    check, stale = "--check" in sys.argv[1:], []
    for name, cases in FILES.items():
        path, text = HERE / name, json.dumps(cases(), indent=1, ensure_ascii=True) + "\n"
        if check and (not path.exists() or path.read_text() != text):
            stale.append(name)
        elif not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    if stale:
        sys.exit("differ from what make.py writes: " + ", ".join(stale))


if __name__ == "__main__":
    main()
