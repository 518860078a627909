"""Makes a database of many gigabytes that uses little disk: most pages are leaves of the free list, and most of these are holes."""
import sqlite3
import struct

PAGE = 4096
LOCK_PAGE = 0x40000000 // PAGE + 1
LEAVES = PAGE // 4 - 8   # leaves of one trunk page: SQLite does not use the last six places


def numbers(first, last):
    return (number for number in range(first, last + 1) if number != LOCK_PAGE)


def groups(pages):
    """Divides the pages into [(trunk, leaves), ...]."""
    found = []
    for number in pages:
        if not found or len(found[-1][1]) == LEAVES:
            found.append((number, []))
        else:
            found[-1][1].append(number)
    return found


def grow(path, pages, filled):
    """Appends free pages until the closed database has `pages` of them. `filled` leaves of each thousand have content; the others are holes."""
    with open(path, "r+b") as file:
        header = file.read(100)
        count, trunk = struct.unpack(">II", header[28:36])
        assert trunk == 0 and header[24:28] == header[92:96]
        free = groups(numbers(count + 1, pages))
        file.truncate(pages * PAGE)
        for at, (number, leaves) in enumerate(free):
            following = free[at + 1][0] if at + 1 < len(free) else 0
            file.seek((number - 1) * PAGE)
            file.write(struct.pack(f">II{len(leaves)}I", following, len(leaves), *leaves))
            for leaf in leaves[:filled]:
                file.seek((leaf - 1) * PAGE)
                file.write((b"was row %d, " % leaf * 300)[:PAGE])
        file.seek(28)
        file.write(struct.pack(">III", pages, free[0][0], sum(1 + len(leaves) for _, leaves in free)))


def database(path, gibibytes, filled):
    app = sqlite3.connect(path, isolation_level=None)
    for statement in (f"PRAGMA page_size={PAGE}", "PRAGMA journal_mode=wal", "CREATE TABLE t(a)", "INSERT INTO t VALUES('a row')"):
        app.execute(statement).fetchall()
    app.close()
    grow(path, (gibibytes << 30) // PAGE, filled)
