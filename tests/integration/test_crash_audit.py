"""The room of the audit log, killed at random moments under load: what was acknowledged is there, once and in order.

$KMS_CRASH_ROUNDS deaths, 200 when it is not set; with 1,000 it takes a minute. After half of the deaths the end of the log is
made to look as a loss of power leaves it, with part of a line. test_crash.py kills the whole daemon, less often.
"""
import collections
import json
import os
import random
import re
import subprocess
import time

from audit_records import RECORDS
from harness import BIN, BUILD, run

ROUNDS = int(os.environ.get("KMS_CRASH_ROUNDS", "200"))
WRITER = BUILD / "tests/audit-writer"
LONGEST = 0.1  # seconds from the start of a writer to its end


def killed(folder, number, dice):
    """Runs a writer for a moment; how far it said that it had come."""
    with subprocess.Popen([WRITER, folder, str(number)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        if dice.random() < 0.8:  # the others die while they start
            first = writer.stdout.readline()
        else:
            first = b""
        time.sleep(dice.uniform(0, LONGEST))
        writer.kill()
        told, complaint = writer.communicate()
    assert writer.returncode == -9 and not complaint, complaint.decode()
    lines = (first + told).split(b"\n")[:-1]
    assert lines == sorted(lines, key=int)
    return int(lines[-1]) if lines else 0


def end_of(path):
    data = path.read_bytes()
    return data[: data.index(b"\0")] if b"\0" in data else data


def tear(folder, dice):
    """A line that has begun, behind what is whole."""
    paths = sorted(folder.glob("writer-*.jsonl"))
    if not paths:
        return False  # it died before it had made its first file
    path = paths[-1]
    text = end_of(path)
    if not text.endswith(b"\n"):
        return False  # it is torn already
    line = text.splitlines(keepends=True)[-1]
    with open(path, "r+b") as file:
        file.seek(len(text))
        file.write(line[: dice.randrange(1, len(line))])
    return True


def records_of(folder):
    for path in sorted(folder.glob("writer-*.jsonl")):
        text = end_of(path)
        for line in text[: text.rfind(b"\n") + 1].splitlines():
            yield json.loads(line)


def test_what_was_acknowledged_survives_every_death(tmp_path):
    folder = tmp_path / "audit"
    folder.mkdir()
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    told, torn = {}, 0
    for number in range(ROUNDS):
        told[number] = killed(folder, number, dice)
        if dice.random() < 0.5:
            torn += tear(folder, dice)
    RECORDS.check_folder(folder)
    killed(folder, ROUNDS, random.Random(1))  # closes what the last death left
    found, recovered, ended = collections.defaultdict(list), 0, collections.Counter()
    attempts = set()
    for record in records_of(folder):
        recovered += record.get("extra", {}).get("event") == "torn-line"
        if record["kind"] in ("call", "attempt"):
            assert re.fullmatch(r"\d+-\d+", record["correlation_id"])
            number, at = map(int, record["correlation_id"].split("-"))
            found[number].append(at)
        if record["kind"] == "attempt" and number < ROUNDS:
            attempts.add(record["request_id"])
        if record.get("request_id") in attempts and record["kind"] in ("outcome", "recovery"):
            ended[record["request_id"]] += 1
    acknowledged = sum(told.values())
    print(f"seed {seed}: {ROUNDS} deaths, {acknowledged} calls acknowledged, {sum(map(len, found.values()))} on record, "
          f"{torn} torn lines made, {recovered} closed, {len(attempts)} attempts")
    for number, last in told.items():
        assert found[number] == list(range(1, len(found[number]) + 1)), (seed, number)
        assert len(found[number]) >= last, (seed, number, last)
    assert acknowledged > ROUNDS
    assert recovered >= torn > 0
    assert len(attempts) > ROUNDS and set(ended) == attempts and set(ended.values()) == {1}
    report = json.loads(run(BIN / "kmsctl", "audit", "verify", "--dir", folder, "-o", "json").stdout)
    assert report["intact"] and report["instances"][0]["files"] > ROUNDS / 2
