"""The files that suite.py leaves out, and the differences that it expects, each with the reason."""
import re

# Regular expressions for names of tests whose result must depend on the shim.
KNOWN = {
    r"dbstatus-4\..*": "counts the bytes of a file handle, and that of the shim is longer",
}

CRASHES = "its VFS keeps writes that are not synced to itself, but shares the wal-index, which then names frames that no other process has"
# Files that are not run beside a daemon.
NOT_ATTACHED = {
    "e_walckpt": "its busy handler counts calls, and one call more, while the daemon gives way, leaves it waiting for its own reader for ever",
    "walbig": "its database has gigabytes, and the first copy takes longer than the file",
    "superlock": "its busy handler waits for ever until nobody reads the database, and the daemon does",
    "walcrash": CRASHES,
    "walcrash3": CRASHES,
    "walthread": "threads that write for minutes; takes too long",
}

# Files that destroy test.db beside the daemon. Here only a crash or a hang of the daemon is a problem.
TAMPERING = {
    "resetdb": "writes random bytes over page 1; the daemon ends because the file is not a database",
}


def known(name):
    return next((reason for pattern, reason in KNOWN.items() if re.fullmatch(pattern, name)), None)
