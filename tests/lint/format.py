#!/usr/bin/env python3
"""Every C file is as clang-format leaves it (.clang-format in the root).

    tests/lint/format.py          names the files that are not
    tests/lint/format.py --fix    formats them
"""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    files = [str(f) for top in ("base", "hsm", "keystore", "kmsd", "client", "tests") for f in sorted((ROOT / top).rglob("*.[ch]"))]
    if "--fix" in sys.argv[1:]:
        sys.exit(subprocess.run(["clang-format", "-i", *files]).returncode)
    check = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], capture_output=True, text=True)
    named = sorted({line.split(":")[0] for line in check.stderr.splitlines() if "clang-format-violations" in line})
    for name in named:
        print(f"{pathlib.Path(name).relative_to(ROOT)}: run tests/lint/format.py --fix")
    sys.exit(check.returncode)


if __name__ == "__main__":
    main()
