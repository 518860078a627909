"""Replicas in S3 while the server fails: what becomes durable is right, and failures are reported. Without failures each batch costs one PUT
and no other request."""
import re
import shutil
import signal

import pytest

from application import all_errors, check
from branches import two_branches
from bucket import ACCESS, BUCKET, PREFIX, SECRET, Bucket, each_beside_the_others, new_server, plain_environment
from compare import assert_same_pages, assert_sound, content_of, drop, settled
from control import assert_synced, replica_status, sync, wait_control
from httpd import make_certificate
from ledger import TABLE, Ledger, insert
from s3server import Object
from seawall import CORRUPT, DONE, FAILED, NO_REPLICA, NOTHING, OTHER_WRITER, TIMED_OUT, USAGE, Daemon, restore, seawall, told, url_of
from waiting import FULL, PATIENCE, figure, let_pass, stays_true, wait_until

AGAIN = {"slow-down": {}, "internal-error": {}, "internal-error-stored": {}, "bad-gateway": {}, "empty-error": {}, "request-timeout": {},
         "timeout-408": {}, "too-many": {}, "error-in-200": {}, "close-before-body": {}, "close-unstored": {}, "close-stored": {},
         "close-in-head": {}, "deep-xml": {"depth": 3000}, "entity-xml": {}, "huge-error": {"bytes": 300_000}, "expired-token": {},
         "close-quietly": {}, "skewed-date": {}, "latency": {"seconds": 0.3}, "stall": {"seconds": 1.5}}
OF_PUT = {"no-etag": {}, "conflict": {}, "stall-before-body": {"seconds": 1.5}, "stall-stored": {"seconds": 1.5}}
OF_GET = {"close-after-head": {}, "close-half-way": {}, "short-body": {}, "wrong-range": {}, "stall-half-way": {"seconds": 1.5}}
OF_LIST = {"cut-xml": {}, "close-half-way": {}, "short-body": {}, "deep-xml": {"depth": 3000, "status": 200}, "entity-xml": {"status": 200},
           "page-again": {}, "no-token": {}}
ROWS = 10   # of a transaction, about 2 KiB
PERMANENT = {"access-denied": "AccessDenied", "no-such-bucket": "NoSuchBucket", "signature": "SignatureDoesNotMatch"}


def start(stage, s3, *options):
    """Starts a daemon with a replica in S3, and a record of every state from then on."""
    app = stage.ledger()
    app.commit(TABLE, insert(1))
    daemon = stage.replicate(*options, live=False)
    wait_objects(s3, daemon, 1)
    app.start_over()
    return app, daemon


def wait_objects(s3, daemon, count):
    """Waits until level 0 has so many objects. It looks at the server itself, so it makes no request."""
    daemon.wait_for(lambda: len(s3.level_zero()) >= count, 20, f"{count} objects: {s3.level_zero()}")


def wait_durable(daemon, s3, app):
    """Waits until the newest restore point equals the state of the application."""
    def durable():
        target = s3.folder / "newest.db"
        drop(target)
        if restore(url_of(s3.url()), target).returncode != DONE:
            return False
        return content_of(target) == app.states[-1]
    daemon.wait_for(durable, 30, "the newest restore point is the newest state")


def assert_one_put_for_each_batch(s3, daemon, app, commits=3):
    """Makes some commits. Each costs one PUT and no other request."""
    before = len(s3.level_zero())
    app.commit(insert(1))
    wait_objects(s3, daemon, before + 1)   # after this commit no request about earlier PUTs is left
    since, before = len(s3.server.records), len(s3.level_zero())
    for n in range(1, commits + 1):
        app.commit(insert(1))
        wait_objects(s3, daemon, before + n)
    records = s3.server.requests(since=since)
    assert [record.kind for record in records] == ["put"] * commits, records
    assert len(s3.level_zero()) == before + commits


def assert_history(stage, app):
    """Each restore point is a state of the ledger, in the order of the commits, and the newest one equals the database."""
    at = 0
    app.close()
    for txid in stage.points():
        restored = stage.restored(txid)
        assert_sound(restored)
        state = content_of(restored)
        if state in app.states[at:]:
            at = app.states.index(state, at)
        else:
            assert at == 0, f"txid {txid} is not a state that the application committed"   # the first ones are older than the record
        drop(restored)
    stage.assert_restore_equals_source()


# ---- put

@pytest.mark.parametrize("name", [*AGAIN, *OF_PUT])
def test_a_put_that_fails_for_a_while_becomes_durable_and_the_next_ones_cost_one_request_each(stage, s3, name):
    stage.replica = s3.url(timeout="1s")
    app, daemon = start(stage, s3)
    with s3.server.fault(name, on="put", key="*/0/*", times=1, **{**AGAIN, **OF_PUT}[name]) as fault:
        app.commit(insert(2))
        fault.wait_met(1, 10 * PATIENCE)
        wait_durable(daemon, s3, app)
    assert_one_put_for_each_batch(s3, daemon, app)
    assert daemon.stop() == DONE, daemon.log()
    assert_history(stage, app)


def test_puts_that_fail_for_longer_are_reported_once_and_succeed_when_the_server_works(stage, s3):
    stage.replica = s3.url(timeout="1s")
    app, daemon = start(stage, s3)
    with s3.server.fault("internal-error", on="put", key="*/0/*") as fault:
        app.commit(insert(2))
        fault.wait_met(10, 30 * PATIENCE)
        daemon.wait_for(lambda: "trying again" in daemon.log(), 10, "the failure is reported")
        app.commit(insert(2))
    wait_durable(daemon, s3, app)
    assert_one_put_for_each_batch(s3, daemon, app)
    line = daemon.told_once("trying again")
    assert "InternalError" in line and f"s3://{BUCKET}/{PREFIX}" in line
    assert daemon.stop() == DONE, daemon.log()
    assert_history(stage, app)


