"""`seawall follow`: the copy is the newest state of the replica, for stock readers, whatever happens to replica, writer and follower."""
import datetime
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from compare import content_of
from damage import flip, make_newer
from full_disk import Mounted
from follower import REAL, STATE, Follower, Ledgers, Reader, follow, same_as_replica, same_in_one_transaction, status_of
from seawall import BINARY, DONE, FAILED, NOTHING, OTHER_WRITER, USAGE, WRITTEN, seawall, told, url_of
from stranger import OTHER
from waiting import PATIENCE, figure, let_pass

FAST = "--interval", "50ms"
PYTHON = "/usr/bin/python3"   # another user can run it
INTERRUPTED = 130
RETENTION_EACH_SECOND = ("--fanout", "2", "--base-interval", "1s", "--keep-all", "1s", "--keep-levels", "1s", "--grace", "1s", "--prune-interval", "1s")


class Following:
    """A database with its daemon, and a copy of its replica."""

    def __init__(self, stage):
        self.stage, self.copy = stage, stage.folder / "copy.db"
        self.readers = []

    def begin(self, *options, page_size=4096):
        self.app = Ledgers(self.stage.db, page_size)
        self.app.commit()
        self.daemon = self.stage.replicate(*options)
        return self

    def follow(self, *options):
        follower = Follower(self.copy, self.stage.replica, self.stage.folder / f"follow-{len(self.stage.daemons)}.log", *FAST, *options)
        self.stage.daemons.append(follower)
        self.follower = follower
        return follower

    def number(self):
        """Of the last transaction of the application that the copy has."""
        if not self.copy.exists():
            return 0
        db = sqlite3.connect(f"file:{self.copy}?mode=ro", uri=True, isolation_level=None, timeout=10)
        try:
            return same_in_one_transaction(db, lambda: None)
        finally:
            db.close()

    def wait_newest(self, seconds=30):
        self.follower.wait_for(lambda: self.number() == self.app.number, seconds, "the copy has the newest transaction of the application")

    def let_others_write(self):
        """The copy and its log are read-only files."""
        for path in (self.copy, self.copy.with_name("copy.db-wal")):
            path.chmod(0o600)

    def read_by(self, count, hold=0.05):
        for _ in range(count):
            self.readers.append(Reader(self.copy, self.stage.folder, len(self.readers), hold))

    def end(self):
        for reader in self.readers:
            reader.end()
        if hasattr(self, "app"):
            self.app.close()


@pytest.fixture
def following(stage):
    f = Following(stage)
    yield f
    f.end()


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_the_copy_has_each_state_of_the_replica_in_turn(following, page_size):
    f = following.begin(page_size=page_size)
    f.follow()
    f.wait_newest()
    for _ in range(30):
        f.app.commit()
        f.wait_newest()
    assert same_as_replica(f.copy, f.stage.replica, f.stage.folder)
    assert f.follower.stop() == DONE
    assert f.number() == f.app.number


def test_readers_see_one_state_in_a_transaction_while_the_writer_writes_at_full_speed(following):
    f = following.begin()
    f.follow()
    f.wait_newest()
    f.read_by(4)
    for _ in range(figure(60, 6)):
        f.app.commit(40)
        for reader in f.readers:
            reader.assert_well()
    f.wait_newest()
    for reader in f.readers:
        reader.wait_more(5)
    assert same_as_replica(f.copy, f.stage.replica, f.stage.folder)


ONLY_READS = """
import sqlite3, sys, time
copy, end = sys.argv[1], int(sys.argv[2])
held, db = (sqlite3.connect("file:" + copy + "?mode=ro", uri=True, isolation_level=None, timeout=10) for _ in range(2))
number = 0
while number < end:
    held.execute("BEGIN")
    first = held.execute("SELECT * FROM total").fetchone()
    for _ in range(10):
        now = db.execute("SELECT number FROM total").fetchone()[0]
        assert now >= number, (now, number)
        number = now
        assert held.execute("SELECT * FROM total").fetchone() == first
        assert held.execute("SELECT sum(amount), count(*) FROM entry").fetchone() == first[:2]
        time.sleep(0.01)
    held.execute("COMMIT")
"""


@pytest.mark.open_to_others
def test_a_user_who_may_only_read_reads_while_the_copy_changes(following):
    f = following.begin()
    f.follow("--mode", "644")
    f.wait_newest()
    program = f.stage.folder / "only_reads.py"
    program.write_text(ONLY_READS)
    program.chmod(0o644)
    reader = subprocess.Popen([PYTHON, program, f.copy, str(f.app.number + 400)], stderr=subprocess.PIPE, **OTHER)
    sizes = []
    try:
        for _ in range(40):
            f.app.commit(10)
            f.wait_newest()
            sizes.append(f.copy.with_name("copy.db-wal").stat().st_size)
        _, problem = reader.communicate(timeout=60 * PATIENCE)
    finally:
        reader.kill()
    assert reader.returncode == 0, problem.decode()
    assert max(sizes) < 64 << 20


def test_a_long_read_transaction_keeps_its_state_and_delays_nothing(following):
    f = following.begin()
    f.follow()
    f.wait_newest()
    held = sqlite3.connect(f"file:{f.copy}?mode=ro", uri=True, isolation_level=None)
    held.execute("BEGIN")
    first = held.execute(STATE).fetchone()
    for _ in range(20):
        f.app.commit(20)
        f.wait_newest()
        assert held.execute(STATE).fetchone() == first
    assert held.execute(REAL).fetchone() == first[:2]
    held.execute("COMMIT")
    assert held.execute(STATE).fetchone()[2] == f.app.number
    held.close()


