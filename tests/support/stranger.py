"""Another user of this machine, and folders that this user can enter."""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from seawall import BINARY
from waiting import PATIENCE

STRANGER = 65534   # "nobody"; the user needs no entry in /etc/passwd
IS_ROOT = os.geteuid() == 0


def new_folder(name, usual):
    """A new folder that the other user can enter, with a copy of the program that the other user can run. It is below `usual` if that
    can be reached, otherwise in a folder for temporary files: a checkout may be in a home that is closed to all others."""
    for parent in (usual, Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/dev/shm")):
        if not os.access(parent, os.W_OK):
            continue
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
        folder.chmod(0o755)
        shutil.copy(BINARY, folder / "seawall")
        (folder / "seawall").chmod(0o755)
        if can_run(folder):
            return folder
        shutil.rmtree(folder)
    pytest.skip("the other user can run a program in no folder of this machine")


def can_run(folder):
    try:
        return seawall(folder, "version").returncode == 0
    except PermissionError:   # a folder on the way is closed, or the file system is mounted with noexec
        return False


# If the tests are not run by root, programs run as the user of the tests.
OTHER = {"user": STRANGER, "group": STRANGER, "extra_groups": []} if IS_ROOT else {}


def seawall(folder, *arguments):
    """Runs the program in `folder` as the other user."""
    return subprocess.run([folder / "seawall", *map(str, arguments)], capture_output=True, timeout=60 * PATIENCE, **OTHER)


def start(folder, *arguments):
    """Starts the program in `folder` as the other user. The caller ends the process. Its output is dropped."""
    return subprocess.Popen([folder / "seawall", *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, **OTHER)
