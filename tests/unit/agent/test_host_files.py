"""Small decisions of the host's side: DHCP entries, transit ranges, who can reach a folder, whether KVM counts."""

import ipaddress
import uuid
from pathlib import Path

import pytest

from agent.drivers.base import DriverError
from agent.drivers.command import run
from agent.drivers.ids import checked
from agent.drivers.libvirt import disks, kvm
from agent.drivers.libvirt.folders import is_reachable
from agent.drivers.openvswitch import dhcp, namespace
from contracts.compute.v1 import DiskFormat
from contracts.network import v1 as network

SUBNET = network.Subnet(id=str(uuid.UUID(int=4)), cidr="10.64.0.0/20", gateway="10.64.0.1", dns=["10.9.9.9"])
NET = network.Network(id=str(uuid.UUID(int=5)), subnet=SUBNET)
NOBODY = (65534, 65534)


def port(number: int) -> network.Port:
    return network.Port(
        id=str(uuid.UUID(int=number)),
        network=NET,
        mac=f"fa:16:3e:00:00:{number:02x}",
        address=f"10.64.0.{number}",
        prefix_length=20,
    )


def test_dhcp_knows_exactly_the_ports() -> None:
    lines = dhcp.host_lines([port(6), port(5)]).splitlines()
    assert lines == ["fa:16:3e:00:00:05,10.64.0.5,host-10-64-0-5", "fa:16:3e:00:00:06,10.64.0.6,host-10-64-0-6"]


def test_dhcp_gives_out_no_address_but_those() -> None:
    text = dhcp.config_text(NET, Path("/x"), ["10.9.9.9"])
    assert "dhcp-range=10.64.0.0,static,255.255.240.0,86400s\n" in text
    assert "dhcp-option=option:router,10.64.0.1\n" in text
    assert "dhcp-option=option:mtu,1450\n" in text
    assert "server=10.9.9.9\n" in text


def test_a_network_without_a_way_out_names_no_router_and_asks_nobody() -> None:
    closed = network.Network(id=NET.id, nat=False, subnet=SUBNET)
    assert "dhcp-option=option:router\n" in dhcp.config_text(closed, Path("/x"), [])
    assert dhcp.upstream_servers(closed) == []
    assert dhcp.upstream_servers(NET) == ["10.9.9.9"]


def test_names_of_devices_are_short_enough_for_the_kernel() -> None:
    names = namespace.Names.of(str(uuid.uuid4()))
    assert max(len(names.gateway_port), len(names.transit)) <= 15


def test_transit_ranges_are_link_local_and_leave_the_clouds_own_alone() -> None:
    found = list(namespace.transit_ranges(NET.id))
    assert len(found) == len(set(found)) == (254 - 1) * 64
    taken = ipaddress.IPv4Network("169.254.169.0/24")
    assert not any(one.overlaps(taken) for one in found)
    assert all(one.subnet_of(ipaddress.IPv4Network("169.254.0.0/16")) for one in found)


def test_networks_begin_to_look_at_different_places() -> None:
    assert len({next(namespace.transit_ranges(str(uuid.UUID(int=number)))) for number in range(50)}) > 40


def test_below_a_private_folder_nobody_else_gets(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    below = tmp_path / "a"
    below.mkdir()
    owner = (tmp_path.stat().st_uid, tmp_path.stat().st_gid)
    assert not is_reachable(below, (owner[0] + 12345, owner[1] + 12345))
    assert is_reachable(below, (0, 0))


@pytest.mark.parametrize("text", ["", "x", "../x", "{00000000-0000-0000-0000-000000000001}", "0" * 32])
def test_only_a_uuid_in_canonical_form_is_an_id(text: str) -> None:
    with pytest.raises(DriverError):
        checked(text, "instance")


def test_a_program_that_fails_takes_too_long_or_is_missing_is_an_error_of_the_driver() -> None:
    for command in (["false"], ["sleep", "5"], ["cloudsite-no-such-program"]):
        with pytest.raises(DriverError) as caught:
            run(*command, code="some.code", timeout_s=0.2)
        assert caught.value.code == "some.code"


def test_an_image_is_linked_and_not_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "image", tmp_path / "base"
    source.write_bytes(b"x")
    for _ in range(2):
        disks.link(source, target)
    assert target.samefile(source) and source.stat().st_nlink == 2


def test_a_disk_smaller_than_its_image_is_refused(tmp_path: Path) -> None:
    base = tmp_path / "base"
    with base.open("wb") as file:
        file.truncate(2 * disks.GIB + 1)
    with pytest.raises(DriverError) as caught:
        disks.ensure_overlay(tmp_path / "disk", base, DiskFormat.RAW, disk_gb=2, owner=NOBODY)
    assert (caught.value.code, caught.value.retryable) == ("disk.too_small", False)
    assert "needs 3 GiB of disk, the flavor has 2" in str(caught.value)


def test_kvm_is_probed_once_per_boot_and_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probes: list[str] = []

    def probe(emulator: str, owner: tuple[int, int]) -> tuple[bool, str]:
        probes.append(emulator)
        return True, "it ran"

    monkeypatch.setattr(kvm, "probe", probe)
    assert [kvm.works(tmp_path, "qemu", version, NOBODY) for version in ("1", "1", "2", "2")] == [True] * 4
    monkeypatch.setattr(kvm, "_boot_id", lambda: "another boot")
    kvm.works(tmp_path, "qemu", "2", NOBODY)
    assert len(probes) == 3


def test_without_the_device_there_is_no_kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "DEVICE", tmp_path / "kvm")
    assert kvm.probe("qemu", NOBODY) == (False, f"{tmp_path / 'kvm'} is absent")


def test_the_probe_guest_is_a_boot_sector() -> None:
    assert len(kvm._BOOT_CODE) <= 510
    assert kvm.LINE in kvm._BOOT_CODE
