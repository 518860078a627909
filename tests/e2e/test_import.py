"""`seawall import` makes a configuration that Seawall accepts from one of Litestream, and says of each key without a counterpart what to do."""
import re

import pytest

from application import check
from seawall import DONE, USAGE, seawall, told

# Each key that Litestream 0.5.18 and 0.3.13 document, with a value.
EVERYTHING = """
access-key-id: AKIA-HIDDEN
secret-access-key: ${MY_HIDDEN_KEY}
addr: ":9090"
mcp-addr: ":3001"
exec: "application --password HIDDEN"
socket:
  enabled: true
  path: /run/litestream.sock
levels:
  - interval: 30s
snapshot:
  interval: 12h
  retention: 168h
validation:
  interval: 1h
l0-retention: 5m
l0-retention-check-interval: 15s
verify-compaction: true
retention:
  enabled: true
heartbeat-url: https://example.com/HIDDEN
heartbeat-interval: 1m
shutdown-sync-timeout: 45s
shutdown-sync-interval: 500ms
logging: {level: debug, type: json, stderr: true}
region: eu-west-1
dbs:
  - path: /var/lib/app.db
    meta-path: /var/lib/meta
    meta-dir: /var/lib/metas
    monitor-interval: 1s
    checkpoint-interval: 1m
    min-checkpoint-page-count: 2000
    max-checkpoint-page-count: 10000
    truncate-page-n: 100000
    busy-timeout: 5s
    max-sync-wal-bytes: 1000000
    restore-if-db-not-exists: true
    snapshot: {interval: 6h, retention: 48h}
    replica:
      type: s3
      name: old-name
      bucket: my-bucket
      path: some/app.db
      endpoint: s3.example.com
      force-path-style: true
      sign-payload: false
      sign-accept-encoding: false
      require-content-md5: false
      put-object-content-md5: true
      skip-verify: true
      storage-class: STANDARD_IA
      part-size: 10MB
      concurrency: 5
      sse-customer-algorithm: AES256
      sse-customer-key: HIDDEN
      sse-customer-key-path: /etc/key
      sync-interval: 10s
      validation-interval: 6h
      max-sync-ltx-files: 10
      auto-recover: true
      access-key-id: AKIA-HIDDEN
      secret-access-key: HIDDEN
  - path: /var/lib/old.db
    replicas:
      - url: s3://AKIA:HIDDEN@old-bucket.s3.us-west-002.backblazeb2.com/old
        retention: 72h
        retention-check-interval: 1h
        snapshot-interval: 6h
        sse-kms-key-id: arn:aws:kms:us-east-1:1:key/k
      - path: /backup/old
      - {url: "sftp://user:HIDDEN@host:22/path", key-path: /k, concurrent-writes: true, host-key: k}
      - {type: sftp, host: h, user: u, password: HIDDEN}
      - {url: "gs://bucket/x"}
      - {url: "abs://a@c/x", account-name: a, account-key: HIDDEN, sas-token: HIDDEN}
      - {type: nats, url: "nats://h/b", jwt: HIDDEN, seed: HIDDEN, creds: HIDDEN, nkey: HIDDEN, username: u, token: HIDDEN, tls: true,
         root-cas: [a], client-cert: c, client-key: k, max-reconnects: 1, reconnect-wait: 1s, timeout: 1s}
      - {type: webdav, webdav-url: "https://u:HIDDEN@h/", webdav-username: u, webdav-password: HIDDEN}
      - {url: "oss://bucket/x"}
      - {path: /backup/encrypted, age: {identities: [AGE-HIDDEN], recipients: [age1]}}
  - dir: /srv/tenants
    pattern: "*.db"
    recursive: true
    watch: true
    replica: {url: "s3://tenants/all"}
  - dir: /srv/[flat]
    pattern: "[^a]*.db"
    replica: {path: /backup/flat}
"""


def made(stage, text, *options, environment=None, code=DONE):
    """The configuration made from `text`, and what was said on stderr. The configuration is accepted by `seawall config`."""
    source, target = stage.folder / "litestream.yml", stage.folder / "seawall.conf"
    source.write_text(text)
    result = seawall("import", *options, source, environment=environment)
    assert result.returncode == code, told(result)
    if code == DONE:
        target.write_bytes(result.stdout)
        checked = seawall("config", "-c", target)
        assert checked.returncode == DONE, result.stdout.decode() + told(checked)
    return result.stdout.decode(), result.stderr.decode()


