"""Trusts: one user lets another one act, within what it may itself, and takes it back at any time."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from apps.common import clock
from apps.common.context import Actor
from apps.identity.models import Assignment, Project, Trust, User
from apps.identity.selectors import delegated
from apps.identity.services import access_keys, application_credentials, signin, tokens, trusts
from apps.identity.services.signin import Scope
from apps.identity.services.tokens import Issued
from apps.identity.services.trusts import Wanted
from tests.support.cloud import make_project, refusal
from tests.support.fixtures import Time
from tests.support.identity import PASSWORD, actor_in, give, make_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def ann(project: Project) -> User:
    return make_user("ann", project, "admin")


@pytest.fixture
def bob() -> User:
    return make_user("bob")


def trust(by: User, to: User, project: Project | None, *, actor: Actor | None = None, **more: Any) -> Trust:
    wanted = {"impersonation": False, "roles": ["member"] if project else [], **more}
    wanted = {"trustor_id": by.pk, "trustee_id": to.pk, "project_id": project.pk if project else None, **wanted}
    return trusts.create(actor=actor or actor_in(by, project), wanted=Wanted(**wanted))


def use(given: Trust, user: User) -> Issued:
    proof = signin.by_password(user_id=user.pk, password=PASSWORD)
    return signin.issue(proofs=[proof], scope=Scope(trust_id=given.pk))


def test_the_trustee_acts_in_the_project_with_these_roles(ann: User, bob: User, project: Project) -> None:
    issued = use(trust(ann, bob, project), bob)
    actor = tokens.check(secret=issued.secret).actor
    assert (actor.user_id, actor.project_id, actor.roles) == (bob.pk, project.pk, ("member", "reader"))


def test_with_impersonation_it_acts_as_the_trustor(ann: User, bob: User, project: Project) -> None:
    issued = use(trust(ann, bob, project, impersonation=True), bob)
    actor = tokens.check(secret=issued.secret).actor
    assert (actor.user_id, actor.user_name, actor.roles) == (ann.pk, "ann", ("member", "reader"))
    # What the trustor has for itself is not in it.
    assert refusal(application_credentials.create, actor=actor, name="x").kind == "forbidden"
    assert refusal(access_keys.create, actor=actor).kind == "forbidden"
    assert refusal(delegated.access_keys, actor=actor).kind == "forbidden"
    assert refusal(signin.by_token, secret=issued.secret).code == "auth.bound"


def test_nobody_else_uses_it(ann: User, bob: User, project: Project) -> None:
    given = trust(ann, bob, project)
    assert refusal(use, given, make_user("eve")).code == "auth.trust_other"
    assert refusal(use, given, ann).code == "auth.trust_other"
    assert refusal(use, Trust(pk=uuid.uuid4()), bob).code == "auth.trust_over"


def test_uses_are_counted_down(ann: User, bob: User, project: Project) -> None:
    given = trust(ann, bob, project, remaining_uses=2)
    first, _ = use(given, bob), use(given, bob)
    assert refusal(use, given, bob).code == "auth.trust_used_up"
    tokens.check(secret=first.secret)


def test_a_use_that_came_to_nothing_is_not_counted(ann: User, bob: User, project: Project) -> None:
    given = trust(ann, bob, project, remaining_uses=1)
    Project.objects.filter(pk=project.pk).update(enabled=False)
    assert refusal(use, given, bob).code == "auth.scope"
    assert Trust.objects.get().remaining_uses == 1


@pytest.mark.parametrize("end", ["ended", "expired", "trustor's role", "trustor disabled", "trustee disabled", "project disabled"])
@pytest.mark.parametrize("impersonation", [False, True])
def test_it_ends_at_once(ann: User, bob: User, project: Project, end: str, impersonation: bool, time_machine: Time) -> None:
    given = trust(ann, bob, project, impersonation=impersonation, expires_at=clock.now() + timedelta(hours=1))
    issued = use(given, bob)
    if end == "ended":
        trusts.delete(actor=actor_in(ann, project), trust_id=given.pk)
    elif end == "expired":
        time_machine.forward(3601)
    elif end == "trustor's role":
        Assignment.objects.filter(user=ann).delete()
    elif end == "project disabled":
        Project.objects.filter(pk=project.pk).update(enabled=False)
    else:
        User.objects.filter(pk=(ann if end == "trustor disabled" else bob).pk).update(is_active=False)
    assert refusal(tokens.check, secret=issued.secret).kind == "unauthenticated"


def test_the_trustor_gives_what_it_has_and_nobody_gives_for_others(ann: User, bob: User, project: Project) -> None:
    reader = make_user("reader", project, "reader")
    assert refusal(trust, reader, bob, project).code == "role.not_found"
    assert refusal(trust, ann, bob, project, actor=actor_in(reader, project)).kind == "forbidden"
    assert refusal(trust, ann, bob, make_project(), actor=actor_in(ann, project)).code == "role.not_found"
    assert refusal(trust, ann, User(pk=uuid.uuid4()), project).code == "user.not_found"
    assert refusal(trust, ann, bob, project, roles=[]).code == "trust.roles"
    assert refusal(trust, ann, bob, None, roles=["member"]).code == "trust.project"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"remaining_uses": 0}, "trust.uses"), ({"remaining_uses": 1, "allow_redelegation": True}, "trust.uses"),
        ({"redelegation_count": -1}, "trust.redelegation_count"),
        ({"allow_redelegation": True, "redelegation_count": 4}, "trust.redelegation_count"),
        ({"redelegated_from": uuid.uuid4()}, "trust.redelegation"),
    ],
)
def test_a_trust_that_makes_no_sense_is_refused(ann: User, bob: User, project: Project, fields: dict[str, Any], code: str) -> None:
    assert refusal(trust, ann, bob, project, **fields).code == code
    assert refusal(trust, ann, bob, project, expires_at=clock.now()).code == "trust.expiry"


def test_trustor_and_trustee_see_it_and_the_trustor_ends_it(ann: User, bob: User, project: Project) -> None:
    given = trust(ann, bob, project)
    eve = make_user("eve", project, "admin")
    assert [row.pk for row in delegated.trusts(actor=actor_in(ann))] == [given.pk]
    assert [row.pk for row in delegated.trusts(actor=actor_in(bob), trustee_id=bob.pk)] == [given.pk]
    assert not delegated.trusts(actor=actor_in(eve, project))
    assert refusal(delegated.trusts, actor=actor_in(eve, project), trustor_id=ann.pk).kind == "forbidden"
    assert refusal(delegated.trust, actor=actor_in(eve, project), trust_id=given.pk).kind == "not_found"
    assert refusal(trusts.delete, actor=actor_in(bob), trust_id=given.pk).kind == "forbidden"
    trusts.delete(actor=actor_in(ann), trust_id=given.pk)
    assert refusal(delegated.trust, actor=actor_in(ann), trust_id=given.pk).kind == "not_found"
    assert not delegated.trusts(actor=actor_in(ann))


def test_it_is_handed_on_within_what_was_given(ann: User, bob: User, project: Project) -> None:
    eve = make_user("eve")
    ends = clock.now() + timedelta(hours=1)
    given = trust(ann, bob, project, allow_redelegation=True, redelegation_count=1, impersonation=True, expires_at=ends)
    came = tokens.check(secret=use(given, bob).secret).actor
    assert refusal(trust, ann, eve, project, actor=came, roles=["admin"]).code == "trust.roles"
    assert refusal(trust, ann, eve, project, actor=came, expires_at=ends + timedelta(hours=1)).code == "trust.expiry"
    assert refusal(trust, ann, eve, None, actor=came, roles=[]).code == "trust.project"
    assert refusal(trust, ann, eve, project, actor=came, allow_redelegation=True, redelegation_count=1).code == "trust.redelegation_count"
    child = trust(ann, eve, project, actor=came, roles=["reader"])
    assert (child.redelegated_from_id, child.expires_at) == (given.pk, ends)
    issued = use(child, eve)
    actor = tokens.check(secret=issued.secret).actor
    assert actor.roles == ("reader",)
    assert refusal(trust, actor_user(actor), bob, project, actor=actor, roles=["reader"]).code == "trust.redelegation"
    trusts.delete(actor=actor_in(ann), trust_id=given.pk)
    assert refusal(tokens.check, secret=issued.secret).kind == "unauthenticated"


def actor_user(actor: Actor) -> User:
    assert actor.user_id is not None
    return User.objects.get(pk=actor.user_id)


def test_without_impersonation_nothing_is_handed_on_with_it(ann: User, bob: User, project: Project) -> None:
    eve = make_user("eve")
    given = trust(ann, bob, project, allow_redelegation=True)
    came = tokens.check(secret=use(given, bob).secret).actor
    assert refusal(trust, bob, eve, project, actor=came, impersonation=True).code == "trust.impersonation"
    issued = use(trust(bob, eve, project, actor=came), eve)
    assert tokens.check(secret=issued.secret).actor.user_id == eve.pk
    # It stands on the roles of the one who gave it first.
    Assignment.objects.filter(user=ann).delete()
    assert refusal(tokens.check, secret=issued.secret).code == "auth.trust_over"


def test_a_trust_without_a_project_is_an_unscoped_token(ann: User, bob: User) -> None:
    issued = use(trust(ann, bob, None, impersonation=True), bob)
    actor = tokens.check(secret=issued.secret).actor
    assert (actor.user_id, actor.project_id, actor.grants) == (ann.pk, None, frozenset())


def test_a_trustee_validates_and_ends_its_own_token(ann: User, bob: User, project: Project) -> None:
    issued = use(trust(ann, bob, project), bob)
    actor = tokens.check(secret=issued.secret).actor
    token, _ = tokens.validate(actor=actor, secret=issued.secret)
    assert token.trust_id is not None
    tokens.revoke_secret(actor=actor, secret=issued.secret)
    assert refusal(tokens.check, secret=issued.secret).code == "auth.token_revoked"
    give(bob, "reader", project)
