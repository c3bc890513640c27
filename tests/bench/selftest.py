#!/usr/bin/env python3
"""What the bench makes of what valgrind and perf print; and the picture of docs/performance.md is that of its table."""
import argparse
import pathlib
import sys
import tempfile
import unittest
import xml.dom.minidom

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
import chart  # noqa: E402
import flame  # noqa: E402
import growth  # noqa: E402
import instructions  # noqa: E402
import open_loop  # noqa: E402
import profile_cpu  # noqa: E402

CALLGRIND = """# callgrind format
events: Ir

ob=(1) /usr/lib/libone.so.29.1
fn=(1) one
10 5
+1 7
cob=(2) /usr/bin/two
cfn=(2) two
calls=3 20
* 900
ob=(2)
fn=(2)
20 800
"""
PERF = """rpc-0 123/456 789.012345:    2004008 task-clock:
\t    7f1 memcpy+0x10 (/usr/lib/libc.so.6)
\t    55a kms_slot_reply+0x3b (/usr/bin/kmsd)

rpc-0 123/456 789.112345:    2004008 task-clock:
\tffffffff81 tcp_sendmsg+0x1 ([kernel.kallsyms])
\t    55a kms_slot_reply+0x3b (/usr/bin/kmsd)

"""


class Bench(unittest.TestCase):
    def test_callgrind(self):
        """What a callee did is not counted twice; a name that is said once holds from there on."""
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(CALLGRIND)
            file.flush()
            costs = instructions.costs_of(pathlib.Path(file.name))
        self.assertEqual(costs, {"/usr/lib/libone.so.29.1": 12, "/usr/bin/two": 800})
        self.assertEqual([instructions.short(name) for name in costs], ["libone", "two"])

    def test_flame_graph(self):
        folded = profile_cpu.folded_of(PERF)
        self.assertEqual(folded, {"rpc-0;kms_slot_reply;memcpy": 1, "rpc-0;kms_slot_reply;tcp_sendmsg_[k]": 1})
        picture = flame.svg({**folded, "a<b;c&d": 2}, "all")
        titles = [node.firstChild.data for node in xml.dom.minidom.parseString(picture).getElementsByTagName("title")]
        self.assertEqual(titles, ["all", "rpc-0 50.0%", "kms_slot_reply 50.0%", "memcpy 25.0%", "tcp_sendmsg 25.0%", "a<b 50.0%",
                                  "c&d 50.0%"])

    def test_overload(self):
        """Goodput is held against the capacity around it; counts are summed up, the rest is the median of the passes."""
        capacities, served = iter((100, 300, 100, 100)), iter((160, 200, 80))

        class Servers:
            def load(self, transport, shape, whats, slice_ms, rounds, rate=0, tick_us=0):
                row = {"calls": 10, "errors": 2 if rate else 0, "shed": 2 if rate else 0, "held_back": 1, "first_error": 8,
                       "failed_by_status": {"8": 2} if rate else {}}
                return [{**row, "calls_per_s": next(served if rate else capacities)}]
        row = open_loop.overloaded(Servers(), ("Encrypt", "HSM"), argparse.Namespace(quick=True, rounds=3, slice_ms=30))
        self.assertEqual((row["goodput"], row["goodput_worst"], row["calls_per_s"]), (.8, .8, 160))
        self.assertEqual((row["calls"], row["shed"], row["failed_by_status"]), (30, 6, {"8": 6}))
        self.assertIn("goodput 0.80 of capacity (worst pass 0.80), bar 0.9: missed; refused: RESOURCE_EXHAUSTED 6;",
                      open_loop.verdict(row))

    def test_the_picture_is_that_of_the_table(self):
        """tests/bench/chart.py docs/performance.md docs/performance.svg makes it."""
        rows = list(chart.rows_of_page((ROOT / "docs/performance.md").read_text(), ["1x64", "4x8"]))
        self.assertEqual(len(rows), 12)
        self.assertEqual((ROOT / "docs/performance.svg").read_text(), chart.svg(rows, chart.TITLE))

    def test_the_growth_is_that_of_the_tables(self):
        """tests/bench/growth.py docs/performance.md docs/growth.svg makes it."""
        page = (ROOT / "docs/performance.md").read_text()
        self.assertEqual((ROOT / "docs/growth.svg").read_text(), growth.svg(page))
        lines = dict((title, (xs, ys)) for title, xs, ys in growth.lines_of(page))
        self.assertEqual(lines["Resident MB, against keys"][0], [1e3, 1e4, 1e5, 1e6])
        self.assertEqual(growth.number("34.60 s"), 34.6)
        self.assertEqual(growth.number("1,170 MB"), 1170)


if __name__ == "__main__":
    unittest.main()
