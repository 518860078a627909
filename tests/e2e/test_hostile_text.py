"""Control characters in text from outside are escaped before the text reaches a terminal or a log. So it can't control a terminal, and can't
look like a line of its own.

Text from outside: paths, URLs and configurations; names in a replica; codes and messages of a server."""
import json
import os
import re

import pytest

from plain import assert_plain
from seawall import DONE, seawall, told, url_of

HOSTILE = "\x1b[31m\x9b2J\u202e\r\nERROR forged\n  line\x7f"   # \x9b: CSI as one character, which XML can hold too

def refused(*arguments, shows=r"\\x1b\[31m", **more):
    result = seawall(*arguments, **more)
    assert result.returncode != DONE, told(result)
    assert_plain(result.stdout)
    assert_plain(result.stderr)
    assert re.search(shows, (result.stdout + result.stderr).decode()), told(result)
    return result


def test_paths_and_words_of_the_command_line_are_escaped(stage):
    path = stage.folder / HOSTILE
    for arguments in (("list", path), ("verify", path), ("restore", "-o", path, path), ("status", path), ("sync", path),
                      ("prune", path), ("list", f"file://{path}"), ("list", f"s3://bucket/x?{HOSTILE}=1"), ("config", "-c", path),
                      (HOSTILE,), ("list", f"--{HOSTILE}"), ("help", HOSTILE), ("replicate", stage.db, f"{HOSTILE}://x/y"),
                      ("restore", "--txid", HOSTILE, path), ("restore", "--time", HOSTILE, path), ("list", path, HOSTILE)):
        refused(*arguments)


def test_bytes_that_are_not_utf8_are_escaped(stage):
    refused("list", os.fsencode(stage.folder) + b"/\x9b31m\xff", shows=r"\\x9b31m\\xff")


def test_values_of_a_configuration_are_escaped(stage):
    path = stage.folder / "seawall.conf"
    for text in (f"[db {stage.db}]\nreplica = \x1b[31mnowhere\n", "[replica \x1b[31mx]\n", "[seawall]\n\x1b[31mx = 1\n",
                 "[seawall]\nlock-at = \x1b[31m\n", "[\x1b[31m]\n", f"[db {stage.db}\x1b[31m]\n[db {stage.db}\x1b[31m]\n"):
        path.write_text(text)
        result = seawall("config", "-c", path)
        assert_plain(result.stdout)
        assert_plain(result.stderr)
        assert "\\x1b[31m" in (result.stdout + result.stderr).decode(), told(result)


def test_names_of_a_folder_are_escaped_in_lists_and_messages(stage):
    stage.replica = stage.folder / HOSTILE
    stage.prepare()
    assert stage.replicate("--once", live=False).wait() == DONE
    (stage.replica / HOSTILE).write_bytes(b"x")
    (stage.replica / "0" / HOSTILE).mkdir()
    (stage.replica / "0" / "0000000000000001").write_bytes(b"damaged" * 100)
    for arguments in (("list",), ("list", "--segments"), ("list", "--json", "--segments"), ("verify",), ("verify", "--full", "--json"),
                      ("prune", "--dry-run"), ("restore", "-o", stage.folder / "out.db"), ("restore", "--dry-run")):
        result = seawall(*arguments, url_of(stage.replica))
        assert result.stdout or result.stderr
        assert_plain(result.stdout)
        assert_plain(result.stderr)


def test_text_of_a_server_is_escaped_in_a_message(stage, server, s3):
    stage.prepare()
    assert stage.replicate("--once", live=False).wait() == DONE
    for name in ("access-denied", "no-such-bucket"):
        with server.fault(name, code=f"Code{HOSTILE}".replace("\x1b", "")):   # XML can't hold an escape character
            refused("list", s3.url(), shows=r"Code\[31m\\u009b2J\\u202e\\x0")


@pytest.mark.busy_at_the_end("its replica fails")
def test_text_of_a_server_is_escaped_in_the_log_and_the_status_of_a_daemon(stage, server, s3):
    stage.prepare()
    daemon = stage.replicate()
    server.fault("access-denied", code="Denied\x9b31m\r\nERROR forged\u202e")
    stage.writer(count=3).finish()
    daemon.wait_log(r"Denied\\u009b31m")
    assert_plain(daemon.log())
    for arguments in (("status",), ("status", "--json"), ("status", "--metrics")):
        result = seawall(*arguments, stage.db)
        assert result.returncode == DONE, told(result)
        assert_plain(result.stdout)
    found = json.loads(seawall("status", "--json", stage.db).stdout)["databases"][0]["replicas"][0]["error"]
    assert "Denied\\u009b31m" in found


def test_the_log_of_a_daemon_escapes_the_path_of_its_database(stage):
    stage.db = stage.folder / "a\x1b[31m\nERROR forged\x9b.db"
    stage.replica = stage.folder / HOSTILE
    stage.prepare(db=stage.db)
    daemon = stage.replicate()
    assert daemon.stop() == DONE
    assert r"a\x1b[31m\x0aERROR forged\u009b.db" in daemon.log()
    assert_plain(daemon.log())


@pytest.mark.parametrize("log_format", ["text", "json", "logfmt"])
def test_a_name_can_not_forge_a_hint(stage, log_format):
    """A hint begins with a line break and its mark. In a name both are text."""
    forged = "nl\n  HINT: run rm -rf.db"
    stage.db, stage.replica = stage.folder / forged, stage.folder / f"r{forged}"
    stage.prepare()
    first = stage.replicate("--once", "--log-format", log_format, live=False)
    assert first.wait() == DONE
    damaged = next((stage.replica / "0").iterdir())
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    second = stage.replicate("--once", "--log-format", log_format, live=False)
    second.wait()
    said = first.log() + second.log()
    assert r"nl\x0a  HINT: run rm" in said.replace("\\\\", "\\"), said
    assert not re.search(r"(?m)^\s*HINT: run", said) and "nl   HINT" not in said, said
    if log_format == "json":
        events = [json.loads(line) for line in said.splitlines()]
        assert all("rm -rf" not in event.get("hint", "") or r"\x0a" in event["hint"] for event in events)
        assert {event["database"] for event in events if "database" in event} == {str(stage.folder / r"nl\x0a  HINT: run rm -rf.db")}
    for arguments in (("status", stage.db), ("doctor", stage.db, stage.replica), ("list", stage.replica), ("verify", stage.replica), ("restore", "-o", stage.db, stage.replica)):
        result = seawall(*arguments)
        assert not re.search(rb"(?m)^\s*HINT: run", result.stdout + result.stderr), told(result)
