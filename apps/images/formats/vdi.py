"""VDI: whole by itself, and how many of its blocks have data."""

import struct
from typing import BinaryIO

from apps.images.formats.base import Damaged, Entries, Facts, backing_file, numbers, read_at

_DYNAMIC, _FIXED, _DIFFERENCE = 1, 2, 4
_ABSENT = 0xFFFF_FFFE


def look(file: BinaryIO) -> Facts:
    """Raises Invalid `image.backing_file`, Damaged."""
    head = read_at(file, 0, 512)
    (kind,) = struct.unpack_from("<I", head, 0x4C)
    if kind == _DIFFERENCE or any(head[0x1A8:0x1C8]):
        raise backing_file("its parent")
    if kind not in (_DYNAMIC, _FIXED):
        raise Damaged(f"nobody knows its type {kind}")
    (table,) = struct.unpack_from("<I", head, 0x154)
    size, block, _, blocks = struct.unpack_from("<QIII", head, 0x170)
    if not block or blocks * block < size:
        raise Damaged("its blocks cannot hold a disk of that size")
    Entries().take(blocks)
    used = sum(1 for each in numbers(file, table, blocks, code="I", big=False) if each < _ABSENT)
    return Facts(size, used * block)
