"""The order in which a host's namespaces are brought about, and what is done when one of them fails."""

import ipaddress
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from agent.drivers.base import DriverError, Outcome
from agent.drivers.command import run
from agent.drivers.openvswitch.routing import kernel, settings, transit
from agent.drivers.openvswitch.routing import plan as planning
from agent.drivers.openvswitch.routing.announce import Announcer
from agent.drivers.openvswitch.routing.firewall import Tables
from agent.drivers.openvswitch.routing.netlink import Netlink
from agent.drivers.openvswitch.routing.records import Records
from agent.drivers.openvswitch.routing.space import CODE, Done, InTheWay, Visit, delete_link, make_pair
from agent.drivers.openvswitch.routing.transit import Transit
from agent.drivers.openvswitch.routing.wanted import ROOT, Plan, Site, Space, Uplink, kernel_settings
from agent.drivers.openvswitch.services.inside import NAMESPACES, inside
from agent.network.desired import Desired
from contracts.network import v2 as network

log = structlog.get_logger(__name__)
T = TypeVar("T")


class Routing:
    """Of one installation on this host. The host's own namespace is the one of the thread that calls."""

    def __init__(self, folder: Path, *, owner: str, host_id: str, vxlan_port: int = 4789) -> None:
        """`folder`: for what must not survive a reboot; made when it is needed. `owner`: tells this installation from
        others on the machine, hex digits or letters. Nothing is touched before the first call."""
        self._records = Records(folder)
        self._site = Site(host_id=host_id, root_table=f"cloudsite_{owner}", vxlan_port=vxlan_port)
        self._tables = Tables()
        self._lock = threading.Lock()
        self._plan: Plan | None = None
        self._announcer = Announcer(self._answers_for)

    def domains(self) -> dict[str, list[str]]:
        """Namespaces that are here → devices of the host that lead there."""
        return self._records.all()

    def converge(self, desired: Desired) -> Outcome:
        """Make the host route what is desired. What cannot be done is in the outcome; the rest is done."""
        outcome = Outcome()
        if not desired.generation:
            return outcome
        with self._lock:
            root = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                _Round(self._records, self._tables, root, self._plan, outcome).run(desired, self._site, self._take)
            finally:
                os.close(root)
        return outcome

    def remove_all(self) -> None:
        """Take away everything that this installation has here. Raises DriverError, OSError."""
        with self._lock:
            self._plan = None
            for space, devices in self._records.all().items():
                _remove(space, devices)
                self._records.forget(space)
            table = self._site.root_table
            run("nft", "-f", "-", stdin=f"add table inet {table}\ndelete table inet {table}\n", code=CODE)
            self._tables = Tables()
            self._records.close()

    def stop(self) -> None:
        """Announce nothing any more; all else goes on without this process."""
        self._announcer.stop()

    def _take(self, plan: Plan, announce: dict[str, list[str]]) -> None:
        """What is there now."""
        self._plan = plan
        for space in plan.outsides:
            if addresses := announce.get(space.name):
                self._announcer.announce(space.name, space.announce, space.devices[0].mac, addresses)

    def _answers_for(self, space: str, address: str) -> bool:
        plan = self._plan
        return plan is not None and any(
            each.name == space and (each.announce, address) in each.proxies for each in plan.outsides
        )


