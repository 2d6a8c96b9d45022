"""Resource classes that operators make: `CUSTOM_…`. The standard ones are there, and stay."""

from collections.abc import Iterable

from django.db import IntegrityError, connection, transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid, NotFound
from apps.identity import policy
from apps.placement.models import Allocation, Inventory, ResourceClass
from apps.placement.names import is_custom, standard_classes
from apps.placement.services import stock

_PERMISSION = "placement.resource_class.update"


def create(*, actor: Actor, name: str) -> None:
    """Raises Forbidden, Invalid `resource_class.name`, Conflict `resource_class.exists`."""
    if not ensure(actor=actor, name=name):
        raise _exists(name)


def ensure(*, actor: Actor, name: str) -> bool:
    """Make it if it is not there; returns whether it is new. Raises Forbidden, Invalid `resource_class.name`."""
    policy.require(actor, _PERMISSION)
    _check(name)
    if ResourceClass.objects.filter(name=name).exists():
        return False
    try:
        with transaction.atomic():
            ResourceClass.objects.create(name=name)
            record.write(actor, _PERMISSION, "resource_class", name, name=name, changes={"name": [None, name]})
    except IntegrityError:
        return False
    return True


def rename(*, actor: Actor, name: str, new_name: str) -> None:
    """Whatever is of this class is of the new name then. Raises Forbidden, NotFound, Invalid, Conflict `resource_class.exists`."""
    policy.require(actor, _PERMISSION)
    _check_ours(name, "renamed")
    _check(new_name)
    try:
        with transaction.atomic():
            found = _locked(name)
            if new_name == name:
                return
            found.name = new_name
            found.save()
            _rename_rows(name, new_name)
            record.write(actor, _PERMISSION, "resource_class", new_name, name=new_name, changes={"name": [name, new_name]})
    except IntegrityError:
        raise _exists(new_name) from None


def _rename_rows(name: str, new_name: str) -> None:
    # Under the lock of the class nobody makes new inventories of it (see `hold`); those that are there are locked in the one order.
    of_it = set(Inventory.objects.filter(resource_class=name).values_list("provider_id", flat=True))
    locked = stock.lock((provider_id, name) for provider_id in of_it)
    rows = [row.pk for row in locked.values()]
    Inventory.objects.filter(pk__in=rows).update(resource_class=new_name)
    Allocation.objects.filter(resource_class=name).update(resource_class=new_name)
    stock.touch(stock.lock_providers(of_it).values())


@transaction.atomic
def delete(*, actor: Actor, name: str) -> None:
    """Raises Forbidden, NotFound, Invalid `resource_class.standard`, Conflict `resource_class.in_use`."""
    policy.require(actor, _PERMISSION)
    _check_ours(name, "deleted")
    found = _locked(name)
    if Inventory.objects.filter(resource_class=name).exists():
        message = f"The resource class {name} is in use in inventory: delete these inventories first."
        raise Conflict("resource_class.in_use", message, field="name")
    record.write(actor, _PERMISSION, "resource_class", name, name=name, changes={"name": [name, None]})
    found.delete()


def hold(names: Iterable[str]) -> None:
    """These classes are there, and stay until the transaction ends; before any inventory is locked. Raises Invalid."""
    custom = set(names) - set(standard_classes())
    known = _key_shared(sorted(filter(is_custom, custom)))
    if missing := sorted(custom - known):
        raise unknown(missing)


def ensure_reported(names: Iterable[str]) -> None:
    """A host has some of these: custom ones that nobody has made yet are made."""
    rows = [ResourceClass(name=name) for name in sorted(set(names) - set(standard_classes()))]
    if rows:
        ResourceClass.objects.bulk_create(rows, ignore_conflicts=True)


def unknown(names: Iterable[str]) -> Invalid:
    """That there are no such classes."""
    message = f"No such resource class {', '.join(sorted(names))[:1000]}. Custom ones are made before they are used."
    return Invalid("resource_class.unknown", message, field="resource_class")


def _key_shared(names: list[str]) -> set[str]:
    """Names of those that are there, none of which is deleted or renamed before the transaction ends; many may hold them at once."""
    if not names or connection.vendor != "postgresql":
        return set(ResourceClass.objects.filter(name__in=names).values_list("name", flat=True))
    statement = f"SELECT name FROM {ResourceClass._meta.db_table} WHERE name = ANY(%s) ORDER BY name FOR KEY SHARE"
    with connection.cursor() as cursor:
        cursor.execute(statement, [names])
        return {row[0] for row in cursor.fetchall()}


def _locked(name: str) -> ResourceClass:
    found = ResourceClass.objects.select_for_update().filter(name=name).first() if is_custom(name) else None
    if found is None:
        raise NotFound("resource_class.not_found", f"There is no resource class {name[:255]!r}.", field="name")
    return found


def _exists(name: str) -> Conflict:
    return Conflict("resource_class.exists", f"Conflicting resource class already exists: {name}.", field="name")


def _check(name: str) -> None:
    if not is_custom(name):
        message = f"{name[:300]!r} is no name for a resource class: expected CUSTOM_ and then A-Z, 0-9 and _, at most 255 in all."
        raise Invalid("resource_class.name", message, field="name")


def _check_ours(name: str, done: str) -> None:
    if name in standard_classes():
        raise Invalid("resource_class.standard", f"{name} is a standard resource class and cannot be {done}.", field="name")
