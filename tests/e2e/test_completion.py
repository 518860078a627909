"""`seawall completion`: the shells accept the scripts, and bash completes with its script."""
import json
import os
import pty
import select
import shutil
import subprocess
import time

import pytest

from seawall import BINARY, DONE, USAGE, seawall, told
from waiting import PATIENCE

FUNCTION = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _seawall; printf "%s\\n" "${COMPREPLY[@]}"'


def script(shell, folder):
    """The path of the script."""
    result = seawall("completion", shell)
    assert result.returncode == DONE and not result.stderr, told(result)
    path = folder / f"completion.{shell}"
    path.write_bytes(result.stdout)
    return path


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_accepts_its_script(tmp_path, shell):
    path = script(shell, tmp_path)
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    result = subprocess.run([shell, "-n", path], capture_output=True, check=False)
    assert result.returncode == 0 and not result.stderr, told(result)


@pytest.fixture(name="completes", scope="module")
def completes_fixture(tmp_path_factory):
    """A function that returns the words with which bash completes a command line."""
    path = script("bash", tmp_path_factory.mktemp("completion"))

    def completes(*words):
        result = subprocess.run(["bash", "--norc", "-c", FUNCTION, "bash", path, "seawall", *words], capture_output=True, check=True)
        assert not result.stderr, told(result)
        return set(result.stdout.decode().split())

    return completes


def test_the_beginning_of_a_command_is_completed(completes):
    assert completes("re") == {"reload", "remove", "replicate", "restore"}
    assert {"list", "completion", "help"} < completes("")
    assert completes("x") == set()


def test_flags_of_the_command_are_completed_and_those_of_others_are_not(completes):
    assert completes("list", "--p") == {"--points"}
    assert completes("list", "--points", "--se") == {"--segments"}
    assert completes("status", "--p") == set()
    assert completes("prune", "--keep-m") == {"--keep-monthly"}
    assert completes("replicate", "--put-r") == {"--put-rate"}
    assert "--config" in completes("list", "--")


def test_values_that_are_words_are_completed(completes):
    assert completes("replicate", "--set-wal", "") == {"yes", "no"}
    assert completes("replicate", "--put-rate", "n") == {"never"}
    assert completes("replicate", "--set-wal", "=", "y") == {"yes"}   # as bash splits --set-wal=y
    assert completes("replicate", "--set-wal", "=") == {"yes", "no"}
    assert completes("restore", "--txid", "") == set()


def test_arguments_that_are_words_are_completed(completes):
    assert completes("completion", "") == {"bash", "zsh", "fish"}
    assert completes("help", "s") == {"snapshot", "shell", "status", "sync", "s3"}
    assert completes("list", "") == set()   # bash itself completes file names


def test_every_flag_of_every_command_is_completed(completes):
    tables = json.loads(seawall("help", "--tables").stdout)
    options = {"all": {o["name"] for o in tables["options"]}, "none": set()}
    options["retention"] = {name for name in options["all"] if name == "grace" or name.startswith("keep-")}
    for command in tables["commands"]:
        flags = {flag["name"] for flag in command["flags"]} | options[command["options"]]
        assert completes(command["name"], "--") == {f"--{name}" for name in flags}


def read_until(terminal, wanted, seen=b""):
    """Reads what the terminal shows until `wanted` is in it."""
    deadline = time.monotonic() + 20 * PATIENCE
    while wanted not in seen:
        assert time.monotonic() < deadline, seen.decode(errors="replace")
        if select.select([terminal], [], [], 0.5)[0]:
            seen += os.read(terminal, 65536)
    return seen


def test_the_tabulator_key_completes_in_an_interactive_bash(tmp_path):
    path = script("bash", tmp_path)
    terminal, inner = pty.openpty()
    environment = {**os.environ, "PS1": "ready> ", "TERM": "dumb", "PATH": f"{BINARY.resolve().parent}:{os.environ['PATH']}"}
    shell = subprocess.Popen(["bash", "--norc", "--noprofile", "-i"], stdin=inner, stdout=inner, stderr=inner, env=environment, start_new_session=True)
    os.close(inner)
    try:
        read_until(terminal, b"ready> ")
        os.write(terminal, f"source {path}; PS1='next> '\n".encode())
        read_until(terminal, b"\nnext> ")
        os.write(terminal, b"seawall completion --he\t")
        read_until(terminal, b"--help ")
        os.write(terminal, b"; PS1='last> '\n")
        assert b"Prints a script" in read_until(terminal, b"\nlast> ")
    finally:
        shell.kill()
        shell.wait()
        os.close(terminal)


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_completes_commands_flags_and_values(tmp_path):
    path = script("fish", tmp_path)

    def completes(line):
        result = subprocess.run(["fish", "--no-config", "-c", f"source {path}; complete -C '{line}'"], capture_output=True, check=True,
                                env={**os.environ, "HOME": str(tmp_path)})
        assert not result.stderr, told(result)
        return {found.split("\t")[0] for found in result.stdout.decode().splitlines()}
    assert completes("seawall re") == {"reload", "remove", "replicate", "restore"}
    assert completes("seawall list --p") == {"--points"}
    assert completes("seawall replicate --set-wal ") == {"yes", "no"}
    assert completes("seawall completion f") == {"fish"}
    (tmp_path / "some.db").touch()
    assert completes(f"seawall status {tmp_path}/so") == {f"{tmp_path}/some.db"}
    assert completes(f"seawall status --control {tmp_path}/so") == {f"{tmp_path}/some.db"}


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
@pytest.mark.parametrize("typed, completed", [("seawall completion --he", b"--help"), ("seawall comple", b"completion"),
                                              ("seawall replicate --set-wal y", b"yes"), ("seawall status so", b"some.db")])
def test_the_tabulator_key_completes_in_an_interactive_zsh(tmp_path, typed, completed):
    script("zsh", tmp_path).rename(tmp_path / "_seawall")
    (tmp_path / "some.db").touch()
    terminal, inner = pty.openpty()
    environment = {**os.environ, "PS1": "ready> ", "TERM": "vt100", "HOME": str(tmp_path), "PATH": f"{BINARY.resolve().parent}:{os.environ['PATH']}"}
    shell = subprocess.Popen(["zsh", "-f", "-i"], stdin=inner, stdout=inner, stderr=inner, env=environment, start_new_session=True, cwd=tmp_path)
    os.close(inner)
    try:
        read_until(terminal, b"ready> ")
        os.write(terminal, f"fpath=({tmp_path} $fpath); autoload -U compinit; compinit -u -D; unsetopt zle_bracketed_paste; PS1='next> '\n".encode())
        read_until(terminal, b"next> ")
        os.write(terminal, typed.encode() + b"\t")
        read_until(terminal, completed.removeprefix(typed.split()[-1].encode()))   # zsh writes what is missing
    finally:
        shell.kill()
        shell.wait()
        os.close(terminal)


def test_wrong_usage_exits_with_2_and_says_why():
    for arguments, message in (([], "missing shell"), (["csh"], "unknown shell 'csh'"), (["bash", "zsh"], "unexpected argument 'zsh'")):
        result = seawall("completion", *arguments)
        assert result.returncode == USAGE and message in result.stderr.decode() and b"seawall help completion" in result.stderr, told(result)
