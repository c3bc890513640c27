"""--footprint: what kmsd takes when nobody calls, how soon it serves, how large its programs are and what they are linked with."""
import os
import pathlib
import re
import statistics
import subprocess
import time

RSS_BAR_MB, START_BAR_S = 60, 0.5
PROGRAMS = ("kmsd", "kms-hsm", "kmsctl", "kms-env")


def memory_kb(pid):
    """(name, resident, proportional) of a process."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    return name, *(int(re.search(rf"^{what}: +(\d+) kB", text, re.M)[1]) for what in ("Rss", "Pss"))


def start_seconds(service):
    """From starting the program to the word that it serves."""
    begun = time.monotonic()
    with subprocess.Popen([str(service.harness_bin / "kmsd"), "--config", str(service.config)], env=service.environment,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        for line in process.stderr:
            if "event=ready" in line:
                break
        else:
            raise SystemExit("kmsd did not start")
        took = time.monotonic() - begun
        process.terminate()
        process.communicate()
    return took


def said(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def libraries(path):
    return sorted(re.findall(r"^\s*(\S+?)\.so[.\d]* => ", said("ldd", path), re.M))


def print_programs(build):
    rows = []
    for name in PROGRAMS:
        path = build / "bin" / name
        if not path.exists():
            continue
        needed = re.findall(r"NEEDED +(\S+)", said("objdump", "-p", path))
        sections = said("size", path).splitlines()[1].split()
        rows.append({"program": name, "loaded_bytes": int(sections[3]), "needs": needed, "libraries": len(libraries(path))})
        print(f"{name:10}{int(sections[3]) / 1024:9.0f} KiB of code and data; {rows[-1]['libraries']} libraries in all, itself "
              f"linked with {', '.join(needed)}")
    return rows


def run(options, servers):
    kmsd = servers.kmsd.init()
    kmsd.harness_bin = servers.harness.BIN
    starts = [start_seconds(kmsd) for _ in range(3 if options.quick else 9)]
    kmsd.start()
    servers.harness.wait_for(lambda: len(kmsd.workers()) == (options.workers or os.cpu_count()), 60, "all workers")
    time.sleep(1)
    processes = [memory_kb(pid) for pid in (kmsd.process.pid, *kmsd.children())]
    rss, pss = (sum(process[i] for process in processes) / 1024 for i in (1, 2))
    print(f"\n{'idle':10}{'resident MB':>12}{'share MB':>10}   (share: pages that n processes have count 1/n)")
    for name, one_rss, one_pss in processes:
        print(f"{name:10}{one_rss / 1024:12.1f}{one_pss / 1024:10.1f}")
    print(f"{'all':10}{rss:12.1f}{pss:10.1f}   bar {RSS_BAR_MB}: {'met' if rss <= RSS_BAR_MB else 'missed'}")
    took = statistics.median(starts)
    print(f"\nstart to serving, token initialised: {took:.2f} s (best {min(starts):.2f}, worst {max(starts):.2f} of {len(starts)}), "
          f"bar {START_BAR_S}: {'met' if took <= START_BAR_S else 'missed'}\n")
    rows = print_programs(servers.harness.BUILD)
    return [{"resident_mb": rss, "proportional_mb": pss, "start_s": took, "starts_s": starts}, *rows]
