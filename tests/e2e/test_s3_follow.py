"""`seawall follow` of a replica on S3: what it asks for, and what it does while the store does not answer."""
import sqlite3

import pytest

from follower import STATE, Follower, Ledgers, same_as_replica, status_of
from seawall import DONE
from waiting import let_pass


@pytest.fixture
def app(stage, s3):
    app = Ledgers(stage.db)
    app.commit()
    app.daemon = stage.replicate()
    yield app
    app.close()


def begin(stage, s3, *options):
    follower = Follower(stage.folder / "copy.db", s3.url(), stage.folder / "follow.log", *options)
    stage.daemons.append(follower)
    follower.wait_log("has the newest transaction")
    return follower


def number(follower):
    db = sqlite3.connect(f"file:{follower.copy}?mode=ro", uri=True)
    found = db.execute(STATE).fetchone()[2]
    db.close()
    return found


def keys_since(s3, start):
    return [(record.kind, record.key.removeprefix("backup/app/")) for record in s3.server.requests(since=start)]


def test_a_poll_is_one_request_for_the_next_object(stage, s3, app):
    follower = begin(stage, s3, "--interval", "100ms", "--max-interval", "100ms")
    assert app.daemon.stop() == DONE
    follower.wait_for(lambda: number(follower) == app.number, 20, "the copy is current")
    wanted = f"0/{status_of(follower.copy)['txid'] + 1:016x}"
    start = len(s3.server.requests())
    follower.wait_for(lambda: len(s3.server.requests()) > start + 8, 20, "some polls")
    asked = keys_since(s3, start)
    assert {key for kind, key in asked if kind == "get"} <= {wanted, "seawall.json"} | {key for _, key in asked if key.startswith("0/")}
    assert sum(key == wanted for _, key in asked) >= 8
    assert sum(kind == "list" for kind, _ in asked) <= 2, "it lists at most once in ten seconds"


def test_it_asks_more_and_more_seldom_while_nothing_comes_and_at_once_after_news(stage, s3, app):
    follower = begin(stage, s3, "--interval", "20ms", "--max-interval", "30s")
    assert app.daemon.stop() == DONE
    let_pass(4, "the pauses grow to a tenth of the time without news")
    start = len(s3.server.requests())
    let_pass(3, "pauses of 0.4 s and more")
    assert len(s3.server.requests()) - start <= 12
    app.daemon = stage.replicate(live=False)
    app.commit()
    follower.wait_for(lambda: number(follower) == app.number, 20, "news")
    start = len(s3.server.requests("get"))
    app.commit()
    follower.wait_for(lambda: number(follower) == app.number, 10, "more news")


def test_a_store_that_fails_is_told_and_waited_for(stage, s3, app):
    follower = begin(stage, s3, "--interval", "50ms")
    fault = s3.server.fault("access-denied")
    follower.wait_for(lambda: not follower.running() or follower.status().get("error"), 30, "it says that the store refuses")
    assert follower.running(), follower.log()
    fault.off()
    app.commit(3)
    follower.wait_for(lambda: number(follower) == app.number, 60, "it goes on")
    assert "error" not in status_of(follower.copy)
    assert "answers again" in follower.log()


def test_a_store_that_is_gone_for_a_while_is_waited_for(stage, s3, app):
    follower = begin(stage, s3, "--interval", "50ms")
    fault = s3.server.fault("close-before-body")
    follower.wait_for(lambda: follower.status().get("error"), 90, "it says that the store does not answer")
    before = number(follower)
    assert before == app.number
    app.commit(2)
    fault.off()
    follower.wait_for(lambda: number(follower) == app.number, 60, "it goes on")
    assert same_as_replica(follower.copy, s3.url(), stage.folder)
    assert follower.stop() == DONE


def test_a_signal_ends_it_while_the_first_request_hangs(stage, s3, app):
    follower = begin(stage, s3, "--interval", "50ms")
    assert follower.stop() == DONE
    fault = s3.server.fault("stall")
    follower = Follower(stage.folder / "copy.db", s3.url(), stage.folder / "again.log")
    stage.daemons.append(follower)
    follower.wait_for(lambda: fault.met, 20, "a request hangs")
    assert follower.stop() == DONE
    fault.off()
