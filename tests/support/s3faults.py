"""The faults of the S3 server of the tests. server.fault(NAME, ...) switches one on. The table at the end has all names.

A fault acts at one point of an exchange:

    before(fault, connection, exchange)          the head of the request was read, its body was not
    instead(fault, server, exchange)             the body was read, and nothing was done; returns an answer, or None to continue
    after(fault, server, exchange, answer)       the request was carried out; returns the answer to send
    sends(fault, connection, exchange, answer)   sends the answer in its own way"""
import fnmatch
import re
import threading
from email.utils import formatdate
from urllib.parse import unquote
from xml.sax.saxutils import escape

from httpd import Answer, Closed
from sigv4check import Refused


class Fault:
    """A fault that is on. `met` counts the requests that it has hit."""

    def __init__(self, server, name, on=None, key="*", times=None, skip=0, **values):
        """Hits requests of the kind `on` (a name or several; None: any) whose key matches `key`. It lets the first `skip` of these pass, and
        hits the next `times` (None: all). Can be used as a context manager."""
        kinds = (on,) if isinstance(on, str) else on
        self.server, self.name, self.kinds, self.pattern, self.times, self.skip = server, name, kinds, key, times, skip
        self.points = FAULTS[name]
        self.values = values
        self.met = self.looked = 0   # `looked`: of looks-then-stores, requests whose look is over
        self.released = threading.Event()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.off()

    def off(self):
        """Switches the fault off. Requests that it holds continue."""
        self.released.set()
        with self.server.changed:
            if self in self.server.faults:
                self.server.faults.remove(self)

    def wait_met(self, times=1, seconds=10):
        assert self.server.wait(lambda: self.met >= times, seconds), f"{self.name}: met {self.met} times, not {times}, in {seconds} s"
        return self

    def wait_looked(self, times, seconds=10):
        assert self.server.wait(lambda: self.looked >= times, seconds), f"{self.name}: looked {self.looked} times, not {times}, in {seconds} s"

    def takes(self, kind, key):
        """Whether the fault hits this request. If so, counts it. The caller holds the server's lock."""
        if self.kinds is not None and kind not in self.kinds or not self.pattern_matches(self.pattern, key):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None and self.met >= self.times:
            return False
        self.met += 1
        self.server.changed.notify_all()
        return True

    @staticmethod
    def pattern_matches(pattern, key):
        return fnmatch.fnmatchcase(key, pattern)

    def value(self, name, default):
        return self.values.get(name, default)

    def hold(self, default=3600.0):
        """Waits `seconds`, or until the fault or the server is off, or the server cuts the connection."""
        self.released.wait(self.value("seconds", default))

    def __getattr__(self, point):
        if point not in ("before", "instead", "after", "sends"):
            raise AttributeError(point)
        return self.points.get(point)


# ---- wrong answers

def refusal(status, code, message="", fields=(), headers=()):
    return lambda fault, server, exchange: server.error(
        exchange, Refused(fault.value("status", status), fault.value("code", code), message or code, fields, headers))


def slow_down(fault, server, exchange):
    after = fault.value("retry_after", 0)
    headers = [("Retry-After", str(after))] if after is not None else []
    return server.error(exchange, Refused(503, "SlowDown", "Please reduce your request rate.", headers=headers))


def other_region(fault, server, exchange):
    region = fault.value("region", server.region)
    return server.error(exchange, Refused(400, "AuthorizationHeaderMalformed", "The authorization header is malformed; the region is wrong; "
                                          f"expecting '{region}'", {"Region": region}, [("x-amz-bucket-region", region)]))


def moved(fault, server, exchange):
    region = fault.value("region", server.region)
    return server.error(exchange, Refused(301, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the "
                                          "specified endpoint.", {"Endpoint": f"s3.{region}.example.com"}, [("x-amz-bucket-region", region)]))


def expired(fault, server, exchange):
    return server.error(exchange, Refused(400, "ExpiredToken", "The provided token has expired.", {"Token-0": "..."}))


def proxy_page(fault, server, exchange):
    return Answer(fault.value("status", 502), b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1>"
                  b"</center><hr><br>nginx</body></html>\r\n", [("Content-Type", "text/html")])


def empty_error(fault, server, exchange):
    return Answer(fault.value("status", 500))


