"""Builds that fail, and agents that die in the middle of one: nothing stays behind, and a repeat gets there."""

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from agent.trace import Trace
from agent.undo import Undo
from contracts.compute import v2 as compute
from contracts.compute.v1 import PowerState
from tests.real.lab import Lab, hypervisor_unavailable, qemus

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(hypervisor_unavailable()), reason=hypervisor_unavailable()),
]

STEPS = ("image.ready", "disk.made", "config_drive.made", "ports.ready", "domain.started")


class Interrupted(Exception):
    """Stands for whatever may go wrong."""


class Breaking(Trace):
    """A timeline that breaks before or after a step."""

    def __init__(self, at: str, *, after: bool) -> None:
        super().__init__()
        self._at, self._after = at, after

    @contextmanager
    def step(self, name: str, detail: str = "") -> Iterator[None]:
        if name == self._at and not self._after:
            raise Interrupted(name)
        with super().step(name, detail):
            yield
        if name == self._at:
            raise Interrupted(name)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_build_that_fails_is_undone(lab: Lab, step: str, after: bool) -> None:
    before = lab.leftovers()
    with pytest.raises(Interrupted):
        lab.build(lab.a_build(), trace=Breaking(step, after=after))
    assert lab.leftovers() == before


@pytest.mark.parametrize("step", STEPS)
def test_a_build_that_was_broken_off_goes_on_when_repeated(lab: Lab, step: str) -> None:
    before = lab.leftovers()
    command = lab.a_build()
    with pytest.raises(Interrupted):
        lab.driver.build(command, Breaking(step, after=True), Undo())  # nothing is undone: the agent is gone
    lab.build(command, driver=lab.new_driver())
    assert len(qemus(command.instance_id)) == 1
    lab.delete(command)
    assert lab.leftovers() == before


@pytest.mark.parametrize(
    "after_s", [0.05, 0.25, 0.5, 0.9, *(pytest.param(after_s, marks=pytest.mark.slow) for after_s in (0.15, 0.35, 0.7))]
)
def test_a_build_whose_agent_was_killed_goes_on_when_repeated(lab: Lab, after_s: float) -> None:
    before = lab.leftovers()
    command = lab.a_build()
    child = subprocess.Popen(
        [sys.executable, "-c", _BUILDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert child.stdin and child.stdout
    child.stdin.write(msgspec.json.encode([lab.config, command, str(lab.run_dir)]))
    child.stdin.close()
    assert child.stdout.readline() == b"begins\n"
    time.sleep(after_s)
    child.kill()
    child.wait()
    child.stdout.close()
    driver = lab.new_driver()
    driver.observe_all()
    lab.build(command, driver=driver)
    assert len(qemus(command.instance_id)) == 1
    assert driver.observe(command.instance_id).power_state is PowerState.RUNNING
    lab.delete(command)
    assert lab.leftovers() == before


def test_what_an_agent_left_behind_is_seen_and_can_be_deleted(lab: Lab) -> None:
    before = lab.leftovers()
    command = lab.a_build()
    with pytest.raises(Interrupted):
        lab.driver.build(command, Breaking("domain.started", after=False), Undo())
    driver = lab.new_driver()
    seen = driver.observe(command.instance_id)
    assert (seen.power_state, seen.residue) == (PowerState.ABSENT, ["disk", "card"])
    assert seen in driver.observe_all()
    driver.delete(compute.Delete(instance_id=command.instance_id), Trace())
    lab.forget(command.instance_id)
    assert command.instance_id not in {one.instance_id for one in driver.observe_all()}
    assert lab.leftovers() == before


# The agent as far as it matters here, in a process that can be killed.
_BUILDER = textwrap.dedent(
    """
    import sys, msgspec
    from pathlib import Path
    from agent.config import Config
    from agent.drivers.libvirt.driver import LibvirtDriver
    from agent.drivers.openvswitch.driver import OpenvswitchNetwork
    from agent.images import ImageCache
    from agent.trace import Trace
    from agent.undo import Undo
    from contracts.compute import v2 as compute

    config, command, run_dir = msgspec.json.decode(sys.stdin.buffer.read(), type=tuple[Config, compute.Build, str])
    network = OpenvswitchNetwork(config, run_dir=Path(run_dir))
    driver = LibvirtDriver(config, images=ImageCache.from_config(config), network=network, run_dir=Path(run_dir))
    print("begins", flush=True)
    driver.build(command, Trace(), Undo())
    """
)
