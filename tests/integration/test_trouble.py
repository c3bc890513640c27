"""Bad input and trouble at start: one clear error each, nothing half-done."""
import os
import re
import shutil
import sqlite3
import subprocess

import pytest

from harness import ADMIN, APP, BIN, Failure, key_policy, run


def refused(service, *arguments, reason, words=(), config=None):
    """kmsd ends with an error that names the reason."""
    done = subprocess.run(
        [BIN / "kmsd", "--config", config or service.config, *arguments],
        env=service.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0, done.stderr
    assert reason in done.stderr, done.stderr
    for word in words:
        assert str(word) in done.stderr, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "line, words",
    [
        ("process:\n  nonsense: 1\n", ["process.nonsense"]),
        ("nonsense: 1\n", ["nonsense"]),
        ("rpc:\n  threads: 65\n", ["rpc.threads", "64"]),
        ("rpc:\n  threads: many\n", ["rpc.threads"]),
        ("log:\n  level: loud\n", ["log.level", "debug"]),
        ("rpc:\n  drain: 1fortnight\n", ["rpc.drain"]),
        ("rpc:\n  threads: 1\nrpc:\n  threads: 2\n", ["rpc"]),
    ],
)
def test_bad_configuration_names_file_line_and_option(fresh, line, words):
    fresh.write_config(extra=line)
    text = refused(fresh, "serve", reason="CONFIG_INVALID", words=words)
    number = fresh.config.read_text().splitlines().index(line.splitlines()[-1]) + 1
    assert f"kmsd.yaml:{number}" in text or f"kmsd.yaml:{number - 1}" in text, text


def test_missing_configuration(fresh):
    refused(fresh, "serve", reason="IO", words=["/nonexistent.yaml", "--config FILE"], config="/nonexistent.yaml")


def test_check_and_dump(fresh):
    fresh.kmsd("check")
    assert (
        "hsm.workers" in fresh.kmsd("dump-config").stdout.replace("\n  ", ".")
        or "workers: 2" in fresh.kmsd("dump-config").stdout
    )
    sample = run(BIN / "kmsd", "sample-config").stdout
    assert "deadline" in sample and "2s" in sample


def test_start_without_init(fresh):
    refused(fresh, "serve", reason="ROOT_KEYS_MISSING", words=["kmsd init"])


def test_init_twice_changes_nothing(fresh):
    fresh.init()
    refused(fresh, "init", reason="ALREADY_EXISTS")
    (fresh.dir / "state" / "keystore.db").unlink()
    refused(fresh, "init", reason="ROOT_KEYS_EXIST")


def test_missing_module(fresh):
    fresh.write_config(module="/nonexistent/module.so")
    refused(fresh, "init", reason="MODULE_UNAVAILABLE", words=["/nonexistent/module.so"])


def test_missing_token(fresh):
    fresh.write_config(label="nobody")
    refused(fresh, "init", reason="TOKEN_NOT_FOUND", words=["nobody"])


def test_wrong_pin_is_tried_once(fresh):
    fresh.init()
    fresh.pin_file.write_text("wrong\n")
    refused(fresh, "serve", reason="PIN_REFUSED", words=["pin"])
    refused(fresh, "serve", reason="PIN_REFUSED", words=["pin"])  # not tried again
    fresh.pin_file.write_text("4711-test\n")
    fresh.start()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o666])
def test_pin_file_of_others(fresh, mode):
    fresh.pin_file.chmod(mode)
    refused(fresh, "init", reason="", words=["pin", "0600"])


def test_second_kmsd_on_the_same_state(fresh):
    fresh.init().start()
    refused(fresh, "serve", reason="STATE_IN_USE", words=["state/lock"])
    with fresh.client(ADMIN) as admin:
        admin.ListKeys()


