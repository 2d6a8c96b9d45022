"""Floating IPs: addresses of external networks that stand for fixed ones of the project's ports, one to one.

Lock order: client token, external network (shared), router, spans of addresses, port, floating IP.
"""

import uuid
from collections.abc import Collection
from typing import Any, TypedDict, Unpack

from django.db import connection, transaction
from django.db.models import Q

from apps.audit.services import record
from apps.common.context import SYSTEM, Actor
from apps.common.errors import Invalid, InvalidState, NotFound
from apps.common.ids import new_id
from apps.common.sql import fetch_prepared, hold
from apps.identity import policy
from apps.identity.fields import check_text
from apps.network import ranges, selectors
from apps.network.models import FixedIP, FloatingIP, Network, Port, Router
from apps.network.services import changes, floating_paths, port_rows
from apps.network.states import DeviceKind
from apps.operations.services import idempotency
from apps.operations.services.idempotency import Claim
from apps.quotas.services import reservations

_DESCRIPTION = 255
_SOME = (
    f"SELECT 1 FROM {FixedIP._meta.db_table} x JOIN {FloatingIP._meta.db_table} f ON f.fixed_ip_id = x.id WHERE x.port_id = ANY(%s) LIMIT 1"
)


class Changes(TypedDict, total=False):
    """What may be changed. `port_id`: what it stands for from now on, None: for nothing; `fixed_address`: of that port."""

    port_id: uuid.UUID | None
    fixed_address: str
    description: str


def create_once(*, actor: Actor, client_token: str, **wanted: Any) -> FloatingIP:
    """What `create` does, once for the same request with the same token. Raises also Conflict `client_token.reused`, NotFound (gone since)."""
    permission = "network.floating_ip.create"
    policy.require(actor, permission)
    return idempotency.once(
        actor=actor, token=client_token, request={"kind": "floating_ip.create", **wanted},
        make=lambda claim: create(actor=actor, claim=claim, **wanted),
        again=lambda ids: selectors.floating_ip(actor=actor, floating_ip_id=ids[0], permission=permission),
    )


@transaction.atomic
def create(
    *, actor: Actor, network_id: uuid.UUID | None = None, address: str = "", port_id: uuid.UUID | None = None,
    fixed_address: str = "", description: str = "", claim: Claim = idempotency.unclaimed,
) -> FloatingIP:
    """An address for the project: the one asked for, or any of the network's; with a port, it stands for that at once.

    Without a network: the one that the port's router leads out to, or the default one. IPv4, unless the asked address, the
    port or the network has nothing but IPv6. `claim`: of a client token, for its id. Raises Forbidden, Invalid, NotFound
    (network, port), InvalidState `network.not_external`, `floating_ip.no_addresses` and what `associate` raises, Conflict
    `address.taken`, NoCapacity `network.full`, QuotaExceeded.
    """
    policy.require(actor, "network.floating_ip.create")
    project_id = policy.in_project(actor)
    check_text(description, most=_DESCRIPTION)
    wanted = str(ranges.parse_address(address, field="address", code="address.invalid")) if address else ""
    key = new_id()
    claim([key])
    port = None if port_id is None else floating_paths.port_of(project_id, port_id)
    network = _external(actor, network_id, port)
    family = _family(network, wanted, port, fixed_address)
    router = None if port is None else floating_paths.router_to(network, port)
    row = FloatingIP(pk=key, project_id=project_id, network=network, description=description)
    row.port = port_rows.claim_special(
        network=network, device_kind=DeviceKind.FLOATING_IP, device_id=row.pk, project_id=project_id, address=wanted, family=family
    )
    row.address = FixedIP.objects.values_list("address", flat=True).get(port=row.port)
    if port is not None and router is not None:
        row.fixed_ip, row.router = floating_paths.fixed_ip_for(row, port, router, fixed_address), router
    row.save(force_insert=True)
    asked = {"address": row.address, "network": network.name, "port_id": port_id}
    record.write(
        actor, "network.floating_ip.create", "floating_ip", row.pk, project_id=project_id, name=str(row.address), changes=asked
    )
    changes.floating(row)
    reservations.reserve(project_id=project_id, amounts={"floating_ips": 1})
    return row


