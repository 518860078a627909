"""The daemon's own verification, with `verify-interval`: its result is reported and kept, and it delays nothing."""
import json
import os
import shutil
import signal
import sqlite3

import pytest

from control import assert_synced, children_of, open_files, proof_of, replica_status, wait_control
from seawall import CORRUPT, DONE, level_zero, seawall
from waiting import stays_true, wait_until

EACH_SECOND = ("--verify-interval", "1s")
NOTHING_SAID = {"empty": b"", "garbage": b"garbage", "no format": b"{}", "a list": b"[]", "a later format": b'{"format":2,"replicas":[]}',
                "no list": b'{"format":1,"replicas":7}', "large": b"\xff" * 300_000,
                "wrong fields": b'{"format":1,"replicas":[7,{},{"url":7},{"url":"URL","verified":"yesterday"}]}',
                "the future": b'{"format":1,"replicas":[{"url":"URL","verified":"2999-01-01T00:00:00.000Z","ok":true}]}'}


@pytest.fixture
def ready(stage, monkeypatch):
    """A database and its application. Verifications make their temporary folders in the folder of the test."""
    (stage.folder / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(stage.folder / "tmp"))
    stage.prepare()
    return stage


def verification(stage, index=0):
    return replica_status(stage.db, index)["verification"]


def wait_proven(stage, daemon, txid, index=0):
    def proven():
        found = replica_status(stage.db, index)["proven_restore"]
        return found and found["txid"] >= txid and found
    return daemon.wait_for(proven, 30, f"a restore of txid {txid} is proven")


def leftovers(stage):
    return os.listdir(stage.folder / "tmp")


def test_a_proven_restore_is_reported_and_recorded(ready):
    daemon = wait_control(ready.replicate(*EACH_SECOND))
    ready.writer(count=5).finish()
    txid = assert_synced(ready.db)
    proven = wait_proven(ready, daemon, txid)
    found = verification(ready)
    assert found["ok"] is True and found["problems"] == 0 and found["problem"] is found["error"] is None
    assert found["time"] >= proven["time"]
    daemon.wait_log(f"verified; txid {txid} was restored and is sound")
    text = seawall("status", ready.db).stdout.decode()
    assert f"verified {found['time'][:18]}" in text and f"last proven restore: txid {txid}" in text
    metrics = seawall("status", "--metrics", ready.db).stdout.decode()
    labels = f'{{database="{ready.db}",replica="{ready.replica}"}}'
    assert f"seawall_replica_verified_ok{labels} 1\n" in metrics and f"seawall_replica_proven_restore_txid{labels} {txid}\n" in metrics
    assert daemon.stop() == DONE
    kept = json.loads(proof_of(ready.db).read_text())["replicas"]
    assert [(one["url"], one["ok"], one["proven_txid"]) for one in kept] == [(str(ready.replica), True, txid)]
    assert proof_of(ready.db).stat().st_mode & 0o777 == 0o600
    daemon = wait_control(ready.replicate())   # the default interval is long: nothing is verified now
    assert replica_status(ready.db)["proven_restore"]["txid"] == txid
    assert verification(ready)["ok"] is True
    assert daemon.stop() == DONE and leftovers(ready) == []


def test_each_of_several_replicas_is_proven(ready):
    second = ready.folder / "second"
    daemon = wait_control(ready.replicate(*EACH_SECOND, also=[second]))
    txid = assert_synced(ready.db)
    for index in range(2):
        wait_proven(ready, daemon, txid, index)
    assert daemon.stop() == DONE
    assert {one["url"] for one in json.loads(proof_of(ready.db).read_text())["replicas"]} == {str(ready.replica), str(second)}


