#!/usr/bin/env python3
"""Measures Seawall over S3, on a Ceph object gateway on this machine (tests/support/rgw), and Litestream at its defaults if a `litestream`
binary is on PATH.

    s3.py [--quick] [--moments N] [--only NAME]... [--dir DIR] [--json FILE]

put        PUTs a second, latency and CPU of each, with small and large objects, with and without TLS (build/tests/s3tool)
loss       application and daemon are killed at the same moment: age of the oldest commit that the restored replica lacks
requests   the requests of a minute, and of a day at that rate. The daemon counts them (SIGUSR1), or for Litestream the log of the gateway
restore    time and memory of a restore from the gateway, with 32 connections

Gateway, daemon and application share the machine, so the rates are those of all three together. The latency is that of 127.0.0.1: add
the round trip to a real store."""
import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent)]
import bench  # noqa: E402
import gateway  # noqa: E402
from bench import Failed, MB, Process, ROOT, journal_read, newest, until  # noqa: E402
from gateway import COUNTS, DAY_S, HERE, Turn  # noqa: E402

BURST = 3600                                # --put-burst, by default
EMPTY = ("--put-burst", "1")                # as after the burst is used up


# ---- the figures; each yields (name, tool, value)


def measure_put(run, opt):
    (run.folder / "busy").write_bytes(os.urandom(65536))
    for tls in (False, True):
        query = f"endpoint={run.gateway.tls_endpoint}&ca-file={run.gateway.ca_file}" if tls else f"endpoint={run.gateway.endpoint}"
        url, over = f"s3://{run.gateway.bucket}/s3tool-{tls}?{query}", "TLS" if tls else "http"
        for size, count in ((4096, opt.small), (1 << 20, opt.large)):
            for threads in (1, 4):
                found = run.s3tool(url, "bench", size, count, threads)
                title = f"{'4 KiB' if size == 4096 else '1 MiB'}, {over}, {threads} at a time"
                for key, label in (("put_per_s", "PUT/s"), ("p50_ms", "p50, ms"), ("p99_ms", "p99, ms"), ("cpu_us", "CPU of each PUT, us")):
                    yield f"{title}: {label}", "Seawall", found[key]
        run.s3tool(url, "put", "busy", run.folder / "busy")
        one, many = (run.s3tool(url, "busy", 65536, threads)["rss_kib"] for threads in (1, 32))
        yield f"{over}: resident memory with 32 connections, MiB", "Seawall", many / 1024
        yield f"{over}: of that for each connection, KiB", "Seawall", (many - one) / 31 - 64


def measure_loss(run, opt):
    cases = [(rate, tool, ()) for rate in (1, 100, 1000) for tool in run.tools]
    cases += [(rate, "Seawall", EMPTY) for rate in (100, 1000)]
    for rate, tool, options in cases:
        lost = []
        for number in range(opt.moments):
            with Turn(run, tool) as turn:
                lost.append(one_loss(turn, rate, options))
        what = f"lost at {rate} commits/s{', burst used up' if options else ''}"
        yield f"{what}: median, ms", tool, statistics.median(lost)
        yield f"{what}: max, ms", tool, max(lost)


def one_loss(turn, rate, options):
    """The age of the oldest commit that the restored replica lacks, in ms; 0: it has all."""
    turn.run("create")
    turn.start(*options)
    path = turn.folder / "journal"
    writer = turn.load("insert", "--rate", rate, "--seconds", 60, "--journal", path)
    until("the first commit", lambda: path.exists() and journal_read(path), 10)
    time.sleep(random.uniform(1.5, 3.5))   # a random moment is what the figure needs
    died = time.time()
    turn.daemon.child.kill()
    writer.child.kill()
    turn.daemon.kill()
    writer.kill()
    journal = journal_read(path)
    turn.restored()
    first_lost = newest(turn.out, "log") + 1
    return 1000 * (died - journal[first_lost]) if first_lost in journal else 0.0


def measure_requests(run, opt):
    for rate in (0, 1, 100):
        for tool in run.tools:
            with Turn(run, tool) as turn:
                counted = count_requests(turn, rate, opt.minute_s)
            each_s = {kind: count / opt.minute_s for kind, count in counted.items()}
            title = f"{rate} commits/s" if rate else "idle"
            yield f"{title}: requests in {opt.minute_s} s", tool, sum(counted.values())
            if tool == "Seawall" and rate == 100:
                with Turn(run, tool) as turn:
                    steady = sum(count_requests(turn, rate, opt.minute_s, EMPTY).values()) / opt.minute_s
                yield f"{title}, burst used up: requests in {opt.minute_s} s", tool, steady * opt.minute_s
                yield f"{title}: a day, PUT, LIST, POST", tool, BURST + steady * DAY_S
            else:
                dear = sum(each_s.get(kind, 0) for kind in ("PUT", "LIST", "POST"))
                yield f"{title}: a day, PUT, LIST, POST", tool, dear * DAY_S
            yield f"{title}: a day, GET, HEAD", tool, sum(each_s.get(kind, 0) for kind in ("GET", "HEAD")) * DAY_S


