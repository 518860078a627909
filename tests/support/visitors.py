"""Applications without a busy timeout that open the database, commit once and close it: how many of them fail."""
import sqlite3
import subprocess
import sys
import time


def command(db, n):
    """One command of the sqlite3 shell. Returns its error message, or "" if it succeeded."""
    result = subprocess.run(["sqlite3", str(db), f"INSERT INTO visits VALUES({n})"], capture_output=True, text=True, timeout=60)
    return result.stderr.strip()


def connection(db, n):
    """One connection for one transaction."""
    visitor = sqlite3.connect(db, isolation_level=None, timeout=0)
    try:
        visitor.execute("INSERT INTO visits VALUES(?)", (n,))
    except sqlite3.OperationalError as e:
        return str(e)
    finally:
        visitor.close()
    return ""


def visits(visit, db, count, rate=0):
    """`count` visits one after the other, `rate` in a second; 0: without a pause. Returns the complaints."""
    begun, complaints = time.monotonic(), []
    for n in range(count):
        if rate:
            time.sleep(max(0, begun + n / rate - time.monotonic()))
        complaints.append(visit(db, n))
    return [text for text in complaints if text]


def in_turn(db, count):
    """Two processes that commit in turn, each with a connection that stays open. Returns the complaints."""
    program = [sys.executable, "-c", TAKE_TURNS, str(db)]
    two = [subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    complaints = []
    for n in range(count):
        one = two[n % 2]
        print(n, file=one.stdin, flush=True)
        complaints.append(one.stdout.readline().strip())
    for one in two:
        one.communicate()
    return [text for text in complaints if text != "done"]


TAKE_TURNS = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
for line in sys.stdin:
    try:
        db.execute("INSERT INTO visits VALUES(?)", (int(line),))
        print("done", flush=True)
    except sqlite3.OperationalError as e:
        print(e, flush=True)
"""
