"""kmsctl file against a real kmsd: there and back, second implementation, damage, and memory that does not grow."""
import json
import os
import secrets
import signal
import stat
import subprocess
import sys

import pytest

import harness
from harness import APP, OTHER, wait_for

sys.path.insert(0, str(harness.ROOT / "tests/vectors"))
import kms_file  # noqa: E402

# As in test_kmsctl.py; and AddressSanitizer's quarantine is no memory of ours.
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS="detect_leaks=0:quarantine_size_mb=1", KMSCTL_CONFIG="")
# How long the file is that shows constant memory. 1 GB: KMS_FILE_TEST_BYTES=1000000000
LONG = int(os.environ.get("KMS_FILE_TEST_BYTES", 48 * 1024 * 1024))


@pytest.fixture(scope="module")
def key(service):
    return service.new_key()


@pytest.fixture(scope="module")
def argv(service):
    """The words before those of a command."""
    name = service.certs.client(APP)
    certs = service.certs.dir
    return [
        str(word)
        for word in (
            harness.BIN / "kmsctl",
            *("--endpoint", f"127.0.0.1:{service.port}", "--ca", certs / "ca.pem"),
            *("--cert", certs / f"{name}.pem", "--key-file", certs / f"{name}.key"),
        )
    ]


@pytest.fixture
def kmsctl(argv, tmp_path):
    """kmsctl(arguments..., input=bytes, status=0) in a folder of the test's own; bytes of output, or the text of errors."""

    def call(*arguments, status=0, **options):
        words = argv + [str(a) for a in arguments]
        done = subprocess.run(
            words, capture_output=True, cwd=tmp_path, env=ENVIRONMENT, timeout=120, **options
        )
        assert done.returncode == status, (arguments, done.stderr)
        return done.stderr.decode() if status else done.stdout

    return call


def encrypted(kmsctl, key, plaintext, *arguments, name="sealed"):
    return kmsctl("file", "encrypt", "--key", key, "--out", name, *arguments, input=plaintext)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 300_000])
def test_there_and_back(kmsctl, key, tmp_path, size):
    plaintext = secrets.token_bytes(size)
    (tmp_path / "plain").write_bytes(plaintext)
    kmsctl("file", "encrypt", "--key", key, "--context", "file=a", "--in", "plain", "--out", "sealed")
    sealed = (tmp_path / "sealed").read_bytes()
    assert sealed[:4] == b"KMSF" and (size < 16 or plaintext[:16] not in sealed)
    kmsctl("file", "decrypt", "--context", "file=a", "--in", "sealed", "--out", "again")
    assert (tmp_path / "again").read_bytes() == plaintext
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("sealed", "again")} == {0o600}
    assert sorted(os.listdir(tmp_path)) == ["again", "plain", "sealed"]
    piped = kmsctl("file", "encrypt", "--key", key, input=plaintext)
    assert kmsctl("file", "decrypt", input=piped) == plaintext
    assert len(piped) == len(sealed) and piped != sealed


def test_the_second_implementation_reads_and_writes_the_same(kmsctl, key, service, tmp_path):
    context, plaintext = {"file": "a"}, secrets.token_bytes(5000)
    encrypted(kmsctl, key, plaintext, "--context", "file=a", "--chunk-size", "1024")
    with service.client(APP) as app:
        opened = kms_file.unseal(
            (tmp_path / "sealed").read_bytes(),
            lambda wrapped: app.Decrypt(ciphertext_blob=wrapped, encryption_context=context).plaintext,
        )
        assert opened == plaintext
        made = app.GenerateDataKey(key_id=key, key_spec=2, encryption_context=context)
    header = kms_file.header_of(11, secrets.token_bytes(32), made.ciphertext_blob)
    (tmp_path / "theirs").write_bytes(kms_file.seal(made.plaintext, header, plaintext))
    assert kmsctl("file", "decrypt", "--context", "file=a", "--in", "theirs") == plaintext


def test_one_call_on_record_for_each_file(kmsctl, key, service, tmp_path):
    encrypted(kmsctl, key, secrets.token_bytes(200_000), "--context", "file=on-record")
    kmsctl("file", "decrypt", "--context", "file=on-record", "--in", "sealed", "--out", "again")
    found = [
        record["operation"]
        for record in service.records()
        if "on-record" in json.dumps(record) and record["outcome"] == "OK"
    ]
    assert found == ["GenerateDataKey", "Decrypt"]


def test_the_context_is_needed(kmsctl, key, tmp_path):
    encrypted(kmsctl, key, b"x" * 1000, "--context", "file=a")
    for wrong in ([], ["--context", "file=b"], ["--context", "file=a", "--context", "b="]):
        said = kmsctl("file", "decrypt", *wrong, "--in", "sealed", "--out", "again", status=1)
        assert said.startswith("kmsctl: INVALID_CIPHERTEXT: ") and "--context" in said
    assert os.listdir(tmp_path) == ["sealed"]


