"""The demo image's pure parts: archive, disk layout, qcow2 file, module order, version, the guest's JSON reader."""

import json
import shutil
import stat
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from apps.images.demo import DemoImageError, PackagesUnknown, archive, disk, existing, modules, packages, qcow2
from apps.images.demo.build import _source_files, build, version_of

PACKAGE = packages.Package("syslinux", "3:6.04+dfsg1-3+b1", "amd64", "00" * 32, 1000)


def members(content: bytes) -> list[tuple[str, int, bytes, bytes]]:
    """Path, mode, content and raw header of each member, as a reader that knows nothing of the writer sees them."""
    found: list[tuple[str, int, bytes, bytes]] = []
    at = 0
    while True:
        header = content[at : at + 110]
        assert header[:6] == b"070701"
        fields = [int(header[6 + 8 * number : 14 + 8 * number], 16) for number in range(13)]
        name_end = at + 110 + fields[11]
        path = content[at + 110 : name_end - 1].decode()
        start = name_end + -name_end % 4
        if path == "TRAILER!!!":
            return found
        found.append((path, fields[1], content[start : start + fields[6]], header))
        at = start + fields[6] + -fields[6] % 4


def test_an_archive_holds_what_was_put_in_and_its_folders_first() -> None:
    packed = archive.pack([archive.file("a/b/c", b"12345", executable=True), archive.link("a/l", "b/c")])
    found = [(path, mode, content) for path, mode, content, _ in members(packed)]
    assert found == [
        ("a", stat.S_IFDIR | 0o755, b""),
        ("a/b", stat.S_IFDIR | 0o755, b""),
        ("a/b/c", stat.S_IFREG | 0o755, b"12345"),
        ("a/l", stat.S_IFLNK | 0o777, b"b/c"),
    ]


def test_an_archive_knows_no_owner_and_no_time() -> None:
    [(_, _, _, header)] = members(archive.pack([archive.file("x", b"")]))
    uid, gid, mtime = header[22:30], header[30:38], header[46:54]
    assert (uid, gid, mtime) == (b"00000000", b"00000000", b"00000000")


def test_a_device_node_carries_its_numbers() -> None:
    found = members(archive.pack([archive.character_device("dev/console", 5, 1)]))
    assert stat.S_ISCHR(found[-1][1])
    assert (found[-1][3][78:86], found[-1][3][86:94]) == (b"00000005", b"00000001")


def test_an_archive_is_padded_and_equal_for_equal_input() -> None:
    entries = [archive.folder("dev"), archive.file("dev/x", b"1" * 777)]
    assert archive.pack(entries) == archive.pack(entries)
    assert len(archive.pack(entries)) % 512 == 0


@pytest.mark.parametrize("paths", [("a", "a"), ("/a",)])
def test_an_archive_refuses_paths_twice_or_absolute(paths: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="twice or absolute"):
        archive.pack([archive.file(path, b"") for path in paths])


def test_the_boot_record_has_one_active_partition() -> None:
    record = disk.master_boot_record(b"\xfa\xeb", 2048, 40960)
    assert len(record) == 512
    assert record[:2] == b"\xfa\xeb"
    assert record[510:] == b"\x55\xaa"
    active, kind, first, sectors = struct.unpack("<B3xB3xII", record[446:462])
    assert (active, kind, first, sectors) == (0x80, 0x0E, 2048, 40960)
    assert record[462:510] == bytes(48)


def test_boot_code_that_would_cover_the_partition_table_is_refused() -> None:
    with pytest.raises(ValueError, match="441 bytes"):
        disk.master_boot_record(bytes(441), 2048, 1)


