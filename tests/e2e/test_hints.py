"""Every error that a person can mend ends with a HINT. Each line is a mistake that people make; the next one that is found joins them."""
import os
import sqlite3

import pytest

import stranger
from seawall import DONE, seawall, told

CONFIGURATIONS = {
    "no such replica": "[db /a]\nreplica = offsite\n",
    "a value that is none": "[db /a]\nreplica = /r\nkeep-all = soon\n",
    "no replica": "[db /a]\n",
    "no url": "[db /a]\nreplica = x\n[replica x]\n",
    "an unknown section": "[foo]\n",
    "no section": "fanout = 4\n",
    "the same replica twice": "[db /a]\nreplica = /r\nreplica = /r\n",
    "an unknown variable": "[db /a/*.db]\nreplica = /r/{nme}\n",
    "an option twice": "[seawall]\nput-rate = 1/s\nput-rate = 2/s\n",
    "an unknown key": "[db /a]\nreplica = x\n[replica x]\nurl = s3://bucket/p\nendpont = z\n",
    "a key of another kind": "[db /a]\nreplica = x\n[replica x]\nurl = /r\nendpoint = z\n",
    "a name with a colon": "[replica a:b]\nurl = /r\n",
    "two urls": "[db /a]\nreplica = x\n[replica x]\nurl = /r\nurl = /q\n",
    "keys that go together": "[db /a]\nreplica = s3://bucket/p?object-lock-days=3\n",
    "a key without its condition": "[db /a]\nreplica = s3://bucket/p?sse-kms-key-id=x\n",
    "a header without a name": "[db /a]\nreplica = s3://bucket/p?header=nocolon\n",
    "no key and no value": "junk\n",
    "an address that is none": "[seawall]\nlisten = foo:bar\n",
    "an exclude that is none": "[db /a/*.db]\nexclude = x\nreplica = /r/{name}\n",
}

READERS = ("list", "verify", "prune", "restore -o new.db")
PLACES = ("nothing", "empty", "text", "s3://bucket/x", "gs://bucket/x", "s3:/bucket/x", "-c seawall.conf other", "-c missing.conf other", "", "--foo",
          "--memory 1 replica", "damaged", "cut")

COMMANDS = [f"{command} {place}" for command in READERS for place in PLACES] + [
    "restore -o app.db replica", "restore -o no/folder/app.db replica", "restore -o new.db --txid 99 replica",
    "restore -o new.db --time 2001-01-01 replica", "restore -o new.db --time x replica", "restore -o empty replica", "restore -o '' replica",
    "restore --undo -o app.db", "restore --undo -o missing.db", "restore --delta -o text replica", "restore --mode 999 -o new.db replica",
    "restore -c seawall.conf --all", "restore --all", "restore -o app.db --if-db-not-exists --force replica", "restore -o new.db -c seawall.conf other.db",
    "snapshot missing.db new", "snapshot text new", "snapshot empty new", "snapshot app.db", "snapshot app.db s3://bucket/x", "snapshot app.db ftp://x",
    "snapshot -c missing.conf", "snapshot -c seawall.conf other.db", "snapshot other.db replica", "snapshot app.db /proc/x", "snapshot app.db text",
    "snapshot replica app.db", "snapshot app.db replica replica", "snapshot app.db replica --busy-timeout x", "snapshot --stop-timeout 1s app.db damaged",
    "replicate --once missing.db new", "replicate --once text new", "replicate --once other.db replica", "replicate --once --set-wal no third.db own",
    "replicate", "replicate app.db", "replicate -c seawall.conf other.db", "replicate --once -c seawall.conf --exec x", "replicate --listen foo app.db new",
    "status app.db", "status missing.db", "status -c seawall.conf", "status --json --metrics app.db", "sync app.db", "sync missing.db", "sync -c seawall.conf",
    "sync --timeout x app.db", "detach app.db", "attach app.db", "reload app.db", "reload -c missing.conf",
    "doctor", "doctor -c missing.conf", "import missing.yml", "import text", "completion x", "completion", "foo", "help foo", "version x",
    "verify --txid 1 replica", "verify --restore --tmp /no/folder replica", "verify --all", "prune --all", "prune -c seawall.conf --all x",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """app.db with a replica, and everything that can be named by mistake."""
    folder = tmp_path_factory.mktemp("hints")
    for name in ("app.db", "other.db", "third.db"):
        connection = sqlite3.connect(folder / name)
        connection.execute("CREATE TABLE t(a)")
        connection.execute("PRAGMA user_version = 7")
        connection.close()
    for replica in ("replica", "damaged", "cut"):
        assert seawall("snapshot", folder / "app.db", folder / replica).returncode == DONE
    (folder / "damaged" / "seawall.json").write_text("garbage")
    (folder / "cut" / "0" / "0000000000000001").unlink()
    (folder / "empty").mkdir()
    (folder / "text").write_text("this is not what it should be\n")
    (folder / "seawall.conf").write_text(f"[db {folder}/app.db]\nreplica = {folder}/replica\n")
    return folder


def hinted(result):
    """It failed, and the last thing that it said has a HINT."""
    assert result.returncode != DONE, told(result)
    assert b"HINT: " in result.stderr + result.stdout, told(result)


@pytest.mark.parametrize("text", CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_a_mistake_in_a_configuration_has_a_hint(tmp_path, text):
    (tmp_path / "seawall.conf").write_text(text)
    hinted(seawall("config", "-c", "seawall.conf", folder=tmp_path))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_mistake_on_the_command_line_has_a_hint(folder, command):
    words = ["" if word == "''" else word for word in command.split()]
    hinted(seawall(*words, folder=folder, environment={"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(folder)}))


@pytest.mark.open_to_others
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_what_is_not_permitted_has_a_hint(stage):
    stage.prepare()
    closed = stage.folder / "closed"
    closed.mkdir(mode=0o700)
    for words in (["list", closed], ["snapshot", stage.db, stage.folder / "new"]):
        hinted(stranger.seawall(stage.folder, *words))
