"""The units for systemd, as `make install` installs them: systemd understands each line, and they are shut in."""
import os
import re
import shutil
import subprocess

import pytest

from seawall import BINARY, CHECKOUT
from waiting import PATIENCE

MOST_EXPOSED = "25"   # tenths of systemd's score: 0 is shut in, 100 is open
pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """A folder with all units, whose programs exist."""
    folder = tmp_path_factory.mktemp("units")
    (folder / "bin").mkdir()
    (folder / "bin" / "seawall").symlink_to(BINARY)
    made = subprocess.run(["make", "-s", "units", f"B={folder}", f"PREFIX={folder}"], cwd=CHECKOUT, capture_output=True, text=True,
                          env={key: value for key, value in os.environ.items() if not key.startswith("MAKE")}, timeout=60 * PATIENCE)
    assert made.returncode == 0, made.stderr
    return folder / "units"


def analyze(units, *arguments):
    return subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=60 * PATIENCE,
                          env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:", "SYSTEMD_LOG_LEVEL": "info"})


def services(units):
    found = sorted(path for path in units.iterdir() if path.suffix == ".service")
    assert {path.name for path in found} >= {"seawall.service", "seawall@.service", "seawall-snapshot.service", "seawall-verify@.service"}
    return found


def test_no_line_of_a_unit_is_unknown(units):
    wrong = units / "wrong.service"
    wrong.write_text((units / "seawall.service").read_text().replace("WatchdogSec=5min", "WatchdogSec=often"))
    told = analyze(units, "verify", "--man=no", wrong)
    assert "wrong.service" in told.stderr   # it finds what is wrong
    wrong.unlink()
    for path in units.iterdir():
        told = analyze(units, "verify", "--man=no", path)
        ours = [line for line in told.stderr.splitlines() if "seawall" in line or str(units) in line]
        assert ours == [], told.stderr


def test_each_service_is_shut_in(units):
    for path in services(units):
        told = analyze(units, "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", path)
        assert told.returncode == 0 and "Overall exposure level" in told.stdout, told.stdout + told.stderr


def test_each_timer_has_its_service(units):
    timers = [path for path in units.iterdir() if path.suffix == ".timer"]
    assert len(timers) == 2
    for path in timers:
        assert path.with_suffix(".service").exists()


def test_nothing_is_left_to_fill_in(units):
    for path in units.iterdir():
        assert not re.search(r"^@|@[A-Z]+@", path.read_text(), re.M), path
    assert f"ExecStart={units.parent}/bin/seawall replicate -c /etc/seawall.conf %f" in (units / "seawall@.service").read_text()
