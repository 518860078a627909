"""Litestream and Seawall replicate one database at the same time: what docs/coming-from-litestream.md says about that is measured here.
`make check-litestream`."""
import sqlite3
import threading
import time

import pytest

from compare import assert_sound
from litestream import LATEST, OLD, Litestream
from seawall import COMPARED, DONE, restore, told
from waiting import let_pass

SECONDS = 20


def prepare(path):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.close()


class Application(threading.Thread):
    """Commits, as fast as it can with a pause, and counts errors."""

    def __init__(self, path, seconds):
        super().__init__()
        self.path, self.seconds, self.commits, self.errors, self.longest_wal, self.slowest = path, seconds, 0, [], 0, 0.0

    def run(self):
        db = sqlite3.connect(self.path, isolation_level=None, timeout=5)
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                db.execute("INSERT INTO t(a) VALUES(randomblob(3000))")
                self.commits += 1
            except sqlite3.Error as error:
                self.errors.append(str(error))
            self.slowest = max(self.slowest, time.monotonic() - began)
            wal = self.path.with_name(self.path.name + "-wal")
            self.longest_wal = max(self.longest_wal, wal.stat().st_size if wal.exists() else 0)
            let_pass(0.002, "an application with pauses")
        self.rows = db.execute("SELECT count(*) FROM t").fetchone()[0]


def rows(path):
    db = sqlite3.connect(path)
    count = db.execute("SELECT count(*) FROM t").fetchone()[0]
    db.close()
    return count


@pytest.mark.parametrize("version", [LATEST, OLD])
@pytest.mark.parametrize("first", ["litestream", "seawall"])
def test_neither_loses_a_commit(stage, version, first):
    theirs = stage.folder / "litestream"
    prepare(stage.db)
    litestream = Litestream(version, stage.folder, stage.db, theirs)
    if first == "litestream":
        litestream.start()
    daemon = stage.replicate()
    if first == "seawall":
        litestream.start()
    app = Application(stage.db, SECONDS)
    app.start()
    app.join()
    let_pass(3, "both copy the last commits")
    assert daemon.stop() == DONE
    litestream.stop()
    ours = stage.folder / "ours.db"
    result = restore(stage.replica, ours)
    assert result.returncode == DONE, told(result)
    target = stage.folder / "theirs.db"
    found = litestream.restore(target)
    compared = len([line for line in daemon.log().splitlines() if any(word in line for word in COMPARED.split("|"))])
    log = litestream.log.read_text()
    problems = [line for line in log.splitlines() if "level=WARN" in line or "level=ERROR" in line or "new generation" in line]
    print(f"\nLitestream {version}, {first} first: {app.commits} commits, {len(app.errors)} errors of the application {sorted(set(app.errors))}, "
          f"slowest commit {app.slowest * 1000:.0f} ms, longest WAL {app.longest_wal / 1e6:.1f} MB; seawall compared {compared} times, "
          f"restores {rows(ours)} of {app.rows} rows; litestream restores {rows(target) if found else 'nothing'}, {len(problems)} warnings")
    for line in problems[:4]:
        print("   ", line[:220])
    assert rows(ours) == app.rows == app.commits and not app.errors
    assert_sound(ours)
    assert found and rows(target) == app.rows
    assert_sound(target)


@pytest.mark.parametrize("version", [LATEST, OLD])
def test_the_wal_grows_while_both_run_and_is_emptied_when_litestream_stops(stage, version):
    prepare(stage.db)
    litestream = Litestream(version, stage.folder, stage.db, stage.folder / "litestream").start()
    daemon = stage.replicate()
    app = Application(stage.db, 10)
    app.start()
    app.join()
    assert stage.wal_bytes() > app.commits * 3000
    litestream.stop()
    reader = sqlite3.connect(stage.db)   # Litestream was not the last to close the database
    daemon.wait_for(lambda: stage.wal_bytes() == 0, 30, "the WAL is empty")
    reader.close()
    assert daemon.stop() == DONE
