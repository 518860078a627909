"""`seawall list` shows the restore points and the objects of a replica, as text and as JSON."""
import json
import re
import shutil
import subprocess

import pytest

from seawall import BINARY, CORRUPT, DONE, NOTHING, level_zero, listing, objects, restore, seawall, told, url_of

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture
def replica(stage):
    """Transactions that are restore points of their own, then several in one restore point, because no daemon ran."""
    stage.prepare()
    daemon = stage.replicate()
    stage.writer(rate=300, count=20).finish()
    assert daemon.stop() == DONE
    stage.fine = stage.last_txid()
    stage.writer(count=30).finish()
    assert stage.replicate("--once", live=False).wait() == DONE
    return stage.replica


def text(replica, *options):
    result = seawall("list", *options, url_of(replica))
    assert result.returncode == DONE and not result.stderr, told(result)
    return result.stdout.decode().splitlines()


def segments(replica):
    result = seawall("list", "--json", "--segments", url_of(replica))
    assert result.returncode == DONE, told(result)
    return {segment["key"]: segment for segment in json.loads(result.stdout)["segments"]}


def test_ranges_have_the_same_points_as_the_list_of_points(stage, replica):
    told_json = listing(replica)
    points = [point["txid"] for point in told_json["points"]]
    assert sum(each["count"] for each in told_json["ranges"]) == len(points)
    at = 0
    for each in told_json["ranges"]:
        inside = [point for point in told_json["points"] if each["first_txid"] <= point["txid"] <= each["last_txid"]]
        assert len(inside) == each["count"] and inside[-1]["txid"] == each["last_txid"] and each["first_txid"] > at
        assert (inside[0]["time"], inside[-1]["time"]) == (each["first_time"], each["last_time"])
        assert each["every"] == (each["count"] == each["last_txid"] - each["first_txid"] + 1)
        at = each["last_txid"]
    assert at == told_json["last_txid"] == points[-1] and told_json["first_txid"] == points[0]


def test_text_prints_ranges_levels_and_a_summary(stage, replica):
    lines = text(replica)
    told_json = listing(replica)
    assert len(lines) < 10 < len(told_json["points"])
    assert any(re.fullmatch(rf"txid 1 to \d+, {TIME} to {TIME}, every transaction", line) for line in lines), lines
    assert any(re.fullmatch(rf"level 0: {len(level_zero(replica))} objects, .*, txid 1 to {told_json['last_txid']}", line) for line in lines)
    assert lines[-1].startswith(f"{len(told_json['points'])} restore points in {told_json['objects']} objects, ")


def test_points_are_printed_one_by_one_when_asked_for(stage, replica):
    lines = text(replica, "--points")
    told_json = listing(replica)
    assert lines[0].split() == ["txid", "time", "pages"]
    assert [int(line.split()[0]) for line in lines[1:-1]] == [point["txid"] for point in told_json["points"]]
    assert lines[-1] == text(replica)[-1]


def test_the_list_of_segments_has_all_objects(stage, replica):
    found = segments(replica)
    assert sorted(found) == objects(replica)
    assert all(segment["bytes"] == (replica / key).stat().st_size for key, segment in found.items())
    first = found["0/0000000000000001"]
    assert first["kind"] == "segment" and first["level"] == 0 and first["first_txid"] == 1 and "from_empty" in first["flags"]
    lines = text(replica, "--segments")
    assert {line.split()[5] for line in lines[1:-1]} == set(found)
    assert "  from_empty" in next(line for line in lines if "0/0000000000000001" in line)


def test_a_large_database_has_a_base_and_a_chunk_without_a_marker_is_an_orphan(stage):
    stage.writer(count=1, rows=220000).finish()   # larger than one segment may be
    assert stage.replicate("--once", live=False).wait() == DONE
    base, = listing(stage.replica)["bases"]
    chunks = [key for key in objects(stage.replica) if key.startswith("base/") and not key.endswith(("marker", "interior"))]
    assert base["state"] == "complete" and base["chunks"] == len(chunks) > 1 and base["max"] >= base["start"]
    assert any(re.fullmatch(rf"base from txid \d+ to \d+, {TIME}, .* in {len(chunks)} chunks, complete", line) for line in text(stage.replica))
    assert not any("orphan" in segment["flags"] for segment in segments(stage.replica).values())
    marker, = stage.replica.glob("base/*/marker")
    kept = marker.read_bytes()
    marker.unlink()
    result = seawall("list", url_of(stage.replica))
    assert result.returncode == NOTHING and not result.stdout, told(result)   # no restore point, but objects can be listed
    assert all(segments(stage.replica)[key]["flags"] == ["orphan"] for key in chunks)
    marker.write_bytes(kept)
    (stage.replica / chunks[0]).unlink()
    result = seawall("list", "--json", url_of(stage.replica))   # nothing can be restored: a person must see why
    assert result.returncode == CORRUPT and b"seawall verify" in result.stderr, told(result)
    told_json = json.loads(result.stdout)
    assert told_json["bases"][0]["state"] == "lacks chunks" and told_json["points"] == []


def test_a_damaged_object_is_reported(stage, replica):
    path = replica / "0" / level_zero(replica)[-1]
    whole = path.read_bytes()
    path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    assert [key for key, segment in segments(replica).items() if "damaged" in segment["flags"]] == [f"0/{path.name}"]


def test_objects_without_seawall_json_do_not_count_as_an_empty_place(stage, replica):
    (replica / "seawall.json").unlink()
    for result in (seawall("list", url_of(replica)), restore(replica, stage.folder / "x.db")):
        assert result.returncode not in (DONE, NOTHING) and b"seawall.json" in result.stderr, told(result)
    shutil.rmtree(replica / "0")
    assert seawall("list", url_of(replica)).returncode == NOTHING


def test_a_reader_that_stops_early_is_no_error_and_a_full_disk_is_one(stage, replica):
    piped = subprocess.run(f"{BINARY} list --points {replica} | head -n 1", shell=True, capture_output=True, timeout=60)
    assert piped.stdout.split() == [b"txid", b"time", b"pages"] and not piped.stderr
    with open("/dev/full", "wb") as full:
        result = subprocess.run([BINARY, "list", replica], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert result.returncode == 1 and b"No space left" in result.stderr
