"""The audit log, tampered with by who makes all hashes anew, or takes whole files: see test_audit_tampering.py."""
import json
import re
import shutil
import subprocess

import pytest

from audit_tampering import (
    ANYBODY, NOBODY, WHEREVER, before, check, fault, forged, hash_of, make_world, sealed, seq, swapped, verify, whole)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory)


# -- all hashes made anew --


def next_head(log, number, line):
    """(number, line) of the first head behind it."""
    for at, name in enumerate(log.names[number:], number):
        for place, text in enumerate(log.was[name], 1):
            if b'"kind":"head"' in text and (at, place) > (number, line):
                return at, place
    raise AssertionError("no head behind it")


def anew_behind(change, shift=0):
    """The second file from the place on, and all hashes behind it: the next head does not fit."""

    def tamper(log):
        place, lines = log.place(), log.lines(1)
        number, line = next_head(log, 1, place)
        head = seq(log.was[log.names[number]][line - 1])
        lines[place - 1 :] = change(lines[place - 1 :])
        log.anew(1, place)
        line += shift if number == 1 else 0
        return fault(log, number, line, *wrong_head(log, number, line), head + shift)

    return tamper


def swapped_and_anew(log):
    place, lines = log.place(), log.lines(1)
    lines[place - 1 :] = swapped(lines[place - 1 :])
    log.anew(1, place)
    return fault(log, 1, place + 1, "changed", "its time is before that of the record before it", before(log, 1, place + 1))


def wrong_head(log, number, line):
    """What is wrong with this head now: a record further up than it, which it signs, is another, or stands behind it."""
    record = json.loads(log.lines(number)[line - 1])
    return SIGNED if record["head"]["sequence"] < record["seq"] else MISPLACED


SIGNED = ("changed", "was made anew")
MISPLACED = ("forged", "which cannot be what is signed here")


def forged_head(change, words):
    def tamper(log):
        number, line = next_head(log, 1, 1)
        lines = log.lines(number)
        lines[line - 1] = change(lines[line - 1], log)
        good = seq(lines[line - 1])
        log.anew(number, line)
        return fault(log, number, line, *words, good)

    return tamper


def signature_of_another_head(line, log):
    other = next(t for t in log.was[log.names[2]] if b'"kind":"head"' in t)
    signature = re.search(rb'"signature":"[^"]*"', other)[0]
    return re.sub(rb'"signature":"[^"]*"', lambda _: signature, line)


def head_taken_out(log):
    number, line = next_head(log, 1, 1)
    after = next_head(log, number, line)
    del log.lines(number)[line - 1]
    log.anew(number, line)
    told = after[1] - (after[0] == number)
    return fault(log, after[0], told, *wrong_head(log, after[0], told), seq(log.lines(after[0])[told - 1]))


def all_heads_taken_out(log):
    for lines in log.files.values():
        lines[:] = [line for line in lines if b'"kind":"head"' not in line]
    log.anew(0, 1)
    log.options = ["--max-unsigned", "100"]
    end = len(log.lines(-1))
    return fault(log, -1, end, "unsigned", "from sequence 1 on", seq(log.lines(-1)[-1]))


def all_heads_taken_out_but_anchored(log):
    all_heads_taken_out(log)
    log.options = ["--anchor", log.anchor]
    second = json.loads(log.anchor.read_text().splitlines()[1])["head"]["sequence"]  # up to the first nothing changed
    number, line = next((n, at) for n in range(len(log.names)) for at, text in enumerate(log.lines(n), 1) if seq(text) == second)
    return fault(log, number, line, "changed", "not the record that was anchored", second)


# -- the end --


def two_records_gone_at_the_end(log):
    lines = log.lines(-1)
    del lines[-2:]
    log.options = ["--anchor", log.anchor]
    return fault(log, -1, len(lines), "removed", "records are missing from its end", seq(lines[-1]))


def a_file_and_more_gone_at_the_end(log):
    newest_file_gone(log)
    del log.lines(-2)[-10:]
    return fault(log, -2, len(log.lines(-2)), "removed", "records are missing from its end", seq(log.lines(-2)[-1]))


def newest_file_gone(log):
    log.path(-1).unlink()
    del log.files[log.names[-1]]
    log.options = ["--anchor", log.anchor]
    lines = log.lines(-2)
    return fault(log, -2, len(lines), "removed", "records are missing from its end", seq(lines[-1]))


