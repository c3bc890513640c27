#!/usr/bin/env python3
"""The lints find what they are for: one bad line each, and one good line that they leave alone."""
import pathlib

import banned
import budgets
import docs
import layers
import protos

LAYERS = [("base/x.c", '#include "hsm/hsm.h"', 1), ("hsm/x.c", '#include "base/err.h"', 0),
          ("hsm/x.c", '#include "hsm/pkcs11/token.h"', 1),
          ("kmsd/policy/x.c", '#include "kmsd/audit/audit.h"', 1), ("kmsd/service/x.c", "#include <grpc/grpc.h>", 1),
          ("kmsd/rpc/x.c", "#include <grpc/grpc.h>", 0), ("keystore/x.c", "#include <sqlite3.h>", 1),
          ("client/kmsctl/x.c", '#include "kmsd/audit/reader.h"', 0), ("client/kmsctl/x.c", '#include "kmsd/audit/audit.h"', 1),
          ("kmsd/policy/x.c", '#include "kms/v1/keys.pb-c.h"', 1), ("base/x.c", '#include "err.h"', 1), ("other/x.c", "", 1)]
BANNED = [("base/x.c", "strcpy(a, b);", 1), ("base/x.c", 'say("strcpy(a)");', 0), ("base/x.c", "/* not strcpy() */", 0),
          ("hsm/worker/x.c", "key = malloc(32);", 1), ("hsm/worker/x.c", "key = kms_locked_alloc(32);", 0),
          ("keystore/x.c", "if (memcmp(a, row_seal, 32) == 0)", 1), ("keystore/x.c", "memcmp(name, other, 3)", 0),
          ("kmsd/policy/x.c", 'kms_log(1, "a", "b");', 1), ("kmsd/rpc/x.c", 'kms_log(1, "a", "b");', 0),
          ("kmsd/x.c", "int a; // why", 1), ("kmsd/x.c", 'char *u = "http://x";', 0), ("kmsd/x.c", "/* " + "TO" + "DO */", 1)]
JUDGED = [({("k", "p"): 9}, {}, 1), ({("k", "p"): 9}, {("k", "p"): 9}, 0), ({("k", "p"): 9}, {("k", "p"): 8}, 1),
          ({("k", "p"): 9}, {("k", "p"): 10}, 1), ({}, {("k", "p"): 10}, 1)]
PARAMETERS = [("int f(void)\n{", 0), ("int f(int a, void (*b)(int, int),\n      int c)\n{", 3), ("int f()\n{", 0)]

HEAD = '// What it is for.\nsyntax = "proto3";\npackage kms.v1;\noption go_package = "kmsd/proto/kms/v1;kmsv1";\n'
PROTO_HEADS = [(HEAD, 0), (HEAD.replace("kms.v1", "kms.v2"), 1), (HEAD.replace("go_package", "java_package"), 1),
               (HEAD.replace("kms/v1;", "kms/v2;"), 1)]
PROTO_FORMS = [(HEAD, 0), (HEAD.split("\n", 1)[1], 1), (HEAD.replace("proto3", "proto2"), 1),
               (HEAD.replace("go_package", "java_package"), 1), (HEAD + 'import "a.proto";\n', 1),
               (HEAD + "message A {}\n", 0), (HEAD + "message A {}\npackage b;\n", 1),
               (HEAD + "message A {\n  // F.\n  uint32 a = 1;\n}\n", 0), (HEAD + "message A {\n    uint32 a = 1;\n}\n", 1),
               (HEAD + "message A {\n\tuint32 a = 1;\n}\n", 1), (HEAD + "message A {} \n", 1), (HEAD + "message A {\n", 1),
               (HEAD + "service A {\n  rpc B(C)\n      returns (D);\n}\n", 0), (HEAD.replace('"proto3"', "'proto3'"), 2),
               (HEAD + "service A {\n  rpc B(C)\n  returns (D);\n}\n", 1)]
IMPORTED = {"a.proto": "message A {}", "b.proto": "// of B\nenum B {}"}
PROTO_IMPORTS = [('import "a.proto";\nimport "b.proto";\nmessage M { A a = 1; B b = 2; }', 0),
                 ('import "b.proto";\nimport "a.proto";\nmessage M { A a = 1; B b = 2; }', 1),
                 ('import "a.proto";\nimport "a.proto";\nmessage M { A a = 1; }', 1),
                 ('import "a.proto";\n// A is not used.\nmessage M {}', 1), ('import "c.proto";', 1)]
PROTO_ORPHANS = [("message ARequest {\n}", 1), ("message ARequest {\n}\nrpc A(ARequest)", 0), ("message A {\n}", 0),
                 ("message AResponse {\n}\n// AResponse\nmessage B {\n  repeated AResponse as = 1;\n}", 0)]
PROTO_BODIES = [
    ("// S.\nservice KeyService {\n// R.\nrpc GetIt(GetItRequest) returns (GetItResponse);\n}", 0),
    ("service KeyService {\nrpc get_it(A) returns (B);\n}", 3), ("// S.\nservice Keys {\n}", 1),
    ("message ARequest {\n// F.\nuint32 some_thing = 1;\n}", 0), ("message ARequest {\nuint32 some_thing = 1;\n}", 1),
    ("message ARequest {\nKeySpec key_spec = 1;\n}", 0), ("message ARequest {\n// F.\nuint32 someThing = 1;\n}", 1),
    ("message ARequest {\n// F.\nuint32 a = 1;\n// G.\nstring b = 1;\n}", 1),
    ("message ARequest {\n// F.\nuint32 a = 1;\noneof of_b {\nuint32 b = 1;\n}\n}", 1),
    ("message ARequest {\nreserved 2, 4 to 6;\n// F.\nuint32 a = 5;\n}", 1),
    ("message ARequest {\n// F.\nbytes plain_text = 1;\n}", 1),
    ("message Other {}", 1), ("// E.\nenum Kind {\nKIND_UNSPECIFIED = 0;\nKIND_A = 1;\n}", 0),
    ("// E.\nenum Kind {\nKIND_NONE = 0;\nA = 1;\n}", 2), ("message ARequest {\n// F.\nrepeated string name = 1;\n}", 1),
    ("// E.\nenum Kind {\nKIND_UNSPECIFIED = 0;\nreserved 1;\nKIND_A = 1;\n}", 1),
    ("message ARequest {\n// F.\nrepeated string names = 1;\n}", 0),
    ("message ARequest {\n// F.\nstring name\n= 1;\n}", 2)]
