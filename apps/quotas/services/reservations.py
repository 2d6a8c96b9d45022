"""Reservations: taken in the transaction that makes the things, given back in the one that ends them.

What is reserved is added first and looked at then: the statement that adds locks the project's row and reads its limits, so
nobody else can come between. Who is refused gets its part taken back, whether or not the caller's transaction goes on.

Make it the last statement of a transaction: everybody who works in the project waits for whoever holds its row.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from apps.common.context import SYSTEM
from apps.common.errors import Invalid, QuotaExceeded
from apps.identity import selectors as identity
from apps.quotas import selectors
from apps.quotas.bounds import Account, DomainAccount, faults, refusal
from apps.quotas.resources import MOST, Amounts, known
from apps.quotas.services import ledger


@dataclass(frozen=True)
class Wish:
    """What is asked for a project. `room`: what there must be room for as well, without its being taken now."""

    project_id: uuid.UUID
    amounts: Amounts
    room: Amounts = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        return {*self.amounts, *self.room}


def reserve(*, project_id: uuid.UUID, amounts: Amounts, room: Amounts | None = None) -> None:
    """Take all of `amounts`, or nothing; refused as well if there is no room for `room`, which is not taken.

    Raises QuotaExceeded `quota.exceeded`; facts: resource, limit, used, asked, scope (`project` or `domain`) of the first
    resource, and `exceeded`, a list of the same for all. Raises Invalid for amounts that nobody can mean.
    """
    (refused,) = reserve_each([Wish(project_id, amounts, room or {})])
    if refused is not None:
        raise refused


def reserve_each(wishes: Sequence[Wish]) -> list[QuotaExceeded | None]:
    """The same for wishes of any projects, first come first served; the refusals, None for what was granted.

    One statement for all of them, in the order of projects; one or two more where a domain has a limit.
    """
    asked: dict[uuid.UUID, Counter[str]] = {}
    for wish in wishes:
        _check(wish.amounts)
        _check(wish.room)
        asked.setdefault(wish.project_id, Counter()).update(wish.amounts)
    names = {name for wish in wishes for name in wish.names}
    if not names:
        return [None for _ in wishes]
    accounts = ledger.add(asked, names)
    if missing := asked.keys() - accounts.keys():
        ledger.open_rows(missing)
        accounts |= ledger.add({project_id: asked[project_id] for project_id in missing}, names)
    capped = {
        each.domain_id for each in accounts.values() if each.domain_id and any(each.bounds[name].capped for name in names)
    }
    domains = ledger.lock_domains(capped, names) if capped else {}
    _before(asked, accounts, domains)
    verdicts = [_verdict(wish, accounts[wish.project_id], domains) for wish in wishes]
    refused = [wish for wish, verdict in zip(wishes, verdicts, strict=True) if verdict is not None]
    if refused:
        ledger.take(_totals((wish.project_id, wish.amounts) for wish in refused))
    return verdicts


def check(*, project_id: uuid.UUID, amounts: Amounts) -> None:
    """Whether there is room for `amounts` at this moment; takes and locks nothing. Raises QuotaExceeded, Invalid."""
    _check(amounts)
    domain_id = identity.projects(actor=SYSTEM).filter(pk=project_id).values_list("domain_id", flat=True).first()
    account = selectors.accounts({project_id: domain_id})[project_id]
    capped = [domain_id] if domain_id and any(account.bounds[name].capped for name in amounts) else []
    refused = _verdict(Wish(project_id, amounts), account, selectors.domain_accounts(capped, amounts))
    if refused is not None:
        raise refused


def release(*, project_id: uuid.UUID, amounts: Amounts) -> None:
    """Give back what is gone, in the transaction in which it goes."""
    release_many({project_id: amounts})


_gathering: ContextVar[dict[uuid.UUID, Counter[str]] | None] = ContextVar("quota_releases", default=None)


def release_many(amounts: Mapping[uuid.UUID, Amounts]) -> None:
    """The same for any projects, in one statement and in their order; within `gathered` at the end of that."""
    taken = _gathering.get()
    if taken is None:
        ledger.take({project_id: each for project_id, each in amounts.items() if any(each.values())})
        return
    for project_id, each in amounts.items():
        taken.setdefault(project_id, Counter()).update(each)


@contextmanager
def gathered() -> Iterator[None]:
    """What is released within is given back at the end, all at once: for transactions that end many things one by one.

    So rows of several projects are locked in one order, and last. An exception gives nothing back: the transaction is
    expected to end by it.
    """
    if _gathering.get() is not None:
        yield
        return
    taken: dict[uuid.UUID, Counter[str]] = {}
    token = _gathering.set(taken)
    try:
        yield
    finally:
        _gathering.reset(token)
    release_many(taken)


def _before(
    asked: Mapping[uuid.UUID, Amounts], accounts: Mapping[uuid.UUID, Account], domains: Mapping[uuid.UUID, DomainAccount]
) -> None:
    """Count as if nothing had been added yet; then wishes are granted one after the other."""
    for project_id, amounts in asked.items():
        account = accounts[project_id]
        domain = domains.get(account.domain_id) if account.domain_id else None
        for name, amount in amounts.items():
            account.used[name] -= amount
            if domain is not None:
                domain.used[name] -= amount


def _verdict(wish: Wish, account: Account, domains: Mapping[uuid.UUID, DomainAccount]) -> QuotaExceeded | None:
    domain = domains.get(account.domain_id) if account.domain_id else None
    found = faults(Counter(wish.amounts) + Counter(wish.room), account, domain)
    if found:
        return refusal(found)
    for name, amount in wish.amounts.items():
        account.used[name] = account.used.get(name, 0) + amount
        if domain is not None:
            domain.used[name] += amount
    return None


def _totals(amounts: Iterable[tuple[uuid.UUID, Amounts]]) -> dict[uuid.UUID, Counter[str]]:
    found: dict[uuid.UUID, Counter[str]] = {}
    for project_id, each in amounts:
        found.setdefault(project_id, Counter()).update(each)
    return found


def _check(amounts: Amounts) -> None:
    for name, amount in amounts.items():
        known(name)
        if not 0 <= amount <= MOST:
            raise Invalid("quota.amount", f"{name}: expected 0 to {MOST}, got {amount}.", field=name)
