"""What may be claimed of what there is."""

import pytest

from apps.placement.models import Inventory
from apps.placement.names import DEFAULT_RATIOS
from apps.placement.services import inventories


@pytest.mark.parametrize(
    ("total", "reserved", "ratio", "used", "capacity", "ceiling"),
    [
        (10, 0, 1.0, 0, 10, 10), (10, 4, 1.0, 0, 6, 6), (10, 0, 1.5, 0, 15, 15), (10, 0, 0.05, 0, 0, 0), (10, 20, 1.0, 0, 0, 0),
        (10, 0, 0.5, 8, 5, 8), (7, 0, 1.5, 0, 10, 10), (0, 0, 4.0, 0, 0, 0),
    ],
)
def test_capacity_is_what_is_left_times_the_ratio_and_the_ceiling_never_below_use(
    monkeypatch: pytest.MonkeyPatch, total: int, reserved: int, ratio: float, used: int, capacity: int, ceiling: int
) -> None:
    monkeypatch.setattr(Inventory, "save", lambda self: None)
    row = Inventory(total=total, reserved=reserved, allocation_ratio=ratio, used=used)
    inventories._save(row)
    assert (row.capacity, row.ceiling) == (capacity, ceiling)


def test_memory_and_disk_are_not_overcommitted_by_default() -> None:
    assert (DEFAULT_RATIOS["MEMORY_MB"], DEFAULT_RATIOS["DISK_GB"]) == (1.0, 1.0)
