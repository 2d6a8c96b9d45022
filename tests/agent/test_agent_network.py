"""Desired states on their way to the driver: who may tell them, in which order, what is kept, and what is told back."""

import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.config import Simulated
from agent.drivers.base import DriverError
from agent.drivers.simulated.driver import SimulatedHypervisor
from agent.drivers.simulated.network import SimulatedNetwork
from agent.drivers.simulated.store import Store
from agent.network import converger as converging
from agent.network.check import sensible
from agent.network.converger import Converger
from agent.network.desired import Desired
from agent.network.parts import MOST_SETS, Parts
from agent.network.store import Cards, StateFile
from agent.network.take import Intake
from agent.runtime import Agent
from contracts import topics
from contracts.envelope import Kind
from contracts.network import v2 as network
from tests.agent.kit import HOST_ID, Control, config, wait_for

NET = network.Network(
    id=str(uuid.UUID(int=1)), kind=network.Kind.VXLAN, segment=1000, subnets=[network.Subnet(id="four", cidr="10.64.0.0/24")]
)


def a_port(number: int, **more: Any) -> network.Port:
    address = network.Address(subnet="four", address=f"10.64.0.{number}")
    fields: dict[str, Any] = {"mac": f"fa:16:3e:00:00:{number:02x}", "addresses": [address], "here": True}
    return network.Port(**{"id": str(uuid.UUID(int=number)), "network": NET.id, **fields, **more})


def a_state(generation: int, *ports: network.Port) -> network.State:
    return network.State(generation=generation, objects=network.Objects(networks=[NET], ports=list(ports)))


def a_change(base: int, *ports: network.Port, gone: tuple[str, ...] = ()) -> network.Change:
    objects, left = network.Objects(ports=list(ports)), network.Gone(ports=list(gone))
    return network.Change(base=base, generation=base + 1, objects=objects, gone=left)


class Site:
    """One host's networking without a broker; `down` makes what it tells be lost."""

    def __init__(self, state_dir: Path, control: Control) -> None:
        self.control, self.state_dir = control, state_dir
        self.down = False
        self.told: list[network.Told] = []
        self.open()

    def open(self) -> None:
        """Start; again after `close` as a new process would."""
        hypervisor = SimulatedHypervisor(HOST_ID, Simulated(), Store())
        self.driver: SimulatedNetwork = hypervisor.network()
        agent = Agent.from_config(config(self.state_dir, self.control), {HOST_ID: hypervisor})
        self.converger = Converger(list(agent.hosts.values()), self._announce, state_dir=self.state_dir)
        self.intake = Intake(agent, self.converger)

    def close(self) -> None:
        self.converger.stop()

    def take(self, body: network.State | network.Change, **fields: Any) -> None:
        topic = topics.NETWORK_STATE if isinstance(body, network.State) else topics.NETWORK_CHANGE
        fields = {"operation_id": "", "step": "", "generation": body.generation} | fields
        self.intake.take(topic, [self.control.command(topic, body, **fields)])

    def converged_to(self, generation: int) -> Desired:
        wait_for(lambda: self.driver.desired.generation == generation)
        return self.driver.desired

    def news(self) -> list[network.Told]:
        """What was told and not only asked."""
        return [told for told in self.told if not told.asks]

    def asks(self) -> int:
        return sum(told.asks for told in self.told)

    def _announce(self, topic: str, wires: list[str]) -> bool:
        assert topic == topics.NETWORK
        if self.down:
            return False
        for wire in wires:
            envelope = self.control.host_sealer.public.open(wire, Kind.REPORT)
            assert (envelope.topic, envelope.host, envelope.operation_id) == (topics.NETWORK, HOST_ID, "")
            self.told.append(msgspec.json.decode(envelope.body, type=network.Told))
        return True


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name, seconds in (("TELL_EVERY_S", 0.05), ("ASK_EVERY_S", 0.2), ("EARLY_S", 0.2), ("EVERY_S", 30.0)):
        monkeypatch.setattr(converging, name, seconds)
    made = Site(tmp_path, Control())
    yield made
    made.close()


