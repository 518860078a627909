"""The S3 server of the tests, held to the published vectors and to what is known of AWS. Run with

    /usr/bin/python3 -m pytest tests/support/test_s3server.py

The signer here is its own: it shares nothing with the server but the specification."""
import base64
import calendar
import hashlib
import hmac
import http.client
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode

import pytest

import sigv4check
from awsmeta import Role
from httpd import make_certificate
from s3faults import FAULTS
from s3server import S3Server
from sigv4check import Refused

ACCESS, SECRET = "AKTEST", "SKTEST"
AWS_ACCESS, AWS_SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SUITE_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
HOST = "examplebucket.s3.amazonaws.com"


# ---- a client

def hex_sha256(data):
    return hashlib.sha256(data).hexdigest()


def chain(secret, *parts):
    key = ("AWS4" + secret).encode()
    for part in parts:
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def sign(method, path, pairs, headers, payload, access, secret, region, service="s3"):
    """The Authorization header. `headers`: lower-case names; all of them are signed."""
    date = headers["x-amz-date"]
    query = "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs))
    canonical = "\n".join([method, path, query, *(f"{name}:{headers[name]}" for name in sorted(headers)), "", ";".join(sorted(headers)), payload])
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hex_sha256(canonical.encode())}"
    signature = hmac.new(chain(secret, *scope.split("/")), text.encode(), "sha256").hexdigest()
    return f"AWS4-HMAC-SHA256 Credential={access}/{scope},SignedHeaders={';'.join(sorted(headers))},Signature={signature}"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def text(self, name):
        """Of the first element of that name."""
        for element in xml.etree.ElementTree.fromstring(self.body).iter():
            if element.tag.rpartition("}")[2] == name:
                return element.text or ""
        return None

    def all(self, name):
        root = xml.etree.ElementTree.fromstring(self.body)
        return [element.text or "" for element in root.iter() if element.tag.rpartition("}")[2] == name]

    @property
    def code(self):
        return self.text("Code") if self.body.startswith(b"<?xml") else None


class Client:
    """One connection, kept alive."""

    def __init__(self, server, access=ACCESS, secret=SECRET, token="", region="us-east-1", tls=None):
        self.server, self.access, self.secret, self.token, self.region = server, access, secret, token, region
        make = http.client.HTTPSConnection if tls else http.client.HTTPConnection
        self.connection = make("127.0.0.1", server.port, timeout=10, **({"context": tls} if tls else {}))

    def call(self, method, key="", query=(), body=b"", headers=(), bucket="bucket", at=None, payload=None, host=None, unsigned=(), path=None,
             authorization=None, service="s3", length=True):
        pairs = list(dict(query).items())
        if path is None:
            path = f"/{bucket}" + (f"/{quote(key, safe='-_.~/')}" if key else "") if host is None else f"/{quote(key, safe='-_.~/')}"
        seconds = self.server.now() if at is None else at
        sent = {"host": host or f"127.0.0.1:{self.server.port}", "x-amz-date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds)),
                "x-amz-content-sha256": hex_sha256(body) if payload is None else payload, **dict(headers)}
        if self.token:
            sent["x-amz-security-token"] = self.token
        if authorization is None:
            authorization = sign(method, path, pairs, sent, sent["x-amz-content-sha256"], self.access, self.secret, self.region, service)
        target = path + ("?" + urlencode(pairs, quote_via=quote, safe="-_.~") if pairs else "")
        self.connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        if length and (body or method in ("PUT", "POST")):
            sent["content-length"] = str(len(body))
        for name, value in {**sent, **dict(unsigned), "authorization": authorization}.items():
            if name and value is not False:
                self.connection.putheader(name, value)
        self.connection.endheaders(body or None)
        response = self.connection.getresponse()
        return Answer(response.status, response.headers, response.read())

    def put(self, key, body=b"content", **more):
        return self.call("PUT", key, body=body, **more)

    def get(self, key, byte_range=None, **more):
        return self.call("GET", key, headers={**more.pop("headers", {}), **({"range": byte_range} if byte_range else {})}, **more)

    def list(self, prefix="", **query):
        return self.call("GET", query={"list-type": "2", "prefix": prefix, **{name.replace("_", "-"): value for name, value in query.items()}})

    def list_all(self, prefix=""):
        """All pages by their tokens: (keys, how many pages)."""
        keys, more, pages = [], {}, 0
        while True:
            page = self.list(prefix, **more)
            keys += page.all("Key")
            pages += 1
            if page.text("IsTruncated") == "false":
                return keys, pages
            more = {"continuation_token": page.text("NextContinuationToken")}

    def delete_many(self, keys, quiet=True, **more):
        inner = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
        body = f"<Delete><Quiet>{str(quiet).lower()}</Quiet>{inner}</Delete>".encode()
        return self.call("POST", query={"delete": ""}, body=body, headers={"content-md5": md5(body), **more})


def md5(body):
    return base64.b64encode(hashlib.md5(body).digest()).decode()


@pytest.fixture(scope="module")
def shared():
    with S3Server() as server:
        yield server


@pytest.fixture
def server(shared):
    shared.reset()
    shared.imds.role, shared.container.on, shared.container.token = "", False, None
    yield shared
    shared.no_faults()


@pytest.fixture
def client(server):
    return Client(server)


# ---- the published vectors

def seconds_of(date):
    return calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))


