#!/usr/bin/env python3
"""Compares src/README.md, the tour, with the source.

  - its table of arrows says the same as ARROWS of rooms.py, and no arrow leads up in its drawing;
  - "The rooms" has one paragraph for each room.

Exits 1 and names each thing that is wrong."""
import pathlib
import re
import sys

from rooms import ARROWS

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
TOUR = SOURCE / "README.md"


def drawn(text):
    """The rooms of the drawing, line by line; the words beside it are cut off."""
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


def main():
    text = TOUR.read_text()
    found = [problem for rule in (check_arrows, check_rooms) for problem in rule(text)]
    for problem in found:
        print(problem)
    print(f"lint: tour through the source: {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
