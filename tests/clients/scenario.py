"""What a client does beside the daemon, and the comparison at the end."""
import contextlib
import json
import queue
import re
import shutil
import subprocess
import threading
from pathlib import Path

from compare import assert_same_pages, assert_sound, settled
from seawall import DONE, Daemon, last_txid, restore, seawall, told
from waiting import PATIENCE, wait_until

FACTS = ("journal_mode", "synchronous", "busy_timeout", "wal_autocheckpoint", "mmap_size", "locking_mode", "page_size")


class Process:
    """A client as a process that answers commands."""

    def __init__(self, command, folder):
        self.errors = open(Path(folder) / "client.log", "ab")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, cwd=folder)
        self.answers = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put("")

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, line, seconds=60):
        """The answer to a command, an object. Its key `error` is there if the command failed."""
        self.say(line)
        answer = self.answers.get(timeout=seconds * PATIENCE)
        assert answer, f"the client ended at: {line}; see client.log"
        return json.loads(answer)

    def do(self, line):
        answer = self.ask(line)
        assert "error" not in answer, f"{line}: {answer['error']}"
        return answer

    def value(self, sql):
        return self.do(f"value {sql}")["value"]

    def end(self):
        """Ends it as programs end: its input is closed."""
        self.process.stdin.close()
        try:
            self.process.wait(20 * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
        self.errors.close()

    def kill(self):
        self.process.kill()
        self.process.wait()


class Story:
    """One client with a database, a daemon and a replica in a folder of its own."""

    def __init__(self, client, folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.client, self.folder = client, folder
        self.db, self.replica = folder / "app.db", folder / "replica"
        self.written = self.failed = 0
        self.why = ""
        self.daemon = self.process = None

    def start(self):
        """A new process of the client opens the database."""
        self.process = Process(self.client.command, self.folder)
        self.process.do(f"open {self.db}")

    def write(self, count):
        answer = self.process.do(f"write {count}")
        self.written += count
        self.failed += answer["failed"]
        self.why = self.why or answer["why"]

    def replicate(self):
        self.daemon = Daemon(self.db, self.replica, self.folder / "daemon.log", *self.client.options)

    def facts(self):
        """What the client's connection has as it comes."""
        found = {"sqlite": self.process.ask("value SELECT sqlite_version()").get("value")}
        for name in FACTS:
            found[name] = self.process.ask(f"value PRAGMA {name}").get("value")
        return found

    def begin(self):
        self.start()
        self.process.do("value CREATE TABLE item(id INTEGER PRIMARY KEY, body TEXT)")
        self.write(20)
        return self.facts()

    def work(self):
        """All that the client does while the daemon follows."""
        self.write(300)
        # Until the database is at rest it may be busy for a client without a busy timeout. A client that asks all the time never rests.
        wait_until(lambda: not self.process.value("PRAGMA wal_checkpoint(TRUNCATE)"), 20, "its own checkpoint succeeds", pause_max=2)
        self.write(50)
        self.process.do("value VACUUM")
        self.process.do("value DELETE FROM item WHERE id % 3 = 0")
        self.write(50)
        self.process.do("value VACUUM")
        self.process.do("close")
        self.process.do(f"open {self.db}")
        self.write(50)
        after = self.facts()
        self.daemon.kill()
        self.write(50)
        self.replicate()
        self.write(50)
        return after

    def die_and_come_back(self):
        """The client is killed while it writes. Another process of it recovers the database and goes on."""
        before = last_txid(self.replica)
        self.process.say("write 1000000")
        self.daemon.wait_for(lambda: last_txid(self.replica) > before + 5, 30, "the writer is being followed")
        self.process.kill()
        self.start()
        self.write(20)
        rows = self.process.value("SELECT count(*) FROM item")
        self.process.do("close")
        self.process.end()
        return rows

    def compare(self, rows):
        done = seawall("sync", self.db)
        assert done.returncode == DONE, told(done)
        assert self.daemon.stop() == DONE, self.daemon.log()[-2000:]
        back = self.folder / "back.db"
        done = restore(self.replica, back)
        assert done.returncode == DONE, told(done)
        assert_same_pages(settled(self.db, self.folder), back)
        assert_sound(back)
        reader = Process(self.client.command, self.folder)
        reader.do(f"open {back}")
        assert reader.value("SELECT count(*) FROM item") == rows, "the client sees other rows in the restored database"
        reader.do("close")
        reader.end()

    def run(self):
        before = self.begin()
        self.replicate()
        self.daemon.wait_live()
        after = self.work()
        rows = self.die_and_come_back()
        self.compare(rows)
        assert not self.failed, f"{self.failed} of {self.written} transactions failed: {self.why}"
        return {"before": before, "after": after, "written": self.written}

    def run_foreign(self):
        """An engine that Seawall can't follow: the daemon says so, calls nothing durable, and the client does not notice it."""
        before = self.begin()
        self.replicate()
        wait_until(lambda: re.search(self.client.foreign, self.daemon.log()), 30, f"the daemon says {self.client.foreign!r}")
        self.write(100)
        done = seawall("sync", "--timeout", "3s", self.db)
        assert done.returncode != DONE, "sync says that commits are durable"
        rows = self.process.value("SELECT count(*) FROM item")
        self.process.do("close")
        self.process.end()
        self.process = Process(self.client.command, self.folder)
        if self.client.locks_alone:
            self.daemon.wait_live()  # it was waiting for that
            refused = self.process.ask(f"open {self.db}").get("error", "")
            assert "lock" in refused.lower(), f"the client opens the database beside the daemon: {refused}"
            assert self.daemon.stop() == DONE, self.daemon.log()[-2000:]
            back = self.folder / "back.db"
            assert restore(self.replica, back).returncode == DONE
            assert_same_pages(settled(self.db, self.folder), back)
        self.daemon.kill()
        self.process.do(f"open {self.db}")
        assert self.process.value("SELECT count(*) FROM item") == rows == self.written, "rows are missing"
        self.process.do("close")
        self.process.end()
        assert not self.failed, f"{self.failed} of {self.written} transactions failed: {self.why}"
        return {"before": before, "after": {}, "written": self.written}

    def end(self):
        """Leaves no process."""
        if self.daemon:
            self.daemon.kill()
        if self.process:
            with contextlib.suppress(OSError):
                self.process.kill()


def play(client, folder):
    """Returns what was measured. Fails with AssertionError and other exceptions."""
    story = Story(client, folder)
    try:
        return story.run_foreign() if client.foreign else story.run()
    finally:
        story.end()
