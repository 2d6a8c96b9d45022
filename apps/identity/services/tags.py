"""Tags: words on projects and domains, to find them by."""

import uuid
from collections.abc import Sequence

from django.db import transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.identity import selectors
from apps.identity.fields import check_mutable, check_tags
from apps.identity.models import Project
from apps.identity.services import projects


@transaction.atomic
def set_tags(*, actor: Actor, project_id: uuid.UUID, tags: Sequence[str]) -> list[str]:
    """These tags and no others; returns them sorted. Raises NotFound, Forbidden, Invalid."""
    wanted = check_tags(tags)
    return _write(actor, _locked(actor, project_id), wanted)


@transaction.atomic
def add_tag(*, actor: Actor, project_id: uuid.UUID, tag: str) -> list[str]:
    """One more; again is no error. Raises NotFound, Forbidden, Invalid (also `tag.too_many`)."""
    place = _locked(actor, project_id)
    return _write(actor, place, check_tags({*selectors.tags(place), tag}, field="tag"))


@transaction.atomic
def remove_tag(*, actor: Actor, project_id: uuid.UUID, tag: str) -> list[str]:
    """Raises NotFound (project, tag), Forbidden."""
    place = _locked(actor, project_id)
    there = selectors.tags(place)
    if tag not in there:
        raise NotFound("tag.not_found", f"{place.name} has no tag {tag!r}.", field="tag")
    return _write(actor, place, [each for each in there if each != tag])


def has_tag(*, actor: Actor, project_id: uuid.UUID, tag: str) -> bool:
    """Whether a project or domain that the actor sees has this tag. Raises Forbidden, NotFound."""
    return tag in selectors.tags(selectors.place(actor=actor, place_id=project_id))


def _locked(actor: Actor, project_id: uuid.UUID) -> Project:
    if Project.objects.filter(pk=project_id, is_domain=True).exists():
        place = selectors.domain(actor=actor, domain_id=project_id, permission="identity.domain.update", lock=True)
    else:
        place = selectors.project(actor=actor, project_id=project_id, permission="identity.project.update", lock=True)
    check_mutable(place.options, None, "domain" if place.is_domain else "project")
    return place


def _write(actor: Actor, place: Project, tags: Sequence[str]) -> list[str]:
    before, after = selectors.tags(place), sorted(tags)
    if before != after:
        projects.replace_tags(place, after)
        kind = "domain" if place.is_domain else "project"
        record.write(
            actor, f"identity.{kind}.update", kind, place.pk, project_id=place.pk, name=place.name, changes={"tags": [before, after]}
        )
    return after
