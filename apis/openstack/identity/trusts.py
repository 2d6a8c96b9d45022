"""OS-TRUST: one user lets another one act in a project with some of its roles. A trust is never changed."""

import uuid
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from django.http import HttpResponse
from django.urls import path
from msgspec import Meta

from apis.openstack.common import times
from apis.openstack.common.paging import listing, page
from apis.openstack.common.schema import Struct, as_uuid, id_of
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity import rendering
from apis.openstack.identity.named import RoleNamed, names_of
from apis.openstack.identity.service import API, View
from apps.common.errors import NotFound
from apps.identity.selectors import delegated
from apps.identity.services import trusts
from apps.identity.services.trusts import Wanted

if TYPE_CHECKING:
    from apps.identity.models import Role, Trust

_NOBODY = uuid.UUID(int=0)
Uses = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Create(Struct):
    trustor_user_id: str
    trustee_user_id: str
    impersonation: bool
    project_id: str | None = None
    roles: list[RoleNamed] | None = None
    expires_at: str | None = None
    remaining_uses: Uses | None = None
    allow_redelegation: bool | None = None
    redelegation_count: Count | None = None
    redelegated_trust_id: str | None = None


class TrustList(View):
    """Trusts that one gave or was given; for some roles on the system, all of them."""

    permissions: ClassVar = {"GET": "identity.trust.list", "POST": "identity.trust.create"}

    def get(self, call: Call) -> HttpResponse:
        rows = delegated.trusts(
            actor=call.actor, trustor_id=_user(call, "trustor_user_id"), trustee_id=_user(call, "trustee_user_id")
        )
        return page(call, "trusts", rows, brief)

    def post(self, call: Call) -> HttpResponse:
        given = call.read(Create, "trust")
        wanted = Wanted(
            trustor_id=id_of("user", given.trustor_user_id), trustee_id=id_of("user", given.trustee_user_id),
            impersonation=given.impersonation, project_id=id_of("project", given.project_id) if given.project_id else None,
            roles=names_of(given.roles or ()), remaining_uses=given.remaining_uses,
            expires_at=times.parse(given.expires_at, "expires_at") if given.expires_at is not None else None,
            allow_redelegation=bool(given.allow_redelegation), redelegation_count=given.redelegation_count,
            redelegated_from=id_of("trust", given.redelegated_trust_id) if given.redelegated_trust_id else None,
        )
        return reply({"trust": render(trusts.create(actor=call.actor, wanted=wanted))}, 201)


class TrustDetail(View):
    """One trust."""

    permissions: ClassVar = {"GET": "identity.trust.get", "DELETE": "identity.trust.delete"}

    def get(self, call: Call, trust_id: uuid.UUID) -> HttpResponse:
        return reply({"trust": render(delegated.trust(actor=call.actor, trust_id=trust_id))})

    def delete(self, call: Call, trust_id: uuid.UUID) -> HttpResponse:
        trusts.delete(actor=call.actor, trust_id=trust_id)
        return nothing()


class TrustRoles(View):
    """The roles that a trust gives."""

    permissions: ClassVar = {"GET": "identity.trust.get"}

    def get(self, call: Call, trust_id: uuid.UUID) -> HttpResponse:
        row = delegated.trust(actor=call.actor, trust_id=trust_id)
        return reply(listing(call, "roles", [rendering.role(role) for role in _roles(row)]))


class TrustRole(View):
    """Whether a trust gives a role."""

    permissions: ClassVar = {"GET": "identity.trust.get"}

    def get(self, call: Call, trust_id: uuid.UUID, role_id: uuid.UUID) -> HttpResponse:
        row = delegated.trust(actor=call.actor, trust_id=trust_id)
        for role in _roles(row):
            if role.pk == role_id:
                return reply({"role": rendering.role(role)})
        raise NotFound("role.not_found", f"This trust does not give the role {role_id}.")


def render(row: "Trust") -> dict[str, Any]:
    """With its roles."""
    links = {"self": API.url("OS-TRUST", "trusts", row.pk, "roles"), "next": None, "previous": None}
    return {**brief(row), "roles": [rendering.role(role) for role in _roles(row)], "roles_links": links}


def brief(row: "Trust") -> dict[str, Any]:
    """As in lists."""
    content = {
        "id": row.pk, "trustor_user_id": row.trustor_id, "trustee_user_id": row.trustee_id, "project_id": row.project_id,
        "impersonation": row.impersonation, "expires_at": times.render(row.expires_at), "remaining_uses": row.remaining_uses,
        "allow_redelegation": row.allow_redelegation, "redelegation_count": row.redelegation_count,
        "deleted_at": times.render(row.deleted_at), "links": API.links("OS-TRUST", "trusts", row.pk),
    }
    return {**content, "redelegated_trust_id": row.redelegated_from_id} if row.redelegated_from_id else content


def _roles(row: "Trust") -> "list[Role]":
    return sorted(row.roles.all(), key=lambda role: role.name)


def _user(call: Call, name: str) -> uuid.UUID | None:
    """What is no id is the id of nobody."""
    text = call.query.get(name)
    return None if text is None else as_uuid(text) or _NOBODY


urlpatterns = [
    path("OS-TRUST/trusts", TrustList.as_view()),
    path("OS-TRUST/trusts/<id:trust_id>", TrustDetail.as_view()),
    path("OS-TRUST/trusts/<id:trust_id>/roles", TrustRoles.as_view()),
    path("OS-TRUST/trusts/<id:trust_id>/roles/<id:role_id>", TrustRole.as_view()),
]
