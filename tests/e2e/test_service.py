"""The daemon as a service: what a service manager and a supervisor see of it. Signals, the notification socket, SIGHUP, --exec."""
import os
import re
import signal
import socket
import sqlite3
import subprocess

import pytest

from control import assert_synced
from seawall import BINARY, DONE, FAILED, USAGE, last_txid, seawall, told, url_of
from small import make_database, rows_of
from waiting import PATIENCE, stays_true, wait_until


class Manager:
    """Listens as systemd does."""

    def __init__(self, folder):
        self.name = f"\0seawall-{os.getpid()}-{folder.name}"[:90]
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.name)
        self.socket.setblocking(False)
        self.heard = []

    def environment(self, watchdog_s=None):
        found = {"NOTIFY_SOCKET": "@" + self.name[1:]}
        if watchdog_s:
            found["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))
        return found

    def listen(self):
        while True:
            try:
                self.heard += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.heard

    def count(self, line):
        return self.listen().count(line)

    def wait(self, line, daemon, times=1):
        daemon.wait_for(lambda: self.count(line) >= times, 20, f"the manager hears {line!r}: {self.heard}")


@pytest.fixture
def manager(stage):
    made = Manager(stage.folder)
    yield made
    made.socket.close()


# ---- the notification socket

def test_a_service_manager_hears_of_start_life_condition_and_stop(stage, manager):
    make_database(stage.db)
    daemon = stage.replicate(live=False, environment=manager.environment(watchdog_s=0.6))
    manager.wait("READY=1", daemon)
    manager.wait("WATCHDOG=1", daemon, times=3)
    manager.wait("STATUS=following", daemon)
    assert daemon.stop() == DONE
    heard = manager.listen()
    assert heard.index("READY=1") < heard.index("STOPPING=1") and heard.count("READY=1") == heard.count("STOPPING=1") == 1
    assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in heard[heard.index("STOPPING=1"):])


def test_a_daemon_that_waits_for_its_database_has_started_and_says_what_it_waits_for(stage, manager):
    daemon = stage.replicate(live=False, environment=manager.environment())
    manager.wait("READY=1", daemon)
    daemon.wait_for(lambda: any(line.startswith("STATUS=waiting for the database: ") for line in manager.listen()), 20, "why it waits")
    make_database(stage.db)
    manager.wait("STATUS=following", daemon)
    assert daemon.stop() == DONE


def test_a_start_that_fails_is_never_ready(stage, manager):
    stage.db.write_text("this is not a database")
    daemon = stage.replicate(live=False, environment=manager.environment())
    assert daemon.wait(30) == USAGE
    assert "READY=1" not in manager.listen()


def test_a_store_that_is_away_does_not_keep_the_service_from_starting(stage, manager):
    make_database(stage.db)
    replica = "s3://bucket/app?endpoint=http://127.0.0.1:1"
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    daemon = stage.replicate("--stop-timeout", "1s", live=False, replica=replica, environment={**manager.environment(), **keys})
    manager.wait("READY=1", daemon)
    daemon.wait_for(lambda: any(re.match(r"STATUS=.*; replica 's3://bucket/app.*': ", line) for line in manager.listen()), 30, "which replica fails")
    daemon.stop()


@pytest.mark.busy_at_the_end("it is stopped")
def test_a_daemon_that_hangs_shows_no_life(stage, manager):
    make_database(stage.db)
    daemon = stage.replicate(live=False, environment=manager.environment(watchdog_s=0.6))
    manager.wait("WATCHDOG=1", daemon)
    daemon.send(signal.SIGSTOP)
    wait_until(lambda: open(f"/proc/{daemon.pid}/stat").read().rsplit(")", 1)[1].split()[0] == "T", 10, "it is stopped")
    before = manager.count("WATCHDOG=1")
    stays_true(lambda: manager.count("WATCHDOG=1") == before, 1.5, "no sign of life")
    daemon.send(signal.SIGCONT)
    manager.wait("WATCHDOG=1", daemon, times=before + 1)
    assert daemon.stop() == DONE


# ---- SIGHUP

def configuration(stage, text, replica=None):
    path = stage.folder / "seawall.conf"
    path.write_text(f"[seawall]\n{text}\n[db {stage.db}]\nreplica = {replica or stage.replica}\n")
    return path


@pytest.fixture
def configured(stage, manager):
    """A daemon of the file seawall.conf alone."""
    make_database(stage.db)
    path = configuration(stage, "put-rate = 1/s\nrest-after = 2s")
    log = stage.folder / "configured.log"
    with open(log, "wb") as stderr:
        process = subprocess.Popen([BINARY, "replicate", "-c", path], stderr=stderr, env={**os.environ, **manager.environment()})
    yield process, log
    if process.poll() is None:
        process.kill()
    process.wait()


def hang_up(process, log, words):
    before = len(log.read_text())
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: re.search(words, log.read_text()[before:]), 20, f"the log says {words!r}: {log.read_text()[before:]}")
    return log.read_text()[before:]


