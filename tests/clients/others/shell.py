"""The sqlite3 shell, or sqlcipher's: one process for each command, as in a script. The argument names the program. The protocol is that of
../python/protocol.py."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "python"))
from protocol import serve  # noqa: E402


class Client:
    def open(self, path):
        self.path = path

    def value(self, sql):
        done = subprocess.run([*sys.argv[1:], self.path, sql], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.strip())
        value = done.stdout.strip().split("\n")[-1].split("|")[0]
        return int(value) if value.isdigit() else value or None

    def write(self, text):
        self.value(f"INSERT INTO item(body) VALUES('{text}')")

    def close(self):
        pass


serve(Client())