@pytest.mark.parametrize("name", PERMANENT)
def test_a_put_that_is_refused_is_reported_at_once_and_the_daemon_runs_on(stage, s3, name):
    app, daemon = start(stage, s3, "--stop-timeout", "300ms")
    with s3.server.fault(name, on="put", key="*/0/*") as fault:
        app.commit(insert(2))
        fault.wait_met()
        daemon.wait_for(lambda: PERMANENT[name] in daemon.log(), 2, "the refusal is reported")
        stays_true(daemon.running, 0.5, "the daemon runs")
        assert fault.met <= 2, "the PUT was tried more than twice"
        assert daemon.stop() in (FAILED, TIMED_OUT), daemon.log()
    daemon = stage.replicate(live=False)
    wait_durable(daemon, s3, app)
    assert_one_put_for_each_batch(s3, daemon, app)
    assert daemon.stop() == DONE
    assert_history(stage, app)


@pytest.mark.parametrize("by", [7200, -7200])
def test_a_clock_that_is_wrong_costs_one_request_and_a_clock_that_is_put_right_another(stage, s3, by):
    app, daemon = start(stage, s3)
    s3.server.set_clock(by)
    app.commit(insert(2))
    wait_objects(s3, daemon, 2)
    daemon.wait_log(rf"WARN .*the clock of this machine is 7\d\d\d s {'behind' if by > 0 else 'ahead of'} the store's")
    assert_one_put_for_each_batch(s3, daemon, app)
    s3.server.set_clock(0)
    app.commit(insert(2))
    wait_objects(s3, daemon, 7)
    assert_one_put_for_each_batch(s3, daemon, app)
    assert daemon.stop() == DONE, daemon.log()
    assert_history(stage, app)


def test_a_region_is_learned_once(stage, s3):
    s3.server.region = "eu-central-1"
    stage.replica = s3.url(region="us-east-1")
    app, daemon = start(stage, s3)
    wrong = [record for record in s3.server.records if record.status == 400]
    assert len(wrong) == 1
    assert_one_put_for_each_batch(s3, daemon, app)
    assert daemon.stop() == DONE
    assert_history(stage, app)


# ---- a start

@pytest.mark.parametrize("kind", ["get", "list", "put"])
@pytest.mark.parametrize("name", ["slow-down", "internal-error", "close-unstored", "close-stored", "error-in-200", "bad-gateway", "stall", "cut-xml"])
def test_a_start_that_meets_failures_becomes_live(stage, s3, kind, name):
    stage.replica = s3.url(timeout="1s")
    if (name, kind) in (("cut-xml", "get"), ("cut-xml", "put")):
        pytest.skip("the answers to these requests are not XML")
    app = stage.ledger()
    app.commit(TABLE, insert(3))
    with s3.server.fault(name, on=kind, times=2, **AGAIN.get(name, {})) as fault:
        daemon = stage.replicate(live=False)
        wait_durable(daemon, s3, app)
        assert fault.met >= 1
    assert_one_put_for_each_batch(s3, daemon, app)
    assert daemon.stop() == DONE, daemon.log()
    assert stage.replicate("--once", live=False).wait(30) == DONE, "a second run fails"
    assert_history(stage, app)


@pytest.mark.parametrize("name", PERMANENT)
def test_a_start_without_permission_says_so_and_waits(stage, s3, name):
    stage.prepare()
    with s3.server.fault(name):
        daemon = stage.replicate("--stop-timeout", "300ms", live=False)
        daemon.wait_for(lambda: PERMANENT[name] in daemon.log(), 5, "the refusal is reported")
        stays_true(daemon.running, 0.5, "the daemon runs")
        assert daemon.stop() != DONE
    once = None
    with s3.server.fault(name):
        once = stage.replicate("--once", "--stop-timeout", "1s", live=False)
        assert once.wait(20) != DONE, once.log()
    assert PERMANENT[name] in once.log()


# ---- restore and list

@pytest.fixture(scope="module")
def history(server, tmp_path_factory):
    """A replica with a base in chunks and some commits: (objects, database)."""
    folder = tmp_path_factory.mktemp("history")
    db = folder / "app.db"
    with pytest.MonkeyPatch.context() as monkeypatch:
        server.reset()
        plain_environment(monkeypatch, folder)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        s3 = Bucket(server, folder)
        app = Ledger(db)
        app.commit(TABLE, insert(600, 3000))
        daemon = Daemon(db, s3.url(), folder / "log")
        try:
            wait_objects(s3, daemon, 1)
            for n in range(8):
                app.commit(insert(2))
                wait_objects(s3, daemon, n + 2)
            assert daemon.stop() == DONE, daemon.log()
        finally:
            daemon.kill()
        app.close()
        objects = dict(server.objects)
    yield objects, settled(db, folder), app.states
    shutil.rmtree(folder)


@pytest.fixture
def full(s3, history):
    """The bucket has the replica of `history`."""
    s3.server.objects.update(history[0])
    return s3


def get_it_back(stage, s3, *options, **url):
    target = stage.folder / f"back-{next(stage.numbers)}.db"
    return target, restore(s3.url(**url), target, *options)


def assert_is_source(target, history):
    assert_same_pages(history[1], target)
    assert_sound(target)


