"""The files of the database are removed, or replaced by other files or an older copy. Then the application starts again. Its commits are not
lost, and the replica follows with a new restore point."""
import os
import re
import subprocess

import pytest

from application import check
from compare import assert_sound, copy_file
from seawall import COMPARED, DONE

NEVER_MS = 3_600_000
REPLACED = "replaced or overwritten"   # the log of a running daemon says so
AWAY_OR_REPLACED = f"{REPLACED}|there is no database"   # the second one if it looks before the other file is in its place
FIRST, LATER, OTHER = 10, 150, 400   # transactions when a copy is made; at the end; of another database


def overwrite(source, target, *options):
    """Overwrites a file as `cp` does: it keeps its inode."""
    inode = target.stat().st_ino
    subprocess.run(["cp", *options, source, target], check=True)
    assert target.stat().st_ino == inode


def wait_at_rest(stage, daemon):
    daemon.wait_for(lambda: stage.wal_bytes() == 0, 10, "the database is at rest")


def assert_followed(stage, daemon, last, old):
    """Database and replica have all commits of the application. Earlier points can still be restored."""
    assert_sound(stage.db)
    assert check(stage.db) == last
    if daemon.running():
        daemon.wait_for(stage.restores_source, 20, "the replica has followed")
    stage.assert_restore_equals_source()
    assert check(stage.restored()) == last
    old_txid, old_last = old
    assert stage.last_txid() > old_txid
    assert check(stage.restored(old_txid)) == old_last, "an old restore point is lost"


def start(stage):
    """Starts a daemon on a database with some commits. Returns the daemon, and the newest point of its replica."""
    stage.prepare()
    daemon = stage.replicate()
    stage.commit_up_to(LATER)
    wait_at_rest(stage, daemon)
    daemon.wait_for(stage.restores_source, 10, "the replica has everything")
    return daemon, (stage.last_txid(), LATER)


def another(stage, last=OTHER):
    other = stage.folder / "other.db"
    stage.writer(db=other, count=last).finish()
    return other


@pytest.mark.parametrize("how", ["removed", "overwritten", "moved over"])
def test_an_application_that_starts_on_replaced_files_under_the_daemon_loses_nothing(stage, how):
    daemon, old = start(stage)
    other = another(stage)
    stage.remove_files("-wal", "-shm")   # as SQLite does without the daemon
    if how == "overwritten":
        overwrite(other, stage.db)
    elif how == "moved over":
        os.replace(other, stage.db)
    last = (LATER if how == "removed" else OTHER) + 30
    stage.commit_up_to(last)
    daemon.wait_for(lambda: REPLACED in daemon.log(), 30, "the daemon has noticed")
    assert_followed(stage, daemon, last, old)
    stage.commit_up_to(last + 5)
    assert_followed(stage, daemon, last + 5, old)
    daemon.told_once(REPLACED)
    assert daemon.stop() == DONE


@pytest.mark.parametrize("how", ["overwritten", "moved over"])
@pytest.mark.parametrize("size", [3, OTHER])
def test_another_database_in_the_place_of_the_first_is_taken_up_with_the_wal_left_there(stage, how, size):
    daemon, old = start(stage)
    other = another(stage, size)
    if how == "overwritten":
        overwrite(other, stage.db)
    else:
        os.replace(other, stage.db)
    daemon.wait_for(lambda: REPLACED in daemon.log(), 30, "the daemon has noticed")   # an application that comes before
    daemon.wait_for(stage.restores_source, 20, "the replica has followed")            # uses the wal-index of the old file
    stage.commit_up_to(size + 30)
    assert_followed(stage, daemon, size + 30, old)
    daemon.told_once(REPLACED)
    assert daemon.stop() == DONE


@pytest.mark.parametrize("how", ["overwritten", "moved over"])
def test_a_daemon_that_is_stopped_just_when_the_files_were_replaced_ships_the_new_ones(stage, how):
    daemon, old = start(stage)
    other = another(stage)
    stage.remove_files("-wal", "-shm")
    if how == "overwritten":
        overwrite(other, stage.db)
    else:
        os.replace(other, stage.db)
    assert daemon.stop() == DONE
    assert_followed(stage, daemon, OTHER, old)


