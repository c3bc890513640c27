"""Marked secrets go through every RPC, and none of them, in any of its spellings, is in a file, a log or an environment.

Encryption contexts are in the log in clear by design, and so are descriptions, tags, names and policies: no markers. What stays in
memory is test_memory.py's affair.
"""
import base64
import os
import pathlib
import re
import secrets

import pytest

import importing
import methods
from callers import secret_policy
from harness import ADMIN, APP, OTHER, Failure, Service, comm, wait_for

PIN = "pin-" + secrets.token_hex(12)
PLAINTEXT = b"plaintext-" + secrets.token_hex(16).encode()  # printable, so that it has all spellings
BINARY = b"\xff\x00\xfe" + secrets.token_bytes(29)
MATERIAL = secrets.token_bytes(32)
UNKNOWN = b"unknown-field-" + secrets.token_hex(12).encode()
CONTROL = "control-" + secrets.token_hex(12)  # no secret: it must be found
BROKEN = b"broken-wire-" + secrets.token_hex(12).encode()


def base64_of(secret, encode):
    """As it stands at any place of a longer text in base64, but for the characters that its neighbours share."""
    for before in range(3):
        after = -(before + len(secret)) % 3
        text = encode(bytes(before) + secret + bytes(after))
        yield text[4 if before else 0 : len(text) - (4 if after else 0)]


def spellings(secret):
    texts = [secret.hex(), secret.hex().upper(), *(t.decode() for f in (base64.b64encode, base64.urlsafe_b64encode)
                                                  for t in base64_of(secret, f))]
    escaped = "".join(f"\\x{byte:02x}" for byte in secret), "".join(f"\\u{byte:04x}" for byte in secret)
    if secret.isascii():
        texts.append(secret.decode())
    found = {secret, *(text.encode() for text in (*texts, *escaped))}
    return found | {text.encode(form) for text in texts for form in ("utf-16-le", "utf-16-be")}


def test_the_search_finds_every_spelling():
    """Of a secret in the middle of something else."""
    for secret in (PLAINTEXT, BINARY):
        forms = spellings(secret)
        for around in (b"", b"a", b"ab", b"abc", b"abcd"):
            whole = around + secret + around
            for text in (whole, whole.hex().encode(), base64.b64encode(whole), base64.urlsafe_b64encode(whole),
                         base64.b64encode(whole).decode().encode("utf-16"), whole.hex().encode("utf-16-be")):
                assert [form for form in forms if form in text], (around, text)
        assert not [form for form in forms if form in secrets.token_bytes(200000)]


def secrets_in(reply):
    """What a reply tells that must not be anywhere else."""
    for field, value in reply.ListFields():
        if field.type == field.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
            continue  # labels, names, counts
        for part in value if field.label == field.LABEL_REPEATED and field.type == field.TYPE_MESSAGE else [value]:
            if field.type == field.TYPE_MESSAGE:
                yield from secrets_in(part)
            elif field.type == field.TYPE_BYTES and ("plaintext" in field.name or "secret" in field.name) and len(part) >= 16:
                yield part
            elif field.name in ("random_password", "secret_string"):
                yield part.encode()


def all_methods(client):
    return [m.name for module in client.modules.values() for s in module.DESCRIPTOR.services_by_name.values() for m in s.methods]


def unknown_field(number, data):
    """A field that no message has: a newer client's, or one that sends to the wrong method."""
    key, wire = number << 3 | 2, b""
    while key > 127:
        wire, key = wire + bytes([key & 127 | 128]), key >> 7
    return wire + bytes([key, len(data)]) + data


def refused(call, *arguments, **fields):
    try:
        call(*arguments, **fields)
    except Failure:
        pass


def good_calls(service, told):
    """Every method with what it takes, by who may and by who may not."""
    made = methods.Methods(service)
    with service.client(APP) as app, service.client(ADMIN) as admin, service.client(OTHER) as other:
        for method, fields, _, _ in made.rows():
            client = app if methods.of_users(app, method) else admin
            refused(getattr(other, method), **fields)
            told.update(secrets_in(getattr(client, method)(**fields)))
        for value in ({"secret_binary": BINARY}, {"secret_string": PLAINTEXT.decode()}):
            admin.PutSecretValue(secret_id=made.secret, value=value)
        admin.PutResourcePolicy(secret_id=made.secret, resource_policy=secret_policy())
        told.update(secrets_in(app.GetSecretValue(secret_id=made.secret)))
        one = {"key_id": made.key, "plaintext": PLAINTEXT}
        sealed = app.EncryptBatch(items=[one, dict(one, plaintext=BINARY)])
        blobs = [result.success.ciphertext_blob for result in sealed.results]
        told.update(secrets_in(app.DecryptBatch(items=[{"ciphertext_blob": blob} for blob in blobs])))
        app.ReEncryptBatch(items=[{"ciphertext_blob": blob, "destination_key_id": made.other} for blob in blobs])
        told.update(secrets_in(app.GenerateDataKeyBatch(items=[{"key_id": made.key, "key_spec": 2}] * 3)))
    return made


