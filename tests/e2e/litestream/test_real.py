"""Replicas that Litestream writes now, restored by Litestream and by Seawall: the files must be equal, byte by byte. `make check-litestream`."""
import datetime
import json
import os
import random
import shutil
import sqlite3
import time

import pytest

from compare import assert_sound
from litestream import FRAMES, LATEST, OLD, Litestream, sha256
from seawall import DONE, seawall, told
from waiting import let_pass

QUICK, SYNC = "monitor-interval: 20ms", "sync-interval: 20ms"


def database(path, page_size, auto_vacuum="none"):
    db = sqlite3.connect(path, isolation_level=None, timeout=60)
    db.execute(f"PRAGMA page_size = {page_size}")
    db.execute(f"PRAGMA auto_vacuum = {auto_vacuum}")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.execute("CREATE INDEX i ON t(a)")
    return db


def work(db, seconds, seed=1):
    """Inserts, updates, deletes, large transactions, VACUUM; as many commits as fit."""
    dice, commits, end = random.Random(seed), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        kind = dice.random()
        db.execute("BEGIN")
        if kind < 0.6:
            db.executemany("INSERT INTO t(a) VALUES(?)", [(dice.randbytes(dice.choice((10, 300, 9000))),) for _ in range(dice.choice((1, 5, 50)))])
        elif kind < 0.8:
            db.execute("UPDATE t SET a = randomblob(200) WHERE id % 11 = ?", (dice.randrange(11),))
        else:
            db.execute("DELETE FROM t WHERE id % 5 = ? OR id < (SELECT max(id) - 3000 FROM t)", (dice.randrange(5),))
        db.execute("COMMIT")
        if dice.random() < 0.01:
            db.execute("VACUUM")
        commits += 1
    return commits


def restored(replica, target, *options):
    result = seawall("restore", *options, "-o", target, replica, seconds=600)
    assert result.returncode == DONE, told(result)
    return sha256(target)


def is_sound(path):
    connection = sqlite3.connect(path)
    found = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    return found == [("ok",)]


def replicated(stage, version, page_size, seconds=8, auto_vacuum="none", more=""):
    stage.folder.mkdir(exist_ok=True)
    replica = stage.folder / "litestream"
    db = database(stage.db, page_size, auto_vacuum)
    program = Litestream(version, stage.folder, stage.db, replica, QUICK + more, SYNC + ("\nsnapshot-interval: 3s\nretention: 1h" if version == OLD else "")).start()
    commits = work(db, seconds)
    let_pass(0.5, "Litestream copies the last commits")
    program.stop()
    db.close()
    return program, replica, commits


@pytest.mark.parametrize("version, page_size, auto_vacuum", [
    (LATEST, 512, "none"), (LATEST, 4096, "full"), (LATEST, 65536, "none"), (FRAMES, 1024, "none"), (FRAMES, 65536, "incremental")])
