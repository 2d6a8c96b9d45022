"""A version takes its place among those of its key, or leaves it: the transaction that every write of an object ends in.

Written in SQL, since every put runs it: lock, look, write, and what is counted. Writers of one key take turns (an advisory lock
on PostgreSQL, one writer at a time on SQLite), so the last one committed is the latest, and ids of versions rise with commits.
"""

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import IntegrityError, connection, transaction

from apps.common import clock
from apps.common.errors import Conflict, NotFound
from apps.common.ids import new_id
from apps.common.sql import as_uuid, fetch_prepared
from apps.objects.inputs import Condition
from apps.objects.models import Bucket, Garbage, Part, Version
from apps.objects.selectors.buckets import not_found as no_bucket
from apps.objects.states import NULL, Versioning
from apps.quotas.services import reservations

_BUCKET, _VERSION, _PART, _GARBAGE = (model._meta.db_table for model in (Bucket, Version, Part, Garbage))
_SHOWN = "id, version, is_latest, is_marker, size_bytes, etag, parts_count"
_OF_KEY = f"SELECT {_SHOWN} FROM {_VERSION} WHERE bucket_id = %s AND key = %s AND"
# One row is the bucket itself: how its versioning is must be read when the key is locked, not before.
_LOOK = f"""{_OF_KEY} is_latest UNION ALL {_OF_KEY} version = '{NULL}' AND NOT is_latest
UNION ALL SELECT id, versioning, FALSE, FALSE, 0, '', 0 FROM {_BUCKET} WHERE id = %s"""
_BY_ID, _NEWEST = f"{_OF_KEY} id = %s", f"{_OF_KEY} NOT is_latest ORDER BY id DESC LIMIT 1"
_SET_LATEST = {yes: f"UPDATE {_VERSION} SET is_latest = {yes} WHERE id = %s RETURNING id" for yes in (True, False)}
_DELETE = f"DELETE FROM {_VERSION} WHERE id = %s RETURNING id"
_THROW_AWAY = f"INSERT INTO {_GARBAGE} (blob_id, at) VALUES (%s, %s) RETURNING blob_id"
_THROW_PARTS_AWAY = f"INSERT INTO {_GARBAGE} (blob_id, at) SELECT blob_id, %s FROM {_PART} WHERE held_by_id = %s RETURNING blob_id"
_DELETE_PARTS = f"DELETE FROM {_PART} WHERE held_by_id = %s RETURNING blob_id"


@dataclass(frozen=True)
class There:
    """What a write must know of a version that is there."""

    id: uuid.UUID
    version: str
    is_latest: bool
    is_marker: bool
    size_bytes: int
    etag: str
    parts_count: int


@dataclass(frozen=True)
class Standing:
    """A key as it is: `latest` and `null` may be the same version."""

    versioning: Versioning
    latest: There | None
    null: There | None


@contextmanager
def committed(bucket: Bucket) -> Iterator[None]:
    """The one transaction of a write; whatever is done outside of the database comes after it. Raises NotFound: the bucket was
    deleted meanwhile."""
    try:
        with transaction.atomic(durable=True):
            yield
    except IntegrityError as error:
        if not Bucket.objects.filter(pk=bucket.pk).exists():
            raise no_bucket(bucket.name) from error
        raise


def lock(bucket: Bucket, key: str) -> None:
    """From now on nobody else writes this key, and the bucket stays. Raises NotFound."""
    if not fetch_prepared(_lock_statement(connection.vendor), (*_turn(bucket, key), _id(bucket.pk))):
        raise no_bucket(bucket.name)


def lock_many(bucket: Bucket, keys: Sequence[str]) -> None:
    """The same for several keys at once, in one order for all who do this. Raises NotFound."""
    if connection.vendor == "postgresql":
        turns = sorted({_turn(bucket, key)[0] for key in keys})
        fetch_prepared("SELECT pg_advisory_xact_lock(k) FROM unnest(%s::bigint[]) k", (turns,))
    if not fetch_prepared(_hold_statement(connection.vendor), (_id(bucket.pk),)):
        raise no_bucket(bucket.name)


def look(bucket: Bucket, key: str) -> Standing:
    """How the key is at this moment; to rely on it, lock it before. Raises NotFound `bucket.not_found`."""
    pair = (_id(bucket.pk), key)
    found = {row.id: row for row in map(_there, fetch_prepared(_LOOK, (*pair, *pair, _id(bucket.pk))))}
    holder = found.pop(bucket.pk, None)
    if holder is None:
        raise no_bucket(bucket.name)
    latest = next((row for row in found.values() if row.is_latest), None)
    return Standing(Versioning(holder.version), latest, next((row for row in found.values() if row.version == NULL), None))


def one(bucket: Bucket, key: str, version_id: uuid.UUID) -> There | None:
    """That version of the key."""
    rows = fetch_prepared(_BY_ID, (_id(bucket.pk), key, _id(version_id)))
    return _there(rows[0]) if rows else None


def check(latest: There | None, condition: Condition | None, key: str) -> None:
    """Raises Conflict `object.condition`; NotFound `object.not_found` where a certain one is expected and none is there."""
    if condition is None:
        return
    exists = latest is not None and not latest.is_marker
    if condition.match and not exists:
        raise NotFound("object.not_found", f"There is no object {key}.", field="key")
    if condition.match and latest is not None and not {"*", latest.etag} & set(condition.match):
        raise Conflict("object.condition", f"{key} is not the one that is expected: its ETag is {latest.etag}.", condition="If-Match")
    if exists and latest is not None and {"*", latest.etag} & set(condition.none_match):
        raise Conflict("object.condition", f"There is an object {key} already.", condition="If-None-Match")


