"""`seawall replicate` and `list`: the daemon changes nothing in the database that was not allowed, and reports its work."""
import datetime
import hashlib
import os
import signal
import sqlite3

import pytest

from application import check
from compare import content_of
from seawall import DONE, NOTHING, TIMED_OUT, USAGE, listing, objects, seawall, told, url_of
from waiting import stays_true

MODE_BYTES = slice(18, 20)   # of the database header: 1 rollback journal, 2 WAL


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_seawall_writes_nothing_of_its_own_into_the_database(stage):
    stage.writer(count=50).finish()
    before = digest(stage.db)
    daemon = stage.replicate()
    assert daemon.stop() == DONE
    assert digest(stage.db) == before


def test_an_idle_database_costs_no_objects_and_no_cpu(stage):
    stage.writer(count=50).finish()
    daemon = stage.replicate()
    before, ticks = objects(stage.replica), daemon.cpu_ticks()
    stays_true(daemon.running, 4, "the daemon runs")
    assert objects(stage.replica) == before
    assert daemon.cpu_ticks() - ticks <= 8, "more than 2 % of a processor"
    stage.note(f"idle: resident memory {daemon.memory_kib('VmRSS')} KiB, {daemon.cpu_ticks() - ticks} ticks of CPU in 4 s")
    assert daemon.stop() == DONE


def test_once_brings_the_replica_up_to_date_and_ends(stage):
    last = stage.writer(count=20).finish()["last"]
    assert stage.replicate("--once", live=False).wait(60) == DONE
    assert check(stage.assert_restore_equals_source()) == last
    last = stage.writer(count=20).finish()["last"]
    assert stage.replicate("--once", live=False).wait(60) == DONE
    assert check(stage.assert_restore_equals_source()) == last


def test_once_adds_no_restore_point_when_nothing_changed(stage):
    stage.writer(count=20).finish()
    assert stage.replicate("--once", live=False).wait(60) == DONE
    before = stage.points()
    assert stage.replicate("--once", live=False).wait(60) == DONE
    assert stage.points() == before


def test_a_rollback_journal_database_is_switched_to_wal_only_where_that_is_allowed(stage):
    app = sqlite3.connect(stage.db, isolation_level=None)
    app.execute("CREATE TABLE t(a)")
    app.execute("INSERT INTO t VALUES(1)")
    app.close()
    before = digest(stage.db)
    daemon = stage.replicate("--set-wal", "no", live=False)
    assert daemon.wait(30) != DONE, daemon.log()
    assert "wal" in daemon.log().lower()
    assert digest(stage.db) == before

    daemon = stage.replicate("--set-wal", "yes")
    assert stage.db.read_bytes()[MODE_BYTES] == b"\2\2"
    daemon.wait_log("(?i)wal")
    assert daemon.stop() == DONE
    assert content_of(stage.restored()) == content_of(stage.db)


@pytest.mark.parametrize("damage", ["gone", "empty", "noise", "half"])
def test_a_damaged_state_file_costs_time_but_no_data(stage, damage):
    stage.writer(count=20).finish()
    assert stage.replicate().stop() == DONE
    state = stage.folder / "app.db-seawall"
    whole = state.read_bytes()
    last = stage.writer(count=5).finish()["last"]
    if damage == "gone":
        state.unlink()
    else:
        state.write_bytes({"empty": b"", "noise": os.urandom(len(whole)), "half": whole[:len(whole) // 2]}[damage])
    if damage == "noise":   # it could be a file of another program, so it is refused
        content = state.read_bytes()
        refused = seawall("replicate", "--once", "--take-over", stage.db, url_of(stage.replica))
        assert refused.returncode == USAGE and b"is a file of another program" in refused.stderr, told(refused)
        assert state.read_bytes() == content
        state.unlink()
    daemon = stage.replicate("--take-over")   # without its state it cannot prove that the replica is its own
    last = stage.writer(count=5).finish()["last"]
    assert daemon.stop() == DONE
    assert check(stage.assert_restore_equals_source()) == last


def test_list_prints_every_restore_point_with_its_time_and_size(stage):
    stage.prepare()
    daemon = stage.replicate()
    before = stage.last_txid()
    app = stage.writer(rate=50, count=20, intents=True)
    app.finish()
    assert daemon.stop() == DONE
    told_points = {point["txid"]: point for point in listing(stage.replica)["points"]}
    whole = listing(stage.replica)
    assert whole["last_txid"] == before + 20 == max(told_points)
    assert whole["first_txid"] == min(told_points)
    assert whole["objects"] == len(objects(stage.replica))
    assert whole["bytes"] == sum((stage.replica / key).stat().st_size for key in objects(stage.replica))
    for (n, begun), (_, returned) in zip(app.journal("b"), app.journal("c")):
        point = told_points[before + n]
        seconds = datetime.datetime.fromisoformat(point["time"].replace("Z", "+00:00")).timestamp()
        assert begun / 1e9 - 0.001 <= seconds < returned / 1e9 + 5, f"transaction {n} is listed for another time"
        assert point["pages"] >= 2
    assert whole["first_time"] <= whole["last_time"]


def test_list_says_so_when_there_is_nothing_to_restore(stage):
    empty = stage.folder / "empty"
    empty.mkdir()
    result = seawall("list", "--json", url_of(empty))
    assert result.returncode == NOTHING, told(result)


@pytest.mark.parametrize("arguments", [["replicate"], ["replicate", "--no-such-option", "a.db", "b"], ["restore"], ["list"],
                                       ["no-such-command"], ["replicate", "--lock-at", "many", "a.db", "b"],
                                       ["restore", "--txid", "-3", "-o", "x.db", "b"], ["replicate", "a.db", "gopher://x"]])
def test_a_wrong_command_line_exits_with_2_and_says_why(stage, arguments):
    result = seawall(*arguments)
    assert result.returncode == USAGE, told(result)
    assert result.stderr.strip()


def test_version_and_help_answer_on_stdout(stage):
    for verb in ("version", "help"):
        result = seawall(verb)
        assert result.returncode == DONE and result.stdout.strip() and not result.stderr, told(result)


def test_a_database_that_does_not_exist_is_an_error_and_is_not_created(stage):
    daemon = stage.replicate("--once", live=False)
    assert daemon.wait(30) != DONE
    assert not stage.db.exists()


def test_a_stop_without_a_database_has_nothing_to_ship(stage):
    daemon = stage.replicate(live=False)
    daemon.wait_log("waiting for the database to appear")
    assert daemon.stop() == DONE
    stage.prepare()
    daemon = stage.replicate()
    daemon.wait_for(stage.restores_source, 20, "everything is durable")
    for path in stage.folder.glob("app.db*"):
        path.unlink()
    daemon.wait_log("waiting for the database to appear")
    assert daemon.stop() == DONE


def test_a_stop_after_the_database_was_removed_with_commits_that_were_not_durable_says_so(stage):
    stage.prepare()
    daemon = stage.replicate()
    away = stage.folder / "away"
    stage.replica.rename(away)
    stage.replica.write_text("no folder: nothing can be stored here")
    stage.writer(count=3).finish()
    daemon.wait_log("trying again until it works")
    for path in stage.folder.glob("app.db*"):
        path.unlink()
    daemon.wait_log("waiting for the database to appear")
    assert daemon.stop() == TIMED_OUT
    assert "was removed before everything was durable" in daemon.log()


def test_memory_of_an_idle_daemon_is_small(stage):
    stage.writer(count=50).finish()
    daemon = stage.replicate()
    assert daemon.memory_kib("VmRSS") < 16 << 10
    assert daemon.stop(signal.SIGINT) == DONE
