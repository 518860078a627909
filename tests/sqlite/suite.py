#!/usr/bin/env python3
"""Runs SQLite's own test suite over the shim, and beside a daemon.

    suite.py [--sqlite VERSION] [--jobs N] [--parts "shim daemon"] [FILE ...]

shim     Runs each file of SQLite's "veryquick" suite twice: with SQLite's own VFSes, and with the shim in the place of each of them. The
         results must be equal, and every file must open its databases through the shim.
daemon   Runs the files that use WAL mode beside a daemon, which attaches and lets go between their steps. The database that is restored
         from its replica must be equal, byte for byte.

FILE is the name of a test file without ".test". Logs are in build/sqlite/VERSION/. Root runs the tests as the user nobody."""
import argparse
import collections
import concurrent.futures
import os
import pathlib
import pwd
import re
import sys

import expected
import fixture
import source
from companion import Companion

HERE = pathlib.Path(__file__).resolve().parent
SEAWALL = source.ROOT / "build" / "seawall"
ATTEMPTS = 3   # a file that differs may depend on time, and runs again; it counts as equal if one attempt is equal
USES_WAL = re.compile(r"journal_mode\s*=\s*[\"']?wal", re.I)
# Notes of companion.py that are not problems. Any other note is one.
HARMLESS = ("identical", "identical but for free pages", "attached", "could not attach", "file replaced", "not comparable")


def as_nobody(place):
    """Makes the folder `place` for the user that runs the tests. Root becomes the user nobody."""
    fixture.emptied(place)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(place, nobody.pw_uid, nobody.pw_gid)
        os.setgroups([])
        os.setresgid(nobody.pw_gid, nobody.pw_gid, nobody.pw_gid)
        os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)
    os.environ["HOME"] = str(place)
    if not os.access(SEAWALL, os.X_OK):
        source.give_up(f"this user can't run {SEAWALL}", "move the checkout to a folder that others may enter, or run as another user")


class Suite:
    def __init__(self, tree, testfixture, place, jobs):
        self.tree, self.testfixture, self.place, self.jobs = tree, testfixture, place, jobs
        self.quick, self.known = fixture.suite_files(testfixture, tree, place)

    def text(self, name):
        return (self.tree / "test" / f"{name}.test").read_text(errors="replace") if (self.tree / "test" / f"{name}.test").exists() else ""

    def wal_files(self):
        """The files that use WAL mode: of "veryquick", and others whose name says so."""
        named = [name for name in self.known if name.startswith("wal")]
        return sorted({name for name in self.quick if USES_WAL.search(self.text(name))} | set(named))

    def each(self, function, names):
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            yield from pool.map(function, names)

    # ---- the shim

    def alone_and_shimmed(self, name):
        command = [self.tree / "test" / "permutations.test", "veryquick", f"{name}.test"]
        results = []
        for kind, environment in (("alone", None), ("shim", {"SEAWALL_SWITCH": ""})):
            results.append(fixture.run_file(self.testfixture, command, name, self.place / kind, environment))
            fixture.emptied(self.place / kind / name).rmdir()
        return results

    def compared(self, name):
        """Returns (results alone and with the shim, differences, number of attempts)."""
        for attempt in range(1, ATTEMPTS + 1):
            alone, shimmed = self.alone_and_shimmed(name)
            differences = differences_of(alone, shimmed)
            if not differences:
                break
        return alone, shimmed, differences, attempt

    def shim(self, names):
        total, problems = collections.Counter(), []
        for alone, shimmed, differences, attempt in self.each(self.compared, names or self.quick):
            known = [test for test in shimmed.failed if test not in alone.failed and expected.known(test)]
            total.update(files=1, tests=shimmed.tests or 0, both=len(set(alone.failed) & set(shimmed.failed)), known=len(known),
                         again=int(attempt > 1 and not differences), opens=shimmed.opens[0], databases=shimmed.opens[1], wals=shimmed.opens[2])
            for difference in differences:
                problems.append(f"{alone.name}: {difference}")
                print(f"sqlite: shim: {problems[-1]}", flush=True)
            print(f"{alone.name} {shimmed.end} {shimmed.tests} tests, {shimmed.opens[0]} opens", file=self.log, flush=True)
        print(f"sqlite: shim: {total['files']} files, {total['tests']} tests; {total['both']} fail with and without the shim, "
              f"{total['known']} count the size of file handles; {total['again']} files equal at another attempt; opened through the shim: "
              f"{total['opens']} files, of these {total['databases']} databases and {total['wals']} WALs; {len(problems)} differences", flush=True)
        return problems

    # ---- the daemon

    def attached(self, name):
        """Returns (result, counts and notes of the companion)."""
        place = fixture.emptied(self.place / "daemon" / f"{name}.d")
        run = self.place / "daemon" / name
        with Companion(SEAWALL, run, place) as companion:
            command = [HERE / "attached.tcl", self.tree / "test" / f"{name}.test"]
            result = fixture.run_file(self.testfixture, command, name, run.parent, companion.environment())
        fixture.emptied(run).rmdir()
        (run.parent / f"{name}.notes").write_text("".join(": ".join(note) + "\n" for note in companion.notes))
        return result, companion

    def daemon(self, names):
        names = [name for name in names or self.wal_files() if name not in expected.NOT_ATTACHED]
        counts, total, problems = collections.Counter(), collections.Counter(), []
        for result, companion in self.each(self.attached, names):
            counts.update(companion.counts)
            total.update(files=1, tests=result.tests or 0, failed=len(result.failed), stopped=int(result.tests is None))
            for problem in problems_of(result, companion):
                problems.append(f"{result.name}: {problem}")
                print(f"sqlite: daemon: {problems[-1]}", flush=True)
            print(f"{result.name} {result.end} {result.tests} tests, {len(result.failed)} failed, {dict(companion.counts)}", file=self.log, flush=True)
        if not names or (len(names) > 20 and not counts["identical"]):
            problems.append("no restored copy was compared")
        print(f"sqlite: daemon: {total['files']} files, {total['tests']} tests, of which {total['failed']} fail there; "
              f"{total['stopped']} files stopped at a test that failed; "
              + ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items())) + f"; {len(problems)} problems", flush=True)
        return problems


