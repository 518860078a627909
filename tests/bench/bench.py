#!/usr/bin/env python3
"""Measures Seawall: what it costs the application, what it can lose, how fast it copies, and how much it stores.

Each figure is measured alone (the application without a daemon), with Seawall, and with Litestream at its defaults if a `litestream`
binary is on PATH. They take turns round by round, so that other load on the machine meets all of them. The table shows medians. A
copy counts only if a restore of it is complete.

    bench.py [--quick] [--rounds N] [--moments N] [--only NAME]... [--dir DIR] [--keep] [--json FILE]

The variable SEAWALL names the program; default: build/seawall. SEAWALL_BEFORE names an older program, which is measured too, as "before":
then the table has the ratio to it. Everything happens in a folder below --dir, which is removed. Only the
writer and two prepared databases stay for the next run.
"""

import argparse
import contextlib
import datetime as dt
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import typing

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MB = 1_000_000
STOP_TIMEOUT_S = 300  # for the stop of a daemon, a backup, a restore
ATTACH_TIMEOUT_S = 60


class Failed(Exception):
    """A figure that could not be measured, and why."""


# ---- what is measured ----


class Figure(typing.NamedTuple):
    key: str
    label: str
    sign: str = ""  # of the goal: "<=" or ">="; empty where there is no goal
    goal: float = 0
    of_alone: bool = False  # the goal is for the ratio to the application alone
    of_before: bool = False  # the goal is for the ratio to SEAWALL_BEFORE
    pick: typing.Callable = statistics.median  # of all rounds

    @property
    def group(self):
        name = self.key.split(".")[0]
        return "backup" if name == "restore" else name

    @property
    def goal_text(self):
        return f"{self.sign} {self.goal:g}{' x alone' if self.of_alone else ' x before' if self.of_before else ''}" if self.sign else ""


LOSS_RATES = (1, 100, 1000)  # commits a second

FIGURES = [
    Figure("flat.rate", "flat out: commits/s", ">=", 1.0, of_alone=True),
    Figure("flat.p999", "flat out: commit p99.9, ms", "<=", 0.5),
    Figure("flat.max", "flat out: longest commit, ms", "<=", 20),
    Figure("flat.busy", "flat out: SQLITE_BUSY seen by the writer", "<=", 0, pick=sum),
    Figure("flat.hold", "flat out: longest write-lock hold, ms", pick=max),
    Figure("flat.cpu", "flat out: CPU of the daemon, % of a core"),
    Figure("flat.each", "flat out: CPU of the daemon for each commit, us", "<=", 0.7, of_before=True),
    Figure("flat.peak", "flat out: peak resident memory, MB", "<=", 48),
    Figure("flat.behind", "flat out: behind at the end, s"),
    Figure("flat.bytes", "flat out: bytes stored per insert", "<=", 100),
    Figure("paced.p50", "1000 commits/s: p50, ms", "<=", 1.15, of_alone=True),
    Figure("paced.p999", "1000 commits/s: p99.9, ms", "<=", 0.3),
    Figure("paced.max", "1000 commits/s: longest, ms", "<=", 3),
    Figure("paced.busy", "1000 commits/s: SQLITE_BUSY seen", "<=", 0, pick=sum),
    Figure("paced.hold", "1000 commits/s: longest write-lock hold, ms", pick=max),
    Figure("loss.p50", "machine dies at 100 commits/s: lost, p50, ms", "<=", 10),
    Figure("loss.max", "machine dies at 100 commits/s: lost, max, ms", "<=", 50, pick=max),
    *[Figure(f"loss.{pick.__name__}_{rate}", f"machine dies at {rate}/s: age of the oldest lost commit, {word}, ms", pick=pick)
      for rate in LOSS_RATES for pick, word in ((statistics.median, "p50"), (max, "max"))],
    Figure("crowded.run", "flat out beside a busy core: longest run of commits that became one restore point, s", "<=", 0.1),
    Figure("crowded.points", "flat out beside a busy core: restore points of 100 commits"),
    Figure("backup.rate", "first backup, MB/s", ">=", 1.35, of_before=True),
    Figure("backup.cpu", "first backup: CPU, s"),
    Figure("backup.peak", "first backup: peak resident memory, MB"),
    Figure("backup.size", "first backup: stored, % of the database"),
    Figure("restore.rate", "restore, MB/s", ">=", 1.6, of_before=True),
    Figure("restore.cpu", "restore: CPU, s"),
    Figure("restore.peak", "restore: peak resident memory, MB", "<=", 64),
    Figure("behind.ratio", "restore with commits behind the base: time, by that of the base alone", "<=", 1.15),
    Figure("behind.cpu", "restore with commits behind the base: CPU, by that of the base alone"),
    Figure("behind.peak", "restore with commits behind the base: peak resident memory, MB", "<=", 64),
    Figure("memory.idle", "idle daemon: resident memory, MB", "<=", 6),
    Figure("memory.big", "one large transaction: peak resident memory, MB", "<=", 64),
    Figure("updates.fresh", "random updates, 100/s: bytes stored each, fresh", "<=", 2000),
    Figure("updates.all", "random updates, 100/s: bytes stored each, all levels"),
]


