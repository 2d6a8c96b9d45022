"""A qcow2 file out of a raw disk: version 3, no backing file, no compression, no snapshots.

Written here and not by qemu-img: the bytes then depend on the disk alone, not on the version of QEMU that happens to
be installed, and none needs to be.
"""

import struct

CLUSTER_BYTES = 1 << 16
_CLUSTER_BITS = 16
_REFCOUNT_ORDER = 4  # 2**4 bits = 2 bytes for each reference count
_REFCOUNTS_PER_BLOCK = CLUSTER_BYTES // 2
_ENTRIES_PER_L2 = CLUSTER_BYTES // 8
_COPIED = 1 << 63  # "reference count is exactly one", QEMU may write in place
_HEADER_BYTES = 104
_REFCOUNT_TABLE, _REFCOUNT_BLOCK, _L1_TABLE, _FIRST_L2 = 1, 2, 3, 4  # cluster numbers; the header is cluster 0


def encode(disk: bytes) -> bytes:
    """The qcow2 file for a disk of whole sectors; clusters of zeros take no space.

    Raises ValueError if the size is no multiple of 512 bytes or needs more than one block of reference counts (2 GiB).
    """
    if len(disk) % 512:
        raise ValueError(f"a disk of {len(disk)} bytes has no whole number of sectors")
    clusters = [disk[start : start + CLUSTER_BYTES] for start in range(0, len(disk), CLUSTER_BYTES)]
    l2_tables = -(-len(clusters) // _ENTRIES_PER_L2)
    next_free = _FIRST_L2 + l2_tables
    l2 = [0] * (l2_tables * _ENTRIES_PER_L2)
    data: list[bytes] = []
    for index, cluster in enumerate(clusters):
        if cluster.count(0) != len(cluster):
            l2[index] = (next_free + len(data)) * CLUSTER_BYTES | _COPIED
            data.append(cluster.ljust(CLUSTER_BYTES, b"\0"))
    used = next_free + len(data)
    if used > _REFCOUNTS_PER_BLOCK:
        raise ValueError(f"{used} clusters are more than one block of reference counts can hold")
    l1 = [(_FIRST_L2 + number) * CLUSTER_BYTES | _COPIED for number in range(l2_tables)]
    parts = [
        _header(len(disk), len(l1)),
        _cluster("Q", [_REFCOUNT_BLOCK * CLUSTER_BYTES]),
        _cluster("H", [1] * used),
        _cluster("Q", l1),
        struct.pack(f">{len(l2)}Q", *l2),
        *data,
    ]
    return b"".join(parts)


def _header(disk_bytes: int, l1_entries: int) -> bytes:
    backing_file, encryption, snapshots, features = (0, 0), 0, (0, 0), (0, 0, 0)
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        b"QFI\xfb",
        3,
        *backing_file,
        _CLUSTER_BITS,
        disk_bytes,
        encryption,
        l1_entries,
        _L1_TABLE * CLUSTER_BYTES,
        _REFCOUNT_TABLE * CLUSTER_BYTES,
        1,  # cluster of the reference count table
        *snapshots,
        *features,  # incompatible, compatible, and those that a program clears which does not know them
        _REFCOUNT_ORDER,
        _HEADER_BYTES,
    )
    return header.ljust(CLUSTER_BYTES, b"\0")


def _cluster(kind: str, numbers: list[int]) -> bytes:
    return struct.pack(f">{len(numbers)}{kind}", *numbers).ljust(CLUSTER_BYTES, b"\0")