def bomb(body):
    def instead(fault, server, exchange):
        return Answer(fault.value("status", 500), body(fault), [("Content-Type", "application/xml")])
    return instead


def nested(fault):
    depth = fault.value("depth", 100_000)
    return b'<?xml version="1.0"?>' + b"<Error>" * depth + b"<Code>InternalError</Code>" + b"</Error>" * depth


def entities(fault):
    lines = "".join(f'<!ENTITY e{n} "{"&e%d;" % (n - 1) * 10}">' for n in range(1, 10))
    return f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "ha">{lines}]><Error><Code>&e9;</Code></Error>'.encode()


def oversized(fault):
    return (b'<?xml version="1.0"?><Error><Code>InternalError</Code><Message>' + b"x" * fault.value("bytes", 16 << 20)
            + b"</Message></Error>")


def error_in_200(fault, server, exchange):
    answer = server.error(exchange, Refused(500, fault.value("code", "InternalError"), "We encountered an internal error. Please try again."),
                          always_body=True)
    answer.status = 200
    return answer


# ---- right answers that are changed

def error_after(fault, server, exchange, answer):
    return server.error(exchange, Refused(500, "InternalError", "We encountered an internal error. Please try again."))


def no_etag(fault, server, exchange, answer):
    answer.set("ETag", None)
    return answer


def huge_head(fault, server, exchange, answer):
    answer.headers += [(f"x-padding-{n}", "x" * 1000) for n in range(fault.value("kib", 1024))]
    return answer


def skewed_date(fault, server, exchange, answer):
    answer.set("Date", formatdate(server.now() + fault.value("by", 3600), usegmt=True))
    return answer


