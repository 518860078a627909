"""A commit is called durable only when a restore gives it."""
from control import replica_status, sync, wait_control
from killer import AS_A_BASE, large_database
from seawall import DONE, NOTHING, TIMED_OUT, restore, seawall


def test_a_first_base_under_way_is_not_durable(stage, faults):
    large_database(stage.db, AS_A_BASE)
    faults.on("link-hangs", "*/marker")   # all chunks can be put, and the base is never complete
    daemon = wait_control(faults.replicate(live=False))
    daemon.wait_for(lambda: faults.met("link-hangs"), 60, "the marker of the base hangs")
    found = replica_status(stage.db)
    assert found["durable_txid"] == 0 and found["lag_transactions"] >= 1 and found["lag_ms"] >= 0
    text = seawall("status", stage.db).stdout.decode()
    assert "nothing can be restored yet, the first base is being written" in text and "durable at" not in text
    assert f'seawall_replica_durable_txid{{database="{stage.db}",replica="{stage.replica}"}} 0' in metrics(stage)
    assert sync(stage.db, "--timeout", "2s").returncode == TIMED_OUT
    assert restore(stage.replica, stage.folder / "none.db").returncode == NOTHING
    assert "up to date at" not in daemon.log() and "shipped as" not in daemon.log().replace("to be shipped as", "")
    faults.off("link-hangs")
    assert sync(stage.db).returncode == DONE
    daemon.wait_log("the base is complete: up to date at txid 1")
    assert replica_status(stage.db)["durable_txid"] == stage.last_txid() == 1
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()


def metrics(stage):
    return seawall("status", "--metrics", stage.db).stdout.decode().splitlines()
