"""The replica VFS: stock SQLite reads a replica at a moment, and what it reads is what a restore would give."""
import hashlib
import os
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import readers
from application import CLOCK_STEP
from bucket import ACCESS, SECRET, Bucket, new_server, plain_environment
from control import assert_synced, wait_control
from damage import with_trailer, without_interior
from httpd import make_certificate
from readers import SHAPES, change, differing_answers, in_process, loaded, reader, start_process, uri, why
from s3server import Object
from seawall import BINARY, DONE, listing, objects, restore_points, seawall, told, url_of
from waiting import let_pass, wait_until


def connect(path):
    return sqlite3.connect(path, isolation_level=None)


def make_history(stage, commits, *options, page_size=4096, seed=1, bases=0):
    """Ships random transactions, with levels on the way, and at least so many bases. Leaves `stage.app` open."""
    dice = random.Random(seed)
    app = stage.app = connect(stage.db)
    for statement in SHAPES:
        app.execute(statement.format(page_size=page_size))
    app.execute("PRAGMA journal_mode=wal")
    daemon = stage.replicate("--fanout", "3", "--base-interval", "1s" if bases else "1h", *options)

    def go_on():
        for _ in range(5):
            change(app, dice)
        assert seawall("sync", stage.db).returncode == DONE
        return len(listing(stage.replica)["bases"]) >= bases

    for _ in range(commits // 5):
        go_on()
    daemon.wait_for(go_on, 30, "bases")
    for _ in range(2):
        go_on()
    assert seawall("sync", stage.db).returncode == DONE
    return daemon


def assert_reads_what_is_restored(stage, txid, seed, **parameters):
    restored = connect(stage.restored(txid))
    read = reader(stage.replica, txid=txid, **parameters)
    assert read.execute("SELECT seawall_txid()").fetchone()[0] == txid
    assert differing_answers(restored, read, seed) == []
    assert read.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert list(restored.iterdump()) == list(read.iterdump())
    read.close()
    restored.close()


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_each_moment_reads_as_it_is_restored(stage, page_size):
    daemon = make_history(stage, 40, bases=2, page_size=page_size)
    assert daemon.stop() == DONE
    points = restore_points(stage.replica)
    for n, txid in enumerate([points[0], points[-1], *random.Random(page_size).sample(points, 10)]):
        if txid > 1:
            assert_reads_what_is_restored(stage, txid, n)


def test_each_moment_of_a_replica_in_a_bucket_reads_as_it_is_restored(stage, s3):
    daemon = make_history(stage, 20, bases=1)
    assert daemon.stop() == DONE
    for n, txid in enumerate(restore_points(stage.replica)[5::6]):
        assert_reads_what_is_restored(stage, txid, n)


def test_a_time_chooses_the_last_commit_before_it(stage):
    make_history(stage, 20).stop()
    points = listing(stage.replica)["points"]
    read = reader(stage.replica, at=points[7]["time"])
    txid, time = read.execute("SELECT seawall_txid(), seawall_time()").fetchone()
    assert time == points[7]["time"] and txid == max(p["txid"] for p in points if p["time"] == time)
    with pytest.raises(sqlite3.OperationalError):
        reader(stage.replica, at="2001-01-01T00:00:00Z")
    assert "restore point" in why()


def test_a_replica_is_read_only_and_has_no_journal(stage):
    make_history(stage, 10).stop()
    read = reader(stage.replica)
    assert read.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert read.execute("PRAGMA journal_mode=wal").fetchone() == ("delete",)
    for statement in ("INSERT INTO tag VALUES('x', 1, 1)", "CREATE TABLE more(a)", "PRAGMA user_version=7", "VACUUM"):
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            read.execute(statement)
    read.execute("CREATE TEMP TABLE own AS SELECT * FROM item")
    assert read.execute("SELECT count(*) FROM own").fetchone() == read.execute("SELECT count(*) FROM item").fetchone()


def test_two_moments_can_be_attached_to_one_connection(stage):
    make_history(stage, 20).stop()
    points = restore_points(stage.replica)
    read = reader(stage.replica, txid=points[-1])
    read.execute("ATTACH ? AS before", (uri(stage.replica, txid=points[8]),))
    assert read.execute("SELECT seawall_txid('main'), seawall_txid('before')").fetchone() == (points[-1], points[8])
    changed = read.execute("SELECT count(*) FROM (SELECT id FROM main.item EXCEPT SELECT id FROM before.item)").fetchone()[0]
    whole = connect(stage.restored(points[8]))
    ids = {row[0] for row in whole.execute("SELECT id FROM item")}
    assert changed == len({row[0] for row in read.execute("SELECT id FROM item")} - ids)
    local = connect(stage.folder / "local.db")
    local.execute("CREATE TABLE t(a)")
    assert loaded().execute("SELECT seawall_txid()").fetchone() == (None,)


def test_a_database_of_the_same_name_beside_is_another_file(stage):
    """Its -wal and its journal are not those of the replica, and stay as they are."""
    make_history(stage, 10).stop()
    name = stage.folder / "same.db"
    local = connect(name)
    local.execute("PRAGMA journal_mode=wal")
    local.execute("CREATE TABLE own(a)")
    journal = stage.folder / "same.db-journal"
    journal.write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(600))
    for follow in (None, "1s"):
        read = reader(stage.replica, name=name, follow=follow)
        assert read.execute("SELECT count(*) FROM sqlite_master WHERE name = 'own'").fetchone() == (0,)
        assert read.execute("SELECT count(*) FROM item").fetchone()[0] > 0
        read.close()
    assert local.execute("SELECT count(*) FROM own").fetchone() == (0,)
    assert journal.read_bytes()[:4] == b"\xd9\xd5\x05\xf9"


