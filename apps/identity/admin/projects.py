"""Admin pages of domains and projects: one tree, one list, one page for each."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin import diagrams, drawing, pages, references
from apps.common.admin.buttons import Button, Creation
from apps.common.admin.diagrams import Branch
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.identity import selectors
from apps.identity.admin import standing
from apps.identity.admin.forms import DESCRIPTION, ChosenByName, Described, GiveHereForm
from apps.identity.admin.names import WithId, label, path_shown, paths
from apps.identity.models import Group, Project, ProjectAncestor, Role, User
from apps.identity.services import assignments, domains, holdings, projects
from apps.identity.services.assignments import Given

# A tree of a thousand projects helps nobody.
_MOST_IN_TREE = 200


class ProjectForm(Described):
    """A project or a domain."""

    name = forms.CharField(max_length=64)
    tags = forms.CharField(required=False, max_length=DESCRIPTION, help_text="Words to find it by, with commas between them.")

    def clean_tags(self) -> list[str]:
        return [word for each in self.cleaned_data["tags"].split(",") if (word := each.strip())]


class NewProjectForm(ProjectForm):
    """And where it is to stand in the tree, for life."""

    parent = ChosenByName(
        Project, "parent", required=False, label="Below", help_text="A domain or a project. Empty: it becomes a domain itself."
    )
    field_order = ("parent",)


class KindFilter(admin.SimpleListFilter):
    """Projects, unless asked otherwise."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("domains", "domains"), ("all", "both")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset if self.value() == "all" else queryset.filter(is_domain=self.value() == "domains")

    def choices(self, changelist: Any) -> Iterator[Any]:
        for number, choice in enumerate(super().choices(changelist)):
            yield choice if number else {**choice, "display": "projects"}


def _create(actor: Actor, values: Mapping[str, Any]) -> Project:
    parent, wanted = values["parent"], {name: values[name] for name in ("name", "description", "tags")}
    if parent is None:
        return domains.create_domain(actor=actor, **wanted)
    return projects.create_project(actor=actor, parent_id=parent.pk, **wanted)


def _update(actor: Actor, place: Project, **changes: Any) -> None:
    if place.is_domain:
        domains.update_domain(actor=actor, domain_id=place.pk, **changes)
    else:
        projects.update_project(actor=actor, project_id=place.pk, **changes)


def _change(actor: Actor, place: Project, values: Mapping[str, Any]) -> str:
    _update(actor, place, **values)
    return f"{values['name']} is changed."


def _switch(*, on: bool) -> Callable[[Actor, Project, Mapping[str, Any]], str]:
    def run(actor: Actor, place: Project, values: Mapping[str, Any]) -> str:
        _update(actor, place, enabled=on)
        return f"{place} is {'enabled' if on else 'disabled'}."

    return run


def _delete(actor: Actor, place: Project, values: Mapping[str, Any]) -> str:
    if place.is_domain:
        domains.delete_domain(actor=actor, domain_id=place.pk)
    else:
        projects.delete_project(actor=actor, project_id=place.pk)
    return f"{place} is deleted."


def _give(actor: Actor, place: Project, values: Mapping[str, Any]) -> str:
    given = Given(
        role_id=values["role"].pk, user_id=values["user"].pk if values["user"] else None,
        group_id=values["group"].pk if values["group"] else None, place_id=place.pk, inherited=values["inherited"],
    )
    assignments.give(actor=actor, given=given)
    return f"{values['user'] or values['group']} has the role {values['role']} in {place}."


def _initial(place: Project) -> dict[str, Any]:
    return {"name": place.name, "description": place.description, "tags": ", ".join(selectors.tags(place))}


def _enabled_below(place: Project) -> object:
    """What hinders that a project is disabled; a domain is switched off with all that is in it."""
    if place.is_domain:
        return _contents(place)
    names = [each.name for each in place.children.filter(enabled=True).order_by("name")[:10]]
    return drawing.panel("warn", "Projects below it are enabled; disable these first", ", ".join(names)) if names else ""