def bad_calls(service, made):
    """Secrets where nobody expects them."""
    with service.client(APP) as app, service.client(ADMIN) as admin:
        for method in all_methods(app):
            path, request, _ = app.method(method)
            some = {"key_id": made.key} if "key_id" in request.DESCRIPTOR.fields_by_name else {}
            for client in (app, admin):
                refused(client.raw, path, request(**some).SerializeToString() + unknown_field(4242, UNKNOWN))
                refused(client.raw, path, b"\x0a\x7f" + BROKEN)
                refused(client.raw, path, BROKEN)
        for fields in ({"plaintext": PLAINTEXT * 3000}, {"plaintext": BINARY, "plaintext_crc32c": 1}, {"plaintext": PLAINTEXT}):
            refused(app.Encrypt, key_id=made.key if "plaintext_crc32c" in fields else "alias/none", **fields)
        refused(app.Decrypt, ciphertext_blob=PLAINTEXT)
        refused(app.Decrypt, ciphertext_blob=made.blob[:40] + BINARY)
        refused(app.ReEncrypt, ciphertext_blob=BINARY, destination_key_id=made.key)
        refused(app.raw, "/kms.v1.CryptoService/None", PLAINTEXT)
        key = service.new_key(origin=2)
        parameters = admin.GetParametersForImport(key_id=key)
        for material in (MATERIAL[:31], MATERIAL + b"x", MATERIAL):  # the last one fits
            fields = {"import_token": parameters.import_token, "expiration_model": 2, "key_id": key}
            refused(admin.ImportKeyMaterial, encrypted_key_material=importing.oaep(parameters.public_key, material), **fields)
        refused(admin.ImportKeyMaterial, encrypted_key_material=MATERIAL, **fields)
        assert app.Encrypt(key_id=key, plaintext=PLAINTEXT).ciphertext_blob


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    home = tmp_path_factory.mktemp("kmsd")
    scratch = home / "tmp"
    scratch.mkdir()
    service = Service(home / "home", environment={"TMPDIR": str(scratch)})
    service.token("marked", pin=PIN)
    service.write_config(label="marked", log={"level": "debug"})
    service.init().start()
    service.scratch, service.told = scratch, set()
    wait_for(lambda: len(service.workers()) == 2, what="workers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods, "PLAINTEXT", PLAINTEXT)
        made = good_calls(service, service.told)
    bad_calls(service, made)
    with service.client(APP) as app:
        app.Encrypt(key_id=service.new_key(description=CONTROL), plaintext=PLAINTEXT, encryption_context={"control": CONTROL})
    yield service
    if service.process is not None:
        service.stop()


def needles(service):
    assert len(service.told) > 5
    named = {"PIN": PIN.encode(), "plaintext": PLAINTEXT, "binary plaintext": BINARY, "material": MATERIAL,
             "unknown field": UNKNOWN, "broken message": BROKEN}
    named |= {f"told {number}": secret for number, secret in enumerate(service.told)}
    return {name: spellings(secret) for name, secret in named.items()}


def look(what, data, wanted):
    assert not [name for name, forms in wanted.items() if any(form in data for form in forms)], what


def look_into_files(service):
    """All files of the daemon: log, keystore with its WAL, token, state, whatever it left in its directory of temporary files."""
    wanted = needles(service)
    looked_at = [path for path in service.dir.rglob("*") if path.is_file() and path != service.pin_file]
    for path in looked_at:
        look(path, path.read_bytes(), wanted)
    assert not list(service.scratch.rglob("*"))
    return {path.name for path in looked_at}


def test_no_secret_in_any_file(used):
    names = look_into_files(used)
    forms = spellings(CONTROL.encode())
    found = {path.name.split("-")[0] for path in used.dir.rglob("*") if path.is_file() and any(f in path.read_bytes() for f in forms)}
    assert {"kmsd", "keystore.db"} <= found
    assert {"keystore.db", "keystore.db-wal", "kmsd.log", "kmsd-00000001.jsonl"} <= names
    seen = {record.get("operation") for record in used.records()}
    with used.client(APP) as app:
        assert set(all_methods(app)) <= seen  # each has been through the log


def family(service):
    return [service.process.pid, *service.children()]


def test_no_secret_in_arguments_and_environment(used, need_inspection):
    wanted = needles(used)
    need_inspection(used.process.pid)
    assert {comm(pid) for pid in family(used)} >= {"kmsd", "kms-spawner", "kms-hsm"}
    for pid in family(used):
        for name in ("cmdline", "comm", "environ"):
            look((comm(pid), name), pathlib.Path(f"/proc/{pid}/{name}").read_bytes(), wanted)


def test_no_secret_in_open_files_that_have_no_name(used, need_inspection):
    """Deleted ones and such as never had a name."""
    wanted = needles(used)
    need_inspection(used.process.pid)
    for pid in family(used):
        for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(link)
            if target.endswith("(deleted)") or target.startswith("/memfd:"):
                look((comm(pid), target), link.read_bytes(), wanted)


def test_no_core_file_would_be_written(used):
    for pid in family(used):
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits), comm(pid)


def test_no_secret_in_files_after_the_end(used):
    """What stopping writes: the ledger, the keystore without its WAL, the last log lines."""
    used.stop()
    look_into_files(used)
    used.start()
    used.stop()
    look_into_files(used)
