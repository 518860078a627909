#!/bin/sh
# libsql 0.5.29 (npm): a row of Statement.get() has a property that no column has, and all() has not.
#
# The package has the interface of better-sqlite3, whose rows have the columns alone. get() adds the enumerable property _metadata, with the duration of
# the query, so that a row that is compared, copied with {...row} or written as JSON is another one than the same row of all(), each time.
#
# Seen:      get(): {"id":1,"_metadata":{"duration":...}}; all(): [{"id":1}]
# Expected:  {"id":1} from both, as with better-sqlite3
#
# Installs the package in a temporary folder; needs node with npm. Exit code 0: as described.
set -eu
dir=$(mktemp -d)
trap 'status=$?; rm -rf "$dir"; exit $status' EXIT
cd "$dir"
npm install --no-audit --no-fund --silent libsql@0.5.29
cat >rows.cjs <<'EOF'
const Database = require("libsql");
const db = new Database(":memory:");
db.exec("CREATE TABLE t(id INTEGER)");
db.exec("INSERT INTO t VALUES (1)");
const query = db.prepare("SELECT id FROM t");
console.log("get():", JSON.stringify(query.get()));
console.log("all():", JSON.stringify(query.all()));
EOF
node rows.cjs | tee output
grep -q '^get(): {"id":1,"_metadata":{"duration":[0-9.e-]*}}$' output && grep -qx 'all(): \[{"id":1}\]' output
