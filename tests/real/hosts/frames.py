"""Frames: how to make them, and how to hear them on a device. Plain bytes, no library."""

import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from tests.real.hosts.place import Place

BROADCAST: Final = "ff:ff:ff:ff:ff:ff"
VXLAN_PORT: Final = 4789
IPV4, ARP, IPV6 = 0x0800, 0x0806, 0x86DD
_ETH_P_ALL: Final = 0x0003
_SOL_PACKET, _ADD_MEMBERSHIP, _AUXDATA, _PROMISC = 263, 1, 8, 1
_VLAN_VALID: Final = 0x10


@dataclass(frozen=True)
class Frame:
    """`tag`: VLAN id, None for an untagged one. `raw`: without the tag. `vni`: it came in this VXLAN."""

    raw: bytes
    tag: int | None = None
    vni: int | None = None

    @property
    def target(self) -> str:
        return self.raw[:6].hex(":")

    @property
    def source(self) -> str:
        return self.raw[6:12].hex(":")

    @property
    def kind(self) -> int:
        return int.from_bytes(self.raw[12:14], "big")

    @property
    def body(self) -> bytes:
        return self.raw[14:]

    def inner(self) -> "Frame | None":
        """What it carries, if it is VXLAN over IPv4."""
        body = self.body
        if self.kind != IPV4 or len(body) < 50 or body[9] != socket.IPPROTO_UDP:
            return None
        head = (body[0] & 15) * 4
        if int.from_bytes(body[head + 2 : head + 4], "big") != VXLAN_PORT:
            return None
        return Frame(body[head + 16 :], vni=int.from_bytes(body[head + 12 : head + 15], "big"))


class Sniffer:
    """Hears everything that passes a device from now on; use as a context manager."""

    def __init__(self, place: "Place", device: str, *, within: str = "") -> None:
        self.device = device
        self._socket = place.new_socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL), within=within)
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 64 * 2**20)  # SO_RCVBUFFORCE
        self._socket.setsockopt(_SOL_PACKET, _AUXDATA, 1)
        self._socket.bind((device, _ETH_P_ALL))
        number = place.index(device, within=within)
        self._socket.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, struct.pack("iHH8s", number, _PROMISC, 0, b""))
        self._heard: list[Frame] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def heard(self) -> list[Frame]:
        """All so far."""
        self._heard += self._new()
        return self._heard

    def heard_like(self, test: Callable[[Frame], bool]) -> list[Frame]:
        return [frame for frame in self.heard() if test(frame)]

    def forget(self) -> None:
        self.heard()
        self._heard = []

    def _new(self) -> Iterator[Frame]:
        while True:
            try:
                raw, extra, _, _ = self._socket.recvmsg(65536, 256, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            tag = None
            for level, kind, data in extra:
                if level == _SOL_PACKET and kind == _AUXDATA:
                    status, _, _, _, _, tci, _ = struct.unpack("IIIHHHH", data[:20])
                    tag = tci & 0xFFF if status & _VLAN_VALID else None
            if tag is None and raw[12:14] == b"\x81\x00":
                tag, raw = int.from_bytes(raw[14:16], "big") & 0xFFF, raw[:12] + raw[16:]
            yield Frame(raw, tag)


# --- making them -----------------------------------------------------------------------------------------------------


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def packed(address: str) -> bytes:
    return ip_address(address).packed


def checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def ethernet(source: str, target: str, kind: int, body: bytes, *, tag: int | None = None) -> bytes:
    tagged = struct.pack("!HH", 0x8100, tag) if tag is not None else b""
    return mac(target) + mac(source) + tagged + struct.pack("!H", kind) + body


def arp(operation: int, sha: str, spa: str, tha: str, tpa: str) -> bytes:
    """Body of an ARP message; `operation`: 1 request, 2 reply."""
    return struct.pack("!HHBBH", 1, IPV4, 6, 4, operation) + mac(sha) + packed(spa) + mac(tha) + packed(tpa)


def ipv4(source: str, target: str, protocol: int, body: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0) + packed(source) + packed(target)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def ipv6(source: str, target: str, protocol: int, body: bytes, *, hops: int = 255) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(body), protocol, hops) + packed(source) + packed(target) + body


