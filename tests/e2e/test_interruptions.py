"""The daemon is stopped, killed, or can't reach its store: the application continues, and no durable commit is lost."""
import signal

from application import all_errors, check
from compare import drop
from seawall import DONE
from waiting import figure, stays_true
from walindex import freeze

WAL_LIMIT = 64 << 20


def test_a_frozen_daemon_delays_nobody_and_captures_everything_afterwards(stage):
    stage.prepare()
    daemon = stage.replicate()
    app = stage.writer(rate=1000, rows=2, busy_timeout=5000)
    app.wait_committed(500)
    freeze(daemon)
    before, wal_before = app.committed(), stage.wal_bytes()
    seconds = figure(30, 6)
    stays_true(app.running, seconds, "the application runs while the daemon is frozen")
    after = app.committed()
    assert after - before > seconds * 1000 * 0.8, "the application was delayed"
    assert stage.wal_bytes() > wal_before
    daemon.send(signal.SIGCONT)
    daemon.wait_for(lambda: check_newest(stage) >= after, 60, "what was committed meanwhile is captured")
    report = app.stop()
    assert all_errors(report) == 0, report
    daemon.wait_for(lambda: stage.wal_bytes() == 0, 10, "the WAL is empty again at rest")
    assert daemon.stop() == DONE
    assert check(stage.assert_restore_equals_source(), rows=2) == report["last"]


def check_newest(stage, rows=2):
    restored = stage.restored()
    last = check(restored, rows=rows)
    drop(restored)
    return last


def test_a_stop_under_load_ships_what_was_committed_before_it(stage):
    stage.prepare()
    for number in (signal.SIGTERM, signal.SIGINT):
        daemon = stage.replicate()
        app = stage.writer(rate=2000, busy_timeout=5000)
        app.wait_committed(app.committed() + 1500)
        before = app.committed()
        assert daemon.stop(number) == DONE
        assert check_newest(stage, rows=1) >= before
        app.stop()
    daemon = stage.replicate()
    daemon.stop()
    stage.assert_restore_equals_source()


def test_an_outage_of_the_store_costs_neither_commits_nor_disk(stage):
    stage.prepare()
    daemon = stage.replicate("--wal-limit", WAL_LIMIT)
    app = stage.writer(rate=1500, busy_timeout=5000)
    app.wait_committed(500)
    away = stage.folder / "replica-away"
    stage.replica.rename(away)
    stage.replica.write_text("no folder: nothing can be stored here")
    start = app.committed()
    longest = stage.longest_wal_while(lambda: app.committed() < start + figure(60, 5) * 1500)
    assert daemon.running()
    assert longest < WAL_LIMIT
    stage.replica.unlink()
    away.rename(stage.replica)
    target = app.committed()
    daemon.wait_for(lambda: check_newest(stage, rows=1) >= target, 60, "the replica has caught up after the outage")
    report = app.stop()
    assert all_errors(report) == 0, report
    assert daemon.stop() == DONE
    assert check(stage.assert_restore_equals_source()) == report["last"]


def test_a_stop_that_cannot_ship_does_not_exit_with_zero(stage):
    stage.prepare()
    daemon = stage.replicate()
    away = stage.folder / "replica-away"
    stage.replica.rename(away)
    stage.replica.write_text("no folder: nothing can be stored here")
    app = stage.writer(count=50)
    last = app.finish()["last"]
    daemon.send(signal.SIGTERM)
    stays_true(lambda: daemon.process.poll() != DONE, 2, "the daemon does not exit with 0")
    daemon.send(signal.SIGTERM)   # a second signal ends it at once
    assert daemon.wait(10) != DONE

    stage.replica.unlink()
    away.rename(stage.replica)
    daemon = stage.replicate()
    daemon.wait_log("opened")   # before that, a signal ends it as it ends any process
    assert daemon.stop() == DONE
    assert check(stage.assert_restore_equals_source()) == last
