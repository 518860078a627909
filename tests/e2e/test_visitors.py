"""An application without a busy timeout gets no error beside the daemon: with commands, connections and processes one after the other."""
import os
import sqlite3

import pytest

import visitors
from application import check
from compare import copy_file
from seawall import DONE
from waiting import figure

ROUNDS = int(os.environ.get("SEAWALL_TEST_ROUNDS", 0))   # of each kind; 0: a few hundred
COMPLETE_S_MAX = 3

KINDS = {
    "commands one after the other": (300, lambda db, n: visitors.visits(visitors.command, db, n)),
    "connections at 150 a second": (600, lambda db, n: visitors.visits(visitors.connection, db, n, rate=150)),
    "connections at 200 a second": (400, lambda db, n: visitors.visits(visitors.connection, db, n, rate=200)),
    "a connection for each transaction": (1500, lambda db, n: visitors.visits(visitors.connection, db, n)),
    "two processes in turn": (1500, visitors.in_turn),
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_visitor_without_busy_timeout_fails_and_the_file_is_complete_soon_after_the_last_one(stage, kind):
    stage.prepare()
    with sqlite3.connect(stage.db) as connection:
        connection.execute("CREATE TABLE visits(n)")
    connection.close()
    daemon = stage.replicate()
    count, visit = KINDS[kind]
    count = ROUNDS or figure(10_000, count)
    complaints = visit(stage.db, count)
    stage.note(f"{kind}: {len(complaints)} of {count} failed")
    assert complaints == []
    daemon.wait_for(lambda: stage.wal_bytes() == 0, COMPLETE_S_MAX, "the file is complete about a second after the last close")
    copy = stage.folder / "copy.db"
    copy_file(stage.db, copy)
    with sqlite3.connect(f"file:{copy}?immutable=1", uri=True) as connection:
        assert connection.execute("SELECT count(*), max(n) FROM visits").fetchone() == (count, count - 1)
    connection.close()
    check(copy)
    assert daemon.stop() == DONE
    assert "resyncs 1," in daemon.log(), "the pages were compared again after the start"
    stage.assert_restore_equals_source()
