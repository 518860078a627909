"""`seawall restore` and `seawall list` read replicas that Litestream wrote. Those of tests/data/litestream were written by the real program,
and the digests beside them are of what Litestream itself restores (tests/litestream/make.py)."""
import hashlib
import json
import os
import re
import shutil
import sqlite3
import tarfile
import time

import pytest

from compare import assert_sound
from seawall import CHECKOUT, CORRUPT, DONE, FAILED, NOTHING, NO_REPLICA, NOTHING_TO_DO, USAGE, objects, seawall, told

DATA = CHECKOUT / "tests" / "data" / "litestream"
NAMES = sorted(path.stem for path in DATA.glob("*.json"))
FILES, GENERATIONS = "blocks", "generations"


def unpacked(name, folder):
    with tarfile.open(DATA / f"{name}.tar.xz") as tar:
        tar.extractall(folder)
    return folder


def points(name):
    return json.loads((DATA / f"{name}.json").read_text())["points"]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def restored(replica, target, *options, code=DONE):
    """Restores into `target`. The result of the command. Nothing may be left beside the target."""
    before = set(os.listdir(target.parent))
    result = seawall("restore", *options, "-o", target, replica)
    assert result.returncode == code, told(result)
    assert set(os.listdir(target.parent)) - before == ({target.name} if code == DONE else set())
    return result


def listed(replica, *options):
    result = seawall("list", "--json", *options, replica)
    assert result.returncode == DONE, told(result)
    return json.loads(result.stdout)


@pytest.fixture
def files(stage):
    return unpacked(FILES, stage.folder / "litestream")


@pytest.fixture
def generations(stage):
    return unpacked(GENERATIONS, stage.folder / "litestream")


@pytest.mark.parametrize("name", NAMES)
def test_each_point_is_restored_as_litestream_restores_it(stage, name):
    replica = unpacked(name, stage.folder / "litestream")
    assert len(points(name)) > 4
    for number, point in enumerate(points(name)):
        target = stage.folder / f"{number}.db"
        restored(replica, target, *point["options"], "--integrity-check")
        assert digest(target) == point["sha256"], point
        assert_sound(target)


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_threads_changes_nothing(stage, name):
    replica = unpacked(name, stage.folder / "litestream")
    for jobs in (1, 2, 7):
        target = stage.folder / f"{jobs}.db"
        restored(replica, target, "--jobs", jobs)
        assert digest(target) == points(name)[-1]["sha256"]


def test_one_line_says_what_the_replica_is(stage, files):
    lines = restored(files, stage.folder / "app2.db").stdout.decode().splitlines()
    assert lines[0] == f"'{files}' is a replica of Litestream 0.5"
    assert re.fullmatch(r"restored txid 18 of \S+Z: 50\.\d kB in \d+ pages, from \d+ objects of .*", lines[1]) or lines[1].startswith("restored txid 18 of ")
    assert len(lines) == 2


def test_one_line_says_what_an_old_replica_is(stage, generations):
    lines = restored(generations, stage.folder / "app2.db").stdout.decode().splitlines()
    assert lines[0] == f"'{generations}' is a replica of Litestream 0.3"
    assert re.match(r"restored generation [0-9a-f]{16}, index [0-9a-f]{8}, offset [0-9a-f]{8} of \S+Z: ", lines[1])


def test_list_has_the_points_that_can_be_restored(stage, files):
    told_json = listed(files, "--segments")
    assert [point["txid"] for point in told_json["points"]] == [int(p["options"][1]) for p in points(FILES) if p["options"]]
    assert (told_json["format"], told_json["first_txid"], told_json["last_txid"]) == ("Litestream 0.5", 1, 18)
    assert sorted(o["key"] for o in told_json["segments"]) == objects(files) and told_json["foreign"] == 0
    assert told_json["objects"] == len(objects(files)) and told_json["bytes"] == sum((files / key).stat().st_size for key in objects(files))
    for number, point in enumerate(told_json["points"]):   # the time of a point restores that point
        target = stage.folder / f"{number}.db"
        restored(files, target, "--time", point["time"])
        assert digest(target) == points(FILES)[number]["sha256"]
        assert target.stat().st_size == point["pages"] * 1024


