"""The policy as a picture: permissions downwards, roles across, once for each scope in which a permission is asked."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from apps.common.admin import diagrams, drawing
from apps.common.admin.diagrams import Box
from apps.identity import policy
from apps.identity.admin.names import TONES
from apps.identity.models import ImpliedRole
from apps.identity.permissions import TABLE, Permission
from apps.identity.policy import Definition, Scope

SCOPES: tuple[Scope, ...] = get_args(Scope)
_WHERE = {"project": "in a project", "domain": "in a domain", "system": "on the system"}
# A picture with more arrows cannot be read.
_MOST_ARROWS = 100


@dataclass(frozen=True)
class _Column:
    """One role in one scope: what it gives, and what of that it would give without the operator's file."""

    scope: Scope
    role: Definition
    held: frozenset[str]

    def direct(self, row: Permission) -> bool:
        """Whether the table names this very role, or the role this very permission."""
        return self.role.name in (getattr(row, self.scope) or ()) or bool(policy.matching(frozenset({row.name}), self.role.patterns))

    def by_default(self, row: Permission) -> bool:
        needed = getattr(TABLE[row.name], self.scope)
        return needed is not None and (
            bool(self.role.names.intersection(needed)) or bool(policy.matching(frozenset({row.name}), self.role.patterns))
        )


def draw(roles: Sequence[Definition], *, held_only: bool = False) -> SafeString:
    """`held_only`: leave out what the first of these roles does not give."""
    at = policy.version()
    columns = [_Column(scope, role, policy.grants(scope, frozenset({role.id}), at)) for scope in SCOPES for role in roles]
    rows = [row for row in policy.table() if not held_only or any(row.name in each.held for each in columns if each.role is roles[0])]
    bodies = format_html_join(
        "", "{}", ((_body(context, list(group), columns),) for context, group in itertools.groupby(rows, _context))
    )
    return format_html(
        '<div class="cs-scroll"><table class="cs-matrix"><thead>{}{}</thead>{}</table></div>', _scopes(len(roles)), _names(roles), bodies
    )


def legend() -> SafeString:
    """What the signs mean."""
    return mark_safe(
        '<ul class="cs-legend cs-matrix-legend"><li><b class="cs-yes">●</b> has it</li><li><b class="cs-implied">●</b> has it by a role '
        'that it implies</li><li><b class="cs-no">·</b> has it not</li><li><b class="cs-never">&nbsp;</b> not asked there</li>'
        '<li><b class="cs-yes cs-changed">●</b> the policy file says otherwise than the built-in table</li></ul>'
    )


def arrows(pairs: Iterable[ImpliedRole]) -> SafeString:
    """Which role implies which."""
    boxes, edges = {}, set()
    for pair in itertools.islice(pairs, _MOST_ARROWS):
        for role in (pair.prior, pair.implied):
            tone = TONES.get(role.name, "busy") if role.builtin else "busy"
            boxes[str(role.pk)] = Box(role.name, reverse("admin:identity_role_change", args=[role.pk]), tone)
        edges.add((str(pair.prior_id), str(pair.implied_id)))
    return diagrams.arrows(boxes, edges)


def _context(row: Permission) -> str:
    return row.name.partition(".")[0]


def _scopes(width: int) -> SafeString:
    heads = format_html_join("", '<th scope="colgroup" colspan="{}">{}</th>', ((width, _WHERE[scope]) for scope in SCOPES))
    return format_html('<tr><th></th><th></th>{}<th scope="col">own</th></tr>', heads)


def _names(roles: Sequence[Definition]) -> SafeString:
    heads = format_html_join(
        "", '<th scope="col" class="cs-slanted{}"><span>{}</span></th>',
        ((" cs-first" if place == 0 else "", role.name) for _ in SCOPES for place, role in enumerate(roles)),
    )
    return format_html('<tr><th scope="col">permission</th><th scope="col">lets</th>{}<th></th></tr>', heads)


def _body(context: str, rows: Sequence[Permission], columns: Sequence[_Column]) -> SafeString:
    lines = format_html_join("", "{}", ((_line(row, columns),) for row in rows))
    return format_html('<tbody><tr><th colspan="{}" scope="rowgroup">{}</th></tr>{}</tbody>', len(columns) + 3, context, lines)


def _line(row: Permission, columns: Sequence[_Column]) -> SafeString:
    changed = any((row.name in each.held) != each.by_default(row) for each in columns)
    cells = format_html_join(
        "", "{}", ((_cell(row, each, first=each.role is columns[0].role),) for each in columns)
    )
    return format_html(
        '<tr{}><td>{}</td><td class="cs-quiet">{}</td>{}<td class="{}">{}</td></tr>',
        mark_safe(' class="cs-overridden"') if changed else "", drawing.code(row.name), row.text, cells,
        "cs-first cs-yes" if row.own else "cs-first", "●" if row.own else "",
    )


def _cell(row: Permission, column: _Column, *, first: bool) -> SafeString:
    has = row.name in column.held
    if getattr(row, column.scope) is None:
        sign, kind = "", "cs-never"
    elif has:
        sign, kind = "●", "cs-yes" if column.direct(row) else "cs-implied"
    else:
        sign, kind = "·", "cs-no"
    changed = has != column.by_default(row)
    title = f"{column.role.name} {_WHERE[column.scope]}: {'yes' if has else 'no'}"
    return format_html(
        '<td class="{}{}{}" title="{}">{}</td>', kind, " cs-first" if first else "", " cs-changed" if changed else "",
        f"{title}; by default {'no' if has else 'yes'}" if changed else title, sign,
    )