def test_the_log_of_the_copy_stays_bounded_while_readers_come_and_go(following):
    f = following.begin()
    f.follow()
    f.wait_newest()
    f.read_by(3, hold=0.02)
    sizes = []
    for _ in range(figure(120, 12)):
        f.app.commit(20, rows=60, size=1000)
        f.wait_newest()
        sizes.append(f.copy.with_name("copy.db-wal").stat().st_size)
    f.stage.note(f"the -wal of a copy with 3 readers: at most {max(sizes) >> 10} KiB")
    assert max(sizes) < 64 << 20
    for reader in f.readers:
        reader.wait_more(3)


def test_the_copy_goes_on_after_it_was_killed_at_random(following):
    f = following.begin()
    f.follow()
    f.wait_newest()
    f.read_by(2)
    rounds = int(os.environ.get("SEAWALL_TEST_KILLS", figure(200, 10)))
    for i in range(rounds):
        f.app.commit(3 + i % 5)
        let_pass((i * 37 % 100) / 1000, "a random moment")
        f.follower.kill()
        f.app.commit()
        f.follow()
        if i % 3 == 0:
            f.wait_newest()
        for reader in f.readers:
            reader.assert_well()
    f.wait_newest()
    assert same_as_replica(f.copy, f.stage.replica, f.stage.folder)


HOLDS_ALL_LOCKS = """
import sqlite3, sys, time
db = sqlite3.connect("file:" + sys.argv[1] + "?mode=rw", uri=True, isolation_level=None)
db.execute("PRAGMA locking_mode=exclusive").fetchall()
db.execute("SELECT count(*) FROM entry").fetchall()
print("locked", flush=True)
time.sleep(600)
"""


