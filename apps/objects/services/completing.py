"""What an upload in parts becomes: which parts, and what is known of the whole. Nothing is written here."""

import uuid
from collections.abc import Sequence
from itertools import pairwise

from apps.common import clock
from apps.common.errors import Invalid
from apps.common.ids import new_id
from apps.objects import hashing
from apps.objects.inputs import NamedPart
from apps.objects.models import Part, Upload, Version
from apps.objects.states import OBJECT_MOST_BYTES, PART_LEAST_BYTES, ChecksumType


def check_order(parts: Sequence[NamedPart]) -> None:
    """Raises Invalid `upload.empty`, `part.order`."""
    if not parts:
        raise Invalid("upload.empty", "At least one part is needed.", field="parts")
    if any(before.number >= after.number for before, after in pairwise(parts)):
        raise Invalid("part.order", "The parts are not in the order of their numbers.", field="parts")


def assembled(
    upload: Upload, named: Sequence[NamedPart], checksum: str, checksum_type: str, size_bytes: int | None
) -> tuple[Version, list[tuple[uuid.UUID, int]]]:
    """The version (unsaved) that these parts make, and the parts that are not among them (blob, bytes). Raises Invalid."""
    there = {part.number: part for part in Part.objects.filter(upload_id=upload.pk)}
    chosen = [_checked(there.get(each.number), each) for each in named]
    for part in chosen[:-1]:
        if part.size_bytes < PART_LEAST_BYTES:
            raise Invalid(
                "part.too_small", f"Part {part.number} has {part.size_bytes} bytes; all parts but the last need {PART_LEAST_BYTES}.",
                field="parts", number=part.number, size_bytes=part.size_bytes, least=PART_LEAST_BYTES, etag=part.etag,
            )
    total = sum(part.size_bytes for part in chosen)
    if total > OBJECT_MOST_BYTES:
        raise Invalid("object.too_large", f"Objects have at most {OBJECT_MOST_BYTES} bytes.", limit=OBJECT_MOST_BYTES)
    if size_bytes is not None and size_bytes != total:
        raise Invalid("object.size", f"The parts have {total} bytes together, expected were {size_bytes}.", field="size_bytes", got=total)
    taken = {part.number for part in chosen}
    new = Version(
        id=new_id(), bucket_id=upload.bucket_id, key=upload.key, content_type=upload.content_type, headers=upload.headers,
        metadata=upload.metadata, tags=upload.tags, acl=upload.acl, project_id=upload.project_id, user_id=upload.user_id,
        created_at=clock.now(), size_bytes=total, etag=hashing.etag_of_parts([part.etag for part in chosen]),
        checksums=_checksums(upload, chosen, checksum, checksum_type), parts_count=len(chosen), upload_id=upload.pk,
    )
    return new, [(part.blob_id, part.size_bytes) for number, part in there.items() if number not in taken]


def _checked(part: Part | None, named: NamedPart) -> Part:
    """The part, if it is what the caller believes. Raises Invalid `part.missing`."""
    if part is None or part.etag != named.etag.strip('"'):
        raise Invalid("part.missing", f"There is no part {named.number} with this ETag.", field="parts", number=named.number)
    for algorithm, value in named.checksums.items():
        if algorithm in part.checksums and part.checksums[algorithm] != value:
            raise Invalid("part.missing", f"Part {named.number} has another {algorithm}.", field="parts", number=named.number)
    return part


def _checksums(upload: Upload, parts: Sequence[Part], expected: str, expected_type: str) -> dict[str, str]:
    """Of the whole, as the upload was begun. Raises Invalid `object.checksum`, `checksum.type`."""
    algorithm, kind = upload.algorithm, upload.checksum_type
    if not algorithm:
        return {}
    if expected_type and expected_type != kind:
        raise Invalid("checksum.type", f"The upload was begun with checksums of the type {kind}, not {expected_type}.", field="checksum_type")
    if kind == ChecksumType.FULL_OBJECT.value:
        found = hashing.combined(algorithm, [(part.checksums[algorithm], part.size_bytes) for part in parts])
    else:
        found = hashing.composite(algorithm, [part.checksums[algorithm] for part in parts])
    # Some clients leave the number of parts out.
    if expected and expected not in (found, found.partition("-")[0]):
        raise Invalid("object.checksum", f"The object has the {algorithm} {found}, expected was {expected}.", field="checksum", got=found)
    return {algorithm: found, "type": kind}
