"""A file system of its own in a folder, which can be full. Only root can mount one."""
import errno
import os
import subprocess
from pathlib import Path


class Mounted:
    """A tmpfs, or a plain folder for a user who can't mount. Files are written until it is full; `grow` and `free` give space back."""

    def __init__(self, folder, megabytes):
        self.folder, self.filler = Path(folder), Path(folder) / "filler"
        self.folder.mkdir(exist_ok=True)
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", self.folder], capture_output=True)
        self.mounted = made.returncode == 0

    def fill(self):
        """Nothing more fits. A plain folder stays as it is."""
        if not self.mounted:
            return
        with open(self.filler, "ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    def free(self):
        self.filler.unlink(missing_ok=True)

    def grow(self, megabytes):
        subprocess.run(["mount", "-o", f"remount,size={megabytes}m", self.folder], check=True)

    def is_full(self):
        return os.statvfs(self.folder).f_bavail == 0

    def unmount(self):
        if self.mounted:
            subprocess.run(["umount", "-l", self.folder], check=True)
