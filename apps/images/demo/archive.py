"""The initramfs archive (cpio, "newc" format), written here so that equal input gives equal bytes.

No compression: under software emulation the boot loader copies faster than the kernel unpacks, see `build`.
"""

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

_TRAILER = "TRAILER!!!"
_BLOCK_BYTES = 512


@dataclass(frozen=True)
class Entry:
    """One member: `mode` holds type and permissions, `device` major and minor of a device node."""

    path: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def file(path: str, content: bytes, *, executable: bool = False) -> Entry:
    """A regular file, readable by all."""
    return Entry(path, stat.S_IFREG | (0o755 if executable else 0o644), content)


def link(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def folder(path: str) -> Entry:
    """A directory; those that other members need are added by `pack` itself."""
    return Entry(path, stat.S_IFDIR | 0o755)


def character_device(path: str, major: int, minor: int) -> Entry:
    """A device node for root alone; only the archive holds it, so making it takes no privilege."""
    return Entry(path, stat.S_IFCHR | 0o600, device=(major, minor))


def pack(entries: Iterable[Entry]) -> bytes:
    """The archive as bytes: missing parent folders first, all owned by root, no times, padded to 512 bytes.

    Raises ValueError if a path occurs twice or is absolute.
    """
    archive = bytearray()
    for inode, entry in enumerate(_with_parents(list(entries)), start=1):
        _append(archive, entry, inode)
    _append(archive, Entry(_TRAILER, 0), 0)
    return bytes(archive.ljust(-(-len(archive) // _BLOCK_BYTES) * _BLOCK_BYTES, b"\0"))


def _with_parents(entries: list[Entry]) -> Iterator[Entry]:
    seen: set[str] = set()
    own = {entry.path for entry in entries if stat.S_ISDIR(entry.mode)}
    for entry in entries:
        for parent in reversed(PurePosixPath(entry.path).parents[:-1]):
            if str(parent) not in seen and str(parent) not in own:
                seen.add(str(parent))
                yield folder(str(parent))
        if entry.path in seen or entry.path.startswith("/"):
            raise ValueError(f"{entry.path}: given twice or absolute")
        seen.add(entry.path)
        yield entry


def _append(archive: bytearray, entry: Entry, inode: int) -> None:
    name = entry.path.encode() + b"\0"
    owner, group, links, mtime, checksum = 0, 0, 1, 0, 0
    on_device = (0, 0)
    fields = (
        inode,
        entry.mode,
        owner,
        group,
        links,
        mtime,
        len(entry.content),
        *on_device,
        *entry.device,
        len(name),
        checksum,
    )
    archive += b"070701" + b"".join(b"%08X" % field for field in fields) + name
    archive += bytes(-len(archive) % 4)
    archive += entry.content
    archive += bytes(-len(archive) % 4)
