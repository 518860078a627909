"""The package of clients/node, packed and installed as a user does, beside the better-sqlite3 and libsql of tests/clients/node/package.json."""
import json
import os
import shutil
import subprocess

import pytest

from install import install
from seawall import BINARY
from table import CHECKOUT, NODE

PACKAGE = CHECKOUT / "clients" / "node"
WITH = "better-sqlite3", "libsql"


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, **more).stdout


def test_the_packed_package_opens_replicas_and_waits_for_durability(tmp_path):
    reason = install("npm")
    if reason:
        pytest.skip(reason)
    packed, = json.loads(run("npm", "pack", "--json", "--pack-destination", tmp_path, PACKAGE))
    assert sorted(file["path"] for file in packed["files"]) == ["README.md", "index.d.ts", "index.js", "package.json"]
    (tmp_path / "package.json").write_text('{"private": true}')
    run("npm", "install", "--no-audit", "--no-fund", "--legacy-peer-deps", tmp_path / packed["filename"], cwd=tmp_path)
    for name in WITH:
        (tmp_path / "node_modules" / name).symlink_to(NODE / "node_modules" / name)
    test = shutil.copy(PACKAGE / "test" / "seawall.test.mjs", tmp_path)
    result = subprocess.run(["node", "--test", test], cwd=tmp_path, capture_output=True, text=True, timeout=600,
                            env={**os.environ, "SEAWALL": str(BINARY), "SEAWALL_EXTENSION": str(BINARY.parent / "seawall.so")})
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]
    assert "# pass 12" in result.stdout, result.stdout[-2000:]
