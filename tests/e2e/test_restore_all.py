"""A machine that lost all databases of a configuration gets them back: `restore --all` finds their replicas by listing the stores."""
import http.server
import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing

import pytest

from s3server import Object
from seawall import BINARY, DONE, NO_REPLICA, NOTHING, NOTHING_TO_DO, SOME_FAILED, USAGE, seawall, told
from waiting import let_pass, wait_until

INTERRUPTED = 130


def make(path, value, journal="WAL"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.execute("CREATE TABLE IF NOT EXISTS t(a)")
        connection.execute("INSERT INTO t VALUES(?)", [value])
        connection.commit()


def content(path):
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT a FROM t ORDER BY rowid")]


class Machine:
    """Databases below a folder, their replicas, and the configuration of both."""

    def __init__(self, base):
        self.base, self.srv, self.replicas, self.conf = base, base / "srv", base / "replicas", base / "seawall.conf"
        self.values = {}

    def configure(self, *sections):
        """Each section is a pair: the path below srv, and a replica, or several in a list."""
        lines = []
        for pattern, urls in sections:
            lines.append(f"[db {self.srv}/{pattern}]")
            lines += [f"replica = {url}" for url in ([urls] if isinstance(urls, str) else urls)]
        self.conf.write_text("\n".join(lines) + "\n")
        return self

    def add(self, *names):
        for name in names:
            value = f"value of {name}"
            make(self.srv / name, value)
            self.values[name] = [*self.values.get(name, []), value]
        return self

    def snapshot(self):
        result = seawall("snapshot", "-c", self.conf)
        assert result.returncode == DONE, told(result)
        return self

    def lose(self):
        shutil.rmtree(self.srv)
        return self

    def restore(self, *options, **more):
        return seawall("restore", "-c", self.conf, "--all", *options, **more)

    def assert_back(self, where=None, layout=lambda name: name, names=None):
        for name in self.values if names is None else names:
            assert content((where or self.srv) / layout(name)) == self.values[name]

    def files(self, where=None):
        where = where or self.srv
        return sorted(str(path.relative_to(where)) for path in where.rglob("*") if path.is_file())


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
def tenants(machine):
    """Three tenants, backed up and lost."""
    machine.configure(("*/app.db", f"{machine.replicas}/{{folder}}")).add("acme/app.db", "bolt/app.db", "corp/app.db")
    return machine.snapshot().lose()


def lines(result):
    return result.stdout.decode().splitlines()


def test_each_database_is_restored_at_its_path_and_goes_on(tenants):
    result = tenants.restore()
    assert result.returncode == DONE and not result.stderr, told(result)
    assert lines(result)[0].startswith("restored 3 of 3 databases: ")
    assert len(lines(result)) == 1
    tenants.assert_back()
    result = seawall("snapshot", "-c", tenants.conf)   # the replicas go on with them, without --take-over
    assert result.returncode == DONE and result.stdout.count(b"nothing changed") == 3, told(result)
    tenants.add("bolt/app.db").snapshot().lose()
    assert tenants.restore().returncode == DONE
    tenants.assert_back()


@pytest.mark.parametrize("pattern, url, names", [
    ("*/app.db", "{path}", ["acme/app.db", "a b?#%20&=/app.db"]),
    ("*/*.db", "{path}", ["acme/x.db", "acme/y.db", "bolt/x.db"]),
    ("*.db", "{stem}", ["acme.db", "bolt.x.db"]),
    ("*.db", "x-{name}/y", ["acme.db", "bolt.db"]),
    ("*/*/a.db", "{path}.replica", ["a/b/a.db", "b/a/a.db"]),
    ("t?/[ab]*.db", "{folder}/{stem}", ["t1/a.db", "t2/bc.db"]),
])
def test_any_url_that_says_which_database_it_is_leads_back(machine, pattern, url, names):
    machine.configure((pattern, f"{machine.replicas}/{url}")).add(*names).snapshot().lose()
    result = machine.restore()
    assert result.returncode == DONE and not result.stderr, told(result)
    machine.assert_back()


def test_below_another_folder_each_is_what_the_wildcards_were(machine):
    machine.configure(("tenants/*/app.db", f"{machine.replicas}/t/{{folder}}"), ("tenants/gold/app.db", f"{machine.replicas}/gold"),
                      ("etc/one.db", f"{machine.replicas}/one"))
    machine.add("tenants/acme/app.db", "tenants/gold/app.db", "etc/one.db").snapshot()
    to = machine.base / "new" / "folder"
    result = machine.restore("--to", to)
    assert result.returncode == DONE, told(result)
    for name, place in [("tenants/acme/app.db", "acme/app.db"), ("tenants/gold/app.db", "gold/app.db"),
                        ("etc/one.db", f"{machine.srv}/etc/one.db"[1:])]:
        assert content(to / place) == machine.values[name]
    assert len([name for name in machine.files(to) if name.endswith(".db")]) == 3


def test_two_databases_that_would_come_to_one_path_are_refused_before_anything_is_restored(machine):
    machine.configure(("a/*/app.db", f"{machine.replicas}/a/{{folder}}"), ("b/*/app.db", f"{machine.replicas}/b/{{folder}}"))
    machine.add("a/x/app.db", "a/y/app.db", "b/x/app.db").snapshot()
    to = machine.base / "new"
    result = machine.restore("--to", to)
    assert result.returncode == USAGE and b"a/x/app.db" in result.stderr and b"b/x/app.db" in result.stderr and b"HINT" in result.stderr, told(result)
    assert not to.exists()


def test_files_that_exist_stay_as_they_are(tenants):
    make(tenants.srv / "bolt/app.db", "newer")
    result = tenants.restore()
    assert result.returncode == SOME_FAILED, told(result)
    assert f"'{tenants.srv}/bolt/app.db' exists".encode() in result.stderr
    assert lines(result)[0].startswith("restored 2 of 3") and lines(result)[-2:] == ["failed:", f"  {tenants.srv}/bolt/app.db"]
    assert content(tenants.srv / "bolt/app.db") == ["newer"]
    tenants.assert_back(names=["acme/app.db", "corp/app.db"])
    shutil.rmtree(tenants.srv / "acme")
    result = tenants.restore("--if-db-not-exists")
    assert result.returncode == DONE and not result.stderr, told(result)
    assert lines(result)[1:] == ["passed over: 2 databases that exist already"]
    assert content(tenants.srv / "bolt/app.db") == ["newer"]
    assert tenants.restore("--if-db-not-exists").returncode == NOTHING_TO_DO
    assert tenants.restore("--force").returncode == DONE
    tenants.assert_back()


def test_all_databases_as_they_were_at_one_moment(machine):
    machine.configure(("*.db", f"{machine.replicas}/{{stem}}")).add("a.db", "b.db").snapshot()
    let_pass(0.01, "the moment is after the first commits, and not in the same millisecond")
    moment = time.time()
    let_pass(0.01, "and before the next ones")
    machine.add("a.db", "c.db").snapshot().lose()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03}Z"
    result = machine.restore("--time", stamp)
    assert result.returncode == DONE and not result.stderr, told(result)
    assert lines(result)[0].startswith("restored 2 of 3") and stamp in lines(result)[1]
    assert lines(result)[2:] == [f"passed over: 1 database whose replica began after {stamp}:", f"  {machine.srv}/c.db"]
    assert content(machine.srv / "a.db") == machine.values["a.db"][:1] and content(machine.srv / "b.db") == machine.values["b.db"]
    assert not (machine.srv / "c.db").exists()
    machine.lose()
    result = machine.restore("--time", "2020-01-01T00:00:00Z")
    assert result.returncode == NOTHING and lines(result)[0].startswith("restored 0 of 3"), told(result)


