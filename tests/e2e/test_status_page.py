"""The status page, metrics and health over HTTP: what is served where, to whom, and what clients can cost."""
import html.parser
import json
import os
import re
import shutil
import socket
import sqlite3
import stat
import subprocess
import time

import pytest

from fleet import Fleet, insert, make_database, synced
from seawall import DONE, USAGE, seawall, told
from unixsocket import address_of
from waiting import wait_until
from web import PATHS, answers, ask, descriptors, free_port, hang

VISITS_MAX = 64


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def live(stage, port):
    """A daemon with a page, which has everything open that it needs: what it has more later is of the clients."""
    stage.prepare()
    daemon = stage.replicate("--listen", port).wait_live()
    daemon.wait_for(lambda: answers(port) and is_at_rest(port), 30, "the page is served, and nothing is left to be done")
    return daemon


def is_at_rest(port):
    one, = json.loads(ask(port, "/status.json").text())["databases"]
    return one["state"] == "resting" and one["replicas"][0]["durable_txid"] == one["captured_txid"] > 0


@pytest.fixture
def fleet_of(tmp_path):
    made = []

    def make(names, *settings, **more):
        made.append(Fleet(tmp_path, names, settings=settings, **more))
        return made[-1]
    yield make
    for one in made:
        one.stop()


def samples(text):
    """{line without its value: value} of a text for Prometheus."""
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if not line.startswith("#")}


# ---- what is served

def test_each_path_is_served_and_says_what_it_is(stage, live, port):
    types = {"/": "text/html; charset=utf-8", "/metrics": "text/plain; version=0.0.4; charset=utf-8", "/healthz": "text/plain; charset=utf-8",
             "/status.json": "application/json; charset=utf-8"}
    for path, kind in types.items():
        answer = ask(port, path + "?x=1")
        assert (answer.status, answer.headers["Content-Type"]) == (200, kind), path
        assert answer.headers["Cache-Control"] == "no-store" and answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert not any(name.lower().startswith("access-control") for name in answer.headers)
        head = ask(port, path, method="HEAD")
        assert (head.status, head.body) == (200, b"") and int(head.headers["Content-Length"]) > 0, path
    assert ask(port, "/healthz").text() == "ok: 1 of 1 databases are well\n"
    assert ask(port, "/").text().startswith("<!doctype html>") and str(stage.db) in ask(port, "/").text()
    one, = json.loads(ask(port, "/status.json").text())["databases"]
    expected, = json.loads(seawall("status", "--json", stage.db).stdout)["databases"]
    for document in (one, expected):
        for changing in ("wal_bytes", "wal_frames", "state", "checkpoints"):   # of the rest after the last commit
            del document[changing]
        del document["replicas"][0]["base"]["time"]   # it is made from an age, so that it differs by a millisecond
    assert one == expected


def test_only_get_and_head_are_possible_and_only_these_paths(live, port):
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"):
        answer = ask(port, "/", method=method, body=b"x" * 10)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD"), method
    for path in ("/x", "/metrics/", "/index.html", "/../etc/passwd", "/%00", "//", "/status.json%00"):
        assert ask(port, path).status in (404, 400), path


@pytest.mark.parametrize("host,status", [("evil.example", 421), ("evil.example:80", 421), ("localhost.evil.example", 421), ("localhost:1", 200),
                                         ("127.0.0.1:1", 200), ("[::1]:1", 200)])
def test_a_request_under_the_name_of_a_stranger_is_refused(live, port, host, status):
    for path in PATHS:
        assert ask(port, path, headers={"Host": host}).status == status, path


