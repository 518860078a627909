"""A small database in WAL mode, that one connection made and closed."""
import sqlite3


def make_database(path, rows=1):
    """Makes the table t(x) if there is none, and adds rows of 500 bytes in one transaction."""
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS t(x);")
    connection.executemany("INSERT INTO t VALUES(?)", [("x" * 500,)] * rows)
    connection.commit()
    connection.close()


def rows_of(path):
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT count(*) FROM t").fetchone()[0]
    connection.close()
    return found
