"""Shapes of users, projects, role assignments and tokens."""

from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.common.context import Actor
from apps.identity.models import Assignment, Project, Token, User
from apps.identity.standing import Bearer


class CreateToken(Input):
    """Exchange a password for a bearer token."""

    username = fields.Text(max_length=255)
    password = fields.Text(max_length=4096, trim_whitespace=False)
    domain = fields.Text(max_length=64, default="", allow_blank=True, help_text="Of the user: id or name; default: Default.")
    project = fields.Text(max_length=64, default="", allow_blank=True, help_text="Id or name; needed by members of several.")
    name = fields.Line(max_length=64, default="", allow_blank=True, help_text="To tell one's tokens apart.")
    hours = fields.Whole(min_value=1, max_value=8760, default=None, allow_null=True, help_text="Life; default by the operator.")


class TokenSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    prefix = serializers.CharField(help_text="The first characters of the secret.")
    project_id = serializers.UUIDField(allow_null=True)
    project_name = serializers.CharField(allow_null=True)
    system = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class IssuedTokenSerializer(TokenSerializer):
    secret = serializers.CharField(help_text="Shown this once and never again.")


class WhoAmISerializer(serializers.Serializer[Any]):
    user_id = serializers.UUIDField()
    user_name = serializers.CharField()
    is_operator = serializers.BooleanField(help_text="Has a role on the system.")
    project_id = serializers.UUIDField(allow_null=True)
    project_name = serializers.CharField(allow_null=True)
    domain_id = serializers.UUIDField(allow_null=True)
    roles = serializers.ListField(child=serializers.CharField())
    permissions = serializers.ListField(child=serializers.CharField(), help_text="What one may do here.")
    token = TokenSerializer(allow_null=True)


class CreateProject(Input):
    name = fields.Name(max_length=64)
    description = fields.Line(max_length=255, default="", allow_blank=True)


class ProjectSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    domain_id = serializers.UUIDField()
    parent_id = serializers.UUIDField()
    enabled = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class CreateUser(Input):
    username = fields.Name(max_length=255)
    password = fields.Text(max_length=4096, trim_whitespace=False)
    email = fields.Line(max_length=254, default="", allow_blank=True)


class UserSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    username = serializers.CharField()
    domain_id = serializers.UUIDField()
    email = serializers.CharField()
    source = serializers.CharField(help_text="database or ldap")  # type: ignore[assignment]
    is_active = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class GiveRole(Input):
    """Give a role to a user or a group: in a project or domain, or on the system if neither is named."""

    role = fields.Text(max_length=255, help_text="Id or name.")
    user_id = fields.Id(default=None, allow_null=True)
    group_id = fields.Id(default=None, allow_null=True)
    project_id = fields.Id(default=None, allow_null=True, help_text="A project, or a domain by its id.")
    inherited = fields.Flag(default=False, help_text="Not there itself, but in all projects below.")


class AssignmentSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    role_id = serializers.UUIDField()
    role_name = serializers.CharField()
    user_id = serializers.UUIDField(allow_null=True)
    username = serializers.CharField(allow_null=True)
    group_id = serializers.UUIDField(allow_null=True)
    group_name = serializers.CharField(allow_null=True)
    project_id = serializers.UUIDField(allow_null=True)
    project_name = serializers.CharField(allow_null=True)
    system = serializers.BooleanField()
    inherited = serializers.BooleanField()


def token(row: Token) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "prefix": row.prefix, "project_id": row.project_id,
        "project_name": row.project.name if row.project else None, "system": row.system,
        "created_at": row.created_at, "expires_at": row.expires_at, "last_used_at": row.last_used_at,
    }


def bearer(row: Bearer) -> dict[str, Any]:
    return {
        "id": row.id, "name": row.name, "prefix": row.prefix, "project_id": row.standing.place_id,
        "project_name": row.standing.place_name, "system": row.system,
        "created_at": row.created_at, "expires_at": row.expires_at, "last_used_at": row.last_used_at,
    }


def whoami(actor: Actor, row: Bearer | None, project: Project | None) -> dict[str, Any]:
    return {
        "user_id": actor.user_id, "user_name": actor.user_name, "is_operator": bool(actor.system_grants),
        "project_id": actor.project_id, "project_name": project.name if project else None, "domain_id": actor.domain_id,
        "roles": list(actor.roles), "permissions": sorted(actor.grants | actor.system_grants | actor.own_grants),
        "token": bearer(row) if row else None,
    }


def project(row: Project) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "description": row.description, "domain_id": row.domain_id,
        "parent_id": row.parent_id, "enabled": row.enabled, "created_at": row.created_at,
    }


def user(row: User) -> dict[str, Any]:
    return {
        "id": row.pk, "username": row.username, "domain_id": row.domain_id, "email": row.email, "source": row.source,
        "is_active": row.is_active, "created_at": row.created_at,
    }


def assignment(row: Assignment) -> dict[str, Any]:
    return {
        "id": row.pk, "role_id": row.role_id, "role_name": row.role.name,
        "user_id": row.user_id, "username": row.user.username if row.user else None,
        "group_id": row.group_id, "group_name": row.group.name if row.group else None,
        "project_id": row.project_id, "project_name": row.project.name if row.project else None,
        "system": row.system, "inherited": row.inherited,
    }
