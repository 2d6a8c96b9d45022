"""Snapshots: a copy of the disk as it is at one moment, made in the instance's folder, sent to the control plane, removed.

`snapshot.qcow2` is the copy, `snapshot.json` says that one is being made and whether the guest's file systems may be at rest.
Both are gone when the command has ended, however it did; what an agent that was killed has left is taken back by `tend`, at
the start of the next one, or by the command when it comes again. A copy is never gone on with: the guest has gone on.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from agent import qcow2
from agent.drivers import qemu_img
from agent.drivers.base import DriverError, Trace, superseded
from agent.drivers.libvirt import record
from agent.drivers.libvirt.folders import Folders
from agent.drivers.libvirt.xml import DISK, disk_name
from agent.locks import KeyedLocks
from agent.upload import RETRY_AFTER_S, Upload, UploadError
from contracts.compute import v3 as compute
from contracts.compute.v1 import PowerState

log = structlog.get_logger(__name__)

FAILED = "snapshot.failed"
COPY, MARK = "snapshot.qcow2", "snapshot.json"
_NEW_MARK = f"{MARK}.new"
_FILES = (COPY, _NEW_MARK, MARK)
# What stays free on the file system that guests' disks grow on.
SPARE_BYTES = 1024**3
THAWS, THAW_AGAIN_S = 5, 1.0
POLL_S = 0.2
_CHUNK_BYTES = 1024 * 1024
# Of all the work: the copy, then its SHA-256, then the way to the control plane.
_COPIED, _HASHED = 0.5, 0.6


@dataclass(frozen=True, slots=True)
class Copy:
    """How far a copy is, in bytes; `ended`: it is whole."""

    done: int = 0
    total: int = 0
    ended: bool = False


class Copied(Protocol):
    """The guest, as far as copies of its disk are concerned; see backup.py. All methods raise DriverError."""

    def state(self) -> PowerState: ...

    def has_agent(self) -> bool: ...

    def freeze(self) -> bool: ...

    def thaw(self) -> None: ...

    def begin(self, disk: str, target: Path) -> bool: ...

    def copied(self) -> Copy | None: ...

    def abort(self) -> None: ...


class Mark(msgspec.Struct, kw_only=True):
    """What is under way. `at_rest`: the guest was asked to freeze, and has not said since that it goes on."""

    image_id: str
    at_rest: bool = False


class Snapshots:
    """Of the instances of one host."""

    def __init__(
        self,
        folders: Folders,
        guest_of: Callable[[str], Copied],
        owner: Callable[[], tuple[int, int]],
        *,
        ca_file: str = "",
        spare_bytes: int = SPARE_BYTES,
        retry_after_s: float = RETRY_AFTER_S,
    ) -> None:
        """`owner`: uid and gid that QEMU runs as. `ca_file`: who signs the control plane's certificate."""
        self._folders = folders
        self._guest_of = guest_of
        self._owner = owner
        self._ca_file = ca_file
        self._spare_bytes = spare_bytes
        self._retry_after_s = retry_after_s
        self._locks = KeyedLocks()
        self._at_work: set[str] = set()

    def take(self, command: compute.Snapshot, trace: Trace, stopped: Callable[[], bool]) -> compute.Saved:
        """Raises DriverError `instance.absent`, `snapshot.*`, `command.superseded`."""
        with self._alone(command.instance_id):
            guest = self._guest_of(command.instance_id)
            folder = self._folders.of(command.instance_id)
            if guest.state() is PowerState.ABSENT or not (folder / DISK).exists():
                raise DriverError("instance.absent", f"no instance {command.instance_id} on this host", retryable=False)
            self._clean(command.instance_id)
            upload = Upload(command.upload_url, ca_file=self._ca_file, stopped=stopped, retry_after_s=self._retry_after_s)
            if (sent := _sent_before(upload)) is not None:
                return compute.Saved(image_id=command.image_id, sha256="", size_bytes=sent)
            _mark(folder, Mark(image_id=command.image_id))
            try:
                return self._take(command, guest, folder, upload, trace, stopped)
            finally:
                self._clean_or_leave(command.instance_id)

    def tend(self) -> None:
        """Take back what is left of copies that nobody is at work on. Raises DriverError for the last that did not work."""
        failed: DriverError | None = None
        for instance_id in self._folders.ids():
            if instance_id in self._at_work or not _left(self._folders.of(instance_id)):
                continue
            with self._alone(instance_id):
                try:
                    self._clean(instance_id)
                except DriverError as error:
                    failed = error
        if failed is not None:
            raise failed

    @contextmanager
    def _alone(self, instance_id: str) -> Iterator[None]:
        with self._locks.hold(instance_id):
            self._at_work.add(instance_id)
            try:
                yield
            finally:
                self._at_work.discard(instance_id)

    def _take(
        self, command: compute.Snapshot, guest: Copied, folder: Path, upload: Upload, trace: Trace, stopped: Callable[[], bool]
    ) -> compute.Saved:
        copy = folder / COPY

        def watch() -> None:
            if stopped():
                raise superseded()
            if shutil.disk_usage(folder).free < self._spare_bytes // 2:
                raise DriverError("snapshot.no_space", "the host's disk is nearly full", retryable=False)

        with trace.step("disk.copied"):
            frozen = self._copy(command, guest, folder, trace, watch)
        _refuse_unsound(copy)
        size = copy.stat().st_size
        with trace.step("copy.hashed", f"{size} bytes"):
            digest = _sha256(copy, watch, lambda done: trace.progress(_COPIED * size + (_HASHED - _COPIED) * done, size))
        with trace.step("copy.sent", f"{size} bytes"):
            upload.send(
                copy, digest, size_bytes=size, progress=lambda done: trace.progress(_HASHED * size + (1 - _HASHED) * done, size)
            )
        return compute.Saved(image_id=command.image_id, sha256=digest, size_bytes=size, frozen=frozen)

    def _copy(
        self, command: compute.Snapshot, guest: Copied, folder: Path, trace: Trace, watch: Callable[[], object]
    ) -> bool:
        """Make the copy; whether the file systems were at rest when it was begun, which those of a stopped guest are."""
        required, most = qemu_img.measure(folder / DISK, code=FAILED)
        free = shutil.disk_usage(folder).free
        if free < required + self._spare_bytes:
            message = f"the copy takes {required} bytes, {self._spare_bytes} must stay free, and {free} are"
            raise DriverError("snapshot.no_space", message, retryable=False)
        if guest.state() in (PowerState.RUNNING, PowerState.PAUSED):
            frozen = self._copy_live(command, guest, folder, trace, watch)
            if frozen is not None:
                return frozen
            # It has ended meanwhile, so its disk is at rest now.
            (folder / COPY).unlink(missing_ok=True)
        qemu_img.convert(folder / DISK, folder / COPY, most_bytes=most, code=FAILED, watch=watch)
        return True

    def _copy_live(
        self, command: compute.Snapshot, guest: Copied, folder: Path, trace: Trace, watch: Callable[[], object]
    ) -> bool | None:
        """None: the guest has ended before the copy was whole."""
        copy, known = folder / COPY, record.load(folder)
        qemu_img.create(copy, qcow2.read_header(folder / DISK).virtual_size_bytes, code=FAILED)
        copy.chmod(0o600)
        os.chown(copy, *self._owner())
        seen = self._folders.as_seen_by(self._owner(), command.instance_id) / COPY
        began = time.monotonic()
        if known.guest_agent and guest.has_agent():
            _mark(folder, Mark(image_id=command.image_id, at_rest=True))
            try:
                frozen = guest.freeze()
                _require_frozen(command, frozen)
                running = guest.begin(disk_name(known.disk_bus), seen)
            finally:
                _thaw(guest)
                _mark(folder, Mark(image_id=command.image_id))
        else:
            frozen = False
            _require_frozen(command, frozen)
            running = guest.begin(disk_name(known.disk_bus), seen)
        told = "its file systems were at rest" if frozen else "as after a power cut: no guest agent answered"
        trace.add("copy.begun", told, round((time.monotonic() - began) * 1000, 1))
        while running:
            now = guest.copied()
            if now is None:
                break
            if now.ended:
                return frozen
            trace.progress(_COPIED * now.done, now.total)
            watch()
            time.sleep(POLL_S)
        return None

    def _clean(self, instance_id: str) -> None:
        """Raises DriverError when it cannot be; then all is left for the next time."""
        folder = self._folders.of(instance_id)
        if not _left(folder):
            return
        mark = _marked(folder)
        guest = self._guest_of(instance_id)
        if mark is not None and mark.at_rest:
            guest.thaw()
        guest.abort()
        # The mark last: as long as it is there, this comes again.
        for name in _FILES:
            (folder / name).unlink(missing_ok=True)

    def _clean_or_leave(self, instance_id: str) -> None:
        try:
            self._clean(instance_id)
        except DriverError as error:
            log.warning("snapshot.left_behind", instance=instance_id, code=error.code, reason=str(error))


