"""A PostgreSQL server of a test's own: tests/harness/postgres with a port and a folder, and SQL by psql."""
import os
import pathlib
import subprocess
import tempfile

import harness

SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "harness/postgres"
PASSWORD = "MARKER-admin"  # of superuser admin


class Postgres:
    """Everybody logs in with SCRAM, by Unix socket (the folder `dir`) and on 127.0.0.1. Close it at the end."""

    def __init__(self):
        self.home = tempfile.TemporaryDirectory(prefix="pg")  # short: sockets have 107 characters
        os.chmod(self.home.name, 0o711)
        self.dir = self.home.name + "/s"
        self.port = harness.free_port()
        self.start()

    def start(self):
        harness.run(SCRIPT, "start", self.dir, str(self.port), PASSWORD)

    def stop(self, how="fast"):
        harness.run(SCRIPT, "stop", self.dir, how)

    def close(self):
        subprocess.run([SCRIPT, "stop", self.dir, "immediate"], stdin=subprocess.DEVNULL, capture_output=True)
        self.home.cleanup()

    def sql(self, text, user="admin", password=PASSWORD, check=True, dbname="postgres"):
        """What psql prints: rows, columns with |. check=False: None when it fails."""
        done = subprocess.run(
            ["psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-h", self.dir, "-p", str(self.port), "-U", user,
             "-d", dbname],
            input=text, capture_output=True, text=True, env=dict(os.environ, PGPASSWORD=password))  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"psql: {done.stderr}")
        return done.stdout.strip() if done.returncode == 0 else None

    def log(self):
        return pathlib.Path(self.dir, "log").read_text()

    def declaration(self, name="main", **options):
        """An item of `databases` in kmsd.yaml."""
        options = {"name": name, "host": self.dir, "port": self.port} | options
        return "{" + ", ".join(f"{key}: {value}" for key, value in options.items()) + "}"
