#!/bin/sh
# SQLite 3.46.1: PRAGMA journal_mode=DELETE does not wait for the busy timeout when it leaves WAL mode.
#
# Leaving WAL mode needs the database alone. All other statements that need a lock wait for it as long as the busy timeout says. This one asks for the
# exclusive lock once, and calls no busy handler. So a migration with a busy timeout of 5 seconds fails beside any connection that is open for a
# moment, also one that is idle; it has to try again by itself.
#
# Seen:      "database is locked" after some milliseconds, although the other connection closes half a second later; at the next try it succeeds
# Expected:  it waits, and succeeds after half a second, as BEGIN IMMEDIATE does beside a writer
#
# Installs apsw 3.46.1.0 (PyPI), which has this version of SQLite in it, in a temporary folder; needs python3 with venv. Exit code 0: as described.
set -eu
dir=$(mktemp -d)
trap 'status=$?; rm -rf "$dir"; exit $status' EXIT
cd "$dir"
cat >check.py <<'END'
import apsw, sys, threading, time

def connect():
    db = apsw.Connection("app.db")
    db.set_busy_timeout(5000)
    return db

def attempt(db, statement):
    begun = time.monotonic()
    try:
        answer = list(db.execute(statement))
    except apsw.BusyError as error:
        answer = str(error)
    took = time.monotonic() - begun
    print(f"{statement}: {answer} after {took:.3f} s")
    return answer, took

def beside(statement, *others):
    """Runs `statement` while another connection does `others`, and closes half a second later."""
    opened = threading.Event()
    def other():
        db = connect()
        for one in others:
            list(db.execute(one))
        opened.set()
        time.sleep(0.5)
        db.close()
    thread = threading.Thread(target=other)
    thread.start()
    opened.wait()
    result = attempt(one, statement)
    thread.join()
    return result

one = connect()
list(one.execute("PRAGMA journal_mode=WAL"))
one.execute("CREATE TABLE t(x)")
print("SQLite", apsw.sqlite_lib_version())
writer = beside("BEGIN IMMEDIATE", "BEGIN IMMEDIATE")
one.execute("ROLLBACK")
leaving = beside("PRAGMA journal_mode=DELETE", "SELECT count(*) FROM t")
again = attempt(one, "PRAGMA journal_mode=DELETE")
as_seen = writer[0] == [] and writer[1] > 0.4 and isinstance(leaving[0], str) and leaving[1] < 0.3 and again[0] == [("delete",)]
sys.exit(0 if as_seen else 1)
END
python3 -m venv venv
venv/bin/pip install -q apsw==3.46.1.0
venv/bin/python check.py
