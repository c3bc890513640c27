"""--scale: many keys in SQLite: start, memory, lists page by page, DescribeKey, Encrypt with random keys against one.

Keys and aliases are put into the keystore by kms-fill while kmsd is stopped. kms-load makes the calls, 32 in flight on mTLS.
"""
import json
import subprocess
import time

from servers import resident_mb

SIZES, QUICK_SIZES = (1000, 10000, 100000, 1000000), (500, 2000)
PAGE, STARTS, ALIASES = 1000, 3, 0.1  # an alias for every tenth key
SHAPE = ("--connections", "4", "--in-flight", "8")
RESIDENT_MB, START_S, RANDOM_OF_ONE = (600, 200), (5, 1), 0.5  # bars of a million keys, and beyond
COLUMNS = [("keys", "keys", ",d"), ("aliases", "aliases", ",d"), ("start_s", "start s", ".2f"), ("us_per_key", "us a key", ".1f"),
           ("resident_mb", "resident MB", ".0f"), ("bytes_per_key", "bytes a key", ",.0f"), ("page_ms", "page of ListKeys ms", ".1f"),
           ("last_page_ms", "the last", ".1f"), ("list_s", "all s", ".2f"), ("alias_page_ms", "page of ListAliases ms", ".1f"),
           ("describe_per_s", "DescribeKey/s", ",.0f"), ("one_per_s", "Encrypt/s, one key", ",.0f"),
           ("random_per_s", "random keys", ",.0f"), ("random_of_one", "ratio", ".2f"), ("alias_per_s", "random aliases", ",.0f")]


def timed(work):
    begun = time.monotonic()
    result = work()
    return time.monotonic() - begun, result


def listed(client, method, field, name):
    """Names of all, and how long each page took."""
    names, marker, times = [], "", []
    while True:
        took, page = timed(lambda: getattr(client, method)(limit=PAGE, marker=marker))  # noqa: B023
        times.append(took)
        names += [getattr(item, name) for item in getattr(page, field)]
        if not page.truncated:
            return names, times
        marker = page.next_marker


def checkpoints(client):
    return sum(sample.value for metric in client.GetMetrics().metrics if metric.name == "kmsd_acts_total" for sample in metric.samples
               if sample.labels["act"] == "CheckpointUsage" and sample.labels["outcome"] == "OK")


