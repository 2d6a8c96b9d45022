"""Views of security groups and their rules."""

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
from apps.network import selectors
from apps.network.api import filters
from apps.network.api import group_shapes as shapes
from apps.network.services import groups


class SecurityGroupList(View):
    """Sets of rules for ports."""

    permissions: ClassVar = {"GET": "network.security_group.list", "POST": "network.security_group.create"}
    bodies: ClassVar = {"POST": shapes.CreateSecurityGroup}

    @extend_schema(
        operation_id="security_groups_list", parameters=[filters.SecurityGroupQuery], responses=paged(shapes.SecurityGroupSerializer),
        tags=["network"],
    )
    def get(self, request: Request) -> Response:
        """List security groups with their rules."""
        return page(request, filters.security_groups(actor_of(request), filters.SecurityGroupQuery.read(request)), shapes.group)

    @extend_schema(
        operation_id="security_groups_create", request=shapes.CreateSecurityGroup, responses={201: shapes.SecurityGroupSerializer}, tags=["network"]
    )
    def post(self, request: Request) -> Response:
        """Create a group whose members may send anything, and are sent nothing but answers."""
        NoQuery.read(request)
        wanted = shapes.CreateSecurityGroup.read(request)
        return Response(shapes.group(groups.create(actor=actor_of(request), **wanted)), status=201)


class SecurityGroupDetail(View):
    """One security group."""

    permissions: ClassVar = {
        "GET": "network.security_group.get", "PATCH": "network.security_group.update", "DELETE": "network.security_group.delete"
    }
    bodies: ClassVar = {"PATCH": shapes.UpdateSecurityGroup}

    @extend_schema(operation_id="security_groups_get", responses=shapes.SecurityGroupSerializer, tags=["network"])
    def get(self, request: Request, security_group_id: uuid.UUID) -> Response:
        """Show a security group with its rules."""
        NoQuery.read(request)
        return Response(shapes.group(selectors.group(actor=actor_of(request), group_id=security_group_id)))

    @extend_schema(
        operation_id="security_groups_update", request=shapes.UpdateSecurityGroup, responses=shapes.SecurityGroupSerializer, tags=["network"]
    )
    def patch(self, request: Request, security_group_id: uuid.UUID) -> Response:
        """Change name and description; of the default group the description."""
        NoQuery.read(request)
        wanted = shapes.UpdateSecurityGroup.read(request)
        return Response(shapes.group(groups.update(actor=actor_of(request), group_id=security_group_id, **wanted)))

    @extend_schema(operation_id="security_groups_delete", responses={204: None}, tags=["network"])
    def delete(self, request: Request, security_group_id: uuid.UUID) -> Response:
        """Delete a group. Refused while ports are in it or rules of others name it; the refusal names them."""
        NoQuery.read(request)
        groups.delete(actor=actor_of(request), group_id=security_group_id)
        return Response(status=204)


class RuleList(View):
    """Rules of security groups."""

    permissions: ClassVar = {"GET": "network.security_group.list", "POST": "network.security_group.update"}
    bodies: ClassVar = {"POST": shapes.CreateSecurityGroupRule}

    @extend_schema(
        operation_id="security_group_rules_list", parameters=[filters.RuleQuery], responses=paged(shapes.SecurityGroupRuleSerializer), tags=["network"]
    )
    def get(self, request: Request) -> Response:
        """List rules of the project's security groups."""
        return page(request, filters.rules(actor_of(request), filters.RuleQuery.read(request)), shapes.rule)

    @extend_schema(
        operation_id="security_group_rules_create", request=shapes.CreateSecurityGroupRule, responses={201: shapes.SecurityGroupRuleSerializer}, tags=["network"]
    )
    def post(self, request: Request) -> Response:
        """Allow something more to all members of a group, at once."""
        NoQuery.read(request)
        wanted = shapes.CreateSecurityGroupRule.read(request)
        return Response(shapes.rule(groups.add_rule(actor=actor_of(request), **wanted)), status=201)


class RuleDetail(View):
    """One rule."""

    permissions: ClassVar = {"GET": "network.security_group.get", "DELETE": "network.security_group.update"}

    @extend_schema(operation_id="security_group_rules_get", responses=shapes.SecurityGroupRuleSerializer, tags=["network"])
    def get(self, request: Request, security_group_rule_id: uuid.UUID) -> Response:
        """Show a rule."""
        NoQuery.read(request)
        return Response(shapes.rule(selectors.rule(actor=actor_of(request), rule_id=security_group_rule_id)))

    @extend_schema(operation_id="security_group_rules_delete", responses={204: None}, tags=["network"])
    def delete(self, request: Request, security_group_rule_id: uuid.UUID) -> Response:
        """Delete a rule. What it allowed ends at once, also for connections that are open."""
        NoQuery.read(request)
        groups.delete_rule(actor=actor_of(request), rule_id=security_group_rule_id)
        return Response(status=204)