@pytest.mark.parametrize("name", [*AGAIN, *OF_GET])
def test_a_restore_over_gets_that_fail_is_right(stage, full, history, name):
    values = {**AGAIN, **OF_GET}[name]
    if "seconds" in values:
        values = {"seconds": 0.2}   # late, but before the deadline
    with full.server.fault(name, on="get", times=2 if name not in ("expired-token", "slow-down", "too-many") else 1, **values) as fault:
        target, result = get_it_back(stage, full, timeout="30s")
    assert result.returncode == DONE, told(result)
    assert fault.met >= 1
    assert_is_source(target, history)


@pytest.mark.parametrize("name", [*AGAIN, *OF_LIST])
def test_a_restore_and_a_listing_over_lists_that_fail_are_right_or_say_what_is_wrong(stage, full, history, name):
    full.server.page_size = 4
    values = {**AGAIN, **OF_LIST}[name]
    if "seconds" in values:
        values = {"seconds": 0.2}
    expected = seawall("list", "--json", full.url()).stdout
    for skip in (0, 1):
        with full.server.fault(name, on="list", times=1, skip=skip, **values) as fault:
            target, result = get_it_back(stage, full, timeout="30s")
        assert fault.met == 1
        assert_right_or_told(target, result, history, name)
        with full.server.fault(name, on="list", times=1, skip=skip, **values):
            listing = seawall("list", "--json", full.url(timeout="30s"))
        assert listing.returncode in ((DONE, FAILED) if name == "page-again" else (DONE,)), told(listing)
        assert listing.returncode != DONE or listing.stdout == expected


def assert_right_or_told(target, result, history, name):
    if result.returncode == DONE:
        assert_is_source(target, history)
        return
    assert name == "page-again" and result.returncode == FAILED, told(result)
    assert "advance" in told(result) and not target.exists()


LASTING = [*(AGAIN.keys() - {"latency", "skewed-date", "close-quietly", "stall"}), *PERMANENT]


def test_a_restore_over_gets_that_never_succeed_ends_with_an_error_and_leaves_nothing(stage, full):
    def check(name):
        values = {**AGAIN, **OF_GET, "stall-half-way": {}}.get(name, {})
        with full.beside() as other, other.server.fault(name, on="get", **values):
            target, result = get_it_back(stage, other, timeout="1s")
        assert_failed(result, name)
        assert not target.exists() and re.search(rb"object '|seawall\.json", result.stderr), told(result)
    each_beside_the_others(sorted({*LASTING, *OF_GET}), check)


def assert_failed(result, name):
    """The command failed with the exit code of this kind of failure, and its message names the failure."""
    wrong_here = name in PERMANENT or name == "expired-token"   # keys, permissions or names: for a person to correct
    assert result.returncode in ((FAILED, USAGE) if wrong_here else (FAILED, TIMED_OUT)), told(result)
    assert name not in PERMANENT or PERMANENT[name].encode() in result.stderr, told(result)


def test_a_list_that_never_succeeds_is_an_error_and_not_an_empty_replica(full):
    def check(name):
        with full.beside() as other:
            other.server.page_size = 4
            with other.server.fault(name, on="list", skip=1 if name == "page-again" else 0, **{**AGAIN, **OF_LIST}.get(name, {})):
                result = seawall("list", other.url(timeout="1s"))
        assert_failed(result, name)
        assert result.stderr.strip() and b"restore point" not in result.stdout, told(result)
    each_beside_the_others(sorted({*LASTING, *OF_LIST} - {"no-token"}), check)


@pytest.mark.parametrize("name", ["endless-list", "empty-pages", "huge-error"])
def test_a_listing_without_end_is_an_error_soon(stage, full, name):
    values = {"status": 200, "bytes": 30 << 20} if name == "huge-error" else {}
    full.server.page_size = 4
    with full.server.fault(name, on="list", **values):
        result = seawall("list", full.url(timeout="2s"), seconds=20)
    assert result.returncode in (FAILED, USAGE), told(result)   # the server refuses its own token of an empty page
    assert full.server.count("list") < 50


@pytest.mark.parametrize("name, values, says", [
    ("backwards", {}, "the listing does not advance: '[^']+' comes after '[^']+'"), ("twice", {"keys": "*/0/*4"}, "it has '0/0+4' twice"),
    ("endless-list", {}, "the listing does not advance: '0/0+1' comes after '0/0+4'"), ("page-again", {"skip": 1}, "'0/0+1' comes after '0/0+4'"),
    ("endless-pages", {}, "1001 pages in a row are empty")])
def test_every_command_refuses_a_listing_that_breaks_the_rules(full, name, values, says):
    def check(command):
        with full.beside() as other:
            other.server.page_size = 4
            with other.server.fault(name, on="list", **values):
                result = seawall(*command, other.url(timeout="1s"))
            assert result.returncode == FAILED, told(result)
            assert re.search(f"list 's3://[^']+': .*{says}\n +HINT: ", result.stderr.decode()), told(result)
            assert seawall(*command, other.url()).returncode == DONE
    each_beside_the_others([("list",), ("verify",), ("restore", "--dry-run"), ("prune", "--dry-run")], check)


def test_a_page_that_came_wrongly_once_is_asked_for_again(full):
    full.server.page_size = 4
    expected = seawall("list", "--json", full.url()).stdout
    for name in ("backwards", "twice", "page-again"):
        with full.server.fault(name, on="list", times=1, skip=1) as fault:
            assert seawall("list", "--json", full.url()).stdout == expected
        assert fault.met == 1


