"""One daemon for many databases: each is replicated as if it were alone, and trouble with one stops no other."""
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import threading
from pathlib import Path

import pytest

from control import socket_of
from fleet import Fleet, assert_restores, insert, make_database, synced
from seawall import DONE, FAILED, SOME_FAILED, USAGE, last_txid, restore, seawall, told
from waiting import figure, stays_true, wait_until

NAMES = [f"tenant-{i}" for i in range(1, 9)]


def test_each_database_is_replicated(stage, fleet):
    daemon = fleet(NAMES)
    daemon.wait_shipped(NAMES)
    for round_number in range(3):
        for name in NAMES:
            insert(daemon.database(name), round_number)
    for name in NAMES:
        synced(daemon, name)
        assert_restores(daemon, name)
    assert daemon.stop() == DONE


def test_a_snapshot_of_the_file_asks_the_daemon_that_has_all_of_it(stage, fleet):
    """The timer of the package runs it beside the service."""
    daemon = fleet(NAMES[:2])
    daemon.wait_shipped(NAMES[:2])
    for options in ((), ("--base",)):
        result = seawall("snapshot", *options, "-c", daemon.config)
        assert result.returncode == DONE and result.stdout.count(b"says the daemon that runs") == 2 and not result.stderr, told(result)
    result = seawall("snapshot", daemon.database(NAMES[0]), daemon.replica_of(NAMES[0]))
    assert result.returncode == FAILED and b"HINT" in result.stderr and b"-c and its" in result.stderr, told(result)
    assert daemon.stop() == DONE


def test_kill_loses_nothing_that_was_durable(stage, fleet):
    daemon = fleet(NAMES)
    daemon.wait_shipped(NAMES)
    for round_number in range(figure(20, 3)):
        for name in NAMES:
            insert(daemon.database(name), round_number)
        synced(daemon, NAMES[-1])
        daemon.kill()
        for name in NAMES:
            insert(daemon.database(name), "while no daemon ran")
        daemon = fleet(NAMES)
        for name in NAMES:
            daemon.wait_for(lambda: daemon.status().get(name, {}).get("condition") == "following", 30, f"{name} follows")
            synced(daemon, name)
            assert_restores(daemon, name)
    assert daemon.stop() == DONE


def test_status_has_all_databases_the_worst_first(stage, fleet):
    (stage.folder / "tenant-3.db").write_text("this is no database, but it has some bytes")
    daemon = fleet(NAMES)
    well = [name for name in NAMES if name != "tenant-3"]
    daemon.wait_shipped(well)
    result = seawall("status", "-c", daemon.config)
    lines = result.stdout.decode().splitlines()
    assert result.returncode == SOME_FAILED, told(result)
    assert lines[0] == "8 databases, 1 not well"
    assert lines[2].startswith("failing") and lines[2].endswith("/tenant-3.db")
    assert "is not a SQLite database" in lines[3]
    assert sorted(line.rsplit("/", 1)[1] for line in lines[5:]) == [f"{name}.db" for name in well]
    one = seawall("status", "-c", daemon.config, daemon.database("tenant-1"))
    assert one.returncode == DONE and b"durable at txid" in one.stdout, told(one)
    other = seawall("status", "-c", daemon.config, daemon.database("tenant-3"))
    assert other.returncode == FAILED, told(other)
    assert daemon.stop() == SOME_FAILED


def test_a_daemon_whose_databases_are_all_closed_can_be_asked_again_after_its_socket_was_removed(stage, fleet):
    (stage.folder / "tenant-1.db").write_text("this is no database, but it has some bytes")
    daemon = fleet(NAMES[:2])
    daemon.wait_shipped(["tenant-2"])
    daemon.database("tenant-2").with_name("second-name.db").hardlink_to(daemon.database("tenant-2"))
    daemon.wait_log("tenant-2.db': nothing is replicated")
    socket = socket_of(daemon.config)
    socket.unlink()
    daemon.wait_for(socket.exists, 4, "the socket is there again")
    assert sorted(daemon.status()) == NAMES[:2]
    assert daemon.stop() == USAGE


def test_a_list_longer_than_an_answer_comes_in_pages(stage, fleet):
    names = [f"{'long' * 30}-{i:03}" for i in range(60)]
    daemon = fleet(names)
    daemon.wait_shipped(names[-1:])
    assert sorted(daemon.status()) == sorted(names)
    assert daemon.stop() == DONE


