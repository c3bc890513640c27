"""One kmsd with everything real around it: a SoftHSM token, certificates by openssl, sockets of its own, in one directory.

Programs come from $KMS_BUILD (default build/dev). Needs Debian's softhsm2, openssl, protobuf-compiler, python3-grpcio,
python3-jsonschema.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

from audit_records import RECORDS
from audit_replay import Policies
from callers import (  # noqa: F401
    ADMIN, ADMIN2, APP, KEEPER, LEVELS, OFFICER, OTHER, SERVICE_POLICY, USE_ACTIONS, key_policy, secret_policy,
)  # fmt: skip
from rpc_client import Client, Failure, failure  # noqa: F401 (what tests import)

# An idle client of grpcio hears every so often only that the service is about to stop, which waits for it; 5,000 ms usually.
os.environ.setdefault("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "200")

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("KMS_BUILD", ROOT / "build" / "dev")).resolve()
BIN = BUILD / "bin"


def run(*argv, **options):
    options.setdefault("check", True)
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=120, **options)


def protos(directory):
    """Python modules of proto/, generated once for each test session."""
    out = pathlib.Path(directory)
    if not (out / "kms").exists():
        files = [*sorted((ROOT / "proto").glob("kms/v1/*.proto")), ROOT / "proto/google/rpc/status.proto",
                 ROOT / "proto/sops/keyservice.proto", ROOT / "proto/k8s/kms_v2.proto",
                 ROOT / "proto/csi/secrets_store.proto",
                 ROOT / "proto/grpc/health/v1/health.proto",
                 ROOT / "proto/grpc/reflection/v1/reflection.proto"]
        run("protoc", f"--python_out={out}", "-I", ROOT / "proto", *files)
        run("protoc", f"--python_out={out}", "-I", ROOT / "keystore", ROOT / "keystore/record.proto")
        # google.rpc is ours here; the installed google package is a namespace of protobuf
        shutil.move(out / "google" / "rpc" / "status_pb2.py", out / "kms_rpc_status_pb2.py")
        # and so is grpc, of grpcio
        shutil.move(out / "grpc" / "health" / "v1" / "health_pb2.py", out / "grpc_health_pb2.py")
        shutil.move(out / "grpc" / "reflection" / "v1" / "reflection_pb2.py", out / "grpc_reflection_pb2.py")
    if str(out) not in sys.path:
        sys.path.insert(0, str(out))


def wait_for(condition, seconds=20, what="condition"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")


def comm(pid):
    """The name of a process; "" when it has gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


