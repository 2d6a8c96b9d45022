"""VHDX: whole by itself, and how many of its blocks have data."""

import struct
import uuid
from typing import BinaryIO

from apps.images.formats.base import Damaged, Entries, Facts, backing_file, numbers, read_at

_REGIONS, _REGION_BYTES = 192 * 1024, 64 * 1024
_BLOCKS = uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
_METADATA = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
_PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
_DISK_SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
_SECTOR_SIZE = uuid.UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
_HAS_PARENT = 2
_MIB = 1024**2
_PRESENT, _PARTLY = 6, 7


def look(file: BinaryIO) -> Facts:
    """Raises Invalid `image.backing_file`, Damaged."""
    regions = _table(read_at(file, _REGIONS, _REGION_BYTES), b"regi", 16, 8)
    if _METADATA not in regions or _BLOCKS not in regions:
        raise Damaged("it has no table of blocks or no metadata")
    start = struct.unpack_from("<Q", regions[_METADATA])[0]
    items = _table(read_at(file, start, _REGION_BYTES), b"metadata", 32, 10)

    def item(key: uuid.UUID, form: str) -> tuple[int, ...]:
        if key not in items:
            raise Damaged("it does not say its sizes")
        offset = struct.unpack_from("<I", items[key])[0]
        return struct.unpack(form, read_at(file, start + offset, struct.calcsize(form)))

    block, flags = item(_PARAMETERS, "<II")
    (size,), (sector,) = item(_DISK_SIZE, "<Q"), item(_SECTOR_SIZE, "<I")
    if flags & _HAS_PARENT:
        raise backing_file("its parent")
    if not _MIB <= block <= 256 * _MIB or sector not in (512, 4096):
        raise Damaged("its blocks have a size that none has")
    blocks, ratio = -(-size // block), (sector << 23) // block
    entries = blocks + max(0, blocks - 1) // ratio
    Entries().take(entries)
    offset = struct.unpack_from("<Q", regions[_BLOCKS])[0]
    used = sum(1 for each in numbers(file, offset, entries, code="Q", big=False) if each & 7 in (_PRESENT, _PARTLY))
    return Facts(size, used * block)


def _table(data: bytes, signature: bytes, first: int, count_at: int) -> dict[uuid.UUID, bytes]:
    """Key → the rest of its entry, of a table of entries of 32 bytes; the count has 4 bytes, or 2 where it follows at 10."""
    if not data.startswith(signature):
        raise Damaged(f"its table {signature.decode()!r} is not where it should be")
    (count,) = struct.unpack_from("<I" if count_at == 8 else "<H", data, count_at)
    if count > 2047 or first + count * 32 > len(data):
        raise Damaged(f"its table {signature.decode()!r} is too large")
    places = (first + number * 32 for number in range(count))
    return {uuid.UUID(bytes_le=data[place : place + 16]): data[place + 16 : place + 32] for place in places}
