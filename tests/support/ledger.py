"""An application in the test's own process that records the content of the database after each commit."""
import sqlite3

from compare import content

TABLE = "CREATE TABLE big(id INTEGER PRIMARY KEY, payload BLOB)"


def insert(count, size=500):
    """A statement that adds `count` rows of `size` random bytes to the table."""
    return (f"WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {count}) "
            f"INSERT INTO big(payload) SELECT randomblob({size}) FROM i")


class Ledger:
    """`states` is the record: a digest of the whole content after each transaction, in order."""

    def __init__(self, db, setup=()):
        self.states = []
        self.connection = sqlite3.connect(db, isolation_level=None, timeout=20)
        for statement in (*setup, "PRAGMA journal_mode=wal", "CREATE TABLE IF NOT EXISTS mark(n INTEGER PRIMARY KEY)"):
            self.connection.execute(statement).fetchall()

    def start_over(self):
        """Begins the record again with the present state. A daemon that starts now has it as its first restore point."""
        self.states = [content(self.connection)]

    def run(self, statement, *values):
        return self.connection.execute(statement, values).fetchall()

    def record(self):
        self.states.append(content(self.connection))

    def commit(self, *statements):
        """Commits the statements as one transaction. A row in `mark` makes sure that it changes something."""
        self.run("BEGIN IMMEDIATE")
        for statement in statements:
            self.run(statement)
        self.run("INSERT INTO mark VALUES(NULL)")
        self.run("COMMIT")
        self.record()

    def roll_back(self, *statements):
        self.run("BEGIN IMMEDIATE")
        for statement in statements:
            self.run(statement)
        self.run("ROLLBACK")

    def commit_alone(self, statement):
        """Commits a statement that must be a transaction of its own, such as VACUUM."""
        self.run(statement)
        self.record()

    def close(self):
        self.connection.close()
