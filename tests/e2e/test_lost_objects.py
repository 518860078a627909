"""A replica loses objects, and the daemon is not told. Only commits that a restore gives are called durable, and the daemon puts the lost
ones again by itself."""
import json
import os
import re
import shutil
import signal
import sqlite3

import pytest

from compare import copy_tree
from control import assert_synced, replica_status, sync, wait_control
from seawall import CORRUPT, DONE, OTHER_WRITER, TIMED_OUT, objects, restore, seawall, told
from waiting import let_pass

LOST = r"ERROR replica '.*': it lost objects: "
WHOLE = "it is whole again after the loss of objects"


def first(path):
    return min(path.iterdir())


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def everything(replica):
    for path in replica.iterdir():
        remove(path)


LOSSES = {
    "everything": everything,
    "the folder of level 0": lambda replica: remove(replica / "0"),
    "the first object": lambda replica: remove(first(replica / "0")),
    "the newest object": lambda replica: remove(max((replica / "0").iterdir())),
    "one in the middle": lambda replica: remove(sorted((replica / "0").iterdir())[2]),
}


def commit(db, count=1):
    connection = sqlite3.connect(db, isolation_level=None, timeout=20)
    connection.execute("CREATE TABLE IF NOT EXISTS marks(n INTEGER PRIMARY KEY)")
    for _ in range(count):
        connection.execute("INSERT INTO marks VALUES(NULL)")
    connection.close()


def commit_one_by_one(stage, count):
    for _ in range(count):
        commit(stage.db)
        assert_synced(stage.db)


@pytest.fixture
def live(stage):
    stage.prepare()
    daemon = wait_control(stage.replicate())
    commit_one_by_one(stage, 5)
    return daemon


@pytest.mark.parametrize("lost", LOSSES)
def test_what_was_lost_is_put_again_and_then_sync_says_durable(stage, live, lost):
    LOSSES[lost](stage.replica)
    live.wait_for(lambda: re.search(LOST, live.log()), 20, "the loss is noticed")
    txid = assert_synced(stage.db)
    assert WHOLE in live.log()
    stage.assert_restore_equals_source()
    assert stage.last_txid() == txid == replica_status(stage.db)["durable_txid"]
    commit(stage.db)
    assert assert_synced(stage.db) == txid + 1
    stage.assert_restore_equals_source()
    assert live.stop() == DONE
    assert len(re.findall(LOST, live.log())) == 1, live.log()
    daemon = stage.replicate()
    daemon.wait_log("continues at txid")
    assert daemon.stop() == DONE


@pytest.mark.parametrize("lost", LOSSES)
def test_sync_right_after_the_loss_waits_until_the_replica_is_whole(stage, live, lost):
    LOSSES[lost](stage.replica)
    assert_synced(stage.db)
    stage.assert_restore_equals_source()


@pytest.mark.parametrize("lost", LOSSES)
def test_a_stop_right_after_the_loss_ends_with_a_replica_that_restores(stage, live, lost):
    LOSSES[lost](stage.replica)
    assert live.stop() == DONE, live.log()
    stage.assert_restore_equals_source()


def test_sync_does_not_say_durable_before_the_replica_is_whole(stage, faults):
    stage.prepare()
    daemon = wait_control(faults.replicate())
    commit_one_by_one(stage, 2)
    faults.on("link-hangs", "*/marker")
    everything(stage.replica)
    daemon.wait_for(lambda: faults.met("link-hangs"), 30, "the marker of the new base hangs")
    assert sync(stage.db, "--timeout", "2s").returncode == TIMED_OUT
    found = replica_status(stage.db)
    assert (found["durable_txid"], found["condition"], found["well"]) == (0, "replica lost", False) and found["lost"] and found["lost_since"]
    assert found["lag_transactions"] > 0 and found["lag_ms"] < 86400000   # since the loss was noticed
    text = seawall("status", stage.db)
    assert text.returncode == CORRUPT and b"LOST OBJECTS, noticed " in text.stdout, told(text)
    faults.off("link-hangs")
    assert_synced(stage.db)
    assert replica_status(stage.db)["condition"] == "following" and seawall("status", stage.db).returncode == DONE
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()


