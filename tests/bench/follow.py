#!/usr/bin/env python3
"""Measures `seawall follow`: how long a commit takes to be seen by a reader of the copy, with the replica in a folder and in a Ceph object
gateway, and what an idle copy costs on S3.

    follow.py [--commits N] [--interval TIME] [--only folder|gateway]

An application commits its own time, at random moments, about 20 times a second, with the daemon at its defaults. A reader asks the copy for
the newest row once a millisecond, with stock SQLite in a process of its own. Both use the clock of this machine."""
import argparse
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SEAWALL = Path(os.environ.get("SEAWALL", ROOT / "build" / "seawall"))
FOLDER = ROOT / "build" / "bench" / "follow"
PAUSES_S = 0.02, 0.08
GET, LIST, DAYS = 0.0004 / 1000, 0.005 / 1000, 30   # dollars, us-east-1
POLL_S, SURVEY_POLLS = 30, 4   # of an idle copy at the defaults

READER = """
import sqlite3, sys, time
db = sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True, isolation_level=None, timeout=10)
seen = 0
while True:
    n, at = db.execute("SELECT n, at FROM t ORDER BY n DESC LIMIT 1").fetchone()
    if n > seen:
        now = time.time()
        for row in db.execute("SELECT n, at FROM t WHERE n > ?", (seen,)):
            print(row[0], now - row[1], flush=True)
        seen = n
    time.sleep(0.001)
"""


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def wait(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"bench-follow: not within {seconds} s: {what}")
        time.sleep(0.02)


def latencies(name, url, commits, interval):
    """Of each commit, in ms."""
    folder = FOLDER / name
    folder.mkdir(parents=True)
    db, copy = folder / "app.db", folder / "copy.db"
    app = sqlite3.connect(db, isolation_level=None, timeout=10)
    app.execute("PRAGMA journal_mode=wal")
    app.execute("CREATE TABLE t(n INTEGER PRIMARY KEY, at REAL)")
    app.execute("INSERT INTO t VALUES(0, 0)")
    processes = []
    try:
        for verb, arguments in ("replicate", [db, url]), ("follow", ["-o", copy, "--interval", interval, url]):
            with open(folder / f"{verb}.log", "wb") as log:
                processes.append(subprocess.Popen([SEAWALL, verb, *map(str, arguments)], stdout=log, stderr=log))
            if verb == "replicate":
                wait(lambda: subprocess.run([SEAWALL, "list", url], capture_output=True).returncode == 0, 60, "a restore point")
        wait(copy.exists, 30, "the copy is there")
        wait(lambda: b"newest transaction" in (folder / "follow.log").read_bytes(), 30, "the copy is current")
        with open(folder / "seen", "wb") as seen:
            processes.append(subprocess.Popen([sys.executable, "-c", READER, str(copy)], stdout=seen))
        time.sleep(1)
        for n in range(1, commits + 1):
            app.execute("INSERT INTO t VALUES(?, ?)", (n, time.time()))
            time.sleep(random.uniform(*PAUSES_S))
        wait(lambda: len((folder / "seen").read_text().splitlines()) >= commits, 60, "all commits are seen")
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGTERM)
            process.wait()
        app.close()
    return [1000 * float(line.split()[1]) for line in (folder / "seen").read_text().splitlines()][:commits]


def idle_cost(gateway, prefix):
    """Requests a day and dollars a month of an idle copy: the poll and the survey are counted, the rest is arithmetic."""
    before = gateway.requests(prefix)
    copy = FOLDER / "idle.db"
    process = subprocess.Popen([SEAWALL, "follow", "-o", copy, "--interval", "100ms", "--max-interval", "100ms", f"s3://{gateway.bucket}/{prefix}?endpoint={gateway.endpoint}"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(5)
    first = gateway.requests(prefix)
    time.sleep(30)
    process.send_signal(signal.SIGTERM)
    process.wait()
    counts = gateway.requests(prefix) - first
    lists, gets = counts["LIST"], counts["GET"]
    surveys = max(1, round(30 / 10))
    per_survey = max(1, round(lists / surveys))
    polls_a_day = 86400 / POLL_S
    surveys_a_day = polls_a_day / SURVEY_POLLS
    a_day = polls_a_day + surveys_a_day * (per_survey + 1)
    dollars = DAYS * ((polls_a_day + surveys_a_day) * GET + surveys_a_day * per_survey * LIST)
    print(f"idle, 30 s at --interval 100ms: {gets} GET, {lists} LIST (start: {sum((first - before).values())} requests)")
    print(f"an idle copy at the defaults: {a_day:.0f} requests a day, ${dollars:.3f} a month")


def report(name, values, interval):
    print(f"{name}: commit to visible, --interval {interval}, {len(values)} commits: p50 {quantile(values, 0.5):.0f} ms, "
          f"p99 {quantile(values, 0.99):.0f} ms, longest {max(values):.0f} ms", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--commits", type=int, default=400)
    parser.add_argument("--interval", default="100ms")
    parser.add_argument("--only", choices=["folder", "gateway"])
    given = parser.parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    if given.only != "gateway":
        report("folder", latencies("folder", f"file://{FOLDER}/replica", given.commits, given.interval), given.interval)
    if given.only != "folder":
        from gateway import Gateway
        gateway = Gateway(FOLDER / "gateway")
        try:
            report("gateway", latencies("s3", f"s3://{gateway.bucket}/follow?endpoint={gateway.endpoint}", given.commits, given.interval), given.interval)
            idle_cost(gateway, "follow")
        finally:
            gateway.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
