"""The file store: content under its SHA-256, never visible before it is whole.

    incoming/<upload>     what has come in of an upload; whoever writes it holds a lock on it
    content/ab/<sha256>   whole, inspected, and of at least one image
"""

import contextlib
import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from apps.common import filelocks
from apps.common.errors import Conflict, Invalid, Unavailable
from apps.images.digests import Digest, Hashed

CHUNK = 1024 * 1024
_TRIES, _WAIT_S = 20, 0.02


@dataclass(frozen=True)
class Stored:
    """What came in: path of the finished file, which is on the disk, its hash in hex and its size in bytes."""

    scratch: Path
    sha256: str
    size_bytes: int


class Lost(Exception):
    """There is less on the disk than the row says: somebody removed it."""


class Scratch:
    """The file of an upload, locked by this process. `size`: bytes in it."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path, self.size = path, size
        self._descriptor = descriptor
        # Of what was written in one go the hashes are known; else the file is read again.
        self._digest = None if size else Digest()

    def write(self, chunk: bytes) -> None:
        """Raises Unavailable `image.store`."""
        left = memoryview(chunk)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            raise _unavailable(error) from error
        self.size += len(chunk)
        if self._digest is not None:
            self._digest.update(chunk)

    def sync(self) -> None:
        """On return all that was written survives a loss of power. Raises Unavailable."""
        try:
            os.fsync(self._descriptor)
            filelocks.sync_folder(self.path.parent)
        except OSError as error:
            raise _unavailable(error) from error

    def hashed(self) -> Hashed:
        """Of all of it. Raises Unavailable."""
        if self._digest is None:
            self._digest = Digest()
            try:
                with self.path.open("rb") as file:
                    while chunk := file.read(CHUNK):
                        self._digest.update(chunk)
            except OSError as error:
                raise _unavailable(error) from error
        return self._digest.hashed()


@contextlib.contextmanager
def writing(upload_id: uuid.UUID, *, at: int = 0) -> Iterator[Scratch]:
    """Go on with an upload behind its first `at` bytes; what is there beyond was never acknowledged.

    Raises Conflict `image.busy` while another request writes it, Lost, Unavailable.
    """
    path = _scratch(upload_id)
    try:
        descriptor = _opened(path, os.O_RDWR | (0 if at else os.O_CREAT))
    except FileNotFoundError:
        raise Lost from None
    except OSError as error:
        raise _unavailable(error) from error
    try:
        if not _taken(descriptor, path):
            raise Conflict("image.busy", "Another request is uploading this image at the moment; ask again how far it is.")
        if os.fstat(descriptor).st_size < at:
            raise Lost
        try:
            os.ftruncate(descriptor, at)
            os.lseek(descriptor, at, os.SEEK_SET)
        except OSError as error:
            raise _unavailable(error) from error
        yield Scratch(path, descriptor, at)
    finally:
        os.close(descriptor)


def is_busy(upload_id: uuid.UUID) -> bool:
    """Whether a process writes it at this moment."""
    path = _scratch(upload_id)
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        return not filelocks.take(file.fileno(), path) and path.exists()
    return False


def too_large(most_bytes: int) -> Invalid:
    """The refusal of more than so many bytes."""
    return Invalid("image.too_large", f"The image is larger than {most_bytes} bytes.", field="file", limit=most_bytes)


@contextlib.contextmanager
def exclusively() -> Iterator[None]:
    """Nobody else adds or removes content meanwhile: the same content may be of one image that comes and of one that goes.

    Never to be asked for within a transaction: who has it waits for the database.
    """
    _root().mkdir(parents=True, exist_ok=True)
    folder = os.open(_root(), os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def keep(stored: Stored) -> None:
    """Make the content visible under its hash: atomic, for good, and the same content twice is one file. Raises Unavailable."""
    target = path_of(stored.sha256)
    try:
        new = not target.parent.exists()
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(stored.scratch, target)
        filelocks.sync_folder(target.parent)
        if new:
            filelocks.sync_folder(target.parent.parent)
            filelocks.sync_folder(_root())
    except OSError as error:
        raise _unavailable(error) from error


def discard(upload_id: uuid.UUID) -> None:
    """Delete the scratch file of an upload; whoever still writes it learns of it at the end. What cannot be deleted now is swept later."""
    with contextlib.suppress(OSError):
        remove_scratch(upload_id.hex)


def remove(sha256: str) -> None:
    """Delete content that no image uses any more."""
    path_of(sha256).unlink(missing_ok=True)


def path_of(sha256: str) -> Path:
    return _root() / "content" / sha256[:2] / sha256


def contents() -> list[str]:
    """The hashes of all content."""
    return sorted(path.name for path in (_root() / "content").glob("*/*"))


def unwritten() -> list[str]:
    """Names of scratch files that no process writes: of uploads that wait for more, and of what died."""
    found = []
    for path in (_root() / "incoming").glob("*"):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            if filelocks.take(file.fileno(), path):
                found.append(path.name)
    return sorted(found)


def remove_scratch(name: str) -> None:
    """Delete a scratch file."""
    (_root() / "incoming" / Path(name).name).unlink(missing_ok=True)


def read(path: Path, first: int, last: int) -> Iterator[bytes]:
    """Bytes `first` to `last`, both included, in chunks."""
    with path.open("rb") as file:
        file.seek(first)
        left = last - first + 1
        while left > 0 and (chunk := file.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk


def _taken(descriptor: int, path: Path) -> bool:
    """Whoever only looks whether somebody writes has the lock for a moment, so it is asked for more than once."""
    for _ in range(_TRIES):
        if filelocks.take(descriptor, path):
            return True
        time.sleep(_WAIT_S)
    return False


def _opened(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _scratch(upload_id: uuid.UUID) -> Path:
    return _root() / "incoming" / upload_id.hex


def _unavailable(error: OSError) -> Unavailable:
    return Unavailable("image.store", f"The image store cannot take this now: {error.strerror}.")


def _root() -> Path:
    root: Path = settings.MEDIA_ROOT
    return root
