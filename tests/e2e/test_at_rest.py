"""At rest the database file alone holds everything: a copy of that one file is a backup."""
import sqlite3

import walindex
from application import check
from compare import copy_file
from seawall import DONE
from waiting import wait_until

NEVER_MS = 600_000


def check_lone_copy(stage):
    """Copies the database file alone, as `cp` does, and returns the last transaction in it."""
    copy = stage.folder / f"copy-{next(stage.numbers)}.db"
    copy_file(stage.db, copy)
    return check(copy)


def test_one_second_after_the_last_commit_a_copy_of_the_file_alone_is_complete(stage):
    stage.prepare()
    daemon = stage.replicate()
    app = stage.writer(rate=1000, seconds=2, linger=True)
    app.report()
    assert app.running(), "the application has ended: the database must stay open"
    daemon.wait_for(lambda: stage.wal_bytes() == 0, 2.5, "the WAL is empty soon after the last commit")
    assert check_lone_copy(stage) == app.committed()
    wait_until(lambda: walindex.holder(stage.db, walindex.CHECKPOINT_LOCK) == 0, 2, "the checkpoint lock is released at rest")
    app.stop()
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()


def test_after_the_application_closed_a_copy_of_the_file_alone_is_complete(stage):
    stage.prepare()
    daemon = stage.replicate("--rest-after", NEVER_MS)
    app = stage.writer(rate=1000, seconds=2)
    last = app.finish()["last"]
    daemon.wait_for(lambda: stage.wal_bytes() == 0, 3, "the WAL is empty after the application closed")
    assert check_lone_copy(stage) == last
    assert daemon.stop() == DONE


def test_after_the_daemon_stopped_a_copy_of_the_file_alone_is_complete(stage):
    stage.prepare()
    daemon = stage.replicate("--rest-after", NEVER_MS)
    app = stage.writer(rate=1000, seconds=2, linger=True)
    last = app.report()["last"]
    assert daemon.stop() == DONE
    assert stage.wal_bytes() == 0
    assert check_lone_copy(stage) == last
    app.stop()
    assert check(stage.assert_restore_equals_source()) == last


def test_the_checkpoint_lock_is_kept_under_load_unless_told_never_to(stage):
    stage.prepare()
    daemon = stage.replicate()
    app = stage.writer(rate=2000)
    daemon.wait_for(lambda: walindex.holder(stage.db, walindex.CHECKPOINT_LOCK) == daemon.pid, 10, "the lock is kept")
    assert daemon.stop() == DONE
    app.stop()

    daemon = stage.replicate("--lock-at", "never")
    app = stage.writer(rate=2000)
    app.wait_committed(app.committed() + 4000)
    holders = [walindex.holder(stage.db, walindex.CHECKPOINT_LOCK) for _ in range(20)]
    assert holders.count(daemon.pid) < 10, "the daemon holds the lock for longer than a moment"
    app.stop()
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()


def test_a_reader_that_keeps_the_file_incomplete_is_logged(stage):
    """As long as it reads, the file can't be complete: neither at rest nor after the stop."""
    stage.writer(count=5).finish()
    reader = sqlite3.connect(stage.db, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
    daemon = stage.replicate()
    stage.writer(count=1, busy_timeout=10000).finish()
    assert " WARN " in daemon.told_once("a copy of the database file alone lacks them")
    assert daemon.stop() == DONE
    daemon.told_once("a copy of the database file alone lacks them")
    reader.close()
