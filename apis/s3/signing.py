"""What a request says of its signature, and the text that was signed: version 4 in header and query, version 2 likewise. Pure."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from apis.s3.errors import Refused
from apis.s3.request import Query, Request

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
# How far the clocks of a client and of this machine may be apart.
SKEW = timedelta(minutes=15)
LONGEST_PRESIGNED_S = 7 * 24 * 3600
_STAMP = "%Y%m%dT%H%M%SZ"
_CREDENTIAL = re.compile(r"(.+)/(\d{8})/([^/]+)/([^/]+)/aws4_request")
_V2_HEADER = re.compile(r"AWS ([^:\s]+):(\S+)")
_IN_QUERY = ("X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature")
# What of the query counts in version 2; with `attributes`, which no such client knows, so that nobody else can add it.
_V2_SUBRESOURCES = frozenset({
    "accelerate", "acl", "analytics", "attributes", "cors", "delete", "encryption", "inventory", "legal-hold", "lifecycle", "location", "logging",
    "metrics", "notification", "object-lock", "partNumber", "policy", "publicAccessBlock", "replication", "requestPayment", "restore",
    "retention", "select", "select-type", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
    "response-cache-control", "response-content-disposition", "response-content-encoding", "response-content-language",
    "response-content-type", "response-expires",
})
# Headers that presigned addresses may have among their parameters, where they are signed as well: many SDKs put them there. What makes
# another operation of a request is none of them, nor are checksums: those were made of a body that was not there yet.
_MOVED = (
    "x-amz-acl", "x-amz-grant-", "x-amz-meta-", "x-amz-tagging", "x-amz-storage-class", "x-amz-server-side-encryption", "x-amz-object-lock-",
    "x-amz-website-redirect-location",
)
_MOVED_2 = (*_MOVED, "content-type", "content-md5")
# They say how the body is sent, which is checked by itself, or were put in on the way.
_MAY_BE_UNSIGNED = frozenset({"x-amz-content-sha256", "x-amz-date"})


@dataclass(frozen=True, kw_only=True)
class Claim:
    """By which key a request says that it was signed. `text`: what must have been signed. `payload`: what was said of the body:
    its SHA-256 in hex, or one of S3's words. `signed`: lower-case names of the headers in it. `canonical`: for people. `scope`: of
    version 4, if it does not stand in `text`."""

    access: str
    signature: str
    text: str
    payload: str = UNSIGNED
    signed: frozenset[str] = frozenset()
    canonical: str = ""
    scope: str = ""

    @property
    def stamp_and_scope(self) -> tuple[str, str]:
        """What chunk signatures are bound to. Only of version 4."""
        _, stamp, scope, _ = self.text.split("\n")
        return stamp, scope


def claim(request: Request, now: datetime) -> Claim | None:
    """None for a request without a signature. Raises Refused for one that is malformed, expired or too far from our clock."""
    header, query = request.header("authorization"), request.query
    in_query = "X-Amz-Algorithm" in query or "X-Amz-Signature" in query
    in_query_2 = "AWSAccessKeyId" in query or "Signature" in query
    if sum((bool(header), in_query, in_query_2)) > 1:
        raise Refused("InvalidArgument", "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified")
    if in_query:
        return _presigned_4(request, now)
    if in_query_2:
        return _presigned_2(request, now)
    if header.startswith(ALGORITHM):
        return _header_4(request, header, now)
    if header.startswith("AWS "):
        return _header_2(request, header, now)
    if header:
        raise Refused("InvalidArgument", "Unsupported Authorization Type", ArgumentName="Authorization")
    return None


def _header_4(request: Request, header: str, now: datetime) -> Claim:
    parts = dict(part.strip().partition("=")[::2] for part in header[len(ALGORITHM):].split(","))
    if missing := [name for name in ("Credential", "SignedHeaders", "Signature") if not parts.get(name)]:
        raise Refused("AuthorizationHeaderMalformed", f"The authorization header is malformed; it lacks {', '.join(missing)}.")
    access, scope = _credential(parts["Credential"], "AuthorizationHeaderMalformed")
    stamp = request.header("x-amz-date") or _stamp_of(request.header("date"))
    _check_skew(_stamped(stamp), now)
    payload = request.header("x-amz-content-sha256")
    if not payload:
        raise Refused("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    return _claim_4(request, access, scope, stamp, parts["SignedHeaders"], parts["Signature"], payload)


def _presigned_4(request: Request, now: datetime) -> Claim:
    query, code = request.query, "AuthorizationQueryParametersError"
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        raise Refused(code, 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
    if any(not query.get(name) for name in _IN_QUERY):
        raise Refused(code, f"Query-string authentication version 4 requires {', '.join(('X-Amz-Algorithm', *_IN_QUERY))}.")
    access, scope = _credential(query.get("X-Amz-Credential"), code)
    expires = query.get("X-Amz-Expires")
    if not re.fullmatch(r"\d{1,9}", expires, re.ASCII) or not 0 < int(expires) <= LONGEST_PRESIGNED_S:
        raise Refused(code, f"X-Amz-Expires must be a number of seconds from 1 to {LONGEST_PRESIGNED_S}.")
    stamp = query.get("X-Amz-Date")
    made = _stamped(stamp)
    if made is None:
        raise Refused(code, 'X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd\'T\'HHmmss\'Z\'"')
    _check_window(now, begins=made - SKEW, ends=made + timedelta(seconds=int(expires)), said=expires)
    signed = query.get("X-Amz-SignedHeaders")
    payload = UNSIGNED
    if "x-amz-content-sha256" in signed.split(";"):
        payload = request.header("x-amz-content-sha256")
    found = _claim_4(request, access, scope, stamp, signed, query.get("X-Amz-Signature"), query.get("X-Amz-Content-Sha256") or payload)
    _move(request, _MOVED)
    return found


def _claim_4(request: Request, access: str, scope: str, stamp: str, signed: str, signature: str, payload: str) -> Claim:
    names = signed.lower().split(";")
    if "host" not in names:
        raise Refused("AccessDenied", "There were headers present in the request which were not signed", HeadersNotSigned="host")
    # A server hands over `a_b` as `a-b`; what was signed tells which it was.
    known = {name.replace("_", "-") for name in names}
    unsigned = [name for name in request.headers if name.startswith("x-amz-") and name not in known and name not in _MAY_BE_UNSIGNED]
    if unsigned:
        raise Refused(
            "AccessDenied", "There were headers present in the request which were not signed", HeadersNotSigned=", ".join(sorted(unsigned))
        )
    headers = "".join(f"{name}:{' '.join(request.header(name.replace('_', '-')).split())}\n" for name in names)
    canonical = "\n".join(
        [request.method, quote(request.path, safe="/-_.~"), canonical_query(request.query), headers, signed, payload]
    )
    text = "\n".join([ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    return Claim(access=access, signature=signature, text=text, payload=payload, signed=frozenset(names), canonical=canonical)


def _header_2(request: Request, header: str, now: datetime) -> Claim:
    match = _V2_HEADER.fullmatch(header)
    if match is None:
        raise Refused("InvalidArgument", "AWS authorization header is invalid. Expected AwsAccessKeyId:signature", ArgumentName="Authorization")
    own = request.header("x-amz-date")
    _check_skew(_dated(own or request.header("date")), now)
    return _claim_2(request, match[1], match[2], "" if own else request.header("date"))


def _presigned_2(request: Request, now: datetime) -> Claim:
    query = request.query
    access, signature, expires = (query.get(name) for name in ("AWSAccessKeyId", "Signature", "Expires"))
    if not (access and signature and expires):
        raise Refused("AccessDenied", "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
    if not re.fullmatch(r"\d{1,12}", expires, re.ASCII):
        raise Refused("AccessDenied", "Invalid date (should be seconds since epoch): " + expires)
    try:
        ends = datetime.fromtimestamp(int(expires), UTC)
    except (ValueError, OverflowError):
        raise Refused("AccessDenied", "Invalid date (should be seconds since epoch): " + expires) from None
    _check_window(now, begins=None, ends=ends, said=expires)
    _move(request, _MOVED_2)  # version 2 signs them as headers
    return _claim_2(request, access, signature, expires)


def _move(request: Request, names: tuple[str, ...]) -> None:
    """Parameters become the headers that they stand for, unless these came as well."""
    for name, value in request.query.pairs:
        if name.lower().startswith(names):
            request.headers.setdefault(name.lower(), value)


def _claim_2(request: Request, access: str, signature: str, date: str) -> Claim:
    amz = sorted((name, value.strip()) for name, value in request.headers.items() if name.startswith("x-amz-"))
    counted = sorted((name, value) for name, value in request.query.pairs if name in _V2_SUBRESOURCES)
    query = "&".join(f"{name}={value}" if value else name for name, value in counted)
    # A bucket alone ends with a slash, also where its path does not.
    path = f"{request.resource.rstrip('/')}/" if request.bucket and not request.key else request.resource
    resource = quote(path, safe="/-_.~") + (f"?{query}" if query else "")
    headers = "".join(f"{name}:{value}\n" for name, value in amz)
    text = "\n".join([request.method, request.header("content-md5"), request.header("content-type"), date, headers + resource])
    return Claim(access=access, signature=signature, text=text, signed=frozenset(name for name, _ in amz))


def canonical_query(query: Query) -> str:
    """Sorted and quoted in the one way that both sides agree on, without the signature."""
    return _canonical((name, value) for name, value in query.pairs if name != "X-Amz-Signature")


def _canonical(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs))


def form(fields: Mapping[str, str]) -> Claim | None:
    """The claim of a form: what was signed is its policy. None for a form without one. When it ends stands in the policy."""
    policy = fields.get("policy", "")
    if fields.get("x-amz-signature"):
        access, scope = _credential(fields.get("x-amz-credential", ""), "InvalidArgument")
        if fields.get("x-amz-algorithm") != ALGORITHM:
            raise Refused("InvalidArgument", 'x-amz-algorithm only supports "AWS4-HMAC-SHA256"', ArgumentName="x-amz-algorithm")
        return Claim(access=access, signature=fields["x-amz-signature"], text=policy, scope=scope)
    if fields.get("awsaccesskeyid"):
        return Claim(access=fields["awsaccesskeyid"], signature=fields.get("signature", ""), text=policy)
    return None


def _credential(text: str, code: str) -> tuple[str, str]:
    """(access key, scope)."""
    match = _CREDENTIAL.fullmatch(text)
    if match is None:
        raise Refused(code, "The Credential is malformed; expected <access key>/YYYYMMDD/<region>/s3/aws4_request.")
    if match[4] != "s3":
        raise Refused(code, f"The Credential is for the service {match[4]}; expected s3.")
    return match[1], f"{match[2]}/{match[3]}/{match[4]}/aws4_request"


def _check_skew(made: datetime | None, now: datetime) -> None:
    if made is None:
        raise Refused("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    if abs(now - made) > SKEW:
        raise Refused(
            "RequestTimeTooSkewed", RequestTime=made.strftime(_STAMP), ServerTime=_iso(now),
            MaxAllowedSkewMilliseconds=int(SKEW.total_seconds() * 1000),
        )


def _check_window(now: datetime, *, begins: datetime | None, ends: datetime, said: str) -> None:
    if begins is not None and now < begins:
        raise Refused("AccessDenied", "Request is not yet valid", ServerTime=_iso(now))
    if now > ends:
        raise Refused("AccessDenied", "Request has expired", XAmzExpires=said, Expires=_iso(ends), ServerTime=_iso(now))


def _stamped(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def _stamp_of(date: str) -> str:
    found = _dated(date)
    return found.strftime(_STAMP) if found else ""


def _dated(text: str) -> datetime | None:
    """A date as HTTP writes it, or as version 4 does."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return _stamped(text)
    try:
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
