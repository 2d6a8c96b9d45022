"""Access rules of application credentials, under the user whose they are."""

import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.paging import Text, page
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity.service import API, View
from apps.identity.selectors import delegated
from apps.identity.services import application_credentials

if TYPE_CHECKING:
    from apps.identity.models import AccessRule

FILTERS = {"service": Text("service"), "method": Text("method"), "path": Text("path")}


class AccessRuleList(View):
    """All of a user's, also those that no credential has any more."""

    permissions: ClassVar = {"GET": "identity.application_credential.list"}

    def get(self, call: Call, user_id: uuid.UUID) -> HttpResponse:
        return page(call, "access_rules", delegated.access_rules(actor=call.actor, user_id=user_id), render, FILTERS)


class AccessRuleDetail(View):
    """One of them."""

    permissions: ClassVar = {
        "GET": "identity.application_credential.get", "DELETE": "identity.application_credential.delete",
    }

    def get(self, call: Call, user_id: uuid.UUID, access_rule_id: uuid.UUID) -> HttpResponse:
        return reply({"access_rule": render(delegated.access_rule(actor=call.actor, rule_id=access_rule_id, user_id=user_id))})

    def delete(self, call: Call, user_id: uuid.UUID, access_rule_id: uuid.UUID) -> HttpResponse:
        application_credentials.delete_rule(actor=call.actor, rule_id=access_rule_id, user_id=user_id)
        return nothing()


def render(row: "AccessRule") -> dict[str, Any]:
    """With its links."""
    return {**plain(row), "links": API.links("users", row.user_id, "access_rules", row.pk)}


def plain(row: "AccessRule") -> dict[str, Any]:
    """As a part of a credential."""
    return {"id": row.pk, "service": row.service, "method": row.method, "path": row.path}


urlpatterns = [
    path("users/<id:user_id>/access_rules", AccessRuleList.as_view()),
    path("users/<id:user_id>/access_rules/<id:access_rule_id>", AccessRuleDetail.as_view()),
]
