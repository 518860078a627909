"""Keys to S3: each source of keys, keys that expire while the daemon runs, and no secret in any output."""
import json
import os
import re
import sys

import pytest

import stranger
from awsmeta import Role, iso
from bucket import ACCESS, SECRET
from compare import content_of, drop
from ledger import TABLE, insert
from seawall import DONE, FAILED, NOTHING, USAGE, restore, seawall, told, url_of
from waiting import PATIENCE, stays_true, wait_until

ROLE = "arn:aws:iam::123456789012:role/app"
WEB_TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzZWF3YWxsIn0.c2lnbmF0dXJl"
POD_TOKEN = "the-pod's-own-token"


class Keys:
    """Each method sets up one source of keys. `secrets`: texts that must not be in any output."""

    def __init__(self, s3, monkeypatch):
        self.s3, self.server, self.folder, self.set = s3, s3.server, s3.folder, monkeypatch.setenv
        self.secrets = {SECRET, WEB_TOKEN, POD_TOKEN}
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)

    def all_secrets(self):
        issued = [key for key in self.server.authority.keys.values() if key.token]
        return self.secrets | {key.secret for key in issued} | {key.token for key in issued}

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def files(self, credentials="", config=""):
        self.set("AWS_SHARED_CREDENTIALS_FILE", str(self.write("aws/credentials", credentials)))
        self.set("AWS_CONFIG_FILE", str(self.write("aws/config", config)))

    def program(self, key=None, lifetime=None):
        """A command that prints keys: temporary keys of this server, or the keys of a user."""
        key = key or self.server.authority.temporary(lifetime or 3600)
        answer = {"Version": 1, "AccessKeyId": key.access, "SecretAccessKey": key.secret}
        if key.token:
            answer["SessionToken"] = key.token
        if lifetime:
            answer["Expiration"] = iso(key.expires)
        self.write("answer.json", json.dumps(answer))
        return f"{sys.executable} -c \"print(open('{self.folder}/answer.json').read())\""

    # ---- the sources

    def environment(self):
        self.set("AWS_ACCESS_KEY_ID", ACCESS)
        self.set("AWS_SECRET_ACCESS_KEY", SECRET)

    def environment_with_token(self):
        key = self.server.authority.temporary()
        self.set("AWS_ACCESS_KEY_ID", key.access)
        self.set("AWS_SECRET_ACCESS_KEY", key.secret)
        self.set("AWS_SESSION_TOKEN", key.token)

    def home(self):
        self.write(".aws/credentials", f"[default]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\n")

    def default_profile(self):
        self.files(f"[default]\naws_access_key_id={ACCESS}\naws_secret_access_key={SECRET}\n")

    def named_profile(self):
        key = self.server.authority.temporary()
        self.files(f"[default]\naws_access_key_id = wrong\naws_secret_access_key = wrong\n\n# another\n[backup]\n"
                   f"aws_access_key_id = {key.access}\naws_secret_access_key = {key.secret}\naws_session_token = {key.token}\n")
        self.set("AWS_PROFILE", "backup")

    def profile_in_config(self):
        self.files("", f"[profile backup]\nregion = us-east-1\naws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\n")
        self.set("AWS_PROFILE", "backup")

    def process(self):
        self.files("", f"[default]\ncredential_process = {self.program(lifetime=3600)}\n")

    def process_without_token(self):
        self.files("", f"[default]\ncredential_process = {self.program(self.server.authority.keys[ACCESS])}\n")

    def web_identity(self):
        self.server.sts.roles = {ROLE: Role(web_token=WEB_TOKEN)}
        self.set("AWS_ENDPOINT_URL_STS", self.server.url)
        self.set("AWS_ROLE_ARN", ROLE)
        self.set("AWS_WEB_IDENTITY_TOKEN_FILE", str(self.write("web-token", WEB_TOKEN + "\n")))

    def web_identity_profile(self):
        self.server.sts.roles = {ROLE: Role(web_token=WEB_TOKEN)}
        self.set("AWS_ENDPOINT_URL_STS", self.server.url)
        self.files("", f"[default]\nrole_arn = {ROLE}\nweb_identity_token_file = {self.write('web-token', WEB_TOKEN)}\nrole_session_name = me\n")

    def role_of_a_profile(self):
        self.server.sts.roles = {ROLE: Role({ACCESS}, "partner")}
        self.set("AWS_ENDPOINT_URL_STS", self.server.url)
        self.files(f"[user]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\n",
                   f"[profile backup]\nrole_arn = {ROLE}\nsource_profile = user\nexternal_id = partner\nduration_seconds = 900\n")
        self.set("AWS_PROFILE", "backup")

    def role_of_the_environment(self):
        self.server.sts.roles = {ROLE: Role({ACCESS})}
        self.set("AWS_ENDPOINT_URL_STS", self.server.url)
        self.environment()
        self.files("", f"[profile backup]\nrole_arn = {ROLE}\ncredential_source = Environment\n")
        self.s3.options = {"profile": "backup"}

    def container(self):
        self.server.container.on = True
        self.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", self.server.url + self.server.container.path)

    def container_with_token(self):
        self.container()
        self.server.container.token = POD_TOKEN
        self.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", POD_TOKEN)

    def container_with_token_file(self):
        self.container()
        self.server.container.token = POD_TOKEN
        self.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "the file wins")
        self.set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(self.write("pod-token", POD_TOKEN)))

    def instance(self):
        self.server.imds.role = "backup-role"
        self.set("AWS_EC2_METADATA_DISABLED", "false")
        self.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.server.url)