@transaction.atomic
def associate(*, actor: Actor, floating_ip_id: uuid.UUID, port_id: uuid.UUID, fixed_address: str = "") -> FloatingIP:
    """Have it stand for an address of this port from now on, whatever it stood for before.

    `fixed_address` may be left out where the port has only one that fits. Raises NotFound (floating IP, port), Forbidden,
    Invalid `floating_ip.fixed_address`, Conflict `floating_ip.fixed_taken`, InvalidState `floating_ip.no_path`, whose fact
    `missing` is `router`, `interface` or `external_network`.
    """
    permission = "network.floating_ip.update"
    seen = selectors.floating_ip(actor=actor, floating_ip_id=floating_ip_id, permission=permission)
    port = floating_paths.port_of(seen.project_id, port_id)
    router = floating_paths.router_to(seen.network, port)
    fixed_ip = floating_paths.fixed_ip_for(seen, port, router, fixed_address)
    row = selectors.floating_ip(actor=actor, floating_ip_id=floating_ip_id, permission=permission, lock=True)
    _lead(actor, row, fixed_ip, router)
    return row


@transaction.atomic
def disassociate(*, actor: Actor, floating_ip_id: uuid.UUID) -> FloatingIP:
    """Have it stand for nothing; it stays the project's. Again is no error. Raises NotFound, Forbidden."""
    row = selectors.floating_ip(
        actor=actor, floating_ip_id=floating_ip_id, permission="network.floating_ip.update", lock=True
    )
    _lead(actor, row, None, None)
    return row


@transaction.atomic
def change(*, actor: Actor, floating_ip_id: uuid.UUID, **wanted: Unpack[Changes]) -> FloatingIP:
    """Change what is given, in one transaction. Raises what `associate`, `disassociate` and `update` raise."""
    permission = "network.floating_ip.update"
    row = selectors.floating_ip(actor=actor, floating_ip_id=floating_ip_id, permission=permission)
    if "description" in wanted:
        check_text(wanted["description"], most=_DESCRIPTION)
    port_id, fixed_address = wanted.get("port_id"), wanted.get("fixed_address", "")
    if fixed_address and port_id is None:
        raise Invalid("floating_ip.fixed_address", "fixed_address: name the port_id whose address it is.", field="fixed_address")
    if port_id is not None:
        row = associate(actor=actor, floating_ip_id=floating_ip_id, port_id=port_id, fixed_address=fixed_address)
    elif "port_id" in wanted:
        row = disassociate(actor=actor, floating_ip_id=floating_ip_id)
    if "description" in wanted:
        row = update(actor=actor, floating_ip_id=floating_ip_id, description=wanted["description"])
    return row


@transaction.atomic
def update(*, actor: Actor, floating_ip_id: uuid.UUID, description: str) -> FloatingIP:
    """Raises NotFound, Forbidden, Invalid."""
    check_text(description, most=_DESCRIPTION)
    row = selectors.floating_ip(
        actor=actor, floating_ip_id=floating_ip_id, permission="network.floating_ip.update", lock=True
    )
    if changed := record.changed(row, description=description):
        row.description = description
        row.save(update_fields=["description"])
        _record(actor, row, changed)
    return row


@transaction.atomic
def delete(*, actor: Actor, floating_ip_id: uuid.UUID) -> None:
    """Give the address back. Raises NotFound, Forbidden."""
    row = selectors.floating_ip(
        actor=actor, floating_ip_id=floating_ip_id, permission="network.floating_ip.delete", lock=True
    )
    record.write(
        actor, "network.floating_ip.delete", "floating_ip", row.pk, project_id=row.project_id, name=str(row.address)
    )
    changes.floating(row)
    FloatingIP.objects.filter(pk=row.pk).delete()
    port_rows.remove([row.port_id])
    reservations.release(project_id=row.project_id, amounts={"floating_ips": 1})


