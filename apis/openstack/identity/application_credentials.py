"""Application credentials, under the user whose they are. A secret is in the answer to the request that made it, and nowhere else."""

import uuid
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from django.http import HttpResponse
from django.urls import path
from msgspec import Meta

from apis.openstack.common import times
from apis.openstack.common.paging import Text, page
from apis.openstack.common.schema import Name255, Struct, id_of, missing
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity import access_rules, rendering
from apis.openstack.identity.named import RoleNamed, names_of
from apis.openstack.identity.service import API, View
from apps.identity.access_rules import Rule
from apps.identity.selectors import delegated
from apps.identity.services import application_credentials

if TYPE_CHECKING:
    from apps.identity.models import ApplicationCredential


class RuleGiven(Struct, forbid_unknown_fields=True):
    """A rule, or the id of one that there is."""

    id: str | None = None
    service: str | None = None
    method: str | None = None
    path: str | None = None


class Create(Struct, forbid_unknown_fields=True):
    """`id`, `project_id`, `system` may come, and say nothing: the project is that of the token."""

    name: Name255
    secret: str | None = None
    description: Annotated[str, Meta(max_length=4096)] | None = None
    expires_at: str | None = None
    roles: list[RoleNamed] | None = None
    unrestricted: bool | None = None
    access_rules: list[RuleGiven] | None = None
    id: str | None = None
    project_id: str | None = None
    system: str | None = None


class ApplicationCredentialList(View):
    """All of a user's, of all projects."""

    permissions: ClassVar = {
        "GET": "identity.application_credential.list", "POST": "identity.application_credential.create",
    }

    def get(self, call: Call, user_id: uuid.UUID) -> HttpResponse:
        rows = delegated.application_credentials(actor=call.actor, user_id=user_id)
        return page(call, "application_credentials", rows, render, {"name": Text("name")})

    def post(self, call: Call, user_id: uuid.UUID) -> HttpResponse:
        wanted = call.read(Create, "application_credential")
        made = application_credentials.create(
            actor=call.actor, user_id=user_id, name=wanted.name, secret=wanted.secret or "", description=wanted.description or "",
            roles=names_of(wanted.roles) if wanted.roles else None, unrestricted=bool(wanted.unrestricted),
            expires_at=times.parse(wanted.expires_at, "expires_at") if wanted.expires_at is not None else None,
            rules=[_rule(each) for each in wanted.access_rules or ()],
        )
        return reply({"application_credential": {**render(made.credential), "secret": made.secret}}, 201)


class ApplicationCredentialDetail(View):
    """One of them."""

    permissions: ClassVar = {
        "GET": "identity.application_credential.get", "DELETE": "identity.application_credential.delete",
    }

    def get(self, call: Call, user_id: uuid.UUID, application_credential_id: uuid.UUID) -> HttpResponse:
        row = delegated.application_credential(actor=call.actor, credential_id=application_credential_id, user_id=user_id)
        return reply({"application_credential": render(row)})

    def delete(self, call: Call, user_id: uuid.UUID, application_credential_id: uuid.UUID) -> HttpResponse:
        application_credentials.delete(actor=call.actor, credential_id=application_credential_id, user_id=user_id)
        return nothing()


def render(row: "ApplicationCredential") -> dict[str, Any]:
    """Without its secret, of which only a hash is kept."""
    content = {
        "id": row.pk, "name": row.name, "description": row.description, "project_id": row.project_id, "user_id": row.user_id,
        "roles": [_without_links(rendering.role(role)) for role in row.roles.all()], "unrestricted": row.unrestricted,
        "expires_at": times.render(row.expires_at), "system": None,
        "links": API.links("users", row.user_id, "application_credentials", row.pk),
    }
    rules = [access_rules.plain(rule) for rule in row.access_rules.all()]
    return {**content, "access_rules": rules} if rules else content


def _without_links(role: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in role.items() if name != "links"}


def _rule(given: RuleGiven) -> Rule | uuid.UUID:
    if given.id is not None:
        return id_of("access_rule", given.id)
    for name in ("service", "method", "path"):
        if getattr(given, name) is None:
            raise missing(name, "access_rules")
    return Rule(given.service or "", given.method or "", given.path or "")


urlpatterns = [
    path("users/<id:user_id>/application_credentials", ApplicationCredentialList.as_view()),
    path("users/<id:user_id>/application_credentials/<id:application_credential_id>", ApplicationCredentialDetail.as_view()),
]
