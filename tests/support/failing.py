"""Commands in which the n-th call of one kind fails: failnth.c has the kinds. What is there before each run is put back by Image."""
import re
import shutil
import struct
import subprocess
from collections import namedtuple
from pathlib import Path

import application
from disk import write_in_place

REPORT_BYTES = 4096
# What a call of each kind fails with, in turn: an errno, a result code of SQLite, or 0 for half of the bytes.
EINTR, EIO, EAGAIN, ENOMEM, EACCES, EMFILE, ENFILE, ENOSPC, EDQUOT = 4, 5, 11, 12, 13, 24, 23, 28, 122
ENOLCK, EPERM, EPIPE, ECONNRESET = 37, 1, 32, 104
SQLITE_NOMEM, SQLITE_IOERR, SQLITE_FULL = 7, 10, 13
KINDS = {"memory": [ENOMEM], "sqlite-memory": [ENOMEM], "library-memory": [ENOMEM], "sqlite": [SQLITE_IOERR, SQLITE_NOMEM, SQLITE_FULL],
         "read": [EIO, 0], "write": [EIO, ENOSPC, EDQUOT, 0], "sync": [EIO, ENOSPC], "name": [EIO, ENOSPC, EACCES], "open": [EMFILE, EIO, ENFILE],
         "length": [ENOSPC, EDQUOT], "map": [ENOMEM], "stat": [EIO, ENOMEM], "lock": [ENOLCK], "owner": [EPERM], "watch": [ENOSPC, ENOMEM],
         "thread": [EAGAIN], "socket": [ECONNRESET, 0], "wait": [EINTR, ENOMEM]}

Fault = namedtuple("Fault", "kind n code times only", defaults=(1, ""))   # as the variables of failnth.c


class Report:
    """What failnth.c wrote down: `calls` of the kind, and for the one that failed `what` it was."""

    def __init__(self, content):
        self.calls = struct.unpack_from("=Q", content)[0]
        lines = content[8:].split(b"\0", 1)[0].decode(errors="replace").splitlines()
        self.what, self.addresses = (lines[0], lines[1:]) if lines else ("", [])
        self.failed = bool(lines)

    def by_sqlite(self):
        """Did SQLite make the call?"""
        return any("libsqlite3" in line for line in self.addresses)

    def callers(self):
        """The lines of the source that made the call, for a person."""
        found = []
        for line in self.addresses[:12]:
            path, offset = line.rsplit(" ", 1)
            told = subprocess.run(["addr2line", "-sfe", path, hex(int(offset, 16) - 1)], capture_output=True)
            found.append(told.stdout.decode(errors="replace").replace("\n", " ").strip() if told.returncode == 0 else line)
        return "\n    ".join(found)


class Failing:
    """Environments in which calls fail, and the report of what failed."""

    def __init__(self, stage):
        self.file = stage.folder / "failing-calls"
        self.file.write_bytes(bytes(REPORT_BYTES))
        self.library = application.library("failnth")

    def environment(self, fault):
        self.file.write_bytes(bytes(REPORT_BYTES))
        return {"LD_PRELOAD": str(self.library), "FAIL_COUNT": str(self.file), "FAIL_KIND": fault.kind, "FAIL_AT": str(fault.n),
                "FAIL_WITH": str(fault.code), "FAIL_TIMES": str(fault.times), "FAIL_ONLY": fault.only}

    def report(self):
        return Report(self.file.read_bytes())


class Image:
    """The files and folders at `paths` as they are now. Files that are there when they are put back stay the same inodes, as the state
    file wants it."""

    def __init__(self, store, paths):
        self.store, self.files, self.folders = Path(store), {}, {}
        for path in map(Path, paths):
            if path.is_dir():
                self.folders[path] = self.store / path.name
                shutil.copytree(path, self.folders[path])
            else:
                self.files[path] = path.read_bytes() if path.exists() else None

    def put_back(self):
        for path, content in self.files.items():
            if content is None:
                path.unlink(missing_ok=True)
            elif path.exists():
                write_in_place(path, content)
            else:
                path.write_bytes(content)
        for path, kept in self.folders.items():
            shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(kept, path)


BY_SQLITE = "disk I/O error|unable to open|database is locked|disk image is malformed|only for reading|memory|is full|locking protocol"


def names_the_fault(text, fault, report):
    """Does a message say that a call failed, and how? SQLite does not say why: EIO can be "malformed"."""
    if report.by_sqlite() and re.search(BY_SQLITE, text):
        return True
    words = {EIO: "Input/output error|disk I/O error|I/O error", EAGAIN: "Resource temporarily unavailable|thread", ENOMEM: "memory", EACCES: "Permission denied",
             EMFILE: "Too many open files|unable to open", ENFILE: "Too many open files|unable to open", ENOSPC: "No space left|full", EDQUOT: "quota|full",
             ENOLCK: "No locks|lock", EPERM: "not permitted", ECONNRESET: "reset|answer|ended before"}
    if fault.kind == "sqlite":
        words = {SQLITE_NOMEM: "memory", SQLITE_IOERR: "I/O error", SQLITE_FULL: "full"}
    return re.search(words.get(fault.code, "."), text) is not None
