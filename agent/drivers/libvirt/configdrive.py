"""The config drive: an ISO image labelled `config-2` from which cloud-init reads who the guest is: what the metadata service says, too."""

import io
import json
import os
import re
from pathlib import Path

import pycdlib

from agent.drivers.base import DriverError
from agent.metadata import ec2, openstack
from agent.metadata.facts import Facts
from contracts.compute import v2 as compute

LABEL = "config-2"


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
    facts = Facts(build=command)
    try:
        content = {f"openstack/latest/{name}": data for name, data in openstack.files(facts).items()}
    except ValueError as error:
        raise DriverError("config_drive.user_data", str(error), retryable=False) from error
    content["ec2/latest/meta-data.json"] = json.dumps(ec2.for_drive(facts), ensure_ascii=False, indent=1).encode()
    if facts.user_data:
        content["ec2/latest/user-data"] = facts.user_data
    return content


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
