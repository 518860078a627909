"""The section "First minute" of README.md works as it is written. The test types its commands into a shell in an empty folder, one after the
other, and waits for the output that the page shows."""
import re

import pytest

from seawall import CHECKOUT
from shell import Shell
from waiting import wait_until

PAGE = (CHECKOUT / "README.md").read_text()


def first_minute():
    """Yields (command, lines that the page shows below it)."""
    section = re.search(r"(?ms)^## First minute\n(.*?)^## ", PAGE)[1]
    for block in re.findall(r"(?ms)^```console\n(.*?)^```", section):
        for step in re.split(r"(?m)^\$ ", block)[1:]:
            command, *shown = step.splitlines()
            yield command, shown


@pytest.fixture
def shell(tmp_path):
    shell = Shell(tmp_path)
    yield shell
    shell.close()


def without_times(text):
    """The words that are the same in each run: no times, no counts of objects, no lines of the shell and of the daemon's log."""
    text = re.sub(r"(?m)^(bash: |\[\d|\d{4}-\S+ +(INFO|WARN) ).*\n?", "", text)
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z|, from .*|\d+ restore points in .*", "", text).split()


def test_the_first_minute_works_as_it_is_written(shell):
    steps = list(first_minute())
    assert len(steps) > 12, "the first minute of README.md was not found"
    for command, shown in steps:
        code, output = shell.types(command)
        assert code == 0, f"$ {command}\n{output}"
        if command.endswith("&"):
            for line in shown:
                says = line.rpartition("': ")[2]
                wait_until(lambda: says in shell.said(), 60, f"'{says}' after: {command}")
        elif shown:
            assert without_times(output) == without_times("\n".join(shown)), f"$ {command}\n{output}"
    assert "second" in shell.types("sqlite3 app.db 'SELECT text FROM note'")[1]
    code, output = shell.types("seawall restore -o last.db backup && sqlite3 last.db 'SELECT text FROM note'")
    assert code == 0 and output.split()[-2:] == ["first", "second"], output
