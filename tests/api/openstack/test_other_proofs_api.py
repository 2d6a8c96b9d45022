"""Tokens by application credential, by a second factor and by trust."""

import base64
import time
import uuid
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from apps.common import clock
from apps.common.context import Actor
from apps.identity.access_rules import Rule
from apps.identity.models import Project, Trust, User
from apps.identity.services import application_credentials, tokens, totp, trusts
from apps.identity.services.application_credentials import Made
from tests.api.openstack.kit import Answer, Keystone, by_password, of, signed_in
from tests.support.cloud import make_project
from tests.support.identity import give, make_user

pytestmark = pytest.mark.django_db
UNKNOWN = "The request you have made requires authentication."


@pytest.fixture
def project() -> Project:
    return make_project("red")


@pytest.fixture
def ann(project: Project) -> User:
    return make_user("ann", project)


@pytest.fixture
def actor(ann: User, project: Project) -> Actor:
    """Ann, as her token in the project makes her."""
    return tokens.check(secret=signed_in(ann, of(project)).token).actor


def ask(identity: dict[str, Any], scope: Any = None) -> Answer:
    return Keystone().post("auth/tokens", {"auth": {"identity": identity, **({} if scope is None else {"scope": scope})}})


def by_credential(**given: Any) -> dict[str, Any]:
    return {"methods": ["application_credential"], "application_credential": given}


def make(actor: Actor, **more: Any) -> Made:
    return application_credentials.create(actor=actor, name="ci", **more)


def test_a_credential_works_in_its_project(actor: Actor, ann: User, project: Project) -> None:
    made = make(actor, roles=["reader"])
    by_id = by_credential(id=str(made.credential.pk), secret=made.secret)
    by_name = by_credential(name="ci", user={"name": "ann", "domain": {"id": "default"}}, secret=made.secret)
    by_user_id = by_credential(name="ci", user={"id": str(ann.pk)}, secret=made.secret)
    for identity in (by_id, by_name, by_user_id):
        token = ask(identity).ok(201)["token"]
        assert token["methods"] == ["application_credential"]
        assert token["user"]["name"] == "ann" and token["project"]["id"] == str(project.pk)
        assert [role["name"] for role in token["roles"]] == ["reader"]
        assert token["application_credential"] == {"id": str(made.credential.pk), "name": "ci", "restricted": True}


def test_its_token_lives_no_longer_than_it(actor: Actor) -> None:
    made = make(actor, expires_at=clock.now() + timedelta(minutes=5))
    token = ask(by_credential(id=str(made.credential.pk), secret=made.secret)).ok(201)["token"]
    assert token["expires_at"] == made.credential.expires_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_whatever_is_wrong_with_a_credential_the_answer_is_the_same(actor: Actor, project: Project) -> None:
    made = make(actor)
    key = str(made.credential.pk)
    attempts: list[tuple[dict[str, Any], Any]] = [
        (by_credential(id=key, secret="wrong"), None),
        (by_credential(id=key), None),
        (by_credential(id=str(uuid.uuid4()), secret=made.secret), None),
        (by_credential(id="no id", secret=made.secret), None),
        (by_credential(name="other", user={"name": "ann", "domain": {"id": "default"}}, secret=made.secret), None),
        (by_credential(name="ci", user={"name": "bob", "domain": {"id": "default"}}, secret=made.secret), None),
        (by_credential(id=key, secret=made.secret), of(project)),
    ]
    for identity, scope in attempts:
        assert ask(identity, scope).refused(401) == UNKNOWN


def test_access_rules_are_the_only_requests_that_it_may_make(actor: Actor) -> None:
    made = make(actor, rules=[Rule("identity", "GET", "/v3/auth/projects"), Rule("compute", "GET", "/v3/auth/catalog")])
    answer = ask(by_credential(id=str(made.credential.pk), secret=made.secret))
    shown = answer.ok(201)["token"]["application_credential"]["access_rules"]
    assert {(rule["service"], rule["method"], rule["path"]) for rule in shown} == {
        ("identity", "GET", "/v3/auth/projects"), ("compute", "GET", "/v3/auth/catalog"),
    }
    client = Keystone(answer.headers["X-Subject-Token"])
    assert client.get("auth/projects").status == 200 and client.head("auth/projects").status == 200
    assert "access rules" in client.get("auth/catalog").refused(403)


