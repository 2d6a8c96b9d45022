"""Who has which role where, drawn as tables on the pages of users, groups, projects and roles."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin import access, drawing
from apps.identity.admin.names import holder_link, place_link, role_badge
from apps.identity.models import Assignment, Group, Project, ProjectAncestor, Role, User
from apps.identity.selectors import holder

# So many are drawn; all of them are on the list of assignments.
MOST = 100


def of_user(request: HttpRequest, user: User) -> SafeString:
    """Where, which role, and through what: own, by a group; inherited ones count in all projects below."""
    rows = _rows(Assignment.objects.filter(holder(user.pk)))
    return _table(
        request, ("where", "role", "through", ""),
        ((_where(row), _role(row), _through_group(row, "given directly"), _take(request, row)) for row in rows[:MOST]),
        rows, user.pk,
    )


def of_group(request: HttpRequest, group: Group) -> SafeString:
    """What members get by it."""
    rows = _rows(Assignment.objects.filter(group=group))
    return _table(
        request, ("where", "role", ""), ((_where(row), _role(row), _take(request, row)) for row in rows[:MOST]), rows, group.pk,
    )


def of_place(request: HttpRequest, place: Project) -> SafeString:
    """Who has a role in a project or domain: given there, by a group, inherited from above."""
    above = ProjectAncestor.objects.filter(project=place, depth__gt=0).values("ancestor_id")
    reaching = Q(project=place) | Q(inherited=True, project_id__in=above)
    rows = _rows(Assignment.objects.filter(reaching).annotate(people=Count("group__members")))
    return _table(
        request, ("who", "role", "through", ""),
        ((_who(row), _role(row), _through_place(row, place), _take(request, row)) for row in rows[:MOST]),
        rows, place.pk,
    )


def of_role(request: HttpRequest, role: Role) -> SafeString:
    """Who has it, as it was given."""
    rows = _rows(Assignment.objects.filter(role=role).annotate(people=Count("group__members")))
    return _table(
        request, ("who", "where", ""), ((_who(row), _where(row), _take(request, row)) for row in rows[:MOST]), rows, role.pk,
    )


def _rows(rows: "QuerySet[Assignment, Assignment]") -> list[Any]:
    related = rows.select_related("role", "user", "group", "project")
    return list(related.order_by("-system", "project__domain_id", "project__name", "role__name", "pk")[: MOST + 1])


def _table(
    request: HttpRequest, heads: Sequence[str], lines: Iterable[Sequence[object]], rows: Sequence[Any], key: object
) -> SafeString:
    drawn = drawing.table(heads, lines)
    if len(rows) <= MOST:
        return drawn
    return format_html(
        '{}<p><a href="{}?q={}">All of them</a></p>', drawn, reverse("admin:identity_assignment_changelist"), key
    )


def _where(row: Assignment) -> SafeString:
    place = place_link(row.project)
    return format_html("{} {}", drawing.quiet("all projects below"), place) if row.inherited else place


def _role(row: Assignment) -> SafeString:
    return role_badge(row.role.name)


def _who(row: Any) -> SafeString:
    who = holder_link(row.user, row.group)
    return who if row.group is None else format_html("{} {}", who, drawing.quiet(_people(row.people)))


def _people(count: int) -> str:
    return f"{drawing.number(count)} user{'' if count == 1 else 's'}"


def _through_group(row: Assignment, otherwise: str) -> SafeString:
    return drawing.quiet(otherwise) if row.group is None else format_html("{}", holder_link(None, row.group))


def _through_place(row: Assignment, place: Project) -> SafeString:
    if row.project_id != place.pk:
        return format_html("{} {}", drawing.quiet("inherited from"), place_link(row.project))
    return drawing.quiet("for all projects below only" if row.inherited else "given here")


def _take(request: HttpRequest, row: Assignment) -> SafeString:
    if not access.may(request, "identity.assignment.delete"):
        return drawing.EMPTY
    return drawing.action("Take away…", reverse("admin:identity_assignment_do", args=[row.pk, "take"]))
