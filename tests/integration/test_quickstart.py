"""The README's first command, the commands of docs/backup.md, and what an installation holds, run as a user would."""
import json
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile

import pytest

from harness import ROOT, free_port, run

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="quickstart installs packages and makes users: as root"
)


class Quickstart:
    def __init__(self, home):
        self.home = home
        self.environment = dict(os.environ, KMSD_HOME=str(home), KMSD_PORT=str(free_port()), CI="true")

    def __call__(self, program, *arguments, check=True):
        done = subprocess.run(
            [ROOT / "deploy" / program, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        assert not check or done.returncode == 0, done.stdout
        return done.stdout

    def kmsctl(self, *arguments):
        environment = dict(os.environ, KMSCTL_CONFIG=str(self.home / "clients" / "kmsctl.yaml"))
        return run(self.home / "usr" / "bin" / "kmsctl", *arguments, env=environment).stdout


@pytest.fixture(scope="module")
def quickstart():
    # Not pytest's folder: kmsd's users must be able to walk here, and another pytest would close it again.
    with tempfile.TemporaryDirectory(prefix="kms-quickstart-") as directory:
        os.chmod(directory, 0o755)
        instance = Quickstart(pathlib.Path(directory) / "home")
        yield instance
        instance("quickstart", "clean", check=False)


def test_quickstart_shows_the_main_job(quickstart):
    text = quickstart("quickstart")
    in_order = [
        "key create",
        "kms-env encrypt",
        "kms-env run",
        "lacks kms:Decrypt",
        "key rotate",
        "version 2",
        "data-key",
        "the wrapped key opens",
        "kms-env import",
        "kms-secret://",
        "the application sees correct horse",
        "lacks secretsmanager:GetSecretValue",
        "audit tail",
        "audit key",
        "audit verify",
        "Intact",
        "Signatures checked: yes",
    ]
    at = -1
    for words in in_order:
        assert text.find(words, at + 1) > at, f"{words!r} is missing or out of order:\n{text}"
        at = text.find(words, at + 1)
    assert "signatures were not checked" not in text
    tail = text[text.index("audit tail") : text.index("audit key")].splitlines()[1:-1]
    calls = [line.split() for line in tail]
    assert [words[4] for words in calls if words[2] != "head"] == (  # one may have been signed meanwhile
        ["CreateKey"] * 2  # attempt and outcome
        + ["Encrypt"] * 3
        + ["DecryptBatch"] * 2  # the application's, the administrator's: three values each
        + ["RotateKeyOnDemand"] * 2
        + ["DecryptBatch"]
        + ["Encrypt", "GenerateDataKey", "Decrypt"]
        + ["GetSecretValue"] * 2  # are they there already?
        + ["CreateSecret"] * 4
        + ["GetSecretValue"] * 3  # two of the application, one of the administrator
    )
    assert "and has two lines" in text and 'NASTY=it is "quoted" = $HOME # not a comment' in text


def test_workers_have_a_user_of_their_own(quickstart):
    pid = int((quickstart.home / "kmsd.pid").read_text())
    owners = {}
    for name in ("kmsd", "kms-hsm"):
        for process in run("pgrep", "-x", name).stdout.split():
            command = open(f"/proc/{process}/cmdline").read()
            if str(quickstart.home) in command or int(process) == pid:
                owners.setdefault(name, set()).add(os.stat(f"/proc/{process}").st_uid)
    import pwd

    assert (
        pwd.getpwnam("kms-hsm").pw_uid in owners["kms-hsm"] and pwd.getpwnam("kmsd").pw_uid in owners["kmsd"]
    )
    pin = quickstart.home / "token" / "pin"
    assert stat.S_IMODE(pin.stat().st_mode) == 0o600
    as_kmsd = subprocess.run(
        ["setpriv", "--reuid", "kmsd", "--regid", "kmsd", "--clear-groups", "cat", pin], capture_output=True
    )
    assert as_kmsd.returncode != 0 and not as_kmsd.stdout
    assert "libsofthsm2" not in open(f"/proc/{pid}/maps").read()


def test_status_has_nothing_to_warn_of(quickstart):
    assert json.loads(quickstart.kmsctl("status", "-o", "json"))["warnings"] == []


def test_again_takes_seconds_and_changes_nothing(quickstart):
    keys = quickstart.kmsctl("key", "list", "-o", "json")
    assert "runs already" in quickstart("quickstart", "start")
    assert quickstart.kmsctl("key", "list", "-o", "json") == keys


def test_backup_and_restore(quickstart, tmp_path):
    archive = tmp_path / "backup.tar"
    keys = quickstart.kmsctl("key", "list", "-o", "json")
    assert "deploy/quickstart stop first" in quickstart("backup", str(archive), check=False)
    quickstart("quickstart", "stop")
    assert "backup.tar" in quickstart("backup", str(archive))
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert "never overwritten" in quickstart("backup", str(archive), check=False)
    assert "already" in quickstart("restore", str(archive), check=False)
    quickstart("quickstart", "clean")
    assert not quickstart.home.exists()
    quickstart("restore", str(archive))
    quickstart("quickstart", "start")
    assert quickstart.kmsctl("key", "list", "-o", "json") == keys
    assert "Intact" in quickstart("quickstart", "demo")


def test_root_keys_are_rotated_and_destroyed(quickstart):
    keys = quickstart.kmsctl("key", "list", "-o", "json")
    assert json.loads(quickstart.kmsctl("root", "rotate", "-o", "json"))["destroyable"] == [1]
    quickstart.kmsctl("root", "destroy", "1")
    assert json.loads(quickstart.kmsctl("root", "status", "-o", "json"))["root_id"] == 2
    assert "Intact" in quickstart("quickstart", "demo")
    quickstart("quickstart", "stop")
    quickstart("quickstart", "start")
    after = json.loads(quickstart.kmsctl("key", "list", "-o", "json"))
    assert all(key in after for key in json.loads(keys))  # the demonstration makes one more


def test_older_keystore_alone_is_refused(quickstart, tmp_path):
    database = quickstart.home / "state" / "keystore.db"
    quickstart("quickstart", "stop")
    shutil.copy2(database, tmp_path / "older.db")
    quickstart("quickstart", "start")
    quickstart.kmsctl("key", "create")
    quickstart("quickstart", "stop")
    owner = database.stat()
    for left in database.parent.glob("keystore.db*"):
        left.unlink()
    shutil.copy2(tmp_path / "older.db", database)
    os.chown(database, owner.st_uid, owner.st_gid)
    assert "ROLLBACK_DETECTED" in quickstart("quickstart", "start", check=False)


def test_stop_and_clean_leave_nothing(quickstart):
    quickstart("quickstart", "stop", check=False)
    quickstart("quickstart", "clean")
    assert not quickstart.home.exists()
    assert "Nothing to clean" in quickstart("quickstart", "clean")


def test_installation(quickstart, tmp_path):
    run(
        "cmake",
        "--install",
        ROOT / "build" / "release",
        "--prefix",
        "/usr",
        env=dict(os.environ, DESTDIR=str(tmp_path)),
    )
    for name in (
        "sbin/kmsd",
        "libexec/kmsd/kms-hsm",
        "bin/kmsctl",
        "bin/kms-env",
        "lib/systemd/system/kmsd.service",
        "lib/sysusers.d/kmsd.conf",
        "share/man/man1/kmsctl.1",
        "share/man/man3/libkms.3",
        "share/man/man8/kmsd.8",
    ):
        assert (tmp_path / "usr" / name).exists(), name
    found = dict(os.environ, PKG_CONFIG_PATH=str(next((tmp_path / "usr").rglob("kms.pc")).parent))
    include = run("pkg-config", "--variable=includedir", "kms", env=found).stdout.strip()
    assert os.path.realpath(include) == str(tmp_path / "usr" / "include"), "kms.pc goes where the prefix goes"
    sample = next((tmp_path / "usr").rglob("kmsd.yaml.sample"))
    assert sample.read_text() == run(tmp_path / "usr" / "sbin" / "kmsd", "sample-config").stdout
