"""Reads of images: one's own, what others share, what is for all."""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypedDict, Unpack

from django.db.models import Count, Q, QuerySet, Sum

from apps.common.context import Actor
from apps.common.errors import Invalid, InvalidState, NotFound
from apps.common.sql import OTHER_SAMPLE, SAMPLE, Compiled
from apps.identity import policy
from apps.images.models import Image, Member, Upload
from apps.images.states import WHOLE, ImageState, MemberStatus, Visibility


class Filters(TypedDict, total=False):
    """Which images of a list are wanted; `architecture` as the property has it. `member_status`: of those that others share with
    the project, which ones, where it is not the accepted ones; `all`: whatever it said."""

    name: str
    state: str
    disk_format: str
    visibility: str
    member_status: str
    project_id: uuid.UUID
    protected: bool
    tag: str
    architecture: str
    least_bytes: int
    most_bytes: int


_COLUMNS = {
    "tag": "tags__name", "architecture": "properties__architecture", "least_bytes": "size_bytes__gte", "most_bytes": "size_bytes__lte",
}


def images(*, actor: Actor) -> "QuerySet[Image]":
    """The project's own, accepted ones, and public ones. Raises Forbidden."""
    policy.require(actor, "images.image.list")
    return _listed(actor.project_id)


def found(*, actor: Actor, all_projects: bool = False, **wanted: Unpack[Filters]) -> "QuerySet[Image]":
    """Of these, or of all there are, those that are wanted; community ones of others if they are asked for.

    Raises Forbidden (what is beyond one's own project is for operators).
    """
    given: dict[str, Any] = {**wanted}
    if all_projects or given.get("project_id", actor.project_id) != actor.project_id:
        policy.require_everywhere(actor, "images.image.list")
        rows = all_images()
    else:
        rows = _asked_for(actor, given)
    given.pop("member_status", None)
    return rows.filter(**{_COLUMNS.get(name, name): value for name, value in given.items()})


def _asked_for(actor: Actor, given: Mapping[str, Any]) -> "QuerySet[Image]":
    rows, status = images(actor=actor), given.get("member_status", "")
    if given.get("visibility") == Visibility.COMMUNITY:
        return _there().filter(visibility=Visibility.COMMUNITY)
    if status:
        statuses = list(MemberStatus) if status == "all" else [MemberStatus(status)]
        return _there().filter(_shared_with(actor.project_id, statuses))
    return rows


def _there() -> "QuerySet[Image]":
    return Image.objects.exclude(state=ImageState.DELETED)


def _shared_with(project_id: uuid.UUID | None, statuses: Sequence[MemberStatus]) -> Q:
    members = Member.objects.filter(Q(project_id=project_id))
    if len(statuses) < len(MemberStatus):
        members = members.filter(status__in=[status.value for status in statuses])
    return Q(visibility=Visibility.SHARED.value, pk__in=members.values("image_id"))


def _listed(project_id: uuid.UUID | None) -> "QuerySet[Image]":
    shared = _shared_with(project_id, [MemberStatus.ACCEPTED])
    return _there().filter(Q(project_id=project_id) | Q(visibility=Visibility.PUBLIC.value) | shared)


def _usable(project_id: uuid.UUID | None) -> "QuerySet[Image]":
    shared = _shared_with(project_id, [MemberStatus.ACCEPTED])
    known = Q(visibility__in=[Visibility.PUBLIC.value, Visibility.COMMUNITY.value])
    return _there().filter(Q(project_id=project_id) | known | shared)


def _seen(project_id: uuid.UUID | None) -> "QuerySet[Image]":
    known = Q(visibility__in=[Visibility.PUBLIC.value, Visibility.COMMUNITY.value])
    return _there().filter(Q(project_id=project_id) | known | _shared_with(project_id, list(MemberStatus)))


_IMAGE = Compiled(lambda project_id, image_id: _usable(project_id).filter(pk=image_id), SAMPLE, OTHER_SAMPLE)


def all_images() -> "QuerySet[Image]":
    """Of all projects; for the system itself."""
    return _there()


def image(*, actor: Actor, image_id: uuid.UUID, field: str | None = None) -> Image:
    """One that may be used by what is in the project: its own, an accepted, a community or a public one.

    Raises NotFound, naming the input `field` it came from, Forbidden.
    """
    policy.require(actor, "images.image.get")
    row = _IMAGE.first(actor.project_id, image_id)
    if row is None:
        raise not_found(image_id, field)
    return row


def not_found(image_id: uuid.UUID, field: str | None = None) -> NotFound:
    """The refusal for one that is not there, or not for this project to see."""
    return NotFound("image.not_found", f"There is no image {image_id} in this project, nor a public one.", field=field)