def with_older_copy(stage, *options):
    """Makes transactions up to LATER, and beside them a copy of database and WAL as they were at FIRST."""
    stage.prepare()
    daemon = stage.replicate("--rest-after", NEVER_MS, *options)
    apps = [stage.writer(count=FIRST, linger=True)]
    apps[0].report()
    for suffix in ("", "-wal"):
        copy_file(f"{stage.db}{suffix}", stage.folder / f"older.db{suffix}")
    apps.append(stage.writer(count=LATER - FIRST, linger=True))
    assert apps[1].report()["last"] == LATER
    daemon.wait_for(stage.restores_source, 10, "the replica has everything")
    return daemon, apps, (stage.last_txid(), LATER)


def put_back(stage, wal):
    stage.remove_files("", "-wal", "-shm")
    (stage.folder / "older.db").rename(stage.db)
    if wal:
        (stage.folder / "older.db-wal").rename(stage.wal)


@pytest.mark.parametrize("wal", [True, False])
@pytest.mark.parametrize("running", [True, False])
def test_an_older_copy_of_the_database_becomes_a_new_restore_point(stage, wal, running):
    daemon, apps, old = with_older_copy(stage)
    for app in apps:
        app.stop()
    wait_at_rest(stage, daemon)
    if not running:
        assert daemon.stop() == DONE
    put_back(stage, wal)
    if not running:
        daemon = stage.replicate()
    daemon.wait_for(lambda: re.search(AWAY_OR_REPLACED if running else COMPARED, daemon.log()), 30, "the daemon has noticed")
    older = FIRST if wal else 0
    daemon.wait_for(stage.restores_source, 20, "the older state is the newest restore point")
    assert_followed(stage, daemon, older, old)
    stage.commit_up_to(older + 20)
    assert_followed(stage, daemon, older + 20, old)
    daemon.told_once(AWAY_OR_REPLACED if running else COMPARED)
    assert daemon.stop() == DONE


def test_an_older_wal_that_has_grown_again_is_not_taken_for_the_one_that_was_captured(stage):
    daemon, apps, old = with_older_copy(stage, "--wal-target", 100_000)
    for process in (daemon, *apps):
        process.kill()
    put_back(stage, wal=True)
    app = stage.writer(count=LATER + 50, linger=True)   # beyond the captured position, in the same generation
    last = app.report()["last"]
    assert last == FIRST + LATER + 50
    daemon = stage.replicate()
    assert_followed(stage, daemon, last, old)
    daemon.told_once(COMPARED)
    app.stop()
    assert daemon.stop() == DONE


def test_an_older_copy_with_its_old_times_is_noticed_at_the_next_start(stage):
    daemon, old = start(stage)
    overwrite(stage.db, another(stage), "-p")
    stage.commit_up_to(LATER + 40)
    wait_at_rest(stage, daemon)
    assert daemon.stop() == DONE
    overwrite(stage.folder / "other.db", stage.db, "-p")
    stage.remove_files("-wal", "-shm")
    daemon = stage.replicate()
    assert_followed(stage, daemon, LATER, (old[0], LATER))
    daemon.told_once(COMPARED)
    assert daemon.stop() == DONE


@pytest.mark.parametrize("running", [True, False])
def test_a_deleted_database_that_is_made_again_continues_in_its_replica(stage, running):
    daemon, old = start(stage)
    if not running:
        assert daemon.stop() == DONE
    stage.remove_files("", "-wal", "-shm")
    if not running:
        daemon = stage.replicate(live=False)
    daemon.wait_for(lambda: re.search("no database|waiting for the database", daemon.log()), 10, "the daemon misses the database")
    stage.commit_up_to(60)
    assert_followed(stage, daemon, 60, old)
    stage.commit_up_to(70)
    assert_followed(stage, daemon, 70, old)
    assert daemon.stop() == DONE


@pytest.mark.parametrize("how", ["overwritten", "moved over"])
def test_another_database_at_the_next_start_becomes_a_new_restore_point(stage, how):
    daemon, old = start(stage)
    assert daemon.stop() == DONE
    stage.remove_files("-wal", "-shm")
    if how == "overwritten":
        overwrite(another(stage), stage.db)
    else:
        os.replace(another(stage), stage.db)
    daemon = stage.replicate()
    assert_followed(stage, daemon, OTHER, old)
    daemon.told_once(COMPARED)
    stage.commit_up_to(OTHER + 20)
    assert_followed(stage, daemon, OTHER + 20, old)
    assert daemon.stop() == DONE
