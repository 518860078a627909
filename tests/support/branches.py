"""Two daemons that both continue one history in one replica, and the checks of that replica afterwards."""
import re

from compare import assert_sound, content_of, drop
from ledger import TABLE, Ledger, insert
from seawall import OTHER_WRITER
from waiting import wait_until


def assert_refused(daemon):
    """The daemon has stopped, and its log names the other writer and --take-over."""
    assert daemon.wait(30) == OTHER_WRITER, daemon.log()
    assert re.search(r"another writer \([0-9a-f]{8}\)", daemon.log()), daemon.log()
    assert re.search(r"HINT: .*--take-over", daemon.log()), daemon.log()


class Branch:
    """One of two databases with the same history, and a record of its commits."""

    def __init__(self, stage, db, daemon):
        self.ledger, self.daemon = Ledger(db), daemon
        stage.ledgers.append(self.ledger)
        self.ledger.record()
        self.going = True

    def commit(self):
        self.ledger.commit(insert(1))

    def goes_on(self):
        self.going = self.going and self.daemon.running()
        return self.going


def two_branches(stage):
    """Returns a database and its restored copy, each with a daemon that is attached to the same replica, and the states that both have."""
    app = stage.ledger()
    app.commit(TABLE)
    original = stage.replicate(live=False).wait_live()
    app.start_over()
    for _ in range(5):
        app.commit(insert(1))
    original.wait_for(lambda: stage.last_txid() == len(app.states), 10, "the replica has everything")
    copy = stage.restored()
    continued = stage.replicate(db=copy, live=False)
    continued.wait_for(lambda: f"continues at txid {stage.last_txid()}" in continued.log(), 10, "the copy is attached too")
    common = list(app.states)
    app.close()
    return common, Branch(stage, stage.db, original), Branch(stage, copy, continued)


def race(branches, seconds):
    """Both branches commit until one of their daemons has stopped."""
    def one_has_stopped():
        for branch in branches:
            branch.commit()
        return not all([branch.goes_on() for branch in branches])
    wait_until(one_has_stopped, seconds, "one of the two writers has stopped")


def assert_one_chain(stage, common, winner, loser):
    """Each restore point is a state that both had or a state of the winner, in the order of the commits."""
    chain = common + winner.ledger.states
    at = 0
    for txid in stage.points():
        restored = stage.restored(txid)
        assert_sound(restored)
        state = content_of(restored)
        drop(restored)
        assert state not in loser.ledger.states[1:], f"txid {txid} is of the writer that lost"
        assert state in chain[at:], f"txid {txid} is not a state of these writers, or not in the order of their commits"
        at = chain.index(state, at)
    assert state == chain[-1], "the newest restore point is not the newest state"