def place(bucket: Bucket, new: Version, *, condition: Condition | None = None) -> int:
    """Make `new` (unsaved; its id names its content) the latest version of its key; the bytes that are let go of.

    To be called within `committed`. May give `new` another id: then the content becomes its only part. Raises NotFound, Conflict.
    """
    lock(bucket, new.key)
    standing = look(bucket, new.key)
    check(standing.latest, condition, new.key)
    return put_in(new, standing)


def put_in(new: Version, standing: Standing) -> int:
    """The same, with the key locked and looked at."""
    blob_id, latest = new.pk, standing.latest
    if latest is not None and new.pk <= latest.id:  # it began earlier, and is committed later
        new.pk = max(new_id(), uuid.UUID(int=latest.id.int + 1))
    new.is_latest, new.version = True, new.pk.hex if standing.versioning is Versioning.ENABLED else NULL
    as_part = new.pk != blob_id and new.size_bytes > 0 and new.parts_count == 0
    if as_part:
        new.parts_count = 1
    replaced = standing.null if new.version == NULL else None
    if latest is not None and (replaced is None or latest.id != replaced.id):
        fetch_prepared(_SET_LATEST[False], (_id(latest.id),))
    if replaced is None:
        fetch_prepared(_insert_statement(), _values(new))
    else:
        let_go(replaced)
        fetch_prepared(_replace_statement(), [*_values(new), _id(replaced.id)])
    if as_part:
        Part.objects.create(
            blob_id=blob_id, held_by_id=new.pk, number=1, size_bytes=new.size_bytes, starts_at=0, etag=new.etag,
            checksums=new.checksums, created_at=new.created_at,
        )
    return replaced.size_bytes if replaced is not None else 0


def remove(bucket: Bucket, standing: Standing, key: str, row: There) -> int:
    """Delete this version for good; if it was the latest, the one before it is from now on. The bytes that are let go of."""
    let_go(row)
    fetch_prepared(_DELETE, (_id(row.id),))
    if standing.versioning is not Versioning.NEVER and row.is_latest and (before := fetch_prepared(_NEWEST, (_id(bucket.pk), key))):
        fetch_prepared(_SET_LATEST[True], (_id(as_uuid(before[0][0])),))
    return row.size_bytes


def let_go(row: There) -> None:
    """Its content is garbage from now on."""
    if row.parts_count:
        fetch_prepared(_THROW_PARTS_AWAY, (_moment(), _id(row.id)))
        fetch_prepared(_DELETE_PARTS, (_id(row.id),))
    elif row.size_bytes:
        fetch_prepared(_THROW_AWAY, (_id(row.id), _moment()))


def count(project_id: uuid.UUID, *, more: int, less: int) -> None:
    """The balance in the project's quota; the last statement of the transaction. Raises QuotaExceeded."""
    if more > less:
        reservations.reserve(project_id=project_id, amounts={"object_bytes": more - less})
    elif less > more:
        reservations.release(project_id=project_id, amounts={"object_bytes": less - more})


def _turn(bucket: Bucket, key: str) -> tuple[int, ...]:
    """The number of the advisory lock of a key: two keys that share one wait for each other, no more."""
    if connection.vendor != "postgresql":
        return ()
    digest = hashlib.blake2b(key.encode(), digest_size=8, key=bucket.pk.bytes).digest()
    return (int.from_bytes(digest, "big", signed=True),)


def _lock_statement(vendor: str) -> str:
    if vendor == "postgresql":
        return f"SELECT pg_advisory_xact_lock(CAST(%s AS bigint)) FROM {_BUCKET} WHERE id = %s FOR KEY SHARE"
    return _hold_statement(vendor)


def _hold_statement(vendor: str) -> str:
    return f"SELECT id FROM {_BUCKET} WHERE id = %s{' FOR KEY SHARE' if vendor == 'postgresql' else ''}"


@lru_cache(maxsize=1)
def _columns() -> list[str]:
    return [str(field.column) for field in Version._meta.concrete_fields]


@lru_cache(maxsize=1)
def _insert_statement() -> str:
    places = ", ".join(["%s"] * len(_columns()))
    return f"INSERT INTO {_VERSION} ({', '.join(_columns())}) VALUES ({places}) RETURNING id"


@lru_cache(maxsize=1)
def _replace_statement() -> str:
    return f"UPDATE {_VERSION} SET {', '.join(f'{name} = %s' for name in _columns())} WHERE id = %s RETURNING id"


def _values(row: Version) -> list[Any]:
    return [field.get_db_prep_save(getattr(row, field.attname), connection) for field in Version._meta.concrete_fields]


def _there(row: Any) -> There:
    return There(as_uuid(row[0]), row[1], bool(row[2]), bool(row[3]), row[4], row[5], row[6])


def _id(value: uuid.UUID) -> Any:
    return value if connection.vendor == "postgresql" else value.hex


def _moment() -> Any:
    return Garbage._meta.get_field("at").get_db_prep_save(clock.now(), connection)