def test_a_database_that_is_no_database_comes_back_when_it_is_one(stage, fleet):
    (stage.folder / "tenant-3.db").write_text("this is no database, but it has some bytes")
    daemon = fleet(NAMES[:4])
    daemon.wait_log("tenant-3.db': nothing is replicated, trying again later: .*is not a SQLite database")
    (stage.folder / "tenant-3.db").unlink()
    make_database(stage.folder / "tenant-3.db")
    daemon.wait_log("tenant-3.db': replicated again", seconds=40)
    synced(daemon, "tenant-3")
    assert_restores(daemon, "tenant-3")
    assert daemon.stop() == DONE


def test_a_database_that_is_missing_is_waited_for(stage, fleet):
    make_database(stage.folder / "tenant-1.db")
    daemon = Fleet(stage.folder, ["tenant-1", "tenant-2"])
    stage.daemons.append(daemon)
    daemon.wait_shipped(["tenant-1"])
    make_database(daemon.database("tenant-2"))
    daemon.wait_shipped(["tenant-2"])
    assert daemon.stop() == DONE


def test_a_database_that_an_application_keeps_locked_stops_no_other(stage, fleet):
    daemon = fleet(NAMES[:3])
    daemon.wait_shipped(NAMES[:3])
    assert daemon.stop() == DONE
    holder = sqlite3.connect(daemon.database("tenant-2"))
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN IMMEDIATE")
    daemon = fleet(NAMES[:3], settings=("sleep-after = never",))   # it would sleep: nothing was written
    daemon.wait_log("tenant-2.db': nothing is replicated: an application keeps the database locked")
    for name in ("tenant-1", "tenant-3"):
        insert(daemon.database(name), 1)
        synced(daemon, name)
        assert_restores(daemon, name)
    holder.rollback()
    holder.close()
    daemon.wait_for(lambda: daemon.status()["tenant-2"].get("condition") == "following", 20, "the third is followed")
    assert daemon.stop() == DONE


def test_a_replica_that_another_writer_has_stops_no_other_database(stage, fleet):
    """A copy of a database is another writer for the replica of the first."""
    daemon = fleet(NAMES[:3])
    daemon.wait_shipped(NAMES[:3])
    assert daemon.stop() == DONE
    insert(daemon.database("tenant-2"), "here")
    alone = stage.replicate(db=daemon.database("tenant-2"), replica=daemon.replica_of("tenant-2"))
    alone.kill()
    shutil.rmtree(daemon.replica_of("tenant-3"))
    shutil.copytree(daemon.replica_of("tenant-2"), daemon.replica_of("tenant-3"))
    daemon = fleet(NAMES[:3])
    insert(daemon.database("tenant-3"), "there")   # until it is written it sleeps
    daemon.wait_for(lambda: daemon.status()["tenant-3"].get("condition") in ("conflict", "failing"), 20, "it is told")
    for name in ("tenant-1", "tenant-2"):
        insert(daemon.database(name), 1)
        synced(daemon, name)
        assert_restores(daemon, name)
    assert daemon.stop() == SOME_FAILED


def test_a_store_that_is_away_stops_no_other(stage, fleet):
    """Its databases are behind, the others are not, and at the end the exit code says so."""
    replicas = stage.folder / "replicas"
    replicas.mkdir()
    (replicas / "tenant-2").write_text("a file where the folder of the replica should be")
    daemon = fleet(NAMES[:3], "--stop-timeout", "2s")
    daemon.wait_shipped(["tenant-1", "tenant-3"])
    for name in ("tenant-1", "tenant-3"):
        insert(daemon.database(name), 1)
        synced(daemon, name)
    assert daemon.status()["tenant-2"]["well"] is False
    (replicas / "tenant-2").unlink()
    daemon.wait_for(lambda: daemon.status()["tenant-2"].get("condition") == "following", 60, "it is followed")
    synced(daemon, "tenant-2")
    assert_restores(daemon, "tenant-2")
    assert daemon.stop() == DONE


@pytest.mark.parametrize("fault", ("read-hangs", "open-fails"))
def test_a_disk_that_hangs_or_refuses_stops_no_other_database(stage, fleet, faults, fault):
    make_database(stage.folder / "tenant-2.db")
    insert(stage.folder / "tenant-2.db", bytes(400_000))
    faults.on(fault, f"{stage.folder}/tenant-2.db")
    daemon = fleet(NAMES[:2], environment=faults.environment())
    daemon.wait_for(lambda: faults.met(fault), 20, "the fault is met")
    for i in range(5):
        insert(daemon.database("tenant-1"), i)
        synced(daemon, "tenant-1")
    assert_restores(daemon, "tenant-1")
    faults.off(fault)
    daemon.wait_shipped(NAMES[:2])
    insert(daemon.database("tenant-2"), 1)
    synced(daemon, "tenant-2")
    assert_restores(daemon, "tenant-2")
    assert daemon.stop() == DONE


