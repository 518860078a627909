"""One daemon for many databases: each is replicated as if it were alone, and trouble with one stops no other."""
import os
import shutil
import signal
import sqlite3

import pytest

from compare import assert_sound, content_of
from control import socket_of
from fleet import Fleet, insert, make_database
from seawall import DONE, FAILED, SOME_FAILED, USAGE, restore, seawall, told
from waiting import figure, stays_true

NAMES = [f"tenant-{i}" for i in range(1, 9)]


@pytest.fixture
def fleet(stage):
    """Starts daemons of many databases, which end with the test."""
    def start(names=NAMES, *options, **more):
        for name in names:
            if not (stage.folder / f"{name}.db").exists():
                make_database(stage.folder / f"{name}.db")
        daemon = Fleet(stage.folder, names, *options, **more)
        stage.daemons.append(daemon)
        return daemon
    return start


def assert_restores(stage, fleet, name):
    """The newest restore point of this database has what it has now. The daemon may checkpoint meanwhile."""
    target = stage.folder / f"restored-{name}.db"
    result = restore(fleet.replica_of(name), target)
    assert result.returncode == DONE, told(result)
    assert content_of(target) == content_of(fleet.database(name))
    assert_sound(target)
    target.unlink()


def synced(fleet, name):
    result = seawall("sync", "-c", fleet.config, fleet.database(name))
    assert result.returncode == DONE, told(result)
    return result


def test_each_database_is_replicated(stage, fleet):
    daemon = fleet()
    daemon.wait_shipped(NAMES)
    for round_number in range(3):
        for name in NAMES:
            insert(daemon.database(name), round_number)
    for name in NAMES:
        synced(daemon, name)
        assert_restores(stage, daemon, name)
    assert daemon.stop() == DONE


def test_kill_loses_nothing_that_was_durable(stage, fleet):
    daemon = fleet()
    daemon.wait_shipped(NAMES)
    for round_number in range(figure(20, 3)):
        for name in NAMES:
            insert(daemon.database(name), round_number)
        synced(daemon, NAMES[-1])
        daemon.kill()
        for name in NAMES:
            insert(daemon.database(name), "while no daemon ran")
        daemon = fleet()
        for name in NAMES:
            daemon.wait_for(lambda: daemon.status().get(name, {}).get("condition") == "following", 30, f"{name} follows")
            synced(daemon, name)
            assert_restores(stage, daemon, name)
    assert daemon.stop() == DONE


def test_status_has_all_databases_the_worst_first(stage, fleet):
    (stage.folder / "tenant-3.db").write_text("this is no database, but it has some bytes")
    daemon = fleet()
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
    assert_restores(stage, daemon, "tenant-3")
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
    daemon = fleet(NAMES[:3])
    daemon.wait_log("tenant-2.db': nothing is replicated: an application keeps the database locked")
    for name in ("tenant-1", "tenant-3"):
        insert(daemon.database(name), 1)
        synced(daemon, name)
        assert_restores(stage, daemon, name)
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
    daemon.wait_for(lambda: daemon.status()["tenant-3"].get("condition") in ("conflict", "failing"), 20, "it is told")
    for name in ("tenant-1", "tenant-2"):
        insert(daemon.database(name), 1)
        synced(daemon, name)
        assert_restores(stage, daemon, name)
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
    assert_restores(stage, daemon, "tenant-2")
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
    assert_restores(stage, daemon, "tenant-1")
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
    assert_restores(stage, daemon, "tenant-2")
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
    daemon = fleet()
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
    assert_restores(stage, daemon, "tenant-2")
    for path in stage.folder.glob("tenant-1.db*"):
        path.unlink()
    daemon.wait_log("tenant-1.db': let go of", seconds=60)
    assert sorted(daemon.status()) == ["tenant-2"]
    insert(daemon.database("tenant-2"), 2)
    synced(daemon, "tenant-2")
    assert restore(daemon.replica_of("tenant-1"), stage.folder / "back.db").returncode == DONE
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
        assert_restores(stage, daemon, name)
    daemon.config.write_text("[seawall]\nkeep-daily = many\n")
    daemon.send(signal.SIGHUP)
    daemon.wait_log("SIGHUP: the configuration stays as it was: ")
    insert(daemon.database("tenant-4"), 2)
    daemon.write_config()
    synced(daemon, "tenant-4")
    assert daemon.stop() == DONE
