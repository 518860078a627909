"""The common part of the benchmarks over S3: the server, whose log counts the requests; a round of one tool below a prefix; and the run,
which measures groups of figures one after the other and shows them."""
import calendar
import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import typing

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
SUPPORT = HERE.parent / "support"
sys.path[:0] = [str(HERE), str(SUPPORT)]
import bench  # noqa: E402
from bench import Failed, Process, ROOT, say, show, until  # noqa: E402
from s3request import S3  # noqa: E402

DAY_S = 86_400
COUNTS = re.compile(r"requests: put (\d+), get (\d+), head (\d+), list (\d+), delete (\d+), failed (\d+)")
# 127.0.0.1 - USER [MOMENT ZONE] "METHOD TARGET HTTP/1.1" STATUS BYTES REFERRER AGENT RANGE latency=...
LINE = re.compile(r'beast: \S+: \S+ - \S+ \[(\S+) \S+\] "([A-Z]+) (\S+) HTTP\S+" \d+ (\d+) (?:"[^"]*"|-) ("[^"]*"|-) ')


class Request(typing.NamedTuple):
    when: float  # seconds since 1970
    kind: str  # PUT, GET, HEAD, LIST, DELETE; POST: the deletion of several keys, or a step of a multipart upload
    key: str  # in the bucket; "": the request has no key
    bytes: int  # of the body, of the request or of the answer


class Gateway:
    """The server. Its log has all requests."""

    def __init__(self, folder):
        self.folder = folder
        output = subprocess.run([SUPPORT / "rgw", f"--owner={os.getpid()}", "--lifetime=14400", "start", folder], check=True,
                                capture_output=True, text=True).stdout
        values = dict(line.split("=", 1) for line in output.splitlines())
        for name in [name for name in os.environ if re.match(r"AWS_|SSL_CERT_|(https?|all|no)_proxy$", name, re.I)]:
            del os.environ[name]
        os.environ.update({name: value for name, value in values.items() if name.startswith("AWS_")}, AWS_EC2_METADATA_DISABLED="true")
        self.endpoint, self.tls_endpoint, self.ca_file = (values[f"S3_{name}"] for name in ("ENDPOINT", "TLS_ENDPOINT", "CA_FILE"))
        self.bucket = values["S3_BUCKET"]
        self.raw = S3(self.endpoint, values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"])

    def stop(self):
        subprocess.run([SUPPORT / "rgw", "stop", self.folder], check=True)

    def log(self, prefix):
        """Each Request below a prefix so far, from the log of the gateway, without those of the benchmark itself."""
        time.sleep(1.5)  # until the gateway has written its log
        with open(self.folder / "log" / "client.rgw.log", errors="replace") as log:
            for line in log:
                if (found := LINE.search(line)) and found[5] != "-":  # the benchmark itself sends no agent
                    request = self.request(prefix, *found.groups()[:4])
                    if request:
                        yield request

    def request(self, prefix, when, method, target, size):
        target = target.replace("%2F", "/")
        listed = re.search(r"[?&](?:list-type|prefix)=", target)
        if prefix not in target and not (method == "POST" and target.endswith("?delete=")):  # this one has its keys in the body
            return None
        key = "" if listed else target.partition("?")[0].removeprefix(f"/{self.bucket}/")
        second, _, fraction = when.partition(".")
        moment = calendar.timegm(time.strptime(second, "%d/%b/%Y:%H:%M:%S")) + float(f"0.{fraction or 0}")
        return Request(moment, "LIST" if listed else method, key, int(size))

    def requests(self, prefix):
        """How many requests of each kind there were below a prefix so far: {"PUT": ..., "LIST": ...}"""
        return collections.Counter(request.kind for request in self.log(prefix))


class Round(bench.Round):
    """One tool, one database, one prefix."""

    below = ()  # a command that starts the daemon

    def __init__(self, run, tool, folder):
        super().__init__(run, tool, folder)
        self.gateway, self.prefix = run.gateway, f"{folder.name}/{tool.replace(' ', '-')}"

    def url(self):
        endpoint, more = self.gateway.endpoint, "&region=us-east-1&forcePathStyle=true" if self.tool == "Litestream" else ""
        return f"s3://{self.gateway.bucket}/{self.prefix}?endpoint={endpoint}{more}"

    def keys(self):
        """{key: size} of all objects."""
        return self.gateway.raw.keys(self.gateway.bucket, self.prefix)

    def start(self, *options, quiet=0.5, timeout=bench.ATTACH_TIMEOUT_S):
        """Starts the daemon and waits for its first copy."""
        program = [*self.below, self.bench.programs[self.tool], "replicate"]
        self.daemon = Process([*program, *options, str(self.db), self.url()], self.folder / "daemon.log")
        self.settle(quiet, timeout)

    def settle(self, quiet, timeout=bench.ATTACH_TIMEOUT_S):
        """Waits until the store has not grown for `quiet` seconds."""
        seen, since = {}, time.monotonic()

        def settled():
            nonlocal seen, since
            if self.daemon.ended():
                raise Failed(f"the daemon {self.daemon.ending()}")
            if (now := self.keys()) != seen:
                seen, since = now, time.monotonic()
            return seen and time.monotonic() - since >= quiet

        until("a quiet store", settled, timeout, poll=0.1)

    def restored(self, *options):
        process = Process([self.bench.programs[self.tool], "restore", *options, "-o", str(self.out), self.url()], self.folder / "restore.log")
        process.wait(bench.STOP_TIMEOUT_S, poll=0.005)
        return process


class Turn:
    """A round in a folder, which is removed at the end."""

    def __init__(self, run, tool, kind=Round):
        self.run, self.tool, self.kind = run, tool, kind

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.run.folder))
        return self.kind(self.run, self.tool, self.folder)

    def __exit__(self, *_):
        bench.end_processes()
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- the run


