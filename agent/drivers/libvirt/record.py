"""What an instance is to be, kept in its folder: later starts, perhaps after the host was rebooted, and metadata go by it."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.drivers.base import DriverError
from contracts.compute import v1
from contracts.compute import v2 as compute

NAME = "instance.json"


def save(folder: Path, command: compute.Build) -> None:
    """Keep it, for root only, as user data holds secrets; no URLs, which will not work any more at a later start."""

    def without_url(image: v1.Image | None) -> v1.Image | None:
        return msgspec.structs.replace(image, url="") if image else None

    kept = msgspec.structs.replace(
        command,
        image=without_url(command.image),
        kernel=without_url(command.kernel),
        ramdisk=without_url(command.ramdisk),
    )
    temporary = folder / f"{NAME}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(kept))
    temporary.replace(folder / NAME)


def load(folder: Path) -> compute.Build:
    """Raises DriverError `instance.damaged`."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=compute.Build)
    except (OSError, msgspec.DecodeError) as error:
        raise DriverError("instance.damaged", f"{folder.name}: {error}", retryable=False) from error


def finder(folder_of: Callable[[str], Path]) -> Callable[[str], compute.Build | None]:
    """A function from instance id to its record, None where there is none."""

    def find(instance_id: str) -> compute.Build | None:
        try:
            return load(folder_of(instance_id))
        except DriverError:
            return None

    return find
