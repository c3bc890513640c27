#!/usr/bin/env python3
"""What programs were built against goes on working: proto/released.list has what the last release's protos said, one thing a line.

    tests/lint/wire.py [ROOT]            fails when something of that is gone or has changed; what is new passes
    tests/lint/wire.py --write [ROOT]    when a release is cut: adds what is new; refuses when something is broken

Stricter than the wire: names count too (JSON, reflection and generated code have them), and so does every type.
A field or value goes by reserving its number and its name. Whatever else must change gets a new package (kms.v2).
"""
import pathlib
import re
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

FIELD = descriptor_pb2.FieldDescriptorProto
TYPES = {number: name.removeprefix("TYPE_").lower() for name, number in FIELD.Type.items()}
FOLDERS = ("proto", "keystore")  # each is where its imports begin; what is stored is held as well
HEAD = """# The protos of {release}, which every later version keeps (tests/lint/wire.py; written by it with --write).
#
#   package NAME, message NAME, enum NAME, service NAME
#   field MESSAGE NUMBER [repeated|optional] TYPE NAME [in ONEOF] [JSON-NAME, in quotes, where it is not the usual one]
#   value ENUM NUMBER NAME
#   reserved MESSAGE-OR-ENUM FIRST-LAST, or NAME in quotes
#   rpc SERVICE/METHOD REQUEST -> RESPONSE
"""
KINDS = ("package", "message", "enum", "service", "field", "value", "rpc", "reserved")
KEY_WORDS = {"field": 3, "value": 4, "reserved": 3}  # how many words of a line tell what it is about; else two


def release_of(changelog):
    """The newest release that CHANGELOG.md has."""
    found = re.search(r"^## \[?(\d+\.\d+\.\d+)\b", changelog, re.M)
    return f"release {found[1]}" if found else "the time before the first release"


def descriptors_of(root):
    """Everything below FOLDERS, as protoc understands it."""
    for folder in FOLDERS:
        top = root / folder
        files = sorted(str(path) for path in top.rglob("*.proto"))
        if files:
            with tempfile.NamedTemporaryFile() as out:
                subprocess.run(["protoc", "-I", top, f"--descriptor_set_out={out.name}", *files], check=True)
                yield from descriptor_pb2.FileDescriptorSet.FromString(out.read()).file


