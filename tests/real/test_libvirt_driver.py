"""Real guests: libvirt, QEMU, Open vSwitch, and the demo image that says on its console what it got."""

import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from agent.drivers.base import DriverError
from agent.drivers.command import run
from agent.drivers.libvirt import disks
from agent.drivers.openvswitch import flows
from agent.drivers.openvswitch.namespace import Names
from agent.trace import Trace
from agent.undo import Undo
from apps.images.demo import DemoImage, build
from contracts.compute import v1 as compute
from contracts.compute.v1 import PowerAction, PowerState
from tests.real.lab import Lab, hypervisor_unavailable

pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(hypervisor_unavailable()), reason=hypervisor_unavailable())]

STEPS = ("image", "disk", "config_drive", "network", "domain")
SCRIPT = """
try() { name=$1; shift; if "$@" >/dev/null 2>&1; then echo "$name=yes"; else echo "$name=no"; fi; }
try gateway ping -c 2 -W 2 10.64.0.1
try here ping -c 2 -W 2 {here}
try beyond ping -c 2 -W 2 {beyond}
ip address add 10.64.0.200/20 dev eth0
try spoofed ping -c 2 -W 1 -I 10.64.0.200 10.64.0.1
ip address delete 10.64.0.200/20 dev eth0
try afterwards ping -c 2 -W 2 10.64.0.1
echo mtu=$(cat /sys/class/net/eth0/mtu)
echo resolver=$(cat /etc/resolv.conf)
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> DemoImage:
    """Kept between runs where pytest has its cache; it costs 12 s and a download of 30 MB from Debian's mirror."""
    kept = getattr(request.config, "cache", None)
    return build(Path(kept.mkdir("demo-image")) if kept else tmp_path_factory.mktemp("demo-image"))


@pytest.fixture(scope="module")
def lab(demo: DemoImage) -> Iterator[Lab]:
    lab = Lab(demo)
    try:
        yield lab
        assert lab.leftovers() == []
    finally:
        lab.close()


