"""qcow2: header extensions, encryption, and how many of its clusters have data."""

import struct
from typing import BinaryIO

from apps.common.errors import Invalid
from apps.images.formats.base import Damaged, Entries, Facts, numbers, read_at

_MOST_L1_BYTES = 32 * 1024**2
_MOST_EXTENSIONS = 256
_DATA_FILE = 0x44415441
_OFFSET = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED, _ZERO = 1 << 62, 1


def look(file: BinaryIO) -> Facts:
    """Raises Invalid (`image.data_file`, `image.encrypted`), Damaged."""
    head = read_at(file, 0, 72)
    version, _, _, cluster_bits, size, encrypted, l1_size, l1_offset = struct.unpack(">IQIIQIIQ", head[4:48])
    if encrypted:
        raise Invalid("image.encrypted", "The file is encrypted, and nobody here has its key.", field="file")
    if not 9 <= cluster_bits <= 21:
        raise Damaged(f"its clusters would have 2**{cluster_bits} bytes")
    header_bytes = struct.unpack(">I", read_at(file, 100, 4))[0] if version >= 3 else 72
    _extensions(file, header_bytes, 1 << cluster_bits)
    if l1_size * 8 > _MOST_L1_BYTES:
        raise Damaged("its first table is larger than any that can be opened")
    per_table = 1 << (cluster_bits - 3)
    if l1_size * per_table << cluster_bits < size:
        raise Damaged("its tables cannot hold a disk of that size")
    clusters = _clusters(file, l1_offset, l1_size, per_table) if l1_size else 0
    return Facts(size, clusters << cluster_bits)


def _extensions(file: BinaryIO, start: int, end: int) -> None:
    """QEMU opens the data file by its name here, too."""
    if start > end:
        raise Damaged("its header is larger than a cluster")
    for _ in range(_MOST_EXTENSIONS):
        if start + 8 > end:
            return
        kind, length = struct.unpack(">II", read_at(file, start, 8))
        if kind == 0:
            return
        if kind == _DATA_FILE:
            raise Invalid("image.data_file", "The file keeps its data in another file; send one that is whole by itself.", field="file")
        start += 8 + -(-length // 8) * 8
    raise Damaged("it has too many header extensions")


def _clusters(file: BinaryIO, l1_offset: int, l1_size: int, per_table: int) -> int:
    """How many clusters have data; a table that is named twice counts twice, and is read once."""
    entries, counted, found = Entries(), dict[int, int](), 0
    entries.take(l1_size)
    for entry in numbers(file, l1_offset, l1_size, code="Q", big=True):
        offset = entry & _OFFSET
        if not offset:
            continue
        if offset not in counted:
            entries.take(per_table)
            counted[offset] = sum(1 for each in numbers(file, offset, per_table, code="Q", big=True) if _has_data(each))
        found += counted[offset]
    return found


def _has_data(entry: int) -> bool:
    return bool(entry & _COMPRESSED) or (bool(entry & _OFFSET) and not entry & _ZERO)
