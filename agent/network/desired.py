"""The desired state: all objects that the control plane has told, by kind and id. Immutable; a change makes a new one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from contracts.network import v2 as network

KINDS = ("networks", "ports", "members", "groups", "routers", "floating")
# Objects that go when what they name goes: kind → (its field, the list of `Gone`).
_GO_WITH = {"ports": ("network", "networks"), "floating": ("router", "routers"), "members": ("group", "named")}


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
        """What goes with `gone` is in contracts.network.v2.Gone. Raises Stale."""
        if change.base != self.generation:
            raise Stale(f"at generation {self.generation}, the change begins at {change.base}")
        new: dict[str, Any] = {}
        for kind in KINDS:
            put, gone = getattr(change.objects, kind), frozenset(getattr(change.gone, kind))
            field_, with_it = _GO_WITH.get(kind, ("id", ""))
            owners = frozenset(getattr(change.gone, with_it)) if with_it else frozenset()
            if put or gone or owners:
                kept = {
                    id_: each for id_, each in getattr(self, kind).items() if id_ not in gone and getattr(each, field_) not in owners
                }
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
        """Addresses of the members of a group that a rule here names, wherever they are."""
        return {address for member in self.members.values() if member.group == group_id for address in member.addresses}


def _by_id(objects: Iterable[Any]) -> dict[str, Any]:
    return {each.id: each for each in objects}
