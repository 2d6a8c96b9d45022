"""Admin pages of security groups, with their rules."""

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from apps.common.admin import access, drawing, pages, references
from apps.common.admin.buttons import Button
from apps.common.admin.lists import reference
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.network.admin.working import working_in
from apps.network.api import group_shapes
from apps.network.models import PortGroup, Rule, SecurityGroup
from apps.network.services import groups
from apps.network.states import Direction


def _names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(SecurityGroup.objects.filter(pk__in=ids).values_list("pk", "name"))


references.register("security_group", model="network_securitygroup", names=_names)


class RuleForm(forms.Form):
    """Something more that is allowed."""

    direction = forms.ChoiceField(choices=[(each.value, each.value) for each in Direction])
    family = forms.TypedChoiceField(choices=[(4, "IPv4"), (6, "IPv6")], coerce=int)
    protocol = forms.CharField(max_length=16, initial="tcp", help_text="tcp, udp, icmp, icmpv6 …, a number, or any.")
    first = forms.IntegerField(required=False, help_text="The lowest port, or the ICMP type.")
    last = forms.IntegerField(required=False, help_text="The highest port (empty: the lowest one), or the ICMP code.")
    cidr = forms.CharField(max_length=49, required=False, label="Range", help_text="The other side; empty: anybody.")
    remote_group = forms.UUIDField(required=False, label="Group", help_text="The other side: all members of the group with this id.")
    description = forms.CharField(max_length=255, required=False)


class WhichForm(forms.Form):
    """One of its rules."""

    rule = forms.UUIDField(widget=forms.TextInput, help_text="The rule's id.")


def _add_rule(actor: Actor, group: SecurityGroup, values: Mapping[str, Any]) -> str:
    wanted = {name: value for name, value in values.items() if name != "remote_group"}
    made = groups.add_rule(
        actor=working_in(actor, group.project_id), group_id=group.pk, remote_group_id=values["remote_group"], **wanted
    )
    return f"{group} allows {made} now."


def _delete_rule(actor: Actor, group: SecurityGroup, values: Mapping[str, Any]) -> str:
    groups.delete_rule(actor=working_in(actor, group.project_id), rule_id=values["rule"])
    return "The rule is deleted, and what it allowed ends."


def _delete(actor: Actor, group: SecurityGroup, values: Mapping[str, Any]) -> str:
    groups.delete(actor=working_in(actor, group.project_id), group_id=group.pk)
    return f"The security group {group} is deleted."


def _is_own(group: SecurityGroup) -> bool:
    return not group.is_default


@admin.register(SecurityGroup)
class SecurityGroupAdmin(RecordAdmin):
    """What may reach ports, and what may leave them."""

    permission = "network.security_group.list"
    list_display = ("name", "project", "description", "is_default", "rule_count", "member_count")
    list_filter = ("is_default",)
    search_fields = ("name", "description")
    search_ids = ("pk", "project_id", "rules__id")
    references = {"project_id": "project"}
    project = reference("project_id", "project", "project")
    facts = (("Facts", ("project", "description", "is_default", "member_count", "created", "id_shown")),)
    buttons = (
        Button(
            name="allow", label="Add a rule", question="Add a rule to {rows}", permission="network.security_group.update", run=_add_rule,
            form=RuleForm, bulk=False, warning="It holds for all members at once, also while they run.",
        ),
        Button(
            name="forbid", label="Delete a rule", question="Delete a rule of {rows}?", permission="network.security_group.update",
            run=_delete_rule, form=WhichForm, bulk=False, in_table=True, dangerous=True,
            warning="What it allowed ends at once, also connections that are open.",
        ),
        Button(
            name="delete", label="Delete", permission="network.security_group.delete", run=_delete, offered=_is_own, dangerous=True, gone=True,
            warning="Refused while ports are in it or rules of other groups name it.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[SecurityGroup]":
        def count(rows: "QuerySet[Any]") -> Coalesce:
            counted = rows.filter(group=OuterRef("pk")).order_by().values("group").annotate(count=Count("pk")).values("count")
            return Coalesce(Subquery(counted, output_field=IntegerField()), 0)

        found: QuerySet[SecurityGroup] = super().get_queryset(request).annotate(
            rules_there=count(Rule.objects.all()), members_there=count(PortGroup.objects.all())
        )
        return found

    @admin.display(description="rules")
    def rule_count(self, group: SecurityGroup) -> int:
        count: int = group.rules_there  # type: ignore[attr-defined]
        return count

    @admin.display(description="ports in it")
    def member_count(self, group: SecurityGroup) -> int:
        count: int = group.members_there  # type: ignore[attr-defined]
        return count

    @admin.display(description="made")
    def created(self, group: SecurityGroup) -> SafeString:
        return drawing.ago(group.created_at)

    @admin.display(description="id")
    def id_shown(self, group: SecurityGroup) -> SafeString:
        return drawing.code(group.pk)


def _other_side(rule: Rule) -> SafeString | str:
    if rule.remote_group is not None:
        return references.link("security_group", rule.remote_group_id, f"members of {rule.remote_group}")
    return rule.cidr or "anybody"


def _rules(request: HttpRequest, group: SecurityGroup) -> SafeString:
    rules = group.rules.select_related("remote_group").order_by("direction", "family", "pk")
    may = access.may(request, "network.security_group.update")
    page = reverse("admin:network_securitygroup_do", args=[group.pk, "forbid"])
    return drawing.table(
        ("direction", "family", "what", "other side", "description", ""),
        (
            (
                rule.direction, f"IPv{rule.family}", group_shapes.ports_text(group_shapes.rule(rule)), _other_side(rule), rule.description,
                drawing.action("Delete…", f"{page}?rule={rule.pk}") if may else drawing.EMPTY,
            )
            for rule in rules
        ),
    )


pages.add_section(SecurityGroup, "Rules", _rules)