def test_a_follower_waits_for_a_process_that_has_the_copy_locked(following):
    """As a reader has that recovers a long log."""
    f = following.begin()
    f.follow()
    f.wait_newest()
    assert f.follower.stop() == DONE
    f.app.commit(3)
    holder = subprocess.Popen([PYTHON, "-c", HOLDS_ALL_LOCKS, f.copy], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"locked\n"
        f.follow()
        f.follower.wait_for(lambda: "waiting for another process" in f.follower.log(), 30, "the follower waits")
    finally:
        holder.kill()
        holder.wait()
    f.wait_newest()
    assert same_as_replica(f.copy, f.stage.replica, f.stage.folder)


@pytest.mark.busy_at_the_end("retention runs every second")
def test_the_copy_goes_on_after_kills_under_load_with_retention_every_second(following):
    f = following.begin(*RETENTION_EACH_SECOND)
    f.follow()
    f.wait_newest()
    f.read_by(3)
    for i in range(int(os.environ.get("SEAWALL_TEST_KILLS", figure(200, 10)))):
        f.app.commit(10 + i % 40)
        let_pass((i * 61 % 100) / 1000, "a random moment")
        f.follower.kill()
        if i % 5 == 4:
            f.app.commit(20)
            let_pass(1.5, "retention removes what comes next")
        f.follow()
        for reader in f.readers:
            reader.assert_well()
    f.wait_newest(60)
    f.stage.note(f"follow killed under load: jumps {status_of(f.copy)['jumps']}, steps {status_of(f.copy)['steps']}")
    assert same_as_replica(f.copy, f.stage.replica, f.stage.folder)


def test_a_copy_that_is_far_behind_uses_levels_or_a_base(following):
    f = following.begin(*RETENTION_EACH_SECOND)
    f.follow()
    f.wait_newest()
    for _ in range(3):
        assert f.follower.stop() == DONE
        before = status_of(f.copy)["txid"]
        for _ in range(12):
            f.app.commit(5)
            let_pass(0.2, "retention runs every second")
        f.daemon.wait_for(lambda: not (f.stage.replica / "0" / f"{before + 1:016x}").exists(), 30, "retention has removed what came next")
        f.follow()
        f.wait_newest()
    assert same_as_replica(f.copy, f.stage.replica, f.stage.folder)


@pytest.mark.busy_at_the_end("retention runs every second")
def test_retention_every_second_and_bases_disturb_nobody(following):
    f = following.begin(*RETENTION_EACH_SECOND)
    f.follow()
    f.wait_newest()
    f.read_by(2)
    for _ in range(figure(200, 25)):
        f.app.commit(8)
        let_pass(0.1, "the daemon writes bases and removes objects")
        for reader in f.readers:
            reader.assert_well()
    f.wait_newest()
    assert same_as_replica(f.copy, f.stage.replica, f.stage.folder)


def test_a_vacuum_and_a_smaller_database_arrive_as_transactions(following):
    f = following.begin()
    f.app.commit(60)
    f.follow()
    f.wait_newest()
    before = status_of(f.copy)["jumps"]
    for statement in ("DELETE FROM entry", "VACUUM", "UPDATE total SET amount = 0, entries = 0"):
        f.app.app.execute("BEGIN") if statement.startswith("DELETE") else None
        if statement.startswith("DELETE"):
            f.app.app.execute(statement)
            f.app.app.execute("UPDATE total SET amount = 0, entries = 0")
            f.app.app.execute("COMMIT")
        else:
            f.app.app.execute(statement)
    f.follower.wait_for(lambda: same_as_replica(f.copy, f.stage.replica, f.stage.folder) and
                        content_of(f.copy) == content_of(f.stage.db), 20, "the copy is as small")
    f.app.commit(3)
    f.wait_newest()
    assert status_of(f.copy)["jumps"] == before


def test_another_page_size_arrives_under_readers(following):
    f = following.begin(page_size=1024)
    f.follow()
    f.wait_newest()
    reader = sqlite3.connect(f"file:{f.copy}?mode=ro", uri=True, isolation_level=None, timeout=10)
    assert reader.execute("PRAGMA page_size").fetchone()[0] == 1024
    for page_size in (4096, 512):
        assert f.daemon.stop() == DONE
        for statement in ("PRAGMA journal_mode=delete", f"PRAGMA page_size={page_size}", "VACUUM", "PRAGMA journal_mode=wal"):
            f.app.app.execute(statement).fetchall()
        f.app.commit()
        f.daemon = f.stage.replicate()
        f.wait_newest()
        assert same_in_one_transaction(reader, lambda: None) == f.app.number
        assert reader.execute("PRAGMA page_size").fetchone()[0] == page_size
    f.app.commit(5)
    f.wait_newest()
    reader.close()


def test_another_database_in_its_place_arrives_with_its_schema(following):
    f = following.begin()
    f.follow()
    f.wait_newest()
    reader = sqlite3.connect(f"file:{f.copy}?mode=ro", uri=True, isolation_level=None, timeout=10)
    same_in_one_transaction(reader, lambda: None)
    assert f.daemon.stop() == DONE
    f.app.close()
    drop_database(f.stage.db)
    other = sqlite3.connect(f.stage.db, isolation_level=None)
    for statement in ("PRAGMA page_size=4096", "PRAGMA journal_mode=wal", "CREATE TABLE total(amount INTEGER, entries INTEGER, number INTEGER)",
                      "CREATE TABLE entry(id INTEGER PRIMARY KEY, amount INTEGER, filler BLOB)", "INSERT INTO total VALUES(7, 1, 5000)",
                      "INSERT INTO entry(amount) VALUES(7)"):
        other.execute(statement).fetchall()
    other.close()
    f.app.number = 5000
    f.daemon = f.stage.replicate()
    f.wait_newest()
    assert same_in_one_transaction(reader, lambda: None) == 5000
    reader.close()
    f.app = Ledgers.__new__(Ledgers)
    f.app.app, f.app.number = sqlite3.connect(f.stage.db, isolation_level=None), 5000
    f.app.commit(3)
    f.wait_newest()


def drop_database(path):
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def test_a_writer_that_takes_over_is_followed(following):
    f = following.begin()
    f.follow()
    f.wait_newest()
    assert f.daemon.stop() == DONE
    f.app.close()
    restored = f.stage.restored()
    other = f.stage.folder / "other.db"
    shutil.copy(restored, other)
    app = sqlite3.connect(other, isolation_level=None)
    f.app = Ledgers.__new__(Ledgers)
    f.app.app, f.app.number = app, f.number()
    f.daemon = f.stage.replicate("--take-over", db=other)
    f.app.commit(10)
    f.wait_newest()
    assert f.follower.running()


def test_what_another_process_wrote_is_refused_and_starting_over_undoes_it(following):
    f = following.begin()
    f.follow()
    f.wait_newest()
    assert f.follower.stop() == DONE
    f.let_others_write()
    stranger = sqlite3.connect(f.copy, isolation_level=None)
    stranger.execute("CREATE TABLE mine(a)")
    stranger.close()
    f.app.commit()
    result = follow(f.copy, f.stage.replica, "--until-current")
    assert result.returncode == WRITTEN, told(result)
    assert b"another process wrote" in result.stderr and b"HINT: 'seawall follow --start-over" in result.stderr
    assert ("mine",) in sqlite3.connect(f.copy).execute("SELECT name FROM sqlite_schema").fetchall(), "it must stay as it is"
    result = follow(f.copy, f.stage.replica, "--until-current", "--start-over")
    assert result.returncode == DONE, told(result)
    assert f.number() == f.app.number
    assert same_as_replica(f.copy, f.stage.replica, f.stage.folder)


def test_what_another_process_writes_meanwhile_is_refused(following):
    f = following.begin()
    f.follow()
    f.wait_newest()
    f.let_others_write()
    stranger = sqlite3.connect(f.copy, isolation_level=None, timeout=10)
    stranger.execute("UPDATE total SET number = 99999")
    f.app.commit()
    assert f.follower.wait() == WRITTEN, f.follower.log()
    assert stranger.execute("SELECT number FROM total").fetchone() == (99999,)
    stranger.close()
    assert "another process wrote" in status_of(f.copy)["error"]


@pytest.mark.parametrize("mode", ["PASSIVE", "TRUNCATE"])
def test_a_checkpoint_by_another_process_does_no_harm(following, mode):
    f = following.begin()
    f.follow()
    f.wait_newest()
    f.let_others_write()
    for _ in range(4):
        other = sqlite3.connect(f.copy, isolation_level=None, timeout=10)
        other.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        other.close()
        f.app.commit(2)
        f.wait_newest()
    assert f.follower.stop() == DONE
    other = sqlite3.connect(f.copy, isolation_level=None, timeout=10)   # the last one: SQLite copies the log back and removes it
    other.execute(STATE).fetchone()
    other.close()
    f.app.commit()
    f.follow()
    f.wait_newest()


def test_the_copy_has_no_permission_to_write_and_a_promoted_one_has_it(following):
    f = following.begin()
    f.follow("--mode", "640")
    f.wait_newest()
    f.app.commit()
    f.wait_newest()
    assert f.copy.stat().st_mode & 0o777 == 0o440
    assert f.copy.with_name("copy.db-wal").stat().st_mode & 0o777 == 0o440
    assert f.copy.with_name("copy.db-shm").stat().st_mode & 0o777 == 0o640
    assert f.follower.stop() == DONE
    result = follow(f.copy, f.stage.replica, "--promote")
    assert result.returncode == DONE, told(result)
    assert f.copy.stat().st_mode & 0o777 == 0o640


def test_promoting_takes_the_replica_over_and_the_old_writer_ends(following):
    f = following.begin()
    f.app.commit(5)
    f.follow()
    f.wait_newest()
    assert f.follower.stop() == DONE
    result = follow(f.copy, f.stage.replica, "--promote")
    assert result.returncode == DONE, told(result)
    assert not f.copy.with_name("copy.db-seawall-follow").exists()
    f.app.commit()
    assert f.daemon.wait() == OTHER_WRITER, f.daemon.log()
    assert f"database '{f.copy}', since 20" in f.daemon.told_once("belongs to another writer")
    assert len(list((f.stage.replica / "writer").iterdir())) == 1
    bytes_before = sum(p.stat().st_size for p in f.stage.replica.rglob("*") if p.is_file())
    f.daemon = f.stage.replicate(db=f.copy)
    app = Ledgers.__new__(Ledgers)
    app.app, app.number = sqlite3.connect(f.copy, isolation_level=None), f.app.number - 1
    app.commit(3)
    f.daemon.wait_for(lambda: content_of(f.stage.restored()) == content_of(f.copy), 20, "the new writer ships")
    bytes_after = sum(p.stat().st_size for p in f.stage.replica.rglob("*") if p.is_file())
    assert bytes_after - bytes_before < f.copy.stat().st_size, "the new writer sent everything again"
    app.close()


def test_it_says_how_old_the_copy_is(following):
    begun = time.time()
    f = following.begin()
    f.follow()
    f.wait_newest()
    f.follower.wait_for(lambda: f.follower.status()["current"] is not None, 10, "it is known to be the newest")
    status = f.follower.status()
    assert status["running"] and not status["behind"] and "error" not in status
    assert status["txid"] == f.stage.last_txid() and status["newest_txid"] == status["txid"]
    for name in ("time", "current"):   # of its transaction, and of the look that found nothing newer
        told_s = datetime.datetime.fromisoformat(status[name].replace("Z", "+00:00")).timestamp()
        assert begun - 0.001 <= told_s <= time.time(), f"{name}: {status[name]}"
    text = seawall("follow", "--status", f.copy).stdout.decode()
    assert f"txid {status['txid']} of" in text and "known to be the newest of the replica" in text
    assert f.follower.stop() == DONE
    assert not status_of(f.copy)["running"]
    assert "no 'seawall follow' runs" in seawall("follow", "--status", f.copy).stdout.decode()


def test_a_replica_that_is_gone_for_a_while_is_waited_for(following):
    f = following.begin()
    f.follow()
    f.wait_newest()
    assert f.daemon.stop() == DONE
    away = f.stage.replica.with_name("away")
    f.stage.replica.rename(away)
    f.follower.wait_for(lambda: f.follower.status().get("error"), 40, "it says that the replica is gone")
    assert f.follower.status()["failing_since"] is not None
    f.follower.wait_log("stays at txid")
    away.rename(f.stage.replica)
    f.follower.wait_for(lambda: not f.follower.status().get("error"), 60, "it goes on")
    f.daemon = f.stage.replicate()
    f.app.commit()
    f.wait_newest(60)


def test_the_command_begins_with_the_newest_state_and_ends_the_follower(following):
    f = following.begin()
    f.app.commit(5)
    seen = f.stage.folder / "seen"
    f.follow("--exec", f"sqlite3 -readonly {f.copy} 'SELECT number FROM total' >{seen}; exit 7")
    assert f.follower.wait() == 7
    assert int(seen.read_text()) == f.app.number


def test_a_signal_ends_the_command_first(following):
    f = following.begin()
    ready, ended = f.stage.folder / "ready", f.stage.folder / "ended"
    f.follow("--exec", f"trap 'echo >{ended}; exit 3' TERM; echo >{ready}; while :; do sleep 0.1; done")
    f.follower.wait_for(ready.exists, 20, "the command runs")
    f.follower.send(signal.SIGTERM)
    assert f.follower.wait() == 3
    assert ended.exists()


# ---- what is refused

def test_a_database_that_is_no_copy_is_refused_and_left_alone(following):
    f = following.begin()
    mine = sqlite3.connect(f.copy)
    mine.execute("CREATE TABLE mine(a)")
    mine.close()
    before = f.copy.read_bytes(), f.copy.stat().st_mode
    for options in ((), ("--start-over",)):
        result = follow(f.copy, f.stage.replica, "--until-current", *options)
        assert result.returncode == FAILED and b"is not a copy" in result.stderr and b"HINT" in result.stderr, told(result)
    assert (f.copy.read_bytes(), f.copy.stat().st_mode) == before
    assert sorted(p.name for p in f.stage.folder.glob("copy.db*")) == ["copy.db"]


def test_a_replica_of_another_history_is_refused_until_one_starts_over(following):
    f = following.begin()
    assert follow(f.copy, f.stage.replica, "--until-current").returncode == DONE
    other, other_replica = f.stage.folder / "other.db", f.stage.folder / "other-replica"
    app = Ledgers(other)
    app.commit(3)
    app.close()
    assert seawall("snapshot", other, url_of(other_replica)).returncode == DONE
    before = content_of(f.copy)
    result = follow(f.copy, other_replica, "--until-current")
    assert result.returncode == OTHER_WRITER and b"another history" in result.stderr and b"--start-over" in result.stderr, told(result)
    assert content_of(f.copy) == before
    result = follow(f.copy, other_replica, "--until-current", "--start-over")
    assert result.returncode == DONE, told(result)
    assert content_of(f.copy) == content_of(other)


def test_nothing_is_left_behind_where_there_is_no_replica(following):
    result = follow(following.copy, following.stage.folder / "nothing", "--until-current")
    assert result.returncode == NOTHING and b"HINT" in result.stderr, told(result)
    assert not list(following.stage.folder.glob("copy.db*"))


@pytest.mark.parametrize("command", ["replicate", "snapshot"])
def test_a_copy_is_not_replicated(following, command):
    f = following.begin()
    f.follow()
    f.wait_newest()
    result = seawall(command, f.copy, url_of(f.stage.folder / "elsewhere"))
    assert result.returncode == USAGE and b"is a copy of 'seawall follow'" in result.stderr and b"--promote" in result.stderr, told(result)
    assert not (f.stage.folder / "elsewhere").exists()
    f.app.commit()
    f.wait_newest()


def test_one_copy_has_one_follower(following):
    f = following.begin()
    f.follow()
    f.wait_newest()
    result = follow(f.copy, f.stage.replica, "--until-current")
    assert result.returncode == FAILED and b"another 'seawall follow'" in result.stderr, told(result)


@pytest.mark.parametrize("arguments", [("-o", "c"), ("url",), ("-o", "c", "--interval", "0", "url"), ("--json", "-o", "c", "url"),
                                       ("-o", "c", "--promote", "--exec", "true", "url"), ("--status",)], ids=" ".join)
def test_a_wrong_command_line_is_told(stage, arguments):
    result = seawall("follow", *arguments, folder=stage.folder)
    assert result.returncode == USAGE and b"HINT" in result.stderr, told(result)


def test_a_replica_of_a_database_in_a_rollback_mode_is_followed(following):
    f = following
    app = Ledgers(f.stage.db)
    app.commit(3)
    app.app.execute("PRAGMA journal_mode=delete").fetchall()
    f.app = app
    assert seawall("snapshot", f.stage.db, url_of(f.stage.replica)).returncode == DONE
    f.follow()
    f.wait_newest()
    for _ in range(3):
        app.commit(2)
        assert seawall("snapshot", f.stage.db, url_of(f.stage.replica)).returncode == DONE
        f.wait_newest()
    assert sqlite3.connect(f"file:{f.copy}?mode=ro", uri=True).execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_damaged_object_is_told_and_waited_for(following):
    f = following.begin()
    f.follow()
    f.wait_newest()
    assert f.follower.stop() == DONE
    number = f.number()
    f.app.commit()
    f.daemon.wait_for(lambda: f.stage.last_txid() > status_of(f.copy)["txid"], 10, "it is shipped")
    assert f.daemon.stop() == DONE
    path = f.stage.replica / "0" / f"{status_of(f.copy)['txid'] + 1:016x}"
    sound = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(sound[:100] + bytes([sound[100] ^ 1]) + sound[101:])
    f.follow()
    f.follower.wait_for(lambda: f.follower.status().get("error"), 20, "it says what is damaged")
    assert f.number() == number
    path.write_bytes(sound)
    f.wait_newest(60)


@pytest.mark.parametrize("field", ["version", "flag"])
def test_an_object_of_a_newer_format_ends_it(following, field):
    f = following.begin()
    f.follow()
    f.wait_newest()
    assert f.follower.stop() == DONE
    txid, number = status_of(f.copy)["txid"], f.number()
    f.app.commit()
    f.daemon.wait_for(lambda: f.stage.last_txid() > txid, 10, "it is shipped")
    assert f.daemon.stop() == DONE
    make_newer(f.stage.replica / "0" / f"{txid + 1:016x}", field)
    result = follow(f.copy, f.stage.replica, "--until-current")
    assert result.returncode == USAGE, told(result)
    assert b"has a newer format than this program knows" in result.stderr and b"HINT: use the version of seawall" in result.stderr
    assert f.number() == number


def test_a_transaction_in_parts_arrives_as_one(following):
    f = following.begin()
    f.follow()
    f.wait_newest()
    assert f.daemon.stop() == DONE
    f.app.app.execute("BEGIN")
    f.app.app.execute("WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 10000) "
                      "INSERT INTO entry(amount, filler) SELECT 1, randomblob(3500) FROM i")
    f.app.app.execute("UPDATE total SET amount = (SELECT sum(amount) FROM entry), entries = (SELECT count(*) FROM entry)")
    f.app.app.execute("COMMIT")
    f.read_by(2)
    f.daemon = f.stage.replicate(live=False)
    f.app.commit()
    f.daemon.wait_for(lambda: list(f.stage.replica.glob("part/*")), 60, "parts")
    f.wait_newest(90)
    for reader in f.readers:
        reader.wait_more(1)
    assert same_as_replica(f.copy, f.stage.replica, f.stage.folder)


@pytest.mark.parametrize("lost", ["the head", "level 0"])
def test_a_history_that_begins_again_after_a_loss_is_followed(following, lost):
    f = following.begin()
    f.follow()
    for _ in range(5):
        f.app.commit()
        f.wait_newest()
    assert f.daemon.stop() == DONE
    for path in sorted((f.stage.replica / "0").iterdir())[-1 if lost == "the head" else 0:]:
        path.unlink()
    f.app.commit()
    f.daemon = f.stage.replicate(live=False)
    f.wait_newest(60)
    f.app.commit(3)
    f.wait_newest(60)
    assert same_as_replica(f.copy, f.stage.replica, f.stage.folder)


# ---- when it counts as current

def make_unreadable(f):
    """Ships one more transaction and damages its object. The copy can't have it."""
    txid = status_of(f.copy)["txid"]
    f.app.commit()
    f.daemon.wait_for(lambda: f.stage.last_txid() > txid, 10, "it is shipped")
    assert f.daemon.stop() == DONE
    for path in (f.stage.replica / "0").iterdir():
        if int(path.name, 16) > txid:
            path.chmod(0o600)
            flip(path, 100)


@pytest.mark.parametrize("option", ["--promote", "--until-current"])
def test_a_signal_does_not_make_a_copy_current_that_is_behind(following, option):
    f = following.begin()
    assert follow(f.copy, f.stage.replica, "--until-current").returncode == DONE
    make_unreadable(f)
    objects = sorted(p.name for p in (f.stage.replica / "0").iterdir())
    f.follow(option)
    f.follower.wait_for(lambda: status_of(f.copy).get("error"), 20, "it says what is damaged")
    f.follower.send(signal.SIGINT)
    assert f.follower.wait() == INTERRUPTED, f.follower.log()
    assert f.copy.with_name("copy.db-seawall-follow").exists() and f.copy.stat().st_mode & 0o222 == 0
    assert sorted(p.name for p in (f.stage.replica / "0").iterdir()) == objects


def test_the_end_of_a_follower_that_fails_says_nothing_new(following):
    f = following.begin()
    f.follow()
    f.wait_newest()
    f.follower.wait_for(lambda: f.follower.status()["current"], 20, "it is known to be the newest")
    f.follower.send(signal.SIGSTOP)
    make_unreadable(f)
    f.follower.send(signal.SIGCONT)
    f.follower.wait_for(lambda: f.follower.status().get("error"), 20, "it says what is damaged")
    before, said = f.follower.status()["current"], f.follower.log().count("has the newest transaction")
    assert f.follower.stop() == DONE
    after = status_of(f.copy)
    assert after["current"] == before and after["error"]
    assert f.follower.log().count("has the newest transaction") == said


def test_a_follower_that_slept_does_not_count_as_current_before_it_has_listed(following):
    f = following.begin(*RETENTION_EACH_SECOND)
    f.follow("--interval", "30s", "--max-interval", "30s")
    f.wait_newest()
    f.follower.wait_for(lambda: f.follower.status()["current"], 20, "it is known to be the newest")
    f.follower.send(signal.SIGSTOP)
    behind = status_of(f.copy)["txid"]
    for _ in range(200):
        f.app.commit(5)
        let_pass(0.2, "retention runs every second")
        if not (f.stage.replica / "0" / f"{behind + 1:016x}").exists() and f.stage.last_txid() > behind + 4:
            break
    assert f.daemon.stop() == DONE
    ended = time.time()
    f.follower.send(signal.SIGCONT)
    f.follower.wait_for(lambda: f.number() == f.app.number or f.follower.status()["current_ms"] < (time.time() - ended) * 1000, 50, "it is current, or says so")
    assert f.number() == f.app.number


# ---- what proves which state a copy is

def commit_one_by_one(f, times=5):
    """Transactions after each of which the copy is current. Its log gets them, and its database file does not."""
    for _ in range(times):
        f.app.commit()
        f.wait_newest()


@pytest.mark.parametrize("loss", ["frames", "log", "emptied before"])
def test_a_log_that_was_lost_is_noticed(following, loss):
    """As a power cut leaves it: the header of the log, which is synced, or nothing. The note was written back."""
    f = following.begin()
    f.follow()
    f.wait_newest()
    if loss == "emptied before":
        assert f.follower.stop() == DONE
        f.follow()
        f.wait_newest()
    commit_one_by_one(f)
    f.follower.kill()
    log = f.copy.with_name("copy.db-wal")
    assert log.stat().st_size > 5 * 4096
    log.chmod(0o600)
    os.truncate(log, 32) if loss == "frames" else log.unlink()
    f.copy.with_name("copy.db-shm").unlink()
    txid = status_of(f.copy)["txid"]
    f.follow()
    f.wait_newest()
    f.app.app.execute("UPDATE entry SET filler = zeroblob(10) WHERE id = (SELECT max(id) FROM entry)")   # leaves other pages as they are
    f.app.commit(1, rows=1)
    f.wait_newest()
    assert "reading all pages" in f.follower.log() and status_of(f.copy)["txid"] > txid
    assert same_as_replica(f.copy, f.stage.replica, f.stage.folder)
    assert f.follower.stop() == DONE
    result = follow(f.copy, f.stage.replica, "--promote")
    assert result.returncode == DONE, told(result)
    assert content_of(f.copy) == content_of(f.stage.db)


def test_a_log_that_was_copied_back_whole_is_not_missed(following):
    f = following.begin()
    f.follow()
    f.wait_newest()
    txid = status_of(f.copy)["txid"]
    f.app.commit(1, rows=1200, size=3500)
    f.follower.wait_txid(txid + 1)   # without a reader, which would keep frames in the log
    assert f.follower.stop() == DONE
    f.copy.with_name("copy.db-wal").chmod(0o600)
    os.truncate(f.copy.with_name("copy.db-wal"), 0)
    f.copy.with_name("copy.db-shm").unlink()
    f.app.commit()
    f.follow()
    f.wait_newest()
    assert "reading all pages" not in f.follower.log()
    assert same_as_replica(f.copy, f.stage.replica, f.stage.folder)


@pytest.mark.parametrize("log", ["empty", "with frames"])
def test_what_another_process_writes_and_copies_back_is_refused(following, log):
    f = following.begin()
    f.app.commit(3, rows=200)
    f.follow()
    f.wait_newest()
    if log == "with frames":
        commit_one_by_one(f, 2)
    f.let_others_write()
    stranger = sqlite3.connect(f.copy, isolation_level=None, timeout=10)
    stranger.execute("UPDATE entry SET filler = 'foreign' WHERE id = (SELECT min(id) FROM entry)")
    stranger.execute("PRAGMA wal_checkpoint(truncate)").fetchall()
    stranger.close()
    f.app.commit()
    assert f.follower.wait() == WRITTEN, f.follower.log()
    result = follow(f.copy, f.stage.replica, "--until-current")
    assert result.returncode == WRITTEN, told(result)
    result = follow(f.copy, f.stage.replica, "--promote")
    assert result.returncode == WRITTEN, told(result)


def test_what_another_process_wrote_is_not_covered_by_a_checkpoint(following):
    """The file alone changed, under a log with frames: the next checkpoint must not take its new stamp for proven."""
    f = following.begin()
    f.app.app.execute("CREATE TABLE still AS SELECT CAST(replace(hex(zeroblob(1500)), '00', 'still') AS BLOB) AS filler")
    f.app.commit(3, rows=200)
    f.follow()
    f.wait_newest()
    commit_one_by_one(f, 2)
    txid = status_of(f.copy)["txid"]
    f.copy.chmod(0o600)
    with open(f.copy, "r+b") as file:
        file.seek(file.read().index(b"stillstill" * 100))
        file.write(b"foreign")
    f.app.commit(1, rows=1200, size=3500)
    f.follower.wait_for(lambda: not f.follower.running() or status_of(f.copy)["txid"] > txid, 30, "it has the commit, or ends")
    f.app.commit()
    assert f.follower.wait() == WRITTEN, f.follower.log()


def test_what_another_process_writes_during_a_checkpoint_is_refused_after_a_restart_too(following):
    """The checkpoint waits for a reader, and copies what was written meanwhile. Then the last connection empties the log."""
    f = following.begin()
    f.follow()
    f.wait_newest()
    f.let_others_write()
    held = sqlite3.connect(f.copy, isolation_level=None)
    held.execute("BEGIN")
    held.execute(STATE).fetchone()
    f.app.commit(1, rows=5000, size=3500)
    stranger = sqlite3.connect(f.copy, isolation_level=None, timeout=10)
    f.follower.wait_for(lambda: stranger.execute("SELECT number FROM total").fetchone()[0] == f.app.number, 30, "the long transaction")
    stranger.execute("UPDATE entry SET filler = 'foreign' WHERE id = (SELECT min(id) FROM entry)")
    held.close()
    f.app.commit()
    assert f.follower.wait() == WRITTEN, f.follower.log()
    stranger.close()
    assert not f.copy.with_name("copy.db-wal").exists()
    result = follow(f.copy, f.stage.replica, "--until-current")
    assert result.returncode == WRITTEN, told(result)


# ---- promotion

def test_a_promotion_wins_against_a_writer_that_never_rests(following):
    f = following.begin()
    assert follow(f.copy, f.stage.replica, "--until-current").returncode == DONE
    writing = threading.Event()
    writing.set()

    def write():
        app = sqlite3.connect(f.stage.db, isolation_level=None, timeout=60)
        while writing.is_set():
            app.execute("UPDATE total SET number = number + 1")
            let_pass(0.003, "the writer commits all the time")
        app.close()
    thread = threading.Thread(target=write)
    thread.start()
    try:
        result = follow(f.copy, f.stage.replica, "--promote")
        assert result.returncode == DONE, told(result)
        assert f.daemon.wait() == OTHER_WRITER, f.daemon.log()
    finally:
        writing.clear()
        thread.join()
    assert content_of(f.stage.restored()) == content_of(f.copy), "what was durable is in the promoted database, and nothing else"
    assert seawall("verify", "--full", url_of(f.stage.replica)).returncode == DONE
    f.daemon = f.stage.replicate(db=f.copy)
    app = sqlite3.connect(f.copy, isolation_level=None)
    app.execute("UPDATE total SET number = 7")
    f.daemon.wait_for(lambda: content_of(f.stage.restored()) == content_of(f.copy), 20, "the new writer ships")
    app.close()


@pytest.mark.open_to_others
def test_a_user_who_is_not_root_promotes_a_copy(following):
    f = following.begin()
    folder = f.stage.folder / "of-other"
    folder.mkdir()
    for path in (folder, f.stage.replica, *f.stage.replica.rglob("*")):
        os.chown(path, OTHER["user"], OTHER["group"])
    assert f.daemon.stop() == DONE
    for path in f.stage.replica.rglob("*"):
        os.chown(path, OTHER["user"], OTHER["group"])
    copy = folder / "copy.db"
    for option in ("--until-current", "--promote"):
        result = subprocess.run([BINARY, "follow", "-o", copy, option, url_of(f.stage.replica)], capture_output=True, timeout=60 * PATIENCE, **OTHER)
        assert result.returncode == DONE, told(result)
    assert copy.with_name("copy.db-seawall").stat().st_mode & 0o777 == 0o600
    assert copy.stat().st_mode & 0o777 == 0o600
    result = subprocess.run([BINARY, "replicate", "--once", copy, url_of(f.stage.replica)], capture_output=True, timeout=60 * PATIENCE, **OTHER)
    assert result.returncode == DONE, told(result)


def test_a_copy_that_differs_from_the_replica_is_not_promoted(following):
    f = following.begin()
    f.app.app.execute("CREATE TABLE still AS SELECT CAST(replace(hex(zeroblob(1500)), '00', 'still') AS BLOB) AS filler")
    f.app.commit()
    assert follow(f.copy, f.stage.replica, "--until-current").returncode == DONE
    f.daemon.wait_for(lambda: f.stage.last_txid() == status_of(f.copy)["txid"], 20, "it is shipped")
    before = f.copy.stat()
    f.copy.chmod(0o600)
    with open(f.copy, "r+b") as file:
        file.seek(file.read().index(b"stillstill" * 100))
        file.write(b"foreign")
    os.utime(f.copy, ns=(before.st_atime_ns, before.st_mtime_ns))   # the stamp says nothing
    objects = sorted(p.name for p in (f.stage.replica / "0").iterdir())
    result = follow(f.copy, f.stage.replica, "--promote")
    assert result.returncode == OTHER_WRITER and b"HINT: 'seawall follow --start-over" in result.stderr, told(result)
    assert f.copy.with_name("copy.db-seawall-follow").exists() and f.copy.stat().st_mode & 0o222 == 0
    assert sorted(p.name for p in (f.stage.replica / "0").iterdir()) == objects
    assert follow(f.copy, f.stage.replica, "--until-current", "--start-over").returncode == DONE
    assert same_as_replica(f.copy, f.stage.replica, f.stage.folder)


# ---- the log of the copy

@pytest.mark.parametrize("readers,hold", [(3, 0.01), (8, 0.15)])
def test_the_log_stays_bounded_while_read_transactions_overlap(following, readers, hold):
    """At each moment some transaction runs that began before the last commit."""
    f = following.begin()
    f.app.app.execute("CREATE TABLE wide AS WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 500) SELECT zeroblob(3500) AS filler FROM i")
    f.follow()
    f.wait_newest()
    f.read_by(readers, hold)
    for reader in f.readers:
        reader.wait_more(1)
    sizes = []
    for _ in range(60):
        txid = f.follower.status()["txid"]
        f.app.app.execute("UPDATE wide SET filler = randomblob(3500)")
        f.follower.wait_txid(txid + 1, 60)
        sizes.append(f.copy.with_name("copy.db-wal").stat().st_size)
    for reader in f.readers:
        reader.assert_well()
    f.stage.note(f"the -wal of a copy with {readers} readers of up to {hold * 3:g} s: at most {max(sizes) >> 20} MiB")
    assert max(sizes) < 48 << 20, "60 commits of 2 MB each"


# ---- trouble while it runs

def test_files_that_were_removed_end_it(following):
    f = following.begin()
    f.follow()
    f.wait_newest()
    f.follower.wait_log("has the newest transaction")   # it has the files open
    for path in f.stage.folder.glob("copy.db*"):
        path.unlink()
    f.app.commit()
    assert f.follower.wait() == FAILED, f.follower.log()
    assert "was removed while it was in use" in f.follower.log() and "HINT" in f.follower.log()
    assert not list(f.stage.folder.glob("copy.db*"))


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_file_that_was_replaced_ends_it_before_anything_is_written(following, suffix):
    f = following.begin()
    f.follow()
    f.wait_newest()
    f.follower.wait_log("has the newest transaction")   # it has the files open
    other, place = f.stage.folder / "other.db", f.copy.with_name(f"copy.db{suffix}")
    other.write_bytes(place.read_bytes())
    other.replace(place)
    before = {path: path.read_bytes() for path in (f.copy, f.copy.with_name("copy.db-wal"))}
    f.app.commit()
    assert f.follower.wait() == FAILED, f.follower.log()
    assert "was replaced while it was in use" in f.follower.log() and "HINT" in f.follower.log()
    assert {path: path.read_bytes() for path in before} == before


def test_a_jump_is_copied_back(following):
    f = following.begin(*RETENTION_EACH_SECOND)
    f.follow()
    f.wait_newest()
    assert f.follower.stop() == DONE
    behind = status_of(f.copy)["txid"]
    f.app.commit(1, rows=1300, size=3500)
    f.daemon.wait_for(lambda: f.app.commit() or not (f.stage.replica / "0" / f"{behind + 1:016x}").exists(), 30, "retention has removed what came next")
    assert f.daemon.stop() == DONE
    f.follow()
    f.follower.wait_txid(f.stage.last_txid())
    assert f.follower.stop() == DONE
    alone = f.stage.folder / "alone.db"
    shutil.copyfile(f.copy, alone)
    alone.chmod(0o600)
    app = sqlite3.connect(alone)
    assert app.execute("SELECT count(*) FROM entry").fetchone()[0] > 1000, "only the log of the copy has it"
    app.close()


def test_a_replica_that_was_put_back_to_an_older_state_is_explained(following):
    f = following.begin()
    f.app.commit(2)
    f.daemon.wait_for(lambda: f.stage.last_txid() >= 2, 10, "shipped")
    older = f.stage.folder / "older"
    shutil.copytree(f.stage.replica, older)
    for _ in range(3):
        f.app.commit()
    f.follow()
    f.wait_newest()
    assert f.follower.stop() == DONE and f.daemon.stop() == DONE
    shutil.rmtree(f.stage.replica)
    older.rename(f.stage.replica)
    f.follow()
    f.follower.wait_log("the copy has txid")
    f.follower.wait_log("HINT: if it was put back to an older state for good, 'seawall follow --start-over")
    assert f.follower.stop() == DONE
    assert follow(f.copy, f.stage.replica, "--until-current", "--start-over").returncode == DONE
    assert same_as_replica(f.copy, f.stage.replica, f.stage.folder)
    assert not status_of(f.copy)["behind"]


def test_starting_over_without_a_note_makes_a_whole_one(following):
    f = following.begin()
    assert follow(f.copy, f.stage.replica, "--until-current").returncode == DONE
    os.truncate(f.copy.with_name("copy.db-seawall-follow"), 0)
    result = follow(f.copy, f.stage.replica, "--until-current")
    assert result.returncode == FAILED and b"--start-over" in result.stderr, told(result)
    assert follow(f.copy, f.stage.replica, "--until-current", "--start-over").returncode == DONE
    assert status_of(f.copy)["replica"].endswith("/replica")
    result = follow(f.copy, f.stage.replica, "--until-current")
    assert result.returncode == DONE and b"reading all pages" not in result.stderr, told(result)


def test_a_damaged_object_is_told_once(following):
    f = following.begin()
    assert follow(f.copy, f.stage.replica, "--until-current").returncode == DONE
    make_unreadable(f)
    f.follow()
    f.follower.wait_for(lambda: f.follower.status().get("error"), 20, "it says what is damaged")
    requests = f.follower.status()["requests"]
    f.follower.wait_for(lambda: f.follower.status()["requests"] > requests + 10, 60, "it tries again")
    assert f.follower.log().count("looking for another way") == 1


def test_a_full_disk_makes_the_log_be_copied_back(following):
    """A log that starts again needs no room."""
    f = following
    disk = Mounted(f.stage.folder / "disk", 8)
    if not disk.mounted:
        pytest.skip("this user can't mount")
    try:
        f.copy = disk.folder / "copy.db"
        f.begin()
        f.app.app.execute("CREATE TABLE wide AS WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 500) SELECT zeroblob(3500) AS filler FROM i")
        f.app.commit()
        f.daemon.wait_for(lambda: content_of(f.stage.restored()) == content_of(f.stage.db), 20, "the first copy has all pages in its file")
        f.follow()
        f.wait_newest()
        f.follower.wait_log("has the newest transaction")
        for full in (False, True):
            txid = status_of(f.copy)["txid"]
            assert txid == f.stage.last_txid()
            if full:
                disk.fill()
            f.app.app.execute("UPDATE wide SET filler = randomblob(3500)")   # the database does not grow
            f.follower.wait_txid(txid + 1, 60)
        assert same_as_replica(f.copy, f.stage.replica, f.stage.folder)
        assert f.follower.stop() == DONE
    finally:
        disk.unmount()
