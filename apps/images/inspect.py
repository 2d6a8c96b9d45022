"""Is this file what it says, and safe to give to QEMU? Decided by a kept inspector before anything else reads it.

What that inspector does not look for (a VMDK's parent, how much a file of a few bytes would become) is looked for in `formats`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from oslo_utils.imageutils import format_inspector

from apps.common.errors import CloudError, Invalid, Unavailable
from apps.images.formats import qcow2, vdi, vhdx, vmdk
from apps.images.formats.base import Damaged, Facts
from apps.images.states import ImageFormat

logging.getLogger("oslo_utils.imageutils.format_inspector").setLevel(logging.CRITICAL)
_CHUNK = 1024 * 1024
_GIB = 1024**3
# A partition table, or a CD's file system, is what a raw disk begins with.
_PLAIN = {
    ImageFormat.RAW: {"raw", "gpt", "iso"}, ImageFormat.AMI: {"raw", "gpt"}, ImageFormat.KERNEL: {"raw", "gpt"},
    ImageFormat.RAMDISK: {"raw", "gpt"},
}
_LOOK: dict[ImageFormat, Callable[[BinaryIO, Any], Facts]] = {
    ImageFormat.QCOW2: lambda file, found: qcow2.look(file),
    ImageFormat.VMDK: lambda file, found: vmdk.look(file, found.desc_text or ""),
    ImageFormat.VDI: lambda file, found: vdi.look(file),
    ImageFormat.VHDX: lambda file, found: vhdx.look(file),
}
_VMDK_LIST = b"# disk descriptorfile"
_UNSAFE = {
    "backing_file": ("image.backing_file", "it stands on another file"),
    "data_file": ("image.data_file", "it keeps its data in another file"),
    "unknown_features": ("image.unknown_features", "it has features that nobody knows"),
}
# What compresses well becomes ten times as much. Below the floor it does not matter.
BOMB_RATIO, BOMB_LEAST_BYTES = 64, _GIB


@dataclass(frozen=True)
class Inspected:
    """`virtual_size_bytes`: what a guest would see."""

    virtual_size_bytes: int


def inspect(path: Path, declared: ImageFormat, *, most_virtual_bytes: int | None = None) -> Inspected:
    """`most_virtual_bytes`: how large a disk may be (default: as the settings say). Raises Invalid, and Unavailable if the file cannot be read:

    `image.empty` · `image.format_mismatch` (not what was declared, or several formats in one) · `image.backing_file` ·
    `image.data_file` · `image.foreign_extent` · `image.encrypted` · `image.unknown_features` · `image.unsafe` (anything else that
    the inspector finds) · `image.virtual_size` · `image.compressed_bomb` · `image.not_inspectable` (damaged, or made to confuse).
    """
    most: int = settings.ENV.max_image_virtual_gb * _GIB if most_virtual_bytes is None else most_virtual_bytes
    try:
        with path.open("rb") as file:
            return _inspect(file, path.stat().st_size, ImageFormat(declared), most)
    except CloudError:
        raise
    except OSError as error:
        raise Unavailable("image.store", f"The image store cannot read this now: {error.strerror}.") from error
    except Damaged as error:
        raise _not_inspectable(str(error)) from error
    except Exception as error:  # a parser of hostile files: whatever confuses it, the file is not taken
        raise _not_inspectable(f"reading it ended with {type(error).__name__}") from error


def _inspect(file: BinaryIO, size: int, declared: ImageFormat, most: int) -> Inspected:
    if not size:
        raise Invalid("image.empty", "The file is empty.", field="file")
    found = _matching(file, declared)
    if found is None:
        _check_size(size, most)
        return Inspected(size)
    _check_size(_said_size(found), most)
    facts = _LOOK[declared](file, found)
    _check_safe(found)
    if not facts.virtual_size_bytes:
        raise Damaged("its disk has no bytes")
    _check_size(facts.virtual_size_bytes, most)
    if facts.expanded_bytes > BOMB_LEAST_BYTES and facts.expanded_bytes > BOMB_RATIO * size:
        text = f"The {size} bytes of this file would become {facts.expanded_bytes}; at most {BOMB_RATIO} times as much is taken."
        raise Invalid("image.compressed_bomb", text, field="file", size=size, expanded=facts.expanded_bytes)
    return Inspected(facts.virtual_size_bytes)


def _matching(file: BinaryIO, declared: ImageFormat) -> Any:
    """What the inspector knows of a file that is of the declared format; None for one without a format of its own."""
    kinds = {str(each): each for each in _formats(file)}
    if declared in _PLAIN:
        if kinds.keys() <= _PLAIN[declared]:
            return None
    elif list(kinds) == [declared.value]:
        return kinds[declared.value]
    file.seek(0)
    if declared is ImageFormat.VMDK and file.read(len(_VMDK_LIST)).lower() == _VMDK_LIST:
        raise vmdk.foreign("it is nothing but a list of other files")
    shown = " and ".join(sorted(kinds))
    text = f"Declared {declared.value}, but the file is {shown}."
    raise Invalid("image.format_mismatch", text, field="disk_format", declared=declared.value, found=shown)


def _formats(file: BinaryIO) -> list[Any]:
    wrapper = format_inspector.InspectWrapper(_Unclosed(file))
    while wrapper.read(_CHUNK):
        if wrapper.formats is not None:
            break
    wrapper.close()
    return list(wrapper.formats or ())


class _Unclosed:
    """The inspector closes what it has read, and we go on reading."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read


def _check_safe(found: Any) -> None:
    try:
        found.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        name = next((name for name in _UNSAFE if name in error.failures), "")
        code, why = _UNSAFE.get(name, ("image.unsafe", str(error)))
        raise Invalid(code, f"This file must not be booted from: {why}.", field="file") from error
    except format_inspector.ImageFormatError as error:
        raise Damaged(str(error)) from error


def _said_size(found: Any) -> int:
    """What its header says; 0 where that cannot be read, which is found out later."""
    try:
        return int(found.virtual_size)
    except Exception:  # see `inspect`
        return 0


def _check_size(size: int, most: int) -> None:
    if size > most:
        text = f"The disk in this file has {size} bytes; at most {most} are taken in this project."
        raise Invalid("image.virtual_size", text, field="file", size=size, limit=most)


def _not_inspectable(why: str) -> Invalid:
    return Invalid("image.not_inspectable", f"Nobody can tell whether this file is safe: {why}.", field="file")
