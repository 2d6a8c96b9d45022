"""Application credentials: a program can do at most what its owner can, now, and at most what it was given."""

import uuid
from datetime import timedelta

import pytest

from apps.audit.models import Record
from apps.common import clock
from apps.common.context import SYSTEM
from apps.identity import policy
from apps.identity.access_rules import Rule
from apps.identity.models import AccessRule, ApplicationCredential, Assignment, Project, Token, User
from apps.identity.selectors import delegated
from apps.identity.services import (
    access_keys,
    application_credentials,
    assignments,
    credentials,
    signin,
    tokens,
    trusts,
    users,
)
from apps.identity.services.signin import Scope
from apps.identity.services.trusts import Wanted
from tests.support.cloud import make_project, refusal
from tests.support.fixtures import Time
from tests.support.identity import PASSWORD, actor_in, give, given, make_user
from tests.support.proofs import come_by, make_credential

pytestmark = pytest.mark.django_db(transaction=True)
LIST = Rule("compute", "GET", "/v2.1/servers")


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def ann(project: Project) -> User:
    return make_user("ann", project, "admin")


def test_a_program_works_in_its_project_with_its_owners_roles(ann: User, project: Project) -> None:
    made = make_credential(ann, project)
    actor, secret = come_by(made)
    assert (actor.user_id, actor.project_id) == (ann.pk, project.pk)
    assert actor.roles == ("admin", "member", "operator", "reader")
    assert tokens.check(secret=secret).bearer.application_credential_id == made.credential.pk


def test_its_secret_is_shown_once_and_stored_nowhere(ann: User, project: Project) -> None:
    made = make_credential(ann, project)
    assert len(made.secret) == 86
    row = ApplicationCredential.objects.values().get()
    assert made.secret not in str(row) and made.secret not in str(list(Record.objects.values()))
    chosen = make_credential(ann, project, "chosen", secret="hunter2 hunter2")
    assert chosen.secret == "hunter2 hunter2"
    assert "hunter2" not in str(list(ApplicationCredential.objects.values())) + str(list(Record.objects.values()))
    come_by(chosen)


@pytest.mark.parametrize("secret", ["short", "x" * 256, "with a NUL \x00 in it"])
def test_a_chosen_secret_must_be_one(ann: User, project: Project, secret: str) -> None:
    assert refusal(make_credential, ann, project, secret=secret).field == "secret"


def test_by_name_and_user_or_by_id(ann: User, project: Project) -> None:
    made = make_credential(ann, project, "backup")
    for who in ({"user_id": ann.pk}, {"username": "ann"}, {"username": "ann", "domain_id": ann.domain_id}):
        assert signin.by_application_credential(name="backup", secret=made.secret, **who).user == ann
    for wrong in (
        {"name": "backup", "username": "bob"}, {"name": "other", "user_id": ann.pk}, {"credential_id": uuid.uuid4()},
        {"name": "backup", "user_id": uuid.uuid4()}, {"name": "", "username": ""},
    ):
        assert refusal(signin.by_application_credential, secret=made.secret, **wrong).code == "auth.failed"
    assert refusal(signin.by_application_credential, credential_id=made.credential.pk, secret="wrong").code == "auth.failed"


def test_a_role_that_its_owner_loses_is_lost_to_it(ann: User, project: Project) -> None:
    give(ann, "reader", project)
    _, secret = come_by(make_credential(ann, project))
    assignments.take(actor=SYSTEM, given=given(ann, "admin", project))
    assert tokens.check(secret=secret).actor.roles == ("reader",)
    Assignment.objects.all().delete()
    assert refusal(tokens.check, secret=secret).code == "auth.no_role"


def test_a_role_that_its_owner_gets_later_is_not_its(project: Project) -> None:
    bob = make_user("bob", project, "reader")
    _, secret = come_by(make_credential(bob, project))
    give(bob, "admin", project)
    assert tokens.check(secret=secret).actor.roles == ("reader",)


def test_roles_on_the_system_do_not_go_with_it(ann: User, project: Project) -> None:
    give(ann, "admin")
    actor, _ = come_by(make_credential(ann, project))
    assert not actor.system_grants and not policy.everywhere(actor, "hosts.host.enrol")


def test_it_gets_some_roles_by_name_or_id_and_no_others(ann: User, project: Project) -> None:
    member = str(assignments.role_named("member"))
    actor, _ = come_by(make_credential(ann, project, roles=[member]))
    assert actor.roles == ("member", "reader")
    assert come_by(make_credential(ann, project, "2", roles=["reader"]))[0].roles == ("reader",)
    bob = make_user("bob", project, "reader")
    for role in ("member", member, "nonsense", str(uuid.uuid4())):
        error = refusal(make_credential, bob, project, roles=[role])
        assert (error.code, error.field) == ("application_credential.role", "roles")
    assert refusal(make_credential, bob, project, roles=[]).code == "application_credential.role"


