"""Each allocation, read, write, sync, rename, call of SQLite and other call that can fail does so once, in every command: it crashes and
hangs nowhere, it says what failed, the database is as it was, the replica restores what it restored, nothing is said to be durable that is
not, and the same command without the fault does its work.

SEAWALL_TEST_CALLS=N      as many calls of each kind in each command: the first ones, and a sample of the others. Without it a few kinds, one call each
SEAWALL_TEST_SEED=N       chooses the sample; a test that fails names the call"""
import itertools
import os
import random
import shutil
import signal
import sqlite3
import subprocess

import pytest

from compare import assert_sound, content, content_of, drop
from control import wait_control
from failing import EACCES, ECONNRESET, EINTR, EIO, EMFILE, ENOMEM, ENOSPC, EPIPE, KINDS, SQLITE_IOERR, Failing, Fault, Image, names_the_fault
from seawall import CONTENT, CORRUPT, DONE, FAILED, TIMED_OUT, USAGE, Daemon, last_txid, restore, seawall, told, url_of
from waiting import PATIENCE, let_pass, wait_until

SEED = int(os.environ.get("SEAWALL_TEST_SEED", "1"))
CALLS_EACH = int(os.environ.get("SEAWALL_TEST_CALLS", "0"))
HANGS_S = 60
COMMON = (DONE, FAILED)
KINDS_EACH = 2        # without SEAWALL_TEST_CALLS: of those that the command makes


