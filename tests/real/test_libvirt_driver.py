"""Real guests: libvirt, QEMU, Open vSwitch, and the demo image that says on its console what it got."""

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from agent.drivers.base import DriverError
from agent.drivers.command import run
from agent.drivers.libvirt import guest as guest_module
from agent.drivers.openvswitch import names
from agent.trace import Trace
from contracts.compute import v1 as compute1
from contracts.compute import v2 as compute
from contracts.compute.v1 import PowerAction, PowerState
from tests.real.lab import Lab, hypervisor_unavailable, qemus

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(hypervisor_unavailable()), reason=hypervisor_unavailable()),
]

SCRIPT = """
try() { name=$1; shift; if "$@" >/dev/null 2>&1; then echo "$name=yes"; else echo "$name=no"; fi; }
try gateway ping -c 2 -W 2 10.64.0.1
try gateway6 ping6 -c 2 -W 2 fd64::1
echo mtu=$(cat /sys/class/net/eth0/mtu)
echo resolver=$(cat /etc/resolv.conf)
echo metadata=$(wget -q -O - http://169.254.169.254/latest/meta-data/instance-id)
echo metadata6=$(wget -q -O - http://[fd00:ec2::254]/latest/meta-data/instance-id)
"""


@pytest.fixture(scope="module")
def guest(lab: Lab) -> Iterator[compute.Build]:
    """One that runs and has said all that it has to say; for tests that leave it as it is."""
    key = {"mine": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBsOuTFjtBHJrfSgOIcbzzMDZOxVpFdB2fAlXVV4kmBB me@here"}
    command = lab.a_build(script=SCRIPT, cards=[lab.a_card(ipv6=True)])
    command = msgspec.structs.replace(command, public_keys=key)
    lab.build(command)
    lab.wait_for(command, "cloudsite: ready")
    yield command
    lab.delete(command)


def test_a_guest_finds_its_identity_on_the_config_drive(lab: Lab, guest: compute.Build) -> None:
    text = lab.console(guest)
    assert "cloudsite: hostname=real-guest\n" in text
    assert f"cloudsite: instance-id={guest.instance_id}\n" in text
    assert "cloudsite: ssh-key=SHA256:" in text and "me@here" in text


def test_it_gets_exactly_the_given_addresses_by_dhcp_and_dhcpv6(lab: Lab, guest: compute.Build) -> None:
    four, six = guest.cards[0].addresses
    text = lab.console(guest)
    assert f"cloudsite: address={four.address}/20\n" in text
    assert f"cloudsite: address6={six.address}\n" in text
    assert "mtu=1450\n" in text
    assert "resolver=search cloud.internal nameserver 10.64.0.1\n" in text


def test_it_reaches_its_gateways_and_reads_its_metadata(lab: Lab, guest: compute.Build) -> None:
    text = lab.console(guest)
    assert ["gateway=yes" in text, "gateway6=yes" in text] == [True, True]
    assert f"metadata={guest.instance_id}\n" in text
    assert f"metadata6={guest.instance_id}\n" in text


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
    seen = compute1.Domain(instance_id=guest.instance_id, power_state=PowerState.RUNNING)
    for driver in (lab.driver, lab.new_driver()):
        assert driver.observe(guest.instance_id) == seen
        assert seen in driver.observe_all()


def test_the_console_gives_as_much_of_its_end_as_was_asked_for(lab: Lab, guest: compute.Build) -> None:
    whole = lab.driver.console(compute1.Console(instance_id=guest.instance_id))
    part = lab.driver.console(compute1.Console(instance_id=guest.instance_id, max_bytes=100))
    assert (whole.truncated, part.truncated) == (False, True)
    assert whole.text.endswith(part.text) and len(part.text) <= 100


def test_another_installations_domain_is_not_touched(lab: Lab, guest: compute.Build) -> None:
    stranger = lab.new_driver()
    stranger._host_id = str(uuid.uuid4())
    with pytest.raises(DriverError) as caught:
        stranger.delete(compute.Delete(instance_id=guest.instance_id), Trace())
    lab.new_driver()
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
        assert lab.driver.observe(command.instance_id) == compute1.Domain(
            instance_id=command.instance_id, power_state=state
        )
        if state is PowerState.RUNNING:
            # The log goes on, and the guest has its address again.
            text = lab.wait_for(command, "cloudsite: ready", times=boots)
            assert text.count(f"cloudsite: address={command.cards[0].addresses[0].address}/20\n") == boots
    lab.delete(command)
    assert lab.driver.observe(command.instance_id).power_state is PowerState.ABSENT


def test_a_guest_that_does_not_listen_is_stopped_when_its_grace_is_over(lab: Lab) -> None:
    command = lab.a_build()
    lab.build(command)  # at this moment no kernel is there yet to hear the power button
    began = time.monotonic()
    lab.power(command, PowerAction.STOP, grace_s=0.5)
    assert time.monotonic() - began < 28  # and not the 30 that a guest is given otherwise
    assert lab.driver.observe(command.instance_id).power_state is PowerState.SHUTOFF
    lab.delete(command)


def test_a_guest_starts_again_when_its_network_was_lost_with_a_reboot_of_the_host(lab: Lab) -> None:
    command = lab.a_build()
    lab.build(command)
    lab.power(command, PowerAction.STOP, grace_s=0.0)
    lab.network.remove()
    driver = lab.new_driver()
    driver.power(compute1.Power(instance_id=command.instance_id, action=PowerAction.START), Trace())
    lab.wait_for(command, f"cloudsite: address={command.cards[0].addresses[0].address}/20")
    lab.delete(command)


def test_a_guest_whose_qemu_was_killed_has_crashed_and_can_be_started(lab: Lab) -> None:
    command = lab.a_build()
    lab.build(command)
    os.kill(qemus(command.instance_id)[0], signal.SIGKILL)
    until = time.monotonic() + 90
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


def test_a_card_is_plugged_into_a_running_guest_and_taken_out_again(lab: Lab) -> None:
    command = lab.a_build()
    more = lab.a_card(ipv6=True)
    lab.build(command)
    lab.wait_for(command, "cloudsite: ready")
    before = qemus(command.instance_id)
    for _ in range(2):
        lab.attach(command, more)
    lab.wait_for(command, f"cloudsite: address={more.addresses[0].address}/20\n")
    lab.wait_for(command, f"cloudsite: address6={more.addresses[1].address}\n")
    assert interfaces(lab, command) == {command.cards[0].mac, more.mac}
    lab.power(command, PowerAction.REBOOT_HARD)
    text = lab.wait_for(command, "cloudsite: ready", times=2)
    assert text.count(f"cloudsite: address={more.addresses[0].address}/20\n") == 2
    for _ in range(2):
        lab.detach(command, more)
    assert interfaces(lab, command) == {command.cards[0].mac}
    assert not Path("/sys/class/net", names.tap(more.id)).exists()
    assert qemus(command.instance_id) != before
    lab.delete(command)


def test_a_card_is_plugged_into_a_stopped_guest(lab: Lab) -> None:
    command = lab.a_build()
    more = lab.a_card()
    lab.build(command)
    lab.power(command, PowerAction.STOP, grace_s=0.0)
    lab.attach(command, more)
    lab.power(command, PowerAction.START)
    lab.wait_for(command, f"cloudsite: address={more.addresses[0].address}/20\n")
    lab.power(command, PowerAction.STOP, grace_s=0.0)
    lab.detach(command, more)
    lab.power(command, PowerAction.START)
    assert interfaces(lab, command) == {command.cards[0].mac}
    lab.delete(command)


def test_a_guest_that_does_not_let_go_of_its_card_keeps_it_and_it_is_said(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = lab.a_build(script="echo booted")
    lab.build(command)  # at this moment no kernel is there yet to let go of anything
    monkeypatch.setattr(guest_module.Guest.unplug, "__kwdefaults__", {"timeout_s": 0.5})
    with pytest.raises(DriverError) as caught:
        lab.detach(command, command.cards[0])
    assert (caught.value.code, caught.value.retryable) == ("card.held", False)
    assert interfaces(lab, command) == {command.cards[0].mac}
    assert [card.id for card in lab.network.cards_of(command.instance_id)] == [command.cards[0].id]
    lab.delete(command)


@pytest.mark.parametrize("what", ["attach", "detach"])
def test_there_is_no_card_of_an_instance_that_is_not_here(lab: Lab, what: str) -> None:
    before = lab.leftovers()
    command = lab.a_build()
    with pytest.raises(DriverError) as caught:
        getattr(lab, what)(command, lab.a_card())
    assert caught.value.code == "instance.absent"
    lab.forget(command.instance_id)
    assert lab.leftovers() == before


def interfaces(lab: Lab, command: compute.Build) -> set[str]:
    """MACs of the domain's cards, now and at its next start alike."""
    found = [
        {
            line.split()[-1]
            for line in run("virsh", "-q", "domiflist", *how, f"cs-{command.instance_id}").splitlines()
            if line
        }
        for how in ((), ("--inactive",))
    ]
    assert found[0] == found[1]
    return found[0]


def _watch(lab: Lab, until: threading.Event) -> int:
    """Do what the agent does all the time, beside its builds; how often."""
    rounds = 0
    while not until.is_set():
        lab.driver.check()
        lab.driver.observe_all()
        rounds += 1
    return rounds


def test_many_are_built_and_deleted_at_once(lab: Lab) -> None:
    shared = lab.a_network()
    commands = [lab.a_build(cards=[lab.a_card(shared)]) for _ in range(4)]
    with ThreadPoolExecutor(5) as pool:
        built = threading.Event()
        watched = pool.submit(_watch, lab, built)
        list(pool.map(lab.build, commands))
        built.set()
        assert watched.result() > 0
        seen = {one.instance_id: one.power_state for one in lab.driver.observe_all()}
        assert all(seen[command.instance_id] is PowerState.RUNNING for command in commands)
        list(pool.map(lab.delete, commands))
    assert not any(qemus(command.instance_id) for command in commands)
    lab.settle()
    assert not Path("/run/netns", names.namespace(shared.router)).exists()


def test_the_disk_has_the_size_of_the_flavor(lab: Lab) -> None:
    command = lab.a_build(disk_gb=3)
    lab.build(command)
    disk = lab.driver.folders.of(command.instance_id) / "disk.qcow2"
    assert '"virtual-size": 3221225472' in run("qemu-img", "info", "-U", "--output=json", disk)
    lab.delete(command)


@pytest.mark.parametrize("action", list(PowerAction))
def test_power_without_a_domain_is_refused(lab: Lab, action: PowerAction) -> None:
    with pytest.raises(DriverError) as caught:
        lab.driver.power(compute1.Power(instance_id=str(uuid.uuid4()), action=action), Trace())
    assert caught.value.code == "instance.absent"


def test_there_is_no_console_of_what_never_was(lab: Lab) -> None:
    with pytest.raises(DriverError) as caught:
        lab.driver.console(compute1.Console(instance_id=str(uuid.uuid4())))
    assert caught.value.code == "instance.absent"


def test_an_unknown_instance_is_absent(lab: Lab) -> None:
    unknown = str(uuid.uuid4())
    assert lab.driver.observe(unknown) == compute1.Domain(instance_id=unknown, power_state=PowerState.ABSENT)


@pytest.mark.parametrize("name", ["", "../../etc", "A" * 36, "{00000000-0000-0000-0000-000000000001}"])
def test_an_id_that_is_none_is_refused(lab: Lab, name: str) -> None:
    with pytest.raises(DriverError) as caught:
        lab.driver.delete(compute.Delete(instance_id=name), Trace())
    assert (caught.value.code, caught.value.retryable) == ("command.invalid", False)


def test_the_host_says_what_it_is(lab: Lab) -> None:
    capabilities = lab.driver.capabilities()
    assert all(capabilities.inventory[name] > 0 for name in ("VCPU", "MEMORY_MB", "DISK_GB"))
    assert {"CUSTOM_HYPERVISOR_KVM", "CUSTOM_HYPERVISOR_QEMU"} & set(capabilities.traits)
    lab.driver.check()


@pytest.mark.slow
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
        lab.forget(instance_id)
