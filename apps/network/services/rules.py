"""What a rule of a security group may say: checked as a whole, without the database."""

import ipaddress
import uuid
from dataclasses import dataclass

from apps.common.errors import Invalid
from apps.network.states import Direction

ICMP, ICMPV6 = 1, 58
# By the names that people and other clouds' tools use; whatever else there is goes by its number.
PROTOCOLS = {
    "icmp": ICMP, "igmp": 2, "ipip": 4, "tcp": 6, "egp": 8, "udp": 17, "dccp": 33, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51,
    "icmpv6": ICMPV6, "ipv6-icmp": ICMPV6, "ospf": 89, "vrrp": 112, "pgm": 113, "sctp": 132, "udplite": 136,
}
WITH_PORTS = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}
_FAMILY_OF = {ICMP: 4, ICMPV6: 6}
_ANY = "any"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """A rule's content, in the one form in which it is stored; the fields are those of `models.Rule`."""

    direction: str
    family: int
    protocol: int | None = None
    first: int | None = None
    last: int | None = None
    cidr: str = ""
    remote_group_id: uuid.UUID | None = None

    @property
    def fingerprint(self) -> str:
        """The same text exactly for rules that allow the same."""
        what = _ANY if self.protocol is None else str(self.protocol)
        if self.first is not None:
            what += f":{self.first}" + ("" if self.last is None else f"-{self.last}")
        return f"{self.direction} {self.family} {what} {self.remote_group_id or self.cidr or _ANY}"


def checked(
    *, direction: str, family: int, protocol: int | str | None = None, first: int | None = None, last: int | None = None,
    cidr: str = "", remote_group_id: uuid.UUID | None = None,
) -> Terms:
    """Terms out of what somebody asks for. `protocol`: a number, also as text, a name, or `any`; None is any as well.

    `first` alone is one port. Raises Invalid `rule.direction`, `rule.family`, `rule.protocol`, `rule.ports`, `rule.icmp`,
    `rule.cidr`, `rule.other_side`.
    """
    if direction not in [each.value for each in Direction]:
        raise Invalid("rule.direction", "direction: expected ingress or egress.", field="direction")
    if family not in (4, 6):
        raise Invalid("rule.family", f"family: expected 4 or 6, got {family}.", field="family")
    number = _number(protocol)
    wanted = _FAMILY_OF.get(number, family) if number is not None else family
    if wanted != family:
        name = "icmp" if number == ICMP else "icmpv6"
        raise Invalid("rule.protocol", f"protocol: {name} goes with IPv{wanted} only, and this rule is for IPv{family}.", field="protocol")
    first, last = _icmp(first, last) if number in _FAMILY_OF else _ports(number, first, last)
    if cidr and remote_group_id is not None:
        raise Invalid("rule.other_side", "Give a range or a group as the other side, not both.", field="remote_group_id")
    return Terms(
        direction=str(direction), family=family, protocol=number, first=first, last=last, cidr=_cidr(cidr, family),
        remote_group_id=remote_group_id,
    )


def _number(protocol: int | str | None) -> int | None:
    text = "" if protocol is None else str(protocol).strip().lower()
    if text in ("", _ANY):
        return None
    if text in PROTOCOLS:
        return PROTOCOLS[text]
    if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255:
        return int(text)
    raise Invalid(
        "rule.protocol", f"protocol: expected any, a number from 0 to 255, or one of {', '.join(sorted(PROTOCOLS))}; got {text[:32]!r}.",
        field="protocol",
    )


def _ports(number: int | None, first: int | None, last: int | None) -> tuple[int | None, int | None]:
    if first is None and last is None:
        return None, None
    if number not in WITH_PORTS:
        raise Invalid(
            "rule.ports", f"Ports go with {', '.join(WITH_PORTS.values())} only: name the protocol, or leave them out.",
            field="first" if first is not None else "last",
        )
    if first is None:
        raise Invalid("rule.ports", "first: expected the lowest port of the range.", field="first")
    for field, port in (("first", first), ("last", last)):
        if port is not None and not 1 <= port <= 65535:
            raise Invalid("rule.ports", f"{field}: expected a port from 1 to 65535, got {port}.", field=field)
    if last is not None and last < first:
        raise Invalid("rule.ports", f"last: the range ends at {last}, before it begins at {first}.", field="last")
    return first, first if last is None else last


def _icmp(kind: int | None, code: int | None) -> tuple[int | None, int | None]:
    for field, value in (("first", kind), ("last", code)):
        if value is not None and not 0 <= value <= 255:
            name = "type" if field == "first" else "code"
            raise Invalid("rule.icmp", f"{field}: expected an ICMP {name} from 0 to 255, got {value}.", field=field)
    if kind is None and code is not None:
        raise Invalid("rule.icmp", "first: an ICMP code needs its type.", field="first")
    return kind, code


def _cidr(text: str, family: int) -> str:
    """The range as it is stored; everybody is nobody in particular, and so empty. A single address is a range of one."""
    if not text:
        return ""
    example = "192.0.2.0/24" if family == 4 else "2001:db8::/64"
    try:
        if "%" in text:
            raise ValueError("it has a zone")
        given = ipaddress.ip_interface(text)
    except ValueError:
        raise Invalid("rule.cidr", f"cidr: expected an IPv{family} range such as {example}.", field="cidr") from None
    address, found = given.ip, given.network
    if found.version != family:
        raise Invalid(
            "rule.cidr", f"cidr: {found} is IPv{found.version}, and this rule is for IPv{family}, such as {example}.", field="cidr"
        )
    if address != found.network_address:
        raise Invalid(
            "rule.cidr", f"cidr: {address} is inside of {found}: write {found} for all of it, or {address}/{found.max_prefixlen} "
            "for the one address.", field="cidr",
        )
    return "" if found.prefixlen == 0 else str(found)
