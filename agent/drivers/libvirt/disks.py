"""An instance's disk: a qcow2 overlay on the image, which stays shared and unchanged."""

import os
from collections.abc import Callable
from pathlib import Path

from agent import qcow2
from agent.drivers.base import DriverError, superseded
from agent.drivers.command import run
from contracts.compute import v1 as compute

CODE = "disk.failed"
GIB = 1024**3
COPIED_BYTES = 4 * 1024**2


def link(source: Path, target: Path, stopped: Callable[[], bool] = lambda: False) -> None:
    """Ensure a second name for an image's file: whatever becomes of the first, the instance keeps its own.

    Raises FileNotFoundError when `source` has just been dropped, DriverError when it cannot be done, `command.superseded` if
    `stopped` says so while the file has to be copied.
    """
    if target.exists() and (target.samefile(source) or target.stat().st_size == source.stat().st_size):
        return
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:
        # Another file system, or one without hard links.
        temporary = target.with_suffix(".new")
        try:
            _copy(source, temporary, stopped)
        except OSError as error:
            raise DriverError(CODE, f"{target}: {error.strerror}") from error
        temporary.chmod(0o644)
        temporary.replace(target)


def _copy(source: Path, target: Path, stopped: Callable[[], bool]) -> None:
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(COPIED_BYTES):
            if stopped():
                raise superseded()
            writer.write(chunk)


def ensure_overlay(
    disk: Path, base: Path, base_format: compute.DiskFormat, *, disk_gb: int, owner: tuple[int, int]
) -> None:
    """Make `disk` unless it is there; what a guest has written is never touched. `base` lies in the same folder.

    `disk_gb` in GiB; 0 takes the image's own size. Raises DriverError `disk.too_small`, `disk.failed`.
    """
    if disk.exists():
        return
    image_bytes = virtual_size(base, base_format)
    size_bytes = disk_gb * GIB or image_bytes
    if size_bytes < image_bytes:
        message = f"the image needs {-(-image_bytes // GIB)} GiB of disk, the flavor has {disk_gb}"
        raise DriverError("disk.too_small", message, retryable=False)
    temporary = disk.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    # The name of the base is relative: it holds under whatever path the folder is seen.
    backing = ("-b", base.name, "-F", base_format.value)
    run("qemu-img", "create", "-q", "-f", "qcow2", *backing, temporary, str(size_bytes), code=CODE)
    temporary.chmod(0o600)
    os.chown(temporary, *owner)
    temporary.replace(disk)


def virtual_size(path: Path, disk_format: compute.DiskFormat) -> int:
    """Bytes that a guest sees. Raises DriverError `disk.failed`."""
    try:
        if disk_format is compute.DiskFormat.QCOW2:
            return qcow2.read_header(path).virtual_size_bytes
        # QEMU rounds a raw file up to whole sectors.
        return -(-path.stat().st_size // 512) * 512
    except (OSError, qcow2.NotQcow2) as error:
        raise DriverError(CODE, f"{path.name}: {error}") from error
