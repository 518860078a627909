"""`seawall doctor`: what it finds, what it says to do, and that it changes nothing."""
import json
import os
import re
import resource
import signal
import socket
import sqlite3
import subprocess
import sys

import pytest

import stranger
from bucket import PREFIX
from control import assert_synced
from seawall import BINARY, DONE, FAILED, OTHER_WRITER, SOME_FAILED, USAGE, seawall, told, url_of
from waiting import PATIENCE

LEVELS = {"ok", "warning", "error"}
KEYS = {"level", "check", "database", "replica", "message", "hint"}


def doctor(*arguments, code=DONE, environment=None, folder=None):
    """The findings of `seawall doctor --json`."""
    result = seawall("doctor", "--json", *arguments, environment=environment, folder=folder)
    assert result.returncode == code, told(result)
    document = json.loads(result.stdout)
    assert document.keys() == {"ok", "errors", "warnings", "findings"}
    for finding in document["findings"]:
        assert finding.keys() == KEYS and finding["level"] in LEVELS
        assert (finding["hint"] is not None) == (finding["level"] != "ok"), finding
    count = {level: sum(finding["level"] == level for finding in document["findings"]) for level in LEVELS}
    assert (document["ok"], document["errors"], document["warnings"]) == (count["error"] == 0, count["error"], count["warning"])
    return document["findings"]


def the(findings, check, replica=False):
    """The only finding of a check."""
    (found,) = [finding for finding in findings if finding["check"] == check and (not replica or finding["replica"])]
    return found


def levels(findings, *but):
    """The checks that are not ok, with their levels."""
    return {finding["check"]: finding["level"] for finding in findings if finding["level"] != "ok" and finding["check"] not in but}


def everything_in(folder):
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size, path.read_bytes() if path.is_file() else b"")
            for path in [folder, *folder.rglob("*")]}


SAME_DISK = ("folder",)   # the folders of the tests are on the disk of the database


# ---- it changes nothing

def test_before_the_first_start_nothing_is_wrong_and_nothing_is_changed(stage):
    stage.prepare()
    stage.replica.mkdir(mode=0o700)
    before = everything_in(stage.folder)
    findings = doctor(stage.db, stage.replica)
    assert levels(findings, *SAME_DISK) == {}
    assert {"sqlite", "open-files", "inotify", "room-for-proofs", "file", "names", "permissions", "file-system", "journal-mode", "locks", "list",
            "clock", "put", "get", "exclusive-put", "delete", "history"} <= {finding["check"] for finding in findings}
    after = everything_in(stage.folder)
    assert {name: facts[1:] for name, facts in after.items()} == {name: facts[1:] for name, facts in before.items()}
    assert all(after[name] == before[name] for name in before if name.startswith("app.db"))
    assert stage.replicate().stop() == DONE


def test_a_folder_that_does_not_exist_is_not_made(stage):
    stage.prepare()
    target = stage.folder / "not" / "yet"
    assert the(doctor(stage.db, target), "folder")["level"] == "ok"
    assert not target.parent.exists()


def test_beside_a_running_daemon_it_asks_the_daemon(stage):
    stage.prepare()
    daemon = stage.replicate()
    stage.writer(count=3).finish()
    assert_synced(stage.db)
    findings = doctor(stage.db, stage.replica)
    assert levels(findings, *SAME_DISK) == {}
    assert f"process {daemon.pid}," in [finding for finding in findings if finding["check"] == "daemon"][0]["message"]
    stage.writer(count=3).finish()
    txid = assert_synced(stage.db)
    assert f"transaction {txid}" in the(doctor(stage.db, stage.replica), "history")["message"]
    away = stage.replica.rename(stage.folder / "away")
    stage.writer(count=1).finish()
    daemon.wait_log("is gone")
    assert "does not exist" in the(doctor(stage.db, stage.replica, code=FAILED), "folder")["message"]
    away.rename(stage.replica)
    assert daemon.stop() == DONE


def test_a_daemon_that_a_conflict_stopped_is_told_with_the_reason(stage):
    stage.prepare()
    assert stage.replicate().stop() == DONE
    other = stage.folder / "other.db"
    stage.prepare(db=other)
    daemon = stage.replicate(db=other, replica=stage.folder / "ours", also=[stage.replica])
    daemon.wait_log("another writer")
    findings = doctor(other, stage.folder / "ours", stage.replica, code=OTHER_WRITER)
    said = [finding for finding in findings if finding["check"] == "daemon" and finding["level"] == "error"]
    assert len(said) == 1 and "another writer" in said[0]["message"] and said[0]["replica"] == str(stage.replica)
    assert daemon.stop() == OTHER_WRITER


