"""What is there: links, addresses, routes, neighbours of the namespace of the thread that asks."""

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from agent.drivers.openvswitch.routing.netlink import (
    NETLINK_NETFILTER,
    NLM_F_CREATE,
    NLM_F_REPLACE,
    Message,
    Netlink,
    attribute,
    attributes,
)

RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH, RTM_GETRULE = 18, 22, 26, 28, 29, 30, 34
PROTOCOL = 197
"""Marks the routes that are ours (what `ip route` calls `proto`)."""

_IFF_UP, _NUD_PERMANENT, _NTF_PROXY, _LINK_LOCAL = 0x1, 0x80, 0x08, 253
_ONLY_WHAT_IS_READ = struct.pack("=I", 8)  # RTEXT_FILTER_SKIP_STATS
_NFT_GETGEN = 10 << 8 | 16
_CT_GET, _CT_DELETE = 1 << 8 | 1, 1 << 8 | 2
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


@dataclass(frozen=True)
class Link:
    index: int
    mac: str
    mtu: int
    up: bool


class Route(NamedTuple):
    """`destination`: with prefix length. `via`: next hop, empty for what is on the link. `source`: preferred, if any."""

    destination: str
    device: str
    via: str = ""
    source: str = ""
    table: int = 254


class Neighbour(NamedTuple):
    """An address whose MAC is known for good."""

    device: str
    address: str
    mac: str


@dataclass(frozen=True)
class Connection:
    """A tracked connection whose addresses are translated. Addresses as it began, and as its answers come."""

    family: int
    source: str
    destination: str
    answers_from: str
    answers_to: str
    key: bytes


def links(netlink: Netlink) -> dict[str, Link]:
    """By name."""
    found = {}
    ask = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attribute(29, _ONLY_WHAT_IS_READ)
    for body in netlink.dump(RTM_GETLINK, ask):
        _, _, index, flags, _ = struct.unpack_from("=BxHiII", body)
        each = attributes(body, 16)
        mac, mtu = each.get(1, b"").hex(":"), struct.unpack("=I", each.get(4, b"\0\0\0\0"))[0]
        found[each[3].rstrip(b"\0").decode()] = Link(index, mac, mtu, bool(flags & _IFF_UP))
    return found


def addresses(netlink: Netlink, devices: dict[int, str]) -> set[tuple[str, str]]:
    """(Device, address with prefix length). `devices`: those of interest, by index."""
    found = set()
    for body in netlink.dump(RTM_GETADDR, struct.pack("=BBBBI", 0, 0, 0, 0, 0)):
        family, length, _, _, index = struct.unpack_from("=BBBBI", body)
        if index in devices and family in _FAMILIES:
            each = attributes(body, 8)
            found.add((devices[index], f"{socket.inet_ntop(family, each.get(2) or each[1])}/{length}"))
    return found


def routes(netlink: Netlink, devices: dict[int, str]) -> set[Route]:
    """Ours, through devices of interest."""
    found = set()
    for family in _FAMILIES:
        # Family, lengths, type of service, table, protocol, scope, type, flags.
        for body in netlink.dump(RTM_GETROUTE, struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, PROTOCOL, 0, 0, 0)):
            _, length, _, _, table, protocol, *_ = struct.unpack_from("=BBBBBBBBI", body)
            each = attributes(body, 12)
            index = struct.unpack("=I", each[4])[0] if 4 in each else 0
            if protocol != PROTOCOL or index not in devices:
                continue
            to = socket.inet_ntop(family, each.get(1, bytes(4 if family == socket.AF_INET else 16)))
            via, source = (socket.inet_ntop(family, each[kind]) if kind in each else "" for kind in (5, 7))
            number = struct.unpack("=I", each[15])[0] if 15 in each else table
            found.add(Route(f"{to}/{length}", devices[index], via, source, number))
    return found


def neighbours(netlink: Netlink, devices: dict[int, str]) -> set[Neighbour]:
    """Permanent ones, on devices of interest; those that the kernel has for multicast and broadcast are not among them."""
    found = set()
    for body in netlink.dump(RTM_GETNEIGH, struct.pack("=BxxxiHBB", 0, 0, 0, 0, 0)):
        family, index, state, _, _ = struct.unpack_from("=BxxxiHBB", body)
        if state & _NUD_PERMANENT and index in devices and family in _FAMILIES:
            each = attributes(body, 12, 2)
            found.add(Neighbour(devices[index], socket.inet_ntop(family, each[1]), each.get(2, b"").hex(":")))
    return found


