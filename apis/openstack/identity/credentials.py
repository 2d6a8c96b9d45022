"""Kept secrets: `ec2` ones are access keys, `totp` ones second factors. What is kept is shown to its owner only."""

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.paging import Filter, Id, Text, page
from apis.openstack.common.schema import UNSET, Name255, Struct, UnsetType, id_of
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity import fixed
from apis.openstack.identity.service import API, View
from apps.common.errors import Invalid
from apps.identity.selectors import delegated
from apps.identity.services import credentials

if TYPE_CHECKING:
    from apps.identity.models import Credential

FILTERS: dict[str, Filter] = {"user_id": Id("user_id"), "type": Text("type")}


class Create(Struct):
    blob: str
    type: Name255
    user_id: str
    project_id: str | None = None


class Change(Struct):
    blob: str | UnsetType = UNSET
    type: Name255 | UnsetType = UNSET
    user_id: str | UnsetType = UNSET
    project_id: str | UnsetType | None = UNSET


class CredentialList(View):
    """One's own; for some roles on the system, all."""

    permissions: ClassVar = {"GET": "identity.credential.list", "POST": "identity.credential.create"}

    def get(self, call: Call) -> HttpResponse:
        rows = delegated.credentials(actor=call.actor)
        return page(call, "credentials", rows, _rendering(call), FILTERS)

    def post(self, call: Call) -> HttpResponse:
        wanted = call.read(Create, "credential")
        made = credentials.create(
            actor=call.actor, user_id=id_of("user", wanted.user_id), type=wanted.type, blob=wanted.blob,
            project_id=id_of("project", wanted.project_id) if wanted.project_id else None,
        )
        return reply({"credential": render(made, wanted.blob)}, 201)


class CredentialDetail(View):
    """One of them."""

    permissions: ClassVar = {
        "GET": "identity.credential.get", "PATCH": "identity.credential.update", "DELETE": "identity.credential.delete",
    }

    def get(self, call: Call, credential_id: uuid.UUID) -> HttpResponse:
        row = delegated.credential(actor=call.actor, credential_id=credential_id)
        return reply({"credential": _rendering(call)(row)})

    def patch(self, call: Call, credential_id: uuid.UUID) -> HttpResponse:
        wanted = call.changes(Change, "credential", credential_id)
        row = delegated.credential(actor=call.actor, credential_id=credential_id, permission="identity.credential.update")
        if "user_id" in wanted and not fixed.same(wanted.pop("user_id"), row.user_id):
            raise Invalid("credential.user", "user_id: a credential stays with its user.", field="user_id")
        if wanted.get("project_id") is not None:
            wanted["project_id"] = id_of("project", wanted["project_id"])
        row = credentials.update(actor=call.actor, credential_id=credential_id, **wanted)
        return reply({"credential": _rendering(call)(row)})

    def delete(self, call: Call, credential_id: uuid.UUID) -> HttpResponse:
        credentials.delete(actor=call.actor, credential_id=credential_id)
        return nothing()


def render(row: "Credential", blob: str) -> dict[str, Any]:
    """With what the caller may see of what is kept."""
    return {
        "id": row.pk, "user_id": row.user_id, "type": row.type, "blob": blob, "project_id": row.project_id,
        "links": API.links("credentials", row.pk),
    }


def _rendering(call: Call) -> "Callable[[Credential], dict[str, Any]]":
    blob_of = credentials.blobs(actor=call.actor)
    return lambda row: render(row, blob_of(row))


urlpatterns = [
    path("credentials", CredentialList.as_view()),
    path("credentials/<id:credential_id>", CredentialDetail.as_view()),
]
