"""Makes one namespace what it should be: reads what is there, and changes only what differs.

Everything here runs in a thread that is in the namespace already (see `inside`), or in the host's own for Space ROOT, where
nothing is touched but what the space names.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from agent.drivers.base import DriverError
from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.routing import kernel
from agent.drivers.openvswitch.routing.firewall import Tables
from agent.drivers.openvswitch.routing.netlink import NETLINK_NETFILTER, Netlink
from agent.drivers.openvswitch.routing.settings import put_all, silence
from agent.drivers.openvswitch.routing.wanted import FROM_OUTSIDE, FROM_OUTSIDE_PRIORITY, ROOT, Device, Pair, Space
from agent.drivers.openvswitch.services.inside import NAMESPACES

CODE = "network.routing"
# The kernel has others in every new namespace where tunnels are known to it.
OURS = (names.gateway(""), names.transit(""), names.UPLINK, names.EXTERNAL)
_NO_DAD = 0x02
_ON_LINK = 4
_SCOPE_LINK, _SCOPE_GLOBAL = 253, 0
_SIOCETHTOOL, _GET_TX, _SET_TX = 0x8946, 0x16, 0x17


class InTheWay(Exception):
    """Something has the name of a pair's other end already."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(f"{pair.there} is there already")
        self.pair = pair


@dataclass
class Done:
    """What was changed, in words; `announce`: addresses that the namespace answers for since now."""

    changes: list[str] = field(default_factory=list)
    announce: list[str] = field(default_factory=list)