def test_what_a_killed_doctor_left_is_passed_over_and_removed_by_the_next(stage, s3, server):
    stage.prepare()
    with server.fault("stall", on="get", key="*probe/*"):
        process = subprocess.Popen([BINARY, "doctor", stage.db, stage.replica], stdout=subprocess.DEVNULL)
        assert server.wait(lambda: any("probe/" in key for key in s3.keys()), 20)
        process.kill()
        process.wait()
    (left,) = [key for key in s3.keys() if key.startswith("probe/")]
    assert stage.replicate().stop() == DONE
    for command in (("list",), ("verify",), ("prune",)):
        result = seawall(*command, stage.replica)
        assert result.returncode == DONE and b"passed over" not in result.stdout, told(result)
    doctor(stage.db, stage.replica)
    assert left in s3.keys()   # it may belong to one that runs
    with server.lock:
        server.objects[f"{PREFIX}/{left}"].modified -= 3600
    doctor(stage.db, stage.replica)
    assert not [key for key in s3.keys() if key.startswith("probe/")]


def test_an_interrupted_doctor_removes_what_it_put(stage, s3, server):
    stage.prepare()
    with server.fault("stall", on="get", key="*probe/*", seconds=2):
        process = subprocess.Popen([BINARY, "doctor", stage.db, stage.replica], stdout=subprocess.DEVNULL)
        assert server.wait(lambda: any("probe/" in key for key in s3.keys()), 20)
        process.send_signal(signal.SIGINT)
        assert process.wait(20 * PATIENCE) == 130
    assert not [key for key in s3.keys() if key.startswith("probe/")]


# ---- the machine

def test_limits_of_the_process_are_found(stage):
    stage.prepare()
    def limited():
        resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    result = subprocess.run([BINARY, "doctor", "--json", stage.db, stage.replica], capture_output=True, preexec_fn=limited)
    assert result.returncode == FAILED, told(result)
    found = levels(json.loads(result.stdout)["findings"], *SAME_DISK)
    assert found == {"open-files": "error", "file-size": "error"}


def test_a_folder_for_proofs_without_room_is_a_warning(stage):
    stage.prepare()
    environment = {"TMPDIR": str(stage.folder / "missing")}
    assert levels(doctor(stage.db, stage.replica, environment=environment), *SAME_DISK) == {"room-for-proofs": "warning"}
    with open(stage.db, "r+b") as db:
        db.truncate(15 << 40)   # a sparse file: larger than any disk here
    findings = doctor(stage.db, stage.folder / "not yet")
    assert levels(findings) == {"room-for-proofs": "warning", "room": "warning"}


# ---- the database

def test_a_missing_and_an_empty_database_are_warnings(stage):
    assert levels(doctor(stage.db, stage.folder / "backup")) == {"file": "warning"}
    stage.db.touch()
    assert levels(doctor(stage.db, stage.folder / "backup")) == {"file": "warning"}


@pytest.mark.parametrize("what", ["text", "folder", "encrypted", "damaged"])
def test_what_is_no_sqlite_database_is_an_error(stage, what):
    if what == "folder":
        stage.db.mkdir()
    else:
        stage.db.write_bytes({"text": b"hello, world, hello", "encrypted": os.urandom(8192), "damaged": b"SQLite format 3\0" + bytes(4096)}[what])
    findings = doctor(stage.db, stage.folder / "backup", code=FAILED)
    assert levels(findings) == {"journal-mode" if what == "damaged" else "file": "error"}


def test_a_second_name_is_an_error(stage):
    stage.prepare()
    os.link(stage.db, stage.folder / "second.db")
    assert "hard links" in the(doctor(stage.db, stage.folder / "backup", code=FAILED), "names")["message"]


def test_a_link_in_the_place_of_the_wal_is_an_error(stage):
    stage.prepare()
    (stage.folder / "app.db-journal").symlink_to("/etc/passwd")
    assert levels(doctor(stage.db, stage.folder / "backup", code=FAILED)) == {"names": "error"}