def test_a_database_that_is_passed_over_takes_no_folder_from_others(machine):
    """It made the folder, which was empty when it was passed over, and another one was about to write into it."""
    late = [f"late{i}.db" for i in range(8)]
    machine.configure(("*.db", f"{machine.replicas}/{{stem}}")).add("a.db").snapshot()
    let_pass(0.01, "the moment is after the first commits, and not in the same millisecond")
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment := time.time())) + f".{int(moment % 1 * 1000):03}Z"
    let_pass(0.01, "and before the next ones")
    machine.add(*late).snapshot()
    for _ in range(20):
        machine.lose()
        result = machine.restore("--time", stamp)
        assert result.returncode == DONE and not result.stderr, told(result)
        assert content(machine.srv / "a.db") == machine.values["a.db"]


def test_a_damaged_replica_stops_no_other_one(tenants):
    for path in (tenants.replicas / "bolt" / "0").iterdir():
        path.write_bytes(path.read_bytes()[:-10] + bytes(10))
    result = tenants.restore()
    assert result.returncode == SOME_FAILED, told(result)
    assert f"database '{tenants.srv}/bolt/app.db'".encode() in result.stderr and b"0/0000000000000001" in result.stderr
    assert lines(result)[-2:] == ["failed:", f"  {tenants.srv}/bolt/app.db"]
    tenants.assert_back(names=["acme/app.db", "corp/app.db"])
    assert not (tenants.srv / "bolt").exists()   # nor an empty folder