def test_two_paths_to_one_file_are_refused_and_the_first_goes_on(stage, fleet):
    make_database(stage.folder / "tenant-1.db")
    (stage.folder / "tenant-2.db").symlink_to("tenant-1.db")
    daemon = fleet(NAMES[:3])
    daemon.wait_log("tenant-2.db': nothing is replicated, trying again later: .*is the same file as .*tenant-1.db")
    writer = sqlite3.connect(daemon.database("tenant-1"), timeout=20)
    for i in range(200):
        writer.execute("INSERT INTO t VALUES (?)", (i,))
        writer.commit()
    synced(daemon, "tenant-1")
    writer.close()
    assert_restores(daemon, "tenant-1")
    assert daemon.stop() == SOME_FAILED


@pytest.fixture
def failed_beside_its_store(stage, fleet, faults):
    """A daemon whose second database failed while the store of that one hangs, so that its jobs do not end."""
    daemon = fleet(NAMES[:2], "--stop-timeout", "1s", environment=faults.environment())
    daemon.wait_shipped(NAMES[:2])
    faults.on("link-hangs", f"{daemon.replica_of('tenant-2')}/*")
    insert(daemon.database("tenant-2"), "not shipped")
    daemon.wait_for(lambda: faults.met("link-hangs"), 10, "the store hangs")
    (stage.folder / "second-name.db").hardlink_to(daemon.database("tenant-2"))
    daemon.wait_log("tenant-2.db': nothing is replicated, trying again later: .*hard links")
    (stage.folder / "second-name.db").unlink()
    return daemon


def test_a_database_that_failed_is_not_held_while_its_store_hangs(failed_beside_its_store):
    daemon = failed_beside_its_store
    application = sqlite3.connect(daemon.database("tenant-2"), isolation_level=None)
    application.execute("INSERT INTO t VALUES (zeroblob(100000))")
    assert application.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    application.close()
    assert daemon.stop(seconds=20) == SOME_FAILED


def test_a_database_that_failed_is_not_well_while_its_store_hangs(failed_beside_its_store):
    daemon = failed_beside_its_store
    status = daemon.status()
    assert status["tenant-2"]["well"] is False and "hard links" in status["tenant-2"]["error"]
    assert status["tenant-1"]["well"] is True
    result = seawall("sync", "-c", daemon.config, daemon.database("tenant-2"))
    assert result.returncode == FAILED and b"nothing is replicated" in result.stderr, told(result)
    insert(daemon.database("tenant-1"), 1)
    synced(daemon, "tenant-1")
    assert daemon.stop(seconds=20) == SOME_FAILED


def test_a_database_may_be_named_as_any_path_leads_to_it(stage, fleet):
    daemon = fleet(NAMES[:2])
    daemon.wait_shipped(NAMES[:2])
    for path in ("tenant-1.db", "./tenant-1.db", f"{stage.folder}//tenant-1.db", f"{stage.folder}/../{stage.folder.name}/tenant-1.db"):
        for command in ("sync", "status", "detach", "attach"):
            result = seawall(command, "-c", daemon.config, path, folder=stage.folder)
            assert result.returncode == DONE, told(result)
    assert daemon.stop() == DONE


def test_what_keeps_a_command_from_the_daemon_of_a_database_is_told(stage, tmp_path_factory):
    """Also if the command has a configuration, whose daemon is then not asked."""
    stage.prepare()
    places, config = tmp_path_factory.mktemp("places"), stage.folder / "seawall.conf"
    config.write_text(f"[db {stage.db}]\nreplica = {stage.replica}\n")
    daemon = stage.replicate("--control", places)
    daemon.wait_for(lambda: list(places.glob("*.sock")), 10, "the socket is there")
    daemon.kill()
    socket = next(places.glob("*.sock"))
    socket.unlink()
    socket.symlink_to(socket.name)
    result = seawall("sync", "-c", config, "--control", places, stage.db)
    assert result.returncode == FAILED and b"Too many levels of symbolic links" in result.stderr, told(result)


def test_detach_lets_go_of_one_database(stage, fleet):
    daemon = fleet(NAMES[:3])
    daemon.wait_shipped(NAMES[:3])
    assert seawall("detach", "-c", daemon.config, daemon.database("tenant-2")).returncode == DONE
    connection = sqlite3.connect(daemon.database("tenant-2"))
    assert connection.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    insert(daemon.database("tenant-1"), 1)
    synced(daemon, "tenant-1")
    assert seawall("attach", "-c", daemon.config, daemon.database("tenant-2")).returncode == DONE
    insert(daemon.database("tenant-2"), 2)
    synced(daemon, "tenant-2")
    assert_restores(daemon, "tenant-2")
    assert daemon.stop() == DONE


