"""`seawall follow` is killed just before each system call that changes something: the next run goes on, and readers see only states of the
application."""
import random
import sqlite3
import subprocess

import pytest

from compare import content_of, drop
from follower import Ledgers, follow, same_as_replica, same_in_one_transaction, status_of
from killer import KILLED, Killer, moments
from seawall import DONE, seawall, told, url_of
from waiting import let_pass

COPY = "copy.db"


class Rounds:
    """A replica that grows by `grow`, and a copy that a killed follower leaves in each round."""

    def __init__(self, stage):
        self.stage, self.killer, self.copy = stage, Killer(stage), stage.folder / COPY
        self.app = Ledgers(stage.db)
        self.chance = random.Random(7)
        self.ship()

    def ship(self, *options):
        self.app.commit(2)
        result = seawall("replicate", "--once", *options, self.stage.db, url_of(self.stage.replica))
        assert result.returncode == DONE, told(result)

    def follow(self, environment=None):
        return follow(self.copy, self.stage.replica, "--until-current", "--interval", "1ms", environment=environment)

    def look(self):
        """What a stock reader sees now is a state of the application, if the copy is there."""
        if self.copy.exists():
            db = sqlite3.connect(f"file:{self.copy}?mode=ro", uri=True, isolation_level=None, timeout=10)
            number = same_in_one_transaction(db, lambda: None)
            db.close()
            assert number <= self.app.number

    def copied_apart(self):
        """A reader must not repair what the follower would find: it looks at files of its own."""
        apart = self.stage.folder / "apart.db"
        drop(apart)
        for suffix in ("", "-wal"):
            if (source := self.copy.with_name(COPY + suffix)).exists():
                subprocess.run(["cp", source, f"{apart}{suffix}"], check=True)
        if apart.exists() and apart.stat().st_size:
            db = sqlite3.connect(apart, isolation_level=None)
            assert same_in_one_transaction(db, lambda: None) <= self.app.number
            db.close()

    def kill_everywhere(self, prepare, some):
        prepare()
        result = self.follow(self.killer.environment(0))
        assert result.returncode == DONE, told(result)
        calls, killed = self.killer.calls(), 0
        for n in moments(calls, some):
            prepare()
            result = self.follow(self.killer.environment(n))
            assert result.returncode in (KILLED, DONE), f"before it was killed at call {n}: {told(result)}"
            killed += result.returncode == KILLED
            self.copied_apart()
            if self.chance.random() < 0.3:
                self.look()
            result = self.follow()
            assert result.returncode == DONE, f"after it was killed at call {n}: {told(result)}"
            assert same_as_replica(self.copy, self.stage.replica, self.stage.folder), f"killed at call {n}"
        assert killed > 0
        self.stage.note(f"follow: killed at {killed} of {calls} calls")

    def forget_copy(self):
        for suffix in ("", "-wal", "-shm", "-seawall-follow", "-seawall"):
            self.copy.with_name(COPY + suffix).unlink(missing_ok=True)

    def change_page_size(self):
        sizes = [512, 1024, 4096]
        sizes.remove(self.app.app.execute("PRAGMA page_size").fetchone()[0])
        for statement in ("PRAGMA journal_mode=delete", f"PRAGMA page_size={self.chance.choice(sizes)}", "VACUUM", "PRAGMA journal_mode=wal"):
            self.app.app.execute(statement).fetchall()
        self.ship()

    def prune(self):
        """What follows the copy goes: it must jump."""
        for _ in range(4):
            self.ship("--fanout", "2", "--base-interval", "1s")
        result = seawall("snapshot", "--base", self.stage.db, url_of(self.stage.replica))
        assert result.returncode == DONE, told(result)
        self.ship()
        let_pass(1.2, "objects that are younger than the grace stay")
        result = seawall("prune", "--quiet", "--grace", "1s", "--keep-all", "0", "--keep-levels", "0", url_of(self.stage.replica))
        assert result.returncode == DONE, told(result)


@pytest.fixture
def rounds(stage):
    rounds = Rounds(stage)
    yield rounds
    rounds.app.close()


def test_killed_anywhere_while_transactions_arrive(rounds):
    rounds.follow()
    rounds.kill_everywhere(lambda: [rounds.ship() for _ in range(3)], 16)


def test_killed_anywhere_while_the_log_is_copied_back(rounds):
    rounds.follow()

    def fill():
        rounds.app.commit(1, rows=1100, size=3500)
        rounds.ship()
        rounds.ship()
    rounds.kill_everywhere(fill, 12)


def test_killed_anywhere_while_the_first_copy_is_made(rounds):
    def begin():
        rounds.forget_copy()
        rounds.ship()
    rounds.kill_everywhere(begin, 16)


def test_killed_anywhere_while_the_page_size_changes(rounds):
    rounds.follow()
    rounds.kill_everywhere(rounds.change_page_size, 10)


def test_killed_anywhere_during_a_jump(rounds):
    rounds.follow()
    rounds.kill_everywhere(rounds.prune, 6)
    assert status_of(rounds.copy)["jumps"] > 0


def test_killed_anywhere_during_a_promotion(rounds):
    """It is a copy still, or a database that can be replicated."""
    url, calls, killed = url_of(rounds.stage.replica), 0, 0

    def promote(environment=None):
        return follow(rounds.copy, rounds.stage.replica, "--promote", environment=environment)

    def prepare():
        rounds.forget_copy()
        rounds.ship("--take-over")
        assert rounds.follow().returncode == DONE

    def finish(n):
        if rounds.copy.with_name(f"{COPY}-seawall-follow").exists():
            result = promote()
        else:
            result = seawall("replicate", "--once", "--take-over", rounds.copy, url)
        assert result.returncode == DONE, f"after it was killed at call {n}: {told(result)}"
        assert content_of(rounds.copy) == content_of(rounds.stage.restored()), f"killed at call {n}"
        assert rounds.copy.stat().st_mode & 0o777 == 0o600

    prepare()
    assert promote(rounds.killer.environment(0)).returncode == DONE
    calls = rounds.killer.calls()
    finish(0)
    for n in moments(calls, 12):
        prepare()
        result = promote(rounds.killer.environment(n))
        assert result.returncode in (KILLED, DONE), f"before it was killed at call {n}: {told(result)}"
        killed += result.returncode == KILLED
        finish(n)
    assert killed > 0
    rounds.stage.note(f"follow --promote: killed at {killed} of {calls} calls")