def test_another_replica_takes_the_place_of_one_that_fails(machine):
    machine.configure(("*.db", [f"{machine.replicas}/1/{{stem}}", f"{machine.replicas}/2/{{stem}}"])).add("a.db", "b.db", "c.db").snapshot().lose()
    for path in (machine.replicas / "1" / "a" / "0").iterdir():
        path.write_bytes(b"damaged")
    shutil.rmtree(machine.replicas / "1" / "b")
    result = machine.restore()
    assert result.returncode == DONE, told(result)
    assert result.stderr.count(b"\n") == 1 and b"a.db': restored from another replica, because " in result.stderr
    machine.assert_back()


def test_other_things_in_a_store_are_passed_over_and_counted(tenants):
    (tenants.replicas / "notes.txt").write_text("not a folder")
    (tenants.replicas / "empty").mkdir()
    (tenants.replicas / "photos").mkdir()
    (tenants.replicas / "photos" / "cat.jpg").write_bytes(b"cat")
    (tenants.replicas / ".hidden").mkdir()
    result = tenants.restore()
    assert result.returncode == DONE and not result.stderr, told(result)
    assert lines(result)[1:] == ["passed over: 2 places without a replica", "passed over: 2 other things in the stores"]
    tenants.assert_back()
    assert sorted(os.listdir(tenants.srv)) == ["acme", "bolt", "corp"]


def test_excluded_databases_and_files_beside_databases_stay_away(machine):
    machine.configure(("*.db*", f"{machine.replicas}/{{name}}")).add("a.db", "test.db").snapshot().lose()
    shutil.copytree(machine.replicas / "a.db", machine.replicas / "a.db-wal")
    machine.conf.write_text(machine.conf.read_text() + f"exclude = {machine.srv}/test*\n")
    result = machine.restore()
    assert result.returncode == DONE and lines(result)[1:] == ["passed over: 2 other things in the stores"], told(result)
    assert machine.files() == ["a.db", "a.db-seawall"]


def test_a_replica_that_lost_seawall_json_is_a_failure_and_not_passed_over(tenants):
    (tenants.replicas / "bolt" / "seawall.json").unlink()
    result = tenants.restore()
    assert result.returncode == SOME_FAILED and b"but no 'seawall.json'" in result.stderr, told(result)
    tenants.assert_back(names=["acme/app.db", "corp/app.db"])


def test_a_store_that_is_away_is_a_failure_of_the_others_too(machine):
    machine.configure(("a/*.db", f"{machine.replicas}/{{stem}}"), ("b/*.db", f"{machine.base}/away/{{stem}}")).add("a/x.db").snapshot().lose()
    result = machine.restore()
    assert result.returncode == SOME_FAILED and b"away" in result.stderr, told(result)
    assert "there can be more databases: 1 thing in the stores could not be read" in lines(result)
    machine.assert_back()


def test_without_any_replica_the_exit_code_says_so(machine):
    machine.configure(("*.db", f"{machine.replicas}/{{stem}}"))
    machine.replicas.mkdir()
    result = machine.restore()
    assert result.returncode == NOTHING and b"has no place of a database in its stores" in result.stderr, told(result)
    assert machine.restore("--if-replica-exists").returncode == NO_REPLICA


# ---- which database it is

def test_where_the_place_does_not_say_the_database_seawall_json_does(machine):
    machine.configure(("*/*.db", f"{machine.replicas}/{{folder}}-{{stem}}")).add("a/b.db", "a-b/c.db", "a/d-e.db").snapshot().lose()
    result = machine.restore()
    assert result.returncode == DONE and not result.stderr, told(result)
    machine.assert_back()


