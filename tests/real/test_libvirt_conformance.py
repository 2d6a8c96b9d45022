"""libvirt, QEMU and Open vSwitch keep what drivers promise: the suite that the simulated hypervisor keeps too."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from agent.drivers.base import DriverError
from agent.trace import Trace
from contracts.compute import v2 as compute
from tests.agent.conformance.suite import HypervisorConformance
from tests.real.lab import Lab, hypervisor_unavailable

pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(hypervisor_unavailable()), reason=hypervisor_unavailable())]


class LibvirtSubject:
    parallel = 2

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.hypervisor = lab.driver
        self.told: list[str] = []
        self._network = lab.a_network()

    def a_build(self) -> compute.Build:
        command = self.lab.a_build(cards=[self.lab.a_card(self._network)])
        self.told.append(command.instance_id)
        self.lab.tell(command.cards[0], command.instance_id)
        return command

    def incarnation(self, instance_id: str) -> object:
        """libvirt numbers domains anew at each start."""

        def number(connection: Any) -> int:
            return int(connection.lookupByName(f"cs-{instance_id}").ID())

        return self.lab.driver.host.call(number)

    @contextmanager
    def failing_late(self) -> Iterator[None]:
        network: Any = self.lab.driver._network
        original = network.plugged

        def fail(*_: object) -> None:
            raise DriverError("test.late", "at the very end")

        network.plugged = fail
        try:
            yield
        finally:
            network.plugged = original


class TestLibvirt(HypervisorConformance):
    @pytest.fixture
    def subject(self, lab: Lab) -> Iterator[LibvirtSubject]:
        subject = LibvirtSubject(lab)
        yield subject
        for domain in lab.driver.observe_all():
            lab.driver.delete(compute.Delete(instance_id=domain.instance_id), Trace())
        for instance_id in subject.told:
            lab.forget(instance_id)
        assert lab.leftovers() == []
