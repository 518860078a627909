"""Unusual surroundings: closed standard files, ignored or blocked signals, no /proc, a full disk behind standard output, strange names. The
program works, or has an error that names the cause."""
import os
import signal
import sqlite3
import subprocess
from contextlib import closing

import pytest

import stranger
from control import assert_synced, proof_of, sync, wait_control
from seawall import BINARY, DONE, FAILED, USAGE, level_zero, objects, restore, seawall, told, url_of
from small import make_database, rows_of
from waiting import PATIENCE, stays_true, wait_until


@pytest.fixture
def replicated(stage):
    make_database(stage.db)
    result = seawall("snapshot", stage.db, url_of(stage.replica))
    assert result.returncode == DONE, told(result)
    return stage


def shell(script, *arguments, **more):
    return subprocess.run(["sh", "-c", script, "sh", *map(str, arguments)], capture_output=True, timeout=120 * PATIENCE, **more)


# ---- permissions

@pytest.mark.skipif(not stranger.IS_ROOT, reason="only root can become another user")
@pytest.mark.open_to_others
@pytest.mark.parametrize("mode", [0o644, 0o600])
@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_a_file_beside_the_database_that_belongs_to_another_user_is_named_and_waited_for(stage, suffix, mode):
    """SQLite gives them the owner of the process that makes them. It says "unable to open database file", or reads them only."""
    make_database(stage.db)
    with closing(sqlite3.connect(stage.db, isolation_level=None)) as app:
        app.execute("CREATE TABLE more(a)")
        stage.folder.chmod(0o777)
        for end in "", "-wal", "-shm":
            os.chmod(f"{stage.db}{end}", 0o666)
        os.chmod(f"{stage.db}{suffix}", mode)
        result = stranger.seawall(stage.folder, "replicate", "--once", stage.db, url_of(stage.replica))
        assert result.returncode == FAILED and f"no permission to write '{stage.db}{suffix}'".encode() in result.stderr, told(result)
        assert b"HINT: the process that made it is of another user" in result.stderr
        daemon = stranger.start(stage.folder, "replicate", stage.db, url_of(stage.replica))
        stays_true(lambda: daemon.poll() is None and not level_zero(stage.replica), 0.5, "the daemon waits")
        os.chmod(f"{stage.db}{suffix}", 0o666)
        wait_until(lambda: level_zero(stage.replica), 20, "the daemon goes on by itself")
        daemon.terminate()
        assert daemon.wait(60 * PATIENCE) == DONE
    stage.assert_restore_equals_source()


# ---- signals

def ignore_children():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def test_a_parent_that_ignores_its_children_does_not_stop_verifications(stage):
    make_database(stage.db)
    daemon = stage.replicate("--verify-interval", "1s", live=False, before=ignore_children)
    wait_control(daemon)
    wait_until(proof_of(stage.db).exists, 30, "a proof")
    assert daemon.stop() == DONE


def block_all():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1})


def test_a_parent_that_blocks_signals_does_not_keep_a_command_from_ending(stage):
    make_database(stage.db)
    daemon = stage.replicate(live=False, before=block_all)
    wait_control(daemon)
    assert daemon.stop() == DONE


def test_a_hangup_is_logged_and_the_daemon_goes_on(stage):
    make_database(stage.db)
    daemon = stage.replicate()
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("SIGHUP: going on")
    make_database(stage.db)
    assert_synced(stage.db)
    assert daemon.stop() == DONE


# ---- standard files

@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
@pytest.mark.parametrize("command", ["snapshot", "restore", "list", "verify", "replicate --once"])
def test_closed_standard_files_do_no_harm(replicated, closed, command):
    stage = replicated
    make_database(stage.db)
    before = stage.db.read_bytes()
    target = stage.folder / "new.db"
    arguments = {"restore": f"-o '{target}' '{url_of(stage.replica)}'"}.get(
        command, f"'{url_of(stage.replica)}'" if command in ("list", "verify") else f"'{stage.db}' '{url_of(stage.replica)}'")
    result = shell(f"exec '{BINARY}' {command} {arguments} {closed}")
    assert result.returncode == DONE, told(result)
    assert stage.db.read_bytes()[:16] == before[:16]   # no message was written into the database
    assert seawall("verify", "--full", url_of(stage.replica)).returncode == DONE


