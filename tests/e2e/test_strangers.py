"""Processes that commit where the daemon can't see it (src/capture/strangers.h): by another name of the file, which has another -wal, or
without the wal-index. SQLite itself can lose commits then. The daemon lets go of the database, says why, does not remove a -wal, and calls no
commit durable that it did not see. States that only look similar do not make it let go."""
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from control import assert_synced
from seawall import BINARY, DONE, USAGE, seawall, told
from waiting import let_pass, wait_until

# keeps a connection on argv[1], with VFS argv[2]; commits a row for each line of standard input, and answers
CLIENT = r"""
import sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?vfs={sys.argv[2]}", uri=True, isolation_level=None, timeout=10)
if sys.argv[2] != "unix":
    db.execute("PRAGMA locking_mode=EXCLUSIVE")
db.execute("PRAGMA journal_mode=WAL")
for line in sys.stdin:
    db.execute("INSERT INTO t VALUES(1)")
    print(db.execute("SELECT count(*) FROM t").fetchone()[0], flush=True)
"""


class Client:
    def __init__(self, path, vfs="unix", before=()):
        self.process = subprocess.Popen([*before, sys.executable, "-c", CLIENT, str(path), vfs], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def commit(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def prepare(stage, db=None):
    db = db or stage.db
    with sqlite3.connect(db, isolation_level=None) as app:
        app.execute("PRAGMA journal_mode=WAL")
        app.execute("CREATE TABLE t(a)")
    app.close()


def rows(db):
    with sqlite3.connect(db) as app:
        assert app.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return app.execute("SELECT count(*) FROM t").fetchone()[0]


def assert_lets_go(stage, daemon, reason, db=None):
    assert daemon.wait(30) == USAGE
    assert reason in daemon.log() and "HINT" in daemon.log()
    assert " ERROR " in daemon.log()
    assert seawall("sync", "--timeout", "2", db or stage.db).returncode != DONE
    assert seawall("status", db or stage.db).returncode != DONE


def can_bind(folder):
    """A private mount of a single file, for one process."""
    target = folder / "probe"
    target.touch()
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "mount", "--bind", __file__, target], capture_output=True).returncode == 0


