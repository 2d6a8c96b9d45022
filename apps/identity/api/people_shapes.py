"""Shapes of users and groups. A password comes in and never goes out."""

from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.identity.fields import DESCRIPTION, EMAIL, GROUP_NAME, USER_NAME
from apps.identity.models import Group, User

_MOST_PASSWORD = 4096


def _option(text: str) -> fields.Flag:
    return fields.Flag(required=False, allow_null=True, help_text=text)


class UserOptions(Input):
    """null takes an option away."""

    ignore_change_password_upon_first_use = _option("Need not set a password of one's own after the first sign-in.")
    ignore_password_expiry = _option("The password does not expire.")
    ignore_lockout_failure_attempts = _option("Is not locked out by wrong passwords.")
    lock_password = _option("Does not change the password oneself.")
    ignore_user_inactivity = _option("Is not disabled for being away.")
    multi_factor_auth_enabled = _option("Signs in by the rules below.")
    multi_factor_auth_rules = serializers.ListField(
        child=serializers.ListField(child=fields.Text(max_length=64), allow_empty=False, max_length=16),
        required=False, allow_null=True, max_length=16, help_text="Ways in: lists of methods that are needed together.",
    )


class UpdateUser(Input):
    username = fields.Name(max_length=USER_NAME, required=False)
    email = fields.Line(max_length=EMAIL, allow_blank=True, required=False)
    description = fields.Text(max_length=DESCRIPTION, allow_blank=True, required=False)
    enabled = fields.Flag(required=False, help_text="A disabled user is out at once.")
    default_project_id = fields.Id(required=False, allow_null=True, help_text="Where one works who names no project.")
    options = UserOptions(required=False)


class CreateUser(UpdateUser):
    username = fields.Name(max_length=USER_NAME)
    password = fields.Text(
        max_length=_MOST_PASSWORD, trim_whitespace=False, required=False, allow_null=True, help_text="Without one there is no signing in by it."
    )
    domain_id = fields.Id(required=False, allow_null=True, help_text="Default: one's own domain, or the default one.")


class SetPassword(Input):
    password = fields.Text(max_length=_MOST_PASSWORD, trim_whitespace=False, allow_null=True, help_text="null: none.")


class ChangePassword(Input):
    """One's own password."""

    old_password = fields.Text(max_length=_MOST_PASSWORD, trim_whitespace=False)
    password = fields.Text(max_length=_MOST_PASSWORD, trim_whitespace=False)


class UserSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    username = serializers.CharField()
    domain_id = serializers.UUIDField()
    email = serializers.CharField()
    description = serializers.CharField()
    enabled = serializers.BooleanField()
    source = serializers.CharField(help_text="database or ldap")  # type: ignore[assignment]
    default_project_id = serializers.UUIDField(allow_null=True)
    options = serializers.DictField()
    password_expires_at = serializers.DateTimeField(allow_null=True)
    last_login = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class UpdateGroup(Input):
    name = fields.Name(max_length=GROUP_NAME, required=False)
    description = fields.Text(max_length=DESCRIPTION, allow_blank=True, required=False)


class CreateGroup(UpdateGroup):
    name = fields.Name(max_length=GROUP_NAME)
    domain_id = fields.Id(required=False, allow_null=True, help_text="Default: one's own domain, or the default one.")


class GroupSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    domain_id = serializers.UUIDField()
    description = serializers.CharField()
    source = serializers.CharField(help_text="database or ldap")  # type: ignore[assignment]
    created_at = serializers.DateTimeField()


def user(row: User) -> dict[str, Any]:
    return {
        "id": row.pk, "username": row.username, "domain_id": row.domain_id, "email": row.email, "description": row.description,
        "enabled": row.is_active, "source": row.source, "default_project_id": row.default_project_id, "options": row.options,
        "password_expires_at": row.password_expires_at, "last_login": row.last_login, "created_at": row.created_at,
    }


def group(row: Group) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "domain_id": row.domain_id, "description": row.description, "source": row.source,
        "created_at": row.created_at,
    }
