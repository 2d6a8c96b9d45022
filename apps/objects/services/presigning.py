"""Addresses that let whoever has them do one thing with one object for a while, signed with a key of the user who asks."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote, urlsplit

from django.conf import settings

from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import Invalid
from apps.identity.services import access_keys
from apps.identity.signatures import ALGORITHM, Signer, canonical_query
from apps.objects.access.decide import facts_of_version
from apps.objects.inputs import NO_CONTEXT, Context
from apps.objects.selectors import buckets, gate
from apps.objects.selectors import objects as objects_there
from apps.objects.services import checking

_ACTIONS = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}
METHODS = tuple(_ACTIONS)
LONGEST_S = 7 * 24 * 3600
_USUAL_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Presigned:
    """`url`: good for `method` alone, until `expires_at`, as long as the key and the rights of its user last."""

    url: str
    method: str
    access_key: str
    expires_at: datetime


def presign(
    *, actor: Actor, bucket: str, key: str, method: str = "GET", expires_s: int = 3600, version: str = "", context: Context = NO_CONTEXT
) -> Presigned:
    """Only what the actor may do itself can be signed. `version`: empty for the latest one.

    Raises NotFound `bucket.not_found`, `object.not_found`, `version.not_found`, Forbidden, Invalid `presign.method`,
    `presign.expires`, `key.invalid`, `version.invalid`, InvalidState `access_key.none`.
    """
    checking.check_key(key)
    if method not in METHODS:
        raise Invalid("presign.method", f"method: expected one of {', '.join(METHODS)}.", field="method")
    if not 1 <= expires_s <= LONGEST_S:
        raise Invalid("presign.expires", f"expires_s: expected 1 to {LONGEST_S} seconds.", field="expires_s")
    if method == "PUT" and version:
        raise Invalid("version.invalid", "What is put becomes a version of its own: name none.", field="version")
    _allow(actor, bucket, key, method, version, context)
    access, secret = access_keys.to_sign_with(actor=actor)
    now = clock.now()
    query = {"versionId": version} if version else {}
    url = _signed(method, f"/{bucket}/{key}", query, access, secret, now, expires_s)
    return Presigned(url, method, access, now.replace(microsecond=0) + timedelta(seconds=expires_s))


def action(method: str, version: str = "") -> str:
    """What is asked for with such an address, as bucket policies call it."""
    return f"{_ACTIONS[method]}{'Version' if version else ''}"


def _allow(actor: Actor, bucket: str, key: str, method: str, version: str, context: Context) -> None:
    asked = action(method, version)
    if method in ("GET", "HEAD"):
        objects_there.found(actor=actor, bucket=bucket, key=key, version=version, action=asked, context=context)
    else:
        gate.require(actor, asked, buckets.named(bucket), key=key, context={**context, **facts_of_version(version)})


def _signed(method: str, path: str, query: dict[str, str], access: str, secret: str, now: datetime, expires_s: int) -> str:
    """Signature version 4 in the query, the bucket in the path."""
    base, stamp = urlsplit(settings.ENV.s3_url), now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{settings.ENV.s3_region}/s3/aws4_request"
    # Clients leave the usual port out.
    host = base.netloc.removesuffix(f":{_USUAL_PORTS[base.scheme]}")
    quoted = quote(path, safe="/-_.~")
    asked = canonical_query(query | {
        "X-Amz-Algorithm": ALGORITHM, "X-Amz-Credential": f"{access}/{scope}", "X-Amz-Date": stamp, "X-Amz-Expires": str(expires_s),
        "X-Amz-SignedHeaders": "host",
    })
    canonical = "\n".join([method, quoted, asked, f"host:{host}\n", "host", "UNSIGNED-PAYLOAD"])
    text = "\n".join([ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signature = hmac.digest(Signer.of(secret, scope).key, text.encode(), hashlib.sha256).hex()
    return f"{base.scheme}://{host}{quoted}?{asked}&X-Amz-Signature={signature}"
