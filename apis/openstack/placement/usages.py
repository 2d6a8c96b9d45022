"""Usages: how much is claimed, of a provider or by a project."""

import re
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.microversions import Version
from apis.openstack.common.views import Call, reply
from apis.openstack.placement import query
from apis.openstack.placement.service import View, stamped, version_of
from apps.placement import selectors

_FILTERS: Mapping[str, Version] = {"project_id": (1, 9), "user_id": (1, 9), "consumer_type": (1, 38)}
_TYPES = (1, 38)
_TYPE = re.compile(r"[A-Z0-9_]{1,255}|all|unknown")


class ProviderUsages(View):
    """Of one provider, by resource class."""

    permissions: ClassVar = {"GET": "placement.provider.list"}

    def get(self, call: Call, provider_id: uuid.UUID) -> HttpResponse:
        provider = selectors.provider(actor=call.actor, provider_id=provider_id)
        used = {row.resource_class: row.used for row in provider.inventories.all()}
        return stamped(call, reply({"usages": used, "resource_provider_generation": provider.generation}))


class ProjectUsages(View):
    """Of a project, and of one user in it, by resource class; later by type of consumer."""

    permissions: ClassVar = {"GET": "placement.usage.get"}
    since: ClassVar = {"GET": (1, 9)}

    def get(self, call: Call) -> HttpResponse:
        wanted = _wanted(call)
        if version_of(call) < _TYPES:
            return stamped(call, reply({"usages": selectors.usages(actor=call.actor, **wanted)}))
        return stamped(call, reply({"usages": selectors.usages_by_type(actor=call.actor, **wanted)}))


def _wanted(call: Call) -> dict[str, Any]:
    version = version_of(call)
    given = query.parameters(call, [name for name, since in _FILTERS.items() if since <= version])
    if "project_id" not in given:
        query.refuse("'project_id' is a required property")
    for name, text in given.items():
        if not 0 < len(text) <= 255:
            query.refuse(f"{name}: expected 1 to 255 characters")
    if "consumer_type" in given and not _TYPE.fullmatch(given["consumer_type"]):
        query.refuse(f"'{given['consumer_type'][:64]}' does not match '^[A-Z0-9_]+$|^all$|^unknown$'")
    return dict(given)


urlpatterns = [
    path("usages", ProjectUsages.as_view()),
    path("resource_providers/<id:provider_id>/usages", ProviderUsages.as_view()),
]