def test_each_txid_of_0_5_is_restored_as_litestream_restores_it(stage, version, page_size, auto_vacuum):
    program, replica, commits = replicated(stage, version, page_size, auto_vacuum=auto_vacuum)
    own = program if version == LATEST else Litestream(LATEST, stage.folder, stage.db, replica)
    points = json.loads(seawall("list", "--json", replica).stdout)["points"]
    chosen = sorted(random.Random(2).sample(points, min(25, len(points))), key=lambda point: point["txid"])
    print(f"{version}: {commits} commits, {len(points)} points, pages of {page_size}")
    for point in chosen:
        txid = point["txid"]
        theirs = own.restore(stage.folder / f"theirs-{txid}.db", "-txid", f"{txid:016x}")
        ours = restored(replica, stage.folder / f"ours-{txid}.db", "--txid", txid)
        assert ours == theirs, f"txid {txid}"
        for name in ("ours", "theirs"):
            os.remove(stage.folder / f"{name}-{txid}.db")
    assert restored(replica, stage.folder / "ours.db") == own.restore(stage.folder / "theirs.db")
    assert_sound(stage.folder / "ours.db")


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_each_index_of_0_3_is_restored_as_litestream_restores_it(stage, page_size):
    program, replica, commits = replicated(stage, OLD, page_size, more="\nmin-checkpoint-page-count: 300")
    points = json.loads(seawall("list", "--json", replica).stdout)["points"]
    ends = {(point["generation"], point["index"]): point for point in points if "offset" in point}   # the last segment of each index
    print(f"0.3.13: {commits} commits, {len(points)} points, {len(ends)} indexes, pages of {page_size}")
    compared = 0
    for (generation, index), point in ends.items():
        later = [other for other in points if (other["index"], other.get("offset", "")) > (index, point["offset"])]
        if any(other["time"] <= point["time"] for other in later):
            continue   # a later segment was stored first, so this time restores more than this index
        theirs = program.restore(stage.folder / f"theirs-{index}.db", "-generation", generation, "-index", index)
        if not is_sound(stage.folder / f"theirs-{index}.db"):
            continue   # a mix of two states: findings/litestream-mixed-states.sh
        assert restored(replica, stage.folder / f"ours-{index}.db", "--time", point["time"]) == theirs, (generation, index)
        compared += 1
    assert compared
    assert restored(replica, stage.folder / "ours.db") == program.restore(stage.folder / "theirs.db")
    assert_sound(stage.folder / "ours.db")


def test_each_moment_of_0_3_gives_one_state_and_never_a_mix(stage):
    """Snapshots are made between the segments of a WAL, and have pages of commits that are in no segment yet. Between them Litestream's
    own restore gives a mix of two states (findings/litestream-mixed-states.sh)."""
    db = database(stage.db, 4096)
    db.executemany("INSERT INTO t(a) VALUES(?)", ((n,) for n in range(20000)))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    program = Litestream(OLD, stage.folder, stage.db, stage.folder / "litestream", "", "sync-interval: 5s\nsnapshot-interval: 2s\nretention: 1h").start()
    end = time.monotonic() + 22
    while time.monotonic() < end:
        db.execute("UPDATE t SET a = random() WHERE id = ?", (random.randrange(20000),))
        let_pass(0.005, "an application with pauses")
    program.stop()
    told_json = json.loads(seawall("list", "--json", stage.folder / "litestream").stdout)
    first, last = (datetime.datetime.fromisoformat(told_json[key]).timestamp() for key in ("first_time", "last_time"))
    for number in range(int((last - first) * 2)):
        moment = datetime.datetime.fromtimestamp(first + number / 2 + 0.25, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")[:-4] + "Z"
        target = stage.folder / f"{number}.db"
        restored(stage.folder / "litestream", target, "--time", moment, "--integrity-check")
        os.remove(target)
    assert number > 10


def test_a_database_with_the_page_of_the_lock_byte(stage):
    """Over 1 GiB: SQLite leaves one page out, and so do the files of Litestream. The times of both restores are printed."""
    replica = stage.folder / "litestream"
    db = database(stage.db, 4096)
    db.execute("BEGIN")
    db.execute("DROP INDEX i")
    for _ in range(9):
        db.execute("INSERT INTO t(a) VALUES(zeroblob(120000000))")
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    program = Litestream(LATEST, stage.folder, stage.db, replica, QUICK, SYNC).start()
    for n in range(5):
        db.execute("INSERT INTO t(a) VALUES(randomblob(5000))")
        let_pass(0.3, "Litestream copies it alone")
    let_pass(10, "Litestream copies and compacts")
    program.stop()
    size = stage.db.stat().st_size
    assert size > 1 << 30
    began = time.monotonic()
    ours = restored(replica, stage.folder / "ours.db")
    between = time.monotonic()
    theirs = program.restore(stage.folder / "theirs.db")
    print(f"{size} bytes: seawall {between - began:.1f} s, litestream {time.monotonic() - between:.1f} s (with its own SHA-256)")
    assert ours == theirs
    shutil.rmtree(replica)