def test_the_name_of_the_replica_is_put_again_with_the_same_database(stage, live):
    before = (stage.replica / "seawall.json").read_text()
    (stage.replica / "seawall.json").unlink()
    live.wait_log("'seawall.json' was missing and was put again")
    after = (stage.replica / "seawall.json").read_text()
    assert re.search('"database": *"(.*?)"', before)[1] == re.search('"database": *"(.*?)"', after)[1]
    stage.assert_restore_equals_source()
    assert not re.search(LOST, live.log()), "the loss of the name counts as a loss of objects"


def test_a_replica_without_its_name_is_taken_up_after_a_restart(stage, live):
    assert live.stop() == DONE
    (stage.replica / "seawall.json").unlink()
    refused = restore(stage.replica, stage.folder / "none.db")
    assert refused.returncode != DONE and b"start the daemon of this database" in refused.stderr, told(refused)
    daemon = stage.replicate()
    daemon.wait_log("'seawall.json' was missing and was put again")
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()


@pytest.mark.parametrize("lost", ["the folder of level 0", "the newest object"])
def test_a_loss_while_no_daemon_ran_is_healed_at_the_start(stage, live, lost):
    assert live.stop() == DONE
    LOSSES[lost](stage.replica)
    daemon = stage.replicate()
    daemon.wait_log(WHOLE)
    assert re.search(LOST, daemon.log())
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()


def test_a_folder_that_is_gone_is_not_made_again(stage, live):
    """It may have been on a disk that was unmounted."""
    away = stage.replica.rename(stage.folder / "away")
    assert sync(stage.db, "--timeout", "3s").returncode == TIMED_OUT
    assert "is gone" in replica_status(stage.db)["error"] and not stage.replica.exists()
    stage.replica.mkdir()
    let_pass(3, "a second look is over by then")
    assert objects(stage.replica) == [] and not re.search(LOST, live.log())
    stage.replica.rmdir()
    away.rename(stage.replica)
    assert_synced(stage.db)
    assert not re.search(LOST, live.log())
    assert live.stop() == DONE
    stage.assert_restore_equals_source()


def test_objects_that_come_back_at_once_are_no_loss(stage, live):
    before = objects(stage.replica)
    stage.replica.joinpath("0").rename(stage.folder / "away")
    let_pass(0.5, "a first look misses them")
    stage.folder.joinpath("away").rename(stage.replica / "0")
    let_pass(4, "a second look is over by then")
    assert_synced(stage.db)
    assert not re.search(LOST, live.log()) and objects(stage.replica) == before


def test_the_other_replica_does_not_get_everything_again(stage):
    stage.prepare()
    second = stage.folder / "second"
    daemon = wait_control(stage.replicate(also=[second]))
    commit_one_by_one(stage, 3)
    sizes = {key: (second / key).stat().st_size for key in objects(second)}
    everything(stage.replica)
    daemon.wait_log(WHOLE)
    assert_synced(stage.db)
    new = [key for key in objects(second) if key not in sizes]
    assert len(new) == 1 and (second / new[0]).stat().st_size < 400, "the other replica got more than one restore point without pages"
    assert daemon.stop() == DONE
    for stage.replica in (stage.replica, second):
        stage.assert_restore_equals_source()


def test_another_writer_who_took_over_is_a_conflict_and_not_a_loss(stage, live):
    """The first writer is stopped during the take-over, so it does not see it. Afterwards all objects that it put are gone."""
    other = stage.folder / "other.db"
    commit(other, 3)
    live.send(signal.SIGSTOP)
    heir = stage.replicate("--once", "--take-over", db=other, live=False)
    assert heir.wait(60) == DONE
    for path in sorted((stage.replica / "0").iterdir())[:-1]:
        path.unlink()
    live.send(signal.SIGCONT)
    assert sync(stage.db).returncode == OTHER_WRITER
    assert not re.search(LOST, live.log())
    assert live.stop() == OTHER_WRITER


