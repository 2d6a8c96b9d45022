"""What hosts say unasked, and the watchdog."""

import threading
import time
from pathlib import Path

import msgspec
import pytest

from agent import heartbeat
from agent.broker import BrokerDown
from agent.config import Config, HostIdentity, Simulated
from agent.drivers.base import Hypervisor
from agent.drivers.simulated.driver import SimulatedHypervisor
from agent.drivers.simulated.store import Store
from agent.execute import Executor
from agent.heartbeat import HELLO_EVERY_BEATS, Heartbeat, Observer
from agent.journal import Key
from agent.running import Running
from agent.runtime import Agent
from agent.watchdog import Watchdog
from contracts import topics
from contracts.compute.v1 import Domain, PowerState
from contracts.envelope import Kind
from contracts.hosts import v1 as hosts_v1
from tests.agent.kit import HOST_ID, Control, Pipeline, config


class Said:
    """Collects announcements; refuses them while `down`."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.messages: list[tuple[str, list[str]]] = []
        self.down = False

    def announce(self, topic: str, wires: list[str]) -> bool:
        if not self.down:
            self.messages.append((topic, wires))
        return not self.down

    def last(self, topic: str, shape: type) -> object:
        wires = [wires for said, wires in self.messages if said == topic][-1]
        return msgspec.json.decode(self.control.host_sealer.public.open(wires[0], Kind.REPORT).body, type=shape)

    def hello(self) -> hosts_v1.Hello:
        hello = self.last(topics.HELLO, hosts_v1.Hello)
        assert isinstance(hello, hosts_v1.Hello)
        return hello

    def beat(self) -> hosts_v1.Heartbeat:
        beat = self.last(topics.HEARTBEAT, hosts_v1.Heartbeat)
        assert isinstance(beat, hosts_v1.Heartbeat)
        return beat


@pytest.fixture
def said(control: Control) -> Said:
    return Said(control)


@pytest.fixture
def observer(pipeline: Pipeline, said: Said) -> Observer:
    return Observer(
        [pipeline.host], said.announce, pipeline.running, pipeline.journal, speaks=["a.v1.b"], observation_s=0.0
    )


def test_hello_tells_what_the_host_is_and_what_is_on_it(
    pipeline: Pipeline, control: Control, said: Said, observer: Observer
) -> None:
    pipeline.build(control.build("i-1", generation=3))
    observer.tick()
    hello = said.hello()
    assert (hello.hypervisor, hello.speaks) == ("simulated", ["a.v1.b"])
    assert hello.inventory == {"VCPU": 32, "MEMORY_MB": 131072, "DISK_GB": 2000}
    assert hello.domains == [Domain(instance_id="i-1", power_state=PowerState.RUNNING, generation=3)]
    assert hello.unfinished == []


def test_hello_names_operations_that_a_crash_left_unfinished(pipeline: Pipeline, said: Said) -> None:
    pipeline.journal.begin(Key(HOST_ID, "op-1", "build", 1), "i-1")
    pipeline.crash()
    Observer([pipeline.host], said.announce, pipeline.running, pipeline.journal, speaks=[], observation_s=60.0).tick()
    assert said.hello().unfinished == ["op-1"]


def test_hello_is_said_once_and_again_when_asked_for(said: Said, observer: Observer) -> None:
    def hellos() -> int:
        return sum(topic == topics.HELLO for topic, _ in said.messages)

    observer.tick()
    observer.tick()
    assert hellos() == 1
    observer.hello_soon()
    observer.tick()
    assert hellos() == 2


def test_hello_is_tried_until_hypervisor_and_broker_answer(pipeline: Pipeline, said: Said, observer: Observer) -> None:
    pipeline.hypervisor.broken = "no socket"
    observer.tick()
    assert said.messages == []
    pipeline.hypervisor.broken = ""
    said.down = True
    observer.tick()
    said.down = False
    observer.tick()
    assert said.messages[0][0] == topics.HELLO


def test_an_observation_lists_residue_of_vanished_instances(
    pipeline: Pipeline, control: Control, said: Said, observer: Observer
) -> None:
    pipeline.build(control.build("i-1"))
    pipeline.hypervisor.vanish("i-1", residue=["disk"])
    began = time.time()
    observer.tick()
    observation = said.last(topics.OBSERVATION, hosts_v1.Observation)
    assert isinstance(observation, hosts_v1.Observation)
    assert observation.started_at >= began
    assert observation.domains == [
        Domain(instance_id="i-1", power_state=PowerState.ABSENT, generation=1, residue=["disk"])
    ]


def test_a_heartbeat_says_whether_the_hypervisor_answers(pipeline: Pipeline, said: Said) -> None:
    beats = Heartbeat([pipeline.host], said.announce, pipeline.running, on_hello=lambda: None)
    beats.beat()
    assert said.beat() == hosts_v1.Heartbeat()
    pipeline.hypervisor.broken = "libvirtd is gone"
    beats.beat()
    assert said.beat() == hosts_v1.Heartbeat(hypervisor_ok=False, hypervisor_error="libvirtd is gone")


def test_a_heartbeat_says_how_busy_the_host_is(pipeline: Pipeline, said: Said) -> None:
    beats = Heartbeat([pipeline.host], said.announce, pipeline.running, on_hello=lambda: None)
    pipeline.hypervisor.load = 42
    beats.beat()
    assert said.beat() == hosts_v1.Heartbeat(load_percent=42)


def test_a_hanging_hypervisor_does_not_hold_up_the_heartbeat(
    pipeline: Pipeline, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "CHECK_TIMEOUT_S", 0.1)
    go = threading.Event()
    asked: list[str] = []

    def hang() -> None:
        asked.append("x")
        assert go.wait(60)

    monkeypatch.setattr(pipeline.hypervisor, "check", hang)
    beats = Heartbeat([pipeline.host], said.announce, pipeline.running, on_hello=lambda: None)
    for _ in range(3):
        beats.beat()
    assert not said.beat().hypervisor_ok and "no answer" in said.beat().hypervisor_error
    assert len(asked) == 1, "a check that hangs is not started again"
    go.set()
    monkeypatch.setattr(heartbeat, "CHECK_TIMEOUT_S", 60.0)
    beats.beat()  # waits for the one that hung
    assert said.beat().hypervisor_ok


def test_heartbeats_ask_for_a_hello_soon_after_the_start_and_then_every_so_many(pipeline: Pipeline, said: Said) -> None:
    asked: list[str] = []
    beats = Heartbeat([pipeline.host], said.announce, pipeline.running, on_hello=lambda: asked.append("x"))
    for _ in range(HELLO_EVERY_BEATS * 2):
        beats.beat()
    assert len(asked) == 1 + 2


def test_a_thousand_simulated_hosts_speak_in_few_messages(tmp_path: Path, control: Control, said: Said) -> None:
    store = Store()
    hosts = [
        HostIdentity(id=f"h{number}", name=f"n{number}", private_key=control.host_sealer.private_hex())
        for number in range(1000)
    ]
    settings: Config = config(tmp_path, control, hosts=hosts)
    drivers: dict[str, Hypervisor] = {host.id: SimulatedHypervisor(host.id, Simulated(), store) for host in hosts}
    agent = Agent.from_config(settings, drivers)
    beats = Heartbeat(list(agent.hosts.values()), said.announce, Running(), on_hello=lambda: None)
    began = time.process_time()
    beats.beat()
    assert time.process_time() - began < 5.0
    ((_, wires),) = said.messages
    assert len(wires) == 1000


# The watchdog.


class Worker:
    def __init__(self) -> None:
        self.waiting = {"a": 0, "b": 0}
        self.busy = self.down = False
        self.given_up = 0
        self.watchdog = Watchdog(["a", "b"], self._waiting, lambda: self.busy, stuck_s=0.05, give_up=self._give_up)

    def _waiting(self, queue: str) -> int:
        if self.down:
            raise BrokerDown("down")
        return self.waiting[queue]

    def _give_up(self) -> None:
        self.given_up += 1

    def look(self, times: int = 4) -> int:
        for _ in range(times):
            self.watchdog.check()
            time.sleep(0.03)
        return self.given_up


def test_the_watchdog_gives_up_when_messages_wait_and_nothing_is_taken() -> None:
    worker = Worker()
    assert worker.look() == 0
    worker.waiting["b"] = 3
    assert worker.look() > 0


def test_the_watchdog_leaves_a_busy_a_working_and_a_cut_off_worker_alone() -> None:
    worker = Worker()
    worker.waiting["a"] = 3
    worker.busy = True
    assert worker.look() == 0
    worker.busy, worker.down = False, True
    assert worker.look() == 0
    worker.down = False
    for _ in range(6):
        worker.watchdog.took()
        worker.look(1)
    assert worker.given_up == 0


def test_executor_counts_what_it_refuses(pipeline: Pipeline) -> None:
    executor: Executor = pipeline.executor
    executor.run(topics.COMPUTE_BUILD, ["x", "y"])
    executor.run(topics.COMPUTE_BUILD, "not a list")  # type: ignore[arg-type]
    assert executor.refused == {"envelope.malformed": 3}
