"""kmsd with a key of each level, the empty server beside it, and what kms-load has to know of them."""
import json
import pathlib
import shutil
import subprocess
import sys

LEVELS = ("SOFTWARE", "HSM")
# of a level, with --audit: commits that do not wait for the disk, and no log at all (kmsd-no-audit)
OS, OFF = ", os", ", log off"
LIMITS = {"in_flight_per_principal": "65536", "grpc_memory": "256MiB", "batches": "64"}  # raised: not what is measured


def resident_mb(*pids):
    """Of these processes together; pages that they share count in each."""
    found = 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as file:
            found += int(next(line.split()[1] for line in file if line.startswith("VmRSS")))
    return found / 1024


class Servers:
    """kmsd with a key of each level, and the empty server; both on mTLS and on a Unix socket, with the same certificates."""

    def __init__(self, options, home, sockets):
        import harness
        self.harness, self.sockets = harness, sockets
        harness.BUILD = options.build.resolve()
        harness.BIN = harness.BUILD / "bin"
        self.options, self.home = options, home
        # Overload meets the limits that kmsd has by itself.
        self.limits = {"refused_per_second": "50"} if options.open_loop else LIMITS
        self.kmsd = self.service(home, "kmsd", {})
        self.others = {}  # by what follows the level
        self.empty, self.threads = None, options.threads
        self.wrapper = ()  # what kmsd is started by

    def service(self, home, name, audit, **options):
        door = f"  unix:\n    - path: {self.sockets}/{name}\n      mode: \"0600\"\n      principal: {self.harness.APP}"
        return self.harness.Service(home, unix=door, audit={"segment": "64MiB", **audit}, rpc={"threads": self.options.threads},
                                    hsm={"workers": self.options.workers},
                                    limits=self.limits, **options)

    def start(self, empty_wrapper=()):
        self.kmsd.init().start(wrapper=self.wrapper)
        self.start_empty(empty_wrapper)
        self.keys, self.ciphertexts = {}, {}
        self.make_keys(self.kmsd, "")
        return self

    def start_others(self):
        """They have the same certificates, so that kms-load needs only one."""
        off = self.harness.BUILD / "bench/kmsd-no-audit"
        self.others = {OS: self.service(self.home / "os", "os", {"durability": "os"}),
                       OFF: self.service(self.home / "off", "off", {}, program=off)}
        for suffix, service in self.others.items():
            self.start_beside(service)
            self.make_keys(service, suffix)

    def start_beside(self, service):
        shutil.rmtree(service.dir / "certs")
        shutil.copytree(self.kmsd.dir / "certs", service.dir / "certs")
        service.certs = self.kmsd.certs
        service.init().start(wrapper=self.wrapper)

    def start_build(self, suffix, build):
        """The programs of another build, beside those of the first."""
        first = self.harness.BIN
        self.harness.BIN = build.resolve() / "bin"
        try:
            self.others[suffix] = self.service(self.home / "other", "other", {})
            self.start_beside(self.others[suffix])
        finally:
            self.harness.BIN = first
        self.make_keys(self.others[suffix], suffix)

    def make_keys(self, service, suffix, users=()):
        users = [word for user in users or (self.harness.APP,) for word in ("--user", user)]
        for level in LEVELS:
            created = self.kmsctl(service, self.harness.ADMIN, "key", "create", "--protection", level.lower(), "--output", "json",
                                  "--admin", self.harness.ADMIN, *users)
            key = self.keys[level + suffix] = json.loads(created)["key_id"]
            plain = service.dir / "plaintext"
            plain.write_bytes(bytes(range(32)))
            text = self.kmsctl(service, self.harness.APP, "encrypt", "--key", key, "--context", "tenant=t-0001", "--in", plain,
                               "--base64")
            self.ciphertexts[level + suffix] = text.strip().removeprefix("kms:v1:")

    def make_secrets(self):
        """One for each level of the key that seals it. Who writes uses that key, so somebody else administers it."""
        self.secrets, h = {}, self.harness
        policy, value = self.kmsd.dir / "secret-policy.json", self.kmsd.dir / "value"
        policy.write_text(h.secret_policy())
        value.write_bytes(b"v" * 64)
        for level in LEVELS:
            created = self.kmsctl(self.kmsd, h.ADMIN2, "key", "create", "--protection", level.lower(), "--output", "json", "--admin",
                                  h.ADMIN2, "--user", h.ADMIN, "--user", h.APP)
            self.secrets[level] = f"bench/{level.lower()}"
            self.kmsctl(self.kmsd, h.ADMIN, "secret", "create", "--key", json.loads(created)["key_id"], "--policy", policy, "--in",
                        value, self.secrets[level])

    def start_empty(self, wrapper):
        certs = self.kmsd.certs.dir
        self.empty = subprocess.Popen(
            [*wrapper, self.harness.BUILD / "bench/kmsd-empty", "--listen", "127.0.0.1:0", "--unix", f"{self.sockets}/empty",
             "--threads",
             str(self.threads), "--certificate", certs / "server.pem", "--key", certs / "server.key", "--client-ca", certs / "ca.pem"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.empty_port = int(self.empty.stdout.readline().split("port=")[1].split()[0])

    def kmsctl(self, service, uri, *words):
        name = self.kmsd.certs.dir / self.kmsd.certs.client(uri)
        return self.harness.run(self.harness.BIN / "kmsctl", "--endpoint", f"127.0.0.1:{service.port}", "--ca",
                                self.kmsd.certs.dir / "ca.pem", "--cert", f"{name}.pem", "--key-file", f"{name}.key", *words).stdout

    def target(self, number, transport, operation, level, more=()):
        """The words that tell kms-load what to call and whose CPU time to count; more: others, or other values."""
        empty = level == "none"
        kmsd = next((other for suffix, other in self.others.items() if level.endswith(suffix)), self.kmsd)
        door = "kmsd" if kmsd is self.kmsd else kmsd.dir.name
        port = self.empty_port if empty else kmsd.port
        address = f"tls:127.0.0.1:{port}" if transport == "mtls" else f"unix:{self.sockets}/{'empty' if empty else door}"
        pids = [self.empty.pid] if empty else [kmsd.process.pid, *kmsd.children()]
        words = {"name": number, "operation": "Encrypt" if empty else operation, "address": address, "pids": "+".join(map(str, pids)),
                 "key": self.keys["SOFTWARE" if empty else level]}
        if operation == "GetSecretValue":
            words["key"] = self.secrets[level]
        if operation == "Decrypt":
            words["ciphertext"] = self.ciphertexts[level]
        return ",".join(f"{name}={value}" for name, value in {**words, **dict(more)}.items())

    def load_command(self, transport, shape, whats, slice_ms, rounds, rate=0, tick_us=0, calls=0, uri=None):
        """kms-load for these (operation, level) or (operation, level, more words), in turn; uri: of who calls, else APP."""
        words = [self.harness.BUILD / "bench/kms-load", "--connections", shape[0], "--in-flight", shape[1], "--slice-ms", slice_ms,
                 "--rounds", rounds]
        if transport == "mtls":
            name = self.kmsd.certs.dir / self.kmsd.certs.client(uri or self.harness.APP)
            words += ["--ca", self.kmsd.certs.dir / "ca.pem", "--cert", f"{name}.pem", "--key", f"{name}.key"]
        if rate:
            words += ["--rate", rate, *(["--tick-us", tick_us] if tick_us else [])]
        if calls:
            words += ["--calls", calls]
        words += [self.target(number, transport, *what) for number, what in enumerate(whats)]
        return [str(word) for word in words]

    def load(self, *what, **options):
        """A row for each, as kms-load says it."""
        done = subprocess.run(self.load_command(*what, **options), stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit("kms-load failed: its words are above")
        told = json.loads(done.stdout)
        for row in told:
            del row["name"]
        return told

    def stop(self):
        if self.empty is not None:
            self.empty.terminate()
            self.empty.wait(30)
        for other in self.others.values():
            other.stop(expect=None)
        self.kmsd.stop(expect=None)
