"""Unix sockets at paths of any length: a socket address has room for 107 bytes."""
import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def address_of(path):
    """A short address of the socket at `path`, for bind and connect."""
    folder = os.open(Path(path).parent, os.O_PATH)
    try:
        yield f"/proc/self/fd/{folder}/{Path(path).name}"
    finally:
        os.close(folder)
