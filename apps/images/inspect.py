"""Is this file what it says, and safe to give to QEMU? Decided by a kept inspector before anything else reads it."""

import logging
from dataclasses import dataclass
from pathlib import Path

from oslo_utils.imageutils import format_inspector

from apps.common.errors import Invalid
from contracts.compute.v1 import DiskFormat

logging.getLogger("oslo_utils.imageutils.format_inspector").setLevel(logging.ERROR)
_HEAD_CHECKED = {DiskFormat.QCOW2: "qcow2", DiskFormat.RAW: "raw"}


@dataclass(frozen=True)
class Inspected:
    """`virtual_size_bytes`: what a guest would see."""

    virtual_size_bytes: int


def inspect(path: Path, declared: DiskFormat) -> Inspected:
    """Raises Invalid: `image.format` (not what was declared), `image.unsafe` (backing or data file, unknown features)."""
    size = path.stat().st_size
    if declared not in _HEAD_CHECKED:
        return Inspected(size)
    try:
        found = format_inspector.detect_file_format(str(path))
    except (format_inspector.ImageFormatError, OSError) as error:
        raise Invalid("image.format", f"The file's format cannot be told: {error}.", field="disk_format") from error
    # A partition table at the front is a raw disk as far as we are concerned.
    name = "raw" if str(found) in ("raw", "gpt", "mbr") else str(found)
    if name != _HEAD_CHECKED[declared]:
        raise Invalid("image.format", f"Declared {declared.value}, but the file is {name}.", field="disk_format", found=name)
    if name == "raw":
        return Inspected(size)
    try:
        found.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        raise Invalid("image.unsafe", f"This file must not be booted from: {error}.", field="file") from error
    return Inspected(int(found.virtual_size))
