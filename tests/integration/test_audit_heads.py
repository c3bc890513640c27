"""Signed heads of the audit log: made in time, checked with openssl alone, kept elsewhere, and never in the way."""
import base64
import hashlib
import json
import pathlib
import re
import subprocess

import pytest

from harness import ADMIN, APP, BIN, BUILD, OFFICER, OTHER, ROOT, Failure, Service, wait_for

OFTEN = {"head_interval": "100ms"}


def heads(service):
    return service.records(kind="head")


def key_of(service):
    path = service.dir / "audit-key.pem"
    path.write_text(service.kmsctl(OFFICER, "audit", "key").stdout)
    return path


def openssl_says(key, instance, head):
    """What chain.h says to do by hand, with the words that stand there."""
    text = (ROOT / "kmsd/audit/chain.h").read_text()
    found = re.search(r"a POSIX shell with OpenSSL:\n((?: \*     .*\n)+)", text)
    script = re.sub(r"^ \* +", "", found[1], flags=re.M)
    script = script.replace("INSTANCE S H", f"{instance} {head['sequence']} {head['hash']}")
    script = script.replace("printf %s G", f"printf %s {head['signature']}").replace("key.pem", str(key))
    return subprocess.run(["sh", "-c", script], cwd=key.parent, capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A service whose heads are signed often, with an anchor."""
    service = Service(tmp_path_factory.mktemp("heads"), audit={**OFTEN, "anchor_file": "anchor.jsonl"}).init().start()
    yield service
    service.stop()


def test_heads_are_signed_over_the_chain(busy):
    busy.new_key()
    wait_for(lambda: len(heads(busy)) >= 2 or busy.new_key() and None, 30, "two heads")
    key, found = key_of(busy), heads(busy)
    records = {r["seq"]: r for r in busy.records()}
    for record in found:
        head = record["head"]
        assert head["sequence"] < record["seq"] and head["hash"] == records[head["sequence"]]["hash"]
        assert record["instance"] == "kmsd"
        assert openssl_says(key, "kmsd", head) == "Verified OK\n"
        assert "Verified OK" not in openssl_says(key, "other", head)
        assert "Verified OK" not in openssl_says(key, "kmsd", dict(head, sequence=head["sequence"] + 1))


def test_init_tells_the_id_of_the_key(tmp_path):
    service = Service(tmp_path)
    said = service.kmsd("init").stdout
    service.start()
    with service.client(OFFICER) as officer:
        assert f"will be signed by key {officer.GetAuditKey().signing_key_id}\n" in said
    service.stop()


def test_the_key_and_its_id(busy):
    with busy.client(OFFICER) as officer:
        key, head = officer.GetAuditKey(), officer.GetAuditHead()
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "DER"], input=key.public_key_pem.encode(), capture_output=True, check=True
    ).stdout
    digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der, capture_output=True, check=True).stdout
    assert der == key.public_key and digest.split()[0].decode() == key.signing_key_id
    assert {h["head"]["key_id"] for h in heads(busy)} == {key.signing_key_id} == {head.signed_head.signing_key_id}
    assert key_of(busy).read_text() == key.public_key_pem


def test_the_newest_head_over_the_api(busy):
    busy.new_key()
    with busy.client(OFFICER) as officer:

        def settled():
            reply = officer.GetAuditHead()
            return reply if reply.signed_head.sequence else None

        reply = wait_for(settled, 30, "a signed head")
        assert reply.instance_id == "kmsd" and reply.sequence == reply.signed_head.sequence + reply.unsigned_records
        records = {r["seq"]: r for r in busy.records()}
        assert records[reply.sequence]["hash"] == reply.hash
        signed = reply.signed_head
        assert records[signed.sequence]["hash"] == signed.hash and signed.sign_time_us > 0
        told = {"sequence": signed.sequence, "hash": signed.hash, "signature": base64.b64encode(signed.signature).decode()}
        assert openssl_says(key_of(busy), "kmsd", told) == "Verified OK\n"
        status = officer.GetStatus()
        assert status.audit_signed_sequence >= signed.sequence
        assert status.audit_signing_trouble == status.audit_anchor_trouble == ""


def test_only_whom_the_service_policy_allows(busy):
    for method in ("GetAuditHead", "GetAuditKey"):
        with busy.client(OTHER) as other, pytest.raises(Failure) as failure:
            getattr(other, method)()
        assert failure.value.reason == "ACCESS_DENIED"
        assert busy.records(operation=method)[-1]["access"][0]["action"] == "kms:" + method


def test_an_idle_log_does_not_grow(busy):
    def still():
        before = len(busy.records())
        return len(heads(busy)) > 0 and busy.records()[-1]["kind"] == "head" and before or None

    count = wait_for(still, 30, "the last record signed")
    with busy.client(OFFICER) as officer:  # three intervals, counted by what they would have written
        reply = wait_for(lambda: officer.GetAuditHead(), 5, "an answer")
    assert reply.sequence <= count + 2


def test_every_signed_head_is_anchored(busy):
    busy.new_key()
    anchor = busy.dir / "anchor.jsonl"

    def written():
        newest = heads(busy)[-1]["head"]["sequence"]
        lines = anchor.read_text().splitlines() if anchor.exists() else [""]
        return lines if f'"sequence":{newest},' in lines[-1] else None

    lines = [json.loads(line) for line in wait_for(written, 30, "the newest head in the anchor")]
    by_sequence = {r["head"]["sequence"]: r["head"] for r in heads(busy)}
    assert all(line["instance"] == "kmsd" and by_sequence[line["head"]["sequence"]] == line["head"] for line in lines)
    assert anchor.stat().st_mode & 0o777 == 0o600  # umask 0077
    with busy.client(OFFICER) as officer:
        assert officer.GetStatus().audit_anchored_sequence >= lines[-1]["head"]["sequence"]


def test_closed_in_good_order_it_ends_in_a_head(tmp_path):
    service = Service(tmp_path).init().start()
    service.new_key()
    assert heads(service) == []  # the interval is a minute
    key = key_of(service)
    service.stop()
    stop, head = service.records()[-2:]
    assert stop["operation"] == "stop" and head["kind"] == "head"
    assert (head["head"]["sequence"], head["head"]["hash"]) == (stop["seq"], stop["hash"])
    assert openssl_says(key, "kmsd", head["head"]) == "Verified OK\n"


@pytest.mark.parametrize("records", ["20", "1"])
def test_so_many_records_are_signed_at_once(tmp_path, records):
    service = Service(tmp_path, audit={"head_records": records}).init().start()
    with service.client(APP) as app:
        for _ in range(60):
            app.GenerateRandom(number_of_bytes=1)
    wait_for(lambda: len(heads(service)) >= 2, 30, "heads long before the minute is over")
    service.stop()


@pytest.mark.parametrize("place", ["/dev/full", "absent/anchor.jsonl", "a-folder"])
def test_an_anchor_that_fails_is_told_and_in_nobodys_way(tmp_path, place):
    (tmp_path / "a-folder").mkdir()
    service = Service(tmp_path, audit={**OFTEN, "anchor_file": place}).init().start()
    with service.client(OFFICER) as officer:
        service.new_key()
        trouble = wait_for(lambda: officer.GetStatus().audit_anchor_trouble, 30, "the trouble in GetStatus")
        assert pathlib.Path(place).name in trouble
        with service.client(APP) as app:
            assert len(app.GenerateRandom(number_of_bytes=8).plaintext) == 8
        status = officer.GetStatus()
        assert status.audit_signing_trouble == "" and status.audit_anchored_sequence == 0
    service.stop()
    assert service.log_text().count("event=audit.anchor") == 1  # once, not every time
    assert heads(service)


def test_an_anchor_that_comes_back(tmp_path):
    service = Service(tmp_path, audit={**OFTEN, "anchor_file": "later/anchor.jsonl"}).init().start()
    with service.client(OFFICER) as officer:
        wait_for(lambda: officer.GetStatus().audit_anchor_trouble, 30, "the trouble")
        (tmp_path / "later").mkdir()
        (tmp_path / "later/anchor.jsonl").write_text('{"time":"2026-')  # as a write that was cut off leaves it
        wait_for(lambda: officer.GetStatus().audit_anchored_sequence, 30, "a head in the anchor")
        wait_for(lambda: officer.GetStatus().audit_anchor_trouble == "", 30, "no trouble")
    service.stop()
    torn, *lines = (tmp_path / "later/anchor.jsonl").read_text().splitlines()
    assert torn == '{"time":"2026-' and json.loads(lines[-1])["head"] == heads(service)[-1]["head"]


def test_without_the_signing_key_the_service_goes_on(tmp_path):
    service = Service(tmp_path, audit=OFTEN).init()
    subprocess.run(
        ["pkcs11-tool", "--module", "/usr/lib/softhsm/libsofthsm2.so", "--token-label", "kmsd", "--login", "--pin",
         "4711-test", "--delete-object", "--type", "privkey", "--label", "audit-sign-1"],
        env=service.environment, check=True, capture_output=True,
    )
    service.start()
    with service.client(OFFICER) as officer:
        service.new_key()
        trouble = wait_for(lambda: officer.GetStatus().audit_signing_trouble, 30, "the trouble in GetStatus")
        assert "the token did not sign" in trouble
        with pytest.raises(Failure) as failure:
            officer.GetAuditKey()
        assert failure.value.reason == "ROOT_KEYS_MISSING"
        assert not officer.GetAuditHead().HasField("signed_head")
    service.stop()
    assert heads(service) == [] and "event=audit.head" in service.log_text()
    assert service.verify_audit()


SHIM = next(BUILD.glob("tests/harness/libpkcs11-shim.so"), None)


@pytest.mark.skipif(SHIM is None, reason="target pkcs11-shim is not built")
def test_a_token_that_does_not_sign_for_a_while(tmp_path):
    """It is told and tried again, and nobody waits for it."""
    service = Service(tmp_path, module=SHIM, audit=OFTEN).init().start()
    mute = tmp_path / "shim-mute"
    mute.touch()
    with service.client(OFFICER) as officer, service.client(APP) as app:
        service.new_key()
        trouble = wait_for(lambda: officer.GetStatus().audit_signing_trouble, 30, "the trouble in GetStatus")
        assert "the token did not sign" in trouble
        before = officer.GetAuditHead()
        assert len(app.GenerateRandom(number_of_bytes=8).plaintext) == 8
        assert officer.GetAuditHead().unsigned_records > before.unsigned_records
        assert officer.GetStatus().audit_writable
        mute.unlink()
        wait_for(lambda: officer.GetStatus().audit_signing_trouble == "", 30, "no trouble")
        assert officer.GetAuditHead().signed_head.sequence > before.sequence
    key = key_of(service)
    service.stop()
    assert "event=audit.head works again" in service.log_text()
    report, _ = verify(service, "--key", key)
    assert report["unsigned_records"] == 1


def verify(service, *arguments, expect=0):
    """kmsctl's report on the instance, and what it said besides."""
    done = subprocess.run(
        [BIN / "kmsctl", "audit", "verify", "--dir", service.dir / "audit", "-o", "json", *arguments],
        capture_output=True, text=True, check=False, timeout=60,
    )
    assert done.returncode == expect, done.stderr
    report = json.loads(done.stdout)
    assert report["intact"] == (expect == 0) == report["instances"][0]["intact"]
    return report["instances"][0], done.stderr


@pytest.fixture
def closed(tmp_path):
    """A service that was stopped in good order, and the public key that it told before."""
    service = Service(tmp_path, audit={**OFTEN, "anchor_file": "anchor.jsonl"}).init().start()
    service.new_key()
    wait_for(lambda: len(heads(service)) >= 2 or service.new_key() and None, 30, "two heads")
    key = key_of(service)
    service.stop()
    return service, ("--key", key), ("--anchor", service.dir / "anchor.jsonl")


def test_verify_needs_the_files_and_a_public_key(closed):
    service, key, anchor = closed
    report, said = verify(service, *key, *anchor)
    assert report["signatures_checked"] and report["signed_heads"] == len(heads(service)) and said == ""
    assert report["unsigned_records"] == 1 and not report["open_end"] and report["fault"] is None
    assert report["signed_sequence"] == report["last_sequence"] - 1 == heads(service)[-1]["head"]["sequence"]
    assert report["anchored_heads"] >= 2 and report["anchored_before"] == 0
    report, said = verify(service)
    assert not report["signatures_checked"] and "signatures were not checked" in said


def test_verify_with_the_key_of_another_token(closed, tmp_path_factory, busy):
    service, _, _ = closed
    report, said = verify(service, "--key", key_of(busy), expect=6)
    first = heads(service)[0]
    assert report["fault"]["kind"] == "forged" and "signed by another key" in said
    assert report["fault"]["line"] == [r["seq"] for r in service.records()].index(first["seq"]) + 1


def test_an_end_that_was_cut_off_is_told_by_the_anchor(closed):
    service, key, anchor = closed
    path = sorted((service.dir / "audit").glob("*.jsonl"))[-1]
    lines = path.read_bytes().splitlines(keepends=True)
    lines = lines[:-3] if b'"kind":"head"' in lines[-3] else lines[:-2]  # what is left does not end in a head
    path.write_bytes(b"".join(lines))
    report, said = verify(service, *key)
    assert report["open_end"] and "does not end in its signed head" in said
    report, said = verify(service, *key, *anchor, expect=6)
    assert report["fault"]["kind"] == "removed" and report["fault"]["file"] == path.name
    assert report["fault"]["line"] == len(lines) and f"{path.name}:{len(lines)}: removed: the log ends here" in said


def test_heads_that_were_all_taken_out_are_missed(closed):
    service, key, _ = closed
    verify(service, *key, "--max-unsigned", "1")
    kept = []
    for path in sorted((service.dir / "audit").glob("*.jsonl")):
        lines = [line for line in path.read_bytes().splitlines() if b'"kind":"head"' not in line]
        path.write_bytes(b"".join(line + b"\n" for line in chained(lines, kept)))
    assert not heads(service)
    report, _ = verify(service, *key)
    assert report["unsigned_records"] == report["records"] == len(kept)
    verify(service, *key, "--max-unsigned", str(len(kept)))
    report, said = verify(service, *key, "--max-unsigned", str(len(kept) - 1), expect=6)
    assert report["fault"]["kind"] == "unsigned" and report["fault"]["file"] == path.name
    assert f"covers the last {len(kept)} records, from sequence 1 on" in said
    done = service.kmsctl(ADMIN, "audit", "verify", "--dir", service.dir / "audit", "--max-unsigned", "1", check=False)
    assert done.returncode == 2 and "--max-unsigned needs --key" in done.stderr


def chained(lines, before):
    """The lines with new sequences and hashes, behind those that are in `before` already, where they are put, too."""
    for line in lines:
        body = line[line.index(b',"time"') : line.rindex(b',"hash":')]
        last = before[-1] if before else "0" * 64
        body = re.sub(rb'"prev":"[0-9a-f]*"', f'"prev":"{last}"'.encode(), body, count=1)
        body = b'{"seq":%d' % (len(before) + 1) + body
        before.append(hashlib.sha256(body).hexdigest())
        yield body + b',"hash":"' + before[-1].encode() + b'"}'


def test_a_log_that_is_gone_as_a_whole_is_told_by_the_anchor(closed):
    service, key, anchor = closed
    lines = anchor[1].read_text()
    anchor[1].write_text(lines + lines.replace('"instance":"kmsd"', '"instance":"other"'))
    report = json.loads(service.kmsctl(ADMIN, "audit", "verify", "--dir", service.dir / "audit", *anchor, "-o", "json").stdout)
    assert report["absent"] == ["other"] and [r["instance"] for r in report["instances"]] == ["kmsd"]
    _, said = verify(service, *key, *anchor)
    assert "kmsctl: other: " in said and "of which no file is here" in said
    _, said = verify(service, *key, *anchor, "--instance", "kmsd")
    assert said == ""


def test_kill_and_go_on(closed):
    service, key, anchor = closed
    for _ in range(3):
        service.start()
        service.new_key()
        service.kill()
    report, said = verify(service, *key, *anchor)
    assert report["unsigned_records"] >= 2 and not report["open_end"]
    service.start()
    service.stop()
    report, _ = verify(service, *key, *anchor)
    assert report["unsigned_records"] == 1 and [r["kind"] for r in service.records()[-2:]] == ["service", "head"]


def test_each_instance_is_verified(closed, tmp_path):
    service, key, _ = closed
    (tmp_path / "second").mkdir()
    other = Service(tmp_path / "second", audit={"dir": str(service.dir / "audit"), "instance": "other"}).init().start()
    other.new_key()
    other.stop()
    done = json.loads(subprocess.run(
        [BIN / "kmsctl", "audit", "verify", "--dir", service.dir / "audit", "-o", "json"], capture_output=True, check=True
    ).stdout)
    assert done["intact"] and [i["instance"] for i in done["instances"]] == ["kmsd", "other"]
    path = service.dir / "audit/other-00000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"CreateKey", b"CreateKex", 1))
    said = subprocess.run([BIN / "kmsctl", "audit", "verify", "--dir", service.dir / "audit"], capture_output=True, text=True,
                          check=False)
    assert said.returncode == 6 and "CORRUPT: other-00000001.jsonl" in said.stderr
    table = dict(re.split(r": +", line, maxsplit=1) for line in said.stdout.split("\n\n")[1].splitlines())
    assert table["Instance"] == "other" and table["Intact"] == "no" and "changed" in table["Fault"]
    assert "Intact:             yes" in said.stdout
    verify(service, *key, "--instance", "kmsd")


def test_syslog_gets_each_head(tmp_path):
    service = Service(tmp_path, audit={**OFTEN, "anchor_syslog": "true"}).init().start()
    with service.client(OFFICER) as officer:
        wait_for(lambda: officer.GetStatus().audit_anchored_sequence, 30, "a head told to syslog")
        assert officer.GetStatus().audit_anchor_trouble == ""
    service.stop()
