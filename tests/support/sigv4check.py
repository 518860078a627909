"""Checks AWS Signature Version 4 as a server does: makes the canonical request and its signature from the request that arrived.

It shares no code with a signer. A request that is wrong raises Refused, with the error code of AWS."""
import base64
import binascii
import calendar
import dataclasses
import hashlib
import hmac
import itertools
import re
import secrets
import threading
import time
from urllib.parse import unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
SKEW_MAX = 15 * 60
PRESIGNED_MAX = 7 * 24 * 3600
UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
CHANGED_ON_THE_WAY = {"content-length", "user-agent", "accept", "accept-encoding", "connection", "expect", "transfer-encoding"}


class Refused(Exception):
    """An error answer. `fields`: more elements of the body."""

    def __init__(self, status, code, message, fields=(), headers=()):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message
        self.fields, self.headers = dict(fields), list(headers)


# ---- the canonical request

def encode(raw, keep=b""):
    return "".join(chr(byte) if byte in UNRESERVED or byte in keep else f"%{byte:02X}" for byte in raw)


def canonical_path(path):
    """The path as S3 signs it: decoded, and encoded once. It is not normalised."""
    return encode(unquote_to_bytes(path), b"/") or "/"


def query_pairs(query):
    """[(name, value), ...] as bytes, decoded."""
    parts = (part.partition("=") for part in query.split("&") if part)
    return [(unquote_to_bytes(name.replace("+", " ")), unquote_to_bytes(value.replace("+", " "))) for name, _, value in parts]


def canonical_query(query, without=()):
    pairs = ((encode(name), encode(value)) for name, value in query_pairs(query) if name.decode("latin-1") not in without)
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def canonical_headers(headers, names):
    lines = []
    for wanted in names:
        values = [" ".join(value.split()) for name, value in headers if name.lower() == wanted]
        lines.append(f"{wanted}:{','.join(values)}\n")
    return "".join(lines)


def canonical_request(method, path, query, headers, names, payload, without=()):
    return "\n".join((method, canonical_path(path), canonical_query(query, without), canonical_headers(headers, names),
                      ";".join(names), payload))


def string_to_sign(date, scope, canonical):
    return "\n".join((ALGORITHM, date, scope, hashlib.sha256(canonical.encode("latin-1")).hexdigest()))


def mac(key, text):
    return hmac.new(key, text.encode("latin-1"), hashlib.sha256).digest()


def signing_key(secret, scope):
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = mac(key, part)
    return key


def signature_of(secret, date, scope, canonical):
    return mac(signing_key(secret, scope), string_to_sign(date, scope, canonical)).hex()


# ---- the keys that are valid

@dataclasses.dataclass
class Key:
    access: str
    secret: str
    token: str = ""        # "": keys of a user, which never expire
    expires: float = 0     # by the clock of the authority; 0: never

    def __repr__(self):
        return f"Key({self.access})"


