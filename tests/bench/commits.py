#!/usr/bin/env python3
"""Measures what it costs a program to wait until each commit is durable (seawall_wait_on_commit), with the replica in a folder and in a Ceph
object gateway: the time of a commit for 1 to 100 connections, commits a second, and PUTs.

    commits.py [--seconds N] [--only folder|gateway]

Each connection has a thread of its own and commits one row after the other, with synchronous=NORMAL. "alone" is the same without waiting,
beside the same daemon. Database, daemon and store are on one machine: to a real store add the round trip of a PUT."""
import argparse
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SEAWALL = Path(os.environ.get("SEAWALL", ROOT / "build" / "seawall"))
FOLDER = ROOT / "build" / "bench" / "commits"
CONNECTIONS = 1, 10, 100


def connect(db):
    connection = sqlite3.connect(db, timeout=60, isolation_level=None, check_same_thread=False)
    connection.enable_load_extension(True)
    connection.load_extension(str(SEAWALL.parent / "seawall.so"))
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def load(db, count, seconds, waits):
    """The times of all commits in ms, by `count` connections for so many seconds."""
    connections = [connect(db) for _ in range(count)]
    for connection in connections if waits else ():
        connection.execute("SELECT seawall_wait_on_commit(1, 60000)").fetchone()
    times, end = [], time.monotonic() + seconds

    def work(connection):
        while time.monotonic() < end:
            begun = time.monotonic()
            connection.execute("INSERT INTO t VALUES(randomblob(100))")
            times.append(1000 * (time.monotonic() - begun))
            if not waits:
                time.sleep(0.01)   # flat out, they would measure each other

    threads = [threading.Thread(target=work, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for connection in connections:
        connection.close()
    return sorted(times)


def measure(name, url, seconds, puts):
    folder = FOLDER / name
    folder.mkdir(parents=True)
    db = folder / "app.db"
    app = sqlite3.connect(db, isolation_level=None)
    app.execute("PRAGMA journal_mode=wal")
    app.execute("CREATE TABLE t(a)")
    with open(folder / "replicate.log", "wb") as log:
        daemon = subprocess.Popen([SEAWALL, "replicate", db, url], stdout=log, stderr=log)
    try:
        while subprocess.run([SEAWALL, "sync", db], capture_output=True).returncode:
            time.sleep(0.1)
        for count in CONNECTIONS:
            alone = load(db, count, seconds / 2, False)
            before = puts()
            times = load(db, count, seconds, True)
            print(f"{name}, {count} connection{'s' * (count > 1)}: a commit takes p50 {statistics.median(times):.1f} ms, "
                  f"p99 {times[int(0.99 * len(times))]:.1f} ms (alone {statistics.median(alone):.2f}, {alone[int(0.99 * len(alone))]:.2f}); "
                  f"{len(times) / seconds:.0f} commits/s, {len(times) / max(1, puts() - before):.1f} commits in a PUT", flush=True)
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()
        app.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--only", choices=("folder", "gateway"))
    options = parser.parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    if options.only != "gateway":
        replica = FOLDER / "folder" / "replica"
        names = set()

        def objects():
            names.update(os.listdir(replica / "0"))   # packed ones go
            return len(names)
        measure("folder", replica, options.seconds, objects)
    if options.only != "folder":
        import gateway
        server = gateway.Gateway(FOLDER / "server")
        try:
            measure("gateway", f"s3://{server.bucket}/commits?endpoint={server.endpoint}", options.seconds,
                    lambda: sum(one.kind == "PUT" and "/0/" in one.key for one in server.log("commits")))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
