"""restore --delta rewrites the pages that differ, and restore --undo takes a restore back. After a failure at any moment the database is
the one that a full restore gives, or the one that was there before."""
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from application import library
from compare import assert_same_pages, assert_sound, drop, files_of, settled
from disk import Disk, Luck, read_journal, write_tree
from killer import KILLED, Killer, moments, run_once
from ledger import TABLE, insert
from seawall import CONTENT, CORRUPT, DONE, FAILED, NOTHING, USAGE, restore, seawall, told, url_of
from waiting import figure

BY_STATE_FILE, BY_READING = b"as the state file says", b"all were read"


class Delta:
    """A database with a history, its replica, and a full restore of every restore point."""

    def __init__(self, stage, page_size=4096):
        self.stage, self.replica = stage, stage.replica
        self.home = stage.folder / "home"
        self.home.mkdir()
        self.db = stage.db = self.home / "app.db"
        self.undo_path = Path(f"{self.db}-seawall-undo")
        self.state_path = Path(f"{self.db}-seawall")
        self.points = {}
        self.app = sqlite3.connect(self.db, isolation_level=None)
        self.run(f"PRAGMA page_size={page_size}", "PRAGMA journal_mode=wal", "CREATE TABLE t(id INTEGER PRIMARY KEY, a)",
                 "CREATE INDEX i ON t(a)")

    def run(self, *statements):
        for statement in statements:
            self.app.execute(statement).fetchall()

    def history(self, rows=1500):
        """The database grows, changes in some places, shrinks, and is rewritten: a restore point after each."""
        fill = f"INSERT INTO t(a) WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {rows}) SELECT randomblob(100) FROM i"
        for statements in ([fill], ["UPDATE t SET a=randomblob(100) WHERE id % 331 = 0"], [fill], ["DELETE FROM t WHERE id < 900"],
                           ["VACUUM"], [fill, fill], ["UPDATE t SET a=zeroblob(100) WHERE id % 997 = 0"], ["DELETE FROM t WHERE id > 1000"],
                           ["VACUUM"], ["INSERT INTO t(a) VALUES(zeroblob(300000))"]):
            self.run(*statements)
            assert run_once(self.stage).returncode == DONE
        self.close()
        for txid in self.stage.points():
            self.points[txid] = self.stage.restored(txid)

    def close(self):
        self.app.close()
        assert run_once(self.stage).returncode == DONE

    def restore(self, txid, *options, code=DONE, delta=True):
        result = restore(self.replica, self.db, *(["--delta"] if delta else []), "--txid", txid, *options)
        assert result.returncode == code, told(result)
        return result

    def undo(self, *options, code=DONE):
        result = seawall("restore", "--undo", "-o", self.db, *options)
        assert result.returncode == code, told(result)
        return result

    def bytes(self):
        return self.db.read_bytes()

    def assert_at(self, txid):
        assert self.bytes() == self.points[txid].read_bytes(), f"differs from a full restore of txid {txid}"
        assert not Path(f"{self.db}-journal").exists()
        wal = Path(f"{self.db}-wal")
        assert not wal.exists() or wal.stat().st_size == 0

    def assert_replicates(self):
        """A daemon makes the present state the newest one of the replica, and then the next commit."""
        for statement in (None, "INSERT INTO t(a) VALUES('later')"):
            if statement:
                app = sqlite3.connect(self.db, isolation_level=None)
                app.execute(statement)
                app.close()
            result = run_once(self.stage)
            assert result.returncode == DONE, told(result)
            restored = self.stage.restored()
            assert_same_pages(settled(self.db, self.stage.folder), restored)
            assert_sound(restored)
            drop(restored)


@pytest.fixture
def delta(stage):
    delta = Delta(stage)
    delta.history()
    return delta


def database_files(delta):
    """The files that hold data: without an empty -wal, an -shm and the state file."""
    return {name: content for name, content in files_of(delta.home).items()
            if not name.endswith(("-shm", "-seawall")) and not (name.endswith("-wal") and not content)}


# ---- from one point to another

