"""Several replicas of one database: each has a position of its own, and none waits for another."""
import os
import re
import sqlite3
from contextlib import closing

import pytest

from application import all_errors, check
from control import assert_synced, status, wait_control
from seawall import DONE, last_txid, restore, restore_points
from waiting import figure, wait_until

ROWS = 2


def start(stage, faults, count, *options):
    """Starts a daemon with `count` replicas of one database, and an application. Returns (replicas, daemon, application)."""
    stage.prepare()
    replicas = [stage.folder / f"replica-{i + 1}" for i in range(count)]
    daemon = faults.replicate_to(replicas, *options)
    wait_live(daemon, replicas)
    app = stage.writer(rate=300, rows=ROWS, busy_timeout=20000)
    wait_shipped(daemon, app, replicas, 50)
    return replicas, daemon, app


def wait_live(daemon, replicas):
    for replica in replicas:
        daemon.wait_for(lambda: last_txid(replica) >= 1, 20, f"{replica.name} has a restore point")


def wait_shipped(daemon, app, replicas, commits):
    """Waits until the application has made more commits, and each of these replicas has them."""
    txids = {replica: last_txid(replica) for replica in replicas}
    app.wait_committed(app.committed() + commits)
    for replica, txid in txids.items():
        daemon.wait_for(lambda: last_txid(replica) >= txid + commits, 20, f"{replica.name} follows")


def take_away(faults, daemon, replica):
    """Makes the replica unreachable. Returns its position."""
    faults.on("open-fails", f"{replica}/*")
    wait_missed(daemon, replica)
    return last_txid(replica)


def wait_missed(daemon, replica):
    daemon.wait_for(lambda: re.search(f"{replica}': .*trying again", daemon.log()), 10, f"{replica.name} is missed")


def assert_every_commit(replica, since, until):
    assert set(range(since, until + 1)) <= set(restore_points(replica)), f"{replica.name} lacks a commit as a restore point"


def wait_caught_up(stage, daemon, replica, txid, since):
    """Waits until the replica has caught up: the commits that it missed after `since` are one restore point."""
    daemon.wait_for(lambda: last_txid(replica) >= txid, 30, f"{replica.name} catches up")
    points = [point for point in restore_points(replica) if point >= since]
    gaps = [(last, first) for last, first in zip(points, points[1:]) if first > last + 1]
    assert len(gaps) == 1, f"after {since}: {gaps}"
    restored = stage.folder / "caught-up.db"
    assert restore(replica, restored, "--txid", gaps[0][1]).returncode == DONE
    check(restored, rows=ROWS)


def assert_all_equal_source(stage, replicas, daemon, app):
    report = app.stop()
    assert all_errors(report) == 0, report
    assert daemon.stop() == DONE, daemon.log()
    for stage.replica in replicas:
        assert check(stage.assert_restore_equals_source(), rows=ROWS) == report["last"]


def test_a_replica_that_is_away_for_long_catches_up_with_one_restore_point(stage, faults):
    (healthy, absent), daemon, app = start(stage, faults, 2, "--max-pending", "1M")   # commits beyond that are not kept
    since = take_away(faults, daemon, absent)
    wait_shipped(daemon, app, [healthy], figure(9_000, 1200))
    assert last_txid(absent) == since
    faults.off("open-fails")
    until = last_txid(healthy)
    wait_caught_up(stage, daemon, absent, until, since)
    wait_shipped(daemon, app, [healthy, absent], 100)
    assert_every_commit(healthy, since, last_txid(healthy))
    assert_all_equal_source(stage, [healthy, absent], daemon, app)


def test_a_slow_replica_holds_up_none_of_the_others_and_catches_up(stage, faults):
    replicas, daemon, app = start(stage, faults, 3)
    *healthy, slow = replicas
    since = last_txid(slow)
    for _ in range(figure(20, 3)):
        faults.on("link-hangs", f"{slow}/*")
        daemon.wait_for(lambda: faults.met("link-hangs"), 10, "a replica hangs")
        wait_shipped(daemon, app, healthy, 200)
        faults.off("link-hangs")
        wait_shipped(daemon, app, [slow], 1)
    until = last_txid(healthy[0])
    daemon.wait_for(lambda: last_txid(slow) >= until, 20, "the slow replica has caught up")
    for replica in healthy:
        assert_every_commit(replica, since, until)
    assert_all_equal_source(stage, replicas, daemon, app)


