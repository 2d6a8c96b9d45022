"""Resource providers and their trees. A host's provider bears the host's id and is a root; clients may give it children."""

import uuid
from collections.abc import Mapping
from enum import Enum
from typing import Final

from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import CloudError, Conflict, Invalid
from apps.common.ids import new_id
from apps.common.sql import insert_rows
from apps.hosts import selectors as hosts
from apps.hosts.services import aggregates as aggregates_of_hosts
from apps.hosts.services import deltas
from apps.identity import policy
from apps.placement.errors import CANNOT_DELETE_PARENT, DUPLICATE_NAME, PROVIDER_INUSE
from apps.placement.models import Allocation, ResourceProvider
from apps.placement.services import aggregates, stock

_LONGEST = 200


class Unset(Enum):
    """For what None means something."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


def create(*, actor: Actor, name: str, provider_id: uuid.UUID | None = None, parent_id: uuid.UUID | None = None) -> ResourceProvider:
    """Raises Forbidden, Invalid (`resource_provider.parent` for a parent that is not there), Conflict `placement.duplicate_name`
    for a name or id that is taken, `resource_provider.of_host` for a host's id: its hello makes its provider."""
    policy.require(actor, "placement.provider.create")
    check_name(name, most=_LONGEST)
    row = ResourceProvider(pk=provider_id or new_id(), name=name)
    if parent_id == row.pk:
        raise _no_parent("The parent of a provider cannot be itself. Leave it out if there is none.")
    if provider_id is not None and hosts.names([provider_id]) and not ResourceProvider.objects.filter(pk=provider_id).exists():
        raise _of_host("made")
    try:
        with transaction.atomic():
            row.root_id = row.pk
            if parent_id is not None:
                stock.lock_trees()
                row.parent = _parent(parent_id)
                row.root_id = row.parent.root_id
            insert_rows([row])
            changes = {"name": name, "parent_id": parent_id}
            record.write(actor, "placement.provider.create", "resource_provider", row.pk, name=name, changes=changes)
    except IntegrityError:
        raise _taken(row) from None
    return row


def update(
    *, actor: Actor, provider_id: uuid.UUID, name: str | None = None, parent_id: uuid.UUID | Unset | None = UNSET, may_move: bool = False
) -> ResourceProvider:
    """Rename, or put below another parent (None: it becomes a root). Without `may_move` only a root gets a parent.

    Raises Forbidden, NotFound, Invalid `resource_provider.parent`, Conflict (`placement.duplicate_name`,
    `resource_provider.of_host`).
    """
    policy.require(actor, "placement.provider.update")
    if name is not None:
        check_name(name, most=_LONGEST)
    try:
        with transaction.atomic():
            stock.lock_trees()
            row = stock.lock_provider(provider_id)
            moves = parent_id is not UNSET and parent_id != row.parent_id
            if (moves or name not in (None, row.name)) and hosts.names([row.pk]):
                raise _of_host("renamed or moved")
            changes = record.changed(row, name=row.name if name is None else name)
            if moves and parent_id is not UNSET:
                changes["parent_id"] = [row.parent_id, parent_id]
                _move(row, parent_id, may_move=may_move)
            if changes:
                row.name = name or row.name
                row.save()
                record.write(actor, "placement.provider.update", "resource_provider", row.pk, name=row.name, changes=changes)
    except IntegrityError:
        raise _taken(ResourceProvider(pk=provider_id, name=name or "")) from None
    return row


def delete(*, actor: Actor, provider_id: uuid.UUID) -> None:
    """With its inventories, traits and aggregates.

    Raises Forbidden, NotFound, Conflict (`placement.resource_provider.cannot_delete_parent`, `placement.resource_provider.inuse`,
    `resource_provider.of_host`).
    """
    policy.require(actor, "placement.provider.delete")
    with transaction.atomic():
        stock.lock_trees()
        stock.lock_shapes([provider_id])
        stock.lock(whole=[provider_id])
        row = stock.lock_provider(provider_id)
        if ResourceProvider.objects.filter(parent=row).exists():
            message = f"Unable to delete parent resource provider {provider_id}: It has child resource providers."
            raise Conflict(CANNOT_DELETE_PARENT, message)
        # Whoever claims of it has locked an inventory of it, or waits for us, and finds none.
        if Allocation.objects.filter(provider=row).exists():
            raise Conflict(PROVIDER_INUSE, f"Unable to delete resource provider {provider_id}: Resource provider has allocations.")
        if hosts.names([row.pk]):
            raise _of_host("deleted")
        record.write(actor, "placement.provider.delete", "resource_provider", row.pk, name=row.name)
        deltas.note([row.root_id])
        row.delete()


