"""Each client reads a copy that `seawall follow` keeps fresh, as it reads any database: it sees the newest rows, and does not disturb the copy."""
import sqlite3

import pytest

from follower import Follower, Ledgers
from install import install
from scenario import Process
from seawall import DONE, Daemon
from table import CLIENTS
from waiting import wait_until

WRITES_BY_ITSELF = "apsw.bestpractice",   # it runs PRAGMA optimize, which writes statistics where the user may write, as root may
READERS = [client for client in CLIENTS if not client.foreign and not client.locks_alone and client.name not in WRITES_BY_ITSELF]
NUMBER = "SELECT number FROM total"


class Copy:
    """A database that is replicated, and a copy that follows."""

    def __init__(self, folder):
        self.folder, self.path = folder, folder / "copy.db"
        self.app = Ledgers(folder / "app.db")
        self.app.commit(20)
        self.daemon = Daemon(folder / "app.db", folder / "replica", folder / "daemon.log")
        self.daemon.wait_live()
        self.follower = Follower(self.path, folder / "replica", folder / "follow.log", "--interval", "50ms")
        self.wait_newest()

    def wait_newest(self):
        def is_newest():
            db = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=10)
            number = db.execute(NUMBER).fetchone()[0]
            db.close()
            return number == self.app.number
        self.follower.wait_for(self.path.exists, 30, "there is a copy")
        self.follower.wait_for(is_newest, 30, "the copy has the newest row")

    def end(self):
        self.app.close()
        assert self.follower.stop() == DONE, self.follower.log()[-2000:]
        assert self.daemon.stop() == DONE


@pytest.fixture
def copy(tmp_path):
    copy = Copy(tmp_path)
    yield copy
    copy.end()


@pytest.mark.parametrize("client", READERS, ids=lambda client: client.name)
def test_a_client_sees_the_newest_rows_of_a_followed_copy(copy, client):
    missing = install(client.kind)
    if missing:
        pytest.skip(missing)
    try:
        process = Process(client.command, copy.folder)
    except FileNotFoundError as error:
        pytest.skip(f"{error.filename} is not installed")
    try:
        opened = process.ask(f"open {copy.path}")
        if "No module" in str(opened.get("error")):
            pytest.skip(opened["error"])
        assert "error" not in opened, opened
        for _ in range(3):
            copy.app.commit(3)
            copy.wait_newest()
            assert int(process.value(NUMBER)) == copy.app.number
            assert int(process.value("SELECT sum(amount) FROM entry")) == int(process.value("SELECT amount FROM total"))
        process.do("close")
    finally:
        process.end()
    wait_until(lambda: copy.follower.running(), 1, "the follower goes on")
    copy.app.commit()
    copy.wait_newest()
