"""Where plaintext stays: nowhere in a worker, next to nowhere in the daemon, in no file and no log line.

Freed memory counts, so what AddressSanitizer keeps of it (its quarantine) is switched off; the figures of a release build
(KMS_BUILD=build/release) are the ones that matter.
"""
import base64
import collections
import contextlib
import os
import pathlib
import re
import secrets
import signal
import time

import pytest

from harness import APP, OTHER, Failure, Service, comm, wait_for

CALLS, IN_FLIGHT = 160, 40  # of each kind, for each of four connections
PIN = "pin-" + secrets.token_hex(12)
MARKER = secrets.token_bytes(24)  # part of every plaintext
TEXT_MARKER = (
    b"marker:" + secrets.token_hex(12).encode()
)  # the same in printable form: what a log line could hold
PIECE, LAST_PIECE = len(MARKER + TEXT_MARKER), 17 * 1024  # bytes
RESIDUE = 20  # copies that gRPC's own buffers may keep (one has been seen, with TLS); more than a thousand went through


def mappings(pid):
    """(start, end, name) of what is readable and resident."""
    found = []
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)", line)
        if head:
            found.append([int(head[1], 16), int(head[2], 16), head[3], head[4], 0])
        elif line.startswith("Rss:"):
            found[-1][4] = int(line.split()[1])
    # a sanitizer's shadow is terabytes of address space and holds no data
    return [
        (a, b, name)
        for a, b, rights, name, resident in found
        if rights[0] == "r" and resident and b - a < 1 << 32
    ]


def scan(pid, needles):
    """How often each mapping holds each of the needles."""
    found = collections.Counter()
    longest, step = max(map(len, needles)), 1 << 24
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, name in mappings(pid):
            for at in range(start, end, step):
                try:
                    memory.seek(at)
                    data = memory.read(min(step + longest - 1, end - at))
                except OSError:
                    continue
                for needle in needles:
                    if needle in data:
                        found[name or "anonymous"] += data.count(needle)
    return found


def use(client, key, data_keys):
    """Plaintext in every direction, large and small, many calls at once."""
    plain, sealed = {}, {}
    for number in range(CALLS):
        plain[number] = (MARKER + TEXT_MARKER) * (1, 3, 70, 900)[number % 4] + os.urandom(8)
    for first in range(0, CALLS, IN_FLIGHT):
        now = range(first, first + IN_FLIGHT)
        calls = {
            n: client.start(
                "Encrypt",
                key_id=key,
                plaintext=plain[n],
                encryption_context={"n": str(n)},
                compression=client.grpc.Compression.Gzip if n % 8 == 3 else None,
            )
            for n in now
        }
        made = [client.start("GenerateDataKey", key_id=key, key_spec=2) for _ in range(5)]
        sealed = {n: call.result().ciphertext_blob for n, call in calls.items()}
        calls = {
            n: client.start("Decrypt", ciphertext_blob=sealed[n], encryption_context={"n": str(n)})
            for n in now
        }
        for n in now:
            assert calls[n].result().plaintext == plain[n]
        for reply in (call.result() for call in made):
            assert client.Decrypt(ciphertext_blob=reply.ciphertext_blob).plaintext == reply.plaintext
            data_keys.append(reply.plaintext)


def fail(app, stranger, key):
    """Plaintext in calls that are refused at every station."""
    data = MARKER + TEXT_MARKER
    refused = [
        lambda: stranger.Encrypt(key_id=key, plaintext=data),
        lambda: app.Encrypt(key_id=key, plaintext=data * 2000),
        lambda: app.Encrypt(key_id="alias/none", plaintext=data),
        lambda: app.Decrypt(ciphertext_blob=data),
        lambda: app.Encrypt(key_id=key, plaintext=data, plaintext_crc32c=1),
        lambda: app.raw(app.method("Encrypt")[0], b"\x12\x7f" + data),
        lambda: app.raw("/kms.v1.CryptoService/None", data),
        lambda: app.raw(app.method("Encrypt")[0], data * 70, compression=app.grpc.Compression.Gzip),
        lambda: app.Encrypt(key_id=key, plaintext=data * 9000, compression=app.grpc.Compression.Gzip),
    ]
    for call in refused:
        with pytest.raises(Failure):
            call()
    stranger.close()


def readable(pid, known):
    """Whether this user may look into the process, shown by something that must be there."""
    try:
        return bool(scan(pid, [known]))
    except PermissionError:
        return False