def test_the_metrics_are_those_that_status_prints_and_prometheus_can_read_them(stage, live, port):
    stage.writer(count=3).finish()
    assert seawall("sync", stage.db).returncode == DONE
    stable = re.compile(r"seawall_(wal_|state|checkpoints|longest|frames|replica_object|replica_base_timestamp)")
    live.wait_for(lambda: samples(ask(port, "/metrics").text())["seawall_lag_transactions"] == 0, 20, "all is durable")

    def both():
        served, printed = (samples(text) for text in (ask(port, "/metrics").text(), seawall("status", "--metrics", stage.db).stdout.decode()))
        return all({k: v for k, v in one.items() if not stable.match(k)} == {k: v for k, v in served.items() if not stable.match(k)} and
                   one.keys() == served.keys() for one in (printed,))
    wait_until(both, 10, "both say the same")
    text = ask(port, "/metrics").text()
    assert samples(text)["seawall_databases"] == 1 and samples(text)["seawall_databases_left_out"] == 0
    parser = pytest.importorskip("prometheus_client.parser")
    families = {family.name: family for family in parser.text_string_to_metric_families(text)}
    assert families["seawall_lag_seconds"].type == "gauge" and families["seawall_requests"].type == "counter"
    assert all(family.documentation for family in families.values())


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_finds_nothing_wrong_with_the_metrics(live, port):
    result = subprocess.run(["promtool", "check", "metrics"], input=ask(port, "/metrics").body, capture_output=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


class Tags(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.seen, self.attributes = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes.update(name for name, _ in attrs)


@pytest.mark.parametrize("name", [b"a\"b'c.db", b"<script>alert(1)</script>.db", b"x\ny.db", b"\xff\xfe.db", b"&lt;\\.db", "\u202e\u2028.db".encode()],
                         ids=["quotes", "script", "line break", "not UTF-8", "entity", "direction"])
def test_a_hostile_name_of_a_database_stays_text(stage, port, name, tmp_path):
    folder = os.fsencode(tmp_path) + b"/"
    path = folder + name.replace(b"/", b"_")
    database = sqlite3.connect(path)
    database.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t(a)")
    database.close()
    daemon = stage.replicate("--listen", port, db=os.fsdecode(path))
    daemon.wait_for(lambda: answers(port), 20, "the page is served")
    page = Tags(ask(port, "/").text())
    assert "script" not in page.seen and not any(attribute.startswith("on") for attribute in page.attributes)
    assert len(json.loads(ask(port, "/status.json").body)["databases"]) == 1
    text = ask(port, "/metrics").text()
    assert len([line for line in text.splitlines() if line.startswith("seawall_up{")]) == 1
    if shutil.which("promtool"):
        assert subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True).returncode == 0


def test_no_secret_of_a_url_is_served(stage, port):
    stage.prepare()
    daemon = stage.replicate("--listen", port, also=("s3://bucket/x?endpoint=http://127.0.0.1:9&header=X-Token:%20hunter2",))
    daemon.wait_for(lambda: answers(port), 20, "the page is served")
    for path in PATHS:
        assert b"hunter2" not in ask(port, path).body, path
    assert b"s3://bucket/x" in ask(port, "/status.json").body
    daemon.kill()   # it would wait for the store


# ---- health

def test_the_health_is_that_of_status_and_names_what_is_not_well(fleet_of, tmp_path, port):
    make_database(tmp_path / "good.db")
    (tmp_path / "bad.db").write_bytes(b"this is no database" * 100)
    fleet = fleet_of(["bad", "good"], f"listen = {port}")
    fleet.wait_for(lambda: answers(port) and ask(port, "/healthz").status == 503, 20, "the health says what is wrong")
    assert ask(port, "/healthz").text().startswith("not well: 1 of 2 databases\n") and f"{tmp_path}/bad.db" in ask(port, "/healthz").text()
    assert ask(port, "/").text().index("bad.db") < ask(port, "/").text().index("good.db")
    assert samples(ask(port, "/metrics").text())["seawall_databases_not_well"] == 1
    (tmp_path / "bad.db").unlink()
    fleet.write_config()
    fleet.names.remove("bad")
    fleet.write_config()
    assert seawall("reload", "-c", fleet.config).returncode == DONE
    fleet.wait_for(lambda: ask(port, "/healthz").status == 200, 20, "all is well")


def test_what_waits_is_served_in_time_and_bytes_and_grows(stage, live, port):
    """The folder of the replica refuses every object, as a full disk does."""
    stage.writer(count=1).finish()
    assert seawall("sync", stage.db).returncode == DONE
    shutil.rmtree(stage.replica / "0")
    (stage.replica / "0").write_text("a file")
    stage.writer(count=2).finish()
    live.wait_for(lambda: samples(ask(port, "/metrics").text())["seawall_lag_seconds"] > 1, 30, "the lag is served")
    before = samples(ask(port, "/metrics").text())
    assert before["seawall_lag_transactions"] >= 2 and before["seawall_lag_bytes"] >= 2 * 4096
    live.wait_for(lambda: samples(ask(port, "/metrics").text())["seawall_lag_seconds"] > before["seawall_lag_seconds"] + 0.5, 20, "it grows")
    assert "commits wait" in ask(port, "/").text()
    live.kill()   # it would wait for the replica


# ---- where it listens

def test_nothing_is_served_unless_it_is_asked_for(stage):
    stage.prepare()
    daemon = stage.replicate()
    mine = {entry.readlink().name for entry in (stage.folder / f"/proc/{daemon.pid}/fd").iterdir()}
    listening = {line.split()[9] for table in ("tcp", "tcp6") for line in open(f"/proc/{daemon.pid}/net/{table}").readlines()[1:] if line.split()[3] == "0A"}
    assert not {name for name in mine if name.strip("socket:[]") in listening}


def test_a_unix_socket_is_for_this_user_alone_and_takes_every_host(stage):
    stage.prepare()
    place = stage.folder / "http"
    daemon = stage.replicate("--listen", f"unix:{place}")
    daemon.wait_for(lambda: answers(place), 20, "the page is served")
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert ask(place, "/", headers={"Host": "any.example"}).status == 200
    place.unlink()
    daemon.wait_for(lambda: answers(place), 20, "the socket is made again")
    daemon.kill()
    assert place.exists()
    again = stage.replicate("--listen", f"unix:{place}")   # over what the killed one has left
    again.wait_for(lambda: answers(place), 20, "the page is served")
    assert again.stop() == DONE and not place.exists()


def test_a_place_that_is_taken_is_an_error_and_the_replication_goes_on(stage, port):
    stage.prepare()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        daemon = stage.replicate("--listen", port)
        line = daemon.wait_log(r"ERROR listen = \d+: .*is not served.*replication goes on: port \d+ of 127.0.0.1 is in use")
        assert line and re.search(r"HINT: .*ss -ltnp", daemon.log())
        stage.writer(count=2).finish()
        assert seawall("sync", stage.db).returncode == DONE
    daemon.wait_for(lambda: answers(port), 30, "it is served when the port is free")
    daemon.told_once("is not served, and is tried again")


def test_a_socket_of_another_process_is_left_alone(stage):
    stage.prepare()
    place = stage.folder / "http"
    with socket.socket(socket.AF_UNIX) as other:
        with address_of(place) as address:
            other.bind(address)
        other.listen()
        daemon = stage.replicate("--listen", f"unix:{place}")
        daemon.wait_log("another process listens at")
        assert place.is_socket() and not answers_within(place)
    (stage.folder / "file").write_text("x")
    second = stage.folder / "file"
    daemon.stop()
    daemon = stage.replicate("--listen", f"unix:{second}")
    daemon.wait_log("exists and is not a socket")
    assert second.read_text() == "x"


def answers_within(place):
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0.2)
        with address_of(place) as address:
            probe.connect(address)
        try:
            return probe.recv(1) != b""
        except TimeoutError:
            return False


