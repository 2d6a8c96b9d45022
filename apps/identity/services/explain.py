"""May this user do that there, and why; or what is missing, and who could give it. Reads only."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from apps.common.context import SYSTEM, Actor
from apps.common.errors import CloudError, Invalid
from apps.identity import policy, selectors
from apps.identity.models import Project, User
from apps.identity.policy import Scope
from apps.identity.selectors import Effective, Wanted
from apps.identity.services import tokens

_GIVE = "identity.assignment.create"
_MOST_GIVERS = 10
# What the user would be told, told about it.
_REFUSED = {
    "auth.disabled": "{user}, the project, or the domain of either is disabled", "auth.not_member": "{user} has no role there",
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer. `because`: each way by which it is allowed, or why it is not. `would_do`: roles of which one would be enough,
    with where. `givers`: who could give one of them, with what."""

    permission: str
    user: User
    place: Project | None
    allowed: bool
    because: tuple[str, ...]
    would_do: tuple[str, ...] = ()
    givers: tuple[str, ...] = ()


def explain(*, actor: Actor, user_id: uuid.UUID, permission: str, place_id: uuid.UUID | None = None) -> Verdict:
    """`place_id`: a project or a domain; None: on the system. The decision is the one that a request of the user would get.

    Raises Invalid `policy.unknown`, NotFound (user, place), Forbidden.
    """
    try:
        row = policy.rule(permission)
    except KeyError:
        raise Invalid("policy.unknown", f"There is no permission {permission!r}; see `manage.py policy_list`.", field="permission") from None
    policy.require(actor, "identity.assignment.list", user_id=user_id if user_id == actor.user_id else None)
    user = selectors.user(actor=actor, user_id=user_id)
    place = selectors.place(actor=actor, place_id=place_id) if place_id is not None else None
    scope = _scope(place)
    try:
        theirs = tokens.actor_for(user_id=user.pk, place_id=place.pk if place else None)
    except CloudError as error:
        return _no(row.name, user, place, _REFUSED.get(error.code, error.message).format(user=user.username))
    ways = _ways(user, place, permission)
    if policy.allows(theirs, permission):
        return Verdict(permission=permission, user=user, place=place, allowed=True, because=tuple(ways))
    if policy.allows(theirs, permission, user_id=user.pk):
        text = "everybody has it over oneself; over others it takes a role"
        return Verdict(permission=permission, user=user, place=place, allowed=True, because=(text,))
    if getattr(row, scope) is None and row.system is None:
        return _no(permission, user, place, "nobody has it over others: it is asked about oneself only")
    return _no(permission, user, place, f"{user.username} has {_told(theirs.roles)} here, and none of that gives it")


def _no(permission: str, user: User, place: Project | None, why: str) -> Verdict:
    needed = [
        f"{role} {where}" for scope, where in _asked(place) for role in getattr(policy.rule(permission), scope) or ()
    ]
    return Verdict(
        permission=permission, user=user, place=place, allowed=False, because=(why,), would_do=tuple(needed),
        givers=tuple(_givers(place)) if needed else (),
    )


def _scope(place: Project | None) -> Scope:
    return "system" if place is None else "domain" if place.is_domain else "project"


def _asked(place: Project | None) -> list[tuple[Scope, str]]:
    """Scopes in which a role would do, from the nearest on."""
    here: list[tuple[Scope, str]] = [] if place is None else [(_scope(place), f"on the {_scope(place)} {place.name}")]
    return [*here, ("system", "on the system")]


def _ways(user: User, place: Project | None, permission: str) -> list[str]:
    """Each assignment by which the user has the permission there."""
    found = [] if place is None else _giving(selectors.of_user(user.pk, place.pk), permission, _scope(place))
    everywhere = _giving(selectors.of_user(user.pk, None), permission, "system")
    here = f"on the {_scope(place)} {place.name}" if place is not None else ""
    return [*(_way(each, permission, here) for each in found), *(_way(each, permission, "on the system") for each in everywhere)]


def _giving(entries: Iterable[Effective], permission: str, scope: Scope) -> list[Effective]:
    """One entry per assignment whose role gives the permission in that scope."""
    at = policy.version()
    found: dict[uuid.UUID, Effective] = {}
    for each in entries:
        if permission in policy.grants(scope, frozenset({each.assignment.role_id}), at):
            found.setdefault(each.assignment.pk, each)
    return list(found.values())


def _way(entry: Effective, permission: str, where: str) -> str:
    """`the role admin on the project demo, via group ops; admin implies member, which has it`."""
    known = policy.definitions(policy.version())
    given = known[entry.assignment.role_id]
    scope: Scope = "system" if entry.place is None else _scope(entry.place)
    needed = set(getattr(policy.rule(permission), scope) or ())
    by = next((name for name in sorted(given.names & needed)), "")
    how = "" if by in ("", given.name) else f"; {given.name} implies {by}, which has it"
    parts = [part for part in entry.why.split(", ") if not part.startswith(("implied by", "given directly"))]
    return ", ".join([f"the role {given.name} {where}", *parts]) + how


def _givers(place: Project | None) -> list[str]:
    """People who may give roles there."""
    domain = None if place is None or place.is_domain else place.domain
    found: dict[str, None] = {}
    for spot in dict.fromkeys((place, domain, None)):
        wanted = Wanted(system=True) if spot is None else Wanted(place_id=spot.pk)
        where = "the system" if spot is None else f"the {_scope(spot)} {spot.name}"
        for each in _giving(selectors.effective(actor=SYSTEM, wanted=wanted), _GIVE, _scope(spot)):
            if each.user.is_active:
                found[f"{each.user.username} ({each.given_role} on {where})"] = None
    return list(found)[:_MOST_GIVERS]


def _told(roles: tuple[str, ...]) -> str:
    if not roles:
        return "no role"
    return f"the role{'s' if len(roles) > 1 else ''} {', '.join(roles)}"
