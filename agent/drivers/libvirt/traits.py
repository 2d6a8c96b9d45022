"""What guests on this host get, by the names that placement knows: of the processor, the machine and the disk below."""

import os
import platform
from pathlib import Path

from contracts.compute.v1 import DiskBus

# Flags of /proc/cpuinfo whose trait is HW_CPU_X86_ and the flag, without underscores.
_SAME = frozenset({
    "3dnow", "abm", "amx_bf16", "amx_int8", "amx_tile", "avx", "avx2", "avx512_bitalg", "avx512_vbmi2", "avx512_vnni",
    "avx512_vpopcntdq", "avx512bw", "avx512cd", "avx512dq", "avx512er", "avx512f", "avx512ifma", "avx512pf",
    "avx512vbmi", "avx512vl", "bmi2", "f16c", "fma4", "mmx", "mpx", "pdpe1gb", "sgx", "sse", "sse2", "sse4_1",
    "sse4_2", "sse4a", "ssse3", "stibp", "svm", "tbm", "vmx", "xop",
})
# Those that have another name.
_OTHERS = {
    "aes": "AESNI", "bmi1": "BMI", "fma": "FMA3", "gfni": "AVX512GFNI", "pclmulqdq": "CLMUL", "pni": "SSE3", "rtm": "TSX",
    "sha_ni": "SHA", "vaes": "AVX512VAES", "vpclmulqdq": "AVX512VPCLMULQDQ",
}
# What guests see under emulation does not depend on the host: this is what QEMU emulates.
_EMULATED = frozenset({"sse", "sse2", "pni", "ssse3", "sse4_1", "sse4_2", "mmx", "aes", "bmi1", "bmi2", "pclmulqdq"})
# What our driver gives to every guest, and takes as an image.
_DRIVER = (
    "COMPUTE_NODE", "COMPUTE_NET_VIF_MODEL_VIRTIO", "COMPUTE_NET_ATTACH_INTERFACE",
    "COMPUTE_IMAGE_TYPE_QCOW2", "COMPUTE_IMAGE_TYPE_RAW",
)


def traits(*, kvm: bool, uefi: bool, state_dir: Path) -> list[str]:
    """Of this host; `state_dir`: on the file system that guests' disks are on. `uefi`: it has such firmware."""
    machine = platform.machine().upper()
    found = {*_DRIVER, f"HW_ARCH_{machine}", f"COMPUTE_ARCH_{machine}"}
    found |= {f"COMPUTE_STORAGE_BUS_{bus.name}" for bus in buses(platform.machine())}
    if uefi:
        found.add("COMPUTE_FIRMWARE_UEFI")
    if machine == "X86_64":
        found.add("COMPUTE_FIRMWARE_BIOS")
    found.add("CUSTOM_HYPERVISOR_KVM" if kvm else "CUSTOM_HYPERVISOR_QEMU")
    found |= of_processor(cpu_flags(Path("/proc/cpuinfo")) if kvm else _EMULATED, machine)
    if _read(Path("/sys/devices/system/cpu/smt/active")) == "1":
        found.add("HW_CPU_HYPERTHREADING")
    if kind := disk_kind(state_dir):
        found.add(kind)
    return sorted(found)


def buses(arch: str) -> tuple[DiskBus, ...]:
    """Those on which guests here can have their disks."""
    return tuple(DiskBus) if arch == "x86_64" else (DiskBus.VIRTIO, DiskBus.SCSI)


def of_processor(flags: frozenset[str], machine: str = "X86_64") -> set[str]:
    """The traits of these flags; flags without one are left out."""
    if machine == "AARCH64":
        return {f"HW_CPU_AARCH64_{flag.upper()}" for flag in flags}
    same = {flag.replace("_", "").upper() for flag in flags & _SAME}
    return {f"HW_CPU_X86_{name}" for name in same | {_OTHERS[flag] for flag in flags & _OTHERS.keys()}}


def cpu_flags(cpuinfo: Path) -> frozenset[str]:
    """Of the first processor."""
    for line in cpuinfo.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def disk_kind(folder: Path, sys_block: Path = Path("/sys/dev/block")) -> str:
    """STORAGE_DISK_SSD or STORAGE_DISK_HDD, as the kernel says of the device below this folder; empty where it is none."""
    device = os.stat(folder).st_dev
    at = sys_block / f"{os.major(device)}:{os.minor(device)}"
    # A partition has no queue of its own; its disk is the folder above it.
    for queue in (at / "queue", at.resolve().parent / "queue"):
        if spins := _read(queue / "rotational"):
            return "STORAGE_DISK_HDD" if spins == "1" else "STORAGE_DISK_SSD"
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