@pytest.mark.parametrize("value", ["0", "70000", "host.example:9099", "unix:relative", "9099x", ""])
def test_a_value_that_is_not_a_place_is_an_error_at_the_start(stage, value):
    stage.prepare()
    result = seawall("replicate", "--listen", value, stage.db, stage.replica)
    assert result.returncode == USAGE and b"HINT" in result.stderr, told(result)
    config = stage.folder / "seawall.conf"
    config.write_text(f"[seawall]\nlisten = {value}\n[db {stage.db}]\nreplica = {stage.replica}\n")
    result = seawall("replicate", "-c", config)
    assert result.returncode == USAGE and b"line 2: 'listen'" in result.stderr, told(result)


def test_a_listen_that_is_given_twice_and_one_with_once_are_errors(stage, port):
    stage.prepare()
    config = stage.folder / "seawall.conf"
    config.write_text(f"[seawall]\nlisten = {port}\nlisten = {port}\n[db {stage.db}]\nreplica = {stage.replica}\n")
    result = seawall("config", "-c", config)
    assert result.returncode == USAGE and b"'listen' is given twice" in result.stderr
    assert seawall("replicate", "--once", "--listen", port, stage.db, stage.replica).returncode == USAGE


def test_a_reload_opens_moves_and_closes_the_page(fleet_of, tmp_path, port):
    make_database(tmp_path / "a.db")
    fleet, second = fleet_of(["a"]), free_port()
    fleet.wait_shipped(["a"])
    for settings, served, closed in (((f"listen = {port}",), port, None), ((f"listen = 127.0.0.1:{second}",), second, port), ((), None, second),
                                     ((f"listen = {port}",), port, None)):
        fleet.settings = settings
        fleet.write_config()
        assert seawall("reload", "-c", fleet.config).returncode == DONE
        if served:
            fleet.wait_for(lambda: answers(served), 20, f"{served} is served")
        if closed:
            assert not answers(closed)
    fleet.settings = ("listen = nowhere",)
    fleet.write_config()
    assert seawall("reload", "-c", fleet.config).returncode != DONE
    assert answers(port)


