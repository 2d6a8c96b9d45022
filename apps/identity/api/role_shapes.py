"""Shapes of roles, role assignments and permissions."""

from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.identity.api.place_shapes import Options
from apps.identity.fields import DESCRIPTION, ROLE_NAME
from apps.identity.models import Assignment, ImpliedRole, Role
from apps.identity.permissions import TABLE, Permission
from apps.identity.selectors import Effective


class UpdateRole(Input):
    name = fields.Name(max_length=ROLE_NAME, required=False)
    description = fields.Text(max_length=DESCRIPTION, allow_blank=True, required=False)
    permissions = serializers.ListField(
        child=fields.Line(max_length=64), required=False, max_length=200, help_text="Names, or patterns such as `compute.*`."
    )
    options = Options(required=False)


class CreateRole(UpdateRole):
    name = fields.Name(max_length=ROLE_NAME)
    domain_id = fields.Id(required=False, allow_null=True, help_text="A role of this domain's own; default: one for everywhere.")


class RoleSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    domain_id = serializers.UUIDField(allow_null=True)
    description = serializers.CharField()
    builtin = serializers.BooleanField(help_text="What it may is in the table of permissions.")
    permissions = serializers.ListField(child=serializers.CharField())
    options = serializers.DictField()
    created_at = serializers.DateTimeField()


class ImpliedRoleSerializer(serializers.Serializer[Any]):
    prior_id = serializers.UUIDField()
    prior_name = serializers.CharField()
    implied_id = serializers.UUIDField()
    implied_name = serializers.CharField()


class ImpliedRolesSerializer(serializers.Serializer[Any]):
    items = ImpliedRoleSerializer(many=True)


class GiveRole(Input):
    """Give a role to a user or a group: in a project or domain, or on the system if neither is named."""

    role = fields.Text(max_length=255, help_text="Id, or name of a role without a domain.")
    user_id = fields.Id(default=None, allow_null=True)
    group_id = fields.Id(default=None, allow_null=True)
    project_id = fields.Id(default=None, allow_null=True, help_text="A project, or a domain by its id.")
    inherited = fields.Flag(default=False, help_text="Not there itself, but in all projects below.")


class AssignmentSerializer(serializers.Serializer[Any]):
    """A role as it was given; with `effective=true` a role that follows, and `why`."""

    id = serializers.UUIDField(help_text="Of what was given.")
    role_id = serializers.UUIDField()
    role_name = serializers.CharField()
    user_id = serializers.UUIDField(allow_null=True)
    username = serializers.CharField(allow_null=True)
    group_id = serializers.UUIDField(allow_null=True, help_text="Effective: the group that the user has it by.")
    group_name = serializers.CharField(allow_null=True)
    project_id = serializers.UUIDField(allow_null=True)
    project_name = serializers.CharField(allow_null=True)
    system = serializers.BooleanField()
    inherited = serializers.BooleanField(help_text="Given for all projects below; effective: given in one above.")
    inherited_from_id = serializers.UUIDField(allow_null=True, help_text="Effective: the project or domain above.")
    implied_by = serializers.CharField(allow_null=True, help_text="Effective: the role that was given, if that is another one.")
    why = serializers.CharField(allow_null=True, help_text="Effective: where it comes from, for people.")


class PermissionSerializer(serializers.Serializer[Any]):
    """Roles per scope; null: not asked there. An empty list: nobody."""

    name = serializers.CharField()
    text = serializers.CharField()
    project = serializers.ListField(child=serializers.CharField(), allow_null=True)
    domain = serializers.ListField(child=serializers.CharField(), allow_null=True)
    system = serializers.ListField(child=serializers.CharField(), allow_null=True)
    own = serializers.BooleanField(help_text="Everybody has it over oneself.")
    overridden = serializers.BooleanField(help_text="By the operator's policy file.")


class PermissionsSerializer(serializers.Serializer[Any]):
    items = PermissionSerializer(many=True)


def role(row: Role) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "domain_id": row.domain_id, "description": row.description, "builtin": row.builtin,
        "permissions": row.permissions, "options": row.options, "created_at": row.created_at,
    }


def implied(row: ImpliedRole) -> dict[str, Any]:
    return {
        "prior_id": row.prior_id, "prior_name": row.prior.name, "implied_id": row.implied_id, "implied_name": row.implied.name,
    }


def assignment(row: Assignment) -> dict[str, Any]:
    return {
        "id": row.pk, "role_id": row.role_id, "role_name": row.role.name,
        "user_id": row.user_id, "username": row.user.username if row.user else None,
        "group_id": row.group_id, "group_name": row.group.name if row.group else None,
        "project_id": row.project_id, "project_name": row.project.name if row.project else None,
        "system": row.system, "inherited": row.inherited, "inherited_from_id": None, "implied_by": None, "why": None,
    }


def effective(row: Effective) -> dict[str, Any]:
    return {
        "id": row.assignment.pk, "role_id": row.role.id, "role_name": row.role.name,
        "user_id": row.user.pk, "username": row.user.username,
        "group_id": row.group.pk if row.group else None, "group_name": row.group.name if row.group else None,
        "project_id": row.place.pk if row.place else None, "project_name": row.place.name if row.place else None,
        "system": row.place is None, "inherited": row.inherited_from is not None,
        "inherited_from_id": row.inherited_from.pk if row.inherited_from else None,
        "implied_by": row.given_role if row.prior else None, "why": row.why,
    }


def permission(row: Permission) -> dict[str, Any]:
    scopes = {scope: None if roles is None else list(roles) for scope, roles in (
        ("project", row.project), ("domain", row.domain), ("system", row.system),
    )}
    return {"name": row.name, "text": row.text, **scopes, "own": row.own, "overridden": row != TABLE[row.name]}
