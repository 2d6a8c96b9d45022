"""Small numbers that stand for ids on this host: in registers of the switch, as conntrack zones, as conjunctions.

They are kept in a file, so that the flows of a restarted agent are the same as before and nothing is interrupted.
"""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
import structlog

from agent.network.store import write_json

log = structlog.get_logger(__name__)


class Pool(StrEnum):
    """What is numbered. POLICY: the set of security groups that ports share (`policy_key`)."""

    NETWORK = "network"
    ZONE = "zone"
    GROUP = "group"
    POLICY = "policy"


MOST: Final = {Pool.NETWORK: 4094, Pool.ZONE: 65535, Pool.GROUP: 2**31, Pool.POLICY: 2**31}


class Exhausted(Exception):
    """All numbers of a pool are in use."""


def policy_key(groups: Iterable[str]) -> str:
    return " ".join(sorted(set(groups)))


class Allotment:
    """Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers: dict[Pool, dict[str, int]] = {pool: {} for pool in Pool}
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=dict[Pool, dict[str, int]])
        except FileNotFoundError:
            pass
        except (OSError, msgspec.DecodeError) as error:
            log.warning("network.allotment_unreadable", path=str(path), reason=str(error))
        else:
            self._numbers |= kept
        self._taken = {pool: set(numbers.values()) for pool, numbers in self._numbers.items()}
        self._changed = False

    def number(self, pool: Pool, key: str) -> int:
        """The number of `key`, a new one the first time. Raises Exhausted."""
        numbers, taken = self._numbers[pool], self._taken[pool]
        if key not in numbers:
            # The smallest above all others, so that one given back rests as long as possible.
            number = max(taken, default=0) + 1
            if number > MOST[pool]:
                number = next((free for free in range(1, MOST[pool] + 1) if free not in taken), 0)
            if not number:
                raise Exhausted(f"all {MOST[pool]} numbers for a {pool} are in use")
            numbers[key] = number
            taken.add(number)
            self._changed = True
        return numbers[key]

    def known(self, pool: Pool) -> dict[str, int]:
        return dict(self._numbers[pool])

    def release(self, pool: Pool, key: str) -> None:
        """Fine when it has none."""
        number = self._numbers[pool].pop(key, None)
        if number is not None:
            self._taken[pool].discard(number)
            self._changed = True

    def save(self) -> None:
        """Write what changed. Raises OSError."""
        if self._changed:
            write_json(self._path, self._numbers)
            self._changed = False
