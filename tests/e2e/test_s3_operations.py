"""Each operation of the S3 store with each failure of the server: the right result, or a clear error with the right code, and never a wrong
result. tests/support/s3tool.c runs one operation in a process."""
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bucket import PREFIX, S3TOOL, each_beside_the_others
from s3server import Object
from waiting import PATIENCE

pytestmark = pytest.mark.skipif(not S3TOOL.exists(), reason="make build/tests/s3tool")

CONTENT = bytes(range(256)) * 8
OTHER = b"another writer's" * 50
KEY = "0/000000000000002a"

# Faults after which the operation was not carried out, or nobody knows. The client must try again.
AGAIN = {"slow-down": {}, "internal-error": {}, "bad-gateway": {}, "empty-error": {}, "request-timeout": {}, "timeout-408": {}, "too-many": {},
         "error-in-200": {}, "close-before-body": {}, "close-unstored": {}, "close-stored": {}, "close-in-head": {}, "deep-xml": {"depth": 3000},
         "entity-xml": {}, "internal-error-stored": {}, "huge-error": {"bytes": 300_000}, "throttled": {"code": "ThrottlingException", "status": 400},
         "quota": {"code": "RequestLimitExceeded", "status": 503}, "expired-token": {}}
NAMED = {"throttled": "internal-error", "quota": "internal-error"}   # faults that differ from another only by their code
PERMANENT = {"access-denied": "AccessDenied", "no-such-bucket": "NoSuchBucket", "signature": "SignatureDoesNotMatch",
             "unauthorized": "Unauthorized", "expired-token": "ExpiredToken"}
OF_PUT = {"no-etag": {}, "conflict": {}}
OF_GET = {"close-after-head": {}, "close-half-way": {}, "short-body": {}, "wrong-range": {}}
OF_LIST = {"cut-xml": {}, "close-half-way": {}, "short-body": {}, "deep-xml": {"status": 200}, "entity-xml": {"status": 200}}


def fault_of(s3, name, values, on, **more):
    return s3.server.fault(NAMED.get(name, name), on=on, **{**values, **more})


def outcome(result):
    """"done", or the name of the error code."""
    if result.returncode == 0:
        return "done"
    assert result.returncode == 1, f"{result.returncode}: {result.stdout} {result.stderr}"
    return re.search(rb"^(ERR_\w+): .", result.stdout, re.M)[1].decode()   # a listing may print keys before its error


def stored(s3, key=KEY):
    found = s3.server.objects.get(f"{PREFIX}/{key}")
    return found.body if found else None


@pytest.fixture
def store(s3):
    """A bucket with three objects."""
    for n in range(3):
        s3.server.objects[f"{PREFIX}/a/{n}"] = Object(CONTENT, f'"{n:032x}"', s3.server.now(), {})
    return s3


def repeated(store, kind):
    """How many requests of this kind there were."""
    return len(store.server.requests(kind))


# ---- failures that pass

@pytest.mark.parametrize("name", [*AGAIN, *OF_PUT])
def test_a_put_that_failed_is_repeated_and_is_there_once(store, name):
    values = {**AGAIN, **OF_PUT}[name]
    with fault_of(store, name, values, "put", times=1) as fault:
        result = store.put(KEY, CONTENT)
    assert outcome(result) == "done", result.stdout
    assert fault.met >= 1 and stored(store) == CONTENT


@pytest.mark.parametrize("name", [*AGAIN, *OF_GET])
def test_a_get_that_failed_is_repeated(store, name):
    values = {**AGAIN, **OF_GET}[name]
    with fault_of(store, name, values, "get", times=1) as fault:
        result = store.tool("get", "a/1", 100, 50)
        tail = store.tool("tail", "a/1", 30)
    assert (result.returncode, result.stdout) == (0, CONTENT[100:150]) and (tail.returncode, tail.stdout) == (0, CONTENT[-30:])
    assert fault.met >= 1


