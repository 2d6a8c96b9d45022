"""Network cards that instances are asked for with: found and checked before anything is made; ports come with the host."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from apps.common import ids
from apps.common.context import Actor
from apps.common.errors import CloudError, Invalid, InvalidState, NotFound
from apps.network import selectors
from apps.network.services import defaults, plugs, port_rows
from apps.network.services.port_rows import Claimed

# A machine has slots for so many.
MOST = 16


@dataclass(frozen=True, kw_only=True)
class WantedCard:
    """A new port in a network, or a port that is there. `security_groups`: names or ids; None: as the request says for all."""

    network_id: uuid.UUID | None = None
    port_id: uuid.UUID | None = None
    address: str = ""
    security_groups: Sequence[str] | None = None


@dataclass(frozen=True)
class Cards:
    """`network_id`: of the first one. `stored`: as `Instance.wanted_cards` has them. `new`: how many ports are to be made."""

    network_id: uuid.UUID
    stored: list[dict[str, Any]]
    new: int


def resolve(
    *, actor: Actor, networks: Sequence[WantedCard], network_id: uuid.UUID | None, security_groups: Sequence[str] | None, count: int
) -> Cards:
    """What each of `count` instances gets. Raises Forbidden, Invalid, NotFound, InvalidState, and what `defaults.ensure` raises."""
    if networks and network_id is not None:
        raise Invalid("instance.networks", "network_id: give either networks or network_id.", field="network_id")
    if len(networks) > MOST:
        raise Invalid("instance.networks", f"networks: an instance has at most {MOST} cards, got {len(networks)}.", field="networks")
    if not networks and network_id is None and security_groups is None:
        return Cards(defaults.ensure(actor=actor).pk, [], 1)
    common = None if security_groups is None else groups_named(actor, security_groups, "security_groups")
    if not networks:
        return resolve_one(actor=actor, card=WantedCard(network_id=network_id or defaults.ensure(actor=actor).pk), common=common)
    _check_single(networks, count)
    found = []
    for number, card in enumerate(networks):
        try:
            found.append(resolve_one(actor=actor, card=card, common=common))
        except CloudError as error:
            error.field = f"networks.{number}.{error.field}" if error.field else f"networks.{number}"
            raise
    return Cards(found[0].network_id, [stored for each in found for stored in each.stored], sum(each.new for each in found))


def resolve_one(*, actor: Actor, card: WantedCard, common: Sequence[uuid.UUID] | None = None) -> Cards:
    """One card; `common`: its security groups, if it names none. Raises Forbidden, Invalid, NotFound, InvalidState."""
    if (card.network_id is None) == (card.port_id is None):
        raise Invalid("instance.networks", "network_id: give either network_id or port_id.", field="network_id")
    if card.port_id is not None:
        return _port(actor, card, card.port_id)
    assert card.network_id is not None
    network = selectors.network(actor=actor, network_id=card.network_id)
    subnets = list(network.subnets.all())
    if not subnets:
        raise InvalidState(
            "network.no_subnet", f"The network {network.name} has no subnet, so it has no address to give.", field="network_id"
        )
    stored: dict[str, Any] = {"network_id": str(network.pk)}
    if card.address:
        stored["address"] = port_rows.address_in(subnets, card.address, field="address")
    groups = common if card.security_groups is None else groups_named(actor, card.security_groups, "security_groups")
    if groups is not None:
        if groups and not network.port_security:
            raise plugs.no_port_security(network)
        stored["groups"] = [str(group_id) for group_id in groups]
    return Cards(network.pk, [stored], 1)


def _port(actor: Actor, card: WantedCard, port_id: uuid.UUID) -> Cards:
    if card.address or card.security_groups is not None:
        raise Invalid(
            "instance.networks", "port_id: a port has its addresses and security groups; change them there.", field="port_id"
        )
    port = selectors.port(actor=actor, port_id=port_id)
    if port.project_id != actor.project_id:
        raise NotFound("port.not_found", f"There is no port {port_id} in this project.", field="port_id")
    plugs.require_free(port)
    return Cards(port.network_id, [{"port_id": str(port.pk)}], 0)


def _check_single(networks: Sequence[WantedCard], count: int) -> None:
    """What there is once is not for several."""
    ports = [card.port_id for card in networks if card.port_id is not None]
    for number, card in enumerate(networks):
        what = "port_id" if card.port_id is not None else "address" if card.address else ""
        field = f"networks.{number}.{what}"
        if count > 1 and what:
            raise Invalid("instance.networks", f"{field}: one instance can have it, and {count} are asked for.", field=field)
        if ports.count(card.port_id or uuid.UUID(int=0)) > 1:
            raise Invalid("instance.networks", f"{field}: this port is named twice.", field=field)


def groups_named(actor: Actor, texts: Sequence[str], field: str) -> list[uuid.UUID]:
    """The project's security groups of these names or ids, each once. Raises NotFound, naming the first that is not there."""
    if not texts:
        return []
    rows = selectors.groups(actor=actor).order_by().prefetch_related(None)
    wanted = {text: ids.parse(text) for text in texts}
    by_id = Q(pk__in=[group_id for group_id in wanted.values() if group_id is not None])
    found = dict(rows.filter(Q(project_id=actor.project_id), by_id | Q(name__in=texts)).values_list("pk", "name"))
    named = {name: group_id for group_id, name in found.items()}
    chosen = []
    for text, group_id in wanted.items():
        key = group_id if group_id is not None and group_id in found else named.get(text)
        if key is None:
            raise NotFound("security_group.not_found", f"{field}: there is no security group {text[:64]!r} in this project.", field=field)
        chosen.append(key)
    return list(dict.fromkeys(chosen))


def wishes(
    instance_id: uuid.UUID, project_id: uuid.UUID, stored: Sequence[dict[str, Any]], host_id: uuid.UUID | None, name: str
) -> list[plugs.Wish]:
    """The ports that an instance is to have on its host; `stored` as `Cards.stored`."""
    return [
        plugs.Wish(
            instance_id, project_id, network_id=_id(card.get("network_id")), port_id=_id(card.get("port_id")),
            addresses=(card["address"],) if card.get("address") else (),
            groups=None if card.get("groups") is None else tuple(map(uuid.UUID, card["groups"])), host_id=host_id, name=name,
        )
        for card in stored
    ]


def _id(text: str | None) -> uuid.UUID | None:
    return None if text is None else uuid.UUID(text)


def addresses_of(claimed: Sequence[Claimed]) -> list[dict[str, object]]:
    """The addresses of an instance's ports as it carries them."""
    return [selectors.embed(each.port, fixed.address, fixed.subnet.family) for each in claimed for fixed in each.fixed]
