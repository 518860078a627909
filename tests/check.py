#!/usr/bin/env python3
"""Runs all parts of `make check`, some at a time, and shows how far they are.

    tests/check.py [--jobs N] [PART ...]      all parts, or the named ones
    tests/check.py --list                     the names of the parts

Each part is a make target. Its output goes to build/tests/check/PART.log. A line is printed when a part starts and when it ends, and
every 20 seconds one that counts the tests. The output of a part that failed is printed whole. Then, if it is one of end-to-end tests, it
runs once more, alone: a machine that is busy for a moment fails no check. A test that failed only the first time is unsteady: it is named
at the end, and is to be mended. The exit code is 0 if nothing failed twice."""
import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
LOGS = ROOT / "build" / "tests" / "check"
LOOK_EVERY_S, PROGRESS_EVERY_S, PART_S_MAX = 0.2, 20, 1800
PATIENCE = float(os.environ.get("SEAWALL_TEST_PATIENCE", "1"))
# The lines that a part prints for a test that passed or failed: pytest -v, TAP of cmocka under prove, rules of the property test.
PASSED = re.compile(r"^\S+::.* (?:PASSED|XPASS)\b|^ok \d+ -|^ok   \S+ +off", re.M)
FAILED = re.compile(r"^\S+::.* (?:FAILED|ERROR)\b|^not ok \d+|^MISS \S+", re.M)
SKIPPED = re.compile(r"^\S+::.* SKIPPED\b", re.M)
EXPECTED = re.compile(r"^\S+::.* XFAIL\b", re.M)
AGAIN_MAX = 6   # if more parts failed, it was not the machine
# The longest parts come first, so that two parts at a time end together.
LONGEST = ("history", "snapshot", "failures", "s3_each_request", "killed_anywhere", "delta", "status", "s3_faults", "s3_operations",
           "history_in_trouble", "verify_interval",
           "prune", "s3_credentials", "one_history", "verify", "replaced_files", "power_cut", "sync")
ONE_SERVER = ("s3_servers", "s3_rgw")   # they share a Ceph object gateway


def end_to_end(files):
    return ["check-e2e", "E2E=" + " ".join(files)]


def parts():
    """{name: arguments of make}, in the order in which they start."""
    names = sorted(path.stem[len("test_"):] for path in (ROOT / "tests" / "e2e").glob("test_*.py"))
    alone = [name for name in names if name not in ONE_SERVER]
    alone.sort(key=lambda name: LONGEST.index(name) if name in LONGEST else len(LONGEST))
    found = {"lint": ["lint"], "unit": ["check-unit"], "property": ["check-property"], "fuzz": ["check-fuzz"], "s3_store": ["check-s3-store"]}
    found["s3_gateway"] = end_to_end([f"tests/e2e/test_{name}.py" for name in ONE_SERVER])
    found.update({name: end_to_end([f"tests/e2e/test_{name}.py"]) for name in alone})
    found["s3_server"] = end_to_end(["tests/support/test_s3server.py"])
    return found


def environment():
    """The environment of a part: it does not use the job server of the make that runs this program, and prints a line for each test."""
    flags = " ".join(word for word in os.environ.get("MAKEFLAGS", "").split() if not re.match(r"-j|--jobserver|--output-sync|-O", word))
    return {**os.environ, "MAKEFLAGS": flags, "HARNESS_VERBOSE": "1", "PYTEST_ADDOPTS": "-vv -rsx", "PYTHONUNBUFFERED": "1"}


