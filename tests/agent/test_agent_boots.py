"""Many boots of a new image at the same moment, on the way that commands take through the agent."""

import hashlib
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.drivers.base import Trace, Undo
from agent.drivers.libvirt import disks
from agent.drivers.simulated.driver import SimulatedHypervisor
from agent.images import ImageCache
from agent.runtime import HostRuntime
from contracts import topics
from contracts.compute import v1 as compute
from contracts.compute import v2 as compute2
from contracts.compute import v3 as compute3
from contracts.report import Outcome
from tests.agent.keeper import Keeper
from tests.agent.kit import Control, Pipeline, make_build, wait_for

MIB = 1024 * 1024
BOOTS = 50


class WithDisks(SimulatedHypervisor):
    """Instances that only pretend, on disks that are real."""

    def attach_cache(self, folder: Path) -> None:
        self.folder = folder
        self.real_cache = ImageCache(folder / "images", limit_bytes=64 * MIB, retry_after_s=0.001)

    def build(self, command: compute2.Build, trace: Trace, undo: Undo, stopped: Callable[[], bool] = lambda: False) -> None:
        place = self.folder / command.instance_id
        undo.push("files", lambda: shutil.rmtree(place))
        place.mkdir()
        disks.link(self.real_cache.ensure(command.image, trace, stopped=stopped).path, place / "base")
        disks.ensure_overlay(
            place / "disk.qcow2", place / "base", command.image.disk_format, disk_gb=command.disk_gb, owner=(os.getuid(), os.getgid())
        )
        super().build(command, trace, undo)

    def images(self) -> list[compute3.CachedImage]:
        return self.real_cache.listed()


@pytest.fixture
def keeper() -> Any:
    keeper = Keeper()
    yield keeper
    keeper.close()


@pytest.fixture
def pipeline(tmp_path: Path, control: Control) -> Pipeline:
    return Pipeline(tmp_path, control, lanes=8)


@pytest.fixture
def hypervisor(tmp_path: Path, pipeline: Pipeline) -> WithDisks:
    hypervisor = WithDisks(pipeline.host.id, pipeline.simulated, pipeline.store)
    hypervisor.attach_cache(tmp_path)
    pipeline.agent.hosts[pipeline.host.id] = HostRuntime(pipeline.host.identity, pipeline.host.sealer, hypervisor)
    return hypervisor


@pytest.fixture
def builds(keeper: Keeper) -> list[compute2.Build]:
    """Of one image that no host has."""
    keeper.content = os.urandom(4 * MIB)
    sha256 = hashlib.sha256(keeper.content).hexdigest()
    image = compute.Image(id="new", url=keeper.url, sha256=sha256, size_bytes=4 * MIB, disk_format=compute.DiskFormat.RAW)
    return [make_build(disk_gb=2, vcpus=1, memory_mb=64, image=image) for _ in range(BOOTS)]


def outcomes(pipeline: Pipeline, control: Control, step: str) -> Counter[tuple[Outcome, str]]:
    """Of the commands of a step that have ended, with the errors' codes."""
    pipeline.reporter.tend()
    opened = [control.open(wire) for _, sent in list(pipeline.messages) for wire in sent]
    return Counter((report.outcome, report.error.code if report.error else "") for envelope, report in opened if envelope.step == step)


def delete(control: Control, *bodies: compute2.Build) -> list[str]:
    return [control.delete(body.instance_id, generation=2, step="delete") for body in bodies]


def run(pipeline: Pipeline, topic: str, *messages: list[str]) -> list[threading.Thread]:
    threads = [threading.Thread(target=pipeline.executor.run, args=(topic, message)) for message in messages]
    for thread in threads:
        thread.start()
    return threads


