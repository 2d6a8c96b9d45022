"""What hosts know of networks, what they should know now, and the difference."""

from collections.abc import Collection
from dataclasses import dataclass

from apps.network.models import HostNetwork
from apps.network.payloads import objects
from apps.network.services.affected import Affected

_LISTS = ("routers", "networks", "groups", "named")
Some = frozenset[str]
_NONE: Some = frozenset()


@dataclass
class View:
    """Ids of what a host knows: routing domains (their `routers` and `networks`), security `groups` of its ports, and the
    groups that rules of these `named`, whose members it knows."""

    routers: Some = _NONE
    networks: Some = _NONE
    groups: Some = _NONE
    named: Some = _NONE

    @classmethod
    def told_to(cls, row: HostNetwork) -> "View":
        """As of its generation; nothing for one that is due to be told everything."""
        return cls() if row.full_due else cls(**{name: frozenset(row.told.get(name, ())) for name in _LISTS})

    def kept(self) -> dict[str, list[str]]:
        """As it is stored."""
        return {name: sorted(getattr(self, name)) for name in _LISTS}


@dataclass(frozen=True)
class Difference:
    """What one host is to be told, by id. Many hosts have the same, and then get the same bytes.

    `ports_of`: networks all of whose ports it gets; `changed_in`: networks whose changed ports it gets; in the same way
    `floating_of` and `moved_in` (routers), `members_of` and `joined_in` (groups).
    """

    networks: Some = _NONE
    routers: Some = _NONE
    groups: Some = _NONE
    ports_of: Some = _NONE
    changed_in: Some = _NONE
    floating_of: Some = _NONE
    moved_in: Some = _NONE
    members_of: Some = _NONE
    joined_in: Some = _NONE
    gone_networks: Some = _NONE
    gone_routers: Some = _NONE
    gone_groups: Some = _NONE
    gone_named: Some = _NONE


@dataclass(frozen=True)
class Touched:
    """Containers of what changed: networks of ports, routers of floating addresses."""

    networks: Some
    routers: Some

    @classmethod
    def of(cls, found: Affected) -> "Touched":
        return cls(frozenset(found.ports.values()), frozenset(r for routers in found.floating.values() for r in routers))


def difference(told: View, now: View, found: Affected, touched: Touched) -> Difference:
    """What must be said to whom was told `told` so that it knows `now`, as it is after what was `found`."""
    new_networks, new_routers, new_named = now.networks - told.networks, now.routers - told.routers, now.named - told.named
    return Difference(
        networks=new_networks | (now.networks & found.networks),
        routers=new_routers | (now.routers & found.routers),
        groups=(now.groups - told.groups) | (now.groups & found.groups),
        ports_of=new_networks,
        changed_in=(now.networks & touched.networks) - new_networks,
        floating_of=new_routers,
        moved_in=(now.routers & touched.routers) - new_routers,
        members_of=new_named,
        joined_in=(now.named & found.memberships) - new_named,
        gone_networks=told.networks - now.networks,
        gone_routers=told.routers - now.routers,
        gone_groups=told.groups - now.groups,
        gone_named=told.named - now.named,
    )


def current(rows: Collection[HostNetwork], heads: Collection[str], plugged: objects.Plugged, found: Affected) -> dict[str, View]:
    """Host id → what it should know now. `heads`: those of whom `plugged` tells; the others know the same parts as before."""
    views = {str(row.pk): View.told_to(row) for row in rows}
    joined = objects.joined_by(routers) if (routers := {each for each in plugged.routers.values() if each}) else {}
    for host_id in heads:
        networks = plugged.networks_on(host_id)
        behind = {router for network in networks if (router := plugged.routers[network])}
        views[host_id] = View(
            routers=frozenset(behind),
            networks=frozenset(networks.union(*(joined.get(router, ()) for router in behind))),
            groups=plugged.groups_on(host_id),
        )
    renamed = [host_id for host_id, view in views.items() if host_id in heads or not view.groups.isdisjoint(found.groups)]
    named_by = objects.named_by({group for host_id in renamed for group in views[host_id].groups})
    for host_id in renamed:
        view = views[host_id]
        view.named = frozenset(named for group in view.groups for named in named_by.get(group, ()))
    return views
