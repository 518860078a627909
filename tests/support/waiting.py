"""Waits for events with a deadline, and the sizes of the tests at their two scales."""
import os
import time

FULL = os.environ.get("SEAWALL_FULL") == "1"
SCALE = float(os.environ.get("SEAWALL_TEST_SCALE", "1"))
PATIENCE = float(os.environ.get("SEAWALL_TEST_PATIENCE", "1"))  # stretches deadlines, for sanitizers and slow machines


def figure(full, short):
    """`full` with SEAWALL_FULL=1, otherwise `short` times SEAWALL_TEST_SCALE, at most `full`."""
    if FULL:
        return full
    scaled = min(full, short * SCALE)
    return max(1, int(scaled)) if isinstance(short, int) else scaled


def wait_until(condition, seconds, what, pause_max=0.02):
    """Returns the first true value of `condition()`. Looks often at first, then every `pause_max` seconds. Fails after `seconds`."""
    end = time.monotonic() + seconds * PATIENCE
    pause = min(0.001, pause_max)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds * PATIENCE:g} s: {what}")
        time.sleep(pause)
        pause = min(pause * 2, pause_max)


def let_pass(seconds, why):
    """Sleeps, where time itself is the event: an age, a grace period, a random moment. If another event can be waited for, use
    wait_until."""
    assert why
    time.sleep(seconds)


def stays_true(condition, seconds, what):
    """Asserts that something does not happen: `condition()` is true at every look during `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), f"no longer true: {what}"
        time.sleep(0.01)
