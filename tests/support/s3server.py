#!/usr/bin/env python3
"""An S3 server in memory, for tests. It is strict where AWS is strict, and has faults that a test can switch on.

    with S3Server(keys={"AKTEST": "SKTEST"}, buckets=["bucket"]) as server:
        server.url                          http://127.0.0.1:PORT, the endpoint
        server.objects["p/seawall.json"]    what the first bucket holds: Object with body, etag, modified, headers
        server.count("put")                 how many requests of a kind; server.records has them all
        server.rules["lifecycle"]           what GET ?lifecycle answers: the inside of the document; also versioning, object-lock
        server.complaints                   requests that were answered, but that no client should send
        with server.fault("slow-down", on="put", key="*/0/*", times=3) as fault: ...

Kinds: put, get, head, list, delete (one object, or many by POST ?delete), bucket (HEAD or PUT of one), rules (GET ?versioning and the
other keys of RULES), imds, container, sts, other.
s3faults.py has the faults. Each signature is checked against the request as it arrived (sigv4check.py). The first label of a Host
below `domain` is the bucket; otherwise the first segment of the path is.

As a program it serves until its standard input ends, or --seconds have passed:

    s3server.py --port 9000 --bucket bucket --key AKTEST:SKTEST [--tls PEM] [--fault NAME:KIND[:TIMES]] [--verbose]
"""
import argparse
import base64
import collections
import dataclasses
import hashlib
import re
import secrets
import sys
import threading
import time
import xml.etree.ElementTree
from urllib.parse import unquote
from xml.sax.saxutils import escape

import awsmeta
import sigv4check
from httpd import BODY_MAX, Answer, Closed, Server, http_date
from s3faults import Fault
from sigv4check import Refused

XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"
SECRET_HEADERS = {"authorization", "x-amz-security-token", "x-aws-ec2-metadata-token", "x-amz-server-side-encryption-customer-key"}
SSE_C = "x-amz-server-side-encryption-customer-"
STORAGE_CLASSES = {"STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE",
                   "GLACIER_IR"}
LIST_MAX = DELETE_MAX = 1000
RULES = {"versioning": None, "object-lock": "ObjectLockConfigurationNotFoundError", "lifecycle": "NoSuchLifecycleConfiguration"}


@dataclasses.dataclass
class Object:
    body: bytes
    etag: str
    modified: float       # by the server's clock
    headers: dict         # content-type and x-amz-* of the PUT, without secrets
    sse_c_md5: str = ""   # of the customer's key


@dataclasses.dataclass
class Record:
    """One request. `status` 0: the client got no answer, or a part of one."""
    number: int
    kind: str
    method: str
    bucket: str
    key: str
    query: str
    headers: dict         # lower-case names, without secrets
    connection: int
    status: int = 0
    code: str = ""
    received: int = 0     # bytes of the body
    sent: int = 0
    started: float = 0    # monotonic
    ended: float = 0


