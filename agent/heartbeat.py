"""What hosts say unasked: hello at start, a heartbeat every few seconds, a full observation every few minutes.

All hosts of a process speak in the same messages. The heartbeat has a thread of its own, and asks the hypervisors in
others: a hung hypervisor is exactly what it has to tell of.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, NamedTuple

import msgspec
import structlog

from agent import VERSION
from agent.drivers.base import DriverError
from agent.journal import Journal
from agent.periodic import Periodic
from agent.running import Running
from agent.runtime import HostRuntime
from contracts import topics
from contracts.compute import v1 as compute
from contracts.envelope import Envelope, Kind, pack
from contracts.hosts import v1 as hosts_v1

log = structlog.get_logger(__name__)

CHECK_TIMEOUT_S: Final = 5.0
# The conductor may have missed the hello or been emptied since.
HELLO_EVERY_BEATS: Final = 30
# A new host takes no instances before its hello was heard.
FIRST_HELLO_AGAIN_AT_BEAT: Final = 3
CHECKERS: Final = 4

Announce = Callable[[str, list[str]], bool]


class Reach(NamedTuple):
    """How other hosts reach this one: the address for tunnels, and the wires that they may share."""

    tunnel_address: str
    physical_networks: list[str]


_NOWHERE: Final = Reach("", [])


def _no_generation(host_id: str) -> int:
    return 0


class Heartbeat:
    """Proof of life of every host. `announce(topic, wires)` publishes, best effort."""

    def __init__(
        self,
        hosts: list[HostRuntime],
        announce: Announce,
        running: Running,
        *,
        on_hello: Callable[[], object],
        generation: Callable[[str], int] = _no_generation,
    ) -> None:
        """`generation`: host id → of the desired network state that it has."""
        self._hosts = hosts
        self._announce = announce
        self._running = running
        self._on_hello = on_hello
        self._generation = generation
        self._beats = 0
        self._checks: dict[str, Future[None]] = {}
        self._checkers = ThreadPoolExecutor(min(len(hosts), CHECKERS), thread_name_prefix="check")

    def beat(self) -> None:
        """Send one heartbeat per host; every HELLO_EVERY_BEATS-th time, and soon after the start, ask for a hello too."""
        self._beats += 1
        if self._beats % HELLO_EVERY_BEATS == 0 or self._beats == FIRST_HELLO_AGAIN_AT_BEAT:
            self._on_hello()
        for host in self._hosts:
            # One that still hangs since the last time is not asked again.
            if (check := self._checks.get(host.id)) is None or check.done():
                self._checks[host.id] = self._checkers.submit(host.hypervisor.check)
        wait(self._checks.values(), timeout=CHECK_TIMEOUT_S)
        self._announce(topics.HEARTBEAT, [seal(host, topics.HEARTBEAT, self._state(host)) for host in self._hosts])

    def _state(self, host: HostRuntime) -> hosts_v1.Heartbeat:
        check = self._checks[host.id]
        if not check.done():
            trouble = f"no answer within {CHECK_TIMEOUT_S:.0f} s"
        else:
            error = check.exception()
            trouble = "" if error is None else str(error) or type(error).__name__
        return hosts_v1.Heartbeat(
            running_operations=self._running.count(host.id),
            network_generation=self._generation(host.id),
            hypervisor_ok=not trouble,
            hypervisor_error=trouble,
            load_percent=host.hypervisor.load_percent(),
        )


class Observer:
    """Tells what hosts are (hello) and what is on them (observation). One thread; may hang as the hypervisor does."""

    def __init__(
        self,
        hosts: list[HostRuntime],
        announce: Announce,
        running: Running,
        journal: Journal,
        *,
        speaks: list[str],
        observation_s: float,
        reach: Reach = _NOWHERE,
        generation: Callable[[str], int] = _no_generation,
    ) -> None:
        """`reach`: as what other hosts see this one. `generation`: as for the heartbeat."""
        self._hosts = hosts
        self._announce = announce
        self._running = running
        self._journal = journal
        self._speaks = speaks
        self._observation_s = observation_s
        self._reach = reach
        self._generation = generation
        self._next_observation = time.monotonic() + observation_s
        self._mutex = threading.Lock()
        self._hello_due = {host.id for host in hosts}
        self._greeted: set[str] = set()

    def repeat_hello(self) -> None:
        """Have every host say hello once more at the next tick: the first may have been lost."""
        with self._mutex:
            self._hello_due = {host.id for host in self._hosts}

    def hello_soon(self) -> None:
        """Have every host say hello at the next tick, as if for the first time: commands may have been lost."""
        with self._mutex:
            self._hello_due = {host.id for host in self._hosts}
            self._greeted = set()

    def tick(self) -> None:
        """Say hello for those hosts that have to; then observe, if it is time."""
        with self._mutex:
            due, self._hello_due = self._hello_due, set()
        if due:
            late = self._tell(topics.HELLO, [host for host in self._hosts if host.id in due], self._hello)
            with self._mutex:
                self._hello_due |= late
                self._greeted |= due - late
        if time.monotonic() >= self._next_observation:
            self._next_observation = time.monotonic() + self._observation_s
            self._tell(topics.OBSERVATION, self._hosts, self._observation)

    def _tell(self, topic: str, hosts: list[HostRuntime], make: Callable[[HostRuntime], msgspec.Struct]) -> set[str]:
        """Announce one message per host; returns the ids of the hosts for which it did not work."""
        wires: list[str] = []
        failed: set[str] = set()
        for host in hosts:
            try:
                wires.append(seal(host, topic, make(host)))
            except DriverError as error:
                failed.add(host.id)
                log.warning("hypervisor.unavailable", host=host.name, code=error.code, reason=str(error))
        if wires and not self._announce(topic, wires):
            return {host.id for host in hosts}
        return failed

    def _hello(self, host: HostRuntime) -> hosts_v1.Hello:
        what = host.hypervisor.capabilities()
        under_way = self._running.operations(host.id)
        started_at = time.time()
        return hosts_v1.Hello(
            started_at=started_at,
            repeated=host.id in self._greeted,
            agent_version=VERSION,
            hypervisor=what.hypervisor,
            speaks=self._speaks,
            inventory=what.inventory,
            traits=what.traits,
            unfinished=[id_ for id_ in self._journal.unfinished(host.id) if id_ not in under_way],
            domains=self._domains(host),
            tunnel_address=self._reach.tunnel_address,
            physical_networks=self._reach.physical_networks,
            network_generation=self._generation(host.id),
            images=host.hypervisor.images(),
        )

    def _observation(self, host: HostRuntime) -> hosts_v1.Observation:
        started_at = time.time()
        return hosts_v1.Observation(started_at=started_at, domains=self._domains(host), images=host.hypervisor.images())

    def _domains(self, host: HostRuntime) -> list[compute.Domain]:
        # The generations first: a domain may then look older than it is, never newer.
        generations = self._journal.generations(host.id)
        return [
            msgspec.structs.replace(domain, generation=generations.get(domain.instance_id, 0))
            for domain in host.hypervisor.observe_all()
        ]


def seal(host: HostRuntime, topic: str, body: msgspec.Struct) -> str:
    """The wire text of something that a host says unasked."""
    return host.sealer.seal(Envelope(topic=topic, host=host.id, body=pack(body)), Kind.REPORT)


def threads(heartbeat: Heartbeat, observer: Observer, heartbeat_s: float) -> list[Periodic]:
    """The threads that keep both going; the caller starts and stops them."""
    return [Periodic("heartbeat", heartbeat_s, heartbeat.beat), Periodic("observer", 1.0, observer.tick)]
