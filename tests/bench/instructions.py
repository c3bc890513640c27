"""--callgrind: how many instructions a call costs in the daemon, all threads, and in whose code.

Valgrind counts them, so the figure is the same however busy the machine is; but its threads run one at a time, so what depends on
who waits for whom (wake-ups, how many records a commit has) is not as in life, and the kernel's instructions are not counted. Workers
are not counted: they are programs of their own. Each figure is the difference between two numbers of calls on a connection, so that
start and handshake are not in it.
"""
import collections
import re
import subprocess

from servers import LEVELS

OPERATIONS = ("Encrypt", "Decrypt", "GenerateDataKey")
VALGRIND = ["valgrind", "--tool=callgrind", "--quiet"]


def control(pid, word):
    done = subprocess.run(["callgrind_control", word, str(pid)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"callgrind_control {word}: {done.stderr or done.stdout}")


def costs_of(path):
    """{object: instructions} of a file that callgrind wrote: each line of cost belongs to the object named before."""
    names, found, where, skip = {}, collections.Counter(), None, False
    for line in path.read_text().splitlines():
        name = re.match(r"ob=\((\d+)\)(?: (.*))?", line)
        if name:
            where = names.setdefault(name[1], name[2])
        elif line.startswith("cob=") and " " in line:
            number, text = re.match(r"cob=\((\d+)\) (.*)", line).groups()
            names.setdefault(number, text)
        elif line.startswith("calls="):
            skip = True  # the next line is what the callee did
        elif re.match(r"[+\-*\d]", line):
            if not skip:
                found[where] += int(line.split()[1])
            skip = False
    return found


def counted(folder, pid, drive):
    """What the process did during drive()."""
    control(pid, "--zero")
    drive()
    before = set(folder.glob("callgrind.out*"))
    control(pid, "--dump")
    (path,) = set(folder.glob("callgrind.out*")) - before
    return costs_of(path)


def per_call(folder, servers, pid, what, calls):
    def drive(number):
        command = servers.load_command("mtls", (1, 8), [what], 0, 0)
        at = command.index("--slice-ms")
        command[at:at + 4] = ["--calls", str(number)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

    drive(calls // 4)
    few, many = (counted(folder, pid, lambda number=number: drive(number)) for number in (calls // 4, calls + calls // 4))
    return {name: (many[name] - few[name]) / calls for name in many}


def short(name):
    return re.sub(r"\.so.*", "", (name or "?").rsplit("/", 1)[-1])


def run(options, servers):
    folder = servers.home / "callgrind"
    folder.mkdir()
    servers.wrapper = [*VALGRIND, f"--callgrind-out-file={folder}/callgrind.out"]
    servers.start(empty_wrapper=[*VALGRIND, f"--callgrind-out-file={folder}/callgrind.out.empty"])
    calls, rows = 400 if options.quick else 4000, []
    whats = [("Empty", "none")] + [(operation, level) for operation in (OPERATIONS[:1] if options.quick else OPERATIONS)
                                   for level in LEVELS]
    for what in whats:
        pid = servers.empty.pid if what[1] == "none" else servers.kmsd.process.pid
        costs = collections.Counter()
        for name, cost in per_call(folder, servers, pid, what, calls).items():
            costs[short(name)] += cost
        total = sum(costs.values())
        rows.append({"operation": what[0], "level": what[1], "instructions": total, "of": dict(costs.most_common(8))})
        ratio = total / rows[0]["instructions"]
        words = ", ".join(f"{name} {cost / 1000:.1f}" for name, cost in costs.most_common(6))
        print(f"{what[0]:16}{what[1]:10}{total:10,.0f} instructions a call, {ratio:5.2f} of an empty RPC; thousands: {words}",
              flush=True)
    return rows
