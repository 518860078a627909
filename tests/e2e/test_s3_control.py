"""`seawall status`, `seawall sync` and the daemon's own verification where the replica is in S3: budgets, secrets, and a store that fails."""
import os
import signal
import subprocess
from pathlib import Path

import pytest

from application import check
from compare import drop
from control import SYNC_DONE, assert_synced, children_of, replica_status, sync, wait_control
from seawall import BINARY, DONE, Daemon, TIMED_OUT, restore, told
from waiting import PATIENCE, let_pass, stays_true, wait_until

HOURLY = ("--put-rate", "1/h", "--put-burst", "1")


def wait_durable(daemon, db):
    daemon.wait_for(lambda: replica_status(db)["lag_transactions"] == 0 and replica_status(db)["durable_txid"] > 0, 20, "all is durable")


def test_a_sync_does_not_wait_for_the_budget(stage, s3):
    stage.prepare()
    daemon = wait_control(stage.replicate(*HOURLY, live=False))
    assert_synced(stage.db)   # the burst of PUTs is used up
    for _ in range(3):
        before = replica_status(stage.db)["durable_txid"]
        stage.writer(count=5).finish()
        daemon.wait_for(lambda: replica_status(stage.db)["lag_transactions"] > 0, 10, "commits are captured")
        stays_true(lambda: replica_status(stage.db)["durable_txid"] == before, 1, "the commits wait for the rate of PUTs")
        assert assert_synced(stage.db, "--timeout", "20") > before
        assert replica_status(stage.db)["lag_transactions"] == 0
    assert daemon.stop() == DONE, daemon.log()


def test_a_sync_with_nothing_new_costs_one_listing_which_looks_whether_the_newest_object_is_there(stage, s3):
    stage.prepare()
    daemon = wait_control(stage.replicate(live=False))
    assert_synced(stage.db)
    since = len(s3.server.records)
    for _ in range(5):
        assert_synced(stage.db)
        replica_status(stage.db)
    assert [record.kind for record in s3.server.requests(since=since)] == ["list"] * 5
    assert daemon.stop() == DONE


def test_a_store_that_is_down_is_reported_and_syncs_time_out_until_it_is_up(stage, s3):
    stage.prepare()
    daemon = wait_control(stage.replicate(live=False))
    before = assert_synced(stage.db)
    with s3.server.fault("internal-error", on="put") as fault:
        stage.writer(count=3).finish()
        fault.wait_met(1, 10 * PATIENCE)
        daemon.wait_for(lambda: replica_status(stage.db)["error"], 20, "the status has the failure")
        found = replica_status(stage.db)
        assert "InternalError" in found["error"] and found["durable_txid"] == before and found["lag_transactions"] >= 1
        assert found["requests"]["failed"] >= 1 and found["requests"]["put"] >= 2
        assert found["url"] == s3.url().split("&")[0] and found["fencing"] == "strong"
        assert sync(stage.db, "--timeout", "1").returncode == TIMED_OUT
    assert_synced(stage.db)
    found = replica_status(stage.db)
    assert found["error"] is None and found["lag_ms"] == 0
    assert daemon.stop() == DONE


def test_a_sync_tries_at_once_what_has_failed_for_long(stage, s3):
    """When the cause of the failure is gone, `sync` does not wait for the pause after a refusal, which is 5 s and more."""
    stage.prepare()
    daemon = wait_control(stage.replicate(live=False))
    assert_synced(stage.db)
    with s3.server.fault("access-denied", on="put") as fault:
        stage.writer(count=1).finish()
        fault.wait_met(1, 10 * PATIENCE)
        daemon.wait_for(lambda: replica_status(stage.db)["error"], 20, "the status has the refusal")
        met = fault.met
        waiting = [subprocess.Popen([BINARY, "sync", stage.db], stdout=subprocess.PIPE) for _ in range(5)]
        fault.wait_met(met + 1, 3 * PATIENCE)
        stays_true(lambda: fault.met == met + 1, 1, "five syncs that wait make one try")
    for process in waiting:
        output, _ = process.communicate(timeout=60 * PATIENCE)
        assert process.returncode == DONE and output.startswith(SYNC_DONE)
    assert daemon.stop() == DONE


def test_a_daemon_that_has_not_reached_its_store_yet_says_what_it_knows(stage, s3):
    stage.prepare()
    daemon = wait_control(stage.replicate(live=False))
    txid = assert_synced(stage.db)
    daemon.kill()
    with s3.server.fault("internal-error"):
        daemon = wait_control(stage.replicate(live=False))
        daemon.wait_for(lambda: replica_status(stage.db)["error"], 20, "the status has the failure")
        found = replica_status(stage.db)
        assert (found["state"], found["durable_txid"], found["fencing"]) == ("detached", txid, "unknown")
        assert sync(stage.db, "--timeout", "1").returncode == TIMED_OUT   # nothing is known of the store
    assert_synced(stage.db)
    assert daemon.stop() == DONE


