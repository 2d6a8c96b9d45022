"""Resource classes: what inventories are of. The standard ones are always there; clients make `CUSTOM_` ones."""

from typing import Any, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.faults import Refused
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.placement import shapes
from apis.openstack.placement.service import JSON, View, address, location, stamped, version_of
from apps.common.errors import Invalid
from apps.placement import selectors
from apps.placement.errors import UNDEFINED
from apps.placement.names import is_custom
from apps.placement.services import classes

_SINCE = (1, 2)
# Since then PUT makes the class that the address names; before, it renamed it.
_MAKES = (1, 7)


class ClassList(View):
    """All of them."""

    permissions: ClassVar = {"GET": "placement.provider.list", "POST": "placement.resource_class.update"}
    since: ClassVar = {"GET": _SINCE, "POST": _SINCE}

    def get(self, call: Call) -> HttpResponse:
        found = selectors.resource_classes(actor=call.actor)
        newest = max((each.updated_at for each in found if each.updated_at), default=None)
        return stamped(call, reply({"resource_classes": [render(each.name) for each in found]}), newest)

    def post(self, call: Call) -> HttpResponse:
        given: shapes.ResourceClass = shapes.RESOURCE_CLASS.read(call)
        classes.create(actor=call.actor, name=given.name)
        return nothing(201, {"Location": location("resource_classes", given.name)})


class ClassDetail(View):
    """One of them."""

    permissions: ClassVar = {
        "GET": "placement.provider.list", "PUT": "placement.resource_class.update", "DELETE": "placement.resource_class.update",
    }
    since: ClassVar = {"GET": _SINCE, "PUT": _SINCE, "DELETE": _SINCE}
    bodies: ClassVar = frozenset()

    def get(self, call: Call, class_name: str) -> HttpResponse:
        found = selectors.resource_class(actor=call.actor, name=class_name)
        return stamped(call, reply(render(found.name)), found.updated_at)

    def put(self, call: Call, class_name: str) -> HttpResponse:
        if version_of(call) < _MAKES:
            return self._rename(call, class_name)
        if not is_custom(class_name):
            raise Invalid("request.invalid", f"JSON does not validate: '{class_name[:255]}' does not match '^CUSTOM_[A-Z0-9_]+$'")
        made = classes.ensure(actor=call.actor, name=class_name)
        return nothing(201 if made else 204, {"Location": location("resource_classes", class_name)})

    def _rename(self, call: Call, class_name: str) -> HttpResponse:
        if call.request.content_type != JSON:
            raise Refused(415, UNDEFINED, f"The media type {call.request.content_type or None} is not supported, use {JSON}")
        given: shapes.ResourceClass = shapes.RESOURCE_CLASS.read(call)
        classes.rename(actor=call.actor, name=class_name, new_name=given.name)
        return reply(render(given.name))

    def delete(self, call: Call, class_name: str) -> HttpResponse:
        classes.delete(actor=call.actor, name=class_name)
        return nothing()


def render(name: str) -> dict[str, Any]:
    """A resource class."""
    return {"name": name, "links": [{"rel": "self", "href": address("resource_classes", name)}]}


urlpatterns = [
    path("resource_classes", ClassList.as_view()),
    path("resource_classes/<str:class_name>", ClassDetail.as_view()),
]
