"""A folder of hostile images, built by hand: what each says that it is, and with which code it is refused."""

import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CLUSTER = 65536
_GIB, _MIB = 1024**3, 1024**2
_OWN_OFFSET = 4 * CLUSTER


@dataclass(frozen=True)
class Hostile:
    """`declared`: the format that its owner names. `code`: of the refusal."""

    name: str
    data: bytes
    declared: str
    code: str


def qcow2(
    *, virtual_size: int = 16 * _MIB, backing: bytes = b"", version: int = 3, incompatible: int = 0, data_file: bytes = b"",
    encrypted: int = 0, cluster_bits: int = 16, l1: tuple[int, ...] = (0,), l1_size: int = 0, tables: bytes = b"",
) -> bytes:
    """A small one: header, refcounts, a first table of `l1`, then `tables`, which begin at byte 4 × 65536. QEMU would open it."""
    header_length = 104
    extensions = b""
    if data_file:
        extensions += struct.pack(">II", 0x44415441, len(data_file)) + data_file.ljust(-(-len(data_file) // 8) * 8, b"\0")
    extensions += struct.pack(">II", 0, 0)
    backing_at = header_length + len(extensions) if backing else 0
    head = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", version, backing_at, len(backing), cluster_bits, virtual_size, encrypted, l1_size or len(l1),
        3 * CLUSTER, CLUSTER, 1, 0, 0,
    )
    head += struct.pack(">QQQII", incompatible, 0, 0, 4, header_length)
    first = (head + extensions + backing).ljust(CLUSTER, b"\0")
    refcount_table = struct.pack(">Q", 2 * CLUSTER).ljust(CLUSTER, b"\0")
    refcounts = struct.pack(">4H", 1, 1, 1, 1).ljust(CLUSTER, b"\0")
    return first + refcount_table + refcounts + struct.pack(f">{len(l1)}Q", *l1).ljust(CLUSTER, b"\0") + tables


def qcow2_bomb() -> bytes:
    """One compressed cluster, named by every entry of one table, which is named eight times: 4 GiB out of 400 KB."""
    entry = (1 << 62) | (5 * CLUSTER)
    table = struct.pack(">Q", entry) * (CLUSTER // 8)
    return qcow2(virtual_size=4 * _GIB, l1=(_OWN_OFFSET,) * 8, tables=table + b"\x03\x00".ljust(CLUSTER, b"\0"))


def vmdk(
    *, extents: tuple[str, ...] = ('RW 131072 SPARSE "disk.vmdk"',), kind: str = "monolithicSparse", parent: str = "",
    capacity: int = 131072, tables: int = 0, used: int = 0,
) -> bytes:
    """A sparse one with its descriptor in it. `tables`: of grains, all of them the same, with `used` entries."""
    lines = ["# Disk DescriptorFile", "version=1", "CID=12345678", f"parentCID={'87654321' if parent else 'ffffffff'}", f'createType="{kind}"']
    lines += [f'parentFileNameHint="{parent}"'] if parent else []
    lines += ["", "# Extent description", *extents, "", "# The Disk Data Base", 'ddb.virtualHWVersion = "4"', 'ddb.adapterType = "ide"']
    descriptor = "\n".join(lines).encode().ljust(20 * 512, b"\0")
    grain, per_table, directory_at = 128, 512, 21 + 8
    head = struct.pack("<4sIIQQQQIQQQ", b"KDMV", 1, 3, capacity, grain, 1, 20, per_table, 21, directory_at, 128)
    table_at = directory_at + 8
    directory = struct.pack("<I", table_at) * tables
    table = struct.pack("<I", 128) * used
    body = head.ljust(512, b"\0") + descriptor
    return (body.ljust(directory_at * 512, b"\0") + directory).ljust(table_at * 512, b"\0") + table.ljust(128 * 512, b"\0")


def vdi(*, kind: int = 1, size: int = 16 * _MIB, parent: bytes = b"", blocks: tuple[int, ...] | None = None) -> bytes:
    """VirtualBox's."""
    count = -(-size // _MIB)
    table = blocks if blocks is not None else (0xFFFFFFFF,) * count
    head = bytearray(512)
    struct.pack_into("<I", head, 0x40, 0xBEDA107F)
    struct.pack_into("<IIII", head, 0x44, 0x00010001, 0x190, kind, 0)
    struct.pack_into("<II", head, 0x154, 512, 512 + 4 * len(table))
    struct.pack_into("<I", head, 0x168, 512)
    struct.pack_into("<QIII", head, 0x170, size, _MIB, 0, len(table))
    head[0x1B8 : 0x1B8 + len(parent)] = parent
    return bytes(head) + struct.pack(f"<{len(table)}I", *table)


def vhdx(*, size: int = 64 * _MIB, block: int = _MIB, flags: int = 0, used: int = 0) -> bytes:
    """Hyper-V's. `used`: so many blocks have data, all at the same place."""
    data = bytearray(4 * _MIB)
    data[0:8] = b"vhdxfile"

    def guid(text: str) -> bytes:
        return uuid.UUID(text).bytes_le

    for at in (192 * 1024, 256 * 1024):
        struct.pack_into("<4sIII", data, at, b"regi", 0, 2, 0)
        struct.pack_into("<16sQII", data, at + 16, guid("2dc27766-f623-4200-9d64-115e9bfd4a08"), 3 * _MIB, _MIB, 1)
        struct.pack_into("<16sQII", data, at + 48, guid("8b7ca206-4790-4b9a-b8fe-575f050f886e"), 2 * _MIB, _MIB, 1)
    struct.pack_into("<8sHH", data, 2 * _MIB, b"metadata", 0, 3)
    items = (
        ("caa16737-fa36-4d43-b3b6-33f0aa44e76b", struct.pack("<II", block, flags)), ("2fa54224-cd1b-4876-b211-5dbed83bf4b8", struct.pack("<Q", size)),
        ("8141bf1d-a96f-4709-ba47-f233a8faab5f", struct.pack("<I", 512)),
    )
    for number, (key, value) in enumerate(items):
        offset = 65536 + number * 8
        struct.pack_into("<16sIIII", data, 2 * _MIB + 32 + number * 32, guid(key), offset, len(value), 0, 0)
        data[2 * _MIB + offset : 2 * _MIB + offset + len(value)] = value
    for number in range(used):
        struct.pack_into("<Q", data, 3 * _MIB + 8 * number, (3 << 20) | 6)
    return bytes(data)


LIST_OF_FILES = b"""# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="monolithicFlat"
# Extent description
RW 20480 FLAT "/etc/shadow" 0
"""
_DISK = b"\0" * 100_000
_EVERYTHING = (
    # qcow2
    ("qcow2-backing-file", qcow2(backing=b"/etc/shadow"), "qcow2", "image.backing_file"),
    ("qcow2-backing-json", qcow2(backing=b'json:{"driver":"file","filename":"/etc/shadow"}'), "qcow2", "image.backing_file"),
    ("qcow2-backing-nbd", qcow2(backing=b"nbd://127.0.0.1:10809/"), "qcow2", "image.backing_file"),
    ("qcow2-old-backing-file", qcow2(backing=b"/etc/shadow", version=2), "qcow2", "image.backing_file"),
    ("qcow2-data-file", qcow2(incompatible=0b100, data_file=b"/etc/shadow"), "qcow2", "image.data_file"),
    ("qcow2-data-file-bit", qcow2(incompatible=0b100), "qcow2", "image.data_file"),
    ("qcow2-data-file-name", qcow2(data_file=b"/dev/sda"), "qcow2", "image.data_file"),
    ("qcow2-unknown-features", qcow2(incompatible=1 << 40), "qcow2", "image.unknown_features"),
    ("qcow2-unknown-version", qcow2(version=9), "qcow2", "image.unknown_features"),
    ("qcow2-encrypted", qcow2(encrypted=2), "qcow2", "image.encrypted"),
    ("qcow2-of-an-exabyte", qcow2(virtual_size=1 << 60, cluster_bits=21, l1_size=1 << 21), "qcow2", "image.virtual_size"),
    ("qcow2-of-nothing", qcow2(virtual_size=0), "qcow2", "image.not_inspectable"),
    ("qcow2-bomb", qcow2_bomb(), "qcow2", "image.compressed_bomb"),
    ("qcow2-table-outside", qcow2(l1=(1 << 40,)), "qcow2", "image.not_inspectable"),
    ("qcow2-huge-first-table", qcow2(virtual_size=_GIB, l1_size=1 << 30), "qcow2", "image.not_inspectable"),
    ("qcow2-small-first-table", qcow2(virtual_size=_GIB, l1_size=1), "qcow2", "image.not_inspectable"),
    ("qcow2-clusters-of-no-size", qcow2(cluster_bits=63), "qcow2", "image.not_inspectable"),
    ("qcow2-cut", qcow2()[:60], "qcow2", "image.format_mismatch"),
    ("qcow2-cut-later", qcow2()[:1000], "qcow2", "image.not_inspectable"),
    # VMDK
    ("vmdk-list-of-files", LIST_OF_FILES, "vmdk", "image.foreign_extent"),
    ("vmdk-flat-extent", vmdk(extents=('RW 131072 FLAT "disk-flat.vmdk" 0',)), "vmdk", "image.foreign_extent"),
    ("vmdk-two-extents", vmdk(extents=('RW 1 SPARSE "a.vmdk"', 'RW 1 SPARSE "b.vmdk"')), "vmdk", "image.foreign_extent"),
    ("vmdk-extent-elsewhere", vmdk(extents=('RW 131072 SPARSE "../ab/other.vmdk"',)), "vmdk", "image.foreign_extent"),
    ("vmdk-flat-type", vmdk(kind="twoGbMaxExtentFlat"), "vmdk", "image.foreign_extent"),
    ("vmdk-no-data-of-its-own", vmdk(capacity=0), "vmdk", "image.foreign_extent"),
    ("vmdk-parent", vmdk(parent="/etc/shadow"), "vmdk", "image.backing_file"),
    ("vmdk-of-an-exabyte", vmdk(capacity=1 << 51), "vmdk", "image.virtual_size"),
    ("vmdk-bomb", vmdk(capacity=512 * 128 * 128, tables=128, used=512), "vmdk", "image.compressed_bomb"),
    ("vmdk-cut", b"KDMV" + b"\0" * 100_000, "vmdk", "image.foreign_extent"),
    # VDI
    ("vdi-parent", vdi(kind=4), "vdi", "image.backing_file"),
    ("vdi-parent-by-id", vdi(parent=b"\1" * 16), "vdi", "image.backing_file"),
    ("vdi-of-64-tebibytes", vdi(size=64 << 40, blocks=(0xFFFFFFFF,)), "vdi", "image.virtual_size"),
    ("vdi-bomb", vdi(size=4 * _GIB, blocks=(0,) * 4096), "vdi", "image.compressed_bomb"),
    ("vdi-unknown-type", vdi(kind=7), "vdi", "image.not_inspectable"),
    # VHDX
    ("vhdx-parent", vhdx(flags=2), "vhdx", "image.backing_file"),
    ("vhdx-bomb", vhdx(size=4 * _GIB, used=4096), "vhdx", "image.compressed_bomb"),
    ("vhdx-of-an-exabyte", vhdx(size=1 << 60, block=256 * _MIB), "vhdx", "image.virtual_size"),
    ("vhdx-blocks-of-no-size", vhdx(block=1), "vhdx", "image.not_inspectable"),
    ("vhdx-cut", vhdx()[:8192], "vhdx", "image.not_inspectable"),
    # What is not what it says
    ("qcow2-as-raw", qcow2(backing=b"/etc/shadow"), "raw", "image.format_mismatch"),
    ("qcow2-as-ami", qcow2(backing=b"/etc/shadow"), "ami", "image.format_mismatch"),
    ("qcow2-as-kernel", qcow2(backing=b"/etc/shadow"), "kernel", "image.format_mismatch"),
    ("vmdk-as-ramdisk", vmdk(parent="/etc/shadow"), "ramdisk", "image.format_mismatch"),
    ("vmdk-list-as-raw", LIST_OF_FILES, "raw", "image.format_mismatch"),
    ("vmdk-as-qcow2", vmdk(), "qcow2", "image.format_mismatch"),
    ("vdi-as-vhdx", vdi(), "vhdx", "image.format_mismatch"),
    ("raw-as-qcow2", _DISK, "qcow2", "image.format_mismatch"),
    ("qed-as-raw", b"QED\0" + _DISK, "raw", "image.format_mismatch"),
    ("vhd-as-raw", b"conectix" + _DISK, "raw", "image.format_mismatch"),
    ("gzip-as-qcow2", b"\x1f\x8b\x08" + _DISK, "qcow2", "image.format_mismatch"),
    ("two-formats-at-once", qcow2()[:32769] + b"CD001\1" + qcow2()[32775:], "qcow2", "image.format_mismatch"),
    ("nothing", b"", "raw", "image.empty"),
)


def every() -> list[Hostile]:
    """All of them."""
    return [Hostile(*each) for each in _EVERYTHING]


def build(folder: Path) -> Iterator[tuple[Path, Hostile]]:
    """Files of that folder, with what there is to say of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in every():
        path = folder / each.name
        path.write_bytes(each.data)
        yield path, each


def sound() -> list[tuple[str, str, bytes, int]]:
    """What is taken: name, format, data, bytes that a guest sees."""
    return [
        ("qcow2", "qcow2", qcow2(), 16 * _MIB), ("old-qcow2", "qcow2", qcow2(version=2), 16 * _MIB), ("vmdk", "vmdk", vmdk(tables=2), 64 * _MIB),
        ("vdi", "vdi", vdi(), 16 * _MIB), ("vhdx", "vhdx", vhdx(), 64 * _MIB), ("raw", "raw", _DISK, len(_DISK)),
        ("partitioned-raw", "raw", (b"\0" * 510 + b"\x55\xaa").ljust(1_000_000, b"\0"), 1_000_000), ("ami", "ami", _DISK, len(_DISK)),
        ("kernel", "kernel", b"\0" * 100, 100), ("ramdisk", "ramdisk", b"\x1f\x8b" + b"\0" * 100, 102),
    ]
