"""A small HTTP/1.1 server whose users can change each step of an exchange, down to single bytes.

Each connection has a thread. An `Exchange` is one request and its answer. A subclass of `Server` decides in answer_to() what to answer."""
import dataclasses
import email.utils
import socket
import ssl
import subprocess
import threading
import time

HEAD_MAX = 1 << 16
BODY_MAX = 1 << 26
REASONS = {100: "Continue", 200: "OK", 204: "No Content", 206: "Partial Content", 301: "Moved Permanently", 400: "Bad Request",
           401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict",
           411: "Length Required", 412: "Precondition Failed", 416: "Range Not Satisfiable", 429: "Too Many Requests",
           500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Slow Down"}


class Closed(Exception):
    """Raised to close this connection without another byte."""


@dataclasses.dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: list = dataclasses.field(default_factory=list)   # [(name, value), ...] besides those that each answer has
    length: object = None                                     # the value of Content-Length; None: the length of the body

    def header(self, name):
        return next((value for known, value in self.headers if known.lower() == name.lower()), "")

    def set(self, name, value):
        """None removes the header."""
        self.headers = [(known, old) for known, old in self.headers if known.lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))


@dataclasses.dataclass
class Exchange:
    method: str
    path: str       # as received
    query: str      # as received, without "?"
    headers: list   # [(name, value), ...] as received
    connection: int
    body: bytes = b""
    close: bool = False

    def header(self, name, default=""):
        return next((value.strip() for known, value in self.headers if known.lower() == name), default)


class Connection:
    def __init__(self, server, raw, number):
        self.server, self.socket, self.number, self.pending = server, raw, number, b""

    def run(self):
        try:
            if self.server.tls:
                self.socket = self.server.tls.wrap_socket(self.socket, server_side=True)
            while self.serve_one():
                pass
        except (Closed, OSError, ssl.SSLError):
            pass
        finally:
            self.server.forget(self)
            self.cut()
            self.socket.close()

    def cut(self):
        """Closes the connection. Any thread may call this; a thread that reads or writes gets an error."""
        try:
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)
        except OSError:
            pass

    def receive(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise Closed
        self.pending += data

    def serve_one(self):
        while b"\r\n\r\n" not in self.pending:
            if len(self.pending) > HEAD_MAX:
                raise Closed
            self.receive()
        head, self.pending = self.pending.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        try:
            method, target, version = first.split(" ")
        except ValueError:
            self.send(Answer(400))
            return False
        path, _, query = target.partition("?")
        headers = [tuple(line.split(":", 1)) if ":" in line else (line, "") for line in lines]
        exchange = Exchange(method, path, query, headers, self.number)
        exchange.close = version != "HTTP/1.1" or exchange.header("connection").lower() == "close"
        self.server.handle(self, exchange)
        return not exchange.close and not self.server.stopping.is_set()

    def read_body(self, exchange, length, say_continue=True):
        if say_continue and length > 0 and exchange.header("expect").lower() == "100-continue":
            self.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        chunks, have = [self.pending], len(self.pending)
        while have < length:
            data = self.socket.recv(min(1 << 18, length - have + 1))
            if not data:
                raise Closed
            chunks.append(data)
            have += len(data)
        whole = b"".join(chunks)
        exchange.body, self.pending = whole[:length], whole[length:]

    def head_of(self, answer, close=False):
        length = len(answer.body) if answer.length is None else answer.length
        lines = [f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        if not answer.header("Date"):
            lines.append(f"Date: {http_date(self.server.now())}")
        if answer.status != 204:
            lines.append(f"Content-Length: {length}")
        lines.append(f"Connection: {'close' if close else 'keep-alive'}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def send(self, answer, close=False):
        self.socket.sendall(self.head_of(answer, close) + answer.body)


class Server:
    """A context manager; or start() and stop(). `url` has its address. The port stays the same after down() and up()."""

    def __init__(self, port=0, tls=None, host="127.0.0.1"):
        """`tls`: a PEM file with a key and its certificate."""
        self.host, self.port, self.pem, self.tls = host, port, tls, None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(tls)
        self.clock_offset = 0.0           # seconds that the clock of this server is ahead
        self.lock = threading.RLock()     # records, objects and faults
        self.changed = threading.Condition(self.lock)
        self.stopping = threading.Event()
        self.connections, self.connection_count = set(), 0
        self.listener = self.acceptor = None

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def now(self):
        return time.time() + self.clock_offset

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.up()
        return self

    def up(self):
        """Listens on the port of before."""
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.host, self.port))
        self.listener.listen(128)
        self.port = self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self.accept, args=(self.listener,), daemon=True)
        self.acceptor.start()

    def down(self):
        """Stops listening, and closes all connections."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.acceptor.join()
        self.listener.close()
        self.drop_connections()

    def drop_connections(self):
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            connection.cut()

    def stop(self):
        self.stopping.set()
        with self.changed:
            self.changed.notify_all()
        if self.listener.fileno() >= 0:
            self.down()
        for connection in list(self.connections):
            connection.thread.join(5)

    def accept(self, listener):
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connection_count += 1
                connection = Connection(self, raw, self.connection_count)
                self.connections.add(connection)
            connection.thread = threading.Thread(target=connection.run, daemon=True)
            connection.thread.start()

    def forget(self, connection):
        with self.changed:
            self.connections.discard(connection)
            self.changed.notify_all()

    def wait(self, condition, seconds=10):
        """Waits until `condition()` is true. Looks after each request. Returns the last value."""
        with self.changed:
            self.changed.wait_for(lambda: condition() or self.stopping.is_set(), seconds)
            return condition()

    def handle(self, connection, exchange):
        raise NotImplementedError


def http_date(seconds):
    return email.utils.formatdate(seconds, usegmt=True)


def make_certificate(folder, names=("DNS:localhost", "DNS:*.localhost", "IP:127.0.0.1")):
    """Makes two PEM files: a key with a self-signed certificate, for the server; the certificate alone, which a client must trust."""
    key, certificate, both = folder / "key.pem", folder / "ca.pem", folder / "server.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650",
                    "-subj", "/CN=seawall test", "-addext", f"subjectAltName={','.join(names)}", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both, certificate
