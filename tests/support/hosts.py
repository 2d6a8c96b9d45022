"""A host without an agent: it has the keys, and does and says exactly what a test wants."""

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from apps.common import clock, keys
from apps.common.context import SYSTEM
from apps.hosts.services import enrol, zones
from apps.operations.services import intake
from contracts import topics
from contracts.compute import v1 as compute
from contracts.compute import v2 as compute2
from contracts.compute import v3 as compute3
from contracts.compute.v1 import Domain, PowerAction, PowerState
from contracts.envelope import Envelope, Kind, Sealer, pack, unpack
from contracts.hosts import v1 as hosts_v1
from contracts.report import Error, Event, Outcome, Report
from tests.support.bus import FakeBus

INVENTORY = {"VCPU": 16, "MEMORY_MB": 16384, "DISK_GB": 200}
_SHAPES: dict[str, type[msgspec.Struct]] = {
    topics.COMPUTE_BUILD: compute2.Build, topics.COMPUTE_DELETE: compute2.Delete, topics.COMPUTE_POWER: compute.Power,
    topics.COMPUTE_ATTACH: compute2.Attach, topics.COMPUTE_DETACH: compute2.Detach,
    topics.COMPUTE_CONSOLE: compute.Console, topics.COMPUTE_OBSERVE: compute.Observe,
    topics.COMPUTE_SNAPSHOT: compute3.Snapshot, topics.COMPUTE_SEED: compute3.Seed,
}


@dataclass(frozen=True)
class Command:
    """One command as it arrived at its host."""

    envelope: Envelope
    body: Any

    @property
    def topic(self) -> str:
        return self.envelope.topic

    @property
    def instance_id(self) -> str:
        """Or what else it is about."""
        text: str = self.body.image.sha256 if self.topic == topics.COMPUTE_SEED else self.body.instance_id
        return text


