"""kmsctl reencrypt when something is in its way: what fails leaves whole files, and goes no further than it must."""
import json
import os
import signal
import subprocess

import pytest

from file_tree import ENVIRONMENT, frame, touched, tree, versions  # noqa: F401 (a fixture)
from harness import BIN, key_policy, wait_for


def test_one_bad_value_leaves_its_file_and_no_other(tree):
    good, bad = tree.env_file("good.env", "A"), tree.env_file("bad.env", "A", "B")
    text = bad.read_text()
    bad.write_text(text.replace("B=", "C="))
    damaged = tree.write("damaged.env", "X=kms:v1:AAAA\n")
    broken = tree.write("broken.json", '{"A": "kms:v1:\n"}')
    tree.rotate()
    before = bad.read_bytes()
    report, said = tree.reencrypt(tree.root, status=1)
    assert bad.read_bytes() == before and set(versions(good.read_text())) == {2}
    failures = {(row["file"], row["line"], row["name"]): row["reason"] for row in report["failures"]}
    assert failures == {
        (str(bad), 3, "C"): "INVALID_CIPHERTEXT",
        (str(damaged), 1, "X"): "INVALID_CIPHERTEXT",
        (str(broken), None, ""): "INVALID_ARGUMENT",
    }
    assert "3 failures" in said and "variable C of application shop" in json.dumps(report["failures"])
    table = tree.kmsctl("reencrypt", tree.root / "damaged.env", status=1)
    assert "INVALID" in table


@pytest.fixture
def unprivileged():
    """root reads and writes everything, unless it lets go of that."""
    caps = "-dac_override,-dac_read_search,-fowner"
    return ("setpriv", f"--bounding-set={caps}") if os.geteuid() == 0 else ()


def test_files_that_cannot_be_replaced(tree, unprivileged):
    unreadable = tree.env_file("unreadable.env", "A")
    locked, fine = tree.env_file("locked/a.env", "A"), tree.env_file("fine.env", "A")
    hidden = tree.env_file("hidden/a.env", "A")
    twin = tree.env_file("twin.env", "A")
    os.link(twin, tree.root / "twin2.env")
    tree.rotate()
    unreadable.chmod(0)
    locked.parent.chmod(0o555)
    hidden.parent.chmod(0)
    missing = tree.root / "missing"
    calls = tree.operations("ReEncrypt")
    try:
        report, said = tree.reencrypt(tree.root, missing, status=1, wrapper=unprivileged)
    finally:
        hidden.parent.chmod(0o755)
        locked.parent.chmod(0o755)
    failures = {os.path.relpath(row["file"], tree.root): row["message"] for row in report["failures"]}
    assert failures == {
        "hidden": "Permission denied",
        "missing": "No such file or directory",
        "unreadable.env": "Permission denied",
        "locked/a.env": "its folder cannot be written: Permission denied",
        "twin.env": "it has 2 names (hard links): replacing one would part it from the others",
    }
    assert "5 failures" in said and tree.operations("ReEncrypt") == calls + 1
    assert touched(fine) and not any(touched(path) for path in (unreadable, locked, hidden, twin))


def test_killed_in_the_middle(tree):
    paths = [tree.env_file(f"{i % 7}/{i}.env", "A") for i in range(120)]
    old = {path: path.read_bytes() for path in paths}
    leftover = tree.write("3/.3.env.kms-tmp-a1B2c3", "half")
    tree.rotate()
    run = subprocess.Popen(
        [BIN / "kmsctl", *tree.command("reencrypt", tree.root)], env=ENVIRONMENT, stdout=subprocess.DEVNULL
    )
    wait_for(lambda: run.poll() is not None or any(touched(path) for path in paths), what="a file written")
    run.send_signal(signal.SIGKILL)
    run.wait()
    for path in paths:
        assert path.read_bytes() == old[path] or versions(path.read_text()) == [2]
        assert frame(path.read_text()) == frame(old[path].decode())
    temporary = list(tree.root.rglob(".*.kms-tmp-*"))
    report, _ = tree.reencrypt(tree.root)
    assert not leftover.exists() and report["leftovers_removed"] == len(temporary)
    assert list(tree.root.rglob(".*")) == []
    assert all(versions(path.read_text()) == [2] for path in paths)
    assert tree.plaintexts(paths[77], "A") == ["0/77.env A"]


def test_a_signal_ends_it_between_files(tree):
    paths = [tree.env_file(f"{i}.env", "A") for i in range(100)]
    tree.rotate()
    run = subprocess.Popen(
        [BIN / "kmsctl", *tree.command("reencrypt", "-o", "json", tree.root)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: run.poll() is not None or any(touched(path) for path in paths), what="a file written")
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    report = json.loads(out)
    assert report["changed_files"] == sum(touched(path) for path in paths)
    assert run.returncode == 0 or (run.returncode == 1 and err.startswith("kmsctl: CANCELLED: "))
    assert list(tree.root.rglob(".*")) == []


def test_the_service_is_away(tree):
    path = tree.env_file("a.env", "A")
    words = tree.command("reencrypt", "-o", "json", "--timeout", "500ms", "--all", tree.root)
    words[words.index("--endpoint") + 1] = "127.0.0.1:1"
    done = subprocess.run([BIN / "kmsctl", *words], capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    assert done.returncode == 5 and not touched(path), done.stderr
    assert json.loads(done.stdout)["failures"] == []


def test_who_may_not_use_the_key(tree):
    theirs = tree.service.new_key(policy=key_policy(users=("spiffe://example.org/other",)))
    blob = tree.service.kmsctl(
        "spiffe://example.org/other", "encrypt", "--key", theirs, "--base64", env=ENVIRONMENT, input="x"
    ).stdout.strip()
    path = tree.write("a.json", json.dumps({"A": blob}))
    fine = tree.env_file("b.env", "A")
    tree.rotate()
    report, said = tree.reencrypt(tree.root, status=3)
    assert [row["reason"] for row in report["failures"]] == ["ACCESS_DENIED"] and not touched(path)
    assert versions(fine.read_text()) == [2] and "hint: " in said