def test_a_state_is_converged_to_and_told_back(site: Site) -> None:
    site.converger.start()
    site.take(a_state(7, a_port(5)))
    assert set(site.converged_to(7).ports) == {a_port(5).id}
    assert wait_for(lambda: [told for told in site.told if told.generation == 7])[0].problems == []


def test_a_host_without_a_state_asks_until_it_has_one_and_touches_nothing(site: Site) -> None:
    site.driver.hook = lambda desired: pytest.fail("converged to nothing")
    site.converger.start()
    wait_for(lambda: site.asks() >= 2)
    site.driver.hook = lambda desired: None
    site.take(a_state(1))
    site.converged_to(1)
    before = site.asks()
    time.sleep(0.3)
    assert site.asks() == before


def test_changes_that_overtake_each_other_are_put_in_order(site: Site) -> None:
    site.take(a_state(1, a_port(5)))
    site.take(a_change(3, gone=(a_port(5).id,)))
    site.take(a_change(2, a_port(7)))
    assert site.converger.generation(HOST_ID) == 1
    site.take(a_change(1, a_port(6)))
    assert site.converger.generation(HOST_ID) == 4
    site.converger.start()
    assert set(site.converged_to(4).ports) == {a_port(6).id, a_port(7).id}
    time.sleep(0.3)
    assert site.asks() == 0


def test_a_change_whose_base_never_comes_has_the_host_ask(site: Site) -> None:
    site.take(a_state(1))
    site.converger.start()
    site.converged_to(1)
    assert site.asks() == 0
    site.take(a_change(5, a_port(6)))
    wait_for(site.asks)
    assert site.converger.generation(HOST_ID) == 1
    site.take(a_state(6, a_port(6)))
    assert set(site.converged_to(6).ports) == {a_port(6).id}


def test_what_is_older_is_not_taken(site: Site) -> None:
    site.take(a_state(5, a_port(5)))
    site.take(a_state(4))
    site.take(a_change(3))
    assert set(site.converger.desired(HOST_ID).ports) == {a_port(5).id}
    assert site.converger.generation(HOST_ID) == 5


def test_what_comes_in_parts_is_taken_when_all_are_here_in_any_order_and_however_often(site: Site) -> None:
    now = time.time()
    state, *more = (
        msgspec.structs.replace(a_state(5, *ports), part=part, parts=3)
        for part, ports in enumerate([(a_port(5),), (a_port(6), a_port(7)), (a_port(8),)])
    )
    site.take(a_state(1, a_port(1)))
    for part in (more[1], state, state):
        site.take(part, issued_at=now)
    assert site.converger.generation(HOST_ID) == 1
    site.take(more[0], issued_at=now)
    assert set(site.converger.desired(HOST_ID).ports) == {a_port(number).id for number in (5, 6, 7, 8)}
    change = a_change(5, a_port(9), gone=(a_port(5).id,))
    other = msgspec.structs.replace(a_change(5, gone=(a_port(6).id,)), part=1, parts=2)
    site.take(msgspec.structs.replace(change, parts=2), issued_at=now)
    site.take(other, issued_at=now)
    assert site.converger.generation(HOST_ID) == 6
    assert set(site.converger.desired(HOST_ID).ports) == {a_port(number).id for number in (7, 8, 9)}


def test_parts_of_what_was_sent_at_different_times_are_not_mixed_and_only_a_few_are_kept(site: Site) -> None:
    first, second = (msgspec.structs.replace(a_state(5, a_port(number)), part=number - 5, parts=2) for number in (5, 6))
    site.take(first, issued_at=1000.0)
    site.take(second, issued_at=2000.0)
    assert site.converger.generation(HOST_ID) == 0
    site.take(first, issued_at=2000.0)
    assert site.converger.generation(HOST_ID) == 5
    parts = Parts()
    for sent in range(MOST_SETS + 1):
        assert parts.add("h", first, float(sent)) is None
    assert parts.add("h", second, 0.0) is None
    assert parts.add("h", second, float(MOST_SETS)) is not None