def test_list_shows_files_of_0_5_as_text(files):
    result = seawall("list", files)
    lines = result.stdout.decode().splitlines()
    assert result.returncode == DONE and lines[0] == f"'{files}' is a replica of Litestream 0.5"
    assert any(re.fullmatch(r"level 0: 18 objects, .*, txid 1 to 18", line) for line in lines)
    assert any(re.fullmatch(r"level 9: \d+ objects?, .*, txid 1 to \d+, snapshots", line) for line in lines)
    assert re.fullmatch(r"18 restore points in \d+ objects, .* to \S+Z", lines[-1])
    by_points = seawall("list", "--points", files).stdout.decode().splitlines()
    assert len(by_points) == 18 + 3 and by_points[1].split() == ["txid", "time", "pages"]
    assert len(seawall("list", "--segments", files).stdout.decode().splitlines()) == len(objects(files)) + 3


def test_list_shows_generations_of_0_3(generations):
    told_json = listed(generations, "--segments")
    kept = objects(generations)
    assert told_json["format"] == "Litestream 0.3" and "last_txid" not in told_json
    assert sorted(o["key"] for o in told_json["segments"]) == kept
    assert len(told_json["points"]) <= len(kept) and {p["generation"] for p in told_json["points"]} == {key.split("/")[1] for key in kept}
    lines = seawall("list", generations).stdout.decode().splitlines()
    assert sum(line.startswith("generation ") for line in lines) == 4   # snapshots and WAL segments of two generations
    by_points = seawall("list", "--points", generations).stdout.decode().splitlines()
    assert len(by_points) == len(told_json["points"]) + 3


def test_a_moment_in_an_old_replica_gives_a_state_of_that_moment(stage, generations):
    """Every point of the listing can be restored and is a sound database, and later points do not have fewer changes."""
    for number, point in enumerate(listed(generations)["points"]):
        target = stage.folder / f"{number}.db"
        restored(generations, target, "--time", point["time"], "--integrity-check")
        with sqlite3.connect(target) as db:
            assert db.execute("SELECT count(*) FROM t").fetchone()[0] >= 0
        assert_sound(target)


def test_the_layout_of_a_bucket_is_read_in_a_folder_too(stage, files):
    flat = stage.folder / "flat"
    for key in objects(files):
        _, level, name = key.split("/")
        (flat / f"{int(level):04x}").mkdir(parents=True, exist_ok=True)
        shutil.copy2(files / key, flat / f"{int(level):04x}" / name)
    restored(flat, stage.folder / "app2.db")
    assert digest(stage.folder / "app2.db") == points(FILES)[-1]["sha256"]


def test_of_two_formats_in_one_place_the_newer_state_counts(stage):
    both = unpacked(GENERATIONS, stage.folder / "both")
    unpacked(FILES, both)
    newest = max((listed(unpacked(name, stage.folder / name))["last_time"], name) for name in (FILES, GENERATIONS))[1]
    restored(both, stage.folder / "app2.db")
    assert digest(stage.folder / "app2.db") == points(newest)[-1]["sha256"]


# ---- the flags of restore

def test_the_target_is_treated_as_in_any_restore(stage, files):
    target = stage.folder / "app2.db"
    target.write_bytes(b"precious")
    assert b"exists" in restored(files, target, code=FAILED).stderr and target.read_bytes() == b"precious"
    result = seawall("restore", "--if-db-not-exists", "-o", target, files)
    assert result.returncode == NOTHING_TO_DO, told(result)
    result = seawall("restore", "--force", "--mode", "640", "-o", target, files)
    assert result.returncode == DONE and b"the old state is kept" in result.stdout, told(result)
    assert (stage.folder / "app2.db-seawall-undo").read_bytes() == b"precious"
    assert seawall("restore", "--undo", "-o", target).returncode == DONE and target.read_bytes() == b"precious"


