"""Resource classes and traits by name: the standard ones are those of OpenStack's own lists, `CUSTOM_…` are in the tables."""

import re
from functools import cache
from typing import Final

import os_resource_classes
import os_traits

VCPU: Final = "VCPU"
MEMORY_MB: Final = "MEMORY_MB"
DISK_GB: Final = "DISK_GB"
# Providers with it give to all others that share an aggregate with them.
SHARING: Final = "MISC_SHARES_VIA_AGGREGATE"
# Types of consumers: what our instances are, and what those are that did not say.
INSTANCE: Final = "INSTANCE"
UNKNOWN: Final = "unknown"
# Owner of what was claimed by a client so old that it names none.
NOBODY: Final = "00000000-0000-0000-0000-000000000000"
# How far each class may be overcommitted unless an operator says otherwise.
DEFAULT_RATIOS: Final = {VCPU: 4.0, MEMORY_MB: 1.0, DISK_GB: 1.0}
# The largest total, unit or step that the Placement API takes; hosts report any that fit a column.
MAX_INT: Final = 2**31 - 1
_CUSTOM = re.compile(r"CUSTOM_[A-Z0-9_]+")


@cache
def standard_classes() -> tuple[str, ...]:
    """In the order of OpenStack's list, which numbers them by it."""
    return tuple(os_resource_classes.STANDARDS)


@cache
def standard_traits() -> frozenset[str]:
    """All that OpenStack's list has."""
    return frozenset(os_traits.get_traits())


def is_custom(name: str) -> bool:
    """Whether a resource class or a trait may be made by this name."""
    return len(name) <= 255 and _CUSTOM.fullmatch(name) is not None


def is_class(name: str) -> bool:
    """Whether a resource class is, or could be, of this name."""
    return name in standard_classes() or is_custom(name)
