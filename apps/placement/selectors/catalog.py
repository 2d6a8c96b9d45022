"""Which resource classes and traits there are: the standard ones, and those that operators have made."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.identity import policy
from apps.placement.models import ProviderTrait, ResourceClass, Trait
from apps.placement.names import is_custom, standard_classes, standard_traits


@dataclass(frozen=True)
class Named:
    """A resource class or a trait; a standard one has no date."""

    name: str
    standard: bool = True
    updated_at: datetime | None = None


def resource_classes(*, actor: Actor) -> list[Named]:
    """The standard ones in OpenStack's order, then the others by name. Raises Forbidden."""
    policy.require(actor, "placement.provider.list")
    made = ResourceClass.objects.order_by("name")
    return [*map(Named, standard_classes()), *(Named(row.name, False, row.updated_at) for row in made)]


def resource_class(*, actor: Actor, name: str) -> Named:
    """Raises Forbidden, NotFound."""
    policy.require(actor, "placement.provider.list")
    if name in standard_classes():
        return Named(name)
    row = ResourceClass.objects.filter(name=name).first() if is_custom(name) else None
    if row is None:
        raise NotFound("resource_class.not_found", f"There is no resource class {name[:255]!r}.", field="name")
    return Named(row.name, False, row.updated_at)


def traits(
    *, actor: Actor, names: Collection[str] | None = None, prefix: str | None = None, associated: bool | None = None
) -> list[str]:
    """By name: all, those of `names`, those that begin so, those that some provider has (or none). Raises Forbidden."""
    policy.require(actor, "placement.provider.list")
    found: frozenset[str] = standard_traits() | set(Trait.objects.values_list("name", flat=True))
    if names is not None:
        found &= set(names)
    if prefix is not None:
        found = frozenset(name for name in found if name.startswith(prefix))
    if associated is not None:
        used = set(ProviderTrait.objects.order_by().values_list("name", flat=True).distinct())
        found = found & used if associated else found - used
    return sorted(found)


def named_traits(*, actor: Actor) -> list[Named]:
    """All, by name. Raises Forbidden."""
    standard = standard_traits()
    return [Named(name, name in standard) for name in traits(actor=actor)]


def trait(*, actor: Actor, name: str) -> Named:
    """Raises Forbidden, NotFound."""
    policy.require(actor, "placement.provider.list")
    if name in standard_traits():
        return Named(name)
    row = Trait.objects.filter(name=name).first() if is_custom(name) else None
    if row is None:
        raise NotFound("trait.not_found", f"There is no trait {name[:255]!r}.", field="name")
    return Named(row.name, False, row.updated_at)


def unknown_traits(names: Iterable[str]) -> list[str]:
    """Those of them that there are not."""
    custom = set(names) - standard_traits()
    return sorted(custom - set(Trait.objects.filter(name__in=filter(is_custom, custom)).values_list("name", flat=True))) if custom else []


def unknown_classes(names: Iterable[str]) -> list[str]:
    """Those of them that there are not."""
    custom = set(names) - set(standard_classes())
    made = ResourceClass.objects.filter(name__in=filter(is_custom, custom))
    return sorted(custom - set(made.values_list("name", flat=True))) if custom else []