def test_the_mode_is_that_of_the_flag(stage, files):
    restored(files, stage.folder / "one.db")
    restored(files, stage.folder / "two.db", "--mode", "640")
    assert [(stage.folder / name).stat().st_mode & 0o777 for name in ("one.db", "two.db")] == [0o600, 0o640]


def test_a_dry_run_writes_nothing(stage, files):
    before = sorted(os.listdir(stage.folder))
    result = seawall("restore", "--dry-run", files)
    assert result.returncode == DONE and b"would restore txid 18 of " in result.stdout, told(result)
    assert sorted(os.listdir(stage.folder)) == before


def test_a_dry_run_says_what_the_restore_would_meet(stage, files):
    target = stage.folder / "precious.db"
    target.write_bytes(b"precious")
    dry, real = (seawall("restore", *more, "-o", target, files) for more in (["--dry-run"], []))
    assert (dry.returncode, dry.stdout, dry.stderr) == (real.returncode, real.stdout, real.stderr) and b"exists" in dry.stderr
    assert seawall("restore", "--dry-run", "--force", "-o", target, files).returncode == DONE
    assert target.read_bytes() == b"precious"


def test_delta_needs_a_replica_of_seawall(stage, files):
    result = restored(files, stage.folder / "app2.db", "--delta", code=USAGE)
    assert b"is a replica of Litestream" in result.stderr and b"HINT: " in result.stderr


def test_if_replica_exists_finds_a_replica_of_litestream(stage, files):
    restored(files, stage.folder / "app2.db", "--if-replica-exists")
    empty = stage.folder / "empty"
    empty.mkdir()
    assert restored(empty, stage.folder / "app3.db", "--if-replica-exists", code=NO_REPLICA)
    assert b"Litestream" not in restored(empty, stage.folder / "app3.db", code=NOTHING).stderr


def test_a_replica_of_seawall_in_the_same_place_goes_first(stage):
    stage.prepare()
    unpacked(FILES, stage.replica)
    assert stage.replicate("--once", live=False).wait() == DONE
    result = seawall("restore", "-o", stage.folder / "app2.db", stage.replica)
    assert result.returncode == DONE and b"Litestream" not in result.stdout, told(result)
    assert "format" not in listed(stage.replica)


@pytest.mark.parametrize("name", [FILES, GENERATIONS])
def test_what_a_replica_of_seawall_lacks_is_not_restored_from_litestream_in_the_same_place(stage, name):
    """It can be of another time, or of another database."""
    stage.prepare()
    unpacked(name, stage.replica)
    began = stage.replicate("--once", live=False)
    assert began.wait() == DONE
    assert began.log().count("begins beside objects of Litestream") == 1, began.log()
    for point in (["--txid", "18"], ["--time", "2001-01-01"], ["--time", "2001-01-01", "--if-replica-exists"]):
        result = restored(stage.replica, stage.folder / "app2.db", *point, code=NOTHING)
        assert b"HINT: " in result.stderr, told(result)
        assert b"is a replica of Litestream" not in result.stdout
    for path in stage.replica.glob("0/*"):   # an identity alone is a replica without a restore point
        path.unlink()
    result = seawall("list", stage.replica)
    assert result.returncode == NOTHING and b"HINT: objects of Litestream are there too" in result.stderr, told(result)
    result = restored(stage.replica, stage.folder / "app2.db", "--if-replica-exists", code=NOTHING)
    assert b"HINT: objects of Litestream are there too" in result.stderr, told(result)
    again = stage.replicate("--once", live=False)
    again.wait()
    assert "begins beside objects of Litestream" not in again.log()


def test_doctor_warns_of_objects_of_litestream_in_the_place(stage):
    stage.prepare()
    for warned, replica in ((1, unpacked(FILES, stage.folder / "one")), (1, unpacked(GENERATIONS, stage.folder / "two")), (0, stage.folder / "three")):
        result = seawall("doctor", stage.db, replica)
        assert result.stdout.count(b"objects of Litestream are there too") == warned, told(result)


