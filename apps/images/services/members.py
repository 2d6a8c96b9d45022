"""With whom an image is shared, and what they say to that."""

import uuid
from collections.abc import Collection

from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import Conflict, Forbidden, Invalid, InvalidState
from apps.identity import policy
from apps.images import selectors
from apps.images.models import Image, Member
from apps.images.services import images
from apps.images.states import MOST_MEMBERS, MemberStatus, Visibility

_SHARE, _ACCEPT = "images.image.share", "images.image.accept"


def add(*, actor: Actor, image_id: uuid.UUID, project_id: uuid.UUID) -> Member:
    """Share a shared image with a project, which then accepts it, or does not. Nobody is told here whether there is such a project.

    Raises NotFound, Forbidden, InvalidState `image.visibility`, Invalid `image.member`, Conflict `image.member_exists`.
    """
    image = images.owned(actor=actor, image_id=image_id, permission=_SHARE)
    if project_id == image.project_id:
        raise Invalid("image.member", "The image is this project's own.", field="project_id")
    now = clock.now()
    try:
        with transaction.atomic():
            row = Image.objects.select_for_update().get(pk=image.pk)
            if row.visibility != Visibility.SHARED:
                text = f"This image is {row.visibility}; only shared ones have members."
                raise InvalidState("image.visibility", text, field="visibility", visibility=row.visibility)
            if Member.objects.filter(image=row).count() >= MOST_MEMBERS:
                raise Invalid("image.members", f"An image has at most {MOST_MEMBERS} members.", field="project_id", limit=MOST_MEMBERS)
            member = Member.objects.create(image=row, project_id=project_id, created_at=now, updated_at=now)
            _record(actor, _SHARE, image, {"member": [None, project_id]})
    except IntegrityError:
        raise Conflict("image.member_exists", "The image is shared with this project already.", field="project_id") from None
    return member


@transaction.atomic
def remove(*, actor: Actor, image_id: uuid.UUID, project_id: uuid.UUID) -> None:
    """The project sees the image no more; instances that it has built from it stay. Raises NotFound, Forbidden."""
    image = images.owned(actor=actor, image_id=image_id, permission=_SHARE)
    if not Member.objects.filter(image=image, project_id=project_id).delete()[0]:
        raise selectors.no_member(project_id)
    _record(actor, _SHARE, image, {"member": [project_id, None]})


@transaction.atomic
def answer(*, actor: Actor, image_id: uuid.UUID, project_id: uuid.UUID, status: str) -> Member:
    """A project that the image is shared with accepts it, rejects it, or has not decided. Only that project does.

    Raises NotFound, Forbidden, Invalid `image.member_status`.
    """
    image = selectors.shown(actor=actor, image_id=image_id, permission=_ACCEPT)
    if status not in list(MemberStatus):
        raise Invalid("image.member_status", f"status: expected one of {', '.join(MemberStatus)}.", field="status")
    if project_id != actor.project_id and not policy.everywhere(actor, _ACCEPT):
        raise Forbidden("policy.forbidden", "Whether a project accepts an image is said by that project.", permission=_ACCEPT)
    member = Member.objects.select_for_update().filter(image=image, project_id=project_id).first()
    if member is None:
        raise selectors.no_member(project_id)
    if changed := record.changed(member, status=str(status)):
        member.status, member.updated_at = str(status), clock.now()
        member.save(update_fields=["status", "updated_at"])
        # In the trail of the project that decides.
        record.write(actor, _ACCEPT, "image", image.pk, project_id=project_id, name=image.name, changes=changed)
    return member


def forget_projects(project_ids: Collection[uuid.UUID]) -> None:
    """These projects are deleted: nothing is shared with them any more."""
    Member.objects.filter(project_id__in=list(project_ids)).delete()


def _record(actor: Actor, action: str, image: Image, changes: dict[str, list[uuid.UUID | None]]) -> None:
    record.write(actor, action, "image", image.pk, project_id=image.project_id, name=image.name, changes=changes)