def test_a_restarted_agent_converges_from_its_file_before_it_is_told_anything(site: Site) -> None:
    site.converger.start()
    site.take(a_state(3, a_port(5)))
    site.converged_to(3)
    site.close()
    site.told.clear()
    site.open()
    assert site.converger.generation(HOST_ID) == 3
    site.converger.start()
    assert set(site.converged_to(3).ports) == {a_port(5).id}
    assert wait_for(site.news)[0] == network.Told(generation=3, took_ms=site.news()[0].took_ms)


@pytest.mark.parametrize("content", [b"", b"{", b'{"generation": "x"}'])
def test_a_file_that_cannot_be_read_is_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "desired.json").write_bytes(content)
    assert StateFile(tmp_path / "desired.json").load() == Desired()


def test_what_comes_meanwhile_is_taken_together(site: Site) -> None:
    entered, leave, seen = threading.Event(), threading.Event(), []

    def slow(desired: Desired) -> None:
        seen.append(desired.generation)
        entered.set()
        assert leave.wait(60)

    site.driver.hook = slow
    site.converger.start()
    site.take(a_state(1))
    assert entered.wait(60)
    for base in range(1, 9):
        site.take(a_change(base, a_port(base + 10)))
    leave.set()
    assert len(site.converged_to(9).ports) == 8
    assert seen == [1, 9]


def test_what_happens_on_the_host_wakes_it(site: Site) -> None:
    site.converger.start()
    site.take(a_state(1))
    site.converged_to(1)
    site.driver.mended = ["a port was gone"]
    site.driver.wake()
    assert wait_for(lambda: [told for told in site.told if told.mended])[0].mended == ["a port was gone"]


def test_problems_are_told_once_and_again_when_they_change(site: Site) -> None:
    site.converger.start()
    site.driver.problems = [network.Problem(code="x", message="y")]
    site.take(a_state(1))
    wait_for(site.news)
    site.driver.wake()
    site.driver.wake()
    time.sleep(0.2)
    assert [told.problems for told in site.news()] == [[network.Problem(code="x", message="y")]]
    site.driver.problems = []
    site.driver.wake()
    wait_for(lambda: len(site.news()) == 2 and site.news()[1].problems == [])


def test_of_very_many_problems_so_many_are_told_as_fit_into_a_report(site: Site) -> None:
    site.down = True
    site.driver.problems = [network.Problem(code="x", message="y" * 500, object=str(number)) for number in range(20_000)]
    site.driver.mended = ["z" * 500] * 20_000
    site.converger.start()
    site.take(a_state(1))
    site.converged_to(1)
    site.down = False
    (told,) = wait_for(site.news)
    assert (len(told.problems), len(told.mended)) == (converging.MOST_TOLD, converging.MOST_TOLD)


def test_a_driver_that_fails_is_told_of_and_tried_again(site: Site) -> None:
    def fail(desired: Desired) -> None:
        raise DriverError("network.switch", "it does not answer")

    site.driver.hook = fail
    site.converger.start()
    site.take(a_state(1))
    (problem,) = wait_for(site.news)[0].problems
    assert (problem.code, problem.message) == ("network.switch", "it does not answer")
    site.driver.hook = lambda desired: None
    site.driver.wake()
    wait_for(lambda: site.told[-1].problems == [])


def test_news_that_the_broker_did_not_take_are_told_later(site: Site) -> None:
    site.down = True
    site.converger.start()
    site.driver.mended = ["once"]
    site.take(a_state(2))
    site.converged_to(2)
    time.sleep(0.2)
    site.down = False
    assert wait_for(site.news)[0].mended == ["once"]
    assert site.news()[0].generation == 2


