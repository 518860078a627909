#!/usr/bin/env python3
"""The rooms of src/ and the arrows between them: who may include whom, and which room opens which third-party library.

It reports
  - an include that follows no arrow of ARROWS, and an arrow of ARROWS that no include uses;
  - a circle between files (a file is X.c with X.h, or a header alone);
  - a third-party header outside the rooms that may open it;
  - a banned call;
  - a call that opens, makes, renames or removes a file by its path outside the files of BY_PATH: base/folder.h says why;
  - output that does not go through base/text.h or base/log.h, which escape what comes from outside.

Exits 1 and names each line that breaks a rule."""
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
EVERY_ROOM_MAY = "base"  # except vfs, which is also built for applications
ARROWS = {  # room: rooms that it includes, besides itself and base. src/README.md draws them
    "base": "",
    "wal": "",
    "format": "",
    "vfs": "",
    "config": "",
    "web": "config",
    "http": "",
    "aws": "http",
    "s3": "aws http",
    "storage": "s3",
    "state": "wal format",
    "replica": "storage state format",
    "reader": "replica storage format",
    "control": "",
    "extension": "reader control vfs",
    "retention": "replica",
    "cargo": "format",
    "capture": "cargo state wal format config",
    "ship": "replica storage state cargo format",
    "daemon": "control capture ship cargo retention web config format",
    "restore": "replica state format",
    "verify": "replica",
    "doctor": "capture replica state storage config",
    "litestream": "restore replica storage wal format",
    "follow": "restore replica state wal format",
    "import": "config",
    "cli": "doctor daemon control import follow litestream restore verify retention extension reader replica storage web config format",
}
LIBRARIES = {  # header, or its folder: rooms that open it
    "zlib.h": "format",
    "isa-l/": "format",
    "libdeflate.h": "format",
    "openssl/": "base",
    "xxhash.h": "base",
    "jansson.h": "base",
    "curl/": "http",
    "microhttpd.h": "web",
    "expat.h": "aws",
    "ini.h": "base",
    "yaml.h": "import",
    "lz4.h": "litestream",
    "lz4frame.h": "litestream",
    "sqlite3.h": "vfs capture doctor restore follow extension cli",  # the subject of the program: the shim, the watch, the integrity check
    "sqlite3ext.h": "extension",
    "seawall/vfs.h": "vfs capture cli",
}
BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|system|tmpnam|mktemp|atoi|atol)\s*\(")
PATH_CALL = re.compile(r"(?<![\w.>])(open|openat|fopen|creat|mkstemp|mkdtemp|unlink|unlinkat|rename|renameat2?|link|linkat|symlink"
                       r"|chmod|chown|lchown|truncate|mkdir|mkdirat|rmdir|opendir)\s*\(")
BY_PATH = {  # file: what it opens
    "base/folder.c": "files beside a database: the one place",
    "base/stage.c": "hidden files in a folder that base/folder.c has opened",
    "base/io.c": "a folder, to sync it",
    "base/path.c": "folders on the way to a replica",
    "base/socket.c": "the control socket, from the descriptor of its folder",
    "base/ini.c": "configuration files that a person names",
    "aws/token_file.c": "a token file that the environment names",
    "s3/config.c": "a key file that the URL names",
    "config/pattern.c": "folders, to look for what a pattern matches",
    "config/members.c": "files that a pattern matches, to look at their first bytes",
    "state/identity.c": "/etc/machine-id",
    "base/clock.c": "/proc/sys/kernel/random/boot_id",
    "cli/import.c": "the file of Litestream that a person names",
    "cli/main.c": "/dev/null, for standard files that are closed",
    "capture/strangers.c": "the database and its wal-index, to look at locks",
    "capture/lock_table.c": "/proc/locks",
    "capture/candidate.c": "the database, to look at its first bytes, and its wal-index, to look at locks",
    "doctor/machine.c": "settings of the kernel",
    "daemon/folders.c": "folders of a replica, to watch them",
    "storage/file.c": "objects in the folder of a replica",
    "reader/disk.c": "files in the folder of a cache that base/folder.c has opened",
    "restore/target.c": "names in a folder that base/folder.c has opened",
}
PRINTING = re.compile(r"\b(v?printf|v?fprintf|v?dprintf|f?puts|f?putc|putchar|perror|psignal|fwrite)(_unlocked)?\s*\(|\bwrite\(STD")
MAY_PRINT = {
    "base/text.c": "it is what escapes",
    "base/log.c": "one write() for each line",
    "cli/help.c": "prints texts of the program alone",
    "cli/completion.c": "prints texts of the program alone",
}
INCLUDE = re.compile(r'\s*#\s*include\s+[<"]([^>"]+)[>"]')


def sources():
    return sorted(SOURCE.rglob("*.[ch]"))


def lines_of(path):
    return enumerate(path.read_text().splitlines(), 1)


def allowed(room):
    arrows = set(ARROWS[room].split())
    return arrows if room in (EVERY_ROOM_MAY, "vfs") else arrows | {EVERY_ROOM_MAY}


def arrows():
    unused = {(room, target) for room in ARROWS for target in ARROWS[room].split()}
    for path in sources():
        room, where = path.relative_to(SOURCE).parts[0], path.relative_to(ROOT)
        if room not in ARROWS:
            yield f"{where}: the room {room} is not in ARROWS"
            continue
        for number, line in lines_of(path):
            included = INCLUDE.match(line)
            target = included and included.group(1).split("/")[0]
            if target in ARROWS and target != room:
                unused.discard((room, target))
                if target not in allowed(room):
                    yield f"{where}:{number}: {room} must not include {target}"
    for room, target in sorted(unused):
        yield f"tests/lint/rooms.py: the arrow from {room} to {target} is allowed, and nothing uses it"


def libraries():
    for path in sources():
        room, where = path.relative_to(SOURCE).parts[0], path.relative_to(ROOT)
        for number, line in lines_of(path):
            included = INCLUDE.match(line)
            for header, rooms in LIBRARIES.items():
                opened = included and (included.group(1) == header or (header[-1] == "/" and included.group(1).startswith(header)))
                if opened and room not in rooms.split():
                    yield f"{where}:{number}: {included.group(1)} may be opened in {', '.join(rooms.split())} only"


def banned_calls():
    for path in sources():
        for number, line in lines_of(path):
            found = BANNED.search(line)
            if found and not line.lstrip().startswith(("*", "/*")):
                yield f"{path.relative_to(ROOT)}:{number}: {found.group(1)} is banned"


def calls_by_path():
    unused = set(BY_PATH)
    for path in sources():
        where = str(path.relative_to(SOURCE))
        for number, line in lines_of(path):
            found = PATH_CALL.search(line)
            if not found or line.lstrip().startswith(("*", "/*")):
                continue
            unused.discard(where)
            if where not in BY_PATH:
                yield f"src/{where}:{number}: {found.group(1)} by path: open the file with base/folder.h"
    for where in sorted(unused):
        yield f"tests/lint/rooms.py: {where} may open files by path, and opens none"


def printing():
    """Only calls: snprintf fills a buffer, which text.h escapes when it is printed."""
    for path in sources():
        if str(path.relative_to(SOURCE)) in MAY_PRINT:
            continue
        for number, line in lines_of(path):
            found = PRINTING.search(line)
            if found and not line.lstrip().startswith(("*", "/*")):
                yield f"{path.relative_to(ROOT)}:{number}: {found.group(0)}...): print with base/text.h, which escapes what comes from outside"


def files_and_includes():
    """{room/stem: set of room/stem that it includes}"""
    graph = collections.defaultdict(set)
    for path in sources():
        name = str(path.relative_to(SOURCE).with_suffix(""))
        for _, line in lines_of(path):
            included = INCLUDE.match(line)
            if included and (SOURCE / included.group(1)).exists():
                graph[name].add(str(pathlib.PurePath(included.group(1)).with_suffix("")))
        graph[name].discard(name)
    return graph


def circles():
    graph, done = files_and_includes(), set()

    def follow(name, way):
        if name in way:
            yield "a circle between files: " + " -> ".join(way[way.index(name):] + [name])
        elif name not in done:
            for target in sorted(graph.get(name, ())):
                yield from follow(target, way + [name])
            done.add(name)

    for name in sorted(graph):
        yield from follow(name, [])


def main():
    found = [problem for rule in (arrows, circles, libraries, banned_calls, calls_by_path, printing) for problem in rule()]
    for problem in found:
        print(problem)
    print(f"lint: rooms and arrows: {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
