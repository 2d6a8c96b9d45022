"""From changes that were noted to what they are about and which hosts they concern.

A host that is to be told of something knows it already, or will read it afresh when it comes to know it. Who knows it is
seen from where ports are now, and, for those about whom a change is still pending, from that change: such a host may have
lost its part in the meantime and got it back, and would otherwise be taken for one that has always heard everything. All is
read in one snapshot, so nothing falls between two looks.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Q

from apps.network.models import Change, Port, PortGroup, Router, Rule
from apps.network.payloads import objects
from apps.network.states import ChangeKind


@dataclass
class Affected:
    """What changed, by id, and whom it concerns.

    `networks`, `routers`, `groups`: changed themselves. `ports`: changed, with the network of each; `left`: groups that they
    are in no more; `memberships`: all groups that they are or were in. `floating`: with the routers that lead, or led, to
    each. `whole`: hosts that are due to be told everything. `heads`: hosts whose own ports, or their domains,
    may have changed. `hosts`: all that may have to be told something.
    """

    ports: dict[str, str] = field(default_factory=dict)
    left: dict[str, set[str]] = field(default_factory=dict)
    memberships: set[str] = field(default_factory=set)
    floating: dict[str, set[str]] = field(default_factory=dict)
    networks: set[str] = field(default_factory=set)
    routers: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    whole: set[uuid.UUID] = field(default_factory=set)
    heads: set[uuid.UUID] = field(default_factory=set)
    hosts: set[uuid.UUID] = field(default_factory=set)


def affected(changes: Sequence[Change], pending: Sequence[Change]) -> Affected:
    """`pending`: all changes that are there, these among them. To be called in a snapshot with their reading."""
    found = Affected()
    refs = _sort(changes, found)
    _add_ports(found)
    _add_domains(found, refs, pending)
    _add_groups(found, pending)
    found.hosts |= found.heads | found.whole
    return found


def _sort(changes: Sequence[Change], found: Affected) -> set[uuid.UUID]:
    """Returns ids of routers and networks that changed."""
    refs: set[uuid.UUID] = set()
    for change in changes:
        match change.kind:
            case ChangeKind.PORT:
                ref = str(change.ref)
                found.ports[ref] = str(change.domain) if change.domain else found.ports.get(ref, "")
                found.left.setdefault(ref, set()).update(change.groups)
                if change.host_id is not None:
                    found.heads.add(change.host_id)
            case ChangeKind.GROUP:
                found.groups.add(str(change.ref))
            case ChangeKind.FLOATING_IP:
                found.floating.setdefault(str(change.ref), set()).add(str(change.domain))
            case ChangeKind.HOST:
                found.whole.add(change.ref)
            case ChangeKind.DOMAIN:
                refs.add(change.ref)
    if refs:  # an external network concerns the routers that lead to it
        refs.update(Router.objects.filter(external_network_id__in=refs).values_list("pk", flat=True))
    return refs


def _add_ports(found: Affected) -> None:
    """Where changed ports are now; and those of hosts that are told everything, since others are told where these are."""
    which = (Q(pk__in=found.ports) if found.ports else Q(pk__isnull=True)) | Q(host_id__in=found.whole)
    for pk, network_id, host_id in Port.objects.filter(which, objects.PLUGS).values_list("pk", "network_id", "host_id"):
        found.ports[str(pk)] = str(network_id)
        if host_id is not None:
            found.heads.add(host_id)
    found.heads -= found.whole


def _add_domains(found: Affected, refs: set[uuid.UUID], pending: Sequence[Change]) -> None:
    others = {change.ref for change in pending if change.kind == ChangeKind.DOMAIN}
    networks = {network for network in found.ports.values() if network}
    routers = {router for ids in found.floating.values() for router in ids}
    touched = objects.domains({*refs, *others, *networks, *routers})
    changed = {str(ref) for ref in refs}
    changed |= {router for network, router in touched.items() if router and network in changed}
    found.networks = {network for network, router in touched.items() if network in changed or router in changed}
    found.routers = changed - touched.keys()
    where = Port.objects.filter(objects.PLUGS, network_id__in=touched).values_list("network_id", "host_id").distinct().order_by()
    for network_id, host_id in where:
        if host_id is not None:
            (found.heads if str(network_id) in found.networks else found.hosts).add(host_id)
    found.hosts |= {
        change.host_id for change in pending
        if change.kind == ChangeKind.PORT and change.host_id is not None and str(change.domain) in touched
    }


def _add_groups(found: Affected, pending: Sequence[Change]) -> None:
    """Those who have a port in a group whose rules changed, or in one whose rules name a group of a changed port."""
    if not found.ports and not found.groups:
        return
    named = {group for left in found.left.values() for group in left}
    named |= {str(pk) for pk in PortGroup.objects.filter(port_id__in=found.ports).values_list("group_id", flat=True).distinct()}
    found.memberships = named
    naming = {str(pk) for pk in Rule.objects.filter(Q(remote_group_id__in=named)).values_list("group_id", flat=True).distinct()}
    if named:
        naming |= {str(change.ref) for change in pending if change.kind == ChangeKind.GROUP}
    naming |= found.groups
    rows = PortGroup.objects.filter(Q(group_id__in=naming), port__host_id__isnull=False)
    where = rows.values_list("port__host_id", flat=True).distinct().order_by()
    found.hosts |= {host_id for host_id in where if host_id is not None}
    found.hosts |= {
        change.host_id for change in pending if change.host_id is not None and not naming.isdisjoint(change.groups)
    }
