"""The daemon and the commands call the VFS as its contract says, and hold SQLite's locks by SQLite's rules: a VFS below the shim checks each
call (checking_vfs.h)."""
import re
import sqlite3

import pytest

import application
from control import assert_synced
from ledger import TABLE, insert
from seawall import DONE, restore, seawall, told, url_of


class Checked:
    """Programs whose VFS checks its callers. `end` is the check."""

    def __init__(self, stage):
        self.path = stage.folder / "checked"
        self.path.touch()
        self.environment = {"LD_PRELOAD": str(application.library("checkvfs")), "CHECKED": str(self.path)}

    def end(self, calls):
        """No violation, in at least so many calls."""
        lines = self.path.read_text().splitlines()
        assert [line for line in lines if not line.startswith("#")] == []
        done = sum(int(found[1]) for found in (re.match(r"# (\d+) calls", line) for line in lines) if found)
        assert done >= calls, lines


@pytest.fixture
def checked(stage):
    return Checked(stage)


def test_a_daemon_beside_writers_that_checkpoint(stage, checked):
    app = stage.ledger()
    app.commit(TABLE)
    daemon = stage.replicate("--rest-after", "100ms", "--wal-target", "50", environment=checked.environment)
    for kind in ("PASSIVE", "FULL", "RESTART", "TRUNCATE"):
        for _ in range(3):
            app.commit(insert(20, 3000))
            assert_synced(stage.db)
        app.run(f"PRAGMA wal_checkpoint({kind})")
    daemon.wait_for(lambda: stage.wal_bytes() == 0, 20, "the database is at rest")
    app.commit(insert(1))
    app.close()
    stage.writer(count=200).finish()
    assert daemon.stop() == DONE
    checked.end(500)
    stage.assert_restore_equals_source()


def test_a_wal_that_is_long_and_cut_under_load(stage, checked):
    stage.prepare()
    daemon = stage.replicate("--wal-limit", "1M", "--wal-target", "100", environment=checked.environment)
    app = stage.writer(count=1500)
    app.finish()
    assert daemon.stop() == DONE
    checked.end(300)
    stage.assert_restore_equals_source()


def test_detach_attach_and_files_that_are_replaced(stage, checked):
    app = stage.ledger()
    app.commit(TABLE, insert(5))
    daemon = stage.replicate(environment=checked.environment)
    assert seawall("detach", stage.db).returncode == DONE
    app.commit(insert(5))
    assert seawall("attach", stage.db).returncode == DONE
    app.commit(insert(5))
    app.close()
    other = stage.folder / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("PRAGMA journal_mode=wal")
        connection.execute(TABLE)
    connection.close()
    other.rename(stage.db)
    daemon.wait_for(stage.restores_source, 20, "the other database is replicated")
    assert daemon.stop() == DONE
    checked.end(50)


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate", "persist"])
def test_snapshots(stage, checked, mode):
    app = sqlite3.connect(stage.db, isolation_level=None)
    for statement in (f"PRAGMA journal_mode={mode}", TABLE, insert(50, 3000)):
        app.execute(statement).fetchall()
    for _ in range(3):
        app.execute(insert(5, 3000))
        result = seawall("snapshot", stage.db, url_of(stage.replica), environment=checked.environment)
        assert result.returncode == DONE, told(result)
    app.close()
    checked.end(20)
    stage.assert_restore_equals_source()


def test_a_wal_that_a_dead_process_left(stage, checked):
    stage.prepare()
    app = stage.writer(count=50, linger=True)
    app.report()
    app.kill()
    assert stage.wal_bytes() > 0
    result = seawall("replicate", "--once", stage.db, url_of(stage.replica), environment=checked.environment)
    assert result.returncode == DONE, told(result)
    checked.end(20)
    stage.assert_restore_equals_source()


def test_restores_of_the_pages_that_differ(stage, checked):
    app = stage.ledger()
    app.commit(TABLE, insert(50, 3000))
    daemon = stage.replicate()
    app.commit(insert(5, 3000))
    app.close()
    assert daemon.stop() == DONE
    target = stage.restored("1")
    for options in (("--delta", "--force", "--integrity-check"), ("--delta", "--force", "--txid", "1")):
        result = restore(stage.replica, target, *options, environment=checked.environment)
        assert result.returncode == DONE, told(result)
    result = seawall("restore", "--undo", "-o", target, environment=checked.environment)
    assert result.returncode == DONE, told(result)
    checked.end(5)
