#!/usr/bin/env python3
"""Measures one daemon of many databases: `fleet.py [COUNT ...]` (100 1000), in build/bench, with folders as replicas. Litestream (in PATH,
or LITESTREAM=program) runs beside, one after the other, up to PEER_MAX databases.

For each count: memory, open files and CPU of a daemon whose databases are all idle; how long a start takes on databases that did not
change; then 100 of them commit ten times a second, everything is killed, and each is restored and compared: how old is the oldest commit
that is lost. Then what it costs to wake a database, by three kinds of visitor; how long a commit takes to be durable alone, beside a
database that is written without pause, and beside a store that does not answer; and a restore of all against that of one database with
the same bytes. Prints a table for each, and draws build/bench/fleet.svg."""
import os
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SEAWALL = ROOT / "build" / "seawall"
LITESTREAM = os.environ.get("LITESTREAM") or shutil.which("litestream")
BUSY, RATE, BUSY_S, IDLE_S, PEER_MAX = 100, 10, 10, 20, 1000
TICK = os.sysconf("SC_CLK_TCK")
FOLDER = ROOT / "build" / "bench" / "fleet"


def make_databases(count):
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "tenants").mkdir(parents=True)
    template = FOLDER / "template.db"
    connection = sqlite3.connect(template)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t(n INTEGER PRIMARY KEY, at REAL)")
    connection.execute("INSERT INTO t VALUES (0, 0)")
    connection.commit()
    connection.close()
    for i in range(count):
        (FOLDER / "tenants" / str(i)).mkdir()
        shutil.copy(template, database(i))


def database(i):
    return FOLDER / "tenants" / str(i) / "app.db"


class Tool:
    """A daemon. `ready()`: every database is replicated, and nothing is under way."""

    def __init__(self, count):
        self.count, self.process, self.config = count, None, FOLDER / f"{self.name}.conf"
        self.write_config()

    def start(self):
        self.started = time.monotonic()
        self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=open(FOLDER / f"{self.name}.log", "ab"))

    def wait_ready(self, seconds):
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() - self.started > seconds:
                return None
            time.sleep(0.05)
        return time.monotonic() - self.started

    def figures(self):
        """(resident bytes, open files, CPU seconds so far)"""
        proc = Path("/proc") / str(self.process.pid)
        resident = next(int(line.split()[1]) * 1024 for line in (proc / "status").read_text().splitlines() if line.startswith("VmRSS"))
        fields = (proc / "stat").read_text().rsplit(")", 1)[1].split()
        return resident, len(list((proc / "fd").iterdir())), (int(fields[11]) + int(fields[12])) / TICK

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        self.process.wait()
        return time.monotonic() - started

    def kill(self):
        self.process.kill()
        self.process.wait()


class Seawall(Tool):
    name = "Seawall"

    def write_config(self, sleep_after="2s"):
        self.config.write_text(f"[seawall]\ncontrol = {FOLDER}/control\nsleep-after = {sleep_after}\n"
                               f"[db {FOLDER}/tenants/*/app.db]\nreplica = {FOLDER}/{self.name}/{{folder}}\n")
        (FOLDER / "control").mkdir(mode=0o700, exist_ok=True)

    def command(self):
        return [SEAWALL, "replicate", "-c", self.config]

    def ready(self):
        """All sleep."""
        if self.figures()[1] > 40:   # files of databases are open
            return False
        found = subprocess.run([SEAWALL, "status", "--json", "-c", self.config], capture_output=True)
        return found.stdout.count(b'"asleep"') >= self.count

    def restore(self, i, target):
        subprocess.run([SEAWALL, "restore", "-o", target, FOLDER / self.name / str(i)], check=True, capture_output=True)


class Litestream(Tool):
    name = "Litestream"

    def write_config(self):
        entries = "".join(f"  - path: {database(i)}\n    replica:\n      path: {FOLDER}/{self.name}/{i}\n" for i in range(self.count))
        self.config.write_text(f"dbs:\n{entries}")

    def command(self):
        return [LITESTREAM, "replicate", "-config", self.config]

    def ready(self):
        folder = FOLDER / self.name
        return folder.exists() and sum(1 for one in folder.iterdir() if any(one.rglob("*.ltx"))) >= self.count

    def restore(self, i, target):
        subprocess.run([LITESTREAM, "restore", "-config", self.config, "-o", target, database(i)], check=True, capture_output=True)


