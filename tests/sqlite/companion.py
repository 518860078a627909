"""Runs a daemon beside the database of one test file. The daemon attaches when test.db is in WAL mode, and is stopped before the file changes
test.db without SQLite. Then the replica is restored and compared with the database. attached.tcl says when."""
import collections
import filecmp
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from compare import assert_same_pages, copy_file, settled
from waiting import PATIENCE

ATTACH_S, STOP_S, ATTEMPTS = 5, 20, 2
ATTACHMENTS = 100   # most attachments in one file, which then runs without a daemon: some files make a thousand databases
WAL_MODE = b"\x02\x02"


def without_room(path, folder):
    """A file of SQLITE_FCNTL_CHUNK_SIZE has room behind its last page, which is not a part of the database. Returns a copy that ends with
    the last page by the header, if the file is longer and its header counts; else `path`."""
    with open(path, "rb") as file:
        header = file.read(100)
    if len(header) < 100:
        return path
    page_size = int.from_bytes(header[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    end = page_size * int.from_bytes(header[28:32], "big")
    if header[24:28] != header[92:96] or not 0 < end < path.stat().st_size:
        return path
    copy = pathlib.Path(folder) / "without-room.db"
    copy_file(path, copy)
    os.truncate(copy, end)
    return copy


def compared(restored, db, folder):
    """Compares the restored database with `db`. Returns "identical", or the difference."""
    try:
        source = without_room(settled(db, folder), folder)
    except (sqlite3.Error, AssertionError, OSError) as error:   # the test has damaged its database on purpose
        return f"not comparable: {error}"
    if filecmp.cmp(source, restored, shallow=False):
        return "identical"
    try:
        assert_same_pages(source, restored)
        return "identical but for free pages"
    except AssertionError as difference:
        return f"different: {difference}"


class Companion:
    """Answers attached.tcl in a thread, until testfixture closes the FIFOs."""

    def __init__(self, program, folder, place):
        self.program, self.db, self.place = program, folder / "testdir" / "test.db", place
        self.ask, self.answer = place / "ask", place / "answer"
        self.control = tempfile.TemporaryDirectory(prefix="seawall-")   # a short path: names of sockets are limited
        self.counts, self.notes = collections.Counter(), []
        self.process = self.inode = None
        self.number, self.failed, self.test = 0, collections.Counter(), ""
        for fifo in (self.ask, self.answer):
            os.mkfifo(fifo)
        self.thread = threading.Thread(target=self.serve)

    def environment(self):
        return {"SEAWALL_ASK": str(self.ask), "SEAWALL_ANSWER": str(self.answer)}

    def serve(self):
        with open(self.ask, encoding="utf-8", errors="replace") as ask, open(self.answer, "wb", buffering=0) as answer:
            for line in ask:
                what, _, why = line.rstrip("\n").partition(" ")
                if what == "test":
                    self.test = why
                    self.attach()
                elif what == "leave":
                    self.leave(why)
                try:
                    answer.write(b"\n")
                except BrokenPipeError:
                    break

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        while self.thread.is_alive():   # testfixture may have ended before it opened the FIFOs
            for fifo in (self.ask, self.answer):
                os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))
            self.thread.join(0.1)
        self.leave("testfixture has ended")
        self.control.cleanup()

    def note(self, kind, text=""):
        self.counts[kind] += 1
        self.notes.append((self.test, kind, text))

    def log(self):
        return self.place / f"daemon-{self.number}.log"

    def in_wal_mode(self):
        """The inode of test.db if its header says WAL mode; otherwise None."""
        try:
            with open(self.db, "rb") as file:
                return os.fstat(file.fileno()).st_ino if file.read(20)[18:] == WAL_MODE else None
        except OSError:
            return None

    def attach(self):
        inode = self.in_wal_mode()
        self.notice_end()
        if self.process and self.inode_now() != self.inode:
            self.note("file replaced")
            self.stop()
        if self.process or inode is None or self.failed[inode] >= ATTEMPTS or self.number >= ATTACHMENTS:
            return
        self.number += 1
        with open(self.log(), "wb") as log:
            self.process = subprocess.Popen(
                [self.program, "replicate", "--set-wal", "no", "--control", self.control.name, self.db, self.replica()],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        end = time.monotonic() + ATTACH_S * PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            if "up to date at txid" in self.log().read_text():
                self.inode = inode
                self.note("attached")
                return
            time.sleep(0.002)
        self.failed[inode] += 1
        self.note("could not attach", self.log().read_text()[-300:])
        self.stop()

    def notice_end(self):
        if self.process and self.process.poll() is not None:
            self.note("ended by itself", self.log().read_text()[-300:])
            self.process = None

    def inode_now(self):
        try:
            return os.stat(self.db).st_ino
        except OSError:
            return None

    def replica(self):
        return self.place / f"replica-{self.number}"

    def stop(self):
        """Ends the daemon. Returns its exit code."""
        if not self.process:
            return None
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S * PATIENCE)
        except subprocess.TimeoutExpired:
            self.note("did not end")
            self.process.kill()
            code = self.process.wait()
        self.process = None
        if code < 0 and code != -signal.SIGKILL:
            self.note("crashed", f"signal {-code}")
        return code

    def leave(self, why):
        self.notice_end()
        if not self.process:
            return
        replaced = self.inode_now() != self.inode
        code = self.stop()
        if replaced:
            self.note("file replaced", why)
        else:
            self.check(why, code)
        for file in self.db.parent.glob("test.db-seawall*"):
            file.unlink()

    def check(self, why, code):
        folder = self.place / f"check-{self.number}"
        folder.mkdir()
        restored = folder / "restored.db"
        done = subprocess.run([self.program, "restore", "--no-keep-undo", "-o", restored, self.replica()], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)
        # 10: the restore is proven; SQLite finds a fault in the database that the test has made.
        verdict = compared(restored, self.db, folder) if restored.exists() else f"not restored: {done.stderr[-300:]}"
        self.note(verdict.partition(":")[0].partition(",")[0], f"{why}; daemon exit {code}, restore exit {done.returncode}; {verdict}")
        if code and verdict.startswith("identical"):
            self.note("exit code", f"{code}, although everything was shipped")
        if verdict == "identical":
            shutil.rmtree(folder)
            shutil.rmtree(self.replica())
            self.log().unlink()
