#!/bin/sh
# SQLite 3.40.1: PRAGMA integrity_check calls a disk that fails a damaged database.
#
# If the read of the root page of a table fails with an I/O error, the pragma of 3.40.1 succeeds and reports "unable to get the page. error code=10"
# and every page below as "never used": the words for a file that lost its contents. Whoever believes them replaces a database that is sound.
# SQLite 3.46.1 gives the I/O error. A read that fails further down is an error in both. SQLITE_FCNTL_LAST_ERRNO tells the two apart, on the unix VFS.
#
# Seen:      3.40.1: one row, "Page 2: unable to get the page. error code=10", then "Page 3 is never used", ...; 3.46.1: IOError
# Expected:  a disk I/O error from both, as a SELECT of the same table gives
#
# Installs apsw 3.40.1.0 and 3.46.1.0 (PyPI), which have these versions of SQLite in them, in a temporary folder; needs python3 with venv. The VFS of
# the test fails one read, as a bad sector does; the database is sound. Exit code 0: as described.
set -eu
dir=$(mktemp -d)
trap 'status=$?; rm -rf "$dir"; exit $status' EXIT
cd "$dir"
cat >check.py <<'EOF'
import apsw, os, sys

failing = False

class File(apsw.VFSFile):
    def xRead(self, amount, offset):
        if failing and offset == 4096:   # page 2: the root page of the table
            raise apsw.IOError()
        return super().xRead(amount, offset)

class Disk(apsw.VFS):
    def xOpen(self, name, flags):
        return File("", name, flags)

def answer(sql):
    try:
        return str(db.execute(sql).fetchall())
    except apsw.Error as error:
        return type(error).__name__

disk = Disk("disk", "")
sys.excepthook = sys.unraisablehook = lambda *_: None   # apsw prints the error of xRead as well
db = apsw.Connection("app.db", vfs="disk")
db.execute("CREATE TABLE IF NOT EXISTS t(a)")
db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t SELECT printf('%.200c', 'x') FROM n")
assert answer("PRAGMA integrity_check") == "[('ok',)]"
db.execute("PRAGMA shrink_memory")
failing = True
print(apsw.sqlitelibversion(), "| integrity_check:", answer("PRAGMA integrity_check")[:120], "| SELECT:", answer("SELECT sum(length(a)) FROM t"))
failing = False
db.close()
EOF
for version in 3.40.1.0 3.46.1.0; do
    python3 -m venv "venv-$version"
    "venv-$version/bin/pip" install --quiet --disable-pip-version-check "apsw==$version"
    "venv-$version/bin/python" check.py 2>errors
done | tee output
grep -q '^3\.40\.1 | integrity_check: .*Page 2: unable to get the page\. error code=10.*Page 3 is never used.* | SELECT: IOError$' output
grep -q '^3\.46\.1 | integrity_check: IOError | SELECT: IOError$' output
