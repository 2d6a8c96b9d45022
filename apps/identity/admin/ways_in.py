"""Sections of a user's page: roles, groups, and everything by which somebody gets in as this user."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common import clock
from apps.common.admin import access, drawing, pages, references
from apps.identity.admin import standing
from apps.identity.admin.names import place_link, role_badge
from apps.identity.admin.tokens import scope, state
from apps.identity.admin.user_buttons import failures
from apps.identity.models import ApplicationCredential, Credential, Group, Token, User

# So many are drawn; all of them are on their own list.
_MOST = 20


def _failures(request: HttpRequest, user: User) -> SafeString:
    found = failures(user)
    if found is None:
        return drawing.EMPTY
    return drawing.table(
        ("from", "wrong passwords and codes", "the last one"),
        ((drawing.code(address), count, drawing.ago(at)) for address, count, at in found.by_address[:_MOST]),
    )


def _groups(request: HttpRequest, user: User) -> SafeString:
    rows = list(Group.objects.filter(members__user=user).select_related("domain").order_by("name", "pk")[: _MOST + 1])
    may = access.may(request, "identity.group.members")
    page = reverse("admin:identity_user_do", args=[user.pk, "leave"])
    return _table(
        ("group", "domain", ""), rows,
        lambda row: (
            references.link("group", row.pk, row.name), row.domain.name,
            drawing.action("Take out…", f"{page}?group={row.pk}") if may and row.source == "database" else drawing.EMPTY,
        ),
        "",
    )


def _tokens(request: HttpRequest, user: User) -> SafeString:
    living = Token.objects.filter(user=user, revoked_at=None, expires_at__gt=clock.now()).select_related("project")
    return _table(
        ("token", "state", "name", "good for", "made", "expires", "last used", ""), list(living.order_by("-pk")[: _MOST + 1]),
        lambda row: (
            references.link("token", row.pk, f"{row.prefix}…"), state(row), row.name, scope(row), drawing.ago(row.created_at),
            drawing.ago(row.expires_at), drawing.ago(row.last_used_at), _do(request, "token", row.pk, "revoke", "Revoke…"),
        ),
        _all("token", user, "&state=valid"),
    )


def _application_credentials(request: HttpRequest, user: User) -> SafeString:
    rows = ApplicationCredential.objects.filter(user=user).select_related("project").prefetch_related("roles")
    return _table(
        ("name", "project", "roles", "expires", "last used", ""), list(rows.order_by("name")[: _MOST + 1]),
        lambda row: (
            references.link("application_credential", row.pk, row.name), place_link(row.project),
            drawing.words(role_badge(role.name) for role in row.roles.all()), drawing.ago(row.expires_at),
            drawing.ago(row.last_used_at), _do(request, "applicationcredential", row.pk, "delete", "Delete…"),
        ),
        _all("applicationcredential", user),
    )


def _keys(request: HttpRequest, user: User) -> SafeString:
    rows = Credential.objects.filter(user=user).exclude(type="totp").select_related("project")
    return _table(
        ("key", "kind", "project", "made", "last used", ""), list(rows.order_by("-pk")[: _MOST + 1]),
        lambda row: (
            references.link("credential", row.pk, str(row)), row.type, place_link(row.project) if row.project else drawing.NOTHING,
            drawing.ago(row.created_at), drawing.ago(row.last_used_at), _do(request, "credential", row.pk, "delete" if row.type == "ec2" else "delete_other", "Delete…"),
        ),
        _all("credential", user),
    )


_PERMISSIONS = {
    ("token", "revoke"): "identity.token.revoke", ("applicationcredential", "delete"): "identity.application_credential.delete",
    ("credential", "delete"): "identity.access_key.delete", ("credential", "delete_other"): "identity.credential.delete",
}


def _do(request: HttpRequest, model: str, key: Any, button: str, label: str) -> SafeString:
    if not access.may(request, _PERMISSIONS[model, button]):
        return drawing.EMPTY
    return drawing.action(label, reverse(f"admin:identity_{model}_do", args=[key, button]))


def _all(model: str, user: User, more: str = "") -> str:
    return f"{reverse(f'admin:identity_{model}_changelist')}?q={user.pk}{more}"


def _table(
    heads: Sequence[str], rows: Sequence[Any], line: Callable[[Any], Iterable[object]], everything: str
) -> SafeString:
    drawn = drawing.table(heads, (tuple(line(row)) for row in rows[:_MOST]))
    if len(rows) <= _MOST:
        return drawn
    return format_html('{}<p><a href="{}">All of them</a></p>', drawn, everything) if everything else drawn


for title, draw, place, permission in (
    ("Somebody tries to get in", _failures, 10, "identity.user.list"), ("Roles", standing.of_user, 21, "identity.assignment.list"), ("Groups", _groups, 22, "identity.group.list"),
    ("Tokens that work", _tokens, 25, "identity.token.list"),
    ("Application credentials", _application_credentials, 26, "identity.application_credential.list"),
    ("Access keys and other credentials", _keys, 27, "identity.credential.list"),
):
    pages.add_section(User, title, draw, place=place, permission=permission)
