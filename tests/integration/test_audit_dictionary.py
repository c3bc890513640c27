"""Every field that the dictionary of the audit log names is seen, and what the schema forbids is told."""
import copy
import os
import signal
import time

import pytest

import lease_world
import sops_world
from audit_records import SCHEMA, Records, shape, validator
from harness import ADMIN, APP, OTHER, Failure, key_policy, wait_for
from load import correlated
from methods import ADMIN2
from test_audit import FIELDS
from test_lifecycle import FAKETIME

needs_clock = pytest.mark.skipif(FAKETIME is None, reason="the package faketime is not installed")


def start(service):
    """With a clock that the file says."""
    clock = service.dir / "clock"
    clock.write_text("+0s\n")
    faked = (f"LD_PRELOAD={FAKETIME}", f"FAKETIME_TIMESTAMP_FILE={clock}", "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1")
    options = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"  # ASan wants to be the first library
    service.start(wrapper=("env", *faked, f"ASAN_OPTIONS={options}"))
    wait_for(lambda: len(service.workers()) >= 2, what="workers")
    return clock


def send(service, number):
    for pid in service.workers():
        os.kill(pid, number)


def clock_steps_back(service, app, clock, key):
    """While a call waits for its worker, and nothing else is recorded meanwhile; again when it had not begun yet."""
    for hours in range(1, 20):
        clock.write_text(f"+{hours}h\n")
        send(service, signal.SIGSTOP)
        call = app.start("Encrypt", key_id=key, plaintext=b"x")
        time.sleep(0.05 * hours)
        clock.write_text("+0h\n")
        send(service, signal.SIGCONT)
        assert call.result()
        if "started_us" in service.records()[-1]:
            return


def crash_in_an_attempt(service, admin):
    def attempts():
        return len(service.records(kind="attempt", operation="CreateKey"))

    before = attempts()
    send(service, signal.SIGSTOP)
    call = admin.start("CreateKey", policy=key_policy())  # kept: grpcio cancels a call that nobody refers to
    wait_for(lambda: attempts() > before, what="an attempt")
    service.kill()
    assert call.code().name == "UNAVAILABLE"


@needs_clock
def test_every_field_of_the_dictionary(fresh):
    database = "databases: [{name: main, host: /nowhere, sslmode: disable, admin_secret: none}]\n"
    sops = "  unix:\n" + sops_world.door(fresh.dir / "sops", principal=APP)
    fresh.write_config(limits={"refused_per_second": "5"}, unix=sops, extra=database)
    fresh.service_policy(lease_world.service_policy())
    fresh.init()
    clock = start(fresh)
    key, other = fresh.new_key(), fresh.new_key(policy=key_policy(users=()))
    sealing = fresh.new_key(admin=ADMIN2, policy=key_policy(admins=(ADMIN2,), users=(ADMIN,)))
    with fresh.client(ADMIN) as admin, fresh.client(APP) as app, fresh.client(OTHER) as stranger:
        admin.CreateAlias(alias_name="alias/dictionary", target_key_id=key)
        admin.CreateGrant(key_id=other, grantee_principal=APP, operations=["GRANT_OPERATION_ENCRYPT", 4])
        one = {"key_id": "alias/dictionary", "plaintext": b"x", "encryption_context": {"app": "shop"}}
        blob = app.Encrypt(**one, metadata=correlated("mine")).ciphertext_blob
        app.Encrypt(key_id=other, plaintext=b"x")
        app.EncryptBatch(items=[one, one])
        with sops_world.Sops(f"unix:{fresh.dir}/sops") as sops:
            sops.encrypt(sops.key("kms", arn=key), b"x")
        admin.CreateSecret(name="dictionary", kms_key_id=sealing)
        admin.DescribeSecret(secret_id="dictionary")
        admin.PutDatabaseRole(role_name="dictionary", database="main", creation_statements=[lease_world.PLAIN])
        admin.DescribeDatabaseRole(role_name="dictionary")
        from_ = {"ciphertext_blob": blob, "source_encryption_context": {"app": "shop"}, "destination_key_id": key}
        app.ReEncryptBatch(items=[from_])
        app.Encrypt(**dict(one, encryption_context={f"{n}": "\x01" * 4060 for n in range(2)}))
        for _ in range(40):
            with pytest.raises(Failure):
                stranger.Encrypt(**one)
        wait_for(lambda: fresh.records(kind="suppressed"), what="a summary")
        clock_steps_back(fresh, app, clock, key)
        crash_in_an_attempt(fresh, admin)
    fresh.start()
    fresh.stop()
    seen = Records()
    seen.check_folder(fresh.dir / "audit")
    wanted = {(parent, name) for parent, names in FIELDS.items() for name in names}
    missing = wanted - seen.seen
    assert not missing


def spoiled(record):
    """(what the validator must complain of, record) for each way."""
    def changed(where, **members):
        result = copy.deepcopy(record)
        target = result["access"][0] if where else result
        for name, value in members.items():
            target.pop(name) if value is None else target.__setitem__(name, value)
        return result

    return [
        ("'kin' was unexpected", changed("", kin="call")),
        ("'seq' is a required property", changed("", seq=None)),
        ("'outcome' is a required property", changed("", outcome=None)),
        ("'latency_us' is a required property", changed("", latency_us=None)),
        ("'Encipher' is not one of", changed("", operation="Encipher")),
        ("'FINE' is not one of", changed("", outcome="FINE")),
        ("'hsmm' is not one of", changed("", stage="hsmm")),
        ("-1 is less than", changed("", seq=-1)),
        ("'1' is not of type 'integer'", changed("", seq="1")),
        ("does not match", changed("", time="2026-11-22T12:00:00Z")),
        ("does not match", changed("", hash="xy")),
        ("does not match", changed("", request_id="1")),
        ("'perhaps' is not one of", changed("access", decision="perhaps")),
        ("'kms:Embalm' is not one of", changed("access", action="kms:Embalm")),
        ("'color' does not match", changed("access", inputs={"color": "red"})),
        ("5 is not of type 'string'", changed("access", context={"app": 5})),
        ("'x' was unexpected", changed("access", x="y")),
    ]


def test_what_the_schema_refuses(service):
    """And that a shape, which stands for many records, differs where the schema tells apart."""
    key = service.new_key()
    with service.client(APP) as app:
        app.Encrypt(key_id=key, plaintext=b"x", encryption_context={"app": "shop"})
    record = service.records(operation="Encrypt", outcome="OK")[-1]
    assert not list(validator().iter_errors(record))
    for message, bad in spoiled(record):
        errors = [error.message for error in validator().iter_errors(bad)]
        assert [error for error in errors if message in error], (message, errors)
        assert shape(bad, SCHEMA) != shape(record, SCHEMA), message
        with pytest.raises(AssertionError):
            Records().check(bad, "here")
    attempt = dict(service.records(kind="attempt")[-1], outcome="OK")
    assert list(validator().iter_errors(attempt))
