"""Admin page of server groups: who is in them, and where."""

import dataclasses
import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin import drawing, references
from apps.common.admin.buttons import Button, Creation
from apps.common.admin.lists import reference
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.identity.admin.forms import ProjectChoice
from apps.scheduler.models import GroupMember, ServerGroup
from apps.scheduler.services import groups
from apps.scheduler.states import GroupPolicy

# Beyond so many hosts the picture would be a comb.
_MOST_COLUMNS = 60


def _names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(ServerGroup.objects.filter(pk__in=ids).values_list("pk", "name"))


references.register("server_group", model="scheduler_servergroup", names=_names)


class NewGroupForm(forms.Form):
    """A server group of a project."""

    name = forms.CharField(max_length=255)
    project = ProjectChoice()
    policy = forms.ChoiceField(choices=[(each.value, each.value) for each in GroupPolicy])
    max_per_host = forms.IntegerField(
        min_value=1, max_value=groups.MOST_PER_HOST, initial=1, label="Members per host", help_text="At most; for anti-affinity."
    )


def _create(actor: Actor, values: Mapping[str, Any]) -> ServerGroup:
    asked = {name: values[name] for name in ("name", "policy", "max_per_host")}
    return groups.create(actor=dataclasses.replace(actor, project_id=values["project"].pk), **asked)


def _delete(actor: Actor, group: ServerGroup, values: Mapping[str, Any]) -> str:
    groups.delete(actor=actor, group_id=group.pk)
    return f"The server group {group} is deleted."


@admin.register(ServerGroup)
class ServerGroupAdmin(RecordAdmin):
    """Instances that belong on one host, or apart."""

    permission = "scheduler.server_group.list"
    list_display = ("name", "project", "policy", "max_per_host", "member_count", "host_count", "created")
    list_filter = ("policy",)
    search_fields = ("name",)
    search_ids = ("pk", "project_id", "user_id", "members__instance_id", "members__host_id")
    search_help_text = "an id (group, project, user, instance, host), or a name"
    references = {"project_id": "project"}
    project = reference("project_id", "project", "project")
    user = reference("user_id", "user", "made by")
    facts = (("Facts", ("project", "user", "policy", "max_per_host", "member_count", "host_count", "created", "id_shown")),)
    pictures = (("Members", "drawn"),)
    creation = Creation(permission="scheduler.server_group.create", form=NewGroupForm, run=_create)
    buttons = (
        Button(
            name="delete", label="Delete", permission="scheduler.server_group.delete", run=_delete, dangerous=True, gone=True,
            warning="Refused while instances are in it.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ServerGroup]":
        placed = Count("members__host_id", distinct=True, filter=Q(members__host_id__isnull=False))
        rows: QuerySet[ServerGroup] = super().get_queryset(request)
        return rows.annotate(members_there=Count("members", distinct=True), hosts_there=placed)

    @admin.display(description="members")
    def member_count(self, group: ServerGroup) -> int:
        count: int = group.members_there  # type: ignore[attr-defined]
        return count

    @admin.display(description="on hosts")
    def host_count(self, group: ServerGroup) -> int:
        count: int = group.hosts_there  # type: ignore[attr-defined]
        return count

    @admin.display(description="members")
    def drawn(self, group: ServerGroup) -> SafeString:
        """A column per host (if there are several) as high as it has members, and below who they are."""
        members = list(group.members.order_by("pk"))
        if not members:
            return drawing.quiet("None yet: instances become members when they are created with this group.")
        hosts = references.names("host", {member.host_id for member in members if member.host_id is not None})
        counts = Counter(member.host_id for member in members if member.host_id is not None)
        heights = sorted((hosts.get(host_id, str(host_id)), count) for host_id, count in counts.items())
        picture = drawing.columns(heights, _tone(group, counts)) if 1 < len(heights) <= _MOST_COLUMNS else drawing.EMPTY
        return format_html("{}{}", picture, _table(members, hosts))

    @admin.display(description="made")
    def created(self, group: ServerGroup) -> SafeString:
        return drawing.ago(group.created_at)

    @admin.display(description="id")
    def id_shown(self, group: ServerGroup) -> SafeString:
        return drawing.code(group.pk)


def _tone(group: ServerGroup, counts: Mapping[uuid.UUID, int]) -> str:
    """Whether a soft policy could be had; the others always are."""
    together = group.policy == GroupPolicy.SOFT_AFFINITY and len(counts) > 1
    apart = group.policy == GroupPolicy.SOFT_ANTI_AFFINITY and max(counts.values(), default=0) > 1
    return "warn" if together or apart else "good"


def _table(members: Sequence[GroupMember], hosts: Mapping[uuid.UUID, str]) -> SafeString:
    names = references.names("instance", [member.pk for member in members])
    by_host: dict[uuid.UUID | None, list[SafeString]] = {}
    for member in members:
        by_host.setdefault(member.host_id, []).append(references.link("instance", member.pk, names.get(member.pk, "")))
    return drawing.table(
        ("host", "members", ""),
        (
            (
                references.link("host", host_id, hosts.get(host_id, "")) if host_id else drawing.quiet("on no host"),
                len(there), drawing.words(there),
            )
            for host_id, there in sorted(by_host.items(), key=lambda each: hosts.get(each[0], "") if each[0] else "\uffff")
        ),
    )