def test_what_is_made_is_as_private_as_its_database(stage, fleet):
    before = os.umask(0o022)
    try:
        for name in NAMES[:2]:
            make_database(stage.folder / f"{name}.db")
        os.chmod(stage.folder / "tenant-2.db", 0o600)
        daemon = fleet(NAMES[:2])
    finally:
        os.umask(before)
    daemon.wait_shipped(NAMES[:2])
    for name, file, folder in (("tenant-1", 0o644, 0o755), ("tenant-2", 0o600, 0o700)):
        replica = daemon.replica_of(name)
        assert replica.stat().st_mode & 0o777 == folder
        assert (replica / "0" / "0000000000000001").stat().st_mode & 0o777 == file
    assert daemon.stop() == DONE


def test_a_second_daemon_of_the_file_leaves_the_first_in_peace(stage, fleet):
    daemon = fleet(NAMES[:2])
    daemon.wait_shipped(NAMES[:2])
    second = Fleet(stage.folder, NAMES[:2])
    stage.daemons.append(second)
    second.wait_log("tenant-1.db': nothing is replicated, trying again later")
    insert(daemon.database("tenant-1"), 1)
    synced(daemon, "tenant-1")
    assert second.stop() == FAILED
    assert daemon.running() and daemon.stop() == DONE


def test_once_takes_one_database(stage, fleet):
    for name in NAMES[:2]:
        make_database(stage.folder / f"{name}.db")
    daemon = Fleet(stage.folder, NAMES[:2], "--once")
    stage.daemons.append(daemon)
    assert daemon.wait() == USAGE
    assert "--once takes one database" in daemon.log()


def test_two_databases_at_one_place_are_refused(stage):
    config = stage.folder / "seawall.conf"
    config.write_text(f"[db {stage.folder}/a.db]\nreplica = {stage.folder}/r\n[db {stage.folder}/b.db]\nreplica = {stage.folder}/r\n")
    result = seawall("replicate", "-c", config)
    assert result.returncode == USAGE and b"a.db" in result.stderr and b"b.db" in result.stderr, told(result)


def test_an_idle_fleet_uses_no_more_threads_than_needed(stage, fleet):
    daemon = fleet(NAMES)
    daemon.wait_shipped(NAMES)
    threads = len(os.listdir(f"/proc/{daemon.pid}/task"))
    assert threads <= 1 + 2 + 32
    stays_true(daemon.running, 0.2, "it runs")
    daemon.send(signal.SIGUSR1)
    daemon.wait_log("tenant-8.db': longest write-lock hold")
    assert daemon.stop(signal.SIGINT) == DONE


# ---- databases come and go

def test_databases_of_a_pattern_come_and_go(stage, fleet):
    make_database(stage.folder / "tenant-1.db")
    daemon = fleet(["tenant-1"], pattern=stage.folder / "tenant-*.db")
    daemon.wait_shipped(["tenant-1"])
    make_database(stage.folder / "tenant-2.db")
    daemon.wait_log("tenant-2.db': it is new here")
    daemon.wait_shipped(["tenant-2"])
    insert(daemon.database("tenant-2"), 1)
    synced(daemon, "tenant-2")
    assert_restores(daemon, "tenant-2")
    for path in stage.folder.glob("tenant-1.db*"):
        path.unlink()
    daemon.wait_log("tenant-1.db': let go of", seconds=60)
    assert sorted(daemon.status()) == ["tenant-2"]
    insert(daemon.database("tenant-2"), 2)
    synced(daemon, "tenant-2")
    assert restore(daemon.replica_of("tenant-1"), stage.folder / "back.db").returncode == DONE
    assert daemon.stop() == DONE


def test_new_folders_of_a_pattern_are_watched_at_once(stage, fleet):
    """Each database comes in a folder that did not exist before, one after the other: the regular looks, every ten seconds, would take minutes."""
    daemon = fleet([], pattern=stage.folder / "t-*" / "tenant-*.db")
    daemon.wait_log("matches no database")
    for i in range(12):
        folder = stage.folder / f"t-{i}"
        folder.mkdir()
        make_database(folder / f"tenant-{i}.db")
        daemon.wait_shipped([f"tenant-{i}"])
    assert daemon.stop() == DONE


