"""The simulated hypervisor keeps what drivers promise, at once and slowly."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.config import Simulated
from agent.drivers.base import DriverError
from agent.drivers.simulated.driver import SimulatedHypervisor
from agent.drivers.simulated.store import Store
from agent.trace import Trace
from agent.undo import Undo
from contracts.compute import v1 as compute
from contracts.compute import v2 as compute2
from contracts.compute.v1 import PowerState
from tests.agent.conformance.suite import HypervisorConformance
from tests.agent.kit import make_build


class SimulatedSubject:
    parallel = 8

    def __init__(self, latency_ms: float) -> None:
        self.store = Store()
        self.hypervisor = SimulatedHypervisor("h", Simulated(latency_ms=latency_ms, seed=1), self.store)

    def a_build(self) -> compute2.Build:
        return make_build(str(uuid.uuid4()))

    def incarnation(self, instance_id: str) -> object:
        machine = self.store.machines("h").get(instance_id)
        return self.hypervisor.built(instance_id), machine and machine.boots

    @contextmanager
    def failing_late(self) -> Iterator[None]:
        def fail(instance_id: str) -> None:
            raise DriverError("test.late", "at the very end")

        self.hypervisor.hooks["built"] = fail
        yield
        del self.hypervisor.hooks["built"]


class TestSimulated(HypervisorConformance):
    @pytest.fixture(params=[0.0, 8.0], ids=["at-once", "8ms"])
    def subject(self, request: pytest.FixtureRequest) -> SimulatedSubject:
        return SimulatedSubject(request.param)


def test_a_simulated_host_can_do_what_its_settings_say() -> None:
    hypervisor = SimulatedHypervisor("h", Simulated(traits=["HW_CPU_X86_AVX2"], load_percent=30), Store())
    assert hypervisor.capabilities().traits == ["CUSTOM_HYPERVISOR_SIMULATED", "HW_CPU_X86_AVX2"]
    assert hypervisor.load_percent() == 30


def test_machines_and_their_count_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "simulated.sqlite"
    first = SimulatedHypervisor("h", Simulated(), Store(path))
    command = make_build("i-1")
    first.build(command, Trace(), Undo())
    first.power(compute.Power(instance_id="i-1", action=compute.PowerAction.STOP), Trace())
    again = SimulatedHypervisor("h", Simulated(), Store(path))
    assert again.observe("i-1").power_state is PowerState.SHUTOFF
    again.delete(compute2.Delete(instance_id="i-1"), Trace())
    again.build(command, Trace(), Undo())
    assert SimulatedHypervisor("h", Simulated(), Store(path)).built("i-1") == 2
    assert SimulatedHypervisor("other", Simulated(), Store(path)).observe_all() == []


def test_more_than_all_sense_on_one_host_is_refused() -> None:
    hypervisor = SimulatedHypervisor("h", Simulated(vcpus=1, memory_mb=1000), Store())
    for _ in range(16):
        hypervisor.build(make_build(memory_mb=10), Trace(), Undo())
    with pytest.raises(DriverError, match="17 vCPU") as raised:
        hypervisor.build(make_build(memory_mb=10), Trace(), Undo())
    assert raised.value.code == "simulated.overcommitted"
    for domain in hypervisor.observe_all():
        hypervisor.delete(compute2.Delete(instance_id=domain.instance_id), Trace())
    with pytest.raises(DriverError, match="16001 MiB"):
        hypervisor.build(make_build(memory_mb=16001), Trace(), Undo())
    hypervisor.build(make_build(memory_mb=16000), Trace(), Undo())


def test_the_same_seed_behaves_the_same() -> None:
    def story(seed: int) -> list[bool]:
        hypervisor = SimulatedHypervisor("h", Simulated(failure_rate=0.5, seed=seed), Store())
        told = []
        for _ in range(40):
            try:
                hypervisor.build(make_build(), Trace(), Undo())
                told.append(True)
            except DriverError:
                told.append(False)
        return told

    assert story(1) == story(1) != story(2)
