"""A power cut at any moment of `seawall follow`, on a disk that loses bytes and names that were not synced: what is left is a sound database with
one state of the application, and the next run goes on. Nothing says, as if it were proven, that the copy has a transaction which it lost."""
import copy
import json
import os
import random
import shutil
import sqlite3
import subprocess

import pytest

import application
from compare import drop
from disk import Disk, Luck, read_journal, write_tree
from follower import Ledgers, follow, same_as_replica, same_in_one_transaction
from seawall import BINARY, DONE, seawall, told, url_of
from waiting import PATIENCE, figure

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount another boot id")
LUCKS = ("nothing", "everything", "some", "some")


class Cuts:
    """Records one run of the follower, and looks at what a power cut at any moment of it leaves."""

    def __init__(self, stage):
        self.stage, self.root = stage, stage.folder / "disk"
        self.place, self.journal = self.root / "place", stage.folder / "journal"
        self.copy = self.place / "copy.db"
        self.app, self.chance, self.boots = Ledgers(stage.db), random.Random(5), 0
        self.place.mkdir(parents=True)
        self.ship()

    def ship(self, *options):
        result = seawall("replicate", "--once", *options, self.stage.db, url_of(self.stage.replica))
        assert result.returncode == DONE, told(result)

    def follow(self, environment=None):
        result = follow(self.copy, self.stage.replica, "--until-current", "--interval", "1ms", environment=environment)
        assert result.returncode == DONE, told(result)

    def record(self):
        """A run on a disk that loses nothing."""
        state = self.root / "none-seawall"
        for old in self.place.glob("*-shm"):
            old.unlink()
        self.disk = Disk(self.root, state)
        self.follow({"LD_PRELOAD": str(application.library("journal")), "JOURNAL": str(self.journal), "JOURNAL_BELOW": str(self.root),
                     "JOURNAL_STATE": str(state)})
        self.entries = read_journal(self.journal)
        assert self.entries

    def after_start(self, *arguments):
        """Runs a command as after a start of the machine."""
        boot = self.stage.folder / "boot_id"
        boot.write_text(f"00000000-1111-2222-3333-{self.boots:012d}\n")
        command = f'mount --bind {boot} /proc/sys/kernel/random/boot_id && exec "$@"'
        return subprocess.run(["unshare", "--mount", "sh", "-c", command, "sh", BINARY, *map(str, arguments)], capture_output=True,
                              timeout=120 * PATIENCE, check=False)

    def number(self):
        """Of the transaction that stock SQLite finds in the files, apart from them. None: there is no copy."""
        apart = self.stage.folder / "apart.db"
        drop(apart)
        if not self.copy.exists():
            return None
        for suffix in ("", "-wal"):
            if (source := self.copy.with_name(f"copy.db{suffix}")).exists():
                shutil.copy(source, f"{apart}{suffix}")
                os.chmod(f"{apart}{suffix}", 0o600)
        db = sqlite3.connect(apart, isolation_level=None)
        number = same_in_one_transaction(db, lambda: None)
        db.close()
        return number

    def look(self, case):
        self.boots += 1
        number = self.number()
        assert number is None or number <= self.app.number, case
        result = self.after_start("follow", "--status", "--json", self.copy)
        if result.returncode == DONE:
            assert not json.loads(result.stdout)["proven"], f"{case}: the status proves what a power cut may have taken"
        result = self.after_start("follow", "-o", self.copy, "--until-current", "--interval", "1ms", url_of(self.stage.replica))
        assert result.returncode == DONE, f"{case}: {told(result)}"
        status = json.loads(self.after_start("follow", "--status", "--json", self.copy).stdout)
        assert status["proven"] and status["txid"] == self.stage.last_txid(), f"{case}: {status}"
        assert same_as_replica(self.copy, self.stage.replica, self.stage.folder), case
        assert self.number() == self.app.number, case

    def cut_everywhere(self, some):
        disk, done = copy.deepcopy(self.disk), 0
        every = [(k, Luck(name, 31 * k + i)) for k in range(1, len(self.entries) + 1) for i, name in enumerate(LUCKS)]
        chosen = sorted(self.chance.sample(every, min(len(every), figure(len(every), some))), key=lambda moment: moment[0])
        for k, luck in chosen:
            for entry in self.entries[done:k]:
                disk.does(entry)
            done = k
            last = self.entries[k - 1]
            shutil.rmtree(self.place)
            tree = disk.survives(luck).get("place", {})
            tree.pop("copy.db-shm", None)   # memory: it is gone
            write_tree(self.place, tree)
            self.look(f"power cut after entry {k} of {len(self.entries)} ({last.kind} {last.path}), {luck} survives")


@pytest.fixture
def cuts(stage):
    cuts = Cuts(stage)
    yield cuts
    cuts.app.close()


def test_power_cut_while_the_first_copy_is_made(cuts):
    cuts.app.commit(5)
    cuts.ship()
    cuts.record()
    cuts.cut_everywhere(14)


def test_power_cut_while_transactions_arrive(cuts):
    cuts.follow()
    for _ in range(3):
        cuts.app.commit()
        cuts.ship()
    cuts.record()
    cuts.cut_everywhere(20)


def test_power_cut_while_the_log_is_copied_back_and_starts_again(cuts):
    cuts.follow()
    for _ in range(3):
        cuts.app.commit(1, rows=700, size=3500)   # more than MIRROR_LOG_FRAMES
        cuts.ship()
    cuts.record()
    cuts.cut_everywhere(16)
