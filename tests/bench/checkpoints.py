#!/usr/bin/env python3
"""Measures checkpoints of an application beside the daemon: how many return busy, and how long they take.

    tests/bench/checkpoints.py [ROUNDS]

One connection with a busy timeout of 10 s. A round is one commit, a pause, and PRAGMA wal_checkpoint. Prints a table for docs/figures.md."""
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAUSES_MS = (0, 30, 1500)
PAGES = (1, 900)   # of a commit, about


def measure(mode, pages, pause_ms, options, rounds):
    """Returns (how many were busy, the longest in ms)."""
    with tempfile.TemporaryDirectory() as folder:
        db = pathlib.Path(folder) / "app.db"
        app = sqlite3.connect(db, isolation_level=None, timeout=10)
        for statement in ("PRAGMA journal_mode=wal", "PRAGMA wal_autocheckpoint=0", "CREATE TABLE t(a)"):
            app.execute(statement).fetchall()
        command = [ROOT / "build" / "seawall", "replicate", "--control", folder, *options, db, f"{folder}/replica"]
        daemon = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in daemon.stderr:
            if "up to date at txid" in line:
                break
        busy = longest = 0
        for _ in range(rounds):
            app.execute("BEGIN")
            for _ in range(pages):
                app.execute("INSERT INTO t VALUES(randomblob(3500))")
            app.execute("COMMIT")
            time.sleep(pause_ms / 1000)
            begun = time.monotonic()
            busy += app.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()[0]
            longest = max(longest, time.monotonic() - begun)
        app.close()
        daemon.terminate()
        daemon.communicate()
        return busy, 1000 * longest


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    print("| checkpoint | pages of a commit | pause after it, ms | busy | longest, ms | busy with `--lock-at never` |\n|---|---|---|---|---|---|")
    for mode in ("RESTART", "TRUNCATE", "FULL"):
        for pages in PAGES:
            for pause_ms in PAUSES_MS:
                count = rounds if pause_ms < 1000 else max(1, rounds // 6)
                busy, longest = measure(mode, pages, pause_ms, (), count)
                never, _ = measure(mode, pages, pause_ms, ("--lock-at", "never"), count)
                print(f"| {mode} | {pages} | {pause_ms} | {busy} of {count} | {longest:.0f} | {never} of {count} |", flush=True)


if __name__ == "__main__":
    main()
