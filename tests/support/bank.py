"""An application for any journal mode. From a copy of its database alone one sees whether it is the state after one of its transactions."""
import sqlite3
import subprocess
import sys
from pathlib import Path

from compare import assert_sound
from waiting import wait_until

ROWS = 20   # inserted by a transaction


class Bank:
    """An application with one connection: entries in one table, their running total in another."""

    def __init__(self, path, mode="delete", size=200, rows=ROWS):
        self.size, self.rows = size, rows
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=60)
        assert self.connection.execute(f"PRAGMA journal_mode={mode}").fetchone()[0] == mode
        self.connection.execute("CREATE TABLE IF NOT EXISTS entry(id INTEGER PRIMARY KEY, amount INTEGER, filler BLOB)")
        self.connection.execute("CREATE TABLE IF NOT EXISTS total(amount INTEGER, entries INTEGER)")
        if not self.connection.execute("SELECT count(*) FROM total").fetchone()[0]:
            self.connection.execute("INSERT INTO total VALUES (0, 0)")

    def commit(self, times=1):
        for _ in range(times):
            self.connection.execute("BEGIN IMMEDIATE")
            self.change()
            self.connection.execute("COMMIT")

    def change(self):
        for _ in range(self.rows):
            self.connection.execute("INSERT INTO entry(amount, filler) VALUES (abs(random()) % 1000, randomblob(?))", (self.size,))
        self.connection.execute("UPDATE total SET amount = (SELECT sum(amount) FROM entry), entries = entries + ?", (self.rows,))

    def close(self):
        self.connection.close()


def entries(path):
    """The number of entries. Fails if the database is not the state after one of Bank's transactions."""
    assert_sound(path)
    connection = sqlite3.connect(path)
    (amount, count), (real_amount, real_count) = (connection.execute(statement).fetchone() for statement in (
        "SELECT amount, entries FROM total", "SELECT coalesce(sum(amount), 0), count(*) FROM entry"))
    connection.close()
    assert (amount, count) == (real_amount, real_count), f"{path}: not what one transaction left"
    return count


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from bank import Bank
bank = Bank({db!r})
with open({journal!r}, "wb", buffering=0) as journal:
    while True:
        bank.commit()
        journal.write(b"c")
"""


class BusyBank:
    """A Bank in a process of its own, which commits all the time until it is killed."""

    def __init__(self, stage):
        self.journal = stage.folder / "commits"
        program = WRITER.format(tests=str(Path(__file__).parent), db=str(stage.db), journal=str(self.journal))
        self.process = subprocess.Popen([sys.executable, "-c", program])

    def __enter__(self):
        try:
            self.wait_committed(1)
        except AssertionError:
            self.__exit__()
            raise
        return self

    def committed(self):
        return self.journal.stat().st_size if self.journal.exists() else 0

    def wait_committed(self, n):
        wait_until(lambda: self.committed() >= n, 60, f"{n} commits")
        assert self.process.poll() is None

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
