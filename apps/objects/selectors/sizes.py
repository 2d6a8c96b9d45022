"""How much is in buckets, counted as far as that is quick."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from django.db import connection

from apps.common.sql import as_uuid
from apps.objects.models import Part, Upload, Version

_VERSION, _UPLOAD, _PART = (model._meta.db_table for model in (Version, Upload, Part))
# Beyond so many rows, counting takes longer than somebody who looks at a page waits.
MOST = 100_000
# SQLite takes no more in one statement.
_AT_ONCE = 100


@dataclass(frozen=True)
class Size:
    """`objects`, `object_bytes`: those that are seen in lists. `versions`, `size_bytes`: with all that versioning keeps. `uploads`,
    `upload_bytes`: under way, and the parts of them that are there; both kinds of bytes count in the quota.

    `is_exact`: False if there is more than was counted.
    """

    objects: int = 0
    object_bytes: int = 0
    versions: int = 0
    size_bytes: int = 0
    uploads: int = 0
    upload_bytes: int = 0
    is_exact: bool = True


def sizes(bucket_ids: Collection[uuid.UUID], *, most: int = MOST) -> dict[uuid.UUID, Size]:
    """Of each of these buckets; no more than `most` versions, uploads and parts of each are looked at. What is not there is empty."""
    found: dict[uuid.UUID, Size] = {}
    wanted = list(bucket_ids)
    for first in range(0, len(wanted), _AT_ONCE):
        some = wanted[first : first + _AT_ONCE]
        keys = [each if connection.vendor == "postgresql" else each.hex for each in some for _ in range(4)]
        with connection.cursor() as cursor:
            cursor.execute(_statement(most + 1, len(some)), keys)
            found |= {as_uuid(row[0]): _size(row[1:], most) for row in cursor.fetchall()}
    return found


def _size(row: tuple[object, ...], most: int) -> Size:
    objects, object_bytes, versions, size_bytes, uploads, parts, upload_bytes = (int(str(value or 0)) for value in row)
    return Size(objects, object_bytes, versions, size_bytes, uploads, upload_bytes, is_exact=max(versions, uploads, parts) <= most)


@lru_cache(maxsize=8)
def _statement(most: int, count: int) -> str:
    """One line for each bucket; its id is asked for four times."""
    versions = f"SELECT is_latest AND NOT is_marker AS seen, size_bytes FROM {_VERSION} WHERE bucket_id = %s LIMIT {most}"
    uploads = f"SELECT 1 FROM {_UPLOAD} WHERE bucket_id = %s LIMIT {most}"
    parts = f"SELECT p.size_bytes FROM {_UPLOAD} u JOIN {_PART} p ON p.upload_id = u.id WHERE u.bucket_id = %s LIMIT {most}"
    of_versions = "sum(CASE WHEN seen THEN 1 ELSE 0 END), sum(CASE WHEN seen THEN size_bytes ELSE 0 END), count(*), sum(size_bytes)"
    one = (
        f"SELECT %s, v.*, u.*, p.* FROM (SELECT {of_versions} FROM ({versions}) each_version) v,"
        f" (SELECT count(*) FROM ({uploads}) each_upload) u, (SELECT count(*), sum(size_bytes) FROM ({parts}) each_part) p"
    )
    return " UNION ALL ".join([one] * count)