def test_port_in_use(fresh):
    fresh.init().start()
    other_home = fresh.dir / "other"
    other_home.mkdir()
    config = other_home / "kmsd.yaml"
    shutil.copytree(fresh.dir / "state", other_home / "state")
    (other_home / "audit").mkdir()
    config.write_text(
        fresh.config.read_text()
        .replace(f"{fresh.dir}/state", f"{other_home}/state")
        .replace("127.0.0.1:0", f"127.0.0.1:{fresh.port}")
        .replace("certs/", f"{fresh.dir}/certs/")
        .replace("service-policy.json", f"{fresh.dir}/service-policy.json")
    )
    refused(fresh, "serve", reason="IO", words=[str(fresh.port)], config=config)


@pytest.mark.parametrize(
    "document, words",
    [
        (
            '{"Statement": [{"Sid": "All", "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}]}',
            ["All"],
        ),
        (
            '{"Statement": [{"Sid": "D", "Effect": "Allow", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}]}',
            ["D", "kms:Decrypt"],
        ),
        ("not json", []),
    ],
)
def test_service_policy_grants_no_key_action(fresh, document, words):
    fresh.init()
    fresh.service_policy(document)
    refused(fresh, "serve", reason="MALFORMED_POLICY", words=["service-policy.json", *words])


def test_error_shows_a_long_path_whole(fresh):
    """And still what is wrong with the file."""
    fresh.init()
    folder = fresh.dir / ("long-" + "x" * (150 - len(str(fresh.dir))))
    folder.mkdir()
    path = folder / "policy-of-the-service.json"
    path.write_text("not json")
    path.chmod(0o444)
    fresh.write_config(policy={"service": str(path)})
    refused(fresh, "serve", reason="MALFORMED_POLICY", words=[path, "line 1"])


def test_service_policy_must_not_be_writable(fresh):
    fresh.init()
    (fresh.dir / "service-policy.json").chmod(0o666)
    refused(fresh, "serve", reason="CONFIG_INVALID", words=["service-policy.json"])


# -- keystore --


@pytest.fixture
def stopped(fresh):
    """A service with two keys, stopped; fresh.keys, fresh.blob."""
    fresh.init().start()
    fresh.keys = [fresh.new_key(), fresh.new_key()]
    with fresh.client(APP) as app:
        fresh.blob = app.Encrypt(key_id=fresh.keys[0], plaintext=b"x").ciphertext_blob
    fresh.stop()
    fresh.database = fresh.dir / "state" / "keystore.db"
    return fresh


def test_locked_keystore(stopped):
    """Somebody else's transaction: changes are refused until it ends, uses go on."""
    stopped.start()
    holder = sqlite3.connect(stopped.database)
    holder.execute("begin immediate")
    with stopped.client(ADMIN) as admin, stopped.client(APP) as app:
        with pytest.raises(Failure) as caught:
            admin.DisableKey(key_id=stopped.keys[0])
        assert caught.value.reason == "KEYSTORE_UNAVAILABLE" and caught.value.code == "UNAVAILABLE"
        assert app.Decrypt(ciphertext_blob=stopped.blob).plaintext == b"x"
        holder.close()
        admin.DisableKey(key_id=stopped.keys[0])


def test_read_only_keystore(stopped):
    """For root a read-only mount, else a read-only file and folder."""
    folder = stopped.dir / "store"
    folder.mkdir()
    for part in stopped.database.parent.glob("keystore.db*"):
        shutil.move(part, folder)
    stopped.write_config(keystore={"path": "store/keystore.db"})
    if os.geteuid() == 0:
        if subprocess.run(["mount", "--bind", folder, folder], capture_output=True).returncode != 0:
            pytest.skip("this machine does not let root mount")
        run("mount", "-o", "remount,ro,bind", folder)
    else:
        (folder / "keystore.db").chmod(0o400)
        folder.chmod(0o500)
    try:
        refused(stopped, "serve", reason="KEYSTORE_UNAVAILABLE", words=["keystore.db"])
    finally:
        if os.geteuid() == 0:
            run("umount", "-l", folder)
        else:
            folder.chmod(0o700)


