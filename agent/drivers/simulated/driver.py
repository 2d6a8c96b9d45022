"""A hypervisor that only pretends, with settable latency and failures, kept honest by the same conformance tests."""

import hashlib
import math
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.config import Simulated
from agent.drivers.base import Capabilities, DriverError, Trace, Undo, superseded
from agent.drivers.simulated.images import SimulatedCache, empty_disk
from agent.drivers.simulated.network import SimulatedNetwork
from agent.drivers.simulated.store import Machine, Store
from agent.upload import Upload
from contracts.compute import v1 as compute
from contracts.compute import v2 as compute2
from contracts.compute import v3 as compute3

# No sane allocation ratio is higher: beyond it, placement has lost count, and tests shall see that.
MOST_OVERCOMMIT: Final = 16
_TRAIT: Final = "CUSTOM_HYPERVISOR_SIMULATED"
# How the latency of a command divides over its steps.
_SHARES: Final = {
    "image.ready": 0.2,
    "ports.ready": 0.1,
    "disk.made": 0.2,
    "domain.started": 0.5,
    "domain.stopped": 0.7,
    "ports.removed": 0.1,
    "disk.removed": 0.2,
    "power.changed": 1.0,
    "card.plugged": 0.3,
    "card.unplugged": 0.3,
    "disk.copied": 0.5,
    "copy.sent": 0.5,
}

Hook = Callable[[str], object]


