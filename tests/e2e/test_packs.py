"""Packs: in a folder objects of level 0 become few files, every commit stays a restore point, and a kill at any moment harms nothing."""
import os

import pytest

from application import check
from compare import drop
from failing import Image
from killer import KILLED, Killer, moments
from seawall import DONE, restore_points, seawall, told, url_of
from waiting import wait_until

OBJECTS = 512   # that are packed together


def files(replica, folder):
    return sorted(os.listdir(replica / folder)) if (replica / folder).is_dir() else []


def has_all_points(replica, last):
    assert list(restore_points(replica)) == list(range(1, last + 1))


def must_be_sound(replica):
    result = seawall("verify", "--full", url_of(replica))
    assert result.returncode == DONE, told(result)


def put_objects(stage, *options):
    """Commits until there are more objects of level 0 than a pack needs, and stops the daemon."""
    stage.prepare()
    daemon = stage.replicate(*options)
    writer = stage.writer(rate=150)
    daemon.wait_for(lambda: len(files(stage.replica, "0")) > OBJECTS + 200, 60, "many objects")
    writer.stop()
    assert daemon.stop() == DONE, daemon.log()


def test_what_is_packed_goes_and_each_commit_stays_a_restore_point(stage):
    stage.prepare()
    daemon = stage.replicate()
    writer = stage.writer(rate=150)
    daemon.wait_for(lambda: files(stage.replica, "pack"), 60, "a pack")
    pack = files(stage.replica, "pack")[0]
    first, last = (int(text, 16) for text in pack.split("-"))
    daemon.wait_for(lambda: not any(first <= int(name, 16) <= last for name in files(stage.replica, "0")), 60, "what is packed goes")
    while_it_writes = seawall("verify", url_of(stage.replica))
    assert while_it_writes.returncode == DONE, told(while_it_writes)
    writer.stop()
    assert daemon.stop() == DONE, daemon.log()
    newest = stage.last_txid()
    has_all_points(stage.replica, newest)
    must_be_sound(stage.replica)
    known = {}
    for txid in (first, first + 1, (first + last) // 2, last - 1, last, last + 1, newest):
        restored = stage.restored(txid)
        known[txid] = check(restored)
        drop(restored)
    assert list(known.values()) == sorted(known.values()) and known[first] + 1 == known[first + 1], known
    shown = seawall("list", "--segments", url_of(stage.replica))
    assert f"pack/{pack}" in shown.stdout.decode(), told(shown)


def test_a_daemon_continues_behind_packs(stage):
    stage.prepare()
    daemon = stage.replicate()
    writer = stage.writer(rate=150)
    daemon.wait_for(lambda: files(stage.replica, "pack"), 60, "a pack")
    daemon.kill()
    writer.stop()
    daemon = stage.replicate()
    shipped = int(daemon.wait_log(r"continues at txid (\d+)")[1])
    assert daemon.stop() == DONE, daemon.log()
    assert stage.restores_source()
    points, last = list(restore_points(stage.replica)), stage.last_txid()
    assert points in (list(range(1, last + 1)), [*range(1, shipped + 1), last])   # what was captured and not shipped is one point with the rest


def test_without_prunes_nothing_is_packed(stage):
    put_objects(stage, "--prune-interval", "never")
    assert not files(stage.replica, "pack")


@pytest.fixture
def packed_late(stage):
    """A replica with more objects than a pack needs, and no pack; the next run with --once compacts and packs."""
    put_objects(stage, "--prune-interval", "never")
    for _ in range(2):   # objects of which no level has anything yet
        stage.writer(count=1).finish()
        result = seawall("replicate", "--once", "--fanout", "1000", stage.db, url_of(stage.replica))
        assert result.returncode == DONE, told(result)
    assert not files(stage.replica, "pack")
    stage.once_options = ("--fanout", "2")
    return stage


def test_a_kill_at_any_moment_of_packing_loses_no_restore_point(packed_late):
    stage, last = packed_late, packed_late.last_txid()
    kept_in = stage.folder / "kept"
    kept_in.mkdir()
    image = Image(kept_in, [*(f"{stage.db}{end}" for end in ("", "-wal", "-shm", "-seawall")), stage.replica])
    killer = Killer(stage)
    killer.once(0)
    assert files(stage.replica, "pack")
    calls, packs = killer.calls(), set()
    for n in sorted({*moments(calls, 16), calls}):   # packs come late: a sample alone can miss them
        image.put_back()
        killer.once(n)
        has_all_points(stage.replica, last)
        packs.add(len(files(stage.replica, "pack")))
        assert killer.once(0).returncode == DONE
        has_all_points(stage.replica, last)
        must_be_sound(stage.replica)
    assert len(packs) > 1, f"killed before each pack, or behind it: {packs}"


def test_a_kill_at_any_moment_of_deleting_loses_no_restore_point(packed_late):
    stage, last = packed_late, packed_late.last_txid()
    killer = Killer(stage)
    killer.once(0)
    assert files(stage.replica, "pack")
    wait_until(lambda: b"pack has its commits" in seawall("prune", "--dry-run", url_of(stage.replica)).stdout, 40, "the pack has settled")
    objects = len(files(stage.replica, "0"))
    for n in (2, 3, 20, 100, 250):
        result = seawall("prune", url_of(stage.replica), environment=killer.environment(n))
        assert result.returncode in (KILLED, DONE), told(result)
        has_all_points(stage.replica, last)
    assert len(files(stage.replica, "0")) < objects
    assert seawall("prune", url_of(stage.replica)).returncode == DONE
    assert len(files(stage.replica, "0")) <= objects - OBJECTS // 2
    has_all_points(stage.replica, last)
    must_be_sound(stage.replica)


def damage(path, at):
    with open(path, "r+b") as f:
        if at is None:
            f.truncate(os.path.getsize(path) // 2)
        else:
            f.seek(at)
            f.write(b"\xff\xff\xff")


def test_a_page_of_a_pack_that_is_damaged_costs_nothing_that_is_there_otherwise(packed_late):
    stage = packed_late
    Killer(stage).once(0)
    [pack] = files(stage.replica, "pack")
    txid = int(pack.split("-")[1], 16) - 1
    damage(stage.replica / "pack" / pack, 3000)
    past, without = stage.folder / "past.db", stage.folder / "without.db"
    result = seawall("restore", "--txid", txid, "-o", past, url_of(stage.replica))
    assert result.returncode == DONE and b"restored without its packs" in result.stderr, told(result)
    (stage.replica / "pack" / pack).unlink()
    assert seawall("restore", "--txid", txid, "-o", without, url_of(stage.replica)).returncode == DONE
    assert past.read_bytes() == without.read_bytes()


def test_a_damaged_pack_hides_nothing_and_is_put_again(packed_late):
    stage, last = packed_late, packed_late.last_txid()
    Killer(stage).once(0)
    [pack] = files(stage.replica, "pack")
    path = stage.replica / "pack" / pack
    for at in (None, 3000):
        damage(path, at)
        has_all_points(stage.replica, last)
        if at is None:
            drop(stage.restored(int(pack.split("-")[1], 16) - 1))
        result = seawall("verify", "--full", url_of(stage.replica))
        assert result.returncode != DONE and f"pack/{pack}" in told(result), told(result)
        daemon = stage.replicate("--prune-interval", "1s")
        daemon.wait_log("was damaged and is removed")
        daemon.wait_for(lambda: files(stage.replica, "pack"), 20, "a new pack")
        assert daemon.stop() == DONE, daemon.log()
        must_be_sound(stage.replica)
        has_all_points(stage.replica, last)
