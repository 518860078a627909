"""`seawall status`: the reports of the daemon. Clients can't disturb it."""
import json
import os
import re
import signal
import socket
import stat
import subprocess
from contextlib import ExitStack

import pytest

import stranger
from control import answer, assert_synced, children_of, connected, open_files, replica_status, socket_of, status, sync, wait_control
from seawall import BINARY, DONE, FAILED, OTHER_WRITER, SOME_FAILED, TIMED_OUT, USAGE, seawall, told
from waiting import PATIENCE, wait_until

KEYS = {"version", "pid", "started", "database", "state", "stopping", "error", "captured_txid", "captured_time", "wal_bytes", "wal_frames",
        "commits", "frames", "checkpoints", "resyncs", "longest_write_lock_us", "replicas", "running", "condition", "well"}
REPLICA_KEYS = {"url", "state", "durable_txid", "lag_transactions", "lag_ms", "lag_bytes", "fencing", "error", "error_since", "retention_error", "requests", "objects",
                "bytes", "base", "verification", "proven_restore", "condition", "well", "percent", "lost", "lost_since", "conflict",
                "restore_points"}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture
def live(stage):
    stage.prepare()
    return stage.replicate()


# ---- reports

def test_the_json_has_the_captured_and_the_durable_txid(stage, live):
    stage.writer(count=10).finish()
    txid = assert_synced(stage.db)
    assert txid == stage.last_txid()
    found = status(stage.db)
    assert found.keys() == KEYS
    assert (found["pid"], found["database"], found["captured_txid"]) == (live.pid, str(stage.db), txid)
    assert found["state"] in ("following", "resting") and found["stopping"] is False and found["error"] is None
    assert re.fullmatch(TIME, found["started"]) and re.fullmatch(TIME, found["captured_time"])
    assert found["started"] <= found["captured_time"]
    assert (found["condition"], found["well"]) == ("following", True)
    (replica,) = found["replicas"]
    assert replica.keys() == REPLICA_KEYS
    assert (replica["url"], replica["state"], replica["durable_txid"]) == (str(stage.replica), "attached", txid)
    assert (replica["lag_transactions"], replica["lag_ms"], replica["fencing"]) == (0, 0, "strong")
    assert (replica["condition"], replica["well"]) == ("following", True)
    assert replica["percent"] is replica["lost"] is replica["lost_since"] is replica["conflict"] is None
    assert replica["error"] is replica["error_since"] is replica["retention_error"] is replica["requests"] is replica["proven_restore"] is None
    assert replica["base"]["txid"] == 1 and replica["base"]["bytes"] > 0 and not replica["base"]["running"]
    assert replica["objects"] >= 1 and replica["bytes"] > 0
    assert replica["verification"] == {"time": None, "ok": None, "problems": 0, "problem": None, "error": None, "running": False}
    live.wait_for(lambda: status(stage.db)["state"] == "resting", 10, "the database rests")
    assert status(stage.db)["wal_bytes"] == 0


def test_the_text_has_a_line_for_the_database_and_for_each_replica(stage, live):
    stage.writer(count=3).finish()
    txid = assert_synced(stage.db)
    result = seawall("status", stage.db)
    assert result.returncode == DONE and result.stderr == b"", told(result)
    first, second, third = result.stdout.decode().splitlines()
    assert re.fullmatch(rf"{stage.db}: (following|resting), captured txid {txid} of {TIME}; WAL .* frames; pid {live.pid} since {TIME}", first)
    assert second == f"  {stage.replica}: durable at txid {txid}"
    assert third == "    not verified yet"


def test_the_metrics_have_the_form_of_prometheus(stage, live):
    txid = assert_synced(stage.db)
    result = seawall("status", "--metrics", stage.db)
    assert result.returncode == DONE, told(result)
    lines = result.stdout.decode().splitlines()
    assert f'seawall_up{{database="{stage.db}"}} 1' in lines
    assert f'seawall_replica_durable_txid{{database="{stage.db}",replica="{stage.replica}"}} {txid}' in lines
    for line in lines:
        assert re.fullmatch(r'# (HELP|TYPE) seawall_[a-z_]+ .+|seawall_[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.]+', line), line


