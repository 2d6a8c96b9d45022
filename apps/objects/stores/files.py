"""Content as files of this machine, or of a file system that all S3 processes share (it must know flock and hard links).

    incoming/<blob>     being written, or written and not settled; whoever writes holds a lock on it
    data/abc/<blob>     settled; `abc` are the last three digits of the id, which are random

The kernel lets go of a lock when its process dies, at whatever line. So a file in `incoming` that can be locked exclusively has
no writer any more, and a row says whether it is wanted.
"""

import contextlib
import fcntl
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from apps.common import filelocks
from apps.objects.stores.base import Missing, Reader, Writer, failed

log = logging.getLogger(__name__)
_DIGITS = 3
_WRITE_BACK_BYTES = 16 * 1024**2


class Files:
    """A store in a folder."""

    def __init__(self, root: Path) -> None:
        self._incoming, self._data = root / "incoming", root / "data"

    def receive(self, blob_id: uuid.UUID) -> Writer:
        path = self._incoming / blob_id.hex
        for _ in range(3):
            try:
                descriptor = self._create(path)
            except OSError as error:
                raise failed(error) from error
            if _lock_shared(descriptor, path):
                return _FileWriter(self, blob_id, descriptor)
        raise failed(OSError(None, "new files disappear"))

    def link(self, source: uuid.UUID, blob_id: uuid.UUID) -> Writer:
        path = self._incoming / blob_id.hex
        for _ in range(3):
            try:
                self._link(source, path)
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as error:
                if self.size(source) is None:
                    raise Missing(source) from error
                continue
            except OSError as error:
                raise failed(error) from error
            if _lock_shared(descriptor, path):
                writer = _FileWriter(self, blob_id, descriptor)
                writer.finish()
                return writer
        raise failed(OSError(None, "new files disappear"))

    def open(self, blob_id: uuid.UUID) -> Reader:
        # It may be settled between the first look and the second.
        for path in (self.path(blob_id), self._incoming / blob_id.hex, self.path(blob_id)):
            try:
                return path.open("rb", buffering=0)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise failed(error) from error
        raise Missing(blob_id)

    def size(self, blob_id: uuid.UUID) -> int | None:
        for path in (self.path(blob_id), self._incoming / blob_id.hex, self.path(blob_id)):
            try:
                return path.stat().st_size
            except FileNotFoundError:
                continue
            except OSError as error:
                raise failed(error) from error
        return None

    def remove(self, blob_id: uuid.UUID) -> None:
        try:
            (self._incoming / blob_id.hex).unlink(missing_ok=True)
            self.path(blob_id).unlink(missing_ok=True)
        except OSError as error:
            raise failed(error) from error

    def settle(self, blob_id: uuid.UUID) -> None:
        source, target = self._incoming / blob_id.hex, self.path(blob_id)
        try:
            try:
                os.rename(source, target)
            except FileNotFoundError:
                if not source.exists():
                    if not target.exists():
                        raise Missing(blob_id) from None
                    return
                target.parent.mkdir(parents=True, exist_ok=True)
                os.rename(source, target)
        except OSError as error:
            raise failed(error) from error

    def names(self, *, idle_s: float) -> Iterator[list[uuid.UUID]]:
        for folder in _entries(self._data):
            with contextlib.suppress(FileNotFoundError), os.scandir(folder.path) as entries:
                found = [uuid.UUID(entry.name) for entry in entries if _is_blob(entry.name) and _idle(entry.path, idle_s)]
                if found:
                    yield sorted(found)

    def sort_out(self, wanted: Callable[[uuid.UUID], bool], *, idle_s: float) -> tuple[int, int]:
        settled = removed = 0
        for entry in _entries(self._incoming):
            if not _is_blob(entry.name) or not _idle(entry.path, idle_s):
                continue
            with contextlib.suppress(FileNotFoundError), open(entry.path, "rb") as file:
                if not filelocks.take(file.fileno(), Path(entry.path)):
                    continue
                if wanted(uuid.UUID(entry.name)):
                    self.settle(uuid.UUID(entry.name))
                    settled += 1
                else:
                    os.unlink(entry.path)
                    removed += 1
        return settled, removed

    def free_bytes(self) -> int | None:
        try:
            facts = os.statvfs(self._data.parent if self._data.parent.exists() else self._made(self._data.parent))
        except OSError:
            return None
        return facts.f_bavail * facts.f_frsize

    def path(self, blob_id: uuid.UUID) -> Path:
        """Where it is once it is settled."""
        return self._data / blob_id.hex[-_DIGITS:] / blob_id.hex

    def _create(self, path: Path) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:
            self._made(path.parent)
            return os.open(path, flags, 0o600)

    def _link(self, source: uuid.UUID, path: Path) -> None:
        self._made(path.parent)
        for origin in (self.path(source), self._incoming / source.hex, self.path(source)):
            try:
                os.link(origin, path)
                return
            except FileNotFoundError:
                continue
        raise FileNotFoundError(source)

    def sync_incoming(self) -> None:
        """The names in `incoming` survive a loss of power from now on."""
        filelocks.sync_folder(self._incoming)

    @staticmethod
    def _made(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder


class _FileWriter:
    """A file in `incoming`, locked."""

    def __init__(self, store: Files, blob_id: uuid.UUID, descriptor: int) -> None:
        self.blob_id, self._store, self._descriptor = blob_id, store, descriptor
        self._written = self._begun = 0

    def write(self, chunk: bytes) -> None:
        left = memoryview(chunk)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            raise failed(error) from error
        self._written += len(chunk)
        if self._written - self._begun >= _WRITE_BACK_BYTES:
            # The kernel begins to write what is dirty here, and nobody waits for it: the sync at the end has less to do.
            os.posix_fadvise(self._descriptor, self._begun, self._written - self._begun, os.POSIX_FADV_DONTNEED)
            self._begun = self._written

    def finish(self) -> None:
        try:
            os.fsync(self._descriptor)
            self._store.sync_incoming()
        except OSError as error:
            raise failed(error) from error

    def settle(self) -> None:
        try:
            self._store.settle(self.blob_id)
        except Missing:
            pass  # deleted again meanwhile, and removed by the sweep
        except Exception:
            log.exception("blob %s is not settled yet; the sweep does it", self.blob_id)
        finally:
            os.close(self._descriptor)

    def abort(self) -> None:
        try:
            self._store.remove(self.blob_id)
        except Exception:
            log.exception("what was written of blob %s is not removed yet; the sweep does it", self.blob_id)
        finally:
            os.close(self._descriptor)

    def leave(self) -> None:
        os.close(self._descriptor)


def _lock_shared(descriptor: int, path: Path) -> bool:
    """Shared, since hard links to one file have one lock. False if the sweep took the file away before: then it is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if filelocks.is_there(descriptor, path):
            return True
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return False


def _idle(path: str, idle_s: float) -> bool:
    """By the time of the last change of the entry itself: a file that was linked or renamed a moment ago is new here."""
    try:
        return time.time() - os.stat(path).st_ctime >= idle_s
    except FileNotFoundError:
        return False


def _is_blob(name: str) -> bool:
    return len(name) == 32 and all(digit in "0123456789abcdef" for digit in name)


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