def code(seed: str, *, steps: int = 0) -> str:
    return TOTP(base64.b32decode(seed), 6, SHA1(), 30).generate(int(time.time()) + 30 * steps).decode()


def test_who_has_a_second_factor_needs_it_and_each_code_counts_once(actor: Actor, ann: User, project: Project) -> None:
    seed = totp.enrol(actor=actor).seed
    totp.confirm(actor=actor, code=code(seed))
    answer = Keystone().sign_in(ann, of(project))
    assert answer.status == 401 and answer.json["required_auth_methods"] == [["password", "totp"]]
    assert "second proof" in answer.json["error"]["message"]
    assert Keystone().sign_in(ann, of(project), password="wrong").refused(401) == UNKNOWN

    def both(passcode: str) -> Answer:
        user = {"id": str(ann.pk), "passcode": passcode}
        return ask({**by_password({"id": str(ann.pk)}), "methods": ["password", "totp"], "totp": {"user": user}}, of(project))

    later = code(seed, steps=1)
    assert both("000000" if later != "000000" else "000001").refused(401) == UNKNOWN
    assert set(both(later).ok(201)["token"]["methods"]) == {"password", "totp"}
    assert both(later).refused(401) == UNKNOWN
    alone = {"methods": ["totp"], "totp": {"user": {"id": str(ann.pk), "passcode": code(seed, steps=1)}}}
    assert ask(alone, of(project)).refused(401) == UNKNOWN


@pytest.mark.parametrize("impersonation", [True, False])
def test_a_trust_lets_the_trustee_work_in_the_project_of_the_trustor(
    actor: Actor, ann: User, project: Project, impersonation: bool
) -> None:
    bob, eve = make_user("bob"), make_user("eve")
    given = trust(actor, ann, bob, project, impersonation=impersonation, remaining_uses=1)
    scope = {"OS-TRUST:trust": {"id": str(given.pk)}}
    Keystone().sign_in(eve, scope).refused(403)
    answer = Keystone().sign_in(bob, scope)
    token = answer.ok(201)["token"]
    assert token["OS-TRUST:trust"] == {
        "id": str(given.pk), "impersonation": impersonation, "trustor_user": {"id": str(ann.pk)}, "trustee_user": {"id": str(bob.pk)},
    }
    assert token["user"]["name"] == ("ann" if impersonation else "bob")
    assert token["project"]["id"] == str(project.pk) and [role["name"] for role in token["roles"]] == ["reader"]
    assert Keystone(answer.headers["X-Subject-Token"]).get("auth/catalog").status == 200
    assert "no uses left" in Keystone().sign_in(bob, scope).refused(403)
    trusts.delete(actor=actor, trust_id=given.pk)
    Keystone(answer.headers["X-Subject-Token"]).get("auth/catalog").refused(401)
    Keystone().sign_in(bob, scope).refused(401)


def test_who_came_by_a_trust_is_not_told_where_else_the_trustor_works(actor: Actor, ann: User, project: Project) -> None:
    give(ann, "member", make_project("elsewhere"))
    given = trust(actor, ann, make_user("bob"), project, impersonation=True)
    answer = Keystone().sign_in(User.objects.get(username="bob"), {"OS-TRUST:trust": {"id": str(given.pk)}})
    shown = Keystone(answer.headers["X-Subject-Token"]).get("auth/projects").ok()["projects"]
    assert [each["id"] for each in shown] == [str(project.pk)]


def trust(actor: Actor, trustor: User, trustee: User, project: Project, **more: Any) -> Trust:
    wanted = trusts.Wanted(trustor_id=trustor.pk, trustee_id=trustee.pk, project_id=project.pk, roles=["reader"], **more)
    return trusts.create(actor=actor, wanted=wanted)