def decode_qcow2(content: bytes) -> bytes:
    magic, version, backing = struct.unpack_from(">4sIQ", content)
    assert (magic, version, backing) == (b"QFI\xfb", 3, 0)
    size, _, l1_entries, l1_offset = struct.unpack_from(">QIIQ", content, 24)
    raw = bytearray()
    for l1 in struct.unpack_from(f">{l1_entries}Q", content, l1_offset):
        for entry in struct.unpack_from(">8192Q", content, l1 & ~(1 << 63)):
            offset = entry & ~(1 << 63)
            raw += content[offset : offset + 65536] if offset else bytes(65536)
    return bytes(raw[:size])


@pytest.mark.parametrize("sectors", [1, 128, 129, 3 * 128])
def test_a_qcow2_file_gives_the_disk_back(sectors: int) -> None:
    raw = b"".join(bytes([number % 251 + 1]) * 512 for number in range(sectors))
    assert decode_qcow2(qcow2.encode(raw)) == raw


def test_zeros_take_no_space_in_a_qcow2_file() -> None:
    raw = bytes(64 << 20) + b"end".ljust(512, b"\0")
    assert decode_qcow2(qcow2.encode(raw)) == raw
    assert len(qcow2.encode(raw)) == 6 * qcow2.CLUSTER_BYTES


def test_a_disk_of_odd_size_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number of sectors"):
        qcow2.encode(b"x")


def kernel_modules(folder: Path, needs: dict[str, str]) -> modules.ModuleTree:
    (folder / "kernel").mkdir()
    for name, depends in needs.items():
        (folder / "kernel" / f"{name}.ko").write_bytes(b"\x7fELF\0depends=" + depends.encode() + b"\0name=x\0")
    (folder / "modules.builtin").write_text("kernel/net/packet/af_packet.ko\n")
    return modules.ModuleTree(folder)


def test_modules_are_loaded_after_what_they_need_and_once(tmp_path: Path) -> None:
    needs = {"ring": "", "virtio": "ring", "pci-dev": "", "net": "virtio,pci-dev", "blk": "ring"}
    tree = kernel_modules(tmp_path, needs)
    loaded: set[str] = set()
    first = [module.name for module in tree.closure(("net",), loaded=loaded)]
    assert first == ["ring", "virtio", "pci_dev", "net"]
    assert [module.name for module in tree.closure(("blk", "af_packet"), loaded=loaded)] == ["blk"]


def test_a_module_that_the_kernel_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(DemoImageError, match="no module floppy"):
        kernel_modules(tmp_path, {}).closure(("floppy",), loaded=set())


def test_the_version_is_stable_and_ignores_order() -> None:
    other = replace(PACKAGE, name="mtools")
    sources = [("init.sh", b"1"), ("build.py", b"2")]
    version = version_of([PACKAGE, other], sources)
    assert version == version_of([other, PACKAGE], sources[::-1])
    assert len(version) == 16
    assert int(version, 16) >= 0


def test_the_version_changes_with_a_package_and_with_a_source() -> None:
    sources = [("init.sh", b"1")]
    versions = {
        version_of([PACKAGE], sources),
        version_of([replace(PACKAGE, version="4")], sources),
        version_of([replace(PACKAGE, sha256="11" * 32)], sources),
        version_of([PACKAGE], [("init.sh", b"2")]),
        version_of([PACKAGE], [("init", b"1")]),
    }
    assert len(versions) == 5


def test_an_unfinished_folder_holds_no_image(tmp_path: Path) -> None:
    for name in ("demo.qcow2", "demo-vmlinuz", "demo-initrd"):
        (tmp_path / name).write_bytes(b"x")
    assert existing(tmp_path) is None
    (tmp_path / "version").write_text("0123456789abcdef\n")
    image = existing(tmp_path)
    assert image is not None
    assert image.version == "0123456789abcdef"
    assert image.kernel == tmp_path / "demo-vmlinuz"


def test_a_build_of_the_same_version_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "resolve", lambda: [PACKAGE])
    monkeypatch.setattr(packages, "fetch", lambda *_: pytest.fail("downloaded"))
    for name in ("demo.qcow2", "demo-vmlinuz", "demo-initrd"):
        (tmp_path / name).write_bytes(b"x")
    version = version_of([PACKAGE], _source_files())
    (tmp_path / "version").write_text(version)
    assert build(tmp_path).version == version


