"""Installs clients in the versions that the tree names, below build/clients. Debian's packages are installed by etc/install-deps."""
import re
import shutil
import subprocess
import sys

from table import GO, HERE, JAVA, NODE, PLACE, PYTHON, RUST

JDBC = "3.54.1.0"
JARS = (f"org.xerial:sqlite-jdbc:{JDBC}", "org.slf4j:slf4j-api:2.0.17")


def run(*command, **more):
    subprocess.run([str(word) for word in command], check=True, stdout=sys.stderr, stderr=sys.stderr, **more)


def pip():
    if not PYTHON.exists():
        run("/usr/bin/python3", "-m", "venv", PLACE / "python")
    run(PYTHON, "-m", "pip", "install", "-q", "-r", HERE / "python" / "requirements.txt")


def npm():
    NODE.mkdir(parents=True, exist_ok=True)
    wanted = (HERE / "node" / "package.json").read_text()
    installed = NODE / "installed.json"
    if not installed.exists() or installed.read_text() != wanted:
        (NODE / "package.json").write_text(wanted)
        run("npm", "install", "--no-audit", "--no-fund", "--silent", cwd=NODE)
        run("npm", "rebuild", "--silent", "better-sqlite3", "sqlite3", "bun", "deno", cwd=NODE)  # npm 11 passes over install scripts
        installed.write_text(wanted)
    for program in (HERE / "node").glob("*.mjs"):
        shutil.copy(program, NODE)


def go():
    run("go", "build", "-o", f"{GO}/", "./mattn", "./replica", "./modernc", "./ncruces", "./zombiezen", "./gorm", "./kubernetes", cwd=HERE / "go")


def cargo():
    for crate in ("rusqlite", "sqlx"):
        run("cargo", "build", "-q", "--locked", "--target-dir", RUST, cwd=HERE / "rust" / crate)


def maven():
    for jar in JARS:
        if not (JAVA / "{1}-{2}.jar".format(*jar.split(":"))).exists():
            run("mvn", "-q", "-B", "dependency:copy", f"-Dartifact={jar}", f"-DoutputDirectory={JAVA}")
    run("javac", "-d", JAVA, HERE / "java" / "Client.java")


def nothing():
    pass


INSTALLERS = {"pip": pip, "npm": npm, "go": go, "cargo": cargo, "maven": maven, "apt": nothing}


def install(kind):
    """Returns why it can't be installed, or an empty text."""
    try:
        INSTALLERS[kind]()
    except FileNotFoundError as error:
        return f"{error.filename} is not installed"
    except subprocess.CalledProcessError as error:
        return f"'{' '.join(error.cmd[:3])}' failed"
    return ""


def version_of(client):
    """The version that is installed."""
    name = client.version
    if name.startswith("deb:"):
        output = subprocess.run(["dpkg-query", "-W", "-f", "${Version}\\n", *name[4:].split()], capture_output=True, text=True, check=False).stdout
        return re.sub(r"^\d+:|\+b\d+$", "", output.split()[0])
    if client.kind == "pip":
        program = f"import importlib.metadata; print(importlib.metadata.version('{name}'))"
        return subprocess.run([PYTHON, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    if client.kind == "npm":
        return re.search(rf'"{re.escape(name)}": "([^"]+)"', (HERE / "node" / "package.json").read_text())[1]
    if client.kind == "go":
        return re.search(rf"{re.escape(name)} v(\S+)", (HERE / "go" / "go.mod").read_text())[1]
    if client.kind == "cargo":
        return re.search(r'version = "=([\d.]+)"', (HERE / "rust" / name / "Cargo.toml").read_text())[1]
    return JDBC


