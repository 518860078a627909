"""A folder to which other users can write. A thing that is in the place of a file of Seawall is not followed, not waited for and not
changed. And no file of Seawall can be read by a user who can't read the database."""
import os
import stat
import struct
import subprocess
import threading
from pathlib import Path

import pytest

import stranger
from compare import assert_sound
from seawall import BINARY, DONE, FAILED, USAGE, restore, seawall, told, url_of
from small import make_database, rows_of
from waiting import let_pass, wait_until

PRECIOUS = b"precious, and nobody else's business\n"


def snapshot(stage, *options):
    return seawall("snapshot", *options, stage.db, url_of(stage.replica))


# ---- things in the place of a file of Seawall

def put_link(place, victim):
    place.symlink_to(victim)


def put_link_to_nothing(place, victim):
    place.symlink_to(victim.with_name("not-there"))


def put_fifo(place, victim):
    os.mkfifo(place)


def put_second_name(place, victim):
    os.link(victim, place)


def put_folder(place, victim):
    place.mkdir()


def put_file_of_another_program(place, victim):
    place.write_bytes(PRECIOUS)


THINGS = [put_link, put_link_to_nothing, put_fifo, put_second_name, put_folder, put_file_of_another_program]


@pytest.fixture
def victim(stage):
    """A file that must not change, although a link or a second name leads to it."""
    path = stage.folder / "victim"
    path.write_bytes(PRECIOUS)
    path.chmod(0o640)
    yield path
    assert path.read_bytes() == PRECIOUS and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert not path.with_name("not-there").exists()


def kind_of(place):
    found = place.lstat()
    return found.st_ino, found.st_mode, found.st_size, found.st_uid


@pytest.fixture
def replicated(stage, victim):
    make_database(stage.db)
    result = snapshot(stage)
    assert result.returncode == DONE, told(result)
    return stage


def beside(stage, suffix):
    return Path(f"{stage.db}{suffix}")


