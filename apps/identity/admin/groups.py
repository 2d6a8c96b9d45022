"""Admin pages of groups: who is in them, and what they get by it."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin import access, drawing, pages, references
from apps.common.admin.buttons import Button, Creation
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.identity.admin import standing
from apps.identity.admin.forms import Described, DomainChoice, GiveForm, MemberForm
from apps.identity.admin.names import WithId, source_badge
from apps.identity.builtin import DEFAULT_DOMAIN_ID
from apps.identity.models import Group, GroupMember
from apps.identity.services import assignments, groups
from apps.identity.services.assignments import Given

_MOST_MEMBERS = 200


class GroupForm(Described):
    """What may be changed of a group."""

    name = forms.CharField(max_length=64)


class NewGroupForm(GroupForm):
    """And its domain, for life."""

    domain = DomainChoice(initial=DEFAULT_DOMAIN_ID)
    field_order = ("domain",)


def _create(actor: Actor, values: Mapping[str, Any]) -> Group:
    return groups.create_group(
        actor=actor, name=values["name"], description=values["description"], domain_id=values["domain"].pk
    )


def _change(actor: Actor, group: Group, values: Mapping[str, Any]) -> str:
    changed = groups.update_group(actor=actor, group_id=group.pk, name=values["name"], description=values["description"])
    return f"The group {changed} is changed."


def _delete(actor: Actor, group: Group, values: Mapping[str, Any]) -> str:
    groups.delete_group(actor=actor, group_id=group.pk)
    return f"The group {group} is deleted."


def _add(actor: Actor, group: Group, values: Mapping[str, Any]) -> str:
    groups.add_member(actor=actor, group_id=group.pk, user_id=values["user"].pk)
    return f"{values['user']} is in the group {group}."


def _remove(actor: Actor, group: Group, values: Mapping[str, Any]) -> str:
    groups.remove_member(actor=actor, group_id=group.pk, user_id=values["user"].pk)
    return f"{values['user']} is not in the group {group} any more."


def _give(actor: Actor, group: Group, values: Mapping[str, Any]) -> str:
    place = values["project"]
    given = Given(
        role_id=values["role"].pk, group_id=group.pk, place_id=place.pk if place else None, inherited=values["inherited"]
    )
    assignments.give(actor=actor, given=given)
    return f"The group {group} has the role {values['role']} {'in ' + str(place) if place else 'on the system'}."


def _ours(group: Group) -> bool:
    return group.source == "database"


def _what_goes(group: Group) -> object:
    lost = group.assignments.count()
    return drawing.facts((("users in it", group.members.count()), ("roles they have by it", lost)))


@admin.register(Group)
class GroupAdmin(WithId, RecordAdmin):
    """Users who get their roles together."""

    permission = "identity.group.list"
    list_display = ("name", "domain", "source_shown", "members_counted", "roles_counted", "description", "created")
    list_filter = ("source",)
    list_select_related = ("domain",)
    search_fields = ("name", "description")
    search_ids = ("pk", "domain_id")
    ordering = ("name", "pk")
    facts = (("Facts", ("domain_link", "description", "source_shown", "directory_name", "created", "id_shown")),)
    creation = Creation(permission="identity.group.create", form=NewGroupForm, run=_create)
    buttons = (
        Button(
            name="add", label="Add a user", question="Add a user to {rows}", permission="identity.group.members", run=_add, form=MemberForm, offered=_ours, bulk=False,
            warning="The user has all roles of the group from the next request on.",
        ),
        Button(
            name="remove", label="Take out", question="Take a user out of {rows}?", permission="identity.group.members", run=_remove, form=MemberForm, in_table=True,
            bulk=False, warning="The user loses the roles that it has by this group with the next request.",
        ),
        Button(
            name="give", label="Give a role", question="Give {rows} a role", permission="identity.assignment.create", run=_give, form=GiveForm, bulk=False,
            warning="All users in the group have it from their next request on.",
        ),
        Button(
            name="change", label="Change", permission="identity.group.update", run=_change, form=GroupForm, bulk=False,
            initial=lambda group: {"name": group.name, "description": group.description}, warning="Name and description.",
        ),
        Button(
            name="delete", label="Delete", permission="identity.group.delete", run=_delete, dangerous=True, gone=True,
            notice=_what_goes, warning="Its users stay, and lose the roles that they have by it.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Group]":
        return super().get_queryset(request).select_related("domain")

    def prepare(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        super().prepare(request, rows)
        counted = Group.objects.filter(pk__in=[row.pk for row in rows]).order_by()
        members = dict(counted.annotate(n=Count("members")).values_list("pk", "n"))
        roles = dict(counted.annotate(n=Count("assignments")).values_list("pk", "n"))
        for row in rows:
            row.member_count, row.role_count = members.get(row.pk, 0), roles.get(row.pk, 0)

    def label(self, row: Group) -> str:
        return f"{row} ({row.domain})"

    def headline(self, group: Group) -> SafeString:
        return source_badge(group.source)

    @admin.display(description="kept in")
    def source_shown(self, group: Group) -> SafeString:
        return source_badge(group.source) or drawing.quiet("here")

    @admin.display(description="name in the directory")
    def directory_name(self, group: Group) -> SafeString:
        return drawing.code(group.external_id)

    @admin.display(description="domain")
    def domain_link(self, group: Group) -> SafeString:
        return references.link("domain", group.domain_id, group.domain.name)

    @admin.display(description="users")
    def members_counted(self, group: Any) -> str:
        return drawing.number(group.member_count)

    @admin.display(description="roles")
    def roles_counted(self, group: Any) -> str:
        return drawing.number(group.role_count)


def _members(request: HttpRequest, group: Group) -> SafeString:
    rows = list(
        GroupMember.objects.filter(group=group).select_related("user__domain").order_by("user__username", "pk")[: _MOST_MEMBERS + 1]
    )
    may = access.may(request, "identity.group.members") and _ours(group)
    page = reverse("admin:identity_group_do", args=[group.pk, "remove"])
    drawn = drawing.table(
        ("user", "domain", "", ""),
        (
            (
                references.link("user", row.user_id, row.user.username), row.user.domain.name,
                drawing.EMPTY if row.user.is_active else drawing.badge("disabled", "bad"),
                drawing.action("Take out…", f"{page}?user={row.user_id}") if may else drawing.EMPTY,
            )
            for row in rows[:_MOST_MEMBERS]
        ),
    )
    return format_html("{}{}", drawn, drawing.quiet("And more.") if len(rows) > _MOST_MEMBERS else drawing.EMPTY)


pages.add_section(Group, "Users in it", _members, place=22, permission="identity.user.list")
pages.add_section(Group, "Roles that they have by it", standing.of_group, place=24, permission="identity.assignment.list")
