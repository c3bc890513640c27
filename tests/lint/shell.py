#!/usr/bin/env python3
"""Shell scripts parse (bash -n, sh -n) and, where shellcheck is installed, have none of its warnings."""
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def scripts():
    """Yields (path, shell) of every script of the tree."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if parts[0] in ("build", ".git", ".kmsd") or not path.is_file():
            continue
        with path.open("rb") as file:
            first = file.readline(80)
        if first.startswith(b"#!") and b"bash" in first:
            yield path, "bash"
        elif first.startswith(b"#!") and first.rstrip().endswith(b"/sh") or path.suffix == ".sh":
            yield path, "bash" if b"bash" in first else "sh"


def complaint(path, shell):
    parsed = subprocess.run([shell, "-n", str(path)], capture_output=True, text=True)
    if parsed.returncode:
        return parsed.stderr
    if shutil.which("shellcheck"):
        checked = subprocess.run(["shellcheck", "-x", "-S", "warning", "-s", shell, "-P", str(path.parent), str(path)],
                                 capture_output=True, text=True)
        return checked.stdout if checked.returncode else ""
    return ""


def main():
    words = [w for w in (complaint(path, shell) for path, shell in scripts()) if w]
    print("\n".join(words))
    sys.exit(1 if words else 0)


if __name__ == "__main__":
    main()