def idle(tool):
    """{name of a row: value} of a daemon with nothing to do."""
    tool.start()
    first = tool.wait_ready(60 + tool.count)
    if first is None:
        tool.kill()
        return None
    time.sleep(5)
    _, _, before = tool.figures()
    time.sleep(IDLE_S)
    resident, files, after = tool.figures()
    stopped = tool.stop()
    tool.start()
    again = tool.wait_ready(60 + tool.count)
    restarted = tool.figures()[0]
    return {"first copies until all are idle, s": first, "resident, MB": resident / 1e6, "open files": files,
            "CPU of a core, %": 100 * (after - before) / IDLE_S, "stop, s": stopped, "start with nothing changed, s": again,
            "resident after that start, MB": restarted / 1e6}


def lost(tool):
    """Ages, in ms, of the oldest commit that each busy database lost with a kill of everything."""
    busy = range(min(BUSY, tool.count))
    connections = [sqlite3.connect(database(i), isolation_level=None) for i in busy]
    made = [[] for _ in busy]
    numbers = [connection.execute("SELECT max(n) FROM t").fetchone()[0] for connection in connections]
    started = time.monotonic()
    for turn in range(BUSY_S * RATE):
        for i in busy:
            numbers[i] += 1
            connections[i].execute("INSERT INTO t VALUES (?, ?)", (numbers[i], time.time()))
            made[i].append((numbers[i], time.monotonic()))
        time.sleep(max(0, started + (turn + 1) / RATE - time.monotonic()))
    tool.kill()
    killed = time.monotonic()
    ages = []
    for i in busy:
        connections[i].close()
        target = FOLDER / f"restored-{i}.db"
        tool.restore(i, target)
        restored = sqlite3.connect(target)
        newest = restored.execute("SELECT max(n) FROM t").fetchone()[0]
        restored.close()
        ages.append(max([1000 * (killed - at) for n, at in made[i] if n > newest] or [0]))
    return {"oldest lost commit, median, ms": statistics.median(ages), "the same, worst, ms": max(ages)}


def waking():
    """How long it takes from a write to a durable commit, by the kind of visitor; and what of the database is read."""
    tool = Seawall(1)
    path = database(0)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE IF NOT EXISTS large(a)")
    connection.execute("INSERT INTO large WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000) SELECT randomblob(4000) FROM n")
    connection.commit()
    connection.close()

    def keeps_open():
        kept = sqlite3.connect(path, isolation_level=None)
        kept.execute("INSERT INTO t(at) VALUES (1)")
        return kept

    def opens_and_closes():
        one = sqlite3.connect(path, isolation_level=None)
        one.execute("INSERT INTO t(at) VALUES (1)")
        one.close()

    def checkpoints():
        kept = keeps_open()
        kept.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return kept
    print(f"\nWaking one database of {path.stat().st_size / 1e6:.0f} MB:\n\n| visitor | until durable, ms | read by the daemon, MB |\n|---|---|---|")
    for name, visit in (("keeps a connection open", keeps_open), ("opens, writes and closes", opens_and_closes), ("checkpoints by itself", checkpoints)):
        times, read = [], []
        for _ in range(3):
            tool.start()
            if tool.wait_ready(120) is None:
                sys.exit("fleet.py: the database does not fall asleep")
            before = bytes_read(tool)
            started = time.monotonic()
            kept = visit()
            result = subprocess.run([SEAWALL, "sync", "-c", tool.config, path], capture_output=True, text=True)
            if result.returncode != 0:
                sys.exit(f"fleet.py: {name}: {result.stderr}")
            times.append(1000 * (time.monotonic() - started))
            read.append((bytes_read(tool) - before) / 1e6)
            if kept:
                kept.close()
            tool.stop()
            tool.start()
            tool.wait_ready(120)
            tool.stop()
        print(f"| {name} | {statistics.median(times):.0f} | {statistics.median(read):.1f} |", flush=True)