@pytest.mark.parametrize("url", ["gs://bucket/app", "abs://account@container/app", "sftp://user:secret@host/app", "nats://host/bucket", "webdav://host/app", "oss://bucket/app"])
def test_places_that_only_litestream_reads_are_an_error(stage, url):
    for result in (seawall("restore", "-o", stage.folder / "app2.db", url), seawall("list", url)):
        assert result.returncode == USAGE and b"into a folder" in result.stderr, told(result)
        assert b"secret" not in result.stderr


# ---- what is missing or damaged

def test_a_txid_that_is_not_there_names_the_nearest(stage, files):
    os.remove(next(files.glob("ltx/0/*5-*5.ltx")))
    for path in list(files.glob("ltx/1/0000000000000005*")):
        path.unlink()
    result = restored(files, stage.folder / "app2.db", "--txid", "5", code=NOTHING)
    assert b"txid 5 is not a restore point" in result.stderr and b"the nearest are 4 and 6" in result.stderr, told(result)
    result = restored(files, stage.folder / "app2.db", "--txid", "99", code=NOTHING)
    assert b"the nearest is 18;" in result.stderr


def test_a_moment_before_the_first_point_names_the_first(stage, files, generations):
    for replica in (files, generations):
        first = listed(replica)["first_time"]
        result = restored(replica, stage.folder / "app2.db", "--time", "2001-01-01", code=NOTHING)
        assert f"it is of {first}".encode() in result.stderr, told(result)


def test_txid_is_refused_where_there_are_none(stage, generations):
    result = restored(generations, stage.folder / "app2.db", "--txid", "3", code=NOTHING)
    assert b"has no txids" in result.stderr and b"HINT: say --time" in result.stderr


def remove_txid(replica, txid):
    """Removes each file that has this transaction and is not a snapshot."""
    for path in list(replica.glob("ltx/*/*.ltx")):
        first, last = (int(part, 16) for part in path.stem.split("-"))
        if first <= txid <= last and path.parent.name != "9" or path.parent.name == "9" and last >= txid:
            path.unlink()


def test_a_gap_in_the_txids_is_an_error_that_names_the_state_before_it(stage, files):
    remove_txid(files, 10)
    result = restored(files, stage.folder / "app2.db", code=CORRUPT)
    last = listed(files)["last_txid"]
    assert last < 10 and f"HINT: --txid {last} restores".encode() in result.stderr, told(result)
    assert b"nothing can be restored" in seawall("list", files).stdout
    restored(files, stage.folder / "app2.db", "--txid", last)
    assert digest(stage.folder / "app2.db") == points(FILES)[last - 1]["sha256"]


def test_a_missing_wal_index_is_an_error_that_names_the_state_before_it(stage, generations):
    whole = listed(generations)["points"]
    older, newer = sorted({p["generation"] for p in whole}, key=lambda g: max(p["time"] for p in whole if p["generation"] == g))
    shutil.rmtree(generations / "generations" / newer)
    for path in list((generations / "generations" / older).rglob("*.lz4")):
        if path.parent.name == "snapshots" and not path.name.startswith("00000000") or path.name.startswith("00000001_"):
            path.unlink()
    result = restored(generations, stage.folder / "app2.db", code=CORRUPT)
    found = re.search(rb"HINT: --time (\S+) restores", result.stderr)
    assert b"objects are missing before " in result.stderr and found, told(result)
    restored(generations, stage.folder / "app2.db", "--time", found[1].decode(), "--integrity-check")
    last = max(p["time"] for p in whole if p["generation"] == older and p["index"] == "00000000")
    assert found[1].decode() == last


