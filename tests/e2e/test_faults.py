"""Disks that fail, hang or vanish, and damage: each restore point is a state that the database had, and a replica that can be written to
continues."""
import shutil
import signal
import sqlite3

from compare import assert_sound, content_of, copy_file, drop
from control import assert_synced, wait_control
from damage import FIRST_MAP_ENTRY, flip
from ledger import TABLE, insert
from seawall import DONE, TIMED_OUT, last_txid, level_zero, objects, restore
from walindex import freeze


def assert_only_states_that_were(stage, ledger):
    """Each restore point is a state of the ledger, in the order of the commits, and the newest one equals the database."""
    ledger.close()
    at = 0
    for txid in stage.points():
        restored = stage.restored(txid)
        assert_sound(restored)
        state = content_of(restored)
        assert state in ledger.states[at:], f"txid {txid} is not a state that the application committed"
        at = ledger.states.index(state, at)
        drop(restored)
    stage.assert_restore_equals_source()


def start_with_record(stage, faults):
    """Starts a daemon, and a record of every state from then on."""
    app = stage.ledger()
    app.commit(TABLE, insert(1))
    return app, faults.replicate()


def test_a_commit_whose_capture_failed_half_way_is_restored_whole_or_not_at_all(stage, faults):
    app, daemon = start_with_record(stage, faults)
    faults.on("read-fails", "*/app.db-wal")
    app.commit(insert(300, 3900))
    daemon.wait_for(lambda: faults.met("read-fails"), 10, "a read of the WAL failed")
    stage.wait_newest_state(app, daemon)
    app.commit(insert(1))
    stage.wait_newest_state(app, daemon)
    assert daemon.stop() == DONE
    assert_only_states_that_were(stage, app)


def test_a_full_disk_for_the_state_file_leaves_no_half_commit_behind(stage, faults):
    app, daemon = start_with_record(stage, faults)
    faults.on("disk-full", "*/app.db-seawall")
    app.commit(insert(5000, 3900))
    daemon.wait_for(lambda: faults.met("disk-full"), 10, "the state file could not grow")
    assert daemon.running()
    faults.off("disk-full")
    stage.wait_newest_state(app, daemon)
    app.commit(insert(1))
    stage.wait_newest_state(app, daemon)
    assert daemon.stop() == DONE
    assert_only_states_that_were(stage, app)


def test_good_commits_are_shipped_without_the_half_one_behind_them(stage, faults):
    app, daemon = start_with_record(stage, faults)
    freeze(daemon)
    faults.on("read-fails", "*/app.db-wal")
    for _ in range(5):
        app.commit(insert(1, 10))
    app.commit(insert(300, 3900))
    daemon.send(signal.SIGCONT)
    daemon.wait_for(lambda: faults.met("read-fails"), 10, "a read of the WAL failed")
    stage.wait_newest_state(app, daemon)
    assert daemon.stop() == DONE
    assert_only_states_that_were(stage, app)


def test_a_damaged_history_is_left_behind_and_the_replica_goes_on(stage):
    app = stage.ledger()
    app.commit(TABLE)
    daemon = stage.replicate()
    for _ in range(5):
        before = len(level_zero(stage.replica))
        app.commit(insert(1))
        daemon.wait_for(lambda: len(level_zero(stage.replica)) > before, 10, "the commit is an object of its own")
    assert daemon.stop() == DONE
    flip(stage.replica / "0" / level_zero(stage.replica)[1], -20)
    flip(f"{stage.db}-seawall", FIRST_MAP_ENTRY + 3)   # with a damaged map the replica must say which pages it has
    daemon = stage.replicate(live=False)
    for _ in range(3):
        app.commit(insert(1))
    daemon.wait_for(lambda: newest_is(stage.replica, stage, app), 20, "what is committed now can be restored")
    daemon.wait_log("was left at txid")   # otherwise the state file was enough, and nothing was tested
    assert daemon.stop() == DONE
    app.close()
    stage.assert_restore_equals_source()


def newest_is(replica, stage, app):
    """Whether this replica restores, and gives the state of the application."""
    target = stage.folder / "newest.db"
    drop(target)
    return restore(replica, target).returncode == DONE and content_of(target) == app.states[-1]


