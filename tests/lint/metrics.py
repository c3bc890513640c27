#!/usr/bin/env python3
"""docs/metrics.md has a row for each metric of kmsd/metrics/metric.def, and the alerts of deploy/prometheus ask for metrics and
labels that there are. Where there is promtool it says whether it takes them.

    tests/lint/metrics.py          fails when the table differs
    tests/lint/metrics.py --write  writes it
"""
import pathlib
import re
import shutil
import subprocess
import sys

import options

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE, TABLE, RULES = ROOT / "docs/metrics.md", ROOT / "kmsd/metrics/metric.def", ROOT / "deploy/prometheus/kmsd.rules.yaml"
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


FORMS = re.compile(r"""groups:|  - name: kmsd|    rules:|      - alert: Kmsd[A-Za-z]+|        (?:labels|annotations):
|        expr: \S.*|        for: [0-9]+[mh]|          severity: (?:critical|warning)|          (?:summary|description): \S.*|#.*
""".replace("\n", ""))


def rules_wrong(text, known, troubles):
    """Yields what is wrong with alerts, in the plain form that ours have."""
    for number, line in enumerate(text.splitlines(), 1):
        value = line.partition(": ")[2]
        if not FORMS.fullmatch(line):
            yield f"{number}: {line.strip()}"
        elif not line.startswith(("#", "        expr")) and (": " in value or value[:1] in "{[%&*!|>@`") and value[:1] not in "'\"":
            yield f"{number}: YAML takes this for something else without quotes: {value}"
    for name in set(re.findall(r"kmsd_\w+", text)) - set(known):
        yield f"there is no metric {name}"
    for names in re.findall(r'trouble!?[=~]+"([^"]*)"', text):
        yield from (f"the audit log has no trouble {name}" for name in set(names.split("|")) - troubles)
    blocks = text.split("- alert: ")[1:]
    for block in blocks:
        missing = [part for part in ("expr:", "severity:", "summary:", "description:") if block.count(part) != 1]
        if missing:
            yield f"{block.split()[0]}: not one each of {' '.join(missing)}"
    if len({block.split()[0] for block in blocks}) != len(blocks):
        yield "an alert is there twice"


def rules():
    troubles = set(re.findall(r'\] = "([a-z-]+)"', (ROOT / "kmsd/service/tell.c").read_text()))
    yield from rules_wrong(RULES.read_text(), [name for name, *_ in metrics()], troubles)
    if shutil.which("promtool"):
        check = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True)
        if check.returncode:
            yield check.stdout + check.stderr


def main():
    wrong = list(rules())
    if wrong:
        sys.exit("\n".join(f"{RULES.relative_to(ROOT)}: {one}" for one in wrong))
    text = PAGE.read_text()
    if "--write" in sys.argv[1:]:
        PAGE.write_text(with_table(text))
    elif with_table(text) != text:
        sys.exit("docs/metrics.md differs from kmsd/metrics/metric.def: run tests/lint/metrics.py --write")


if __name__ == "__main__":
    main()
