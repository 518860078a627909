"""Two writers never mix their histories in one replica: one stops with an error, and the other continues as before."""
import shutil

import pytest

from application import check
from branches import Branch, assert_one_chain, assert_refused, race, two_branches
from compare import assert_same_pages, copy_file
from damage import make_newer
from ledger import TABLE, insert
from seawall import DONE, OTHER_WRITER, USAGE, level_zero, objects, restore, seawall, told, url_of
from waiting import figure


def assert_unharmed(stage, daemon):
    """The first daemon runs, ships, and ends with exit code 0; its replica equals its database."""
    before = stage.last_txid()
    report = stage.writer(count=20, rate=500).finish()
    daemon.wait_for(lambda: stage.last_txid() > before, 20, "the first writer goes on")   # the comparison at a start may include some commits
    assert daemon.stop() == DONE
    assert check(stage.assert_restore_equals_source()) == report["last"]


def test_another_database_is_kept_out_of_a_replica(stage):
    stage.prepare()
    first = stage.replicate()
    other = stage.folder / "other.db"
    stage.writer(db=other, count=5).finish()
    second = stage.replicate(db=other, live=False)
    assert second.wait(30) == OTHER_WRITER, second.log()
    assert_unharmed(stage, first)


def copy_with_state(stage, daemon):
    """Copies the database and its state file, as to another machine, and adds some transactions there."""
    elsewhere = stage.folder / "elsewhere"
    elsewhere.mkdir()
    daemon.wait_for(lambda: stage.wal_bytes() == 0, 5, "the database file is complete")
    for name in ("app.db", "app.db-seawall"):
        copy_file(stage.folder / name, elsewhere / name)
    stage.writer(db=elsewhere / "app.db", count=5).finish()
    return elsewhere / "app.db"


@pytest.mark.parametrize("order", ["the original runs", "the original is stopped", "the original comes first", "the copy comes first"])
def test_a_copy_of_the_database_and_of_its_state_is_kept_out_of_the_replica(stage, order):
    stage.prepare()
    original = stage.replicate()
    stage.writer(count=5).finish()
    copy = copy_with_state(stage, original)
    if order != "the original runs":
        assert original.stop() == DONE
    if order == "the original comes first":
        original = stage.replicate()
    second = stage.replicate(db=copy, live=False)
    if order == "the copy comes first":
        original = stage.replicate()
    assert_refused(second)
    if order == "the original is stopped":
        original = stage.replicate()
    assert_unharmed(stage, original)


def test_a_second_daemon_on_the_same_database_stops_and_the_first_goes_on(stage):
    stage.prepare()
    first = stage.replicate()
    second = stage.replicate(live=False)
    assert second.wait(30) not in (DONE, None), second.log()
    assert second.log().strip(), "it stops without a message"
    assert_unharmed(stage, first)


def test_a_take_over_stops_the_first_writer_at_its_next_append(stage):
    stage.prepare()
    first = stage.replicate()
    before = stage.last_txid()
    other = stage.folder / "other.db"
    stage.writer(db=other, count=7).finish()
    second = stage.replicate("--take-over", db=other, live=False)
    second.wait_for(lambda: stage.last_txid() > before, 30, "the second writer has taken the replica over")
    stage.writer(count=3).finish()
    assert first.wait(30) == OTHER_WRITER, first.log()
    last = stage.writer(db=other, count=3).finish()["last"]
    assert second.stop() == DONE
    assert check(stage.restored()) == last


def test_a_restored_database_goes_on_in_its_replica_without_a_flag(stage):
    stage.prepare()
    daemon = stage.replicate()
    stage.writer(count=10).finish()
    assert daemon.stop() == DONE
    before = stage.last_txid()
    restored = stage.restored()
    daemon = stage.replicate(db=restored)
    last = stage.writer(db=restored, count=5).finish()["last"]
    assert daemon.stop() == DONE
    assert stage.last_txid() > before
    assert check(stage.restored()) == last == 15


