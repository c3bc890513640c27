"""--stations: where the time of calls goes, from kmsd's own histogram (kmsd_station_seconds): mean and share of each."""
import json

from servers import LEVELS

SHAPES = [(1, 1), (4, 8)]
OPERATIONS = ("Encrypt", "Decrypt", "GenerateDataKey")


def snapshot(servers):
    """{station: (calls, ns)}"""
    told = json.loads(servers.kmsctl(servers.kmsd, servers.harness.ADMIN, "metrics", "--output", "json"))
    samples = next(metric["samples"] for metric in told if metric["name"] == "kmsd_station_seconds")
    return {sample["labels"]["station"]: (sample["value"], sample["times"]["sum_ns"]) for sample in samples}


def between(before, after):
    """{station: mean us} over the calls that were at "hsm"; what the two calls that asked did is left out with their stations."""
    calls = after["hsm"][0] - before["hsm"][0]
    found = {}
    for station, (count, ns) in after.items():
        if count - before[station][0] >= calls > 0:
            found[station] = (ns - before[station][1]) / 1e3 / calls
    return calls, found


def shares(before, after):
    """A line: what part of the time of the calls between two snapshots each station had."""
    calls, means = between(before, after)
    total = sum(means.values()) or 1
    return f"where kmsd's {calls:,} calls spent their time: " + ", ".join(f"{name} {us / total:.0%}" for name, us in means.items())


def run(options, servers):
    servers.start()
    rows = []
    for shape in SHAPES[1:] if options.quick else SHAPES:
        for operation in OPERATIONS[:1] if options.quick else OPERATIONS:
            for level in LEVELS:
                before = snapshot(servers)
                servers.load("mtls", shape, [(operation, level)], options.slice_ms, options.rounds or 60)
                calls, means = between(before, snapshot(servers))
                rows.append({"operation": operation, "level": level, "connections": shape[0], "in_flight": shape[1], "calls": calls,
                             "mean_us": means, "share": {name: us / sum(means.values()) for name, us in means.items()}})
    names = list(rows[0]["mean_us"])
    print("\nmean us at each station, and its share of the time\n" + f"{'operation, level, in flight':38}"
          + "".join(f"{name:>13}" for name in names))
    for row in rows:
        what = f"{row['operation']}, {row['level']}, {row['connections']} x {row['in_flight']}"
        print(f"{what:38}" + "".join(f"{row['mean_us'][name]:7.1f} {row['share'][name]:4.0%} " for name in names))
    return rows
