#!/usr/bin/env python3
"""Measures what the history of a replica costs and gives back: bytes uploaded, stored and read, requests, seconds, memory, money.

    history.py [--quick] [--only NAME]... [--seconds N] [--hours N] [--dir DIR] [--json FILE]

bytes      bytes uploaded for each of 100 random updates a second (10 minutes), for each level: to S3, to a folder, and by Litestream, all
           at the same time. The server counts them; the first copy is left out
fanout     the same for other fan-outs (a minute), as a ratio
folder     100 updates a second into a folder (5 minutes): files, blocks of the disk, restore points, files of a day (computed), and seconds of
           commands after 1/24 of the time and at its end. SEAWALL_BEFORE names another build of Seawall to measure beside it
day        requests of a day and bytes that stay stored, and their price at S3
second     one commit a second for a day at S3, with an hour shortened to a minute: objects, requests by kind, their price, and the requests
           of an attach. SEAWALL_BEFORE as above
restore    restores of a 1 GB database with 100,000 commits after its base: seconds and bytes read; then restores of older commits: of the
           whole database, by --delta with and without the state file, and --undo
large      a base of 10 GB, and a level of 1 GB of changes: seconds and memory; then restores as above. Needs about 45 GB of disk

Figures that are computed say so; the function that computes one says how. S3 is a Ceph object gateway on this machine
(tests/support/rgw), which keeps everything in memory. If Litestream is on PATH, its bytes and its requests while idle are measured, at
its defaults. The application is build/tests/writer. It checks restores of the newest state, or they are compared byte by byte."""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import sqlite3
import statistics
import struct
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent)]
import gateway  # noqa: E402
from bench import Failed, MB, Process, ROOT, say, status_kb, until  # noqa: E402
from gateway import DAY_S, Turn  # noqa: E402

RATE = 100  # transactions a second
FANOUT = 64  # --fanout, by default
HOUR_FROM_S = 180  # a shorter run does not show what an hour costs: --put-burst lasts up to a minute
COMPACTED = [f"level {level}" for level in range(1, 9)]
MONTH_DAYS = 30
# Amazon S3 Standard, us-east-1, the list prices of November 2026, in dollars. Traffic to S3 is free.
PRICE_GB_MONTH, PRICE_PUT, PRICE_GET = 0.023, 5 / 1e6, 0.4 / 1e6
PRICES = {"PUT": PRICE_PUT, "POST": PRICE_PUT, "LIST": PRICE_PUT, "GET": PRICE_GET, "HEAD": PRICE_GET, "DELETE": 0}
PACE, LARGE_PACE = 1500, 500  # transactions a second. Capture and the store keep up with them, so each is a restore point
PAYLOAD = 200  # of a row; the writer's default
WRITER, CLOCKSTEP = ROOT / "build" / "tests" / "writer", ROOT / "build" / "tests" / "clockstep.so"


def median(values):
    return statistics.median(list(values))


# ---- one round


class Round(gateway.Round):
    """A round whose application is the one of the tests."""

    options = ()  # of each start of the daemon

    def application(self, *arguments):
        return Process([str(WRITER), "--busy-timeout", "5000", *map(str, arguments), str(self.db)], self.folder / "writer.log")

    def update(self, *arguments, rows=0):
        """Makes random updates. Returns the report of the writer."""
        more = ("--table-rows", rows) if rows else ()
        return report(self.application("--mode", "update", *more, *arguments))

    def first_copy(self):
        """Starts the daemon and waits until everything is in the store."""
        self.start(*self.options, quiet=3, timeout=900)
        if self.tool != "Litestream":
            until("the end of the base", self.no_base_under_way, 900)
        sizes = self.keys()  # Litestream stores its first copy twice, as a snapshot too
        self.first_bytes = sum(sizes.values()) if self.tool != "Litestream" else max(sizes.values())

    def no_base_under_way(self):
        return self.daemon.output().count("writing a base") == self.daemon.output().count("the base is complete")

    def uploaded(self, since):
        """(when, key, bytes) of all objects that were put since a moment."""
        return [(r.when, r.key, r.bytes) for r in self.gateway.log(self.prefix) if r.kind == "PUT" and r.when >= since]

    def read_so_far(self):
        """Bytes that were read from the store, by the log of the gateway."""
        return sum(r.bytes for r in self.gateway.log(self.prefix) if r.kind == "GET")

    def checked(self, path, *arguments):
        """Lets the writer check a copy. Returns the number of the newest transaction."""
        result = subprocess.run([WRITER, "--check", "--mode", "update", *map(str, arguments), path], capture_output=True, text=True)
        found = json.loads(result.stdout)
        if not found["ok"]:
            raise Failed(f"the restored database is wrong: {found['why']}")
        return found["last"]


