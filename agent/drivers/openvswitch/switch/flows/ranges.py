"""Ranges of ports as values with bit masks. Pure."""

from collections.abc import Iterator


def masks(first: int, last: int) -> Iterator[str]:
    """The fewest `value/mask` terms that match exactly the numbers from `first` to `last` (16 bits)."""
    while first <= last:
        # The largest block that begins here and does not reach beyond the end.
        size = first & -first or 1 << 16
        while first + size - 1 > last:
            size >>= 1
        mask = 0xFFFF & ~(size - 1)
        yield str(first) if mask == 0xFFFF else f"{first:#06x}/{mask:#06x}"
        first += size
