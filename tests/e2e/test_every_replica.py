"""`verify --all` and `prune --all`: every replica of every database of a configuration, found by listing the stores."""
import json
import shutil
import sqlite3
from contextlib import closing

import pytest

from seawall import DONE, NOTHING, SOME_FAILED, USAGE, objects, seawall, told
from waiting import let_pass

NAMES = ["acme", "bolt", "corp"]


class Fleet:
    def __init__(self, base):
        self.base, self.srv, self.replicas, self.conf = base, base / "srv", base / "replicas", base / "seawall.conf"
        self.configure(f"replica = {self.replicas}/1/{{stem}}", f"replica = {self.replicas}/2/{{stem}}")
        for name in NAMES:
            self.commit(name)
        self.snapshot()

    def configure(self, *lines):
        self.conf.write_text("\n".join([f"[db {self.srv}/*.db]", *lines, ""]))

    def commit(self, name):
        self.srv.mkdir(exist_ok=True)
        with closing(sqlite3.connect(self.srv / f"{name}.db")) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS t(a)")
            connection.execute("INSERT INTO t VALUES(1)")
            connection.commit()

    def snapshot(self, *options):
        result = seawall("snapshot", *options, "-c", self.conf)
        assert result.returncode == DONE, told(result)

    def run(self, command, *options):
        return seawall(command, "-c", self.conf, "--all", *options)

    def damage(self, number, name):
        for path in (self.replicas / number / name / "0").iterdir():
            path.write_bytes(path.read_bytes()[:-8] + bytes(8))


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path)


def lines(result):
    return result.stdout.decode().splitlines()


def test_every_replica_is_verified_without_its_database(fleet):
    shutil.rmtree(fleet.srv)
    (fleet.replicas / "1" / "photos").mkdir()
    (fleet.replicas / "1" / "notes").write_text("x")
    for options in ((), ("--full", "--restore", "--jobs", "2")):
        result = fleet.run("verify", *options)
        assert result.returncode == DONE and not result.stderr, told(result)
        assert lines(result)[0] == "verified 6 replicas, 0 failed" and "6 restore points" in lines(result)[1]
        assert lines(result)[2:] == ["passed over: 1 place without a replica", "passed over: 1 other thing in the stores"]


def test_a_damaged_replica_is_named_and_stops_no_other_one(fleet):
    fleet.damage("2", "bolt")
    (fleet.replicas / "1" / "corp" / "seawall.json").unlink()
    result = fleet.run("verify")
    assert result.returncode == SOME_FAILED, told(result)
    text = result.stdout.decode()
    assert f"{fleet.srv}/bolt.db:\n0/0000000000000001: " in text and "verified 6 replicas, 2 failed" in text
    assert text.endswith(f"failed:\n  {fleet.srv}/bolt.db, replica 2\n  {fleet.srv}/corp.db, replica 1\n")
    assert f"database '{fleet.srv}/corp.db'".encode() in result.stderr and b"but no 'seawall.json'" in result.stderr


def test_json_has_one_object_for_each_replica(fleet):
    fleet.damage("2", "bolt")
    result = fleet.run("verify", "--json")
    assert result.returncode == SOME_FAILED
    found = json.loads(result.stdout)
    assert (found["count"], found["failed"], found["without_replica"], found["strange"], found["unread"], found["left"]) == (6, 1, 0, 0, 0, 0)
    assert sorted((one["database"], one["replica"], one["ok"]) for one in found["replicas"]) == sorted(
        (f"{fleet.srv}/{name}.db", f"{fleet.replicas}/{number}/{name}", (number, name) != ("2", "bolt")) for name in NAMES for number in "12")
    bolt = next(one for one in found["replicas"] if not one["ok"])
    assert bolt["problem_count"] > 0 and bolt["problems"][0]["object"] == "0/0000000000000001"


