"""A safe start: a lost volume never becomes an empty production database, and a new daemon takes over from one that ends."""
import json
import os
import signal
import socket
import sqlite3
import subprocess

import pytest

from control import assert_synced, status, wait_control
from seawall import BINARY, DONE, FAILED, NEWCOMER, OTHER_WRITER, SOME_FAILED, Daemon, restore, seawall, told, url_of
from waiting import PATIENCE, stays_true, wait_until

ROWS = 500


def fill(db, rows=ROWS):
    with sqlite3.connect(db) as app:
        app.execute("PRAGMA journal_mode=WAL")
        app.execute("CREATE TABLE IF NOT EXISTS t(a)")
        app.executemany("INSERT INTO t VALUES(?)", [("x" * 500,)] * rows)
    app.close()


def rows(db):
    with sqlite3.connect(db) as app:
        count = app.execute("SELECT count(*) FROM t").fetchone()[0]
    app.close()
    return count


def lose_volume(stage):
    """Everything beside the database is gone with it."""
    for path in stage.folder.glob("app.db*"):
        path.unlink()


@pytest.fixture
def lost(stage):
    """A replica with a history, whose database is gone."""
    fill(stage.db)
    assert stage.replicate().stop() == DONE
    lose_volume(stage)
    return stage


def assert_refused(result, stage):
    assert result.returncode == NEWCOMER, told(result)
    said = result.stderr.decode()
    assert "the replica has a history" in said
    for command in (f"-o {stage.db} {stage.replica}", f"seawall replicate --take-over {stage.db} {stage.replica}"):
        assert command in said, said
    assert "seawall restore " in said


# ---- a lost volume

def test_a_missing_database_is_not_begun_over_a_history(lost):
    assert_refused(seawall("replicate", lost.db, url_of(lost.replica), seconds=60), lost)
    assert not list(lost.folder.glob("app.db*"))
    assert restore(lost.replica, lost.db).returncode == DONE   # the first command of the two
    assert rows(lost.db) == ROWS
    assert wait_control(lost.replicate()).stop() == DONE


def test_a_missing_database_is_not_begun_over_a_history_in_s3(stage, s3):
    fill(stage.db)
    assert stage.replicate().stop() == DONE
    lose_volume(stage)
    result = seawall("replicate", stage.db, stage.replica, seconds=60)
    assert result.returncode == NEWCOMER and b"has a history" in result.stderr, told(result)


@pytest.mark.parametrize("made", ["nothing", "a table"])
@pytest.mark.parametrize("once", [True, False])
def test_an_empty_or_new_database_is_refused(lost, made, once):
    if made == "nothing":
        lost.db.touch()
    else:
        fill(lost.db, rows=1)
    if made == "nothing" and once:
        return   # without a database --once has nothing to do
    assert_refused(seawall("replicate", *(["--once"] if once else []), lost.db, url_of(lost.replica), seconds=60), lost)
    assert seawall("replicate", "--once", "--take-over", lost.db, url_of(lost.replica)).returncode == (DONE if made == "a table" else FAILED)


def test_the_command_of_exec_does_not_start_without_its_database(lost):
    result = seawall("replicate", "--exec", f"echo started; touch '{lost.folder}/started'", lost.db, url_of(lost.replica), seconds=60)
    assert_refused(result, lost)
    assert result.stdout == b"" and not (lost.folder / "started").exists()


def test_the_command_of_exec_does_not_start_as_long_as_the_store_does_not_answer(stage, s3, server):
    with server.fault("internal-error", on="list"):
        process = subprocess.Popen([BINARY, "replicate", "--exec", f"touch '{stage.folder}/started'; sqlite3 '{stage.db}' 'CREATE TABLE t(a)'", stage.db, stage.replica],
                                   stderr=open(stage.folder / "log", "wb"))
        wait_until(lambda: "it is not known whether a replica has a history" in (stage.folder / "log").read_text(), 30, "it says why it waits")
        assert not (stage.folder / "started").exists()
    assert process.wait(60 * PATIENCE) == DONE, (stage.folder / "log").read_text()
    assert (stage.folder / "started").exists()


def test_a_first_start_waits_for_the_database_as_ever(stage):
    daemon = Daemon(stage.db, stage.replica, stage.folder / "log")
    daemon.wait_log("waiting for the database")
    fill(stage.db)
    daemon.wait_log("up to date at txid")
    assert daemon.stop() == DONE


def test_a_database_that_was_removed_under_its_state_file_goes_on(lost):
    """The state file proves that the replica is its own: that volume is not lost."""
    lost.replica.rename(lost.folder / "old")
    fill(lost.db)
    assert wait_control(lost.replicate()).stop() == DONE
    for name in ("app.db", "app.db-wal", "app.db-shm"):
        (lost.folder / name).unlink(missing_ok=True)
    daemon = Daemon(lost.db, lost.replica, lost.folder / "log")
    daemon.wait_log("waiting for the database")
    fill(lost.db, rows=1)
    daemon.wait_log("up to date at txid")
    assert daemon.stop() == DONE