def test_the_command_line_comes_before_the_configuration(stage, port):
    stage.prepare()
    other, config = free_port(), stage.folder / "seawall.conf"
    config.write_text(f"[seawall]\nlisten = {other}\n[db {stage.db}]\nreplica = {stage.replica}\n")
    daemon = stage.replicate("-c", config, "--listen", port)
    daemon.wait_for(lambda: answers(port), 20, "the page is served")
    assert not answers(other)
    assert f"listen = {other}\n".encode() in seawall("config", "-c", config).stdout


# ---- clients that do not behave

@pytest.mark.parametrize("text", [b"", b"GET / HTTP/1.1\r\nX: ", b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\0" * 1000],
                         ids=["silent", "half a header", "an answer not taken", "TLS", "zeros"])
def test_commits_become_durable_while_200_clients_hang(stage, live, port, text):
    before, memory = descriptors(live), live.memory_kib("VmRSS")
    clients = hang(port, 200, text)
    writer = stage.writer(count=20)
    writer.finish()
    assert seawall("sync", "--timeout", "20s", stage.db).returncode == DONE
    assert ask(port, "/healthz").status == 200   # one more client ends the oldest
    assert descriptors(live) <= before + VISITS_MAX + 8
    assert live.memory_kib("VmRSS") < memory + 16 * 1024
    for client in clients:
        client.close()
    live.wait_for(lambda: descriptors(live) <= before + 2, 20, "their descriptors are closed")


def test_a_thousand_connections_cost_64_descriptors(live, port):
    before = descriptors(live)
    clients = hang(port, 1000)
    assert descriptors(live) <= before + VISITS_MAX + 8
    assert ask(port, "/metrics").status == 200
    for client in clients:
        client.close()


@pytest.mark.parametrize("request_text", [b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Y: z\r\n" * 100000 + b"\r\n", b"GET /" + b"a" * 2000000 + b" HTTP/1.1\r\n\r\n",
                                          b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 3000000,
                                          b"GET / HTTP/1.1\r\nHost: " + b"h" * 1000000 + b"\r\n\r\n"],
                         ids=["headers", "path", "body", "host"])
def test_a_huge_request_is_refused_and_costs_no_memory(live, port, request_text):
    before = live.memory_kib("VmRSS")
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        try:
            client.sendall(request_text)
            answer = client.recv(64)
        except (ConnectionError, TimeoutError):
            answer = b""
    assert not answer.startswith(b"HTTP/1.1 200")
    assert live.memory_kib("VmRSS") < before + 4096
    assert ask(port, "/healthz").status == 200


def test_a_stop_does_not_wait_for_clients(stage, live, port):
    clients = hang(port, 50, b"GET / HTTP/1.1\r\n")
    begun = time.monotonic()
    assert live.stop() == DONE
    assert time.monotonic() - begun < 15   # a client has 30 s
    for client in clients:
        client.close()


# ---- many databases

def test_databases_that_sleep_go_on_sleeping_while_the_page_is_read(fleet_of, tmp_path, port):
    names = [f"n{i:03}" for i in range(120)]
    for name in names:
        make_database(tmp_path / f"{name}.db")
    fleet = fleet_of(names, f"listen = {port}", "sleep-after = 100ms", "rest-after = 100ms", pattern=f"{tmp_path}/n*.db")
    fleet.wait_for(lambda: answers(port) and samples(ask(port, "/metrics").text())["seawall_databases_asleep"] == len(names), 60, "all are asleep")
    log, end = len(fleet.log()), time.monotonic() + 3
    while time.monotonic() < end:   # longer than a report is served again
        for path in PATHS:
            assert ask(port, path).status == 200
    now = samples(ask(port, "/metrics").text())
    assert (now["seawall_databases"], now["seawall_databases_asleep"], now["seawall_replicas"]) == (len(names), len(names), len(names))
    assert not [line for line in now if "database=" in line], "a database that sleeps has no series of its own"
    assert fleet.log()[log:] == ""
    assert len(json.loads(ask(port, "/status.json").body)["databases"]) == len(names)
    page = ask(port, "/").text()
    assert page.count("<details") == 100 and "20 more databases are not shown" in page
    printed = samples(seawall("status", "--metrics", "-c", fleet.config).stdout.decode())
    assert printed == now
    insert(fleet.database("n007"), 1)
    synced(fleet, "n007")
    assert samples(ask(port, "/metrics").text())["seawall_databases_asleep"] >= len(names) - 1