class _Round:
    """One pass over everything."""

    def __init__(self, records: Records, tables: Tables, root: int, former: Plan | None, outcome: Outcome) -> None:
        """`former`: what the last pass brought about; where nothing else is wanted now, differences are drift."""
        self._records, self._tables, self._root, self._outcome = records, tables, root, outcome
        self._former = {each.name: each for each in (former.root, *former.outsides, *former.domains)} if former else {}
        self._fresh: set[str] = set()
        self._done: dict[str, Done] = {}

    def run(self, desired: Desired, site: Site, take: Callable[[Plan, dict[str, list[str]]], None]) -> None:
        wanted, known = planning.spaces(desired), self._records.all()
        self._remove_superfluous(wanted, known)
        ready = {ROOT}
        for name, devices in wanted.items():
            if self._try("", lambda: self._prepare(name, devices, known.get(name))):  # noqa: B023
                ready.add(name)
        with Netlink() as netlink:
            links = kernel.links(netlink)
            ipv6 = _has_ipv6(netlink, links)
        transits = self._transits(list(planning.uplinks(desired).values()), ready)
        plan = planning.plan(desired, replace(site, ipv6=ipv6, transits=transits))
        if plan.root.devices:
            settings.forward(ipv6=ipv6)
        for space in (plan.root, *plan.outsides, *plan.domains):
            if space.name in ready:
                self._try(space.of, lambda: self._note(space, self._visit(space, links)))  # noqa: B023
        self._plug(plan)
        take(self._brought_about(plan), {name: done.announce for name, done in self._done.items()})

    def _remove_superfluous(self, wanted: dict[str, list[str]], known: dict[str, list[str]]) -> None:
        for space, devices in known.items():
            if space in wanted:
                for device in set(devices) - set(wanted[space]):
                    _delete_device(device)
                continue
            if self._try("", lambda: _remove(space, devices)):  # noqa: B023
                self._records.forget(space)
                self._tables.forget(space)

    def _prepare(self, space: str, devices: list[str], known: list[str] | None) -> None:
        """Have the namespace, still empty if it is new. `known`: its devices so far."""
        if known != devices:
            self._records.put(space, devices)
        if is_mounted(NAMESPACES / space):
            return
        # Devices of a namespace that somebody deleted may live on: sockets that were opened there keep it alive.
        for device in known or []:
            _delete_device(device)
        self._tables.forget(space)
        self._fresh.add(space)
        # An `ip netns add` that was killed half-way leaves a plain file, which is no namespace.
        (NAMESPACES / space).unlink(missing_ok=True)
        run("ip", "netns", "add", space, code=CODE)
        inside(space, lambda: settings.put_all(kernel_settings(forwards=False)))

    def _transits(self, uplinks: list[Uplink], ready: set[str]) -> dict[str, Transit]:
        """Router id → the range of its pair, which is there when this returns.

        Namespaces of which it could not be found out are not `ready` then: nothing that works there may go.
        """
        found: dict[str, Transit] = {}
        for outer in sorted({each.outer_space for each in uplinks}):
            mine = [each for each in uplinks if each.outer_space == outer]
            ensure = partial(self._in, outer, partial(self._ensure_transits, mine, found))
            if outer not in ready or not self._try("", ensure):
                ready -= {outer, *(each.space for each in mine)}
        return found

    def _ensure_transits(self, uplinks: list[Uplink], found: dict[str, Transit]) -> None:
        """In the namespace of their outer ends."""
        with Netlink() as netlink:
            found |= _transits_there(netlink, [each for each in uplinks if each.space not in self._fresh])
            missing = [each for each in uplinks if each.router not in found]
            if not missing:
                return
            with transit.one_at_a_time(), IPRoute() as route:
                for each in missing:
                    self._try(each.router, lambda: self._make_transit(netlink, route, each, found))  # noqa: B023

    def _make_transit(self, netlink: Netlink, route: IPRoute, uplink: Uplink, found: dict[str, Transit]) -> None:
        delete_link(route, uplink.pair.here)
        links = kernel.links(netlink)
        taken = [address for _, address in kernel.addresses(netlink, {link.index: name for name, link in links.items()})]
        chosen = transit.choose(uplink.router, taken)
        if chosen is None:
            raise DriverError(CODE, "no transit range is free in 169.254.0.0/16")
        try:
            make_pair(route, uplink.pair, self._root)
        except InTheWay:
            # The way out was another one before.
            inside(uplink.space, lambda: _delete_device(uplink.pair.there))
            make_pair(route, uplink.pair, self._root)
        index = route.link_lookup(ifname=uplink.pair.here)[0]
        settings.silence(uplink.pair.here)
        address, _, length = chosen.ends(ipv6=False)[0].outer_interface.partition("/")
        route.addr("add", index=index, address=address, prefixlen=int(length))
        found[uplink.router] = chosen

    def _visit(self, space: Space, links: dict[str, kernel.Link]) -> Done:
        def visit() -> Done:
            return Visit(space, self._tables, self._root).run(links)

        try:
            return self._in(space.name, visit)
        except InTheWay as found:
            # The network was in another routing domain, or its namespace was deleted by hand and lives on.
            _delete_device(found.pair.there)
            return self._in(space.name, visit)

    def _in(self, space: str, work: Callable[[], T]) -> T:
        return work() if space == ROOT else inside(space, work)

    def _note(self, space: Space, done: Done) -> None:
        self._done[space.name] = done
        if done.changes and self._former.get(space.name) == space:
            where = space.name or "host"
            self._outcome.mended.append(f"{where}: {', '.join(done.changes[:8])}{'…' if len(done.changes) > 8 else ''}")

    def _brought_about(self, plan: Plan) -> Plan:
        """Without what failed."""
        outsides, domains = (tuple(e for e in each if e.name in self._done) for each in (plan.outsides, plan.domains))
        return replace(plan, outsides=outsides, domains=domains)

    def _plug(self, plan: Plan) -> None:
        """Bring up the host's ends of what the bridge takes in."""
        with Netlink() as netlink:
            links = kernel.links(netlink)
        for device, mtu in plan.plugs.items():
            link = links.get(device)
            if link is not None and (not link.up or link.mtu != mtu):
                settings.deafen(device)
                with suppress(NetlinkError), IPRoute() as route:
                    route.link("set", index=link.index, mtu=mtu, state="up")

    def _try(self, of: str, work: Callable[[], object]) -> bool:
        """`of`: id of what it is about, if of one. False, and a problem, if it fails."""
        try:
            work()
        except (DriverError, InTheWay, NetlinkError, OSError) as error:
            code = error.code if isinstance(error, DriverError) else CODE
            log.warning("network.routing_failed", of=of, error=str(error))
            self._outcome.problems.append(network.Problem(code=code, message=str(error), object=of))
            return False
        return True