def test_the_environment_makes_a_file_name_a_replica(stage):
    make_history(stage, 10).stop()
    last = stage.last_txid()
    value = uri(url_of(stage.replica), name="app.db").removeprefix("file:").replace("vfs=seawall&", "")
    shown = in_process("""
here = sqlite3.connect("/nowhere/app.db")
print(here.execute("SELECT seawall_txid() FROM item").fetchone()[0])
other = sqlite3.connect(":memory:")
print(other.execute("SELECT seawall_txid()").fetchone()[0])
""", environment={**os.environ, "SEAWALL_REPLICA": value})
    assert shown.split() == [str(last), "None"]


@pytest.mark.parametrize("rest", ["", "?replca={url}", "?replica=%zz", "?" + "mode=ro&" * 6000 + "replica={url}", "?replica={url}&tixd=1"],
                         ids=["nothing", "replca", "percent", "long", "tixd"])
def test_a_malformed_environment_writes_no_local_file(stage, rest):
    make_history(stage, 2).stop()
    shown = in_process("""
import os
try:
    sqlite3.connect(sys.argv[1]).execute("CREATE TABLE t(a)")
except sqlite3.OperationalError as error:
    print(error, why())
print(os.path.exists(sys.argv[1]))
sqlite3.connect(sys.argv[1] + ".other").execute("CREATE TABLE t(a)")
""", stage.folder / "mine.db", environment={**os.environ, "SEAWALL_REPLICA": "mine.db" + rest.format(url=url_of(stage.replica))})
    assert "unable to open" in shown and "SEAWALL_REPLICA" in shown and shown.split()[-1] == "False"


@pytest.mark.parametrize("parameters, reason", [
    ("vfs=seawall&replca={url}", "'replca'"), ("vfs=seawall&replica={url}&folow=1s", "'folow'"), ("vfs=seawall&replica={url}&tixd=1", "'tixd'"),
    ("replica={url}&cachedir=/x", "'cachedir'"), ("vfs=seawall&txid=1", "without the parameter replica")])
def test_a_misspelled_parameter_is_refused(stage, parameters, reason):
    make_history(stage, 2).stop()
    loaded()
    name = stage.folder / "mine.db"
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        sqlite3.connect(f"file:{name}?{parameters.format(url=url_of(stage.replica))}", uri=True)
    assert reason in why() and not name.exists()


def test_parameters_of_others_are_left_alone(stage):
    make_history(stage, 2).stop()
    loaded()
    read = sqlite3.connect(uri(stage.replica, mode="ro") + "&_busy_timeout=5", uri=True)
    assert read.execute("SELECT count(*) FROM tag").fetchone()
    name = stage.folder / "mine.db"
    sqlite3.connect(f"file:{name}?other=1&at=noon", uri=True).execute("CREATE TABLE t(a)")
    sqlite3.connect(f"file:{name}?vfs=seawall&mode=rw&_x=1", uri=True).execute("SELECT * FROM t")


SHARED = """
import ctypes, ctypes.util
shared = ctypes.CDLL(ctypes.util.find_library("sqlite3")).sqlite3_enable_shared_cache if sys.argv[3] == "process" else None
if shared:
    assert shared(1) == 0
found = []
try:
    one = reader(sys.argv[1], txid=sys.argv[2], cache=None if shared else "shared")
    if sys.argv[4] == "attach":
        other = sqlite3.connect(":memory:", uri=True)
        other.execute("ATTACH ? AS x", (uri(sys.argv[1]),))
    else:
        other = reader(sys.argv[1])
    found = other.execute("SELECT count(*) FROM item").fetchall() + one.execute("SELECT count(*) FROM item").fetchall()
except sqlite3.OperationalError:
    pass
print(found, why())
"""


@pytest.mark.parametrize("chosen, how", [("uri", "open"), ("uri", "attach"), ("process", "open"), ("process", "attach")])
def test_connections_never_share_their_pages(stage, chosen, how):
    """SQLite would share them by the file name, whatever the replica and the moment."""
    make_history(stage, 5).stop()
    shown = in_process(SHARED, stage.replica, restore_points(stage.replica)[-3], chosen, how)
    assert shown.startswith("[] ") and "shared" in shown, shown


@pytest.mark.parametrize("parameters, reason", [
    ({"txid": "x"}, "txid"), ({"at": "then"}, "at"), ({"follow": "soon"}, "follow"), ({"txid": 1, "follow": "1s"}, "exclude"),
    ({"txid": 1, "at": "now"}, "exclude"), ({"cache_dir": "x", "cache_size": "1"}, "cache-size"), ({"txid": 999999}, "999999"),
    ({"cache_dir": "/proc/nowhere/at/all"}, "cache"),
])
def test_a_request_that_can_not_be_met_is_refused_with_a_reason(stage, parameters, reason):
    make_history(stage, 2).stop()
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        reader(stage.replica, **parameters)
    assert reason in why()


def test_a_place_without_a_replica_is_refused_with_a_reason(stage):
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        reader(stage.folder / "nothing")
    assert "nothing" in why()
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        reader("ftp://host/place")
    assert "unknown scheme" in why()


