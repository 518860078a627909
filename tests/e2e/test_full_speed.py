"""A writer at full speed with SQLite's own auto-checkpoint on."""
import random

from application import check
from compare import drop
from seawall import DONE
from waiting import figure

WAL_LIMIT = 100 << 20


def test_every_commit_of_a_writer_at_full_speed_is_restorable(stage):
    stage.prepare()
    daemon = stage.replicate("--wal-limit", WAL_LIMIT)
    before = stage.last_txid()
    app = stage.writer(seconds=figure(60, 8))
    longest_wal = stage.longest_wal_while(app.running)
    report = app.finish()
    hold_ms = daemon.longest_write_lock_hold_ms()
    assert daemon.stop() == DONE
    stage.note(f"full speed: {report['rate']:.0f} commits/s, p99.9 {report['latency_us']['p999'] / 1000:.2f} ms, longest "
               f"{report['latency_us']['max'] / 1000:.1f} ms, WAL {longest_wal >> 20} MiB, longest write-lock hold {hold_ms} ms")

    commits = [n for n, _ in app.journal()]
    assert commits == list(range(1, report["commits"] + 1))
    assert set(range(before, before + len(commits) + 1)) <= set(stage.points()), "a commit is not a restore point"
    assert stage.last_txid() == before + len(commits)
    for n in random.Random(3).sample(commits, min(len(commits), figure(50, 12))):
        restored = stage.restored(before + n)
        assert check(restored) == n
        drop(restored)
    assert check(stage.assert_restore_equals_source()) == len(commits)
    assert longest_wal < 3 * WAL_LIMIT   # a WAL beyond the limit is cut; beside a writer as fast as the disk that takes a while
    assert hold_ms < 1000
