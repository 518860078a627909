#!/usr/bin/env python3
"""Compares src/README.md, the tour, with the source.

  - its table of arrows says the same as ARROWS of rooms.py, and no arrow leads up in its drawing;
  - "The rooms" has one paragraph for each room;
  - each C function that it names in backquotes is defined in src, in a file to which the same paragraph, list item or
    table row has a link;
  - each rule, macro or state in capital letters that it names is in src;
  - before the glossary, lines have at most 160 columns, and there are at most 500 lines.

Exits 1 and names each thing that is wrong."""
import pathlib
import re
import sys

from rooms import ARROWS

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
TOUR = SOURCE / "README.md"
COLUMNS, LINES = 160, 500
DEFINED = re.compile(r"(?m)^(?:[a-z][\w *]*?[ *])?([a-z]\w*)\((?:[^;{}]|\n)*?\)\n\{|^static inline [\w *]+?[ *](\w+)\(|^#define (\w+)")
NAMED = re.compile(r"`([a-z][a-z0-9]*(?:_[a-z0-9]+)+|[a-z]+)`")
LINK = re.compile(r"\]\(([^)\s#]+)")


def sources():
    return sorted(path for pattern in ("*/*.c", "*/*.h") for path in SOURCE.glob(pattern))


def definitions():
    """{function: set of the files in src that define it}"""
    found = {}
    for path in sources():
        for names in DEFINED.findall(path.read_text()):
            for name in names:
                found.setdefault(name, set()).add(str(path.relative_to(SOURCE)))
    return found


def units(text):
    """Yields (line number, text) of each paragraph, list item and table row outside code blocks. The glossary has a check of its own."""
    start, unit, code = 0, [], False
    for number, line in enumerate(text.partition("\n## Glossary\n")[0].splitlines() + [""], 1):
        code ^= line.startswith("```")
        if code or not line or line.startswith(("```", "#", "|")) or re.match(r"\s*(?:[-*]|\d+\.) ", line):
            if unit:
                yield start, " ".join(unit)
            start, unit = number, []
        if not code and line and not line.startswith(("```", "#")):
            unit.append(line.strip())


def check_functions(text):
    defined, identifiers = definitions(), set()
    for path in sources():
        identifiers |= set(re.findall(r"\w+", path.read_text()))
    for number, unit in units(text):
        links = set(LINK.findall(unit))
        for name in NAMED.findall(unit):
            places = defined.get(name, set())
            if places and not places & links:
                yield f"src/README.md:{number}: '{name}' is in {', '.join(sorted(places))}; no link beside it leads there"
            elif not places and "_" in name and name not in identifiers:
                yield f"src/README.md:{number}: '{name}' is not in src"
        for name in re.findall(r"\b[A-Z]+_[A-Z_]+\b", unit):
            if name not in identifiers:
                yield f"src/README.md:{number}: '{name}' is not in src"


def drawn(text):
    """The lines of the drawing that have rooms, without the words beside it."""
    lines = [line[:46] for line in text.partition("```\n")[2].partition("```")[0].splitlines()]
    return [line for line in lines if re.search(r"[a-z]", line)]


def may_lead(drawing, room, target):
    """An arrow leads to a lower line, or along a '>' on its own line."""
    above, below = (next((i for i, line in enumerate(drawing) if re.search(rf"\b{name}\b", line)), None) for name in (room, target))
    if above is None or below is None:
        return False
    return above < below or bool(above == below and re.search(rf"\b{room} >(?: \w+ >)* {target}\b", drawing[above]))


def check_arrows(text):
    drawing = drawn(text)
    for room, targets in ARROWS.items():
        if not any(re.search(rf"\b{room}\b", line) for line in drawing):
            yield f"src/README.md: the drawing lacks the room {room}"
        for target in targets.split():
            if not may_lead(drawing, room, target):
                yield f"src/README.md: in the drawing {target} is not below {room}"
    written = {}
    for rooms, targets in re.findall(r"(?m)^\| ([a-z0-9, ]+) \| ([a-z0-9, ]*?) ?\|$", text.partition("\n## The rooms\n")[0]):
        for room in rooms.split(", "):
            written[room] = targets.replace(",", "").split()
    for room in ARROWS:
        if written.get(room) != ARROWS[room].split():
            yield f"src/README.md: the table of arrows must say of {room}: '{ARROWS[room].replace(' ', ', ')}', as rooms.py does"
    for room in written.keys() - ARROWS.keys():
        yield f"src/README.md: the table of arrows has a room {room}, which rooms.py lacks"


def check_rooms(text):
    part = text.partition("\n## The rooms\n")[2].partition("\n## ")[0]
    described = re.findall(r"(?m)^\*\*\[(\w+)\]\((\w+)/\)\*\*", part)
    for room in ARROWS:
        if described.count((room, room)) != 1:
            yield f"src/README.md: {room} has {described.count((room, room))} paragraphs under \"The rooms\", not one"
    for room, _ in described:
        if room not in ARROWS:
            yield f"src/README.md: there is no room {room}"


def check_size(text):
    lines = text.partition("\n## Glossary\n")[0].splitlines()
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS and not line.startswith("|"):
            yield f"src/README.md:{number}: {len(line)} columns, at most {COLUMNS}"
    if len(lines) > LINES:
        yield f"src/README.md: {len(lines)} lines before the glossary, at most {LINES}"


def main():
    text = TOUR.read_text()
    found = [problem for rule in (check_arrows, check_rooms, check_functions, check_size) for problem in rule(text)]
    for problem in found:
        print(problem)
    print(f"lint: tour through the source: {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
