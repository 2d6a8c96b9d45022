"""Query parameters of the lists, and what they mean."""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework import serializers

from apps.common.api.inputs import PageQuery
from apps.common.errors import Invalid
from apps.identity.selectors import Wanted

M = TypeVar("M", bound=Model)


class DomainQuery(PageQuery):
    name = serializers.CharField(max_length=64, required=False)
    name__contains = serializers.CharField(max_length=64, required=False)
    enabled = serializers.BooleanField(required=False)


class ProjectQuery(DomainQuery):
    domain_id = serializers.UUIDField(required=False)
    parent_id = serializers.UUIDField(required=False)
    tag = serializers.CharField(max_length=255, required=False)


class UserQuery(PageQuery):
    username = serializers.CharField(max_length=255, required=False)
    username__contains = serializers.CharField(max_length=255, required=False)
    domain_id = serializers.UUIDField(required=False)
    enabled = serializers.BooleanField(required=False)


class GroupQuery(PageQuery):
    name = serializers.CharField(max_length=64, required=False)
    name__contains = serializers.CharField(max_length=64, required=False)
    domain_id = serializers.UUIDField(required=False)


class RoleQuery(PageQuery):
    name = serializers.CharField(max_length=255, required=False)
    domain_id = serializers.UUIDField(required=False, help_text="Roles of this domain's own.")
    builtin = serializers.BooleanField(required=False)


class AssignmentQuery(PageQuery):
    project_id = serializers.UUIDField(required=False, help_text="A project, or a domain by its id.")
    include_subtree = serializers.BooleanField(required=False, help_text="With `project_id`: also of all projects below it.")
    user_id = serializers.UUIDField(required=False)
    group_id = serializers.UUIDField(required=False)
    role_id = serializers.UUIDField(required=False)
    system = serializers.BooleanField(required=False)
    inherited = serializers.BooleanField(required=False)
    effective = serializers.BooleanField(
        required=False, help_text="Groups taken apart, inherited and implied roles put in, each with `why`; all at once, no pages."
    )


def narrowed(rows: "QuerySet[M]", query: dict[str, Any], **columns: str) -> "QuerySet[M]":
    """The rows that a checked query asks for, but for its page; `columns`: parameter → column, where they differ."""
    asked = {columns.get(name, name): value for name, value in query.items() if name not in ("limit", "after")}
    return rows.filter(**asked)


def wanted(query: dict[str, Any]) -> Wanted:
    """The role assignments that a checked AssignmentQuery asks for. Raises Invalid for pages of effective ones."""
    if query.get("effective") and ("limit" in query or "after" in query):
        raise Invalid("assignment.unpaged", "Effective roles come all at once: ask without `limit` and `after`.", field="limit")
    names = ("user_id", "group_id", "role_id", "system", "inherited", "include_subtree")
    return Wanted(place_id=query.get("project_id"), **{name: query[name] for name in names if name in query})
