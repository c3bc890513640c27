#!/usr/bin/env python3
"""wire.py says what breaks programs that exist, each thing by its reason, and lets pass what does not."""
import pathlib
import subprocess
import sys
import tempfile

import wire

CHANGES = "# Changes\n\n## Unreleased\n\n## 1.2.0 - 2026-01-01\n\n## 1.1.0 - 2025-01-01\n"
PROTO = """syntax = "proto3";
package t.v1;
service AService {
  rpc Get(GetRequest) returns (GetResponse);
  rpc Follow(GetRequest) returns (stream GetResponse);
}
message GetRequest {
  string name = 1;
  repeated uint32 numbers = 2;
  map<string, bytes> parts = 3;
  oneof choice { Kind kind = 4; Inner inner = 5; }
  optional bool sure = 6;
  reserved 7, 9 to 11;
  reserved "old", "older";
}
message GetResponse { Inner inner = 1; }
message Inner { enum Deep { DEEP_UNSPECIFIED = 0; } Deep deep = 1; }
enum Kind { KIND_UNSPECIFIED = 0; KIND_A = 1; KIND_B = 2; reserved 5; reserved "KIND_C"; }
"""
NAME, NUMBERS, KIND_B = "  string name = 1;\n", "repeated uint32 numbers = 2;", " KIND_B = 2;"
# What is replaced by what, or several of these; what must be said, in any order.
CASES = [
    ("", "", ()),
    # Gone, or kept for good.
    (NAME, "", ["t.v1.GetRequest: name is gone; reserve its number, 1"]),
    (NAME, "reserved 1;", ['t.v1.GetRequest: name is gone; reserve its name as well, "name"']),
    (NAME, 'reserved 1; reserved "name";', ()),
    (KIND_B, "", ["t.v1.Kind: KIND_B is gone; reserve its number, 2"]),
    (KIND_B, " reserved 2;", ['t.v1.Kind: KIND_B is gone; reserve its name as well, "KIND_B"']),
    (KIND_B, ' reserved 2; reserved "KIND_B";', ()),
    ("reserved 7, 9 to 11", "reserved 7, 9, 11", ["t.v1.GetRequest: 9-11 was reserved and is not"]),
    ("reserved 7, 9 to 11", "reserved 7 to 12", ()),
    ('"old", "older"', '"older"', ['t.v1.GetRequest: "old" was reserved and is not']),
    ("reserved 5;", "KIND_D = 5;", ["t.v1.Kind: 5-5 was reserved and is not"]),
    # Other numbers, names, types, labels, oneofs.
    ("name = 1", "name = 8", ["t.v1.GetRequest: name was number 1 and is 8"]),
    ("KIND_B = 2", "KIND_B = 3", ["t.v1.Kind: KIND_B was number 2 and is 3"]),
    ("KIND_B = 2", "KIND_E = 2", ["t.v1.Kind: value 2 was KIND_B and is KIND_E"]),
    ("name = 1", "title = 1", ["t.v1.GetRequest: field 1, name: the name was name and is title"]),
    ("name = 1", 'name = 1 [json_name = "n"]', ["t.v1.GetRequest: field 1, name: the JSON name was name and is n"]),
    ("string name", "bytes name", ["t.v1.GetRequest: field 1, name: the type was string and is bytes"]),
    ("string name", "repeated string name", ["t.v1.GetRequest: field 1, name: the type was string and is repeated string"]),
    (NUMBERS, "uint32 numbers = 2;", ["t.v1.GetRequest: field 2, numbers: the type was repeated uint32 and is uint32"]),
    ("optional bool", "bool", ["t.v1.GetRequest: field 6, sure: the type was optional bool and is bool"]),
    ("string, bytes", "string, string",
     ["t.v1.GetRequest: field 3, parts: the type was map<string,bytes> and is map<string,string>"]),
    ("Kind kind = 4; Inner", "Inner kind = 4; Inner", ["t.v1.GetRequest: field 4, kind: the type was t.v1.Kind and is t.v1.Inner"]),
    ("oneof choice { Kind kind = 4;", "Kind kind = 4; oneof choice {",
     ["t.v1.GetRequest: field 4, kind: the oneof was choice and is none"]),
    (NAME + "  " + NUMBERS, NUMBERS + " oneof of_name { string name = 1; }",
     ["t.v1.GetRequest: field 1, name: the oneof was none and is of_name"]),
    # Methods.
    ("  rpc Get(GetRequest) returns (GetResponse);\n", "", ["rpc t.v1.AService/Get is gone"]),
    ("Get(GetRequest)", "Get(Inner)",
     ["rpc t.v1.AService/Get was t.v1.GetRequest -> t.v1.GetResponse and is t.v1.Inner -> t.v1.GetResponse"]),
    ("returns (GetResponse)", "returns (Inner)",
     ["rpc t.v1.AService/Get was t.v1.GetRequest -> t.v1.GetResponse and is t.v1.GetRequest -> t.v1.Inner"]),
    ("Get(GetRequest)", "Get(stream GetRequest)",
     ["rpc t.v1.AService/Get was t.v1.GetRequest -> t.v1.GetResponse and is stream t.v1.GetRequest -> t.v1.GetResponse"]),
    ("stream GetResponse", "GetResponse",
     ["rpc t.v1.AService/Follow was t.v1.GetRequest -> stream t.v1.GetResponse and is t.v1.GetRequest -> t.v1.GetResponse"]),
    # Whole things.
    ("package t.v1", "package t.v2", ["package t.v1 is gone", *(f"{kind} t.v1.{name} is gone" for kind, name in (
        ("enum", "Inner.Deep"), ("enum", "Kind"), ("message", "GetRequest"), ("message", "GetResponse"), ("message", "Inner"),
        ("service", "AService")))]),
    ("service AService", "service BService", ["service t.v1.AService is gone"]),
    ("enum Deep { DEEP_UNSPECIFIED = 0; } Deep deep", "uint32 deep",
     ["enum t.v1.Inner.Deep is gone", "t.v1.Inner: field 1, deep: the type was t.v1.Inner.Deep and is uint32"]),
    # What is new breaks nothing.
    (NAME, NAME + "  bytes more = 12;\n", ()), (KIND_B, KIND_B + " KIND_F = 6;", ()),
    ("service AService {", "message New { GetRequest request = 1; }\nservice AService {\n  rpc More(New) returns (New);", ()),
]


