"""`seawall snapshot` puts one state of a database in any journal mode, as the difference to the last one, and ends."""
import hashlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest

import stranger
from bank import ROWS, Bank, BusyBank, entries
from compare import assert_same_pages, assert_sound, drop, settled
from killer import KILLED, Killer, large_database, moments
from seawall import (BINARY, CHECKOUT, DONE, FAILED, OTHER_WRITER, SOME_FAILED, TIMED_OUT, USAGE, last_txid, objects, listing,
                     restore, seawall, told, url_of)
from waiting import PATIENCE, figure, stays_true, wait_until

ROLLBACK = ["delete", "truncate", "persist", "memory", "off"]
LINE = re.compile(r"(?P<db>.+): (?:txid (?P<txid>\d+) is durable in (?P<where>.+), (?P<objects>\d+) objects? of (?P<bytes>[\d.]+ \w+)|"
                  r"nothing changed since txid (?P<same>\d+), durable in (?P<same_where>.+)), [\d.]+ s\n")
UNITS = {"B": 1, "kB": 1e3, "MB": 1e6}


def start_snapshot(stage, *options, replicas=None, environment=None):
    command = [BINARY, "snapshot", *map(str, options), str(stage.db), *map(url_of, replicas or [stage.replica])]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})})


def ended(process):
    """Waits for the end of the process. Returns a result like that of seawall.seawall."""
    try:
        stdout, stderr = process.communicate(timeout=120 * PATIENCE)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def snapshot(stage, *options, **more):
    return ended(start_snapshot(stage, *options, **more))


def line_of(result):
    """The line that a successful snapshot prints."""
    assert result.returncode == DONE, told(result)
    assert result.stderr == b"", "cron would send it by mail"
    found = LINE.fullmatch(result.stdout.decode())
    assert found, told(result)
    return found


def done(stage, *options, **more):
    """Makes a snapshot, which must succeed. Returns (txid, bytes sent)."""
    found = line_of(snapshot(stage, *options, **more))
    if found["same"]:
        return int(found["same"]), 0
    number, unit = found["bytes"].split()
    return int(found["txid"]), float(number) * UNITS[unit]


def files_beside(db):
    return sorted(path.name for path in db.parent.iterdir() if path.name.startswith(db.name))


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def bank(stage):
    bank = Bank(stage.db)
    yield bank
    bank.close()


# ---- any journal mode, unchanged

@pytest.mark.parametrize("mode", ROLLBACK)
@pytest.mark.parametrize("application", ["open", "closed"])
def test_a_database_in_a_rollback_journal_mode_stays_in_it_and_stays_byte_for_byte(stage, mode, application):
    bank = Bank(stage.db, mode)
    sent = []
    for n in range(3):
        bank.commit(1 if n else 200)
        if application == "closed":
            bank.close()
        before, files = digest(stage.db), files_beside(stage.db)
        txid, size = done(stage)
        assert txid == n + 1
        sent.append(size)
        assert digest(stage.db) == before
        assert set(files_beside(stage.db)) == {*files, "app.db-seawall"}
        restored = stage.restored()
        assert restored.read_bytes() == stage.db.read_bytes()
        assert entries(restored) == ROWS * (200 + n)
        if application == "open":
            assert bank.connection.execute("PRAGMA journal_mode").fetchone() == (mode,)
        else:
            bank = Bank(stage.db, mode)
    assert max(sent[1:]) < sent[0] / 10, "more than the changes was sent"
    bank.close()
    for txid in (1, 2, 3):
        assert entries(stage.restored(txid)) == ROWS * (199 + txid), "each of them is a restore point"


@pytest.mark.parametrize("application", ["open", "closed"])
def test_a_database_in_wal_mode_stays_in_it_and_is_restored(stage, application):
    bank = Bank(stage.db, "wal")
    for n in range(3):
        bank.commit(5)
        if application == "closed":
            bank.close()
        txid, _ = done(stage)
        assert txid == stage.last_txid()
        assert entries(stage.assert_restore_equals_source()) == ROWS * 5 * (n + 1)
        if application == "closed":
            bank = Bank(stage.db, "wal")
    assert bank.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    bank.close()


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_what_did_not_change_is_not_sent(stage, mode):
    bank = Bank(stage.db, mode)
    bank.commit()
    txid, _ = done(stage)
    before = objects(stage.replica)
    assert done(stage) == (txid, 0)
    assert objects(stage.replica) == before
    bank.close()


