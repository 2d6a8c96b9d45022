"""Hashes of content on its way: all that are asked for in one pass, and what those of parts say of the whole. No Django."""

import base64
import hashlib
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

_CRCS = {"CRC32": ("CRC32", 4), "CRC32C": ("CRC32C", 4), "CRC64NVME": ("CRC64-NVME", 8)}
_DIGESTS: dict[str, Callable[[], Any]] = {
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False), "SHA256": hashlib.sha256,
}
ALGORITHMS = (*_CRCS, *_DIGESTS)
# Checksums of the bytes as a whole can be made from those of the parts.
COMBINABLE = frozenset(_CRCS)


class Hashes:
    """MD5, SHA-256 if `sha256`, and the checksum of `algorithm` (one of ALGORITHMS; empty for none)."""

    def __init__(self, algorithm: str = "", *, sha256: bool = False) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._algorithm = algorithm
        self._others = {name: hasher(name) for name in ({algorithm} | ({"SHA256"} if sha256 else set())) - {""}}
        self.size_bytes = 0

    def update(self, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        self._md5.update(chunk)
        for each in self._others.values():
            each.update(chunk)

    @property
    def md5(self) -> str:
        """Hex."""
        return self._md5.hexdigest()

    @property
    def sha256(self) -> str:
        """Hex; empty if it was not asked for."""
        found = self._others.get("SHA256")
        return "" if found is None else str(found.digest().hex())

    @property
    def checksum(self) -> str:
        """Base64; empty if none was asked for."""
        return _base64(self._others[self._algorithm].digest()) if self._algorithm else ""


class _Crc:
    def __init__(self, algorithm: str) -> None:
        self._calc: Callable[[bytes, int], int] = zlib.crc32 if algorithm == "CRC32" else _model(algorithm).calc
        self._width, self._now = _CRCS[algorithm][1], 0

    def update(self, chunk: bytes) -> None:
        self._now = self._calc(chunk, self._now)

    def digest(self) -> bytes:
        return self._now.to_bytes(self._width, "big")


def hasher(algorithm: str) -> Any:
    """A new one of ALGORITHMS, with `update` and `digest`. Raises KeyError."""
    return _Crc(algorithm) if algorithm in _CRCS else _DIGESTS[algorithm]()


def combined(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """The CRC of the whole, base64, from (base64, bytes) of each part in order."""
    width, whole = _CRCS[algorithm][1], 0
    model = _model(algorithm)
    for value, size in parts:
        whole = model.combine(whole, int.from_bytes(base64.b64decode(value), "big"), size)
    return _base64(whole.to_bytes(width, "big"))


def composite(algorithm: str, parts: Sequence[str]) -> str:
    """The checksum of the parts' checksums, and their number: `base64-N`."""
    found = hasher(algorithm)
    found.update(b"".join(base64.b64decode(value) for value in parts))
    return f"{_base64(found.digest())}-{len(parts)}"


def etag_of_parts(md5s: Sequence[str]) -> str:
    """The ETag of an object made of parts: MD5 of their MD5s, and their number."""
    joined = b"".join(bytes.fromhex(each) for each in md5s)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(md5s)}"


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


@cache
def _model(algorithm: str) -> Any:
    import anycrc  # loaded when somebody asks for such a checksum

    return anycrc.Model(_CRCS[algorithm][0])