SERVICES = {"KeyService": {"EnableKey": ("EnableKeyRequest", "EnableKeyResponse")}}
ROWS = [("key_service", "EnableKey", "ENABLE_KEY")]
ENABLE, TAG = {"ENABLE_KEY": ("kms", "EnableKey")}, {"TAG_RESOURCE": ("kms", "TagResource")}
NAMES = [(SERVICES, ROWS, ENABLE, 0), (SERVICES, [], {}, 1), ({}, ROWS, ENABLE, 1),
         (SERVICES, ROWS, {}, 1), (SERVICES, ROWS, {"ENABLE_KEY": ("kms", "TurnOnKey")}, 3),
         ({"KeyService": {"TurnOn": ("TurnOnRequest", "Empty")}}, [], {}, 3),
         ({}, [], {"ROTATE_SECRET": ("secretsmanager", "RotateSecret")}, 0), ({}, [], {"ROTATE_SECRET": ("kms", "RotateSecret")}, 1),
         ({}, [], {**TAG, "SECRET_TAG_RESOURCE": ("secretsmanager", "TagResource")}, 0),
         ({}, [], {**TAG, "TAG": ("secretsmanager", "TagResource")}, 1), ({}, [], {"GET_OBJECT": ("s3", "GetObject")}, 1)]
DOCS = [("see `base/err.h` and `tests/unit/base/test_{err,id}.c`", 0), ("see `base/no.h`", 1), ("[a](README.md#kmsd)", 0),
        ("[a](docs/no.md)", 1), ("[a](README.md#no-such)", 1), ("[a](https://x.test/)", 0), ("`man kmsctl`, `man no-such`", 1),
        ("    kmsctl --endpoint h:1 key create --alias x  # why", 0), ("    kmsctl key creat", 1),
        ("    kmsctl key create --alia x", 1),
        ("`kmsctl key`, `kmsctl frobnicate`", 1), ("    kmsd --config F init\n    kmsd --conf F init\n    kmsd start", 2),
        ("```\n$ sudo X=1 kms-env run --no-such -- app --any\n```", 1), ("`deploy/quickstart stop`, `deploy/quickstart halt`", 1),
        ("    tests/run --quick --slow", 1), ("    tests/no-such 1", 1), ("    kmsd -> hsm", 0),
        ("    kmsctl key create x", 1), ("    kmsd init now", 1), ("`man kmsd`", 0)]


class FakeTruth(docs.Truth):
    """The help texts that the cases above need, without programs."""

    TEXTS = {"kmsctl": "  --endpoint=HOST:PORT  x\nCommands:\n  key create   make\n  status       s\n",
             "kmsctl key create": "Usage: kmsctl key create [OPTION...] \n  --alias=NAME  x\n",
             "kmsd": "  -c, --config=FILE  x\nCommands:\n  init   make\n", "kms-env": "Subcommands:\n  run   run it\n",
             "kms-env run": "  -k, --key=KEY  x\n", "tests/run": "  --quick  x\n", "deploy/quickstart": "usage: x [start|stop]\n"}

    def help(self, *words):
        return self.TEXTS.get(" ".join(words).replace(str(self.bin) + "/", "").replace(str(docs.ROOT) + "/", ""), "")


def main():
    for module, cases in ((layers, LAYERS), (banned, BANNED)):
        for path, line, want in cases:
            got = list(module.complaints_of(path, line + "\n" if line else line))
            assert len(got) == want, (module.__name__, path, line, got)
    for found, listed, want in JUDGED:
        patched = dict.fromkeys([k for k, _ in found], 5)
        budgets.BUDGET.update(patched)
        assert len(list(budgets.judge(found, listed))) == want, (found, listed)
    for text, want in PARAMETERS:
        assert budgets.parameters_of(text.splitlines(), 0) == want, text
    inside = pathlib.Path("kms/v1/keys.proto")
    for text, want in PROTO_HEADS:
        assert len(list(protos.head_wrong(inside, text))) == want, text
    for wrong, cases in ((protos.body_wrong, PROTO_BODIES), (protos.orphans_of, PROTO_ORPHANS),
                         (lambda text: protos.form_wrong(inside, text), PROTO_FORMS),
                         (lambda text: protos.imports_wrong(text, IMPORTED.get), PROTO_IMPORTS)):
        for text, want in cases:
            got = list(wrong(text))
            assert len(got) == want, (text, got)
    assert list(protos.form_wrong(pathlib.Path("kms/v1/Keys.proto"), HEAD))
    assert list(protos.head_wrong(pathlib.Path("kms/keys.proto"), HEAD.replace("kms.v1", "kms").replace("kms/v1", "kms")))
    for *case, want in NAMES:
        got = list(protos.names_wrong(*case))
        assert len(got) == want, (case, got)
    for text, want in DOCS:
        got = set(docs.complaints_of(docs.ROOT / "README.md", text, FakeTruth("x")))
        assert len(got) == want, (text, got)


if __name__ == "__main__":
    main()