def join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(90)
        assert not thread.is_alive()


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed (Debian: qemu-utils)")
@pytest.mark.parametrize("together", [True, False], ids=["one message", "a message each"])
def test_fifty_boots_of_a_new_image_on_one_host_cause_one_download(
    tmp_path: Path, pipeline: Pipeline, control: Control, keeper: Keeper, hypervisor: WithDisks, builds: list[compute2.Build], together: bool
) -> None:
    wires = [control.command(topics.COMPUTE_BUILD, body) for body in builds]
    join(run(pipeline, topics.COMPUTE_BUILD, *([wires] if together else [[wire] for wire in wires])))
    assert outcomes(pipeline, control, "build") == {(Outcome.DONE, ""): BOOTS}
    assert keeper.asked == ["GET"]
    (cached,) = hypervisor.images()
    assert cached.in_use
    inodes = {(tmp_path / body.instance_id / "base").stat().st_ino for body in builds}
    assert inodes == {(tmp_path / "images" / cached.sha256).stat().st_ino}, "all stand on the same file"
    sizes = {disks.virtual_size(tmp_path / body.instance_id / "disk.qcow2", compute.DiskFormat.QCOW2) for body in builds}
    assert sizes == {2 * 1024 * MIB}, "each as large as its flavor says"


@pytest.mark.parametrize("together", [True, False], ids=["one message", "a message each"])
def test_deleted_while_they_wait_for_their_image_fifty_instances_go_at_once_and_the_download_ends(
    tmp_path: Path, pipeline: Pipeline, control: Control, keeper: Keeper, hypervisor: WithDisks, builds: list[compute2.Build], together: bool
) -> None:
    keeper.flows.clear()
    wires = [control.command(topics.COMPUTE_BUILD, body) for body in builds]
    building = run(pipeline, topics.COMPUTE_BUILD, *([wires] if together else [[wire] for wire in wires]))
    wait_for(lambda: len(pipeline.running) == BOOTS and keeper.asked)
    pipeline.executor.run(topics.COMPUTE_DELETE, delete(control, *builds))
    join(building)
    assert outcomes(pipeline, control, "delete") == {(Outcome.DONE, ""): BOOTS}
    assert keeper.hung_up.wait(60), "the network is free again"
    built = outcomes(pipeline, control, "build")
    assert set(built) <= {(Outcome.FAILED, "command.superseded"), (Outcome.STALE, "command.stale")} and built.total() == BOOTS
    wait_for(lambda: not list((tmp_path / "images").iterdir()))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["images"]
    assert not len(pipeline.running) and keeper.asked == ["GET"]


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed (Debian: qemu-utils)")
@pytest.mark.parametrize("together", [True, False], ids=["one message", "a message each"])
def test_one_of_many_that_wait_for_their_image_is_deleted_at_once_and_the_others_get_it(
    tmp_path: Path, pipeline: Pipeline, control: Control, keeper: Keeper, hypervisor: WithDisks, builds: list[compute2.Build], together: bool
) -> None:
    keeper.flows.clear()
    builds = builds[: pipeline.lanes + 4]
    wires = [control.command(topics.COMPUTE_BUILD, body) for body in builds]
    building = run(pipeline, topics.COMPUTE_BUILD, *([wires] if together else [[wire] for wire in wires]))
    wait_for(lambda: len(pipeline.running) == len(builds) and len(_begun(tmp_path, builds)) == pipeline.lanes)
    begun = _begun(tmp_path, builds)
    # One that waits for its turn, while all lanes are taken, and one that waits for the image.
    for body in (next(body for body in builds if body not in begun), begun[0]):
        join(run(pipeline, topics.COMPUTE_DELETE, delete(control, body)))
        builds.remove(body)
    assert outcomes(pipeline, control, "delete") == {(Outcome.DONE, ""): 2}
    keeper.flows.set()
    join(building)
    assert outcomes(pipeline, control, "build")[Outcome.DONE, ""] == len(builds)
    assert keeper.asked == ["GET"]
    assert {each.instance_id for each in hypervisor.observe_all()} == {body.instance_id for body in builds}


def _begun(folder: Path, builds: list[compute2.Build]) -> list[compute2.Build]:
    return [body for body in builds if (folder / body.instance_id).exists()]