@pytest.mark.parametrize("count", [2, 3])
def test_replicas_at_different_positions_survive_kills(stage, faults, count):
    replicas, daemon, app = start(stage, faults, count)
    absent = replicas[-1]
    for _ in range(figure(20, 2)):
        take_away(faults, daemon, absent)
        wait_shipped(daemon, app, replicas[:-1], 60)
        daemon.kill()
        app.wait_committed(app.committed() + 30)
        daemon = faults.replicate_to(replicas)
        wait_missed(daemon, absent)
        wait_shipped(daemon, app, replicas[:-1], 60)
        durable = {replica: last_txid(replica) for replica in replicas}
        assert len(set(durable.values())) > 1, "all replicas are at one position: nothing is tested"
        daemon.kill()
        faults.off("open-fails")
        for replica, txid in durable.items():
            assert txid in restore_points(replica)
        daemon = faults.replicate_to(replicas)
        wait_shipped(daemon, app, replicas, 60)
    assert_all_equal_source(stage, replicas, daemon, app)


def test_a_replica_that_is_added_at_a_later_start_gets_the_database(stage, faults):
    (first,), daemon, app = start(stage, faults, 1)
    since = last_txid(first)
    assert daemon.stop() == DONE
    added = stage.folder / "added"
    daemon = faults.replicate_to([first, added])
    wait_live(daemon, [added])
    wait_shipped(daemon, app, [first, added], 100)
    assert since in restore_points(first)
    assert_all_equal_source(stage, [first, added], daemon, app)


def test_a_replica_that_is_away_at_a_start_keeps_none_of_the_others_waiting(stage, faults):
    (healthy, absent), daemon, app = start(stage, faults, 2)
    assert daemon.stop() == DONE
    away = stage.folder / "away"
    absent.rename(away)
    absent.write_text("no folder: nothing can be stored here")
    daemon = faults.replicate_to([healthy, absent])
    wait_shipped(daemon, app, [healthy], 100)
    wait_missed(daemon, absent)
    absent.unlink()
    away.rename(absent)
    wait_shipped(daemon, app, [healthy, absent], 100)
    assert_all_equal_source(stage, [healthy, absent], daemon, app)


def test_without_any_replica_a_start_fails(stage):
    stage.prepare()
    stage.replica.write_text("no folder: nothing can be stored here")
    daemon = stage.replicate(live=False)
    assert daemon.wait(10) not in (DONE, None), daemon.log()
    assert "not a folder" in daemon.log()


def test_a_replica_that_hangs_at_a_start_keeps_none_of_the_others_waiting(stage, faults):
    stage.prepare()
    healthy, hanging = stage.folder / "replica-1", stage.folder / "replica-2"
    hanging.mkdir()
    os.mkfifo(hanging / "seawall.json")   # a process that opens it waits for a writer
    daemon = faults.replicate_to([healthy, hanging])
    wait_live(daemon, [healthy])
    app = stage.writer(rate=300, rows=ROWS, busy_timeout=20000)
    wait_shipped(daemon, app, [healthy], 100)
    app.stop()


def test_folders_with_any_name_that_are_away_at_the_start_are_told_apart(stage):
    away = ["/proc/none@1", "/proc/none@2", "/proc/none?3"]   # no user can make a folder there
    stage.prepare()
    daemon = stage.replicate(also=away)
    for path in away:
        daemon.wait_log(re.escape(f"'file://{path}': trying again"))
    assert daemon.running()


def test_a_replica_that_catches_up_slowly_delays_no_other(stage, s3):
    """During a catch-up the daemon leaves commits in the WAL: but not if another replica could have them."""
    stage.prepare()
    slow, folder = s3.url(timeout="60s"), stage.folder / "replica"
    stage.replica = folder
    options = ("--put-rate", "never", "--rest-after", "1h")
    daemon = wait_control(stage.replicate(*options, also=(slow,)))
    assert_synced(stage.db)
    assert daemon.stop() == DONE
    with closing(sqlite3.connect(stage.db, isolation_level=None, timeout=10)) as app:
        for _ in range(40):   # more than may wait: both replicas catch up
            app.execute("INSERT INTO t(txn, payload) VALUES(0, randomblob(2000000))")
        with s3.server.fault("stall", on="put", key="*/part/*") as stalled:
            daemon = stage.replicate(*options, also=(slow,), live=False)
            wait_until(lambda: stalled.met > 0, 30, "the store answers the catch-up no more")
            wait_until(lambda: any(one["lag_transactions"] == 0 for one in status(stage.db)["replicas"]), 30, "the folder has caught up")
            for _ in range(5):
                before = last_txid(folder)
                app.execute("INSERT INTO t(txn, payload) VALUES(0, 'one')")
                wait_until(lambda: last_txid(folder) > before, 20, "the folder has the commit")
    assert_synced(stage.db)
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()
    stage.replica = slow
    stage.assert_restore_equals_source()
