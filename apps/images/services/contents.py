"""The store against the rows: content that images lack, and files that no image has.

Nothing here goes by how old a file is: content appears and goes under one lock, and a scratch file has a writer or a row.
"""

import logging
import uuid
from dataclasses import dataclass

from apps.common import ids
from apps.images import store
from apps.images.models import Image, Upload
from apps.images.services import images
from apps.images.states import WHOLE, ImageState

log = logging.getLogger(__name__)
_INCOMING = "incoming/"


@dataclass(frozen=True)
class Lost:
    """An image whose content is not there."""

    image_id: uuid.UUID
    name: str


def lost() -> list[Lost]:
    """Images that have content and whose content is missing."""
    rows = Image.objects.filter(state__in=WHOLE).values_list("pk", "name", "sha256")
    missing = [Lost(pk, name) for pk, name, sha256 in rows if not store.path_of(sha256).is_file()]
    # Deleted while we looked?
    still = set(Image.objects.filter(pk__in=[each.image_id for each in missing], state__in=WHOLE).values_list("pk", flat=True))
    return [each for each in missing if each.image_id in still]


def unowned() -> list[str]:
    """Names of files that belong to no image: content by its SHA-256, scratch files of uploads that died as `incoming/…`."""
    # Files first: the row of an upload is made before its file, and goes before it.
    scratches = store.unwritten()
    known = {key.hex for key in Upload.objects.values_list("pk", flat=True)}
    dead = [f"{_INCOMING}{name}" for name in scratches if name not in known]
    with store.exclusively():
        present = store.contents()
        owned = set(Image.objects.exclude(state=ImageState.DELETED).exclude(sha256="").values_list("sha256", flat=True))
    return sorted(set(present) - owned) + dead


def sweep_out(name: str) -> None:
    """Delete such a file, unless it is one of an image by now."""
    if not name.startswith(_INCOMING):
        images.forget_content(name)
        return
    scratch = name.removeprefix(_INCOMING)
    key = ids.parse(scratch)
    if key is None or not Upload.objects.filter(pk=key).exists():
        store.remove_scratch(scratch)


def sweep() -> int:
    """Delete all that is unowned; how many files."""
    names = unowned()
    for name in names:
        sweep_out(name)
    if names:
        log.info("the image store had %d file(s) of nobody", len(names))
    return len(names)