def test_back_and_forth_gives_what_a_full_restore_gives(delta):
    chance, order = random.Random(1), list(delta.points)
    assert len(order) >= 10
    chance.shuffle(order)
    first = delta.restore(order[0])
    assert BY_STATE_FILE in first.stdout, told(first)
    delta.assert_at(order[0])
    for txid in (*order[1:], *order[:3]):
        result = delta.restore(txid, "--jobs", chance.choice((1, 3)), *chance.choice(([], ["--integrity-check"], ["--no-keep-undo"])))
        delta.assert_at(txid)
        assert b"rewritten in place" in result.stdout, told(result)
    assert_sound(delta.db)


def test_from_each_point_a_delta_reaches_each_other_point(delta):
    for one in delta.points:
        for other in delta.points:
            delta.restore(one)
            delta.restore(other)
            delta.assert_at(other)


@pytest.mark.parametrize("page_size", [512, 1024, 16384, 65536])
def test_a_delta_works_with_any_page_size(stage, page_size):
    delta = Delta(stage, page_size)
    delta.history(rows=600)
    for txid in sorted(delta.points, key=lambda txid: txid * 7 % 11):
        delta.restore(txid)
        delta.assert_at(txid)
    delta.undo()
    delta.assert_replicates()


def test_a_delta_reads_a_replica_in_s3(stage, s3):
    delta = Delta(stage)
    delta.history(rows=500)
    for txid in sorted(delta.points, key=lambda txid: txid * 7 % 11):
        delta.restore(txid)
        delta.assert_at(txid)
    delta.undo()
    delta.assert_replicates()


def test_an_hour_back_reads_little_of_a_large_database(stage):
    delta = Delta(stage)
    delta.run("INSERT INTO t(a) WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 60000) SELECT randomblob(400) FROM i")
    assert run_once(stage).returncode == DONE
    before = stage.last_txid()
    delta.run("UPDATE t SET a=randomblob(400) WHERE id IN (7, 30000)")
    delta.close()
    delta.points = {txid: stage.restored(txid) for txid in (before, stage.last_txid())}
    dry = delta.restore(before, "--dry-run")
    result = delta.restore(before)
    delta.assert_at(before)
    assert BY_STATE_FILE in result.stdout, told(result)
    rewritten = int(result.stdout.split(b" pages, ")[1].split(b" of them")[0])
    assert rewritten < 20 and f"{rewritten} of them".encode() in dry.stdout, told(dry)
    fetched = result.stdout.split(b"fetched ")[1].split(b"\n")[0].split()
    assert fetched[1] in (b"kB", b"B") or float(fetched[0]) < 8, told(result)
    assert delta.undo_path.stat().st_size < 30 * 4096


def test_what_another_machine_added_since_is_caught_up_with(delta):
    """Database and state file of the old machine are from before the commits of the new machine."""
    old_txid = delta.stage.last_txid()
    other = delta.stage.folder / "other.db"
    assert restore(delta.replica, other).returncode == DONE
    app = sqlite3.connect(other, isolation_level=None)
    for n in range(5):
        app.execute("UPDATE t SET a=randomblob(100) WHERE id % 50 = ?", (n,))
        app.execute("INSERT INTO t(a) VALUES(randomblob(20000))")
        result = seawall("replicate", "--once", "--take-over", other, url_of(delta.replica))
        assert result.returncode == DONE, told(result)
    app.close()
    points = [txid for txid in delta.stage.points() if txid > old_txid]
    for txid in (points[-1], points[0], old_txid, points[2]):
        result = delta.restore(txid)
        assert BY_STATE_FILE in result.stdout, told(result)
        assert delta.bytes() == delta.stage.restored(txid).read_bytes()


# ---- the database at the target

def test_a_database_that_others_changed_since_is_read_whole(delta):
    txid = list(delta.points)[3]
    app = sqlite3.connect(delta.db, isolation_level=None)
    app.execute("UPDATE t SET a='by others'")
    app.execute("CREATE TABLE more AS SELECT * FROM t")
    app.close()
    result = delta.restore(txid)
    assert BY_READING in result.stdout, told(result)
    delta.assert_at(txid)
    delta.assert_replicates()


