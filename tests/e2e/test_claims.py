"""Small objects that claim to hold very much: every command stays within its budget of memory, and names the object that claims too much."""
import os
import re
import sqlite3
import subprocess

import pytest

from memory import Watched
from seawall import BINARY, CORRUPT, DONE, FAILED, seawall, told, url_of
from waiting import PATIENCE

TOOL = BINARY.parent / "tests" / "liartool"
MIB = 1 << 20
BUDGET = 256 * MIB   # of a command
BESIDE = 24 * MIB    # the program, its libraries, and buffers of a fixed size
DAEMON = 64 * MIB    # of the daemon, beside the map of its own pages
READING = (["list"], ["list", "--segments"], ["verify"], ["verify", "--full"], ["restore"], ["prune", "--dry-run"])
REFUSED = r"^seawall: .*object '%s': claims to hold .*: needs \d+ MiB of memory, and \d+ of 256 MiB are left"

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="make build/tests/liartool")


def lie(stage, what, objects, count):
    subprocess.run([TOOL, stage.replica, what, str(objects), str(count)], check=True, timeout=120)


class Process:
    """A process for memory.Watched, which needs only the pid."""

    def __init__(self, pid):
        self.pid = pid


def run(stage, command, *options):
    """Runs a command, and returns its result and its peak of memory in bytes."""
    place = ["-o", stage.folder / "restored.db"] if command[0] == "restore" else []
    (stage.folder / "restored.db").unlink(missing_ok=True)
    with subprocess.Popen([BINARY, *command, *options, *place, url_of(stage.replica)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        with Watched(Process(p.pid), stage.folder / "no-wal") as watched:
            out, err = p.communicate(timeout=300 * PATIENCE)
    return subprocess.CompletedProcess(p.args, p.returncode, out, err), watched.resident


def assert_within(peak, limit, what):
    if "address" not in os.environ.get("SEAWALL_TEST_BUILD", ""):
        assert peak <= limit, f"{what}: {peak / MIB:.0f} MiB"


@pytest.mark.parametrize("what, objects, count", [("versions", 6, 2_200_000), ("records", 3, 4_000_000)])
def test_what_fits_one_by_one_is_read_one_by_one(stage, what, objects, count):
    lie(stage, what, objects, count)    # all of it together: 570 and 490 MiB
    for command in READING:
        result, peak = run(stage, command)
        assert result.returncode == DONE, told(result)
        assert_within(peak, BUDGET + BESIDE, command)
    assert f"{objects * (count if what == 'records' else 1)} restore points" in seawall("list", url_of(stage.replica)).stdout.decode()


def test_an_object_that_claims_too_much_is_named(stage):
    lie(stage, "versions", 1, 16_000_000)
    for command in READING:
        result, peak = run(stage, command)
        reads_pages = command[0] in ("verify", "restore")
        assert result.returncode == (CORRUPT if reads_pages else DONE), told(result)
        if reads_pages:
            assert re.search(REFUSED % "0/0000000000000001", result.stderr.decode(), re.M), told(result)
            assert "raise --memory" in result.stderr.decode()
        assert_within(peak, BUDGET + BESIDE, command)
    assert not (stage.folder / "restored.db").exists()


def test_a_marker_that_names_a_million_chunks_costs_what_one_costs(stage):
    lie(stage, "names", 2, 1_000_000)
    for command in READING:
        result, peak = run(stage, command)
        verify = command[0] == "verify"     # verify needs all names at the same time
        assert result.returncode == (CORRUPT if verify else DONE), told(result)
        assert not verify or re.search(REFUSED % "base/[^']*/marker", result.stderr.decode(), re.M), told(result)
        assert_within(peak, BUDGET + BESIDE, command)


def test_a_database_of_a_size_that_no_object_backs_is_refused(stage):
    lie(stage, "versions", 1, 3_000_000)
    result, peak = run(stage, ["restore"], "--memory", "40M")
    assert result.returncode == CORRUPT, told(result)
    assert re.search(r"^seawall: txid 1: claims a database of 3000001 pages: needs 46 MiB of memory, and 39 of 40 MiB are left",
                     result.stderr.decode(), re.M), told(result)
    assert_within(peak, 40 * MIB + BESIDE, "restore")
    assert run(stage, ["restore"], "--memory", "1G")[0].returncode == DONE


@pytest.mark.parametrize("memory", ["0", "7M", "x", "9999999999G", "-1"])
def test_an_invalid_limit_is_refused(stage, memory):
    for command in ("list", "verify", "prune"):
        result = seawall(command, f"--memory={memory}", url_of(stage.replica))
        assert result.returncode == 2 and b"a number of bytes from 8M on" in result.stderr, told(result)


@pytest.mark.parametrize("what, objects, count", [("versions", 8, 3_000_000), ("records", 4, 4_000_000), ("names", 2, 1_000_000)])
def test_the_daemon_stays_small_beside_a_replica_that_claims_much(stage, what, objects, count):
    lie(stage, what, objects, count)
    with sqlite3.connect(stage.db) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE t(x)")
    db.close()
    daemon = stage.replicate("--once", "--take-over", live=False)
    with Watched(daemon, stage.folder / "no-wal") as watched:
        assert daemon.wait() == FAILED
    assert_within(watched.resident, DAEMON, "replicate")
    assert re.search(r"claims .*: needs \d+ MiB of memory, and \d+ of 32 MiB are left", daemon.log()), daemon.log()