def udp(source: str, target: str, source_port: int, target_port: int, body: bytes) -> bytes:
    """A whole packet of either family."""
    length = 8 + len(body)
    head = struct.pack("!HHHH", source_port, target_port, length, 0)
    if ":" not in source:
        return ipv4(source, target, socket.IPPROTO_UDP, head + body)
    summed = checksum(packed(source) + packed(target) + struct.pack("!II", length, socket.IPPROTO_UDP) + head + body) or 0xFFFF
    return ipv6(source, target, socket.IPPROTO_UDP, head[:6] + struct.pack("!H", summed) + body)


def icmpv6(source: str, target: str, kind: int, code: int, body: bytes) -> bytes:
    """A whole IPv6 packet."""
    message = struct.pack("!BBH", kind, code, 0) + body
    pseudo = packed(source) + packed(target) + struct.pack("!II", len(message), socket.IPPROTO_ICMPV6)
    return ipv6(source, target, socket.IPPROTO_ICMPV6, message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:])


def ping(source: str, target: str, token: bytes = b"cloudsite-frames") -> bytes:
    """A whole packet with an echo request, of either family."""
    if ":" in source:
        return icmpv6(source, target, 128, 0, struct.pack("!HH", 7, 1) + token)
    return ipv4(source, target, socket.IPPROTO_ICMP, echo_request(token, six=False))


def link_local(card: str) -> str:
    """The IPv6 address that a card makes for itself of its MAC."""
    digits = bytearray(mac(card))
    digits[0] ^= 2
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + digits[:3] + b"\xff\xfe" + digits[3:]))


def neighbour_advertisement(source: str, target_ip: str, owner_mac: str, *, to: str = "ff02::1") -> bytes:
    """A whole packet that claims `target_ip` for `owner_mac`, unasked and overriding."""
    return icmpv6(source, to, 136, 0, struct.pack("!I", 0x20000000) + packed(target_ip) + b"\x02\x01" + mac(owner_mac))


def router_advertisement(source: str, source_mac: str, prefix: str) -> bytes:
    """A whole packet that offers itself as default router and `prefix`/64 for everybody's addresses."""
    head = struct.pack("!BBHII", 64, 0, 1800, 0, 0)
    info = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 86400, 14400, 0) + packed(prefix)
    return icmpv6(source, "ff02::1", 134, 0, head + b"\x01\x01" + mac(source_mac) + info)


def dhcp_offer(server: str, client_mac: str, offered: str, *, kind: int = 2) -> bytes:
    """A whole packet of a DHCP server's; `kind`: 2 offer, 5 acknowledgement."""
    head = struct.pack("!BBBBIHH", 2, 1, 6, 0, 0x1234, 0, 0x8000) + bytes(4) + packed(offered) + packed(server) + bytes(4)
    options = bytes([53, 1, kind, 54, 4]) + packed(server) + bytes([51, 4, 0, 0, 14, 16, 3, 4]) + packed(server) + b"\xff"
    message = head + mac(client_mac) + bytes(10 + 64 + 128) + b"\x63\x82\x53\x63" + options
    return udp(server, "255.255.255.255", 67, 68, message)


def echo_request(token: bytes, *, six: bool) -> bytes:
    """An ICMP message; of IPv6 without the sum, which the kernel fills in for raw sockets."""
    message = struct.pack("!BBHHH", 128 if six else 8, 0, 0, 7, 1) + token
    return message if six else message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def is_echo_reply(message: bytes, token: bytes, *, six: bool) -> bool:
    """Of a raw socket, which gives IPv4 packets whole and IPv6 ones without their header."""
    body = message if six else message[(message[0] & 15) * 4 :]
    return body[0] == (129 if six else 0) and body[8:] == token
