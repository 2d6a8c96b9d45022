"""One object: which version is meant, and what it says."""

import uuid

from django.db import DEFAULT_DB_ALIAS
from django.db.models import F, QuerySet

from apps.common import ids
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid, InvalidState, NotFound
from apps.common.sql import Compiled
from apps.objects.access.decide import facts_of_version
from apps.objects.inputs import NO_CONTEXT, Condition, Context
from apps.objects.models import Bucket, Part, Version
from apps.objects.selectors import buckets, gate
from apps.objects.states import NULL

# The columns of a bucket, as they stand in a row of an object.
_OF_BUCKET = {f"bucket_{field.attname}": field.attname for field in Bucket._meta.concrete_fields}


def _latest(bucket: str, key: str) -> "QuerySet[Version]":
    its_bucket = {name: F(f"bucket__{attribute}") for name, attribute in _OF_BUCKET.items() if attribute != "id"}
    return Version.objects.filter(bucket__name=bucket, key=key, is_latest=True).annotate(**its_bucket)


_LATEST: Compiled[Version] = Compiled(_latest, "a name that no bucket has", "a key that no object has")


def found(
    *, actor: Actor, bucket: str, key: str, version: str = "", action: str = "s3:GetObject", context: Context = NO_CONTEXT
) -> tuple[Bucket, Version]:
    """The latest version, or the one named; never a delete marker.

    Raises NotFound `bucket.not_found`, `object.not_found` (fact `marker`: version of the delete marker, if there is one),
    `version.not_found`, Invalid `version.invalid`, InvalidState `object.is_marker` (the version named is a delete marker),
    Forbidden (also where there is no such object, for who may not list the bucket).
    """
    # The bucket comes with the object, in one query; it is asked for alone where there is none.
    row = None if version else _LATEST.first(bucket, key)
    holder = _bucket_of(row) if row is not None else buckets.named(bucket)
    if version:
        row = of_version(holder, key, version)
    context = {**context, **facts_of_version(version)}
    if row is None or row.is_marker:
        # Who may list the bucket sees as well that it is not there.
        if not gate.allows(actor, "s3:ListBucket", holder, context=context):
            gate.require(actor, action, holder, key=key, context=context)
            gate.require(actor, "s3:ListBucket", holder, context=context)
        raise _missing(key, version, row)
    gate.require(actor, action, holder, key=key, version=row, context=context)
    return holder, row


def _bucket_of(row: Version) -> Bucket:
    found = vars(row)
    return Bucket.from_db(DEFAULT_DB_ALIAS, list(_OF_BUCKET.values()), [found[name] for name in _OF_BUCKET])


def of_version(bucket: Bucket, key: str, version: str) -> Version | None:
    """That version of the key, which may be a delete marker. Raises Invalid `version.invalid`."""
    rows = Version.objects.filter(bucket_id=bucket.pk, key=key)
    if version == NULL:
        return rows.filter(version=NULL).first()
    return rows.filter(pk=version_id(version)).exclude(version=NULL).first()


def version_id(version: str) -> uuid.UUID:
    """The id that a version's name is. Raises Invalid `version.invalid`."""
    found = ids.parse(version) if len(version) == 32 else None
    if found is None:
        raise Invalid("version.invalid", "This is no version id.", field="version")
    return found


def check(version: Version, condition: Condition) -> None:
    """Raises Conflict `object.condition` (412), InvalidState `object.not_modified` (304)."""
    # RFC 9110: a matching ETag goes before the date beside it; dates have whole seconds.
    changed = version.created_at.replace(microsecond=0)
    if condition.match:
        if not {"*", version.etag} & set(condition.match):
            raise Conflict("object.condition", "The object is not the one that is expected.", condition="If-Match")
    elif condition.unmodified_since is not None and changed > condition.unmodified_since:
        raise Conflict("object.condition", "The object was changed since then.", condition="If-Unmodified-Since")
    if condition.none_match:
        same = bool({"*", version.etag} & set(condition.none_match))
    else:
        same = condition.modified_since is not None and changed <= condition.modified_since
    if same:
        raise InvalidState("object.not_modified", "The object is still the same.", etag=version.etag)


def parts(version: Version, *, after: int = 0, most: int = 1000) -> list[Part]:
    """The parts of a version in their order, from the one after number `after`."""
    return list(Part.objects.filter(held_by_id=version.pk, number__gt=after).order_by("number")[:most])


def part(version: Version, number: int) -> Part | None:
    """One part; None if the version has no such part. A version without parts has none."""
    if not version.parts_count:
        return None
    return Part.objects.filter(held_by_id=version.pk, number=number).first()


def _missing(key: str, version: str, row: Version | None) -> NotFound | InvalidState:
    if version and row is not None:
        return InvalidState("object.is_marker", f"This version of {key} is a delete marker.", marker=row.version)
    if version:
        return NotFound("version.not_found", f"There is no such version of {key}.", field="version", version=version)
    marker = {"marker": row.version} if row is not None else {}
    return NotFound("object.not_found", f"There is no object {key}.", field="key", key=key, **marker)
