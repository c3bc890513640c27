"""A log with several files, heads, a kill and an anchor, and what is needed to tamper with copies of it.

A way of tampering is a function that gets a Log, spoils it, and returns what verify has to say: file, line, kind, words, and the
sequence of the last good record."""
import hashlib
import json
import pathlib
import re
import shutil
import signal
import subprocess
import types

from harness import APP, BIN, OFFICER, Service, wait_for

WHEREVER = None  # how far verify came does not matter
ANYBODY, NOBODY = b"spiffe://example.org/app", b"spiffe://example.org/nob"


def make_world(tmp_path_factory):
    """Two logs of the same instance, not made by the same token, as folders; and what verify is told about the first."""
    made = []
    for name in ("log", "other"):
        home = tmp_path_factory.mktemp(name)
        service = Service(home, audit={"head_records": "20", "head_interval": "1h", "anchor_file": "anchor.jsonl"})
        service.init()
        for end in (service.kill, service.stop):
            service.start()
            for _ in range(3):
                fill(service)
            key = home / "key.pem"
            key.write_text(service.kmsctl(OFFICER, "audit", "key").stdout)
            end()
        made.append(types.SimpleNamespace(folder=home / "audit", key=key, anchor=home / "anchor.jsonl"))
    log, other = made
    log.other = other.folder
    return log


def fill(service):
    """One file more, with calls and two or three heads."""
    with service.client(APP) as app:
        assert all(c.result() for c in [app.start("GenerateRandom", number_of_bytes=8) for _ in range(50)])
    files = openings(service)
    service.signal(signal.SIGHUP)
    wait_for(lambda: openings(service) > files or None, 10, "a new file")


def openings(service):
    return sum("segment" in record for record in service.records())


class Log:
    """A copy: lines of files, without LF, by name in order; put() writes them again."""

    def __init__(self, folder, anchor, world):
        self.folder, self.anchor, self.key, self.other = folder, anchor, world.key, world.other
        self.files = {path.name: whole(path) for path in sorted(folder.glob("*.jsonl"))}
        self.names = list(self.files)
        self.was = {name: list(lines) for name, lines in self.files.items()}
        self.options = []

    def put(self):
        for name, lines in self.files.items():
            if lines != self.was.get(name):
                (self.folder / name).write_bytes(b"".join(line + b"\n" for line in lines))

    def path(self, number):
        return self.folder / self.names[number]

    def lines(self, number):
        return self.files[self.names[number]]

    def place(self):
        """A line of the second file, from 1, with a call before it and eleven behind it."""
        return calls_from(self.was[self.names[1]])

    def anew(self, number, line):
        """Sequences and hashes from there on as if kmsd had written what stands there."""
        sequence, last = 0, b"0" * 64
        for name, lines in list(self.files.items()):
            for at, text in enumerate(lines):
                if name > self.names[number] or (name == self.names[number] and at >= line - 1):
                    text = re.sub(rb'"prev":"[0-9a-f]*"', b'"prev":"' + last + b'"', text, count=1)
                    text = sealed(re.sub(rb'^{"seq":\d+', b'{"seq":%d' % (sequence + 1), text))
                    lines[at] = text
                sequence, last = seq(text), hash_of(text)


def whole(path):
    return path.read_bytes().split(b"\0", 1)[0].rstrip(b"\n").split(b"\n")


def calls_from(lines):
    """The first line, from 1, that has eleven calls behind it and no heads between."""
    kinds = [b'"kind":"call"' in line for line in lines]
    return next(at + 1 for at in range(2, len(kinds)) if len(kinds) > at + 12 and all(kinds[at : at + 12]))


def seq(line):
    return int(line[len(b'{"seq":') : line.index(b",")])


def hash_of(line):
    return line[line.rindex(b',"hash":"') + 9 :][:64]


def sealed(line):
    """With a hash that fits."""
    body = line[: line.rindex(b',"hash":')]
    return body + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}'


def fault(log, number, line, kind, words, good):
    """What verify has to say: the last good record is the one with sequence `good`."""
    return log.names[number], line, kind, words, good


def before(log, number, line):
    """The sequence of the record before the one that stood in that line."""
    return seq(log.was[log.names[number]][line - 1]) - 1


def swapped(lines):
    return [lines[7], *lines[1:7], lines[0], *lines[8:]]


def forged(lines):
    return [sealed(lines[0].replace(ANYBODY, NOBODY)), *lines[1:]]


def verify(folder, *options):
    return subprocess.run(
        [BIN / "kmsctl", "audit", "verify", "--dir", folder, "-o", "json", *options], capture_output=True, text=True, timeout=60)


def check(way, world, tmp_path):
    """Does that to a copy, and asks verify."""
    shutil.copytree(world.folder, tmp_path / "audit")
    log = Log(tmp_path / "audit", pathlib.Path(shutil.copy(world.anchor, tmp_path)), world)
    file, line, kind, words, good = way(log)
    log.put()
    done = verify(log.folder, "--key", world.key, *log.options)
    assert done.returncode == 6, (done.stdout, done.stderr)
    report = json.loads(done.stdout)["instances"][0]
    found = report["fault"]
    assert not report["intact"] and (found["file"], found["line"], found["kind"]) == (file, line, kind), found
    assert words in found["words"] and good in (WHEREVER, report["last_sequence"])
    assert f"CORRUPT: {file}:{line}: {kind}: " in done.stderr
