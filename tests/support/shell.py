"""A shell, as in a terminal: the commands of pages are typed into it."""
import os
import re
import signal
import subprocess

from seawall import BINARY
from waiting import PATIENCE, wait_until


class Shell:
    """bash with job control, as in a terminal. It ends with all its jobs when the test ends. `paths`: more folders with programs."""

    def __init__(self, folder, *paths):
        self.folder, self.output, self.count = folder, folder / "output", 0
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                ["bash", "--norc", "--noprofile"], cwd=folder, stdin=subprocess.PIPE, stdout=output, stderr=output, text=True,
                start_new_session=True, env={**os.environ, "PATH": ":".join(map(str, [BINARY.resolve().parent, *paths, os.environ["PATH"]]))})

    def said(self):
        return self.output.read_text(errors="replace")

    def types(self, command, seconds=60):
        """Types a command. Returns its exit code and its output."""
        self.count += 1
        before = len(self.said())
        end = f"[{self.count}]="
        self.process.stdin.write(f"{command}\necho '{end}'$?\n")
        self.process.stdin.flush()
        code = wait_until(lambda: re.search(re.escape(end) + r"(\d+)\n", self.said()[before:]), seconds, f"the end of: {command}")
        return int(code[1]), self.said()[before:before + code.start()]

    def close(self):
        self.process.stdin.write("kill -9 $(jobs -p) 2>/dev/null; exit\n")
        self.process.stdin.close()
        try:
            self.process.wait(10 * PATIENCE)
        finally:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
