"""The hashes of content, made on the way."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Hashed:
    """Hashes in hex. `md5` is what OpenStack calls the checksum; nothing is decided by it."""

    sha256: str
    md5: str
    size_bytes: int


class Digest:
    """Fed with the content, piece by piece."""

    def __init__(self) -> None:
        self._sha256, self._md5, self._size_bytes = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0

    def update(self, chunk: bytes) -> None:
        """One piece more."""
        self._sha256.update(chunk)
        self._md5.update(chunk)
        self._size_bytes += len(chunk)

    def hashed(self) -> Hashed:
        """Of all that came."""
        return Hashed(self._sha256.hexdigest(), self._md5.hexdigest(), self._size_bytes)
