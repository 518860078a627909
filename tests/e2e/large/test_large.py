"""Gigabytes: `make check-large`. Three minutes, and up to 16 GB of disk below build/tests. Whatever the sizes are, the daemon has
less than 64 MiB of its own, the replica restores to the source, and the WAL is given back."""
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
    """SEAWALL_TEST_SCALE shrinks these tests for those who work on them."""
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
    """To every byte: no page was freed while the daemon watched, so that all have defined contents. The holes are read as such."""
    assert stage.wal_bytes() == 0
    restored = stage.restored()
    assert subprocess.run(["cmp", stage.db, restored]).returncode == 0
    drop(restored)


def test_one_transaction_of_5_gb(stage):
    size = megabytes(5 << 10)
    app = open_app(stage.db)
    daemon = stage.replicate()
    before = stage.last_txid()
    with Watched(daemon, stage.wal) as watched:
        app.execute(insert(size << 8))
        committed = time.monotonic()
        daemon.wait_for(lambda: stage.last_txid() > before, 1800, "the transaction is durable")
        durable = time.monotonic()
        daemon.wait_for(lambda: stage.wal_bytes() == 0, 600, "the WAL is given back")
    stage.note(f"durable {durable - committed:.0f} s after its commit, the WAL given back {time.monotonic() - committed:.0f} s after it")
    app.close()
    assert daemon.stop() == DONE
    assert stage.last_txid() == before + 1
    assert_restores(stage)
    assert_modest(stage, f"a transaction of {size} MiB", watched, daemon)


def test_the_first_copy_of_20_gb(stage):
    sparse.database(stage.db, max(1, megabytes(20 << 10) >> 10), filled=50)
    daemon = stage.replicate(live=False)
    with Watched(daemon, stage.wal) as watched:
        daemon.wait_for(lambda: "the base is complete" in daemon.log(), 3600, "the base is complete")
    assert daemon.stop() == DONE
    assert_restores(stage)
    assert_modest(stage, f"the first copy of {stage.db.stat().st_size >> 30} GiB", watched, daemon)


def test_a_catch_up_of_2_gb(stage):
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
        daemon.wait_for(lambda: stage.wal_bytes() == 0, 600, "the WAL is given back")
    stage.note(f"caught up {time.monotonic() - back:.0f} s after the replica came back")
    app.close()
    assert daemon.stop() == DONE
    assert "become one restore point" in daemon.log(), "it was no catch-up"
    assert_restores(stage)
    assert_modest(stage, f"a catch-up of {size} MiB", watched, daemon)