def test_a_package_file_is_named_as_apt_names_it() -> None:
    assert PACKAGE.file_name == "syslinux_3%3a6.04+dfsg1-3+b1_amd64.deb"


def fake_apt(monkeypatch: pytest.MonkeyPatch, records: str) -> None:
    answers = {"dpkg": "amd64\n", "apt-cache": records}
    monkeypatch.setattr(packages, "run", lambda command, **_: answers[command[0]])


def test_the_kernel_is_found_through_its_meta_package(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = "linux-image-6.1.0-56-cloud-amd64"
    names = (packages.KERNEL_META, kernel, *packages.TOOLS)
    record = "Package: {}\nVersion: 1\nArchitecture: amd64\nDepends: {} (= 1)\nSize: 7\nSHA256: ab\n"
    fake_apt(monkeypatch, "\n".join(record.format(name, kernel) for name in names))
    monkeypatch.setattr(packages, "_kernel_name", lambda: kernel)
    assert [package.name for package in packages.resolve()] == [kernel, *packages.TOOLS]


def test_a_package_that_is_only_installed_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_apt(monkeypatch, f"Package: {packages.KERNEL_META}\nVersion: 1\nStatus: install ok installed\n")
    with pytest.raises(PackagesUnknown, match="apt-get update"):
        packages.resolve()


def test_empty_package_lists_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: object) -> str:
        if command[0] == "dpkg":
            return "amd64\n"
        raise DemoImageError("E: No packages found")

    monkeypatch.setattr(packages, "run", run)
    with pytest.raises(PackagesUnknown, match="run 'apt-get update' first"):
        packages.resolve()


def test_another_architecture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "run", lambda *_, **__: "arm64\n")
    with pytest.raises(DemoImageError, match="this machine is arm64"):
        packages.resolve()


def read_metadata(text: str) -> list[str]:
    awk = shutil.which("awk")
    if awk is None:
        pytest.skip("no awk here")
    program = Path(packages.__file__).parent / "metadata.awk"
    result = subprocess.run([awk, "-f", str(program)], input=text, capture_output=True, text=True, check=True)
    return result.stdout.splitlines()


def test_the_guest_finds_its_data_whatever_the_order_and_the_spaces() -> None:
    metadata = {
        "meta": {"uuid": "not this", 'hostname"}': "x\\", "deep": {"public_keys": {"no": "no"}}},
        "list": ["uuid", {"uuid": "nor this"}, []],
        "launch_index": 0,
        "empty": "",
        "public_keys": {'k"1': "ssh-rsa AAAA me@home\n", "k2": "ssh-rsa BBBB a\n\nssh-rsa CCCC b"},
        "uuid": "83679162-1378-4288-a2d4-70e13ec132aa",
        "name": "n",
        "hostname": "h.example",
    }
    expected = [
        "key\tssh-rsa AAAA me@home",
        "key\tssh-rsa BBBB a",
        "key\tssh-rsa CCCC b",
        "uuid\t83679162-1378-4288-a2d4-70e13ec132aa",
        "name\tn",
        "hostname\th.example",
    ]
    for options in ({}, {"indent": 4}, {"separators": (" ,\t", " :\r\n ")}, {"separators": (",", ":")}):
        assert read_metadata(json.dumps(metadata, **options)) == expected


def test_what_a_tenant_wrote_cannot_draw_on_the_console() -> None:
    metadata = {"name": 'a\u001b[2J\r\nb\t"c"\\nd/', "public_keys": {"k": "ssh-rsa AAAA \u00e9\u20ac\U0001f600\u0007"}}
    assert read_metadata(json.dumps(metadata)) == ['name\ta?[2J  b "c"\\nd/', "key\tssh-rsa AAAA é€???"]
    assert read_metadata('{"name": "a\\/b"}') == ["name\ta/b"]