class Visit:
    """One look at one namespace, and what is to be changed there. Raises DriverError, OSError."""

    def __init__(self, space: Space, tables: Tables, root: int) -> None:
        """`root`: descriptor of the host's own namespace."""
        self._space, self._tables, self._root = space, tables, root
        self._stack = ExitStack()
        self._route: IPRoute | None = None
        self.done = Done()

    def run(self, outer: "dict[str, kernel.Link] | None" = None) -> Done:
        """`outer`: the host's devices, to see pairs whose other end is not where it should be."""
        with self._stack:
            self._netlink = self._stack.enter_context(Netlink())
            links = kernel.links(self._netlink)
            self._settle()
            links = self._make_pairs(links, outer)
            # Before anything is up: no packet passes without them.
            if self._space.table and self._tables.ensure(self._space.name, self._space.table, self._space.text):
                self._changed(f"rules of {self._space.table}")
                self._forget_connections()
            links = self._set_devices(links)
            self._indexes = {name: link.index for name, link in links.items()}
            self._set_addresses()
            self._set_neighbours()
            self._set_routes()
            self._set_proxies()
        return self.done

    @property
    def _is_root(self) -> bool:
        return self._space.name == ROOT

    @property
    def route(self) -> Any:
        """For changes; most visits make none."""
        if self._route is None:
            self._route = self._stack.enter_context(IPRoute())
        return self._route

    def _changed(self, what: str) -> None:
        self.done.changes.append(what)

    def _settle(self) -> None:
        # Defaults are for devices to come: no drift is seen by them.
        for path in put_all(self._space.settings):
            if "/conf/default/" not in path:
                self._changed(path)

    def _make_pairs(self, links: dict[str, kernel.Link], outer: dict[str, kernel.Link] | None) -> dict[str, kernel.Link]:
        """Make what is missing; remove what leads to a network or router that is not here any more."""
        wanted = {device.name for device in self._space.devices}
        if not self._is_root:
            for name in links.keys() - wanted:
                if name.startswith(OURS):
                    self._delete(name)
        for pair in self._space.pairs:
            if outer is not None and pair.here in links and pair.there not in outer:
                self._delete(pair.here)
                links = {name: link for name, link in links.items() if name != pair.here}
            if pair.here not in links:
                make_pair(self.route, pair, self._root)
                self._changed(pair.here)
        if self.done.changes:
            links = kernel.links(self._netlink)
            self._settle()
        return links

    def _delete(self, name: str) -> None:
        delete_link(self.route, name)
        self._changed(f"{name} removed")

    def _set_devices(self, links: dict[str, kernel.Link]) -> dict[str, kernel.Link]:
        wanted = list(self._space.devices)
        if not self._is_root and not links["lo"].up:
            self.route.link("set", index=links["lo"].index, state="up")
        missing = [device.name for device in wanted if device.name not in links]
        if missing:
            raise DriverError(CODE, f"{self._space.name or 'host'}: no device {missing[0]}")
        for device in wanted:
            self._set_device(device, links[device.name])
        return links

    def _set_device(self, device: Device, link: kernel.Link) -> None:
        values: dict[str, Any] = {}
        if link.mac != device.mac:
            values["address"] = device.mac
        if link.mtu != device.mtu:
            values["mtu"] = device.mtu
        if not device.offloads and _tx_checksums(device.name, drop=False):
            # Whoever gets the frame in user space takes it as it is: the checksum would never be computed.
            _tx_checksums(device.name, drop=True)
            self._changed(f"checksums of {device.name}")
        if not link.up:
            if self._is_root:
                silence(device.name)
            values["state"] = "up"
        if values:
            self.route.link("set", index=link.index, **values)
            self._changed(device.name)

    @property
    def _devices(self) -> dict[int, str]:
        """Those that are ours, by index."""
        return {self._indexes[device.name]: device.name for device in self._space.devices}

    def _set_addresses(self) -> None:
        there, wanted = kernel.addresses(self._netlink, self._devices), self._space.addresses
        for device, interface in sorted(wanted - there):
            address, _, length = interface.partition("/")
            more: dict[str, Any] = {"flags": _NO_DAD} if ":" in address else {}
            if length == "32":
                # Not a source for anything that did not ask for it by name.
                more = {"scope": _SCOPE_LINK}
            self._tolerating(
                errno.EEXIST, "addr", "add", index=self._indexes[device], address=address, prefixlen=int(length), **more
            )
            self._changed(interface)
        for device, interface in sorted(there - wanted):
            address, _, length = interface.partition("/")
            self._tolerating(
                errno.EADDRNOTAVAIL, "addr", "delete", index=self._indexes[device], address=address, prefixlen=int(length)
            )
            self._changed(f"{interface} removed")

    def _set_neighbours(self) -> None:
        there, wanted = kernel.neighbours(self._netlink, self._devices), self._space.neighbours
        gone = {(each.device, each.address) for each in there} - {(each.device, each.address) for each in wanted}
        self._checked(kernel.put_neighbours(self._netlink, new := sorted(wanted - there), self._indexes))
        superfluous = [each for each in there if (each.device, each.address) in gone]
        self._checked(kernel.drop_neighbours(self._netlink, superfluous, self._indexes), errno.ENOENT)
        if new or superfluous:
            self._changed(f"{len(new) + len(superfluous)} neighbours")

    def _set_routes(self) -> None:
        there, wanted = kernel.routes(self._netlink, self._devices), self._space.routes
        for route in sorted(wanted - there):
            self._put_route(route)
            self._changed(route.destination)
        # A new one with the same destination and table has replaced the old one already.
        kept = {(route.destination, route.table) for route in wanted}
        for route in sorted(there - wanted):
            if (route.destination, route.table) not in kept:
                self._tolerating(errno.ESRCH, "route", "delete", **self._route_words(route))
            self._changed(f"{route.destination} removed")
        if self._space.of and self._space.announce:
            self._set_rules()

    def _put_route(self, route: kernel.Route) -> None:
        more: dict[str, Any] = {"flags": _ON_LINK} if route.via else {}
        if ":" not in route.destination:
            more["scope"] = _SCOPE_GLOBAL if route.via else _SCOPE_LINK
        if route.source:
            more["prefsrc"] = route.source
        self.route.route("replace", **self._route_words(route), **more)

    def _route_words(self, route: kernel.Route) -> dict[str, Any]:
        words: dict[str, Any] = {
            "family": socket.AF_INET6 if ":" in route.destination else socket.AF_INET,
            "dst": route.destination,
            "oif": self._indexes[route.device],
            "table": route.table,
            "proto": kernel.PROTOCOL,
        }
        return words | ({"gateway": route.via} if route.via else {})

    def _set_rules(self) -> None:
        families = (socket.AF_INET, socket.AF_INET6) if self._space.from_outside else ()
        wanted = {(int(family), names.EXTERNAL, FROM_OUTSIDE, FROM_OUTSIDE_PRIORITY) for family in families}
        there = kernel.rules(self._netlink)
        for verb, rules in (("add", wanted - there), ("delete", there - wanted)):
            for family, device, table, priority in sorted(rules):
                self.route.rule(verb, family=family, iifname=device, table=table, priority=priority)
                self._changed(f"rule for what comes in by {device}")

    def _set_proxies(self) -> None:
        if not self._space.announce:
            return
        there, wanted = kernel.proxies(self._netlink, self._devices), self._space.proxies
        new = sorted(wanted - there)
        self._checked(kernel.drop_proxies(self._netlink, there - wanted, self._indexes), errno.ENOENT)
        self._checked(kernel.put_proxies(self._netlink, new, self._indexes))
        self.done.announce += [address for _, address in new]
        self.done.changes += [f"answers for {address}" for _, address in new]
        self.done.changes += [f"no answers for {address}" for _, address in sorted(there - wanted)]

    def _forget_connections(self) -> None:
        """End connections by a floating address that is not here any more, or that is another guest's now."""
        if self._is_root or self._space.announce:
            return
        fixed = {inner: outer for outer, inner in self._space.floating.items()}
        own = {interface.partition("/")[0] for _, interface in self._space.addresses}
        with Netlink(NETLINK_NETFILTER) as netlink:
            ended = [each for each in kernel.connections(netlink) if not _is_right(each, self._space.floating, fixed, own)]
            kernel.forget_connections(netlink, ended)
        if ended:
            self._changed(f"{len(ended)} connections of former floating addresses ended")

    def _tolerating(self, number: int, kind: str, verb: str, **values: Any) -> None:
        try:
            getattr(self.route, kind)(verb, **values)
        except NetlinkError as error:
            if error.code != number:
                raise DriverError(CODE, f"{self._space.name}: {kind} {verb} {values}: {error}") from error

    def _checked(self, errors: list[int], tolerated: int = 0) -> None:
        bad = [number for number in errors if number not in (0, tolerated)]
        if bad:
            raise DriverError(CODE, f"{self._space.name}: neighbours: {os.strerror(bad[0])} ({len(bad)} times)")


