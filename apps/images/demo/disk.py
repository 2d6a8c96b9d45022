"""The bootable disk: MBR, one FAT partition with SYSLINUX, kernel and initramfs.

Made as plain files by Debian's own tools from their unpacked packages: no mount, no loop device, no root.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from apps.images.demo.errors import DemoImageError
from apps.images.demo.packages import run

SECTOR_BYTES = 512
FIRST_SECTOR = 2048  # partitions begin at 1 MiB, as everywhere
_BOOT_CODE_BYTES = 440
_FAT16_LBA = 0x0E
_NO_CHS = b"\xfe\xff\xff"  # "beyond what cylinders can say, use the sector numbers"
_CLUSTER_SECTORS = 8
_MIB = 1 << 20
_OVERHEAD_BYTES = _MIB  # both FATs, root directory, ldlinux.sys, ldlinux.c32
_LEAST_BYTES = 20 * _MIB  # FAT16 has at least 4085 clusters; fewer would make it FAT12
_SERIAL = "c10d517e"
_EPOCH = "315619200"  # 1980-01-02, in the first days that FAT can tell, whatever the time zone
_MENU = """\
DEFAULT demo
PROMPT 0
TIMEOUT 0
LABEL demo
LINUX /vmlinuz
INITRD /initrd
APPEND {command_line}
"""


@dataclass(frozen=True)
class BootFiles:
    """What the disk boots, and the kernel's command line."""

    kernel: Path
    ramdisk: Path
    command_line: str


def assemble(boot: BootFiles, tools: Path, work: Path) -> bytes:
    """The whole raw disk. `tools` is where the packages are unpacked, `work` an empty folder for intermediate files.

    Raises DemoImageError if a tool fails or is missing.
    """
    filesystem = _filesystem(boot, tools, work)
    code = find(tools, "usr/lib/syslinux/mbr/mbr.bin").read_bytes()
    record = master_boot_record(code, FIRST_SECTOR, len(filesystem) // SECTOR_BYTES)
    return record.ljust(FIRST_SECTOR * SECTOR_BYTES, b"\0") + filesystem


def master_boot_record(code: bytes, first_sector: int, sectors: int) -> bytes:
    """The first sector: boot code and one active FAT16 partition. Raises ValueError if the code is too long."""
    if len(code) > _BOOT_CODE_BYTES:
        raise ValueError(f"boot code of {len(code)} bytes, {_BOOT_CODE_BYTES} fit")
    partition = struct.pack("<B3sB3sII", 0x80, _NO_CHS, _FAT16_LBA, _NO_CHS, first_sector, sectors)
    table = partition.ljust(64, b"\0")
    return code.ljust(446, b"\0") + table + b"\x55\xaa"


def find(root: Path, path: str) -> Path:
    """A file of an unpacked package. Raises DemoImageError if it is not where Debian 12 puts it."""
    if not (root / path).is_file():
        raise DemoImageError(f"the packages hold no /{path}")
    return root / path


def _filesystem(boot: BootFiles, tools: Path, work: Path) -> bytes:
    image, menu = work / "boot.fat", work / "syslinux.cfg"
    menu.write_text(_MENU.format(command_line=boot.command_line))
    contents = boot.kernel.stat().st_size + boot.ramdisk.stat().st_size + _OVERHEAD_BYTES
    size = max(_LEAST_BYTES, -(-contents // _MIB) * _MIB)
    image.write_bytes(bytes(size))
    environment = _environment(tools, work)

    def tool(*command: str) -> None:
        run([str(find(tools, f"usr/bin/{command[0]}")), *command[1:]], cwd=work, environment=environment)

    geometry = ["-h", "16", "-s", "63", "-T", str(size // SECTOR_BYTES), "-H", str(FIRST_SECTOR)]
    tool("mformat", "-i", image.name, "-N", _SERIAL, "-c", str(_CLUSTER_SECTORS), *geometry, "::")
    for source, name in ((menu, "syslinux.cfg"), (boot.kernel, "vmlinuz"), (boot.ramdisk, "initrd")):
        tool("mcopy", "-i", image.name, str(source), f"::{name}")
    tool("syslinux", "--install", image.name)
    return image.read_bytes()


def _environment(tools: Path, work: Path) -> dict[str, str]:
    """SYSLINUX calls mtools by name; neither may see the user's settings, or the clock."""
    return {
        "PATH": f"{tools / 'usr/bin'}:/usr/bin:/bin",
        "HOME": str(work),
        "TMPDIR": str(work),
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": _EPOCH,
    }
