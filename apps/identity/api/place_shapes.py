"""Shapes of domains and projects."""

from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.identity import selectors
from apps.identity.fields import DESCRIPTION, MOST_TAGS, PROJECT_NAME, TAG
from apps.identity.models import Project


class Options(Input):
    """null takes an option away."""

    immutable = fields.Flag(required=False, allow_null=True, help_text="Neither changed nor deleted until this is taken back.")


def _tags(**options: Any) -> serializers.ListField:
    return serializers.ListField(
        child=fields.Text(max_length=TAG), max_length=MOST_TAGS, help_text="Without slashes and commas.", **options
    )


class UpdateDomain(Input):
    name = fields.Name(max_length=PROJECT_NAME, required=False)
    description = fields.Text(max_length=DESCRIPTION, allow_blank=True, required=False)
    enabled = fields.Flag(required=False, help_text="With a disabled domain all its users and projects are out at once.")
    tags = _tags(required=False)
    options = Options(required=False)


class CreateDomain(UpdateDomain):
    name = fields.Name(max_length=PROJECT_NAME)


class UpdateProject(UpdateDomain):
    enabled = fields.Flag(required=False, help_text="A disabled project is out at once. Not while one below it is enabled.")


class CreateProject(UpdateProject):
    name = fields.Name(max_length=PROJECT_NAME)
    domain_id = fields.Id(required=False, allow_null=True, help_text="Default: the parent's, one's own, or the default domain.")
    parent_id = fields.Id(required=False, allow_null=True, help_text="A project of the same domain; default: the domain itself.")


class SetTags(Input):
    tags = _tags()


class DomainSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    enabled = serializers.BooleanField()
    tags = serializers.ListField(child=serializers.CharField())
    options = serializers.DictField()
    created_at = serializers.DateTimeField()


class ProjectSerializer(DomainSerializer):
    domain_id = serializers.UUIDField()
    parent_id = serializers.UUIDField(help_text="At the top of a tree: the domain.")


class TagsSerializer(serializers.Serializer[Any]):
    tags = serializers.ListField(child=serializers.CharField())


def domain(row: Project) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "description": row.description, "enabled": row.enabled, "tags": selectors.tags(row),
        "options": row.options, "created_at": row.created_at,
    }


def project(row: Project) -> dict[str, Any]:
    return {**domain(row), "domain_id": row.domain_id, "parent_id": row.parent_id}
