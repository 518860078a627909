"""The application that uses the database: the C program app/writer.c as a process. It keeps its own record of commits."""
import json
import os
import signal
import subprocess
from pathlib import Path

from seawall import CHECKOUT
from waiting import PATIENCE, wait_until

BUILD = CHECKOUT / "build" / "tests"
SOURCES = CHECKOUT / "tests" / "support" / "app"
WRITER = BUILD / "writer"
SLOW_SYNC, FAULTS, CLOCK_STEP = (BUILD / f"{name}.so" for name in ("slowsync", "faults", "clockstep"))   # for LD_PRELOAD
LINE = 35  # bytes of a journal line: "c 000000000001 1700000000000000000\n"


def build():
    """Compiles the programs that the Makefile has not compiled."""
    compiler = os.environ.get("CC", "cc").split()
    common = ["-std=c11", "-O2", "-g", "-Wall", "-Wextra"]
    BUILD.mkdir(parents=True, exist_ok=True)
    source = SOURCES / "writer.c"
    if not WRITER.exists() or WRITER.stat().st_mtime < source.stat().st_mtime:
        subprocess.run([*compiler, *common, "-o", WRITER, source, "-lsqlite3"], check=True)
    for preloaded in (SLOW_SYNC, FAULTS, CLOCK_STEP):
        library(preloaded.stem)


def library(name):
    """A library for LD_PRELOAD, compiled from tests/support/app/NAME.c unless it is up to date."""
    target, sources = BUILD / f"{name}.so", [SOURCES / f"{name}.c", *SOURCES.glob("*.h")]
    if not target.exists() or target.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        subprocess.run([*os.environ.get("CC", "cc").split(), "-std=c11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-shared",
                        "-fPIC", "-o", target, sources[0], "-pthread"], check=True)
    return target


def arguments_of(options):
    """Turns {"busy_timeout": 5, "shared": True} into --busy-timeout 5 --shared."""
    for name, value in options.items():
        if value is not False:
            yield "--" + name.replace("_", "-")
            if value is not True:
                yield str(value)


def check(db, **options):
    """Asserts that `db` is sound, and exactly the state after some transaction of the writer. Returns the number of that transaction."""
    command = [WRITER, "--check", "--integrity", *arguments_of(options), db]
    result = subprocess.run(command, capture_output=True, timeout=600 * PATIENCE)
    assert result.returncode == 0, f"{db}: {result.stdout.decode()} {result.stderr.decode()}"
    return json.loads(result.stdout)["last"]


class Writer:
    """One process. It writes each commit into its journal, a record that does not depend on the database."""

    def __init__(self, db, folder, name, slow_sync_ms=0, **options):
        self.db, self.journal_path = Path(db), Path(folder) / f"{name}.journal"
        self.output = Path(folder) / f"{name}.out"
        environment = dict(os.environ)
        if slow_sync_ms:
            environment.update(LD_PRELOAD=str(SLOW_SYNC), SLOWSYNC_MS=str(slow_sync_ms))
        if options.get("mode") != "read":
            options["journal"] = self.journal_path
        with open(self.output, "wb") as stdout:
            self.process = subprocess.Popen([WRITER, *arguments_of(options), db], stdin=subprocess.DEVNULL, stdout=stdout,
                                            stderr=subprocess.STDOUT, env=environment)
        self.pid = self.process.pid

    def running(self):
        return self.process.poll() is None

    def log(self):
        return self.output.read_text(errors="replace")

    def committed(self):
        """The last transaction whose commit returned."""
        if not self.journal_path.exists():
            return 0
        with open(self.journal_path, "rb") as file:
            whole = file.seek(0, os.SEEK_END) // LINE
            while whole > 0:
                whole -= 1
                file.seek(whole * LINE)
                line = file.read(LINE)
                if line.startswith(b"c"):
                    return int(line[2:14])
        return 0

    def journal(self, what="c"):
        """[(n, ns), ...] of all commits ("c"), or of the moments before them ("b", with intents=True)."""
        lines = (line.split() for line in self.journal_path.read_text().splitlines())
        return [(int(n), int(ns)) for kind, n, ns in lines if kind == what]

    def wait_committed(self, n, seconds=60):
        wait_until(lambda: self.committed() >= n or not self.running(), seconds, f"the application committed transaction {n}")
        assert self.committed() >= n, f"the application ended at {self.committed()}, before {n}: {self.log()}"

    def report(self, seconds=60):
        """Its report (a JSON object). With linger=True it reports while it still has the database open."""
        wait_until(lambda: self.log().endswith("}\n") or not self.running(), seconds, "the application's report")
        return json.loads(self.log().splitlines()[-1])

    def finish(self, seconds=600):
        """Waits for its end. Returns its report."""
        code = self.process.wait(seconds * PATIENCE)
        assert code == 0, f"the application ended with {code}: {self.log()}"
        return self.report()

    def send(self, number):
        self.process.send_signal(number)

    def stop(self):
        if self.running():
            self.send(signal.SIGTERM)
        return self.finish()

    def kill(self):
        if self.running():
            self.send(signal.SIGKILL)
        self.process.wait()


def busy_errors(report):
    return sum(count for kind, count in report["errors"].items() if kind.startswith("busy"))


def all_errors(report):
    return sum(report["errors"].values())
