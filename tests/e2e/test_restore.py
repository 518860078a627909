"""Restore replaces an existing file only if an option allows it, and when a verified copy is ready."""
import json
import os
import sqlite3
from pathlib import Path

import pytest

import sparse
from application import check
from compare import assert_same_pages, files_of
from seawall import (CORRUPT, DONE, FAILED, NO_REPLICA, NOTHING, NOTHING_TO_DO, USAGE, level_zero, listing, restore, seawall, told, url_of)


@pytest.fixture
def small(stage):
    """A replica with transactions 1 to 30 of the writer; `first` is the txid before them."""
    stage.prepare()
    daemon = stage.replicate()
    stage.first = stage.last_txid()
    stage.writer(rate=300, count=30).finish()
    assert daemon.stop() == DONE
    stage.home = stage.folder / "home"
    stage.home.mkdir()
    stage.target = stage.home / "target.db"
    return stage


def stale_database(path):
    """Makes another database whose commits are in a valid WAL, as after a crash of its application."""
    made = path.with_name("made.db")
    app = sqlite3.connect(made, isolation_level=None)
    for statement in ("PRAGMA journal_mode=wal", "CREATE TABLE foreign_table(a)", "INSERT INTO foreign_table VALUES(zeroblob(20000))"):
        app.execute(statement)
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").write_bytes(Path(f"{made}{suffix}").read_bytes())
    app.close()
    made.unlink()


def test_restore_refuses_to_overwrite_a_file(small):
    stale_database(small.target)
    before = files_of(small.home)
    result = restore(small.replica, small.target)
    assert result.returncode in (FAILED, USAGE), told(result)
    assert b"--force" in result.stderr
    assert files_of(small.home) == before


@pytest.mark.parametrize("options", [[], ["--force"], ["--delta"]], ids=str)
def test_a_target_that_is_not_a_regular_file_is_refused_at_once(small, options):
    folder = small.home / "folder"
    folder.mkdir()
    result = restore(small.replica, folder, *options)
    assert result.returncode == USAGE and b"is not a regular file" in result.stderr and b"--force" not in result.stderr, told(result)
    assert list(folder.iterdir()) == []


def test_a_single_object_is_counted_in_the_singular(small):
    result = restore(small.replica, small.target, "--txid", 1)
    assert result.returncode == DONE and b", from 1 object of " in result.stdout, told(result)


def test_with_force_the_stale_wal_of_the_target_does_not_poison_the_result(small):
    stale_database(small.target)
    result = restore(small.replica, small.target, "--force")
    assert result.returncode == DONE, told(result)
    assert check(small.target) == 30
    connection = sqlite3.connect(small.target)
    assert [name for (name,) in connection.execute("SELECT name FROM sqlite_master")] == ["t"]
    connection.close()


def test_a_stale_wal_without_its_database_does_not_poison_the_result(small):
    stale_database(small.target)
    small.target.unlink()
    result = restore(small.replica, small.target)
    if result.returncode != DONE:   # it may refuse; then it must work with --force
        assert result.returncode in (FAILED, USAGE), told(result)
        result = restore(small.replica, small.target, "--force")
    assert result.returncode == DONE, told(result)
    assert check(small.target) == 30