def forged_anchor(log):
    lines = log.anchor.read_text().splitlines()
    lines[2] = lines[2].replace('"sequence":', '"sequence":1')
    log.anchor.write_text("\n".join(lines) + "\n")
    log.options = ["--anchor", log.anchor]
    return str(log.anchor), 3, "forged", "its signature is not one by the key", WHEREVER


# -- files --


def middle_file_gone(log):
    log.path(2).unlink()
    good = before(log, 2, 1)
    return fault(log, 3, 1, "missing file", f"{log.names[2]}, which this file goes on from, is not there", good)


def oldest_file_gone(log):
    log.path(0).unlink()
    return fault(log, 1, 1, "missing file", "no record in it says that what stood before was dropped", seq(log.lines(-1)[-1]))


def two_files_swapped(log):
    one, two = log.path(1).read_bytes(), log.path(2).read_bytes()
    log.path(1).write_bytes(two)
    log.path(2).write_bytes(one)
    return fault(log, 1, 1, "reordered", f"this is {log.names[2]} under another name", before(log, 1, 1))


def file_renamed(log):
    log.path(2).rename(log.folder / "kmsd-00000099.jsonl")
    return fault(log, 3, 1, "missing file", f"{log.names[2]}, which this file goes on from", before(log, 2, 1))


def file_copied(log):
    (log.folder / "kmsd-00000099.jsonl").write_bytes(log.path(2).read_bytes())
    return "kmsd-00000099.jsonl", 1, "reordered", f"this is {log.names[2]} under another name", seq(log.lines(-1)[-1])


def file_emptied(log):
    log.path(2).write_bytes(b"")
    return fault(log, 3, 1, "missing file", f"{log.names[2]}, which this file goes on from", before(log, 2, 1))


def file_of_zeros(log):
    log.path(2).write_bytes(bytes(65536))
    return fault(log, 3, 1, "missing file", f"{log.names[2]}, which this file goes on from", before(log, 2, 1))


def file_cut_within_a_line(log):
    data = b"".join(line + b"\n" for line in log.lines(2)[:8])
    log.path(2).write_bytes(data + log.lines(2)[8][:100])
    return fault(log, 2, 9, "removed", "a line is cut off here", before(log, 2, 9))


def file_of_another_log(log):
    """Both logs had the same calls, but a start writes as many records as it finds reason to: the sequences may not meet."""
    other = sorted(log.other.glob("*.jsonl"))[1]
    log.path(1).write_bytes(other.read_bytes())
    first, was = seq(whole(other)[0]), log.lines(0)
    if first > seq(was[-1]) + 1:
        return fault(log, 0, len(was) + 1, "removed", f"the next file goes on with {first}", seq(was[-1]))
    if first <= seq(was[-1]):
        line = next(at for at, text in enumerate(was, 1) if seq(text) == first)
        return fault(log, 0, line, "inserted", "something stands behind the record that the next file", first - 1)
    return fault(log, 1, 1, "changed", "its hash is not this one's prev", before(log, 1, 1))


def whole_log_of_another_token(log):
    for path in log.folder.glob("*.jsonl"):
        path.unlink()
    for path in log.other.glob("*.jsonl"):
        shutil.copy(path, log.folder)
    log.names = sorted(path.name for path in log.folder.glob("*.jsonl"))
    log.files = {}
    log.was = {name: whole(log.folder / name) for name in log.names}
    number, line = next_head(log, 0, 1)
    return fault(log, number, line, "forged", "signed by another key than the one given", seq(log.was[log.names[number]][line - 1]))


def garbage_behind_the_end(log):
    with open(log.path(2), "ab") as file:
        file.write(b"garbage\n")
    return fault(log, 2, len(log.lines(2)) + 1, "inserted", "something stands behind the record", before(log, 3, 1))


def garbage_behind_zeros(log):
    with open(log.path(2), "ab") as file:
        file.write(bytes(4096) + b"garbage\n")
    return fault(log, 2, len(log.lines(2)) + 1, "inserted", "something stands behind the record", before(log, 3, 1))


def records_behind_the_end(log):
    log.lines(2).append(log.lines(3)[1])
    return fault(log, 2, len(log.lines(2)), "inserted", "something stands behind the record", before(log, 3, 1))