def test_a_replica_that_is_gone_is_an_error_with_its_time_and_lag_grows_until_it_is_back(stage, live):
    before = assert_synced(stage.db)
    away = stage.replica.rename(stage.folder / "away")
    stage.writer(count=1).finish()
    live.wait_for(lambda: replica_status(stage.db)["error"], 20, "the status has the error")
    found = replica_status(stage.db)
    assert found["durable_txid"] == before and found["lag_transactions"] >= 1
    assert re.fullmatch(TIME, found["error_since"]) and "is gone" in found["error"]
    stage.writer(count=5).finish()
    live.wait_for(lambda: replica_status(stage.db)["lag_ms"] > found["lag_ms"] + 500, 20, "the commit gets older")
    later = replica_status(stage.db)
    assert later["error_since"] == found["error_since"]
    text = seawall("status", stage.db).stdout.decode()
    assert re.search(r"\d+ behind, for [\d.]+ m?s\n    failing since " + TIME, text), text
    away.rename(stage.replica)
    live.wait_for(lambda: replica_status(stage.db)["lag_transactions"] == 0, 60, "it has caught up")
    found = replica_status(stage.db)
    assert found["error"] is found["error_since"] is None and found["lag_ms"] == 0 and found["durable_txid"] > before


def test_damage_that_retention_finds_is_an_error_until_it_is_over(stage):
    """The test damages old objects. Shipping looks only at the newest ones, so retention finds the damage."""
    stage.prepare()
    daemon = stage.replicate("--prune-interval", "1s", "--grace", "1s")
    stage.writer(count=5).finish()
    assert_synced(stage.db)
    assert replica_status(stage.db)["retention_error"] is None
    identity = stage.replica / "seawall.json"
    kept = identity.read_bytes()
    identity.write_bytes(b"{}")
    daemon.wait_for(lambda: replica_status(stage.db)["retention_error"], 30, "the status has the error of retention")
    assert "object 'seawall.json': " in replica_status(stage.db)["retention_error"]
    assert re.search(r" ERROR .* retention found damage: ", daemon.log()), daemon.log()
    assert "RETENTION fails: " in seawall("status", stage.db).stdout.decode()
    metrics = seawall("status", "--metrics", stage.db).stdout.decode()
    assert re.search(r"^seawall_replica_retention_failing\{.*\} 1$", metrics, re.M), metrics
    identity.write_bytes(kept)
    daemon.wait_for(lambda: replica_status(stage.db)["retention_error"] is None, 30, "it is over")


def test_a_conflict_is_reported_with_an_exit_code_of_its_own(stage):
    stage.prepare()
    assert stage.replicate().stop() == DONE
    other = stage.folder / "other.db"
    stage.prepare(db=other)
    ours = stage.folder / "ours"
    daemon = stage.replicate(db=other, replica=ours, also=[stage.replica])
    wait_control(daemon)
    daemon.wait_for(lambda: replica_status(other, 1)["state"] == "conflict", 20, "the conflict is found")
    assert "another writer" in replica_status(other, 1)["error"] and replica_status(other, 0)["error"] is None
    named = f": host '{socket.gethostname()}', database '{stage.db}', since 20"
    assert named in replica_status(other, 1)["error"]
    text = seawall("status", other)
    assert text.returncode == OTHER_WRITER and "CONFLICT" in text.stdout.decode() and named in text.stdout.decode(), told(text)
    assert (status(other)["condition"], status(other)["well"]) == ("conflict", False)
    result = sync(other)
    assert result.returncode == OTHER_WRITER and b"HINT" in result.stderr and named.encode() in result.stderr, told(result)
    assert replica_status(other, 0)["lag_transactions"] == 0   # the replica without a conflict has everything
    assert daemon.stop() == OTHER_WRITER


