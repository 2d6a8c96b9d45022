"""Shapes of users, projects, memberships and tokens."""

from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.common.context import Actor
from apps.identity.models import Membership, Project, Token, User
from apps.identity.roles import Role

ROLES = [role.value for role in Role]


class CreateToken(Input):
    """Exchange a password for a bearer token."""

    username = fields.Text(max_length=150)
    password = fields.Text(max_length=4096, trim_whitespace=False)
    project = fields.Text(max_length=64, default="", allow_blank=True, help_text="Id or name; needed by members of several.")
    name = fields.Line(max_length=64, default="", allow_blank=True, help_text="To tell one's tokens apart.")
    hours = fields.Whole(min_value=1, max_value=8760, default=None, allow_null=True, help_text="Life; default by the operator.")


class TokenSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    prefix = serializers.CharField(help_text="The first characters of the secret.")
    project_id = serializers.UUIDField()
    project_name = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class IssuedTokenSerializer(TokenSerializer):
    secret = serializers.CharField(help_text="Shown this once and never again.")


class WhoAmISerializer(serializers.Serializer[Any]):
    user_id = serializers.UUIDField()
    user_name = serializers.CharField()
    is_operator = serializers.BooleanField()
    project_id = serializers.UUIDField(allow_null=True)
    project_name = serializers.CharField(allow_null=True)
    role = serializers.ChoiceField(choices=ROLES)
    token = TokenSerializer(allow_null=True)


class CreateProject(Input):
    name = fields.Name(max_length=64)
    description = fields.Line(max_length=255, default="", allow_blank=True)


class ProjectSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    enabled = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class CreateUser(Input):
    username = fields.Name(max_length=150)
    password = fields.Text(max_length=4096, trim_whitespace=False)
    email = fields.Line(max_length=254, default="", allow_blank=True)
    is_operator = fields.Flag(default=False)


class UserSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    username = serializers.CharField()
    email = serializers.CharField()
    is_operator = serializers.BooleanField()
    is_active = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class PutMembership(Input):
    user_id = fields.Id()
    project_id = fields.Id()
    role = fields.Choice(choices=ROLES)


class MembershipSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    user_id = serializers.UUIDField()
    username = serializers.CharField()
    project_id = serializers.UUIDField()
    project_name = serializers.CharField()
    role = serializers.ChoiceField(choices=ROLES)


def token(row: Token) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "prefix": row.prefix, "project_id": row.project_id, "project_name": row.project.name,
        "created_at": row.created_at, "expires_at": row.expires_at, "last_used_at": row.last_used_at,
    }


def whoami(actor: Actor, row: Token | None, project: Project | None) -> dict[str, Any]:
    return {
        "user_id": actor.user_id, "user_name": actor.user_name, "is_operator": actor.is_admin,
        "project_id": actor.project_id, "project_name": project.name if project else None, "role": actor.role,
        "token": token(row) if row else None,
    }


def project(row: Project) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "description": row.description, "enabled": row.enabled, "created_at": row.created_at,
    }


def user(row: User) -> dict[str, Any]:
    return {
        "id": row.pk, "username": row.username, "email": row.email, "is_operator": row.is_superuser,
        "is_active": row.is_active, "created_at": row.date_joined,
    }


def membership(row: Membership) -> dict[str, Any]:
    return {
        "id": row.pk, "user_id": row.user_id, "username": row.user.username, "project_id": row.project_id,
        "project_name": row.project.name, "role": row.role,
    }