COMMANDS = {
    "replicate": lambda stage: seawall("replicate", "--once", stage.db, url_of(stage.replica)),
    "snapshot": snapshot,
    "delta": lambda stage: restore(stage.replica, stage.db, "--delta"),
    "undo": lambda stage: seawall("restore", "--undo", "-o", stage.db),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("thing", THINGS)
def test_a_thing_in_place_of_the_state_file_is_refused_and_stays(replicated, victim, thing, command):
    stage, place = replicated, beside(replicated, "-seawall")
    assert restore(stage.replica, stage.db, "--force").returncode == DONE   # makes an undo
    place.unlink()
    thing(place, victim)
    before = kind_of(place)
    result = COMMANDS[command](stage)
    refused = result.returncode == USAGE and b"app.db-seawall' " in result.stderr and b"HINT: " in result.stderr
    never_looked = thing is put_link_to_nothing and command in ("delta", "undo") and result.returncode in (DONE, USAGE)
    assert refused or never_looked, told(result)
    assert kind_of(place) == before


@pytest.mark.parametrize("thing", THINGS)
def test_a_restore_whose_state_file_has_no_place_says_that_the_database_is_restored(replicated, victim, thing):
    stage, place = replicated, beside(replicated, "-seawall")
    place.unlink()
    thing(place, victim)
    before = kind_of(place)
    result = restore(stage.replica, stage.db, "--force")
    assert result.returncode == USAGE and b"is restored, but its state file could not be written" in result.stderr, told(result)
    assert kind_of(place) == before and rows_of(stage.db) == 1


@pytest.mark.parametrize("thing", THINGS)
def test_a_thing_in_place_of_the_journal_of_a_base_stays_and_the_base_is_written(replicated, victim, thing):
    stage = replicated
    make_database(stage.db)
    place = beside(stage, "-seawall-base-0")
    thing(place, victim)
    before = kind_of(place)
    result = snapshot(stage, "--base")
    assert result.returncode == DONE, told(result)
    assert b"will start over" in result.stderr and b"app.db-seawall-base-0" in result.stderr, told(result)
    assert kind_of(place) == before
    assert_sound(stage.restored())


@pytest.mark.parametrize("command", ["replicate", "snapshot", "delta"])
@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("thing", [put_link, put_link_to_nothing, put_fifo, put_second_name, put_folder])
def test_a_thing_in_place_of_a_file_of_sqlite_is_refused(replicated, victim, thing, suffix, command):
    stage, place = replicated, beside(replicated, suffix)
    place.unlink(missing_ok=True)
    thing(place, victim)
    before = kind_of(place)
    result = COMMANDS[command](stage)
    assert result.returncode == USAGE and f"app.db{suffix}' ".encode() in result.stderr, told(result)
    assert b"HINT: " in result.stderr and kind_of(place) == before


@pytest.mark.parametrize("thing", [put_link, put_link_to_nothing, put_fifo, put_folder])
def test_a_thing_in_place_of_the_undo_is_not_used_as_an_undo(replicated, victim, thing):
    stage, place = replicated, beside(replicated, "-seawall-undo")
    thing(place, victim)
    before = kind_of(place)
    result = COMMANDS["undo"](stage)
    assert result.returncode != DONE, told(result)
    assert kind_of(place) == before and rows_of(stage.db) == 1
    result = restore(stage.replica, stage.db, "--force")   # a new undo takes its name, and what it led to stays
    if thing is put_folder:
        assert result.returncode == FAILED and kind_of(place) == before, told(result)
    else:
        assert result.returncode == DONE and rows_of(place) == 1, told(result)


@pytest.mark.parametrize("thing", [put_link, put_fifo, put_folder])
def test_a_thing_that_is_not_a_regular_file_is_refused_as_a_database(stage, victim, thing):
    if thing is put_link:
        make_database(stage.folder / "other.db")
        (stage.folder / "link.db").symlink_to(stage.folder / "other.db")
        assert seawall("snapshot", stage.folder / "link.db", url_of(stage.replica)).returncode == DONE   # the path that was given
        target = stage.folder / "target.db"
        target.symlink_to(victim)
        assert restore(stage.replica, target, "--force").returncode == USAGE
        return
    thing(stage.db, victim)
    result = snapshot(stage)
    assert result.returncode == USAGE and b"is not a SQLite database" in result.stderr, told(result)


# ---- as root, in the folder of another user

@pytest.mark.open_to_others
@pytest.mark.skipif(not stranger.IS_ROOT, reason="only root can change files of others")
@pytest.mark.parametrize("suffix, command", [("-seawall", "replicate"), ("-seawall", "snapshot"), ("-seawall-base-0", "snapshot")])
def test_another_user_can_have_no_file_of_root_changed(stage, suffix, command):
    folder = stage.folder / "theirs"
    folder.mkdir()
    secret = stage.folder / "secret"
    secret.write_bytes(PRECIOUS)
    secret.chmod(0o600)
    db = folder / "app.db"
    make_database(db)
    for path in (folder, db):
        os.chown(path, stranger.STRANGER, stranger.STRANGER)
    place = Path(f"{db}{suffix}")
    place.symlink_to(secret)
    os.chown(place, stranger.STRANGER, stranger.STRANGER, follow_symlinks=False)
    options = ["--base"] if command == "snapshot" else ["--once"]
    seawall(command, *options, db, url_of(stage.replica))
    found = secret.stat()
    assert secret.read_bytes() == PRECIOUS and found.st_uid == 0 and stat.S_IMODE(found.st_mode) == 0o600


@pytest.mark.open_to_others
@pytest.mark.skipif(not stranger.IS_ROOT, reason="only root can give files away")
def test_files_of_root_beside_the_database_of_another_user_belong_to_that_user(stage):
    folder = stage.folder / "theirs"
    folder.mkdir()
    make_database(folder / "app.db", rows=2000)
    for path in folder.iterdir():
        os.chown(path, stranger.STRANGER, stranger.STRANGER)
    os.chown(folder, stranger.STRANGER, stranger.STRANGER)
    assert seawall("replicate", "--once", folder / "app.db", url_of(stage.replica)).returncode == DONE
    assert (folder / "app.db-seawall").stat().st_uid == stranger.STRANGER
    (stage.folder / "replica2").mkdir()
    os.chown(stage.folder / "replica2", stranger.STRANGER, stranger.STRANGER)
    result = stranger.seawall(stage.folder, "snapshot", folder / "app.db", url_of(stage.folder / "replica2"))
    assert result.returncode == DONE, told(result)   # the owner can use the state file


def swap_when_there(folder, victim, done):
    """Moves the folder of a verification away as soon as it exists, and puts a link in its place."""
    while not done.is_set():
        for name in os.listdir(folder):
            if name.startswith("seawall-verify-"):
                let_pass(0.02, "some of the restore")
                try:
                    os.rename(folder / name, folder / f"moved-{name}")
                except FileNotFoundError:
                    return
                os.symlink(victim, folder / name)
                return


def test_a_verification_whose_folder_is_swapped_removes_no_other_file(stage):
    make_database(stage.db, rows=40000)
    assert snapshot(stage).returncode == DONE
    tmp, victim, done = stage.folder / "tmp", stage.folder / "victim", threading.Event()
    tmp.mkdir()
    victim.mkdir()
    (victim / "precious").write_bytes(PRECIOUS)
    swapper = threading.Thread(target=swap_when_there, args=(tmp, victim, done))
    swapper.start()
    seawall("verify", "--restore", "--tmp", tmp, url_of(stage.replica))
    done.set()
    swapper.join()
    assert [path.name for path in victim.iterdir()] == ["precious"]
    for path in tmp.iterdir():
        assert path.is_symlink() or list(path.iterdir()) == []   # the restored database was removed


# ---- permissions of files

def modes_below(folder):
    files = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")] if path.is_dir()}
    return files, folders


@pytest.fixture
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.parametrize("mode, file, folder", [(0o600, 0o600, 0o700), (0o640, 0o640, 0o750), (0o644, 0o644, 0o755), (0o660, 0o640, 0o750)])
def test_a_replica_is_as_private_as_the_database(stage, usual_umask, mode, file, folder):
    make_database(stage.db)
    stage.db.chmod(mode)
    assert snapshot(stage).returncode == DONE
    make_database(stage.db)
    assert seawall("replicate", "--once", stage.db, url_of(stage.replica)).returncode == DONE
    assert modes_below(stage.replica) == ({file}, {folder})


def test_a_replica_of_a_database_that_appears_later_is_as_private(stage, usual_umask):
    daemon = stage.replicate(live=False)
    daemon.wait_log("waiting for the database to appear")
    ready = stage.folder / "ready.db"
    make_database(ready)
    ready.chmod(0o600)
    ready.rename(stage.db)
    wait_until(lambda: (stage.replica / "0" / "0000000000000001").exists(), 30, "an object")
    assert daemon.stop() == DONE
    assert modes_below(stage.replica) == ({0o600}, {0o700})


def test_a_replica_folder_that_others_can_read_is_named(stage, usual_umask):
    make_database(stage.db)
    stage.db.chmod(0o600)
    stage.replica.mkdir(mode=0o755)
    result = snapshot(stage)
    assert result.returncode == DONE and b"can be read by users who can't read the database" in result.stderr, told(result)
    stage.replica.chmod(0o700)
    assert b"can be read" not in snapshot(stage).stderr


@pytest.mark.parametrize("options, mode", [([], 0o600), (["--mode", "640"], 0o640), (["--mode", "0644"], 0o644)])
def test_a_restored_database_is_private_unless_told_otherwise(replicated, usual_umask, options, mode):
    target = replicated.folder / "new.db"
    result = restore(replicated.replica, target, *options)
    assert result.returncode == DONE, told(result)
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert stat.S_IMODE(Path(f"{target}-seawall").stat().st_mode) == mode


@pytest.mark.parametrize("value", ["9", "0888", "rw-", "400", "01777", "66", "-1", ""])
def test_an_invalid_mode_is_refused(replicated, value):
    result = restore(replicated.replica, replicated.folder / "new.db", "--mode", value)
    assert result.returncode == USAGE and b"--mode" in result.stderr, told(result)
    assert not (replicated.folder / "new.db").exists()


def acl():
    """user::rw- user:12345:rw- group::r-- mask::rw- other::---, as Linux keeps it"""
    entries = ((1, 6, -1), (2, 6, 12345), (4, 4, -1), (0x10, 6, -1), (0x20, 0, -1))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, rights, who & 0xffffffff) for tag, rights, who in entries)