def test_a_place_of_several_databases_whose_writer_is_not_known_is_a_failure_with_a_hint(machine):
    machine.configure(("*/*.db", f"{machine.replicas}/{{folder}}-{{stem}}")).add("a/b.db", "a-b/c.db").snapshot().lose()
    path = machine.replicas / "a-b-c" / "seawall.json"
    identity = json.loads(path.read_text())
    for founder in (None, "/etc/passwd", f"{machine.srv}/a/b.db", f"{machine.srv}/../srv/a-b/c.db"):
        changed = {key: value for key, value in identity.items() if key != "path"}
        path.write_text(json.dumps(changed if founder is None else {**changed, "path": founder}))
        result = machine.restore("--force")
        assert result.returncode == SOME_FAILED and b"place of several databases" in result.stderr and b"HINT" in result.stderr, told(result)
        machine.assert_back(names=["a/b.db"])
        assert sorted(os.listdir(machine.srv)) == ["a"]


def test_a_writer_that_took_over_says_whose_the_place_is(machine):
    machine.configure(("*/*.db", f"{machine.replicas}/{{folder}}-{{stem}}")).add("a-b/c.db").snapshot()
    machine.values["a-b/c.db"].append("value")
    (machine.replicas / "a-b-c" / "seawall.json").write_text(
        json.dumps({**json.loads((machine.replicas / "a-b-c" / "seawall.json").read_text()), "path": "/elsewhere/x.db"}))
    (machine.srv / "a-b/c.db-seawall").unlink()
    with closing(sqlite3.connect(machine.srv / "a-b/c.db")) as connection:
        connection.execute("INSERT INTO t VALUES('value')")
        connection.commit()
    assert seawall("snapshot", "--take-over", "-c", machine.conf).returncode == DONE
    machine.lose()
    assert machine.restore().returncode == DONE
    machine.assert_back()


def test_a_replica_of_another_path_is_restored_and_that_is_said(tenants):
    tenants.conf.write_text(tenants.conf.read_text().replace(f"[db {tenants.srv}/", f"[db {tenants.base}/moved/"))
    result = tenants.restore()
    assert result.returncode == DONE, told(result)
    assert lines(result)[1].startswith("3 of them were restored from a replica whose seawall.json names another path")
    tenants.assert_back(tenants.base / "moved")


# ---- one place that several sections claim

def sections_of_one_place(machine):
    """Patterns of two folders, and one named database, all in one folder of replicas."""
    machine.configure(("x/*.db", f"{machine.replicas}/{{stem}}"), ("y/*.db", f"{machine.replicas}/{{stem}}"), ("billing.db", f"{machine.replicas}/billing"))
    return machine.add("x/a.db", "y/b.db", "billing.db").snapshot().lose()


def test_a_place_that_several_sections_claim_goes_to_the_database_that_it_names(machine):
    sections_of_one_place(machine)
    result = machine.restore()
    assert result.returncode == DONE and lines(result)[0].startswith("restored 3 of 3") and len(lines(result)) == 1, told(result)
    assert [name for name in machine.files() if name.endswith(".db")] == ["billing.db", "x/a.db", "y/b.db"]
    machine.assert_back()
    result = seawall("snapshot", "-c", machine.conf)   # and the file is still one that the daemon takes
    assert result.returncode == DONE, told(result)


@pytest.mark.parametrize("founder", [None, "/etc/passwd"])
def test_a_place_that_nothing_decides_is_a_failure_and_goes_to_nobody(machine, founder):
    sections_of_one_place(machine)
    path = machine.replicas / "a" / "seawall.json"
    identity = {key: value for key, value in json.loads(path.read_text()).items() if key != "path"}
    path.write_text(json.dumps(identity if founder is None else {**identity, "path": founder}))
    result = machine.restore()
    assert result.returncode == SOME_FAILED, told(result)
    for words in (f"'{machine.replicas}/a' can be the replica of '{machine.srv}/x/a.db' and of '{machine.srv}/y/a.db'", "names none of them", "HINT"):
        assert words.encode() in result.stderr, told(result)
    assert [name for name in machine.files() if name.endswith(".db")] == ["billing.db", "y/b.db"]
    machine.assert_back(names=["billing.db", "y/b.db"])


def test_hidden_names_decide_too(machine):
    machine.configure(("x/*.db", f"{machine.replicas}/{{stem}}"), ("y/*.db", f"{machine.replicas}/{{stem}}"))
    machine.conf.write_text("[seawall]\nhide-writer = yes\n" + machine.conf.read_text())
    machine.add("x/a.db", "y/b.db").snapshot().lose()
    assert b"path_sha256" in (machine.replicas / "a" / "seawall.json").read_bytes()
    assert machine.restore().returncode == DONE
    assert [name for name in machine.files() if name.endswith(".db")] == ["x/a.db", "y/b.db"]
    machine.assert_back()


