#!/bin/sh
# SQLite 3.46.1: the header of a WAL does not show that one generation follows another.
#
# The documentation of the file format calls bytes 12 to 15 of the WAL header the checkpoint sequence number, and says of salt-1 that it is incremented
# with each checkpoint. Both invite a program that follows a WAL to prove by them that it missed no generation. But the sequence number is counted by
# each connection for itself: it stays, jumps and falls, although the WAL was reset exactly once each time. And salt-1 is drawn at random, not
# incremented, when the first commit after a checkpoint that truncated the WAL comes from a connection that has not reset a WAL itself.
# So after a reset that a program did not watch, neither of the two says whether it missed a generation.
#
# Seen:      sequence numbers 0, 1, 1, 1, 1, 3, 0 for seven generations in a row; salt-1 rises by 1 each time, but for the last
# Expected:  0, 1, 2, 3, 4, 5, 6, and a salt-1 that rises by 1 each time
#
# Installs apsw 3.46.1.0 (PyPI), which has this version of SQLite in it, in a temporary folder; needs python3 with venv. Exit code 0: as described.
set -eu
dir=$(mktemp -d)
trap 'status=$?; rm -rf "$dir"; exit $status' EXIT
cd "$dir"
cat >check.py <<'END'
import apsw, struct, sys

def connect():
    db = apsw.Connection("app.db")
    db.execute("PRAGMA journal_mode=WAL").fetchall()
    db.execute("PRAGMA wal_autocheckpoint=0")
    return db

def header():
    with open("app.db-wal", "rb") as wal:
        return struct.unpack(">3I", wal.read(32)[12:24])[:2]   # sequence number, salt-1

generations = []

def commit_first(db):
    db.execute("INSERT INTO t VALUES (1)")
    generations.append(header())

def reset(mode):
    one.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()

one = connect()
one.execute("CREATE TABLE t(x)")
generations.append(header())
two = connect()
two.execute("SELECT * FROM t").fetchall()
for mode, writer in [("RESTART", two), ("RESTART", one), ("RESTART", connect()), ("TRUNCATE", two), ("TRUNCATE", one), ("TRUNCATE", connect())]:
    reset(mode)
    commit_first(writer)
numbers = [number for number, _ in generations]
steps = [(after - before) % 2 ** 32 for (_, before), (_, after) in zip(generations, generations[1:])]
print("SQLite", apsw.sqlite_lib_version(), "sequence numbers", numbers, "steps of salt-1", steps)
as_seen = numbers != sorted(numbers) and len(set(numbers)) < len(numbers) and steps[:5] == [1] * 5 and steps[5] != 1
sys.exit(0 if as_seen else 1)
END
python3 -m venv venv
venv/bin/pip install -q apsw==3.46.1.0
venv/bin/python check.py
