"""The small Protocols that drivers keep, and the errors that they raise.

All calls are blocking, are made from several threads at once (never two for the same instance), and are *ensure* calls:
asked again for what is already so, they succeed without doing it twice.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from contracts.compute import v1 as compute
from contracts.compute import v2 as compute2
from contracts.compute import v3 as compute3
from contracts.network import v2 as network

if TYPE_CHECKING:
    from agent.network.desired import Desired


class DriverError(Exception):
    """The host could not do it. `code` is stable; `retryable`: another host may well succeed."""

    def __init__(self, code: str, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable


def superseded() -> DriverError:
    """Why a command ends early."""
    return DriverError("command.superseded", "something newer was asked of this instance")


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What the host is. `inventory` in VCPU (threads), MEMORY_MB (MiB) and DISK_GB (GiB), totals. `traits`: placement's names."""

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

    def add(self, name: str, detail: str = "", took_ms: float | None = None) -> None:
        """Record an event that ends now."""

    def progress(self, done: float, total: float) -> None:
        """So much of the whole command is done, in whatever unit."""


class Undo(Protocol):
    """What to take back, in reverse order, when a later step of the same command fails."""

    def push(self, name: str, action: Callable[[], object]) -> None: ...


class ImageStore(Protocol):
    """Images on this host."""

    def ensure(
        self,
        image: compute.Image,
        trace: Trace,
        *,
        progress: Callable[[float, float], object] = lambda done, total: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> LocalImage:
        """Fetch unless already here; one download for many callers, which ends with the last that waits for it.

        Raises DriverError `image.*`, `command.superseded` once `stopped` says so.
        """

    def listed(self) -> list[compute3.CachedImage]:
        """What is here, whole and verified."""

    def tidy(self) -> None:
        """Remove what was begun to be fetched and nobody has wanted since."""


class Network(Protocol):
    """Ports on this host. Two sources meet here: instances plug cards in, and the desired state says what networks do for them.

    `wake` is set by whoever calls `converge`; the driver calls it when something happened that `converge` should see at once.
    """

    wake: Callable[[], object]

    def plug(self, card: network.Card, instance_id: str) -> "PortBinding":
        """Remember that the instance has this card, and how to plug it in; before the domain (or device) starts.

        Does not wait for the desired state: what the port may do follows as soon as both are here.
        """

    def plugged(self, card_id: str) -> None:
        """Called once the tap device exists: have the port brought up soon."""

    def unplug(self, card_id: str) -> None:
        """Forget the card and its tap; fine when there is none."""

    def cards_of(self, instance_id: str) -> list[network.Card]:
        """What the instance has plugged in here."""

    def residue(self) -> dict[str, list[str]]:
        """Instance id → kinds of things (`tap`, `card`) that this driver holds for it."""

    def converge(self, desired: "Desired") -> "Outcome":
        """Make the host be what is desired, without interrupting what is right already. Raises nothing for single objects:
        what could not be done is in the outcome, and the rest is done."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of converging. `mended`: drift that was found, in words."""

    problems: list[network.Problem] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class PortBinding:
    """How the hypervisor plugs the card in: an Open vSwitch bridge and the port's id there, and the tap's name."""

    port_id: str
    bridge: str
    tap: str
    mac: str
    mtu: int


class Hypervisor(Protocol):
    """Instances on this host."""

    def capabilities(self) -> Capabilities: ...

    def load_percent(self) -> int:
        """How busy the host's processors are; at once, without asking the hypervisor."""

    def check(self) -> None:
        """Cheap proof of life. Raises DriverError `hypervisor.unavailable`."""

    def build(self, command: compute2.Build, trace: Trace, undo: Undo, stopped: Callable[[], bool] = lambda: False) -> None:
        """Make the instance run: images, disk, config drive, ports, domain. Every made thing goes on `undo`.

        Raises DriverError `command.superseded` if `stopped` says so before the images are here.
        """

    def delete(self, command: compute2.Delete, trace: Trace) -> None:
        """Stop and remove the instance and all of its things on this host."""

    def attach(self, command: compute2.Attach, trace: Trace, undo: Undo) -> None:
        """Plug a card in, also into a running guest. Raises DriverError `instance.absent`."""

    def detach(self, command: compute2.Detach, trace: Trace) -> None:
        """Take a card out, also of a running guest. Raises DriverError `instance.absent`."""

    def network(self) -> Network | None:
        """Where this hypervisor's cards are plugged in; None: networks are none of its business."""

    def power(self, command: compute.Power, trace: Trace) -> None:
        """Start, stop or reboot. Raises DriverError `instance.absent` if there is no such domain."""

    def snapshot(self, command: compute3.Snapshot, trace: Trace, stopped: Callable[[], bool]) -> compute3.Saved:
        """Copy the instance's disk as it is at one moment, send the copy, leave nothing of it here, whatever happens.

        Raises DriverError `instance.absent`, `snapshot.*`, `command.superseded` once `stopped` says so.
        """

    def seed(self, command: compute3.Seed, trace: Trace) -> compute3.CachedImage:
        """Have the image in the cache. Raises DriverError `image.*`."""

    def images(self) -> list[compute3.CachedImage]:
        """What the cache holds; without asking the hypervisor."""

    def tend(self) -> None:
        """Now and then, and first of all at the start: take back what commands of an earlier life left half done.

        Raises DriverError; it is tried again later.
        """

    def console(self, command: compute.Console) -> compute.ConsoleOutput:
        """The tail of the serial console's log. Raises DriverError `instance.absent` if there never was one."""

    def observe(self, instance_id: str) -> compute.Domain:
        """What is true about one instance; never raises for an unknown one (`absent`)."""

    def observe_all(self) -> list[compute.Domain]:
        """Every instance of ours on this host, residue of vanished ones included."""
