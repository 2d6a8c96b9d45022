"""Traits: those that operators make (`CUSTOM_…`), and which providers have which; hosts report their own."""

import uuid
from collections.abc import Collection, Iterable

from django.db import IntegrityError, connection, transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid, NotFound
from apps.common.sql import insert_rows
from apps.identity import policy
from apps.placement.models import ProviderTrait, ResourceProvider, Trait
from apps.placement.names import is_custom, standard_traits
from apps.placement.services import stock

_PERMISSION = "placement.trait.update"


def create(*, actor: Actor, name: str) -> bool:
    """Whether it is new. Raises Forbidden, Invalid `trait.name`."""
    policy.require(actor, _PERMISSION)
    if not is_custom(name):
        message = f"{name[:300]!r} is no name for a trait: expected CUSTOM_ and then A-Z, 0-9 and _, at most 255 in all."
        raise Invalid("trait.name", message, field="name")
    if Trait.objects.filter(name=name).exists():
        return False
    try:
        with transaction.atomic():
            Trait.objects.create(name=name)
            record.write(actor, _PERMISSION, "trait", name, name=name, changes={"name": [None, name]})
    except IntegrityError:
        return False
    return True


@transaction.atomic
def delete(*, actor: Actor, name: str) -> None:
    """Raises Forbidden, NotFound, Invalid `trait.standard`, Conflict `trait.in_use`."""
    policy.require(actor, _PERMISSION)
    if name in standard_traits():
        raise Invalid("trait.standard", f"{name} is a standard trait and cannot be deleted.", field="name")
    found = Trait.objects.select_for_update().filter(name=name).first() if is_custom(name) else None
    if found is None:
        raise NotFound("trait.not_found", f"There is no trait {name[:255]!r}.", field="name")
    if ProviderTrait.objects.filter(name=name).exists():
        raise Conflict("trait.in_use", f"The trait {name} is in use by a resource provider: take it away there first.", field="name")
    record.write(actor, _PERMISSION, "trait", name, name=name, changes={"name": [name, None]})
    found.delete()


@transaction.atomic
def set_of(*, actor: Actor, provider_id: uuid.UUID, generation: int | None = None, names: Iterable[str]) -> ResourceProvider:
    """The traits of a provider; what its host reports stays in any case. The generation rises if anything changes.

    Raises Forbidden, NotFound, Invalid `trait.unknown`, Conflict `placement.concurrent_update`.
    """
    policy.require(actor, _PERMISSION)
    wanted = set(names)
    hold(wanted)
    provider = stock.lock_provider(provider_id, generation)
    there = {row.name: row for row in ProviderTrait.objects.filter(provider=provider)}
    leaving = [row for name, row in there.items() if name not in wanted and not row.reported]
    joining = sorted(wanted - there.keys())
    if leaving or joining:
        _change(provider, leaving, joining, reported=False)
        changes = {name: [None, "set"] for name in joining} | {row.name: ["set", None] for row in leaving}
        record.write(actor, _PERMISSION, "resource_provider", provider.pk, name=provider.name, changes=changes)
    return provider


@transaction.atomic
def report(*, provider_id: uuid.UUID, names: Iterable[str]) -> bool:
    """A host says which traits it has: these come and go as it says, an operator's stay. Returns whether anything changed.

    Names that no list of ours has, and that are not `CUSTOM_…`, are passed over: agents may be newer than we are.
    """
    wanted = {name for name in names if name in standard_traits() or is_custom(name)}
    _ensure(wanted)
    provider = stock.lock_provider(provider_id)
    there = {row.name: row for row in ProviderTrait.objects.filter(provider=provider)}
    leaving = [row for name, row in there.items() if row.reported and name not in wanted]
    joining = sorted(wanted - there.keys())
    taken = [row.pk for name, row in there.items() if name in wanted and not row.reported]
    ProviderTrait.objects.filter(pk__in=taken).update(reported=True)
    if leaving or joining:
        _change(provider, leaving, joining, reported=True)
    return bool(leaving or joining)


def hold(names: Collection[str]) -> None:
    """These traits are there, and stay until the transaction ends; before any provider is locked. Raises Invalid `trait.unknown`."""
    custom = set(names) - standard_traits()
    known = _key_shared(sorted(filter(is_custom, custom)))
    if missing := sorted(custom - known):
        raise Invalid("trait.unknown", f"No such trait {', '.join(missing)[:1000]}. Custom ones are made before they are used.", field="traits")


def _ensure(names: Collection[str]) -> None:
    rows = [Trait(name=name) for name in sorted(set(names) - standard_traits())]
    if rows:
        Trait.objects.bulk_create(rows, ignore_conflicts=True)


def _change(provider: ResourceProvider, leaving: list[ProviderTrait], joining: list[str], *, reported: bool) -> None:
    ProviderTrait.objects.filter(pk__in=[row.pk for row in leaving]).delete()
    insert_rows([ProviderTrait(provider=provider, name=name, reported=reported) for name in joining])
    stock.touch([provider])


def _key_shared(names: list[str]) -> set[str]:
    """Names of those that are there; in PostgreSQL none of them is deleted before the transaction ends."""
    if not names or connection.vendor != "postgresql":
        return set(Trait.objects.filter(name__in=names).values_list("name", flat=True))
    statement = f"SELECT name FROM {Trait._meta.db_table} WHERE name = ANY(%s) ORDER BY name FOR KEY SHARE"
    with connection.cursor() as cursor:
        cursor.execute(statement, [names])
        return {row[0] for row in cursor.fetchall()}
