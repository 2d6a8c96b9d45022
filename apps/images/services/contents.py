"""The store against the rows, for the audit: content that images lack, and files that no image has."""

import uuid
from dataclasses import dataclass

from apps.images import store
from apps.images.models import Image
from apps.images.services import images
from apps.images.states import ImageState

# A file appears a moment before its row says so; an upload writes to its scratch file all the time.
_SETTLED_S = 60.0
_ABANDONED_S = 600.0


@dataclass(frozen=True)
class Lost:
    """An image whose content is not there."""

    image_id: uuid.UUID
    name: str


def lost() -> list[Lost]:
    """Active images whose content is missing."""
    rows = Image.objects.filter(state=ImageState.ACTIVE).values_list("pk", "name", "sha256")
    missing = [Lost(pk, name) for pk, name, sha256 in rows if not store.path_of(sha256).is_file()]
    # Deleted while we looked?
    still = set(Image.objects.filter(pk__in=[each.image_id for each in missing], state=ImageState.ACTIVE).values_list("pk", flat=True))
    return [each for each in missing if each.image_id in still]


def unowned() -> list[str]:
    """Names of files that belong to no image: content by its SHA-256, scratch files of uploads that died as `incoming/…`."""
    present = store.contents(idle_s=_SETTLED_S)
    owned = set(Image.objects.exclude(state=ImageState.DELETED).exclude(sha256="").values_list("sha256", flat=True))
    return sorted(set(present) - owned) + [f"incoming/{name}" for name in store.scratches(idle_s=_ABANDONED_S)]


def sweep_out(name: str) -> None:
    """Delete such a file, unless it is one of an image by now."""
    if name.startswith("incoming/"):
        store.remove_scratch(name.removeprefix("incoming/"))
    else:
        images.forget_content(name)


def interrupted() -> list[Lost]:
    """Images whose upload has begun and is not going on: the web process was killed in the middle of it."""
    rows = Image.objects.filter(state=ImageState.SAVING).values_list("pk", "name")
    return [Lost(pk, name) for pk, name in rows if not store.scratches_of(pk, busy_s=_ABANDONED_S)]


def give_up(image_id: uuid.UUID) -> None:
    """Such an image waits for its data again; should the upload go on after all, it is refused at its end."""
    for name in store.scratches(idle_s=_ABANDONED_S):
        if name.startswith(f"{image_id}."):
            store.remove_scratch(name)
    images.give_up(image_id)
