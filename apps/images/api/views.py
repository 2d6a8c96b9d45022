"""Images: register, list, change, take out of use, delete. Their content and their members have modules of their own."""

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
from apps.images.api import filters, serializers
from apps.images.services import images
from apps.operations.api.keys import IDEMPOTENCY_KEY, idempotency_key


class ImageList(View):
    """Images of the project, those that others share with it and that it accepted, and public ones."""

    permissions: ClassVar = {"GET": "images.image.list", "POST": "images.image.create"}
    bodies: ClassVar = {"POST": serializers.RegisterImage}

    @extend_schema(operation_id="images_list", parameters=[filters.ImageQuery], responses=paged(serializers.ImageSerializer), tags=["images"])
    def get(self, request: Request) -> Response:
        """List images."""
        actor, query = actor_of(request), filters.ImageQuery.read(request)
        return page(request, filters.images(actor, query), lambda row: serializers.image(actor, row))

    @extend_schema(
        operation_id="images_create", parameters=[IDEMPOTENCY_KEY], request=serializers.RegisterImage,
        responses={201: serializers.ImageSerializer}, tags=["images"],
    )
    def post(self, request: Request) -> Response:
        """Register an image; its data come by `PUT …/content`, `PUT …/file` or `POST …/import`."""
        NoQuery.read(request)
        actor, wanted = actor_of(request), serializers.RegisterImage.read(request)
        made = images.register_once(actor=actor, client_token=idempotency_key(request), **wanted)
        return Response(serializers.image(actor, made), status=201)


class ImageDetail(View):
    """One image."""

    permissions: ClassVar = {"GET": "images.image.get", "PATCH": "images.image.update", "DELETE": "images.image.delete"}
    bodies: ClassVar = {"PATCH": serializers.UpdateImage}

    @extend_schema(operation_id="images_get", responses=serializers.ImageSerializer, tags=["images"])
    def get(self, request: Request, image_id: uuid.UUID) -> Response:
        """Show an image."""
        NoQuery.read(request)
        actor = actor_of(request)
        return Response(serializers.image(actor, selectors.shown(actor=actor, image_id=image_id)))

    @extend_schema(
        operation_id="images_update", request=serializers.UpdateImage, responses=serializers.ImageSerializer, tags=["images"]
    )
    def patch(self, request: Request, image_id: uuid.UUID) -> Response:
        """Change what is said of an image; its data never change."""
        NoQuery.read(request)
        actor, wanted = actor_of(request), serializers.UpdateImage.read(request)
        return Response(serializers.image(actor, images.update(actor=actor, image_id=image_id, **wanted)))

    @extend_schema(operation_id="images_delete", responses={204: None}, tags=["images"])
    def delete(self, request: Request, image_id: uuid.UUID) -> Response:
        """Delete an image; instances that were built from it stay."""
        NoQuery.read(request)
        images.delete(actor=actor_of(request), image_id=image_id)
        return Response(status=204)


class ImageActions(View):
    """What operators do to images."""

    permissions: ClassVar = {"POST": "images.image.deactivate"}
    bodies: ClassVar = {"POST": serializers.ImageAction}

    @extend_schema(
        operation_id="images_action", request=serializers.ImageAction, responses=serializers.ImageSerializer, tags=["images"]
    )
    def post(self, request: Request, image_id: uuid.UUID) -> Response:
        """Take an image out of use (nobody boots from it or gets its content), or put it back."""
        NoQuery.read(request)
        actor, wanted = actor_of(request), serializers.ImageAction.read(request)
        act = images.deactivate if wanted["action"] == "deactivate" else images.reactivate
        return Response(serializers.image(actor, act(actor=actor, image_id=image_id)))
