"""`seawall verify` finds no problem in a sound replica, also while a daemon works. It names damage, and its exit code shows it."""
import json
import shutil
import signal
import sqlite3
import subprocess

import pytest

from compare import copy_tree
from damage import flip
from seawall import BINARY, CORRUPT, DONE, FAILED, NOTHING, USAGE, level_zero, listing, objects, seawall, told, url_of
from waiting import PATIENCE, figure, wait_until

LARGE = 40   # MiB: larger than one segment may be, so the first copy is a base in chunks
INTERRUPTED = 130
DEPTHS = [(), ("--full",)]


def verify(replica, *options, seconds=120, environment=None):
    return seawall("verify", *options, url_of(replica), seconds=seconds, environment=environment)


def report(replica, *options, code=DONE):
    result = verify(replica, "--json", *options)
    assert result.returncode == code, told(result)
    return json.loads(result.stdout)


def names(found):
    return {problem["object"] for problem in found["problems"]}


@pytest.fixture
def small(stage):
    stage.prepare()
    daemon = stage.replicate()
    stage.writer(rate=300, count=30).finish()
    assert daemon.stop() == DONE
    return stage


@pytest.fixture
def large(stage):
    """A replica with a base in chunks, and commits after it."""
    app = sqlite3.connect(stage.db, isolation_level=None)
    app.execute("PRAGMA journal_mode=wal")
    app.execute("CREATE TABLE big(id INTEGER PRIMARY KEY, payload BLOB)")
    app.executemany("INSERT INTO big(payload) VALUES(randomblob(?))", [(1 << 20,)] * LARGE)
    daemon = stage.replicate()
    for i in range(5):
        app.execute("UPDATE big SET payload = randomblob(3000) WHERE id = ?", (i + 1,))
    app.close()
    assert daemon.stop() == DONE
    assert any(key.endswith("/marker") for key in objects(stage.replica))
    return stage


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_sound_replica_is_called_sound_and_summed_up(small, depth):
    listed = listing(small.replica)
    found = report(small.replica, *depth)
    assert found["ok"] is True and found["problems"] == [] and found["orphans"] == {"objects": 0, "bytes": 0} and found["foreign"] == 0
    assert found["checked"]["points"] == len(listed["points"]) and found["checked"]["objects"] == listed["objects"]
    assert found["checked"]["bytes"] == listed["bytes"]
    assert found["checked"]["states"] == (len(listed["points"]) if depth else 0)
    for end, name in (("first", "oldest"), ("last", "newest")):
        assert (found[f"{name}_txid"], found[f"{name}_time"]) == (listed[f"{end}_txid"], listed[f"{end}_time"])
    result = verify(small.replica, *depth)
    last = result.stdout.decode().splitlines()[-1]
    assert result.returncode == DONE and result.stderr == b"", told(result)
    assert last.startswith(f"ok: {len(listed['points'])} restore points, newest txid {listed['last_txid']} of {listed['last_time']}, "), last


def test_a_place_without_a_replica_has_an_exit_code_of_its_own(stage):
    empty = stage.folder / "empty"
    empty.mkdir()
    for replica in (empty, stage.folder / "missing"):
        result = verify(replica)
        assert result.returncode == NOTHING and result.stdout == b"", told(result)


def test_wrong_usage_exits_with_2(small):
    for arguments in ((), (small.replica, small.replica), ("--fulll", small.replica), ("--txid", 1, small.replica), ("--tmp", "/", small.replica),
                      ("--restore", "--txid", 0, small.replica)):
        result = seawall("verify", *arguments)
        assert result.returncode == USAGE, told(result)
    assert b"--full" in seawall("help", "verify").stdout
    assert seawall("verify", "--help").stdout == seawall("help", "verify").stdout


def test_a_database_of_the_configuration_can_be_named_for_its_replica(small):
    conf = small.folder / "seawall.conf"
    conf.write_text(f"[db {small.db}]\nreplica = {small.replica}\n")
    for arguments in ((small.db,), ()):
        result = seawall("verify", "-c", conf, *arguments)
        assert result.returncode == DONE and b"\nok: " in result.stdout, told(result)


