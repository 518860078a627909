"""kill -9 before each system call of the daemon that changes something: the next run continues, and no durable commit is lost."""
import random
import shutil

import pytest

from application import all_errors, check
from compare import assert_same_pages, assert_sound, drop, settled
from damage import FIRST_MAP_ENTRY, flip
from killer import AS_A_BASE, IN_PARTS, KILLED, Killer, large_database, moments, run_once
from seawall import DONE, listing, told
from waiting import figure

SMALL = 80   # a run with so few calls is killed at each of them


@pytest.fixture
def killer(stage):
    return Killer(stage)


def assert_goes_on(stage, before, n):
    """After the next run everything is durable, and the restore points of before are still there."""
    listing(stage.replica)
    result = run_once(stage)
    assert result.returncode == DONE, f"after it was killed at call {n}: {told(result)}"
    assert set(before) <= set(stage.points()), f"killed at call {n}"
    restored = stage.restored()
    assert_same_pages(settled(stage.db, stage.folder), restored)
    return restored


class History:
    """One replica of the writer's database, which grows with each kill. `known`: txid -> transaction of the writer."""

    def __init__(self, stage, killer):
        self.stage, self.killer, self.known = stage, killer, {}
        self.chance = random.Random(1)

    def commit(self):
        self.stage.writer(count=1).finish()

    def note(self, n):
        """The newest restore point equals the database. An older one equals the database of its time."""
        restored = assert_goes_on(self.stage, self.known, n)
        self.known[self.stage.last_txid()] = check(restored)
        drop(restored)
        txid = self.chance.choice(list(self.known))
        restored = self.stage.restored(txid)
        assert check(restored) == self.known[txid], f"txid {txid}, after a kill at call {n}"
        drop(restored)
        check(self.stage.db)

    def kill_everywhere(self, prepare, some):
        """Kills a run at each of some calls. `prepare()` makes work for each run. Returns the log of a run that is not killed."""
        prepare()
        told_by = self.killer.once(0).stderr.decode()
        calls = self.killer.calls()
        self.note(0)
        killed = 0
        for n in moments(calls, some):
            prepare()
            killed += self.killer.once(n).returncode == KILLED
            self.note(n)
        assert killed > 0
        self.stage.note(f"killed at {killed} of {calls} calls")
        return told_by


@pytest.fixture
def history(stage, killer):
    stage.prepare()
    history = History(stage, killer)
    history.commit()
    assert run_once(stage).returncode == DONE
    return history


def test_killed_anywhere_while_a_commit_is_shipped(history):
    def after_a_daemon_that_was_killed_with_the_wal_in_use():
        stage = history.stage
        app = stage.writer(count=1, linger=True)
        app.report()
        daemon = stage.replicate("--rest-after", "60m", live=False)
        daemon.wait_for(lambda: daemon.log().count("up to date") > 0 or "continues" in daemon.log(), 10, "it goes on")
        before = stage.last_txid()
        another = stage.writer(count=1, linger=True)
        another.report()
        daemon.wait_for(lambda: stage.last_txid() > before, 10, "a commit is shipped out of the WAL")
        daemon.kill()
        stage.writer(count=2, linger=True).report()
        for writer in stage.writers:
            writer.kill()
    told_by = history.kill_everywhere(after_a_daemon_that_was_killed_with_the_wal_in_use, SMALL // 2)
    assert "compared all pages" not in told_by, "the daemon did not continue from its position: nothing was tested"


def test_killed_anywhere_after_commits_without_a_daemon(history):
    told_by = history.kill_everywhere(history.commit, SMALL)
    assert "compared all pages" in told_by


def test_killed_anywhere_while_the_replica_is_compared(history):
    def after_a_torn_map():
        history.commit()
        flip(f"{history.stage.db}-seawall", FIRST_MAP_ENTRY + 3)
    told_by = history.kill_everywhere(after_a_torn_map, SMALL)
    assert "was left at txid" in told_by, "the state file was enough: nothing was tested"


def test_killed_anywhere_while_it_is_compacted_and_a_base_is_written(history):
    history.stage.once_options = ("--fanout", "2", "--base-interval", "1s")
    history.kill_everywhere(history.commit, SMALL)
    found = listing(history.stage.replica)
    assert max(level["level"] for level in found["levels"]) >= 2
    assert sum(base["state"] == "complete" for base in found["bases"]) >= 2


@pytest.mark.parametrize("mebibytes, says", [(IN_PARTS, "up to date at txid 1"), (AS_A_BASE, "the base is complete")])
def test_killed_anywhere_while_the_first_copy_of_a_large_database_is_made(stage, killer, mebibytes, says):
    large_database(stage.db, mebibytes)

    def start_over():
        shutil.rmtree(stage.replica, ignore_errors=True)
        stage.db.with_name(stage.db.name + "-seawall").unlink(missing_ok=True)
    assert says in killer.once(0).stderr.decode()
    calls, killed = killer.calls(), 0
    for n in moments(calls, 16):
        start_over()
        killed += killer.once(n).returncode == KILLED
        restored = assert_goes_on(stage, [], n)
        drop(restored)
    assert_sound(stage.db)
    assert killed > 0
    stage.note(f"killed at {killed} of {calls} calls")


def test_killed_anywhere_while_an_application_writes(stage, killer, monkeypatch):
    chance = random.Random(3)
    stage.prepare()
    assert run_once(stage).returncode == DONE
    app = stage.writer(rate=400, busy_timeout=20000)
    known = {}
    for _ in range(figure(60, 5)):
        n = chance.randrange(1, 1000)
        with monkeypatch.context() as environment:
            for name, value in killer.environment(n).items():
                environment.setenv(name, value)
            daemon = stage.replicate("--wal-target", "50", live=False)
        assert daemon.wait() == KILLED, daemon.log()
        listing(stage.replica)
        committed, before = app.committed(), stage.points() if stage.last_txid() else []
        result = run_once(stage)
        assert result.returncode == DONE, f"after it was killed at call {n}: {told(result)}"
        assert set(before) <= set(stage.points())
        restored = stage.restored()
        known[stage.last_txid()] = check(restored)
        drop(restored)
        assert max(known.values()) >= committed
        txid = chance.choice(list(known))
        restored = stage.restored(txid)
        assert check(restored) == known[txid]
        drop(restored)
    report = app.stop()
    assert all_errors(report) == 0, report
    assert check(stage.db) == report["last"]
    assert check(assert_goes_on(stage, known, 0)) == report["last"]
