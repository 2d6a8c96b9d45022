"""Small decisions of the host's side: who can reach a folder, whether KVM counts."""

import errno
import os
from pathlib import Path

import pytest

from agent.drivers.base import DriverError
from agent.drivers.command import run
from agent.drivers.ids import checked
from agent.drivers.libvirt import disks, kvm
from agent.drivers.libvirt.folders import is_reachable
from contracts.compute.v1 import DiskFormat

NOBODY = (65534, 65534)


def test_below_a_private_folder_nobody_else_gets(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    below = tmp_path / "a"
    below.mkdir()
    owner = (tmp_path.stat().st_uid, tmp_path.stat().st_gid)
    assert not is_reachable(below, (owner[0] + 12345, owner[1] + 12345))
    assert is_reachable(below, (0, 0))


@pytest.mark.parametrize("text", ["", "x", "../x", "{00000000-0000-0000-0000-000000000001}", "0" * 32])
def test_only_a_uuid_in_canonical_form_is_an_id(text: str) -> None:
    with pytest.raises(DriverError):
        checked(text, "instance")


def test_a_program_that_fails_takes_too_long_or_is_missing_is_an_error_of_the_driver() -> None:
    for command in (["false"], ["sleep", "5"], ["cloudsite-no-such-program"]):
        with pytest.raises(DriverError) as caught:
            run(*command, code="some.code", timeout_s=0.2)
        assert caught.value.code == "some.code"


def test_an_image_is_linked_and_not_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "image", tmp_path / "base"
    source.write_bytes(b"x")
    for _ in range(2):
        disks.link(source, target)
    assert target.samefile(source) and source.stat().st_nlink == 2


def test_where_it_has_to_be_copied_an_image_is_copied_while_it_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_file_system(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(Path, "hardlink_to", other_file_system)
    source, target = tmp_path / "image", tmp_path / "base"
    source.write_bytes(b"x" * 1000)
    with pytest.raises(DriverError) as caught:
        disks.link(source, target, lambda: True)
    assert (caught.value.code, target.exists()) == ("command.superseded", False)
    disks.link(source, target)
    assert target.read_bytes() == b"x" * 1000


def test_a_disk_smaller_than_its_image_is_refused(tmp_path: Path) -> None:
    base = tmp_path / "base"
    with base.open("wb") as file:
        file.truncate(2 * disks.GIB + 1)
    with pytest.raises(DriverError) as caught:
        disks.ensure_overlay(tmp_path / "disk", base, DiskFormat.RAW, disk_gb=2, owner=NOBODY)
    assert (caught.value.code, caught.value.retryable) == ("disk.too_small", False)
    assert "needs 3 GiB of disk, the flavor has 2" in str(caught.value)


def test_kvm_is_probed_once_per_boot_and_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probes: list[str] = []

    def probe(emulator: str, owner: tuple[int, int]) -> tuple[bool, str]:
        probes.append(emulator)
        return True, "it ran"

    monkeypatch.setattr(kvm, "probe", probe)
    assert [kvm.works(tmp_path, "qemu", version, NOBODY) for version in ("1", "1", "2", "2")] == [True] * 4
    monkeypatch.setattr(kvm, "_boot_id", lambda: "another boot")
    kvm.works(tmp_path, "qemu", "2", NOBODY)
    assert len(probes) == 3


def test_without_the_device_there_is_no_kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "DEVICE", tmp_path / "kvm")
    assert kvm.probe("qemu", NOBODY) == (False, f"{tmp_path / 'kvm'} is absent")


def test_the_probe_guest_is_a_boot_sector() -> None:
    assert len(kvm._BOOT_CODE) <= 510
    assert kvm.LINE in kvm._BOOT_CODE