@pytest.mark.parametrize("name", [*AGAIN, *OF_LIST])
def test_a_listing_that_failed_is_repeated(store, name):
    values = {**AGAIN, **OF_LIST}[name]
    store.server.page_size = 2
    with fault_of(store, name, values, "list", times=1) as fault:
        result = store.tool("list", "a/", "")
    assert outcome(result) == "done", result.stdout
    assert [line.split()[0] for line in result.stdout.splitlines()] == [b"a/0", b"a/1", b"a/2"] and fault.met >= 1


@pytest.mark.parametrize("keys", [["a/0"], ["a/0", "a/1", "not there"]])
@pytest.mark.parametrize("name", AGAIN)
def test_a_deletion_that_failed_is_repeated(store, name, keys):
    if len(keys) == 1 and name == "error-in-200":
        pytest.skip("the answer to DELETE has no body to look at")
    with fault_of(store, name, AGAIN[name], "delete", times=1) as fault:
        result = store.tool("remove", *keys)
    assert outcome(result) == "done", result.stdout
    assert fault.met >= 1 and store.keys() == sorted({"a/0", "a/1", "a/2"} - set(keys))


# ---- failures that last

@pytest.mark.parametrize("name", PERMANENT)
@pytest.mark.parametrize("kind", ["put", "get", "list", "delete"])
def test_a_permanent_error_is_reported_at_once_and_by_its_name(store, kind, name):
    arguments = {"put": ("put", KEY, store.file(CONTENT)), "get": ("get", "a/1", 0, 9), "list": ("list", "", ""), "delete": ("remove", "a/0")}[kind]
    with store.server.fault(name, on=kind):
        result = store.tool(*arguments)
    assert outcome(result) == "ERR_CONFIG", result.stdout
    assert PERMANENT[name].encode() in result.stdout
    assert repeated(store, kind) == (2 if name == "expired-token" else 1)
    assert store.keys() == ["a/0", "a/1", "a/2"]


def test_a_failure_that_lasts_is_an_error_that_can_be_tried_again(store):
    path = store.file(CONTENT)

    def check(name):
        operations = [("put", KEY, path), ("get", "a/1", 0, 9), ("tail", "a/1", 9), ("list", "", ""), ("remove", "a/1", "a/2"), ("remove", "a/0")]
        if name == "error-in-200":
            operations.pop()   # the answer to DELETE has no body to look at
        with store.beside() as other, fault_of(other, name, AGAIN[name], None):
            results = at_once(lambda arguments: other.tool(*arguments, url=other.url(timeout="1s")), operations)
            assert {outcome(result) for result in results} <= {"ERR_REMOTE", "ERR_TIMEOUT"}, [result.stdout for result in results]
            assert stored(other) in (None, CONTENT)
    each_beside_the_others(sorted(AGAIN.keys() - {"expired-token"}), check)


def at_once(call, arguments):
    """Runs the calls at the same time. Returns their results."""
    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(call, arguments))


def test_a_server_that_hangs_is_an_error_at_the_deadline(store):
    path = store.file(CONTENT)

    def check(name):
        operations = [("put", KEY, path), ("get", "a/1", 0, 1000), ("tail", "a/1", 1000), ("list", "", ""), ("remove", "a/1", "a/2")]
        if name == "stall-half-way":
            operations.pop(0)   # the answer to PUT has no body
        with store.beside() as other, other.server.fault(name):
            before = time.monotonic()
            results = at_once(lambda arguments: other.tool(*arguments, url=other.url(timeout="1s")), operations)
            assert {outcome(result) for result in results} <= {"ERR_REMOTE", "ERR_TIMEOUT"}, [result.stdout for result in results]
            assert time.monotonic() - before < 5 * PATIENCE
    each_beside_the_others(["stall", "stall-before-body", "stall-stored", "stall-half-way", "drip"], check)