def test_a_large_database_of_another_writer_is_a_conflict_as_ever(lost):
    fill(lost.db, rows=ROWS // 2)
    result = seawall("replicate", "--once", lost.db, url_of(lost.replica))
    assert result.returncode == OTHER_WRITER, told(result)


def test_of_many_databases_the_lost_one_is_in_trouble_and_the_others_run(lost):
    other = lost.folder / "other.db"
    fill(other)
    config = lost.folder / "seawall.conf"
    config.write_text(f"[db {lost.db}]\nreplica = {lost.replica}\n[db {other}]\nreplica = {lost.folder}/others\n")
    process = subprocess.Popen([BINARY, "replicate", "-c", config], stderr=open(lost.folder / "log", "wb"))
    try:
        wait_until(lambda: "the replica has a history" in (lost.folder / "log").read_text(), 30, "the lost one is told")
        wait_until(lambda: seawall("sync", "-c", config, other).returncode == DONE, 30, "the other runs")
        found = {database["database"]: database for database in json.loads(seawall("status", "--json", "-c", config).stdout)["databases"]}
        assert "the replica has a history" in found[str(lost.db)]["error"] and found[str(other)]["well"]
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(60 * PATIENCE) == SOME_FAILED


# ---- --wait-for-lock

def second(stage, *options):
    return Daemon(stage.db, stage.replica, stage.folder / "second.log", *options)


def test_a_new_daemon_waits_for_the_old_one_says_so_once_and_takes_over(stage):
    fill(stage.db)
    old = stage.replicate()
    new = second(stage, "--wait-for-lock", "60s")
    new.wait_log("waiting until that one ends")
    stays_true(lambda: new.running(), 0.5, "it waits")
    assert status(stage.db)["pid"] == old.pid
    old.process.send_signal(signal.SIGTERM)
    assert old.process.wait(60 * PATIENCE) == DONE
    wait_until(lambda: seawall("status", "--json", stage.db).returncode == DONE and status(stage.db)["pid"] == new.pid, 20, "the new one answers")
    assert new.log().count("waiting until that one ends") == 1
    fill(stage.db, rows=3)
    assert_synced(stage.db)
    assert new.stop() == DONE
    assert rows(stage.restored()) == ROWS + 3


def test_without_the_option_or_after_its_time_the_new_one_fails(stage):
    fill(stage.db)
    old = stage.replicate()
    for options in ((), ("--wait-for-lock", "300ms")):
        result = seawall("replicate", *options, stage.db, url_of(stage.replica), seconds=30)
        assert result.returncode == FAILED and b"another process has locked" in result.stderr, told(result)
    assert old.stop() == DONE


def test_a_daemon_that_is_stopped_while_it_waits_ends_at_once(stage):
    fill(stage.db)
    old = stage.replicate()
    new = second(stage, "--wait-for-lock", "10m")
    new.wait_log("waiting until that one ends")
    assert new.stop() == DONE
    assert old.stop() == DONE


def test_systemd_hears_that_it_is_ready_when_it_has_the_lock(stage):
    fill(stage.db)
    old = stage.replicate()
    name = f"seawall-{os.getpid()}-ready"   # abstract: systemd, too, passes no path that is longer than an address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        listener.setblocking(False)
        new = Daemon(stage.db, stage.replica, stage.folder / "second.log", "--wait-for-lock", "60s", environment={"NOTIFY_SOCKET": "@" + name})
        heard = []

        def ready():
            while True:
                try:
                    heard.append(listener.recv(4096).decode())
                except BlockingIOError:
                    return any("READY=1" in message for message in heard)
        new.wait_log("waiting until that one ends")
        stays_true(lambda: not ready(), 0.5, "it is not ready")
        assert old.stop() == DONE
        wait_until(ready, 20, "it is ready")
        assert new.stop() == DONE


def test_of_two_daemons_for_a_configuration_the_second_takes_over_database_and_socket(stage):
    fill(stage.db)
    other = stage.folder / "other.db"
    fill(other)
    config = stage.folder / "seawall.conf"
    config.write_text(f"[db {stage.db}]\nreplica = {stage.replica}\n[db {other}]\nreplica = {stage.folder}/others\n")
    logs = [open(stage.folder / name, "wb") for name in ("first", "second")]
    first = subprocess.Popen([BINARY, "replicate", "-c", config], stderr=logs[0])
    wait_until(lambda: seawall("status", "-c", config).returncode == DONE, 30, "the first runs")
    new = subprocess.Popen([BINARY, "replicate", "--wait-for-lock", "60s", "-c", config], stderr=logs[1])
    wait_until(lambda: (stage.folder / "second").read_text().count("waiting until that one ends") == 2, 30, "the second waits")
    first.send_signal(signal.SIGTERM)
    assert first.wait(60 * PATIENCE) == DONE

    def answers():
        result = seawall("status", "--json", "-c", config)
        return result.returncode == DONE and {found["pid"] for found in json.loads(result.stdout)["databases"]} == {new.pid}
    wait_until(answers, 20, "the second answers for both")
    new.send_signal(signal.SIGTERM)
    assert new.wait(60 * PATIENCE) == DONE
