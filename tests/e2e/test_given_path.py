"""The daemon replicates the file to which the given path leads now. If a link in the path is switched, a folder is renamed, or a mount
covers it, the daemon lets go of the old file, follows the new one, and loses no earlier restore point."""
import os
import subprocess
from pathlib import Path

import pytest

from application import check
from compare import assert_same_pages, settled
from seawall import DONE, FAILED, restore, seawall, told
from waiting import wait_until

LEADS = "its path leads to"


def release(stage, name, last):
    """A folder with a database that has `last` transactions."""
    folder = stage.folder / name
    folder.mkdir()
    stage.writer(db=folder / "app.db", count=last).finish()
    return folder


def commit(stage, db, last):
    count = last - check(db)
    assert stage.writer(db=db, count=count, busy_timeout=10000).finish()["last"] == last


def has(stage, db, last):
    """A condition: the newest state of the replica is that of this database."""
    def look():
        target = stage.folder / "newest.db"
        for path in target, target.with_name("newest.db-seawall"):
            path.unlink(missing_ok=True)
        if restore(stage.replica, target).returncode != DONE or check(target) != last:
            return False
        assert_same_pages(settled(Path(os.path.realpath(db)), stage.folder), target)
        return True
    return look


def switch(link, target):
    new = link.with_name(f"{link.name}.new")
    os.symlink(target, new)
    os.replace(new, link)


def follow(stage, link, target, given, last):
    switch(link, target)
    stage.db = given
    daemon = stage.replicate(db=given)
    daemon.wait_for(has(stage, given, last), 20, "the replica has everything")
    return daemon


def assert_a_sync_is_true(stage, daemon, db, last):
    """For a moment no command finds the daemon at the new path. When the daemon answers there, its answer is about the new file."""
    daemon.wait_for(lambda: seawall("sync", "--timeout", "20", db).returncode == DONE, 20, "the daemon answers")
    assert has(stage, db, last)()


def test_a_folder_that_is_a_link_is_switched_and_switched_back(stage):
    one, two = release(stage, "r1", 10), release(stage, "r2", 20)
    given = stage.folder / "current" / "app.db"
    daemon = follow(stage, given.parent, one, given, 10)
    first = stage.last_txid()
    switch(given.parent, two)
    commit(stage, given, 25)
    assert_a_sync_is_true(stage, daemon, given, 25)
    switch(given.parent, one)
    commit(stage, given, 13)
    assert_a_sync_is_true(stage, daemon, given, 13)
    assert check(stage.restored(first)) == 10
    assert daemon.log().count(LEADS) == 2
    assert daemon.stop() == DONE
    assert seawall("replicate", "--once", given, stage.replica).returncode == DONE   # no other writer took the replica over


@pytest.mark.parametrize("how", ["the database is a link", "a link leads to the link"])
def test_a_link_to_the_database_is_switched(stage, how):
    one, two = release(stage, "r1", 10), release(stage, "r2", 20)
    given = link = stage.folder / "app.db"
    if how == "a link leads to the link":
        link = stage.folder / "links" / "to.db"
        link.parent.mkdir()
        os.symlink(link, given)
    daemon = follow(stage, link, one / "app.db", given, 10)
    switch(link, two / "app.db")
    daemon.wait_log(LEADS)
    commit(stage, given, 22)
    daemon.wait_for(has(stage, given, 22), 20, "the replica follows")
    assert daemon.stop() == DONE


def test_a_sync_after_the_switch_is_about_the_new_file(stage):
    one, two = release(stage, "r1", 10), release(stage, "r2", 20)
    given = stage.folder / "current" / "app.db"
    daemon = follow(stage, given.parent, one, given, 10)
    for last, target in (20, two), (10, one), (20, two):
        before = given.parent.resolve() / "app.db"
        switch(given.parent, target)
        assert seawall("sync", "--timeout", "20", before).returncode != DONE   # no daemon follows that file now
        assert_a_sync_is_true(stage, daemon, given, last)
    assert daemon.stop() == DONE


def test_a_parent_is_renamed_and_another_folder_takes_its_place(stage):
    parent = stage.folder / "srv"
    parent.mkdir()
    given = parent / "data" / "app.db"
    given.parent.mkdir()
    stage.writer(db=given, count=10).finish()
    stage.db = given
    daemon = stage.replicate(db=given)
    daemon.wait_for(has(stage, given, 10), 20, "the replica has everything")
    parent.rename(stage.folder / "old")
    daemon.wait_log("its folder is not there any more")
    assert seawall("sync", "--timeout", "1", given).returncode != DONE   # no file of that path is replicated
    given.parent.mkdir(parents=True)
    stage.writer(db=given, count=4).finish()
    daemon.wait_for(has(stage, given, 4), 20, "the new database is followed")
    parent.rename(stage.folder / "newer")
    (stage.folder / "old").rename(parent)
    daemon.wait_for(has(stage, given, 10), 20, "the first one is followed again")
    commit(stage, given, 12)
    daemon.wait_for(has(stage, given, 12), 20, "its commits are shipped")
    assert daemon.stop() == DONE


