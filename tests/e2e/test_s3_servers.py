"""S3 on the server of another project that SEAWALL_TEST_SERVER names: replicate, kill, restore, one history, other clients."""
import re
import signal

import pytest

from application import check
from branches import assert_one_chain, assert_refused, race, two_branches
from compare import assert_same_pages, assert_sound, settled
from ledger import TABLE, insert
from load import ROWS, assert_all_well, goes_on, start
from s3 import EXCLUSIVE
from seawall import DONE, NOTHING, OTHER_WRITER, last_txid, listing, objects, restore, seawall, told, url_of
from waiting import figure
from walindex import freeze

def test_while_a_writer_runs_the_replica_in_s3_equals_the_database(stage, place):
    daemon, app = start(stage)
    for _ in range(figure(20, 2)):
        goes_on(stage, daemon, app)
        freeze(app)
        daemon.wait_for(stage.restores_source, 30, "the replica has caught up with the paused application")
        app.send(signal.SIGCONT)
    assert_all_well(stage, daemon, app)


def test_each_transaction_in_s3_restores_to_what_the_application_had(stage, place):
    app = stage.ledger()
    app.commit(TABLE)
    daemon = stage.replicate()
    for n in range(figure(30, 4)):
        app.commit(insert(200), f"DELETE FROM big WHERE id % 7 = {n % 7}")
        app.commit("UPDATE big SET payload = randomblob(300) WHERE id % 5 = 0")
    stage.assert_ledger_restores(app, daemon)


def test_a_daemon_killed_under_load_continues_in_s3_where_it_was(stage, place):
    daemon, app = start(stage)
    for _ in range(figure(20, 2)):
        goes_on(stage, daemon, app)
        durable = stage.points()
        daemon.kill()
        app.wait_committed(app.committed() + 30)
        daemon = stage.replicate()
        goes_on(stage, daemon, app)
        assert set(durable) <= set(stage.points()), "a restore point is gone"
    assert_all_well(stage, daemon, app)


def test_after_a_kill_of_application_and_daemon_the_replica_in_s3_restores(stage, place):
    daemon, app = start(stage)
    goes_on(stage, daemon, app)
    durable = stage.last_txid()
    app.send(signal.SIGKILL)
    daemon.kill()
    committed = app.committed()
    last = stage.last_txid()
    assert last >= durable
    restored = stage.restored()
    assert_sound(restored)
    restored_up_to = check(restored, rows=ROWS)
    assert restored_up_to <= committed + 1   # killed between a commit and its record
    stage.note(f"S3, killed at 300 commits/s: {max(0, committed - restored_up_to)} commits lost")
    app.kill()


def test_a_restored_database_goes_on_in_s3_without_a_flag(stage, place):
    stage.prepare()
    daemon = stage.replicate()
    stage.writer(count=10).finish()
    assert daemon.stop() == DONE
    stage.db = stage.restored()
    daemon = stage.replicate()
    assert stage.writer(count=5).finish()["last"] == 15
    assert daemon.stop() == DONE
    assert check(stage.restored()) == 15


def test_another_database_is_kept_out_of_a_prefix_and_a_take_over_lets_it_in(stage, place):
    stage.prepare()
    first = stage.replicate()
    before = stage.last_txid()
    other = stage.folder / "other.db"
    stage.writer(db=other, count=7).finish()
    assert_refused(stage.replicate(db=other, live=False))
    second = stage.replicate("--take-over", db=other, live=False)
    second.wait_for(lambda: stage.last_txid() > before, 30, "the second writer has taken the replica over")
    stage.writer(count=3).finish()
    assert first.wait(30) == OTHER_WRITER, first.log()
    last = stage.writer(db=other, count=3).finish()["last"]
    assert second.stop() == DONE
    assert check(stage.restored()) == last


