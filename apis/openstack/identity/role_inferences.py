"""Which role implies which."""

import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity.service import API, View
from apps.common.errors import NotFound
from apps.identity import selectors
from apps.identity.services import roles

if TYPE_CHECKING:
    from apps.identity.models import ImpliedRole, Role


class Inferences(View):
    """All roles that imply others, each with those."""

    permissions: ClassVar = {"GET": "identity.role.list"}

    def get(self, call: Call) -> HttpResponse:
        by_prior: dict[uuid.UUID, dict[str, Any]] = {}
        for row in selectors.implied_roles(actor=call.actor):
            by_prior.setdefault(row.prior_id, _inference(row.prior, []))["implies"].append(_role(row.implied))
        return reply({"role_inferences": list(by_prior.values()), "links": API.links("role_inferences")})


class ImpliedList(View):
    """What one role implies, at one step."""

    permissions: ClassVar = {"GET": "identity.role.list"}

    def get(self, call: Call, role_id: uuid.UUID) -> HttpResponse:
        prior = selectors.role(actor=call.actor, role_id=role_id)
        implied = [_role(row.implied) for row in selectors.implied_roles(actor=call.actor, prior_id=role_id)]
        return reply({"role_inference": _inference(prior, implied), "links": API.links("roles", role_id, "implies")})


class ImpliedDetail(View):
    """One of these: there or not."""

    permissions: ClassVar = {
        "GET": "identity.role.list", "PUT": "identity.implied_role.update", "DELETE": "identity.implied_role.update",
    }

    def get(self, call: Call, role_id: uuid.UUID, implied_id: uuid.UUID) -> HttpResponse:
        found = selectors.implied_roles(actor=call.actor, prior_id=role_id).filter(implied_id=implied_id).first()
        if found is None:
            raise NotFound("role.not_implied", f"{role_id} does not imply {implied_id}.", field="implied_id")
        return nothing() if call.request.method == "HEAD" else reply(_one(found))

    def put(self, call: Call, role_id: uuid.UUID, implied_id: uuid.UUID) -> HttpResponse:
        return reply(_one(roles.imply(actor=call.actor, prior_id=role_id, implied_id=implied_id)), 201)

    def delete(self, call: Call, role_id: uuid.UUID, implied_id: uuid.UUID) -> HttpResponse:
        roles.unimply(actor=call.actor, prior_id=role_id, implied_id=implied_id)
        return nothing()


def _one(row: "ImpliedRole") -> dict[str, Any]:
    return {
        "role_inference": _inference(row.prior, _role(row.implied)),
        "links": API.links("roles", row.prior_id, "implies", row.implied_id),
    }


def _inference(prior: "Role", implied: Any) -> dict[str, Any]:
    return {"prior_role": _role(prior), "implies": implied}


def _role(row: "Role") -> dict[str, Any]:
    return {"id": row.pk, "name": row.name, "links": API.links("roles", row.pk)}


urlpatterns = [
    path("role_inferences", Inferences.as_view()),
    path("roles/<id:role_id>/implies", ImpliedList.as_view()),
    path("roles/<id:role_id>/implies/<id:implied_id>", ImpliedDetail.as_view()),
]
