"""Signing in: proofs of who one is, then a token for the scope that is asked for.

Whatever is wrong with name, password or domain, the answer is the same, so that nobody learns which users exist.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth import authenticate
from django.db import transaction
from django.db.models import Q

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import Forbidden, Invalid, Unauthenticated
from apps.identity import selectors, standing
from apps.identity.models import Project, User
from apps.identity.services import tokens
from apps.identity.services.tokens import Issued


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A user who has shown to be that user, by one method.

    `parent`: the first audit id of the token that it was shown by. `place`: what the proof is bound to (an application
    credential has its project). `not_after`: no token lives longer than what it came from.
    """

    user: User
    method: str
    parent: str = ""
    not_after: datetime | None = None
    application_credential_id: uuid.UUID | None = None
    place: Project | None = None
    actor: Actor | None = None
    methods: tuple[str, ...] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Where the token is to work; nothing set: nowhere yet. `default`: the user's default project, if it may work there."""

    project_id: uuid.UUID | None = None
    domain_id: uuid.UUID | None = None
    system: bool = False
    trust_id: uuid.UUID | None = None
    default: bool = False


def refused() -> Unauthenticated:
    """The one answer to all that is wrong."""
    return Unauthenticated("auth.failed", "Unknown user or wrong password.")


def by_password(
    *, password: str, user_id: uuid.UUID | None = None, username: str = "", domain_id: uuid.UUID | None = None, request: Any = None
) -> Proof:
    """Raises Unauthenticated."""
    if user_id is not None:
        known = User.objects.filter(pk=user_id).values_list("username", "domain_id").first()
        username, domain_id = known or ("", None)
    user = authenticate(request, username=username, password=password, domain_id=domain_id)
    if not isinstance(user, User) or not user.domain.enabled:
        raise refused()
    return Proof(user=user, method="password")


def by_token(*, secret: str) -> Proof:
    """A token for another scope out of one that is good. Raises Unauthenticated, Forbidden (bound to its project)."""
    held = tokens.check(secret=secret)
    if held.bearer.application_credential_id is not None or held.bearer.trust_id is not None:
        raise Forbidden("auth.bound", "A token of an application credential or trust makes no other tokens.")
    row = tokens.token_row(held.bearer.id)
    return Proof(
        user=row.user, method="token", parent=row.audit_ids[-1], not_after=row.expires_at, actor=held.actor,
        methods=tuple(row.methods),
    )


def issue(*, proofs: Sequence[Proof], scope: Scope, name: str = "", hours: int | None = None, request: Any = None) -> Issued:
    """A token in exchange for proofs, which must be of one user. Raises Unauthenticated, Forbidden."""
    user = proofs[0].user
    if any(proof.user.pk != user.pk for proof in proofs):
        raise refused()
    place = next((proof.place for proof in proofs if proof.place is not None), None) or _place(user, scope)
    methods = tuple(dict.fromkeys(m for proof in proofs for m in (proof.method, *proof.methods)))
    ends = [proof.not_after for proof in proofs if proof.not_after is not None]
    with transaction.atomic():
        token, secret = tokens.make(
            user=user, project=place, system=scope.system, methods=methods, name=name, hours=hours,
            application_credential_id=next((p.application_credential_id for p in proofs if p.application_credential_id), None),
            parent=next((proof.parent for proof in proofs if proof.parent), ""), not_after=min(ends) if ends else None,
        )
        bearer = standing.by_digest(token.digest)
        assert bearer is not None
        try:
            actor = tokens.actor_of(bearer, address=_address(request))
        except Unauthenticated:
            raise Unauthenticated("auth.scope", "You have no role there, or it is disabled.") from None
        record.write(actor, "identity.token.issue", "token", token.pk, project_id=token.project_id, name=str(token))
    return Issued(token, secret, actor)


