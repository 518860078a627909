#!/usr/bin/env python3
"""Measures how long a daemon compares all pages at its start, with the file in the page cache: `resync.py GIB ...` (1 and 10), in build/bench.

  first copy    nothing is known: from the start to the log line "compared all pages", and until the base is complete
  closed        the application wrote and closed the database while the daemon was down: pages are compared with the state file
  torn map      the map in the state file is damaged: pages are compared with the indexes of the replica
  taken over    there is no state file: as with a torn map, with --take-over

Beside each time is the largest sample of the daemon's anonymous memory, in MiB."""
import re
import shutil
import sqlite3
import sys
from datetime import datetime, timezone
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "support")]

import sparse  # noqa: E402
from damage import FIRST_MAP_ENTRY, flip  # noqa: E402
from memory import Watched  # noqa: E402
from seawall import CHECKOUT, Daemon  # noqa: E402


def seconds_until(daemon, text, start):
    line = next(line for line in daemon.log().splitlines() if text in line)
    return (datetime.fromisoformat(re.match(r"\S+(?=Z )", line)[0]).replace(tzinfo=timezone.utc) - start).total_seconds()


def run(folder, what, until, *options):
    start = datetime.now(timezone.utc)
    daemon = Daemon(folder / "app.db", folder / "replica", folder / "log", *options)
    with Watched(daemon, folder / "app.db-wal") as watched:
        daemon.wait_for(lambda: until in daemon.log(), 3600, until)
    daemon.stop()
    took = seconds_until(daemon, "compared all pages", start)
    more = f", {seconds_until(daemon, until, start):.1f} s until it is all there" if until not in "compared all pages" else ""
    print(f"  {what:<12} {took:6.1f} s{more}, {watched.anonymous / 2**20:.0f} MiB", flush=True)


def commit(db):
    app = sqlite3.connect(db)
    app.execute("INSERT INTO t VALUES('another row')")
    app.commit()
    app.close()


def measure(gibibytes):
    folder = CHECKOUT / "build" / "bench" / f"resync-{gibibytes}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    db, state = folder / "app.db", folder / "app.db-seawall"
    sparse.database(db, gibibytes, filled=1000)
    print(f"{gibibytes} GiB:")
    run(folder, "first copy", "the base is complete")
    commit(db)
    run(folder, "closed", "compared all pages")
    commit(db)
    flip(state, FIRST_MAP_ENTRY + 3)
    run(folder, "torn map", "compared all pages")
    state.unlink()
    run(folder, "taken over", "compared all pages", "--take-over")
    shutil.rmtree(folder)


if __name__ == "__main__":
    for argument in sys.argv[1:] or ("1", "10"):
        measure(int(argument))
