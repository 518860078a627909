"""Servers of other projects for tests, and the keeper: a process that starts and ends the daemons of one server. This is the part
that rgw, swift, versitygw and the others have in common.

    NAME [--owner PID] [--lifetime SECONDS] start DIR   starts the server, makes a user and a bucket, writes and prints DIR/env
    NAME stop DIR                                       ends the server; DIR stays, with the logs
    NAME with DIR COMMAND...                            starts the server, runs the command with the variables of DIR/env, ends the server
    NAME kill|freeze|thaw|revive DIR                    SIGKILL, SIGSTOP, SIGCONT, a new start; only for the daemon that answers requests

`start` makes DIR again, and nothing outside it is changed. All ports are free ports of 127.0.0.1. It does not need root. DIR/env has
lines NAME=VALUE: S3_ENDPOINT, with TLS also S3_TLS_ENDPOINT and S3_CA_FILE, S3_BUCKET, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_REGION.

The keeper is the parent of all daemons. The owner is the process that called `start`, or --owner. The keeper ends the daemons, by
their process ids: on `stop`, when the owner has ended, after the lifetime (3600 s), or when one of them ends by itself. If the keeper
is killed, the kernel ends them."""
import argparse
import ctypes
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

from s3request import Refused, S3

ACCESS_KEY, SECRET_KEY, BUCKET, REGION = "AKTEST", "SKTEST", "seawall-test", "us-east-1"
START_S, TERM_S = 120, 3
SERVERS = pathlib.Path(__file__).resolve().parents[2] / "build" / "servers"   # what `make check-servers` installs
PR_SET_PDEATHSIG = 1
WORDS = ["start", "stop", "with", "kill", "freeze", "thaw", "revive"]


class Failed(Exception):
    pass


def free_ports(count):
    """Ports that are free now. If another process takes one before the server does, the start fails and is tried again."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


CERTIFICATE = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = Seawall test {name}
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
[server]
basicConstraints = CA:false
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, DNS:localhost, DNS:*.localhost
"""


def make_certificates(folder):
    """Makes a CA (ca.pem), and its certificate for 127.0.0.1 and localhost: server.key, server.crt, and server.pem with both."""
    folder.mkdir(mode=0o700)

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True)

    for name in ("ca", "server"):
        (folder / f"{name}.cnf").write_text(CERTIFICATE.format(name=name))
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
    openssl("req", "-x509", "-new", "-key", "ca.key", "-config", "ca.cnf", "-extensions", "ca", "-days", 30, "-out", "ca.pem")
    openssl("req", "-new", "-key", "server.key", "-config", "server.cnf", "-out", "server.csr")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", 2, "-days", 30, "-extfile", "server.cnf",
            "-extensions", "server", "-out", "server.crt")
    (folder / "server.pem").write_bytes((folder / "server.key").read_bytes() + (folder / "server.crt").read_bytes())