def test_databases_that_came_later_count_in_the_exit_code(stage, fleet):
    """One of two is not durable. The daemon began with none."""
    replicas = stage.folder / "replicas"
    replicas.mkdir()
    (replicas / "tenant-0").write_text("a file where the folder of the replica should be")
    daemon = fleet([], "--stop-timeout", "2s", pattern=stage.folder / "tenant-*.db")
    daemon.wait_log("matches no database")
    make_database(stage.folder / "tenant-0.db")
    daemon.wait_log("tenant-0.db': it is new here")
    make_database(stage.folder / "tenant-2.db")
    daemon.wait_shipped(["tenant-2"])
    assert daemon.stop() == SOME_FAILED


def test_a_pattern_that_matches_nothing_waits_for_the_first_database(stage, fleet):
    daemon = fleet([], pattern=stage.folder / "tenant-*.db")
    daemon.wait_log("matches no database")
    daemon.wait_for(lambda: seawall("status", "-c", daemon.config).stdout.startswith(b"0 databases"), 20, "it answers")
    make_database(stage.folder / "tenant-1.db")
    daemon.wait_shipped(["tenant-1"])
    assert daemon.stop() == DONE


def test_sighup_takes_up_new_sections_and_lets_go_of_others(stage, fleet):
    daemon = fleet(NAMES[:3])
    daemon.wait_shipped(NAMES[:3])
    make_database(stage.folder / "tenant-4.db")
    daemon.names = ["tenant-1", "tenant-3", "tenant-4"]
    daemon.settings = ["keep-daily = 3"]
    daemon.write_config()
    daemon.send(signal.SIGHUP)
    daemon.wait_log("tenant-2.db': let go of")
    daemon.wait_log("tenant-1.db': SIGHUP: keep-daily is 3 now")
    daemon.wait_shipped(["tenant-4"])
    connection = sqlite3.connect(daemon.database("tenant-2"))
    assert connection.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",), "the daemon has let go of it"
    connection.close()
    for name in daemon.names:
        insert(daemon.database(name), 1)
        synced(daemon, name)
        assert_restores(daemon, name)
    daemon.config.write_text("[seawall]\nkeep-daily = many\n")
    daemon.send(signal.SIGHUP)
    daemon.wait_log("SIGHUP: the configuration stays as it was: ")
    insert(daemon.database("tenant-4"), 2)
    daemon.write_config()
    synced(daemon, "tenant-4")
    assert daemon.stop() == DONE