def differences_of(alone, shimmed):
    found = []
    if alone.tests is None or shimmed.tests is None:
        found.append(f"did not come to an end: {alone.end} alone, {shimmed.end} with the shim")
    elif alone.tests != shimmed.tests:
        found.append(f"{alone.tests} tests alone, {shimmed.tests} with the shim")
    found += [f"{test} fails only with the shim" for test in shimmed.failed if test not in alone.failed and not expected.known(test)]
    found += [f"{test} fails only without the shim" for test in alone.failed if test not in shimmed.failed]
    if not found and alone.end != shimmed.end and not any(map(expected.known, shimmed.failed)):
        found.append(f"{alone.end} alone, {shimmed.end} with the shim")
    if not shimmed.opens[1]:
        found.append("no database was opened through the shim")
    if any(alone.opens):
        found.append("the run without the shim had the shim")
    return found


def problems_of(result, companion):
    counted = ("crashed", "did not end") if result.name in expected.TAMPERING else None
    found = [": ".join(note) for note in companion.notes if (note[1] in counted if counted else note[1] not in HARMLESS)]
    if result.end == "time limit" or result.end.startswith("signal"):
        found.append(f"testfixture came to {result.end}")
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sqlite", default="3.40.1", metavar="VERSION")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--parts", default="shim daemon")
    parser.add_argument("files", nargs="*", metavar="FILE")
    options = parser.parse_args()
    tree, work, testfixture = source.build(options.sqlite)
    sys.stdout.reconfigure(line_buffering=True)
    as_nobody(work / "run")
    suite = Suite(tree, testfixture, work / "run", options.jobs)
    unknown = [name for name in options.files if name not in suite.known]
    if unknown:
        source.give_up(f"SQLite has no test file {unknown[0]}.test")
    problems = []
    for part in options.parts.split():
        with open(suite.place / f"{part}.log", "w") as suite.log:
            problems += {"shim": suite.shim, "daemon": suite.daemon}[part](options.files)
    failed = len(problems)
    print(f"sqlite: {'passed' if not failed else f'{failed} problems'}; logs are in {work / 'run'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