def ensure_of_host(host_id: uuid.UUID, name: str) -> None:
    """A host's provider is there: it bears the host's id, is a root, and is in the host's aggregates."""
    if ResourceProvider.objects.filter(pk=host_id).exists():
        return
    # Whoever moves the host at this moment does not see its provider, nor we its move: one of us waits for the other.
    aggregates_of_hosts.keep_still(host_id)
    # A client may have been quicker with the name; the host must not suffer from that.
    for free in (name, f"{name} {host_id}"):
        ResourceProvider.objects.bulk_create([ResourceProvider(pk=host_id, name=free, root_id=host_id)], ignore_conflicts=True)
    aggregates.sync([host_id])


@transaction.atomic
def replant() -> None:
    """Repair for the audit: every provider is in the tree of its parent."""
    stock.lock_trees()
    rows = {row.pk: row for row in ResourceProvider.objects.all()}
    for row in stock.lock_providers([key for key, row in rows.items() if row.root_id != _top(row, rows)]).values():
        before, row.root_id = row.root_id, _top(row, rows)
        row.save()
        deltas.note({before, row.root_id})


def _top(row: ResourceProvider, rows: Mapping[uuid.UUID, ResourceProvider]) -> uuid.UUID:
    while row.parent_id is not None:
        row = rows[row.parent_id]
    return row.pk


def _move(row: ResourceProvider, parent_id: uuid.UUID | None, *, may_move: bool) -> None:
    """Under the lock of all trees: everything below it gets the root of its new parent."""
    if row.parent_id is not None and not may_move:
        done = "un-parenting" if parent_id is None else "re-parenting"
        raise _no_parent(f"{done} a provider is not allowed in this version of the API.")
    parent = None if parent_id is None else _parent(parent_id)
    below = _below(row)
    if parent is not None and parent.pk in below:
        raise _no_parent("creating loop in the provider tree is not allowed.")
    before, root_id = row.root_id, row.pk if parent is None else parent.root_id
    locked = stock.lock_providers(below)
    ResourceProvider.objects.filter(pk__in=locked.keys() - {row.pk}).update(root_id=root_id)
    row.parent, row.root_id = parent, root_id
    deltas.note({before, root_id})


def _below(row: ResourceProvider) -> set[uuid.UUID]:
    """The provider itself, and all below it."""
    children: dict[uuid.UUID | None, list[uuid.UUID]] = {}
    for key, parent_id in ResourceProvider.objects.filter(root_id=row.root_id).values_list("pk", "parent_id"):
        children.setdefault(parent_id, []).append(key)
    found, waiting = {row.pk}, [row.pk]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting += below
    return found


def _parent(parent_id: uuid.UUID) -> ResourceProvider:
    found = ResourceProvider.objects.filter(pk=parent_id).first()
    if found is None:
        raise _no_parent("parent provider UUID does not exist.")
    return found


def _no_parent(message: str) -> Invalid:
    return Invalid("resource_provider.parent", message, field="parent_id")


def _of_host(done: str) -> CloudError:
    return Conflict("resource_provider.of_host", f"This is the provider of an enrolled host: it cannot be {done} here.")


def _taken(row: ResourceProvider) -> Conflict:
    same_name = ResourceProvider.objects.filter(name=row.name).exclude(pk=row.pk).exists()
    what, field = (f"name: {row.name}", "name") if same_name else (f"uuid: {row.pk}", "id")
    return Conflict(DUPLICATE_NAME, f"Conflicting resource provider {what} already exists.", field=field)

