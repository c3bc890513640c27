"""kmsctl reencrypt against a real kmsd: which values of a tree move, and that nothing else does."""
import json
import os
import pty
import subprocess

from file_tree import ENVIRONMENT, TEXT, frame, touched, tree, versions  # noqa: F401 (a fixture)
from harness import ADMIN, APP, BIN, ROOT


def test_values_move_and_nothing_else_does(tree):
    env = tree.write(
        "app/.env",
        "#kms-env app=shop key=alias/none\r\n# before: KMS\r\nPLAIN=x # kms:v1:nothing\r\n"
        f"export DB = \"{tree.variable('DB', 'correct horse')}\"   # the database\r\n\r\n"
        f"TOKEN='{tree.variable('TOKEN', 'battery')}'#c\r\nLAST={tree.variable('LAST', 'staple')}",
        0o604,
    )
    compose = tree.write(
        "compose.yaml",
        "services:\n  web:\n    environment:\n"
        f"      DB: {tree.variable('DB', 'one', 'default')}   # kms:v1: is a prefix\n"
        f"  job:\n    environment: [ \"A={tree.variable('A', 'two', 'default')}\", B=plain ]\n",
    )
    pod = tree.write(
        "k8s/pod.yml",
        "---\nenv:\n- name: DB\n"
        f"  value: '{tree.variable('DB', 'three', 'default')}'\n- value: {tree.variable('X', 'four', 'default')}\n"
        "  name: X\n",
    )
    escaped = tree.variable("a b/c", "five", "default").replace("/", "\\/")
    task = tree.write("task.json", f'{{"a b\\/c":"{escaped}",\t"n": 1.50}}')
    files = (env, compose, pod, task)
    before = {path: path.read_bytes().decode() for path in files}
    tree.rotate()
    report, _ = tree.reencrypt(tree.root)
    assert (report["values"], report["selected"], report["re_encrypted"], report["changed_files"]) == (8, 8, 8, 4)
    assert report["failures"] == report["left_alone"] == []
    for path in files:
        after = path.read_bytes().decode().replace("\\/", "/")
        assert frame(after) == frame(before[path].replace("\\/", "/"))
        assert set(versions(after)) == {2}
    assert env.stat().st_mode & 0o7777 == 0o604
    assert tree.plaintexts(env, "DB", "TOKEN", "LAST") == ["correct horse", "battery", "staple"]
    names = [(row["file"], row["line"], row["name"]) for row in report["changes"]]
    assert (str(env), 4, "DB") in names and (str(pod), 5, "X") in names and (str(task), 1, "a b/c") in names
    for path, name, plaintext in ((compose, "A", "two"), (pod, "X", "four"), (task, "a b/c", "five")):
        context = ("--context", "kms-env:app=default", "--context", f"kms-env:name={name}")
        value = TEXT.findall(path.read_text())[0 if path == task else 1]
        assert tree.kmsctl("decrypt", *context, input=value) == plaintext
    done = tree.operations("ReEncrypt")
    for path in files:
        os.utime(path, ns=(10**18, 10**18))
    again, _ = tree.reencrypt(tree.root)
    assert (again["values"], again["selected"]) == (8, 0) and tree.operations("ReEncrypt") == done
    assert not any(touched(path) for path in files)


def test_a_dry_run_touches_nothing(tree):
    path = tree.env_file("a.env", "A", "B")
    leftover = tree.write(".a.env.kms-tmp-a1B2c3", "half")
    text = path.read_bytes()
    tree.rotate()
    calls = tree.operations("ReEncrypt")
    report, said = tree.reencrypt("--dry-run", tree.root)
    assert (report["dry_run"], report["selected"], report["re_encrypted"], report["changed_files"]) == (True, 2, 0, 0)
    assert [(row["line"], row["name"], row["version"], row["new_version"]) for row in report["changes"]] == [
        (2, "A", 1, 2),
        (3, "B", 1, 2),
    ]
    assert {row["key_id"] for row in report["changes"]} == {tree.key} and said == ""
    assert path.read_bytes() == text and not touched(path) and leftover.exists()
    assert tree.operations("ReEncrypt") == calls
    table = tree.kmsctl("reencrypt", "--dry-run", tree.root)
    assert "Changes:\nFILE" in table and f"{path}  2     A" in table


def test_which_values_are_chosen(tree):
    other = tree.service.new_key()
    tree.kmsctl("alias", "create", "reencrypt-other", other, principal=ADMIN)
    mine = tree.write("mine.json", json.dumps({"A": tree.variable("A", "a", "default")}))
    theirs = tree.write(
        "theirs.json",
        json.dumps({"B": tree.encrypt("b", "kms-env:app=default", "kms-env:name=B", key=other)}),
    )
    assert tree.reencrypt(tree.root)[0]["selected"] == 0
    assert tree.reencrypt("--to", "alias/reencrypt-other", "--dry-run", tree.root)[0]["selected"] == 1
    one, _ = tree.reencrypt("--all", "--key", other, tree.root)
    assert [row["name"] for row in one["changes"]] == ["B"] and not touched(mine)
    moved, _ = tree.reencrypt("--to", "alias/reencrypt-other", mine, tree.root)
    assert [(row["name"], row["key_id"], row["new_key"]) for row in moved["changes"]] == [("A", tree.key, other)]
    tree.rotate(other)
    both, _ = tree.reencrypt("--to", "alias/reencrypt-other", mine, theirs)
    assert {(row["name"], row["new_version"]) for row in both["changes"]} == {("A", 2), ("B", 2)}