def test_garbage_keystore(stopped):
    stopped.database.write_bytes(b"garbage" * 1000)
    refused(stopped, "serve", reason="CORRUPT", words=["keystore.db"])


def test_flipped_byte_in_a_row(stopped):
    db = sqlite3.connect(stopped.database)
    table, column = row_table(db)
    row, body = db.execute(
        f"select id, {column} from {table} where length({column}) > 200 limit 1"
    ).fetchone()
    body = bytearray(body)
    body[100] ^= 1
    db.execute(f"update {table} set {column} = ? where id = ?", (bytes(body), row))
    db.commit()
    db.close()
    refused(stopped, "serve", reason="CORRUPT", words=[row])


def row_table(db):
    """The table of the sealed rows and the name of its body column."""
    for (table,) in db.execute("select name from sqlite_master where type = 'table'"):
        names = [c[1] for c in db.execute(f"pragma table_info({table})")]
        if "body" in names and "seal" in names:
            return table, "body"
    raise AssertionError("no table of sealed rows")


def test_row_replaced_by_its_older_self(stopped):
    db = sqlite3.connect(stopped.database)
    table, _ = row_table(db)
    key = stopped.keys[0]
    old = db.execute(f"select * from {table} where id = ?", (key,)).fetchone()
    names = [c[1] for c in db.execute(f"pragma table_info({table})")]
    db.close()
    stopped.start()
    with stopped.client(ADMIN) as admin:
        admin.DisableKey(key_id=key)
    stopped.stop()
    db = sqlite3.connect(stopped.database)
    db.execute(f"update {table} set {', '.join(n + ' = ?' for n in names)} where id = ?", (*old, key))
    db.commit()
    db.close()
    stopped_text = refused(stopped, "serve", reason="")
    assert "CORRUPT" in stopped_text or "ROLLBACK_DETECTED" in stopped_text


def test_vanished_row(stopped):
    db = sqlite3.connect(stopped.database)
    table, _ = row_table(db)
    assert db.execute(f"delete from {table} where id like ?", (stopped.keys[1] + "%",)).rowcount >= 2
    db.commit()
    db.close()
    text = refused(stopped, "serve", reason="")
    assert "CORRUPT" in text or "ROLLBACK_DETECTED" in text


def test_wrapped_keys_swapped_between_keys(stopped):
    """Rows are sealed, so the swap shows at once; the binding behind the seal is tested in tests/unit/hsm."""
    db = sqlite3.connect(stopped.database)
    table, _ = row_table(db)
    rows = [(stopped.keys[0] + "/00000001"), (stopped.keys[1] + "/00000001")]
    bodies = [db.execute(f"select body, seal from {table} where id = ?", (r,)).fetchone() for r in rows]
    for row, (body, seal) in zip(rows, reversed(bodies)):
        assert (
            db.execute(f"update {table} set body = ?, seal = ? where id = ?", (body, seal, row)).rowcount >= 1
        )
    db.commit()
    db.close()
    refused(stopped, "serve", reason="CORRUPT", words=["/00000001"])


def test_protection_level_flipped_in_the_database(stopped):
    db = sqlite3.connect(stopped.database)
    table, _ = row_table(db)
    (body,) = db.execute(f"select body from {table} where id = ?", (stopped.keys[0],)).fetchone()
    at = re.search(rb"\x18.\x20.\x28(.)", body, re.S).start(1)  # spec, usage, level: keystore/record.proto
    flipped = body[:at] + bytes([3 - body[at]]) + body[at + 1 :]  # 1 and 2: hsm/hsm.h
    db.execute(f"update {table} set body = ? where id = ?", (flipped, stopped.keys[0]))
    db.commit()
    db.close()
    refused(stopped, "serve", reason="CORRUPT", words=[stopped.keys[0]])


