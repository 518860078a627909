#!/bin/sh
# SQLite 3.46.1: sqlite3_db_readonly() calls a database writable although no write can succeed, because of the -wal.
#
# The -wal belongs to the process that made it. A connection of another user, which may write the database file and only read the -wal, opens that
# one for reading and says nothing. Its transactions read well, and sqlite3_db_readonly() answers 0. Every write and every checkpoint fails, with
# "attempt to write a readonly database", and goes on to do so when the permission is there: the file stays open for reading.
#
# Seen:      readonly is False, the journal mode is wal; BEGIN IMMEDIATE and a checkpoint fail, also after chmod; a new connection writes
# Expected:  readonly is True; or the connection writes once it may
#
# Installs apsw 3.46.1.0 (PyPI), which has this version of SQLite in it, in a temporary folder; needs python3 with venv. If it runs as root, the second
# connection is of the user 65534. Exit code 0: as described.
set -eu
dir=$(mktemp -d)
trap 'status=$?; rm -rf "$dir"; exit $status' EXIT
cd "$dir"
cat >check.py <<'END'
import apsw, os, sys

def attempt(db, statement):
    try:
        answer = list(db.execute(statement))
    except apsw.ReadOnlyError as error:
        answer = str(error)
    print(f"{statement}: {answer}", flush=True)
    return answer

def second_user():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    two = apsw.Connection("app.db")
    print("rows", list(two.execute("SELECT count(*) FROM t")), "readonly", two.readonly("main"), flush=True)
    said = two.readonly("main")
    before = [attempt(two, statement) for statement in ("PRAGMA journal_mode", "BEGIN IMMEDIATE", "PRAGMA wal_checkpoint(PASSIVE)")]
    os.write(asked, b"?")
    os.read(granted, 1)
    after = [attempt(two, "BEGIN IMMEDIATE"), two.readonly("main")]
    new = attempt(apsw.Connection("app.db"), "BEGIN IMMEDIATE")
    refused = "ReadOnlyError: attempt to write a readonly database"
    return said is False and before == [[("wal",)], refused, refused] and after == [refused, False] and new == []

os.mkdir("open")
os.chmod("open", 0o777)
os.chdir("open")
one = apsw.Connection("app.db")
list(one.execute("PRAGMA journal_mode=WAL"))
one.execute("CREATE TABLE t(x)")
for name in os.listdir("."):
    os.chmod(name, 0o666)
os.chmod("app.db-wal", 0o444)
print("SQLite", apsw.sqlite_lib_version(), flush=True)
(ask, asked), (granted, grant) = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os._exit(0 if second_user() else 1)
os.close(asked)
os.read(ask, 1)
os.chmod("app.db-wal", 0o666)
print("now it may write the -wal", flush=True)
os.write(grant, b"!")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
END
chmod 755 .
python3 -m venv venv
venv/bin/pip install -q apsw==3.46.1.0
venv/bin/python check.py
