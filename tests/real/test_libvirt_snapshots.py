"""Snapshots of real guests: what one has written is there in the next one, which boots from the copy."""

import hashlib
import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.drivers.base import DriverError
from agent.trace import Trace
from contracts.compute import v1 as compute1
from contracts.compute import v2 as compute
from contracts.compute import v3 as compute3
from contracts.compute.v1 import PowerAction, PowerState
from tests.agent.keeper import Keeper
from tests.real.lab import Lab, hypervisor_unavailable

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(400),
    pytest.mark.skipif(bool(hypervisor_unavailable()), reason=hypervisor_unavailable()),
]

# A file system on the disk, with a file in it.
WRITE = """
for module in /lib/modules/files/*.ko; do insmod $module; done
mke2fs /dev/vda >/dev/null 2>&1
mount -t ext2 /dev/vda /mnt
echo written-by-the-first > /mnt/file
sync
"""
# The first thing that goes on writing, all the time.
BUSY = """
(while :; do date > /mnt/now; dd if=/dev/urandom of=/mnt/noise bs=64k count=16 2>/dev/null; sync; done) &
"""
# As much of QEMU's guest agent as a snapshot needs. There is nothing to read while libvirtd is not at the other end, which it is
# only once it was told that the guest has opened its own.
AGENT = r"""
agent() {
    for port in /sys/class/virtio-ports/*; do
        [ "$(cat $port/name)" = org.qemu.guest_agent.0 ] && exec 3<>/dev/${port##*/}
    done
    echo "agent: here" >/dev/console
    while :; do
        read -r line <&3 || { sleep 0.1; continue; }
        id=$(echo "$line" | sed -n 's/.*"id": *\([0-9]*\).*/\1/p')
        case $line in
            *guest-sync*) answer="{\"return\":$id}" ;;
            *fsfreeze-freeze*) sync; fsfreeze --freeze /mnt; echo "agent: at rest" >/dev/console; answer='{"return":1}' ;;
            *fsfreeze-thaw*) fsfreeze --unfreeze /mnt; echo "agent: goes on" >/dev/console; answer='{"return":1}' ;;
            *) answer='{"error":{"class":"CommandNotFound","desc":"not here"}}' ;;
        esac
        echo "$answer" >&3
    done
}
agent &
"""
READ = """
for module in /lib/modules/files/*.ko; do insmod $module; done
mount -t ext2 -o ro /dev/vda /mnt
echo "file: $(cat /mnt/file)"
echo "left: $(ls /mnt | wc -l)"
"""


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    keeper = Keeper()
    yield keeper
    keeper.close()


def order(command: compute.Build, keeper: Keeper) -> compute3.Snapshot:
    return compute3.Snapshot(instance_id=command.instance_id, image_id="image-1", upload_url=keeper.url)


def booted(lab: Lab, script: str, *, agent: bool = False) -> compute.Build:
    command = msgspec.structs.replace(lab.a_build(script=script), guest_agent=agent)
    lab.build(command)
    lab.wait_for(command, "cloudsite: ready")
    if AGENT in script:
        lab.wait_for(command, "agent: here")
    return command


@pytest.fixture(scope="module")
def listening(lab: Lab) -> Iterator[compute.Build]:
    """A guest with an agent; runs before and after each test."""
    yield from lent(lab, WRITE + AGENT, agent=True)


@pytest.fixture(scope="module")
def quiet(lab: Lab) -> Iterator[compute.Build]:
    """One without, which does nothing; runs before and after each test."""
    yield from lent(lab, WRITE)


@pytest.fixture(scope="module")
def busy(lab: Lab) -> Iterator[compute.Build]:
    """One that writes as fast as it can, and so slows down all that is tried while it is there."""
    yield from lent(lab, WRITE + BUSY)


def lent(lab: Lab, script: str, *, agent: bool = False) -> Iterator[compute.Build]:
    made = booted(lab, script, agent=agent)
    yield made
    lab.delete(made)


def from_copy(lab: Lab, keeper: Keeper) -> compute.Build:
    """A guest on the copy, which tells what it finds there."""
    assert keeper.content is not None
    image = compute1.Image(
        id="copy", url=keeper.url, sha256=hashlib.sha256(keeper.content).hexdigest(), size_bytes=len(keeper.content),
        disk_format=compute1.DiskFormat.QCOW2,
    )
    command = msgspec.structs.replace(lab.a_build(script=READ), image=image)
    lab.build(command)
    lab.wait_for(command, "cloudsite: ready")
    return command


def snapshot_files(lab: Lab, command: compute.Build) -> list[str]:
    return sorted(path.name for path in lab.driver.folders.of(command.instance_id).glob("snapshot*"))


def backups(command: compute.Build) -> str:
    """What libvirt says of a copy under way."""
    return subprocess.run(["virsh", "domjobinfo", f"cs-{command.instance_id}"], capture_output=True, text=True, check=True).stdout


