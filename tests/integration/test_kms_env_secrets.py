"""kms-env with secrets against a real kmsd: references, watching, files, and moving a file into secrets."""
import json
import os
import signal
import stat
import subprocess
import tempfile
import uuid

import pytest

from callers import secret_policy
from env_program import FIRST, SECOND, Env, lines_of, make, put
from harness import ADMIN, APP, OTHER, free_port, wait_for


@pytest.fixture(scope="module")
def admin(service):
    with service.client(ADMIN) as client:
        yield client


@pytest.fixture
def env(service, tmp_path):
    env = Env(service, tmp_path)
    yield env
    env.end()


@pytest.fixture
def memory():
    """A folder on a tmpfs."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield folder


# -- references --


def test_references_beside_ciphertext(service, admin, env):
    fields = {"user": "web", "password": FIRST, "port": 5432, "tls": True, "more": {"a": [1, "x y"]}, "empty": ""}
    db, token = make(admin, json.dumps(fields)), make(admin, FIRST)
    version = put(admin, token, SECOND)
    env.file.write_text(f"USER_NAME=kms-secret://{db}#user\nDB_PASSWORD='kms-secret://{db}#password'\nPORT=kms-secret://{db}#port\n"
                        f"TLS=kms-secret://{db}?stage=AWSCURRENT#tls\nMORE=kms-secret://{db}#more\nEMPTY=kms-secret://{db}#empty\n"
                        f"OLD=kms-secret://{token}?stage=AWSPREVIOUS\nNOW=kms-secret://{token}?version={version}\n"
                        f"TEXT=see kms-secret://{token}\nSEALED=sealed\n")
    env("encrypt", "--key", service.new_key(), "--only", "SEALED", "--in", env.file, "--in-place")
    assert env.file.read_text().count("kms-secret://") == 9 and "SEALED=kms:v1:" in env.file.read_text()
    seen = len(service.records(operation="GetSecretValue"))
    env.environment["INHERITED"] = f"kms-secret://{token}"
    assert env.printed("USER_NAME", "DB_PASSWORD", "PORT", "TLS", "MORE", "EMPTY", "OLD", "NOW", "INHERITED", "TEXT", "SEALED") == [
        "web", FIRST, "5432", "true", '{"a":[1,"x y"]}', "", FIRST, SECOND, SECOND, f"see kms-secret://{token}", "sealed"]
    assert len(service.records(operation="GetSecretValue")) == seen + 4  # db once, three of token


def test_what_cannot_be_had_starts_nothing(admin, env):
    db, hidden = make(admin, json.dumps({"a": FIRST, "none": None})), make(admin, SECOND, users=(OTHER,))
    env.file.write_text(f"A=kms-secret://{db}#a\nB=kms-secret://{db}#b\nC=kms-secret://{db}#none\nD=kms-secret://{hidden}\n"
                        f"E=kms-secret://{db}?stage=AWSPENDING\nF=kms-secret://../../etc/passwd\nG=kms-secret://a%2f..\n"
                        f"H=kms-secret://{db}?stage=a&version=b\nI=kms-secret://{'n' * 513}\nJ=kms-db://ro#username\n"
                        f"K=kms-secret://kms-env/not-there\n")
    told = env.refused()
    for words in (f"B ({env.file}:2): NOT_FOUND: secret {db}, field b: the secret has no such field",
                  f"C ({env.file}:3): INVALID_ARGUMENT: secret {db}, field none: the field is null",
                  f"D ({env.file}:4): ACCESS_DENIED: secret {hidden}: ", f"E ({env.file}:5): NOT_FOUND: secret {db}: ",
                  f"F ({env.file}:6): INVALID_ARGUMENT: column 14 of the reference: an empty part, \".\" or \"..\"",
                  f"G ({env.file}:7): INVALID_ARGUMENT: column 15 of the reference: a name has ",
                  f"H ({env.file}:8): INVALID_ARGUMENT: ", "stage and version exclude each other",
                  f"I ({env.file}:9): INVALID_ARGUMENT: column 526 of the reference: a name has at most 512 bytes",
                  f"J ({env.file}:10): ACCESS_DENIED: role ro: ", f"K ({env.file}:11): ACCESS_DENIED: ",
                  "10 values could not be had: nothing was started"):
        assert words in told, told
    assert "A (" not in told
    # the others still start with --allow-missing
    done = env("run", "--allow-missing", "--env-file", env.file, "--", "printenv", "A")
    assert done.stdout == FIRST + "\n"


def test_check_says_what_can_be_had(admin, env):
    db = make(admin, json.dumps({"a": FIRST}))
    env.file.write_text(f"A=kms-secret://{db}#a\nB=kms-secret://{db}#b\nC=kms-secret://a b\n")
    done = env("check", "--env-file", env.file, status=1)
    assert f"{env.file}:1: A: reference\n" in done.stdout and f"{env.file}:2: B: reference\n" in done.stdout
    assert f"{env.file}:3: C: damaged: WRONG: not a valid reference: column 15 of the reference: " in done.stdout
    rows = json.loads(env("check", "--online", "-o", "json", "--env-file", env.file, status=1).stdout)["values"]
    assert [row.get("available") for row in rows] == [True, False, None] and rows[1]["reason"] == "NOT_FOUND"
    listed = json.loads(env("run", "--dry-run", "-o", "json", "--env-file", env.file).stdout)["variables"]
    assert {row["kind"] for row in listed} == {"reference"}


# -- watching --


WATCH = ("run", "--watch", "--watch-interval", "200ms")


def test_a_change_starts_it_again(admin, env, tmp_path):
    name, log = make(admin, FIRST), tmp_path / "log"
    env.file.write_text(f"SECRET=kms-secret://{name}\n")
    program = env.popen(*WATCH, "--env-file", env.file, "--", "sh", "-c",
                        f'echo "$SECRET" >>{log}; trap "exit 7" TERM; while :; do sleep 0.05; done')
    wait_for(lambda: len(lines_of(log)) == 1, what="the first start")
    put(admin, name, SECOND)
    wait_for(lambda: len(lines_of(log)) == 2, what="the second start")
    program.send_signal(signal.SIGTERM)
    out, err = program.communicate(timeout=30)
    assert lines_of(log) == [FIRST, SECOND] and program.returncode == 7
    assert "a secret has changed: starting the program again" in err and FIRST not in err and SECOND not in err


def test_a_change_may_be_a_signal(admin, env, tmp_path):
    name, log = make(admin, FIRST), tmp_path / "log"
    env.file.write_text(f"SECRET=kms-secret://{name}\n")
    program = env.popen(*WATCH, "--watch-signal", "HUP", "--env-file", env.file, "--", "sh", "-c",
                        f'trap "exit 9" HUP; echo up >{log}; while :; do sleep 0.05; done')
    wait_for(lambda: lines_of(log) == ["up"], what="the start")
    put(admin, name, SECOND)
    assert program.wait(timeout=30) == 9


def test_what_may_not_be_watched_is_told_before(service, admin, env):
    name = make(admin, FIRST)
    policy = json.loads(secret_policy())
    policy["Statement"][1]["Action"] = "secretsmanager:GetSecretValue"
    admin.PutResourcePolicy(secret_id=name, resource_policy=json.dumps(policy))
    env.file.write_text(f"SECRET=kms-secret://{name}\n")
    told = env.refused("--watch")
    assert f"secret {name}: " in told
    assert env.printed("SECRET") == [FIRST]


def test_the_program_goes_on_without_kmsd(fresh, tmp_path):
    fresh.write_config(listen=f"127.0.0.1:{free_port()}")  # the same after a restart
    fresh.init().start()
    env, log = Env(fresh, tmp_path), tmp_path / "log"
    with fresh.client(ADMIN) as admin:
        name = make(admin, FIRST)
    env.file.write_text(f"SECRET=kms-secret://{name}\n")
    program = env.popen(*WATCH, "--env-file", env.file, "--", "sh", "-c",
                        f'echo "$SECRET" >>{log}; while :; do sleep 0.05; done')
    try:
        away_and_back(fresh, program, name, log)
    finally:
        env.end()


def away_and_back(fresh, program, name, log):
    wait_for(lambda: lines_of(log) == [FIRST], what="the start")
    fresh.stop()
    told = program.stderr.readline()
    assert told.startswith(f"kms-env: secret {name}: ") and told.endswith(": the program goes on with the values it has\n")
    fresh.start()
    assert program.stderr.readline() == "kms-env: secrets can be watched again\n"
    with fresh.client(ADMIN) as admin:
        put(admin, name, SECOND)
    wait_for(lambda: lines_of(log) == [FIRST, SECOND], what="the second start")
    program.send_signal(signal.SIGTERM)
    assert program.wait(timeout=30) == 128 + signal.SIGTERM


# -- files --


def test_files_in_every_format(admin, env, memory):
    db = make(admin, json.dumps({"p": "it's $5 \\"}))
    env.file.write_text(f"# head\nP=kms-secret://{db}#p\nPLAIN=x y\n")
    env.environment["INHERITED"] = "not for this file"
    wanted = {
        "env": "P=it's $5 \\\nPLAIN=x y\n", "dotenv": "P=\"it's \\$5 \\\\\"\nPLAIN='x y'\n",
        "shell": "export P='it'\\''s $5 \\'\nexport PLAIN='x y'\n", "systemd": 'P="it\'s \\$5 \\\\"\nPLAIN="x y"\n',
        "json": '{\n  "P": "it\'s $5 \\\\",\n  "PLAIN": "x y"\n}\n', "yaml": '"P": "it\'s $5 \\\\"\n"PLAIN": "x y"\n',
    }
    for form, text in wanted.items():
        assert env("render", "--env-file", env.file, "--format", form).stdout == text
        env("render", "--env-file", env.file, "--format", form, "--out", f"{memory}/f", "--mode", "0440", "--owner", "0:0")
        with open(f"{memory}/f") as file:
            assert file.read() == text
        assert stat.S_IMODE(os.stat(f"{memory}/f").st_mode) == 0o440
    assert os.listdir(memory) == ["f"]
    # what is written is read again by what reads it
    shell = f'. {memory}/s; printf %s "$P"'
    env("render", "--env-file", env.file, "--format", "shell", "--out", f"{memory}/s")
    assert subprocess.run(["sh", "-c", shell], capture_output=True, text=True).stdout == "it's $5 \\"


def test_a_template(admin, env, memory, tmp_path):
    db = make(admin, json.dumps({"u": "web", "p": FIRST}))
    template = tmp_path / "app.ini.in"
    template.write_bytes(b"dsn=postgres://{{ kms-secret://%b#u }}:{{kms-secret://%b#p}}@db/x\r\n{{ .Go }}\xff{{{{ kms-secret://x }}"
                         % (db.encode(), db.encode()))
    env("render", "--template", template, "--out", f"{memory}/app.ini")
    with open(f"{memory}/app.ini", "rb") as file:
        assert file.read() == b"dsn=postgres://web:%b@db/x\r\n{{ .Go }}\xff{{ kms-secret://x }}" % FIRST.encode()
    template.write_text("a\n{{ kms-secret://%s#none }}\n{{ kms-secret://kms-env/not-there }}" % db)
    told = env("render", "--template", template, "--out", f"{memory}/none", status=125).stderr
    assert f"line 2: NOT_FOUND: secret {db}, field none: " in told and "line 3: ACCESS_DENIED: " in told
    assert os.listdir(memory) == ["app.ini"]  # nothing half-written


def test_files_are_not_for_disks(admin, env, memory, tmp_path):
    env.file.write_text(f"A=kms-secret://{make(admin, FIRST)}\n")
    seen = lambda out: env("render", "--env-file", env.file, "--out", out, status=125).stderr  # noqa: E731
    assert "not in memory: write below /run or /dev/shm, or say --allow-disk" in seen(tmp_path / "f")
    os.symlink("/etc/passwd", f"{memory}/link")
    assert "a symbolic link" in seen(f"{memory}/link")
    os.chmod(memory, 0o777)
    assert "others may write this folder" in seen(f"{memory}/f")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["app.env"] and os.listdir(memory) == ["link"]
    env("render", "--env-file", env.file, "--out", tmp_path / "f", "--allow-disk")
    assert (tmp_path / "f").read_text() == f"A={FIRST}\n"


# -- moving a file into secrets --


def test_a_file_moves_into_secrets(service, admin, env, tmp_path):
    prefix, boss, policy = "moved/" + uuid.uuid4().hex[:8], Env(service, tmp_path, ADMIN), tmp_path / "policy.json"
    before = f"# head\nA={FIRST}\n\nexport B='x y' # note\nEMPTY=\nC=kms-secret://other\n"
    env.file.write_text(before)
    policy.write_text(secret_policy(users=(APP, OTHER)))
    how = ("import", "--in", env.file, "--prefix", prefix, "--policy", policy)
    assert boss(*how, "--dry-run").stdout == f"A\tcreate\tkms-secret://{prefix}/A\nB\tcreate\tkms-secret://{prefix}/B\n"
    assert env.file.read_text() == before and not admin.ListSecrets(name_prefix=prefix).secrets
    boss(*how, "--in-place")
    after = f"# head\nA=kms-secret://{prefix}/A\n\nexport B=kms-secret://{prefix}/B # note\nEMPTY=\nC=kms-secret://other\n"
    assert env.file.read_text() == after
    assert boss(*how, "--in-place").stderr == "kms-env: 0 moved into secrets, 4 left as they were\n"
    assert env.file.read_text() == after
    env.file.write_text(after.replace("C=kms-secret://other\n", ""))
    assert env.printed("A", "B") == [FIRST, "x y"]
    # another value under the same name is not replaced unasked
    env.file.write_text(f"A={SECOND}\n")
    told = boss(*how, "--in-place", status=125).stderr
    assert "--replace stores a new version" in told and env.file.read_text() == f"A={SECOND}\n"
    boss(*how, "--in-place", "--replace")
    assert env.printed("A") == [SECOND]


def test_a_file_becomes_one_secret(service, admin, env, tmp_path):
    name, boss, policy = "moved/" + uuid.uuid4().hex[:8], Env(service, tmp_path, OTHER), tmp_path / "policy.json"
    admin.CreateSecret(name=name, value={"secret_string": '{"kept": "1"}'},
                       resource_policy=json.dumps(dict(json.loads(secret_policy(users=(APP,))))))
    env.file.write_text(f"A={FIRST}\nN='two\nlines'\n")
    told = boss("import", "--in", env.file, "--json-secret", name, status=125).stderr  # it may neither read nor create
    assert "ACCESS_DENIED" in told or "not allowed by policy" in told or "may not read it" in told, told
    assert env.file.read_text() == f"A={FIRST}\nN='two\nlines'\n"
    fresh, policy = name + "/all", tmp_path / "policy.json"
    policy.write_text(secret_policy())
    boss = Env(service, tmp_path, ADMIN)
    done = boss("import", "--in", env.file, "--json-secret", fresh, "--policy", policy)
    assert done.stdout == f"A=kms-secret://{fresh}#A\nN=kms-secret://{fresh}#N\n"
    env.file.write_text(done.stdout)
    assert env.printed("A", "N") == [FIRST, "two", "lines"]


# -- what stays behind --


def test_the_longest_value_goes_through(admin, env, memory):
    long = "x" * 65536
    env.file.write_text(f"A=kms-secret://{make(admin, long)}\n")
    assert env.printed("A") == [long]
    env("render", "--env-file", env.file, "--format", "json", "--out", f"{memory}/f")
    with open(f"{memory}/f") as file:
        assert json.load(file) == {"A": long}
    told = env("render", "--env-file", env.file, status=125).stderr  # with its name it is longer than docker's lines
    assert "A: longer than a line of the format env" in told


def test_no_value_stays_on_disk(service, admin, env, memory, tmp_path):
    """Whichever way it is used; the file that import replaces is gone, too."""
    marker = b"marker-" + uuid.uuid4().hex.encode()
    db, boss, prefix = make(admin, json.dumps({"p": marker.decode()})), Env(service, tmp_path, ADMIN), "left/" + uuid.uuid4().hex[:8]
    env.file.write_text(f"A=kms-secret://{db}#p\n")
    env.printed("A")
    env("check", "--online", "--env-file", env.file)
    env("render", "--env-file", env.file, "--out", f"{memory}/f")
    env("render", "--env-file", env.file, "--out", tmp_path / "refused", status=125)
    env.file.write_bytes(b"A=" + marker + b"\n")
    boss("import", "--in", env.file, "--in-place", "--prefix", prefix)
    files = [path for folder in (service.dir, tmp_path) for path in folder.rglob("*") if path.is_file()]
    assert env.file in files and [path for path in files if marker in path.read_bytes()] == []
    with open(f"{memory}/f", "rb") as file:
        assert marker in file.read()  # the search would find it
