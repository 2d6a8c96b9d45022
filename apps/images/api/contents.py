"""The content of images: up at once or in pieces, down for users, and down for hosts by signed addresses."""

import uuid
from typing import Any, ClassVar

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery
from apps.common.api.parsers import Stream
from apps.common.api.renderers import JSON
from apps.common.api.views import View
from apps.common.errors import Forbidden
from apps.identity.api.authentication import actor_of
from apps.images import selectors, signing
from apps.images.api import downloads, filters, serializers, uploads
from apps.images.services import uploads as arriving

_BYTES = {(status, uploads.MEDIA_TYPE): OpenApiTypes.BINARY for status in (200, 206)}
_HEADERS = [
    OpenApiParameter(
        "Content-Range", str, OpenApiParameter.HEADER,
        description="`bytes FIRST-LAST/TOTAL`, where this piece is; `*` for a total that is not known yet.",
    ),
    OpenApiParameter("Upload-Offset", str, OpenApiParameter.HEADER, description="The same: the first byte of this piece."),
    OpenApiParameter("Upload-Length", str, OpenApiParameter.HEADER, description="The same: how long the file is."),
]


class _Whatever(BaseContentNegotiation):
    """Content is bytes, whatever the client would rather have."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0] if parsers else None

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class ImageFile(View):
    """The data of a queued image."""

    permissions: ClassVar = {"PUT": "images.image.update"}
    parser_classes = [Stream]

    @extend_schema(
        operation_id="images_upload", request={uploads.MEDIA_TYPE: OpenApiTypes.BINARY}, responses=serializers.ImageSerializer,
        tags=["images"],
    )
    def put(self, request: Request, image_id: uuid.UUID) -> Response:
        """Upload at once: the body is the file, and nothing of it stays if it breaks off. It is inspected before the image becomes active."""
        NoQuery.read(request)
        actor, body = actor_of(request), uploads.body_of(request)
        image = arriving.upload(actor=actor, image_id=image_id, stream=body, size_bytes=uploads.size_of(request))
        return Response(serializers.image(actor, image))


class ImageContent(View):
    """The data of an image: sent in pieces that stay when the connection breaks, and read."""

    permissions: ClassVar = {"GET": "images.image.get", "PUT": "images.image.update", "DELETE": "images.image.update"}
    parser_classes = [Stream]
    renderer_classes = [JSON]
    content_negotiation_class = _Whatever

    def head(self, request: Request, image_id: uuid.UUID) -> HttpResponseBase:
        """How far the upload is (`Upload-Offset`, and `Upload-Length` if that was said); of what has content, its size."""
        NoQuery.read(request)
        actor = actor_of(request)
        image = selectors.shown(actor=actor, image_id=image_id)
        if selectors.has_content(image):
            return self.get(request, image_id)
        found = arriving.progress(actor=actor, image_id=image_id)
        response = Response(headers={"Upload-Offset": str(found.offset)})
        if found.size_bytes is not None:
            response["Upload-Length"] = str(found.size_bytes)
        return response

    @extend_schema(operation_id="images_download", responses=_BYTES, tags=["images"])
    def get(self, request: Request, image_id: uuid.UUID) -> HttpResponseBase:
        """Download the content, or a range of it."""
        NoQuery.read(request)
        return downloads.respond(request._request, selectors.readable(actor=actor_of(request), image_id=image_id))

    @extend_schema(
        operation_id="images_upload_piece", parameters=_HEADERS, request={uploads.MEDIA_TYPE: OpenApiTypes.BINARY},
        responses={200: serializers.ImageSerializer, 202: serializers.ImageSerializer}, tags=["images"],
    )
    def put(self, request: Request, image_id: uuid.UUID) -> Response:
        """Upload a piece; without headers that say where it is, the body is the whole file. What came stays when it breaks off.

        `HEAD` on the same address answers `Upload-Offset`: go on there. 202 says that more is awaited; with the last piece the file
        is inspected, and the image active. `DELETE` gives the upload up.
        """
        NoQuery.read(request)
        actor, body, piece = actor_of(request), uploads.body_of(request), uploads.piece_of(request)
        image = arriving.put(
            actor=actor, image_id=image_id, stream=body, offset=piece.offset, length=piece.length, size_bytes=piece.total
        )
        whole = selectors.has_content(image)
        headers = {"Upload-Offset": str(piece.offset + piece.length)}
        return Response(serializers.image(actor, image), status=200 if whole else 202, headers=headers)

    @extend_schema(operation_id="images_upload_cancel", responses={204: None}, tags=["images"])
    def delete(self, request: Request, image_id: uuid.UUID) -> Response:
        """Give an upload up: what has come goes, and the image waits for its data again. Content of an active image stays."""
        NoQuery.read(request)
        arriving.cancel(actor=actor_of(request), image_id=image_id)
        return Response(status=204)


class ImageBlob(View):
    """The content, for hosts: the signature in the address is all that it takes."""

    permissions: ClassVar = {"GET": ""}
    authentication_classes = ()
    permission_classes = [AllowAny]
    renderer_classes = [JSON]
    content_negotiation_class = _Whatever

    @extend_schema(operation_id="images_blob", parameters=[filters.BlobQuery], auth=[], tags=["images"], responses=_BYTES)
    def get(self, request: Request, image_id: uuid.UUID) -> HttpResponseBase:
        """Fetch the content, or a range of it."""
        query = filters.BlobQuery.read(request)
        if not signing.check(image_id, query["expires"], query["signature"]):
            raise Forbidden("image.signature", "This address is not signed by us, or no longer good.")
        return downloads.respond(request._request, selectors.with_content(image_id=image_id))