def test_the_file_systems_of_a_guest_with_an_agent_are_at_rest_for_a_moment(lab: Lab, keeper: Keeper, listening: compute.Build) -> None:
    began = time.monotonic()
    trace = Trace()
    assert lab.driver.snapshot(order(listening, keeper), trace, lambda: False).frozen is True
    console = lab.wait_for(listening, "agent: goes on")
    assert console.index("agent: at rest") < console.index("agent: goes on")
    (begun,) = (event for event in trace.events() if event.name == "copy.begun")
    print(f"at rest within {begun.took_ms} ms, all of it took {time.monotonic() - began:.1f} s")
    second = from_copy(lab, keeper)
    assert "file: written-by-the-first\n" in lab.console(second)
    lab.delete(second)


@pytest.mark.parametrize(
    "after_s", [0.1, 0.5, 1.2, *(pytest.param(after_s, marks=pytest.mark.slow) for after_s in (0.3, 0.8, 2.0))]
)
def test_what_an_agent_that_was_killed_has_left_is_taken_back(lab: Lab, keeper: Keeper, listening: compute.Build, after_s: float) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _COPIER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert child.stdin and child.stdout
    child.stdin.write(msgspec.json.encode([lab.config, order(listening, keeper), str(lab.run_dir)]))
    child.stdin.close()
    assert child.stdout.readline() == b"begins\n"
    time.sleep(after_s)
    child.kill()
    child.wait()
    child.stdout.close()
    driver = lab.new_driver()
    driver.tend()
    assert snapshot_files(lab, listening) == []
    assert "None" in backups(listening)
    console = lab.console(listening)
    assert console.count("agent: at rest") == console.count("agent: goes on") or lab.wait_for(
        listening, "agent: goes on", times=console.count("agent: at rest")
    )
    keeper.content = None
    driver.snapshot(order(listening, keeper), Trace(), lambda: False)
    second = from_copy(lab, keeper)
    assert "file: written-by-the-first\n" in lab.console(second)
    lab.delete(second)


def test_a_guest_whose_agent_does_not_answer_is_copied_all_the_same(lab: Lab, keeper: Keeper) -> None:
    first = booted(lab, WRITE, agent=True)
    assert lab.driver.snapshot(order(first, keeper), Trace(), lambda: False).frozen is False
    assert keeper.content is not None
    lab.delete(first)


def test_something_newer_ends_a_copy_that_is_under_way(lab: Lab, keeper: Keeper, quiet: compute.Build) -> None:
    with pytest.raises(DriverError) as caught:
        lab.driver.snapshot(order(quiet, keeper), Trace(), lambda: True)
    assert caught.value.code == "command.superseded"
    assert (keeper.content, snapshot_files(lab, quiet)) == (None, [])
    assert "None" in backups(quiet)


def test_a_stopped_guest_is_copied(lab: Lab, keeper: Keeper, quiet: compute.Build) -> None:
    lab.power(quiet, PowerAction.STOP, grace_s=60.0)
    assert lab.driver.snapshot(order(quiet, keeper), Trace(), lambda: False).frozen is True
    assert lab.driver.observe(quiet.instance_id).power_state is PowerState.SHUTOFF
    lab.power(quiet, PowerAction.START)
    second = from_copy(lab, keeper)
    assert "file: written-by-the-first\n" in lab.console(second)
    lab.delete(second)


def test_a_copy_of_a_running_guest_boots_and_holds_the_file_that_the_guest_wrote(lab: Lab, keeper: Keeper, busy: compute.Build) -> None:
    trace = Trace()
    saved = lab.driver.snapshot(order(busy, keeper), trace, lambda: False)
    assert saved.frozen is False
    assert lab.driver.observe(busy.instance_id).power_state is PowerState.RUNNING
    assert snapshot_files(lab, busy) == []
    print({event.name: (event.detail, event.took_ms) for event in trace.events()})
    second = from_copy(lab, keeper)
    assert "file: written-by-the-first\n" in lab.console(second)
    lab.delete(second)


def test_the_guests_own_disk_is_as_sound_as_before(lab: Lab, keeper: Keeper, busy: compute.Build) -> None:
    lab.driver.snapshot(order(busy, keeper), Trace(), lambda: False)
    lab.power(busy, PowerAction.STOP, grace_s=0.0)
    disk = lab.driver.folders.of(busy.instance_id) / "disk.qcow2"
    told = subprocess.run(["qemu-img", "info", "--output=json", disk], capture_output=True, text=True, check=True)
    assert json.loads(told.stdout)["backing-filename"] == "base"
    subprocess.run(["qemu-img", "check", "-q", disk], check=True)


# The agent as far as it matters here, in a process that can be killed.
_COPIER = textwrap.dedent(
    """
    import sys, msgspec
    from pathlib import Path
    from agent.config import Config
    from agent.drivers.libvirt.driver import LibvirtDriver
    from agent.drivers.openvswitch.driver import OpenvswitchNetwork
    from agent.images import ImageCache
    from agent.trace import Trace
    from contracts.compute import v3 as compute

    config, command, run_dir = msgspec.json.decode(sys.stdin.buffer.read(), type=tuple[Config, compute.Snapshot, str])
    network = OpenvswitchNetwork(config, run_dir=Path(run_dir))
    driver = LibvirtDriver(config, images=ImageCache.from_config(config), network=network, run_dir=Path(run_dir))
    print("begins", flush=True)
    driver.snapshot(command, Trace(), lambda: False)
    """
)
