"""What the host has to give, as placement counts it."""

import os
from pathlib import Path

# os-traits' names for flags of /proc/cpuinfo.
_TRAITS = {
    "sse4_1": "HW_CPU_X86_SSE41",
    "sse4_2": "HW_CPU_X86_SSE42",
    "aes": "HW_CPU_X86_AESNI",
    "avx": "HW_CPU_X86_AVX",
    "avx2": "HW_CPU_X86_AVX2",
    "bmi1": "HW_CPU_X86_BMI",
    "bmi2": "HW_CPU_X86_BMI2",
    "f16c": "HW_CPU_X86_F16C",
    "fma": "HW_CPU_X86_FMA3",
    "sha_ni": "HW_CPU_X86_SHA",
    "avx512f": "HW_CPU_X86_AVX512F",
    "svm": "HW_CPU_X86_SVM",
    "vmx": "HW_CPU_X86_VMX",
}
# What guests see under emulation does not depend on the host: this is what QEMU emulates.
_EMULATED = frozenset({"sse4_1", "sse4_2", "aes", "bmi1", "bmi2"})


def inventory(state_dir: Path) -> dict[str, int]:
    """VCPU (threads), MEMORY_MB (MiB), DISK_GB (GiB of the file system that holds `state_dir`)."""
    disk = os.statvfs(state_dir)
    return {
        "VCPU": os.cpu_count() or 1,
        "MEMORY_MB": _memory_mb(),
        "DISK_GB": disk.f_blocks * disk.f_frsize >> 30,
    }


def traits(*, kvm: bool) -> list[str]:
    """What guests here can do."""
    flags = cpu_flags(Path("/proc/cpuinfo")) if kvm else _EMULATED
    found = {trait for flag, trait in _TRAITS.items() if flag in flags}
    return sorted(found | {"CUSTOM_VIRT_KVM" if kvm else "CUSTOM_VIRT_TCG"})


def cpu_flags(cpuinfo: Path) -> frozenset[str]:
    for line in cpuinfo.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return frozenset()


def _memory_mb() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 0