def test_an_attempt_that_hangs_is_given_up_and_tried_again(store):
    path, url = store.file(OTHER), store.url(timeout="20s")
    with store.server.fault("stall-stored", on="put", key="*/a/1", times=1), store.server.fault("stall-stored", on="put", key="*" + KEY, times=1):
        before = time.monotonic()
        taken, free = at_once(lambda key: store.tool("put", key, path, url=url), ["a/1", KEY])
        assert 2 < time.monotonic() - before < 10 * PATIENCE
    assert (outcome(taken), stored(store, "a/1")) == ("ERR_EXISTS", CONTENT)
    assert (outcome(free), stored(store)) == ("done", OTHER)
    assert len({record.connection for record in store.server.requests("put")}) == 4


def test_a_server_that_is_down_is_an_error_soon(store):
    store.server.down()
    try:
        before = time.monotonic()
        assert outcome(store.put(KEY, CONTENT)) == "ERR_REMOTE"
        assert outcome(store.tool("list", "", "")) in ("ERR_REMOTE", "ERR_TIMEOUT")
        assert time.monotonic() - before < 10 * PATIENCE
    finally:
        store.server.up()
    assert outcome(store.put(KEY, CONTENT)) == "done"


def test_retry_after_is_obeyed(store):
    with store.server.fault("slow-down", on="put", times=1, retry_after=1):
        assert outcome(store.put(KEY, CONTENT)) == "done"
    first, second = store.server.requests("put")
    assert second.started - first.ended >= 0.99


def test_a_retry_after_beyond_the_deadline_is_not_waited_for(store):
    with store.server.fault("slow-down", on="put", retry_after=600):
        before = time.monotonic()
        assert outcome(store.put(KEY, CONTENT)) == "ERR_REMOTE"
        assert time.monotonic() - before < 5 * PATIENCE
    assert repeated(store, "put") == 1


@pytest.mark.parametrize("kind", ["put", "get", "list", "delete"])
def test_an_answer_without_end_is_an_error(store, kind):
    arguments = {"put": ("put", KEY, store.file(CONTENT)), "get": ("tail", "a/1", 9), "list": ("list", "", ""), "delete": ("remove", "a/0", "a/1")}[kind]
    for name, values in (("huge-error", {"bytes": 30 << 20, "status": 200}), ("huge-error", {"bytes": 30 << 20}), ("huge-head", {})):
        with store.server.fault(name, on=kind, **values):
            result = store.tool(*arguments, url=store.url(timeout="1s"))
        assert outcome(result) in ("ERR_REMOTE", "ERR_LIMIT", "ERR_TIMEOUT"), result.stdout


# ---- keys that exist already

def test_a_put_of_a_taken_key_says_that_it_exists(store):
    before = stored(store, "a/1")
    assert outcome(store.put("a/1", OTHER)) == "ERR_EXISTS"
    assert outcome(store.put("a/1", CONTENT)) == "ERR_EXISTS", "equal bytes do not prove that the object is ours"
    assert stored(store, "a/1") == before and repeated(store, "put") == 2 and store.server.count("get", "head") == 0


@pytest.mark.parametrize("name", ["internal-error", "internal-error-stored", "close-stored", "close-unstored", "no-etag"])
def test_after_an_attempt_of_unknown_outcome_a_taken_key_is_looked_at(store, name):
    path = store.file(OTHER)
    for key, expected, content in (("a/1", "ERR_EXISTS", CONTENT), (KEY, "done", OTHER)):
        with store.server.fault(name, on="put", times=1):
            assert (outcome(store.tool("put", key, path)), stored(store, key)) == (expected, content)


def test_what_is_found_after_an_unknown_outcome_must_have_the_lock_that_was_asked_for(store):
    url, path = store.url(object_lock_mode="GOVERNANCE", object_lock_days=3), store.file(CONTENT)
    with store.server.fault("internal-error-stored", on="put", times=1):
        assert outcome(store.tool("put", KEY, path, url=url)) == "done"
    assert store.server.count("head") == 1
    with store.server.fault("internal-error", on="put", times=1):
        store.server.objects[f"{PREFIX}/plain"] = Object(CONTENT, '"x"', store.server.now(), {})
        result = store.tool("put", "plain", path, url=url)
    assert outcome(result) == "ERR_CONFIG" and b"without the object lock that the URL asks for" in result.stdout