SOURCES = ["environment", "environment_with_token", "home", "default_profile", "named_profile", "profile_in_config", "process",
           "process_without_token", "web_identity", "web_identity_profile", "role_of_a_profile", "role_of_the_environment", "container",
           "container_with_token", "container_with_token_file", "instance"]
ISSUED = ["web_identity", "role_of_a_profile", "container_with_token_file", "instance"]   # a service issues these keys for a while


@pytest.fixture
def keys(s3, monkeypatch):
    server = s3.server
    server.imds.role, server.container.on, server.container.token, server.sts.lifetime = "", False, None, None
    server.imds.lifetime = server.container.lifetime = 3600
    server.sts.roles, server.imds.tokens = {}, {}
    s3.options = {}
    return Keys(s3, monkeypatch)


def source_of(keys, name):
    return {"web_identity": keys.server.sts, "role_of_a_profile": keys.server.sts, "container_with_token_file": keys.server.container,
            "instance": keys.server.imds}[name]


def assert_no_secret(stage, keys, *results):
    """No secret was logged, printed, stored beside the database, or given as an argument."""
    said = "".join(daemon.log_path.read_text(errors="replace") for daemon in stage.daemons)
    said += "".join(told(result) for result in results) + repr([result.args for result in results])
    stored = b"".join(path.read_bytes() for path in stage.folder.glob("*-seawall"))
    for secret in keys.all_secrets():
        assert secret not in said and secret.encode() not in stored
    assert "Signature=" not in said and "Security-Token:" not in said.title().replace(" ", "")


def live(stage, keys, *options):
    """A daemon with a replica in S3, and the application."""
    stage.replica = keys.s3.url(timeout="2s", **keys.s3.options)
    app = stage.ledger()
    app.commit(TABLE, insert(1))
    daemon = stage.replicate(*options, live=False)
    daemon.wait_for(lambda: keys.s3.level_zero(), 20, "the replica has a restore point")
    return app, daemon


def wait_shipped(stage, keys, daemon, app):
    """Waits until everything is shipped. It looks at the objects in the server, and restores them with keys of its own."""
    target = stage.folder / "newest.db"

    def shipped():
        drop(target)
        result = restore(url_of(keys.s3.url()), target, environment=OWN)
        return result.returncode == DONE and content_of(target) == app.states[-1]
    daemon.wait_for(shipped, 20, "the newest restore point is the newest state")


