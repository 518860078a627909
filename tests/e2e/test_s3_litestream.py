"""Replicas of Litestream in S3: its layout there, failures of the server, and objects that Litestream deletes during a restore."""
import hashlib
import io
import json
import tarfile

import pytest

from bucket import PREFIX
from s3server import Object
from seawall import CHECKOUT, CORRUPT, DONE, seawall, told

DATA = CHECKOUT / "tests" / "data" / "litestream"


def fill(s3, name, prefix=PREFIX):
    """Puts a replica of tests/data/litestream into the bucket, with the keys that Litestream gives it there."""
    with tarfile.open(DATA / f"{name}.tar.xz") as tar:
        for member in tar:
            key = member.name
            if key.startswith("ltx/"):
                key = f"{int(key.split('/')[1]):04x}/{key.split('/')[2]}"
            body = tar.extractfile(member).read()
            s3.server.objects[f"{prefix}/{key}"] = Object(body, f'"{hashlib.md5(body).hexdigest()}"', member.mtime, {})


def newest(name):
    return json.loads((DATA / f"{name}.json").read_text())["points"][-1]["sha256"]


def digest(path):
    return hashlib.sha256(io.FileIO(path).readall()).hexdigest()


def restored(s3, *options, code=DONE):
    target = s3.folder / f"restored-{len(list(s3.folder.glob('restored-*')))}.db"
    result = seawall("restore", *options, "-o", target, s3.url(timeout="30s"))
    assert result.returncode == code, told(result)
    return target if code == DONE else result


@pytest.mark.parametrize("name", ["blocks", "frames", "generations"])
def test_a_replica_in_a_bucket_is_restored_and_listed(s3, name):
    fill(s3, name)
    assert digest(restored(s3)) == newest(name)
    assert digest(restored(s3, "--jobs", 1)) == newest(name)
    result = seawall("list", "--json", s3.url())
    assert result.returncode == DONE and json.loads(result.stdout)["points"], told(result)


@pytest.mark.parametrize("fault", ["slow-down", "internal-error", "close-half-way", "short-body"])
def test_failures_of_the_server_are_tried_again(s3, fault):
    fill(s3, "blocks")
    s3.server.fault(fault, on="get", times=3)
    assert digest(restored(s3)) == newest("blocks")


def test_a_restore_plans_again_when_litestream_deletes_a_file(s3):
    """The file is listed and then gone, as if Litestream's retention had run between the two."""
    fill(s3, "blocks")
    key = max(key for key in s3.server.objects if "/0009/" in key)
    s3.server.fault("no-such-key", on="get", key=key, times=1)
    assert digest(restored(s3)) == newest("blocks")


def test_a_file_that_is_always_gone_is_an_error(s3):
    fill(s3, "frames")
    key = max(s3.server.objects)
    s3.server.fault("no-such-key", on="get", key=key)
    result = restored(s3, code=CORRUPT)
    assert key.rsplit("/", 1)[1].encode() in result.stderr
