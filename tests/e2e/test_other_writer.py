"""A conflict says who the other writer is: its host, its database, and since when."""
import hashlib
import json
import re
import socket

import pytest

from control import status, wait_control
from plain import assert_plain
from seawall import DONE, OTHER_WRITER, listing, objects, seawall, told, url_of

HOST = socket.gethostname()


def conflict(stage, *options, db=None):
    """Another database gets the same replica; gives what the daemon says."""
    other = db or stage.folder / "other.db"
    if not other.exists():
        stage.prepare(db=other)
    result = seawall("replicate", "--once", *options, other, url_of(stage.replica))
    assert result.returncode == OTHER_WRITER, told(result)
    assert_plain(result.stderr)
    return result.stderr.decode()


def once(stage, *options, db=None):
    result = seawall("replicate", "--once", *options, db or stage.db, url_of(stage.replica))
    assert result.returncode == DONE, told(result)


def test_the_writer_that_made_the_replica_is_named_without_one_more_object(stage):
    stage.prepare()
    once(stage)
    assert objects(stage.replica) == ["0/0000000000000001", "seawall.json"]
    assert "at 20" in conflict(stage) and f": host '{HOST}', database '{stage.db}', since 20" in conflict(stage)
    snapshot = seawall("snapshot", stage.folder / "other.db", url_of(stage.replica))
    assert snapshot.returncode == OTHER_WRITER and f"database '{stage.db}'".encode() in snapshot.stderr, told(snapshot)


def test_a_writer_that_takes_over_is_named_and_replaces_the_note_of_the_one_before(stage):
    stage.prepare()
    once(stage)
    heirs = [stage.folder / f"heir-{n}.db" for n in range(2)]
    for heir in heirs:
        stage.prepare(db=heir)
        once(stage, "--take-over", db=heir)
        assert f"database '{heir}', since 20" in conflict(stage)
        before = objects(stage.replica)
        once(stage, db=heir)   # a restart puts nothing
        assert objects(stage.replica) == before
    assert len([key for key in objects(stage.replica) if key.startswith("writer/")]) == 1
    assert listing(stage.replica)["foreign"] == 0
    for command in (("verify", "--full"), ("prune", "--dry-run")):
        result = seawall(*command, url_of(stage.replica))
        assert result.returncode == DONE, told(result)


def test_names_can_be_hidden(stage):
    stage.prepare()
    once(stage, "--hide-writer", "yes")
    text = (stage.replica / "seawall.json").read_text()
    assert HOST not in text and "app.db" not in text
    host, path = (hashlib.sha256(name.encode()).hexdigest()[:16] for name in (HOST, str(stage.db)))
    assert f": host with hash {host}, database with hash {path}, since 20" in conflict(stage)


@pytest.mark.parametrize("damage", ["no note", "not text", "of another"])
def test_without_a_note_the_conflict_says_what_it_knows(stage, damage):
    stage.prepare()
    once(stage)
    path = stage.replica / "seawall.json"
    identity = json.loads(path.read_text())
    if damage == "no note":
        identity = {key: value for key, value in identity.items() if key in ("format", "database", "encryption", "created")}
    elif damage == "not text":
        identity["host"] = 7
    else:
        identity["writer"] = "00" * 16
    path.write_text(json.dumps(identity))
    said = conflict(stage)
    assert "belongs to another writer (" in said and "host '" not in said
    stage.writer(count=1).finish()
    once(stage)   # the writer goes on, and is named from now on
    assert f"database '{stage.db}', since 20" in conflict(stage)


def test_control_characters_in_names_do_not_reach_the_terminal(stage):
    stage.db = stage.folder / "a\x1b[31m\nb.db"
    stage.prepare()
    once(stage)
    assert "b.db', since 20" in conflict(stage)


def test_a_path_that_is_too_long_is_cut_and_the_replica_stays_readable(stage):
    stage.db = stage.folder / ("\x01" * 150) / ("\x02" * 100) / "app.db"
    stage.db.parent.mkdir(parents=True)
    stage.prepare()
    once(stage)
    assert (stage.replica / "seawall.json").stat().st_size <= 4096
    assert listing(stage.replica)["last_txid"] == 1


@pytest.mark.parametrize("hidden", ["no", "yes"])
def test_status_has_the_other_writer_of_a_conflict(stage, hidden):
    theirs, other = stage.folder / "theirs", stage.folder / "other.db"
    stage.prepare()
    stage.prepare(db=other)
    result = seawall("replicate", "--once", "--hide-writer", hidden, other, url_of(theirs))
    assert result.returncode == DONE, told(result)
    daemon = wait_control(stage.replicate(also=[theirs]))
    daemon.wait_log("given up, the others go on")
    ours, found = status(stage.db)["replicas"]
    names = (HOST, str(other))
    if hidden == "yes":
        names = tuple(hashlib.sha256(name.encode()).hexdigest()[:16] for name in names)
    writer = found["conflict"]
    assert found["condition"] == "conflict" and (writer["host"], writer["path"], writer["hashed"]) == (*names, hidden == "yes")
    assert writer["since"].startswith("20") and writer["time"].startswith("20") and re.fullmatch("[0-9a-f]{32}", writer["writer"])
    assert (writer["first_txid"], writer["last_txid"]) == (1, 1)
    assert ours["conflict"] is None
    assert daemon.stop() == OTHER_WRITER