def test_a_server_that_ignores_the_condition_is_noticed(store):
    assert store.tool("probe", "a/1", store.file(CONTENT)).stdout == b"strong\n"
    with store.server.fault("ignores-condition"):
        assert store.tool("probe", "a/1", store.file(CONTENT)).stdout == b"weak\n"
        required = store.tool("probe", "a/1", store.file(CONTENT), url=store.url(conditional="require"))
    assert outcome(required) == "ERR_CONFIG" and b"conditional=require" in required.stdout


@pytest.mark.parametrize("fault", ["ignores-condition", "no-condition", "looks-then-stores"])
def test_a_race_shows_that_a_server_is_not_exclusive(store, fault):
    with store.server.fault(fault, on="put"):
        assert store.tool("race").stdout == b"weak\n"
        required = store.tool("race", url=store.url(conditional="require"))
        assert outcome(required) == "ERR_CONFIG" and b"conditional=require" in required.stdout
    assert store.keys() == ["a/0", "a/1", "a/2"]


def test_a_race_on_an_exclusive_server_has_one_winner_a_round_and_leaves_nothing(store):
    assert store.tool("race", url=store.url(object_lock_mode="GOVERNANCE", object_lock_days=3)).stdout == b"strong\n"
    puts = store.server.requests("put")
    assert (len(puts), store.server.count("delete"), store.server.count()) == (12, 3, 15) and store.keys() == ["a/0", "a/1", "a/2"]
    assert sum(record.status == 200 for record in puts) == 3 and all("x-amz-object-lock-mode" not in record.headers for record in puts)
    with store.server.fault("access-denied", on="delete"):
        assert store.tool("race").stdout == b"strong\n", "without the permission to delete, the race fails"
    with store.server.fault("access-denied", on="put"):
        assert outcome(store.tool("race")) == "ERR_CONFIG"


def test_a_server_that_refuses_the_condition_gets_a_look_before_each_put(store):
    with store.server.fault("no-condition", on="put"):
        assert outcome(store.put(KEY, CONTENT)) == "done"
        assert outcome(store.put(KEY, OTHER)) == "ERR_EXISTS"
        assert outcome(store.put("other", OTHER, conditional="require")) == "ERR_CONFIG"
        assert outcome(store.put("other", OTHER, conditional="off")) == "done"
    assert stored(store) == CONTENT and stored(store, "other") == OTHER


# ---- clocks and regions

@pytest.mark.parametrize("by", [3600, -3600, 86400 * 400])
def test_a_wrong_clock_is_corrected_by_the_servers(store, by):
    store.server.set_clock(by)
    assert outcome(store.put(KEY, CONTENT)) == "done"
    assert repeated(store, "put") == 2
    result = store.tool("list", "", "")
    assert outcome(result) == "done" and b"a/1" in result.stdout
    told = int(store.tool("time").stdout)
    assert abs(told / 1000 - store.server.now()) < 5


def test_one_wrong_date_in_an_answer_does_no_harm(store):
    with store.server.fault("skewed-date", on="list", times=1):
        store.server.page_size = 1
        result = store.tool("list", "", "")
    assert outcome(result) == "done" and len(result.stdout.splitlines()) == 3, result.stdout


@pytest.mark.parametrize("answer", ["400", "400 with a header", "301"])
@pytest.mark.parametrize("kind", ["put", "get", "list", "time"])
def test_another_region_is_learned_from_the_answer(store, kind, answer):
    store.server.region, store.server.region_answer = "eu-central-1", answer
    arguments = {"put": ("put", KEY, store.file(CONTENT)), "get": ("get", "a/1", 0, 9), "list": ("list", "", ""), "time": ("time",)}[kind]
    result = store.tool(*arguments, url=store.url(region="us-east-1"))
    if (kind, answer) == ("time", "400"):
        assert outcome(result) in ("done", "ERR_CONFIG")   # an answer to HEAD may not name the region
        return
    assert outcome(result) == "done", result.stdout
    assert len(store.server.records) == 2


