"""The images on this host: fetched once, verified, kept within bounds, shared by many instances.

`<folder>/<sha256>` is a verified image, `<sha256>.part` one that is being fetched (or was, when the agent was killed),
`<sha256>.part.tag` the server's name for the content of the part. Who uses an image makes a hard link to it, so the
link count says whether it is in use, and an instance keeps its image whatever happens here.
"""

import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

import structlog

from agent import qcow2
from agent.config import Config
from agent.download import Download, DownloadError
from agent.drivers.base import DriverError, LocalImage, Trace
from agent.locks import KeyedLocks
from contracts.compute import v1 as compute

_SHA256 = re.compile(r"[0-9a-f]{64}")
ATTEMPTS = 6
RETRY_AFTER_S = 0.5
STALE_PART_S = 86400.0
GIB = 1024**3

log = structlog.get_logger(__name__)


class ImageCache:
    """Keeps the ImageStore protocol."""

    def __init__(
        self, folder: Path, *, limit_bytes: int, ca_file: str = "", retry_after_s: float = RETRY_AFTER_S
    ) -> None:
        """`limit_bytes`: what all files together may take. Images in use are never dropped, even when that is more."""
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._ca_file = ca_file
        self._retry_after_s = retry_after_s
        self._locks = KeyedLocks()
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def from_config(cls, config: Config) -> "ImageCache":
        limit_bytes = config.image_cache_gb * GIB
        return cls(Path(config.state_dir) / "images", limit_bytes=limit_bytes, ca_file=config.ca_file)

    def ensure(self, image: compute.Image, trace: Trace) -> LocalImage:
        """Fetch unless already here; callers of the same image at the same time wait for one download.

        Raises DriverError: `image.unavailable` (it could not be fetched, retryable), `image.corrupt` (not what was
        promised), `image.unsafe` (refers to other files), `image.too_large` (for this cache), `image.no_space`.
        """
        if not _SHA256.fullmatch(image.sha256):
            raise DriverError(
                "image.corrupt", f"image {image.id}: not a SHA-256: {image.sha256[:80]!r}", retryable=False
            )
        path = self._folder / image.sha256
        with self._locks.hold(image.sha256):
            if not _is_complete(path, image):
                with trace.step("image.download", f"{image.size_bytes} bytes"):
                    self._fetch(image, path)
            _refuse_unsafe(image, path)
            with suppress(OSError):  # tells when it was last used
                os.utime(path)
        return LocalImage(path=path, disk_format=image.disk_format)

    def _fetch(self, image: compute.Image, path: Path) -> None:
        if image.size_bytes > self._limit_bytes:
            message = f"image {image.id}: {image.size_bytes} bytes, the cache holds {self._limit_bytes}"
            raise DriverError("image.too_large", message, retryable=False)
        part = path.with_name(f"{path.name}.part")
        self._make_room(image.size_bytes, keep=path.name)
        began_with = _size(part)
        digest = self._transfer(image, part)
        if digest != image.sha256 and began_with:
            # What was here before may have been another version's beginning: once more, from the start.
            _discard(part)
            digest = self._transfer(image, part)
        if digest != image.sha256:
            _discard(part)
            message = f"image {image.id}: SHA-256 is {digest}, expected {image.sha256}"
            raise DriverError("image.corrupt", message, retryable=False)
        part.chmod(0o644)
        part.replace(path)
        _tag_of(part).unlink(missing_ok=True)
        _sync_folder(self._folder)

    def _transfer(self, image: compute.Image, part: Path) -> str:
        """Bring the part to its full size, across breaks of the transfer; answer its SHA-256."""
        download = Download(image.url, part, _tag_of(part), size_bytes=image.size_bytes, ca_file=self._ca_file)
        failures = 0
        while True:
            before = _size(part)
            try:
                return download.run()
            except DownloadError as error:
                if error.corrupt:
                    _discard(part)
                    raise DriverError("image.corrupt", f"image {image.id}: {error}", retryable=False) from error
                # Only attempts that brought nothing count, so that a bad line still gets there.
                failures = 1 if _size(part) > before else failures + 1
                if error.final or failures >= ATTEMPTS:
                    raise DriverError("image.unavailable", f"image {image.id}: {error}") from error
                log.info("image.transfer_broken", image=image.id, reason=str(error), bytes=_size(part))
                time.sleep(self._retry_after_s * failures)
            except OSError as error:
                raise DriverError("image.no_space", f"image {image.id}: {error.strerror}") from error

    def _make_room(self, wanted_bytes: int, *, keep: str) -> None:
        """Drop what was not used for longest until `wanted_bytes` fit. Raises DriverError `image.no_space`."""
        now, files = time.time(), []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                status = path.stat()
                if path.suffix == ".part" and now - status.st_mtime > STALE_PART_S and path.stem != keep:
                    _discard(path)
                    continue
                files.append((status.st_mtime, status.st_size, status.st_nlink, path))
        total = sum(size for _, size, _, path in files if path.stem != keep)
        for _, size, links, path in sorted(files):
            if total + wanted_bytes <= self._limit_bytes:
                break
            if links == 1 and _SHA256.fullmatch(path.name) and path.name != keep:
                log.info("image.evicted", sha256=path.name, bytes=size)
                path.unlink(missing_ok=True)
                total -= size
        have = _size(self._folder / f"{keep}.part")
        free = shutil.disk_usage(self._folder).free
        if free < wanted_bytes - have:
            raise DriverError("image.no_space", f"{wanted_bytes} bytes wanted, {free} are free on this host")


def _is_complete(path: Path, image: compute.Image) -> bool:
    # Only verified files ever get this name, and nobody writes to them.
    return path.exists() and path.stat().st_size == image.size_bytes


def _refuse_unsafe(image: compute.Image, path: Path) -> None:
    """A qcow2 file may name other files of the host as its content; such an image is never opened."""
    if image.disk_format is not compute.DiskFormat.QCOW2:
        return
    try:
        header = qcow2.read_header(path)
    except qcow2.NotQcow2 as error:
        raise DriverError("image.unsafe", f"image {image.id}: {error}", retryable=False) from error
    if header.has_backing_file or header.has_external_data:
        what = "a backing file" if header.has_backing_file else "an external data file"
        raise DriverError("image.unsafe", f"image {image.id}: it refers to {what}", retryable=False)


def _tag_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_of(part).unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
