"""A commit is captured when it returns, and not only when the next one comes."""
import os
import statistics
import time

import pytest

from arrivals import Arrivals
from seawall import DONE
from waiting import figure

APART_S = 0.7


def directory_append_ms(folder):
    """The time in which this disk makes a file durable under its name. No store can be faster."""
    costs = []
    for i in range(9):
        start = time.monotonic()
        with open(folder / f"probe-{i}.tmp", "wb") as file:
            file.write(b"x" * 1000)
            os.fsync(file.fileno())
        os.link(folder / f"probe-{i}.tmp", folder / f"probe-{i}")
        directory = os.open(folder, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        costs.append((time.monotonic() - start) * 1000)
    return statistics.median(costs)


@pytest.mark.parametrize("synchronous, slow_sync_ms", [("full", 30), ("full", 0), ("normal", 0)])
def test_a_commit_is_durable_soon_after_it_returned_and_before_the_next(stage, synchronous, slow_sync_ms):
    stage.prepare()
    daemon = stage.replicate()
    count = figure(86, 6)
    with Arrivals(stage.replica / "0") as arrivals:
        app = stage.writer(synchronous=synchronous, slow_sync_ms=slow_sync_ms, rate=1 / APART_S, count=count, intents=True)
        app.finish()
        daemon.wait_for(lambda: len(arrivals.seen) >= count, 10, "each commit is an object of its own")
    begun, returned = app.journal("b"), app.journal("c")
    ends = [ns for _, ns in begun[1:]] + [time.time_ns()]
    delays = []
    for (n, start), (_, back), end in zip(begun, returned, ends):
        seen = [ns for ns, _ in arrivals.seen if start <= ns < end]
        assert seen, f"commit {n} was not durable before the next one began"
        delays.append((seen[0] - back) / 1e6)
    cost = directory_append_ms(stage.folder)
    stage.note(f"synchronous={synchronous}, fsync {slow_sync_ms} ms slower: durable {statistics.median(delays):.1f} ms after the "
               f"commit returned (median), {max(delays):.1f} at most; the disk alone takes {cost:.1f}")
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()
