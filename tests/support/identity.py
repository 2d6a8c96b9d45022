"""People for tests: users with roles, and actors as the policy would make them."""

import uuid
from typing import Any

from apps.common.context import EVERYTHING, SYSTEM, Actor
from apps.identity import builtin
from apps.identity.models import Assignment, Group, Project, User
from apps.identity.permissions import OWN, TABLE
from apps.identity.services import assignments, domains, signin, tokens, users
from apps.identity.services.assignments import Given
from apps.identity.services.tokens import Issued

PASSWORD = "correct horse battery"
# An id that nothing has; the same in every run, so that tests are named alike.
NOBODY = uuid.UUID("0badc0de-0000-4000-8000-000000000000")


def make_domain(name: str = "") -> Project:
    return domains.create_domain(actor=SYSTEM, name=name or f"domain-{uuid.uuid4().hex[:8]}")


def make_user(
    name: str = "ann", project: Project | None = None, role: str = "member", *, operator: bool = False, domain: Project | None = None
) -> User:
    """A user with `role` in `project`, if one is given; an operator has the role admin on the system."""
    if domain is not None:
        user = users.create_user(actor=SYSTEM, username=name, password=PASSWORD, domain_id=domain.pk)
    else:
        user, _ = users.ensure_user(actor=SYSTEM, username=name, password=PASSWORD)
    if project is not None:
        give(user, role, project)
    if operator:
        give(user, "admin")
    return user


def give(holder: User | Group, role: str, place: Project | None = None, *, inherited: bool = False) -> Assignment:
    """A role in a project or domain, or on the system."""
    return assignments.give(actor=SYSTEM, given=given(holder, role, place, inherited=inherited))


def given(holder: User | Group, role: str, place: Project | None = None, *, inherited: bool = False) -> Given:
    """What to give or to take, by the role's name or id."""
    of_user = isinstance(holder, User)
    return Given(
        role_id=assignments.role_named(role), user_id=holder.pk if of_user else None, group_id=None if of_user else holder.pk,
        place_id=place.pk if place else None, inherited=inherited,
    )


def make_token(user: User, project: Project, **more: Any) -> Issued:
    return signin.issue_at_shell(user=user, project_id=project.pk, **more)


def actor_in(user: User, place: Project | None = None) -> Actor:
    """The user as it really stands in a project or domain, or in none."""
    return tokens.actor_for(user_id=user.pk, place_id=place.pk if place else None)


def make_actor(project: Project | None, *, user: User | None = None, role: str = "member", operator: bool = False, **more: Any) -> Actor:
    """An actor with a built-in role in a project; nothing is read from the database."""
    return Actor(
        user_id=user.pk if user else uuid.uuid4(), user_name=user.username if user else "ann",
        project_id=project.pk if project else None, roles=tuple(sorted(_closure(role))), grants=granted("project", role),
        system_grants=EVERYTHING if operator else frozenset(), own_grants=OWN, **{"request_id": "req-test", **more},
    )


def granted(scope: str, role: str) -> frozenset[str]:
    """What a built-in role gives in such a scope."""
    names = _closure(role)
    return frozenset(name for name, row in TABLE.items() if names.intersection(getattr(row, scope) or ()))


def _closure(role: str) -> set[str]:
    return {role}.union(*(_closure(after.value) for prior, after in builtin.IMPLIED if prior == role))
