"""Decisions told to tenants: what was asked, whether there is a host, and if there is none, of what kinds the reasons are.

No host has a name and nothing is counted, neither hosts nor what is free on them: that is what others have. That hosts are
down, disabled, busy or kept for others is one thing: not available.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from apps.scheduler.explain import kept
from apps.scheduler.explain.words import amount, spoken
from apps.scheduler.request import Request

if TYPE_CHECKING:
    from apps.scheduler.models import Decision

CAPACITY, UNAVAILABLE = "capacity", "unavailable"
# Kind → what is said of such hosts, in the order in which it is said.
_WORDS = {
    CAPACITY: "are too small", "traits": "lack a required trait", "forbidden traits": "have a forbidden trait",
    "image": "do not run such images", "metadata": "have not what the flavor asks for", "wire": "have no way into its networks",
    "affinity": "are without the others of its server group", "anti-affinity": "have others of its server group",
    "failed before": "are where its build failed before", "zone": "are in another zone", "not asked for": "were not asked for",
    "avoided": "are to be avoided", UNAVAILABLE: "are not available",
}
_UNAVAILABLE = frozenset({"down", "disabled", "zone disabled", "project", "no networks", "building"})
# What goes without saying when there is another reason: it is in what was asked.
_SELF_EVIDENT = frozenset({"zone", "not asked for", "avoided"})
BUSY = "The hosts that would fit have enough builds under way; it is tried again soon."


def kinds(refusing: Iterable[str]) -> list[str]:
    """Names of filters → kinds of reasons, in a fixed order."""
    found = {UNAVAILABLE if name in _UNAVAILABLE else name if name in _WORDS else CAPACITY for name in refusing}
    return [kind for kind in _WORDS if kind in found]


def kinds_of(decision: Decision) -> list[str]:
    """Of a stored one; empty if there was a host."""
    if decision.host_id is not None:
        return []
    return kinds(each.reason for each in kept.verdicts_of(decision))


def fits(request: Request) -> str:
    return f"a host was found for {asked(request)}"


def nothing_fits(request: Request, refusing: Iterable[str]) -> str:
    """`refusing`: names of the filters that refused somebody."""
    if not (found := kinds(refusing)):
        return "No host is enrolled yet."
    telling = [kind for kind in found if kind not in _SELF_EVIDENT]
    # Alone, that some are not available would sound as if the others were of the zone that was asked for.
    found = telling if telling not in ([], [UNAVAILABLE]) else found
    if found == [CAPACITY]:
        return f"No host has room for {asked(request)} at the moment."
    if found == [UNAVAILABLE]:
        return f"No host is available for {asked(request)} at the moment."
    who = "all" if len(found) == 1 else "some"
    return f"No host fits {asked(request)} at the moment: {', '.join(f'{who} {_WORDS[kind]}' for kind in found)}."


def asked(request: Request) -> str:
    """Its size and zone, in words."""
    size = spoken(amount(name, value) for name, value in request.amounts.items() if value) or "an instance"
    return f"{size} in zone {request.zone}" if request.zone else size
