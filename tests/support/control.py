"""The control socket of a daemon: the commands that use it, and a connection for requests that no command sends."""
import hashlib
import json
import os
import socket
from contextlib import contextmanager
from pathlib import Path

from seawall import CORRUPT, DONE, FAILED, OTHER_WRITER, seawall, told
from unixsocket import address_of

SYNC_DONE = b"durable at txid "


def control_folder():
    """The folder of the sockets of all daemons in tests; conftest.py chooses it."""
    return Path(os.environ["SEAWALL_CONTROL"])


def socket_of(db, folder=None):
    """The path of the daemon's socket, as in control/place.h. The database itself may be missing."""
    real = Path(os.path.realpath(db))
    found = os.stat(real.parent)
    name = os.fsencode(f"{found.st_dev} {found.st_ino} ") + os.fsencode(real.name)
    return Path(folder or control_folder()) / f"{hashlib.sha256(name).hexdigest()[:32]}.sock"


def proof_of(db):
    return Path(f"{db}-seawall-proof.json")


def wait_control(daemon):
    """Waits until the daemon answers on its socket."""
    daemon.wait_for(lambda: b'"running": true' in seawall("status", "--json", daemon.db).stdout, 20, "the daemon answers")
    return daemon


def status(db, *options):
    """The object that `status --json` prints for the database."""
    result = seawall("status", "--json", *options, db)
    assert result.returncode in (DONE, FAILED, CORRUPT, OTHER_WRITER), told(result)   # a daemon answers, well or not
    (found,) = json.loads(result.stdout)["databases"]
    assert found["running"] is True
    return found


def replica_status(db, index=0):
    return status(db)["replicas"][index]


def sync(db, *options, seconds=120):
    return seawall("sync", *options, db, seconds=seconds)


def assert_synced(db, *options):
    result = sync(db, *options)
    assert result.returncode == DONE and result.stdout.startswith(SYNC_DONE), told(result)
    return int(result.stdout.removeprefix(SYNC_DONE))


@contextmanager
def connected(db, seconds=20):
    """A connection to the socket, without a command."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(seconds)
        with address_of(socket_of(db)) as address:
            client.connect(address)
        yield client


def answer(client):
    """The next line, decoded from JSON; None: the daemon has closed the connection."""
    line = b""
    while not line.endswith(b"\n"):
        try:
            some = client.recv(65536)
        except ConnectionResetError:
            return None
        if not some:
            return None
        line += some
    return json.loads(line)


def open_files(pid):
    """The paths of the open files of a process, from /proc. A file that is closed meanwhile is left out."""
    links = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            continue
    return links


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
