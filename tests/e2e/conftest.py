"""End-to-end tests: the real program, real applications, real files. Run them with

    make && /usr/bin/python3 -m pytest tests/e2e

SEAWALL=PATH              the program to test (build/seawall)
SEAWALL_FULL=1            full durations, counts and sizes; without it they are short
SEAWALL_TEST_SCALE=X      multiplies the short ones (1)
SEAWALL_TEST_PATIENCE=X   multiplies deadlines, for sanitizers and slow machines (1)
SEAWALL_TEST_SERVER=NAME  the S3 server of test_s3_servers.py: rgw (the default), swift, versitygw, ...

Each test works in build/tests/e2e/<module>/<name>. If the test fails, that folder stays, with the log of the daemon.
"""
import itertools
import os
import re
import shutil

import pytest

pytest.register_assert_rewrite(*("application background bank branches bucket compare control disk failing faults fleet idle killer ledger load s3 seawall walindex".split()))

import application
import bucket
import stranger
from application import Writer, check
from bucket import Bucket
from control import control_folder
from fleet import Fleet, make_database
from compare import assert_same_pages, assert_sound, content_of, drop, settled
from faults import Faults
from idle import assert_idle
from ledger import Ledger
from s3 import Place, Server
from seawall import BINARY, DONE, Daemon, last_txid, restore, restore_points, told
from waiting import wait_until


NOTES = pytest.StashKey[list]()
STAGE = pytest.StashKey[object]()


class Stage:
    """One database, one replica, and their processes, which end with the test."""

    def __init__(self, folder, notes):
        self.folder, self.notes = folder, notes
        self.db, self.replica = folder / "app.db", folder / "replica"
        self.wal = folder / "app.db-wal"
        self.daemons, self.writers, self.ledgers = [], [], []
        self.numbers = itertools.count(1)
        self.once_options = ()   # options of `replicate --once` in killer.py

    def replicate(self, *options, db=None, replica=None, live=True, **more):
        log = self.folder / f"seawall-{len(self.daemons) + 1}.log"
        daemon = Daemon(db or self.db, replica or self.replica, log, *options, **more)
        self.daemons.append(daemon)
        if live:
            daemon.wait_live()
            for ledger in self.ledgers:
                ledger.start_over()
        return daemon

    def writer(self, db=None, **options):
        writer = Writer(db or self.db, self.folder, f"writer-{len(self.writers) + 1}", **options)
        self.writers.append(writer)
        return writer

    def prepare(self, **options):
        """Makes the database, with the tables of the writer."""
        return self.writer(count=0, **options).finish()

    def ledger(self, *setup, db=None):
        ledger = Ledger(db or self.db, setup)
        self.ledgers.append(ledger)
        return ledger

    def restored(self, txid=None, *options):
        """Restores `txid`, or the newest point, into a new file. Returns its path."""
        target = self.folder / f"restored-{next(self.numbers)}.db"
        result = restore(self.replica, target, *options, *(("--txid", txid) if txid is not None else ()))
        assert result.returncode == DONE, f"restore of txid {txid}: {told(result)}"
        return target

    def last_txid(self):
        return last_txid(self.replica)

    def points(self):
        return restore_points(self.replica)

    def wal_bytes(self):
        return self.wal.stat().st_size if self.wal.exists() else 0

    def longest_wal_while(self, condition, seconds=600):
        """The largest size of the WAL file at any look while `condition()` holds."""
        sizes = [self.wal_bytes()]
        wait_until(lambda: sizes.append(self.wal_bytes()) or not condition(), seconds, "the end of the load")
        return max(sizes)

    def restores_source(self):
        """Whether the newest state of the replica equals the database, page by page. A test can wait for it."""
        target = self.folder / "newest.db"
        drop(target)
        if restore(self.replica, target).returncode != DONE:
            return False
        try:
            assert_same_pages(settled(self.db, self.folder), target)
        except AssertionError:
            return False
        return True

    def wait_newest_state(self, app, daemon):
        """Waits until the newest restore point equals the state of the application, a Ledger."""
        def is_newest():
            restored = self.restored()
            state = content_of(restored)
            drop(restored)
            return state == app.states[-1]
        daemon.wait_for(is_newest, 20, "the newest restore point is the newest state")

    def commit_up_to(self, last):
        """The writer starts, commits up to transaction `last`, and ends."""
        before = check(self.db) if self.db.exists() and self.db.stat().st_size else 0
        assert self.writer(count=last - before, busy_timeout=10000).finish()["last"] == last

    def remove_files(self, *suffixes):
        """Removes files of the database: "" is the database itself, "-wal" its WAL."""
        for suffix in suffixes:
            self.db.with_name(self.db.name + suffix).unlink(missing_ok=True)

    def assert_restore_equals_source(self):
        """The newest state of the replica equals the database, page by page. No process may write to the database."""
        restored = self.restored()
        assert_same_pages(settled(self.db, self.folder), restored)
        assert_sound(restored)
        return restored

    def assert_ledger_restores(self, ledger, daemon):
        """Each transaction of the ledger is a restore point, and a restore of it gives the content that the ledger recorded."""
        assert daemon.stop() == DONE
        ledger.close()
        last = self.last_txid()
        first = last - len(ledger.states) + 1
        assert set(range(first, last + 1)) <= set(self.points())
        for txid, state in zip(range(first, last + 1), ledger.states):
            restored = self.restored(txid)
            assert content_of(restored) == state, f"txid {txid} does not restore to the state that the application committed"
            assert_sound(restored)
            drop(restored)
        self.assert_restore_equals_source()

    def note(self, text):
        """Adds a figure that is printed at the end of the run."""
        self.notes.append(text)

    def end(self, look_for_idle):
        """Ends the applications, then the daemons. With `look_for_idle` it checks in between that the daemons use no CPU."""
        for ledger in self.ledgers:
            ledger.close()
        for writer in self.writers:
            writer.kill()
        try:
            for daemon in self.daemons if look_for_idle else ():
                assert_idle(daemon)
        finally:
            for daemon in self.daemons:
                daemon.kill()

    def logs(self):
        for daemon in self.daemons:
            text = daemon.log_path.read_text(errors="replace")
            yield daemon.log_path.name, text if len(text) < 8000 else f"{text[:2000]}\n[...]\n{text[-6000:]}"
        for writer in self.writers:
            yield writer.output.name, writer.log()