# ---- daemons that run or not

def test_without_a_daemon_it_fails_with_a_hint(stage):
    stage.prepare()
    for command in ("status", "sync"):
        result = seawall(command, stage.db)
        assert result.returncode == FAILED and b"no daemon" in result.stderr and b"HINT" in result.stderr, told(result)
    found = json.loads(seawall("status", "--json", stage.db).stdout)
    assert [(d["database"], d["running"]) for d in found["databases"]] == [(str(stage.db), False)]
    assert f'seawall_up{{database="{stage.db}"}} 0' in seawall("status", "--metrics", stage.db).stdout.decode().splitlines()


def test_a_database_that_does_not_exist_is_an_error_that_says_so(stage):
    for command in ("status", "sync"):
        result = seawall(command, stage.folder / "missing.db")
        assert result.returncode == FAILED and b"the file does not exist" in result.stderr and b"HINT" in result.stderr, told(result)
    stage.prepare()
    assert b"does not exist" not in seawall("status", stage.db).stderr


def test_without_a_database_it_reports_all_of_the_configuration(stage):
    other = stage.folder / "other.db"
    stage.prepare()
    stage.prepare(db=other)
    file = stage.folder / "seawall.conf"
    file.write_text(f"[db {stage.db}]\nreplica = {stage.replica}\n[db {other}]\nreplica = {stage.folder / 'second'}\n")

    def state(*words):
        result = seawall("status", "--json", "-c", file, *words)
        return result.returncode, [d["running"] for d in json.loads(result.stdout)["databases"]]

    assert state() == (FAILED, [False, False])
    daemon = stage.replicate()
    assert state() == (SOME_FAILED, [True, False])
    assert state(stage.db) == (DONE, [True]) and state(other) == (FAILED, [False])
    second = stage.replicate(db=other, replica=stage.folder / "second")
    assert state() == (DONE, [True, True])
    assert seawall("sync", "-c", file, other).returncode == DONE
    assert seawall("sync", "-c", file).stdout == b"2 of 2 databases are durable; 0 of them sleep\n"
    assert seawall("status", "-c", file, stage.folder / "third.db").returncode == USAGE
    assert daemon.stop() == DONE == second.stop()


@pytest.mark.parametrize("words", [(), ("--json", "--metrics", "x"), ("a", "b"), ("--nonsense", "x"), ("-c",)])
def test_wrong_usage_exits_with_2_and_a_hint(words):
    result = seawall("status", *words)
    assert result.returncode == USAGE and b"HINT" in result.stderr, told(result)


def test_a_link_to_the_database_leads_to_its_daemon(stage, live):
    link = stage.folder / "link.db"
    link.symlink_to(stage.db)
    assert status(link)["database"] == str(stage.db)
    assert_synced(link)


def test_a_daemon_that_is_stopped_by_a_signal_times_out(stage, live):
    live.send(signal.SIGSTOP)
    result = seawall("status", stage.db)
    live.send(signal.SIGCONT)
    assert result.returncode == TIMED_OUT and b"no answer" in result.stderr, told(result)


# ---- the socket

