"""What the host has to give, as placement counts it, and how busy it is."""

import os
from pathlib import Path


def inventory(state_dir: Path) -> dict[str, int]:
    """VCPU (threads), MEMORY_MB (MiB), DISK_GB (GiB of the file system that holds `state_dir`)."""
    disk = os.statvfs(state_dir)
    return {
        "VCPU": os.cpu_count() or 1,
        "MEMORY_MB": _memory_mb(),
        "DISK_GB": disk.f_blocks * disk.f_frsize >> 30,
    }


def load_percent() -> int:
    """Of all processors, over the last minute; more than 100 where work waits for one."""
    return round(100 * os.getloadavg()[0] / (os.cpu_count() or 1))


def _memory_mb() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 0
