"""--scale: many keys in SQLite: start, memory, DescribeKey, ListKeys page by page, Encrypt with random keys against one.

Keys are made through the API, so this takes long: 100,000 some minutes. Calls are made by a client in Python, the same for all rows:
compare rows, not figures.
"""
import concurrent.futures
import pathlib
import random
import re
import statistics
import time

SIZES, QUICK_SIZES = (1000, 10000, 100000), (100, 1000)
IN_FLIGHT, PAGE = 32, 1000


def all_of(client, method, requests):
    """Replies to all, so many at a time."""
    replies, waiting = [], set()
    for request in requests:
        if len(waiting) == IN_FLIGHT:
            done, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
            replies += [one.result() for one in done]
        waiting.add(Started(client.start(method, **request)))
    return replies + [one.result() for one in concurrent.futures.as_completed(waiting)]


class Started(concurrent.futures.Future):
    """grpcio's future as one that can be waited for together with others."""

    def __init__(self, call):
        super().__init__()
        self.call = call  # grpcio cancels a call that nobody refers to
        call.add_done_callback(self.end)

    def end(self, call):
        if call.exception() is not None:
            self.set_exception(call.exception())
        else:
            self.set_result(call.result())


def timed(work):
    begun = time.monotonic()
    result = work()
    return time.monotonic() - begun, result


def listed(client):
    ids, marker, times = [], "", []
    while True:
        took, page = timed(lambda: client.ListKeys(limit=PAGE, marker=marker))  # noqa: B023
        times.append(took)
        ids += [key.key_id for key in page.keys]
        if not page.truncated:
            return ids, times
        marker = page.next_marker


def resident_mb(service):
    text = pathlib.Path(f"/proc/{service.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def checkpoints(client):
    return sum(sample.value for metric in client.GetMetrics().metrics if metric.name == "kmsd_acts_total" for sample in metric.samples
               if sample.labels["act"] == "CheckpointUsage" and sample.labels["outcome"] == "OK")


def measured(service, harness, options):
    with service.client(harness.ADMIN) as admin, service.client(harness.APP) as app:
        stored = checkpoints(admin)
        app.Encrypt(key_id=admin.ListKeys(limit=1).keys[0].key_id, plaintext=b"x")
        harness.wait_for(lambda: checkpoints(admin) > stored, 120, "the usage ledger to be stored: what follows is the tail at start")
    service.stop(expect=None)
    start_s, _ = timed(service.start)
    idle_mb = resident_mb(service)
    with service.client(harness.ADMIN) as admin, service.client(harness.APP) as app:
        ids, pages = listed(admin)
        some = random.Random(1).choices(ids, k=200 if options.quick else 2000)
        describe_s, _ = timed(lambda: all_of(admin, "DescribeKey", ({"key_id": key} for key in some)))

        def encrypt(keys):
            return len(keys) / timed(lambda: all_of(app, "Encrypt", ({"key_id": key, "plaintext": b"x" * 32} for key in keys)))[0]

        encrypt(some[:1] * 200)
        one, many = encrypt(some[:1] * len(some)), encrypt(some)
    return {"keys": len(ids), "start_s": start_s, "resident_mb": idle_mb, "page_ms": statistics.mean(pages) * 1000,
            "last_page_ms": pages[-1] * 1000, "list_s": sum(pages), "describe_us": describe_s / len(some) * 1e6,
            "one_key_per_s": one, "random_key_per_s": many, "random_of_one": many / one}


def run(options, servers):
    harness = servers.harness
    service = servers.kmsd = servers.service(servers.home / "many", "many", {}, jobs={"usage_checkpoint": "10s"})
    (servers.home / "protos").mkdir()
    harness.protos(servers.home / "protos")
    service.init().start()
    rows, count = [], 0
    policy = harness.key_policy()
    print(f"\n{'keys':>8}{'start s':>9}{'resident MB':>13}{'page ms':>9}{'last ms':>9}{'list s':>8}{'describe us':>13}"
          f"{'one key/s':>11}{'random/s':>10}{'ratio':>7}")
    for size in QUICK_SIZES if options.quick else SIZES:
        with service.client(harness.ADMIN) as admin:
            all_of(admin, "CreateKey", ({"policy": policy, "protection_level": 2} for _ in range(size - count)))
        count = size
        row = measured(service, harness, options)
        rows.append(row)
        print(f"{row['keys']:8}{row['start_s']:9.2f}{row['resident_mb']:13.1f}{row['page_ms']:9.1f}{row['last_page_ms']:9.1f}"
              f"{row['list_s']:8.2f}{row['describe_us']:13.0f}{row['one_key_per_s']:11.0f}{row['random_key_per_s']:10.0f}"
              f"{row['random_of_one']:7.2f}", flush=True)
    return rows
