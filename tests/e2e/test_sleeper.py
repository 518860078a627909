"""A writer sleeps: it is suspended while another one takes its replica over, and while retention deletes the objects that would have shown
that. So the key that the sleeper would put next is free again. It must list before it puts."""
import signal

import pytest

from application import check
from compare import copy_file
from seawall import DONE, OTHER_WRITER, level_zero, objects
from waiting import let_pass, wait_until
from walindex import freeze

GRACE_S = 2


def sleep_while_another_takes_over(stage, sleeper):
    """Suspends the sleeper, and lets another writer take its replica over. Returns the daemon of that writer."""
    next_key = f"{stage.last_txid() + 1:016x}"
    freeze(sleeper)
    other = stage.folder / "other.db"
    copy_file(stage.db, other)
    stage.writer(db=other, count=1).finish()
    daemon = stage.replicate("--take-over", db=other, live=False)
    daemon.wait_for(lambda: next_key in level_zero(stage.replica), 20, "the other writer has taken the replica over")
    for _ in range(5):
        before = len(level_zero(stage.replica))
        stage.writer(db=other, count=1).finish()
        daemon.wait_for(lambda: len(level_zero(stage.replica)) > before, 10, "the other writer goes on")
    return daemon, next_key


def retain_newest(stage, keep):
    """Deletes the oldest objects, as retention does."""
    for name in level_zero(stage.replica)[:-keep]:
        (stage.replica / "0" / name).unlink()


@pytest.mark.parametrize("committed", ["while it slept", "after it woke"])
def test_a_writer_that_slept_longer_than_the_grace_period_puts_nothing_and_stops(stage, committed):
    stage.prepare()
    sleeper = stage.replicate("--grace", f"{GRACE_S}s")
    stage.writer(count=5).finish()
    sleeper.wait_for(stage.restores_source, 10, "the replica has everything")
    sleeper.wait_for(lambda: stage.wal_bytes() == 0, 10, "the database is at rest")
    winner, next_key = sleep_while_another_takes_over(stage, sleeper)
    if committed == "while it slept":
        stage.writer(count=3).finish()
    retain_newest(stage, keep=2)
    assert next_key not in level_zero(stage.replica), "the key is not free: nothing is tested"
    before = objects(stage.replica)
    let_pass(GRACE_S, "the sleeper's proof of its position is too old then")
    sleeper.send(signal.SIGCONT)
    if committed == "after it woke":
        stage.writer(count=3).finish()
    wait_until(lambda: not sleeper.running() or objects(stage.replica) != before, 30, "the sleeper does something")
    assert objects(stage.replica) == before, "the sleeper has put something"
    assert sleeper.wait(30) == OTHER_WRITER, sleeper.log()
    last = stage.writer(db=winner.db, count=4).finish()["last"]
    assert winner.stop() == DONE, winner.log()
    assert check(winner.db) == last
    assert len(level_zero(stage.replica)) > 2
