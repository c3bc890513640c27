"""--connections: many connections over mTLS, idle ones and active ones.

Idle: what each costs in memory and time to connect, and what four busy connections do beside them, against the same four with
nobody beside them, measured just before. Active: as many connections with one call in flight each.
"""
import json
import pathlib
import subprocess
import sys

from servers import resident_mb

IDLE, QUICK_IDLE = (100, 1000, 10000), (20, 100)
ACTIVE, QUICK_ACTIVE = (4, 100, 1000), (4, 40)
BUSY = (4, 8)
WHAT = ("Encrypt", "SOFTWARE")
MORE = {"connections": "16384", "calls": "8192", "grpc_memory": "1GiB"}  # limits


class Idle:
    """So many connections that do nothing, held by a generator of their own."""

    def __init__(self, servers, count):
        command = servers.load_command("mtls", (count, 1), [WHAT], 30, 1)
        command.insert(1, "--hold")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{count} connections could not be made: the words of kms-load are above")
        self.told = json.loads(line)

    def end(self):
        self.process.stdin.close()
        if self.process.wait(60):
            sys.exit("an idle connection was lost: the words of kms-load are above")


def busy(servers, options, shape=BUSY):
    row = servers.load("mtls", shape, [WHAT], options.slice_ms, options.rounds or (20 if options.quick else 100))[0]
    if row["errors"] or not row["calls"]:
        sys.exit(f"{row['errors']} calls failed, the first with gRPC status {row['first_error']}")
    return row


def idle_row(servers, options, count):
    service = servers.kmsd
    before, empty_mb = busy(servers, options), resident_mb(service.process.pid)
    idle = Idle(servers, count)
    resident, files = resident_mb(service.process.pid), open_files(service)
    beside = busy(servers, options)
    idle.end()
    servers.harness.wait_for(lambda: open_files(service) < files - count * 0.9, 60, "the connections to be gone")
    return {"kind": "idle", "connections": count, "connect_s": idle.told["connect_s"], "connect_p50_us": idle.told["connect_p50_us"],
            "connect_p99_us": idle.told["connect_p99_us"], "resident_mb": resident, "kb_each": (resident - empty_mb) * 1024 / count,
            "calls_per_s": beside["calls_per_s"], "p99_us": beside["p99_us"], "server_cpu_us": beside["server_cpu_us"],
            "of_none": beside["calls_per_s"] / before["calls_per_s"], "cpu_of_none": beside["server_cpu_us"] / before["server_cpu_us"]}


def open_files(service):
    return len(list(pathlib.Path(f"/proc/{service.process.pid}/fd").iterdir()))


def run(options, servers):
    servers.limits = {**servers.limits, **MORE}
    service = servers.kmsd = servers.service(servers.home / "crowd", "crowd", {})
    service.init().start()
    servers.keys, servers.ciphertexts = {}, {}
    servers.make_keys(service, "")
    rows = []
    print("\n| idle connections | to connect all | p50 / p99 us of one | resident | each | calls/s of 4 busy ones | of alone | "
          "CPU of alone | p99 us |\n|---|---|---|---|---|---|---|---|---|")
    for count in QUICK_IDLE if options.quick else IDLE:
        rows.append(row := idle_row(servers, options, count))
        print(f"| {count:,} | {row['connect_s']:.2f} s | {row['connect_p50_us']:.0f} / {row['connect_p99_us']:.0f} | "
              f"{row['resident_mb']:.0f} MB | {row['kb_each']:.0f} KB | {row['calls_per_s']:,.0f} | {row['of_none']:.2f} | "
              f"{row['cpu_of_none']:.2f} | {row['p99_us']:.0f} |", flush=True)
    print("\n| active connections, 1 call in flight each | calls/s | p50 / p99 / max us | server CPU us/call | failed |\n"
          "|---|---|---|---|---|")
    for count in QUICK_ACTIVE if options.quick else ACTIVE:
        row = {"kind": "active", "connections": count, **busy(servers, options, (count, 1))}
        rows.append(row)
        print(f"| {count:,} | {row['calls_per_s']:,.0f} | {row['p50_us']:.0f} / {row['p99_us']:.0f} / {row['max_us']:.0f} | "
              f"{row['server_cpu_us']:.1f} | {row['errors']} |", flush=True)
    return rows
