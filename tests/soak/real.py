#!/usr/bin/env python3
"""Real daemons, real writers and real faults, for SECONDS: several databases, each with a daemon and a writer of another kind. One fault comes
after the other: kill -9, SIGSTOP, a store that is away, a full disk, objects that are lost, files that are replaced, a state file that is
gone. After each one `seawall sync` must succeed, and what it calls durable must be in a restore, which must be sound and exactly the state
after one of the writer's transactions.

    real.py [--seconds 3600] [--seed N] [--databases 3]

The folder build/tests/soak stays below a gigabyte: retention is short, and a database that has grown begins again. Exits with 1 at the first
problem, and names the folder with the logs."""
import argparse
import collections
import pathlib
import random
import shutil
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import application
from application import BUILD, Writer, check
from compare import copy_file, drop
from full_disk import Mounted
from seawall import DONE, Daemon, level_zero, restore, seawall, told

FOLDER = BUILD / "soak"
OPTIONS = ("--keep-all", "20s", "--keep-levels", "40s", "--grace", "5s", "--prune-interval", "10s", "--fanout", "4", "--base-interval", "15s",
           "--verify-interval", "never", "--rest-after", "300ms")
KINDS = ({"rate": 40, "busy_timeout": 20000}, {"rate": 200, "busy_timeout": 20000, "synchronous": "normal"},
         {"rate": 5, "busy_timeout": 20000, "synchronous": "full"})
DATABASE_MAX, SYNC = 24 << 20, "90s"


class World:
    def __init__(self, number):
        self.folder, self.kind, self.starts = FOLDER / f"db-{number}", KINDS[number % len(KINDS)], 0
        self.begin()

    def begin(self):
        """A new database, and a new replica for it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.db, self.disk = self.folder / "app.db", self.folder / "disk"
        self.mounted = Mounted(self.disk, 300)
        self.replica, self.mark = self.disk / "replica", 0
        Writer(self.db, self.folder, "first", count=0).finish()
        self.start_daemon()
        self.start_writer()

    def end(self):
        self.writer.kill()
        self.daemon.kill()
        self.mounted.unmount()

    def start_daemon(self):
        self.daemon = Daemon(self.db, self.replica, self.folder / "daemon.log", *OPTIONS)

    def start_writer(self):
        self.starts += 1
        self.writer = Writer(self.db, self.folder, f"writer-{self.starts}", **self.kind)

    def committed(self):
        """The newest transaction whose commit returned."""
        self.mark = max(self.mark, self.writer.committed())
        return self.mark

    @staticmethod
    def starts_over(result):
        """The socket is not there yet, or was made again meanwhile."""
        return b"no daemon" in result.stderr or b"ended before it answered" in result.stderr or b"started over before" in result.stderr

    def proves_itself(self, what):
        """sync succeeds, and a restore then has at least what was committed before."""
        assert self.daemon.running(), f"after {what}: the daemon ended with {self.daemon.process.returncode}"
        before, end = self.committed(), time.monotonic() + 90
        result = seawall("sync", "--timeout", SYNC, self.db)
        while result.returncode != DONE and self.starts_over(result) and time.monotonic() < end:
            time.sleep(0.1)
            result = seawall("sync", "--timeout", SYNC, self.db)
        assert result.returncode == DONE, f"after {what}: {told(result)}"
        target = self.folder / "restored.db"
        drop(target)
        result = restore(self.replica, target)
        assert result.returncode == DONE, f"after {what}: {told(result)}"
        found = check(target)
        assert found >= before, f"after {what}: the restore ends at transaction {found}, {before} was durable"
        drop(target)
        assert self.writer.running(), f"after {what}: the writer ended: {self.writer.log()[-2000:]}"


# ---- faults

def killed(world, dice):
    world.daemon.kill()
    time.sleep(dice.random())
    world.start_daemon()


def ended(world, dice):
    code = world.daemon.stop(seconds=90)
    assert code == DONE, f"it ended with {code}"
    world.start_daemon()


def frozen(world, dice):
    world.daemon.send(signal.SIGSTOP)
    time.sleep(2 * dice.random())
    world.daemon.send(signal.SIGCONT)


def store_away(world, dice):
    away = world.disk / "away"
    world.replica.rename(away)
    time.sleep(3 * dice.random())
    if world.replica.exists():
        shutil.rmtree(world.replica)   # what was begun there meanwhile
    away.rename(world.replica)


def disk_full(world, dice):
    world.mounted.fill()
    time.sleep(3 * dice.random())
    world.mounted.free()


def objects_lost(world, dice):
    names = level_zero(world.replica)
    for name in dice.sample(names, min(len(names), dice.choice((1, 3, 1000)))):
        (world.replica / "0" / name).unlink(missing_ok=True)


def writer_killed(world, dice):
    world.committed()
    world.writer.kill()
    world.start_writer()


def file_replaced(world, dice):
    """By a copy of itself: another inode."""
    world.committed()
    assert world.writer.stop() is not None
    copy = world.folder / "copy.db"
    copy_file(world.db, copy)
    if world.db.with_name("app.db-wal").exists() and world.db.with_name("app.db-wal").stat().st_size > 0:
        copy.unlink()   # the daemon holds commits in the -wal: then the file alone is not the database
    else:
        copy.rename(world.db)
    world.start_writer()


def state_removed(world, dice):
    world.db.with_name("app.db-seawall").unlink(missing_ok=True)


def nothing(world, dice):
    time.sleep(2)


FAULTS = (killed, ended, frozen, store_away, disk_full, objects_lost, writer_killed, file_replaced, state_removed, nothing)


def soak(worlds, seconds, dice):
    counts, begun, shown = collections.Counter(), time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        world, fault = dice.choice(worlds), dice.choice(FAULTS)
        fault(world, dice)
        world.proves_itself(fault.__name__)
        counts[fault.__name__] += 1
        if world.db.stat().st_size > DATABASE_MAX:
            counts["databases that began again"] += 1
            world.end()
            world.begin()
        if time.monotonic() - shown > 30:
            shown = time.monotonic()
            print(f"soak: {shown - begun:.0f} s: {dict(counts)}", flush=True)
    return counts


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=3600)
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    arguments.add_argument("--databases", type=int, default=3)
    options = arguments.parse_args()
    print(f"soak: seed {options.seed}, {options.seconds:.0f} s, {FOLDER}", flush=True)
    application.build()
    worlds = []
    try:
        worlds.extend(World(number) for number in range(options.databases))
        for world in worlds:
            world.proves_itself("the start")
        counts = soak(worlds, options.seconds, random.Random(options.seed))
        for world in worlds:
            world.proves_itself("everything")
            assert world.writer.stop() is not None
            code = world.daemon.stop(seconds=90)
            assert code == DONE, f"{world.folder}: the stop ended with {code}"
            world.start_daemon()
    except AssertionError as error:
        print(f"soak: failed: {error}\nsoak: the logs are in {FOLDER}", flush=True)
        return 1
    finally:
        for world in worlds:
            world.end()
    print(f"soak: {sum(counts.values())} faults, each with a restore that was right: {dict(counts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
