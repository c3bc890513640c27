#!/usr/bin/env python3
"""The arrows of the architecture: a room may include only what its row names, and some headers belong to one room only.

    tests/lint/layers.py [root]
"""
import re

import sources

# room: what it may include besides itself. "generated" is what protoc-c makes (*.pb-c.h).
ROOMS = {
    "base": [],
    "hsm": ["base"],
    "hsm/pkcs11": ["base", "hsm"],
    "hsm/worker": ["base", "hsm", "hsm/pkcs11"],
    "keystore": ["base", "generated"],
    "keystore/sqlite": ["base", "keystore"],
    "kmsd/policy": ["base"],
    "kmsd/metrics": ["base"],
    "kmsd/audit": ["base"],
    "kmsd/audit/read": ["base", "kmsd/audit"],
    "kmsd/audit/send": ["base", "kmsd/audit"],
    "kmsd/audit/write": ["base", "kmsd/audit", "kmsd/metrics"],
    "kmsd/conf": ["base"],
    "kmsd/authn": ["base", "kmsd/conf"],
    "kmsd/keys": ["base", "hsm", "keystore", "kmsd/policy", "generated"],
    "kmsd/secrets": ["base", "keystore", "kmsd/keys", "kmsd/policy", "generated"],
    "kmsd/leases": ["base", "keystore", "kmsd/keys", "kmsd/policy", "kmsd/secrets", "generated"],
    "kmsd/rotators": ["base", "kmsd/conf"],
    "kmsd/service": ["base", "hsm", "keystore", "kmsd/policy", "kmsd/audit", "kmsd/conf", "kmsd/authn", "kmsd/keys",
                     "kmsd/secrets", "kmsd/leases", "kmsd/rotators", "kmsd/metrics", "generated"],
    "kmsd/jobs": ["base", "kmsd/keys", "kmsd/leases", "kmsd/metrics", "kmsd/service"],
    "kmsd/dialect": ["base", "kmsd/service", "generated"],
    "kmsd/rpc": ["base", "kmsd/authn", "kmsd/dialect", "kmsd/metrics", "kmsd/service", "generated"],
    "kmsd": ["base", "hsm", "keystore", "kmsd/policy", "kmsd/audit", "kmsd/conf", "kmsd/authn", "kmsd/keys",
             "kmsd/rotators", "kmsd/service", "kmsd/jobs", "kmsd/dialect", "kmsd/rpc", "generated"],
    "client/include": [],
    "client/lib": ["base", "client/include", "generated"],
    "client/kmsctl": ["base", "client/include", "client/lib"],
    "client/kms-env": ["base", "client/include", "client/lib"],
}
# Single headers that a room may reach besides.
ALSO = {("client/kmsctl", f"kmsd/audit/{name}") for name in ("fields.h", "filter.def", "query.h", "reader.h")} | {
    ("client/kmsctl", f"kmsd/policy/{name}.h") for name in ("policy", "diff", "explain", "input", "lint", "replay")
}
ALSO |= {("client/kmsctl", f"client/kms-env/{name}.h") for name in ("bind", "dotenv", "file")}

# include that begins so: the only folders (or files) it may stand in
ONLY_HERE = {
    "<grpc/": ["kmsd/rpc/", "client/lib/"],
    "<sqlite3.h>": ["keystore/sqlite/"],
    "<libpq-fe.h>": ["keystore/postgres/", "kmsd/rotators/"],
    "<zlib.h>": ["kmsd/rpc/inflate", "tests/unit/kmsd/rpc/test_inflate"],
    "<p11-kit/": ["hsm/pkcs11/"],
    "<seccomp.h>": ["hsm/worker/"],
    "<yaml.h>": ["base/conf", "client/kmsctl/tree/", "client/kmsctl/sealed/manifest"],
    "<syslog.h>": ["kmsd/audit/send/anchor", "kmsd/audit/send/ship_socket", "tests/unit/kmsd/audit/send/test_anchor"],
}


def room_of(path):
    """The longest room that holds this path (relative to the root), or None."""
    if path.endswith(".pb-c.h"):
        return "generated"
    if path.startswith("kms/") and path.endswith(".h"):
        return "client/include"
    return max((room for room in ROOMS if path.startswith(room + "/")), key=len, default=None)


def complaints_of(path, text):
    """Yields (line, message) for one source file; path is relative to the root."""
    here = room_of(path)
    if here is None:
        yield 1, "stands in no room: name it in tests/lint/layers.py"
        return
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not found:
            continue
        spelled = found[1] + found[2] + (">" if found[1] == "<" else '"')
        for start, places in ONLY_HERE.items():
            if spelled.startswith(start) and not any(path.startswith(place) for place in places):
                yield number, f"{spelled} belongs only in {', '.join(places) or 'no room'}"
        there = room_of(found[2])
        if found[1] == '"' and there is None:
            yield number, f"{spelled}: includes are written from the root of the tree"
        elif there and there != here and there not in ROOMS[here] and (here, found[2]) not in ALSO:
            yield number, f"{here} must not reach into {there} ({found[2]})"


if __name__ == "__main__":
    sources.judge(complaints_of, sources.PRODUCT)
