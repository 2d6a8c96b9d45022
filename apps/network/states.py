"""Kinds and words of networks. Pure data, no Django."""

import enum


class NetworkKind(enum.StrEnum):
    """How frames travel between hosts. HOST: not at all; the host's own way out (external networks only)."""

    FLAT = "flat"
    VLAN = "vlan"
    VXLAN = "vxlan"
    HOST = "host"


class DeviceKind(enum.StrEnum):
    """What holds a port. NONE: nothing yet; it was made to be attached later."""

    NONE = ""
    INSTANCE = "instance"
    ROUTER = "router"
    FLOATING_IP = "floating_ip"
    HOST_GATEWAY = "host_gateway"


class Ipv6Mode(enum.StrEnum):
    """How guests learn their IPv6 addresses: by DHCPv6 exactly the database's, or made from prefix and MAC (EUI-64)."""

    NONE = ""
    DHCPV6 = "dhcpv6"
    SLAAC = "slaac"


class Direction(enum.StrEnum):
    """As the guest sees it."""

    INGRESS = "ingress"
    EGRESS = "egress"


class ChangeKind(enum.StrEnum):
    """What hosts must be told of: see `services/changes.py`.

    PORT: made, changed, moved or gone. GROUP: rules changed. DOMAIN: networks, subnets or routers of a routing domain
    changed. FLOATING_IP: made, moved or gone. HOST: everything about one host.
    """

    PORT = "port"
    GROUP = "group"
    DOMAIN = "domain"
    FLOATING_IP = "floating_ip"
    HOST = "host"


VLAN_IDS = (1, 4094)
VNIS = (1, 2**24 - 1)
# A host that has brought about nothing for so long of what it was told is worth a look.
HOST_LATE_S = 30.0
