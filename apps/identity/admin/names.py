"""Who acts in the admin, and what the things of identity are called there."""

import uuid
from collections.abc import Callable, Collection, Iterable
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group as DjangoGroup
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.common.admin import access, drawing, references
from apps.common.context import Actor, address_of
from apps.common.errors import Forbidden
from apps.identity import policy
from apps.identity.models import (
    ApplicationCredential,
    Credential,
    Endpoint,
    Group,
    Project,
    ProjectAncestor,
    Role,
    Service,
    Token,
    Trust,
    User,
)
from apps.identity.services import tokens

TONES = {"admin": "warn", "operator": "busy", "member": "good", "reader": "off", "service": "busy"}


def operator(request: HttpRequest) -> Actor:
    """The signed-in operator as services see one: it works in no project, its roles on the system count. Raises CloudError."""
    if not isinstance(request.user, User):
        raise Forbidden("auth.operator", "This is for operators of the installation only.")
    return tokens.actor_for(user_id=request.user.pk, place_id=None, address=address_of(request))


def _named(model: type[Model], field: str) -> Callable[[Collection[uuid.UUID]], dict[uuid.UUID, str]]:
    def names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
        return dict(model._default_manager.filter(pk__in=ids).values_list("pk", field))

    return names


access.decided_by(operator, policy.require)
for kind, page, model, field in (
    ("user", "user", User, "username"), ("project", "project", Project, "name"), ("domain", "project", Project, "name"),
    ("group", "group", Group, "name"), ("role", "role", Role, "name"), ("token", "token", Token, "prefix"),
    ("application_credential", "applicationcredential", ApplicationCredential, "name"),
    ("credential", "credential", Credential, "type"), ("access_key", "credential", Credential, "access"),
    ("trust", "trust", Trust, "trustor__username"), ("service", "service", Service, "type"), ("endpoint", "endpoint", Endpoint, "url"),
):
    references.register(kind, model=f"identity_{page}", names=_named(model, field))
# Roles are given by assignments; Django's groups would only be a second, silent way.
if admin.site.is_registered(DjangoGroup):
    admin.site.unregister(DjangoGroup)


def role_badge(name: str) -> SafeString:
    """A role; the operator's own ones all look alike."""
    return drawing.badge(name, TONES.get(name, "busy"))


def place_link(place: Project | None) -> SafeString:
    """A project or a domain, or the whole installation."""
    if place is None:
        return drawing.badge("the system", "bad", title="everywhere in this installation")
    link = references.link("project", place.pk, place.name)
    return format_html("{} {}", drawing.quiet("domain"), link) if place.is_domain else link


def holder_link(user: User | None, group: Group | None) -> SafeString:
    """A user, or a group."""
    if user is not None:
        return references.link("user", user.pk, user.username)
    return format_html("{} {}", drawing.quiet("group"), references.link("group", group.pk, group.name)) if group else drawing.NOTHING


def source_badge(source: str) -> SafeString:
    """Where a user or group is kept, if that is not here."""
    return drawing.EMPTY if source == "database" else drawing.badge("LDAP", "busy", title="kept in the directory, not here")


def paths(rows: Iterable[Project]) -> dict[uuid.UUID, list[Project]]:
    """What stands above each of these projects, the domain first: one query for all."""
    found: dict[uuid.UUID, list[Project]] = {}
    above = ProjectAncestor.objects.filter(project__in=list(rows), depth__gt=0).select_related("ancestor").order_by("-depth")
    for row in above:
        found.setdefault(row.project_id, []).append(row.ancestor)
    return found


def path_shown(above: Iterable[Project]) -> SafeString:
    """`Default / research /`, each a link."""
    return format_html_join(" ", "{} /", ((references.link("project", each.pk, each.name),) for each in above))


def label(place: Project) -> str:
    """What tells projects of one name in several domains apart."""
    return f"{place.domain} / {place}" if place.domain_id is not None else f"domain {place}"


class WithId:
    """The last fact of a page."""

    @admin.display(description="id")
    def id_shown(self, row: Any) -> SafeString:
        return drawing.code(row.pk)

    @admin.display(description="made")
    def created(self, row: Any) -> SafeString:
        return drawing.ago(row.created_at)