def test_a_hangup_changes_options_and_says_what_counts_from_the_next_start(stage, manager, configured):
    process, log = configured
    wait_until(lambda: manager.count("READY=1") == 1, 20, "it is ready")
    assert "the configuration has not changed" in hang_up(process, log, "SIGHUP: the configuration has not changed")
    configuration(stage, "put-rate = 30/m\nrest-after = 1s\ngrace = 2h\nverify-interval = 1s", stage.folder / "elsewhere")
    hang_up(process, log, "its replicas, or their keys, differ: that counts from the next start")
    for words in ("INFO .*SIGHUP: put-rate is 30/m now; it was 1/s", "INFO .*SIGHUP: rest-after is 1s now; it was 2s",
                  "WARN .*SIGHUP: grace = 2h counts from the next start; until then it is 1h"):
        wait_until(lambda: re.search(words, log.read_text()), 20, words)
    wait_until(lambda: (stage.folder / "app.db-seawall-proof.json").exists(), 30, "the new interval of verifications counts")
    wait_until(lambda: manager.count("READY=1") == 3, 20, "each reload ended")
    assert sum(line == "RELOADING=1" for line in manager.heard) == 2
    assert any(re.fullmatch(r"MONOTONIC_USEC=\d+", line) for line in manager.heard)
    assert not (stage.folder / "elsewhere").exists()


@pytest.mark.parametrize("text, why", [("put-rate = often", "put-rate"), ("no-such-key = 1", "no-such-key"),
                                       ("keep-all = 0\nkeep-levels = 0\nkeep-hourly = 0\nkeep-daily = 0\nkeep-weekly = 0\nkeep-monthly = 0\n", "keep")])
def test_a_hangup_with_a_wrong_file_changes_nothing(stage, manager, configured, text, why):
    process, log = configured
    wait_until(lambda: manager.count("READY=1") == 1, 20, "it is ready")
    configuration(stage, f"rest-after = 1s\n{text}")
    said = hang_up(process, log, "ERROR .*SIGHUP: the configuration stays as it was: ")
    assert why in said and "rest-after" not in said
    (stage.folder / "seawall.conf").unlink()
    hang_up(process, log, "the configuration stays as it was: .*seawall.conf")
    make_database(stage.db)
    assert_synced(stage.db)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60 * PATIENCE) == DONE


# ---- signals

@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_signals_that_come_together_are_one_signal(stage, second):
    make_database(stage.db)
    daemon = stage.replicate()
    make_database(stage.db)
    daemon.send(signal.SIGSTOP)   # so that both are there when it looks
    daemon.send(signal.SIGTERM)
    daemon.send(second)
    daemon.send(signal.SIGCONT)
    assert daemon.wait() == DONE, daemon.log()
    stage.assert_restore_equals_source()


def test_timeout_ends_a_daemon_in_order(stage):
    make_database(stage.db)
    result = subprocess.run(["timeout", "2", BINARY, "replicate", stage.db, url_of(stage.replica)], capture_output=True, timeout=60 * PATIENCE)
    assert result.returncode == 124 and b"stopped at once" not in result.stderr, told(result)
    assert b"stopping: shipping what is captured" in result.stderr
    stage.assert_restore_equals_source()


# ---- --exec

INSERT = "INSERT INTO t VALUES('last')"


def run_with(stage, command, *options, environment=None, seconds=60):
    return seawall("replicate", *options, "--exec", command, stage.db, url_of(stage.replica), seconds=seconds, environment=environment)