OWN = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_ROLE_ARN": "",
       "AWS_WEB_IDENTITY_TOKEN_FILE": ""}


@pytest.mark.parametrize("name", SOURCES)
def test_keys_of_each_source_are_found(stage, s3, keys, name):
    getattr(keys, name)()
    app, daemon = live(stage, keys)
    app.commit(insert(2))
    daemon.wait_for(lambda: len(s3.level_zero()) >= 2, 20, "the commit is shipped")
    assert daemon.stop() == DONE, daemon.log()
    listing = seawall("list", stage.replica)
    assert listing.returncode == DONE, told(listing)
    app.close()
    stage.assert_restore_equals_source()
    asked = s3.server.count("imds", "container", "sts")
    assert (asked > 0) == name.startswith(("web", "role", "container", "instance"))
    assert_no_secret(stage, keys, listing)


@pytest.mark.parametrize("name", ISSUED)
def test_keys_are_asked_for_once_while_they_are_valid(stage, s3, keys, name):
    getattr(keys, name)()
    app, daemon = live(stage, keys)
    before = s3.server.count("imds", "container", "sts")
    for n in range(3):
        app.commit(insert(1))
        daemon.wait_for(lambda: len(s3.level_zero()) >= n + 2, 20, "the commit is shipped")
    assert s3.server.count("imds", "container", "sts") == before
    assert daemon.stop() == DONE


@pytest.mark.parametrize("name", [*ISSUED, "process"])
def test_keys_that_expire_are_replaced_while_the_daemon_runs(stage, s3, keys, name):
    if name == "process":
        keys.files("", f"[default]\ncredential_process = {keys.program(lifetime=2)}\n")
    else:
        getattr(keys, name)()
        source_of(keys, name).lifetime = 2
    app, daemon = live(stage, keys)
    expired = [key for key in s3.server.authority.keys.values() if key.token][-1]
    daemon.wait_for(lambda: s3.server.authority.now() > expired.expires + 0.05, 10, "the keys have expired")
    if name == "process":
        keys.program(lifetime=3600)
    else:
        source_of(keys, name).lifetime = 3600
    since = len(s3.server.records)
    app.commit(insert(1))
    wait_shipped(stage, keys, daemon, app)
    assert {record.status for record in s3.server.requests("put", since)} == {200}, "a PUT was tried with the old keys"
    assert daemon.stop() == DONE, daemon.log()
    assert_no_secret(stage, keys)


@pytest.mark.parametrize("name", ISSUED)
def test_keys_that_the_store_calls_expired_are_replaced_at_once(stage, s3, keys, name):
    getattr(keys, name)()
    app, daemon = live(stage, keys)
    stays_true(daemon.running, 1.1, "the daemon runs: nobody asks more often than once a second")
    since = len(s3.server.records)
    s3.server.authority.expire()
    app.commit(insert(1))
    wait_shipped(stage, keys, daemon, app)
    puts = [record for record in s3.server.requests("put", since)]
    assert [record.status for record in puts] == [400, 200], puts
    assert "trying again" not in daemon.log(), "a refresh of keys needs no line in the log"
    assert daemon.stop() == DONE, daemon.log()
    assert_no_secret(stage, keys)


@pytest.mark.parametrize("name", ISSUED)
def test_a_refresh_that_fails_keeps_the_keys_that_are_still_valid(stage, s3, keys, name):
    getattr(keys, name)()
    app, daemon = live(stage, keys)
    stays_true(daemon.running, 1.1, "the daemon runs: nobody asks more often than once a second")
    with s3.server.fault("internal-error", on=("imds", "container", "sts")) as broken, s3.server.fault("expired-token", on="put", times=1):
        app.commit(insert(1))
        broken.wait_met()
        wait_shipped(stage, keys, daemon, app)
        app.commit(insert(1))
        wait_shipped(stage, keys, daemon, app)
    assert daemon.stop() == DONE, daemon.log()
    assert_no_secret(stage, keys)


