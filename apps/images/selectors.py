"""Reads of images: one's own and public ones."""

import uuid
from collections.abc import Collection, Iterable, Sequence

from django.db.models import Count, Q, QuerySet, Sum

from apps.common.context import Actor
from apps.common.errors import Invalid, NotFound
from apps.common.sql import OTHER_SAMPLE, SAMPLE, Compiled
from apps.identity import policy
from apps.images.models import Image
from apps.images.states import ImageState
from contracts.compute.v1 import DiskFormat


def images(*, actor: Actor) -> "QuerySet[Image]":
    """The project's own and public ones. Raises Forbidden."""
    policy.require(actor, "images.image.list")
    return _visible(actor.project_id)


def _visible(project_id: uuid.UUID | None) -> "QuerySet[Image]":
    return Image.objects.filter(Q(project_id=project_id) | Q(visibility="public")).exclude(state=ImageState.DELETED)


_IMAGE = Compiled(lambda project_id, image_id: _visible(project_id).filter(pk=image_id), SAMPLE, OTHER_SAMPLE)


def all_images() -> "QuerySet[Image]":
    """Of all projects; for the system itself."""
    return Image.objects.exclude(state=ImageState.DELETED)


def image(*, actor: Actor, image_id: uuid.UUID, field: str | None = None) -> Image:
    """One of the project's or a public one, to be used by what is in the project. Raises NotFound, naming the input `field`
    it came from."""
    policy.require(actor, "images.image.get")
    found = _IMAGE.first(actor.project_id, image_id)
    if found is None:
        raise _not_found(image_id, field)
    return found


def _not_found(image_id: uuid.UUID, field: str | None = None) -> NotFound:
    return NotFound("image.not_found", f"There is no image {image_id} in this project, nor a public one.", field=field)


def shown(*, actor: Actor, image_id: uuid.UUID, permission: str = "images.image.get") -> Image:
    """One that the actor sees, or any for whom has the permission everywhere. Raises Forbidden, NotFound."""
    policy.require(actor, permission)
    rows = all_images() if policy.everywhere(actor, permission) else _visible(actor.project_id)
    found = rows.filter(pk=image_id).first()
    if found is None:
        raise _not_found(image_id)
    return found


def image_named(*, actor: Actor, name: str) -> Image:
    """The active image of that name: the project's own before public ones. Raises NotFound, Invalid if it is not the only one."""
    found = list(images(actor=actor).filter(name=name, state=ImageState.ACTIVE).order_by("-pk")[:50])
    own = [image for image in found if image.project_id == actor.project_id]
    if len(own or found) > 1:
        raise Invalid("image.ambiguous", f"{len(own or found)} images are named {name!r}: give an id.", field="image")
    if not found:
        raise NotFound("image.not_found", f"There is no active image named {name!r}.", field="image")
    return (own or found)[0]


def usable(*, actor: Actor, image_id: uuid.UUID, formats: Sequence[DiskFormat]) -> Image | None:
    """An active image of one of these formats that this actor may use."""
    return images(actor=actor).filter(pk=image_id, state=ImageState.ACTIVE, disk_format__in=[f.value for f in formats]).first()


def with_content(*, image_id: uuid.UUID) -> Image:
    """An image that has data, whoever owns it; for those who come with a signed address. Raises NotFound."""
    found = Image.objects.filter(pk=image_id, state=ImageState.ACTIVE).first()
    if found is None:
        raise NotFound("image.not_found", f"There is no image {image_id} with content.")
    return found


def by_ids(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Image]:
    """Images by id, whoever owns them; for building instances that were accepted already."""
    return Image.objects.in_bulk(set(ids))


def usage(project_ids: Collection[uuid.UUID] | None) -> dict[uuid.UUID, dict[str, int]]:
    """What images count as in quotas, by project; those of no project are nobody's."""
    rows = Image.objects.exclude(state=ImageState.DELETED).filter(project_id__isnull=False)
    if project_ids is not None:
        rows = rows.filter(project_id__in=list(project_ids))
    counted = rows.values_list("project_id").annotate(Count("pk"), Sum("size_bytes")).order_by()
    return {project_id: {"images": count, "image_bytes": size or 0} for project_id, count, size in counted if project_id}