def test_with_restore_it_restores_and_leaves_no_file(small):
    room = small.folder / "room"
    room.mkdir()
    found = report(small.replica, "--restore", "--tmp", room)
    assert found["restored_txid"] == found["newest_txid"] and found["ok"]
    assert list(room.iterdir()) == []
    result = verify(small.replica, "--restore", "--txid", 3, environment={"TMPDIR": str(room)})
    assert result.returncode == DONE and b"restored txid 3," in result.stdout, told(result)
    assert list(room.iterdir()) == []
    assert verify(small.replica, "--restore", "--tmp", small.folder / "nowhere").returncode == USAGE
    result = verify(small.replica, "--restore", "--txid", 10_000, "--tmp", room)
    assert result.returncode == NOTHING and list(room.iterdir()) == [], told(result)


def test_every_object_that_is_missing_or_cut_off_is_named(small):
    newest = f"0/{level_zero(small.replica)[-1]}"
    for key in objects(small.replica):
        if key == newest:   # no object names it, so it can't be missed
            continue
        path = small.replica / key
        whole = path.read_bytes()
        path.unlink()
        assert key in names(report(small.replica, code=CORRUPT))
        path.write_bytes(whole[:-2])   # two bytes, because the last one of seawall.json is only a line end
        found = report(small.replica, code=CORRUPT)
        assert key in names(found) and found["ok"] is False
        path.write_bytes(whole)
    result = verify(small.replica)
    assert result.returncode == DONE, told(result)


def test_problems_are_printed_with_a_hint(small):
    key = objects(small.replica)[3]
    flip(small.replica / key, 20)
    result = verify(small.replica)
    lines = result.stdout.decode().splitlines()
    assert result.returncode == CORRUPT and lines[-1] == "1 problem", told(result)
    assert any(line.startswith(f"{key}: ") for line in lines) and any(line.startswith("  HINT: ") for line in lines), told(result)