class World:
    """A database, its replica with levels and bases, and one commit that is not shipped. It can be put back."""

    def __init__(self, stage, mode="wal", wal_in_use=False):
        self.stage, self.failing = stage, Failing(stage)
        self.known = {}   # txid -> content
        app = sqlite3.connect(stage.db, isolation_level=None)
        for statement in (f"PRAGMA journal_mode={mode}", "CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "CREATE INDEX i ON t(a)"):
            app.execute(statement).fetchall()
        app.close()
        for i in range(4):
            self.commit(i)
            self.ship()
            self.known[stage.last_txid()] = content_of(stage.db)
        app = self.commit(9, keep=wal_in_use)
        self.content = content_of(stage.db)
        self.target, self.temporary = stage.folder / "target.db", stage.folder / "temporary"
        self.paths = [stage.db, f"{stage.db}-wal", f"{stage.db}-shm", f"{stage.db}-journal", f"{stage.db}-seawall", f"{stage.db}-seawall-proof.json",
                      stage.replica]
        self.image = self.take_image()
        if app:
            app.close()
        self.kept = {*self.litter(), "temporary"}

    def ship(self):
        command = "replicate", "--once", "--fanout", "2", "--base-interval", "1s"
        result = seawall(*command, self.stage.db, url_of(self.stage.replica))
        assert result.returncode == DONE, told(result)

    def commit(self, i, keep=False):
        app = sqlite3.connect(self.stage.db, isolation_level=None)
        app.execute("INSERT INTO t(a) SELECT randomblob(900) FROM (VALUES(1),(2),(3),(4),(5))").fetchall()
        app.execute("UPDATE t SET a = ? WHERE id = ?", (f"{i}", i + 1)).fetchall()
        if keep:
            return app
        app.close()
        return None

    def take_image(self, name="image"):
        folder = self.stage.folder / name
        folder.mkdir()
        return Image(folder, self.paths)

    def put_back(self):
        for name in set(self.litter()) - self.kept:
            path = self.stage.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.image.put_back()

    def litter(self):
        """What lies beside the database and the target now, by name."""
        return sorted(path.name for path in self.stage.folder.iterdir())

    # ---- what holds after any fault

    def assert_source(self):
        assert content_of(self.stage.db) == self.content, "the database has other rows"
        assert_sound(self.stage.db)

    def restored(self, *options):
        target = self.stage.folder / "checked.db"
        drop(target)
        result = restore(self.stage.replica, target, *options)
        assert result.returncode == DONE, f"{options}: {told(result)}"
        content = content_of(target)
        drop(target)
        return content

    def assert_known(self, chance):
        """What was durable before can be restored."""
        txid = chance.choice(list(self.known))
        assert self.restored("--txid", txid) == self.known[txid], f"txid {txid}"

    def assert_newest(self):
        assert self.restored() == content_of(self.stage.db), "the newest restore point is not the database"


class Command:
    """One command that is tried: `codes` are the exit codes that it may have when a call fails."""

    codes = COMMON
    changes_replica = False

    def __init__(self, world, *arguments):
        self.world, self.arguments = world, arguments

    def prepare(self):
        self.world.put_back()

    def run(self, environment):
        return seawall(*self.arguments, seconds=HANGS_S, environment=environment)

    def succeeded(self, result):
        """What holds if the exit code is 0."""

    def failed(self, result, fault):
        """What holds if it is not."""

    def assert_told(self, result, fault):
        """It ends with one of its exit codes, and says why."""
        assert result.returncode in self.codes, told(result)
        says = names_the_fault((result.stderr + result.stdout).decode(errors="replace"), fault, self.world.failing.report())
        # The end of a transaction that failed on command is still open, and a checkpoint waits for it.
        waits = fault.kind == "sqlite" and result.returncode == TIMED_OUT
        assert result.returncode == DONE or fault.code in (0, EINTR) or says or waits, f"it does not say what failed: {told(result)}"

    def check(self, result, fault, chance):
        self.assert_told(result, fault)
        if result.returncode == DONE:
            self.succeeded(result)
        else:
            self.failed(result, fault)
        self.world.assert_source()
        if self.changes_replica:
            self.world.assert_known(chance)

    def heals(self, before):
        """The same command without the fault, on what the faulty one left behind. `before`: its result."""
        result = self.run({})
        assert result.returncode == DONE, f"the same command without a fault: {told(result)}"
        self.succeeded(result)


class Prints(Command):
    """Prints something, which is the same whenever it succeeds."""

    right = None

    def succeeded(self, result):
        if self.right is None:
            self.right = result.stdout
        assert result.stdout == self.right, told(result)


class Verifies(Prints):
    """An object that can't be read (EIO) is damage. What it prints has figures that are not the same each time."""

    def succeeded(self, result):
        assert b"ok" in result.stdout or b"sound" in result.stdout, told(result)

    def check(self, result, fault, chance):
        self.codes = (*COMMON, CORRUPT) if fault.code == EIO else (*COMMON, USAGE) if fault.code == EACCES else COMMON   # --tmp
        super().check(result, fault, chance)
        left = list(self.world.temporary.iterdir())
        assert not left or b"seawall-verify-" in result.stderr, f"the temporary folder stays: {left}: {told(result)}"

    def prepare(self):
        super().prepare()
        shutil.rmtree(self.world.temporary, ignore_errors=True)
        self.world.temporary.mkdir()


class Ships(Command):
    codes = (DONE, FAILED, TIMED_OUT)
    changes_replica = True

    def __init__(self, world, command="replicate", *options):
        arguments = (command, *(("--once",) if command == "replicate" else ()), "--stop-timeout", "5s", *options, world.stage.db,
                     url_of(world.stage.replica))
        super().__init__(world, *arguments)

    def succeeded(self, result):
        self.world.assert_newest()
        checked = seawall("verify", "--full", url_of(self.world.stage.replica))
        assert checked.returncode == DONE, told(checked)


class ShipsAnew(Ships):
    """The first copy, into an empty replica."""

    changes_replica = False

    def prepare(self):
        super().prepare()
        shutil.rmtree(self.world.stage.replica)
        self.world.stage.db.with_name("app.db-seawall").unlink()


class Restores(Command):
    """The target is the old database or the new one."""

    old = None        # the content of the target before
    of_txid = None    # what is restored; None: the newest

    def __init__(self, world, *options, over=None, of=None):
        self.options, self.over, self.of = options, over, of
        super().__init__(world, "restore", *options, "-o", world.target, url_of(world.stage.replica))

    def prepare(self):
        super().prepare()
        if self.over is not None:
            result = restore(self.world.stage.replica, self.world.target, "--txid", self.over)
            assert result.returncode == DONE, told(result)

    def expected(self):
        return self.world.known[self.of or max(self.world.known)]

    def succeeded(self, result):
        if "--dry-run" not in self.options:
            assert content_of(self.world.target) == self.expected()
            assert_sound(self.world.target)

    def is_new(self):
        return self.world.target.exists() and content_of(self.world.target) == self.expected()

    def is_old(self):
        if self.over is None:
            return not self.world.target.exists()
        return content_of(self.world.target) == self.world.known[self.over]

    def failed(self, result, fault):
        assert self.is_old() or self.is_new(), f"the target is neither old nor new: {told(result)}"
        if self.world.target.exists():
            assert_sound(self.world.target)

    def heals(self, before):
        """The new one may be there already, if what came after it failed."""
        if self.over is not None or self.is_old():
            super().heals(before)


class Undoes(Restores):
    """--undo after a restore over txid `over`."""

    def __init__(self, world, *options, over):
        super().__init__(world, *options, over=over)
        self.first, self.arguments = self.arguments, ("restore", "--undo", "-o", world.target)

    def prepare(self):
        super().prepare()
        result = seawall(*self.first)
        assert result.returncode == DONE, told(result)

    def expected(self):
        return self.world.known[self.over]

    def is_old(self):
        return content_of(self.world.target) == super().expected()

    def heals(self, before):
        """An undo is a restore too: it can be taken back."""
        if self.is_old():
            super().heals(before)


class Follows(Command):
    """A copy that is one transaction behind, or that is not there yet. Readers find the old state or the new one."""

    def __init__(self, world, *options, behind):
        self.behind, self.copy = behind, world.stage.folder / "copy.db"
        super().__init__(world, "follow", "--until-current", "--interval", "1ms", *options, "-o", self.copy, url_of(world.stage.replica))

    def prepare(self):
        super().prepare()
        self.old = self.world.restored()
        if self.behind:
            result = seawall(*self.arguments)
            assert result.returncode == DONE, told(result)
            self.world.commit(20)
            self.world.ship()
        self.new = self.world.restored()

    def content(self):
        """As a reader without permission to write finds it."""
        connection = sqlite3.connect(f"file:{self.copy}?mode=ro", uri=True)
        try:
            return content(connection)
        finally:
            connection.close()

    def check(self, result, fault, chance):
        self.assert_told(result, fault)
        if result.returncode == DONE:
            self.succeeded(result)
        elif self.copy.exists():
            assert self.content() in (self.old, self.new), f"the copy is neither old nor new: {told(result)}"

    def succeeded(self, result):
        assert self.content() == self.new, told(result)


class Prunes(Command):
    changes_replica = True

    def __init__(self, world):
        super().__init__(world, "prune", "--grace", "1s", "--keep-all", "1s", "--keep-levels", "1s", url_of(world.stage.replica))

    def assert_known_after(self):
        """Retention deletes restore points, but never the newest."""
        newest = max(self.world.known)
        assert last_txid(self.world.stage.replica) == newest
        assert self.world.restored() == self.world.known[newest]

    def check(self, result, fault, chance):
        self.changes_replica = False
        super().check(result, fault, chance)
        self.assert_known_after()

    def succeeded(self, result):
        self.assert_known_after()


class Asks(Command):
    """A question to a daemon that runs without faults."""

    codes = (DONE, FAILED, TIMED_OUT)

    def prepare(self):
        """The daemon stays; nothing is put back."""

    def check(self, result, fault, chance):
        self.assert_told(result, fault)

    def heals(self, before):
        result = self.run({})
        assert result.returncode == DONE, told(result)


class Serves(Command):
    """A daemon beside an application that commits, asked by clients that never fail."""

    codes = (DONE, FAILED, TIMED_OUT)
    changes_replica = True
    options = ("--stop-timeout", "3s", "--rest-after", "200ms", "--fanout", "2", "--base-interval", "1s")

    def __init__(self, world):
        super().__init__(world, "replicate", *self.options, world.stage.db, url_of(world.stage.replica))
        self.runs = 0

    def run(self, environment):
        """Whatever happens to the daemon, the application commits without an error, and what sync calls durable is restored."""
        stage = self.world.stage
        daemon = Daemon(stage.db, stage.replica, stage.folder / "serves.log", *self.options, environment=environment)
        try:
            app = sqlite3.connect(stage.db, isolation_level=None, timeout=5 * PATIENCE)
            for i in range(2):
                app.execute("INSERT INTO t(a) VALUES(?)", (f"beside {i}",))
                self.ask(daemon, "status", "--json")
                if self.ask(daemon, "sync", "--timeout", "3s").returncode == DONE:
                    self.world.assert_newest()
            self.ask(daemon, "detach")
            app.execute("INSERT INTO t(a) VALUES('detached')")
            self.ask(daemon, "attach")
            app.execute("INSERT INTO t(a) VALUES('attached again')")
            app.execute("DELETE FROM t WHERE a LIKE '%beside%' OR a LIKE '%tached%'")
            app.close()
            daemon.send(signal.SIGTERM) if daemon.running() else None
            try:
                code = daemon.process.wait(HANGS_S * PATIENCE)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"the daemon hangs: {daemon.log()[-3000:]}")
            return subprocess.CompletedProcess(daemon.command, code, b"", daemon.log().encode())
        finally:
            daemon.kill()
            daemon.log_path.unlink()

    def ask(self, daemon, command, *options):
        """Until the daemon has a socket there is no answer."""
        def answered():
            result = seawall(command, *options, daemon.db)
            return not daemon.running() or b"no daemon" not in result.stderr and result
        try:
            wait_until(answered, 10, f"an answer to {command}")
        except AssertionError:
            pass   # it has no socket: it said so
        return seawall(command, *options, daemon.db)

    def succeeded(self, result):
        self.world.assert_newest()

    def heals(self, before):
        result = seawall("replicate", "--once", "--stop-timeout", "5s", self.world.stage.db, url_of(self.world.stage.replica))
        assert result.returncode == DONE, f"the next run: {told(result)}"
        self.world.assert_newest()


