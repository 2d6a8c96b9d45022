"""PostObject: an upload by a form in a browser, as far as the signed policy in the form allows it."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from apis.s3 import authentication, checksums, signing
from apis.s3.answers import Answer, document, quoted
from apis.s3.call import Call
from apis.s3.describing import about, refuse_unknown, version_id
from apis.s3.errors import Refused
from apis.s3.forms import Form
from apis.s3.operations import acls, tagging
from apis.s3.request import LONGEST_KEY, Request, Stream
from apps.common import clock
from apps.objects import states
from apps.objects.inputs import Expected
from apps.objects.services import objects

# What no policy need speak of.
_FREE = frozenset({"x-amz-signature", "signature", "awsaccesskeyid", "policy", "file"})


class Bounded:
    """The file, whose length the policy limits. Raises Refused EntityTooLarge, EntityTooSmall."""

    def __init__(self, source: Stream, least: int, most: int) -> None:
        self._source, self._least, self._most, self._taken = source, least, most, 0

    def read(self, size: int, /) -> bytes:
        piece = self._source.read(size)
        self._taken += len(piece)
        if self._taken > self._most:
            raise Refused("EntityTooLarge", ProposedSize=self._taken, MaxSizeAllowed=self._most)
        if not piece and self._taken < self._least:
            raise Refused("EntityTooSmall", ProposedSize=self._taken, MinSizeAllowed=self._least)
        return piece


def post(call: Call) -> Answer:
    """PostObject."""
    if not call.request.header("content-type").lower().startswith("multipart/form-data"):
        raise Refused("InvalidRequest", "A POST to a bucket is a form: expected multipart/form-data.")
    form = Form(call.source, call.request.header("content-type"))
    fields = form.fields
    key = fields.get("key", "").replace("${filename}", form.filename)
    if not key or "\x00" in key:
        raise Refused("InvalidArgument", "Bucket POST must contain a field named 'key'.", ArgumentName="key", ArgumentValue="")
    if len(key.encode()) > LONGEST_KEY:
        raise Refused("KeyTooLongError")
    actor, limits = call.actor, (0, states.PUT_MOST_BYTES)
    if claim := signing.form(fields):
        limits = check(_policy(fields.get("policy", "")), fields | {"key": key}, fields["key"], call.bucket)
        actor = authentication.of_claim(call.request, claim).actor
    said = _as_headers(call.request, fields, form.file_type)
    refuse_unknown(said.headers)
    announced = checksums.announced(said)
    expected = Expected(
        md5=checksums.content_md5(said), algorithm=announced.algorithm if announced else "", checksum=announced.value if announced else ""
    )
    row = objects.put(
        actor=actor, bucket=call.bucket, key=key, stream=Bounded(form, *limits), expected=expected, context=call.context,
        about=replace(
            about(said), acl=acls.of_words(fields.get("acl", ""), said.headers, is_object=True),
            tags=tagging.read(fields["tagging"].encode()) if fields.get("tagging") else {},
        ),
    )
    headers = {"ETag": quoted(row.etag), **version_id(row)}
    return _answer(call, fields, key, row.etag, headers)


def _as_headers(request: Request, fields: Mapping[str, str], file_type: str) -> Request:
    """The fields as the headers of a PutObject, which mean the same."""
    headers = dict(fields)
    if file_type and "content-type" not in headers:
        headers["content-type"] = file_type
    if any(ord(letter) < 32 and letter != "\t" for value in (*headers, *_headers_of(headers)) for letter in value):
        raise Refused("InvalidArgument", "A field holds what no header can hold.")
    return replace(request, headers=headers, signed_headers=frozenset())


def _headers_of(fields: Mapping[str, str]) -> list[str]:
    return [value for name, value in fields.items() if name not in ("policy", "tagging", "key")]


def _answer(call: Call, fields: Mapping[str, str], key: str, etag: str, headers: dict[str, str]) -> Answer:
    target = fields.get("success_action_redirect") or fields.get("redirect") or ""
    if target and urlsplit(target).scheme in ("http", "https") and target.isascii() and target.isprintable():
        query = urlencode({"bucket": call.bucket, "key": key, "etag": quoted(etag)})
        return Answer(status=303, headers=headers | {"Location": f"{target}{'&' if urlsplit(target).query else '?'}{query}"})
    path = f"/{quote(key)}" if call.request.virtual else f"/{call.bucket}/{quote(key)}"
    location = f"{call.request.scheme}://{call.request.host}{path}"
    status = fields.get("success_action_status")
    if status == "201":
        answer = document(
            "PostResponse", [("Location", location), ("Bucket", call.bucket), ("Key", key), ("ETag", quoted(etag))], namespace="",
            headers=headers | {"Location": location},
        )
        answer.status = 201
        return answer
    return Answer(status=200 if status == "200" else 204, headers=headers | {"Location": location})


def _policy(text: str) -> Mapping[str, Any]:
    try:
        policy = json.loads(base64.b64decode(text))
    except (binascii.Error, ValueError, RecursionError):
        policy = None
    if not isinstance(policy, dict) or not isinstance(policy.get("conditions"), list) or not isinstance(policy.get("expiration"), str):
        raise Refused("InvalidPolicyDocument", "Invalid Policy: Invalid JSON.")
    return policy


def check(policy: Mapping[str, Any], fields: Mapping[str, str], key: str, bucket: str) -> tuple[int, int]:
    """The least and most bytes of the file. `key`: as the form has it, before the name of the file came into it.

    Raises Refused AccessDenied, InvalidPolicyDocument.
    """
    if clock.now() > _expiration(policy["expiration"]):
        raise Refused("AccessDenied", "Invalid according to Policy: Policy expired.")
    limits, spoken_of = (0, states.PUT_MOST_BYTES), set(_FREE)
    for condition in policy["conditions"]:
        kind, name, value = _condition(condition)
        if kind == "content-length-range":
            limits = _limits(condition)
            continue
        given = [bucket] if name == "bucket" else [fields.get(name, ""), *([key] if name == "key" else [])]
        holds = any(text.startswith(value) if kind == "starts-with" else text == value for text in given)
        if not holds:
            raise Refused("AccessDenied", f"Invalid according to Policy: Policy Condition failed: {json.dumps(condition)[:512]}")
        spoken_of.add(name)
    if extra := sorted(name for name in fields if name not in spoken_of and not name.startswith("x-ignore-")):
        raise Refused("AccessDenied", f"Invalid according to Policy: Extra input fields: {', '.join(extra)[:512]}")
    return limits


def _condition(condition: Any) -> tuple[str, str, str]:
    """(kind, field in lower case, value)."""
    if isinstance(condition, dict) and len(condition) == 1:
        name, value = next(iter(condition.items()))
        if isinstance(value, str):
            return "eq", name.lower(), value
    if isinstance(condition, list) and len(condition) == 3 and isinstance(condition[0], str):
        kind, name, value = condition[0].lower(), condition[1], condition[2]
        if kind == "content-length-range":
            return kind, "", ""
        if kind in ("eq", "starts-with") and isinstance(name, str) and name.startswith("$") and isinstance(value, str):
            return kind, name[1:].lower(), value
    raise Refused("InvalidPolicyDocument", "Invalid Policy: Invalid Condition.")


def _limits(condition: Any) -> tuple[int, int]:
    try:
        least, most = int(condition[1]), int(condition[2])
    except (ValueError, TypeError):
        raise Refused("InvalidPolicyDocument", "Invalid Policy: Invalid Range in Content-Length.") from None
    if not 0 <= least <= most:
        raise Refused("InvalidPolicyDocument", "Invalid Policy: Invalid Range in Content-Length.")
    return least, min(most, states.PUT_MOST_BYTES)


def _expiration(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Refused("InvalidPolicyDocument", "Invalid Policy: Invalid 'expiration' value.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
