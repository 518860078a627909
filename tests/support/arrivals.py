"""When each object appears in a folder: by inotify, to the microsecond, without polling."""
import ctypes
import os
import select
import struct
import threading
import time

from seawall import OBJECT_NAME

IN_CREATE, IN_MOVED_TO = 0x100, 0x80
EVENT = struct.Struct("iIII")


class Arrivals:
    """A context manager. `seen` is [(ns, name), ...] of the objects that have appeared since it was entered."""

    def __init__(self, folder):
        libc = ctypes.CDLL(None, use_errno=True)
        self.seen = []
        self.descriptor = libc.inotify_init1(os.O_CLOEXEC)
        if libc.inotify_add_watch(self.descriptor, os.fsencode(folder), IN_CREATE | IN_MOVED_TO) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch", str(folder))
        self.wake = os.pipe()
        self.thread = threading.Thread(target=self.listen)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        os.write(self.wake[1], b".")
        self.thread.join()
        for descriptor in (self.descriptor, *self.wake):
            os.close(descriptor)

    def listen(self):
        while True:
            ready, _, _ = select.select([self.descriptor, self.wake[0]], [], [])
            now = time.time_ns()
            if self.wake[0] in ready:
                return
            events, at = os.read(self.descriptor, 1 << 16), 0
            while at < len(events):
                length = EVENT.unpack_from(events, at)[3]
                name = os.fsdecode(events[at + EVENT.size:at + EVENT.size + length].rstrip(b"\0"))
                at += EVENT.size + length
                if OBJECT_NAME.fullmatch(name):
                    self.seen.append((now, name))
