"""Reads of instances, flavors and key pairs, scoped to the actor's project (or the actor)."""

import uuid
from collections.abc import Collection

from django.db.models import Count, Q, QuerySet, Sum

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.common.sql import SAMPLE, Compiled
from apps.compute import names
from apps.compute.models import Flavor, Instance, KeyPair
from apps.compute.states import InstanceState
from apps.identity import policy


def instances(*, actor: Actor, all_projects: bool = False) -> "QuerySet[Instance]":
    """Living instances of the project; operators may ask for all projects'."""
    policy.require(actor, "compute.instance.list")
    return _visible(actor, "compute.instance.list", all_projects=all_projects).exclude(state=InstanceState.DELETED)


def instance(
    *, actor: Actor, instance_id: uuid.UUID, permission: str = "compute.instance.get", lock: bool = False
) -> Instance:
    """`permission`: what is to be done with it; `lock`: for change in the caller's transaction. Raises NotFound, Forbidden."""
    rows = _visible(actor, permission).exclude(state=InstanceState.DELETED)
    return _one(actor, permission, rows.select_for_update() if lock else rows, instance_id)


def known_instance(*, actor: Actor, instance_id: uuid.UUID, permission: str = "compute.instance.get") -> Instance:
    """Also one that is deleted: for its timeline. Raises NotFound, Forbidden."""
    return _one(actor, permission, _visible(actor, permission), instance_id)


def _one(actor: Actor, permission: str, rows: "QuerySet[Instance]", instance_id: uuid.UUID) -> Instance:
    policy.require(actor, permission)
    found = rows.filter(pk=instance_id).first()
    if found is None:
        raise not_found(instance_id)
    # Who may look everywhere may not do everything everywhere.
    policy.require(actor, permission, project_id=found.project_id)
    return found


def _visible(actor: Actor, permission: str, *, all_projects: bool = True) -> "QuerySet[Instance]":
    """The project's; all for whom may do that, or at least look, everywhere."""
    if all_projects and (policy.everywhere(actor, permission) or policy.everywhere(actor, "compute.instance.get")):
        return Instance.objects.all()
    return Instance.objects.filter(Q(project_id=actor.project_id))


def not_found(instance_id: uuid.UUID) -> NotFound:
    return NotFound("instance.not_found", f"There is no instance {instance_id} in this project.")


def flavors(*, actor: Actor) -> "QuerySet[Flavor]":
    """Those that are offered. Raises Forbidden."""
    policy.require(actor, "compute.flavor.list")
    return Flavor.objects.filter(enabled=True)


_FLAVOR = Compiled(lambda flavor_id: Flavor.objects.filter(pk=flavor_id), SAMPLE)


def flavor(*, actor: Actor, flavor_id: uuid.UUID) -> Flavor:
    """Raises Forbidden, NotFound."""
    policy.require(actor, "compute.flavor.get")
    found = _FLAVOR.first(flavor_id)
    if found is None:
        raise NotFound("flavor.not_found", f"There is no flavor {flavor_id}.", field="flavor_id")
    return found


def flavor_named(*, actor: Actor, name: str) -> Flavor:
    """Raises NotFound."""
    found = flavors(actor=actor).filter(name=name).first()
    if found is None:
        raise NotFound("flavor.not_found", f"There is no flavor named {name!r}.", field="flavor")
    return found


def key_pairs(*, actor: Actor, permission: str = "compute.key_pair.list") -> "QuerySet[KeyPair]":
    """One's own. Raises Forbidden."""
    policy.require(actor, permission)
    return KeyPair.objects.filter(Q(user_id=actor.user_id))


def key_pair(*, actor: Actor, name: str, permission: str = "compute.key_pair.get") -> KeyPair:
    """Raises NotFound, Forbidden."""
    found = key_pairs(actor=actor, permission=permission).filter(name=name).first()
    if found is None:
        raise NotFound("key_pair.not_found", f"You have no key pair named {name!r}.", field="key_name")
    return found


def usage(project_ids: Collection[uuid.UUID] | None) -> dict[uuid.UUID, dict[str, int]]:
    """What instances count as in quotas, by project: all that are not deleted, whatever state they are in."""
    rows = Instance.objects.exclude(state=InstanceState.DELETED)
    if project_ids is not None:
        rows = rows.filter(project_id__in=list(project_ids))
    counted = rows.values_list("project_id").annotate(Count("pk"), *map(Sum, names.SIZES)).order_by()
    return {row[0]: dict(zip(("instances", *names.SIZES), row[1:], strict=True)) for row in counted}
