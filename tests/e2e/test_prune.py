"""`seawall prune` deletes what its output says, and no failure costs a restore point that must stay."""
import hashlib
import json
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest

from application import library
from s3server import Object
from bucket import PREFIX
from seawall import BINARY, CORRUPT, DONE, FAILED, NOTHING, TIMED_OUT, USAGE, objects, restore, restore_points, seawall, told, url_of

TOOL = BINARY.parent / "tests" / "replicatool"
KILLED = -9
DAYS, OF_DAY, DAY = 9, 4, 86400
POLICY = ("--keep-all", "1d", "--keep-levels", "3d", "--keep-daily", "5", "--keep-weekly", "0")

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="make build/tests/replicatool")


def day_of(key):
    """The day of the replica on which the object was put."""
    kind, _, rest = key.partition("/")
    if kind == "seawall.json":
        return 0
    txid = int(rest[:16], 16) if kind != "part" else int(rest.split("-")[1], 16) // 16
    return (txid - 1) // OF_DAY


@pytest.fixture
def past(stage):
    """A replica in a folder whose last day was three hours ago."""
    newest = time.time() - 3 * 3600
    subprocess.run([TOOL, stage.replica, str(int(newest * 1000))], check=True)
    for key in objects(stage.replica):
        when = newest - (DAYS - 1 - day_of(key)) * DAY
        os.utime(stage.replica / key, (when, when))
    return stage.replica


def in_bucket(s3, folder):
    """Copies the replica into the bucket. Returns its keys."""
    for key in objects(folder):
        body = (folder / key).read_bytes()
        s3.server.objects[f"{PREFIX}/{key}"] = Object(body, f'"{hashlib.md5(body).hexdigest()}"', (folder / key).stat().st_mtime, {})
    return s3.keys()


def prune(where, *options, policy=POLICY, **more):
    return seawall("prune", *options, *policy, url_of(where), **more)


def verdicts(result):
    """{key: (word, reason)}"""
    lines = [line.split(None, 4) for line in result.stdout.decode().splitlines()]
    return {line[1]: (line[0], line[4]) for line in lines if line and line[0] in ("keep", "delete") and len(line) == 5}


def assert_restores(where, points, folder):
    for txid in points:
        target = folder / f"point-{txid}.db"
        result = restore(where, target, "--txid", txid)
        assert result.returncode == DONE, f"txid {txid}: {told(result)}"
        target.unlink()
        Path(f"{target}-seawall").unlink(missing_ok=True)


def assert_sound(where):
    result = seawall("verify", "--full", url_of(where))
    assert result.returncode == DONE, told(result)


def pruned_copy(past, folder):
    """Prunes a copy without failures. Returns the keys and the restore points that are left."""
    copy = folder / "undisturbed"
    subprocess.run(["cp", "-a", past, copy], check=True)
    assert prune(copy).returncode == DONE
    left = objects(copy), restore_points(copy)
    shutil.rmtree(copy)
    return left


def test_it_prints_for_each_object_why_it_stays_or_goes_and_does_that(past, stage):
    before = objects(past)
    dry = prune(past, "--dry-run")
    assert dry.returncode == DONE and objects(past) == before
    said = verdicts(dry)
    assert sorted(said) == before
    assert said["seawall.json"][0] == "keep"
    assert said["0/0000000000000024"] == ("keep", "the newest object of level 0")
    assert said["0/0000000000000001"][0] == "delete"
    real = prune(past)
    assert real.returncode == DONE and verdicts(real) == said
    assert objects(past) == sorted(key for key, (word, _) in said.items() if word == "keep")
    assert real.stdout.decode().splitlines()[-1].startswith(f"deleted {sum(word == 'delete' for word, _ in said.values())} objects, ")

    points = restore_points(past)
    assert set(points) >= {20, 24, 28, 32, 33, 34, 35, 36}   # bases of five days; of the last day every transaction
    left = {key.rsplit("/", 1)[0]: set() for key in objects(past) if key.startswith("base/")}
    for key in objects(past):
        if key.startswith("base/"):
            left[key.rsplit("/", 1)[0]].add(key.rsplit("/", 1)[1])
    assert left and all({"interior", "marker"} <= names for names in left.values())
    assert any(key.endswith("/interior") and word == "delete" for key, (word, _) in said.items())
    assert_restores(past, points, stage.folder)
    assert_sound(past)
    again = prune(past, "--quiet")
    assert again.stdout.startswith(b"deleted 0 objects, 0 B; kept ") and again.stdout.count(b"\n") == 1