# ---- following

LEDGER = ["PRAGMA page_size=1024", "CREATE TABLE entry(id INTEGER PRIMARY KEY, amount INTEGER, padding TEXT)",
          "CREATE TABLE total(rows INTEGER, amount INTEGER, step INTEGER)", "INSERT INTO total VALUES(0, 0, 0)"]
STATE = "SELECT (SELECT count(*) FROM entry), (SELECT coalesce(sum(amount), 0) FROM entry), rows, amount, step, seawall_txid() FROM total"


def book(app, dice):
    """One transaction that keeps the totals right."""
    app.execute("BEGIN IMMEDIATE")
    for _ in range(dice.randrange(1, 5)):
        app.execute("INSERT OR REPLACE INTO entry VALUES(?, ?, ?)", (dice.randrange(3000), dice.randrange(1000), "x" * dice.randrange(600)))
    app.execute("DELETE FROM entry WHERE id BETWEEN ?1 AND ?1 + 3", (dice.randrange(3000),))
    app.execute("UPDATE total SET rows = (SELECT count(*) FROM entry), amount = (SELECT coalesce(sum(amount), 0) FROM entry), step = step + 1")
    app.execute("COMMIT")


def right(state):
    return state[0] == state[2] and state[1] == state[3]


class Flat:
    """An application that commits as fast as it can, in a thread."""

    def __init__(self, db):
        self.db, self.end, self.steps = db, threading.Event(), 0
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        app, dice = connect(self.db), random.Random(3)
        app.execute("PRAGMA busy_timeout=20000")
        while not self.end.is_set():
            book(app, dice)
            self.steps += 1
        app.close()

    def stop(self):
        self.end.set()
        self.thread.join()


@pytest.fixture(params=["folder", "bucket"])
def place(request, stage):
    if request.param == "bucket":
        request.getfixturevalue("s3")
    app = connect(stage.db)
    app.execute("PRAGMA journal_mode=wal")
    for statement in LEDGER:
        app.execute(statement)
    app.close()
    return stage


