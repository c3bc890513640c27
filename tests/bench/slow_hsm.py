"""--slow-hsm: throughput against workers, and latency, when each call to the token takes 1, 5 or 20 ms more, as across a network.

SoftHSM behind tests/doubles/pkcs11_shim.c. A worker has one session and does one thing at a time, so the most that there can be is
workers / delay. With two calls in flight for each worker it has the next one while the answer of the last one is on its way; with one
there is no queue, so the latency is that of a call. SOFTWARE keys are driven alone and beside a token that is busy: they must not feel
it.
"""
import json
import subprocess
import time

DELAYS_MS, WORKERS = (1, 5, 20), (1, 2, 4, 8, 16)
CONNECTIONS = 4
HEAD = ("delay", "workers", "calls/s, 2 in flight a worker", "of workers / delay", "p50 / p99 ms, 1 in flight a worker",
        "SOFTWARE alone: p50 / p99 us", "beside a busy token")


def world(servers, delay_ms, workers):
    """A service that has found out that its token is slow."""
    h = servers.harness
    service = servers.kmsd = h.Service(
        servers.home / f"slow-{delay_ms}-{workers}", module=h.BUILD / "tests/harness/libpkcs11-shim.so", audit={"segment": "64MiB"},
        rpc={"threads": 1}, hsm={"workers": workers, "deadline": "10s"}, limits=servers.limits)
    service.init().start()
    servers.keys, servers.ciphertexts = {}, {}
    h.wait_for(lambda: len(service.workers()) == workers, 60, "all workers")
    servers.make_keys(service, "")
    (service.dir / "shim-delay-us").write_text(f"{delay_ms * 1000}\n")
    end = time.monotonic() + 60
    while "event=hsm.token apart=1" not in service.log_text():
        if time.monotonic() > end:
            raise SystemExit(f"nobody found that the token is slow: see {service.dir}/kmsd.log")
        drive(servers, [("Encrypt", "HSM", shape(workers, 2)), ("Encrypt", "SOFTWARE", (1, 1))], 1000)
    return service


def shape(workers, each):
    """(connections, in flight on each) for so many calls in flight for each worker."""
    connections = min(workers * each, CONNECTIONS)
    return connections, workers * each // connections


def drive(servers, whats, slice_ms):
    """Rows of generators that run at the same time, one for each (operation, level, shape)."""
    running = [subprocess.Popen(servers.load_command("mtls", how, [what], slice_ms, 1), stdout=subprocess.PIPE, text=True)
               for *what, how in whats]
    rows = [json.loads(one.communicate()[0])[0] for one in running]
    for row in rows:
        if row["errors"] or not row["calls"]:
            raise SystemExit(f"{row['errors']} calls failed, the first with gRPC status {row['first_error']}")
    return rows


def measure(servers, delay_ms, workers, slice_ms):
    (full,) = drive(servers, [("Encrypt", "HSM", shape(workers, 2))], slice_ms)
    (single,) = drive(servers, [("Encrypt", "HSM", shape(workers, 1))], slice_ms)
    (alone,) = drive(servers, [("Encrypt", "SOFTWARE", (1, 1))], slice_ms)
    _, beside = drive(servers, [("Encrypt", "HSM", shape(workers, 2)), ("Encrypt", "SOFTWARE", (1, 1))], slice_ms)
    return {"delay_ms": delay_ms, "workers": workers, "calls_per_s": full["calls_per_s"],
            "of_possible": full["calls_per_s"] * delay_ms / 1000 / workers, "single_calls_per_s": single["calls_per_s"],
            "p50_ms": single["p50_us"] / 1000, "p99_ms": single["p99_us"] / 1000,
            "alone_p50_us": alone["p50_us"], "alone_p99_us": alone["p99_us"],
            "beside_p50_us": beside["p50_us"], "beside_p99_us": beside["p99_us"]}


def line(row):
    return (f"| {row['delay_ms']} ms | {row['workers']} | {row['calls_per_s']:.0f} | {row['of_possible']:.2f} | "
            f"{row['p50_ms']:.1f} / {row['p99_ms']:.1f} | {row['alone_p50_us']:.0f} / {row['alone_p99_us']:.0f} | "
            f"{row['beside_p50_us']:.0f} / {row['beside_p99_us']:.0f} |")


def run(options, servers):
    rows = []
    print(f"\n| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|", flush=True)
    for delay_ms in DELAYS_MS[1:2] if options.quick else DELAYS_MS:
        for workers in WORKERS[:2] if options.quick else WORKERS:
            service = world(servers, delay_ms, workers)
            rows.append(measure(servers, delay_ms, workers, 1000 if options.quick else 3000))
            service.stop(expect=None)
            print(line(rows[-1]), flush=True)
    return rows