def test_a_region_that_is_never_right_is_an_error(store):
    for region in ("us-east-1", "mars-north-1", "ha'ha <&>"):
        with store.server.fault("moved", on="put", region=region):
            result = store.put(KEY, CONTENT)
        assert outcome(result) == "ERR_CONFIG" and b"PermanentRedirect" in result.stdout or b"'mars-north-1' is wrong" in result.stdout
    assert stored(store) is None


# ---- ranges

def test_a_server_without_ranges_is_read_or_refused(store):
    with store.server.fault("ignores-range"):
        whole = store.tool("get", "a/1", 0, len(CONTENT))
        assert whole.stdout == CONTENT or outcome(whole) == "ERR_REMOTE"
        part = store.tool("get", "a/1", 100, 50, url=store.url(timeout="1s"))
        assert part.stdout == CONTENT[100:150] or outcome(part) in ("ERR_REMOTE", "ERR_TIMEOUT", "ERR_LIMIT")
        tail = store.tool("tail", "a/1", 30, url=store.url(timeout="1s"))
        assert tail.stdout == CONTENT[-30:] or outcome(tail) in ("ERR_REMOTE", "ERR_TIMEOUT", "ERR_LIMIT")
        longer = store.tool("tail", "a/1", 5000)
        assert longer.stdout == CONTENT or outcome(longer) in ("ERR_REMOTE", "ERR_TIMEOUT", "ERR_LIMIT")


def test_a_missing_object_and_a_short_one_have_different_errors(store):
    assert outcome(store.put("empty", b"")) == "done"
    assert outcome(store.tool("get", "none", 0, 9)) == outcome(store.tool("tail", "none", 9)) == "ERR_NOTFOUND"
    assert outcome(store.tool("get", "a/1", len(CONTENT) - 5, 10)) == "ERR_CORRUPT"
    assert outcome(store.tool("get", "a/1", len(CONTENT), 10)) == "ERR_CORRUPT"
    assert outcome(store.tool("get", "empty", 0, 1)) == "ERR_CORRUPT"
    empty = store.tool("tail", "empty", 10)
    assert (empty.returncode, empty.stdout) == (0, b"")
    assert store.tool("tail", "a/1", len(CONTENT) + 1).stdout == CONTENT


@pytest.mark.parametrize("tells", [True, False])
def test_the_end_of_an_object_is_read_where_a_longer_range_is_refused(store, tells):
    assert outcome(store.put("empty", b"")) == "done"
    with store.server.fault("range-beyond-all", on="get", tells=tells) as fault:
        for key, n, content in (("a/1", len(CONTENT) + 1, CONTENT), ("a/1", 30, CONTENT[-30:]), ("empty", 10, b"")):
            result = store.tool("tail", key, n)
            assert (result.returncode, result.stdout, result.stderr) == (0, content, f"size {len(store.server.objects[f'{PREFIX}/{key}'].body)}\n".encode())
        assert outcome(store.tool("tail", "none", 9)) == "ERR_NOTFOUND"
    assert fault.met == 5 and store.server.count("head") == (0 if tells else 2), "HEAD is needed only if the answer does not have the size"


@pytest.mark.parametrize("status", [206, 200])
def test_an_empty_object_is_read_whatever_the_answer_to_a_range_of_it(store, status):
    assert outcome(store.put("empty", b"")) == "done"
    with store.server.fault("empty-range", on="get", status=status):
        tail = store.tool("tail", "empty", 10)
        assert (tail.returncode, tail.stdout, tail.stderr) == (0, b"", b"size 0\n")
        assert outcome(store.tool("get", "empty", 0, 1)) == "ERR_CORRUPT"
        assert store.tool("tail", "a/1", 10).stdout == CONTENT[-10:]


