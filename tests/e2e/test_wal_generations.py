"""After a reset without truncation the WAL still has the bytes of the generation before. If all processes die then, the next process that
opens the database recovers those bytes as the current WAL. None of their commits is new."""
import re
import signal
import sqlite3

import pytest

import walindex
from application import check
from compare import copy_file, drop
from seawall import COMPARED, DONE, level_zero
from waiting import figure

ROUNDS = figure(20, 3)
BUSY = ("--wal-target", 10, "--rest-after", 3_600_000)   # resets under load as often as possible, and no truncation
QUIET = ("--rest-after", 3_600_000)


def old_bytes_left(db):
    """Whether a new generation of the WAL has begun while the file still has the bytes of the one before."""
    salts, last_frame = walindex.generation(db)
    return last_frame == 0 and walindex.salts_in_wal(db) not in (b"", salts)


def frozen_after_a_reset(app):
    """Stops the application. The daemon uses the pause to reset the WAL if it is long enough."""
    walindex.freeze(app)
    if any(old_bytes_left(app.db) for _ in range(8)):
        return True
    app.send(signal.SIGCONT)
    return False


def recovered_frames(stage):
    """How many frames SQLite recovers from the WAL as it is, in a copy of the database."""
    copy = stage.folder / "recovered.db"
    drop(copy)
    for suffix in ("", "-wal"):
        copy_file(f"{stage.db}{suffix}", f"{copy}{suffix}")
    connection = sqlite3.connect(copy)
    frames = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    connection.close()
    return frames


def kill_all_after_a_reset(stage):
    """Kills all processes under load, after the daemon has reset the WAL. Returns the newest txid of the replica."""
    daemon = stage.replicate(*BUSY)
    app = stage.writer(rate=500, busy_timeout=10000)
    app.wait_committed(app.committed() + 100)
    daemon.wait_for(lambda: frozen_after_a_reset(app), 20, "the daemon has reset the log without truncating it")
    daemon.wait_for(stage.restores_source, 20, "the replica has everything")
    daemon.kill()   # before the application: otherwise it would truncate the WAL in the pause
    app.kill()
    assert recovered_frames(stage) > 0, "SQLite does not take the bytes that were left for the current WAL: nothing is tested"
    return stage.last_txid(), level_zero(stage.replica)


def open_database(stage):
    """An application opens the database and the WAL."""
    app = sqlite3.connect(stage.db, isolation_level=None, timeout=20)
    app.execute("SELECT count(*) FROM t").fetchone()
    return app


@pytest.mark.parametrize("first", ["the daemon", "an application"])
def test_commits_of_a_generation_that_came_back_are_not_shipped_again(stage, first):
    stage.prepare()
    for _ in range(ROUNDS):
        last, objects = kill_all_after_a_reset(stage)
        app = open_database(stage) if first == "an application" else None
        daemon = stage.replicate(*QUIET)
        daemon.wait_for(lambda: "continues at txid" in daemon.log(), 10, "the daemon knows the replica")
        daemon.wait_for(lambda: ": opened" in daemon.log(), 10, "the daemon has opened the database")
        if app:
            app.close()
        assert daemon.stop() == DONE
        assert not re.search(COMPARED, daemon.log()), "the generation was not recognised"
        assert stage.last_txid() == last, "something was shipped as new"
        assert level_zero(stage.replica) == objects
    check(stage.assert_restore_equals_source())


def test_commits_behind_a_generation_that_came_back_are_the_only_new_ones(stage):
    commits = 7
    stage.prepare()
    for _ in range(ROUNDS):
        last, _ = kill_all_after_a_reset(stage)
        app = open_database(stage)
        number = app.execute("SELECT txn FROM t ORDER BY id DESC LIMIT 1").fetchone()[0]
        writer = stage.writer(count=commits, linger=True)   # its frames follow those that were recovered
        assert writer.report()["last"] == number + commits
        daemon = stage.replicate(*QUIET)
        daemon.wait_for(stage.restores_source, 20, "the replica has the new commits")
        assert stage.last_txid() == last + commits, "the new commits are not restore points of their own"
        app.close()
        writer.stop()
        assert daemon.stop() == DONE
    check(stage.assert_restore_equals_source())


@pytest.mark.parametrize("rate", [20, 100, 1000])
def test_a_restart_beside_an_application_that_commits_all_the_time_compares_no_pages(stage, rate):
    """The application goes on in the WAL generation in which the daemon stopped, or in the one that it began after the file had a stamp."""
    stage.prepare()
    daemon = stage.replicate()
    app = stage.writer(rate=rate)
    for _ in range(4):
        app.wait_committed(app.committed() + 20)
        assert daemon.stop() == DONE
        app.wait_committed(app.committed() + 10)
        commits = app.committed()
        daemon = stage.replicate()
        daemon.wait_for(lambda: len(stage.points()) >= commits, 20, "it has what was committed meanwhile")
        assert not re.search(COMPARED, daemon.log())
        assert "become one restore point" not in daemon.log()
    last = app.stop()["last"]
    assert daemon.stop() == DONE
    assert check(stage.assert_restore_equals_source()) == last
    points = stage.points()
    assert points == list(range(points[0], points[0] + len(points))) and len(points) >= last