def test_bytes_that_were_changed_on_the_way_never_become_a_database(stage, full, history):
    for skip in range(0, 12, 2):
        with full.server.fault("flipped-byte", on="get", times=1, skip=skip):
            target, result = get_it_back(stage, full)
        assert result.returncode in (DONE, CORRUPT), told(result)
        assert target.exists() == (result.returncode == DONE)
        if result.returncode == DONE:
            assert_is_source(target, history)
    with full.server.fault("flipped-byte", on="get"):
        target, result = get_it_back(stage, full)
    assert result.returncode == CORRUPT and not target.exists(), told(result)


def test_a_restore_fails_without_the_objects_that_are_gone_or_hidden(stage, full, history):
    with full.server.fault("no-such-key", on="get", key="*/0/*", times=1, skip=1):
        target, result = get_it_back(stage, full)
    if result.returncode == DONE:
        assert_is_source(target, history)
    else:
        assert result.returncode in (FAILED, CORRUPT) and not target.exists(), told(result)
    with full.server.fault("no-such-key", on="get", key="*/0/*"):
        target, result = get_it_back(stage, full)
    assert result.returncode in (FAILED, CORRUPT, NOTHING) and not target.exists(), told(result)


def test_an_old_listing_gives_an_old_state_and_no_mixture(stage, full, history):
    """As in a store whose listings lag: the newest object is not listed yet."""
    newest = f"{PREFIX}/{full.level_zero()[-1]}"
    kept = full.server.objects.pop(newest)
    target, result = get_it_back(stage, full)
    full.server.objects[newest] = kept
    assert result.returncode == DONE, told(result)
    assert content_of(target) in history[2][:-1]


def test_a_newest_object_that_a_listing_does_not_show_yet_is_not_lost(stage, s3):
    """At a start the listing lacks it for a minute or more. It can be read, so nothing is sent again."""
    app, daemon = start(stage, s3)
    for _ in range(3):
        app.commit(insert(1))
        assert_synced(stage.db)
    assert daemon.stop() == DONE
    before = s3.level_zero()
    with s3.server.fault("leaves-out", on="list", keys=f"*{before[-1]}"):
        daemon = stage.replicate(live=False)
        daemon.wait_log("the newest object, of txid .*, can be read and is not in the listing: looking again")
    daemon.wait_log("continues at txid")
    app.commit(insert(1))
    assert_synced(stage.db)
    assert daemon.stop() == DONE and "it lost objects" not in daemon.log()
    assert s3.level_zero()[:-1] == before, "something was sent again"


def test_a_listing_in_tiny_pages_is_the_same(stage, full, history):
    whole = seawall("list", "--json", full.url()).stdout
    for size in (1, 2, 3):
        full.server.page_size = size
        assert seawall("list", "--json", full.url()).stdout == whole
    target, result = get_it_back(stage, full)
    assert result.returncode == DONE, told(result)
    assert_is_source(target, history)


def test_a_server_without_ranges_is_read_or_refused(stage, full, history):
    with full.server.fault("ignores-range", on="get"):
        target, result = get_it_back(stage, full, timeout="1s")
    if result.returncode == DONE:
        assert_is_source(target, history)
    else:
        assert result.returncode == FAILED and not target.exists(), told(result)


def test_an_empty_place_a_missing_bucket_and_a_missing_permission_have_different_outcomes(stage, s3):
    nothing = seawall("list", s3.url(prefix="elsewhere"))
    assert nothing.returncode == NOTHING, told(nothing)
    allowed = ("restore", "--if-db-not-exists", "--if-replica-exists", "-o", stage.folder / "x.db")
    assert seawall(*allowed, s3.url(prefix="elsewhere")).returncode == NO_REPLICA
    assert seawall(*allowed, s3.url(bucket="no-such-bucket")).returncode == USAGE
    refused = seawall(*allowed, s3.url(prefix="elsewhere"), environment={"AWS_SECRET_ACCESS_KEY": "wrong"})
    assert refused.returncode == USAGE, told(refused)
    no_bucket = seawall("list", s3.url(bucket="no-such-bucket"))
    assert no_bucket.returncode in (FAILED, USAGE) and b"NoSuchBucket" in no_bucket.stderr, told(no_bucket)
    s3.server.down()
    try:
        down = seawall("list", s3.url(timeout="1s"))
        assert seawall(*allowed, s3.url(prefix="elsewhere", timeout="1s")).returncode == FAILED
    finally:
        s3.server.up()
    assert down.returncode == FAILED and b"onnect" in down.stderr, told(down)


@pytest.mark.parametrize("url", ["s3://", "s3://b", "s3:///prefix", "s3://bucket/p?endpiont=https://x", "s3://bucket/p?timeout=soon",
                                 "s3://bucket/p?conditional=maybe", "s3://bucket/p?endpoint=ftp://x", "s3://bucket/p?header=Authorization:x",
                                 "s3://bucket/p?sse-c-key-file=/nowhere", "s3://bucket/p?object-lock-mode=GOVERNANCE", "s3://bucket/p%zz"])
def test_a_wrong_url_is_wrong_usage(stage, s3, url):
    stage.prepare()
    for arguments in (["list", url], ["restore", "-o", stage.folder / "x.db", url], ["replicate", "--once", stage.db, url]):
        result = seawall(*arguments, seconds=20)
        assert result.returncode == USAGE and result.stderr.strip(), told(result)
    assert s3.server.count() == 0


# ---- two writers

def two_writers(stage, s3, *options, **url):
    """Starts a daemon with a replica, and makes another database."""
    stage.replica = s3.url(**url)
    app, daemon = start(stage, s3, *options)
    other = stage.folder / "other.db"
    rival = stage.ledger(db=other)
    rival.commit(TABLE, insert(1, 50))
    return app, daemon, rival, other