def test_each_documented_key_is_translated_or_explained_and_no_secret_is_written(stage):
    text, _ = made(stage, EVERYTHING, environment={"MY_HIDDEN_KEY": "HIDDEN"})
    assert "HIDDEN" not in text.replace("MY_HIDDEN_KEY", "") and "unknown key" not in text
    assert "secret-access-key (from the variable MY_HIDDEN_KEY)" in text
    said = {int(found) for found in re.findall(r"(?m)^# line (\d+)", text)}
    not_said = {number for number, line in enumerate(EVERYTHING.splitlines(), 1) if re.match(r"\s*(- )?[a-z0-9-]+:", line)} - said
    lines = EVERYTHING.splitlines()
    # Keys whose value is in a line of the result, or which begin a block.
    quiet = {"region", "dbs", "path", "replica", "replicas", "type", "bucket", "endpoint", "force-path-style", "sign-payload", "require-content-md5",
             "storage-class", "snapshot", "retention", "enabled", "pattern", "recursive", "dir", "sse-kms-key-id", "url", "interval"}
    for number in sorted(not_said):
        key = re.match(r"\s*(?:- )?([a-z0-9-]+):", lines[number - 1])[1]
        assert key in quiet or lines[number - 1].startswith("         "), lines[number - 1]


def section(text, name):
    return re.search(rf"(?ms)^\[{re.escape(name)}\]$(.*?)(?=^\[|\Z)", text)[1]


def values(text, name):
    return dict(re.findall(r"(?m)^([a-z0-9-]+) = (.*)$", section(text, name)))


def test_options_have_the_values_of_litestream(stage):
    text, _ = made(stage, EVERYTHING, environment={"MY_HIDDEN_KEY": "HIDDEN"})
    assert values(text, "seawall") == {"base-interval": "12h", "keep-levels": "7d", "stop-timeout": "45s"}
    assert values(text, "db /var/lib/app.db") == {"replica": "litestream-1", "put-rate": "360/h", "put-burst": "1", "base-interval": "6h",
                                                  "keep-levels": "2d", "wal-target": "2000"}
    assert values(text, "replica litestream-1") == {
        "url": "s3://my-bucket/some/app.db-seawall", "endpoint": "https://s3.example.com", "region": "eu-west-1", "addressing": "path",
        "storage-class": "STANDARD_IA", "sign-payload": "no", "content-md5": "no"}
    assert values(text, "replica litestream-2") == {
        "url": "s3://old-bucket/old-seawall", "endpoint": "https://s3.us-west-002.backblazeb2.com", "region": "eu-west-1", "addressing": "path",
        "sse": "aws:kms", "sse-kms-key-id": "arn:aws:kms:us-east-1:1:key/k"}
    assert "replica = file:///backup/old-seawall" in section(text, "db /var/lib/old.db")
    assert values(text, "db /var/lib/old.db")["keep-levels"] == "3d"


def test_folders_become_patterns(stage):
    text, _ = made(stage, EVERYTHING, environment={"MY_HIDDEN_KEY": "HIDDEN"})
    for path in ("/srv/tenants/*.db", "/srv/tenants/*/*.db", "/srv/tenants/*/*/*.db"):
        replica = values(text, f"db {path}")["replica"]
        assert values(text, f"replica {replica}")["url"] == "s3://tenants/all-seawall/{path}"
    assert values(text, "db /srv/[[]flat]/[!a]*.db") == {"replica": "file:///backup/flat-seawall/{name}"}


def one(replica, path="/data/app.db", more=""):
    return f"dbs:\n  - path: {path}\n    replica: {replica}\n{more}"