class FakeHost:
    """One enrolled host. `domains` is what it has, by instance id; `obey` changes it as an agent would."""

    def __init__(self, bus: FakeBus, name: str = "", *, zone: str = zones.DEFAULT) -> None:
        if zone != zones.DEFAULT:
            zones.ensure(actor=SYSTEM, name=zone)
        enrolled = enrol.enrol(actor=SYSTEM, name=name or f"host-{uuid.uuid4().hex[:8]}", zone=zone)
        self.bus = bus
        self.id = enrolled.host.pk
        self.name = enrolled.host.name
        self.sealer = Sealer.from_hex(enrolled.private_key)
        self.domains: dict[str, PowerState] = {}
        self.residue: dict[str, list[str]] = {}
        self.generations: dict[str, int] = {}
        self.built: list[str] = []
        self.cards: dict[str, set[str]] = {}
        self._reports: dict[tuple[str, str, int], str] = {}
        self.speaks = [*topics.COMMANDS, *topics.STATES]
        self.tunnel_address = ""
        self.wires: list[str] = []
        self.network_generation = 0
        self.traits: list[str] = []
        self.images: dict[str, compute3.CachedImage] | None = None

    # What it says unasked.

    def hello(self, inventory: dict[str, int] | None = None, *, repeated: bool = False, **envelope: Any) -> None:
        said = hosts_v1.Hello(
            agent_version="0.1.0", hypervisor="fake", speaks=self.speaks, tunnel_address=self.tunnel_address,
            physical_networks=self.wires, network_generation=self.network_generation,
            traits=self.traits, inventory=INVENTORY if inventory is None else inventory, domains=self.all_domains(),
            started_at=envelope.get("issued_at", clock.now().timestamp()), repeated=repeated, images=self.all_images(),
        )
        self.say(topics.HELLO, said, **envelope)

    def heartbeat(self, **fields: Any) -> None:
        self.say(topics.HEARTBEAT, hosts_v1.Heartbeat(**{"network_generation": self.network_generation, **fields}))

    def observation(self, *, started_at: float | None = None) -> None:
        at = clock.now().timestamp() if started_at is None else started_at
        self.say(topics.OBSERVATION, hosts_v1.Observation(started_at=at, domains=self.all_domains(), images=self.all_images()))

    def say(self, topic: str, body: msgspec.Struct, **envelope: Any) -> None:
        intake.take_in(topic, [self.seal(topic, body, **envelope)])

    def seal(self, topic: str, body: msgspec.Struct, **envelope: Any) -> str:
        """The wire text of anything; `envelope` replaces fields, also to lie."""
        fields = {
            "topic": topic, "host": str(self.id), "body": pack(body), "issued_at": clock.now().timestamp(), **envelope
        }
        return self.sealer.seal(Envelope(**fields), Kind.REPORT)

    # What it is told.

    def commands(self, topic: str | None = None) -> list[Command]:
        """Take what waits in this host's queues (of one topic, if given); desired state is no command."""
        mine = topics.host_queues(self.name)
        messages = self.bus.take(lambda m: m.queue in mine and m.task not in topics.STATES and topic in (None, m.task))
        return [self.open(wire) for message in messages for wire in message.items]

    def command(self, topic: str | None = None) -> Command:
        """The only command that waits."""
        (only,) = self.commands(topic)
        return only

    def open(self, wire: str) -> Command:
        envelope = keys.control().public.open(wire, Kind.COMMAND)
        assert envelope.host == str(self.id), f"a command for {envelope.host} in the queue of {self.name}"
        return Command(envelope, unpack(envelope, _SHAPES[envelope.topic]))

    # What it answers.

    def report(self, command: Command, outcome: Outcome, **fields: Any) -> str:
        """The wire text of an answer; not sent."""
        if (result := fields.pop("result", None)) is not None:
            fields["result"] = pack(result)
        envelope = {
            name: fields.pop(name, getattr(command.envelope, name)) for name in ("operation_id", "step", "generation")
        }
        return self.seal(topics.REPORT, Report(outcome=outcome, **fields), **envelope)

    def send(self, *wires: str) -> None:
        intake.take_in(topics.REPORT, wires)

    def done(self, command: Command, power: PowerState = PowerState.RUNNING, **fields: Any) -> None:
        self.send(self.report(command, Outcome.DONE, result=self.domain(command, power), **fields))

    def gone(self, command: Command, **fields: Any) -> None:
        self.done(command, PowerState.ABSENT, **fields)

    def failed(self, command: Command, code: str = "driver.failed", *, retryable: bool = True, **fields: Any) -> None:
        error = Error(code=code, message="It did not work.", retryable=retryable)
        self.send(self.report(command, Outcome.FAILED, error=error, **fields))

    def progress(self, command: Command, percent: int | None = None) -> None:
        self.send(self.report(command, Outcome.PROGRESS, events=[Event(name="still at it", at=time.time())], percent=percent))

    def domain(self, command: Command, power: PowerState, residue: Iterable[str] = ()) -> Domain:
        return Domain(
            instance_id=command.instance_id, power_state=power, generation=command.envelope.generation, residue=list(residue)
        )

    def all_domains(self) -> list[Domain]:
        return [
            Domain(
                instance_id=key, power_state=self.domains.get(key, PowerState.ABSENT), generation=self.generations.get(key, 0),
                residue=self.residue.get(key, []),
            )
            for key in {*self.domains, *self.residue}
        ]

    def all_images(self) -> list[compute3.CachedImage] | None:
        """None: its agent does not speak of images."""
        return None if self.images is None else list(self.images.values())

    # What an agent would do.

    def obey(self, command: Command, *, fails: bool = False) -> str:
        """Carry out a command with the fences of a real agent; the wire text of the answer, not sent."""
        envelope, instance_id = command.envelope, command.instance_id
        key = (envelope.operation_id, envelope.step, envelope.generation)
        if command.topic in (topics.COMPUTE_OBSERVE, topics.COMPUTE_CONSOLE):
            return self._answer_question(command)
        if key in self._reports:
            return self._reports[key]
        if envelope.deadline < clock.now().timestamp():
            return self.report(command, Outcome.EXPIRED)
        if envelope.generation < self.generations.get(instance_id, 0):
            return self.report(command, Outcome.STALE)
        self.generations[instance_id] = envelope.generation
        if fails:  # and remembers that it did
            self._reports[key] = self.report(command, Outcome.FAILED)
        elif command.topic == topics.COMPUTE_SEED:
            self._reports[key] = self.report(command, Outcome.DONE, result=self.fetch(command))
        else:
            self._reports[key] = self.report(command, Outcome.DONE, result=self.domain(command, self._change(command)))
        return self._reports[key]

    def fetch(self, command: Command) -> compute3.CachedImage:
        """Have the image of a seed command."""
        image = command.body.image
        found = compute3.CachedImage(sha256=image.sha256, size_bytes=image.size_bytes, last_used=clock.now().timestamp())
        self.images = {**(self.images or {}), image.sha256: found}
        return found

    def work(self) -> int:
        """Obey all that waits and send the answers in one message; how many there were."""
        answers = [self.obey(command) for command in self.commands()]
        if answers:
            self.send(*answers)
        return len(answers)

    def _answer_question(self, command: Command) -> str:
        if command.topic == topics.COMPUTE_CONSOLE:
            text = compute.ConsoleOutput(instance_id=command.instance_id, text="hello\n")
            return self.report(command, Outcome.DONE, result=text)
        power = self.domains.get(command.instance_id, PowerState.ABSENT)
        left = self.residue.get(command.instance_id, [])
        return self.report(command, Outcome.DONE, result=self.domain(command, power, left))

    def _change(self, command: Command) -> PowerState:
        instance_id = command.instance_id
        if command.topic == topics.COMPUTE_BUILD:
            self.built.append(instance_id)
            self.cards[instance_id] = {card.id for card in command.body.cards}
            self.domains[instance_id] = PowerState.RUNNING
        elif command.topic == topics.COMPUTE_DELETE:
            self.domains.pop(instance_id, None)
            self.residue.pop(instance_id, None)
        elif command.topic == topics.COMPUTE_ATTACH:
            self.cards.setdefault(instance_id, set()).add(command.body.card.id)
        elif command.topic == topics.COMPUTE_DETACH:
            self.cards.get(instance_id, set()).discard(command.body.card)
        elif instance_id in self.domains:
            stops = command.body.action is PowerAction.STOP
            self.domains[instance_id] = PowerState.SHUTOFF if stops else PowerState.RUNNING
        return self.domains.get(instance_id, PowerState.ABSENT)
