"""Roles of one user or group in one project or domain, or on the system: given, looked up, taken away, listed.

With OS-INHERIT the role is not there itself, but in all projects below.
"""

import uuid
from typing import Any, ClassVar

from django.http import HttpResponse
from django.urls import URLPattern, path

from apis.openstack.common.paging import listing
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity import rendering
from apis.openstack.identity.service import View
from apps.identity.services import assignments
from apps.identity.services.assignments import Given, Held


class GrantList(View):
    """The roles that were given, without those that they imply."""

    permissions: ClassVar = {"GET": "identity.assignment.list"}

    def get(self, call: Call, place: str, inherited: bool = False, **ids: uuid.UUID) -> HttpResponse:
        found = assignments.roles_held(actor=call.actor, held=Held(**_held(place, inherited, ids)))
        return reply(listing(call, "roles", [rendering.role(row) for row in found]))


class GrantDetail(View):
    """One role: given or not."""

    permissions: ClassVar = {
        "GET": "identity.assignment.list", "PUT": "identity.assignment.create", "DELETE": "identity.assignment.delete",
    }

    def get(self, call: Call, role_id: uuid.UUID, place: str, inherited: bool = False, **ids: uuid.UUID) -> HttpResponse:
        assignments.check_role(actor=call.actor, given=Given(role_id=role_id, **_held(place, inherited, ids)))
        return nothing()

    def put(self, call: Call, role_id: uuid.UUID, place: str, inherited: bool = False, **ids: uuid.UUID) -> HttpResponse:
        assignments.give(actor=call.actor, given=Given(role_id=role_id, **_held(place, inherited, ids)))
        return nothing()

    def delete(self, call: Call, role_id: uuid.UUID, place: str, inherited: bool = False, **ids: uuid.UUID) -> HttpResponse:
        assignments.take(actor=call.actor, given=Given(role_id=role_id, **_held(place, inherited, ids)))
        return nothing()


def _held(place: str, inherited: bool, ids: dict[str, uuid.UUID]) -> dict[str, Any]:
    return {
        "user_id": ids.get("user_id"), "group_id": ids.get("group_id"), "place_id": ids.get(f"{place}_id"),
        "is_domain": None if place == "system" else place == "domain", "inherited": inherited,
    }


def _addresses(start: str, place: str) -> list[URLPattern]:
    found = []
    for holder in ("users/<id:user_id>", "groups/<id:group_id>"):
        roles = f"{start}/{holder}/roles"
        found += [
            path(roles, GrantList.as_view(), {"place": place}),
            path(f"{roles}/<id:role_id>", GrantDetail.as_view(), {"place": place}),
        ]
        if place != "system":
            below = {"place": place, "inherited": True}
            found += [
                path(f"OS-INHERIT/{roles}/inherited_to_projects", GrantList.as_view(), below),
                path(f"OS-INHERIT/{roles}/<id:role_id>/inherited_to_projects", GrantDetail.as_view(), below),
            ]
    return found


urlpatterns = [
    *_addresses("projects/<id:project_id>", "project"),
    *_addresses("domains/<id:domain_id>", "domain"),
    *_addresses("system", "system"),
]