def ranges_of(pairs):
    """Sorted; neighbours are one."""
    merged = []
    for first, last in sorted(pairs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(last, merged[-1][1])
        else:
            merged.append([first, last])
    return merged


def reserved_lines(name, kind, pairs):
    yield from (f"reserved {name} {first}-{last}" for first, last in ranges_of(pairs))
    yield from (f'reserved {name} "{one}"' for one in kind.reserved_name)


def enum_lines(prefix, enum):
    name = prefix + enum.name
    yield f"enum {name}"
    yield from (f"value {name} {value.number} {value.name}" for value in enum.value)
    yield from reserved_lines(name, enum, [(r.start, r.end) for r in enum.reserved_range])


def type_of(field, maps):
    if field.type_name in maps:
        return "map<{},{}>".format(*(type_of(part, {}) for part in maps[field.type_name].field))
    plain = field.type_name.removeprefix(".") or TYPES[field.type]
    label = "optional " if field.proto3_optional else "repeated " if field.label == FIELD.LABEL_REPEATED else ""
    return label + plain


def camel(name):
    """The JSON name that a field has unless it says another."""
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


def message_lines(prefix, message):
    name = prefix + message.name
    maps = {f".{name}.{nested.name}": nested for nested in message.nested_type if nested.options.map_entry}
    yield f"message {name}"
    for field in message.field:
        inside = field.HasField("oneof_index") and not field.proto3_optional
        oneof = f" in {message.oneof_decl[field.oneof_index].name}" if inside else ""
        json = f' "{field.json_name}"' if field.json_name != camel(field.name) else ""
        yield f"field {name} {field.number} {type_of(field, maps)} {field.name}{oneof}{json}"
    yield from reserved_lines(name, message, [(r.start, r.end - 1) for r in message.reserved_range])
    for nested in message.nested_type:
        if not nested.options.map_entry:
            yield from message_lines(name + ".", nested)
    for enum in message.enum_type:
        yield from enum_lines(name + ".", enum)


def service_lines(prefix, service):
    yield f"service {prefix}{service.name}"
    for method in service.method:
        sides = [(method.client_streaming, method.input_type), (method.server_streaming, method.output_type)]
        takes, gives = ("stream " * streams + kind.removeprefix(".") for streams, kind in sides)
        yield f"rpc {prefix}{service.name}/{method.name} {takes} -> {gives}"


def lines_of(files):
    """Everything that is held, sorted."""
    found = set()
    for file in files:
        prefix = file.package + "." if file.package else ""
        found.add(f"package {file.package or '-'}")
        for message in file.message_type:
            found.update(message_lines(prefix, message))
        for enum in file.enum_type:
            found.update(enum_lines(prefix, enum))
        for service in file.service:
            found.update(service_lines(prefix, service))
    return sorted(found, key=order)


def order(line):
    """What belongs to something stands behind it, by number."""
    words = line.split()
    number = re.match(r"\d+", words[2]) if len(words) > 2 else None
    return words[1].split("/")[0], KINDS.index(words[0]), int(number[0]) if number else 0, line


def table_of(lines):
    """{what a line is about: the rest of it}"""
    table = {}
    for line in lines:
        words = line.split()
        about = KEY_WORDS.get(words[0], 2)
        table[tuple(words[:about])] = words[about:]
    return table


class Now:
    """What there is now, to be asked by what there was."""

    def __init__(self, lines):
        self.table = table_of(lines)
        self.reserved = {}  # owner: (ranges, names)
        self.named = {}  # (owner, name): number
        for key, rest in self.table.items():
            if key[0] == "reserved":
                ranges, names = self.reserved.setdefault(key[1], ([], set()))
                if key[2].startswith('"'):
                    names.add(key[2].strip('"'))
                else:
                    ranges.append(tuple(map(int, key[2].rsplit("-", 1))))
            elif key[0] == "field":
                self.named[key[1], name_and_type(rest)[0]] = key[2]
            elif key[0] == "value":
                self.named[key[1], key[3]] = key[2]

    def reserves(self, owner, first, last):
        return any(low <= first and last <= high for low, high in self.reserved.get(owner, ([], ()))[0])

    def reserves_name(self, owner, name):
        return name in self.reserved.get(owner, ((), ()))[1]


def name_and_type(rest):
    """name, type with its label, JSON name, oneof; of what follows the number of a field."""
    json = rest[-1].strip('"') if rest[-1].startswith('"') else None
    rest = rest[:-1] if json else rest
    oneof = rest[-1] if rest[-2] == "in" else ""
    rest = rest[:-2] if oneof else rest
    return rest[-1], " ".join(rest[:-1]), json or camel(rest[-1]), oneof


def gone_wrong(owner, number, name, now):
    """A field or value that is there no more."""
    other = now.named.get((owner, name))
    if other is not None:
        yield f"{owner}: {name} was number {number} and is {other}"
    elif not now.reserves(owner, int(number), int(number)):
        yield f"{owner}: {name} is gone; reserve its number, {number}"
    elif not now.reserves_name(owner, name):
        yield f'{owner}: {name} is gone; reserve its name as well, "{name}"'


def field_wrong(key, rest, now):
    _, owner, number = key
    name, kind, json, oneof = name_and_type(rest)
    if key not in now.table:
        yield from gone_wrong(owner, number, name, now)
        return
    for what, old, new in zip(("name", "type", "JSON name", "oneof"), (name, kind, json, oneof), name_and_type(now.table[key])):
        if old != new and not (what == "JSON name" and name != name_and_type(now.table[key])[0]):
            yield f"{owner}: field {number}, {name}: the {what} was {old or 'none'} and is {new or 'none'}"


def value_wrong(key, now):
    _, owner, number, name = key
    if key not in now.table:
        others = [other[3] for other in now.table if other[:3] == key[:3]]
        if others and (owner, name) not in now.named:
            yield f"{owner}: value {number} was {name} and is {others[0]}"
        else:
            yield from gone_wrong(owner, number, name, now)


def reserved_wrong(key, now):
    _, owner, what = key
    if what.startswith('"'):
        kept = now.reserves_name(owner, what.strip('"'))
    else:
        kept = now.reserves(owner, *map(int, what.rsplit("-", 1)))
    if not kept:
        yield f"{owner}: {what} was reserved and is not"


def broken(released, lines):
    """Yields what a program that was built against the lines of the release would stumble over."""
    now, gone = Now(lines), set()
    for key, rest in table_of(released).items():
        owner = key[1].split("/")[0]
        if key[0] in ("package", "message", "enum", "service"):
            if key not in now.table:
                gone.add(owner)
                yield f"{key[0]} {key[1]} is gone"
        elif owner in gone:
            continue
        elif key[0] == "field":
            yield from field_wrong(key, rest, now)
        elif key[0] == "value":
            yield from value_wrong(key, now)
        elif key[0] == "reserved":
            yield from reserved_wrong(key, now)
        elif key not in now.table:
            yield f"rpc {key[1]} is gone"
        elif rest != now.table[key]:
            yield f"rpc {key[1]} was {' '.join(rest)} and is {' '.join(now.table[key])}"


def held(text):
    """The lines of released.list."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def main(arguments):
    write = "--write" in arguments
    places = [a for a in arguments if a != "--write"]
    root = pathlib.Path(places[0]) if places else pathlib.Path(__file__).resolve().parents[2]
    path, release = root / "proto/released.list", release_of((root / "CHANGELOG.md").read_text())
    text, lines = path.read_text() if path.exists() else "", lines_of(descriptors_of(root))
    wrong = list(broken(held(text), lines))
    if write and not wrong:
        path.write_text(HEAD.format(release=release) + "\n".join(lines) + "\n")
        return 0
    if not text.startswith(HEAD.format(release=release)):
        wrong.append(f"not that of {release}: tests/lint/wire.py --write")
    print("\n".join(f"proto/released.list: {complaint}" for complaint in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