class Part:
    def __init__(self, name, arguments):
        self.name, self.log, self.begun, self.end, self.code = name, LOGS / f"{name}.log", time.monotonic(), None, None
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(["make", "--no-print-directory", *arguments], cwd=ROOT, env=environment(), stdout=output,
                                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)

    def seconds(self):
        return (self.end or time.monotonic()) - self.begun

    def text(self):
        return self.log.read_text(errors="replace")

    def ended(self):
        if self.process.poll() is None and self.seconds() > PART_S_MAX * PATIENCE:
            with open(self.log, "a") as output:
                output.write(f"\ncheck: {self.name} was killed after {self.seconds():.0f} s\n")
            self.kill()
        self.code = self.process.poll()
        self.end = time.monotonic() if self.code is not None else None
        return self.code is not None

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def failed_tests(self):
        return [line[:160] for line in re.findall(r"^\S+::.* (?:FAILED|ERROR)\b|^not ok \d+.*|^MISS \S+", self.text(), re.M)] or ["as a whole"]

    def keep_log(self):
        """Moves the log out of the way of a second run."""
        self.log = self.log.rename(self.log.with_suffix(".first.log"))

    def counts(self):
        """(passed, failed, skipped, expected failures). A part that counts no tests is one test."""
        text = self.text()
        passed, failed, skipped, expected = (len(pattern.findall(text)) for pattern in (PASSED, FAILED, SKIPPED, EXPECTED))
        if self.code is not None:
            failed = max(failed, 1) if self.code != 0 else failed
            passed = max(passed, 1) if self.code == 0 and not skipped else passed
        return passed, failed, skipped, expected


def say(text):
    print(text, flush=True)


def told(counts):
    names = ("passed", "failed", "skipped", "failed as expected")
    return ", ".join(f"{count} {name}" for count, name in zip(counts, names) if count or name in ("passed", "failed"))


def total(parts):
    return [sum(column) for column in zip((0, 0, 0, 0), *(part.counts() for part in parts))]


def show_end(part, done, of):
    say(f"check: {done} of {of} parts: {part.name} {'failed' if part.code else 'ended'} after {part.seconds():.0f} s: {told(part.counts())}")
    if part.code:
        say(f"---- the output of {part.name}:\n{part.text()}\n---- the end of the output of {part.name}")


def run(waiting, jobs):
    """Runs all parts. Returns them, ended."""
    of, running, done, shown, begun = len(waiting), [], [], time.monotonic(), time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(Part(*waiting.pop(0)))
                say(f"check: {running[-1].name} starts")
            for part in [part for part in running if part.ended()]:
                running.remove(part)
                done.append(part)
                show_end(part, len(done), of)
            if time.monotonic() - shown > PROGRESS_EVERY_S and running:
                shown = time.monotonic()
                say(f"check: {shown - begun:.0f} s: {told(total(done + running))}; running: {', '.join(part.name for part in running)}")
            time.sleep(LOOK_EVERY_S)
    finally:
        for part in running:
            part.kill()
    return done


def again(failed, known):
    """Runs the parts that failed once more, one at a time."""
    say(f"check: once more, alone: {', '.join(part.name for part in failed)}")
    for part in failed:
        part.keep_log()
    return run([(part.name, known[part.name]) for part in failed], 1)


def skipped_and_expected(done):
    for part in done:
        for line in re.findall(r"^(?:SKIPPED|XFAIL) .*", part.text(), re.M):
            yield f"check: {part.name}: {line}"


def slowest(done):
    return sorted(((part.seconds(), part.name) for part in done), reverse=True)[:8]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--jobs", type=int, default=2, help="parts that run at a time (2): most of them wait more than they compute")
    arguments.add_argument("--list", action="store_true")
    arguments.add_argument("parts", nargs="*")
    options, known = arguments.parse_args(), parts()
    unknown = [name for name in options.parts if name not in known]
    if unknown:
        arguments.error(f"unknown part: {', '.join(unknown)}")
    if options.list:
        say("\n".join(known))
        return 0
    LOGS.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    done = run([(name, known[name]) for name in known if name in options.parts or not options.parts], options.jobs)
    first = [part for part in done if part.code]
    loaded = [part for part in first if "E2E=" in " ".join(known[part.name])]   # the others have the same input each time
    if 0 < len(loaded) <= AGAIN_MAX:
        done = [part for part in done if part not in loaded] + again(loaded, known)
    for line in skipped_and_expected(done):
        say(line)
    for part in first:
        for name in part.failed_tests():
            say(f"check: {part.name} failed the first time: {name}")
    failed = [part.name for part in done if part.code]
    say(f"check: the slowest parts: {', '.join(f'{part} {seconds:.0f} s' for seconds, part in slowest(done))}; all: {time.monotonic() - begun:.0f} s")
    say("{0} passed, {1} failed".format(*total(done)))
    say(f"check: failed: {', '.join(sorted(failed))}" if failed else "check: all tests passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
