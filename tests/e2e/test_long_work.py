"""Long work shows how far it is: on a terminal a line, in a pipe nothing. A stop says what it waits for, and does not wait for what time does
not heal."""
import os
import pty
import re
import subprocess

import pytest

from seawall import BINARY, DONE, TIMED_OUT, seawall, told

LINE = rb"\[[#-]+\] \d+ %, [0-9.]+ [kMG]?B/s"


def on_a_terminal(*arguments, environment=None, seconds=120):
    """Runs a command whose stderr is a terminal. Returns the exit code, stdout, and what the terminal got."""
    terminal, inner = pty.openpty()
    with subprocess.Popen([BINARY, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=inner,
                          env={**os.environ, "TERM": "xterm", **(environment or {})}) as process:
        os.close(inner)
        shown = b""
        while True:
            try:
                part = os.read(terminal, 65536)
            except OSError:   # the other end is closed
                break
            shown += part
        out = process.stdout.read()
        process.wait(seconds)
    os.close(terminal)
    return process.returncode, out, shown


@pytest.fixture
def slow(stage, s3):
    """A replica of a few objects in S3, which come late."""
    stage.prepare()
    for _ in range(5):
        stage.writer(count=1, rows=200).finish()
        assert seawall("snapshot", stage.db, s3.url()).returncode == DONE
    s3.server.fault("latency", on="get", seconds=0.7)
    return s3


def test_a_restore_shows_a_line_on_a_terminal_and_no_escapes(slow, stage):
    code, out, shown = on_a_terminal("restore", "--jobs", "1", "-o", stage.folder / "restored.db", slow.url(), environment={"NO_COLOR": "1"})
    assert code == DONE and out.startswith(b"restored txid"), (out, shown)
    assert b"\x1b" not in shown + out
    assert re.search(LINE, shown), shown
    assert shown.rstrip(b" ").endswith(b"\r")   # the line is gone at the end


def test_restore_all_shows_a_line_on_a_terminal_and_nothing_in_a_pipe(slow, stage):
    names = [f"t{i}" for i in range(3)]
    for key, found in list(slow.server.objects.items()):
        for name in names:
            slow.server.objects[key.replace("backup/app", f"backup/{name}")] = found
    conf = stage.folder / "all.conf"
    conf.write_text(f"[db {stage.folder}/all/t*.db]\nreplica = {slow.url('backup/{stem}')}\n")
    command = ["restore", "-c", conf, "--all", "--jobs", "1"]
    code, out, shown = on_a_terminal(*command, "--to", stage.folder / "1")
    assert code == DONE and b"restored 3 of 3" in out, (out, shown)
    assert re.search(rb"\[[#-]+\] [12] of 3 databases, \d+ %, [0-9.]+ a second, \d+ s left", shown), shown
    assert b"\x1b" not in shown and shown.rstrip(b" ").endswith(b"\r")
    result = seawall(*command, "--to", stage.folder / "2")
    assert result.returncode == DONE and result.stderr == b"", told(result)
    code, out, shown = on_a_terminal(*command, "--to", stage.folder / "3", environment={"TERM": "dumb"})
    assert code == DONE and b"\r[" not in shown


def test_a_verification_shows_a_line_on_a_terminal_and_nothing_in_a_pipe(slow):
    slow.server.no_faults()
    slow.server.fault("latency", on="get", key="*/0/*", seconds=1.3)
    code, out, shown = on_a_terminal("verify", slow.url())
    assert code == DONE and b"ok: " in out, (out, shown)
    assert re.search(rb"\[[#-]+\] \d+ of \d+ objects, \d+ %, [0-9.]+ a second", shown), shown
    assert b"\x1b" not in shown and shown.rstrip(b" ").endswith(b"\r")
    result = seawall("verify", slow.url())
    assert result.returncode == DONE and result.stderr == b"", told(result)


# ---- a stop

def commit_and_stop(stage, daemon, **more):
    before = stage.last_txid()
    stage.writer(count=3).finish()
    return before, daemon.stop(**more)


def test_a_stop_says_what_it_waits_for_and_when_it_gives_up(stage, s3):
    stage.prepare()
    daemon = stage.replicate("--stop-timeout", "4s")
    s3.server.fault("slow-down", on="put")
    _, code = commit_and_stop(stage, daemon)
    assert code == TIMED_OUT
    found = re.search(r"stopping: replica '.*': \d+ transactions, [0-9.]+ k?B; gives up after \d+ s without progress", daemon.log())
    assert found, daemon.log()
    assert "stopped before everything was durable" in daemon.log()


def test_a_stop_does_not_wait_for_what_only_a_person_can_mend(stage, s3):
    stage.prepare()
    daemon = stage.replicate("--stop-timeout", "10m")
    s3.server.fault("access-denied", on="put")
    _, code = commit_and_stop(stage, daemon, seconds=60)   # far below ten minutes
    assert code == TIMED_OUT
    assert re.search(r"stopped before everything was durable: '.*AccessDenied[^\n]*\n  HINT: ", daemon.log()), daemon.log()
    assert r"\x0a" not in daemon.log()   # the hint of the error is that of the whole message


def test_a_stop_tries_once_more_what_a_person_may_have_mended(stage, s3):
    stage.prepare()
    daemon = stage.replicate("--stop-timeout", "10m")
    s3.server.fault("access-denied", on="put")
    stage.writer(count=3).finish()
    daemon.wait_log("AccessDenied")
    s3.server.no_faults()
    assert daemon.stop(seconds=60) == DONE
    stage.assert_restore_equals_source()