def test_an_older_state_restored_in_place_goes_on_as_a_new_restore_point(stage):
    stage.prepare()
    daemon = stage.replicate()
    stage.writer(count=10, rate=200).finish()
    assert daemon.stop() == DONE
    newest = stage.last_txid()
    result = restore(stage.replica, stage.db, "--force", "--txid", newest - 4)
    assert result.returncode == DONE, told(result)
    daemon = stage.replicate()
    last = stage.writer(count=3).finish()["last"]
    assert daemon.stop() == DONE
    assert check(stage.assert_restore_equals_source()) == last == 9
    assert check(stage.restored(newest)) == 10   # the state of before the restore is still a restore point


@pytest.mark.parametrize("first", ["the original", "the copy"])
def test_of_a_database_and_its_restored_copy_the_first_to_append_wins(stage, first):
    common, original, copy = two_branches(stage)
    winner, loser = (original, copy) if first == "the original" else (copy, original)
    before = stage.last_txid()
    winner.commit()
    winner.daemon.wait_for(lambda: stage.last_txid() > before, 10, "the winner has appended")
    for _ in range(3):
        loser.commit()
    assert_refused(loser.daemon)
    for _ in range(3):
        winner.commit()
    assert winner.daemon.stop() == DONE
    assert_one_chain(stage, common, winner, loser)


def test_an_original_that_comes_back_after_its_restored_copy_went_on_is_refused(stage):
    common, original, copy = two_branches(stage)
    assert original.daemon.stop() == DONE
    copy.commit()
    assert copy.daemon.stop() == DONE
    for _ in range(3):
        original.commit()
    assert_refused(stage.replicate(live=False))
    assert_one_chain(stage, common, copy, original)


def test_two_writers_that_append_at_the_same_moment_never_interleave(stage):
    for _ in range(figure(20, 3)):
        common, *branches = two_branches(stage)
        race(branches, 20)
        loser, winner = sorted(branches, key=Branch.goes_on)
        assert_refused(loser.daemon)
        winner.commit()
        assert winner.daemon.stop() == DONE, winner.daemon.log()
        assert_one_chain(stage, common, winner, loser)
        for branch in branches:
            branch.ledger.close()
        stage.db, stage.replica = (path.with_name(f"{path.stem}-again{path.suffix}") for path in (stage.db, stage.replica))


def test_a_copy_elsewhere_that_takes_over_says_so_before_and_sends_only_what_differs(stage):
    app = stage.ledger()
    app.commit(TABLE, insert(20000))
    daemon = stage.replicate()
    assert daemon.stop() == DONE
    app.close()
    elsewhere = stage.folder / "elsewhere"
    elsewhere.mkdir()
    copy_file(stage.db, elsewhere / "app.db")
    other = stage.ledger(db=elsewhere / "app.db")
    other.commit("UPDATE big SET payload = randomblob(500) WHERE id = 7")
    before = sum(path.stat().st_size for path in stage.replica.rglob("*") if path.is_file())
    result = seawall("replicate", "--once", elsewhere / "app.db", url_of(stage.replica))
    assert result.returncode == OTHER_WRITER, told(result)
    result = seawall("replicate", "--once", "--take-over", elsewhere / "app.db", url_of(stage.replica))
    assert result.returncode == DONE, told(result)
    said = result.stderr.decode()
    assert said.index("takes over another writer's history") < said.index("compared all pages"), said
    after = sum(path.stat().st_size for path in stage.replica.rglob("*") if path.is_file())
    assert after - before < 20000, f"{after - before} bytes for one row of {before}"
    other.close()
    assert_same_pages(elsewhere / "app.db", stage.restored())


