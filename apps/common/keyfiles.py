"""Keys that the installation makes for itself: one file each, readable by the owner only, never in the repository.

A key that can be rotated has several lines: the first is in use, the others are still understood. No Django here: the
settings read these files.
"""

import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path


def new() -> str:
    """A fresh key: 64 hex digits."""
    return secrets.token_hex(32)


def read(path: Path, make: Callable[[], str] = new) -> list[str]:
    """The keys in `path`, the one in use first; made on first use. Two first users agree: the file is created exclusively."""
    try:
        return _keys(path)
    except FileNotFoundError:
        return _create(path, make())


def write(path: Path, keys: Sequence[str]) -> None:
    """Put these keys in the file's place, at once and for good: whoever reads sees the old ones or the new ones."""
    scratch = _scratch(path, keys)
    os.replace(scratch, path)


def _keys(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]


def _create(path: Path, key: str) -> list[str]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = _scratch(path, [key])
    try:
        os.link(scratch, path)
    except FileExistsError:
        pass
    finally:
        scratch.unlink()
    return _keys(path)


def _scratch(path: Path, keys: Sequence[str]) -> Path:
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("".join(f"{key}\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())
    return scratch