class Certificates:
    """A CA and what it signs, made by the openssl command."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(parents=True)
        self.ca("ca")
        self.sign("server", "subjectAltName=DNS:localhost,IP:127.0.0.1")

    def ca(self, name):
        request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj"
        key, certificate = self.dir / f"{name}.key", self.dir / f"{name}.pem"
        run(*request.split(), f"/CN={name}", "-keyout", key, "-out", certificate)

    def sign(self, name, extension, ca="ca", days="30", cn=None):
        ext = self.dir / f"{name}.ext"
        ext.write_text(extension + "\n")
        run(
            "openssl",
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            f"/CN={cn or name}",
            "-keyout",
            self.dir / f"{name}.key",
            "-out",
            self.dir / f"{name}.csr",
        )
        run(
            "openssl",
            "x509",
            "-req",
            "-in",
            self.dir / f"{name}.csr",
            "-CA",
            self.dir / f"{ca}.pem",
            "-CAkey",
            self.dir / f"{ca}.key",
            "-CAcreateserial",
            "-days",
            days,
            "-extfile",
            ext,
            "-out",
            self.dir / f"{name}.pem",
        )
        os.chmod(self.dir / f"{name}.key", 0o600)
        return self.dir / f"{name}.pem"

    def client(self, uri):
        name = "client-" + "".join(c if c.isalnum() else "-" for c in uri)
        if not (self.dir / f"{name}.pem").exists():
            self.sign(name, f"subjectAltName=URI:{uri}\nextendedKeyUsage=clientAuth")
        return name


class Service:
    """kmsd in a directory of its own."""

    checked = False

    def __init__(self, directory, **options):
        self.dir = pathlib.Path(directory).resolve()
        self.certs = Certificates(self.dir / "certs")
        self.process = None
        self.program = options.pop("program", BIN / "kmsd")
        self.port = 0
        self.policies = Policies(self.dir)
        self.environment = dict(
            os.environ, SOFTHSM2_CONF=str(self.dir / "softhsm2.conf"), **options.pop("environment", {})
        )
        if os.geteuid() != 0:  # LeakSanitizer needs ptrace, which a process that is not dumpable refuses
            self.environment["ASAN_OPTIONS"] = self.environment.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        for name in ("tokens", "audit", "state"):
            (self.dir / name).mkdir()
        (self.dir / "softhsm2.conf").write_text(
            f"directories.tokendir = {self.dir}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        self.token("kmsd")
        self.service_policy(SERVICE_POLICY)
        self.write_config(**options)

    def token(self, label, pin="4711-test"):
        run(
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            label,
            "--pin",
            pin,
            "--so-pin",
            "so-" + pin,
            env=self.environment,
        )
        self.pin_file = self.dir / "pin"
        self.pin_file.write_text(pin + "\n")
        self.pin_file.chmod(0o600)

    def service_policy(self, document):
        path = self.dir / "service-policy.json"
        if path.exists():
            path.unlink()
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        self.policies.keep(path.read_text())
        path.chmod(0o444)

    def write_config(
        self,
        extra="",
        listen="127.0.0.1:0",
        unix="",
        label="kmsd",
        module="/usr/lib/softhsm/libsofthsm2.so",
        **sections,
    ):
        base = {
            "tls": {"cert": "certs/server.pem", "key": "certs/server.key", "client_ca": "certs/ca.pem"},
            "policy": {"service": "service-policy.json"},
            "hsm": {
                "uri": f'"pkcs11:token={label}?module-path={module}&pin-source=file:{self.dir}/pin"',
                "worker_path": str(BIN / "kms-hsm"),
                "workers": "2",
            },
            "keystore": {"path": "state/keystore.db"},
            "audit": {"dir": "audit", "segment": "1MiB", "compress": "false"},  # tests read the files themselves
            "limits": {"rate_per_principal": "0", "refused_per_second": "100000"},
        }
        for section, values in sections.items():
            base.setdefault(section, {}).update(values)
        lines = [f"state_dir: {self.dir}/state", "listen:", f'  tls: "{listen}"']
        if unix:
            lines.append(unix)
        for section, values in base.items():
            lines.append(f"{section}:")
            lines += [f"  {name}: {value}" for name, value in values.items()]
        self.config = self.dir / "kmsd.yaml"
        self.config.write_text("\n".join(lines) + "\n" + extra)

    def kmsd(self, *arguments, **options):
        return run(BIN / "kmsd", "--config", self.config, *arguments, env=self.environment, **options)

    def init(self):
        self.kmsd("init")
        return self

    def start(self, *arguments, wrapper=()):
        self.log = open(self.dir / "kmsd.log", "ab")
        offset = self.log.tell()
        self.process = subprocess.Popen(
            [*wrapper, str(self.program), "--config", str(self.config), *arguments],
            env=self.environment,
            stderr=self.log,
            stdout=self.log,
            stdin=subprocess.DEVNULL,
        )

        def ready():
            text = self.log_text(offset)
            if "event=ready" in text:
                return text
            if self.process.poll() is not None:
                raise AssertionError(f"kmsd ended with {self.process.returncode}:\n{text}")
            return None

        text = wait_for(ready, 60, "kmsd ready")
        self.port = int(text.split("tls_port=")[1].split()[0])
        return self

    def log_text(self, offset=0):
        with open(self.dir / "kmsd.log", "rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, expect=0):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process = None
        if expect is not None:
            assert code == expect, f"kmsd ended with {code}:\n{self.log_text()[-4000:]}"
        self.check_audit()

    def kill(self):
        self.process.kill()
        self.process.wait(30)
        self.process = None
        self.check_audit(replay=False)  # it will start again and stop

    def check_audit(self, replay=True):
        """Every record has the form that docs/audit.schema.json says, and is decided again as it was. Not for benches."""
        if not self.checked:
            return
        RECORDS.check_folder(self.dir / "audit")
        if self.process is None and replay:
            self.replayed = self.policies.replay(self.dir, BUILD / "tests/replay-log")

    def children(self):
        """Pids of the spawner and below it the workers."""
        found, todo = [], [self.process.pid]
        while todo:
            parent = todo.pop()
            for task in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
                for child in task.read_text().split():
                    found.append(int(child))
                    todo.append(int(child))
        return found

    def workers(self):
        return [p for p in self.children() if comm(p) == "kms-hsm"]

    def verify_audit(self):
        """kmsctl's word that the chain is whole, as a dict."""
        report = json.loads(
            run(BIN / "kmsctl", "audit", "verify", "--dir", self.dir / "audit", "--output", "json").stdout
        )
        assert report["intact"] and len(report["instances"]) == 1
        return report["instances"][0]

    # -- clients --

    def client(self, uri, **options):
        return Client(self, uri, **options)

    def kmsctl(self, uri, *arguments, **options):
        name = self.certs.client(uri)
        return run(
            BIN / "kmsctl",
            "--endpoint",
            f"127.0.0.1:{self.port}",
            "--ca",
            self.certs.dir / "ca.pem",
            "--cert",
            self.certs.dir / f"{name}.pem",
            "--key",
            self.certs.dir / f"{name}.key",
            *arguments,
            **options,
        )

    def client_environment(self, uri):
        name = self.certs.client(uri)
        return dict(
            self.environment,
            KMS_ENDPOINT=f"127.0.0.1:{self.port}",
            KMS_CA=str(self.certs.dir / "ca.pem"),
            KMS_CERT=str(self.certs.dir / f"{name}.pem"),
            KMS_KEY_FILE=str(self.certs.dir / f"{name}.key"),
        )

    def records(self, **wanted):
        """Audit records, oldest first; the live file ends in NULs."""
        found = []
        for path in sorted((self.dir / "audit").glob("*.jsonl")):
            for line in path.read_bytes().split(b"\0", 1)[0].splitlines():
                record = json.loads(line)
                if all(record.get(k) == v for k, v in wanted.items()):
                    found.append(record)
        return found

    def new_key(self, admin=ADMIN, **fields):
        with self.client(admin) as client:
            fields.setdefault("policy", key_policy())
            return client.CreateKey(**fields).key_metadata.key_id


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
