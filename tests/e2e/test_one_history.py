"""Two writers never interleave in one replica: the loser stops, loudly, and the winner does not notice."""
from application import check
from compare import copy_file
from seawall import DONE, OTHER_WRITER


def assert_unharmed(stage, daemon):
    """The first daemon runs, ships, and ends well; its replica is its database."""
    before = stage.last_txid()
    report = stage.writer(count=20, rate=500).finish()
    daemon.wait_for(lambda: stage.last_txid() >= before + 20, 20, "the first writer goes on")
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


def test_a_copy_of_the_database_and_of_its_state_is_kept_out_of_the_replica(stage):
    stage.prepare()
    first = stage.replicate()
    stage.writer(count=5).finish()
    elsewhere = stage.folder / "elsewhere"
    elsewhere.mkdir()
    first.wait_for(lambda: stage.wal_bytes() == 0, 5, "the database file is complete")
    for name in ("app.db", "app.db-seawall"):
        copy_file(stage.folder / name, elsewhere / name)
    stage.writer(db=elsewhere / "app.db", count=5).finish()
    second = stage.replicate(db=elsewhere / "app.db", live=False)
    assert second.wait(30) == OTHER_WRITER, second.log()
    assert_unharmed(stage, first)


def test_a_second_daemon_on_the_same_database_stops_and_the_first_goes_on(stage):
    stage.prepare()
    first = stage.replicate()
    second = stage.replicate(live=False)
    assert second.wait(30) not in (DONE, None), second.log()
    assert second.log().strip(), "it stops without a word"
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
