"""Admin pages of users, projects and tokens. People and projects are edited here; tokens are seen and revoked."""

import uuid
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common import clock
from apps.common.admin import access, drawing, references
from apps.common.admin.buttons import Button
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.common.errors import Forbidden
from apps.identity import policy
from apps.identity.models import Assignment, Project, Token, User
from apps.identity.services import tokens

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _Inline = admin.TabularInline[Assignment, Any]
    _UserAdmin = DjangoUserAdmin[User]
else:
    _ModelAdmin, _Inline, _UserAdmin = admin.ModelAdmin, admin.TabularInline, DjangoUserAdmin

_ROLE_TONES = {"admin": "busy", "operator": "busy", "member": "good"}


def operator(request: HttpRequest) -> Actor:
    """The signed-in operator as services see one. Raises Forbidden."""
    if not isinstance(request.user, User):
        raise Forbidden("auth.operator", "This is for operators of the installation only.")
    return tokens.actor_for(user_id=request.user.pk, place_id=None, address=request.META.get("REMOTE_ADDR", ""))


def _user_names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(User.objects.filter(pk__in=ids).values_list("pk", "username"))


def _project_names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(Project.objects.filter(pk__in=ids).values_list("pk", "name"))


access.decided_by(operator, policy.require)
references.register("user", model="identity_user", names=_user_names)
references.register("project", model="identity_project", names=_project_names)
# Roles are given by assignments; Django's groups would only be a second, silent way.
if admin.site.is_registered(Group):
    admin.site.unregister(Group)


class AssignmentInline(_Inline):
    """Who has which role where; on both pages."""

    model = Assignment
    extra = 0
    fields = ("user", "group", "role", "project", "inherited")
    autocomplete_fields: ClassVar[Any] = ("user", "project")
    verbose_name_plural = "roles"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Assignment]":
        return super().get_queryset(request).select_related("user", "project", "role", "group")


class _Kept:
    """Not deleted here: what they made refers to them by plain id and would be left without an owner."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(_Kept, _UserAdmin):
    """People and programs."""

    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("username", "password")}),
        ("About", {"fields": ("email", "description", "domain")}),
        ("What it may do", {"fields": ("is_active",), "description": "Active: may sign in at all; take this away instead of deleting."}),
        ("Dates", {"fields": ("last_login", "created_at")}),
    )
    add_fieldsets: Any = (
        (None, {"classes": ("wide",), "fields": ("domain", "username", "password1", "password2")}),
    )
    inlines: ClassVar = [AssignmentInline]
    readonly_fields: ClassVar[Any] = ("last_login", "created_at")
    list_display: Any = ("username", "email", "kind", "roles", "last_login")
    list_filter: ClassVar[Any] = ("is_active",)
    search_fields = ("username", "email")
    filter_horizontal: ClassVar[Any] = ()
    show_full_result_count = False
    change_list_template = "admin/cloudsite/change_list.html"
    change_form_template = "admin/cloudsite/change_form.html"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[User]":
        return super().get_queryset(request).prefetch_related("assignments__project", "assignments__role")

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj else []

    @admin.display(description="kind")
    def kind(self, user: User) -> SafeString:
        if not user.is_active:
            return drawing.badge("disabled", "bad")
        system = any(each.system for each in user.assignments.all())
        return drawing.badge("operator", "busy") if system else drawing.badge("user", "off")

    @admin.display(description="roles")
    def roles(self, user: User) -> SafeString:
        return drawing.stack(
            format_html("{} {}", each.project or "the system", drawing.badge(each.role.name, _ROLE_TONES.get(each.role.name, "off")))
            for each in user.assignments.all()
        )


@admin.register(Project)
class ProjectAdmin(_Kept, _ModelAdmin):
    """Owners of everything that tenants have."""

    list_display = ("name", "state", "description", "members", "created_at")
    list_filter = ("enabled",)
    search_fields = ("name", "description")
    ordering = ("name",)
    fields = ("name", "description", "enabled", "id", "created_at")
    readonly_fields = ("id", "created_at")
    inlines: ClassVar = [AssignmentInline]
    show_full_result_count = False
    change_list_template = "admin/cloudsite/change_list.html"
    change_form_template = "admin/cloudsite/change_form.html"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Project]":
        return super().get_queryset(request).prefetch_related("assignments__user", "assignments__role", "assignments__group")

    @admin.display(description="state", ordering="enabled")
    def state(self, project: Project) -> SafeString:
        return drawing.yes_no(project.enabled, "enabled", "disabled", bad="bad")

    @admin.display(description="members")
    def members(self, project: Project) -> SafeString:
        return drawing.stack(
            format_html("{} {}", each.user or each.group, drawing.badge(each.role.name, _ROLE_TONES.get(each.role.name, "off")))
            for each in project.assignments.all()[:20]
        )


def _revoke(actor: Actor, token: Token, values: Mapping[str, Any]) -> str:
    tokens.revoke(actor=actor, token_id=token.pk)
    return f"The token {token} of {token.user} is void from now on."


@admin.register(Token)
class TokenAdmin(RecordAdmin):
    """Bearer tokens. Neither secret nor digest is ever shown: the prefix tells them apart."""

    list_display = ("prefix_shown", "state", "name", "user", "project", "created", "expires", "used")
    list_select_related = ("user", "project")
    search_fields = ("prefix", "name", "user__username", "project__name")
    search_ids = ("pk", "user_id", "project_id")
    facts = (("Facts", ("prefix_shown", "name", "user_link", "project_link", "created", "expires", "revoked", "used")),)
    buttons = (
        Button(
            name="revoke",
            label="Revoke",
            run=_revoke,
            dangerous=True,
            offered=lambda token: token.revoked_at is None,
            warning="Whoever uses this token is refused at once. It cannot be brought back.",
        ),
    )

    def headline(self, token: Token) -> SafeString:
        return self.state(token)

    @admin.display(description="token")
    def prefix_shown(self, token: Token) -> SafeString:
        return drawing.code(f"{token.prefix}…")

    @admin.display(description="state")
    def state(self, token: Token) -> SafeString:
        if token.revoked_at is not None:
            return drawing.badge("revoked", "bad")
        return drawing.badge("expired", "off") if token.expires_at <= clock.now() else drawing.badge("valid", "good")

    @admin.display(description="user")
    def user_link(self, token: Token) -> SafeString:
        return references.link("user", token.user_id, token.user.username)

    @admin.display(description="project")
    def project_link(self, token: Token) -> SafeString:
        return references.link("project", token.project_id, token.project.name) if token.project else drawing.badge("none", "off")

    @admin.display(description="made")
    def created(self, token: Token) -> SafeString:
        return drawing.ago(token.created_at)

    @admin.display(description="expires")
    def expires(self, token: Token) -> SafeString:
        return drawing.ago(token.expires_at)

    @admin.display(description="revoked")
    def revoked(self, token: Token) -> SafeString:
        return drawing.ago(token.revoked_at)

    @admin.display(description="last used")
    def used(self, token: Token) -> SafeString:
        return drawing.ago(token.last_used_at)
