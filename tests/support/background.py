"""Python programs that do something all the time beside a test, and count it in a journal."""
import subprocess
import sys
from pathlib import Path

from waiting import wait_until

COMMITS = """
import sys
sys.path.insert(0, {tests!r})
from {module} import {kind}
app = {kind}({path!r})
with open({journal!r}, "wb", buffering=0) as journal:
    while True:
        app.commit()
        journal.write(b"c")
"""


class Background:
    """A process. It appends a byte to its journal for each time that it has done its work."""

    def __init__(self, folder, name, program, **values):
        self.name = name
        self.journal, self.output = Path(folder) / f"{name}.journal", Path(folder) / f"{name}.out"
        text = program.format(tests=str(Path(__file__).parent), journal=str(self.journal), **values)
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen([sys.executable, "-c", text], stderr=output, stdout=output)

    def count(self):
        return self.journal.stat().st_size if self.journal.exists() else 0

    def assert_well(self):
        assert self.process.poll() is None, f"{self.name} ended: {self.output.read_text()[-2000:]}"

    def wait_count(self, count, seconds=60):
        wait_until(lambda: self.assert_well() or self.count() >= count, seconds, f"{self.name} has done it {count} times")

    def wait_more(self, more, seconds=60):
        self.wait_count(self.count() + more, seconds)

    def end(self):
        self.process.kill()
        self.process.wait()


class Committer(Background):
    """An application, which is a class with `commit()` in a module of this folder, commits without a pause."""

    def __init__(self, folder, path, module, kind):
        super().__init__(folder, "application", COMMITS, module=module, kind=kind, path=str(path))