class FolderRound(Round):
    """A round whose store is a folder."""

    def url(self):
        return str(self.store)

    def keys(self):
        return {str(path.relative_to(self.store)): size for path, size, _ in self.files()}

    def files(self):
        """(path, size, time)"""
        for folder, _, names in os.walk(self.store):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    path = pathlib.Path(folder, name)
                    found = path.stat()
                    yield path, found.st_size, found.st_mtime

    def watch(self):
        """From now on notes each file that it sees: packs and what they have come and go. It looks more often than files go."""
        self.seen = {}

        def look():
            while self.daemon and not self.daemon.ended():
                for path, size, when in self.files():
                    if not path.name.startswith("."):
                        self.seen[str(path.relative_to(self.store))] = when, size
                time.sleep(3)

        threading.Thread(target=look, daemon=True).start()

    def uploaded(self, since):
        found = dict(self.seen)
        found.update((str(path.relative_to(self.store)), (when, size)) for path, size, when in self.files())
        return [(when, key, size) for key, (when, size) in found.items() if when >= since]

    def read_so_far(self):
        return 0


def report(process):
    return json.loads(process.wait(7200))


def kind_of(key):
    """The kind of an object of either tool: "level 0", ..., "bases", "parts"."""
    if litestream := re.search(r"/(\d{4})/\w{16}-\w{16}\.ltx$", key):
        level = int(litestream[1])
        return "bases" if level == 9 else f"level {level}"  # level 9 of Litestream has its snapshots
    name = re.search(r"(?:^|/)(base|part|pack|\d)/(?=[^/]+(?:/[^/]+)?$)", key)
    if not name:
        return "other"
    return {"base": "bases", "part": "parts", "pack": "packs"}.get(name[1], f"level {name[1]}")


# ---- bytes


COLUMNS = {"Seawall, S3": ("Seawall", Round), "Seawall, folder": ("Seawall", FolderRound), "Litestream, S3": ("Litestream", Round)}


FIRST = re.compile(r"/0*1-\w+\.ltx$")  # an object of Litestream that begins with the first copy


def beyond_first(put, first_size):
    """[(when, key, bytes)] of whole objects. Litestream compacts its first copy together with later changes; of these objects only the bytes
    beyond the first copy count."""
    objects = {}
    for when, key, size in put:  # an object, or a part of a multipart upload
        objects[key] = when, objects.get(key, (0, 0))[1] + size
    return [(when, key, max(0, size - first_size) if FIRST.search(key) else size) for key, (when, size) in objects.items()]


def by_level(put):
    """[(when, kind, bytes, PUTs)]. Parts belong to the compacted segment that is put after them: here no object of level 0 has parts."""
    found, parts = [], []
    for when, key, size in sorted(put):
        kind = kind_of(key)
        if kind == "parts":
            parts.append(size)
        elif kind in COMPACTED:
            found.append((when, kind, size + sum(parts), 1 + len(parts)))
            parts.clear()
        else:
            found.append((when, kind, size, 1))
    return found + [(time.time(), "parts of what is not finished", size, 1) for size in parts]


def measure_bytes(run, opt):
    if before := os.environ.get("SEAWALL_BEFORE"):
        run.programs[BEFORE] = before
        COLUMNS.update({"before, S3": (BEFORE, Round), "before, folder": (BEFORE, FolderRound)})
    with contextlib.ExitStack() as stack:
        turns = {column: stack.enter_context(Turn(run, tool, kind)) for column, (tool, kind) in COLUMNS.items() if tool in run.programs}
        yield from updates(run, turns, opt.bytes_s, wanted=("levels", "minutes", *(["hour"] if opt.bytes_s >= HOUR_FROM_S else [])))


def updates(run, turns, seconds, wanted=()):
    """Runs all turns at the same time: the first copy, then random updates at RATE."""
    items = items_of_writer(run)
    for turn in turns.values():
        shutil.copyfile(items, turn.db)
        turn.first_copy()
    for turn in turns.values():
        if isinstance(turn, FolderRound):
            turn.watch()
    started = time.time()
    applications = {column: turn.application("--mode", "update", "--rate", RATE, "--seconds", seconds) for column, turn in turns.items()}
    commits = {column: report(application)["commits"] for column, application in applications.items()}
    for turn in turns.values():
        turn.peak_kb = status_kb(turn.daemon.child.pid, "VmHWM")
        turn.daemon.stop()
    for column, turn in turns.items():
        put = by_level(beyond_first(turn.uploaded(started), turn.first_bytes))
        yield from shown_bytes(column, put, commits[column], started, seconds, wanted)
        if "hour" in wanted and turn.tool == "Seawall" and not isinstance(turn, FolderRound):
            yield from busy_hour(column, put, turn.first_bytes, started, seconds)
        yield "peak memory of the daemon, MB", column, turn.peak_kb * 1024 / MB
        turn.restored()
        if turn.checked(turn.out) != commits[column]:
            raise Failed(f"{column}: the restored database is not the newest")


