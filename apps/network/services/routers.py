"""Routers: which subnets they join, and which external network is their way out.

Everybody locks networks first, then the router.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping
from types import EllipsisType
from typing import Any, TypedDict, Unpack

from django.db import IntegrityError, transaction
from django.db.models import Count

from apps.audit.services import record
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, InvalidState, NotFound
from apps.common.sql import hold
from apps.identity import policy
from apps.network import ranges, selectors
from apps.network.models import FixedIP, FloatingIP, Network, Router, RouterInterface, Subnet
from apps.network.services import changes, in_the_way
from apps.quotas.services import accounts

_NAME = 64


class RouterChanges(TypedDict, total=False):
    """What may be changed; `external_network_id` None: no way out."""

    name: str
    external_network_id: uuid.UUID | None
    snat: bool
    admin_up: bool


@transaction.atomic
def create(
    *, actor: Actor, name: str, external_network_id: uuid.UUID | EllipsisType | None = ..., snat: bool = True, admin_up: bool = True,
) -> Router:
    """A router that joins nothing yet. `external_network_id` left out: the default way out, if there is one; None: none.

    Raises Forbidden, Invalid (name), NotFound (external network; the project, by now), InvalidState `network.not_external`,
    Conflict `router.exists`.
    """
    made = insert(actor, name, external_network_id=external_network_id, snat=snat, admin_up=admin_up)
    # Routers are not counted, so nothing else makes whoever deletes the project wait for this, or this for them.
    accounts.close([made.project_id])
    return made


def insert(
    actor: Actor, name: str, *, external_network_id: uuid.UUID | EllipsisType | None = ..., snat: bool = True, admin_up: bool = True,
    is_default: bool = False,
) -> Router:
    """The same for transactions that end by counting something in the project."""
    policy.require(actor, "network.router.create")
    project_id = policy.in_project(actor)
    check_name(name, most=_NAME)
    try:
        with transaction.atomic():
            outside = _default_way_out() if isinstance(external_network_id, EllipsisType) else _way_out(actor, external_network_id)
            router = Router.objects.create(
                project_id=project_id, name=name, external_network=outside, snat=snat, admin_up=admin_up, is_default=is_default
            )
            asked = {"external_network": outside.name if outside else None, "snat": snat, "admin_up": admin_up}
            record.write(actor, "network.router.create", "router", router.pk, project_id=project_id, name=name, changes=asked)
    except IntegrityError:
        raise _exists(name) from None
    return router


def update(*, actor: Actor, router_id: uuid.UUID, **wanted: Unpack[RouterChanges]) -> Router:
    """Change what is given. Another way out, or none, needs that no floating IP comes through the router.

    Raises NotFound (router, external network), Forbidden, Invalid (name), Conflict `router.exists`, `subnet.overlap`,
    InvalidState `network.not_external`, `router.in_use`.
    """
    if "name" in wanted:
        check_name(wanted["name"], most=_NAME)
    permission = "network.router.update"
    try:
        with transaction.atomic():
            outside = _way_out(actor, wanted.get("external_network_id"))
            router = selectors.router(actor=actor, router_id=router_id, permission=permission, lock=True)
            changed = record.changed(router, **wanted)
            if "external_network_id" in changed:
                in_the_way.require_none(actor, "router", router.name, floating_ip=FloatingIP.objects.filter(router=router))
                if outside is not None:
                    inside = Subnet.objects.filter(interface__router=router)
                    _check_overlap(outside.subnets.all(), inside, "the router has", field="external_network_id")
            for field, (_, value) in changed.items():
                setattr(router, field, value)
            if changed:
                router.save(update_fields=list(changed))
                _record(actor, router, changed)
            if set(changed) - {"name"}:
                changes.domain(router.pk)
    except IntegrityError:
        raise _exists(wanted.get("name", "")) from None
    return router


@transaction.atomic
def delete(*, actor: Actor, router_id: uuid.UUID) -> None:
    """One that joins nothing any more. Raises NotFound, Forbidden, InvalidState `router.in_use`."""
    router = selectors.router(actor=actor, router_id=router_id, permission="network.router.delete", lock=True)
    in_the_way.require_none(
        actor, "router", router.name, subnet=Subnet.objects.filter(interface__router=router),
        floating_ip=FloatingIP.objects.filter(router=router),
    )
    record.write(actor, "network.router.delete", "router", router.pk, project_id=router.project_id, name=router.name)
    Router.objects.filter(pk=router.pk).delete()
    changes.domain(router.pk)


@transaction.atomic
def attach(*, actor: Actor, router_id: uuid.UUID, subnet_id: uuid.UUID) -> RouterInterface:
    """Have a router serve a subnet under the subnet's gateway address; guests' other subnets there are reached then.

    Raises NotFound, Forbidden (also `network.not_yours`), Conflict `router.attached`, `network.routed`, `subnet.overlap`,
    `router.contended`, InvalidState `router.other_project`, `router.external_subnet`, `subnet.no_gateway`, `subnet.gateway_taken`.
    """
    permission = "network.router.update"
    way_out = selectors.router(actor=actor, router_id=router_id, permission=permission).external_network_id
    subnet = selectors.subnet_locked(actor=actor, subnet_id=subnet_id, permission=permission)
    if way_out is not None:
        hold(Network, [way_out], unchanged=True)  # it gets no subnet at this moment
    router = selectors.router(actor=actor, router_id=router_id, permission=permission, lock=True)
    if router.external_network_id not in (None, way_out):
        raise Conflict("router.contended", f"The router {router.name} has just got another way out; try again.", field="router_id")
    _check_subnet(router, subnet)
    _check_overlap([subnet], Subnet.objects.filter(interface__router=router), "the router has")
    if router.external_network_id is not None:
        _check_overlap([subnet], Subnet.objects.filter(network_id=router.external_network_id), "the router's way out has")
    interface = RouterInterface.objects.create(router=router, subnet=subnet)
    if subnet.network.router_id is None:
        Network.objects.filter(pk=subnet.network_id).update(router=router)
    _record(actor, router, {"subnet": subnet.cidr, "subnet_id": subnet.pk})
    changes.domain(subnet.network_id, router.pk)
    return interface


@transaction.atomic
def detach(*, actor: Actor, router_id: uuid.UUID, subnet_id: uuid.UUID) -> None:
    """Raises NotFound (also `router.not_attached`), Forbidden, InvalidState `router.in_use` naming floating IPs that need it."""
    permission = "network.router.update"
    selectors.router(actor=actor, router_id=router_id, permission=permission)
    subnet = selectors.subnet_locked(actor=actor, subnet_id=subnet_id, permission=permission)
    router = selectors.router(actor=actor, router_id=router_id, permission=permission, lock=True)
    interface = RouterInterface.objects.filter(router=router, subnet=subnet).first()
    if interface is None:
        raise NotFound(
            "router.not_attached", f"The subnet {subnet.cidr} is not attached to the router {router.name}.", field="subnet_id"
        )
    in_the_way.require_none(
        actor, "router", router.name, floating_ip=FloatingIP.objects.filter(router=router, fixed_ip__subnet=subnet)
    )
    interface.delete()
    if not RouterInterface.objects.filter(subnet__network=subnet.network_id).exists():
        Network.objects.filter(pk=subnet.network_id).update(router=None)
    _record(actor, router, {"subnet": [subnet.cidr, None], "subnet_id": [subnet.pk, None]})
    changes.domain(subnet.network_id, router.pk)


def in_use(project_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, dict[str, int]]:
    """How many routers of these projects serve networks that are not theirs: others would lose their gateway with these."""
    rows = Router.objects.filter(project_id__in=list(project_ids), networks__project_id__isnull=True, networks__isnull=False)
    return {
        project_id: {"routers": count}
        for project_id, count in rows.values_list("project_id").annotate(Count("pk", distinct=True)).order_by()
    }


def lock_all(project_ids: Collection[uuid.UUID]) -> None:
    """Nobody attaches anything to routers of these projects, nor leads floating IPs there, before the transaction ends."""
    list(Router.objects.select_for_update().filter(project_id__in=list(project_ids)).order_by("pk").values_list("pk"))


def forget(project_ids: Collection[uuid.UUID]) -> None:
    """Projects are gone, and so are their networks: routers, which no quota counts, are all that may be left of them."""
    gone = list(Router.objects.filter(project_id__in=list(project_ids)).values_list("pk", flat=True))
    Router.objects.filter(pk__in=gone).delete()
    changes.domain(*gone)


def _default_way_out() -> Network | None:
    outside = selectors.way_out()
    return outside if outside is not None and hold(Network, [outside.pk], unchanged=True) else None


def _way_out(actor: Actor, network_id: uuid.UUID | None) -> Network | None:
    """An external network that stays one until the transaction ends."""
    if network_id is None:
        return None
    hold(Network, [network_id], unchanged=True)
    return selectors.external(actor=actor, network_id=network_id)


def _check_subnet(router: Router, subnet: Subnet) -> None:
    """Whether it can be attached at all, to this router; both are locked."""
    network = subnet.network
    if network.external:
        raise InvalidState(
            "router.external_subnet", f"{subnet.cidr} is of the external network {network.name}: make that the router's way out "
            "instead.", field="subnet_id",
        )
    if network.project_id is not None and network.project_id != router.project_id:
        raise InvalidState("router.other_project", "Router and subnet belong to different projects.", field="subnet_id")
    there = RouterInterface.objects.select_related("router").filter(subnet=subnet).first()
    if there is not None:
        raise Conflict("router.attached", f"{subnet.cidr} is attached to the router {there.router.name} already.", field="subnet_id")
    if network.router_id not in (None, router.pk):
        other = Router.objects.get(pk=network.router_id)
        raise Conflict(
            "network.routed", f"The network {network.name} has a router already, {other.name}; a network has one.", field="subnet_id",
            router_id=str(other.pk),
        )
    if subnet.gateway is None:
        raise InvalidState("subnet.no_gateway", f"{subnet.cidr} has no gateway address for the router; set one first.", field="subnet_id")
    if FixedIP.objects.filter(subnet=subnet, address=subnet.gateway).exists():
        raise InvalidState(
            "subnet.gateway_taken", f"A port has {subnet.gateway}, the gateway address of {subnet.cidr}, so no router can have it.",
            field="subnet_id",
        )


def _check_overlap(wanted: Iterable[Subnet], present: Iterable[Subnet], where: str, *, field: str = "subnet_id") -> None:
    """No address is in two of the subnets that a router leads to. Raises Conflict `subnet.overlap`."""
    there = list(present)
    for subnet in wanted:
        for other in there:
            if ranges.overlap(subnet.cidr, other.cidr):
                raise Conflict(
                    "subnet.overlap", f"{subnet.cidr} overlaps {other.cidr}, which {where} already.", field=field, cidr=other.cidr,
                    subnet_id=str(other.pk),
                )


def _record(actor: Actor, router: Router, changed: Mapping[str, Any]) -> None:
    record.write(
        actor, "network.router.update", "router", router.pk, project_id=router.project_id, name=router.name, changes=changed
    )


def _exists(name: str) -> Conflict:
    return Conflict("router.exists", f"This project has a router named {name!r} already.", field="name")
