"""Images: register, upload, list, delete, and the signed download of hosts."""

import uuid
from typing import Any, ClassVar

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery
from apps.common.api.pagination import page
from apps.common.api.parsers import Stream
from apps.common.api.renderers import JSON
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.common.errors import Forbidden
from apps.identity.api.authentication import actor_of
from apps.images import selectors, signing
from apps.images.api import downloads, filters, serializers, uploads
from apps.images.services import images
from contracts.compute.v1 import DiskFormat


class ImageList(View):
    """Images of the project, and public ones."""

    permissions: ClassVar = {"GET": "images.image.list", "POST": "images.image.create"}
    bodies: ClassVar = {"POST": serializers.RegisterImage}

    @extend_schema(operation_id="images_list", parameters=[filters.ImageQuery], responses=paged(serializers.ImageSerializer), tags=["images"])
    def get(self, request: Request) -> Response:
        """List images."""
        actor, query = actor_of(request), filters.ImageQuery.read(request)
        wanted = {name: value for name, value in query.items() if name not in ("limit", "after")}
        return page(request, selectors.images(actor=actor).filter(**wanted), lambda row: serializers.image(actor, row))

    @extend_schema(
        operation_id="images_create", request=serializers.RegisterImage, responses={201: serializers.ImageSerializer}, tags=["images"]
    )
    def post(self, request: Request) -> Response:
        """Register an image; its data comes by `PUT …/file`."""
        NoQuery.read(request)
        actor, wanted = actor_of(request), serializers.RegisterImage.read(request)
        disk_format = DiskFormat(wanted.pop("disk_format"))
        return Response(serializers.image(actor, images.register(actor=actor, disk_format=disk_format, **wanted)), status=201)


class ImageDetail(View):
    """One image."""

    permissions: ClassVar = {"GET": "images.image.get", "DELETE": "images.image.delete"}

    @extend_schema(operation_id="images_get", responses=serializers.ImageSerializer, tags=["images"])
    def get(self, request: Request, image_id: uuid.UUID) -> Response:
        """Show an image."""
        NoQuery.read(request)
        actor = actor_of(request)
        return Response(serializers.image(actor, selectors.shown(actor=actor, image_id=image_id)))

    @extend_schema(operation_id="images_delete", responses={204: None}, tags=["images"])
    def delete(self, request: Request, image_id: uuid.UUID) -> Response:
        """Delete an image; instances that were built from it stay."""
        NoQuery.read(request)
        images.delete(actor=actor_of(request), image_id=image_id)
        return Response(status=204)


class ImageFile(View):
    """The data of a queued image."""

    permissions: ClassVar = {"PUT": "images.image.update"}
    parser_classes = [Stream]

    @extend_schema(
        operation_id="images_upload", request={uploads.MEDIA_TYPE: OpenApiTypes.BINARY}, responses=serializers.ImageSerializer,
        tags=["images"],
    )
    def put(self, request: Request, image_id: uuid.UUID) -> Response:
        """Upload: the body is the file. It is hashed and inspected before the image becomes active."""
        NoQuery.read(request)
        actor, body = actor_of(request), uploads.body_of(request)
        image = images.upload(actor=actor, image_id=image_id, stream=body, size_bytes=uploads.size_of(request))
        return Response(serializers.image(actor, image))


class _Whatever(BaseContentNegotiation):
    """Content is bytes, whatever the client would rather have."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return None

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class ImageBlob(View):
    """The content, for hosts: the signature in the address is all that it takes."""

    permissions: ClassVar = {"GET": ""}
    authentication_classes = ()
    permission_classes = [AllowAny]
    renderer_classes = [JSON]
    content_negotiation_class = _Whatever

    @extend_schema(
        operation_id="images_blob", parameters=[filters.BlobQuery], auth=[], tags=["images"],
        responses={(200, uploads.MEDIA_TYPE): OpenApiTypes.BINARY, (206, uploads.MEDIA_TYPE): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, image_id: uuid.UUID) -> HttpResponseBase:
        """Fetch the content, or a range of it."""
        query = filters.BlobQuery.read(request)
        if not signing.check(image_id, query["expires"], query["signature"]):
            raise Forbidden("image.signature", "This address is not signed by us, or no longer good.")
        return downloads.respond(request._request, selectors.with_content(image_id=image_id))
