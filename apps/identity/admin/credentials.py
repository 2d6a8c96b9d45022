"""Admin pages of what lets programs act for a user: application credentials, access rules, trusts, access keys. No secrets."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common import clock
from apps.common.admin import drawing, references
from apps.common.admin.buttons import Button
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.identity.admin.names import WithId, role_badge
from apps.identity.models import AccessRule, ApplicationCredential, Credential, Trust
from apps.identity.services import access_keys, application_credentials, credentials, totp, trusts


class TypeFilter(admin.SimpleListFilter):
    """By kind, out of those that we know: no look into the table is needed to list them."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("keys", "access keys"), ("factors", "second factors"), ("others", "others")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        known = {"keys": Q(type=access_keys.TYPE), "factors": Q(type=totp.TYPE), "others": ~Q(type__in=(access_keys.TYPE, totp.TYPE))}
        return queryset.filter(known[str(self.value())]) if self.value() in known else queryset


class EndedFilter(admin.SimpleListFilter):
    """Trusts that hold, unless asked otherwise."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("holds", "holds"), ("over", "over")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        holds = Q(deleted_at=None) & (Q(expires_at=None) | Q(expires_at__gt=clock.now()))
        return queryset.filter({"holds": holds, "over": ~holds}[str(self.value())]) if self.value() in ("holds", "over") else queryset


def _delete_application_credential(actor: Actor, row: ApplicationCredential, values: Mapping[str, Any]) -> str:
    application_credentials.delete(actor=actor, credential_id=row.pk)
    return f"The application credential {row} of {row.user} is deleted."


def _delete_rule(actor: Actor, row: AccessRule, values: Mapping[str, Any]) -> str:
    application_credentials.delete_rule(actor=actor, rule_id=row.pk)
    return f"The access rule {row} is deleted."


def _delete_key(actor: Actor, row: Credential, values: Mapping[str, Any]) -> str:
    access_keys.delete(actor=actor, key_id=row.pk)
    return f"The access key {row} of {row.user} is void."


def _delete_credential(actor: Actor, row: Credential, values: Mapping[str, Any]) -> str:
    credentials.delete(actor=actor, credential_id=row.pk)
    return f"The credential {row} of {row.user} is deleted."


def _end(actor: Actor, trust: Trust, values: Mapping[str, Any]) -> str:
    trusts.delete(actor=actor, trust_id=trust.pk)
    return f"The trust of {trust} has ended."


class _OfUser(WithId):
    """What columns of these have in common."""

    @admin.display(description="user")
    def user_link(self, row: Any) -> SafeString:
        return references.link("user", row.user_id, row.user.username)

    @admin.display(description="project")
    def project_link(self, row: Any) -> SafeString:
        return references.link("project", row.project_id, row.project.name) if row.project else drawing.NOTHING

    @admin.display(description="expires")
    def expires(self, row: Any) -> SafeString:
        return drawing.ago(row.expires_at)

    @admin.display(description="last used")
    def used(self, row: Any) -> SafeString:
        return drawing.ago(row.last_used_at)

    @admin.display(description="roles")
    def roles_shown(self, row: Any) -> SafeString:
        return drawing.words(role_badge(role.name) for role in row.roles.all()) or drawing.NOTHING


@admin.register(ApplicationCredential)
class ApplicationCredentialAdmin(_OfUser, RecordAdmin):
    """Passwords of programs. Their owners make them; what they open is at most what the owner may do."""

    permission = "identity.application_credential.list"
    list_display = ("name", "state", "user_link", "project_link", "roles_shown", "limits", "expires", "used")
    list_filter = ("unrestricted",)
    list_select_related = ("user", "project")
    search_fields = ("name", "description", "user__username", "project__name")
    search_ids = ("pk", "user_id", "project_id")
    search_help_text = "a part of a name (its own, user, project), or an id"
    facts = (
        (
            "Facts",
            (
                "user_link", "project_link", "roles_shown", "description", "permissions_shown", "further", "rules", "expires",
                "used", "created", "tokens_link", "id_shown",
            ),
        ),
    )
    buttons = (
        Button(
            name="delete", label="Delete", permission="identity.application_credential.delete", run=_delete_application_credential,
            dangerous=True, gone=True, warning="Programs that use it are refused at once, also with tokens and access keys made with it.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ApplicationCredential]":
        return super().get_queryset(request).select_related("user", "project").prefetch_related("roles", "access_rules")

    def headline(self, row: ApplicationCredential) -> SafeString:
        return self.state(row)

    @admin.display(description="state")
    def state(self, row: ApplicationCredential) -> SafeString:
        over = row.expires_at is not None and row.expires_at <= clock.now()
        said = [drawing.badge("expired", "off") if over else drawing.badge("valid", "good")]
        if row.unrestricted:
            said.append(drawing.badge("unrestricted", "warn", title="it may make further credentials"))
        return drawing.words(said)

    @admin.display(description="limits")
    def limits(self, row: ApplicationCredential) -> SafeString:
        said = []
        if row.permissions is not None:
            said.append(f"{len(row.permissions)} permissions")
        if count := len(row.access_rules.all()):
            said.append(f"{count} access rules")
        return drawing.quiet(", ".join(said)) if said else drawing.NOTHING

    @admin.display(description="may make further credentials")
    def further(self, row: ApplicationCredential) -> str:
        return "yes" if row.unrestricted else "no"

    @admin.display(description="permissions")
    def permissions_shown(self, row: ApplicationCredential) -> SafeString:
        return drawing.quiet("all that the roles give") if row.permissions is None else drawing.tags(row.permissions)

    @admin.display(description="access rules")
    def rules(self, row: ApplicationCredential) -> SafeString:
        return drawing.stack(drawing.code(rule) for rule in row.access_rules.all()) or drawing.quiet("none: any request")

    @admin.display(description="tokens")
    def tokens_link(self, row: ApplicationCredential) -> SafeString:
        page = f"{reverse('admin:identity_token_changelist')}?q={row.pk}"
        return format_html('<a href="{}">{}</a>', page, "made with it")


@admin.register(AccessRule)
class AccessRuleAdmin(_OfUser, RecordAdmin):
    """Kinds of requests that application credentials may be bound to."""

    permission = "identity.application_credential.list"
    list_display = ("path", "method", "service", "user_link")
    list_select_related = ("user",)
    search_fields = ("path", "=service", "=method", "user__username")
    search_ids = ("pk", "user_id")
    facts = (("Facts", ("service", "method", "path", "user_link", "id_shown")),)
    buttons = (
        Button(
            name="delete", label="Delete", permission="identity.application_credential.delete", run=_delete_rule, dangerous=True,
            gone=True, warning="Refused while an application credential has it.",
        ),
    )


@admin.register(Trust)
class TrustAdmin(_OfUser, RecordAdmin):
    """One user acts with roles of another one, in one project."""

    permission = "identity.trust.list"
    list_display = ("between", "state", "project_link", "roles_shown", "left", "expires", "created")
    list_filter = (EndedFilter, "impersonation")
    list_select_related = ("trustor", "trustee", "project")
    search_fields = ("trustor__username", "trustee__username", "project__name")
    search_ids = ("pk", "trustor_id", "trustee_id", "project_id")
    facts = (
        (
            "Facts",
            (
                "trustor_link", "trustee_link", "project_link", "roles_shown", "impersonation", "left", "handed_on", "expires",
                "ended", "created", "id_shown",
            ),
        ),
    )
    buttons = (
        Button(
            name="end", label="End", permission="identity.trust.delete", run=_end, dangerous=True,
            offered=lambda trust: trust.deleted_at is None,
            warning="The trustee cannot act for the trustor any more, from the next request on; nor can those it was handed on to.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Trust]":
        return super().get_queryset(request).select_related("trustor", "trustee", "project").prefetch_related("roles")

    def headline(self, trust: Trust) -> SafeString:
        return self.state(trust)

    @admin.display(description="trustor and trustee")
    def between(self, trust: Trust) -> str:
        return f"{trust.trustor} → {trust.trustee}"

    @admin.display(description="state")
    def state(self, trust: Trust) -> SafeString:
        if trust.deleted_at is not None:
            return drawing.badge("ended", "off")
        if trust.expires_at is not None and trust.expires_at <= clock.now():
            return drawing.badge("expired", "off")
        return drawing.badge("used up", "off") if trust.remaining_uses == 0 else drawing.badge("holds", "good")

    @admin.display(description="trustor")
    def trustor_link(self, trust: Trust) -> SafeString:
        return references.link("user", trust.trustor_id, trust.trustor.username)

    @admin.display(description="trustee")
    def trustee_link(self, trust: Trust) -> SafeString:
        return references.link("user", trust.trustee_id, trust.trustee.username)

    @admin.display(description="uses left")
    def left(self, trust: Trust) -> object:
        return drawing.quiet("any number") if trust.remaining_uses is None else str(trust.remaining_uses)

    @admin.display(description="may be handed on")
    def handed_on(self, trust: Trust) -> str:
        return f"{trust.redelegation_count} more times" if trust.allow_redelegation else "no"

    @admin.display(description="ended")
    def ended(self, trust: Trust) -> SafeString:
        return drawing.ago(trust.deleted_at, never="no")


@admin.register(Credential)
class CredentialAdmin(_OfUser, RecordAdmin):
    """Sealed secrets: access keys for EC2 and S3, seeds of second factors, what clients keep here. Never opened here."""

    permission = "identity.credential.list"
    list_display = ("key", "type", "user_link", "project_link", "used", "created")
    list_filter = (TypeFilter,)
    list_select_related = ("user", "project")
    search_fields = ("=access", "name", "user__username", "=type")
    search_ids = ("pk", "user_id", "project_id", "trust_id", "application_credential_id")
    search_help_text = "an access key, a name, a user, a type, or an id"
    facts = (("Facts", ("key", "type", "name", "user_link", "project_link", "by", "confirmed", "used", "created", "id_shown")),)
    buttons = (
        Button(
            name="delete", label="Delete", permission="identity.access_key.delete", run=_delete_key, dangerous=True, gone=True,
            offered=lambda row: row.type == access_keys.TYPE, warning="Requests that are signed with it are refused at once.",
        ),
        Button(
            name="delete_other", label="Delete", permission="identity.credential.delete", run=_delete_credential, bulk=False,
            dangerous=True, gone=True, offered=lambda row: row.type not in (access_keys.TYPE, totp.TYPE),
            warning="What was kept here cannot be brought back.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Credential]":
        return super().get_queryset(request).select_related("user", "project", "application_credential").defer("blob")

    @admin.display(description="key")
    def key(self, row: Credential) -> SafeString:
        return drawing.code(str(row))

    @admin.display(description="made by")
    def by(self, row: Credential) -> SafeString:
        made_by = row.application_credential
        return references.link("application_credential", made_by.pk, made_by.name) if made_by else drawing.quiet("its owner")

    @admin.display(description="confirmed", boolean=True)
    def confirmed(self, row: Credential) -> bool:
        return row.verified