@pytest.fixture(scope="module", params=["tls", "unix"])
def used(request, tmp_path_factory):
    """A service with nothing to do, after hundreds of calls with marked plaintext by one transport."""
    options = "quarantine_size_mb=0:thread_local_quarantine_size_kb=0:" + os.environ.get("ASAN_OPTIONS", "")
    service = Service(tmp_path_factory.mktemp("kmsd") / "home", environment={"ASAN_OPTIONS": options})
    path = service.dir / "socket"
    service.token("marked", pin=PIN)
    service.write_config(
        unix=f"  unix:\n    - path: {path}\n      principal: {APP}", label="marked", log={"level": "debug"}
    )
    service.init().start()
    service.data_keys, service.transport = [], request.param
    keys = [service.new_key(protection_level=1), service.new_key(protection_level=2)]
    wait_for(lambda: len(service.workers()) >= 2, what="workers")
    with contextlib.ExitStack() as stack:
        apps = [
            stack.enter_context(service.client(APP, unix=path if request.param == "unix" else None))
            for _ in keys * 2
        ]
        for app, key in zip(apps, keys * 2):
            use(app, key, service.data_keys)
        fail(apps[0], service.client(OTHER), keys[0])
        time.sleep(1)
        service.apps, service.key = apps, keys[0]
        yield service  # the connections stay
    service.stop()


def copies(pid, needles):
    found = scan(pid, needles)
    return sum(found.values()), dict(found)


def test_no_plaintext_stays(used):
    needles = [MARKER, *used.data_keys[::10], *used.data_keys[-5:]]
    if not readable(used.process.pid, APP.encode()):
        pytest.skip(
            "this user may not look into the memory of processes that are not dumpable (needs CAP_SYS_PTRACE)"
        )
    assert all(readable(pid, str(used.pin_file).encode()) for pid in used.workers())
    assert {pid: found for pid in used.workers() if (found := copies(pid, needles))[0]} == {}
    idle = copies(used.process.pid, needles)
    # gRPC's TLS protector keeps the last piece it has encrypted, the end of a reply, until it encrypts another
    blob = used.apps[0].Encrypt(key_id=used.key, plaintext=bytes(60000)).ciphertext_blob
    for app in used.apps:
        assert app.Decrypt(ciphertext_blob=blob).plaintext == bytes(60000)
    time.sleep(0.5)
    later = copies(used.process.pid, needles)
    print(f"{used.transport}: kmsd with the last replies {idle}, after others {later}")
    assert (
        idle[0] * PIECE <= (LAST_PIECE * len(used.apps) if used.transport == "tls" else 0) + RESIDUE * PIECE
    )
    assert later[0] <= RESIDUE


def shapes(secret):
    texts = [base64.b64encode(secret)[:-4], base64.urlsafe_b64encode(secret)[:-4]]
    return [secret, secret.hex().encode(), secret.hex().upper().encode(), *texts]


def test_no_plaintext_in_any_file(used):
    """Keystore, state, audit log, the daemon's own log at level debug."""
    assert used.records(operation="Encrypt", outcome="OK") and "level=debug" in used.log_text()
    needles = [
        shape for secret in [MARKER, TEXT_MARKER, *used.data_keys[:50]] for shape in shapes(secret)
    ] + [PIN.encode()]
    looked_at = [path for path in used.dir.rglob("*") if path.is_file() and path != used.pin_file]
    assert {"keystore.db", "kmsd.log"} <= {path.name for path in looked_at}
    for path in looked_at:
        data = path.read_bytes()
        assert not [needle for needle in needles if needle in data], path


def family(service):
    return [service.process.pid, *service.children()]


def test_pin_is_no_argument_and_in_no_environment(used, need_inspection):
    def look(name):
        for pid in family(used):
            assert PIN.encode() not in pathlib.Path(f"/proc/{pid}/{name}").read_bytes(), (pid, name)

    look("cmdline")
    look("comm")
    need_inspection(used.process.pid)
    look("environ")


def test_only_workers_load_the_module(used, need_inspection):
    need_inspection(used.process.pid)
    for pid in family(used):
        maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
        assert ("softhsm" in maps) == (pid in used.workers()), comm(pid)


def test_memory_of_workers_is_locked(used, need_inspection):
    need_inspection(used.process.pid)
    for pid in used.workers():
        if "libasan" in pathlib.Path(f"/proc/{pid}/maps").read_text():
            pytest.skip("AddressSanitizer makes mlockall do nothing")
        locked = int(re.search(r"VmLck:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
        assert locked > 1000


def test_no_core_dump(fresh):
    """Whatever the limit was before, and although the signal asks for one."""
    fresh.init().start(wrapper=("prlimit", "--core=unlimited") if os.geteuid() == 0 else ())
    wait_for(lambda: len(fresh.workers()) >= 2, what="workers")
    for pid in family(fresh):
        assert re.search(r"Max core file size +0 +0 ", pathlib.Path(f"/proc/{pid}/limits").read_text()), comm(
            pid
        )
    os.kill(fresh.process.pid, signal.SIGQUIT)
    assert (
        os.waitid(os.P_PID, fresh.process.pid, os.WEXITED | os.WNOWAIT).si_code == os.CLD_KILLED
    )  # not CLD_DUMPED
    assert fresh.process.wait(20) == -signal.SIGQUIT
    fresh.process = None