def flip(path, offset, bits=0x40):
    stat = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ bits]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_damaged_file_is_passed_over_if_others_have_its_transactions(stage, files):
    snapshot = max(files.glob("ltx/9/*.ltx"))
    flip(snapshot, snapshot.stat().st_size // 2)
    result = restored(files, stage.folder / "app2.db")
    assert b"other files have the same transactions" in result.stderr, told(result)
    assert digest(stage.folder / "app2.db") == points(FILES)[-1]["sha256"]


@pytest.mark.parametrize("where", ["first", "header", "middle", "checksum", "cut", "longer", "empty"])
def test_a_damaged_file_is_an_error_that_names_it(stage, where):
    replica = unpacked("frames", stage.folder / "litestream")
    path = max(replica.glob("ltx/0/*.ltx"))
    size = path.stat().st_size
    if where in ("cut", "longer", "empty"):
        data = path.read_bytes()
        path.write_bytes({"cut": data[:size // 2], "longer": data + b"x", "empty": b""}[where])
    else:
        flip(path, {"first": 0, "header": 30, "middle": size // 2, "checksum": size - 1}[where])
    result = restored(replica, stage.folder / "app2.db", code=CORRUPT)
    assert path.name.encode() in result.stderr and b"HINT: --txid " in result.stderr, told(result)
    before = int(re.search(rb"--txid (\d+)", result.stderr)[1])
    restored(replica, stage.folder / "app2.db", "--txid", before)
    assert digest(stage.folder / "app2.db") == next(p["sha256"] for p in points("frames") if p["options"] == ["--txid", str(before)])


@pytest.mark.parametrize("kind", ["snapshots", "wal"])
@pytest.mark.parametrize("where", ["first", "middle", "last", "cut", "longer", "empty"])
def test_damage_in_an_old_replica_is_an_error_that_names_the_object(stage, generations, kind, where):
    plan = max((path for path in generations.glob(f"generations/*/{kind}/*")), key=lambda path: path.stat().st_mtime_ns)
    stat = plan.stat()
    if where in ("cut", "longer", "empty"):
        data = plan.read_bytes()
        plan.write_bytes({"cut": data[:stat.st_size // 2], "longer": data + b"x", "empty": b""}[where])
        os.utime(plan, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    else:
        flip(plan, {"first": 0, "middle": stat.st_size // 2, "last": stat.st_size - 1}[where])
    result = restored(generations, stage.folder / "app2.db", code=CORRUPT)
    assert str(plan.relative_to(generations)).encode() in result.stderr and b"HINT: " in result.stderr, told(result)


def test_an_encrypted_replica_says_so(stage, generations):
    for path in generations.glob("generations/*/snapshots/*"):
        stat = path.stat()
        path.write_bytes(b"age-encryption.org/v1\n-> X25519 abc\n")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    result = restored(generations, stage.folder / "app2.db", code=USAGE)
    assert b"is encrypted with age" in result.stderr and b"HINT: " in result.stderr, told(result)


def test_a_copy_without_its_times_still_gives_the_newest_state(stage, generations):
    now = time.time_ns()
    for number, path in enumerate(sorted(generations.rglob("*"), reverse=True)):
        os.utime(path, ns=(now, now + number))   # the snapshots seem newer than the segments
    newest = listed(generations)["points"]
    assert newest
    restored(generations, stage.folder / "app2.db", "--integrity-check")


def test_a_replica_without_a_snapshot_has_nothing_to_restore(stage, generations):
    for path in list(generations.glob("generations/*/snapshots/*")):
        path.unlink()
    result = restored(generations, stage.folder / "app2.db", code=NOTHING)
    assert b"without a restore point" in result.stderr and b"HINT: " in result.stderr


@pytest.mark.parametrize("name, form", [(FILES, "litestream 0.5"), (GENERATIONS, "litestream 0.3")])
def test_json_of_a_restore_says_which_litestream_wrote_it(stage, name, form):
    replica, back = unpacked(name, stage.folder / "litestream"), stage.folder / "back.db"
    found = json.loads(restored(replica, back, "--json").stdout)
    assert (found["outcome"], found["format"], found["path"]) == ("restored", form, str(back))
    assert found["pages"] * found["page_size"] == back.stat().st_size and found["object"] and found["objects"] > 0
    assert set(found) == {"outcome", "replica", "format", "path", "txid", "time", "object", "pages", "page_size", "objects", "bytes", "undo"}
    assert (found["txid"] is None) == (name == GENERATIONS)