def test_policy_decides(service, kmsctl, key, tmp_path):
    encrypted(kmsctl, key, b"secret")
    for command in (
        ["encrypt", "--key", key, "--in", tmp_path / "sealed"],
        ["decrypt", "--in", tmp_path / "sealed"],
    ):
        done = service.kmsctl(
            OTHER, "file", *command, "--out", tmp_path / "out", check=False, env=ENVIRONMENT
        )
        assert done.returncode == 3 and done.stderr.startswith("kmsctl: ACCESS_DENIED: "), done.stderr
    assert os.listdir(tmp_path) == ["sealed"]


def damaged(sealed):
    """Three chunks of 1024 bytes and one of 100 behind a header of 159 bytes."""
    at, size = 159, 1040
    yield "a flipped bit", sealed[:2300] + bytes([sealed[2300] ^ 4]) + sealed[2301:], "chunk 2 (from byte 2239 of the file on)"
    yield "swapped", sealed[:at] + sealed[at + size:at + 2 * size] + sealed[at:at + size] + sealed[at + 2 * size:], "chunk 0"
    yield "cut at a chunk", sealed[:at + 2 * size], "the file ends behind chunk 1, which is not its last"
    yield "cut in a chunk", sealed[:-1], "chunk 3, the last,"
    yield "longer", sealed + b"more", "chunk 3, the last,"
    yield "salt", sealed[:8] + b"12345678" + sealed[16:], "key commitment"
    yield "chunk size", sealed[:6] + b"\x0b" + sealed[7:], "key commitment"
    yield "not ours", b"PK" + sealed[2:], "does not begin as one"
    yield "newer", sealed[:4] + b"\x02" + sealed[5:], "upgrade"


def test_damage_is_named_and_leaves_nothing(kmsctl, key, tmp_path):
    plaintext = secrets.token_bytes(3172)
    encrypted(kmsctl, key, plaintext, "--chunk-size", "1024")
    sealed = (tmp_path / "sealed").read_bytes()
    (tmp_path / "kept").write_bytes(b"what was there before")
    for what, bad, words in damaged(sealed):
        assert bad != sealed
        (tmp_path / "sealed").write_bytes(bad)
        for target in (["--out", "again"], ["--out", "kept", "--force"]):
            said = kmsctl("file", "decrypt", "--in", "sealed", *target, status=1)
            assert said.startswith("kmsctl: INVALID_CIPHERTEXT: ") and words in said, (what, said)
        kmsctl("file", "decrypt", input=bad, status=1)
        assert sorted(os.listdir(tmp_path)) == ["kept", "sealed"], what
    assert (tmp_path / "kept").read_bytes() == b"what was there before"


def test_a_part_on_standard_output_is_called_one(argv, kmsctl, key, tmp_path):
    plaintext = secrets.token_bytes(3000)
    encrypted(kmsctl, key, plaintext, "--chunk-size", "1024")
    cut = (tmp_path / "sealed").read_bytes()[:159 + 2 * 1040]
    done = subprocess.run(argv + ["file", "decrypt"], input=cut, capture_output=True, env=ENVIRONMENT)
    assert done.returncode == 1 and done.stdout == plaintext[:1024]
    assert b"the 1024 bytes on standard output are not all" in done.stderr


def test_nothing_is_replaced_unasked(kmsctl, key, tmp_path):
    (tmp_path / "there").write_text("keep me")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("there", "dangling"):
        said = encrypted_refused(kmsctl, key, name)
        assert said.startswith(f"kmsctl: INVALID_ARGUMENT: {name} exists; --force replaces it")
    assert (tmp_path / "there").read_text() == "keep me"
    encrypted(kmsctl, key, b"secret", "--force", name="there")
    kmsctl("file", "decrypt", "--in", "there", "--out", "there", "--force")
    assert (tmp_path / "there").read_bytes() == b"secret"
    assert stat.S_IMODE((tmp_path / "there").stat().st_mode) == 0o600


def encrypted_refused(kmsctl, key, name):
    return kmsctl("file", "encrypt", "--key", key, "--out", name, input=b"secret", status=1)


def test_places_that_are_no_files(kmsctl, key, tmp_path):
    encrypted(kmsctl, key, b"secret")
    kmsctl("file", "decrypt", "--in", "sealed", "--out", "/dev/null")
    assert kmsctl("file", "decrypt", "--in", "sealed", "--out", "/dev/stdout") == b"secret"
    assert "Is a directory" in kmsctl("file", "decrypt", "--in", ".", status=1)
    assert "No such file" in kmsctl("file", "decrypt", "--in", "nothing", status=1)
    assert "No such file" in kmsctl("file", "decrypt", "--in", "sealed", "--out", "no/where", status=1)
    assert "No space left" in kmsctl("file", "decrypt", "--in", "sealed", "--out", "/dev/full", status=1)
    assert "json goes with --out" in kmsctl("file", "decrypt", "--in", "sealed", "-o", "json", status=2)
    assert "power of two" in kmsctl("file", "encrypt", "--key", key, "--chunk-size", "1000", status=1, input=b"")


