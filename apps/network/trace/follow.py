"""One trace, hop by hop, in the order in which a packet meets them. Pure."""

from collections.abc import Iterable
from itertools import product

from apps.network.trace import outside, path, rules
from apps.network.trace.ends import host_hop, port_hop
from apps.network.trace.facts import Address, Facts, Hop, Port, Trace

OPEN, CLOSED, UNSURE = "open", "closed", "unsure"


def follow(facts: Facts) -> Trace:
    """From source to target. At least one of them is a port."""
    source, target = facts.source, facts.target
    if isinstance(source, Port):
        if isinstance(target, Port):
            hops = _by_floating(facts, source, target) if facts.floating else _inside(facts, source, target)
        else:
            hops = _out(facts, source, target)
    else:
        assert isinstance(target, Port)
        hops = _in(facts, source, target)
    if facts.pending:
        hops.append(Hop(
            name="told", ok=None, detail="Something of this has just changed, and the hosts have not been told yet.",
            fix="Wait a few seconds; if it stays so, see whether ticker and conductor run." if facts.hosts_shown else "Wait a few seconds.",
        ))
    return _judged(facts, hops)


def _inside(facts: Facts, source: Port, target: Port) -> list[Hop]:
    pair = _pair(source, target, facts.traffic.family)
    if pair is None:
        return [*_end(facts, source, "source"), *_end(facts, target, "target"), *_without(facts, source, target)]
    own, other = pair
    hops = [*_end(facts, source, "source"), rules.asked(facts, source, ingress=False, other=other.address)]
    hops += path.between(facts, source, target, pair)
    hops += [*_end(facts, target, "target"), rules.asked(facts, target, ingress=True, other=own.address)]
    if facts.traffic.protocol not in rules.TRACKED:
        # Nobody knows which packets are answers: they are asked about like any other.
        hops += [
            rules.asked(facts, target, ingress=False, other=own.address, name="answers.egress"),
            rules.asked(facts, source, ingress=True, other=other.address, name="answers.ingress"),
        ]
    return hops


def _out(facts: Facts, source: Port, to: str) -> list[Hop]:
    own = _first(source, facts.traffic.family)
    hops = _end(facts, source, "source")
    if own is None:
        return [*hops, *_without(facts, source)]
    return [*hops, rules.asked(facts, source, ingress=False, other=to), *outside.leaving(facts, source, own, to)]


def _in(facts: Facts, source: str, target: Port) -> list[Hop]:
    own = _floating_of(target, facts) or _first(target, facts.traffic.family)
    if own is None:
        return [*_end(facts, target, "target"), *_without(facts, target)]
    hops = [outside.reached(target, own)]
    if own.subnet.router is not None and hops[0].ok is not False:
        hops += outside.way_out(facts, target, own.subnet.router, own, source)
    return [*hops, *_end(facts, target, "target"), rules.asked(facts, target, ingress=True, other=source)]


def _by_floating(facts: Facts, source: Port, target: Port) -> list[Hop]:
    """Out of the one router, and in by the floating address of a port."""
    own, other = _first(source, facts.traffic.family), _floating_of(target, facts)
    if own is None or other is None:
        return [*_end(facts, source, "source"), *_end(facts, target, "target"), *_without(facts, source)]
    hops = _out(facts, source, facts.floating)
    hops += [outside.reached(target, other), *_end(facts, target, "target")]
    return [*hops, rules.asked(facts, target, ingress=True, other=outside.seen_as(source, own))]


def _judged(facts: Facts, hops: Iterable[Hop]) -> Trace:
    found = tuple(hops)
    closed = [hop for hop in found if hop.ok is False]
    unsure = [hop for hop in found if hop.ok is None]
    if closed:
        return Trace(verdict=CLOSED, summary=f"{facts.traffic.text}: no. {closed[0].detail}", hops=found)
    if unsure:
        return Trace(verdict=UNSURE, summary=f"{facts.traffic.text}: perhaps. {unsure[0].detail}", hops=found)
    return Trace(verdict=OPEN, summary=f"{facts.traffic.text}: yes, as far as the database knows.", hops=found)


def _end(facts: Facts, port: Port, end: str) -> list[Hop]:
    host = host_hop(facts, port, end)
    return [port_hop(facts, port, end), *([host] if host else [])]


def _pair(source: Port, target: Port, family: int) -> tuple[Address, Address] | None:
    """The addresses that talk: of one subnet if there are such, else the first ones."""
    pairs = list(product(source.addresses_of(family), target.addresses_of(family)))
    return next((each for each in pairs if each[0].subnet.id == each[1].subnet.id), pairs[0] if pairs else None)


def _first(port: Port, family: int) -> Address | None:
    """The one with a floating address before the others: that is how the world knows the port."""
    found = port.addresses_of(family)
    return next((each for each in found if each.floating), found[0] if found else None)


def _floating_of(port: Port, facts: Facts) -> Address | None:
    return next((each for each in port.addresses if facts.floating and each.floating == facts.floating), None)


def _without(facts: Facts, *ports: Port) -> list[Hop]:
    family = facts.traffic.family
    return [
        Hop(
            name="address", ok=False, detail=f"{port.label} has no IPv{family} address.",
            fix=f"Give it an address of an IPv{family} subnet, or ask for the other family.",
        )
        for port in ports if not port.addresses_of(family)
    ]