def test_a_store_that_hangs_takes_no_thread_that_another_needs(stage, fleet, monkeypatch):
    """Forty databases, 38 of them in a bucket whose server takes connections and says nothing."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    names = [f"tenant-{i:02}" for i in range(40)]
    with socket.create_server(("127.0.0.1", 0), backlog=200) as silent:
        port = silent.getsockname()[1]

        def url_of(name):
            folder = stage.folder / "replicas" / name
            return folder if name in names[-2:] else f"s3://bucket/{name}?endpoint=http://127.0.0.1:{port}&region=x"
        daemon = fleet(names, "--stop-timeout", "1s", urls=url_of)
        daemon.wait_shipped(names[-2:])
        for i in range(10):
            for name in names[-2:]:
                insert(daemon.database(name), i)
                synced(daemon, name)
        for name in names[-2:]:
            assert_restores(daemon, name)
        assert daemon.stop() != DONE


def test_a_store_that_is_down_gets_one_request_at_a_time(fleet, s3):
    """Whatever its databases have to ship. The log says once that it is down, and once that it is back."""
    names = [f"tenant-{i:02}" for i in range(12)]
    daemon = fleet(names, urls=lambda name: s3.url(name))
    daemon.wait_shipped(names)
    before, refused = len(s3.server.requests()), s3.server.fault("close-unstored")
    for name in names:
        insert(daemon.database(name), 1)
    daemon.wait_log("store 's3://[^']*': it does not answer: its 12 replicas wait, and one at a time tries it")
    stays_true(lambda: refused.met > 0, 8, "what began before the store was down ends with its fourth attempt")

    def waiting():
        return {record.key.split("/")[0] for record in s3.server.requests(since=before) if record.ended == 0}
    held = s3.server.fault("stall")
    refused.off()
    held.wait_met(1, 40)
    for name in names:
        insert(daemon.database(name), 2)
    wait_until(lambda: len(waiting()) == 1, 60, "what began before the store was down has ended")
    stays_true(lambda: len(waiting()) <= 1, 3, "the requests that wait for an answer are those of one replica")
    replicas = [daemon.status()[name]["replicas"][0] for name in names]
    assert all(one["condition"] == "behind" and one["error"] for one in replicas), replicas
    held.off()
    daemon.wait_log("store 's3://[^']*': it answers again: its 12 replicas go on", 90)   # the pause between tries has grown
    for name in names:
        synced(daemon, name)
        assert_restores(daemon, name)
    assert [daemon.log().count(text) for text in ("trying again until it works", "reachable again")] == [1, 1], daemon.log()
    assert daemon.stop() == DONE


def test_a_request_that_fails_alone_holds_nobody_else(fleet, s3):
    daemon = fleet(NAMES[:3], urls=lambda name: s3.url(name))
    daemon.wait_shipped(NAMES[:3])
    refused = s3.server.fault("internal-error", on=("put", "head"), key="*tenant-2*")
    insert(daemon.database("tenant-2"), 1)
    refused.wait_met(3)
    for i in range(20):
        for name in ("tenant-1", "tenant-3"):
            insert(daemon.database(name), i)
            synced(daemon, name)
    refused.off()
    synced(daemon, "tenant-2")
    assert daemon.stop() == DONE


def test_the_puts_of_all_databases_have_one_limit_that_a_reload_can_lift(fleet, s3):
    daemon = fleet(NAMES[:3], settings=("total-put-rate = 1/h", "total-put-burst = 3", "rest-after = 100ms"), urls=lambda name: s3.url(name))
    daemon.wait_shipped(NAMES[:3])
    before = s3.server.count("put")
    for name in NAMES[:3]:
        insert(daemon.database(name), 1)
    daemon.wait_for(lambda: all(one["captured_txid"] > 1 for one in daemon.status().values()), 10, "the commits are captured")
    stays_true(lambda: s3.server.count("put") == before, 2, "commits wait for the tokens of all")
    synced(daemon, "tenant-2")
    assert_restores(daemon, "tenant-2")
    assert s3.server.count("put") == before + 1
    daemon.settings = ("rest-after = 100ms",)
    daemon.write_config()
    assert seawall("reload", "-c", daemon.config).returncode == DONE
    assert daemon.log().count("SIGHUP: total-put-rate is never now; it was 1/h") == 1, daemon.log()
    daemon.wait_for(lambda: s3.server.count("put") == before + 3, 10, "the others are shipped")
    for name in NAMES[:3]:
        assert_restores(daemon, name)
    assert daemon.stop() == DONE


def test_the_commits_that_wait_have_one_limit_and_none_is_lost(fleet, s3):
    daemon = fleet(NAMES[:3], settings=("total-max-pending = 1M",), urls=lambda name: s3.url(name))
    daemon.wait_shipped(NAMES[:3])
    refused = s3.server.fault("close-unstored")
    for i in range(4):
        for name in NAMES[:3]:
            insert(daemon.database(name), os.urandom(300_000))
    refused.off()
    for name in NAMES[:3]:
        synced(daemon, name)
        assert_restores(daemon, name)
    assert daemon.stop() == DONE


def test_add_and_remove_at_run_time(stage, fleet):
    daemon = fleet(NAMES[:2], settings=("rest-after = 100ms",))
    daemon.wait_shipped(NAMES[:2])
    make_database(stage.folder / "tenant-3.db")
    def ask(command, name, *urls, code=DONE):
        result = seawall(command, "-c", daemon.config, daemon.database(name), *urls)
        assert result.returncode == code, told(result)
        return result.stdout.decode().strip() if code == DONE else result.stderr.decode()
    assert ask("add", "tenant-3", daemon.replica_of("tenant-3")) == "added"
    daemon.wait_shipped(NAMES[:3])
    insert(daemon.database("tenant-3"), 1)
    synced(daemon, "tenant-3")
    assert "it is replicated already" in ask("add", "tenant-3", daemon.replica_of("tenant-3"), code=FAILED)
    assert "also belongs to database" in ask("add", "tenant-4", daemon.replica_of("tenant-1"), code=FAILED)
    assert "tenant-4" in ask("add", "tenant-4", code=FAILED)   # the file does not have it
    assert "the configuration has no [db" in told(seawall("sync", "-c", daemon.config, daemon.database("tenant-4")))
    (stage.folder / "tenant-5.db").write_text("no database\n" * 100)
    assert "is not a SQLite database" in ask("add", "tenant-5", daemon.replica_of("tenant-5"), code=FAILED)
    assert seawall("reload", "-c", daemon.config).returncode == DONE
    assert sorted(daemon.status()) == NAMES[:3]
    insert(daemon.database("tenant-3"), 2)
    assert ask("remove", "tenant-3") == "removed"
    assert_restores(daemon, "tenant-3")
    connection = sqlite3.connect(daemon.database("tenant-3"))   # nobody has it any more
    assert connection.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    connection.close()
    assert "does not have this database" in ask("remove", "tenant-3", code=FAILED)
    assert daemon.stop() == DONE


def test_a_database_that_was_removed_stays_away_until_it_is_wanted_again(stage, fleet):
    names = NAMES[:2]
    for name in names:
        make_database(stage.folder / f"{name}.db")
    daemon = fleet(names, pattern=stage.folder / "tenant-*.db")
    daemon.wait_shipped(names)
    remove = ("remove", "--json", "-c", daemon.config, daemon.database("tenant-1"))
    result = seawall(*remove)
    assert json.loads(result.stdout) == {"database": str(daemon.database("tenant-1")), "state": "removed"}, told(result)
    make_database(stage.folder / "tenant-3.db")   # there is a look, and it does not take up the other one
    daemon.wait_log("tenant-3.db': it is new here")
    assert sorted(daemon.status()) == ["tenant-2", "tenant-3"]
    assert seawall("add", "-c", daemon.config, daemon.database("tenant-1")).returncode == DONE
    insert(daemon.database("tenant-1"), 1)
    synced(daemon, "tenant-1")
    assert seawall(*remove).returncode == DONE
    assert seawall("reload", "-c", daemon.config).returncode == DONE
    synced(daemon, "tenant-1")
    assert_restores(daemon, "tenant-1")
    assert daemon.stop() == DONE


@pytest.mark.parametrize("way", ("add", "a link of a pattern", "a second name of a pattern", "a section"))
def test_no_look_at_a_wal_index_drops_the_locks_on_it(stage, fleet, way):
    """Closing any descriptor of a file drops all POSIX locks of the process on it."""
    daemon = fleet(["tenant-1"], settings=("rest-after = 1h",), pattern=stage.folder / "tenant-*.db")
    daemon.wait_shipped(["tenant-1"])
    application = sqlite3.connect(daemon.database("tenant-1"), isolation_level=None)
    application.execute("INSERT INTO t VALUES (1)")
    synced(daemon, "tenant-1")
    shm = Path(f"{daemon.database('tenant-1')}-shm")

    def locks():
        wanted = f":{shm.stat().st_ino}"
        return sorted(line.split()[3:] for line in Path("/proc/locks").read_text().splitlines()
                      if line.split()[1] == "POSIX" and line.split()[4] == str(daemon.pid) and line.split()[5].endswith(wanted))
    daemon.wait_for(locks, 10, "the daemon has locks")
    if way == "add":
        result = seawall("add", "-c", daemon.config, shm, stage.folder / "r")
        assert result.returncode == FAILED and b"keeps it beside" in result.stderr, told(result)
    elif way == "a section":
        daemon.config.write_text(daemon.config.read_text() + f"[db {shm}]\nreplica = {stage.folder}/r\n")
        seawall("reload", "-c", daemon.config)
        daemon.wait_log("keeps it beside")
    else:
        other = stage.folder / "tenant-3.db"
        other.symlink_to(shm) if way == "a link of a pattern" else other.hardlink_to(shm)
        make_database(stage.folder / "tenant-4.db")   # when it is seen, so is the other one
        daemon.wait_log("tenant-4.db': it is new here")
    assert any(line[0] == "READ" or line[0] == "WRITE" for line in locks()), Path("/proc/locks").read_text()
    application.execute("INSERT INTO t VALUES (2)")
    synced(daemon, "tenant-1")
    application.close()
    assert daemon.stop() in (DONE, SOME_FAILED)


def test_databases_with_nothing_to_ship_are_well_after_an_outage(fleet, s3):
    daemon = fleet(NAMES[:4], urls=lambda name: s3.url(name))
    daemon.wait_shipped(NAMES[:4])
    refused = s3.server.fault("close-unstored")
    insert(daemon.database("tenant-1"), 1)
    daemon.wait_log("its 4 replicas wait, and one at a time tries it")
    daemon.wait_for(lambda: sum(one["replicas"][0]["error"] is not None for one in daemon.status().values()) > 1, 60,
                    "an idle one has probed it too")
    refused.off()
    daemon.wait_log("it answers again: its 4 replicas go on", seconds=60)
    synced(daemon, "tenant-1")
    daemon.wait_for(lambda: all(one["replicas"][0]["error"] is None for one in daemon.status().values()), 10, "nobody fails any more")
    assert daemon.stop() == DONE


def test_a_removal_that_could_not_ship_everything_says_so(stage, fleet, s3):
    daemon = fleet(NAMES[:2], "--stop-timeout", "1s", urls=lambda name: s3.url(name))
    daemon.wait_shipped(NAMES[:2])
    with s3.server.fault("close-unstored"):
        insert(daemon.database("tenant-2"), "not shipped")
        result = seawall("remove", "-c", daemon.config, daemon.database("tenant-2"))
    assert result.returncode == FAILED and b"not everything is durable" in result.stderr, told(result)
    daemon.wait_log("ERROR .*tenant-2.db': let go of it, but not everything is durable")
    assert list(daemon.status()) == ["tenant-1"]
    assert daemon.stop() == DONE


def test_reload_takes_up_a_new_section_and_refuses_a_bad_file(stage, fleet):
    daemon = fleet(NAMES[:2])
    daemon.wait_shipped(NAMES[:2])
    make_database(stage.folder / "tenant-3.db")
    daemon.names.append("tenant-3")
    daemon.write_config()
    result = seawall("reload", "-c", daemon.config)
    assert (result.returncode, result.stdout) == (DONE, b"reloaded\n"), told(result)
    daemon.wait_shipped(NAMES[:3])
    good = daemon.config.read_text()
    daemon.config.write_text(good + "keep-all = a day\n")
    result = seawall("reload", "--json", "-c", daemon.config)
    assert result.returncode == FAILED and b"keep-all" in result.stderr and result.stdout == b"", told(result)
    daemon.config.write_text(good)
    for name in NAMES[:3]:
        insert(daemon.database(name), 1)
        synced(daemon, name)
    assert json.loads(seawall("reload", "--json", "-c", daemon.config).stdout) == {"config": str(daemon.config), "state": "reloaded"}
    assert daemon.stop() == DONE


def test_reload_of_a_daemon_without_a_file(stage):
    make_database(stage.db)
    daemon = stage.replicate()
    result = seawall("reload", stage.db)
    assert result.returncode == FAILED and b"without a configuration file" in result.stderr, told(result)
    assert daemon.stop() == DONE
    result = seawall("reload", stage.db)
    assert result.returncode == FAILED and b"no daemon" in result.stderr, told(result)


def test_status_all_names_what_is_passed_over(stage, fleet):
    tenants = stage.folder / "tenants"
    tenants.mkdir()
    make_database(tenants / "one.db")
    (tenants / "notes.db").write_text("no database")
    (tenants / "folder.db").mkdir()
    daemon = fleet([], pattern=f"{tenants}/*")
    daemon.wait_shipped(["one"])
    kept = sqlite3.connect(tenants / "one.db")
    kept.execute("SELECT * FROM t").fetchall()   # there is a -wal
    result = seawall("status", "--all", "-c", daemon.config)
    assert result.returncode == DONE, told(result)
    said = result.stdout.decode()
    assert f"passed over: 1 path, each is not a SQLite database:\n  {tenants}/notes.db\n" in said
    assert f"  {tenants}/folder.db\n" in said and f"  {tenants}/one.db-wal\n" in said
    found = json.loads(seawall("status", "--all", "--json", "-c", daemon.config).stdout)
    assert {one["path"] for reason in found["passed_over"] for one in reason["paths"]} >= {f"{tenants}/notes.db", f"{tenants}/folder.db"}
    assert "passed over" not in seawall("status", "-c", daemon.config).stdout.decode()
    assert seawall("status", "--all", stage.db).returncode == USAGE
    kept.close()
    assert daemon.stop() == DONE


def test_a_stop_beside_applications_that_commit_all_the_time_ends(stage, fleet):
    """Each gets a commit soon after each checkpoint. So the stop does not wait for a moment when all files are complete."""
    names = [f"tenant-{i}" for i in range(60)]
    daemon = fleet(names, pattern=stage.folder / "tenant-*.db", settings=["rest-after = 1h"])
    daemon.wait_shipped(names)
    applications = [sqlite3.connect(daemon.database(name), isolation_level=None, timeout=20, check_same_thread=False) for name in names]
    ended, counts = threading.Event(), dict.fromkeys(names, 0)

    def write():
        while not ended.is_set():
            for name, application in zip(names, applications):
                application.execute("INSERT INTO t VALUES (?)", (counts[name],))
                counts[name] += 1
            ended.wait(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        daemon.wait_for(lambda: min(counts.values()) > 20, 60, "each application has committed")
        before = dict(counts)
        assert daemon.stop() == DONE
    finally:
        ended.set()
        writer.join()
    assert "a reader that stays open" not in daemon.log()
    assert max(map(int, re.findall(r"truncated (\d+)", daemon.log()))) <= 3, "when the application that made it closed it, and twice at the stop"
    for name in names[::10]:
        assert last_txid(daemon.replica_of(name)) > before[name]
    for application in applications:
        application.close()
