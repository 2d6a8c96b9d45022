"""Tags of projects: all at once, and each as an address of its own."""

import uuid
from typing import ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.paging import listing
from apis.openstack.common.schema import Struct
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity.service import API, View
from apps.common.errors import NotFound
from apps.identity import selectors
from apps.identity.services import tags


class Tags(Struct):
    tags: list[str]


class TagList(View):
    """The tags of a project, or of a domain by its id."""

    permissions: ClassVar = {
        "GET": "identity.project.get", "PUT": "identity.project.update", "DELETE": "identity.project.update",
    }

    def get(self, call: Call, project_id: uuid.UUID) -> HttpResponse:
        place = selectors.place(actor=call.actor, place_id=project_id)
        return reply(listing(call, "tags", selectors.tags(place)))

    def put(self, call: Call, project_id: uuid.UUID) -> HttpResponse:
        wanted = call.read(Tags).tags
        return reply(listing(call, "tags", tags.set_tags(actor=call.actor, project_id=project_id, tags=wanted)))

    def delete(self, call: Call, project_id: uuid.UUID) -> HttpResponse:
        tags.set_tags(actor=call.actor, project_id=project_id, tags=[])
        return nothing()


class TagDetail(View):
    """One tag: there or not."""

    permissions: ClassVar = TagList.permissions

    def get(self, call: Call, project_id: uuid.UUID, tag: str) -> HttpResponse:
        if not tags.has_tag(actor=call.actor, project_id=project_id, tag=tag):
            raise NotFound("tag.not_found", f"There is no tag {tag!r}.", field="tag")
        return nothing()

    def put(self, call: Call, project_id: uuid.UUID, tag: str) -> HttpResponse:
        tags.add_tag(actor=call.actor, project_id=project_id, tag=tag)
        return nothing(201, {"Location": API.url("projects", project_id, "tags", tag)})

    def delete(self, call: Call, project_id: uuid.UUID, tag: str) -> HttpResponse:
        tags.remove_tag(actor=call.actor, project_id=project_id, tag=tag)
        return nothing()


urlpatterns = [
    path("projects/<id:project_id>/tags", TagList.as_view()),
    path("projects/<id:project_id>/tags/<str:tag>", TagDetail.as_view()),
]