def test_states_are_admitted_as_commands_are(site: Site) -> None:
    stranger = Control()
    wire = stranger.command(topics.NETWORK_STATE, a_state(1), operation_id="")
    site.intake.take(topics.NETWORK_STATE, [wire])
    site.take(a_state(1), host="another")
    site.take(a_state(1), issued_at=time.time() + 3600)
    site.intake.take(topics.NETWORK_CHANGE, [site.control.command(topics.NETWORK_STATE, a_state(1), operation_id="")])
    site.intake.take(topics.NETWORK_STATE, "nonsense")  # type: ignore[arg-type]
    assert site.converger.generation(HOST_ID) == 0
    assert site.intake.refused.total() == 5


def test_what_arrives_past_its_deadline_is_dropped_and_asked_for(site: Site) -> None:
    site.take(a_state(1), deadline=time.time() - 1)
    site.take(a_state(1), deadline=0.0)
    assert site.converger.generation(HOST_ID) == 0
    site.converger.start()
    wait_for(site.asks)


def test_an_object_that_makes_no_sense_is_left_out_and_told_of(site: Site) -> None:
    site.converger.start()
    site.take(a_state(1, a_port(5), a_port(6, mac="x\ntable=0,actions=NORMAL")))
    assert set(site.converged_to(1).ports) == {a_port(5).id}
    (problem,) = wait_for(site.news)[0].problems
    assert (problem.code, problem.object) == ("network.invalid", a_port(6).id)
    site.take(a_change(1, a_port(6)))
    site.converged_to(2)
    wait_for(lambda: site.told[-1].problems == [])


@pytest.mark.parametrize(
    "change",
    [
        {"id": "../x"},
        {"network": "x"},
        {"mac": "FA:16:3E:00:00:05"},
        {"host": "10.0.0.1,actions=NORMAL"},
        {"addresses": [network.Address(subnet="s", address="10.64.0.5/24")]},
        {"addresses": [network.Address(subnet="s", address="fe80::1%,actions=NORMAL")]},
        {"pairs": [network.Pair(cidr="10.64.0.5/24")]},
        {"pairs": [network.Pair(cidr="fe80::%x/64")]},
        {"pairs": [network.Pair(cidr="10.64.0.0/24", mac="x")]},
        {"groups": ["x"]},
    ],
)
def test_a_port_that_makes_no_sense_is_found(change: dict[str, Any]) -> None:
    kept, problems = sensible(network.Objects(ports=[a_port(5, **change), a_port(6)]))
    assert [port.id for port in kept.ports] == [a_port(6).id]
    assert len(problems) == 1


@pytest.mark.parametrize(
    "rule",
    [
        network.Rule(ingress=True, family=5),
        network.Rule(ingress=True, family=4, protocol=256),
        network.Rule(ingress=True, family=4, protocol=6, first=1, last=65536),
        network.Rule(ingress=True, family=4, protocol=1, first=256),
        network.Rule(ingress=True, family=4, cidr="fd00::/64"),
        network.Rule(ingress=True, family=4, cidr="10.0.0.1/24"),
        network.Rule(ingress=True, family=4, group="x"),
    ],
)
def test_a_rule_that_makes_no_sense_is_found(rule: network.Rule) -> None:
    group = network.Group(id=str(uuid.UUID(int=3)), rules=[rule])
    assert sensible(network.Objects(groups=[group])) == (network.Objects(), sensible(network.Objects(groups=[group]))[1])
    assert len(sensible(network.Objects(groups=[group]))[1]) == 1


def test_cards_outlive_the_agent_until_they_are_forgotten(tmp_path: Path) -> None:
    cards, card = Cards(tmp_path), network.Card(id=str(uuid.UUID(int=1)), network=NET.id, mac="fa:16:3e:00:00:01", mtu=1450)
    cards.save(card, "i-1")
    (tmp_path / "broken.json").write_text("{")
    again = Cards(tmp_path)
    assert again.of("i-1") == [card] and again.of("i-2") == []
    again.forget(card.id)
    again.forget(card.id)
    assert Cards(tmp_path).all() == []
