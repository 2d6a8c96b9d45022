"""Application credentials and their access rules over HTTP."""

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
from apps.identity import access_rules
from apps.identity.access_rules import Rule
from apps.identity.api.authentication import actor_of
from apps.identity.models import AccessRule, ApplicationCredential
from apps.identity.selectors import delegated
from apps.identity.services import application_credentials

_NAME = "identity.application_credential"


class RuleInput(Input):
    """A kind of request."""

    service = fields.Line(max_length=access_rules.SERVICE, help_text="Service type: compute, image, …; cloudsite is this API.")
    method = fields.Choice(choices=[(method, method) for method in access_rules.METHODS])
    path = fields.Line(max_length=access_rules.PATH, help_text="`*` and `{name}`: one segment; `**`: any number of them.")


class CreateApplicationCredential(Input):
    """A password for a program, for the project that one works in."""

    name = fields.Name(max_length=255)
    description = fields.Line(max_length=255, default="", allow_blank=True)
    secret = fields.Text(max_length=255, default="", allow_blank=True, trim_whitespace=False, help_text="Made, unless given.")
    roles = serializers.ListField(
        child=fields.Line(max_length=255), default=None, allow_null=True, max_length=50, help_text="Names or ids; default: all of one's own."
    )
    permissions = serializers.ListField(
        child=fields.Line(max_length=64), default=None, allow_null=True, max_length=200,
        help_text="Only these of what the roles give; patterns such as `compute.*` are taken.",
    )
    unrestricted = fields.Flag(default=False, help_text="May make further credentials, keys and trusts.")
    expires_at = serializers.DateTimeField(default=None, allow_null=True)
    access_rules = RuleInput(many=True, default=list, help_text="The only requests that it may make; default: any.")


class RuleSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    service = serializers.CharField()
    method = serializers.CharField()
    path = serializers.CharField()


class ApplicationCredentialSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    project_id = serializers.UUIDField()
    project_name = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    permissions = serializers.ListField(child=serializers.CharField(), allow_null=True)
    unrestricted = serializers.BooleanField()
    access_rules = RuleSerializer(many=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class MadeApplicationCredentialSerializer(ApplicationCredentialSerializer):
    secret = serializers.CharField(help_text="Shown this once and never again.")


def rule(row: AccessRule) -> dict[str, Any]:
    return {"id": row.pk, "service": row.service, "method": row.method, "path": row.path}


def application_credential(row: ApplicationCredential) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "description": row.description, "project_id": row.project_id, "project_name": row.project.name,
        "roles": [role.name for role in row.roles.all()], "permissions": row.permissions, "unrestricted": row.unrestricted,
        "access_rules": [rule(each) for each in row.access_rules.all()], "expires_at": row.expires_at, "created_at": row.created_at,
        "last_used_at": row.last_used_at,
    }


class ApplicationCredentialList(View):
    """Passwords of programs."""

    permissions: ClassVar = {"GET": f"{_NAME}.list", "POST": f"{_NAME}.create"}
    bodies: ClassVar = {"POST": CreateApplicationCredential}

    @extend_schema(
        operation_id="application_credentials_list", parameters=[PageQuery], responses=paged(ApplicationCredentialSerializer),
        tags=["identity"],
    )
    def get(self, request: Request) -> Response:
        """List one's own, of all one's projects."""
        PageQuery.read(request)
        return page(request, delegated.application_credentials(actor=actor_of(request)), application_credential)

    @extend_schema(
        operation_id="application_credentials_create", request=CreateApplicationCredential,
        responses={201: MadeApplicationCredentialSerializer}, tags=["identity"],
    )
    def post(self, request: Request) -> Response:
        """Make one for the project that one works in. The secret is shown this once."""
        NoQuery.read(request)
        wanted = CreateApplicationCredential.read(request)
        rules = [Rule(**each) for each in wanted.pop("access_rules")]
        made = application_credentials.create(actor=actor_of(request), rules=rules, **wanted)
        return Response({**application_credential(made.credential), "secret": made.secret}, status=201)


class ApplicationCredentialDetail(View):
    """One of them."""

    permissions: ClassVar = {"GET": f"{_NAME}.get", "DELETE": f"{_NAME}.delete"}

    @extend_schema(operation_id="application_credentials_get", responses=ApplicationCredentialSerializer, tags=["identity"])
    def get(self, request: Request, credential_id: uuid.UUID) -> Response:
        """Show it; its secret cannot be shown again."""
        NoQuery.read(request)
        return Response(application_credential(delegated.application_credential(actor=actor_of(request), credential_id=credential_id)))

    @extend_schema(operation_id="application_credentials_delete", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, credential_id: uuid.UUID) -> Response:
        """Delete it: it, its tokens and access keys stop working at once."""
        NoQuery.read(request)
        application_credentials.delete(actor=actor_of(request), credential_id=credential_id)
        return Response(status=204)


class AccessRuleList(View):
    """Kinds of requests that application credentials of one's own were limited to."""

    permissions: ClassVar = {"GET": f"{_NAME}.list"}

    @extend_schema(operation_id="access_rules_list", parameters=[PageQuery], responses=paged(RuleSerializer), tags=["identity"])
    def get(self, request: Request) -> Response:
        """List one's own access rules."""
        PageQuery.read(request)
        return page(request, delegated.access_rules(actor=actor_of(request)), rule)


class AccessRuleDetail(View):
    """One access rule."""

    permissions: ClassVar = {"DELETE": f"{_NAME}.delete"}

    @extend_schema(operation_id="access_rules_delete", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, rule_id: uuid.UUID) -> Response:
        """Delete one that no application credential has any more."""
        NoQuery.read(request)
        application_credentials.delete_rule(actor=actor_of(request), rule_id=rule_id)
        return Response(status=204)