def test_a_rollback_journal_is_an_error_only_with_set_wal_no(stage):
    stage.prepare()
    with sqlite3.connect(stage.db) as app:
        app.execute("PRAGMA journal_mode=DELETE")
    app.close()
    assert "switches" in the(doctor(stage.db, stage.folder / "backup"), "journal-mode")["message"]
    config = stage.folder / "seawall.conf"
    config.write_text(f"[db {stage.db}]\nreplica = {stage.folder}/backup\nset-wal = no\n")
    assert levels(doctor("-c", config, code=FAILED)) == {"journal-mode": "error"}


def test_a_file_format_of_another_engine_is_an_error(stage):
    stage.prepare()
    with open(stage.db, "r+b") as db:
        db.seek(18)
        db.write(b"\xff\xff")   # Turso's MVCC mode
    assert levels(doctor(stage.db, stage.folder / "backup", code=FAILED)) == {"journal-mode": "error"}


EXCLUSIVE = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA locking_mode=EXCLUSIVE")
db.execute("CREATE TABLE exclusive(a)")
print("open", flush=True)
sys.stdin.read()
"""


def test_an_application_that_keeps_the_database_locked_is_named(stage):
    stage.prepare()
    with sqlite3.connect(stage.db) as app:
        app.execute("PRAGMA journal_mode=DELETE")
    app.close()
    process = subprocess.Popen([sys.executable, "-c", EXCLUSIVE, stage.db], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "open\n"
        found = the(doctor(stage.db, stage.folder / "backup", code=FAILED), "locks")
        assert found["level"] == "error" and f"process {process.pid} keeps" in found["message"] and "EXCLUSIVE" in found["hint"]
    finally:
        process.stdin.close()
        process.wait()
    assert levels(doctor(stage.db, stage.folder / "backup")) == {}


def test_the_files_of_another_engine_are_a_warning(stage):
    stage.prepare()
    (stage.folder / "app.db.lock").mkdir()
    assert levels(doctor(stage.db, stage.folder / "backup")) == {"locks": "warning"}


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no tmpfs")
def test_a_database_in_memory_is_a_warning(stage, tmp_path_factory):
    path = f"/dev/shm/seawall-doctor-{os.getpid()}"
    os.mkdir(path)
    try:
        with sqlite3.connect(f"{path}/app.db") as app:
            app.execute("CREATE TABLE t(a)")
        app.close()
        assert levels(doctor(f"{path}/app.db", stage.folder / "backup")) == {"file-system": "warning"}
    finally:
        os.unlink(f"{path}/app.db")
        os.rmdir(path)


@pytest.mark.skipif(not stranger.IS_ROOT, reason="only root can become another user")
@pytest.mark.open_to_others
def test_another_user_is_told_what_it_may_not_do(stage):
    stage.prepare()
    stage.db.chmod(0o644)
    result = stranger.seawall(stage.folder, "doctor", "--json", stage.db, stage.folder / "backup")
    assert result.returncode == FAILED, told(result)
    found = {finding["check"]: finding for finding in json.loads(result.stdout)["findings"] if finding["level"] == "error"}
    assert found.keys() == {"permissions", "folder"} and f"user {stranger.STRANGER} may not write" in found["permissions"]["message"]


# ---- the place

def test_an_s3_store_is_tried_in_every_way(stage, s3, server):
    stage.prepare()
    findings = doctor(stage.db, stage.replica)
    assert levels(findings) == {}
    assert the(findings, "exclusive-put")["message"] == "PUT is exclusive: of 32 at the same moment one won"
    assert s3.keys() == []
    puts = server.requests("put")
    assert len([put for put in puts if put.status == 412]) == 1 + 3 * 31 and len([put for put in puts if put.status == 200]) == 4
    assert all(put.key.startswith(f"{PREFIX}/probe/") for put in puts)


@pytest.mark.parametrize("on, check, level", [("list", "list", "error"), ("put", "put", "error"), ("get", "get", "error"), ("delete", "delete", "warning")])
def test_each_permission_that_is_missing_is_named(stage, s3, server, on, check, level):
    stage.prepare()
    with server.fault("access-denied", on=on):
        findings = doctor(stage.db, stage.replica, code=FAILED if level == "error" else DONE)
    # without seawall.json nothing says whose replica it is
    assert levels(findings, "history") == {check: level} and "s3:" in the(findings, check)["hint"]


@pytest.mark.parametrize("fault, hint", [("signature", "secret key"), ("no-such-bucket", "create the bucket")])
def test_wrong_keys_and_a_missing_bucket_are_told_once(stage, s3, server, fault, hint):
    stage.prepare()
    with server.fault(fault):
        findings = doctor(stage.db, stage.replica, code=FAILED)
    assert levels(findings) == {"list": "error"} and hint in the(findings, "list")["hint"]


def test_a_server_that_nobody_answers_for_is_an_error(stage, s3):
    stage.prepare()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = s3.url(endpoint=f"http://127.0.0.1:{unused.getsockname()[1]}", timeout="1s")
        assert levels(doctor(stage.db, url, code=FAILED)) == {"list": "error"}


@pytest.mark.parametrize("fault", ["ignores-condition", "looks-then-stores"])
def test_a_store_that_is_not_exclusive_is_a_warning_and_an_error_if_it_is_required(stage, s3, server, fault):
    stage.prepare()
    with server.fault(fault, on="put"):
        assert levels(doctor(stage.db, stage.replica)) == {"exclusive-put": "warning"}
        if fault == "looks-then-stores":
            assert levels(doctor(stage.db, s3.url(conditional="require"), code=FAILED)) == {"exclusive-put": "error"}
    assert s3.keys() == []


def test_a_wrong_clock_is_a_warning(stage, s3, server):
    stage.prepare()
    server.set_clock(-3600)
    findings = doctor(stage.db, stage.replica)
    assert levels(findings) == {"clock": "warning"} and re.search(r"360[01] s ahead", the(findings, "clock")["message"])


EXPIRE = "<Rule><ID>tidy up</ID><Filter><Prefix>{}</Prefix></Filter><Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>"


def test_rules_of_the_bucket_that_harm_the_replica_are_errors(stage, s3, server):
    stage.prepare()
    server.rules["lifecycle"] = EXPIRE.format("backup/")
    findings = doctor(stage.db, stage.replica, code=FAILED)
    assert levels(findings) == {"lifecycle": "error"} and "'tidy up'" in the(findings, "lifecycle")["message"]
    server.rules["lifecycle"] = EXPIRE.format("logs/")
    assert levels(doctor(stage.db, stage.replica)) == {}


def test_versions_without_a_rule_for_old_ones_are_a_warning(stage, s3, server):
    stage.prepare()
    server.rules["versioning"] = "<Status>Enabled</Status>"
    assert levels(doctor(stage.db, stage.replica)) == {"versions": "warning"}
    server.rules["lifecycle"] = ("<Rule><Filter/><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>7</NoncurrentDays>"
                                 "</NoncurrentVersionExpiration></Rule>")
    assert levels(doctor(stage.db, stage.replica)) == {}


def test_object_lock_that_the_bucket_does_not_have_is_an_error_and_nothing_is_locked(stage, s3, server):
    stage.prepare()
    url = s3.url(object_lock_mode="COMPLIANCE", object_lock_days=7)
    assert levels(doctor(stage.db, url, code=FAILED)) == {"object-lock": "error"}
    server.rules["object-lock"] = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
    assert levels(doctor(stage.db, url)) == {}
    assert not [put for put in server.requests("put") if "x-amz-object-lock-mode" in put.headers]
    before = server.count("put")
    server.rules["object-lock"] += "<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule>"
    assert levels(doctor(stage.db, url)) == {"object-lock": "warning"}
    assert server.count("put") == before   # what is tried would stay


def test_rules_that_may_not_be_read_are_not_known_and_no_fault(stage, s3, server):
    stage.prepare()
    with server.fault("access-denied", on="rules"):
        findings = doctor(stage.db, stage.replica)
    assert levels(findings) == {}
    assert "not known: GET ?versioning: HTTP 403" in the(findings, "versions")["message"]


def test_the_replica_of_another_writer_is_a_conflict_with_both_commands(stage):
    stage.prepare()
    assert stage.replicate().stop() == DONE
    other = stage.folder / ("long" * 50) / "other.db"
    other.parent.mkdir()
    stage.prepare(db=other)
    found = the(doctor(other, stage.replica, code=OTHER_WRITER), "history")
    assert f"database '{stage.db}'" in found["message"]
    assert f"seawall restore --force -o {other} {stage.replica}; " in found["hint"]
    assert found["hint"].endswith(f"seawall replicate --take-over {other} {stage.replica}")
    assert levels(doctor(stage.db, stage.replica), *SAME_DISK) == {}


def test_an_empty_folder_that_held_the_replica_is_an_error(stage):
    stage.prepare()
    assert stage.replicate().stop() == DONE
    stage.replica.rename(stage.folder / "away")
    assert "is the disk mounted" in the(doctor(stage.db, stage.replica, code=FAILED), "folder")["hint"]
    stage.replica.mkdir(mode=0o700)
    assert "is the disk mounted" in the(doctor(stage.db, stage.replica, code=FAILED), "history")["hint"]


def test_a_replica_that_is_damaged_is_an_error(stage):
    stage.prepare()
    assert stage.replicate().stop() == DONE
    (stage.replica / "seawall.json").write_text("{}")
    assert levels(doctor(stage.db, stage.replica, code=FAILED), *SAME_DISK) == {"history": "error"}


@pytest.mark.parametrize("url", ["s3:/b/x", "s3:b", "sftp:h:/p", "file:/x", "gs://b/x"])
def test_a_place_that_can_not_be_one_is_an_error(stage, url):
    stage.prepare()
    assert levels(doctor(stage.db, url, code=FAILED)) == {"url": "error"}


# ---- many databases

def config_of(stage, databases):
    config = stage.folder / "seawall.conf"
    config.write_text("".join(f"[db {db}]\nreplica = {url_of(stage.folder / 'replicas' / db.stem)}\n" for db in databases))
    return config


def test_of_several_databases_some_can_be_ill(stage):
    databases = [stage.folder / f"{name}.db" for name in "abc"]
    for db in databases:
        stage.prepare(db=db)
    config = config_of(stage, databases)
    assert levels(doctor("-c", config)) == {}
    databases[1].write_bytes(b"not a database at all")
    findings = doctor("-c", config, code=SOME_FAILED)
    assert [finding["database"] for finding in findings if finding["level"] == "error"] == [str(databases[1])]
    assert {finding["database"] for finding in findings} == {None, *map(str, databases)}
    assert levels(doctor("-c", config, databases[0])) == {}
    assert levels(doctor("-c", config, databases[1], code=FAILED)) == {"file": "error"}


def test_of_a_pattern_the_places_of_two_are_tried(stage, s3, server):
    for name in "abcd":
        stage.prepare(db=stage.folder / f"tenant-{name}.db")
    config = stage.folder / "seawall.conf"
    config.write_text(f"[db {stage.folder}/tenant-*.db]\nreplica = {s3.url(prefix='{name}')}\n[db {stage.folder}/nothing-*.db]\nreplica = {s3.url(prefix='n/{name}')}\n")
    findings = doctor("-c", config)
    assert levels(findings) == {"configuration": "warning"}
    assert sum(finding["check"] == "list" for finding in findings) == 4
    assert sum(finding["check"] == "put" for finding in findings) == 2


# ---- manners

def test_the_text_has_a_heading_for_each_thing_and_hints_below(stage):
    stage.prepare()
    stage.db.with_name("second.db").hardlink_to(stage.db)
    result = seawall("doctor", stage.db, stage.folder / "backup")
    assert result.returncode == FAILED and not result.stderr, told(result)
    lines = result.stdout.decode().splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["machine", f"database '{stage.db}'", f"replica '{stage.folder}/backup'",
                                                                   "1 error, 0 warnings"]
    at = next(i for i, line in enumerate(lines) if line.startswith("  ERROR    names: "))
    assert lines[at + 1].startswith("           HINT: remove all names but one")
    assert "\x1b" not in result.stdout.decode()


def test_beside_a_daemon_each_heading_comes_once(stage):
    stage.prepare()
    second = stage.folder / "second"
    daemon = stage.replicate(also=[second])
    assert_synced(stage.db)
    heads = [f"database '{stage.db}'", f"replica '{stage.replica}'", f"replica '{second}'"]
    for urls in ([], [stage.replica], [stage.replica, second]):
        result = seawall("doctor", stage.db, *urls)
        lines = result.stdout.decode().splitlines()
        assert [line for line in lines if not line.startswith(" ")][1:-1] == heads, told(result)
        assert sum(line.startswith("  ok       daemon: ") for line in lines) == 3, told(result)
    assert daemon.stop() == DONE


def test_wrong_usage_and_a_wrong_configuration_are_told_apart_from_findings(stage):
    assert seawall("doctor").returncode == USAGE
    assert seawall("doctor", "-c", stage.folder / "missing.conf").returncode == USAGE
    config = stage.folder / "seawall.conf"
    config.write_text("[db a.db]\nnonsense = 1\n")
    assert seawall("doctor", "-c", config).returncode == USAGE
