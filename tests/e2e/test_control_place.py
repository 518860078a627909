"""Where the control socket is: never beside the database, in a folder that only its user and root can write to, and found by every
command that can ask the daemon."""
import ctypes
import os
import shutil
import stat
import subprocess
import tempfile

import pytest

import stranger
from control import control_folder, socket_of, status, wait_control
from seawall import BINARY, DONE, FAILED, seawall, told
from waiting import wait_until

NEW_MOUNTS, PRIVATE_TREE = 0x00020000, 0x4000 | (1 << 18)   # CLONE_NEWNS; MS_REC | MS_PRIVATE
USER = 54321   # needs no entry in /etc/passwd


def into_room(tmpfs, user=None):
    """A function for a new process: puts empty folders of its own in place of the folders `tmpfs`, and becomes another user."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter():
        if libc.unshare(NEW_MOUNTS) or libc.mount(b"none", b"/", None, PRIVATE_TREE, None):
            raise OSError(ctypes.get_errno(), "a process can't have mounts of its own")
        for folder in tmpfs:
            if libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, b"mode=1777" if folder == "/tmp" else b"mode=755"):
                raise OSError(ctypes.get_errno(), f"mount {folder}")
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
    return enter


def can_have_mounts():
    if not stranger.IS_ROOT or not shutil.which("nsenter"):
        return False
    try:
        return subprocess.run(["true"], preexec_fn=into_room(["/run"])).returncode == 0
    except subprocess.SubprocessError:
        return False


in_a_room = pytest.mark.skipif(not can_have_mounts(), reason="only root can mount folders, and some containers forbid it")


def asked_in_the_room_of(daemon, *arguments, user=0, environment=None, program=BINARY):
    """Runs a command in the mount namespace of the daemon, so that it sees the same folders. -r: the tests may run in a chroot."""
    return subprocess.run(["nsenter", "-m", "-r", "-t", str(daemon.pid), "-S", str(user), "-G", str(user), "--", program, *map(str, arguments)],
                          capture_output=True, timeout=60, env={**os.environ, "SEAWALL_CONTROL": "", **(environment or {})})


def test_beside_the_database_are_ordinary_files_only(stage):
    folder = stage.folder / "data"
    folder.mkdir()
    db = folder / "app.db"
    stage.prepare(db=db)
    daemon = wait_control(stage.replicate(db=db))
    assert all(stat.S_ISREG(os.lstat(path).st_mode) for path in folder.iterdir())
    shutil.copytree(folder, stage.folder / "copy")
    assert daemon.stop() == DONE


def test_a_socket_that_is_removed_is_made_again(stage):
    stage.prepare()
    daemon = wait_control(stage.replicate())
    socket_of(stage.db).unlink()
    wait_until(lambda: seawall("status", stage.db).returncode == DONE, 20, "the daemon can be asked again")
    assert status(stage.db)["pid"] == daemon.pid
    assert not daemon.log().count(" WARN ")


def test_the_folder_of_sockets_may_vanish(stage):
    run = stage.folder / "run"
    stage.prepare()
    daemon = stage.replicate("--control", run)
    asked = "status", "--control", run, stage.db
    daemon.wait_for(lambda: seawall(*asked).returncode == DONE, 20, "the daemon answers")
    shutil.rmtree(run)
    daemon.wait_for(lambda: seawall(*asked).returncode == DONE, 20, "the daemon can be asked again")
    assert stat.S_IMODE(run.stat().st_mode) == 0o700


@pytest.mark.parametrize("by", ["flag", "file", "environment"])
def test_the_folder_is_chosen(stage, by):
    run, file = stage.folder / "chosen", stage.folder / "seawall.conf"
    stage.prepare()
    file.write_text(f"[seawall]\ncontrol = {run}\n[db {stage.db}]\nreplica = {stage.replica}\n")
    options = {"flag": ["--control", run], "file": ["-c", file], "environment": []}[by]
    environment = {"SEAWALL_CONTROL": str(run) if by == "environment" else ""}
    daemon = stage.replicate(*options, environment=environment)
    for command in ["status"], ["sync"], ["snapshot"]:
        words = [stage.db] if command != ["snapshot"] or by == "file" else [stage.db, stage.replica]
        daemon.wait_for(lambda: seawall(*command, *options, *words, environment=environment).returncode == DONE, 20, f"{command} answers")
    assert socket_of(stage.db, run).is_socket()
    elsewhere = seawall("status", stage.db, environment={"SEAWALL_CONTROL": str(control_folder())})
    assert elsewhere.returncode == FAILED and b"--control" in elsewhere.stderr, told(elsewhere)


def test_the_configuration_shows_the_folder(stage):
    file = stage.folder / "seawall.conf"
    file.write_text("[seawall]\ncontrol = /some/where\n")
    result = seawall("config", "-c", file)
    assert result.returncode == DONE and b"control = /some/where\n" in result.stdout, told(result)
    for wrong in "control =\n", "control = /a\ncontrol = /b\n":
        file.write_text(f"[seawall]\n{wrong}")
        assert seawall("config", "-c", file).returncode == 2


@in_a_room
@pytest.mark.open_to_others
def test_roots_daemon_listens_in_run_seawall(stage):
    stage.prepare()
    daemon = stage.replicate(environment={"SEAWALL_CONTROL": ""}, before=into_room(["/run"]))
    daemon.wait_for(lambda: asked_in_the_room_of(daemon, "status", stage.db).returncode == DONE, 20, "the daemon answers")
    (name,) = os.listdir(f"/proc/{daemon.pid}/root/run/seawall")
    assert name == socket_of(stage.db).name
    assert stat.S_IMODE(os.stat(f"/proc/{daemon.pid}/root/run/seawall").st_mode) == 0o755
    stranger_asks = asked_in_the_room_of(daemon, "status", stage.db, user=USER, program=stage.folder / "seawall")
    assert stranger_asks.returncode == FAILED and b"as root" in stranger_asks.stderr, told(stranger_asks)


@in_a_room
@pytest.mark.open_to_others
@pytest.mark.parametrize("place", ["tmp", "runtime", "given"])
def test_a_users_daemon_has_a_private_folder_and_root_finds_it(stage, place):
    if str(stage.folder).startswith("/tmp/"):
        pytest.skip("the folder of the test is in /tmp, which this test hides")
    data = stage.folder / "data"
    data.mkdir()
    db = data / "app.db"
    stage.prepare(db=db)
    for path in data, *data.iterdir():
        os.chown(path, USER, USER)
    stage.replica = data / "replica"
    environment = {"SEAWALL_CONTROL": "", "XDG_RUNTIME_DIR": ""}
    if place == "runtime":
        environment["XDG_RUNTIME_DIR"] = str(data)
    room = into_room(["/run", "/tmp"])

    def enter():
        room()
        if place == "given":   # as systemd does with RuntimeDirectory=
            os.mkdir("/run/seawall", 0o755)
            os.chown("/run/seawall", USER, USER)
        os.setgroups([])
        os.setgid(USER)
        os.setuid(USER)
    before, stage.db = stage.db, db
    daemon = stage.replicate(db=db, environment=environment, before=enter)
    for user in USER, 0:
        asked = environment if user == USER or place == "runtime" else {}
        daemon.wait_for(lambda: asked_in_the_room_of(daemon, "status", db, user=user, environment=asked).returncode == DONE, 20,
                        f"the daemon answers user {user}")
    folder = {"tmp": f"tmp/seawall-{USER}", "runtime": f"{data}/seawall".lstrip("/"), "given": "run/seawall"}[place]
    found = os.stat(f"/proc/{daemon.pid}/root/{folder}")
    assert found.st_uid == USER and stat.S_IMODE(found.st_mode) == (0o755 if place == "given" else 0o700)
    other = asked_in_the_room_of(daemon, "status", db, user=USER + 1)
    assert other.returncode == FAILED, told(other)
    stage.db = before
    assert daemon.stop() == DONE


@in_a_room
@pytest.mark.parametrize("trap", ["link", "open to all", "of another user", "file"])
def test_a_folder_that_another_user_prepared_is_not_used(stage, trap):
    stage.prepare()
    room = into_room(["/run", "/tmp"])

    def enter():
        room()
        os.chmod("/run", 0o777)
        path = "/run/seawall"
        if trap == "link":
            os.mkdir("/run/theirs", 0o700)
            os.symlink("/run/theirs", path)
        elif trap == "file":
            open(path, "w").close()
        else:
            os.mkdir(path)
            os.chmod(path, 0o777 if trap == "open to all" else 0o700)
            os.chown(path, 0 if trap == "open to all" else USER, 0)
    if str(stage.folder).startswith("/tmp/"):
        pytest.skip("the folder of the test is in /tmp, which this test hides")
    daemon = stage.replicate(environment={"SEAWALL_CONTROL": "", "XDG_RUNTIME_DIR": ""}, before=enter)
    daemon.wait_for(lambda: asked_in_the_room_of(daemon, "status", stage.db).returncode == DONE, 20, "the daemon answers")
    assert os.listdir(f"/proc/{daemon.pid}/root/tmp/seawall-0") == [socket_of(stage.db).name]


LISTEN = """import os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
s.listen(5)
print("listens", flush=True)
while True:
    c = s.accept()[0]
    c.recv(1000)
    c.sendall(b'{"state":"durable","txid":7}\\n')
    c.close()
"""


@pytest.mark.skipif(not stranger.IS_ROOT, reason="only root can become another user")
@pytest.mark.parametrize("owner", ["another", "of the database"])
def test_a_process_of_another_user_is_not_believed(stage, owner):
    """In a folder that everybody can write to, like /tmp, each user can listen under the name of the socket."""
    stage.prepare()
    if owner == "of the database":
        os.chown(stage.db, USER, USER)
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        os.chmod(place, 0o1777)
        fake = subprocess.Popen(["/usr/bin/python3", "-c", LISTEN, os.path.basename(socket_of(stage.db, place)), str(USER)],
                                stdout=subprocess.PIPE, cwd=place)
        try:
            assert fake.stdout.readline() == b"listens\n"
            result = seawall("sync", "--control", place, stage.db)
        finally:
            fake.kill()
            fake.wait()
    if owner == "another":
        assert result.returncode == FAILED and b"durable" not in result.stdout, told(result)
        assert f"a process of user {USER} listens there, who does not own the database".encode() in result.stderr and b"HINT" in result.stderr
    else:
        assert result.returncode == DONE and result.stdout == b"durable at txid 7\n", told(result)
