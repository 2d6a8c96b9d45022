"""Which aggregates providers are in: ids that they share. Hosts are in those that apps.hosts has put them in, whatever clients say."""

import uuid
from collections.abc import Collection, Iterable

from django.db import transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.sql import insert_rows
from apps.hosts import selectors as hosts
from apps.hosts.services import deltas
from apps.identity import policy
from apps.placement.models import ProviderAggregate, ResourceProvider
from apps.placement.services import stock

_PERMISSION = "placement.aggregate.update"


@transaction.atomic
def set_of(
    *, actor: Actor, provider_id: uuid.UUID, generation: int | None = None, ids: Iterable[uuid.UUID]
) -> ResourceProvider:
    """The aggregates of a provider; those that its host is in stay in any case.

    The generation rises, unless whoever asks knows of none: so old clients of the reference expect it.
    Raises Forbidden, NotFound, Conflict `placement.concurrent_update`.
    """
    policy.require(actor, _PERMISSION)
    wanted = set(ids)
    provider = stock.lock_provider(provider_id, generation)
    there = {row.aggregate_id: row for row in ProviderAggregate.objects.filter(provider=provider)}
    leaving = [row for key, row in there.items() if key not in wanted and not row.reported]
    joining = sorted(wanted - there.keys())
    _change([(provider, key) for key in joining], leaving, reported=False)
    if generation is not None:
        stock.touch([provider])
    elif leaving or joining:
        deltas.note([provider.root_id])
    if leaving or joining:
        changes = {str(key): [None, "in"] for key in joining} | {str(row.aggregate_id): ["in", None] for row in leaving}
        record.write(actor, _PERMISSION, "resource_provider", provider.pk, name=provider.name, changes=changes)
    return provider


@transaction.atomic
def sync(host_ids: Collection[uuid.UUID]) -> None:
    """These hosts joined or left aggregates of hosts, in the caller's transaction: their providers follow."""
    # Whoever moves the same host locks its provider as well, and looks at its memberships only then.
    providers = stock.lock_providers(host_ids)
    inside = {fact.id: set(fact.aggregate_ids) for fact in hosts.scheduling_facts(list(providers))}
    there: dict[uuid.UUID, dict[uuid.UUID, ProviderAggregate]] = {}
    for row in ProviderAggregate.objects.filter(provider__in=providers):
        there.setdefault(row.provider_id, {})[row.aggregate_id] = row
    joining, leaving = [], []
    for key, provider in providers.items():
        wanted, known = inside.get(key, set()), there.get(key, {})
        joining += [(provider, each) for each in sorted(wanted - known.keys())]
        leaving += [row for each, row in known.items() if row.reported and each not in wanted]
        claimed = [row.pk for each, row in known.items() if each in wanted and not row.reported]
        ProviderAggregate.objects.filter(pk__in=claimed).update(reported=True)
    _change(joining, leaving, reported=True)
    moved = {provider.pk for provider, _ in joining} | {row.provider_id for row in leaving}
    stock.touch(provider for key, provider in providers.items() if key in moved)


def _change(joining: list[tuple[ResourceProvider, uuid.UUID]], leaving: list[ProviderAggregate], *, reported: bool) -> None:
    if leaving:
        ProviderAggregate.objects.filter(pk__in=[row.pk for row in leaving]).delete()
    insert_rows([ProviderAggregate(provider=provider, aggregate_id=key, reported=reported) for provider, key in joining])
