"""Shapes of tokens, and of who one is by them."""

from typing import Any

from rest_framework import serializers

from apps.common.context import Actor
from apps.identity.models import Token
from apps.identity.standing import Bearer, Standing


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
    user_domain_id = serializers.UUIDField()
    user_domain_name = serializers.CharField()
    is_operator = serializers.BooleanField(help_text="Has a role on the system.")
    project_id = serializers.UUIDField(allow_null=True, help_text="Where one works.")
    project_name = serializers.CharField(allow_null=True)
    project_domain_id = serializers.UUIDField(allow_null=True)
    project_domain_name = serializers.CharField(allow_null=True)
    domain_id = serializers.UUIDField(allow_null=True, help_text="Where one works who works in a domain and not in a project.")
    domain_name = serializers.CharField(allow_null=True)
    roles = serializers.ListField(child=serializers.CharField())
    permissions = serializers.ListField(child=serializers.CharField(), help_text="What one may do here.")
    system_permissions = serializers.ListField(child=serializers.CharField(), help_text="What one may do everywhere.")
    token = TokenSerializer(allow_null=True)


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


def whoami(actor: Actor, row: Bearer | None, found: Standing) -> dict[str, Any]:
    in_domain, in_project = actor.domain_id is not None, actor.project_id is not None
    return {
        "user_id": actor.user_id, "user_name": actor.user_name, "user_domain_id": found.user_domain_id,
        "user_domain_name": found.user_domain_name, "is_operator": bool(actor.system_grants),
        "project_id": actor.project_id, "project_name": found.place_name if in_project else None,
        "project_domain_id": found.place_domain_id if in_project else None,
        "project_domain_name": found.place_domain_name if in_project else None,
        "domain_id": actor.domain_id, "domain_name": found.place_name if in_domain else None,
        "roles": list(actor.roles), "permissions": sorted(actor.grants | actor.system_grants | actor.own_grants),
        "system_permissions": sorted(actor.system_grants), "token": bearer(row) if row else None,
    }