class Authority:
    """All valid keys, and the clock by which they expire. Several servers can share one Authority."""

    def __init__(self, keys=None):
        self.keys = {access: Key(access, secret) for access, secret in (keys or {}).items()}
        self.clock_offset = 0.0   # seconds that this clock is ahead
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()

    def now(self):
        return time.time() + self.clock_offset

    def temporary(self, seconds=3600):
        """Makes keys that need their token and are valid for `seconds`."""
        with self.lock:
            access = f"ASIATEST{next(self.numbers):08d}"
            # tokens of AWS have the characters "+/=", too
            token = "Tok+/" + base64.b64encode(secrets.token_bytes(120)).decode() + "=="
            key = self.keys[access] = Key(access, secrets.token_urlsafe(30), token, self.now() + seconds)
        return key

    def expire(self, access=None):
        """Lets the keys `access` expire now; None: all temporary keys so far."""
        with self.lock:
            for key in self.keys.values():
                if key.token and access in (None, key.access):
                    key.expires = self.now() - 1

    def forget(self, access):
        with self.lock:
            return self.keys.pop(access)

    def find(self, access, token):
        key = self.keys.get(access)
        if key is None or (key.token and not token):
            raise Refused(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.",
                          {"AWSAccessKeyId": access})
        if not hmac.compare_digest(key.token.encode(), token.encode()):
            raise Refused(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
        if key.expires and self.now() > key.expires:
            raise Refused(400, "ExpiredToken", "The provided token has expired.")
        return key


# ---- the check

@dataclasses.dataclass
class Claim:
    """The fields of a request that describe its signature."""
    access: str
    scope: str          # date/region/service/aws4_request
    names: list         # of the signed headers
    signature: str
    date: str           # 20130524T000000Z
    payload: str        # hex, or UNSIGNED
    token: str
    expires: int = 0    # seconds; presigned alone
    presigned: bool = False


def single(headers, name):
    values = [value for header, value in headers if header.lower() == name]
    if len(values) > 1:
        raise Refused(400, "InvalidRequest", f"More than one header {name}.")
    return values[0].strip() if values else ""


def malformed(message, fields=()):
    return Refused(400, "AuthorizationHeaderMalformed", f"The authorization header is malformed; {message}", fields)


def claim_of(query, headers):
    """The claim of a request. None: it is not signed."""
    authorization = single(headers, "authorization")
    named = {name.decode("latin-1"): value.decode("latin-1") for name, value in query_pairs(query)}
    if authorization and "X-Amz-Signature" in named:
        raise Refused(400, "InvalidArgument", "Only one auth mechanism allowed")
    if authorization:
        return header_claim(authorization, headers)
    return query_claim(named) if "X-Amz-Signature" in named else None


def header_claim(authorization, headers):
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise Refused(400, "InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    if set(parts) != {"Credential", "SignedHeaders", "Signature"}:
        raise malformed("Credential, SignedHeaders and Signature are needed.")
    access, _, scope = parts["Credential"].partition("/")
    payload = single(headers, "x-amz-content-sha256")
    return Claim(access, scope, parts["SignedHeaders"].split(";"), parts["Signature"], single(headers, "x-amz-date") or iso_date(headers),
                 payload, single(headers, "x-amz-security-token"))


def query_claim(named):
    if named.get("X-Amz-Algorithm") != ALGORITHM:
        raise Refused(400, "AuthorizationQueryParametersError", 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
    access, _, scope = named.get("X-Amz-Credential", "").partition("/")
    expires = named.get("X-Amz-Expires", "")
    if not expires.isdigit() or not 0 < int(expires) <= PRESIGNED_MAX:
        raise Refused(400, "AuthorizationQueryParametersError", "X-Amz-Expires should be a number up to a week")
    return Claim(access, scope, named.get("X-Amz-SignedHeaders", "").split(";"), named["X-Amz-Signature"], named.get("X-Amz-Date", ""),
                 UNSIGNED, named.get("X-Amz-Security-Token", ""), int(expires), True)


def iso_date(headers):
    """The time in the header `date`, which is used if x-amz-date is missing, in the form of x-amz-date."""
    try:
        when = time.strptime(single(headers, "date"), "%a, %d %b %Y %H:%M:%S GMT")
    except ValueError:
        return ""
    return time.strftime("%Y%m%dT%H%M%SZ", when)


def seconds_of(date):
    if not re.fullmatch(r"\d{8}T\d{6}Z", date):
        raise Refused(403, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    return calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))


def check_scope(claim, region, service):
    """`region` None: any."""
    parts = claim.scope.split("/")
    if len(parts) != 4 or parts[3] != "aws4_request":
        raise malformed('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".')
    if parts[0] != claim.date[:8]:
        raise malformed(f'Invalid credential date "{parts[0]}". This date is not the same as X-Amz-Date: "{claim.date[:8]}".')
    if parts[2] != service:
        raise malformed(f"incorrect service \"{parts[2]}\". This endpoint belongs to \"{service}\".")
    if region is not None and parts[1] != region:
        raise malformed(f"the region '{parts[1]}' is wrong; expecting '{region}'", {"Region": region})


def check_time(claim, now):
    told = seconds_of(claim.date)
    iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    if claim.presigned:
        if now > told + claim.expires:
            raise Refused(403, "AccessDenied", "Request has expired", {"X-Amz-Expires": str(claim.expires), "ServerTime": iso})
        if now < told - SKEW_MAX:
            raise Refused(403, "AccessDenied", "Request is not yet valid")
    elif abs(now - told) > SKEW_MAX:
        raise Refused(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.",
                      {"RequestTime": claim.date, "ServerTime": iso, "MaxAllowedSkewMilliseconds": str(SKEW_MAX * 1000)})


def check_signed_names(claim, headers):
    if claim.names != sorted(set(claim.names)) or "host" not in claim.names:
        raise malformed("SignedHeaders are not sorted, or host is not among them.")
    unsigned = sorted({name.lower() for name, _ in headers if name.lower().startswith("x-amz-")} - set(claim.names))
    if unsigned:
        raise Refused(403, "AccessDenied", "There were headers present in the request which were not signed",
                      {"HeadersNotSigned": ", ".join(unsigned)})


def check_payload(claim, body, service):
    """S3 requires the header with the hash. STS hashes the body, with or without the header."""
    computed = hashlib.sha256(body).hexdigest()
    if service != "s3":
        return computed
    if not claim.payload:
        raise Refused(400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    if claim.payload.startswith("STREAMING-"):
        raise Refused(501, "NotImplemented", "A header you provided implies functionality that is not implemented",
                      {"Header": "x-amz-content-sha256"})
    if claim.payload != UNSIGNED:
        if not re.fullmatch(r"[0-9a-f]{64}", claim.payload):
            raise Refused(400, "InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a valid sha256 value.")
        if claim.payload != computed:
            raise Refused(400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.",
                          {"ClientComputedContentSHA256": claim.payload, "S3ComputedContentSHA256": computed})
    return claim.payload


def check(authority, method, path, query, headers, body, region="us-east-1", service="s3"):
    """Returns the Key that signed this request. Raises Refused if anything is wrong."""
    claim = claim_of(query, headers)
    if claim is None:
        raise Refused(403, "AccessDenied", "Access Denied")
    check_scope(claim, region, service)
    key = authority.find(claim.access, claim.token)
    check_time(claim, authority.now())
    check_signed_names(claim, headers)
    payload = UNSIGNED if claim.presigned else claim.payload if service == "s3" and claim.payload else hashlib.sha256(body).hexdigest()
    canonical = canonical_request(method, path, query, headers, claim.names, payload, ("X-Amz-Signature",) if claim.presigned else ())
    if not hmac.compare_digest(signature_of(key.secret, claim.date, claim.scope, canonical), claim.signature):
        raise Refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. "
                      "Check your key and signing method.",
                      {"AWSAccessKeyId": claim.access, "StringToSign": string_to_sign(claim.date, claim.scope, canonical),
                       "SignatureProvided": claim.signature, "CanonicalRequest": canonical})
    if not claim.presigned:
        check_payload(claim, body, service)
    return key


def complaints(headers, names=None):
    """Lists what the client did although no client should, and that no server refuses."""
    found = [f"{name} is signed, and a proxy may change it" for name in sorted(CHANGED_ON_THE_WAY & set(names or ()))]
    if any(name.lower() == "expect" for name, _ in headers):
        found.append("Expect: 100-continue")
    if names is not None and any(name.lower() == "content-type" for name, _ in headers) and "content-type" not in names:
        found.append("content-type is not signed")
    return found


def decode_base64(text):
    """The decoded bytes. None: the text is not valid base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
