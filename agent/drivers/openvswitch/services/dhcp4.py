"""DHCP's answers (RFC 2131, 2132, 3396, 3442, 6842). Pure.

Nothing is leased and nothing remembered: who may have which address is known beforehand, so the same question always
gets the same answer, and no guest that has gone can stand in the way of another one.
"""

import ipaddress
import struct
from dataclasses import dataclass

from agent.drivers.openvswitch.services.frames import Ends, Received, udp
from agent.drivers.openvswitch.services.plan import Guest, Link, Offer

SERVER_PORT, CLIENT_PORT = 67, 68
LEASE_S = 86400
_COOKIE = b"\x63\x82\x53\x63"
_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_REQUEST, _REPLY, _ETHERNET = 1, 2, 1
_BROADCAST_FLAG = 0x8000
_EVERYBODY, _NOBODY = "255.255.255.255", "0.0.0.0"
# Shorter messages are dropped by some clients.
_MIN_BYTES = 300
_DISCOVER, _OFFER, _REQUEST_TYPE, _ACK, _NAK, _INFORM = 1, 2, 3, 5, 6, 8
(_PAD, _MASK, _ROUTER, _DNS, _HOSTNAME, _DOMAIN, _MTU, _BROADCAST, _END) = (0, 1, 3, 6, 12, 15, 26, 28, 255)
(_ASKED, _LEASE, _TYPE, _SERVER, _WANTED, _T1, _T2, _CLIENT, _ROUTES, _ROUTES_MS) = (
    50,
    51,
    53,
    54,
    55,
    58,
    59,
    61,
    121,
    249,
)


@dataclass(frozen=True, slots=True)
class _Question:
    kind: int
    transaction: int
    seconds: int
    flags: int
    has: str
    mac: bytes
    options: dict[int, bytes]

    def asked(self) -> str:
        """The address that it wants or has; empty when it does not say."""
        if self.has != _NOBODY:
            return self.has
        return _address(self.options.get(_ASKED, b""))


def answer(received: Received, link: Link) -> bytes | None:
    """The frame to send, None when there is nothing to say."""
    guest, question = link.guests.get(received.mac), _parse(received)
    if guest is None or question is None or not guest.offers:
        return None
    if received.target not in {_EVERYBODY, *(each.server for each in guest.offers)}:
        return None  # on its way to a server elsewhere
    # A port may have addresses in several subnets; which of them it is about, the guest says, or it is the first.
    offer = next((each for each in guest.offers if each.address == question.asked()), guest.offers[0])
    kind = _verdict(question, guest, offer)
    if kind is None:
        return None
    return _frame(received.mac, question, kind, _options(kind, question, guest, offer, link), offer, link)


def _verdict(question: _Question, guest: Guest, offer: Offer) -> int | None:
    if question.kind == _DISCOVER:
        return _OFFER
    if question.kind == _INFORM:
        return _ACK
    if question.kind != _REQUEST_TYPE:
        return None  # releases and refusals change nothing
    if _SERVER in question.options and _address(question.options[_SERVER]) not in {o.server for o in guest.offers}:
        return None  # it has chosen another server's offer
    return _ACK if question.asked() == offer.address else _NAK


def _options(kind: int, question: _Question, guest: Guest, offer: Offer, link: Link) -> list[tuple[int, bytes]]:
    options = [(_TYPE, bytes([kind])), (_SERVER, _packed(offer.server))]
    if _CLIENT in question.options:
        options.append((_CLIENT, question.options[_CLIENT]))
    if kind == _NAK:
        return options
    if question.kind != _INFORM:
        times = ((_LEASE, LEASE_S), (_T1, LEASE_S // 2), (_T2, LEASE_S * 7 // 8))
        options += [(code, struct.pack("!I", seconds)) for code, seconds in times]
    net = ipaddress.IPv4Network(f"{offer.address}/{offer.prefix_length}", strict=False)
    options += [
        (_MASK, net.netmask.packed),
        (_BROADCAST, net.broadcast_address.packed),
        (_DNS, b"".join(map(_packed, offer.dns))),
        (_DOMAIN, link.domain.encode()),
        (_HOSTNAME, guest.hostname.encode()),
        (_MTU, struct.pack("!H", link.mtu)),
        (_ROUTES, _routes(offer)),
    ]
    if offer.gateway:
        options.append((_ROUTER, _packed(offer.gateway)))
    if _ROUTES_MS in question.options.get(_WANTED, b""):
        options.append((_ROUTES_MS, _routes(offer)))
    return options


def _frame(
    mac: str, question: _Question, kind: int, options: list[tuple[int, bytes]], offer: Offer, link: Link
) -> bytes:
    given = offer.address if kind in (_OFFER, _ACK) and question.kind != _INFORM else _NOBODY
    header = _HEADER.pack(
        _REPLY,
        _ETHERNET,
        6,
        0,
        question.transaction,
        0,
        question.flags,
        _packed(question.has if kind == _ACK else _NOBODY),
        _packed(given),
        _packed(_NOBODY),
        _packed(_NOBODY),
        question.mac.ljust(16, b"\0"),
        b"",
        b"",
    )
    message = header + _COOKIE + b"".join(_option(code, value) for code, value in options) + bytes([_END])
    to_everybody = kind == _NAK or (question.flags & _BROADCAST_FLAG and question.has == _NOBODY)
    target = _EVERYBODY if to_everybody else question.has if question.has != _NOBODY else given
    # The frame itself always goes to the one guest: nobody else need see it.
    ends = Ends(link.mac, offer.server, mac, target)
    return udp(ends, SERVER_PORT, CLIENT_PORT, message.ljust(_MIN_BYTES, b"\0"))


def _parse(received: Received) -> _Question | None:
    content = received.payload
    start = _HEADER.size + len(_COOKIE)
    if len(content) < start or content[_HEADER.size : start] != _COOKIE:
        return None
    op, kind, length, _, transaction, seconds, flags, has, _, _, relay, mac, _, _ = _HEADER.unpack_from(content)
    if (op, kind, length) != (_REQUEST, _ETHERNET, 6) or mac[:6].hex(":") != received.mac or any(relay):
        return None
    options = _parse_options(content[start:])
    message = options.get(_TYPE, b"")
    if len(message) != 1:
        return None
    return _Question(message[0], transaction, seconds, flags, _address(has), mac[:6], options)


def _parse_options(content: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(content) and content[at] != _END:
        code = content[at]
        at += 1
        if code == _PAD:
            continue
        if at >= len(content):
            break
        length = content[at]
        found[code] = found.get(code, b"") + content[at + 1 : at + 1 + length]
        at += 1 + length
    return found


def _option(code: int, value: bytes) -> bytes:
    """One option, in several pieces where it is longer than one can be."""
    pieces = [value[at : at + 255] for at in range(0, len(value), 255)]
    return b"".join(bytes([code, len(piece)]) + piece for piece in pieces)


def _routes(offer: Offer) -> bytes:
    content = b""
    for destination, nexthop in offer.routes:
        net = ipaddress.IPv4Network(destination, strict=False)
        content += bytes([net.prefixlen]) + net.network_address.packed[: -(-net.prefixlen // 8)] + _packed(nexthop)
    return content


def _packed(address: str) -> bytes:
    return ipaddress.IPv4Address(address).packed


def _address(packed: bytes) -> str:
    return str(ipaddress.IPv4Address(packed)) if len(packed) == 4 else ""
