"""A writer at full speed, retention every second, a follower that is killed at random moments, and 20 readers with long transactions: half of
them read the copy with stock SQLite, half the replica through the VFS. Whatever a transaction sees is one state of the application."""
import os
import random

import pytest

from background import Committer
from follower import Follower, Reader, ReplicaReader, same_as_replica, status_of
from seawall import url_of
from waiting import figure, let_pass, wait_until

ROUNDS = int(os.environ.get("SEAWALL_TEST_ROUNDS", figure(200, 10)))   # a round: one kill of the follower, and its next start
READERS = int(os.environ.get("SEAWALL_TEST_READERS", figure(20, 6)))
RETENTION = ("--fanout", "2", "--base-interval", "3s", "--keep-all", "4s", "--keep-levels", "4s", "--grace", "2s", "--prune-interval", "1s")
HOLDS = 0.5, 0.01, 0.05, 0.4, 0.02, 0.1, 0.2, 0.02, 0.3, 0.05, 1   # a transaction lasts up to three times so many seconds
CATCH_UP_EACH = 25   # rounds; then the follower lives until it has what the application had committed


class Soak:
    """All processes, and what they have done."""

    def __init__(self, stage):
        self.stage, self.copy, self.chance = stage, stage.folder / "copy.db", random.Random(ROUNDS)
        self.app = Committer(stage.folder, stage.db, "follower", "Ledgers")
        wait_until(lambda: self.app.assert_well() or self.app.count(), 20, "the application commits")
        self.daemon = stage.replicate(*RETENTION)
        self.follow()
        self.follower.wait_txid(1)
        self.readers = [(Reader if n % 2 else ReplicaReader)(self.copy if n % 2 else url_of(stage.replica), stage.folder, n, hold=HOLDS[n % len(HOLDS)])
                        for n in range(READERS)]

    def follow(self):
        self.follower = Follower(self.copy, self.stage.replica, self.stage.folder / "follow.log", "--interval", "20ms")
        self.stage.daemons[1:] = [self.follower]

    def assert_well(self):
        for process in (self.app, *self.readers):
            process.assert_well()
        assert self.follower.process.poll() is None and self.daemon.process.poll() is None

    def round(self):
        let_pass(self.chance.choice((0.005, 0.03, 0.1, 0.3)) * self.chance.random(), "any moment")
        self.assert_well()
        self.follower.kill()
        if self.chance.random() < 0.02:
            let_pass(self.chance.uniform(3, 8), "retention removes what comes next")
        self.follow()

    def catch_up(self):
        goal = self.stage.last_txid()
        self.follower.wait_txid(goal, 60)

    def end(self):
        for process in (*self.readers, self.app):
            process.end()


@pytest.fixture
def soak(stage):
    soak = Soak(stage)
    yield soak
    soak.end()


@pytest.mark.busy_at_the_end("retention runs every second")
def test_readers_see_whole_states_while_the_follower_dies_again_and_again(soak, stage):
    for n in range(1, ROUNDS + 1):
        soak.round()
        if n % CATCH_UP_EACH == 0:
            soak.catch_up()
    for reader in soak.readers:
        reader.wait_more(2, 120)
    soak.app.end()
    soak.daemon.wait_for(stage.restores_source, 60, "the replica has the newest state")
    soak.catch_up()
    wait_until(lambda: same_as_replica(soak.copy, stage.replica, stage.folder), 60, "the copy has the newest state")
    done, gone = (sum(counts) for counts in zip(*(reader.done() for reader in soak.readers)))
    assert gone < done / 2, f"retention ended {gone} of {done + gone} transactions"
    status = status_of(soak.copy)
    stage.note(f"{ROUNDS} kills of the follower, {soak.app.count()} commits, {done} transactions of {READERS} readers, {gone} ended by "
               f"retention, {status['jumps']} jumps, {status['steps']} steps")
