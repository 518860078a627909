"""Checkpoints of the application succeed beside the daemon, and every commit is a restore point."""
import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from application import SLOW_SYNC, all_errors
from control import assert_synced, wait_control
from seawall import DONE
from waiting import PATIENCE, let_pass, stays_true, wait_until
from walindex import CHECKPOINT_LOCK, freeze, holder

CHECKPOINT_S_MAX = 2       # without giving way, the watch would let a checkpoint wait for its busy timeout, 10 s
MODES = ("FULL", "RESTART", "TRUNCATE")
ROUNDS = int(os.environ.get("SEAWALL_TEST_ROUNDS", 40))


def application(stage, timeout=10):
    return sqlite3.connect(stage.db, isolation_level=None, timeout=timeout)


def insert(connection):
    connection.execute("INSERT INTO t(txn, payload) VALUES(0, randomblob(100))")


def checkpoint(connection, mode):
    begun = time.monotonic()
    busy, _, _ = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    took = time.monotonic() - begun
    assert busy == 0 and took < CHECKPOINT_S_MAX, f"{mode}: busy {busy} after {took:.3f} s"
    return took


def checkpoint_again(connection, mode):
    """Another checkpoint that runs, for example the daemon's at rest, makes SQLite answer busy at once, whatever the timeout."""
    wait_until(lambda: connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()[0] == 0, CHECKPOINT_S_MAX, "the checkpoint succeeds")


def patient_checkpoint(db):
    """A checkpoint that waits up to an hour. Returns whether it was busy."""
    with sqlite3.connect(db, isolation_level=None, timeout=3600) as connection:
        return connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]


def assert_every_commit_is_a_point(stage, daemon, commits):
    assert daemon.stop() == DONE
    assert "resyncs 1," in daemon.log(), "the pages were compared again after the start"
    assert len(stage.points()) == commits + 1
    stage.assert_restore_equals_source()


@pytest.mark.parametrize("pause", [0, 0.03])
@pytest.mark.parametrize("mode", MODES)
def test_a_checkpoint_of_the_application_succeeds_soon_after_a_commit(stage, mode, pause):
    stage.prepare()
    daemon = stage.replicate()
    app = application(stage)
    times = []
    rounds = ROUNDS if pause else 400   # without a pause the application is a fast writer soon
    for _ in range(rounds):
        insert(app)
        let_pass(pause, "the checkpoint comes at any moment after the commit")
        times.append(checkpoint(app, mode))
    app.close()
    stage.note(f"{mode} {pause * 1000:.0f} ms after a commit: at most {max(times) * 1000:.0f} ms")
    assert_every_commit_is_a_point(stage, daemon, rounds)


@pytest.mark.parametrize("pages", [900, 3000])
@pytest.mark.parametrize("mode", MODES)
def test_a_checkpoint_of_the_application_succeeds_soon_after_large_commits(stage, mode, pages):
    """Applications ask for it after a bulk load. The lock that the daemon keeps beside a fast writer is not kept until the database rests."""
    stage.prepare()
    daemon = stage.replicate("--rest-after", "1h")
    app = application(stage)
    for _ in range(4):
        app.execute("BEGIN")
        app.execute(f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {pages}) "
                    "INSERT INTO t(txn, payload) SELECT 0, randomblob(3500) FROM n")
        app.execute("COMMIT")
        let_pass(0.05, "the daemon has seen the commit, and copies it back")
        checkpoint_again(app, mode)
    app.close()
    assert_every_commit_is_a_point(stage, daemon, 4)


@pytest.mark.parametrize("mode", MODES)
def test_at_rest_a_checkpoint_of_the_application_succeeds_without_busy_timeout(stage, mode):
    stage.prepare()
    daemon = stage.replicate("--rest-after", 50)
    app = application(stage, timeout=0)
    for _ in range(5):
        insert(app)
        daemon.wait_for(lambda: stage.wal_bytes() == 0, 5, "the database is at rest")
        wait_until(lambda: holder(stage.db, CHECKPOINT_LOCK) == 0, 5, "the daemon's checkpoint has ended")
        for _ in range(3):
            checkpoint(app, mode)
    app.close()
    assert_every_commit_is_a_point(stage, daemon, 5)


