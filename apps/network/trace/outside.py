"""The way out of a router, and the way in by a floating address. Pure."""

import ipaddress

from apps.network.states import NetworkKind
from apps.network.trace.ends import ASK, host_label
from apps.network.trace.facts import Address, Facts, Hop, Network, Port, Router
from apps.network.trace.path import next_hop, sent


def leaving(facts: Facts, port: Port, own: Address, to: str) -> list[Hop]:
    """From the guest's port to the world."""
    if next_hop(port.network, own.subnet, to).on_link:
        return [_nobody(port, own, to)]
    hops = [sent(facts, port, own, to)]
    router = own.subnet.router
    if router is None:
        return hops
    return [*hops, *way_out(facts, port, router, own, to)]


def seen_as(port: Port, own: Address) -> str | None:
    """The address under which the world sees the guest; None: one of the host's that is not known here."""
    router = own.subnet.router
    if own.floating:
        return own.floating
    if router is None or router.out is None or port.host is None:
        return None
    if not router.snat:
        return own.address
    found = (each for each in port.host.outside.get(router.out.id, ()) if (":" in each) == (own.family == 6))
    return next(found, None)


def way_out(facts: Facts, port: Port, router: Router, own: Address, to: str) -> list[Hop]:
    """What a router's way out is, and whether this guest may use it."""
    if not router.up:
        return [Hop(name="router", ok=False, detail=f"The router {router.name} is administratively down.", fix="Set admin_up of the router.")]
    out = router.out
    if out is None:
        return [Hop(
            name="router", ok=False, detail=f"The router {router.name} has no way out.", fix="Give the router an external network.",
        )]
    hop = Hop(name="router", ok=True, detail=f"The way out of the router {router.name} is {out.name}.")
    return [hop, _translated(router, out, own), _host_outside(facts, port, out, own, to)]


def reached(port: Port, own: Address) -> Hop:
    """Does anything of the world lead to this address of a guest?"""
    router = own.subnet.router
    if own.floating:
        return Hop(name="floating", ok=True, detail=f"{own.floating} stands for {own.address}; the host of {port.label} answers for it.")
    if router is not None and router.out is not None and not router.snat and router.out.kind != NetworkKind.HOST:
        return Hop(
            name="floating", ok=None, detail=f"{own.address} has no floating IP; the router {router.name} does no NAT, so it is reached if the world "
            "has a route to it by its host.",
        )
    return Hop(
        name="floating", ok=False, detail=f"{own.address} has no floating IP: nobody outside can begin a connection to it.",
        fix=f"Associate a floating IP with {port.label}.",
    )


def _nobody(port: Port, own: Address, to: str) -> Hop:
    if port.network.on_wire:
        return Hop(
            name="route", ok=None, detail=f"{to} is looked for in the network {port.network.name}; no port there has it, but its wire may lead to "
            "whoever has.",
        )
    return Hop(
        name="route", ok=False, detail=f"{to} lies in {own.subnet.cidr}, and no port in the network {port.network.name} has it.",
        fix="Ask for the address of a port.",
    )


def _translated(router: Router, out: Network, own: Address) -> Hop:
    if own.floating:
        return Hop(name="nat", ok=True, detail=f"{own.address} leaves as its floating IP {own.floating}.")
    if router.snat:
        return Hop(name="nat", ok=True, detail=f"{own.address} leaves under an address of its host.")
    if out.kind == NetworkKind.HOST:
        return Hop(
            name="nat", ok=False, detail=f"The router {router.name} does no source NAT, and {own.address} has no floating IP: it is not let out.",
            fix="Set snat of the router, or associate a floating IP.",
        )
    return Hop(
        name="nat", ok=None, detail=f"{own.address} leaves under itself, since the router {router.name} does no source NAT.",
        fix=f"See whether the world has a route to {own.subnet.cidr}.",
    )


def _host_outside(facts: Facts, port: Port, out: Network, own: Address, to: str) -> Hop:
    """How the host of the port reaches the external network."""
    name, host = "outside", port.host
    label = host_label(facts, host).capitalize()
    if host is None:
        return Hop(name=name, ok=False, detail=f"{port.label} is on no host, so nobody leads it out.")
    if out.kind == NetworkKind.HOST:
        if own.family == 6:
            return Hop(name=name, ok=None, detail=f"{label} leads it on by its own routes, if it has IPv6.")
        return Hop(name=name, ok=True, detail=f"{label} leads it on by its own routes.")
    if out.id in host.lacking or out.id in host.problems:
        said = host.lacking.get(out.id) or host.problems[out.id]
        shown = f": {said}" if facts.hosts_shown else "."
        return Hop(name=name, ok=False, detail=f"{label} cannot reach the external network {out.name}{shown}", fix=_tell_again(facts, port))
    held = [each for each in host.outside.get(out.id, ()) if (":" in each) == (own.family == 6)]
    if not held and not own.floating:
        return Hop(
            name=name, ok=False, detail=f"{label} has no IPv{own.family} address on the external network {out.name}.",
            fix=_tell_again(facts, port),
        )
    address = ipaddress.ip_address(to)
    ranges = facts.outside.get(out.id, ())
    if any(address in ipaddress.ip_network(cidr) for cidr, _ in ranges):
        return Hop(name=name, ok=True, detail=f"{to} is on the external network {out.name} itself.")
    gateway = next((gateway for _, gateway in ranges if gateway and (":" in gateway) == (own.family == 6)), "")
    if not gateway:
        return Hop(
            name=name, ok=False, detail=f"The external network {out.name} has no IPv{own.family} gateway, so nothing leads on from there.",
            fix=f"Give a subnet of {out.name} its gateway." if facts.hosts_shown else ASK,
        )
    return Hop(name=name, ok=True, detail=f"{label} sends it to {gateway}, the gateway of {out.name}.")


def _tell_again(facts: Facts, port: Port) -> str:
    if not facts.hosts_shown or port.host is None:
        return ASK
    return f"Once that is put right, `manage.py network_hosts --tell-again {port.host.name}` tries at once."
