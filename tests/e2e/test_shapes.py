"""Databases of every page size, content and vacuum mode, and changes between them: each transaction restores to its recorded content."""
import random
import sqlite3
import struct
from pathlib import Path

import pytest

import walindex
from compare import LOCK_BYTE, assert_same_pages, assert_sound, content_of, drop, settled
from ledger import TABLE, insert
from seawall import DONE
from waiting import FULL
from walindex import BIG_ENDIAN, checksum

INDEX = "CREATE INDEX big_payload ON big(payload)"
PAGE_SIZES = [512 << i for i in range(8)]


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_every_page_size_is_restored(stage, page_size):
    app = stage.ledger(f"PRAGMA page_size={page_size}")
    app.commit(TABLE, INDEX, insert(50, 300))
    daemon = stage.replicate()
    app.commit(insert(60, 300))
    app.commit("DELETE FROM big WHERE id % 3 = 0")
    app.commit("UPDATE big SET payload = randomblob(900) WHERE id % 5 = 0")
    stage.assert_ledger_restores(app, daemon)


def test_a_vacuum_is_one_restorable_transaction(stage):
    app = stage.ledger("PRAGMA auto_vacuum=none")
    app.commit(TABLE, INDEX, insert(2000))
    daemon = stage.replicate()
    app.commit("DELETE FROM big WHERE id % 4")
    app.commit_alone("VACUUM")
    app.commit(insert(100))
    app.commit("DROP INDEX big_payload")
    app.commit_alone("VACUUM")
    stage.assert_ledger_restores(app, daemon)


def test_each_step_of_an_incremental_vacuum_is_restorable(stage):
    app = stage.ledger("PRAGMA auto_vacuum=incremental")
    app.commit(TABLE, insert(2000))
    daemon = stage.replicate()
    app.commit("DELETE FROM big WHERE id > 200")
    for _ in range(3):
        app.commit_alone("PRAGMA incremental_vacuum(50)")
    app.commit(insert(300))
    stage.assert_ledger_restores(app, daemon)


def test_auto_vacuum_shrinks_the_restored_database_too(stage):
    app = stage.ledger("PRAGMA auto_vacuum=full")
    app.commit(TABLE, INDEX, insert(1500))
    daemon = stage.replicate()
    for keep in (1000, 400, 50):
        app.commit(f"DELETE FROM big WHERE id > {keep}")
    app.commit(insert(500))
    stage.assert_ledger_restores(app, daemon)


def test_after_a_shrink_and_a_growth_no_old_bytes_are_restored(stage):
    app = stage.ledger("PRAGMA auto_vacuum=full", "PRAGMA secure_delete=off")
    app.commit(TABLE, insert(1500))
    daemon = stage.replicate()
    for _ in range(3):
        app.commit("DELETE FROM big")
        app.commit(insert(1000, 700))
    stage.assert_ledger_restores(app, daemon)


def test_pages_that_a_growth_adds_without_writing_them_are_restored_as_zeros(stage):
    grown = 40
    app = stage.ledger("PRAGMA auto_vacuum=none", "PRAGMA secure_delete=off")
    app.commit(TABLE, insert(2000))
    app.run("PRAGMA wal_checkpoint(TRUNCATE)")
    daemon = stage.replicate("--rest-after", 600_000)
    app.commit("DELETE FROM big WHERE id > 20")
    app.commit_alone("VACUUM")   # until the next checkpoint the file still has old bytes beyond the new end
    walindex.grow(stage.db, grown)
    assert app.run("PRAGMA freelist_count") == [(grown,)], "SQLite does not take the crafted growth"
    app.record()
    app.commit(insert(30))
    app.commit(insert(200))
    stage.assert_ledger_restores(app, daemon)
    tail = stage.restored(stage.last_txid() - 2).read_bytes()[-(grown - 1) * 4096:]
    assert len(tail) == (grown - 1) * 4096 and not any(tail)


def test_a_page_size_change_by_vacuum_is_taken_up_at_the_next_start(stage):
    app = stage.ledger("PRAGMA page_size=4096")
    app.commit(TABLE, insert(500))
    daemon = stage.replicate()
    app.commit(insert(100))
    with pytest.raises(sqlite3.OperationalError):   # needs the database alone: the attached daemon is one more reader
        app.connection.execute("PRAGMA busy_timeout=0")
        app.run("PRAGMA journal_mode=delete")
    assert daemon.stop() == DONE
    old = stage.last_txid()

    app.run("PRAGMA journal_mode=delete")
    app.run("PRAGMA page_size=16384")
    app.run("VACUUM")
    app.run("PRAGMA journal_mode=wal")
    old_state = app.states[-1]
    daemon = stage.replicate()
    daemon.wait_for(lambda: stage.last_txid() > old, 30, "the database of another page size is taken up")
    app.commit(insert(100))
    app.commit("DELETE FROM big WHERE id % 2")
    stage.assert_ledger_restores(app, daemon)
    assert content_of(stage.restored(old)) == old_state


def test_tables_without_rowid_are_restored(stage):
    app = stage.ledger()
    app.commit("CREATE TABLE pair(a TEXT, b INTEGER, payload BLOB, PRIMARY KEY(a, b)) WITHOUT ROWID")
    daemon = stage.replicate()
    fill = ("WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 800) "
            "INSERT INTO pair SELECT hex(randomblob(8)), n, randomblob(100) FROM i")
    app.commit(fill)
    app.commit("DELETE FROM pair WHERE b % 3 = 0")
    app.commit("UPDATE pair SET payload = randomblob(300) WHERE b < 100")
    app.commit(fill)
    stage.assert_ledger_restores(app, daemon)