def test_the_socket_is_private_and_removed_at_the_end(stage, live):
    found = os.lstat(socket_of(stage.db))
    assert stat.S_ISSOCK(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o600
    assert live.stop() == DONE
    assert not socket_of(stage.db).exists()
    assert not [name for name in os.listdir(stage.folder) if name.startswith(".seawall")]


def test_a_socket_that_a_killed_daemon_left_does_not_count_as_a_daemon_and_is_replaced(stage, live):
    live.kill()
    assert socket_of(stage.db).is_socket()
    assert seawall("status", stage.db).returncode == FAILED
    again = wait_control(stage.replicate())
    assert status(stage.db)["pid"] == again.pid
    assert again.stop() == DONE and not socket_of(stage.db).exists()


def test_a_second_daemon_does_not_take_the_socket_of_the_first(stage, live):
    assert stage.replicate(live=False).wait() == FAILED
    assert status(stage.db)["pid"] == live.pid


@pytest.mark.open_to_others
@pytest.mark.skipif(not stranger.IS_ROOT, reason="only root can become another user")
def test_another_user_may_not_ask(stage, live):
    result = stranger.seawall(stage.folder, "status", stage.db)
    assert result.returncode == FAILED and b"Permission denied" in result.stderr and b"HINT" in result.stderr, told(result)


def test_a_database_with_a_path_longer_than_a_socket_address_has_a_socket(stage):
    folder = stage.folder
    while len(str(folder)) < 300:
        folder /= "d" * 50
    folder.mkdir(parents=True)
    db = folder / f"{'n' * 120}.db"
    stage.prepare(db=db)
    daemon = wait_control(stage.replicate(db=db))
    assert len(str(db)) > 400 and socket_of(db).is_socket()
    assert_synced(db)
    assert daemon.stop() == DONE


def test_a_path_that_is_not_utf8_is_shown_with_question_marks(stage):
    db = stage.folder / os.fsdecode(b"caf\xe9.db")
    stage.prepare(db=db)
    stage.replicate(db=db)
    result = subprocess.run([BINARY, "status", "--json", db], capture_output=True, timeout=60)
    assert json.loads(result.stdout)["databases"][0]["database"].endswith("/caf?.db"), told(result)


@pytest.mark.parametrize("reason", ["a file is in the way", "a folder is in the way", "others may write to the folder"])
def test_without_a_socket_it_warns_and_replicates(stage, reason):
    run = stage.folder / "run"
    run.mkdir(mode=0o700)
    if reason == "a file is in the way":
        socket_of(stage.db, run).write_text("mine")
    elif reason == "a folder is in the way":
        socket_of(stage.db, run).mkdir()
    else:
        run.chmod(0o777)
    stage.prepare()
    daemon = stage.replicate("--control", run)
    before = stage.last_txid()
    stage.writer(count=3).finish()
    daemon.wait_for(lambda: stage.last_txid() > before, 20, "commits are shipped")
    assert " WARN " in daemon.told_once("will find no daemon")
    assert seawall("status", "--control", run, stage.db).returncode == FAILED
    assert daemon.stop() == DONE
    if reason == "a file is in the way":
        assert socket_of(stage.db, run).read_text() == "mine"


# ---- clients that misuse the socket

def assert_undisturbed(stage, daemon):
    before = assert_synced(stage.db)
    stage.writer(count=5).finish()
    daemon.wait_for(lambda: stage.last_txid() >= before + 1, 20, "commits are shipped")
    assert status(stage.db)["pid"] == daemon.pid


@pytest.mark.parametrize("line", [b"\n", b"garbage\n", b"[]\n", b"{}\n", b'{"command":7}\n', b'{"command":"drop table"}\n', b"\0\0\n",
                                  b'{"command":"status","command":"sync"}\n', b"\xff\xfe\n", b"[" * 4000 + b"\n"])
def test_a_malformed_request_gets_an_error_and_the_connection_stays_open(stage, live, line):
    with connected(stage.db) as client:
        client.sendall(line)
        assert list(answer(client)) == ["error"]
        client.sendall(b'{"command":"status"}\n')
        assert answer(client)["pid"] == live.pid
    assert_undisturbed(stage, live)


def test_a_line_that_does_not_end_is_cut_off(stage, live):
    with connected(stage.db) as client:
        client.sendall(b"x" * 4096)
        assert answer(client) is None
    assert_undisturbed(stage, live)


def test_half_a_line_does_not_wait_for_ever(stage, live):
    with connected(stage.db) as client, connected(stage.db) as silent:
        client.sendall(b'{"command":')
        assert_undisturbed(stage, live)
        assert answer(client) is None and answer(silent) is None   # the daemon closes both after some seconds


def test_several_requests_in_one_portion_or_in_many_are_all_answered(stage, live):
    with connected(stage.db) as client:
        client.sendall(b'{"command":"status"}\n{"command":"sync"}\n{"command":"nothing"}\n')
        stream = client.makefile("rb")
        found = [json.loads(stream.readline()) for _ in range(3)]
        assert found[0]["pid"] == live.pid and found[1]["state"] == "durable" and "error" in found[2]
        for byte in b'{"command":"status"}\n':
            client.sendall(bytes([byte]))
        assert json.loads(stream.readline())["pid"] == live.pid


def test_a_client_that_has_closed_its_side_still_gets_its_answer(stage, live):
    for command in ("status", "sync"):
        with connected(stage.db) as client:
            client.sendall(f'{{"command":"{command}"}}\n'.encode())
            client.shutdown(socket.SHUT_WR)
            assert "error" not in answer(client) or command == "status"
            assert answer(client) is None


def test_requests_whose_answers_are_not_read_do_not_fill_memory(stage, live):
    with connected(stage.db) as client:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                client.send(b'{"command":"status"}\n' * 100)
        assert_undisturbed(stage, live)
        assert live.memory_kib("VmRSS") < 100_000
    assert_undisturbed(stage, live)


def test_a_client_that_never_reads_its_answer_is_dropped(stage, live):
    with connected(stage.db) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                client.send(b'{"command":"status"}\n' * 100)
        live.wait_for(lambda: connections(live) == 0, 20, "the daemon has dropped it")
    assert_undisturbed(stage, live)


def connections(daemon):
    """How many connections the daemon has: its sockets, without the one that listens."""
    found = (re.fullmatch(r"socket:\[(\d+)\]", link) for link in open_files(daemon.pid))
    inodes = {match[1] for match in found if match}
    lines = [line.split() for line in open("/proc/net/unix").read().splitlines()[1:]]
    return sum(1 for fields in lines if fields[6] in inodes and fields[3] != "00010000")   # __SO_ACCEPTCON: it listens


def test_the_number_of_connections_is_limited_and_every_client_is_answered_in_the_end(stage, live):
    with ExitStack() as all_of_them:
        clients = [all_of_them.enter_context(connected(stage.db, seconds=30 * PATIENCE)) for _ in range(168)]
        live.wait_for(lambda: connections(live) == 144, 10, "all places are taken")
        for client in clients[148:]:
            client.sendall(b'{"command":"status"}\n')
        assert [answer(client)["pid"] for client in clients[148:]] == [live.pid] * 20   # silent connections are closed for them
    assert_undisturbed(stage, live)
    live.wait_for(lambda: connections(live) == 0, 20, "all connections are closed")


def test_clients_that_are_killed_while_they_wait_are_forgotten(stage, live):
    stage.replica.rename(stage.folder / "away")
    stage.writer(count=1).finish()
    all_of_them = ExitStack()
    others = [all_of_them.enter_context(connected(stage.db)) for _ in range(116)]
    for client in others:
        client.sendall(b'{"command":"sync"}\n')
    live.wait_for(lambda: connections(live) == 116, 20, "they wait")
    waiting = [subprocess.Popen([BINARY, "sync", "--timeout", "never", stage.db], stderr=subprocess.DEVNULL) for _ in range(14)]
    try:
        wait_until(lambda: any(process.poll() == FAILED for process in waiting), 20, "there is a limit")
        live.wait_for(lambda: connections(live) == 128, 20, "the others wait")
        assert replica_status(stage.db)["lag_transactions"] >= 1   # a status request still has a connection
    finally:
        for process in waiting:
            process.kill()
            process.wait()
        all_of_them.close()
    live.wait_for(lambda: connections(live) == 0, 20, "no client waits any more")
    (stage.folder / "away").rename(stage.replica)
    assert_undisturbed(stage, live)
    assert not children_of(live.pid)
    assert live.stop() == DONE
    stage.assert_restore_equals_source()
