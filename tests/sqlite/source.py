"""Downloads SQLite's sources with its tests, and builds testfixture, SQLite's own test program, with the shim in it (switch.c).

The sources are those of Debian's package sqlite3. They come from the Debian archive that apt is configured with, from the suite that has
the version, and must have the pinned checksum. The configuration of apt does not change."""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "sqlite"
KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# version: (suite of Debian, SHA-256 of sqlite3_VERSION.orig.tar.xz)
PINNED = {
    "3.40.1": ("bookworm", "aaa776260ab4dc976db34aa7891819484c8676b5b2783123ebc6301e2ca5d655"),
    "3.46.1": ("trixie", "d0cdd2ece271b29e7ce18095745d892517ee26d0f270065b3a25c2e9eb11639c"),
    "3.53.4": ("sid", "05366adc8ee80c6b1faa71285b49d133c2121238ca58934b077fdeb95934abd4"),
}
OPTIONS = ("-DSQLITE_ENABLE_SNAPSHOT -DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_DBSTAT_VTAB -DSQLITE_ENABLE_UNLOCK_NOTIFY "
           "-DSQLITE_EXTRA_INIT=seawall_switch")


def give_up(message, hint=None):
    sys.exit(f"check-sqlite: {message}" + (f"\nHINT: {hint}" if hint else ""))


def run(command, log, **more):
    """Runs a command with its output in `log`. If it fails, the program ends."""
    with open(log, "ab") as output:
        code = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **more).returncode
    if code:
        give_up(f"{command[0]} failed with exit code {code}", f"less {log}")


def archive():
    """The URI of the Debian archive that apt is configured with."""
    if not shutil.which("apt-get"):
        give_up("apt-get is not installed", "name a folder with SQLite's sources: make check-sqlite SQLITE_SOURCE=FOLDER")
    listed = subprocess.run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Identifier: Packages"],
                            capture_output=True, text=True)
    for line in listed.stdout.splitlines():
        origin, label, uri = line.split("|")
        if (origin, label) == ("Debian", "Debian"):
            return uri
    return give_up("apt is not configured with a Debian archive, or has no lists of it",
                   "run apt-get update, or name a folder with SQLite's sources: make check-sqlite SQLITE_SOURCE=FOLDER")


def apt(folder):
    """Options with which apt keeps all its files in `folder`."""
    return ["-o", f"Dir::Etc::SourceList={folder}/sources.list", "-o", "Dir::Etc::SourceParts=-", "-o", f"Dir::State::Lists={folder}/lists",
            "-o", f"Dir::Cache={folder}/cache", "-o", "APT::Sandbox::User=root"]


def download(version, folder):
    """The archive with the upstream sources."""
    suite, checksum = PINNED[version]
    tarball = folder / f"sqlite3_{version}.orig.tar.xz"
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    (folder / "sources.list").write_text(f"deb-src {signed}{archive()} {suite} main\n")
    run(["apt-get", *apt(folder), "update"], folder / "apt.log")
    known = subprocess.run(["apt-cache", *apt(folder), "showsrc", "--only-source", "sqlite3"], capture_output=True, text=True).stdout
    package = next((found for found in re.findall(r"^Version: (\S+)$", known, re.M) if found.startswith(f"{version}-")), None)
    if not package:
        give_up(f"Debian {suite} does not have SQLite {version} any more",
                "name a folder with its sources: make check-sqlite SQLITE_SOURCE=FOLDER")
    run(["apt-get", *apt(folder), "source", "--download-only", "--only-source", f"sqlite3={package}"], folder / "apt.log", cwd=folder)
    if hashlib.sha256(tarball.read_bytes()).hexdigest() != checksum:
        give_up(f"{tarball} has another checksum than tests/sqlite/source.py")
    return tarball


def source(version):
    """The folder with the sources of a version, downloaded once."""
    if version not in PINNED:
        give_up(f"SQLite {version} is not pinned", f"one of: {' '.join(PINNED)}; or SQLITE_SOURCE=FOLDER")
    folder = WORK / version / "source"
    if not folder.exists():
        place, unpacked = WORK / version / "download", WORK / version / "unpacked"
        for stale in (place, unpacked):
            shutil.rmtree(stale, ignore_errors=True)
            stale.mkdir(parents=True)
        run(["tar", "-xf", str(download(version, place)), "-C", str(unpacked), "--strip-components=1"], place / "tar.log")
        shutil.rmtree(place)
        unpacked.rename(folder)
    return folder


def build_switch(folder):
    """Builds libswitch.so: the shim of this tree, and the code that puts it in the place of SQLite's VFSes."""
    library = folder / "libswitch.so"
    sources = [ROOT / "src" / "vfs" / "shim.c", ROOT / "tests" / "sqlite" / "switch.c"]
    headers = [ROOT / "src" / "vfs" / "shim.h", ROOT / "include" / "seawall" / "vfs.h"]
    if not library.exists() or any(file.stat().st_mtime > library.stat().st_mtime for file in sources + headers):
        run(["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared",
             f"-I{ROOT}/include", f"-I{ROOT}/src", f"-I{folder}", "-o", str(library), *map(str, sources)], folder / "build.log")
    return library


def chosen(version):
    """Returns (folder of the sources, folder to work in). SQLITE_SOURCE names sources of any version."""
    given = os.environ.get("SQLITE_SOURCE")
    if not given:
        return source(version), WORK / version
    tree = pathlib.Path(given).resolve()
    if not (tree / "VERSION").is_file() or not (tree / "test" / "tester.tcl").is_file():
        give_up(f"{tree} does not have SQLite's sources with their tests")
    return tree, WORK / f"given-{(tree / 'VERSION').read_text().strip()}"


def build(version):
    """(folder of the sources, folder to work in, testfixture)"""
    tree, work = chosen(version)
    folder = work / "build"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "build.log"
    if not (folder / "Makefile").exists():
        run([str(tree / "configure")], log, cwd=folder, env={**os.environ, "CFLAGS": "-O1"})
    make = ["make", f"OPTS={OPTIONS}"]
    plain = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CFLAGS")}
    if not (folder / "sqlite3.h").exists():
        run([*make, "sqlite3.h"], log, cwd=folder, env=plain)
    library = build_switch(folder)
    if not (folder / "testfixture").exists():
        # The first name is for versions with autoconf, the second for versions with autosetup.
        linked = f"-rdynamic -Wl,--no-as-needed {library}"   # the library comes before the objects that need it
        run([*make, "testfixture", f"LTLINK_EXTRAS={linked}", f"LDFLAGS.configure={linked}"], log, cwd=folder, env=plain)
    return tree, work, folder / "testfixture"
