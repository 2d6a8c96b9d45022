"""Resource classes by name."""

from typing import Final

VCPU: Final = "VCPU"
MEMORY_MB: Final = "MEMORY_MB"
DISK_GB: Final = "DISK_GB"
# How far each class may be overcommitted unless an operator says otherwise.
DEFAULT_RATIOS: Final = {VCPU: 4.0, MEMORY_MB: 1.0, DISK_GB: 1.0}
