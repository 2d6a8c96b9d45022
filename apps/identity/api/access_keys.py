"""Access keys over HTTP."""

import uuid
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api import fields
from apps.common.api.inputs import Input, NoQuery, PageQuery
from apps.common.api.pagination import page
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.identity.api.authentication import actor_of
from apps.identity.models import Credential
from apps.identity.selectors import delegated
from apps.identity.services import access_keys

_NAME = "identity.access_key"


class CreateAccessKey(Input):
    """A key for EC2 and S3 clients, for the project that one works in."""

    name = fields.Line(max_length=64, default="", allow_blank=True, help_text="To tell one's keys apart.")


class AccessKeySerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    access = serializers.CharField(help_text="The public half: what clients call the access key id.")
    name = serializers.CharField()
    project_id = serializers.UUIDField()
    project_name = serializers.CharField()
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class MadeAccessKeySerializer(AccessKeySerializer):
    secret = serializers.CharField(help_text="Shown this once and never again.")


def access_key(row: Credential) -> dict[str, Any]:
    assert row.project is not None
    return {
        "id": row.pk, "access": row.access, "name": row.name, "project_id": row.project_id, "project_name": row.project.name,
        "created_at": row.created_at, "last_used_at": row.last_used_at,
    }


class AccessKeyList(View):
    """Keys with which EC2 and S3 clients sign their requests."""

    permissions: ClassVar = {"GET": f"{_NAME}.list", "POST": f"{_NAME}.create"}
    bodies: ClassVar = {"POST": CreateAccessKey}

    @extend_schema(operation_id="access_keys_list", parameters=[PageQuery], responses=paged(AccessKeySerializer), tags=["identity"])
    def get(self, request: Request) -> Response:
        """List one's own, of all one's projects."""
        PageQuery.read(request)
        return page(request, delegated.access_keys(actor=actor_of(request)), access_key)

    @extend_schema(
        operation_id="access_keys_create", request=CreateAccessKey, responses={201: MadeAccessKeySerializer}, tags=["identity"]
    )
    def post(self, request: Request) -> Response:
        """Make one for the project that one works in. The secret is shown this once."""
        NoQuery.read(request)
        made = access_keys.create(actor=actor_of(request), **CreateAccessKey.read(request))
        return Response({**access_key(made.key), "secret": made.secret}, status=201)


class AccessKeyDetail(View):
    """One access key."""

    permissions: ClassVar = {"GET": f"{_NAME}.get", "DELETE": f"{_NAME}.delete"}

    @extend_schema(operation_id="access_keys_get", responses=AccessKeySerializer, tags=["identity"])
    def get(self, request: Request, key_id: uuid.UUID) -> Response:
        """Show it; its secret cannot be shown again."""
        NoQuery.read(request)
        return Response(access_key(delegated.access_key(actor=actor_of(request), key_id=key_id)))

    @extend_schema(operation_id="access_keys_delete", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, key_id: uuid.UUID) -> Response:
        """Delete it: what is signed with it is refused at once."""
        NoQuery.read(request)
        access_keys.delete(actor=actor_of(request), key_id=key_id)
        return Response(status=204)
