"""Access lists: canned ones, grants in headers, documents; what they mean is decided in `apps.objects.access`."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from apis.s3 import xml
from apis.s3.answers import Answer, document
from apis.s3.call import Call
from apis.s3.describing import version_id
from apis.s3.errors import Refused
from apis.s3.people import Names, user_id_of
from apps.identity import selectors
from apps.objects.access.acl import (
    ALL,
    AUTHENTICATED,
    BUCKET_OWNER,
    CANNED,
    MOST_GRANTS,
    PERMISSIONS,
    Acl,
    Grant,
    spelled_out,
)
from apps.objects.access.asking import ANONYMOUS, canonical
from apps.objects.selectors import buckets as bucket_reads
from apps.objects.selectors import objects as object_reads
from apps.objects.services import buckets, objects

if TYPE_CHECKING:  # tables are private to their context; a type may be named
    from apps.objects.models import Bucket

_URI = "http://acs.amazonaws.com/groups/global/"
_GROUPS = {f"{_URI}AllUsers": ALL, f"{_URI}AuthenticatedUsers": AUTHENTICATED}
_URIS = {name: uri for uri, name in _GROUPS.items()}
_HEADERS = {f"x-amz-grant-{name.lower().replace('_', '-')}": name for name in PERMISSIONS}
_GRANTEE = re.compile(r'\s*(id|uri|emailAddress)\s*=\s*"?([^",]*)"?\s*')


def of_headers(call: Call) -> Acl | None:
    """The list that x-amz-acl or x-amz-grant-… say; None for none. Raises Refused InvalidArgument, InvalidRequest."""
    request = call.request
    return of_words(request.header("x-amz-acl"), request.headers, is_object=bool(request.key))


def of_words(canned: str, granting: Mapping[str, str], *, is_object: bool) -> Acl | None:
    """The same by the words themselves. `granting`: headers, of which those count that grant something."""
    grants = [(grantee, _HEADERS[name]) for name, text in granting.items() if name in _HEADERS and text for grantee in _grantees(text)]
    if canned and grants:
        raise Refused("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed")
    if canned:
        if canned not in CANNED and not (is_object and canned in BUCKET_OWNER):
            raise Refused("InvalidArgument", "", ArgumentName="x-amz-acl", ArgumentValue=canned[:64])
        return {"canned": canned}
    return _checked(grants) if grants else None


def _grantees(text: str) -> Iterable[str]:
    for part in text.split(","):
        match = _GRANTEE.fullmatch(part)
        if match is None:
            raise Refused("InvalidArgument", "Argument format not recognized", ArgumentValue=text[:128])
        yield _grantee(match[1], match[2])


def _grantee(kind: str, value: str) -> str:
    if kind == "emailAddress":
        raise Refused("UnresolvableGrantByEmailAddress", Email=value[:128])
    if kind == "uri":
        if value not in _GROUPS:
            raise Refused("InvalidArgument", "Invalid group uri", ArgumentName="uri", ArgumentValue=value[:128])
        return _GROUPS[value]
    if user_id_of(value) is None:
        raise Refused("InvalidArgument", "Invalid id", ArgumentName="id", ArgumentValue=value[:64])
    return value


def _checked(grants: list[Grant]) -> Acl:
    """Raises Refused if there are too many, or somebody among them does not exist."""
    if len(grants) > MOST_GRANTS:
        raise Refused("InvalidRequest", f"An access list has at most {MOST_GRANTS} grants.")
    asked = {found for grantee, _ in grants if (found := user_id_of(grantee)) is not None and grantee != ANONYMOUS}
    if unknown := asked - selectors.user_names(asked).keys():
        raise Refused("InvalidArgument", "Invalid id", ArgumentName="id", ArgumentValue=min(unknown).hex)
    return {"grants": [{"grantee": grantee, "permission": permission} for grantee, permission in grants]}


def get_of_bucket(call: Call) -> Answer:
    """GetBucketAcl."""
    row = bucket_reads.bucket(actor=call.actor, name=call.bucket, action="s3:GetBucketAcl", context=call.context)
    return _rendered(call, row.acl, row.user_id, row)


def put_of_bucket(call: Call) -> Answer:
    """PutBucketAcl."""
    buckets.put_acl(actor=call.actor, name=call.bucket, acl=_read(call), context=call.context)
    return Answer()


def get_of_object(call: Call) -> Answer:
    """GetObjectAcl."""
    bucket, row = object_reads.found(
        actor=call.actor, bucket=call.bucket, key=call.key, version=call.version,
        action="s3:GetObjectVersionAcl" if call.version else "s3:GetObjectAcl", context=call.context,
    )
    answer = _rendered(call, row.acl, row.user_id, bucket)
    answer.headers |= version_id(row, bucket)
    return answer


def put_of_object(call: Call) -> Answer:
    """PutObjectAcl."""
    row = objects.put_acl(
        actor=call.actor, bucket=call.bucket, key=call.key, acl=_read(call), version=call.version, context=call.context
    )
    return Answer(headers=version_id(row))


def _read(call: Call) -> Acl:
    given = of_headers(call)
    content = call.body().all(64 * 1024)
    if given is not None:
        if content.strip():
            raise Refused("InvalidRequest", "This request carries an ACL in its headers and one in its body: send one of them.")
        return given
    if not content:
        raise Refused("MissingRequestBodyError")
    root = xml.parse(content, "AccessControlPolicy")
    listed = root.find("AccessControlList")
    if listed is None:
        raise Refused("MalformedACLError")
    return _checked([_grant(each) for each in listed.findall("Grant")])


def _grant(element: Element) -> Grant:
    grantee, permission = element.find("Grantee"), xml.text(element, "Permission")
    if grantee is None or permission not in PERMISSIONS:
        raise Refused("MalformedACLError")
    for kind, child in (("id", "ID"), ("uri", "URI"), ("emailAddress", "EmailAddress")):
        if value := xml.text(grantee, child):
            return _grantee(kind, value), permission
    raise Refused("MalformedACLError")


def _rendered(call: Call, acl: Acl | None, owner: Any, bucket: "Bucket") -> Answer:
    grants = spelled_out(acl, canonical(owner), canonical(bucket.user_id))
    names = Names(call.actor, [owner, *(user_id_of(grantee) for grantee, _ in grants)])
    nodes = [("Grant", [_shown(grantee, names), ("Permission", permission)]) for grantee, permission in grants]
    return document("AccessControlPolicy", [("Owner", names.person(owner)), ("AccessControlList", nodes)])


def _shown(grantee: str, names: Names) -> xml.Node:
    if grantee in _URIS:
        return (xml.typed("Grantee", "Group"), [("URI", _URIS[grantee])])
    found = None if grantee == ANONYMOUS else user_id_of(grantee)
    return (xml.typed("Grantee", "CanonicalUser"), names.person(found))
