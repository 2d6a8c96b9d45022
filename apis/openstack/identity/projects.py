"""Projects, and domains where they are asked for as projects."""

import uuid
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.paging import Filter, Flag, Id, Own, Text, page, truth
from apis.openstack.common.schema import UNSET, Name64, Options, Struct, UnsetType, for_services, given
from apis.openstack.common.schema import Text as Words
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity import fixed, rendering
from apis.openstack.identity.service import View
from apps.common.errors import Forbidden, Invalid
from apps.identity import selectors
from apps.identity.services import domains, projects

if TYPE_CHECKING:
    from apps.identity.models import Project


class Change(Struct):
    name: Name64 | UnsetType = UNSET
    description: Words | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    options: Options | UnsetType = UNSET
    is_domain: bool | UnsetType = UNSET
    domain_id: str | UnsetType | None = UNSET
    parent_id: str | UnsetType | None = UNSET


class Create(Change, kw_only=True):
    name: Name64


def _tagged(value: str, *, every: bool) -> "QuerySet[Any]":
    return selectors.tagged(value.split(","), every=every)


FILTERS: dict[str, Filter] = {
    "name": Text("name"), "domain_id": Id("domain_id"), "parent_id": Id("parent_id"), "enabled": Flag("enabled"),
    "tags": Own(lambda rows, value: rows.filter(pk__in=_tagged(value, every=True))),
    "tags-any": Own(lambda rows, value: rows.filter(pk__in=_tagged(value, every=False))),
    "not-tags": Own(lambda rows, value: rows.exclude(pk__in=_tagged(value, every=True))),
    "not-tags-any": Own(lambda rows, value: rows.exclude(pk__in=_tagged(value, every=False))),
}


class ProjectList(View):
    """All projects that one may see; with `?is_domain=true` domains."""

    permissions: ClassVar = {"GET": "identity.project.list", "POST": "identity.project.create"}
    # Of a new project: what it should stand below is input, not what was asked for.
    statuses: ClassVar = {"project.not_found": 400, "domain.not_found": 400}

    def get(self, call: Call) -> HttpResponse:
        rows = selectors.domains(actor=call.actor) if truth(call.query.get("is_domain", "0")) else selectors.projects(actor=call.actor)
        return page(call, "projects", rows.prefetch_related("tags"), rendering.project, FILTERS)

    def post(self, call: Call) -> HttpResponse:
        wanted = given(call.read(Create, "project"))
        as_domain = wanted.pop("is_domain", False)
        wanted = for_services(wanted, domain_id="domain", parent_id="project")
        if as_domain:
            if wanted.keys() & {"domain_id", "parent_id"}:
                raise Invalid("project.domain_below", "A domain has neither a domain nor a parent.", field="parent_id")
            made = domains.create_domain(actor=call.actor, **wanted)
        else:
            made = projects.create_project(actor=call.actor, **wanted)
        return reply({"project": rendering.project(made)}, 201)


class ProjectDetail(View):
    """One project, or a domain by its id."""

    permissions: ClassVar = {
        "GET": "identity.project.get", "PATCH": "identity.project.update", "DELETE": "identity.project.delete",
    }

    def get(self, call: Call, project_id: uuid.UUID) -> HttpResponse:
        row = selectors.place(actor=call.actor, place_id=project_id)
        return reply({"project": rendering.project(row) | _relatives(call, row)})

    def patch(self, call: Call, project_id: uuid.UUID) -> HttpResponse:
        wanted = for_services(call.changes(Change, "project", project_id))
        row = selectors.place(actor=call.actor, place_id=project_id)
        _stays(row, wanted)
        if row.is_domain:
            row = domains.update_domain(actor=call.actor, domain_id=project_id, **wanted)
        else:
            row = projects.update_project(actor=call.actor, project_id=project_id, **wanted)
        return reply({"project": rendering.project(row)})

    def delete(self, call: Call, project_id: uuid.UUID) -> HttpResponse:
        if selectors.place(actor=call.actor, place_id=project_id).is_domain:
            domains.delete_domain(actor=call.actor, domain_id=project_id)
        else:
            projects.delete_project(actor=call.actor, project_id=project_id)
        return nothing()


def _stays(row: "Project", wanted: dict[str, Any]) -> None:
    """Where a project is in the tree, and that it is one, is for life."""
    fixed.keeps_domain(wanted, row.domain_id)
    if "parent_id" in wanted and not fixed.same(wanted.pop("parent_id"), row.parent_id):
        raise Forbidden("project.parent_changed", "Update of `parent_id` is not allowed.", field="parent_id")
    if wanted.pop("is_domain", row.is_domain) != row.is_domain:
        raise Invalid("project.is_domain_changed", "Update of `is_domain` is not allowed.", field="is_domain")


def _relatives(call: Call, row: "Project") -> dict[str, Any]:
    """`parents` and `subtree`, as lists or as nested ids, where the request asks for them."""
    for name in ("parents", "subtree"):
        if call.flag(f"{name}_as_list") and call.flag(f"{name}_as_ids"):
            raise Invalid(
                "request.invalid", f"Cannot use {name}_as_list and {name}_as_ids query params at the same time.", field=name
            )
    content: dict[str, Any] = {}
    if call.flag("parents_as_list") or call.flag("parents_as_ids"):
        above = [] if row.is_domain else selectors.parents(actor=call.actor, project_id=row.pk)
        content["parents"] = _listed(_seen(call, above)) if call.flag("parents_as_list") else _chain(above)
    if call.flag("subtree_as_list") or call.flag("subtree_as_ids"):
        below = list(selectors.subtree(actor=call.actor, project_id=row.pk).prefetch_related("tags").order_by("pk"))
        content["subtree"] = _listed(below) if call.flag("subtree_as_list") else _tree(below, row.pk)
    return content


def _seen(call: Call, rows: "Collection[Project]") -> "list[Project]":
    """Whoever is in a project knows what stands above it, but sees of these only what it may see anyway."""
    seen = selectors.projects(actor=call.actor, permission="identity.project.get").filter(pk__in=[row.pk for row in rows])
    known = set(seen.values_list("pk", flat=True))
    return [row for row in rows if row.pk in known]


def _listed(rows: "list[Project]") -> list[dict[str, Any]]:
    return [{"project": rendering.project(row)} for row in rows]


def _chain(above: "list[Project]") -> dict[str, Any] | None:
    """The parent holds its parent, up to the domain, which holds nothing."""
    found: dict[str, Any] | None = None
    for row in reversed(above):
        found = {str(row.pk): found}
    return found


def _tree(below: "list[Project]", top: uuid.UUID) -> dict[str, Any] | None:
    children: dict[uuid.UUID | None, list[Project]] = {}
    for row in below:
        children.setdefault(row.parent_id, []).append(row)

    def of(key: uuid.UUID) -> dict[str, Any] | None:
        return {str(row.pk): of(row.pk) for row in children.get(key, ())} or None

    return of(top)


urlpatterns = [
    path("projects", ProjectList.as_view()),
    path("projects/<id:project_id>", ProjectDetail.as_view()),
]
