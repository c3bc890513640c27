#!/usr/bin/env python3
"""Sizes that keep the code readable. What is over budget today stands in budgets.txt, and there it may only shrink.

    tests/lint/budgets.py            complains, and fails, about what is over its budget or below its exception
    tests/lint/budgets.py --write    writes budgets.txt anew (a maintainer's tool: a review must see every line)

Complexity is pmccabe's modified one (a switch counts once).
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXCEPTIONS = ROOT / "tests/lint/budgets.txt"
FOLDERS = ("base", "hsm", "keystore", "kmsd", "client", "proto", "tests", "deploy", "cmake")
BUDGET = {"file-lines": 400, "function-lines": 80, "complexity": 15, "parameters": 6, "columns": 110, "columns-wide": 135}
TEXT = {".c", ".h", ".def", ".py", ".sh", ".cmake", ".proto", ".sql", ".txt"}
HEAD = """# What is over its budget (tests/lint/budgets.py), one a line: kind, place, value. Values may only shrink.
"""


def files():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and (path.suffix in TEXT or path.name in ("run", "quickstart")) and "__pycache__" not in path.parts:
                yield path


def parameters_of(lines, first):
    """How many parameters the function definition that begins at lines[first] has."""
    text = re.sub(r"/\*.*?\*/", "", " ".join(lines[first:first + 20]).split("{")[0])
    inside, depth, count = text[text.find("(") + 1:], 1, 1
    for at, sign in enumerate(inside):
        depth += (sign == "(") - (sign == ")")
        count += sign == "," and depth == 1
        if depth == 0:
            return 0 if inside[:at].strip() in ("void", "") else count
    return 0


def functions_of(path, place, lines):
    """Yields what pmccabe measures: kind, place, value."""
    report = subprocess.run(["pmccabe", str(path)], capture_output=True, text=True, check=True).stdout
    for row in report.splitlines():
        modified, _, _, first, length, rest = row.split(None, 5)
        name = f"{place}:{rest.split(':')[-1].strip()}"
        yield "complexity", name, int(modified)
        yield "function-lines", name, int(length)
        yield "parameters", name, parameters_of(lines, int(first) - 1)


def measures():
    for path in files():
        place = path.relative_to(ROOT).as_posix()
        lines = path.read_text().splitlines()
        wide = "columns" if path.suffix in (".c", ".h") else "columns-wide"  # tables and scripts
        yield wide, place, max((len(line.expandtabs(8)) for line in lines), default=0)
        if path.suffix in (".c", ".h", ".py"):
            yield "file-lines", place, len(lines)
        if path.suffix == ".c":
            yield from functions_of(path, place, lines)


def read_exceptions():
    listed = {}
    for line in EXCEPTIONS.read_text().splitlines():
        if line and not line.startswith("#"):
            kind, place, value = line.split()
            listed[kind, place] = int(value)
    return listed


def judge(found, listed):
    """Yields complaints. found: what is over budget, {(kind, place): value}."""
    for (kind, place), value in sorted(found.items()):
        allowed = listed.get((kind, place))
        if allowed is None:
            yield f"{place}: {kind} {value}, at most {BUDGET[kind]}"
        elif value > allowed:
            yield f"{place}: {kind} grew from {allowed} to {value}"
        elif value < allowed:
            yield f"{place}: {kind} is {value} now: lower its line in budgets.txt from {allowed}"
    for kind, place in sorted(listed.keys() - found.keys()):
        yield f"{place}: {kind} is in budget now: remove its line from budgets.txt"


def main():
    found = {}
    for kind, place, value in measures():
        if value > BUDGET[kind]:
            found[kind, place] = max(value, found.get((kind, place), 0))
    if "--write" in sys.argv[1:]:
        EXCEPTIONS.write_text(HEAD + "".join(f"{kind} {place} {value}\n" for (kind, place), value in sorted(found.items())))
        return
    complaints = list(judge(found, read_exceptions()))
    print("\n".join(complaints))
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
