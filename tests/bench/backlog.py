"""--backlog: how fast many audit records are caught up with: by a shipper that was away, and by a start after kill -9.

kmsd serves Encrypt with a shipper configured (audit.stream) that nobody plays, and a usage ledger that is not stored meanwhile. Then a
receiver appears and gets what it missed; then kmsd is killed, and its next start counts all of it behind the last checkpoint.
"""
import re
import socket
import threading
import time

from scale import timed

RECORDS, QUICK_RECORDS = (100000, 1000000), (2000,)
BAR = 100000  # records/s
SHAPE = (4, 64)


class Receiver:
    """Counts lines from the first connection on; how long the wanted ones took."""

    def __init__(self, path, wanted):
        self.wanted, self.lines, self.seconds, self.bytes = wanted, 0, 0.0, 0
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen()
        self.thread = threading.Thread(target=self.take)
        self.thread.start()

    def take(self):
        connection, _ = self.listener.accept()
        begun, room = time.monotonic(), bytearray(1 << 20)
        with connection, self.listener:
            while self.lines < self.wanted and (got := connection.recv_into(room)):
                self.lines += room.count(b"\n", 0, got)
                self.bytes += got
            self.seconds = time.monotonic() - begun

    def result(self):
        self.thread.join(600)
        if self.lines < self.wanted:
            raise SystemExit(f"the shipper sent {self.lines} of {self.wanted} records")
        return {"shipped_per_s": self.lines / self.seconds, "shipped_bytes_per_s": self.bytes / self.seconds}


def counted(service, offset):
    """What the daemon says about its start."""
    told = re.findall(r"event=usage records=(\d+) ms=(\d+)", service.log_text(offset))
    if not told:
        raise SystemExit("the start counted nothing behind the checkpoint")
    records, ms = map(int, told[-1])
    return {"tail_records": records, "tail_ms": ms, "tail_per_s": records / max(ms, 1) * 1000}


def measured(servers, number, records):
    path = f"{servers.sockets}/receiver-{number}"
    service = servers.kmsd = servers.service(servers.home / f"backlog-{number}", f"backlog-{number}", {"stream": path},
                                             jobs={"usage_checkpoint": "1h"})
    service.init().start()
    servers.keys, servers.ciphertexts = {}, {}
    servers.make_keys(service, "")
    servers.load("mtls", SHAPE, [("Encrypt", "SOFTWARE")], 1000, 1, calls=records)
    shipped = Receiver(path, records).result()
    service.kill()
    offset = (service.dir / "kmsd.log").stat().st_size
    start_s, _ = timed(service.start)
    row = {"records": records, **shipped, **counted(service, offset), "start_s": start_s}
    service.stop(expect=None)
    return row


def run(options, servers):
    print("\n| records | shipper catches up, records/s | MB/s | counted at start, records/s | start after kill -9 |\n"
          "|---|---|---|---|---|")
    rows = []
    for number, records in enumerate(QUICK_RECORDS if options.quick else RECORDS):
        row = measured(servers, number, records)
        rows.append(row)
        print(f"| {row['records']:,} | {row['shipped_per_s']:,.0f} | {row['shipped_bytes_per_s'] / 1e6:.0f} | "
              f"{row['tail_per_s']:,.0f} | {row['start_s']:.2f} s |", flush=True)
    last = rows[-1]
    print()
    for what, name in (("a shipper that was away", "shipped_per_s"), ("a start after kill -9", "tail_per_s")):
        print(f"backlog of {last['records']:,} records, {what}: {last[name]:,.0f} records/s, bar {BAR:,}: "
              f"{'met' if last[name] >= BAR else 'missed'}")
    return rows
