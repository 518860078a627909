"""`seawall sync`: when it returns 0, everything that was committed before is in every replica."""
import os
import re
import signal
import sqlite3
import subprocess
import threading

import pytest

from application import check
from compare import assert_sound
from control import SYNC_DONE, assert_synced, open_files, replica_status, status, sync, wait_control
from seawall import BINARY, DONE, FAILED, TIMED_OUT, USAGE, objects, restore, seawall, told
from waiting import PATIENCE, figure, let_pass, wait_until

INTERRUPTED = 130
LARGE = 40   # MiB: large enough for a base in chunks


class Marks:
    """An application that knows which of its commits returned."""

    def __init__(self, db):
        self.connection = sqlite3.connect(db, isolation_level=None, timeout=20)
        self.connection.execute("CREATE TABLE IF NOT EXISTS marks(n INTEGER PRIMARY KEY)")
        self.last = self.connection.execute("SELECT coalesce(max(n), 0) FROM marks").fetchone()[0]

    def commit(self):
        self.connection.execute("INSERT INTO marks VALUES(?)", (self.last + 1,))
        self.last += 1
        return self.last

    def close(self):
        self.connection.close()


def mark_in(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT max(n) FROM marks").fetchone()[0]
    finally:
        connection.close()


@pytest.fixture
def live(stage):
    stage.prepare()
    return wait_control(stage.replicate())


def sync_beside(db, *options):
    return subprocess.Popen([BINARY, "sync", *options, db], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("load", ["quiet", "flat_out", "many_small"])
def test_what_was_committed_before_it_survives_the_machine(stage, live, load):
    marks = Marks(stage.db)
    if load != "quiet":
        stage.writer(busy_timeout=20000, **({"rate": 2000} if load == "many_small" else {}))
        stage.writers[-1].wait_committed(100)
    for round in range(figure(40, 6)):
        mark = marks.commit()
        txid = assert_synced(stage.db)
        stage.daemons[-1].kill()
        restored = stage.restored()
        assert mark_in(restored) >= mark and stage.last_txid() >= txid
        assert_sound(restored)
        wait_control(stage.replicate())
    if load != "quiet":
        stage.writers[-1].stop()
    marks.close()
    assert stage.daemons[-1].stop() == DONE
    stage.assert_restore_equals_source()


def test_each_of_many_commits_is_in_the_replica_when_its_sync_returns(stage, live):
    """The daemon is not stopped: the replica restores as it is at that moment."""
    marks = Marks(stage.db)
    stage.writer(rate=1000, busy_timeout=20000)
    for _ in range(figure(200, 25)):
        mark = marks.commit()
        txid = assert_synced(stage.db)
        assert mark_in(stage.restored(txid)) >= mark
    stage.writers[-1].stop()
    marks.close()


def test_it_prints_the_txid_and_a_restore_of_that_has_all(stage, live):
    marks = Marks(stage.db)
    for _ in range(5):
        marks.commit()
    txid = assert_synced(stage.db)
    assert mark_in(stage.restored(txid)) == marks.last
    assert assert_synced(stage.db) == txid   # nothing new: nothing is put
    marks.close()


def test_many_syncs_at_the_same_time_succeed(stage, live):
    stage.writer(rate=1000)
    marks, failures = Marks(stage.db), []
    mark = marks.commit()

    def one():
        result = sync(stage.db)
        if result.returncode != DONE:
            failures.append(told(result))
    threads = [threading.Thread(target=one) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    live.kill()
    assert mark_in(stage.restored()) >= mark


def test_it_waits_for_every_replica(stage):
    stage.prepare()
    second = stage.folder / "second"
    daemon = wait_control(stage.replicate(also=[second]))
    assert_synced(stage.db)
    away = second.rename(stage.folder / "away")
    stage.writer(count=3).finish()
    waiting = sync_beside(stage.db, "--timeout", "never")
    daemon.wait_for(lambda: replica_status(stage.db, 0)["lag_transactions"] == 0 < replica_status(stage.db, 1)["lag_transactions"], 20,
                    "one has it, the other has not")
    assert waiting.poll() is None
    away.rename(second)
    output, _ = waiting.communicate(timeout=90 * PATIENCE)
    assert waiting.returncode == DONE and output.startswith(SYNC_DONE)
    for replica in (stage.replica, second):
        target = stage.folder / f"of-{replica.name}.db"
        assert restore(replica, target).returncode == DONE
        assert check(target) == 3


def test_it_waits_for_the_base_of_a_large_new_replica(stage):
    app = sqlite3.connect(stage.db, isolation_level=None)
    app.execute("PRAGMA journal_mode=wal")
    app.execute("CREATE TABLE big(id INTEGER PRIMARY KEY, payload BLOB)")
    app.executemany("INSERT INTO big(payload) VALUES(randomblob(?))", [(1 << 20,)] * LARGE)
    daemon = wait_control(stage.replicate(live=False))
    txid = assert_synced(stage.db)
    daemon.kill()
    app.close()
    assert any(key.endswith("/marker") for key in objects(stage.replica))
    assert stage.last_txid() >= txid
    stage.assert_restore_equals_source()


def test_while_a_replica_is_away_it_times_out_and_afterwards_it_does_not(stage, live):
    away = stage.replica.rename(stage.folder / "away")
    stage.writer(count=1).finish()
    for words in (("--timeout", "1"), ("--timeout=500ms",), ("--timeout", "0")):
        result = sync(stage.db, *words)
        assert result.returncode == TIMED_OUT and result.stdout == b"" and b"HINT" in result.stderr, told(result)
    away.rename(stage.replica)
    assert_synced(stage.db, "--timeout", "5m")


def test_an_interrupt_ends_it(stage, live):
    stage.replica.rename(stage.folder / "away")
    stage.writer(count=1).finish()
    for number in (signal.SIGINT, signal.SIGTERM):
        waiting = sync_beside(stage.db)
        caught = lambda: int(re.search(r"SigCgt:\s*(\w+)", open(f"/proc/{waiting.pid}/status").read())[1], 16) & 1 << signal.SIGTERM - 1
        wait_until(caught, 10, "it waits")
        waiting.send_signal(number)
        _, errors = waiting.communicate(timeout=20 * PATIENCE)
        assert waiting.returncode == INTERRUPTED and b"interrupted" in errors


def test_a_daemon_that_dies_meanwhile_is_a_failure(stage, live):
    stage.replica.rename(stage.folder / "away")
    stage.writer(count=1).finish()
    waiting = sync_beside(stage.db)
    live.wait_for(lambda: status(stage.db) and waiting.poll() is None and connected_to(live) > 0, 10, "it waits")
    live.kill()
    _, errors = waiting.communicate(timeout=20 * PATIENCE)
    assert waiting.returncode == FAILED and b"the daemon ended" in errors, errors


def connected_to(daemon):
    """How many sockets the daemon has, without the one that listens."""
    return sum(link.startswith("socket:") for link in open_files(daemon.pid)) - 1


@pytest.mark.parametrize("replica", ["there", "away"])
def test_when_the_daemon_is_stopped_meanwhile_it_says_whether_all_is_durable(stage, replica):
    stage.prepare()
    live = wait_control(stage.replicate("--stop-timeout", "1s"))
    away = stage.replica.rename(stage.folder / "away")
    stage.writer(count=1).finish()
    waiting = sync_beside(stage.db)
    live.wait_for(lambda: connected_to(live) > 0, 10, "it waits")
    let_pass(0.5, "the daemon reads the request, which nothing shows")
    if replica == "there":
        away.rename(stage.replica)
    code = live.stop()
    output, errors = waiting.communicate(timeout=20 * PATIENCE)
    if replica == "there":
        assert code == DONE == waiting.returncode and output.startswith(SYNC_DONE), errors
    else:
        assert code == TIMED_OUT and waiting.returncode == FAILED and b"before everything was durable" in errors, errors


def test_it_waits_for_a_file_that_was_put_in_the_place_of_the_database(stage, live):
    stage.writer(count=5).finish()
    assert_synced(stage.db)
    live.wait_for(lambda: stage.wal_bytes() == 0, 10, "the database is at rest")
    other = stage.folder / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("PRAGMA journal_mode=wal")
    connection.execute("CREATE TABLE other(x)")
    connection.execute("INSERT INTO other VALUES('new')")
    connection.commit()
    connection.close()
    for suffix in ("-wal", "-shm"):
        stage.db.with_name(stage.db.name + suffix).unlink(missing_ok=True)
    os.rename(other, stage.db)
    txid = assert_synced(stage.db)
    restored = sqlite3.connect(stage.restored(txid))
    assert restored.execute("SELECT x FROM other").fetchall() == [("new",)]
    restored.close()


def test_a_database_that_is_locked_exclusively_times_out(stage, live):
    """Its commits can't be seen, so sync must not call them durable."""
    assert live.stop() == DONE
    app = sqlite3.connect(stage.db, isolation_level=None)
    app.execute("PRAGMA locking_mode=exclusive")
    app.execute("CREATE TABLE more(x)")
    daemon = wait_control(stage.replicate(live=False))
    assert sync(stage.db, "--timeout", "1").returncode == TIMED_OUT
    assert status(stage.db)["state"] == "closed" and "locked" in status(stage.db)["error"]
    app.close()
    txid = assert_synced(stage.db)
    restored = sqlite3.connect(stage.restored(txid))
    assert restored.execute("SELECT count(*) FROM more").fetchone() == (0,)
    restored.close()
    assert daemon.running()


@pytest.mark.parametrize("words", [(), ("a", "b"), ("--timeout", "x"), ("--timeout", "-1", "x"), ("--timeout",), ("--nonsense", "x"), ("-c",)])
def test_wrong_usage_exits_with_2_and_a_hint(words):
    result = seawall("sync", *words)
    assert result.returncode == USAGE and b"HINT" in result.stderr, told(result)
