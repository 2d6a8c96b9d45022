"""What an instance asks of its host: gathered from flavor, image and request when it is created, and kept with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db.models import Q

from apps.common import ids
from apps.common.context import Actor
from apps.common.errors import Invalid, NotFound
from apps.hosts import selectors as hosts_of
from apps.identity import policy
from apps.images import properties
from apps.placement.names import DISK_GB, MEMORY_MB, VCPU, is_custom, standard_traits
from contracts.compute.v1 import DiskBus, Firmware

if TYPE_CHECKING:
    from apps.compute.models import Flavor, Instance
    from apps.images.models import Image

# An instance names at most so many of each.
MOST_TRAITS, MOST_HOSTS = 64, 64
# With half of it EDK2's firmware faults on its way into a Linux kernel, and the guest hangs without a word to anybody.
_UEFI_MB = 256
_TRAIT, _REQUIRED, _FORBIDDEN = "trait:", "required", "forbidden"
# Names of an image's properties, in OpenStack's two generations → what schedulers call them.
_OF_IMAGES = {
    "architecture": "architecture", "hw_architecture": "architecture",
    "hypervisor_type": "hypervisor_type", "img_hv_type": "hypervisor_type",
}
# What Debian, Microsoft and others call them → the name that traits have.
_ARCHITECTURES = {"amd64": "x86_64", "x86-64": "x86_64", "arm64": "aarch64", "i386": "i686", "i586": "i686"}


def gather(
    *, actor: Actor, flavor: Flavor | None, image: Image | None, required_traits: Sequence[str] = (),
    forbidden_traits: Sequence[str] = (), hosts: Sequence[str] = (), avoided_hosts: Sequence[str] = (),
) -> dict[str, Any]:
    """As `Instance.needs` has it. `hosts`, `avoided_hosts`: names or ids, for operators.

    Raises Forbidden, NotFound `host.not_found`, Invalid `trait.unknown`, `image.trait`, `instance.traits`, `instance.hosts`.
    """
    for field, names in (("required_traits", required_traits), ("forbidden_traits", forbidden_traits)):
        if len(names) > MOST_TRAITS:
            raise Invalid("instance.traits", f"{field}: at most {MOST_TRAITS} traits, got {len(names)}.", field=field)
        check_traits(names, field=field)
    of_image = _traits_of(image) if image is not None else {_REQUIRED: [], _FORBIDDEN: []}
    required = {
        **dict.fromkeys(required_traits, "the request"), **dict.fromkeys(of_image[_REQUIRED], "the image"),
        **dict.fromkeys(_hardware_of(image) if image is not None else (), "the image"),
        **dict.fromkeys(flavor.required_traits if flavor is not None else (), "the flavor"),
    }
    forbidden = {
        **dict.fromkeys(forbidden_traits, "the request"), **dict.fromkeys(of_image[_FORBIDDEN], "the image"),
        **dict.fromkeys(flavor.forbidden_traits if flavor is not None else (), "the flavor"),
    }
    for name in sorted(required.keys() & forbidden.keys()):
        raise Invalid(
            "instance.traits", f"No host can do: {required[name]} requires the trait {name}, and {forbidden[name]} forbids it.",
            field="required_traits" if required[name] == "the request" else "flavor_id", trait=name,
        )
    found = {
        "required_traits": sorted(required), "forbidden_traits": sorted(forbidden),
        "host_metadata": dict(flavor.host_metadata) if flavor is not None else {},
        "image": _properties_of(image) if image is not None else {}, **_hosts(actor, hosts, avoided_hosts),
    }
    return {name: value for name, value in found.items() if value}


def check_traits(names: Iterable[str], *, field: str) -> None:
    """Raises Invalid `trait.unknown` for a name that is no standard trait and cannot be a custom one."""
    for name in names:
        if name not in standard_traits() and not is_custom(name):
            text = f"{field}: there is no trait {name[:64]!r}; those of one's own begin with CUSTOM_."
            raise Invalid("trait.unknown", text, field=field)


def _traits_of(image: Image) -> dict[str, list[str]]:
    """The image's properties `trait:NAME`. Raises Invalid."""
    found: dict[str, list[str]] = {_REQUIRED: [], _FORBIDDEN: []}
    for key, value in image.properties.items():
        if not key.startswith(_TRAIT):
            continue
        name = key.removeprefix(_TRAIT)
        if value not in (_REQUIRED, _FORBIDDEN):
            text = f"The image's property {key} is {str(value)[:64]!r}; expected {_REQUIRED} or {_FORBIDDEN}."
            raise Invalid("image.trait", text, field="image_id")
        if name not in standard_traits() and not is_custom(name):
            raise Invalid("image.trait", f"The image's property {key[:80]} names no trait.", field="image_id")
        found[value].append(name)
    return found