@pytest.mark.parametrize("command, code", [("list REPLICA", FAILED), ("verify REPLICA", FAILED), ("version", FAILED), ("help", FAILED),
                                           ("completion bash", FAILED), ("snapshot DB REPLICA", DONE),
                                           ("restore --dry-run -o NEW REPLICA", FAILED), ("prune --dry-run REPLICA", FAILED),
                                           ("prune REPLICA", DONE), ("restore -o NEW REPLICA", DONE)])
def test_output_that_can_not_be_written_is_an_error(replicated, command, code):
    stage = replicated
    words = [{"REPLICA": url_of(stage.replica), "DB": str(stage.db), "NEW": str(stage.folder / "new.db")}.get(word, word)
             for word in command.split()]
    with open("/dev/full", "w") as full:
        result = subprocess.run([BINARY, *words], stdout=full, stderr=subprocess.PIPE, timeout=60 * PATIENCE)
    assert result.returncode == code, result.stderr
    assert b"standard output can't be written" in result.stderr or b"No space left" in result.stderr, result.stderr


def test_a_status_of_a_copy_that_can_not_be_written_is_an_error(replicated):
    stage = replicated
    follower = subprocess.Popen([BINARY, "follow", "-o", stage.folder / "copy.db", url_of(stage.replica)], stderr=subprocess.DEVNULL)
    wait_until(lambda: seawall("follow", "--status", "-o", stage.folder / "copy.db").returncode == DONE, 20, "the copy is there")
    with open("/dev/full", "w") as full:
        result = subprocess.run([BINARY, "follow", "--status", "-o", stage.folder / "copy.db"], stdout=full, stderr=subprocess.PIPE,
                                timeout=60 * PATIENCE)
    follower.terminate()
    assert follower.wait(20 * PATIENCE) == DONE
    assert result.returncode == FAILED and b"standard output can't be written" in result.stderr, result.stderr


@pytest.mark.parametrize("command", ["list REPLICA", "list --json REPLICA", "verify REPLICA", "version", "help", "help replicate", "completion bash",
                                     "snapshot DB REPLICA"])
def test_a_reader_that_has_read_enough_is_no_error(replicated, command):
    stage = replicated
    words = [{"REPLICA": url_of(stage.replica), "DB": str(stage.db)}.get(word, word) for word in command.split()]
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run([BINARY, *words], stdout=writer, stderr=subprocess.PIPE, timeout=60 * PATIENCE)
    os.close(writer)
    assert result.returncode == DONE and result.stderr == b"", result.stderr


def test_a_list_that_can_not_be_written_is_one_line_of_error(replicated):
    with open("/dev/full", "w") as full:
        result = subprocess.run([BINARY, "list", url_of(replicated.replica)], stdout=full, stderr=subprocess.PIPE, timeout=60 * PATIENCE)
    assert result.returncode == FAILED
    assert result.stderr == b"seawall: write the list: No space left on device\n  HINT: make room there, and run the same command again\n"


# ---- /proc, names

IN_A_JAIL = """mount -t tmpfs none /proc || exit 77
"$1" restore -o "$2/new.db" "$3" && "$1" snapshot "$4" "$3" && "$1" verify --restore --tmp "$2" "$3" && "$1" restore --force --integrity-check -o "$2/new.db" "$3" &&
"$1" restore --delta --txid 1 -o "$2/new.db" "$3" && "$1" restore --undo -o "$2/new.db"
"""


@pytest.mark.skipif(not stranger.IS_ROOT, reason="only root can hide /proc")
def test_without_proc_everything_works(replicated):
    stage = replicated
    make_database(stage.db)
    result = subprocess.run(["unshare", "-m", "sh", "-c", IN_A_JAIL, "sh", BINARY, stage.folder, url_of(stage.replica), stage.db],
                            capture_output=True, timeout=120 * PATIENCE)
    if result.returncode == 77 or result.stderr.startswith(b"unshare: "):
        pytest.skip("only root can mount, and some containers forbid it")
    assert result.returncode == DONE, told(result)
    assert not [path for path in stage.folder.rglob(".seawall-*")]


