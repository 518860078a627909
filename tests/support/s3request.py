"""One S3 request, signed with Signature Version 4, by Python's standard library alone. It shares no code with the program under test."""
import datetime
import hashlib
import hmac
import http.client
import re
import ssl
from urllib.parse import quote, urlsplit


class Refused(Exception):
    """Any answer but 2xx."""

    def __init__(self, status, body):
        found = re.search(rb"<Code>([^<]*)", body)
        self.status, self.code = status, found[1].decode() if found else ""
        super().__init__(f"{status} {self.code}")


def _mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signed_headers(method, path, query, headers, body, access_key, secret_key, region):
    """`headers` must have the host; `path` and `query` are encoded."""
    moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers = {**{name.lower(): value for name, value in headers.items()}, "x-amz-date": moment, "x-amz-content-sha256": digest}
    names = ";".join(sorted(headers))
    canonical = "\n".join([method, path, query, *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names, digest])
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = _mac(key, part)
    signature = _mac(key, "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])).hex()
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope},SignedHeaders={names},Signature={signature}"
    return headers


class S3:
    """A bucket's server, with path-style addresses."""

    def __init__(self, endpoint, access_key, secret_key, region="us-east-1", ca_file=None):
        self.url, self.ca_file = urlsplit(endpoint), ca_file
        self.access_key, self.secret_key, self.region = access_key, secret_key, region

    def connect(self, timeout):
        if self.url.scheme == "https":
            return http.client.HTTPSConnection(self.url.netloc, timeout=timeout, context=ssl.create_default_context(cafile=self.ca_file))
        return http.client.HTTPConnection(self.url.netloc, timeout=timeout)

    def request(self, method, path, query=None, headers=None, body=b"", timeout=30):
        """(headers, body) of an answer 2xx. Raises Refused for any other answer."""
        path = quote(path, safe="/~")
        text = "&".join(f"{quote(k, safe='~')}={quote(str(v), safe='~')}" for k, v in sorted((query or {}).items()))
        headers = signed_headers(method, path, text, {"host": self.url.netloc, **(headers or {})}, body, self.access_key,
                                 self.secret_key, self.region)
        connection = self.connect(timeout)
        try:
            connection.request(method, f"{path}?{text}" if text else path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
            if not 200 <= answer.status < 300:
                raise Refused(answer.status, content)
            return {name.lower(): value for name, value in answer.getheaders()}, content
        finally:
            connection.close()

    def make_bucket(self, bucket):
        self.request("PUT", f"/{bucket}")

    def put(self, bucket, key, body, **headers):
        return self.request("PUT", f"/{bucket}/{key}", body=body, headers=headers)

    def get(self, bucket, key, **headers):
        return self.request("GET", f"/{bucket}/{key}", headers=headers)[1]

    def remove(self, bucket, key):
        self.request("DELETE", f"/{bucket}/{key}")

    def keys(self, bucket, prefix=""):
        """{key: size} of the objects whose keys begin with `prefix`. The keys must need no encoding."""
        found, token = {}, None
        while True:
            query = {"list-type": 2, "prefix": prefix, **({"continuation-token": token} if token else {})}
            text = self.request("GET", f"/{bucket}", query)[1].decode()
            for entry in re.findall(r"<Contents>.*?</Contents>", text, re.S):
                found[re.search(r"<Key>(.*?)</Key>", entry)[1]] = int(re.search(r"<Size>(\d+)</Size>", entry)[1])
            following = re.search(r"<NextContinuationToken>(.*?)</", text)
            if not following:
                return found
            token = following[1].replace("&amp;", "&")
