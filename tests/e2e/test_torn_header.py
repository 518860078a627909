"""An application that dies while it writes the wal-index header leaves two copies that differ, or one that lies. The
others must recover the WAL, and need the checkpoint lock for it, which the daemon keeps under load."""
import pytest

import walindex
from application import all_errors, check
from seawall import DONE
from waiting import figure

LONGEST_WAIT_US = 1_200_000
ROUNDS = figure(10, 3)


def start_load(stage):
    """Two applications, and the daemon which keeps the checkpoint lock."""
    stage.prepare()
    daemon = stage.replicate()
    writers = [stage.writer(shared=True, rate=800, rows=2, busy_timeout=8000) for _ in range(2)]
    wait_lock_kept(stage, daemon, writers)
    return daemon, writers


def wait_lock_kept(stage, daemon, writers):
    for writer in writers:
        writer.wait_committed(writer.committed() + 50)
    daemon.wait_for(lambda: walindex.holder(stage.db, walindex.CHECKPOINT_LOCK) == daemon.pid, 10,
                    "the daemon keeps the checkpoint lock under load")


def assert_unharmed(stage, daemon, writers):
    reports = [writer.stop() for writer in writers]
    longest = max(report["latency_us"]["max"] for report in reports)
    stage.note(f"torn wal-index header, {ROUNDS} times: the others waited at most {longest / 1000:.0f} ms")
    for report in reports:
        assert all_errors(report) == 0, report
    assert daemon.stop() == DONE
    committed = {n for writer in stage.writers for n, _ in writer.journal()}
    last = check(stage.assert_restore_equals_source(), rows=2)
    assert committed <= set(range(1, last + 1)), "a commit was lost"
    assert longest < LONGEST_WAIT_US


def test_an_application_killed_between_the_two_header_copies_delays_the_others_briefly(stage):
    daemon, writers = start_load(stage)
    for _ in range(ROUNDS):
        victim = stage.writer(shared=True, rows=2, busy_timeout=8000, count=20, die_in_header=True)
        victim.process.wait(60)
        assert victim.process.returncode == -9, victim.log()
        wait_lock_kept(stage, daemon, writers)
    assert_unharmed(stage, daemon, writers)


@pytest.mark.parametrize("copy", [0, 1])
def test_a_damaged_copy_of_the_header_delays_the_others_briefly(stage, copy):
    daemon, writers = start_load(stage)
    for _ in range(ROUNDS):
        walindex.tear(stage.db, copy)
        wait_lock_kept(stage, daemon, writers)
    assert_unharmed(stage, daemon, writers)
