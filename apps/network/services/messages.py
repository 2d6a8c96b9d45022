"""Bodies of what hosts are told: what several hosts need is read and encoded once, in the transaction that locks them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import msgspec

from apps.network.payloads import objects
from apps.network.payloads.objects import Lead, Members, Objects, Plug, Ties
from apps.network.services.affected import Affected
from apps.network.services.views import Difference
from contracts.network import v2

_NOTHING = msgspec.Raw(b"{}")


@dataclass
class Parts:
    """All that the differences of one round need. `changed`: network → its changed ports."""

    found: Affected
    networks: dict[str, msgspec.Raw] = field(default_factory=dict)
    leads: dict[str, Lead] = field(default_factory=dict)
    plugs: dict[str, Plug] = field(default_factory=dict)
    plugs_of: dict[str, list[Plug]] = field(default_factory=dict)
    floating: list[Ties] = field(default_factory=list)
    groups: dict[str, msgspec.Raw] = field(default_factory=dict)
    members: Members = field(default_factory=Members)
    changed: dict[str, list[str]] = field(default_factory=dict)

    def read(self, differences: Collection[Difference]) -> None:
        """The rest; changed ports are in `plugs` already."""
        wanted = _all(each.networks for each in differences)
        routers = objects.routers(ids) if (ids := _all(each.routers for each in differences)) else []
        networks = objects.networks(wanted.union(outside for _, outside in routers if outside))
        self.networks = {id_: objects.raw(network) for id_, network in networks.items() if id_ in wanted}
        self.leads = {router.id: Lead(router, networks.get(outside)) for router, outside in routers}
        self.groups = objects.groups(groups) if (groups := _all(each.groups for each in differences)) else {}
        if whole := _all(each.ports_of for each in differences):
            for plug in objects.plugs(network_ids=whole).values():
                self.plugs_of.setdefault(plug.port.network, []).append(plug)
        behind = _all(each.floating_of for each in differences)
        if behind or self.found.floating:
            self.floating = objects.floating(router_ids=behind, ids=self.found.floating.keys())
        named = _all(each.members_of for each in differences)
        if named or self.found.memberships:
            self.members = objects.members(group_ids=named, port_ids=self.found.ports.keys())
        for port, network in self.found.ports.items():
            self.changed.setdefault(network, []).append(port)


@dataclass
class Composer:
    """Makes bodies; the same difference gives the same bytes, unless one of the ports or ways out is the host's own."""

    parts: Parts
    groups_of: dict[str, list[str]]
    _made: dict[Difference, tuple[msgspec.Raw, msgspec.Raw]] = field(default_factory=dict)

    def compose(self, host_id: str, difference: Difference, ways_out: dict[str, v2.WayOut] | None) -> tuple[msgspec.Raw, msgspec.Raw]:
        """(objects, gone). `ways_out`: by network; None if each router of the difference is the same for all hosts."""
        own = ways_out is not None or self._has_own(host_id, difference)
        made = None if own else self._made.get(difference)
        if made is None:
            made = objects.raw(self._objects(host_id, difference, ways_out or {})), objects.raw(self._gone(difference))
            if not own:
                self._made[difference] = made
        return made

    @staticmethod
    def is_empty(body: tuple[msgspec.Raw, msgspec.Raw]) -> bool:
        return body[0] == _NOTHING and body[1] == _NOTHING

    def _has_own(self, host_id: str, difference: Difference) -> bool:
        parts = self.parts
        return any(plug.host_id == host_id for network in difference.ports_of for plug in parts.plugs_of.get(network, ())) or any(
            port in parts.plugs and parts.plugs[port].host_id == host_id
            for network in difference.changed_in for port in parts.changed.get(network, ())
        )

    def _objects(self, host_id: str, difference: Difference, ways_out: dict[str, v2.WayOut]) -> Objects:
        parts, plugs = self.parts, list(self._plugs(difference))
        return Objects(
            networks=[parts.networks[id_] for id_ in sorted(difference.networks) if id_ in parts.networks],
            ports=[p.remote if p.host_id != host_id else p.here(self.groups_of.get(p.port.id, [])) for p in plugs],
            members=list(self._members(difference)),
            groups=[parts.groups[id_] for id_ in sorted(difference.groups) if id_ in parts.groups],
            routers=[
                lead.by(ways_out.get(lead.out.id, _way_out(lead.out)) if lead.out else None)
                for id_ in sorted(difference.routers) if (lead := parts.leads.get(id_))
            ],
            floating=[ties.body for ties in parts.floating if self._leads_there(ties, difference)],
        )

    def _plugs(self, difference: Difference) -> Iterable[Plug]:
        for network in sorted(difference.ports_of):
            yield from self.parts.plugs_of.get(network, ())
        for network in sorted(difference.changed_in):
            for port in self.parts.changed.get(network, ()):
                if port in self.parts.plugs:
                    yield self.parts.plugs[port]

    def _members(self, difference: Difference) -> Iterable[msgspec.Raw]:
        for group in sorted(difference.members_of):
            yield from self.parts.members.of.get(group, {}).values()
        for group in sorted(difference.joined_in):
            for port, member in self.parts.members.of.get(group, {}).items():
                if port in self.parts.found.ports:
                    yield member

    def _leads_there(self, ties: Ties, difference: Difference) -> bool:
        if ties.router in difference.floating_of:
            return True
        return ties.router in difference.moved_in and ties.id in self.parts.found.floating

    def _gone(self, difference: Difference) -> v2.Gone:
        parts, found = self.parts, self.parts.found
        return v2.Gone(
            networks=sorted(difference.gone_networks), routers=sorted(difference.gone_routers),
            groups=sorted(difference.gone_groups), named=sorted(difference.gone_named),
            ports=[p for network in sorted(difference.changed_in) for p in parts.changed.get(network, ()) if p not in parts.plugs],
            members=[
                objects.member_id(group, port)
                for port, left in found.left.items() for group in sorted(left & difference.joined_in)
                if port not in parts.members.of.get(group, {})
            ],
            floating=self._lost(difference),
        )

    def _lost(self, difference: Difference) -> list[str]:
        here = {ties.id for ties in self.parts.floating if ties.router in difference.floating_of | difference.moved_in}
        return [
            id_ for id_, routers in self.parts.found.floating.items()
            if id_ not in here and not difference.moved_in.isdisjoint(routers)
        ]


def needs_address(lead: Lead) -> bool:
    """Whether a host needs an address of its own to leave by this router."""
    return lead.out is not None and lead.out.kind is not v2.Kind.HOST


def _way_out(out: v2.Network) -> v2.WayOut | None:
    """The host's own way out needs nothing; any other leads nowhere without an address."""
    return v2.WayOut(network=out) if out.kind is v2.Kind.HOST else None


def _all(sets: Iterable[frozenset[str]]) -> set[str]:
    return set().union(*sets)