def proxies(netlink: Netlink, devices: dict[int, str]) -> set[tuple[str, str]]:
    """(Device, address that it answers for)."""
    found = set()
    for body in netlink.dump(RTM_GETNEIGH, struct.pack("=BxxxiHBB", 0, 0, 0, _NTF_PROXY, 0)):
        family, index, _, flags, _ = struct.unpack_from("=BxxxiHBB", body)
        if flags & _NTF_PROXY and index in devices and family in _FAMILIES:
            found.add((devices[index], socket.inet_ntop(family, attributes(body, 12)[1])))
    return found


def rules(netlink: Netlink) -> set[tuple[int, str, int, int]]:
    """(Family, device that a packet came in by, table, priority) of the rules for one such device."""
    found: set[tuple[int, str, int, int]] = set()
    for family in _FAMILIES:
        for body in netlink.dump(RTM_GETRULE, struct.pack("=BBBBBBBBI", family, *[0] * 8)):
            each = attributes(body, 12)
            if 3 in each:
                table, priority = (struct.unpack("=I", each.get(kind, bytes(4)))[0] for kind in (15, 6))
                found.add((int(family), each[3].rstrip(b"\0").decode(), table, priority))
    return found


def put_neighbours(netlink: Netlink, entries: Iterable[Neighbour], indexes: dict[str, int]) -> list[int]:
    """Error number of each, 0 for done."""
    return netlink.change(
        _neighbour(RTM_NEWNEIGH, indexes[each.device], each.address, mac=each.mac, state=_NUD_PERMANENT) for each in entries
    )


def drop_neighbours(netlink: Netlink, entries: Iterable[Neighbour], indexes: dict[str, int]) -> list[int]:
    return netlink.change(_neighbour(RTM_DELNEIGH, indexes[each.device], each.address) for each in entries)


def put_proxies(netlink: Netlink, entries: Iterable[tuple[str, str]], indexes: dict[str, int]) -> list[int]:
    return netlink.change(
        _neighbour(RTM_NEWNEIGH, indexes[device], address, flags=_NTF_PROXY) for device, address in entries
    )


def drop_proxies(netlink: Netlink, entries: Iterable[tuple[str, str]], indexes: dict[str, int]) -> list[int]:
    return netlink.change(
        _neighbour(RTM_DELNEIGH, indexes[device], address, flags=_NTF_PROXY) for device, address in entries
    )


def rules_generation() -> int:
    """A number that changes with every change of the namespace's nftables, whoever makes it."""
    with Netlink(NETLINK_NETFILTER) as netlink:
        answer = attributes(netlink.ask(_NFT_GETGEN, struct.pack("=BBH", 0, 0, 0)), 4)
    return int.from_bytes(answer.get(1, b""), "big")


def connections(netlink: Netlink) -> list[Connection]:
    """Tracked connections with translated addresses. `netlink`: of NETLINK_NETFILTER."""
    found = []
    for body in netlink.dump(_CT_GET, struct.pack("=BBH", 0, 0, 0)):
        family, each = body[0], attributes(body, 4)
        (source, destination), (answers_from, answers_to) = (_ends(each.get(kind, b"")) for kind in (1, 2))
        if (source, destination) != (answers_to, answers_from):
            key = b"".join(attribute(kind | 0x8000 * (kind == 1), each[kind]) for kind in (1, 12, 18) if kind in each)
            found.append(Connection(family, source, destination, answers_from, answers_to, key))
    return found


def forget_connections(netlink: Netlink, ended: Iterable[Connection]) -> list[int]:
    return netlink.change((_CT_DELETE, 0, struct.pack("=BBH", each.family, 0, 0) + each.key) for each in ended)


def _ends(tuple_: bytes) -> tuple[str, str]:
    """Source and destination address."""
    ip = attributes(attributes(tuple_, 0).get(1, b""), 0)
    if 1 in ip:
        return socket.inet_ntop(socket.AF_INET, ip[1]), socket.inet_ntop(socket.AF_INET, ip[2])
    return socket.inet_ntop(socket.AF_INET6, ip[3]), socket.inet_ntop(socket.AF_INET6, ip[4])


def _neighbour(kind: int, index: int, address: str, *, mac: str = "", state: int = 0, flags: int = 0) -> Message:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    body = struct.pack("=BxxxiHBB", family, index, state, flags, 0) + attribute(1, socket.inet_pton(family, address))
    if mac:
        body += attribute(2, bytes.fromhex(mac.replace(":", "")))
    return kind, NLM_F_CREATE | NLM_F_REPLACE if kind == RTM_NEWNEIGH else 0, body
