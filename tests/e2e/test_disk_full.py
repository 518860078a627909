"""A full disk, at the source, at a replica and at the target of a restore: the application goes on as without the daemon, the status
says why nothing is shipped, nothing is half there, and everything heals when there is space again."""
import json
import resource
import sqlite3
import subprocess

import pytest

from compare import assert_sound, content_of
from control import assert_synced, status, wait_control
from fleet import assert_restores, synced
from fleet import insert as add_row
from full_disk import Mounted
from ledger import TABLE, insert
from seawall import BINARY, DONE, FAILED, TIMED_OUT, restore, seawall, told, url_of
from waiting import PATIENCE


@pytest.fixture
def disk(stage):
    """It holds 4 MB, and is mounted before the stage puts anything there."""
    disk = Mounted(stage.folder / "disk", 4)
    if not disk.mounted:
        pytest.skip("this user can't mount")
    yield disk
    disk.unmount()


def temporary_files(folder):
    return [path for path in folder.rglob("*") if path.name.startswith(".")]


def restored_rows(stage):
    restored = stage.restored()
    return sqlite3.connect(restored).execute("SELECT count(*) FROM big").fetchone()[0]


def test_a_replica_whose_disk_is_full_goes_on_when_there_is_space(stage, disk):
    stage.replica = disk.folder / "replica"
    app = stage.ledger()
    app.commit(TABLE, insert(1))
    daemon = wait_control(stage.replicate("--stop-timeout", "1s"))
    disk.fill()
    for _ in range(20):   # more than fits into what was begun; each must succeed
        app.commit(insert(20, 3000))
    daemon.wait_for(lambda: "No space left on device" in str(status(stage.db)["replicas"][0]), 20, "the status says why")
    late = seawall("sync", "--timeout", "1s", stage.db)
    assert late.returncode == TIMED_OUT and b"'seawall status' shows why" in late.stderr, told(late)
    assert daemon.stop() == TIMED_OUT, "it claims that all is durable"
    daemon = wait_control(stage.replicate(live=False))
    app.commit(insert(20, 3000))
    disk.free()
    disk.grow(64)
    daemon.wait_for(stage.restores_source, 40, "everything is shipped when there is space")
    assert seawall("sync", stage.db).returncode == DONE
    assert daemon.stop() == DONE
    assert temporary_files(stage.replica) == []
    app.close()
    stage.assert_restore_equals_source()


def test_a_replica_whose_disk_is_full_stops_no_other_database(stage, fleet, disk):
    names = ["tenant-1", "tenant-2"]
    daemon = fleet(names, "--stop-timeout", "1s", urls=lambda name: (disk.folder if name == "tenant-2" else stage.folder / "replicas") / name)
    daemon.wait_shipped(names)
    disk.fill()
    add_row(daemon.database("tenant-2"), "x" * 300_000)
    daemon.wait_for(lambda: "No space left on device" in str(daemon.status()["tenant-2"]["replicas"][0]), 20, "the status says why")
    for i in range(5):
        add_row(daemon.database("tenant-1"), i)
        synced(daemon, "tenant-1")
    assert_restores(daemon, "tenant-1")
    disk.free()
    disk.grow(64)
    synced(daemon, "tenant-2")
    assert_restores(daemon, "tenant-2")
    assert daemon.stop() == DONE


def commit_until_full(app):
    """Returns how many commits succeeded before SQLite said that the disk is full."""
    for done in range(1000):
        try:
            app.execute(insert(10, 3000))
        except sqlite3.OperationalError as error:
            assert "full" in str(error) or "disk I/O error" in str(error), f"not the disk: {error}"
            return done
    raise AssertionError("the disk is never full")


def test_a_source_whose_disk_is_full_loses_no_commit_and_goes_on(stage, disk):
    stage.db = disk.folder / "app.db"
    app = sqlite3.connect(stage.db, isolation_level=None, timeout=10 * PATIENCE)
    for statement in ("PRAGMA journal_mode=wal", TABLE, insert(1)):
        app.execute(statement).fetchall()
    daemon = wait_control(stage.replicate())
    disk.fill()
    commit_until_full(app)
    for _ in range(5):   # the daemon must not be the reason that nothing works any more
        commit_until_full(app)
        assert app.execute("SELECT count(*) FROM big").fetchone()[0] >= 1
        assert daemon.running(), daemon.log()
    disk.free()
    before = app.execute("SELECT count(*) FROM big").fetchone()[0]
    app.execute(insert(10, 3000))
    rows = app.execute("SELECT count(*) FROM big").fetchone()[0]
    assert rows == before + 10
    synced = seawall("sync", stage.db)
    assert synced.returncode == DONE, told(synced)
    assert restored_rows(stage) == rows
    app.close()
    assert daemon.stop() == DONE
    assert_sound(stage.db)
    assert restored_rows(stage) == rows


