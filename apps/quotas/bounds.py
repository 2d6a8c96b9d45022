"""Which limit goes for what: the one place where defaults, a project's own limits and its domain's come together. Pure."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from apps.common.errors import QuotaExceeded
from apps.identity import builtin
from apps.quotas.resources import RESOURCES, UNLIMITED, Amounts

# Limits registered for the one region that there is go before those registered for none.
REGIONS = ("", builtin.REGION_ID)
# resource name, region, registered default, the project's own limit, its domain's.
Row = tuple[str, str, int, int | None, int | None]


@dataclass(frozen=True)
class Bound:
    """`limit`: of the project, -1 is unlimited; `domain_limit`: of all projects of its domain together, None if there is none."""

    limit: int
    source: Literal["default", "project"]
    domain_limit: int | None = None

    @property
    def capped(self) -> bool:
        return self.domain_limit is not None and self.domain_limit != UNLIMITED


_BUILT_IN = {name: Bound(resource.default, "default") for name, resource in RESOURCES.items()}


def bounds(rows: Iterable[Row]) -> dict[str, Bound]:
    """What goes for a project, by resource: its own limit, else the registered default, else the built-in one."""
    found = dict(_BUILT_IN)
    for name, _, default, own, of_domain in sorted(rows, key=lambda row: REGIONS.index(row[1])):
        before = found[name]
        domain_limit = before.domain_limit if of_domain is None else of_domain
        if own is not None:
            found[name] = Bound(own, "project", domain_limit)
        elif before.source == "project":
            found[name] = Bound(before.limit, "project", domain_limit)
        else:
            found[name] = Bound(default, "default", domain_limit)
    return found


@dataclass
class Account:
    """What a project has and may have. `used` counts what is granted while wishes are gone through."""

    domain_id: uuid.UUID | None
    used: dict[str, int]
    bounds: dict[str, Bound]


@dataclass
class DomainAccount:
    """The same for all projects of a domain together; only for resources that it limits."""

    used: dict[str, int]
    limits: dict[str, int]


@dataclass(frozen=True)
class Fault:
    """One resource of which there is not enough."""

    resource: str
    limit: int
    used: int
    asked: int
    scope: Literal["project", "domain"]

    def __str__(self) -> str:
        unit = RESOURCES[self.resource].unit
        among = " by all projects of the domain" if self.scope == "domain" else ""
        return f"{self.resource}: {self.used} of {self.limit}{f' {unit}' if unit else ''} are used{among}, {self.asked} asked"


def faults(asked: Amounts, account: Account, domain: DomainAccount | None) -> list[Fault]:
    """Everything of which less is left than is asked; nothing asked is always granted."""
    found = []
    for name, amount in asked.items():
        limit, used = account.bounds[name].limit, account.used.get(name, 0)
        if amount and limit != UNLIMITED and used + amount > limit:
            found.append(Fault(name, limit, used, amount, "project"))
        elif amount and domain is not None and name in domain.limits and domain.used[name] + amount > domain.limits[name]:
            found.append(Fault(name, domain.limits[name], domain.used[name], amount, "domain"))
    return found


def refusal(found: list[Fault]) -> QuotaExceeded:
    """The error that says so. Facts: those of the first resource, and `exceeded`, which lists all."""
    raisers = "An administrator of the installation can raise this limit."
    if all(fault.scope == "project" for fault in found):
        raisers = "An administrator of the domain or of the installation can raise this limit."
    text = "; ".join(map(str, found))
    each = [vars(fault) for fault in found]
    return QuotaExceeded("quota.exceeded", f"{text}. {raisers}", **each[0], exceeded=each)
