#!/usr/bin/env python3
"""docs/options.md is what kmsd/conf/options.def says, so that the page of options is never out of date.

    tests/lint/options.py          fails when the page differs
    tests/lint/options.py --write  writes it
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/options.md"
HEAD = """# Options of kmsd.yaml

One row for each option; `kmsd sample-config` prints the same as a file to start from, `kmsd dump-config` prints what is in
effect, `kmsd check` says what is wrong. A name with a dot is an option in a group: `hsm.deadline` is written

    hsm:
      deadline: 2s

Durations are written with `ms`, `s`, `m` or `h`, sizes with `KiB`, `MiB` or `GiB` or as bytes. A relative path starts from the
folder of the file. An option that does not exist, is out of range or there twice is an error that names file, line and option.
"""
UNITS = {"SIZE": [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "")],
         "DURATION": [(3600000, "h"), (60000, "m"), (1000, "s"), (1, "ms")]}


def rows(source):
    """Yields (macro, fields) of the .def file, strings unquoted."""
    source = re.sub(r"/\*.*?\*/", "", source, flags=re.S)
    for macro, inside in re.findall(r"^(KMS_\w+)\(((?:\"(?:\\.|[^\"])*\"|[^()\"])*)\)", source, flags=re.S | re.M):
        fields = re.findall(r'((?:"(?:\\.|[^"])*"\s*)+|[^,\s][^,]*)(?:,|$)', inside.strip())
        yield macro, ["".join(re.findall(r'"((?:\\.|[^"])*)"', f)) if f.startswith('"') else f.strip() for f in fields]


def amount(kind, value):
    value = int(value, 0) if kind != "MODE" else int(value, 8)
    if kind == "MODE":
        return f"0{value:03o}"
    for factor, suffix in UNITS.get(kind, [(1, "")]):
        if value % factor == 0 and (value or factor == 1):
            return f"{value // factor}{suffix}"
    return str(value)


def allowed(kind, low, high, unit):
    if kind == "BOOL":
        return "true, false"
    if kind in ("STRING", "PATH"):
        return f"{'path' if kind == 'PATH' else 'text'} of {low} to {high} bytes"
    return f"{amount(kind, low)} to {amount(kind, high)} {unit}".strip()


def row(name, default, what, text):
    shown = "must be given" if default == "NULL" else f"`{default}`" if default else "empty"
    return f"| `{name}` | {shown} | {what} | {text.replace('|', chr(92) + '|').replace('<', '&lt;')} |\n"


def page(source):
    titles = {"kmsd_conf": "The file", "kmsd_conf_unix": "Each item of `listen.unix`", "kmsd_conf_uid": "Each item of `uids`",
              "kmsd_conf_pod": "Each item of `pods` there",
              "kmsd_conf_tcp": "Each item of `listen.sops_tcp`",
              "kmsd_conf_sops_key": "Each item of `sops.keys`",
              "kmsd_conf_database": "Each item of `databases`", "kmsd_conf_rotator": "Each item of `rotators`"}
    tables = {}
    for macro, f in rows(source):
        if macro == "KMS_OPT":
            line = row(f[3], f[4], allowed(f[1], f[5], f[6], f[7]), f[8])
        elif macro == "KMS_CHOICE":
            line = row(f[3], f[4], f[5].replace("|", ", "), f[6])
        elif macro == "KMS_LIST":
            line = row(f[3], "", f"list of at most {f[4]}, below", f[5])
        else:
            continue
        tables[f[0]] = tables.get(f[0], "") + line
    head = "| option | default | allowed | what it is |\n|---|---|---|---|\n"
    return HEAD + "".join(f"\n## {title}\n\n{head}{tables[name]}" for name, title in titles.items())


def main():
    text = page((ROOT / "kmsd/conf/options.def").read_text())
    if "--write" in sys.argv[1:]:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        sys.exit("docs/options.md differs from kmsd/conf/options.def: run tests/lint/options.py --write")


if __name__ == "__main__":
    main()
