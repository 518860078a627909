#!/usr/bin/env python3
"""How small the changes of a transaction can be made: the patches of the format, with finer granules, with single bytes, and each page
deflated with its older version as the dictionary.

    patches.py [TRANSACTIONS]      (600)

Each transaction updates one random row of 200 bytes and its index entry in a table of 400,000 rows. The frames of the WAL are compared with the
pages before. Each way is deflated by zlib at level 6, one transaction at a time, as an object of level 0 is. Bytes for a transaction."""
import random
import sqlite3
import struct
import sys
import tempfile
import zlib

PAGE, ROWS, WAL_HEADER, FRAME_HEADER = 4096, 400_000, 32, 24


def make(path, chance):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, txn INTEGER, code INTEGER, payload TEXT)")
    db.execute("BEGIN")
    db.executemany("INSERT INTO item VALUES (?, 0, ?, ?)",
                   ((n, chance.getrandbits(47), chance.randbytes(100).hex()) for n in range(1, ROWS + 1)))
    db.execute("CREATE INDEX item_code ON item(code)")
    db.execute("COMMIT")
    with open(path, "rb") as file:
        content = file.read()
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("PRAGMA user_version = 1")   # makes the WAL
    return db, {n // PAGE + 1: content[n:n + PAGE] for n in range(0, len(content), PAGE)}


def granules(old, new, size):
    return b"".join(new[n:n + size] for n in range(0, PAGE, size) if new[n:n + size] != old[n:n + size])


def varint(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128, n >> 7])


def single_bytes(old, new):
    """Ranges of changed bytes: a gap, a length, the bytes."""
    out, at = b"", 0
    while at < PAGE:
        begin = next((n for n in range(at, PAGE) if new[n] != old[n]), PAGE)
        end = next((n for n in range(begin, PAGE) if new[n] == old[n]), PAGE)
        if begin < PAGE:
            out += varint(begin - at) + varint(end - begin) + new[begin:end]
        at = end
    return out


def with_dictionary(old, new):
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, old)
    return deflate.compress(new) + deflate.flush()


PATCHES = {"granules of 64 bytes, as in the format": lambda old, new: granules(old, new, 64),
           "granules of 16 bytes": lambda old, new: granules(old, new, 16),
           "single bytes": single_bytes}


def main():
    count, at, chance = int(sys.argv[1]) if len(sys.argv) > 1 else 600, WAL_HEADER + FRAME_HEADER + PAGE, random.Random(1)
    sums = dict.fromkeys([*PATCHES, "each page with its older version as the dictionary"], 0)
    with tempfile.TemporaryDirectory() as folder:
        db, pages = make(f"{folder}/items.db", chance)
        with open(f"{folder}/items.db-wal", "rb") as wal:
            for n in range(1, count + 1):
                db.execute("UPDATE item SET txn = ?, code = ?, payload = ? WHERE id = ?",
                           (n, chance.getrandbits(47), chance.randbytes(100).hex(), chance.randrange(1, ROWS + 1)))
                wal.seek(at)
                frames = wal.read()
                at += len(frames)
                changed = []
                for frame in range(0, len(frames), FRAME_HEADER + PAGE):
                    pgno, = struct.unpack(">I", frames[frame:frame + 4])
                    new = frames[frame + FRAME_HEADER:frame + FRAME_HEADER + PAGE]
                    changed.append((pages.get(pgno, bytes(PAGE)), new))
                    pages[pgno] = new
                for name, patch in PATCHES.items():
                    sums[name] += len(zlib.compress(b"".join(patch(old, new) for old, new in changed), 6))
                sums["each page with its older version as the dictionary"] += sum(len(with_dictionary(old, new)) for old, new in changed)
        db.close()
    first = next(iter(sums.values()))
    for name, size in sums.items():
        print(f"{name}: {size / count:,.0f} ({100 * size / first:.0f} %)")


if __name__ == "__main__":
    main()