# ---- verify-interval

@pytest.fixture
def stalled(stage, s3):
    """A daemon whose verification waits for an answer of the server. Its URL has a secret, and comes from a configuration file."""
    stage.prepare()
    url = s3.url(timeout="60s", header="x-secret:TOPSECRET")
    file = stage.folder / "seawall.conf"
    file.write_text(f"[seawall]\nverify-interval = 1s\n[db {stage.db}]\nreplica = {url}\n")
    daemon = FromFile(stage, file)
    stage.daemons.append(daemon)
    wait_control(daemon)
    assert_synced(stage.db)
    wait_until(lambda: children_of(daemon.pid) == [], 20, "no verification is under way")
    with s3.server.fault("stall", on="list") as fault:
        stage.writer(count=1).finish()   # a replica that got nothing new is not verified again
        fault.wait_met(1, 20 * PATIENCE)
        (child,) = wait_until(lambda: children_of(daemon.pid), 10, "the verification runs")
        yield stage, daemon, child, fault
    daemon.kill()


class FromFile(Daemon):
    """`seawall replicate -c FILE`"""

    def __init__(self, stage, file):
        self.db, self.replica, self.log_path, self.log_start = stage.db, stage.replica, stage.folder / "seawall-file.log", 0
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([BINARY, "replicate", "-c", file], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self.process.pid


def test_no_secret_shows_among_the_arguments_of_the_verification(stalled):
    stage, daemon, child, _ = stalled
    words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[:-1]
    assert words == [b"seawall", b"verify", b"--json", b"--memory", str(256 << 20).encode(), b"--restore", b"-"]
    for pid in (daemon.pid, child):
        assert b"TOPSECRET" not in Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
    assert replica_status(stage.db)["verification"]["running"] is True


def test_a_stop_ends_a_verification_that_waits_for_the_store(stalled):
    stage, daemon, child, fault = stalled
    assert daemon.stop() == DONE, daemon.log()
    assert not os.path.exists(f"/proc/{child}")
    assert "TOPSECRET" not in daemon.log()


def test_a_second_signal_ends_a_verification_that_hangs(stalled):
    stage, daemon, child, fault = stalled
    os.kill(child, signal.SIGSTOP)   # so that the daemon waits for it
    with fault.server.fault("stall", on="put"):
        stage.writer(count=1).finish()
        daemon.send(signal.SIGTERM)
        daemon.wait_for(lambda: "stopping" in daemon.log(), 10, "it stops")
        let_pass(0.6, "signals within half a second are one signal")
        daemon.send(signal.SIGTERM)
        assert daemon.wait() == 130
    os.kill(child, signal.SIGCONT)
    wait_until(lambda: not os.path.exists(f"/proc/{child}") or " Z " in Path(f"/proc/{child}/stat").read_text(), 20, "it ends")


def test_a_verification_that_gets_no_answer_is_no_result_and_shipping_goes_on(stage, s3):
    stage.prepare()
    stage.replica = s3.url(timeout="1s")
    daemon = wait_control(stage.replicate("--verify-interval", "1s", live=False))
    assert_synced(stage.db)
    with s3.server.fault("stall", on="list"):
        daemon.wait_for(lambda: replica_status(stage.db)["verification"]["error"], 30, "the status has the error")
        before = replica_status(stage.db)["durable_txid"]
        stage.writer(count=3).finish()    # `sync` would wait: it looks at the store
        daemon.wait_for(lambda: replica_status(stage.db)["durable_txid"] > before, 30, "shipping goes on")
    txid = assert_synced(stage.db)
    daemon.wait_for(lambda: (replica_status(stage.db)["proven_restore"] or {"txid": 0})["txid"] >= txid, 30, "it works again")
    assert daemon.stop() == DONE
    target = stage.folder / "restored.db"
    result = restore(stage.replica, target)
    assert result.returncode == DONE, told(result)


def test_a_sync_comes_to_an_end_under_a_writer_that_is_faster_than_the_store(stage, s3):
    """There is no moment at which everything is captured. It is enough that the commits before the sync are."""
    stage.prepare()
    daemon = wait_control(stage.replicate("--max-pending", "1M", "--put-rate", "never", live=False))
    assert_synced(stage.db)
    with s3.server.fault("latency", on="put", seconds=0.2):
        writer = stage.writer(busy_timeout=20000)
        for _ in range(3):
            writer.wait_committed(writer.committed() + 1000)
            before = writer.committed()
            assert_synced(stage.db, "--timeout", "110")
            assert writer.running()
            target = stage.folder / "synced.db"
            drop(target)
            assert restore(stage.replica, target).returncode == DONE
            assert check(target) >= before
        writer.stop()
    assert "not what the page map says" not in daemon.log()   # a base was read meanwhile, beside checkpoints of the writer
    assert daemon.stop() == DONE
