"""What things of networks are called on a host. Pure.

Device names have at most 15 characters; the last hex digits of an id are its random ones.
"""

import hashlib


def tap(card_id: str) -> str:
    """Tap device of a card, the way libvirt is told to call it."""
    return f"tap{card_id[-11:]}"


def namespace(domain_id: str) -> str:
    """Namespace of a routing domain (a router, or a network without one)."""
    return f"cs-{domain_id[-8:]}"


def gateway_port(network_id: str) -> str:
    """The bridge's end of the pair that leads into the namespace."""
    return f"csg{network_id[-8:]}"


def gateway(network_id: str) -> str:
    """The namespace's end: gateway addresses, DHCP, DNS and metadata live on it."""
    return f"gw{network_id[-8:]}"


def vxlan(network_id: str) -> str:
    """The host's VXLAN device of a network, a port of the bridge."""
    return f"csv{network_id[-8:]}"


def transit(router_id: str) -> str:
    """The world's end (root namespace, or that of an external network) of the pair out of a router's namespace."""
    return f"cst{router_id[-8:]}"


UPLINK = "up0"
"""The router's end of that pair."""


def outside(network_id: str) -> str:
    """Namespace of an external network on this host (kinds flat, vlan, vxlan)."""
    return f"csx-{network_id[-8:]}"


def outside_port(network_id: str) -> str:
    """The bridge's end of the pair that leads into it; inside it is called `ext0`."""
    return f"csx{network_id[-8:]}"


EXTERNAL = "ext0"


def table(id_: str) -> str:
    """nftables table of one router or external network."""
    return f"cs_{id_[-8:]}"


def gateway_mac(network_id: str) -> str:
    """The same on every host and after every rebuild, so that guests' neighbour caches stay right."""
    digest = hashlib.blake2b(network_id.encode(), digest_size=5).digest()
    return ":".join(f"{byte:02x}" for byte in b"\x0a" + digest)


def host_mac(host_id: str) -> str:
    """What routed frames bear as their source on the wire, so that nobody learns the gateway's MAC from another host."""
    digest = hashlib.blake2b(host_id.encode(), digest_size=5).digest()
    return ":".join(f"{byte:02x}" for byte in b"\x0e" + digest)