def test_damage_in_a_base_of_chunks_is_named(large):
    for options in (*DEPTHS, ("--full", "--restore", "--tmp", large.folder)):
        result = verify(large.replica, *options)
        assert result.returncode == DONE, told(result)
    chunks = [key for key in objects(large.replica) if key.startswith("base/") and not key.endswith(("/marker", "/interior"))]
    assert len(chunks) >= 4
    for key in (chunks[0], chunks[2]):
        path = large.replica / key
        aside = large.folder / "aside"
        shutil.move(path, aside)
        assert key in names(report(large.replica, code=CORRUPT))
        shutil.copy(aside, path)
        flip(path, path.stat().st_size // 3)   # a byte of a page: only --full and --restore find it
        assert report(large.replica)["ok"]
        assert names(report(large.replica, "--full", code=CORRUPT)) == {key}
        found = report(large.replica, "--restore", "--txid", 1, "--tmp", large.folder, code=CORRUPT)   # later ones may not need the page
        assert key in found["problems"][0]["problem"]
        shutil.move(aside, path)
    other = large.replica / chunks[1]
    whole = other.read_bytes()
    other.write_bytes((large.replica / chunks[2]).read_bytes())
    assert chunks[1] in names(report(large.replica, code=CORRUPT))
    other.write_bytes(whole)
    marker = next(key for key in objects(large.replica) if key.endswith("/marker"))
    (large.replica / marker).unlink()
    result = verify(large.replica)   # looks like a base that is under way
    assert result.returncode == NOTHING, told(result)


def test_damage_in_interior_pages_is_named_and_restores_are_right(large):
    interior, = large.replica.glob("base/*/interior")
    key = str(interior.relative_to(large.replica))
    good, other = interior.read_bytes(), next(large.replica.glob("base/*/00000001")).read_bytes()
    for bad in (good[:-1], good[:50] + bytes([good[50] ^ 1]) + good[51:], other, b""):
        interior.write_bytes(bad)
        found = report(large.replica, "--full", code=CORRUPT)
        assert names(found) == {key}
        assert "restores do not read it" in found["problems"][0]["hint"]
        large.assert_restore_equals_source()
    interior.unlink()   # as a program leaves it that did not know them
    assert report(large.replica, "--full")["ok"]
    large.assert_restore_equals_source()


def test_objects_of_another_database_are_named(small):
    other = copy_tree(small.replica, small.folder / "other")
    identity = json.loads((other / "seawall.json").read_text())
    identity["database"] = "0" * 32
    (other / "seawall.json").write_text(json.dumps(identity))
    found = report(other, code=CORRUPT)
    assert names(found) == {"seawall.json"}
    (other / "seawall.json").unlink()
    assert names(report(other, code=CORRUPT)) == {"seawall.json"}


def test_while_the_daemon_ships_nothing_is_called_a_problem(stage):
    stage.prepare()
    daemon = stage.replicate()
    writer = stage.writer(rate=200, count=600)
    results = [report(stage.replica, *depth) for depth in 4 * DEPTHS]
    assert all(found["ok"] for found in results)
    writer.finish()
    assert daemon.stop() == DONE
    assert report(stage.replica, "--full")["newest_txid"] > results[0]["newest_txid"]


def test_while_retention_deletes_nothing_is_called_a_problem(stage):
    """Objects that retention deletes during a verification are not damage: verify finds no problem, or says that it could not verify."""
    stage.prepare()
    daemon = stage.replicate("--fanout", "3", "--base-interval", "2s", "--prune-interval", "2s", "--grace", "1s", "--keep-all", "5s",
                             "--keep-levels", "10s")
    writer = stage.writer(rate=60, seconds=figure(60, 20))
    sound = runs = 0
    while writer.running():
        result = verify(stage.replica, "--full")
        runs += 1
        sound += result.returncode == DONE
        busy = result.returncode == FAILED and b"changes faster than it can be read" in result.stderr
        assert result.returncode == DONE or busy, told(result)
    writer.finish()
    assert daemon.stop() == DONE
    assert "retention deleted" in daemon.log()
    assert sound > runs / 2
    stage.note(f"{sound} of {runs} verifications came to a result while retention was at work")
    assert report(stage.replica, "--full")["ok"]


def test_a_bucket_is_verified_many_objects_at_a_time(stage, s3):
    stage.prepare()
    daemon = stage.replicate()
    stage.writer(rate=100, count=40).finish()
    assert daemon.stop() == DONE
    for depth in DEPTHS:
        assert report(stage.replica, *depth)["ok"]
    key = next(key for key in s3.server.objects if "/0/" in key)
    stored = s3.server.objects.pop(key)
    assert key.split("/app/")[1] in names(report(stage.replica, code=CORRUPT))
    s3.server.objects[key] = stored
    assert report(stage.replica)["ok"]


def test_an_interrupted_verification_ends_at_once(stage, s3):
    stage.prepare()
    daemon = stage.replicate()
    stage.writer(rate=100, count=20).finish()
    assert daemon.stop() == DONE
    s3.server.fault("stall", on="get")
    before = s3.server.count("get")
    process = subprocess.Popen([BINARY, "verify", url_of(stage.replica)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: s3.server.count("get") > before, 30, "it reads")
    process.send_signal(signal.SIGINT)
    assert process.wait(10 * PATIENCE) == INTERRUPTED, process.stderr.read()
    process.communicate()


def test_a_store_that_refuses_is_an_error_and_not_a_result(stage, s3):
    stage.prepare()
    daemon = stage.replicate()
    assert daemon.stop() == DONE
    s3.server.fault("access-denied", on="list")
    result = verify(stage.replica)
    assert result.returncode in (FAILED, USAGE) and result.stdout == b"", told(result)
    s3.server.no_faults()
    s3.server.fault("access-denied", on="get")
    result = verify(stage.replica)
    assert result.returncode in (FAILED, USAGE) and result.stdout == b"", told(result)