def shown(*, actor: Actor, image_id: uuid.UUID, permission: str = "images.image.get") -> Image:
    """One that the actor may look at (one that is shared with the project, whatever it said to that), or any for whom has the
    permission everywhere. Raises Forbidden, NotFound."""
    policy.require(actor, permission)
    rows = all_images() if policy.everywhere(actor, permission) else _seen(actor.project_id)
    row = rows.filter(pk=image_id).first()
    if row is None:
        raise not_found(image_id)
    return row


def readable(*, actor: Actor, image_id: uuid.UUID) -> Image:
    """One whose content the actor may have; that of a deactivated one is for those who may deactivate it.

    Raises Forbidden, NotFound, InvalidState `image.state`.
    """
    if policy.everywhere(actor, "images.image.get"):
        row = shown(actor=actor, image_id=image_id)
    else:
        row = image(actor=actor, image_id=image_id)
    allowed = WHOLE if policy.everywhere(actor, "images.image.deactivate") else (ImageState.ACTIVE,)
    if row.state not in allowed:
        raise InvalidState("image.state", f"This image is {row.state}; only an active one has content to give.", state=row.state)
    return row


def image_named(*, actor: Actor, name: str) -> Image:
    """The active image of that name: the project's own before those of others. Raises NotFound, Invalid if it is not the only one."""
    rows = list(images(actor=actor).filter(name=name, state=ImageState.ACTIVE).order_by("-pk")[:50])
    own = [row for row in rows if row.project_id == actor.project_id]
    if len(own or rows) > 1:
        raise Invalid("image.ambiguous", f"{len(own or rows)} images are named {name!r}: give an id.", field="image")
    if not rows:
        raise NotFound("image.not_found", f"There is no active image named {name!r}.", field="image")
    return (own or rows)[0]


def usable(*, actor: Actor, image_id: uuid.UUID, formats: Sequence[str]) -> Image | None:
    """An active image of one of these formats that this actor may use. Raises Forbidden."""
    policy.require(actor, "images.image.list")
    return _usable(actor.project_id).filter(pk=image_id, state=ImageState.ACTIVE, disk_format__in=[str(f) for f in formats]).first()


def with_content(*, image_id: uuid.UUID) -> Image:
    """An image that has data, whoever owns it; for those who come with a signed address. Raises NotFound."""
    row = Image.objects.filter(pk=image_id, state=ImageState.ACTIVE).first()
    if row is None:
        raise NotFound("image.not_found", f"There is no image {image_id} with content.")
    return row


def by_ids(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Image]:
    """Images by id, whoever owns them; for building instances that were accepted already."""
    return Image.objects.in_bulk(set(ids))


def members(*, actor: Actor, image_id: uuid.UUID) -> "QuerySet[Member]":
    """With whom an image is shared: all for its owner, to others only whether it is with them. Raises NotFound, Forbidden."""
    row = shown(actor=actor, image_id=image_id)
    rows = Member.objects.filter(image=row)
    if row.project_id == actor.project_id or policy.everywhere(actor, "images.image.get"):
        return rows
    return rows.filter(Q(project_id=actor.project_id))


def member(*, actor: Actor, image_id: uuid.UUID, project_id: uuid.UUID) -> Member:
    """One of them. Raises NotFound, Forbidden."""
    row = members(actor=actor, image_id=image_id).filter(project_id=project_id).first()
    if row is None:
        raise no_member(project_id)
    return row


def no_member(project_id: uuid.UUID) -> NotFound:
    """The refusal for a project that an image is not shared with."""
    return NotFound("image.member_not_found", f"The image is not shared with the project {project_id}.", field="project_id")


def is_with_members(actor: Actor, row: Image) -> bool:
    """Whether this is an image that its owner shares with the actor's project, who therefore may know whose it is."""
    return row.visibility == Visibility.SHARED and actor.project_id is not None and row.project_id != actor.project_id


def under_way(row: Image) -> Upload | None:
    """The upload of this image, if there is one."""
    return Upload.objects.filter(image=row).first()


def has_content(row: Image) -> bool:
    return row.state in WHOLE


def usage(project_ids: Collection[uuid.UUID] | None) -> dict[uuid.UUID, dict[str, int]]:
    """What images count as in quotas, by project; those of no project are nobody's."""
    rows = Image.objects.exclude(state=ImageState.DELETED).filter(project_id__isnull=False)
    if project_ids is not None:
        rows = rows.filter(project_id__in=list(project_ids))
    counted = rows.values_list("project_id").annotate(Count("pk"), Sum("size_bytes")).order_by()
    return {project_id: {"images": count, "image_bytes": size or 0} for project_id, count, size in counted if project_id}
