"""Opens replicas through the extension, as an application does: in this process, and in processes of their own."""
import random
import sqlite3
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import quote

from seawall import BINARY
from waiting import PATIENCE

EXTENSION = BINARY.parent / "seawall.so"
SHAPES = ["PRAGMA page_size={page_size}", "PRAGMA auto_vacuum=2",
          "CREATE TABLE item(id INTEGER PRIMARY KEY, kind INTEGER, name TEXT, price REAL, payload BLOB)",
          "CREATE INDEX item_kind ON item(kind, name)",
          "CREATE TABLE tag(word TEXT, item INTEGER, weight INTEGER, PRIMARY KEY(word, item)) WITHOUT ROWID",
          "CREATE VIEW heavy AS SELECT item, sum(weight) AS total FROM tag GROUP BY item HAVING total > 50"]
WORDS = [f"{a}{b}" for a in ("am", "be", "cor", "dun", "ess") for b in ("ber", "nt", "al", "ik", "o")]


@cache
def loaded():
    """A connection that has loaded the extension: the VFS then exists in this process."""
    connection = sqlite3.connect(":memory:")
    connection.enable_load_extension(True)
    connection.load_extension(str(EXTENSION))
    return connection


def uri(replica, name="elsewhere.db", **parameters):
    more = "".join(f"&{key.replace('_', '-')}={quote(str(value), safe='')}" for key, value in parameters.items() if value is not None)
    return f"file:{name}?vfs=seawall&replica={quote(str(replica), safe='')}{more}"


def reader(replica, **parameters):
    """A connection to a replica."""
    loaded()
    return sqlite3.connect(uri(replica, **parameters), uri=True, isolation_level=None, check_same_thread=False)


def why():
    """Why the last call of this thread failed."""
    return loaded().execute("SELECT seawall_error()").fetchone()[0]


HEAD = f"""
import sqlite3, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
from readers import loaded, reader, uri, why
loaded()
"""


def start_process(code, *arguments, environment=None):
    """Starts Python code in a process of its own, with `load()` and `uri()`. Its standard files are pipes."""
    return subprocess.Popen([sys.executable, "-c", HEAD + code, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                            env=environment)


def in_process(code, *arguments, seconds=60, environment=None):
    """Runs Python code in a process of its own, with `load()` and `uri()`. Returns its output."""
    result = subprocess.run([sys.executable, "-c", HEAD + code, *map(str, arguments)], capture_output=True, text=True,
                            timeout=seconds * PATIENCE, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def change(connection, dice, rows=20):
    """One transaction that changes a database of SHAPES in many ways."""
    connection.execute("BEGIN")
    for _ in range(rows):
        what = dice.randrange(10)
        one = dice.randrange(1, 2000)
        if what < 5:
            connection.execute("INSERT OR REPLACE INTO item VALUES(?, ?, ?, ?, ?)", (
                one, dice.randrange(9), " ".join(dice.choices(WORDS, k=3)), dice.random() * 100,
                dice.randbytes(dice.choice((0, 30, 300, 3000, 20000)))))
        elif what < 8:
            connection.execute("INSERT OR REPLACE INTO tag VALUES(?, ?, ?)", (dice.choice(WORDS), one, dice.randrange(100)))
        elif what == 8:
            connection.execute("DELETE FROM item WHERE id BETWEEN ? AND ?", (one, one + dice.choice((2, 200))))
        else:
            connection.execute("UPDATE item SET payload = NULL, kind = kind + 1 WHERE id % 17 = ?", (one % 17,))
    connection.execute("COMMIT")
    if dice.randrange(12) == 0:
        connection.execute("PRAGMA incremental_vacuum(1000)").fetchall()


def queries(dice, count):
    """Random SELECT statements over SHAPES."""
    for _ in range(count):
        one, word = dice.randrange(1, 2000), dice.choice(WORDS)
        yield dice.choice([
            f"SELECT * FROM item WHERE id = {one}",
            f"SELECT id, name, length(payload), hex(substr(payload, 1, 8)) FROM item WHERE id > {one} ORDER BY id LIMIT 20",
            f"SELECT kind, count(*), sum(price), max(length(payload)) FROM item GROUP BY kind ORDER BY kind",
            f"SELECT name FROM item WHERE kind = {one % 9} AND name >= '{word}' ORDER BY name DESC, id LIMIT 30",
            f"SELECT count(*) FROM item WHERE name LIKE '%{word[1:]}%'",
            f"SELECT i.id, i.name, t.word, t.weight FROM tag t JOIN item i ON i.id = t.item WHERE t.word = '{word}' ORDER BY i.id",
            f"SELECT word, count(DISTINCT item), avg(weight) FROM tag WHERE item < {one} GROUP BY word ORDER BY word",
            "SELECT * FROM heavy ORDER BY total DESC, item LIMIT 10",
            f"SELECT id FROM item WHERE payload IS NULL AND id IN (SELECT item FROM tag WHERE weight > {one % 100}) ORDER BY id",
            f"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 50) SELECT x, (SELECT name FROM item WHERE id = x * {one % 40 + 1}) FROM n",
            "SELECT name, sql FROM sqlite_master ORDER BY name", "PRAGMA page_count", "PRAGMA freelist_count", "PRAGMA user_version",
            "SELECT quote(payload) FROM item ORDER BY length(payload) DESC, id LIMIT 2",
        ])


def differing_answers(one, other, seed, count=25):
    """The queries that two connections answer differently."""
    return [query for query in queries(random.Random(seed), count) if one.execute(query).fetchall() != other.execute(query).fetchall()]