@pytest.mark.parametrize("given, url, other", [
    ("{url: 's3://bucket-x/a/b/'}", "s3://bucket-x/a/b-seawall", {}),
    ("{url: 's3://bucket-x'}", "s3://bucket-x/seawall", {}),
    ("{url: 's3://bucket-x/a%b{c'}", "s3://bucket-x/a%25b{{c-seawall", {}),
    ("{url: 's3://bucket-x.s3.eu-central-1.amazonaws.com/a'}", "s3://bucket-x/a-seawall", {"region": "eu-central-1"}),
    ("{url: 's3://bucket-x.nyc3.digitaloceanspaces.com/a'}", "s3://bucket-x/a-seawall",
     {"region": "nyc3", "endpoint": "https://nyc3.digitaloceanspaces.com"}),
    ("{url: 's3://bucket-x.s3.fr-par.scw.cloud/a'}", "s3://bucket-x/a-seawall", {"region": "fr-par", "endpoint": "https://s3.fr-par.scw.cloud"}),
    ("{url: 's3://bucket-x.localhost:9000/a'}", "s3://bucket-x/a-seawall", {"endpoint": "http://localhost:9000", "addressing": "path"}),
    ("{url: 's3://bucket-x/a?endpoint=http://h:9&region=r1&forcePathStyle=true'}", "s3://bucket-x/a-seawall",
     {"endpoint": "http://h:9", "region": "r1", "addressing": "path"}),
    ("{type: s3, bucket: bucket-x, path: /a, endpoint: 'localhost:9000', force-path-style: false}", "s3://bucket-x/a-seawall",
     {"endpoint": "http://localhost:9000", "addressing": "vhost"}),
])
def test_places_in_s3(stage, given, url, other):
    text, said = made(stage, one(given))
    assert values(text, "replica litestream-1") == {"url": url, **other} and said == ""


def test_a_database_without_a_replica_that_is_possible_is_a_comment(stage):
    text, said = made(stage, one("{url: 'sftp://host/x'}") + "  - path: /data/other.db\n    replica: {path: /backup/other}\n")
    assert "[db /data/app.db]" in text and "\n[db /data/app.db]" not in text and "\n[db /data/other.db]" in text
    assert "sshfs" in text and "1 of 2 databases" in said


@pytest.mark.parametrize("endpoint", ["https://user:HIDDEN@minio.example:9000", "user:HIDDEN@minio.example:9000", "https://user:HI/DDEN@HIDDEN@minio.example:9000",
                                      "https://HIDDEN@minio.example:9000"], ids=range(4))
def test_a_user_in_an_endpoint_is_left_out_with_a_comment(stage, endpoint):
    for given in (f"{{url: 's3://bucket-x/a', endpoint: '{endpoint}'}}", f"{{url: 's3://bucket-x/a?endpoint={endpoint}'}}"):
        text, _ = made(stage, one(given))
        assert values(text, "replica litestream-1")["endpoint"] == "https://minio.example:9000"
        assert "HIDDEN" not in text and "DDEN" not in text and "user:" not in text
        assert "# line 3: endpoint: its user and password are not copied" in text


def test_a_password_with_an_at_sign_in_a_url_is_left_out(stage):
    text, _ = made(stage, one("{url: 's3://user:HID@DEN@bucket-x/a'}"))
    assert values(text, "replica litestream-1") == {"url": "s3://bucket-x/a-seawall"} and "DEN" not in text


@pytest.mark.parametrize("place", ["url: 's3://bucket-x/a'", "path: /backup/a"])
def test_an_encrypted_replica_is_a_comment(stage, place):
    age = "age: {identities: [AGE-HIDDEN], recipients: [age1]}"
    text, said = made(stage, one(f"{{{place}, {age}}}") + "  - path: /data/other.db\n    replica: {path: /backup/other}\n")
    assert "\n#[db /data/app.db]" in text and "\n[db /data/other.db]" in text and "HIDDEN" not in text
    assert not re.search(r"(?m)^(replica|url) = .*a-seawall", text) and "encrypts this replica with age" in text
    assert "1 of 2 databases" in said
    text, said = made(stage, one(f"{{{place}, age: {{}}}}"))
    assert "\n[db /data/app.db]" in text and said == ""
    text, said = made(stage, f"dbs:\n  - path: /data/app.db\n    replicas:\n      - {{{place}, {age}}}\n      - {{path: /backup/plain}}\n")
    assert values(text, "db /data/app.db") == {"replica": "file:///backup/plain-seawall"} and said == ""


