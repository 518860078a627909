"""The state file of a running daemon is removed, alone or with the database. Its lock is lost too, so the daemon lets go of everything and
starts over. Two daemons never work on one database, and the daemon knows that the objects of the replica are its own."""
import sqlite3

import pytest

from application import check
from compare import assert_sound
from seawall import DONE, FAILED, seawall
from waiting import wait_until

LOST = "its state file was removed or replaced while it was in use"


def follow(stage, last):
    stage.prepare()
    daemon = stage.replicate()
    stage.commit_up_to(last)
    daemon.wait_for(stage.restores_source, 10, "the replica has everything")
    return daemon


def assert_goes_on(stage, daemon, last):
    daemon.wait_for(lambda: LOST in daemon.log(), 10, "the daemon notices that its lock is gone")
    stage.commit_up_to(last)
    daemon.wait_for(stage.restores_source, 20, "the replica follows")
    assert check(stage.restored()) == last
    assert_sound(stage.restored())


def test_a_removed_state_file_is_made_again_and_the_history_goes_on(stage):
    daemon = follow(stage, 20)
    before = stage.last_txid()
    stage.remove_files("-seawall")
    assert_goes_on(stage, daemon, 40)
    assert check(stage.restored(before)) == 20
    assert daemon.stop() == DONE
    stage.commit_up_to(50)
    assert seawall("replicate", "--once", stage.db, stage.replica).returncode == DONE
    assert check(stage.restored()) == 50


def test_a_database_that_is_made_again_with_all_its_files_is_followed(stage):
    daemon = follow(stage, 20)
    before = stage.last_txid()
    stage.remove_files("", "-wal", "-shm", "-seawall")
    assert_goes_on(stage, daemon, 5)
    assert check(stage.restored(before)) == 20
    assert seawall("sync", "--timeout", "20", stage.db).returncode == DONE
    assert daemon.stop() == DONE
    stage.commit_up_to(9)
    assert seawall("replicate", "--once", stage.db, stage.replica).returncode == DONE


@pytest.mark.parametrize("files", [("-seawall",), ("", "-wal", "-shm", "-seawall")])
def test_of_two_daemons_one_ends(stage, files):
    daemon = follow(stage, 10)
    stage.remove_files(*files)
    if "" in files:
        with sqlite3.connect(stage.db) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("CREATE TABLE t(a)")
    second = stage.replicate(replica=stage.folder / "second", live=False)
    wait_until(lambda: not (daemon.running() and second.running()), 10, "one of the two daemons ends")
    ended, stays = (second, daemon) if daemon.running() else (daemon, second)
    assert stays.running()
    assert ended.wait() == FAILED
    assert "another process has locked" in ended.log()