def test_a_follower_sees_whole_states_in_their_order_while_all_goes_on(place):
    """Compaction, bases, retention and packs go on beside it; a long transaction stays where it began."""
    daemon = place.replicate("--fanout", "3", "--base-interval", "1s", "--keep-all", "1s", "--keep-levels", "2s", "--grace", "1s",
                             "--prune-interval", "1s")
    flat = Flat(place.db)
    failures, seen = [], []
    end = threading.Event()

    def follow(number):
        read = reader(place.replica, follow="20ms")
        before, count = (0,) * 6, 0
        while not end.is_set():
            read.execute("BEGIN")
            first = read.execute(STATE).fetchone()
            again = read.execute(STATE).fetchone() if count % 3 == number % 3 else first
            known = read.execute("SELECT seawall_current_ms(), seawall_age_ms()").fetchone()
            read.execute("COMMIT")
            if not right(first) or again != first or first[4] < before[4] or first[5] < before[5] or known[0] < 0:
                failures.append((number, before, first, again, known))
                break
            before, count = first, count + 1
        seen.append((count, before))
        read.close()

    threads = [threading.Thread(target=follow, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    daemon.wait_for(lambda: flat.steps > 1500 or failures, 60, "commits")
    flat.stop()
    seawall("sync", place.db)
    last = place.last_txid()
    end_reader = reader(place.replica, follow="20ms")
    assert end_reader.execute("SELECT seawall_wait(?, 10000)", (last,)).fetchone() == (1,)
    state = end_reader.execute(STATE).fetchone()
    end.set()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert right(state) and state[4] == flat.steps and state[5] == last
    assert all(count > 5 and before[4] > 0 for count, before in seen), seen


def test_a_follower_takes_news_between_transactions_only(place):
    place.replicate()
    app, dice = connect(place.db), random.Random(1)
    read = reader(place.replica, follow="1ms")
    read.execute("BEGIN")
    before = read.execute(STATE).fetchone()
    for _ in range(5):
        book(app, dice)
    assert seawall("sync", place.db).returncode == DONE
    last = place.last_txid()
    assert read.execute("SELECT seawall_wait(?, 5000)", (last,)).fetchone() == (1,)
    assert read.execute(STATE).fetchone() == before
    read.execute("COMMIT")
    after = read.execute(STATE).fetchone()
    assert after[4] == before[4] + 5 and after[5] == last and right(after)
    assert read.execute("SELECT seawall_wait(?, 50)", (last + 1,)).fetchone() == (0,)


def test_a_look_after_ten_seconds_is_one_request_for_the_next_object(stage, s3):
    """As often a reader with follow=1s looks while nothing comes: a listing costs as much as twelve requests."""
    make_history(stage, 2).stop()
    read = reader(stage.replica, follow="10s")
    start = len(s3.server.requests())
    let_pass(10.2, "the time of follow")
    count = read.execute("SELECT count(*) FROM item").fetchone()
    assert [r.kind for r in s3.server.requests(since=start)] == ["get"] and count


def test_a_connection_without_follow_stays_where_it_was_opened(place):
    place.replicate()
    app, dice = connect(place.db), random.Random(1)
    read = reader(place.replica)
    before = read.execute(STATE).fetchone()
    book(app, dice)
    assert seawall("sync", place.db).returncode == DONE
    assert read.execute(STATE).fetchone() == before
    assert read.execute("SELECT seawall_current_ms()").fetchone() == (None,)
    with pytest.raises(sqlite3.OperationalError, match="without follow"):
        read.execute("SELECT seawall_wait(99, 10)")
    assert reader(place.replica).execute(STATE).fetchone()[4] == before[4] + 1


def test_a_history_that_was_begun_again_is_followed(stage):
    make_history(stage, 10).stop()
    read = reader(stage.replica, follow="1ms")
    assert read.execute("SELECT count(*) FROM item").fetchone()[0] > 0
    stage.app.close()
    for path in [stage.db, *stage.folder.glob("app.db-*")]:
        if path.is_file():
            path.unlink()
    shutil.rmtree(stage.replica)
    app = connect(stage.db)
    for statement in ("PRAGMA page_size=512", "PRAGMA journal_mode=wal", "CREATE TABLE item(id)", "INSERT INTO item VALUES(42)"):
        app.execute(statement)
    stage.replicate()

    def sees_it():
        try:
            return read.execute("SELECT * FROM item").fetchall() == [(42,)]
        except sqlite3.Error:
            return False   # while the replica is away

    wait_until(sees_it, 20, "the other history")


# ---- trouble

def test_retention_under_a_reader_is_an_error_with_a_reason_or_no_error_at_all(stage):
    """What is gone is read from other objects of the same state; if there are none, the next open goes on."""
    daemon = make_history(stage, 20, bases=1)
    points = restore_points(stage.replica)
    old, fixed, newest = points[3], reader(stage.replica, txid=points[3]), reader(stage.replica)
    fixed.execute("PRAGMA cache_size=5")
    daemon.stop()
    assert seawall("snapshot", stage.db, url_of(stage.replica)).returncode == DONE
    pruned = seawall("prune", "--grace", "1s", "--keep-all", "1s", "--keep-levels", "1s", url_of(stage.replica))
    assert pruned.returncode == DONE, told(pruned)
    assert newest.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    try:
        fixed.execute("PRAGMA integrity_check").fetchall()
    except sqlite3.Error:
        assert f"{old}" in why() and "gone" in why()
    assert reader(stage.replica).execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_damaged_object_is_named(stage):
    make_history(stage, 20).stop()
    code = """
try:
    read = reader(sys.argv[1])
    print(read.execute("PRAGMA integrity_check").fetchone()[0], read.execute("SELECT count(*), sum(length(hex(payload))) FROM item").fetchone())
except sqlite3.Error:
    print(why())
"""
    whole = in_process(code, stage.replica)
    assert whole.startswith("ok")
    named = []
    for key in objects(stage.replica):
        if key == "seawall.json":
            continue
        path = stage.replica / key
        good = path.read_bytes()
        for at in (len(good) // 3, len(good) - 100):
            path.write_bytes(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1:])
            shown = in_process(code, stage.replica)
            assert shown == whole or key in shown, (key, shown)
            named += [key] if shown != whole else []
        path.write_bytes(good)
    assert named


def test_a_cache_is_shared_by_processes_and_heals(stage, s3):
    make_history(stage, 20).stop()
    cache = stage.folder / "cache"
    code = """
read = reader(sys.argv[1], cache_dir=sys.argv[2])
print(read.execute("PRAGMA integrity_check").fetchone()[0], read.execute("SELECT count(*), sum(length(payload)) FROM item").fetchone())
"""
    def blocks():
        return [r for r in s3.server.requests("get") if r.key.split("/")[-2] in ("0", "1", "2", "3") or "/base/" in r.key]
    first = in_process(code, stage.replica, cache)
    gets = len(blocks())
    assert first.startswith("ok") and in_process(code, stage.replica, cache) == first
    second = len(blocks()) - gets
    assert second < gets
    files = [path for path in cache.iterdir() if path.is_file()]
    assert files and all(path.stat().st_mode & 0o077 == 0 for path in files)
    for n, path in enumerate(files):
        good = path.read_bytes()
        path.write_bytes([b"", good[:20], good[:-1] + bytes([good[-1] ^ 1]), b"x" * len(good)][n % 4])
    assert in_process(code, stage.replica, cache) == first
    assert all(path.stat().st_size > 20 for path in cache.iterdir())
    os.chmod(cache, 0o777)
    with pytest.raises(sqlite3.OperationalError):
        reader(stage.replica, cache_dir=cache)
    assert "cache" in why()


def test_a_cache_stays_below_its_size(stage):
    dice = random.Random(1)
    app = connect(stage.db)
    app.execute("PRAGMA journal_mode=wal")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB)")
    stage.replicate("--base-interval", "1h").wait_live()
    for _ in range(40):
        app.execute("INSERT INTO t(b) VALUES(?)", (dice.randbytes(200000),))
    seawall("sync", stage.db)
    cache = stage.folder / "cache"
    read = reader(stage.replica, cache_dir=cache, cache_size="2M")
    assert read.execute("SELECT count(*) FROM t WHERE length(hex(b)) > 0").fetchone() == (40,)
    assert sum(path.stat().st_size for path in cache.iterdir()) < 3 << 20


def test_eight_threads_read_at_a_time(stage):
    make_history(stage, 20, bases=1).stop()
    points = restore_points(stage.replica)
    wrong = []

    def read_moments(seed):
        dice = random.Random(seed)
        for txid in dice.choices(points[5:], k=4):
            read, other = reader(stage.replica, txid=txid), reader(stage.replica, txid=txid)
            wrong.extend(differing_answers(read, other, seed, 10))
            read.close()
            other.close()

    threads = [threading.Thread(target=read_moments, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


FORK = """
import os
parent = reader(sys.argv[1], follow="1ms")
count = parent.execute("SELECT count(*) FROM item").fetchone()
pid = os.fork()
if pid == 0:
    own = reader(sys.argv[1], follow="1ms")
    own_count = own.execute("SELECT count(*) FROM item").fetchone()
    try:
        parent.execute("SELECT count(*) FROM tag").fetchone()
        used = "used"
    except sqlite3.Error:
        used = why()
    own.close()
    os._exit(0 if own_count == count and "fork" in used else 3)
assert os.waitpid(pid, 0)[1] == 0
print(parent.execute("SELECT count(*) FROM item").fetchone() == count)
"""


def test_a_child_process_opens_its_own_connection(stage):
    make_history(stage, 10).stop()
    assert in_process(FORK, stage.replica).strip() == "True"


def test_a_child_process_opens_its_own_connection_to_a_bucket(stage, s3):
    make_history(stage, 10).stop()
    assert in_process(FORK, stage.replica).strip() == "True"


TLS = """
try:
    print(reader(sys.argv[1]).execute("SELECT count(*), total(price) FROM item").fetchone())
except sqlite3.Error:
    print(why())
"""


def test_a_bucket_is_read_over_tls_with_the_keys_of_a_profile(stage, tmp_path, monkeypatch):
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    make_history(stage, 5).stop()
    plain_environment(monkeypatch, tmp_path)
    pem, trusted = make_certificate(tmp_path)
    (tmp_path / "keys").write_text(f"[far]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    with new_server(tls=pem) as server:
        secure = Bucket(server, stage.folder)
        written = seawall("snapshot", stage.db, secure.url(ca_file=trusted, profile="far"))
        assert written.returncode == DONE, told(written)
        there = str(stage.app.execute("SELECT count(*), total(price) FROM item").fetchone())
        assert in_process(TLS, secure.url(ca_file=trusted, profile="far")).strip() == there
        assert "certificate" in in_process(TLS, secure.url(profile="far", timeout="1s"))
        without = in_process(TLS, secure.url(ca_file=trusted, profile="other"))
        assert "other" in without and SECRET not in without
        assert server.complaints == []


ENDS = """
import ctypes, threading, time
def read(n):
    while True:
        reader(sys.argv[1], txid=n).execute("SELECT count(*), sum(length(payload)) FROM item").fetchone()
for n in range(3, 7):
    threading.Thread(target=read, args=(n,), daemon=True).start()
time.sleep(float(sys.argv[2]))
ctypes.CDLL(None).exit(0)
"""


def test_a_process_ends_while_its_threads_read(stage, s3):
    """exit() frees what OpenSSL has while they run."""
    make_history(stage, 10).stop()
    for n in range(8):
        assert in_process(ENDS, stage.replica, 0.1 + 0.05 * n) == ""


SIGNALS = """
import os, signal
read = reader(sys.argv[1], follow="1ms")
read.execute("SELECT count(*) FROM item").fetchone()
for task in os.listdir("/proc/self/task"):
    if int(task) != os.getpid():
        with open(f"/proc/self/task/{task}/status") as status:
            blocked = next(int(line.split()[1], 16) for line in status if line.startswith("SigBlk"))
        print([bool(blocked >> (one - 1) & 1) for one in (signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD, signal.SIGSEGV)])
"""


def test_the_signals_of_an_application_are_for_its_own_threads(stage, s3):
    make_history(stage, 10).stop()
    assert set(in_process(SIGNALS, stage.replica).splitlines()) == {"[True, True, True, False]"}


def test_a_server_that_does_not_answer_is_an_error_in_time(stage, s3):
    make_history(stage, 10).stop()
    read = reader(stage.replica, follow="1ms")
    count = read.execute("SELECT count(*) FROM item").fetchone()
    s3.server.fault("stall")
    assert read.execute("SELECT count(*) FROM item").fetchone() == count    # what is known stays readable
    with pytest.raises(sqlite3.OperationalError):
        reader(stage.replica, txid=3)
    s3.server.no_faults()
    assert reader(stage.replica).execute("SELECT count(*) FROM item").fetchone() == count


LOOK = """
read = reader(sys.argv[1], **(dict(cache_dir=sys.argv[2]) if len(sys.argv) > 2 else {}))
print(read.execute("SELECT id, hex(substr(payload, 1, 9)) FROM big WHERE id = 9999").fetchone())
print(read.execute("SELECT count(*) FROM big WHERE name BETWEEN 'row 12' AND 'row 13'").fetchone())
"""


@pytest.fixture
def deep(stage):
    """A replica whose base has four chunks and b-trees of some depth, and commits after it that change interior pages."""
    app = connect(stage.db)
    for statement in ("PRAGMA journal_mode=wal", "CREATE TABLE big(id INTEGER PRIMARY KEY, name TEXT, payload BLOB)", "CREATE INDEX name ON big(name)",
                      "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 30000) "
                      "INSERT INTO big SELECT n, 'row ' || (n * 7919 % 30011), randomblob(900) FROM i"):
        app.execute(statement).fetchall()
    assert seawall("snapshot", "--base", stage.db, url_of(stage.replica)).returncode == DONE
    app.execute("INSERT INTO big(name, payload) SELECT 'row 12' || id, randomblob(900) FROM big WHERE id < 300")
    app.close()
    assert seawall("snapshot", stage.db, url_of(stage.replica)).returncode == DONE
    return stage


def chunks_read(s3, since):
    """Requests for chunks of bases."""
    return [r for r in s3.server.requests("get", since=since) if "/base/" in r.key and not r.key.endswith(("/interior", "/marker"))]


def test_interior_pages_save_requests_and_change_no_row(stage, s3, request):
    deep = request.getfixturevalue("deep")
    key, = [key for key in s3.server.objects if key.endswith("/interior")]
    good = s3.server.objects[key].body
    start = len(s3.server.requests())
    rows = in_process(LOOK, deep.replica)
    least = len(chunks_read(s3, start))
    assert len([r for r in s3.server.requests("get", since=start) if r.key == key]) == 1
    del s3.server.objects[key]
    start = len(s3.server.requests())
    assert in_process(LOOK, deep.replica) == rows
    most = len(chunks_read(s3, start))
    assert least + 3 <= most, (least, most)
    other = next(o.body for k, o in s3.server.objects.items() if k.endswith("/00000001"))
    for bad in (good[:-1], good[:len(good) // 2] + bytes([good[len(good) // 2] ^ 1]) + good[len(good) // 2 + 1:], other, b"", bytes(9 << 20)):
        s3.server.objects[key] = Object(bad, '"x"', time.time(), {})
        start = len(s3.server.requests())
        assert in_process(LOOK, deep.replica) == rows
        assert len(chunks_read(s3, start)) == most
    s3.server.objects[key] = Object(good, '"x"', time.time(), {})
    s3.server.fault("access-denied", key=key)
    assert in_process(LOOK, deep.replica) == rows


@pytest.mark.parametrize("fault", ["access-denied", "internal-error"])
def test_a_base_is_complete_without_the_object_of_its_interior_pages(stage, s3, fault, request):
    with s3.server.fault(fault, on="put", key="*/interior") as refused:
        deep = request.getfixturevalue("deep")
    assert refused.met > 0
    assert [key for key in s3.server.objects if key.endswith("/marker")] and not [key for key in s3.server.objects if key.endswith("/interior")]
    assert seawall("verify", "--full", url_of(deep.replica)).returncode == DONE
    assert "row 12" not in in_process(LOOK, deep.replica)


SCAN = """
read = reader(sys.argv[1])
print(read.execute("SELECT count(*), sum(length(payload)) FROM big NOT INDEXED").fetchone())
"""


def test_a_scan_fetches_a_chunk_in_few_requests(stage, s3, request):
    deep = request.getfixturevalue("deep")
    start = len(s3.server.requests())
    assert in_process(SCAN, deep.replica) == "(30299, 27269100)\n"
    read = chunks_read(s3, start)
    ends = [r for r in read if r.headers.get("range", "").startswith("bytes=-")]
    assert len(ends) == len({r.key for r in ends}) == 4 and len(read) < 25, "one for each chunk, and few for their blocks"


def test_interior_pages_are_kept_in_the_folder_of_a_cache(stage, s3, request):
    deep = request.getfixturevalue("deep")
    cache = deep.folder / "cache"
    fetched = lambda: len([r for r in s3.server.requests("get") if r.key.endswith("/interior")])
    rows = in_process(LOOK, deep.replica, cache)
    assert fetched() == 1 and in_process(LOOK, deep.replica, cache) == rows and fetched() == 1
    kept, = cache.glob("*-need-*")
    content = kept.read_bytes()
    kept.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert in_process(LOOK, deep.replica, cache) == rows and fetched() == 2
    assert kept.read_bytes() == content


def base_of(s3):
    """The objects of the only base of a replica, by the last part of their keys."""
    assert len({key.rsplit("/", 1)[0] for key in s3.server.objects if "/base/" in key}) == 1
    return {key.rsplit("/", 1)[1]: o.body for key, o in s3.server.objects.items() if "/base/" in key}


@pytest.fixture
def killed_before_its_marker(stage, s3):
    """A writer was killed when it had put the interior pages of a base, and waited for its marker to be put."""
    app = connect(stage.db)
    for statement in ("PRAGMA journal_mode=wal", "CREATE TABLE big(id INTEGER PRIMARY KEY, name TEXT, payload BLOB)", "CREATE INDEX name ON big(name)",
                      "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 30000) "
                      "INSERT INTO big SELECT n, 'row ' || (n * 7919 % 30011), randomblob(900) FROM i"):
        app.execute(statement).fetchall()
    with s3.server.fault("stall", on="put", key="*/marker") as stalled:
        writer = subprocess.Popen([BINARY, "snapshot", "--base", stage.db, url_of(stage.replica)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: stalled.met, 60, "the marker")
        writer.kill()
        writer.wait()
    wait_until(lambda: "marker" in base_of(s3), 30, "what the server had held")
    del s3.server.objects[next(key for key in s3.server.objects if key.endswith("/marker"))]
    assert "interior" in base_of(s3)
    app.execute("UPDATE big SET name = 'row 12' || id WHERE id % 50 = 7")     # changes interior pages behind the chunks
    app.close()
    return stage


def test_a_base_that_goes_on_names_the_interior_pages_that_it_finds(s3, killed_before_its_marker):
    stage = killed_before_its_marker
    found = base_of(s3)
    assert seawall("snapshot", "--base", stage.db, url_of(stage.replica)).returncode == DONE
    base = base_of(s3)
    assert {key: base[key] for key in found} == found, "the base went on"
    assert base["marker"][-240 + 144:][:32] == hashlib.sha256(found["interior"]).digest(), "the marker names them"
    start = len(s3.server.requests())
    rows = in_process(LOOK, stage.replica)
    least = len(chunks_read(s3, start))
    verified = seawall("verify", "--full", url_of(stage.replica))
    assert verified.returncode == DONE and b"no restore point needs" not in verified.stdout
    del s3.server.objects[next(key for key in s3.server.objects if key.endswith("/interior"))]
    start = len(s3.server.requests())
    assert in_process(LOOK, stage.replica) == rows and least + 3 <= len(chunks_read(s3, start))


@pytest.mark.parametrize("there", ["damaged", "newer than the base"])
def test_interior_pages_that_a_base_does_not_name_are_deleted(s3, killed_before_its_marker, there):
    stage = killed_before_its_marker
    key = next(key for key in s3.server.objects if key.endswith("/interior"))
    body = s3.server.objects[key].body
    body = body[:-300] + bytes([body[-300] ^ 1]) + body[-299:] if there == "damaged" else with_trailer(body, 16, (9).to_bytes(8, "big"))
    s3.server.objects[key] = Object(body, '"x"', time.time(), {})
    assert seawall("snapshot", "--base", stage.db, url_of(stage.replica)).returncode == DONE
    assert base_of(s3)["marker"][-240 + 144:][:32] == bytes(32)
    assert "row 12" not in in_process(LOOK, stage.replica)
    kept = seawall("prune", url_of(stage.replica))
    assert kept.returncode == DONE and "interior" in base_of(s3), "younger than grace"
    prune = lambda: seawall("prune", "--grace", "1s", url_of(stage.replica))
    wait_until(lambda: b"its base does not name it" in prune().stdout, 30, "it is older than grace")
    assert "interior" not in base_of(s3) and "marker" in base_of(s3)
    verified = seawall("verify", "--full", url_of(stage.replica))
    assert verified.returncode == DONE and b"no restore point needs" not in verified.stdout


OPENS = """
import time
begun = time.monotonic()
first = reader(sys.argv[1])
took = time.monotonic() - begun
rows = first.execute("SELECT id, hex(substr(payload, 1, 9)) FROM big WHERE id = 9999").fetchone()
for n in range(4):
    assert reader(sys.argv[1], txid=sys.argv[2]).execute("SELECT id, hex(substr(payload, 1, 9)) FROM big WHERE id = 9999").fetchone() == rows
print(took, rows)
"""


@pytest.mark.parametrize("fault, options", [("slow-down", {}), ("slow-down", {"retry_after": 20}), ("internal-error", {}), ("stall", {})])
def test_a_store_that_fails_for_interior_pages_alone_delays_no_open(stage, s3, fault, options, request):
    deep = request.getfixturevalue("deep")
    key, = [key for key in s3.server.objects if key.endswith("/interior")]
    rows = in_process(OPENS, deep.replica, restore_points(deep.replica)[-1]).split(None, 1)[1]
    start = len(s3.server.requests())
    with s3.server.fault(fault, on="get", key=key, **options) as met:
        took, same = in_process(OPENS, deep.replica, restore_points(deep.replica)[-1]).split(None, 1)
    assert same == rows and met.met == 1
    assert len([r for r in s3.server.requests("get", since=start) if r.key == key]) == 1, "asked once, by five opens"
    assert float(took) < 3.8, "a request that stalls is given up before its time is over, and none is repeated"


@pytest.mark.parametrize("spoil", ["damaged", "of no base"])
def test_interior_pages_that_are_of_no_use_are_fetched_once(stage, s3, spoil, request):
    deep = request.getfixturevalue("deep")
    key, = [key for key in s3.server.objects if key.endswith("/interior")]
    body = bytearray(s3.server.objects[key].body)
    rows = in_process(OPENS, deep.replica, restore_points(deep.replica)[-1]).split(None, 1)[1]
    if spoil == "damaged":
        body[len(body) // 2] ^= 1
        s3.server.objects[key] = Object(bytes(body), '"x"', time.time(), {})
    else:
        marker, = [key for key in s3.server.objects if key.endswith("/marker")]
        without = without_interior(s3.server.objects[marker].body)
        s3.server.objects[marker] = Object(without, '"x"', time.time(), {})
    fetched = lambda since: len([r for r in s3.server.requests("get", since=since) if r.key == key])
    start = len(s3.server.requests())
    assert in_process(OPENS, deep.replica, restore_points(deep.replica)[-1]).split(None, 1)[1] == rows and fetched(start) <= 1
    cache, start = deep.folder / "cache", len(s3.server.requests())
    for _ in range(3):
        in_process(LOOK, deep.replica, cache)
    assert fetched(start) <= 1, "the folder of the cache remembers it"


FORKS = """
import os, threading
thread = threading.Thread(target=lambda: reader(sys.argv[1]).close())
thread.start()
while not open(sys.argv[2]).read():
    pass
child = os.fork()
if child == 0:
    os._exit(0 if reader(sys.argv[1]).execute("SELECT count(*) FROM big WHERE id < 10").fetchone() == (9,) else 3)
assert os.waitpid(child, 0)[1] == 0
thread.join()
"""


def test_a_process_forks_while_interior_pages_are_waited_for(stage, s3, request):
    deep = request.getfixturevalue("deep")
    asked = deep.folder / "asked"
    asked.write_text("")
    with s3.server.fault("stall", on="get", key="*/interior") as stalled:
        watch = threading.Thread(target=lambda: (wait_until(lambda: stalled.met, 30, "the request"), asked.write_text("yes")))
        watch.start()
        in_process(FORKS, deep.replica, asked)
        watch.join()
    assert stalled.met == 2, "parent and child"


def test_pages_that_levels_have_changed_do_not_come_from_the_base(deep):
    for txid in restore_points(deep.replica):
        if txid > 1:
            restored, read = connect(deep.restored(txid)), reader(deep.replica, txid=txid)
            assert read.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert list(restored.iterdump()) == list(read.iterdump())


def test_packs_are_read(stage):
    stage.prepare()
    daemon = stage.replicate()
    writer = stage.writer(rate=150)
    daemon.wait_for(lambda: (stage.replica / "pack").is_dir() and any((stage.replica / "pack").iterdir()), 60, "a pack")
    pack = next((stage.replica / "pack").iterdir()).name
    first, last = (int(text, 16) for text in pack.split("-"))
    writer.stop()
    assert daemon.stop() == DONE
    for txid in (first, (first + last) // 2, last, stage.last_txid()):
        restored, read = connect(stage.restored(txid)), reader(stage.replica, txid=txid)
        assert list(restored.iterdump()) == list(read.iterdump())


def test_a_large_index_is_fetched_once(stage, s3):
    """The end of the object tells where it begins, and the planner and the reader both need it."""
    app = connect(stage.db)
    app.execute("PRAGMA page_size=512")
    app.execute("PRAGMA journal_mode=wal")
    app.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB)")
    stage.replicate("--base-interval", "1h").wait_live()
    app.execute("INSERT INTO t(b) SELECT randomblob(400) FROM (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000) SELECT x FROM n)")
    assert seawall("sync", stage.db).returncode == DONE
    start = len(s3.server.requests())
    read = reader(stage.replica)
    assert read.execute("SELECT id FROM t WHERE id = 12345").fetchone() == (12345,)
    ends = [r for r in s3.server.requests("get", since=start)
            if r.sent > 65536 and r.headers["range"].endswith(f"-{len(s3.server.objects[r.key].body) - 1}")]
    assert len({r.key for r in ends}) == len(ends) > 0


AFTER_A_SUSPENSION = """
import struct
read = reader(sys.argv[1], follow="1h")
count = lambda: read.execute("SELECT count(*) FROM t").fetchone()[0]
print(count(), flush=True)
sys.stdin.readline()
print(count(), flush=True)
open(sys.argv[2], "r+b").write(struct.pack("=q", 7200))
print(count(), flush=True)
"""


def test_what_a_reader_knew_before_its_machine_was_suspended_is_old(stage):
    suspended = stage.folder / "suspended"
    suspended.write_bytes(struct.pack("=q", 0))
    app = connect(stage.db)
    app.execute("CREATE TABLE t(a)")
    daemon = wait_control(stage.replicate())
    assert_synced(stage.db)
    process = start_process(AFTER_A_SUSPENSION, stage.replica, suspended,
                            environment={**os.environ, "LD_PRELOAD": str(CLOCK_STEP), "CLOCKSTEP_SUSPENDED": str(suspended)})
    assert process.stdout.readline() == "0\n"
    app.execute("INSERT INTO t VALUES(1)")
    assert_synced(stage.db)
    out, _ = process.communicate("\n")
    assert out == "0\n1\n"   # within the hour nothing is asked; afterwards the newest state
    assert daemon.stop() == DONE


OTHER_USER_OF_JANSSON = """
import ctypes
jansson, libc = ctypes.CDLL("libjansson.so.4"), ctypes.CDLL(None)
jansson.json_loads.restype = jansson.json_dumps.restype = ctypes.c_void_p
read = reader(sys.argv[1])
before = jansson.json_loads(b'{"a": ["a text of an application that uses jansson itself"]}', 0, None)
for _ in range(100):
    read = reader(sys.argv[1])
    read.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    libc.free(ctypes.c_void_p(jansson.json_dumps(ctypes.c_void_p(before), 0)))   # as an application may
    jansson.json_delete(ctypes.c_void_p(jansson.json_loads(b'{"b": [1, 2, {"c": "d"}]}', 0, None)))
jansson.json_delete(ctypes.c_void_p(before))
print("well")
"""


def test_an_application_can_use_jansson_too(stage):
    """It shares the library with the extension, and frees texts by free()."""
    daemon = make_history(stage, 3)
    assert daemon.stop() == DONE
    code = OTHER_USER_OF_JANSSON
    assert in_process(code, stage.replica) == "well\n"
    early = "import ctypes\njansson = ctypes.CDLL('libjansson.so.4')\njansson.json_loads.restype = ctypes.c_void_p\nearly = jansson.json_loads(b'[1, 2]', 0, None)\n"
    script = early + "import sys\nsys.path[:0] = [sys.argv[2]]\nfrom readers import reader\n" + code + "jansson.json_delete(ctypes.c_void_p(early))\n"
    result = subprocess.run([sys.executable, "-c", script, stage.replica, str(Path(readers.__file__).parent)], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "well\n"), result