def test_interior_pages_that_an_old_program_left_are_called_so_and_removed(past):
    """A program that does not know them deletes the marker and the chunks of their base, and nothing else."""
    oldest = min(past.glob("base/*"), key=lambda folder: folder.name)
    for path in oldest.iterdir():
        if path.name != "interior":
            path.unlink()
    left = f"base/{oldest.name}/interior"
    told_list = seawall("list", url_of(past)).stdout.decode()
    start = int(oldest.name.split("-")[0], 16)
    line, = [line for line in told_list.splitlines() if line.startswith(f"base from txid {start},")]
    assert line.startswith(f"base from txid {start}, deleted; ") and "'seawall prune' removes" in line
    assert "not complete" not in told_list
    bases = json.loads(seawall("list", "--json", url_of(past)).stdout)["bases"]
    assert [base["state"] for base in bases if base["start"] == start] == ["deleted"]
    assert verdicts(prune(past))[left] == ("delete", "its base was deleted")
    assert left not in objects(past) and "deleted;" not in seawall("list", url_of(past)).stdout.decode()
    assert_sound(past)


def test_the_json_has_the_same_verdicts(past):
    text = verdicts(prune(past, "--dry-run"))
    answer = json.loads(prune(past, "--json").stdout)
    assert {one["key"]: one["reason"] for one in answer["objects"]} == {key: reason for key, (_, reason) in text.items()}
    assert answer["deleted"] == answer["delete"] and answer["keep"]["objects"] == len(objects(past)) and not answer["dry_run"]
    assert answer["delete"]["objects"] == sum(one["delete"] for one in answer["objects"]) > 0


def test_a_policy_that_keeps_nothing_is_refused(past, stage):
    before = objects(past)
    nothing = ("--keep-all", "0", "--keep-levels", "0", "--keep-daily", "0", "--keep-weekly", "0")
    result = prune(past, policy=nothing)
    assert result.returncode == USAGE and b"HINT" in result.stderr and objects(past) == before
    config = stage.folder / "seawall.conf"
    config.write_text(f"[db {stage.db}]\nreplica = {past}\nkeep-all = 0\nkeep-levels = 0\nkeep-daily = 0\nkeep-weekly = 0\n")
    assert seawall("prune", "-c", config).returncode == USAGE
    assert seawall("prune", "-c", config, past).returncode == USAGE   # the replica is of that database
    assert objects(past) == before


def test_the_policy_comes_from_the_configuration_and_the_command_line_comes_first(past, stage):
    config = stage.folder / "seawall.conf"
    config.write_text(f"[db {stage.db}]\nreplica = {past}\nkeep-all = 90d\nkeep-levels = 90d\n")
    result = seawall("prune", "-c", config, "--dry-run", "--quiet", stage.db)
    assert result.stdout.startswith(b"would delete 0 objects")
    result = seawall("prune", "-c", config, "--dry-run", "--quiet", *POLICY, stage.db)
    assert result.returncode == DONE and not result.stdout.startswith(b"would delete 0 objects")


def test_a_place_without_a_replica_has_an_exit_code_of_its_own(stage):
    assert prune(stage.folder / "nowhere").returncode == NOTHING
    stage.replica.mkdir()
    assert prune(stage.replica).returncode == NOTHING
    (stage.replica / "0").mkdir()
    (stage.replica / "0" / "0000000000000001").write_bytes(b"x")
    assert prune(stage.replica).returncode == CORRUPT
    assert seawall("prune").returncode == USAGE
    assert seawall("prune", "--fanout", "3", stage.replica).returncode == USAGE


