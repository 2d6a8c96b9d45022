"""Who holds what: allocations and usages, by consumer, by provider, by project."""

import uuid

from django.db.models import Count, QuerySet, Sum

from apps.common.context import Actor
from apps.common.ids import parse
from apps.identity import policy
from apps.placement.models import Allocation, Consumer
from apps.placement.names import UNKNOWN

ALL_TYPES = "all"


def consumers() -> set[uuid.UUID]:
    """Everybody who holds an allocation."""
    return set(Allocation.objects.values_list("consumer_id", flat=True).distinct())


def empty_consumers() -> set[uuid.UUID]:
    """For the audit: consumers that hold nothing, which there should not be."""
    return set(Consumer.objects.filter(allocations=None).values_list("pk", flat=True))


def allocations() -> dict[uuid.UUID, dict[tuple[uuid.UUID, str], int]]:
    """Consumer → what it holds: amount by provider and resource class. Of consumers of our scheduler; what clients hold is theirs."""
    found: dict[uuid.UUID, dict[tuple[uuid.UUID, str], int]] = {}
    rows = Allocation.objects.filter(consumer__managed=True)
    for consumer, provider_id, name, amount in rows.values_list("consumer_id", "provider_id", "resource_class", "amount"):
        found.setdefault(consumer, {})[provider_id, name] = amount
    return found


def held(consumer_id: uuid.UUID) -> dict[str, int]:
    """What one consumer holds, by resource class."""
    rows = Allocation.objects.filter(consumer_id=consumer_id).values_list("resource_class").annotate(Sum("amount"))
    return dict(rows)


def allocations_of(*, actor: Actor, consumer_id: uuid.UUID | None) -> "list[Allocation]":
    """What one consumer holds, with consumer and providers; empty for one that nobody knows. Raises Forbidden."""
    policy.require(actor, "placement.provider.list")
    if consumer_id is None:
        return []
    return list(_rows().filter(consumer_id=consumer_id).order_by("provider_id", "resource_class"))


def allocations_from(*, actor: Actor, provider_id: uuid.UUID) -> "QuerySet[Allocation]":
    """What is held of one provider, with the consumers. Raises Forbidden."""
    policy.require(actor, "placement.provider.list")
    return _rows().filter(provider_id=provider_id).order_by("consumer_id", "resource_class")


def usages(*, actor: Actor, project_id: str, user_id: str | None = None) -> dict[str, int]:
    """What the consumers of a project hold, by resource class. Project and user are opaque: other clouds' ids are here, too.

    Raises Forbidden.
    """
    return dict(_of_project(actor, project_id, user_id).values_list("resource_class").annotate(Sum("amount")))


def usages_by_type(
    *, actor: Actor, project_id: str, user_id: str | None = None, consumer_type: str | None = None
) -> dict[str, dict[str, int]]:
    """The same by type of consumer, with their number as `consumer_count`; the type `all` takes all types together.

    Raises Forbidden.
    """
    rows = _of_project(actor, project_id, user_id)
    together = consumer_type == ALL_TYPES
    if consumer_type and not together:
        rows = rows.filter(consumer__type=consumer_type)
    found: dict[str, dict[str, int]] = {}
    for kind, name, amount in rows.values_list("consumer__type", "resource_class").annotate(total=Sum("amount")):
        counted = found.setdefault(ALL_TYPES if together else kind or UNKNOWN, {})
        counted[name] = counted.get(name, 0) + amount
    for kind, count in rows.values_list("consumer__type").annotate(count=Count("consumer_id", distinct=True)):
        counted = found[ALL_TYPES if together else kind or UNKNOWN]
        counted["consumer_count"] = counted.get("consumer_count", 0) + count
    return found


def _of_project(actor: Actor, project_id: str, user_id: str | None) -> "QuerySet[Allocation]":
    if (ours := parse(project_id)) is not None:
        policy.require(actor, "placement.usage.get", project_id=ours)
    else:
        policy.require_everywhere(actor, "placement.usage.get")
    # One of our own ids is stored in its long form, however it is asked for.
    forms = {project_id} if ours is None else {project_id, str(ours), ours.hex}
    rows = Allocation.objects.filter(consumer__project_id__in=forms)
    if user_id is not None:
        user = parse(user_id)
        rows = rows.filter(consumer__user_id__in={user_id} if user is None else {user_id, str(user), user.hex})
    return rows.order_by()


def _rows() -> "QuerySet[Allocation]":
    return Allocation.objects.select_related("consumer", "provider")
