"""--open-loop: latency when calls come at random times whatever the server does, at shares of its capacity, and beyond.

Capacity is what a closed loop reaches with plenty in flight, measured just before. Arrivals are a Poisson process; a call's latency
counts from when it was due, also when the generator was late (that is what coordinated omission leaves out). Beyond capacity kmsd,
with the limits that it has by itself, has to refuse what is too much (RESOURCE_EXHAUSTED, UNAVAILABLE), soon, and go on serving.
"""
from servers import LEVELS

LOADS = (25, 50, 75, 90, 150)
OVERLOAD, GOODPUT_BAR = 150, 0.9
SHAPE, OVERLOAD_CONNECTIONS = (4, 16), 16


def measured(servers, what, capacity, percent, options):
    shape = (OVERLOAD_CONNECTIONS if percent > 100 else SHAPE[0], 1)
    rate = max(1, int(capacity * percent / 100))
    row = servers.load("mtls", shape, [what], 400 if options.quick else 1000, options.rounds or (2 if options.quick else 10),
                       rate=rate)[0]
    if row["errors"] > row["shed"]:
        raise SystemExit(f"{what}: {row['errors'] - row['shed']} calls failed, the first with gRPC status {row['first_error']}")
    return {"operation": what[0], "level": what[1], "capacity_per_s": capacity, "load_percent": percent, "rate_per_s": rate, **row,
            "goodput": row["calls_per_s"] / capacity}


def show(row):
    shed = row["shed"] / max(1, row["calls"] + row["shed"])
    words = f"{row['operation']}, {row['level']}" if row["level"] != "none" else row["operation"]
    print(f"{words:20}{row['load_percent']:6} %{row['rate_per_s']:9}{row['calls_per_s']:9.0f}{row['p50_us']:9.0f}{row['p99_us']:9.0f}"
          f"{row['p999_us']:10.0f}{row['max_us']:9.0f}{shed:8.1%}"
          + (f"{row['shed_p99_us']:12.0f}" if row["shed"] else f"{'-':>12}"), flush=True)


def run(options, servers):
    print(f"\n{'operation':20}{'load':>8}{'due/s':>9}{'served/s':>9}{'p50 us':>9}{'p99 us':>9}{'p99.9 us':>10}{'max us':>9}"
          f"{'shed':>8}{'its p99 us':>12}")
    rows = []
    for what in [("Empty", "none"), *(("Encrypt", level) for level in LEVELS)]:
        capacity = servers.load("mtls", SHAPE, [what], options.slice_ms, 20 if options.quick else 60)[0]["calls_per_s"]
        for percent in LOADS:
            rows.append(measured(servers, what, capacity, percent, options))
            show(rows[-1])
    for row in rows:
        if row["load_percent"] == OVERLOAD and row["level"] != "none":
            print(f"{row['operation']}, {row['level']} at {OVERLOAD} %: goodput {row['goodput']:.2f} of capacity, bar {GOODPUT_BAR}: "
                  f"{'met' if row['goodput'] >= GOODPUT_BAR else 'missed'}")
    return rows