def test_every_replica_is_pruned_with_the_options_of_its_database(fleet):
    for _ in range(3):
        fleet.commit("bolt")
        fleet.snapshot("--base")
    fleet.configure(f"replica = {fleet.replicas}/1/{{stem}}", f"replica = {fleet.replicas}/2/{{stem}}", "grace = 1s", "keep-all = 0", "keep-levels = 0", "keep-daily = 1")
    let_pass(1.5, "all objects are older than the grace")
    before = {number: objects(fleet.replicas / number / "bolt") for number in "12"}
    result = fleet.run("prune", "--dry-run")
    assert result.returncode == DONE and not result.stderr, told(result)
    assert "pruned 6 replicas, 0 failed" in lines(result)
    assert {number: objects(fleet.replicas / number / "bolt") for number in "12"} == before
    result = fleet.run("prune", "--json")
    assert result.returncode == DONE, told(result)
    found = json.loads(result.stdout)
    deleted = {one["replica"]: one["deleted"]["objects"] for one in found["replicas"]}
    assert all(deleted[f"{fleet.replicas}/{number}/bolt"] > 0 for number in "12")
    for number in "12":
        assert len(objects(fleet.replicas / number / "bolt")) == len(before[number]) - deleted[f"{fleet.replicas}/{number}/bolt"]
    assert fleet.run("verify").returncode == DONE
    result = fleet.run("prune", "--quiet")
    assert result.returncode == DONE and len(lines(result)) == 2, told(result)


def test_a_replica_that_can_not_be_pruned_stops_no_other_one(fleet):
    (fleet.replicas / "1" / "acme" / "seawall.json").write_text("damaged")
    result = fleet.run("prune")
    assert result.returncode == SOME_FAILED and b"acme.db" in result.stderr, told(result)
    assert lines(result)[0] == "pruned 6 replicas, 1 failed" and lines(result)[-1] == f"  {fleet.srv}/acme.db, replica 1"


@pytest.mark.parametrize("command", ["verify", "prune"])
def test_without_a_replica_there_is_nothing_and_options_are_checked(fleet, command):
    shutil.rmtree(fleet.replicas)
    for number in "12":
        (fleet.replicas / number).mkdir(parents=True)
    result = fleet.run(command)
    assert result.returncode == NOTHING and b"has no place of a database" in result.stderr, told(result)
    assert seawall(command, "--all", fleet.replicas / "1").returncode == USAGE
    assert seawall(command, "-c", fleet.conf, "--all", fleet.replicas / "1").returncode == USAGE
    assert seawall(command, "-c", fleet.conf, "--jobs", "2", fleet.srv / "acme.db").returncode == USAGE


# ---- whose rules count

LOSES_ALL = ["grace = 1s", "keep-all = 1s", "keep-levels = 1s", "keep-daily = 0", "keep-weekly = 0"]


def two_sections(base, *of_y):
    """A database of the first section, with a history; the second one has the same places and other rules."""
    conf = base / "seawall.conf"
    conf.write_text("\n".join([f"[db {base}/x/*.db]", f"replica = {base}/bk/{{stem}}", "grace = 1s", "keep-all = 30d", "keep-levels = 30d",
                               f"[db {base}/y/*.db]", f"replica = {base}/bk/{{stem}}", *of_y, ""]))
    (base / "x").mkdir()
    for i in range(4):
        with closing(sqlite3.connect(base / "x" / "a.db")) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS t(a)")
            connection.execute("INSERT INTO t VALUES(?)", [i])
            connection.commit()
        assert seawall("snapshot", "-c", conf, "--base").returncode == DONE
    let_pass(1.5, "all objects are older than the grace")
    return conf


@pytest.mark.parametrize("known", [True, False])
def test_a_place_that_two_sections_claim_is_never_pruned_by_the_rules_of_the_wrong_one(tmp_path, known):
    conf = two_sections(tmp_path, *LOSES_ALL)
    before = objects(tmp_path / "bk" / "a")
    if not known:
        path = tmp_path / "bk" / "a" / "seawall.json"
        path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "path"}))
    for command in ("verify", "prune"):
        result = seawall(command, "--all", "-c", conf)
        if known:
            assert result.returncode == DONE and b"d 1 replica, 0 failed" in result.stdout.replace(b"verified", b"d").replace(b"pruned", b"d"), told(result)
        else:
            assert result.returncode == SOME_FAILED and b"can be the replica of" in result.stderr and b"HINT" in result.stderr, told(result)
    assert objects(tmp_path / "bk" / "a") == before


@pytest.mark.parametrize("command", ["verify", "prune"])
def test_a_named_database_without_its_replica_is_a_failure(fleet, command):
    fleet.conf.write_text(fleet.conf.read_text() + f"[db {fleet.base}/one.db]\nreplica = {fleet.base}/disk/one\n")
    result = fleet.run(command)
    assert result.returncode == SOME_FAILED and f"database '{fleet.base}/one.db': there is no replica at".encode() in result.stderr, told(result)
    assert f"  {fleet.base}/one.db" in lines(result) and lines(result)[0].endswith("ed 7 replicas, 1 failed")
