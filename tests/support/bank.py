"""An application for any journal mode. From a copy of its database alone one sees whether it is the state after one of its transactions."""
import sqlite3

from background import Committer
from compare import assert_sound

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


class BusyBank(Committer):
    """A Bank in a process of its own, which commits all the time until it is killed."""

    def __init__(self, stage):
        super().__init__(stage.folder, stage.db, "bank", "Bank")

    def __enter__(self):
        try:
            self.wait_more(1)
        except AssertionError:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()