@pytest.mark.parametrize("force", [False, True])
def test_a_failed_restore_leaves_the_folder_as_it_was(small, force):
    if force:
        stale_database(small.target)
    before = files_of(small.home)
    newest = small.replica / "0" / level_zero(small.replica)[-1]
    whole = newest.read_bytes()
    newest.write_bytes(whole[:len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 0x55]) + whole[len(whole) // 2 + 1:])
    result = restore(small.replica, small.target, *(["--force"] if force else []))
    if result.returncode != DONE:   # this restore may not need the damaged byte
        assert result.returncode == CORRUPT, told(result)
        assert files_of(small.home) == before
    os.truncate(newest, 20)
    result = restore(small.replica, small.target, "--txid", small.first + 30, *(["--force"] if force else []))
    assert result.returncode == CORRUPT, told(result)
    assert newest.name.encode() in result.stderr
    assert files_of(small.home) == before


def test_a_txid_that_is_no_restore_point_is_refused_and_the_nearest_are_named(small):
    last = small.last_txid()
    result = restore(small.replica, small.target, "--txid", last + 1000)
    assert result.returncode not in (DONE, CORRUPT), told(result)
    assert str(last).encode() in result.stderr
    assert files_of(small.home) == {}


def test_a_dry_run_writes_nothing(small):
    result = restore(small.replica, small.target, "--dry-run")
    assert result.returncode == DONE, told(result)
    assert files_of(small.home) == {}


def taken(folder):
    (folder / "out.db").write_bytes(b"precious")


def is_a_folder(folder):
    (folder / "out.db").mkdir()


def lost_its_folder(folder):
    folder.rmdir()


def in_use(folder):
    holder = sqlite3.connect(folder / "out.db")
    holder.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t(a)")
    return holder


@pytest.mark.parametrize("make, options", [(taken, ()), (is_a_folder, ()), (is_a_folder, ("--force",)), (lost_its_folder, ()), (in_use, ("--force",)),
                                           (in_use, ("--delta",))])
def test_a_dry_run_says_what_the_restore_would_meet(small, make, options):
    folder = small.folder / "place"
    folder.mkdir()
    kept = make(folder)

    def files():   # to read one would drop the locks that this process has on it
        return sorted((path.name, path.stat().st_ino, path.stat().st_size, path.stat().st_mtime_ns) for path in folder.glob("*"))
    before = files()
    dry, real = (seawall("restore", *more, *options, "-o", folder / "out.db", small.replica) for more in (["--dry-run"], []))
    assert real.returncode not in (DONE, NOTHING), told(real)
    assert (dry.returncode, dry.stdout, dry.stderr) == (real.returncode, real.stdout, real.stderr), told(dry)
    assert files() == before
    del kept


def test_any_number_of_jobs_restores_the_same(small):
    results = []
    for jobs in (1, 2, 7):
        target = small.home / f"jobs-{jobs}.db"
        result = restore(small.replica, target, "--jobs", jobs, "--integrity-check")
        assert result.returncode == DONE, told(result)
        results.append(target.read_bytes())
    assert results[0] == results[1] == results[2]


def test_pages_of_zeros_become_holes(stage):
    sparse.database(stage.db, 1, 10)
    on_disk = stage.db.stat().st_blocks
    assert seawall("snapshot", stage.db, url_of(stage.replica)).returncode == DONE
    copy = stage.restored()
    assert copy.stat().st_size == stage.db.stat().st_size and copy.stat().st_blocks < on_disk + (8 << 20) // 512
    stage.assert_restore_equals_source()


def test_progress_is_not_drawn_where_there_is_no_terminal(small):
    result = restore(small.replica, small.target)
    assert result.returncode == DONE, told(result)
    assert b"\r" not in result.stderr and b"\x1b" not in result.stderr


def test_an_empty_place_has_nothing_to_restore(stage):
    empty = stage.folder / "empty"
    empty.mkdir()
    target = stage.folder / "target.db"
    for replica in (empty, stage.folder / "missing"):
        result = restore(replica, target)
        assert result.returncode == NOTHING, told(result)
    assert not target.exists()


def test_with_a_txid_one_line_says_that_only_the_first_replica_is_looked_at(small):
    config, second = small.folder / "seawall.conf", small.folder / "second"
    config.write_text(f"[db {small.db}]\nreplica = {small.replica}\nreplica = {second}\n")
    for word, said in ((small.db, 1), (small.replica, 0)):
        result = seawall("restore", "-c", config, "--txid", small.first, "--force", "-o", small.target, word)
        assert result.returncode == DONE, told(result)
        assert result.stderr.decode() == f"seawall: of 2 replicas only the first is looked at, because of --txid: '{small.replica}'\n" * said
    config.write_text(f"[db {small.db}]\nreplica = {small.replica}\n")
    result = seawall("restore", "-c", config, "--txid", small.first, "--force", "-o", small.target, small.db)
    assert result.returncode == DONE and not result.stderr, told(result)


def test_a_time_restores_the_newest_point_not_after_it(stage):
    stage.prepare()
    daemon = stage.replicate()
    stage.writer(count=40, rate=100).finish()
    assert daemon.stop() == DONE
    points = listing(stage.replica)["points"]
    for point in points[::7]:
        newest = [other["txid"] for other in points if other["time"] <= point["time"]][-1]
        target = stage.folder / f"at-{point['txid']}.db"
        result = restore(stage.replica, target, "--time", point["time"])
        assert result.returncode == DONE, told(result)
        assert f"restored txid {newest} of {point['time']}" in result.stdout.decode()
        assert_same_pages(stage.restored(newest), target)
    result = restore(stage.replica, stage.folder / "now.db", "--time", "now")
    assert result.returncode == DONE and f"restored txid {points[-1]['txid']}".encode() in result.stdout, told(result)
    assert b"newest restore point not after" in result.stdout
    for early in ("2 hours ago", "2020-01-01", "2020-01-01T00:00:00Z"):
        result = restore(stage.replica, stage.folder / "none.db", "--time", early)
        assert result.returncode == NOTHING and points[0]["time"].encode() in result.stderr, told(result)
    for wrong in ("tomorrow", "2020-02-31", "5"):
        assert restore(stage.replica, stage.folder / "none.db", "--time", wrong).returncode == USAGE
    assert restore(stage.replica, stage.folder / "none.db", "--time", "now", "--txid", 1).returncode == USAGE
    assert not (stage.folder / "none.db").exists()


# ---- start scripts

IF_NEEDED = ("--if-db-not-exists", "--if-replica-exists")


def test_a_start_script_gets_the_database_once(small):
    result = restore(small.replica, small.target, *IF_NEEDED)
    assert result.returncode == DONE, told(result)
    assert check(small.target) == 30
    before = files_of(small.home)
    for options in (IF_NEEDED, IF_NEEDED[:1]):
        result = restore(small.folder / "missing", small.target, *options)   # the store is not asked
        assert result.returncode == NOTHING_TO_DO and result.stdout and not result.stderr, told(result)
    assert restore(small.replica, small.target, *IF_NEEDED[1:]).returncode == FAILED
    assert files_of(small.home) == before


def test_a_missing_replica_is_an_error_unless_an_option_accepts_it(small):
    empty = small.folder / "empty"
    empty.mkdir()
    for replica in (empty, small.folder / "missing"):
        for options, code in ((IF_NEEDED, NO_REPLICA), (IF_NEEDED[1:], NO_REPLICA), (IF_NEEDED[:1], NOTHING)):
            result = restore(replica, small.target, *options)
            assert result.returncode == code, told(result)
            assert bool(result.stdout) == (code == NO_REPLICA) and bool(result.stderr) == (code == NOTHING)
    assert files_of(small.home) == {}


def test_a_replica_that_can_not_be_restored_never_counts_as_a_missing_one(small):
    result = restore(small.replica, small.target, *IF_NEEDED, "--txid", 1000000)
    assert result.returncode == NOTHING, told(result)
    identity = (small.replica / "seawall.json").read_bytes()
    (small.replica / "seawall.json").unlink()
    result = restore(small.replica, small.target, *IF_NEEDED)
    assert result.returncode == CORRUPT and b"seawall.json" in result.stderr, told(result)
    begun = small.folder / "begun"   # a first base is under way
    begun.mkdir()
    (begun / "seawall.json").write_bytes(identity)
    result = restore(begun, small.target, *IF_NEEDED)
    assert result.returncode == NOTHING, told(result)
    assert files_of(small.home) == {}


@pytest.mark.parametrize("suffix, content, code", [("", b"", FAILED), ("-wal", b"commits", FAILED), ("-journal", b"old pages", FAILED),
                                                   ("-seawall-undo", b"the one before", DONE), ("-wal", b"", DONE), ("-shm", b"x", DONE)])
def test_a_file_that_may_hold_data_stops_the_start_script(small, suffix, content, code):
    path = Path(f"{small.target}{suffix}")
    path.write_bytes(content)
    before = files_of(small.home)
    result = restore(small.replica, small.target, *IF_NEEDED)
    assert result.returncode == code, told(result)
    if code == DONE:
        assert check(small.target) == 30
    else:
        assert path.name.encode() in result.stderr and files_of(small.home) == before


def test_options_of_start_scripts_that_contradict_are_wrong_usage(small):
    assert restore(small.replica, small.target, *IF_NEEDED, "--force").returncode == USAGE
    assert seawall("restore", "--dry-run", "--if-db-not-exists", small.replica).returncode == USAGE
    assert files_of(small.home) == {}


# ---- --json

MEMBERS = {"outcome", "replica", "format", "path", "txid", "time", "newest_txid", "pages", "page_size", "objects", "bytes", "rewritten_pages",
           "fetched_bytes", "restored_whole", "skipped_txid", "skipped_time", "unread_objects", "undo"}


def as_json(code, *arguments):
    result = seawall("restore", "--json", *arguments)
    assert result.returncode == code and not result.stderr, told(result)
    return json.loads(result.stdout)


def test_json_says_what_a_restore_did(stage):
    stage.prepare()
    for count in (0, 5):
        stage.writer(count=count).finish()
        assert seawall("snapshot", stage.db, stage.replica).returncode == DONE
    last, back = stage.last_txid(), stage.folder / "back.db"
    found = as_json(DONE, "--dry-run", stage.replica)
    assert (found["outcome"], found["txid"], found["path"], found["undo"]) == ("would restore", last, None, False)
    found = as_json(DONE, "-o", back, stage.replica)
    assert set(found) == MEMBERS
    assert (found["outcome"], found["replica"], found["format"], found["path"]) == ("restored", str(stage.replica), "seawall", str(back))
    assert found["txid"] == found["newest_txid"] == last and found["pages"] * found["page_size"] == back.stat().st_size
    assert found["objects"] == 2 and found["bytes"] > 0 and found["rewritten_pages"] is None and not found["undo"]
    found = as_json(DONE, "--delta", "--txid", "1", "-o", back, stage.replica)
    assert found["txid"] == 1 and found["newest_txid"] == last and found["rewritten_pages"] > 0 and found["fetched_bytes"] > 0 and found["undo"]
    found = as_json(DONE, "--undo", "-o", back)
    assert set(found) == {"outcome", "path", "whole", "txid", "undone_txid", "pages", "page_size", "rewritten_pages", "undo"}
    assert (found["outcome"], found["whole"], found["undone_txid"], found["txid"]) == ("undone", False, 1, last)


def test_json_has_an_outcome_for_each_exit_code_that_is_no_error(stage):
    stage.prepare()
    assert seawall("snapshot", stage.db, stage.replica).returncode == DONE
    found = as_json(NOTHING_TO_DO, "--if-db-not-exists", "-o", stage.db, stage.replica)
    assert set(found) == MEMBERS and found["outcome"] == "exists" and found["txid"] is None
    found = as_json(NO_REPLICA, "--if-replica-exists", "-o", stage.folder / "back.db", stage.folder / "nothing")
    assert set(found) == MEMBERS and found["outcome"] == "no replica"
    result = seawall("restore", "--json", "-o", stage.folder / "back.db", stage.folder / "nothing")
    assert result.returncode == NOTHING and not result.stdout and result.stderr, told(result)