WELCOME = b"Welcome to Amazon S3."
VECTORS = {
    "get with range": ("GET", "/test.txt", "", [("Range", "bytes=0-9"), ("x-amz-content-sha256", EMPTY)], b"",
                       "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
                       "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    "put": ("PUT", "/test$file.text", "", [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                                            ("x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072")], WELCOME,
            "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
    "get lifecycle": ("GET", "/", "lifecycle", [("x-amz-content-sha256", EMPTY)], b"",
                      "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
                      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    "list": ("GET", "/", "max-keys=2&prefix=J", [("x-amz-content-sha256", EMPTY)], b"",
             "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
             "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
}
DATE = "20130524T000000Z"
SCOPE = "20130524/us-east-1/s3/aws4_request"


def vector_headers(headers):
    return [("Host", HOST), ("x-amz-date", DATE), *headers]


def authorization_of(headers, signature, access=AWS_ACCESS, scope=SCOPE, separator=","):
    names = ";".join(sorted(name.lower() for name, _ in headers))
    return f"AWS4-HMAC-SHA256 Credential={access}/{scope}{separator}SignedHeaders={names}{separator}Signature={signature}"


def aws():
    authority = sigv4check.Authority({AWS_ACCESS: AWS_SECRET})
    authority.clock_offset = seconds_of(DATE) - time.time()
    return authority


def test_the_signing_key_is_the_published_one():
    assert sigv4check.signing_key(AWS_SECRET, SCOPE).hex() == "dbb893acc010964918f1fd433add87c70e8b0db6be30c1fbeafefa5ec6ba8378"


@pytest.mark.parametrize("name", VECTORS)
def test_a_published_signature_is_accepted_and_a_changed_one_is_not(name):
    method, path, query, more, body, canonical_hash, signature = VECTORS[name]
    headers = vector_headers(more)
    names = sorted(header.lower() for header, _ in headers)
    payload = dict(more)["x-amz-content-sha256"]
    assert hex_sha256(sigv4check.canonical_request(method, path, query, headers, names, payload).encode()) == canonical_hash
    for separator in (",", ", "):
        signed = [*headers, ("Authorization", authorization_of(headers, signature, separator=separator))]
        assert sigv4check.check(aws(), method, path, query, signed, body).access == AWS_ACCESS
    wrong = [*headers, ("Authorization", authorization_of(headers, signature[:-1] + ("0" if signature[-1] != "0" else "1")))]
    with pytest.raises(Refused) as refused:
        sigv4check.check(aws(), method, path, query, wrong, body)
    assert (refused.value.status, refused.value.code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("name", VECTORS)
def test_a_published_request_is_answered_over_the_wire(name):
    method, path, query, more, body, _, signature = VECTORS[name]
    headers = vector_headers(more)
    with S3Server(keys={AWS_ACCESS: AWS_SECRET}, buckets=["examplebucket"], domain="s3.amazonaws.com") as server:
        server.set_clock(seconds_of(DATE) - time.time())
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        target = path + (f"?{query}" if query else "")
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for header, value in [*headers, ("Authorization", authorization_of(headers, signature))]:
            connection.putheader(header, value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        text = answer.read()
        expected = {"get with range": (404, b"NoSuchKey"), "put": (200, b""), "get lifecycle": (404, b"NoSuchLifecycleConfiguration"),
                    "list": (501, b"NotImplemented")}[name]   # beyond the signature it is an ordinary request
        assert answer.status == expected[0] and expected[1] in text, text
        if name == "put":
            assert server.objects["test$file.text"].body == WELCOME
            assert server.objects["test$file.text"].headers["x-amz-storage-class"] == "REDUCED_REDUNDANCY"


def test_the_published_presigned_request_is_accepted_while_it_is_valid():
    query = (f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={AWS_ACCESS}%2F{quote(SCOPE, safe='')}&X-Amz-Date={DATE}&X-Amz-Expires=86400"
             "&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")
    authority = aws()
    assert sigv4check.check(authority, "GET", "/test.txt", query, [("Host", HOST)], b"").access == AWS_ACCESS
    authority.clock_offset += 86401
    with pytest.raises(Refused):
        sigv4check.check(authority, "GET", "/test.txt", query, [("Host", HOST)], b"")


def test_the_published_streaming_request_has_a_good_signature_and_is_refused():
    headers = [("Host", "s3.amazonaws.com"), ("x-amz-date", DATE), ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
               ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), ("Content-Encoding", "aws-chunked"),
               ("x-amz-decoded-content-length", "66560"), ("Content-Length", "66824")]
    seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    signed = [*headers, ("Authorization", authorization_of(headers, seed))]
    with pytest.raises(Refused) as refused:
        sigv4check.check(aws(), "PUT", "/examplebucket/chunkObject.txt", "", signed, b"")
    assert refused.value.code == "NotImplemented"   # and not SignatureDoesNotMatch

    key, previous, found = sigv4check.signing_key(AWS_SECRET, SCOPE), seed, []
    for chunk in (b"a" * 65536, b"a" * 1024, b""):
        text = "\n".join(("AWS4-HMAC-SHA256-PAYLOAD", DATE, SCOPE, previous, EMPTY, hex_sha256(chunk)))
        previous = sigv4check.mac(key, text).hex()
        found.append(previous)
    assert found == ["ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
                     "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
                     "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"]


SUITE_DATE, SUITE_SCOPE = "20150830T123600Z", "20150830/us-east-1/service/aws4_request"
SUITE_TOKEN = ("AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/"
               "qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xV"
               "qr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==")
SUITE = {
    "query-order-key-case": ("GET", "Param2=value2&Param1=value1", [],
                             "816cd5b414d056048ba4f7c5386d6e0533120fb1fcfa93762cf0fc39e2cf19e0",
                             "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    "header-value-trim": ("GET", "", [("My-Header1", " value1"), ("My-Header2", ' "a   b   c"')],
                          "a726db9b0df21c14f559d0a978e563112acb1b9e05476f0a6a1c7d68f28605c7",
                          "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
    "sts-header-before": ("POST", "", [("X-Amz-Security-Token", SUITE_TOKEN)],
                          "c237e1b440d4c63c32ca95b5b99481081cb7b13c7e40434868e71567c1a882f6",
                          "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"),
}


@pytest.mark.parametrize("name", SUITE)
def test_a_case_of_the_generic_suite_has_its_signature(name):
    method, query, more, canonical_hash, signature = SUITE[name]
    headers = [("Host", "example.amazonaws.com"), ("X-Amz-Date", SUITE_DATE), *more]
    names = sorted(header.lower() for header, _ in headers)
    canonical = sigv4check.canonical_request(method, "/", query, headers, names, EMPTY)
    assert hex_sha256(canonical.encode()) == canonical_hash
    assert sigv4check.signature_of(SUITE_SECRET, SUITE_DATE, SUITE_SCOPE, canonical) == signature


# ---- encoding

KEYS = ["with space", "with+plus", "with%41percent", "é☃", "~tilde", "a=b&c", "a;b", "'()*!", "a//b", "@:$,", "what?#", "a/./b/../c", "\"<&>\""]


@pytest.mark.parametrize("key", KEYS)
def test_every_key_makes_the_round_trip(client, server, key):
    assert client.put(key, key.encode()).status == 200
    assert list(server.objects) == [key]
    assert client.get(key).body == key.encode()
    assert client.list().all("Key") == [key]
    assert client.list(prefix=key).all("Key") == [key]
    assert client.call("DELETE", key).status == 204
    assert not server.objects


def test_a_listing_goes_on_by_tokens_that_need_encoding(client, server):
    server.page_size = 2
    for key in KEYS:
        client.put(key)
    keys, pages = client.list_all()
    assert keys == sorted(KEYS, key=str.encode) and pages == (len(KEYS) + 1) // 2


def test_a_path_that_was_not_encoded_by_the_rules_of_s3_does_not_match(client):
    signed_as_sent = "/bucket/a+b"
    assert client.call("PUT", path=signed_as_sent, body=b"x").code == "SignatureDoesNotMatch"
    assert client.call("PUT", path="/bucket/a%2bb", body=b"x").code == "SignatureDoesNotMatch"
    assert client.call("PUT", path="/bucket/a%2Bb", body=b"x").status == 200


# ---- who may

def test_wrong_keys_scopes_and_times_are_told_apart(client, server):
    def code(**more):
        answer = Client(server, **more).put("k")
        return answer.status, answer.code
    assert code() == (200, None)
    assert code(secret="other") == (403, "SignatureDoesNotMatch")
    assert code(access="nobody") == (403, "InvalidAccessKeyId")
    assert code(token="no token is needed") == (400, "InvalidToken")
    answer = Client(server, region="eu-west-9").put("k")
    assert (answer.status, answer.code, answer.text("Region")) == (400, "AuthorizationHeaderMalformed", "us-east-1")
    server.region_answer = "400 with a header"
    answer = Client(server, region="eu-west-9").put("k")
    assert (answer.status, answer.text("Region"), answer.headers["x-amz-bucket-region"]) == (400, None, "us-east-1")
    server.region_answer = "301"
    answer = Client(server, region="eu-west-9").put("k")
    assert (answer.status, answer.code, answer.headers["x-amz-bucket-region"]) == (301, "PermanentRedirect", "us-east-1")
    assert client.put("k", service="sts").code == "AuthorizationHeaderMalformed"
    assert client.put("k", authorization="Basic eDp5").code == "InvalidRequest"
    assert client.put("k", authorization=False).code == "AccessDenied"


@pytest.mark.parametrize("by,good", [(0, True), (14 * 60, True), (-14 * 60, True), (16 * 60, False), (-16 * 60, False)])
def test_a_clock_may_be_wrong_by_fifteen_minutes(client, server, by, good):
    answer = client.put("k", at=server.now() + by)
    assert answer.status == (200 if good else 403)
    if not good:
        assert answer.code == "RequestTimeTooSkewed" and answer.text("MaxAllowedSkewMilliseconds") == "900000" and answer.text("ServerTime")


def test_the_clock_of_the_server_can_be_wrong(client, server):
    server.set_clock(3600)
    refused = client.put("k", at=time.time())
    assert refused.code == "RequestTimeTooSkewed"
    told = calendar.timegm(time.strptime(refused.headers["Date"], "%a, %d %b %Y %H:%M:%S GMT"))
    assert abs(told - time.time() - 3600) < 5
    assert client.put("k", at=told).status == 200


def test_the_body_must_be_what_was_signed(client):
    other = client.put("k", b"content", payload=hex_sha256(b"something else"))
    assert (other.status, other.code) == (400, "XAmzContentSHA256Mismatch")
    assert client.put("k", payload="UNSIGNED-PAYLOAD").status == 200
    assert client.put("k", payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER").status == 501
    assert client.put("k", headers={"content-encoding": "aws-chunked"}).status == 501
    assert client.put("k", payload="not a hash").code == "InvalidArgument"


def test_every_amz_header_and_host_must_be_signed(client, server):
    answer = client.put("k", unsigned={"x-amz-meta-late": "1"})
    assert answer.code == "AccessDenied" and answer.text("HeadersNotSigned") == "x-amz-meta-late"
    headers = {"x-amz-date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), "x-amz-content-sha256": EMPTY}
    without_host = sign("GET", "/bucket/k", [], headers, EMPTY, ACCESS, SECRET, "us-east-1")
    assert client.get("k", authorization=without_host).code == "AuthorizationHeaderMalformed"


def test_a_put_without_content_length_is_refused(server):
    client = Client(server)
    assert client.put("k", b"", length=False).code == "MissingContentLength"
    client = Client(server)
    assert client.put("k", b"", length=False, unsigned={"transfer-encoding": "chunked"}).code == "MissingContentLength"
    assert not server.objects


def test_what_no_client_should_do_is_written_down(client, server):
    client.put("k")
    assert server.complaints == []
    client.put("k", unsigned={"expect": "100-continue"})
    client.put("k", headers={"accept-encoding": "identity"})
    client.put("k", unsigned={"content-type": "text/plain"})
    assert [text.partition(": ")[2] for text in server.complaints] == [
        "Expect: 100-continue", "accept-encoding is signed, and a proxy may change it", "content-type is not signed"]


def test_temporary_keys_need_their_token_and_expire(server):
    key = server.authority.temporary(60)
    good = Client(server, key.access, key.secret, key.token)
    assert good.put("k").status == 200
    assert Client(server, key.access, key.secret).put("k").code == "InvalidAccessKeyId"
    assert Client(server, key.access, key.secret, key.token[:-1]).put("k").code == "InvalidToken"
    server.authority.expire(key.access)
    expired = good.put("k")
    assert (expired.status, expired.code) == (400, "ExpiredToken")


def test_no_secret_is_in_a_record(client, server):
    key = server.authority.temporary(60)
    customer = base64.b64encode(b"k" * 32).decode()
    Client(server, key.access, key.secret, key.token).put("k", headers=sse_c(b"k" * 32))
    told = repr(server.records) + repr(server.objects) + repr(server.authority.keys)
    for secret in (SECRET, key.secret, key.token, customer, "Signature="):
        assert secret not in told


# ---- operations

def test_objects_come_back_whole_and_in_parts(client, server):
    body = bytes(range(256)) * 10
    put = client.put("a/b", body)
    assert put.headers["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    whole = client.get("a/b")
    assert (whole.status, whole.body) == (200, body) and "Content-Range" not in whole.headers
    for text, first, last in (("bytes=0-9", 0, 9), ("bytes=100-", 100, 2559), ("bytes=-5", 2555, 2559), ("bytes=2550-9999", 2550, 2559),
                              ("bytes=-9999", 0, 2559)):
        part = client.get("a/b", text)
        assert (part.status, part.body) == (206, body[first:last + 1])
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/2560"
    beyond = client.get("a/b", "bytes=2560-2570")
    assert (beyond.status, beyond.code, beyond.headers["Content-Range"]) == (416, "InvalidRange", "bytes */2560")
    assert client.get("a/b", "bytes=9-2").status == 200
    head = client.call("HEAD", "a/b")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "2560")
    assert client.get("nothing").code == "NoSuchKey"
    assert client.call("HEAD", "nothing").status == 404
    assert client.get("k", bucket="elsewhere").code == "NoSuchBucket"


def test_an_empty_object_has_no_range(client):
    client.put("k", b"")
    assert client.get("k").status == 200
    assert client.get("k", "bytes=0-0").status == 416
    assert client.get("k", "bytes=-1").status == 416


def test_of_many_exclusive_puts_one_succeeds(server):
    statuses = []

    def one(n):
        statuses.append(Client(server).put("k", b"%d" % n, headers={"if-none-match": "*"}).status)
    threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [412] * 7


def test_conditions_are_those_of_aws(client):
    assert client.put("k", b"1", headers={"if-none-match": "*"}).status == 200
    refused = client.put("k", b"2", headers={"if-none-match": "*"})
    assert (refused.status, refused.code, refused.text("Condition")) == (412, "PreconditionFailed", "If-None-Match")
    assert client.put("k", b"2", headers={"if-none-match": '"etag"'}).status == 501
    etag = client.get("k").headers["ETag"]
    assert client.get("k", headers={"if-match": etag}).status == 200
    assert client.get("k", headers={"if-match": '"other"'}).status == 412
    assert client.put("k", b"3", headers={"if-match": etag}).status == 200
    assert client.put("none", b"3", headers={"if-match": etag}).code == "NoSuchKey"


def test_the_md5_of_a_body_is_checked(client):
    assert client.put("k", headers={"content-md5": md5(b"content")}).status == 200
    assert client.put("k", headers={"content-md5": md5(b"other")}).code == "BadDigest"
    assert client.put("k", headers={"content-md5": "x"}).code == "InvalidDigest"


def sse_c(key, algorithm="AES256"):
    prefix = "x-amz-server-side-encryption-customer-"
    return {prefix + "algorithm": algorithm, prefix + "key": base64.b64encode(key).decode(), prefix + "key-md5": md5(key)}


def test_an_object_with_the_customers_key_is_read_with_that_key(client):
    headers = sse_c(b"k" * 32)
    assert client.put("k", headers=headers).status == 200
    assert client.get("k", headers=headers).status == 200
    assert client.get("k").code == "InvalidRequest"
    assert client.get("k", headers=sse_c(b"j" * 32)).code == "AccessDenied"
    assert client.call("HEAD", "k").status == 400
    assert client.put("k", headers=sse_c(b"short")).code == "InvalidArgument"
    assert client.put("k", headers={**headers, "x-amz-server-side-encryption-customer-key-md5": md5(b"x")}).code == "InvalidArgument"
    client.put("plain")
    assert client.get("plain", headers=headers).code == "InvalidRequest"


def test_storage_class_encryption_and_lock_are_remembered_and_checked(client, server):
    assert client.put("k", headers={"x-amz-storage-class": "STANDARD_IA", "x-amz-server-side-encryption": "AES256"}).status == 200
    assert server.objects["k"].headers["x-amz-storage-class"] == "STANDARD_IA"
    assert client.put("k", headers={"x-amz-storage-class": "COLD"}).code == "InvalidStorageClass"
    assert client.put("k", headers={"x-amz-server-side-encryption": "ROT13"}).code == "InvalidArgument"
    assert client.put("k", headers={"x-amz-server-side-encryption-aws-kms-key-id": "1"}).code == "InvalidArgument"
    lock = {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "2099-01-01T00:00:00Z"}
    assert client.put("k", headers=lock).code == "InvalidRequest"   # without a checksum
    assert client.put("k", headers={**lock, "content-md5": md5(b"content")}).status == 200
    past = {**lock, "x-amz-object-lock-retain-until-date": "2001-01-01T00:00:00Z", "content-md5": md5(b"content")}
    assert client.put("k", headers=past).code == "InvalidArgument"


def test_listings_have_prefix_pages_and_a_start(client, server):
    for n in range(25):
        client.put(f"p/{n:02d}")
    client.put("q/1")
    assert client.list("p/").all("Key") == [f"p/{n:02d}" for n in range(25)]
    assert client.list("p/", start_after="p/19").all("Key") == [f"p/{n:02d}" for n in range(20, 25)]
    page = client.list("p/", max_keys="10")
    assert page.text("KeyCount") == "10" and page.text("IsTruncated") == "true"
    following = client.list("p/", max_keys="10", continuation_token=page.text("NextContinuationToken"))
    assert following.all("Key")[0] == "p/10"
    assert client.list("p/", continuation_token="nonsense").code == "InvalidArgument"
    assert client.list(delimiter="/").all("CommonPrefixes") and client.list(delimiter="/").all("Prefix")[1:] == ["p/", "q/"]
    assert client.list(encoding_type="url", prefix="p/0").all("Key")[0] == "p/00"
    server.page_size = 3
    assert client.list_all() == ([f"p/{n:02d}" for n in range(25)] + ["q/1"], 9)
    assert client.call("GET", query={"prefix": "p/"}).status == 501   # version 1


def test_many_objects_are_deleted_at_once_and_a_digest_is_demanded(client, server):
    for n in range(5):
        client.put(f"k{n}")
    answer = client.delete_many(["k0", "k1", "not there"], quiet=False)
    assert answer.status == 200 and answer.all("Key") == ["k0", "k1", "not there"]
    assert client.delete_many(["k2"]).all("Key") == []
    assert sorted(server.objects) == ["k3", "k4"]
    body = b"<Delete><Object><Key>k3</Key></Object></Delete>"
    assert client.call("POST", query={"delete": ""}, body=body).code == "InvalidRequest"
    assert client.call("POST", query={"delete": ""}, body=b"<Delete>", headers={"content-md5": md5(b"<Delete>")}).code == "MalformedXML"
    assert client.delete_many([f"k{n}" for n in range(1001)]).code == "MalformedXML"
    with server.fault("key-errors", on="delete", keys="k3"):
        answer = client.delete_many(["k3", "k4"])
    assert answer.all("Key") == ["k3"] and answer.text("Code") == "AccessDenied"
    assert list(server.objects) == ["k3"]


def test_buckets_are_made_and_asked_for(client, server):
    assert client.call("HEAD", bucket="new").status == 404
    assert client.call("PUT", bucket="new").status == 200
    assert client.call("PUT", bucket="new").code == "BucketAlreadyOwnedByYou"
    assert client.call("HEAD", bucket="new").headers["x-amz-bucket-region"] == "us-east-1"
    anonymous = client.call("HEAD", bucket="new", authorization=False)
    assert anonymous.status == 403 and anonymous.headers["x-amz-bucket-region"] == "us-east-1"
    del server.buckets["new"]


def test_a_bucket_can_be_the_first_label_of_the_host(client, server):
    host = f"bucket.localhost:{server.port}"
    assert client.put("a/b", host=host).status == 200
    assert list(server.objects) == ["a/b"]
    assert client.get("a/b", host=host).body == b"content"


def test_an_endpoint_can_have_a_path():
    with S3Server(base_path="/storage/v1/s3") as server:
        client = Client(server)
        assert client.call("PUT", path="/storage/v1/s3/bucket/k", body=b"x").status == 200
        assert list(server.objects) == ["k"]
        assert client.put("k").status == 404


def test_requests_are_recorded_and_counted(client, server):
    client.put("k")
    client.get("k", "bytes=0-1")
    client.get("nothing")
    client.list()
    client.call("DELETE", "k")
    assert [(record.kind, record.key, record.status) for record in server.records] == [
        ("put", "k", 200), ("get", "k", 206), ("get", "nothing", 404), ("list", "", 200), ("delete", "k", 204)]
    assert server.count("get") == 2 and server.count() == 5 and server.count("put", "list") == 2
    assert len({record.connection for record in server.records}) == 1, "the connection was kept"
    assert server.records[1].headers["range"] == "bytes=0-1" and server.records[0].received == 7 and server.records[1].sent == 2


# ---- faults

def outcome(server, call):
    """(status, code) of the answer, or "closed": there was none, or half of one; or "silent": nothing within the time."""
    client = Client(server)
    client.connection.timeout = 0.5
    try:
        answer = call(client)
        return answer.status, answer.code
    except (TimeoutError, socket.timeout):
        return "silent"
    except (http.client.HTTPException, ConnectionError, ssl.SSLError):
        return "closed"


def put(client):
    return client.put("k", b"new content", headers={"if-none-match": "*"})


def get(client):
    return client.get("old", "bytes=2-11")


BODY = bytes(range(200))


@pytest.fixture
def old(server, client):
    """An object of long ago."""
    client.put("old", BODY)
    return server


@pytest.mark.parametrize("name,status,code,header", [
    ("slow-down", 503, "SlowDown", "Retry-After"), ("internal-error", 500, "InternalError", None), ("bad-gateway", 502, None, None),
    ("empty-error", 500, None, None), ("request-timeout", 400, "RequestTimeout", None), ("timeout-408", 408, "RequestCanceled", None),
    ("too-many", 429, "TooManyRequests", None), ("access-denied", 403, "AccessDenied", None),
    ("no-such-bucket", 404, "NoSuchBucket", None), ("no-such-key", 404, "NoSuchKey", None),
    ("signature", 403, "SignatureDoesNotMatch", None), ("unauthorized", 401, "Unauthorized", None),
    ("expired-token", 400, "ExpiredToken", None), ("other-region", 400, "AuthorizationHeaderMalformed", "x-amz-bucket-region"),
    ("moved", 301, "PermanentRedirect", "x-amz-bucket-region"), ("no-condition", 501, "NotImplemented", None),
    ("conflict", 409, "ConditionalRequestConflict", None), ("error-in-200", 200, "InternalError", None)])
def test_a_request_is_refused_on_command_and_nothing_is_stored(old, client, name, status, code, header):
    with old.fault(name, on="put", times=1) as fault:
        answer = put(client)
        assert (answer.status, answer.code) == (status, code)
        assert header is None or header in answer.headers
        assert fault.met == 1 and "k" not in old.objects
        assert get(client).status == 206, "another kind does not meet it"
        assert put(client).status == 200, "it was for one request"
    assert client.get("k").body == b"new content"


@pytest.mark.parametrize("name,expected,stored", [
    ("internal-error-stored", (500, "InternalError"), True), ("close-before-body", "closed", False), ("close-unstored", "closed", False),
    ("close-stored", "closed", True), ("close-in-head", "closed", True), ("stall", "silent", False), ("stall-stored", "silent", True),
    ("stall-before-body", "silent", False), ("no-etag", (200, None), True), ("skewed-date", (200, None), True),
    ("close-quietly", (200, None), True)])
def test_a_put_fails_on_command_before_or_after_it_is_stored(old, name, expected, stored):
    with old.fault(name, on="put", times=1, bytes=5) as fault:
        assert outcome(old, put) == expected
        fault.wait_met()
        assert ("k" in old.objects) == stored
    if name == "stall":
        assert old.wait(lambda: "k" in old.objects), "what was held back goes on"


@pytest.mark.parametrize("name,expected", [
    ("close-after-head", "closed"), ("close-half-way", "closed"), ("close-in-head", "closed"), ("stall-half-way", "silent"), ("drip", (206, None)),
    ("short-body", (206, None)), ("stall", "silent"), ("flipped-byte", (206, None)), ("wrong-range", (206, None)), ("ignores-range", (200, None))])
def test_a_get_fails_on_command(old, name, expected):
    with old.fault(name, on="get", times=1, pause=0.001, bytes=5):
        assert outcome(old, get) == expected
    assert outcome(old, get) == (206, None)


def test_spoilt_answers_are_spoilt_in_the_way_they_say(old, client):
    with old.fault("short-body"):
        assert get(client).body == BODY[2:7]
    with old.fault("flipped-byte"):
        body = get(client).body
        assert len(body) == 10 and sum(a != b for a, b in zip(body, BODY[2:12])) == 1
    with old.fault("wrong-range"):
        assert get(client).headers["Content-Range"] == "bytes 3-12/202"
    with old.fault("ignores-range"):
        assert get(client).body == BODY and "Content-Range" not in get(client).headers
    with old.fault("no-etag"):
        assert "ETag" not in client.put("k").headers
    with old.fault("skewed-date", by=-7200):
        told = client.get("old").headers["Date"]
        assert abs(calendar.timegm(time.strptime(told, "%a, %d %b %Y %H:%M:%S GMT")) - time.time() + 7200) < 5
    with old.fault("ignores-condition"):
        client.put("k", b"1")
        assert client.put("k", b"2", headers={"if-none-match": "*"}).status == 200 and old.objects["k"].body == b"2"
    with old.fault("huge-head", kib=80):
        assert sum(map(len, client.get("old").headers.values())) > 80_000
    with old.fault("latency", seconds=0.1):
        before = time.monotonic()
        assert client.get("old").status == 200 and time.monotonic() - before >= 0.1
    with old.fault("slow-down", retry_after=7):
        assert client.get("old").headers["Retry-After"] == "7"
    with old.fault("slow-down", retry_after=None):
        assert "Retry-After" not in client.get("old").headers


def test_a_connection_that_closes_quietly_looks_open(old, client):
    with old.fault("close-quietly", times=1):
        answer = client.get("old")
    assert answer.status == 200 and answer.headers["Connection"] == "keep-alive"
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        client.get("old")


@pytest.mark.parametrize("name,within", [("deep-xml", b"<Error><Error><Error>"), ("entity-xml", b"<!ENTITY"), ("huge-error", b"xxxxxxxx")])
def test_an_error_can_be_an_attack_on_its_reader(old, client, name, within):
    with old.fault(name, times=1):
        answer = client.get("old")
    assert answer.status == 500 and within in answer.body
    assert len(answer.body) > (1 << 20) or name != "huge-error"


def test_expect_gets_its_continue_unless_the_server_is_silent(server):
    def ask(timeout):
        body = b"content"
        with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as raw:
            raw.sendall(b"PUT /bucket/k HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body))
            try:
                first = raw.recv(1000)
            except (TimeoutError, socket.timeout):
                first = b""
            raw.sendall(body)
            return first
    assert ask(5).startswith(b"HTTP/1.1 100 ")
    with server.fault("silent-continue"):
        assert ask(0.2) == b""
    assert server.wait(lambda: "PUT /bucket/k: Expect: 100-continue" in server.complaints)


def test_listings_fail_on_command(client, server):
    for n in range(10):
        client.put(f"k{n}")
    server.page_size = 4
    first = client.list()
    token = first.text("NextContinuationToken")
    with server.fault("page-again", on="list", times=1):
        assert client.list(continuation_token=token).all("Key") == first.all("Key")
        assert client.list(continuation_token=token).all("Key") == ["k4", "k5", "k6", "k7"]
    with server.fault("endless-list", on="list"):
        for _ in range(3):
            page = client.list(continuation_token=token)
            assert page.all("Key") == first.all("Key") and page.text("IsTruncated") == "true" and page.text("NextContinuationToken")
    with server.fault("empty-pages", on="list"):
        page = client.list(prefix="none")
        assert page.all("Key") == [] and page.text("IsTruncated") == "true" and page.text("NextContinuationToken")
    with server.fault("no-token", on="list"):
        page = client.list()
        assert page.text("IsTruncated") == "true" and page.text("NextContinuationToken") is None
    with server.fault("cut-xml", on="list"), pytest.raises(xml.etree.ElementTree.ParseError):
        client.list().all("Key")
    keys = client.list().all("Key")
    with server.fault("backwards", on="list"):
        assert client.list().all("Key") == keys[::-1]
    with server.fault("endless-pages", on="list", keys=2):
        pages = [client.list(prefix="k<") for _ in range(3)]
    assert sorted({key for page in pages for key in page.all("Key")}) == [key for page in pages for key in page.all("Key")]
    assert all(len(page.all("Key")) == 2 and page.all("Key")[0].startswith("k<") and page.text("IsTruncated") == "true" for page in pages)
    assert len({page.text("NextContinuationToken") for page in pages}) == 3
    with server.fault("leaves-out", on="list", keys=keys[0]):
        assert client.list().all("Key") == keys[1:]
    with server.fault("twice", on="list", keys=keys[-1]):
        assert client.list().all("Key") == [*keys, keys[-1]]


def test_a_look_and_a_put_in_two_steps_let_two_puts_win(old, client):
    with old.fault("looks-then-stores", on="put", seconds=3600) as fault, ThreadPoolExecutor(2) as pool:
        both = [pool.submit(put, Client(old)) for _ in range(2)]
        fault.wait_looked(2)
        fault.off()
        assert [future.result().status for future in both] == [200, 200]
    with old.fault("looks-then-stores", on="put"):
        assert put(client).status == 412


def test_ranges_and_empty_objects_as_other_servers_answer(old, client):
    client.put("empty", b"")
    with old.fault("range-beyond-all", tells=True):
        assert (client.get("old", "bytes=-201").status, client.get("old", "bytes=-201").headers["Content-Range"]) == (416, "bytes */200")
        assert client.get("old", "bytes=-200").body == BODY
    with old.fault("empty-range"):
        assert (client.get("empty", "bytes=-9").status, client.get("empty", "bytes=-9").headers["Content-Range"]) == (206, "bytes 0--1/0")
        assert client.get("old", "bytes=-9").body == BODY[-9:]
    with old.fault("empty-range", status=200):
        assert (client.get("empty", "bytes=-9").status, client.get("empty", "bytes=-9").body) == (200, b"")


def test_an_object_can_be_stored_though_its_lock_is_refused(old, client):
    lock = {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "2999-01-01T00:00:00Z"}
    with old.fault("lock-refused-stored"):
        assert client.put("k", b"1", headers=lock).code == "InvalidRequest"
        assert client.put("plain", b"1").status == 200
    assert old.objects["k"].body == b"1" and "x-amz-object-lock-mode" not in old.objects["k"].headers


def test_a_fault_can_be_for_some_keys_and_after_some_requests(client, server):
    with server.fault("access-denied", on=("put", "get"), key="*/0/*", times=1, skip=1):
        assert [client.put(key).status for key in ("p/0/1", "p/base/1", "p/0/2", "p/0/3")] == [200, 200, 403, 200]


def test_every_fault_is_tried_here():
    text = Path(__file__).read_text()
    assert [name for name in FAULTS if f'"{name}"' not in text] == []


def test_a_server_that_is_down_comes_back_at_the_same_place(old, client):
    port = old.port
    old.down()
    assert outcome(old, get) == "closed"
    old.up()
    assert old.port == port and outcome(old, get) == (206, None)


def test_it_speaks_tls(tmp_path):
    pem, trusted = make_certificate(tmp_path)
    with S3Server(tls=pem) as server:
        assert server.url.startswith("https://")
        assert Client(server, tls=ssl.create_default_context(cafile=trusted)).put("k").status == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            Client(server, tls=ssl.create_default_context()).put("k")


def test_as_a_program_it_ends_with_its_standard_input():
    program = Path(__file__).with_name("s3server.py")
    command = [sys.executable, program, "--bucket", "b", "--key", "A:S", "--fault", "access-denied:get:1"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    class There:
        port = int(process.stdout.readline().rsplit(b":", 1)[1])
        now = staticmethod(time.time)
    client = Client(There, "A", "S")
    assert client.put("k", bucket="b").status == 200
    assert [client.get("k", bucket="b").status for _ in range(2)] == [403, 200]
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()


def test_as_a_program_it_ends_when_its_time_is_over():
    command = [sys.executable, Path(__file__).with_name("s3server.py"), "--seconds", "0.1"]
    assert subprocess.run(command, stdin=subprocess.PIPE, capture_output=True, timeout=20).returncode == 0


# ---- where temporary keys come from

def ask(server, method, path, headers=(), body=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(method, path, body=body, headers=dict(headers))
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def may_put(server, access, secret, token):
    return Client(server, access, secret, token).put("k").status == 200


def test_the_instance_hands_out_keys_for_its_token(server):
    assert ask(server, "GET", "/latest/meta-data/iam/security-credentials/").status == 404   # off
    server.imds.role = "app"
    roles = "/latest/meta-data/iam/security-credentials/"
    assert ask(server, "GET", roles).status == 401
    assert ask(server, "PUT", "/latest/api/token", {"content-length": "0"}).status == 400
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
    assert ask(server, "PUT", "/latest/api/token", {**lifetime, "X-Forwarded-For": "1.2.3.4"}).status == 403
    token = {"X-aws-ec2-metadata-token": ask(server, "PUT", "/latest/api/token", lifetime).body.decode()}
    assert ask(server, "GET", roles, token).body == b"app"
    keys = json.loads(ask(server, "GET", roles + "app", token).body)
    assert keys["Code"] == "Success" and keys["Expiration"].endswith("Z")
    assert may_put(server, keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"])
    server.authority.expire()
    assert not may_put(server, keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"])
    assert ask(server, "GET", roles + "other", token).status == 404
    assert ask(server, "GET", "/latest/meta-data/placement/region", token).body == b"us-east-1"
    server.imds.forget_tokens()
    assert ask(server, "GET", roles, token).status == 401
    with server.fault("unauthorized", on="imds"):
        assert ask(server, "PUT", "/latest/api/token", lifetime).status == 401


def test_the_container_endpoint_may_ask_for_a_token(server):
    assert ask(server, "GET", server.container.path).status == 404
    server.container.on = True
    keys = json.loads(ask(server, "GET", server.container.path).body)
    assert may_put(server, keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"])
    server.container.token = "secret of the pod"
    assert ask(server, "GET", server.container.path).status == 401
    assert ask(server, "GET", server.container.path, {"Authorization": "secret of the pod"}).status == 200


def form(**values):
    return urlencode({"Version": "2011-06-15", "RoleSessionName": "seawall", **values})


def assume(server, client, body):
    return client.call("POST", path="/", body=body.encode(), headers={"content-type": "application/x-www-form-urlencoded"}, service="sts")


def test_a_role_is_assumed_by_whom_it_trusts(server, client):
    role = "arn:aws:iam::1:role/app"
    server.sts.roles = {role: Role({ACCESS}, "partner")}
    body = form(Action="AssumeRole", RoleArn=role, ExternalId="partner", DurationSeconds="900")
    answer = assume(server, client, body)
    assert answer.status == 200, answer.body
    assert may_put(server, answer.text("AccessKeyId"), answer.text("SecretAccessKey"), answer.text("SessionToken"))
    assert parse_qs(body)["DurationSeconds"] == [server.sts.asked[-1]["DurationSeconds"]]
    assert assume(server, client, form(Action="AssumeRole", RoleArn=role)).code is None
    for wrong, code in ((form(Action="AssumeRole", RoleArn=role), "AccessDenied"), (form(Action="AssumeRole", RoleArn="x", ExternalId="partner"),
                        "AccessDenied"), (form(Action="Sing"), "InvalidAction"),
                        (form(Action="AssumeRole", RoleArn=role, DurationSeconds="899"), "ValidationError")):
        assert assume(server, client, wrong).text("Code") == code
    thief = Client(server, secret="guessed")
    assert assume(server, thief, body).text("Code") == "SignatureDoesNotMatch"
    assert client.call("POST", path="/", body=body.encode()).text("Code") == "AuthorizationHeaderMalformed"   # signed for s3


def test_a_web_identity_is_exchanged_without_a_signature(server):
    role = "arn:aws:iam::1:role/pod"
    server.sts.roles = {role: Role(web_token="header.claims.signature")}
    body = form(Action="AssumeRoleWithWebIdentity", RoleArn=role, WebIdentityToken="header.claims.signature")
    answer = ask(server, "POST", "/", body=body)
    assert answer.status == 200, answer.body
    assert may_put(server, answer.text("AccessKeyId"), answer.text("SecretAccessKey"), answer.text("SessionToken"))
    assert "header.claims" not in repr(server.sts.asked) + repr(server.records)
    other = form(Action="AssumeRoleWithWebIdentity", RoleArn=role, WebIdentityToken="stale")
    assert b"InvalidIdentityToken" in ask(server, "POST", "/", body=other).body
    server.sts.roles[role].web_token_expired = True
    assert b"ExpiredTokenException" in ask(server, "POST", "/", body=body).body