def test_a_place_of_a_section_that_does_not_know_its_database_is_not_that_of_another_one(machine):
    machine.configure(("x/*.db", f"{machine.replicas}/{{stem}}"), ("y/*.*", f"{machine.replicas}/{{stem}}"))
    machine.add("x/a.db", "y/b.sqlite").snapshot().lose()
    assert machine.restore().returncode == DONE   # seawall.json knows it
    machine.assert_back()
    for name in ("a", "b"):
        path = machine.replicas / name / "seawall.json"
        path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "path"}))
    machine.lose()
    result = machine.restore()
    assert result.returncode == SOME_FAILED and b"of a database of another section" in result.stderr, told(result)
    assert not machine.srv.exists()


def test_a_place_that_two_sections_claim_and_that_has_no_replica_is_passed_over(machine):
    sections_of_one_place(machine)
    (machine.replicas / "empty").mkdir()
    result = machine.restore()
    assert result.returncode == DONE and lines(result)[1:] == ["passed over: 1 other thing in the stores"], told(result)


def test_a_place_stays_contested_if_the_other_section_could_not_be_listed(machine, s3):
    """Each section lists the folder of its own: one listing can fail, and the other one not."""
    machine.configure(("x/*.db", s3.url("t/{stem}")), ("y/*.db", s3.url("t/{stem}"))).add("x/a.db").snapshot().lose()
    key = "t/a/seawall.json"
    found = s3.server.objects[key]
    identity = {name: value for name, value in json.loads(found.body).items() if name != "path"}
    s3.server.objects[key] = Object(json.dumps(identity).encode(), found.etag, found.modified, {})
    s3.server.fault("access-denied", on="list", times=1)
    result = machine.restore("--jobs", "1")
    assert result.returncode == SOME_FAILED and b"of a database of another section, which is not known now" in result.stderr, told(result)
    assert not machine.srv.exists()


# ---- a database that the file names

def test_a_named_database_without_its_replica_is_a_failure(machine):
    machine.configure(("a.db", f"{machine.replicas}/a"), ("b.db", f"{machine.base}/disk/b")).add("a.db", "b.db").snapshot().lose()
    (machine.base / "disk").rename(machine.base / "away")
    result = machine.restore()
    assert result.returncode == SOME_FAILED, told(result)
    assert f"database '{machine.srv}/b.db': there is no replica at '{machine.base}/disk/b'".encode() in result.stderr and b"HINT" in result.stderr
    assert lines(result)[-2:] == ["failed:", f"  {machine.srv}/b.db"]
    machine.assert_back(names=["a.db"])
    machine.lose()
    result = machine.restore("--if-replica-exists")
    assert result.returncode == DONE and lines(result)[1:] == ["passed over: 1 place without a replica"], told(result)


# ---- several replicas

@pytest.fixture(params=["a.db", "*.db"])
def behind(machine, request):
    """The first of two replicas was away while the database went on."""
    stem = "{stem}" if "*" in request.param else "a"
    machine.configure((request.param, [f"{machine.replicas}/1/{stem}", f"{machine.replicas}/2/{stem}"])).add("a.db").snapshot()
    shutil.copytree(machine.replicas / "1", machine.base / "away")
    machine.add("a.db").snapshot().lose()
    shutil.rmtree(machine.replicas / "1")
    (machine.base / "away").rename(machine.replicas / "1")
    return machine


def test_the_newest_replica_is_restored_and_not_the_first(behind):
    words = f"replica '{behind.replicas}/1/a' is behind: it has txid 1 of ".encode()
    result = behind.restore()
    assert result.returncode == DONE and words in result.stderr and b"another replica has txid 2 of " in result.stderr, told(result)
    behind.assert_back()
    one = behind.base / "one.db"
    result = seawall("restore", "-c", behind.conf, behind.srv / "a.db", "-o", one)
    assert result.returncode == DONE and words in result.stderr, told(result)
    assert content(one) == behind.values["a.db"]
    result = seawall("restore", "-c", behind.conf, behind.srv / "a.db", "-o", one, "--if-db-not-exists")
    assert result.returncode == NOTHING_TO_DO and not result.stderr, told(result)


