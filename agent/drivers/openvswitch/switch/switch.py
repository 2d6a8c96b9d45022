"""The integration bridge brought to what is desired: devices first, flows when everything else has its devices."""

from collections.abc import Callable
from typing import Final

import structlog

from agent.config import Config
from agent.drivers.base import DriverError
from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.allotment import Allotment, Exhausted, Pool, policy_key
from agent.drivers.openvswitch.routing.settings import deafen
from agent.drivers.openvswitch.switch import plan as planning
from agent.drivers.openvswitch.switch.database import OURS, Database, Interface, NewPort, kernel_datapath
from agent.drivers.openvswitch.switch.flows import flows
from agent.drivers.openvswitch.switch.openflow import OpenFlow
from agent.drivers.openvswitch.switch.tunnels import Tunnels, device_index, tunnel
from agent.drivers.openvswitch.switch.watch import Watch
from agent.drivers.openvswitch.switch.wires import Wires
from agent.network.desired import Desired
from agent.network.store import Cards
from agent.network.tunnel import tunnel_address
from contracts.network import v2 as network

CODE = "network.switch"
# Every so many rounds the switch's flows are compared one by one with what they should be.
COMPARE_EVERY: Final = 12
# Connections of these protocols are tracked; by user space's datapath, and by the kernel's.
TRACKED: Final = frozenset({1, 58, 6, 17})
TRACKED_BY_KERNEL: Final = TRACKED | {132}
# What this driver plugs in, by the beginning of its name; taps are plugged in by the hypervisor.
_PREFIXES: Final = ("csg", "csv", "csx")

log = structlog.get_logger(__name__)


class Findings:
    """Collects what went wrong and what was put right, while the rest goes on."""

    def __init__(self) -> None:
        self.problems: list[network.Problem] = []
        self.mended: list[str] = []

    def failed(self, error: DriverError, about: str = "") -> None:
        self.problems.append(network.Problem(code=error.code, message=str(error), object=about))


