#!/usr/bin/env python3
"""Measures readers of a replica without a restore: `reader.py [MEGABYTES] [COMMITS] [DELAY_MS]` (300 20000 25), in a folder of its own in build/bench.

A database of about that size is put into a bucket of the S3 server of the tests, with a base, and the commits after it. The server
delays each request. SQLite reads the replica through build/seawall.so, in this process; the server is another one. In the figures are the
time that Python takes, and that of the server, which is a Python program too.

open            a connection is opened, and one row is found by its primary key; nothing is cached: time, requests, bytes
lookups         more rows by primary keys, chosen at random: time and requests for each
scan            all rows of one table: bytes of pages in a second, against those of a restore
warm            lookups a second when all is in memory, against stock SQLite on the restored file
visible         from the end of a commit to the moment when a follower of the same server sees it, follow=100ms"""
import contextlib
import json
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support")]
SEAWALL = ROOT / "build" / "seawall"
LOOKUPS = 30

SERVER = """
import json, sys
sys.path[:0] = [sys.argv[1]]
from s3server import S3Server
with S3Server(keys={"AKTEST": "SKTEST"}, buckets=["bucket"]) as server:
    print(server.url, flush=True)
    for line in sys.stdin:
        word = line.split()
        if word[0] == "delay":
            server.no_faults()
            if float(word[1]):
                server.fault("latency", seconds=float(word[1]))
            print("ok", flush=True)
        else:
            records = server.requests(since=int(word[1]))
            print(json.dumps([len(records) + int(word[1]), sum(r.sent for r in records)]), flush=True)
"""


class Bucket:
    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-c", SERVER, ROOT / "tests" / "support"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.url = f"s3://bucket/app?endpoint={self.process.stdout.readline().strip()}&region=us-east-1"

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        return self.process.stdout.readline()

    def since(self, number=0):
        """(requests, bytes) after the request `number`."""
        count, sent = json.loads(self.ask("since", number))
        return count - number, sent


def end(process):
    process.terminate()
    process.wait()