def test_older_database_is_refused_and_accepted_on_record(stopped):
    shutil.copytree(stopped.dir / "state", stopped.dir / "older")
    stopped.start()
    stopped.new_key()
    stopped.stop()
    shutil.rmtree(stopped.dir / "state")
    shutil.copytree(stopped.dir / "older", stopped.dir / "state")
    refused(stopped, "serve", reason="ROLLBACK_DETECTED", words=["revision", "--accept-rollback"])
    stopped.start("--accept-rollback=restored from backup 7")
    record = stopped.records(operation="rollback-accepted")[-1]
    assert "restored from backup 7" in str(record)
    with stopped.client(APP) as app:
        assert app.Decrypt(ciphertext_blob=stopped.blob).plaintext == b"x"
    stopped.stop()
    stopped.start()  # no second acceptance needed


def test_newer_schema(stopped):
    db = sqlite3.connect(stopped.database)
    changed = 0
    for (table,) in db.execute("select name from sqlite_master where type = 'table'").fetchall():
        if "schema" in table or "version" in table or "migration" in table:
            column = db.execute(f"pragma table_info({table})").fetchone()[1]
            changed += db.execute(f"update {table} set {column} = 9999").rowcount
    version = db.execute("pragma user_version").fetchone()[0]
    if version:
        db.execute("pragma user_version = 9999")
        changed += 1
    db.commit()
    db.close()
    assert changed
    refused(stopped, "serve", reason="SCHEMA_TOO_NEW", words=["9999"])


def test_keystore_of_another_token(stopped):
    shutil.rmtree(stopped.dir / "tokens")
    (stopped.dir / "tokens").mkdir()
    stopped.token("kmsd")
    refused(stopped, "serve", reason="ROOT_KEYS_MISSING")


# -- audit log --


def test_flipped_byte_in_the_audit_log(stopped):
    path = sorted((stopped.dir / "audit").glob("*.jsonl"))[-1]
    data = bytearray(path.read_bytes())
    data[data.index(b"CreateKey")] ^= 0x20
    path.write_bytes(data)
    refused(stopped, "serve", reason="CORRUPT", words=[path.name])


def test_torn_last_line_is_closed_with_a_record(stopped):
    path = sorted((stopped.dir / "audit").glob("*.jsonl"))[-1]
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data + b'{"seq":99999,"time":"2026')
    stopped.start()
    assert stopped.records(kind="recovery")


def test_full_disk_under_the_audit_log(fresh):
    """No record, no answer; and it comes back by itself."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    if (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=3m", "none", fresh.dir / "audit"], capture_output=True
        ).returncode
        != 0
    ):
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        fresh.write_config(audit={"segment": "1MiB", "warn_free": "0", "refuse_free": "0"})
        fresh.init().start()
        key = fresh.new_key()
        filler = os.open(fresh.dir / "audit" / "filler", os.O_CREAT | os.O_WRONLY)
        with fresh.client(APP) as app, fresh.client(ADMIN) as admin:
            with pytest.raises(OSError):
                while True:
                    os.write(filler, b"x" * 4096)

            def until_refused(call):
                for _ in range(6000):
                    try:
                        call()
                    except Failure as failure:
                        assert failure.reason == "AUDIT_UNAVAILABLE" and failure.code == "UNAVAILABLE"
                        return
                raise AssertionError("never refused")

            until_refused(
                lambda: app.Encrypt(key_id=key, plaintext=b"x" * 16, encryption_context={"pad": "p" * 4000})
            )
            until_refused(lambda: app.GenerateRandom(number_of_bytes=1))
            with pytest.raises(Failure) as caught:
                admin.CreateKey(policy=key_policy())
            assert caught.value.reason == "AUDIT_UNAVAILABLE"
            os.ftruncate(filler, 0)
            os.close(filler)
            app.Encrypt(key_id=key, plaintext=b"x")
            assert len(admin.ListKeys().keys) == 1  # the refused CreateKey made nothing
            run(BIN / "kmsctl", "audit", "verify", "--dir", fresh.dir / "audit")
        fresh.stop()
    finally:
        subprocess.run(["umount", "-l", fresh.dir / "audit"], check=False)
