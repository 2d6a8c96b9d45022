"""Who this process is: the hosts it speaks for, their keys and hypervisors, and whose commands it obeys."""

import time
from dataclasses import dataclass

from agent.config import Config, ConfigError, HostIdentity
from agent.drivers.base import Hypervisor
from contracts import topics
from contracts.envelope import CLOCK_SKEW_S, Envelope, EnvelopeError, Kind, PublicKey, Sealer, pack
from contracts.report import Report


class WrongHost(EnvelopeError):
    """Properly signed, but for a host that is not ours: misrouted, or replayed by somebody."""

    code = "envelope.wrong_host"


class WrongTopic(EnvelopeError):
    """The task that carried the envelope is not the one that was signed."""

    code = "envelope.wrong_topic"


class WrongClock(EnvelopeError):
    """Issued in the future: one of the two clocks is wrong, so that its deadline cannot be trusted."""

    code = "envelope.clock"


@dataclass(frozen=True, slots=True)
class HostRuntime:
    """One host: its identity, the key that signs its reports, and its hypervisor."""

    identity: HostIdentity
    sealer: Sealer
    hypervisor: Hypervisor

    @property
    def id(self) -> str:
        return self.identity.id

    @property
    def name(self) -> str:
        return self.identity.name

    def seal_report(self, command: Envelope, report: Report) -> str:
        """The wire text of a report about `command`, fenced by the same ids."""
        envelope = Envelope(
            topic=topics.REPORT,
            host=self.id,
            body=pack(report),
            operation_id=command.operation_id,
            step=command.step,
            generation=command.generation,
            request_id=command.request_id,
        )
        return self.sealer.seal(envelope, Kind.REPORT)


class Agent:
    """All hosts of this process and the control plane's public key."""

    def __init__(self, control_key: PublicKey, hosts: list[HostRuntime]) -> None:
        self.control_key = control_key
        self.hosts = {host.id: host for host in hosts}

    @classmethod
    def from_config(cls, config: Config, hypervisors: dict[str, Hypervisor]) -> "Agent":
        """`hypervisors` by host id. Raises ConfigError for a key that is none."""
        try:
            control_key = PublicKey.from_hex(config.control_key)
        except ValueError as error:
            raise ConfigError(f"control_key: {error}") from error
        return cls(control_key, [_host(identity, hypervisors[identity.id]) for identity in config.hosts])

    def admit(self, topic: str, wire: str) -> tuple[HostRuntime, Envelope]:
        """Check who signed a command (or a state) and that it is meant for us. Raises EnvelopeError; says nothing of
        deadlines."""
        envelope = self.control_key.open(wire, Kind.COMMAND)
        if envelope.topic != topic:
            raise WrongTopic(f"task {topic} carries an envelope of {envelope.topic!r}")
        host = self.hosts.get(envelope.host)
        if host is None:
            raise WrongHost(f"for host {envelope.host!r}, which is not ours")
        if not envelope.operation_id and topic not in topics.STATES:
            raise EnvelopeError("a command needs an operation_id")
        ahead_s = envelope.issued_at - time.time()
        if ahead_s > CLOCK_SKEW_S:
            raise WrongClock(f"issued {ahead_s:.0f} s in the future")
        return host, envelope


def _host(identity: HostIdentity, hypervisor: Hypervisor) -> HostRuntime:
    try:
        sealer = Sealer.from_hex(identity.private_key)
    except ValueError as error:
        raise ConfigError(f"hosts: {identity.name}: private_key: {error}") from error
    return HostRuntime(identity, sealer, hypervisor)
