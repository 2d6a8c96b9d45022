"""What an instance is to be, kept in its folder: later starts, perhaps after the host was rebooted, go by it."""

import os
from pathlib import Path

import msgspec

from agent.drivers.base import DriverError
from contracts.compute import v1 as compute

NAME = "instance.json"


def save(folder: Path, command: compute.Build) -> None:
    """Keep what a later start needs; no secrets, and no URLs, which will not work any more by then."""

    def without_url(image: compute.Image | None) -> compute.Image | None:
        return msgspec.structs.replace(image, url="") if image else None

    kept = msgspec.structs.replace(
        command,
        image=without_url(command.image),
        kernel=without_url(command.kernel),
        ramdisk=without_url(command.ramdisk),
        user_data="",
        public_keys={},
        metadata={},
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
