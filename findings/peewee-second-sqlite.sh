#!/bin/sh
# peewee 4.5.3 with pysqlite3-binary 0.5.4.post2 (PyPI): a read by peewee drops the locks that the sqlite3 module holds.
#
# peewee uses pysqlite3 if it can be imported, and Python's sqlite3 otherwise. If any package of the environment brings pysqlite3, a program that
# uses both peewee and sqlite3 has two copies of SQLite in one process. POSIX locks belong to the process, and go when any descriptor of the file
# is closed. Each copy of SQLite avoids that for its own descriptors alone.
#
# Seen:      sqlite3 is in BEGIN IMMEDIATE; peewee reads and closes; then another process gets BEGIN IMMEDIATE too. Without pysqlite3 it does not
# Expected:  "database is locked" in both cases
#
# Installs the packages in a temporary folder; needs python3 with venv. Nothing is written in the transactions. Exit code 0: as described.
set -eu
dir=$(mktemp -d)
trap 'status=$?; rm -rf "$dir"; exit $status' EXIT
cd "$dir"
cat >both.py <<'EOF'
import os, sqlite3, subprocess, sys
import peewee
if os.path.exists("app.db"):
    os.unlink("app.db")
db = sqlite3.connect("app.db", timeout=0, isolation_level=None)
db.execute("CREATE TABLE t(a)")
db.execute("BEGIN IMMEDIATE")
other = peewee.SqliteDatabase("app.db")
other.execute_sql("SELECT * FROM t").fetchall()
other.close()
print("sqlite3", sqlite3.sqlite_version, "peewee", peewee.sqlite3.sqlite_version, flush=True)
subprocess.run([sys.executable, "second.py"], check=True)
db.execute("ROLLBACK")
EOF
cat >second.py <<'EOF'
import sqlite3
db = sqlite3.connect("app.db", timeout=0, isolation_level=None)
try:
    db.execute("BEGIN IMMEDIATE")
    print("another process: BEGIN IMMEDIATE succeeds")
    db.execute("ROLLBACK")
except sqlite3.OperationalError as error:
    print("another process:", error)
EOF
python3 -m venv venv
venv/bin/pip install -q peewee==4.5.3
venv/bin/python both.py | tee alone
venv/bin/pip install -q pysqlite3-binary==0.5.4.post2
venv/bin/python both.py | tee together
grep -q 'another process: database is locked' alone && grep -q 'another process: BEGIN IMMEDIATE succeeds' together
