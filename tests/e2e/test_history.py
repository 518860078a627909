"""Compacted levels and bases keep a replica small and quick to restore, at any age."""
import random
import re
import sqlite3

import pytest

from application import check
from compare import drop
from ledger import TABLE, insert
from seawall import DONE, USAGE, listing, objects, seawall, told, url_of
from waiting import figure, let_pass, stays_true


def levels_of(replica):
    return {level["level"]: level["objects"] for level in listing(replica)["levels"]}


def bases_of(replica):
    return [base for base in listing(replica)["bases"] if base["state"] == "complete"]


def assert_verified(replica):
    result = seawall("verify", "--full", url_of(replica))
    assert result.returncode == DONE, told(result)


def commit_one_by_one(stage, app, daemon, count, *statements):
    """Commits `count` times. Each commit becomes an object of its own."""
    for _ in range(count):
        before = stage.last_txid()
        app.commit(*statements)
        daemon.wait_for(lambda: stage.last_txid() > before, 20, "the commit is shipped")


def test_every_commit_restores_through_levels_and_bases(stage):
    app = stage.ledger()
    app.commit(TABLE, insert(20))
    daemon = stage.replicate("--fanout", "3", "--base-interval", "1s")
    change = "UPDATE big SET payload = randomblob(300) WHERE id % 7 = (SELECT count(*) FROM mark) % 7"
    for bases in range(1, 4):
        commit_one_by_one(stage, app, daemon, 8, change)
        app.commit_alone("VACUUM")
        commit_one_by_one(stage, app, daemon, 1, "DELETE FROM big WHERE id % 11 = 3", insert(9))
        daemon.wait_for(lambda: len(bases_of(stage.replica)) >= bases, 20, "a base that is due")
    assert {1, 2} <= set(levels_of(stage.replica)), levels_of(stage.replica)
    stage.assert_ledger_restores(app, daemon)
    assert_verified(stage.replica)


def test_compacting_begins_where_the_run_before_ended(stage):
    app = stage.ledger()
    app.commit(TABLE)
    for _ in range(12):
        app.commit(insert(1))
        result = seawall("replicate", "--once", "--fanout", "3", stage.db, url_of(stage.replica))
        assert result.returncode == DONE, told(result)
    names = [key for key in objects(stage.replica) if key.startswith(("1/", "2/"))]
    ranges = sorted(tuple(int(part, 16) for part in key[2:].split("-")) for key in names)
    assert ranges == [(2, 4), (2, 10), (5, 7)], "11 objects after the first; each third time the level above"
    assert_verified(stage.replica)


def test_a_restore_reads_hardly_more_than_the_database(stage):
    stage.prepare(mode="update", table_rows=20000)
    daemon = stage.replicate("--fanout", "8", "--base-interval", "never")
    writer = stage.writer(mode="update", table_rows=20000, rate=1500)
    daemon.wait_for(lambda: bases_of(stage.replica), 120, "a base: at some time so many changes weigh more than the database")
    let_pass(figure(60, 4), "changes behind the base")
    report = writer.stop()
    assert daemon.stop() == DONE
    found = seawall("restore", "--dry-run", url_of(stage.replica)).stdout.decode()
    unit = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}
    amount, name = found.rsplit(" of ", 1)[1].split()
    read, size = float(amount) * unit[name], stage.db.stat().st_size
    stage.note(f"after {report['commits']} updates a restore reads {read / size:.2f} times the database")
    assert read <= 1.5 * size + 2 * (1 << 20), f"{found}, the database has {size} bytes"
    stage.assert_restore_equals_source()


def test_no_new_base_is_written_while_nothing_changes(stage):
    app = stage.ledger()
    app.commit(TABLE, insert(10))
    daemon = stage.replicate("--base-interval", "1s")
    app.commit(insert(1))
    daemon.wait_for(lambda: bases_of(stage.replica), 20, "a base")
    before = objects(stage.replica)
    stays_true(lambda: objects(stage.replica) == before, 3, "nothing is written")
    app.commit(insert(1))
    daemon.wait_for(lambda: len(bases_of(stage.replica)) >= 2, 20, "the next base")
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()


def large_random_database(path, mebibytes):
    app = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA journal_mode=wal", "CREATE TABLE big(id INTEGER PRIMARY KEY, payload BLOB)",
                      f"WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {mebibytes * 1000}) "
                      "INSERT INTO big SELECT n, randomblob(1000) FROM i"):
        app.execute(statement).fetchall()
    return app


def chunks_of(replica):
    return [key for key in objects(replica) if key.startswith("base/") and not key.endswith(("marker", "interior"))]


