"""Signing in: a token for the scope that is asked for, in exchange for proofs of who one is.

What hinders (a second factor that is missing, no role in the scope) is told to those who proved something only.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from apps.audit.services import record
from apps.common import clock
from apps.common.context import Actor, address_of
from apps.common.errors import Forbidden, Invalid, Unauthenticated
from apps.identity import errors, lockout, selectors, standing
from apps.identity.models import Project, Token, Trust, User
from apps.identity.services import factors, tokens, totp
from apps.identity.services.proofs import Proof, by_application_credential, by_password, by_token, by_totp
from apps.identity.services.tokens import Issued

# Domains that have a project of the same name; who has more says it by id.
_MOST_NAMESAKES = 100


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Where the token is to work; nothing set: nowhere yet. `default`: the user's default project, if it may work there."""

    project_id: uuid.UUID | None = None
    domain_id: uuid.UUID | None = None
    system: bool = False
    trust_id: uuid.UUID | None = None
    default: bool = False


def issue(*, proofs: Sequence[Proof], scope: Scope, name: str = "", hours: int | None = None, request: Any = None) -> Issued:
    """A token in exchange for proofs, which must be of one user. Raises Unauthenticated, Forbidden."""
    user = proofs[0].user
    if any(proof.user.pk != user.pk for proof in proofs):
        raise errors.failed()
    methods = tuple(dict.fromkeys(m for proof in proofs for m in (proof.method, *proof.methods)))
    factors.require(user, methods)
    bound = next((proof.place_id for proof in proofs if proof.place_id is not None), None)
    ends = [proof.not_after for proof in proofs if proof.not_after is not None]
    try:
        with transaction.atomic():
            trust = None if scope.trust_id is None else _use_trust(user, scope.trust_id)
            if trust is not None:
                bound, ends = trust.project_id, [*ends, trust.expires_at] if trust.expires_at else ends
            token, secret = tokens.make(
                user=trust.trustor if trust is not None and trust.impersonation else user, trust=trust, system=scope.system,
                place_id=bound or scope.project_id or scope.domain_id or _default_place(user, scope), methods=methods, name=name,
                application_credential_id=next((p.application_credential_id for p in proofs if p.application_credential_id), None),
                parent=next((p.parent for p in proofs if p.parent), ""), hours=hours, not_after=min(ends) if ends else None,
            )
            actor = _holder(token, is_domain=bound is None and scope.domain_id is not None, address=address_of(request))
            record.write(actor, "identity.token.issue", "token", token.pk, project_id=token.project_id, name=str(token))
    except IntegrityError:  # user, project or credential was deleted at this moment
        raise errors.scope() from None
    for counted in {proof.counted for proof in proofs if proof.counted}:
        lockout.succeeded(request, counted)
    return Issued(token, secret, actor)


def _holder(token: Token, *, is_domain: bool, address: str) -> Actor:
    """The actor of a token that was just made, as every later request will see it. Raises Unauthenticated."""
    bearer = standing.by_digest(token.digest)
    if bearer is None:
        raise errors.failed()
    found = bearer.standing
    if found.place_id != token.project_id or (found.place_id is not None and found.place_is_domain != is_domain):
        raise errors.scope()
    try:
        actor = tokens.actor_of(bearer, address=address)
    except Unauthenticated:
        raise errors.scope() from None
    token.project = tokens.place_row(found)
    return actor


def _use_trust(user: User, trust_id: uuid.UUID) -> Trust:
    """A trust given to this user; one use of it is spent in the caller's transaction. Raises Unauthenticated, Forbidden."""
    trust = Trust.objects.select_related("trustor__domain", "trustee").filter(pk=trust_id, deleted_at=None).first()
    if trust is None or (trust.expires_at is not None and trust.expires_at <= clock.now()):
        raise Unauthenticated("auth.trust_over", "There is no such trust, or it has ended.")
    if trust.trustee_id != user.pk:
        raise Forbidden("auth.trust_other", "This trust was given to somebody else.")
    if trust.remaining_uses is not None:
        # The update decides among several who want the last use.
        rows = Trust.objects.filter(pk=trust.pk, deleted_at=None, remaining_uses__gt=0)
        if not rows.update(remaining_uses=F("remaining_uses") - 1):
            raise Forbidden("auth.trust_used_up", "This trust has no uses left.")
    return trust


def _default_place(user: User, scope: Scope) -> uuid.UUID | None:
    """The user's default project, unless it may not work there."""
    if not scope.default or user.default_project_id is None:
        return None
    found = standing.of(user.pk, user.default_project_id)
    if found is None or found.place_id is None or found.place_is_domain or not found.enabled:
        return None
    return found.place_id if standing.split(found.roles)[0] else None