def make_pair(route: Any, pair: Pair, root: int) -> None:
    """The other end is made where it belongs, so there is never a half-moved pair. Raises InTheWay."""
    with ExitStack() as stack:
        there = root
        if pair.there_space != ROOT:
            there = os.open(NAMESPACES / pair.there_space, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, there)
        peer: dict[str, Any] = {"ifname": pair.there, "net_ns_fd": there, "mtu": pair.mtu}
        if pair.there_mac:
            peer["address"] = pair.there_mac
        try:
            route.link("add", ifname=pair.here, kind="veth", address=pair.mac, mtu=pair.mtu, peer=peer)
        except NetlinkError as error:
            if error.code == errno.EEXIST:
                raise InTheWay(pair) from error
            raise DriverError(CODE, f"{pair.here}: {error}") from error


def delete_link(route: Any, name: str) -> None:
    """Fine if there is none."""
    for index in route.link_lookup(ifname=name):
        with suppress(NetlinkError):
            route.link("delete", index=index)


def _is_right(each: kernel.Connection, floating: Mapping[str, str], fixed: Mapping[str, str], own: set[str]) -> bool:
    """Are its addresses translated as they would be now?"""
    inward = each.destination == each.answers_from or floating.get(each.destination) == each.answers_from
    outward = each.source == each.answers_to or each.answers_to in own or fixed.get(each.source) == each.answers_to
    return inward and outward


def _tx_checksums(device: str, *, drop: bool) -> bool:
    """Does the device leave checksums to others (and never again, with `drop`)?"""
    value = ctypes.create_string_buffer(struct.pack("=II", _SET_TX if drop else _GET_TX, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCETHTOOL, struct.pack("16sP16x", device.encode(), ctypes.addressof(value)))
    return bool(struct.unpack("=II", value.raw[:8])[1])
