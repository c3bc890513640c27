#!/usr/bin/env python3
"""The lints find what they are for: one bad line each, and one good line that they leave alone."""
import banned
import budgets
import layers

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


if __name__ == "__main__":
    main()
