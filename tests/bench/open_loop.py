"""tests/bench/run --open-loop: latency when calls come at random times whatever the server does, at shares of capacity, and beyond.

Capacity is what a closed loop reaches with plenty in flight, measured just before. Arrivals are a Poisson process; a call's latency
counts from when it was due, also when the generator was late (that is what coordinated omission leaves out). Beyond capacity kmsd,
with the limits that it has by itself, has to refuse what is too much (RESOURCE_EXHAUSTED, UNAVAILABLE), soon, and go on serving.
There capacity is measured anew before and after each pass, and goodput is the median of the ratios: the machine's speed changes.
"""
import statistics

from servers import LEVELS

LOADS = (25, 50, 75, 90)
OVERLOAD, GOODPUT_BAR = 150, 0.9
SHAPE, CONNECTIONS = (16, 16), 4
TICK_US = 1000  # beyond capacity: the generator shall not take from the server what it measures
STATUS = {"8": "RESOURCE_EXHAUSTED", "14": "UNAVAILABLE", "4": "DEADLINE_EXCEEDED", "0": "no status"}  # of gRPC


def capacity_of(servers, what, options, rounds):
    return servers.load("mtls", SHAPE, [what], options.slice_ms, rounds)[0]["calls_per_s"]


def measured(servers, what, capacity, percent, options, rounds):
    shape = (SHAPE[0] if percent > 100 else CONNECTIONS, 1)
    rate = max(1, int(capacity * percent / 100))
    row = servers.load("mtls", shape, [what], 400 if options.quick else 1000, rounds, rate=rate,
                       tick_us=TICK_US if percent > 100 else 0)[0]
    if row["errors"] > row["shed"]:
        raise SystemExit(f"{what}: {row['errors'] - row['shed']} calls failed, the first with gRPC status {row['first_error']}")
    return {"operation": what[0], "level": what[1], "capacity_per_s": capacity, "load_percent": percent, "rate_per_s": rate, **row,
            "goodput": row["calls_per_s"] / capacity}


def overloaded(servers, what, options):
    """One row of several passes: medians, but sums of what was counted."""
    rounds, passes = 8 if options.quick else 20, options.rounds or (3 if options.quick else 10)
    rows, before = [], capacity_of(servers, what, options, rounds)
    for _ in range(passes):
        row = measured(servers, what, before, OVERLOAD, options, 1)
        after = capacity_of(servers, what, options, rounds)
        row["goodput"] = row["calls_per_s"] / ((before + after) / 2)
        rows.append(row)
        before = after
    merged = {name: statistics.median(row[name] for row in rows) if isinstance(value, (int, float)) else value
              for name, value in rows[0].items()}
    for name in ("calls", "errors", "shed", "held_back"):
        merged[name] = sum(row[name] for row in rows)
    merged["failed_by_status"] = {code: sum(row["failed_by_status"].get(code, 0) for row in rows)
                                  for code in sorted({code for row in rows for code in row["failed_by_status"]})}
    merged["goodput_worst"] = min(row["goodput"] for row in rows)
    return merged


def cells(row):
    shed = row["shed"] / max(1, row["calls"] + row["shed"])
    name = f"{row['operation']}, {row['level']}" if row["level"] != "none" else row["operation"]
    refused = f"{shed:.1%}" if row["shed"] else "-"
    refused_us = f"{row['shed_p50_us']:.0f} / {row['shed_p99_us']:.0f}" if row["shed"] else "-"
    return (name, f"{row['load_percent']} %", f"{row['rate_per_s']:,.0f}", f"{row['calls_per_s']:,.0f}",
            " / ".join(f"{row[q]:.0f}" for q in ("p50_us", "p99_us", "p999_us", "max_us")), refused, refused_us,
            f"{row['generator_share']:.2f}")


def show(words):
    print("| " + " | ".join(words) + " |", flush=True)


def verdict(row):
    codes = ", ".join(f"{STATUS.get(code, code)} {count:,}" for code, count in row["failed_by_status"].items()) or "none"
    met = "met" if row["goodput"] >= GOODPUT_BAR else "missed"
    return (f"{row['operation']}, {row['level']} at {OVERLOAD} %: goodput {row['goodput']:.2f} of capacity (worst pass "
            f"{row['goodput_worst']:.2f}), bar {GOODPUT_BAR}: {met}; refused: {codes}; "
            f"held back by the generator: {row['held_back']:,}")


def run(options, servers):
    print()
    show(("operation", "load", "calls/s due", "served", "p50 / p99 / p99.9 / max us", "refused", "p50 / p99 us of these",
          "generator, cores"))
    show(("---",) * 8)
    rows = []
    for what in [("Empty", "none"), *(("Encrypt", level) for level in LEVELS)]:
        capacity = capacity_of(servers, what, options, 20 if options.quick else 60)
        for percent in LOADS:
            rows.append(measured(servers, what, capacity, percent, options, options.rounds or (2 if options.quick else 10)))
            show(cells(rows[-1]))
        rows.append(overloaded(servers, what, options))
        show(cells(rows[-1]))
    print()
    for row in rows:
        if row["load_percent"] == OVERLOAD and row["level"] != "none":
            print(verdict(row))
    return rows