def test_one_row_that_others_changed_since_is_taken_back(delta):
    """The row is in a page that no later transaction changed, so only the time of the file shows the change."""
    newest = delta.stage.last_txid()
    app = sqlite3.connect(delta.db, isolation_level=None)
    app.execute("UPDATE t SET a=randomblob(100) WHERE id = (SELECT max(id) FROM t WHERE length(a) = 100)")
    app.close()
    assert delta.bytes() != delta.points[newest].read_bytes()
    delta.restore(newest)
    delta.assert_at(newest)


def test_a_wal_that_was_thrown_away_is_not_believed_to_be_in_the_file(delta):
    """The daemon captured the WAL, and the state file has its pages. Then application and daemon die, and the -wal is removed."""
    stage = delta.stage
    before = stage.last_txid()
    script = ("import sqlite3, sys, time\n"
              "app = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
              "app.execute(\"UPDATE t SET a=randomblob(100) WHERE id % 7 = 0\")\n"
              "time.sleep(600)\n")
    daemon = stage.replicate("--rest-after", "60m", live=False)
    daemon.wait_for(lambda: "compared" in daemon.log() or "continues" in daemon.log(), 20, "the daemon has it")
    app = subprocess.Popen([sys.executable, "-c", script, delta.db])
    try:
        daemon.wait_for(lambda: stage.last_txid() > before, 20, "the commit is shipped")
    finally:
        daemon.kill()
        app.kill()
        app.wait()
    for suffix in ("-wal", "-shm"):
        Path(f"{delta.db}{suffix}").unlink()
    whole = stage.restored().read_bytes()
    assert delta.bytes() != whole
    delta.restore(stage.last_txid())
    assert delta.bytes() == whole


