"""Who may really act in which role where: groups taken apart into their users, inheritance into projects, roles into all
that they imply, each with where it comes from."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from django.db.models import Q, QuerySet

from apps.common.context import Actor
from apps.common.errors import Invalid
from apps.identity import policy
from apps.identity.models import Assignment, Group, GroupMember, Project, ProjectAncestor, User
from apps.identity.policy import Definition
from apps.identity.selectors.given import PERMISSION, Wanted, place_of
from apps.identity.selectors.places import holder

# An installation has far more of these than of assignments.
MOST = 10_000


@dataclass(frozen=True)
class Effective:
    """A role that a user has in a place (None: on the system), and why.

    `assignment`: what was given. `group`: that the user has it by. `inherited_from`: the project or domain above, where it
    was given. `given_role`: the role that was given; `prior`: the one that implies `role` directly; None: it is that role.
    """

    role: Definition
    user: User
    place: Project | None
    assignment: Assignment
    group: Group | None
    inherited_from: Project | None
    prior: Definition | None

    @property
    def given_role(self) -> str:
        return self.assignment.role.name

    @property
    def why(self) -> str:
        """For people: `given directly`, or `via group ops, inherited from domain Default, implied by admin`."""
        parts = []
        if self.group is not None:
            parts.append(f"via group {self.group.name}")
        if self.inherited_from is not None:
            parts.append(f"inherited from {'domain' if self.inherited_from.is_domain else 'project'} {self.inherited_from.name}")
        if self.prior is not None:
            parts.append(f"implied by {self.given_role}")
        return ", ".join(parts) or "given directly"


def effective(*, actor: Actor, wanted: Wanted) -> list[Effective]:
    """Effective roles, one entry for each way to have one; roles of a domain's own stand for what they imply.

    Who may not see all sees those in the project, or in the domain and its projects, that it works in, and its own. Raises
    Forbidden, Invalid `assignment.too_many` (more than 10,000), `assignment.group` (a group has none: its users do).
    """
    if wanted.group_id is not None:
        raise Invalid("assignment.group", "Groups are taken apart in this list: ask for a user, or without `effective`.", field="group_id")
    seen, places = _narrowed(actor, wanted)
    return [] if seen is None else _expanded(seen, places)


def of_user(user_id: uuid.UUID, place_id: uuid.UUID | None) -> list[Effective]:
    """What a user has in a place, or on the system: for explanations. Asks nobody."""
    if place_id is None:
        return _expanded(Wanted(user_id=user_id, system=True), None)
    return _expanded(Wanted(user_id=user_id, place_id=place_id), None)


def _narrowed(actor: Actor, wanted: Wanted) -> "tuple[Wanted | None, QuerySet[Project] | None]":
    """What is asked for, as far as the actor may see it, and the places to which that is bound."""
    if policy.everywhere(actor, PERMISSION):
        return wanted, None
    policy.require(actor, PERMISSION, user_id=actor.user_id)
    its_own = PERMISSION in actor.own_grants
    if its_own and wanted.user_id == actor.user_id:
        return wanted, None
    if PERMISSION in actor.grants:
        return (None if wanted.system else wanted), place_of(actor)
    if its_own and wanted.user_id is None:
        return replace(wanted, user_id=actor.user_id), None
    return None, None


def _expanded(wanted: Wanted, places: "QuerySet[Project] | None") -> list[Effective]:
    known = policy.definitions(policy.version())
    rows = list(_given(wanted, places, known)[: MOST + 1])
    reached = _reached(wanted, places, [row for row in rows if row.inherited])
    users = _users(wanted, rows)
    found: list[Effective] = []
    for row in rows:
        found += _of(row, reached, users, known, wanted.role_id)
        if len(rows) > MOST or len(found) > MOST:
            raise Invalid(
                "assignment.too_many", f"These are more than {MOST} effective roles: ask for a user, a role or a place.", field="effective"
            )
    return found


def _given(wanted: Wanted, places: "QuerySet[Project] | None", known: Mapping[uuid.UUID, Definition]) -> "QuerySet[Assignment]":
    """The assignments from which what is wanted can come."""
    rows = Assignment.objects.select_related("role", "user", "group", "project").order_by("pk")
    if wanted.user_id is not None:
        rows = rows.filter(holder(wanted.user_id))
    if wanted.role_id is not None:
        rows = rows.filter(role_id__in=[key for key, each in known.items() if wanted.role_id in each.ids])
    if wanted.inherited is not None:
        rows = rows.filter(inherited=wanted.inherited)
    if wanted.system is not None:
        rows = rows.filter(system=wanted.system)
    targets = _targets(wanted, places)
    if targets is not None:
        above = ProjectAncestor.objects.filter(project_id__in=targets, depth__gt=0).values("ancestor_id")
        rows = rows.filter(Q(inherited=False, project_id__in=targets) | Q(inherited=True, project_id__in=above))
    return rows


def _targets(wanted: Wanted, places: "QuerySet[Project] | None") -> "QuerySet[Project] | None":
    """The places in which what is wanted counts; None: in all, and on the system."""
    if wanted.place_id is None and wanted.is_domain is None:
        return None if places is None else places.values("pk")  # type: ignore[return-value]
    rows = Project.objects.all() if places is None else places
    if wanted.is_domain is not None:
        rows = rows.filter(is_domain=wanted.is_domain)
    if wanted.place_id is not None and wanted.include_subtree:
        rows = rows.filter(pk__in=ProjectAncestor.objects.filter(ancestor_id=wanted.place_id).values("project_id"))
    elif wanted.place_id is not None:
        rows = rows.filter(pk=wanted.place_id)
    return rows.values("pk")  # type: ignore[return-value]


def _reached(wanted: Wanted, places: "QuerySet[Project] | None", rows: list[Assignment]) -> dict[uuid.UUID, list[Project]]:
    """Where inherited roles count: place in which they were given → projects below it."""
    below = ProjectAncestor.objects.filter(ancestor_id__in={row.project_id for row in rows}, depth__gt=0)
    targets = _targets(wanted, places)
    if targets is not None:
        below = below.filter(project_id__in=targets)
    found: dict[uuid.UUID, list[Project]] = {}
    for each in below.select_related("project").order_by("project_id")[: MOST + 1] if rows else ():
        found.setdefault(each.ancestor_id, []).append(each.project)
    return found


def _users(wanted: Wanted, rows: list[Assignment]) -> dict[uuid.UUID, list[User]]:
    """Group → its users, of whom only the wanted one if one is."""
    groups = {row.group_id for row in rows if row.group_id is not None}
    if not groups:
        return {}
    members = GroupMember.objects.filter(group_id__in=groups).select_related("user").order_by("user_id")
    if wanted.user_id is not None:
        members = members.filter(user_id=wanted.user_id)
    found: dict[uuid.UUID, list[User]] = {}
    for each in members[: MOST + 1]:
        found.setdefault(each.group_id, []).append(each.user)
    return found


def _of(
    row: Assignment, reached: Mapping[uuid.UUID, list[Project]], users: Mapping[uuid.UUID, list[User]],
    known: Mapping[uuid.UUID, Definition], role_id: uuid.UUID | None,
) -> Iterator[Effective]:
    """All that follows from one assignment."""
    given = known.get(row.role_id)
    if given is None:
        return
    places: list[Project | None] = list(reached.get(row.project_id, ())) if row.inherited and row.project_id else [row.project]
    holders = [row.user] if row.user is not None else users.get(row.group_id, []) if row.group_id is not None else []
    for key in sorted(given.ids, key=lambda each: (each != row.role_id, known[each].name)):
        role, prior = known[key], given.priors.get(key)
        if role.domain_id is not None or (role_id is not None and key != role_id):
            continue
        for user in holders:
            for place in places:
                yield Effective(
                    role, user, place, row, row.group, row.project if row.inherited else None, known[prior] if prior else None
                )
