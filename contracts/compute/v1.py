"""Commands about instances and what hosts answer to them, version 1; those about network cards are in `v2`."""

import enum

import msgspec


class PowerState(enum.StrEnum):
    """What the hypervisor says of a domain. ABSENT: it knows no such domain."""

    RUNNING = "running"
    SHUTOFF = "shutoff"
    PAUSED = "paused"
    CRASHED = "crashed"
    ABSENT = "absent"


class PowerAction(enum.StrEnum):
    START = "start"
    STOP = "stop"
    REBOOT_SOFT = "reboot_soft"
    REBOOT_HARD = "reboot_hard"


class DiskFormat(enum.StrEnum):
    QCOW2 = "qcow2"
    RAW = "raw"
    KERNEL = "kernel"
    RAMDISK = "ramdisk"


class Firmware(enum.StrEnum):
    """What starts the guest's disk."""

    BIOS = "bios"
    UEFI = "uefi"


class DiskBus(enum.StrEnum):
    """How guests see their disks."""

    VIRTIO = "virtio"
    SCSI = "scsi"
    SATA = "sata"
    IDE = "ide"


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """A file to fetch. `url` is signed and short-lived; `sha256` in hex; `size_bytes` exact."""

    id: str
    url: str
    sha256: str
    size_bytes: int
    disk_format: DiskFormat


class Power(msgspec.Struct, frozen=True, kw_only=True):
    """Change the power state. A soft stop or reboot turns hard after `grace_s` seconds."""

    instance_id: str
    action: PowerAction
    grace_s: float = 30.0


class Console(msgspec.Struct, frozen=True, kw_only=True):
    """Read the last `max_bytes` of the serial console's log."""

    instance_id: str
    max_bytes: int = 65536


class Observe(msgspec.Struct, frozen=True, kw_only=True):
    """Say what is true about this instance."""

    instance_id: str


class Domain(msgspec.Struct, frozen=True, kw_only=True):
    """What the hypervisor knows of one instance; the result of build, delete, power and observe.

    `generation`: the last one that the host has worked on for this instance (0: none it remembers).
    `residue`: kinds of things that a missing domain left behind on the host (`disk`, `tap`, `flows`, …).
    """

    instance_id: str
    power_state: PowerState
    generation: int = 0
    residue: list[str] = []


class ConsoleOutput(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `Console`. `text` has undecodable bytes replaced; `truncated`: older text was left out."""

    instance_id: str
    text: str
    truncated: bool = False