def _require_frozen(command: compute.Snapshot, frozen: bool) -> None:
    if command.must_freeze and not frozen:
        message = "the image asks for file systems at rest, and no guest agent answered; stop the instance, or start its agent"
        raise DriverError("snapshot.not_frozen", message, retryable=False)


def _thaw(guest: Copied) -> None:
    """A guest whose file systems are at rest hangs: asked more than once. Raises DriverError `snapshot.thaw`."""
    for left in reversed(range(THAWS)):
        try:
            guest.thaw()
            return
        except DriverError:
            if not left:
                raise
            time.sleep(THAW_AGAIN_S)


def _sent_before(upload: Upload) -> int | None:
    """How many bytes the image has, if an earlier life of this agent has sent all of it."""
    try:
        offset, complete = upload.offset()
    except UploadError as error:
        code = "snapshot.refused" if error.final else "snapshot.upload"
        raise DriverError(code, f"the control plane: {error}", retryable=not error.final) from error
    return offset if complete else None


def _refuse_unsound(copy: Path) -> None:
    try:
        header = qcow2.read_header(copy)
    except (OSError, qcow2.NotQcow2) as error:
        raise DriverError(FAILED, f"the copy: {error}") from error
    if header.has_backing_file or header.has_external_data:
        raise DriverError(FAILED, "the copy does not stand alone")


def _sha256(path: Path, watch: Callable[[], object], progress: Callable[[int], object]) -> str:
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            if done % (64 * _CHUNK_BYTES) < _CHUNK_BYTES:
                watch()
                progress(done)
    return digest.hexdigest()


def _mark(folder: Path, mark: Mark) -> None:
    """On disk before anything that it tells of is done: an agent may be killed, and a host lose its power, at any line."""
    temporary = folder / _NEW_MARK
    with temporary.open("wb") as file:
        file.write(msgspec.json.encode(mark))
        file.flush()
        os.fsync(file.fileno())
    temporary.chmod(0o600)
    temporary.replace(folder / MARK)


def _left(folder: Path) -> bool:
    return any((folder / name).exists() for name in _FILES)


def _marked(folder: Path) -> Mark | None:
    try:
        return msgspec.json.decode((folder / MARK).read_bytes(), type=Mark)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        log.warning("snapshot.mark_unreadable", folder=folder.name, reason=str(error))
        # Nobody knows what it said: thawing what is not frozen does no harm.
        return Mark(image_id="", at_rest=True)
