"""The services that hand out temporary credentials: IMDSv2, the container endpoint of ECS and EKS, and STS.

They are at paths of the S3 server: /latest/..., /container/credentials, and a form that is posted to "/". Each is off until a test
sets its role, token or roles. The S3 server accepts the keys, with their token, until they expire."""
import dataclasses
import hmac
import json
import re
import secrets
import time
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import sigv4check
from httpd import Answer
from sigv4check import Refused

STS_XML = "https://sts.amazonaws.com/doc/2011-06-15/"


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class Source:
    """`issued` has all keys that were handed out. The next keys are valid for `lifetime` seconds."""

    def __init__(self, authority):
        self.authority, self.lifetime, self.issued = authority, 3600.0, []

    def issue(self, lifetime=None):
        key = self.authority.temporary(self.lifetime if lifetime is None else lifetime)
        self.issued.append(key)
        return key


def as_json(value, status=200):
    return Answer(status, json.dumps(value).encode(), [("Content-Type", "application/json")])


class Imds(Source):
    """The metadata service of EC2, version 2: no answer without its token."""
    role = ""               # its name; "": there is no instance role
    region = "us-east-1"

    def __init__(self, authority):
        super().__init__(authority)
        self.tokens = {}    # token -> until when

    def forget_tokens(self):
        self.tokens.clear()

    def answer(self, exchange):
        if exchange.header("x-forwarded-for"):
            return Answer(403)
        if exchange.path == "/latest/api/token":
            return self.token(exchange)
        token = exchange.header("x-aws-ec2-metadata-token")
        if exchange.method != "GET" or self.tokens.get(token, 0) < self.authority.now():
            return Answer(401 if exchange.method == "GET" else 405)
        roles = "/latest/meta-data/iam/security-credentials/"
        if exchange.path == "/latest/meta-data/placement/region":
            return Answer(200, self.region.encode())
        if self.role and exchange.path in (roles, roles.rstrip("/")):
            return Answer(200, self.role.encode())
        if self.role and exchange.path == roles + self.role:
            key = self.issue()
            return as_json({"Code": "Success", "LastUpdated": iso(self.authority.now()), "Type": "AWS-HMAC", "AccessKeyId": key.access,
                            "SecretAccessKey": key.secret, "Token": key.token, "Expiration": iso(key.expires)})
        return Answer(404)

    def token(self, exchange):
        seconds = exchange.header("x-aws-ec2-metadata-token-ttl-seconds")
        if exchange.method != "PUT":
            return Answer(405)
        if not seconds.isdigit() or not 1 <= int(seconds) <= 21600:
            return Answer(400)
        token = secrets.token_urlsafe(40) + "=="
        self.tokens[token] = self.authority.now() + int(seconds)
        return Answer(200, token.encode(), [("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", seconds)])


class Container(Source):
    """ECS and EKS Pod Identity. `token`: the value that the header Authorization must have; None: no header is needed."""
    path = "/container/credentials"
    on = False
    token = None

    def answer(self, exchange):
        if exchange.method != "GET":
            return as_json({"code": "MethodNotAllowed", "message": "only GET"}, 405)
        if self.token is not None and not hmac.compare_digest(exchange.header("authorization").encode(), self.token.encode()):
            return as_json({"code": "InvalidToken", "message": "the authorization token is not valid"}, 401)
        key = self.issue()
        return as_json({"RoleArn": "arn:aws:iam::123456789012:role/task", "AccessKeyId": key.access, "SecretAccessKey": key.secret,
                        "Token": key.token, "Expiration": iso(key.expires)})


@dataclasses.dataclass
class Role:
    """`users`: the access keys that may assume the role; None: all. `web_token`: the web identity that may assume it."""
    users: object = None
    external_id: str = ""
    web_token: str = ""
    web_token_expired: bool = False


class Sts(Source):
    """`roles`: ARN -> Role. `lifetime`: None: keys are valid for as long as the caller asked."""
    service = "sts"

    def __init__(self, authority):
        super().__init__(authority)
        self.lifetime, self.roles, self.region = None, {}, None
        self.asked = []     # the forms, without the web identity token

    def answer(self, exchange):
        try:
            text = exchange.body.decode("ascii") if exchange.method == "POST" else exchange.query
            form = {name: values[0] for name, values in parse_qs(text, keep_blank_values=True, strict_parsing=True).items()}
            return self.assume(exchange, form)
        except (UnicodeDecodeError, ValueError):
            return failed(Refused(400, "ValidationError", "The form is not well-formed."))
        except Refused as refused:
            return failed(refused)

    def assume(self, exchange, form):
        action = form.get("Action")
        self.asked.append({name: value for name, value in form.items() if name != "WebIdentityToken"})
        if form.get("Version") != "2011-06-15" or action not in ("AssumeRole", "AssumeRoleWithWebIdentity"):
            raise Refused(400, "InvalidAction", f"Could not find operation {action} for version {form.get('Version')}")
        key = None
        if action == "AssumeRole":
            key = sigv4check.check(self.authority, exchange.method, exchange.path, exchange.query, exchange.headers, exchange.body,
                                   self.region, "sts")
        seconds = form.get("DurationSeconds", "3600")
        if not seconds.isdigit() or not 900 <= int(seconds) <= 43200:
            raise Refused(400, "ValidationError", "DurationSeconds must be from 900 to 43200")
        if not re.fullmatch(r"[\w+=,.@-]{2,64}", form.get("RoleSessionName", "")):
            raise Refused(400, "ValidationError", "RoleSessionName has 2 to 64 characters")
        role = self.roles.get(form.get("RoleArn"))
        if key is not None:
            allowed = role and (role.users is None or key.access in role.users) and role.external_id == form.get("ExternalId", "")
        else:
            allowed = self.knows_web_identity(role, form.get("WebIdentityToken", ""))
        if not allowed:
            raise Refused(403, "AccessDenied", f"Not authorized to perform: sts:{action}")
        issued = self.issue(int(seconds) if self.lifetime is None else self.lifetime)
        return Answer(200, self.told(action, issued, form).encode(), [("Content-Type", "text/xml")])

    @staticmethod
    def knows_web_identity(role, token):
        if not role or not role.web_token:
            return False
        if not hmac.compare_digest(token.encode(), role.web_token.encode()):
            raise Refused(400, "InvalidIdentityToken", "The web identity token could not be validated.")
        if role.web_token_expired:
            raise Refused(400, "ExpiredTokenException", "Token expired")
        return True

    @staticmethod
    def told(action, key, form):
        credentials = {"AccessKeyId": key.access, "SecretAccessKey": key.secret, "SessionToken": key.token, "Expiration": iso(key.expires)}
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in credentials.items())
        return (f'<{action}Response xmlns="{STS_XML}"><{action}Result><AssumedRoleUser><Arn>{escape(form["RoleArn"])}/session</Arn>'
                f"<AssumedRoleId>AROATEST:session</AssumedRoleId></AssumedRoleUser><Credentials>{inner}</Credentials>"
                f"</{action}Result><ResponseMetadata><RequestId>00000000-0000-0000-0000-000000000000</RequestId></ResponseMetadata>"
                f"</{action}Response>")


def failed(refused):
    body = (f'<ErrorResponse xmlns="{STS_XML}"><Error><Type>Sender</Type><Code>{escape(refused.code)}</Code>'
            f"<Message>{escape(refused.message)}</Message></Error><RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>")
    return Answer(refused.status, body.encode(), [("Content-Type", "text/xml")])
