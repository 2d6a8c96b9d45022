"""The config drive: an ISO image labelled `config-2` from which cloud-init reads who the guest is."""

import base64
import binascii
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pycdlib

from agent.drivers.base import DriverError
from contracts.compute import v1 as compute
from contracts.network import v1 as network

LABEL = "config-2"
_NOT_HOSTNAME = re.compile(r"[^a-z0-9-]+")


def write(path: Path, command: compute.Build, *, owner: tuple[int, int]) -> None:
    """Write the image, readable by root and QEMU (`owner`: uid, gid) only. Raises DriverError `config_drive.*`."""
    try:
        content = iso(files(command))
    except pycdlib.pycdlibexception.PyCdlibException as error:
        raise DriverError("config_drive.failed", str(error)) from error
    temporary = path.with_suffix(".new")
    # Its mode from the start: user data holds secrets.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o440)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.chown(temporary, *owner)
    temporary.replace(path)


def files(command: compute.Build) -> dict[str, bytes]:
    """Path in the image → content: OpenStack's layout, and EC2's. Raises DriverError `config_drive.user_data`."""
    try:
        user_data = base64.b64decode(command.user_data, validate=True)
    except binascii.Error as error:
        raise DriverError("config_drive.user_data", f"user data: {error}", retryable=False) from error
    content = {
        "openstack/latest/meta_data.json": _json(meta_data(command)),
        "openstack/latest/network_data.json": _json(network_data(command.ports)),
        "ec2/latest/meta-data.json": _json(ec2_meta_data(command)),
    }
    if user_data:
        content |= {"openstack/latest/user_data": user_data, "ec2/latest/user-data": user_data}
    return content


def meta_data(command: compute.Build) -> dict[str, Any]:
    """OpenStack's meta_data.json."""
    keys = [{"name": name, "type": "ssh", "data": key} for name, key in command.public_keys.items()]
    return {
        "uuid": command.instance_id,
        "name": command.name,
        "hostname": hostname(command),
        "launch_index": 0,
        "project_id": command.project_id,
        "meta": command.metadata,
        "public_keys": command.public_keys,
        "keys": keys,
    }


def network_data(ports: list[network.Port]) -> dict[str, Any]:
    """OpenStack's network_data.json: every card asks DHCP, which has one answer."""
    links = [
        {"id": f"link{at}", "type": "phy", "vif_id": port.id, "ethernet_mac_address": port.mac, "mtu": port.network.mtu}
        for at, port in enumerate(ports)
    ]
    networks = [
        {"id": f"network{at}", "type": "ipv4_dhcp", "link": f"link{at}", "network_id": port.network.id}
        for at, port in enumerate(ports)
    ]
    gateways = dict.fromkeys(port.network.subnet.gateway for port in ports)
    services = [{"type": "dns", "address": gateway} for gateway in gateways]
    return {"links": links, "networks": networks, "services": services}


def ec2_meta_data(command: compute.Build) -> dict[str, Any]:
    """EC2's meta-data as the one JSON text that cloud-init takes."""
    return {
        "instance-id": command.instance_id,
        "hostname": hostname(command),
        "local-hostname": hostname(command),
        "local-ipv4": command.ports[0].address if command.ports else "",
        "public-keys": {str(at): {"openssh-key": key} for at, key in enumerate(command.public_keys.values())},
    }


def hostname(command: compute.Build) -> str:
    """The instance's name as one DNS label; its id where nothing is left of the name."""
    label = _NOT_HOSTNAME.sub("-", command.name.lower()).strip("-")[:63].rstrip("-")
    return label or f"i-{command.instance_id[:8]}"


def iso(content: dict[str, bytes]) -> bytes:
    """An ISO 9660 image with Rock Ridge and Joliet names."""
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    made: set[str] = set()
    for number, (path, data) in enumerate(content.items()):
        *folders, name = path.split("/")
        short = ""
        for depth in range(len(folders)):
            long = "/" + "/".join(folders[: depth + 1])
            short += f"/{_short(folders[depth])}"
            if long not in made:
                made.add(long)
                image.add_directory(short, rr_name=folders[depth], joliet_path=long)
        image.add_fp(
            io.BytesIO(data),
            len(data),
            f"{short}/F{number}.;1",
            rr_name=name,
            joliet_path=f"/{path}",
            file_mode=0o100444,
        )
    output = io.BytesIO()
    image.write_fp(output)
    image.close()
    return output.getvalue()


def _short(name: str) -> str:
    """The name as plain ISO 9660 allows it."""
    return re.sub(r"[^A-Z0-9_]", "_", name.upper())[:31]


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode()
