#!/usr/bin/env python3
"""docs/metrics.md has a row for each metric of kmsd/metrics/metric.def.

    tests/lint/metrics.py          fails when the table differs
    tests/lint/metrics.py --write  writes it
"""
import pathlib
import re
import sys

import options

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE, TABLE = ROOT / "docs/metrics.md", ROOT / "kmsd/metrics/metric.def"
MARK = "<!-- tests/lint/metrics.py --write makes the table from kmsd/metrics/metric.def -->\n"
HEAD = "| metric | type | unit | labels | what it tells |\n|---|---|---|---|---|\n"


def metrics():
    """Yields (name, type, unit, labels, help) of each."""
    for _, (_, kind, name, unit, first, second, words) in options.rows(TABLE.read_text()):
        yield name, kind.lower(), unit, [label for label in (first, second) if label != "NULL"], words


def with_table(text):
    rows = [f"| `{name}` | {kind} | {unit or '-'} | {', '.join(f'`{label}`' for label in labels) or '-'} | {words} |\n"
            for name, kind, unit, labels, words in metrics()]
    before, mark, behind = text.partition(MARK)
    assert mark, f"{PAGE.name} has no place for the table"
    return before + mark + HEAD + "".join(rows) + re.sub(r"\A(?:\|.*\n)*", "", behind)


def main():
    text = PAGE.read_text()
    if "--write" in sys.argv[1:]:
        PAGE.write_text(with_table(text))
    elif with_table(text) != text:
        sys.exit("docs/metrics.md differs from kmsd/metrics/metric.def: run tests/lint/metrics.py --write")


if __name__ == "__main__":
    main()