def release_of_ports(port_ids: Collection[uuid.UUID], *, actor: Actor = SYSTEM) -> None:
    """These ports (locked by the caller) are about to go: what stands for their addresses stands for nothing then.

    `actor`: who takes them away; those of instances go when their host has said so.
    """
    ids = list(port_ids)
    # Nearly always none does; while a port is locked, none comes to.
    if connection.vendor == "postgresql" and (not ids or not fetch_prepared(_SOME, [ids])):
        return
    _release(actor, Q(fixed_ip__port_id__in=ids))


def release_of_addresses(fixed_ips: Collection[FixedIP], *, actor: Actor) -> None:
    """The same for some addresses of ports that keep others."""
    _release(actor, Q(fixed_ip_id__in=[row.pk for row in fixed_ips]))


def _release(actor: Actor, which: Q) -> None:
    for row in FloatingIP.objects.select_for_update(of=("self",)).select_related("fixed_ip").filter(which).order_by("pk"):
        _lead(actor, row, None, None)


def _lead(actor: Actor, row: FloatingIP, fixed_ip: FixedIP | None, router: Router | None) -> None:
    """Have a floating IP (locked) stand for this, by way of this router."""
    if row.fixed_ip_id == (fixed_ip.pk if fixed_ip else None):
        return
    before, was = row.fixed_ip.address if row.fixed_ip else None, row.router_id
    row.fixed_ip, row.router = fixed_ip, router
    row.save(update_fields=["fixed_ip", "router"])
    changed: dict[str, Any] = {"fixed_address": [before, fixed_ip.address if fixed_ip else None]}
    _record(actor, row, changed | ({"port_id": fixed_ip.port_id} if fixed_ip else {}))
    changes.floating(row, was=was)


def _external(actor: Actor, network_id: uuid.UUID | None, port: Port | None) -> Network:
    """The network that the address is to come from; it stays external until the transaction ends."""
    if network_id is None and port is not None:
        network_id = Router.objects.filter(networks=port.network_id).values_list("external_network_id", flat=True).first()
    if network_id is None:
        default = selectors.way_out()
        if default is None:
            raise NotFound(
                "network.no_default_external", "There is no default external network: name the one to use.", field="network_id"
            )
        network_id = default.pk
    hold(Network, [network_id], unchanged=True)
    network = selectors.shown(actor=actor, network_id=network_id)
    if not network.external:
        raise InvalidState(
            "network.not_external", f"The network {network.name} is not external; floating IPs come from those that are.",
            field="network_id",
        )
    return network


def _family(network: Network, wanted: str, port: Port | None, fixed_address: str) -> int:
    """4 or 6: what can be told from what is given, and IPv4 if that is possible."""
    text = wanted or fixed_address
    if text:
        family = ranges.parse_address(text, field="fixed_address", code="floating_ip.fixed_address").version
    else:
        possible = set(network.subnets.values_list("family", flat=True))
        if port is not None:
            possible &= set(FixedIP.objects.filter(port=port).values_list("subnet__family", flat=True))
        family = 6 if possible == {6} else 4
    if not network.subnets.filter(family=family).exists():
        raise InvalidState(
            "floating_ip.no_addresses", f"The network {network.name} has no IPv{family} subnet that addresses could come from; "
            "an operator can make one.", field="network_id",
        )
    return family


def _record(actor: Actor, row: FloatingIP, changed: dict[str, Any]) -> None:
    record.write(
        actor, "network.floating_ip.update", "floating_ip", row.pk, project_id=row.project_id, name=str(row.address), changes=changed
    )