def test_it_may_be_limited_to_some_permissions(ann: User, project: Project) -> None:
    actor, _ = come_by(make_credential(ann, project, permissions=["compute.instance.*", "images.image.get"]))
    assert policy.allows(actor, "compute.instance.create") and policy.allows(actor, "images.image.get")
    assert not policy.allows(actor, "images.image.create")
    error = refusal(make_credential, ann, project, permissions=["compute.instance.craete"])
    assert error.code == "application_credential.permission" and "compute.instance.create" in error.message


@pytest.mark.parametrize("unrestricted", [False, True])
def test_only_an_unrestricted_one_makes_credentials(ann: User, project: Project, unrestricted: bool) -> None:
    actor, _ = come_by(make_credential(ann, project, unrestricted=unrestricted))
    trust = Wanted(trustor_id=ann.pk, trustee_id=ann.pk, impersonation=False, project_id=project.pk, roles=["reader"])
    if unrestricted:
        application_credentials.create(actor=actor, name="child")
        access_keys.create(actor=actor)
        # Neither of these could be held to what the credential is limited to.
        assert refusal(trusts.create, actor=actor, wanted=trust).code == "auth.bound"
        assert refusal(credentials.create, actor=actor, user_id=ann.pk, type="cert", blob="x").code == "auth.bound"
        return
    for call in (
        lambda: application_credentials.create(actor=actor, name="child"), lambda: access_keys.create(actor=actor),
        lambda: trusts.create(actor=actor, wanted=trust),
        lambda: credentials.create(actor=actor, user_id=ann.pk, type="cert", blob="x"),
        lambda: application_credentials.delete(actor=actor, credential_id=ApplicationCredential.objects.get().pk),
        lambda: users.change_password(actor=actor, user_id=ann.pk, old=PASSWORD, new="another battery horse"),
    ):
        assert refusal(call).kind == "forbidden"


def test_a_child_can_do_no_more_than_its_parent(ann: User, project: Project, time_machine: Time) -> None:
    ends = clock.now() + timedelta(days=1)
    parent = make_credential(
        ann, project, unrestricted=True, roles=["member"], permissions=["compute.*", "identity.*"], expires_at=ends,
        rules=[Rule("identity", "GET", "/v3"), Rule("identity", "POST", "/v3/**"), LIST],
    )
    actor, _ = come_by(parent)
    fine = {"permissions": ["compute.instance.get"], "expires_at": ends}

    def make(**more: object) -> object:
        return application_credentials.create(actor=actor, name=f"child-{uuid.uuid4()}", **{**fine, **more})  # type: ignore[arg-type]

    assert refusal(make, permissions=None).code == "application_credential.permission"
    assert refusal(make, permissions=["*"]).code == "application_credential.permission"
    assert refusal(make, expires_at=None).code == "application_credential.expiry"
    assert refusal(make, expires_at=ends + timedelta(seconds=1)).code == "application_credential.expiry"
    assert refusal(make, roles=["operator"]).code == "application_credential.role"
    assert refusal(make, rules=[Rule("compute", "POST", "/v2.1/servers")]).code == "access_rule.beyond_own"
    made = application_credentials.create(actor=actor, name="child", **fine)  # type: ignore[arg-type]
    assert {str(rule) for rule in made.credential.access_rules.all()} == {str(rule) for rule in parent.credential.access_rules.all()}
    assert sorted(role.name for role in made.credential.roles.all()) == ["member", "reader"]


@pytest.mark.parametrize("end", ["it expires", "it is deleted", "its owner is disabled", "its project is disabled"])
def test_it_ends_at_once_and_its_tokens_with_it(ann: User, project: Project, end: str, time_machine: Time) -> None:
    made = make_credential(ann, project, expires_at=clock.now() + timedelta(hours=1))
    _, secret = come_by(made)
    if end == "it expires":
        time_machine.forward(3601)
    elif end == "it is deleted":
        application_credentials.delete(actor=actor_in(ann, project), credential_id=made.credential.pk)
    elif end == "its owner is disabled":
        User.objects.update(is_active=False)
    else:
        Project.objects.filter(pk=project.pk).update(enabled=False)
    assert refusal(tokens.check, secret=secret).kind == "unauthenticated"
    assert refusal(come_by, made).kind == "unauthenticated"


def test_a_token_of_it_lives_no_longer_than_it(ann: User, project: Project) -> None:
    ends = clock.now() + timedelta(minutes=5)
    come_by(make_credential(ann, project, expires_at=ends))
    assert Token.objects.get().expires_at == ends
    assert refusal(make_credential, ann, project, "late", expires_at=clock.now()).code == "application_credential.expiry"


