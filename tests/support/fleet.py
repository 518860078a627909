"""Many databases with one daemon: a configuration, the databases of its sections, and the daemon of all of them."""
import json
import sqlite3
from pathlib import Path

from compare import assert_sound, content_of
from seawall import DONE, Daemon, listing, restore, seawall, told


class Fleet(Daemon):
    """`seawall replicate -c FILE` as a process. Each database has a replica of its own, a folder with its name."""

    def __init__(self, folder, names, *options, settings=(), pattern=None, urls=None, environment=None):
        """`pattern`: of the paths of all databases, instead of a section for each name. `urls`: a function from a name to the
        URL of its replica."""
        self.urls = urls
        self.folder, self.names, self.settings, self.pattern = Path(folder), list(names), settings, pattern
        self.config = self.folder / "seawall.conf"
        self.write_config()
        self.start([*options, "-c", self.config], self.folder / "seawall.log", environment)

    def write_config(self):
        lines = ["[seawall]", *self.settings]
        if self.pattern:
            lines += [f"[db {self.pattern}]", f"replica = {self.folder}/replicas/{{stem}}"]
        for name in () if self.pattern else self.names:
            lines += [f"[db {self.database(name)}]", f"replica = {self.replica_of(name)}"]
        self.config.write_text("\n".join(lines) + "\n")

    def database(self, name):
        return self.folder / f"{name}.db"

    def replica_of(self, name):
        return self.urls(name) if self.urls else self.folder / "replicas" / name

    def status(self, *arguments):
        """The databases of `status --json`, by name."""
        result = seawall("status", "--json", "-c", self.config, *arguments)
        return {Path(one["database"]).stem: one for one in json.loads(result.stdout)["databases"]}

    def wait_shipped(self, names):
        """Each of these databases has a restore point."""
        for name in names:
            self.wait_for(lambda: listing(self.replica_of(name)), 30, f"{name} has a restore point")


def make_database(path, rows=1):
    """A database in WAL mode with a table t(a)."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t(a)")
    connection.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(rows)])
    connection.commit()
    connection.close()


def insert(path, value):
    connection = sqlite3.connect(path, timeout=20)
    connection.execute("INSERT INTO t VALUES (?)", (value,))
    connection.commit()
    connection.close()


def synced(fleet, name):
    result = seawall("sync", "-c", fleet.config, fleet.database(name))
    assert result.returncode == DONE, told(result)
    return result


def assert_restores(fleet, name):
    """The newest restore point of this database has what it has now. The daemon may checkpoint meanwhile."""
    target = fleet.folder / f"restored-{name}.db"
    result = restore(fleet.replica_of(name), target)
    assert result.returncode == DONE, told(result)
    assert content_of(target) == content_of(fleet.database(name))
    assert_sound(target)
    target.unlink()
