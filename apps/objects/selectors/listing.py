"""Pages of lists in the order of keys. What a page costs does not depend on how much is in the bucket.

Keys under a common prefix are never read one by one: the database jumps from each entry of the page to the first key behind it
(a recursive query, one descent of the index for each entry).
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from django.db import connection
from django.db.models import Model, Q, QuerySet, TextField
from django.db.models.functions import Cast

from apps.common import ids
from apps.common.errors import Invalid
from apps.common.sql import fetch_prepared, fetch_tuples
from apps.objects.models import Bucket, Upload, Version
from apps.objects.selectors import objects as one
from apps.objects.states import PAGE_MOST

_LAST_CHARACTER = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)
_VISIBLE = "v.is_latest AND NOT v.is_marker"


class Entry(NamedTuple):
    """What lists tell of a version; see `models.Version`."""

    pk: uuid.UUID
    key: str
    version: str
    is_latest: bool
    is_marker: bool
    size_bytes: int
    etag: str
    content_type: str
    user_id: uuid.UUID | None
    created_at: datetime
    checksums: dict[str, str]


_COLUMNS = Entry._fields[:-1]


@dataclass(frozen=True)
class Page:
    """`prefixes`: common prefixes. `more`: there are further entries, which begin after `next_key` (`next_version`, if given)."""

    entries: list[Entry]
    prefixes: list[str]
    more: bool
    next_key: str = ""
    next_version: str = ""


@dataclass(frozen=True)
class UploadPage:
    """The same of uploads; they go on after `next_key` and `next_upload`."""

    entries: "list[Upload]"
    prefixes: list[str]
    more: bool
    next_key: str = ""
    next_upload: str = ""


def objects(bucket: Bucket, *, prefix: str = "", delimiter: str = "", after: str = "", most: int = PAGE_MOST) -> Page:
    """Objects and common prefixes, together at most `most`, after the key or common prefix `after`. The bucket was allowed by
    `selectors.buckets.bucket`."""
    rows = Version.objects.filter(bucket_id=bucket.pk, is_latest=True, is_marker=False)
    if most <= 0:
        return Page([], [], more=False)
    if not delimiter:
        found = _entries(_range(rows, prefix, after).order_by("key")[: most + 1])
        more = len(found) > most
        return Page(found[:most], [], more, found[most - 1].key if more else "")
    names = _walk(Version, _VISIBLE, bucket, prefix, delimiter, after, most + 1)
    more, names = len(names) > most, names[:most]
    prefixes = [name for name, is_prefix in names if is_prefix]
    keys = [name for name, is_prefix in names if not is_prefix]
    entries = _entries(rows.filter(key__in=keys).order_by("key")) if keys else []
    return Page(entries, prefixes, more, names[-1][0] if more else "")


def versions(
    bucket: Bucket, *, prefix: str = "", delimiter: str = "", after: str = "", after_version: str = "", most: int = PAGE_MOST
) -> Page:
    """All versions and delete markers, the newest of a key first, after version `after_version` of the key `after`.

    Raises Invalid `version.invalid`.
    """
    rows = Version.objects.filter(bucket_id=bucket.pk)
    begun = _begun_versions(bucket, after, after_version)
    entries, prefixes, more = _grouped(Version, rows, begun, "-pk", bucket, prefix, delimiter, after, most)
    last = _last(entries, prefixes)
    if not more:
        return Page(entries, prefixes, more)
    return Page(entries, prefixes, more, last[0], last[1].version if isinstance(last[1], Entry) else "")


def uploads(
    bucket: Bucket, *, prefix: str = "", delimiter: str = "", after: str = "", after_upload: str = "", most: int = PAGE_MOST
) -> UploadPage:
    """Uploads under way, by key and then by beginning. Raises Invalid `upload.invalid`."""
    rows = Upload.objects.filter(bucket_id=bucket.pk)
    begun = rows.none()
    if after and after_upload:
        upload_id = ids.parse(after_upload)
        if upload_id is None:
            raise Invalid("upload.invalid", "This is no upload id.", field="after_upload")
        begun = rows.filter(key=after, pk__gt=upload_id)
    entries, prefixes, more = _grouped(Upload, rows, begun, "pk", bucket, prefix, delimiter, after, most)
    last = _last(entries, prefixes)
    if not more:
        return UploadPage(entries, prefixes, more)
    return UploadPage(entries, prefixes, more, last[0], last[1].pk.hex if isinstance(last[1], Upload) else "")


def behind(prefix: str) -> str | None:
    """The first text behind all that begin with `prefix`; None if there is none."""
    while prefix:
        code = ord(prefix[-1])
        if code < _LAST_CHARACTER:
            code += 1
            return prefix[:-1] + chr(_SURROGATES[1] + 1 if _SURROGATES[0] <= code <= _SURROGATES[1] else code)
        prefix = prefix[:-1]
    return None


def _entries(rows: "QuerySet[Version]") -> list[Entry]:
    found = fetch_tuples(rows.annotate(as_text=Cast("checksums", TextField())).values_list(*_COLUMNS, "as_text"))
    return [Entry._make((*row[:-1], orjson.loads(row[-1]))) for row in found]


def _grouped(
    model: Any, rows: Any, begun: Any, order: str, bucket: Bucket, prefix: str, delimiter: str, after: str, most: int
) -> tuple[list[Any], list[str], bool]:
    """Entries of which a key has several: the rest of those of the key `after` (`begun`), then those of the keys behind it."""
    if most <= 0:
        return [], [], False
    fetched: Any = _entries if model is Version else list
    found = fetched(begun.order_by(order)[: most + 1]) if after.startswith(prefix) else []
    left = most + 1 - len(found)
    prefixes: list[str] = []
    if left > 0 and not delimiter:
        found += fetched(_range(rows, prefix, after).order_by("key", order)[:left])
    elif left > 0:
        names = _walk(model, "", bucket, prefix, delimiter, after, left)
        prefixes = [name for name, is_prefix in names if is_prefix]
        keys = [name for name, is_prefix in names if not is_prefix]
        found += fetched(rows.filter(key__in=keys).order_by("key", order)[:left]) if keys else []
    merged = sorted([*((row.key, row) for row in found), *((name, None) for name in prefixes)], key=lambda pair: pair[0])
    more, merged = len(merged) > most, merged[:most]
    return [row for _, row in merged if row is not None], [name for name, row in merged if row is None], more


def _last(entries: Sequence[Any], prefixes: Sequence[str]) -> tuple[str, Any]:
    """What the next page begins behind: (key, its row) or (common prefix, None)."""
    key = entries[-1].key if entries else ""
    if prefixes and prefixes[-1] > key:
        return prefixes[-1], None
    return key, entries[-1] if entries else None


def _begun_versions(bucket: Bucket, after: str, after_version: str) -> "QuerySet[Version]":
    if not after or not after_version:
        return Version.objects.none()
    row = one.of_version(bucket, after, after_version)
    # Deleted meanwhile? Its id still says where it was.
    version_id = row.pk if row is not None else None if after_version == "null" else one.version_id(after_version)
    rows = Version.objects.filter(bucket_id=bucket.pk, key=after)
    return rows.filter(pk__lt=version_id) if version_id is not None else rows.none()


def _range(rows: Any, prefix: str, after: str) -> Any:
    """Those with the prefix, behind `after`."""
    condition = Q(key__gt=after) if after >= prefix and after else Q(key__gte=prefix)
    end = behind(prefix)
    return rows.filter(condition, key__lt=end) if end is not None else rows.filter(condition)


def _walk(
    model: type[Model], visible: str, bucket: Bucket, prefix: str, delimiter: str, after: str, most: int
) -> list[tuple[str, bool]]:
    """The next keys and common prefixes (True) in order. `visible`: which rows count, in SQL."""
    end = behind(prefix)
    start = _start(prefix, delimiter, after)
    if start is None or (end is not None and start >= end):
        return []
    after_delimiter = behind(delimiter)
    if after_delimiter is None or len(after_delimiter) != len(delimiter):
        raise Invalid("list.delimiter", "This delimiter cannot be used.", field="delimiter")
    postgres = connection.vendor == "postgresql"
    rooms = [bucket.pk if postgres else bucket.pk.hex]
    bounds = [] if end is None else [end]
    at = [len(prefix) + 1, delimiter]
    jump = [*at, len(prefix), *at, after_delimiter]
    shown = [*at, len(prefix) + len(delimiter), *at, *at]
    rows = fetch_prepared(
        _statement(model._meta.db_table, visible, end is not None, postgres),
        [*rooms, start, *bounds, *rooms, *jump, *bounds, most, *shown],
    )
    return [(row[0], bool(row[1])) for row in rows]


def _start(prefix: str, delimiter: str, after: str) -> str | None:
    """The least key that may come: behind `after`, and behind all of it if it is a common prefix that was shown already."""
    if not after or after < prefix:
        return prefix
    if after.startswith(prefix) and after.find(delimiter, len(prefix)) == len(after) - len(delimiter) >= len(prefix):
        return behind(after)
    return after + "\x01"


@lru_cache(maxsize=16)
def _statement(table: str, visible: str, bounded: bool, postgres: bool) -> str:
    """`walk` has the first key of each entry. `at`: where in it, behind the prefix, the delimiter is; counted from 1, 0 for nowhere."""
    find, character = ("strpos", "chr") if postgres else ("instr", "char")
    number, text = "CAST(%s AS integer)", "CAST(%s AS text)"
    rows = f"{table} v WHERE v.bucket_id = %s{f' AND {visible}' if visible else ''}"
    upper = f" AND v.key < {text}" if bounded else ""
    at = f"{find}(substr(w.key, {number}), {text})"
    jump = f"CASE WHEN {at} = 0 THEN w.key || {character}(1) ELSE substr(w.key, 1, {number} + {at} - 1) || {text} END"
    return f"""WITH RECURSIVE walk(key, place) AS (
 SELECT * FROM (SELECT v.key, 1 FROM {rows} AND v.key >= {text}{upper} ORDER BY v.key LIMIT 1) f
 UNION ALL
 SELECT (SELECT v.key FROM {rows} AND v.key >= {jump}{upper} ORDER BY v.key LIMIT 1), w.place + 1
 FROM walk w WHERE w.key IS NOT NULL AND w.place < {number}
) SELECT CASE WHEN {at} = 0 THEN w.key ELSE substr(w.key, 1, {number} + {at} - 1) END, {at} > 0
FROM walk w WHERE w.key IS NOT NULL ORDER BY w.place"""


__all__ = ["Entry", "Page", "UploadPage", "behind", "objects", "uploads", "versions"]
