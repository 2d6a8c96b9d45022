"""Views of what image workers do: import and conversion."""

import uuid
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.common.api.views import View
from apps.identity.api.authentication import actor_of
from apps.images import conversion
from apps.images.api.serializers import ImageSerializer, image
from apps.images.models import Image
from apps.images.services import convert, imports
from apps.operations.api import serializers as operations
from apps.operations.api.filters import WaitQuery
from apps.operations.api.keys import IDEMPOTENCY_KEY, idempotency_key
from apps.operations.api.waiting import wait_for


class ImportImage(Input):
    """Where the data are: `url`, or `bucket` and `key`."""

    url = fields.Line(max_length=2048, required=False, help_text="http:// or https://, at a public address; no name and password in it.")
    bucket = fields.Line(max_length=63, required=False)
    key = fields.Text(max_length=1024, required=False, trim_whitespace=False)
    version = fields.Line(max_length=32, required=False, help_text="Of the object; default: the latest one at this moment.")
    sha256 = fields.Line(max_length=64, required=False, help_text="Hex; what comes is refused if it has another one.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "url" in attrs and attrs.keys() & {"bucket", "key", "version"}:
            raise serializers.ValidationError({"url": ["give an address, or a bucket and a key, not both"]})
        if "url" not in attrs and not ("bucket" in attrs and "key" in attrs):
            raise serializers.ValidationError({"url": ["give an address, or a bucket and a key"]})
        return attrs


class ConvertImage(Input):
    """A new image with the same content."""

    disk_format = fields.Choice(choices=conversion.FORMATS)
    name = fields.Name(required=False, help_text="Default: the name of the image with the format behind it.")


class ImageWorkSerializer(serializers.Serializer[Any]):
    image = ImageSerializer(help_text="The image that gets data.")
    operation = operations.OperationSerializer()


class ImageImport(View):
    """The data of a queued image, from elsewhere."""

    permissions: ClassVar = {"POST": "images.image.update"}
    bodies: ClassVar = {"POST": ImportImage}

    @extend_schema(
        operation_id="images_import", parameters=[WaitQuery, IDEMPOTENCY_KEY], request=ImportImage,
        responses={202: ImageWorkSerializer}, tags=["images"],
    )
    def post(self, request: Request, image_id: uuid.UUID) -> Response:
        """Fetch the data from a URL or an object of the object store. The answer comes at once: watch the operation."""
        actor, wait = actor_of(request), WaitQuery.read(request)["wait"]
        wanted = ImportImage.read(request)
        source = imports.FromUrl(**wanted) if "url" in wanted else imports.FromObject(**wanted)
        operation = imports.start(actor=actor, image_id=image_id, source=source, client_token=idempotency_key(request))
        return _accepted(request, operation, wait)


class ImageConvert(View):
    """The content of an active image, in another format."""

    permissions: ClassVar = {"POST": "images.image.create"}
    bodies: ClassVar = {"POST": ConvertImage}

    @extend_schema(
        operation_id="images_convert", parameters=[WaitQuery, IDEMPOTENCY_KEY], request=ConvertImage,
        responses={202: ImageWorkSerializer}, tags=["images"],
    )
    def post(self, request: Request, image_id: uuid.UUID) -> Response:
        """Make a new image of it, in another format. The answer comes at once: watch the operation."""
        actor, wait = actor_of(request), WaitQuery.read(request)["wait"]
        _, operation = convert.start(actor=actor, image_id=image_id, client_token=idempotency_key(request), **ConvertImage.read(request))
        return _accepted(request, operation, wait)


def _accepted(request: Request, operation: Any, wait: float) -> Response:
    actor = actor_of(request)
    [operation] = wait_for([operation], wait)
    shown = {"image": image(actor, Image.objects.get(pk=operation.resource_id)), "operation": operations.operation(actor, operation)}
    return Response(shown, status=202, headers={"Location": f"/api/v1/operations/{operation.pk}"})
