"""An application that is killed while it writes the wal-index header leaves two copies that differ, or a damaged one. Other processes must then
recover the WAL, and need the checkpoint lock for that, which the daemon keeps under load."""
import signal
import sqlite3

import pytest

import walindex
from application import all_errors, check
from seawall import DONE
from waiting import figure, stays_true

LONGEST_WAIT_US = 1_200_000
ROUNDS = figure(10, 3)
RESETS = ("--lock-at", 5, "--wal-target", 10, "--rest-after", 20)   # resets of the WAL as often as possible


def start_load(stage):
    """Starts two applications, and a daemon, which keeps the checkpoint lock."""
    stage.prepare()
    daemon = stage.replicate()
    writers = [stage.writer(shared=True, rate=800, rows=2, busy_timeout=8000) for _ in range(2)]
    wait_lock_kept(stage, daemon, writers)
    return daemon, writers


def wait_lock_kept(stage, daemon, writers):
    for writer in writers:
        writer.wait_committed(writer.committed() + 50)
    daemon.wait_for(lambda: walindex.holder(stage.db, walindex.CHECKPOINT_LOCK) == daemon.pid, 10,
                    "the daemon keeps the checkpoint lock under load")


def die_in_header(stage, commits, rows=2, **more):
    """Runs an application that commits, is killed in its last commit, and leaves a torn header."""
    victim = stage.writer(shared=True, rows=rows, busy_timeout=8000, count=commits, die_in_header=True, **more)
    victim.process.wait(60)
    assert victim.process.returncode == -9, victim.log()


def assert_unharmed(stage, daemon, writers):
    reports = [writer.stop() for writer in writers]
    longest = max(report["latency_us"]["max"] for report in reports)
    stage.note(f"torn wal-index header, {ROUNDS} times: the others waited at most {longest / 1000:.0f} ms")
    for report in reports:
        assert all_errors(report) == 0, report
    assert daemon.stop() == DONE
    committed = {n for writer in stage.writers for n, _ in writer.journal()}
    last = check(stage.assert_restore_equals_source(), rows=2)
    assert committed <= set(range(1, last + 1)), "a commit was lost"
    assert longest < LONGEST_WAIT_US


def test_an_application_killed_between_the_two_header_copies_delays_the_others_briefly(stage):
    daemon, writers = start_load(stage)
    for _ in range(ROUNDS):
        die_in_header(stage, 20)
        wait_lock_kept(stage, daemon, writers)
    assert_unharmed(stage, daemon, writers)


@pytest.mark.parametrize("copy", [0, 1])
def test_a_damaged_copy_of_the_header_delays_the_others_briefly(stage, copy):
    daemon, writers = start_load(stage)
    for _ in range(ROUNDS):
        walindex.tear(stage.db, copy)
        wait_lock_kept(stage, daemon, writers)
    assert_unharmed(stage, daemon, writers)


def reset_log(stage):
    """Another connection recovers the WAL, and begins a new generation if no lock prevents that."""
    other = sqlite3.connect(stage.db, isolation_level=None, timeout=8)
    other.execute("SELECT count(*) FROM t").fetchone()
    other.execute("PRAGMA busy_timeout=0")
    busy = [other.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()[0] for mode in ("RESTART", "TRUNCATE")]
    other.close()
    return not any(busy)


def test_a_commit_of_an_application_that_died_in_it_just_before_a_reset_is_a_restore_point(stage):
    stage.prepare()
    daemon = stage.replicate(*RESETS)
    before = stage.last_txid()
    large = {"rows": 2000, "size": 20}   # so that a transaction keeps the write lock for milliseconds
    load = stage.writer(shared=True, rate=15, busy_timeout=8000, **large)
    for number in range(figure(100, 20)):
        die_in_header(stage, 2, **large)   # the daemon waits for the write lock, and then begins a new generation of the WAL
        if number % 4 == 0:
            reset_log(stage)
        load.wait_committed(load.committed() + 1)
    assert all_errors(load.stop()) == 0
    assert daemon.stop() == DONE
    last = check(stage.assert_restore_equals_source(), **large)
    assert stage.points() == list(range(1, before + last + 1))


def test_a_commit_of_an_application_that_died_in_it_is_not_missed_when_others_reset_the_log_under_a_dead_daemon(stage):
    stage.prepare()
    for number in range(ROUNDS):
        daemon = stage.replicate(*RESETS)
        keeper = sqlite3.connect(stage.db, isolation_level=None)   # keeps the wal-index when the other processes have ended
        keeper.execute("SELECT count(*) FROM t").fetchone()
        daemon.kill()
        die_in_header(stage, 3)
        assert reset_log(stage), "the log was not reset: nothing is tested"
        keeper.close()
        daemon = stage.replicate(*RESETS)
        daemon.wait_for(stage.restores_source, 10, "the replica has everything")
        assert check(stage.restored(), rows=2) == 3 * (number + 1)
        assert daemon.stop() == DONE


def checkpoint_of_others(stage, reader):
    """Copies back the frames that the watch allows. The reader has kept the daemon from copying them."""
    reader.close()
    other = sqlite3.connect(stage.db, isolation_level=None)
    busy, frames, copied = other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    other.close()
    assert not busy and frames == copied > 0, "nothing was copied: nothing is tested"


def test_a_recovery_after_a_checkpoint_of_others_does_not_pass_for_a_replaced_file(stage):
    """The recovery sets back the number of frames that are copied back."""
    stage.prepare()
    daemon = stage.replicate()
    daemon.wait_for(lambda: stage.wal_bytes() == 0, 10, "the database is at rest")
    reader = sqlite3.connect(stage.db, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchone()
    stage.writer(shared=True, rows=2, count=10).finish()
    daemon.wait_for(stage.restores_source, 10, "the replica has everything")
    walindex.freeze(daemon)
    checkpoint_of_others(stage, reader)
    die_in_header(stage, 3)
    sqlite3.connect(stage.db).execute("SELECT count(*) FROM t").fetchone()   # recovers the WAL
    daemon.send(signal.SIGCONT)
    daemon.wait_for(stage.restores_source, 10, "the replica has everything")
    stays_true(lambda: "were replaced or overwritten" not in daemon.log(), 1.2, "the files were not replaced")
    assert daemon.stop() == DONE
    assert check(stage.assert_restore_equals_source(), rows=2) == 13
    assert stage.points() == list(range(1, 15))
