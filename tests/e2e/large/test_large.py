"""Gigabytes: `make check-large`. It takes three minutes, and up to 16 GB of disk below build/tests. With any size the daemon has less than
64 MiB of anonymous memory, the replica restores to the database, and the WAL becomes empty again."""
import sqlite3
import subprocess
import time

import sparse
from compare import drop
from memory import Watched
from seawall import DONE
from waiting import SCALE

MEMORY_LIMIT = 64 << 20
ROW_BYTES = 3900   # one row, one page


def megabytes(full):
    """A size, multiplied by SEAWALL_TEST_SCALE: a small scale helps while one works on these tests."""
    return max(1, int(full * min(1, SCALE)))


def insert(count):
    return (f"WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {count}) "
            f"INSERT INTO big(payload) SELECT zeroblob({ROW_BYTES}) FROM i")


def open_app(db):
    app = sqlite3.connect(db, isolation_level=None, timeout=60)
    for statement in ("PRAGMA journal_mode=wal", "CREATE TABLE IF NOT EXISTS big(id INTEGER PRIMARY KEY, payload BLOB)"):
        app.execute(statement).fetchall()
    return app


def assert_modest(stage, what, watched, daemon):
    stage.note(f"{what}: {watched.told(stage.db.with_name(stage.db.name + '-seawall'))}")
    assert watched.anonymous < MEMORY_LIMIT, daemon.log()[-3000:]


def assert_restores(stage):
    """The restored database equals the source in every byte. No page was freed beside the daemon, so the contents of all are defined."""
    assert stage.wal_bytes() == 0
    restored = stage.restored()
    assert subprocess.run(["cmp", stage.db, restored]).returncode == 0
    drop(restored)


def test_one_transaction_of_5_gb_ships_in_bounded_memory(stage):
    size = megabytes(5 << 10)
    app = open_app(stage.db)
    daemon = stage.replicate()
    before = stage.last_txid()
    with Watched(daemon, stage.wal) as watched:
        app.execute(insert(size << 8))
        committed = time.monotonic()
        daemon.wait_for(lambda: stage.last_txid() > before, 1800, "the transaction is durable")
        durable = time.monotonic()
        daemon.wait_for(lambda: stage.wal_bytes() == 0, 600, "the WAL is empty again")
    stage.note(f"durable {durable - committed:.0f} s after its commit, the WAL empty {time.monotonic() - committed:.0f} s after it")
    app.close()
    assert daemon.stop() == DONE
    assert stage.last_txid() == before + 1
    assert_restores(stage)
    assert_modest(stage, f"a transaction of {size} MiB", watched, daemon)


def test_the_first_copy_of_20_gb_is_made_in_bounded_memory(stage):
    sparse.database(stage.db, max(1, megabytes(20 << 10) >> 10), filled=50)
    daemon = stage.replicate(live=False)
    with Watched(daemon, stage.wal) as watched:
        daemon.wait_for(lambda: "the base is complete" in daemon.log(), 3600, "the base is complete")
    assert daemon.stop() == DONE
    assert_restores(stage)
    assert_modest(stage, f"the first copy of {stage.db.stat().st_size >> 30} GiB", watched, daemon)


def test_a_catch_up_of_2_gb_is_made_in_bounded_memory(stage):
    size, at_once = megabytes(2 << 10), 8
    app = open_app(stage.db)
    daemon = stage.replicate()
    before = stage.last_txid()
    away = stage.folder / "replica-away"
    with Watched(daemon, stage.wal) as watched:
        stage.replica.rename(away)
        for _ in range(max(1, size // at_once)):
            app.execute(insert(at_once << 8))
        away.rename(stage.replica)
        back = time.monotonic()
        daemon.wait_for(lambda: stage.last_txid() > before, 600, "the replica has caught up")
        daemon.wait_for(lambda: stage.wal_bytes() == 0, 600, "the WAL is empty again")
    stage.note(f"caught up {time.monotonic() - back:.0f} s after the replica came back")
    app.close()
    assert daemon.stop() == DONE
    assert "become one restore point" in daemon.log(), "there was no catch-up: nothing was tested"
    assert_restores(stage)
    assert_modest(stage, f"a catch-up of {size} MiB", watched, daemon)
