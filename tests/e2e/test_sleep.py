"""Databases of a daemon of many that are quiet sleep: nothing of them is open. What is written wakes them, and nothing is lost."""
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from compare import content_of
from control import open_files
from fleet import assert_restores, insert, make_database, synced
from seawall import BINARY, DONE, FAILED, TIMED_OUT, restore, restore_points, seawall, told
from waiting import figure, let_pass, stays_true, wait_until

NAMES = [f"tenant-{i}" for i in range(1, 6)]
SETTINGS = ("sleep-after = 300ms", "rest-after = 100ms")


def states(daemon):
    return {name: one.get("state") for name, one in daemon.status().items()}


def wait_asleep(daemon, names=NAMES):
    daemon.wait_for(lambda: all(states(daemon).get(name) == "asleep" for name in names), 60, f"{names} are asleep")


def wait_awake(daemon, name):
    daemon.wait_for(lambda: states(daemon)[name] not in ("asleep", "closed"), 30, f"{name} is awake")


@pytest.fixture
def asleep(fleet):
    """A daemon whose databases all sleep."""
    daemon = fleet(NAMES, settings=SETTINGS)
    wait_asleep(daemon)
    return daemon


def points(daemon, name):
    return len(restore_points(daemon.replica_of(name)))


def test_nothing_of_a_database_that_sleeps_is_open(asleep):
    files = [path for path in open_files(asleep.process.pid) if str(asleep.folder) in path and not path.endswith(".log")]
    assert not files
    status = asleep.status()["tenant-1"]
    assert status["well"] is True and status["condition"] == "following" and status["asleep_since"]
    assert status["replicas"][0]["url"] == str(asleep.replica_of("tenant-1"))
    assert status["replicas"][0]["durable_txid"] == status["captured_txid"] == 1
    assert asleep.stop() == DONE


def test_a_commit_wakes_it_and_each_commit_is_a_restore_point(asleep):
    application = sqlite3.connect(asleep.database("tenant-2"), isolation_level=None)
    before = points(asleep, "tenant-2")
    for i in range(20):
        application.execute("INSERT INTO t VALUES (?)", (i,))
    wait_awake(asleep, "tenant-2")
    synced(asleep, "tenant-2")
    assert points(asleep, "tenant-2") == before + 20
    assert "compared all pages" not in asleep.log().split("up to date at txid 1")[-1]
    assert asleep.status()["tenant-2"]["captured_txid"] == 21
    assert_restores(asleep, "tenant-2")
    assert states(asleep)["tenant-1"] == "asleep"
    application.close()
    wait_asleep(asleep)
    assert asleep.stop() == DONE


def test_a_visitor_that_closes_before_it_is_seen_is_compared(asleep):
    """It checkpoints and removes the WAL. Afterwards the database stays awake for longer."""
    asleep.send(signal.SIGSTOP)
    for i in range(3):
        insert(asleep.database("tenant-3"), i)
    assert not os.path.exists(f"{asleep.database('tenant-3')}-wal")
    asleep.send(signal.SIGCONT)
    asleep.wait_log("tenant-3.db': it was written and closed while it slept, .* quiet for 600ms")
    synced(asleep, "tenant-3")
    assert_restores(asleep, "tenant-3")
    wait_asleep(asleep)
    assert asleep.stop() == DONE


def test_a_reader_wakes_nothing(asleep):
    reader = sqlite3.connect(asleep.database("tenant-1"))
    for _ in range(3):
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
    reader.close()
    stays_true(lambda: states(asleep)["tenant-1"] == "asleep", 0.5, "it sleeps on")
    assert asleep.stop() == DONE


def test_a_file_whose_mtime_is_set_back_has_no_stamp(asleep):
    path = asleep.database("tenant-1")
    before = os.stat(path)
    asleep.send(signal.SIGSTOP)
    other = sqlite3.connect(path)
    other.execute("UPDATE t SET a = 7")  # as many pages as before
    other.commit()
    other.close()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(path).st_size == before.st_size
    asleep.send(signal.SIGCONT)
    asleep.wait_log("tenant-1.db': compared all pages: 1 of")
    synced(asleep, "tenant-1")
    assert_restores(asleep, "tenant-1")
    assert asleep.stop() == DONE