def test_everything_is_lost_and_another_writer_begins_there_first(stage, live):
    other = stage.folder / "other.db"
    commit(other, 3)
    live.send(signal.SIGSTOP)
    everything(stage.replica)
    assert stage.replicate("--once", db=other, live=False).wait(60) == DONE
    kept = copy_tree(stage.replica, stage.folder / "kept")
    live.send(signal.SIGCONT)
    assert sync(stage.db).returncode == OTHER_WRITER
    assert live.stop() == OTHER_WRITER
    assert objects(stage.replica) == objects(kept), "something was put beside the objects of the other writer"


@pytest.mark.parametrize("touched", [False, True], ids=["", "with old file times"])
def test_level_0_is_lost_and_another_writer_begins_there_first(stage, live, touched):
    """Its objects have lower txids than ours had, and seawall.json is still ours. Times of files can be set."""
    other = stage.folder / "other.db"
    commit(other, 3)
    live.send(signal.SIGSTOP)
    LOSSES["the folder of level 0"](stage.replica)
    assert stage.replicate("--once", db=other, live=False).wait(60) == DONE
    for path in (stage.replica / "0").iterdir() if touched else ():
        os.utime(path, (1, 1))
    kept = objects(stage.replica)
    live.send(signal.SIGCONT)
    assert sync(stage.db).returncode == OTHER_WRITER
    assert live.stop() == OTHER_WRITER
    assert objects(stage.replica) == kept, "something was put beside the objects of the other writer"


def test_a_folder_that_was_empty_for_a_while_and_comes_back_lost_nothing(stage, live):
    """As when a disk is not mounted: the mount point exists, and is empty."""
    before = objects(stage.replica)
    away = stage.replica.rename(stage.folder / "away")
    stage.replica.mkdir()
    live.wait_log("was replaced and does not hold a replica")
    stage.replica.rmdir()
    away.rename(stage.replica)
    assert_synced(stage.db)
    assert not re.search(LOST, live.log()) and objects(stage.replica) == before, live.log()
    commit(stage.db)
    assert_synced(stage.db)
    assert live.stop() == DONE
    stage.assert_restore_equals_source()


def damage_newest(replica):
    newest = max((replica / "0").iterdir())
    newest.write_bytes(newest.read_bytes()[:100])


def test_a_newest_object_that_is_damaged_is_as_good_as_lost(stage, live):
    damage_newest(stage.replica)
    LOSSES["the first object"](stage.replica)
    live.wait_log("it lost objects: .* ends with a damaged object")
    txid = assert_synced(stage.db)
    commit(stage.db)
    assert assert_synced(stage.db) == txid + 1
    stage.assert_restore_equals_source()
    assert live.stop() == DONE


def test_a_newest_object_that_is_damaged_while_no_daemon_runs_is_healed_at_the_start(stage, live):
    assert live.stop() == DONE
    damage_newest(stage.replica)
    daemon = stage.replicate()
    daemon.wait_log(WHOLE)
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()


@pytest.mark.parametrize("then", ["sync", "stop"])
def test_everything_but_the_newest_object_is_lost_with_the_name_of_the_replica(stage, live, then):
    """As if all was removed while the newest object was being put: it lands in a place that has nothing else."""
    newest = max((stage.replica / "0").iterdir())
    kept = newest.read_bytes()
    live.send(signal.SIGSTOP)
    everything(stage.replica)
    newest.parent.mkdir(mode=0o700)
    newest.write_bytes(kept)
    live.send(signal.SIGCONT)
    if then == "sync":
        assert_synced(stage.db)
        stage.assert_restore_equals_source()
    assert live.stop() == DONE, live.log()
    stage.assert_restore_equals_source()


