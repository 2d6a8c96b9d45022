"""Reads of networks, scoped to the actor's project; a module per subject."""

from apps.network.selectors.groups import group, group_named, groups, rule, rules
from apps.network.selectors.networks import (
    COUNTED_PORTS,
    domains_of,
    external,
    network,
    network_locked,
    network_named,
    networks,
    pools,
    shown,
    subnet,
    subnet_locked,
    subnets,
    taken_of,
    usage,
    way_out,
    wires,
)
from apps.network.selectors.ports import addresses, embed, embedded, port, port_named, ports, ports_of
from apps.network.selectors.routers import floating_ip, floating_ip_at, floating_ips, router, router_named, routers

__all__ = [
    "COUNTED_PORTS", "addresses", "domains_of", "embed", "embedded", "external", "floating_ip", "floating_ip_at", "floating_ips",
    "group", "group_named", "groups", "network", "network_locked", "network_named", "networks", "pools", "port", "port_named", "ports", "ports_of",
    "router", "router_named", "routers", "rule", "rules", "shown", "subnet", "subnet_locked", "subnets", "taken_of",
    "usage", "way_out", "wires",
]
