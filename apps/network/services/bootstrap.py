"""The rows that every installation has: a pool of VNIs and the hosts' own way out. A migration made them; operators may take
them away for good, so this is only for a database that was emptied."""

from django.db import transaction

from apps.network import builtin
from apps.network.models import Network, SegmentPool
from apps.network.states import NetworkKind


@transaction.atomic
def ensure() -> None:
    """Make what is missing; touches nothing that is there."""
    first, last = builtin.VXLAN_POOL
    SegmentPool.objects.get_or_create(
        pk=builtin.VXLAN_POOL_ID, defaults={"kind": NetworkKind.VXLAN.value, "first": first, "last": last, "position": 1000}
    )
    Network.objects.get_or_create(
        pk=builtin.OUTSIDE_ID,
        defaults={
            "name": builtin.OUTSIDE_NAME, "kind": NetworkKind.HOST.value, "mtu": 1500, "external": True, "shared": True, "is_default": True,
        },
    )
