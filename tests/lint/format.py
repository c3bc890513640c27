#!/usr/bin/env python3
"""Every C file is as clang-format leaves it (.clang-format in the root).

    tests/lint/format.py          names the files that are not
    tests/lint/format.py --fix    formats them
"""
import pathlib
import subprocess
import sys

import sources



def main():
    files = [str(file) for file in sources.sources()]
    if "--fix" in sys.argv[1:]:
        sys.exit(subprocess.run(["clang-format", "-i", *files]).returncode)
    check = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], capture_output=True, text=True)
    named = sorted({line.split(":")[0] for line in check.stderr.splitlines() if "clang-format-violations" in line})
    for name in named:
        print(f"{pathlib.Path(name).relative_to(sources.ROOT)}: run tests/lint/format.py --fix")
    sys.exit(check.returncode)


if __name__ == "__main__":
    main()
