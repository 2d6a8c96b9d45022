"""Keeps the Network protocol with Open vSwitch: switch, routing and services of one host, each in a package of its own."""

import hashlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from agent.config import Config
from agent.drivers.base import DriverError, Outcome, PortBinding
from agent.drivers.command import run
from agent.drivers.ids import checked, checked_card
from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.allotment import Allotment
from agent.drivers.openvswitch.routing import Routing
from agent.drivers.openvswitch.switch.switch import Findings, Switch
from agent.drivers.openvswitch.switch.tunnels import device_index
from agent.network.desired import Desired
from agent.network.store import Cards
from contracts.network import v2 as network

RUN_DIR: Final = Path("/run/cloudsite")

log = structlog.get_logger(__name__)


class Services(Protocol):
    """What a host does for its guests beside passing on frames; given by whoever puts the drivers together."""

    def converge(self, desired: Desired) -> Outcome: ...

    def stop(self) -> None: ...

    def remove(self) -> None: ...


class OpenvswitchNetwork:
    """Ports of instances on this host, on the bridge that the configuration names."""

    def __init__(self, config: Config, *, run_dir: Path = RUN_DIR, ovs_rundir: str = "") -> None:
        """`run_dir`: for what must not survive a reboot. `ovs_rundir`: folder of Open vSwitch's sockets; empty:
        $OVS_RUNDIR or the default. Nothing is touched before the first card or state."""
        state = Path(config.state_dir) / "network"
        self.config = config
        self.run_dir = run_dir
        self.cards = Cards(state / "cards")
        self.switch = Switch(config, self.cards, Allotment(state / "numbers.json"), ovs_rundir=ovs_rundir)
        self.switch.woken = self._wake
        digest = hashlib.blake2b(config.state_dir.encode(), digest_size=4).hexdigest()
        self.routing = Routing(
            run_dir / f"routing-{digest}", owner=digest, host_id=config.hosts[0].id, vxlan_port=config.vxlan_port
        )
        self.wake: Callable[[], object] = lambda: None
        self.services: Services | None = None
        self._converging = threading.Lock()
        self._datapath = ""

    @property
    def offloads(self) -> bool:
        """False on the user-space datapath, which passes on frames whose checksum is still to be computed."""
        if not self._datapath:
            self._datapath = self.switch.datapath()
        return self._datapath != "netdev"

    def plug(self, card: network.Card, instance_id: str) -> PortBinding:
        """Remember the card and make sure of the bridge. Raises DriverError `network.*`."""
        checked_card(card)
        checked(instance_id, "instance")
        self.switch.ensure()
        try:
            self.cards.save(card, instance_id)
        except OSError as error:
            raise DriverError("network.card", f"card {card.id}: {error}") from error
        return PortBinding(
            port_id=card.id, bridge=self.switch.name, tap=names.tap(card.id), mac=card.mac, mtu=card.mtu
        )

    def plugged(self, card_id: str) -> None:
        """The tap exists: its flows are made as soon as the port is desired as well."""
        self.wake()

    def unplug(self, card_id: str) -> None:
        """Forget the card; its tap goes at once, and with it all that the guest could say or hear."""
        tap = names.tap(checked(card_id, "port"))
        self.cards.forget(card_id)
        if self.switch.name in self.switch.database.bridges():
            self.switch.database.change_ports(self.switch.name, delete=[tap])
        if device_index(tap):
            run("ip", "link", "delete", tap, code="network.tap")
        self.wake()

    def cards_of(self, instance_id: str) -> list[network.Card]:
        return self.cards.of(instance_id)

    def residue(self) -> dict[str, list[str]]:
        """Instance id → kinds among `card` (it is remembered) and `tap` (it is on the bridge)."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for plugged in self.cards.all():
            found[plugged.instance_id].add("card")
        for interface in self.switch.database.interfaces(self.switch.name).values():
            if interface.name.startswith("tap") and (instance_id := interface.external_ids.get("vm-id")):
                found[instance_id].add("tap")
        return {instance_id: sorted(kinds) for instance_id, kinds in found.items()}

    def converge(self, desired: Desired) -> Outcome:
        """Switch, routing, services: each although another failed. The flows come first, as guests wait for them when the
        switch was restarted, and last, when all devices are there."""
        findings = Findings()
        with self._converging:
            self._step(findings, self.switch.converge_devices, desired, findings)
            self._step(findings, self.switch.look, findings)
            self._step(findings, self.switch.converge_flows, desired, findings)
            for part in self._parts():
                if outcome := self._step(findings, part, desired):
                    findings.problems += outcome.problems
                    findings.mended += outcome.mended
            self._step(findings, self.switch.converge_flows, desired, findings)
        for text in findings.mended:
            log.warning("network.mended", what=text)
        return Outcome(problems=findings.problems, mended=findings.mended)

    def close(self) -> None:
        """End what follows the switch. Nothing on the host is taken down."""
        if self.services is not None:
            self.services.stop()
        self.routing.stop()
        self.switch.close()

    def remove(self) -> None:
        """Take everything of this installation's network off the host, for good. Raises DriverError, OSError."""
        with self._converging:
            if self.services is not None:
                self.services.remove()
            self.routing.remove_all()
            self.switch.remove()

    def _parts(self) -> Iterator[Callable[[Desired], Outcome]]:
        yield self.routing.converge
        if self.services is not None:
            yield self.services.converge

    def _step(self, findings: Findings, step: Callable[..., Any], *arguments: object) -> Any:
        try:
            return step(*arguments)
        except DriverError as error:
            findings.failed(error)
        except Exception as error:
            log.exception("network.converge_failed")
            findings.failed(DriverError("network.failed", f"{type(error).__name__}: {error}"))
        return None

    def _wake(self) -> None:
        self.wake()