@pytest.fixture(scope="module")
def guest(lab: Lab) -> Iterator[compute.Build]:
    """One that runs and has said all that it has to say; for tests that leave it as it is."""
    key = {"mine": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBsOuTFjtBHJrfSgOIcbzzMDZOxVpFdB2fAlXVV4kmBB me@here"}
    command = lab.a_build(script=SCRIPT.replace("{here}", lab.here).replace("{beyond}", lab.beyond))
    command = msgspec.structs.replace(command, public_keys=key)
    lab.build(command)
    lab.wait_for(command, "cloudsite: ready")
    yield command
    lab.delete(command)


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


def test_a_guest_finds_its_identity_on_the_config_drive(lab: Lab, guest: compute.Build) -> None:
    text = lab.console(guest)
    assert "cloudsite: hostname=real-guest\n" in text
    assert f"cloudsite: instance-id={guest.instance_id}\n" in text
    assert "cloudsite: ssh-key=SHA256:" in text and "me@here" in text


def test_it_gets_exactly_the_given_address_by_dhcp(lab: Lab, guest: compute.Build) -> None:
    assert f"cloudsite: address={guest.ports[0].address}/20\n" in lab.console(guest)
    assert "mtu=1450\n" in lab.console(guest)
    assert "resolver=nameserver 10.64.0.1\n" in lab.console(guest)


def test_it_reaches_the_gateway_the_host_and_what_lies_beyond(lab: Lab, guest: compute.Build) -> None:
    text = lab.console(guest)
    assert ["gateway=yes" in text, "here=yes" in text, "beyond=yes" in text] == [True, True, True]


def test_it_is_reached_from_its_network(lab: Lab, guest: compute.Build) -> None:
    port = guest.ports[0]
    assert lab.pings(Names.of(port.network.id).namespace, port.address)


def test_under_anothers_address_it_reaches_nobody(lab: Lab, guest: compute.Build) -> None:
    text = lab.console(guest)
    assert "spoofed=no" in text and "afterwards=yes" in text
    cookie = flows.port_cookie(guest.ports[0].id)
    dropped = [one for one in lab.network.bridge.flows() if one.cookie == cookie and one.text.endswith("=drop")]
    assert sum(one.packets for one in dropped) >= 1


def test_qemu_does_not_run_as_root(lab: Lab, guest: compute.Build) -> None:
    pids = qemus(guest.instance_id)
    assert len(pids) == 1
    assert Path(f"/proc/{pids[0]}").stat().st_uid != 0


def test_no_secret_lies_open(lab: Lab, guest: compute.Build) -> None:
    folder = lab.driver.folders.of(guest.instance_id)
    assert {path.name: path.stat().st_mode & 0o077 for path in folder.iterdir()} == {
        "base": 0o044,
        "kernel": 0o044,
        "ramdisk": 0o044,
        "disk.qcow2": 0,
        "config.iso": 0o040,
        "instance.json": 0,
        "console.log": 0,
    }


def test_building_it_again_changes_nothing(lab: Lab, guest: compute.Build) -> None:
    before = qemus(guest.instance_id)
    timeline = lab.build(guest, driver=lab.new_driver())
    assert qemus(guest.instance_id) == before
    assert timeline.events() == []


def test_starting_what_runs_changes_nothing(lab: Lab, guest: compute.Build) -> None:
    before = qemus(guest.instance_id)
    lab.power(guest, PowerAction.START)
    assert qemus(guest.instance_id) == before


def test_it_is_observed_by_any_agent_of_this_host(lab: Lab, guest: compute.Build) -> None:
    seen = compute.Domain(instance_id=guest.instance_id, power_state=PowerState.RUNNING)
    for driver in (lab.driver, lab.new_driver()):
        assert driver.observe(guest.instance_id) == seen
        assert seen in driver.observe_all()


def test_the_console_gives_as_much_of_its_end_as_was_asked_for(lab: Lab, guest: compute.Build) -> None:
    whole = lab.driver.console(compute.Console(instance_id=guest.instance_id))
    part = lab.driver.console(compute.Console(instance_id=guest.instance_id, max_bytes=100))
    assert (whole.truncated, part.truncated) == (False, True)
    assert whole.text.endswith(part.text) and len(part.text) <= 100


def test_another_installations_domain_is_not_touched(lab: Lab, guest: compute.Build) -> None:
    stranger = lab.new_driver()
    stranger._host_id = str(uuid.uuid4())
    with pytest.raises(DriverError) as caught:
        stranger.delete(compute.Delete(instance_id=guest.instance_id), Trace())
    assert (caught.value.code, caught.value.retryable) == ("instance.foreign", False)
    assert qemus(guest.instance_id)


def test_a_guest_lives_through_stop_start_and_reboots(lab: Lab) -> None:
    command = lab.a_build()
    lab.build(command)
    lab.wait_for(command, "cloudsite: ready")
    for boots, (action, state) in enumerate(
        [
            (PowerAction.STOP, PowerState.SHUTOFF),
            (PowerAction.START, PowerState.RUNNING),
            (PowerAction.REBOOT_SOFT, PowerState.RUNNING),
            (PowerAction.REBOOT_HARD, PowerState.RUNNING),
        ],
        start=1,
    ):
        lab.power(command, action, grace_s=60.0)
        assert lab.driver.observe(command.instance_id) == compute.Domain(
            instance_id=command.instance_id, power_state=state
        )
        if state is PowerState.RUNNING:
            # The log goes on, and the guest has its address again.
            text = lab.wait_for(command, "cloudsite: ready", times=boots)
            assert text.count(f"cloudsite: address={command.ports[0].address}/20\n") == boots
    lab.delete(command)
    assert lab.driver.observe(command.instance_id).power_state is PowerState.ABSENT


def test_a_guest_that_does_not_listen_is_stopped_when_its_grace_is_over(lab: Lab) -> None:
    command = lab.a_build()
    lab.build(command)  # at this moment no kernel is there yet to hear the power button
    began = time.monotonic()
    lab.power(command, PowerAction.STOP, grace_s=0.5)
    assert time.monotonic() - began < 20
    assert lab.driver.observe(command.instance_id).power_state is PowerState.SHUTOFF
    lab.delete(command)


def test_a_guest_starts_again_when_its_network_was_lost_with_a_reboot_of_the_host(lab: Lab) -> None:
    command = lab.a_build()
    lab.build(command)
    lab.power(command, PowerAction.STOP, grace_s=0.0)
    network_id = command.ports[0].network.id
    lab.network._dnsmasq(network_id).stop()
    lab.network.bridge.remove()
    run("ip", "netns", "delete", Names.of(network_id).namespace)
    driver = lab.new_driver()
    driver.power(compute.Power(instance_id=command.instance_id, action=PowerAction.START), Trace())
    lab.wait_for(command, f"cloudsite: address={command.ports[0].address}/20")
    lab.delete(command)


def test_a_guest_whose_qemu_was_killed_has_crashed_and_can_be_started(lab: Lab) -> None:
    command = lab.a_build()
    lab.build(command)
    os.kill(qemus(command.instance_id)[0], signal.SIGKILL)
    until = time.monotonic() + 20
    while lab.driver.observe(command.instance_id).power_state is not PowerState.CRASHED:
        assert time.monotonic() < until
        time.sleep(0.05)
    lab.power(command, PowerAction.START)
    assert lab.driver.observe(command.instance_id).power_state is PowerState.RUNNING
    lab.delete(command)


def test_deleting_leaves_nothing_and_may_be_repeated(lab: Lab, guest: compute.Build) -> None:
    before = lab.leftovers()
    command = lab.a_build()
    lab.build(command)
    assert len(lab.leftovers()) > len(before)
    for _ in range(2):
        lab.delete(command)
        assert lab.leftovers() == before


def test_deleting_finds_ports_that_the_command_does_not_name(lab: Lab, guest: compute.Build) -> None:
    before = lab.leftovers()
    command = lab.a_build(ports=[lab.a_port(), lab.a_port()])
    lab.build(command)
    lab.driver.delete(compute.Delete(instance_id=command.instance_id), Trace())
    assert lab.leftovers() == before


def test_many_are_built_and_deleted_at_once(lab: Lab) -> None:
    shared = lab.a_network()
    commands = [lab.a_build(ports=[lab.a_port(shared)]) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lab.build, commands))
        seen = {one.instance_id: one.power_state for one in lab.driver.observe_all()}
        assert all(seen[command.instance_id] is PowerState.RUNNING for command in commands)
        list(pool.map(lab.delete, commands))
    assert not any(qemus(command.instance_id) for command in commands)
    assert not Path("/run/netns", Names.of(shared.id).namespace).exists()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_build_that_fails_is_undone(lab: Lab, guest: compute.Build, step: str, after: bool) -> None:
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


