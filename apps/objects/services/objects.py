"""Objects: taken in, deleted, and what is said of them. Copies are in `copying`."""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import CloudError, Forbidden, Invalid, NotFound
from apps.common.ids import new_id
from apps.objects.access import acl as access_lists
from apps.objects.access.decide import facts_of_new, facts_of_version
from apps.objects.inputs import NO_CONTEXT, About, Condition, Context, Deleted, Doomed, Expected, Source, Stream
from apps.objects.models import Version
from apps.objects.selectors import buckets, gate
from apps.objects.selectors import objects as objects_there
from apps.objects.services import checking, copying, deleting, placing, receiving, writing
from apps.objects.states import DELETE_MOST_KEYS, OBJECT_MOST_TAGS


def put(
    *, actor: Actor, bucket: str, key: str, stream: Stream, about: About, expected: Expected | None = None,
    size_bytes: int | None = None, condition: Condition | None = None, context: Context = NO_CONTEXT,
) -> Version:
    """Take in an object; nothing of it is visible before all of it is on the disk. The last one committed is the latest.

    `size_bytes`: of the stream, as far as that is known. `condition`: `match` and `none_match` are looked at before the first
    byte and again when the object takes its place. Raises NotFound `bucket.not_found`, `object.not_found` (a certain one is
    expected), Forbidden, Invalid `key.invalid`, `tags.invalid`, `object.metadata`, `object.too_large`, `object.incomplete` (the
    stream ended early or went on), `object.md5`, `object.sha256`, `object.checksum` (not what was expected),
    `checksum.algorithm`, Conflict `object.condition`, QuotaExceeded, Unavailable `object.storage_full`.
    """
    checking.check_key(key)
    checking.check_about(about)
    holder = buckets.named(bucket)
    writing.allow_writing(actor, holder, key, about, context)
    if condition is not None:
        placing.check(placing.look(holder, key).latest, condition, key)
    received = receiving.receive(bucket=holder, stream=stream, expected=expected, size_bytes=size_bytes)
    new = Version(
        id=received.blob_id, bucket_id=holder.pk, key=key, size_bytes=received.size_bytes, etag=received.etag,
        checksums=received.checksums, **writing.described(actor, about),
    )
    with received.kept(), placing.committed(holder):
        less = placing.place(holder, new, condition=condition)
        writing.write_down(actor, "objects.object.create", holder, new)
        placing.count(holder.project_id, more=new.size_bytes, less=less)
    return new


def copy(
    *, actor: Actor, source: Source, bucket: str, key: str, about: About | None = None, tags: Mapping[str, str] | None = None,
    acl: Mapping[str, Any] | None = None, algorithm: str = "", condition: Condition | None = None, context: Context = NO_CONTEXT,
) -> Version:
    """A copy inside the store, which shares the content's disk blocks.

    `about` None: as the source is described; `tags` None: its tags. `acl`: never copied. `algorithm`: of a checksum that the
    copy is to have. Raises what `put` raises, NotFound `object.not_found`, `version.not_found`, InvalidState `object.is_marker`,
    Invalid `object.copy_to_itself`, Conflict `object.condition`.
    """
    checking.check_key(key)
    _, origin = objects_there.found(
        actor=actor, bucket=source.bucket, key=source.key, version=source.version, action="s3:GetObject", context=context
    )
    if source.condition is not None:
        objects_there.check(origin, source.condition)
    changes_nothing = about is None and tags is None and acl is None and not algorithm and not source.version
    if changes_nothing and (source.bucket, source.key) == (bucket, key):
        raise Invalid("object.copy_to_itself", "This copy would change nothing: another key, or other metadata, are needed.", field="source")
    told = copying.described_as(origin, about=about, tags=tags, acl=acl)
    checking.check_about(told)
    holder = buckets.named(bucket)
    writing.allow_writing(actor, holder, key, told, context)
    new = Version(
        id=new_id(), bucket_id=holder.pk, key=key, size_bytes=origin.size_bytes, etag=origin.etag, checksums=origin.checksums,
        **writing.described(actor, told),
    )
    return copying.copy(actor=actor, holder=holder, origin=origin, new=new, algorithm=algorithm, condition=condition)


