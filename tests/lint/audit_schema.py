#!/usr/bin/env python3
"""docs/audit.schema.json, the JSON Schema of audit records, is what the sources say: kmsd/audit/fields.def and the tables of words.

    tests/lint/audit_schema.py          fails when the document differs
    tests/lint/audit_schema.py --write  writes it
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/audit.schema.json"
TYPES = {
    "number": {"type": "integer", "minimum": 0},
    "time": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"},
    "hex": {"type": "string", "pattern": "^([0-9a-f]{2})+$"},
    "uuid": {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
    "word": {"type": "string", "minLength": 1},
    "text": {"type": "string", "minLength": 1},
}
CALLER = ["request_id", "peer", "service", "operation", "class", "stage", "latency_us"]
# What a record of a kind always has, besides what all have. Attempts and outcomes of kmsd's own have no peer.
NEEDS = {
    "call": CALLER + ["outcome"],
    "attempt": ["request_id", "principal", "principal_source", "service", "operation", "class", "stage", "latency_us"],
    "outcome": ["request_id", "principal", "principal_source", "service", "operation", "class", "stage", "latency_us", "outcome"],
    "suppressed": ["principal", "count"],
    "head": ["head"],
}
ALWAYS = ["seq", "time", "prev", "kind", "instance", "hash"]


def source(path):
    return re.sub(r"/\*.*?\*/", "", (ROOT / path).read_text(), flags=re.S)


def found(pattern, *files):
    """What the pattern's group finds; a table that nobody finds any more is an error."""
    words = [word for path in files for word in re.findall(pattern, source(path), flags=re.S | re.M)]
    if not words:
        sys.exit(f"tests/lint/audit_schema.py finds no {pattern} in {files[0]}: tell it where the words are now")
    return list(dict.fromkeys(words))


def paths(folder, name):
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob(name))


def table(path, name):
    """The strings of an array of words in a C file."""
    return re.findall(r'"([^"]+)"', found(name + r"\[\w*\] = \{(.*?)\}", path)[0])


def own_operations():
    """What kmsd records of itself: start, stop ..."""
    return found(r'(?:kms_boot_note\(\w+, |\.operation = )"([a-z-]+)"', *paths("kmsd", "*.c"))


def words():
    """The words that a field can have, by its parent and name."""
    return {
        ("", "kind"): table("kmsd/audit/encode.c", "kinds"),
        ("segment", "because"): table("kmsd/audit/state.c", "because_words"),
        ("", "principal_source"): found(r'(?:\*ret_source = |\.source = )"([\w-]+)"', "kmsd/authn/certificate.c",
                                        "kmsd/service/internal.c") + ["unix", "tcp", "pod"],
        ("", "service"): ["kms.v1." + name for name in found(r"^service (\w+) {", *paths("proto/kms/v1", "*.proto"))],
        ("", "class"): table("kmsd/service/record.c", "class_names") + ["service"],
        ("", "protocol"): table("kmsd/dialect/protocol.c", "protocol_names")[1:],  # the first is kmsd's own, and left out
        ("", "stage"): table("kmsd/service/record.c", "stage_names"),
        ("", "operation"): found(r'KMS_\w+\(\w+,\s*"(\w+)"', "kmsd/service/method.def")
        + found(r'ROW(?:_OF)?\((?:\w+, )?"(\w+)"', "kmsd/service/internal.c") + own_operations(),
        ("access", "action"): found(r'KMS_ACTION\(\w+,\s*"([\w:]+)"', "kmsd/policy/action.def"),
        ("access", "decision"): table("kmsd/policy/replay.c", "effects"),
        ("", "outcome"): found(r"KMS_ERR\((\w+)", "base/err.def"),
    }


def schema():
    rows = re.findall(r'^KMS_FIELD\((\w+),\s*"(\w*)",\s*"(\w+)",\s*"(\w+)",\s*"((?:\\.|[^"])*)"\)', source("kmsd/audit/fields.def"),
                      flags=re.M)
    enumerations = words()
    shared = {"operation": ("", "operation"), "outcome": ("", "outcome")}  # these stand at more than one place
    names = found(r"KMS_(?:OPERATION_)?INPUT\((\w+)", "kmsd/policy/input.def")
    pairs = {"type": "object", "additionalProperties": {"type": ["string", "null"]}}
    inputs = dict(pairs, propertyNames={"pattern": f"^({'|'.join(names)})(/|$)"})
    context = dict(pairs, additionalProperties={"type": "string"})

    def members(parent):
        properties = {}
        for _, of, name, kind, meaning in rows:
            if of != parent:
                continue
            inner = members(name)
            if kind in TYPES:
                what = dict(TYPES[kind])
            elif inner:
                what = dict(inner) if kind == "object" else {"type": "array", "items": inner}
            else:
                what = dict({"inputs": inputs, "context": context}.get(name, pairs))
            if name in shared:
                what = {"$ref": f"#/$defs/{name}"}
            elif (parent, name) in enumerations:
                what = {"enum": enumerations[(parent, name)]}
            properties[name] = {"description": meaning, **what}
        return {"type": "object", "additionalProperties": False, "properties": properties} if properties else {}

    record = members("")
    kinds = enumerations[("", "kind")]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://kmsd.invalid/audit.schema.json",
        "title": "A record of kmsd's audit log",
        "description": "One line of the log. Written from kmsd/audit/fields.def by tests/lint/audit_schema.py.",
        **record,
        "required": ALWAYS,
        "$defs": {name: {"enum": enumerations[where]} for name, where in shared.items()},
        "allOf": [{"if": {"properties": {"kind": {"const": kind}}}, "then": {"required": needs}}
                  for kind, needs in NEEDS.items() if kind in kinds]
        + [{"if": {"properties": {"kind": {"const": "attempt"}}}, "then": {"not": {"required": ["outcome"]}}}],
    }


def main():
    text = json.dumps(schema(), indent=1) + "\n"
    if "--write" in sys.argv[1:]:
        DOCUMENT.write_text(text)
    elif not DOCUMENT.exists() or DOCUMENT.read_text() != text:
        sys.exit("docs/audit.schema.json differs from the sources: run tests/lint/audit_schema.py --write")


if __name__ == "__main__":
    main()
