"""Modes of tests/bench/run that test_bench.py does not have end, print their tables and write their rows. Never how fast anything is.
--callgrind and --profile need programs that tests do not install: tests/bench/selftest.py tests what is made of their words."""
import json
import subprocess

import pytest

from harness import BUILD, ROOT

pytestmark = pytest.mark.skipif(
    not (BUILD / "bench/kms-load").exists(), reason="the bench programs are not built (BUILD_TESTING=OFF)"
)
# what is asked for, a member that each row has, words that are printed
MODES = {
    "stations": (["--stations"], "share", ["mean us at each station"]),
    "footprint": (["--footprint"], None, ["idle", "to serving"]),
    "curves": (["--curves"], "curve", ["| bytes of plaintext |", "| bytes of context |", "| statements of the key's policy |",
                                      "| statements of a policy of its own |"]),
    "open-loop": (["--open-loop", "--rate", "200"], "p99_us", ["at 150 %: goodput"]),
    "duel": (["--duel", BUILD, BUILD], "ratio", ["one core for both"]),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_ends(tmp_path, mode):
    words, member, printed = MODES[mode]
    out = tmp_path / "rows.json"
    command = [ROOT / "tests/bench/run", "--build", BUILD, "--dir", tmp_path, "--quick", "--rounds", "1", "--slice-ms", "10", "--json",
               out, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(out.read_text())
    assert rows and all(member is None or member in row for row in rows)
    assert [words for words in printed if words not in done.stdout] == []
