"""Runs Seawall: its commands and exit codes, its daemon as a process, the keys of a replica in a folder."""
import json
import os
import re
import signal
import subprocess
from pathlib import Path

from waiting import PATIENCE, wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SEAWALL", CHECKOUT / "build" / "seawall"))

DONE, FAILED, USAGE, SOME_FAILED, NOTHING, CORRUPT, OTHER_WRITER, TIMED_OUT, NOTHING_TO_DO, NO_REPLICA, CONTENT, NEWCOMER, WRITTEN = range(13)
COMPARED = "compared all pages|pages differ"   # the log says so if it was not proven that the WAL continues the captured position
OBJECT_NAME = re.compile(r"[0-9a-f]{16}")


def seawall(*arguments, seconds=120, environment=None, folder=None):
    """Runs one command to its end, in `folder`. The result has returncode, stdout and stderr (bytes). `environment`: more variables."""
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, timeout=seconds * PATIENCE, cwd=folder,
                          env={**os.environ, **(environment or {})})


def told(result):
    """The exit code and the output of a command, for messages of assertions."""
    return f"exit code {result.returncode}\n{result.stdout[-2000:].decode(errors='replace')}\n{result.stderr[-4000:].decode(errors='replace')}"


def url_of(replica):
    """The URL of a folder; a URL is returned as it is."""
    return replica if is_remote(replica) else f"file://{replica}"


def is_remote(replica):
    return str(replica).startswith("s3://")


def restore(replica, target, *options, seconds=300, environment=None):
    return seawall("restore", *options, "-o", target, url_of(replica), seconds=seconds, environment=environment)


def listing(replica):
    """`list --json` as an object; None when there is nothing to restore."""
    result = seawall("list", "--json", url_of(replica))
    if result.returncode == NOTHING:
        return None
    assert result.returncode == DONE, told(result)
    return json.loads(result.stdout)


def last_txid(replica):
    """The newest txid; 0: the replica is empty. Cheaper than `listing` for a long history."""
    result = seawall("list", "--json", url_of(replica))
    found = re.search(rb'"last_txid":\s*(\d+)', result.stdout)
    return int(found[1]) if result.returncode == DONE and found else 0


def restore_points(replica):
    """The txids of all restore points, in the order in which `list` prints them."""
    result = seawall("list", "--json", url_of(replica), seconds=600)
    assert result.returncode == DONE, told(result)
    return [int(found[1]) for found in re.finditer(rb'"txid":\s*(\d+)', result.stdout)]


def objects(replica):
    """The keys of all objects of a replica in a folder ("0/0000000000000001"), without temporary files of the store."""
    found = sorted(str(path.relative_to(replica)) for path in Path(replica).rglob("*") if path.is_file())
    return [key for key in found if key == "seawall.json" or not Path(key).name.startswith(".")]


def level_zero(replica):
    folder = Path(replica) / "0"
    return sorted(name for name in os.listdir(folder) if OBJECT_NAME.fullmatch(name)) if folder.is_dir() else []


class Daemon:
    """`seawall replicate DB URL ...` as a process. A test that starts it ends it with stop(), kill() or wait()."""

    def __init__(self, db, replica, log, *options, also=(), environment=None, before=None):
        """`also`: more replicas. `environment`: more variables. `before`: a function that is called in the new process before the program
        runs."""
        self.db = Path(db)
        self.replica = replica if is_remote(replica) else Path(replica)
        self.start([*options, db, *map(url_of, (replica, *also))], log, environment, before)

    verb = "replicate"

    def start(self, arguments, log, environment=None, before=None):
        self.command = [str(BINARY), self.verb, *map(str, arguments)]
        self.log_path = Path(log)
        with open(log, "ab") as stderr:
            stderr.write(os.fsencode(f"$ {' '.join(self.command)}\n"))
            stderr.flush()
            self.log_start = stderr.tell()
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                                            env={**os.environ, **(environment or {})}, preexec_fn=before)
        self.pid = self.process.pid

    def log(self):
        """The log of this run so far."""
        with open(self.log_path, "rb") as file:
            file.seek(self.log_start)
            return file.read().decode(errors="replace")

    def wait_log(self, words, seconds=20):
        """The first match of `words` in this run's log. The daemon may write it after the event that it reports."""
        return self.wait_for(lambda: re.search(words, self.log(), re.M), seconds, f"the log says {words!r}")

    def told_once(self, words):
        """The one line of this run's log that matches."""
        if self.running():
            self.wait_log(words)
        lines = [line for line in self.log().splitlines() if re.search(words, line)]
        assert len(lines) == 1, f"{len(lines)} lines match {words!r}:\n{self.log()}"
        return lines[0]

    def running(self):
        return self.process.poll() is None

    def wait_live(self, seconds=30):
        """Waits until the replica has a restore point."""
        self.wait_for(lambda: last_txid(self.replica) >= 1, seconds, "the replica has a restore point")
        return self

    def wait_for(self, condition, seconds, what):
        """As wait_until, but fails at once if the daemon ends."""
        def met_or_dead():
            value = condition()
            assert value or self.running(), f"the daemon ended with {self.process.returncode} before: {what}\n{self.log()[-4000:]}"
            return value
        return wait_until(met_or_dead, seconds, what)

    def wait(self, seconds=60):
        """Waits until the daemon ends by itself. Returns its exit code."""
        return self.process.wait(seconds * PATIENCE)

    def send(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, seconds=120):
        """Sends SIGTERM, or `number`, when the daemon takes it, and waits until it has ended. Returns its exit code."""
        wait_until(lambda: not self.running() or self.takes(number), 20, f"the daemon takes signal {number}")
        if self.running():
            self.send(number)
        return self.wait(seconds)

    def takes(self, number):
        """Whether the program is so far that the signal does not just kill it."""
        try:
            masks = re.findall(r"^Sig(?:Blk|Cgt|Ign):\s*([0-9a-f]+)$", Path(f"/proc/{self.pid}/status").read_text(), re.M)
        except FileNotFoundError:
            return True
        return any(int(mask, 16) >> number - 1 & 1 for mask in masks)

    def kill(self):
        if self.running():
            self.send(signal.SIGKILL)
        self.process.wait()

    def memory_kib(self, key="VmHWM"):
        """VmHWM: the peak of its resident memory. VmRSS: its resident memory now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{key}:\s*(\d+) kB", status, re.M)[1])

    def cpu_ticks(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def longest_write_lock_hold_ms(self):
        """Sends SIGUSR1 and reads the answer from the log."""
        before = len(self.log())
        self.send(signal.SIGUSR1)
        pattern = re.compile(r"longest write-lock hold\D*([\d.]+)\s*ms")
        return float(self.wait_for(lambda: pattern.search(self.log(), before), 10, "an answer to SIGUSR1")[1])
