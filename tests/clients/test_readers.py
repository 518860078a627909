"""Drivers of several languages read a replica through seawall.so, each with its own SQLite: from a folder, and from a bucket by TLS-less HTTP,
which loads libcurl into the process of the driver."""
import os
import random
import shutil
import sqlite3
import subprocess

import pytest

from bucket import ACCESS, SECRET, Bucket, new_server
from install import install
from readers import EXTENSION, SHAPES, change, uri
from seawall import DONE, restore, seawall, told
from table import GO, HERE, NODE, NODE24, PYTHON

READERS = HERE / "readers"
SQL = "SELECT seawall_txid(), count(*), sum(length(payload)) FROM item"
DRIVERS = {  # name: (what installs it, command)
    "sqlite3 shell": ("apt", None),
    "Python sqlite3": ("apt", ["/usr/bin/python3", READERS / "python.py", "EXTENSION", "URI", "sqlite3"]),
    "Perl DBD::SQLite": ("apt", ["perl", READERS / "perl.pl", "EXTENSION", "URI"]),
    "PHP SQLite3": ("apt", ["php", "-d", f"sqlite3.extension_dir={EXTENSION.parent}", READERS / "php.php", "EXTENSION", "URI"]),
    "Ruby sqlite3": ("apt", ["ruby", READERS / "ruby.rb", "EXTENSION", "URI"]),
    "pysqlite3": ("pip", [PYTHON, READERS / "python.py", "EXTENSION", "URI", "pysqlite3"]),
    "apsw": ("pip", [PYTHON, READERS / "with_apsw.py", "EXTENSION", "URI"]),
    "better-sqlite3": ("npm", ["node", NODE / "reader.mjs", "EXTENSION", "URI", "better-sqlite3"]),
    "node:sqlite": ("npm", [*NODE24, NODE / "reader.mjs", "EXTENSION", "URI", "node:sqlite"]),
    "Go mattn": ("go", [GO / "replica", "EXTENSION", "URI"]),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A database, a replica of it in a folder, and one in a bucket."""
    folder = tmp_path_factory.mktemp("readers")
    app = sqlite3.connect(folder / "app.db", isolation_level=None)
    for statement in SHAPES:
        app.execute(statement.format(page_size=4096))
    app.execute("PRAGMA journal_mode=wal")
    for _ in range(10):
        change(app, random.Random(1))
    environment = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
    with new_server() as server:
        url = Bucket(server, folder).url()
        for place in (folder / "replica", url):
            result = seawall("snapshot", folder / "app.db", place, environment=environment)
            assert result.returncode == DONE, told(result)
        assert restore(folder / "replica", folder / "restored.db").returncode == DONE
        count, total = sqlite3.connect(folder / "restored.db").execute("SELECT count(*), sum(length(payload)) FROM item").fetchone()
        yield {"folder": folder / "replica", "bucket": url, "answer": f"1|{count}|{total}\n", "environment": environment}


@pytest.mark.parametrize("place", ["folder", "bucket"])
@pytest.mark.parametrize("name", DRIVERS)
def test_a_driver_reads_a_replica(made, name, place):
    kind, command = DRIVERS[name]
    missing = install(kind)
    if missing:
        pytest.skip(missing)
    if kind == "npm":
        shutil.copy(READERS / "node.mjs", NODE / "reader.mjs")
    wanted = uri(made[place], name="/tmp/app.db")
    environment = {**os.environ, **made["environment"], "SEAWALL_REPLICA": wanted.removeprefix("file:").replace("vfs=seawall&", "")}
    if command is None:
        command = ["sqlite3", "-batch", ":memory:", f".load {EXTENSION}", f'.open "{wanted}"', SQL]
        del environment["SEAWALL_REPLICA"]
    command = [{"EXTENSION": str(EXTENSION), "URI": wanted}.get(word, str(word)) for word in command]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    except FileNotFoundError as error:
        pytest.skip(f"{error.filename} is not installed")
    assert result.stdout == made["answer"], f"{result.stdout}\n{result.stderr}"
