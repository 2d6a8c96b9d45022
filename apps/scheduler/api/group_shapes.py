"""Shapes of server groups."""

import uuid
from collections.abc import Sequence
from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input, PageQuery
from apps.common.context import Actor
from apps.hosts import selectors as hosts
from apps.identity import policy
from apps.scheduler.models import ServerGroup
from apps.scheduler.services.groups import MOST_PER_HOST
from apps.scheduler.states import GroupPolicy

POLICIES = [each.value for each in GroupPolicy]


class ServerGroupQuery(PageQuery):
    name = serializers.CharField(max_length=255, required=False)
    policy = fields.Choice(choices=POLICIES, required=False)
    all_projects = serializers.BooleanField(default=False, help_text="For operators.")


class CreateServerGroup(Input):
    name = fields.Name()
    policy = fields.Choice(choices=POLICIES, help_text="Whether members share a host. The soft ones prefer, the others insist.")
    max_per_host = fields.Whole(
        min_value=1, max_value=MOST_PER_HOST, required=False, help_text="So many members on one host, for anti-affinity; default 1."
    )


class MemberSerializer(serializers.Serializer[Any]):
    instance_id = serializers.UUIDField()
    placed = serializers.BooleanField(help_text="Whether it has a host.")
    host_id = serializers.UUIDField(required=False, allow_null=True, help_text="For operators.")
    host_name = serializers.CharField(required=False, help_text="For operators.")


class ServerGroupSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    project_id = serializers.UUIDField()
    user_id = serializers.UUIDField(allow_null=True)
    policy = serializers.ChoiceField(choices=POLICIES)
    max_per_host = serializers.IntegerField()
    host_count = serializers.IntegerField(help_text="On so many hosts its members are.")
    members = MemberSerializer(many=True, help_text="In the order of their creation.")
    created_at = serializers.DateTimeField()


class Page:
    """Renders the groups of one page, asking for the names of hosts once; `look` comes before `render`."""

    def __init__(self, actor: Actor) -> None:
        self._sees_hosts = policy.everywhere(actor, "hosts.host.list")
        self._names: dict[uuid.UUID, str] = {}

    def look(self, rows: Sequence[ServerGroup]) -> None:
        if self._sees_hosts:
            found = {member.host_id for row in rows for member in row.members.all() if member.host_id is not None}
            self._names = hosts.names(found) if found else {}

    def render(self, row: ServerGroup) -> dict[str, Any]:
        members = sorted(row.members.all(), key=lambda member: member.pk)
        return {
            "id": row.pk, "name": row.name, "project_id": row.project_id, "user_id": row.user_id, "policy": row.policy,
            "max_per_host": row.max_per_host, "host_count": len({member.host_id for member in members} - {None}),
            "members": [self._member(member.pk, member.host_id) for member in members], "created_at": row.created_at,
        }

    def _member(self, instance_id: uuid.UUID, host_id: uuid.UUID | None) -> dict[str, Any]:
        shown: dict[str, Any] = {"instance_id": instance_id, "placed": host_id is not None}
        if self._sees_hosts:
            shown |= {"host_id": host_id, "host_name": self._names.get(host_id, "") if host_id else ""}
        return shown


def server_group(actor: Actor, row: ServerGroup) -> dict[str, Any]:
    return server_groups(actor, [row])[0]


def server_groups(actor: Actor, rows: Sequence[ServerGroup]) -> list[dict[str, Any]]:
    shown = Page(actor)
    shown.look(rows)
    return [shown.render(row) for row in rows]
