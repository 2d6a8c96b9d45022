"""Keeps the Network protocol with Open vSwitch, one namespace and one dnsmasq per network."""

import hashlib
import threading
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import structlog

from agent.config import Config
from agent.drivers.base import DriverError, PortBinding
from agent.drivers.command import run
from agent.drivers.ids import checked, checked_port
from agent.drivers.openvswitch import flows, namespace
from agent.drivers.openvswitch.bridge import Bridge, Interface
from agent.drivers.openvswitch.dhcp import Dnsmasq
from agent.drivers.openvswitch.records import NetworkRecord, PortRecord, Records
from agent.locks import KeyedLocks
from contracts.network import v1 as network

RUN_DIR = Path("/run/cloudsite")
MAX_TAG = 4094

log = structlog.get_logger(__name__)


def tap_name(port_id: str) -> str:
    """Name of a port's tap device: 14 characters (15 is the kernel's limit)."""
    return f"tap{port_id[-11:]}"


class OpenvswitchNetwork:
    """Ports of instances on this host, on the bridge that the configuration names."""

    def __init__(self, config: Config, *, run_dir: Path = RUN_DIR, ovs_rundir: str = "") -> None:
        """`run_dir`: for what must not survive a reboot. `ovs_rundir`: see Bridge; empty: $OVS_RUNDIR or the default.

        Nothing is touched before the first port.
        """
        state = Path(config.state_dir)
        self._records = Records(state / "network")
        self._run_dir = run_dir / f"network-{hashlib.blake2b(str(state).encode(), digest_size=4).hexdigest()}"
        self.bridge = Bridge(config.bridge, rundir=ovs_rundir)
        self._locks = KeyedLocks()
        self._setup = threading.Lock()
        self._ensured: set[str] = set()
        self._datapath = ""
        self._maintaining = threading.Lock()

    @property
    def offloads(self) -> bool:
        """False on the user-space datapath, which passes on frames whose checksum is still to be computed."""
        if not self._datapath:
            self._datapath = self.bridge.datapath()
        return self._datapath != "netdev"

    def ensure_port(self, port: network.Port, instance_id: str) -> PortBinding:
        """Prepare network and DHCP entry; the flows follow in `port_started`. Raises DriverError `network.*`."""
        checked_port(port)
        checked(instance_id, "instance")
        if port.network.kind != "flat":
            message = f"network kind {port.network.kind!r}: this host serves flat networks"
            raise DriverError("network.kind", message, retryable=False)
        with self._locks.hold(port.network.id):
            self._records.save_port(PortRecord(instance_id=instance_id, port=port))
            tag = self._ensure_network(port.network)
            self._dnsmasq(port.network.id).ensure(port.network, self._records.ports_of_network(port.network.id))
        return PortBinding(
            port_id=port.id,
            bridge=self.bridge.name,
            tap=tap_name(port.id),
            mac=port.mac,
            mtu=port.network.mtu,
            tag=tag,
        )

    def port_started(self, port: network.Port, instance_id: str) -> None:
        """Let the guest speak: as itself only. Raises DriverError `network.device_missing` when there is no tap."""
        checked_port(port)
        with self._locks.hold(port.network.id):
            tap = tap_name(port.id)
            self.bridge.set_external_ids(tap, {"cloudsite-instance": instance_id, "cloudsite-port": port.id})
            self._program(port, self.bridge.ofport(tap))

    def remove_port(self, port: network.Port, instance_id: str) -> None:
        """Forget the port, whether or not it was known; its id is enough. The last one takes the network along."""
        record = self._records.port(checked(port.id, "port"))
        network_id = record.port.network.id if record else port.network.id
        with self._locks.hold(network_id):
            if self.bridge.exists():
                self.bridge.del_port(tap_name(port.id))
                self.bridge.change_flows(delete=[flows.of_cookie(flows.port_cookie(port.id))])
            if Path("/sys/class/net", tap_name(port.id)).exists():
                run("ip", "link", "delete", tap_name(port.id), code="network.tap")
            others = [other for other in self._records.ports_of_network(network_id) if other.id != port.id]
            kept = self._records.network(network_id)
            if others and kept:
                self._dnsmasq(network_id).ensure(kept.network, others)
            elif not others and (record or kept):
                self._remove_network(network_id)
            self._records.forget_port(port.id)

    def residue(self) -> dict[str, list[str]]:
        """Instance id → kinds among `tap`, `flows`, `dhcp` and `port` (a record, with whatever it stands for)."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        on_bridge = self.bridge.exists()
        cookies = {flow.cookie for flow in self.bridge.flows()} if on_bridge else set()
        for interface in self.bridge.interfaces() if on_bridge else []:
            if instance_id := _instance_of(interface):
                found[instance_id].add("tap")
        macs: dict[str, set[str]] = {}
        for record in self._records.ports():
            kinds = found[record.instance_id]
            kinds.add("port")
            if flows.port_cookie(record.port.id) in cookies:
                kinds.add("flows")
            network_id = record.port.network.id
            if network_id not in macs:
                macs[network_id] = self._dnsmasq(network_id).host_macs()
            if record.port.mac in macs[network_id]:
                kinds.add("dhcp")
        return {instance_id: sorted(kinds) for instance_id, kinds in found.items()}

    def ports_of(self, instance_id: str) -> list[network.Port]:
        """The ports that this host still keeps for an instance."""
        return [record.port for record in self._records.ports() if record.instance_id == instance_id]

    def maintain(self) -> None:
        """Put right what broke meanwhile: a dead dnsmasq, a restarted switch, flows of vanished ports. Cheap.

        Raises DriverError `network.*` for the first thing that could not be put right.
        """
        if not self._maintaining.acquire(blocking=False):
            return
        try:
            networks = self._records.networks()
            if networks and not self.bridge.exists():
                self._ensured.clear()
            for record in networks:
                self._maintain_network(record.network.id)
            if networks:
                self._maintain_flows()
        finally:
            self._maintaining.release()

    def _ensure_network(self, net: network.Network) -> int:
        """Namespace, gateway and local VLAN. Under the network's lock; quick when it is all there."""
        record = self._records.network(net.id)
        if record and record.network == net and net.id in self._ensured and namespace.exists(net.id):
            return record.tag
        with self._setup:
            self._make_folder(net.id)
            self.bridge.ensure()
            record = NetworkRecord(network=net, tag=record.tag if record else self._free_tag())
            self._records.save_network(record)
        names = namespace.ensure(net)
        gateway = self.bridge.add_port(names.gateway_port, tag=record.tag, external_ids={"cloudsite-network": net.id})
        self.bridge.change_flows(
            delete=[flows.of_in_port(gateway), flows.of_cookie(flows.network_cookie(net.id))],
            add=flows.network_flows(net.id, gateway),
        )
        self._ensured.add(net.id)
        return record.tag

    def _remove_network(self, network_id: str) -> None:
        self._ensured.discard(network_id)
        self._dnsmasq(network_id).remove()
        if self.bridge.exists():
            self.bridge.del_port(namespace.Names.of(network_id).gateway_port)
            self.bridge.change_flows(delete=[flows.of_cookie(flows.network_cookie(network_id))])
        namespace.remove(network_id)
        self._records.forget_network(network_id)
        with self._setup, suppress(OSError):  # not empty while there are other networks
            self._run_dir.rmdir()

    def _program(self, port: network.Port, ofport: int) -> None:
        gateway = self.bridge.ofport(namespace.Names.of(port.network.id).gateway_port)
        # The number may have been another guest's before; nothing of that guest's rights may be left.
        stale = [flows.of_in_port(ofport), flows.of_cookie(flows.port_cookie(port.id))]
        allowed = [*flows.network_flows(port.network.id, gateway), *flows.port_flows(port, ofport, gateway)]
        self.bridge.change_flows(delete=stale, add=allowed)

    def _maintain_network(self, network_id: str) -> None:
        with self._locks.hold(network_id):
            record = self._records.network(network_id)
            ports = self._records.ports_of_network(network_id)
            if record is None:
                return
            if not ports:  # killed between the last port and its network
                self._remove_network(network_id)
                return
            self._ensure_network(record.network)
            server = self._dnsmasq(network_id)
            if server.pid() is None:
                log.warning("network.dhcp_dead", network=network_id)
            server.ensure(record.network, ports)

    def _maintain_flows(self) -> None:
        """Every tap that is there has its flows; no flows of ports or networks unknown here."""
        before = {record.port.id: record for record in self._records.ports()}
        ofports = {interface.name: interface.ofport for interface in self.bridge.interfaces()}
        installed: defaultdict[int, set[int | None]] = defaultdict(set)
        for flow in self.bridge.flows():
            installed[flow.cookie].add(flow.in_port)
        for record in before.values():
            ofport = ofports.get(tap_name(record.port.id))
            if ofport is not None and installed[flows.port_cookie(record.port.id)] != {ofport}:
                log.warning("network.flows_restored", port=record.port.id)
                self._restore(record)
        # Looked up after the flows were read: what was being made meanwhile is known by now.
        known = {flows.port_cookie(record.port.id) for record in self._records.ports()}
        known |= {flows.port_cookie(port_id) for port_id in before}
        known |= {flows.network_cookie(net.network.id) for net in self._records.networks()}
        ours = (flows.PORT, flows.NETWORK)
        orphans = [cookie for cookie in installed if flows.owner(cookie) in ours and cookie not in known]
        self.bridge.change_flows(delete=[flows.of_cookie(cookie) for cookie in orphans])

    def _restore(self, record: PortRecord) -> None:
        with self._locks.hold(record.port.network.id):
            if self._records.port(record.port.id) is None:
                return
            # The gateway's device may have been given another number as well.
            self._ensured.discard(record.port.network.id)
            self._ensure_network(record.port.network)
            try:
                self._program(record.port, self.bridge.ofport(tap_name(record.port.id)))
            except DriverError as error:
                if error.code != "network.device_missing":  # the guest has gone meanwhile
                    raise

    def _dnsmasq(self, network_id: str) -> Dnsmasq:
        return Dnsmasq(self._run_dir / namespace.Names.of(network_id).namespace, network_id)

    def _make_folder(self, network_id: str) -> None:
        for folder in (self._run_dir.parent, self._run_dir, self._run_dir / namespace.Names.of(network_id).namespace):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)

    def _free_tag(self) -> int:
        taken = self.bridge.tags() | {record.tag for record in self._records.networks()}
        for tag in range(1, MAX_TAG + 1):
            if tag not in taken:
                return tag
        raise DriverError("network.tags_exhausted", f"{MAX_TAG} networks on this host already")


def _instance_of(interface: Interface) -> str:
    """The instance behind a tap; libvirt itself writes `vm-id`, so this holds before `port_started` too."""
    if not interface.name.startswith("tap"):
        return ""
    return interface.external_ids.get("cloudsite-instance") or interface.external_ids.get("vm-id", "")