def test_checkpoints_beside_a_writer_succeed_and_no_commit_is_missed(stage):
    stage.prepare()
    daemon = stage.replicate()
    writer = stage.writer(shared=True, rate=50, seconds=max(6, ROUNDS // 40), busy_timeout=10_000)
    writer.wait_committed(5)
    app, times, rounds = application(stage), [], 0
    while writer.running():
        times.append(checkpoint(app, MODES[rounds % 3]))
        rounds += 1
        let_pass(0.02, "a checkpoint at any moment")
    app.close()
    report = writer.finish()
    stage.note(f"{rounds} checkpoints beside a writer at 50/s: at most {max(times) * 1000:.0f} ms; longest commit {report['latency_us']['max'] / 1000:.0f} ms")
    assert rounds > 20 and report["commits"] > 200
    assert all_errors(report) == 0, report
    assert_every_commit_is_a_point(stage, daemon, report["commits"])


def test_a_checkpoint_that_never_gives_up_ends_when_the_daemon_goes_on(stage):
    stage.prepare()
    daemon = stage.replicate()
    app = application(stage)
    insert(app)
    daemon.wait_for(lambda: stage.last_txid() == 2, 5, "the commit is captured")
    freeze(daemon)
    insert(app)
    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(patient_checkpoint, stage.db)
        stays_true(lambda: not patient.done(), 0.3, "the checkpoint waits for the daemon, which is stopped")
        daemon.send(signal.SIGCONT)
        assert patient.result(CHECKPOINT_S_MAX) == 0
    app.close()
    assert_every_commit_is_a_point(stage, daemon, 2)


def test_the_wal_that_the_application_truncated_at_rest_is_followed(stage):
    """Each round resets the WAL twice before the daemon sees the next commit."""
    stage.prepare()
    daemon = stage.replicate("--rest-after", 30)
    app = application(stage)
    for _ in range(ROUNDS):
        checkpoint_again(app, "TRUNCATE")
        checkpoint_again(app, "TRUNCATE")
        insert(app)
        checkpoint_again(app, "TRUNCATE")
    app.close()
    assert_every_commit_is_a_point(stage, daemon, ROUNDS)


SLOW_CHECKPOINTS = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
db.execute("PRAGMA synchronous=NORMAL")
for _ in range(int(sys.argv[2])):
    db.execute("INSERT INTO t(txn, payload) VALUES(0, randomblob(100))")
    print(db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0], flush=True)
"""


@pytest.mark.parametrize("rest_after", [10, 30, 60])
def test_a_slow_checkpoint_of_the_application_at_rest_is_not_taken_for_a_replaced_file(stage, rest_after):
    """The daemon wants to checkpoint too, and finds that the application does: it lets that one end, and knows what it wrote."""
    stage.prepare()
    daemon = stage.replicate("--rest-after", rest_after)
    app = subprocess.run([sys.executable, "-c", SLOW_CHECKPOINTS, stage.db, "20"], capture_output=True, text=True, timeout=60 * PATIENCE,
                         env=dict(os.environ, LD_PRELOAD=str(SLOW_SYNC), SLOWSYNC_MS="25"))
    assert app.returncode == 0 and "0" in app.stdout.split(), app
    assert "were replaced or overwritten" not in daemon.log()
    assert_every_commit_is_a_point(stage, daemon, 20)


def test_while_the_daemon_waits_for_its_replica_a_checkpoint_of_the_application_succeeds(stage):
    stage.prepare()
    away = stage.folder / "not-mounted"
    daemon = stage.replicate(replica=away / "replica", live=False)
    daemon.wait_log("opened", 10)
    app = application(stage)
    for mode in MODES:
        insert(app)
        checkpoint(app, mode)
    app.close()
    stays_true(daemon.running, 0.2, "the daemon still waits")
    daemon.kill()


@pytest.mark.parametrize("mode", MODES)
def test_during_a_catch_up_a_checkpoint_of_the_application_succeeds(stage, s3, mode):
    """The daemon leaves commits in the WAL, so that the catch-up has an end: but not while a checkpoint keeps writers waiting for that."""
    stage.prepare()
    stage.replica = s3.url(timeout="60s")
    daemon = wait_control(stage.replicate("--put-rate", "never", live=False))
    assert_synced(stage.db)
    assert daemon.stop() == DONE
    app = application(stage)
    for _ in range(40):
        app.execute("INSERT INTO t(txn, payload) VALUES(0, randomblob(2000000))")
    with s3.server.fault("stall", on="put", key="*/part/*") as stalled:
        daemon = stage.replicate("--put-rate", "never", live=False)
        wait_until(lambda: stalled.met > 0, 20, "the store answers the catch-up no more")
        for _ in range(5):
            insert(app)
            checkpoint(app, mode)
        assert "a reader that stays open" not in daemon.log()   # it is the daemon itself
    app.close()
    assert_synced(stage.db)
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()


@pytest.mark.parametrize("mode", MODES)
def test_without_room_for_versions_a_checkpoint_of_the_application_succeeds(stage, s3, mode):
    """The daemon leaves commits in the WAL, so that none is given up: but not while a checkpoint keeps writers waiting for that."""
    stage.prepare()
    stage.replica = s3.url(timeout="60s")
    daemon = wait_control(stage.replicate("--put-rate", "never", "--max-pending", "1M", live=False))
    assert_synced(stage.db)
    app = application(stage)
    with s3.server.fault("stall", on="put") as stalled:
        insert(app)
        wait_until(lambda: stalled.met > 0, 20, "the store answers no more")
        for _ in range(10):
            app.execute("INSERT INTO t(txn, payload) VALUES(0, randomblob(300000))")
            checkpoint(app, mode)
    app.close()
    assert_synced(stage.db)
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()


@pytest.mark.parametrize("rest_after", ["10ms", "1h"])
@pytest.mark.parametrize("mode", MODES)
def test_while_the_daemon_stops_a_checkpoint_of_the_application_succeeds(stage, s3, mode, rest_after):
    """A stop can take long: the store does not answer. The last capture is done, so nothing has to be kept for it."""
    stage.prepare()
    stage.replica = s3.url(timeout="60s")
    daemon = wait_control(stage.replicate("--put-rate", "never", "--rest-after", rest_after, "--stop-timeout", "1m", live=False))
    assert_synced(stage.db)
    app = application(stage)
    with s3.server.fault("stall", on="put") as stalled:
        insert(app)
        wait_until(lambda: stalled.met > 0, 20, "the store answers no more")
        if rest_after != "1h":
            wait_until(lambda: os.path.getsize(f"{stage.db}-wal") == 0, 20, "the database rests")
        daemon.send(signal.SIGTERM)
        daemon.wait_log("stopping", 20)
        let_pass(0.3, "the last capture is done")
        for _ in range(3):
            insert(app)
            checkpoint(app, mode)
        assert daemon.running()
    assert daemon.wait() == DONE   # what was captured is durable
    app.close()
    daemon = stage.replicate()
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()
