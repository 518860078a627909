"""The memory of a process and the length of a WAL, sampled while a test runs."""
import re
import threading
import time
from pathlib import Path

LOOK_EVERY_S = 0.05


class Watched:
    """A context manager. `anonymous`: the largest sample of anonymous memory, in bytes, without mapped files such as the page map.
    `resident`: the peak of resident memory, with mapped files. `wal_bytes`: the largest sample of the WAL's size. `wal_seconds`: how long
    the WAL was not empty."""

    def __init__(self, daemon, wal):
        self.status, self.wal = Path(f"/proc/{daemon.pid}/status"), wal
        self.anonymous = self.resident = self.wal_bytes = 0
        self.wal_seconds = 0.0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def look(self):
        last = time.monotonic()
        while not self.ended.wait(LOOK_EVERY_S):
            now = time.monotonic()
            try:
                text = self.status.read_text()
            except (FileNotFoundError, ProcessLookupError):
                return
            found = {key: int(kib) << 10 for key, kib in re.findall(r"^(RssAnon|VmHWM):\s*(\d+) kB", text, re.M)}
            self.anonymous = max(self.anonymous, found.get("RssAnon", 0))
            self.resident = max(self.resident, found.get("VmHWM", 0))
            size = self.wal.stat().st_size if self.wal.exists() else 0
            self.wal_bytes = max(self.wal_bytes, size)
            self.wal_seconds += now - last if size > 0 else 0
            last = now

    def told(self, state):
        """The figures as a text. `state`: the state file, which is mapped into memory."""
        mapped = state.stat().st_size
        return (f"{self.anonymous / 2**20:.1f} MiB of its own at most (resident at most {self.resident / 2**20:.1f}, of which the state "
                f"file may be {mapped / 2**20:.1f}); WAL {self.wal_bytes / 2**20:.0f} MiB at most, not empty for {self.wal_seconds:.0f} s")