@pytest.fixture(scope="session", autouse=True)
def programs():
    if not BINARY.exists():
        pytest.exit(f"{BINARY} is missing: run make first, or name the program in SEAWALL", returncode=2)
    application.build()
    os.environ["SEAWALL_CONTROL"] = str(application.BUILD / "e2e" / "control")   # sockets stay in the folder of the tests
    control_folder().mkdir(mode=0o700, parents=True, exist_ok=True)


@pytest.fixture
def stage(request):
    module = request.node.module.__name__.removeprefix("test_")
    folder = application.BUILD / "e2e" / module / re.sub(r"\W+", "-", request.node.name).strip("-")
    shutil.rmtree(folder, ignore_errors=True)
    if request.node.get_closest_marker("open_to_others"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder = stranger.new_folder(folder.name[:40], folder.parent)
    else:
        folder.mkdir(parents=True)
    stage = Stage(folder, request.config.stash[NOTES])
    request.node.stash[STAGE] = stage
    yield stage
    stage.end(look_for_idle=not request.node.stash.get(FAILED_KEY, False) and not request.node.get_closest_marker("busy_at_the_end"))
    if not request.node.stash.get(FAILED_KEY, False):
        shutil.rmtree(folder)


@pytest.fixture
def fleet(stage):
    """Starts daemons of many databases, which end with the test. Databases that are missing are made."""
    def start(names, *options, **more):
        for name in names:
            if not (stage.folder / f"{name}.db").exists():
                make_database(stage.folder / f"{name}.db")
        daemon = Fleet(stage.folder, names, *options, **more)
        stage.daemons.append(daemon)
        return daemon
    return start


@pytest.fixture
def faults(stage):
    return Faults(stage)


@pytest.fixture(scope="module")
def server():
    """One S3 server for all tests of a module. The fixture `s3` empties it."""
    with bucket.new_server() as server:
        yield server


@pytest.fixture
def s3(stage, server, monkeypatch):
    """The replica of the stage is in S3, and the environment has the keys to it."""
    server.reset()
    bucket.plain_environment(monkeypatch, stage.folder)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", bucket.ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", bucket.SECRET)
    s3 = Bucket(server, stage.folder)
    stage.replica = s3.url()
    yield s3
    server.no_faults()
    assert server.complaints == [], "the client did what no client should do"


@pytest.fixture(scope="session")
def s3_server():
    """A server of another project. It is started for the first test that uses it."""
    server = Server(application.BUILD)
    yield server
    server.stop()


@pytest.fixture
def place(stage, s3_server, monkeypatch):
    """The replica of the stage is a prefix of its own in the bucket of the server. The environment has the credentials."""
    at = Place(stage, s3_server)
    for name in at.strange_variables():
        monkeypatch.delenv(name)
    for name, value in at.environment().items():
        monkeypatch.setenv(name, value)
    yield at
    s3_server.restore_service()


FAILED_KEY = pytest.StashKey[bool]()


def pytest_configure(config):
    config.stash[NOTES] = []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        item.stash[FAILED_KEY] = True
        stage = item.stash.get(STAGE, None)
        for name, text in stage.logs() if stage and call.when == "call" else ():
            report.sections.append((name, text))


def pytest_terminal_summary(terminalreporter, config):
    if config.stash[NOTES]:
        terminalreporter.section("figures")
        for note in config.stash[NOTES]:
            terminalreporter.write_line(note)
