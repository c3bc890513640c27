"""--curves: how a call grows: with the length of its plaintext and of its encryption context, and with its key's policy.

All of one curve side by side, so that its rows compare; the base of each row is the empty RPC with the same request. What grows with
the number of keys and of connections, --scale and --connections measure. growth.py draws all of them.
"""
import json

from servers import LEVELS, resident_mb

PLAINTEXTS, QUICK_PLAINTEXTS = (16, 256, 1024, 4096, 16384, 65536), (16, 65536)
PAIRS, QUICK_PAIRS, PAIR_BYTES = (1, 4, 16, 64), (1, 64), 107  # name and value of one (tests/bench/load/request.c)
STATEMENTS, QUICK_STATEMENTS = (2, 8, 32, 100), (2, 100)
SHAPE = (4, 8)
POLICY_KEYS, QUICK_POLICY_KEYS = 400, 20  # so that what one policy takes can be read off the process's memory


def show(title, rows):
    """A row for each size, the levels beside each other."""
    columns = ["empty RPC: CPU us/call", *(f"{level}: {what}" for level in LEVELS
               for what in ("CPU us/call", "calls/s against empty"))]
    columns += ["resident MB"] if "resident_mb" in rows[0] else []
    print(f"\n| {title} | {' | '.join(columns)} |\n|{'---|' * (1 + len(columns))}")
    for size in sorted({row["size"] for row in rows}):
        of = {row["level"]: row for row in rows if row["size"] == size}
        cells = [f"{of[LEVELS[0]]['empty_cpu_us']:.1f}"]
        for level in LEVELS:
            cells += [f"{of[level]['server_cpu_us']:.1f}", f"{of[level]['ratio_to_empty']:.2f}"]
        if "resident_mb" in rows[0]:
            cells.append(f"{of[LEVELS[0]]['resident_mb']:.1f}")
        print(f"| {size:,} | {' | '.join(cells)} |", flush=True)


def measured(options, servers, curve, whats):
    """Rows of [(size, level, words for kms-load)], each beside an empty RPC with the same request."""
    targets = [target for _, level, words in whats for target in (("Encrypt", "none", words), ("Encrypt", level, words))]
    told = servers.load("mtls", SHAPE, targets, options.slice_ms, options.rounds or (4 if options.quick else 40))
    rows = []
    for (size, level, _), empty, row in zip(whats, told[::2], told[1::2]):
        if row["errors"] or empty["errors"]:
            raise SystemExit(f"{curve} {size}, {level}: calls failed, the first with gRPC status "
                             f"{row['first_error'] or empty['first_error']}")
        rows.append({"operation": "Encrypt", "curve": curve, "size": size, "level": level, **row,
                     "empty_cpu_us": empty["server_cpu_us"], "ratio_to_empty": row["calls_per_s"] / empty["calls_per_s"]})
    return rows


def memory(options, servers, rows):
    """Puts what daemon and workers hold into the rows, size by size; started anew, since nobody gives back what is in no use."""
    servers.kmsd.stop(expect=None)
    servers.kmsd.start()
    name = {"plaintext": "plaintext", "context": "pairs"}[rows[0]["curve"]]
    for size in sorted({row["size"] for row in rows}):
        words = {name: size if name == "plaintext" else size // PAIR_BYTES}
        servers.load("mtls", SHAPE, [("Encrypt", level, words) for level in LEVELS], options.slice_ms * 4, 2)
        for row in rows:
            if row["size"] == size:
                row["resident_mb"] = resident_mb(servers.kmsd.process.pid, *servers.kmsd.children())


def policy(harness, statements, tag):
    """The last statement lets the application use the key; others, with a condition each, come before. No two with one tag."""
    document = json.loads(harness.key_policy())
    first, last = document["Statement"][0], document["Statement"][-1]
    first["Sid"] = tag
    document["Statement"][-1:] = [
        *({"Sid": f"Other{number}", "Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*",
           "Principal": {"AWS": f"arn:aws:iam::123456789012:role/application-{number}"},
           "Condition": {"StringEquals": {"kms:EncryptionContext:tenant": f"t-{number}"}}}
          for number in range(statements - len(document["Statement"]))), last]
    return json.dumps(document, separators=(",", ":"))


def policy_keys(options, servers):
    """{statements: (key of each level, resident bytes a key whose policy is its own)}"""
    harness, found = servers.harness, {}
    count = QUICK_POLICY_KEYS if options.quick else POLICY_KEYS
    with servers.kmsd.client(harness.ADMIN) as admin:
        for statements in QUICK_STATEMENTS if options.quick else STATEMENTS:
            made = {level: admin.CreateKey(policy=policy(harness, statements, "Measured"), protection_level=number).key_metadata.key_id
                    for level, number in (("HSM", 1), ("SOFTWARE", 2))}
            before = resident_mb(servers.kmsd.process.pid)
            for number in range(count):
                admin.CreateKey(policy=policy(harness, statements, f"Own{number}"), protection_level=2)
            found[statements] = (made, (resident_mb(servers.kmsd.process.pid) - before) * 1048576 / count)
    return found


def run(options, servers):
    (servers.home / "protos").mkdir()
    servers.harness.protos(servers.home / "protos")
    servers.start()
    rows = []
    for curve, unit, sizes in (("plaintext", 1, QUICK_PLAINTEXTS if options.quick else PLAINTEXTS),
                               ("pairs", PAIR_BYTES, QUICK_PAIRS if options.quick else PAIRS)):
        whats = [(size * unit, level, {curve: size}) for level in LEVELS for size in sizes]
        rows += measured(options, servers, {"plaintext": "plaintext", "pairs": "context"}[curve], whats)
        memory(options, servers, rows[-len(whats):])
        show(f"bytes of {rows[-1]['curve']}", rows[-len(whats):])
    keys = policy_keys(options, servers)
    whats = [(statements, level, {"key": made[level]}) for level in LEVELS for statements, (made, _) in keys.items()]
    rows += measured(options, servers, "policy", whats)
    show("statements of the key's policy", rows[-len(whats):])
    print("\n| statements of a policy of its own | resident KB a key |\n|---|---|")
    for statements, (_, own_bytes) in keys.items():
        print(f"| {statements} | {own_bytes / 1024:.1f} |")
    for row in rows:
        if row["curve"] == "policy":
            row["resident_bytes_a_key"] = keys[row["size"]][1]
    return rows