def test_the_journal_mode_may_change_between_snapshots(stage):
    bank = Bank(stage.db, "delete")
    bank.commit(200)
    _, first = done(stage)
    for n, mode in enumerate(("wal", "delete", "wal", "wal", "persist", "wal", "truncate", "truncate"), 1):
        bank.close()
        bank = Bank(stage.db, mode)
        bank.commit()
        txid, sent = done(stage)
        assert sent < first / 5, f"to {mode}: everything was sent again"
        assert txid == stage.last_txid() == n + 1
        assert bank.connection.execute("PRAGMA journal_mode").fetchone() == (mode,)
        assert entries(stage.assert_restore_equals_source()) == ROWS * (200 + n)
    bank.close()


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_change_that_keeps_size_and_time_of_the_file_is_sent(stage, mode):
    bank = Bank(stage.db)
    bank.commit()
    done(stage)
    before = stage.db.stat()
    bank.connection.execute("UPDATE entry SET filler = randomblob(200)")
    bank.connection.execute(f"PRAGMA journal_mode={mode}")
    bank.close()
    os.utime(stage.db, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (stage.db.stat().st_size, stage.db.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert done(stage)[0] == 2
    assert_same_pages(stage.db, stage.restored())


def test_the_database_may_shrink_and_change_its_page_size_between_snapshots(stage, bank):
    bank.commit(100)
    done(stage)
    bank.connection.execute("DELETE FROM entry WHERE id % 2")
    bank.connection.execute("UPDATE total SET amount = (SELECT sum(amount) FROM entry), entries = (SELECT count(*) FROM entry)")
    bank.connection.execute("VACUUM")
    done(stage)
    assert entries(stage.restored()) == ROWS * 50
    for page_size in (512, 65536, 1024):
        bank.connection.execute(f"PRAGMA page_size={page_size}")
        bank.connection.execute("VACUUM")
        bank.commit()
        done(stage)
        assert_same_pages(stage.db, stage.restored())
    assert stage.points() == [1, 2, 3, 4, 5]


def test_set_wal_does_not_change_the_journal_mode_of_a_snapshot(stage, bank):
    bank.commit()
    for options in ((), ("--set-wal", "yes"), ("--set-wal", "no")):
        done(stage, *options)
        assert bank.connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


# ---- while the application writes

@pytest.mark.parametrize("mebibytes, key, more", [(0, "*/0/*", ()), (20, "*/part/*", ()), (34, "*/base/*", ()), (0, "*/base/*", ("--base",))])
def test_the_application_goes_on_while_the_store_is_slow(stage, s3, mebibytes, key, more):
    """The snapshot has the state of before the upload."""
    bank = Bank(stage.db)
    bank.commit()
    bank.connection.execute("CREATE TABLE large(a)")
    bank.connection.execute("WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < ?) "
                            "INSERT INTO large SELECT randomblob(1000000) FROM i", (max(1, mebibytes),))
    bank.close()
    with BusyBank(stage) as app:
        with s3.server.fault("stall", on="put", key=key) as fault:
            process = start_snapshot(stage, *more, "--stop-timeout", "10m")
            fault.wait_met(seconds=60)
            before = app.count()
            app.wait_count(before + 30)
            assert process.poll() is None
        line_of(ended(process))
        assert ROWS <= entries(stage.restored()) <= ROWS * (before + 2), "the snapshot has commits from after the beginning of the upload"


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_snapshots_of_a_busy_database_are_each_one_moment(stage, mode):
    Bank(stage.db, mode).close()
    if mode == "wal":
        app = stage.writer(rate=3000, busy_timeout=20000)
        for _ in range(figure(20, 4)):
            done(stage)
            assert_sound(stage.restored())
        report = app.stop()
        assert sum(report["errors"].values()) == 0, report
        return
    with BusyBank(stage) as app:
        for _ in range(figure(30, 6)):
            before = app.count()
            done(stage)
            after = app.count()
            restored = stage.restored()
            assert ROWS * before <= entries(restored) <= ROWS * (after + 1)
            drop(restored)
            app.wait_count(after + 5)


def test_a_transaction_that_was_killed_half_way_is_rolled_back_first(stage):
    bank = Bank(stage.db)
    bank.commit(50)
    bank.close()
    program = f"""if True:
        import os, signal, sys
        sys.path.insert(0, {str(CHECKOUT / "tests" / "support")!r})
        from bank import Bank
        bank = Bank({str(stage.db)!r})
        bank.connection.execute("PRAGMA cache_size=5")
        bank.connection.execute("BEGIN IMMEDIATE")
        bank.connection.execute("UPDATE entry SET amount = 0, filler = randomblob(300)")
        os.kill(os.getpid(), signal.SIGKILL)"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == KILLED
    journal = stage.folder / "app.db-journal"
    assert journal.stat().st_size > 0
    half_way = digest(stage.db)
    done(stage)
    assert not journal.exists()
    assert digest(stage.db) != half_way, "the file had no page of the transaction: nothing was tested"
    restored = stage.restored()
    assert entries(restored) == ROWS * 50
    assert_same_pages(stage.db, restored)


# ---- locks

def lock_by_transaction(stage, mode):
    Bank(stage.db, mode).close()
    app = sqlite3.connect(stage.db, isolation_level=None)
    app.execute("BEGIN EXCLUSIVE")
    return app


def lock_by_mode(stage, mode):
    Bank(stage.db, mode).close()
    app = sqlite3.connect(stage.db, isolation_level=None)
    app.execute("PRAGMA locking_mode=EXCLUSIVE")
    app.execute("UPDATE total SET amount = amount")
    return app


@pytest.mark.parametrize("mode, lock", [("delete", lock_by_transaction), ("delete", lock_by_mode), ("wal", lock_by_mode)])
def test_a_database_that_stays_locked_is_an_error_and_nothing_is_half_done(stage, mode, lock):
    app = lock(stage, mode)
    result = snapshot(stage, "--busy-timeout", "300ms")
    assert result.returncode == FAILED, told(result)
    assert b"locked" in result.stderr and b"HINT: an application keeps the database locked" in result.stderr and result.stdout == b""
    assert stage.last_txid() == 0
    app.close()
    done(stage)
    assert entries(stage.restored()) == 0


@pytest.mark.parametrize("mode, lock", [("delete", lock_by_transaction), ("delete", lock_by_mode), ("wal", lock_by_mode)])
def test_a_lock_is_waited_for(stage, mode, lock):
    app = lock(stage, mode)
    process = start_snapshot(stage, "--busy-timeout", "10m")
    wait_until(lambda: (stage.folder / "app.db-seawall").exists(), 10, "it has begun")
    stays_true(lambda: process.poll() is None, 0.5, "it waits")
    app.close()
    line_of(ended(process))


def test_an_open_read_transaction_does_not_delay_a_snapshot(stage, bank):
    bank.commit()
    bank.connection.execute("BEGIN")
    bank.connection.execute("SELECT * FROM total").fetchall()
    done(stage)
    bank.connection.execute("COMMIT")


# ---- other processes of Seawall

def test_a_second_snapshot_at_the_same_time_is_refused(stage, s3, bank):
    bank.commit()
    with s3.server.fault("stall", on="put", key="*/0/*") as fault:
        first = start_snapshot(stage)
        fault.wait_met(seconds=60)
        second = snapshot(stage)
    assert second.returncode == FAILED and second.stdout == b"", told(second)
    assert b"is at work on" in second.stderr and b"HINT: " in second.stderr
    line_of(ended(first))


def test_a_snapshot_beside_a_daemon_lets_the_daemon_make_all_durable(stage):
    bank = Bank(stage.db, "wal")
    daemon = stage.replicate()
    bank.commit()
    result = snapshot(stage)
    assert result.returncode == DONE and result.stdout.count(b"\n") == 1, told(result)
    assert b"txid 2 is durable in all replicas, says the daemon" in result.stdout, told(result)
    assert entries(stage.restored()) == entries(stage.db)
    result = snapshot(stage, "--base")
    assert result.returncode == DONE and b"each with a new base" in result.stdout, told(result)
    assert [base["state"] for base in listing(stage.replica)["bases"]] == ["complete"]
    assert daemon.running()
    bank.commit()
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()
    bank.close()


@pytest.mark.parametrize("options", [[], ["--base"]], ids=str)
def test_a_replica_that_the_daemon_does_not_have_is_refused(stage, options):
    bank, other = Bank(stage.db, "wal"), stage.folder / "other"
    daemon = stage.replicate()
    before = objects(stage.replica)
    for replicas in ([other], [stage.replica, other], ["s3://bucket/app"]):
        result = snapshot(stage, *options, replicas=replicas)
        assert result.returncode == FAILED and result.stdout == b"", told(result)
        assert f"'{replicas[-1]}' is not a replica of the daemon" in result.stderr.decode() and b"HINT: " in result.stderr, told(result)
    assert objects(other) == [] and objects(stage.replica) == before, "the daemon put something"
    assert daemon.stop() == DONE
    bank.close()


def test_the_replica_of_a_daemon_is_found_by_any_spelling_of_its_url(stage):
    bank, link = Bank(stage.db, "wal"), stage.folder / "link"
    daemon = stage.replicate()
    link.symlink_to(stage.replica)
    for spelled in (stage.replica, f"file://{stage.replica}", os.path.relpath(stage.replica), f"{stage.folder}/./replica/", link):
        result = seawall("snapshot", stage.db, spelled)
        assert result.returncode == DONE and b"says the daemon" in result.stdout, told(result)
    assert daemon.stop() == DONE
    bank.close()


def test_the_bucket_of_a_daemon_is_found_with_other_options_in_the_url(stage, s3):
    bank = Bank(stage.db, "wal")
    daemon = stage.replicate()
    result = snapshot(stage, replicas=[re.sub(r"timeout=\w+", "timeout=9s", stage.replica) + "&storage-class=GLACIER"])
    assert result.returncode == DONE and b"says the daemon" in result.stdout, told(result)
    assert daemon.stop() == DONE
    bank.close()


def test_snapshots_and_the_daemon_go_on_with_one_history(stage):
    bank = Bank(stage.db)
    bank.commit(200)
    _, first = done(stage)
    for n in range(2):
        bank.commit()
        bank.close()
        daemon = stage.replicate(live=False)
        daemon.wait_for(lambda: stage.last_txid() > 1 + 3 * n, 20, "the daemon has shipped what changed")
        daemon.wait_log("up to date")
        daemon.wait_log("compared all pages")
        bank = Bank(stage.db, "wal")
        bank.commit()
        assert daemon.stop() == DONE
        bank.close()
        bank = Bank(stage.db)   # switches back from WAL mode
        bank.commit()
        txid, sent = done(stage)
        assert txid == stage.last_txid() and sent < first / 10
        assert entries(stage.assert_restore_equals_source()) == ROWS * (200 + 3 * (n + 1))
    bank.close()


# ---- several replicas

def test_a_base_is_written_to_each_replica_though_nothing_changed(stage, bank):
    replicas = [stage.folder / "one", stage.folder / "two"]
    bank.commit(10)
    txid, _ = done(stage, replicas=replicas)
    for n in (1, 2):
        again, sent = done(stage, "--base", replicas=replicas)
        assert again == txid and sent > 0
        for replica in replicas:
            assert sum(key.endswith("/marker") for key in objects(replica)) == n, objects(replica)
    bank.commit()
    txid, _ = done(stage, "--base", replicas=replicas)
    for replica in replicas:
        os.unlink(replica / "0" / f"{1:016x}")   # the base makes it unnecessary
        target = stage.folder / f"{replica.name}.db"
        assert restore(replica, target).returncode == DONE
        assert target.read_bytes() == stage.db.read_bytes()


def test_a_base_that_fails_at_first_is_waited_for(stage, s3, bank):
    bank.commit()
    done(stage)
    with s3.server.fault("access-denied", on="put", key="*/base/*", times=1) as fault:
        result = snapshot(stage, "--base")
        assert fault.met == 1
    assert result.returncode == DONE and b"trying again until it works" in result.stderr, told(result)
    assert any(key.endswith("/marker") for key in s3.keys())


def test_a_base_that_was_killed_is_not_owed(stage, s3, bank):
    bank.commit()
    done(stage)
    with s3.server.fault("stall", on="put", key="*/base/*") as fault:
        process = start_snapshot(stage, "--base")
        fault.wait_met(seconds=60)
        process.kill()
        ended(process)
    assert done(stage) == (1, 0)
    done(stage, "--base")
    assert_same_pages(stage.db, stage.restored())


def test_a_replica_that_is_away_does_not_keep_the_other_waiting(stage, s3, bank):
    bank.commit()
    replicas = [stage.folder / "one", s3.url()]
    with s3.server.fault("internal-error"):
        result = snapshot(stage, "--stop-timeout", "1s", replicas=replicas)
    assert result.returncode == TIMED_OUT, told(result)
    assert re.fullmatch(rb".*: txid 1 is durable in 1 of 2 replicas, 1 object of .*\n", result.stdout), told(result)
    assert b"InternalError" in result.stderr
    assert last_txid(replicas[0]) == 1
    bank.commit()
    txid, _ = done(stage, replicas=replicas)
    for replica in replicas:
        assert last_txid(replica) == txid == 2
        target = stage.folder / "each.db"
        drop(target)
        assert restore(replica, target).returncode == DONE
        assert_same_pages(stage.db, target)


def no_folder(place):
    place.write_text("a file where the folder of the replica should be")


def damaged_identity(place):
    (place / "seawall.json").write_bytes((place / "seawall.json").read_bytes()[:20])


@pytest.mark.parametrize("ruin", [no_folder, damaged_identity])
def test_a_replica_that_a_person_must_mend_is_not_waited_for(stage, bank, ruin):
    """The other one gets everything, and the exit code says what is missing long before --stop-timeout."""
    replicas = [stage.folder / "one", stage.folder / "two"]
    bank.commit()
    done(stage, replicas=replicas if ruin is damaged_identity else replicas[:1])
    ruin(replicas[1])
    bank.commit()
    result = snapshot(stage, "--stop-timeout", "10m", replicas=replicas)
    assert result.returncode == TIMED_OUT, told(result)
    assert "txid 2 is durable in 1 of 2 replicas" in result.stdout.decode(), told(result)
    assert str(replicas[1]).encode() in result.stderr and b"HINT" in result.stderr, told(result)
    target = stage.folder / "each.db"
    assert restore(replicas[0], target).returncode == DONE
    assert_same_pages(stage.db, target)


@pytest.mark.parametrize("changed, more", [(False, ()), (True, ()), (False, ("--base",))])
def test_a_replica_that_comes_late_and_has_missed_more_gets_it(stage, s3, bank, changed, more):
    """The copy lacks pages that it needs, so the copy is made again for both replicas."""
    replicas = [stage.folder / "one", s3.url()]
    bank.commit(20)
    done(stage, replicas=replicas[:1])
    bank.commit()
    with s3.server.fault("internal-error") as fault:
        process = start_snapshot(stage, *more, "--stop-timeout", "10m", replicas=replicas)
        fault.wait_met(seconds=60)
        wait_until(lambda: last_txid(replicas[0]) == 2, 60, "the one that is there has it")
        if changed:
            bank.commit()
    result = ended(process)
    assert result.returncode == DONE, told(result)
    assert len(result.stderr.splitlines()) == 1, "stderr has more than the line about the replica that was away"
    assert f"txid {3 if changed else 2} is durable in 2 replicas" in result.stdout.decode(), told(result)
    for replica in replicas:
        target = stage.folder / "each.db"
        drop(target)
        assert restore(replica, target).returncode == DONE
        assert target.read_bytes() == stage.db.read_bytes()


def test_a_replica_of_another_writer_is_refused_without_take_over(stage, bank):
    other = stage.folder / "other.db"
    Bank(other).close()
    assert seawall("snapshot", other, url_of(stage.replica)).returncode == DONE
    bank.commit()
    result = snapshot(stage)
    assert result.returncode == OTHER_WRITER and result.stdout == b"", told(result)
    assert stage.points() == [1]
    assert done(stage, "--take-over")[0] == 2
    assert stage.restored().read_bytes() == stage.db.read_bytes()
    assert bank.connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


# ---- a configuration file

def configuration(stage, *names):
    path = stage.folder / "seawall.conf"
    path.write_text("[seawall]\nstop-timeout = 20s\n" + "".join(
        f"[db {stage.folder / name}.db]\nreplica = file://{stage.folder / name}-replica\n" for name in names))
    return path


def test_the_databases_of_a_configuration_are_backed_up_one_after_the_other(stage):
    for name in ("one", "two", "three"):
        Bank(stage.folder / f"{name}.db").close()
    path = configuration(stage, "one", "two", "three")
    result = seawall("snapshot", "-c", path)
    assert result.returncode == DONE and result.stderr == b"", told(result)
    assert [line.split("/")[-1].split(":")[0] for line in result.stdout.decode().splitlines()] == ["one.db", "two.db", "three.db"]

    (stage.folder / "two.db").rename(stage.folder / "elsewhere")
    result = seawall("snapshot", "-c", path)
    assert result.returncode == SOME_FAILED, told(result)
    said = result.stderr.splitlines()
    assert len(result.stdout.splitlines()) == 2 and len(said) == 2
    assert b"two.db" in said[0] and b"No such file" in said[0] and said[1].startswith(b"  HINT: check the path"), told(result)

    result = seawall("snapshot", "-c", path, stage.folder / "three.db")
    assert result.returncode == DONE and result.stdout.count(b"\n") == 1 and b"three.db" in result.stdout, told(result)
    result = seawall("snapshot", "-c", path, stage.folder / "two.db")
    assert result.returncode == FAILED, told(result)
    result = seawall("snapshot", "-c", path, stage.folder / "four.db")
    assert result.returncode == USAGE, told(result)


def test_a_store_that_never_answers_stops_neither_the_other_replica_nor_the_next_database(stage, s3):
    for name in ("one", "two"):
        Bank(stage.folder / f"{name}.db").close()
    path = configuration(stage, "one", "two")
    with path.open("a") as file:
        file.write(f"[replica silent]\nurl = {s3.url().split('?')[0]}\nendpoint = {s3.server.url}\n")
    path.write_text(path.read_text().replace("20s", "1s").replace("one-replica\n", "one-replica\nreplica = silent\n"))
    with s3.server.fault("stall"):
        process = subprocess.Popen([BINARY, "snapshot", "--jobs", "1", "-c", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        first = process.stdout.readline()
        ticks = sum(map(int, open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()[11:13]))
        result = ended(process)
    assert b"one.db: txid 1 is durable in 1 of 2 replicas" in first, told(result)
    assert result.returncode == SOME_FAILED and b"two.db: txid 1 is durable in 1 replica" in result.stdout, told(result)
    assert b"one.db" in result.stderr and b"does not answer" in result.stderr
    assert ticks < 100, "the snapshot used CPU while it only waited"


def test_the_sample_for_cron_works(stage):
    Bank(stage.folder / "one.db").close()
    path = configuration(stage, "one")
    lines = [line for line in (CHECKOUT / "etc" / "cron.example").read_text().splitlines() if re.match(r"[\d*]", line)]
    assert len(lines) == 2
    for line in lines:
        command = line.split(None, 6)[6].replace("/etc/seawall.conf", str(path))
        command = re.sub(r"^/usr/local/bin/seawall", str(BINARY), command)
        result = subprocess.run(["/bin/sh", "-c", command], capture_output=True, timeout=60 * PATIENCE)
        assert result.returncode == 0 and result.stderr == b"", told(result)
    assert "marker" in " ".join(objects(stage.folder / "one-replica"))


@pytest.mark.parametrize("jobs", ["2", "64"])
def test_a_database_does_not_wait_for_the_store_of_another_one(stage, s3, jobs):
    for name in ("one", "two", "three"):
        Bank(stage.folder / f"{name}.db").close()
    path = configuration(stage, "one", "two", "three")
    path.write_text(path.read_text().replace(f"file://{stage.folder / 'one'}-replica", "silent")
                    + f"[replica silent]\nurl = {s3.url().split('?')[0]}\nendpoint = {s3.server.url}\n")
    with s3.server.fault("stall", on="get") as fault:
        process = subprocess.Popen([BINARY, "snapshot", "--jobs", jobs, "-c", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        fault.wait_met(seconds=60)
        for name in ("two", "three"):
            wait_until(lambda: last_txid(stage.folder / f"{name}-replica") == 1, 60, f"{name} is backed up")
        assert process.poll() is None
    result = ended(process)
    assert result.returncode == DONE and not result.stderr, told(result)
    assert [line.split("/")[-1].split(":")[0] for line in result.stdout.decode().splitlines()] == ["one.db", "two.db", "three.db"]


def on_one_server(stage, s3, *names):
    """Databases of these names, each with a prefix of its own."""
    path = stage.folder / "seawall.conf"
    for name in names:
        Bank(stage.folder / f"{name}.db").close()
    path.write_text("".join(f"[replica {name}]\nurl = {s3.url(prefix=name).split('?')[0]}\nendpoint = {s3.server.url}\n"
                            f"[db {stage.folder / name}.db]\nreplica = {name}\n" for name in names))
    return path


def children(process):
    return list(map(int, open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()))


def test_a_signal_lets_each_snapshot_under_way_end_and_no_further_one_begin(stage, s3):
    path = on_one_server(stage, s3, "one", "two", "three")
    with s3.server.fault("stall", on="get", key="one/*") as one, s3.server.fault("stall", on="get", key="two/*") as two:
        process = subprocess.Popen([BINARY, "snapshot", "--jobs", "2", "-c", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        one.wait_met(seconds=60)
        two.wait_met(seconds=60)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: int(re.search(r"ShdPnd:\s*(\w+)", open(f"/proc/{process.pid}/status").read())[1], 16) == 0, 10, "it has seen the signal")
    result = ended(process)
    assert result.returncode == 130, told(result)
    assert result.stdout.count(b"\n") == 2 and s3.keys("three") == [], told(result)


def test_a_snapshot_whose_process_is_killed_is_named_and_the_others_go_on(stage, s3):
    path = on_one_server(stage, s3, "one", "two")
    with s3.server.fault("stall", on="get", key="one/*") as fault:
        process = subprocess.Popen([BINARY, "snapshot", "-c", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        fault.wait_met(seconds=60)
        wait_until(lambda: len(children(process)) == 1, 60, "the other snapshot has ended")
        os.kill(children(process)[0], signal.SIGKILL)
        result = ended(process)
    assert result.returncode == SOME_FAILED and b"one.db': its process was ended by signal 9\n" in result.stderr, told(result)
    assert b"two.db: txid 1 is durable" in result.stdout and result.stdout.count(b"\n") == 1, told(result)


def test_the_processes_of_snapshots_end_with_the_command(stage, s3):
    path = on_one_server(stage, s3, "one", "two")
    with s3.server.fault("stall", on="get") as fault:
        process = subprocess.Popen([BINARY, "snapshot", "-c", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        fault.wait_met(times=2, seconds=60)
        left = children(process)
        process.kill()
        process.wait()
    assert len(left) == 2
    for pid in left:
        wait_until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), 60, "it has ended")


def test_sigint_ends_it_after_the_database_that_is_under_way(stage, s3):
    for name in ("one", "two"):
        Bank(stage.folder / f"{name}.db").close()
    path = stage.folder / "seawall.conf"
    path.write_text("".join(f"[replica {name}]\nurl = {s3.url(prefix=name).split('?')[0]}\nendpoint = {s3.server.url}\n"
                            f"[db {stage.folder / name}.db]\nreplica = {name}\n" for name in ("one", "two")))
    with s3.server.fault("stall", on="get", key="one/*") as fault:
        process = subprocess.Popen([BINARY, "snapshot", "--jobs", "1", "-c", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        fault.wait_met(seconds=60)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: "SigPnd" in (status := open(f"/proc/{process.pid}/status").read())
                   and int(re.search(r"ShdPnd:\s*(\w+)", status)[1], 16) == 0, 10, "it has seen the signal")
    result = ended(process)
    assert result.returncode == 130, told(result)
    assert result.stdout.count(b"\n") == 1, "the snapshot that was under way did not end"
    assert s3.keys("two") == []


# ---- errors

@pytest.mark.parametrize("make, code, says", [
    (lambda path: None, FAILED, "No such file or directory"),
    (lambda path: path.touch(), FAILED, "the database is empty"),
    (lambda path: path.write_text("hello, this is no database at all\n" * 100), USAGE, "is not a SQLite database"),
    (lambda path: path.mkdir(), USAGE, "is not a SQLite database")])
def test_a_path_that_is_not_a_database_is_an_error_that_says_so(stage, make, code, says):
    make(stage.db)
    result = snapshot(stage)
    assert result.returncode == code and result.stdout == b"", told(result)
    assert says in result.stderr.decode()
    assert stage.last_txid() == 0


@pytest.mark.parametrize("arguments", [(), ("app.db",), ("--bogus",), ("--base=yes", "app.db", "x"), ("--busy-timeout", "soon", "app.db", "x"),
                                       ("--busy-timeout", "app.db", "x"), ("-c", "no-such-file"), ("--put-rate", "x", "app.db", "x")])
def test_wrong_usage_exits_with_2_and_says_why(stage, arguments, monkeypatch):
    monkeypatch.chdir(stage.folder)
    result = seawall("snapshot", *arguments)
    assert result.returncode == USAGE and result.stdout == b"" and result.stderr, told(result)
    assert not list(stage.folder.iterdir())


@pytest.mark.open_to_others
def test_without_permission_in_the_folder_nothing_is_done(stage, bank):
    bank.commit()
    bank.close()
    os.chmod(stage.db, 0o666)
    stage.replica.mkdir()
    os.chmod(stage.replica, 0o777)
    os.chmod(stage.folder, 0o555)
    result = stranger.seawall(stage.folder, "snapshot", stage.db, url_of(stage.replica))
    os.chmod(stage.folder, 0o755)
    assert result.returncode == FAILED and b"Permission denied" in result.stderr, told(result)
    assert objects(stage.replica) == []


@pytest.fixture
def small_disk(stage):
    folder = stage.folder / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], capture_output=True).returncode != 0:
        pytest.skip("no permission to mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_without_room_for_the_copy_nothing_is_done(stage, bank, small_disk):
    bank.commit(10)
    environment = {"TMPDIR": str(small_disk)}
    done(stage, environment=environment)
    bank.connection.execute("INSERT INTO entry(amount, filler) VALUES (0, zeroblob(4000000))")
    bank.connection.execute("UPDATE total SET entries = entries + 1")
    result = snapshot(stage, environment=environment)
    assert result.returncode == FAILED and b"no room in" in result.stderr and b"HINT: set TMPDIR" in result.stderr, told(result)
    assert result.stdout == b"" and stage.points() == [1] and list(small_disk.iterdir()) == []
    result = snapshot(stage, environment={"TMPDIR": str(small_disk / "none")})
    assert result.returncode == FAILED and b"No such file or directory" in result.stderr, told(result)
    done(stage)
    assert entries(stage.restored()) == ROWS * 10 + 1


# ---- kill -9

class Killed:
    """Snapshots that are killed just before call number n."""

    def __init__(self, stage, killer):
        self.stage, self.killer = stage, killer

    def once(self, n, *options):
        result = snapshot(self.stage, *options, environment=self.killer.environment(n))
        assert result.returncode in (KILLED, DONE), f"before it was killed at call {n}: {told(result)}"
        return result.returncode == KILLED

    def assert_goes_on(self, n):
        done(self.stage)
        restored = self.stage.restored()
        assert_same_pages(settled(self.stage.db, self.stage.folder), restored)
        beside = set(files_beside(self.stage.db)) - {"app.db-journal", "app.db-wal", "app.db-shm",
                                                     "app.db-seawall-base-0"}   # the journal of the base, with which the next run continues
        assert beside == {"app.db", "app.db-seawall"}, f"killed at call {n}"
        assert not list(self.stage.folder.glob(".seawall-*"))
        return restored


@pytest.fixture
def killed(stage):
    return Killed(stage, Killer(stage))


@pytest.mark.parametrize("options", [(), ("--base",)])
def test_killed_anywhere_while_what_changed_is_sent(stage, killed, bank, options):
    bank.commit(20)
    done(stage)
    bank.commit()
    assert not killed.once(0, *options)
    calls, deaths = killed.killer.calls(), 0
    for n in moments(calls, 40):
        bank.commit()
        points = stage.points()
        deaths += killed.once(n, *options)
        drop(killed.assert_goes_on(n))
        assert set(points) <= set(stage.points())
    assert deaths > 0
    stage.note(f"killed at {deaths} of {calls} calls")


@pytest.mark.parametrize("mebibytes", [20, 34])
def test_killed_anywhere_while_the_first_copy_is_made(stage, killed, mebibytes):
    large_database(stage.db, mebibytes)
    app = sqlite3.connect(stage.db)
    assert app.execute("PRAGMA journal_mode=delete").fetchone() == ("delete",)
    app.close()
    assert not killed.once(0)
    calls, deaths = killed.killer.calls(), 0
    for n in moments(calls, 12):
        shutil.rmtree(stage.replica, ignore_errors=True)
        (stage.folder / "app.db-seawall").unlink(missing_ok=True)
        deaths += killed.once(n)
        drop(killed.assert_goes_on(n))
    assert deaths > 0


def test_killed_at_any_moment_while_the_application_writes(stage, killed):
    Bank(stage.db).close()
    done(stage)
    with BusyBank(stage) as app:
        deaths = 0
        for n in moments(60, 10):
            deaths += killed.once(n)
            committed = app.count()
            done(stage)
            restored = stage.restored()
            assert entries(restored) >= ROWS * committed
            drop(restored)
    assert deaths > 0
    assert_sound(stage.db)