class Switch:
    """One bridge. `converge_…` by one thread at a time; the rest by any."""

    def __init__(self, config: Config, cards: Cards, allotment: Allotment, *, ovs_rundir: str = "") -> None:
        self.name = config.bridge
        self._config = config
        self._cards = cards
        self._allotment = allotment
        self.database = Database(ovs_rundir)
        self.openflow = OpenFlow(config.bridge, self.database.rundir)
        self._wires = Wires(self.database, config.bridge, config.physical)
        self._tunnels: Tunnels | None = None
        self._watch: Watch | None = None
        self._seen: dict[str, int] = {}  # devices at the last round → their index in the kernel
        self._dead: set[str] = set()  # ports without a working device at the last round
        self._last: object = None
        self._rounds = 0
        self.woken: Callable[[], object] = lambda: None
        self.database.changed = self._heard

    def ensure(self) -> None:
        """Create the bridge unless it is there. Without flows it forwards nothing. Raises DriverError."""
        self.database.ensure_bridge(self.name, secure=True)
        if self._watch is None:
            self._watch = Watch(self.database.rundir, self._restarted)
            self._watch.start()

    def datapath(self) -> str:
        """`netdev` or `system`; of the bridge to come while there is none."""
        return self.database.datapath(self.name) or ("system" if kernel_datapath() else "netdev")

    def close(self) -> None:
        if self._watch:
            self._watch.stop()
        self.database.close()

    def remove(self) -> None:
        """The bridge and all that this driver made beside it, for good."""
        for network_id in self._allotment.known(Pool.NETWORK):
            self.tunnels.remove(network_id)
        self._wires.remove()
        self.database.remove_bridge(self.name)

    @property
    def tunnels(self) -> Tunnels:
        if self._tunnels is None:
            self._tunnels = Tunnels(offloads=self.datapath() != "netdev")
        return self._tunnels

    # --- devices ----------------------------------------------------------------------------------------------------

    def converge_devices(self, desired: Desired, findings: Findings) -> None:
        """Bridge, wires, tunnels, taps that somebody took out; and away with what is not desired any more."""
        self.ensure()
        for physical, error in self._wires.ensure():
            findings.failed(error, physical)
        nets = planning.networks_on_bridge(desired)
        for net in nets.values():
            if net.kind in (network.Kind.FLAT, network.Kind.VLAN) and net.physical not in self._config.physical:
                message = f"this host has no physical network {net.physical!r} in its configuration"
                findings.failed(DriverError("network.physical", message), net.id)
        # First away with what is not wanted: its VNI may be another network's by now.
        self._remove_surplus(nets, desired, findings)
        self._converge_tunnels(nets, desired, findings)

    def _converge_tunnels(self, nets: dict[str, network.Network], desired: Desired, findings: Findings) -> None:
        local = tunnel_address(self._config)
        ports: dict[str, list[network.Port]] = {}
        for port in desired.ports.values():
            ports.setdefault(port.network, []).append(port)
        wanted = {
            id_: tunnel(nets[id_], ports.get(id_, []), local=local, port=self._config.vxlan_port)
            for id_ in planning.tunnelled(nets, desired)
        }
        if wanted and not local:
            findings.failed(DriverError("network.tunnel", "no address for tunnels: set tunnel_address in the configuration"))
            return
        for network_id, error in self.tunnels.ensure(wanted):
            findings.failed(error, network_id)

    def _remove_surplus(self, nets: dict[str, network.Network], desired: Desired, findings: Findings) -> None:
        external = planning.external_networks(desired)
        tunnelled = planning.tunnelled(nets, desired)
        wanted = {names.gateway_port(id_) for id_ in nets} | {names.outside_port(id_) for id_ in external}
        wanted |= {names.vxlan(id_) for id_ in tunnelled}
        here = self.database.interfaces(self.name)
        surplus = [name for name in here if name.startswith(_PREFIXES) and name not in wanted]
        patches = self._wires.patches()
        surplus += [name for name, one in here.items() if one.kind == "patch" and name not in patches and OURS in one.external_ids]
        self.database.change_ports(self.name, delete=surplus)
        for network_id in self._allotment.known(Pool.NETWORK):
            if network_id not in tunnelled:
                try:
                    self.tunnels.remove(network_id)
                except DriverError as error:
                    findings.failed(error, network_id)

    # --- flows ------------------------------------------------------------------------------------------------------

    def look(self, findings: Findings) -> None:
        """Does the switch still have what it was told? Raises DriverError."""
        self._rounds += 1
        if self._rounds % COMPARE_EVERY == 0:
            self.openflow.forget()
            self.tunnels.forget()
        elif (should := self.openflow.installed) is not None and (has := self.openflow.count()) != should:
            findings.mended.append(f"the switch had {has} flows instead of {should}")
            self.openflow.forget()

    def converge_flows(self, desired: Desired, findings: Findings) -> None:
        """Plug in what has been made by now, then the flows; quick when nothing is new. Raises DriverError."""
        self._plug(desired, findings)
        here = self.database.interfaces(self.name)
        ofports = {name: one.ofport for name, one in here.items() if one.ofport is not None}
        now = (desired, ofports)
        if self._last == now and self.openflow.installed is not None:
            return
        self._last = None
        try:
            plan = self._plan(desired, ofports)
            self._allotment.save()
        except (Exhausted, OSError) as error:
            raise DriverError(CODE, str(error)) from error
        self.openflow.install(flows(plan))
        self._give_back(desired)
        self._last = now

    def _plan(self, desired: Desired, ofports: dict[str, int]) -> planning.Plan:
        return planning.make(
            desired,
            ofports=ofports,
            wires=self._wires.numbers(),
            allotment=self._allotment,
            host_id=self._config.hosts[0].id,
            tracked=TRACKED if self.datapath() == "netdev" else TRACKED_BY_KERNEL,
        )

    def _plug(self, desired: Desired, findings: Findings) -> None:
        """Whatever device of ours or tap exists and is not on the bridge, or is there as one that exists no more."""
        wanted = self._wanted(desired)
        here = self.database.interfaces(self.name)
        indexes = {name: index for name in wanted if (index := device_index(name))}
        off = [name for name, index in indexes.items() if name not in here and self._is_ours_to_plug(name, index)]
        dead = self._no_longer_the_device(here, indexes)
        for name, index in indexes.items():
            if self._seen.get(name) != index:
                deafen(name)
        self.database.change_ports(self.name, delete=dead)
        new = [NewPort(name=name, external_ids=wanted[name]) for name in (*off, *dead)]
        self.database.change_ports(self.name, add=new)
        findings.mended += [f"{name} was not on the bridge any more" for name in off if self._seen.get(name) == indexes[name]]
        self._seen = indexes

    def _no_longer_the_device(self, here: dict[str, Interface], indexes: dict[str, int]) -> list[str]:
        """Ports whose device was made anew under its name, which the switch does not always notice."""
        new = {name for name, index in indexes.items() if self._seen.get(name, index) != index and name.startswith(_PREFIXES)}
        suspects = {
            name
            for name, index in indexes.items()
            if name in here and (here[name].ofport is None or here[name].index not in (0, index))
        }
        # The switch takes a moment to say so of a device that is being plugged in right now.
        dead, self._dead = suspects & self._dead, suspects
        return sorted(dead | (new & here.keys()))

    def _is_ours_to_plug(self, name: str, index: int) -> bool:
        """A tap that is new is just about to be plugged in by the hypervisor; one that was there before is not."""
        return name.startswith(_PREFIXES) or self._seen.get(name) == index

    def _wanted(self, desired: Desired) -> dict[str, dict[str, str]]:
        """Devices that belong on the bridge, and what it is to note about them."""
        nets, external = planning.networks_on_bridge(desired), planning.external_networks(desired)
        wanted = {name(id_): {OURS: id_} for id_ in nets for name in (names.gateway_port, names.vxlan)}
        wanted |= {names.outside_port(id_): {OURS: id_} for id_ in external}
        for port in desired.here():
            if card := self._cards.get(port.id):
                ids = {"iface-id": port.id, "attached-mac": port.mac, "vm-id": card.instance_id, "iface-status": "active"}
                wanted[names.tap(port.id)] = ids
        return wanted

    def _give_back(self, desired: Desired) -> None:
        """Numbers of what is gone; connections of a port that is gone must not be found by its successor."""
        nets = planning.networks_on_bridge(desired)
        policies = {policy_key(port.groups) for port in desired.here() if port.security}
        alive: dict[Pool, set[str]] = {
            Pool.NETWORK: set(nets),
            Pool.ZONE: {port.id for port in desired.here()},
            Pool.POLICY: policies,
            Pool.GROUP: {rule.group for group in desired.groups.values() for rule in group.rules if rule.group},
        }
        for pool, ids in alive.items():
            for key, number in self._allotment.known(pool).items():
                if key not in ids:
                    if pool is Pool.ZONE:
                        self.openflow.forget_connections(number)
                    self._allotment.release(pool, key)
        self._allotment.save()

    # --- events -----------------------------------------------------------------------------------------------------

    def _heard(self) -> None:
        self.woken()

    def _restarted(self) -> None:
        log.warning("network.switch_restarted", bridge=self.name)
        self.openflow.forget()
        self.woken()
