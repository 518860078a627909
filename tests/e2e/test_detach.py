"""Work that needs the database alone: `seawall detach` lets go of it until `seawall attach`. And an application that keeps the database
locked: the daemon says that nothing is replicated, why, and what to do."""
import sqlite3
import subprocess
import sys

import pytest

from application import check
from control import assert_synced, status, wait_control
from seawall import DONE, FAILED, seawall, told
from waiting import PATIENCE


def alone(db):
    return sqlite3.connect(db, isolation_level=None, timeout=0)


def test_a_migration_switches_modes_while_the_daemon_is_detached(stage):
    stage.writer(count=10).finish()
    daemon = wait_control(stage.replicate())
    daemon.wait_for(stage.restores_source, 20, "the replica has everything")
    app = alone(stage.db)
    with pytest.raises(sqlite3.OperationalError):   # the daemon has the database open
        app.execute("PRAGMA journal_mode=DELETE")
    result = seawall("detach", stage.db)
    assert result.returncode == DONE and result.stdout == b"detached\n", told(result)
    assert app.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    app.execute("PRAGMA page_size=8192")
    app.execute("VACUUM")
    app.execute("PRAGMA locking_mode=EXCLUSIVE")
    app.execute("CREATE TABLE migrated(a)")
    assert daemon.running()
    app.close()
    assert seawall("detach", stage.db).returncode == DONE   # a second time
    result = seawall("attach", stage.db)
    assert result.returncode == DONE and result.stdout == b"attached\n", told(result)
    assert_synced(stage.db)
    restored = stage.restored()
    with sqlite3.connect(restored) as db:
        assert db.execute("SELECT count(*) FROM migrated").fetchone() == (0,)
        assert db.execute("PRAGMA page_size").fetchone() == (8192,)
    stage.writer(count=5, busy_timeout=10000).finish()
    assert_synced(stage.db)
    assert check(stage.restored()) == 15
    assert seawall("attach", stage.db).returncode == DONE   # it is attached already
    assert daemon.stop() == DONE


def test_while_it_is_detached_nothing_is_called_durable(stage):
    stage.writer(count=10).finish()
    daemon = wait_control(stage.replicate())
    assert seawall("detach", stage.db).returncode == DONE
    stage.writer(count=3, busy_timeout=10000).finish()
    result = seawall("sync", "--timeout", "5", stage.db)
    assert result.returncode == FAILED and b"detached" in result.stderr and b"seawall attach" in result.stderr, told(result)
    found = seawall("status", "--json", stage.db)
    assert b"detached: nothing is replicated" in found.stdout and b"seawall attach" in found.stdout, told(found)
    assert daemon.stop() == DONE   # what was captured is durable
    again = stage.replicate()   # a start attaches
    again.wait_for(stage.restores_source, 20, "the replica has what came meanwhile")
    assert again.stop() == DONE


def test_without_a_daemon_detach_and_attach_fail(stage):
    stage.prepare()
    for command in "detach", "attach":
        result = seawall(command, stage.db)
        assert result.returncode == FAILED and b"no daemon runs" in result.stderr, told(result)


@pytest.mark.parametrize("how", ["locking_mode", "unix-excl", "journal_mode"])
def test_an_application_that_keeps_the_database_locked_is_an_error_with_a_hint(stage, how):
    stage.prepare()
    vfs = "?vfs=unix-excl" if how == "unix-excl" else ""
    app = sqlite3.connect(f"file:{stage.db}{vfs}", uri=True, isolation_level=None)
    if how == "journal_mode":
        assert app.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    if how != "unix-excl":
        app.execute("PRAGMA locking_mode=EXCLUSIVE")
    app.execute("CREATE TABLE mine(a)")
    daemon = stage.replicate(live=False)
    daemon.wait_log("let go of the database, trying again: database '")
    for _ in range(5):
        result = seawall("status", stage.db)
        assert result.returncode == FAILED, told(result)
    line = daemon.wait_log("ERROR .*nothing is replicated: an application keeps the database locked").group(0)
    assert line and "HINT" in daemon.log()
    daemon.wait_for(lambda: b"keeps the database locked" in seawall("status", "--json", stage.db).stdout, 10, "the status says it")
    assert seawall("sync", "--timeout", "1", stage.db).returncode != DONE
    assert seawall("status", stage.db).returncode == FAILED
    app.close()
    daemon.wait_for(stage.restores_source, 20, "it goes on by itself")
    daemon.wait_for(lambda: seawall("status", stage.db).returncode == DONE, 20, "the status says that it does")
    assert not status(stage.db)["error"]
    assert daemon.log().count(" ERROR ") == 1
    assert daemon.stop() == DONE


# waits to have the database argv[1] for itself, at most argv[2] seconds. Then it keeps it until its standard input ends
WAITER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=float(sys.argv[2]))
db.execute("PRAGMA locking_mode=EXCLUSIVE")
try:
    db.execute("CREATE TABLE mine(a)")
    print("done", flush=True)
except sqlite3.OperationalError as e:
    print(e, flush=True)
sys.stdin.read()
"""


def waiter(db, seconds, stdin=subprocess.PIPE):
    return subprocess.Popen([sys.executable, "-c", WAITER, db, str(seconds)], stdin=stdin, stdout=subprocess.PIPE)


def test_an_application_that_waits_for_exclusive_mode_gets_it_and_the_daemon_says_so(stage):
    """It has a lock on the database file and none on the -shm, as a process that has the file by another name."""
    stage.prepare()
    daemon = wait_control(stage.replicate())
    app = waiter(stage.db, 60 * PATIENCE)
    assert app.stdout.readline() == b"done\n"
    daemon.wait_log("ERROR .*nothing is replicated: an application keeps the database locked")
    assert seawall("sync", "--timeout", "1", stage.db).returncode != DONE
    assert seawall("status", stage.db).returncode == FAILED
    app.communicate()
    assert_synced(stage.db)
    assert "locked against all others" in daemon.log() and daemon.log().count(" ERROR ") == 1, daemon.log()
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()
    with sqlite3.connect(stage.restored()) as db:
        assert db.execute("SELECT count(*) FROM mine").fetchone() == (0,)


def test_an_application_that_waits_for_exclusive_mode_and_closes_at_once_is_no_reason_to_end(stage):
    """A migration: it writes and closes within milliseconds. Nobody may see that it had the database for itself."""
    stage.prepare()
    daemon = wait_control(stage.replicate())
    for wanted in (b"done\n", b"table mine already exists\n"):
        app = waiter(stage.db, 60 * PATIENCE, stdin=subprocess.DEVNULL)
        assert app.communicate()[0] == wanted
        assert_synced(stage.db)
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()


def test_an_application_that_gave_up_waiting_for_exclusive_mode_does_no_harm(stage):
    """A second application has the database open, so the first one never gets it; the daemon sees that by the -shm."""
    stage.prepare()
    daemon = wait_control(stage.replicate())
    other = sqlite3.connect(stage.db, isolation_level=None, timeout=10)
    other.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    app = waiter(stage.db, 4)
    assert app.stdout.readline() == b"database is locked\n"
    app.communicate()
    other.execute("CREATE TABLE theirs(a)")
    other.close()
    assert_synced(stage.db)
    assert daemon.running() and " ERROR " not in daemon.log(), daemon.log()
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()