def short_body(fault, server, exchange, answer):
    answer.body = answer.body[:len(answer.body) // 2]
    return answer


def flipped_byte(fault, server, exchange, answer):
    if answer.body:
        middle = len(answer.body) // 2
        answer.body = answer.body[:middle] + bytes([answer.body[middle] ^ 0x55]) + answer.body[middle + 1:]
    return answer


def wrong_range(fault, server, exchange, answer):
    if answer.status == 206:
        first, last, total = map(int, re.findall(r"\d+", answer.header("Content-Range")))
        answer.set("Content-Range", f"bytes {first + 1}-{last + 1}/{total + 2}")
    return answer


def range_beyond_all(fault, server, exchange):
    """Refuses a range of last bytes that is longer than the object, as gofakes3 does."""
    asked, found = re.fullmatch(r"bytes=-(\d+)", exchange.header("range")), server.buckets[exchange.bucket].get(exchange.key)
    if not asked or found is None or int(asked[1]) <= len(found.body):
        return None
    size = [("Content-Range", f"bytes */{len(found.body)}")] if fault.value("tells", False) else []
    return server.error(exchange, Refused(416, "InvalidRange", "The requested range is not satisfiable", headers=size))


def empty_range(fault, server, exchange):
    """Answers any range of an empty object: with 206, as MinIO does, or with 200, as versitygw does."""
    found = server.buckets[exchange.bucket].get(exchange.key)
    if not exchange.header("range") or found is None or found.body:
        return None
    status = fault.value("status", 206)
    return Answer(status, b"", [("ETag", found.etag), *([("Content-Range", "bytes 0--1/0")] if status == 206 else [])])


def ignored_range(fault, server, exchange):
    exchange.headers = [(name, value) for name, value in exchange.headers if name.lower() != "range"]


def ignored_condition(fault, server, exchange):
    exchange.headers = [(name, value) for name, value in exchange.headers if name.lower() != "if-none-match"]


def looks_then_stores(fault, server, exchange):
    """Looks for the key and stores the object in two steps, with time between them, as moto and other gateways do."""
    if not exchange.header("if-none-match"):
        return None
    with server.changed:
        there = exchange.key in server.buckets[exchange.bucket]
        fault.looked += 1
        server.changed.notify_all()
    if there:
        return None   # refused as it should be
    fault.released.wait(fault.value("seconds", 0.1))
    return ignored_condition(fault, server, exchange)


def only_conditional(status, code, message):
    def instead(fault, server, exchange):
        if not exchange.header("if-none-match"):
            return None
        return server.error(exchange, Refused(status, code, message))
    return instead


def stored_without_lock(fault, server, exchange):
    """Refuses a PUT with object lock, but stores the object without the lock, as versitygw 1.8.0 does in a bucket without object lock."""
    lock = [name for name, _ in exchange.headers if name.lower().startswith("x-amz-object-lock-")]
    if not lock:
        return None
    exchange.headers = [(name, value) for name, value in exchange.headers if name not in lock]
    server.answer_to(exchange)
    return server.error(exchange, Refused(400, "InvalidRequest", "Bucket is missing Object Lock Configuration"))


def xml_edit(edit):
    def after(fault, server, exchange, answer):
        if answer.status == 200:
            answer.body = edit(fault, answer.body.decode()).encode()
        return answer
    return after


def without_token(fault, xml):
    return re.sub(r"<NextContinuationToken>.*?</NextContinuationToken>", "", xml)


def half(fault, xml):
    return xml[:len(xml) // 2]


def same_page(fault, server, exchange):
    """Sends the first page, whichever page was asked for."""
    kept = [part for part in exchange.query.split("&") if not part.startswith(("continuation-token=", "start-after="))]
    exchange.query = "&".join(kept)


def claims_more(fault, xml):
    xml = xml.replace("<IsTruncated>false</IsTruncated>", "<IsTruncated>true</IsTruncated>")
    if "<NextContinuationToken>" not in xml:
        xml = xml.replace("</IsTruncated>", "</IsTruncated><NextContinuationToken>again</NextContinuationToken>")
    return xml


def empty_page(fault, server, exchange, answer):
    answer.body = claims_more(fault, re.sub(r"<Contents>.*</Contents>", "", answer.body.decode())).encode()
    return answer


def endless_page(fault, server, exchange):
    """Sends a new page each time, with `keys` keys, which ascend. No page is the last one."""
    keys = fault.value("keys", 0)
    prefix = unquote(re.search(r"(?:^|&)prefix=([^&]*)", exchange.query)[1])
    entries = "".join(f"<Contents><Key>{escape(prefix)}{fault.met:08d}-{n}</Key><Size>1</Size></Contents>" for n in range(keys))
    text = (f"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{fault.met}</NextContinuationToken>"
            f"{entries}</ListBucketResult>")
    return Answer(200, text.encode(), [("Content-Type", "application/xml")])


def backwards(fault, xml):
    entries = re.findall(r"<Contents>.*?</Contents>", xml)
    return xml.replace("".join(entries), "".join(reversed(entries)))


def entries_of(xml, fault):
    """The entries of a listing whose key matches `keys`."""
    for entry in re.findall(r"<Contents>.*?</Contents>", xml):
        if fnmatch.fnmatchcase(re.search(r"<Key>(.*?)</Key>", entry)[1], fault.value("keys", "*")):
            yield entry


def leave_out(fault, xml):
    for entry in entries_of(xml, fault):
        xml = xml.replace(entry, "")
    return xml


def say_twice(fault, xml):
    for entry in entries_of(xml, fault):
        xml = xml.replace(entry, entry + entry)
    return xml


def key_errors(fault, server, exchange):
    exchange.refused_keys = fault.value("keys", "*"), fault.value("code", "AccessDenied")


# ---- how an answer is sent

def close_after_head(fault, connection, exchange, answer):
    connection.socket.sendall(connection.head_of(answer))
    raise Closed


def close_half_way(fault, connection, exchange, answer):
    connection.socket.sendall(connection.head_of(answer) + answer.body[:len(answer.body) // 2])
    raise Closed


def close_in_head(fault, connection, exchange, answer):
    connection.socket.sendall(connection.head_of(answer)[:fault.value("bytes", 20)])
    raise Closed


def close_quietly(fault, connection, exchange, answer):
    connection.send(answer)   # the answer says keep-alive
    raise Closed


def stall_half_way(fault, connection, exchange, answer):
    connection.socket.sendall(connection.head_of(answer) + answer.body[:len(answer.body) // 2])
    fault.hold()
    connection.socket.sendall(answer.body[len(answer.body) // 2:])


def drip(fault, connection, exchange, answer):
    """Sends the answer byte by byte, with short pauses."""
    for byte in connection.head_of(answer) + answer.body:
        connection.socket.sendall(bytes([byte]))
        fault.released.wait(fault.value("pause", 0.2))


def closed(fault, *_):
    raise Closed


def held(fault, *_):
    fault.hold()


def held_after(fault, server, exchange, answer):
    fault.hold()
    return answer


def silent_continue(fault, connection, exchange):
    exchange.silent = True


FAULTS = {
    "slow-down": {"instead": slow_down},                                     # retry_after=0; None: without the header
    "internal-error": {"instead": refusal(500, "InternalError")},            # status=, code=: another one
    "internal-error-stored": {"after": error_after},
    "bad-gateway": {"instead": proxy_page},                                  # status=502
    "empty-error": {"instead": empty_error},                                 # status=500
    "request-timeout": {"instead": refusal(400, "RequestTimeout", "Your socket connection to the server was not read from or written to.")},
    "timeout-408": {"instead": refusal(408, "RequestCanceled")},
    "too-many": {"instead": refusal(429, "TooManyRequests")},
    "access-denied": {"instead": refusal(403, "AccessDenied", "Access Denied")},
    "no-such-bucket": {"instead": refusal(404, "NoSuchBucket", "The specified bucket does not exist")},
    "no-such-key": {"instead": refusal(404, "NoSuchKey", "The specified key does not exist.")},
    "signature": {"instead": refusal(403, "SignatureDoesNotMatch")},
    "unauthorized": {"instead": refusal(401, "Unauthorized")},
    "expired-token": {"instead": expired},
    "other-region": {"instead": other_region},                               # region=; default: the server's
    "moved": {"instead": moved},                                             # 301, region=
    "error-in-200": {"instead": error_in_200},                               # code=
    "deep-xml": {"instead": bomb(nested)},                                   # depth=, status=
    "entity-xml": {"instead": bomb(entities)},                               # status=
    "huge-error": {"instead": bomb(oversized)},                              # bytes=, status=
    "close-before-body": {"before": closed},
    "close-unstored": {"instead": closed},
    "close-stored": {"after": closed},
    "close-after-head": {"sends": close_after_head},
    "close-in-head": {"sends": close_in_head},                               # bytes=20
    "close-half-way": {"sends": close_half_way},
    "close-quietly": {"sends": close_quietly},                               # after the answer, which says keep-alive
    "short-body": {"after": short_body},                                     # Content-Length says so too
    "flipped-byte": {"after": flipped_byte},
    "stall": {"instead": held},                                              # seconds=; default: until the fault is off
    "stall-before-body": {"before": held},
    "stall-stored": {"after": held_after},
    "stall-half-way": {"sends": stall_half_way},
    "drip": {"sends": drip},                                                 # pause=
    "latency": {"instead": held},                                            # seconds=
    "silent-continue": {"before": silent_continue},
    "skewed-date": {"after": skewed_date},                                   # by=3600
    "huge-head": {"after": huge_head},                                       # kib=1024
    "no-etag": {"after": no_etag},
    "wrong-range": {"after": wrong_range},
    "ignores-range": {"instead": ignored_range},
    "range-beyond-all": {"instead": range_beyond_all},                       # tells=True: 416 says the size
    "empty-range": {"instead": empty_range},                                 # status=206
    "ignores-condition": {"instead": ignored_condition},
    "lock-refused-stored": {"instead": stored_without_lock},
    "looks-then-stores": {"instead": looks_then_stores},                     # seconds=0.1 between look and PUT
    "no-condition": {"instead": only_conditional(501, "NotImplemented", "A header you provided implies functionality that is not implemented")},
    "conflict": {"instead": only_conditional(409, "ConditionalRequestConflict",
                                             "The conditional request cannot succeed due to a conflicting operation")},
    "page-again": {"instead": same_page},                                    # with skip=1, times=1: the first one twice
    "empty-pages": {"after": empty_page},                                    # and each says that there are more
    "endless-pages": {"instead": endless_page},                              # keys=0: in each page
    "backwards": {"after": xml_edit(backwards)},                             # within each page
    "endless-list": {"instead": same_page, "after": xml_edit(claims_more)},
    "no-token": {"after": xml_edit(without_token)},
    "cut-xml": {"after": xml_edit(half)},
    "leaves-out": {"after": xml_edit(leave_out)},                            # keys="*": a listing that says nothing of them
    "twice": {"after": xml_edit(say_twice)},                                 # keys="*"
    "key-errors": {"instead": key_errors},                                   # keys="*", code=: of DeleteObjects
}
