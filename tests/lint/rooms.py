#!/usr/bin/env python3
"""The rooms of src/ and the arrows between them: who may include whom, and which room opens which third-party library.

Exits 1 and names each line that breaks a rule."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ALLOWED = {  # room: rooms that it may include, besides itself
    "base": set(),
    "wal": {"base"},
    "format": {"base"},
    "vfs": set(),
    "http": {"base"},
    "aws": {"base", "http"},
    "storage": {"base", "http", "aws"},
    "config": {"base"},
    "pagemap": {"base", "wal", "format"},
    "replica": {"base", "format", "storage", "pagemap"},
    "verify": {"base", "format", "storage", "config", "pagemap", "replica"},
    "replicate": {"base", "wal", "format", "vfs", "storage", "config", "pagemap", "replica"},
    "restore": {"base", "format", "storage", "config", "pagemap", "replica"},
    "cli": {"base", "config", "replica", "verify", "replicate", "restore", "storage", "format"},
}
LIBRARIES = {  # header prefix: rooms that open it
    "zlib.h": {"format"},
    "openssl/": {"base"},
    "xxhash.h": {"base"},
    "jansson.h": {"base"},
    "curl/": {"http"},
    "expat.h": {"aws"},
    "ini.h": {"base"},
    "sqlite3.h": {"vfs", "replicate", "restore", "cli"},  # the subject of the program: the shim, the watch, the integrity check
    "sqlite3ext.h": {"vfs"},
    "seawall/vfs.h": {"vfs", "replicate", "cli"},
}
BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|system|tmpnam|mktemp|atoi|atol)\s*\(")
SHIM_OK = {"vfs"}  # must not depend on anything of ours


def problems():
    for path in sorted((ROOT / "src").rglob("*.[ch]")):
        room = path.relative_to(ROOT / "src").parts[0]
        where = path.relative_to(ROOT)
        if room not in ALLOWED:
            yield f"{where}: no such room"
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            included = re.match(r'\s*#\s*include\s+[<"]([^>"]+)[>"]', line)
            if included:
                header = included.group(1)
                target = header.split("/")[0]
                if target in ALLOWED and target != room and target not in ALLOWED[room]:
                    yield f"{where}:{number}: {room} must not include {target}"
                for prefix, rooms in LIBRARIES.items():
                    if (header == prefix or (prefix.endswith("/") and header.startswith(prefix))) and room not in rooms:
                        yield f"{where}:{number}: {header} is opened in {', '.join(sorted(rooms))} only"
            banned = BANNED.search(line)
            if banned and not line.lstrip().startswith(("*", "/*")):
                yield f"{where}:{number}: {banned.group(1)} is banned"


def main():
    found = list(problems())
    for problem in found:
        print(problem)
    print(f"lint: rooms and arrows: {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
