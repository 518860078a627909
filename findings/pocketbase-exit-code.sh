#!/bin/sh
# PocketBase v0.39.0 (Go module proxy): 'serve' exits with 0 if its port is in use.
#
# The error is printed, and the exit code says success. So a supervisor that starts again after failures (systemd's Restart=on-failure, a
# container's restart policy on-failure) leaves it ended.
#
# Seen:      "Error: listen tcp 127.0.0.1:N: bind: address already in use", exit code 0
# Expected:  another exit code
#
# Builds the program in a temporary folder; needs go and python3. Exit code 0: as described.
set -eu
dir=$(mktemp -d)
pid=
trap 'status=$?; [ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$dir"; exit $status' EXIT
cd "$dir"
GOBIN=$dir go install github.com/pocketbase/pocketbase/examples/base@v0.39.0
cat >listen.py <<'EOF'
import socket, time
taken = socket.create_server(("127.0.0.1", 0))
with open("port.new", "w") as file:
    file.write(str(taken.getsockname()[1]))
import os
os.rename("port.new", "port")
time.sleep(120)
EOF
python3 listen.py &
pid=$!
until [ -e port ]; do sleep 0.1; done
code=0
timeout 60 ./base serve --dir "$dir/data" --http "127.0.0.1:$(cat port)" >output 2>&1 || code=$?
cat output
echo "exit code $code"
grep -q 'address already in use' output && [ "$code" -eq 0 ]
