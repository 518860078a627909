#!/bin/sh
# Litestream 0.3.13 (Go module github.com/benbjohnson/litestream): restore -timestamp gives a mix of two states.
#
# Before a snapshot of the database file, Litestream checkpoints. So the snapshot can have pages of commits that are in no WAL segment yet.
# A restore to a time after the snapshot and before the next segment takes the snapshot, and applies the segments of its WAL index that are
# older. These bring old versions of some pages back; other pages stay new. No error is reported. The window is as long as sync-interval,
# 1s by default. Here it is 10s, so that a restore into it is easy to choose.
#
# Seen:      integrity_check finds faults in the restored database: rows missing from an index, rowids out of order, invalid page numbers
# Expected:  ok
#
# Builds the program in a temporary folder; needs go, a C compiler, python3 and some minutes. Exit code 0: as described.
set -eu
dir=$(mktemp -d)
pid=
trap 'status=$?; if [ -n "$pid" ]; then kill -9 "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi; rm -rf "$dir"; exit $status' EXIT
GOFLAGS=-modcacherw GOBIN=$dir go install github.com/benbjohnson/litestream/cmd/litestream@v0.3.13
go version -m "$dir/litestream" | sed -n 's/^\tmod\t//p'
cat >"$dir/litestream.yml" <<EOF
dbs:
  - path: $dir/app.db
    replicas:
      - path: $dir/replica
        sync-interval: 10s
        snapshot-interval: 3s
        retention: 1h
EOF
cat >"$dir/make.py" <<'EOF'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)")
db.execute("CREATE INDEX i ON t(a)")
db.execute("BEGIN")
db.executemany("INSERT INTO t VALUES(?, ?, zeroblob(100))", ((n, n * 7919 % 20011) for n in range(20000)))
db.execute("COMMIT")
db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
EOF
cat >"$dir/write.py" <<'EOF'
import random, sqlite3, sys, time
db, dice, end = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30), random.Random(1), time.monotonic() + 25
while time.monotonic() < end:
    db.execute("UPDATE t SET a = ? WHERE id = ?", (dice.random(), dice.randrange(20000)))
    time.sleep(0.01)
EOF
# Of each snapshot that is newer than a segment of its index: the moment half-way to the next object.
cat >"$dir/moments.py" <<'EOF'
import datetime, pathlib, sys
generation = next(pathlib.Path(sys.argv[1], "generations").iterdir())
times = sorted(path.stat().st_mtime for path in generation.rglob("*.lz4"))
for snapshot in sorted(generation.glob("snapshots/*")):
    made = snapshot.stat().st_mtime
    older = [path for path in generation.glob(f"wal/{snapshot.name[:8]}_*") if path.stat().st_mtime < made]
    later = [time for time in times if time > made]
    if older and later and later[0] - made > 1:
        moment = datetime.datetime.fromtimestamp((made + later[0]) / 2, datetime.timezone.utc)
        print(moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
EOF
python3 "$dir/make.py" "$dir/app.db"
timeout 120 "$dir/litestream" replicate -config "$dir/litestream.yml" >"$dir/log" 2>&1 &
pid=$!
python3 "$dir/write.py" "$dir/app.db"
kill "$pid"
wait "$pid" || true
pid=
mixed=0
for moment in $(python3 "$dir/moments.py" "$dir/replica"); do
    rm -f "$dir/restored.db"*
    "$dir/litestream" restore -config "$dir/litestream.yml" -timestamp "$moment" -o "$dir/restored.db" "$dir/app.db" >>"$dir/log" 2>&1
    found=$(python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("PRAGMA integrity_check(1)").fetchone()[0])' "$dir/restored.db")
    echo "restore -timestamp $moment: $found"
    [ "$found" = ok ] || mixed=$((mixed + 1))
done
[ $mixed -gt 0 ]
