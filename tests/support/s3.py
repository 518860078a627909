"""S3 servers of other projects. A server is started once for all tests. Tests stop and freeze it, and read its objects by requests of their
own and by s3cmd."""
import itertools
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from s3request import S3
from seawall import CHECKOUT

SUPPORT = CHECKOUT / "tests" / "support"

SERVER = os.environ.get("SEAWALL_TEST_SERVER", "rgw")   # a program in tests/support that keeper.py describes
EXCLUSIVE = SERVER != "swift"                           # does it support PUT with If-None-Match?
COUNTS = re.compile(r"requests: put (\d+), get (\d+), head (\d+), list (\d+), delete (\d+), failed (\d+); bytes: sent (\d+), received (\d+)")


class Server:
    """A server. Its keeper (keeper.py) ends it when the tests end, in any way."""

    def __init__(self, folder):
        self.folder = folder / f"{SERVER}-{os.getpid()}"
        self.runs, self.reachable = False, True
        result = subprocess.run([SUPPORT / SERVER, f"--owner={os.getpid()}", "start", self.folder], capture_output=True, text=True)
        if result.returncode != 0:
            pytest.exit(result.stderr.strip(), returncode=2)
        self.runs = True
        values = dict(line.split("=", 1) for line in result.stdout.splitlines())
        self.endpoint, self.tls_endpoint = values["S3_ENDPOINT"], values.get("S3_TLS_ENDPOINT")
        self.ca_file, self.bucket, self.region = values.get("S3_CA_FILE"), values["S3_BUCKET"], values["AWS_REGION"]
        self.access_key, self.secret_key = values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"]
        self.raw = S3(self.endpoint, self.access_key, self.secret_key, self.region)

    def tell(self, word):
        subprocess.run([SUPPORT / SERVER, word, self.folder], check=True)
        self.reachable = word in ("thaw", "revive")

    def restore_service(self):
        """Makes the server answer again after a test that ended early."""
        if not self.reachable:
            self.tell("thaw")
            subprocess.run([SUPPORT / SERVER, "revive", self.folder], capture_output=True)   # fails if the server runs

    def stop(self):
        if self.runs:
            subprocess.run([SUPPORT / SERVER, "stop", self.folder], check=True)
            shutil.rmtree(self.folder)


class Place:
    """A prefix of its own, for one test."""

    numbers = itertools.count(1)

    def __init__(self, stage, server):
        self.stage, self.server, self.raw = stage, server, server.raw
        self.bucket, self.prefix = server.bucket, f"{stage.folder.name[:60]}-{next(self.numbers)}"
        stage.replica = self.url()

    def url(self, prefix=None, bucket=None, tls=False, **query):
        """Query keys are written with '_' for '-'."""
        query = {"endpoint": self.server.tls_endpoint if tls else self.server.endpoint, **query}
        text = "&".join(f"{key.replace('_', '-')}={value}" for key, value in query.items())
        return f"s3://{bucket or self.bucket}/{prefix or self.prefix}?{text}"

    def environment(self):
        return {"AWS_ACCESS_KEY_ID": self.server.access_key, "AWS_SECRET_ACCESS_KEY": self.server.secret_key,
                "AWS_REGION": self.server.region, "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_SHARED_CREDENTIALS_FILE": str(self.stage.folder / "no-credentials"),
                "AWS_CONFIG_FILE": str(self.stage.folder / "no-config")}

    def strange_variables(self):
        """Variables for S3 that the user who runs the tests has set."""
        return [name for name in os.environ if re.match(r"AWS_|SSL_CERT_|(https?|all|no)_proxy$", name, re.I)]

    def keys(self, prefix=None):
        """{key below the prefix: size}"""
        top = f"{prefix or self.prefix}/"
        return {key[len(top):]: size for key, size in self.raw.keys(self.bucket, top).items()}

    def level_zero(self, prefix=None):
        return sorted(key[2:] for key in self.keys(prefix) if key.startswith("0/"))

    def s3cmd(self, *arguments, tls=False):
        """Runs s3cmd, an independent client. Returns its stdout. Secrets are passed in a file."""
        endpoint = self.server.tls_endpoint if tls else self.server.endpoint
        host = endpoint.split("//", 1)[1]
        settings = self.stage.folder / "s3cmd.cfg"
        settings.write_text(f"[default]\naccess_key = {self.server.access_key}\nsecret_key = {self.server.secret_key}\n"
                            f"host_base = {host}\nhost_bucket = {host}\nuse_https = {tls}\nca_certs_file = {self.server.ca_file or ''}\n"
                            f"bucket_location = {self.server.region}\nsignature_v2 = False\nprogress_meter = False\n")
        settings.chmod(0o600)
        result = subprocess.run(["s3cmd", f"--config={settings}", *map(str, arguments)], capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, f"s3cmd {' '.join(map(str, arguments))}: {result.stderr}"
        return result.stdout

    def download(self, target):
        """Downloads the replica into a folder, by s3cmd."""
        Path(target).mkdir()
        self.s3cmd("get", "--recursive", f"s3://{self.bucket}/{self.prefix}/", f"{target}/")
        return target

    def upload(self, folder, prefix):
        self.s3cmd("put", "--recursive", f"{folder}/", f"s3://{self.bucket}/{prefix}/")


def requests_of(daemon):
    """{"put": ..., "sent": ...} of the daemon's only S3 replica, from the log after SIGUSR1."""
    before = len(daemon.log())
    daemon.send(signal.SIGUSR1)
    found = daemon.wait_for(lambda: COUNTS.search(daemon.log(), before), 10, "the log counts the requests")
    names = ("put", "get", "head", "list", "delete", "failed", "sent", "received")
    return dict(zip(names, map(int, found.groups())))
