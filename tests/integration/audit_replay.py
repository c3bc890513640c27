"""Every decision of a log made again when its daemon has ended, under the policies that were in force (tests/harness/replay_log.c).

The log names policies by SHA-256. The documents are those that tests have sent, and those of the keystore, where kmsctl has
sent one; what was neither sent by a test nor still stored is counted as unknown. Not covered: which grant allowed what policy
said nothing of (replayed: that it said nothing), and records whose texts were cut.
"""
import hashlib
import json
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile


class Policies:
    def __init__(self, directory):
        self.dir = pathlib.Path(directory) / "policies"

    def keep(self, text):
        self.dir.mkdir(parents=True, exist_ok=True)
        data = text.encode()
        path = self.dir / hashlib.sha256(data).hexdigest()
        if not path.exists():
            path.write_bytes(data)

    def keep_stored(self, home):
        """Those of the keystore, from a copy: who opens a database changes files beside it."""
        from record_pb2 import StoredDatabaseRole, StoredKey, StoredSecret  # keystore/record.proto

        with tempfile.TemporaryDirectory() as copy:
            for path in (home / "state").glob("keystore.db*"):
                shutil.copy(path, copy)
            with sqlite3.connect(pathlib.Path(copy) / "keystore.db") as db:
                for kind, message in ((1, StoredKey), (10, StoredSecret), (12, StoredDatabaseRole)):
                    for (body,) in db.execute("SELECT body FROM sealed_row WHERE kind = ?", (kind,)):
                        self.keep(message.FromString(body).policy)

    def replay(self, home, program):
        """What was counted; None: there is no log."""
        if not list((home / "audit").glob("*.jsonl")):
            return None
        counted = self.run(home, program)
        if counted["unknown"] and (home / "state/keystore.db").exists():
            self.keep_stored(home)
            counted = self.run(home, program)
        return counted

    def run(self, home, program):
        done = subprocess.run([program, home / "audit", self.dir], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