@pytest.mark.parametrize("after_s", [0.05, 0.15, 0.25, 0.35, 0.5, 0.7, 0.9])
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
        lab.driver.build(command, Breaking("domain", after=False), Undo())
    driver = lab.new_driver()
    seen = driver.observe(command.instance_id)
    assert (seen.power_state, seen.residue) == (PowerState.ABSENT, ["disk", "dhcp", "port"])
    assert seen in driver.observe_all()
    driver.delete(compute.Delete(instance_id=command.instance_id), Trace())
    assert command.instance_id not in {one.instance_id for one in driver.observe_all()}
    assert lab.leftovers() == before


def test_a_disk_smaller_than_its_image_is_refused(lab: Lab) -> None:
    command = lab.a_build()
    folder = Path(lab.config.state_dir).parent / "large"
    run("qemu-img", "create", "-q", "-f", "qcow2", folder, "2G")
    with pytest.raises(DriverError) as caught:
        disks.ensure_overlay(folder.with_name("disk"), folder, compute.DiskFormat.QCOW2, disk_gb=1, owner=(0, 0))
    assert (caught.value.code, caught.value.retryable) == ("disk.too_small", False)
    assert "2 GiB" in str(caught.value)
    assert command.disk_gb == 1


def test_the_disk_has_the_size_of_the_flavor(lab: Lab) -> None:
    command = lab.a_build(disk_gb=3)
    lab.build(command)
    disk = lab.driver.folders.of(command.instance_id) / "disk.qcow2"
    assert '"virtual-size": 3221225472' in run("qemu-img", "info", "-U", "--output=json", disk)
    lab.delete(command)


