"""The domain XML that an instance becomes."""

import uuid
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from agent.drivers.base import PortBinding
from agent.drivers.libvirt.xml import (
    NAMESPACE,
    DomainSpec,
    Machine,
    domain_xml,
    interface_of,
    interface_xml,
    owner_of,
)
from contracts.compute.v1 import DiskBus, DiskFormat

INSTANCE, HOST, PORT = (str(uuid.UUID(int=number)) for number in (1, 2, 3))
EMULATED = Machine(
    kvm=False, arch="x86_64", emulator="/usr/bin/qemu-system-x86_64", owner="+64055:+110", offloads=False
)
SPEC = DomainSpec(
    instance_id=INSTANCE,
    host_id=HOST,
    title="web",
    vcpus=2,
    memory_mb=512,
    disk="/i/disk.qcow2",
    base="/i/base",
    base_format=DiskFormat.QCOW2,
    config_drive="/i/config.iso",
    console_log="/i/console.log",
    ports=[PortBinding(port_id=PORT, bridge="br-x", tap="tap0", mac="fa:16:3e:00:00:01", mtu=1450)],
)


def built(spec: DomainSpec = SPEC, machine: Machine = EMULATED) -> ET.Element:
    return ET.fromstring(domain_xml(spec, machine))


def attributes(element: ET.Element, path: str) -> dict[str, str]:
    found = element.find(path)
    assert found is not None, path
    return found.attrib


def test_a_domain_bears_the_instance_id_as_name_and_uuid() -> None:
    domain = built()
    assert domain.findtext("name") == f"cs-{INSTANCE}"
    assert domain.findtext("uuid") == INSTANCE


def test_its_metadata_says_whose_it_is() -> None:
    element = built().find(f"metadata/{{{NAMESPACE}}}instance")
    assert element is not None
    assert owner_of(ET.tostring(element, encoding="unicode")) == (INSTANCE, HOST)


@pytest.mark.parametrize("text", ["", "<instance", "<other id='1' host='2'/>"])
def test_metadata_of_others_is_not_taken_for_ours(text: str) -> None:
    assert owner_of(text) is None


def test_libvirt_gives_the_metadata_back_with_a_prefix() -> None:
    assert owner_of(f'<cloudsite:instance xmlns:cloudsite="{NAMESPACE}" id="a" host="b"/>') == ("a", "b")


def test_without_kvm_the_domain_is_emulated_with_all_that_the_emulator_can_do() -> None:
    assert built().get("type") == "qemu"
    assert attributes(built(), "cpu")["mode"] == "maximum"


def test_with_kvm_guests_see_the_hosts_processor() -> None:
    domain = built(machine=replace(EMULATED, kvm=True))
    assert domain.get("type") == "kvm"
    assert attributes(domain, "cpu")["mode"] == "host-passthrough"


def test_memory_and_processors_are_the_flavors() -> None:
    domain = built()
    assert (domain.findtext("memory"), attributes(domain, "memory")["unit"]) == ("512", "MiB")
    assert domain.findtext("vcpu") == "2"


def test_the_whole_backing_chain_is_named_so_that_no_file_decides_what_is_opened() -> None:
    disk = built().findall("devices/disk")[0]
    assert attributes(disk, "source")["file"] == "/i/disk.qcow2"
    assert attributes(disk, "backingStore/source")["file"] == "/i/base"
    assert attributes(disk, "backingStore/format")["type"] == "qcow2"
    assert attributes(disk, "backingStore/backingStore") == {}


def test_the_config_drive_is_raw_and_read_only() -> None:
    drive = built().findall("devices/disk")[1]
    assert attributes(drive, "driver")["type"] == "raw"
    assert drive.find("readonly") is not None


def test_a_card_is_plugged_into_the_bridge_under_its_ports_id() -> None:
    interface = built().find("devices/interface")
    assert interface is not None
    assert attributes(interface, "source")["bridge"] == "br-x"
    assert attributes(interface, "virtualport")["type"] == "openvswitch"
    assert attributes(interface, "virtualport/parameters")["interfaceid"] == PORT
    assert attributes(interface, "target")["dev"] == "tap0"
    assert attributes(interface, "mtu")["size"] == "1450"
    assert attributes(interface, "mac")["address"] == "fa:16:3e:00:00:01"