def front_dropped_by_a_forged_record(log):
    """A record that says what an attempt of DropAuditFiles says, made by somebody who has no token: no head covers it."""
    log.path(0).unlink()
    dropped = log.files.pop(log.names[0])
    last = log.lines(-1)[-1]
    log.lines(-1).append(sealed(
        b'{"seq":%d,%s,"prev":"%s","kind":"attempt","principal_source":"service","operation":"DropAuditFiles","class":"service",'
        b'"extra":{"first_sequence":"1","last_sequence":"%d","last_hash":"%s"},"hash":"0"}' % (
            seq(last) + 1, re.search(rb'"time":"[^"]*"', last)[0], hash_of(last), seq(dropped[-1]), hash_of(dropped[-1]))))
    log.put()
    assert verify(log.folder, "--key", log.key).returncode == 0
    log.options = ["--max-unsigned", "1"]
    return fault(log, -1, len(log.lines(-1)), "unsigned", "no signed head covers the last 2 records", seq(last) + 1)


def packed(log, number):
    subprocess.run(["zstd", "-q", "--rm", log.path(number)], check=True)
    return log.folder / f"{log.names[number]}.zst"


def packed_byte_changed(log):
    path = packed(log, 2)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return fault(log, 2, 1, "changed", "the compressed file is damaged", before(log, 2, 1))


def packed_cut_off(log):
    path = packed(log, 2)
    path.write_bytes(path.read_bytes()[:-40])
    return fault(log, 2, 1, "changed", "the compressed file is damaged", before(log, 2, 1))


def packed_line_changed(log):
    lines = log.lines(2)
    lines[8] = lines[8].replace(ANYBODY, NOBODY)
    log.put()
    packed(log, 2)
    log.files = {}
    return fault(log, 2, 9, "changed", "the hash is not that of the record", before(log, 2, 9))


def packed_beside_plain(log):
    plain = log.path(2).read_bytes()
    log.lines(2)[8] = log.lines(2)[8].replace(ANYBODY, NOBODY)
    log.put()
    packed(log, 2)
    log.path(2).write_bytes(plain)
    log.files = {}
    return f"{log.names[2]}.zst", 9, "inserted", "is here without .zst too", before(log, 3, 1)


WAYS = {
    "changed, all made anew": anew_behind(forged),
    "gone, all made anew": anew_behind(lambda lines: lines[1:], shift=-1),
    "doubled, all made anew": anew_behind(lambda lines: [lines[0], *lines], shift=1),
    "swapped, all made anew": swapped_and_anew,
    "the signature of another head": forged_head(
        signature_of_another_head, ("forged", "the signature of this head is not one over it")),
    "a head over another record": forged_head(
        lambda line, _: re.sub(rb'"head":{"sequence":\d+', b'"head":{"sequence":2', line), MISPLACED),
    "a head without signature": forged_head(
        lambda line, _: re.sub(rb',"signature":"[^"]*"', b"", line), ("forged", "this is no head as kmsd writes it")),
    "a head taken out": head_taken_out,
    "all heads taken out": all_heads_taken_out,
    "all heads taken out, but anchored": all_heads_taken_out_but_anchored,
    "two records gone at the end": two_records_gone_at_the_end,
    "a file and more gone at the end": a_file_and_more_gone_at_the_end,
    "the newest file gone": newest_file_gone,
    "an anchor that was changed": forged_anchor,
    "a file in the middle gone": middle_file_gone,
    "the oldest file gone": oldest_file_gone,
    "the oldest file gone, with a record for it": front_dropped_by_a_forged_record,
    "two files swapped": two_files_swapped,
    "a file renamed": file_renamed,
    "a file copied": file_copied,
    "a file emptied": file_emptied,
    "a file of zeros": file_of_zeros,
    "a file cut off within a line": file_cut_within_a_line,
    "a file of another log": file_of_another_log,
    "the whole log of another token": whole_log_of_another_token,
    "garbage behind the end of a file": garbage_behind_the_end,
    "garbage behind zeros": garbage_behind_zeros,
    "a record behind the end of a file": records_behind_the_end,
    "a compressed file: one byte": packed_byte_changed,
    "a compressed file: cut off": packed_cut_off,
    "a compressed file: one record": packed_line_changed,
    "a compressed file beside another plain one": packed_beside_plain,
}


@pytest.mark.parametrize("way", WAYS)
def test_tampered(world, tmp_path, way):
    check(WAYS[way], world, tmp_path)
