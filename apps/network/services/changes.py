"""What hosts are still to be told: noted in the transaction that changes it, told by `tell`.

A row says where to look, not what is there: whoever tells reads that afresh. So it does not matter how often, or in which
order, something is noted; but what a port (or floating IP) is leaving must be noted before it is forgotten.
"""

import uuid
from collections.abc import Iterable

from django.db import connection

from apps.common import bus, clock
from apps.common.sql import insert_rows
from apps.network.models import Change, FloatingIP, Port, PortGroup
from apps.network.states import ChangeKind
from contracts import topics


def note(rows: Iterable[Change]) -> None:
    """Write them in the caller's transaction; hosts are told as soon as it has committed."""
    noted = list(rows)
    if not noted:
        return
    now = clock.now()
    for row in noted:
        row.at = now
    insert_rows(noted)
    # One hint per transaction, however much it notes. Lost hints cost a few seconds: the ticker finds the rows.
    if not any(entry[1] is _hint for entry in connection.run_on_commit):
        connection.on_commit(_hint)


def ports(rows: Iterable[Port], *, leaving: bool = False) -> None:
    """Ports were made, bound or changed. `leaving`: they are about to be deleted, or to leave their host; call it before.

    Ports without a host concern no host, and cost nothing here.
    """
    here = [port for port in rows if port.host_id is not None]
    groups: dict[uuid.UUID, list[str]] = {}
    if leaving and here:
        memberships = PortGroup.objects.filter(port_id__in=[port.pk for port in here]).values_list("port_id", "group_id")
        for port_id, group_id in memberships:
            groups.setdefault(port_id, []).append(str(group_id))
    note(
        Change(
            kind=ChangeKind.PORT.value, ref=port.pk, domain=port.network_id, host_id=port.host_id, groups=groups.get(port.pk, [])
        )
        for port in here
    )


def members(port_ids: Iterable[uuid.UUID], *, left: Iterable[uuid.UUID] = ()) -> None:
    """The security groups of ports changed; `left`: ids of groups that they are in no more."""
    groups = [str(group_id) for group_id in left]
    here = Port.objects.filter(pk__in=list(port_ids), host_id__isnull=False).values_list("pk", "network_id", "host_id")
    note(
        Change(kind=ChangeKind.PORT.value, ref=port_id, domain=network_id, host_id=host_id, groups=groups)
        for port_id, network_id, host_id in here
    )


def group(*group_ids: uuid.UUID) -> None:
    """The rules of security groups changed."""
    note(Change(kind=ChangeKind.GROUP.value, ref=group_id) for group_id in group_ids)


def domain(*domain_ids: uuid.UUID) -> None:
    """Something of routers or networks changed: themselves, their subnets, or which networks a router joins.

    A network that moves from or to a router: the ids of both.
    """
    note(Change(kind=ChangeKind.DOMAIN.value, ref=domain_id) for domain_id in domain_ids)


def floating(floating_ip: FloatingIP, *, was: uuid.UUID | None = None) -> None:
    """A floating IP leads elsewhere, or nowhere. `was`: id of the router that led to it before, if another or none does now."""
    routers = {router_id for router_id in (floating_ip.router_id, was) if router_id is not None}
    note(Change(kind=ChangeKind.FLOATING_IP.value, ref=floating_ip.pk, domain=router_id) for router_id in routers)


def host(host_id: uuid.UUID) -> None:
    """All about one host: it is told everything, and others are told where its ports are."""
    note([Change(kind=ChangeKind.HOST.value, ref=host_id, host_id=host_id)])


def _hint() -> None:
    bus.send([bus.Message(topics.CONDUCTOR, topics.TELL_HOSTS, ())])