def test_a_range_that_was_not_asked_for_is_never_taken(store):
    for name in ("wrong-range", "short-body"):
        with store.server.fault(name, on="get"):
            for arguments in (("get", "a/1", 10, 20), ("tail", "a/1", 20)):
                assert outcome(store.tool(*arguments, url=store.url(timeout="1s"))) in ("ERR_REMOTE", "ERR_TIMEOUT")


# ---- listings

@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_listing_of_several_pages_is_whole(store, size):
    store.server.page_size = size
    result = store.tool("list", "a/", "a/0")
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [[b"a/1", b"2048"], [b"a/2", b"2048"]]
    assert store.tool("list", "", "").stdout.count(b"\n") == 3 and store.tool("list", "b", "").stdout == b""


def test_a_listing_without_a_token_goes_on_after_the_last_key(store):
    store.server.page_size = 1
    with store.server.fault("no-token"):
        assert store.tool("list", "", "").stdout.count(b"\n") == 3


def test_an_empty_page_is_passed_by_its_token_and_not_for_ever(store):
    store.server.page_size = 2
    with store.server.fault("empty-pages", on="list"):
        result = store.tool("list", "", "")
    assert outcome(result) in ("ERR_REMOTE", "ERR_CONFIG"), result.stdout   # the server refuses the token that it gave
    assert len(store.server.records) < 20


@pytest.mark.parametrize("name", ["endless-list", "page-again"])
def test_a_listing_that_does_not_advance_is_an_error(store, name):
    store.server.page_size = 2
    with store.server.fault(name, on="list", skip=1 if name == "page-again" else 0):
        result = store.tool("list", "", "")
    assert outcome(result) == "ERR_REMOTE" and b"advance" in result.stdout, result.stdout
    assert len(store.server.records) < 20


def test_keys_of_a_page_that_comes_twice_are_not_listed_twice(store):
    store.server.page_size = 2
    with store.server.fault("page-again", on="list", skip=1, times=1):
        result = store.tool("list", "", "")
    lines = result.stdout.splitlines()
    assert outcome(result) == "ERR_REMOTE" or [line.split()[0] for line in lines] == [b"a/0", b"a/1", b"a/2"], result.stdout


def test_keys_of_others_in_the_bucket_are_not_listed(store):
    with store.server.lock:
        alien = store.server.objects[f"{PREFIX}/a/1"]
        for key in ("backup/apple", "backup", PREFIX + "/", PREFIX + "/a/" + "x" * 400, PREFIX + "/a/<&>\"'é☃", "zzz"):
            store.server.objects[key] = alien
    keys = [line.rsplit(b" ", 2)[0] for line in store.tool("list", "", "").stdout.splitlines()]
    assert set(keys) >= {b"a/0", b"a/1", b"a/2"} and not any(key.startswith(b"pple") or key == b"zzz" for key in keys)


# ---- deletions

def test_a_key_that_could_not_be_deleted_is_named(store):
    with store.server.fault("key-errors", on="delete", keys="*/a/1"):
        result = store.tool("remove", "a/0", "a/1", "a/2")
    assert outcome(result) in ("ERR_REMOTE", "ERR_CONFIG") and b"a/1" in result.stdout and b"AccessDenied" in result.stdout
    assert store.keys() == ["a/1"]


def test_a_server_without_deletion_of_many_gets_single_deletions(store):
    def remove():
        with store.server.fault("internal-error", on="delete", times=1, status=501, code="NotImplemented"):
            return store.tool("remove", "a/0", "a/2")
    assert outcome(remove()) == "done" and store.keys() == ["a/1"]
    assert [record.method for record in store.server.requests("delete")] == ["POST", "DELETE", "DELETE"]


