"""The daemon is killed at any moment, under load, while other processes checkpoint. No durable commit is lost, and the next run ships the
others."""
import os
import random
import signal
import sqlite3

import pytest

from application import all_errors, check
from compare import drop
from seawall import DONE
from waiting import figure, let_pass, wait_until
from walindex import freeze

ROWS = 2
MODES = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"]
STYLES = [*MODES, "rotating", "the application closes last"]
KILLS = -(-int(os.environ["SEAWALL_TEST_KILLS"]) // len(STYLES)) if "SEAWALL_TEST_KILLS" in os.environ else figure(34, 3)   # of each style

SEED = os.environ.get("SEAWALL_TEST_SEED", "")


class Load:
    """An application that commits without a pause, and a second connection that checkpoints."""

    def __init__(self, stage, chance, modes, own_checkpoints):
        self.stage, self.chance, self.modes = stage, chance, modes
        self.options = {"autocheckpoint": 40} if own_checkpoints else {}
        self.app = self.other = None
        self.start()

    def start(self):
        self.app = self.stage.writer(rate=self.chance.choice([150, 700, 2000]), rows=ROWS, busy_timeout=20000, **self.options)
        self.other = sqlite3.connect(self.stage.db, isolation_level=None, timeout=0)

    def stop(self):
        """Lets the application close the database last. Then SQLite deletes the WAL, if no other process has it open."""
        self.other.close()
        report = self.app.stop()
        assert all_errors(report) == 0, report
        return report["last"]

    def checkpoint(self):
        try:
            self.other.execute(f"PRAGMA wal_checkpoint({self.chance.choice(self.modes)})").fetchall()
        except sqlite3.OperationalError as error:
            assert "locked" in str(error), error

    def wait_commits(self, commits):
        """Waits until the application has committed so many more transactions."""
        goal = self.app.committed() + commits

        def reached():
            assert self.app.running(), self.app.log()
            if self.modes:
                self.checkpoint()
            return self.app.committed() >= goal
        wait_until(reached, 60, f"the application committed transaction {goal}")


def kill_soon(daemon, chance):
    """Kills the daemon at a random moment during its start, or soon after it."""
    let_pass(chance.uniform(0, 0.06), "any moment")
    daemon.kill()


def assert_restorable(stage, txid):
    restored = stage.restored(txid)
    check(restored, rows=ROWS)
    drop(restored)


def assert_caught_up(stage, daemon, app):
    """Pauses the application, and waits until the newest restore point equals the database."""
    freeze(app)
    daemon.wait_for(stage.restores_source, 30, "the replica has caught up with the paused application")
    app.send(signal.SIGCONT)


@pytest.mark.parametrize("style", STYLES)
def test_a_daemon_killed_at_any_moment_loses_nothing_durable_and_catches_up(stage, style):
    chance = random.Random(style + SEED)
    closes = style == "the application closes last"
    stage.prepare()
    daemon = stage.replicate("--wal-target", 60)
    load = Load(stage, chance, [] if closes else MODES if style == "rotating" else [style], style in ("rotating", "PASSIVE"))
    durable, kills = [], 0
    while kills < KILLS:
        load.wait_commits(chance.randrange(5, 250))
        durable = stage.points()
        daemon.kill()
        kills += 1
        assert set(durable) <= set(stage.points()), "a restore point is gone"
        assert_restorable(stage, durable[-1])
        if closes:
            load.stop()
            assert not stage.wal.exists(), "the application did not close last"
            load.start()
        if chance.random() < 0.7:
            load.wait_commits(chance.randrange(1, 250))
        if kills < KILLS and chance.random() < 0.3:
            kill_soon(stage.replicate(live=False), chance)
            kills += 1
        daemon = stage.replicate("--wal-target", 60)
        if chance.random() < 0.5:
            load.wait_commits(chance.randrange(1, 100))
        assert_caught_up(stage, daemon, load.app)
    last = load.stop()
    assert daemon.stop() == DONE
    for txid in chance.sample(durable, min(len(durable), figure(50, 3))):
        assert_restorable(stage, txid)
    assert check(stage.assert_restore_equals_source(), rows=ROWS) == last
