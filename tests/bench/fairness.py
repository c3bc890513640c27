"""--fairness: what one principal feels of another that calls far beyond capacity.

The light one asks for 5 % of capacity over one connection, at random times; the heavy one for 200 % over sixteen. Alone, beside the
heavy one with the limits that kmsd has by itself, and with a rate for each principal. The last rows: a token that takes 5 ms
more, where what waits is the token's.
"""
import json
import subprocess
import time

LEVELS = ("SOFTWARE", "HSM")
HEAVY_CONNECTIONS, HEAVY_PERCENT, LIGHT_PERCENT, TICK_US = 16, 200, 5, 1000
CLOSED = (16, 16)  # what capacity is measured with
DELAY_US, WORKERS = 5000, 2


def start(servers, what, shape, rate, seconds, uri, tick_us=0):
    command = servers.load_command("mtls", shape, [what], int(seconds * 1000), 1, rate=rate, tick_us=tick_us, uri=uri)
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def end(process):
    out = process.communicate()[0]
    if process.returncode:
        raise SystemExit("kms-load failed: its words are above")
    return json.loads(out)[0]


def measured(servers, what, limits, capacity, heavy, seconds):
    """Slices last as long as they are counted, and as long again before that."""
    h = servers.harness
    crowd = None
    if heavy:
        crowd = start(servers, what, (HEAVY_CONNECTIONS, 1), capacity * HEAVY_PERCENT // 100, 2 * seconds, h.APP, TICK_US)
        time.sleep(seconds / 2)
    row = end(start(servers, what, (1, 1), max(10, capacity * LIGHT_PERCENT // 100), seconds, h.OTHER))
    crowd = end(crowd) if crowd else None
    calls = row["calls"] + row["errors"] + row["held_back"]
    told = {"level": what[1], "limits": limits, "heavy": bool(heavy), "capacity_per_s": capacity, "calls": calls,
            "failed": row["errors"], "held_back": row["held_back"], "failed_by_status": row["failed_by_status"],
            "p50_us": row["p50_us"], "p99_us": row["p99_us"],
            "max_us": row["max_us"]}
    if crowd:
        told |= {"heavy_served_per_s": crowd["calls_per_s"], "heavy_refused": crowd["shed"] / max(1, crowd["calls"] + crowd["shed"])}
    return told


def show(row):
    heavy = f"{row['heavy_served_per_s']:,.0f}, {row['heavy_refused']:.0%} refused" if row["heavy"] else "-"
    print(f"| {row['level']} | {row['limits']} | {heavy} | {row['calls']:,} | {row['failed']:,} | {row['held_back']:,} | "
          f"{row['p50_us']:,.0f} / {row['p99_us']:,.0f} / {row['max_us']:,.0f} |", flush=True)


def world(servers, name, slow=False, **limits):
    h = servers.harness
    shim = {"module": h.BUILD / "tests/harness/libpkcs11-shim.so"} if slow else {}
    service = servers.kmsd = h.Service(
        servers.home / name, audit={"segment": "64MiB"}, rpc={"threads": servers.options.threads},
        hsm={"workers": WORKERS if slow else servers.options.workers, "deadline": "20s"},
        limits={"refused_per_second": "50", **limits}, **shim)
    if slow:
        (service.dir / "shim-delay-us").write_text(f"{DELAY_US}\n")
    service.init().start()
    servers.keys, servers.ciphertexts = {}, {}
    servers.make_keys(service, "", users=(h.APP, h.OTHER))


def capacity_of(servers, what, slow):
    if slow:
        return WORKERS * 1000000 // DELAY_US
    servers.harness.wait_for(lambda: len(servers.kmsd.workers()) > 0, 60, "workers")
    return int(servers.load("mtls", CLOSED, [what], 30, 20)[0]["calls_per_s"])


def run(options, servers):
    seconds, rows = (1 if options.quick else 3), []
    print("\n| level | limits | heavy: served/s | light: calls | failed | not made, 200 in flight | its p50 / p99 / max us |"
          "\n|---|---|---|---|---|---|---|")
    for number, (level, slow) in enumerate([(level, False) for level in LEVELS] + [("HSM", True)]):
        what, words = ("Encrypt", level), "its own, token of 5 ms" if slow else "its own"
        world(servers, f"fair-{number}", slow)
        capacity = capacity_of(servers, what, slow)
        for heavy in (False, True):
            rows.append(measured(servers, what, words, capacity, heavy, seconds))
            show(rows[-1])
        servers.kmsd.stop(expect=None)
        rate = max(1, capacity // 2)
        world(servers, f"fair-rate-{number}", slow, rate_per_principal=str(rate), rate_burst=str(max(1, rate // 10)))
        words = f"rate_per_principal {rate:,}" + (", token of 5 ms" if slow else "")
        rows.append(measured(servers, what, words, capacity, True, seconds))
        show(rows[-1])
        servers.kmsd.stop(expect=None)
    return rows