@pytest.mark.parametrize("action", list(PowerAction))
def test_power_without_a_domain_is_refused(lab: Lab, action: PowerAction) -> None:
    with pytest.raises(DriverError) as caught:
        lab.driver.power(compute.Power(instance_id=str(uuid.uuid4()), action=action), Trace())
    assert caught.value.code == "instance.absent"


def test_there_is_no_console_of_what_never_was(lab: Lab) -> None:
    with pytest.raises(DriverError) as caught:
        lab.driver.console(compute.Console(instance_id=str(uuid.uuid4())))
    assert caught.value.code == "instance.absent"


def test_an_unknown_instance_is_absent(lab: Lab) -> None:
    unknown = str(uuid.uuid4())
    assert lab.driver.observe(unknown) == compute.Domain(instance_id=unknown, power_state=PowerState.ABSENT)


@pytest.mark.parametrize("name", ["", "../../etc", "A" * 36, "{00000000-0000-0000-0000-000000000001}"])
def test_an_id_that_is_none_is_refused(lab: Lab, name: str) -> None:
    with pytest.raises(DriverError) as caught:
        lab.driver.delete(compute.Delete(instance_id=name), Trace())
    assert (caught.value.code, caught.value.retryable) == ("command.invalid", False)


def test_the_host_says_what_it_is(lab: Lab) -> None:
    capabilities = lab.driver.capabilities()
    assert all(capabilities.inventory[name] > 0 for name in ("VCPU", "MEMORY_MB", "DISK_GB"))
    assert {"CUSTOM_VIRT_KVM", "CUSTOM_VIRT_TCG"} & set(capabilities.traits)
    lab.driver.check()


def test_the_driver_adds_little_to_what_libvirt_itself_takes(
    lab: Lab, record_property: Callable[[str, object], None]
) -> None:
    """No limit in seconds, as machines differ: the figures are recorded, and printed with `-s`."""
    command = lab.a_build()
    lab.build(lab.a_build())  # the image cache is warm, as it is for all but the first
    began = time.monotonic()
    timeline = lab.build(command)
    built = time.monotonic() - began
    lab.wait_for(command, "cloudsite: hostname")
    first_line = time.monotonic() - began
    name = f"cs-{command.instance_id}"
    xml = Path(lab.config.state_dir) / "same.xml"
    xml.write_text(run("virsh", "-q", "dumpxml", "--inactive", name))
    lab.power(command, PowerAction.STOP, grace_s=0.0)
    run("virsh", "-q", "undefine", name)
    began = time.monotonic()
    run("virsh", "-q", "create", xml)
    created = time.monotonic() - began
    lab.wait_for(command, "cloudsite: hostname", times=2)
    bare = time.monotonic() - began
    steps = ", ".join(f"{event.name} {event.took_ms} ms" for event in timeline.events())
    figures = (
        f"build {built:.2f} s ({steps}), first line {first_line:.2f} s; virsh create {created:.2f} s, {bare:.2f} s"
    )
    record_property("figures", figures)
    print(f"\n{figures}")
    for instance_id in [one.instance_id for one in lab.driver.observe_all()]:
        lab.driver.delete(compute.Delete(instance_id=instance_id), Trace())


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
    from contracts.compute import v1 as compute

    config, command, run_dir = msgspec.json.decode(sys.stdin.buffer.read(), type=tuple[Config, compute.Build, str])
    network = OpenvswitchNetwork(config, run_dir=Path(run_dir))
    driver = LibvirtDriver(config, images=ImageCache.from_config(config), network=network, run_dir=Path(run_dir))
    print("begins", flush=True)
    driver.build(command, Trace(), Undo())
    """
)


def qemus(instance_id: str) -> list[int]:
    """Process ids of QEMU for an instance, those that only wait to be reaped left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"guest=cs-{instance_id}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
