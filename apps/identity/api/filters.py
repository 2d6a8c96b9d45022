"""Query parameters of the lists."""

from rest_framework import serializers

from apps.common.api.inputs import PageQuery


class ProjectQuery(PageQuery):
    name = serializers.CharField(max_length=64, required=False)


class UserQuery(PageQuery):
    username = serializers.CharField(max_length=150, required=False)


class MembershipQuery(PageQuery):
    project_id = serializers.UUIDField(required=False)
    user_id = serializers.UUIDField(required=False)