@pytest.mark.parametrize("ending, code", [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_the_last_commit_of_the_command_is_shipped_and_seawall_exits_with_its_code(stage, ending, code):
    make_database(stage.db)
    result = run_with(stage, f"sqlite3 '{stage.db}' \"{INSERT}\"; {ending}")
    assert result.returncode == code, told(result)
    assert rows_of(stage.assert_restore_equals_source()) == 2


def test_a_command_that_makes_the_database_in_its_last_moment_is_shipped(stage):
    result = run_with(stage, f"sqlite3 '{stage.db}' 'PRAGMA journal_mode=WAL; CREATE TABLE t(x); {INSERT.replace(chr(39), chr(39) + chr(92) + chr(39) + chr(39))}'")
    assert result.returncode == DONE, told(result)
    assert rows_of(stage.assert_restore_equals_source()) == 1


def test_a_command_that_never_makes_the_database_is_a_failure(stage):
    result = run_with(stage, "true")
    assert result.returncode == FAILED and b"no such file" in result.stderr.lower(), told(result)


def test_success_of_the_command_does_not_hide_what_is_not_durable(stage):
    make_database(stage.db)
    replica = "s3://bucket/app?endpoint=http://127.0.0.1:1"
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    result = seawall("replicate", "--stop-timeout", "1s", "--exec", "true", stage.db, replica, environment=keys)
    assert result.returncode == 7, told(result)


TRAPS = """trap 'echo "$1 TERM"' TERM; trap 'echo HUP' HUP; trap 'echo USR1' USR1; trap 'echo USR2' USR2; trap 'exit 9' INT
echo started; while :; do sleep 0.05; done"""


def test_signals_are_passed_on_and_the_command_decides_when_it_ends(stage):
    make_database(stage.db)
    output = stage.folder / "output"
    with open(output, "wb") as file:
        process = subprocess.Popen([BINARY, "replicate", "--exec", TRAPS, stage.db, url_of(stage.replica)], stdout=file,
                                   stderr=open(stage.folder / "log", "wb"))
    try:
        wait_until(lambda: "started" in output.read_text(), 20, "the command runs")
        for number, word in ((signal.SIGTERM, "TERM"), (signal.SIGHUP, "HUP"), (signal.SIGUSR1, "USR1"), (signal.SIGUSR2, "USR2")):
            process.send_signal(number)
            wait_until(lambda: word in output.read_text(), 20, f"the command got {word}")
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: output.read_text().count("TERM") == 2, 20, "the command got a second TERM")
        assert process.poll() is None
        connection = sqlite3.connect(stage.db)
        with connection:
            connection.execute(INSERT)
        connection.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(30 * PATIENCE) == 9
    finally:
        process.kill()
        process.wait()
    assert rows_of(stage.assert_restore_equals_source()) == 2


SERVER = """import signal, sqlite3, sys, time
def end(*_):
    db = sqlite3.connect(sys.argv[1])
    db.execute("INSERT INTO t VALUES('last')")
    db.commit()
    sys.exit(4)
signal.signal(signal.SIGTERM, end)
print("started", flush=True)
while True:
    time.sleep(1)
"""


@pytest.mark.parametrize("before", ["", "cd / && ", "A=1 "])
def test_a_program_that_the_shell_starts_gets_the_signals_and_ships_its_end(stage, before):
    """dash starts a program even for one simple command, and would end without it."""
    make_database(stage.db)
    server, output = stage.folder / "server.py", stage.folder / "output"
    server.write_text(SERVER)
    with open(output, "wb") as file:
        process = subprocess.Popen([BINARY, "replicate", "--exec", f"{before}python3 '{server}' '{stage.db}'", stage.db, url_of(stage.replica)],
                                   stdout=file, stderr=open(stage.folder / "log", "wb"))
    try:
        wait_until(lambda: "started" in output.read_text(), 20, "the program runs")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30 * PATIENCE) == 4
    finally:
        process.kill()
        process.wait()
    assert rows_of(stage.assert_restore_equals_source()) == 2


def test_a_command_gets_a_signal_of_the_process_group_once(stage):
    make_database(stage.db)
    output = stage.folder / "output"
    with open(output, "wb") as file:
        process = subprocess.Popen([BINARY, "replicate", "--exec", TRAPS, stage.db, url_of(stage.replica)], stdout=file,
                                   stderr=open(stage.folder / "log", "wb"), start_new_session=True)
    try:
        wait_until(lambda: "started" in output.read_text(), 20, "the command runs")
        os.killpg(process.pid, signal.SIGTERM)
        wait_until(lambda: "TERM" in output.read_text(), 20, "the command got it")
        stays_true(lambda: output.read_text().count("TERM") == 1, 0.5, "it got it once")
        process.send_signal(signal.SIGINT)
        assert process.wait(30 * PATIENCE) == 9
    finally:
        process.kill()
        process.wait()


def test_a_command_starts_when_the_database_is_followed_and_can_read_standard_input(stage, manager):
    make_database(stage.db)
    command = "read line; echo \"$line ${NOTIFY_SOCKET-no socket}\""
    result = subprocess.run([BINARY, "replicate", "--exec", command, stage.db, url_of(stage.replica)], input=b"hello\n", capture_output=True,
                            timeout=60 * PATIENCE, env={**os.environ, **manager.environment()})
    assert result.returncode == DONE and result.stdout == b"hello no socket\n", told(result)
    assert "READY=1" in manager.listen()


def test_a_start_that_fails_starts_no_command(stage):
    stage.db.write_text("this is not a database")
    result = run_with(stage, "echo started")
    assert result.returncode == USAGE and result.stdout == b"", told(result)


def test_an_application_outlives_a_replication_that_fails(stage):
    make_database(stage.db)
    output, go = stage.folder / "output", stage.folder / "go"
    with open(output, "wb") as file:
        process = subprocess.Popen([BINARY, "replicate", "--exec", f"echo started; while ! [ -e '{go}' ]; do sleep 0.05; done; echo ended; exit 5", stage.db,
                                    url_of(stage.replica)], stdout=file, stderr=open(stage.folder / "log", "wb"))
    try:
        wait_until(lambda: "started" in output.read_text() and last_txid(stage.replica) >= 1, 20, "the command runs")
        os.link(stage.db, stage.folder / "other.db")   # a second name: the daemon lets go
        wait_until(lambda: "nothing is replicated any more" in (stage.folder / "log").read_text(), 30, "the replication has ended")
        assert process.poll() is None and "ended" not in output.read_text()
        go.touch()
        assert process.wait(30 * PATIENCE) == 5
    finally:
        go.touch()
        process.kill()
        process.wait()
    assert "ended" in output.read_text()


def test_exec_and_once_exclude_each_other(stage):
    make_database(stage.db)
    result = run_with(stage, "true", "--once")
    assert result.returncode == USAGE and b"--exec and --once" in result.stderr, told(result)