def test_of_a_moment_that_all_replicas_have_none_is_behind(behind):
    listing = seawall("list", "--json", "--points", behind.replicas / "1" / "a")
    moment = json.loads(listing.stdout)["points"][-1]["time"]
    result = behind.restore("--time", moment)
    assert result.returncode == DONE and not result.stderr, told(result)
    behind.assert_back(names=[])
    assert content(behind.srv / "a.db") == behind.values["a.db"][:1]


def test_a_replica_that_can_not_be_asked_is_named_and_the_others_go_on(behind):
    (behind.replicas / "2" / "a" / "seawall.json").write_text("damaged")
    words = f"replica '{behind.replicas}/2/a' can't be used, and may have newer restore points: ".encode()
    result = behind.restore()
    assert result.returncode == DONE and words in result.stderr, told(result)
    assert content(behind.srv / "a.db") == behind.values["a.db"][:1]
    one = behind.base / "one.db"
    result = seawall("restore", "-c", behind.conf, behind.srv / "a.db", "-o", one)
    assert result.returncode == DONE and words in result.stderr and content(one) == behind.values["a.db"][:1], told(result)


# ---- what is at the targets

def test_no_store_is_asked_for_a_database_that_exists(machine):
    machine.configure(("a.db", "s3://bucket/a?endpoint=http://127.0.0.1:1")).add("a.db")
    result = machine.restore("--if-db-not-exists")
    assert result.returncode == NOTHING_TO_DO and not result.stderr, told(result)


def test_a_dry_run_says_what_would_fail(tenants):
    make(tenants.srv / "bolt/app.db", "newer")
    result = tenants.restore("--dry-run")
    assert result.returncode == SOME_FAILED and f"'{tenants.srv}/bolt/app.db' exists".encode() in result.stderr, told(result)
    assert lines(result)[0].startswith("would restore 2 of 3") and lines(result)[-1] == f"  {tenants.srv}/bolt/app.db"
    assert b"HINT" in result.stderr and b"--to DIR" in result.stderr and b" -o" not in result.stderr
    assert tenants.restore("--dry-run", "--force").returncode == DONE
    assert tenants.restore("--dry-run", "--if-db-not-exists").returncode == DONE
    assert tenants.files() == ["bolt/app.db"]


@pytest.mark.parametrize("options", [(), ("--force",), ("--if-db-not-exists",)])
def test_below_another_folder_no_link_is_followed(tenants, options):
    to, elsewhere = tenants.base / "to", tenants.base / "elsewhere"
    to.mkdir()
    elsewhere.mkdir()
    (to / "acme").symlink_to(elsewhere)
    (to / "corp").mkdir()
    (to / "corp" / "app.db").symlink_to(elsewhere / "app.db")
    (tenants.base / "link").symlink_to(to)
    result = tenants.restore("--to", tenants.base / "link", *options)   # the folder itself may be one: a person chose it
    assert result.returncode == SOME_FAILED and result.stderr.count(b"is a symbolic link") == 2 and b"HINT" in result.stderr, told(result)
    tenants.assert_back(to, names=["bolt/app.db"])
    assert not list(elsewhere.iterdir())


# ---- a hostile store

class EndlessFolders(http.server.BaseHTTPRequestHandler):
    """Each page of the listing has a thousand folders more, and another page follows."""
    protocol_version = "HTTP/1.1"
    pages = itertools.count()

    def log_message(self, *_):
        pass

    def do_GET(self):
        page = next(self.pages)
        names = "".join(f"<CommonPrefixes><Prefix>t/{page}-{i:0240}/</Prefix></CommonPrefixes>" for i in range(1000))
        body = (f"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{page}</NextContinuationToken>"
                f"{names}</ListBucketResult>").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Date", self.date_time_string())
        self.end_headers()
        self.wfile.write(body)


