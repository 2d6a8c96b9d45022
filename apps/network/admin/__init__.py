"""Admin pages of networks: what projects have, what operators give them, and how far hosts are."""

from apps.network.admin import groups, hosts, networks, ports, routers, subnets, wires

__all__ = ["groups", "hosts", "networks", "ports", "routers", "subnets", "wires"]
