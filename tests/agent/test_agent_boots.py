"""Many boots of a new image at the same moment, on the way that commands take through the agent."""

import hashlib
import os
import shutil
import threading
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
from tests.agent.kit import Control, Pipeline, make_build

MIB = 1024 * 1024
BOOTS = 50


class WithDisks(SimulatedHypervisor):
    """Instances that only pretend, on disks that are real."""

    def attach_cache(self, folder: Path) -> None:
        self.folder = folder
        self.real_cache = ImageCache(folder / "images", limit_bytes=64 * MIB, retry_after_s=0.001)

    def build(self, command: compute2.Build, trace: Trace, undo: Undo) -> None:
        place = self.folder / command.instance_id
        place.mkdir()
        disks.link(self.real_cache.ensure(command.image, trace).path, place / "base")
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


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed (Debian: qemu-utils)")
@pytest.mark.parametrize("together", [True, False], ids=["one message", "a message each"])
def test_fifty_boots_of_a_new_image_on_one_host_cause_one_download(tmp_path: Path, keeper: Keeper, together: bool) -> None:
    content = os.urandom(4 * MIB)
    keeper.content = content
    image = compute.Image(
        id="new", url=keeper.url, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content), disk_format=compute.DiskFormat.RAW
    )
    control = Control()
    pipeline = Pipeline(tmp_path, control, lanes=8)
    hypervisor = WithDisks(pipeline.host.id, pipeline.simulated, pipeline.store)
    hypervisor.attach_cache(tmp_path)
    pipeline.agent.hosts[pipeline.host.id] = HostRuntime(pipeline.host.identity, pipeline.host.sealer, hypervisor)
    builds = [make_build(disk_gb=2, vcpus=1, memory_mb=64, image=image) for _ in range(BOOTS)]
    wires = [control.command(topics.COMPUTE_BUILD, body) for body in builds]
    if together:
        pipeline.executor.run(topics.COMPUTE_BUILD, wires)
    else:
        threads = [threading.Thread(target=pipeline.executor.run, args=(topics.COMPUTE_BUILD, [wire])) for wire in wires]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    pipeline.reporter.tend()
    reports = [control.open(wire)[1] for _, sent in pipeline.messages for wire in sent]
    assert [report.outcome for report in reports] == [Outcome.DONE] * BOOTS
    assert keeper.asked == ["GET"]
    (cached,) = hypervisor.images()
    assert cached.in_use
    inodes = {(tmp_path / body.instance_id / "base").stat().st_ino for body in builds}
    assert inodes == {(tmp_path / "images" / image.sha256).stat().st_ino}, "all stand on the same file"
    sizes = {disks.virtual_size(tmp_path / body.instance_id / "disk.qcow2", compute.DiskFormat.QCOW2) for body in builds}
    assert sizes == {2 * 1024 * MIB}, "each as large as its flavor says"
