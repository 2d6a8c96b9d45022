"""Ports that projects make by themselves: they are attached to instances and outlive them. Those of instances: `plugs`."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, TypedDict, Unpack

from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import CloudError, Conflict, Forbidden, Invalid, InvalidState
from apps.common.sql import insert_rows
from apps.identity import policy
from apps.network import plug_inputs, selectors
from apps.network.models import FixedIP, Network, Port, PortGroup
from apps.network.selectors.networks import PROVIDE
from apps.network.services import addresses, changes, floating, groups, plugs, port_rows
from apps.network.services.port_rows import Asked, Claimed, Need
from apps.network.states import DeviceKind, NetworkKind
from apps.operations.services import idempotency
from apps.operations.services.idempotency import Claim
from apps.quotas.services import reservations

# A MAC, or an address outside of the pools, may be taken at the very moment: so often it is looked again.
_TRIES = 3
FixedWishes = Sequence[Mapping[str, Any]]


class Changes(TypedDict, total=False):
    """What may be changed; `mac` and `fixed` only of a port that nothing has. `group_ids`: see `groups.set_of_port`."""

    name: str
    mac: str
    fixed: FixedWishes
    pairs: Sequence[Mapping[str, Any]]
    port_security: bool
    admin_up: bool
    dns_name: str
    group_ids: Collection[uuid.UUID]


def create_once(*, actor: Actor, client_token: str, **wanted: Any) -> Port:
    """What `create` does, once for the same request with the same token. Raises also Conflict `client_token.reused`, NotFound (gone since)."""
    permission = "network.port.create"
    policy.require(actor, permission)
    return idempotency.once(
        actor=actor, token=client_token, request={"kind": "port.create", **wanted},
        make=lambda claim: create(actor=actor, claim=claim, **wanted),
        again=lambda ids: selectors.port(actor=actor, port_id=ids[0], permission=permission),
    )


def create(
    *, actor: Actor, network_id: uuid.UUID, name: str = "", mac: str = "", fixed: FixedWishes | None = None,
    group_ids: Collection[uuid.UUID] | None = None, pairs: Sequence[Mapping[str, Any]] = (), port_security: bool | None = None,
    admin_up: bool = True, dns_name: str = "", claim: Claim = idempotency.unclaimed,
) -> Port:
    """A port in a network of the project, or in a shared one; operators may use external ones, too.

    `fixed`: [{"subnet_id": …, "address": …}, …] with either or both; None: one address of each family that the network has.
    `group_ids`: None for the default one. `claim`: of a client token, for its id. Raises Forbidden, Invalid (`port.…`, `address.…`),
    NotFound (network, group), Conflict `address.taken`, `port.mac_taken`, InvalidState `network.no_ports`, `port.no_port_security`,
    NoCapacity `network.full`, QuotaExceeded.
    """
    policy.require(actor, "network.port.create")
    project_id = policy.in_project(actor)
    _check_name(name)
    network = _network(actor, network_id)
    secure = network.port_security if port_security is None else port_security
    port = Port(
        network=network, project_id=project_id, name=name, mac=plug_inputs.parse_mac(mac) if mac else "", keep=True,
        device_kind=DeviceKind.NONE.value, admin_up=admin_up, port_security=secure,
        pairs=plug_inputs.parse_pairs(pairs), dns_name=plug_inputs.parse_dns_name(dns_name),
    )
    _check_security(actor, port, network, groups_named=bool(group_ids))
    asked = None if fixed is None else _asked(fixed)
    for _ in range(_TRIES):
        try:
            port.mac = port.mac or port_rows.new_mac()
            addresses.decided(partial(_insert, actor, port, network, asked, group_ids, claim))
        except IntegrityError:
            _check_mac(port.mac if mac else "")
            port.mac = port.mac if mac else ""
        else:
            return port
    raise _contended()


def update(*, actor: Actor, port_id: uuid.UUID, **wanted: Unpack[Changes]) -> Port:
    """Change what is given.

    Raises what `create` raises, and InvalidState `port.in_use` for what an instance's port keeps.
    """
    if "name" in wanted:
        _check_name(wanted["name"])
    values = _parsed(wanted)
    asked = _asked(wanted["fixed"]) if "fixed" in wanted else None
    for _ in range(_TRIES):
        try:
            return addresses.decided(partial(_update, actor, port_id, values, asked, wanted.get("group_ids")))
        except IntegrityError:
            _check_mac(values.get("mac", ""), but=port_id)
    raise _contended()


@transaction.atomic
def delete(*, actor: Actor, port_id: uuid.UUID) -> None:
    """Floating IPs that stand for its addresses stand for nothing then.

    Raises NotFound, Forbidden, InvalidState `port.in_use` naming the instance that has it.
    """
    port = selectors.port(actor=actor, port_id=port_id, permission="network.port.delete", lock=True)
    plugs.require_free(port)
    record.write(actor, "network.port.delete", "port", port.pk, project_id=port.project_id, name=port.name or port.mac)
    floating.release_of_ports([port.pk], actor=actor)
    port_rows.remove([port.pk])
    if port.project_id is not None:
        reservations.release(project_id=port.project_id, amounts={"ports": 1})


def _insert(
    actor: Actor, port: Port, network: Network, asked: list[Asked] | None, group_ids: Collection[uuid.UUID] | None, claim: Claim,
    patient: bool,
) -> None:
    claim([port.pk])
    joined = _joined(port, group_ids)
    subnets = list(network.subnets.order_by("family", "pk"))
    need = Need(subnets, port.mac, port.project_id, tuple(asked or ()), others=asked is None)
    (found,) = port_rows.allot([need], patient=patient)
    port_rows.insert([Claimed(port, network, found)], {port.pk: joined})
    told = {
        "network": network.name, "mac": port.mac, "addresses": ", ".join(each.address for each in found),
        "port_security": port.port_security, "pairs": _shown(port.pairs),
    }
    record.write(actor, "network.port.create", "port", port.pk, project_id=port.project_id, name=port.name or port.mac, changes=told)
    assert port.project_id is not None
    reservations.reserve(project_id=port.project_id, amounts={"ports": 1})


def _update(
    actor: Actor, port_id: uuid.UUID, values: dict[str, Any], asked: list[Asked] | None, group_ids: Collection[uuid.UUID] | None,
    patient: bool,
) -> Port:
    port = selectors.port(actor=actor, port_id=port_id, permission="network.port.update", lock=True)
    _change(actor, port, values, asked, patient=patient)
    if group_ids is not None:
        groups.set_of_port(actor=actor, port_id=port_id, group_ids=group_ids)
    return port


def _change(actor: Actor, port: Port, values: dict[str, Any], asked: list[Asked] | None, *, patient: bool) -> None:
    """Everything but the groups of a locked port."""
    changed = record.changed(port, **values)
    if "mac" in changed or asked is not None:
        plugs.require_free(port)
    for field, (_, value) in changed.items():
        setattr(port, field, value)
    if {"port_security", "pairs"} & set(changed):
        _check_security(actor, port, port.network, groups_named=False)
    if asked is not None:
        before = _addresses(port)
        _move(actor, port, asked, patient=patient)
        if (after := _addresses(port)) != before:
            changed["addresses"] = [", ".join(before), ", ".join(after)]
    if not changed:
        return
    port.save(update_fields=[field for field in changed if field != "addresses"])
    if changed.get("port_security", [])[1:] == [True] and not port.memberships.exists():
        # In no group it would be sent nothing and send nothing.
        insert_rows([PortGroup(port_id=port.pk, group_id=group_id) for group_id in _joined(port, None)])
    if "pairs" in changed:
        changed["pairs"] = [_shown(pairs) for pairs in changed["pairs"]]
    record.write(
        actor, "network.port.update", "port", port.pk, project_id=port.project_id, name=port.name or port.mac, changes=changed
    )
    changes.ports([port])


def _move(actor: Actor, port: Port, asked: list[Asked], *, patient: bool) -> None:
    """Have a locked port hold these addresses, and no others; those that it has already stay."""
    has = {(row.subnet_id, str(row.address)): row for row in FixedIP.objects.filter(port=port).order_by("pk")}
    subnets = list(port.network.subnets.order_by("family", "pk"))
    kept, new = _kept(has, asked, subnets)
    gone = [row for row in has.values() if row not in kept]
    floating.release_of_addresses(gone, actor=actor)
    addresses.free(gone)
    (found,) = port_rows.allot([Need(subnets, port.mac, port.project_id, tuple(new), others=False)], patient=patient)
    insert_rows([FixedIP(port=port, subnet=each.subnet, address=each.address) for each in found])


def _kept(
    has: Mapping[tuple[uuid.UUID, str], FixedIP], asked: Sequence[Asked], subnets: Sequence[Any]
) -> tuple[list[FixedIP], list[Asked]]:
    """Which rows fulfil which wishes, the exact ones first; and the wishes that are left."""
    kept: list[FixedIP] = []
    new = []
    for wish in sorted(asked, key=lambda wish: not wish.address):
        fitting = [
            row for (subnet_id, address), row in has.items()
            if row not in kept and wish.subnet_id in (None, subnet_id) and wish.address in ("", address)
        ]
        if fitting:
            kept.append(fitting[0])
        else:
            new.append(wish)
    return kept, new


def _network(actor: Actor, network_id: uuid.UUID) -> Network:
    """Where the actor may make a port. Raises NotFound, Forbidden, InvalidState."""
    if not policy.everywhere(actor, PROVIDE):
        return selectors.network(actor=actor, network_id=network_id)
    network = selectors.shown(actor=actor, network_id=network_id)
    if network.kind == NetworkKind.HOST:
        raise InvalidState("network.no_ports", f"The network {network.name} is the hosts' own way out: no port can be there.", field="network_id")
    return network


def _check_security(actor: Actor, port: Port, network: Network, *, groups_named: bool) -> None:
    """Who shares a network with others may not weaken what protects them. Raises Forbidden, InvalidState."""
    weaker = port.pairs or (network.port_security and not port.port_security)
    if weaker and network.project_id != actor.project_id and not policy.everywhere(actor, PROVIDE):
        raise Forbidden(
            "network.not_yours", f"The network {network.name} is shared with your project, but not its own: pairs and port security "
            "are its owner's.", field="pairs" if port.pairs else "port_security",
        )
    if not port.port_security and (groups_named or port.pairs):
        field = "security_groups" if groups_named else "pairs"
        raise InvalidState("port.no_port_security", f"{field}: without port security nothing is filtered, so these mean nothing.", field=field)


def _joined(port: Port, group_ids: Collection[uuid.UUID] | None) -> list[uuid.UUID]:
    if not port.port_security:
        return []
    if group_ids is None:
        assert port.project_id is not None
        return [groups.ensure_default(port.project_id).pk]
    return groups.joinable(project_id=port.project_id, group_ids=group_ids)


def _asked(fixed: FixedWishes) -> list[Asked]:
    if len(fixed) > plug_inputs.MOST_FIXED:
        raise Invalid("port.fixed", f"fixed: a port has at most {plug_inputs.MOST_FIXED} addresses, got {len(fixed)}.", field="fixed")
    found = []
    for number, each in enumerate(fixed):
        address, subnet_id = each.get("address") or "", each.get("subnet_id")
        if not address and subnet_id is None:
            raise Invalid("port.fixed", f"fixed.{number}: expected a subnet_id, an address, or both.", field=f"fixed.{number}")
        found.append(Asked(plug_inputs.parse_address(address, field=f"fixed.{number}.address"), subnet_id, f"fixed.{number}.address"))
    return found


def _parsed(wanted: Changes) -> dict[str, Any]:
    values: dict[str, Any] = {name: value for name, value in wanted.items() if name in ("name", "port_security", "admin_up")}
    if "mac" in wanted:
        values["mac"] = plug_inputs.parse_mac(wanted["mac"])
    if "pairs" in wanted:
        values["pairs"] = plug_inputs.parse_pairs(wanted["pairs"])
    if "dns_name" in wanted:
        values["dns_name"] = plug_inputs.parse_dns_name(wanted["dns_name"])
    return values


def _check_mac(mac: str, *, but: uuid.UUID | None = None) -> None:
    """Why the database has not taken a port. MACs of others are known to nobody, so no holder is named."""
    rows = Port.objects.filter(mac=mac)
    if mac and (rows if but is None else rows.exclude(pk=but)).exists():
        raise Conflict("port.mac_taken", f"mac: {mac} is another port's.", field="mac")


def _contended() -> CloudError:
    return Conflict("port.contended", "Others take the same addresses at this moment; try again.")


def _addresses(port: Port) -> list[str]:
    return [str(address) for address in FixedIP.objects.filter(port=port).order_by("pk").values_list("address", flat=True)]


def _shown(pairs: Sequence[Mapping[str, str]]) -> str:
    return ", ".join(" ".join(filter(None, (pair["cidr"], pair.get("mac", "")))) for pair in pairs)


def _check_name(name: str) -> None:
    if name:
        check_name(name, most=64)