def _place(user: User, scope: Scope) -> Project | None:
    if scope.project_id is not None or scope.domain_id is not None:
        key = scope.project_id or scope.domain_id
        found = Project.objects.select_related("domain").filter(Q(pk=key), is_domain=scope.domain_id is not None).first()
        if found is None:
            raise Unauthenticated("auth.scope", "You have no role there, or it is disabled.")
        return found
    if scope.default and user.default_project_id is not None:
        found = Project.objects.select_related("domain").filter(pk=user.default_project_id, is_domain=False).first()
        where = standing.of(user.pk, found.pk) if found is not None else None
        return found if where is not None and where.enabled and standing.split(where.roles)[0] else None
    return None


def _address(request: Any) -> str:
    return str(request.META.get("REMOTE_ADDR", "")) if request is not None else ""


def login(
    *, username: str, password: str, domain: str = "", project: str = "", name: str = "", hours: int | None = None,
    request: Any = None,
) -> Issued:
    """A password for a token in a project: the native API's way. `domain` and `project`: id or name.

    Raises Unauthenticated, Forbidden (no role there), Invalid (which project?).
    """
    proof = by_password(username=username, password=password, domain_id=domain_of(domain), request=request)
    scope = Scope(project_id=project_for(proof.user, project))
    return issue(proofs=[proof], scope=scope, name=name, hours=hours, request=request)


def issue_at_shell(*, user: User, project_id: uuid.UUID, name: str = "", hours: int | None = None) -> Issued:
    """A token for a user in a project, made by the operator at the shell, who needs no password."""
    return issue(proofs=[Proof(user=user, method="shell")], scope=Scope(project_id=project_id), name=name, hours=hours)


def domain_of(given: str) -> uuid.UUID | None:
    """The id of the domain with this id or name; None if none is given. Raises Unauthenticated."""
    if not given:
        return None
    try:
        return uuid.UUID(given)
    except ValueError:
        found = Project.objects.filter(is_domain=True, name=given).values_list("pk", flat=True).first()
    if found is None:
        raise refused()
    return found


def project_for(user: User, given: str) -> uuid.UUID:
    """The project that `given` (id or name) names, or the user's default or only one. Raises Forbidden, Invalid (which one?)."""
    mine = selectors.projects_with_a_role(user.pk)
    if given:
        if (found := _named(mine, given)) is None:
            raise Forbidden("auth.not_member", "There is no such project, or you have no role in it.")
        return found
    ids = list(mine.order_by("created_at").values_list("pk", flat=True)[:2])
    if user.default_project_id is not None and mine.filter(pk=user.default_project_id).exists():
        return user.default_project_id
    if not ids:
        raise Forbidden("auth.no_project", "You have no role in any project.")
    if len(ids) > 1 and not user.is_superuser:
        raise Invalid("auth.project_needed", "You have several projects: name one.", field="project")
    return ids[0]


def session_actor(*, user: User, chosen: str | None, address: str = "") -> Actor:
    """The actor of a signed-in browser in the project that was chosen there, else in its default or first one, else in none."""
    mine = selectors.projects_with_a_role(user.pk)
    place = None
    for wanted in (chosen, user.default_project_id):
        if place is None and wanted:
            place = mine.filter(pk=wanted).values_list("pk", flat=True).first()
    if place is None:
        # An operator may enter all projects, but is in none by chance.
        place = selectors.projects_reached(user.pk).order_by("created_at").values_list("pk", flat=True).first()
    return tokens.actor_for(user_id=user.pk, place_id=place, address=address)


def _named(mine: Any, given: str) -> uuid.UUID | None:
    try:
        rows = mine.filter(pk=uuid.UUID(given))
    except ValueError:
        rows = mine.filter(name=given)
    found: list[uuid.UUID] = list(rows.values_list("pk", flat=True)[:2])
    if len(found) > 1:
        raise Invalid("auth.project_ambiguous", "You have several projects of that name: give its id.", field="project")
    return found[0] if found else None
