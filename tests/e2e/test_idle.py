"""A daemon uses no CPU while nothing happens. Every test ends with that check (conftest.py); here are the cases that it is about."""
import signal

import pytest

from idle import assert_idle, share
from seawall import last_txid


def test_a_live_daemon_without_commits_is_idle(stage):
    stage.prepare()
    daemon = stage.replicate()
    stage.writer(count=20).finish()
    assert_idle(daemon)


def test_the_check_finds_a_daemon_that_uses_cpu(stage, monkeypatch):
    """A process that computes stands for the daemon: else the check could be one that never fails."""
    monkeypatch.setattr("idle.WORK_S_MAX", 1)
    stage.prepare()
    daemon = stage.replicate()
    ticks = iter(range(0, 10**6, 40))
    monkeypatch.setattr(daemon, "cpu_ticks", lambda: next(ticks))
    with pytest.raises(AssertionError, match="of a core while nothing happens"):
        assert_idle(daemon)
    daemon.kill()


def test_a_stopped_daemon_is_not_looked_at(stage):
    stage.prepare()
    daemon = stage.replicate()
    daemon.send(signal.SIGSTOP)
    assert_idle(daemon)
    assert share(daemon) == 0


@pytest.mark.busy_at_the_end("the test looks for itself, and is expected to fail")
@pytest.mark.xfail(strict=False, reason="the lock goes with the state file: both daemons have the database, and can use half a core each")
def test_a_database_that_is_removed_and_made_again_has_one_daemon_and_no_daemon_that_uses_cpu(stage):
    stage.prepare()
    first = stage.replicate()
    stage.writer(count=5).finish()
    for path in stage.folder.glob("app.db*"):
        path.unlink()
    stage.writer(count=5).finish()
    other = stage.folder / "other"
    second = stage.replicate(replica=other)
    for daemon in (first, second):
        assert_idle(daemon)
    before = {replica: last_txid(replica) for replica in (stage.replica, other)}
    stage.writer(count=5).finish()
    second.wait_for(lambda: last_txid(other) > before[other], 10, "the second daemon ships")
    for daemon in (first, second):
        assert_idle(daemon)
    assert last_txid(stage.replica) == before[stage.replica], "the first daemon ships too: the database has two"
