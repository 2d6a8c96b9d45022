"""Tables of networks: private to the context."""

from apps.network.models.groups import PortGroup, Rule, SecurityGroup
from apps.network.models.hosts import Change, HostNetwork
from apps.network.models.networks import AddressSpan, Network, PhysicalNetwork, SegmentPool, Subnet
from apps.network.models.ports import FixedIP, Port
from apps.network.models.routers import FloatingIP, Router, RouterInterface

__all__ = [
    "AddressSpan", "Change", "FixedIP", "FloatingIP", "HostNetwork", "Network", "PhysicalNetwork", "Port", "PortGroup",
    "Router", "RouterInterface", "Rule", "SecurityGroup", "SegmentPool", "Subnet",
]
