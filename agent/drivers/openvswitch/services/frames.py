"""Ethernet frames of the few kinds that are answered here: UDP over IPv4 and IPv6, and ICMPv6. Pure."""

import ipaddress
import struct
from dataclasses import dataclass

UDP, ICMP6 = 17, 58
_IPV4, _IPV6 = 0x0800, 0x86DD
_ETHERNET, _IPV4_HEADER, _IPV6_HEADER, _UDP_HEADER = 14, 20, 40, 8
_HOP_LIMIT = 255


@dataclass(frozen=True, slots=True)
class Received:
    """`mac`: the frame's sender. `port`: UDP's destination port, or the ICMPv6 type. `payload`: what follows UDP's header,
    or the whole ICMPv6 message."""

    mac: str
    source: str
    target: str
    protocol: int
    port: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Ends:
    """From whom to whom a frame goes."""

    mac: str
    address: str
    target_mac: str
    target: str


def parse(frame: bytes) -> Received | None:
    """None for whatever is not whole, or of no kind that is answered."""
    try:
        mac = frame[6:12].hex(":")
        (kind,) = struct.unpack_from("!H", frame, 12)
        if kind == _IPV4:
            return _parse_ipv4(mac, frame[_ETHERNET:])
        if kind == _IPV6:
            return _parse_ipv6(mac, frame[_ETHERNET:])
    except (struct.error, ValueError, IndexError):
        pass
    return None


def udp(ends: Ends, source_port: int, target_port: int, payload: bytes) -> bytes:
    """A frame with one datagram; the family is that of the addresses."""
    length = _UDP_HEADER + len(payload)
    body = struct.pack("!HHHH", source_port, target_port, length, 0) + payload
    total = _sum(_pseudo_header(ends, UDP, length) + body)
    # Zero would say that there is no checksum.
    return _frame(ends, UDP, body[:6] + struct.pack("!H", total or 0xFFFF) + payload)


def icmp6(ends: Ends, message: bytes) -> bytes:
    """A frame with an ICMPv6 message, whose checksum (bytes 2 and 3) is filled in."""
    body = message[:2] + b"\0\0" + message[4:]
    total = _sum(_pseudo_header(ends, ICMP6, len(body)) + body)
    return _frame(ends, ICMP6, body[:2] + struct.pack("!H", total) + body[4:])


def link_local(mac: str) -> str:
    """The link-local address that a device gives itself by its MAC."""
    octets = bytearray(bytes.fromhex(mac.replace(":", "")))
    octets[0] ^= 2
    interface = bytes(octets[:3]) + b"\xff\xfe" + bytes(octets[3:])
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + interface))


def _parse_ipv4(mac: str, packet: bytes) -> Received | None:
    start = (packet[0] & 0x0F) * 4
    (length, _, fragment) = struct.unpack_from("!HHH", packet, 2)
    if packet[0] >> 4 != 4 or start < _IPV4_HEADER or packet[9] != UDP or fragment & 0x3FFF or length > len(packet):
        return None
    source, target = (str(ipaddress.IPv4Address(packet[at : at + 4])) for at in (12, 16))
    return _parse_udp(mac, source, target, packet[start:length])


def _parse_ipv6(mac: str, packet: bytes) -> Received | None:
    (length,) = struct.unpack_from("!H", packet, 4)
    body = packet[_IPV6_HEADER : _IPV6_HEADER + length]
    if packet[0] >> 4 != 6 or len(body) < max(length, 1):
        return None
    source, target = (str(ipaddress.IPv6Address(packet[at : at + 16])) for at in (8, 24))
    if packet[6] == UDP:
        return _parse_udp(mac, source, target, body)
    # A hop limit below the highest has passed a router, and neighbour discovery never does.
    if packet[6] == ICMP6 and packet[7] == _HOP_LIMIT:
        return Received(mac, source, target, ICMP6, body[0], body)
    return None


def _parse_udp(mac: str, source: str, target: str, body: bytes) -> Received | None:
    _, port, length, _ = struct.unpack_from("!HHHH", body)
    if not _UDP_HEADER <= length <= len(body):
        return None
    return Received(mac, source, target, UDP, port, body[_UDP_HEADER:length])


def _frame(ends: Ends, protocol: int, body: bytes) -> bytes:
    macs = _mac(ends.target_mac) + _mac(ends.mac)
    source, target = ipaddress.ip_address(ends.address).packed, ipaddress.ip_address(ends.target).packed
    if len(source) == 4:
        header = struct.pack("!BBHHHBBH", 0x45, 0xC0, _IPV4_HEADER + len(body), 0, 0, 64, protocol, 0)
        checked = struct.pack("!H", _sum(header + source + target))
        return macs + struct.pack("!H", _IPV4) + header[:10] + checked + source + target + body
    header = struct.pack("!IHBB", 0x60000000, len(body), protocol, _HOP_LIMIT)
    return macs + struct.pack("!H", _IPV6) + header + source + target + body


def _pseudo_header(ends: Ends, protocol: int, length: int) -> bytes:
    source, target = ipaddress.ip_address(ends.address).packed, ipaddress.ip_address(ends.target).packed
    if len(source) == 4:
        return source + target + struct.pack("!BBH", 0, protocol, length)
    return source + target + struct.pack("!II", length, protocol)


def _sum(data: bytes) -> int:
    """The Internet checksum."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