def run(*arguments, **more):
    subprocess.run([SEAWALL, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)


def fill(app, megabytes):
    """Returns the bytes of the pages of `scanned`."""
    dice, rows = random.Random(1), megabytes * 1000
    words = ["".join(dice.choices("abcdefghijklmnop", k=dice.randrange(3, 9))) for _ in range(4000)]
    app.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, text TEXT, code BLOB)")
    app.execute("CREATE TABLE scanned(id INTEGER PRIMARY KEY, text TEXT, code BLOB)")
    app.execute("CREATE INDEX item_name ON item(name)")
    before = 0
    for table, count in (("item", rows - 100000), ("scanned", 100000)):
        before = app.execute("PRAGMA page_count").fetchone()[0]
        for _ in range(count // 5000):
            new = [(" ".join(dice.choices(words, k=90)), dice.randbytes(180)) for _ in range(5000)]
            app.execute("BEGIN")
            if table == "item":
                app.executemany("INSERT INTO item(name, text, code) VALUES(?, ?, ?)", ((text[:20], text, code) for text, code in new))
            else:
                app.executemany("INSERT INTO scanned(text, code) VALUES(?, ?)", new)
            app.execute("COMMIT")
    return 4096 * (app.execute("PRAGMA page_count").fetchone()[0] - before)


def prepare(folder, bucket, megabytes, commits, stack):
    db = folder / "app.db"
    app = sqlite3.connect(db, isolation_level=None)
    app.execute("PRAGMA journal_mode=wal")
    app.execute("PRAGMA synchronous=off")
    scanned = fill(app, megabytes)
    run("snapshot", "--base", db, bucket.url)
    log = open(folder / "log", "w")
    daemon = subprocess.Popen([SEAWALL, "replicate", "--base-interval", "10d", db, bucket.url], stderr=log)
    stack.callback(end, daemon)
    time.sleep(2)
    dice, rows = random.Random(2), app.execute("SELECT max(id) FROM item").fetchone()[0]
    for _ in range(commits):
        app.execute("UPDATE item SET text = text || 'x' WHERE id = ?", (dice.randrange(1, rows),))
    run("sync", db)
    return db, app, daemon, scanned


def connect(bucket, **parameters):
    from readers import reader
    return reader(bucket.url, **parameters)


def measure_cold(bucket, rows, delay):
    """In a process of its own: nothing is in its memory."""
    code = f"""
import sys, time, random
sys.path[:0] = [{str(ROOT / "tests" / "support")!r}]
from readers import loaded, reader
loaded()
started = time.monotonic()
read = reader(sys.argv[1])
read.execute("SELECT text FROM item WHERE id = ?", ({rows // 3},)).fetchone()
first = time.monotonic() - started
print(first, flush=True)
input()
dice, started = random.Random(3), time.monotonic()
for _ in range({LOOKUPS}):
    read.execute("SELECT text FROM item WHERE id = ?", (dice.randrange(1, {rows}),)).fetchone()
print((time.monotonic() - started) / {LOOKUPS}, flush=True)
input()
started = time.monotonic()
read.execute("SELECT sum(length(text) + length(code)) FROM scanned").fetchone()
print(time.monotonic() - started, flush=True)
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""
    before = bucket.since()[0]
    child = subprocess.Popen([sys.executable, "-c", code, bucket.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    first = float(child.stdout.readline())
    requests, size = bucket.since(before)
    print(f"| open and first lookup | {first * 1000:.0f} ms, {requests} requests, {size / 1e6:.2f} MB |", flush=True)
    before += requests
    print(file=child.stdin, flush=True)
    each = float(child.stdout.readline())
    requests, size = bucket.since(before)
    print(f"| a further lookup | {each * 1000:.0f} ms, {requests / LOOKUPS:.1f} requests, {size / LOOKUPS / 1e3:.0f} kB |", flush=True)
    before += requests
    print(file=child.stdin, flush=True)
    scan = float(child.stdout.readline())
    requests, _ = bucket.since(before)
    memory = int(child.stdout.readline()) / 1000
    child.wait()
    return scan, requests, memory


def lookups(connection, rows, seconds=3.0):
    dice, done, started = random.Random(4), 0, time.monotonic()
    while time.monotonic() - started < seconds:
        for _ in range(200):
            connection.execute("SELECT code FROM item WHERE id = ?", (dice.randrange(1, rows),)).fetchone()
        done += 200
    return done / (time.monotonic() - started)


def measure_visible(bucket, app, count=200):
    read, times = connect(bucket, follow="100ms"), []
    app.execute("CREATE TABLE clock(at REAL)")
    app.execute("INSERT INTO clock VALUES(0)")
    ended, path = threading.Event(), app.execute("PRAGMA database_list").fetchone()[2]

    def write():
        dice = random.Random(5)
        own = sqlite3.connect(path, isolation_level=None)
        for _ in range(count):
            time.sleep(0.2 + dice.random() * 0.3)
            own.execute("UPDATE clock SET at = ?", (time.time(),))
        time.sleep(1)
        ended.set()

    thread = threading.Thread(target=write)
    thread.start()
    last = 0
    while not ended.is_set():
        try:
            at = read.execute("SELECT at FROM clock").fetchone()[0]
        except sqlite3.OperationalError:
            at = last   # the table is not there yet
        if at != last and last:
            times.append(time.time() - at)
        last = at
        time.sleep(0.005)
    thread.join()
    return times


def measure(folder, stack, megabytes, commits, delay):
    bucket = Bucket()
    stack.callback(end, bucket.process)
    db, app, daemon, pages = prepare(folder, bucket, megabytes, commits, stack)
    rows = app.execute("SELECT max(id) FROM item").fetchone()[0]
    print(f"A database of {db.stat().st_size / 1e6:.0f} MB, {commits} commits behind its base, {delay} ms for each request:\n\n| | |\n|---|---|", flush=True)
    bucket.ask("delay", delay / 1000)
    scan, requests, memory = measure_cold(bucket, rows, delay)
    started = time.monotonic()
    run("restore", "-o", folder / "restored.db", bucket.url)
    restored = time.monotonic() - started
    restored_rate = (folder / "restored.db").stat().st_size / restored
    print(f"| a scan of {pages / 1e6:.0f} MB | {pages / scan / 1e6:.0f} MB/s, {requests} requests; a restore has {restored_rate / 1e6:.0f} MB/s "
          f"({100 * pages / scan / restored_rate:.0f} %) |")
    print(f"| peak memory of the process | {memory:.0f} MB |", flush=True)
    visible = measure_visible(bucket, app)
    print(f"| a commit is visible, follow=100ms, {len(visible)} times | p50 {statistics.median(visible) * 1000:.0f} ms, p99 {sorted(visible)[int(len(visible) * .99)] * 1000:.0f} ms |",
          flush=True)
    end(daemon)
    bucket.ask("delay", 0)
    few = min(rows, 8000)   # about 8 MB: they fit into the memory for blocks, and not into the cache of SQLite
    local, read = sqlite3.connect(folder / "restored.db"), connect(bucket)
    for connection in (local, read):
        lookups(connection, few, 1)
    pairs = [(lookups(local, few), lookups(read, few)) for _ in range(3)]
    stock, ours = (statistics.median(column) for column in zip(*pairs))
    print(f"| warm lookups | {ours:.0f}/s; stock SQLite on the file {stock:.0f}/s ({ours / stock:.2f}) |")


def main():
    megabytes, commits, delay = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 300), (2, 20000), (3, 25)))
    (ROOT / "build" / "bench").mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="reader-", dir=ROOT / "build" / "bench"))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(AWS_ACCESS_KEY_ID="AKTEST", AWS_SECRET_ACCESS_KEY="SKTEST", AWS_EC2_METADATA_DISABLED="true")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        measure(folder, stack, megabytes, commits, delay)


if __name__ == "__main__":
    main()
