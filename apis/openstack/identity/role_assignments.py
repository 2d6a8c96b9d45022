"""Who has which role where: all assignments as they were given, or what follows from them (`?effective`)."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.paging import listing
from apis.openstack.common.schema import as_uuid
from apis.openstack.common.views import Call, reply
from apis.openstack.identity.service import API, View
from apps.common.errors import Invalid
from apps.identity import selectors
from apps.identity.selectors import Effective, Wanted

if TYPE_CHECKING:
    from apps.identity.models import Assignment, Group, Project, Role, User
    from apps.identity.policy import Definition

_IDS = ("user.id", "group.id", "role.id", "scope.project.id", "scope.domain.id")
_SCOPES = ("scope.project.id", "scope.domain.id", "scope.system")
_INHERITED = "scope.OS-INHERIT:inherited_to"
_TOGETHER = (
    (("scope.domain.id", "scope.project.id"), "Specify a domain or project, not both"),
    (("scope.domain.id", "scope.system"), "Specify system or domain, not both"),
    (("scope.project.id", "scope.system"), "Specify system or project, not both"),
    (("user.id", "group.id"), "Specify a user or group, not both"),
)


class RoleAssignments(View):
    """All that one may see, at once: this list has no pages."""

    permissions: ClassVar = {"GET": "identity.assignment.list"}

    def get(self, call: Call) -> HttpResponse:
        _check(call)
        wanted, effective = _wanted(call), call.flag("effective")
        if wanted is None:
            return reply(listing(call, "role_assignments", []))
        if effective:
            found = [_entry_of(row) for row in selectors.effective(actor=call.actor, wanted=wanted)]
        else:
            found = [_entry(row) for row in selectors.assignments(actor=call.actor, wanted=wanted).order_by("pk")]
        names = selectors.domain_names(_domains(found)) if call.flag("include_names") else None
        return reply(listing(call, "role_assignments", [_render(entry, names) for entry in found]))


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: the role that somebody has, where, and the assignment on which that stands."""

    row: "Assignment"
    role: "Role | Definition"
    holder: "User | Group"
    place: "Project | None"
    prior: uuid.UUID | None = None


def _entry(row: "Assignment") -> Entry:
    holder = row.user or row.group
    assert holder is not None
    return Entry(row, row.role, holder, row.project)


def _entry_of(found: Effective) -> Entry:
    return Entry(found.assignment, found.role, found.user, found.place, found.prior.id if found.prior else None)


def _check(call: Call) -> None:
    """Raises Invalid for what excludes each other."""
    query = call.query
    for names, text in _TOGETHER:
        if all(query.get(name) for name in names):
            raise Invalid("request.invalid", text, field=names[1])
    if call.flag("effective") and query.get("group.id"):
        text = "Combining effective and group filter will always result in an empty list."
        raise Invalid("request.invalid", text, field="group.id")
    if call.flag("effective") and query.get(_INHERITED) == "projects" and query.get("scope.domain.id"):
        text = "Combining effective, domain and inherited filters will always result in an empty list."
        raise Invalid("request.invalid", text, field=_INHERITED)
    if call.flag("include_subtree") and not query.get("scope.project.id"):
        text = "scope.project.id must be specified if include_subtree is also specified"
        raise Invalid("request.invalid", text, field="scope.project.id")


def _wanted(call: Call) -> Wanted | None:
    """What is asked for; None: something that cannot be there, such as a user whose id is no id."""
    ids = {name: as_uuid(text) for name in _IDS if (text := call.query.get(name))}
    if None in ids.values():
        return None
    asked = next((name for name in _SCOPES if call.query.get(name)), None)
    return Wanted(
        user_id=ids.get("user.id"), group_id=ids.get("group.id"), role_id=ids.get("role.id"),
        place_id=ids.get("scope.project.id") or ids.get("scope.domain.id"),
        is_domain={"scope.project.id": False, "scope.domain.id": True}.get(asked or ""),
        system=True if asked == "scope.system" else None,
        inherited=call.query[_INHERITED] == "projects" if _INHERITED in call.query else None,
        include_subtree=call.flag("include_subtree"),
    )


def _render(entry: Entry, names: dict[uuid.UUID, str] | None) -> dict[str, Any]:
    holder = "group" if entry.holder is entry.row.group else "user"
    return {
        "role": _role(entry, names), holder: _named(entry.holder, names), "scope": _scope(entry, names), "links": _links(entry),
    }


def _role(entry: Entry, names: dict[uuid.UUID, str] | None) -> dict[str, Any]:
    if names is None:
        return {"id": entry.role.id}
    content: dict[str, Any] = {"id": entry.role.id, "name": entry.role.name}
    if entry.role.domain_id is not None:
        content["domain"] = {"id": entry.role.domain_id, "name": names.get(entry.role.domain_id, "")}
    return content


def _named(thing: "User | Group | Project", names: dict[uuid.UUID, str] | None) -> dict[str, Any]:
    content: dict[str, Any] = {"id": thing.pk}
    if names is not None:
        content["name"] = str(thing)
        if thing.domain_id is not None:
            content["domain"] = {"id": thing.domain_id, "name": names.get(thing.domain_id, "")}
    return content


def _scope(entry: Entry, names: dict[uuid.UUID, str] | None) -> dict[str, Any]:
    if entry.place is None:
        return {"system": {"all": True}}
    content: dict[str, Any] = {"domain" if entry.place.is_domain else "project": _named(entry.place, names)}
    if entry.row.inherited:
        content["OS-INHERIT:inherited_to"] = "projects"
    return content


def _links(entry: Entry) -> dict[str, str]:
    """`assignment`: what was given, to whom and where; it may be a group, another role, and a place above."""
    row = entry.row
    place: tuple[Any, ...] = ("system",)
    if row.project is not None:
        place = ("domains" if row.project.is_domain else "projects", row.project_id)
    holder = ("groups", row.group_id) if row.user_id is None else ("users", row.user_id)
    parts = (*place, *holder, "roles", row.role_id)
    links = {"assignment": API.url("OS-INHERIT", *parts, "inherited_to_projects") if row.inherited else API.url(*parts)}
    if row.group is not None and entry.holder is not row.group:
        links["membership"] = API.url("groups", row.group_id, "users", entry.holder.pk)
    if entry.prior is not None:
        links["prior_role"] = API.url("prior_role", entry.prior, "implies", entry.role.id)
    return links


def _domains(entries: Iterable[Entry]) -> set[uuid.UUID]:
    """All domains whose names are shown."""
    things = (thing for entry in entries for thing in (entry.role, entry.holder, entry.place) if thing is not None)
    return {thing.domain_id for thing in things if thing.domain_id is not None}


urlpatterns = [path("role_assignments", RoleAssignments.as_view())]
