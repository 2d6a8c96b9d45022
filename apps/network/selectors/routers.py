"""Routers and floating IPs: of the actor's project."""

import ipaddress
import uuid

from django.db.models import Q, QuerySet

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.identity import policy
from apps.network.models import FloatingIP, Router


def routers(*, actor: Actor, all_projects: bool = False) -> "QuerySet[Router]":
    """The project's with their subnets; operators may ask for all projects'. Raises Forbidden."""
    permission = "network.router.list"
    policy.require(actor, permission)
    rows = _routers(actor, permission, all_projects=all_projects)
    return rows.select_related("external_network").prefetch_related("interfaces__subnet")


def router(*, actor: Actor, router_id: uuid.UUID, permission: str = "network.router.get", lock: bool = False) -> Router:
    """`permission`: what is to be done with it; `lock`: for change in the caller's transaction. Raises Forbidden, NotFound."""
    policy.require(actor, permission)
    rows = _routers(actor, permission).filter(pk=router_id)
    found = (rows.select_for_update(no_key=permission != "network.router.delete") if lock else rows).first()
    if found is None:
        raise NotFound("router.not_found", f"There is no router {router_id} in this project.", field="router_id")
    return found


def router_named(*, actor: Actor, name: str) -> Router:
    """The project's of that name. Raises Forbidden, NotFound."""
    policy.require(actor, "network.router.get")
    found = Router.objects.filter(Q(project_id=actor.project_id), name=name).first()
    if found is None:
        raise NotFound("router.not_found", f"There is no router named {name!r} in this project.", field="router")
    return found


def floating_ips(*, actor: Actor, all_projects: bool = False) -> "QuerySet[FloatingIP]":
    """The project's, with what they stand for; operators may ask for all projects'. Raises Forbidden."""
    permission = "network.floating_ip.list"
    policy.require(actor, permission)
    return _floating(actor, permission, all_projects=all_projects).select_related("network", "fixed_ip__port", "router")


def floating_ip(
    *, actor: Actor, floating_ip_id: uuid.UUID, permission: str = "network.floating_ip.get", lock: bool = False
) -> FloatingIP:
    """`permission`: what is to be done with it; `lock`: for change in the caller's transaction. Raises Forbidden, NotFound."""
    policy.require(actor, permission)
    rows = _floating(actor, permission).filter(pk=floating_ip_id)
    found = rows.select_for_update().first() if lock else rows.select_related("network", "fixed_ip__port", "router").first()
    if found is None:
        raise NotFound(
            "floating_ip.not_found", f"There is no floating IP {floating_ip_id} in this project.", field="floating_ip_id"
        )
    return found


def floating_ip_at(*, actor: Actor, address: str) -> FloatingIP:
    """The project's at that address. Raises Forbidden, NotFound."""
    policy.require(actor, "network.floating_ip.get")
    rows = FloatingIP.objects.filter(Q(project_id=actor.project_id)).select_related("network")
    try:
        found = rows.filter(address=str(ipaddress.ip_address(address))).first()
    except ValueError:
        found = None
    if found is None:
        raise NotFound("floating_ip.not_found", f"This project has no floating IP {address[:64]}.", field="floating_ip")
    return found


def _routers(actor: Actor, permission: str, *, all_projects: bool = True) -> "QuerySet[Router]":
    if all_projects and policy.everywhere(actor, permission):
        return Router.objects.all()
    return Router.objects.filter(Q(project_id=actor.project_id))


def _floating(actor: Actor, permission: str, *, all_projects: bool = True) -> "QuerySet[FloatingIP]":
    if all_projects and policy.everywhere(actor, permission):
        return FloatingIP.objects.all()
    return FloatingIP.objects.filter(Q(project_id=actor.project_id))
