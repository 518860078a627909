"""Replicas that lie (tests/support/lying.h): each object has valid checksums, but objects may contradict each other. Each command ends with a
result or an error message, within bounded memory. A database is replaced only by a restore that is proven.

tests/fuzz/fuzz_catalog.c makes thousands of these replicas in one process, and counts steps."""
import os
import resource
import subprocess

import pytest

from plain import assert_plain
from seawall import BINARY, CORRUPT, DONE, FAILED, NOTHING, USAGE, last_txid, level_zero, listing, objects, seawall, told, url_of

TOOL = BINARY.parent / "tests" / "replicatool"
SHAPES = ("tidy", "overlap", "bases", "parts", "empty", "any")
MEMORY_BYTES = 1 << 30   # address space; threads reserve most of it

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="make build/tests/replicatool")


def limited(*arguments):
    """Runs a command with at most MEMORY_BYTES of address space."""
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, timeout=120,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES)))


def make(stage, shape, count, seed):
    subprocess.run([TOOL, stage.replica, "lying", str(SHAPES.index(shape)), str(count), str(seed)], check=True)
    for path in stage.replica.rglob("*"):
        os.utime(path, (0, 0))   # old enough to be deleted


def look(stage, *arguments, codes=(DONE, NOTHING, CORRUPT)):
    result = limited(*arguments, url_of(stage.replica))
    assert result.returncode in codes, told(result)
    assert_plain(result.stdout)
    assert_plain(result.stderr)
    assert result.returncode == DONE or result.stderr or result.stdout, told(result)
    return result.returncode


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", SHAPES)
def test_each_command_ends_with_a_result_or_an_error_message(stage, shape, seed):
    make(stage, shape, 60, seed)
    for arguments in (("list",), ("list", "--json", "--points", "--segments"), ("verify",), ("verify", "--full", "--json"),
                      ("prune", "--dry-run", "--grace", "1s", "--keep-all", "1s", "--keep-levels", "1s")):
        look(stage, *arguments)
    for txid in (1, 7, 30, 2**63 - 1):
        out = stage.folder / f"out{txid}"
        assert (look(stage, "restore", "--txid", txid, "-o", out) == DONE) == out.exists()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("shape", SHAPES)
def test_a_writer_that_takes_one_over_adds_a_state_that_restores_or_nothing(stage, shape, seed):
    stage.prepare()
    make(stage, shape, 40, seed)
    before = objects(stage.replica)
    result = limited("snapshot", "--take-over", "--stop-timeout", "1s", stage.db, url_of(stage.replica))
    assert result.returncode >= 0, told(result)
    assert_plain(result.stderr)
    if result.returncode == DONE:
        stage.assert_restore_equals_source()
    else:
        assert result.stderr and set(before) <= set(objects(stage.replica)), told(result)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_prune_of_one_keeps_each_restore_point_that_it_says_it_keeps(stage, shape):
    make(stage, shape, 60, 5)
    if limited("verify", "--full", url_of(stage.replica)).returncode != DONE:
        stage.replica.rename(stage.folder / "refused")   # prune may refuse a replica with problems; it only must not crash
        stage.replica = stage.folder / "refused"
        look(stage, "prune", "--grace", "1s", "--keep-all", "1s", codes=(DONE, FAILED, NOTHING, CORRUPT))
        return
    look(stage, "prune", "--grace", "1s", "--keep-all", "1s")
    assert limited("verify", "--full", url_of(stage.replica)).returncode == DONE


def with_history(stage):
    """A replica of levels, bases and 36 transactions of another database."""
    stage.prepare()
    subprocess.run([TOOL, stage.replica, "1700000000000"], check=True)


@pytest.mark.parametrize("lost", [1, 2, 7])
def test_a_replica_that_lost_its_newest_objects_of_level_0_goes_on_behind_what_the_others_reach(stage, lost):
    with_history(stage)
    for key in level_zero(stage.replica)[-lost:]:
        (stage.replica / "0" / key).unlink()
    assert listing(stage.replica)["last_txid"] == 36
    for count in range(3):
        result = seawall("snapshot", *([] if count else ["--take-over"]), stage.db, url_of(stage.replica))
        assert result.returncode == DONE, told(result)
        assert last_txid(stage.replica) == 37 + count
        stage.assert_restore_equals_source()
        stage.writer(count=1).finish()


def test_a_replica_that_lost_all_objects_of_level_0_is_not_continued(stage):
    with_history(stage)
    for key in level_zero(stage.replica):
        (stage.replica / "0" / key).unlink()
    before = objects(stage.replica)
    result = seawall("snapshot", "--take-over", stage.db, url_of(stage.replica))
    assert result.returncode == USAGE and b"HINT: nothing can be added there; begin a new replica" in result.stderr, told(result)
    assert objects(stage.replica) == before
