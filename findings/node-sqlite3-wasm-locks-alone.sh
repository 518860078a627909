#!/bin/sh
# node-sqlite3-wasm 0.8.60 (npm): its write transaction does not keep other programs from writing to the same database.
#
# Its VFS locks with a folder app.db.lock, as SQLite's VFS unix-dotfile does, and takes none of the locks on the file that every other
# SQLite takes. The README of the package does not say so. So two programs, of which one uses it, can write at the same time.
#
# Seen:      while it is in BEGIN IMMEDIATE, BEGIN IMMEDIATE of Python's sqlite3 succeeds, and app.db.lock is there
# Expected:  "database is locked", as between any two other programs
#
# Installs the package in a temporary folder; needs node with npm, and python3. Nothing is written in the transactions. Exit code 0: as described.
set -eu
dir=$(mktemp -d)
trap 'status=$?; rm -rf "$dir"; exit $status' EXIT
cd "$dir"
npm install --no-audit --no-fund --silent node-sqlite3-wasm@0.8.60
cat >hold.mjs <<'EOF'
import wasm from "node-sqlite3-wasm";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
const db = new wasm.Database("app.db");
db.exec("CREATE TABLE t(a)");
db.exec("BEGIN IMMEDIATE");
console.log("app.db.lock is there:", existsSync("app.db.lock"));
process.stdout.write("python3: " + execFileSync("python3", ["second.py"]));
db.exec("ROLLBACK");
db.close();
EOF
cat >second.py <<'EOF'
import sqlite3
db = sqlite3.connect("app.db", timeout=0, isolation_level=None)
try:
    db.execute("BEGIN IMMEDIATE")
    print("BEGIN IMMEDIATE succeeds")
    db.execute("ROLLBACK")
except sqlite3.OperationalError as error:
    print(error)
EOF
node hold.mjs | tee output
grep -q 'is there: true' output && grep -q 'BEGIN IMMEDIATE succeeds' output