def test_contexts(tree):
    env = tree.write(".env", f"A={tree.variable('A', 'a', 'default')}\n")
    yaml = tree.write("v.yaml", f"db: {{password: {tree.encrypt('b', 'for=db', 'in=prod')}}}\n")
    bare = tree.write("bare.yaml", f"- {tree.encrypt('c')}\n")
    tree.rotate()
    report, _ = tree.reencrypt(tree.root, status=1)
    assert {row["file"] for row in report["failures"]} == {str(yaml), str(bare)} and touched(env)
    os.utime(env, ns=(10**18, 10**18))
    tree.reencrypt("--context", "in=prod", "--context", "for=db", yaml, env)
    tree.reencrypt("--no-context", bare)
    assert tree.kmsctl("decrypt", "--context", "for=db", "--context", "in=prod", input=TEXT.findall(yaml.read_text())[0]) == "b"
    assert tree.kmsctl("decrypt", input=TEXT.findall(bare.read_text())[0]) == "c" and not touched(env)
    report, said = tree.reencrypt("--all", "--context", "for=x", yaml, status=1)
    assert "--context" in report["failures"][0]["message"] and "INVALID_CIPHERTEXT" in said
    named = tree.write("x.env", f"A={tree.variable('A', 'a', 'bank')}\n")
    tree.reencrypt("--all", named, status=1)
    tree.reencrypt("--all", "--app", "bank", named)
    tree.kmsctl("reencrypt", "--context", "a=b", "--no-context", named, status=2)
    tree.kmsctl("reencrypt", status=2)


def test_what_is_left_alone_is_told(tree, tmp_path):
    value = tree.encrypt("x")
    outside = tmp_path / "outside.env"
    outside.write_text(f"A={value}\n")
    tree.write("comment.yaml", f"# old: {value}\nA: b\n")
    tree.write("url.json", json.dumps({"url": f"x://{value}@host"}))
    tree.write("app.toml", f'password = "{value}"\n')
    tree.write("photo.env", f"\0{value}")
    tree.write("huge.yaml", f"A: {value}\n" + 4 * 1024 * 1024 * "#")
    tree.write(".git/config.env", f"A={value}\n")
    (tree.root / "link.env").symlink_to(outside)
    (tree.root / "links").symlink_to(tmp_path)
    os.mkfifo(tree.root / "pipe.env")
    tree.rotate()
    inodes = {path: path.lstat().st_ino for path in tree.root.rglob("*")}
    report, _ = tree.reencrypt(tree.root)
    assert {row["why"]: row["count"] for row in report["skipped"]} == {
        "symbolic links": 2,
        "sockets, pipes, devices": 1,
        "folders of version control": 1,
        "binary files": 1,
        "larger than --max-bytes": 1,
    }
    left = {os.path.basename(row["file"]): (row["line"], row["why"].split(":")[0]) for row in report["left_alone"]}
    assert left == {
        "comment.yaml": (1, "no value of its own"),
        "url.json": (1, "no value of its own"),
        "app.toml": (1, "in a file that is not .env, .yaml, .yml or .json by its name"),
        "huge.yaml": (None, "not looked into"),
    }
    assert outside.read_text() == f"A={value}\n"
    assert inodes == {path: path.lstat().st_ino for path in tree.root.rglob("*")}
    table = tree.kmsctl("reencrypt", "--max-bytes", "9000000", tree.root, status=1)
    assert table.startswith("kmsctl: INVALID_CIPHERTEXT: 1 failure, listed above")
    linked = tree.root / "link.env"  # named, it is followed
    outside.write_text(f"A={tree.variable('A', 'x', 'default')}\n")
    tree.rotate()
    tree.reencrypt(linked)
    assert linked.is_symlink() and set(versions(outside.read_text())) == {3}


def test_the_bar_is_drawn_on_a_terminal_alone(tree):
    tree.env_file("a.env", "A")
    tree.rotate()
    assert tree.reencrypt("--dry-run", tree.root)[1] == ""
    main, terminal = pty.openpty()
    done = subprocess.run(
        [BIN / "kmsctl", *tree.command("reencrypt", tree.root)], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=terminal
    )
    os.close(terminal)
    assert done.returncode == 0
    drawn = os.read(main, 4096).decode()
    os.close(main)
    assert drawn.startswith("\r[") and "  0 of 1 files" in drawn and drawn.endswith("\r\033[K")


def test_the_commands_of_the_document(tree, tmp_path):
    text = (ROOT / "docs/reencrypt.md").read_text()
    commands = [line.strip() for line in text.splitlines() if line.startswith("    kmsctl ")]
    assert len(commands) == 4
    path = tree.env_file(".env", "A")
    other = tree.service.new_key()
    tree.kmsctl("alias", "create", "other", other, principal=ADMIN)
    tree.rotate()
    certs, name = tree.service.certs.dir, tree.service.certs.client(APP)
    config = tmp_path / "kmsctl.yaml"
    config.write_text(
        f"current_context: it\ncontexts:\n- name: it\n  endpoint: 127.0.0.1:{tree.service.port}\n"
        f"  ca: {certs}/ca.pem\n  cert: {certs}/{name}.pem\n  key: {certs}/{name}.key\n"
    )
    environment = dict(ENVIRONMENT, KMSCTL_CONFIG=str(config), PATH=f"{BIN}:{os.environ['PATH']}")
    seen = []
    for command in commands:
        done = subprocess.run(
            ["sh", "-c", command], cwd=tree.root, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, (command, done.stderr)
        seen.append((versions(path.read_text()), tree.key_of(path) == other))
    assert seen == [([1], False), ([2], False), ([2], False), ([1], True)]