def test_on_a_user_space_switch_guests_compute_their_checksums_themselves() -> None:
    assert attributes(built(), "devices/interface/driver/host")["csum"] == "off"
    assert built(machine=replace(EMULATED, offloads=True)).find("devices/interface/driver") is None


def test_the_console_is_a_pty_with_a_log_that_is_appended_to() -> None:
    serial = built().find("devices/serial")
    assert serial is not None and serial.get("type") == "pty"
    assert attributes(serial, "log") == {"file": "/i/console.log", "append": "on"}


def test_qemu_runs_as_the_user_that_libvirt_means_and_no_files_change_owner() -> None:
    label = built().find("seclabel")
    assert label is not None
    assert (label.get("relabel"), label.findtext("label")) == ("no", "+64055:+110")


def test_devices_that_nobody_uses_are_left_out() -> None:
    devices = built().find("devices")
    assert devices is not None
    assert attributes(devices, "controller[@type='usb']")["model"] == "none"
    assert attributes(devices, "memballoon")["model"] == "none"
    assert attributes(devices, "interface/rom")["enabled"] == "no"


def test_the_power_button_works() -> None:
    assert built().find("features/acpi") is not None
    assert built().findtext("on_poweroff") == "destroy"


def test_it_boots_from_disk_unless_a_kernel_is_given() -> None:
    assert attributes(built(), "os/boot")["dev"] == "hd"
    direct = built(replace(SPEC, kernel="/i/kernel", ramdisk="/i/ramdisk", kernel_args="console=ttyS0 a=<b>"))
    assert direct.find("os/boot") is None
    assert [direct.findtext(f"os/{name}") for name in ("kernel", "initrd", "cmdline")] == [
        "/i/kernel",
        "/i/ramdisk",
        "console=ttyS0 a=<b>",
    ]


@pytest.mark.parametrize("title", ["a\x00b", "a\nb", "a\x1b[31mb", "\ud800", "</title><name>x</name>"])
def test_no_name_that_a_tenant_may_choose_breaks_the_xml(title: str) -> None:
    domain = built(replace(SPEC, title=title))
    assert domain.findtext("name") == f"cs-{INSTANCE}"
    assert "\n" not in (domain.findtext("title") or "")


def test_a_card_alone_is_what_it_would_be_in_the_whole() -> None:
    whole = built().find("devices/interface")
    assert whole is not None
    assert interface_xml(SPEC.ports[0], EMULATED) == ET.tostring(whole, encoding="unicode")


def test_a_card_is_found_by_its_port_and_by_nothing_else() -> None:
    text = domain_xml(SPEC, EMULATED)
    assert interface_of(text, PORT) is not None
    assert interface_of(text, INSTANCE) is None


@pytest.mark.parametrize(
    ("bus", "disk", "drive", "kind"),
    [
        (DiskBus.VIRTIO, "vda", "vdb", "disk"), (DiskBus.SCSI, "sda", "sdb", "disk"), (DiskBus.SATA, "sda", "sdb", "cdrom"),
        (DiskBus.IDE, "hda", "hdb", "cdrom"),
    ],
)
def test_disks_are_on_the_bus_that_the_image_wants(bus: DiskBus, disk: str, drive: str, kind: str) -> None:
    domain = built(replace(SPEC, disk_bus=bus))
    targets = [(one.get("device"), one.find("target").attrib) for one in domain.iterfind("devices/disk")]
    assert targets == [("disk", {"dev": disk, "bus": bus.value}), (kind, {"dev": drive, "bus": bus.value})]
    controller = domain.find("devices/controller[@type='scsi']")
    assert (controller is not None) == (bus is DiskBus.SCSI)


def test_a_guest_has_a_bios_unless_its_image_wants_uefi() -> None:
    assert built().find("os/loader") is None
    domain = built(replace(SPEC, uefi=("/usr/share/code.fd", "/i/nvram.fd")))
    assert attributes(domain, "os/loader") == {"readonly": "yes", "type": "pflash"}
    assert (domain.findtext("os/loader"), domain.findtext("os/nvram")) == ("/usr/share/code.fd", "/i/nvram.fd")


def test_the_guest_agents_channel_is_there_only_for_those_that_have_one() -> None:
    assert built().find("devices/channel") is None
    assert attributes(built(replace(SPEC, guest_agent=True)), "devices/channel/target")["name"] == "org.qemu.guest_agent.0"
