#!/usr/bin/env python3
"""Measures the commands on a replica of many objects in a folder: `objects.py [COUNT ...]` (100000), in build/bench.

build/tests/objects makes the replica: small sound objects of ten days, which were not pruned. Each command runs three times; the table has
the shortest time and the most memory. The files are in the page cache, so the program is measured and not the disk."""
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SEAWALL, MAKER = ROOT / "build" / "seawall", ROOT / "build" / "tests" / "objects"
ROUNDS = 3


def run(arguments):
    """(seconds, peak memory in bytes)"""
    started = time.monotonic()
    child = subprocess.Popen([SEAWALL, *map(str, arguments)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"objects.py: {' '.join(map(str, arguments))}: exit status {child.returncode}")
    return time.monotonic() - started, usage.ru_maxrss * 1024


def measure(count):
    folder = ROOT / "build" / "bench" / f"objects-{count}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    replica, target = folder / "replica", folder / "app.db"
    subprocess.run([MAKER, replica, str(count), str(int(time.time() * 1000))], check=True)
    middle = count // 2
    print(f"{count} objects:\n\n| | seconds | peak memory |\n|---|---|---|")
    for name, arguments in (("`list`", ["list", replica]), ("`restore`, the newest state", ["restore", "--force", "-o", target, replica]),
                            ("`restore`, a state in the middle", ["restore", "--force", "--txid", middle, "-o", target, replica]),
                            ("`verify`", ["verify", replica]), ("`verify --full`", ["verify", "--full", replica]),
                            ("`prune --dry-run`", ["prune", "--dry-run", "--quiet", replica])):
        rounds = [run(arguments) for _ in range(ROUNDS)]
        print(f"| {name} | {min(seconds for seconds, _ in rounds):.2f} | {max(memory for _, memory in rounds) / 1e6:.0f} MB |", flush=True)
    print()
    shutil.rmtree(folder)


for number in map(int, sys.argv[1:] or ["100000"]):
    measure(number)