def test_a_base_goes_on_where_a_killed_daemon_left_it(stage):
    app = large_random_database(stage.db, 90)
    daemon = stage.replicate(live=False)
    daemon.wait_for(lambda: len(chunks_of(stage.replica)) >= 3, 30, "some chunks are there")
    daemon.kill()
    put = chunks_of(stage.replica)
    assert not bases_of(stage.replica) if listing(stage.replica) else True
    app.execute("UPDATE big SET payload = randomblob(900) WHERE id % 1000 = 1").fetchall()
    daemon = stage.replicate()
    assert daemon.stop() == DONE
    assert "going on with the base" in daemon.log()
    assert {key.split("/")[1] for key in chunks_of(stage.replica)} == {put[0].split("/")[1]}, "another base was begun"
    assert set(put) <= set(chunks_of(stage.replica))
    assert not list(stage.folder.glob("*-seawall-base-*")), "the journal of the base was not removed"
    assert len(list(stage.replica.glob("base/*/interior"))) == 1, "the pages of the second run are there"
    app.close()
    stage.assert_restore_equals_source()
    assert_verified(stage.replica)


@pytest.mark.parametrize("harm", ["cut", "damaged", "of another replica"])
def test_a_base_whose_journal_is_damaged_is_completed_right(stage, harm):
    app = large_random_database(stage.db, 60)
    daemon = stage.replicate(live=False)
    daemon.wait_for(lambda: len(chunks_of(stage.replica)) >= 3, 30, "some chunks are there")
    daemon.kill()
    journal, = stage.folder.glob("*-seawall-base-*")
    content = journal.read_bytes()
    at = {"cut": len(content) - 9, "damaged": 100, "of another replica": 12}[harm]
    journal.write_bytes(content[:at] if harm == "cut" else content[:at] + bytes([content[at] ^ 1]) + content[at + 1:])
    daemon = stage.replicate()
    assert daemon.stop() == DONE
    app.close()
    stage.assert_restore_equals_source()
    assert_verified(stage.replica)


def test_ten_thousand_commits_are_ten_thousand_restore_points(stage):
    stage.prepare()
    daemon = stage.replicate("--fanout", "10")
    before = stage.last_txid()
    app = stage.writer(count=10000, rate=figure(2500, 4000))
    app.finish()
    assert daemon.stop() == DONE
    assert stage.points() == list(range(1, before + 10001))
    assert_verified(stage.replica)
    for n in random.Random(2).sample(range(1, 10001), figure(500, 40)):
        restored = stage.restored(before + n)
        assert check(restored) == n
        drop(restored)


def test_after_ten_thousand_commits_and_a_prune_every_point_that_is_kept_restores(stage):
    stage.prepare()
    daemon = stage.replicate("--fanout", "5", "--base-interval", "1s", "--prune-interval", "never")
    before = stage.last_txid()
    stage.writer(count=10000, rate=figure(1000, 4000)).finish()
    assert daemon.stop() == DONE
    let_pass(1.2, "everything is older than the grace period")
    result = seawall("prune", "--quiet", "--grace", "1s", "--keep-all", "0", "--keep-levels", "1d", url_of(stage.replica))
    assert result.returncode == DONE, told(result)
    points = stage.points()
    assert 3 <= len(points) < 5000 and points[-1] == before + 10000
    stage.note(f"{len(points)} restore points are kept of 10,000, all restored")
    assert_verified(stage.replica)
    for txid in points:
        restored = stage.restored(txid)
        assert check(restored) == txid - before
        drop(restored)


def test_the_daemon_applies_retention_while_an_application_writes_and_others_restore(stage):
    stage.prepare()
    daemon = stage.replicate("--fanout", "3", "--base-interval", "1s", "--prune-interval", "1s", "--grace", "1s", "--keep-all", "2s",
                             "--keep-levels", "3s", "--keep-daily", "1", "--keep-weekly", "0")
    app = stage.writer(seconds=figure(60, 12), rate=300)
    restores = 0
    while app.running():
        committed = app.committed()
        restored = stage.restored()
        assert check(restored) >= committed - 300, "the restore lacks commits that are older than a second"
        drop(restored)
        restores += 1
    app.finish()
    assert daemon.stop() == DONE
    assert re.search(r"retention deleted (1 object|\d+ objects) of [\d.]+ ([kM]?B)\n", daemon.log()), daemon.log()
    assert stage.points()[0] > 100, "old restore points are gone"
    stage.note(f"{restores} restores while retention was at work")
    stage.assert_restore_equals_source()
    assert_verified(stage.replica)


def test_a_policy_that_keeps_nothing_is_refused_at_the_start(stage):
    stage.prepare()
    nothing = [word for name in ("all", "levels", "hourly", "daily", "weekly", "monthly") for word in (f"--keep-{name}", "0")]
    result = seawall("replicate", "--once", *nothing, stage.db, url_of(stage.replica))
    assert result.returncode == USAGE and b"HINT" in result.stderr, told(result)
    assert seawall("replicate", "--once", "--prune-interval", "never", *nothing, stage.db, url_of(stage.replica)).returncode == DONE
