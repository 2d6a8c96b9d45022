"""Users: their names and states, their passwords, the groups and projects that they are in."""

import uuid
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.authentication import authenticate
from apis.openstack.common.paging import Filter, Flag, Id, Own, Text, page
from apis.openstack.common.schema import UNSET, Name255, Options, Struct, UnsetType, as_uuid, for_services, given
from apis.openstack.common.schema import Text as Words
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity import fixed, rendering
from apis.openstack.identity.service import API, View
from apps.common.context import Actor
from apps.common.errors import Invalid
from apps.identity import selectors
from apps.identity.services import users

_COMPARED = {"lt": "__lt", "lte": "__lte", "gt": "__gt", "gte": "__gte", "eq": "", "neq": ""}


class Change(Struct):
    """`federated` and attributes of a site's own are taken and not kept."""

    name: Name255 | UnsetType = UNSET
    domain_id: str | UnsetType | None = UNSET
    password: str | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    description: Words | UnsetType | None = UNSET
    email: Words | UnsetType | None = UNSET
    default_project_id: str | UnsetType | None = UNSET
    options: Options | UnsetType = UNSET


class Create(Change, kw_only=True):
    name: Name255


class Passwords(Struct, forbid_unknown_fields=True):
    password: str
    original_password: str


class ChangePassword(Struct, forbid_unknown_fields=True):
    user: Passwords


def _expiring(rows: "QuerySet[Any]", value: str) -> "QuerySet[Any]":
    """`lt:2026-01-01T00:00:00Z`. Raises Invalid."""
    operator, _, text = value.partition(":")
    try:
        moment = datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        lookup = _COMPARED[operator]
    except (KeyError, ValueError, OverflowError):
        raise Invalid(
            "request.password_expires_at",
            f"password_expires_at: expected one of {', '.join(_COMPARED)}, a colon and a time, as in lt:2026-01-01T00:00:00Z.",
            field="password_expires_at",
        ) from None
    if operator == "neq":
        return rows.filter(password_expires_at__isnull=False).exclude(password_expires_at=moment)
    return rows.filter(**{f"password_expires_at{lookup}": moment})


def _nobody(rows: "QuerySet[Any]", value: str) -> "QuerySet[Any]":
    """No user comes from another cloud."""
    return rows.none()


# Of users that are members of something.
IN_GROUP: dict[str, Filter] = {
    "name": Text("username"), "domain_id": Id("domain_id"), "enabled": Flag("is_active"), "password_expires_at": Own(_expiring),
}
FILTERS: dict[str, Filter] = IN_GROUP | dict.fromkeys(("idp_id", "protocol_id", "unique_id"), Own(_nobody))


class UserList(View):
    """All users that one may see."""

    permissions: ClassVar = {"GET": "identity.user.list", "POST": "identity.user.create"}

    def get(self, call: Call) -> HttpResponse:
        return page(call, "users", selectors.users(actor=call.actor), rendering.user, FILTERS)

    def post(self, call: Call) -> HttpResponse:
        wanted = _wanted(given(call.read(Create, "user")))
        return reply({"user": rendering.user(users.create_user(actor=call.actor, **wanted))}, 201)


class UserDetail(View):
    """One user."""

    permissions: ClassVar = {"GET": "identity.user.get", "PATCH": "identity.user.update", "DELETE": "identity.user.delete"}

    def get(self, call: Call, user_id: uuid.UUID) -> HttpResponse:
        return reply({"user": rendering.user(selectors.user(actor=call.actor, user_id=user_id))})

    def patch(self, call: Call, user_id: uuid.UUID) -> HttpResponse:
        wanted = call.changes(Change, "user", user_id)
        if "domain_id" in wanted:
            fixed.keeps_domain(wanted, selectors.user(actor=call.actor, user_id=user_id).domain_id)
        changed = users.update_user(actor=call.actor, user_id=user_id, **_wanted(wanted))
        return reply({"user": rendering.user(changed)})

    def delete(self, call: Call, user_id: uuid.UUID) -> HttpResponse:
        users.delete_user(actor=call.actor, user_id=user_id)
        return nothing()


class UserPassword(View):
    """Another password in exchange for the old one, which is all the proof that is needed: it may have expired."""

    permissions: ClassVar = {"POST": "identity.password.change"}
    public: ClassVar = frozenset({"POST"})

    def post(self, call: Call, user_id: uuid.UUID) -> HttpResponse:
        wanted = call.read(ChangePassword).user
        users.change_password(
            user_id=user_id, old=wanted.original_password, new=wanted.password, actor=_oneself(call, user_id),
            request=call.request,
        )
        return nothing()


class UserGroups(View):
    """The groups that a user is in."""

    permissions: ClassVar = {"GET": "identity.user.get"}

    def get(self, call: Call, user_id: uuid.UUID) -> HttpResponse:
        rows = selectors.groups_of_user(actor=call.actor, user_id=user_id)
        return page(call, "groups", rows, rendering.group, {"name": Text("name")})


class UserProjects(View):
    """The projects in which a user has a role, in whatever way."""

    permissions: ClassVar = {"GET": "identity.user.get"}

    def get(self, call: Call, user_id: uuid.UUID) -> HttpResponse:
        rows = selectors.projects_of_user(actor=call.actor, user_id=user_id).prefetch_related("tags")
        filters: dict[str, Filter] = {"name": Text("name"), "domain_id": Id("domain_id"), "enabled": Flag("enabled")}
        return page(call, "projects", rows, rendering.project, filters)


def _wanted(wanted: dict[str, Any]) -> dict[str, Any]:
    """The fields as services take them. Raises Invalid, NotFound (domain)."""
    wanted = for_services(wanted, texts=("description", "email"), domain_id="domain")
    if "name" in wanted:
        wanted["username"] = wanted.pop("name")
    if (text := wanted.get("default_project_id")) is not None:
        wanted["default_project_id"] = as_uuid(text)
        if wanted["default_project_id"] is None:
            raise Invalid("user.default_project", "default_project_id: expected the id of a project.", field="default_project_id")
    return wanted


def _oneself(call: Call, user_id: uuid.UUID) -> Actor | None:
    """The user as its token has it, if it sent one: what an application credential may not do is not done with it."""
    if not call.request.headers.get("X-Auth-Token"):
        return None
    actor = authenticate(API, call.request).actor
    return actor if actor.user_id == user_id else None


urlpatterns = [
    path("users", UserList.as_view()),
    path("users/<id:user_id>", UserDetail.as_view()),
    path("users/<id:user_id>/password", UserPassword.as_view()),
    path("users/<id:user_id>/groups", UserGroups.as_view()),
    path("users/<id:user_id>/projects", UserProjects.as_view()),
]
