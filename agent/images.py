"""The images on this host: fetched once, verified, kept within bounds, shared by many instances.

`<folder>/<sha256>` is a verified image, `<sha256>.part` one that is being fetched (or was, when the agent was killed; what nobody
waits for any more is broken off and removed),
`<sha256>.part.tag` the server's name for the content of the part. Who uses an image makes a hard link to it, so the
link count says whether it is in use, and an instance keeps its image whatever happens here.
"""

import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog

from agent import qcow2
from agent.config import Config
from agent.download import Download, DownloadError, Progress
from agent.drivers.base import DriverError, LocalImage, Trace, superseded
from agent.shared import NobodyWaits, SharedWork, Watch
from contracts.compute import v1 as compute
from contracts.compute import v3 as compute3

_SHA256 = re.compile(r"[0-9a-f]{64}")
# Attempts in a row that bring nothing, and whole downloads that turn out to be something else.
ATTEMPTS = 6
DOWNLOADS = 3
RETRY_AFTER_S = 0.5
STALE_PART_S = 86400.0
GIB = 1024**3
# What stays free on the file system that guests' disks grow on.
SPARE_BYTES = GIB

log = structlog.get_logger(__name__)


class ImageCache:
    """Keeps the ImageStore protocol."""

    def __init__(
        self,
        folder: Path,
        *,
        limit_bytes: int,
        ca_file: str = "",
        retry_after_s: float = RETRY_AFTER_S,
        spare_bytes: int = SPARE_BYTES,
    ) -> None:
        """`limit_bytes`: what all files together may take. Images in use are never dropped, even when that is more."""
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._ca_file = ca_file
        self._retry_after_s = retry_after_s
        self._spare_bytes = spare_bytes
        self._downloads = SharedWork()
        self._making_room = threading.Lock()
        self._coming: dict[str, int] = {}  # what is being fetched → its whole size
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def from_config(cls, config: Config) -> "ImageCache":
        limit_bytes = config.image_cache_gb * GIB
        return cls(Path(config.state_dir) / "images", limit_bytes=limit_bytes, ca_file=config.ca_file)

    def ensure(
        self,
        image: compute.Image,
        trace: Trace,
        *,
        progress: Progress = lambda done, total: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> LocalImage:
        """Fetch unless already here; callers of the same image at the same time wait for one download. `progress` hears of it.

        Raises DriverError: `image.unavailable` (it could not be fetched, retryable), `image.corrupt` (not what was
        promised, several times; retryable), `image.unsafe` (refers to other files), `image.too_large` (for this cache),
        `image.no_space`, `command.superseded` once `stopped` says so: the download goes on while anybody else waits for it.
        """
        if stopped():
            raise superseded()
        if not _SHA256.fullmatch(image.sha256):
            raise DriverError(
                "image.corrupt", f"image {image.id}: not a SHA-256: {image.sha256[:80]!r}", retryable=False
            )
        path = self._folder / image.sha256
        if not _is_complete(path, image):
            with trace.step("image.download", f"{image.size_bytes} bytes"):
                # Whose download was another's that failed, or that was broken off, begins one with its own URL.
                while not _is_complete(path, image):
                    self._downloads.wait(image.sha256, partial(self._fetch, image, path, progress), stopped)
        _refuse_unsafe(image, path)
        with suppress(OSError):  # tells when it was last used
            os.utime(path)
        return LocalImage(path=path, disk_format=image.disk_format)

    def listed(self) -> list[compute3.CachedImage]:
        found = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                if _SHA256.fullmatch(path.name):
                    status = path.stat()
                    found.append(_described(path.name, status))
        return sorted(found, key=lambda each: each.sha256)

    def _fetch(self, image: compute.Image, path: Path, progress: Progress, watch: Watch) -> None:
        if image.size_bytes > self._limit_bytes:
            message = f"image {image.id}: {image.size_bytes} bytes, the cache holds {self._limit_bytes}"
            raise DriverError("image.too_large", message, retryable=False)
        if _is_complete(path, image):
            return  # since we looked
        part = path.with_name(f"{path.name}.part")
        self.tidy()
        self._make_room(image.size_bytes, keep=path.name)
        try:
            self._verified(image, part, progress, watch)
        except NobodyWaits:
            log.info("image.broken_off", image=image.id, bytes=_size(part))
            _discard(part)
            raise
        finally:
            self._coming.pop(path.name, None)
        part.chmod(0o644)
        _tag_of(part).unlink(missing_ok=True)
        part.replace(path)
        _sync_folder(self._folder)

    def _verified(self, image: compute.Image, part: Path, progress: Progress, watch: Watch) -> None:
        """Bring it here until it is what was promised: a network, a disk or an earlier beginning may have spoilt it."""
        for attempt in range(1, DOWNLOADS + 1):
            try:
                digest = self._transfer(image, part, progress, watch)
                if digest == image.sha256:
                    return
                reason = f"SHA-256 is {digest}, expected {image.sha256}"
            except _WrongFile as error:
                reason = str(error)
            _discard(part)
            log.warning("image.corrupt", image=image.id, attempt=attempt, reason=reason)
        raise DriverError("image.corrupt", f"image {image.id}: {reason} ({DOWNLOADS} downloads)")

    def _transfer(self, image: compute.Image, part: Path, progress: Progress, watch: Watch) -> str:
        """Bring the part to its full size, across breaks of the transfer; answer its SHA-256. Raises _WrongFile, DriverError."""
        download = Download(
            image.url, part, _tag_of(part), size_bytes=image.size_bytes, ca_file=self._ca_file, progress=progress, watch=watch
        )
        failures = 0
        while True:
            watch()
            before = _size(part)
            try:
                return download.run()
            except DownloadError as error:
                if error.corrupt:
                    raise _WrongFile(str(error)) from error
                if error.gone:
                    _discard(part)
                # Only attempts that brought nothing count, so that a bad line still gets there.
                failures = 1 if _size(part) > before else failures + 1
                if error.final or failures >= ATTEMPTS:
                    raise DriverError("image.unavailable", f"image {image.id}: {error}") from error
                log.info("image.transfer_broken", image=image.id, reason=str(error), bytes=_size(part))
                time.sleep(self._retry_after_s * failures)
            except OSError as error:
                # Guests' disks grow on the same file system, and want what is left of it more.
                _discard(part)
                raise DriverError("image.no_space", f"image {image.id}: {error.strerror}") from error

    def tidy(self) -> None:
        """Remove what was begun to be fetched and nobody has wanted since."""
        with self._making_room:
            for part in self._folder.glob("*.part"):
                with suppress(FileNotFoundError):
                    if time.time() - part.stat().st_mtime > STALE_PART_S and part.stem not in self._coming:
                        _discard(part)

    def _make_room(self, wanted_bytes: int, *, keep: str) -> None:
        """Drop what was not used for longest until `wanted_bytes` fit beside all that is here and on its way here, within the
        cache's limit and on the disk.

        Raises DriverError `image.no_space`; then nothing was dropped.
        """
        with self._making_room:
            coming = {name: size for name, size in self._coming.items() if name != keep}
            files = self._files({keep, *coming})
            idle = sorted(each for each in files if each.is_idle)
            # What others have still to write is theirs.
            reserved = self._spare_bytes + sum(max(0, size - self._begun(name)) for name, size in coming.items())
            missing = wanted_bytes - self._begun(keep) + reserved
            free = shutil.disk_usage(self._folder).free
            if free + sum(each.size_bytes for each in idle) < missing:
                kept = f"{reserved} of them kept for guests' disks and other downloads"
                raise DriverError("image.no_space", f"{wanted_bytes} bytes wanted, {free} are free on this host, {kept}")
            total = wanted_bytes + sum(each.size_bytes for each in files) + sum(coming.values())
            for each in idle:
                if total <= self._limit_bytes and free >= missing:
                    break
                log.info("image.evicted", sha256=each.path.name, bytes=each.size_bytes)
                each.path.unlink(missing_ok=True)
                total, free = total - each.size_bytes, free + each.size_bytes
            self._coming[keep] = wanted_bytes

    def _files(self, without: set[str]) -> "list[_File]":
        found = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                if path.name.partition(".")[0] not in without:
                    status = path.stat()
                    is_idle = status.st_nlink == 1 and bool(_SHA256.fullmatch(path.name))
                    found.append(_File(status.st_mtime, status.st_size, path, is_idle))
        return found

    def _begun(self, name: str) -> int:
        return _size(self._folder / f"{name}.part")


class _File(NamedTuple):
    """`is_idle`: whole, and no instance stands on it. The order is that in which they go."""

    used_at: float
    size_bytes: int
    path: Path
    is_idle: bool


class _WrongFile(Exception):
    """Not what was promised; the message says in what."""


def _described(sha256: str, status: os.stat_result) -> compute3.CachedImage:
    # Every instance on it has a hard link to it.
    return compute3.CachedImage(
        sha256=sha256, size_bytes=status.st_size, last_used=status.st_mtime, in_use=status.st_nlink > 1
    )


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
    # In this order no tag is left without its part, wherever it ends.
    _tag_of(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


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
