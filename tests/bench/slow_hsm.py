"""--slow-hsm: throughput against workers when each use of a key on the token takes 1, 5 or 20 ms more, as across a network.

SoftHSM behind tests/doubles/pkcs11_shim.c. A worker has one session and does one thing at a time, so the most that there can be is
workers / delay. SOFTWARE keys, driven at the same time as the slow token, must not feel it.
"""
import json
import subprocess

DELAYS_MS, WORKERS = (1, 5, 20), (1, 2, 4, 8)
CONNECTIONS = 4


def world(servers, delay_ms, workers):
    service = servers.harness.Service(
        servers.home / f"slow-{delay_ms}-{workers}", module=servers.harness.BUILD / "tests/harness/libpkcs11-shim.so",
        audit={"segment": "64MiB"}, rpc={"threads": 1}, hsm={"workers": workers, "deadline": "10s"}, limits=servers.limits)
    (service.dir / "shim-delay-us").write_text(f"{delay_ms * 1000}\n")
    return service


def drive(servers, whats, seconds):
    """Rows of generators that run at the same time, one for each (operation, level, in flight on each connection)."""
    running = [subprocess.Popen(servers.load_command("mtls", (CONNECTIONS, in_flight), [what], 1000, seconds), stdout=subprocess.PIPE,
                                text=True) for *what, in_flight in whats]
    rows = [json.loads(one.communicate()[0])[0] for one in running]
    for row in rows:
        if row["errors"] or not row["calls"]:
            raise SystemExit(f"{row['errors']} calls failed, the first with gRPC status {row['first_error']}")
    return rows


def run(options, servers):
    rows, seconds = [], 1 if options.quick else 2
    print(f"\n{'delay':>8}{'workers':>9}{'calls/s':>9}{'of workers / delay':>20}{'p50 ms':>8}{'p99 ms':>8}   "
          "SOFTWARE beside it: p50 us, p99 us")
    for delay_ms in DELAYS_MS[1:2] if options.quick else DELAYS_MS:
        for workers in WORKERS[:2] if options.quick else WORKERS:
            service = servers.kmsd = world(servers, delay_ms, workers)
            service.init().start()
            servers.keys, servers.ciphertexts = {}, {}
            servers.harness.wait_for(lambda: len(service.workers()) == workers, 60, "all workers")  # noqa: B023
            servers.make_keys(service, "")
            in_flight = max(1, workers // CONNECTIONS)
            (alone,) = drive(servers, [("Encrypt", "HSM", in_flight)], seconds)
            _, beside = drive(servers, [("Encrypt", "HSM", in_flight), ("Encrypt", "SOFTWARE", 1)], seconds)
            service.stop(expect=None)
            row = {"delay_ms": delay_ms, "workers": workers, "in_flight": in_flight * CONNECTIONS,
                   "calls_per_s": alone["calls_per_s"], "of_possible": alone["calls_per_s"] * delay_ms / 1000 / workers,
                   "p50_ms": alone["p50_us"] / 1000, "p99_ms": alone["p99_us"] / 1000, "software_p50_us": beside["p50_us"],
                   "software_p99_us": beside["p99_us"]}
            rows.append(row)
            print(f"{delay_ms:5} ms{workers:9}{row['calls_per_s']:9.0f}{row['of_possible']:20.2f}{row['p50_ms']:8.1f}"
                  f"{row['p99_ms']:8.1f}   {row['software_p50_us']:.0f}, {row['software_p99_us']:.0f}", flush=True)
    return rows