def in_a_mount(db, name):
    return ["unshare", "-m", "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', str(db), str(name)]


def test_a_mount_of_a_single_file_is_refused(stage):
    if not can_bind(stage.folder):
        pytest.skip("only root can mount, and some containers forbid it")
    prepare(stage)
    other = stage.folder / "other.db"
    other.touch()
    result = subprocess.run([*in_a_mount(stage.db, other), BINARY, "replicate", other, stage.replica], capture_output=True, timeout=60)
    assert result.returncode == USAGE and b"mount of a single file" in result.stderr and b"HINT" in result.stderr, told(result)
    assert not stage.replica.exists()


def test_an_application_that_has_the_file_by_a_mount_is_noticed(stage):
    if not can_bind(stage.folder):
        pytest.skip("only root can mount, and some containers forbid it")
    prepare(stage)
    container = stage.folder / "container"
    container.mkdir()
    (container / "app.db").touch()
    daemon = stage.replicate()
    client = Client(container / "app.db", before=in_a_mount(stage.db, container / "app.db"))
    assert client.commit() == 1
    assert (container / "app.db-wal").exists() and stage.wal_bytes() == 0
    assert_lets_go(stage, daemon, "by another name")
    client.end()
    assert rows(stage.db) == 1


def test_who_waits_for_exclusive_mode_hides_no_stranger(stage):
    """The log of the application was renamed: SQLite that opens the database later makes another one. A third process has a lock too, as
    long as it waits."""
    prepare(stage)
    daemon = stage.replicate()
    stranger = Client(stage.db)
    assert stranger.commit() == 1
    for suffix in "-wal", "-shm":
        os.rename(f"{stage.db}{suffix}", f"{stage.folder}/old{suffix}")
    waiter = subprocess.Popen([sys.executable, "-c", "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1], timeout=600)\n"
                               "db.execute('PRAGMA locking_mode=EXCLUSIVE')\ndb.execute('CREATE TABLE mine(a)')", stage.db])
    assert_lets_go(stage, daemon, "by another name")
    waiter.kill()
    waiter.wait()
    stranger.end()


def test_connections_by_the_right_path_hide_no_stranger(stage):
    """While the daemon looks a second time, the -shm is locked for a moment."""
    prepare(stage)
    daemon = stage.replicate()
    stranger = Client(stage.db)
    assert stranger.commit() == 1
    for suffix in "-wal", "-shm":
        os.rename(f"{stage.db}{suffix}", f"{stage.folder}/old{suffix}")
    visits = subprocess.Popen([sys.executable, "-c", "import sqlite3, sys, time\nwhile True:\n    db = sqlite3.connect(sys.argv[1])\n"
                               "    db.execute('SELECT count(*) FROM t').fetchone()\n    time.sleep(0.4)\n    db.close()\n    time.sleep(2.8)", stage.db])
    assert_lets_go(stage, daemon, "by another name")
    visits.kill()
    visits.wait()
    stranger.end()


def test_a_second_name_that_comes_later_is_noticed(stage):
    prepare(stage)
    daemon = stage.replicate()
    os.link(stage.db, stage.folder / "second.db")
    assert daemon.wait(30) == USAGE
    assert "hard links" in daemon.log()


def test_unix_dotfile_in_exclusive_mode_is_noticed(stage):
    prepare(stage)
    daemon = stage.replicate()
    daemon.wait_for(lambda: stage.wal_bytes() == 0, 10, "the database is at rest")
    client = Client(stage.db, "unix-dotfile")
    for n in range(1, 21):
        assert client.commit() == n
    assert seawall("sync", "--timeout", "5", stage.db).returncode != DONE   # the daemon has noticed, or notices now
    assert_lets_go(stage, daemon, "unix-dotfile")
    assert client.commit() == 21
    client.end()
    assert rows(stage.db) == 21   # its -wal was not removed


def test_an_engine_without_files_of_its_own_is_noticed_by_its_commits(stage):
    prepare(stage)
    daemon = stage.replicate()
    daemon.wait_for(lambda: stage.wal_bytes() == 0, 10, "the database is at rest")
    client = Client(stage.db, "unix-none")
    n = 0
    deadline = time.monotonic() + 60
    while daemon.running() and time.monotonic() < deadline:
        n += 1
        assert client.commit() == n
        let_pass(0.1, "commits that come one by one, as long as the daemon looks")
    assert_lets_go(stage, daemon, "without the wal-index")
    assert client.commit() == n + 1
    client.end()
    assert rows(stage.db) == n + 1


def test_a_process_that_died_between_its_two_writes_is_not_reported(stage):
    """It leaves a whole commit in the -wal that the wal-index does not show. So does the client of this test, which has no wal-index."""
    prepare(stage)
    daemon = stage.replicate()
    daemon.wait_for(lambda: stage.wal_bytes() == 0, 10, "the database is at rest")
    client = Client(stage.db, "unix-none")
    client.commit()
    client.process.send_signal(signal.SIGKILL)
    client.process.wait()
    assert stage.wal_bytes() > 0
    let_pass(4, "the daemon looks several times")
    app = sqlite3.connect(stage.db, isolation_level=None, timeout=10)
    app.execute("INSERT INTO t VALUES(1)")
    assert_synced(stage.db)
    app.close()
    assert daemon.stop() == DONE
    assert rows(stage.restored()) == rows(stage.db)


def test_a_long_transaction_is_not_reported(stage):
    """It writes to the -wal long before its commit, and may be rolled back."""
    prepare(stage)
    daemon = stage.replicate()
    app = sqlite3.connect(stage.db, isolation_level=None, timeout=10)
    app.execute("PRAGMA cache_size=10")
    for end in "ROLLBACK", "COMMIT":
        app.execute("BEGIN IMMEDIATE")
        for _ in range(4):
            app.executemany("INSERT INTO t VALUES(?)", [("x" * 1000,)] * 1000)
            let_pass(1, "a transaction that takes its time")
        app.execute(end)
        assert_synced(stage.db)
    wait_until(lambda: stage.restores_source(), 20, "the replica has everything")
    app.close()
    assert daemon.stop() == DONE
