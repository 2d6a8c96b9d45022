"""One nftables table of ours in one namespace: put in only when its text is another, or when somebody changed it."""

import hashlib
import re
from dataclasses import dataclass

from agent.drivers.base import DriverError
from agent.drivers.command import run
from agent.drivers.openvswitch.routing import kernel, rules

CODE = "network.nftables"


@dataclass(frozen=True)
class _Seen:
    text: str
    generation: int
    listed: str


class Tables:
    """Remembers what it last saw, so that a look costs one short question to the kernel. Used by one thread at a time."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Seen] = {}

    def ensure(self, space: str, table: str, text: str) -> bool:
        """In the thread's own namespace, which is called `space`; empty text: no such table. True if it was changed.

        Raises DriverError `network.nftables`.
        """
        key = space, table
        generation = kernel.rules_generation()
        seen = self._seen.get(key)
        if seen and seen.text == text and seen.generation == generation:
            return False
        listed = _listed(table)
        # What an agent before this one put in is known by what the table says of itself.
        same = seen.text == text and seen.listed == _digest(listed) if seen else rules.digest_of_table(text) in listed
        if not text:
            same = not listed
        if not same:
            run("nft", "-f", "-", stdin=text or f"add table inet {table}\ndelete table inet {table}\n", code=CODE)
            listed = _listed(table)
        # A generation that was asked for before: who changed something meanwhile is noticed the next time.
        self._seen[key] = _Seen(text, generation if same else kernel.rules_generation(), _digest(listed))
        return not same

    def forget(self, space: str) -> None:
        """The namespace is gone."""
        self._seen = {key: seen for key, seen in self._seen.items() if key[0] != space}


def _listed(table: str) -> str:
    """Empty if there is no such table."""
    try:
        return run("nft", "-s", "list", "table", "inet", table, code=CODE)
    except DriverError as error:
        if "No such file" in str(error):
            return ""
        raise


def _digest(listed: str) -> str:
    """The same for every order in which the elements of a set are listed."""
    return hashlib.blake2b(" ".join(sorted(re.findall(r"[^\s,]+", listed))).encode(), digest_size=12).hexdigest()