# ---- what is said of a replica that was healed

def verified(stage, *arguments):
    done = seawall("verify", "--json", *arguments, stage.replica)
    return done.returncode, json.loads(done.stdout)


def listed(stage):
    done = seawall("list", "--json", stage.replica)
    assert done.returncode == DONE, told(done)
    return json.loads(done.stdout)


def lost_ranges(found):
    return [(loss["first_txid"], loss["last_txid"]) for loss in found["lost"]]


def assert_each_listed_point_restores(stage):
    """Returns the txids of all restore points."""
    txids = [point["txid"] for point in listed(stage)["points"]]
    for txid in txids:
        target = stage.folder / f"point-{txid}.db"
        done = restore(stage.replica, target, "--txid", str(txid))
        assert done.returncode == DONE, told(done)
    return txids


@pytest.mark.parametrize("lost", LOSSES)
def test_a_loss_that_was_healed_is_a_note_of_verify_and_of_list(stage, live, lost):
    before = [point["txid"] for point in listed(stage)["points"]]
    LOSSES[lost](stage.replica)
    live.wait_log(WHOLE)
    commit_one_by_one(stage, 2)
    code, found = verified(stage, "--full")
    assert code == DONE and found["ok"], found
    left = assert_each_listed_point_restores(stage)
    gone = [txid for txid in before if txid not in left]
    assert gone, "nothing was lost"
    (first, last), = lost_ranges(found)
    assert first == gone[0] and last >= gone[-1] and not set(range(first, last + 1)) & set(left)
    assert lost_ranges(listed(stage)) == [(first, last)]
    assert f"it lost the restore points from txid {first} to {last}: they can't be restored any more" in live.log()
    said = "can't be restored: the replica lost objects, and began again with a base".encode()
    assert said in seawall("verify", stage.replica).stdout and said in seawall("list", stage.replica).stdout
    assert live.stop() == DONE


def objects_of_level0(stage):
    return sorted((stage.replica / "0").iterdir())


def test_a_loss_that_no_daemon_noticed_is_damage(stage, live):
    assert live.stop() == DONE
    remove(objects_of_level0(stage)[2])
    code, found = verified(stage)
    assert code == CORRUPT and found["lost"] == [] and listed(stage)["lost"] == []


def test_another_loss_after_a_healed_one_is_damage(stage, live):
    LOSSES["one in the middle"](stage.replica)
    live.wait_log(WHOLE)
    assert live.stop() == DONE
    assert verified(stage)[0] == DONE
    second = objects_of_level0(stage)[1]
    second.unlink()
    code, found = verified(stage)
    assert code == CORRUPT and second.name in found["problems"][0]["object"], found


def test_a_damaged_object_stays_damage_after_the_daemon_began_again(stage, live):
    middle = objects_of_level0(stage)[2]
    middle.write_bytes(b"no object of a replica")
    LOSSES["the first object"](stage.replica)   # a file that vanishes is noticed at once, other bytes in it are not
    live.wait_log(WHOLE)
    assert live.stop() == DONE
    stage.assert_restore_equals_source()
    code, found = verified(stage)
    assert code == CORRUPT and [problem["object"] for problem in found["problems"]] == [f"0/{middle.name}"]
    assert_each_listed_point_restores(stage)


def test_objects_that_are_put_back_after_the_healing_are_restorable_again(stage, live):
    kept = copy_tree(stage.replica, stage.folder / "kept")
    LOSSES["one in the middle"](stage.replica)
    live.wait_log(WHOLE)
    assert live.stop() == DONE
    assert lost_ranges(listed(stage))
    for path in sorted((kept / "0").iterdir()):
        if not (stage.replica / "0" / path.name).exists():
            shutil.copy(path, stage.replica / "0" / path.name)
    assert lost_ranges(listed(stage)) == []
    assert verified(stage)[0] == DONE
    assert_each_listed_point_restores(stage)
