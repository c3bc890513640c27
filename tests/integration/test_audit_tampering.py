"""Records of the audit log, tampered with in each way that somebody could think of: verify names the file, the line, what was done,
and the last record that is good. test_audit_tampering_files.py has files and those who make all hashes anew."""
import json
import re

import pytest

from audit_tampering import ANYBODY, NOBODY, before, check, fault, forged, hash_of, make_world, sealed, seq, swapped, verify, whole


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory)


def in_record(change, words="the hash is not that of the record"):
    """One line of the second file; its neighbours stay."""

    def tamper(log):
        line = log.place()
        log.lines(1)[line - 1] = change(log.lines(1)[line - 1])
        return fault(log, 1, line, "changed", words, before(log, 1, line))

    return tamper


def replaced(old, new):
    def change(line):
        assert re.search(old, line), line
        return re.sub(old, new, line, count=1)

    return in_record(change)


def in_lines(change, kind, words, told=0):
    """change() may do anything with the list of lines from the place on; `told` lines further is what verify names."""

    def tamper(log):
        line, lines = log.place(), log.lines(1)
        rest = lines[line - 1 :]
        good = before(log, 1, line + told)
        lines[line - 1 :] = change(rest) or rest
        return fault(log, 1, line + told, kind, words, good)

    return tamper


def first_gone(log):
    log.lines(1).pop(0)
    return fault(log, 1, 1, "removed", "tells how the log goes on; it is gone", before(log, 1, 1))


def two_forged(lines):
    one, two, *rest = forged(lines)
    return [one, sealed(re.sub(rb'"prev":"[0-9a-f]*"', b'"prev":"' + hash_of(one) + b'"', two)), *rest]


def of_another_file(move):
    def tamper(log):
        line = log.place()
        good = before(log, 1, line)
        log.lines(1).insert(line - 1, log.lines(2)[8])
        if move:
            log.lines(2).pop(8)
        return fault(log, 1, line, "reordered", "stands where", good)

    return tamper


def of_another_log(log):
    line = log.place()
    foreign = whole(sorted(log.other.glob("*.jsonl"))[1])
    text = next(text for text in foreign if b'"kind":"call"' in text)
    log.lines(1)[line - 1] = sealed(re.sub(rb'^{"seq":\d+', b'{"seq":%d' % seq(log.lines(1)[line - 1]), text))
    return fault(log, 1, line, "changed", "its hash is not this one's prev", before(log, 1, line))


NOT_A_RECORD, BAD_HASH = "not a record", "the hash is not that of the record"
WAYS = {
    "another principal": replaced(ANYBODY, NOBODY),
    "another outcome": replaced(rb'"outcome":"OK"', b'"outcome":"NO"'),
    "another decision": replaced(rb'"decision":"allow"', b'"decision":"deny"'),
    "another time": replaced(rb'"time":"2', b'"time":"1'),
    "another operation": replaced(rb'"GenerateRandom"', b'"GenerateRandon"'),
    "another peer": replaced(rb"127\.0\.0\.1", b"127.0.0.2"),
    "another request id": replaced(rb'"request_id":".', b'"request_id":"-'),
    "another prev": replaced(rb'"prev":"....', b'"prev":"0000'),
    "another hash": replaced(rb'"hash":"....', b'"hash":"0000'),
    "another sequence": replaced(rb'^{"seq":\d+', b'{"seq":7'),
    "one member more": replaced(rb',"hash":', b',"note":"x","hash":'),
    "one member less": replaced(rb',"outcome":"OK"', b""),
    "a blank between tokens": replaced(rb',"operation":', b', "operation":'),
    "no hash": in_record(lambda line: line[: line.rindex(b',"hash":')] + b"}", NOT_A_RECORD),
    "behind the closing brace": in_record(lambda line: line + b" ", NOT_A_RECORD),
    "CRLF": in_record(lambda line: line + b"\r", NOT_A_RECORD),
    "an empty line": in_record(lambda line: b"\n" + line, NOT_A_RECORD),
    "two lines out of one": in_record(lambda line: line[:99] + b"\n" + line[99:], NOT_A_RECORD),
    "no UTF-8": in_record(lambda line: line.replace(b"example", b"ex\xffmple", 1)),
    "binary junk": in_record(lambda line: bytes(range(128, 256)) * 9, NOT_A_RECORD),
    "a line without end": in_record(lambda line: b"x" * 500000, "longer than a record can be"),
    "a NUL": in_record(lambda line: line[:50] + b"\0" + line[51:], "NUL bytes where no commit can have left them"),
    "two lines in one": in_lines(lambda lines: [lines[0] + lines[1], *lines[2:]], "changed", BAD_HASH),
    "one record gone": in_lines(lambda lines: lines[1:], "removed", "stands where"),
    "ten records gone": in_lines(lambda lines: lines[10:], "removed", "stands where"),
    "the first record of a file gone": first_gone,
    "one record twice": in_lines(lambda lines: [lines[0], *lines], "inserted", "is next", told=1),
    "two records swapped": in_lines(swapped, "reordered", "stands where"),
    "a record moved up": in_lines(lambda lines: [lines[7], *lines[:7], *lines[8:]], "reordered", "stands where"),
    "a record moved down": in_lines(lambda lines: [*lines[1:7], lines[0], *lines[7:]], "reordered", "stands where"),
    "ten records turned round": in_lines(lambda lines: [*lines[9::-1], *lines[10:]], "reordered", "stands where"),
    "a copy of a record further up": in_lines(lambda lines: [lines[7], *lines], "inserted", "stands where"),
    "a record with a hash that fits": in_lines(forged, "changed", "its hash is not this one's prev", told=1),
    "two records with hashes that fit": in_lines(two_forged, "changed", "its hash is not this one's prev", told=2),
    "a record moved from another file": of_another_file(move=True),
    "a copy of a record of another file": of_another_file(move=False),
    "a record of another log": of_another_log,
}


def test_untouched(world):
    done = verify(world.folder, "--key", world.key, "--anchor", world.anchor, "--max-unsigned", "1")
    report = json.loads(done.stdout)["instances"][0]
    assert done.returncode == 0 and report["files"] >= 5 and report["signed_heads"] >= 5, done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_tampered(world, tmp_path, way):
    check(WAYS[way], world, tmp_path)
