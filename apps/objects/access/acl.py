"""Access lists: canned ones and grants, and what they give.

A list is kept as `{"canned": "public-read"}` or `{"grants": [{"grantee": …, "permission": "READ"}]}`; a grantee is the canonical id of a
user, or one of two groups. Empty or None: private. An owner's own grant counts only as long as it works in the project in which it made
the thing; within the bucket's project roles decide, not lists.
"""

from collections.abc import Mapping
from typing import Any

from apps.common.errors import Invalid
from apps.objects.access.asking import Owner, Question, Subject

Acl = Mapping[str, Any]
# (grantee, permission)
Grant = tuple[str, str]
# Everybody; everybody who says who it is.
ALL, AUTHENTICATED = "all", "authenticated"
PERMISSIONS = ("FULL_CONTROL", "WRITE", "WRITE_ACP", "READ", "READ_ACP")
MOST_GRANTS = 100
CANNED: dict[str, tuple[Grant, ...]] = {
    "private": (), "public-read": ((ALL, "READ"),), "public-read-write": ((ALL, "READ"), (ALL, "WRITE")),
    "authenticated-read": ((AUTHENTICATED, "READ"),), "aws-exec-read": (),
}
# Of objects only: what the owner of the bucket is given.
BUCKET_OWNER = {"bucket-owner-read": "READ", "bucket-owner-full-control": "FULL_CONTROL"}
# What a permission on a bucket, or on an object, allows there.
ON_BUCKET: dict[str, frozenset[str]] = {
    "READ": frozenset({"s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:GetBucketLocation"}),
    "WRITE": frozenset({"s3:PutObject", "s3:DeleteObject"}),
    "READ_ACP": frozenset({"s3:GetBucketAcl"}),
    "WRITE_ACP": frozenset({"s3:PutBucketAcl"}),
}
ON_OBJECT: dict[str, frozenset[str]] = {
    "READ": frozenset({"s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"}),
    "READ_ACP": frozenset({"s3:GetObjectAcl", "s3:GetObjectVersionAcl"}),
    "WRITE_ACP": frozenset({"s3:PutObjectAcl", "s3:PutObjectVersionAcl"}),
}
_OWN_UPLOAD = frozenset({"s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"})


def check(acl: Acl | None, *, is_object: bool) -> None:
    """Raises Invalid `acl.invalid` for what is no access list."""
    if not acl:
        return
    if set(acl) == {"canned"}:
        if acl["canned"] not in CANNED and not (is_object and acl["canned"] in BUCKET_OWNER):
            raise Invalid("acl.invalid", f"There is no canned access list {acl['canned']}.", field="acl")
        return
    grants = acl.get("grants")
    if set(acl) != {"grants"} or not isinstance(grants, list) or len(grants) > MOST_GRANTS:
        raise Invalid("acl.invalid", f"An access list is a canned one, or has up to {MOST_GRANTS} grants.", field="acl")
    for each in grants:
        if each.keys() != {"grantee", "permission"} or each["permission"] not in PERMISSIONS:
            raise Invalid("acl.invalid", f"A grant names a grantee, and one of {', '.join(PERMISSIONS)}.", field="acl")


def spelled_out(acl: Acl | None, owner: str, bucket_owner: str) -> list[Grant]:
    """What a list gives; the owners by their canonical ids."""
    if acl and "grants" in acl:
        return [(each["grantee"], each["permission"]) for each in acl["grants"]]
    canned = (acl or {}).get("canned", "private")
    grants = [(owner, "FULL_CONTROL"), *CANNED.get(canned, ())]
    if canned in BUCKET_OWNER and bucket_owner != owner:
        grants.append((bucket_owner, BUCKET_OWNER[canned]))
    return grants


def of_bucket(question: Question, acl: Acl | None, owner: Owner, *, is_new: bool) -> bool:
    """Whether the bucket's list allows this. `is_new`: it is about an object that is not there yet, which will be the writer's; so
    who may write it may also say who reads it."""
    wanted = [permission for permission, allowed in ON_BUCKET.items() if question.action in allowed]
    if is_new and question.action == "s3:PutObjectAcl":
        wanted.append("WRITE")
    return bool(wanted) and _gives(acl, wanted, question.subject, owner, owner)


def of_object(question: Question, acl: Acl | None, owner: Owner, bucket_owner: Owner) -> bool:
    """Whether the object's own list allows this. Who owns an object in a stranger's bucket can always read and change its list, or
    end the upload that it comes in."""
    wanted = [permission for permission, allowed in ON_OBJECT.items() if question.action in allowed]
    if owner.is_subject(question.subject) and owner.project_id != bucket_owner.project_id and (
        question.action in _OWN_UPLOAD or {"READ_ACP", "WRITE_ACP"}.intersection(wanted)
    ):
        return True
    return bool(wanted) and _gives(acl, wanted, question.subject, owner, bucket_owner)


def _gives(acl: Acl | None, wanted: list[str], subject: Subject, owner: Owner, bucket_owner: Owner) -> bool:
    granted = {
        grantee for grantee, permission in spelled_out(acl, owner.canonical, bucket_owner.canonical)
        if permission == "FULL_CONTROL" or permission in wanted
    }
    if ALL in granted:
        return True
    if subject.user_id is None:
        return False
    return AUTHENTICATED in granted or (subject.canonical in granted and _as_oneself(subject, owner, bucket_owner))


def _as_oneself(subject: Subject, owner: Owner, bucket_owner: Owner) -> bool:
    """Whether a grant to this user counts: not to an owner who has left the project, or comes by a key for another one."""
    if owner.is_subject(subject) and owner.project_id != bucket_owner.project_id:
        return True
    return subject.user_id not in (owner.user_id, bucket_owner.user_id)
