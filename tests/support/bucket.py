"""Replicas on the S3 server of the tests: its URLs, the keys in the environment, and single operations of the store."""
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import quote

from s3server import S3Server
from seawall import BINARY, OBJECT_NAME
from waiting import PATIENCE

ACCESS, SECRET = "AKTEST", "SK-that-nobody-may-see"
BUCKET, PREFIX = "bucket", "backup/app"
S3TOOL = BINARY.parent / "tests" / "s3tool"
REQUESTS = re.compile(r"replica '([^']*)': requests: put (\d+), get (\d+), head (\d+), list (\d+), delete (\d+), failed (\d+); "
                      r"bytes: sent (\d+), received (\d+)")


def new_server(**options):
    return S3Server(keys={ACCESS: SECRET}, buckets=[BUCKET], **options)


def plain_environment(monkeypatch, home):
    """Removes the user's keys, profiles and metadata services from the environment."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def each_beside_the_others(names, check, workers=8):
    """Runs check(name) for all names in threads, for checks that mostly wait. Fails with the names whose check failed."""
    def failure(name):
        try:
            check(name)
        except AssertionError as error:
            return f"{name}: {error}"
    with ThreadPoolExecutor(workers) as pool:
        failures = [text for text in pool.map(failure, names) if text]
    assert not failures, "\n\n".join(failures)


class Bucket:
    """The replica of a stage in S3, seen from the server."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder

    def url(self, prefix=PREFIX, bucket=BUCKET, **options):
        options = {"endpoint": self.server.url, "region": self.server.region, "timeout": "3s", **options}
        query = "&".join(f"{name.replace('_', '-')}={quote(str(value), safe=':/')}" for name, value in options.items() if value is not None)
        return f"s3://{bucket}/{prefix}?{query}"

    def keys(self, prefix=PREFIX):
        with self.server.lock:
            return sorted(key[len(prefix) + 1:] for key in self.server.objects if key.startswith(prefix + "/"))

    def level_zero(self, prefix=PREFIX):
        return [key for key in self.keys(prefix) if key.startswith("0/") and OBJECT_NAME.fullmatch(key[2:])]

    def tool(self, *arguments, url=None, seconds=60):
        """One operation of the store. The result has returncode, stdout and stderr (bytes)."""
        return subprocess.run([S3TOOL, url or self.url(), *map(str, arguments)], capture_output=True, timeout=seconds * PATIENCE)

    @contextmanager
    def beside(self):
        """A context manager: another server with the same objects."""
        with new_server() as server:
            server.objects.update(self.server.objects)
            yield Bucket(server, self.folder)

    def file(self, content, name="content"):
        path = self.folder / name
        path.write_bytes(content)
        return path

    def put(self, key, content, **options):
        return self.tool("put", key, self.file(content), url=self.url(**options))

    def logged_requests(self, daemon):
        """The figures of the last log line that counts requests: put, get, head, list, delete, failed, sent, received."""
        found = REQUESTS.findall(daemon.log())
        assert found, daemon.log()
        return dict(zip(("put", "get", "head", "list", "delete", "failed", "sent", "received"), map(int, found[-1][1:])))
