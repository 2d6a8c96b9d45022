"""The small Protocols that drivers keep, and the errors that they raise.

All calls are blocking, are made from several threads at once (never two for the same instance), and are *ensure* calls:
asked again for what is already so, they succeed without doing it twice.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from contracts.compute import v1 as compute
from contracts.network import v1 as network


class DriverError(Exception):
    """The host could not do it. `code` is stable; `retryable`: another host may well succeed."""

    def __init__(self, code: str, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What the host is. `inventory` in VCPU (threads), MEMORY_MB (MiB) and DISK_GB (GiB), totals."""

    hypervisor: str
    inventory: dict[str, int]
    traits: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class LocalImage:
    """A fetched and verified file on this host; immutable, shared by many instances."""

    path: Path
    disk_format: compute.DiskFormat


class Trace(Protocol):
    """Collects the timeline of one command."""

    def step(self, name: str, detail: str = "") -> AbstractContextManager[None]:
        """Time what happens inside; the event is recorded when it ends, also when it fails."""


class Undo(Protocol):
    """What to take back, in reverse order, when a later step of the same command fails."""

    def push(self, name: str, action: Callable[[], object]) -> None: ...


class ImageStore(Protocol):
    """Images on this host."""

    def ensure(self, image: compute.Image, trace: Trace) -> LocalImage:
        """Fetch unless already here; one download for many callers. Raises DriverError `image.*`."""


class Network(Protocol):
    """Ports of instances on this host."""

    def ensure_port(self, port: network.Port, instance_id: str) -> "PortBinding":
        """Prepare network, DHCP entry and filter rules for the port, before the domain starts."""

    def port_started(self, port: network.Port, instance_id: str) -> None:
        """Called once the domain runs and its tap device exists: what needs the device is done here."""

    def remove_port(self, port: network.Port, instance_id: str) -> None:
        """Forget the port; nothing of it stays behind. The last port of a network takes the network with it."""

    def residue(self) -> dict[str, list[str]]:
        """Instance id → kinds of things (`tap`, `flows`, `dhcp`) that this driver holds for it."""


@dataclass(frozen=True, kw_only=True)
class PortBinding:
    """How the hypervisor plugs the card in: an Open vSwitch bridge and the port's id there, and the tap's name."""

    port_id: str
    bridge: str
    tap: str
    mac: str
    mtu: int
    tag: int | None = None


class Hypervisor(Protocol):
    """Instances on this host."""

    def capabilities(self) -> Capabilities: ...

    def check(self) -> None:
        """Cheap proof of life. Raises DriverError `hypervisor.unavailable`."""

    def build(self, command: compute.Build, trace: Trace, undo: Undo) -> None:
        """Make the instance run: images, disk, config drive, ports, domain. Every made thing goes on `undo`."""

    def delete(self, command: compute.Delete, trace: Trace) -> None:
        """Stop and remove the instance and all of its things on this host."""

    def power(self, command: compute.Power, trace: Trace) -> None:
        """Start, stop or reboot. Raises DriverError `instance.absent` if there is no such domain."""

    def console(self, command: compute.Console) -> compute.ConsoleOutput:
        """The tail of the serial console's log. Raises DriverError `instance.absent` if there never was one."""

    def observe(self, instance_id: str) -> compute.Domain:
        """What is true about one instance; never raises for an unknown one (`absent`)."""

    def observe_all(self) -> list[compute.Domain]:
        """Every instance of ours on this host, residue of vanished ones included."""
