"""The wall clock is set by an hour, forward and back: the times of restore points never fall, and nothing waits for
the clock."""
import re
import struct

import pytest

from application import CLOCK_STEP, all_errors, check
from seawall import DONE, listing, seawall, told, url_of

HOUR = 3600
STEPS = [[HOUR], [-HOUR], [HOUR, 0, -HOUR, 0]]


class Clock:
    """The wall clock of the daemons that it starts."""

    def __init__(self, stage):
        self.stage, self.path = stage, stage.folder / "clock"
        self.path.write_bytes(bytes(8))

    def step(self, seconds):
        """Sets the clock forward, or back, by so many seconds."""
        with open(self.path, "r+b") as file:
            file.write(struct.pack("=q", seconds))

    def replicate(self, *options, **more):
        return self.stage.replicate(*options, environment={"LD_PRELOAD": str(CLOCK_STEP), "CLOCKSTEP": str(self.path)}, **more)


@pytest.fixture
def clock(stage):
    return Clock(stage)


def goes_on(stage, daemon, app, commits=40):
    """Waits until the application has made more commits, and the replica has them."""
    goal = app.committed() + commits
    app.wait_committed(goal)
    txid = stage.last_txid()
    daemon.wait_for(lambda: stage.last_txid() >= txid + commits, 10, "commits arrive in the replica")
    return goal


def assert_times_never_fall(stage):
    points = listing(stage.replica)["points"]
    txids, times = [point["txid"] for point in points], [point["time"] for point in points]
    assert txids == sorted(set(txids))
    assert times == sorted(times), "a later restore point has an earlier time"
    result = seawall("list", "--points", url_of(stage.replica))
    lines = re.findall(rb"^ *(\d+)  (\S+Z) ", result.stdout, re.M)
    assert [(int(txid), time.decode()) for txid, time in lines] == list(zip(txids, times)), told(result)
    return times


def assert_all_well(stage, daemon, app, stepped):
    """`stepped`: the clock was set forward during the load."""
    report = app.stop()
    assert all_errors(report) == 0, report
    assert daemon.stop() == DONE
    hours = {time[:13] for time in assert_times_never_fall(stage)}
    assert len(hours) > 1 or not stepped, f"all restore points are of {hours}: the clock was not set"
    assert check(stage.assert_restore_equals_source(), rows=2) == report["last"]


def start(stage, clock):
    stage.prepare()
    daemon = clock.replicate()
    app = stage.writer(rate=400, rows=2, busy_timeout=20000)
    goes_on(stage, daemon, app)
    return daemon, app


@pytest.mark.parametrize("steps", STEPS)
def test_a_clock_that_is_set_under_load_stops_nothing_and_no_time_falls(stage, clock, steps):
    daemon, app = start(stage, clock)
    for seconds in steps:
        clock.step(seconds)
        goes_on(stage, daemon, app)
    assert_all_well(stage, daemon, app, HOUR in steps)


@pytest.mark.parametrize("steps", STEPS)
def test_a_clock_that_is_set_while_the_daemon_is_dead_stops_nothing_and_no_time_falls(stage, clock, steps):
    daemon, app = start(stage, clock)
    for seconds in steps:
        daemon.kill()
        app.wait_committed(app.committed() + 20)
        clock.step(seconds)
        daemon = clock.replicate()
        goes_on(stage, daemon, app)
    assert_all_well(stage, daemon, app, HOUR in steps)


@pytest.mark.parametrize("steps", STEPS)
def test_a_clock_that_is_set_during_an_outage_of_the_store_stops_nothing_and_no_time_falls(stage, clock, steps):
    daemon, app = start(stage, clock)
    away = stage.folder / "replica-away"
    stage.replica.rename(away)
    stage.replica.write_text("no folder: nothing can be stored here")
    daemon.wait_for(lambda: "trying again" in daemon.log(), 10, "the outage is noticed")
    for seconds in steps:
        app.wait_committed(app.committed() + 40)
        clock.step(seconds)
    app.wait_committed(app.committed() + 40)
    stage.replica.unlink()
    away.rename(stage.replica)
    daemon.wait_for(lambda: "reachable again" in daemon.log(), 20, "the store is reachable again")
    goes_on(stage, daemon, app)
    assert_all_well(stage, daemon, app, steps == [HOUR])


@pytest.mark.parametrize("how", ["takes over", "goes on with a restored copy"])
def test_a_machine_whose_clock_is_behind_adds_no_earlier_times(stage, clock, how):
    stage.prepare()
    assert clock.replicate().stop() == DONE
    clock.step(-HOUR)
    stage.db = stage.restored()
    if how == "takes over":
        stage.db.with_name(stage.db.name + "-seawall").unlink()
    stage.writer(count=3).finish()
    daemon = clock.replicate(*(["--take-over"] if how == "takes over" else []))
    stage.writer(count=3).finish()
    assert daemon.stop() == DONE
    assert len(assert_times_never_fall(stage)) > 1
    assert check(stage.assert_restore_equals_source()) == 6


DAY = 24 * HOUR


