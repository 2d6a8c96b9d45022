"""Resource providers: whatever has something to give."""

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpResponse
from django.urls import path
from msgspec import UNSET

from apis.openstack.common.microversions import Version
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.placement import query, shapes
from apis.openstack.placement.service import View, address, location, stamped, version_of
from apps.placement import selectors
from apps.placement.services import providers

if TYPE_CHECKING:
    from apps.placement.models import ResourceProvider

# What there is of a provider besides itself, and parameters of the list: by the first version that has it.
_RELATIONS: Mapping[str, Version] = {
    "inventories": (1, 0), "usages": (1, 0), "aggregates": (1, 1), "traits": (1, 6), "allocations": (1, 11),
}
_FILTERS: Mapping[str, Version] = {
    "name": (1, 0), "uuid": (1, 0), "member_of": (1, 3), "resources": (1, 4), "in_tree": (1, 14), "required": (1, 18),
}
_TREES, _WITH_BODY, _MOVES = (1, 14), (1, 20), (1, 37)


class ProviderList(View):
    """All of them, or those that a query asks for."""

    permissions: ClassVar = {"GET": "placement.provider.list", "POST": "placement.provider.create"}

    def get(self, call: Call) -> HttpResponse:
        rows = list(selectors.find(actor=call.actor, wanted=_wanted(call)))
        newest = max((row.updated_at for row in rows), default=None)
        return stamped(call, reply({"resource_providers": [render(row, version_of(call)) for row in rows]}), newest)

    def post(self, call: Call) -> HttpResponse:
        given: shapes.NewProvider = shapes.POST_PROVIDER.read(call)
        wanted: dict[str, Any] = {"name": given.name}
        if given.uuid is not UNSET:
            wanted["provider_id"] = given.uuid
        if isinstance(given, shapes.NewChild) and isinstance(given.parent_provider_uuid, uuid.UUID):
            wanted["parent_id"] = given.parent_provider_uuid
        made = providers.create(actor=call.actor, **wanted)
        version = version_of(call)
        response = nothing(201) if version < _WITH_BODY else stamped(call, reply(render(made, version)), made.updated_at)
        response["Location"] = location("resource_providers", made.pk)
        return response


class ProviderDetail(View):
    """One of them."""

    permissions: ClassVar = {
        "GET": "placement.provider.list", "PUT": "placement.provider.update", "DELETE": "placement.provider.delete",
    }

    def get(self, call: Call, provider_id: uuid.UUID) -> HttpResponse:
        row = selectors.provider(actor=call.actor, provider_id=provider_id)
        return stamped(call, reply(render(row, version_of(call))), row.updated_at)

    def put(self, call: Call, provider_id: uuid.UUID) -> HttpResponse:
        given: shapes.ChangedProvider = shapes.PUT_PROVIDER.read(call)
        wanted: dict[str, Any] = {"name": given.name}
        if isinstance(given, shapes.MovedProvider) and given.parent_provider_uuid is not UNSET:
            wanted["parent_id"] = given.parent_provider_uuid
        row = providers.update(actor=call.actor, provider_id=provider_id, may_move=version_of(call) >= _MOVES, **wanted)
        return stamped(call, reply(render(row, version_of(call))), row.updated_at)

    def delete(self, call: Call, provider_id: uuid.UUID) -> HttpResponse:
        providers.delete(actor=call.actor, provider_id=provider_id)
        return nothing()


def render(row: "ResourceProvider", version: Version) -> dict[str, Any]:
    """A provider, as that version shows it."""
    here = address("resource_providers", row.pk)
    links = [{"rel": "self", "href": here}]
    links += [{"rel": name, "href": f"{here}/{name}"} for name, since in _RELATIONS.items() if since <= version]
    content: dict[str, Any] = {"uuid": row.pk, "name": row.name, "generation": row.generation, "links": links}
    if version >= _TREES:
        content |= {"parent_provider_uuid": row.parent_id, "root_provider_uuid": row.root_id}
    return content


def _wanted(call: Call) -> selectors.Asked:
    version = version_of(call)
    given = query.parameters(call, [name for name, since in _FILTERS.items() if since <= version])
    wanted: selectors.Asked = {}
    if "name" in given:
        wanted["name"] = given["name"]
    if "uuid" in given:
        wanted["provider_id"] = query.identifier("uuid", given["uuid"])
    if "in_tree" in given:
        wanted["in_tree"] = query.identifier("in_tree", given["in_tree"])
    if "resources" in given:
        wanted["resources"] = query.resources(given["resources"])
    if "member_of" in given:
        wanted["member_of"], wanted["not_member_of"] = query.member_of(query.values(call, "member_of"), version)
    if "required" in given:
        wanted["required"], wanted["forbidden"] = query.required(query.values(call, "required"), version)
    return wanted


urlpatterns = [
    path("resource_providers", ProviderList.as_view()),
    path("resource_providers/<id:provider_id>", ProviderDetail.as_view()),
]