def delete(
    *, actor: Actor, bucket: str, key: str, version: str = "", condition: Condition | None = None, context: Context = NO_CONTEXT
) -> Deleted:
    """Delete one version for good, or the object: with versioning that leaves a delete marker. What is not there is no error.

    Raises NotFound `bucket.not_found`, Forbidden, Invalid `version.invalid`, Conflict `object.condition`.
    """
    checking.check_key(key)
    holder = buckets.named(bucket)
    action = "s3:DeleteObjectVersion" if version else "s3:DeleteObject"
    gate.require(actor, action, holder, key=key, context={**context, **facts_of_version(version)})
    with placing.committed(holder):
        placing.lock(holder, key)
        deleted, less = deleting.delete(actor, holder, key, version, condition)
        writing.write_down(actor, "objects.object.delete", holder, Version(key=key, version=deleted.version))
        placing.count(holder.project_id, more=0, less=less)
    return deleted


def delete_many(*, actor: Actor, bucket: str, doomed: Sequence[Doomed], context: Context = NO_CONTEXT) -> list[Deleted | CloudError]:
    """The same for up to 1,000 objects, each on its own: what came of each, in their order.

    Raises NotFound `bucket.not_found`, Invalid `object.too_many`.
    """
    if len(doomed) > DELETE_MOST_KEYS:
        raise Invalid("object.too_many", f"At most {DELETE_MOST_KEYS} keys at once.", field="keys", limit=DELETE_MOST_KEYS)
    holder = buckets.named(bucket)
    results: dict[int, Deleted | CloudError] = {}
    allowed: list[tuple[int, Doomed]] = []
    for position, each in enumerate(doomed):
        action = "s3:DeleteObjectVersion" if each.version else "s3:DeleteObject"
        try:
            checking.check_key(each.key)
            gate.require(actor, action, holder, key=each.key, context={**context, **facts_of_version(each.version)})
        except (Invalid, Forbidden) as error:
            results[position] = error
        else:
            allowed.append((position, each))
    for first in range(0, len(allowed), deleting.AT_ONCE):
        some = allowed[first : first + deleting.AT_ONCE]
        with placing.committed(holder):
            found, less = deleting.delete_each(actor, holder, [each for _, each in some])
            for result in found:
                if isinstance(result, Deleted):
                    writing.write_down(actor, "objects.object.delete", holder, Version(key=result.key, version=result.version))
            placing.count(holder.project_id, more=0, less=less)
        results.update({position: result for (position, _), result in zip(some, found, strict=True)})
    return [results[position] for position in range(len(doomed))]


def put_tags(
    *, actor: Actor, bucket: str, key: str, tags: Mapping[str, str], version: str = "", context: Context = NO_CONTEXT
) -> Version:
    """No tags take them away. Raises NotFound `bucket.not_found`, `object.not_found`, `version.not_found`, Forbidden, Invalid,
    InvalidState `object.is_marker`."""
    checking.check_tags(tags, most=OBJECT_MOST_TAGS)
    verb = "Put" if tags else "Delete"
    action = f"s3:{verb}Object{'Version' if version else ''}Tagging"
    return _change(actor, bucket, key, version, action, {**context, **facts_of_new(tags)}, tags=dict(tags))


def put_acl(
    *, actor: Actor, bucket: str, key: str, acl: Mapping[str, Any], version: str = "", context: Context = NO_CONTEXT
) -> Version:
    """Raises as `put_tags`, Invalid `acl.invalid`. Always in the audit trail."""
    access_lists.check(acl, is_object=True)
    action = f"s3:PutObject{'Version' if version else ''}Acl"
    return _change(actor, bucket, key, version, action, context, acl=dict(acl))


def _change(actor: Actor, bucket: str, key: str, version: str, action: str, context: Context, **columns: Any) -> Version:
    """Write columns of a version in place. An object that is replaced meanwhile is looked for again."""
    for _ in range(3):
        holder, row = objects_there.found(actor=actor, bucket=bucket, key=key, version=version, action=action, context=context)
        with placing.committed(holder):
            if Version.objects.filter(pk=row.pk).update(**columns):
                if "acl" in columns:
                    record.write(
                        actor, "objects.object.update", "object", f"{bucket}/{key}", project_id=holder.project_id, name=key,
                        changes={"acl": [row.acl, columns["acl"]], "version": row.version},
                    )
                for name, value in columns.items():
                    setattr(row, name, value)
                return row
    raise NotFound("object.not_found", f"There is no object {key} (any more).", field="key", key=key)