def test_a_token_of_it_makes_no_other_tokens(ann: User, project: Project) -> None:
    _, secret = come_by(make_credential(ann, project))
    assert refusal(signin.by_token, secret=secret).code == "auth.bound"


def test_names_are_unique_per_user(ann: User, project: Project) -> None:
    make_credential(ann, project)
    assert refusal(make_credential, ann, project).code == "application_credential.exists"
    make_credential(make_user("bob", project), project)


def test_it_is_for_a_project_only(ann: User, project: Project) -> None:
    assert refusal(application_credentials.create, actor=actor_in(ann), name="x").code == "auth.project_needed"
    eve = make_user("eve", operator=True)
    assert refusal(make_credential, eve, project).code == "application_credential.role"


def test_others_see_and_delete_nothing_of_mine(ann: User, project: Project) -> None:
    made = make_credential(ann, project)
    bob = actor_in(make_user("bob", project, "admin"), project)
    assert not delegated.application_credentials(actor=bob)
    assert refusal(delegated.application_credentials, actor=bob, user_id=ann.pk).kind == "forbidden"
    assert refusal(delegated.application_credential, actor=bob, credential_id=made.credential.pk).kind == "not_found"
    assert refusal(application_credentials.delete, actor=bob, credential_id=made.credential.pk).kind == "not_found"
    root = actor_in(make_user("root", operator=True))
    assert delegated.application_credentials(actor=root, user_id=ann.pk).count() == 1
    application_credentials.delete(actor=root, credential_id=made.credential.pk)


# Access rules.


def test_with_access_rules_only_these_requests_are_answered(ann: User, project: Project) -> None:
    made = make_credential(ann, project, rules=[LIST, Rule("identity", "GET", "/v3"), Rule("cloudsite", "POST", "/api/v1/instances/*/actions")])
    _, secret = come_by(made)

    def check(service: str, method: str, path: str) -> str:
        try:
            tokens.check(secret=secret, service=service, method=method, path=path)
        except Exception as error:
            return str(getattr(error, "code", error))
        return "fine"

    assert check("compute", "GET", "/v2.1/servers") == "fine"
    assert check("compute", "HEAD", "/v2.1/servers") == "fine"
    assert check("cloudsite", "POST", "/api/v1/instances/0190/actions") == "fine"
    for asked in (
        ("compute", "POST", "/v2.1/servers"), ("compute", "GET", "/v2.1/servers/1"), ("image", "GET", "/v2.1/servers"),
        ("cloudsite", "POST", "/api/v1/instances/a/b/actions"), ("", "", ""),
    ):
        assert check(*asked) == "policy.access_rule"


def test_a_rule_is_kept_once_and_not_deleted_while_in_use(ann: User, project: Project) -> None:
    actor = actor_in(ann, project)
    first = make_credential(ann, project, "1", rules=[LIST])
    (rule,) = delegated.access_rules(actor=actor)
    second = make_credential(ann, project, "2", rules=[rule.pk, LIST])
    assert AccessRule.objects.count() == 1
    assert refusal(application_credentials.delete_rule, actor=actor, rule_id=rule.pk).code == "access_rule.in_use"
    assert refusal(application_credentials.delete_rule, actor=actor_in(make_user("bob", project), project), rule_id=rule.pk).kind == "not_found"
    for made in (first, second):
        application_credentials.delete(actor=actor, credential_id=made.credential.pk)
    application_credentials.delete_rule(actor=actor, rule_id=rule.pk)
    assert AccessRule.objects.count() == 0


@pytest.mark.parametrize(
    "rule", [
        Rule("compute", "GET", "servers"), Rule("compute", "FETCH", "/"), Rule("", "GET", "/"), Rule("a b", "GET", "/"),
        Rule("compute", "GET", "/" + "x" * 128), Rule("compute", "GET", "/a\nb"),
    ],
)
def test_a_rule_must_be_one(ann: User, project: Project, rule: Rule) -> None:
    assert refusal(make_credential, ann, project, rules=[rule]).code == "access_rule.invalid"


def test_a_rule_of_somebody_else_is_none(ann: User, project: Project) -> None:
    make_credential(ann, project, rules=[LIST])
    bob = make_user("bob", project)
    assert refusal(make_credential, bob, project, rules=[AccessRule.objects.get().pk]).code == "access_rule.not_found"


def test_the_scope_of_its_token_is_its_own(ann: User, project: Project) -> None:
    made, other = make_credential(ann, project), make_project()
    give(ann, "admin", other)
    error = refusal(
        signin.login, application_credential={"id": made.credential.pk, "secret": made.secret}, project=str(other.pk)
    )
    assert error.code == "auth.scope"
    proof = signin.by_application_credential(credential_id=made.credential.pk, secret=made.secret)
    assert signin.issue(proofs=[proof], scope=Scope(project_id=other.pk)).token.project_id == project.pk