def can_mount(folder):
    if os.geteuid() != 0:
        return False
    done = subprocess.run(["mount", "-t", "tmpfs", "none", folder], capture_output=True).returncode == 0
    return done and subprocess.run(["umount", folder]).returncode == 0


def test_a_mount_covers_the_folder_and_goes_again(stage):
    data = release(stage, "data", 10)
    if not can_mount(data):
        pytest.skip("only root can mount, and some containers forbid it")
    given = stage.db = data / "app.db"
    daemon = stage.replicate(db=given)
    daemon.wait_for(has(stage, given, 10), 20, "the replica has everything")
    subprocess.run(["mount", "-t", "tmpfs", "none", data], check=True)
    try:
        daemon.wait_log("letting go of the database")
        stage.writer(db=given, count=3).finish()
        daemon.wait_for(has(stage, given, 3), 20, "what the mount has is followed")
    finally:
        subprocess.run(["umount", "-l", data], check=True)
    daemon.wait_for(has(stage, given, 10), 20, "the first one is followed again")
    assert daemon.stop() == DONE


def test_a_relative_path_is_followed_when_its_folder_is_renamed(stage):
    data = release(stage, "data", 10)
    daemon = stage.replicate(db="app.db", before=lambda: os.chdir(data))
    daemon.wait_for(has(stage, data / "app.db", 10), 20, "the replica has everything")
    moved = stage.folder / "moved"
    data.rename(moved)
    commit(stage, moved / "app.db", 12)
    daemon.wait_for(has(stage, moved / "app.db", 12), 20, "it is followed")
    assert seawall("sync", "--timeout", "20", moved / "app.db").returncode == DONE
    assert daemon.stop() == DONE


def test_another_daemon_that_has_the_new_file_keeps_it(stage):
    one, two = release(stage, "r1", 10), release(stage, "r2", 20)
    given = stage.folder / "current" / "app.db"
    daemon = follow(stage, given.parent, one, given, 10)
    other = stage.replicate(db=two / "app.db", replica=stage.folder / "other")
    switch(given.parent, two)
    assert daemon.wait() == FAILED
    assert "another process has locked" in daemon.log()
    commit(stage, two / "app.db", 21)
    assert seawall("sync", "--timeout", "20", two / "app.db").returncode == DONE
    assert other.stop() == DONE


def test_a_restore_refuses_a_path_that_a_daemon_follows(stage):
    stage.writer(count=10).finish()
    daemon = stage.replicate()
    daemon.wait_for(stage.restores_source, 20, "the replica has everything")
    for options in ["--force"], ["--delta"]:
        refused = restore(stage.replica, stage.db, *options)
        assert refused.returncode == FAILED and b"daemon" in refused.stderr, told(refused)
    for suffix in "", "-wal", "-shm":
        stage.db.with_name(f"app.db{suffix}").unlink()
    daemon.wait_log("waiting, trying again|no database|waiting for the database")
    refused = restore(stage.replica, stage.db)   # its state file is locked, though the database is missing
    assert refused.returncode == FAILED and b"daemon" in refused.stderr, told(refused)
    assert not stage.db.exists()
    assert daemon.stop() != DONE
    assert restore(stage.replica, stage.db).returncode == DONE
    assert check(stage.db) == 10
    assert seawall("replicate", "--once", stage.db, stage.replica).returncode == DONE


def test_a_restore_where_all_files_are_gone_is_followed(stage):
    stage.writer(count=10).finish()
    daemon = stage.replicate()
    daemon.wait_for(stage.restores_source, 20, "the replica has everything")
    for suffix in "", "-wal", "-shm", "-seawall":
        stage.db.with_name(f"app.db{suffix}").unlink()
    assert wait_until(lambda: restore(stage.replica, stage.db).returncode == DONE, 10, "the restore")
    commit(stage, stage.db, 13)
    daemon.wait_for(stage.restores_source, 20, "the replica follows")
    assert seawall("sync", "--timeout", "20", stage.db).returncode == DONE
    assert daemon.stop() == DONE
    assert seawall("replicate", "--once", stage.db, stage.replica).returncode == DONE
