"""What is asked, made out of texts and numbers. Pure."""

import ipaddress
import uuid
from dataclasses import dataclass

from apps.common import ids
from apps.common.errors import Invalid
from apps.network.trace.facts import ICMP, ICMPV6, PING, SCTP, TCP, UDP, Traffic

_NAMES = {"icmp": ICMP, "ping": ICMP, "icmpv6": ICMPV6, "ipv6-icmp": ICMPV6, "tcp": TCP, "udp": UDP, "sctp": SCTP}
_WITH_PORTS = (TCP, UDP, SCTP)


@dataclass(frozen=True, kw_only=True)
class Ends:
    """Each an id of a port, or an address; at least one is an id."""

    source: uuid.UUID | str
    target: uuid.UUID | str


def ends(source: str, target: str) -> Ends:
    """Raises Invalid `trace.end`, `trace.no_port`, `trace.same`."""
    found = Ends(source=_end("source", source), target=_end("target", target))
    if isinstance(found.source, str) and isinstance(found.target, str):
        raise Invalid("trace.no_port", "source, target: at least one must be a port of this cloud.", field="source")
    if found.source == found.target:
        raise Invalid("trace.same", "target: this is the source itself.", field="target")
    return found


def traffic(protocol: str, port: int | None, family: int) -> Traffic:
    """`protocol`: a name or a number; "": ping, or tcp where there is a port. Raises Invalid `trace.protocol`, `trace.port`."""
    name = protocol.strip().lower() or ("ping" if port is None else "tcp")
    number = _NAMES.get(name, int(name) if name.isascii() and name.isdecimal() and len(name) <= 3 else -1)
    if not 0 <= number <= 255:
        known = ", ".join(_NAMES)
        raise Invalid("trace.protocol", f"protocol: expected one of {known}, or a number from 0 to 255.", field="protocol")
    if number in (ICMP, ICMPV6):
        number = ICMP if family == 4 else ICMPV6
        _check("port", port, 0, 255)
        return Traffic(protocol=number, family=family, port=PING[family] if port is None else port)
    if number not in _WITH_PORTS:
        if port is not None:
            raise Invalid("trace.port", f"port: protocol {number} has no ports.", field="port")
        return Traffic(protocol=number, family=family)
    _check("port", port, 1, 65535)
    return Traffic(protocol=number, family=family, port=port)


def _check(field: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise Invalid("trace.port", f"{field}: expected a number from {least} to {most}.", field=field)


def _end(field: str, given: str) -> uuid.UUID | str:
    if (key := ids.parse(given)) is not None:
        return key
    try:
        return str(ipaddress.ip_address(given))
    except ValueError:
        raise Invalid("trace.end", f"{field}: expected the id of a port, or an address.", field=field) from None
