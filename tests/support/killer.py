"""Daemons that are killed just before a chosen system call."""
import random
import signal
import sqlite3
import struct

import application
from seawall import DONE, seawall, told, url_of
from waiting import PATIENCE, figure

KILLED = -signal.SIGKILL
LARGE_PAGES = 65536
IN_PARTS, AS_A_BASE = 20, 34   # MiB of a database whose first copy is a segment in parts; of one whose first copy is a base


class Killer:
    """Starts daemons that are killed just before call number n. app/killat.c says which calls count."""

    def __init__(self, stage):
        self.stage, self.counter = stage, stage.folder / "calls"
        self.library = application.library("killat")

    def environment(self, n):
        self.counter.write_bytes(bytes(8))
        return {"LD_PRELOAD": str(self.library), "KILL_BELOW": str(self.stage.folder), "KILL_COUNT": str(self.counter), "KILL_AT": str(n)}

    def once(self, n):
        """Runs `replicate --once`. It is killed just before call n, or ends by itself if it makes fewer calls."""
        result = run_once(self.stage, self.environment(n))
        assert result.returncode in (KILLED, DONE), f"before it was killed at call {n}: {told(result)}"
        return result

    def calls(self):
        """The number of calls that the last daemon made."""
        return struct.unpack("=Q", self.counter.read_bytes())[0]


def run_once(stage, environment=None):
    return seawall("replicate", "--once", "--stop-timeout", f"{10 * PATIENCE:g}s", *stage.once_options, stage.db, url_of(stage.replica),
                   environment=environment)


def moments(calls, some):
    """The numbers of the calls to kill at. At full scale these are all; otherwise the first ones, and a sample of the others."""
    count = figure(calls, some)
    first, rest = list(range(1, 1 + min(calls, count // 4))), range(1 + count // 4, calls + 1)
    return first + sorted(random.Random(calls).sample(rest, min(len(rest), count - len(first))))


def large_database(path, mebibytes):
    """Makes a database and closes it. It is mostly zeros, so it is quick to copy."""
    app = sqlite3.connect(path, isolation_level=None)
    for statement in (f"PRAGMA page_size={LARGE_PAGES}", "PRAGMA journal_mode=wal", "CREATE TABLE t(id INTEGER PRIMARY KEY, a)",
                      f"WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {(mebibytes << 20) // LARGE_PAGES}) "
                      "INSERT INTO t SELECT n, zeroblob(60000) FROM i"):
        app.execute(statement).fetchall()
    app.close()
