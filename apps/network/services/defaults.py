"""What a project has without asking: a network, a router to the outside and a security group, made when they are first needed.

They go with the project, too, unless somebody uses them.
"""

import dataclasses
import uuid
from collections.abc import Collection

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from apps.common.context import EVERYTHING, Actor
from apps.common.errors import Conflict
from apps.common.sql import SAMPLE, Compiled
from apps.identity import policy
from apps.network import builtin, ranges
from apps.network.models import Network, Router, RouterInterface, SecurityGroup, Subnet
from apps.network.services import groups, networks, routers, subnets

_DEFAULT = Compiled(lambda project_id: Network.objects.filter(project_id=project_id, is_default=True), SAMPLE)


def ensure(*, actor: Actor) -> Network:
    """The network that the project's instances are in unless they name another; made on first use, with router and group.

    Raises Conflict `network.no_default` if another network has taken its name, NoCapacity `segment.exhausted`, QuotaExceeded,
    Forbidden.
    """
    project_id = policy.in_project(actor)
    found = _DEFAULT.first(project_id)
    if found is not None:
        return found
    policy.require(actor, "network.network.create")
    made = Network(project_id=project_id, name=builtin.DEFAULT_NAME, is_default=True)
    planned = networks.plan_subnets(made)
    # Whoever may make a network gets this one whole, whether or not its roles name routers.
    maker = dataclasses.replace(actor, system_grants=EVERYTHING)
    try:
        with transaction.atomic():
            _make(maker, project_id, made, planned)
    except (IntegrityError, Conflict) as error:
        found = _DEFAULT.first(project_id)
        if found is not None:
            return found  # a twin was first
        if isinstance(error, Conflict):
            raise
        raise Conflict(
            "network.no_default", f"The project has no default network, and another one is named `{builtin.DEFAULT_NAME}`: name the one "
            "to use.", field="network_id",
        ) from None
    return made


def ensure_group(project_id: uuid.UUID) -> SecurityGroup:
    """The security group of ports for which nobody has named one; made on first use."""
    return groups.ensure_default(project_id)


def unused(project_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, dict[str, int]]:
    """What these projects have that goes by itself when they are deleted: default networks without a port."""
    return {project_id: {"networks": 1} for project_id in _unused(project_ids).values_list("project_id", flat=True) if project_id}


def drop_unused(project_ids: Collection[uuid.UUID]) -> None:
    """Delete these, in the transaction that deletes the projects; `routers.forget` and `groups.forget` do the rest.

    Nobody attaches anything to the projects' routers from now on.
    """
    ids = list(_unused(project_ids).order_by("pk").values_list("pk", flat=True))
    for network in Network.objects.select_for_update().filter(pk__in=ids).order_by("pk"):
        if not network.ports.exists():
            RouterInterface.objects.filter(subnet__network=network).delete()
            networks.drop(network)
    routers.lock_all(project_ids)


def _make(actor: Actor, project_id: uuid.UUID, made: Network, planned: list[Subnet]) -> None:
    networks.insert(actor, made)
    for subnet in planned:
        subnets.insert(actor, made, subnet)
    ensure_group(project_id)
    router = _router(actor, project_id, planned)
    for subnet in planned:
        routers.attach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
    made.router = router
    networks.count(made)


def _router(actor: Actor, project_id: uuid.UUID, planned: list[Subnet]) -> Router:
    """The project's default router, made if there is none; one more if that one cannot serve these subnets."""
    rows = Router.objects.filter(project_id=project_id)
    present = rows.select_for_update(no_key=True).filter(is_default=True).first()
    if present is not None:
        there = Subnet.objects.filter(interface__router=present).values_list("cidr", flat=True)
        if not any(ranges.overlap(subnet.cidr, cidr) for subnet in planned for cidr in there):
            return present
    name = builtin.DEFAULT_NAME
    if rows.filter(name=name).exists():
        name = f"{name}-{planned[0].pk.hex[-6:]}"
    return routers.insert(actor, name, is_default=present is None)


def _unused(project_ids: Collection[uuid.UUID]) -> "QuerySet[Network]":
    return Network.objects.filter(project_id__in=list(project_ids), is_default=True, ports__isnull=True, shared=False)
