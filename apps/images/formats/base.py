"""What the readers of formats share."""

import sys
from array import array
from dataclasses import dataclass
from typing import BinaryIO

from apps.common.errors import Invalid

# A disk of 4 TiB in clusters of 64 KiB has so many; nobody needs more to be looked at.
MOST_ENTRIES = 64 * 1024**2


class Damaged(Exception):
    """The file is not what a sound one of its format looks like; the text says where."""


@dataclass(frozen=True)
class Facts:
    """`virtual_size_bytes`: what a guest would see. `expanded_bytes`: so much of it has data, and would be written by who
    copies it out of the file."""

    virtual_size_bytes: int
    expanded_bytes: int


def backing_file(what: str) -> Invalid:
    """The refusal of a file that is a difference to another one."""
    return Invalid("image.backing_file", f"The file stands on another file ({what}); send one that is whole by itself.", field="file")


def read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    """Exactly so many bytes. Raises Damaged."""
    file.seek(offset)
    data = file.read(size)
    if len(data) != size:
        raise Damaged(f"it ends within what should be at byte {offset}")
    return data


def numbers(file: BinaryIO, offset: int, count: int, *, code: str, big: bool) -> "array[int]":
    """A table of `count` numbers: `code` I (4 bytes) or Q (8 bytes). Raises Damaged."""
    found = array(code)
    found.frombytes(read_at(file, offset, count * found.itemsize))
    if big == (sys.byteorder == "little"):
        found.byteswap()
    return found


class Entries:
    """Counts the entries that are read, and stops at more than any sound file has."""

    def __init__(self) -> None:
        self._left = MOST_ENTRIES

    def take(self, count: int) -> None:
        """Raises Damaged."""
        self._left -= count
        if self._left < 0:
            raise Damaged(f"its tables have more than {MOST_ENTRIES} entries")
