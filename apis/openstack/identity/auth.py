"""`/auth/…`: what the caller's token shows, and which scopes its user may ask for."""

import uuid
from typing import TYPE_CHECKING, ClassVar

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.paging import page
from apis.openstack.common.views import Call, reply
from apis.openstack.identity import catalog, rendering
from apis.openstack.identity.service import API, View
from apps.common.errors import Forbidden
from apps.identity import selectors, standing

if TYPE_CHECKING:
    from apps.identity.models import Project

_ANY: dict[str, str] = {"GET": ""}


class Catalog(View):
    """The services, as in a new token of this scope."""

    permissions: ClassVar = _ANY

    def get(self, call: Call) -> HttpResponse:
        actor, bearer = call.actor, call.caller.bearer
        if actor.project_id is None and actor.domain_id is None and not bearer.system:
            raise Forbidden("auth.unscoped", "A scoped token is required to produce a service catalog.")
        shown = catalog.render(project_id=actor.project_id, user_id=actor.user_id)
        return reply({"catalog": shown, "links": API.links("auth", "catalog")})


class Projects(View):
    """Projects that a token can be had for."""

    permissions: ClassVar = _ANY

    def get(self, call: Call) -> HttpResponse:
        return page(call, "projects", _open(call, selectors.projects_with_a_role(_user(call))), rendering.project)


class Domains(View):
    """Domains that a token can be had for."""

    permissions: ClassVar = _ANY

    def get(self, call: Call) -> HttpResponse:
        return page(call, "domains", _open(call, selectors.domains_with_a_role(_user(call))), rendering.domain)


class System(View):
    """Whether a token for the system can be had."""

    permissions: ClassVar = _ANY

    def get(self, call: Call) -> HttpResponse:
        _, everywhere = standing.split(call.caller.bearer.standing.roles)
        found = [{"all": True}] if everywhere else []
        return reply({"system": found, "links": API.links("auth", "system")})


def _user(call: Call) -> uuid.UUID:
    assert call.actor.user_id is not None, "only the system itself has none, and it comes by no token"
    return call.actor.user_id


def _open(call: Call, rows: "QuerySet[Project]") -> "QuerySet[Project]":
    """Who came by a trust, be it in the trustor's name, is not told where else the trustor works."""
    if call.caller.bearer.trust_id is not None:
        rows = rows.filter(Q(pk=call.actor.project_id))
    return rows.prefetch_related("tags")


urlpatterns = [
    path("auth/catalog", Catalog.as_view()),
    path("auth/projects", Projects.as_view()),
    path("auth/domains", Domains.as_view()),
    path("auth/system", System.as_view()),
]
