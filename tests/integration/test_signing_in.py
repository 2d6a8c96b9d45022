"""Proofs of who one is, the second factor, and scopes."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.audit.models import Record
from apps.common import clock, vault
from apps.common.context import SYSTEM
from apps.common.errors import CloudError
from apps.identity.models import Credential, Project, Token, User
from apps.identity.services import leftovers, proofs, signin, tokens, totp, users
from apps.identity.services.signin import Scope
from tests.support.cloud import make_project, refusal
from tests.support.fixtures import Time
from tests.support.identity import PASSWORD, actor_in, give, make_domain, make_token, make_user
from tests.support.proofs import code_of, come_by, coming_from, make_credential, with_second_factor

pytestmark = pytest.mark.django_db(transaction=True)


def password_of(user: User) -> proofs.Proof:
    return signin.by_password(user_id=user.pk, password=PASSWORD)


def test_a_user_of_another_domain_signs_in_by_domain_or_by_id() -> None:
    domain = make_domain("sales")
    user = make_user("ann", domain=domain)
    assert signin.by_password(username="ann", password=PASSWORD, domain_id=domain.pk).user == user
    assert signin.by_password(user_id=user.pk, password=PASSWORD).user == user
    assert refusal(signin.by_password, username="ann", password=PASSWORD).code == "auth.failed"
    assert refusal(signin.by_password, user_id=uuid.uuid4(), password=PASSWORD).code == "auth.failed"


def test_nobody_of_a_disabled_domain_comes_in_or_stays_in() -> None:
    domain = make_domain("sales")
    project = make_project()
    user = make_user("ann", domain=domain)
    give(user, "member", project)
    made, issued = make_credential(user, project), make_token(user, project)
    Project.objects.filter(pk=domain.pk).update(enabled=False)
    assert refusal(signin.by_password, user_id=user.pk, password=PASSWORD).code == "auth.failed"
    assert refusal(signin.by_application_credential, credential_id=made.credential.pk, secret=made.secret).code == "auth.failed"
    assert refusal(tokens.check, secret=issued.secret).code == "auth.disabled"


@pytest.mark.parametrize("kind", ["project", "domain"])
def test_a_disabled_project_gives_no_token(kind: str) -> None:
    domain = make_domain("sales")
    user = make_user()
    give(user, "member", domain)
    project = make_project()
    give(user, "member", project)
    place = domain if kind == "domain" else project
    Project.objects.filter(pk=place.pk).update(enabled=False)
    scope = Scope(domain_id=domain.pk) if kind == "domain" else Scope(project_id=project.pk)
    assert refusal(signin.issue, proofs=[password_of(user)], scope=scope).code == "auth.scope"
    assert Token.objects.count() == 0


def test_a_token_is_for_a_project_a_domain_the_system_or_nothing_yet() -> None:
    project, domain = make_project(), make_domain()
    user = make_user(project=project, operator=True)
    give(user, "admin", domain)
    proof = password_of(user)

    def works_in(scope: Scope) -> tuple[object, object, bool]:
        issued = signin.issue(proofs=[proof], scope=scope)
        actor = tokens.check(secret=issued.secret).actor
        assert (actor.project_id, actor.domain_id) == (issued.actor.project_id, issued.actor.domain_id)
        return actor.project_id, actor.domain_id, bool(actor.system_grants)

    assert works_in(Scope(project_id=project.pk)) == (project.pk, None, True)
    assert works_in(Scope(domain_id=domain.pk)) == (None, domain.pk, True)
    assert works_in(Scope(system=True)) == (None, None, True)
    assert works_in(Scope()) == (None, None, False)


@pytest.mark.parametrize("scope", ["project", "domain", "project by a domain's id", "domain by a project's id", "unknown", "system"])
def test_without_a_role_there_is_no_token(scope: str) -> None:
    project, domain = make_project(), make_domain()
    user = make_user(project=make_project())
    wanted = {
        "project": Scope(project_id=project.pk), "domain": Scope(domain_id=domain.pk), "system": Scope(system=True),
        "project by a domain's id": Scope(project_id=domain.pk), "domain by a project's id": Scope(domain_id=project.pk),
        "unknown": Scope(project_id=uuid.uuid4()),
    }[scope]
    error = refusal(signin.issue, proofs=[password_of(user)], scope=wanted)
    assert (error.kind, error.code) == ("unauthenticated", "auth.scope")
    assert Token.objects.count() == 0


def test_the_default_project_is_taken_where_one_may_work_in_it() -> None:
    project = make_project()
    user = make_user(project=project)
    User.objects.update(default_project_id=project.pk)
    user.refresh_from_db()
    proof = password_of(user)
    assert signin.issue(proofs=[proof], scope=Scope(default=True)).token.project_id == project.pk
    Project.objects.filter(pk=project.pk).update(enabled=False)
    assert signin.issue(proofs=[proof], scope=Scope(default=True)).token.project_id is None


def test_a_token_made_of_a_token_lives_no_longer_and_keeps_the_chain() -> None:
    project = make_project()
    user = make_user(project=project)
    first = signin.issue(proofs=[password_of(user)], scope=Scope(), hours=1)
    second = signin.issue(proofs=[signin.by_token(secret=first.secret)], scope=Scope(project_id=project.pk), hours=24)
    assert second.token.expires_at == first.token.expires_at
    assert second.token.audit_ids[-1] == first.token.audit_ids[0] and len(second.token.audit_ids) == 2
    assert second.token.methods == ["token", "password"]


def test_proofs_of_two_users_are_no_proof() -> None:
    ann, bob = make_user("ann"), make_user("bob")
    assert refusal(signin.issue, proofs=[password_of(ann), password_of(bob)], scope=Scope()).code == "auth.failed"


# The second factor.


def test_with_a_second_factor_the_password_alone_is_not_enough_and_the_right_one_is_told_so() -> None:
    project = make_project()
    user = make_user(project=project)
    seed = with_second_factor(user)
    error = refusal(signin.login, username="ann", password=PASSWORD)
    assert (error.code, error.facts["required_auth_methods"]) == ("auth.second_factor", [["password", "totp"]])
    assert refusal(signin.login, username="ann", password="wrong").code == "auth.failed"
    assert refusal(signin.login, username="ann", password="wrong", otp=code_of(seed)).code == "auth.failed"
    assert Token.objects.count() == 0
    issued = signin.login(username="ann", password=PASSWORD, otp=code_of(seed))
    assert issued.token.methods == ["password", "totp"]


def test_a_code_counts_once_whichever_way_it_comes(time_machine: Time) -> None:
    user = make_user(project=make_project())
    seed = with_second_factor(user)
    code = code_of(seed)
    signin.login(username="ann", password=PASSWORD, otp=code)
    assert refusal(signin.login, username="ann", password=PASSWORD, otp=code).code == "auth.second_factor"
    assert refusal(signin.by_totp, user_id=user.pk, passcode=code).code == "auth.failed"
    # Nor an earlier one that was not used: who sees one over the shoulder must not come later.
    assert refusal(signin.by_totp, user_id=user.pk, passcode=code_of(seed, steps=-1)).code == "auth.failed"
    time_machine.forward(31)
    assert signin.by_totp(user_id=user.pk, passcode=code_of(seed)).user == user


@pytest.mark.parametrize(("steps", "taken"), [(-3, False), (1, True), (2, False)])
def test_clocks_may_differ_by_one_step(steps: int, taken: bool, time_machine: Time) -> None:
    user = make_user()
    seed = with_second_factor(user)
    time_machine.forward(300)
    time_machine.stand()
    if taken:
        assert signin.by_totp(username="ann", passcode=code_of(seed, steps=steps)).user == user
    else:
        assert refusal(signin.by_totp, username="ann", passcode=code_of(seed, steps=steps)).code == "auth.failed"


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "000 00", "\x00" * 6])
def test_what_is_no_code_is_refused(code: str) -> None:
    user = make_user()
    with_second_factor(user)
    assert refusal(signin.by_totp, username="ann", passcode=code).code == "auth.failed"


def test_a_code_without_the_password_is_no_way_in() -> None:
    user = make_user()
    seed = with_second_factor(user)
    proof = signin.by_totp(username="ann", passcode=code_of(seed))
    assert refusal(signin.issue, proofs=[proof], scope=Scope()).code == "auth.failed"


@pytest.mark.parametrize(
    ("rules", "enough"),
    [([["password", "totp"]], False), ([["totp", "password"], ["password"]], True), ([], True), ([["magic"]], True), ([["totp"]], False)],
)
def test_rules_of_the_user_say_which_methods_are_enough(rules: list[list[str]], enough: bool) -> None:
    make_user(project=make_project())
    User.objects.update(options={"multi_factor_auth_enabled": True, "multi_factor_auth_rules": rules})
    if enough:
        signin.login(username="ann", password=PASSWORD)
    else:
        assert refusal(signin.login, username="ann", password=PASSWORD).code == "auth.second_factor"


def test_programs_and_tokens_need_no_second_factor() -> None:
    project = make_project()
    user = make_user(project=project)
    made = make_credential(user, project)
    seed = with_second_factor(user)
    come_by(made)
    issued = signin.login(username="ann", password=PASSWORD, otp=code_of(seed))
    signin.login(token=issued.secret, project=str(project.pk))


def test_a_second_factor_counts_once_its_first_code_was_seen() -> None:
    user = make_user(project=make_project())
    actor = actor_in(user)
    first, seed = totp.enrol(actor=actor).seed, totp.enrol(actor=actor).seed
    signin.login(username="ann", password=PASSWORD)
    assert refusal(totp.confirm, actor=actor, code=code_of(first)).code == "totp.code"
    totp.confirm(actor=actor, code=code_of(seed))
    assert totp.is_on(actor=actor)
    assert refusal(totp.enrol, actor=actor).code == "totp.exists"
    assert refusal(totp.confirm, actor=actor, code=code_of(seed, steps=1)).code == "totp.not_found"


def test_a_second_factor_goes_with_a_code_or_by_an_administrator() -> None:
    user, other = make_user(), make_user("eve", make_project(), "admin")
    seed = with_second_factor(user)
    actor = actor_in(user)
    assert refusal(totp.remove, actor=actor, code="000000").code == "auth.second_factor"
    totp.remove(actor=actor, code=code_of(seed))
    assert refusal(totp.remove, actor=actor, code="000000").code == "totp.not_found"
    with_second_factor(user)
    assert refusal(totp.remove_of, actor=actor_in(other, Project.objects.get(name__startswith="project")), user_id=user.pk).kind == "forbidden"
    totp.remove_of(actor=SYSTEM, user_id=user.pk)
    assert not totp.is_on(actor=actor)


def test_the_uri_is_what_apps_for_codes_understand() -> None:
    enrolment = totp.enrol(actor=actor_in(make_user("ann")))
    assert enrolment.uri.startswith("otpauth://totp/Cloudsite:ann?") and f"secret={enrolment.seed}" in enrolment.uri
    assert enrolment.image.startswith("data:image/svg+xml")


def test_a_seed_is_sealed_and_told_to_nobody() -> None:
    user = make_user()
    seed = with_second_factor(user)
    row = Credential.objects.get()
    assert seed not in str(Credential.objects.values().get()) and vault.open(row.blob) == seed
    assert seed not in str(list(Record.objects.values()))


# Passwords that expire.


@pytest.fixture
def expiring(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from django.conf import settings

    monkeypatch.setattr(settings, "ENV", replace(settings.ENV, password_expires_days=90))


def test_an_expired_password_is_told_only_to_who_knows_it(expiring: None, time_machine: Time) -> None:
    user = make_user(project=make_project())
    signin.login(username="ann", password=PASSWORD)
    time_machine.forward(91 * 86400)
    assert refusal(signin.login, username="ann", password=PASSWORD).code == "auth.password_expired"
    assert refusal(signin.login, username="ann", password="wrong").code == "auth.failed"
    users.change_password(user_id=user.pk, old=PASSWORD, new="another battery horse")
    signin.login(username="ann", password="another battery horse")


def test_some_users_passwords_do_not_expire(expiring: None, time_machine: Time) -> None:
    make_user(project=make_project())
    User.objects.update(options={"ignore_password_expiry": True})
    time_machine.forward(91 * 86400)
    signin.login(username="ann", password=PASSWORD)


def test_passwords_do_not_expire_unless_the_operator_wants_it() -> None:
    assert make_user().password_expires_at is None


def test_who_has_a_second_factor_needs_it_to_change_the_password_without_a_token() -> None:
    user = make_user()
    seed = with_second_factor(user)
    change: dict[str, Any] = {"user_id": user.pk, "old": PASSWORD, "new": "another battery horse"}
    assert refusal(users.change_password, **change).code == "auth.second_factor"
    users.change_password(**change, code=code_of(seed))


@pytest.mark.parametrize("password", ["short", "1234567890123", "password123", "annie@example.org"])
def test_weak_passwords_are_refused(password: str) -> None:
    error = refusal(users.create_user, actor=SYSTEM, username="annie", email="annie@example.org", password=password)
    assert (error.code, error.field) == ("user.password", "password")


# What it costs, and what is left behind.


def test_a_token_by_password_costs_six_statements() -> None:
    project = make_project()
    make_user(project=project)
    with CaptureQueriesContext(connection) as captured:
        proof = signin.by_password(username="ann", password=PASSWORD, request=coming_from())
        signin.issue(proofs=[proof], scope=Scope(project_id=project.pk), request=coming_from())
    statements = [each["sql"] for each in captured if not each["sql"].startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"))]
    assert len(statements) <= 6, "\n".join(statements)


def test_tokens_that_are_over_are_kept_for_a_week(time_machine: Time) -> None:
    project = make_project()
    user = make_user(project=project)
    gone, living = make_token(user, project), make_token(user, project, hours=24 * 30)
    tokens.revoke(actor=actor_in(user, project), token_id=gone.token.pk)
    time_machine.forward(6 * 86400)
    leftovers.prune()
    assert Token.objects.count() == 2
    time_machine.forward(2 * 86400)
    leftovers.prune()
    assert list(Token.objects.all()) == [living.token]


def test_all_of_ones_own_tokens_end_at_once() -> None:
    project = make_project()
    ann, bob = make_user("ann", project), make_user("bob", project)
    mine, this, theirs = make_token(ann, project), make_token(ann, project), make_token(bob, project)
    assert tokens.revoke_all(actor=tokens.check(secret=this.secret).actor, keep_this=True) == 1
    assert refusal(tokens.check, secret=mine.secret).code == "auth.token_revoked"
    tokens.check(secret=theirs.secret)
    assert tokens.revoke_all(actor=tokens.check(secret=this.secret).actor) == 1
    assert refusal(tokens.check, secret=this.secret).code == "auth.token_revoked"
    tokens.check(secret=theirs.secret)


def test_a_credential_deleted_at_the_moment_of_the_sign_in_is_no_error_of_ours() -> None:
    project = make_project()
    user = make_user(project=project)
    made = make_credential(user, project)
    proof = signin.by_application_credential(credential_id=made.credential.pk, secret=made.secret)
    made.credential.delete()
    with pytest.raises(CloudError) as caught:
        signin.issue(proofs=[proof], scope=Scope())
    assert caught.value.kind == "unauthenticated"
    assert Token.objects.count() == 0


def test_seeds_that_nobody_confirmed_go(time_machine: Time) -> None:
    totp.enrol(actor=actor_in(make_user()))
    time_machine.forward(timedelta(days=2).total_seconds())
    assert clock.now() > Credential.objects.get().created_at
    leftovers.prune()
    assert Credential.objects.count() == 0