def test_a_replaced_database_keeps_its_attributes(replicated):
    db = replicated.db
    db.chmod(0o664)
    if stranger.IS_ROOT:
        os.chown(db, stranger.STRANGER, 12)
    try:
        os.setxattr(db, "user.note", b"kept")
        os.setxattr(db, "system.posix_acl_access", acl())
    except OSError:
        pytest.skip("the file system has no extended attributes")
    before = db.stat()
    result = restore(replicated.replica, db, "--force")
    assert result.returncode == DONE and result.stderr == b"", told(result)
    after = db.stat()
    assert after.st_ino != before.st_ino
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert os.getxattr(db, "user.note") == b"kept" and os.getxattr(db, "system.posix_acl_access") == acl()


@pytest.mark.open_to_others
@pytest.mark.skipif(not stranger.IS_ROOT, reason="only root can make a file of another user")
def test_attributes_that_can_not_be_kept_are_named_and_no_other_user_can_read_the_database(stage):
    make_database(stage.db)
    assert snapshot(stage).returncode == DONE
    for path in [stage.replica, *stage.replica.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    folder = stage.folder / "theirs"
    folder.mkdir()
    target = folder / "app.db"
    make_database(target)
    target.chmod(0o666)
    os.chown(target, 0, 12)
    os.chown(folder, stranger.STRANGER, stranger.STRANGER)
    result = stranger.seawall(stage.folder, "restore", "--force", "-o", target, url_of(stage.replica))
    assert result.returncode == DONE and b"Only root can keep owner and group" in result.stderr, told(result)
    assert stat.S_IMODE(target.stat().st_mode) == 0o606 and target.stat().st_uid == stranger.STRANGER


def test_hidden_files_of_a_restore_are_private(stage, usual_umask):
    make_database(stage.db, rows=60000)
    stage.db.chmod(0o644)
    assert snapshot(stage).returncode == DONE
    restoring = subprocess.Popen([BINARY, "restore", "--force", "--integrity-check", "-o", stage.db, url_of(stage.replica)],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen = set()
    while restoring.poll() is None:
        for path in stage.folder.glob(".seawall-*.tmp"):
            try:
                seen.add((stat.S_IMODE(path.stat().st_mode), path.stat().st_ino == stage.db.stat().st_ino))
            except FileNotFoundError:
                pass
    assert restoring.returncode == DONE and seen
    assert {mode for mode, _ in seen} <= {0o600, 0o644} and (0o600, False) in seen
    assert stat.S_IMODE(stage.db.stat().st_mode) == 0o644


# ---- the longest names

@pytest.mark.parametrize("length", [234, 236, 242])
def test_a_long_name_works_everywhere(stage, length):
    make_database(stage.db)
    assert snapshot(stage).returncode == DONE
    make_database(stage.db)
    assert snapshot(stage).returncode == DONE
    target = stage.folder / ("x" * length)
    assert restore(stage.replica, target).returncode == DONE
    result = restore(stage.replica, target, "--force", "--txid", "1")
    assert result.returncode == DONE and rows_of(target) == 1, told(result)
    result = seawall("restore", "--undo", "-o", target)
    assert result.returncode == DONE and rows_of(target) == 2, told(result)
    result = restore(stage.replica, target, "--delta", "--txid", "1")
    assert result.returncode == DONE and rows_of(target) == 1, told(result)
    result = seawall("snapshot", target, url_of(stage.folder / "replica2"))
    assert result.returncode == DONE, told(result)


def test_a_name_that_is_too_long_is_refused_before_anything_is_done(stage):
    make_database(stage.db)
    assert snapshot(stage).returncode == DONE
    target = stage.folder / ("x" * 243)   # no room for the name of an undo
    result = restore(stage.replica, target)
    assert result.returncode == USAGE and b"at most 242" in result.stderr and not target.exists(), told(result)
    stage.db.rename(stage.folder / ("x" * 248))   # nor for that of a journal
    result = seawall("snapshot", stage.folder / ("x" * 248), url_of(stage.folder / "replica2"))
    assert result.returncode == USAGE and b"at most 247" in result.stderr, told(result)
    assert not (stage.folder / "replica2").exists()
