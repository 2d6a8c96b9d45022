"""Forms of images."""

from typing import Any

from django import forms

from apps.common.admin.inputs import Lines, Pairs
from apps.identity.admin.forms import ProjectChoice
from apps.images.models import Image, Member
from apps.images.states import ImageFormat, MemberStatus, Visibility

_VISIBILITIES = [(each.value, each.value) for each in Visibility]
_PROPERTIES = (
    "A line name=value each, such as architecture=x86_64, hw_firmware_type=uefi, hw_disk_bus=scsi, hw_qemu_guest_agent=yes, os_distro=debian."
)
_SHARED = "Shared: members see it once they accept it. Community: whoever asks for such images or knows the id. Public: everybody."


class _Parts(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A kernel or a ramdisk; there are few of them."""

    def __init__(self, kind: ImageFormat) -> None:
        rows = Image.objects.filter(disk_format=kind.value, state="active").order_by("name")
        super().__init__(queryset=rows, required=False, help_text="For images without a boot loader.")


class AboutImage(forms.Form):
    """What may be said of an image at any time."""

    name = forms.CharField(max_length=255)
    visibility = forms.ChoiceField(choices=_VISIBILITIES, help_text=_SHARED)
    protected = forms.BooleanField(required=False, help_text="Cannot be deleted.")
    min_disk_gb = forms.IntegerField(min_value=0, max_value=1024**2, initial=0, label="Least disk, GiB")
    min_memory_mb = forms.IntegerField(min_value=0, max_value=1024**3, initial=0, label="Least memory, MiB")
    kernel_id = _Parts(ImageFormat.KERNEL)
    ramdisk_id = _Parts(ImageFormat.RAMDISK)
    kernel_args = forms.CharField(max_length=255, required=False)
    tags = Lines(help_text="One per line.")
    properties = Pairs(help_text=_PROPERTIES)

    field_order = ("name", "project", "disk_format", "visibility")


class NewImage(AboutImage):
    """An image without data yet; the next page takes them."""

    project = ProjectChoice(required=False, help_text="Empty: the operators' own.")
    disk_format = forms.ChoiceField(
        choices=[(each.value, each.value) for each in ImageFormat], help_text="The file is refused if it is of another one. Hosts take qcow2 and raw."
    )
    sha256 = forms.RegexField(r"[0-9a-f]{64}", required=False, label="SHA-256", help_text="The file is refused if it has another one.")


class ShareForm(forms.Form):
    """With whom."""

    member = ProjectChoice(label="Project")


class MemberForm(forms.Form):
    """Which of the members."""

    member = forms.UUIDField(label="Project", help_text="Id of the project, as the table of members has it.")


class AnswerForm(MemberForm):
    """What a member says."""

    status = forms.ChoiceField(choices=[(each.value, each.value) for each in MemberStatus])


def values_of(given: dict[str, Any]) -> dict[str, Any]:
    """What services take: ids in the place of rows."""
    found = {name: value for name, value in given.items() if name != "project"}
    for name in ("kernel_id", "ramdisk_id"):
        found[name] = found[name].pk if found.get(name) else None
    return found


def initial(image: Image) -> dict[str, Any]:
    """What the form shows of an image that is there."""
    names = ("name", "visibility", "protected", "min_disk_gb", "min_memory_mb", "kernel_id", "ramdisk_id", "kernel_args", "properties")
    return {**{name: getattr(image, name) for name in names}, "tags": sorted(tag.name for tag in image.tags.all())}


def is_member(image: Image) -> bool:
    """Whether there is anybody to be asked about."""
    return Member.objects.filter(image=image).exists()