class Keeper:
    """A subclass describes a server. It sets `programs` and `hint`; its start() calls begin() for each daemon; its front() begins the
    daemon that answers requests."""

    programs, hint, front_name = [], "", "front"
    keys = ACCESS_KEY, SECRET_KEY
    front_term_s = TERM_S   # how long that daemon may take to end by itself
    lacks = ""   # parts of the store contract that the server does not keep: "signatures", "order", "deletion"

    def __init__(self, folder):
        self.folder, self.deadline = folder, time.monotonic() + START_S
        self.daemons = {}   # in the order in which they were started
        self.environment = dict(os.environ)
        (folder / "log").mkdir()

    def run(self, *command):
        """Runs a command to its end. Returns its standard output."""
        result = subprocess.run([str(part) for part in command], capture_output=True, stdin=subprocess.DEVNULL, env=self.environment,
                                timeout=max(self.deadline - time.monotonic(), 0.1), cwd=self.folder)
        if result.returncode != 0:
            raise Failed(f"{' '.join(map(str, command))}: exit code {result.returncode}\n{result.stderr.decode(errors='replace')[-2000:]}")
        return result.stdout.decode()

    def begin(self, name, *command):
        """Starts a daemon. It is killed when the keeper ends."""
        libc = ctypes.CDLL(None)
        with open(self.folder / "log" / f"{name}.out", "ab") as output:
            self.daemons[name] = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                                  env=self.environment, cwd=self.folder,
                                                  preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))

    def until(self, what, condition):
        while not condition():
            for name, daemon in self.daemons.items():
                if daemon.poll() is not None:
                    said = (self.folder / "log" / f"{name}.out").read_text(errors="replace")[-2000:]
                    raise Failed(f"{name} ended with {daemon.returncode} before: {what}\n{said}")
            if time.monotonic() > self.deadline:
                raise Failed(f"not within {START_S} s: {what}")
            time.sleep(0.02)

    def make_bucket(self, endpoint):
        S3(endpoint, *self.keys, REGION).make_bucket(BUCKET)

    def has_bucket(self, endpoint):
        """Makes the bucket. False: the server is not ready."""
        try:
            self.make_bucket(endpoint)
            return True
        except (Refused, OSError):
            return False

    def write_environment(self, **lines):
        lines.update(SEAWALL_TEST_LACKS=self.lacks, S3_BUCKET=BUCKET, AWS_ACCESS_KEY_ID=self.keys[0], AWS_SECRET_ACCESS_KEY=self.keys[1], AWS_REGION=REGION)
        (self.folder / "env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def stop(self):
        """Ends the daemons, the newest first: a daemon that stores ends after the one that uses it."""
        (self.folder / "env").unlink(missing_ok=True)
        for name in reversed(list(self.daemons)):
            daemon = self.daemons.pop(name)
            daemon.terminate()
            daemon.send_signal(signal.SIGCONT)
            try:
                daemon.wait(self.front_term_s if name == self.front_name else 0.2)   # the others store nothing that is needed
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def obey(self, word):
        front = self.daemons[self.front_name]
        if word == "freeze":
            front.send_signal(signal.SIGSTOP)
        elif word == "thaw":
            front.send_signal(signal.SIGCONT)
        elif word == "kill":
            front.kill()
            front.wait()
        elif word == "revive":
            if front.poll() is None:
                raise Failed("it runs")
            self.deadline = time.monotonic() + START_S
            self.front()

    def keep(self, listener, owner, lifetime):
        """Obeys commands until there is a reason to end. Returns the reason."""
        try:
            owner = os.pidfd_open(owner)
        except ProcessLookupError:
            return "the owner has ended"
        end = time.monotonic() + lifetime
        killed = False
        while time.monotonic() < end:
            ready, _, _ = select.select([listener, owner], [], [], 1)
            if owner in ready:
                return "the owner has ended"
            for name, daemon in self.daemons.items():
                if daemon.poll() is not None and not (name == self.front_name and killed):
                    return f"{name} ended with {daemon.returncode}"
            if listener in ready:
                connection, _ = listener.accept()
                with connection:
                    word = connection.recv(64).decode()
                    try:
                        if word == "stop":
                            self.stop()
                            return "it was asked to"
                        self.obey(word)
                        killed = word == "kill" or (killed and word != "revive")
                        connection.sendall(b"ok")
                    except (Failed, OSError) as error:
                        connection.sendall(str(error).encode())
                    finally:
                        if word == "stop":
                            connection.sendall(b"ok")
        return "the lifetime is over"


def listen(path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    here = os.getcwd()
    os.chdir(path.parent)  # a path of any length
    listener.bind(path.name)
    listener.listen()
    os.chdir(here)
    return listener


def keep(kind, folder, owner, lifetime, tell):
    """The keeper's process. It writes the outcome of the start to the descriptor `tell`."""
    def ended(number, frame):
        raise SystemExit(f"signal {number}")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ended)
    keeper, reason = kind(folder), "?"
    try:
        keeper.start()
        listener = listen(folder / "control")
        os.write(tell, b"ok")
        os.close(tell)
        reason = keeper.keep(listener, owner, lifetime)
    except (Failed, Refused, OSError, subprocess.SubprocessError) as error:
        os.write(tell, str(error).encode())
        reason = f"it did not start: {error}"
    except SystemExit as error:
        reason = str(error)
    finally:
        keeper.stop()
        (folder / "control").unlink(missing_ok=True)
        print(f"ended: {reason}", flush=True)


# ---- commands


def start_once(folder, owner, lifetime):
    """Returns the error as a text, or None."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    reading, writing = os.pipe()
    with open(folder / "keeper.log", "wb") as log:
        subprocess.Popen([sys.executable, sys.argv[0], f"--owner={owner}", f"--lifetime={lifetime}", f"--tell={writing}", "keep", folder],
                         stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[writing], start_new_session=True)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read().decode(errors="replace")
    return None if answer == "ok" else answer or f"the keeper died; see {folder}/keeper.log"


def start(kind, folder, owner, lifetime):
    missing = [program for program in kind.programs if shutil.which(program) is None]
    if missing:
        return f"not installed: {', '.join(missing)}\nHINT: {kind.hint}"
    if (folder / "control").exists() and ask(folder, "thaw") is None:
        return f"one runs in {folder} already"
    if folder.exists() and any(folder.iterdir()) and not (folder / "keeper.log").exists():
        return f"{folder} holds something else\nHINT: name a folder that is not there yet; what is in it is removed"
    for _ in range(3):
        problem = start_once(folder, owner, lifetime)
        if problem is None:
            return None
        said = "".join(path.read_text(errors="replace") for path in (folder / "log").glob("*") if path.is_file())
        if "in use" not in problem + said:   # a port that another process took meanwhile
            break
    return f"{problem}\nHINT: its logs are in {folder}/log"


def ask(folder, word):
    """Sends a command to the keeper. Returns the error as a text, or None."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(60)
        here = os.getcwd()
        try:
            os.chdir(folder)
            connection.connect("control")
            connection.sendall(word.encode())
            answer = connection.recv(4096).decode()
        except OSError as error:
            return f"nothing runs in {folder}: {error}"
        finally:
            os.chdir(here)
    return None if answer == "ok" else answer or "the keeper died"


def environment_of(folder):
    return dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines())


def run_with(folder, command):
    """Runs the command beside a server. Returns its exit code."""
    try:
        return subprocess.run(command, env={**os.environ, **environment_of(folder)}).returncode
    finally:
        ask(folder, "stop")


def main(kind):
    name = pathlib.Path(sys.argv[0]).name
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("word", choices=[*WORDS, "keep"], metavar="|".join(WORDS))
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--owner", type=int, help="process with which the server ends; default: the caller")
    parser.add_argument("--lifetime", type=float, default=3600, help="seconds; 3600")
    parser.add_argument("--tell", type=int, help=argparse.SUPPRESS)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    folder = options.dir.absolute()
    if options.word == "keep":
        return keep(kind, folder, options.owner, options.lifetime, options.tell)
    if options.word in ("start", "with"):
        owner = options.owner or (os.getpid() if options.word == "with" else os.getppid())
        problem = start(kind, folder, owner, options.lifetime)
    else:
        problem = ask(folder, options.word)
    if problem is not None:
        sys.exit(f"{name}: {problem}")
    if options.word == "start":
        print((folder / "env").read_text(), end="")
    if options.word == "with":
        sys.exit(run_with(folder, options.command))
