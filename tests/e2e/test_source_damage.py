"""The replica is exact, but the database itself has a fault, or content that only its application understands. Messages then speak of the
database, and never of the replica."""
import json
import sqlite3

import pytest

from control import proof_of, replica_status, wait_control
from seawall import CONTENT, CORRUPT, DONE, restore, seawall, told, url_of
from waiting import wait_until


def null_in_a_column_that_forbids_it(path):
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t VALUES(NULL); PRAGMA writable_schema=on;"
                             "UPDATE sqlite_schema SET sql='CREATE TABLE t(a NOT NULL)'")
    connection.close()


def page_of_noise(path):
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE t(a); INSERT INTO t WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i "
                             "WHERE n < 3000) SELECT hex(randomblob(50)) FROM i")
    connection.close()
    with open(path, "r+b") as file:
        file.seek(4096 * 5)
        file.write(b"\xff" * 4096)


def collation_of_the_application(path):
    connection = sqlite3.connect(path)
    connection.create_collation("mycase", lambda a, b: (a.lower() > b.lower()) - (a.lower() < b.lower()))
    connection.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t(a TEXT COLLATE mycase UNIQUE); INSERT INTO t VALUES('b'), ('A')")
    connection.close()


def function_of_the_application(path):
    connection = sqlite3.connect(path)
    connection.create_function("twice", 1, lambda x: 2 * x, deterministic=True)
    connection.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t(a, CHECK (twice(a) > 0)); CREATE INDEX i ON t(twice(a));"
                             "INSERT INTO t VALUES(1), (2)")
    connection.close()


FAULTS = [null_in_a_column_that_forbids_it, page_of_noise]
NOT_KNOWN_HERE = [collation_of_the_application, function_of_the_application]


def replicate_once(stage, make):
    make(stage.db)
    result = seawall("replicate", "--once", stage.db, url_of(stage.replica))
    assert result.returncode == DONE, told(result)
    assert seawall("verify", "--full", url_of(stage.replica)).returncode == DONE


@pytest.mark.parametrize("make", FAULTS)
def test_a_fault_of_the_database_has_a_code_of_its_own(stage, make):
    replicate_once(stage, make)
    result = seawall("verify", "--restore", url_of(stage.replica))
    assert result.returncode == CONTENT and b"SQLite reports of the database itself: " in result.stdout, told(result)
    assert b"0 problems" not in result.stdout and b"ok: " in result.stdout
    result = seawall("verify", "--restore", "--json", url_of(stage.replica))
    found = json.loads(result.stdout)
    assert result.returncode == CONTENT and found["ok"] is True and found["problem_count"] == 0
    assert "database itself" in found["database_problem"] and found["restored_txid"] >= 1
    target = stage.folder / "new.db"
    result = restore(stage.replica, target, "--integrity-check")
    assert result.returncode == CONTENT and b"HINT" in result.stderr and not target.exists(), told(result)
    assert restore(stage.replica, target).returncode == DONE


@pytest.mark.parametrize("make", NOT_KNOWN_HERE)
def test_content_that_can_not_be_checked_here_is_not_a_fault(stage, make):
    replicate_once(stage, make)
    result = seawall("verify", "--restore", url_of(stage.replica))
    assert result.returncode == DONE and b"can't check all of the content here" in result.stderr, told(result)
    result = restore(stage.replica, stage.folder / "new.db", "--integrity-check")
    assert result.returncode == DONE and b"can't check all of the content here" in result.stderr, told(result)


def test_a_damaged_replica_of_such_a_database_is_still_a_damaged_replica(stage):
    replicate_once(stage, null_in_a_column_that_forbids_it)
    path = stage.replica / "0" / "0000000000000001"
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    assert seawall("verify", "--restore", url_of(stage.replica)).returncode == CORRUPT
    assert restore(stage.replica, stage.folder / "new.db", "--integrity-check").returncode == CORRUPT


@pytest.mark.parametrize("make", [null_in_a_column_that_forbids_it, collation_of_the_application])
def test_the_daemon_speaks_of_the_database_and_not_of_the_replica(stage, make):
    make(stage.db)
    daemon = wait_control(stage.replicate("--verify-interval", "1s"))
    wait_until(proof_of(stage.db).exists, 30, "a verification")
    wait_until(lambda: replica_status(stage.db)["proven_restore"], 30, "a proof")
    verification = replica_status(stage.db)["verification"]
    assert verification["ok"] is True and verification["problem"] is None
    is_fault = make is null_in_a_column_that_forbids_it
    assert ("database itself" in verification.get("database_problem", "")) == is_fault
    text = seawall("status", stage.db).stdout.decode()
    assert ("SQLite reports of the database itself" in text) == is_fault and "VERIFICATION" not in text
    assert daemon.stop() == DONE
    assert " ERROR " not in daemon.log() and "begin a new replica" not in daemon.log()
    assert ("database itself" in daemon.log()) == is_fault