def test_killed_at_any_moment_it_has_deleted_nothing_that_must_stay(past, stage):
    left, points = pruned_copy(past, stage.folder)
    counter, copy = stage.folder / "calls", stage.folder / "copy"
    environment = {"LD_PRELOAD": str(library("killat")), "KILL_BELOW": str(copy), "KILL_COUNT": str(counter)}

    def once(n):
        counter.write_bytes(bytes(8))
        return prune(copy, environment={**environment, "KILL_AT": str(n)})

    subprocess.run(["cp", "-a", past, copy], check=True)
    assert once(0).returncode == DONE
    calls = struct.unpack("=Q", counter.read_bytes())[0]
    assert calls >= len(objects(past)) - len(left)
    shutil.rmtree(copy)
    for n in {*range(1, calls + 1, max(1, calls // 25)), calls}:
        subprocess.run(["cp", "-a", past, copy], check=True)
        assert once(n).returncode == KILLED
        assert_restores(copy, points, stage.folder)
        assert prune(copy).returncode == DONE
        more = set(objects(copy)) ^ set(left)   # parts without a segment may belong to a run at work, so they stay for a while
        assert all(key.startswith("part/") for key in more), more
        shutil.rmtree(copy)


def test_a_restore_whose_base_is_deleted_takes_another_way(past, stage, s3):
    """The plan of the restore has a base that is deleted before the restore reads it."""
    in_bucket(s3, past)
    where = s3.url(timeout="60s")
    said = verdicts(prune(where, "--dry-run", policy=(*POLICY, "--keep-daily", "0")))
    base = next(key for key in said if key.startswith("base/000000000000001c") and key.endswith("00000001"))
    assert said[base] == ("delete", "its base is deleted")
    target = stage.folder / "restored.db"
    with s3.server.fault("stall", on="get", key=f"{PREFIX}/{base}", times=1) as fault:
        running = subprocess.Popen([BINARY, "restore", "--txid", "28", "-o", target, where], stderr=subprocess.PIPE)
        fault.wait_met()
        assert prune(where, policy=(*POLICY, "--keep-daily", "0")).returncode == DONE
        assert base not in s3.keys()
    _, stderr = running.communicate(timeout=60)
    assert running.returncode == DONE, stderr.decode()
    assert target.exists()


def test_restores_survive_prunes_one_after_the_other(past, stage):
    """Each prune deletes more. Meanwhile restores of the points that all prunes keep run all the time."""
    policies = [(*POLICY[:-4], "--keep-daily", str(n), "--keep-weekly", "0") for n in range(8, 0, -1)]
    copy = stage.folder / "copy"
    subprocess.run(["cp", "-a", past, copy], check=True)
    assert all(prune(copy, policy=policy).returncode == DONE for policy in policies)
    points = restore_points(copy)
    for policy in policies:
        running = subprocess.Popen([BINARY, "prune", *policy, url_of(past)], stdout=subprocess.DEVNULL)
        assert_restores(past, points, stage.folder)
        assert running.wait(60) == DONE
    assert objects(past) == objects(copy)


@pytest.mark.parametrize("fault, values", [("access-denied", {}), ("cut-xml", {}), ("leaves-out", {}), ("leaves-out", {"keys": f"{PREFIX}/0/*"}),
                                           ("leaves-out", {"keys": "*/seawall.json"}), ("twice", {"keys": f"{PREFIX}/0/*2"}),
                                           ("twice", {"keys": "*/marker"}), ("twice", {"keys": f"{PREFIX}/2/*"})])
def test_a_listing_that_fails_is_empty_or_says_a_key_twice_deletes_nothing(past, s3, fault, values):
    before = in_bucket(s3, past)
    with s3.server.fault(fault, on="list", **values):
        result = prune(s3.url())
        assert result.returncode in (FAILED, USAGE, NOTHING, CORRUPT, TIMED_OUT), told(result)
        assert b"delete" not in result.stdout
    assert s3.keys() == before
    assert prune(s3.url()).returncode == DONE and len(s3.keys()) < len(before)


@pytest.mark.parametrize("keys", ["0/*", "1/*", "2/*", "base/*", "base/*/marker", "part/*", "0/000000000000000?", "base/0000000000000014-*",
                                  "base/0000000000000024-*"])
def test_a_listing_that_leaves_out_keys_once_deletes_nothing_that_must_stay(past, stage, s3, keys):
    left, _ = pruned_copy(past, stage.folder)
    in_bucket(s3, past)
    with s3.server.fault("leaves-out", on="list", keys=f"{PREFIX}/{keys}", times=1) as fault:
        result = prune(s3.url())
        assert fault.met == 1 and result.returncode in (DONE, FAILED, NOTHING), told(result)
    assert set(s3.keys()) >= set(left), "an object that must stay was deleted"
    assert prune(s3.url()).returncode == DONE and s3.keys() == left


def test_deletions_that_fail_are_reported_and_done_by_the_next_prune(past, stage, s3):
    left, points = pruned_copy(past, stage.folder)
    in_bucket(s3, past)
    with s3.server.fault("key-errors", on="delete", keys=f"{PREFIX}/0/*") as fault:
        result = prune(s3.url())
        assert result.returncode == FAILED and b"AccessDenied" in result.stderr, told(result)
        assert any(line.startswith(b"deleted ") for line in result.stdout.splitlines())
    assert_restores(s3.url(), points, stage.folder)
    assert prune(s3.url()).returncode == DONE and s3.keys() == left


def test_file_times_that_were_lost_do_not_make_objects_old(stage):
    stage.prepare()
    daemon = stage.replicate("--fanout", "4", "--prune-interval", "never", "--base-interval", "never")
    for _ in range(14):
        txid = stage.last_txid()
        stage.writer(count=1).finish()
        daemon.wait_for(lambda: stage.last_txid() > txid, 10, "the commit arrives")
    daemon.wait_for(lambda: any(stage.replica.glob("1/*")), 20, "a compacted segment")
    assert daemon.stop() == DONE
    before, points = objects(stage.replica), restore_points(stage.replica)
    for key in before:
        os.utime(stage.replica / key, (0, 0))
    result = seawall("prune", url_of(stage.replica))
    assert result.returncode == DONE, told(result)
    assert objects(stage.replica) == before and restore_points(stage.replica) == points, told(result)


def test_a_copy_with_new_file_times_keeps_longer(past, stage):
    before = objects(past)
    assert any(word == "delete" for word, _ in verdicts(prune(past, "--dry-run")).values())
    for key in before:
        os.utime(past / key)
    assert prune(past).returncode == DONE
    assert objects(past) == before
