"""A commit is called durable only when a restore gives it."""
import sqlite3

from control import replica_status, sync, wait_control
from killer import AS_A_BASE, large_database
from seawall import DONE, NOTHING, TIMED_OUT, restore, seawall

DAY_MS = 86400000


def test_a_first_base_under_way_is_not_durable(stage, faults):
    large_database(stage.db, AS_A_BASE)
    faults.on("link-hangs", "*/marker")   # all chunks can be put, and the base is never complete
    daemon = wait_control(faults.replicate(live=False))
    daemon.wait_for(lambda: faults.met("link-hangs"), 60, "the marker of the base hangs")
    found = replica_status(stage.db)
    assert found["durable_txid"] == 0 and found["lag_transactions"] >= 1
    assert 0 < found["lag_ms"] < DAY_MS and found["lag_bytes"] > AS_A_BASE << 20   # since the database was made, for this test
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


def test_status_says_how_much_of_the_first_base_was_put(stage, faults):
    large_database(stage.db, AS_A_BASE)
    with sqlite3.connect(stage.db) as app:
        pages = app.execute("PRAGMA page_count").fetchone()[0]
        chunk = (8 << 20) // app.execute("PRAGMA page_size").fetchone()[0]
    app.close()
    last = (pages - 1) // chunk * chunk + 1   # the first page of the last chunk
    faults.on("link-hangs", f"*/{last:08x}")   # all others can be put
    daemon = wait_control(faults.replicate(live=False))
    daemon.wait_for(lambda: faults.met("link-hangs"), 60, "the last chunk of the base hangs")
    percent = 100 * (last - 1) // pages
    assert 0 < percent < 100
    daemon.wait_for(lambda: replica_status(stage.db)["percent"] == percent, 60, "the other chunks were put")
    assert replica_status(stage.db)["condition"] == "first copy"
    assert f"the first base is being written ({percent} %)" in seawall("status", stage.db).stdout.decode()
    assert replica_status(stage.db)["lag_ms"] < DAY_MS
    faults.off("link-hangs")
    assert sync(stage.db).returncode == DONE
    assert replica_status(stage.db)["percent"] is None
    assert daemon.stop() == DONE


def metrics(stage):
    return seawall("status", "--metrics", stage.db).stdout.decode().splitlines()
