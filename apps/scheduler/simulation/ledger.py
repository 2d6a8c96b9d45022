"""What is free on which host during a simulation: utilisation and fragmentation are counted from it.

*Fragmentation* for a shape: the share of the instances of that shape that would still fit, were all free capacity in one piece, but
do not fit as it is spread over hosts. *Stranded*: what is free on hosts on which not one of them fits.
"""

from dataclasses import dataclass

import numpy as np

from apps.scheduler.simulation.fleet import Fleet
from apps.scheduler.simulation.trace import Amounts
from apps.scheduler.table import Ints


@dataclass(frozen=True)
class Fragmentation:
    """`fits`: so many more instances; `whole`: were all that is free in one piece. `share`: 0 to 1. `stranded`: by resource class."""

    fits: int
    whole: int
    share: float
    stranded: dict[str, int]


class Ledger:
    """Hosts are numbered in the order of the fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self.capacity = fleet.capacity
        size = len(fleet.hosts)
        self._slots = [(number, name) for number, host in enumerate(fleet.hosts) for name in host.stock]
        self._free: dict[str, Ints] = {name: np.zeros(size, dtype=np.int64) for name in self.capacity}
        self._most: dict[str, Ints] = {name: np.zeros(size, dtype=np.int64) for name in self.capacity}
        for number, host in enumerate(fleet.hosts):
            for name, units in host.stock.items():
                self._free[name][number] = units.capacity - units.used
                self._most[name][number] = units.max_unit
        self.used = {name: total - int(self._free[name].sum()) for name, total in self.capacity.items()}

    def move(self, host: int, amounts: Amounts, times: int) -> None:
        """An instance comes (1) or goes (-1)."""
        for name, amount in amounts:
            self._free[name][host] -= times * amount
            self.used[name] += times * amount

    def free(self) -> dict[tuple[int, str], int]:
        """By number of host and resource class."""
        return {(number, name): int(self._free[name][number]) for number, name in self._slots}

    def utilisation(self) -> dict[str, float]:
        """0 to 1, by resource class."""
        return {name: self.used[name] / total if total else 0.0 for name, total in self.capacity.items()}

    def fragmentation(self, amounts: Amounts) -> Fragmentation:
        free = {name: np.maximum(each, 0) for name, each in self._free.items()}
        stranded = {name: int(each.sum()) for name, each in free.items()}
        if not all(name in free for name, _ in amounts):
            return Fragmentation(0, 0, 0.0, stranded)
        room = np.min([free[name] // amount * (self._most[name] >= amount) for name, amount in amounts], axis=0)
        fits, whole = int(room.sum()), min(stranded[name] // amount for name, amount in amounts)
        none = room == 0
        stranded = {name: int(each[none].sum()) for name, each in free.items()}
        return Fragmentation(fits, whole, 1 - fits / whole if whole else 0.0, stranded)

    def weight(self, amounts: Amounts) -> float:
        """How large a shape is: its largest share of what the fleet has of anything."""
        return max((amount / self.capacity[name] if self.capacity.get(name) else float("inf") for name, amount in amounts), default=0.0)
