"""OS-EC2: access keys of a user, as the commands `ec2 credentials` handle them."""

import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.paging import page
from apis.openstack.common.schema import Struct, id_of
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity.service import API, View
from apps.identity.selectors import delegated
from apps.identity.services import access_keys

if TYPE_CHECKING:
    from apps.identity.models import Credential


class Create(Struct):
    """The body itself, under no key. `tenant_id`: the project."""

    tenant_id: str


class AccessKeyList(View):
    """All of a user's, of all projects."""

    permissions: ClassVar = {"GET": "identity.access_key.list", "POST": "identity.access_key.create"}

    def get(self, call: Call, user_id: uuid.UUID) -> HttpResponse:
        secret_of = access_keys.secrets_of(actor=call.actor)
        rows = delegated.access_keys(actor=call.actor, user_id=user_id).defer(None)
        return page(call, "credentials", rows, lambda row: render(row, secret_of(row)))

    def post(self, call: Call, user_id: uuid.UUID) -> HttpResponse:
        project_id = id_of("project", call.read(Create).tenant_id)
        made = access_keys.create(actor=call.actor, user_id=user_id, project_id=project_id)
        return reply({"credential": render(made.key, made.secret)}, 201)


class AccessKeyDetail(View):
    """One of them, by its public half."""

    permissions: ClassVar = {"GET": "identity.access_key.get", "DELETE": "identity.access_key.delete"}

    def get(self, call: Call, user_id: uuid.UUID, access_key_id: str) -> HttpResponse:
        row = delegated.access_key(actor=call.actor, access=access_key_id, user_id=user_id)
        return reply({"credential": render(row, access_keys.secrets_of(actor=call.actor)(row))})

    def delete(self, call: Call, user_id: uuid.UUID, access_key_id: str) -> HttpResponse:
        access_keys.delete(actor=call.actor, access=access_key_id, user_id=user_id)
        return nothing()


def render(row: "Credential", secret: str) -> dict[str, Any]:
    """With the secret, for its owner; empty for others."""
    return {
        "user_id": row.user_id, "tenant_id": row.project_id, "access": row.access, "secret": secret, "trust_id": row.trust_id,
        "links": API.links("users", row.user_id, "credentials", "OS-EC2", row.access),
    }


urlpatterns = [
    path("users/<id:user_id>/credentials/OS-EC2", AccessKeyList.as_view()),
    path("users/<id:user_id>/credentials/OS-EC2/<str:access_key_id>", AccessKeyDetail.as_view()),
]
