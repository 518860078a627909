"""`seawall config` checks a configuration, and prints it with all defaults and without secrets."""
import json
import sqlite3

import pytest

from seawall import DONE, USAGE, seawall, told

FULL = """
[seawall]
put-rate = never
wal-limit = 64M

[db /var/lib/app/app.db]
replica = offsite
replica = /mnt/backup/app
replica = s3://other/app?header=x-key:TOPSECRET&region=eu-2&timeout=10s
lock-at = never

[db /var/lib/app/other.db]
replica = plain
set-wal = no

[replica offsite]
url = s3://bucket/app?region=eu-1
endpoint = https://s3.example.com
storage-class = A%B&C
header = x-key: TOPSECRET

[replica plain]
url = /mnt/backup/other
"""

KEEP_NOTHING = "".join(f"keep-{what} = 0\n" for what in ("all", "levels", "hourly", "daily", "weekly", "monthly"))


@pytest.fixture
def config(tmp_path):
    def run(text):
        path = tmp_path / "seawall.conf"
        path.write_text(text)
        return seawall("config", "-c", path, seconds=10)
    return run


def lines(result):
    assert result.returncode == DONE and not result.stderr, told(result)
    return result.stdout.decode().splitlines()


def section(all_lines, name):
    start = all_lines.index(f"[{name}]") + 1
    rest = all_lines[start:]
    return rest[:rest.index("")] if "" in rest else rest


def test_it_prints_the_configuration_with_every_option(config):
    found = lines(config(FULL))
    assert {"put-rate = never", "wal-limit = 64M", "lock-at = 500", "grace = 1h"} <= set(section(found, "seawall"))
    app = section(found, "db /var/lib/app/app.db")
    assert {"replica = offsite", "replica = /mnt/backup/app", "lock-at = never", "put-rate = never", "set-wal = yes"} <= set(app)
    assert "replica = s3://other/app?region=eu-2&timeout=10s" in app
    assert "set-wal = no" in section(found, "db /var/lib/app/other.db")
    offsite = section(found, "replica offsite")
    assert offsite[0] == "# known as s3://bucket/app?endpoint=https://s3.example.com"
    assert {"url = s3://bucket/app?region=eu-1", "endpoint = https://s3.example.com", "storage-class = A%B&C"} <= set(offsite)


def test_secrets_are_left_out_and_named(config):
    result = config(FULL)
    assert b"TOPSECRET" not in result.stdout + result.stderr
    assert lines(result).count("# header = x-key: not shown") == 2


def test_its_output_is_a_configuration_that_gives_the_same_output(config):
    once = lines(config(FULL))
    again = lines(config("\n".join(once)))
    assert [line for line in once if "not shown" not in line] == again


def test_without_a_file_it_prints_the_defaults(config):
    found = lines(seawall("config"))
    assert found[0] == "[seawall]" and "set-wal = yes" in found and not any(line.startswith("[db") for line in found)
    assert lines(config("\n".join(found))) == found


@pytest.mark.parametrize("text, line, words", [
    ("[seawall]\nput-rate = fast\n", 2, "put-rate"),
    ("[seawall]\n\nputrate = 1/s\n", 3, "putrate"),
    ("[db /a]\nreplica = /r\nreplica = offsite\n", 3, "offsite"),
    ("[db /a]\nwal-limit = 64M\n", 1, "no replica"),
    ("[db /a]\nreplica = /r\n[db /b]\n# replica = /q\n", 3, "'/b' has no replica"),
    ("[replica x]\nendpoint = https://h\n", 1, "no url"),
    ("[db /a]\nreplica = x\n[replica x]\n# url = /r\n", 3, "[replica x] has no url"),
    ("\n[replicas]\n", 2, "unknown section 'replicas'"),
    ("# all databases\nfanout = 4\n[seawall]\n", 2, "'fanout' is before the first section"),
    ("[db /a]\nreplica = x\n\n[replica x]\nurl = s3://bucket/p\ntimeout = soon\n", 4, "timeout"),
    ("[db /a]\nreplica = /r\nreplica = gopher://x\n", 3, "gopher"),
    ("[db /a]\nreplica = /r\n[db /b]\nreplica = /q\nreplica = file:///r\n", 3, "'/b': replica '/r' also belongs to database '/a'"),
    ("[db /a]\nreplica = /tmp\n[db /b]\nreplica = /usr/../tmp/\n", 3, "a folder or a prefix of its own"),
    ("[db /a]\nreplica = x\n[db /b]\nreplica = y\n[replica x]\nurl = s3://bucket/p\n[replica y]\nurl = s3://bucket/p?timeout=9s\n", 3, "s3://bucket/p"),
    ("[db /a]\nreplica = /r\nreplica = file:///r\n", 1, "'/r' is given twice"),
    (f"[seawall]\n{KEEP_NOTHING}[db /a]\nreplica = /r\n", 8, "keeps nothing"),
    (f"[db /a]\nreplica = /r\n{KEEP_NOTHING}", 1, "keeps nothing"),
    (f"[seawall]\n{KEEP_NOTHING}[db /a]\nreplica = /r\nkeep-daily = 1\n[db /b]\nreplica = /q\n", 11, "keeps nothing"),
    ("[db /a]\nreplica = s3://bucket/p?object-lock-days=1\n", 2, "object-lock-mode"),
])
def test_an_error_is_reported_with_file_and_line(config, text, line, words):
    result = config(text)
    assert result.returncode == USAGE and not result.stdout, told(result)
    assert f"seawall.conf': line {line}: " in result.stderr.decode() and words in result.stderr.decode(), told(result)


