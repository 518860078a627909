"""A restore of a database that is large enough to be written past the page cache."""
import errno
import random
import signal
import sqlite3
import subprocess

import pytest

from compare import assert_same_pages, assert_sound, files_of
from failing import Failing, Fault
from killer import Killer
from seawall import DONE, FAILED, listing, restore, told
from waiting import PATIENCE

ROWS, ROW_BYTES = 700, 120_000   # 84 MB


@pytest.fixture
def large(stage):
    """A replica of a database with random rows, free pages that held data, and pages that were never written."""
    content = random.Random(5)
    app = sqlite3.connect(stage.db, isolation_level=None)
    for statement in ("PRAGMA journal_mode=wal", "CREATE TABLE t(id INTEGER PRIMARY KEY, a)"):
        app.execute(statement)
    app.execute("BEGIN")
    for n in range(ROWS):
        app.execute("INSERT INTO t VALUES(?, ?)", (n, content.randbytes(ROW_BYTES) if n % 50 else bytes(ROW_BYTES)))
    app.execute("COMMIT")
    app.execute(f"DELETE FROM t WHERE id BETWEEN {ROWS // 2} AND {ROWS // 2 + 20}")
    app.close()
    daemon = stage.replicate("--once", live=False)
    assert daemon.wait(300 * PATIENCE) == DONE
    assert listing(stage.replica)["bases"]
    stage.home = stage.folder / "home"
    stage.home.mkdir()
    stage.target = stage.home / "target.db"
    return stage


def assert_restores(large, environment=None):
    result = restore(large.replica, large.target, environment=environment)
    assert result.returncode == DONE, told(result)
    assert_same_pages(large.db, large.target)
    assert_sound(large.target)


def test_every_page_is_restored(large):
    assert_restores(large)


def test_a_write_that_the_file_system_refuses_past_the_page_cache_goes_through_it(large):
    """Of many writes the seventh is refused. Through the page cache EINVAL would be an error."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", large.home], capture_output=True, text=True, check=True).stdout.strip()
    if kind not in ("ext2/ext3", "xfs"):
        pytest.skip(f"on {kind} everything is written through the page cache")
    failing = Failing(large)
    assert_restores(large, failing.environment(Fault("write", 7, errno.EINVAL, only="pwrite *")))
    assert failing.report().failed


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=errno.errorcode.get)
@pytest.mark.parametrize("call", [1, 40])
def test_a_write_that_fails_leaves_nothing(large, call, code):
    failing = Failing(large)
    result = restore(large.replica, large.target, environment=failing.environment(Fault("write", call, code, only="pwrite *")))
    assert failing.report().failed and result.returncode == FAILED, told(result)
    assert files_of(large.home) == {}
    assert f"write '{large.target}'".encode() in result.stderr, told(result)


def test_half_a_write_is_continued(large):
    failing = Failing(large)
    assert_restores(large, failing.environment(Fault("write", 5, 0, only="pwrite *")))
    assert failing.report().failed


@pytest.mark.parametrize("call", [3, 40])
def test_a_killed_restore_leaves_nothing_that_looks_like_a_database(large, call):
    killer = Killer(large)
    result = restore(large.replica, large.target, environment=killer.environment(call))
    assert result.returncode == -signal.SIGKILL, told(result)
    assert not large.target.exists()
    assert_restores(large)


def test_changes_after_the_base_are_restored_in_rounds(large):
    """Patches of 30 MB, which do not fit into the memory of one round; pages that change often; pages that were zeros in the base."""
    content, rows, row_bytes = random.Random(6), 24_000, 1100   # three rows on a page
    app = sqlite3.connect(large.db, isolation_level=None)
    app.execute("CREATE TABLE small(id INTEGER PRIMARY KEY, a)")
    app.execute("BEGIN")
    app.executemany("INSERT INTO small VALUES(?, ?)", ((n, content.randbytes(row_bytes)) for n in range(rows)))
    app.execute("COMMIT")
    daemon = large.replicate()
    for turn in range(4):   # one row of each page
        app.execute("BEGIN")
        app.executemany("UPDATE small SET a = ? WHERE id = ?", ((content.randbytes(row_bytes), n) for n in range(turn % 3, rows, 3)))
        app.execute("UPDATE t SET a = ? WHERE id % 50 = 0 AND id < 100", (bytes(ROW_BYTES - 500) + content.randbytes(500),))
        app.execute("COMMIT")
        for n in range(50):
            app.execute("UPDATE small SET a = ? WHERE id = ?", (content.randbytes(row_bytes), n % 5))
    app.close()
    assert daemon.stop() == DONE
    assert_restores(large)
