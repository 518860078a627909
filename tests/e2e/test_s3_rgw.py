"""S3 on a Ceph object gateway: wrong certificates, credentials, buckets and clocks; outages of the server; large databases; the number
of requests."""
import base64
import os
import re
import sqlite3
import struct

import pytest

from application import CLOCK_STEP, check
from compare import assert_same_pages, assert_sound, copy_file, settled
from load import assert_all_well, goes_on, start
from s3 import requests_of
from s3request import Refused
from seawall import DONE, FAILED, TIMED_OUT, USAGE, last_txid, listing, restore, seawall, told
from waiting import figure, stays_true

MB = 1 << 20


def filled(stage, count=20):
    """Makes a replica and ends the daemon. Returns the newest transaction in it."""
    stage.prepare()
    daemon = stage.replicate()
    last = stage.writer(count=count).finish()["last"]
    assert daemon.stop() == DONE
    return last


def refused(*arguments, words, codes=(FAILED,), environment=None):
    """The command fails at once, says why, and shows no secret."""
    result = seawall(*arguments, environment=environment, seconds=20)
    assert result.returncode in codes, told(result)
    assert re.search(words, result.stderr.decode()), told(result)
    assert b"SKTEST" not in result.stderr + result.stdout
    return result


# ---- TLS


@pytest.mark.parametrize("how", ["ca-file in the URL", "AWS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_server_with_a_certificate_of_a_private_ca_is_used_once_the_ca_is_named(stage, place, monkeypatch, how):
    if how == "ca-file in the URL":
        stage.replica = place.url(tls=True, ca_file=place.server.ca_file)
    else:
        stage.replica = place.url(tls=True)
        monkeypatch.setenv(how, place.server.ca_file)
    last = filled(stage)
    assert check(stage.assert_restore_equals_source()) == last


def test_a_server_with_a_certificate_of_an_unknown_ca_is_refused(stage, place):
    stage.replica = place.url(tls=True)
    refused("list", stage.replica, words="certificate", codes=(FAILED, USAGE))
    refused("restore", "-o", stage.folder / "x.db", stage.replica, words="certificate", codes=(FAILED, USAGE))
    stage.prepare()
    daemon = stage.replicate(live=False)
    daemon.wait_for(lambda: "certificate" in daemon.log(), 10, "the log names the error")
    assert place.keys() == {}


# ---- credentials and buckets


@pytest.mark.parametrize("variable, value, words, codes", [
    ("AWS_SECRET_ACCESS_KEY", "wrong", "SignatureDoesNotMatch", (USAGE,)),
    ("AWS_ACCESS_KEY_ID", "AKUNKNOWN", "InvalidAccessKeyId", (USAGE,)),
    ("AWS_SECRET_ACCESS_KEY", "", "AWS_SECRET_ACCESS_KEY|no credentials", (USAGE,)),
])
def test_wrong_credentials_end_list_and_restore_at_once(stage, place, variable, value, words, codes):
    filled(stage)
    target = stage.folder / "x.db"
    for command in (["list"], ["restore", "-o", target]):
        refused(*command, stage.replica, words=words, codes=codes, environment={variable: value})
    assert not target.exists()


def test_a_bucket_that_is_not_there_ends_list_and_restore_at_once(stage, place):
    url = place.url(bucket="no-such-bucket")
    for command in (["list"], ["restore", "-o", stage.folder / "x.db"]):
        refused(*command, url, words="NoSuchBucket", codes=(FAILED, USAGE))


def test_a_daemon_goes_on_without_its_bucket_and_ships_once_it_is_made(stage, place):
    bucket = re.sub(r"[^a-z0-9-]+", "-", f"later-{os.getpid()}-{place.prefix[-20:].lower()}").strip("-")
    stage.replica = place.url(bucket=bucket)
    stage.prepare()
    daemon = stage.replicate(live=False)
    daemon.wait_for(lambda: "NoSuchBucket" in daemon.log(), 10, "the daemon tells what is wrong")
    last = stage.writer(count=10, rate=200).finish()["last"]
    assert daemon.log().count("NoSuchBucket") == 1, "the log has it more than once"
    place.raw.make_bucket(bucket)
    daemon.wait_for(lambda: last_txid(stage.replica) >= 1, 45, "the daemon ships")
    assert daemon.stop() == DONE
    assert check(stage.assert_restore_equals_source()) == last


def test_a_daemon_with_the_wrong_secret_goes_on_and_says_so_once(stage, place):
    stage.prepare()
    daemon = stage.replicate(live=False, environment={"AWS_SECRET_ACCESS_KEY": "wrong"})
    daemon.wait_for(lambda: "SignatureDoesNotMatch" in daemon.log(), 10, "the daemon tells what is wrong")
    report = stage.writer(count=20, rate=100).finish()
    assert report["last"] == 20
    assert daemon.running()
    assert daemon.log().count("SignatureDoesNotMatch") == 1, daemon.log()
    assert place.keys() == {}


# ---- clocks


@pytest.mark.parametrize("minutes", [-600, -20, 20, 600])
def test_a_machine_whose_clock_is_wrong_replicates_lists_and_restores(stage, place, minutes):
    clock = stage.folder / "clock"
    clock.write_bytes(struct.pack("=q", minutes * 60))
    wrong = {"LD_PRELOAD": str(CLOCK_STEP), "CLOCKSTEP": str(clock)}
    stage.prepare()
    daemon = stage.replicate(environment=wrong)
    last = stage.writer(count=40, rate=300).finish()["last"]
    assert daemon.stop() == DONE, daemon.log()
    assert check(stage.assert_restore_equals_source()) == last
    target = stage.folder / "by-the-wrong-clock.db"
    result = seawall("restore", "-o", target, stage.replica, environment=wrong)
    assert result.returncode == DONE, told(result)
    assert check(target) == last


# ---- SSE-C


def key_file(stage, name):
    path = stage.folder / name
    path.write_bytes(base64.b64encode(os.urandom(32)) + b"\n")
    path.chmod(0o600)
    return path


def test_objects_encrypted_with_our_key_restore_with_it_and_with_no_other(stage, place):
    right, wrong = key_file(stage, "right.key"), key_file(stage, "wrong.key")
    plain_url, stage.replica = stage.replica, place.url(sse_c_key_file=right)
    last = filled(stage)
    assert check(stage.assert_restore_equals_source()) == last
    for key in place.keys():
        with pytest.raises(Refused):
            place.raw.get(place.bucket, f"{place.prefix}/{key}")
    target = stage.folder / "x.db"
    for url in (plain_url, place.url(sse_c_key_file=wrong)):
        result = restore(url, target)
        assert result.returncode in (FAILED, USAGE), told(result)
        assert re.search(b"(?i)sse-c|encrypt|key did not match", result.stderr), told(result)
    assert not target.exists()
    assert right.read_bytes().strip() not in b"".join(path.read_bytes() for path in stage.folder.glob("seawall-*.log"))


# ---- outages


def test_while_the_server_hangs_the_application_goes_on_and_then_the_replica_catches_up(stage, place):
    stage.replica = place.url(timeout="2s")
    daemon, app = start(stage)
    place.server.tell("freeze")
    app.wait_committed(app.committed() + figure(9000, 300))
    daemon.wait_for(lambda: "trying again" in daemon.log(), 20, "the log has the outage")
    place.server.tell("thaw")
    goes_on(stage, daemon, app)
    assert_all_well(stage, daemon, app)
    assert len(re.findall("trying again", daemon.log())) == 1, daemon.log()


def test_a_server_that_is_killed_and_started_again_loses_nothing_and_gets_the_rest(stage, place):
    daemon, app = start(stage)
    for _ in range(figure(20, 2)):
        durable = stage.points()
        place.server.tell("kill")
        app.wait_committed(app.committed() + 100)
        place.server.tell("revive")
        daemon.wait_for(lambda: stage.last_txid() > durable[-1], 40, "the daemon ships again")
        assert set(durable) <= set(stage.points())
        goes_on(stage, daemon, app)
    assert_all_well(stage, daemon, app)


def test_a_daemon_that_is_stopped_while_the_server_is_away_says_that_not_everything_is_durable(stage, place):
    stage.prepare()
    daemon = stage.replicate("--stop-timeout", "1s")
    place.server.tell("kill")
    stage.writer(count=10).finish()
    assert daemon.stop() == TIMED_OUT, daemon.log()
    place.server.tell("revive")
    daemon = stage.replicate()
    assert daemon.stop() == DONE
    stage.assert_restore_equals_source()


# ---- sizes and costs


@pytest.fixture(scope="module")
def large(tmp_path_factory, s3_server):
    """A database of some 60 MB that does not compress."""
    path = tmp_path_factory.mktemp("large") / "large.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=wal")
    connection.execute("CREATE TABLE big(id INTEGER PRIMARY KEY, payload BLOB)")
    for _ in range(figure(1000, 60)):
        connection.execute("INSERT INTO big(payload) VALUES(randomblob(1000000))")
    connection.close()
    return path


def test_a_large_database_restores_with_one_job_and_with_many(stage, place, large):
    copy_file(large, stage.db)
    assert stage.replicate("--once", live=False).wait(300) == DONE
    for jobs in (1, 32):
        target = stage.folder / f"by-{jobs}.db"
        result = restore(stage.replica, target, "--jobs", jobs)
        assert result.returncode == DONE, told(result)
        assert_same_pages(settled(stage.db, stage.folder), target)
        assert_sound(target)


def test_an_idle_daemon_makes_no_requests(stage, place):
    filled(stage)
    daemon = stage.replicate()
    daemon.wait_for(lambda: "continues at txid" in daemon.log(), 10, "the daemon is attached")
    before = requests_of(daemon)
    stays_true(daemon.running, figure(60, 4), "the daemon runs")
    assert requests_of(daemon) == before
    assert daemon.stop() == DONE


def test_each_batch_is_one_put_and_nothing_else(stage, place):
    stage.prepare()
    daemon = stage.replicate()
    daemon.wait_for(lambda: "up to date" in daemon.log(), 10, "the first copy is there")
    before, objects = requests_of(daemon), len(place.level_zero())
    stage.writer(count=50, rate=50).finish()
    daemon.wait_for(lambda: shipped(stage) >= 50, 20, "all has arrived")
    after = requests_of(daemon)
    assert after["put"] - before["put"] == len(place.level_zero()) - objects
    assert {key: after[key] - before[key] for key in ("get", "head", "list", "delete", "failed")} == dict.fromkeys(
        ("get", "head", "list", "delete", "failed"), 0)
    stage.note(f"S3: 50 commits at 50/s made {after['put'] - before['put']} PUTs of {after['sent'] - before['sent']} bytes")
    assert daemon.stop() == DONE


def shipped(stage):
    """How many transactions the replica has after its first restore point."""
    points = listing(stage.replica)["points"]
    return points[-1]["txid"] - points[0]["txid"]
