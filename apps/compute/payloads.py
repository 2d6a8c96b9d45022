"""Rows → contracts.compute: the only place where commands about instances are put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from apps.compute.models import Instance
from apps.images import payloads as image_payloads
from apps.images import properties
from apps.network import payloads as network_payloads
from contracts.compute import v1, v2, v3
from contracts.network.v2 import Card

if TYPE_CHECKING:
    from apps.images.models import Image
    from apps.network.services.port_rows import Claimed

# What a direct kernel boot needs at least to be seen on the serial console.
_KERNEL_ARGS = "console=ttyS0"


def build(instance: Instance, images: Mapping[UUID, v1.Image], image: Image, cards: Sequence[Card]) -> v2.Build:
    """The whole build command. `images`: wire forms by id, made once for a batch."""
    hardware = properties.hardware(image.properties)
    return v2.Build(
        instance_id=str(instance.pk), project_id=str(instance.project_id), name=instance.name,
        vcpus=instance.vcpus, memory_mb=instance.memory_mb, disk_gb=instance.disk_gb,
        image=images[image.pk],
        kernel=images[image.kernel_id] if image.kernel_id else None,
        ramdisk=images[image.ramdisk_id] if image.ramdisk_id else None,
        kernel_args=(image.kernel_args or _KERNEL_ARGS) if image.kernel_id else "",
        cards=list(cards),
        user_data=instance.user_data,
        public_keys={instance.key_name: instance.public_key} if instance.public_key else {},
        metadata=instance.metadata,
        zone=instance.zone,
        # Hosts that cannot do these have not the traits that needs.py asks for.
        firmware=v1.Firmware(hardware.firmware) if hardware.firmware in list(v1.Firmware) else v1.Firmware.BIOS,
        disk_bus=v1.DiskBus(hardware.disk_bus) if hardware.disk_bus in list(v1.DiskBus) else v1.DiskBus.VIRTIO,
        guest_agent=hardware.guest_agent,
    )


def wire_images(images: Mapping[UUID, Image]) -> dict[UUID, v1.Image]:
    """Signed and ready, by id."""
    return {image_id: image_payloads.image(image) for image_id, image in images.items()}


def snapshot(instance_id: UUID, image: Image, upload_url: str) -> v3.Snapshot:
    """`image`: that is to be, with what its base asks for."""
    must_freeze = image.properties.get("os_require_quiesce") == "yes"
    return v3.Snapshot(instance_id=str(instance_id), image_id=str(image.pk), upload_url=upload_url, must_freeze=must_freeze)


def delete(instance_id: UUID) -> v2.Delete:
    return v2.Delete(instance_id=str(instance_id))


def card(claimed: Claimed) -> Card:
    """A port as its host plugs it in."""
    fixed = [(each.subnet, each.address) for each in claimed.fixed]
    return network_payloads.card(claimed.port, claimed.network, fixed, routed=claimed.routed)
