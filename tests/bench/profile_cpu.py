"""--profile FILE.svg: where the CPU time of daemon and workers goes while Encrypt is called, as a flame graph.

Needs perf (Debian: linux-perf) and the right to use it; threads stand at the bottom, the kernel is blue.
"""
import collections
import re
import subprocess

import flame

SHAPE, HERTZ = (4, 8), 499


def folded_of(text):
    """{"thread;main;...": samples} of what perf script prints: a line for the thread, one for each frame, a blank one."""
    found = collections.Counter()
    for block in text.strip().split("\n\n"):
        lines = block.splitlines()
        head = re.match(r"(\S.*?)\s+\d+", lines[0])
        if head is None:
            continue
        frames = [re.match(r"\s+[0-9a-f]+ (.*?)(?:\+0x[0-9a-f]+)? \((.*)\)$", line) for line in lines[1:]]
        names = [frame[1] + ("_[k]" if frame[2].startswith("[kernel") else "") for frame in frames if frame]
        found[";".join([head[1], *(name.replace(";", ":") for name in reversed(names))])] += 1
    return found


def run(options, servers):
    servers.start()
    data, seconds = servers.home / "perf.data", 2 if options.quick else 8
    pids = ",".join(map(str, (servers.kmsd.process.pid, *servers.kmsd.children())))
    load = subprocess.Popen(servers.load_command("mtls", SHAPE, [("Encrypt", options.profile_level)], 1000, seconds + 1),
                            stdout=subprocess.DEVNULL)
    recorded = subprocess.run(["perf", "record", "-q", "-e", "task-clock", "-F", str(HERTZ), "--call-graph", "dwarf,16384", "-p", pids,
                               "-o", data, "--", "sleep", str(seconds)], capture_output=True, text=True)
    load.wait()
    if recorded.returncode:
        raise SystemExit(f"perf record failed: {recorded.stderr.strip()}\nIt is in Debian's linux-perf, and needs root or "
                         "kernel.perf_event_paranoid below 2.")
    text = subprocess.run(["perf", "script", "-i", data, "--no-inline"], capture_output=True, text=True, check=True).stdout
    folded = folded_of(text)
    title = f"Encrypt, {options.profile_level} level, mTLS, {SHAPE[0]} x {SHAPE[1]} in flight: CPU time of kmsd and kms-hsm"
    options.profile.write_text(flame.svg(folded, title))
    total, threads = sum(folded.values()), collections.Counter()
    for stack, count in folded.items():
        threads[stack.split(";")[0]] += count
    print(f"{options.profile}: {total} samples; " + ", ".join(f"{name} {count / total:.0%}" for name, count in threads.most_common(8)))
    return [{"stack": stack, "samples": count} for stack, count in folded.most_common()]
