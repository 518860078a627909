"""The log for programs and for the journal; what it says of a store that is away; what a failed start does not say."""
import json
import re
import subprocess

import pytest

from control import assert_synced, replica_status
from seawall import BINARY, DONE, OTHER_WRITER, USAGE, seawall, told, url_of
from waiting import PATIENCE

LOGFMT = re.compile(r'time="[^"]+Z" level="(error|warn|info)"( (database|replica)="(\\.|[^"\\])*")? msg="(\\.|[^"\\])+"( hint="(\\.|[^"\\])+")?')


def conflict(stage):
    """A start that fails, and says so with a hint."""
    stage.prepare()
    assert stage.replicate().stop() == DONE
    other = stage.folder / "other.db"
    stage.prepare(db=other)
    return other


def fails(stage, *options, environment=None):
    result = seawall("replicate", *options, conflict(stage), url_of(stage.replica), environment=environment)
    assert result.returncode == OTHER_WRITER and result.stdout == b"", told(result)
    return result.stderr.decode().splitlines()


def test_each_line_is_a_json_object(stage):
    events = [json.loads(line) for line in fails(stage, "--log-format", "json")]
    assert all(event.keys() <= {"time", "level", "database", "replica", "msg", "hint"} and {"time", "level", "msg"} <= event.keys() for event in events)
    assert events[0]["database"] == str(stage.folder / "other.db") and events[0]["msg"] == "opened" and events[0]["level"] == "info"
    assert events[-1]["level"] == "error" and "belongs to another writer" in events[-1]["msg"] and "--take-over" in events[-1]["hint"]


def test_each_line_is_logfmt(stage):
    lines = fails(stage, "--log-format=logfmt")
    assert all(LOGFMT.fullmatch(line) for line in lines), lines
    assert 'level="error"' in lines[-1] and 'hint="' in lines[-1]


def test_the_configuration_chooses_the_format_and_the_command_line_comes_first(stage):
    other = conflict(stage)
    config = stage.folder / "seawall.conf"
    config.write_text(f"[seawall]\nlog-format = json\n[db {other}]\nreplica = {stage.replica}\n")
    assert all(json.loads(line) for line in seawall("replicate", "-c", config).stderr.decode().splitlines())
    assert all(LOGFMT.fullmatch(line) for line in seawall("replicate", "--log-format", "logfmt", "-c", config).stderr.decode().splitlines())
    assert "log-format = json" in seawall("config", "-c", config).stdout.decode()
    for text in ("log-format = xml", "log-format = json\nlog-format = json"):
        config.write_text(f"[seawall]\n{text}\n")
        assert seawall("config", "-c", config).returncode == USAGE
    result = seawall("replicate", "--log-format", "xml", other, url_of(stage.replica))
    assert result.returncode == USAGE and b"auto|text|logfmt|json" in result.stderr, told(result)


def test_in_the_journal_lines_have_priorities_and_hints_on_the_same_line(stage):
    other = conflict(stage)
    log = open(stage.folder / "journal", "w+b")   # in the place of the socket of the journal
    facts = (stage.folder / "journal").stat()
    result = subprocess.run([BINARY, "replicate", other, url_of(stage.replica)], stderr=log, timeout=60 * PATIENCE, check=False,
                            env={"PATH": "/usr/bin:/bin", "JOURNAL_STREAM": f"{facts.st_dev}:{facts.st_ino}"})
    assert result.returncode == OTHER_WRITER
    lines = (stage.folder / "journal").read_text().splitlines()
    assert lines[0] == f"<6>database '{other}': opened"
    assert lines[-1].startswith("<3>'") and " HINT: " in lines[-1] and all(re.match("<[346]>", line) for line in lines)


def test_a_failed_start_has_no_summary_of_zeros(stage):
    lines = fails(stage)
    assert not [line for line in lines if "longest write-lock hold" in line], lines
    daemon = stage.replicate(live=False)
    daemon.wait_log("continues at txid")
    assert daemon.stop() == DONE
    assert "longest write-lock hold" in daemon.log()   # a stop as asked for has one


@pytest.mark.parametrize("ways", [["internal-error", "close-unstored", "bad-gateway"]])
def test_a_store_that_is_away_and_comes_back_is_told_once_each_however_it_fails(stage, s3, server, ways):
    stage.prepare()
    daemon = stage.replicate()
    assert_synced(stage.db)
    first = server.fault(ways[0], on=("put", "get", "head", "list"))
    stage.writer(count=1).finish()
    daemon.wait_log("trying again until it works")
    for way in ways[1:]:
        fault = server.fault(way, on=("put", "get", "head", "list"))
        first.off()
        before = replica_status(stage.db)["error"]
        daemon.wait_for(lambda: replica_status(stage.db)["error"] not in (None, before), 60, f"it fails by {way}")
        first = fault
    first.off()
    daemon.wait_log("reachable again", 60)
    assert_synced(stage.db)
    assert daemon.log().count("trying again until it works") == 1 and daemon.log().count("reachable again") == 1, daemon.log()
    assert " ERROR " not in daemon.log()
    assert daemon.stop() == DONE
