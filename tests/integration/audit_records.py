"""Every record that the suite makes, against docs/audit.schema.json.

A validator needs a millisecond for a record, and the suite makes hundreds of thousands. So a record is first reduced to its
shape, along the schema: which members, which words, whether a text has its form. One record of each shape is validated.
"""
import functools
import json
import os
import pathlib
import re

SCHEMA = json.loads((pathlib.Path(__file__).resolve().parents[2] / "docs/audit.schema.json").read_text())


@functools.cache
def validator():
    import jsonschema  # Debian's python3-jsonschema

    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


def shape(value, schema):
    """Two values of one shape are both valid or both not."""
    schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        names = re.compile(schema.get("propertyNames", {}).get("pattern", ""))
        if others:
            return frozenset((bool(names.search(n)), type(v)) for n, v in value.items())
        return tuple((n, shape(v, known[n]) if n in known else None) for n, v in value.items())
    if isinstance(value, list):
        return frozenset(shape(item, schema.get("items", {})) for item in value)
    if "enum" in schema:
        return value
    if isinstance(value, str):
        return len(value) >= schema.get("minLength", 0) and bool(re.search(schema.get("pattern", ""), value))
    return type(value), value is not None and value >= 0


class Records:
    """What has been looked at: the logs of a session of tests."""

    def __init__(self):
        self.shapes, self.seen, self.count = set(), set(), 0  # seen: (parent, name)
        self.files = {}  # bytes that are known of each

    def names(self, value, parent=""):
        for name, inner in value.items():
            self.seen.add((parent, name))
            if name in ("context", "inputs", "extra"):
                continue
            for part in inner if isinstance(inner, list) else [inner]:
                if isinstance(part, dict):
                    self.names(part, name)

    def check(self, record, where):
        self.count += 1
        form = shape(record, SCHEMA)
        if form in self.shapes:
            return
        for error in validator().iter_errors(record):
            raise AssertionError(f"{where}: {error.message}\n{json.dumps(record)[:3000]}")
        self.shapes.add(form)
        self.names(record)

    def check_folder(self, folder):
        """What has come to the log since it was looked at last; a torn end is left for later."""
        for path in sorted(pathlib.Path(folder).glob("*.jsonl")):
            with open(path, "rb") as file:
                status = os.fstat(file.fileno())
                key = (str(path), status.st_ino)
                known = self.files.get(key, 0)
                file.seek(known)
                text = file.read().split(b"\0", 1)[0]
            text = text[: text.rfind(b"\n") + 1]
            for line in text.splitlines():
                self.check(json.loads(line), path)
            self.files[key] = known + len(text)


RECORDS = Records()