@pytest.mark.parametrize("fault", [None, "ignores-condition", "no-condition"])
def test_of_two_writers_the_one_that_was_taken_over_stops(stage, s3, fault):
    if fault:
        s3.server.fault(fault, on="put")
    app, daemon, rival, other = two_writers(stage, s3)
    if fault:
        daemon.wait_for(lambda: re.search("second writer|another writer|If-None-Match", daemon.log()), 5, "the log warns of the weakness")
    refused = stage.replicate(db=other, live=False)
    assert refused.wait(30) == OTHER_WRITER, refused.log()
    heir = stage.replicate("--take-over", db=other, live=False)
    wait_objects(s3, heir, 2)
    rival.commit(insert(1))
    wait_objects(s3, heir, 3)
    app.commit(insert(1))
    assert daemon.wait(30) == OTHER_WRITER, daemon.log()
    rival.commit(insert(1))
    wait_durable(heir, s3, rival)
    assert heir.stop() == DONE, heir.log()
    target = stage.restored()
    assert content_of(target) == rival.states[-1]
    assert_sound(target)


def test_a_store_that_ignores_the_condition_is_reported_at_the_start_and_listed_after_each_put(stage, s3):
    s3.server.fault("ignores-condition", on="put")
    app, daemon = start(stage, s3)
    daemon.wait_for(lambda: re.search("second writer|another writer", daemon.log()), 5, "the log warns of the weakness")
    since, before = len(s3.server.records), len(s3.level_zero())
    for n in range(1, 4):
        app.commit(insert(1))
        wait_objects(s3, daemon, before + n)
    assert daemon.stop() == DONE
    kinds = [record.kind for record in s3.server.requests(since=since)]
    puts = [at for at, kind in enumerate(kinds) if kind == "put"]
    assert len(puts) == 3 and len(kinds) <= 3 * 8, kinds
    for begin, end in zip(puts, [*puts[1:], len(kinds)]):
        assert {"get", "list"} <= set(kinds[begin:end]), f"the daemon did not read and list after a PUT: {kinds}"
    assert_history(stage, app)


def test_a_store_that_looks_and_then_stores_is_found_out_at_the_start_and_remembered(stage, s3):
    stage.prepare()
    with s3.server.fault("looks-then-stores", on="put"):
        daemon = wait_control(stage.replicate(live=False))
        assert_synced(stage.db)
        assert replica_status(stage.db)["fencing"] == "weak" and "PUT is not exclusive" in daemon.log()
        assert daemon.stop() == DONE, daemon.log()
    daemon = wait_control(stage.replicate(live=False))
    assert_synced(stage.db)
    assert replica_status(stage.db)["fencing"] == "weak", "a right answer to a single PUT proves nothing"
    assert daemon.stop() == DONE, daemon.log()
    assert [key for key in s3.keys() if key.startswith("probe")] == []


def both_acknowledged(stage, s3):
    """Two daemons continue one history. The store acknowledged to each a commit at the same txid: both PUTs of one key won."""
    _, *branches = two_branches(stage)
    before = len(s3.server.requests("put"))
    with s3.server.fault("looks-then-stores", on="put", key="*/0/*", seconds=3600) as fault:
        for branch in branches:
            branch.commit()
        fault.wait_met(2, 20 * PATIENCE)
    wait_until(lambda: [record.status for record in s3.server.requests("put")[before:]] == [200, 200], 20, "both PUTs succeed")
    return branches


def test_of_two_puts_that_both_won_the_one_that_is_gone_is_not_durable(stage, s3):
    stage.replica = s3.url()
    branches = both_acknowledged(stage, s3)
    synced = [sync(branch.daemon.db, "--timeout", "20").returncode == DONE for branch in branches]
    assert sorted(synced) == [False, True]
    loser, winner = branches if synced[1] else reversed(branches)
    assert loser.daemon.wait(30) == OTHER_WRITER and "PUT is not exclusive there" in loser.daemon.log(), loser.daemon.log()
    assert winner.daemon.stop() == DONE, winner.daemon.log()
    target = stage.restored()
    assert content_of(target) == winner.ledger.states[-1]


def test_an_object_that_does_not_continue_an_acknowledged_one_is_reported(stage, s3):
    stage.replica = s3.url()
    first, second = both_acknowledged(stage, s3)
    before = len(s3.level_zero())
    first.commit()
    wait_objects(s3, first.daemon, before + 1)
    second.commit()
    assert second.daemon.wait(30) == OTHER_WRITER, second.daemon.log()
    assert "PUT is not exclusive there" in second.daemon.log(), second.daemon.log()


def test_a_store_that_ignores_the_condition_can_be_refused(stage, s3):
    s3.server.fault("ignores-condition", on="put")
    stage.replica = s3.url(conditional="require")
    stage.prepare()
    daemon = stage.replicate("--stop-timeout", "300ms", live=False)
    daemon.wait_for(lambda: "conditional=require" in daemon.log() or not daemon.running(), 10, "the log has the refusal")
    assert daemon.stop() != DONE, daemon.log()
    assert "conditional=require" in daemon.log() and not s3.level_zero()