def test_a_listing_without_end_fills_no_memory_and_stops_no_other_store(machine):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), EndlessFolders)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endless = f"s3://bucket/t/{{folder}}?endpoint=http://127.0.0.1:{server.server_port}&region=us-east-1"
    machine.configure(("*.db", f"{machine.replicas}/{{stem}}"), ("*/app.db", endless)).add("a.db")
    assert seawall("snapshot", "-c", machine.conf).returncode == DONE
    machine.lose()
    try:
        result = machine.restore("--memory", "16M", environment={"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
    finally:
        server.shutdown()
        server.server_close()
    assert result.returncode == SOME_FAILED and b"--memory" in result.stderr, told(result)
    assert "there can be more databases: 1 thing in the stores could not be read" in lines(result)
    machine.assert_back()

HOSTILE = ["..", ".", "../x", "a\nb", "\x1b[2J", "-wal", "x" * 255]


def test_names_of_a_hostile_folder_lead_nowhere_else(machine):
    machine.configure(("*/app.db", f"{machine.replicas}/{{folder}}")).add("acme/app.db").snapshot().lose()
    for name in ("a\nb", "\x1b[2J", "x" * 255):
        shutil.copytree(machine.replicas / "acme", machine.replicas / name)
    os.symlink("/etc", machine.replicas / "etc")
    to = machine.base / "to"
    result = machine.restore("--to", to)
    assert result.returncode == DONE and b"\x1b" not in result.stdout + result.stderr, told(result)
    assert sorted(os.listdir(to)) == sorted(["a\nb", "\x1b[2J", "x" * 255, "acme"])   # each of them is one folder of the pattern
    assert {path.name for path in machine.base.iterdir()} == {"replicas", "seawall.conf", "to"}


def test_keys_of_a_hostile_bucket_lead_nowhere_else(machine, s3):
    machine.configure(("*/app.db", f"{s3.url('tenants/')}".replace("tenants/", "tenants/{folder}"))).add("acme/app.db").snapshot().lose()
    genuine = {key: found for key, found in s3.server.objects.items() if key.startswith("tenants/acme/")}
    for name in HOSTILE:
        for key, found in genuine.items():
            s3.server.objects["tenants/" + name + key[len("tenants/acme"):]] = Object(found.body, found.etag, found.modified, {})
    for key in ("tenants//x", "tenants/", "tenants/plain", "tenants/" + "y" * 1000 + "/z"):
        s3.server.objects[key] = Object(b"x", '"x"', s3.server.now(), {})
    to = machine.base / "to"
    result = machine.restore("--to", to)
    assert result.returncode in (DONE, SOME_FAILED) and b"\x1b" not in result.stdout + result.stderr, told(result)
    assert content(to / "acme/app.db") == machine.values["acme/app.db"]
    assert set(os.listdir(to)) <= {"acme", "a\nb", "\x1b[2J", "-wal", "x" * 255}
    assert {path.name for path in machine.base.iterdir()} <= {"replicas", "seawall.conf", "to", "home", "content"}


# ---- S3

def test_a_bucket_is_listed_level_by_level_and_not_as_a_whole(machine, s3):
    machine.configure(("*/app.db", s3.url("{path}"))).add(*(f"t{i}/app.db" for i in range(12))).snapshot().lose()
    for i in range(3000):   # three pages, for a program that lists the whole bucket
        s3.server.objects[f"{str(machine.srv)[1:]}/t1/app.db/junk/{i:05}"] = Object(b"", '"x"', s3.server.now(), {})
    before = len(s3.server.records)
    result = seawall("restore", "-c", machine.conf, "--all", "--dry-run", "--to", machine.base / "to")
    assert result.returncode == DONE, told(result)
    below = [request for request in s3.server.requests("list", since=before) if "delimiter" in str(request.query)]
    assert len(below) == 1, below   # and one listing of each replica
    assert len(s3.server.requests("list", since=before)) <= 1 + 12 + 3
    assert not (machine.base / "to").exists()
    result = machine.restore()
    assert result.returncode == DONE and lines(result)[0].startswith("restored 12 of 12"), told(result)
    machine.assert_back()


def test_a_listing_that_fails_is_a_failure_and_not_a_short_list(machine, s3):
    machine.configure(("*/app.db", s3.url("t/{folder}"))).add("acme/app.db").snapshot().lose()
    s3.server.fault("access-denied", on="list")
    result = machine.restore()
    assert result.returncode == SOME_FAILED and b"AccessDenied" in result.stderr, told(result)
    s3.server.no_faults()
    s3.server.page_size = 1
    machine.values.clear()
    machine.add("a/app.db", "b/app.db", "c/app.db").snapshot().lose()
    assert machine.restore().returncode == DONE
    machine.assert_back()


def test_a_bucket_named_by_a_variable_is_not_looked_for(machine):
    machine.configure(("*/app.db", "s3://bucket-{folder}/x?endpoint=http://127.0.0.1:1"))
    result = machine.restore()
    assert result.returncode == SOME_FAILED and b"buckets are not listed" in result.stderr and b"HINT" in result.stderr, told(result)


# ---- interrupted, memory, usage

def test_an_interrupt_leaves_nothing_half_done_and_says_what_is_left(machine, s3):
    machine.configure(("*/app.db", s3.url("t/{folder}"))).add(*(f"t{i}/app.db" for i in range(8))).snapshot().lose()
    s3.server.fault("latency", on="get", seconds=0.3)
    process = subprocess.Popen([BINARY, "restore", "-c", machine.conf, "--all", "--jobs", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: len(list(machine.srv.glob("*/app.db"))) >= 2, 60, "two databases are restored")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED, (out, err)
    done = sorted(path.parent.name for path in machine.srv.glob("*/app.db"))
    assert 2 <= len(done) < 8 and f"restored {len(done)} of 8 databases".encode() in out
    assert f"interrupted: {8 - len(done)} database".encode() in out and b"--if-db-not-exists" in out
    assert sorted(os.listdir(machine.srv)) == done   # no folder without its database
    assert all(sorted(os.listdir(machine.srv / name)) == ["app.db", "app.db-seawall"] for name in done)
    s3.server.no_faults()
    assert machine.restore("--if-db-not-exists").returncode == DONE
    machine.assert_back()


def test_databases_that_find_too_little_memory_beside_others_are_restored_alone(machine):
    machine.configure(("*.db", f"{machine.replicas}/{{stem}}"))
    for i in range(6):
        with closing(sqlite3.connect(machine.base / "large.db")) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS t(a)")
            connection.executemany("INSERT INTO t VALUES(?)", [(os.urandom(900),) for _ in range(4000)])
            connection.commit()
        machine.srv.mkdir(exist_ok=True)
        shutil.copy(machine.base / "large.db", machine.srv / f"{i}.db")
    sums = {path.name: content(path) for path in machine.srv.glob("*.db")}
    machine.snapshot().lose()
    result = machine.restore("--memory", "20M", "--jobs", "6")
    assert result.returncode == DONE, told(result)
    assert {path.name: content(path) for path in machine.srv.glob("*.db")} == sums


@pytest.mark.parametrize("options, words", [
    (["--all"], b"-c FILE"),
    (["--all", "-c", "CONF", "-o", "x"], b"--to DIR"),
    (["--all", "-c", "CONF", "s3://bucket/x"], b"--to DIR"),
    (["--all", "-c", "CONF", "--txid", "3"], b"--time"),
    (["--all", "-c", "CONF", "--undo"], b"exclude each other"),
    (["--all", "-c", "CONF", "--force", "--if-db-not-exists"], b"excludes"),
    (["--to", "x", "-o", "y", "CONF"], b"--to goes only with --all"),
])
def test_options_that_do_not_go_together_are_refused(tenants, options, words):
    result = seawall("restore", *(str(tenants.conf) if option == "CONF" else option for option in options))
    assert result.returncode == USAGE and words in result.stderr, told(result)
    assert not tenants.srv.exists()


def test_json_names_each_database_and_what_came_of_it(tenants):
    make(tenants.srv / "bolt/app.db", "newer")
    result = tenants.restore("--json")
    assert result.returncode == SOME_FAILED and b"bolt/app.db' exists" in result.stderr, told(result)
    found = json.loads(result.stdout)
    assert {one["database"]: one["outcome"] for one in found["databases"]} == {
        f"{tenants.srv}/acme/app.db": "restored", f"{tenants.srv}/bolt/app.db": "failed", f"{tenants.srv}/corp/app.db": "restored"}
    assert all(one["path"] == one["database"] for one in found["databases"])
    assert set(found) == {"databases", "restored", "failed", "left", "unread", "strange", "bytes", "ms"}
    assert (found["restored"], found["failed"], found["left"]) == (2, 1, 0) and found["bytes"] > 0
    found = json.loads(tenants.restore("--json", "--dry-run", "--to", tenants.base / "new").stdout)
    assert {one["outcome"] for one in found["databases"]} == {"would restore"}
    assert f"{tenants.base}/new/acme/app.db" in [one["path"] for one in found["databases"]]
    found = json.loads(tenants.restore("--json", "--if-db-not-exists").stdout)
    assert {one["outcome"] for one in found["databases"]} == {"exists"}
