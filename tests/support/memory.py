"""How much memory a process has for itself, and how long a WAL is, watched while a test goes on."""
import re
import threading
import time
from pathlib import Path

LOOK_EVERY_S = 0.05


class Watched:
    """`anonymous`: the most that the process had at any look, in bytes; mapped files such as the page map are not in it.
    `resident`: the most that it ever had, with them. `wal_bytes` and `wal_seconds`: how long its WAL was, and for how long."""

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
        """`state`: the state file, of which all is mapped."""
        mapped = state.stat().st_size
        return (f"{self.anonymous / 2**20:.1f} MiB of its own at most (resident at most {self.resident / 2**20:.1f}, of which the state "
                f"file may be {mapped / 2**20:.1f}); WAL {self.wal_bytes / 2**20:.0f} MiB at most, not empty for {self.wal_seconds:.0f} s")