def test_without_exclusive_put_a_late_put_is_noticed_and_everything_is_sent_again(stage, s3):
    s3.server.fault("ignores-condition", on="put")
    app, daemon = start(stage, s3)
    before = s3.level_zero()
    late = s3.server.fault("stall", on="put", key="*/0/*", times=1)   # the server carries it out when the fault is off
    app.commit(insert(1))
    late.wait_met(1, 10 * PATIENCE)
    daemon.kill()
    app.commit(insert(1))
    daemon = stage.replicate(live=False)
    wait_durable(daemon, s3, app)
    app.commit(insert(1))
    wait_durable(daemon, s3, app)
    key = next(key for key in s3.level_zero() if key not in before)
    ours = s3.server.objects[f"{PREFIX}/{key}"].etag
    late.off()
    daemon.wait_for(lambda: s3.server.objects[f"{PREFIX}/{key}"].etag != ours, 10, "the late request is carried out")
    app.commit(insert(1))
    daemon.wait_for(lambda: "was overwritten" in daemon.log(), 20, "the overwritten object is noticed")
    wait_durable(daemon, s3, app)
    assert daemon.stop() == DONE, daemon.log()
    app.close()
    stage.assert_restore_equals_source()


def test_a_gap_before_the_newest_transaction_is_damage_and_does_not_give_an_older_state(stage, s3):
    app, daemon = start(stage, s3)
    for _ in range(5):
        app.commit(insert(1))
        wait_durable(daemon, s3, app)
    assert daemon.stop() == DONE
    keys = s3.level_zero()
    del s3.server.objects[f"{PREFIX}/{keys[3]}"]
    target = stage.folder / "gap.db"
    result = restore(url_of(s3.url()), target)
    assert result.returncode == CORRUPT and not target.exists(), told(result)
    before = int(re.search(rb"--txid (\d+)", result.stderr)[1])
    assert content_of(stage.restored(before)) in app.states


# ---- restore points survive trouble that passes

@pytest.mark.parametrize("fault", [{"name": "latency", "seconds": 6, "times": 1}, {"name": "slow-down", "times": 6},
                                   {"name": "close-unstored", "times": 6}])
def test_trouble_that_passes_costs_no_restore_point(stage, s3, fault):
    fault = dict(fault)
    stage.prepare()
    stage.replica = s3.url(timeout="60s")
    daemon = stage.replicate(live=False)
    wait_objects(s3, daemon, 1)
    with s3.server.fault(fault.pop("name"), on="put", key="*/0/*", **fault) as met:
        writer = stage.writer(count=100, rate=20)
        met.wait_met(fault["times"], 30 * PATIENCE)
        writer.finish()
    assert daemon.stop() == DONE, daemon.log()
    assert len(stage.points()) >= 100, "commits of the outage are not restore points of their own"
    stage.assert_restore_equals_source()


def test_a_batch_as_large_as_the_backlog_may_be_is_put_without_waiting_for_the_rate(stage, s3):
    stage.prepare(table_rows=2000)
    daemon = stage.replicate("--max-pending", "1M", "--put-burst", 1, "--put-rate", "1/h", live=False)
    wait_objects(s3, daemon, 1)
    stage.writer(count=300, rate=150, rows=20, size=1000).finish()
    assert daemon.stop() == DONE, daemon.log()
    assert len(stage.points()) >= 300


def test_objects_of_others_in_the_bucket_do_not_hide_the_replica(stage, s3):
    stage.replica = s3.url(prefix="").replace("/?", "?")
    app = stage.ledger()
    app.commit(TABLE, insert(1))
    for n in range(2100):
        s3.server.objects[f"logs/{'x' * 140}{n:04}"] = Object(b"x", '"x"', 0.0, {})
    daemon = stage.replicate(live=False)
    daemon.wait_for(lambda: any(key.startswith("0/") for key in s3.server.objects), 20, "the replica is begun")
    assert daemon.stop() == DONE, daemon.log()
    app.close()
    stage.assert_restore_equals_source()


# ---- what the URL asks for

def test_an_object_that_was_stored_without_the_lock_of_the_url_is_never_durable(stage, s3):
    stage.prepare()
    plain = stage.replica
    daemon = stage.replicate(live=False)
    wait_objects(s3, daemon, 1)
    assert daemon.stop() == DONE
    before = stage.last_txid()
    stage.replica = s3.url(object_lock_mode="GOVERNANCE", object_lock_days=1)
    with s3.server.fault("lock-refused-stored", on="put"):
        daemon = wait_control(stage.replicate(live=False))
        stage.writer(count=3).finish()
        assert sync(stage.db, "--timeout", "5").returncode == TIMED_OUT
        daemon.wait_for(lambda: "without the object lock that the URL asks for" in daemon.log(), 20, "the daemon tells why")
        assert replica_status(stage.db)["durable_txid"] == before
        daemon.kill()
        again = wait_control(stage.replicate(live=False))   # the state file has the attempt, and the bucket its object
        again.wait_for(lambda: "without the object lock that the URL asks for" in again.log(), 20, "the second daemon says why, too")
        assert sync(stage.db, "--timeout", "1").returncode == TIMED_OUT
        again.kill()
    stage.replica = plain                               # the URL does not ask for a lock any more
    daemon = stage.replicate(live=False)
    daemon.wait_for(stage.restores_source, 20, "the object counts")
    assert daemon.stop() == DONE


def test_after_a_lost_answer_the_lock_of_the_object_is_checked_and_nothing_is_put_again(stage, s3):
    stage.prepare()
    stage.replica = s3.url(object_lock_mode="GOVERNANCE", object_lock_days=1)
    daemon = wait_control(stage.replicate(live=False))
    assert_synced(stage.db)
    with s3.server.fault("internal-error-stored", on="put", key="*/0/*", times=1):
        stage.writer(count=1).finish()
        assert_synced(stage.db)
    assert s3.server.count("head") >= 1 and daemon.stop() == DONE, daemon.log()


# ---- a long outage

