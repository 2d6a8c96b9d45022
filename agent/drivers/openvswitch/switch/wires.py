"""Physical networks: a bridge of their own each, an ordinary switch, joined to the integration bridge by a pair of patch
ports. Other things of the host may use that bridge too, so only what is ours on it is touched."""

import hashlib
from collections.abc import Mapping

from agent.config import Wire
from agent.drivers.base import DriverError
from agent.drivers.openvswitch.switch.database import OURS, Database, NewPort


def patch_names(bridge: str, physical: str) -> tuple[str, str]:
    """Patch ports of one wire: on the integration bridge, and on the wire's own."""
    digest = hashlib.blake2b(f"{bridge} {physical}".encode(), digest_size=4).hexdigest()
    return f"csw{digest}", f"csp{digest}"


class Wires:
    """The wires of one integration bridge."""

    def __init__(self, database: Database, bridge: str, wires: Mapping[str, Wire]) -> None:
        self._database = database
        self._bridge = bridge
        self._wires = wires

    def ensure(self) -> list[tuple[str, DriverError]]:
        """Bridges, devices in them, patch ports; answers what could not be done, by physical network."""
        failed: list[tuple[str, DriverError]] = []
        for physical, wire in sorted(self._wires.items()):
            try:
                self._ensure(physical, wire)
            except DriverError as error:
                failed.append((physical, error))
        return failed

    def numbers(self) -> dict[str, int]:
        """Physical network → number of its port on the integration bridge, of those that work."""
        ports = self._database.interfaces(self._bridge)
        found = {name: ports.get(patch_names(self._bridge, name)[0]) for name in self._wires}
        return {name: port.ofport for name, port in found.items() if port and port.ofport is not None}

    def patches(self) -> set[str]:
        return {patch_names(self._bridge, name)[0] for name in self._wires}

    def remove(self) -> None:
        """Take our patch ports away; the bridges stay, others may use them."""
        bridges = self._database.bridges()
        for physical, wire in self._wires.items():
            here, there = patch_names(self._bridge, physical)
            if wire.bridge in bridges:
                self._database.change_ports(wire.bridge, delete=[there])
            if self._bridge in bridges:
                self._database.change_ports(self._bridge, delete=[here])

    def _ensure(self, physical: str, wire: Wire) -> None:
        self._database.ensure_bridge(wire.bridge, secure=False)
        here, there = patch_names(self._bridge, physical)
        own, far = self._database.interfaces(self._bridge), self._database.interfaces(wire.bridge)
        ours = {OURS: self._bridge}
        missing = []
        if wire.interface and wire.interface not in far:
            missing.append(NewPort(name=wire.interface, external_ids=ours))
        if there not in far:
            missing.append(NewPort(name=there, kind="patch", options={"peer": here}, external_ids=ours))
        self._database.change_ports(wire.bridge, add=missing)
        if here not in own:
            patch = NewPort(name=here, kind="patch", options={"peer": there}, external_ids=ours)
            self._database.change_ports(self._bridge, add=[patch])
