"""Numbers at the ends of their ranges: a txid that can't be restored is not used, and a far moment is printed whole."""
import re
import sqlite3
import subprocess

import pytest

from seawall import BINARY, DONE, USAGE, listing, objects, seawall, told, url_of

TOOL = BINARY.parent / "tests" / "replicatool"
LAST_TXID = 2**63 - 1
LAST_MS, LAST_TIME = 2**63 - 1, "292278994-08-17T07:12:55.807Z"

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="make build/tests/replicatool")


def make_replica(stage, txid, ms=1_700_000_000_000):
    subprocess.run([TOOL, stage.replica, str(ms), str(txid)], check=True)


@pytest.mark.parametrize("txid", [LAST_TXID, LAST_TXID - 1, LAST_TXID - 2**30])
def test_a_replica_without_room_for_more_txids_is_not_taken_over(stage, txid):
    make_replica(stage, txid)
    before = objects(stage.replica)
    assert listing(stage.replica)["last_txid"] == txid
    with sqlite3.connect(stage.db) as db:
        db.execute("CREATE TABLE t(x)")
    for command in (("replicate", "--once"), ("snapshot",)):
        result = seawall(*command, "--take-over", stage.db, url_of(stage.replica))
        assert result.returncode == USAGE, told(result)
        assert re.search(rb"nothing can be added\n  HINT: begin a new replica", result.stderr), told(result)
        assert objects(stage.replica) == before


def test_the_last_moment_of_the_range_is_printed_whole(stage):
    make_replica(stage, 1, LAST_MS)
    for arguments in (("list",), ("list", "--points"), ("list", "--json"), ("verify",), ("verify", "--json"), ("restore", "--dry-run")):
        result = seawall(*arguments, url_of(stage.replica))
        assert result.returncode == DONE, told(result)
        assert LAST_TIME in result.stdout.decode(), told(result)
    assert seawall("prune", "--dry-run", url_of(stage.replica)).returncode == DONE
    result = seawall("restore", "--time", "1969-12-31T23:59:59.500Z", "--dry-run", url_of(stage.replica))
    assert b"1969-12-31T23:59:59.500Z" in result.stderr and LAST_TIME in result.stderr.decode(), told(result)


@pytest.mark.parametrize("key", ["0/8000000000000000", "1/0000000000000000-ffffffffffffffff", "1/0000000000000001-ffffffffffffffff",
                                 "base/ffffffffffffffff-00112233445566778899aabbccddeeff/marker"])
def test_a_key_with_numbers_that_no_object_can_have_is_not_one_of_the_replica(stage, key):
    stage.prepare()
    assert stage.replicate("--once", live=False).wait() == DONE
    path = stage.replica / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 1000)
    result = seawall("verify", url_of(stage.replica))
    assert result.returncode == DONE and b"1 thing that is not an object of this replica was passed over" in result.stdout, told(result)
    stage.writer(count=3).finish()
    assert stage.replicate("--once", live=False).wait() == DONE
    stage.assert_restore_equals_source()


@pytest.mark.parametrize("arguments", [("restore", "--txid", "0"), ("restore", "--txid", str(2**63)), ("restore", "--txid", "-1"),
                                       ("restore", "--txid", str(2**64 + 1)), ("restore", "--jobs", "0"), ("restore", "--jobs", "65"),
                                       ("restore", "--time", "9223372036854775807 days ago"), ("restore", "--time", "2026-02-30"),
                                       ("verify", "--txid", str(2**63), "--restore"), ("sync", "--timeout", str(2**63) + "s"),
                                       ("snapshot", "--busy-timeout", str(2**64) + "ms"), ("replicate", "--lock-at", str(2**32 + 500))])
def test_values_beyond_the_ends_of_a_range_are_refused(stage, arguments):
    words = (stage.db, url_of(stage.replica)) if arguments[0] == "replicate" else (stage.db,)
    result = seawall(*arguments, *words)
    assert result.returncode == USAGE, told(result)
    assert arguments[1].strip("-").encode() in result.stderr, told(result)