def test_while_the_store_is_away_the_application_goes_on_and_nothing_but_the_wal_grows(stage, s3):
    stage.prepare()
    stage.replica = s3.url(timeout="2s")
    limit = figure(64, 4) << 20
    daemon = stage.replicate("--wal-limit", limit, "--max-pending", "1M", live=False)
    wait_objects(s3, daemon, 1)
    app = stage.writer(rate=400, rows=ROWS, busy_timeout=20000)
    app.wait_committed(100)
    memory = daemon.memory_kib("VmRSS")
    since, points = stage.last_txid(), len(stage.points())
    s3.server.down()
    try:
        commits = app.committed()
        wal = stage.longest_wal_while(lambda: app.committed() < commits + figure(400 * 600, 1600), 1200)
    finally:
        s3.server.up()
    assert wal <= 2 * limit + (8 << 20), f"the WAL had {wal >> 20} MiB"
    assert daemon.memory_kib("VmRSS") - memory < (48 << 10) + (64 << 10) * FULL, "the daemon kept in memory what it could not ship"
    assert sorted(path.name for path in stage.folder.iterdir() if path.name.startswith("app.db")) == [
        "app.db", "app.db-seawall", "app.db-shm", "app.db-wal"]
    assert "trying again" in daemon.told_once("trying again")
    report = app.stop()
    assert all_errors(report) == 0, report
    size = stage.db.stat().st_size
    daemon.wait_for(stage.restores_source, 60 + 600 * FULL, "the replica has caught up")
    gaps = [(a, b) for a, b in zip(stage.points(), stage.points()[1:]) if b > a + 1 and a >= since]
    assert len(gaps) == 1, f"after {since}: {gaps}"
    assert daemon.stop() == DONE, daemon.log()
    assert check(stage.assert_restore_equals_source(), rows=ROWS) == report["last"]
    stage.note(f"store away for {report['last'] - commits} commits: longest WAL {wal >> 20} MiB, database {size >> 20} MiB, "
               f"{points} restore points before, one for all that was missed")


