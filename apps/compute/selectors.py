"""Reads of instances, flavors and key pairs, scoped to the actor's project (or the actor)."""

import uuid

from django.db.models import Q, QuerySet

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.common.sql import SAMPLE, Compiled
from apps.compute.models import Flavor, Instance, KeyPair
from apps.compute.states import InstanceState


def instances(*, actor: Actor, all_projects: bool = False) -> "QuerySet[Instance]":
    """Living instances of the project; operators may ask for all projects'."""
    rows = Instance.objects.exclude(state=InstanceState.DELETED)
    return rows if all_projects and actor.is_admin else rows.filter(Q(project_id=actor.project_id))


def instance(*, actor: Actor, instance_id: uuid.UUID) -> Instance:
    """Raises NotFound."""
    found = instances(actor=actor, all_projects=True).filter(pk=instance_id).first()
    if found is None:
        raise not_found(instance_id)
    return found


def known_instance(*, actor: Actor, instance_id: uuid.UUID) -> Instance:
    """Also one that is deleted: for its timeline. Raises NotFound."""
    rows = Instance.objects.all() if actor.is_admin else Instance.objects.filter(Q(project_id=actor.project_id))
    found = rows.filter(pk=instance_id).first()
    if found is None:
        raise not_found(instance_id)
    return found


def locked(*, actor: Actor, instance_id: uuid.UUID) -> Instance:
    """The same as `instance`, locked for change. Raises NotFound."""
    found = instances(actor=actor, all_projects=True).select_for_update().filter(pk=instance_id).first()
    if found is None:
        raise not_found(instance_id)
    return found


def not_found(instance_id: uuid.UUID) -> NotFound:
    return NotFound("instance.not_found", f"There is no instance {instance_id} in this project.")


def flavors() -> "QuerySet[Flavor]":
    return Flavor.objects.filter(enabled=True)


_FLAVOR = Compiled(lambda flavor_id: Flavor.objects.filter(pk=flavor_id), SAMPLE)


def flavor(*, flavor_id: uuid.UUID) -> Flavor:
    """Raises NotFound."""
    found = _FLAVOR.first(flavor_id)
    if found is None:
        raise NotFound("flavor.not_found", f"There is no flavor {flavor_id}.", field="flavor_id")
    return found


def flavor_named(name: str) -> Flavor:
    """Raises NotFound."""
    found = flavors().filter(name=name).first()
    if found is None:
        raise NotFound("flavor.not_found", f"There is no flavor named {name!r}.", field="flavor")
    return found


def key_pairs(*, actor: Actor) -> "QuerySet[KeyPair]":
    return KeyPair.objects.filter(Q(user_id=actor.user_id))


def key_pair(*, actor: Actor, name: str) -> KeyPair:
    """Raises NotFound."""
    found = key_pairs(actor=actor).filter(name=name).first()
    if found is None:
        raise NotFound("key_pair.not_found", f"You have no key pair named {name!r}.", field="key_name")
    return found