def test_pages_that_no_commit_wrote_become_zeros(stage):
    delta = Delta(stage)
    delta.run("INSERT INTO t VALUES(1, 'x')")
    assert run_once(stage).returncode == DONE
    delta.run("BEGIN", "INSERT INTO t VALUES(2, zeroblob(400000))", "DELETE FROM t WHERE id = 2", "COMMIT")
    delta.close()
    newest = stage.last_txid()
    whole = stage.restored().read_bytes()
    delta.restore(newest)
    assert delta.bytes() == whole
    assert run_once(stage).returncode == DONE
    zeros = [at for at in range(0, len(whole), 4096) if not any(whole[at:at + 4096])]
    assert len(zeros) > 50
    stat = delta.db.stat()
    with open(delta.db, "r+b") as file:
        file.seek(zeros[7])
        file.write(b"old bytes")
    os.utime(delta.db, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    result = delta.restore(newest)
    assert BY_STATE_FILE in result.stdout and b" 1 of them" in result.stdout, told(result)
    assert delta.bytes() == whole
    delta.undo()
    assert delta.bytes()[zeros[7]:zeros[7] + 9] == b"old bytes"


def test_a_database_of_another_origin_is_rewritten_too(delta):
    txid = list(delta.points)[2]
    for path in delta.home.iterdir():
        path.unlink()
    app = sqlite3.connect(delta.db, isolation_level=None)
    for statement in ("PRAGMA page_size=4096", "CREATE TABLE foreign_table(x)", "INSERT INTO foreign_table VALUES(zeroblob(2000000))"):
        app.execute(statement)
    app.close()
    before = delta.bytes()
    delta.restore(txid, "--integrity-check")
    delta.assert_at(txid)
    delta.undo()
    assert delta.bytes() == before
    delta.undo()
    delta.assert_at(txid)


def test_a_state_file_that_does_not_fit_the_database_is_noticed(delta):
    """The database was changed, and its time was not. The pages that would be rewritten are compared, and after a difference all pages."""
    txids = list(delta.points)
    stat = delta.db.stat()
    with open(delta.db, "r+b") as file:
        file.seek(4096)
        file.write(b"?" * 100)
    os.utime(delta.db, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    result = delta.restore(txids[0])
    assert BY_READING in result.stdout and b"reading all pages" in result.stderr, told(result)
    delta.assert_at(txids[0])


def test_with_an_integrity_check_the_state_file_is_not_believed(delta):
    newest = delta.stage.last_txid()
    stat, whole = delta.db.stat(), delta.bytes()
    with open(delta.db, "r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"?" * 100)
    os.utime(delta.db, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert b" 0 of them" in delta.restore(newest).stdout, "the state file does not hide this damage: nothing is tested"
    result = delta.restore(newest, "--integrity-check")
    assert BY_READING in result.stdout and b" 1 of them" in result.stdout, told(result)
    assert delta.bytes() == whole


def test_commits_in_a_wal_that_a_crash_left_are_part_of_what_was_there(delta):
    """An application is killed and leaves commits in its -wal: the undo has them."""
    txid = list(delta.points)[1]
    script = ("import os, signal, sqlite3, sys\n"
              "app = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
              "app.execute(\"UPDATE t SET a='only in the wal' WHERE id % 3 = 0\")\n"
              "os.kill(os.getpid(), signal.SIGKILL)\n")
    subprocess.run([sys.executable, "-c", script, delta.db], check=False)
    assert Path(f"{delta.db}-wal").stat().st_size > 0
    before = files_of(delta.home)
    dry = delta.restore(txid, "--dry-run")
    assert b"not counted" in dry.stdout and {n: c for n, c in files_of(delta.home).items() if n != "app.db-seawall"} == {
        n: c for n, c in before.items() if n != "app.db-seawall"}
    delta.restore(txid)
    delta.assert_at(txid)
    delta.undo()
    app = sqlite3.connect(delta.db)
    assert app.execute("SELECT count(*) FROM t WHERE a='only in the wal'").fetchone()[0] > 0
    app.close()
    delta.assert_replicates()


def test_with_force_a_database_is_rewritten_in_place_if_that_is_possible(delta):
    txid = list(delta.points)[0]
    result = delta.restore(txid, "--force")
    assert b"rewritten in place" in result.stdout, told(result)
    delta.assert_at(txid)


def test_a_file_that_is_not_a_database_is_replaced_only_with_force(delta):
    txid = list(delta.points)[0]
    delta.db.write_bytes(b"a letter to my aunt " * 500)
    before = database_files(delta)
    result = delta.restore(txid, code=FAILED)
    assert b"--force" in result.stderr and database_files(delta) == before
    result = delta.restore(txid, "--force")
    assert b"not in place" in result.stdout
    delta.assert_at(txid)
    delta.undo()
    assert delta.bytes() == before["app.db"]


def test_another_page_size_and_an_empty_place_take_a_full_restore(delta):
    txid = list(delta.points)[0]
    app = sqlite3.connect(delta.db, isolation_level=None)
    for statement in ("PRAGMA journal_mode=delete", "PRAGMA page_size=1024", "VACUUM"):
        app.execute(statement).fetchall()
    app.close()
    before = delta.bytes()
    result = delta.restore(txid)
    assert b"not in place" in result.stdout and b"1024" in result.stdout, told(result)
    delta.assert_at(txid)
    delta.undo()
    assert delta.bytes() == before
    for path in delta.home.iterdir():
        path.unlink()
    result = delta.restore(txid)
    assert b"not in place" in result.stdout and b"no database" in result.stdout, told(result)
    delta.assert_at(txid)


def test_a_database_in_use_is_left_alone(delta):
    txid = list(delta.points)[0]
    app = sqlite3.connect(delta.db, isolation_level=None)
    app.execute("CREATE TABLE in_the_wal(x)")
    def contents():   # read by another process: to close a file here would drop the locks of our connection
        return subprocess.run(["cat", delta.db, f"{delta.db}-wal"], capture_output=True, check=True).stdout
    before = contents()
    assert Path(f"{delta.db}-wal").stat().st_size > 0
    for result in (delta.restore(txid, code=FAILED), delta.undo(code=NOTHING)):
        assert result.returncode != DONE
    assert b"in use" in delta.restore(txid, code=FAILED).stderr
    assert b"in use" in delta.restore(txid, "--dry-run", code=FAILED).stderr
    assert contents() == before, "the restore has checkpointed beside the application"
    app.close()
    daemon = delta.stage.replicate(live=False)
    daemon.wait_for(lambda: "compared" in daemon.log() or "continues" in daemon.log(), 20, "the daemon has it")
    assert b"HINT" in delta.restore(txid, code=FAILED).stderr
    assert daemon.stop() == DONE
    delta.restore(txid)
    app = sqlite3.connect(delta.db, isolation_level=None)
    app.execute("SELECT count(*) FROM t").fetchall()
    assert b"in use" in delta.undo(code=FAILED).stderr
    app.close()
    delta.assert_at(txid)


def test_where_nothing_differs_nothing_is_written(delta):
    for txid in (delta.stage.last_txid(), list(delta.points)[4]):
        delta.restore(txid)
        before, mtime = files_of(delta.home), delta.db.stat().st_mtime_ns
        result = delta.restore(txid)
        assert b" 0 of them" in result.stdout and b"--undo" not in result.stdout, told(result)
        assert files_of(delta.home) == before and delta.db.stat().st_mtime_ns == mtime


def test_a_damaged_replica_leaves_everything_as_it_was(delta):
    txids = list(delta.points)
    delta.restore(txids[-1])
    delta.restore(txids[-2])
    before = database_files(delta)
    for path in (delta.replica / "0").iterdir():
        whole = path.read_bytes()
        path.write_bytes(whole[:len(whole) // 3] + bytes([whole[len(whole) // 3] ^ 1]) + whole[len(whole) // 3 + 1:])
    assert delta.restore(txids[0], code=CORRUPT).returncode == CORRUPT
    assert database_files(delta) == before
    assert not list(delta.home.glob(".seawall*"))


def test_a_failed_integrity_check_rolls_back(stage):
    """The replica has a database that was damaged before it was replicated. The restore writes it, SQLite finds the damage, and the old
    database comes back."""
    delta = Delta(stage)
    delta.run("INSERT INTO t(a) WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 3000) SELECT randomblob(100) FROM i")
    delta.close()
    sound, whole = stage.last_txid(), delta.bytes()
    with open(delta.db, "r+b") as file:
        file.seek(4096 * 5)
        file.write(b"\xff" * 4096)
    assert run_once(stage).returncode == DONE
    broken = stage.last_txid()
    delta.points = {txid: stage.restored(txid) for txid in (sound, broken)}
    delta.restore(sound)
    assert delta.bytes() == whole
    undo = delta.undo_path.read_bytes()
    result = delta.restore(broken, "--integrity-check", code=CONTENT)
    assert b"integrity check" in result.stderr
    delta.assert_at(sound)
    assert delta.undo_path.read_bytes() == undo
    delta.restore(broken)
    delta.assert_at(broken)


def test_options_that_contradict_are_wrong_usage(delta):
    before = files_of(delta.home)
    for options in (["--delta", "--if-db-not-exists"], ["--undo"], ["--undo", "--delta"]):
        assert restore(delta.replica, delta.db, *options).returncode == USAGE
    for options in (["--undo"], ["--undo", "-o", delta.db, "--txid", "1"], ["--undo", "-o", delta.db, "--dry-run"],
                    ["--delta", "--dry-run", delta.replica]):
        assert seawall("restore", *options).returncode == USAGE
    assert files_of(delta.home) == before


# ---- undo

@pytest.mark.parametrize("how", [["--delta"], ["--force"]])
def test_a_restore_can_be_undone_and_the_undo_too(delta, how):
    txid, before = list(delta.points)[3], delta.bytes()
    mode = delta.db.stat().st_mode
    result = restore(delta.replica, delta.db, *how, "--txid", txid)
    assert result.returncode == DONE and b"--undo" in result.stdout, told(result)
    delta.assert_at(txid)
    assert delta.undo_path.stat().st_mode == mode
    for _ in range(2):
        delta.undo("--integrity-check")
        assert delta.bytes() == before
        delta.undo()
        delta.assert_at(txid)
    assert sorted(database_files(delta)) == ["app.db", "app.db-seawall-undo"]
    delta.undo("--no-keep-undo")
    assert delta.bytes() == before
    assert sorted(database_files(delta)) == ["app.db"]
    assert b"nothing to undo" in delta.undo(code=NOTHING).stderr


def test_only_the_newest_restore_can_be_undone(delta):
    one, two, three = list(delta.points)[1:4]
    for first, second in ((["--delta"], ["--force"]), (["--force"], ["--delta"]), (["--force"], ["--force"])):
        for how, txid in ((["--delta"], one), (first, two), (second, three)):
            assert restore(delta.replica, delta.db, *how, "--txid", txid).returncode == DONE
        assert sorted(database_files(delta)) == ["app.db", "app.db-seawall-undo"]
        delta.undo()
        delta.assert_at(two)
    assert restore(delta.replica, delta.db, "--force", "--no-keep-undo", "--txid", one).returncode == DONE
    assert sorted(database_files(delta)) == ["app.db"]


def test_the_wal_of_a_database_that_was_replaced_whole_comes_back_with_it(delta):
    script = ("import os, signal, sqlite3, sys\n"
              "app = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
              "app.execute(\"UPDATE t SET a='only in the wal' WHERE id % 3 = 0\")\n"
              "os.kill(os.getpid(), signal.SIGKILL)\n")
    subprocess.run([sys.executable, "-c", script, delta.db], check=False)
    txid = list(delta.points)[3]
    delta.restore(txid, "--force", delta=False)
    delta.assert_at(txid)
    delta.undo()
    app = sqlite3.connect(delta.db)
    assert app.execute("SELECT count(*) FROM t WHERE a='only in the wal'").fetchone()[0] > 0
    app.close()
    assert_sound(delta.db)
    delta.assert_replicates()


def test_an_undo_does_not_take_a_wal_without_its_database(delta):
    delta.restore(list(delta.points)[3], "--force", delta=False)
    delta.db.unlink()
    wal = Path(f"{delta.db}-wal")
    wal.write_bytes(b"commits")
    assert b"move it away" in delta.undo(code=FAILED).stderr
    assert wal.read_bytes() == b"commits"
    wal.unlink()
    delta.undo()
    delta.assert_at(delta.stage.last_txid())


def test_an_undo_in_place_does_not_mix_with_later_commits(delta):
    txids = list(delta.points)
    delta.restore(txids[2])
    os.utime(delta.db)   # the time changes, the content does not
    delta.undo()
    delta.assert_at(txids[-1])
    delta.restore(txids[2])
    app = sqlite3.connect(delta.db, isolation_level=None)
    app.execute("INSERT INTO t(a) VALUES('since')")
    app.close()
    before = database_files(delta)
    assert b"changed since" in delta.undo(code=FAILED).stderr
    assert database_files(delta) == before
    delta.restore(txids[4])
    delta.assert_at(txids[4])


def test_a_damaged_undo_changes_nothing(delta):
    txids = list(delta.points)
    delta.restore(txids[2])
    whole = delta.undo_path.read_bytes()
    chance = random.Random(5)
    places = [0, 9, 13, 17, 21, 25, 512, 514, 600, *(chance.randrange(512, len(whole)) for _ in range(20)), len(whole) - 1]
    for at in places:
        delta.undo_path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1:])
        if at == 0:   # without its magic number it is not a journal: the undo would take it for a whole database
            continue
        result = delta.undo(code=FAILED)
        assert b"damaged" in result.stderr, told(result)
        delta.assert_at(txids[2])
    delta.undo_path.write_bytes(whole[:-1])
    delta.undo(code=FAILED)
    delta.undo_path.write_bytes(whole)
    delta.undo()
    delta.assert_at(txids[-1])


@pytest.mark.parametrize("how", [["--delta"], ["--force"]])
@pytest.mark.parametrize("undone", [0, 1, 2])
def test_replication_goes_on(delta, how, undone):
    """Also if the file looks as an earlier run of the daemon left it, as it does after an undo of a full restore."""
    result = restore(delta.replica, delta.db, *how, "--txid", list(delta.points)[5])
    assert result.returncode == DONE, told(result)
    for _ in range(undone):
        delta.undo()
    delta.assert_replicates()
    for txid, whole in delta.points.items():   # the history has not changed
        assert_same_pages(whole, delta.stage.restored(txid))


def test_a_restore_that_replication_followed_can_be_undone(delta):
    before = delta.bytes()
    delta.restore(list(delta.points)[5])
    assert run_once(delta.stage).returncode == DONE
    delta.undo()
    assert delta.bytes() == before
    delta.assert_replicates()


# ---- power cuts

def test_power_cut_anywhere_while_pages_are_rewritten(delta):
    """The disk loses names and blocks of files that were not synced. SQLite then finds the old state or the new one."""
    stage, txids, chance = delta.stage, list(delta.points), random.Random(6)
    root, journal = stage.folder / "disk", stage.folder / "journal"
    root.mkdir()
    for there, back in ((txids[4], txids[5]), (txids[5], txids[4]), (txids[2], txids[1])):
        home = root / "home"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        db = home / "app.db"
        db.write_bytes(delta.points[there].read_bytes())
        disk = Disk(root, root / "none-seawall")
        result = seawall("restore", "--delta", "--txid", back, "-o", db, url_of(delta.replica),
                         environment={"LD_PRELOAD": str(library("journal")), "JOURNAL": str(journal), "JOURNAL_BELOW": str(root),
                                      "JOURNAL_STATE": str(root / "none-seawall")})
        assert result.returncode == DONE, told(result)
        entries, old, new = read_journal(journal), delta.points[there].read_bytes(), delta.points[back].read_bytes()
        assert db.read_bytes() == new
        every = [(k, name, i) for k in range(1, len(entries) + 1) for i, name in enumerate(("nothing", "everything", "some", "some", "some"))]
        chosen = sorted(chance.sample(every, min(len(every), figure(len(every), 150))))
        done, seen = 0, set()
        for k, name, i in (*chosen, (len(entries), "nothing", 0)):
            for entry in entries[done:k]:
                disk.does(entry)
            done = k
            shutil.rmtree(home)
            write_tree(home, disk.survives(Luck(name, 7 * k + i))["home"])
            case = f"power cut after entry {k} of {len(entries)} ({entries[k - 1].kind} {entries[k - 1].path}), {name} survives"
            hot = (home / "app.db-journal").exists()
            app = sqlite3.connect(db)
            app.execute("SELECT count(*) FROM t").fetchall()
            app.close()
            assert db.read_bytes() in (old, new), case
            seen.add((db.read_bytes() == new, hot))
        assert db.read_bytes() == new, "the restore had ended, and is not durable"
        assert {(False, False), (False, True), (True, False)} <= seen, "a journal was never rolled back: nothing was tested"


# ---- killed anywhere

class Killed:
    """Runs of `restore` that are killed just before call number n that changes something in the folder of the database."""

    def __init__(self, delta):
        self.delta = delta
        delta.stage.folder, folder = delta.home, delta.stage.folder
        self.killer = Killer(delta.stage)
        delta.stage.folder = folder
        self.killer.counter = folder / "calls"
        self.kept = folder / "kept"

    def keep(self):
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.delta.home, self.kept, copy_function=shutil.copy2)

    def start_over(self):
        """Puts all files back as they were. The state file keeps its inode, to which it is bound, and the database its inode and time."""
        for path in self.delta.home.iterdir():
            if not (self.kept / path.name).exists():
                path.unlink()
        for path in self.kept.iterdir():
            target = self.delta.home / path.name
            if target.exists():
                with open(target, "r+b") as file:
                    file.truncate(0)
                    file.write(path.read_bytes())
                shutil.copystat(path, target)
            else:
                shutil.copy2(path, target)

    def run(self, arguments, n):
        environment = {**self.killer.environment(n), "KILL_BELOW": str(self.delta.home)}
        return seawall(*arguments, environment=environment)

    def everywhere(self, arguments, old, new, some=40):
        """`old` and `new`: the two states of which a process must find one in the database, at any moment."""
        delta = self.delta
        self.keep()
        result = self.run(arguments, 0)
        assert result.returncode == DONE, told(result)
        assert delta.bytes() == new
        calls, killed, seen = self.killer.calls(), 0, set()
        for n in sorted({*moments(calls, some), *range(max(1, calls - 30), calls + 1)}):   # near the end there is a hot journal
            self.start_over()
            result = self.run(arguments, n)
            assert result.returncode in (KILLED, DONE), f"killed at call {n}: {told(result)}"
            killed += result.returncode == KILLED
            hot = Path(f"{delta.db}-journal").exists()
            app = sqlite3.connect(delta.db)
            app.execute("SELECT count(*) FROM t").fetchall()
            app.close()
            found = delta.bytes()
            assert found in (old, new), f"killed at call {n}: the database is neither the old nor the new one"
            seen.add((found == new, hot))
            assert_sound(delta.db)
            if found == old and n % 2:
                result = seawall(*arguments)
                assert result.returncode == DONE, f"after it was killed at call {n}: {told(result)}"
                assert delta.bytes() == new
            if n % 5 == 0:
                result = run_once(delta.stage)
                assert result.returncode == DONE, f"after it was killed at call {n}: {told(result)}"
                restored = delta.stage.restored()
                assert_same_pages(settled(delta.db, delta.stage.folder), restored)
                drop(restored)
                shutil.rmtree(delta.replica)
                shutil.copytree(f"{delta.replica}-kept", delta.replica)
        assert killed > 0
        delta.stage.note(f"killed at {killed} of {calls} calls")
        return seen


@pytest.fixture
def killed(delta):
    shutil.copytree(delta.replica, f"{delta.replica}-kept")
    return Killed(delta)


@pytest.mark.parametrize("there, back", [(-1, 2), (2, -1), (4, 5), (8, 9)])
def test_killed_anywhere_while_pages_are_rewritten(killed, there, back):
    delta, txids = killed.delta, list(killed.delta.points)
    delta.restore(txids[there])
    seen = killed.everywhere(("restore", "--delta", "--txid", str(txids[back]), "-o", delta.db, url_of(delta.replica)),
                             delta.points[txids[there]].read_bytes(), delta.points[txids[back]].read_bytes())
    assert {(False, False), (False, True), (True, False)} <= seen, "a journal was never rolled back: nothing was tested"


def test_killed_anywhere_while_a_delta_is_undone(killed):
    delta, txids = killed.delta, list(killed.delta.points)
    delta.restore(txids[5])
    delta.restore(txids[2])
    seen = killed.everywhere(("restore", "--undo", "-o", str(delta.db)), delta.points[txids[2]].read_bytes(),
                             delta.points[txids[5]].read_bytes())
    assert (False, True) in seen


def test_killed_anywhere_while_a_full_restore_is_undone(killed):
    delta, txids = killed.delta, list(killed.delta.points)
    delta.restore(txids[5])
    delta.restore(txids[2], "--force", delta=False)
    killed.everywhere(("restore", "--undo", "-o", str(delta.db)), delta.points[txids[2]].read_bytes(),
                      delta.points[txids[5]].read_bytes())


def test_refused_while_a_connection_that_does_nothing_has_a_database_in_a_rollback_mode_open(stage):
    app = stage.ledger()
    app.commit(TABLE, insert(30))
    daemon = stage.replicate()
    app.commit(insert(1))
    assert daemon.stop() == DONE
    app.close()
    first, last = stage.points()[0], stage.points()[-1]
    idle = sqlite3.connect(stage.db, isolation_level=None)
    assert idle.execute("PRAGMA journal_mode=delete").fetchone() == ("delete",)
    rows = idle.execute("SELECT count(*) FROM big").fetchone()
    result = restore(stage.replica, stage.db, "--delta", "--txid", first)
    assert result.returncode == FAILED and b"is open in another process" in result.stderr, told(result)
    assert idle.execute("SELECT count(*) FROM big").fetchone() == rows
    idle.close()
    result = restore(stage.replica, stage.db, "--delta", "--txid", first)
    assert result.returncode == DONE, told(result)
    assert first < last
