"""The file store: content under its SHA-256, never visible before it is whole."""

import contextlib
import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from apps.common.errors import Invalid, Unavailable

_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Stored:
    """What came in: path of the finished scratch file, its hash in hex and its size in bytes."""

    scratch: Path
    sha256: str
    size_bytes: int


def receive(stream: BinaryIO, *, most_bytes: int, owner: uuid.UUID | None = None) -> Stored:
    """Write a stream to a scratch file, hashing on the way; `owner`: the image that it is for.

    Raises Invalid `image.too_large`, Unavailable (disk full).
    """
    scratch = _root() / "incoming" / f"{owner or 'nobody'}.{uuid.uuid4().hex}"
    digest, size = hashlib.sha256(), 0
    try:
        scratch.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("xb") as file:
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
                if size > most_bytes:
                    raise too_large(most_bytes)
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise _unavailable(error) from error
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return Stored(scratch, digest.hexdigest(), size)


def too_large(most_bytes: int) -> Invalid:
    """The refusal of more than so many bytes."""
    return Invalid("image.too_large", f"The image is larger than {most_bytes} bytes.", limit=most_bytes)


@contextlib.contextmanager
def exclusively() -> Iterator[None]:
    """Nobody else adds or removes content meanwhile: the same content may be of one image that comes and of one that goes."""
    _root().mkdir(parents=True, exist_ok=True)
    folder = os.open(_root(), os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def keep(stored: Stored) -> None:
    """Make the content visible under its hash: atomic, and the same content twice is one file. Raises Unavailable."""
    target = path_of(stored.sha256)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(stored.scratch, target)
    except OSError as error:
        raise _unavailable(error) from error


def discard(stored: Stored) -> None:
    stored.scratch.unlink(missing_ok=True)


def remove(sha256: str) -> None:
    """Delete content that no image uses any more."""
    path_of(sha256).unlink(missing_ok=True)


def path_of(sha256: str) -> Path:
    return _root() / "content" / sha256[:2] / sha256


def contents(*, idle_s: float) -> list[str]:
    """The hashes of all content that has been there for so long."""
    return _idle(_root() / "content", "*/*", idle_s)


def scratches(*, idle_s: float) -> list[str]:
    """Names of scratch files that nobody has written to for so long."""
    return _idle(_root() / "incoming", "*", idle_s)


def scratches_of(owner: uuid.UUID, *, busy_s: float) -> list[str]:
    """Names of this image's scratch files that were written to within the last so many seconds."""
    names = [path.name for path in (_root() / "incoming").glob(f"{owner}.*")]
    return sorted(set(names) - set(scratches(idle_s=busy_s)))


def remove_scratch(name: str) -> None:
    """Delete a scratch file."""
    (_root() / "incoming" / Path(name).name).unlink(missing_ok=True)


def _idle(folder: Path, pattern: str, idle_s: float) -> list[str]:
    found = []
    for path in folder.glob(pattern):
        with contextlib.suppress(FileNotFoundError):
            # The time of the last change of the entry itself: a file that was renamed a moment ago is new here.
            if time.time() - path.stat().st_ctime > idle_s:
                found.append(path.name)
    return sorted(found)


def read(path: Path, first: int, last: int) -> Iterator[bytes]:
    """Bytes `first` to `last`, both included, in chunks."""
    with path.open("rb") as file:
        file.seek(first)
        left = last - first + 1
        while left > 0 and (chunk := file.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk


def _unavailable(error: OSError) -> Unavailable:
    return Unavailable("image.store", f"The image store cannot take this now: {error.strerror}.")


def _root() -> Path:
    root: Path = settings.MEDIA_ROOT
    return root