def test_a_damaged_replica_is_reported_and_the_daemon_goes_on(ready):
    daemon = wait_control(ready.replicate(*EACH_SECOND))
    ready.writer(count=5).finish()
    txid = assert_synced(ready.db)
    wait_proven(ready, daemon, txid)
    name = level_zero(ready.replica)[0]
    path = ready.replica / "0" / name
    good = path.read_bytes()
    path.write_bytes(good[:len(good) // 2] + bytes(len(good) - len(good) // 2))
    ready.writer(count=1).finish()   # a replica that got nothing new is not verified again
    daemon.wait_for(lambda: verification(ready)["ok"] is False, 30, "the damage is found")
    found = verification(ready)
    assert found["problems"] >= 1 and name in found["problem"]
    assert replica_status(ready.db)["proven_restore"]["txid"] == txid   # the earlier restore still counts
    lines = [line for line in daemon.log().splitlines() if " ERROR " in line]
    assert lines and all("verification found" in line and str(ready.replica) in line for line in lines)
    text = seawall("status", ready.db)
    assert text.returncode == CORRUPT and "VERIFICATION" in text.stdout.decode() and name in text.stdout.decode()
    assert f'seawall_replica_verified_ok{{database="{ready.db}",replica="{ready.replica}"}} 0' in seawall("status", "--metrics", ready.db).stdout.decode()
    ready.writer(count=3).finish()
    assert assert_synced(ready.db) > txid
    path.write_bytes(good)
    wait_proven(ready, daemon, txid + 1)
    assert verification(ready) | {"time": None, "running": None} == {
        "time": None, "ok": True, "problems": 0, "problem": None, "error": None, "running": None}
    assert daemon.stop() == DONE and leftovers(ready) == []


def test_a_replica_that_has_lost_everything_fails_its_verification(ready):
    daemon = wait_control(ready.replicate(*EACH_SECOND))
    assert_synced(ready.db)
    for name in level_zero(ready.replica):
        (ready.replica / "0" / name).unlink()
    daemon.wait_for(lambda: verification(ready)["ok"] is False, 30, "the loss is found")
    assert daemon.stop() == DONE


def test_a_verification_without_a_result_is_logged_once_and_tried_again(ready, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(ready.folder / "not-there"))
    daemon = wait_control(ready.replicate(*EACH_SECOND))
    daemon.wait_for(lambda: verification(ready)["error"], 30, "the status has the failure")
    found = verification(ready)
    assert "not-there" in found["error"] and found["ok"] is found["time"] is None
    stays_true(lambda: daemon.log().count("could not be verified") == 1, 2.5, "the log has it once")
    (ready.folder / "not-there").mkdir()
    wait_proven(ready, daemon, 1)
    assert verification(ready)["error"] is None
    assert daemon.stop() == DONE


@pytest.mark.parametrize("content", NOTHING_SAID.values(), ids=NOTHING_SAID)
def test_with_a_malformed_record_the_replica_counts_as_never_verified(ready, content):
    proof_of(ready.db).write_bytes(content.replace(b"URL", os.fsencode(ready.replica)))
    daemon = wait_control(ready.replicate(*EACH_SECOND))
    wait_proven(ready, daemon, 1)
    assert daemon.stop() == DONE
    assert json.loads(proof_of(ready.db).read_text())["format"] == 1


def test_a_record_that_can_not_be_written_is_logged_and_the_daemon_goes_on(ready):
    proof_of(ready.db).mkdir()
    daemon = wait_control(ready.replicate(*EACH_SECOND))
    wait_proven(ready, daemon, 1)
    daemon.wait_for(lambda: "is lost with the next start" in daemon.log(), 10, "the log has it")
    assert daemon.stop() == DONE
    assert not [name for name in os.listdir(ready.folder) if name.startswith(".seawall")]


def test_without_room_it_is_verified_but_not_restored(ready):
    daemon = wait_control(ready.replicate(*EACH_SECOND, environment={"TMPDIR": "/proc"}))   # /proc has no free space
    daemon.wait_for(lambda: verification(ready)["ok"], 30, "it is verified")
    first = verification(ready)["time"]
    daemon.wait_for(lambda: verification(ready)["time"] > first, 30, "and again")
    assert replica_status(ready.db)["proven_restore"] is None
    daemon.wait_log("verified, without a restore")
    assert " WARN " in daemon.told_once("less than twice the room")
    assert daemon.stop() == DONE


@pytest.mark.parametrize("options", [("--verify-interval", "never"), ("--once", *EACH_SECOND), ()])
def test_without_a_reason_nothing_is_verified(ready, options):
    daemon = ready.replicate(*options, live=False)
    if "--once" in options:
        assert daemon.wait() == DONE
    else:
        wait_control(daemon)
        stays_true(lambda: not verification(ready)["running"], 2.5, "nothing runs")
        assert daemon.stop() == DONE
    assert not proof_of(ready.db).exists()


# ---- the process that does it

@pytest.fixture
def verifying(ready, request):
    """A daemon whose verification has begun and is stopped by SIGSTOP, so that it lasts."""
    app = sqlite3.connect(ready.db, isolation_level=None)
    app.execute("CREATE TABLE big(payload BLOB)")
    app.executemany("INSERT INTO big VALUES(randomblob(?))", [(1 << 20,)] * 20)   # the verification takes some time then
    app.close()
    daemon = wait_control(ready.replicate(*EACH_SECOND, *getattr(request, "param", ())))
    (child,) = daemon.wait_for(lambda: children_of(daemon.pid), 30, "a verification runs")
    os.kill(child, signal.SIGSTOP)
    yield ready, daemon, child
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        pass


def test_a_stop_of_the_daemon_ends_the_verification(verifying):
    stage, daemon, child = verifying
    assert verification(stage)["running"] is True
    os.kill(child, signal.SIGCONT)
    assert daemon.stop() == DONE
    assert not os.path.exists(f"/proc/{child}")
    assert leftovers(stage) == [] and "verification found" not in daemon.log() and "could not be verified" not in daemon.log()


def test_a_stop_of_the_daemon_ends_a_verification_that_hangs(verifying):
    stage, daemon, child = verifying
    assert daemon.stop() == DONE
    assert not os.path.exists(f"/proc/{child}")


def test_one_verification_runs_at_a_time_and_does_not_delay_shipping(verifying):
    stage, daemon, child = verifying
    before = assert_synced(stage.db)
    stage.writer(count=20).finish()
    assert assert_synced(stage.db) > before
    stays_true(lambda: children_of(daemon.pid) == [child], 2, "it is the only one")


def test_a_verification_that_is_killed_has_no_result_and_is_tried_again(verifying):
    stage, daemon, child = verifying
    os.kill(child, signal.SIGKILL)
    daemon.wait_for(lambda: "killed by signal 9" in daemon.log(), 10, "the log has it")
    assert " WARN " in daemon.told_once("killed by signal 9")
    for name in leftovers(stage):
        shutil.rmtree(stage.folder / "tmp" / name)
    wait_proven(stage, daemon, 1)
    assert daemon.stop() == DONE


@pytest.mark.parametrize("verifying", [("--memory", "600M")], indirect=True)
def test_a_verification_may_take_as_much_memory_as_the_daemon(verifying):
    """Otherwise a replica that needs more than the default of the commands could not be verified."""
    _, _, child = verifying
    arguments = open(f"/proc/{child}/cmdline").read().split("\0")
    assert int(arguments[arguments.index("--memory") + 1]) == 600 << 20


def test_a_verification_has_the_lowest_priority_and_no_blocked_signals(verifying):
    _, _, child = verifying
    wait_until(lambda: os.getpriority(os.PRIO_PROCESS, child) == 19, 10, "the daemon has lowered it")   # right after it was started

    def takes_signals():
        """The C library blocks signals for the moment in which it makes a thread: the child may have been stopped there."""
        if "SigBlk:\t0000000000000000\n" in open(f"/proc/{child}/status").read():
            return True
        os.kill(child, signal.SIGCONT)
        os.kill(child, signal.SIGSTOP)
        return False
    wait_until(takes_signals, 10, "no signal is blocked")
    assert sorted(int(fd) for fd in os.listdir(f"/proc/{child}/fd"))[:3] == [0, 1, 2]
    assert not [link for link in open_files(child)
                if "app.db" in link and "tmp" not in link]   # it inherits no file of the database


def test_no_verification_stays_as_a_zombie(ready):
    daemon = wait_control(ready.replicate(*EACH_SECOND))
    first = wait_proven(ready, daemon, 1)["time"]
    ready.writer(count=1).finish()
    daemon.wait_for(lambda: replica_status(ready.db)["proven_restore"]["time"] > first, 30, "another one")
    wait_until(lambda: children_of(daemon.pid) == [], 10, "it is reaped")
    assert daemon.stop() == DONE
