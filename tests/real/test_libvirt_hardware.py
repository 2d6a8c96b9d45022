"""What an image asks of the machine that it boots on, tried with real guests."""

import subprocess

import msgspec
import pytest

from agent.drivers.base import DriverError
from agent.drivers.libvirt import firmware
from contracts.compute.v1 import DiskBus, Firmware, PowerState
from tests.real.lab import Lab, hypervisor_unavailable

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(hypervisor_unavailable()), reason=hypervisor_unavailable()),
]
_NO_UEFI = "" if firmware.find("x86_64") else "no UEFI firmware is installed (Debian: ovmf)"


def xml_of(instance_id: str) -> str:
    return subprocess.run(["virsh", "dumpxml", f"cs-{instance_id}"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("bus", [DiskBus.SCSI, DiskBus.SATA, DiskBus.IDE])
def test_a_guest_runs_with_its_disk_on_another_bus(lab: Lab, bus: DiskBus) -> None:
    command = msgspec.structs.replace(lab.a_build(), disk_bus=bus)
    lab.build(command)
    assert f"bus='{bus.value}'" in xml_of(command.instance_id)
    lab.wait_for(command, "cloudsite: ready")
    assert lab.driver.observe(command.instance_id).power_state is PowerState.RUNNING
    lab.delete(command)


def test_a_host_says_which_it_has(lab: Lab) -> None:
    found = set(lab.driver.capabilities().traits)
    assert {f"COMPUTE_STORAGE_BUS_{bus.name}" for bus in DiskBus} <= found
    assert ("COMPUTE_FIRMWARE_UEFI" in found) == (not _NO_UEFI)


@pytest.mark.skipif(bool(_NO_UEFI), reason=_NO_UEFI)
def test_a_guest_starts_by_uefi_and_keeps_its_variables(lab: Lab) -> None:
    command = msgspec.structs.replace(lab.a_build(script="[ -d /sys/firmware/efi ] && echo by uefi"), firmware=Firmware.UEFI, memory_mb=256)
    lab.build(command)
    assert "by uefi\n" in lab.wait_for(command, "cloudsite: ready", within_s=200)
    variables = lab.driver.folders.of(command.instance_id) / firmware.VARIABLES
    assert variables.stat().st_mode & 0o077 == 0
    lab.delete(command)
    assert not variables.exists()


def test_without_such_firmware_the_refusal_says_so_and_leaves_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware, "find", lambda arch: None)
    before = lab.leftovers()
    command = msgspec.structs.replace(lab.a_build(), firmware=Firmware.UEFI)
    with pytest.raises(DriverError) as caught:
        lab.build(command)
    assert (caught.value.code, caught.value.retryable) == ("instance.firmware", True)
    assert lab.leftovers() == before