class Scale:
    def __init__(self, options, servers):
        self.options, self.harness, self.keys, self.aliases = options, servers.harness, 0, 0
        self.service = servers.kmsd = servers.service(servers.home / "many", "many", {}, jobs={"usage_checkpoint": "1s"})
        (servers.home / "protos").mkdir()
        self.harness.protos(servers.home / "protos")
        self.policy = self.service.dir / "policy.json"
        self.policy.write_text(self.harness.key_policy())
        self.service.init()

    def fill(self, keys, aliases):
        subprocess.run([self.harness.BUILD / "bench/kms-fill", self.service.config, str(keys - self.keys), str(aliases - self.aliases),
                        str(self.aliases), self.policy, self.harness.ADMIN], check=True, env=self.service.environment)
        self.keys, self.aliases = keys, aliases

    def started(self):
        """Seconds of the fastest start, which others on this machine disturbed least, and what is resident then."""
        times = []
        for _ in range(1 if self.options.quick else STARTS):
            self.service.stop(expect=None)
            times.append(timed(self.service.start)[0])
        return min(times), resident_mb(self.service.process.pid)

    def load(self, uri, *targets):
        """Calls/s of each (operation, words), driven in turn."""
        service, certs = self.service, self.service.certs
        name = certs.dir / certs.client(uri)
        slices = (2, 50) if self.options.quick else (20, 150)
        words = [self.harness.BUILD / "bench/kms-load", *SHAPE, "--rounds", slices[0], "--slice-ms", slices[1], "--ca",
                 certs.dir / "ca.pem", "--cert", f"{name}.pem", "--key", f"{name}.key"]
        pids = "+".join(map(str, [service.process.pid, *service.children()]))
        for number, (operation, key) in enumerate(targets):
            words.append(f"name={number},operation={operation},address=tls:127.0.0.1:{service.port},pids={pids},{key}")
        rows = json.loads(subprocess.run([str(word) for word in words], check=True, stdout=subprocess.PIPE, text=True).stdout)
        for row, (operation, _) in zip(rows, targets):
            if row["errors"] or not row["calls"]:
                raise SystemExit(f"{operation}: {row['errors']} calls failed, the first with gRPC status {row['first_error']}")
        return [row["calls_per_s"] for row in rows]

    def file_of(self, name, lines):
        path = self.service.dir / name
        path.write_text("".join(line + "\n" for line in lines))
        return f"keys={path}"

    def end(self, client):
        """Stops when the ledger is stored, so that the next start does not read the tail of this load."""
        stored = checkpoints(client)
        self.harness.wait_for(lambda: checkpoints(client) > stored, 120, "the usage ledger to be stored")

    def measured(self):
        start_s, idle_mb = self.started()
        h = self.harness
        with self.service.client(h.ADMIN) as admin:
            ids, pages = listed(admin, "ListKeys", "keys", "key_id")
            names, alias_pages = listed(admin, "ListAliases", "aliases", "alias_name")
            keys, aliases = self.file_of("ids", ids), self.file_of("aliases", names)
            (describe,) = self.load(h.ADMIN, ("DescribeKey", keys))
            one, many, alias = self.load(h.APP, ("Encrypt", f"key={ids[0]}"), ("Encrypt", keys), ("Encrypt", aliases))
            self.end(admin)
        return {"keys": len(ids), "aliases": len(names), "start_s": start_s, "resident_mb": idle_mb,
                "page_ms": pages[0] * 1000, "last_page_ms": pages[-1] * 1000, "list_s": sum(pages),
                "alias_page_ms": sum(alias_pages) / len(alias_pages) * 1000, "describe_per_s": describe, "one_per_s": one,
                "random_per_s": many, "random_of_one": many / one, "alias_per_s": alias}


def markdown(rows):
    lines = ["| " + " | ".join(title for _, title, _ in COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(format(row[name], form) for name, _, form in COLUMNS) + " |" for row in rows]
    return "\n".join(lines)


def show_bars(row):
    for what, measured, bar, beyond in (("start, s", row["start_s"], *START_S), ("resident, MB", row["resident_mb"], *RESIDENT_MB)):
        print(f"{row['keys']:,} keys: {what}: {measured:.2f}, bar {bar}, beyond {beyond}: {'met' if measured <= bar else 'missed'}")
    ratio = row["random_of_one"]
    print(f"{row['keys']:,} keys: Encrypt with random keys, of one key's: {ratio:.2f}, bar {RANDOM_OF_ONE}: "
          f"{'met' if ratio >= RANDOM_OF_ONE else 'missed'}")


def run(options, servers):
    scale, rows = Scale(options, servers), []
    scale.service.start()
    empty_mb = resident_mb(scale.service.process.pid)
    start_s, _ = scale.started()
    for size in QUICK_SIZES if options.quick else SIZES:
        scale.service.stop(expect=None)
        fill_s, _ = timed(lambda: scale.fill(size, int(size * ALIASES)))  # noqa: B023
        row = {**scale.measured(), "fill_s": fill_s}
        row["us_per_key"] = (row["start_s"] - start_s) / size * 1e6
        row["bytes_per_key"] = (row["resident_mb"] - empty_mb) * 1024 * 1024 / size
        rows.append(row)
        print(f"{size:,} keys: filled in {fill_s:.0f} s, start {row['start_s']:.2f} s, {row['resident_mb']:.0f} MB", flush=True)
    print(f"without keys: start {start_s:.2f} s, {empty_mb:.0f} MB\n\n{markdown(rows)}\n")
    show_bars(rows[-1])
    return rows