def test_a_writer_that_is_faster_than_the_store_costs_milliseconds_of_restore_points_and_not_a_long_run(stage, s3):
    """Memory and WAL are full most of the time: commits that lie together become one restore point, and none is given up."""
    stage.prepare()
    stage.replica = s3.url(timeout="30s")
    daemon = stage.replicate("--wal-limit", "2M", "--max-pending", "4M", live=False)
    wait_objects(s3, daemon, 1)
    with s3.server.fault("latency", on="put", seconds=1):
        app = stage.writer(rate=15000, busy_timeout=20000)
        app.wait_committed(figure(600000, 60000), 120)
        report = app.stop()
        assert all_errors(report) == 0, report
        daemon.wait_for(stage.restores_source, 60, "the replica has everything")
    assert daemon.stop() == DONE, daemon.log()
    points = stage.points()
    assert len(points) == points[-1] - points[0] + 1 and "could not be shipped one by one" not in daemon.log(), daemon.log()
    assert report["last"] / 60 < len(points), (len(points), report["last"])
    assert len(points) < report["last"] or report["rate"] < 5000, "commits had to be captured in groups"
    assert int(re.search(r"; commits (\d+)", daemon.log()).group(1)) >= report["last"], "each commit of the application counts"
    for txid in points[1::len(points) // 12]:
        check(stage.restored(txid))
    stage.note(f"faster than the store: {len(points)} restore points of {report['last']} commits")


# ---- what it costs

def test_an_idle_replica_costs_no_request(stage, s3):
    app, daemon = start(stage, s3)
    app.commit(insert(1))
    wait_objects(s3, daemon, 2)
    app.close()
    wait_until(lambda: stage.wal_bytes() == 0, 10, "the database is at rest")
    before = s3.server.count()
    stays_true(lambda: s3.server.count() == before and daemon.running(), figure(30, 3), "nothing is asked of the server")
    assert daemon.stop() == DONE
    assert s3.server.count() == before, "the stop made a request"


def test_in_steady_state_a_batch_costs_one_put_and_nothing_else(stage, s3):
    stage.prepare()
    daemon = stage.replicate("--put-rate", "never", live=False)
    wait_objects(s3, daemon, 1)
    app = stage.writer(rate=200, busy_timeout=20000)
    app.wait_committed(50)
    since, before = len(s3.server.records), len(s3.keys())
    app.wait_committed(app.committed() + figure(12_000, 600), 120)
    last = app.stop()["last"]
    assert daemon.stop() == DONE, daemon.log()
    records = s3.server.requests(since=since)
    assert {record.kind for record in records} == {"put"} and {record.status for record in records} == {200}
    assert len({record.key for record in records}) == len(records), "each object was put once"
    assert abs(len(s3.keys()) - before - len(records)) <= 1
    assert check(stage.assert_restore_equals_source()) == last
    stage.note(f"steady state: {figure(12_000, 600)} commits in {len(records)} PUTs")


def test_the_daemon_counts_its_requests_as_the_server_does(stage, s3):
    stage.replica = s3.url(timeout="2s")
    app, daemon = start(stage, s3)
    with s3.server.fault("internal-error", on="put", key="*/0/*", times=2):
        app.commit(insert(1))
        wait_objects(s3, daemon, 2)
    for n in range(3):
        app.commit(insert(1))
        wait_objects(s3, daemon, 3 + n)
    s3.server.wait(lambda: all(record.ended for record in s3.server.records))
    expected = counted(s3.server)

    def asked():
        before = len(daemon.log())
        daemon.send(signal.SIGUSR1)
        return daemon.wait_for(lambda: "requests: put" in daemon.log()[before:] and s3.logged_requests(daemon), 10, "an answer to SIGUSR1")
    daemon.wait_for(lambda: asked() == expected, 5, f"{asked()}, the server: {expected}")
    assert daemon.stop() == DONE
    assert s3.logged_requests(daemon) == counted(s3.server), "the last line of the log has other counts than the server"
    assert SECRET not in daemon.log()


def test_the_daemon_counts_the_requests_of_retention_looks_and_verifications_too(stage, s3):
    stage.replica = s3.url(timeout="20s")
    app = stage.ledger()
    app.commit(TABLE, insert(2))
    daemon = stage.replicate("--prune-interval", "1s", "--grace", "1s", "--keep-all", "1s", "--fanout", "2", "--verify-interval", "1s", live=False)
    wait_control(daemon)
    for _ in range(6):
        app.commit(insert(1))
        assert_synced(stage.db)
    daemon.wait_for(lambda: (replica_status(stage.db)["proven_restore"] or {}).get("txid") == replica_status(stage.db)["durable_txid"], 60, "a proof of the newest point")
    s3.server.wait(lambda: s3.server.count("delete") > 0)
    assert daemon.stop() == DONE, daemon.log()
    assert s3.logged_requests(daemon) == counted(s3.server)


def counted(server):
    records = server.requests()
    return {**{kind: server.count(kind) for kind in ("put", "get", "head", "list", "delete")},
            "failed": sum(record.status == 0 or record.status >= 500 for record in records),
            "sent": sum(record.received for record in records), "received": sum(record.sent for record in records)}


@pytest.mark.parametrize("rate,burst", [(2, 3), (5, 1)])
def test_a_budget_of_puts_is_not_exceeded_and_all_becomes_durable(stage, s3, rate, burst):
    stage.prepare()
    daemon = stage.replicate("--put-rate", f"{rate}/s", "--put-burst", burst, live=False)
    wait_objects(s3, daemon, 1)
    app = stage.writer(rate=100, busy_timeout=20000)
    app.wait_committed(figure(3000, 300))
    last = app.stop()["last"]
    daemon.wait_for(stage.restores_source, 30, "all is durable")
    assert daemon.stop() == DONE, daemon.log()
    times = [record.started for record in s3.server.requests("put") if "/0/" in record.key]
    for i, first in enumerate(times):
        for j in range(i, len(times)):
            allowed = burst + rate * (times[j] - first) + 1
            assert j - i + 1 <= allowed, f"{j - i + 1} PUTs in {times[j] - first:.2f} s"
    assert len(times) >= rate * 2, "the daemon ships less than the budget allows"
    assert check(stage.assert_restore_equals_source()) == last


# ---- TLS

def test_over_tls_only_a_trusted_certificate_is_accepted(stage, s3, monkeypatch, tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    pem, trusted = make_certificate(tmp_path)
    with new_server(tls=pem) as server:
        secure = Bucket(server, stage.folder)
        app = stage.ledger()
        app.commit(TABLE, insert(2))
        stage.replica = secure.url(timeout="2s")
        daemon = stage.replicate("--stop-timeout", "300ms", live=False)
        daemon.wait_for(lambda: "certificate" in daemon.log() and "ca-file" in daemon.log(), 10, "the log names the certificate")
        assert daemon.stop() != DONE and server.count() == 0
        refused = seawall("list", secure.url(timeout="2s"))
        assert refused.returncode in (FAILED, USAGE) and b"certificate" in refused.stderr, told(refused)
        stage.replica = secure.url(ca_file=trusted)
        daemon = stage.replicate()
        app.commit(insert(2))
        stage.wait_newest_state(app, daemon)
        assert daemon.stop() == DONE
        monkeypatch.setenv("AWS_CA_BUNDLE", str(trusted))
        stage.replica = secure.url()
        stage.assert_restore_equals_source()
        assert server.complaints == []


@pytest.mark.parametrize("which", [-1, -2], ids=["the newest", "the one before"])
def test_an_object_that_the_store_cut_off_is_noticed_by_sync_and_replaced(stage, s3, which):
    app, daemon = start(stage, s3)
    for _ in range(3):
        app.commit(insert(1))
        assert_synced(stage.db)
    key = f"{PREFIX}/{s3.level_zero()[which]}"
    with s3.server.lock:
        found = s3.server.objects[key]
        found.body, found.etag = found.body[:100], '"' + 32 * "0" + '"'
    txid = assert_synced(stage.db, "--timeout", "90s")
    assert stage.last_txid() >= txid
    app.commit(insert(1))
    assert assert_synced(stage.db) > txid
    assert daemon.stop() == DONE, daemon.log()
    assert_history(stage, app)


@pytest.mark.parametrize("lost, then", [("everything", "a commit"), ("the first", "sync"), ("the first", "a stop")])
def test_what_a_bucket_lost_just_now_is_put_again_before_sync_or_a_stop_says_durable(stage, s3, lost, then):
    """A commit after the loss is put as if nothing had happened. The listing of `sync` lacks the objects before it."""
    app, daemon = start(stage, s3)
    for _ in range(3):
        app.commit(insert(1))
        assert_synced(stage.db)
    if then == "a stop":
        let_pass(6, "an answer of the store counts for the stop for 5 seconds")
    with s3.server.lock:
        for key in list(s3.server.objects) if lost == "everything" else [f"{PREFIX}/{s3.level_zero()[0]}"]:
            del s3.server.objects[key]
    if then == "a commit":
        app.commit(insert(1))
        wait_objects(s3, daemon, 1)
    if then != "a stop":
        assert_synced(stage.db, "--timeout", "90s")
        assert content_of(stage.restored()) == app.states[-1]
    assert daemon.stop() == DONE, daemon.log()
    assert "it lost objects: " in daemon.log() and content_of(stage.restored()) == app.states[-1]
    app.close()
