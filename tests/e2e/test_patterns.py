"""A section of the configuration with wildcards in its path: `config` shows what it matches, `snapshot` backs up each database that it matches."""
import os
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from seawall import BINARY, DONE, SOME_FAILED, USAGE, seawall, told

STRANGER = 65534   # "nobody": root can read every folder


def make(path, rows=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t(name)")
        connection.executemany("INSERT INTO t VALUES(?)", [[str(path)]] * rows)
        connection.commit()


def content(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT name FROM t").fetchall()


def make_tenants(base):
    """A folder with three tenants, and a configuration file for them."""
    class Tenants:
        folder, replicas, path = base / "tenants", base / "replicas", base / "seawall.conf"

        def db(self, name):
            return self.folder / name / "app.db"

        def configure(self, *lines, pattern="*/app.db", url="{folder}"):
            self.path.write_text("\n".join([f"[db {self.folder}/{pattern}]", f"replica = {self.replicas}/{url}", *lines, ""]))
            return self.path

    t = Tenants()
    for name in ("acme", "bolt", "corp"):
        make(t.db(name))
    return t


@pytest.fixture
def tenants(tmp_path):
    return make_tenants(tmp_path)


def names(result):
    """The tenants in the lines of a snapshot."""
    return [line.rsplit("/app.db: ", 1)[0].rsplit("/", 1)[1] for line in result.stdout.decode().splitlines()]


def test_a_snapshot_goes_to_a_place_of_its_own_for_each_database(tenants, tmp_path):
    conf = tenants.configure()
    result = seawall("snapshot", "-c", conf)
    assert result.returncode == DONE and not result.stderr, told(result)
    assert names(result) == ["acme", "bolt", "corp"]
    for name in ("acme", "bolt", "corp"):
        target = tmp_path / f"{name}-restored"
        result = seawall("restore", "-c", conf, "-o", target, tenants.db(name))
        assert result.returncode == DONE, told(result)
        assert content(target) == [(str(tenants.db(name)),)]


def test_a_lost_database_is_restored_by_its_path(tenants):
    conf = tenants.configure()
    assert seawall("snapshot", "-c", conf).returncode == DONE
    for path in tenants.db("bolt").parent.iterdir():
        path.unlink()
    tenants.db("bolt").parent.rmdir()
    tenants.db("bolt").parent.mkdir()
    result = seawall("restore", "-c", conf, tenants.db("bolt"), "-o", tenants.db("bolt"))
    assert result.returncode == DONE, told(result)
    assert content(tenants.db("bolt")) == [(str(tenants.db("bolt")),)]
    for command in (["list"], ["verify"], ["prune", "--dry-run"]):
        result = seawall(*command, "-c", conf, tenants.db("bolt"))
        assert result.returncode == DONE, told(result)


def test_one_database_of_a_pattern_can_be_named(tenants):
    conf = tenants.configure()
    result = seawall("snapshot", "-c", conf, tenants.db("corp"))
    assert result.returncode == DONE and names(result) == ["corp"], told(result)
    result = seawall("snapshot", "-c", conf, tenants.folder / "none" / "other.db")
    assert result.returncode == USAGE and b"the configuration has no [db " in result.stderr, told(result)
    result = seawall("list", "-c", conf)
    assert result.returncode == USAGE and b"is a pattern\n  HINT: name one" in result.stderr, told(result)


def test_config_shows_what_a_pattern_matches_and_two_urls(tenants):
    tenants.db("acme").with_name("notes.txt").write_text("this is not a database\n")
    conf = tenants.configure(f"exclude = {tenants.folder}/corp/*", "replica = offsite", "[replica offsite]",
                             "url = s3://bucket/{path}/{stem}", "region = eu-1", pattern="*/*")
    result = seawall("config", "-c", conf)
    assert result.returncode == DONE and not result.stderr, told(result)
    lines = result.stdout.decode().splitlines()
    start = lines.index(f"[db {tenants.folder}/*/*]")
    acme, bolt = tenants.db("acme"), tenants.db("bolt")
    assert lines[start + 1:start + 7] == [
        "# matches 2 databases now",
        f"#   {acme}: {tenants.replicas}/acme s3://bucket{acme}/app",
        f"#   {bolt}: {tenants.replicas}/bolt s3://bucket{bolt}/app",
        f"exclude = {tenants.folder}/corp/*",
        f"replica = {tenants.replicas}/{{folder}}",
        "replica = offsite"]
    assert "url = s3://bucket/{path}/{stem}" in lines
    assert f"# passed over: '{acme.parent}/notes.txt' is not a SQLite database" in lines
    again = conf.with_name("again.conf")
    again.write_text(result.stdout.decode())
    assert seawall("config", "-c", again).stdout == result.stdout


def test_a_pattern_that_matches_nothing_is_reported_and_is_no_failure(tenants):
    conf = tenants.configure(pattern="*/none.db")
    for command in ("snapshot", "config"):
        result = seawall(command, "-c", conf)
        assert result.returncode == DONE and b"/*/none.db] matches no database\n" in result.stderr, told(result)


def test_files_that_are_no_database_are_passed_over(tenants):
    folder = tenants.db("acme").parent
    (folder / "notes.txt").write_text("this is not a database\n")
    (folder / "folder").mkdir()
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "fifo")
    conf = tenants.configure(pattern="*/*", url="{folder}/{name}")
    for _ in range(2):   # the second time there are state files too
        result = seawall("snapshot", "-c", conf)
        assert result.returncode == DONE and not result.stderr, told(result)
        assert names(result) == ["acme", "bolt", "corp"]


def test_an_empty_file_waits(tenants):
    (tenants.folder / "dawn").mkdir()
    tenants.db("dawn").touch()
    result = seawall("snapshot", "-c", tenants.configure())
    assert result.returncode == DONE and not result.stderr, told(result)
    assert f"{tenants.db('dawn')}: the file is empty, there is nothing to back up yet\n" in result.stdout.decode()
    assert sorted(path.name for path in tenants.replicas.iterdir()) == ["acme", "bolt", "corp"]


def test_names_with_line_breaks_blanks_and_signs_are_ordinary(tenants, tmp_path):
    odd = ["a\nb", "c d", "e%20f", "g?h=i&j#k", "{name}", "l*m", "ümlaut", "[n]"]
    for name in odd:
        make(tenants.db(name))
    conf = tenants.configure()
    result = seawall("snapshot", "-c", conf)
    assert result.returncode == DONE and not result.stderr, told(result)
    assert len(result.stdout.splitlines()) == 3 + len(odd), "a line break in a name forges no line"
    for number, name in enumerate(odd):
        target = tmp_path / f"restored-{number}"
        assert (tenants.replicas / name).is_dir()
        assert seawall("restore", "-c", conf, "-o", target, tenants.db(name)).returncode == DONE
        assert content(target) == [(str(tenants.db(name)),)]


def test_a_link_to_the_database_of_another_tenant_takes_nothing(tenants):
    (tenants.folder / "a-thief").mkdir()
    tenants.db("a-thief").symlink_to(tenants.db("bolt"))
    (tenants.folder / "b-thief").symlink_to("corp")
    result = seawall("snapshot", "-c", tenants.configure())
    assert result.returncode == DONE and not result.stderr, told(result)
    assert names(result) == ["acme", "bolt", "corp"]
    assert sorted(path.name for path in tenants.replicas.iterdir()) == ["acme", "bolt", "corp"]


def test_a_database_of_its_own_section_keeps_its_replica(tenants):
    with tenants.configure().open("a") as file:
        file.write(f"[db {tenants.db('bolt')}]\nreplica = {tenants.replicas}/elsewhere\n")
    result = seawall("snapshot", "-c", tenants.path)
    assert result.returncode == DONE and names(result) == ["acme", "corp", "bolt"], told(result)
    assert sorted(path.name for path in tenants.replicas.iterdir()) == ["acme", "corp", "elsewhere"]


@pytest.mark.parametrize("url, words", [
    ("one", ["replica '", "/one' also belongs to database '", "/acme/app.db'", "/bolt/app.db'", "HINT: write variables"]),
    ("{name}", ["/app.db' also belongs to database '", "/acme/app.db'", "/bolt/app.db'"]),
    ("link-{folder}", ["/target' also belongs to database '", "/acme/app.db'", "/bolt/app.db'"]),
])
def test_two_databases_at_one_place_are_refused_by_name(tenants, url, words):
    (tenants.replicas / "target").mkdir(parents=True)
    for name in ("acme", "bolt"):
        (tenants.replicas / f"link-{name}").symlink_to("target")
    conf = tenants.configure(url=url)
    for command in ("snapshot", "config"):
        result = seawall(command, "-c", conf)
        assert result.returncode == USAGE and not result.stdout, told(result)
        assert "seawall.conf': line 1: " in result.stderr.decode() and all(word in result.stderr.decode() for word in words), told(result)
    assert not any((tenants.replicas / "target").iterdir())


def test_one_database_needs_no_variable(tenants):
    result = seawall("snapshot", "-c", tenants.configure(f"exclude = {tenants.folder}/[ab]*/app.db", url="one"))
    assert result.returncode == DONE and names(result) == ["corp"], told(result)


def test_a_database_that_can_not_be_read_fails_and_the_others_are_backed_up(tenants):
    tenants.db("bolt").write_bytes(b"SQLite format 3\0" + b"broken" * 1000)
    result = seawall("snapshot", "-c", tenants.configure())
    assert result.returncode == SOME_FAILED and names(result) == ["acme", "corp"], told(result)
    assert b"bolt/app.db" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("pattern, named", [("*/app.db", "bolt/app.db"), ("*/*.db", "bolt")])
def test_a_folder_without_permission_is_reported_and_excluded_by_a_line(pattern, named):
    with tempfile.TemporaryDirectory() as folder:   # another user must reach it
        base = Path(folder)
        tenants = make_tenants(base)
        binary = shutil.copy(BINARY, base)
        for path in [base, *base.rglob("*")]:
            os.chown(path, STRANGER, STRANGER)
        closed = tenants.db("bolt").parent
        os.chown(closed, 0, 0)
        closed.chmod(0o700)

        def snapshot(*lines):
            command = [binary, "snapshot", "-c", tenants.configure(*lines, pattern=pattern)]
            return subprocess.run(command, user=STRANGER, group=STRANGER, extra_groups=[], capture_output=True, timeout=60)

        result = snapshot()
        assert result.returncode == SOME_FAILED and names(result) == ["acme", "corp"], told(result)
        assert f"/tenants/{named}' can't be read" in result.stderr.decode()
        result = snapshot(f"exclude = {tenants.folder}/bolt/*")
        assert result.returncode == DONE and not result.stderr, told(result)


def test_thousands_of_databases_are_found(tmp_path):
    magic = b"SQLite format 3\0" + bytes(100)
    for number in range(5000):
        folder = tmp_path / "tenants" / str(number)
        folder.mkdir(parents=True)
        (folder / "app.db").write_bytes(magic)
    conf = tmp_path / "seawall.conf"
    conf.write_text(f"[db {tmp_path}/tenants/*/app.db]\nreplica = s3://bucket/{{folder}}\n")
    result = seawall("config", "-c", conf, seconds=20)
    assert result.returncode == DONE and b"# matches 5000 databases now\n" in result.stdout, told(result)


def test_prune_takes_the_options_of_the_pattern_by_path_and_by_url(tenants):
    assert seawall("snapshot", "-c", tenants.configure()).returncode == DONE
    keep_nothing = [f"keep-{what} = 0" for what in ("all", "levels", "hourly", "daily", "weekly", "monthly")]
    conf = tenants.configure(*keep_nothing)
    for word in (tenants.db("acme"), tenants.replicas / "acme"):
        result = seawall("prune", "--dry-run", "-c", conf, word)
        assert result.returncode == USAGE and b"keeps nothing" in result.stderr, told(result)
    other = tenants.replicas.with_name("others")
    (tenants.replicas / "acme").rename(other)
    assert seawall("prune", "--dry-run", "-c", conf, other).returncode == DONE, "no section has this replica"