class S3Server(Server):
    def __init__(self, port=0, tls=None, keys=None, buckets=("bucket",), region="us-east-1", domain="localhost", base_path="",
                 page_size=LIST_MAX, authority=None, allow_unsigned=True):
        super().__init__(port, tls)
        self.authority = authority or sigv4check.Authority({"AKTEST": "SKTEST"} if keys is None else keys)
        self.region = self.region_at_first = region
        self.domain, self.base_path = domain, base_path
        self.page_size, self.allow_unsigned = page_size, allow_unsigned
        self.buckets = {name: {} for name in buckets}
        self.imds, self.container, self.sts = (source(self.authority) for source in (awsmeta.Imds, awsmeta.Container, awsmeta.Sts))
        self.faults, self.records, self.complaints = [], [], []
        self.counts = collections.Counter()
        self.rules = {}
        self.region_answer = "400"   # the answer to a signature for another region; or "400 with a header", "301"
        self.log = None

    # ---- for tests

    @property
    def objects(self):
        return next(iter(self.buckets.values()))

    def fault(self, name, on=None, key="*", times=None, skip=0, **values):
        fault = Fault(self, name, on, key, times, skip, **values)
        with self.lock:
            self.faults.append(fault)
        return fault

    def no_faults(self):
        for fault in list(self.faults):
            fault.off()

    def count(self, *kinds):
        """How many requests came: of these kinds, or of all."""
        with self.lock:
            return sum(self.counts[kind] for kind in kinds) if kinds else sum(self.counts.values())

    def requests(self, kind=None, since=0):
        with self.lock:
            return [record for record in self.records[since:] if kind in (None, record.kind)]

    def set_clock(self, seconds_ahead):
        """Sets the clock of the Date header, and by which signatures and expiry are checked."""
        self.clock_offset = self.authority.clock_offset = seconds_ahead

    def reset(self):
        """Removes all objects, faults, records and connections. The keys stay."""
        self.no_faults()
        self.drop_connections()
        assert self.wait(lambda: not self.connections), "a request does not end"
        with self.lock:
            for objects in self.buckets.values():
                objects.clear()
            self.records.clear()
            self.counts.clear()
            self.complaints.clear()
            self.rules.clear()
            self.set_clock(0)
            self.region, self.region_answer = self.region_at_first, "400"
            self.page_size = LIST_MAX

    def stop(self):
        self.no_faults()
        super().stop()

    # ---- one request

    def handle(self, connection, exchange):
        self.name_request(exchange)
        record = Record(0, exchange.kind, exchange.method, exchange.bucket or "", exchange.key, exchange.query,
                        {name.lower(): value.strip() for name, value in exchange.headers if name.lower() not in SECRET_HEADERS},
                        exchange.connection, started=time.monotonic())
        exchange.record, exchange.silent, exchange.refused_keys = record, False, None
        with self.changed:
            record.number = len(self.records)
            self.records.append(record)
            self.counts[exchange.kind] += 1
            met = [fault for fault in list(self.faults) if fault.takes(exchange.kind, exchange.key)]
            self.changed.notify_all()
        try:
            self.exchange(connection, exchange, met)
        finally:
            record.ended, record.received = time.monotonic(), len(exchange.body)
            if self.log:
                print(f"{record.number} {record.method} {record.bucket}/{record.key} {record.query} -> {record.status} {record.code}",
                      file=self.log, flush=True)
            with self.changed:
                self.changed.notify_all()

    def exchange(self, connection, exchange, met):
        record = exchange.record
        for fault in met:
            if fault.before:
                fault.before(fault, connection, exchange)
        answer = self.receive(connection, exchange)
        if answer is None:
            answer = self.decide(exchange, met)
        for fault in met:
            if fault.after:
                answer = fault.after(fault, self, exchange, answer)
        answer.set("x-amz-request-id", f"{record.number:016X}")
        answer.set("x-amz-id-2", base64.b64encode(hashlib.sha256(b"%d" % record.number).digest()).decode())
        record.status = answer.status
        record.code = found.group(1).decode() if (found := re.search(rb"<Code>(\w+)</Code>", answer.body[:1000])) else ""
        if exchange.method == "HEAD":
            answer.length, answer.body = len(answer.body) if answer.length is None else answer.length, b""
        record.sent = len(answer.body)
        sends = next((fault for fault in met if fault.sends), None)
        try:
            if sends:
                sends.sends(sends, connection, exchange, answer)
            else:
                connection.send(answer, exchange.close)
        except (Closed, OSError):
            record.status = 0
            raise

    def decide(self, exchange, met):
        try:
            exchange.signer = self.authenticated(exchange)
            for fault in met:
                answer = fault.instead(fault, self, exchange) if fault.instead else None
                if answer is not None:
                    return answer
            return self.answer_to(exchange)
        except Refused as refused:
            return self.error(exchange, refused)

    def receive(self, connection, exchange):
        """Reads the body. Returns an answer if it can't be read."""
        length = exchange.header("content-length")
        if exchange.header("transfer-encoding") or (exchange.method in ("PUT", "POST") and not length):
            exchange.close = True
            return self.error(exchange, Refused(411, "MissingContentLength", "You must provide the Content-Length HTTP header."))
        if length and (not length.isdigit() or int(length) > BODY_MAX):
            exchange.close = True
            return self.error(exchange, Refused(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size",
                                                {"ProposedSize": length, "MaxSizeAllowed": str(BODY_MAX)}))
        connection.read_body(exchange, int(length or 0), not exchange.silent)
        return None

    def name_request(self, exchange):
        """Sets kind, bucket and key of the exchange."""
        exchange.bucket, exchange.key, exchange.service = None, "", None
        if exchange.path.startswith("/latest/"):
            exchange.kind, exchange.service = "imds", self.imds if self.imds.role else None
            return
        if exchange.path == self.container.path:
            exchange.kind, exchange.service = "container", self.container if self.container.on else None
            return
        path = exchange.path[len(self.base_path):] if exchange.path.startswith(self.base_path) else ""
        host = exchange.header("host").rsplit(":", 1)[0].lower()
        if host.endswith("." + self.domain):
            exchange.bucket, key = host[:-len(self.domain) - 1], path[1:]
        else:
            exchange.bucket, _, key = path[1:].partition("/")
        exchange.key = unquote(key, errors="surrogateescape")
        named = {name.decode("latin-1") for name, _ in sigv4check.query_pairs(exchange.query)}
        if not exchange.bucket and (exchange.method == "POST" or "Action" in named):
            exchange.kind, exchange.service = "sts", self.sts
        elif exchange.key:
            exchange.kind = {"PUT": "put", "GET": "get", "HEAD": "head", "DELETE": "delete"}.get(exchange.method, "other")
        elif exchange.method == "GET" and named & {"list-type", "prefix"}:
            exchange.kind = "list"
        elif exchange.method == "POST" and "delete" in named:
            exchange.kind = "delete"
        elif exchange.method == "GET" and named & RULES.keys():
            exchange.kind = "rules"
        else:
            exchange.kind = "bucket" if exchange.method in ("HEAD", "PUT") and exchange.bucket else "other"

    def authenticated(self, exchange):
        if exchange.kind in ("imds", "container", "sts"):   # awsmeta.py checks these
            return None
        if "aws-chunked" in exchange.header("content-encoding"):
            raise Refused(501, "NotImplemented", "A header you provided implies functionality that is not implemented",
                          {"Header": "Content-Encoding"})
        try:
            claim = sigv4check.claim_of(exchange.query, exchange.headers)
            self.complain(exchange, sigv4check.complaints(exchange.headers, claim.names if claim else None))
            key = sigv4check.check(self.authority, exchange.method, exchange.path, exchange.query, exchange.headers, exchange.body, self.region)
            if claim.payload == sigv4check.UNSIGNED and not self.allow_unsigned:
                raise Refused(400, "InvalidRequest", "UNSIGNED-PAYLOAD is not allowed here.")
            return key
        except Refused as refused:
            if refused.code == "AuthorizationHeaderMalformed" and "Region" in refused.fields:
                refused = self.other_region(refused)
            elif exchange.kind == "bucket" and exchange.bucket in self.buckets:
                refused.headers.append(("x-amz-bucket-region", self.region))
            raise refused from None

    def other_region(self, refused):
        """The answer that says in which region the bucket is: in the body or in a header, with 400 or with 301."""
        if self.region_answer == "400":
            return refused
        header = [("x-amz-bucket-region", self.region)]
        if self.region_answer == "400 with a header":
            return Refused(400, refused.code, refused.message, headers=header)
        return Refused(301, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint.",
                       {"Endpoint": f"s3.{self.region}.example.com"}, header)

    def complain(self, exchange, found):
        with self.lock:
            self.complaints += [f"{exchange.method} {exchange.path}: {text}" for text in found]

    def error(self, exchange, refused, always_body=False):
        fields = {"Code": refused.code, "Message": refused.message, **refused.fields}
        if exchange.key:
            fields.setdefault("Key", exchange.key)
        fields.update(RequestId=f"{exchange.record.number:016X}", HostId="test")
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode("utf-8", "surrogateescape")
        answer = Answer(refused.status, body, [("Content-Type", "application/xml"), *refused.headers])
        if exchange.method == "HEAD" and not always_body:
            answer.body, answer.length = b"", 0
        return answer

    # ---- operations

    def answer_to(self, exchange):
        if exchange.kind in ("imds", "container", "sts"):
            return exchange.service.answer(exchange) if exchange.service else Answer(404)
        if exchange.kind == "bucket" and exchange.method == "PUT":
            return self.create_bucket(exchange)
        objects = self.buckets.get(exchange.bucket)
        if objects is None:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist", {"BucketName": exchange.bucket})
        operation = {"bucket": self.head_bucket, "put": self.put, "get": self.get, "head": self.get, "list": self.list, "rules": self.rules_of,
                     "delete": self.delete_many if exchange.method == "POST" else self.delete}.get(exchange.kind)
        if operation is None:
            raise Refused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        return operation(exchange, objects)

    def create_bucket(self, exchange):
        with self.lock:
            if exchange.bucket in self.buckets:
                raise Refused(409, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.")
            self.buckets[exchange.bucket] = {}
        return Answer(200, headers=[("Location", f"/{exchange.bucket}")])

    def head_bucket(self, exchange, objects):
        return Answer(200, headers=[("x-amz-bucket-region", self.region)])

    def rules_of(self, exchange, objects):
        named = {name.decode("latin-1") for name, _ in sigv4check.query_pairs(exchange.query)}
        what = (named & RULES.keys()).pop()
        if what not in self.rules and RULES[what]:
            raise Refused(404, RULES[what], "The configuration does not exist")
        root = {"versioning": "VersioningConfiguration", "object-lock": "ObjectLockConfiguration", "lifecycle": "LifecycleConfiguration"}[what]
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{XMLNS}">{self.rules.get(what, "")}</{root}>'
        return Answer(200, text.encode(), [("Content-Type", "application/xml")])

    def put(self, exchange, objects):
        new = self.new_object(exchange)
        condition, match = exchange.header("if-none-match"), exchange.header("if-match")
        if condition not in ("", "*") or (condition and match):
            raise Refused(501, "NotImplemented", "A header you provided implies functionality that is not implemented",
                          {"Header": "If-None-Match"})
        failed = Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold",
                         {"Condition": "If-None-Match" if condition else "If-Match"})
        with self.lock:
            old = objects.get(exchange.key)
            if condition and old:
                raise failed
            if match and not old:
                raise no_such_key()
            if match and match.strip('"') != old.etag.strip('"'):
                raise failed
            objects[exchange.key] = new
        answer = Answer(200, headers=[("ETag", new.etag)])
        for name, value in new.headers.items():
            if name.startswith("x-amz-server-side-encryption"):
                answer.headers.append((name, value))
        return answer

    def new_object(self, exchange):
        body, headers = exchange.body, {}
        for name, value in exchange.headers:
            if name.lower() == "content-type" or name.lower().startswith("x-amz-") and name.lower() not in SECRET_HEADERS:
                headers[name.lower()] = value.strip()
        check_md5(exchange)
        storage_class = headers.get("x-amz-storage-class", "STANDARD")
        if storage_class not in STORAGE_CLASSES:
            raise Refused(400, "InvalidStorageClass", "The storage class you specified is not valid", {"StorageClassRequested": storage_class})
        check_lock(exchange, headers, self.now())
        encryption = headers.get("x-amz-server-side-encryption", "")
        if encryption not in ("", "AES256", "aws:kms") or ("x-amz-server-side-encryption-aws-kms-key-id" in headers and encryption != "aws:kms"):
            raise invalid("The encryption method specified is not supported")
        customer_key = sse_c(exchange)
        if customer_key and encryption:
            raise invalid("Server Side Encryption with Customer provided key is incompatible with the encryption method specified")
        opaque = customer_key or encryption == "aws:kms"
        etag = secrets.token_hex(16) if opaque else hashlib.md5(body).hexdigest()
        return Object(body, f'"{etag}"', self.now(), headers, customer_key)

    def get(self, exchange, objects):
        with self.lock:
            found = objects.get(exchange.key)
        if found is None:
            raise no_such_key()
        self.check_sse_c(exchange, found)
        match = exchange.header("if-match")
        if match and match.strip('"') != found.etag.strip('"'):
            raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold", {"Condition": "If-Match"})
        headers = [("ETag", found.etag), ("Last-Modified", http_date(found.modified)), ("Accept-Ranges", "bytes"),
                   *found.headers.items()]
        part = byte_range(exchange.header("range"), len(found.body))
        if part is None:
            return Answer(200, found.body, headers)
        first, last = part
        headers.append(("Content-Range", f"bytes {first}-{last}/{len(found.body)}"))
        return Answer(206, found.body[first:last + 1], headers)

    @staticmethod
    def check_sse_c(exchange, found):
        given = sse_c(exchange)
        if found.sse_c_md5 and not given:
            raise Refused(400, "InvalidRequest", "The object was stored using a form of Server Side Encryption. The correct parameters must be "
                          "provided to retrieve the object.")
        if given and not found.sse_c_md5:
            raise Refused(400, "InvalidRequest", "The encryption parameters are not applicable to this object.")
        if given != found.sse_c_md5:
            raise Refused(403, "AccessDenied", "Access Denied")

    def delete(self, exchange, objects):
        with self.lock:
            objects.pop(exchange.key, None)
        return Answer(204)

    def delete_many(self, exchange, objects):
        if not exchange.header("content-md5"):
            raise Refused(400, "InvalidRequest", "Missing required header for this request: Content-MD5")
        check_md5(exchange)
        malformed = Refused(400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
        try:
            root = xml.etree.ElementTree.fromstring(exchange.body)
        except xml.etree.ElementTree.ParseError:
            raise malformed from None
        names = [element.tag.rpartition("}")[2] for element in root.iter()]
        keys = [element.text or "" for element in root.iter() if element.tag.rpartition("}")[2] == "Key"]
        quiet = any(element.tag.rpartition("}")[2] == "Quiet" and element.text == "true" for element in root.iter())
        if names[0] != "Delete" or not 0 < len(keys) <= DELETE_MAX or names.count("Object") != len(keys):
            raise malformed
        return Answer(200, self.delete_result(exchange, objects, keys, quiet).encode(), [("Content-Type", "application/xml")])

    def delete_result(self, exchange, objects, keys, quiet):
        pattern, code = exchange.refused_keys or (None, "")
        lines = []
        with self.lock:
            for key in keys:
                if pattern and Fault.pattern_matches(pattern, key):
                    lines.append(f"<Error><Key>{escape(key)}</Key><Code>{code}</Code><Message>refused on command</Message></Error>")
                    continue
                objects.pop(key, None)
                if not quiet:
                    lines.append(f"<Deleted><Key>{escape(key)}</Key></Deleted>")
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult xmlns="{XMLNS}">{"".join(lines)}</DeleteResult>'

    def list(self, exchange, objects):
        asked = {name.decode(): value.decode("utf-8", "surrogateescape") for name, value in sigv4check.query_pairs(exchange.query)}
        if asked.get("list-type") != "2":
            raise Refused(501, "NotImplemented", "Only version 2 of ListObjects")
        prefix, delimiter, most = asked.get("prefix", ""), asked.get("delimiter", ""), asked.get("max-keys", str(LIST_MAX))
        if not most.isdigit():
            raise invalid("Provided max-keys not an integer or within integer range")
        after = asked.get("start-after", "")
        if "continuation-token" in asked:
            after = self.key_of_token(asked["continuation-token"])
        with self.lock:
            entries = [(key.encode("utf-8", "surrogateescape"), found) for key, found in objects.items() if key.startswith(prefix)]
        start = after.encode("utf-8", "surrogateescape")
        entries = sorted((entry for entry in entries if entry[0] > start), key=lambda entry: entry[0])
        page, prefixes, truncated, last = take_page(entries, prefix.encode(), delimiter.encode(), min(int(most), self.page_size, LIST_MAX), start)
        encoded = asked.get("encoding-type") == "url"

        def told(key):
            return sigv4check.encode(key, b"/") if encoded else escape(key.decode("utf-8", "surrogateescape"), {'"': "&quot;"})
        lines = [f"<Name>{exchange.bucket}</Name><Prefix>{told(prefix.encode())}</Prefix><KeyCount>{len(page) + len(prefixes)}</KeyCount>"
                 f"<MaxKeys>{most}</MaxKeys><IsTruncated>{str(truncated).lower()}</IsTruncated>{'<EncodingType>url</EncodingType>' * encoded}"]
        if truncated:
            lines.append(f"<NextContinuationToken>{escape(self.token_of_key(last))}</NextContinuationToken>")
        for key, found in page:
            when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(found.modified))
            storage_class = found.headers.get("x-amz-storage-class", "STANDARD")
            lines.append(f"<Contents><Key>{told(key)}</Key><LastModified>{when}</LastModified><ETag>{escape(found.etag, {chr(34): '&quot;'})}"
                         f"</ETag><Size>{len(found.body)}</Size><StorageClass>{storage_class}</StorageClass></Contents>")
        lines += [f"<CommonPrefixes><Prefix>{told(name)}</Prefix></CommonPrefixes>" for name in prefixes]
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{XMLNS}">{"".join(lines)}</ListBucketResult>'
        return Answer(200, text.encode("utf-8", "surrogateescape"), [("Content-Type", "application/xml")])

    @staticmethod
    def token_of_key(key):
        """An opaque token, which has characters that must be encoded in a query."""
        return "1+/" + base64.b64encode(key).decode() + "="

    @staticmethod
    def key_of_token(token):
        if not token.startswith("1+/") or not token.endswith("="):
            raise invalid("The continuation token provided is incorrect")
        raw = sigv4check.decode_base64(token[3:-1])
        if raw is None:
            raise invalid("The continuation token provided is incorrect")
        return raw.decode("utf-8", "surrogateescape")