def issue_at_shell(*, user: User, project_id: uuid.UUID, name: str = "", hours: int | None = None) -> Issued:
    """A token for a user in a project, made by the operator at the shell, who needs no password."""
    return issue(proofs=[Proof(user=user, method="shell")], scope=Scope(project_id=project_id), name=name, hours=hours)




def login(
    *, username: str = "", password: str = "", otp: str = "", domain: str = "", token: str = "",
    application_credential: Mapping[str, Any] | None = None, project: str = "", for_domain: str = "", system: bool = False,
    name: str = "", hours: int | None = None, request: Any = None,
) -> Issued:
    """The native API's way to a token: by one of a password (and a code where one is needed), a token, or an application
    credential (`id`, or `name` beside `username`; `secret`); for one of a project, a domain to rule over, or the system.

    `domain`, `project`, `for_domain`: id or name. Raises Unauthenticated, Forbidden (no role there), Invalid (`auth.method`,
    `auth.scope`, which project?).
    """
    if sum(map(bool, (password, token, application_credential))) > 1:
        raise Invalid("auth.method", "Give a password, or a token, or an application credential, and not several of them.", field="password")
    if sum(map(bool, (project, for_domain, system))) > 1:
        raise Invalid("auth.scope", "Give a project, a domain or the system, and not several of them.", field="project")
    if application_credential:
        if project or for_domain or system:
            raise Invalid("auth.scope", "An application credential works in its own project: ask for no other.", field="project")
        proof = by_application_credential(
            credential_id=application_credential.get("id"), name=application_credential.get("name", ""), username=username,
            domain_id=domain_of(domain), secret=application_credential["secret"], request=request,
        )
        return issue(proofs=[proof], scope=Scope(), name=name, hours=hours, request=request)
    if token:
        proof = by_token(secret=token)
    else:
        proof = by_password(username=username, domain_id=domain_of(domain), password=password, request=request)
    proofs = [proof]
    if otp:
        totp.prove(user=proof.user, code=otp, request=request)
        proofs.append(Proof(user=proof.user, method="totp"))
    factors.require(proof.user, [each.method for each in proofs])
    scope = _scope_for(proof.user, project, for_domain, system)
    return issue(proofs=proofs, scope=scope, name=name, hours=hours, request=request)


def _scope_for(user: User, project: str, for_domain: str, system: bool) -> Scope:
    if for_domain:
        return Scope(domain_id=domain_of(for_domain))
    return Scope(system=True) if system else Scope(project_id=project_for(user, project))


def domain_of(given: str) -> uuid.UUID | None:
    """The id of the domain with this id or name; None if none is given. What leads nowhere is the id of no domain: it takes the
    same way, and the same time, as a wrong password."""
    if not given:
        return None
    try:
        return uuid.UUID(given)
    except ValueError:
        return Project.objects.filter(is_domain=True, name=given).values_list("pk", flat=True).first() or uuid.UUID(int=0)


def project_for(user: User, given: str) -> uuid.UUID:
    """The project that `given` (id or name) names, or the user's default or only one. Raises Forbidden, Invalid (which one?)."""
    if given:
        return _named(user, given)
    mine = selectors.projects_with_a_role(user.pk)
    ids = list(mine.order_by("created_at").values_list("pk", flat=True)[:2])
    if user.default_project_id is not None and tokens.may_work_in(user.pk, user.default_project_id):
        return user.default_project_id
    if not ids:
        raise Forbidden("auth.no_project", "You have no role in any project.")
    if len(ids) > 1 and not user.is_superuser:
        raise Invalid("auth.project_needed", "You have several projects: name one.", field="project")
    return ids[0]


def _named(user: User, given: str) -> uuid.UUID:
    try:
        asked = [uuid.UUID(given)]
    except ValueError:
        asked = list(Project.objects.filter(name=given, is_domain=False).values_list("pk", flat=True)[:_MOST_NAMESAKES])
    found = [project_id for project_id in asked if tokens.may_work_in(user.pk, project_id)]
    if len(found) > 1:
        raise Invalid("auth.project_ambiguous", "You have several projects of that name: give its id.", field="project")
    if not found:
        raise Forbidden("auth.not_member", "There is no such project, or you have no role in it.")
    return found[0]


__all__ = [
    "Issued", "Proof", "Scope", "by_application_credential", "by_password", "by_token", "by_totp", "domain_of", "issue",
    "issue_at_shell", "login", "project_for",
]
