"""Resource providers: all, one, and those that a query of the Placement API asks for."""

import uuid
from collections.abc import Collection, Mapping
from typing import Any, TypedDict

from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Mod

from apps.common.context import Actor
from apps.common.errors import Invalid, NotFound
from apps.common.ids import parse
from apps.hosts import selectors as hosts
from apps.identity import policy
from apps.placement.models import Inventory, ProviderAggregate, ProviderTrait, ResourceProvider
from apps.placement.selectors.catalog import unknown_classes, unknown_traits


class Asked(TypedDict, total=False):
    """What a provider must be like; whatever is not said does not matter.

    `in_tree`: a provider of the same tree. `resources`: could be claimed of it at once. `member_of`: in one aggregate of each
    set. `required`: with one trait of each set.
    """

    name: str
    provider_id: uuid.UUID
    in_tree: uuid.UUID
    resources: Mapping[str, int]
    member_of: Collection[Collection[uuid.UUID]]
    not_member_of: Collection[uuid.UUID]
    required: Collection[Collection[str]]
    forbidden: Collection[str]


def providers(*, actor: Actor) -> "QuerySet[ResourceProvider]":
    """All of them, with inventories, traits and aggregates. Raises Forbidden."""
    policy.require(actor, "placement.provider.list")
    return ResourceProvider.objects.prefetch_related("inventories", "traits", "aggregates")


def provider(*, actor: Actor, provider_id: uuid.UUID) -> ResourceProvider:
    """Raises Forbidden, NotFound."""
    found = providers(actor=actor).filter(pk=provider_id).first()
    if found is None:
        raise NotFound("resource_provider.not_found", f"There is no resource provider {provider_id}.")
    return found


def provider_called(*, actor: Actor, name: str) -> ResourceProvider:
    """By name or id. Raises Forbidden, NotFound."""
    rows, key = providers(actor=actor), parse(name)
    found = rows.filter(name=name).first() or (rows.filter(pk=key).first() if key else None)
    if found is None:
        raise NotFound("resource_provider.not_found", f"There is no resource provider {name}.", field="provider")
    return found


def find(*, actor: Actor, wanted: Asked) -> "QuerySet[ResourceProvider]":
    """Those that are as asked for, without anything of theirs. Raises Forbidden, Invalid for traits and classes that there are not."""
    policy.require(actor, "placement.provider.list")
    _check_names(wanted)
    rows = ResourceProvider.objects.order_by("pk")
    if "name" in wanted:
        rows = rows.filter(name=wanted["name"])
    if "provider_id" in wanted:
        rows = rows.filter(pk=wanted["provider_id"])
    if "in_tree" in wanted:
        rows = rows.filter(root_id__in=root_of(wanted["in_tree"]))
    for name, amount in wanted.get("resources", {}).items():
        rows = rows.filter(Exists(_giving(name, amount)))
    for ids in wanted.get("member_of", ()):
        rows = rows.filter(Exists(ProviderAggregate.objects.filter(provider=OuterRef("pk"), aggregate_id__in=list(ids))))
    if wanted.get("not_member_of"):
        rows = rows.exclude(Exists(ProviderAggregate.objects.filter(provider=OuterRef("pk"), aggregate_id__in=list(wanted["not_member_of"]))))
    for names in wanted.get("required", ()):
        rows = rows.filter(Exists(ProviderTrait.objects.filter(provider=OuterRef("pk"), name__in=list(names))))
    if wanted.get("forbidden"):
        rows = rows.exclude(Exists(ProviderTrait.objects.filter(provider=OuterRef("pk"), name__in=list(wanted["forbidden"]))))
    return rows


def root_of(provider_id: uuid.UUID) -> "QuerySet[ResourceProvider, Any]":
    """The root of a provider's tree, to be asked for among others; none for one that is not there."""
    return ResourceProvider.objects.filter(pk=provider_id).values("root_id")


def astray() -> list[ResourceProvider]:
    """For the audit: providers that are said to be in another tree than their parent."""
    return list(ResourceProvider.objects.exclude(parent=None).exclude(root_id=F("parent__root_id")).order_by("name"))


def misjoined() -> dict[uuid.UUID, str]:
    """For the audit: hosts (id → name of the provider) whose provider is not in the same aggregates of hosts as they are."""
    inside: dict[uuid.UUID, set[uuid.UUID]] = {}
    for provider_id, aggregate_id in ProviderAggregate.objects.filter(reported=True).values_list("provider_id", "aggregate_id"):
        inside.setdefault(provider_id, set()).add(aggregate_id)
    wanted = {fact.id: set(fact.aggregate_ids) for fact in hosts.scheduling_facts()}
    wrong = {key for key in inside.keys() | wanted.keys() if inside.get(key, set()) != wanted.get(key, set())}
    # A host that has never said hello has no provider yet.
    return {row.pk: row.name for row in ResourceProvider.objects.filter(pk__in=wrong)} if wrong else {}


def _giving(name: str, amount: int) -> "QuerySet[Inventory]":
    rows = Inventory.objects.filter(provider=OuterRef("pk"), resource_class=name, min_unit__lte=amount, max_unit__gte=amount)
    return rows.filter(used__lte=F("capacity") - amount).annotate(rest=Mod(amount, F("step_size"))).filter(rest=0)


def _check_names(wanted: Asked) -> None:
    names = {name for each in wanted.get("required", ()) for name in each} | set(wanted.get("forbidden", ()))
    if missing := unknown_traits(names):
        raise Invalid("trait.unknown", f"No such trait(s): {', '.join(missing)}.", field="required")
    if missing := unknown_classes(wanted.get("resources", {})):
        raise Invalid("resource_class.unknown", f"Invalid resource class in resources parameter: {', '.join(missing)}.", field="resources")