def test_a_policy_that_is_never_applied_may_keep_nothing(config):
    lines(config(f"[seawall]\n{KEEP_NOTHING}prune-interval = never\n[db /a]\nreplica = /r\n"))


def test_every_command_refuses_a_file_with_one_place_for_two_databases(tmp_path):
    path = tmp_path / "seawall.conf"
    path.write_text(f"[db {tmp_path}/a]\nreplica = {tmp_path}/r\n[db {tmp_path}/b]\nreplica = {tmp_path}/r\n")
    for command in (["snapshot"], ["replicate", "--once", f"{tmp_path}/a"], ["status"]):
        result = seawall(*command, "-c", path, seconds=10)
        assert result.returncode == USAGE and "seawall.conf': line 3: " in result.stderr.decode(), told(result)


def test_wrong_usage_exits_with_2_and_says_why(tmp_path):
    for arguments in (["x"], ["--points"], ["-c"], ["-c", tmp_path / "missing"]):
        result = seawall("config", *arguments)
        assert result.returncode == USAGE and result.stderr, told(result)


def test_json_has_the_same_without_secrets(tmp_path):
    """The members and names are those of the man page."""
    sqlite3.connect(tmp_path / "two.db").execute("CREATE TABLE t(a)")
    (tmp_path / "three.db").write_text("this is not a database")
    path = tmp_path / "seawall.conf"
    path.write_text(f"{FULL}\n[db {tmp_path}/*.db]\nexclude = {tmp_path}/x.db\nreplica = all\n[replica all]\nurl = s3://all/{{name}}?header=k:TOPSECRET\n")
    result = seawall("config", "--json", "-c", path)
    assert result.returncode == DONE and not result.stderr and b"TOPSECRET" not in result.stdout, told(result)
    found = json.loads(result.stdout)
    assert set(found) == {"control", "log_format", "options", "dbs", "replicas", "passed_over"} and found["control"] is None
    assert found["options"]["put-rate"] == "never" and found["options"]["lock-at"] == "500"
    app, other, pattern = found["dbs"]
    assert (app["path"], app["pattern"], app["options"]["lock-at"]) == ("/var/lib/app/app.db", False, "never")
    assert [replica["name"] for replica in app["replicas"]] == ["offsite", None, None]
    assert app["replicas"][1]["url"] == "/mnt/backup/app" and app["replicas"][0]["url"].startswith("s3://bucket/app")
    assert other["options"]["set-wal"] == "no"
    assert pattern["pattern"] and pattern["exclude"] == [{"path": f"{tmp_path}/x.db"}]
    assert pattern["databases"] == [{"path": f"{tmp_path}/two.db", "replicas": [{"url": "s3://all/two.db"}]}]
    assert {(one["path"], one["reason"]) for one in found["passed_over"]} >= {(f"{tmp_path}/three.db", "is not a SQLite database")}
    assert [replica["name"] for replica in found["replicas"]] == ["offsite", "plain", "all"]


def test_json_of_a_wrong_file_is_an_error_and_of_no_file_the_defaults(tmp_path):
    path = tmp_path / "seawall.conf"
    path.write_text("[seawall]\nput-rate = fast\n")
    result = seawall("config", "--json", "-c", path)
    assert result.returncode == USAGE and not result.stdout, told(result)
    found = json.loads(seawall("config", "--json").stdout)
    assert found["options"]["set-wal"] == "yes" and found["dbs"] == found["replicas"] == found["passed_over"] == []