def test_of_two_writers_that_race_on_one_prefix_one_stops_and_the_other_is_unharmed(stage, place):
    common, *branches = two_branches(stage)
    race(branches, 30)
    if not EXCLUSIVE:   # both may notice the conflict afterwards, and stop
        assert all(branch.daemon.running() or branch.daemon.wait() == OTHER_WRITER for branch in branches)
        return
    loser, winner = sorted(branches, key=lambda branch: branch.goes_on())
    assert_refused(loser.daemon)
    winner.commit()
    assert winner.daemon.stop() == DONE, winner.daemon.log()
    assert_one_chain(stage, common, winner, loser)


def test_the_daemon_finds_out_and_reports_whether_the_server_puts_exclusively(stage, place):
    stage.prepare()
    daemon = stage.replicate()
    assert (re.search("second writer", daemon.log()) is None) == EXCLUSIVE, daemon.log()
    assert daemon.stop() == DONE
    stage.replica = place.url(prefix=f"{place.prefix}-required", conditional="require")
    if EXCLUSIVE:
        assert stage.replicate().stop() == DONE
    else:
        daemon = stage.replicate(live=False)
        daemon.wait_for(lambda: "conditional=require forbids" in daemon.log(), 10, "the daemon tells why it ships nothing")
        assert place.keys(prefix=f"{place.prefix}-required") == {}


# ---- other clients


def test_another_client_lists_what_we_put_and_a_copy_of_it_restores_by_its_path(stage, place):
    daemon, app = start(stage)
    goes_on(stage, daemon, app)
    assert_all_well(stage, daemon, app)
    rows = re.findall(r"^\S+ \S+\s+(\d+)\s+s3://[^/]+/(\S+)$", place.s3cmd("ls", "--recursive", f"s3://{place.bucket}/{place.prefix}/"), re.M)
    listed = {key[len(place.prefix) + 1:]: int(size) for size, key in rows}
    told_ours = listing(stage.replica)
    assert (told_ours["objects"], told_ours["bytes"]) == (len(listed), sum(listed.values()))
    assert {"seawall.json", *(f"0/{name}" for name in place.level_zero())} <= set(listed)
    folder = place.download(stage.folder / "copied")
    assert {key: (folder / key).stat().st_size for key in objects(folder)} == listed
    restored = stage.folder / "from-copy.db"
    assert restore(folder, restored).returncode == DONE
    assert_same_pages(settled(stage.db, stage.folder), restored)
    assert seawall("list", url_of(folder)).stdout == seawall("list", stage.replica).stdout


def test_a_replica_in_a_folder_restores_from_s3_once_another_client_has_copied_it_there(stage, place):
    in_s3, stage.replica = stage.replica, stage.folder / "replica"
    stage.prepare()
    daemon = stage.replicate()
    stage.writer(rate=300, count=60, rows=ROWS).finish()
    assert daemon.stop() == DONE
    place.upload(stage.replica, place.prefix)
    assert listing(in_s3)["points"] == listing(stage.replica)["points"]
    stage.replica = in_s3
    stage.assert_restore_equals_source()


def test_an_empty_prefix_has_nothing_to_restore(stage, place):
    for command in (["list"], ["restore", "-o", stage.folder / "x.db"]):
        result = seawall(*command, stage.replica)
        assert result.returncode == NOTHING, told(result)
        assert place.prefix.encode() in result.stderr
    assert not (stage.folder / "x.db").exists()


@pytest.mark.parametrize("prefix", ["with space", "pl+us", "pct%2541", "uni-é", "a/b/c", "til~de", "equals%3Dand%26amp"])
def test_any_prefix_works(stage, place, prefix):
    stage.replica = place.url(prefix=f"{place.prefix}/{prefix}")
    stage.writer(count=3).finish()
    daemon = stage.replicate("--once", live=False)
    assert daemon.wait(30) == DONE, daemon.log()
    assert check(stage.restored()) == 3
    assert last_txid(stage.replica) >= 1
