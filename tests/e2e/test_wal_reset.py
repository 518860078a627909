"""SQLite up to 3.51.2 can lose a commit when one process resets the WAL during a checkpoint of another. Beside the daemon no commit is lost.

`make check-walreset` tries to provoke a loss for hours. It does so without the daemon too, where a loss must happen."""
import json
import os
import sqlite3
import subprocess

import pytest

from seawall import BINARY, DONE, told
from waiting import PATIENCE

PROVOKER, DELAYS = BINARY.parent / "tests" / "provoker", BINARY.parent / "tests" / "delays.so"
ROUNDS = int(os.environ.get("SEAWALL_TEST_ROUNDS", 0))
ALONE = int(os.environ.get("SEAWALL_TEST_ROUNDS_ALONE", 0))
A_FEW = 40
EXIT_LOST = 3
EAGER = ["--wal-target", 20, "--lock-at", 10, "--rest-after", "20ms"]
UNLUCKY = {"DELAY_LOCKS": "60 400", "DELAY_UNMAP": "300 3000"}

pytestmark = pytest.mark.skipif(not PROVOKER.exists(), reason="make build/tests/provoker")


def provoke(db, rounds, seed):
    """Runs the provoker. Returns its result and its figures."""
    result = subprocess.run([PROVOKER, db, str(rounds), str(seed), str(16 << 20)], capture_output=True, timeout=(60 + 2 * rounds) * PATIENCE,
                            env={**os.environ, **UNLUCKY, "LD_PRELOAD": str(DELAYS)})
    figures = json.loads(result.stdout or b"{}")
    print(figures)
    return result, figures


def rows(db):
    with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as connection:
        found = [f"{key}|{value}" for key, value in connection.execute("SELECT id, v FROM t ORDER BY id")]
    connection.close()
    return found


@pytest.mark.parametrize("options", [[], EAGER], ids=["as it comes", "eager"])
def test_no_commit_is_lost_beside_the_daemon(stage, options):
    assert provoke(stage.db, 1, 1)[0].returncode == DONE    # makes the database
    daemon = stage.replicate(*options)
    result, figures = provoke(stage.db, ROUNDS or A_FEW, 7)
    assert result.returncode == DONE, told(result)
    assert figures["failed"] == 0 and figures["commits"] > (ROUNDS or A_FEW)
    assert figures["resets"] > 0    # without a reset no commit can be lost, and nothing was tested
    expected = (stage.folder / f"{stage.db.name}.expected").read_text().split()
    assert daemon.stop() == DONE
    assert rows(stage.db) == expected
    assert rows(stage.restored()) == expected


@pytest.mark.skipif(ALONE == 0, reason="make check-walreset")
def test_without_the_daemon_the_provoker_makes_sqlite_lose_a_commit(stage):
    result, figures = provoke(stage.db, ALONE, 1)
    known = tuple(int(part) for part in figures["sqlite"].split(".")) < (3, 51, 3)
    assert not known or result.returncode == EXIT_LOST, told(result)