def moments(calls, chance):
    """The numbers of the calls that fail, of so many."""
    most = CALLS_EACH or 1
    first = min(calls, most // 2)
    rest = range(first + 1, calls + 1)
    return [*range(1, first + 1), *sorted(chance.sample(rest, min(len(rest), most - first)))]


def told_fault(fault, report, problem):
    text = f"{fault}: {report.what}\n    {report.callers()}\n{problem}"
    print(text, flush=True)   # for a person who waits for a long run
    return text


def try_one(command, fault, chance, problems):
    """Returns whether the command reached the call."""
    world = command.world
    command.prepare()
    try:
        result = command.run(world.failing.environment(fault))
    except (subprocess.TimeoutExpired, AssertionError, sqlite3.Error) as error:
        problems.append(told_fault(fault, world.failing.report(), f"while it runs: {error!r}"))
        return True
    report = world.failing.report()
    try:
        command.check(result, fault, chance)
        if report.failed:
            command.heals(result)
            left = {name for name in world.litter() if name not in command.files and name not in report.what}
            assert not left, f"left behind: {left}: {told(result)}"
    except AssertionError as error:
        problems.append(told_fault(fault, report, error))
    return report.failed


def fail_everywhere(command, kinds=KINDS):
    """Lets calls of each kind fail. Fails with all problems at once."""
    world = command.world
    chance, problems, tried = random.Random(f"{SEED} {world.stage.folder.name}"), [], {}
    command.prepare()
    result = command.run({})
    assert result.returncode == DONE, told(result)
    command.succeeded(result)
    command.files = {*world.litter(), "app.db-shm", "app.db-wal", "app.db-seawall-base-0", "target.db-seawall-undo", "target.db", "target.db-seawall",
                     "copy.db", "copy.db-wal", "copy.db-shm", "copy.db-seawall-follow"}
    for kind in chance.sample(list(kinds), len(kinds)):
        if len(tried) == KINDS_EACH and not CALLS_EACH:
            break
        command.prepare()
        assert command.run(world.failing.environment(Fault(kind, 0, 0))).returncode == DONE
        calls = world.failing.report().calls
        chosen = moments(calls, chance)
        for n in chosen:
            tried[kind] = tried.get(kind, 0) + try_one(command, Fault(kind, n, chance.choice(KINDS[kind])), chance, problems)
        if CALLS_EACH:
            tried[kind] = f"{tried.get(kind, 0)} of {calls}"
    assert tried or command.arguments[0] in ("version", "help", "completion"), "no call failed"
    assert not problems, f"{len(problems)} problems, seed {SEED}:\n\n" + "\n\n".join(problems)
    world.stage.note(f"{command.arguments[0]}: {tried}, seed {SEED}")


@pytest.fixture
def world(stage):
    return World(stage)


@pytest.mark.parametrize("options", [(), ("--set-wal", "yes", "--fanout", "2", "--base-interval", "1s")], ids=["plain", "history"])
def test_replicate_once(world, options):
    fail_everywhere(Ships(world, "replicate", *options))


def test_replicate_once_with_the_wal_in_use(stage):
    fail_everywhere(Ships(World(stage, wal_in_use=True)))


def test_the_first_copy(world):
    fail_everywhere(ShipsAnew(world))


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_snapshot(stage, mode):
    fail_everywhere(Ships(World(stage, mode), "snapshot"))


def test_restore(world):
    fail_everywhere(Restores(world))


@pytest.mark.parametrize("behind", [False, True], ids=["first", "behind"])
def test_follow(world, behind):
    fail_everywhere(Follows(world, behind=behind))


def test_restore_of_a_point(world):
    fail_everywhere(Restores(world, "--txid", min(world.known), of=min(world.known)))


def test_restore_of_a_time(world):
    fail_everywhere(Restores(world, "--time", "now", "--integrity-check"))


def test_restore_by_force(world):
    fail_everywhere(Restores(world, "--force", over=min(world.known)))


def test_restore_of_the_pages_that_differ(world):
    fail_everywhere(Restores(world, "--delta", "--force", over=min(world.known)))


@pytest.mark.parametrize("options", [("--force",), ("--force", "--delta")], ids=["whole", "delta"])
def test_undo(world, options):
    fail_everywhere(Undoes(world, *options, over=min(world.known)))


@pytest.mark.parametrize("options", [(), ("--json",), ("--points", "--segments")], ids=["plain", "json", "long"])
def test_list(world, options):
    fail_everywhere(Prints(world, "list", *options, url_of(world.stage.replica)))


@pytest.mark.parametrize("options", [(), ("--full", "--json"), ("--restore",)], ids=["plain", "full", "restore"])
def test_verify(world, options):
    where = ("--tmp", world.temporary) if "--restore" in options else ()
    fail_everywhere(Verifies(world, "verify", *options, *where, url_of(world.stage.replica)))


def test_replicate(world):
    """Rows are added and removed: the content is the same in the end."""
    fail_everywhere(Serves(world))


@pytest.fixture
def served(world):
    """A daemon without faults."""
    daemon = world.stage.replicate("--rest-after", "60m")
    wait_control(daemon)
    return world


@pytest.mark.parametrize("command", [("status",), ("status", "--json"), ("status", "--metrics"), ("sync",), ("detach",), ("attach",)], ids="-".join)
def test_clients_of_a_daemon(served, command):
    fail_everywhere(Asks(served, *command, served.stage.db))


@pytest.mark.parametrize("command", [("help",), ("help", "replicate"), ("completion", "bash"), ("version",)], ids="-".join)
def test_commands_without_a_replica(world, command):
    fail_everywhere(Prints(world, *command))


def test_config(world):
    path = world.stage.folder / "seawall.conf"
    path.write_text(f"[seawall]\nfanout = 7\n[db {world.stage.db}]\nreplica = {url_of(world.stage.replica)}\n")
    world.kept.add(path.name)
    command = Prints(world, "config", "-c", path)
    command.codes = (DONE, FAILED, USAGE)
    fail_everywhere(command)


def test_prune(world):
    fail_everywhere(Prunes(world))


def fail_at(command, *faults):
    """Each of the faults must be met."""
    command.prepare()
    result = command.run({})
    assert result.returncode == DONE, told(result)
    command.succeeded(result)
    command.files = {*command.world.litter(), "app.db-shm", "app.db-wal", "target.db", "target.db-seawall", "target.db-seawall-undo"}
    problems = []
    for fault in faults:
        assert try_one(command, fault, random.Random(SEED), problems), f"{fault} was not met"
    assert not problems, "\n\n".join(problems)


@pytest.mark.parametrize("command", [Ships, ShipsAnew])
def test_a_read_of_the_machine_id_that_fails_does_not_make_another_machine_of_it(world, command):
    fail_at(command(world), *(Fault("read", 1, code, only="read /etc/machine-id") for code in (EIO, 0)),
            Fault("open", 1, EMFILE, only="open /etc/machine-id"))


def test_a_database_that_can_not_be_read_for_a_moment_is_not_called_something_else(world):
    fail_at(Ships(world), Fault("stat", 1, EIO, only="fstat */app.db"), Fault("read", 1, EIO, only="pread */app.db"),
            Fault("read", 1, 0, only="pread */app.db"), Fault("open", 1, EMFILE, only="open */app.db"), Fault("open", 2, EMFILE, only="open */app.db"))


@pytest.mark.parametrize("command", [Ships, ShipsAnew])
def test_a_look_that_fails_for_a_moment_is_not_taken_for_what_is_there(world, command):
    """The files of the database, the folders of the replica, and links on the way to them."""
    command, met = command(world), {}
    command.prepare()
    assert command.run({}).returncode == DONE
    command.files = {*world.litter(), "app.db-shm", "app.db-wal"}
    problems = []
    for only in "stat */app.db", "stat */app.db-wal", "stat /*", "realpath */app.db", "access *":
        met[only] = 0
        for n in range(1, 25):
            if not try_one(command, Fault("stat", n, (EIO, ENOMEM)[n % 2], only=only), random.Random(SEED), problems):
                break
            met[only] += 1
    assert not problems, "\n\n".join(problems)
    assert met["stat */app.db"] > 1 and met["stat */app.db-wal"] and met["realpath */app.db"], met


def test_a_follower_whose_log_opens_for_reading_only_does_not_wait_for_ever(world):
    """SQLite opens the -wal so after any failure, and does not say it."""
    command = Follows(world, behind=True)
    command.prepare()
    for code in EMFILE, EIO:
        command.prepare()
        result = command.run(world.failing.environment(Fault("open", 1, code, only="open */copy.db-wal")))
        assert world.failing.report().failed and result.returncode in COMMON, told(result)
        assert result.returncode == DONE or b"only for reading" in result.stderr, told(result)
    assert command.run({}).returncode == DONE


def test_a_file_of_ours_that_can_not_be_read_is_not_called_one_of_another_program(world):
    """EIO, and a read that gives half of the bytes."""
    for command, name in (Ships(world), "app.db-seawall"), (Restores(world, "--force", "--delta", over=min(world.known)), "target.db-seawall"):
        fail_at(command, *(Fault("read", 1, code, only=f"pread */{name}") for code in (EIO, 0)))
    fail_at(Follows(world, behind=True), Fault("read", 1, EIO, only="pread */copy.db-seawall-follow"))


def test_a_watch_that_can_not_begin_says_why(world):
    """It is not taken for one that has begun, on which SQLite took no lock."""
    command, said = Ships(world), 0
    for n in range(1, 15):
        command.prepare()
        result = command.run(world.failing.environment(Fault("sqlite", n, SQLITE_IOERR, only="sqlite3_step*")))
        assert b"got no read slot" not in result.stderr, told(result)
        said += b"begin the watch: disk I/O error" in result.stderr
    assert said > 0, "no begin failed"


def test_a_daemon_whose_event_loop_fails_ends_without_a_crash(world):
    fail_at(Ships(world), *(Fault("wait", n, ENOMEM, only="epoll_wait *") for n in range(1, 6)))


def test_folders_that_can_not_be_watched_do_not_end_the_daemon(world):
    command, met = Ships(world), 0
    for n in range(1, 15):   # one of these calls is the one for the folders
        command.prepare()
        result = command.run(world.failing.environment(Fault("watch", n, ENOSPC, only="epoll_ctl *")))
        if b"what vanishes from a folder is noticed within the hour: epoll_ctl: No space" in result.stderr:
            assert result.returncode == DONE, told(result)
            met += 1
    assert met == 1


def test_a_target_that_can_not_be_looked_at_is_not_said_to_exist(world):
    fail_at(Restores(world), *(Fault("stat", n, EIO, only="stat */target.db") for n in (1, 2, 3)))


@pytest.mark.parametrize("command", ["restore", "verify"])
def test_a_page_that_can_not_be_read_is_no_fault_of_the_database(world, command):
    """SQLite calls it malformed."""
    told_so = 0
    arguments = ("verify", "--restore", "--tmp", world.temporary) if command == "verify" else ("restore", "--integrity-check", "-o", world.target)
    for n in itertools.count(1):
        world.put_back()
        world.temporary.mkdir(exist_ok=True)
        fault = Fault("read", n, EIO, only="pread *")
        result = seawall(*arguments, url_of(world.stage.replica), environment=world.failing.environment(fault))
        assert result.returncode != CONTENT, told(result)
        told_so += b"SQLite can't read the restored file: Input/output error" in result.stderr
        if not world.failing.report().failed:
            break
    assert told_so > 0, f"none of {n} reads was one of the check"


def test_a_full_disk_is_no_wrong_usage_of_verify(world):
    fail_at(Verifies(world, "verify", "--restore", "--tmp", world.temporary, url_of(world.stage.replica)),
            *(Fault("name", 1, code, only="mkdir *") for code in (EIO, ENOSPC)))


def test_the_journal_of_a_base_that_could_not_be_begun_does_not_stay(world):
    let_pass(1.1, "the newest base is older than --base-interval")
    fail_at(Ships(world, "replicate", "--fanout", "2", "--base-interval", "1s"), Fault("length", 1, ENOSPC, only="ftruncate *-base-0"),
            Fault("write", 1, ENOSPC, only="pwrite *-base-0"))


def test_a_daemon_that_is_gone_before_it_was_asked_is_called_gone(served):
    for code in (EPIPE, ECONNRESET):
        result = seawall("status", served.stage.db, environment=served.failing.environment(Fault("socket", 1, code, only="send *")))
        assert result.returncode == FAILED and b"the daemon ended before it answered" in result.stderr + result.stdout, told(result)
