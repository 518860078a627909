"""Transactions that do not fit into SQLite's page cache: they write frames to the WAL before they commit or roll back."""
from compare import assert_same_pages, settled
from ledger import TABLE, insert
from seawall import DONE
from waiting import figure

SMALL_CACHE = "PRAGMA cache_size=5"
MEMORY_LIMIT_KIB = 64 << 10


def test_a_transaction_that_spills_and_commits_is_one_restore_point(stage):
    app = stage.ledger()
    app.commit(TABLE)
    daemon = stage.replicate()
    app.run(SMALL_CACHE)
    for _ in range(3):
        app.commit(insert(3000))
        app.commit("UPDATE big SET payload = randomblob(400) WHERE id % 3 = 0")
    stage.assert_ledger_restores(app, daemon)


def test_a_transaction_that_spills_and_rolls_back_leaves_no_trace(stage):
    app = stage.ledger()
    app.commit(TABLE, insert(500))
    daemon = stage.replicate()
    app.run(SMALL_CACHE)
    for _ in range(5):
        app.roll_back(insert(3000), "DELETE FROM big WHERE id % 2")
        app.commit(insert(1))
        app.commit("UPDATE big SET payload = zeroblob(100) WHERE id <= 20")
    stage.assert_ledger_restores(app, daemon)


def test_frames_that_a_spilled_transaction_writes_twice_count_as_they_end(stage):
    app = stage.ledger()
    app.commit(TABLE, insert(2000))
    daemon = stage.replicate()
    app.run(SMALL_CACHE)
    for _ in range(3):
        app.commit("UPDATE big SET payload = randomblob(500)", "UPDATE big SET payload = zeroblob(450)",
                   "UPDATE big SET payload = randomblob(480) WHERE id % 2")
        app.commit("SAVEPOINT a", insert(2000), "ROLLBACK TO a", "UPDATE big SET payload = randomblob(300) WHERE id < 99", "RELEASE a")
    stage.assert_ledger_restores(app, daemon)


def test_a_huge_transaction_ships_in_bounded_memory(stage):
    megabytes = figure(1024, 150)
    app = stage.ledger()
    app.commit(TABLE)
    daemon = stage.replicate()
    before = stage.last_txid()
    app.run("BEGIN IMMEDIATE")
    for _ in range(megabytes):
        app.run("INSERT INTO big(payload) VALUES(randomblob(1 << 20))")
    app.run("COMMIT")
    daemon.wait_for(lambda: stage.last_txid() > before, 600, "the huge transaction is durable")
    peak = daemon.memory_kib()
    stage.note(f"transaction of {megabytes} MiB: daemon's resident memory at most {peak >> 10} MiB")
    app.run("INSERT INTO mark VALUES(NULL)")
    app.close()
    assert daemon.stop() == DONE
    assert stage.last_txid() == before + 2
    assert_same_pages(settled(stage.db, stage.folder), stage.restored())
    assert peak < MEMORY_LIMIT_KIB