def test_a_replica_that_hangs_holds_up_neither_the_other_nor_a_stop(stage, faults):
    app = stage.ledger()
    app.commit(TABLE)
    good, hung = stage.folder / "good", stage.folder / "hung"
    daemon = faults.replicate_to([good, hung], "--max-pending", "1M", "--stop-timeout", "1s")
    for replica in (good, hung):
        daemon.wait_for(lambda: last_txid(replica) >= 1, 10, "both replicas are live")
    faults.on("link-hangs", f"{hung}/*")
    for _ in range(12):
        app.commit(insert(1, 500_000))
    daemon.wait_for(lambda: faults.met("link-hangs"), 10, "a replica hangs")
    daemon.wait_for(lambda: newest_is(good, stage, app), 15, "the other replica has all commits")
    app.commit(insert(1))
    daemon.wait_for(lambda: newest_is(good, stage, app), 3, "the other replica goes on")
    code = daemon.stop(seconds=10)
    assert code not in (DONE, -signal.SIGTERM), "the exit code says that all is durable"
    assert last_txid(hung) < last_txid(good)


def test_a_disk_that_was_unmounted_is_not_replaced_by_its_mount_point(stage):
    mount, disk = stage.folder / "mount", stage.folder / "disk"
    stage.replica = mount / "replica"
    stage.replica.mkdir(parents=True)
    app = stage.ledger()
    app.commit(TABLE)
    daemon = stage.replicate("--stop-timeout", "1s")
    app.commit(insert(3))
    stage.wait_newest_state(app, daemon)
    mount.rename(disk)
    mount.mkdir()
    for _ in range(3):
        app.commit(insert(1))
    daemon.wait_for(lambda: "is the disk mounted?" in daemon.log(), 10, "the disk is missed")
    assert daemon.stop() != DONE, "the exit code says that all is durable"
    assert list(mount.iterdir()) == [], "something was written to the bare mount point"
    mount.rmdir()
    disk.rename(mount)
    daemon = stage.replicate()
    app.commit(insert(1))
    stage.wait_newest_state(app, daemon)
    assert daemon.stop() == DONE
    app.close()
    stage.assert_restore_equals_source()


def test_a_disk_that_is_not_mounted_at_a_start_is_waited_for(stage):
    mount, disk = stage.folder / "mount", stage.folder / "disk"
    stage.replica = mount / "replica"
    stage.replica.mkdir(parents=True)
    app = stage.ledger()
    app.commit(TABLE)
    daemon = stage.replicate()
    app.commit(insert(3))
    stage.wait_newest_state(app, daemon)
    assert daemon.stop() == DONE
    mount.rename(disk)
    mount.mkdir()
    daemon = stage.replicate("--stop-timeout", "1s", live=False)
    app.commit(insert(1))
    daemon.wait_for(lambda: "is the disk mounted?" in daemon.log(), 10, "the disk is missed")
    assert objects(stage.replica) == [], "something was written to the bare mount point"
    stage.replica.rmdir()
    mount.rmdir()
    disk.rename(mount)
    stage.wait_newest_state(app, daemon)
    assert daemon.stop() == DONE
    app.close()
    stage.assert_restore_equals_source()


def test_a_replica_whose_folder_is_empty_at_the_start_is_begun_again_only_with_take_over(stage):
    """It may be the mount point of a disk that is not mounted."""
    app = stage.ledger()
    app.commit(TABLE)
    daemon = stage.replicate()
    app.commit(insert(3))
    stage.wait_newest_state(app, daemon)
    assert daemon.stop() == DONE
    for path in stage.replica.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    daemon = stage.replicate("--stop-timeout", "1s", live=False)
    app.commit(insert(1))
    daemon.wait_for(lambda: "and now it holds no replica" in daemon.log(), 10, "the objects are missed")
    assert "HINT: is the disk mounted? To begin the replica again there, start the daemon once with --take-over" in daemon.log()
    assert objects(stage.replica) == []
    assert daemon.stop() != DONE
    daemon = stage.replicate("--take-over")
    assert daemon.stop() == DONE
    app.close()
    stage.assert_restore_equals_source()


def database(path, page_size, megabytes):
    """Makes a database of about that size, and closes it."""
    app = sqlite3.connect(path, isolation_level=None)
    for statement in (f"PRAGMA page_size={page_size}", "PRAGMA journal_mode=wal", TABLE, insert(megabytes * 10, 100_000)):
        app.execute(statement).fetchall()
    app.close()


