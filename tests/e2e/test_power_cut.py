"""Power cuts at any moment, on disks that lose bytes and names that were not synced. The next run continues, never takes its own replica for
that of another writer, and every object that the store acknowledged is whole."""
import copy
import os
import random
import shutil

import pytest

import application
from compare import assert_same_pages, copy_file, drop, settled
from damage import FIRST_MAP_ENTRY, flip
from disk import Disk, Kept, Luck, read_journal, write_in_place, write_tree
from killer import AS_A_BASE, IN_PARTS, large_database, moments, run_once
from seawall import DONE, told
from waiting import figure

LUCKS = ("nothing", "everything", "some", "some")
MANY_RUNS = 40   # the identity in the state file then takes more than one sector


class Image:
    """The database and its WAL at one moment."""

    def __init__(self, db):
        self.db, self.wal = db, db.with_name(db.name + "-wal")
        self.content, self.mtime_ns = db.read_bytes(), db.stat().st_mtime_ns
        self.wal_content = self.wal.read_bytes() if self.wal.exists() else None


class PowerCuts:
    """Records one run of the daemon, and starts a next run after a power cut at any moment of it."""

    def __init__(self, stage):
        self.stage, self.root = stage, stage.folder / "disk"
        self.state, self.backup = self.root / "app.db-seawall", self.root / "backup"
        self.journal, self.source = stage.folder / "journal", stage.folder / "source.db"
        self.chance = random.Random(2)

    def run(self):
        """Records a run on a disk that loses nothing. Returns the log."""
        self.points = self.stage.points() if self.stage.replica.exists() else []
        self.disk = Disk(self.root, self.state)
        said = self.run_on(copy.deepcopy(self.disk))
        copy_file(settled(self.stage.db, self.stage.folder), self.source)
        return said

    def run_on(self, disk):
        stage = self.stage
        self.before = Image(stage.db)
        result = run_once(stage, {"LD_PRELOAD": str(application.library("journal")), "JOURNAL": str(self.journal),
                                  "JOURNAL_BELOW": str(self.root), "JOURNAL_STATE": str(self.state)})
        assert result.returncode == DONE, told(result)
        self.disk, self.entries, self.after = disk, read_journal(self.journal), Image(stage.db)
        self.state_file = Kept(self.state, stage.folder)
        return result.stderr.decode()

    def run_again_after_a_kill(self, k):
        """A kill loses nothing and syncs nothing: the next run finds all changes of the first k entries."""
        disk, entries = copy.deepcopy(self.disk), self.entries
        for entry in entries[:k]:
            disk.does(entry)
        self.put_disk(disk.survives(Luck("everything")))
        self.put_database(disk.database_changed)
        disk.is_taken_over()
        again = copy.copy(self)
        again.run_on(disk)
        return again

    def moments(self, some, lucks, among):
        """[(number of entries that are done, luck), ...]. At full scale these are all; the end of the run is always among them."""
        every = [(k, Luck(name, 31 * k + i)) for k in among or range(1, len(self.entries) + 1) for i, name in enumerate(lucks)]
        chosen = self.chance.sample(every, min(len(every), figure(len(every), some)))
        return sorted(chosen, key=lambda moment: moment[0]) + [(len(self.entries), Luck("nothing"))]

    def put_database(self, database_changed):
        """Puts the database as it was before the run. If the checkpoint of the run has begun, it may be as after the run, with or without
        the old WAL."""
        stage = self.stage
        image = self.chance.choice((self.before, self.after)) if database_changed else self.before
        wal = self.chance.choice((self.before, self.after)) if image is self.after else self.before
        for suffix in ("-wal", "-shm"):
            stage.db.with_name(stage.db.name + suffix).unlink(missing_ok=True)
        write_in_place(stage.db, image.content)
        os.utime(stage.db, ns=(image.mtime_ns, image.mtime_ns))
        if wal.wal_content is not None:
            wal.wal.write_bytes(wal.wal_content)

    def put_disk(self, tree):
        self.state_file.put(tree.get(self.state.name))
        shutil.rmtree(self.backup, ignore_errors=True)
        if self.backup.name in tree:
            write_tree(self.backup, tree[self.backup.name])

    def assert_replica_is_the_source(self):
        restored = self.stage.restored()
        assert_same_pages(self.source, restored)
        drop(restored)

    def assert_goes_on(self, disk, luck, case, ended):
        stage = self.stage
        self.put_disk(disk.survives(luck))
        self.put_database(disk.database_changed)
        if ended:   # the run had ended with exit code 0: nothing may be missing
            self.assert_replica_is_the_source()
        for key, content in disk.told.items():
            path = self.root / key
            assert path.exists() and path.read_bytes() == content, f"{case}: {key} was acknowledged and is lost"
        result = run_once(stage)
        assert result.returncode == DONE, f"{case}: {told(result)}"
        assert set(self.points) <= set(stage.points()), case
        self.assert_replica_is_the_source()
        for key, content in disk.told.items():
            assert (self.root / key).read_bytes() == content, f"{case}: {key} was changed"

    def cut_everywhere(self, some, lucks=LUCKS, among=None):
        disk, done = copy.deepcopy(self.disk), 0
        for k, luck in self.moments(some, lucks, among):
            for entry in self.entries[done:k]:
                disk.does(entry)
            done = k
            last = self.entries[k - 1]
            case = f"power cut after entry {k} of {len(self.entries)} ({last.kind} {last.path}), {luck} survives"
            self.assert_goes_on(disk, luck, case, k == len(self.entries))


