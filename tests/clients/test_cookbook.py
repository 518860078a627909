"""The recipes of docs/cookbook.md work as they are written. The files of a section are written into an empty folder, and its commands are
typed into a shell. Only the store is another: a folder in the place of s3://bucket/. At the end everything is killed, and each database is
restored and compared."""
import os
import re
import shlex
import shutil
import socket
import subprocess

import pytest

from compare import assert_same_pages, settled
from install import install
from seawall import DONE, restore, told
from shell import Shell
from table import CHECKOUT, GO, HERE, NODE, PYTHON
from waiting import wait_until

PAGE = (CHECKOUT / "docs" / "cookbook.md").read_text()
SECTIONS = dict(re.findall(r"(?ms)^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE))
POCKETBASE = "github.com/pocketbase/pocketbase/examples/base@v0.39.0"
ENDED = (0, 1, 128 + 15)  # a daemon has the exit code of the application that it started


class Recipe:
    def __init__(self, name, folder):
        self.folder, self.store = folder, folder / "backup"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.blocks = re.findall(r"(?ms)^```(\w+)(?: (\S+))?\n(.*?)^```", SECTIONS[name])

    def here(self, text):
        """Text of the page, with the store and the port of this run."""
        return text.replace("s3://bucket/", f"{self.store}/").replace("8080", str(self.port))

    def put(self, name, text):
        path = self.folder / name.removeprefix(">>")
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a" if name.startswith(">>") else "w") as file:
            file.write(self.here(text))

    def files(self, appended=False):
        """Writes the files of the page. Those that are appended to a file come when it is there."""
        for language, name, text in self.blocks:
            if name and language != "console" and name.startswith(">>") == appended:
                self.put(name, text)

    def steps(self):
        """Yields (command, lines that the page shows below it)."""
        for language, _, text in self.blocks:
            if language == "console":
                for step in re.split(r"(?m)^\$ ", text)[1:]:
                    command, *shown = step.splitlines()
                    yield self.here(command), shown

    def databases(self):
        """Yields (database, replica) for each replica in the store."""
        for head in self.store.rglob("seawall.json"):
            place = head.parent
            source = [path for path in self.folder.rglob("*") if path.is_file() and path.with_name(path.name + "-seawall").exists()]
            found = [path for path in source if path.name == place.name] or source
            yield found[0], place


@pytest.fixture
def run(tmp_path):
    shells = []

    def run(name, *paths, after=None, databases=1):
        """Runs a recipe. `after`: called with the recipe when a command has ended."""
        recipe = Recipe(name, tmp_path)
        recipe.files()
        shell = Shell(tmp_path, *paths)
        shells.append(shell)
        steps = list(recipe.steps())
        assert steps, f"the page has no commands in '{name}'"
        for command, shown in steps:
            if command.startswith("seawall sync"):  # a person types it later
                wait_until(lambda: "up to date" in shell.said(), 60, f"the daemon follows the database, before: {command}")
            code, output = shell.types(command, 120)
            assert code == 0, f"$ {command}\n{output}\n{shell.said()[-3000:]}"
            assert all(line in output.splitlines() for line in shown), f"$ {command}\n{output}"
            if after:
                after(recipe, command)
        code, output = shell.types("kill $(jobs -p) && wait $(jobs -p)", 90) if any(command.endswith("&") for command, _ in steps) else (0, "")
        assert code in ENDED, f"{code}\n{output}"
        shell.close()
        compared = 0
        for db, replica in recipe.databases():
            back = tmp_path / f"back-{replica.name}"
            done = restore(replica, back)
            assert done.returncode == DONE, told(done)
            assert_same_pages(settled(db, tmp_path), back)
            compared += 1
        assert compared == databases, f"{compared} databases were compared"

    yield run
    for shell in shells:
        if shell.process.poll() is None:  # a daemon that is killed leaves its application behind
            shell.types("kill $(jobs -p); wait", 90)
            shell.close()


def needs(kind):
    why = install(kind)
    if why:
        pytest.skip(f"{kind}: {why}")


def test_a_start_brings_the_database_back(run):
    run("A start that brings the database back")


def test_rails(run, tmp_path):
    if not shutil.which("ruby"):
        pytest.skip("ruby is not installed")
    (tmp_path / "bin").mkdir()
    shutil.copy(HERE / "others" / "rails.rb", tmp_path / "bin" / "rails")
    run("Rails")


def test_django(run):
    needs("pip")
    run("Django", PYTHON.parent, after=lambda recipe, command: "startproject" in command and recipe.files(appended=True))


def test_node(run, tmp_path):
    needs("npm")
    (tmp_path / "node_modules").symlink_to(NODE / "node_modules")
    run("Node")


def test_go(run, tmp_path):
    needs("go")
    for name in ("go.mod", "go.sum"):
        shutil.copy(HERE / "go" / name, tmp_path)
    run("Go")


def test_php(run, tmp_path):
    if not shutil.which("php"):
        pytest.skip("php is not installed")
    (tmp_path / "data").mkdir()
    run("PHP")


def test_pocketbase(run, tmp_path):
    needs("go")
    if not (GO / "base").exists():
        subprocess.run(["go", "install", POCKETBASE], check=True, env={**os.environ, "GOBIN": str(GO)})
    (tmp_path / "bin").mkdir()
    shutil.copy(GO / "base", tmp_path / "bin" / "pocketbase")  # its folder pb_data is in the current folder, unless the program is in a temporary one
    run("PocketBase", tmp_path / "bin", databases=2)


def test_cron(run, tmp_path):
    (tmp_path / "data").mkdir()
    subprocess.run(["sqlite3", tmp_path / "data" / "app.db", "CREATE TABLE note(text)"], check=True)
    run("cron")


def test_the_lines_for_cron_run_as_they_are_written(tmp_path):
    lines = re.findall(r"(?m)^[\d*/]+ [\d*]+ .*?app\s+(.*)$", (CHECKOUT / "etc" / "cron.example").read_text())
    assert len(lines) == 2
    recipe = Recipe("cron", tmp_path)
    recipe.files()
    (tmp_path / "data").mkdir()
    subprocess.run(["sqlite3", tmp_path / "data" / "app.db", "CREATE TABLE note(text)"], check=True)
    shell = Shell(tmp_path)
    try:
        for line in lines:
            code, output = shell.types(line.replace("/usr/local/bin/", "").replace("/etc/", ""))
            assert code == 0, f"{line}\n{output}"
    finally:
        shell.close()


def kubernetes():
    """The documents of the page's YAML, each with its `kind`."""
    yaml = pytest.importorskip("yaml")
    text, = re.findall(r"(?ms)^```yaml shop.yaml\n(.*?)^```", SECTIONS["Kubernetes"])
    return text, {document["kind"]: document for document in yaml.safe_load_all(text)}


def test_kubernetes_accepts_each_field(tmp_path):
    needs("go")
    text, _ = kubernetes()
    done = subprocess.run([GO / "kubernetes"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([GO / "kubernetes"], input=text.replace("restartPolicy:", "restartpolicies:"), capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "unknown field" in done.stderr, "a wrong field was accepted"


def test_a_pod_restores_follows_and_ships_its_end(tmp_path):
    """init container, sidecar, application; then the sidecar is ended last, as the kubelet does. Twice, with a lost volume between."""
    pod = kubernetes()[1]["StatefulSet"]["spec"]["template"]["spec"]
    first, sidecar = pod["initContainers"]
    assert sidecar["restartPolicy"] == "Always"

    def here(words):
        return [word.replace("/data/", f"{tmp_path}/data/").replace("s3://bucket/", f"{tmp_path}/backup/") for word in words]

    shell = Shell(tmp_path)
    try:
        for rows in (1, 2):
            shutil.rmtree(tmp_path / "data", ignore_errors=True)
            (tmp_path / "data").mkdir()
            assert shell.types("export FIRST=no")[0] == 0
            if rows == 1:
                assert shell.types(shlex.join(here(first["command"] + first["args"])))[0] != 0, "a missing replica is accepted"
                assert shell.types("export FIRST=yes")[0] == 0
            code, output = shell.types(shlex.join(here(first["command"] + first["args"])))
            assert code == 0, output
            assert shell.types(shlex.join(here(["seawall", *sidecar["args"]])) + " &")[0] == 0
            code, output = shell.types('sqlite3 data/app.db "CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES(1); SELECT count(*) FROM t"')
            assert (code, output.split()[-1]) == (0, str(rows)), output
            code, output = shell.types("kill %%; wait %%", 90)
            assert code == 0, output
    finally:
        shell.close()


def test_every_recipe_has_a_test():
    tested = {"A start that brings the database back", "Rails", "Django", "Node", "Go", "PHP", "PocketBase", "cron", "Kubernetes"}
    elsewhere = {"Docker", "systemd"}  # make check-image, make check-deb
    assert set(SECTIONS) == tested | elsewhere


