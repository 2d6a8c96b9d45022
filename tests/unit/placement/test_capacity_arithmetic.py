"""What may be claimed of what there is."""

import pytest

from apps.placement.models import Inventory
from apps.placement.names import DEFAULT_RATIOS
from apps.placement.services import stock


@pytest.mark.parametrize(
    ("total", "reserved", "ratio", "used", "capacity", "ceiling"),
    [
        (10, 0, 1.0, 0, 10, 10), (10, 4, 1.0, 0, 6, 6), (10, 0, 1.5, 0, 15, 15), (10, 0, 0.05, 0, 0, 0), (10, 20, 1.0, 0, 0, 0),
        (10, 0, 0.5, 8, 5, 8), (7, 0, 1.5, 0, 10, 10), (0, 0, 4.0, 0, 0, 0),
    ],
)
def test_capacity_is_what_is_left_times_the_ratio_and_the_ceiling_never_below_use(
    total: int, reserved: int, ratio: float, used: int, capacity: int, ceiling: int
) -> None:
    row = Inventory(total=total, reserved=reserved, allocation_ratio=ratio, used=used)
    stock.settle(row)
    assert (row.capacity, row.ceiling) == (capacity, ceiling)


def test_memory_and_disk_are_not_overcommitted_by_default() -> None:
    assert (DEFAULT_RATIOS["MEMORY_MB"], DEFAULT_RATIOS["DISK_GB"]) == (1.0, 1.0)


def test_no_ratio_makes_more_than_the_column_holds() -> None:
    row = Inventory(total=2**31 - 1, reserved=0, allocation_ratio=3.4e38, used=0)
    stock.settle(row)
    assert row.capacity == 2**62


@pytest.mark.parametrize(
    ("amount", "expected"), [(1, "at least 2"), (2, ""), (3, "a multiple of 2"), (8, ""), (10, "at most 8")]
)
def test_one_piece_is_within_its_units_and_of_whole_steps(amount: int, expected: str) -> None:
    assert stock.misfit(Inventory(min_unit=2, max_unit=8, step_size=2), amount) == expected


def test_less_can_be_held_even_of_what_has_shrunk() -> None:
    row = Inventory(used=10, capacity=5)
    assert (stock.has(row, -1), stock.has(row, 0), stock.has(row, 1)) == (True, True, False)
