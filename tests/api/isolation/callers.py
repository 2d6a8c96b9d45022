"""Who calls: with which token, and what the table of permissions gives to whom it belongs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from apps.common import clock
from apps.common.context import SYSTEM
from apps.identity.access_rules import Rule
from apps.identity.models import ApplicationCredential, Assignment, Project, Token, User
from apps.identity.permissions import MAKES_CREDENTIALS, OWN
from apps.identity.services import application_credentials, projects, signin, tokens, trusts
from apps.identity.services.proofs import Proof
from apps.identity.services.signin import Scope
from tests.api.isolation.expected import Rights, rights_of
from tests.api.isolation.world import World
from tests.support.identity import actor_in, give, make_user

# The one thing that a limited application credential may do, and the one request that a ruled one may make.
LIMITED_TO = "compute.flavor.list"
RULED_TO = Rule("cloudsite", "GET", "/api/v1/nothing")


@dataclass(frozen=True, kw_only=True)
class Caller:
    """`rights`: by the table. `knows`: rights of the person behind, who may know more than the token can do. `refused`: the
    code of the refusal that it gets whatever it asks for. `is_outside`: rules over something, and not over what is the
    victim's."""

    name: str
    token: str = ""
    rights: Rights
    knows: Rights
    refused: str = ""
    is_outside: bool = False


def make(world: World) -> list[Caller]:
    """All of them, those first who are nobody."""
    return [*_nobodies(world), *_in_project(world), *_outside(world), *_bound(world), *_on_system(world)]


def _nobodies(world: World) -> list[Caller]:
    """Tokens that are good for nothing, of people who would otherwise be allowed a lot."""
    victim, leaver = world.people["victim"], world.people["leaver"]
    expired, revoked, left = (_token(user, _in(world.project)) for user in (victim, victim, leaver))
    Token.objects.filter(digest=tokens.digest_of(expired)).update(expires_at=clock.now() - timedelta(seconds=1))
    Token.objects.filter(digest=tokens.digest_of(revoked)).update(revoked_at=clock.now())
    Assignment.objects.filter(user=leaver).delete()
    disabled = make_user("disabled", world.project, domain=world.domain)
    of_disabled = _token(disabled, _in(world.project))
    User.objects.filter(pk=disabled.pk).update(is_active=False)
    closed = projects.create_project(actor=SYSTEM, name="closed", domain_id=world.domain.pk)
    give(victim, "member", closed)
    for_closed = _token(victim, _in(closed))
    Project.objects.filter(pk=closed.pk).update(enabled=False)
    nothing = rights_of(world.away.pk, own=frozenset())
    made = (
        ("nobody", "", "auth.required"), ("an unknown token", "cs1_unknown", "auth.token_unknown"),
        ("an expired token", expired, "auth.token_expired"), ("a revoked token", revoked, "auth.token_revoked"),
        ("a disabled user", of_disabled, "auth.disabled"), ("who lost the role", left, "auth.no_role"),
        ("a token for a disabled project", for_closed, "auth.disabled"),
    )
    return [Caller(name=name, token=token, rights=nothing, knows=nothing, refused=code) for name, token, code in made]


def _in_project(world: World) -> list[Caller]:
    found = []
    for name, shown, role in (
        ("victim", "the owner", "member"), ("reader", "a reader of the project", "reader"),
        ("mate", "a member of the project", "member"), ("boss", "an admin of the project", "admin"),
    ):
        user = world.people[name]
        found.append(_caller(shown, _token(user, _in(world.project)), rights_of(user.pk, world.project.pk, project=role)))
    return found


