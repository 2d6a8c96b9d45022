"""Query parameters of the lists."""

from rest_framework import serializers

from apps.common.api.inputs import PageQuery


class ProjectQuery(PageQuery):
    name = serializers.CharField(max_length=64, required=False)


class UserQuery(PageQuery):
    username = serializers.CharField(max_length=150, required=False)


class AssignmentQuery(PageQuery):
    project_id = serializers.UUIDField(required=False, help_text="A project, or a domain by its id.")
    user_id = serializers.UUIDField(required=False)
    group_id = serializers.UUIDField(required=False)
    role_id = serializers.UUIDField(required=False)
    system = serializers.BooleanField(required=False)
