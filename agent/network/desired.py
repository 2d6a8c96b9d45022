"""The desired state: all objects that the control plane has told, by kind and id. Immutable; a change makes a new one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from contracts.network import v2 as network

KINDS = ("networks", "ports", "members", "groups", "routers", "floating")


class Stale(Exception):
    """The change begins at another generation than the one that is here."""


@dataclass(frozen=True, kw_only=True)
class Desired:
    """`generation` 0: nothing was told yet, so nothing is known to be superfluous either."""

    generation: int = 0
    networks: Mapping[str, network.Network] = field(default_factory=dict)
    ports: Mapping[str, network.Port] = field(default_factory=dict)
    members: Mapping[str, network.Member] = field(default_factory=dict)
    groups: Mapping[str, network.Group] = field(default_factory=dict)
    routers: Mapping[str, network.Router] = field(default_factory=dict)
    floating: Mapping[str, network.Floating] = field(default_factory=dict)

    @classmethod
    def of(cls, state: network.State) -> "Desired":
        return cls(generation=state.generation, **{kind: _by_id(getattr(state.objects, kind)) for kind in KINDS})

    def changed(self, change: network.Change) -> "Desired":
        """Raises Stale."""
        if change.base != self.generation:
            raise Stale(f"at generation {self.generation}, the change begins at {change.base}")
        new: dict[str, Any] = {}
        for kind in KINDS:
            put, gone = getattr(change.objects, kind), getattr(change.gone, kind)
            if put or gone:
                kept = {id_: each for id_, each in getattr(self, kind).items() if id_ not in set(gone)}
                new[kind] = kept | _by_id(put)
        return replace(self, generation=change.generation, **new)

    def state(self) -> network.State:
        """The same in its wire form, to be kept in a file."""
        objects = network.Objects(**{kind: list(getattr(self, kind).values()) for kind in KINDS})
        return network.State(generation=self.generation, objects=objects)

    def here(self) -> list[network.Port]:
        """Ports on this host."""
        return [port for port in self.ports.values() if port.here]

    def domain_of(self, net: network.Network) -> str:
        """Id of the routing domain: the router's, or the network's own without one. Each has a namespace on the host."""
        return net.router if net.router in self.routers else net.id

    def addresses_of(self, group_id: str) -> set[str]:
        """Addresses of a group's members, wherever they are."""
        of_ports = {a.address for port in self.ports.values() if group_id in port.groups for a in port.addresses}
        return of_ports | {a for member in self.members.values() if group_id in member.groups for a in member.addresses}


def _by_id(objects: Iterable[Any]) -> dict[str, Any]:
    return {each.id: each for each in objects}
