"""Reads and damages the WAL and the wal-index (-shm): which process holds a lock, and the files as an application leaves them that is killed.

Each function works in a new process, because a process that closes a descriptor of a -shm file loses the locks that SQLite holds on it.
"""
import fcntl
import mmap
import os
import signal
import struct
import subprocess
import sys

from waiting import wait_until

WRITE_LOCK, CHECKPOINT_LOCK = 120, 121  # bytes of the -shm file
FLOCK = "hhqqi"                         # struct flock: type, whence, start, length, pid
HEADER = "=IIIBBHII8s8s8s"              # a copy of the wal-index header: ..., last frame, pages, checksum of that frame, salts, checksum
MX_FRAME = (16, 48 + 16)                # offsets of the last frame's number in the two copies
NATIVE, BIG_ENDIAN = "=II", ">II"


def checksum(words, data, sums):
    """Continues SQLite's WAL checksum `sums` over `data`."""
    s1, s2 = sums
    for one, two in struct.iter_unpack(words, data):
        s1 = (s1 + one + s2) & 0xffffffff
        s2 = (s2 + two + s1) & 0xffffffff
    return s1, s2


def in_own_process(*arguments):
    return subprocess.run([sys.executable, __file__, *map(str, arguments)], capture_output=True, text=True, timeout=60)


def holder(db, lock):
    """The process that holds `lock`; 0: none."""
    result = in_own_process("holder", db, lock)
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


def freeze(process):
    """Stops a daemon or an application with SIGSTOP at a moment when it does not hold the write lock."""
    def frozen():
        process.send(signal.SIGSTOP)
        if holder(process.db, WRITE_LOCK) != process.pid:
            return True
        process.send(signal.SIGCONT)
        return False
    wait_until(frozen, 10, "it is frozen without the write lock")


def generation(db):
    """(salts, last frame) of the generation in the header of the wal-index."""
    result = in_own_process("generation", db, 0)
    assert result.returncode == 0, result.stderr
    salts, frames = result.stdout.split()
    return bytes.fromhex(salts), int(frames)


def salts_in_wal(db):
    """The salts in the header of the WAL file; none if the file has no header."""
    with open(f"{db}-wal", "rb") as file:
        return file.read(32)[16:24]


def tear(db, copy):
    """Damages copy 0 or 1 of the header, as an application does that is killed while it writes the header. It holds the write lock then,
    and the kernel releases it."""
    result = in_own_process("tear", db, copy)
    assert result.returncode == -signal.SIGKILL, result.stderr


def grow(db, pages):
    """Writes the frames of a commit and not the header, as an application does that is killed in between. The commit adds `pages` free
    pages, and writes only the first of them, the trunk of the free list. The free list must be empty before."""
    result = in_own_process("grow", db, pages)
    assert result.returncode == -signal.SIGKILL, result.stderr


def newest_version(db, wal, number, last_frame, page_size):
    for frame in range(last_frame, 0, -1):
        at = 32 + (frame - 1) * (24 + page_size)
        if struct.unpack_from(">I", wal, at)[0] == number:
            return bytearray(wal[at + 24:at + 24 + page_size])
    with open(db, "rb") as file:
        file.seek((number - 1) * page_size)
        return bytearray(file.read(page_size))


def append_growth(db, header, pages):
    _, _, _, _, _, size, last_frame, count, sums, salts, _ = struct.unpack_from(HEADER, header)
    page_size = 65536 if size == 1 else size
    with open(db + "-wal", "r+b") as file:
        first = newest_version(db, file.read(), 1, last_frame, page_size)
        struct.pack_into(">III", first, 28, count + pages, count + 1, pages)
        leaves = range(count + 2, count + pages + 1)
        trunk = struct.pack(f">II{len(leaves)}I", 0, len(leaves), *leaves).ljust(page_size, b"\0")
        sums = struct.unpack("=II", sums)
        file.seek(32 + last_frame * (24 + page_size))
        for number, commit, page in ((1, 0, first), (count + 1, count + pages, trunk)):
            start = struct.pack(">II", number, commit)
            sums = checksum(NATIVE, start, sums)
            sums = checksum(NATIVE, page, sums)
            file.write(start + salts + struct.pack(">II", *sums) + page)


def main(verb, db, argument):
    shm = os.open(db + "-shm", os.O_RDWR)
    if verb == "holder":
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, int(argument), 1, 0)
        kind, _, _, _, pid = struct.unpack(FLOCK, fcntl.fcntl(shm, fcntl.F_GETLK, asked))
        print(0 if kind == fcntl.F_UNLCK else pid)
        return
    if verb == "generation":
        _, _, _, _, _, _, last_frame, _, _, salts, _ = struct.unpack(HEADER, os.pread(shm, struct.calcsize(HEADER), 0))
        print(salts.hex(), last_frame)
        return
    fcntl.fcntl(shm, fcntl.F_SETLKW, struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, WRITE_LOCK, 1, 0))
    header = mmap.mmap(shm, 4096)
    if verb == "grow":
        append_growth(db, header, int(argument))
    at = MX_FRAME[int(argument) if verb == "tear" else 0]
    (frames,) = struct.unpack_from("=I", header, at)
    struct.pack_into("=I", header, at, frames + 1)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