def test_any_part_of_it(kmsctl, key, tmp_path):
    plaintext = secrets.token_bytes(5000)
    encrypted(kmsctl, key, plaintext, "--chunk-size", "1024")
    sealed = (tmp_path / "sealed").read_bytes()
    for offset, length in ((0, 0), (0, 1), (1023, 2), (1024, 1024), (2000, 2500), (4999, 10), (5000, 1), (17, None)):
        part = ["--offset", offset] + (["--length", length] if length is not None else [])
        want = plaintext[offset:] if length is None else plaintext[offset:offset + length]
        assert kmsctl("file", "decrypt", "--in", "sealed", *part) == want
        assert kmsctl("file", "decrypt", *part, input=sealed) == want
    for source in ({}, {"input": sealed}):
        where = [] if source else ["--in", "sealed"]
        said = kmsctl("file", "decrypt", *where, "--offset", "5001", status=1, **source)
        assert "offset 5001 is behind the end: the file holds 5000 bytes" in said
    # what is before the part may be damaged
    (tmp_path / "sealed").write_bytes(sealed[:200] + b"????" + sealed[204:])
    assert kmsctl("file", "decrypt", "--in", "sealed", "--offset", "1024") == plaintext[1024:]
    for wrong in ("", "-1", "1k", "99999999999999999999999"):
        assert "is no number of bytes" in kmsctl("file", "decrypt", f"--offset={wrong}", status=2)


def test_inspect_needs_no_service(kmsctl, key, tmp_path):
    report = json.loads(encrypted(kmsctl, key, b"x" * 3000, "--chunk-size", "2048", "-o", "json"))
    alone = [str(harness.BIN / "kmsctl"), "-o", "json", "file", "inspect"]
    inspect = lambda *words, **options: json.loads(  # noqa: E731
        subprocess.run(alone + list(words), capture_output=True, check=True, env=ENVIRONMENT, cwd=tmp_path, **options).stdout
    )
    assert inspect("sealed") == report == {
        "format_version": 1, "key_id": key, "key_version": 1, "chunk_bytes": 2048, "header_bytes": 159, "chunks": 2,
        "plaintext_bytes": 3000, "file_bytes": 159 + 3000 + 32,
    }
    sealed = (tmp_path / "sealed").read_bytes()
    piped = inspect(input=sealed)
    assert piped == {name: report[name] for name in piped} and "plaintext_bytes" not in piped
    assert "its end is missing" in kmsctl("file", "inspect", "/dev/stdin", stdin=cut(tmp_path, sealed[:159 + 2064 + 9]), status=1)
    part = json.loads(kmsctl("file", "decrypt", "--in", "sealed", "--length", "7", "--out", "part", "-o", "json"))
    assert part == report | {"written_bytes": 7}


def cut(tmp_path, data):
    (tmp_path / "cut").write_bytes(data)
    return open(tmp_path / "cut", "rb")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_nothing(argv, key, tmp_path, number):
    words = argv + ["file", "encrypt", "--key", key, "--out", "sealed"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=ENVIRONMENT
    ) as process:
        process.stdin.write(b"x" * 200_000)
        process.stdin.flush()
        wait_for(lambda: any(f.stat().st_size > 100_000 for f in tmp_path.iterdir()), what="a part of the file")
        assert [f.name.startswith("sealed.") for f in tmp_path.iterdir()] == [True]
        process.send_signal(number)
        said = process.stderr.read().decode()
        assert process.wait(60) == 1 and said.startswith("kmsctl: CANCELLED: "), said
    assert os.listdir(tmp_path) == []


def peak_kib(words, **options):
    """Largest resident size of a program, which must succeed."""
    process = subprocess.Popen(words, env=ENVIRONMENT, **options)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss


def test_memory_does_not_grow_with_the_file(argv, key, tmp_path):
    """The file is a hole, so that it takes no disk; the encrypted one does."""
    peaks = {}
    for size in (1024 * 1024, LONG):
        with open(tmp_path / "plain", "wb") as plain:
            plain.truncate(size)
        peaks[size] = [
            peak_kib(argv + ["file", *words, "--force"], cwd=tmp_path)
            for words in (
                ["encrypt", "--key", key, "--in", "plain", "--out", "sealed"],
                ["decrypt", "--in", "sealed", "--out", "again"],
                ["decrypt", "--in", "sealed", "--out", "part", "--offset", str(size - 10)],
            )
        ]
        assert subprocess.run(["cmp", tmp_path / "plain", tmp_path / "again"]).returncode == 0
        assert (tmp_path / "part").read_bytes() == bytes(10)
    (few, many) = peaks.values()
    assert all(b < a + 8 * 1024 for a, b in zip(few, many)), peaks
