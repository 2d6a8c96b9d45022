"""Properties of images: texts by name, of which some are known, have a type, and say something to scheduler and hosts.

Names and values are those that OpenStack's images have, so that its tools and ours mean the same. Pure data, no Django.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from apps.common.checks import check_texts
from apps.common.errors import Invalid
from apps.placement.names import is_custom, standard_traits

CODE = "image.property"
_ARCHITECTURES = ("aarch64", "armv7l", "i686", "ppc64le", "riscv64", "s390x", "x86_64")
# What Debian, Microsoft and others call them.
_ALIASES = {"amd64": "x86_64", "x86-64": "x86_64", "arm64": "aarch64", "i386": "i686", "i586": "i686", "armhf": "armv7l"}
_YES, _NO = ("yes", "true", "1", "on"), ("no", "false", "0", "off")
_WORD = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}")
_LOGIN = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,63}\$?")
_TRAIT = "trait:"


def _one_of(*known: str, aliases: Mapping[str, str] | None = None) -> Callable[[str], str]:
    def read(text: str) -> str:
        found = text.strip().lower()
        found = (aliases or {}).get(found, found)
        if found not in known:
            raise ValueError(f"expected one of {', '.join(known)}")
        return found

    return read


def _flag(text: str) -> str:
    found = text.strip().lower()
    if found not in (*_YES, *_NO):
        raise ValueError("expected yes or no")
    return "yes" if found in _YES else "no"


def _word(text: str) -> str:
    found = text.strip().lower()
    if not _WORD.fullmatch(found):
        raise ValueError("expected one word of at most 64 letters, digits, dots, dashes and underscores")
    return found


def _login(text: str) -> str:
    if not _LOGIN.fullmatch(text):
        raise ValueError("expected the name of an account")
    return text


_DISK_BUSES = ("virtio", "scsi", "sata", "ide")
KNOWN: dict[str, Callable[[str], str]] = {
    "architecture": _one_of(*_ARCHITECTURES, aliases=_ALIASES),
    "hw_architecture": _one_of(*_ARCHITECTURES, aliases=_ALIASES),
    "hw_firmware_type": _one_of("bios", "uefi"),
    "hw_disk_bus": _one_of(*_DISK_BUSES),
    "hw_vif_model": _one_of("virtio", "e1000", "e1000e", "rtl8139"),
    "hw_machine_type": _word,
    "hw_qemu_guest_agent": _flag,
    "os_require_quiesce": _flag,
    "os_type": _word,
    "os_distro": _word,
    "os_admin_user": _login,
}


@dataclass(frozen=True)
class Hardware:
    """What an image asks of the machine that it boots on; empty: the host decides."""

    firmware: str = ""
    disk_bus: str = ""
    nic_model: str = ""
    machine: str = ""
    guest_agent: bool = False


def checked(given: Mapping[str, str]) -> dict[str, str]:
    """The same with known ones in the form in which they are kept. Raises Invalid `image.property`, its field the property's."""
    check_texts(given, field="properties", code=CODE)
    return {name: _value(name, text) for name, text in given.items()}


def hardware(properties: Mapping[str, str]) -> Hardware:
    """Out of properties that were checked."""
    return Hardware(
        firmware=properties.get("hw_firmware_type", ""), disk_bus=properties.get("hw_disk_bus", ""),
        nic_model=properties.get("hw_vif_model", ""), machine=properties.get("hw_machine_type", ""),
        guest_agent=properties.get("hw_qemu_guest_agent") == "yes",
    )


def _value(name: str, text: str) -> str:
    if name.startswith(_TRAIT):
        return _trait(name, text)
    read = KNOWN.get(name)
    if read is None:
        return text
    try:
        return read(text)
    except ValueError as error:
        raise _wrong(name, f"{error}, got {text[:64]!r}") from error


def _trait(name: str, text: str) -> str:
    trait = name.removeprefix(_TRAIT)
    if trait not in standard_traits() and not is_custom(trait):
        raise _wrong(name, "there is no such trait; those of one's own begin with CUSTOM_")
    if text not in ("required", "forbidden"):
        raise _wrong(name, f"expected required or forbidden, got {text[:64]!r}")
    return text


def _wrong(name: str, why: str) -> Invalid:
    return Invalid(CODE, f"properties.{name}: {why}.", field=f"properties.{name}")
