"""Connections that write wait until their commits are durable: seawall_sync(), seawall_wait_on_commit() and seawall_durable_txid()."""
import collections
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from compare import drop
from control import answer, connected, wait_control
from fleet import Fleet, make_database
from readers import EXTENSION, in_process, reader, why
from seawall import DONE, last_txid, listing, restore, told
from waiting import PATIENCE

NO_DAEMON = "no daemon runs on it"


def connect(path, timeout=30):
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    connection.enable_load_extension(True)
    connection.load_extension(str(EXTENSION))
    return connection


@pytest.fixture
def app(stage):
    make_database(stage.db)
    connection = connect(stage.db)
    yield connection
    connection.close()


def value(connection, query, *parameters):
    return connection.execute(f"SELECT {query}", parameters).fetchone()[0]


def fails(connection, statement, *parameters):
    """The message of the error that the statement must have."""
    with pytest.raises(sqlite3.OperationalError) as error:
        connection.execute(statement, parameters).fetchall()
    return str(error.value)


NOT_DURABLE = ("disk I/O error", "SQL logic error")   # SQLite 3.40 with Python 3.11; SQLite 3.46 with Python 3.13


def values_in(replica, target):
    assert (result := restore(replica, target)).returncode == DONE, told(result)
    connection = sqlite3.connect(target)
    values = [row[0] for row in connection.execute("SELECT a FROM t ORDER BY rowid")]
    connection.close()
    drop(target)
    return values


# ---- without a daemon

@pytest.mark.parametrize("query", ["seawall_sync(100)", "seawall_durable_txid()", "seawall_wait_on_commit(1)"])
def test_without_a_daemon_each_function_is_an_error_with_a_hint(app, query):
    message = fails(app, f"SELECT {query}")
    assert NO_DAEMON in message and "HINT: start one with 'seawall replicate'" in message
    assert value(app, "seawall_error()") == message
    app.execute("INSERT INTO t VALUES (1)")   # no commit waits


def test_what_has_no_daemon_by_nature_is_named(app, stage):
    memory = connect(":memory:")
    assert "has no file" in fails(memory, "SELECT seawall_sync(100)")
    assert "not in WAL mode" in fails(memory, "SELECT seawall_wait_on_commit(1)")
    assert "has no file" in fails(app, "SELECT seawall_sync(100, 'all', 'nowhere')")
    assert "'all' or 'any'" in fails(app, "SELECT seawall_sync(100, 'some')")
    stage.replicate().stop()
    assert "is a replica" in fails(reader(stage.replica), "SELECT seawall_sync(100)")
    plain = connect(stage.folder / "plain.db")
    plain.execute("CREATE TABLE t(a)")
    message = fails(plain, "SELECT seawall_wait_on_commit(1)")
    assert "not in WAL mode" in message and "HINT" in message


# ---- with one

def test_sync_returns_the_restore_point_that_has_what_anybody_committed(app, stage):
    wait_control(stage.replicate())
    other = sqlite3.connect(stage.db, isolation_level=None)
    for i in range(5):
        other.execute("INSERT INTO t VALUES (?)", (100 + i,))
        txid = value(app, "seawall_sync(20000)")
        assert values_in(stage.replica, stage.folder / "r.db")[-1] == 100 + i
        assert txid == last_txid(stage.replica) == value(app, "seawall_durable_txid()")
    assert value(app, "seawall_sync(20000, 'any')") == txid


def test_each_commit_is_durable_when_it_returns(app, stage):
    wait_control(stage.replicate())
    assert value(app, "seawall_wait_on_commit(1, 20000)") == 1
    for i in range(10):
        if i % 2:
            app.execute("INSERT INTO t VALUES (?)", (i,))
        else:
            app.execute("BEGIN")
            app.execute("INSERT INTO t VALUES (?)", (i,))
            app.execute("COMMIT")
        assert values_in(stage.replica, stage.folder / "r.db")[-1] == i


def test_a_database_that_is_attached_waits_too(app, stage):
    """Each of them has a daemon of its own."""
    second = stage.folder / "second.db"
    make_database(second)
    wait_control(stage.replicate())
    app.execute("ATTACH ? AS second", (str(second),))
    assert value(app, "seawall_wait_on_commit(1, 20000)") == 1
    app.execute("INSERT INTO t VALUES (1)")
    assert fails(app, "INSERT INTO second.t VALUES (2)") in NOT_DURABLE
    assert NO_DAEMON in value(app, "seawall_error()") and "second.db" in value(app, "seawall_error()")
    replica = stage.folder / "second-replica"
    stage.replicate(db=second, replica=replica, live=False).wait_for(lambda: listing(replica), 20, "it has a restore point")
    assert value(app, "seawall_sync(20000, 'all', 'second')") >= 1
    app.execute("INSERT INTO second.t VALUES (3)")
    assert values_in(replica, stage.folder / "r.db")[-1] == 3


