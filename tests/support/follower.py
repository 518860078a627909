"""`seawall follow` as a process, an application whose every state can be checked, and programs that read the copy meanwhile."""
import json
import sqlite3
from pathlib import Path

from background import Background
from compare import content_of, drop
from seawall import DONE, Daemon, is_remote, restore, seawall, told, url_of


class Follower(Daemon):
    """`seawall follow -o COPY URL`."""

    verb = "follow"

    def __init__(self, copy, replica, log, *options, environment=None):
        self.db = self.copy = Path(copy)
        self.replica = replica if is_remote(replica) else Path(replica)
        self.start(["-o", copy, *options, url_of(replica)], log, environment)

    def status(self):
        return status_of(self.copy)

    def wait_txid(self, txid, seconds=20):
        """Waits until the copy has this transaction, or a later one."""
        return self.wait_for(lambda: self.copy.exists() and has_note(self.copy) and self.status()["txid"] >= txid, seconds, f"the copy has txid {txid}")


def has_note(copy):
    return Path(f"{copy}-seawall-follow").exists() and Path(f"{copy}-seawall-follow").stat().st_size > 0


def status_of(copy):
    result = seawall("follow", "--status", "--json", copy)
    assert result.returncode == DONE, told(result)
    return json.loads(result.stdout)


def follow(copy, replica, *options, seconds=60, environment=None):
    """`follow` to its end."""
    return seawall("follow", "-o", copy, *options, url_of(replica), seconds=seconds, environment=environment)


def same_as_replica(copy, replica, folder):
    """Whether the rows of the copy are those of a restore of the newest point."""
    target = Path(folder) / "newest.db"
    drop(target)
    if restore(replica, target).returncode != DONE:
        return False
    same = content_of(target) == content_of(copy)
    drop(target)
    return same


class Ledgers:
    """An application. Each of its transactions leaves a state that a reader can check: the sum of all entries is in `total`. It also
    inserts and deletes many rows, makes and drops tables, and gives pages back."""

    def __init__(self, path, page_size=4096):
        self.app = sqlite3.connect(path, isolation_level=None, timeout=60)
        for statement in (f"PRAGMA page_size={page_size}", "PRAGMA auto_vacuum=incremental", "PRAGMA journal_mode=wal",
                          "CREATE TABLE entry(id INTEGER PRIMARY KEY, amount INTEGER, filler BLOB)",
                          "CREATE TABLE total(amount INTEGER, entries INTEGER, number INTEGER)", "INSERT INTO total VALUES(0, 0, 0)"):
            self.app.execute(statement).fetchall()
        self.number = 0

    def commit(self, times=1, rows=15, size=400):
        for _ in range(times):
            self.number += 1
            self.app.execute("BEGIN IMMEDIATE")
            self.app.execute("WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < ?2) "
                             "INSERT INTO entry(amount, filler) SELECT abs(random()) % 1000, randomblob(?1) FROM i", (size, rows))
            if self.number % 7 == 0:
                self.app.execute("DELETE FROM entry WHERE id % 3 = 0")
            if self.number % 11 == 0:
                self.app.execute("DELETE FROM entry WHERE id < (SELECT max(id) - 100 FROM entry)")
            if self.number % 5 == 0:
                self.app.execute(f"CREATE TABLE extra_{self.number}(a)")
                self.app.execute(f"DROP TABLE IF EXISTS extra_{max(0, self.number - 10)}")
            self.app.execute("UPDATE total SET amount = (SELECT coalesce(sum(amount), 0) FROM entry), "
                             "entries = (SELECT count(*) FROM entry), number = ?", (self.number,))
            self.app.execute("COMMIT")
            if self.number % 13 == 0:
                self.app.execute("PRAGMA incremental_vacuum").fetchall()

    def close(self):
        self.app.close()


STATE = "SELECT amount, entries, number FROM total"
REAL = "SELECT coalesce(sum(amount), 0), count(*) FROM entry"

READER = """
import random, sqlite3, sys, time
sys.path.insert(0, {tests!r})
from follower import REAL, STATE, same_in_one_transaction
chance = random.Random({seed})
last = 0
with open({journal!r}, "wb", buffering=0) as journal:
    db = sqlite3.connect("file:" + {copy!r} + "?mode=ro", uri=True, isolation_level=None, timeout=10)
    while True:
        number = same_in_one_transaction(db, lambda: time.sleep(chance.uniform(0, {hold})))
        assert number >= last, f"the copy went back from {{last}} to {{number}}"
        last = number
        journal.write(b"r")
        if chance.random() < 0.1:
            db.close()
            db = sqlite3.connect("file:" + {copy!r} + "?mode=ro", uri=True, isolation_level=None, timeout=10)
"""


REPLICA_READER = """
import random, sqlite3, sys, time
sys.path.insert(0, {tests!r})
from follower import same_in_one_transaction
from readers import reader, why
chance = random.Random({seed})
last = lost = 0
with open({journal!r}, "wb", buffering=0) as journal:
    db = reader({copy!r}, follow="200ms")
    while True:
        begun = time.monotonic()
        try:
            number = same_in_one_transaction(db, lambda: time.sleep(chance.uniform(0, {hold})))
        except sqlite3.OperationalError:
            reason = why() or ""
            assert "gone" in reason, reason   # retention took what this transaction needs
            journal.write(b"g")
            db.close()
            db = reader({copy!r}, follow="200ms")
            continue
        assert number >= last, f"the replica went back from {{last}} to {{number}}"
        last = number
        journal.write(b"r")
"""


def same_in_one_transaction(db, pause):
    """Reads the same state several times in one read transaction. Returns its number."""
    db.execute("BEGIN")
    first = db.execute(STATE).fetchone()
    for _ in range(3):
        pause()
        assert db.execute(REAL).fetchone() == first[:2], f"two states mixed: {first}"
        assert db.execute(STATE).fetchone() == first, "the state changed within a read transaction"
    assert db.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    db.execute("COMMIT")
    return first[2]


class Reader(Background):
    """A process that reads the copy all the time, in transactions that it holds open for a while."""

    program = READER

    def __init__(self, copy, folder, number, hold=0.05):
        super().__init__(folder, f"reader-{number}", self.program, copy=str(copy), seed=number, hold=hold)

    def done(self):
        """How many transactions came to their end, and how many retention ended."""
        journal = self.journal.read_bytes() if self.journal.exists() else b""
        return journal.count(b"r"), journal.count(b"g")


class ReplicaReader(Reader):
    """The same with the replica VFS: `copy` is the URL of the replica."""

    program = REPLICA_READER
