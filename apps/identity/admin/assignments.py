"""Admin pages of role assignments: who was given which role where."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.common.admin import drawing
from apps.common.admin.buttons import Button, Creation
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.identity.admin.forms import AssignForm
from apps.identity.admin.names import WithId, holder_link, place_link, role_badge
from apps.identity.models import Assignment, Role
from apps.identity.services import assignments
from apps.identity.services.assignments import Given

_MOST_ROLES = 50


class RoleFilter(admin.SimpleListFilter):
    """By role; of the operator's own, so many that they can be looked through."""

    title = "role"
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = Role.objects.filter(domain=None).order_by("-builtin", "name")[:_MOST_ROLES]
        return [(str(row.pk), row.name) for row in rows]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        known = {key for key, _ in self.lookup_choices}
        return queryset.filter(role_id=self.value()) if self.value() in known else queryset


class PlaceFilter(admin.SimpleListFilter):
    """By what it is a role on."""

    title = "place"
    parameter_name = "place"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("system", "the system"), ("domain", "a domain"), ("project", "a project")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        if self.value() == "system":
            return queryset.filter(system=True)
        return queryset.filter(project__is_domain=self.value() == "domain") if self.value() in ("domain", "project") else queryset


class HolderFilter(admin.SimpleListFilter):
    """Users, or groups."""

    title = "holder"
    parameter_name = "holder"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("user", "a user"), ("group", "a group")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(user__isnull=self.value() == "group") if self.value() in ("user", "group") else queryset


def _give(actor: Actor, values: Mapping[str, Any]) -> Assignment:
    user, group, place = values["user"], values["group"], values["project"]
    return assignments.give(
        actor=actor,
        given=Given(
            role_id=values["role"].pk, user_id=user.pk if user else None, group_id=group.pk if group else None,
            place_id=place.pk if place else None, inherited=values["inherited"],
        ),
    )


def _take(actor: Actor, row: Assignment, values: Mapping[str, Any]) -> str:
    assignments.take_by_id(actor=actor, assignment_id=row.pk)
    return f"{row} is taken away."


@admin.register(Assignment)
class AssignmentAdmin(WithId, RecordAdmin):
    """Roles as they were given; what follows from them is on the pages of users and projects."""

    permission = "identity.assignment.list"
    list_display = ("role_shown", "holder", "place", "reach", "created")
    list_filter = (RoleFilter, PlaceFilter, HolderFilter, "inherited")
    list_select_related = ("role", "user", "group", "project")
    search_fields = ("user__username", "group__name", "project__name", "role__name")
    search_ids = ("pk", "role_id", "user_id", "group_id", "project_id", "project__domain_id")
    search_help_text = "a part of a name (user, group, project, role), or the id of one"
    facts = (("Facts", ("holder", "role_shown", "place", "reach", "created", "id_shown")),)
    creation = Creation(
        permission="identity.assignment.create", form=AssignForm, run=_give, warning="It counts from the next request on."
    )
    buttons = (
        Button(
            name="take", label="Take away", permission="identity.assignment.delete", run=_take, dangerous=True, gone=True,
            warning="It is gone with the next request, also for tokens that there are. What was made with it stays.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Assignment]":
        return super().get_queryset(request).select_related("role", "user", "group", "project")

    @admin.display(description="who")
    def holder(self, row: Assignment) -> SafeString:
        return holder_link(row.user, row.group)

    @admin.display(description="role")
    def role_shown(self, row: Assignment) -> SafeString:
        return role_badge(row.role.name)

    @admin.display(description="where")
    def place(self, row: Assignment) -> SafeString:
        return place_link(row.project)

    @admin.display(description="counts")
    def reach(self, row: Assignment) -> SafeString:
        return drawing.quiet("everywhere" if row.system else "in all projects below" if row.inherited else "there itself")