def _hindrances(place: Project) -> object:
    """What the service would refuse a deletion for, and what goes with it."""
    below = list(Project.objects.filter(Q(domain=place) | Q(parent=place)).values_list("pk", "name"))
    if place.is_domain:
        left, _ = holdings.left_in([pk for pk, _ in below])
        first = "It is enabled; disable it first" if place.enabled else ""
    else:
        left, _ = holdings.left_in([place.pk])
        first = f"Below it are {', '.join(name for _, name in below[:10])}; delete these first" if below else ""
    has = ", ".join(f"{drawing.number(count)} {thing.replace('_', ' ')}" for thing, count in sorted(left.items()))
    said = [sentence for sentence in (first, f"There are still {has}" if has else "") if sentence]
    hindered = drawing.panel("bad", "This will be refused as it is now", *(f"{sentence}." for sentence in said)) if said else ""
    return drawing.stack(each for each in (hindered, _contents(place) if place.is_domain else "") if each)


def _contents(domain: Project) -> object:
    counts = {
        "projects": Project.objects.filter(domain=domain).count(), "users": User.objects.filter(domain=domain).count(),
        "groups": Group.objects.filter(domain=domain).count(), "roles": Role.objects.filter(domain=domain).count(),
    }
    return drawing.facts((name, drawing.number(count)) for name, count in counts.items())


def _buttons(thing: str) -> tuple[Button, ...]:
    """A domain's and a project's are the same; what they need is not."""
    is_domain = thing == "domain"
    suffix = "_domain" if is_domain else ""
    return (
        Button(
            name=f"change{suffix}", label="Change", permission=f"identity.{thing}.update", run=_change, form=ProjectForm,
            initial=_initial, bulk=False, offered=lambda place: place.is_domain == is_domain,
            warning="Name, description and tags. Its place in the tree is for life.",
        ),
        Button(
            name=f"enable{suffix}", label="Enable", permission=f"identity.{thing}.update", run=_switch(on=True),
            bulk=not is_domain, offered=lambda place: place.is_domain == is_domain and not place.enabled,
            warning="People with a role in it can work there again.",
        ),
        Button(
            name=f"disable{suffix}", label="Disable", permission=f"identity.{thing}.update", run=_switch(on=False),
            bulk=not is_domain, dangerous=True, offered=lambda place: place.is_domain == is_domain and place.enabled,
            notice=_enabled_below,
            warning="Nobody works in it any more, from their next request on. What runs in it goes on running."
            + (" Users of the domain cannot sign in." if is_domain else ""),
        ),
        Button(
            name=f"delete{suffix}", label="Delete", permission=f"identity.{thing}.delete", run=_delete, bulk=False, gone=True,
            dangerous=True, offered=lambda place: place.is_domain == is_domain, notice=_hindrances,
            warning="Its projects, users, groups and roles go with it." if is_domain
            else "All roles in it go with it, and tokens and application credentials for it.",
        ),
    )


