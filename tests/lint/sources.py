"""The C files of the tree, and how a lint that looks at them one by one tells what it found."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRODUCT = ("base", "hsm", "keystore", "kmsd", "client")
EVERYWHERE = (*PRODUCT, "tests")


def sources(tops=EVERYWHERE, pattern="*.[ch]", root=ROOT):
    return [file for top in tops for file in sorted((root / top).rglob(pattern))]


def judge(complaints_of, tops):
    """The program of a lint: asks complaints_of(path from the root, text) about every file, prints, exits. argv[1]: the root."""
    root = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT
    count = 0
    for file in sources(tops, root=root):
        path = file.relative_to(root).as_posix()
        for line, message in complaints_of(path, file.read_text()):
            print(f"{path}:{line}: {message}")
            count += 1
    sys.exit(1 if count else 0)
