#!/usr/bin/env python3
"""The protection in the files that are installed, read from the ELF files PROGRAM and EXTENSION:

  - the program is position-independent; no segment can be written and run; the stack can't be run;
  - after loading, the table of functions can't be written (RELRO, and symbols bound at the start);
  - functions with arrays check their stack (stack protector); in the program, calls of the C library check the room (_FORTIFY_SOURCE);
  - on x86-64, functions begin with a mark for indirect branches (-fcf-protection);
  - the extension exports its entry point and nothing else;
  - neither has a path where libraries are searched.

Exits 1 and names each file that lacks something."""
import re
import subprocess
import sys

ENTRY_POINTS = {"sqlite3_seawall_init"}
MARK = b"\xf3\x0f\x1e\xfa"   # endbr64
FEWEST_MARKS = {"program": 500, "extension": 20}   # the program has hundreds of functions, the extension dozens


def readelf(path, *options):
    return subprocess.run(["readelf", "-W", *options, path], check=True, capture_output=True, text=True).stdout


def problems(path, kind):
    head, segments, dynamic, symbols = (readelf(path, option) for option in ("-h", "-l", "-d", "--dyn-syms"))
    rows = [line.split() for line in symbols.splitlines() if re.match(r"\s*\d+:", line)]
    names = {row[7].split("@")[0]: row for row in rows if len(row) > 7}
    exported = {name for name, row in names.items() if row[4] in ("GLOBAL", "WEAK") and row[6] != "UND"}
    flags = {row.split()[0]: row for row in segments.splitlines() if row.strip()}
    if not re.search(r"Type:\s+DYN", head) or (kind == "program" and not re.search(r"FLAGS_1.*\bPIE\b", dynamic)):
        yield "is not position-independent (-pie)"
    if "GNU_RELRO" not in flags:
        yield "has no RELRO (-z relro)"
    if not re.search(r"BIND_NOW|FLAGS_1.*\bNOW\b", dynamic):
        yield "binds functions late (-z now)"
    if not re.search(r"GNU_STACK.*\sRW\s", segments):
        yield "has a stack that can be run (-z noexecstack)"
    if re.search(r"LOAD.*\sRWE\s", segments):
        yield "has a segment that can be written and run"
    if re.search(r"\((RPATH|RUNPATH)\)", dynamic):
        yield "has a path where libraries are searched"
    if "__stack_chk_fail" not in names:
        yield "has no stack protector (-fstack-protector-strong)"
    if kind == "program" and not any(name.endswith("_chk") for name in names):   # the extension calls nothing that could be checked
        yield "does not check the room of calls of the C library (-D_FORTIFY_SOURCE)"
    if re.search(r"Machine:.*X86-64", head):
        marks = open(path, "rb").read().count(MARK)
        if marks < FEWEST_MARKS[kind]:
            yield f"has {marks} marks for indirect branches, not {FEWEST_MARKS[kind]} (-fcf-protection)"
    if kind == "extension" and exported != ENTRY_POINTS:
        yield f"exports {', '.join(sorted(exported)) or 'nothing'}, not {', '.join(ENTRY_POINTS)} alone (-fvisibility=hidden)"


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: hardening.py PROGRAM EXTENSION")
    found = [f"{path}: {problem}" for path, kind in zip(sys.argv[1:], ("program", "extension")) for problem in problems(path, kind)]
    for problem in found:
        print(problem)
    print(f"lint: hardening: {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
