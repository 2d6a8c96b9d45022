"""What an image asks of the machine that it boots on: only hosts that have it are chosen, and they are told."""

import pytest

from apps.compute.models import Instance
from contracts import topics
from contracts.compute.v1 import DiskBus, Firmware
from tests.support.cloud import Cloud, make_image, operation_of, refusal


def boot(cloud: Cloud, **properties: str) -> Instance:
    instance = cloud.boot(image_id=make_image(cloud.project, properties=properties).pk)
    cloud.schedule()
    instance.refresh_from_db()
    return instance


def test_an_image_that_asks_for_nothing_gets_what_every_host_has(cloud: Cloud) -> None:
    host = cloud.host()
    boot(cloud)
    body = host.command(topics.COMPUTE_BUILD).body
    assert (body.firmware, body.disk_bus, body.guest_agent) == (Firmware.BIOS, DiskBus.VIRTIO, False)


@pytest.mark.parametrize(
    ("properties", "trait"),
    [({"hw_firmware_type": "uefi"}, "COMPUTE_FIRMWARE_UEFI"), ({"hw_disk_bus": "sata"}, "COMPUTE_STORAGE_BUS_SATA")],
    ids=["firmware", "bus"],
)
def test_only_a_host_that_has_it_is_chosen(cloud: Cloud, properties: dict[str, str], trait: str) -> None:
    cloud.host()
    failed = boot(cloud, **properties)
    assert failed.state == "ERROR"
    assert operation_of(failed).error["facts"]["reasons"] == ["traits"]
    able = cloud.host()
    able.traits = [trait]
    able.hello()
    instance = boot(cloud, **properties, hw_qemu_guest_agent="yes")
    assert instance.host_id == able.id
    body = able.command(topics.COMPUTE_BUILD).body
    assert (body.firmware.value, body.disk_bus.value) == (properties.get("hw_firmware_type", "bios"), properties.get("hw_disk_bus", "virtio"))
    assert body.guest_agent is True


def test_a_bus_that_no_host_has_is_refused_at_once(cloud: Cloud) -> None:
    cloud.host()
    error = refusal(boot, cloud, hw_disk_bus="usb")
    assert (error.code, error.field) == ("image.property", "image_id")
