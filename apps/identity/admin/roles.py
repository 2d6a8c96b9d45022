"""Admin pages of roles, and of the permissions that they give."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common import ids
from apps.common.admin import access, drawing, pages, references
from apps.common.admin.buttons import Button, Creation
from apps.common.admin.pages import RecordAdmin, Section
from apps.common.context import Actor
from apps.identity import policy
from apps.identity.admin import matrix, standing
from apps.identity.admin.forms import Described, DomainChoice, RoleChoice, permission_choices
from apps.identity.admin.names import WithId, role_badge
from apps.identity.builtin import IMPLIED, ROLE_IDS
from apps.identity.builtin import Role as BuiltIn
from apps.identity.models import ImpliedRole, Role
from apps.identity.services import roles

# Beside the built-in ones, so many of the operator's own are offered to be drawn.
_MOST_OFFERED = 30
_BUILTIN_PAIRS = {(ROLE_IDS[prior], ROLE_IDS[implied]) for prior, implied in IMPLIED}


def _choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """Each group begins with all of it."""
    return [(thing, [(f"{thing}.*", "everything"), *options]) for thing, options in permission_choices()]


class RoleForm(Described):
    """What may be changed of a role."""

    permissions = forms.MultipleChoiceField(choices=_choices, required=False, widget=forms.CheckboxSelectMultiple)
    patterns = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 2}), label="Further patterns",
        help_text="Such as compute.* or *.list, one in a line.",
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        return {**values, "wanted": [*values.get("permissions", ()), *values.get("patterns", "").split()]}


class NewRoleForm(RoleForm):
    """And the domain in which it is given, for life."""

    domain = DomainChoice(required=False, help_text="Empty: it is given everywhere. Otherwise in this domain only.")
    field_order = ("name", "description", "domain")


class RoleOnlyForm(forms.Form):
    """Another role."""

    role = RoleChoice()


def _create(actor: Actor, values: Mapping[str, Any]) -> Role:
    domain = values["domain"]
    return roles.create_role(
        actor=actor, name=values["name"], description=values["description"], permissions=values["wanted"],
        domain_id=domain.pk if domain else None,
    )


def _change(actor: Actor, role: Role, values: Mapping[str, Any]) -> str:
    changed = roles.update_role(
        actor=actor, role_id=role.pk, name=values["name"], description=values["description"], permissions=values["wanted"]
    )
    return f"The role {changed} is changed; it counts from the next request on."


def _delete(actor: Actor, role: Role, values: Mapping[str, Any]) -> str:
    roles.delete_role(actor=actor, role_id=role.pk)
    return f"The role {role} is deleted."


def _imply(actor: Actor, role: Role, values: Mapping[str, Any]) -> str:
    roles.imply(actor=actor, prior_id=role.pk, implied_id=values["role"].pk)
    return f"Whoever has the role {role} also has {values['role']}."


def _unimply(actor: Actor, role: Role, values: Mapping[str, Any]) -> str:
    roles.unimply(actor=actor, prior_id=role.pk, implied_id=values["role"].pk)
    return f"The role {role} does not imply {values['role']} any more."


def _initial(role: Role) -> dict[str, Any]:
    listed = {name for _, options in _choices() for name, _ in options}
    return {
        "name": role.name, "description": role.description, "permissions": [each for each in role.permissions if each in listed],
        "patterns": "\n".join(each for each in role.permissions if each not in listed),
    }


def _own(role: Role) -> bool:
    return not role.builtin


def _who_loses(role: Role) -> object:
    return drawing.facts((("given so many times", drawing.number(role.assignments.count())),))


@admin.register(Role)
class RoleAdmin(WithId, RecordAdmin):
    """Built-in roles and the operator's own."""

    permission = "identity.role.list"
    entries = (("Permissions", "permissions/"),)
    list_display = ("name", "kind", "domain_link", "gives", "implied", "given", "description")
    list_filter = ("builtin",)
    list_select_related = ("domain",)
    search_fields = ("name", "description")
    search_ids = ("pk", "domain_id")
    ordering = ("-builtin", "name", "pk")
    facts = (("Facts", ("kind", "domain_link", "description", "own_permissions", "created", "id_shown")),)
    creation = Creation(
        permission="identity.role.create", form=NewRoleForm, run=_create,
        warning="A set of permissions under a name. Give it to users and groups in projects, domains or on the system.",
    )
    buttons = (
        Button(
            name="change", label="Change", permission="identity.role.update", run=_change, form=RoleForm, initial=_initial,
            offered=_own, bulk=False, warning="Everybody who has the role has what it says now, from the next request on.",
        ),
        Button(
            name="imply", label="Imply another role", question="Let {rows} imply another role", permission="identity.implied_role.update", run=_imply, form=RoleOnlyForm,
            bulk=False, warning="Whoever has this role also has the other one, wherever that is.",
        ),
        Button(
            name="unimply", label="Take back", question="Let {rows} not imply another role any more?", permission="identity.implied_role.update", run=_unimply,
            form=RoleOnlyForm, bulk=False, in_table=True, warning="What follows from it is gone with the next request.",
        ),
        Button(
            name="delete", label="Delete", permission="identity.role.delete", run=_delete, dangerous=True, gone=True, offered=_own,
            notice=_who_loses, warning="Whoever has it loses it with the next request.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Role]":
        return super().get_queryset(request).select_related("domain").prefetch_related("implies__implied")

    def prepare(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        super().prepare(request, rows)
        counted = Role.objects.filter(pk__in=[row.pk for row in rows]).order_by().annotate(n=Count("assignments"))
        given = dict(counted.values_list("pk", "n"))
        for row in rows:
            row.given_count = given.get(row.pk, 0)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.permissions_view)
        return [path("permissions/", view, name="identity_role_permissions"), *super().get_urls()]

    def permissions_view(self, request: HttpRequest) -> HttpResponse:
        """The whole table as a picture; with `?role=` for one of the operator's own beside the built-in ones."""
        access.require(request, "identity.permission.list")
        known = policy.definitions(policy.version())
        chosen = [known[key] for key in ROLE_IDS.values() if key in known]
        own = ids.parse(request.GET.get("role", ""))
        chosen += [known[own]] if own in known and known[own] not in chosen else []
        implied = ImpliedRole.objects.select_related("prior", "implied").order_by("prior__name", "implied__name", "pk")
        sections = [
            Section("Which role implies which", matrix.arrows(implied)),
            Section("Permissions", drawing.stack((matrix.legend(), _others(), matrix.draw(chosen)))),
        ]
        context = {**self.context(request), "title": "Permissions", "sections": sections}
        return TemplateResponse(request, "admin/cloudsite/sections.html", context)

    def headline(self, role: Role) -> SafeString:
        return self.kind(role)

    @admin.display(description="kind")
    def kind(self, role: Role) -> SafeString:
        return drawing.badge("built in", "good") if role.builtin else drawing.badge("own", "busy")

    @admin.display(description="domain")
    def domain_link(self, role: Role) -> SafeString:
        return references.link("domain", role.domain_id, role.domain.name) if role.domain else drawing.quiet("any")

    @admin.display(description="gives")
    def gives(self, role: Role) -> SafeString:
        return drawing.quiet("what the table says" if role.builtin else f"{len(role.permissions)} names or patterns")

    @admin.display(description="permissions of its own")
    def own_permissions(self, role: Role) -> SafeString:
        return drawing.quiet("what the table says") if role.builtin else drawing.tags(role.permissions)

    @admin.display(description="implies")
    def implied(self, role: Role) -> SafeString:
        return drawing.stack(role_badge(each.implied.name) for each in role.implies.all()) or drawing.NOTHING

    @admin.display(description="given")
    def given(self, role: Any) -> str:
        return drawing.number(role.given_count)


def _others() -> SafeString:
    """Links that draw one of the operator's own roles beside the built-in ones."""
    rows = Role.objects.filter(builtin=False).order_by("name", "pk")[:_MOST_OFFERED]
    page = reverse("admin:identity_role_permissions")
    links = [drawing.action(row.name, f"{page}?role={row.pk}") for row in rows]
    return drawing.row([drawing.quiet("Beside them:"), *links]) if links else drawing.EMPTY


def _around(request: HttpRequest, role: Role) -> SafeString:
    """All that this role implies, and all that imply it."""
    pairs = list(ImpliedRole.objects.select_related("prior", "implied"))
    known = policy.definitions(policy.version())
    below = known[role.pk].ids if role.pk in known else frozenset({role.pk})
    above = {key for key, each in known.items() if role.pk in each.ids}
    drawn = matrix.arrows(
        pair for pair in pairs
        if (pair.prior_id in below and pair.implied_id in below) or (pair.prior_id in above and pair.implied_id in above)
    )
    page = reverse("admin:identity_role_do", args=[role.pk, "unimply"])
    may = access.may(request, "identity.implied_role.update")
    lines = [
        (references.link("role", pair.implied_id, pair.implied.name), drawing.action("Take back…", f"{page}?role={pair.implied_id}"))
        for pair in pairs if pair.prior_id == role.pk and may and (pair.prior_id, pair.implied_id) not in _BUILTIN_PAIRS
    ]
    return format_html("{}{}", drawn, drawing.table(("implies", ""), lines) if lines else drawing.EMPTY)


def _gives(request: HttpRequest, role: Role) -> SafeString:
    known = policy.definitions(policy.version())
    if role.pk not in known:
        return drawing.EMPTY
    others = [] if role.builtin else [known[ROLE_IDS[BuiltIn.MEMBER]]]
    return drawing.stack((matrix.legend(), matrix.draw([known[role.pk], *others], held_only=not role.builtin)))


pages.add_section(Role, "Implied roles", _around, place=22)
pages.add_section(Role, "What it gives", _gives, place=24, permission="identity.permission.list")
pages.add_section(Role, "Who has it", standing.of_role, place=30, permission="identity.assignment.list")
