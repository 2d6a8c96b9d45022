"""Router advertisements (RFC 4861, 4862, 8106). Pure."""

import ipaddress
import struct

from agent.drivers.openvswitch.services.dhcp6 import encoded_name
from agent.drivers.openvswitch.services.frames import Ends, Received, icmp6, link_local
from agent.drivers.openvswitch.services.plan import Link, Prefix

SOLICITATION, ADVERTISEMENT = 133, 134
# As long as is allowed: guests keep their way out while an agent is being exchanged.
ROUTER_LIFETIME_S = 9000
PREFIX_LIFETIME_S = 604800
_ALL_NODES, _ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"
_MANAGED, _OTHER = 0x80, 0x40
_ON_LINK, _AUTONOMOUS = 0x80, 0x40
_SOURCE_MAC, _PREFIX, _MTU, _RDNSS, _DNSSL = 1, 3, 5, 25, 31


def answer(received: Received, link: Link) -> bytes | None:
    """What a soliciting guest is told, and nobody else with it; None when there is nothing to say."""
    if not link.prefixes or received.mac not in link.guests:
        return None
    # A guest that has no address yet asks from none.
    target = received.source if received.source != "::" else _ALL_NODES
    return icmp6(Ends(link.mac, link_local(link.mac), received.mac, target), message(link))


def unasked(link: Link) -> bytes | None:
    """What all are told from time to time; None when there is nothing to say."""
    if not link.prefixes:
        return None
    return icmp6(Ends(link.mac, link_local(link.mac), _ALL_NODES_MAC, _ALL_NODES), message(link))


def message(link: Link) -> bytes:
    """The ICMPv6 message, its checksum not yet filled in."""
    flags = _OTHER | (_MANAGED if link.managed else 0)
    lifetime = ROUTER_LIFETIME_S if link.routes6 else 0
    head = struct.pack("!BBHBBHII", ADVERTISEMENT, 0, 0, 64, flags, lifetime, 0, 0)
    options = [
        struct.pack("!BB", _SOURCE_MAC, 1) + bytes.fromhex(link.mac.replace(":", "")),
        struct.pack("!BBHI", _MTU, 1, 0, link.mtu),
        *map(_prefix, link.prefixes),
    ]
    if link.dns6:
        servers = b"".join(ipaddress.IPv6Address(server).packed for server in link.dns6)
        options.append(struct.pack("!BBHI", _RDNSS, 1 + len(servers) // 8, 0, ROUTER_LIFETIME_S) + servers)
    name = encoded_name(link.domain)
    name += bytes(-len(name) % 8)
    options.append(struct.pack("!BBHI", _DNSSL, 1 + len(name) // 8, 0, ROUTER_LIFETIME_S) + name)
    return head + b"".join(options)


def _prefix(prefix: Prefix) -> bytes:
    net = ipaddress.IPv6Network(prefix.cidr)
    flags = _ON_LINK | (_AUTONOMOUS if prefix.autonomous else 0)
    lifetimes = (PREFIX_LIFETIME_S, PREFIX_LIFETIME_S)
    return struct.pack("!BBBBIII", _PREFIX, 4, net.prefixlen, flags, *lifetimes, 0) + net.network_address.packed
