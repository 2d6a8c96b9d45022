"""Keys that the installation makes for itself: one file each, readable by the owner only, never in the repository."""

import os
import secrets
from pathlib import Path


def text(path: Path) -> str:
    """The secret in `path`; made on first use (64 hex digits). Two first users agree: the file is created exclusively."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return _create(path, secrets.token_hex(32))


def _create(path: Path, value: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(value + "\n")
    try:
        os.link(scratch, path)
    except FileExistsError:
        pass
    finally:
        scratch.unlink()
    return path.read_text().strip()