def test_a_daemon_that_starts_on_a_full_disk_says_so_or_waits(stage, disk):
    stage.db = disk.folder / "app.db"
    app = sqlite3.connect(stage.db, isolation_level=None, timeout=10 * PATIENCE)
    for statement in ("PRAGMA journal_mode=wal", TABLE, insert(10, 3000)):
        app.execute(statement).fetchall()
    disk.fill()
    daemon = stage.replicate(live=False)
    daemon.process.wait(20 * PATIENCE)
    assert daemon.process.returncode == FAILED and "No space left on device" in daemon.log(), daemon.log()
    assert app.execute("SELECT count(*) FROM big").fetchone()[0] == 10
    disk.free()
    daemon = stage.replicate()
    app.execute(insert(1))
    app.close()
    assert daemon.stop() == DONE
    assert restored_rows(stage) == 11


@pytest.mark.parametrize("options", [("--force",), ("--force", "--delta")], ids=["whole", "delta"])
def test_a_restore_to_a_full_disk_leaves_the_old_database_and_nothing_else(stage, disk, options):
    app = stage.ledger()
    app.commit(TABLE, insert(10, 3000))
    daemon = stage.replicate()
    app.commit(insert(400, 3000))
    assert daemon.stop() == DONE
    app.close()
    target = disk.folder / "app.db"
    result = restore(stage.replica, target, "--txid", 1)
    assert result.returncode == DONE, told(result)
    old, there = target.read_bytes(), sorted(disk.folder.iterdir())   # SQLite can't open it while nothing fits beside it
    disk.fill()
    for _ in range(3):
        result = restore(stage.replica, target, *options)
        assert result.returncode == FAILED and b"No space left on device" in result.stderr, told(result)
        assert target.read_bytes() == old
        assert sorted(disk.folder.iterdir()) == sorted([*there, disk.filler])
    disk.free()
    disk.grow(32)
    result = restore(stage.replica, target, *options)
    assert result.returncode == DONE, told(result)
    assert content_of(target) == app.states[-1]


def test_a_new_database_that_does_not_fit_leaves_nothing(stage, disk):
    app = stage.ledger()
    app.commit(TABLE, insert(2000, 3000))
    daemon = stage.replicate()
    assert daemon.stop() == DONE
    app.close()
    result = restore(stage.replica, disk.folder / "app.db")
    assert result.returncode == FAILED and b"No space left on device" in result.stderr, told(result)
    assert list(disk.folder.iterdir()) == []
    result = seawall("verify", "--restore", "--tmp", disk.folder, url_of(stage.replica))
    assert result.returncode == FAILED and b"No space left on device" in result.stderr, told(result)
    assert list(disk.folder.iterdir()) == []


def limited(bytes_max):
    """The process can't make files larger than that. The limit can be raised later."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, resource.RLIM_INFINITY))


def lift_limit(daemon):
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.mark.parametrize("source", [True, False], ids=["the database is larger", "objects are larger"])
def test_a_limit_of_file_sizes_is_as_a_full_disk(stage, source):
    """With a limit of the source the daemon can't copy frames back; otherwise it can't put a base."""
    app = stage.ledger()
    app.commit(TABLE, insert(1))
    limit = 1 << 20
    daemon = wait_control(stage.replicate("--stop-timeout", "1s", before=limited(limit)))
    if source:
        for _ in range(20):
            app.commit(insert(20, 3000))
        assert stage.db.stat().st_size + stage.db.with_name("app.db-wal").stat().st_size > limit
    else:
        app.commit(insert(1000, 3000))   # one object
    daemon.wait_for(lambda: "File too large" in json.dumps(status(stage.db)) or "File too large" in daemon.log() or "disk I/O error" in daemon.log(),
                    30, "the reason is said")
    assert daemon.running(), daemon.log()
    app.commit(insert(20, 3000))
    lift_limit(daemon)
    assert_synced(stage.db)
    assert daemon.stop() == DONE
    app.close()
    stage.assert_restore_equals_source()
    assert temporary_files(stage.replica) == []


def test_commands_fail_at_a_limit_of_file_sizes_and_leave_nothing(stage):
    app = stage.ledger()
    app.commit(TABLE, insert(1000, 3000))
    daemon = stage.replicate()
    assert daemon.stop() == DONE
    app.close()
    place = stage.folder / "place"
    place.mkdir()
    for command in (("restore", "-o", place / "x.db", url_of(stage.replica)), ("verify", "--restore", "--tmp", place, url_of(stage.replica)),
                    ("snapshot", "--stop-timeout", "1s", stage.db, url_of(place / "replica"))):
        done = subprocess.run([BINARY, *map(str, command)], capture_output=True, preexec_fn=limited(1 << 20))
        assert done.returncode == (TIMED_OUT if command[0] == "snapshot" else FAILED) and b"File too large" in done.stderr, told(done)
        assert [path for path in place.rglob("*") if path.is_file() and path.stat().st_size > 1 << 19] == []
