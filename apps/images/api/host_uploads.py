"""Where hosts send the content of snapshots: the signature in the address is all that it takes. In pieces, resumed where one broke off.

`HEAD` answers `Upload-Offset` (how many bytes of the file with this `Content-SHA256` are here) and `Upload-Complete` (`?1` once the image
has its content); `PUT` with `Content-Range: bytes FIRST-LAST/TOTAL` brings the rest.
"""

import re
import uuid
from typing import ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.parsers import Stream
from apps.common.api.renderers import JSON
from apps.common.api.views import View
from apps.common.errors import Forbidden, Invalid
from apps.images import upload_addresses
from apps.images.api import filters, uploads
from apps.images.services import snapshots

_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEADERS = [
    OpenApiParameter("Content-Range", str, OpenApiParameter.HEADER, required=True, description="`bytes FIRST-LAST/TOTAL`: a piece that ends the file."),
    OpenApiParameter("Content-SHA256", str, OpenApiParameter.HEADER, required=True, description="Of the whole file, in hex."),
]


class ImageSaved(View):
    """The content of a snapshot, from its host."""

    permissions: ClassVar = {"PUT": "", "HEAD": ""}
    authentication_classes = ()
    permission_classes = [AllowAny]
    parser_classes = [Stream]
    renderer_classes = [JSON]

    def head(self, request: Request, image_id: uuid.UUID) -> Response:
        """How much is here."""
        _check(request, image_id)
        return _answer(snapshots.so_far(image_id=image_id, sha256=_sha256(request, required=False)))

    @extend_schema(
        operation_id="images_save", parameters=[filters.BlobQuery, *_HEADERS], request={uploads.MEDIA_TYPE: OpenApiTypes.BINARY},
        responses={204: None}, auth=[], tags=["images"],
    )
    def put(self, request: Request, image_id: uuid.UUID) -> Response:
        """Send a piece, for hosts. With the last one the file is verified and inspected, and the image active."""
        _check(request, image_id)
        body = uploads.body_of(request)
        piece, sha256 = uploads.piece_of(request), _sha256(request, required=True)
        if piece.total is None:
            raise Invalid("image.range", "Content-Range: expected bytes FIRST-LAST/TOTAL.", field="Content-Range")
        found = snapshots.receive(
            image_id=image_id, sha256=sha256, first=piece.offset, length=piece.length, total=piece.total, stream=body
        )
        return _answer(found)


def _check(request: Request, image_id: uuid.UUID) -> None:
    query = filters.BlobQuery.read(request)
    if not upload_addresses.check(image_id, query["expires"], query["signature"]):
        raise Forbidden("image.signature", "This address is not signed by us, or no longer good.")


def _sha256(request: Request, *, required: bool) -> str:
    text = request.headers.get("Content-SHA256", "")
    if (text or required) and not _SHA256.fullmatch(text):
        raise Invalid("image.checksum", "Content-SHA256: expected 64 lower-case hexadecimal digits.", field="Content-SHA256")
    return text


def _answer(found: snapshots.SoFar) -> Response:
    headers = {"Upload-Offset": str(found.size_bytes), "Upload-Complete": "?1" if found.complete else "?0"}
    return Response(status=204, headers=headers)
