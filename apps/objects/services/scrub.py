"""The scrub: every row has its content, unchanged, and all content has its row."""

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any

from django.conf import settings
from django.db.models import Count, QuerySet, Sum

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import InvalidState, Unavailable
from apps.identity import policy
from apps.objects.models import Garbage, Part, Version
from apps.objects.selectors import content
from apps.objects.services import placing, sweep
from apps.objects.stores import store
from apps.objects.stores.base import CHUNK_BYTES

MISSING, DAMAGED, UNOWNED = "object.missing", "object.damaged", "content.unowned"
_AT_ONCE = 500
# Content appears a moment before its row is committed, and stays a moment longer.
_SETTLED_S = 60.0
_MIB = 1024**2
# More than this of all is not lost one by one: the folder is another one, or is not mounted.
_MOST_MISSING, _MOST_MISSING_SHARE = 10, 0.1


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `code`: MISSING (a row without content), DAMAGED (other bytes than were taken in), UNOWNED
    (content without a row). `where`: bucket/key and version; empty for content without a row."""

    code: str
    blob_id: uuid.UUID
    where: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.where or self.blob_id}: {self.detail}"


@dataclass
class Report:
    """What was looked at, and what was found. `fixed`: how many of the findings are no more.

    `expected`, `expected_bytes`: how much there was to look at and to read when it began. `listed`: blobs of the store that were
    looked for among the rows, which is done last.
    """

    findings: list[Finding]
    checked: int = 0
    read_bytes: int = 0
    listed: int = 0
    fixed: int = 0
    expected: int = 0
    expected_bytes: int = 0


def scrub(
    *, actor: Actor, fix: bool = False, read: bool = True, most_mb_s: int | None = None, told: Callable[[Report], None] | None = None
) -> Report:
    """Look at everything; `read`: also whether the bytes are those that were taken in, at most `most_mb_s` MiB of them in a second
    (None: as the settings say; 0: as fast as it goes). `told` is called often, at least once for each blob and each chunk.

    `fix`: what writers left behind is sorted out, content without a row removed, and versions whose content is missing are
    deleted; damaged ones are left to people. Raises Forbidden, InvalidState `object.too_many_missing`, Unavailable.
    """
    policy.require_everywhere(actor, "objects.object.delete" if fix else "objects.object.get")
    if fix:
        sweep.sweep()
    report = _begun()
    pace = Pace(settings.ENV.object_scrub_mb_s if most_mb_s is None else most_mb_s)
    tell = partial(told, report) if told is not None else _silent
    tell()
    for blob_id, size, md5, where in _expected():
        finding = _look(blob_id, size, md5 if read else "", where, report, pace, tell)
        report.checked += 1
        if finding is not None and sweep.is_wanted(blob_id):  # it was not deleted meanwhile
            report.findings.append(finding)
        tell()
    for some in _batches():
        report.findings += _unowned(some)
        report.listed += len(some)
        tell()
    if fix and report.findings:
        _fix(actor, report)
    return report


class Pace:
    """So many MiB in a second, in the mean; 0: any number."""

    def __init__(self, most_mb_s: int) -> None:
        self._per_s, self._due = most_mb_s * _MIB, time.monotonic()

    def wait(self, size: int) -> None:
        if self._per_s:
            self._due = max(self._due, time.monotonic() - 1) + size / self._per_s
            time.sleep(max(0.0, self._due - time.monotonic()))


def _silent() -> None:
    """Nobody wants to know how far it is."""


def _whole() -> "QuerySet[Version]":
    return Version.objects.filter(size_bytes__gt=0, parts_count=0)


def _in_parts() -> "QuerySet[Part]":
    return Part.objects.filter(size_bytes__gt=0)


def _begun() -> Report:
    report = Report([])
    for rows in (_whole(), _in_parts()):
        known = rows.aggregate(count=Count("pk"), size=Sum("size_bytes"))
        report.expected += known["count"]
        report.expected_bytes += known["size"] or 0
    return report


def _expected() -> Iterator[tuple[uuid.UUID, int, str, str]]:
    """Every blob that rows refer to: its bytes, MD5 in hex, and whose it is."""
    for row in _each(_whole(), "pk", "size_bytes", "etag", "bucket__name", "key", "version"):
        yield row[0], row[1], row[2], f"{row[3]}/{row[4]} ({row[5]})"
    of_parts = ("number", "held_by__bucket__name", "held_by__key", "upload__bucket__name", "upload__key")
    for row in _each(_in_parts(), "pk", "size_bytes", "etag", *of_parts):
        yield row[0], row[1], row[2], f"{row[4] or row[6]}/{row[5] or row[7]} part {row[3]}"


def _each(rows: Any, *columns: str) -> Iterator[Any]:
    """All rows in the order of their keys, some at a time: no transaction and no memory grows with them."""
    after = uuid.UUID(int=0)
    while some := list(rows.filter(pk__gt=after).order_by("pk").values_list(*columns)[:_AT_ONCE]):
        yield from some
        after = some[-1][0]


def _look(blob_id: uuid.UUID, size: int, md5: str, where: str, report: Report, pace: Pace, tell: Callable[[], None]) -> Finding | None:
    there = store().size(blob_id)
    if there is None:
        return Finding(MISSING, blob_id, where, "its content is not in the store")
    if there != size:
        return Finding(DAMAGED, blob_id, where, f"its content has {there} bytes, not {size}")
    if not md5:
        return None
    try:
        found = _md5(blob_id, size, report, pace, tell)
    except Unavailable as error:
        return Finding(DAMAGED, blob_id, where, f"its content cannot be read: {error}")
    return None if found == md5 else Finding(DAMAGED, blob_id, where, f"its content has the MD5 {found}, not {md5}")


def _md5(blob_id: uuid.UUID, size: int, report: Report, pace: Pace, tell: Callable[[], None]) -> str:
    digest, stream = hashlib.md5(usedforsecurity=False), content.open_blob(blob_id, size)
    try:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            report.read_bytes += len(chunk)
            tell()
            pace.wait(len(chunk))
    except OSError as error:
        raise Unavailable("object.storage", error.strerror or str(error)) from error
    finally:
        stream.close()
    return digest.hexdigest()


def _batches() -> Iterator[list[uuid.UUID]]:
    """All blobs of the store."""
    waiting = chain.from_iterable(store().names(idle_s=_SETTLED_S))
    while some := list(islice(waiting, _AT_ONCE)):
        yield some


def _unowned(some: list[uuid.UUID]) -> list[Finding]:
    known: set[uuid.UUID] = set()
    for rows in (Version.objects.filter(parts_count=0), Part.objects.all(), Garbage.objects.all()):
        known.update(rows.filter(pk__in=some).values_list("pk", flat=True))
    return [Finding(UNOWNED, blob_id, detail="belongs to no object") for blob_id in some if blob_id not in known]


def _fix(actor: Actor, report: Report) -> None:
    missing = [each for each in report.findings if each.code == MISSING]
    if len(missing) > max(_MOST_MISSING, report.checked * _MOST_MISSING_SHARE):
        raise InvalidState(
            "object.too_many_missing", f"The content of {len(missing)} of {report.checked} objects and parts is missing, so nothing is"
            " deleted: look whether the store's folder is mounted and is the one of this installation.", missing=len(missing),
        )
    for finding in report.findings:
        if finding.code == UNOWNED:
            report.fixed += remove_unowned(finding.blob_id)
        elif finding.code == MISSING:
            report.fixed += _forget(actor, finding.blob_id)


def remove_unowned(blob_id: uuid.UUID) -> bool:
    """Remove content that has no row; False if it has one after all."""
    if sweep.is_wanted(blob_id):
        return False
    store().remove(blob_id)
    return True


def _forget(actor: Actor, blob_id: uuid.UUID) -> bool:
    """Delete the version whose content is missing, and its quota with it. Parts of open uploads are left to their owners."""
    version = Version.objects.select_related("bucket").filter(pk=blob_id, parts_count=0).first()
    if version is None:
        part = Part.objects.select_related("held_by__bucket").filter(pk=blob_id).first()
        version = part.held_by if part is not None else None
    if version is None:
        return False
    bucket = version.bucket
    with placing.committed(bucket):
        placing.lock(bucket, version.key)
        row = placing.one(bucket, version.key, version.pk)
        if row is None:
            return False
        less = placing.remove(bucket, placing.look(bucket, version.key), version.key, row)
        told = {"version": version.version, "reason": "its content is missing in the store"}
        record.write(actor, "objects.object.delete", "object", f"{bucket.name}/{version.key}", project_id=bucket.project_id, changes=told)
        placing.count(bucket.project_id, more=0, less=less)
    return True
