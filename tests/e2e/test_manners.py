"""What every command has in common: --help and --version, paths that are not paths, output without escapes."""
import json
import sqlite3

import pytest

from control import assert_synced, wait_control
from seawall import DONE, USAGE, seawall, told, url_of

TABLES = json.loads(seawall("help", "--tables").stdout)
COMMANDS = [command["name"] for command in TABLES["commands"]]
ALMOST = ["s3:/b/x", "s3:b", "S3://b/x", "sftp:h:/p", "file:/x", "~/x", "~", "gs://b/x"]
CONFIG_FREE = {"completion", "version", "help", "config"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_version(command):
    version = seawall("version").stdout
    for flag in ("-v", "--version"):
        result = seawall(command, flag)
        assert (result.returncode, result.stdout, result.stderr) == (DONE, version, b""), told(result)
    short, long = seawall(command, "-h"), seawall(command, "--help")
    assert short.returncode == DONE and short.stdout == long.stdout and b"--version" in short.stdout, told(short)


def test_the_version_is_shown_before_any_command():
    assert {seawall(flag).stdout for flag in ("-v", "-V", "--version", "version")} == {seawall("version").stdout}
    assert json.loads(seawall("version", "--json").stdout).keys() == {"version", "sqlite", "compression"}


@pytest.mark.parametrize("path", [*ALMOST, "-", "file:///x"])
@pytest.mark.parametrize("command", [command["name"] for command in TABLES["commands"] if command["words"] and command["words"][0]["name"] == "DB"])
def test_what_looks_like_a_url_is_no_database(command, path, tmp_path):
    result = seawall(command, path, folder=tmp_path)
    assert result.returncode == USAGE and b"HINT: " in result.stderr and b"./" in result.stderr, told(result)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [*ALMOST, "-"])
@pytest.mark.parametrize("arguments", [("restore", "-o", "PATH", "replica"), ("verify", "--restore", "--tmp", "PATH", "replica"),
                                       ("status", "--control", "PATH", "app.db"), ("config", "-c", "PATH"), ("doctor", "-c", "PATH")], ids=lambda a: a[0])
def test_what_looks_like_a_url_is_no_file(arguments, path, tmp_path):
    (tmp_path / "replica").mkdir()
    result = seawall(*[path if argument == "PATH" else argument for argument in arguments], folder=tmp_path)
    assert result.returncode == USAGE and b"HINT: " in result.stderr, told(result)
    assert [found.name for found in tmp_path.iterdir()] == ["replica"]


@pytest.mark.parametrize("path", ALMOST)
@pytest.mark.parametrize("command", ["replicate", "snapshot", "list", "verify", "prune", "restore"])
def test_what_is_almost_a_url_is_no_replica_and_what_was_meant_is_shown(command, path, tmp_path):
    with sqlite3.connect(tmp_path / "app.db") as app:
        app.execute("CREATE TABLE t(a)")
    app.close()
    before = sorted(found.name for found in tmp_path.iterdir())
    arguments = {"replicate": ["--once", "app.db", path], "snapshot": ["app.db", path], "restore": ["-o", "new.db", path]}.get(command, [path])
    result = seawall(command, *arguments, folder=tmp_path)
    assert result.returncode == USAGE and b"HINT: " in result.stderr, told(result)
    meant = {"s3:/b/x": "s3://b/x", "s3:b": "s3://b", "S3://b/x": "s3://b/x", "file:/x": "file:///x"}.get(path)
    assert not meant or f"write '{meant}'" in result.stderr.decode(), told(result)
    assert sorted(found.name for found in tmp_path.iterdir()) == before


@pytest.mark.parametrize("text", ["[db ~/app.db]\nreplica = backup\n", "[db s3:b]\nreplica = backup\n", "[db app.db]\nreplica = ~/backup\n",
                                  "[db app.db]\nreplica = s3:/b\n", "[seawall]\ncontrol = ~/run\n[db app.db]\nreplica = backup\n",
                                  "[db app.db]\nreplica = r\n[replica r]\nurl = ~/backup\n"])
def test_a_configuration_can_not_have_them_either(text, tmp_path):
    path = tmp_path / "seawall.conf"
    path.write_text(text)
    result = seawall("config", "-c", path)
    assert result.returncode == USAGE and b"line " in result.stderr and b"HINT: " in result.stderr, told(result)


def test_with_a_dot_before_it_each_name_can_be_used(stage):
    stage.prepare()
    for name in ("-", "~", "s3:b"):
        result = seawall("replicate", "--once", stage.db, f"./{name}", folder=stage.folder)
        assert result.returncode == DONE and (stage.folder / name / "seawall.json").exists(), told(result)


def test_answers_can_be_read_by_programs(stage):
    stage.prepare()
    daemon = stage.replicate()
    txid = assert_synced(stage.db)
    for arguments, wanted in ((("sync",), {"state": "durable", "txid": txid}), (("detach",), {"state": "detached"}), (("attach",), {"state": "attached"})):
        result = seawall(*arguments, "--json", stage.db)
        assert result.returncode == DONE, told(result)
        assert json.loads(result.stdout) == {"database": str(stage.db), **wanted}
    assert daemon.stop() == DONE


def test_a_snapshot_can_be_read_by_programs(stage):
    stage.prepare()
    result = seawall("snapshot", "--json", stage.db, url_of(stage.replica))
    assert result.returncode == DONE, told(result)
    found = json.loads(result.stdout)
    assert found.keys() == {"database", "txid", "by_daemon", "everywhere", "replicas", "durable", "objects", "bytes", "ms"}
    assert (found["database"], found["txid"], found["by_daemon"], found["everywhere"], found["replicas"]) == (str(stage.db), 1, False, True, 1)
    daemon = stage.replicate()
    wait_control(daemon)
    result = seawall("snapshot", "--json", stage.db, url_of(stage.replica))
    assert result.returncode == DONE and result.stdout.count(b"\n") == 1, told(result)
    assert {**json.loads(result.stdout), "ms": 0} == {"database": str(stage.db), "txid": 1, "by_daemon": True, "everywhere": True, "ms": 0}
    assert daemon.stop() == DONE


def test_no_escape_reaches_a_pipe_or_a_terminal_without_colors(stage):
    stage.prepare()
    for environment in ({}, {"NO_COLOR": "1"}, {"TERM": "dumb"}):
        for arguments in (("replicate", "--once", stage.db, url_of(stage.replica)), ("list", url_of(stage.replica)), ("verify", url_of(stage.replica)),
                          ("restore", "--force", "-o", stage.folder / "new.db", url_of(stage.replica)), ("doctor", stage.db, stage.replica), ("help",)):
            result = seawall(*arguments, environment=environment)
            assert result.returncode == DONE and b"\x1b" not in result.stdout + result.stderr and b"\r" not in result.stdout + result.stderr, told(result)
