"""A writer at full speed with SQLite's own auto-checkpoint on."""
import random

import pytest

from application import check
from compare import drop
from seawall import DONE
from waiting import figure

WAL_LIMIT = 100 << 20


@pytest.mark.parametrize("rate", [20000, 0], ids=["20,000 a second", "flat out"])
def test_every_commit_of_a_fast_writer_is_restorable(stage, rate):
    """Flat out, a writer can be faster than capture on this machine: then commits within milliseconds share a restore point."""
    stage.prepare()
    daemon = stage.replicate("--wal-limit", WAL_LIMIT)
    before = stage.last_txid()
    app = stage.writer(seconds=figure(60, 8), rate=rate)
    longest_wal = stage.longest_wal_while(app.running)
    report = app.finish()
    hold_ms = daemon.longest_write_lock_hold_ms()
    assert daemon.stop() == DONE
    points = [txid for txid in stage.points() if txid > before]
    commits = [n for n, _ in app.journal()]
    stage.note(f"full speed: {report['rate']:.0f} commits/s, {len(points)} restore points, p99.9 {report['latency_us']['p999'] / 1000:.2f} ms, longest "
               f"{report['latency_us']['max'] / 1000:.1f} ms, WAL {longest_wal >> 20} MiB, longest write-lock hold {hold_ms} ms")

    assert commits == list(range(1, report["commits"] + 1))
    assert points == list(range(before + 1, before + 1 + len(points))), "a run of commits was given up"
    assert len(points) == len(commits) if rate else len(commits) / 100 < len(points) <= len(commits), "a commit is not a restore point"
    state = 0
    for txid in sorted(random.Random(3).sample(points, min(len(points), figure(50, 12)))):
        restored = stage.restored(txid)
        n = check(restored)
        assert n == txid - before if len(points) == len(commits) else state < n <= len(commits)
        state = n
        drop(restored)
    assert check(stage.assert_restore_equals_source()) == len(commits)
    assert longest_wal < 3 * WAL_LIMIT   # a WAL beyond the limit is cut; beside a writer as fast as the disk that takes a while
    assert hold_ms < 1000