@pytest.mark.parametrize("first, second", [
    ("{path: /backup/a}", "{path: /backup/a/}"),
    ("{url: 's3://bucket-x/a'}", "{type: s3, bucket: bucket-x, path: a}"),
    ("{url: 's3://bucket-x/a', endpoint: 'https://u:p@h'}", "{url: 's3://bucket-x/a?endpoint=h'}"),
])
def test_of_two_replicas_with_one_place_the_second_is_a_comment(stage, first, second):
    text, said = made(stage, one(first) + f"  - path: /data/other.db\n    replica: {second}\n")
    assert "\n[db /data/app.db]" in text and "\n#[db /data/other.db]" in text and "1 of 2 databases" in said
    assert "# line 5: another replica of this file has this place already" in text
    text, _ = made(stage, f"dbs:\n  - path: /data/app.db\n    replicas: [{first}, {second}]\n")
    assert len(re.findall("(?m)^replica = ", section(text, "db /data/app.db"))) == 1


def test_one_name_in_two_servers_is_two_places(stage):
    text, said = made(stage, one("{url: 's3://bucket-x/a', endpoint: 'https://h1'}") + "  - path: /data/other.db\n    replica: {url: 's3://bucket-x/a', endpoint: 'https://h2'}\n")
    assert "\n[db /data/other.db]" in text and said == ""


def test_variables_have_their_values_as_in_litestream(stage):
    text = one("{path: '${ROOT}/backup'}", path="$ROOT/app.db")
    assert "[db /x/app.db]\n" in made(stage, text, environment={"ROOT": "/x"})[0]
    assert "file:///x/backup-seawall" in made(stage, text, environment={"ROOT": "/x"})[0]
    said = made(stage, one("{path: '${UNSET_HERE}/b'}"), code=USAGE)[1]
    assert "line 3: the environment variable UNSET_HERE is not set" in said and "HINT: " in said
    assert "[db /a$b/app.db]\n" in made(stage, one("{path: /b}", path="/a$b/app.db"), "--no-expand-env")[0]


def test_anchors_and_merge_keys_are_followed(stage):
    text, _ = made(stage, "x: &all\n  bucket: bucket-x\n  type: s3\ndbs:\n  - path: /a.db\n    replica: {<<: *all, path: a}\n  - path: /b.db\n    replica: {<<: *all, path: b}\n")
    assert [values(text, f"replica litestream-{n}")["url"] for n in (1, 2)] == ["s3://bucket-x/a-seawall", "s3://bucket-x/b-seawall"]


def test_an_unknown_key_is_said(stage):
    assert "# line 4: frobnicate: unknown key, passed over" in made(stage, one("{path: /b}", more="    frobnicate: HIDDEN\n"))[0]


@pytest.mark.parametrize("text, said", [
    ("dbs: [", "line 2: not valid YAML"),
    ("", "not a configuration"),
    ("- a", "not a configuration"),
    ("dbs: []", "no databases"),
    ("addr: x", "no databases"),
    ("dbs:\n  - replica: {path: /b}", "line 2: the database has neither"),
    ("dbs:\n  - /a.db", "line 2: a map is expected"),
    (one("/backup"), "line 3: a map is expected"),
    (one("{path: /b, sync-interval: soon}"), "a time such as 10s"),
    (one("{path: [a]}"), "a text is expected"),
    (one("{path: \"/a\\nb\"}"), "control character"),
    ("dbs: *unknown", "no anchor"),
    ("a: " + "[" * 30 + "]" * 30, "levels"),
    ("a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(9)) + "dbs: *j", "a map is expected"),
], ids=range(14))
def test_what_is_not_a_configuration_of_litestream_is_an_error_with_its_line(stage, text, said):
    result = made(stage, text, code=USAGE)
    assert said in result[1] and result[0] == "", result


def test_a_file_that_cannot_be_read_is_an_error(stage):
    for path in (stage.folder / "missing.yml", stage.folder):
        assert seawall("import", path).returncode == USAGE


def test_the_configuration_that_was_made_replicates(stage):
    stage.prepare()
    stage.writer(count=5).finish()
    made(stage, f"dbs:\n  - path: {stage.db}\n    replica: {{path: {stage.folder}/backup, sync-interval: 5s}}\n  - dir: {stage.folder}\n    pattern: 'x*.db'\n"
                f"    replica: {{path: {stage.folder}/all}}\n")
    for command in (["snapshot"], ["replicate", "--exec", "sleep 1"]):
        result = seawall(*command, "-c", stage.folder / "seawall.conf")
        assert result.returncode == DONE, told(result)
    result = seawall("restore", "-o", stage.folder / "restored.db", stage.folder / "backup-seawall")
    assert result.returncode == DONE, told(result)
    assert check(stage.folder / "restored.db") == 5
