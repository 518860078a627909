"""Compaction, bases and retention: during failures, while a process is suspended, and beside each other."""
import os
import shutil
import signal
import sqlite3

from compare import assert_sound
from seawall import DONE, level_zero, restore, seawall, told, url_of
from waiting import let_pass, stays_true, wait_until

SHORT = ("--grace", "1s", "--keep-all", "1s", "--keep-levels", "1s", "--keep-hourly", "1", "--keep-daily", "0", "--keep-weekly", "0")


def fill(path, rows, value="randomblob(900)"):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE IF NOT EXISTS t(x)")
    db.execute("BEGIN")
    for _ in range(rows):
        db.execute(f"INSERT INTO t VALUES({value})")
    db.execute("COMMIT")
    return db


def complete_bases(replica):
    folder = replica / "base"
    return sorted(b for b in os.listdir(folder) if (folder / b / "marker").exists()) if folder.is_dir() else []


def levels(replica, level):
    folder = replica / str(level)
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def test_once_compacts_again_after_a_put_that_failed(stage):
    fill(stage.db, 1).close()
    options = ("--once", "--fanout", "2", "--stop-timeout", "5s")
    for _ in range(2):
        assert seawall("replicate", *options, stage.db, url_of(stage.replica)).returncode == DONE
        fill(stage.db, 1).close()
    obstacle = stage.replica / "1"
    obstacle.write_text("in the way")
    daemon = stage.replicate(*options, live=False)
    daemon.wait_for(lambda: "Not a directory" in daemon.log(), 5, "the compacted segment could not be put")
    obstacle.unlink()
    assert daemon.wait() == DONE, daemon.log()
    assert len(levels(stage.replica, 1)) == 1


def test_a_base_that_was_begun_while_the_map_was_empty_holds_the_database(stage, faults):
    """The disk has no room for the state file; the base becomes due; kill -9; the disk has room again; then retention runs."""
    fill(stage.db, 200).close()
    other = stage.folder / "other.db"
    shutil.copy(stage.db, other)
    larger = fill(other, 20000, "zeroblob(900)")
    larger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    larger.close()
    daemon = faults.replicate("--base-interval", "6s", "--rest-after", "100ms")
    with sqlite3.connect(stage.db) as db:
        db.execute("INSERT INTO t VALUES(1)")
    db.close()
    daemon.wait_for(lambda: len(level_zero(stage.replica)) == 2, 5, "the second commit is shipped")
    let_pass(1, "the database has been at rest for ten times --rest-after")
    faults.on("disk-full", "*/app.db-seawall")
    other.rename(stage.db)
    for suffix in ("-wal", "-shm"):
        (stage.folder / f"app.db{suffix}").unlink(missing_ok=True)
    daemon.wait_for(lambda: faults.met("disk-full"), 10, "the state file could not grow")
    stays_true(lambda: not (stage.folder / "app.db-seawall-base-0").exists(), 5, "no base is begun while the map is empty")
    daemon.kill()
    faults.off("disk-full")
    daemon = stage.replicate("--base-interval", "6s", "--prune-interval", "never")
    daemon.wait_for(lambda: len(complete_bases(stage.replica)) == 1, 10, "the base is complete")
    assert daemon.stop() == DONE
    assert seawall("verify", "--full", url_of(stage.replica)).returncode == DONE
    stage.assert_restore_equals_source()
    let_pass(2, "everything is older than the grace period")
    assert seawall("prune", *SHORT, url_of(stage.replica)).returncode == DONE
    stage.assert_restore_equals_source()


def stopped_in_a_compaction(stage, number):
    """Returns a database and its replica. The daemon is stopped after it completed a base and before it completed a compaction of several
    parts. None: the compaction was faster."""
    rows, path, replica = 64 * 256, stage.folder / f"{number}.db", stage.folder / f"replica-{number}"
    db = fill(path, rows, "randomblob(3900)")
    daemon = stage.replicate("--fanout", "2", "--prune-interval", "never", db=path, replica=replica)
    daemon.wait_for(lambda: len(complete_bases(replica)) == 1, 60, "the first base")
    db.execute(f"UPDATE t SET x=randomblob(3900) WHERE rowid<={int(rows * 0.47)}")
    daemon.wait_for(lambda: len(level_zero(replica)) == 2, 60, "the second object")
    let_pass(1, "the daemon has come to rest")
    db.execute(f"UPDATE t SET x=randomblob(3900) WHERE rowid>{int(rows * 0.47)}")
    wait_until(lambda: len(os.listdir(replica / "base")) >= 2, 60, "the second base begins", pause_max=0.0005)
    newest = max(os.listdir(replica / "base"))
    wait_until(lambda: (replica / "base" / newest / "marker").exists(), 60, "the second base is complete", pause_max=0.0002)
    daemon.send(signal.SIGSTOP)
    if not levels(replica, 1):
        return db, replica, daemon
    db.close()
    daemon.kill()
    return None


def test_no_segment_is_put_whose_parts_retention_took(stage):
    """Another process runs retention while the compaction is stopped; then the compaction ends."""
    found = None
    for number in range(6):
        found = found or stopped_in_a_compaction(stage, number)
    assert found, "the compaction was always faster than the base"
    db, replica, daemon = found
    let_pass(3, "the parts of the compaction are older than the grace period")
    assert seawall("prune", *SHORT, url_of(replica)).returncode == DONE
    daemon.send(signal.SIGCONT)
    db.execute("UPDATE t SET x=1 WHERE rowid=5")
    db.close()
    daemon.wait_for(lambda: levels(replica, 1), 60, "the compacted segment is there, the first or a second one")
    daemon.kill()
    target = stage.folder / "newest.db"
    result = restore(replica, target)
    assert result.returncode == DONE, told(result)
    assert_sound(target)
