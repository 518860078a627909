#!/usr/bin/python3
"""Runs clients beside the daemon, and writes the table of docs/clients.md. CLIENTS="Django 'Go mattn'" names some; the table is written if
all have a result."""
import json
import os
import re
import shlex
import sys
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "support")]

from install import install, version_of  # noqa: E402
from scenario import play  # noqa: E402
from table import CHECKOUT, CLIENTS, PLACE  # noqa: E402

PAGE = CHECKOUT / "docs" / "clients.md"
RESULTS = PLACE / "results"


def folder_of(client):
    return re.sub(r"[^a-z0-9]+", "-", client.name.lower()).strip("-")


def result_of(client, missing):
    """Runs one client. The result has "verdict": passed, failed or missing."""
    if missing:
        return {"verdict": "missing", "why": missing}
    try:
        found = play(client, PLACE / "run" / folder_of(client))
        return {"verdict": "passed", "version": version_of(client), **found}
    except FileNotFoundError as error:
        return {"verdict": "missing", "why": f"{error.filename} is not installed"}
    except Exception as error:  # noqa: BLE001 - the others run all the same
        if not isinstance(error, AssertionError):
            traceback.print_exc()
        return {"verdict": "failed", "why": str(error) or repr(error)}


def cell(value):
    return "" if value is None else str(value)


def changed(before, after, names=("OFF", "NORMAL", "FULL", "EXTRA")):
    """The setting `synchronous` of a new database, and of one in WAL mode if that is another."""
    words = [names[int(value)] for value in (before, after) if value is not None]
    return ", then ".join(dict.fromkeys(words))


USUAL = {"wal_autocheckpoint": 1000, "mmap_size": 0, "locking_mode": "normal", "page_size": 4096}  # the page says so of all clients


def line_of(client, result):
    if result["verdict"] == "missing":
        return f"| {client.name} | | | {client.engine} | | | | not run: {result['why']} | |"
    before, after = result["before"], result["after"]
    outcome = "refused, with the reason" if client.foreign else "works, restore identical"
    for name, value in USUAL.items():
        assert str(before[name]) in (str(value), "None") or client.foreign, f"{client.name}: {name} is {before[name]}"
    settings = f"`{client.set}`" if client.set else ""
    return (f"| {client.name} | {result['version']} | {cell(before['sqlite'])} | {client.engine} | {cell(before['journal_mode'])} | "
            f"{changed(before['synchronous'], after.get('synchronous'))} | {cell(before['busy_timeout'])} | {outcome} | {settings} |")


HEAD = """| Client | Version | SQLite | which is | Journal mode | synchronous | Busy timeout, ms | Beside the daemon | Set |
|---|---|---|---|---|---|---|---|---|
"""


def write_page():
    """Writes the table into the page, if every client has a result and none has failed."""
    results = {}
    for client in CLIENTS:
        file = RESULTS / f"{folder_of(client)}.json"
        result = json.loads(file.read_text()) if file.exists() else {"verdict": "failed"}
        if result["verdict"] == "failed":
            print(f"check-clients: the table is not written, since '{client.name}' has no result")
            return
        results[client.name] = result
    begin, end = "<!-- table: make check-clients -->\n", "<!-- end of the table -->\n"
    page = PAGE.read_text()
    before, _, rest = page.partition(begin)
    after = rest.partition(end)[2]
    table = HEAD + "".join(line_of(client, results[client.name]) + "\n" for client in CLIENTS)
    PAGE.write_text(before + begin + table + end + after)


def main():
    named = shlex.split(os.environ.get("CLIENTS", ""))
    unknown = set(named) - {client.name for client in CLIENTS}
    if unknown:
        sys.exit(f"check-clients: unknown: {', '.join(sorted(unknown))}; known: {', '.join(client.name for client in CLIENTS)}")
    chosen = [client for client in CLIENTS if not named or client.name in named]
    RESULTS.mkdir(parents=True, exist_ok=True)
    missing = {}
    count = {"passed": 0, "failed": 0, "missing": 0}
    for client in chosen:
        if client.kind not in missing:
            missing[client.kind] = install(client.kind)
        result = result_of(client, missing[client.kind])
        count[result["verdict"]] += 1
        (RESULTS / f"{folder_of(client)}.json").write_text(json.dumps(result, indent=1))
        print(f"{result['verdict']:8}{client.name}{': ' + result['why'] if 'why' in result else ''}", flush=True)
    write_page()
    print(f"{count['passed']} passed, {count['failed']} failed, {count['missing']} skipped")
    return 1 if count["failed"] or (named and count["missing"]) else 0


if __name__ == "__main__":
    sys.exit(main())
