"""DHCPv6's answers (RFC 8415, 3646): exactly the addresses that the port has, whatever the guest calls itself. Pure."""

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from agent.drivers.openvswitch.services.frames import Ends, Received, link_local, udp
from agent.drivers.openvswitch.services.plan import Guest, Link

SERVER_PORT, CLIENT_PORT = 547, 546
_ALL_SERVERS = "ff02::1:2"
VALID_S = PREFERRED_S = 86400
_SOLICIT, _ADVERTISE, _REQUEST, _CONFIRM, _RENEW, _REBIND, _REPLY, _RELEASE, _DECLINE, _INFORMATION = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    11,
)
_CLIENT_ID, _SERVER_ID, _IA_NA, _IA_TA, _IA_ADDRESS, _PREFERENCE, _STATUS, _RAPID_COMMIT = 1, 2, 3, 4, 5, 7, 13, 14
_DNS, _SEARCH, _IA_PD = 23, 24, 25
_SUCCESS, _NO_ADDRESSES, _NOT_ON_LINK, _NO_PREFIXES = 0, 2, 4, 6
# Whether a message must, or must not, name the server.
_NAMING = {
    _REQUEST: True,
    _RENEW: True,
    _RELEASE: True,
    _DECLINE: True,
    _SOLICIT: False,
    _CONFIRM: False,
    _REBIND: False,
}


@dataclass(frozen=True, slots=True)
class _Question:
    kind: int
    transaction: bytes
    options: list[tuple[int, bytes]]

    def first(self, code: int) -> bytes | None:
        return next((value for each, value in self.options if each == code), None)


def answer(received: Received, link: Link) -> bytes | None:
    """The frame to send, None when there is nothing to say."""
    guest, question = link.guests.get(received.mac), _parse(received.payload)
    # A server on a link without a managed prefix still tells what it knows of names.
    if guest is None or question is None or not link.prefixes or not _is_for_us(question, link):
        return None
    if received.target not in (_ALL_SERVERS, link_local(link.mac)):
        return None  # on its way to a server elsewhere
    kind, options = _reply(question, guest, link)
    client = question.first(_CLIENT_ID)
    head = [(_CLIENT_ID, client)] if client is not None else []
    content = [*head, (_SERVER_ID, server_id(link)), *options, *_names(link)]
    message = bytes([kind]) + question.transaction + b"".join(_option(code, value) for code, value in content)
    ends = Ends(link.mac, link_local(link.mac), received.mac, received.source)
    return udp(ends, SERVER_PORT, CLIENT_PORT, message)


def server_id(link: Link) -> bytes:
    """The same on every host that has the network, so that a guest that has moved goes on with it."""
    return struct.pack("!HH", 3, 1) + bytes.fromhex(link.mac.replace(":", ""))


def _is_for_us(question: _Question, link: Link) -> bool:
    named = question.first(_SERVER_ID)
    if named is not None and named != server_id(link):
        return False
    wanted = _NAMING.get(question.kind)
    if wanted is None:
        return question.kind == _INFORMATION
    return (named is not None) == wanted and question.first(_CLIENT_ID) is not None


def _reply(question: _Question, guest: Guest, link: Link) -> tuple[int, list[tuple[int, bytes]]]:
    if question.kind == _INFORMATION:
        return _REPLY, []
    if question.kind in (_RELEASE, _DECLINE):
        return _REPLY, [_status(_SUCCESS, "nothing is leased here")]
    if question.kind == _CONFIRM:
        right = set(_asked(question)) <= set(guest.addresses6)
        return _REPLY, [_status(_SUCCESS if right else _NOT_ON_LINK, "")]
    associations = list(_associations(question, guest))
    if question.kind != _SOLICIT:
        return _REPLY, associations
    if not guest.addresses6:
        return _ADVERTISE, [_status(_NO_ADDRESSES, "the port has no address by DHCPv6")]
    if question.first(_RAPID_COMMIT) is not None:
        return _REPLY, [(_RAPID_COMMIT, b""), *associations]
    # There is no better server to wait for.
    return _ADVERTISE, [(_PREFERENCE, b"\xff"), *associations]


def _associations(question: _Question, guest: Guest) -> Iterator[tuple[int, bytes]]:
    """All addresses for the first that asks; more associations, and other kinds of them, get none."""
    given = False
    for code, value in question.options:
        if code == _IA_NA and len(value) >= 12:
            yield code, value[:4] + _times() + (_refused() if given or not guest.addresses6 else _given(value, guest))
            given = True
        elif code == _IA_TA and len(value) >= 4:
            yield code, value[:4] + _refused()
        elif code == _IA_PD and len(value) >= 12:
            yield code, value[:4] + bytes(8) + _option(*_status(_NO_PREFIXES, "no prefixes are delegated"))


def _given(value: bytes, guest: Guest) -> bytes:
    """The port's addresses, and whatever else the guest believes to have, ended at once."""
    kept = [(address, PREFERRED_S, VALID_S) for address in guest.addresses6]
    ended = [(address, 0, 0) for address in _addresses(value[12:]) if address not in guest.addresses6]
    return b"".join(
        _option(_IA_ADDRESS, ipaddress.IPv6Address(address).packed + struct.pack("!II", preferred, valid))
        for address, preferred, valid in kept + ended
    )


def _asked(question: _Question) -> Iterator[str]:
    for code, value in question.options:
        if code == _IA_NA:
            yield from _addresses(value[12:])


def _addresses(content: bytes) -> Iterator[str]:
    for code, value in _options(content):
        if code == _IA_ADDRESS and len(value) >= 24:
            yield str(ipaddress.IPv6Address(value[:16]))


def _times() -> bytes:
    return struct.pack("!II", PREFERRED_S // 2, PREFERRED_S * 4 // 5)


def _refused() -> bytes:
    return _option(*_status(_NO_ADDRESSES, "all addresses of the port are given"))


def _status(code: int, text: str) -> tuple[int, bytes]:
    return _STATUS, struct.pack("!H", code) + text.encode()


def _names(link: Link) -> list[tuple[int, bytes]]:
    servers = b"".join(ipaddress.IPv6Address(server).packed for server in link.dns6)
    return [*([(_DNS, servers)] if servers else []), (_SEARCH, encoded_name(link.domain))]


def encoded_name(name: str) -> bytes:
    """A domain name as DNS writes it, uncompressed."""
    return b"".join(bytes([len(part)]) + part for part in name.encode().split(b".")) + b"\0"


def _parse(content: bytes) -> _Question | None:
    if len(content) < 4:
        return None
    return _Question(content[0], content[1:4], list(_options(content[4:])))


def _options(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(content):
        code, length = struct.unpack_from("!HH", content, at)
        if at + 4 + length > len(content):
            return
        yield code, content[at + 4 : at + 4 + length]
        at += 4 + length


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value
