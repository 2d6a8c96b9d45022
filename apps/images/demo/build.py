"""The steps from Debian's packages to the demo guest in both its forms: a disk, and a kernel with its ramdisk."""

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from apps.images.demo import archive, disk, packages, qcow2
from apps.images.demo.errors import DemoImageError
from apps.images.demo.modules import ModuleTree

# Quick and readable under software emulation. quiet, loglevel=1: no kernel message in the middle of our lines.
# nokaslr, mitigations=off, cryptomgr.notests: together half a second less; the guest has nothing to protect.
# no_timer_check: on a host under load the check may miss the timer's interrupts, and the kernel would panic.
COMMAND_LINE = "console=ttyS0 quiet loglevel=1 nokaslr mitigations=off cryptomgr.notests no_timer_check"

# /init loads group by group, but for the files, which are for scripts that want to keep something on the disk, or talk to the
# host as a guest agent does. Only the first names are wished for, their needs come along by themselves.
MODULES = {
    "disk": ("virtio_pci", "virtio_blk", "isofs"),
    "net": ("virtio_net", "af_packet"),
    "power": ("button", "evdev"),
    "files": ("crc32c_generic", "ext4", "virtio_console"),
}
# Small files of the guest: path, content, executable.
_SETTINGS = (
    ("etc/acpi/PWRF/00000080", b"#!/bin/sh\nexec poweroff -f\n", True),
    ("etc/group", b"root:x:0:\n", False),
    ("etc/inittab", b"ttyS0::respawn:-/bin/sh\n::ctrlaltdel:reboot -f\n", False),
    ("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n", False),
    # -f still writes all data out; without it, init would wait two seconds for processes to end.
    ("etc/profile", b"alias poweroff='poweroff -f' reboot='reboot -f' halt='halt -f'\n", False),
)
_FOLDERS = ("dev", "proc", "run/config", "sys", "tmp", "mnt", "var/lib/dhcpv6")
# Path in the guest, path in the packages: the one program that is not BusyBox, and what it is linked with.
_PROGRAMS = (
    ("bin/dhcp6c", "usr/sbin/dhcp6c"),
    ("lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
    ("lib/x86_64-linux-gnu/libc.so.6", "lib/x86_64-linux-gnu/libc.so.6"),
    ("lib/x86_64-linux-gnu/libfl.so.2", "usr/lib/x86_64-linux-gnu/libfl.so.2.0.0"),
)
_SOURCES = Path(__file__).parent


@dataclass(frozen=True)
class DemoImage:
    """The finished files in one folder. `version` changes whenever their bytes may."""

    disk: Path
    kernel: Path
    ramdisk: Path
    version: str


def build(target: Path, *, progress: Callable[[str], None] = lambda _: None, cache: Path | None = None) -> DemoImage:
    """Make the image in the folder `target`, or return what is there if it is already of this version.

    Downloads some 30 MB of packages into `cache`, by default a folder that is removed afterwards. Needs apt, dpkg and
    no privilege. Raises DemoImageError (PackagesUnknown if the package lists are empty); files that an earlier build
    left are then untouched.
    """
    needed = packages.resolve()
    version = version_of(needed, _source_files())
    present = existing(target)
    if present and present.version == version:
        progress(f"{target} holds version {version} already")
        return present
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=target) as name:
        work = Path(name)
        debs = cache or work / "debs"
        debs.mkdir(parents=True, exist_ok=True)
        files = packages.fetch(needed, debs, progress)
        progress("unpacking")
        packages.unpack(files, work / "root")
        _make(work, progress)
        return _publish(work, target, version)


def existing(target: Path) -> DemoImage | None:
    """The image that an earlier `build` finished in `target`, whatever its version; None if there is none."""
    image = _image(target, "")
    paths = (image.disk, image.kernel, image.ramdisk, target / "version")
    if not all(path.is_file() for path in paths):
        return None
    return _image(target, (target / "version").read_text().strip())


def version_of(needed: Iterable[packages.Package], sources: Iterable[tuple[str, bytes]]) -> str:
    """16 hexadecimal digits that stand for the packages and the builder's own (name, content) files, in any order."""
    lines = [f"package {package.name} {package.version} {package.sha256}" for package in needed]
    lines += [f"source {name} {hashlib.sha256(content).hexdigest()}" for name, content in sources]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


def ramdisk(root: Path) -> bytes:
    """The initramfs out of the unpacked packages: BusyBox, a DHCPv6 client, the modules, /init. Raises DemoImageError."""
    busybox = disk.find(root, "bin/busybox")
    applets = packages.run([str(busybox), "--list"]).split()
    return archive.pack(
        [
            *(archive.folder(name) for name in _FOLDERS),
            archive.character_device("dev/console", 5, 1),
            archive.file("init", (_SOURCES / "init.sh").read_bytes(), executable=True),
            archive.file("bin/busybox", busybox.read_bytes(), executable=True),
            *(archive.link(f"bin/{name}", "busybox") for name in applets if name != "busybox"),
            *(archive.file(path, disk.find(root, source).read_bytes(), executable=True) for path, source in _PROGRAMS),
            archive.file("lib/metadata.awk", (_SOURCES / "metadata.awk").read_bytes()),
            *(archive.file(path, content, executable=executable) for path, content, executable in _SETTINGS),
            *_module_files(root),
        ]
    )


def _module_files(root: Path) -> Iterable[archive.Entry]:
    lists = sorted((root / "lib/modules").glob("*/modules.builtin"))
    if len(lists) != 1:
        raise DemoImageError(f"the kernel package holds modules of {len(lists)} kernels, expected one")
    tree, loaded = ModuleTree(lists[0].parent), set[str]()
    for group, wanted in MODULES.items():
        for number, module in enumerate(tree.closure(wanted, loaded=loaded)):
            yield archive.file(f"lib/modules/{group}/{number:02}-{module.name}.ko", module.content)


def _make(work: Path, progress: Callable[[str], None]) -> None:
    root, made = work / "root", _image(work, "")
    kernels = sorted((root / "boot").glob("vmlinuz-*"))
    if len(kernels) != 1:
        raise DemoImageError(f"the kernel package holds {len(kernels)} kernels, expected one")
    kernels[0].replace(made.kernel)
    progress("packing the ramdisk")
    made.ramdisk.write_bytes(ramdisk(root))
    progress("assembling the disk")
    scratch = work / "scratch"
    scratch.mkdir()
    raw = disk.assemble(disk.BootFiles(made.kernel, made.ramdisk, COMMAND_LINE), root, scratch)
    made.disk.write_bytes(qcow2.encode(raw))


def _publish(work: Path, target: Path, version: str) -> DemoImage:
    """Move the files over; `version` goes first and comes last, so a folder that has one is whole."""
    (target / "version").unlink(missing_ok=True)
    made, image = _image(work, version), _image(target, version)
    for source, path in ((made.disk, image.disk), (made.kernel, image.kernel), (made.ramdisk, image.ramdisk)):
        source.chmod(0o644)
        source.replace(path)
    (work / "version").write_text(version + "\n")
    (work / "version").replace(target / "version")
    return image


def _image(folder: Path, version: str) -> DemoImage:
    return DemoImage(folder / "demo.qcow2", folder / "demo-vmlinuz", folder / "demo-initrd", version)


def _source_files() -> list[tuple[str, bytes]]:
    paths = [path for path in _SOURCES.iterdir() if path.suffix in {".py", ".sh", ".awk"}]
    return [(path.name, path.read_bytes()) for path in paths]