class Tool(typing.NamedTuple):
    name: str
    program: str | None = None  # None: the application alone
    fresh: tuple[str, ...] = ()  # folders of a store that hold objects that are not compacted
    compacted_s: float = 0  # if the store has not grown for so long, its first copy was compacted too

    def is_ours(self):
        return self.name in ("Seawall", "before")

    def replicate(self, db, store, once=False):
        dash, url = ("--", str(store)) if self.is_ours() else ("-", f"file://{store}")
        return [self.program, "replicate", *([dash + "once"] if once else []), str(db), url]

    def restore(self, store, out):
        url = str(store) if self.is_ours() else f"file://{store}"
        return [self.program, "restore", "-o", str(out), url]


ALONE = Tool("alone")


# ---- processes ----


def status_kb(pid, field):
    """A line of /proc/PID/status in KiB; 0: the process has ended."""
    with contextlib.suppress(OSError):
        match = re.search(rf"^{field}:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)
        return int(match[1]) if match else 0
    return 0


class Process:
    """A child whose output goes to a file. wait() samples its peak memory, because the kernel's ru_maxrss also counts the memory of this
    interpreter before the exec."""

    running = []

    def __init__(self, argv, log):
        self.argv, self.log, self.peak_kb, self.cpu_s, self.seconds = argv, log, 0, 0.0, None
        self.started = time.perf_counter()
        with open(log, "wb") as out:
            self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        Process.running.append(self)

    def ended(self):
        if self.child.returncode is None:
            self.peak_kb = max(self.peak_kb, status_kb(self.child.pid, "VmHWM"))
            pid, status, usage = os.wait4(self.child.pid, os.WNOHANG)
            if pid:
                self.seconds = time.perf_counter() - self.started
                self.cpu_s = usage.ru_utime + usage.ru_stime
                self.child.returncode = os.waitstatus_to_exitcode(status)
                Process.running.remove(self)
        return self.child.returncode is not None

    def wait(self, timeout, poll=0.05):
        """Waits for the end, which must be a success. Returns the output."""
        deadline = time.monotonic() + timeout
        while not self.ended():
            if time.monotonic() > deadline:
                self.kill()
                raise Failed(f"{self.title()} did not end within {timeout} s")
            time.sleep(poll)
        if self.child.returncode != 0:
            raise Failed(f"{self.title()} {self.ending()}")
        return self.output()

    def stop(self):
        """Sends SIGTERM and waits for the end. Returns how many seconds that took."""
        asked = time.perf_counter()
        self.child.terminate()
        self.wait(STOP_TIMEOUT_S, poll=0.005)
        return time.perf_counter() - asked

    def kill(self):
        if not self.ended():
            self.child.kill()
            while not self.ended():
                time.sleep(0.001)

    def output(self):
        return self.log.read_text(errors="replace")

    def ending(self):
        return f"ended with {self.child.returncode}: {self.output()[-300:].strip() or 'no message'}"

    def title(self):
        return f"{pathlib.Path(self.argv[0]).name} {self.argv[1]}"


def until(what, condition, timeout, poll=0.02):
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Failed(f"{what} not seen within {timeout} s")
        time.sleep(poll)
    return value


# ---- one round in a folder of its own ----


class Round:
    """One tool, one database `app.db`, one store. All are removed when the round ends."""

    def __init__(self, bench, tool, folder):
        self.bench, self.tool, self.folder = bench, tool, folder
        self.db, self.store, self.out = folder / "app.db", folder / "store", folder / "restored.db"
        self.daemon = None

    def load(self, what, *args):
        """Starts the application."""
        return Process([str(self.bench.writer), what, str(self.db), *map(str, args)], self.folder / f"{what}.log")

    def run(self, what, *args):
        """Runs the application to its end; returns its report."""
        output = self.load(what, *args).wait(600).strip()
        return json.loads(output) if output else None

    def attach(self, quiet=0.5):
        """Starts the daemon and waits for its first copy, that is, until the store has not grown for `quiet` seconds."""
        if self.tool.program is None:
            return
        self.daemon = Process(self.tool.replicate(self.db, self.store), self.folder / "daemon.log")
        size, since = 0, time.monotonic()

        def settled():
            nonlocal size, since
            if self.daemon.ended():
                raise Failed(f"the daemon {self.daemon.ending()}")
            if (now := self.stored()) != size:
                size, since = now, time.monotonic()
            return size > 0 and time.monotonic() - since >= quiet

        until("the first copy", settled, ATTACH_TIMEOUT_S)

    def stored(self, *parts):
        """Bytes of all files of the store, or of these folders of it."""
        total = 0
        for top in [self.store / part for part in parts] or [self.store]:
            for folder, _, names in os.walk(top):
                for name in names:
                    with contextlib.suppress(FileNotFoundError):
                        total += os.stat(os.path.join(folder, name)).st_size
        return total

    def fresh(self):
        return self.stored(*self.tool.fresh)

    def lock_hold_ms(self):
        match = re.search(r"longest write-lock hold\D*([\d.]+)\s*(us|µs|ms|s)\b", self.daemon.output())
        return float(match[1]) * {"us": 0.001, "µs": 0.001, "ms": 1, "s": 1000}[match[2]] if match else None

    def restore(self, table, last_n):
        """Restores the newest state and proves that it holds everything up to transaction `last_n`. The store is in the page cache, whatever
        way the tool has written it."""
        os.sync()
        for folder, _, names in os.walk(self.store):
            for name in names:
                pathlib.Path(folder, name).read_bytes()
        process = Process(self.tool.restore(self.store, self.out), self.folder / "restore.log")
        process.wait(STOP_TIMEOUT_S, poll=0.005)
        if (last := newest(self.out, table)) != last_n:
            raise Failed(f"restored up to transaction {last} of {last_n}")
        return process


def newest(path, table):
    """The newest transaction in a database. In the table `log` all before it must be there too."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        last, count = db.execute(f"SELECT coalesce(max(n), 0), count(*) FROM {table}").fetchone()
    if table == "log" and last != count:
        raise Failed(f"a restored database holds {count} rows of {last}")
    return last


# ---- the figures; each function is one round and yields (key, value) ----


def measure_flat(turn, opt):
    turn.run("create")
    turn.attach()
    before = turn.fresh()
    started = time.perf_counter()
    report = turn.run("insert", "--seconds", opt.flat_s)
    seconds = time.perf_counter() - started
    yield "flat.rate", report["rate"]
    yield "flat.p999", report["p999_ms"]
    yield "flat.max", report["max_ms"]
    yield "flat.busy", report["busy"]
    if turn.daemon:
        yield "flat.behind", turn.daemon.stop()
        yield "flat.cpu", 100 * turn.daemon.cpu_s / seconds
        yield "flat.each", 1e6 * turn.daemon.cpu_s / report["commits"]
        yield "flat.peak", turn.daemon.peak_kb * 1024 / MB
        yield "flat.bytes", (turn.fresh() - before) / report["commits"]
        if (hold := turn.lock_hold_ms()) is not None:
            yield "flat.hold", hold
        turn.restore("log", report["last_n"])


def measure_paced(turn, opt):
    turn.run("create")
    turn.attach()
    report = turn.run("insert", "--rate", 1000, "--seconds", opt.paced_s)
    yield "paced.p50", report["p50_ms"]
    yield "paced.p999", report["p999_ms"]
    yield "paced.max", report["max_ms"]
    yield "paced.busy", report["busy"]
    if turn.daemon:
        turn.daemon.stop()
        if (hold := turn.lock_hold_ms()) is not None:
            yield "paced.hold", hold
        turn.restore("log", report["last_n"])


def measure_crowded(turn, opt):
    """While another program takes a core, commits that were not captured one by one become one restore point."""
    turn.run("create")
    turn.attach()
    crowd = Process([sys.executable, "-c", "while True: pass"], turn.folder / "crowd.log")
    report = turn.run("insert", "--seconds", opt.paced_s)
    crowd.kill()
    turn.daemon.stop()
    if turn.tool.is_ours():
        listed = subprocess.run([turn.tool.program, "list", "--points", "--json", str(turn.store)], capture_output=True, text=True, check=True)
        points = [(point["txid"], dt.datetime.fromisoformat(point["time"].replace("Z", "+00:00")).timestamp())
                  for point in json.loads(listed.stdout)["points"]]
        neighbours = list(zip(points, points[1:]))
        yield "crowded.run", max((after[1] - before[1] for before, after in neighbours if after[0] > before[0] + 1), default=0)
        yield "crowded.points", 100 * len(points) / report["last_n"]
    turn.restore("log", report["last_n"])


def journal_read(path):
    """{n: time of its commit in seconds}"""
    entries = {}
    with open(path, "rb") as file:
        while entry := file.read(16):
            n, time_ns = struct.unpack("=QQ", entry)
            if n == 0:
                break
            entries[n] = time_ns / 1e9
    return entries


def measure_loss(turn, opt):
    """At each rate, kills application and daemon at one moment. Two figures: the age of the newest transaction in the replica, which is
    above 0 even if nothing was lost, and the age of the oldest transaction that is not in the replica."""
    for rate in LOSS_RATES:
        folder = turn.folder / str(rate)
        folder.mkdir()
        yield from lose(Round(turn.bench, turn.tool, folder), rate)


def lose(turn, rate):
    turn.run("create")
    turn.attach()
    path = turn.folder / "journal"
    writer = turn.load("insert", "--rate", rate, "--seconds", 60, "--journal", path)
    until("the first commit", lambda: path.exists() and journal_read(path), 10)
    time.sleep(random.uniform(1.5, 3.5))
    died = time.time()
    turn.daemon.child.kill()
    writer.child.kill()
    turn.daemon.kill()
    writer.kill()
    journal = journal_read(path)
    Process(turn.tool.restore(turn.store, turn.out), turn.folder / "restore.log").wait(60, poll=0.005)
    last = newest(turn.out, "log")
    # 0: the replica has no transaction. More than the journal has: the writer died between that commit and its entry.
    if rate == 100:
        lost_s = died - journal[max(last, 1)] if last <= max(journal) else 0.0
        yield "loss.p50", lost_s * 1000
        yield "loss.max", lost_s * 1000
    oldest_s = max(0.0, died - journal[last + 1]) if last < max(journal) else 0.0
    yield f"loss.median_{rate}", oldest_s * 1000
    yield f"loss.max_{rate}", oldest_s * 1000


def measure_backup(turn, opt):
    shutil.copyfile(opt.big_db, turn.db)
    size, last = turn.db.stat().st_size, newest(opt.big_db, "log")
    os.sync()
    backup = Process(turn.tool.replicate(turn.db, turn.store, once=True), turn.folder / "backup.log")
    backup.wait(STOP_TIMEOUT_S, poll=0.005)
    yield "backup.rate", size / MB / backup.seconds
    yield "backup.cpu", backup.cpu_s
    yield "backup.peak", backup.peak_kb * 1024 / MB
    yield "backup.size", 100 * turn.stored() / size
    restore = turn.restore("log", last)
    yield "restore.rate", size / MB / restore.seconds
    yield "restore.cpu", restore.cpu_s
    yield "restore.peak", restore.peak_kb * 1024 / MB


def measure_behind(turn, opt):
    shutil.copyfile(opt.big_db, turn.db)
    last = newest(opt.big_db, "log")
    turn.daemon = Process(turn.tool.replicate(turn.db, turn.store), turn.folder / "daemon.log")
    until("the base", lambda: list(turn.store.glob("base/*/marker")), STOP_TIMEOUT_S)
    turn.daemon.stop()
    base = turn.restore("log", last)
    turn.out.unlink()
    turn.attach()
    report = turn.run("insert", "--rate", BEHIND_RATE, "--seconds", opt.behind / BEHIND_RATE)
    turn.daemon.stop()
    restore = turn.restore("log", report["last_n"])
    yield "behind.ratio", restore.seconds / base.seconds
    yield "behind.cpu", restore.cpu_s / base.cpu_s
    yield "behind.peak", restore.peak_kb * 1024 / MB


def measure_memory(turn, opt):
    turn.run("create")
    turn.run("insert", "--rate", 100, "--seconds", 0.1)
    turn.attach()
    time.sleep(max(0.0, 5 - (time.perf_counter() - turn.daemon.started)))
    yield "memory.idle", status_kb(turn.daemon.child.pid, "VmRSS") * 1024 / MB
    turn.run("fill", opt.big_bytes)
    turn.daemon.stop()
    yield "memory.big", turn.daemon.peak_kb * 1024 / MB
    turn.restore("log", newest(turn.db, "log"))


def measure_updates(turn, opt):
    shutil.copyfile(opt.items_db, turn.db)
    turn.attach(quiet=max(3, turn.tool.compacted_s))
    fresh, stored = turn.fresh(), turn.stored()
    report = turn.run("update", "--rate", 100, "--seconds", opt.updates_s)
    turn.daemon.stop()
    yield "updates.fresh", (turn.fresh() - fresh) / report["commits"]
    yield "updates.all", (turn.stored() - stored) / report["commits"]
    turn.restore("item", report["last_n"])


GROUPS = {
    "flat": measure_flat,
    "paced": measure_paced,
    "loss": measure_loss,
    "crowded": measure_crowded,
    "backup": measure_backup,
    "behind": measure_behind,
    "memory": measure_memory,
    "updates": measure_updates,
}
WITH_ALONE = {"flat", "paced"}
OURS_ALONE = {"crowded", "behind"}  # Litestream has no restore point for each commit
BEHIND_RATE = 1500  # commits a second: capture and the store keep up with them


# ---- the run ----


class Bench:
    def __init__(self, opt):
        self.opt, self.notes = opt, []
        self.samples = {figure.key: {} for figure in FIGURES}  # key -> tool -> values
        self.failures = []
        self.tools = [ALONE, *self.find_tools()]
        self.writer = opt.dir / "load"

    def find_tools(self):
        seawall = os.environ.get("SEAWALL") or str(ROOT / "build" / "seawall")
        if os.access(seawall, os.X_OK):
            yield Tool("Seawall", os.path.abspath(seawall), fresh=("0", "part"))
        else:
            self.notes.append(f"Seawall not measured: no program at {os.path.relpath(seawall)}")
        if before := os.environ.get("SEAWALL_BEFORE"):
            version = subprocess.run([before, "--version"], capture_output=True, text=True, check=True).stdout.strip()
            self.notes.append(f"before: {version}, of SEAWALL_BEFORE")
            yield Tool("before", os.path.abspath(before), fresh=("0", "part"))
        if litestream := shutil.which("litestream"):
            version = subprocess.run([litestream, "version"], capture_output=True, text=True).stdout.strip()
            self.notes.append(f"Litestream {version}, defaults")
            yield Tool("Litestream", litestream, fresh=("ltx/0",), compacted_s=35)  # Litestream compacts every 30 s

    def prepare(self):
        """Makes the writer, and the databases that take long to make."""
        opt = self.opt
        compiler = [*os.environ.get("CC", "cc").split(), "-std=gnu11", "-O2", "-Wall", "-Wextra"]
        subprocess.run([*compiler, "-o", self.writer, HERE / "load.c", "-lsqlite3"], check=True)
        if "backup" in opt.only or "behind" in opt.only:
            self.prepare_db(opt.big_db, "fill", opt.big_bytes)
        if "updates" in opt.only:
            self.prepare_db(opt.items_db, "items", opt.items)

    def prepare_db(self, path, what, size):
        if not path.exists():
            say(f"making {path.name}")
            making = path.with_suffix(".making")
            making.unlink(missing_ok=True)
            subprocess.run([self.writer, what, making, str(size)], check=True)
            making.rename(path)

    def run(self, temp):
        for name in self.opt.only:
            tools = [tool for tool in self.tools if tool.program or name in WITH_ALONE]
            tools = [tool for tool in tools if tool.is_ours() or name not in OURS_ALONE]
            for number in range(self.opt.rounds[name]):
                shift = number % max(1, len(tools))
                for tool in tools[shift:] + tools[:shift]:  # so that a tool does not always follow the same one
                    if len(self.failures_of(name, tool)) < 2:
                        self.run_round(name, number, tool, temp)

    def run_round(self, name, number, tool, temp):
        folder = pathlib.Path(tempfile.mkdtemp(dir=temp))
        values = {}
        started = time.perf_counter()
        try:
            for key, value in GROUPS[name](Round(self, tool, folder), self.opt):
                values[key] = value
                self.samples[key].setdefault(tool.name, []).append(value)
        except (Failed, OSError, sqlite3.Error, ValueError, LookupError) as error:
            reason = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
            self.failures.append({"group": name, "tool": tool.name, "round": number + 1, "reason": reason})
            say(f"FAILED {name}, {tool.name}, round {number + 1}: {reason}")
        finally:
            end_processes()
            if self.opt.keep and any(f["round"] == number + 1 for f in self.failures_of(name, tool)):
                shutil.move(folder, self.opt.dir / f"failed-{name}-{tool.name}-{os.getpid()}-{number + 1}")
            shutil.rmtree(folder, ignore_errors=True)
        took = time.perf_counter() - started
        text = "  ".join(f"{key.split('.')[1]} {show(value)}" for key, value in values.items())
        say(f"{name} {number + 1}/{self.opt.rounds[name]} {tool.name:10} {took:5.1f} s  {text}")

    def failures_of(self, group, tool):
        return [f for f in self.failures if f["group"] == group and f["tool"] == tool.name]

    def value(self, figure, tool):
        values = self.samples[figure.key].get(tool.name)
        return figure.pick(values) if values else None

    def cell(self, figure, tool):
        value, failures = self.value(figure, tool), self.failures_of(figure.group, tool)
        if value is None:
            return "failed" if failures else "-"
        return show(value) + (" *" if failures else "")

    def table(self):
        rows = [["figure", *(tool.name for tool in self.tools), "ratio", "goal"]]
        for figure in FIGURES:
            if figure.group in self.opt.only:
                values = {tool.name: self.value(figure, tool) for tool in self.tools}
                ratio, ratio_text = self.ratio(values)
                goal = self.goal(figure, values.get("Seawall"), self.to_before(values) if figure.of_before else ratio)
                rows.append([figure.label, *(self.cell(figure, tool) for tool in self.tools), ratio_text, goal])
        return layout(rows)

    @staticmethod
    def ratio(values):
        """The ratio of Seawall to the application alone; if that was not measured, to the program before, or to Litestream."""
        mine = values.get("Seawall")
        for name in ("alone", "before", "Litestream"):
            other = values.get(name)
            if mine is not None and other:
                return mine / other, f"{show(mine / other)} x {name}"
        return None, "-"

    @staticmethod
    def to_before(values):
        mine, before = values.get("Seawall"), values.get("before")
        return mine / before if mine is not None and before else None

    @staticmethod
    def goal(figure, mine, ratio):
        reached = ratio if figure.of_alone or figure.of_before else mine
        if not figure.sign or reached is None:
            return figure.goal_text
        met = reached >= figure.goal if figure.sign == ">=" else reached <= figure.goal
        return figure.goal_text + ("" if met else "  missed")

    def report(self):
        print(self.table())
        print()
        for note in self.notes:
            print(note)
        for f in self.failures:
            print(f"* failed: {f['group']}, {f['tool']}, round {f['round']}: {f['reason']}")

    def document(self):
        figures = {
            figure.key: {
                "label": figure.label,
                "goal": figure.goal_text,
                "values": {tool.name: self.value(figure, tool) for tool in self.tools},
                "samples": self.samples[figure.key],
            }
            for figure in FIGURES
            if self.samples[figure.key]
        }
        return {"cpus": os.cpu_count(), "quick": self.opt.quick, "rounds": self.opt.rounds, "notes": self.notes,
                "figures": figures, "failures": self.failures}


def show(value):
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def layout(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    last = len(widths) - 1

    def line(row):
        cells = [c.ljust(w) if i in (0, last) else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))]
        return "  ".join(cells).rstrip()

    lines = [line(row) for row in rows]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * last), *lines[1:]])


def say(text):
    print(text, file=sys.stderr, flush=True)


def end_processes():
    for process in list(Process.running):
        process.kill()


def options():
    parser = argparse.ArgumentParser(description="Measure Seawall beside the application alone and beside Litestream.")
    parser.add_argument("--quick", action="store_true", help="a smoke run: short, with smaller databases")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each figure (3; quick 1)")
    parser.add_argument("--moments", type=int, metavar="N", help="moments at which the machine dies (20; quick 3)")
    parser.add_argument("--only", action="append", choices=GROUPS, metavar="NAME",
                        help=f"one of {', '.join(GROUPS)}; can be repeated")
    parser.add_argument("--dir", type=pathlib.Path, default=ROOT / "build" / "bench", metavar="DIR",
                        help="folder to work in (build/bench)")
    parser.add_argument("--keep", action="store_true", help="keep the folders of failed rounds, as DIR/failed-*")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all samples to FILE")
    opt = parser.parse_args()
    opt.dir = opt.dir.resolve()
    opt.only = [name for name in GROUPS if not opt.only or name in opt.only]
    rounds = opt.rounds or (1 if opt.quick else 3)
    opt.rounds = dict.fromkeys(GROUPS, rounds)
    opt.rounds["loss"] = opt.moments or (3 if opt.quick else 20)
    opt.flat_s, opt.paced_s, opt.updates_s = (3, 3, 10) if opt.quick else (10, 10, 60)
    opt.behind = 10_000 if opt.quick else 100_000
    opt.big_bytes, opt.items = (250 * MB, 100_000) if opt.quick else (1000 * MB, 400_000)
    opt.big_db = opt.dir / f"fill-{opt.big_bytes // MB}.db"
    opt.items_db = opt.dir / f"items-{opt.items}.db"
    return opt


def main():
    opt = options()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    opt.dir.mkdir(parents=True, exist_ok=True)
    bench = Bench(opt)
    with tempfile.TemporaryDirectory(prefix="run-", dir=opt.dir, ignore_cleanup_errors=True) as temp:
        try:
            bench.prepare()
            bench.run(pathlib.Path(temp))
        except subprocess.CalledProcessError as error:
            say(f"bench: {error.cmd[0]} ended with {error.returncode}")
            return 1
        finally:
            end_processes()
    bench.report()
    if opt.json:
        opt.json.write_text(json.dumps(bench.document(), indent=1) + "\n")
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