class Run:
    """Measures groups of figures. A group is a function of the run and its options, which yields (label, column, value)."""

    groups = {}

    def __init__(self, opt, folder):
        self.opt, self.folder, self.gateway = opt, folder, None
        self.programs = {"Seawall": os.environ.get("SEAWALL") or str(ROOT / "build" / "seawall")}
        if litestream := shutil.which("litestream"):
            self.programs["Litestream"] = litestream
        self.tools = list(self.programs)
        self.writer = opt.dir / "load"
        self.values, self.failures = collections.defaultdict(dict), []

    def prepare(self):
        """Makes what the rounds need."""

    def measure(self, name):
        try:
            for label, column, value in self.groups[name](self, self.opt):
                self.values[label][column] = value
                say(f"{label:60} {column:10} {show(value)}")
        except (Failed, OSError, sqlite3.Error, ValueError, LookupError, subprocess.SubprocessError) as error:
            self.failures.append(f"{name}: {type(error).__name__}: {error}")
            say(f"FAILED {self.failures[-1]}")
        finally:
            bench.end_processes()

    def table(self):
        columns = list(dict.fromkeys(column for found in self.values.values() for column in found))
        rows = [["figure", *columns, ""]]
        for label, found in self.values.items():
            rows.append([label, *(show(found[column]) if column in found else "-" for column in columns), ""])
        return bench.layout(rows)

    def report(self):
        print(self.table())
        for failure in self.failures:
            print(f"* failed: {failure}")
        if self.opt.json:
            document = {"cpus": os.cpu_count(), "quick": self.opt.quick, "figures": self.values, "failures": self.failures}
            self.opt.json.write_text(json.dumps(document, indent=1) + "\n")


@contextlib.contextmanager
def gateway_of(run):
    """Runs a server, which keeps all objects in memory."""
    run.gateway = Gateway(run.opt.dir / f"rgw-{os.getpid()}")
    try:
        yield
    finally:
        bench.end_processes()
        run.gateway.stop()
        shutil.rmtree(run.gateway.folder)


def arguments(parser):
    """Adds the arguments that all benchmarks over S3 have."""
    parser.add_argument("--quick", action="store_true", help="a smoke run")
    parser.add_argument("--dir", type=pathlib.Path, default=ROOT / "build" / "bench", metavar="DIR", help="folder to work in (build/bench)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all figures to FILE")


def main(kind, opt):
    """Measures the chosen groups, each on a server of its own. Returns the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    opt.dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=opt.dir, ignore_cleanup_errors=True) as temp:
        run = kind(opt, pathlib.Path(temp))
        run.prepare()
        for name in opt.only or run.groups:
            with gateway_of(run):
                run.measure(name)
    run.report()
    return 1 if run.failures else 0