def test_a_daemon_whose_replica_was_taken_over_deletes_nothing_in_it(stage):
    app = stage.ledger()
    app.commit(TABLE, insert(5))
    first = stage.replicate("--fanout", "2", "--prune-interval", "1s", "--grace", "1s", "--keep-all", "1s", "--keep-levels", "1s")
    app.commit(insert(1))
    first.wait_for(lambda: stage.last_txid() >= 2, 20, "the first writer ships")
    elsewhere = stage.folder / "elsewhere"
    elsewhere.mkdir()
    copy_file(stage.db, elsewhere / "app.db")
    copy_file(f"{stage.db}-wal", elsewhere / "app.db-wal")
    other = stage.ledger(db=elsewhere / "app.db")
    second = stage.replicate("--take-over", "--fanout", "2", "--base-interval", "1s", db=elsewhere / "app.db")
    for _ in range(12):
        before = stage.last_txid()
        other.commit(insert(1))
        second.wait_for(lambda: stage.last_txid() > before, 20, "the second writer ships")
    kept = set(objects(stage.replica))
    first.wait_for(lambda: "another writer put its newest object" in first.log(), 20, "the first one looked")
    assert kept <= set(objects(stage.replica)), "the first writer deleted objects of the other one"
    assert second.stop() == DONE
    first.kill()
    other.close()


@pytest.mark.parametrize("kind", ["marker", "chunk"])
def test_a_base_of_a_newer_format_that_the_head_needs_is_refused_and_nothing_is_put(stage, kind):
    stage.prepare()
    result = seawall("snapshot", "--base", stage.db, url_of(stage.replica))
    assert result.returncode == DONE, told(result)
    stage.writer(count=3).finish()
    assert stage.replicate("--once", live=False).wait(30) == DONE
    (stage.replica / "0" / level_zero(stage.replica)[0]).unlink()   # without it only the base leads to the head
    for path in stage.replica.glob("base/*/*"):
        if (path.name == "marker") == (kind == "marker"):
            make_newer(path)
    before, other = objects(stage.replica), stage.folder / "other.db"
    stage.prepare(db=other)
    result = seawall("replicate", "--once", "--take-over", other, url_of(stage.replica))
    assert result.returncode == USAGE, told(result)
    assert b"has a newer format than this program knows" in result.stderr
    assert [key for key in objects(stage.replica) if not key.startswith("writer/")] == before


@pytest.mark.parametrize("field", ["version", "flag"])
def test_a_head_of_a_newer_format_is_refused_and_nothing_is_put(stage, field):
    stage.prepare()
    daemon = stage.replicate()
    stage.writer(count=3).finish()
    daemon.wait_for(stage.restores_source, 20, "the commits arrive")
    assert daemon.stop() == DONE
    head = stage.replica / "0" / level_zero(stage.replica)[-1]
    make_newer(head, field)
    before = objects(stage.replica)
    for options in ((), ("--take-over",)):
        result = seawall("replicate", "--once", *options, stage.db, url_of(stage.replica))
        assert result.returncode == USAGE, told(result)
        assert b"has a newer format than this program knows" in result.stderr and b"HINT: nothing is put there: use the version" in result.stderr
    daemon = stage.replicate(live=False)
    daemon.wait_log("has a newer format than this program knows")
    stage.writer(count=1).finish()
    assert seawall("sync", "--timeout", "1", stage.db).returncode != DONE
    daemon.kill()
    assert objects(stage.replica) == before


def test_an_object_of_another_history_in_a_folder_is_not_called_a_fault_of_put(stage):
    stage.prepare()
    assert stage.replicate().stop() == DONE
    other, elsewhere = stage.folder / "other.db", stage.folder / "elsewhere"
    copy_file(stage.db, other)
    shutil.copytree(stage.replica, elsewhere)
    for _ in range(2):   # another writer goes on with a copy of the history
        stage.writer(db=other, count=1).finish()
        result = seawall("replicate", "--once", "--take-over", other, url_of(elsewhere))
        assert result.returncode == DONE, told(result)
    key = level_zero(elsewhere)[-1]
    daemon = stage.replicate()
    while stage.last_txid() < int(key, 16) - 1:
        txid = stage.last_txid()
        stage.writer(count=1).finish()
        daemon.wait_for(lambda: stage.last_txid() > txid, 10, "the commit arrives")
    shutil.copy(elsewhere / "0" / key, stage.replica / "0" / key)
    stage.writer(count=1).finish()
    assert daemon.wait(30) == OTHER_WRITER
    assert "another program writes there without regard to what exists: the store acknowledged txid" in daemon.log()
    assert "PUT is not exclusive" not in daemon.log()
