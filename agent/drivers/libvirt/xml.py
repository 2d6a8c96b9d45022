"""From what an instance needs to libvirt's domain XML: pure functions."""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

from agent.drivers.base import PortBinding
from contracts.compute import v1 as compute
from contracts.compute.v1 import DiskBus

DISK = "disk.qcow2"
_DEVICES = {DiskBus.VIRTIO: "vd", DiskBus.SCSI: "sd", DiskBus.SATA: "sd", DiskBus.IDE: "hd"}
# QEMU has no hard disks on these that cannot be written to, but it has such drives.
_NO_READ_ONLY_DISKS = (DiskBus.SATA, DiskBus.IDE)
# Marks a domain as ours; a name only, nothing is ever fetched from there.
NAMESPACE = "https://cloudsite.invalid/xmlns/domain/1"
_PREFIX = "cloudsite"
# Offloads leave checksums and segmentation to "hardware" that a user-space switch does not have.
_NO_HOST_OFFLOADS = {"csum": "off", "gso": "off", "tso4": "off", "tso6": "off", "ecn": "off", "ufo": "off"}
_NO_GUEST_OFFLOADS = {"csum": "off", "tso4": "off", "tso6": "off", "ecn": "off", "ufo": "off"}
_SPARE_SLOTS = 4
_NOT_XML = re.compile("[^\t\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

ET.register_namespace(_PREFIX, NAMESPACE)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the host offers. `owner`: `+uid:+gid` that QEMU runs as."""

    kvm: bool
    arch: str
    emulator: str
    owner: str
    offloads: bool = True


@dataclass(frozen=True, kw_only=True)
class DomainSpec:
    """One instance. Paths are as QEMU sees them; `kernel_args` counts with `kernel` only. `host_id`: who owns it.

    `uefi`: the firmware's code and the guest's own variables; without it the guest has a BIOS. `guest_agent`: QEMU's agent in
    the guest can be talked to.
    """

    instance_id: str
    host_id: str
    title: str
    vcpus: int
    memory_mb: int
    disk: str
    base: str
    base_format: compute.DiskFormat
    config_drive: str
    console_log: str
    kernel: str = ""
    ramdisk: str = ""
    kernel_args: str = ""
    ports: list[PortBinding] = field(default_factory=list)
    disk_bus: DiskBus = DiskBus.VIRTIO
    uefi: tuple[str, str] | None = None
    guest_agent: bool = False


def disk_name(bus: DiskBus, number: int = 0) -> str:
    """What libvirt calls a guest's first disk, or a further one: `vda`."""
    return _DEVICES[bus] + "abcdefgh"[number]


def domain_name(instance_id: str) -> str:
    return f"cs-{instance_id}"


def owner_of(metadata: str) -> tuple[str, str] | None:
    """(instance id, host id) out of the metadata element that libvirt gives back, None when it is not ours."""
    try:
        element = ET.fromstring(metadata)
    except ET.ParseError:
        return None
    # libvirt hands the element out with or without the namespace on its name, depending on how it is asked.
    if element.tag not in ("instance", f"{{{NAMESPACE}}}instance"):
        return None
    return element.get("id", ""), element.get("host", "")


def domain_xml(spec: DomainSpec, machine: Machine) -> str:
    """The whole domain."""
    domain = ET.Element("domain", type="kvm" if machine.kvm else "qemu")
    _add(domain, "name", domain_name(spec.instance_id))
    _add(domain, "uuid", spec.instance_id)
    if title := _NOT_XML.sub(" ", spec.title).replace("\t", " ").strip():
        _add(domain, "title", title)
    metadata = _add(domain, "metadata")
    _add(metadata, f"{{{NAMESPACE}}}instance", id=spec.instance_id, host=spec.host_id)
    _add(domain, "memory", str(spec.memory_mb), unit="MiB")
    _add(domain, "vcpu", str(spec.vcpus))
    _add_os(domain, spec, machine)
    _add_features(domain, machine)
    for event, action in (("poweroff", "destroy"), ("reboot", "restart"), ("crash", "destroy")):
        _add(domain, f"on_{event}", action)
    _add_devices(domain, spec, machine)
    # QEMU runs without root's rights, and libvirt changes no file's owner: the driver has seen to access before, and
    # base images, which many guests share, stay root's.
    seclabel = _add(domain, "seclabel", type="static", model="dac", relabel="no")
    _add(seclabel, "label", machine.owner)
    return ET.tostring(domain, encoding="unicode")


def interface_xml(port: PortBinding, machine: Machine) -> str:
    """One card alone, to be plugged into a domain that is there."""
    devices = ET.Element("devices")
    _add_interface(devices, port, machine)
    return ET.tostring(devices[0], encoding="unicode")


def interface_of(domain: str, port_id: str) -> str | None:
    """The card of a port as a domain's XML has it, None if it has none."""
    for interface in ET.fromstring(domain).iterfind("devices/interface"):
        parameters = interface.find("virtualport/parameters")
        if parameters is not None and parameters.get("interfaceid") == port_id:
            return ET.tostring(interface, encoding="unicode")
    return None


def _add_os(domain: ET.Element, spec: DomainSpec, machine: Machine) -> None:
    os_element = _add(domain, "os")
    # i440FX has the fewest devices to start with (no PCIe root ports, no AHCI); ARM has one choice.
    model = "pc" if machine.arch == "x86_64" else "virt"
    _add(os_element, "type", "hvm", arch=machine.arch, machine=model)
    if spec.uefi is not None:
        code, variables = spec.uefi
        _add(os_element, "loader", code, readonly="yes", type="pflash")
        _add(os_element, "nvram", variables)
    if spec.kernel:
        _add(os_element, "kernel", spec.kernel)
        if spec.ramdisk:
            _add(os_element, "initrd", spec.ramdisk)
        _add(os_element, "cmdline", _NOT_XML.sub(" ", spec.kernel_args))
    else:
        _add(os_element, "boot", dev="hd")


def _add_features(domain: ET.Element, machine: Machine) -> None:
    features = _add(domain, "features")
    _add(features, "acpi")
    if machine.arch == "x86_64":
        _add(features, "apic")
    if machine.kvm:
        _add(domain, "cpu", mode="host-passthrough", check="none")
    else:
        # All that the emulator can do: current distributions no longer start on its default processor.
        _add(domain, "cpu", mode="maximum", check="none")
    clock = _add(domain, "clock", offset="utc")
    if machine.arch == "x86_64":
        _add(clock, "timer", name="rtc", tickpolicy="catchup")
        _add(clock, "timer", name="pit", tickpolicy="delay")
        _add(clock, "timer", name="hpet", present="no")


def _add_devices(domain: ET.Element, spec: DomainSpec, machine: Machine) -> None:
    devices = _add(domain, "devices")
    _add(devices, "emulator", machine.emulator)
    if spec.disk_bus is DiskBus.SCSI:
        _add(devices, "controller", type="scsi", model="virtio-scsi")
    _add_disk(devices, spec)
    _add_config_drive(devices, spec)
    # Devices that nobody uses cost time at every start.
    _add(devices, "controller", type="usb", model="none")
    if machine.arch != "x86_64":
        # Each takes one card that is plugged in later.
        for _ in range(_SPARE_SLOTS):
            _add(devices, "controller", type="pci", model="pcie-root-port")
    for port in spec.ports:
        _add_interface(devices, port, machine)
    # A pty for people, and beside it a log that virtlogd writes: it goes on over restarts of guest and libvirtd.
    serial = _add(devices, "serial", type="pty")
    _add(serial, "log", file=spec.console_log, append="on")
    _add(serial, "target", port="0")
    console = _add(devices, "console", type="pty")
    _add(console, "target", type="serial", port="0")
    if spec.guest_agent:
        channel = _add(devices, "channel", type="unix")
        _add(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    _add(devices, "memballoon", model="none")


def _add_disk(devices: ET.Element, spec: DomainSpec) -> None:
    disk = _add(devices, "disk", type="file", device="disk")
    _add(disk, "driver", name="qemu", type="qcow2", discard="unmap")
    _add(disk, "source", file=spec.disk)
    # The whole chain is named, so that nothing in a file decides what is opened.
    backing = _add(disk, "backingStore", type="file")
    _add(backing, "format", type=spec.base_format.value)
    _add(backing, "source", file=spec.base)
    _add(backing, "backingStore")
    _add(disk, "target", dev=disk_name(spec.disk_bus), bus=spec.disk_bus.value)


def _add_config_drive(devices: ET.Element, spec: DomainSpec) -> None:
    disk = _add(devices, "disk", type="file", device="cdrom" if spec.disk_bus in _NO_READ_ONLY_DISKS else "disk")
    _add(disk, "driver", name="qemu", type="raw")
    _add(disk, "source", file=spec.config_drive)
    _add(disk, "target", dev=disk_name(spec.disk_bus, 1), bus=spec.disk_bus.value)
    _add(disk, "readonly")


def _add_interface(devices: ET.Element, port: PortBinding, machine: Machine) -> None:
    interface = _add(devices, "interface", type="bridge")
    _add(interface, "mac", address=port.mac)
    _add(interface, "source", bridge=port.bridge)
    virtualport = _add(interface, "virtualport", type="openvswitch")
    _add(virtualport, "parameters", interfaceid=port.port_id)
    _add(interface, "target", dev=port.tap)
    _add(interface, "model", type="virtio")
    if not machine.offloads:
        driver = _add(interface, "driver", name="qemu")
        _add(driver, "host", **_NO_HOST_OFFLOADS)
        _add(driver, "guest", **_NO_GUEST_OFFLOADS)
    _add(interface, "mtu", size=str(port.mtu))
    # No network boot: the card's own ROM would only be loaded and run in vain.
    _add(interface, "rom", enabled="no")


def _add(parent: ET.Element, tag: str, text: str | None = None, /, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    element.text = text
    return element
