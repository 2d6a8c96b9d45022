"""What a host says that its guests get: names that placement knows, from what the kernel says."""

import os
from pathlib import Path

import os_traits
import pytest

from agent.drivers.libvirt import inventory, traits

STANDARD = frozenset(os_traits.get_traits())


def cpuinfo(folder: Path, flags: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(f"processor\t: 0\nmodel name\t: some\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t\t: other\n")
    return path


def test_flags_of_the_first_processor_become_the_names_of_the_field(tmp_path: Path) -> None:
    flags = traits.cpu_flags(cpuinfo(tmp_path, "fpu sse4_1 pni avx2 avx512_vnni sha_ni fma bmi1 svm amx_bf16 hypervisor"))
    assert {name.removeprefix("HW_CPU_X86_") for name in traits.of_processor(flags)} == {
        "SSE41", "SSE3", "AVX2", "AVX512VNNI", "SHA", "FMA3", "BMI", "SVM", "AMXBF16",
    }


def test_every_flag_that_is_known_has_a_standard_trait() -> None:
    found = traits.of_processor(traits._SAME | frozenset(traits._OTHERS))
    assert found <= STANDARD and len(found) > 45


@pytest.mark.parametrize("kvm", [True, False], ids=["kvm", "emulated"])
def test_a_host_says_only_standard_names_and_which_hypervisor_it_has(tmp_path: Path, kvm: bool) -> None:
    found = set(traits.traits(kvm=kvm, uefi=False, state_dir=tmp_path))
    assert found - STANDARD == {"CUSTOM_HYPERVISOR_KVM" if kvm else "CUSTOM_HYPERVISOR_QEMU"}
    machine = os.uname().machine.upper()
    assert {f"HW_ARCH_{machine}", f"COMPUTE_ARCH_{machine}", "COMPUTE_NODE", "COMPUTE_STORAGE_BUS_VIRTIO"} <= found


def test_under_emulation_guests_get_what_qemu_emulates_whatever_the_host_has(tmp_path: Path) -> None:
    found = set(traits.traits(kvm=False, uefi=False, state_dir=tmp_path))
    assert "HW_CPU_X86_SSE42" in found and "HW_CPU_X86_AVX2" not in found and "HW_CPU_X86_AVX512F" not in found


@pytest.mark.parametrize(("spins", "kind"), [("1", "STORAGE_DISK_HDD"), ("0", "STORAGE_DISK_SSD"), ("", "")], ids=["hdd", "ssd", "none"])
@pytest.mark.parametrize("on_partition", [True, False], ids=["partition", "disk"])
def test_the_kind_of_disk_is_that_of_the_device_below_the_folder(tmp_path: Path, spins: str, kind: str, on_partition: bool) -> None:
    device = os.stat(tmp_path).st_dev
    disk = tmp_path / "devices" / "sda"
    below = disk / "sda1" if on_partition else disk
    below.mkdir(parents=True)
    if spins:
        (disk / "queue").mkdir()
        (disk / "queue" / "rotational").write_text(f"{spins}\n")
    sys_block = tmp_path / "block"
    sys_block.mkdir()
    (sys_block / f"{os.major(device)}:{os.minor(device)}").symlink_to(below)
    assert traits.disk_kind(tmp_path, sys_block) == kind


def test_load_is_of_all_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0, 9.0, 9.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert inventory.load_percent() == 75
