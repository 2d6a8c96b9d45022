"""Trusts over HTTP. Tokens by a trust are had from Identity v3."""

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
from apps.identity import policy
from apps.identity.api.authentication import actor_of
from apps.identity.models import Trust
from apps.identity.selectors import delegated
from apps.identity.services import ceilings, trusts
from apps.identity.services.trusts import Wanted

_NAME = "identity.trust"


class CreateTrust(Input):
    """Let another user act with roles of one's own in the project that one works in."""

    trustee_id = fields.Id()
    roles = serializers.ListField(child=fields.Line(max_length=255), min_length=1, max_length=50, help_text="Names or ids.")
    impersonation = fields.Flag(default=False, help_text="The tokens are those of the trustor, not of the trustee.")
    expires_at = serializers.DateTimeField(default=None, allow_null=True)
    remaining_uses = fields.Whole(min_value=1, max_value=2**31 - 1, default=None, allow_null=True, help_text="Most tokens; default: any number.")


class TrustSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    trustor_id = serializers.UUIDField()
    trustor_name = serializers.CharField()
    trustee_id = serializers.UUIDField()
    trustee_name = serializers.CharField()
    project_id = serializers.UUIDField(allow_null=True)
    project_name = serializers.CharField(allow_null=True)
    roles = serializers.ListField(child=serializers.CharField())
    impersonation = serializers.BooleanField()
    expires_at = serializers.DateTimeField(allow_null=True)
    remaining_uses = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()


def trust(row: Trust) -> dict[str, Any]:
    return {
        "id": row.pk, "trustor_id": row.trustor_id, "trustor_name": row.trustor.username, "trustee_id": row.trustee_id,
        "trustee_name": row.trustee.username, "project_id": row.project_id, "project_name": row.project.name if row.project else None,
        "roles": sorted(role.name for role in row.roles.all()), "impersonation": row.impersonation, "expires_at": row.expires_at,
        "remaining_uses": row.remaining_uses, "created_at": row.created_at,
    }


class TrustList(View):
    """Who may act for whom."""

    permissions: ClassVar = {"GET": f"{_NAME}.list", "POST": f"{_NAME}.create"}
    bodies: ClassVar = {"POST": CreateTrust}

    @extend_schema(operation_id="trusts_list", parameters=[PageQuery], responses=paged(TrustSerializer), tags=["identity"])
    def get(self, request: Request) -> Response:
        """List those that one gave or was given; operators see all."""
        PageQuery.read(request)
        return page(request, delegated.trusts(actor=actor_of(request)), trust)

    @extend_schema(operation_id="trusts_create", request=CreateTrust, responses={201: TrustSerializer}, tags=["identity"])
    def post(self, request: Request) -> Response:
        """Give one, in the project that one works in."""
        NoQuery.read(request)
        given, actor = CreateTrust.read(request), actor_of(request)
        wanted = Wanted(trustor_id=ceilings.user_of(actor), project_id=policy.in_project(actor), **given)
        return Response(trust(trusts.create(actor=actor, wanted=wanted)), status=201)


class TrustDetail(View):
    """One trust."""

    permissions: ClassVar = {"GET": f"{_NAME}.get", "DELETE": f"{_NAME}.delete"}

    @extend_schema(operation_id="trusts_get", responses=TrustSerializer, tags=["identity"])
    def get(self, request: Request, trust_id: uuid.UUID) -> Response:
        """Show one that one gave or was given."""
        NoQuery.read(request)
        return Response(trust(delegated.trust(actor=actor_of(request), trust_id=trust_id)))

    @extend_schema(operation_id="trusts_delete", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, trust_id: uuid.UUID) -> Response:
        """End one that one gave: tokens by it stop working at once."""
        NoQuery.read(request)
        trusts.delete(actor=actor_of(request), trust_id=trust_id)
        return Response(status=204)