@pytest.fixture
def cuts(stage):
    cuts = PowerCuts(stage)
    cuts.root.mkdir()
    stage.db, stage.replica, stage.wal = cuts.root / "app.db", cuts.backup / "replica", cuts.root / "app.db-wal"
    return cuts


def closed_database(stage):
    stage.prepare()
    stage.writer(count=20).finish()


def test_power_cut_during_the_first_copy(stage, cuts):
    closed_database(stage)
    assert "the replica is empty" in cuts.run()
    cuts.cut_everywhere(70)


def commits_in_the_wal(stage):
    """Daemon and application were killed. The WAL has commits that are not shipped."""
    stage.prepare()
    stage.writer(count=1, linger=True).report()
    daemon = stage.replicate("--rest-after", "60m")
    stage.writer(count=3, linger=True).report()
    daemon.wait_for(lambda: stage.last_txid() >= 4, 10, "commits are shipped out of the WAL")
    daemon.kill()
    stage.writer(count=5, linger=True).report()
    for writer in stage.writers:
        writer.kill()


def test_power_cut_while_commits_are_shipped(stage, cuts):
    commits_in_the_wal(stage)
    assert "compared all pages" not in cuts.run(), "the daemon did not continue from its position: nothing was tested"
    cuts.cut_everywhere(70)


@pytest.mark.parametrize("prepare", [closed_database, commits_in_the_wal])
def test_power_cut_during_the_run_after_one_that_was_killed(stage, cuts, prepare):
    prepare(stage)
    cuts.run()
    for k in moments(len(cuts.entries), 10):
        cuts.run_again_after_a_kill(k).cut_everywhere(8, lucks=("nothing", "some"))


def torn_map(stage, runs):
    """Makes a history of so many runs, and damages the map in the state file."""
    stage.prepare()
    for _ in range(runs):
        stage.writer(count=1).finish()
        assert run_once(stage).returncode == DONE
    stage.writer(count=3).finish()
    flip(f"{stage.db}-seawall", FIRST_MAP_ENTRY + 3)


def test_power_cut_while_the_replica_is_compared(stage, cuts):
    torn_map(stage, 2)
    assert "was left at txid" in cuts.run()
    cuts.cut_everywhere(70)


def test_power_cut_that_tears_an_identity_of_several_sectors(stage, cuts):
    torn_map(stage, MANY_RUNS)
    cuts.run()
    after_puts = range(next(k for k, entry in enumerate(cuts.entries) if entry.kind == "link"), len(cuts.entries))
    cuts.cut_everywhere(50, lucks=("some",) * 12, among=after_puts)
    cuts.run_again_after_a_kill(len(cuts.entries)).cut_everywhere(50, lucks=("some",) * 12)


@pytest.mark.parametrize("mebibytes, says", [(IN_PARTS, "up to date at txid 1"), (AS_A_BASE, "the base is complete")])
def test_power_cut_during_the_first_copy_of_a_large_database(stage, cuts, mebibytes, says):
    large_database(stage.db, mebibytes)
    assert says in cuts.run()
    cuts.cut_everywhere(24)
