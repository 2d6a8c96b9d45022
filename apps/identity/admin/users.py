"""Admin pages of users: who they are, what they may do, and how they get in."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin import drawing, references
from apps.common.admin.buttons import Button, Creation
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.identity import backends, lockout
from apps.identity.admin import why
from apps.identity.admin.forms import DESCRIPTION, DomainChoice, GiveForm, JoinForm
from apps.identity.admin.names import WithId, role_badge, source_badge
from apps.identity.builtin import DEFAULT_DOMAIN_ID
from apps.identity.models import Assignment, GroupMember, User
from apps.identity.services import assignments, groups, tokens, totp, unlocking, users
from apps.identity.services.assignments import Given


class UserForm(forms.Form):
    """What may be changed of a user."""

    username = forms.CharField(max_length=255)
    email = forms.CharField(max_length=254, required=False)
    description = forms.CharField(max_length=DESCRIPTION, required=False, widget=forms.Textarea(attrs={"rows": 3}))


class PasswordForm(forms.Form):
    """A password, twice; the service checks how good it is."""

    password = forms.CharField(max_length=4096, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}))
    again = forms.CharField(
        max_length=4096, strip=False, label="Once more", widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def clean_again(self) -> str:
        if self.cleaned_data["again"] != self.cleaned_data.get("password"):
            raise forms.ValidationError("These are two different passwords.")
        return str(self.cleaned_data["again"])


class NewUserForm(UserForm, PasswordForm):
    """And its domain, for life."""

    domain = DomainChoice(initial=DEFAULT_DOMAIN_ID)
    field_order = ("domain", "username", "password", "again", "email", "description")

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        for name in ("password", "again"):
            self.fields[name].required = False
        self.fields["password"].help_text = "Empty: it cannot sign in with a password."

    def clean_again(self) -> str:
        return super().clean_again() if self.cleaned_data.get("password") else ""


def _create(actor: Actor, values: Mapping[str, Any]) -> User:
    return users.create_user(
        actor=actor, username=values["username"], password=values["password"] or None, email=values["email"],
        description=values["description"], domain_id=values["domain"].pk,
    )


def _change(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    changed = users.update_user(
        actor=actor, user_id=user.pk, username=values["username"], email=values["email"], description=values["description"]
    )
    return f"The user {changed} is changed."


def _set_password(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    users.set_password(actor=actor, user_id=user.pk, password=values["password"])
    return f"{user} has a new password, and no token any more."


def _switch(*, on: bool) -> Callable[[Actor, User, Mapping[str, Any]], str]:
    def run(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
        users.update_user(actor=actor, user_id=user.pk, enabled=on)
        return f"{user} is {'enabled' if on else 'disabled'}."

    return run


def _delete(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    users.delete_user(actor=actor, user_id=user.pk)
    return f"The user {user} is deleted."


def _revoke(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    count = tokens.revoke_all(actor=actor, user_id=user.pk)
    return f"{count} token{'' if count == 1 else 's'} of {user} revoked."


def _remove_factor(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    totp.remove_of(actor=actor, user_id=user.pk)
    return f"{user} has no second factor any more."


def _unlock(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    name = user.username if user.domain_id == DEFAULT_DOMAIN_ID else f"{user.domain.name}/{user.username}"
    found = unlocking.unlock(actor=actor, username=name)
    return f"{found.failures} wrong password{'' if found.failures == 1 else 's'} or codes of {user} are forgotten."


def failures(user: Any) -> lockout.Failures | None:
    """Wrong passwords and codes that count; found for a whole list at once, or for this one."""
    if not hasattr(user, "failures"):
        name = lockout.name_of(user.username, user.domain_id)
        user.failures = lockout.failures([name]).get(name)
    found: lockout.Failures | None = user.failures
    return found


def is_locked(user: User) -> bool:
    """Whether its password would be refused from somewhere, right as it may be."""
    found = failures(user)
    return found is not None and found.locked and not (user.options or {}).get("ignore_lockout_failure_attempts")


def _give(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    place = values["project"]
    given = Given(role_id=values["role"].pk, user_id=user.pk, place_id=place.pk if place else None, inherited=values["inherited"])
    assignments.give(actor=actor, given=given)
    return f"{user} has the role {values['role']} {'in ' + str(place) if place else 'on the system'}."


def _join(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    groups.add_member(actor=actor, group_id=values["group"].pk, user_id=user.pk)
    return f"{user} is in the group {values['group']}."


def _leave(actor: Actor, user: User, values: Mapping[str, Any]) -> str:
    groups.remove_member(actor=actor, group_id=values["group"].pk, user_id=user.pk)
    return f"{user} is not in the group {values['group']} any more."


def _ours(user: User) -> bool:
    return user.source == "database"


def _what_goes(user: User) -> object:
    return drawing.facts(
        (
            ("roles given to it", user.assignments.count()), ("application credentials", user.application_credentials.count()),
            ("access keys", user.credentials.filter(type="ec2").count()), ("trusts", user.trusts_given.filter(deleted_at=None).count()),
        )
    )


_SET_PASSWORD = "identity.user.set_password"
BUTTONS = (
    Button(
        name="give", label="Give a role", question="Give {rows} a role", permission="identity.assignment.create", run=_give, form=GiveForm, bulk=False,
        warning="It counts from the next request on.",
    ),
    Button(
        name="join", label="Put into a group", question="Put {rows} into a group", permission="identity.group.members", run=_join, form=JoinForm,
        warning="It has all roles of the group from the next request on.",
    ),
    Button(
        name="leave", label="Take out of a group", question="Take {rows} out of a group", permission="identity.group.members", run=_leave, form=JoinForm, bulk=False,
        in_table=True, warning="It loses the roles that it has by this group with the next request.",
    ),
    Button(
        name="change", label="Change", permission="identity.user.update", run=_change, form=UserForm, bulk=False,
        initial=lambda user: {"username": user.username, "email": user.email, "description": user.description},
        warning="Name, address and description. Name and address of users from the directory are changed there.",
    ),
    Button(
        name="password", label="Set password", question="Set the password of {rows}", permission=_SET_PASSWORD, run=_set_password, form=PasswordForm, bulk=False, offered=_ours,
        warning="All its tokens end. Its application credentials and access keys go on working.",
    ),
    Button(
        name="revoke", label="Revoke all tokens", question="Revoke all tokens of {rows}?", permission="identity.token.revoke", run=_revoke,
        warning="Whatever uses a token of this user is refused at once; it may sign in again.",
    ),
    Button(
        name="unlock", label="Unlock", permission=_SET_PASSWORD, run=_unlock, offered=lambda user: failures(user) is not None, bulk=False,
        warning="Its wrong passwords and codes are forgotten, so it may try again at once. So may who guessed.",
    ),
    Button(
        name="factor", label="Remove second factor", question="Remove the second factor of {rows}?", permission=_SET_PASSWORD,
        run=_remove_factor, offered=backends.has_second_factor, bulk=False, dangerous=True,
        warning="For a phone that is lost. Until a new one is set up, the password alone is enough.",
    ),
    Button(
        name="enable", label="Enable", permission="identity.user.update", run=_switch(on=True), offered=lambda user: not user.is_active,
        warning="The user may sign in again.",
    ),
    Button(
        name="disable", label="Disable", permission="identity.user.update", run=_switch(on=False), dangerous=True,
        offered=lambda user: user.is_active,
        warning="It is out at once: tokens, application credentials and access keys open nothing any more. What it made stays.",
    ),
    Button(
        name="delete", label="Delete", permission="identity.user.delete", run=_delete, bulk=False, dangerous=True, gone=True,
        notice=_what_goes, warning="With its roles, tokens and credentials. What it made in projects stays, without its name.",
    ),
)


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
        permission="identity.user.create", form=NewUserForm, run=_create, warning="A person or a program. Give it roles afterwards."
    )
    buttons = BUTTONS

    def get_queryset(self, request: HttpRequest) -> "QuerySet[User]":
        return backends.users()

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
            return drawing.quiet("has none" if _ours(user) else "in the directory")
        return drawing.ago(user.password_changed_at, never="unknown")

    @admin.display(description="password ends")
    def password_ends(self, user: User) -> SafeString:
        return drawing.ago(user.password_expires_at)

    @admin.display(description="options")
    def options_shown(self, user: User) -> str:
        return ", ".join(f"{name}: {value}" for name, value in sorted(user.options.items()))
