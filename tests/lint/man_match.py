#!/usr/bin/env python3
"""The man pages of the clients say what the code says: libkms(3) every function of client/include/kms with its prototype,
which is also what libkms.so exports, and every reason; kmsctl(1) and kmsd(8) every command and option. mandoc finds no fault.

    tests/lint/man_match.py [root]
"""
import pathlib
import re
import shutil
import subprocess
import sys


def squeeze(text):
    return re.sub(r"\s+", " ", text).replace("* ", "*").strip()


def header_prototypes(text):
    """{name: "type name(arguments)"} of one public header."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r"^\s*#.*$", "", text, flags=re.M).replace("KMS_CHECK ", "")
    found = re.finditer(r"^((?:const |struct )*\w+ \*?)\s*(kms_\w+)\(([^;{}]*)\);", text, flags=re.M)
    return {m[2]: f"{squeeze(m[1])} {m[2]}({', '.join(squeeze(a) for a in m[3].split(','))})" for m in found}


def page_prototypes(text):
    """The same of a man page: .Ft, .Fo, .Fa ..., .Fc."""
    found = {}
    for m in re.finditer(r'^\.Ft "?([^"\n]+)"?\n\.Fo (\w+)\n((?:\.Fa .*\n)*)\.Fc$', text, flags=re.M):
        arguments = re.findall(r'^\.Fa "?([^"\n]+)', m[3], flags=re.M)
        found[m[2]] = f"{squeeze(m[1])} {m[2]}({', '.join(map(squeeze, arguments))})"
    return found


def differences(what, code, page):
    for name in sorted(set(code) | set(page)):
        if name not in page:
            yield f"{what}: {name} is missing"
        elif name not in code:
            yield f"{what}: {name} does not exist"
        elif code[name] != page[name]:
            yield f"{what}: {name}: is {code[name]}, the page says {page[name]}"


def library(root):
    code = {}
    for header in sorted((root / "client/include/kms").glob("*.h")):
        code.update(header_prototypes(header.read_text()))
    page = (root / "client/man/libkms.3").read_text()
    yield from differences("libkms.3", code, page_prototypes(page))
    exported = re.findall(r"^    (\w+);$", (root / "client/lib/libkms.map").read_text(), flags=re.M)
    yield from differences("libkms.map", {name: "" for name in code}, {name: "" for name in exported})
    served = (root / "base/err.def").read_text().split("/* What only")[0]
    reasons = set(re.findall(r"^KMS_ERR\((\w+),", served, flags=re.M)) - {"OK"} | {"CONFIG_INVALID"}
    listed = re.findall(r"^\.It ([A-Z_]+)$", page, flags=re.M)
    yield from differences("libkms.3", {name: "" for name in reasons}, {name: "" for name in listed})


def commands(root):
    page = (root / "client/man/kmsctl.1").read_text()
    table = (root / "client/kmsctl/commands.c").read_text()
    for group, verb, rest in re.findall(r'^    \{(?:"([\w-]+)"|NULL), "([\w-]+)",((?:.|\n)*?)\},$', table, flags=re.M):
        name = f"{group} {verb}".strip()
        if not rest.rstrip().endswith("true") and not re.search(rf"^\.It Cm {re.escape(name)}\b", page, flags=re.M):
            yield f"kmsctl.1: the command {name} is missing"
    options = re.findall(r'^KMSCTL_OPTION\(\w+, "([\w-]+)"', (root / "client/kmsctl/options.def").read_text(), flags=re.M)
    described = re.findall(r"\bFl -([\w-]+)", page)
    yield from differences("kmsctl.1", {f"--{name}": "" for name in options}, {f"--{name}": "" for name in described})


def pages(root):
    return [page for room in ("client", "kmsd") for page in sorted((root / room / "man").glob("*.[1-8]"))]


def daemon(root):
    page = (root / "kmsd/man/kmsd.8").read_text()
    main = (root / "kmsd/main.c").read_text()
    listed = re.search(r"commands\[\] = \{(.*?)\}", main, flags=re.S)[1]
    code = re.findall(r'"([\w-]+)"', listed) + re.findall(r'^    \{"([\w-]+)", ', main, flags=re.M)
    described = re.findall(r"^\.It (?:Cm |Fl (?:\w , )?-)([\w-]+)", page, flags=re.M)
    yield from differences("kmsd.8", {name: "" for name in code}, {name: "" for name in described})


def references(root):
    """A page of ours that another one names is there."""
    ours = {f"{page.stem} {page.suffix[1:]}" for page in pages(root)}
    for page in pages(root):
        for name in re.findall(r"^\.Xr ((?:kms|libkms)[\w-]* \d)", page.read_text(), flags=re.M):
            if name not in ours:
                yield f"{page.name}: there is no page {name}"


def mandoc(root):
    if shutil.which("mandoc") is None:
        return
    run = subprocess.run(["mandoc", "-Tlint", "-W", "warning", *pages(root)], capture_output=True, text=True)
    yield from run.stdout.splitlines()


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]).resolve()
    found = [*library(root), *commands(root), *daemon(root), *references(root), *mandoc(root)]
    print("\n".join(found), end="\n" if found else "")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