WRITER = """
import os, sqlite3, sys
app = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
app.enable_load_extension(True)
app.load_extension(sys.argv[2])
app.execute("SELECT seawall_wait_on_commit(1, 20000)")
i = 0
while True:
    i += 1
    app.execute("INSERT INTO t VALUES (?)", (i,))
    os.write(1, b"%d\\n" % i)   # from here on others know
"""


@pytest.mark.parametrize("count", [1, 7, 40])
def test_what_an_application_has_told_survives_the_loss_of_the_machine(stage, count):
    """Writer and daemon are killed at once: each commit that returned is in the replica."""
    make_database(stage.db)
    daemon = wait_control(stage.replicate())
    writer = subprocess.Popen([sys.executable, "-c", WRITER, stage.db, EXTENSION], stdout=subprocess.PIPE)
    for _ in range(count):
        assert writer.stdout.readline()
    daemon.process.kill()
    writer.kill()
    told_last = count + len(writer.stdout.read().splitlines())
    daemon.process.wait(), writer.wait()
    assert values_in(stage.replica, stage.folder / "r.db")[1:told_last + 1] == list(range(1, told_last + 1))


# ---- when it can't be durable

def test_a_commit_that_does_not_become_durable_is_done_and_says_so(app, stage):
    daemon = wait_control(stage.replicate())
    assert value(app, "seawall_wait_on_commit(1, 500)") == 1
    shutil.rmtree(stage.replica / "0")
    (stage.replica / "0").write_text("a file")
    assert fails(app, "INSERT INTO t VALUES (7)") in NOT_DURABLE
    message = value(app, "seawall_error()")
    assert "the commit is done, but it is not known to be durable" in message and "not durable after 500 ms" in message
    assert fails(app, "SELECT seawall_sync(300)").count("not durable after 300 ms") == 1
    assert app.in_transaction is False and value(app, "max(a) FROM t") == 7
    assert value(app, "seawall_wait_on_commit(0)") == 0
    app.execute("INSERT INTO t VALUES (8)")   # it waits for nothing any more
    daemon.kill()


def test_a_daemon_that_is_killed_fails_the_commits_that_wait(app, stage):
    daemon = wait_control(stage.replicate())
    assert value(app, "seawall_wait_on_commit(1, 20000)") == 1
    daemon.kill()
    assert fails(app, "INSERT INTO t VALUES (7)") in NOT_DURABLE and NO_DAEMON in value(app, "seawall_error()")
    assert value(app, "max(a) FROM t") == 7
    wait_control(stage.replicate())
    app.execute("INSERT INTO t VALUES (8)")
    assert values_in(stage.replica, stage.folder / "r.db")[-2:] == [7, 8]


def test_with_any_one_replica_is_enough(app, stage):
    away = stage.folder / "away"
    daemon = stage.replicate(also=(away,))
    assert value(app, "seawall_sync(20000)") >= 1
    shutil.rmtree(away / "0")
    (away / "0").write_text("a file")
    assert value(app, "seawall_wait_on_commit(1, 20000, 'any')") == 1
    app.execute("INSERT INTO t VALUES (9)")
    assert values_in(stage.replica, stage.folder / "r.db")[-1] == 9
    assert "not durable" in fails(app, "SELECT seawall_sync(500, 'all')")
    assert value(app, "seawall_durable_txid()") < last_txid(stage.replica)
    daemon.kill()


def test_another_writer_of_the_replica_is_an_error(app, stage):
    daemon = wait_control(stage.replicate())
    assert value(app, "seawall_wait_on_commit(1, 20000)") == 1
    twin = stage.folder / "twin.db"
    make_database(twin)
    other = stage.replicate("--take-over", db=twin, live=False)
    other.wait_log("up to date at txid")
    assert fails(app, "INSERT INTO t VALUES (7)") in NOT_DURABLE
    assert "the commit is done" in value(app, "seawall_error()")
    daemon.kill()


def move_over(db):
    copy = db.with_name("copy.db")
    make_database(copy)
    os.replace(copy, db)