def ahead_for_three_commits(stage, clock, *options):
    """Two commits at the right time, three a day ahead, two at the right time again; each is shipped alone."""
    stage.prepare()
    daemon = clock.replicate(*options)
    for seconds, commits in ((0, 2), (DAY, 3), (0, 2)):
        clock.step(seconds)
        for _ in range(commits):
            txid = stage.last_txid()
            stage.writer(count=1).finish()
            daemon.wait_for(lambda: stage.last_txid() > txid, 10, "the commit arrives")
    return daemon


def test_a_moment_behind_which_a_wrong_clock_hides_commits_names_them(stage, clock):
    daemon = ahead_for_three_commits(stage, clock)
    assert daemon.stop() == DONE
    points = listing(stage.replica)["points"]
    newest = points[-1]["txid"]
    clamped = [point["txid"] for point in points if "clock" in point]
    assert clamped == [newest - 1, newest], "the two commits after the clock was set right"
    assert all(point["clock"][:10] < point["time"][:10] for point in points if "clock" in point)
    result = seawall("restore", "--dry-run", "--time", "now", url_of(stage.replica))
    assert result.returncode == DONE, told(result)
    found = newest - 5
    assert f"would restore txid {found} of ".encode() in result.stdout, told(result)
    assert f"skipped: txid {found + 1} to {newest} are newer, and the last was there before ".encode() in result.stdout, told(result)
    assert f"HINT: to restore the newest of them, say --txid {newest} instead of --time".encode() in result.stdout, told(result)
    for moment in (points[0]["time"], points[-1]["time"]):   # before and behind them nothing is hidden
        other = seawall("restore", "--dry-run", "--time", moment, url_of(stage.replica))
        assert other.returncode == DONE and b"skipped" not in other.stdout, told(other)


@pytest.mark.parametrize("command", ["restore --all", "shell"])
def test_each_command_with_a_time_names_the_commits_that_a_wrong_clock_hides(stage, clock, command):
    daemon = ahead_for_three_commits(stage, clock)
    assert daemon.stop() == DONE
    newest = stage.last_txid()
    file = stage.folder / "seawall.conf"
    file.write_text(f"[db {stage.db}]\nreplica = {stage.replica}\n")
    arguments = {"restore --all": ["restore", "--all", "-c", file, "--to", stage.folder / "back", "--time"],
                 "shell": ["shell", url_of(stage.replica), "SELECT 1", "--time"]}[command]
    result = seawall(*arguments, "now")
    assert result.returncode == DONE, told(result)
    assert f"skipped: txid {newest - 4} to {newest} are newer, and the last was there before ".encode() in result.stderr, told(result)
    assert f" --txid {newest} instead of --time".encode() in result.stderr, told(result)
    result = seawall("shell", url_of(stage.replica), "SELECT 1", "--time", listing(stage.replica)["points"][-1]["time"])
    assert result.returncode == DONE and result.stderr == b"", told(result)


def test_commits_behind_the_moment_whose_time_has_not_come_are_named(stage, clock):
    stage.prepare()
    daemon = clock.replicate()
    clock.step(DAY)
    stage.writer(count=1).finish()
    daemon.wait_for(lambda: stage.last_txid() == 2, 10, "the commit arrives")
    assert daemon.stop() == DONE
    for moment in ("now", listing(stage.replica)["points"][0]["time"]):
        result = seawall("restore", "--dry-run", "--time", moment, url_of(stage.replica))
        assert b"would restore txid 1 of " in result.stdout, told(result)
        assert re.search(rb"skipped: txid 2 is newer, and the time of the last, \S+, has not come yet: a clock is wrong", result.stdout), told(result)
        assert b"say --txid 2 instead of --time" in result.stdout, told(result)


def test_a_list_says_which_times_were_clamped(stage, clock):
    daemon = ahead_for_three_commits(stage, clock)
    assert daemon.stop() == DONE
    newest = stage.last_txid()
    ranges = listing(stage.replica)["ranges"]
    assert (ranges[-1]["clamped_first"], ranges[-1]["clamped_last"]) == (newest - 1, newest)
    text = seawall("list", url_of(stage.replica))
    assert f"  txid {newest - 1} to {newest}: the clock was ahead before, so these times are later than what it said".encode() in text.stdout, told(text)
    lines = seawall("list", "--points", url_of(stage.replica)).stdout.splitlines()
    assert [b"the clock said " in line for line in lines[-4:-1]] == [False, True, True], lines


def test_a_clock_that_differs_from_the_one_of_the_store_is_told_once_and_so_is_its_end(stage, clock):
    clock.step(-HOUR)
    stage.prepare()
    daemon = clock.replicate()
    differs, agrees = "the clock of this machine is 3600 s behind the store's", "the clock of this machine agrees with the store's again"
    daemon.wait_log(differs)
    assert "HINT: look at both with 'date'" in daemon.log()
    for _ in range(3):
        stage.writer(count=1).finish()
    assert agrees not in daemon.log()
    clock.step(0)
    stage.writer(count=1).finish()
    daemon.wait_log(agrees)
    clock.step(50)   # less than a minute
    stage.writer(count=1).finish()
    daemon.wait_for(lambda: stage.last_txid() == 6, 10, "the commit arrives")
    clock.step(DAY)
    stage.writer(count=1).finish()
    daemon.wait_log("s ahead of the store's")
    assert daemon.stop() == DONE
    assert daemon.log().count(" the store's, so the times") == 2 and daemon.log().count(agrees) == 1, daemon.log()
