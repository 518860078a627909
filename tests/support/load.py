"""A live replica of a database that an application writes to all the time."""
from application import all_errors, check
from seawall import DONE

ROWS = 2


def start(stage, **options):
    """Starts the daemon and then the application. Returns both after 30 commits."""
    stage.prepare()
    daemon = stage.replicate()
    app = stage.writer(rate=300, rows=ROWS, busy_timeout=20000, **options)
    app.wait_committed(30)
    return daemon, app


def goes_on(stage, daemon, app, commits=60):
    """Waits until the application has made more commits, and the replica has them."""
    txid = stage.last_txid()
    app.wait_committed(app.committed() + commits)
    daemon.wait_for(lambda: stage.last_txid() >= txid + commits, 20, "commits arrive in the replica")


def assert_all_well(stage, daemon, app):
    report = app.stop()
    assert all_errors(report) == 0, report
    assert daemon.stop() == DONE, daemon.log()
    assert check(stage.assert_restore_equals_source(), rows=ROWS) == report["last"]