class SimulatedHypervisor:
    """One simulated host.

    Tests script it with `hooks`: step name → function of the instance id, called as the step begins; it may raise
    DriverError, block, or count. Besides the timeline's steps there are `built` (all is done), `undo.ports` and
    `undo.disk`. `broken`: when not empty, `check` and all else fail with this message. `load`: what it says of its load.
    """

    def __init__(self, host_id: str, config: Simulated, store: Store) -> None:
        self._host_id = host_id
        self._config = config
        self._store = store
        self._mutex = threading.Lock()
        self._machines = store.machines(host_id)
        self._vcpus = sum(machine.vcpus for machine in self._machines.values())
        self._memory_mb = sum(machine.memory_mb for machine in self._machines.values())
        self._random = random.Random(None if config.seed is None else f"{config.seed}/{host_id}")
        self.hooks: dict[str, Hook] = {}
        self.residue: dict[str, list[str]] = {}
        self.broken = ""
        self.load = config.load_percent
        self.cards = SimulatedNetwork()
        self.cache = SimulatedCache()

    def network(self) -> SimulatedNetwork:
        return self.cards

    def capabilities(self) -> Capabilities:
        self.check()
        inventory = {
            "VCPU": self._config.vcpus,
            "MEMORY_MB": self._config.memory_mb,
            "DISK_GB": self._config.disk_gb,
        }
        return Capabilities(hypervisor="simulated", inventory=inventory, traits=sorted({_TRAIT, *self._config.traits}))

    def load_percent(self) -> int:
        return self.load

    def check(self) -> None:
        """Raises DriverError `hypervisor.unavailable` if told to be broken."""
        if self.broken:
            raise DriverError("hypervisor.unavailable", self.broken)

    def build(self, command: compute2.Build, trace: Trace, undo: Undo, stopped: Callable[[], bool] = lambda: False) -> None:
        """Raises DriverError `simulated.failure` at the configured rate, `simulated.overcommitted` beyond all sense,
        `command.superseded`."""
        self.check()
        machine = self._machines.get(command.instance_id)
        if machine is None:
            self._create(command, trace, undo, stopped)
        elif machine.power_state is not compute.PowerState.RUNNING:
            with self._step(trace, "domain.started", command.instance_id, self._latency_s()):
                self._power(machine, compute.PowerState.RUNNING)

    def _create(self, command: compute2.Build, trace: Trace, undo: Undo, stopped: Callable[[], bool]) -> None:
        id_, latency_s, fails_at = command.instance_id, self._latency_s(), self._fails_at()
        with self._step(trace, "image.ready", id_, latency_s, fails_at):
            if stopped():
                raise superseded()
            self.cache.ensure(command.image)
        with self._step(trace, "ports.ready", id_, latency_s, fails_at):
            undo.push("ports", lambda: self._unplug_all(id_, "undo.ports"))
            for card in command.cards:
                self.cards.plug(card, id_)
        with self._step(trace, "disk.made", id_, latency_s, fails_at):
            undo.push("disk", lambda: self._hook("undo.disk", id_))
        with self._step(trace, "domain.started", id_, latency_s, fails_at):
            self._add(_machine(command))
            undo.push("domain", lambda: self._remove(id_))
        # Where tests make it fail with everything in place, so that all must be undone.
        self._hook("built", id_)

    def delete(self, command: compute2.Delete, trace: Trace) -> None:
        self.check()
        id_, latency_s = command.instance_id, self._latency_s()
        if id_ not in self._machines and id_ not in self.residue:
            return
        fails_at = self._fails_at("domain.stopped")
        with self._step(trace, "domain.stopped", id_, latency_s, fails_at):
            self._remove(id_)
        with self._step(trace, "ports.removed", id_, latency_s):
            self._unplug_all(id_)
        with self._step(trace, "disk.removed", id_, latency_s):
            self.residue.pop(id_, None)

    def attach(self, command: compute2.Attach, trace: Trace, undo: Undo) -> None:
        self._machine(command.instance_id)
        known = command.card.id in {card.id for card in self.cards.cards_of(command.instance_id)}
        with self._step(trace, "card.plugged", command.instance_id, self._latency_s(), self._fails_at("card.plugged")):
            self.cards.plug(command.card, command.instance_id)
            if not known:
                undo.push("card", lambda: self.cards.unplug(command.card.id))

    def detach(self, command: compute2.Detach, trace: Trace) -> None:
        self._machine(command.instance_id)
        with self._step(trace, "card.unplugged", command.instance_id, self._latency_s(), self._fails_at("card.unplugged")):
            self.cards.unplug(command.card)

    def power(self, command: compute.Power, trace: Trace) -> None:
        machine = self._machine(command.instance_id)
        fails_at = self._fails_at("power.changed")
        with self._step(trace, "power.changed", command.instance_id, self._latency_s(), fails_at):
            match command.action:
                case compute.PowerAction.STOP:
                    self._power(machine, compute.PowerState.SHUTOFF)
                case compute.PowerAction.START:
                    self._power(machine, compute.PowerState.RUNNING)
                case compute.PowerAction.REBOOT_SOFT | compute.PowerAction.REBOOT_HARD:
                    self._power(machine, compute.PowerState.RUNNING, restart=True)

    def snapshot(self, command: compute3.Snapshot, trace: Trace, stopped: Callable[[], bool]) -> compute3.Saved:
        """An empty disk, really sent."""
        id_, latency_s = self._machine(command.instance_id).instance_id, self._latency_s()
        fails_at = self._fails_at("disk.copied", "copy.sent")
        with self._step(trace, "disk.copied", id_, latency_s, fails_at):
            content = empty_disk(id_)
        digest = hashlib.sha256(content).hexdigest()
        with self._step(trace, "copy.sent", id_, latency_s, fails_at), tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            Upload(command.upload_url, stopped=stopped).send(Path(file.name), digest, size_bytes=len(content))
        return compute3.Saved(image_id=command.image_id, sha256=digest, size_bytes=len(content))

    def seed(self, command: compute3.Seed, trace: Trace) -> compute3.CachedImage:
        self.check()
        with self._step(trace, "image.ready", command.image.id, self._latency_s(), self._fails_at("image.ready")):
            return self.cache.ensure(command.image)

    def images(self) -> list[compute3.CachedImage]:
        return self.cache.listed()

    def tend(self) -> None:
        """There is nothing to take back."""

    def console(self, command: compute.Console) -> compute.ConsoleOutput:
        machine = self._machine(command.instance_id)
        log = (_boot_lines(machine) * machine.boots).encode()
        kept = log[-command.max_bytes :] if command.max_bytes else b""
        return compute.ConsoleOutput(
            instance_id=command.instance_id, text=kept.decode(errors="replace"), truncated=len(kept) < len(log)
        )

    def observe(self, instance_id: str) -> compute.Domain:
        self.check()
        return self._domain(instance_id)

    def observe_all(self) -> list[compute.Domain]:
        self.check()
        with self._mutex:
            ids = self._machines.keys() | self.residue.keys()
        return [self._domain(id_) for id_ in sorted(ids)]

    def built(self, instance_id: str) -> int:
        """How many times the instance was made from nothing on this host, over all lives of the agent."""
        return self._store.built(self._host_id, instance_id)

    def vanish(self, instance_id: str, residue: list[str] | None = None) -> None:
        """Lose a machine behind everybody's back, as hosts do; `residue` is what stays behind of it."""
        self._remove(instance_id)
        if residue:
            self.residue[instance_id] = residue

    def _machine(self, instance_id: str) -> Machine:
        self.check()
        machine = self._machines.get(instance_id)
        if machine is None:
            raise DriverError("instance.absent", f"no such instance here: {instance_id}", retryable=False)
        return machine

    def _unplug_all(self, instance_id: str, hook: str = "") -> None:
        for card in self.cards.cards_of(instance_id):
            self.cards.unplug(card.id)
        self._hook(hook, instance_id)

    def _domain(self, instance_id: str) -> compute.Domain:
        machine = self._machines.get(instance_id)
        if machine is None:
            left = list(self.residue.get(instance_id, []))
            return compute.Domain(instance_id=instance_id, power_state=compute.PowerState.ABSENT, residue=left)
        return compute.Domain(instance_id=instance_id, power_state=machine.power_state)

    def _add(self, machine: Machine) -> None:
        with self._mutex:
            vcpus, memory_mb = self._vcpus + machine.vcpus, self._memory_mb + machine.memory_mb
            if vcpus > self._config.vcpus * MOST_OVERCOMMIT or memory_mb > self._config.memory_mb * MOST_OVERCOMMIT:
                raise DriverError(
                    "simulated.overcommitted", f"{vcpus} vCPU and {memory_mb} MiB asked of one host", retryable=True
                )
            self._vcpus, self._memory_mb = vcpus, memory_mb
            self._machines[machine.instance_id] = machine
        self._store.create(self._host_id, machine)

    def _remove(self, instance_id: str) -> None:
        with self._mutex:
            machine = self._machines.pop(instance_id, None)
            if machine is None:
                return
            self._vcpus -= machine.vcpus
            self._memory_mb -= machine.memory_mb
        self._store.remove(self._host_id, instance_id)

    def _power(self, machine: Machine, state: compute.PowerState, *, restart: bool = False) -> None:
        starts = state is compute.PowerState.RUNNING and (restart or machine.power_state is not state)
        machine.boots += starts
        machine.power_state = state
        self._store.change(self._host_id, machine)

    def _hook(self, name: str, instance_id: str) -> None:
        if hook := self.hooks.get(name):
            hook(instance_id)

    @contextmanager
    def _step(self, trace: Trace, name: str, instance_id: str, latency_s: float, fails_at: str = "") -> Iterator[None]:
        with trace.step(name):
            self._hook(name, instance_id)
            if latency_s:
                time.sleep(latency_s * _SHARES[name])
            if name == fails_at:
                raise DriverError("simulated.failure", f"simulated failure in {name}")
            yield

    def _latency_s(self) -> float:
        if not self._config.latency_ms:
            return 0.0
        return self._random.lognormvariate(math.log(self._config.latency_ms / 1000), self._config.spread)

    def _fails_at(self, *steps: str) -> str:
        if not self._config.failure_rate or self._random.random() >= self._config.failure_rate:
            return ""
        return self._random.choice(steps or ("image.ready", "ports.ready", "disk.made", "domain.started"))


def _machine(command: compute2.Build) -> Machine:
    return Machine(
        instance_id=command.instance_id,
        name=command.name,
        vcpus=command.vcpus,
        memory_mb=command.memory_mb,
        addresses=[f"{each.address}/{each.prefix_length}" for card in command.cards for each in card.addresses],
    )


def _boot_lines(machine: Machine) -> str:
    lines = [f"hostname={machine.name}", f"instance-id={machine.instance_id}"]
    lines += [f"address={address}" for address in machine.addresses]
    return "".join(f"cloudsite: {line}\n" for line in [*lines, "ready"])
