"""Commands about instances that speak of network cards, version 2; the others are in `v1`."""

import msgspec

from contracts.compute.v1 import DiskBus, Firmware, Image
from contracts.network.v2 import Card


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """Make the instance exist and run. `user_data` is base64 (any bytes). `kernel_args` only with `kernel`.

    `firmware`, `disk_bus`: as the image needs them; hosts whose agents do not know these fields have not the traits either
    without which no such instance comes to them. `guest_agent`: give it the channel of QEMU's guest agent.
    """

    instance_id: str
    project_id: str
    name: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    image: Image
    kernel: Image | None = None
    ramdisk: Image | None = None
    kernel_args: str = ""
    cards: list[Card] = []
    user_data: str = ""
    public_keys: dict[str, str] = {}
    metadata: dict[str, str] = {}
    zone: str = ""
    firmware: Firmware = Firmware.BIOS
    disk_bus: DiskBus = DiskBus.VIRTIO
    guest_agent: bool = False


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    """Make the instance and all it left on the host not exist. Done also when there was nothing."""

    instance_id: str


class Attach(msgspec.Struct, frozen=True, kw_only=True):
    """Plug a card into the instance, running or not; done also when it is in already."""

    instance_id: str
    card: Card


class Detach(msgspec.Struct, frozen=True, kw_only=True):
    """Take a card out of the instance; done also when it has none of that id."""

    instance_id: str
    card: str
