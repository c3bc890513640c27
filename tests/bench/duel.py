"""--duel A B: two builds of kmsd at the same time on one core, each with a generator of its own on another.

Whatever else the machine does hits both alike, so the ratio of CPU per call is what to trust where others compute, too. --duel A A
says how far a build is from itself.
"""
import json
import statistics
import subprocess

from servers import LEVELS

OTHER = ", B"
SHAPE, SLICE_MS = (4, 8), 250


def pinned(core, command):
    return ["taskset", "-c", str(core), *command]


def both(servers, level, swap):
    """One round: (CPU us a call of A, of B)."""
    whats = [("Encrypt", level), ("Encrypt", level + OTHER)]
    order = (1, 0) if swap else (0, 1)
    running = {i: subprocess.Popen(pinned(1, servers.load_command("mtls", SHAPE, [whats[i]], SLICE_MS, 4)), stdout=subprocess.PIPE,
                                   text=True) for i in order}
    rows = [json.loads(running[i].communicate()[0])[0] for i in (0, 1)]
    for row in rows:
        if row["errors"] or not row["calls"]:
            raise SystemExit(f"{row['errors']} calls failed, the first with gRPC status {row['first_error']}")
    return tuple(row["server_cpu_us"] for row in rows)


def run(options, servers):
    first, second = options.duel
    servers.wrapper = pinned(0, [])
    servers.start()
    servers.start_build(OTHER, second)
    print(f"A: {first}\nB: {second}\none core for both; Encrypt over mTLS, {SHAPE[0]} connections x {SHAPE[1]} in flight on each; "
          "CPU of daemon and workers, us a call")
    print("\n| level | A us | B us | B / A (least, most) | rounds |\n|---|---|---|---|---|")
    rows = []
    for level in LEVELS:
        pairs = [both(servers, level, number % 2 == 1) for number in range(options.rounds or (4 if options.quick else 16))]
        ratios = [b / a for a, b in pairs]
        row = {"level": level, "a_cpu_us": statistics.median(a for a, _ in pairs), "b_cpu_us": statistics.median(b for _, b in pairs),
               "ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios), "rounds": len(pairs)}
        rows.append(row)
        print(f"| {level} | {row['a_cpu_us']:.1f} | {row['b_cpu_us']:.1f} | {row['ratio']:.3f} "
              f"({row['least']:.3f}-{row['most']:.3f}) | {row['rounds']} |", flush=True)
    return rows
