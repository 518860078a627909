"""Checkpoints of the daemon disturb neither readers nor applications without a busy timeout."""
import sqlite3

import pytest

from application import all_errors, busy_errors, check
from seawall import DONE
from waiting import figure, stays_true, wait_until

OFTEN = ("--lock-at", 10, "--wal-target", 40, "--rest-after", 20)   # checkpoints and resets as often as possible
WAL_LIMIT = 64 << 20


def reader_of(db):
    connection = sqlite3.connect(db, isolation_level=None, timeout=0)
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM t").fetchone()
    return connection


def test_a_reader_that_began_when_the_wal_was_copied_back_can_write_later(stage):
    stage.prepare()
    daemon = stage.replicate("--rest-after", 100)
    app = sqlite3.connect(stage.db, isolation_level=None, timeout=5)
    for _ in range(5):
        app.execute("INSERT INTO t(txn, payload) VALUES(0, zeroblob(5000))")
        wait_until(lambda: len(set(app.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1:])) == 1, 5, "the WAL is copied back")
        reader = reader_of(stage.db)
        stays_true(daemon.running, 0.5, "the daemon runs, and must not truncate the WAL although it is due")
        reader.execute("INSERT INTO t(txn, payload) VALUES(0, zeroblob(10))")
        reader.execute("COMMIT")
        reader.close()
    app.close()
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()


@pytest.mark.parametrize("rows", [1, 60])
def test_a_transaction_that_reads_first_never_gets_busy_snapshot_from_a_checkpoint_of_the_daemon(stage, rows):
    stage.prepare()
    daemon = stage.replicate(*OFTEN)
    app = stage.writer(seconds=figure(60, 5), read_first=True, shared=True, hold=3, pause=1, rows=rows, busy_timeout=5000)
    report = app.finish()
    stage.note(f"a transaction that reads first, checkpoints as often as can be: {report['episodes']} times SQLITE_BUSY "
               f"in {report['commits']} commits, no SQLITE_BUSY_SNAPSHOT")
    assert report["commits"] > 50
    # SQLite calls no busy handler for a transaction that has read: it gets SQLITE_BUSY in the moments of a WAL restart
    assert all_errors(report) == report["errors"]["busy"], report
    assert report["episodes"] <= report["commits"] // 10, report
    assert daemon.stop() == DONE
    assert check(stage.assert_restore_equals_source(), rows=rows) == report["last"]


@pytest.mark.parametrize("readers, pause_ms", [(1, 0), (3, 3)])
def test_readers_back_to_back_do_not_keep_the_wal_from_being_reset(stage, readers, pause_ms):
    stage.prepare()
    daemon = stage.replicate("--wal-limit", WAL_LIMIT, "--wal-target", 1000)
    seconds = figure(60, 8)
    crowd = [stage.writer(mode="read", hold=3, pause=pause_ms, busy_timeout=5000, seconds=seconds + 60) for _ in range(readers)]
    app = stage.writer(rate=1500, seconds=seconds, busy_timeout=5000)
    longest = stage.longest_wal_while(app.running)
    report = app.finish()
    reports = [reader.stop() for reader in crowd]
    stage.note(f"{readers} readers back to back, pause {pause_ms} ms: WAL at most {longest / (1 << 20):.1f} MiB after {report['commits']} "
               f"commits, longest commit {report['latency_us']['max'] / 1000:.1f} ms")
    assert report["commits"] > seconds * 500
    assert all_errors(report) == 0, report
    assert all(all_errors(each) == 0 and each["torn_reads"] == 0 for each in reports), reports
    assert longest < WAL_LIMIT
    assert daemon.stop() == DONE
    assert check(stage.assert_restore_equals_source()) == report["last"]


def load_without_timeouts(stage, db, writers):
    """Runs writers without a busy timeout, beside long readers. `writers`: their options. Returns the reports of the writers."""
    readers = [stage.writer(db=db, mode="read", hold=700, seconds=3600) for _ in range(2)]
    apps = [stage.writer(db=db, shared=True, busy_timeout=0, seconds=figure(60, 6), **options) for options in writers]
    reports = [app.finish() for app in apps]
    assert all(all_errors(reader.stop()) == 0 for reader in readers), "a reader met an error"
    return reports


def test_an_application_without_busy_timeout_gets_busy_only_in_the_moments_of_a_wal_restart(stage):
    stage.prepare()
    daemon = stage.replicate("--wal-target", 1000)
    (report,) = load_without_timeouts(stage, stage.db, [{"rate": 2000}])
    stage.note(f"one writer without busy_timeout, two long readers: {report['episodes']} times SQLITE_BUSY "
               f"in {report['commits']} commits, longest {report['latency_us']['max'] / 1000:.1f} ms")
    assert all_errors(report) == busy_errors(report), report
    assert report["errors"]["busy_snapshot"] == 0
    assert report["episodes"] <= max(3, report["commits"] // 1000), report
    assert daemon.stop() == DONE
    assert check(stage.assert_restore_equals_source()) == report["last"]


def share_of_busy(reports):
    for report in reports:
        assert all_errors(report) == busy_errors(report), report
    return sum(report["episodes"] for report in reports) / sum(report["commits"] for report in reports)


def test_two_applications_without_busy_timeout_get_busy_no_more_often_than_alone(stage):
    """In one of three runs: a machine with other work suspends a writer in a transaction, beside the daemon or alone."""
    alone_db = stage.folder / "alone.db"
    two = [{"rate": 500}, {"rate": 500}]
    stage.writer(db=alone_db, count=0).finish()
    stage.prepare()
    daemon = stage.replicate()
    for _ in range(3):
        alone, beside = (share_of_busy(load_without_timeouts(stage, db, two)) for db in (alone_db, stage.db))
        stage.note(f"two writers without busy_timeout: SQLITE_BUSY in {alone:.3%} of commits alone, {beside:.3%} beside the daemon")
        if beside <= 2 * alone + 0.005:
            break
    assert beside <= 2 * alone + 0.005
    assert daemon.stop() == DONE
    check(stage.assert_restore_equals_source())


def test_applications_with_a_busy_timeout_and_long_readers_get_no_error(stage):
    stage.prepare()
    daemon = stage.replicate("--wal-target", 1000)
    readers = [stage.writer(mode="read", hold=hold, seconds=3600) for hold in (1500, 400, 30)]
    apps = [stage.writer(shared=True, busy_timeout=5000, rate=rate, rows=rows, seconds=figure(60, 6)) for rate, rows in ((2000, 3), (300, 3))]
    reports = [app.finish() for app in apps]
    read = [reader.stop() for reader in readers]
    assert [report for report in reports + read if all_errors(report)] == []
    assert all(report["torn_reads"] == 0 for report in read)
    assert daemon.stop() == DONE
    committed = sum(report["commits"] for report in reports)
    assert check(stage.assert_restore_equals_source(), rows=3) == committed