def test_a_deletion_carries_its_digest_unless_that_is_switched_off(store):
    assert outcome(store.tool("remove", "a/0", "a/1")) == "done"
    without = store.tool("remove", "a/1", "a/2", url=store.url(content_md5="no"))
    assert outcome(without) == "ERR_CONFIG" and b"Content-MD5" in without.stdout
    assert store.keys() == ["a/2"]


# ---- what a request carries

def test_a_large_body_is_sent_without_expect_100_continue(store):
    body = os.urandom(3 << 20)
    with store.server.fault("silent-continue"):
        before = time.monotonic()
        assert outcome(store.put("large", body)) == "done"
        assert time.monotonic() - before < 0.9 * PATIENCE
    assert stored(store, "large") == body
    assert "expect" not in store.server.requests("put")[0].headers


def test_the_options_of_the_url_are_sent_with_each_object(store, tmp_path):
    key_file = tmp_path / "key"
    key_file.write_text("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n")
    url = store.url(storage_class="STANDARD_IA", sse_c_key_file=key_file, object_lock_mode="GOVERNANCE", object_lock_days=3,
                    header="x-amz-meta-owner:me")
    assert outcome(store.tool("put", KEY, store.file(CONTENT), url=url)) == "done"
    headers = store.server.objects[f"{PREFIX}/{KEY}"].headers
    assert headers["x-amz-storage-class"] == "STANDARD_IA" and headers["x-amz-meta-owner"] == "me"
    assert headers["x-amz-object-lock-mode"] == "GOVERNANCE"
    days = (time.mktime(time.strptime(headers["x-amz-object-lock-retain-until-date"][:19], "%Y-%m-%dT%H:%M:%S")) - time.time()) / 86400
    assert 2.4 < days < 3.6
    assert store.tool("get", KEY, 0, 9, url=url).stdout == CONTENT[:9]
    assert store.tool("tail", KEY, 9, url=url).stdout == CONTENT[-9:]
    assert outcome(store.tool("get", KEY, 0, 9)) == "ERR_CONFIG", "the object is read without its key"
    sse = store.url(sse="aws:kms", sse_kms_key_id="key-1")
    assert outcome(store.tool("put", "kms", store.file(CONTENT), url=sse)) == "done"
    headers = store.server.objects[f"{PREFIX}/kms"].headers
    assert headers["x-amz-server-side-encryption"] == "aws:kms" and headers["x-amz-server-side-encryption-aws-kms-key-id"] == "key-1"
    assert headers["x-amz-server-side-encryption-bucket-key-enabled"] == "true"


def test_the_bucket_is_in_the_path_or_in_the_name_of_the_host(store):
    assert outcome(store.put("path", CONTENT, addressing="path")) == "done"
    endpoint = store.server.url.replace("127.0.0.1", "localhost")
    assert outcome(store.put("vhost", CONTENT, addressing="vhost", endpoint=endpoint)) == "done"
    hosts = [record.headers["host"] for record in store.server.requests("put")]
    assert hosts == [f"127.0.0.1:{store.server.port}", f"bucket.localhost:{store.server.port}"]
    assert stored(store, "path") == stored(store, "vhost") == CONTENT


@pytest.mark.parametrize("prefix", ["", "deep/er/still", "with%20space", "a+b", "%C3%A9%E2%98%83", "a%3Db%26c", "a//b", "a/./b"])
def test_every_prefix_makes_the_round_trip(store, prefix):
    store.server.objects.clear()
    url = store.url(prefix=prefix) if prefix else store.url(prefix="").replace("/?", "?")
    assert outcome(store.tool("put", KEY, store.file(CONTENT), url=url)) == "done"
    assert store.tool("get", KEY, 0, 9, url=url).stdout == CONTENT[:9]
    listing = store.tool("list", "", "", url=url)
    assert listing.stdout.split()[:1] == [KEY.encode()], listing.stdout
    assert outcome(store.tool("remove", KEY, "none", url=url)) == "done"
    assert not store.server.objects
