"""Roles of one user or group in one project or domain, or on the system: given, looked up, taken away, listed.

With OS-INHERIT the role is not there itself, but in all projects below.
"""

import uuid
from collections.abc import Iterator, Mapping
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

    def get(self, call: Call, **named: Any) -> HttpResponse:
        found = assignments.roles_held(actor=call.actor, held=Held(**_held(named)))
        return reply(listing(call, "roles", [rendering.role(row) for row in found]))


class GrantDetail(View):
    """One role: given or not."""

    permissions: ClassVar = {
        "GET": "identity.assignment.list", "PUT": "identity.assignment.create", "DELETE": "identity.assignment.delete",
    }

    def get(self, call: Call, role_id: uuid.UUID, **named: Any) -> HttpResponse:
        assignments.check_role(actor=call.actor, given=Given(role_id=role_id, **_held(named)))
        return nothing()

    def put(self, call: Call, role_id: uuid.UUID, **named: Any) -> HttpResponse:
        assignments.give(actor=call.actor, given=Given(role_id=role_id, **_held(named)))
        return nothing()

    def delete(self, call: Call, role_id: uuid.UUID, **named: Any) -> HttpResponse:
        assignments.take(actor=call.actor, given=Given(role_id=role_id, **_held(named)))
        return nothing()


def _held(named: Mapping[str, Any]) -> dict[str, Any]:
    """Holder and place, by what of them the address names."""
    return {
        "user_id": named.get("user_id"), "group_id": named.get("group_id"), "inherited": named.get("inherited", False),
        "place_id": named.get("project_id") or named.get("domain_id"),
        "is_domain": None if "system" in named else "domain_id" in named,
    }


def _addresses(place: str, named: dict[str, Any] | None = None) -> Iterator[URLPattern]:
    for holder in _HOLDERS:
        roles = f"{place}/{holder}/roles"
        yield path(roles, GrantList.as_view(), named)
        yield path(f"{roles}/<id:role_id>", GrantDetail.as_view(), named)


def _inherited(place: str) -> Iterator[URLPattern]:
    for holder in _HOLDERS:
        roles, named = f"OS-INHERIT/{place}/{holder}/roles", {"inherited": True}
        yield path(f"{roles}/inherited_to_projects", GrantList.as_view(), named)
        yield path(f"{roles}/<id:role_id>/inherited_to_projects", GrantDetail.as_view(), named)


_HOLDERS = ("users/<id:user_id>", "groups/<id:group_id>")
_PROJECT, _DOMAIN = "projects/<id:project_id>", "domains/<id:domain_id>"
urlpatterns = [
    *_addresses(_PROJECT), *_addresses(_DOMAIN), *_addresses("system", {"system": "system"}), *_inherited(_PROJECT), *_inherited(_DOMAIN),
]