@pytest.mark.parametrize("name", ISSUED)
def test_a_source_that_is_away_for_long_is_reported_and_waited_for(stage, s3, keys, name):
    getattr(keys, name)()
    source_of(keys, name).lifetime = 2
    app, daemon = live(stage, keys)
    with s3.server.fault("internal-error", on=("imds", "container", "sts")) as broken:
        daemon.wait_for(lambda: s3.server.authority.now() > source_of(keys, name).issued[-1].expires + 0.05, 10, "the keys have expired")
        app.commit(insert(1))
        broken.wait_met()
        daemon.wait_for(lambda: re.search("trying again|credentials", daemon.log().split("up to date")[-1]), 10 * PATIENCE, "it is reported")
        assert daemon.running()
    source_of(keys, name).lifetime = 3600
    wait_shipped(stage, keys, daemon, app)
    assert daemon.stop() == DONE, daemon.log()
    assert_no_secret(stage, keys)


def test_keys_in_a_file_that_are_changed_are_read_again(stage, s3, keys):
    def credentials_of(key):
        keys.files(f"[default]\naws_access_key_id={key.access}\naws_secret_access_key={key.secret}\naws_session_token={key.token}\n")
    old, new = s3.server.authority.temporary(), s3.server.authority.temporary()
    credentials_of(old)
    app, daemon = live(stage, keys)
    stays_true(daemon.running, 1.1, "the daemon runs: nobody asks more often than once a second")
    credentials_of(new)
    s3.server.authority.expire(old.access)
    app.commit(insert(1))
    wait_shipped(stage, keys, daemon, app)
    assert "trying again" not in daemon.log()
    assert daemon.stop() == DONE, daemon.log()
    assert_no_secret(stage, keys)


def test_a_rotated_web_identity_is_read_for_each_exchange(stage, s3, keys):
    keys.web_identity()
    s3.server.sts.lifetime = 2
    app, daemon = live(stage, keys)
    rotated = WEB_TOKEN[::-1]
    keys.secrets.add(rotated)
    s3.server.sts.roles[ROLE].web_token = rotated
    keys.write("web-token", rotated)
    daemon.wait_for(lambda: s3.server.authority.now() > s3.server.sts.issued[-1].expires + 0.05, 10, "the keys have expired")
    app.commit(insert(1))
    wait_shipped(stage, keys, daemon, app)
    s3.server.sts.lifetime = None
    assert daemon.stop() == DONE, daemon.log()
    assert_no_secret(stage, keys)


def test_a_session_that_the_metadata_service_forgot_is_begun_again(stage, s3, keys):
    keys.instance()
    s3.server.imds.lifetime = 2
    app, daemon = live(stage, keys)
    s3.server.imds.forget_tokens()
    daemon.wait_for(lambda: s3.server.authority.now() > s3.server.imds.issued[-1].expires + 0.05, 10, "the keys have expired")
    app.commit(insert(1))
    wait_shipped(stage, keys, daemon, app)
    s3.server.imds.lifetime = 3600
    assert daemon.stop() == DONE, daemon.log()


# ---- an error says what is wrong, and never a secret

def test_without_any_keys_the_error_says_where_they_were_looked_for(stage, s3, keys):
    result = seawall("list", s3.url())
    assert result.returncode == USAGE, told(result)
    assert b"HINT" in result.stderr and b"AWS_ACCESS_KEY_ID" in result.stderr
    assert s3.server.count() == 0


