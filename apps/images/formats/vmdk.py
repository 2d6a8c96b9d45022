"""VMDK: one file that is whole by itself, and how many of its grains have data."""

import re
import struct
from typing import BinaryIO

from apps.common.errors import Invalid
from apps.images.formats.base import Damaged, Entries, Facts, backing_file, numbers, read_at

_SECTOR = 512
_AT_END = 0xFFFF_FFFF_FFFF_FFFF
_MOST_GRAIN, _MOST_PER_TABLE = 0x20_0000, 512
_TYPES = ("monolithicsparse", "streamoptimized")
_EXTENT = re.compile(r'^(?:rw|rdonly|noaccess)\s+\d+\s+(\w+)(?:\s+"([^"]*)")?')


def look(file: BinaryIO, descriptor: str) -> Facts:
    """`descriptor`: the text in the file, in lower case. Raises Invalid (`image.foreign_extent`, `image.backing_file`), Damaged."""
    head = read_at(file, 0, 80)
    if head[:4] != b"KDMV":
        raise foreign("it is nothing but a list of other files")
    _check(descriptor)
    capacity, grain, per_table, directory = _numbers(head)
    if not capacity:
        raise foreign("it has no data of its own")
    if directory == _AT_END:
        file.seek(0, 2)
        _, grain, per_table, directory = _numbers(read_at(file, file.tell() - 2 * _SECTOR, 80))
    if not 1 <= grain <= _MOST_GRAIN or not 1 <= per_table <= _MOST_PER_TABLE:
        raise Damaged("its grains have a size that none has")
    tables = -(-capacity // (grain * per_table))
    return Facts(capacity * _SECTOR, _grains(file, directory * _SECTOR, tables, per_table) * grain * _SECTOR)


def _numbers(head: bytes) -> tuple[int, int, int, int]:
    """Sectors, sectors in a grain, grains in a table, where the directory of tables is."""
    capacity, grain, _, _, per_table, _, directory = struct.unpack("<QQQQIQQ", head[12:64])
    return capacity, grain, per_table, directory


def _check(descriptor: str) -> None:
    lines = [line.strip() for line in descriptor.splitlines()]
    given = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    fields = {name.strip(): value.strip().strip('"') for name, value in given.items()}
    if "parentfilenamehint" in fields or fields.get("parentcid", "ffffffff") != "ffffffff":
        raise backing_file("its parent")
    if fields.get("createtype") not in _TYPES:
        raise foreign(f"it is of the type {fields.get('createtype', 'none')[:32]!r}; {' and '.join(_TYPES)} are taken")
    extents = [found for line in lines if (found := _EXTENT.match(line))]
    if len(extents) != 1:
        raise foreign(f"it names {len(extents)} extents")
    kind, name = extents[0].groups()
    if kind != "sparse" or not name or re.search(r"[/\\:]", name):
        raise foreign("its extent is not the file itself")


def _grains(file: BinaryIO, offset: int, tables: int, per_table: int) -> int:
    """How many grains have data; a table that is named twice counts twice, and is read once."""
    entries, counted, found = Entries(), dict[int, int](), 0
    entries.take(tables)
    for table in numbers(file, offset, tables, code="I", big=False):
        if not table:
            continue
        if table not in counted:
            entries.take(per_table)
            counted[table] = sum(1 for each in numbers(file, table * _SECTOR, per_table, code="I", big=False) if each > 1)
        found += counted[table]
    return found


def foreign(why: str) -> Invalid:
    """The refusal of a file that is only a part."""
    return Invalid("image.foreign_extent", f"The file needs other files: {why}. Send one that is whole by itself.", field="file")