@admin.register(Project)
class ProjectAdmin(WithId, RecordAdmin):
    """Owners of everything that tenants have, and the domains in which they are."""

    permission = "identity.project.list"
    entries = (("Domains", "?kind=domains"),)
    list_display: Any = ("name", "within", "state", "tags_shown", "roles_given", "below", "created")
    list_filter = (KindFilter, "enabled")
    list_select_related = ("domain",)
    search_fields = ("name", "description", "tags__name")
    search_ids = ("pk", "domain_id", "parent_id")
    search_help_text = "a part of name, description or tag, or an id (project, parent, domain)"
    ordering = ("name", "pk")
    facts = (("Facts", ("within", "description", "tags_shown", "options_shown", "created", "id_shown")),)
    creation = Creation(
        permission="identity.project.create", form=NewProjectForm, run=_create,
        warning="A project owns instances, networks and images. Domains hold projects, users and groups that have nothing to "
        "do with those of other domains.",
    )
    buttons = (
        *_buttons("project"), *_buttons("domain"),
        Button(
            name="give", label="Give a role", question="Give a role in {rows}", permission="identity.assignment.create", run=_give, form=GiveHereForm, bulk=False,
            warning="It counts from the next request on.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Project]":
        return super().get_queryset(request).select_related("domain").prefetch_related("tags")

    def prepare(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        super().prepare(request, rows)
        ids = [row.pk for row in rows]
        counted = Project.objects.filter(pk__in=ids).order_by()
        roles = dict(counted.annotate(n=Count("assignments")).values_list("pk", "n"))
        children = dict(counted.annotate(n=Count("children")).values_list("pk", "n"))
        above = paths(rows)
        for row in rows:
            row.above, row.role_count, row.child_count = above.get(row.pk, []), roles.get(row.pk, 0), children.get(row.pk, 0)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        titles = {"domains": "Domains", "all": "Domains and projects"}
        title = titles.get(request.GET.get("kind", ""), "Projects")
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def label(self, row: Project) -> str:
        return label(row)

    def headline(self, place: Project) -> SafeString:
        return format_html("{} {}", drawing.badge("domain", "busy") if place.is_domain else drawing.EMPTY, self.state(place))

    def links(self, request: HttpRequest, place: Project) -> list[tuple[str, str]]:
        if not self.has_add_permission(request):
            return []
        return [("New project below", f"{reverse('admin:identity_project_add')}?parent={place.pk}")]

    @admin.display(description="state")
    def state(self, place: Project) -> SafeString:
        if not place.enabled:
            return drawing.badge("disabled", "bad")
        if place.domain is not None and not place.domain.enabled:
            return drawing.badge("domain disabled", "bad")
        return drawing.badge("enabled", "good")

    @admin.display(description="in")
    def within(self, place: Any) -> SafeString:
        above = place.above if hasattr(place, "above") else paths([place]).get(place.pk, [])
        return path_shown(above) or drawing.NOTHING

    @admin.display(description="tags")
    def tags_shown(self, place: Project) -> SafeString:
        return format_html("{}", drawing.tags(selectors.tags(place)))

    @admin.display(description="options")
    def options_shown(self, place: Project) -> str:
        return ", ".join(f"{name}: {value}" for name, value in sorted(place.options.items()))

    @admin.display(description="roles given")
    def roles_given(self, place: Any) -> str:
        return drawing.number(place.role_count)

    @admin.display(description="below it")
    def below(self, place: Any) -> SafeString:
        if not place.child_count:
            return drawing.NOTHING
        page = f"{reverse('admin:identity_project_changelist')}?q={place.pk}"
        return format_html('<a href="{}">{}</a>', page, drawing.number(place.child_count))


def _tree(request: HttpRequest, place: Project) -> SafeString:
    """The way down from the domain, then all below."""
    rows = ProjectAncestor.objects.filter(ancestor=place).select_related("project").order_by("depth", "project__name")
    found = [row.project for row in rows[: _MOST_IN_TREE + 1]]
    shown = found[:_MOST_IN_TREE]
    branches: dict[uuid.UUID, Branch] = {each.pk: Branch(_line(each, here=each.pk == place.pk)) for each in shown}
    for each in shown:
        if each.parent_id in branches:
            branches[each.parent_id].below.append(branches[each.pk])
    root = branches[place.pk]
    for each in reversed(paths([place]).get(place.pk, [])):
        root = Branch(_line(each, here=False), [root])
    more = drawing.quiet(f"Only {_MOST_IN_TREE} are drawn.") if len(found) > _MOST_IN_TREE else drawing.EMPTY
    return format_html("{}{}", diagrams.tree([root]), more)


def _line(place: Project, *, here: bool) -> SafeString:
    name = format_html("<b>{}</b>", place.name) if here else references.link("project", place.pk, place.name)
    kind = drawing.quiet("domain") if place.is_domain else drawing.EMPTY
    state = drawing.EMPTY if place.enabled else drawing.badge("disabled", "bad")
    return format_html("{} {} {}", name, kind, state)


def _of_domain(request: HttpRequest, place: Project) -> SafeString:
    if not place.is_domain:
        return drawing.EMPTY
    lists = (
        ("users", "user", User.objects.filter(domain=place).count()), ("groups", "group", Group.objects.filter(domain=place).count()),
        ("roles of its own", "role", Role.objects.filter(domain=place).count()),
        ("projects", "project", Project.objects.filter(domain=place).count()),
    )
    return drawing.facts(
        (name, format_html('<a href="{}?q={}">{}</a>', reverse(f"admin:identity_{page}_changelist"), place.pk, drawing.number(count)))
        for name, page, count in lists
    )


pages.add_section(Project, "In the domain", _of_domain, place=21)
pages.add_section(Project, "Tree", _tree, place=22)
pages.add_section(Project, "Who has which role here", standing.of_place, place=24, permission="identity.assignment.list")