def move_away(db):
    """As a deployment does."""
    os.rename(db, db.with_name("away.db"))
    for end in ("-wal", "-shm"):
        if os.path.exists(f"{db}{end}"):
            os.rename(f"{db}{end}", f"{db.with_name('away.db')}{end}")
    make_database(db)


def make_again(db):
    for end in ("", "-wal", "-shm"):
        if os.path.exists(f"{db}{end}"):
            os.unlink(f"{db}{end}")
    make_database(db)


@pytest.mark.parametrize("replace", [move_over, move_away, make_again])
def test_commits_to_a_file_that_was_replaced_are_never_called_durable(app, stage, replace):
    """The daemon follows the path; the application has the old file open."""
    wait_control(stage.replicate())
    assert value(app, "seawall_wait_on_commit(1, 3000)") == 1
    app.execute("INSERT INTO t VALUES (7)")
    replace(stage.db)
    for i in range(3):   # SQLite 3.46 gives the reason of the second one itself
        assert (why := fails(app, "INSERT INTO t VALUES (8)")) in NOT_DURABLE or "replaced" in why
        assert "replaced" in value(app, "seawall_error()")
        assert "replaced" in fails(app, "SELECT seawall_sync(3000)")
    again = connect(stage.db)
    assert value(again, "seawall_wait_on_commit(1, 20000)") == 1
    again.execute("INSERT INTO t VALUES (9)")
    assert values_in(stage.replica, stage.folder / "r.db")[-1] == 9
    again.close()


def test_the_daemon_answers_for_the_file_that_the_client_has_open(app, stage):
    wait_control(stage.replicate())
    found = os.stat(stage.db)
    with connected(stage.db, seconds=5) as client:
        client.sendall(json.dumps({"command": "wait", "device": found.st_dev, "inode": found.st_ino}).encode() + b"\n")
        assert answer(client)["state"] == "durable"
        client.sendall(json.dumps({"command": "wait", "device": found.st_dev, "inode": found.st_ino + 1}).encode() + b"\n")
        with pytest.raises(TimeoutError):
            answer(client)


def test_a_commit_that_sqlite_calls_no_hook_for_is_waited_for_before_the_next(app, stage):
    """A statement that is reset before its end commits without a word; so does a blob that is closed."""
    daemon = wait_control(stage.replicate())
    assert value(app, "seawall_wait_on_commit(1, 1500)") == 1
    os.kill(daemon.pid, signal.SIGSTOP)
    cursor = app.execute("INSERT INTO t VALUES (5), (6) RETURNING a")
    assert cursor.fetchone() == (5,)
    cursor.close()
    with pytest.raises(sqlite3.IntegrityError):
        app.execute("INSERT INTO t VALUES (7)")
    assert "a commit before this one is done, but it is not known to be durable" in why()
    assert not app.in_transaction
    os.kill(daemon.pid, signal.SIGCONT)
    app.execute("INSERT INTO t VALUES (8)")
    assert values_in(stage.replica, stage.folder / "r.db")[-3:] == [5, 6, 8]


def test_a_hook_that_was_taken_away_is_noticed_at_the_next_commit(app, stage):
    daemon = wait_control(stage.replicate())
    assert value(app, "seawall_wait_on_commit(1, 1500)") == 1
    app.execute("PRAGMA wal_autocheckpoint = 500").fetchall()   # SQLite's own hook, in the place of ours
    os.kill(daemon.pid, signal.SIGSTOP)
    app.execute("INSERT INTO t VALUES (5)")
    with pytest.raises(sqlite3.IntegrityError):
        app.execute("INSERT INTO t VALUES (7)")
    os.kill(daemon.pid, signal.SIGCONT)
    app.execute("INSERT INTO t VALUES (8)")
    assert 5 in values_in(stage.replica, stage.folder / "r.db")


def test_a_schema_can_not_end_the_waiting(app, stage):
    wait_control(stage.replicate())
    app.execute("CREATE TRIGGER off AFTER INSERT ON t BEGIN SELECT seawall_wait_on_commit(0); END")
    app.execute("CREATE VIEW slow AS SELECT seawall_sync(86400000) AS x")
    assert value(app, "seawall_wait_on_commit(1, 20000)") == 1
    assert "unsafe use of" in fails(app, "INSERT INTO t VALUES (1)")
    assert "unsafe use of" in fails(app, "SELECT x FROM slow")