def _outside(world: World) -> list[Caller]:
    people = world.people
    found = []
    for name, shown, role, place in (
        ("neighbour", "a member of another project", "member", world.beside),
        ("neighbours_boss", "an admin of another project", "admin", world.beside),
        ("stranger", "a member of a project of another domain", "member", world.away),
        ("strangers_boss", "an admin of a project of another domain", "admin", world.away),
    ):
        made = _caller(shown, _token(people[name], _in(place)), rights_of(people[name].pk, place.pk, project=role))
        found.append(replace(made, is_outside=role == "admin"))
    for name, shown, domain in (
        ("other_ruler", "an admin of another domain", world.elsewhere), ("ruler", "an admin of the domain", world.domain),
    ):
        token = _token(people[name], Scope(domain_id=domain.pk))
        made = _caller(shown, token, rights_of(people[name].pk, domain.pk, domain="admin"))
        found.append(replace(made, is_outside=domain != world.domain))
    unscoped = _token(people["boss"], Scope())
    at_work = rights_of(people["boss"].pk, world.project.pk, project="admin")
    return [*found, replace(_caller("an admin of the project without a scope", unscoped, rights_of(people["boss"].pk)), knows=at_work)]


def _bound(world: World) -> list[Caller]:
    """The victim's own programs, and whom it trusts."""
    victim, trustee, project = world.people["victim"], world.people["trustee"], world.project
    whole = rights_of(victim.pk, project.pk, project="member")
    kept = replace(whole, own=OWN - MAKES_CREDENTIALS)
    limited = Caller(
        name="a limited application credential", token=_program(world, "limited", [LIMITED_TO]), rights=kept.only([LIMITED_TO]), knows=whole
    )
    ruled = Caller(
        name="an application credential with access rules", token=_program(world, "ruled", None, [RULED_TO]), rights=kept, knows=whole,
        refused="policy.access_rule",
    )
    by_trust = tokens._OWN_BY_TRUST
    trusted = _caller(
        "a trustee", _trusted(world, impersonation=False), rights_of(trustee.pk, project.pk, project="reader", own=by_trust)
    )
    acting = Caller(
        name="a trustee in the name of the owner", token=_trusted(world, impersonation=True), knows=whole,
        rights=rights_of(victim.pk, project.pk, project="reader", own=by_trust),
    )
    return [limited, ruled, trusted, acting]


def _on_system(world: World) -> list[Caller]:
    root, auditor = world.people["root"], world.people["auditor"]
    at_work = rights_of(auditor.pk, world.beside.pk, project="member", system="reader")
    return [
        _caller("an administrator", _token(root, Scope(system=True)), rights_of(root.pk, system="admin")),
        _caller("a reader of the system who is a member of another project", _token(auditor, _in(world.beside)), at_work),
    ]


def custom(world: World) -> Caller:
    """With a role of the operator's own on the system; its permissions are put in for each operation."""
    user = world.people["custom"]
    return _caller("a custom role on the system", _token(user, Scope(system=True)), rights_of(user.pk))


def _program(world: World, name: str, permissions: Sequence[str] | None, rules: Sequence[Rule] = ()) -> str:
    made = application_credentials.create(actor=world.actor, name=f"program-{name}", permissions=permissions, rules=rules)
    return _by_credential(made.credential)


def _by_credential(row: ApplicationCredential) -> str:
    proof = Proof(user=row.user, method="application_credential", application_credential_id=row.pk, place_id=row.project_id)
    return signin.issue(proofs=[proof], scope=Scope()).secret


def _trusted(world: World, *, impersonation: bool) -> str:
    victim, trustee = world.people["victim"], world.people["trustee"]
    wanted = trusts.Wanted(
        trustor_id=victim.pk, trustee_id=trustee.pk, impersonation=impersonation, project_id=world.project.pk, roles=["reader"]
    )
    trust = trusts.create(actor=actor_in(victim, world.project), wanted=wanted)
    return _token(trustee, Scope(trust_id=trust.pk))


def _caller(name: str, token: str, rights: Rights) -> Caller:
    return Caller(name=name, token=token, rights=rights, knows=rights)


def _in(project: Project) -> Scope:
    return Scope(project_id=project.pk)


def _token(user: User, scope: Scope) -> str:
    return signin.issue(proofs=[Proof(user=user, method="shell")], scope=scope).secret