def is_mounted(path: Path) -> bool:
    """True for a real namespace handle, false for nothing and for the plain file it would be mounted on."""
    try:
        return path.stat().st_dev != path.parent.stat().st_dev
    except OSError:
        return False


def _transits_there(netlink: Netlink, uplinks: list[Uplink]) -> dict[str, Transit]:
    links = kernel.links(netlink)
    of = {links[each.pair.here].index: each.router for each in uplinks if each.pair.here in links}
    return {
        router: found for router, address in kernel.addresses(netlink, of) if (found := Transit.of(address)) is not None
    }


def _has_ipv6(netlink: Netlink, links: dict[str, kernel.Link]) -> bool:
    """Has the host an address that is known beyond its link?"""
    own = {link.index: name for name, link in links.items() if name != "lo" and not name.startswith(("cst", "csg", "csx"))}
    there = (ipaddress.ip_interface(address).ip for _, address in kernel.addresses(netlink, own))
    return any(each.version == 6 and not each.is_link_local for each in there)


def _remove(space: str, devices: list[str]) -> None:
    """Take a namespace away, processes and the host's devices of it included; fine when there is nothing."""
    path = NAMESPACES / space
    if is_mounted(path):
        for pid in run("ip", "netns", "pids", space, code=CODE).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    for device in devices:
        _delete_device(device)
    if is_mounted(path):
        # What would live on with a socket that somebody has open there.
        inside(space, _delete_devices)
        run("ip", "netns", "delete", space, code=CODE)
    else:
        path.unlink(missing_ok=True)


def _delete_device(name: str) -> None:
    """In the thread's own namespace."""
    with IPRoute() as route:
        delete_link(route, name)


def _delete_devices() -> None:
    with Netlink() as netlink, IPRoute() as route:
        for name in kernel.links(netlink).keys() - {"lo"}:
            delete_link(route, name)
