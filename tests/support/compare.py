"""Comparison of two databases, page by page and row by row."""
import hashlib
import shutil
import sqlite3
import struct
import subprocess
from pathlib import Path

CHUNK = 1 << 20
LOCK_BYTE = 0x40000000


def copy_file(source, target):
    """Copies in another process: closing a descriptor of a database file here would drop the locks of this process."""
    subprocess.run(["cp", "--sparse=always", source, target], check=True)


def settled(db, folder):
    """A file that has all commits of `db`: the database file itself if its WAL is empty, otherwise a copy. No process may write to `db`."""
    wal = Path(f"{db}-wal")
    if not wal.exists() or wal.stat().st_size == 0:
        return Path(db)
    copy = Path(folder) / "settled.db"
    copy_file(db, copy)
    copy_file(wal, f"{copy}-wal")
    connection = sqlite3.connect(copy)
    assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    connection.close()
    return copy


def free_leaves(path, page_size):
    """Page numbers of free-list leaves: SQLite defines no content for them."""
    leaves = set()
    with open(path, "rb") as file:
        file.seek(32)
        trunk = struct.unpack(">I", file.read(4))[0]
        while trunk:
            file.seek((trunk - 1) * page_size)
            page = file.read(page_size)
            following, count = struct.unpack_from(">II", page)
            leaves.update(struct.unpack_from(f">{count}I", page, 8))
            trunk = following
    return leaves


def differing_pages(source, restored, page_size):
    """[(page number, restored page), ...]"""
    found = []
    with open(source, "rb") as one, open(restored, "rb") as other:
        at = 0
        while True:
            a, b = one.read(CHUNK), other.read(CHUNK)
            if not a:
                return found
            for offset in range(0, len(a), page_size) if a != b else ():
                if a[offset:offset + page_size] != b[offset:offset + page_size]:
                    found.append(((at + offset) // page_size + 1, b[offset:offset + page_size]))
            at += len(a)


def assert_same_pages(source, restored):
    """All pages are equal, except those whose bytes SQLite does not define: the lock-byte page, and leaves of the free list, which
    are restored as zeros."""
    assert Path(source).stat().st_size == Path(restored).stat().st_size, "the sizes differ"
    with open(restored, "rb") as file:
        page_size = struct.unpack(">16xH", file.read(18))[0]
    page_size = 65536 if page_size == 1 else page_size
    leaves = free_leaves(restored, page_size)
    lock_page = LOCK_BYTE // page_size + 1
    for number, page in differing_pages(source, restored, page_size):
        undefined = number == lock_page or (number in leaves and not any(page))
        assert undefined, f"page {number} differs"


def content(connection):
    """A digest of the schema and of every row of every table, in the order of a scan."""
    digest = hashlib.sha256()
    tables = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name, type").fetchall()
    digest.update(repr(tables).encode())
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall():
        for row in connection.execute(f'SELECT * FROM "{name}"'):
            digest.update(repr(row).encode())
    return digest.hexdigest()


def content_of(path):
    connection = sqlite3.connect(path)
    try:
        return content(connection)
    finally:
        connection.close()


def assert_sound(path):
    connection = sqlite3.connect(path)
    try:
        verdict = connection.execute("PRAGMA integrity_check").fetchall()
    finally:
        connection.close()
    assert verdict == [("ok",)], f"{path}: {verdict[:5]}"


def drop(path):
    """Removes a database with its -wal, -shm, -journal and state file."""
    for suffix in ("", "-wal", "-shm", "-journal", "-seawall"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def files_of(folder):
    """{name: content} of the files in a folder."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def copy_tree(source, target):
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return Path(target)
