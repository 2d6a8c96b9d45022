"""What a simulated host has of images: names in its cache, and a disk that holds nothing when one is asked for."""

import struct
import threading
import time

from contracts.compute import v1 as compute
from contracts.compute import v3 as compute3

_CLUSTER_BITS = 9
_CLUSTER = 1 << _CLUSTER_BITS
_VIRTUAL_BYTES = 1024 * 1024


class SimulatedCache:
    """The cache of one host; any thread may call."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._images: dict[str, compute3.CachedImage] = {}

    def ensure(self, image: compute.Image) -> compute3.CachedImage:
        found = compute3.CachedImage(sha256=image.sha256, size_bytes=image.size_bytes, last_used=time.time())
        with self._mutex:
            self._images[image.sha256] = found
        return found

    def listed(self) -> list[compute3.CachedImage]:
        with self._mutex:
            return [self._images[sha256] for sha256 in sorted(self._images)]


def empty_disk(told: str) -> bytes:
    """A sound qcow2 file of 1 MiB of nothing; `told` (at most 300 characters) makes it differ from others."""
    entries = _VIRTUAL_BYTES // (_CLUSTER * (_CLUSTER // 8))
    # Header, refcount table, refcount block, L1 table: a cluster each.
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, _CLUSTER_BITS, _VIRTUAL_BYTES, 0, entries, 3 * _CLUSTER, _CLUSTER, 1, 0, 0
    )
    # Behind the end of the header's extensions nobody reads on.
    first = header + bytes(8) + told.encode()[:300]
    clusters = (first, struct.pack(">Q", 2 * _CLUSTER), struct.pack(">4H", 1, 1, 1, 1), b"")
    return b"".join(content.ljust(_CLUSTER, b"\0") for content in clusters)
