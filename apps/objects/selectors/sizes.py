"""How much is in buckets, counted as far as that is quick."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from django.db import connection

from apps.common.sql import as_uuid
from apps.objects.models import Bucket, Part, Upload, Version

_BUCKET, _VERSION, _UPLOAD, _PART = (model._meta.db_table for model in (Bucket, Version, Upload, Part))
# Beyond so many rows, counting takes longer than somebody who looks at a page waits.
MOST = 100_000


@dataclass(frozen=True)
class Size:
    """`objects`: those that are seen in lists. `versions`, `size_bytes`: with all that versioning keeps. `uploads`: under way.

    `is_exact`: False if there is more than was counted.
    """

    objects: int
    versions: int
    size_bytes: int
    uploads: int
    is_exact: bool


def sizes(bucket_ids: Collection[uuid.UUID], *, most: int = MOST) -> dict[uuid.UUID, Size]:
    """Of each of these buckets, in one query that looks at no more than `most` versions of each."""
    if not bucket_ids:
        return {}
    keys = [each if connection.vendor == "postgresql" else each.hex for each in bucket_ids]
    with connection.cursor() as cursor:
        cursor.execute(_statement(most + 1, len(keys)), keys)
        rows = cursor.fetchall()
    return {as_uuid(row[0]): _size(row, most) for row in rows}


def _size(row: tuple[object, ...], most: int) -> Size:
    versions, objects, size_bytes, uploads = (int(str(value or 0)) for value in row[1:])
    return Size(objects, versions, size_bytes, uploads, is_exact=max(versions, uploads) <= most)


@lru_cache(maxsize=8)
def _statement(most: int, count: int) -> str:
    def of(what: str) -> str:
        looked_at = f"SELECT is_latest AND NOT is_marker AS seen, size_bytes FROM {_VERSION} v WHERE v.bucket_id = b.id LIMIT {most}"
        return f"(SELECT {what} FROM ({looked_at}) looked_at)"

    uploads = f"(SELECT count(*) FROM (SELECT 1 FROM {_UPLOAD} u WHERE u.bucket_id = b.id LIMIT {most}) looked_at)"
    columns = (of("count(*)"), of("sum(CASE WHEN seen THEN 1 ELSE 0 END)"), of("sum(size_bytes)"), uploads)
    return f"SELECT b.id, {', '.join(columns)} FROM {_BUCKET} b WHERE b.id IN ({', '.join(['%s'] * count)})"