def test_full_text_tables_are_restored(stage):
    words = random.Random(5)
    text = lambda: " ".join(words.choice(["sea", "wall", "tide", "storm", "stone", "ship"]) for _ in range(60))
    app = stage.ledger()
    app.commit("CREATE VIRTUAL TABLE note USING fts5(title, body)")
    daemon = stage.replicate()
    for _ in range(5):
        app.commit(*[f"INSERT INTO note VALUES('{text()}', '{text()}')" for _ in range(40)])
    app.commit("DELETE FROM note WHERE rowid % 3 = 0")
    app.commit("INSERT INTO note(note) VALUES('optimize')")
    stage.assert_ledger_restores(app, daemon)
    restored = sqlite3.connect(stage.restored())
    restored.execute("INSERT INTO note(note) VALUES('integrity-check')")
    assert restored.execute("SELECT count(*) FROM note WHERE note MATCH 'storm AND tide'").fetchone()[0] > 0
    restored.close()


def test_large_blobs_are_restored(stage):
    app = stage.ledger()
    app.commit(TABLE)
    daemon = stage.replicate()
    app.commit("INSERT INTO big(payload) VALUES(randomblob(9000000))")
    app.commit("INSERT INTO big(payload) VALUES(zeroblob(9000000))")
    app.commit("UPDATE big SET payload = randomblob(3000000) WHERE id = 1")
    app.commit("DELETE FROM big WHERE id = 2")
    stage.assert_ledger_restores(app, daemon)


def rewrite_checksums_big_endian(wal):
    """Rewrites the WAL as a big-endian machine would have written it. SQLite continues in the byte order that it finds."""
    data = bytearray(Path(wal).read_bytes())
    page_size = struct.unpack_from(">I", data, 8)[0]
    struct.pack_into(">I", data, 0, 0x377f0683)
    sums = checksum(BIG_ENDIAN, data[:24], (0, 0))
    struct.pack_into(">II", data, 24, *sums)
    for at in range(32, len(data), 24 + page_size):
        sums = checksum(BIG_ENDIAN, data[at:at + 8], sums)
        sums = checksum(BIG_ENDIAN, data[at + 24:at + 24 + page_size], sums)
        struct.pack_into(">II", data, at + 16, *sums)
    Path(wal).write_bytes(data)


def test_a_wal_with_big_endian_checksums_is_captured(stage):
    made = stage.ledger(db=stage.folder / "made.db")
    made.commit(TABLE, insert(20))
    made.commit(insert(20))
    for suffix in ("", "-wal"):
        stage.db.with_name(stage.db.name + suffix).write_bytes((stage.folder / f"made.db{suffix}").read_bytes())
    rewrite_checksums_big_endian(stage.wal)

    app = stage.ledger()
    assert app.run("SELECT count(*) FROM big") == [(40,)], "SQLite itself does not read the rewritten WAL"
    daemon = stage.replicate("--rest-after", 60000)
    for _ in range(5):
        app.commit(insert(10))
    assert stage.wal.read_bytes()[:4] == bytes.fromhex("377f0683"), "the commits did not go to the big-endian WAL"
    stage.assert_ledger_restores(app, daemon)


@pytest.mark.parametrize("page_size", [65536, pytest.param(4096, marks=pytest.mark.skipif(not FULL, reason="SEAWALL_FULL=1 only"))])
def test_a_database_that_grows_beyond_the_lock_byte_page_is_restored(stage, page_size):
    app = sqlite3.connect(stage.db, isolation_level=None)
    for statement in (f"PRAGMA page_size={page_size}", "PRAGMA journal_mode=off", "PRAGMA synchronous=off", TABLE,
                      "CREATE TABLE mark(n INTEGER PRIMARY KEY)"):
        app.execute(statement)
    for size in (600 << 20, (1024 - 600 - 3) << 20):   # up to 3 MiB below the lock-byte page
        app.execute(f"INSERT INTO big(payload) VALUES(zeroblob({size}))")
    app.execute("PRAGMA journal_mode=wal")
    app.execute("PRAGMA synchronous=normal")
    assert stage.db.stat().st_size < LOCK_BYTE

    daemon = stage.replicate(live=False).wait_live(300)
    before = stage.last_txid()
    for _ in range(8):
        app.execute("BEGIN IMMEDIATE")
        app.execute("INSERT INTO mark VALUES(NULL)")
        app.execute("INSERT INTO big(payload) VALUES(randomblob(1000000))")
        app.execute("COMMIT")
    app.close()
    assert daemon.stop() == DONE
    assert stage.db.stat().st_size > LOCK_BYTE + page_size
    assert stage.last_txid() == before + 8

    for n in (4, 8):
        restored = stage.restored(before + n)
        assert_sound(restored)
        connection = sqlite3.connect(restored)
        assert connection.execute("SELECT count(*) FROM mark").fetchone() == (n,)
        connection.close()
        if n == 8:
            assert_same_pages(settled(stage.db, stage.folder), restored)
        drop(restored)

    stage.replica = stage.folder / "second-replica"   # its base holds the lock-byte page's place
    assert stage.replicate("--once", live=False).wait(300) == DONE
    assert_same_pages(settled(stage.db, stage.folder), stage.restored())
