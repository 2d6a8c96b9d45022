"""Reads the header of a qcow2 file, so that nothing else has to open a file that a tenant made before it is judged."""

import struct
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQ")
_INCOMPATIBLE_AT = 72
_EXTERNAL_DATA_BIT = 1 << 2
# Dirty, corrupt, external data, compression type, extended subclusters: all that the format knows today.
_KNOWN_INCOMPATIBLE = 0b11111


class NotQcow2(Exception):
    """The file is not a qcow2 image of a known version; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What matters before use. `virtual_size_bytes`: what a guest sees as its disk."""

    virtual_size_bytes: int
    has_backing_file: bool
    has_external_data: bool


def read_header(path: Path) -> Header:
    """Raises NotQcow2, OSError."""
    with path.open("rb") as file:
        raw = file.read(_INCOMPATIBLE_AT + 8)
    if len(raw) < _INCOMPATIBLE_AT or raw[:4] != MAGIC:
        raise NotQcow2("it does not begin as a qcow2 file does")
    _, version, backing_offset, _, cluster_bits, size = _HEADER.unpack_from(raw)
    if version not in (2, 3) or not 9 <= cluster_bits <= 21:
        raise NotQcow2(f"version {version} with clusters of 2^{cluster_bits} bytes")
    incompatible = 0
    if version == 3:
        if len(raw) < _INCOMPATIBLE_AT + 8:
            raise NotQcow2("the header is cut off")
        (incompatible,) = struct.unpack_from(">Q", raw, _INCOMPATIBLE_AT)
    if incompatible & ~_KNOWN_INCOMPATIBLE:
        raise NotQcow2(f"unknown incompatible features {incompatible:#x}")
    return Header(
        virtual_size_bytes=size,
        has_backing_file=backing_offset != 0,
        has_external_data=bool(incompatible & _EXTERNAL_DATA_BIT),
    )