def least_memory_mb(image: Image) -> int:
    """What a machine needs to start this image, in MiB."""
    is_uefi = properties.hardware(image.properties).firmware == Firmware.UEFI
    return max(image.min_memory_mb, _UEFI_MB if is_uefi else 0)


def _hardware_of(image: Image) -> list[str]:
    """The traits of hosts that can give what the image asks of its machine; what all of them can, hosts need not say."""
    wanted = properties.hardware(image.properties)
    if wanted.disk_bus and wanted.disk_bus not in list(DiskBus):
        raise Invalid("image.property", f"No host has disks on the bus {wanted.disk_bus[:64]!r} of the image's property hw_disk_bus.", field="image_id")
    if wanted.firmware and wanted.firmware not in list(Firmware):
        raise Invalid("image.property", f"No host has the firmware {wanted.firmware[:64]!r} of the image's property hw_firmware_type.", field="image_id")
    found = [f"COMPUTE_STORAGE_BUS_{wanted.disk_bus.upper()}"] if wanted.disk_bus not in ("", DiskBus.VIRTIO) else []
    return [*found, *(["COMPUTE_FIRMWARE_UEFI"] if wanted.firmware == Firmware.UEFI else [])]


def _properties_of(image: Image) -> dict[str, str]:
    given: Mapping[str, Any] = image.properties
    found = {name: str(given[key]).lower() for key, name in _OF_IMAGES.items() if given.get(key)}
    if "architecture" in found:
        found["architecture"] = _ARCHITECTURES.get(found["architecture"], found["architecture"])
    return found


def _hosts(actor: Actor, wanted: Sequence[str], avoided: Sequence[str]) -> dict[str, list[str]]:
    """Ids, as text. Who may not name hosts does not learn which there are."""
    if not wanted and not avoided:
        return {}
    policy.require(actor, "compute.instance.place")
    found = {"hosts": _named(wanted, "hosts"), "avoided_hosts": _named(avoided, "avoided_hosts")}
    if found["hosts"] and not set(found["hosts"]) - set(found["avoided_hosts"]):
        raise Invalid("instance.hosts", "avoided_hosts: all the hosts that are asked for are to be avoided.", field="avoided_hosts")
    return found


def _named(texts: Sequence[str], field: str) -> list[str]:
    if len(texts) > MOST_HOSTS:
        raise Invalid("instance.hosts", f"{field}: at most {MOST_HOSTS} hosts, got {len(texts)}.", field=field)
    if not texts:
        return []
    parsed = {text: ids.parse(text) for text in texts}
    by_id = Q(pk__in=[host_id for host_id in parsed.values() if host_id is not None])
    rows = hosts_of.hosts().filter(by_id | Q(name__in=texts)).values_list("pk", "name")
    known: dict[object, str] = {key: str(pk) for pk, name in rows for key in (pk, name)}
    chosen = set()
    for text, host_id in parsed.items():
        if (found := known.get(host_id) or known.get(text)) is None:
            raise NotFound("host.not_found", f"{field}: there is no host {text[:64]!r}.", field=field)
        chosen.add(found)
    return sorted(chosen)


def amounts_of(instance: Instance) -> dict[str, int]:
    """What an instance takes of its host, by resource class."""
    return {VCPU: instance.vcpus, MEMORY_MB: instance.memory_mb, DISK_GB: instance.disk_gb}
