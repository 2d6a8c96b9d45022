"""Admin pages of tokens: seen and revoked. Neither secret nor digest is ever shown: the prefix tells them apart."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.common import clock
from apps.common.admin import drawing, references
from apps.common.admin.buttons import Button
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.identity.admin.names import WithId, place_link
from apps.identity.models import Token
from apps.identity.services import tokens


class LivingFilter(admin.SimpleListFilter):
    """Whether it still opens anything."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("valid", "valid"), ("expired", "expired"), ("revoked", "revoked")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        now = clock.now()
        asked = {
            "valid": Q(revoked_at=None, expires_at__gt=now), "expired": Q(revoked_at=None, expires_at__lte=now),
            "revoked": Q(revoked_at__isnull=False),
        }
        return queryset.filter(asked[str(self.value())]) if self.value() in asked else queryset


def _revoke(actor: Actor, token: Token, values: Mapping[str, Any]) -> str:
    tokens.revoke(actor=actor, token_id=token.pk)
    return f"The token {token} of {token.user} is void from now on."


def state(token: Token) -> SafeString:
    """Whether it still opens anything."""
    if token.revoked_at is not None:
        return drawing.badge("revoked", "bad")
    return drawing.badge("expired", "off") if token.expires_at <= clock.now() else drawing.badge("valid", "good")


def scope(token: Token) -> SafeString:
    """Where it opens something."""
    if token.project is None and not token.system:
        return drawing.badge("none", "off", title="its owner has still to choose a project")
    return place_link(token.project)


@admin.register(Token)
class TokenAdmin(WithId, RecordAdmin):
    """Bearer tokens."""

    permission = "identity.token.list"
    list_display = ("prefix_shown", "state", "name", "user_link", "scope", "methods_shown", "created", "expires", "used")
    list_filter = (LivingFilter, "system")
    list_select_related = ("user", "project")
    search_fields = ("prefix", "name", "user__username", "project__name")
    search_ids = ("pk", "user_id", "project_id", "application_credential_id", "trust_id")
    search_help_text = "how it begins, a name (token, user, project), or an id (also of an application credential or a trust)"
    facts = (
        (
            "Facts",
            (
                "prefix_shown", "name", "user_link", "scope", "methods_shown", "credential", "created", "expires", "revoked", "used",
                "audit", "id_shown",
            ),
        ),
    )
    buttons = (
        Button(
            name="revoke", label="Revoke", permission="identity.token.revoke", run=_revoke, dangerous=True,
            offered=lambda token: token.revoked_at is None,
            warning="Whoever uses this token is refused at once. It cannot be brought back.",
        ),
    )

    def headline(self, token: Token) -> SafeString:
        return state(token)

    @admin.display(description="token")
    def prefix_shown(self, token: Token) -> SafeString:
        return drawing.code(f"{token.prefix}…")

    @admin.display(description="state")
    def state(self, token: Token) -> SafeString:
        return state(token)

    @admin.display(description="user")
    def user_link(self, token: Token) -> SafeString:
        return references.link("user", token.user_id, token.user.username)

    @admin.display(description="good for")
    def scope(self, token: Token) -> SafeString:
        return scope(token)

    @admin.display(description="signed in by")
    def methods_shown(self, token: Token) -> str:
        return ", ".join(each.replace("_", " ") for each in token.methods)

    @admin.display(description="made with")
    def credential(self, token: Token) -> SafeString:
        credential = token.application_credential
        return references.link("application_credential", credential.pk, credential.name) if credential else drawing.NOTHING

    @admin.display(description="expires")
    def expires(self, token: Token) -> SafeString:
        return drawing.ago(token.expires_at)

    @admin.display(description="revoked")
    def revoked(self, token: Token) -> SafeString:
        return drawing.ago(token.revoked_at)

    @admin.display(description="last used")
    def used(self, token: Token) -> SafeString:
        return drawing.ago(token.last_used_at)

    @admin.display(description="audit ids")
    def audit(self, token: Token) -> SafeString:
        return drawing.stack(drawing.code(each) for each in token.audit_ids)