def count_requests(turn, rate, seconds, options=()):
    """{kind: count} of the requests while the application commits."""
    turn.run("create")
    turn.run("insert", "--rate", 100, "--seconds", 0.1)
    turn.start(*options)
    before = counts(turn)
    if rate:
        turn.run("insert", "--rate", rate, "--seconds", seconds)
    else:
        time.sleep(seconds)
    after = counts(turn)
    turn.daemon.stop()
    return {kind: after[kind] - before[kind] for kind in after}


def counts(turn):
    """{kind: count} of the requests so far: as the daemon counts them, or for Litestream as the gateway does."""
    if turn.tool != "Seawall":
        return turn.gateway.requests(turn.prefix)
    seen = len(turn.daemon.output())
    turn.daemon.child.send_signal(signal.SIGUSR1)
    found = until("the answer to SIGUSR1", lambda: COUNTS.search(turn.daemon.output(), seen), 10)
    return dict(zip(("PUT", "GET", "HEAD", "LIST", "POST", "failed"), map(int, found.groups())))


def measure_restore(run, opt):
    for tool in run.tools:
        with Turn(run, tool) as turn:
            shutil.copyfile(opt.big_db, turn.db)
            size, last = turn.db.stat().st_size, newest(opt.big_db, "log")
            once = Process([run.programs[tool], "replicate", "--once" if tool == "Seawall" else "-once", str(turn.db), turn.url()],
                           turn.folder / "backup.log")
            once.wait(bench.STOP_TIMEOUT_S, poll=0.005)
            yield "first copy, MB/s", tool, size / MB / once.seconds
            yield "first copy: peak resident memory, MB", tool, once.peak_kb * 1024 / MB
            for jobs in ((), ("--jobs", "1"), ("--jobs", "32")) if tool == "Seawall" else ((),):
                turn.out.unlink(missing_ok=True)
                process = turn.restored(*jobs)
                if newest(turn.out, "log") != last:
                    raise Failed("the restored database is not complete")
                title = "restore" + (f" {' '.join(jobs)}" if jobs else "")
                yield f"{title}, MB/s", tool, size / MB / process.seconds
                yield f"{title}: peak resident memory, MB", tool, process.peak_kb * 1024 / MB


GROUPS = {"put": measure_put, "loss": measure_loss, "requests": measure_requests, "restore": measure_restore}


# ---- the run


class Run(gateway.Run):
    groups = GROUPS

    def prepare(self):
        compiler = [*os.environ.get("CC", "cc").split(), "-std=gnu11", "-O2", "-Wall", "-Wextra"]
        subprocess.run([*compiler, "-o", self.writer, HERE / "load.c", "-lsqlite3"], check=True)
        bench.Bench.prepare_db(self, self.opt.big_db, "fill", self.opt.big_bytes)

    def s3tool(self, url, *arguments):
        result = subprocess.run([ROOT / "build" / "tests" / "s3tool", url, *map(str, arguments)], capture_output=True, text=True)
        if result.returncode != 0:
            raise Failed(f"s3tool {arguments[0]}: {result.stdout.strip()[-300:]}")
        return json.loads(result.stdout) if arguments[0] in ("bench", "busy") else None


def options():
    parser = argparse.ArgumentParser(description="Measure Seawall over S3, on a Ceph object gateway, beside Litestream.")
    gateway.arguments(parser)
    parser.add_argument("--moments", type=int, metavar="N", help="moments at which the machine dies (20; quick 3)")
    parser.add_argument("--only", action="append", choices=GROUPS, metavar="NAME", help=f"one of {', '.join(GROUPS)}; can be repeated")
    opt = parser.parse_args()
    opt.dir = opt.dir.resolve()
    opt.moments = opt.moments or (3 if opt.quick else 20)
    opt.small, opt.large, opt.minute_s = (300, 30, 10) if opt.quick else (3000, 100, 60)
    opt.big_bytes = (100 if opt.quick else 500) * MB
    opt.big_db = opt.dir / f"fill-{opt.big_bytes // MB}.db"
    return opt


if __name__ == "__main__":
    sys.exit(gateway.main(Run, options()))
