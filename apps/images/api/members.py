"""With whom images are shared."""

import uuid
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery
from apps.common.api.pagination import page
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.identity.api.authentication import actor_of
from apps.images import selectors
from apps.images.api import filters
from apps.images.api.serializers import AddMember, AnswerMember, ImageMemberSerializer, member
from apps.images.services import members


class ImageMemberList(View):
    """The projects that an image is shared with: all for its owner, to others only their own."""

    permissions: ClassVar = {"GET": "images.image.get", "POST": "images.image.share"}
    bodies: ClassVar = {"POST": AddMember}

    @extend_schema(operation_id="image_members_list", parameters=[filters.MemberQuery], responses=paged(ImageMemberSerializer), tags=["images"])
    def get(self, request: Request, image_id: uuid.UUID) -> Response:
        """List members."""
        filters.MemberQuery.read(request)
        return page(request, selectors.members(actor=actor_of(request), image_id=image_id), member)

    @extend_schema(operation_id="image_members_add", request=AddMember, responses={201: ImageMemberSerializer}, tags=["images"])
    def post(self, request: Request, image_id: uuid.UUID) -> Response:
        """Share a shared image with a project, which sees it in its list once it has accepted it."""
        NoQuery.read(request)
        actor, wanted = actor_of(request), AddMember.read(request)
        return Response(member(members.add(actor=actor, image_id=image_id, **wanted)), status=201)


class ImageMember(View):
    """One project that an image is shared with."""

    permissions: ClassVar = {"GET": "images.image.get", "PATCH": "images.image.accept", "DELETE": "images.image.share"}
    bodies: ClassVar = {"PATCH": AnswerMember}

    @extend_schema(operation_id="image_members_get", responses=ImageMemberSerializer, tags=["images"])
    def get(self, request: Request, image_id: uuid.UUID, project_id: uuid.UUID) -> Response:
        """Show a member."""
        NoQuery.read(request)
        return Response(member(selectors.member(actor=actor_of(request), image_id=image_id, project_id=project_id)))

    @extend_schema(operation_id="image_members_answer", request=AnswerMember, responses=ImageMemberSerializer, tags=["images"])
    def patch(self, request: Request, image_id: uuid.UUID, project_id: uuid.UUID) -> Response:
        """Accept an image that is shared with one's own project, or reject it."""
        NoQuery.read(request)
        actor, wanted = actor_of(request), AnswerMember.read(request)
        return Response(member(members.answer(actor=actor, image_id=image_id, project_id=project_id, **wanted)))

    @extend_schema(operation_id="image_members_remove", responses={204: None}, tags=["images"])
    def delete(self, request: Request, image_id: uuid.UUID, project_id: uuid.UUID) -> Response:
        """Share it with this project no more; instances that it has built stay."""
        NoQuery.read(request)
        members.remove(actor=actor_of(request), image_id=image_id, project_id=project_id)
        return Response(status=204)