# ---- small rules

def invalid(message):
    return Refused(400, "InvalidArgument", message)


def no_such_key():
    return Refused(404, "NoSuchKey", "The specified key does not exist.")


def check_md5(exchange):
    told = exchange.header("content-md5")
    if not told:
        return
    raw = sigv4check.decode_base64(told)
    if raw is None or len(raw) != 16:
        raise Refused(400, "InvalidDigest", "The Content-MD5 you specified was invalid.")
    if raw != hashlib.md5(exchange.body).digest():
        raise Refused(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")


def check_lock(exchange, headers, now):
    mode, until = headers.get("x-amz-object-lock-mode"), headers.get("x-amz-object-lock-retain-until-date")
    if mode is None and until is None:
        return
    if mode not in ("GOVERNANCE", "COMPLIANCE") or until is None:
        raise invalid("x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")
    if not exchange.header("content-md5") and not any(name.startswith("x-amz-checksum-") for name in headers):
        raise Refused(400, "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock "
                      "parameters")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", until) or until <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)):
        raise invalid("The retain until date must be in the future!")


def sse_c(exchange):
    """The MD5 of the customer's key; "": the request has no key."""
    algorithm, key, md5 = (exchange.header(SSE_C + name) for name in ("algorithm", "key", "key-md5"))
    if not (algorithm or key or md5):
        return ""
    raw = sigv4check.decode_base64(key)
    if algorithm != "AES256" or raw is None or len(raw) != 32:
        raise invalid("The secret key was invalid for the specified algorithm.")
    if base64.b64encode(hashlib.md5(raw).digest()).decode() != md5:
        raise invalid("The calculated MD5 hash of the key did not match the hash that was provided.")
    return md5


def byte_range(text, size):
    """(first, last) of `Range`. None: the whole object; so does every range that is not well-formed."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", text)
    if not found or not (found[1] or found[2]) or (found[1] and found[2] and int(found[1]) > int(found[2])):
        return None
    if found[1]:
        first, last = int(found[1]), min(int(found[2] or size - 1), size - 1)
    else:
        first, last = max(0, size - int(found[2])), size - 1
    if first >= size:
        raise Refused(416, "InvalidRange", "The requested range is not satisfiable",
                      {"RangeRequested": text, "ActualObjectSize": str(size)}, [("Content-Range", f"bytes */{size}")])
    return first, last


def take_page(entries, prefix, delimiter, most, after):
    """Returns (entries, common prefixes, whether there are more, last key or prefix)."""
    page, prefixes, last = [], [], b""
    for key, found in entries:
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        if end >= 0:
            name = key[:end + len(delimiter)]
            if name in prefixes or (after and after.startswith(name)):
                continue
        if len(page) + len(prefixes) >= most:
            return page, prefixes, most > 0, last
        if end >= 0:
            prefixes.append(name)
            last = name
        else:
            page.append((key, found))
            last = key
    return page, prefixes, False, last


# ---- as a program

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bucket", action="append", metavar="NAME")
    parser.add_argument("--key", action="append", metavar="ACCESS:SECRET")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--tls", metavar="PEM", help="key and certificate")
    parser.add_argument("--page-size", type=int, default=LIST_MAX)
    parser.add_argument("--fault", action="append", default=[], metavar="NAME:KIND[:TIMES]")
    parser.add_argument("--seconds", type=float, help="end after so long, whatever standard input does")
    parser.add_argument("--verbose", action="store_true", help="one line for each request")
    options = parser.parse_args()
    keys = dict(pair.split(":", 1) for pair in options.key or ["AKTEST:SKTEST"])
    server = S3Server(options.port, options.tls, keys, options.bucket or ["bucket"], options.region, page_size=options.page_size)
    server.log = sys.stderr if options.verbose else None
    for text in options.fault:
        name, kind, *times = text.split(":")
        server.fault(name, on=kind or None, times=int(times[0]) if times else None)
    with server:
        print(server.url, flush=True)
        ended = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
        ended.wait(options.seconds)


if __name__ == "__main__":
    main()