def test_an_application_that_keeps_it_locked_is_told(asleep):
    """It commits, but nobody else can read."""
    holder = sqlite3.connect(asleep.database("tenant-2"), isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("INSERT INTO t VALUES (1)")
    asleep.wait_log("tenant-2.db': nothing is replicated: an application keeps the database locked")
    assert asleep.status()["tenant-2"]["well"] is False
    holder.close()
    synced(asleep, "tenant-2")
    assert_restores(asleep, "tenant-2")
    assert asleep.stop() == DONE


def test_a_file_that_is_replaced_while_it_sleeps(asleep):
    make_database(asleep.folder / "new.db", rows=300)
    os.rename(asleep.folder / "new.db", asleep.database("tenant-4"))
    wait_awake(asleep, "tenant-4")
    synced(asleep, "tenant-4")
    assert_restores(asleep, "tenant-4")
    assert asleep.stop() == DONE


def test_sync_and_detach_wake_it(asleep):
    synced(asleep, "tenant-5")
    assert states(asleep)["tenant-5"] != "asleep"
    wait_asleep(asleep)
    result = seawall("detach", "-c", asleep.config, asleep.database("tenant-5"))
    assert result.returncode == DONE, told(result)
    stays_true(lambda: states(asleep)["tenant-5"] == "closed", 1, "a detached database does not sleep")
    result = seawall("attach", "-c", asleep.config, asleep.database("tenant-5"))
    assert result.returncode == DONE, told(result)
    wait_asleep(asleep)
    assert asleep.stop() == DONE


def test_a_restart_opens_nothing(asleep, fleet):
    assert asleep.stop() == DONE
    daemon = fleet(NAMES, settings=SETTINGS)
    wait_asleep(daemon)
    assert "opened" not in daemon.log() and "continues" not in daemon.log()
    insert(daemon.database("tenant-1"), 5)
    wait_awake(daemon, "tenant-1")
    synced(daemon, "tenant-1")
    assert_restores(daemon, "tenant-1")
    assert daemon.stop() == DONE


def test_after_kill_9_those_sleep_that_were_not_written(asleep, fleet):
    others = [name for name in NAMES if name != "tenant-2"]
    for round_number in range(figure(10, 3)):
        asleep.kill()
        kept = sqlite3.connect(asleep.database("tenant-2"), isolation_level=None)
        for i in range(4):
            kept.execute("INSERT INTO t VALUES (?)", (i,))
        asleep = fleet(NAMES, settings=SETTINGS)
        wait_awake(asleep, "tenant-2")
        wait_asleep(asleep, others)
        synced(asleep, "tenant-2")
        assert asleep.status()["tenant-2"]["captured_txid"] == points(asleep, "tenant-2") == 1 + 4 * (round_number + 1)
        assert_restores(asleep, "tenant-2")
        kept.close()
        wait_asleep(asleep)
        opened = [name for name in NAMES if f"{name}.db': opened" in asleep.log()]
        assert opened == ["tenant-2"], "one was opened although nothing was written to it"
    assert asleep.stop() == DONE


def test_a_replica_that_is_gone_at_the_start_is_looked_at(asleep, fleet):
    assert asleep.stop() == DONE
    shutil.rmtree(asleep.replica_of("tenant-1"))
    daemon = fleet(NAMES, settings=(*SETTINGS, "stop-timeout = 1s"))
    daemon.wait_log("tenant-1' held txid 1, and now it holds no replica")
    assert states(daemon)["tenant-2"] == "asleep"
    daemon.stop()


def test_a_replica_that_was_added_gets_everything(asleep):
    assert asleep.stop() == DONE
    other = asleep.folder / "other"
    text = asleep.config.read_text().replace(f"replica = {asleep.replica_of('tenant-1')}\n",
                                             f"replica = {asleep.replica_of('tenant-1')}\nreplica = {other}\n")
    asleep.config.write_text(text)
    asleep.start(["-c", asleep.config], asleep.folder / "second.log", None)
    asleep.wait_for(lambda: seawall("list", other).returncode == DONE, 30, "the new replica has a point")
    wait_asleep(asleep)
    assert asleep.stop() == DONE


def test_of_two_daemons_the_second_to_wake_says_so(asleep, fleet, stage):
    """While a database sleeps, nobody has its lock."""
    second = stage.replicate(db=asleep.database("tenant-1"), replica=asleep.replica_of("tenant-1"))
    insert(asleep.database("tenant-1"), 1)
    asleep.wait_log("tenant-1.db-seawall'.*|another process has locked")
    second.wait_for(lambda: points(asleep, "tenant-1") >= 2, 30, "the second daemon replicates")
    assert second.stop() == DONE
    asleep.wait_for(lambda: asleep.status()["tenant-1"].get("well") is True, 60, "the first takes it up again")
    assert_restores(asleep, "tenant-1")
    asleep.stop()


def test_beyond_awake_max_those_sleep_early_that_are_quiet(fleet):
    daemon = fleet(NAMES, settings=("sleep-after = 1h", "rest-after = 100ms", "awake-max = 2"))
    daemon.wait_for(lambda: sum(state == "asleep" for state in states(daemon).values()) == len(NAMES) - 2, 60, "two are awake")
    stays_true(lambda: sum(state == "asleep" for state in states(daemon).values()) == len(NAMES) - 2, 1, "not fewer")
    assert daemon.stop() == DONE


def test_with_never_none_sleeps(fleet):
    daemon = fleet(NAMES[:2], settings=("sleep-after = never", "rest-after = 100ms"))
    daemon.wait_shipped(NAMES[:2])
    let_pass(1, "others would sleep by now")
    assert set(states(daemon).values()) == {"resting"}
    assert daemon.stop() == DONE


def test_no_request_at_a_restart_and_while_they_sleep(s3, fleet):
    daemon = fleet(NAMES, settings=SETTINGS, urls=s3.url)
    wait_asleep(daemon)
    assert daemon.stop() == DONE
    before = s3.server.count()
    daemon.start(["-c", daemon.config], daemon.folder / "second.log", None)
    wait_asleep(daemon)
    let_pass(1, "time for a request")
    assert s3.server.count() == before
    insert(daemon.database("tenant-1"), 5)
    synced(daemon, "tenant-1")
    assert daemon.stop() == DONE


def test_sync_of_all_databases(asleep):
    """What sleeps and was written is woken; the others have everything."""
    result = seawall("sync", "-c", asleep.config)
    assert (result.returncode, result.stdout) == (DONE, b"5 of 5 databases are durable; 5 of them sleep\n"), told(result)
    kept = sqlite3.connect(asleep.database("tenant-2"), isolation_level=None)
    for i in range(5):
        kept.execute("INSERT INTO t VALUES (?)", (i,))
        found = json.loads(seawall("sync", "--json", "-c", asleep.config).stdout)
        assert found == {"databases": 5, "durable": 5, "asleep": 4, "failed": []}
        assert points(asleep, "tenant-2") == 2 + i
    kept.close()
    asleep.replica_of("tenant-3").rename(asleep.folder / "away")
    insert(asleep.database("tenant-3"), 1)
    result = seawall("sync", "--timeout", "2s", "--json", "-c", asleep.config)
    assert result.returncode == TIMED_OUT, told(result)
    assert [one["database"] for one in json.loads(result.stdout)["failed"]] == [str(asleep.database("tenant-3"))]
    (asleep.folder / "away").rename(asleep.replica_of("tenant-3"))
    result = seawall("sync", "-c", asleep.config)
    assert result.returncode == DONE, told(result)
    assert_restores(asleep, "tenant-3")
    assert asleep.stop() == DONE
    result = seawall("sync", "-c", asleep.config)
    assert result.returncode == FAILED and b"no daemon" in result.stderr, told(result)


def test_a_stop_ships_what_a_sleeper_was_given_last(asleep):
    """The daemon sees the commit and the signal at the same time."""
    asleep.send(signal.SIGSTOP)
    kept = sqlite3.connect(asleep.database("tenant-1"), isolation_level=None)
    kept.execute("INSERT INTO t VALUES (1)")
    asleep.send(signal.SIGTERM)
    asleep.send(signal.SIGCONT)
    assert asleep.wait() == DONE
    assert_restores(asleep, "tenant-1")
    kept.close()


def test_a_link_that_is_switched_while_it_sleeps(stage, fleet):
    for version in ("v1", "v2"):
        (stage.folder / version).mkdir()
        make_database(stage.folder / version / "app.db", rows=1 if version == "v1" else 50)
    (stage.folder / "current").symlink_to("v1")
    daemon = fleet([], pattern=None, settings=SETTINGS)
    daemon.stop()
    daemon.config.write_text("[seawall]\n" + "\n".join(SETTINGS) + f"\n[db {stage.folder}/current/app.db]\nreplica = {stage.folder}/rep\n"
                             f"[db {stage.folder}/other.db]\nreplica = {stage.folder}/other\n")
    make_database(stage.folder / "other.db")
    daemon.start(["-c", daemon.config], stage.folder / "second.log", None)
    wait_asleep(daemon, ["app", "other"])
    os.symlink("v2", stage.folder / "next")
    os.rename(stage.folder / "next", stage.folder / "current")
    assert daemon.stop() == DONE
    target = stage.folder / "restored.db"
    assert restore(stage.folder / "rep", target).returncode == DONE
    assert content_of(target) == content_of(stage.folder / "v2" / "app.db")


def test_a_sleeper_that_is_detached_does_not_delay_the_stop(asleep):
    result = seawall("detach", "-c", asleep.config, asleep.database("tenant-5"))
    assert result.returncode == DONE, told(result)
    assert asleep.stop(seconds=20) == DONE   # stop-timeout is a minute


def test_retention_runs_although_it_sleeps_most_of_the_time(fleet):
    daemon = fleet(NAMES[:2], settings=(*SETTINGS, "prune-interval = 3s", "grace = 1s", "keep-all = 1s", "keep-levels = 1s"))
    wait_asleep(daemon, NAMES[:1])
    kept = sqlite3.connect(daemon.database("tenant-1"), isolation_level=None)

    def deleted():
        for i in range(40):
            kept.execute("INSERT INTO t VALUES (?)", (i,))
            let_pass(0.005, "each commit is an object of its own")
        wait_asleep(daemon, NAMES[:1])
        return "retention deleted" in daemon.log()
    daemon.wait_for(deleted, 60, "retention deletes something")
    kept.close()
    assert daemon.stop() == DONE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_after_a_power_cut_the_times_of_the_file_prove_nothing(asleep):
    """SQLite syncs what it writes, but not the times. So in another boot all pages are compared."""
    assert asleep.stop() == DONE
    boot = asleep.folder / "boot_id"
    boot.write_text("00000000-1111-2222-3333-444444444444\n")
    kept = sqlite3.connect(asleep.database("tenant-1"), isolation_level=None)
    kept.execute("INSERT INTO t VALUES (1)")
    log = asleep.folder / "second.log"
    command = f"mount --bind {boot} /proc/sys/kernel/random/boot_id && exec {BINARY} replicate -c {asleep.config} 2>{log}"
    other = subprocess.Popen(["unshare", "--mount", "sh", "-c", command])
    try:
        wait_until(lambda: log.exists() and log.read_text().count("compared all pages") == len(NAMES), 60, "all were compared")
    finally:
        other.terminate()
        assert other.wait() == DONE
    assert_restores(asleep, "tenant-1")
    kept.close()


def test_a_busy_folder_wakes_the_daemon_now_and_then(asleep):
    """Files beside the databases are written all the time: what the daemon reads, it reads in bulk."""
    def switches():
        status = (Path("/proc") / str(asleep.process.pid) / "status").read_text()
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.M)[1])
    before, started = switches(), time.monotonic()
    with open(asleep.folder / "neighbour", "wb", buffering=0) as other:
        for _ in range(20000):
            other.write(b"x")
            os.utime(other.fileno())   # so that two events in a row differ
    passed = time.monotonic() - started
    assert switches() - before < 2000 + 200 * passed
    assert asleep.stop() == DONE