WATCHED_IN_A_JAIL = """mount -t tmpfs none /proc || exit 77
timeout -s TERM 60 "$1" replicate --verify-interval 1s "$2" "$3" & pid=$!
for i in $(seq 500); do [ -e "$2-seawall-proof.json" ] && break; sleep 0.1; done
kill $pid; wait $pid
"""


@pytest.mark.skipif(not stranger.IS_ROOT, reason="only root can hide /proc")
def test_without_proc_the_daemon_verifies_its_replica(replicated):
    stage = replicated
    make_database(stage.db)
    result = subprocess.run(["unshare", "-m", "sh", "-c", WATCHED_IN_A_JAIL, "sh", BINARY, stage.db, url_of(stage.replica)],
                            capture_output=True, timeout=120 * PATIENCE)
    if result.returncode == 77 or result.stderr.startswith(b"unshare: "):
        pytest.skip("only root can mount, and some containers forbid it")
    assert b"could not be verified" not in result.stderr, told(result)
    assert proof_of(stage.db).exists() and result.returncode == DONE, told(result)


@pytest.mark.parametrize("name", ["a\nb.db", "a b.db", "a%20b.db", "-x.db", "a?b#c.db", "\u00e4\u6c34.db", "a'b\"c.db"])
def test_any_name_of_a_database_works(stage, name):
    db = stage.folder / name
    make_database(db)
    replica = stage.folder / "replica of it"
    result = seawall("snapshot", db, url_of(replica))
    assert result.returncode == DONE, told(result)
    target = stage.folder / f"new {name}"
    result = restore(replica, target, "--integrity-check")
    assert result.returncode == DONE, told(result)
    assert rows_of(target) == 1
    daemon = stage.replicate(db=db, replica=replica, live=False)
    wait_control(daemon)
    make_database(db)
    assert_synced(db)
    assert daemon.stop() == DONE


@pytest.mark.parametrize("place", ["s3:/bucket/app", "s3:s3.amazonaws.com/bucket/app", "sftp:host:/backup/app", "b2:bucket:app", "file:/away"])
def test_a_place_in_the_notation_of_another_program_is_refused_and_makes_no_folder(stage, place):
    make_database(stage.db)
    for command in (["snapshot", stage.db, place], ["list", place], ["restore", "-o", stage.folder / "new.db", place]):
        result = subprocess.run([BINARY, *map(str, command)], cwd=stage.folder, capture_output=True, timeout=60 * PATIENCE)
        assert result.returncode == USAGE and b"unknown scheme" in result.stderr and b"HINT" in result.stderr, told(result)
    assert {path.name for path in stage.folder.iterdir()} <= {"app.db", "app.db-wal", "app.db-shm", "app.db-seawall"}
    result = subprocess.run([BINARY, "snapshot", stage.db, f"./{place.replace('/', '_')}"], cwd=stage.folder, capture_output=True,
                            timeout=60 * PATIENCE)
    assert result.returncode == DONE, told(result)   # written as a path, it is a folder


# ---- several names of one database

def test_a_database_with_two_names_is_refused(stage):
    make_database(stage.db)
    (stage.folder / "other").mkdir()
    os.link(stage.db, stage.folder / "other" / "app.db")
    for command in (["replicate", "--once"], ["replicate"], ["snapshot"]):
        result = seawall(*command, stage.db, url_of(stage.replica))
        assert result.returncode == USAGE and b"has 2 names" in result.stderr and b"HINT" in result.stderr, told(result)
    assert not stage.replica.exists() or objects(stage.replica) == []
    (stage.folder / "other" / "app.db").unlink()
    assert seawall("snapshot", stage.db, url_of(stage.replica)).returncode == DONE


def test_a_daemon_lets_go_of_a_database_that_gets_a_second_name(stage):
    make_database(stage.db)
    daemon = stage.replicate()
    os.link(stage.db, stage.folder / "other.db")
    assert daemon.wait(30) == USAGE
    assert "has 2 names" in daemon.log()
    assert sync(stage.db).returncode != DONE
