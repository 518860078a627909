"""Asks the status page of a daemon, over TCP or a Unix socket; and clients that do not behave."""
import http.client
import socket
from pathlib import Path

from unixsocket import address_of

PATHS = ("/", "/metrics", "/healthz", "/status.json")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        with address_of(self.path) as address:
            self.sock.connect(address)


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, dict(response.getheaders()), response.read()

    def text(self):
        return self.body.decode()


def ask(place, path="/", method="GET", headers=None, body=None):
    """`place`: a port of 127.0.0.1, or the path of a socket."""
    connection = http.client.HTTPConnection("127.0.0.1", place, timeout=20) if isinstance(place, int) else Unix(place)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def answers(place):
    """Whether something answers there."""
    try:
        return ask(place, "/healthz").status in (200, 503)
    except (OSError, http.client.HTTPException):
        return False


def hang(place, count, text=b""):
    """Connections that send `text` and nothing more."""
    sockets = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", place), 20)
        try:
            one.sendall(text)
        except OSError:   # the daemon has ended it already
            pass
        sockets.append(one)
    return sockets


def descriptors(daemon):
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))