class Tree:
    """A small tree with one proto, and the program itself on it."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        (self.root / "proto/t").mkdir(parents=True)
        self.released = self.root / "proto/released.list"
        self.change(PROTO, CHANGES)

    def change(self, proto, changes):
        (self.root / "proto/t/t.proto").write_text(proto)
        (self.root / "CHANGELOG.md").write_text(changes)

    def lines(self):
        return wire.held(self.released.read_text())

    def run(self, *options):
        done = subprocess.run([sys.executable, "-B", wire.__file__, *options, self.root], capture_output=True, text=True)
        assert not done.stderr, done.stderr
        return done.returncode, sorted(line.removeprefix("proto/released.list: ") for line in done.stdout.split("\n") if line)


def main():
    with tempfile.TemporaryDirectory() as directory:
        tree = Tree(directory)
        assert tree.run() == (1, ["not that of release 1.2.0: tests/lint/wire.py --write"])
        assert tree.run("--write") == (0, []) == tree.run()
        before = tree.lines()
        for old, new, want in CASES:
            assert old in PROTO, old
            tree.change(PROTO.replace(old, new, 1), CHANGES)
            got = list(wire.broken(before, wire.lines_of(wire.descriptors_of(tree.root))))
            assert sorted(got) == sorted(want), (old, new, got)
        # Only what is whole is written, and a release wants its own.
        tree.change(PROTO.replace(NAME, ""), CHANGES)
        assert tree.run("--write")[0] == 1 and tree.lines() == before
        tree.change(PROTO.replace(NAME, 'reserved 1; reserved "name";'), CHANGES.replace("1.2.0", "1.3.0"))
        assert tree.run() == (1, ["not that of release 1.3.0: tests/lint/wire.py --write"])
        assert tree.run("--write") == (0, []) == tree.run()
        tree.change(PROTO, CHANGES.replace("1.2.0", "1.3.0"))
        assert tree.run() == (1, ['t.v1.GetRequest: "name" was reserved and is not', "t.v1.GetRequest: 1-1 was reserved and is not"])


if __name__ == "__main__":
    main()