def test_the_extension_is_loaded_again_and_again(app):
    """A pool loads it for each connection, and the man page does it with SQL."""
    for connection in (app, connect(":memory:")):
        connection.enable_load_extension(True)
        for _ in range(2):
            connection.execute("SELECT load_extension(?)", (str(EXTENSION),)).fetchall()
            connection.load_extension(str(EXTENSION))
        assert value(connection, "seawall_txid()") is None


# ---- where the daemon is found

def test_the_folder_of_the_socket_is_given_by_the_environment(stage):
    make_database(stage.db)
    control = stage.folder / "control"
    control.mkdir(mode=0o700)
    stage.replicate("--control", control)
    code = """
db = sqlite3.connect(sys.argv[1], isolation_level=None)
try:
    print(db.execute("SELECT seawall_sync(20000)").fetchone()[0])
except sqlite3.OperationalError as error:
    print(str(error).splitlines()[0])
"""
    assert NO_DAEMON in in_process(code, stage.db)
    assert in_process(code, stage.db, environment={**os.environ, "SEAWALL_CONTROL": str(control)}).strip() == "1"


def test_a_daemon_of_several_databases_is_found_by_its_configuration(tmp_path, stage):
    for name in ("one", "two"):
        make_database(tmp_path / f"{name}.db")
    fleet = Fleet(tmp_path, ["one", "two"])
    stage.daemons.append(fleet)
    fleet.wait_shipped(["one", "two"])
    code = """
db = sqlite3.connect(sys.argv[1], isolation_level=None)
print(db.execute("SELECT seawall_wait_on_commit(1, 20000)").fetchone()[0])
db.execute("INSERT INTO t VALUES (77)")
print(db.execute("SELECT seawall_durable_txid()").fetchone()[0])
"""
    printed = in_process(code, fleet.database("two"), environment={**os.environ, "SEAWALL_CONFIG": str(fleet.config)}).split()
    assert printed[0] == "1" and int(printed[1]) == last_txid(fleet.replica_of("two"))
    assert values_in(fleet.replica_of("two"), tmp_path / "r.db")[-1] == 77


# ---- what it costs

def test_a_hundred_connections_that_wait_share_the_puts(stage, s3):
    """One PUT is in flight at a time, and has what was committed meanwhile."""
    make_database(stage.db)
    stage.replicate(replica=s3.url())
    connections = [connect(stage.db, timeout=60) for _ in range(100)]
    for connection in connections:
        assert value(connection, "seawall_wait_on_commit(1, 60000)") == 1
    before, errors = len(s3.server.records), []

    def work(connection):
        try:
            for _ in range(3):
                connection.execute("INSERT INTO t VALUES (1)")
        except sqlite3.Error as error:
            errors.append(str(error))

    threads = [threading.Thread(target=work, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120 * PATIENCE)
    assert collections.Counter(errors) == {}
    puts = sorted((record.started, record.ended) for record in s3.server.requests("put", since=before) if "/0/" in record.key)
    assert len(puts) < 300 and all(first[1] <= second[0] for first, second in zip(puts, puts[1:])), puts
    assert not s3.server.requests("list", since=before) and not s3.server.requests("head", since=before), "no commit asks the store again"
    stage.note(f"100 connections that wait: 300 commits in {len(puts)} PUTs")
    for connection in connections:
        connection.close()


def test_the_automatic_checkpoints_stay_as_they_were(stage):
    """The hook takes the place of SQLite's own."""
    make_database(stage.db)
    daemon = stage.replicate("--lock-at", "never", "--wal-target", 100000)
    app = connect(stage.db)
    assert value(app, "seawall_wait_on_commit(1, 20000)") == 1
    daemon.kill()
    assert value(app, "seawall_wait_on_commit(0)") == 0
    for i in range(60):
        app.execute("INSERT INTO t VALUES (randomblob(200000))")
    assert stage.wal_bytes() < 6 << 20, "without a daemon nothing is ever checkpointed"
    app.close()


def test_connections_come_and_go(app, stage):
    """What the hook needs goes with its connection, in any order, and in threads."""
    wait_control(stage.replicate())

    def work():
        for _ in range(20):
            connection = connect(stage.db)
            for on in (1, 1, 0, 1):
                connection.execute(f"SELECT seawall_wait_on_commit({on}, 20000)")
            connection.execute("INSERT INTO t VALUES (1)")
            connection.close()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120 * PATIENCE)
    assert value(app, "count(*) FROM t WHERE a = 1") == 80
