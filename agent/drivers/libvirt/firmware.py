"""Where this host has UEFI firmware: by the descriptions that its packages install for QEMU (Debian: `ovmf`, `qemu-efi-aarch64`)."""

import fnmatch
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.drivers.base import DriverError

# A description in the first hides one of the same name in the second.
FOLDERS = (Path("/etc/qemu/firmware"), Path("/usr/share/qemu/firmware"))
VARIABLES = "nvram.fd"
# Machines as QEMU calls those that guests get here.
_MACHINES = {"x86_64": "pc-i440fx-7.2", "aarch64": "virt-7.2"}
# Secure boot needs a machine of another kind, and keys that nobody has enrolled here.
_UNFIT = {"requires-smm", "enrolled-keys"}


@dataclass(frozen=True)
class Uefi:
    """`code`: shared by all guests, never written to. `template`: what a guest's own variables begin as."""

    code: Path
    template: Path


def find(arch: str, folders: Sequence[Path] = FOLDERS) -> Uefi | None:
    """The first that fits, in the order that the descriptions' names ask for; None where there is none."""
    named: dict[str, Path] = {}
    for folder in reversed(folders):
        named |= {path.name: path for path in folder.glob("*.json")}
    for _, path in sorted(named.items()):
        try:
            found = _fitting(json.loads(path.read_bytes()), arch)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # an empty one hides one of the same name
        if found is not None and found.code.is_file() and found.template.is_file():
            return found
    return None


def ensure_variables(folder: Path, uefi: Uefi, *, owner: tuple[int, int]) -> None:
    """The guest's own variables, unless they are there. Raises DriverError `disk.failed`."""
    path = folder / VARIABLES
    if path.exists():
        return
    temporary = path.with_suffix(".new")
    try:
        shutil.copyfile(uefi.template, temporary)
        temporary.chmod(0o600)
        os.chown(temporary, *owner)
        temporary.replace(path)
    except OSError as error:
        raise DriverError("disk.failed", f"{path.name}: {error.strerror}") from error


def _fitting(description: dict[str, Any], arch: str) -> Uefi | None:
    mapping = description["mapping"]
    if "uefi" not in description["interface-types"] or mapping["device"] != "flash" or mapping.get("mode", "split") != "split":
        return None
    if _UNFIT & set(description.get("features", ())):
        return None
    machine = _MACHINES.get(arch, "")
    if not any(
        target["architecture"] == arch and any(fnmatch.fnmatch(machine, pattern) for pattern in target["machines"])
        for target in description["targets"]
    ):
        return None
    if {mapping["executable"]["format"], mapping["nvram-template"]["format"]} != {"raw"}:
        return None
    return Uefi(Path(mapping["executable"]["filename"]), Path(mapping["nvram-template"]["filename"]))
