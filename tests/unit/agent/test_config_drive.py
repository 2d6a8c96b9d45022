"""What a guest finds on its config drive."""

import base64
import io
import json
import os
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pycdlib
import pytest

from agent.drivers.base import DriverError
from agent.drivers.libvirt import configdrive
from contracts.compute import v2 as compute
from contracts.compute.v1 import DiskFormat, Image
from contracts.network import v2 as network

PORT = network.Card(
    id=str(uuid.UUID(int=3)),
    network=str(uuid.UUID(int=5)),
    mac="fa:16:3e:00:00:01",
    mtu=1450,
    addresses=[
        network.CardAddress(address="10.64.0.5", prefix_length=20, gateway="10.64.0.1", dns=["10.64.0.1"]),
        network.CardAddress(address="fd64::5", prefix_length=64, gateway="fd64::1", dns=["fd64::1"], mode="dhcpv6"),
    ],
)
COMMAND = compute.Build(
    instance_id=str(uuid.UUID(int=1)),
    project_id=str(uuid.UUID(int=2)),
    name="Web Server 1",
    vcpus=1,
    memory_mb=128,
    disk_gb=1,
    image=Image(id="i", url="", sha256="", size_bytes=0, disk_format=DiskFormat.RAW),
    cards=[PORT],
    user_data=base64.b64encode(b"#!/bin/sh\n\xff").decode(),
    public_keys={"mine": "ssh-ed25519 AAAA me"},
    metadata={"role": "wéb"},
)


def read(content: bytes, path: str, kind: str) -> bytes:
    image = pycdlib.PyCdlib()
    image.open_fp(io.BytesIO(content))
    output = io.BytesIO()
    image.get_file_from_iso_fp(output, **{kind: path})
    image.close()
    return output.getvalue()


def meta_data(command: compute.Build) -> Any:
    return json.loads(configdrive.files(command)["openstack/latest/meta_data.json"])


@pytest.mark.parametrize("kind", ["rr_path", "joliet_path"])
def test_every_file_is_found_under_its_true_name(kind: str) -> None:
    files = configdrive.files(COMMAND)
    content = configdrive.iso(files)
    assert {path: read(content, f"/{path}", kind) for path in files} == files


def test_the_volume_bears_the_label_that_cloud_init_looks_for() -> None:
    assert configdrive.iso({})[32808:32840] == b"config-2".ljust(32)


def test_a_guest_may_stat_its_files() -> None:
    image = pycdlib.PyCdlib()
    image.open_fp(io.BytesIO(configdrive.iso(configdrive.files(COMMAND))))
    # Without the type in the mode, Linux answers every access with an input/output error.
    record: Any = image.get_record(rr_path="/openstack/latest/meta_data.json")
    assert record.rock_ridge.get_file_mode() == 0o100444


def test_the_meta_data_say_who_the_guest_is() -> None:
    found = meta_data(COMMAND)
    assert found["uuid"] == COMMAND.instance_id
    assert (found["name"], found["hostname"]) == ("Web Server 1", "web-server-1")
    assert found["public_keys"] == {"mine": "ssh-ed25519 AAAA me"}
    assert (found["project_id"], found["meta"]) == (COMMAND.project_id, {"role": "wéb"})


@pytest.mark.parametrize(
    ("name", "expected"), [("a.b_c", "a-b-c"), ("--", "i-00000000"), ("é", "i-00000000"), ("x" * 80, "x" * 63)]
)
def test_a_host_name_is_one_dns_label(name: str, expected: str) -> None:
    assert meta_data(msgspec.structs.replace(COMMAND, name=name))["hostname"] == expected


def network_data(*addresses: network.CardAddress) -> Any:
    card = msgspec.structs.replace(PORT, addresses=list(addresses) or PORT.addresses)
    command = msgspec.structs.replace(COMMAND, cards=[card])
    return json.loads(configdrive.files(command)["openstack/latest/network_data.json"])


def test_the_network_data_leave_addresses_to_dhcp_and_dhcpv6() -> None:
    found = network_data()
    assert found["links"][0]["ethernet_mac_address"] == PORT.mac
    assert found["links"][0]["mtu"] == 1450
    assert [one["type"] for one in found["networks"]] == ["ipv4_dhcp", "ipv6_dhcpv6-stateful"]
    assert found["services"] == [{"type": "dns", "address": "10.64.0.1"}, {"type": "dns", "address": "fd64::1"}]


def test_several_addresses_by_dhcpv6_are_asked_for_once() -> None:
    one, other = (network.CardAddress(address=f"fd64::{number}", prefix_length=64, mode="dhcpv6") for number in (5, 6))
    assert [each["type"] for each in network_data(one, other)["networks"]] == ["ipv6_dhcpv6-stateful"]


def test_static_addresses_come_with_all_that_belongs_to_them() -> None:
    routes = [network.Route(destination="172.16.0.0/12", nexthop="10.64.0.9")]
    four = network.CardAddress(
        address="10.64.0.5", prefix_length=20, gateway="10.64.0.1", dns=["9.9.9.9"], routes=routes, mode="static"
    )
    six = network.CardAddress(address="fd64::5", prefix_length=64, gateway="fd64::1", mode="static")
    first, second = network_data(four, six)["networks"]
    assert (first["type"], first["ip_address"], first["netmask"]) == ("ipv4", "10.64.0.5", "255.255.240.0")
    assert first["routes"] == [
        {"network": "172.16.0.0", "netmask": "255.240.0.0", "gateway": "10.64.0.9"},
        {"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.64.0.1"},
    ]
    assert first["services"] == [{"type": "dns", "address": "9.9.9.9"}]
    assert (second["type"], second["netmask"]) == ("ipv6", "ffff:ffff:ffff:ffff::")
    assert second["routes"] == [{"network": "::", "netmask": "::", "gateway": "fd64::1"}]


def test_user_data_are_any_bytes() -> None:
    assert configdrive.files(COMMAND)["openstack/latest/user_data"] == b"#!/bin/sh\n\xff"


def test_without_user_data_there_is_no_such_file() -> None:
    assert "openstack/latest/user_data" not in configdrive.files(msgspec.structs.replace(COMMAND, user_data=""))


def test_user_data_that_are_not_base64_are_refused() -> None:
    with pytest.raises(DriverError) as caught:
        configdrive.files(msgspec.structs.replace(COMMAND, user_data="%%"))
    assert (caught.value.code, caught.value.retryable) == ("config_drive.user_data", False)


def test_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.iso"
    for _ in range(2):
        configdrive.write(path, COMMAND, owner=(os.getuid(), os.getgid()))
        assert path.stat().st_mode & 0o777 == 0o440
    assert [one.name for one in tmp_path.iterdir()] == ["config.iso"]
