"""Parts: kept with their upload, taken over by the version that it becomes, or let go of; within the caller's transaction."""

import uuid
from collections.abc import Collection, Iterable
from itertools import islice

from django.db import connection
from django.db.models import Count, Sum

from apps.common import clock
from apps.common.sql import insert_rows
from apps.objects.models import Garbage, Part, Upload, Version
from apps.objects.selectors import uploads as uploads_there

_PART = Part._meta.db_table
# Where each part begins is the sum of those before it.
_ADOPT = f"""WITH o AS (SELECT blob_id, SUM(size_bytes) OVER (ORDER BY number) - size_bytes AS starts_at FROM {_PART} WHERE upload_id = %s)
UPDATE {_PART} SET held_by_id = %s, upload_id = NULL, starts_at = o.starts_at FROM o WHERE {_PART}.blob_id = o.blob_id"""
_AT_ONCE = 500


def locked(upload: Upload) -> Upload:
    """The upload as it is now; nobody else changes it or its parts before the transaction ends. Raises NotFound."""
    row = Upload.objects.select_for_update().filter(pk=upload.pk).first()
    if row is None:
        raise uploads_there.not_found(upload.pk.hex)
    return row


def add(upload: Upload, part: Part) -> int:
    """Put a part in the place of its number; the bytes that are let go of."""
    less = let_go(Part.objects.filter(upload_id=upload.pk, number=part.number).values_list("blob_id", "size_bytes"))
    insert_rows([part])
    return less


def counted(upload: Upload) -> tuple[int, int]:
    """How many parts it has, and their bytes."""
    found = Part.objects.filter(upload_id=upload.pk).aggregate(count=Count("pk"), size=Sum("size_bytes"))
    return found["count"], found["size"] or 0


def adopt(upload: Upload, version: Version) -> None:
    """All parts of the upload are from now on those of the version, which is in its place; the upload is over."""
    with connection.cursor() as cursor:
        ids = [each if connection.vendor == "postgresql" else each.hex for each in (upload.pk, version.pk)]
        cursor.execute(_ADOPT, ids)
    Upload.objects.filter(pk=upload.pk).delete()


def drop(upload: Upload) -> int:
    """The upload came to nothing; the bytes that are let go of."""
    less = let_go(Part.objects.filter(upload_id=upload.pk).values_list("blob_id", "size_bytes"))
    Upload.objects.filter(pk=upload.pk).delete()
    return less


def let_go(parts: Iterable[tuple[uuid.UUID, int]]) -> int:
    """These parts (blob, bytes) are deleted, and their content is garbage; the bytes of all."""
    waiting, total, now = iter(list(parts)), 0, clock.now()
    while some := list(islice(waiting, _AT_ONCE)):
        blobs: Collection[uuid.UUID] = [blob_id for blob_id, _ in some]
        insert_rows([Garbage(blob_id=blob_id, at=now) for blob_id in blobs])
        Part.objects.filter(pk__in=blobs).delete()
        total += sum(size for _, size in some)
    return total
