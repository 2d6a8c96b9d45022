"""Ports of instances: claimed many at once, and freed with them, inside the caller's transaction.

Lock order: security groups (shared), subnets (shared) and spans, ports, changes, the project's usage.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q

from apps.common.errors import InvalidState, NoCapacity, NotFound, QuotaExceeded
from apps.common.sql import hold, update_rows
from apps.network import plug_inputs
from apps.network.models import FixedIP, Network, Port, SecurityGroup, Subnet
from apps.network.services import addresses, changes, floating, groups, port_rows
from apps.network.services.port_rows import Asked, Claimed, Fixed, Need
from apps.network.states import DeviceKind
from apps.quotas.services import reservations


@dataclass(frozen=True)
class Wish:
    """A port that an instance needs: a new one in a network, or with `port_id` one that is there.

    `addresses`: asked ones, the others are any; `groups`: None for the default one; `name`: what DNS makes a name of.
    """

    device_id: uuid.UUID
    project_id: uuid.UUID
    network_id: uuid.UUID | None = None
    port_id: uuid.UUID | None = None
    addresses: tuple[str, ...] = ()
    groups: tuple[uuid.UUID, ...] | None = None
    host_id: uuid.UUID | None = None
    name: str = ""


def claim(wishes: Sequence[Wish]) -> dict[uuid.UUID, list[Claimed]]:
    """Ports for many devices at once, all or none; device id → its ports. Raises what `draw` raises, QuotaExceeded."""
    def work(patient: bool) -> dict[uuid.UUID, list[Claimed]]:
        claimed = draw(wishes, patient=patient)
        for error in charge(claimed).values():
            raise error
        return claimed

    return addresses.decided(work)


def draw(wishes: Sequence[Wish], *, patient: bool = False) -> dict[uuid.UUID, list[Claimed]]:
    """The same without counting them: `charge` must follow in the same transaction. A few statements however many.

    To be called by `addresses.decided`, or by somebody who does what that does.

    Raises NoCapacity `network.full` (also for a network that vanished), Conflict `address.taken`, Invalid `address.…`,
    NotFound (port, security group), InvalidState `port.in_use`, `port.no_port_security`; nothing is claimed then.
    """
    made_for = [wish for wish in wishes if wish.port_id is None]
    bound_for = [wish for wish in wishes if wish.port_id is not None]
    bound = _lock(bound_for)
    made = _make(made_for, patient=patient)
    _bind(bound_for, bound)
    changes.ports([each.port for each in (*made, *bound)])
    fresh, present = iter(made), iter(bound)
    claimed: dict[uuid.UUID, list[Claimed]] = {wish.device_id: [] for wish in wishes}
    for wish in wishes:
        claimed[wish.device_id].append(next(fresh) if wish.port_id is None else next(present))
    return claimed


def charge(drawn: Mapping[uuid.UUID, Sequence[Claimed]]) -> dict[uuid.UUID, QuotaExceeded]:
    """Count ports that were drawn in this transaction. Devices whose project may have no more lose theirs: device id → why."""
    # Those that were there before are counted already.
    asked = {device_id: new for device_id, claimed in drawn.items() if (new := [each for each in claimed if not each.port.keep])}
    wishes = [reservations.Wish(new[0].port.project_id, {"ports": len(new)}) for new in asked.values() if new[0].port.project_id]
    verdicts = zip(asked, reservations.reserve_each(wishes), strict=True)
    refused = {device_id: error for device_id, error in verdicts if error is not None}
    _let_go([each.port for device_id in refused for each in drawn[device_id]], rest=False)
    return refused


def release(device_ids: Iterable[uuid.UUID]) -> None:
    """Free the ports of these instances: those that were made by themselves are kept, the others go with their addresses.

    None is no error.
    """
    _release(Q(device_kind=DeviceKind.INSTANCE.value, device_id__in=set(device_ids)))


def release_ports(device_id: uuid.UUID, port_ids: Iterable[uuid.UUID]) -> None:
    """The same for some ports of one instance."""
    _release(Q(device_kind=DeviceKind.INSTANCE.value, device_id=device_id, pk__in=set(port_ids)))


def _release(which: Q) -> None:
    with transaction.atomic(savepoint=False):
        # Locked, so that whoever does the same at this moment finds none, and they are given back once.
        held = list(Port.objects.select_for_update().filter(which).order_by("pk"))
        if held:
            _let_go(held)
            counted = Counter(port.project_id for port in held if port.project_id is not None and not port.keep)
            reservations.release_many({project_id: {"ports": count} for project_id, count in counted.items()})


def _let_go(ports: Sequence[Port], *, rest: bool = True) -> None:
    """Locked ports leave their instances."""
    if not ports:
        return
    changes.ports(ports, leaving=True)
    if kept := [port.pk for port in ports if port.keep]:
        Port.objects.filter(pk__in=kept).update(device_kind=DeviceKind.NONE.value, device_id=None, host_id=None)
    gone = [port.pk for port in ports if not port.keep]
    floating.release_of_ports(gone)  # what stands for the addresses of a port that stays goes with it to its next instance
    port_rows.remove(gone, rest=rest)


def _make(wishes: Sequence[Wish], *, patient: bool) -> list[Claimed]:
    """New ports, in the order of the wishes."""
    if not wishes:
        return []
    subnets = _subnets(wishes)
    networks = [subnets[wish.network_id][0].network for wish in wishes]  # type: ignore[index]
    joined = _groups(wishes, networks)
    ports = [
        Port(
            network=network, project_id=wish.project_id, name="", mac=port_rows.new_mac(), device_kind=DeviceKind.INSTANCE.value,
            device_id=wish.device_id, host_id=wish.host_id, dns_name=plug_inputs.dns_name_of(wish.name), port_security=network.port_security,
        )
        for wish, network in zip(wishes, networks, strict=True)
    ]
    needs = [
        Need(subnets[port.network_id], port.mac, port.project_id, tuple(Asked(address) for address in wish.addresses))
        for wish, port in zip(wishes, ports, strict=True)
    ]
    found = port_rows.allot(needs, patient=patient)
    made = [Claimed(port, network, fixed) for port, network, fixed in zip(ports, networks, found, strict=True)]
    port_rows.insert(made, {port.pk: each for port, each in zip(ports, joined, strict=True)})
    return made


def _subnets(wishes: Sequence[Wish]) -> dict[uuid.UUID, list[Subnet]]:
    """Network id → its subnets, each with the network and whether a router serves it."""
    found: dict[uuid.UUID, list[Subnet]] = {}
    rows = Subnet.objects.select_related("network", "interface").filter(network_id__in={wish.network_id for wish in wishes})
    for subnet in rows.order_by("family", "pk"):
        found.setdefault(subnet.network_id, []).append(subnet)
    if any(wish.network_id not in found for wish in wishes):
        raise NoCapacity("network.full", "The network is gone or has no subnet.")
    return found


def _groups(wishes: Sequence[Wish], networks: Sequence[Network]) -> list[tuple[uuid.UUID, ...]]:
    """The security groups of each new port."""
    named = {group_id for wish in wishes for group_id in wish.groups or ()}
    if named:
        hold(SecurityGroup, named)
    projects = {wish.project_id for wish in wishes if wish.groups is None}
    rows = SecurityGroup.objects.filter(Q(pk__in=named) | Q(project_id__in=projects, is_default=True))
    present = {group_id: (project_id, is_default) for group_id, project_id, is_default in rows.values_list("pk", "project_id", "is_default")}
    default = {project_id: group_id for group_id, (project_id, is_default) in present.items() if is_default}
    for project_id in projects - default.keys():
        default[project_id] = groups.ensure_default(project_id).pk
    found: list[tuple[uuid.UUID, ...]] = []
    for wish, network in zip(wishes, networks, strict=True):
        if wish.groups is None:
            found.append((default[wish.project_id],) if network.port_security else ())
            continue
        for group_id in wish.groups:
            if present.get(group_id, (None,))[0] != wish.project_id:
                raise NotFound("security_group.not_found", f"There is no security group {group_id} in this project (any more).")
        if wish.groups and not network.port_security:
            raise no_port_security(network)
        found.append(wish.groups)
    return found


def _lock(wishes: Sequence[Wish]) -> list[Claimed]:
    """Ports that are there, to be bound, in the order of the wishes. Raises NotFound, InvalidState."""
    if not wishes:
        return []
    ids = {wish.port_id for wish in wishes if wish.port_id is not None}
    ports = Port.objects.select_for_update(of=("self",)).select_related("network").filter(pk__in=ids).order_by("pk").in_bulk()
    fixed: dict[uuid.UUID, list[Fixed]] = {}
    for row in FixedIP.objects.select_related("subnet__interface").filter(port_id__in=ids).order_by("subnet__family", "pk"):
        fixed.setdefault(row.port_id, []).append(Fixed(row.subnet, str(row.address)))
    found = []
    for wish in wishes:
        port = ports.pop(wish.port_id, None) if wish.port_id else None  # each once
        if port is None or port.project_id != wish.project_id:
            raise NotFound("port.not_found", f"There is no port {wish.port_id} in this project, or it is named twice.", field="port_id")
        require_free(port)
        found.append(Claimed(port, port.network, tuple(fixed.get(port.pk, ()))))
    return found


def _bind(wishes: Sequence[Wish], claimed: Sequence[Claimed]) -> None:
    for wish, each in zip(wishes, claimed, strict=True):
        each.port.device_kind, each.port.device_id, each.port.host_id = DeviceKind.INSTANCE.value, wish.device_id, wish.host_id
        each.port.dns_name = each.port.dns_name or plug_inputs.dns_name_of(wish.name)
    update_rows([each.port for each in claimed], ["device_kind", "device_id", "host_id", "dns_name"])


def require_free(port: Port) -> None:
    """Raises InvalidState `port.in_use`, naming what has it."""
    if port.device_kind != DeviceKind.NONE:
        what = "an instance" if port.device_kind == DeviceKind.INSTANCE else f"a {port.device_kind.replace('_', ' ')}"
        raise InvalidState(
            "port.in_use", f"The port {port.name or port.pk} is in use by {what}, {port.device_id}; detach it first.", field="port_id",
            device_kind=port.device_kind, device_id=str(port.device_id),
        )


def no_port_security(network: Network) -> InvalidState:
    """Groups were named where none holds."""
    return InvalidState(
        "port.no_port_security", f"Port security is off in the network {network.name}, so no security group holds there.",
        field="security_groups",
    )
