"""Each request of each command fails once. What another try can mend is tried again, and the result is as without the fault. What is
permanent is an error that says so; then the same command works when the fault is over."""
import pytest

from compare import content_of, drop
from ledger import TABLE, Ledger, insert
from seawall import DONE, FAILED, TIMED_OUT, USAGE, restore, seawall, told, url_of

AGAIN = ("internal-error", "close-in-head", "slow-down")
PERMANENT = "access-denied"
REQUESTS_MAX = 60


@pytest.fixture
def states(stage, s3):
    """A replica with a few points; the contents after each."""
    ledger = Ledger(stage.db, [TABLE])
    stage.ledgers.append(ledger)
    for _ in range(3):
        ledger.commit(insert(3))
        result = ship(stage)
        assert result.returncode == DONE, told(result)
    return ledger.states


def ship(stage):
    return seawall("replicate", "--once", "--stop-timeout", "5s", "--fanout", "2", stage.db, url_of(stage.replica))


def each_request(s3, run, right, fails=(FAILED, USAGE)):
    """`run()` is the command, and `right(result)` checks it when it succeeded."""
    met = 0
    for name in (*AGAIN, PERMANENT):
        for n in range(REQUESTS_MAX):
            with s3.server.fault(name, skip=n, times=1, **({"retry_after": 0} if name == "slow-down" else {})) as fault:
                result = run()
            if fault.met == 0:
                right(result)
                break
            met += 1
            where = f"{name} at request {n + 1}: {told(result)}"
            assert result.returncode == DONE or name == PERMANENT and result.returncode in fails, where
            assert result.returncode == DONE or b"AccessDenied" in result.stderr + result.stdout, where
            if result.returncode != DONE:
                result = run()
                assert result.returncode == DONE, f"after {where}: {told(result)}"
            right(result)
        else:
            raise AssertionError(f"{name}: more than {REQUESTS_MAX} requests")
    assert met >= 3


def test_each_request_of_list(stage, s3, states):
    right = seawall("list", "--json", stage.replica).stdout

    def same(result):
        assert result.stdout == right, told(result)
    each_request(s3, lambda: seawall("list", "--json", stage.replica), same)


@pytest.mark.parametrize("options", [(), ("--full",)])
def test_each_request_of_verify(stage, s3, states, options):
    each_request(s3, lambda: seawall("verify", *options, stage.replica), lambda result: None)


def test_each_request_of_restore(stage, s3, states):
    target = stage.folder / "target.db"

    def run():
        drop(target)
        result = restore(stage.replica, target)
        assert result.returncode == DONE or not target.exists(), f"half a restore: {told(result)}"
        return result

    def same(result):
        assert content_of(target) == states[-1]
    each_request(s3, run, same)


def test_each_request_of_replicate(stage, s3, states):
    """Each run has a commit to ship; whatever failed, exit code 0 says that it is restored."""
    ledger = stage.ledgers[0]
    target = stage.folder / "target.db"

    def run():
        ledger.commit(insert(1))
        return ship(stage)

    def shipped(result):
        drop(target)
        assert restore(stage.replica, target).returncode == DONE
        assert content_of(target) == ledger.states[-1]
    each_request(s3, run, shipped, (FAILED, USAGE, TIMED_OUT))
    assert seawall("verify", "--full", stage.replica).returncode == DONE


def test_each_request_of_prune(stage, s3, states):
    target = stage.folder / "target.db"

    def run():
        return seawall("prune", "--grace", "1s", "--keep-all", "1s", "--keep-levels", "1s", stage.replica)

    def keeps_the_newest(result):
        drop(target)
        assert restore(stage.replica, target).returncode == DONE
        assert content_of(target) == states[-1]
    each_request(s3, run, keeps_the_newest)