WRONG = {
    "a secret that is wrong": (lambda keys: (keys.set("AWS_ACCESS_KEY_ID", ACCESS), keys.set("AWS_SECRET_ACCESS_KEY", "guessed-secret")),
                               "SignatureDoesNotMatch"),
    "an unknown key": (lambda keys: (keys.set("AWS_ACCESS_KEY_ID", "AKNOBODY"), keys.set("AWS_SECRET_ACCESS_KEY", "guessed-secret")),
                       "InvalidAccessKeyId"),
    "half a pair": (lambda keys: keys.set("AWS_SECRET_ACCESS_KEY", "guessed-secret"), "AWS_ACCESS_KEY_ID"),
    "a profile that is not there": (lambda keys: (keys.files(), keys.set("AWS_PROFILE", "ghost")), "ghost"),
    "a program that fails": (lambda keys: keys.files("", "[default]\ncredential_process = /bin/false\n"), "credential_process"),
    "a program that says nonsense": (lambda keys: keys.files("", "[default]\ncredential_process = /bin/echo guessed-secret\n"), "credential_process"),
    "a token file that is not there": (lambda keys: (keys.web_identity(), keys.set("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token")), "/nowhere/token"),
    "a web identity that is not known": (lambda keys: (keys.web_identity(), keys.write("web-token", "guessed-secret")), "InvalidIdentityToken"),
    "a role that trusts others": (lambda keys: (keys.role_of_a_profile(), keys.server.sts.roles[ROLE].users.clear()), "AccessDenied"),
    "a container that wants another token": (lambda keys: (keys.container_with_token(), keys.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "guessed-secret")),
                                             "401"),
    "a container at a strange place": (lambda keys: keys.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://203.0.113.1/keys"), "203.0.113.1"),
    "an instance without a role": (lambda keys: (keys.instance(), setattr(keys.server.imds, "role", "other"),
                                                 keys.server.fault("no-such-key", on="imds", skip=1)), "role"),
    "a malformed line": (lambda keys: keys.files("[default]\naws_access_key_id guessed-secret\n"), "credentials"),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_error_about_keys_names_the_cause_and_no_secret(stage, s3, keys, what):
    arrange, expected = WRONG[what]
    arrange(keys)
    keys.secrets.add("guessed-secret")
    stage.prepare()
    listing = seawall("list", s3.url(timeout="2s"))
    assert listing.returncode in (USAGE, FAILED), told(listing)
    assert expected in listing.stderr.decode(), told(listing)
    daemon = stage.replicate("--once", "--stop-timeout", "300ms", live=False)
    assert daemon.wait(20) not in (DONE, NOTHING), daemon.log()
    assert expected in daemon.log(), daemon.log()
    assert_no_secret(stage, keys, listing)


def test_services_of_this_machine_are_asked_without_the_proxy(stage, s3, keys):
    keys.instance()
    keys.set("http_proxy", "http://127.0.0.1:1")
    keys.set("no_proxy", f"127.0.0.1:{s3.server.port}")
    keys.set("NO_PROXY", "")
    result = seawall("list", s3.url(timeout="2s"))
    assert s3.server.count("imds") >= 3, told(result)


def test_keys_are_in_no_argument(stage, s3, keys):
    keys.process()
    app, daemon = live(stage, keys)
    with open(f"/proc/{daemon.pid}/cmdline", "rb") as file:
        arguments = file.read().decode()
    assert not any(secret in arguments for secret in keys.all_secrets())
    assert daemon.stop() == DONE


@pytest.mark.open_to_others
def test_the_memory_of_a_process_with_secrets_is_closed_to_other_processes_of_its_user(stage, server, s3):
    """Its files in /proc belong to root, and the kernel writes no core file of it."""
    def owner_of_environment(process):
        return os.stat(f"/proc/{process.pid}/environ").st_uid

    own = stranger.STRANGER if stranger.IS_ROOT else os.geteuid()
    with server.fault("stall", seconds=3600) as stalled:
        process = stranger.start(stage.folder, "list", s3.url(timeout="10m"))
        stalled.wait_met()
        assert owner_of_environment(process) == 0 != own
        process.kill()
        process.wait()
    without = stranger.start(stage.folder, "verify", "-")   # waits for a URL on its standard input
    wait_until(lambda: owner_of_environment(without) == own, 10, "the process without secrets has started")
    without.kill()
    without.communicate()
