"""Checks that a daemon uses no CPU while nothing happens. One that does starts a job again and again that changes nothing."""
import os
import time
from pathlib import Path

from waiting import PATIENCE

WINDOW_S = 0.3
SHARE_MAX = 0.2      # of one core, over a window
WORK_S_MAX = 10      # for work that is still due when the test ends
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def is_stopped(daemon):
    """Stopped by SIGSTOP. Then it uses no CPU, which proves nothing."""
    return Path(f"/proc/{daemon.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "Tt"


def share(daemon):
    """The share of one core that the daemon uses in the next window."""
    before, begun = daemon.cpu_ticks(), time.monotonic()
    time.sleep(WINDOW_S)
    return (daemon.cpu_ticks() - before) / TICKS_PER_S / (time.monotonic() - begun)


def assert_idle(daemon):
    """Measures one window after the other until the daemon uses at most SHARE_MAX in one. Fails if it uses more in all of them."""
    end, shares = time.monotonic() + WORK_S_MAX * PATIENCE, []
    while daemon.running() and not is_stopped(daemon):
        try:
            shares.append(share(daemon))
        except FileNotFoundError:   # it has ended
            return
        if shares[-1] <= SHARE_MAX:
            return
        assert time.monotonic() < end, (f"the daemon uses {100 * min(shares):.0f} to {100 * max(shares):.0f} % of a core while nothing happens; "
                                        f"the end of its log:\n{daemon.log()[-3000:]}")
