"""Signatures of requests by access keys, as EC2 and S3 clients make them. Pure, no database.

Version 4 is what clients of today use; version 2 is what older ones do, in one form for EC2 and another for S3.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
# How far the clocks of a client and of this machine may be apart, and how long a request may be on its way.
FRESH = timedelta(minutes=15)
_SCOPE = re.compile(r"([0-9]{8})/([^/]+)/([^/]+)/aws4_request")
_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to EC2's API, as the service that got it describes it. `host` may have a port.

    `params`: of the query, or of a form. `body_hash`: SHA-256 of the body in hex. `signature`: what came with it.
    """

    signature: str
    verb: str = "GET"
    host: str = ""
    path: str = "/"
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body_hash: str = ""

    def is_by(self, secret: str, now: datetime) -> bool:
        """Whether whoever knows `secret` signed it, not long ago."""
        if self.params.get("SignatureVersion") == "2":
            return _is_fresh(_instant(self.params.get("Timestamp", "")), now) and self._is_by_2(secret)
        return self._is_by_4(secret, now)

    def _is_by_2(self, secret: str) -> bool:
        digest = {"HmacSHA256": hashlib.sha256, "HmacSHA1": hashlib.sha1}.get(self.params.get("SignatureMethod", "HmacSHA256"))
        # Some clients leave the port out of what they sign.
        hosts = dict.fromkeys([self.host, _without_port(self.host)])
        query = canonical_query(self.params, leave_out="Signature")
        texts = ["\n".join([self.verb.upper(), host.lower(), self.path or "/", query]) for host in hosts]
        return digest is not None and any(_same(_in_base64(hmac.digest(secret.encode(), text.encode(), digest)), self.signature) for text in texts)

    def _is_by_4(self, secret: str, now: datetime) -> bool:
        headers = {name.lower().strip(): " ".join(value.split()) for name, value in self.headers.items()}
        said = _authorization(headers.get("authorization", "")) or {
            name: self.params.get(f"X-Amz-{name}", "") for name in ("Credential", "SignedHeaders")
        }
        stamp = headers.get("x-amz-date") or self.params.get("X-Amz-Date", "")
        signed = said.get("SignedHeaders", "")
        # Forms are signed by the hash of the body.
        query = "" if self.verb.upper() == "POST" else canonical_query(self.params, leave_out="X-Amz-Signature")
        listed = [f"{name}:{headers[name]}\n" for name in signed.split(";") if name in headers]
        request = "\n".join([self.verb.upper(), self.path or "/", query, "".join(listed), signed, self.body_hash])
        scope = said.get("Credential", "").partition("/")[2]
        text = "\n".join([ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
        return _is_fresh(_stamped(stamp), now) and is_by_4(secret, text, self.signature)


@dataclass(frozen=True, kw_only=True)
class Text:
    """What a request to S3 was signed as, as the service that got it puts it together. That service knows when it was signed,
    and for how long that is good. `scope`: of version 4, if it does not stand in the text, as in forms."""

    signature: str
    text: str
    scope: str = ""

    def is_by(self, secret: str, now: datetime) -> bool:
        """Whether whoever knows `secret` signed it."""
        if self.scope:
            return Signer.of(secret, self.scope).is_by(self.text, self.signature)
        if self.text.startswith("AWS4"):
            return is_by_4(secret, self.text, self.signature, service="s3")
        return _same(_in_base64(hmac.digest(secret.encode(), self.text.encode(), hashlib.sha1)), self.signature)


Signed = Request | Text


@dataclass(frozen=True)
class Signer:
    """Checks what follows on a signed request, such as the chunks of its body. `key`: made out of the secret for one day, region
    and service; the secret itself is not in it."""

    key: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: str, scope: str) -> "Signer":
        """`scope`: `<date>/<region>/<service>/aws4_request`."""
        key = f"AWS4{secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), hashlib.sha256)
        return cls(key)

    def is_by(self, text: str, signature: str) -> bool:
        """Whether this is the signature of that text."""
        return _same(hmac.digest(self.key, text.encode(), hashlib.sha256).hex(), signature)


def is_by_4(secret: str, text: str, signature: str, *, service: str = "") -> bool:
    """Whether this is the signature of a string to sign of version 4, whose scope must fit its date, and `service` if given."""
    lines = text.split("\n")
    scope = _SCOPE.fullmatch(lines[2]) if len(lines) == 4 and lines[0] == ALGORITHM else None
    if scope is None or not lines[1].startswith(scope[1]) or (service and scope[3] != service):
        return False
    return Signer.of(secret, lines[2]).is_by(text, signature)


def canonical_query(params: Mapping[str, str], *, leave_out: str = "") -> str:
    """Sorted, and quoted in the one way that both sides agree on."""
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in params.items() if name != leave_out)
    return "&".join(f"{name}={value}" for name, value in pairs)


def _authorization(header: str) -> dict[str, str]:
    """`AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`, taken apart; empty for another header."""
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        return {}
    return dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)


def _without_port(host: str) -> str:
    return re.sub(r":[0-9]+\Z", "", host)


def _stamped(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def _instant(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _is_fresh(signed_at: datetime | None, now: datetime) -> bool:
    return signed_at is not None and abs(now - signed_at) <= FRESH


def _in_base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _same(right: str, given: str) -> bool:
    return hmac.compare_digest(right.encode(), given.encode())