def test_a_database_of_another_page_size_takes_over_in_the_middle_of_a_catch_up(stage, faults):
    other = stage.folder / "other.db"
    database(stage.db, 4096, 24)
    database(other, 8192, 20)
    faults.on("link-hangs", f"{stage.replica}/*/*")
    daemon = faults.replicate(live=False)
    daemon.wait_for(lambda: faults.met("link-hangs"), 10, "a part of the catch-up is being put")
    for suffix in ("-wal", "-shm"):
        stage.db.with_name(stage.db.name + suffix).unlink(missing_ok=True)
    other.rename(stage.db)
    daemon.wait_for(lambda: "opening them again" in daemon.log(), 10, "the other database is noticed")
    faults.off("link-hangs")
    daemon.wait_for(stage.restores_source, 20, "the replica has the other database")
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()


def test_a_base_is_completed_beside_large_commits_that_never_pause(stage):
    """The application makes a large commit for each chunk that is put. The base must not start over."""
    database(stage.db, 4096, 100)
    app = sqlite3.connect(stage.db, isolation_level=None, timeout=20)
    app.execute("CREATE TABLE large(id INTEGER PRIMARY KEY, payload BLOB)")
    daemon = stage.replicate(live=False)
    chunks, commits = 0, 0

    def complete():
        nonlocal chunks, commits
        if chunks_of(stage.replica) > chunks or commits == 0:
            app.execute("INSERT OR REPLACE INTO large VALUES(?, randomblob(16000000))", (commits % 2,))
            chunks, commits = chunks_of(stage.replica), commits + 1
        return "the base is complete" in daemon.log()
    daemon.wait_for(complete, 40, "the base is complete")
    app.close()
    stage.note(f"a base of {chunks} chunks was completed beside {commits} commits of 16 MB")
    assert daemon.log().count("writing a base") == 1, daemon.log()
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()


def chunks_of(replica):
    return sum(key.startswith("base/") for key in objects(replica))


def test_a_replica_that_attaches_while_another_is_compared_is_compared_itself(stage, faults):
    database(stage.db, 4096, 3)
    app = sqlite3.connect(stage.db, isolation_level=None, timeout=20)
    state, saved = f"{stage.db}-seawall", stage.folder / "saved-state"
    a, b = stage.folder / "A", stage.folder / "B"

    def change(first, last):
        for i in range(first, last):
            app.execute("UPDATE big SET payload = randomblob(3000) WHERE id = ?", (i,))

    def wait_txid(replica, txid):
        daemon.wait_for(lambda: last_txid(replica) >= txid, 20, f"{replica.name} is at txid {txid}")

    daemon = faults.replicate_to([a, b])
    for replica in (a, b):
        wait_txid(replica, 1)
    change(1, 6)
    for replica in (a, b):
        wait_txid(replica, 6)
    daemon.wait_for(lambda: stage.wal_bytes() == 0, 10, "the state is at rest")
    copy_file(state, saved)
    faults.on("open-fails", f"{a}/*")
    change(6, 16)
    wait_txid(b, 16)
    daemon.wait_for(lambda: stage.wal_bytes() == 0, 10, "the state is at rest")
    daemon.kill()
    copy_file(saved, state)   # a power cut: the state file is older than the replicas

    faults.off("open-fails")
    faults.on("open-fails", f"{b}/*")
    faults.on("read-hangs", "*/app.db")
    daemon = faults.replicate_to([a, b])
    daemon.wait_for(lambda: faults.met("read-hangs"), 10, "the pages are being compared")
    daemon.wait_for(lambda: f"{a}': " in daemon.log() and f"{b}': " in daemon.log(), 10, "one replica is attached, the other is away")
    faults.off("open-fails")
    daemon.wait_for(lambda: f"{b}': reachable again" in daemon.log(), 10, "the other one is attached meanwhile")
    faults.off("read-hangs")
    change(16, 21)
    app.close()
    assert daemon.stop() == DONE, daemon.log()
    for stage.replica in (a, b):
        stage.assert_restore_equals_source()


def test_a_stop_with_nothing_left_to_put_does_not_wait_for_a_store_that_is_away(stage):
    """It can't be asked whether it still has everything, so the exit code is not 0. With a stop-timeout of 10 minutes."""
    app = stage.ledger()
    app.commit(TABLE)
    daemon = wait_control(stage.replicate("--stop-timeout", "10m"))
    app.commit(insert(3))
    assert_synced(stage.db)
    app.close()
    away = stage.replica.rename(stage.folder / "away")
    assert daemon.stop() == TIMED_OUT, daemon.log()
    assert "everything was put, but it is not known whether the replica still has it: " in daemon.log()
    away.rename(stage.replica)
    stage.assert_restore_equals_source()
