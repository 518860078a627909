#!/usr/bin/env python3
"""Makes tests/data/litestream again: small replicas that Litestream wrote, and what Litestream restores from them.

NAME.tar.xz  the replica, with the times of its files
NAME.json    {"version", "points": [{"options": what `seawall restore` is given, "sha256": of the file that Litestream restores}]}

Run it with `make make-litestream-data`; it needs about a minute. The bytes differ each time: times, salts and keys do."""
import json
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from litestream import FRAMES, LATEST, OLD, Litestream  # noqa: E402

DATA = ROOT / "tests" / "data" / "litestream"
QUICK = "monitor-interval: 50ms"
SYNC = "sync-interval: 50ms"


def database(path, page_size):
    db = sqlite3.connect(path, isolation_level=None, timeout=30)
    db.execute(f"PRAGMA page_size = {page_size}")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)")
    return db


def work(db, rounds):
    """Grows, changes, shrinks and grows again, with pauses in which Litestream copies."""
    for i in range(rounds):
        db.execute("BEGIN")
        db.executemany("INSERT INTO t(a, b) VALUES(?, ?)", [(f"{i}-{k}", f"text {i * k} " * 12) for k in range(10)])
        db.execute("UPDATE t SET a = a || ? WHERE id % 7 = ?", (f" {i}", i % 7))
        db.execute("COMMIT")
        if i % 7 == 5:
            db.execute("DELETE FROM t WHERE id % 3 <> 0")
            db.execute("VACUUM")
        time.sleep(0.35)


def pack(replica, name, version, points):
    DATA.mkdir(parents=True, exist_ok=True)
    with tarfile.open(DATA / f"{name}.tar.xz", "w:xz", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(replica.rglob("*")):
            if path.is_file():
                info = tar.gettarinfo(path, str(path.relative_to(replica)))
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                info.mode = 0o644
                with path.open("rb") as file:
                    tar.addfile(info, file)
    (DATA / f"{name}.json").write_text(json.dumps({"version": version, "points": points}, indent=1) + "\n")
    print(f"{name}: {len(points)} points, {(DATA / f'{name}.tar.xz').stat().st_size} bytes")


def points_05(litestream, replica, folder):
    """Each txid at which Litestream's own restore succeeds."""
    points = []
    for txid in sorted({int(path.stem[17:], 16) for path in replica.rglob("*.ltx")}):
        digest = litestream.restore(folder / f"at-{txid}.db", "-txid", f"{txid:016x}")
        if digest:
            points.append({"options": ["--txid", str(txid)], "sha256": digest})
    return points + [{"options": [], "sha256": litestream.restore(folder / "newest.db")}]


def points_03(litestream, replica, folder):
    """The end of each index of the generation, by the time of its last segment, and the newest state."""
    points = []
    for generation in sorted((replica / "generations").iterdir()):
        last = {}
        for path in sorted((generation / "wal").iterdir()):
            last[int(path.name[:8], 16)] = path
        for index, path in last.items():
            digest = litestream.restore(folder / f"at-{generation.name}-{index}.db", "-generation", generation.name, "-index", f"{index:08x}")
            stamp = path.stat().st_mtime_ns // 1_000_000
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(stamp // 1000)) + f".{stamp % 1000:03d}Z"
            points.append({"options": ["--time", text], "sha256": digest})
    return points + [{"options": [], "sha256": litestream.restore(folder / "newest.db")}]


def ltx(version, name, page_size, rounds):
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        replica = folder / "replica"
        db = database(folder / "app.db", page_size)
        litestream = Litestream(version, folder, folder / "app.db", replica, QUICK, SYNC).start()
        work(db, rounds)
        litestream.stop()
        own = litestream if version == LATEST else Litestream(LATEST, folder, folder / "app.db", replica)
        pack(replica, name, version, points_05(own, replica, folder))


def generations(name, page_size, rounds):
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        replica = folder / "replica"
        db = database(folder / "app.db", page_size)
        litestream = Litestream(OLD, folder, folder / "app.db", replica, QUICK + "\nmin-checkpoint-page-count: 60",
                                SYNC + "\nsnapshot-interval: 3s\nretention: 1h").start()
        work(db, rounds)
        litestream.stop()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("DELETE FROM t WHERE id % 2")
        litestream.start()  # it was away: a new generation
        work(db, 3)
        litestream.stop()
        pack(replica, name, OLD, points_03(litestream, replica, folder))


def main():
    for version in (LATEST, FRAMES, OLD):
        print(subprocess.run([ROOT / "build" / "litestream" / version / "litestream", "version"], capture_output=True, text=True).stdout.strip(), version)
    shutil.rmtree(DATA, ignore_errors=True)
    ltx(LATEST, "blocks", 1024, 18)
    ltx(FRAMES, "frames", 4096, 8)
    generations("generations", 1024, 20)


if __name__ == "__main__":
    main()
