"""Files in the folder of a replica that are not its objects: commands pass over them and say so, and no link leads out of the folder."""
import json
import os
import socket

import pytest

import stranger
from seawall import DONE, listing, restore, seawall, told, url_of
from unixsocket import address_of

COMMANDS = (("list",), ("verify",), ("restore", "--dry-run"), ("prune", "--dry-run"))


@pytest.fixture
def replica(stage):
    stage.prepare()
    daemon = stage.replicate()
    stage.writer(rate=300, count=10).finish()
    assert daemon.stop() == DONE
    return stage.replica


def passed_over(count):
    return f"{count} thing{'s that are not objects' if count > 1 else ' that is not an object'} of this replica"


def assert_told(replica, count):
    """list and verify say, as text and as JSON, how many things they passed over."""
    for command in ("list", "verify"):
        result = seawall(command, url_of(replica))
        assert result.returncode == DONE and passed_over(count) in result.stdout.decode(), told(result)
        result = seawall(command, "--json", url_of(replica))
        assert result.returncode == DONE and json.loads(result.stdout)["foreign"] == count, told(result)


def test_a_thing_that_is_not_an_object_is_passed_over_and_counted(stage, replica):
    for command in ("list", "verify"):
        assert b"passed over" not in seawall(command, url_of(replica)).stdout
    outside = stage.folder / "outside"
    outside.write_bytes(next((replica / "0").iterdir()).read_bytes())
    os.mkfifo(replica / "0" / "ffffffffffffff00")
    os.mkfifo(replica / "part")
    (replica / "0" / "0fffffffffffff01").symlink_to(outside)      # the name of an object
    (replica / "0" / "0fffffffffffff02").symlink_to("nothing")
    (replica / "0" / "0fffffffffffff03").symlink_to("0fffffffffffff03")
    with socket.socket(socket.AF_UNIX) as listener:
        with address_of(replica / "socket") as address:
            listener.bind(address)
    (replica / ("x" * 200)).write_text("x")
    (replica / "notes.txt").write_text("x")
    (replica / ".hidden").write_text("x")
    assert_told(replica, 8)
    for command in COMMANDS:
        result = seawall(*command, url_of(replica))
        assert result.returncode == DONE, told(result)
    assert seawall("prune", url_of(replica)).returncode == DONE
    stage.writer(count=3).finish()
    assert stage.replicate("--once", live=False).wait() == DONE
    stage.assert_restore_equals_source()
    assert_told(replica, 8)


def test_a_linked_folder_leads_neither_a_command_nor_the_daemon_out_of_the_replica(stage, replica):
    """The objects there do not belong to this replica."""
    elsewhere = stage.folder / "elsewhere"
    (replica / "0").rename(elsewhere)
    (replica / "0").symlink_to(elsewhere)
    before = sorted(path.name for path in elsewhere.iterdir())
    result = seawall("list", "--segments", url_of(replica))
    assert result.returncode == DONE and b"0/000" not in result.stdout and passed_over(1) in result.stdout.decode(), told(result)
    target = stage.folder / "restored.db"
    result = restore(url_of(replica), target)
    assert result.returncode != DONE and not target.exists(), told(result)
    stage.writer(count=3).finish()
    daemon = stage.replicate("--take-over", live=False)
    daemon.wait_for(lambda: "symbolic link" in daemon.log(), 30, "the daemon tells why it can't put")
    daemon.kill()
    assert sorted(path.name for path in elsewhere.iterdir()) == before
    (replica / "0").unlink()
    elsewhere.rename(replica / "0")
    assert listing(replica)["foreign"] == 0
    assert stage.replicate("--once", live=False).wait() == DONE
    stage.assert_restore_equals_source()


def test_the_folder_of_the_replica_may_itself_be_a_link(stage, replica):
    link = stage.folder / "link"
    link.symlink_to(replica)
    for command in COMMANDS:
        assert seawall(*command, url_of(link)).returncode == DONE
    assert listing(link)["foreign"] == 0


@pytest.mark.open_to_others
@pytest.mark.skipif(not stranger.IS_ROOT, reason="becomes another user")
@pytest.mark.parametrize("where", [".", "0", "base", "base/BASE"])
def test_a_folder_that_only_root_may_read_is_passed_over_and_counted(stage, where):
    """For example lost+found at the root of a disk, or @eaDir, which a Synology makes in each folder."""
    stage.prepare()
    assert stage.replicate("--once", live=False).wait() == DONE
    assert seawall("snapshot", "--base", stage.db, url_of(stage.replica)).returncode == DONE
    parent = stage.replica / where.replace("BASE", next((stage.replica / "base").iterdir()).name)
    for foreign in "lost+found", "@eaDir":
        (parent / foreign).mkdir(0o700)
        (parent / foreign / "file").write_text("x")
    for path in (stage.replica, *stage.replica.rglob("*")):
        if not {"lost+found", "@eaDir"} & set(path.parts):
            os.chown(path, stranger.STRANGER, stranger.STRANGER)
    for command in ("list", "verify"):
        result = stranger.seawall(stage.folder, command, "--json", url_of(stage.replica))
        assert result.returncode == DONE and json.loads(result.stdout)["foreign"] == 2, told(result)
    assert stranger.seawall(stage.folder, "prune", "--dry-run", url_of(stage.replica)).returncode == DONE
