"""A daemon uses no CPU while nothing happens. Every test that leaves a daemon running ends with that check (conftest.py). These are the
tests of the check itself."""
import signal

import pytest

from idle import assert_idle, share


def test_a_live_daemon_without_commits_is_idle(stage):
    stage.prepare()
    daemon = stage.replicate()
    stage.writer(count=20).finish()
    assert_idle(daemon)


def test_the_check_finds_a_daemon_that_uses_cpu(stage, monkeypatch):
    """The test replaces the counter of CPU time by one that grows with each look."""
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