def items_of_writer(run):
    path = run.folder / "items.db"
    if not path.exists():
        subprocess.run([WRITER, "--mode", "update", "--count", "0", path], check=True, capture_output=True)
    return path


def shown_bytes(column, put, commits, started, seconds, wanted):
    by_kind = collections.Counter()
    for _, kind, size, _ in put:
        by_kind[kind] += size
    yield "bytes uploaded for each transaction, all levels", column, sum(by_kind.values()) / commits
    if "levels" in wanted:
        for kind in sorted(by_kind):
            yield f"... in {kind}", column, by_kind[kind] / commits
    if "minutes" in wanted:
        for title, begin, end in (("in the first minute", 0, 60), ("in the second half", seconds / 2, seconds)):
            part = sum(size for when, _, size, _ in put if begin <= when - started < end)
            yield f"... {title}", column, part / (RATE * (min(end, seconds) - begin))
    yield "objects put", column, sum(puts for _, _, _, puts in put)


def busy_hour(column, put, base_size, started, seconds):
    """The cost of 100 commits a second for one hour of each day. Computed: the first half of the measured time, in which --put-burst is used
    up, then its second half as often as the hour needs; objects of level 2 and higher in the number that the objects of level 0 make, of
    the measured size. Stored with the default options at the end of the hour, when retention deletes as much as is added: all objects of
    today, level 2 and higher of the 7 days before, and 11 bases of days and weeks."""
    half = seconds / 2
    total, puts = collections.Counter(), collections.Counter()
    for when, kind, size, count in put:
        repeat = 1 if when - started < half else (3600 - half) / half
        total[kind] += size * repeat
        puts[kind] += count * repeat
    for level, kind in enumerate(COMPACTED[1:], start=2):
        seen = [(size, count) for _, found, size, count in put if found == kind]
        segments = puts["level 0"] // FANOUT**level if seen else 0
        total[kind] = segments * statistics.mean(size for size, _ in seen) if seen else 0
        puts[kind] = segments * statistics.mean(count for _, count in seen) if seen else 0
    for kind in ("level 0", "level 1", "level 2", "bases"):
        yield f"an hour at 100/s a day (computed): {kind}, MB", column, total[kind] / MB
    requests = {"PUT": sum(puts.values()), "LIST": 24 * 2 * (1 + sum(puts.values()) // 1000)}  # retention lists twice an hour
    stored = sum(total.values()) + 7 * sum(total[kind] for kind in COMPACTED[1:]) + 11 * base_size
    yield from bill("an hour at 100/s a day (computed)", column, requests, stored)


def bill(title, column, requests, stored):
    """`requests`: of a day, by kind. `stored`: bytes that are stored for the whole month."""
    for kind in ("PUT", "LIST", "GET", "HEAD", "DELETE", "POST"):
        if requests.get(kind):
            yield f"{title}: {kind} a day", column, requests[kind]
    yield f"{title}: stored, MB", column, stored / MB
    month = MONTH_DAYS * sum(PRICES.get(kind, 0) * count for kind, count in requests.items())
    yield f"{title}: requests, $ a month", column, month
    yield f"{title}: all, $ a month", column, month + stored / 1e9 * PRICE_GB_MONTH


def measure_fanout(run, opt):
    def with_fanout(fanout):
        return type("RoundWithFanout", (Round,), {"options": ("--fanout", str(fanout))})

    with contextlib.ExitStack() as stack:
        turns = {f"--fanout {n}": stack.enter_context(Turn(run, "Seawall", with_fanout(n))) for n in (16, 64, 256)}
        found = {}
        for label, column, value in updates(run, turns, opt.fanout_s, wanted=("levels",)):
            found[label, column] = value
            yield f"{opt.fanout_s} s: {label}", column, value
    label = "bytes uploaded for each transaction, all levels"
    for column in turns:
        yield f"{opt.fanout_s} s: ratio to --fanout 64", column, found[label, column] / found[label, "--fanout 64"]


# ---- a folder


BEFORE = "Seawall before"
DAY_COMMITS = DAY_S * RATE
COMMANDS = {"list": ["list"], "prune --dry-run": ["prune", "--dry-run"], "verify": ["verify"]}


def measure_folder(run, opt):
    if before := os.environ.get("SEAWALL_BEFORE"):
        run.programs[BEFORE] = before
    for tool in [BEFORE, "Seawall"] if before else ["Seawall"]:
        with Turn(run, tool, FolderRound) as turn:
            yield from files_of_updates(turn, tool, opt.folder_s)


def files_of_updates(turn, tool, seconds):
    subprocess.run([WRITER, "--mode", "update", "--table-rows", "4000", "--count", "0", turn.db], check=True, capture_output=True)
    turn.start(quiet=2)
    application = turn.application("--mode", "update", "--table-rows", 4000, "--rate", RATE, "--seconds", seconds)
    early, counts, started = None, [], time.monotonic()
    while (passed := time.monotonic() - started) < seconds - 1:
        if early is None and passed >= seconds / 24:
            early = seconds_of_commands(turn, tool)
        sizes = turn.keys()
        counts.append((passed, len(sizes), sum(1 for key in sizes if not is_long_lived(key, sizes[key]))))
        time.sleep(1)
    commits = report(application)["commits"]
    late = seconds_of_commands(turn, tool)
    found = list(turn.files())
    listed = json.loads(command(turn, tool, "list", "--json").stdout)
    points = sum(each["count"] for each in listed["ranges"])
    title = f"a folder at {RATE}/s for {seconds} s"
    yield f"{title}: files at the end", tool, len(found)
    yield f"{title}: files, most", tool, max(count for _, count, _ in counts)
    yield f"{title}: bytes, MB", tool, sum(size for _, size, _ in found) / MB
    yield f"{title}: blocks of the disk / bytes", tool, sum(path.stat().st_blocks * 512 for path, _, _ in found if path.exists()) / sum(size for _, size, _ in found)
    yield f"{title}: commits that are restore points, of 100", tool, 100 * (points - 1) / commits  # the first copy is one more
    yield "files after a day of that (computed)", tool, day_of_files(turn, counts, commits, seconds)
    for name in COMMANDS:
        yield f"{title}: {name}, s", tool, late[name]
        yield f"{title}: {name}, times that after 1/24 of the time", tool, late[name] / early[name]
    turn.daemon.stop()
    turn.restored()
    turn.checked(turn.out, "--table-rows", 4000)


def is_long_lived(key, size):
    return key.startswith("pack/") and size > MB or kind_of(key) in COMPACTED[1:]


def day_of_files(turn, counts, commits, seconds):
    """Packs of a megabyte and more are not packed again: a day has as many of them as their commits say. Segments of level 2 and higher stay as
    long as a higher level lacks them, which is 64 of them. All other files come and go: of these the most that were seen. A build without packs
    keeps every file for a day."""
    large = [key for key, size in turn.keys().items() if key.startswith("pack/") and size > MB]
    if not large:
        return len(turn.keys()) / commits * DAY_COMMITS
    in_pack = median(int(key[22:38], 16) - int(key[5:21], 16) + 1 for key in large)
    return DAY_COMMITS / in_pack + 64 + DAY_COMMITS / FANOUT**3 + max(count for passed, _, count in counts if passed > seconds / 4)


def command(turn, tool, *arguments):
    return subprocess.run([turn.bench.programs[tool], *arguments, turn.url()], capture_output=True, text=True, check=True)


def seconds_of_commands(turn, tool):
    found = {}
    for name, arguments in COMMANDS.items():
        took = []
        for _ in range(5):
            begun = time.perf_counter()
            subprocess.run([turn.bench.programs[tool], *arguments, turn.url()], capture_output=True)
            took.append(time.perf_counter() - begun)
        found[name] = median(took)
    return found


# ---- a day


def measure_day(run, opt):
    stored = yield from minutely_stored(run, opt)
    requests = minutely_requests(run, opt)
    yield from bill("one commit a minute", "Seawall", requests, stored)
    yield from idle(run, opt)


def idle(run, opt):
    """Requests of a minute while nothing is written. For Seawall also those of a day, with an hour shortened to a second: retention is what
    it does every hour."""
    for tool in run.tools:
        with Turn(run, tool, Round) as turn:
            shutil.copyfile(items_of_writer(run), turn.db)
            turn.first_copy()
            if tool == "Litestream":
                turn.settle(quiet=35, timeout=600)  # Litestream compacts its first copy after half a minute
            stored = sum(turn.keys().values())
            counted = requests_during(turn, opt.idle_s)
            turn.daemon.stop()
            if tool == "Seawall":
                yield f"nobody writes: requests in the first {opt.idle_s} s after the first copy", tool, sum(counted.values())
                turn.start("--prune-interval", "1s", quiet=2)
                counted, scale = requests_during(turn, 24), 1
                turn.daemon.stop()
            else:
                scale = DAY_S / opt.idle_s
            yield from bill("nobody writes", tool, {kind: count * scale for kind, count in counted.items()}, stored)


def requests_during(turn, seconds):
    """Requests by kind, without those by which Litestream compacts its first copy, which it does once."""
    started = time.time()
    time.sleep(seconds)
    ended = time.time()
    return collections.Counter(r.kind for r in turn.gateway.log(turn.prefix) if started <= r.when < ended and not FIRST.search(r.key))


A_DAY_S = 60  # the length of a day in the two functions below


def minutely_requests(run, opt):
    """The requests of one commit a minute, with a day shortened to a minute: the times in options are 1440 times shorter, and the objects are
    the same."""
    scaled = {"base-interval": DAY_S, "keep-all": DAY_S, "keep-levels": 7 * DAY_S, "grace": 3600, "prune-interval": 3600}
    options = [word for name, seconds in scaled.items() for word in (f"--{name}", f"{max(1000, round(seconds * 1000 * A_DAY_S / DAY_S))}ms")]
    with Turn(run, "Seawall", Round) as turn:
        turn.options = (*options, "--put-rate", "never")
        shutil.copyfile(items_of_writer(run), turn.db)
        turn.first_copy()
        writer = turn.application("--mode", "update", "--rate", DAY_S / 60 / A_DAY_S, "--seconds", opt.days * A_DAY_S)
        started = time.time()
        last = report(writer)["last"]
        counted = collections.Counter(r.kind for r in turn.gateway.log(turn.prefix) if r.when >= started)
        turn.daemon.stop()
        turn.restored()
        if turn.checked(turn.out) != last:
            raise Failed("the restored database is not the newest")
        return {kind: count / opt.days for kind, count in counted.items()}


def minutely_stored(run, opt):
    """What is stored after five weeks of one commit a minute, with the default options. For each day the daemon is started with a clock of
    that day (tests/support/app/clockstep.c). At the end of the day the times of all files are set back by a day, and `seawall prune` does
    what the daemon does every hour. So objects, bases and retention are real, and only the time is not."""
    with Turn(run, "Seawall", FolderRound) as turn:
        shutil.copyfile(items_of_writer(run), turn.db)
        known, clock = set(), turn.folder / "clock"
        turn.below = ("env", f"LD_PRELOAD={CLOCKSTEP}", f"CLOCKSTEP={clock}")
        for day in range(opt.month_days):
            clock.write_bytes(struct.pack("=q", (day - opt.month_days) * DAY_S))
            turn.start(quiet=0)
            last = turn.update("--rate", 200, "--count", DAY_S // 60)["last"]
            until("the base of the day", lambda: bases(turn) - known, 60)
            turn.daemon.stop()
            let_a_day_pass(turn, known)
            Process([run.programs["Seawall"], "prune", "--quiet", turn.url()], turn.folder / "prune.log").wait(120)
        turn.restored()
        if turn.checked(turn.out) != last:
            raise Failed("the restored database is not the newest")
        return (yield from stored_by_kind(f"one commit a minute, after {opt.month_days} days", turn))


def bases(turn):
    return {path for path, _, _ in turn.files() if path.name == "marker"}


def let_a_day_pass(turn, known):
    """Spreads the times of the day's objects evenly over the day. The base gets the beginning, so that the next one is due tomorrow."""
    now = time.time()
    files = sorted(turn.files(), key=lambda file: file[2])
    fresh = [path for path, _, _ in files if path not in known]
    for path, _, when in files:
        if path in known:
            os.utime(path, (when - DAY_S, when - DAY_S))
    for number, path in enumerate(fresh):
        when = now - 60 - DAY_S * (1 if "base" in path.parts else 1 - number / len(fresh))
        os.utime(path, (when, when))
    known.update(fresh)


def stored_by_kind(title, turn):
    stored, count = collections.Counter(), collections.Counter()
    for key, size in turn.keys().items():
        stored[kind_of(key)] += size
        count[kind_of(key)] += 1
    for kind in sorted(stored):
        yield f"{title}: objects in {kind}", "Seawall", count[kind]
        yield f"{title}: stored in {kind}, MB", "Seawall", stored[kind] / MB
    return sum(stored.values())


# ---- a commit a second


AN_HOUR_S = 60  # the length of an hour in the functions below


def measure_second(run, opt):
    """The times in options are 60 times shorter, and the writer is 60 times faster: so each prune sees as many objects as it would."""
    scaled = {"base-interval": DAY_S, "keep-all": DAY_S, "keep-levels": 7 * DAY_S, "grace": 3600, "prune-interval": 3600}
    options = [word for name, seconds in scaled.items() for word in (f"--{name}", f"{seconds * AN_HOUR_S // 3600}s")]
    if before := os.environ.get("SEAWALL_BEFORE"):
        run.programs[BEFORE] = before
    with contextlib.ExitStack() as stack:
        turns = {tool: stack.enter_context(Turn(run, tool, Round)) for tool in ([BEFORE, "Seawall"] if before else ["Seawall"])}
        for turn in turns.values():
            turn.options = (*options, "--put-rate", "never")
            subprocess.run([WRITER, "--mode", "update", "--table-rows", "4000", "--count", "0", turn.db], check=True, capture_output=True)
            turn.first_copy()
        started = time.time()
        writers = {tool: turn.application("--mode", "update", "--table-rows", 4000, "--rate", 3600 // AN_HOUR_S, "--seconds", opt.hours * AN_HOUR_S)
                   for tool, turn in turns.items()}
        most = dict.fromkeys(turns, 0)
        while time.time() - started < opt.hours * AN_HOUR_S - 5:
            time.sleep(AN_HOUR_S / 4)
            most = {tool: max(most[tool], len(turn.keys())) for tool, turn in turns.items()}
        written = {tool: report(writer) for tool, writer in writers.items()}
        ended = time.time()  # at once: the daemons go on, and what is older than a day goes
        points = {tool: json.loads(command(turn, tool, "list", "--json").stdout) for tool, turn in turns.items()}
        sizes = {tool: turn.keys() for tool, turn in turns.items()}
        for turn in turns.values():
            turn.daemon.stop()
        for tool, turn in turns.items():
            title = f"a commit a second for {opt.hours} h"
            found = sum(each["count"] for each in points[tool]["ranges"]) - 1  # the first copy is one more
            yield f"{title}: objects, most", tool, max(most[tool], len(sizes[tool]))
            yield f"{title}: objects at the end", tool, len(sizes[tool])
            yield f"{title}: commits that are restore points, of 100", tool, 100 * found / written[tool]["commits"]
            yield from day_of_seconds(turn, tool, (written[tool]["commits"], started, ended), sizes[tool], opt.hours)


def day_of_seconds(turn, tool, load, sizes, hours):
    """`load`: commits, and when it began and ended. Requests are counted as if each commit had an object of its own: if the machine is slow,
    some share one."""
    commits, started, ended = load
    title = f"a commit a second for {hours} h"
    seen = [r for r in turn.gateway.log(turn.prefix) if started <= r.when < ended]
    counted = collections.Counter(r.kind for r in seen)
    level0 = sum(1 for r in seen if r.kind == "PUT" and kind_of(r.key) == "level 0")
    yield f"{title}: commits for each object of level 0", tool, commits / level0
    counted["PUT"] += commits - level0
    yield from bill(title, tool, {kind: count * 24 / hours for kind, count in counted.items()}, sum(sizes.values()))
    attached = time.time()
    turn.start(*turn.options, quiet=2)
    turn.daemon.stop()
    begun = collections.Counter(r.kind for r in turn.gateway.log(turn.prefix) if r.when >= attached)
    yield f"{title}: LIST requests of a start and an end", tool, begun["LIST"]
    for name, arguments in COMMANDS.items():
        attached = time.time()
        command(turn, tool, *arguments)
        begun = collections.Counter(r.kind for r in turn.gateway.log(turn.prefix) if r.when >= attached)
        yield f"{title}: {name}: requests", tool, sum(begun.values())
    attached = time.time()
    turn.restored()
    begun = collections.Counter(r.kind for r in turn.gateway.log(turn.prefix) if r.when >= attached)
    yield f"{title}: restore: requests", tool, sum(begun.values())
    turn.checked(turn.out, "--table-rows", 4000)


# ---- restore


FILL_ROWS = 100_000


def make_items(path, size, payload):
    """Makes a table `item` as the writer has it, of about `size` bytes, with rows of hexadecimal text, which deflates to a half. Returns the
    number of rows."""
    rows = size // (payload + 35)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -200000;"
                         "CREATE TABLE item(id INTEGER PRIMARY KEY, txn INTEGER, code INTEGER, payload BLOB)")
        for first in range(1, rows + 1, FILL_ROWS):  # in steps, so that a signal ends the program soon
            db.execute("INSERT INTO item WITH RECURSIVE n(i) AS (VALUES(?) UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                       f" SELECT i, 0, random() >> 16, hex(randomblob({payload // 2})) FROM n", (first, min(rows, first + FILL_ROWS - 1)))
        db.executescript("CREATE INDEX item_code ON item(code); PRAGMA journal_mode = WAL")
    return rows


def measure_restore(run, opt):
    title = f"{opt.big_bytes // MB:,} MB"
    with Turn(run, "Seawall", Round) as turn:
        rows = make_items(turn.db, opt.big_bytes, PAYLOAD)
        turn.first_copy()
        yield f"{title}: its first copy, MB", "Seawall", turn.first_bytes / MB
        turn.update("--count", opt.commits, "--rate", PACE, rows=rows)
        turn.daemon.stop()
        yield f"{title}: objects in the store, {opt.commits:,} commits later", "Seawall", len(turn.keys())
        yield f"{title}: bytes in the store, MB", "Seawall", sum(turn.keys().values()) / MB
        yield from restores(turn, title, opt.rounds)
        turn.out.unlink()
        yield from back(turn, title, opt.back, opt.rounds)


def restores(turn, title, rounds):
    """Restores the newest state. Both databases are at rest, so they must be equal."""
    seconds, read = [], []
    for _ in range(rounds):
        for path in (turn.out, pathlib.Path(f"{turn.out}-seawall")):
            path.unlink(missing_ok=True)
        os.sync()
        before = turn.read_so_far()
        seconds.append(turn.restored().seconds)
        read.append(turn.read_so_far() - before)
    if subprocess.run(["cmp", "-s", turn.db, turn.out]).returncode != 0:
        raise Failed("the restored database is not the original")
    yield f"{title}: restore, s", "Seawall", median(seconds)
    yield f"{title}: restore: read, MB", "Seawall", median(read) / MB
    yield f"{title}: restore: read, in proportion to the first copy", "Seawall", median(read) / turn.first_bytes


def newest_txid(turn):
    output = Process([turn.bench.programs["Seawall"], "list", "--json", turn.url()], turn.folder / "list.log").wait(300)
    return json.loads(output)["last_txid"]


def restore_in_place(turn, *arguments):
    """Returns (seconds, bytes read, output)."""
    os.sync()
    before = turn.read_so_far()
    process = Process([turn.bench.programs["Seawall"], "restore", *map(str, arguments), "-o", str(turn.db)]
                      + ([] if "--undo" in arguments else [turn.url()]), turn.folder / "restore.log")
    output = process.wait(3600, poll=0.005)
    return process.seconds, turn.read_so_far() - before, output


def fetched(output):
    """The bytes that the program says it has read."""
    found = re.search(r"(?:fetched|objects? of) ([\d.]+) (k|M|G)?B", output)
    return float(found[1]) * {None: 1, "k": 1e3, "M": 1e6, "G": 1e9}[found[2]]


def back(turn, title, steps, rounds):
    """Restores the database back by so many commits and forth again, in three ways. Before: the daemon has ended."""
    newest, state = newest_txid(turn), pathlib.Path(f"{turn.db}-seawall")
    found = collections.defaultdict(list)

    def note(what, *arguments, expected=""):
        seconds, read, output = restore_in_place(turn, *arguments)
        if expected not in output:
            raise Failed(f"{what}: {output.strip()}")
        if "--undo" not in arguments:
            found[f"{what}: fetched, MB"].append((read or fetched(output)) / MB)
        found[f"{what}: s"].append(seconds)
        say(f"  {what}: {seconds:.2f} s, read {read / MB:.3g} MB: {output.splitlines()[0]}")

    for commits in steps:
        for _ in range(rounds):
            note(f"{commits:,} commits back, --delta", "--delta", "--txid", newest - commits, expected="as the state file says")
            note(f"{commits:,} commits forth, --delta", "--delta", expected="as the state file says")
    for commits in steps:
        for _ in range(rounds):
            state.unlink()
            note(f"{commits:,} commits back, --delta, no state file", "--delta", "--txid", newest - commits, expected="all were read")
            note(f"{commits:,} commits back, then --undo", "--undo")
    for commits in steps:
        for _ in range(rounds):
            note(f"{commits:,} commits back, --force", "--force", "--no-keep-undo", "--txid", newest - commits)
    for what, values in found.items():
        yield f"{title}: {what}", "Seawall", median(values)


# ---- large


def measure_large(run, opt):
    needed = opt.large_bytes * 4.5
    if (free := shutil.disk_usage(run.folder).free) < needed:
        raise Failed(f"{free / 1e9:.0f} GB of disk are free, {needed / 1e9:.0f} GB are needed")
    with Turn(run, "Seawall", FolderRound) as turn:
        turn.options = ("--fanout", str(opt.large_fanout))
        rows = make_items(turn.db, opt.large_bytes, LARGE_PAYLOAD)
        size, title = turn.db.stat().st_size, f"{opt.large_bytes // MB:,} MB"
        started = time.perf_counter()
        turn.start(*turn.options, quiet=0)
        until("the base", lambda: "the base is complete" in turn.daemon.output() or turn.daemon.ended(), 3600, poll=0.1)
        took = time.perf_counter() - started
        yield f"{title}: base, s", "Seawall", took
        yield f"{title}: base, MB/s", "Seawall", size / MB / took
        yield f"{title}: base, stored, MB", "Seawall", sum(turn.keys().values()) / MB
        yield f"{title}: its page map, a mapped file, MB", "Seawall", size // 4096 * 16 / MB
        yield from peaks(turn, f"{title}: base")
        yield from large_level(turn, rows, opt)
        turn.update("--size", LARGE_PAYLOAD, "--count", max(opt.back), "--rate", LARGE_PACE, rows=rows)
        turn.daemon.stop()
        yield from back(turn, title, opt.back, opt.large_rounds)


LARGE_PAYLOAD = 2000


def peaks(turn, title):
    """The peak memory since the last call."""
    pid = turn.daemon.child.pid
    yield f"{title}: peak resident memory, MB", "Seawall", status_kb(pid, "VmHWM") * 1024 / MB
    yield f"{title}: of that not of files, at the end, MB", "Seawall", status_kb(pid, "RssAnon") * 1024 / MB
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def large_level(turn, rows, opt):
    """Makes a level by large transactions: as many as it needs, each as large as one object may be."""
    each = opt.large_change // opt.large_fanout // (LARGE_PAYLOAD + 48)  # a page holds about two rows
    store = turn.store

    def count(level):
        return sum(1 for _ in (store / str(level)).iterdir()) if (store / str(level)).exists() else 0

    with contextlib.closing(sqlite3.connect(turn.db, isolation_level=None, timeout=30)) as db:
        before = count(0)
        for number in range(opt.large_fanout):
            first = (number * (rows // opt.large_fanout)) + 1
            db.execute(f"UPDATE item SET payload = hex(randomblob({LARGE_PAYLOAD // 2})) WHERE id BETWEEN ? AND ?", (first, first + each))
            until("the object", lambda: count(0) > before + number, 120, poll=0.005)
    fresh = sum(size for key, size in turn.keys().items() if kind_of(key) in ("level 0", "parts"))
    started = time.perf_counter()
    until("the level", lambda: count(1) > 0 or turn.daemon.ended(), 900, poll=0.01)
    yield "level of large changes: s after the last of them", "Seawall", time.perf_counter() - started
    yield "level of large changes: level 0 before it, MB", "Seawall", fresh / MB
    after = sum(size for key, size in turn.keys().items() if kind_of(key) in ("level 0", "parts", "level 1"))
    yield "level of large changes: it, MB", "Seawall", (after - fresh) / MB
    yield from peaks(turn, "level of large changes")


GROUPS = {"bytes": measure_bytes, "fanout": measure_fanout, "folder": measure_folder, "day": measure_day, "second": measure_second, "restore": measure_restore, "large": measure_large}


class Run(gateway.Run):
    groups = GROUPS


def options():
    parser = argparse.ArgumentParser(description="Measure what the history of a replica costs and gives back.")
    gateway.arguments(parser)
    parser.add_argument("--only", action="append", choices=GROUPS, metavar="NAME", help=f"one of {', '.join(GROUPS)}; can be repeated")
    parser.add_argument("--seconds", type=int, metavar="N", help="how long the application runs for `bytes` (600; quick 20) and `folder` (300; quick 60)")
    parser.add_argument("--hours", type=int, metavar="N", help="how long the application seems to run for `second` (24; quick 2)")
    opt = parser.parse_args()
    opt.dir = opt.dir.resolve()
    opt.bytes_s = opt.seconds or (20 if opt.quick else 600)
    opt.folder_s = opt.seconds or (60 if opt.quick else 300)
    opt.hours = opt.hours or (2 if opt.quick else 24)
    opt.fanout_s, opt.idle_s, opt.days, opt.month_days = (10, 5, 1, 3) if opt.quick else (60, 60, 4, 35)
    opt.big_bytes, opt.commits, opt.back, opt.rounds = (100 * MB, 10_000, [360, 3600], 1) if opt.quick else (1000 * MB, 100_000, [3600, 36_000], 3)
    opt.large_bytes, opt.large_change, opt.large_fanout = (300 * MB, 50 * MB, 8) if opt.quick else (10_000 * MB, 1000 * MB, 100)
    opt.large_rounds = 1
    return opt


if __name__ == "__main__":
    sys.exit(gateway.main(Run, options()))
