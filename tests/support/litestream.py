"""Runs Litestream: the real program, in one of its versions. tests/litestream has what uses it.

LITESTREAM=FOLDER   has VERSION/litestream for each version; `make litestream` makes it (build/litestream)"""
import hashlib
import os
import signal
import subprocess
from pathlib import Path

from waiting import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(os.environ.get("LITESTREAM", CHECKOUT / "build" / "litestream"))

LATEST, FRAMES, OLD = "0.5.18", "0.5.0", "0.3.13"   # FRAMES: a version of 0.5 that writes LZ4 frames

SECONDS_05 = """
levels:
  - interval: 1s
  - interval: 3s
snapshot:
  interval: 4s
  retention: 1h
"""


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


class Litestream:
    """One version, one database, one replica (a folder or the text of a `url:`)."""

    def __init__(self, version, folder, db, replica, db_keys="", replica_keys="", top=None):
        self.version, self.db = version, Path(db)
        self.program = PROGRAMS / version / "litestream"
        self.old = version.startswith("0.3")
        self.config, self.log = folder / f"litestream-{version}.yml", folder / f"litestream-{version}.log"
        self.process = None
        where = f"url: {replica}" if "://" in str(replica) else f"path: {replica}"
        keys = "".join(f"      {line}\n" for line in replica_keys.splitlines())
        database = "".join(f"    {line}\n" for line in db_keys.splitlines())
        one = f"      - {where}\n" if self.old else f"      {where}\n"
        one += "".join(f"  {line}" if self.old else line for line in keys.splitlines(keepends=True))
        top = (SECONDS_05 if version == LATEST else "") if top is None else top
        self.config.write_text(f"{top}dbs:\n  - path: {self.db}\n{database}    {'replicas' if self.old else 'replica'}:\n{one}")

    def start(self):
        self.process = subprocess.Popen([self.program, "replicate", "-config", self.config], stdout=self.log.open("ab"), stderr=subprocess.STDOUT)
        wait_until(lambda: "replicating to" in self.log.read_text() or self.process.poll() is not None, 30, "litestream runs")
        assert self.process.poll() is None, self.log.read_text()
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.process = None

    def restore(self, target, *options):
        """Returns the SHA-256 of the restored file, or None if Litestream refused."""
        done = subprocess.run([self.program, "restore", "-config", self.config, "-o", target, *options, self.db], capture_output=True, timeout=600)
        if done.returncode != 0:
            return None
        return sha256(target)