def delays(tool, of, times=300):
    """Milliseconds from a commit to its object in the folder of the replica, of databases that are written in turn."""
    connections = {i: sqlite3.connect(database(i), isolation_level=None) for i in of}
    found = []
    for k in range(times):
        i = of[k % len(of)]
        level = FOLDER / tool.name / str(i) / "0"
        before = len(os.listdir(level))
        connections[i].execute("INSERT INTO t(at) VALUES (1)")
        committed = time.monotonic()
        while len(os.listdir(level)) == before:
            time.sleep(0.0002)
        found.append(1000 * (time.monotonic() - committed))
        time.sleep(0.01)
    for connection in connections.values():
        connection.close()
    found.sort()
    return found[len(found) // 2], found[int(len(found) * 0.99)]


WITHOUT_PAUSE = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],isolation_level=None)\nwhile 1: c.execute('INSERT INTO t(at) VALUES (randomblob(500))')"


def neighbours(count):
    """A commit among `count` databases: alone, beside one that is written without pause, and while half of the others are in a store that takes
    connections and answers none. *Requests*: connections to that store in 20 s, when all of its databases have something to ship."""
    make_databases(count)
    tool, quiet = Seawall(count), list(range(10))
    tool.start()
    if tool.wait_ready(60 + count) is None:
        sys.exit("fleet.py: the databases do not fall asleep")
    rows = [("alone", *delays(tool, quiet))]
    writer = subprocess.Popen([sys.executable, "-c", WITHOUT_PAUSE, str(database(count - 1))])
    time.sleep(1)
    rows.append(("beside a writer without pause", *delays(tool, quiet)))
    writer.kill()
    writer.wait()
    tool.kill()
    down = socket.create_server(("127.0.0.1", 0), backlog=1000)
    far = sorted(str(database(i)) for i in range(count // 2, count))
    lines = tool.config.read_text().splitlines()
    for path in far[:50]:
        lines += [f"[db {path}]", f"replica = s3://bucket{path}?endpoint=http://127.0.0.1:{down.getsockname()[1]}&region=x"]
    tool.config.write_text("\n".join(lines) + "\n")
    accepted = []
    threading.Thread(target=accept_and_close, args=(down, accepted), daemon=True).start()
    os.environ.update(AWS_ACCESS_KEY_ID="id", AWS_SECRET_ACCESS_KEY="secret")
    tool.start()
    time.sleep(5)
    before = len(accepted)
    time.sleep(20)
    requests = len(accepted) - before
    rows.append(("beside 50 databases in a store that is down", *delays(tool, quiet)))
    tool.kill()
    down.close()
    print(f"\nFrom a commit to its object, among {count:,} databases:\n\n| | median, ms | p99, ms |\n|---|---|---|")
    for name, median, p99 in rows:
        print(f"| {name} | {median:.1f} | {p99:.1f} |")
    print(f"\nRequests in 20 s to the store that is down: {requests}", flush=True)


def accept_and_close(server, accepted):
    try:
        while True:
            server.accept()[0].close()
            accepted.append(1)
    except OSError:
        pass


def fill(path, megabytes):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE large(a)")
    connection.execute("INSERT INTO large WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT randomblob(2000) || zeroblob(2000) FROM n",
                       (megabytes * 250,))
    connection.commit()
    connection.close()


def restore_all(count=200, megabytes=1, rounds=5):
    """Bytes a second of `restore --all`, against those of one database with as many bytes."""
    make_databases(count + 1)
    for i in range(count):
        fill(database(i), megabytes)
    fill(database(count), count * megabytes)
    single = FOLDER / "single.conf"
    single.write_text(f"[db {database(count)}]\nreplica = {FOLDER}/single\n")
    tool = Seawall(count)
    tool.config.write_text(tool.config.read_text() + f"exclude = {database(count)}\n")
    for config in (tool.config, single):
        subprocess.run([SEAWALL, "snapshot", "-c", config, *([database(count)] if config == single else [])], check=True, capture_output=True)
    times = {"all": [], "one": []}
    for _ in range(rounds):
        for name, command in (("all", ["restore", "-c", tool.config, "--all", "--to", FOLDER / "back"]), ("one", ["restore", "-o", FOLDER / "back.db", FOLDER / "single"])):
            shutil.rmtree(FOLDER / "back", ignore_errors=True)
            (FOLDER / "back.db").unlink(missing_ok=True)
            started = time.monotonic()
            subprocess.run([SEAWALL, *command], check=True, capture_output=True)
            times[name].append(time.monotonic() - started)
    every, one = (statistics.median(times[name]) for name in ("all", "one"))
    print(f"\nrestore --all of {count} databases of {megabytes} MB: {every:.2f} s; of one with {count * megabytes} MB: {one:.2f} s; "
          f"bytes a second: {one / every:.2f} of it", flush=True)


def bytes_read(tool):
    return int((Path("/proc") / str(tool.process.pid) / "io").read_text().split()[1])


def draw(rows):
    """Memory and CPU against the number of databases, both axes in decades."""
    from math import log10
    width, height, left, below = 320, 220, 60, 40
    colours = {"Seawall": "#1f6f8b", "Litestream": "#c05f2a"}
    parts = []
    for k, (key, low, high) in enumerate((("resident, MB", 1, 1000), ("CPU of a core, %", 0.01, 100))):
        x0 = left + k * (width + left + 20)

        def at(count, value):
            return (x0 + width * (log10(count) - 1.7) / 2.6, 20 + height * (1 - log10(max(value, low) / low) / log10(high / low)))
        parts.append(f'<rect x="{x0}" y="20" width="{width}" height="{height}" fill="none" stroke="#888"/>'
                     f'<text x="{x0}" y="14">{key}</text>')
        value = low
        while value <= high:
            y = at(100, value)[1]
            parts.append(f'<line x1="{x0}" x2="{x0 + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/><text x="{x0 - 6}" y="{y + 4:.1f}" '
                         f'text-anchor="end">{value:g}</text>')
            value *= 10
        for count in (100, 1000, 10000):
            parts.append(f'<text x="{at(count, low)[0]:.1f}" y="{20 + height + 16}" text-anchor="middle">{count:,}</text>')
        for tool, colour in colours.items():
            points = [at(count, figures[key]) for (name, count), figures in sorted(rows.items(), key=lambda row: row[0][1]) if name == tool]
            if points:
                path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
                parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
                parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
                parts.append(f'<text x="{points[-1][0]:.1f}" y="{points[-1][1] - 8:.1f}" fill="{colour}" text-anchor="end">{tool}</text>')
    total = 2 * (width + left) + 40
    svg = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height + below + 20}" font-family="sans-serif" font-size="11">'
           f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}'
           f'<text x="{total / 2}" y="{height + below + 14}" text-anchor="middle">idle databases of one daemon</text></svg>\n')
    (FOLDER.parent / "fleet.svg").write_text(svg)


def main(counts):
    rows = {}
    for count in counts:
        for kind in (Seawall, Litestream):
            if kind is Litestream and (not LITESTREAM or count > PEER_MAX):
                continue
            make_databases(count)
            tool = kind(count)
            found = idle(tool)
            if found is None:
                print(f"{tool.name} with {count} databases did not get there", flush=True)
                continue
            found.update(lost(tool))
            rows[(tool.name, count)] = found
            print(f"{tool.name}, {count}: {found}", file=sys.stderr, flush=True)
        keys = list(next(found for (_, n), found in rows.items() if n == count)) if any(n == count for _, n in rows) else []
        tools = [name for name, n in rows if n == count]
        print(f"\n{count:,} databases:\n\n| | {' | '.join(tools)} |\n|---|{'---|' * len(tools)}")
        for key in keys:
            print(f"| {key} | {' | '.join(f'{rows[(tool, count)][key]:.4g}' for tool in tools)} |", flush=True)
    make_databases(1)
    waking()
    neighbours(max(counts))
    restore_all()
    draw(rows)
    shutil.rmtree(FOLDER)


main(list(map(int, sys.argv[1:])) or [100, 1000])
