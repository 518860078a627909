"""Runs one test file of SQLite in testfixture, in a folder of its own, and reads the output of testfixture."""
import dataclasses
import os
import pathlib
import re
import shutil
import signal
import subprocess

PATIENCE = float(os.environ.get("SEAWALL_TEST_PATIENCE", "1"))
SECONDS = 300 * PATIENCE
TOTAL = re.compile(rb"^(\d+) errors out of (\d+) tests", re.M)
FAILED = re.compile(rb"^!Failures on these tests: (.*)$", re.M)
OPENED = re.compile(r"^opens (\d+) databases (\d+) wals (\d+)$", re.M)
PLAIN = ("PATH", "LANG", "HOME", "TZ")   # testfixture gets no other variable, because its tests look at some


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of one run of one file. `end` is "exit N", "signal N" or "time limit"."""
    name: str
    end: str
    tests: int | None = None
    failed: tuple = ()
    opens: tuple = (0, 0, 0)   # through the shim: files, databases, wals

    @property
    def answer(self):
        """The part of the result that must not depend on the shim."""
        return self.end, self.tests, self.failed


def suite_files(testfixture, tree, folder):
    """Names of the files of SQLite's "veryquick" suite, and names of all test files."""
    script = folder / "list.tcl"
    script.write_text(f"set argv0 {tree}/test/list.test\nsource {tree}/test/permutations.test\n"
                      'foreach f $::allquicktests { puts "ALL [file tail $f]" }\nforeach f $::alltests { puts "ALL [file tail $f]" }\n'
                      'array set suite $::testspec(veryquick)\nforeach f $suite(-files) { puts "QUICK [file tail $f]" }\nexit 0\n')
    printed = subprocess.run([testfixture, script], cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    quick, known = (sorted(set(re.findall(rf"^{kind} (\S+)\.test$", printed, re.M))) for kind in ("QUICK", "ALL"))
    assert len(quick) > 500, f"testfixture names only {len(quick)} files: {printed[-500:]}"
    return quick, known


def end_of(code):
    return f"exit {code}" if code >= 0 else f"signal {-code}"


def bounded(command, log, seconds, **more):
    """Runs a command in a new session, with its output in `log`. Kills all its processes after `seconds`."""
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True, **more)
        try:
            return end_of(process.wait(seconds))
        except subprocess.TimeoutExpired:
            return "time limit"
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)   # processes that the test has left, too
            except ProcessLookupError:
                pass
            process.wait()


def emptied(folder):
    """Makes the folder empty. Tests leave folders that can't be written to."""
    if folder.exists():
        for root, folders, _ in os.walk(folder):
            for name in folders:
                if not os.path.islink(os.path.join(root, name)):
                    os.chmod(os.path.join(root, name), 0o700)
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def read_result(name, end, log, opened=None):
    printed = pathlib.Path(log).read_bytes()
    total = TOTAL.findall(printed)
    failed = sorted({word.decode(errors="replace") for match in FAILED.findall(printed) for word in match.split()})
    counts = [tuple(map(int, line)) for line in OPENED.findall(opened.read_text())] if opened and opened.exists() else []
    return Result(name, end, int(total[-1][1]) if total else None, tuple(failed), tuple(map(sum, zip(*counts))) or (0, 0, 0))


def run_file(testfixture, command, name, place, environment=None, seconds=SECONDS):
    """Runs `command` of testfixture for the file `name` in place/NAME, with the log place/NAME.log. The caller removes place/NAME."""
    folder, log, opened = emptied(place / name), place / f"{name}.log", place / f"{name}.opens"
    opened.unlink(missing_ok=True)
    variables = {key: os.environ[key] for key in PLAIN if key in os.environ} | {"HOME": str(folder)} | (environment or {})
    if variables.get("SEAWALL_SWITCH") == "":
        variables["SEAWALL_SWITCH"] = str(opened)
    end = bounded([testfixture, *command], log, seconds, cwd=folder, env=variables)
    return read_result(name, end, log, opened)
