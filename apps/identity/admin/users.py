"""Admin pages of users: who they are, what they may do, and how they get in."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin import drawing, references
from apps.common.admin.buttons import Creation
from apps.common.admin.pages import RecordAdmin
from apps.identity import backends, lockout
from apps.identity.admin import why
from apps.identity.admin.names import WithId, role_badge, source_badge
from apps.identity.admin.user_buttons import BUTTONS, NewUserForm, create, is_locked, is_ours
from apps.identity.models import Assignment, GroupMember, User


@admin.register(User)
class UserAdmin(WithId, RecordAdmin):
    """People and programs."""

    permission = "identity.user.list"
    list_display: Any = ("username", "domain", "state", "on_system", "roles_counted", "groups_counted", "signed_in")
    list_filter = ("is_active", "source")
    list_select_related = ("domain",)
    search_fields = ("username", "email", "description")
    search_ids = ("pk", "domain_id")
    search_help_text = "a part of name, address or description, or an id (user, domain)"
    ordering = ("username", "pk")
    facts = (
        (
            "Facts",
            (
                "domain_link", "email", "description", "default_project", "source_shown", "directory_name", "signed_in",
                "password_age", "password_ends", "options_shown", "created", "id_shown",
            ),
        ),
    )
    creation = Creation(
        permission="identity.user.create", form=NewUserForm, run=create, warning="A person or a program. Give it roles afterwards."
    )
    buttons = BUTTONS

    def get_queryset(self, request: HttpRequest) -> "QuerySet[User]":
        return backends.users().order_by(*self.ordering)

    def prepare(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        super().prepare(request, rows)
        ids = [row.pk for row in rows]
        given = Assignment.objects.filter(user_id__in=ids)
        roles = dict(given.filter(system=False).order_by().values_list("user_id").annotate(n=Count("pk")))
        joined = dict(GroupMember.objects.filter(user_id__in=ids).order_by().values_list("user_id").annotate(n=Count("pk")))
        system: dict[Any, set[str]] = {}
        for way in ("user_id", "group__members__user_id"):
            found = Assignment.objects.filter(**{f"{way}__in": ids}, system=True)
            for user_id, role in found.values_list(way, "role__name"):
                system.setdefault(user_id, set()).add(role)
        counted = lockout.failures([lockout.name_of(row.username, row.domain_id) for row in rows])
        for row in rows:
            row.failures = counted.get(lockout.name_of(row.username, row.domain_id))
            row.role_count, row.group_count = roles.get(row.pk, 0), joined.get(row.pk, 0)
            row.system_names = sorted(system.get(row.pk, ()))

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.why_view)
        return [path("<uuid:object_id>/why/", view, name="identity_user_why"), *super().get_urls()]

    def why_view(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        """What may this user do there, and why?"""
        user = self._found(request, str(object_id))
        if user is None:
            return self._missing(request, str(object_id))
        return why.answer(request, user, {**self.context(request), "page": self.page_of(user), "original": user})

    def label(self, row: User) -> str:
        return f"{row} ({row.domain})"

    def headline(self, user: User) -> SafeString:
        return self.state(user)

    def links(self, request: HttpRequest, user: User) -> list[tuple[str, str]]:
        return [("What may it do?", reverse("admin:identity_user_why", args=[user.pk]))]

    @admin.display(description="state")
    def state(self, user: User) -> SafeString:
        said = [drawing.badge("active", "good") if user.is_active else drawing.badge("disabled", "bad")]
        if not user.domain.enabled:
            said.append(drawing.badge("domain disabled", "bad"))
        if is_locked(user):
            said.append(drawing.badge("locked", "bad", title="too many wrong passwords or codes"))
        said.append(source_badge(user.source))
        if backends.has_second_factor(user):
            said.append(drawing.badge("second factor", "good", title="signs in with a code besides the password"))
        return drawing.words(said)

    @admin.display(description="on the system")
    def on_system(self, user: Any) -> SafeString:
        return drawing.words(role_badge(name) for name in user.system_names) or drawing.NOTHING

    @admin.display(description="roles elsewhere")
    def roles_counted(self, user: Any) -> SafeString:
        page = f"{reverse('admin:identity_assignment_changelist')}?q={user.pk}"
        return format_html('<a href="{}">{}</a>', page, drawing.number(user.role_count)) if user.role_count else drawing.NOTHING

    @admin.display(description="groups")
    def groups_counted(self, user: Any) -> object:
        return drawing.number(user.group_count) if user.group_count else drawing.NOTHING

    @admin.display(description="domain")
    def domain_link(self, user: User) -> SafeString:
        return references.link("domain", user.domain_id, user.domain.name)

    @admin.display(description="default project")
    def default_project(self, user: User) -> SafeString:
        return references.link("project", user.default_project_id)

    @admin.display(description="kept in")
    def source_shown(self, user: User) -> SafeString:
        return source_badge(user.source) or drawing.quiet("here")

    @admin.display(description="name in the directory")
    def directory_name(self, user: User) -> SafeString:
        return drawing.code(user.external_id)

    @admin.display(description="signed in")
    def signed_in(self, user: User) -> SafeString:
        return drawing.ago(user.last_login)

    @admin.display(description="password set")
    def password_age(self, user: User) -> SafeString:
        if not user.has_usable_password():
            return drawing.quiet("has none" if is_ours(user) else "in the directory")
        return drawing.ago(user.password_changed_at, never="unknown")

    @admin.display(description="password ends")
    def password_ends(self, user: User) -> SafeString:
        return drawing.ago(user.password_expires_at)

    @admin.display(description="options")
    def options_shown(self, user: User) -> str:
        return ", ".join(f"{name}: {value}" for name, value in sorted(user.options.items()))
